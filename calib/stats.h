/* What calibration knows about the inputs of a site. Methods read it; calib/moments.h and
 * calib/channels.h collect it, calib/stats_file.h keeps it in a file.
 *
 * A row is what meets one row of the weight matrix at one time: a token of a Linear, a window
 * (im2col, in the order of the weight's own dimensions: channel, then kernel position) of a
 * convolution. n is its length: the columns of the matrix. A grouped convolution has one set of
 * moments for each group; output o belongs to group o / (outputs / groups). */
#ifndef MC_CALIB_STATS_H
#define MC_CALIB_STATS_H

#include <stddef.h>
#include <stdint.h>

/* Moments of the rows, as sums over all of them in f64. A view; the collector owns the memory. */
typedef struct {
    size_t n;             /* columns */
    size_t groups;        /* of a grouped convolution, else 1 */
    uint64_t rows;        /* seen by each group */
    const double *gram;   /* groups x n x n, both halves: sum of x x^T; NULL: not there */
    const double *cross;  /* groups x n x n: sum of (y - x) x^T, y being the same row in the float
                             model; NULL: there is one stream, y = x */
    const double *sum;    /* groups x n: sum of x */
    const double *shift;  /* groups x n: sum of y - x; NULL as cross */
    const double *square; /* groups x n: sum of x^2 (the Gram's diagonal) */
} mc_moments;

/* One group of it: what rows of the weight in that group meet. groups is then 1. */
mc_moments mc_moments_of_group(const mc_moments *all, size_t group);

/* sum over rows of d G d^T for d = w - v, [rows x n] both: the squared error that leaves in the
 * site's outputs. In f64. */
double mc_moments_loss(const mc_moments *one, const float *w, const float *v, size_t rows);

#endif
