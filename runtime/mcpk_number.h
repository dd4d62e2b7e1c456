/* Small floats as numbers; part of mcpk.c. */
#ifndef MCPK_NUMBER_H
#define MCPK_NUMBER_H

#include <stdint.h>
#include <string.h>

static float from_bits(uint32_t x)
{
    float f;
    memcpy(&f, &x, sizeof f);
    return f;
}

/* Sign and magnitude with `mantissa` bits below the exponent; the exponent's bias is given. */
static float small_float(uint32_t x, unsigned mantissa, unsigned bias, uint32_t sign)
{
    const uint32_t m = x & ((1u << mantissa) - 1);
    uint32_t e = x >> mantissa;
    if (e == 0) { /* subnormal: m * 2^(1 - bias - mantissa), exact */
        const float v = (float)m * from_bits((127 + 1 - bias - mantissa) << 23);
        return sign ? -v : v;
    }
    e += 127 - bias;
    return from_bits(sign << 31 | e << 23 | m << (23 - mantissa));
}

static float from_f16(uint32_t x)
{
    const uint32_t sign = x >> 15;
    if ((x & 0x7c00u) == 0x7c00u) return from_bits(sign << 31 | 0x7f800000u | (x & 0x3ffu) << 13);
    return small_float(x & 0x7fffu, 10, 15, sign);
}

static float from_e4m3(uint32_t x)
{
    const uint32_t sign = x >> 7;
    if ((x & 0x7fu) == 0x7fu) return from_bits(sign << 31 | 0x7fc00000u);
    return small_float(x & 0x7fu, 3, 7, sign);
}

static float from_e8m0(uint32_t x)
{
    if (x == 0xffu) return from_bits(0x7fc00000u);
    return from_bits(x == 0 ? 0x00400000u : x << 23);
}

#endif
