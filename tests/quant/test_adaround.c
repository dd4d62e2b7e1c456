/* Learned rounding up or down: its slopes against automatic differentiation, and what must hold for
 * its results on correlated, poor and missing inputs. */
#include "learned_case.h"

Test(adaround, slopes_are_those_of_automatic_differentiation)
{
    enum { N = GOLDEN_ROWS * GOLDEN_COLS, RULES = 4 };
    static const mc_adaround_rule rule[RULES] = {
        {0.0f, 2.0f}, {0.5f, 20.0f}, {2.0f, 7.25f}, {1.0f, 2.0f}};
    float v[N], below[N], step[N], sigmoid[N], d[N], slope[N], gram[GOLDEN_COLS * GOLDEN_COLS];
    float worth[GOLDEN_COLS];
    double want_d[N], want[RULES * N];
    learned_golden("v", v, N);
    learned_golden("below", below, N);
    learned_golden("step", step, N);
    learned_golden("adaround_d", want_d, N);
    learned_golden("adaround_slope", want, RULES * N);
    learned_golden("gram", gram, GOLDEN_COLS * GOLDEN_COLS);
    for (size_t i = 0; i < GOLDEN_COLS; i++) worth[i] = gram[i * GOLDEN_COLS + i];

    mc_adaround_soften(v, below, step, N, sigmoid, d);
    expect_near(d, want_d, N, "d");
    for (size_t k = 0; k < RULES; k++) {
        golden_product(d, slope);
        for (size_t r = 0; r < GOLDEN_ROWS; r++) {
            const size_t at = r * GOLDEN_COLS;
            const mc_adaround_row row = {sigmoid + at, step + at, worth, GOLDEN_COLS};
            mc_adaround_slope(&row, rule[k], slope + at);
        }
        /* a float's sigmoid is known to 10^-7 or so, and power `beta` multiplies that */
        expect_within(rule[k].beta > 10.0f ? 1e-7 * (double)rule[k].beta : 1e-6, slope,
                      want + k * N, N, "slope");
    }
}

Test(adaround, adam_moves_as_it_does_elsewhere)
{
    enum { STEPS = 6 };
    float v[GOLDEN_ROWS * GOLDEN_COLS], slope[STEPS * GOLDEN_COLS];
    float mean[GOLDEN_COLS] = {0}, square[GOLDEN_COLS] = {0};
    double want[GOLDEN_COLS];
    learned_golden("v", v, GOLDEN_ROWS * GOLDEN_COLS);
    learned_golden("adam_slopes", slope, STEPS * GOLDEN_COLS);
    learned_golden("adam_x", want, GOLDEN_COLS);
    float *x = v + GOLDEN_COLS;
    for (unsigned i = 0; i < STEPS; i++)
        mc_adam_move(mc_adam_at(0.05, i + 1), slope + i * GOLDEN_COLS, mean, square, x,
                     GOLDEN_COLS);
    expect_near(x, want, GOLDEN_COLS, "x");
}

/* ---- results ---- */

enum { ROWS = 12, COLS = 96, GROUP = 32 };

static void each_grid(const made_moments *m, void (*check)(quant_case c, const char *text))
{
    static float w[ROWS * COLS];
    fill_weights(w, ROWS * COLS, 5);
    mc_grid two_level = int_grid(4, MC_OFFSET_NONE, MC_F16);
    two_level.sub_bits = 6;
    two_level.super = 3;
    const mc_grid grid[] = {
        int_grid(4, MC_OFFSET_NONE, MC_F16),
        int_grid(2, MC_OFFSET_ZERO, MC_F16),
        int_grid(3, MC_OFFSET_FREE, MC_BF16),
        int_grid(8, MC_OFFSET_NONE, MC_F16),
        table_grid("nf4", MC_OFFSET_NONE, MC_F16),
        table_grid("e2m1", MC_OFFSET_NONE, MC_F8_E8M0),
        table_grid("ternary", MC_OFFSET_NONE, MC_F16),
        two_level,
    };
    for (size_t i = 0; i < sizeof grid / sizeof grid[0]; i++) {
        char text[128];
        check((quant_case){.grid = grid[i],
                           .w = w,
                           .rows = ROWS,
                           .cols = COLS,
                           .group = GROUP,
                           .moments = &m->m},
              grid_text(&grid[i], text));
    }
}

static void check_never_worse(quant_case c, const char *text)
{
    static const char *const start[][2] = {{"adaround:start=0,iters=60,damp=0", "mse"},
                                           {"adaround:start=1,iters=60", "gptq"}};
    for (size_t i = 0; i < 2; i++) {
        mc_quant_facts facts = {0};
        c.facts = NULL;
        for (size_t r = 0; r < ROWS; r++) { /* row by row: in the sum one could pay for another */
            quant_case one = c;
            one.w = c.w + r * COLS;
            one.rows = 1;
            const double before = error_in_outputs(one, start[i][1]);
            const double after = error_in_outputs(one, start[i][0]);
            cr_expect(after <= before * (1.0 + 1e-9), "%s, %s: row %zu has %g, %s has %g", text,
                      start[i][0], r, after, start[i][1], before);
        }
        c.setup = start[i][0];
        c.facts = &facts;
        quant_result result = quantize(c);
        cr_expect(facts.end < facts.start, "%s, %s: from %g to %g", text, c.setup, facts.start,
                  facts.end);
        cr_expect_float_eq(facts.end, output_error(c, &result.q), 1e-9 * facts.end);
        cr_expect_gt(moved_codes(c, &result.q), 0u, "%s", text);
        close_result(&result);
    }
}

Test(adaround, is_never_worse_than_its_start_and_differs_from_nearest)
{
    static made_moments m;
    make_moments(&m, COLS, 300, 11);
    each_grid(&m, check_never_worse);
}

Test(adaround, learning_gains_beyond_descent)
{
    static made_moments m;
    static float w[64 * COLS];
    make_moments(&m, COLS, 400, 12);
    fill_weights(w, 64 * COLS, 6);
    const quant_case c = {.grid = int_grid(3, MC_OFFSET_NONE, MC_F16),
                          .w = w,
                          .rows = 64,
                          .cols = COLS,
                          .group = GROUP,
                          .moments = &m.m};
    const double gptq = error_in_outputs(c, "gptq");
    const double descended = error_in_outputs(c, "adaround:iters=0");
    const double learned = error_in_outputs(c, "adaround:iters=300");
    cr_expect_leq(descended, gptq);
    cr_expect_lt(learned, descended);
}

/* With fewer inputs than columns many weights may do as they like; damping keeps them home. */
static void check_poor(quant_case c, const char *text)
{
    c.setup = "adaround:iters=40";
    quant_result r = quantize(c);
    for (size_t i = 0; i < ROWS * COLS; i++) {
        cr_expect_lt(r.q.code[i], mc_grid_codes(&c.grid), "%s", text);
        cr_expect_geq(r.q.code[i], mc_grid_first(&c.grid), "%s", text);
        cr_expect(isfinite(mc_qmat_value(&r.q, i / COLS, i % COLS)), "%s", text);
    }
    close_result(&r);
}

Test(adaround, takes_fewer_inputs_than_columns)
{
    static made_moments m;
    make_moments(&m, COLS, 9, 13);
    each_grid(&m, check_poor);
    make_moments(&m, COLS, 1, 13);
    each_grid(&m, check_poor);
}

Test(adaround, without_any_input_takes_the_nearest_codes)
{
    static made_moments m;
    make_moments(&m, COLS, 0, 13);
    static float w[3 * COLS];
    fill_weights(w, 3 * COLS, 5);
    quant_case c = {.setup = "adaround:iters=30",
                    .grid = int_grid(4, MC_OFFSET_NONE, MC_F16),
                    .w = w,
                    .rows = 3,
                    .cols = COLS,
                    .group = GROUP,
                    .moments = &m.m};
    quant_result r = quantize(c);
    cr_expect_eq(moved_codes(c, &r.q), 0u);
    close_result(&r);
}

/* Halfway between two levels, far beyond the range, and a column that was never met. */
Test(adaround, takes_ties_clipped_weights_and_dead_columns)
{
    enum { N = 16 };
    static made_moments m;
    make_moments(&m, N, 50, 14);
    for (size_t i = 0; i < N; i++) m.gram[5 * N + i] = m.gram[i * N + 5] = 0.0;
    const float scale = 0.0625f;
    float w[2 * N];
    for (size_t i = 0; i < N; i++) {
        w[i] = scale * ((float)(i % 8) - 3.5f);                        /* ties */
        w[N + i] = i == 3 ? 40.0f : scale * (float)((int)(i % 5) - 2); /* one takes all the range */
    }
    const quant_case c = {.setup = "adaround:iters=50",
                          .grid = int_grid(3, MC_OFFSET_NONE, MC_F16),
                          .w = w,
                          .rows = 2,
                          .cols = N,
                          .group = N,
                          .moments = &m.m};
    cr_expect_leq(error_in_outputs(c, c.setup), error_in_outputs(c, "mse"));
    quant_result r = quantize(c);
    uint8_t nearest;
    mc_grid_encode(&c.grid, r.q.params[0], &w[5], 1, &nearest);
    cr_expect_eq(r.q.code[5], nearest, "nothing is known of column 5");
    close_result(&r);
}

/* Neither who shares a slab with a row nor where it stands in it may matter. */
Test(adaround, a_row_alone_gets_the_same_bits)
{
    static made_moments m;
    static float w[70 * COLS];
    make_moments(&m, COLS, 200, 15);
    fill_weights(w, 70 * COLS, 8);
    quant_case c = {.setup = "adaround:iters=25",
                    .grid = int_grid(3, MC_OFFSET_ZERO, MC_F16),
                    .w = w,
                    .rows = 70,
                    .cols = COLS,
                    .group = GROUP,
                    .moments = &m.m};
    quant_result all = quantize(c);
    const size_t rows[] = {0, 1, 37, 63, 64, 69}, groups = COLS / GROUP;
    c.rows = 1;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        c.w = w + rows[i] * COLS;
        quant_result one = quantize(c);
        cr_expect_arr_eq(one.q.code, all.q.code + rows[i] * COLS, COLS, "row %zu", rows[i]);
        cr_expect_arr_eq(one.q.params, all.q.params + rows[i] * groups,
                         groups * sizeof *one.q.params, "row %zu", rows[i]);
        close_result(&one);
    }
    close_result(&all);
}

/* 90 or 90,000 tokens, weights in volts or in millivolts: powers of two change nothing at all. */
Test(adaround, does_not_depend_on_units)
{
    static made_moments m, larger;
    static float w[4 * COLS], small[4 * COLS];
    make_moments(&m, COLS, 200, 16);
    larger = m;
    larger.m.gram = larger.gram;
    for (size_t i = 0; i < COLS * COLS; i++) larger.gram[i] *= 0x1p-60;
    fill_weights(w, 4 * COLS, 9);
    for (size_t i = 0; i < 4 * COLS; i++) small[i] = w[i] * 0x1p-6f;
    quant_case c = {.setup = "adaround:iters=40",
                    .grid = int_grid(4, MC_OFFSET_NONE, MC_F32),
                    .w = w,
                    .rows = 4,
                    .cols = COLS,
                    .group = GROUP,
                    .moments = &m.m};
    quant_result a = quantize(c);
    c.moments = &larger.m;
    c.w = small;
    quant_result b = quantize(c);
    cr_expect_arr_eq(a.q.code, b.q.code, 4 * COLS);
    close_result(&a);
    close_result(&b);
}

/* A second stream: what counts is the error against what the float model would have given. */
Test(adaround, uses_the_cross_moment)
{
    static made_moments m;
    static float w[8 * COLS];
    make_moments(&m, COLS, 500, 17);
    fill_weights(w, 8 * COLS, 10);
    quant_case c = {.grid = int_grid(4, MC_OFFSET_NONE, MC_F16),
                    .w = w,
                    .rows = 8,
                    .cols = COLS,
                    .group = GROUP,
                    .moments = &m.m};
    double error[2];
    for (int i = 0; i < 2; i++) {
        m.m.cross = i ? m.cross : NULL;
        c.setup = "adaround:iters=50";
        quant_result r = quantize(c);
        double j = 0.0; /* d G d^T - 2 w C d^T */
        for (size_t row = 0; row < 8; row++)
            for (size_t a = 0; a < COLS; a++)
                for (size_t b = 0; b < COLS; b++) {
                    const double wa = (double)w[row * COLS + a];
                    const double da = (double)mc_qmat_value(&r.q, row, a) - wa;
                    const double db =
                        (double)mc_qmat_value(&r.q, row, b) - (double)w[row * COLS + b];
                    j += da * m.gram[a * COLS + b] * db - 2.0 * wa * m.cross[a * COLS + b] * db;
                }
        error[i] = j;
        close_result(&r);
    }
    cr_expect_lt(error[1], error[0]);
}

Test(adaround, starts_from_hqq_on_free_offsets_alone)
{
    static made_moments m;
    static float w[4 * COLS];
    make_moments(&m, COLS, 200, 18);
    fill_weights(w, 4 * COLS, 11);
    quant_case c = {.setup = "adaround:start=2,iters=20",
                    .grid = int_grid(2, MC_OFFSET_FREE, MC_F16),
                    .w = w,
                    .rows = 4,
                    .cols = COLS,
                    .group = GROUP,
                    .moments = &m.m};
    cr_expect_leq(error_in_outputs(c, c.setup), error_in_outputs(c, "hqq"));
    c.grid.offset = MC_OFFSET_NONE;
    quant_result r = try_quantize(c);
    cr_expect_eq(r.status, MC_E_UNSUPPORTED);
    cr_expect_str_eq(r.err.text, "method adaround: start 2 (hqq): it optimises the zero, so it "
                                 "needs an asymmetric grid");
    close_result(&r);
}

Test(adaround, refuses_moments_that_are_not_finite)
{
    static made_moments m;
    static float w[COLS];
    make_moments(&m, COLS, 20, 18);
    m.gram[3 * COLS + 4] = (double)NAN;
    quant_case c = {.setup = "adaround:start=0",
                    .grid = int_grid(4, MC_OFFSET_NONE, MC_F16),
                    .w = w,
                    .rows = 1,
                    .cols = COLS,
                    .group = GROUP,
                    .moments = &m.m};
    quant_result r = try_quantize(c);
    cr_expect_eq(r.status, MC_E_FORMAT);
    cr_expect(strstr(r.err.text, "the second moment of the inputs is nan at columns 3 and 4"), "%s",
              r.err.text);
    close_result(&r);
}
