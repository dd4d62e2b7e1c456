/* Learned division before rounding: slopes against automatic differentiation, and its results. */
#include "learned_case.h"

Test(flexround, slopes_are_those_of_automatic_differentiation)
{
    enum { N = GOLDEN_ROWS * GOLDEN_COLS, GROUPS = GOLDEN_COLS / GOLDEN_SPAN };
    float x[N], d1[GOLDEN_ROWS * GROUPS], d2[N], d3[GOLDEN_ROWS], unit[GOLDEN_ROWS * GROUPS];
    float r[N], q[N], d[N], slope[N];
    double want_d[N], want_d1[GOLDEN_ROWS * GROUPS], want_d2[N], want_d3[GOLDEN_ROWS];
    learned_golden("x", x, N);
    learned_golden("d1", d1, GOLDEN_ROWS * GROUPS);
    learned_golden("d2", d2, N);
    learned_golden("d3", d3, GOLDEN_ROWS);
    learned_golden("unit", unit, GOLDEN_ROWS * GROUPS);
    learned_golden("flexround_d", want_d, N);
    learned_golden("flexround_d1", want_d1, GOLDEN_ROWS * GROUPS);
    learned_golden("flexround_d2", want_d2, N);
    learned_golden("flexround_d3", want_d3, GOLDEN_ROWS);

    mc_flexround_group g[GOLDEN_ROWS * GROUPS];
    for (size_t k = 0; k < GOLDEN_ROWS * GROUPS; k++) {
        const size_t at = k * GOLDEN_SPAN;
        g[k] = (mc_flexround_group){.x = x + at,
                                    .d2 = d2 + at,
                                    .n = GOLDEN_SPAN,
                                    .d1 = d1[k],
                                    .d3 = d3[k / GROUPS],
                                    .low = -4.0f,
                                    .high = 3.0f};
        mc_flexround_round(&g[k], r + at, q + at);
        for (size_t i = at; i < at + GOLDEN_SPAN; i++) d[i] = unit[k] * (expf(d1[k]) * q[i] - x[i]);
    }
    expect_near(d, want_d, N, "d");

    golden_product(d, slope);
    float got_d1[GOLDEN_ROWS * GROUPS], got_d3[GOLDEN_ROWS] = {0};
    for (size_t k = 0; k < GOLDEN_ROWS * GROUPS; k++) {
        const size_t at = k * GOLDEN_SPAN;
        for (size_t i = at; i < at + GOLDEN_SPAN; i++) slope[i] *= 2.0f * unit[k];
        const mc_flexround_sums sums = mc_flexround_slope(&g[k], r + at, q + at, slope + at);
        got_d1[k] = (float)sums.d1;
        got_d3[k / GROUPS] += (float)sums.d3;
    }
    expect_near(slope, want_d2, N, "d2");
    expect_near(got_d1, want_d1, GOLDEN_ROWS * GROUPS, "d1");
    expect_near(got_d3, want_d3, GOLDEN_ROWS, "d3");
}

/* ---- results ---- */

enum { ROWS = 12, COLS = 96, GROUP = 32 };

static quant_case case_of(const float *w, const made_moments *m, mc_grid grid)
{
    return (quant_case){
        .grid = grid, .w = w, .rows = ROWS, .cols = COLS, .group = GROUP, .moments = &m->m};
}

Test(flexround, is_never_worse_than_its_start_and_differs_from_nearest)
{
    static made_moments m;
    static float w[ROWS * COLS];
    make_moments(&m, COLS, 300, 21);
    fill_weights(w, ROWS * COLS, 5);
    mc_grid two_level = int_grid(4, MC_OFFSET_NONE, MC_F16);
    two_level.sub_bits = 6;
    two_level.super = 3;
    const mc_grid grid[] = {int_grid(4, MC_OFFSET_NONE, MC_F16),
                            int_grid(2, MC_OFFSET_ZERO, MC_F16),
                            int_grid(3, MC_OFFSET_FREE, MC_BF16), two_level};
    static const char *const start[][2] = {{"flexround:start=0,iters=60,damp=0", "mse"},
                                           {"flexround:start=1,iters=60", "gptq"}};
    for (size_t i = 0; i < 2 * sizeof grid / sizeof grid[0]; i++) {
        char text[128];
        quant_case c = case_of(w, &m, grid[i / 2]);
        grid_text(&c.grid, text);
        for (size_t r = 0; r < ROWS; r++) {
            quant_case one = c;
            one.w = w + r * COLS;
            one.rows = 1;
            const double before = error_in_outputs(one, start[i % 2][1]);
            const double after = error_in_outputs(one, start[i % 2][0]);
            cr_expect(after <= before * (1.0 + 1e-9), "%s, %s: row %zu has %g, %s has %g", text,
                      start[i % 2][0], r, after, start[i % 2][1], before);
        }
        mc_quant_facts facts = {0};
        c.facts = &facts;
        c.setup = start[i % 2][0];
        quant_result result = quantize(c);
        cr_expect(facts.end < facts.start, "%s: from %g to %g", text, facts.start, facts.end);
        cr_expect_float_eq(facts.end, output_error(c, &result.q), 1e-9 * facts.end);
        cr_expect_gt(moved_codes(c, &result.q), 0u, "%s", text);
        close_result(&result);
    }
}

Test(flexround, learning_gains_beyond_descent)
{
    static made_moments m;
    static float w[ROWS * COLS];
    make_moments(&m, COLS, 400, 22);
    fill_weights(w, ROWS * COLS, 6);
    const quant_case c = case_of(w, &m, int_grid(2, MC_OFFSET_ZERO, MC_F16));
    const double descended = error_in_outputs(c, "flexround:iters=0");
    cr_expect_leq(descended, error_in_outputs(c, "gptq"));
    cr_expect_lt(error_in_outputs(c, "flexround:iters=300"), descended);
}

/* Scales may move, but only to what can be stored. */
Test(flexround, stores_the_scales_that_its_codes_are_for)
{
    static made_moments m;
    static float w[ROWS * COLS];
    make_moments(&m, COLS, 300, 23);
    fill_weights(w, ROWS * COLS, 7);
    quant_case c = case_of(w, &m, int_grid(3, MC_OFFSET_NONE, MC_BF16));
    c.setup = "flexround:iters=50,start=0";
    quant_result learned = quantize(c);
    c.setup = "mse";
    quant_result fitted = quantize(c);
    size_t moved = 0;
    for (size_t i = 0; i < ROWS * (COLS / GROUP); i++) {
        const float scale = learned.q.params[i].scale;
        cr_expect_eq(mc_round_to(MC_BF16, scale), scale);
        cr_expect_gt(scale, 0.0f);
        moved += scale != fitted.q.params[i].scale;
    }
    cr_expect_gt(moved, 0u);
    close_result(&learned);
    close_result(&fitted);
}

Test(flexround, takes_poor_and_missing_inputs)
{
    static made_moments m;
    static float w[ROWS * COLS];
    fill_weights(w, ROWS * COLS, 8);
    w[5] = 90.0f;
    for (size_t rows = 0; rows < 3; rows++) {
        make_moments(&m, COLS, rows * rows, 24);
        quant_case c = case_of(w, &m, int_grid(3, MC_OFFSET_ZERO, MC_F16));
        c.setup = "flexround:iters=30,lr=0.05";
        quant_result r = quantize(c);
        for (size_t i = 0; i < ROWS * COLS; i++) {
            cr_expect_lt(r.q.code[i], 8u);
            cr_expect(isfinite(mc_qmat_value(&r.q, i / COLS, i % COLS)));
        }
        if (rows == 0) cr_expect_eq(moved_codes(c, &r.q), 0u);
        close_result(&r);
    }
}

Test(flexround, a_row_alone_gets_the_same_bits)
{
    static made_moments m;
    static float w[66 * COLS];
    make_moments(&m, COLS, 200, 25);
    fill_weights(w, 66 * COLS, 9);
    quant_case c = case_of(w, &m, int_grid(3, MC_OFFSET_NONE, MC_F16));
    c.setup = "flexround:iters=20";
    c.rows = 66;
    quant_result all = quantize(c);
    const size_t rows[] = {0, 30, 65}, groups = COLS / GROUP;
    c.rows = 1;
    for (size_t i = 0; i < 3; i++) {
        c.w = w + rows[i] * COLS;
        quant_result one = quantize(c);
        cr_expect_arr_eq(one.q.code, all.q.code + rows[i] * COLS, COLS, "row %zu", rows[i]);
        cr_expect_arr_eq(one.q.params, all.q.params + rows[i] * groups,
                         groups * sizeof *one.q.params, "row %zu", rows[i]);
        close_result(&one);
    }
    close_result(&all);
}

Test(flexround, refuses_tables)
{
    static made_moments m;
    static float w[ROWS * COLS];
    make_moments(&m, COLS, 20, 26);
    quant_case c = case_of(w, &m, table_grid("nf4", MC_OFFSET_NONE, MC_F16));
    c.setup = "flexround";
    quant_result r = try_quantize(c);
    cr_expect_eq(r.status, MC_E_UNSUPPORTED);
    cr_expect_str_eq(r.err.text,
                     "method flexround: it divides and rounds, so it needs integer levels");
    close_result(&r);
}
