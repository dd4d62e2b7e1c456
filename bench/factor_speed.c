/* The factor that GPTQ needs, by one Cholesky factorization of the reversed matrix and one
 * inversion of a triangle (core/linalg.h), beside the usual way of three steps, potrf, potri and
 * potrf again, in the same run: factor_speed [N] prints seconds of both and their ratio. One
 * thread. */
#include "core/arena.h"
#include "core/clock.h"
#include "core/linalg.h"
#include "core/rng.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The library's own LAPACK, by its Fortran names. */
void dpotrf_(const char *uplo, const int *n, double *a, const int *lda, int *info, size_t length);
void dpotri_(const char *uplo, const int *n, double *a, const int *lda, int *info, size_t length);

/* Lower in row-major is upper in column-major. */
static int three_steps(int n, double *a)
{
    int info;
    dpotrf_("U", &n, a, &n, &info, 1);
    if (info == 0) dpotri_("U", &n, a, &n, &info, 1);
    if (info == 0) dpotrf_("U", &n, a, &n, &info, 1);
    return info;
}

/* x x^T of n x 2n random numbers and a diagonal, as Grams are. */
static void fill(size_t n, double *h, float *x)
{
    const mc_rng rng = {.seed = 1};
    for (size_t i = 0; i < 2 * n * n; i++) x[i] = mc_rng_unit(rng, i) - 0.5f;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n; j++) h[i * n + j] = 0.0;
        h[i * n + i] = 0.01 * (double)n;
    }
    double *wide = malloc(2 * n * n * sizeof *wide);
    if (!wide) exit(1);
    for (size_t i = 0; i < 2 * n * n; i++) wide[i] = (double)x[i];
    mc_gemm_f64(n, n, 2 * n, wide, n, 1, wide, n, 0, 1.0, h, n);
    free(wide);
}

int main(int argc, char **argv)
{
    const size_t n = argc > 1 ? (size_t)strtoull(argv[1], NULL, 10) : 4096;
    const size_t bytes = n * n * sizeof(double);
    size_t pivot;
    double *h = malloc(bytes), *work = malloc(bytes), best[2] = {INFINITY, INFINITY};
    float *x = malloc(2 * n * n * sizeof *x);
    if (!h || !work || !x || n == 0 || n > 32768) return 1;
    fill(n, h, x);
    free(x);
    for (int round = 0; round < 3; round++) {
        memcpy(work, h, bytes);
        double start = mc_seconds();
        if (!mc_inverse_factor(n, work, &pivot)) return 1;
        double spent = mc_seconds() - start;
        if (spent < best[0]) best[0] = spent;
        memcpy(work, h, bytes);
        start = mc_seconds();
        if (three_steps((int)n, work) != 0) return 1;
        spent = mc_seconds() - start;
        if (spent < best[1]) best[1] = spent;
    }
    printf("n %zu: %.3f s, potrf potri potrf %.3f s, ratio %.3f\n", n, best[0], best[1],
           best[0] / best[1]);
    free(h);
    free(work);
    return 0;
}
