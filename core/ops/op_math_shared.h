/* Functions of f32 arrays that compilers turn into vectors: polynomials of our own, without tables,
 * branches or calls. The same bits wherever IEEE 754 holds; `to` may be `from`.
 *
 * Largest errors against the true value (tests/core/test_ops_unary.c goes over the whole range):
 * exp 1 ulp, tanh 1.5 ulp, erf 2 ulp, sigmoid 2.5 ulp; results below 2^-126 count in steps of
 * 2^-149. NaN stays NaN. */
#ifndef MC_CORE_OPS_OP_MATH_SHARED_H
#define MC_CORE_OPS_OP_MATH_SHARED_H

#include <stddef.h>

void mc_exp_f32(const float *from, float *to, size_t n);
void mc_tanh_f32(const float *from, float *to, size_t n);
void mc_sigmoid_f32(const float *from, float *to, size_t n);
void mc_erf_f32(const float *from, float *to, size_t n);

/* x * sigmoid(alpha x) */
void mc_silu_f32(const float *from, float *to, size_t n, float alpha);

/* x / 2 (1 + erf(x / sqrt(2))), and x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))). */
void mc_gelu_f32(const float *from, float *to, size_t n);
void mc_gelu_tanh_f32(const float *from, float *to, size_t n);

/* to[i] = exp(from[i] - shift); returns their sum, added in double in an order that n fixes. */
double mc_exp_sum_f32(const float *from, float *to, size_t n, float shift);

/* Sums in double of numbers, and of their squares, in an order that n fixes. */
double mc_sum_f32(const float *x, size_t n);
double mc_sum_squares_f32(const float *x, size_t n);

/* The largest; NaN when there is one, -infinity when there are none. */
float mc_max_f32(const float *x, size_t n);

/* The builds of all that for kinds of processors that run here, NULL past the end; for tests. The
 * first is the plain one; all give the same bits. */
typedef struct {
    const char *name;
    void (*exp)(const float *from, float *to, size_t n);
    void (*tanh)(const float *from, float *to, size_t n);
    void (*sigmoid)(const float *from, float *to, size_t n);
    void (*erf)(const float *from, float *to, size_t n);
    void (*gelu)(const float *from, float *to, size_t n);
    void (*gelu_tanh)(const float *from, float *to, size_t n);
    void (*silu)(const float *from, float *to, size_t n, float alpha);
    double (*exp_sum)(const float *from, float *to, size_t n, float shift);
    double (*sum)(const float *x, size_t n);
    double (*sum_squares)(const float *x, size_t n);
    float (*max)(const float *x, size_t n);
} mc_math_loops;
const mc_math_loops *mc_math_at(size_t i);

#endif
