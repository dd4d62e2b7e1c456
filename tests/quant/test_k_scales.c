/* Two-level scales in the methods' hands: GPTQ against a sweep written out, super-blocks wider than
 * a sweep's block of columns; double quantization of NF4. */
#include "quant_case.h"
#include "tests/support/gram_case.h"

#include <stdlib.h>

/* ---- GPTQ, column by column ---- */

enum { N = 240, ROWS = 8, GROUP = 8, MOST_SUPERS = N / GROUP };

/* The inverse of the damped Gram, by Gauss-Jordan. */
static void invert(const double *gram, double damp, double *inverse)
{
    static double a[N * N];
    double mean = 0.0;
    for (size_t i = 0; i < N; i++) mean += gram[i * N + i] / N;
    memcpy(a, gram, sizeof a);
    memset(inverse, 0, N * N * sizeof *inverse);
    for (size_t i = 0; i < N; i++) {
        a[i * N + i] += damp * mean;
        inverse[i * N + i] = 1.0;
    }
    for (size_t k = 0; k < N; k++) {
        const double pivot = 1.0 / a[k * N + k];
        for (size_t c = 0; c < N; c++) {
            a[k * N + c] *= pivot;
            inverse[k * N + c] *= pivot;
        }
        for (size_t r = 0; r < N; r++) {
            const double factor = a[r * N + k];
            if (r == k || factor == 0.0) continue;
            for (size_t c = 0; c < N; c++) {
                a[r * N + c] -= factor * a[k * N + c];
                inverse[r * N + c] -= factor * inverse[k * N + c];
            }
        }
    }
}

/* Row j becomes what is left without columns 0..j - 1: GPTQ adds the error of column j by it. */
static void eliminate(double *inverse)
{
    for (size_t j = 0; j < N; j++)
        for (size_t r = j + 1; r < N; r++) {
            const double factor = inverse[r * N + j] / inverse[j * N + j];
            for (size_t c = j; c < N; c++) inverse[r * N + c] -= factor * inverse[j * N + c];
        }
}

typedef struct {
    mc_params p[ROWS][N / GROUP];
    mc_sub sub[ROWS][N / GROUP];
    mc_super super[ROWS][MOST_SUPERS];
    uint8_t code[ROWS][N];
} swept;

/* A super-scale from all its groups when the first of their columns is reached; from then on it
 * stays, and each group's sub-scale is fitted again when the group begins. */
static void begin(const mc_grid *grid, const double *w, size_t column, size_t row, swept *to)
{
    const mc_fit fit = {.kind = MC_FIT_SEARCH, .norm = 2.0f};
    const size_t group = column / GROUP, super = group / grid->super;
    const bool first = group % grid->super == 0;
    const size_t left = N / GROUP - group;
    const size_t count = !first ? 1 : left < grid->super ? left : grid->super;
    float now[N];
    mc_err err = {0};
    for (size_t i = 0; i < count * GROUP; i++) now[i] = (float)w[column + i];
    const mc_status status =
        first
            ? mc_grid_fit(grid, fit, now, NULL, count, GROUP, &to->p[row][group],
                          &to->sub[row][group], &to->super[row][super], &err)
            : mc_grid_refit_sub(grid, fit, (mc_grid_group){now, NULL, GROUP}, to->super[row][super],
                                &to->p[row][group], &to->sub[row][group], &err);
    cr_assert_eq(status, MC_OK, "%s", err.text);
}

static void sweep(const mc_grid *grid, const float *weights, const double *inverse, swept *to)
{
    static double w[ROWS][N];
    for (size_t i = 0; i < ROWS * N; i++) w[i / N][i % N] = (double)weights[i];
    for (size_t j = 0; j < N; j++) {
        for (size_t r = 0; r < ROWS; r++) {
            if (j % GROUP == 0) begin(grid, w[r], j, r, to);
            const mc_params p = to->p[r][j / GROUP];
            const float x = (float)w[r][j];
            mc_grid_encode(grid, p, &x, 1, &to->code[r][j]);
            const double value = (double)mc_grid_value(grid, p, to->code[r][j]);
            const double error = (w[r][j] - value) / inverse[j * N + j];
            for (size_t c = j; c < N; c++) w[r][c] -= error * inverse[j * N + c];
        }
    }
}

/* Sums are taken in another order, so that a weight on the edge may fall to the other side, and
 * what follows it in its row with it. */
static void expect_sweep(mc_grid grid, const float *w, const mc_moments *moments,
                         const double *inverse)
{
    static swept wanted;
    sweep(&grid, w, inverse, &wanted);
    const quant_case c = {.setup = "gptq:order=0",
                          .grid = grid,
                          .w = w,
                          .rows = ROWS,
                          .cols = N,
                          .group = GROUP,
                          .moments = moments};
    quant_result r = quantize(c);
    const size_t supers = mc_qmat_supers(&r.q);
    size_t codes = 0, subs = 0, same_supers = 0;
    for (size_t row = 0; row < ROWS; row++) {
        for (size_t i = 0; i < N; i++) codes += r.q.code[row * N + i] == wanted.code[row][i];
        for (size_t g = 0; g < N / GROUP; g++)
            subs += r.q.sub[row * (N / GROUP) + g].scale == wanted.sub[row][g].scale &&
                    r.q.sub[row * (N / GROUP) + g].offset == wanted.sub[row][g].offset;
        for (size_t s = 0; s < supers; s++)
            same_supers += r.q.super[row * supers + s].scale == wanted.super[row][s].scale &&
                           r.q.super[row * supers + s].offset == wanted.super[row][s].offset;
    }
    char text[128];
    grid_text(&grid, text);
    cr_expect(codes >= ROWS * N * 97 / 100, "%s, %u: %zu codes", text, grid.super, codes);
    cr_expect(subs >= ROWS * (N / GROUP) * 97 / 100, "%s, %u: %zu", text, grid.super, subs);
    cr_expect(same_supers >= ROWS * supers * 93 / 100, "%s, %u: %zu of %zu super-scales", text,
              grid.super, same_supers, ROWS * supers);
    close_result(&r);
}

Test(k_scales, of_gptq_are_frozen_at_the_first_column_and_filled_from_compensated_weights)
{
    static float w[ROWS * N];
    static double gram[N * N], inverse[N * N];
    fill_weights(w, ROWS * N, 31);
    gram_of_rows(N, 1200, 32, (gram_sums){.gram = gram});
    const mc_moments moments = {.n = N, .groups = 1, .rows = 1200, .gram = gram};
    invert(gram, 0.01, inverse);
    eliminate(inverse);
    for (int offset = MC_OFFSET_NONE; offset <= MC_OFFSET_FREE; offset++)
        for (unsigned super = 8; super <= 20; super += 6) { /* 64, 112 and 160 columns */
            mc_grid grid = int_grid(3, (mc_offset)offset, MC_F16);
            grid.sub_bits = 6;
            grid.super = super;
            expect_sweep(grid, w, &moments, inverse);
        }
    mc_grid table = table_grid("nf4", MC_OFFSET_NONE, MC_F32);
    table.sub_bits = 4;
    table.super = 16; /* as wide as a block */
    expect_sweep(table, w, &moments, inverse);
}

/* ---- double quantization ---- */

/* NF4 in groups of 64 whose scales take 8 bits each, 256 of them under one number: nearly what
 * plain scales give, for nearly half a bit less than f32 ones. */
Test(k_scales, nf4_with_double_quantization_is_nearly_nf4)
{
    enum { COLS = 64 * 256, GROUPS = 256 };
    static float w[COLS];
    static const char *const methods[] = {"rtn", "mse"};
    fill_weights(w, COLS, 41);
    for (int m = 0; m < 2; m++) {
        quant_case c = {.setup = methods[m],
                        .grid = table_grid("nf4", MC_OFFSET_NONE, MC_F32),
                        .w = w,
                        .rows = 1,
                        .cols = COLS,
                        .group = 64};
        const double plain = error_after(c, 2.0);
        c.grid.scale_dtype = MC_F16;
        c.grid.sub_bits = 8;
        c.grid.super = GROUPS;
        quant_result r = quantize(c);
        cr_assert_eq(mc_qmat_supers(&r.q), 1u);
        for (size_t g = 0; g < GROUPS; g++)
            cr_assert_eq(r.q.params[g].scale, r.q.super[0].scale * (float)r.q.sub[g].scale);
        cr_expect_leq(error_of(c, &r.q, 2.0), 1.005 * plain, "%s", methods[m]);
        close_result(&r);
    }
}
