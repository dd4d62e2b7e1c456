/* Exponentials and their kin in f32.
 *
 * exp: x = n ln 2 + r with |r| <= ln 2 / 2; e^r by a polynomial, 2^n put into the exponent in two
 * halves, so that neither overflows and results below 2^-126 are rounded once. tanh and erf: an odd
 * polynomial near 0, where 1 - small would cancel, and 1 - exp(...) elsewhere; both are computed
 * and one is chosen, which is what makes a vector of it. Coefficients: weighted least squares,
 * reweighted toward the smallest largest relative error (Lawson). */
#include "core/ops/op_math_shared.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

static inline uint32_t bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline float float_of(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Adding and taking 1.5 * 2^23 rounds to a whole number, which then lies in the low bits. */
static inline float exp1(float x)
{
    const float shift = 0x1.8p23f;
    x = x < -104.0f ? -104.0f : x;
    x = x > 89.0f ? 89.0f : x;
    const float shifted = x * 0x1.715476p0f + shift;
    const float n = shifted - shift;
    /* ln 2 in two parts; the first has 15 bits, so that n times it is exact. */
    const float r = (x - n * 0x1.62e4p-1f) - n * 0x1.7f7d1cp-20f;

    float p = 0x1.9f0716p-13f;
    p = p * r + 0x1.6d8eeep-10f;
    p = p * r + 0x1.111274p-7f;
    p = p * r + 0x1.55548cp-5f;
    p = p * r + 0x1.555554p-3f;
    p = p * r + 0.5f;
    p = (r * r) * p + r + 1.0f;

    const uint32_t whole = bits_of(shifted) - bits_of(shift) + 254; /* n + 2 * 127, positive */
    const uint32_t half = whole / 2;
    return p * float_of(half << 23) * float_of((whole - half) << 23);
}

static inline float tanh1(float x)
{
    const float size = fabsf(x), s = x * x;
    float p = 0.0021429448f;
    p = p * s - 0.00817738f;
    p = p * s + 0.021700697f;
    p = p * s - 0.053946763f;
    p = p * s + 0.13333206f;
    p = p * s - 0.3333333f;
    const float near = size + size * s * p;
    const float far = 1.0f - 2.0f / (exp1(2.0f * size) + 1.0f);
    return copysignf(size < 0.625f ? near : far, x);
}

/* By the exponential of -|x| on both sides: that of |x| would overflow where the result is small
 * but not 0. */
static inline float sigmoid1(float x)
{
    const float e = exp1(-fabsf(x));
    return (x < 0.0f ? e : 1.0f) / (1.0f + e);
}

static inline float erf1(float x)
{
    const float size = fabsf(x), s = x * x;
    float p = 7.8538e-05f;
    p = p * s - 0.0008010176f;
    p = p * s + 0.005188326f;
    p = p * s - 0.026853811f;
    p = p * s + 0.112835854f;
    p = p * s - 0.37612626f;
    p = p * s + 0.12837914f; /* 2 / sqrt(pi) - 1 */
    const float near = size + size * p;

    /* log(1 - erf), up to 4; from there on erf is 1. A NaN passes, as it is not above 4. */
    const float t = size > 4.0f ? 4.0f : size;
    float q = -2.1697602e-05f;
    q = q * t + 0.00044147248f;
    q = q * t - 0.0042052837f;
    q = q * t + 0.025210338f;
    q = q * t - 0.10842209f;
    q = q * t - 0.6332164f;
    q = q * t - 1.1295803f;
    q = q * t + 0.00018846728f;
    return copysignf(size < 1.0f ? near : 1.0f - exp1(q), x);
}

void mc_exp_f32(const float *from, float *to, size_t n)
{
    for (size_t i = 0; i < n; i++) to[i] = exp1(from[i]);
}

void mc_tanh_f32(const float *from, float *to, size_t n)
{
    for (size_t i = 0; i < n; i++) to[i] = tanh1(from[i]);
}

void mc_sigmoid_f32(const float *from, float *to, size_t n)
{
    for (size_t i = 0; i < n; i++) to[i] = sigmoid1(from[i]);
}

void mc_erf_f32(const float *from, float *to, size_t n)
{
    for (size_t i = 0; i < n; i++) to[i] = erf1(from[i]);
}

void mc_silu_f32(const float *from, float *to, size_t n, float alpha)
{
    for (size_t i = 0; i < n; i++) {
        const float x = from[i];
        to[i] = x * sigmoid1(alpha * x);
    }
}

void mc_gelu_f32(const float *from, float *to, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const float x = from[i];
        to[i] = 0.5f * x * (1.0f + erf1(x * 0.70710678f));
    }
}

void mc_gelu_tanh_f32(const float *from, float *to, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const float x = from[i];
        const float inner = 0.79788456f * (x + 0.044715f * x * x * x);
        to[i] = 0.5f * x * (1.0f + tanh1(inner));
    }
}

/* ---- sums: LANES of them side by side, then the rest ---- */

enum { LANES = 8 };

static double fold(const double lane[LANES])
{
    return ((lane[0] + lane[4]) + (lane[1] + lane[5])) +
           ((lane[2] + lane[6]) + (lane[3] + lane[7]));
}

double mc_sum_f32(const float *x, size_t n)
{
    double lane[LANES] = {0.0};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        for (size_t k = 0; k < LANES; k++) lane[k] += (double)x[i + k];
    }
    for (size_t k = 0; i + k < n; k++) lane[k] += (double)x[i + k];
    return fold(lane);
}

double mc_sum_squares_f32(const float *x, size_t n)
{
    double lane[LANES] = {0.0};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        for (size_t k = 0; k < LANES; k++) lane[k] += (double)x[i + k] * (double)x[i + k];
    }
    for (size_t k = 0; i + k < n; k++) lane[k] += (double)x[i + k] * (double)x[i + k];
    return fold(lane);
}

double mc_exp_sum_f32(const float *from, float *to, size_t n, float shift)
{
    for (size_t i = 0; i < n; i++) to[i] = exp1(from[i] - shift);
    return mc_sum_f32(to, n);
}

/* Comparisons lose a NaN, so those are counted aside. */
float mc_max_f32(const float *x, size_t n)
{
    float most[LANES];
    for (size_t k = 0; k < LANES; k++) most[k] = -INFINITY;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        for (size_t k = 0; k < LANES; k++) most[k] = x[i + k] > most[k] ? x[i + k] : most[k];
    }
    for (size_t k = 0; i + k < n; k++) most[k] = x[i + k] > most[k] ? x[i + k] : most[k];
    for (size_t k = 1; k < LANES; k++) most[0] = most[k] > most[0] ? most[k] : most[0];

    uint32_t nans = 0;
    for (i = 0; i < n; i++) nans |= (uint32_t)(x[i] != x[i]);
    return nans ? NAN : most[0];
}
