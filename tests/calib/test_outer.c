/* Sums of outer products against a plain loop in the order of the rows. */
#include "calib/outer.h"

#include "core/rng.h"
#include "tests/support/op_run.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SAMPLES = 5, M = 70, N = 37, MOST = 300 };

static float a_of[SAMPLES][MOST * M], b_of[SAMPLES][MOST * M], x_of[SAMPLES][MOST * N];
static mc_nd a_nd[SAMPLES], b_nd[SAMPLES], x_nd[SAMPLES];
static mc_site_rows a[SAMPLES], b[SAMPLES], x[SAMPLES];
static mc_err err;

/* More rows than one chunk has, none, and single ones. */
static const size_t rows_of[SAMPLES] = {3, 300, 0, 1, 129};

static mc_site_rows rows(mc_nd *nd, float *data, size_t count, size_t n, uint64_t stream)
{
    const mc_rng rng = {.seed = 3, .stream = stream};
    for (size_t i = 0; i < count * n; i++) data[i] = mc_rng_unit(rng, i) - 0.5f;
    *nd = op_f32(2, (const int64_t[]){(int64_t)count, (int64_t)n}, data);
    return mc_site_rows_of(nd);
}

static mc_outer_rows drawn(void)
{
    for (size_t s = 0; s < SAMPLES; s++) {
        a[s] = rows(&a_nd[s], a_of[s], rows_of[s], M, s);
        b[s] = rows(&b_nd[s], b_of[s], rows_of[s], M, 10 + s);
        x[s] = rows(&x_nd[s], x_of[s], rows_of[s], N, 20 + s);
    }
    return (mc_outer_rows){a, b, x, SAMPLES};
}

static mc_status sum(const mc_outer_rows *in, unsigned threads, double *out)
{
    mc_pool *pool;
    const size_t room = mc_outer_scratch(N);
    cr_assert_eq(mc_pool_open(&pool, threads, room, &err), MC_OK);
    const mc_status status = mc_outer_sum(in, pool, out, &err);
    mc_pool_close(pool);
    return status;
}

Test(outer, is_the_sum_over_all_rows)
{
    static double got[M * N], want[M * N], most[M * N];
    const mc_outer_rows in = drawn();
    memset(got, 0x7f, sizeof got); /* it is set, not added to */
    cr_assert_eq(sum(&in, 2, got), MC_OK, "%s", err.text);
    for (size_t s = 0; s < SAMPLES; s++)
        for (size_t t = 0; t < rows_of[s]; t++)
            for (size_t i = 0; i < M; i++)
                for (size_t k = 0; k < N; k++) {
                    const double d = (double)a_of[s][t * M + i] - (double)b_of[s][t * M + i];
                    want[i * N + k] += d * (double)x_of[s][t * N + k];
                    most[i * N + k] += fabs(d * (double)x_of[s][t * N + k]);
                }
    /* 433 products and sums in another order. */
    for (size_t i = 0; i < M * N; i++)
        cr_assert_leq(fabs(got[i] - want[i]), 434 * 0x1p-53 * most[i], "%zu", i);
}

Test(outer, does_not_depend_on_threads)
{
    static double one[M * N], three[M * N];
    const mc_outer_rows in = drawn();
    cr_assert_eq(sum(&in, 1, one), MC_OK);
    cr_assert_eq(sum(&in, 3, three), MC_OK);
    cr_expect_arr_eq(one, three, sizeof one);
}

Test(outer, equal_streams_give_zeros)
{
    static double got[M * N];
    mc_outer_rows in = drawn();
    in.b = a;
    memset(got, 0x7f, sizeof got);
    cr_assert_eq(sum(&in, 1, got), MC_OK);
    for (size_t i = 0; i < M * N; i++) cr_assert_eq(got[i], 0.0);
}

static void expect_refused(const mc_outer_rows *in, const char *message)
{
    static double out[M * N];
    cr_expect_eq(sum(in, 1, out), MC_E_FORMAT);
    cr_expect_str_eq(err.text, message);
}

Test(outer, refuses_rows_that_do_not_belong_together)
{
    mc_outer_rows in = drawn();
    x[1].rows = 299;
    expect_refused(&in, "sample 1: 300 rows of 70, 300 of 70 and 299 of 37 do not belong together");
    in = drawn();
    b[4].rows = 1;
    expect_refused(&in, "sample 4: 129 rows of 70, 1 of 70 and 129 of 37 do not belong together");
    in = drawn();
    x[3].n = 36;
    expect_refused(&in, "sample 3: 1 rows of 70, 1 of 70 and 1 of 36 do not belong together");
    in = drawn();
    a[3].n = 71;
    expect_refused(&in, "sample 3: 1 rows of 71, 1 of 70 and 1 of 37 do not belong together");
    in = drawn();
    x[0].groups = 2;
    expect_refused(&in, "sample 0: 3 rows of 70, 3 of 70 and 3 of 37 do not belong together");
}
