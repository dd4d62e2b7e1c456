/* Dynamic quantization of activations: each row gets its scale when it is seen.
 *
 * Symmetric: s = max |x| / (2^(b-1) - 1), code = rint(x / s) (f32 division, half to even), in
 * +-(2^(b-1) - 1); a row of zeros has the scale 0 and codes 0. A row is a token for matrices (the
 * last axis) and a whole sample for convolutions. */
#ifndef MC_CORE_ACT_H
#define MC_CORE_ACT_H

#include "core/exec.h"

/* Codes of one row; returns its scale. NaN and infinities make the scale NaN and the codes 0. */
float mc_act_codes(unsigned bits, const float *x, size_t n, int8_t *code);

/* What the codes stand for, in place of x: s * code. */
void mc_act_round(unsigned bits, float *x, size_t rows, size_t cols);

/* Rows of an activation that comes to a site of this kind, and the elements of one. False where
 * activations are not numbers to be rounded (indices of embeddings). */
bool mc_act_rows(mc_site_kind kind, const mc_nd *x, size_t *rows, size_t *cols);

/* ---- sites in integers: codes times codes into int32, scales after ----
 *
 * y[t, o] = s_t sum_g (s_(o,g) sum_k a[t,k] (u[o,k] - z_(o,g)) + m_(o,g) sum_k a[t,k]) + bias, the
 * inner sums exact in integers, the outer one in f32 by group: equal to float arithmetic on the
 * rounded numbers within f32 rounding. For weights on integer levels that reach their node
 * unchanged: Linear, MatMul by a matrix, Gemm without factors, Conv. */

typedef struct {
    const mc_site *site;
    const mc_weights *weights;
    unsigned bits; /* of activations */
} mc_act_site;

/* Whether this call can run so; `call` has all shapes. */
bool mc_act_integer_fits(const mc_act_site *site, const mc_call *call);

/* Fills out[0]->data, as the operator's own `run` would. in[] of the weight is not read. */
mc_status mc_act_integer_run(const mc_act_site *site, const mc_call *call, mc_err *err);

/* Most bytes of call->scratch that it takes. */
size_t mc_act_integer_scratch(const mc_act_site *site, const mc_call *call);

#endif
