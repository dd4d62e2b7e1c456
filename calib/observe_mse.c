/* The range whose codes have the least squared error, by search.
 *
 * The error of a grid is an integral over the density: for each code over its cell, for the first
 * and the last code to the ends; sums up to a point come from a table, so a grid costs a step for
 * each code and not for each bin. Ends move on a list of steps, a symmetric range on a fine one and
 * the two ends of an asymmetric one on all pairs; then around the best place on ever finer lists.
 * What is compared is the error of the very grid that the range leads to, rounded zero and all.
 *
 * Codes of 16 bits lie closer than bins by far: rounding costs step^2 / 12 there. */
#include "calib/observe_parts.h"

#include <math.h>

enum {
    LIST = 2048, /* places of a single end */
    PAIRS = 64,  /* places of each of two ends */
    ROUNDS = 4,
    AROUND = 8, /* places on either side in a round; steps shrink by as much */
};

/* Squared error of all values that round to the codes, each code's cell at a time. */
static double rounding_error(const mc_view *v, float scale, int zero)
{
    const double step = (double)scale;
    const int first = mc_want_first(v->want), last = mc_want_last(v->want);
    double sum = 0.0;
    mc_mass below = {0};
    for (int q = first; q <= last; q++) {
        const double value = step * (q - zero), end = value + step / 2.0;
        if (q < last && !(end > v->least)) continue;
        const mc_mass up_to = mc_mass_up_to(v, q < last ? end : v->most);
        const mc_mass cell = {up_to.count - below.count, up_to.sum - below.sum,
                              up_to.square - below.square};
        sum += mc_mass_error(cell, value);
        below = up_to;
        if (end >= v->most) break;
    }
    return sum;
}

static double cost(const mc_view *v, float scale, int zero)
{
    if (v->want.bits < 16) return rounding_error(v, scale, zero);
    const mc_reach reach = mc_reach_of(v->want, scale, zero);
    return mc_noise_error(v, reach.low, reach.high, (double)scale);
}

/* The best range so far, and the largest that is allowed. */
typedef struct {
    double low, high, cost;
    mc_reach whole;
} best_range;

static void try_range(const mc_view *v, double low, double high, best_range *best)
{
    if (!(low <= 0.0 && high >= 0.0 && high > low)) return;
    if (low < best->whole.low || high > best->whole.high) return;
    const float scale = mc_scale_of_range(v->want, low, high);
    const double error = cost(v, scale, mc_zero_of_range(v->want, scale, low));
    if (!(error < best->cost)) return;
    best->low = low;
    best->high = high;
    best->cost = error;
}

/* ---- one end to move ---- */

/* Both ends as the same share of the whole range; one of them may be 0. */
static void search_size(const mc_view *v, best_range *best)
{
    const mc_reach whole = best->whole;
    for (int i = LIST; i >= 1; i--) try_range(v, whole.low * i / LIST, whole.high * i / LIST, best);

    double step = 1.0 / LIST;
    for (int round = 0; round < ROUNDS; round++) {
        const double at = whole.high > 0.0 ? best->high / whole.high : best->low / whole.low;
        step /= AROUND;
        for (int i = -AROUND; i <= AROUND; i++)
            try_range(v, whole.low * (at + i * step), whole.high * (at + i * step), best);
    }
}

/* ---- two ends to move ---- */

static void search_pairs(const mc_view *v, best_range *best)
{
    for (int i = PAIRS; i >= 0; i--)
        for (int j = PAIRS; j >= 0; j--)
            try_range(v, v->least * i / PAIRS, v->most * j / PAIRS, best);

    double low = v->least / PAIRS, high = v->most / PAIRS;
    for (int round = 0; round < ROUNDS; round++) {
        const best_range centre = *best;
        low /= AROUND;
        high /= AROUND;
        for (int i = -AROUND; i <= AROUND; i++)
            for (int j = -AROUND; j <= AROUND; j++)
                try_range(v, centre.low + i * low, centre.high + j * high, best);
    }
}

static void range(const mc_view *v, double *least, double *most)
{
    const double size = fmax(-v->least, v->most);
    best_range best = {.low = v->least, .high = v->most, .cost = (double)INFINITY};
    best.whole = v->want.asymmetric ? (mc_reach){v->least, v->most} : (mc_reach){-size, size};
    if (best.whole.low < 0.0 && best.whole.high > 0.0 && v->want.asymmetric)
        search_pairs(v, &best);
    else
        search_size(v, &best);
    *least = fmax(best.low, v->least);
    *most = fmin(best.high, v->most);
}

const mc_observer mc_observer_mse = {
    .name = "mse",
    .summary = "the least squared error, by search over ranges",
    .paper = "common practice; the errors are integrals over the histogram",
    .range = range,
    .cost = cost,
};
