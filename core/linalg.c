/* Linear algebra by OpenBLAS, which is told once, before main, to keep to the caller's thread.
 *
 * BLAS counts in int, so larger sizes take the plain loops. The plain loops are also the reference
 * that the fast ones are held to. */
#include "core/linalg.h"

#include <limits.h>
#include <stdbool.h>

#include <cblas.h>

/* Before main there are no other threads that could race for the setting. */
__attribute__((constructor)) static void one_thread(void)
{
    openblas_set_num_threads(1);
}

const char *mc_blas_library(void)
{
    return openblas_get_config();
}

/* ---- plain ---- */

/* Sums are of doubles, so that the reference is the closer one. */
void mc_gemm_plain(size_t m, size_t n, size_t k, mc_gemm_operand a, mc_gemm_operand b, float beta,
                   float *c, size_t ldc)
{
    const size_t a_row = a.transposed ? 1 : a.stride, a_step = a.transposed ? a.stride : 1;
    const size_t b_step = b.transposed ? 1 : b.stride, b_col = b.transposed ? b.stride : 1;
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            double sum = beta != 0.0f ? (double)beta * (double)c[i * ldc + j] : 0.0;
            for (size_t t = 0; t < k; t++)
                sum += (double)a.at[i * a_row + t * a_step] * (double)b.at[t * b_step + j * b_col];
            c[i * ldc + j] = (float)sum;
        }
}

static void gemm_plain_f64(size_t m, size_t n, size_t k, const double *a, size_t lda, int ta,
                           const double *b, size_t ldb, int tb, double beta, double *c, size_t ldc)
{
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            double sum = beta != 0.0 ? beta * c[i * ldc + j] : 0.0;
            for (size_t t = 0; t < k; t++)
                sum += a[ta ? t * lda + i : i * lda + t] * b[tb ? j * ldb + t : t * ldb + j];
            c[i * ldc + j] = sum;
        }
}

/* ---- by BLAS ---- */

static enum CBLAS_TRANSPOSE transpose(int transposed)
{
    return transposed ? CblasTrans : CblasNoTrans;
}

static bool fits_int(size_t a, size_t b, size_t c)
{
    return a <= INT_MAX && b <= INT_MAX && c <= INT_MAX;
}

/* out[i * step] = sum over t of op(mat)[i][t] * vec[t * vec_step] + beta out[i * step]. What was in
 * `out` is cleared here: libraries differ in what 0 * NaN becomes. */
static void matrix_vector(mc_gemm_operand mat, size_t rows, size_t k, const float *vec,
                          size_t vec_step, float beta, float *out, size_t step)
{
    for (size_t i = 0; beta == 0.0f && i < rows; i++) out[i * step] = 0.0f;
    const int stored_rows = (int)(mat.transposed ? k : rows);
    const int stored_cols = (int)(mat.transposed ? rows : k);
    cblas_sgemv(CblasRowMajor, transpose(mat.transposed), stored_rows, stored_cols, 1.0f, mat.at,
                (int)mat.stride, vec, (int)vec_step, 1.0f, out, (int)step);
}

void mc_gemm(size_t m, size_t n, size_t k, mc_gemm_operand a, mc_gemm_operand b, float beta,
             float *c, size_t ldc)
{
    if (m == 0 || n == 0) return;
    const bool fits = fits_int(m, n, k) && fits_int(a.stride, b.stride, ldc);
    if (k == 0 || !fits) {
        mc_gemm_plain(m, n, k, a, b, beta, c, ldc);
    } else if (m == 1) {
        const mc_gemm_operand flipped = {b.at, b.stride, !b.transposed};
        matrix_vector(flipped, n, k, a.at, a.transposed ? a.stride : 1, beta, c, 1);
    } else if (n == 1) {
        matrix_vector(a, m, k, b.at, b.transposed ? 1 : b.stride, beta, c, ldc);
    } else {
        cblas_sgemm(CblasRowMajor, transpose(a.transposed), transpose(b.transposed), (int)m, (int)n,
                    (int)k, 1.0f, a.at, (int)a.stride, b.at, (int)b.stride, beta, c, (int)ldc);
    }
}

void mc_gemm_f64(size_t m, size_t n, size_t k, const double *a, size_t lda, int ta, const double *b,
                 size_t ldb, int tb, double beta, double *c, size_t ldc)
{
    if (m == 0 || n == 0) return;
    if (k == 0 || !fits_int(m, n, k) || !fits_int(lda, ldb, ldc)) {
        gemm_plain_f64(m, n, k, a, lda, ta, b, ldb, tb, beta, c, ldc);
        return;
    }
    cblas_dgemm(CblasRowMajor, transpose(ta), transpose(tb), (int)m, (int)n, (int)k, 1.0, a,
                (int)lda, b, (int)ldb, beta, c, (int)ldc);
}

void mc_syrk_f64(size_t n, size_t k, const double *x, size_t ldx, double *c, size_t ldc)
{
    if (n == 0 || k == 0) return;
    if (!fits_int(n, k, ldx) || ldc > INT_MAX) {
        for (size_t i = 0; i < n; i++)
            gemm_plain_f64(1, i + 1, k, x + i, ldx, 1, x, ldx, 0, 1.0, c + i * ldc, ldc);
        return;
    }
    cblas_dsyrk(CblasRowMajor, CblasLower, CblasTrans, (int)n, (int)k, 1.0, x, (int)ldx, 1.0, c,
                (int)ldc);
}

/* Tile by tile: a column of a large matrix meets a new page in every row. */
void mc_mirror_f64(size_t n, double *c, size_t ldc)
{
    enum { TILE = 32 };
    for (size_t i0 = 0; i0 < n; i0 += TILE)
        for (size_t j0 = 0; j0 <= i0; j0 += TILE)
            for (size_t i = i0; i < n && i < i0 + TILE; i++)
                for (size_t j = j0; j < i && j < j0 + TILE; j++) c[j * ldc + i] = c[i * ldc + j];
}
