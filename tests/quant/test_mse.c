/* The searched range: never worse than rtn, and as good as trying a hundred ranges one by one. */
#include "quant_case.h"

enum { ROWS = 4, COLS = 256 };

static float w[ROWS * COLS];

static quant_case case_of(const char *setup, mc_grid grid, size_t group)
{
    fill_weights(w, ROWS * COLS, 21);
    return (quant_case){
        .setup = setup, .grid = grid, .w = w, .rows = ROWS, .cols = COLS, .group = group};
}

Test(mse, is_not_worse_than_rtn_in_the_norm_it_was_given)
{
    static const struct {
        const char *setup;
        double norm;
    } norms[] = {{"mse:norm=0.5", 0.5}, {"mse:norm=1", 1.0}, {"mse", 2.0},
                 {"mse:norm=2.4", 2.4}, {"mse:norm=4", 4.0}, {"mse:norm=8", 8.0}};
    static const mc_offset offset[] = {MC_OFFSET_NONE, MC_OFFSET_ZERO, MC_OFFSET_FREE};
    for (size_t k = 0; k < sizeof norms / sizeof norms[0]; k++)
        for (unsigned bits = 2; bits <= 8; bits += bits == 4 ? 4 : 1)
            for (size_t o = 0; o < 3; o++) {
                const quant_case c = case_of(norms[k].setup, int_grid(bits, offset[o], MC_F16), 32);
                quant_case rtn = c;
                rtn.setup = "rtn";
                const double error = error_after(c, norms[k].norm);
                const double baseline = error_after(rtn, norms[k].norm);
                cr_expect(error <= baseline * (1.0 + 1e-6), "%s, %u bits, offset %zu: %g, rtn %g",
                          c.setup, bits, o, error, baseline);
                if (bits <= 4)
                    cr_expect(error < baseline, "%s, %u bits, offset %zu: nothing gained", c.setup,
                              bits, o);
            }
}

Test(mse, minimises_the_norm_that_it_was_given)
{
    const mc_grid grid = int_grid(3, MC_OFFSET_NONE, MC_F16);
    const quant_case two = case_of("mse", grid, 64), four = case_of("mse:norm=4", grid, 64);
    cr_expect_lt(error_after(two, 2.0), error_after(four, 2.0));
    cr_expect_lt(error_after(four, 4.0), error_after(two, 4.0));
}

/* The least squared error of a group over ranges shrunk to 1/100, 2/100, … of the whole. */
static double exhaustive_error(const mc_grid *grid, const float *x, size_t n)
{
    double low = 0.0, high = 0.0, best = HUGE_VAL;
    for (size_t i = 0; i < n; i++) {
        low = fmin(low, (double)x[i]);
        high = fmax(high, (double)x[i]);
    }
    const double top = (double)(mc_grid_codes(grid) - 1);
    if (grid->offset == MC_OFFSET_NONE) {
        high = fmax(high, -low);
        low = -high;
    }
    for (int p = 1; p <= 100; p++) {
        const float scale = mc_round_to(grid->scale_dtype, (float)((high - low) * p / 100.0 / top));
        if (scale == 0.0f) continue;
        mc_params params = {.scale = scale, .zero = (uint8_t)((top + 1.0) / 2.0)};
        if (grid->offset == MC_OFFSET_ZERO)
            params.zero = (uint8_t)fmin(top, fmax(0.0, rint(-low * p / 100.0 / (double)scale)));
        double sum = 0.0;
        for (size_t i = 0; i < n; i++) {
            uint8_t code;
            mc_grid_encode(grid, params, &x[i], 1, &code);
            const double off = (double)mc_grid_value(grid, params, code) - (double)x[i];
            sum += off * off;
        }
        best = fmin(best, sum);
    }
    return best;
}

Test(mse, is_within_one_percent_of_an_exhaustive_search)
{
    static const mc_offset offset[] = {MC_OFFSET_NONE, MC_OFFSET_ZERO};
    for (unsigned bits = 2; bits <= 8; bits++)
        for (size_t o = 0; o < 2; o++)
            for (size_t group = 16; group <= COLS; group *= 4) {
                const mc_grid grid = int_grid(bits, offset[o], MC_F16);
                const quant_case c = case_of("mse", grid, group);
                double best = 0.0;
                for (size_t i = 0; i < ROWS * COLS; i += group)
                    best += exhaustive_error(&grid, w + i, group);
                const double error = error_after(c, 2.0);
                cr_expect(error <= 1.01 * best, "%u bits, offset %zu, group %zu: %g, best %g", bits,
                          o, group, error, best);
            }
}
