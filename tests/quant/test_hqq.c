/* Half-quadratic offsets: below rtn and mse in their norm, and below the published iterations. */
#include "quant_case.h"

enum { ROWS = 4, COLS = 256 };

static float w[ROWS * COLS];

static quant_case case_of(const char *setup, mc_grid grid, size_t group)
{
    fill_weights(w, ROWS * COLS, 51);
    return (quant_case){
        .setup = setup, .grid = grid, .w = w, .rows = ROWS, .cols = COLS, .group = group};
}

static double error_with(quant_case c, const char *setup, double norm)
{
    c.setup = setup;
    return error_after(c, norm);
}

Test(hqq, is_below_rtn_and_not_above_mse_in_its_norm)
{
    static const mc_offset offset[] = {MC_OFFSET_ZERO, MC_OFFSET_FREE};
    static const mc_dtype dtype[] = {MC_F16, MC_BF16, MC_F32};
    for (size_t o = 0; o < 2; o++)
        for (unsigned bits = 2; bits <= 8; bits++)
            for (size_t d = 0; d < 3; d++)
                for (size_t group = 16; group <= COLS; group *= 4) {
                    const quant_case c = case_of("hqq", int_grid(bits, offset[o], dtype[d]), group);
                    const double own = error_with(c, "hqq", 0.7);
                    const double rtn = error_with(c, "rtn", 0.7), mse = error_with(c, "mse", 0.7);
                    cr_expect(own <= rtn && own <= mse, "%u bits, group %zu: %g, rtn %g, mse %g",
                              bits, group, own, rtn, mse);
                    if (bits <= 3)
                        cr_expect(own < rtn, "%u bits: nothing gained over %g", bits, rtn);
                }
}

/* The same, group by group: the sum hides nothing. */
Test(hqq, is_not_above_mse_in_any_group)
{
    const quant_case c = case_of("hqq", int_grid(2, MC_OFFSET_ZERO, MC_F16), 32);
    for (size_t i = 0; i < ROWS * COLS; i += 32) {
        quant_case one = c;
        one.w = c.w + i;
        one.rows = 1;
        one.cols = 32;
        const double own = error_with(one, "hqq", 0.7), mse = error_with(one, "mse", 0.7);
        cr_expect(own <= mse, "group %zu: %g, mse %g", i / 32, own, mse);
    }
}

Test(hqq, works_on_tables_with_an_offset)
{
    static const char *const table[] = {"nf4", "iq4_nl", "e2m1", "ternary", "binary"};
    for (size_t t = 0; t < sizeof table / sizeof table[0]; t++) {
        quant_case c = case_of("hqq", table_grid(table[t], MC_OFFSET_FREE, MC_F16), 64);
        for (size_t i = 0; i < ROWS * COLS; i++) w[i] += 0.02f;
        const double own = error_with(c, "hqq", 0.7), mse = error_with(c, "mse", 0.7);
        cr_expect(own < mse, "%s: %g, mse %g", table[t], own, mse);
    }
}

/* The published iterations in double, with the scale of the range and a free zero: beta grows by
 * kappa, 20 rounds, the best of them. Returns the sum of |w - v|^p. */
static double published(const float *x, size_t n, unsigned bits, double p)
{
    const double top = (double)((1u << bits) - 1u);
    double low = HUGE_VAL, high = -HUGE_VAL, best = HUGE_VAL, beta = 10.0;
    for (size_t i = 0; i < n; i++) {
        low = fmin(low, (double)x[i]);
        high = fmax(high, (double)x[i]);
    }
    const double inverse = top / (high - low);
    double zero = -low * inverse;
    for (int round = 0; round < 20; round++, beta *= 1.01) {
        double cost = 0.0, next = 0.0;
        for (size_t i = 0; i < n; i++) {
            const double q = fmin(top, fmax(0.0, rint((double)x[i] * inverse + zero)));
            const double off = (double)x[i] - (q - zero) / inverse, a = fabs(off);
            const double kept = a > 0.0 ? fmax(0.0, a - pow(a, p - 1.0) / beta) : 0.0;
            cost += pow(a, p);
            next += q - ((double)x[i] - copysign(kept, off)) * inverse;
        }
        best = fmin(best, cost);
        zero = next / (double)n;
    }
    return best;
}

Test(hqq, is_below_the_published_iterations)
{
    for (unsigned bits = 2; bits <= 4; bits++)
        for (size_t group = 32; group <= 128; group *= 2) {
            const quant_case c = case_of("hqq", int_grid(bits, MC_OFFSET_FREE, MC_F16), group);
            double theirs = 0.0;
            for (size_t i = 0; i < ROWS * COLS; i += group)
                theirs += published(w + i, group, bits, 0.7);
            const double own = error_with(c, "hqq", 0.7);
            cr_expect(own < theirs, "%u bits, group %zu: %g, theirs %g", bits, group, own, theirs);
        }
}

Test(hqq, minimises_the_norm_that_it_was_given)
{
    static const struct {
        const char *setup;
        double p;
    } norms[] = {{"hqq:p=0.1", 0.1}, {"hqq:p=0.4", 0.4}, {"hqq:p=1", 1.0}};
    for (size_t k = 0; k < 3; k++)
        for (int offset = MC_OFFSET_ZERO; offset <= MC_OFFSET_FREE; offset++) {
            const quant_case c = case_of("hqq", int_grid(3, (mc_offset)offset, MC_F16), 64);
            const double own = error_with(c, norms[k].setup, norms[k].p);
            const double mse = error_with(c, "mse", norms[k].p);
            cr_expect(own < mse, "%s, offset %d: %g, mse %g", norms[k].setup, offset, own, mse);
        }
}

Test(hqq, listens_to_each_parameter)
{
    const quant_case c = case_of("hqq", int_grid(3, MC_OFFSET_FREE, MC_F32), 128);
    const double usual = error_with(c, "hqq", 0.7);
    cr_expect_lt(usual, error_with(c, "hqq:p=1", 0.7));
    cr_expect_lt(usual, error_with(c, "hqq:iterations=1", 0.7));
    cr_expect_neq(usual, error_with(c, "hqq:beta=1", 0.7));
    cr_expect_neq(usual, error_with(c, "hqq:kappa=1.5", 0.7));
}

Test(hqq, refuses_two_level_scales)
{
    mc_grid grid = int_grid(4, MC_OFFSET_FREE, MC_F16);
    grid.sub_bits = 6;
    grid.super = 8;
    quant_result r = try_quantize(case_of("hqq", grid, 32));
    cr_expect_eq(r.status, MC_E_UNSUPPORTED);
    cr_expect_str_eq(r.err.text, "method hqq: it fits each group alone, so it needs plain scales");
    close_result(&r);
}
