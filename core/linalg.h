/* Linear algebra: the only place that calls BLAS and LAPACK, always with one thread. Matrices are
 * row-major; results depend on shapes and numbers alone. */
#ifndef MC_CORE_LINALG_H
#define MC_CORE_LINALG_H

#include "core/arena.h"

#include <stdbool.h>
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

/* The lower half (with the diagonal) of c [n x n, row stride ldc] += x^T x, x [k x n, row stride
 * ldx]. To spread it over a pool, cut c into tiles fixed by n alone; rows i0 .. i1 and columns
 * j0 .. j1 of it are
 *     mc_gemm_f64(i1 - i0, j1 - j0, k, x + i0, ldx, 1, x + j0, ldx, 0, 1.0,
 *                 c + i0 * ldc + j0, ldc) */
void mc_syrk_f64(size_t n, size_t k, const double *x, size_t ldx, double *c, size_t ldc);

/* Makes c [n x n, row stride ldc] symmetric: its upper half becomes what the lower half says. */
void mc_mirror_f64(size_t n, double *c, size_t ldc);

/* ---- factors (linalg_factor.c): matrices without gaps between rows, more than INT_MAX rows or
 * columns are refused ---- */

/* a [n x n], symmetric positive definite, becomes its lower triangle L with a = L L^T and zeros in
 * the upper half; only the lower half is read. False when a is not positive definite or holds NaN
 * or infinity; then *pivot (may be NULL) is the first row where it shows, and a is spoilt. */
bool mc_cholesky(size_t n, double *a, size_t *pivot);

/* A lower triangle [n x n] becomes its inverse; the upper half is neither read nor written. False
 * when a number on the diagonal is 0 or not finite. */
bool mc_triangle_inverse(size_t n, double *a);

/* h [n x n], symmetric positive definite, becomes the upper triangle U with h^-1 = U^T U (what
 * GPTQ sweeps with; Frantar et al. 2022, section 3.3) and zeros in the lower half; only the upper
 * half is read. One Cholesky factor and one inverse of a triangle: the inverse of h is never made.
 * False as mc_cholesky(). */
bool mc_inverse_factor(size_t n, double *h, size_t *pivot);

/* Every row of b [rows x n] becomes the x with a x = b (equally x a = b, a is symmetric); `l` is
 * mc_cholesky() of a. */
void mc_solve_spd(size_t n, const double *l, size_t rows, double *b);

/* a [n x n], symmetric (the lower half is read), becomes its eigenvectors, one a row; value[n] are
 * the eigenvalues, rising. MC_E_FORMAT when a holds NaN or infinity. */
mc_status mc_symmetric_eigen(size_t n, double *a, double *value, mc_arena scratch, mc_err *err);
size_t mc_symmetric_eigen_bytes(size_t n);

/* a [m x n] = u diag(s) vt, with k = min(m, n): u [m x k], s [k] falling, vt [k x n]. `a` is
 * spoilt. Signs are LAPACK's. MC_E_FORMAT when a holds NaN or infinity. */
typedef struct {
    size_t m, n;
    double *a, *u, *s, *vt;
} mc_svd_job;
mc_status mc_svd(const mc_svd_job *job, mc_arena scratch, mc_err *err);
size_t mc_svd_bytes(size_t m, size_t n);

/* a [m x n], m >= n, becomes the Q of a = Q R with orthonormal columns, R upper with no negative
 * number on its diagonal: one Q only when a has full rank. MC_E_FORMAT when a holds NaN or
 * infinity. */
mc_status mc_qr_q(size_t m, size_t n, double *a, mc_arena scratch, mc_err *err);
size_t mc_qr_q_bytes(size_t m, size_t n);

/* Name and version of the library behind it. */
const char *mc_blas_library(void);

#endif
