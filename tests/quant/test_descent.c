/* Descent on codes and scales: no round raises the objective, and where it ends no single step
 * lowers it. */
#include "core/sweep.h"
#include "quant/group_wish.h"
#include "quant_case.h"
#include "tests/support/gram_case.h"

#include <stdlib.h>

enum { N = 160, ROWS = 3 };

static double gram[N * N];
static float w[ROWS * N];

static quant_case some_case(const char *setup, mc_grid grid, size_t group)
{
    static mc_moments m;
    m = (mc_moments){.n = N, .groups = 1, .rows = 100, .gram = gram};
    return (quant_case){.setup = setup,
                        .grid = grid,
                        .w = w,
                        .rows = ROWS,
                        .cols = N,
                        .group = group,
                        .moments = &m};
}

static void open_case(void)
{
    gram_of_rows(N, 100, 3, (gram_sums){.gram = gram}); /* not of full rank */
    fill_weights(w, ROWS * N, 4);
    for (size_t i = 0; i < N; i++) {
        w[i] *= i % 3 == 0; /* many zeros */
        gram[7 * N + i] = gram[i * N + 7] = 0.0;
    }
}

TestSuite(descent, .init = open_case);

static double added(double damp)
{
    double sum = 0.0;
    for (size_t i = 0; i < N; i++) sum += gram[i * N + i];
    return damp * sum / (N - 1); /* one column is dead */
}

/* (w - v) (G + damping) (w - v)^T over a row of values. */
static double objective(const float *want, const float *v)
{
    double sum = 0.0;
    for (size_t i = 0; i < N; i++) {
        const double off = (double)want[i] - (double)v[i];
        double pull = i == 7 ? 0.0 : added(0.01) * off;
        for (size_t j = 0; j < N; j++) pull += gram[i * N + j] * ((double)want[j] - (double)v[j]);
        sum += off * pull;
    }
    return sum;
}

static void values_of(const mc_qmat *q, size_t row, float *v)
{
    for (size_t i = 0; i < N; i++) v[i] = mc_qmat_value(q, row, i);
}

static void expect_falling(mc_grid grid, size_t group)
{
    static const char *setup[] = {"gptq", "gptq:rounds=1", "gptq:rounds=2", "gptq:rounds=5"};
    char text[128];
    double last[ROWS] = {0};
    for (size_t i = 0; i < sizeof setup / sizeof setup[0]; i++) {
        quant_result r = quantize(some_case(setup[i], grid, group));
        for (size_t row = 0; row < ROWS; row++) {
            float v[N];
            values_of(&r.q, row, v);
            const double now = objective(w + row * N, v);
            cr_assert(i == 0 || now <= last[row] * (1.0 + 1e-9), "%s, group %zu, %s: %g became %g",
                      grid_text(&grid, text), group, setup[i], last[row], now);
            last[row] = now;
        }
        close_result(&r);
    }
}

Test(descent, never_raises_the_error)
{
    static mc_grid grid[MOST_GRIDS];
    const size_t n = every_grid(grid);
    for (size_t i = 0; i < n; i += 13) {
        expect_falling(grid[i], 16);
        if (i % 2) expect_falling(grid[i], N);
    }
}

/* With few bits and groups of their own there is much to gain. */
Test(descent, lowers_the_error)
{
    static const size_t group[] = {16, 32, N};
    for (size_t g = 0; g < 3; g++) {
        const mc_grid grid = int_grid(2, MC_OFFSET_ZERO, MC_F16);
        mc_quant_facts before = {0}, after = {0};
        quant_case c = some_case("gptq", grid, group[g]);
        c.facts = &before;
        quant_result r = quantize(c);
        close_result(&r);
        c.setup = "gptq:rounds=10";
        c.facts = &after;
        r = quantize(c);
        close_result(&r);
        cr_expect_lt(after.end, 0.9 * before.end, "group %zu", group[g]);
    }
}

/* No code alone can do better, once rounds have ended. */
Test(descent, ends_where_no_code_alone_is_better)
{
    static const size_t group[] = {32, N};
    const mc_grid grid[] = {int_grid(3, MC_OFFSET_ZERO, MC_F16),
                            table_grid("nf4", MC_OFFSET_NONE, MC_F16),
                            int_grid(2, MC_OFFSET_FREE, MC_BF16)};
    for (size_t k = 0; k < 6; k++) {
        const mc_grid *own = &grid[k % 3];
        quant_result r = quantize(some_case("gptq:rounds=1000", *own, group[k / 3]));
        for (size_t row = 0; row < ROWS; row++) {
            float v[N];
            values_of(&r.q, row, v);
            const double least = objective(w + row * N, v);
            for (size_t c = 0; c < N; c += 3) {
                const mc_params p = r.q.params[row * mc_qmat_groups(&r.q) + c / r.q.group];
                const float had = v[c];
                for (unsigned u = 0; u < mc_grid_codes(own); u++) {
                    v[c] = mc_grid_value(own, p, u);
                    cr_assert(objective(w + row * N, v) >= least * (1.0 - 1e-9),
                              "row %zu, column %zu: code %u is better", row, c, u);
                }
                v[c] = had;
            }
        }
        close_result(&r);
    }
}

/* ---- what a group wishes ---- */

/* A group of its own with the measure of the identity: plain least squares. */
static double squares(const mc_grid *grid, mc_params p, const uint8_t *code, const float *want)
{
    double sum = 0.0;
    for (size_t i = 0; i < 16; i++) {
        const double off = (double)want[i] - (double)mc_grid_value(grid, p, code[i]);
        sum += off * off;
    }
    return sum;
}

static mc_wish_sums sums_of(const mc_grid *grid, mc_params p, const uint8_t *code,
                            const float *want)
{
    mc_wish_sums s = {0};
    for (size_t i = 0; i < 16; i++) {
        const double y = (double)mc_wish_slope(grid, p, code[i]);
        const double r = (double)want[i] - (double)mc_grid_value(grid, p, code[i]);
        s.yy += y * y;
        s.y1 += y;
        s.one += 1.0;
        s.yr += y * r;
        s.r1 += r;
    }
    return s;
}

/* Weights that lie on the grid of some numbers: from others near by, one wish finds them. */
Test(descent, wishes_for_the_numbers_that_leave_nothing)
{
    const mc_grid grid[] = {
        int_grid(4, MC_OFFSET_NONE, MC_F32), int_grid(4, MC_OFFSET_ZERO, MC_F32),
        int_grid(4, MC_OFFSET_FREE, MC_F32), table_grid("nf4", MC_OFFSET_FREE, MC_F32),
        table_grid("iq4_nl", MC_OFFSET_NONE, MC_F32)};
    for (size_t g = 0; g < sizeof grid / sizeof grid[0]; g++) {
        const bool zero = grid[g].offset == MC_OFFSET_ZERO,
                   free_one = grid[g].offset == MC_OFFSET_FREE;
        const mc_params truth = {.scale = 0.11f,
                                 .offset = free_one ? -0.3f : 0.0f,
                                 .zero = grid[g].levels->value || free_one ? 0 : 8};
        mc_params p = {
            .scale = 0.1f, .offset = free_one ? 0.1f : 0.0f, .zero = (uint8_t)(truth.zero - zero)};
        uint8_t code[16];
        float want[16];
        for (size_t i = 0; i < 16; i++) {
            code[i] = (uint8_t)(i * 7 % 16);
            want[i] = mc_grid_value(&grid[g], truth, code[i]);
        }
        const mc_wish_sums s = sums_of(&grid[g], p, code, want);
        mc_sub sub = {0};
        cr_assert(mc_wish(&grid[g], &s, (mc_super){0}, &p, &sub));
        cr_expect_lt(squares(&grid[g], p, code, want), 1e-12,
                     "grid %zu: scale %g, offset %g, zero %u", g, (double)p.scale, (double)p.offset,
                     p.zero);
        const mc_wish_sums done = sums_of(&grid[g], truth, code, want);
        p = truth;
        cr_expect_not(mc_wish(&grid[g], &done, (mc_super){0}, &p, &sub), "grid %zu moves on", g);
    }
}

Test(descent, wishes_for_nothing_that_cannot_be_stored)
{
    mc_grid grid = int_grid(4, MC_OFFSET_NONE, MC_F16);
    mc_params p = {.scale = 1.0f, .zero = 8};
    mc_sub sub = {0};
    mc_wish_sums s = {.yy = 1.0, .yr = -3.0}; /* the scale -2 */
    cr_expect_not(mc_wish(&grid, &s, (mc_super){0}, &p, &sub));
    grid.negative_scale = true;
    p.scale = 1.0f;
    cr_expect(mc_wish(&grid, &s, (mc_super){0}, &p, &sub));
    cr_expect_eq(p.scale, -2.0f);
    static const double bad[] = {1e9, 1e300, (double)INFINITY, (double)NAN, -1.0};
    for (size_t i = 0; i < 5; i++) {
        p = (mc_params){.scale = 1.0f, .zero = 8};
        s = (mc_wish_sums){.yy = 1.0, .yr = bad[i]};
        cr_expect_not(mc_wish(&grid, &s, (mc_super){0}, &p, &sub), "%g", bad[i]);
    }
    s = (mc_wish_sums){.yy = 0.0, .yr = 1.0};
    cr_expect_not(mc_wish(&grid, &s, (mc_super){0}, &p, &sub));

    grid.negative_scale = false; /* two-level: whole multiples from 1 to 63 */
    grid.sub_bits = 6;
    const mc_super super = {.scale = 0.5f};
    static const double wanted[] = {0.1, 3.3, 900.0};
    static const uint8_t sub_scale[] = {1, 7, 63};
    for (size_t i = 0; i < 3; i++) {
        p = (mc_params){.scale = 1.0f, .zero = 8};
        s = (mc_wish_sums){.yy = 1.0, .yr = wanted[i] - 1.0};
        cr_expect(mc_wish(&grid, &s, super, &p, &sub));
        cr_expect(sub.scale == sub_scale[i] && p.scale == 0.5f * (float)sub_scale[i]);
    }
}
