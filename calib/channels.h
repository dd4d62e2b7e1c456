/* What is known of each channel of an activation: range, sum, sum of |x|, sum of squares.
 *
 * An activation is [outer x channels x inner]: inner is 1 for tokens (channels are the last axis),
 * height times width for images (they are axis 1). Sums are f64, value by value in the order they
 * come; for another order or another split they differ by rounding, at most N 2^-53 times the sum
 * of absolute values (N values in a channel). Ranges and counts do not differ at all. */
#ifndef MC_CALIB_CHANNELS_H
#define MC_CALIB_CHANNELS_H

#include "core/arena.h"

#include <stddef.h>
#include <stdint.h>

/* The arrays belong to whoever made them; [n] each. Before the first value all is 0. */
typedef struct {
    size_t n;
    uint64_t rows; /* values seen of each channel */
    float *least, *most;
    double *sum;    /* of x */
    double *abs;    /* of |x| */
    double *square; /* of x^2 */
} mc_channels;

/* MC_E_BUDGET when `mem` has no room. */
mc_status mc_channels_alloc(mc_arena *mem, size_t n, mc_channels *out, mc_err *err);
size_t mc_channels_bytes(size_t n); /* that it takes, an upper bound */

/* x: [outer x c->n x inner]. A NaN or an infinity is MC_E_FORMAT, "row 3, channel 7 is nan" (the
 * first in memory; the row is a token, or a sample of images), and nothing of x is added. */
mc_status mc_channels_add(mc_channels *c, const float *x, size_t outer, size_t inner, mc_err *err);

/* Adds all that `from` has seen, as if its values came after. Equal n, else MC_E_INTERNAL. */
mc_status mc_channels_merge(mc_channels *c, const mc_channels *from, mc_err *err);

/* Of all channels, into out[n]; 0 when nothing was seen. The variance is over N, not N - 1, from
 * sums: off by at most about N 2^-52 times the mean square, and never negative. */
void mc_channels_absmax(const mc_channels *c, float *out);
void mc_channels_mean(const mc_channels *c, double *out);
void mc_channels_mean_abs(const mc_channels *c, double *out);
void mc_channels_mean_square(const mc_channels *c, double *out);
void mc_channels_variance(const mc_channels *c, double *out);

#endif
