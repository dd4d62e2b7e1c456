/* Linear algebra: the only place that calls BLAS and LAPACK, always with one thread. Matrices are
 * row-major; results depend on shapes and numbers alone. */
#ifndef MC_CORE_LINALG_H
#define MC_CORE_LINALG_H

#include <stddef.h>

typedef struct {
    const float *at;
    size_t stride;   /* elements from row to row as stored */
    int transposed;  /* 1: use the transpose of what is stored */
} mc_gemm_operand;

/* c[m x n, row stride ldc] = a[m x k] b[k x n] + beta c. beta is 0 or 1; with 0 c is not read. */
void mc_gemm(size_t m, size_t n, size_t k, mc_gemm_operand a, mc_gemm_operand b, float beta,
             float *c, size_t ldc);

/* The same by plain loops: the reference that tests hold mc_gemm to. */
void mc_gemm_plain(size_t m, size_t n, size_t k, mc_gemm_operand a, mc_gemm_operand b, float beta,
                   float *c, size_t ldc);

/* double throughout; c = a b + beta c. */
void mc_gemm_f64(size_t m, size_t n, size_t k, const double *a, size_t lda, int ta,
                 const double *b, size_t ldb, int tb, double beta, double *c, size_t ldc);

/* Name and version of the library behind it. */
const char *mc_blas_library(void);

#endif
