#include "tests/support/site_case.h"

#include "tests/support/draw.h"

#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <string.h>

static float *drawn(site_bench *b, draw_kind kind, uint64_t seed, size_t n)
{
    float *x = MC_NEW_RAW(&b->region.arena, float, n + 1);
    cr_assert_not_null(x);
    draw_weights(kind, seed, x, n);
    return x;
}

static void set_attributes(site_bench *b, const site_case *c)
{
    const size_t axes = (size_t)c->x_dims - 2;
    if (c->trans_b) mc_node_add_int(b->g, "transB", 1);
    if (c->group) mc_node_add_int(b->g, "group", c->group);
    if (c->strides[0]) mc_node_add_ints(b->g, "strides", c->strides, axes);
    if (c->dilations[0]) mc_node_add_ints(b->g, "dilations", c->dilations, axes);
    if (c->pads[0]) mc_node_add_ints(b->g, "pads", c->pads, 2 * axes);
}

site_bench site_open(const site_case *c, const mc_grid *grid, size_t group)
{
    site_bench b = {.act = mc_act_dynamic(8)};
    cr_assert_eq(mc_region_open(&b.region, (size_t)1 << 28, &b.err), MC_OK);
    mc_arena *mem = MC_NEW(&b.region.arena, mc_arena, 1);
    *mem = (mc_arena){b.region.arena.at, b.region.arena.at + (1 << 20)};
    b.region.arena.at = mem->end;
    b.g = mc_graph_new(mem, "site");
    cr_assert_eq(mc_nd_set(&b.x, MC_F32, c->x_dims, c->x, &b.err), MC_OK);
    b.x.data = drawn(&b, DRAW_HEAVY, 1, b.x.count);

    mc_tensor *w = MC_NEW(&b.region.arena, mc_tensor, 1);
    *w = (mc_tensor){.name = "w", .dtype = MC_F32, .ndim = c->w_dims, .count = 1};
    for (int i = 0; i < c->w_dims; i++) w->count *= w->dim[i] = (uint64_t)c->w[i];
    w->bytes = 4 * w->count;
    w->data = (const void *)drawn(&b, DRAW_NORMAL, 2, w->count);
    mc_id in[3] = {mc_graph_add_input(b.g, "x", MC_F32, c->x_dims, c->x),
                   mc_graph_add_constant(b.g, w)};
    if (c->b_dims >= 0)
        in[2] = mc_graph_const_f32(b.g, "b", c->b_dims, c->b, drawn(&b, DRAW_NORMAL, 3, 4096));
    const mc_id y =
        mc_graph_apply(b.g, c->domain, c->op, c->version, in, c->b_dims < 0 ? 2 : 3, "y");
    set_attributes(&b, c);
    mc_graph_add_output(b.g, y);
    cr_assert_eq(mc_graph_check(b.g, "site", &b.err), MC_OK, "%s", b.err.text);
    cr_assert_eq(mc_sites_find(b.g, &b.region.arena, &b.sites, &b.err), MC_OK);
    cr_assert_eq(b.sites.sites, 1);
    cr_assert_eq(b.sites.site[0].transposed, c->transposed);
    b.weights = coded_weights_make(&b.region.arena, w, c->transposed, grid, group);
    return b;
}

const float *site_run(site_bench *b, mc_exec_numerics numerics, const mc_nd *x, size_t *n)
{
    mc_exec *exec;
    mc_run *r;
    const mc_exec_options o = {.name = "site",
                               .weights = &b->weights->weights,
                               .cache_bytes = UINT64_MAX,
                               .numerics = numerics,
                               .activation_bits = 16,
                               .act = &b->act,
                               .sites = &b->sites};
    cr_assert_eq(mc_exec_open(b->g, &o, &exec, &b->err), MC_OK, "%s", b->err.text);
    cr_assert_eq(mc_run_open(exec, (uint64_t)1 << 30, &r, &b->err), MC_OK, "%s", b->err.text);
    cr_assert_eq(mc_run_all(r, &x, 1, &b->err), MC_OK, "%s", b->err.text);
    const mc_nd *y = mc_run_value(r, b->g->output[0]);
    float *copy = MC_NEW_RAW(&b->region.arena, float, y->count + 1);
    cr_assert_not_null(copy);
    memcpy(copy, y->data, y->count * sizeof *copy);
    *n = y->count;
    mc_run_close(r);
    mc_exec_close(exec);
    return copy;
}

/* sum |terms| of each output: the graph over absolute values. */
static const float *bounds_of(site_bench *b, size_t *n)
{
    mc_nd x = b->x;
    mc_act_shape shape;
    float *data = MC_NEW_RAW(&b->region.arena, float, x.count + 1);
    cr_assert_not_null(data);
    memcpy(data, b->x.data, x.count * sizeof *data);
    cr_assert(mc_act_shape_of(b->sites.site[0].kind, &x, &shape));
    mc_act_round(&b->act, &shape, data);
    for (size_t i = 0; i < x.count; i++) data[i] = fabsf(data[i]);
    x.data = data;
    b->weights->bounds = true;
    const float *bound = site_run(b, MC_NUMERICS_FLOAT, &x, n);
    b->weights->bounds = false;
    return bound;
}

/* Both add the same numbers: in floats each of k products is rounded, twice with a weight that was
 * itself, and each of k sums; in integers at most 2k products with scales, and their sums. */
void site_expect_equal(site_bench *opened, const char *op, size_t group, bool integer)
{
    size_t n, m;
    site_bench b = *opened;
    const double k = (double)b.weights->tensor->count / (double)b.weights->spec.rows;
    const float *rounded = site_run(&b, MC_NUMERICS_FAKE_QUANT, &b.x, &n);
    const size_t before = b.weights->asked; /* for the scales that biases are rounded by */
    const float *whole = site_run(&b, MC_NUMERICS_INTEGER, &b.x, &m);
    cr_assert_eq(m, n);
    cr_assert_eq(b.weights->asked > before, integer && n > 0, "%s", op);
    const float *most = bounds_of(&b, &m);
    for (size_t i = 0; i < n; i++) {
        const double bound = integer ? (k + 2) * (double)FLT_EPSILON * (double)most[i] : 0.0;
        const double off = fabs((double)whole[i] - (double)rounded[i]);
        cr_assert(off <= bound, "%s, group %zu, output %zu: %.9g, not %.9g", op, group, i,
                  (double)whole[i], (double)rounded[i]);
    }
    mc_region_close(&b.region);
}

mc_grid site_grid(unsigned bits, mc_offset offset, unsigned sub_bits)
{
    return (mc_grid){.levels = mc_levels_int(bits),
                     .offset = offset,
                     .scale_dtype = MC_F16,
                     .sub_bits = sub_bits,
                     .super = sub_bits ? 8 : 0};
}
