/* The sweep: one pass over the columns of a matrix in which every column is replaced by a projection
 * of itself, and what that leaves wrong is made good by the columns that come after. GPTQ (Frantar
 * et al. 2022, eq. 2-4 and algorithm 1), with the correction of GPTAQ (Li et al. 2025) when a cross
 * moment is given. SparseGPT, joint pruning and ternary codes are other projections.
 *
 * Rows are independent of each other: any slab of them gives the same numbers. */
#ifndef MC_CORE_SWEEP_H
#define MC_CORE_SWEEP_H

#include "core/arena.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- what is made once for all rows that meet the same inputs ---- */

typedef struct {
    double damp;   /* of the mean of the diagonal, added to it; the ladder starts here: 0.01 */
    double alpha;  /* of GPTAQ's correction, 0..1; needs `cross` */
    const uint32_t *order; /* columns in the order of the sweep (a permutation); NULL: as they are */
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
    size_t dead_columns;
} mc_sweep_factor;

/* From the Gram (n x n, symmetric, of both halves) and, for GPTAQ, the cross moment (stats.h), which
 * may be NULL. Dead columns: diagonal 0 or below 1e-10 of its mean. The ladder: damp, then twice
 * as much each time while below 1, then a floor on the diagonal of 1e-6 .. 1 of its largest. Fails
 * (MC_E_FORMAT) when the Gram holds NaN or infinity, naming the column; a Gram of zeros gives the
 * identity. `work` is n x n and may be used by the result. */
mc_status mc_sweep_prepare(size_t n, const double *gram, const double *cross,
                           const mc_sweep_setup *setup, mc_arena *mem, mc_sweep_factor *out,
                           mc_err *err);
size_t mc_sweep_prepare_bytes(size_t n, bool cross);

/* ---- the pass ---- */

typedef struct {
    /* Before the first column of every `group` columns (in the order of the sweep): w are the
     * compensated weights, [rows x n], row stride n, columns in the order of the sweep. May be
     * NULL. */
    mc_status (*group)(void *self, size_t column, const double *w, mc_err *err);
    size_t group_columns;

    /* Column `column` (in the order of the sweep) of every row: from w[rows] to what takes its
     * place, value[rows]. */
    mc_status (*project)(void *self, size_t column, const double *w, double *value, mc_err *err);
    void *self;
} mc_projection;

/* Sweeps w [rows x n] (row-major, columns in the order of the sweep; dead columns must be 0
 * already). On return it holds the projected values. loss[rows] (may be NULL) gets the sum of
 * squared errors e^2, which is d (H + damping) d^T for the whole row. `scratch` needs
 * mc_sweep_scratch() bytes. */
mc_status mc_sweep(const mc_sweep_factor *factor, const mc_projection *projection, double *w,
                   size_t rows, double *loss, mc_arena scratch, mc_err *err);
size_t mc_sweep_scratch(size_t rows, size_t n);

#endif
