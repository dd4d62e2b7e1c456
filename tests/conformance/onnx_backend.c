/* Runs the cases of the ONNX backend test suite and compares what comes out.
 *
 *   onnx_backend [OPTIONS] FOLDER...
 *
 * A case is a folder with model.onnx and test_data_set_K/{input_i,output_i}.pb; FOLDER is a case or
 * holds cases. Shape, dtype and strings must be equal, numbers within atol + rtol |expected|: those
 * of the case's data.json, else 1e-7 and 1e-3. The result is TAP: a case is skipped only when the
 * program does not know all of its operators, or says of one that it cannot run it like that
 * (MC_E_UNSUPPORTED: "refused"). A table by operator ends it.
 *
 *   --filter TEXT  only cases with TEXT in their path
 *   --ops OP,OP    only cases that use one of the operators
 *   --least N      so many must pass
 *   --refused N    at most so many may be refused
 *   --passes       run the graph that all passes have gone over, not the source graph
 *   -v             also say why cases are skipped */
#include "core/exec.h"
#include "core/json.h"
#include "core/passes.h"
#include "formats/formats.h"
#include "formats/onnx.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { PATH_ROOM = 4096, OPS_ROOM = 1024, VALUES = 64, CASES_ROOM = 8192 };

typedef struct {
    char name[64];
    unsigned cases, passed, failed;
    size_t last; /* the case that counted it last */
} op_count;

typedef struct {
    const char *filter, *ops;
    bool passes, verbose;
    size_t least, refused_most;
    size_t cases, passed, failed, refused;
    op_count op[OPS_ROOM];
    size_t op_names;
} suite;

typedef struct {
    const char *path;
    double rtol, atol;
    mc_model model;
    mc_region memory; /* of the execution graph */
    mc_graph *graph;
    mc_exec *exec;
} bench;

typedef enum { PASSED, FAILED, UNKNOWN, REFUSED, NOT_ASKED } verdict;

/* ---- comparing ---- */

/* As numpy's assert_allclose: NaN equals NaN, infinities by sign. Of bfloat16 one unit in the last
 * place is allowed, which is more than 1e-3: the suite's numbers were cut, not rounded. */
static bool is_close(double got, double must, mc_dtype dtype, const bench *b)
{
    const double rtol = dtype == MC_BF16 ? fmax(b->rtol, 0x1p-7) : b->rtol;
    if (isnan(must) || isnan(got)) return isnan(must) && isnan(got);
    if (isinf(must) || isinf(got)) return !(got < must) && !(got > must);
    return fabs(got - must) <= b->atol + rtol * fabs(must);
}

static mc_status differ(const bench *b, const mc_nd *got, const mc_nd *must, mc_err *err);

static mc_status differ_items(const bench *b, const mc_nd *got, const mc_nd *must, mc_err *err)
{
    if (got->items != must->items)
        return mc_fail(err, MC_E_MISMATCH, "%zu items, must be %zu", got->items, must->items);
    for (size_t i = 0; i < must->items; i++)
        if (differ(b, &got->item[i], &must->item[i], err) != MC_OK)
            return mc_wrap(err, "item %zu", i);
    return MC_OK;
}

static mc_status differ_texts(const mc_nd *got, const mc_nd *must, mc_err *err)
{
    const mc_nd_text *a = got->data, *b = must->data;
    for (size_t i = 0; i < must->count; i++)
        if (a[i].length != b[i].length || memcmp(a[i].at, b[i].at, b[i].length) != 0)
            return mc_fail(err, MC_E_MISMATCH, "element %zu is \"%.*s\", must be \"%.*s\"", i,
                           (int)a[i].length, a[i].at, (int)b[i].length, b[i].at);
    return MC_OK;
}

static mc_status differ(const bench *b, const mc_nd *got, const mc_nd *must, mc_err *err)
{
    char a[MC_ND_TEXT], c[MC_ND_TEXT];
    if (got->kind != must->kind) return mc_fail(err, MC_E_MISMATCH, "is of another kind");
    if (must->kind != MC_ND_TENSOR) return differ_items(b, got, must, err);
    if (got->dtype != must->dtype || !mc_nd_same_shape(got, must))
        return mc_fail(err, MC_E_MISMATCH, "is %s, must be %s", mc_nd_show(got, a),
                       mc_nd_show(must, c));
    if (must->dtype == MC_STRING) return differ_texts(got, must, err);
    size_t wrong = 0, first = 0;
    for (size_t i = 0; i < must->count; i++) {
        if (is_close(mc_nd_real(got, i), mc_nd_real(must, i), must->dtype, b)) continue;
        if (wrong++ == 0) first = i;
    }
    if (wrong == 0) return MC_OK;
    return mc_fail(err, MC_E_MISMATCH,
                   "%zu of %zu elements of %s differ; element %zu is %.9g, "
                   "must be %.9g",
                   wrong, must->count, mc_nd_show(must, c), first, mc_nd_real(got, first),
                   mc_nd_real(must, first));
}

/* ---- one set of data ---- */

/* Files of bfloat16 say that they are uint16: numpy, which wrote them, has no such dtype. */
static mc_status as_declared(const mc_value *v, mc_arena *mem, mc_nd *t, mc_err *err)
{
    if (v->dtype != MC_BF16 || t->kind != MC_ND_TENSOR || t->dtype != MC_U16) return MC_OK;
    const void *bits = t->data;
    t->dtype = MC_BF16;
    t->data = mc_alloc_raw(mem, t->count, mc_nd_width(MC_BF16));
    if (!t->data) return mc_no_room(err, "a value");
    return mc_nd_decode(MC_BF16, bits, 0, t->count, t->data, err);
}

/* *there is false when there is no such file. */
static mc_status read_value(const char *folder, const char *what, size_t i, const mc_value *v,
                            mc_arena *mem, mc_map *map, mc_nd *out, bool *there, mc_err *err)
{
    char path[PATH_ROOM];
    struct stat about;
    snprintf(path, sizeof path, "%s/%s_%zu.pb", folder, what, i);
    *there = stat(path, &about) == 0;
    if (!*there) return MC_OK;
    MC_TRY(mc_map_open(path, 0, map, err));
    MC_TRY(mc_onnx_value_parse(map->data, map->size, path, mc_onnx_value_kind(v), mem, out, err));
    return as_declared(v, mem, out, err);
}

typedef struct {
    mc_map map[2 * VALUES];
    mc_nd input[VALUES], must[VALUES];
    const mc_nd *given[VALUES];
    mc_region mem;
    mc_run *run;
} data_set;

static mc_status compare_outputs(const bench *b, data_set *d, const char *folder, mc_err *err)
{
    const mc_graph *g = b->graph;
    for (size_t i = 0; i < g->outputs; i++) {
        const mc_value *v = &g->value[g->output[i]];
        bool there;
        MC_TRY(read_value(folder, "output", i, v, &d->mem.arena, &d->map[VALUES + i], &d->must[i],
                          &there, err));
        if (!there) continue;
        const mc_nd *got = mc_run_value(d->run, g->output[i]);
        if (!got) return mc_fail(err, MC_E_MISMATCH, "output '%s' is not there", v->name);
        if (differ(b, got, &d->must[i], err) != MC_OK) return mc_wrap(err, "output '%s'", v->name);
    }
    return MC_OK;
}

static mc_status run_with(const bench *b, data_set *d, const char *folder, mc_err *err)
{
    const mc_graph *g = b->graph;
    if (g->inputs > VALUES || g->outputs > VALUES)
        return mc_fail(err, MC_E_UNSUPPORTED, "more than %d inputs or outputs", (int)VALUES);
    MC_TRY(mc_region_open(&d->mem, (size_t)1 << 32, err));
    for (size_t i = 0; i < g->inputs; i++) {
        bool there;
        MC_TRY(read_value(folder, "input", i, &g->value[g->input[i]], &d->mem.arena, &d->map[i],
                          &d->input[i], &there, err));
        d->given[i] = there ? &d->input[i] : NULL;
    }
    MC_TRY(mc_run_open(b->exec, 0, &d->run, err));
    MC_TRY(mc_run_all(d->run, d->given, g->inputs, err));
    return compare_outputs(b, d, folder, err);
}

static mc_status run_set(const bench *b, const char *folder, mc_err *err)
{
    data_set *d = calloc(1, sizeof *d);
    if (!d) return mc_fail(err, MC_E_BUDGET, "no memory");
    const mc_status status = run_with(b, d, folder, err);
    if (d->run) mc_run_close(d->run);
    for (size_t i = 0; i < 2 * VALUES; i++) mc_map_close(&d->map[i]);
    mc_region_close(&d->mem);
    free(d);
    return status;
}

/* ---- one case ---- */

static mc_status read_tolerances(bench *b, mc_err *err)
{
    char path[PATH_ROOM];
    mc_map map;
    mc_json *json;
    struct stat about;
    b->rtol = 1e-3;
    b->atol = 1e-7;
    snprintf(path, sizeof path, "%s/data.json", b->path);
    if (stat(path, &about) != 0) return MC_OK;
    MC_TRY(mc_map_open(path, 0, &map, err));
    const mc_status status = mc_json_parse((const char *)map.data, map.size, path, &json, err);
    mc_map_close(&map);
    if (status != MC_OK) return status;
    b->rtol = mc_json_as_num(mc_json_get(json, "rtol"), b->rtol);
    b->atol = mc_json_as_num(mc_json_get(json, "atol"), b->atol);
    mc_json_free(json);
    return MC_OK;
}

/* The source graph as it is, but with bodies for calls of its own functions; or what the passes
 * make of it. */
static mc_status make_graph(const suite *s, bench *b, mc_err *err)
{
    MC_TRY(mc_region_open(&b->memory, mc_graph_prepare_memory(b->model.graph), err));
    if (s->passes) return mc_graph_prepare(b->model.graph, NULL, &b->memory.arena, &b->graph, err);
    b->graph = b->model.graph;
    if (b->graph->functions == 0) return MC_OK;
    b->graph = mc_graph_copy(b->model.graph, &b->memory.arena);
    if (!b->graph) return mc_no_room(err, "the graph");
    mc_region scratch;
    MC_TRY(mc_region_open(&scratch, (size_t)1 << 30, err));
    mc_status status = mc_pass_functions(b->graph, scratch.arena, err);
    if (status == MC_OK) status = mc_graph_order(b->graph, "functions", scratch.arena, err);
    mc_region_close(&scratch);
    return status;
}

/* The suite gives some inputs in another rank than its models declare, and asks that they run. */
static mc_status allow_ranks(bench *b, mc_err *err)
{
    mc_region mem;
    MC_TRY(mc_region_open(&mem, (size_t)1 << 32, err));
    mc_status status = MC_OK;
    char folder[PATH_ROOM];
    snprintf(folder, sizeof folder, "%s/test_data_set_0", b->path);
    for (size_t i = 0; i < b->graph->inputs && status == MC_OK; i++) {
        mc_value *v = &b->graph->value[b->graph->input[i]];
        mc_map map = {0};
        mc_nd t = {.ndim = v->ndim};
        bool there;
        status = read_value(folder, "input", i, v, &mem.arena, &map, &t, &there, err);
        if (status == MC_OK && t.ndim != v->ndim) v->ndim = MC_RANK_UNKNOWN;
        mc_map_close(&map);
    }
    mc_region_close(&mem);
    return status;
}

static mc_status run_sets(bench *b, mc_err *err)
{
    MC_TRY(allow_ranks(b, err));
    const mc_exec_options options = {.name = b->path, .cache_bytes = UINT64_MAX};
    MC_TRY(mc_exec_open(b->graph, &options, &b->exec, err));
    for (unsigned i = 0;; i++) {
        char folder[PATH_ROOM];
        struct stat about;
        snprintf(folder, sizeof folder, "%s/test_data_set_%u", b->path, i);
        if (stat(folder, &about) != 0)
            return i > 0 ? MC_OK : mc_fail(err, MC_E_FORMAT, "has no test_data_set_0");
        if (run_set(b, folder, err) != MC_OK) return mc_wrap(err, "data set %u", i);
    }
}

static bool is_listed(const char *list, const char *name)
{
    const size_t n = strlen(name);
    for (const char *at = list; (at = strstr(at, name)); at++)
        if ((at == list || at[-1] == ',') && (at[n] == ',' || at[n] == '\0')) return true;
    return false;
}

static bool uses_one_of(const mc_graph *g, const char *list)
{
    for (size_t i = 0; i < g->nodes; i++) {
        if (is_listed(list, g->node[i].op)) return true;
        for (size_t a = 0; a < g->node[i].attrs; a++)
            for (size_t k = 0; g->node[i].attr[a].g && k < g->node[i].attr[a].count; k++)
                if (uses_one_of(g->node[i].attr[a].g[k], list)) return true;
    }
    return false;
}

static void count_op(suite *s, const char *name, verdict v)
{
    size_t i = 0;
    while (i < s->op_names && strcmp(s->op[i].name, name) != 0) i++;
    if (i == OPS_ROOM) return;
    op_count *op = &s->op[i];
    if (i == s->op_names) {
        snprintf(op->name, sizeof op->name, "%.63s", name);
        s->op_names++;
    }
    if (op->last == s->cases) return;
    op->last = s->cases;
    op->cases++;
    op->passed += v == PASSED;
    op->failed += v == FAILED;
}

static void count_ops(suite *s, const mc_graph *g, verdict v)
{
    for (size_t i = 0; i < g->nodes; i++) {
        count_op(s, g->node[i].op, v);
        for (size_t a = 0; a < g->node[i].attrs; a++)
            for (size_t k = 0; g->node[i].attr[a].g && k < g->node[i].attr[a].count; k++)
                count_ops(s, g->node[i].attr[a].g[k], v);
    }
}

/* Fills err with why it did not pass. */
static verdict judge(suite *s, bench *b, mc_err *err)
{
    char path[PATH_ROOM], text[MC_NODE_TEXT];
    snprintf(path, sizeof path, "%s/model.onnx", b->path);
    mc_status status = mc_model_open(path, NULL, &b->model, err);
    if (status != MC_OK) return status == MC_E_UNSUPPORTED ? REFUSED : FAILED;
    if (!b->model.graph) {
        mc_fail(err, MC_E_UNSUPPORTED, "%s", b->model.no_graph);
        return s->ops ? NOT_ASKED : UNKNOWN;
    }
    if (s->ops && !uses_one_of(b->model.graph, s->ops)) return NOT_ASKED;
    if (read_tolerances(b, err) != MC_OK || make_graph(s, b, err) != MC_OK) return FAILED;

    const mc_graph *inside;
    const mc_id unknown = mc_graph_unknown(b->graph, &inside);
    if (unknown != MC_NONE) {
        mc_fail(err, MC_E_UNSUPPORTED, "%s is not known", mc_node_show(inside, unknown, text));
        return UNKNOWN;
    }
    status = run_sets(b, err);
    return status == MC_OK ? PASSED : status == MC_E_UNSUPPORTED ? REFUSED : FAILED;
}

/* A line of TAP must stay one. */
static const char *one_line(mc_err *err)
{
    for (char *at = err->text; *at; at++)
        if (*at == '\n' || *at == '#') *at = ' ';
    return err->text;
}

static void report(suite *s, const char *path, verdict v, mc_err *err)
{
    static const char *const why[] = {[PASSED] = "",
                                      [FAILED] = "",
                                      [UNKNOWN] = " # SKIP operators not known",
                                      [REFUSED] = " # SKIP refused"};
    const char *name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    s->passed += v == PASSED;
    s->failed += v == FAILED;
    s->refused += v == REFUSED;
    printf("%sok %zu - %s%s\n", v == FAILED ? "not " : "", s->cases, name, why[v]);
    if (v == FAILED || v == REFUSED || (v == UNKNOWN && s->verbose))
        printf("# %s\n", one_line(err));
    fflush(stdout);
}

static void run_case(suite *s, const char *path)
{
    bench b = {.path = path};
    mc_err err = {0};
    if (s->filter && !strstr(path, s->filter)) return;
    const verdict v = judge(s, &b, &err);
    if (v != NOT_ASKED) {
        s->cases++;
        if (b.model.graph) count_ops(s, b.model.graph, v);
        report(s, path, v, &err);
    }
    if (b.exec) mc_exec_close(b.exec);
    mc_region_close(&b.memory);
    mc_model_close(&b.model);
}

/* ---- all cases ---- */

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static bool run_folder(suite *s, const char *folder)
{
    char path[PATH_ROOM];
    struct stat about;
    snprintf(path, sizeof path, "%s/model.onnx", folder);
    if (stat(path, &about) == 0) {
        run_case(s, folder);
        return true;
    }
    struct dirent **entry;
    const int n = scandir(folder, &entry, NULL, by_name);
    if (n < 0) {
        printf("not ok - %s: cannot open: %s\n", folder, strerror(errno));
        return false;
    }
    for (int i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s/%s/model.onnx", folder, entry[i]->d_name);
        if (entry[i]->d_name[0] != '.' && stat(path, &about) == 0) {
            *strrchr(path, '/') = '\0';
            run_case(s, path);
        }
        free(entry[i]);
    }
    free(entry);
    return true;
}

static int by_op(const void *a, const void *b)
{
    return strcmp(((const op_count *)a)->name, ((const op_count *)b)->name);
}

static void print_table(suite *s)
{
    qsort(s->op, s->op_names, sizeof *s->op, by_op);
    printf("#\n# operator                        passed  of cases\n");
    for (size_t i = 0; i < s->op_names; i++)
        printf("# %-30s %7u %9u%s\n", s->op[i].name, s->op[i].passed, s->op[i].cases,
               s->op[i].failed ? "  FAILS" : "");
    printf("#\n# not covered:");
    for (size_t i = 0; i < s->op_names; i++)
        if (s->op[i].passed == 0 && s->op[i].failed == 0) printf(" %s", s->op[i].name);
    printf("\n# %zu passed, %zu failed, %zu refused, %zu not covered\n", s->passed, s->failed,
           s->refused, s->cases - s->passed - s->failed - s->refused);
}

static bool read_option(suite *s, int argc, char **argv, int *i)
{
    const char *name = argv[*i];
    const char *value = *i + 1 < argc ? argv[*i + 1] : "";
    if (strcmp(name, "-v") == 0) return s->verbose = true;
    if (strcmp(name, "--passes") == 0) return s->passes = true;
    (*i)++;
    if (strcmp(name, "--filter") == 0)
        s->filter = value;
    else if (strcmp(name, "--ops") == 0)
        s->ops = value;
    else if (strcmp(name, "--least") == 0)
        s->least = (size_t)strtoul(value, NULL, 10);
    else if (strcmp(name, "--refused") == 0)
        s->refused_most = (size_t)strtoul(value, NULL, 10);
    else
        return false;
    return true;
}

int main(int argc, char **argv)
{
    static suite s = {.refused_most = SIZE_MAX};
    bool good = true;
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] != '-') {
            good = run_folder(&s, argv[i]) && good;
        } else if (!read_option(&s, argc, argv, &i)) {
            fprintf(stderr, "usage: onnx_backend [--filter TEXT] [--ops OP,OP] [--least N] "
                            "[--refused N] [--passes] [-v] FOLDER...\n");
            return 2;
        }
    }
    print_table(&s);
    if (s.passed < s.least) {
        printf("not ok %zu - %zu cases passed, at least %zu must\n", s.cases + 1, s.passed,
               s.least);
        good = false;
    }
    if (s.refused > s.refused_most) {
        printf("not ok %zu - %zu cases were refused, at most %zu may be\n", s.cases + 2, s.refused,
               s.refused_most);
        good = false;
    }
    return good && s.failed == 0 ? 0 : 1;
}
