/* Histograms: every count where it belongs, and nothing that depends on order or splits. */
#include "calib/histogram.h"
#include "core/rng.h"
#include "tests/support/draw.h"

#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { VALUES = 3000 };

static mc_histogram of(const float *x, size_t n)
{
    mc_histogram h = {0};
    mc_histogram_add(&h, x, n);
    return h;
}

#define SAME(a, b) cr_expect_arr_eq(&(a), &(b), sizeof(mc_histogram))

/* The bin that the header promises, by a search over edges. */
static size_t bin_by_edges(const mc_histogram *h, float x)
{
    const double size = fabs((double)x);
    size_t k = 0;
    while (k + 1 < MC_HISTOGRAM_SIDE && mc_histogram_edge(h, MC_HISTOGRAM_SIDE + k + 1) <= size)
        k++;
    return x > 0.0f ? MC_HISTOGRAM_SIDE + k : MC_HISTOGRAM_SIDE - 1 - k;
}

Test(histogram, counts_every_value_between_the_edges_around_it)
{
    float x[500];
    for (int kind = 0; kind < DRAW_KINDS; kind++) {
        draw_weights((draw_kind)kind, 7, x, 500);
        const mc_histogram h = of(x, 500);
        mc_histogram slow = h;
        memset(slow.count, 0, sizeof slow.count);
        slow.zeros = 0;
        for (size_t i = 0; i < 500; i++) {
            if (x[i] == 0.0f)
                slow.zeros++;
            else
                slow.count[bin_by_edges(&h, x[i])]++;
        }
        SAME(h, slow);
    }
}

Test(histogram, fills_the_outer_half_of_its_range)
{
    for (int e = -149; e <= 127; e++) {
        const float x[] = {ldexpf(1.0f, e), -ldexpf(1.5f, e - (e == -149))};
        for (int i = 0; i < 2; i++) {
            const mc_histogram h = of(&x[i], 1);
            const double end = mc_histogram_edge(&h, MC_HISTOGRAM_BINS);
            cr_expect(fabs((double)x[i]) < end && fabs((double)x[i]) >= end / 2, "2^%d", e);
        }
    }
}

/* Random bits: values of all sizes, zeros and subnormals among them. */
static void draw_mixed(float *x, uint64_t seed)
{
    draw_bits(seed, x, VALUES);
    const mc_rng rng = {.seed = seed, .stream = 1};
    for (size_t i = 0; i < VALUES; i++) {
        const uint64_t which = mc_rng_below(rng, i, 50);
        if (which == 0) x[i] = NAN;
        if (which == 1) x[i] = -INFINITY;
        if (which == 2) x[i] = -0.0f;
    }
}

static void shuffle(float *x, mc_rng rng)
{
    for (size_t i = VALUES; i > 1; i--) {
        const size_t j = (size_t)mc_rng_below(rng, i, i);
        const float kept = x[i - 1];
        x[i - 1] = x[j];
        x[j] = kept;
    }
}

Test(histogram, does_not_depend_on_order_or_on_how_values_are_split)
{
    float x[VALUES];
    for (uint64_t seed = 1; seed <= 40; seed++) {
        draw_mixed(x, seed);
        if (seed % 2)
            for (size_t i = 0; i < VALUES; i++) x[i] *= i % 7 ? 1e-30f : 1e-3f;
        const mc_histogram all = of(x, VALUES);

        const mc_rng rng = {.seed = seed, .stream = 2};
        shuffle(x, rng);
        mc_histogram parts = {0};
        for (size_t at = 0; at < VALUES;) {
            const size_t left = VALUES - at, want = (size_t)mc_rng_below(rng, at, 700) + 1;
            const size_t n = want < left ? want : left;
            const mc_histogram part = of(x + at, n);
            if (seed % 3)
                mc_histogram_merge(&parts, &part);
            else
                mc_histogram_add(&parts, x + at, n);
            at += n;
        }
        SAME(all, parts);
        mc_err err = {0};
        cr_expect_eq(mc_histogram_check(&all, &err), MC_OK, "%s", err.text);
    }
}

Test(histogram, of_nothing_is_all_zero_and_adds_nothing)
{
    const mc_histogram empty = {0};
    mc_histogram h = of(NULL, 0);
    SAME(h, empty);
    const float x[] = {1.0f, -3.0f};
    h = of(x, 2);
    const mc_histogram before = h;
    mc_histogram_merge(&h, &empty);
    SAME(h, before);
    mc_histogram other = empty;
    mc_histogram_merge(&other, &before);
    SAME(other, before);
}

Test(histogram, keeps_what_is_not_finite_out_of_all_else)
{
    const float x[] = {NAN, INFINITY, -2.0f, -INFINITY, 0.0f, -0.0f, 5.0f, -NAN};
    const mc_histogram h = of(x, 8);
    cr_expect_eq(h.total, 4u);
    cr_expect_eq(h.zeros, 2u);
    cr_expect_eq(h.nans, 2u);
    cr_expect_eq(h.infinities, 2u);
    cr_expect_eq(h.least, -2.0f);
    cr_expect_eq(h.most, 5.0f);

    const float zeros[] = {-0.0f, 0.0f};
    const mc_histogram z = of(zeros, 2);
    cr_expect(!signbit(z.least) && !signbit(z.most));
}

Test(histogram, holds_the_largest_and_the_smallest_numbers)
{
    const float x[] = {FLT_MAX, -FLT_MAX, 0x1p-149f, -0x1p-149f};
    const mc_histogram tiny = of(x + 2, 2), all = of(x, 4);
    cr_expect_eq(tiny.count[MC_HISTOGRAM_SIDE + 1024], 1u);
    cr_expect_eq(tiny.count[MC_HISTOGRAM_SIDE - 1025], 1u);
    cr_expect_eq(all.count[MC_HISTOGRAM_BINS - 1], 1u);
    cr_expect_eq(all.count[0], 1u);
    cr_expect_eq(all.count[MC_HISTOGRAM_SIDE], 1u);
    cr_expect_eq(all.count[MC_HISTOGRAM_SIDE - 1], 1u);
}

/* ---- bytes from a file ---- */

#define REFUSES(h, message)                                        \
    do {                                                           \
        mc_err err = {0};                                          \
        cr_expect_eq(mc_histogram_check(&(h), &err), MC_E_FORMAT); \
        cr_expect_str_eq(err.text, message);                       \
    } while (0)

Test(histogram, check_takes_what_values_lead_to)
{
    const mc_histogram empty = {0};
    mc_err err = {0};
    cr_expect_eq(mc_histogram_check(&empty, &err), MC_OK, "%s", err.text);
    const float some[][3] = {{0, 0, 0},       {1, 2, 3},      {-1, -2, -3},
                             {-1, 0, 2},      {0, 0, -5},     {7, 7, 7},
                             {NAN, NAN, NAN}, {0, 1e-40f, 0}, {-1e38f, 0, 1e-38f}};
    for (size_t i = 0; i < sizeof some / sizeof some[0]; i++) {
        const mc_histogram h = of(some[i], 3);
        cr_expect_eq(mc_histogram_check(&h, &err), MC_OK, "%zu: %s", i, err.text);
    }
}

Test(histogram, check_names_what_contradicts_what)
{
    const float x[] = {-1.0f, 0.0f, 0.5f, 3.0f};
    const mc_histogram good = of(x, 4);
    mc_histogram h = good;
    h.bins = 2048;
    REFUSES(h, "histogram of 2048 bins, must have 4096");
    h = good;
    h.widening = 277;
    REFUSES(h, "histogram widened 277 times, at most 276 are possible");
    h = good;
    h.count[5]++;
    REFUSES(h, "histogram of 4 values, its counts say otherwise");
    h.count[5] = UINT64_MAX;
    REFUSES(h, "histogram of 4 values, its counts say otherwise");
}

Test(histogram, check_holds_the_range_against_the_bins)
{
    const float x[] = {-1.0f, 0.0f, 0.5f, 3.0f};
    const mc_histogram good = of(x, 4);
    const float wrong[][2] = {{-1, 2},   {-1, 4},        {0, 3},         {1, 3},
                              {-1, 0},   {-1.5f, 3},     {-0.5f, 3},     {NAN, 3},
                              {-1, NAN}, {-INFINITY, 3}, {-1, INFINITY}, {3, -1}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        mc_histogram h = good;
        h.least = wrong[i][0];
        h.most = wrong[i][1];
        mc_err err = {0};
        cr_expect_eq(mc_histogram_check(&h, &err), MC_E_FORMAT, "%zu", i);
    }
    mc_histogram h = good;
    h.most = 3.5f;
    REFUSES(h, "histogram from -1 to 3.5, its bins say otherwise");
    const float positive[] = {2.0f, 3.0f};
    h = of(positive, 2);
    h.zeros++;
    h.total++;
    REFUSES(h, "histogram from 2 to 3, its bins say otherwise");
    h = good;
    h.widening++;
    REFUSES(h, "histogram from -1 to 3, its bins say otherwise");
    h = (mc_histogram){.bins = MC_HISTOGRAM_BINS, .widening = 4};
    REFUSES(h, "histogram from 0 to 0, its bins say otherwise");
}
