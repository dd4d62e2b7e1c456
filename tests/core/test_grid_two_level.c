/* Two-level scales: exact products of what is stored, and close to plain ones. */
#include "tests/support/draw.h"
#include "tests/support/fitted.h"

#include <criterion/criterion.h>
#include <math.h>

static mc_grid two_level_grid(mc_offset offset, unsigned sub_bits, unsigned super)
{
    mc_grid grid = grid_of(mc_levels_int(4), offset);
    grid.sub_bits = sub_bits;
    grid.super = super;
    return grid;
}

static void expect_products(const mc_grid *grid, const fitted *f, size_t groups)
{
    for (size_t g = 0; g < groups; g++) {
        const mc_super super = f->super[g / grid->super];
        const mc_sub sub = f->sub[g];
        cr_assert_eq(f->p[g].scale, super.scale * (float)sub.scale);
        cr_assert_eq(f->p[g].offset, super.offset * (float)sub.offset);
        cr_assert(sub.scale >= 1 && sub.scale < 1u << grid->sub_bits);
        cr_assert_lt(sub.offset, 1u << grid->sub_bits);
        cr_assert_eq(mc_round_to(grid->scale_dtype, super.scale), super.scale);
        cr_assert_eq(mc_round_to(grid->scale_dtype, super.offset), super.offset);
    }
}

Test(grid_two_level, two_level_numbers_are_exact_products)
{
    static float w[MOST];
    static fitted f;
    for (draw_kind kind = 0; kind < DRAW_KINDS; kind++) {
        draw_weights(kind, 15, w, 11 * 32);
        for (unsigned sub_bits = 4; sub_bits <= 8; sub_bits++) {
            for (int offset = MC_OFFSET_NONE; offset <= MC_OFFSET_FREE; offset++) {
                const mc_grid grid = two_level_grid((mc_offset)offset, sub_bits, 4);
                fit_row(&grid, by_range, w, NULL, 11 * 32, 32, &f);
                expect_products(&grid, &f, 11);
                expect_half_steps(&grid, w, 11 * 32, 32, &f);
                fit_row(&grid, by_search(2.0f), w, NULL, 11 * 32, 32, &f);
                expect_products(&grid, &f, 11);
            }
        }
    }
}

/* The largest group decides the super-scale; its own sub-scale is the largest one. */
Test(grid_two_level, a_super_scale_is_the_largest_scale_over_the_largest_sub_scale)
{
    static fitted f;
    const float w[] = {63.75f, 1.0f, 112.5f, 2.0f, 0.0f, 0.0f, 30.0f, 0.0f};
    mc_grid grid = two_level_grid(MC_OFFSET_NONE, 4, 4);
    grid.scale_dtype = MC_F32;
    fit_row(&grid, by_range, w, NULL, 8, 2, &f);
    cr_expect_eq(f.super[0].scale, 1.0f);
    const unsigned wanted[] = {8 /* 8.5 to even */, 15, 1, 4};
    for (int g = 0; g < 4; g++) cr_expect_eq(f.sub[g].scale, wanted[g], "%d", g);
}

Test(grid_two_level, offsets_of_both_signs_share_the_stronger_one)
{
    static fitted f;
    const float w[] = {-4.0f, 4.0f, -2.0f, 6.0f, 1.0f, 2.5f, -1.0f, 0.5f};
    mc_grid grid = two_level_grid(MC_OFFSET_FREE, 4, 4);
    fit_row(&grid, by_range, w, NULL, 8, 2, &f);
    cr_expect_lt(f.super[0].offset, 0.0f);
    cr_expect_eq(f.sub[0].offset, 15u);
    cr_expect_eq(f.sub[2].offset, 0u, "a positive offset is out of reach");
    for (int i = 0; i < 8; i++)
        cr_expect(fabsf(f.value[i] - w[i]) <= 0.6f * f.p[i / 2].scale, "%d: %g", i,
                  (double)f.value[i]);
}

/* More bits for sub-scales, less to give way: with 8 of them the error is close to plain scales. */
Test(grid_two_level, eight_bit_sub_scales_are_nearly_plain_ones)
{
    static float w[MOST];
    static fitted plain;
    static fitted f;
    draw_weights(DRAW_NORMAL, 16, w, MOST);
    for (int offset = MC_OFFSET_NONE; offset <= MC_OFFSET_FREE; offset++) {
        const mc_grid one = grid_of(mc_levels_int(4), (mc_offset)offset);
        const mc_grid two = two_level_grid((mc_offset)offset, 8, 8);
        for (int kind = 0; kind < 2; kind++) {
            const mc_fit fit = kind ? by_search(2.0f) : by_range;
            fit_row(&one, fit, w, NULL, MOST, 32, &plain);
            fit_row(&two, fit, w, NULL, MOST, 32, &f);
            const double limit = error_of(w, plain.value, NULL, MOST, 2.0f);
            const double found = error_of(w, f.value, NULL, MOST, 2.0f);
            cr_expect(found <= 1.03 * limit, "offset %d: %g of it", offset, found / limit);
        }
    }
}

/* The least error of one group under its super-scale, by trying all there is. */
static double least_error(const mc_grid *grid, mc_grid_group group, mc_super super)
{
    const unsigned most = 1u << grid->sub_bits;
    const unsigned besides = grid->offset == MC_OFFSET_NONE   ? 1
                             : grid->offset == MC_OFFSET_ZERO ? mc_grid_codes(grid)
                                                              : most;
    double least = HUGE_VAL;
    for (unsigned k = 1; k < most; k++)
        for (unsigned j = 0; j < besides; j++) {
            mc_params p = {.scale = super.scale * (float)k, .zero = 8};
            if (grid->offset == MC_OFFSET_ZERO) p.zero = (uint8_t)j;
            if (grid->offset == MC_OFFSET_FREE) {
                p.zero = 0;
                p.offset = super.offset * (float)j;
            }
            least = fmin(least, mc_grid_error(grid, p, group, 2.0f));
        }
    return least;
}

/* A group that has become smaller, another one, and one of zeros, after its row was fitted. */
Test(grid_two_level, a_group_is_fitted_again_under_a_super_scale_that_stays)
{
    enum { GROUP = 32, GROUPS = 8, CHANGED = 2 };
    static float w[GROUP * GROUPS], changed[GROUP];
    static fitted f;
    static const float factor[] = {0.6f, -0.3f, 1.0f, 0.0f};
    draw_weights(DRAW_NORMAL, 21, w, GROUP * GROUPS);
    for (int offset = MC_OFFSET_NONE; offset <= MC_OFFSET_FREE; offset++) {
        const mc_grid grid = two_level_grid((mc_offset)offset, 6, GROUPS);
        fit_row(&grid, by_search(2.0f), w, NULL, GROUP * GROUPS, GROUP, &f);
        for (size_t i = 0; i < sizeof factor / sizeof factor[0]; i++) {
            for (size_t k = 0; k < GROUP; k++) changed[k] = factor[i] * w[CHANGED * GROUP + k];
            const mc_grid_group group = {changed, NULL, GROUP};
            mc_params p = f.p[CHANGED];
            mc_sub sub = f.sub[CHANGED];
            mc_err err = {0};
            cr_assert_eq(
                mc_grid_refit_sub(&grid, by_search(2.0f), group, f.super[0], &p, &sub, &err), MC_OK,
                "%s", err.text);
            cr_expect_eq(p.scale, f.super[0].scale * (float)sub.scale);
            cr_expect_eq(p.offset, f.super[0].offset * (float)sub.offset);
            const double error = mc_grid_error(&grid, p, group, 2.0f);
            const double before = mc_grid_error(&grid, f.p[CHANGED], group, 2.0f);
            cr_expect_leq(error, before);
            if (factor[i] == 0.0f) continue;
            cr_expect_leq(error, 1.1 * least_error(&grid, group, f.super[0]),
                          "offset %d, factor %g: %g, was %g", offset, (double)factor[i], error,
                          before);
        }
    }
}
