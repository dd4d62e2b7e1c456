/* mc_gemm against plain loops. A sum of k products in float is off by at most k roundings of the
 * sum of absolute products (Higham, "Accuracy and Stability of Numerical Algorithms", 3.1). */
#include "core/linalg.h"

#include "core/pool.h"
#include "core/rng.h"

#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <string.h>

enum { ROOM = 1 << 17 };

static float a[ROOM], b[ROOM], c[ROOM], want[ROOM], most[ROOM], a_abs[ROOM], b_abs[ROOM];

static void draw(uint64_t stream, float *x, float *size)
{
    for (size_t i = 0; i < ROOM; i++) {
        x[i] = 2.0f * mc_rng_unit((mc_rng){7, stream}, i) - 1.0f;
        size[i] = fabsf(x[i]);
    }
}

/* One product with gaps of `gap` behind every row. */
static void compare(size_t m, size_t n, size_t k, int ta, int tb, float beta, size_t gap)
{
    const mc_gemm_operand oa = {a, (ta ? m : k) + gap, ta}, ob = {b, (tb ? k : n) + gap, tb};
    const mc_gemm_operand pa = {a_abs, oa.stride, ta}, pb = {b_abs, ob.stride, tb};
    const size_t ldc = n + gap;
    for (size_t i = 0; i < m * ldc; i++) {
        c[i] = want[i] = beta == 0.0f ? NAN : 0.5f - (float)(i % 3);
        most[i] = 2.0f;
    }
    mc_gemm(m, n, k, oa, ob, beta, c, ldc);
    mc_gemm_plain(m, n, k, oa, ob, beta, want, ldc);
    mc_gemm_plain(m, n, k, pa, pb, beta, most, ldc);
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < ldc; j++) {
            const size_t at = i * ldc + j;
            if (j >= n) {
                cr_assert(memcmp(&c[at], &want[at], sizeof *c) == 0, "a gap was written");
                continue;
            }
            const double off = fabs((double)c[at] - (double)want[at]);
            const double bound = ((double)k + 2.0) * (double)FLT_EPSILON * (double)most[at];
            cr_assert(off <= bound, "%zu x %zu x %zu, %d %d, beta %g: off by %g at %zu, %zu", m, n,
                      k, ta, tb, (double)beta, off, i, j);
        }
}

Test(linalg, gemm_equals_plain_loops_in_every_shape)
{
    static const size_t size[] = {1, 2, 3, 8, 17, 64, 130};
    enum { SIZES = sizeof size / sizeof *size };
    draw(1, a, a_abs);
    draw(2, b, b_abs);
    for (size_t i = 0; i < SIZES * SIZES * SIZES; i++)
        for (int t = 0; t < 8; t++)
            compare(size[i % SIZES], size[i / SIZES % SIZES], size[i / SIZES / SIZES], t & 1,
                    t >> 1 & 1, t & 4 ? 1.0f : 0.0f, i % 2 * 3);
}

Test(linalg, gemm_of_no_products_gives_zeros_or_what_was_there)
{
    float y[4] = {1.0f, NAN, 3.0f, 4.0f};
    mc_gemm(2, 2, 0, (mc_gemm_operand){a, 1, 0}, (mc_gemm_operand){b, 2, 0}, 0.0f, y, 2);
    for (size_t i = 0; i < 4; i++) cr_expect(y[i] == 0.0f);
    y[2] = 3.0f;
    mc_gemm(2, 2, 0, (mc_gemm_operand){a, 1, 0}, (mc_gemm_operand){b, 2, 0}, 1.0f, y, 2);
    cr_expect(y[2] == 3.0f);
    mc_gemm(0, 2, 3, (mc_gemm_operand){a, 3, 0}, (mc_gemm_operand){b, 2, 0}, 0.0f, y, 2);
    cr_expect(y[2] == 3.0f);
}

Test(linalg, gemm_passes_nan_on)
{
    for (size_t m = 1; m <= 2; m++) {
        float x[4] = {0.0f, 1.0f, 0.0f, 1.0f}, w[4] = {NAN, 1.0f, 2.0f, 3.0f}, y[4];
        mc_gemm(m, 2, 2, (mc_gemm_operand){x, 2, 0}, (mc_gemm_operand){w, 2, 0}, 0.0f, y, 2);
        cr_expect(isnan(y[0]), "0 * NaN, m = %zu", m);
        cr_expect(y[1] == 3.0f);
    }
}

Test(linalg, gemm_in_doubles_equals_exact_sums)
{
    /* whole numbers below 2^53: no rounding */
    enum { M = 5, N = 7, K = 19 };
    double x[M * K], w[K * N], y[M * N];
    for (int t = 0; t < 8; t++) {
        for (size_t i = 0; i < M * K; i++) x[i] = (double)(i * 7919 % 1009) - 500.0;
        for (size_t i = 0; i < K * N; i++) w[i] = (double)(i * 104729 % 2003) - 1000.0;
        for (size_t i = 0; i < M * N; i++) y[i] = 3.0;
        const int ta = t & 1, tb = t >> 1 & 1;
        mc_gemm_f64(M, N, K, x, ta ? M : K, ta, w, tb ? K : N, tb, t & 4 ? 1.0 : 0.0, y, N);
        for (size_t i = 0; i < M; i++)
            for (size_t j = 0; j < N; j++) {
                int64_t sum = t & 4 ? 3 : 0;
                for (size_t k = 0; k < K; k++)
                    sum += (int64_t)x[ta ? k * M + i : i * K + k] *
                           (int64_t)w[tb ? j * K + k : k * N + j];
                cr_assert(y[i * N + j] == (double)sum, "%zu, %zu, case %d", i, j, t);
            }
    }
}

enum { SIDE = 128 };

static mc_status multiply(void *job, size_t i, mc_arena scratch, mc_err *err)
{
    (void)scratch, (void)err;
    float *y = (float *)job + i * SIDE * SIDE;
    mc_gemm(SIDE, SIDE, SIDE, (mc_gemm_operand){a, SIDE, 0}, (mc_gemm_operand){b, SIDE, 1}, 0.0f, y,
            SIDE);
    return MC_OK;
}

Test(linalg, gemm_gives_the_same_bits_on_every_thread)
{
    static float y[16 * SIDE * SIDE];
    mc_pool *pool;
    mc_err err = {0};
    draw(1, a, a_abs);
    draw(2, b, b_abs);
    cr_assert_eq(mc_pool_open(&pool, 4, 0, &err), MC_OK, "%s", err.text);
    cr_assert_eq(mc_pool_for(pool, 16, multiply, y, &err), MC_OK, "%s", err.text);
    mc_pool_close(pool);
    for (size_t i = 1; i < 16; i++)
        cr_expect(memcmp(y, y + i * SIDE * SIDE, SIDE * SIDE * sizeof *y) == 0, "piece %zu", i);
}

Test(linalg, the_library_says_its_name)
{
    cr_expect(strncmp(mc_blas_library(), "OpenBLAS ", 9) == 0, "%s", mc_blas_library());
}
