/* Codes of whole numbers.
 *
 * A code is saturate(round_half_even(q) + zero). Clamping q to the range less the zero point gives
 * the same code, since the ends are whole numbers; what is left is small enough for 1.5 * 2^23 to
 * round it when it is added. All of it is exact in f32 and has no calls, so that loops become
 * vectors. */
#include "core/ops/op_codes_shared.h"

#include <math.h>
#include <stdint.h>

static const float shift = 0x1.8p23f;

mc_codes mc_codes_range(mc_dtype dtype)
{
    const int bits = (int)mc_dtype_about(dtype)->bits;
    const bool has_sign = dtype == MC_I8 || dtype == MC_I16 || dtype == MC_I4 || dtype == MC_I2;
    return (mc_codes){.low = has_sign ? -ldexpf(1.0f, bits - 1) : 0.0f,
                      .high = ldexpf(1.0f, has_sign ? bits - 1 : bits) - 1.0f};
}

void mc_codes_round(mc_codes range, const float *zero, float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const float from = range.low - zero[i], to = range.high - zero[i];
        float v = x[i] > from ? x[i] : from;
        v = v < to ? v : to;
        x[i] = ((v + shift) - shift) + zero[i];
    }
}

void mc_codes_round_by(mc_codes range, float zero, float *x, size_t n)
{
    const float from = range.low - zero, to = range.high - zero;
    for (size_t i = 0; i < n; i++) {
        float v = x[i] > from ? x[i] : from;
        v = v < to ? v : to;
        x[i] = ((v + shift) - shift) + zero;
    }
}

void mc_codes_store(const float *code, size_t n, mc_nd *y, size_t at)
{
    switch (mc_nd_storage(y->dtype)) {
    case MC_U8:
        for (size_t i = 0; i < n; i++) ((uint8_t *)y->data)[at + i] = (uint8_t)(int32_t)code[i];
        break;
    case MC_I8:
        for (size_t i = 0; i < n; i++) ((int8_t *)y->data)[at + i] = (int8_t)(int32_t)code[i];
        break;
    case MC_U16:
        for (size_t i = 0; i < n; i++) ((uint16_t *)y->data)[at + i] = (uint16_t)(int32_t)code[i];
        break;
    case MC_I16:
        for (size_t i = 0; i < n; i++) ((int16_t *)y->data)[at + i] = (int16_t)(int32_t)code[i];
        break;
    default:
        for (size_t i = 0; i < n; i++) ((float *)y->data)[at + i] = code[i];
    }
}

mc_dynamic_u8 mc_dynamic_range_u8(const float *x, size_t n)
{
    float least = 0.0f, most = 0.0f;
    for (size_t i = 0; i < n; i++) {
        least = x[i] < least ? x[i] : least;
        most = x[i] > most ? x[i] : most;
    }
    const float scale = most > least ? (most - least) / 255.0f : 1.0f;
    float zero = -least / scale;
    mc_codes_round_by(mc_codes_range(MC_U8), 0.0f, &zero, 1);
    return (mc_dynamic_u8){.scale = scale, .zero = zero};
}

void mc_dynamic_codes_u8(mc_dynamic_u8 range, const float *x, size_t n, float *code)
{
    for (size_t i = 0; i < n; i++) code[i] = x[i] / range.scale;
    mc_codes_round_by(mc_codes_range(MC_U8), range.zero, code, n);
}
