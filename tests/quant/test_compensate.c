/* Compensation against least squares solved the plain way, and what it may never do. */
#include "quant/compensate.h"

#include "learned_case.h"

enum { ROWS = 7, COLS = 24 };

/* x (n x n) of a x = b by Gauss-Jordan elimination with pivots; a and b [n x m] are spoilt. */
static void solve_plainly(size_t n, size_t m, double *a, double *b)
{
    for (size_t k = 0; k < n; k++) {
        size_t pivot = k;
        for (size_t i = k; i < n; i++)
            if (fabs(a[i * n + k]) > fabs(a[pivot * n + k])) pivot = i;
        for (size_t j = 0; j < n; j++) {
            const double t = a[k * n + j];
            a[k * n + j] = a[pivot * n + j];
            a[pivot * n + j] = t;
        }
        for (size_t j = 0; j < m; j++) {
            const double t = b[k * m + j];
            b[k * m + j] = b[pivot * m + j];
            b[pivot * m + j] = t;
        }
        for (size_t i = 0; i < n; i++) {
            if (i == k) continue;
            const double f = a[i * n + k] / a[k * n + k];
            for (size_t j = 0; j < n; j++) a[i * n + j] -= f * a[k * n + j];
            for (size_t j = 0; j < m; j++) b[i * m + j] -= f * b[k * m + j];
        }
    }
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < m; j++) b[i * m + j] /= a[i * n + i];
}

static void compensate(const mc_moments *m, double damp, float *w, size_t rows,
                       const double *residual)
{
    mc_compensation c;
    mc_region ready, scratch;
    mc_err err = {0};
    mc_arena mem = open_exactly(&ready, mc_compensate_prepare_bytes(m->n));
    const mc_arena loan = open_exactly(&scratch, mc_compensate_scratch(rows, m->n));
    cr_assert_eq(mc_compensate_prepare(m, damp, &mem, &c, &err), MC_OK, "%s", err.text);
    cr_assert_eq(mc_compensate_rows(&c, w, rows, residual, loan, &err), MC_OK, "%s", err.text);
    mc_region_close(&scratch);
    mc_region_close(&ready);
}

/* |W y + r - W' x|^2 summed, less what no W' changes: d G d^T - 2 (W C + R) d^T. */
static double objective(const made_moments *m, const float *w, const float *to,
                        const double *residual, size_t rows)
{
    const size_t n = m->m.n;
    double sum = 0.0;
    for (size_t r = 0; r < rows; r++)
        for (size_t j = 0; j < n; j++) {
            const double d = (double)to[r * n + j] - (double)w[r * n + j];
            double slope = residual ? -2.0 * residual[r * n + j] : 0.0;
            for (size_t i = 0; i < n; i++) {
                const double di = (double)to[r * n + i] - (double)w[r * n + i];
                slope += di * m->gram[i * n + j];
                if (m->m.cross) slope -= 2.0 * (double)w[r * n + i] * m->cross[i * n + j];
            }
            sum += d * slope;
        }
    return sum;
}

Test(compensate, is_least_squares)
{
    static made_moments m;
    static double a[COLS * COLS], b[COLS * ROWS], residual[ROWS * COLS];
    float w[ROWS * COLS], before[ROWS * COLS];
    make_moments(&m, COLS, 100, 31);
    m.m.cross = m.cross;
    fill_weights(w, ROWS * COLS, 5);
    memcpy(before, w, sizeof w);
    double mean = 0.0;
    for (size_t i = 0; i < COLS; i++) mean += m.gram[i * COLS + i] / COLS;
    for (size_t i = 0; i < ROWS * COLS; i++) residual[i] = 0.3 * (double)w[(i * 7) % (ROWS * COLS)];

    /* (G + damping) W'^T = (W (G + C) + R + damping W)^T, the normal equations of the sum */
    const double damping = 0.01 * mean;
    for (size_t i = 0; i < COLS * COLS; i++)
        a[i] = m.gram[i] + (i % (COLS + 1) == 0 ? damping : 0.0);
    for (size_t r = 0; r < ROWS; r++)
        for (size_t j = 0; j < COLS; j++) {
            double sum = residual[r * COLS + j] + damping * (double)w[r * COLS + j];
            for (size_t i = 0; i < COLS; i++)
                sum += (double)w[r * COLS + i] * (m.gram[i * COLS + j] + m.cross[i * COLS + j]);
            b[j * ROWS + r] = sum;
        }
    solve_plainly(COLS, ROWS, a, b);
    compensate(&m.m, 0.01, w, ROWS, residual);
    for (size_t r = 0; r < ROWS; r++)
        for (size_t j = 0; j < COLS; j++) /* rounded to f32 once */
            cr_expect_float_eq((double)w[r * COLS + j], b[j * ROWS + r],
                               fabs(b[j * ROWS + r]) * 0x1p-23 + 1e-12);
    cr_expect_lt(objective(&m, before, w, residual, ROWS), 0.0);
}

/* With any damping, and with fewer inputs than columns. */
Test(compensate, never_raises_the_undamped_objective)
{
    static made_moments m;
    static const double damp[] = {0.0, 1e-4, 0.01, 0.3, 1.0};
    for (size_t rows = 3; rows <= 300; rows *= 10)
        for (size_t k = 0; k < sizeof damp / sizeof damp[0]; k++) {
            float w[ROWS * COLS], before[ROWS * COLS];
            make_moments(&m, COLS, rows, 32 + rows);
            m.m.cross = m.cross;
            fill_weights(w, ROWS * COLS, rows);
            memcpy(before, w, sizeof w);
            compensate(&m.m, damp[k], w, ROWS, NULL);
            for (size_t r = 0; r < ROWS; r++) {
                const size_t at = r * COLS;
                const double change = objective(&m, before + at, w + at, NULL, 1);
                cr_expect(change < 0.0, "%zu inputs, damp %g, row %zu: %g", rows, damp[k], r,
                          change);
            }
        }
}

Test(compensate, leaves_weights_alone_when_nothing_has_changed)
{
    static made_moments m;
    float w[ROWS * COLS], before[ROWS * COLS];
    make_moments(&m, COLS, 100, 33);
    fill_weights(w, ROWS * COLS, 5);
    memcpy(before, w, sizeof w);
    compensate(&m.m, 0.01, w, ROWS, NULL); /* one stream */
    cr_expect_arr_eq(w, before, sizeof w);
    memset(m.cross, 0, sizeof m.cross);
    m.m.cross = m.cross;
    compensate(&m.m, 0.01, w, ROWS, NULL); /* two that are the same */
    cr_expect_arr_eq(w, before, sizeof w);
    make_moments(&m, COLS, 0, 33);
    m.m.cross = m.cross;
    compensate(&m.m, 0.01, w, ROWS, NULL); /* and none at all */
    cr_expect_arr_eq(w, before, sizeof w);
}

Test(compensate, keeps_columns_that_met_nothing)
{
    static made_moments m;
    double residual[ROWS * COLS];
    float w[ROWS * COLS], before[ROWS * COLS];
    make_moments(&m, COLS, 100, 34);
    for (size_t i = 0; i < COLS; i++) m.gram[6 * COLS + i] = m.gram[i * COLS + 6] = 0.0;
    m.m.cross = m.cross;
    fill_weights(w, ROWS * COLS, 5);
    memcpy(before, w, sizeof w);
    for (size_t i = 0; i < ROWS * COLS; i++) residual[i] = 0.1;
    compensate(&m.m, 0.01, w, ROWS, residual);
    for (size_t r = 0; r < ROWS; r++) cr_expect_eq(w[r * COLS + 6], before[r * COLS + 6]);
    cr_expect_neq(w[0], before[0]);
}

Test(compensate, a_row_alone_gets_the_same_bits)
{
    enum { MANY = 67 };
    static made_moments m;
    static float all[MANY * COLS], one[MANY * COLS];
    make_moments(&m, COLS, 100, 35);
    m.m.cross = m.cross;
    fill_weights(all, MANY * COLS, 6);
    memcpy(one, all, sizeof all);
    compensate(&m.m, 0.01, all, MANY, NULL);
    for (size_t r = 0; r < MANY; r++) compensate(&m.m, 0.01, one + r * COLS, 1, NULL);
    cr_expect_arr_eq(one, all, sizeof all);
}

Test(compensate, refuses_what_is_not_finite)
{
    static made_moments m;
    mc_compensation c;
    mc_region ready;
    mc_err err = {0};
    make_moments(&m, COLS, 100, 36);
    m.m.cross = m.cross;
    m.cross[2 * COLS + 5] = HUGE_VAL;
    mc_arena mem = open_exactly(&ready, mc_compensate_prepare_bytes(COLS));
    cr_expect_eq(mc_compensate_prepare(&m.m, 0.01, &mem, &c, &err), MC_E_FORMAT);
    cr_expect_str_eq(err.text, "the cross moment of the inputs is infinite at columns 2 and 5");
    mc_region_close(&ready);

    m.cross[2 * COLS + 5] = 0.0;
    mc_region scratch;
    mem = open_exactly(&ready, mc_compensate_prepare_bytes(COLS));
    const mc_arena loan = open_exactly(&scratch, mc_compensate_scratch(ROWS, COLS));
    cr_assert_eq(mc_compensate_prepare(&m.m, 0.01, &mem, &c, &err), MC_OK, "%s", err.text);
    float w[ROWS * COLS];
    double residual[ROWS * COLS] = {0};
    fill_weights(w, ROWS * COLS, 6);
    residual[3 * COLS] = 1e300;
    cr_expect_eq(mc_compensate_rows(&c, w, ROWS, residual, loan, &err), MC_E_FORMAT);
    cr_expect_str_eq(err.text, "row 3, column 0: compensated weight is inf");
    mc_region_close(&scratch);
    mc_region_close(&ready);
}
