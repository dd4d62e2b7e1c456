/* Powers and sigmoids of floats by plain arithmetic, so that compilers make vector code of the loop
 * around them and every machine gets the same bits; powf and expf promise neither. log2 by the
 * series of atanh, 2^x by the polynomial of Cephes' exp2f; both err by one part in 10^7. */
#ifndef MC_QUANT_QUICK_MATH_H
#define MC_QUANT_QUICK_MATH_H

#include <math.h>
#include <stdint.h>
#include <string.h>

static inline float quick_float(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline uint32_t quick_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* 2^y; y is taken as -126 below that and as 126 above. */
static inline float quick_exp2(float y)
{
    y = y < -126.0f ? -126.0f : y;
    y = y > 126.0f ? 126.0f : y;
    const int32_t k = (int32_t)(y + 128.5f) - 128;
    const float f = y - (float)k;
    const float frac =
        1.0f + f * (6.931472028550421e-1f +
                    f * (2.402264791363012e-1f +
                         f * (5.550332471162809e-2f +
                              f * (9.618437357674640e-3f +
                                   f * (1.339887440266574e-3f + f * 1.535336188319500e-4f)))));
    return quick_float((uint32_t)(k + 127) << 23) * frac;
}

/* Of a normal float above 0; of 0 it is about -127. */
static inline float quick_log2(float a)
{
    const uint32_t half = quick_bits(a) - 0x3f3504f3u; /* of sqrt(1/2) */
    const int32_t e = (int32_t)half >> 23;
    const float m = quick_float((half & 0x007fffffu) + 0x3f3504f3u); /* sqrt(1/2) .. sqrt(2) */
    const float t = (m - 1.0f) / (m + 1.0f), t2 = t * t;
    const float rest = 0.577078016f + t2 * (0.412198583f + t2 * 0.320598898f);
    return (float)e + t * (2.88539008f + t2 * (0.961796694f + t2 * rest));
}

/* a^p for a in [0, 1], p > 0: what falls below 2^-126 becomes 2^-126. */
static inline float quick_power(float a, float p)
{
    return quick_exp2(p * quick_log2(a));
}

static inline float quick_exp(float x)
{
    return quick_exp2(x * 1.44269504f);
}

static inline float quick_sigmoid(float x)
{
    return 1.0f / (1.0f + quick_exp(-x));
}

/* 1 / sqrt(x) for x >= 0, finite at 0 (about 1e19): three steps of Newton from the usual guess. */
static inline float quick_inverse_root(float x)
{
    float y = quick_float(0x5f3759dfu - (quick_bits(x) >> 1));
    for (int i = 0; i < 3; i++) y = y * (1.5f - 0.5f * x * y * y);
    return y;
}

#endif
