/* Collecting moments (stats.h): sums over rows of activations, all in f64.
 *
 * Rows are taken in chunks of up to 1024, turned to f64 and multiplied in tiles of the lower
 * triangle; chunks and tiles follow from n and the rows alone, so that sums do not depend on the
 * number of threads. A convolution of many small groups is spread over threads by groups. */
#ifndef MC_CALIB_MOMENTS_H
#define MC_CALIB_MOMENTS_H

#include "calib/site_rows.h"
#include "calib/stats.h"
#include "core/arena.h"
#include "core/pool.h"

enum {
    MC_MOMENTS_GRAM = 1,
    MC_MOMENTS_CROSS = 2, /* cross and shift: there is a second stream */
};

typedef struct {
    mc_moments view; /* of the sums so far. Of its Gram only the lower triangle holds until
                        mc_moments_mirror */
    double *gram, *cross, *sum, *shift, *square;
} mc_moment_sums;

/* Sums of nothing yet, in `mem`, of which they take mc_moments_bytes (SIZE_MAX: more than there can
 * be). */
size_t mc_moments_bytes(size_t n, size_t groups, unsigned what);
mc_status mc_moments_new(size_t n, size_t groups, unsigned what, mc_arena *mem,
                         mc_moment_sums *out, mc_err *err);

/* Samples of one activation. */
typedef struct {
    const char *site;      /* for messages: its name */
    const mc_site_rows *x; /* of each sample, */
    const mc_site_rows *y; /* and the same rows in the float model; NULL without CROSS */
    size_t samples;
    void (*passed)(void *self); /* told now and then that pages which were read may leave memory;
                                   any thread; or NULL */
    void *self;
} mc_moment_rows;

/* Adds all rows of the samples. MC_E_FORMAT: a number that is not finite, naming site, sample, row
 * and column; the sums are then of no use. `pool` may be NULL: this thread only. `scratch` needs
 * mc_moments_scratch(). */
mc_status mc_moments_add(mc_moment_sums *sums, const mc_moment_rows *rows, mc_pool *pool,
                         mc_arena scratch, mc_err *err);
size_t mc_moments_scratch(size_t n, size_t groups, unsigned what);

/* Adds what was collected elsewhere, Grams by their lower triangles. MC_E_MISMATCH: other columns
 * or groups; MC_E_USAGE: a moment that only one of them has. */
mc_status mc_moments_merge(mc_moment_sums *into, const mc_moments *more, mc_err *err);

/* Copies the lower triangles of the Grams to their upper ones. */
void mc_moments_mirror(mc_moment_sums *sums);

#endif
