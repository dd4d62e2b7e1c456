/* What the tests of learned rounding share: golden numbers, moments, and how a result fares. */
#ifndef MC_TESTS_LEARNED_CASE_H
#define MC_TESTS_LEARNED_CASE_H

#include "quant/learned_shared.h"
#include "quant_case.h"
#include "tests/support/golden_model.h"

enum { GOLDEN_ROWS = 5, GOLDEN_COLS = 24, GOLDEN_SPAN = 12 };

/* An array of tests/golden/learned, f32 or f64 as it is stored. */
static inline void learned_golden(const char *name, void *out, uint64_t count)
{
    char path[512];
    snprintf(path, sizeof path, "%s/tests/golden/learned/%s.npy", MC_SOURCE_DIR, name);
    golden_read(path, out, count);
}

/* Within `bound` of the largest. */
static inline void expect_within(double bound, const float *got, const double *want, size_t n,
                                 const char *what)
{
    double most = 0.0;
    for (size_t i = 0; i < n; i++) most = fmax(most, fabs(want[i]));
    for (size_t i = 0; i < n; i++)
        cr_expect(fabs((double)got[i] - want[i]) <= bound * most, "%s[%zu] is %.9g, not %.9g", what,
                  i, (double)got[i], want[i]);
}

static inline void expect_near(const float *got, const double *want, size_t n, const char *what)
{
    expect_within(1e-6, got, want, n, what);
}

/* d G of the golden rows. */
static inline void golden_product(const float *d, float *slope)
{
    static float gram[GOLDEN_COLS * GOLDEN_COLS], wide[MC_LEARNED_TILE * GOLDEN_COLS],
        out[MC_LEARNED_TILE * GOLDEN_COLS];
    learned_golden("gram", gram, GOLDEN_COLS * GOLDEN_COLS);
    memcpy(wide, d, GOLDEN_ROWS * GOLDEN_COLS * sizeof *d);
    mc_learned_product(&(mc_learned){.n = GOLDEN_COLS, .gram = gram}, wide, out);
    memcpy(slope, out, GOLDEN_ROWS * GOLDEN_COLS * sizeof *slope);
}

/* ---- moments ---- */

enum { MOST_COLS = 160 };

typedef struct {
    double gram[MOST_COLS * MOST_COLS], cross[MOST_COLS * MOST_COLS];
    double sum[MOST_COLS], shift[MOST_COLS], square[MOST_COLS];
    mc_moments m;
} made_moments;

/* Of `rows` inputs whose neighbours are alike, and of a second stream that is off by a tenth. */
static inline void make_moments(made_moments *to, size_t n, size_t rows, uint64_t seed)
{
    const mc_rng rng = {.seed = seed, .stream = 2};
    *to = (made_moments){.m = {.n = n, .groups = 1, .rows = rows}};
    to->m.gram = to->gram;
    to->m.sum = to->sum;
    to->m.shift = to->shift;
    to->m.square = to->square;
    double x[MOST_COLS], off[MOST_COLS];
    for (size_t r = 0; r < rows; r++) {
        double carried = 0.0;
        for (size_t i = 0; i < n; i++) {
            const size_t at = 2 * (r * n + i);
            carried = 0.9 * carried + (double)mc_rng_unit(rng, at) - 0.45;
            x[i] = carried * (i % 7 == 3 ? 4.0 : 1.0);
            off[i] = 0.1 * carried + 0.1 * ((double)mc_rng_unit(rng, at + 1) - 0.5);
        }
        for (size_t i = 0; i < n; i++) {
            to->sum[i] += x[i];
            to->shift[i] += off[i];
            to->square[i] += x[i] * x[i];
            for (size_t j = 0; j < n; j++) {
                to->gram[i * n + j] += x[i] * x[j];
                to->cross[i * n + j] += off[i] * x[j];
            }
        }
    }
}

/* The codes nearest to the weights on the numbers that a result has: how many differ. */
static inline size_t moved_codes(quant_case c, const mc_qmat *q)
{
    size_t moved = 0;
    uint8_t nearest[MOST_COLS];
    for (size_t r = 0; r < c.rows; r++) {
        mc_grid_encode_row(&q->grid, q->params + r * mc_qmat_groups(q), c.w + r * c.cols,
                           mc_qmat_groups(q), c.group, nearest);
        for (size_t i = 0; i < c.cols; i++) moved += nearest[i] != q->code[r * c.cols + i];
    }
    return moved;
}

static inline double error_in_outputs(quant_case c, const char *setup)
{
    c.setup = setup;
    quant_result r = quantize(c);
    const double error = output_error(c, &r.q);
    close_result(&r);
    return error;
}

#endif
