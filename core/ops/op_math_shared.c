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

enum { LANES = 8 }; /* of sums; the order of adding hangs on it */

#define BUILD      plain
#define BUILD_NAME "plain"
#define TARGET
#include "core/ops/op_math_loops.inc"

#ifdef __x86_64__
#define BUILD      avx2
#define BUILD_NAME "avx2"
#define TARGET     __attribute__((target("avx2")))
#include "core/ops/op_math_loops.inc"
#endif

const mc_math_loops *mc_math_at(size_t i)
{
    if (i == 0) return &loops_plain;
#ifdef __x86_64__
    if (i == 1 && __builtin_cpu_supports("avx2")) return &loops_avx2;
#endif
    return NULL;
}

static const mc_math_loops *best(void)
{
    const mc_math_loops *fast = mc_math_at(1);
    return fast ? fast : &loops_plain;
}

void mc_exp_f32(const float *from, float *to, size_t n)
{
    best()->exp(from, to, n);
}

void mc_tanh_f32(const float *from, float *to, size_t n)
{
    best()->tanh(from, to, n);
}

void mc_sigmoid_f32(const float *from, float *to, size_t n)
{
    best()->sigmoid(from, to, n);
}

void mc_erf_f32(const float *from, float *to, size_t n)
{
    best()->erf(from, to, n);
}

void mc_silu_f32(const float *from, float *to, size_t n, float alpha)
{
    best()->silu(from, to, n, alpha);
}

void mc_gelu_f32(const float *from, float *to, size_t n)
{
    best()->gelu(from, to, n);
}

void mc_gelu_tanh_f32(const float *from, float *to, size_t n)
{
    best()->gelu_tanh(from, to, n);
}

double mc_exp_sum_f32(const float *from, float *to, size_t n, float shift)
{
    return best()->exp_sum(from, to, n, shift);
}

double mc_sum_f32(const float *x, size_t n)
{
    return best()->sum(x, n);
}

double mc_sum_squares_f32(const float *x, size_t n)
{
    return best()->sum_squares(x, n);
}

float mc_max_f32(const float *x, size_t n)
{
    return best()->max(x, n);
}
