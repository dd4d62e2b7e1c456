/* Dynamic activations: the rounding itself, and sites in integers against sites that round and
 * compute in floats. */
#include "tests/support/draw.h"
#include "tests/support/site_case.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

/* ---- rounding ---- */

static const unsigned every_width[] = {2, 3, 4, 8};

static float codes(unsigned bits, const float *x, size_t n, int8_t *code)
{
    const mc_act_spec act = mc_act_dynamic(bits);
    const mc_act_grid g = mc_act_codes(&act, x, n, code);
    cr_assert_eq(g.zero, 0);
    return g.scale;
}

static void round_rows(unsigned bits, float *x, size_t rows, size_t cols)
{
    const mc_act_spec act = mc_act_dynamic(bits);
    mc_act_round(&act, &(mc_act_shape){rows, cols, 1}, x);
}

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
            const float s = codes(every_width[b], x, N, code);
            cr_assert_eq(s, most / limit);
            for (size_t i = 0; i < N; i++) {
                cr_assert_eq((float)code[i], rintf(x[i] / s), "%s", draw_name((draw_kind)kind));
                cr_assert_leq(abs(code[i]), (int)limit);
            }
            float y[N];
            memcpy(y, x, sizeof x);
            round_rows(every_width[b], y, 1, N);
            for (size_t i = 0; i < N; i++) cr_assert_eq(y[i], s * (float)code[i]);
        }
}

Test(act, ties_go_to_even)
{
    const float x[] = {127, 0.5f, 1.5f, 2.5f, -0.5f, -1.5f, 126.5f};
    static const int8_t want[] = {127, 0, 2, 2, 0, -2, 126};
    int8_t code[7];
    cr_expect_eq(codes(8, x, 7, code), 1.0f);
    cr_expect_arr_eq(code, want, sizeof want);
}

Test(act, rows_of_zeros_and_of_next_to_nothing_become_zeros)
{
    const float rows[][3] = {{0, 0, 0}, {-0.0f, 0, 0}, {0x1p-149f, 0, -0x1p-149f}};
    int8_t code[3];
    for (size_t r = 0; r < 3; r++) {
        cr_expect_eq(codes(8, rows[r], 3, code), 0.0f);
        for (size_t i = 0; i < 3; i++) cr_expect_eq(code[i], 0);
    }
    cr_expect_eq(codes(8, rows[0], 0, code), 0.0f);
}

/* 0x1p-142 / 127 is below the normal numbers, with a few bits left: codes stay in range. */
Test(act, coarse_scales_keep_codes_in_range)
{
    const float x[] = {0x1.8p-142f, -0x1.8p-142f};
    int8_t code[2];
    cr_expect_gt(codes(8, x, 2, code), 0.0f);
    cr_expect_leq(code[0], 127);
    cr_expect_eq(code[0], -code[1]);
}

Test(act, what_is_no_number_spoils_its_row_and_no_other)
{
    const float bad[] = {NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < 3; i++) {
        float x[] = {1, bad[i], 2, 1, 2, 3};
        int8_t code[3] = {1, 1, 1};
        cr_expect(isnan(codes(8, x, 3, code)));
        for (size_t k = 0; k < 3; k++) cr_expect_eq(code[k], 0);
        round_rows(8, x, 2, 3);
        for (size_t k = 0; k < 3; k++) cr_expect(isnan(x[k]));
        cr_expect_eq(x[5], 3.0f);
    }
}

Test(act, rows_are_tokens_or_samples)
{
    mc_nd x = {.kind = MC_ND_TENSOR};
    mc_err err;
    mc_act_shape s;
    cr_assert_eq(mc_nd_set(&x, MC_F32, 4, (int64_t[]){2, 3, 5, 7}, &err), MC_OK);
    static const struct {
        mc_site_kind kind;
        size_t rows, channels, inner;
    } want[] = {{MC_SITE_LINEAR, 30, 7, 1},
                {MC_SITE_RECURRENT, 30, 7, 1},
                {MC_SITE_CONV, 2, 3, 35},
                {MC_SITE_CONV_TRANSPOSE, 2, 3, 35}};
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        cr_expect(mc_act_shape_of(want[i].kind, &x, &s));
        cr_expect_eq(s.rows, want[i].rows);
        cr_expect_eq(s.channels, want[i].channels);
        cr_expect_eq(s.inner, want[i].inner);
    }
    cr_expect_not(mc_act_shape_of(MC_SITE_EMBEDDING, &x, &s));
    x.dtype = MC_I64;
    cr_expect_not(mc_act_shape_of(MC_SITE_LINEAR, &x, &s));
    x.ndim = 0;
    x.dtype = MC_F32;
    cr_expect_not(mc_act_shape_of(MC_SITE_LINEAR, &x, &s));
}

/* ---- sites in integers ---- */

static void expect_equal(const site_case *c, const mc_grid *grid, size_t group, bool integer)
{
    site_bench b = site_open(c, grid, group);
    site_expect_equal(&b, c->op, group, integer);
}

static void on_every_grid(const site_case *c, size_t group)
{
    static const unsigned bits[] = {2, 3, 4, 5, 6, 7, 8};
    for (size_t i = 0; i < sizeof bits / sizeof bits[0]; i++)
        for (int offset = MC_OFFSET_NONE; offset <= MC_OFFSET_FREE; offset++) {
            const mc_grid grid = site_grid(bits[i], (mc_offset)offset, 0);
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
        const mc_grid grid = site_grid(4, offset ? MC_OFFSET_FREE : MC_OFFSET_NONE, 6);
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
    const mc_grid grid = site_grid(4, MC_OFFSET_ZERO, 0);
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
        const mc_grid grid = site_grid(8, (mc_offset)offset, 0);
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
    const mc_grid grid = site_grid(8, MC_OFFSET_ZERO, 0);
    site_bench b = site_open(&c, &grid, SIZE_MAX);
    float *x = b.x.data;
    for (size_t i = 0; i < K; i++) x[i] = x[K + i] = 127.0f;
    x[K] = -127.0f;
    memset(b.weights->q.code, 255, K);
    b.weights->q.params[0] = (mc_params){.scale = 1.0f, .zero = 0};
    size_t n;
    const float *y = site_run(&b, MC_NUMERICS_INTEGER, &b.x, &n);
    cr_expect_eq((double)y[0], (double)(float)(127.0 * 255.0 * K));
    cr_expect_eq((double)y[1], (double)(float)(127.0 * 255.0 * (K - 2)));
    b.weights->q.code[0] = 254; /* one less in two billion, or in none */
    for (size_t i = 1; i < K; i++) b.weights->q.code[i] = i % 2 ? 255 : 0;
    for (size_t i = 0; i < K; i++) x[i] = i % 4 < 2 ? 127.0f : -127.0f;
    y = site_run(&b, MC_NUMERICS_INTEGER, &b.x, &n);
    cr_expect_eq(y[0], 127.0f * 254.0f);
    mc_region_close(&b.region);
}

Test(act_integer, rows_of_nan_are_nan_both_ways)
{
    size_t n;
    const mc_grid grid = site_grid(4, MC_OFFSET_NONE, 0);
    site_bench b = site_open(&linear, &grid, 32);
    ((float *)b.x.data)[64 + 3] = NAN;
    const mc_exec_numerics ways[] = {MC_NUMERICS_FAKE_QUANT, MC_NUMERICS_INTEGER};
    for (size_t i = 0; i < 2; i++) {
        const float *y = site_run(&b, ways[i], &b.x, &n);
        for (size_t o = 0; o < n; o++) cr_assert_eq(isnan(y[o]) != 0, o / 70 == 1);
    }
    mc_region_close(&b.region);
}

Test(act_integer, tables_and_what_is_no_plain_product_are_computed_in_floats)
{
    const mc_grid table = {.levels = mc_levels_find("nf4"), .scale_dtype = MC_F16};
    cr_assert_not_null(table.levels);
    expect_equal(&linear, &table, 32, false);
    const mc_grid grid = site_grid(4, MC_OFFSET_NONE, 0);
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
    const mc_grid grid = site_grid(4, MC_OFFSET_NONE, 0);
    site_bench b = site_open(&c, &grid, 32);
    b.weights->spec.transposed = true;
    size_t n;
    (void)site_run(&b, MC_NUMERICS_INTEGER, &b.x, &n);
    cr_expect_eq(b.weights->asked, 0);
    mc_region_close(&b.region);
}
