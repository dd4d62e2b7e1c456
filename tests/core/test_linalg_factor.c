/* Factors against what they must satisfy. A backward stable factorization of a matrix of n rows is
 * off by a few n roundings of its size; what is made of an inverse, by that times the condition
 * (Higham, "Accuracy and Stability of Numerical Algorithms", theorems 10.3 and 10.4). */
#include "core/linalg.h"

#include "core/rng.h"

#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <string.h>

enum { N = 130, ROOM = N * N };

static double a[ROOM], b[ROOM], c[ROOM], d[ROOM];
static mc_err err;

static void draw(uint64_t stream, size_t n, double *x)
{
    for (size_t i = 0; i < n; i++) x[i] = 2.0 * (double)mc_rng_unit((mc_rng){11, stream}, i) - 1.0;
}

static mc_region room_of(size_t bytes)
{
    mc_region region;
    cr_assert_eq(mc_region_open(&region, bytes, &err), MC_OK, "%s", err.text);
    return region;
}

/* out [m x n] = op(x) op(y), by plain loops; `k` numbers in each sum. */
static void product(size_t m, size_t n, size_t k, const double *x, bool tx, const double *y,
                    bool ty, double *out)
{
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            double sum = 0.0;
            for (size_t t = 0; t < k; t++)
                sum += x[tx ? t * m + i : i * k + t] * y[ty ? j * k + t : t * n + j];
            out[i * n + j] = sum;
        }
}

/* The largest |x - y|; NaN when there is one. */
static double apart(size_t n, const double *x, const double *y)
{
    double most = 0.0;
    for (size_t i = 0; i < n; i++) {
        const double off = fabs(x[i] - y[i]);
        if (!(off <= most)) most = off;
        if (isnan(off)) return off;
    }
    return most;
}

static void identity(size_t n, double *x)
{
    for (size_t i = 0; i < n * n; i++) x[i] = i % (n + 1) == 0 ? 1.0 : 0.0;
}

static double off_identity(size_t n, const double *x)
{
    static double one[ROOM];
    identity(n, one);
    return apart(n * n, x, one);
}

static void orthogonal(size_t n, uint64_t stream, double *x)
{
    draw(stream, n * n, x);
    mc_region room = room_of(mc_qr_q_bytes(n, n));
    cr_assert_eq(mc_qr_q(n, n, x, room.arena, &err), MC_OK, "%s", err.text);
    mc_region_close(&room);
}

/* Symmetric, with eigenvalues from 1 down to 1 / condition. */
static void definite(size_t n, double condition, double *h)
{
    static double q[ROOM], scaled[ROOM];
    orthogonal(n, n, q);
    for (size_t i = 0; i < n; i++) {
        const double part = n > 1 ? (double)i / (double)(n - 1) : 0.0;
        for (size_t j = 0; j < n; j++) scaled[i * n + j] = q[i * n + j] * pow(condition, -part);
    }
    product(n, n, n, q, true, scaled, false, h);
    mc_mirror_f64(n, h, n);
}

static void expect_triangle(size_t n, const double *x, bool upper)
{
    for (size_t i = 0; i < n; i++) {
        cr_assert_gt(x[i * n + i], 0.0);
        for (size_t j = 0; j < n; j++)
            cr_assert((upper ? j >= i : j <= i) || x[i * n + j] == 0.0, "%zu, %zu: %g", i, j,
                      x[i * n + j]);
    }
}

static void spoil_half(size_t n, double *x, bool upper)
{
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++)
            if (upper ? j > i : j < i) x[i * n + j] = (double)NAN;
}

/* ---- sums of products ---- */

Test(linalg_factor, syrk_adds_the_lower_half_of_a_gram)
{
    enum { ROWS = 37, COLS = 45, GAP = 3, LDC = COLS + 2 };
    draw(1, ROWS * (COLS + GAP), a);
    draw(2, COLS * LDC, b);
    memcpy(c, b, sizeof b);
    mc_syrk_f64(COLS, ROWS, a, COLS + GAP, b, LDC);
    for (size_t i = 0; i < COLS; i++)
        for (size_t j = 0; j < LDC; j++) {
            double want = c[i * LDC + j];
            for (size_t t = 0; j <= i && t < ROWS; t++)
                want += a[t * (COLS + GAP) + i] * a[t * (COLS + GAP) + j];
            const double bound = j <= i ? ROWS * DBL_EPSILON * ROWS : 0.0;
            cr_assert(fabs(b[i * LDC + j] - want) <= bound, "%zu, %zu", i, j);
        }
    memcpy(d, b, sizeof b);
    mc_mirror_f64(COLS, b, LDC);
    for (size_t i = 0; i < COLS; i++)
        for (size_t j = 0; j < LDC; j++) {
            const double want = j < COLS && j > i ? d[j * LDC + i] : d[i * LDC + j];
            cr_assert(b[i * LDC + j] == want, "%zu, %zu", i, j);
        }
}

Test(linalg_factor, tiles_of_a_gram_add_up_to_it)
{
    enum { ROWS = 70, COLS = 90, TILE = 32 };
    draw(3, ROWS * COLS, a);
    memset(b, 0, sizeof b);
    memset(c, 0, sizeof c);
    mc_syrk_f64(COLS, ROWS, a, COLS, b, COLS);
    for (size_t i = 0; i < COLS; i += TILE)
        for (size_t j = 0; j <= i; j += TILE)
            mc_gemm_f64(COLS - i < TILE ? COLS - i : TILE, COLS - j < TILE ? COLS - j : TILE, ROWS,
                        a + i, COLS, 1, a + j, COLS, 0, 1.0, c + i * COLS + j, COLS);
    mc_mirror_f64(COLS, b, COLS);
    mc_mirror_f64(COLS, c, COLS);
    cr_assert(apart(COLS * COLS, b, c) <= ROWS * DBL_EPSILON * ROWS);
}

/* ---- triangles ---- */

Test(linalg_factor, cholesky_gives_the_matrix_back)
{
    static const size_t size[] = {1, 2, 3, 17, 64, N};
    for (size_t s = 0; s < sizeof size / sizeof *size; s++) {
        const size_t n = size[s];
        size_t pivot;
        definite(n, 1e6, a);
        memcpy(b, a, sizeof a);
        spoil_half(n, b, true);
        cr_assert(mc_cholesky(n, b, &pivot), "%zu", pivot);
        expect_triangle(n, b, false);
        product(n, n, n, b, false, b, true, c);
        cr_assert(apart(n * n, a, c) <= 4.0 * (double)n * DBL_EPSILON);

        memcpy(c, b, sizeof b);
        spoil_half(n, c, true);
        cr_assert(mc_triangle_inverse(n, c));
        for (size_t i = 0; i < n; i++)
            for (size_t j = i + 1; j < n; j++) {
                cr_assert(isnan(c[i * n + j]), "the other half was written");
                c[i * n + j] = 0.0;
            }
        product(n, n, n, c, false, b, false, d);
        cr_assert(off_identity(n, d) <= 4.0 * (double)n * DBL_EPSILON * 1e3);
    }
}

/* By plain loops: the inverse by Gauss and Jordan, then its factor row by row. */
static void plain_inverse_factor(size_t n, const double *h, double *u)
{
    long double x[16 * 16], inverse[16 * 16];
    for (size_t i = 0; i < n * n; i++) {
        x[i] = (long double)h[i];
        inverse[i] = i % (n + 1) == 0 ? 1.0L : 0.0L;
    }
    for (size_t p = 0; p < n; p++)
        for (size_t i = 0; i < n; i++) {
            if (i == p) continue;
            const long double factor = x[i * n + p] / x[p * n + p];
            for (size_t j = 0; j < n; j++) {
                x[i * n + j] -= factor * x[p * n + j];
                inverse[i * n + j] -= factor * inverse[p * n + j];
            }
        }
    for (size_t i = 0; i < n * n; i++) inverse[i] /= x[i / n * (n + 1)];
    memset(u, 0, n * n * sizeof *u);
    for (size_t i = 0; i < n; i++)
        for (size_t j = i; j < n; j++) {
            long double sum = inverse[i * n + j];
            for (size_t t = 0; t < i; t++)
                sum -= (long double)u[t * n + i] * (long double)u[t * n + j];
            u[i * n + j] = (double)(j == i ? sqrtl(sum) : sum / (long double)u[i * n + i]);
        }
}

Test(linalg_factor, inverse_factor_is_the_factor_of_the_inverse)
{
    for (size_t n = 1; n <= 16; n++) {
        definite(n, 30.0, a);
        memcpy(b, a, sizeof a);
        spoil_half(n, b, false);
        cr_assert(mc_inverse_factor(n, b, NULL));
        plain_inverse_factor(n, a, c);
        cr_assert(apart(n * n, b, c) <= 1e-12, "n %zu: %g", n, apart(n * n, b, c));
    }
}

Test(linalg_factor, inverse_factor_undoes_the_matrix)
{
    static const size_t size[] = {2, 31, 64, N};
    for (size_t s = 0; s < sizeof size / sizeof *size; s++) {
        const size_t n = size[s];
        definite(n, 1e6, a);
        memcpy(b, a, sizeof a);
        cr_assert(mc_inverse_factor(n, b, NULL));
        expect_triangle(n, b, true);
        product(n, n, n, b, true, b, false, c);
        product(n, n, n, c, false, a, false, d);
        cr_assert(off_identity(n, d) <= 1e-10, "n %zu: %g", n, off_identity(n, d));
    }
}

static void diagonal(size_t n, const double *value, double *x)
{
    memset(x, 0, n * n * sizeof *x);
    for (size_t i = 0; i < n; i++) x[i * n + i] = value[i];
}

Test(linalg_factor, the_first_bad_pivot_is_named)
{
    static const double value[][4] = {
        {1, 2, -1, 1}, {0, 1, 1, 1}, {1, 1, 1, (double)NAN}, {1, (double)INFINITY, 1, 1}};
    static const size_t where[] = {2, 0, 3, 1};
    for (size_t i = 0; i < 4; i++) {
        size_t pivot = 99;
        diagonal(4, value[i], a);
        cr_assert_not(mc_cholesky(4, a, &pivot));
        cr_assert_eq(pivot, where[i]);
        pivot = 99;
        diagonal(4, value[i], a);
        cr_assert_not(mc_inverse_factor(4, a, &pivot));
        cr_assert_eq(pivot, where[i]);
    }
    identity(N, a);
    a[100 * N + 7] = a[7 * N + 100] = (double)NAN;
    memcpy(b, a, sizeof a);
    size_t pivot = 0;
    cr_assert_not(mc_cholesky(N, b, &pivot));
    cr_assert_eq(pivot, 100u);
    cr_assert_not(mc_inverse_factor(N, a, &pivot));
    cr_assert_eq(pivot, 7u, "the reversed matrix meets row 7 behind row 100");

    diagonal(2, (const double[]){1.0, 5e-324}, a); /* the smallest number has a factor */
    cr_assert(mc_inverse_factor(2, a, &pivot));
    cr_assert(a[3] > 1e161 && isfinite(a[3]));
    cr_assert_not(mc_triangle_inverse(2, (double[]){1.0, 0.0, 3.0, 0.0}));
    cr_assert_not(mc_triangle_inverse(1, (double[]){(double)NAN}));
}

Test(linalg_factor, a_rank_deficient_gram_is_not_positive_definite)
{
    enum { ROWS = 5, COLS = 16 };
    for (size_t i = 0; i < ROWS * COLS; i++) a[i] = (double)((i * 7 + i / COLS) % 5) - 2.0;
    memset(b, 0, sizeof b);
    mc_syrk_f64(COLS, ROWS, a, COLS, b, COLS);
    for (size_t i = 0; i < COLS; i++) b[i * COLS + i] -= 1e-9; /* roundings must not save it */
    mc_mirror_f64(COLS, b, COLS);
    size_t pivot = 0;
    cr_assert_not(mc_cholesky(COLS, b, &pivot));
    cr_assert_leq(pivot, (size_t)ROWS);
}

Test(linalg_factor, nothing_and_one_number_have_factors)
{
    double x[1] = {4.0}, y[2] = {6.0, 8.0}, value[1];
    cr_assert(mc_cholesky(0, x, NULL));
    cr_assert(mc_inverse_factor(0, x, NULL));
    cr_assert(mc_triangle_inverse(0, x));
    mc_solve_spd(0, x, 2, y);
    cr_assert_eq(mc_symmetric_eigen(0, x, value, (mc_arena){0}, &err), MC_OK);
    cr_assert_eq(mc_svd(&(mc_svd_job){.n = 3}, (mc_arena){0}, &err), MC_OK);
    cr_assert_eq(mc_qr_q(3, 0, x, (mc_arena){0}, &err), MC_OK);
    cr_assert(x[0] == 4.0);

    cr_assert(mc_cholesky(1, x, NULL));
    cr_assert(x[0] == 2.0);
    mc_solve_spd(1, x, 2, y);
    cr_assert(y[0] == 1.5 && y[1] == 2.0);
    cr_assert(mc_inverse_factor(1, x, NULL));
    cr_assert_float_eq(x[0], sqrt(0.5), DBL_EPSILON);
}

Test(linalg_factor, solve_finds_what_was_multiplied)
{
    enum { ROWS = 7 };
    const size_t n = 53;
    definite(n, 1e3, a);
    draw(5, ROWS * n, b);
    product(ROWS, n, n, b, false, a, false, c);
    cr_assert(mc_cholesky(n, a, NULL));
    mc_solve_spd(n, a, ROWS, c);
    cr_assert(apart(ROWS * n, b, c) <= 8.0 * (double)n * DBL_EPSILON * 1e3 * sqrt((double)n));
}

/* ---- eigenvalues, singular values, orthogonal factors ---- */

/* The second difference: 2 - 2 cos(k pi / (n + 1)). */
Test(linalg_factor, eigenvalues_of_the_second_difference_are_known)
{
    static const size_t size[] = {1, 2, 40, N};
    for (size_t s = 0; s < sizeof size / sizeof *size; s++) {
        const size_t n = size[s];
        static double value[N];
        memset(a, 0, sizeof a);
        for (size_t i = 0; i < n; i++) {
            a[i * n + i] = 2.0;
            if (i > 0) a[i * n + i - 1] = a[(i - 1) * n + i] = -1.0;
        }
        memcpy(b, a, sizeof a);
        spoil_half(n, b, true);
        for (size_t i = 0; i < n; i++)
            for (size_t j = i + 1; j < n; j++) b[i * n + j] = 7.0; /* must not matter */
        mc_region room = room_of(mc_symmetric_eigen_bytes(n));
        cr_assert_eq(mc_symmetric_eigen(n, b, value, room.arena, &err), MC_OK, "%s", err.text);
        mc_region_close(&room);
        const double bound = 8.0 * (double)n * DBL_EPSILON * 4.0;
        for (size_t k = 0; k < n; k++) {
            const double want = 2.0 - 2.0 * cos(acos(-1.0) * (double)(k + 1) / (double)(n + 1));
            cr_assert(fabs(value[k] - want) <= bound, "%zu: %g, not %g", k, value[k], want);
        }
        product(n, n, n, b, false, b, true, c);
        cr_assert(off_identity(n, c) <= bound);
        product(n, n, n, b, false, a, false, c); /* row k is value[k] times row k */
        for (size_t i = 0; i < n * n; i++) d[i] = value[i / n] * b[i];
        cr_assert(apart(n * n, c, d) <= bound);
    }
}

static void expect_svd(size_t m, size_t n)
{
    const size_t k = m < n ? m : n;
    static double u[ROOM], s[N], vt[ROOM], scaled[ROOM];
    draw(m * 1000 + n, m * n, a);
    memcpy(b, a, sizeof a);
    mc_region room = room_of(mc_svd_bytes(m, n));
    const mc_svd_job job = {m, n, b, u, s, vt};
    cr_assert_eq(mc_svd(&job, room.arena, &err), MC_OK, "%s", err.text);
    mc_region_close(&room);

    const double bound = 8.0 * (double)(m + n) * DBL_EPSILON * (s[0] + 1.0);
    double squares = 0.0, sum = 0.0;
    for (size_t i = 0; i < k; i++) {
        cr_assert(s[i] >= 0.0 && (i == 0 || s[i] <= s[i - 1]));
        sum += s[i] * s[i];
        for (size_t j = 0; j < n; j++) scaled[i * n + j] = s[i] * vt[i * n + j];
    }
    for (size_t i = 0; i < m * n; i++) squares += a[i] * a[i];
    cr_assert(fabs(sum - squares) <= bound * (s[0] + 1.0) * (double)k);
    product(m, n, k, u, false, scaled, false, c);
    cr_assert(apart(m * n, a, c) <= bound, "%zu x %zu: %g", m, n, apart(m * n, a, c));
    product(k, k, m, u, true, u, false, c);
    cr_assert(off_identity(k, c) <= bound);
    product(k, k, n, vt, false, vt, true, c);
    cr_assert(off_identity(k, c) <= bound);
}

Test(linalg_factor, svd_takes_matrices_apart)
{
    static const size_t shape[][2] = {{1, 1},   {1, 9},   {9, 1},  {20, 20},
                                      {12, 90}, {90, 12}, {64, 65}};
    for (size_t i = 0; i < sizeof shape / sizeof *shape; i++) expect_svd(shape[i][0], shape[i][1]);
}

Test(linalg_factor, orthogonal_factor_is_unique)
{
    static const size_t shape[][2] = {{1, 1}, {7, 7}, {50, 20}, {N, N}};
    for (size_t i = 0; i < sizeof shape / sizeof *shape; i++) {
        const size_t m = shape[i][0], n = shape[i][1];
        const double bound = 8.0 * (double)m * DBL_EPSILON * sqrt((double)m);
        draw(i + 20, m * n, a);
        memcpy(b, a, sizeof a);
        mc_region room = room_of(mc_qr_q_bytes(m, n));
        cr_assert_eq(mc_qr_q(m, n, b, room.arena, &err), MC_OK, "%s", err.text);
        mc_region_close(&room);
        product(n, n, m, b, true, b, false, c);
        cr_assert(off_identity(n, c) <= bound);
        product(n, n, m, b, true, a, false, c); /* R */
        for (size_t r = 0; r < n; r++) {
            cr_assert(c[r * n + r] > 0.0, "%zu x %zu: R holds %g at %zu", m, n, c[r * n + r], r);
            for (size_t j = 0; j < r; j++) cr_assert(fabs(c[r * n + j]) <= bound);
        }
        product(m, n, n, b, false, c, false, d);
        cr_assert(apart(m * n, a, d) <= bound * (double)n);
    }
}

/* ---- what is refused ---- */

Test(linalg_factor, numbers_that_are_not_finite_are_named)
{
    double x[6] = {1, 2, 3, 4, (double)NAN, 6}, u[4], s[2], vt[6];
    mc_region room = room_of(1 << 20);
    const mc_svd_job job = {2, 3, x, u, s, vt};
    cr_assert_eq(mc_svd(&job, room.arena, &err), MC_E_FORMAT);
    cr_assert_str_eq(err.text, "singular values: the matrix holds nan in row 1, column 1");
    x[4] = 5.0;
    x[3] = (double)INFINITY;
    cr_assert_eq(mc_symmetric_eigen(2, x, s, room.arena, &err), MC_E_FORMAT);
    cr_assert_str_eq(err.text, "eigenvalues: the matrix holds inf in row 1, column 1");
    cr_assert_eq(mc_qr_q(3, 2, x, room.arena, &err), MC_E_FORMAT);
    cr_assert_str_eq(err.text, "orthogonal factor: the matrix holds inf in row 1, column 1");
    mc_region_close(&room);
}

Test(linalg_factor, what_does_not_fit_is_refused)
{
    double x[4] = {1, 0, 0, 1}, s[2];
    cr_assert_eq(mc_symmetric_eigen(2, x, s, (mc_arena){0}, &err), MC_E_BUDGET);
    cr_assert_eq(mc_qr_q(1, 2, x, (mc_arena){0}, &err), MC_E_INTERNAL);
    cr_assert_eq(mc_symmetric_eigen((size_t)1 << 33, x, s, (mc_arena){0}, &err), MC_E_UNSUPPORTED);
    cr_assert_eq(mc_symmetric_eigen(40000, x, s, (mc_arena){0}, &err), MC_E_UNSUPPORTED);
    size_t pivot;
    cr_assert_not(mc_inverse_factor((size_t)1 << 33, x, &pivot));
    cr_assert_not(mc_cholesky((size_t)1 << 33, x, &pivot));
    cr_assert_not(mc_triangle_inverse((size_t)1 << 33, x));
}
