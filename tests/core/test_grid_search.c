/* Fitting by search, against the range and against an exhaustive search of the naive kind. */
#include "tests/support/draw.h"
#include "tests/support/fitted.h"

#include <criterion/criterion.h>
#include <math.h>

static const mc_dtype scale_dtypes[] = {MC_F16, MC_BF16, MC_F32, MC_F8_E4M3, MC_F8_E8M0};
enum { SCALE_DTYPES = 5 };

typedef struct {
    mc_grid grid;
    float norm;
    size_t group;
    const float *importance;
} search_case;

static void expect_never_worse(search_case c, const float *w, size_t n, const char *name)
{
    static fitted range;
    static fitted found;
    fit_row(&c.grid, by_range, w, NULL, n, c.group, &range);
    fit_row(&c.grid, by_search(c.norm), w, c.importance, n, c.group, &found);
    const size_t unit = c.grid.sub_bits ? c.group * c.grid.super : c.group;
    for (size_t at = 0; at < n; at += unit) {
        const size_t length = n - at < unit ? n - at : unit;
        const float *importance = c.importance ? c.importance + at : NULL;
        const double before = error_of(w + at, range.value + at, importance, length, c.norm);
        const double after = error_of(w + at, found.value + at, importance, length, c.norm);
        cr_assert(after <= before, "%s, %s, offset %d, scales %s, norm %g, group %zu: %g after %g",
                  name, c.grid.levels->name, c.grid.offset,
                  mc_dtype_about(c.grid.scale_dtype)->name, (double)c.norm, c.group, after, before);
    }
}

static void expect_never_worse_on_all_weights(search_case c)
{
    static float w[MOST];
    static float importance[MOST];
    const size_t n = 480 / c.group * c.group;
    draw_weights(DRAW_HEAVY, 8, importance, n);
    for (size_t i = 0; i < n; i++) importance[i] *= importance[i] * 1e12f;
    for (draw_kind kind = 0; kind < DRAW_KINDS; kind++) {
        draw_weights(kind, 9, w, n);
        c.importance = NULL;
        expect_never_worse(c, w, n, draw_name(kind));
        c.importance = importance;
        expect_never_worse(c, w, n, draw_name(kind));
    }
}

static void expect_never_worse_on_all_grids(float norm, size_t group, unsigned sub_bits)
{
    for (size_t i = 0; mc_levels_at(i); i++) {
        for (int offset = MC_OFFSET_NONE; offset <= MC_OFFSET_FREE; offset++) {
            for (int d = 0; d < SCALE_DTYPES; d++) {
                search_case c = {.grid = grid_of(mc_levels_at(i), (mc_offset)offset),
                                 .norm = norm,
                                 .group = group};
                c.grid.scale_dtype = scale_dtypes[d];
                c.grid.sub_bits = sub_bits;
                c.grid.super = sub_bits ? 4 : 0;
                c.grid.negative_scale = sub_bits == 0 && scale_dtypes[d] != MC_F8_E8M0;
                mc_err err;
                if (mc_grid_check(&c.grid, &err) == MC_OK) expect_never_worse_on_all_weights(c);
            }
        }
    }
}

Test(grid_search, search_is_never_worse_than_the_range)
{
    expect_never_worse_on_all_grids(2.0f, 32, 0);
    expect_never_worse_on_all_grids(2.0f, 7, 0);
    expect_never_worse_on_all_grids(2.0f, 320, 0);
}

Test(grid_search, search_is_never_worse_in_other_norms)
{
    expect_never_worse_on_all_grids(2.4f, 32, 0);
    expect_never_worse_on_all_grids(0.7f, 32, 0);
    expect_never_worse_on_all_grids(8.0f, 480, 0);
}

Test(grid_search, search_is_never_worse_under_two_levels)
{
    expect_never_worse_on_all_grids(2.0f, 16, 4);
    expect_never_worse_on_all_grids(2.0f, 32, 6);
    expect_never_worse_on_all_grids(2.4f, 32, 8);
}

/* p = 1 - i/100 of the range, all scales rounded to F16: what the search has to come up to. */
static double exhaustive(const mc_grid *grid, mc_params range, const float *w, size_t n)
{
    static uint8_t code[MOST];
    static float value[MOST];
    const float last = (float)(mc_grid_codes(grid) - 1);
    const float low = range.scale * (0.0f - (float)range.zero) + range.offset;
    const float middle = low + range.scale * last * 0.5f;
    double best = HUGE_VAL;
    for (int i = 0; i < 100; i++) {
        const float share = 1.0f - (float)i / 100.0f;
        mc_params p = range;
        mc_err err;
        cr_assert_eq(mc_grid_store_scale(grid, range.scale * share, &p.scale, &err), MC_OK);
        if (grid->offset == MC_OFFSET_ZERO)
            p.zero = (uint8_t)fminf(fmaxf(rintf(-low * share / p.scale), 0.0f), last);
        if (grid->offset == MC_OFFSET_FREE)
            p.offset = mc_round_to(MC_F16, middle - range.scale * share * last * 0.5f);
        mc_grid_encode(grid, p, w, n, code);
        mc_grid_decode(grid, p, code, n, value);
        best = fmin(best, error_of(w, value, NULL, n, 2.0f));
    }
    return best;
}

Test(grid_search, search_comes_within_one_percent_of_an_exhaustive_one)
{
    static float w[MOST];
    static fitted range;
    static fitted found;
    static const size_t groups[] = {32, 128, MOST};
    static const draw_kind kinds[] = {DRAW_NORMAL,  DRAW_HEAVY,    DRAW_OUTLIER,
                                      DRAW_UNIFORM, DRAW_POSITIVE, DRAW_SHIFTED};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        draw_weights(kinds[k], 11, w, MOST);
        for (unsigned bits = 2; bits <= 8; bits += bits < 4 ? 1 : 2) {
            for (int offset = MC_OFFSET_NONE; offset <= MC_OFFSET_FREE; offset++) {
                for (size_t s = 0; s < 3; s++) {
                    const mc_grid grid = grid_of(mc_levels_int(bits), (mc_offset)offset);
                    fit_row(&grid, by_range, w, NULL, MOST, groups[s], &range);
                    fit_row(&grid, by_search(2.0f), w, NULL, MOST, groups[s], &found);
                    double wanted = 0.0;
                    for (size_t g = 0; g < MOST / groups[s]; g++)
                        wanted += exhaustive(&grid, range.p[g], w + g * groups[s], groups[s]);
                    const double got = error_of(w, found.value, NULL, MOST, 2.0f);
                    cr_expect(got <= 1.01 * wanted, "%s, %u bits, offset %d, group %zu: %g of it",
                              draw_name(kinds[k]), bits, offset, groups[s], got / wanted);
                }
            }
        }
    }
}

/* Full-range integers reach one step further down than up: with the largest weight on top, turning
 * the grid around saves it from being clipped. */
Test(grid_search, scales_turn_negative_only_where_they_may)
{
    static fitted f;
    float w[32];
    for (int i = 0; i < 32; i++) w[i] = (float)(i % 15 - 7);
    w[3] = 8.0f;
    mc_grid grid = grid_of(mc_levels_int(4), MC_OFFSET_NONE);
    fit_row(&grid, by_search(2.0f), w, NULL, 32, 32, &f);
    cr_expect_gt(f.p[0].scale, 0.0f);
    cr_expect_gt(error_of(w, f.value, NULL, 32, 2.0f), 0.0);

    grid.negative_scale = true;
    fit_row(&grid, by_search(2.0f), w, NULL, 32, 32, &f);
    cr_expect_eq(f.p[0].scale, -1.0f);
    cr_expect_eq(error_of(w, f.value, NULL, 32, 2.0f), 0.0);

    static float drawn[MOST];
    draw_weights(DRAW_NORMAL, 12, drawn, MOST);
    size_t negative = 0;
    grid.restricted = true;
    fit_row(&grid, by_search(2.0f), drawn, NULL, MOST, 32, &f);
    for (size_t g = 0; g < MOST / 32; g++) negative += f.p[g].scale < 0.0f;
    cr_expect_eq(negative, 0u, "a restricted grid is its own mirror image");
}

Test(grid_search, importance_decides_which_weights_are_met)
{
    static fitted f;
    const float w[] = {0.11f, -0.37f, 0.52f, 0.9f, -0.05f, 0.33f, -0.61f, 1.0f};
    float importance[8] = {0};
    importance[1] = 3.0f;
    const mc_grid grid = grid_of(mc_levels_int(3), MC_OFFSET_NONE);
    fit_row(&grid, by_search(2.0f), w, importance, 8, 8, &f);
    cr_expect_float_eq(f.value[1], w[1], 0x1p-11f * 0.37f);
    importance[1] = 0.0f;
    static fitted range;
    fit_row(&grid, by_search(2.0f), w, importance, 8, 8, &f);
    fit_row(&grid, by_range, w, NULL, 8, 8, &range);
    cr_expect_eq(f.p[0].scale, range.p[0].scale, "nothing counts, so the range stays");
}

/* Units of the search are powers of two, so multiplying by one changes no code. */
Test(grid_search, powers_of_two_change_no_code)
{
    static float w[MOST];
    static float scaled[MOST];
    static fitted f;
    static fitted g;
    draw_weights(DRAW_HEAVY, 13, w, 640);
    for (int offset = MC_OFFSET_NONE; offset <= MC_OFFSET_FREE; offset++) {
        mc_grid grid = grid_of(mc_levels_int(4), (mc_offset)offset);
        grid.scale_dtype = MC_F32;
        fit_row(&grid, by_search(2.0f), w, NULL, 640, 32, &f);
        static const float factors[] = {0x1p-80f, 0x1p90f};
        for (int k = 0; k < 2; k++) {
            for (int i = 0; i < 640; i++) scaled[i] = w[i] * factors[k];
            fit_row(&grid, by_search(2.0f), scaled, NULL, 640, 32, &g);
            cr_expect_arr_eq(f.code, g.code, 640);
            cr_expect_eq(g.p[0].scale, f.p[0].scale * factors[k]);
        }
    }
}

Test(grid_search, groups_of_a_row_are_fitted_one_by_one)
{
    static float w[MOST];
    static fitted row;
    static fitted one;
    draw_weights(DRAW_SHIFTED, 14, w, 70 * 32);
    for (int kind = 0; kind < 2; kind++) {
        for (int offset = MC_OFFSET_NONE; offset <= MC_OFFSET_FREE; offset++) {
            const mc_grid grid = grid_of(mc_levels_int(4), (mc_offset)offset);
            const mc_fit fit = kind ? by_search(2.0f) : by_range;
            fit_row(&grid, fit, w, NULL, 70 * 32, 32, &row);
            for (size_t g = 0; g < 70; g++) {
                fit_row(&grid, fit, w + 32 * g, NULL, 32, 32, &one);
                cr_assert(row.p[g].scale == one.p[0].scale && row.p[g].zero == one.p[0].zero &&
                          row.p[g].offset == one.p[0].offset);
            }
        }
    }
}
