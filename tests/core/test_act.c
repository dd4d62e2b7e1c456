/* Dynamic activations: the rounding itself, and sites in integers against sites that round and
 * compute in floats. */
#include "core/act.h"
#include "tests/support/coded_weights.h"
#include "tests/support/draw.h"

#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <string.h>

/* ---- rounding ---- */

static const unsigned every_width[] = {2, 3, 4, 8};

Test(act, codes_are_those_of_the_definition)
{
    enum { N = 300 };
    float x[N];
    int8_t code[N];
    for (unsigned kind = 0; kind < DRAW_KINDS; kind++)
        for (size_t b = 0; b < sizeof every_width / sizeof every_width[0]; b++) {
            const float limit = (float)((1 << (every_width[b] - 1)) - 1);
            draw_weights((draw_kind)kind, 7, x, N);
            float most = 0;
            for (size_t i = 0; i < N; i++) most = fmaxf(most, fabsf(x[i]));
            const float s = mc_act_codes(every_width[b], x, N, code);
            cr_assert_eq(s, most / limit);
            for (size_t i = 0; i < N; i++) {
                cr_assert_eq((float)code[i], rintf(x[i] / s), "%s", draw_name((draw_kind)kind));
                cr_assert_leq(abs(code[i]), (int)limit);
            }
            float y[N];
            memcpy(y, x, sizeof x);
            mc_act_round(every_width[b], y, 1, N);
            for (size_t i = 0; i < N; i++) cr_assert_eq(y[i], s * (float)code[i]);
        }
}

Test(act, ties_go_to_even)
{
    const float x[] = {127, 0.5f, 1.5f, 2.5f, -0.5f, -1.5f, 126.5f};
    static const int8_t want[] = {127, 0, 2, 2, 0, -2, 126};
    int8_t code[7];
    cr_expect_eq(mc_act_codes(8, x, 7, code), 1.0f);
    cr_expect_arr_eq(code, want, sizeof want);
}

Test(act, rows_of_zeros_and_of_next_to_nothing_become_zeros)
{
    const float rows[][3] = {{0, 0, 0}, {-0.0f, 0, 0}, {0x1p-149f, 0, -0x1p-149f}};
    int8_t code[3];
    for (size_t r = 0; r < 3; r++) {
        cr_expect_eq(mc_act_codes(8, rows[r], 3, code), 0.0f);
        for (size_t i = 0; i < 3; i++) cr_expect_eq(code[i], 0);
    }
    cr_expect_eq(mc_act_codes(8, rows[0], 0, code), 0.0f);
}

/* 0x1p-142 / 127 is below the normal numbers, with a few bits left: codes stay in range. */
Test(act, coarse_scales_keep_codes_in_range)
{
    const float x[] = {0x1.8p-142f, -0x1.8p-142f};
    int8_t code[2];
    cr_expect_gt(mc_act_codes(8, x, 2, code), 0.0f);
    cr_expect_leq(code[0], 127);
    cr_expect_eq(code[0], -code[1]);
}

Test(act, what_is_no_number_spoils_its_row_and_no_other)
{
    const float bad[] = {NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < 3; i++) {
        float x[] = {1, bad[i], 2, 1, 2, 3};
        int8_t code[3] = {1, 1, 1};
        cr_expect(isnan(mc_act_codes(8, x, 3, code)));
        for (size_t k = 0; k < 3; k++) cr_expect_eq(code[k], 0);
        mc_act_round(8, x, 2, 3);
        for (size_t k = 0; k < 3; k++) cr_expect(isnan(x[k]));
        cr_expect_eq(x[5], 3.0f);
    }
}

Test(act, rows_are_tokens_or_samples)
{
    mc_nd x = {.kind = MC_ND_TENSOR};
    mc_err err;
    size_t rows = 0, cols = 0;
    cr_assert_eq(mc_nd_set(&x, MC_F32, 4, (int64_t[]){2, 3, 5, 7}, &err), MC_OK);
    static const struct {
        mc_site_kind kind;
        size_t rows, cols;
    } want[] = {{MC_SITE_LINEAR, 30, 7},
                {MC_SITE_RECURRENT, 30, 7},
                {MC_SITE_CONV, 2, 105},
                {MC_SITE_CONV_TRANSPOSE, 2, 105}};
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        cr_expect(mc_act_rows(want[i].kind, &x, &rows, &cols));
        cr_expect_eq(rows, want[i].rows);
        cr_expect_eq(cols, want[i].cols);
    }
    cr_expect_not(mc_act_rows(MC_SITE_EMBEDDING, &x, &rows, &cols));
    x.dtype = MC_I64;
    cr_expect_not(mc_act_rows(MC_SITE_LINEAR, &x, &rows, &cols));
    x.ndim = 0;
    x.dtype = MC_F32;
    cr_expect_not(mc_act_rows(MC_SITE_LINEAR, &x, &rows, &cols));
}

/* ---- sites in integers ---- */

typedef struct {
    const char *domain, *op;
    int version;
    int x_dims, w_dims, b_dims; /* b_dims -1: no bias */
    int64_t x[5], w[5], b[2];
    bool transposed;
    int64_t trans_b, group, strides[3], dilations[3], pads[6]; /* 0: as they are by default */
} site_case;

typedef struct {
    mc_region region;
    mc_graph *g;
    mc_tensor weight;
    mc_nd x;
    mc_sites sites;
    coded_weights *weights;
    mc_err err;
} bench;

static float *drawn(bench *b, draw_kind kind, uint64_t seed, size_t n)
{
    float *x = MC_NEW_RAW(&b->region.arena, float, n + 1);
    cr_assert_not_null(x);
    draw_weights(kind, seed, x, n);
    return x;
}

static void set_attributes(bench *b, const site_case *c)
{
    const size_t axes = (size_t)c->x_dims - 2;
    if (c->trans_b) mc_node_add_int(b->g, "transB", 1);
    if (c->group) mc_node_add_int(b->g, "group", c->group);
    if (c->strides[0]) mc_node_add_ints(b->g, "strides", c->strides, axes);
    if (c->dilations[0]) mc_node_add_ints(b->g, "dilations", c->dilations, axes);
    if (c->pads[0]) mc_node_add_ints(b->g, "pads", c->pads, 2 * axes);
}

static bench open_bench(const site_case *c, const mc_grid *grid, size_t group)
{
    bench b = {.err = {.status = MC_OK}};
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

/* What the graph gives; outputs are copied. */
static const float *run(bench *b, mc_exec_numerics numerics, const mc_nd *x, size_t *n)
{
    mc_exec *exec;
    mc_run *r;
    const mc_exec_options o = {.name = "site",
                               .weights = &b->weights->weights,
                               .cache_bytes = UINT64_MAX,
                               .numerics = numerics,
                               .activation_bits = 8,
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
static const float *bounds_of(bench *b, size_t *n)
{
    mc_nd x = b->x;
    size_t rows, cols;
    float *data = MC_NEW_RAW(&b->region.arena, float, x.count + 1);
    cr_assert_not_null(data);
    memcpy(data, b->x.data, x.count * sizeof *data);
    cr_assert(mc_act_rows(b->sites.site[0].kind, &x, &rows, &cols));
    mc_act_round(8, data, rows, cols);
    for (size_t i = 0; i < x.count; i++) data[i] = fabsf(data[i]);
    x.data = data;
    b->weights->bounds = true;
    const float *bound = run(b, MC_NUMERICS_FLOAT, &x, n);
    b->weights->bounds = false;
    return bound;
}

/* Both add the same numbers: in floats each of k products is rounded, twice with a weight that was
 * itself, and each of k sums; in integers at most 2k products with scales, and their sums. */
static void expect_equal(const site_case *c, const mc_grid *grid, size_t group, bool integer)
{
    size_t n, m;
    bench b = open_bench(c, grid, group);
    const double k = (double)b.weights->tensor->count / (double)b.weights->spec.rows;
    const float *rounded = run(&b, MC_NUMERICS_FAKE_QUANT, &b.x, &n);
    cr_assert_eq(b.weights->asked, 0);
    const float *whole = run(&b, MC_NUMERICS_INTEGER, &b.x, &m);
    cr_assert_eq(m, n);
    cr_assert_eq(b.weights->asked > 0, integer && n > 0, "%s", c->op);
    const float *most = bounds_of(&b, &m);
    for (size_t i = 0; i < n; i++) {
        const double bound = integer ? (k + 2) * (double)FLT_EPSILON * (double)most[i] : 0.0;
        const double off = fabs((double)whole[i] - (double)rounded[i]);
        cr_assert(off <= bound, "%s, group %zu, output %zu: %.9g, not %.9g", c->op, group, i,
                  (double)whole[i], (double)rounded[i]);
    }
    mc_region_close(&b.region);
}

/* Grids on whole numbers: symmetric, with a zero point, with an offset, two-level. */
static mc_grid grid_of(unsigned bits, mc_offset offset, unsigned sub_bits)
{
    return (mc_grid){.levels = mc_levels_int(bits),
                     .offset = offset,
                     .scale_dtype = MC_F16,
                     .sub_bits = sub_bits,
                     .super = sub_bits ? 8 : 0};
}

static void on_every_grid(const site_case *c, size_t group)
{
    static const unsigned bits[] = {2, 3, 4, 5, 6, 7, 8};
    for (size_t i = 0; i < sizeof bits / sizeof bits[0]; i++)
        for (int offset = MC_OFFSET_NONE; offset <= MC_OFFSET_FREE; offset++) {
            const mc_grid grid = grid_of(bits[i], (mc_offset)offset, 0);
            expect_equal(c, &grid, group, true);
        }
}

static const site_case linear = {MC_DOMAIN, "Linear", 1, 2, 2, 1, {9, 64}, {70, 64}, .b = {70}};
static const site_case matmul = {.domain = "",
                                 .op = "MatMul",
                                 .version = 13,
                                 .x_dims = 2,
                                 .w_dims = 2,
                                 .b_dims = -1,
                                 .x = {9, 64},
                                 .w = {64, 70},
                                 .transposed = true};

Test(act_integer, linear_equals_rounding_on_every_grid_and_group)
{
    static const size_t group[] = {32, SIZE_MAX, 0};
    for (size_t i = 0; i < 3; i++) on_every_grid(&linear, group[i]);
}

Test(act_integer, transposed_weights_equal_rounding)
{
    static const size_t group[] = {32, SIZE_MAX, 0};
    for (size_t i = 0; i < 3; i++) on_every_grid(&matmul, group[i]);
}

Test(act_integer, two_level_scales_equal_rounding)
{
    site_case c = linear;
    c.x[1] = c.w[1] = 256;
    for (int offset = 0; offset < 2; offset++) {
        const mc_grid grid = grid_of(4, offset ? MC_OFFSET_FREE : MC_OFFSET_NONE, 6);
        expect_equal(&c, &grid, 32, true);
    }
}

Test(act_integer, rows_of_any_shape)
{
    static const site_case cases[] = {
        {MC_DOMAIN, "Linear", 1, 3, 2, -1, {2, 3, 64}, {5, 64}, .b = {0}},
        {MC_DOMAIN, "Linear", 1, 1, 2, 1, {64}, {5, 64}, .b = {5}},
        {"", "MatMul", 13, 4, 2, -1, {2, 2, 3, 64}, {64, 5}, .b = {0}, .transposed = true},
        {"", "MatMul", 13, 2, 2, -1, {1100, 64}, {64, 130}, .b = {0}, .transposed = true},
        {"", "MatMul", 13, 2, 2, -1, {3, 64}, {64, 64}, .b = {0}, .transposed = true},
        {"", "Gemm", 13, 2, 2, -1, {3, 64}, {64, 5}, .b = {0}, .transposed = true},
        {"", "Gemm", 13, 2, 2, 1, {3, 64}, {5, 64}, .b = {5}, .trans_b = 1},
        {"", "Gemm", 13, 2, 2, 2, {3, 64}, {5, 64}, .b = {3, 5}, .trans_b = 1},
        {"", "Gemm", 13, 2, 2, 2, {3, 64}, {5, 64}, .b = {3, 1}, .trans_b = 1},
        {"", "Gemm", 13, 2, 2, 2, {3, 64}, {5, 64}, .b = {1, 5}, .trans_b = 1},
        {"", "Gemm", 13, 2, 2, 1, {3, 64}, {5, 64}, .b = {1}, .trans_b = 1},
        {"", "Gemm", 13, 2, 2, 0, {3, 64}, {5, 64}, .b = {0}, .trans_b = 1},
        {"", "Gemm", 13, 2, 2, 2, {3, 64}, {1, 64}, .b = {3, 1}, .trans_b = 1},
        {MC_DOMAIN, "Linear", 1, 2, 2, -1, {0, 64}, {5, 64}, .b = {0}},
    };
    const mc_grid grid = grid_of(4, MC_OFFSET_ZERO, 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        expect_equal(&cases[i], &grid, 32, true);
        expect_equal(&cases[i], &grid, 0, true);
    }
}

Test(act_integer, convolutions_equal_rounding)
{
    static const site_case cases[] = {
        {"", "Conv", 11, 4, 4, 1, {2, 4, 6, 7}, {6, 4, 3, 2}, .b = {6}},
        {"", "Conv", 11, 4, 4, -1, {2, 4, 6, 7}, {6, 4, 1, 1}, .b = {0}},
        {"", "Conv", 11, 4, 4, 1, {1, 4, 7, 8}, {6, 2, 3, 3}, .b = {6}, .group = 2},
        {"", "Conv", 11, 4, 4, 1, {2, 6, 7, 8}, {6, 1, 3, 3}, .b = {6}, .group = 6},
        {"",
         "Conv",
         11,
         4,
         4,
         1,
         {1, 6, 9, 8},
         {12, 1, 3, 3},
         .b = {12},
         .group = 6,
         .strides = {2, 1}},
        {"",
         "Conv",
         11,
         4,
         4,
         1,
         {1, 3, 9, 8},
         {130, 3, 3, 3},
         .b = {130},
         .strides = {2, 3},
         .dilations = {2, 1},
         .pads = {1, 2, 3, 4}},
        {"", "Conv", 11, 4, 4, 1, {1, 2, 40, 40}, {3, 2, 3, 3}, .b = {3}, .pads = {1, 1, 1, 1}},
        {"", "Conv", 11, 3, 3, 1, {2, 4, 9}, {6, 4, 3}, .b = {6}, .strides = {2}, .pads = {1, 2}},
        {"",
         "Conv",
         11,
         5,
         5,
         1,
         {1, 2, 4, 5, 4},
         {3, 2, 2, 3, 2},
         .b = {3},
         .pads = {1, 0, 1, 0, 1, 1}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        on_every_grid(&cases[i], SIZE_MAX);
        on_every_grid(&cases[i], 0);
    }
}

/* A group of 40000, beyond what one float product adds up exactly, and what 32 bits would. */
Test(act_integer, long_groups_equal_rounding)
{
    static const site_case c = {MC_DOMAIN, "Linear", 1, 2, 2, -1, {2, 40000}, {3, 40000}, .b = {0}};
    for (int offset = MC_OFFSET_NONE; offset <= MC_OFFSET_FREE; offset++) {
        const mc_grid grid = grid_of(8, (mc_offset)offset, 0);
        expect_equal(&c, &grid, SIZE_MAX, true);
        expect_equal(&c, &grid, 0, true);
    }
}

/* Every product is 127 * 255, all of one sign but for one row: the sum is exact, so the output is
 * the product of three numbers rounded once each. */
Test(act_integer, sums_are_exact_at_the_extremes)
{
    enum { K = 32768 };
    static const site_case c = {MC_DOMAIN, "Linear", 1, 2, 2, -1, {2, K}, {1, K}, .b = {0}};
    const mc_grid grid = grid_of(8, MC_OFFSET_ZERO, 0);
    bench b = open_bench(&c, &grid, SIZE_MAX);
    float *x = b.x.data;
    for (size_t i = 0; i < K; i++) x[i] = x[K + i] = 127.0f;
    x[K] = -127.0f;
    memset(b.weights->q.code, 255, K);
    b.weights->q.params[0] = (mc_params){.scale = 1.0f, .zero = 0};
    size_t n;
    const float *y = run(&b, MC_NUMERICS_INTEGER, &b.x, &n);
    cr_expect_eq((double)y[0], (double)(float)(127.0 * 255.0 * K));
    cr_expect_eq((double)y[1], (double)(float)(127.0 * 255.0 * (K - 2)));
    b.weights->q.code[0] = 254; /* one less in two billion, or in none */
    for (size_t i = 1; i < K; i++) b.weights->q.code[i] = i % 2 ? 255 : 0;
    for (size_t i = 0; i < K; i++) x[i] = i % 4 < 2 ? 127.0f : -127.0f;
    y = run(&b, MC_NUMERICS_INTEGER, &b.x, &n);
    cr_expect_eq(y[0], 127.0f * 254.0f);
    mc_region_close(&b.region);
}

Test(act_integer, rows_of_nan_are_nan_both_ways)
{
    size_t n;
    const mc_grid grid = grid_of(4, MC_OFFSET_NONE, 0);
    bench b = open_bench(&linear, &grid, 32);
    ((float *)b.x.data)[64 + 3] = NAN;
    const mc_exec_numerics ways[] = {MC_NUMERICS_FAKE_QUANT, MC_NUMERICS_INTEGER};
    for (size_t i = 0; i < 2; i++) {
        const float *y = run(&b, ways[i], &b.x, &n);
        for (size_t o = 0; o < n; o++) cr_assert_eq(isnan(y[o]) != 0, o / 70 == 1);
    }
    mc_region_close(&b.region);
}

Test(act_integer, tables_and_what_is_no_plain_product_are_computed_in_floats)
{
    const mc_grid table = {.levels = mc_levels_find("nf4"), .scale_dtype = MC_F16};
    cr_assert_not_null(table.levels);
    expect_equal(&linear, &table, 32, false);
    const mc_grid grid = grid_of(4, MC_OFFSET_NONE, 0);
    static const site_case stack = {"", "MatMul",   13,         3,        3,
                                    -1, {2, 3, 64}, {2, 64, 5}, .b = {0}, .transposed = true};
    expect_equal(&stack, &grid, 32, false);
    static const site_case up = {"", "ConvTranspose", 11,           4,       4,
                                 1,  {1, 4, 3, 3},    {4, 2, 2, 2}, .b = {2}};
    expect_equal(&up, &grid, SIZE_MAX, false);
}

/* A square weight that was coded along its other side. */
Test(act_integer, codes_along_the_other_side_are_not_used)
{
    site_case c = linear;
    c.w[0] = c.b[0] = 64;
    const mc_grid grid = grid_of(4, MC_OFFSET_NONE, 0);
    bench b = open_bench(&c, &grid, 32);
    b.weights->spec.transposed = true;
    size_t n;
    (void)run(&b, MC_NUMERICS_INTEGER, &b.x, &n);
    cr_expect_eq(b.weights->asked, 0);
    mc_region_close(&b.region);
}
