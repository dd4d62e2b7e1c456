/* Products of two streams' rows: sum of (a - b) x^T, in f64. What a residual stream has lost before
 * a site adds to it, seen from the site's inputs. */
#ifndef MC_CALIB_OUTER_H
#define MC_CALIB_OUTER_H

#include "calib/site_rows.h"
#include "core/pool.h"

typedef struct {
    const mc_site_rows *a, *b; /* of each sample: the same rows of m columns */
    const mc_site_rows *x;     /* of each sample: as many rows of n columns */
    size_t samples;
} mc_outer_rows;

/* out[m x n] is set. Groups must be 1. The pieces follow from m alone, so the sum does not depend
 * on threads. MC_E_FORMAT: rows that do not belong together. */
mc_status mc_outer_sum(const mc_outer_rows *rows, mc_pool *pool, double *out, mc_err *err);

/* Scratch of each thread of the pool that it takes. */
size_t mc_outer_scratch(size_t n);

#endif
