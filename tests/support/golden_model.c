#include "tests/support/golden_model.h"

#include "core/exec.h"
#include "core/passes.h"
#include "formats/npy.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

const char *golden_path(const char *folder, const char *file, char path[512])
{
    const char *slash = file[0] ? "/" : "";
    snprintf(path, 512, "%s/tests/golden/hf/%s%s%s", MC_SOURCE_DIR, folder, slash, file);
    return path;
}

static void with_array(const char *path, void (*use)(const mc_array *a, void *to), void *to)
{
    mc_err err = {0};
    mc_map map = {0};
    mc_npz npz = {0};
    cr_assert_eq(mc_map_open(path, 0, &map, &err), MC_OK, "%s", err.text);
    cr_assert_eq(mc_npy_read(map.data, map.size, path, &npz, &err), MC_OK, "%s", err.text);
    use(&npz.array[0], to);
    mc_npz_close(&npz);
    mc_map_close(&map);
}

typedef struct {
    void *to;
    uint64_t count;
} numbers;

static void copy(const mc_array *a, void *to)
{
    const numbers *n = to;
    cr_assert_geq(a->count, n->count);
    mc_array_read(a, 0, n->count, n->to);
}

void golden_read(const char *path, void *out, uint64_t count)
{
    with_array(path, copy, &(numbers){out, count});
}

static void describe(const mc_array *a, void *to)
{
    mc_nd *t = to;
    mc_err err = {0};
    int64_t dim[MC_MAX_DIMS];
    void *data = t->data;
    cr_assert_leq(a->count, (uint64_t)GOLDEN_ROOM);
    for (int i = 0; i < a->ndim; i++) dim[i] = (int64_t)a->dim[i];
    cr_assert_eq(mc_nd_set(t, a->dtype, a->ndim, dim, &err), MC_OK, "%s", err.text);
    t->data = data;
    mc_array_read(a, 0, a->count, data);
}

mc_nd golden_tensor(const char *path, void *data)
{
    mc_nd t = {.data = data};
    with_array(path, describe, &t);
    return t;
}

mc_model golden_open(const char *path)
{
    mc_err err = {0};
    mc_model m = {0};
    cr_assert_eq(mc_model_open(path, NULL, &m, &err), MC_OK, "%s", err.text);
    cr_assert_not_null(m.graph, "%s: %s", path, m.no_graph ? m.no_graph : "no reason");
    return m;
}

void golden_run(const mc_graph *graph, const mc_nd *in, size_t ins, const golden_out *out,
                size_t outs)
{
    enum { MOST = 4 };
    const mc_exec_options options = {.name = "golden", .cache_bytes = UINT64_MAX};
    const mc_nd *each[MOST];
    mc_err err = {0};
    mc_exec *exec = NULL;
    mc_run *pass = NULL;
    cr_assert_leq(ins, (size_t)MOST);
    for (size_t i = 0; i < ins; i++) each[i] = &in[i];
    cr_assert_eq(mc_exec_open(graph, &options, &exec, &err), MC_OK, "%s", err.text);
    cr_assert_eq(mc_run_open(exec, 0, &pass, &err), MC_OK, "%s", err.text);
    cr_assert_eq(mc_run_all(pass, each, ins, &err), MC_OK, "%s", err.text);
    for (size_t i = 0; i < outs; i++) {
        const mc_nd *y = mc_run_value(pass, graph->output[out[i].which]);
        cr_assert_eq(y->count, out[i].count);
        cr_assert_eq(y->dtype, MC_F32);
        memcpy(out[i].to, y->data, out[i].count * sizeof *out[i].to);
    }
    mc_run_close(pass);
    mc_exec_close(exec);
}

void golden_run_prepared(const mc_graph *graph, const mc_nd *in, size_t ins, const golden_out *out,
                         size_t outs)
{
    mc_err err = {0};
    mc_region region = {0};
    mc_graph *prepared = NULL;
    cr_assert_eq(mc_region_open(&region, mc_graph_prepare_memory(graph), &err), MC_OK);
    cr_assert_eq(mc_graph_prepare(graph, NULL, &region.arena, &prepared, &err), MC_OK, "%s",
                 err.text);
    golden_run(prepared, in, ins, out, outs);
    mc_region_close(&region);
}

double golden_distance(const float *a, const float *b, size_t n)
{
    double off = 0, most = 0;
    for (size_t i = 0; i < n; i++) {
        off = fmax(off, fabs((double)a[i] - (double)b[i]));
        most = fmax(most, fabs((double)b[i]));
        if (isnan(a[i])) return (double)INFINITY;
    }
    return off / most;
}
