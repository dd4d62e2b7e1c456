/* Compensation: the weights that reproduce the float layer's outputs best from the inputs that it
 * really gets, before any code is chosen (the closed form of QuartDepth's second step; what GPTAQ
 * approximates column by column). With x the input that it gets, y the float model's, and for a
 * site whose output is added to a residual stream d = what that stream has lost (float minus
 * present), W' minimises
 *
 *     sum |W y + d - W' x|^2 + damping |W' - W|^2
 *     W' = W + (W C + R) (G + damping)^-1,   C = sum (y - x) x^T,  R = sum d x^T,  G = sum x x^T
 *
 * What is left to do is plain rounding of W' under G. */
#ifndef MC_QUANT_COMPENSATE_H
#define MC_QUANT_COMPENSATE_H

#include "calib/stats.h"
#include "core/arena.h"
#include "core/sweep.h"

typedef struct {
    mc_sweep_factor solve; /* of G + damping; says what damping was needed. Columns that met nothing
                              keep their weights */
    const double *cross;   /* C; NULL: there is none */
} mc_compensation;

/* What all rows share. `one`: of one group, with its Gram. `damp` 0.01; the ladder of core/sweep.h.
 * MC_E_FORMAT names the columns of a moment that is not finite. `out` views the cross moment. */
mc_status mc_compensate_prepare(const mc_moments *one, double damp, mc_arena *mem,
                                mc_compensation *out, mc_err *err);
size_t mc_compensate_prepare_bytes(size_t n);

/* w [rows x n] in place; residual (R) [rows x n] of the same rows, or NULL. Rows are independent:
 * any slab gives the same bits. MC_E_FORMAT names the place, counted from the first of these rows,
 * of a weight that no float can hold. */
mc_status mc_compensate_rows(const mc_compensation *c, float *w, size_t rows,
                             const double *residual, mc_arena scratch, mc_err *err);
size_t mc_compensate_scratch(size_t rows, size_t n);

#endif
