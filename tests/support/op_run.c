#include "tests/support/op_run.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

enum { REGION_BYTES = 1 << 24 };

mc_nd op_nd(mc_dtype dtype, int ndim, const int64_t *dim, const void *data)
{
    mc_nd t = {.data = (void *)(uintptr_t)data};
    mc_err err = {0};
    cr_assert_eq(mc_nd_set(&t, dtype, ndim, dim, &err), MC_OK, "%s", err.text);
    static const char none[64];
    if (!t.data) t.data = (void *)(uintptr_t)none; /* of tensors without elements */
    return t;
}

mc_nd op_f32(int ndim, const int64_t *dim, const float *data)
{
    return op_nd(MC_F32, ndim, dim, data);
}

mc_nd op_i64(int ndim, const int64_t *dim, const int64_t *data)
{
    return op_nd(MC_I64, ndim, dim, data);
}

op_case op_begin_in(const char *domain, const char *name, int version)
{
    op_case c = {.node = {.name = "tested",
                          .op = name,
                          .domain = domain,
                          .version = version,
                          .outs = 1,
                          .origin = MC_NONE}};
    mc_err err = {0};
    cr_assert_eq(mc_region_open(&c.region, REGION_BYTES, &err), MC_OK, "%s", err.text);
    mc_arena *mem = MC_NEW(&c.region.arena, mc_arena, 1); /* op_case moves, the arena must not */
    *mem = c.region.arena;
    c.graph = mc_graph_new(mem, "one node");
    cr_assert_not_null(c.graph);
    return c;
}

op_case op_begin(const char *name, int version)
{
    return op_begin_in("", name, version);
}

void op_outputs(op_case *c, size_t outs)
{
    cr_assert_leq(outs, OP_CASE_OUTPUTS);
    c->node.outs = outs;
}

static const char *input_name(op_case *c)
{
    return mc_format(c->graph->mem, "in%zu", c->node.ins);
}

void op_in(op_case *c, mc_nd value)
{
    cr_assert_lt(c->node.ins, OP_CASE_INPUTS);
    const mc_id id =
        mc_graph_add_input(c->graph, input_name(c), value.dtype, value.ndim, value.dim);
    c->in[c->node.ins++] = id;
    c->value[c->values++] = value;
}

/* As a file would store it. */
static const unsigned char *stored(op_case *c, const mc_nd *value, uint64_t *bytes)
{
    const unsigned bits = mc_dtype_about(value->dtype)->bits;
    *bytes = (value->count * bits + 7) / 8;
    unsigned char *data = mc_alloc(c->graph->mem, (size_t)*bytes + 1, 1);
    cr_assert_not_null(data);
    if (mc_nd_is_small_float(value->dtype)) {
        mc_from_f32(value->dtype, value->data, data, value->count);
    } else if (bits >= 8) {
        memcpy(data, value->data, (size_t)*bytes);
    } else {
        const unsigned char *code = value->data;
        for (size_t i = 0; i < value->count; i++)
            data[i * bits / 8] |= (unsigned char)((code[i] & ((1u << bits) - 1)) << i * bits % 8);
    }
    return data;
}

void op_const(op_case *c, mc_nd value)
{
    cr_assert_lt(c->node.ins, OP_CASE_INPUTS);
    mc_tensor *t = MC_NEW(c->graph->mem, mc_tensor, 1);
    cr_assert_not_null(t);
    *t = (mc_tensor){
        .name = input_name(c), .dtype = value.dtype, .ndim = value.ndim, .count = value.count};
    for (int i = 0; i < value.ndim; i++) t->dim[i] = (uint64_t)value.dim[i];
    t->data = stored(c, &value, &t->bytes);
    c->in[c->node.ins++] = mc_graph_add_constant(c->graph, t);
}

void op_no_input(op_case *c)
{
    cr_assert_lt(c->node.ins, OP_CASE_INPUTS);
    c->in[c->node.ins++] = MC_NONE;
}

/* ---- attributes ---- */

static mc_attr *new_attr(op_case *c, const char *name, mc_attr_kind kind, size_t n)
{
    cr_assert_lt(c->node.attrs, sizeof c->attr / sizeof *c->attr);
    mc_attr *a = &c->attr[c->node.attrs++];
    *a = (mc_attr){.name = name, .kind = kind, .count = n};
    return a;
}

static void *copy(op_case *c, const void *from, size_t n, size_t size)
{
    void *to = mc_alloc(c->graph->mem, n > 0 ? n : 1, size);
    cr_assert_not_null(to);
    if (n > 0) memcpy(to, from, n * size);
    return to;
}

void op_ints(op_case *c, const char *name, size_t n, const int64_t *value)
{
    new_attr(c, name, MC_ATTR_INTS, n)->i = copy(c, value, n, sizeof *value);
}

void op_int(op_case *c, const char *name, int64_t value)
{
    new_attr(c, name, MC_ATTR_INT, 1)->i = copy(c, &value, 1, sizeof value);
}

void op_floats(op_case *c, const char *name, size_t n, const float *value)
{
    new_attr(c, name, MC_ATTR_FLOATS, n)->f = copy(c, value, n, sizeof *value);
}

void op_float(op_case *c, const char *name, float value)
{
    new_attr(c, name, MC_ATTR_FLOAT, 1)->f = copy(c, &value, 1, sizeof value);
}

static void set_texts(op_case *c, mc_attr *a, size_t n, const char *const *value)
{
    a->s = copy(c, value, n, sizeof *value);
    size_t *length = mc_alloc(c->graph->mem, n + 1, sizeof *length);
    cr_assert_not_null(length);
    for (size_t i = 0; i < n; i++) length[i] = strlen(value[i]);
    a->s_bytes = length;
}

void op_texts(op_case *c, const char *name, size_t n, const char *const *value)
{
    set_texts(c, new_attr(c, name, MC_ATTR_STRINGS, n), n, value);
}

void op_text(op_case *c, const char *name, const char *value)
{
    set_texts(c, new_attr(c, name, MC_ATTR_STRING, 1), 1, &value);
}

/* ---- running ---- */

static mc_status open_case(op_case *c)
{
    mc_graph *g = c->graph;
    for (size_t i = 0; i < c->node.outs; i++) {
        c->out[i] = mc_graph_add_value(g, mc_format(g->mem, "out%zu", i));
        cr_assert(mc_graph_add_output(g, c->out[i]));
    }
    c->node.in = c->in;
    c->node.out = c->out;
    c->node.attr = c->attr;
    cr_assert_not_null(mc_graph_add_node(g, &c->node));
    MC_TRY(mc_graph_check(g, "test", &c->err));
    const mc_exec_options options = {.name = "test", .cache_bytes = UINT64_MAX};
    MC_TRY(mc_exec_open(g, &options, &c->exec, &c->err));
    return mc_run_open(c->exec, (uint64_t)1 << 32, &c->run, &c->err);
}

mc_status op_try(op_case *c)
{
    if (!c->run) MC_TRY(open_case(c));
    const mc_nd *in[OP_CASE_INPUTS];
    for (size_t i = 0; i < c->values; i++) in[i] = &c->value[i];
    return mc_run_all(c->run, in, c->values, &c->err);
}

/* A sum over the bits, to compare runs by. */
static uint64_t mix(const op_case *c)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < c->node.outs; i++) {
        const mc_nd *t = op_out(c, i);
        if (t->kind != MC_ND_TENSOR || t->dtype == MC_STRING) continue;
        const unsigned char *byte = t->data;
        for (size_t k = 0; k < t->count * mc_nd_width(t->dtype); k++) sum = sum * 31 + byte[k];
    }
    return sum;
}

void op_run(op_case *c)
{
    cr_assert_eq(op_try(c), MC_OK, "%s", c->err.text);
    const uint64_t first = mix(c);
    cr_assert_eq(op_try(c), MC_OK, "%s", c->err.text);
    cr_assert_eq(mix(c), first, "%s gives other numbers the second time", c->node.op);
}

const mc_nd *op_out(const op_case *c, size_t i)
{
    cr_assert_lt(i, c->node.outs);
    const mc_nd *t = mc_run_value(c->run, c->out[i]);
    cr_assert_not_null(t, "output %zu is not there", i);
    return t;
}

/* ---- comparing ---- */

static void expect_shape(const op_case *c, const mc_nd *t, int ndim, const int64_t *dim)
{
    mc_nd want = {0};
    mc_err err = {0};
    cr_assert_eq(mc_nd_set(&want, t->dtype, ndim, dim, &err), MC_OK, "%s", err.text);
    char got_text[MC_ND_TEXT], want_text[MC_ND_TEXT];
    cr_assert(t->kind == MC_ND_TENSOR && mc_nd_same_shape(t, &want), "%s gives %s, not %s",
              c->node.op, mc_nd_show(t, got_text), mc_nd_show(&want, want_text));
}

void op_expect_f32(const op_case *c, size_t i, int ndim, const int64_t *dim, const float *want,
                   double tolerance)
{
    const mc_nd *t = op_out(c, i);
    expect_shape(c, t, ndim, dim);
    cr_assert_eq(t->dtype, MC_F32, "%s gives %s", c->node.op, mc_dtype_about(t->dtype)->name);
    const float *got = t->data;
    for (size_t k = 0; k < t->count; k++) {
        const double g = (double)got[k], w = (double)want[k];
        const bool fits =
            g == w || (isnan(g) && isnan(w)) || fabs(g - w) <= tolerance * fmax(1.0, fabs(w));
        cr_expect(fits, "%s: output %zu [%zu] is %.9g, not %.9g", c->node.op, i, k, g, w);
    }
}

void op_expect_i64(const op_case *c, size_t i, int ndim, const int64_t *dim, const int64_t *want)
{
    const mc_nd *t = op_out(c, i);
    expect_shape(c, t, ndim, dim);
    cr_assert(!mc_dtype_about(t->dtype)->is_float, "%s gives %s", c->node.op,
              mc_dtype_about(t->dtype)->name);
    for (size_t k = 0; k < t->count; k++)
        cr_expect_eq(mc_nd_int(t, k), want[k], "%s: output %zu [%zu] is %lld, not %lld", c->node.op,
                     i, k, (long long)mc_nd_int(t, k), (long long)want[k]);
}

void op_expect_same(const op_case *c, size_t i, const mc_nd *want)
{
    const mc_nd *t = op_out(c, i);
    cr_assert_eq(t->dtype, want->dtype, "%s gives %s", c->node.op, mc_dtype_about(t->dtype)->name);
    expect_shape(c, t, want->ndim, want->dim);
    cr_expect_eq(memcmp(t->data, want->data, t->count * mc_nd_width(t->dtype)), 0,
                 "%s: output %zu has other bits", c->node.op, i);
}

void op_end(op_case *c)
{
    mc_run_close(c->run);
    mc_exec_close(c->exec);
    mc_region_close(&c->region);
}
