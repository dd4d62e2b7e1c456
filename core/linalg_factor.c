/* Factors of matrices by LAPACK, as OpenBLAS brings it along (linalg.c keeps it to one thread).
 *
 * LAPACK is column-major. Nothing is copied for that: the lower half of a row-major matrix is the
 * upper half of a column-major one, and a row-major matrix is the transpose of a column-major one,
 * so each routine is asked for the factor whose transpose is wanted. LAPACK's C headers are not
 * needed: Fortran takes everything by pointer, and the lengths of texts behind all else. */
#include "core/linalg.h"

#include "core/ckd.h"

#include <limits.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

void dpotrf_(const char *uplo, const int *n, double *a, const int *lda, int *info, size_t);
void dtrtri_(const char *uplo, const char *diag, const int *n, double *a, const int *lda, int *info,
             size_t, size_t);
void dpotrs_(const char *uplo, const int *n, const int *nrhs, const double *a, const int *lda,
             double *b, const int *ldb, int *info, size_t);
void dsyevd_(const char *jobz, const char *uplo, const int *n, double *a, const int *lda, double *w,
             double *work, const int *lwork, int *iwork, const int *liwork, int *info, size_t,
             size_t);
void dgesdd_(const char *jobz, const int *m, const int *n, double *a, const int *lda, double *s,
             double *u, const int *ldu, double *vt, const int *ldvt, double *work, const int *lwork,
             int *iwork, int *info, size_t);
void dgelqf_(const int *m, const int *n, double *a, const int *lda, double *tau, double *work,
             const int *lwork, int *info);
void dorglq_(const int *m, const int *n, const int *k, double *a, const int *lda, const double *tau,
             double *work, const int *lwork, int *info);

/* ---- triangles ---- */

static void clear_upper(size_t n, double *a)
{
    for (size_t i = 0; i + 1 < n; i++) memset(a + i * n + i + 1, 0, (n - i - 1) * sizeof *a);
}

/* The factor in the lower half, whatever is in the upper. OpenBLAS lets NaN through, which then
 * stands on the diagonal from the first row that it reached. */
static bool factor_lower(size_t n, double *a, size_t *pivot)
{
    if (pivot) *pivot = 0;
    if (n == 0) return true;
    if (n > INT_MAX) return false;
    const int count = (int)n;
    int info = 0;
    dpotrf_("U", &count, a, &count, &info, 1);
    const size_t done = info > 0 ? (size_t)info - 1 : n;
    for (size_t i = 0; i < n; i++)
        if (i == done || !(a[i * n + i] > 0.0 && isfinite(a[i * n + i]))) {
            if (pivot) *pivot = i;
            return false;
        }
    return true;
}

bool mc_cholesky(size_t n, double *a, size_t *pivot)
{
    if (!factor_lower(n, a, pivot)) return false;
    clear_upper(n, a);
    return true;
}

bool mc_triangle_inverse(size_t n, double *a)
{
    if (n > INT_MAX) return false;
    for (size_t i = 0; i < n; i++)
        if (a[i * n + i] == 0.0 || !isfinite(a[i * n + i])) return false;
    if (n == 0) return true;
    const int count = (int)n;
    int info = 0;
    dtrtri_("U", "N", &count, a, &count, &info, 1, 1);
    return info == 0;
}

/* The order of rows and of columns reversed: the order of all elements. */
static void reverse(size_t n, double *a)
{
    if (n == 0) return;
    for (double *low = a, *high = a + n * n - 1; low < high; low++, high--) {
        const double held = *low;
        *low = *high;
        *high = held;
    }
}

/* With J the reversal, J h J = L L^T gives h^-1 = (J L^-1 J)^T (J L^-1 J), and the factor in
 * brackets is upper. */
bool mc_inverse_factor(size_t n, double *h, size_t *pivot)
{
    if (n > INT_MAX) return factor_lower(n, h, pivot);
    reverse(n, h);
    if (!factor_lower(n, h, pivot)) {
        if (pivot) *pivot = n - 1 - *pivot;
        return false;
    }
    if (!mc_triangle_inverse(n, h)) return false;
    clear_upper(n, h);
    reverse(n, h);
    return true;
}

void mc_solve_spd(size_t n, const double *l, size_t rows, double *b)
{
    if (n == 0 || n > INT_MAX) return;
    const int count = (int)n;
    for (size_t done = 0; done < rows;) {
        const int now = rows - done < INT_MAX ? (int)(rows - done) : INT_MAX;
        int info = 0;
        dpotrs_("U", &count, &now, l, &count, b + done * n, &count, &info, 1);
        done += (size_t)now;
    }
}

/* ---- what needs room ---- */

/* Room for `count` things in an arena. */
static size_t room(size_t count, size_t size)
{
    return (count * size + 63) / 64 * 64 + 64;
}

/* LAPACK counts its work space in int, too; it never needs more than 4 k^2 + 64 (m + n + k). */
static bool countable(size_t m, size_t n)
{
    const uint64_t k = m < n ? m : n;
    return m <= INT_MAX / 256 && n <= INT_MAX / 256 && 4 * k * k + 256 * (m + n) <= INT_MAX;
}

static mc_status check(size_t m, size_t n, const double *a, const char *what, mc_err *err)
{
    if (!countable(m, n))
        return mc_fail(err, MC_E_UNSUPPORTED, "%s of a matrix of %zu x %zu: too large for LAPACK",
                       what, m, n);
    for (size_t i = 0; i < m * n; i++)
        if (!isfinite(a[i]))
            return mc_fail(err, MC_E_FORMAT, "%s: the matrix holds %g in row %zu, column %zu", what,
                           a[i], i / n, i % n);
    return MC_OK;
}

static mc_status finished(int info, const char *what, mc_err *err)
{
    if (info == 0) return MC_OK;
    return mc_fail(err, MC_E_INTERNAL, "%s did not converge (LAPACK says %d)", what, info);
}

/* dsyevd: 1 + 6 n + 2 n^2 and 3 + 5 n. */
static size_t eigen_work(size_t n)
{
    return 1 + 6 * n + 2 * n * n;
}

size_t mc_symmetric_eigen_bytes(size_t n)
{
    return room(eigen_work(n), sizeof(double)) + room(3 + 5 * n, sizeof(int));
}

mc_status mc_symmetric_eigen(size_t n, double *a, double *value, mc_arena scratch, mc_err *err)
{
    if (n == 0) return MC_OK;
    static const char what[] = "eigenvalues";
    MC_TRY(check(n, n, a, what, err));
    const int count = (int)n, lwork = (int)eigen_work(n), liwork = (int)(3 + 5 * n);
    double *work = MC_NEW_RAW(&scratch, double, (size_t)lwork);
    int *iwork = MC_NEW_RAW(&scratch, int, (size_t)liwork);
    if (!work || !iwork) return mc_no_room(err, what);
    int info = 0;
    dsyevd_("V", "U", &count, a, &count, value, work, &lwork, iwork, &liwork, &info, 1, 1);
    return finished(info, what, err);
}

/* What LAPACK asks for. */
static size_t svd_work(size_t m, size_t n)
{
    const int rows = (int)n, cols = (int)m, k = rows < cols ? rows : cols, ask = -1;
    double none = 0.0, best = 0.0;
    int info = 0, unused = 0;
    dgesdd_("S", &rows, &cols, &none, &rows, &none, &none, &rows, &none, &k, &best, &ask, &unused,
            &info, 1);
    return info == 0 && best >= 1.0 ? (size_t)best : 1;
}

size_t mc_svd_bytes(size_t m, size_t n)
{
    if (m == 0 || n == 0 || !countable(m, n)) return 0;
    return room(svd_work(m, n), sizeof(double)) + room(8 * (m < n ? m : n), sizeof(int));
}

/* LAPACK sees a^T = V S U^T, so it puts vt where it has u, and u where it has vt. */
mc_status mc_svd(const mc_svd_job *job, mc_arena scratch, mc_err *err)
{
    const size_t m = job->m, n = job->n;
    if (m == 0 || n == 0) return MC_OK;
    static const char what[] = "singular values";
    MC_TRY(check(m, n, job->a, what, err));
    const int rows = (int)n, cols = (int)m, k = rows < cols ? rows : cols;
    const int lwork = (int)svd_work(m, n);
    double *work = MC_NEW_RAW(&scratch, double, (size_t)lwork);
    int *iwork = MC_NEW_RAW(&scratch, int, 8 * (size_t)k);
    if (!work || !iwork) return mc_no_room(err, what);
    int info = 0;
    dgesdd_("S", &rows, &cols, job->a, &rows, job->s, job->vt, &rows, job->u, &k, work, &lwork,
            iwork, &info, 1);
    return finished(info, what, err);
}

enum { QR_BLOCK = 32 }; /* columns that LAPACK takes at a time: work space of that many rows */

size_t mc_qr_q_bytes(size_t m, size_t n)
{
    (void)m;
    return 2 * room(n, sizeof(double)) + room(n * QR_BLOCK, sizeof(double));
}

/* LAPACK sees a^T = R^T Q^T: a lower triangle times orthonormal rows. */
mc_status mc_qr_q(size_t m, size_t n, double *a, mc_arena scratch, mc_err *err)
{
    if (m < n)
        return mc_fail(err, MC_E_INTERNAL, "orthogonal factor of a matrix of %zu x %zu", m, n);
    if (n == 0) return MC_OK;
    static const char what[] = "orthogonal factor";
    MC_TRY(check(m, n, a, what, err));
    const int rows = (int)n, cols = (int)m, lwork = (int)n * QR_BLOCK;
    double *tau = MC_NEW_RAW(&scratch, double, n), *sign = MC_NEW_RAW(&scratch, double, n);
    double *work = MC_NEW_RAW(&scratch, double, (size_t)lwork);
    if (!tau || !sign || !work) return mc_no_room(err, what);

    int info = 0;
    dgelqf_(&rows, &cols, a, &rows, tau, work, &lwork, &info);
    MC_TRY(finished(info, what, err));
    for (size_t j = 0; j < n; j++) sign[j] = a[j * n + j] < 0.0 ? -1.0 : 1.0;
    dorglq_(&rows, &cols, &rows, a, &rows, tau, work, &lwork, &info);
    MC_TRY(finished(info, what, err));
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) a[i * n + j] *= sign[j];
    return MC_OK;
}
