/* Descent: codes and scales that were chosen somehow, made better step by step in
 *     sum over rows of (t - v) H (t - v)^T,   H = G + damping,
 * the error in the outputs (Behdin et al. 2023, QuantEase: one code at a time; Nair and Suggala
 * 2024, CDQuant). No step raises it.
 *
 * A round goes through the groups of a row. First the group's numbers move to where least squares
 * puts them under its codes, as they can be stored (an integer zero: of its neighbours the best);
 * then each code in turn becomes that of the value nearest to what the other columns ask for. */
#ifndef MC_QUANT_DESCENT_SHARED_H
#define MC_QUANT_DESCENT_SHARED_H

#include "core/sweep.h"
#include "quant/quant.h"

typedef struct {
    const double *gram;             /* n x n */
    const mc_sweep_factor *factor;  /* of it: what was added to the diagonal, and dead columns */
    unsigned rounds;                /* at most; it ends when nothing moves any more */
} mc_descent;

/* Rows first .. first + rows - 1 of q, which stand for aim [rows x n]. */
typedef struct {
    mc_qmat *q;
    size_t first, rows;
    const float *aim;
    double *loss; /* rows: what is left of (t - v) G (t - v)^T, without damping; or NULL */
} mc_descent_rows;

/* Rows are independent, as those of a sweep are. */
mc_status mc_descend(const mc_descent *descent, mc_descent_rows rows, mc_arena scratch,
                     mc_err *err);
size_t mc_descend_scratch(size_t n);

#endif
