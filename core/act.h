/* Activations and caches as a device quantizes them (core/act_spec.h): the rounding itself, and
 * sites that compute in integers.
 *
 * A dynamic scale belongs to a row: a token for matrices (the last axis), a whole sample for
 * convolutions. Symmetric: max |x| / (2^(b-1) - 1). Asymmetric: (most - least) / (2^b - 1) with 0
 * between them, zero = rint(-2^(b-1) - least / scale). Scales that come to nothing make every code
 * the zero. NaN or an infinity makes its whole row NaN, under static scales too. */
#ifndef MC_CORE_ACT_H
#define MC_CORE_ACT_H

#include "core/act_spec.h"
#include "core/exec.h"

/* Every site alike: symmetric, a scale for each row. */
mc_act_spec mc_act_dynamic(unsigned bits);

/* Can it be simulated? 2 to 8 bits or 16, scales finite and above 0, zeros that are codes. What the
 * mode leaves unused must be 0. MC_E_UNSUPPORTED and MC_E_FORMAT name what was found. */
mc_status mc_act_check(const mc_act_spec *spec, mc_err *err);
bool mc_act_same(const mc_act_spec *a, const mc_act_spec *b);

/* How the activation of a site lies: element e of channel c of a row is at [row][c][e]. False where
 * activations are not numbers to be rounded (indices of embeddings). */
typedef struct {
    size_t rows, channels, inner;
} mc_act_shape;
bool mc_act_shape_of(mc_site_kind kind, const mc_nd *x, mc_act_shape *out);

/* The codes of a row, dynamic or with one static scale, of at most 8 bits; and what they mean:
 * scale (code - zero). The scale of a row with NaN or infinity is NaN and its codes are 0. */
typedef struct {
    float scale;
    int zero;
} mc_act_grid;
mc_act_grid mc_act_codes(const mc_act_spec *spec, const float *x, size_t n, int8_t *code);

/* What the codes stand for, in place of x. Static scales: one, or as many as channels. */
void mc_act_round(const mc_act_spec *spec, const mc_act_shape *shape, float *x);

/* The rotation that stands in front of the codes; channels must lie side by side (inner 1).
 * `scratch`: mc_act_rotate_scratch() of the block and the channels. MC_E_USAGE: the block does not
 * divide a row. */
mc_status mc_act_rotate(const mc_act_spec *spec, const mc_act_shape *shape, float *x,
                        mc_arena scratch, mc_err *err);
size_t mc_act_rotate_scratch(size_t block, size_t channels);

/* ---- sites in integers: codes times codes into int32, scales after ----
 *
 * y[t, o] = s_t sum_g (s_(o,g) acc + m_(o,g) sum_k (a[t,k] - z_t)) + bias,
 * acc = sum_k a[t,k] (u[o,k] - z_(o,g)) - z_t sum_k (u[o,k] - z_(o,g)),
 *
 * the inner sums exact in integers and, whatever the activations are, below 2^31; the outer one in
 * f32 by group. For weights on integer levels that reach their node unchanged: Linear, MatMul by a
 * matrix, Gemm without factors, Conv. Static scales for each channel do not leave the inner sum and
 * codes of 16 bits do not fit: those sites compute in floats.
 *
 * With a static scale and one scale for each output the bias is an integer as well, as devices have
 * it: rint(bias / (s s_o)), added to acc. An output whose bias does not fit beside its sum (a scale
 * next to nothing) takes it in f32 behind.
 *
 * Equal to float arithmetic on the rounded numbers but for f32 rounding, (k + 2) 2^-23 of the sum
 * of |terms| of k products, and for an integer bias s s_o / 2. */

typedef struct {
    const mc_site *site;
    const mc_weights *weights;
    const mc_act_spec *act;
} mc_act_site;

/* Whether this call can run so; `call` has all shapes. */
bool mc_act_integer_fits(const mc_act_site *site, const mc_call *call);

/* Fills out[0]->data, as the operator's own `run` would. in[] of the weight is not read. */
mc_status mc_act_integer_run(const mc_act_site *site, const mc_call *call, mc_err *err);

/* Float arithmetic on rounded numbers takes the bias that integers would: whether this call's bias
 * is such (one for each output, as a whole number), and its rounding in place. */
bool mc_act_bias_rounds(const mc_act_site *site, const mc_call *call);
mc_status mc_act_round_bias(const mc_act_site *site, const mc_call *call, float *bias, mc_err *err);

/* Most bytes of call->scratch that it takes. */
size_t mc_act_integer_scratch(const mc_act_site *site, const mc_call *call);

/* ---- caches of keys and values ----
 *
 * A cache of n tokens holds those of full groups that are older than the window as codes:
 * floor(max(0, n - window) / group) * group of them, the oldest. A group of keys shares a scale in
 * each channel, `group` channels of a value share one. With least and most of such numbers, and
 * c = max |x|:
 *
 *     scale = max((most - least) / (2^b - 1), c / 32767), zero = -rint(least / scale)
 *     code  = clamp(rint(x / scale) + zero, 0, 2^b - 1)
 *
 * The range need not hold 0, so that zeros are integers of 16 bits (the bound on the scale). NaN or
 * an infinity makes all numbers that share its scale NaN. */

/* 2 to 8 bits or 16, a group of at least 1. */
mc_status mc_kv_check(const mc_kv_spec *spec, mc_err *err);

/* Does it change anything? (16 bits do not, a rotation alone does not either.) */
bool mc_kv_rounds(const mc_kv_spec *spec);

/* How many of n cached tokens are codes. */
size_t mc_kv_coded(const mc_kv_spec *spec, size_t n);

/* Rounds `tokens` (whole groups of them) rows of `size` numbers that lie side by side. */
void mc_kv_round_keys(const mc_kv_spec *spec, float *x, size_t tokens, size_t size);
void mc_kv_round_values(const mc_kv_spec *spec, float *x, size_t tokens, size_t size);

#endif
