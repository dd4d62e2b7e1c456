/* Histograms whose bins widen by doubling. The width follows from the largest |x|; every count is
 * then a matter of the values alone. */
#include "calib/histogram.h"

#include "core/kernels.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

enum {
    SIDE_BITS = 11, /* MC_HISTOGRAM_SIDE = 2^11 */
    /* The smallest f32 is 2^-149 < 2^-148: 2^11 bins of 2^-159 reach there. */
    LEAST_EXPONENT = -159,
    MOST_WIDENING = 128 - SIDE_BITS - LEAST_EXPONENT, /* every f32 is below 2^128 */
    CHUNK = 4096, /* values that are looked at for their range before they are counted */
};

static_assert(MC_HISTOGRAM_SIDE == 1 << SIDE_BITS, "bins of one side");
static_assert(sizeof(mc_histogram) == 48 + 8 * MC_HISTOGRAM_BINS, "files hold its bytes");

/* The smallest widening at which |x| < 2^11 bins; x is finite. */
static uint32_t widening_for(float x)
{
    int exponent;
    if (frexp((double)x, &exponent) == 0.0) return 0;
    return (uint32_t)(exponent - SIDE_BITS - LEAST_EXPONENT);
}

/* Merges 2^by neighbours on each side of 0; a bin never moves away from 0. */
static void widen(mc_histogram *h, uint32_t widening)
{
    if (widening <= h->widening) return;
    const uint32_t by = widening - h->widening > SIDE_BITS ? SIDE_BITS : widening - h->widening;
    uint64_t *right = h->count + MC_HISTOGRAM_SIDE, *left = right - 1;
    for (ptrdiff_t k = 1; k < MC_HISTOGRAM_SIDE; k++) {
        const uint64_t r = right[k], l = left[-k];
        right[k] = left[-k] = 0;
        right[k >> by] += r;
        left[-(k >> by)] += l;
    }
    h->widening = widening;
}

static void extend(mc_histogram *h, float least, float most)
{
    const bool first = h->total == 0;
    h->least = first || least < h->least ? least : h->least;
    h->most = first || most > h->most ? most : h->most;
}

/* All of x is finite. */
static void add_finite(mc_histogram *h, const float *x, size_t n)
{
    float least, most;
    mc_kernels_best()->minmax(x, 1, n, &least, &most);
    extend(h, least + 0.0f, most + 0.0f); /* -0 becomes 0: their order must not show */
    widen(h, widening_for(fmaxf(fabsf(least), fabsf(most))));

    uint64_t *centre = h->count + MC_HISTOGRAM_SIDE, zeros = 0;
    const double per_width = 1.0 / mc_histogram_width(h);
    for (size_t i = 0; i < n; i++) zeros += x[i] == 0.0f;
    for (size_t i = 0; i < n; i++) {
        /* A product with a power of two is exact, so is cutting off its fraction. */
        const ptrdiff_t k = (ptrdiff_t)(fabs((double)x[i]) * per_width);
        /* Signs of activations cannot be predicted, so no branch: -1 - k is ~k, and zeros, which
         * land on the left, are taken out again. */
        centre[k ^ -(ptrdiff_t)(x[i] <= 0.0f)]++;
    }
    centre[-1] -= zeros;
    h->zeros += zeros;
    h->total += n;
}

static void add_not_finite(mc_histogram *h, float x)
{
    if (isnan(x))
        h->nans++;
    else
        h->infinities++;
}

/* Stretches between values that are not finite, chunks of them: seen twice while in the cache. */
void mc_histogram_add(mc_histogram *h, const float *x, size_t n)
{
    if (n > 0) h->bins = MC_HISTOGRAM_BINS;
    for (size_t at = 0; at < n;) {
        const size_t chunk = n - at < CHUNK ? n - at : CHUNK;
        const size_t finite = mc_first_not_finite(x + at, chunk);
        if (finite > 0) add_finite(h, x + at, finite);
        at += finite;
        if (finite < chunk) add_not_finite(h, x[at++]);
    }
}

void mc_histogram_merge(mc_histogram *h, const mc_histogram *from)
{
    if (from->total > 0) extend(h, from->least, from->most);
    if (from->bins > 0) h->bins = from->bins;
    h->total += from->total;
    h->zeros += from->zeros;
    h->nans += from->nans;
    h->infinities += from->infinities;
    widen(h, from->widening);

    const uint32_t wider = h->widening - from->widening;
    const uint32_t by = wider > SIDE_BITS ? SIDE_BITS : wider;
    const uint64_t *source = from->count + MC_HISTOGRAM_SIDE;
    uint64_t *centre = h->count + MC_HISTOGRAM_SIDE;
    for (ptrdiff_t k = 0; k < MC_HISTOGRAM_SIDE; k++) {
        centre[k >> by] += source[k];
        centre[-1 - (k >> by)] += source[-1 - k];
    }
}

double mc_histogram_width(const mc_histogram *h)
{
    return ldexp(1.0, (int)h->widening + LEAST_EXPONENT);
}

double mc_histogram_edge(const mc_histogram *h, size_t i)
{
    return ((double)i - MC_HISTOGRAM_SIDE) * mc_histogram_width(h);
}

/* ---- bytes from a file ---- */

/* Sums the counts; false when they leave 63 bits. */
static bool sum_counts(const mc_histogram *h, uint64_t *sum)
{
    *sum = h->zeros;
    for (size_t i = 0; i < MC_HISTOGRAM_BINS; i++) {
        if (h->count[i] > INT64_MAX || *sum > INT64_MAX) return false;
        *sum += h->count[i];
    }
    return *sum <= INT64_MAX;
}

/* An end of the range lies in the outermost bin that holds something on its side: `bin`, of
 * MC_HISTOGRAM_BINS when there is none, as `ends` would count it. */
static bool end_fits(const mc_histogram *h, const mc_histogram *ends, float end, size_t bin)
{
    if (end == 0.0f) return h->zeros > 0;
    return bin < MC_HISTOGRAM_BINS && ends->count[bin] > 0;
}

/* The range is that of the values in the bins and the zeros, and calls for just this width. */
static bool range_fits(const mc_histogram *h)
{
    mc_histogram ends = {0};
    const float range[2] = {h->least, h->most};
    mc_histogram_add(&ends, range, 2);
    if (ends.total != 2 || ends.widening != h->widening || !(h->least <= h->most)) return false;

    size_t first = 0, last = MC_HISTOGRAM_BINS;
    while (first < MC_HISTOGRAM_BINS && h->count[first] == 0) first++;
    while (last > 0 && h->count[last - 1] == 0) last--;
    const size_t outer = last > 0 ? last - 1 : MC_HISTOGRAM_BINS;
    const bool left = first < MC_HISTOGRAM_SIDE;
    const bool right = last > MC_HISTOGRAM_SIDE;
    if (left != (h->least < 0.0f) || right != (h->most > 0.0f)) return false;
    if (h->zeros > 0 && (h->least > 0.0f || h->most < 0.0f)) return false;
    return end_fits(h, &ends, h->least, first) && end_fits(h, &ends, h->most, outer);
}

mc_status mc_histogram_check(const mc_histogram *h, mc_err *err)
{
    if (h->bins != 0 && h->bins != MC_HISTOGRAM_BINS)
        return mc_fail(err, MC_E_FORMAT, "histogram of %u bins, must have %d", (unsigned)h->bins,
                       MC_HISTOGRAM_BINS);
    if (h->widening > MOST_WIDENING)
        return mc_fail(err, MC_E_FORMAT, "histogram widened %u times, at most %d are possible",
                       (unsigned)h->widening, MOST_WIDENING);
    uint64_t sum;
    if (!sum_counts(h, &sum) || sum != h->total)
        return mc_fail(err, MC_E_FORMAT, "histogram of %llu values, its counts say otherwise",
                       (unsigned long long)h->total);
    if (h->total == 0 ? h->least != 0.0f || h->most != 0.0f || h->widening != 0 : !range_fits(h))
        return mc_fail(err, MC_E_FORMAT, "histogram from %g to %g, its bins say otherwise",
                       (double)h->least, (double)h->most);
    return MC_OK;
}
