/* Statistics that are brought up to date against statistics of inputs that were changed themselves:
 * sums of squares of the same rows, so equal but for rounding of f64 and of the changed f32. */
#include "cli/pipeline_change.h"

#include "tests/support/draw.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

enum { ROWS = 40, CHANNELS = 12, PLACES = 4, MOST = CHANNELS * PLACES };

typedef struct {
    mc_region region;
    float x[ROWS * MOST];
    double vector[CHANNELS];
    mc_rotation q;
    mc_input_change change[3];
    mc_err err;
} bench;

static bench open_bench(void)
{
    bench b = {.q = {.n = 0}};
    float numbers[CHANNELS];
    cr_assert_eq(mc_region_open(&b.region, 1 << 20, &b.err), MC_OK);
    draw_weights(DRAW_SHIFTED, 5, b.x, ROWS * MOST);
    draw_weights(DRAW_UNIFORM, 6, numbers, CHANNELS);
    for (int i = 0; i < CHANNELS; i++) b.vector[i] = 0.5 + fabs((double)numbers[i]);
    return b;
}

static void rotate_by(bench *b)
{
    cr_assert_eq(mc_rotation_make(MC_ROTATE_RANDOM_HADAMARD, CHANNELS, 0, 3, &b->region.arena,
                                  &b->q, &b->err),
                 MC_OK, "%s", b->err.text);
}

static mc_input_change scaled(const bench *b)
{
    return (mc_input_change){.kind = MC_INPUT_SCALED, .n = CHANNELS, .vector = b->vector};
}

static mc_input_change shifted(const bench *b)
{
    return (mc_input_change){.kind = MC_INPUT_SHIFTED, .n = CHANNELS, .vector = b->vector};
}

static mc_input_change rotated(const bench *b)
{
    return (mc_input_change){.kind = MC_INPUT_ROTATED, .n = CHANNELS, .rotation = &b->q};
}

/* Moments of rows of n numbers in `groups`, as they lie: [row][group][n]. */
static mc_moment_sums sums_of(bench *b, const float *x, size_t n, size_t groups)
{
    mc_moment_sums m;
    cr_assert_eq(mc_moments_new(n, groups, MC_MOMENTS_GRAM, &b->region.arena, &m, &b->err), MC_OK);
    for (size_t r = 0; r < ROWS; r++)
        for (size_t g = 0; g < groups; g++) {
            const float *row = x + (r * groups + g) * n;
            for (size_t i = 0; i < n; i++) {
                m.sum[g * n + i] += (double)row[i];
                m.square[g * n + i] += (double)row[i] * (double)row[i];
                for (size_t k = 0; k < n; k++)
                    m.gram[(g * n + i) * n + k] += (double)row[i] * (double)row[k];
            }
        }
    m.view.rows = ROWS;
    return m;
}

static void expect_near(const double *a, const double *b, size_t n, double size, const char *what)
{
    for (size_t i = 0; i < n; i++)
        cr_assert_lt(fabs(a[i] - b[i]), 1e-5 * size, "%s %zu: %g instead of %g", what, i, a[i],
                     b[i]);
}

/* `each` columns of a channel lie side by side, as in the rows of a window; `groups` of a
 * convolution split the channels. */
static void expect_the_same(bench *b, const mc_input_change *first, size_t each, size_t groups)
{
    const size_t n = CHANNELS * each / groups;
    mc_moment_sums seen = sums_of(b, b->x, n, groups);
    mc_region scratch;
    cr_assert_eq(mc_region_open(&scratch, mc_change_scratch(n), &b->err), MC_OK);
    cr_assert_eq(mc_change_moments(first, &seen, scratch.arena, &b->err), MC_OK, "%s", b->err.text);

    float x[ROWS * MOST];
    memcpy(x, b->x, sizeof x);
    const mc_act_shape shape = {ROWS, CHANNELS, each};
    mc_change_sample(first, &shape, x, scratch.arena);
    const mc_moment_sums wanted = sums_of(b, x, n, groups);
    const double size = (double)ROWS * 100.0;
    expect_near(seen.gram, wanted.gram, groups * n * n, size, "Gram");
    expect_near(seen.sum, wanted.sum, groups * n, size, "sum");
    expect_near(seen.square, wanted.square, groups * n, size, "square");
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < i; k++)
            cr_assert_eq(seen.gram[i * n + k], seen.gram[k * n + i], "both halves are one");
    mc_region_close(&scratch);
    mc_region_close(&b->region);
}

Test(change, moments_of_scaled_inputs)
{
    bench b = open_bench();
    b.change[0] = scaled(&b);
    expect_the_same(&b, b.change, 1, 1);
}

Test(change, moments_of_shifted_inputs)
{
    bench b = open_bench();
    b.change[0] = shifted(&b);
    expect_the_same(&b, b.change, 1, 1);
}

Test(change, moments_of_rotated_inputs)
{
    bench b = open_bench();
    rotate_by(&b);
    b.change[0] = rotated(&b);
    expect_the_same(&b, b.change, 1, 1);
}

Test(change, changes_follow_each_other)
{
    bench b = open_bench();
    rotate_by(&b);
    b.change[0] = shifted(&b);
    b.change[1] = scaled(&b);
    b.change[2] = rotated(&b);
    b.change[0].next = &b.change[1];
    b.change[1].next = &b.change[2];
    expect_the_same(&b, b.change, 1, 1);
}

Test(change, windows_have_a_column_for_each_place_of_a_channel)
{
    bench b = open_bench();
    b.change[0] = shifted(&b);
    b.change[1] = scaled(&b);
    b.change[0].next = &b.change[1];
    expect_the_same(&b, b.change, PLACES, 1);
}

Test(change, groups_split_the_channels)
{
    bench b = open_bench();
    b.change[0] = scaled(&b);
    expect_the_same(&b, b.change, PLACES, 3);
}

/* Depthwise: a channel each. */
Test(change, groups_of_one_channel)
{
    bench b = open_bench();
    b.change[0] = shifted(&b);
    expect_the_same(&b, b.change, PLACES, CHANNELS);
}

Test(change, squares_alone_do_not_rotate)
{
    bench b = open_bench();
    mc_moment_sums m;
    rotate_by(&b);
    b.change[0] = rotated(&b);
    cr_assert_eq(mc_moments_new(CHANNELS, 1, 0, &b.region.arena, &m, &b.err), MC_OK);
    cr_assert_eq(mc_change_moments(b.change, &m, b.region.arena, &b.err), MC_E_UNSUPPORTED);
    mc_region_close(&b.region);
}

Test(change, moments_of_another_width_are_refused)
{
    bench b = open_bench();
    mc_moment_sums m;
    b.change[0] = scaled(&b);
    cr_assert_eq(mc_moments_new(CHANNELS + 1, 1, 0, &b.region.arena, &m, &b.err), MC_OK);
    cr_assert_eq(mc_change_moments(b.change, &m, b.region.arena, &b.err), MC_E_FORMAT);
    mc_region_close(&b.region);
}

/* ---- channels ---- */

Test(change, ranges_of_scaled_channels)
{
    bench b = open_bench();
    mc_channels seen, wanted;
    float x[ROWS * CHANNELS];
    b.vector[2] = -0.75; /* a norm's gain may be */
    b.change[0] = scaled(&b);
    memcpy(x, b.x, sizeof x);
    mc_change_sample(b.change, &(mc_act_shape){ROWS, CHANNELS, 1}, x, b.region.arena);
    cr_assert_eq(mc_channels_alloc(&b.region.arena, CHANNELS, &seen, &b.err), MC_OK);
    cr_assert_eq(mc_channels_alloc(&b.region.arena, CHANNELS, &wanted, &b.err), MC_OK);
    cr_assert_eq(mc_channels_add(&seen, b.x, ROWS, 1, &b.err), MC_OK);
    cr_assert_eq(mc_channels_add(&wanted, x, ROWS, 1, &b.err), MC_OK);
    cr_assert(mc_change_channels(b.change, &seen));
    for (size_t i = 0; i < CHANNELS; i++) {
        cr_assert_float_eq(seen.least[i], wanted.least[i], 1e-5f);
        cr_assert_float_eq(seen.most[i], wanted.most[i], 1e-5f);
    }
    expect_near(seen.sum, wanted.sum, CHANNELS, ROWS, "sum");
    expect_near(seen.abs, wanted.abs, CHANNELS, ROWS, "sum of |x|");
    expect_near(seen.square, wanted.square, CHANNELS, ROWS, "sum of squares");
    mc_region_close(&b.region);
}

Test(change, what_ranges_do_not_say_is_left_as_it_is)
{
    bench b = open_bench();
    mc_channels seen;
    cr_assert_eq(mc_channels_alloc(&b.region.arena, CHANNELS, &seen, &b.err), MC_OK);
    cr_assert_eq(mc_channels_add(&seen, b.x, ROWS, 1, &b.err), MC_OK);
    const float most = seen.most[0];
    b.change[0] = scaled(&b);
    b.change[1] = shifted(&b);
    b.change[0].next = &b.change[1];
    cr_assert_not(mc_change_channels(b.change, &seen));
    cr_assert_eq(seen.most[0], most);
    mc_region_close(&b.region);
}
