/* Codes: rounding numbers to whole numbers of a type, and quantizing activations while a model
 * runs. */
#ifndef MC_CORE_OPS_OP_CODES_SHARED_H
#define MC_CORE_OPS_OP_CODES_SHARED_H

#include "core/nd.h"

#include <stddef.h>

typedef struct {
    float low, high;
} mc_codes;

/* What whole numbers of at most 16 bits can be. */
mc_codes mc_codes_range(mc_dtype dtype);

/* x[i] = saturate(round_half_even(x[i]) + zero[i]), whole numbers as f32; NaN: the lowest. */
void mc_codes_round(mc_codes range, const float *zero, float *x, size_t n);

/* The same with one zero point. */
void mc_codes_round_by(mc_codes range, float zero, float *x, size_t n);

/* Elements [at, at + n) of y become codes; an f32 y takes any numbers. */
void mc_codes_store(const float *code, size_t n, mc_nd *y, size_t at);

typedef struct {
    float scale, zero; /* zero is a whole number of 0..255 */
} mc_dynamic_u8;

/* As DynamicQuantizeLinear does it: numbers and 0 spread over 255 steps, scale 1 where all are 0;
 * and codes of them as f32. */
mc_dynamic_u8 mc_dynamic_range_u8(const float *x, size_t n);
void mc_dynamic_codes_u8(mc_dynamic_u8 range, const float *x, size_t n, float *code);

#endif
