#include "tests/support/pass_case.h"

#include "formats/formats.h"
#include "tests/support/op_ramp.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { REGION_BYTES = 1 << 28, TEXT = 256 };

pass_case pass_begin(void)
{
    pass_case p = {.err = {.status = MC_OK}};
    cr_assert_eq(mc_region_open(&p.region, REGION_BYTES, &p.err), MC_OK, "%s", p.err.text);
    mc_arena *mem = MC_NEW(&p.region.arena, mc_arena, 1); /* pass_case moves, the arena must not */
    cr_assert_not_null(mem);
    unsigned char *middle = p.region.arena.at + REGION_BYTES / 2;
    *mem = (mc_arena){p.region.arena.at, middle};
    p.region.arena.at = middle;
    p.before = mc_graph_new(mem, "case");
    cr_assert_not_null(p.before);
    return p;
}

void pass_end(pass_case *p)
{
    mc_npz_close(&p->npz);
    mc_map_close(&p->arrays);
    mc_model_close(&p->model);
    mc_region_close(&p->region);
}

/* ---- building ---- */

static float *ramp(pass_case *p, size_t n, unsigned seed)
{
    float *x = MC_NEW_RAW(p->before->mem, float, n + 1);
    cr_assert_not_null(x);
    op_ramp(x, n, seed);
    return x;
}

static void *numbers(pass_case *p, mc_dtype dtype, size_t n, unsigned seed)
{
    float *x = ramp(p, n, seed);
    if (dtype != MC_BOOL) return x;
    unsigned char *truth = MC_NEW(p->before->mem, unsigned char, n + 1);
    cr_assert_not_null(truth);
    for (size_t i = 0; i < n; i++) truth[i] = x[i] > -0.5f;
    return truth;
}

mc_id pass_in(pass_case *p, const char *name, mc_dtype dtype, int ndim, const int64_t *dim)
{
    int64_t size[MC_MAX_DIMS];
    for (int i = 0; i < ndim; i++) size[i] = dim[i] < 0 ? 3 : dim[i];
    const size_t i = p->before->inputs;
    cr_assert_lt(i, PASS_CASE_INPUTS);
    p->input[i] = (mc_nd){.kind = MC_ND_TENSOR};
    cr_assert_eq(mc_nd_set(&p->input[i], dtype, ndim, size, &p->err), MC_OK);
    p->input[i].data = numbers(p, dtype, p->input[i].count, (unsigned)i + 1);
    mc_nd_round(&p->input[i]);
    return mc_graph_add_input(p->before, name, dtype, ndim, dim);
}

mc_id pass_number(pass_case *p, int ndim, float value)
{
    const int64_t ones[MC_MAX_DIMS] = {1, 1, 1, 1, 1, 1, 1, 1};
    return mc_graph_const_f32(p->before, "", ndim, ones, &value);
}

mc_id pass_ramp(pass_case *p, mc_dtype dtype, int ndim, const int64_t *dim)
{
    mc_arena *mem = p->before->mem;
    mc_tensor *t = MC_NEW(mem, mc_tensor, 1);
    cr_assert_not_null(t);
    *t = (mc_tensor){.name = "ramp", .dtype = dtype, .ndim = ndim, .count = 1};
    for (int i = 0; i < ndim; i++) {
        t->dim[i] = (uint64_t)dim[i];
        t->count *= t->dim[i];
    }
    t->bytes = t->count * mc_dtype_about(dtype)->bits / 8;
    unsigned char *data = mc_alloc(mem, t->bytes + 1, 1);
    cr_assert_not_null(data);
    float *x = ramp(p, t->count, (unsigned)p->before->values);
    if (dtype == MC_F64)
        for (size_t i = 0; i < t->count; i++) {
            const double wide = (double)x[i];
            memcpy(data + i * sizeof wide, &wide, sizeof wide);
        }
    else if (dtype == MC_I32)
        for (size_t i = 0; i < t->count; i++) {
            const int32_t whole = (int32_t)(8.0f * x[i]);
            memcpy(data + i * sizeof whole, &whole, sizeof whole);
        }
    else
        mc_from_f32(dtype, x, data, t->count);
    t->data = data;
    return mc_graph_add_constant(p->before, t);
}

mc_id pass_ints(pass_case *p, size_t n, const int64_t *value)
{
    const int64_t dim = (int64_t)n;
    return mc_graph_const_i64(p->before, "", 1, &dim, value);
}

mc_id pass_op_of(pass_case *p, const char *op, int version, const mc_id *in, size_t ins)
{
    const char *name = mc_format(p->before->mem, "%s_%zu", op, p->before->nodes);
    const mc_id out = mc_graph_apply(p->before, "", op, version, in, ins, name);
    cr_assert_neq(out, MC_NONE);
    return out;
}

mc_id pass_op(pass_case *p, const char *op, int version, mc_id a, mc_id b)
{
    return pass_op_of(p, op, version, (mc_id[]){a, b}, b == MC_NONE ? 1 : 2);
}

void pass_out(pass_case *p, mc_id value)
{
    cr_assert(mc_graph_add_output(p->before, value));
}

/* ---- goldens ---- */

static void take_arrays(pass_case *p)
{
    for (size_t i = 0; i < p->npz.arrays; i++) {
        const mc_array *a = &p->npz.array[i];
        void *data = mc_alloc(&p->region.arena, a->bytes + 1, 1);
        cr_assert_not_null(data);
        mc_array_read(a, 0, a->count, data);
        if (strcmp(a->name, "y") == 0) {
            p->y = data;
            p->y_count = a->count;
            continue;
        }
        for (size_t k = 0; k < p->before->inputs; k++) {
            if (strcmp(a->name, p->before->value[p->before->input[k]].name) != 0) continue;
            int64_t dim[MC_MAX_DIMS];
            for (int d = 0; d < a->ndim; d++) dim[d] = (int64_t)a->dim[d];
            cr_assert_eq(mc_nd_set(&p->input[k], a->dtype, a->ndim, dim, &p->err), MC_OK);
            p->input[k].data = data;
        }
    }
}

pass_case pass_golden(const char *name, const char *exporter)
{
    static const char folder[] = MC_SOURCE_DIR "/tests/golden/passes";
    pass_case p = {.err = {.status = MC_OK}};
    char path[TEXT + sizeof folder];
    cr_assert_eq(mc_region_open(&p.region, REGION_BYTES, &p.err), MC_OK, "%s", p.err.text);
    snprintf(path, sizeof path, "%s/%s_%s.onnx", folder, name, exporter);
    cr_assert_eq(mc_model_open(path, NULL, &p.model, &p.err), MC_OK, "%s", p.err.text);
    p.before = p.model.graph;
    snprintf(path, sizeof path, "%s/%s.npz", folder, name);
    cr_assert_eq(mc_map_open(path, 0, &p.arrays, &p.err), MC_OK, "%s", p.err.text);
    const mc_npz_source source = {.bytes = p.arrays.data, .n = p.arrays.size, .name = path};
    cr_assert_eq(mc_npz_read(&source, &p.npz, &p.err), MC_OK, "%s", p.err.text);
    take_arrays(&p);
    pass_prepare(&p);
    return p;
}

/* ---- looking ---- */

void pass_prepare_without(pass_case *p, const char *const *skip)
{
    cr_assert_eq(mc_graph_check(p->before, "before", &p->err), MC_OK, "%s", p->err.text);
    mc_arena *mem = MC_NEW(&p->region.arena, mc_arena, 1);
    cr_assert_not_null(mem);
    *mem = p->region.arena;
    p->region.arena.at = p->region.arena.end;
    cr_assert_eq(mc_graph_prepare(p->before, skip, mem, &p->after, &p->err), MC_OK, "%s",
                 p->err.text);
}

void pass_prepare(pass_case *p)
{
    pass_prepare_without(p, NULL);
}

size_t pass_count(const pass_case *p, const char *op)
{
    size_t n = 0;
    for (size_t i = 0; i < p->after->nodes; i++) n += strcmp(p->after->node[i].op, op) == 0;
    return n;
}

const mc_node *pass_find(const pass_case *p, const char *op)
{
    for (size_t i = 0; i < p->after->nodes; i++)
        if (strcmp(p->after->node[i].op, op) == 0) return &p->after->node[i];
    cr_assert_fail("no %s", op);
    return NULL;
}

static mc_run *run_of(pass_case *p, const mc_graph *g, mc_exec **exec)
{
    mc_run *run;
    const mc_exec_options options = {.name = "case", .cache_bytes = UINT64_MAX};
    const mc_nd *in[PASS_CASE_INPUTS];
    for (size_t i = 0; i < PASS_CASE_INPUTS; i++) in[i] = &p->input[i];
    cr_assert_eq(mc_exec_open(g, &options, exec, &p->err), MC_OK, "%s", p->err.text);
    cr_assert_eq(mc_run_open(*exec, (uint64_t)1 << 30, &run, &p->err), MC_OK, "%s", p->err.text);
    cr_assert_eq(mc_run_all(run, in, g->inputs, &p->err), MC_OK, "%s", p->err.text);
    return run;
}

static bool close_to(double got, double want, double tolerance)
{
    return isnan(want) ? isnan(got) : fabs(got - want) <= tolerance * fmax(1.0, fabs(want));
}

static void compare(const pass_case *p, const mc_nd *got, const mc_nd *want, double tolerance)
{
    cr_assert_not_null(got);
    cr_assert_not_null(want);
    cr_assert_eq(got->dtype, want->dtype);
    cr_assert(mc_nd_same_shape(got, want));
    for (size_t i = 0; i < want->count; i++)
        cr_assert(close_to(mc_nd_real(got, i), mc_nd_real(want, i), tolerance),
                  "element %zu is %.9g, was %.9g", i, mc_nd_real(got, i), mc_nd_real(want, i));
    if (!p->y) return;
    cr_assert_eq(got->count, p->y_count);
    for (size_t i = 0; i < p->y_count; i++)
        cr_assert(close_to(mc_nd_real(got, i), (double)p->y[i], tolerance),
                  "element %zu is %.9g, must be %.9g", i, mc_nd_real(got, i), (double)p->y[i]);
}

static void same_names(const pass_case *p)
{
    const mc_graph *a = p->before, *b = p->after;
    cr_assert_eq(a->inputs, b->inputs);
    cr_assert_eq(a->outputs, b->outputs);
    for (size_t i = 0; i < a->inputs; i++)
        cr_expect_str_eq(a->value[a->input[i]].name, b->value[b->input[i]].name);
    for (size_t i = 0; i < a->outputs; i++)
        cr_expect_str_eq(a->value[a->output[i]].name, b->value[b->output[i]].name);
    for (size_t i = 0; i < b->nodes; i++)
        cr_expect(b->node[i].origin == MC_NONE || b->node[i].origin < a->nodes);
}

void pass_same(pass_case *p, double tolerance)
{
    same_names(p);
    mc_exec *exec[2];
    mc_run *run[] = {run_of(p, p->before, &exec[0]), run_of(p, p->after, &exec[1])};
    for (size_t i = 0; i < p->before->outputs; i++)
        compare(p, mc_run_value(run[1], p->after->output[i]),
                mc_run_value(run[0], p->before->output[i]), tolerance);
    for (size_t i = 0; i < 2; i++) {
        mc_run_close(run[i]);
        mc_exec_close(exec[i]);
    }
}
