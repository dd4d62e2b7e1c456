/* Statistics of channels: closed forms, splits, and the first value that is no number. */
#include "calib/channels.h"
#include "core/rng.h"
#include "tests/support/draw.h"

#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <string.h>

enum { CHANNELS = 7, ROWS = 900 };

static unsigned char memory[1 << 16];

static mc_channels fresh(mc_arena *mem, size_t n)
{
    mc_channels c;
    mc_err err = {0};
    cr_assert_eq(mc_channels_alloc(mem, n, &c, &err), MC_OK, "%s", err.text);
    return c;
}

static void add(mc_channels *c, const float *x, size_t outer, size_t inner)
{
    mc_err err = {0};
    cr_assert_eq(mc_channels_add(c, x, outer, inner, &err), MC_OK, "%s", err.text);
}

Test(channels, are_what_a_few_values_say)
{
    mc_arena mem = {memory, memory + sizeof memory};
    const float tokens[] = {1, -2, 0, 3, 2, -0.0f, 5, -6, 0, 7, 2, 0};
    mc_channels c = fresh(&mem, 3);
    add(&c, tokens, 4, 1);

    cr_expect_eq(c.rows, 4u);
    const float least[] = {1, -6, 0}, most[] = {7, 2, 0}, absmax[] = {7, 6, 0};
    const double mean[] = {4, -1, 0}, mean_abs[] = {4, 3, 0}, square[] = {21, 12, 0},
                 variance[] = {5, 11, 0};
    float f[3];
    double d[3];
    cr_expect_arr_eq(c.least, least, sizeof least);
    cr_expect_arr_eq(c.most, most, sizeof most);
    mc_channels_absmax(&c, f);
    cr_expect_arr_eq(f, absmax, sizeof f);
    mc_channels_mean(&c, d);
    cr_expect_arr_eq(d, mean, sizeof d);
    mc_channels_mean_abs(&c, d);
    cr_expect_arr_eq(d, mean_abs, sizeof d);
    mc_channels_mean_square(&c, d);
    cr_expect_arr_eq(d, square, sizeof d);
    mc_channels_variance(&c, d);
    cr_expect_arr_eq(d, variance, sizeof d);
}

Test(channels, of_images_are_those_of_their_pixels_as_tokens)
{
    enum { SAMPLES = 3, PIXELS = 20, COUNT = SAMPLES * PIXELS * CHANNELS };
    mc_arena mem = {memory, memory + sizeof memory};
    float image[COUNT], tokens[COUNT];
    draw_weights(DRAW_HEAVY, 3, image, COUNT);
    for (size_t s = 0; s < SAMPLES; s++)
        for (size_t c = 0; c < CHANNELS; c++)
            for (size_t p = 0; p < PIXELS; p++)
                tokens[(s * PIXELS + p) * CHANNELS + c] = image[(s * CHANNELS + c) * PIXELS + p];

    mc_channels a = fresh(&mem, CHANNELS), b = fresh(&mem, CHANNELS);
    add(&a, image, SAMPLES, PIXELS);
    add(&b, tokens, SAMPLES * PIXELS, 1);
    cr_expect_eq(a.rows, b.rows);
    cr_expect_arr_eq(a.least, b.least, CHANNELS * sizeof(float));
    cr_expect_arr_eq(a.most, b.most, CHANNELS * sizeof(float));
    cr_expect_arr_eq(a.sum, b.sum, CHANNELS * sizeof(double));
    cr_expect_arr_eq(a.abs, b.abs, CHANNELS * sizeof(double));
    cr_expect_arr_eq(a.square, b.square, CHANNELS * sizeof(double));
}

static void expect_near(const double *a, const double *b, const double *size, const char *what)
{
    for (size_t i = 0; i < CHANNELS; i++) {
        const double bound = ROWS * 0x1p-53 * size[i];
        cr_expect(fabs(a[i] - b[i]) <= bound, "%s %zu: %g and %g", what, i, a[i], b[i]);
    }
}

Test(channels, of_parts_merge_into_those_of_all)
{
    static float x[ROWS * CHANNELS];
    for (uint64_t seed = 0; seed < DRAW_KINDS; seed++) {
        mc_arena mem = {memory, memory + sizeof memory};
        draw_weights((draw_kind)seed, seed, x, ROWS * CHANNELS);
        mc_channels all = fresh(&mem, CHANNELS), sum = fresh(&mem, CHANNELS);
        add(&all, x, ROWS, 1);

        const mc_rng rng = {.seed = seed, .stream = 5};
        mc_err err = {0};
        for (size_t at = 0; at < ROWS;) {
            mc_arena loan = mem;
            mc_channels part = fresh(&loan, CHANNELS);
            const size_t want = (size_t)mc_rng_below(rng, at, 90) + 1, left = ROWS - at;
            const size_t n = want < left ? want : left;
            add(&part, x + at * CHANNELS, n, 1);
            cr_assert_eq(mc_channels_merge(&sum, &part, &err), MC_OK, "%s", err.text);
            at += n;
        }
        cr_expect_eq(all.rows, sum.rows);
        cr_expect_arr_eq(all.least, sum.least, CHANNELS * sizeof(float));
        cr_expect_arr_eq(all.most, sum.most, CHANNELS * sizeof(float));
        expect_near(all.sum, sum.sum, all.abs, "sum");
        expect_near(all.abs, sum.abs, all.abs, "abs");
        expect_near(all.square, sum.square, all.square, "square");
    }
}

Test(channels, that_were_empty_take_the_range_that_joins_them)
{
    mc_arena mem = {memory, memory + sizeof memory};
    const float x[] = {-3, 4, -2, 5};
    mc_channels c = fresh(&mem, 2), part = fresh(&mem, 2);
    mc_err err = {0};
    cr_assert_eq(mc_channels_merge(&c, &part, &err), MC_OK);
    add(&part, x, 2, 1);
    cr_assert_eq(mc_channels_merge(&c, &part, &err), MC_OK);
    cr_expect_arr_eq(c.least, x, 2 * sizeof(float));
    cr_expect_arr_eq(c.most, x + 2, 2 * sizeof(float));
    cr_expect_eq(c.rows, 2u);
}

Test(channels, have_a_variance_within_the_stated_bound)
{
    static float x[ROWS];
    mc_arena mem = {memory, memory + sizeof memory};
    draw_weights(DRAW_NORMAL, 9, x, ROWS);
    for (size_t i = 0; i < ROWS; i++) x[i] = x[i] + 1000.0f;
    mc_channels c = fresh(&mem, 1);
    add(&c, x, ROWS, 1);

    double mean = 0, two_pass = 0, got, square;
    for (size_t i = 0; i < ROWS; i++) mean += (double)x[i] / ROWS;
    for (size_t i = 0; i < ROWS; i++) two_pass += ((double)x[i] - mean) * ((double)x[i] - mean);
    mc_channels_variance(&c, &got);
    mc_channels_mean_square(&c, &square);
    cr_expect(fabs(got - two_pass / ROWS) <= ROWS * 0x1p-52 * square, "%g", got);
}

Test(channels, of_a_constant_have_next_to_no_variance_and_never_less_than_none)
{
    for (int i = 1; i <= 100; i++) {
        mc_arena mem = {memory, memory + sizeof memory};
        mc_channels c = fresh(&mem, 1);
        float x[90];
        double variance, square;
        for (size_t k = 0; k < 90; k++) x[k] = (float)i / 7.0f;
        add(&c, x, 90, 1);
        mc_channels_variance(&c, &variance);
        mc_channels_mean_square(&c, &square);
        cr_expect(variance >= 0.0 && variance <= 90 * 0x1p-52 * square, "%d: %g", i, variance);
    }
}

Test(channels, take_the_largest_numbers)
{
    mc_arena mem = {memory, memory + sizeof memory};
    const float x[] = {FLT_MAX, FLT_MAX, -FLT_MAX, -FLT_MAX};
    mc_channels c = fresh(&mem, 1);
    add(&c, x, 4, 1);
    double variance;
    mc_channels_variance(&c, &variance);
    cr_expect_eq(variance, (double)FLT_MAX * (double)FLT_MAX);
}

Test(channels, name_the_first_value_that_is_no_number_and_add_nothing)
{
    mc_arena mem = {memory, memory + sizeof memory};
    static float x[5 * CHANNELS * 4];
    const struct {
        float bad;
        size_t at, inner;
        const char *message;
    } cases[] = {
        {NAN, 3 * CHANNELS + 6, 1, "row 3, channel 6 is nan"},
        {INFINITY, 0, 1, "row 0, channel 0 is inf"},
        {-INFINITY, (2 * CHANNELS + 5) * 4 + 3, 4, "row 2, channel 5 is -inf"},
    };
    for (size_t i = 0; i < 3; i++) {
        mc_channels c = fresh(&mem, CHANNELS);
        memset(x, 0, sizeof x);
        x[cases[i].at] = cases[i].bad;
        mc_err err = {0};
        cr_expect_eq(mc_channels_add(&c, x, 5, cases[i].inner, &err), MC_E_FORMAT);
        cr_expect_str_eq(err.text, cases[i].message);
        cr_expect_eq(c.rows, 0u);
    }
}

Test(channels, of_nothing_are_zero)
{
    mc_arena mem = {memory, memory + sizeof memory};
    mc_channels c = fresh(&mem, 2), other = fresh(&mem, 3);
    add(&c, NULL, 0, 1);
    double d[2] = {1, 1};
    mc_channels_variance(&c, d);
    cr_expect(d[0] == 0.0 && d[1] == 0.0);

    mc_err err = {0};
    cr_expect_eq(mc_channels_merge(&c, &other, &err), MC_E_INTERNAL);
    cr_expect_str_eq(err.text, "statistics of 3 channels cannot join those of 2");
}

Test(channels, take_the_memory_that_they_announce)
{
    static unsigned char room[1 << 20]; /* sanitizers pad every allocation */
    mc_channels c;
    mc_err err = {0};
    mc_arena mem = {room, room + mc_channels_bytes(1000)};
    cr_expect_eq(mc_channels_alloc(&mem, 1000, &c, &err), MC_OK, "%s", err.text);
    mem = (mc_arena){room, room + 1000};
    cr_expect_eq(mc_channels_alloc(&mem, 1000, &c, &err), MC_E_BUDGET);
}
