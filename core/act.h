/* Dynamic quantization of activations: each row gets its scale when it is seen.
 *
 * Symmetric: s = max |x| / (2^(b-1) - 1), code = rint(x / s) (f32 division, half to even), in
 * +-(2^(b-1) - 1); a row of zeros has the scale 0 and codes 0. A row is a token for matrices (the
 * last axis) and a whole sample for convolutions. */
#ifndef MC_CORE_ACT_H
#define MC_CORE_ACT_H

#include "core/exec.h"

/* Codes of one row, and its scale. */
float mc_act_codes(unsigned bits, const float *x, size_t n, int8_t *code);

/* What the codes stand for, in place of x: s * code. */
void mc_act_round(unsigned bits, float *x, size_t rows, size_t cols);

/* Rows of an activation that comes to a site of this kind, and the elements of one. */
void mc_act_rows(mc_site_kind kind, const mc_nd *x, size_t *rows, size_t *cols);

/* ---- sites in integers: codes times codes into int32, scales after ----
 *
 * y[t, o] = s_t sum_g s_(o,g) (sum_k a[t,k] (u[o,k] - z_(o,g))) + bias, the inner sum exact in
 * int32 (|sum| <= 127 * 255 * group, checked), the outer one in f32 by group. Equal to float
 * arithmetic on the rounded numbers within f32 rounding. Only grids of integer levels (plain or
 * two-level, free offsets as sum of the row's codes): others run as fake-quant. */

/* Whether a site can run so. */
bool mc_act_integer_fits(const mc_site *site, const mc_grid *grid);

/* y = x W^T in integers: x[rows, cols], y[rows, outputs]. Weights' rows come from `weights`, some
 * at a time. */
mc_status mc_act_linear(const mc_weights *weights, const mc_tensor *tensor, unsigned bits,
                        const float *x, size_t rows, size_t cols, float *y, size_t outputs,
                        mc_arena scratch, mc_err *err);

#endif
