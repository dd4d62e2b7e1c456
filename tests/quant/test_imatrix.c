/* The weighted search: better than mse by its own measure, and mse where all columns count the
 * same. */
#include "quant_case.h"
#include "tests/support/draw.h"
#include "tests/support/gram_case.h"

enum { N = 256, GROUP = 32 };

static double square[N];
static mc_moments moments = {.n = N, .groups = 1, .rows = 50, .square = square};

static quant_case case_of(const char *setup, mc_grid grid, const float *w)
{
    return (quant_case){.setup = setup,
                        .grid = grid,
                        .w = w,
                        .rows = 1,
                        .cols = N,
                        .group = GROUP,
                        .moments = &moments};
}

static double weighted_after(quant_case c)
{
    quant_result r = quantize(c);
    const double error = weighted_error(c, &r.q, 2.0);
    close_result(&r);
    return error;
}

Test(imatrix, beats_mse_by_its_own_measure)
{
    const mc_grid grid[] = {
        int_grid(4, MC_OFFSET_NONE, MC_F16),       int_grid(3, MC_OFFSET_ZERO, MC_F16),
        int_grid(2, MC_OFFSET_ZERO, MC_F16),       int_grid(3, MC_OFFSET_FREE, MC_BF16),
        table_grid("nf4", MC_OFFSET_NONE, MC_F16), table_grid("e2m1", MC_OFFSET_NONE, MC_F8_E8M0)};
    float w[N];
    gram_of_rows(N, 50, 3, (gram_sums){.square = square});
    for (size_t g = 0; g < sizeof grid / sizeof grid[0]; g++) {
        double all = 0.0, all_mse = 0.0;
        for (int kind = 0; kind < DRAW_KINDS; kind++) {
            draw_weights((draw_kind)kind, 5, w, N);
            mc_quant_facts facts = {0};
            quant_case c = case_of("imatrix", grid[g], w);
            c.facts = &facts;
            const double own = weighted_after(c);
            c.facts = NULL;
            c.setup = "mse";
            const double mse = weighted_after(c);
            cr_expect(own <= mse * (1.0 + 1e-3), "grid %zu, %s: %g, mse has %g", g,
                      draw_name((draw_kind)kind), own, mse);
            cr_expect(facts.end <= facts.start * (1.0 + 1e-3) && facts.end >= 0.0);
            all += own / (mse + 1e-30);
            all_mse += 1.0;
        }
        const double share = grid[g].scale_dtype == MC_F8_E8M0 ? 1.0 : 0.97; /* it has few scales */
        cr_expect_lt(all, share * all_mse, "grid %zu: %g of %g", g, all, all_mse);
    }
}

static void expect_codes_of_mse(double value)
{
    float w[N];
    fill_weights(w, N, 7);
    const mc_grid grid = int_grid(4, MC_OFFSET_ZERO, MC_F16);
    for (size_t i = 0; i < N; i++) square[i] = value;
    quant_result a = quantize(case_of("imatrix", grid, w)), b = quantize(case_of("mse", grid, w));
    cr_expect_arr_eq(a.q.code, b.q.code, N, "squares of %g", value);
    close_result(&a);
    close_result(&b);
}

Test(imatrix, is_mse_where_all_columns_count_the_same)
{
    static const double values[] = {1.0, 0.0, 1e300, 1e-300, 3.7};
    for (size_t i = 0; i < 5; i++) expect_codes_of_mse(values[i]);
}

/* A group whose columns met nothing is still fitted. */
Test(imatrix, fits_groups_that_met_nothing_as_mse_does)
{
    float w[N];
    fill_weights(w, N, 8);
    for (size_t i = 0; i < N; i++) square[i] = i < GROUP ? 0.0 : 1.0;
    const mc_grid grid = int_grid(3, MC_OFFSET_NONE, MC_F16);
    quant_result a = quantize(case_of("imatrix", grid, w)), b = quantize(case_of("mse", grid, w));
    cr_expect_eq(a.q.params[0].scale, b.q.params[0].scale);
    cr_expect_arr_eq(a.q.code, b.q.code, N);
    close_result(&a);
    close_result(&b);
}

Test(imatrix, names_a_mean_square_that_is_no_number)
{
    static const double bad[] = {(double)NAN, (double)INFINITY, -1.0};
    static const char *says[] = {"nan at column 9", "inf at column 9", "-1 at column 9"};
    float w[N] = {0};
    for (size_t k = 0; k < 3; k++) {
        for (size_t i = 0; i < N; i++) square[i] = i == 9 ? bad[k] : 1.0;
        quant_result r = try_quantize(case_of("imatrix", int_grid(4, MC_OFFSET_NONE, MC_F16), w));
        cr_expect_eq(r.status, MC_E_FORMAT);
        cr_expect(strstr(r.err.text, "method imatrix: the mean square of the inputs is") &&
                      strstr(r.err.text, says[k]),
                  "%s", r.err.text);
        close_result(&r);
    }
}
