/* Operators on quantized tensors: what products and convolutions share. */
#ifndef MC_CORE_OPS_OP_QLINEAR_SHARED_H
#define MC_CORE_OPS_OP_QLINEAR_SHARED_H

#include "core/op.h"

#include <stddef.h>
#include <stdint.h>

/* U8 and I8, ended by MC_DTYPE_NONE. */
extern const mc_dtype mc_qlinear_codes[];

/* x[i] - zero for elements [first, first + n), as f32. */
void mc_qlinear_load(const mc_nd *x, size_t first, size_t n, float zero, float *to);

/* y = saturate(round_half_even(sum * by) + zero) into elements [at, at + n) of y. */
void mc_qlinear_store(const int32_t *sum, size_t n, float by, float zero, mc_nd *y, size_t at);

/* ConvInteger and QLinearConv (op_qlinear_conv.c). */
mc_status mc_conv_integer_shape(const mc_call *call, mc_err *err);
mc_status mc_conv_integer_run(const mc_call *call, mc_err *err);
size_t mc_conv_integer_scratch(const mc_call *call);
mc_status mc_qlinear_conv_shape(const mc_call *call, mc_err *err);
mc_status mc_qlinear_conv_run(const mc_call *call, mc_err *err);
size_t mc_qlinear_conv_scratch(const mc_call *call);

#endif
