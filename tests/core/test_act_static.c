/* Activations beyond symmetric dynamic ones: static scales, by tensor and by channel, asymmetric
 * grids, powers of two; and the same sites in integers. */
#include "tests/support/draw.h"
#include "tests/support/site_case.h"

#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <string.h>

enum { CHANNELS = 6, INNER = 35, ROWS = 4, N = ROWS * CHANNELS * INNER };

static const unsigned widths[] = {4, 8, 16};

static float scales[CHANNELS];
static int16_t zeros[CHANNELS];

static void set_grids(unsigned bits)
{
    for (int c = 0; c < CHANNELS; c++) {
        scales[c] = 1.7f * (float)(c + 1) / (float)(1 << bits);
        zeros[c] = (int16_t)((c - 3) * (1 << (bits - 3)));
    }
}

static mc_act_spec static_act(unsigned bits, bool asymmetric, uint32_t n)
{
    set_grids(bits);
    return (mc_act_spec){.mode = MC_ACT_STATIC,
                         .bits = (uint8_t)bits,
                         .asymmetric = asymmetric,
                         .scales = n,
                         .scale = scales,
                         .zero = asymmetric ? zeros : NULL};
}

static mc_act_spec dynamic_act(unsigned bits, bool asymmetric, bool power_of_two)
{
    return (mc_act_spec){.mode = MC_ACT_DYNAMIC,
                         .bits = (uint8_t)bits,
                         .asymmetric = asymmetric,
                         .power_of_two = power_of_two};
}

/* ---- the definition, in the words of core/act_spec.h ---- */

static double as_defined(float x, float scale, int zero, unsigned bits, bool asymmetric)
{
    const double half = (double)(1 << (bits - 1)), least = asymmetric ? -half : 1.0 - half;
    double q = rint((double)(x / scale)) + zero; /* half to even */
    q = q < least ? least : q > half - 1.0 ? half - 1.0 : q;
    return (double)scale * (q - zero);
}

static void dynamic_grid(const mc_act_spec *s, const float *x, size_t n, float *scale, int *zero)
{
    double least = 0.0, most = 0.0;
    const double half = (double)(1 << (s->bits - 1));
    for (size_t i = 0; i < n; i++) {
        least = fmin(least, (double)x[i]);
        most = fmax(most, (double)x[i]);
    }
    *scale = s->asymmetric ? (float)((most - least) / (2.0 * half - 1.0))
                           : (float)fmax(most, -least) / (float)(half - 1.0);
    if (s->power_of_two) *scale = (float)exp2(ceil(log2((double)*scale)));
    *zero = s->asymmetric && *scale > 0.0f ? (int)rint(-half - (double)((float)least / *scale)) : 0;
}

static void expect_defined(const mc_act_spec *s, const mc_act_shape *shape)
{
    static float x[N], y[N];
    mc_err err;
    cr_assert_eq(mc_act_check(s, &err), MC_OK, "%s", err.text);
    const size_t row = shape->channels * shape->inner;
    for (int kind = 0; kind < DRAW_KINDS; kind++) {
        draw_weights((draw_kind)kind, 3, x, N);
        memcpy(y, x, sizeof y);
        mc_act_round(s, shape, y);
        for (size_t i = 0; i < N; i++) {
            const size_t c = s->scales > 1 ? i / shape->inner % shape->channels : 0;
            float scale = s->mode == MC_ACT_STATIC ? s->scale[c] : 0.0f;
            int zero = s->zero ? s->zero[c] : 0;
            if (s->mode == MC_ACT_DYNAMIC) dynamic_grid(s, x + i / row * row, row, &scale, &zero);
            const double want =
                scale == 0.0f ? 0.0 : as_defined(x[i], scale, zero, s->bits, s->asymmetric);
            cr_assert_eq((double)y[i], (double)(float)want,
                         "%s, number %zu: %g became %.9g, not %.9g", draw_name((draw_kind)kind), i,
                         (double)x[i], (double)y[i], want);
        }
    }
}

static const mc_act_shape samples = {ROWS, CHANNELS, INNER};
static const mc_act_shape tokens = {N / CHANNELS, CHANNELS, 1};

Test(act_static, rounds_by_tensor_and_by_channel)
{
    for (size_t b = 0; b < 3; b++)
        for (int asymmetric = 0; asymmetric < 2; asymmetric++) {
            const mc_act_spec one = static_act(widths[b], asymmetric, 1);
            expect_defined(&one, &samples);
            expect_defined(&one, &tokens);
            const mc_act_spec each = static_act(widths[b], asymmetric, CHANNELS);
            expect_defined(&each, &samples);
            expect_defined(&each, &tokens);
        }
}

Test(act_static, dynamic_rows_have_grids_of_every_kind)
{
    for (size_t b = 0; b < 3; b++)
        for (int kind = 0; kind < 4; kind++) {
            const mc_act_spec s = dynamic_act(widths[b], kind & 1, kind & 2);
            expect_defined(&s, &samples);
            expect_defined(&s, &tokens);
        }
}

Test(act_static, powers_of_two_are_the_next_ones_up)
{
    static const struct {
        float most, scale;
    } want[] = {{127, 1}, {127.5f, 2},  {128, 2},
                {254, 2}, {1, 0x1p-6f}, {127 * 0x1p-20f, 0x1p-20f}};
    const mc_act_spec s = dynamic_act(8, false, true);
    int8_t code;
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++)
        cr_expect_eq(mc_act_codes(&s, &want[i].most, 1, &code).scale, want[i].scale);
}

/* An asymmetric grid of b bits is 2^b steps over the range: half a step is the most it is off. */
Test(act_static, asymmetric_rows_use_their_whole_range)
{
    const mc_act_spec s = dynamic_act(8, true, false);
    float x[256], y[256];
    for (int i = 0; i < 256; i++) y[i] = x[i] = 10.0f * (float)i / 255.0f;
    mc_act_round(&s, &(mc_act_shape){1, 256, 1}, y);
    for (int i = 0; i < 256; i++) cr_assert_leq(fabsf(y[i] - x[i]), 1e-6f);
    cr_expect_eq(y[0], 0.0f);
}

Test(act_static, rows_of_one_sign_and_of_zeros_keep_zero)
{
    const mc_act_spec s = dynamic_act(4, true, false);
    float x[] = {3, 3, 3, -7, -7, -7, 0, 0, 0};
    mc_act_round(&s, &(mc_act_shape){3, 3, 1}, x);
    const float want[] = {3, 3, 3, -7, -7, -7, 0, 0, 0};
    for (int i = 0; i < 9; i++) cr_expect_float_eq(x[i], want[i], 1e-6f);
}

Test(act_static, what_is_no_number_spoils_its_row_and_no_other)
{
    const float bad[] = {NAN, INFINITY, -INFINITY};
    const mc_act_spec acts[] = {static_act(8, true, 1), static_act(8, true, 3),
                                dynamic_act(8, true, false)};
    for (size_t a = 0; a < 3; a++)
        for (size_t i = 0; i < 3; i++) {
            float x[] = {0, bad[i], 0, 0, 0.01f, 0};
            mc_act_round(&acts[a], &(mc_act_shape){2, 3, 1}, x);
            for (int k = 0; k < 3; k++) cr_expect(isnan(x[k]) && !isnan(x[3 + k]));
        }
}

/* ---- specs that mean nothing ---- */

static void expect_refused(mc_act_spec s, mc_status status, const char *text)
{
    mc_err err;
    cr_expect_eq(mc_act_check(&s, &err), status);
    cr_expect_str_eq(err.text, text);
}

Test(act_static, specs_that_mean_nothing_are_refused)
{
    mc_act_spec s = static_act(8, true, 2);
    scales[1] = 0.0f;
    expect_refused(s, MC_E_FORMAT,
                   "scale 1 of activations is 0; allowed are finite numbers above 0");
    scales[1] = NAN;
    expect_refused(s, MC_E_FORMAT,
                   "scale 1 of activations is nan; allowed are finite numbers above 0");
    s = static_act(4, true, 2);
    zeros[1] = 8;
    expect_refused(s, MC_E_FORMAT, "zero 1 of activations is 8; allowed are -8 to 7");
    s.zero = NULL;
    expect_refused(s, MC_E_FORMAT, "asymmetric activations without zeros");
    s = static_act(8, false, 0);
    expect_refused(s, MC_E_FORMAT, "static activations without a scale");
    s = static_act(9, false, 1);
    expect_refused(s, MC_E_UNSUPPORTED, "activations of 9 bits (2 to 8 and 16 can be simulated)");
    s = dynamic_act(8, false, false);
    s.scales = 3;
    expect_refused(s, MC_E_FORMAT, "3 scales of activations that are not static");
    expect_refused((mc_act_spec){.asymmetric = true}, MC_E_FORMAT,
                   "a grid of activations that are not quantized");
    expect_refused((mc_act_spec){.mode = (mc_act_mode)7}, MC_E_UNSUPPORTED,
                   "activations in mode 7");
}

/* ---- in integers ---- */

static const site_case linear = {MC_DOMAIN, "Linear", 1, 2, 2, 1, {9, 64}, {70, 64}, .b = {70}};
static const site_case padded = {"",
                                 "Conv",
                                 11,
                                 4,
                                 4,
                                 1,
                                 {2, 6, 7, 8},
                                 {12, 3, 3, 3},
                                 .b = {12},
                                 .group = 2,
                                 .strides = {2, 1},
                                 .pads = {1, 2, 3, 4}};

static void expect_integer(const site_case *c, const mc_grid *grid, size_t group,
                           const mc_act_spec *act)
{
    site_bench b = site_open(c, grid, group);
    b.act = *act;
    site_expect_equal(&b, c->op, group, true);
}

static void on_every_grid(const site_case *c, size_t group, const mc_act_spec *act)
{
    static const unsigned bits[] = {2, 4, 8};
    for (size_t i = 0; i < 3; i++)
        for (int offset = MC_OFFSET_NONE; offset <= MC_OFFSET_FREE; offset++) {
            const mc_grid grid = site_grid(bits[i], (mc_offset)offset, 0);
            expect_integer(c, &grid, group, act);
        }
}

Test(act_static, integers_equal_rounding_on_every_grid)
{
    static const size_t group[] = {32, SIZE_MAX, 0};
    for (unsigned bits = 4; bits <= 8; bits += 4)
        for (int kind = 0; kind < 6; kind++) {
            const mc_act_spec act =
                kind < 4 ? dynamic_act(bits, kind & 1, kind & 2) : static_act(bits, kind == 5, 1);
            for (size_t g = 0; g < 3; g++) on_every_grid(&linear, group[g], &act);
            on_every_grid(&padded, SIZE_MAX, &act);
        }
}

Test(act_static, long_groups_with_zeros_equal_rounding)
{
    static const site_case c = {MC_DOMAIN, "Linear", 1, 2, 2, 1, {3, 8000}, {5, 8000}, .b = {5}};
    const mc_act_spec acts[] = {dynamic_act(8, true, false), static_act(8, true, 1)};
    for (size_t i = 0; i < 2; i++) on_every_grid(&c, SIZE_MAX, &acts[i]);
}

/* y = s s_o (sum (a - z) u + rint(bias / (s s_o))), by 64-bit integers. */
Test(act_static, a_static_site_is_what_a_device_computes)
{
    enum { K = 64, O = 70 };
    size_t n;
    const mc_grid grid = site_grid(8, MC_OFFSET_NONE, 0);
    site_bench b = site_open(&linear, &grid, SIZE_MAX);
    b.act = static_act(8, true, 1);
    const float *y = site_run(&b, MC_NUMERICS_INTEGER, &b.x, &n);
    cr_assert_eq(n, 9 * O);
    int8_t a[K];
    float bias[O];
    draw_weights(DRAW_NORMAL, 3, bias, O);
    size_t apart = 0;
    for (size_t i = 0; i < n; i++) {
        const size_t o = i % O;
        const mc_act_grid g = mc_act_codes(&b.act, (const float *)b.x.data + i / O * K, K, a);
        const double unit = (double)g.scale * (double)b.weights->q.params[o].scale;
        const int64_t late = (int64_t)rint((double)bias[o] / unit);
        int64_t acc = late;
        for (size_t k = 0; k < K; k++)
            acc += (a[k] - g.zero) * ((int)b.weights->q.code[o * K + k] - 128);
        const double want = unit * (double)acc;
        cr_assert_leq(fabs((double)y[i] - want), 3.0 * (double)FLT_EPSILON * fabs(want),
                      "output %zu is %.9g, not %.9g", i, (double)y[i], want);
        apart += fabs((double)late * unit - (double)bias[o]) > 0.1 * unit;
    }
    cr_expect_gt(apart, n / 2, "biases that happen to be whole show nothing");
    mc_region_close(&b.region);
}

/* A weight of zeros has a scale of 0: no whole number is its bias. */
Test(act_static, a_bias_that_does_not_fit_stays_a_float)
{
    size_t n;
    const mc_grid grid = site_grid(8, MC_OFFSET_NONE, 0);
    site_bench b = site_open(&linear, &grid, SIZE_MAX);
    float bias[70];
    draw_weights(DRAW_NORMAL, 3, bias, 70);
    b.act = static_act(8, false, 1);
    b.weights->q.params[7].scale = 0.0f;
    b.weights->q.params[8].scale = 1e-30f;
    const float *y = site_run(&b, MC_NUMERICS_INTEGER, &b.x, &n);
    cr_assert_gt(b.weights->asked, 0);
    for (size_t t = 0; t < 9; t++)
        for (size_t o = 7; o < 9; o++) cr_expect_eq(y[t * 70 + o], bias[o]);
    mc_region_close(&b.region);
}

static void expect_float(const site_case *c, const mc_grid *grid, const mc_act_spec *act)
{
    site_bench b = site_open(c, grid, SIZE_MAX);
    b.act = *act;
    site_expect_equal(&b, c->op, SIZE_MAX, false);
}

Test(act_static, scales_of_channels_and_wide_codes_compute_in_floats)
{
    static const site_case c = {MC_DOMAIN,     "Linear",       1,        2, 2, 1,
                                {9, CHANNELS}, {70, CHANNELS}, .b = {70}};
    const mc_grid grid = site_grid(8, MC_OFFSET_NONE, 0);
    const mc_act_spec each = static_act(8, false, CHANNELS);
    expect_float(&c, &grid, &each);
    const mc_act_spec wide = static_act(16, true, 1);
    expect_float(&c, &grid, &wide);
    const mc_act_spec as_it_is = {.mode = MC_ACT_FLOAT};
    expect_float(&c, &grid, &as_it_is);
}

/* 255 * 128 * 65794 is the first that 31 bits do not hold. */
Test(act_static, sums_beyond_32_bits_compute_in_floats)
{
    site_case c = {MC_DOMAIN, "Linear", 1, 2, 2, -1, {1, 65793}, {2, 65793}, .b = {0}};
    const mc_grid grid = site_grid(8, MC_OFFSET_NONE, 0);
    const mc_act_spec act = dynamic_act(8, true, false);
    expect_integer(&c, &grid, SIZE_MAX, &act);
    c.x[1] = c.w[1] = 65794;
    expect_float(&c, &grid, &act);
    const mc_act_spec symmetric = dynamic_act(8, false, false);
    expect_integer(&c, &grid, SIZE_MAX, &symmetric);
}
