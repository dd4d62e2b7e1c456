/* The sweep: one pass over the columns of a matrix in which every column is replaced by a
 * projection of itself, and what that leaves wrong is made good by the columns that come after.
 * GPTQ (Frantar et al. 2022, eq. 2-4 and algorithm 1), with the correction of GPTAQ (Li et al.
 * 2025) when a cross moment is given. SparseGPT, joint pruning and ternary codes are other
 * projections.
 *
 * Rows are independent of each other: any slab of them gives the same bits, because BLAS is always
 * handed MC_SWEEP_TILE rows at a time (the last ones filled up with zeros). */
#ifndef MC_CORE_SWEEP_H
#define MC_CORE_SWEEP_H

#include "core/arena.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MC_SWEEP_TILE = 64,   /* rows that meet BLAS together; a sweep of so many stays in the caches */
    MC_SWEEP_BLOCK = 128, /* columns whose errors reach the columns behind them in one product */
};

/* ---- what is made once for all rows that meet the same inputs ---- */

typedef struct {
    double damp;  /* of the mean of the diagonal, added to it; the ladder starts here: 0.01 */
    double alpha; /* of GPTAQ's correction, 0..1; needs `cross` */
    const uint32_t *order; /* columns in the order of the sweep, a permutation; NULL: as they are */
} mc_sweep_setup;

typedef struct {
    size_t n;
    const double *factor; /* n x n upper triangle U with (H + damping)^-1 = U^T U, columns in the
                             order of the sweep */
    const double *cross;  /* n x n strictly upper P of GPTAQ, or NULL */
    const uint32_t *order;/* of the setup, or NULL */
    const bool *dead;     /* n, in the columns' own order: never met anything but 0 */
    double damp;          /* that was needed */
    double floor;         /* added to the diagonal besides, when the ladder ran out; else 0 */
    double added;         /* to each number of the diagonal, all in all; dead columns: see below */
    size_t dead_columns;
} mc_sweep_factor;

/* From the Gram (n x n, symmetric, of both halves) and, for GPTAQ, the cross moment (stats.h),
 * which may be NULL: P = alpha * (strictly upper half of cross U^T) U.
 *
 * Dead columns: diagonal 0 or below 1e-10 of its mean. They count as met by nothing: neither do
 * their errors reach others, nor the other way round. The mean that `damp` is a share of is that of
 * the columns that live.
 *
 * The ladder: damp, then twice as much each time while below 1 (from 1e-4 when it is 0), then a
 * floor of 1e-6 .. 1 of the largest number on the diagonal. A factor counts only when no pivot fell
 * below 1e-13 of that number. Fails (MC_E_FORMAT) when a moment holds NaN or infinity or the
 * diagonal a negative number, naming the column; a Gram of zeros gives the identity. */
mc_status mc_sweep_prepare(size_t n, const double *gram, const double *cross,
                           const mc_sweep_setup *setup, mc_arena *mem, mc_sweep_factor *out,
                           mc_err *err);
size_t mc_sweep_prepare_bytes(size_t n, bool cross);

/* Every row of x [rows x n, columns in the order of the sweep] becomes x (H + damping)^-1. What it
 * holds at dead columns stays. */
mc_status mc_sweep_solve(const mc_sweep_factor *factor, double *x, size_t rows, mc_arena scratch,
                         mc_err *err);
size_t mc_sweep_solve_scratch(size_t n);

/* ---- the pass ---- */

typedef struct {
    /* Before the first column of every `group_columns` columns (in the order of the sweep): w are
     * the compensated weights, [rows x n], row stride n, columns in the order of the sweep. They
     * are so in the columns of the group and, where a span begins, in those of the span. May be
     * NULL. */
    mc_status (*group)(void *self, size_t column, const double *w, mc_err *err);
    size_t group_columns;
    size_t span_columns; /* a multiple of group_columns; 0: the same */

    /* Column `column` (in the order of the sweep) of every row: from w[rows] to what takes its
     * place, value[rows]. */
    mc_status (*project)(void *self, size_t column, const double *w, double *value, mc_err *err);
    void *self;
} mc_projection;

/* Sweeps w [rows x n] (row-major, columns in the order of the sweep). On return it holds the
 * projected values. loss[rows] (may be NULL) gets the sum of squared errors e^2, which is
 * d (H + damping) d^T for the whole row without `cross`; errors of dead columns count as 0.
 * `scratch` needs mc_sweep_scratch() bytes. */
mc_status mc_sweep(const mc_sweep_factor *factor, const mc_projection *projection, double *w,
                   size_t rows, double *loss, mc_arena scratch, mc_err *err);
size_t mc_sweep_scratch(size_t rows, size_t n);

#endif
