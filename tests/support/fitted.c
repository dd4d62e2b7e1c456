/* Fitting as the tests of grids need it again and again. */
#include "tests/support/fitted.h"

#include <criterion/criterion.h>
#include <math.h>

mc_grid grid_of(const mc_levels *levels, mc_offset offset)
{
    return (mc_grid){.levels = levels, .offset = offset, .scale_dtype = MC_F16};
}

void fit_row(const mc_grid *grid, mc_fit fit, const float *w, const float *importance, size_t n,
             size_t group, fitted *out)
{
    mc_err err = {0};
    cr_assert_eq(mc_grid_check(grid, &err), MC_OK, "%s", err.text);
    cr_assert_eq(
        mc_grid_fit(grid, fit, w, importance, n / group, group, out->p, out->sub, out->super, &err),
        MC_OK, "%s", err.text);
    mc_grid_encode_row(grid, out->p, w, n / group, group, out->code);
    mc_grid_decode_row(grid, out->p, out->code, n / group, group, out->value);
}

double error_of(const float *w, const float *value, const float *importance, size_t n, float norm)
{
    double sum = 0.0;
    for (size_t i = 0; i < n; i++) {
        const double e = fabs((double)w[i] - (double)value[i]);
        sum += (importance ? (double)importance[i] : 1.0) * pow(e, (double)norm);
    }
    return sum;
}

/* Half the distance to the neighbouring level, and a rounding or two of the largest number met. */
void expect_half_steps(const mc_grid *grid, const float *w, size_t n, size_t group, const fitted *f)
{
    for (size_t i = 0; i < n; i++) {
        const mc_params p = f->p[i / group];
        const unsigned code = f->code[i];
        if (mc_grid_clipped_row(grid, &p, &w[i], 1, 1)) continue;
        double gap = 0.0;
        if (code > mc_grid_first(grid))
            gap = fabs((double)f->value[i] - (double)mc_grid_value(grid, p, code - 1));
        if (code + 1 < mc_grid_codes(grid))
            gap = fmax(gap, fabs((double)mc_grid_value(grid, p, code + 1) - (double)f->value[i]));
        const double slack =
            0x1p-21 * fabs((double)w[i]) + 0x1p-22 * fabs((double)p.offset) + 0x1p-148;
        const double off = fabs((double)w[i] - (double)f->value[i]);
        cr_assert(off <= 0.5 * gap + slack,
                  "%s, offset %d, %s: %.9g became %.9g, off by %g where a step is %g",
                  grid->levels->name, grid->offset, mc_dtype_about(grid->scale_dtype)->name,
                  (double)w[i], (double)f->value[i], off, gap);
    }
}
