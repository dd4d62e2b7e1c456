/* A histogram that takes any number of values, of any size, in fixed memory, and in which nothing
 * depends on their order.
 *
 * 4096 bins lie around 0, which is an edge; they are 2^e wide. When a value falls outside, bins
 * double in width and neighbours merge, which is exact: the edges of wide bins are edges of narrow
 * ones. e follows from the largest |x| alone and the counts from e and the values, so a histogram
 * is the same, byte for byte, however its values were ordered or split over histograms that are
 * then merged. The largest |x| always lies in the outer half of its side.
 *
 * The bin of x is a matter of |x|: of 2^e k <= |x| < 2^e (k + 1), on the side of x. Zeros have a
 * counter of their own, so have NaN and infinities, which are in no other number. */
#ifndef MC_CALIB_HISTOGRAM_H
#define MC_CALIB_HISTOGRAM_H

#include "core/err.h"

#include <stddef.h>
#include <stdint.h>

enum { MC_HISTOGRAM_BINS = 4096, MC_HISTOGRAM_SIDE = MC_HISTOGRAM_BINS / 2 };

/* No padding, no pointers: a file may hold its bytes. All zero is the empty histogram. */
typedef struct {
    uint64_t total; /* finite values, zeros among them */
    uint64_t zeros;
    uint64_t nans;
    uint64_t infinities;
    float least, most;                 /* of the finite values; 0 when there are none */
    uint32_t bins;                     /* MC_HISTOGRAM_BINS once a value came, 0 before */
    uint32_t widening;                 /* bins are 2^(widening - 159) wide */
    uint64_t count[MC_HISTOGRAM_BINS]; /* from the left to the right; without zeros */
} mc_histogram;

void mc_histogram_add(mc_histogram *h, const float *x, size_t n);

/* Adds all that `from` has seen. */
void mc_histogram_merge(mc_histogram *h, const mc_histogram *from);

double mc_histogram_width(const mc_histogram *h);

/* Left edge of bin i, 0 .. MC_HISTOGRAM_BINS (the right end); exact. */
double mc_histogram_edge(const mc_histogram *h, size_t i);

/* Of bytes that a file gave: whether values can have led there. MC_E_FORMAT says what contradicts
 * what. */
mc_status mc_histogram_check(const mc_histogram *h, mc_err *err);

#endif
