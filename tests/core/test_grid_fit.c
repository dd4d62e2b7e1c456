/* Fitting by range against its formulas and bounds; what cannot be fitted. */
#include "tests/support/draw.h"
#include "tests/support/fitted.h"

#include <criterion/criterion.h>
#include <math.h>

static float absmax(const float *w, size_t n)
{
    float most = 0.0f;
    for (size_t i = 0; i < n; i++) most = fmaxf(most, fabsf(w[i]));
    return most;
}

/* ---- by range ---- */

Test(grid_fit, symmetric_ranges_follow_the_formula)
{
    static float w[MOST];
    static fitted f;
    draw_weights(DRAW_NORMAL, 1, w, 320);
    for (unsigned bits = 2; bits <= 8; bits++) {
        for (int restricted = 0; restricted < 2; restricted++) {
            mc_grid grid = grid_of(mc_levels_int(bits), MC_OFFSET_NONE);
            grid.restricted = restricted;
            fit_row(&grid, by_range, w, NULL, 320, 32, &f);
            const int reach = restricted ? (1 << bits) - 2 : (1 << bits) - 1;
            for (size_t g = 0; g < 10; g++) {
                const float scale = 2.0f * absmax(w + 32 * g, 32) / (float)reach;
                cr_expect_eq(f.p[g].scale, mc_round_to(MC_F16, scale), "%u bits", bits);
                cr_expect_eq(f.p[g].zero, 1u << (bits - 1));
                cr_expect_eq(f.p[g].offset, 0.0f);
            }
        }
    }
}

Test(grid_fit, zeros_follow_the_formula_and_zero_is_a_value)
{
    static float w[MOST];
    static fitted f;
    for (draw_kind kind = 0; kind < DRAW_KINDS; kind++) {
        draw_weights(kind, 1, w, 320);
        for (unsigned bits = 1; bits <= 8; bits++) {
            const mc_grid grid = grid_of(mc_levels_int(bits), MC_OFFSET_ZERO);
            const float last = (float)((1u << bits) - 1);
            fit_row(&grid, by_range, w, NULL, 320, 32, &f);
            for (size_t g = 0; g < 10; g++) {
                float low = 0.0f;
                float high = 0.0f;
                for (size_t i = 32 * g; i < 32 * g + 32; i++) {
                    low = fminf(low, w[i]);
                    high = fmaxf(high, w[i]);
                }
                if (low == high) continue;
                const float scale = mc_round_to(MC_F16, (high - low) / last);
                cr_expect_eq(f.p[g].scale, scale > 0.0f ? scale : 0x1p-24f);
                const float zero = fminf(fmaxf(rintf(-low / f.p[g].scale), 0.0f), last);
                cr_expect_eq((float)f.p[g].zero, zero);
                cr_expect_eq(mc_grid_value(&grid, f.p[g], f.p[g].zero), 0.0f);
            }
        }
    }
}

Test(grid_fit, free_offsets_start_at_the_least_weight)
{
    static float w[MOST];
    static fitted f;
    draw_weights(DRAW_SHIFTED, 1, w, 320);
    for (unsigned bits = 1; bits <= 8; bits++) {
        const mc_grid grid = grid_of(mc_levels_int(bits), MC_OFFSET_FREE);
        fit_row(&grid, by_range, w, NULL, 320, 32, &f);
        for (size_t g = 0; g < 10; g++) {
            float low = w[32 * g];
            float high = low;
            for (size_t i = 32 * g; i < 32 * g + 32; i++) {
                low = fminf(low, w[i]);
                high = fmaxf(high, w[i]);
            }
            const float scale = (high - low) / (float)((1u << bits) - 1);
            cr_expect_eq(f.p[g].scale, mc_round_to(MC_F16, scale));
            cr_expect_eq(f.p[g].offset, mc_round_to(MC_F16, low));
            cr_expect_eq(f.p[g].zero, 0u);
        }
    }
}

Test(grid_fit, tables_put_their_ends_on_the_ends_of_the_weights)
{
    const float w[] = {-2.0f, 0.5f, 1.0f, 4.0f};
    static fitted f;
    mc_grid grid = grid_of(mc_levels_find("e2m1"), MC_OFFSET_NONE);
    grid.scale_dtype = MC_F32;
    fit_row(&grid, by_range, w, NULL, 4, 4, &f);
    cr_expect_eq(f.p[0].scale, 4.0f / 6.0f);
    grid.offset = MC_OFFSET_FREE;
    fit_row(&grid, by_range, w, NULL, 4, 4, &f);
    cr_expect_eq(f.p[0].scale, 0.5f);
    cr_expect_eq(f.p[0].offset, 1.0f);
    cr_expect(f.value[0] == -2.0f && f.value[3] == 4.0f);
    grid.levels = mc_levels_find("iq4_nl"); /* -127 .. 113 */
    fit_row(&grid, by_range, w, NULL, 4, 4, &f);
    cr_expect_eq(f.p[0].scale, 6.0f / 240.0f);
    cr_expect_float_eq(f.value[0], -2.0f, 1e-6);
    cr_expect_float_eq(f.value[3], 4.0f, 1e-6);
}

static const mc_dtype scale_dtypes[] = {MC_F16, MC_BF16, MC_F32, MC_F8_E4M3, MC_F8_E8M0};
enum { SCALE_DTYPES = 5 };

Test(grid_fit, every_weight_is_within_half_a_step_or_counted_as_clipped)
{
    static float w[MOST];
    static fitted f;
    for (draw_kind kind = 0; kind < DRAW_KINDS; kind++) {
        draw_weights(kind, 4, w, 640);
        for (size_t i = 0; mc_levels_at(i); i++) {
            for (int offset = MC_OFFSET_NONE; offset <= MC_OFFSET_FREE; offset++) {
                for (int d = 0; d < SCALE_DTYPES; d++) {
                    mc_grid grid = grid_of(mc_levels_at(i), (mc_offset)offset);
                    mc_err err;
                    grid.scale_dtype = scale_dtypes[d];
                    if (mc_grid_check(&grid, &err) != MC_OK) continue;
                    fit_row(&grid, by_range, w, NULL, 640, 32, &f);
                    expect_half_steps(&grid, w, 640, 32, &f);
                }
            }
        }
    }
}

/* What lies outside is there by the rounding of the scale alone: clipping is the search's business.
 * The binary table always leaves something out. */
Test(grid_fit, ranges_clip_next_to_nothing)
{
    static float w[MOST];
    static fitted f;
    for (unsigned bits = 2; bits <= 8; bits++) {
        for (int offset = MC_OFFSET_NONE; offset <= MC_OFFSET_FREE; offset++) {
            mc_grid grid = grid_of(mc_levels_int(bits), (mc_offset)offset);
            draw_weights(DRAW_NORMAL, 6, w, 3200);
            fit_row(&grid, by_range, w, NULL, 3200, 32, &f);
            for (size_t i = 0; i < 3200; i++) {
                const float rounding =
                    fabsf(w[i]) * 0x1p-10f + fabsf(f.p[i / 32].offset) * 0x1p-11f;
                const float off = fabsf(w[i] - f.value[i]);
                cr_assert_leq(off, 0.5f * f.p[i / 32].scale + rounding, "%u bits", bits);
            }
            if (offset == MC_OFFSET_FREE) continue;
            grid.scale_dtype = MC_F8_E8M0; /* rounds up */
            fit_row(&grid, by_range, w, NULL, 3200, 32, &f);
            cr_expect_eq(mc_grid_clipped_row(&grid, f.p, w, 100, 32), 0u);
        }
    }
}

Test(grid_fit, powers_of_two_are_the_next_that_cover_the_range)
{
    static fitted f;
    mc_grid grid = grid_of(mc_levels_int(4), MC_OFFSET_NONE);
    grid.scale_dtype = MC_F8_E8M0;
    const float w[] = {7.5f, 7.51f, 15.0f, 3.75f, 0x1p-140f};
    const float wanted[] = {1.0f, 2.0f, 2.0f, 0.5f, 0x1p-127f};
    fit_row(&grid, by_range, w, NULL, 5, 1, &f);
    for (int i = 0; i < 5; i++) cr_expect_eq(f.p[i].scale, wanted[i], "%d", i);
}

/* OCP MX: the exponent of the largest weight less that of the largest float, 2 for 6, 8 for 448, 15
 * for 57344; from a fraction of 1.75 on one more. */
Test(grid_fit, powers_of_two_of_floats_follow_the_exponent_of_the_largest)
{
    static fitted f;
    static const struct {
        const char *levels;
        int reach;
    } floats[] = {{"e2m1", 2}, {"e4m3", 8}, {"e5m2", 15}};
    const float w[] = {4.0f, 6.0f, 6.99f, 7.0f, -7.99f, 8.0f, 0x1p-20f, 0x1p-149f};
    const int wanted[] = {2, 2, 2, 3, 3, 3, -20, -149};
    for (int k = 0; k < 3; k++) {
        mc_grid grid = grid_of(mc_levels_find(floats[k].levels), MC_OFFSET_NONE);
        grid.scale_dtype = MC_F8_E8M0;
        fit_row(&grid, by_range, w, NULL, 8, 1, &f);
        for (int i = 0; i < 8; i++) {
            const int exponent = wanted[i] - floats[k].reach;
            cr_expect_eq(f.p[i].scale, ldexpf(1.0f, exponent < -127 ? -127 : exponent), "%s %d",
                         floats[k].levels, i);
        }
    }
}

Test(grid_fit, zeros_alone_stay_zeros)
{
    static const float w[64];
    static fitted f;
    for (size_t i = 0; mc_levels_at(i); i++) {
        for (int offset = MC_OFFSET_NONE; offset <= MC_OFFSET_FREE; offset++) {
            for (int kind = 0; kind < 2; kind++) {
                mc_grid grid = grid_of(mc_levels_at(i), (mc_offset)offset);
                mc_err err;
                if (mc_grid_check(&grid, &err) != MC_OK) continue;
                for (int two_level = 0; two_level < 2; two_level++) {
                    grid.sub_bits = two_level ? 6 : 0;
                    grid.super = two_level ? 2 : 0;
                    fit_row(&grid, kind ? by_search(2.0f) : by_range, w, NULL, 64, 16, &f);
                    for (size_t k = 0; k < 64; k++)
                        cr_assert(fabsf(f.value[k]) <= 127.0f * 0x1p-24f, "%s: %g",
                                  grid.levels->name, (double)f.value[k]);
                    if (!grid.levels->value && !two_level) cr_expect_eq(f.p[0].scale, 1.0f);
                }
            }
        }
    }
}

Test(grid_fit, one_repeated_weight_is_its_offset)
{
    float w[32];
    static fitted f;
    for (int i = 0; i < 32; i++) w[i] = -0.123f;
    for (int kind = 0; kind < 2; kind++) {
        const mc_grid grid = grid_of(mc_levels_int(3), MC_OFFSET_FREE);
        fit_row(&grid, kind ? by_search(2.0f) : by_range, w, NULL, 32, 32, &f);
        cr_expect_eq(f.p[0].offset, mc_round_to(MC_F16, -0.123f));
        for (int i = 0; i < 32; i++) cr_expect_eq(f.value[i], f.p[0].offset);
    }
}

/* ---- refusals ---- */

static void expect_refused(const mc_grid *grid, const float *w, size_t n, const char *text)
{
    static fitted f;
    for (int kind = 0; kind < 2; kind++) {
        mc_err err = {0};
        const mc_fit fit = kind ? by_search(2.0f) : by_range;
        cr_expect_eq(mc_grid_fit(grid, fit, w, NULL, 1, n, f.p, f.sub, f.super, &err),
                     MC_E_UNSUPPORTED, "%s", text);
        cr_expect_str_eq(err.text, text);
    }
}

#define HOLDS "; --scale-dtype f32 or bf16 holds it"

Test(grid_fit, scales_and_offsets_that_do_not_fit_are_named)
{
    mc_grid grid = grid_of(mc_levels_int(4), MC_OFFSET_NONE);
    const float large[] = {9e6f, 1.0f};
    expect_refused(&grid, large, 2, "a scale of 1.2e+06 does not fit F16 (at most 65504)" HOLDS);
    grid.offset = MC_OFFSET_FREE;
    const float shifted[] = {-1e6f, -1e6f + 1.0f};
    expect_refused(&grid, shifted, 2, "an offset of -1e+06 does not fit F16 (at most 65504)" HOLDS);
    grid.scale_dtype = MC_F8_E4M3;
    const float beyond[] = {-500.0f, 1.0f};
    expect_refused(&grid, beyond, 2, "an offset of -500 does not fit F8_E4M3 (at most 448)" HOLDS);
    grid = grid_of(mc_levels_int(4), MC_OFFSET_NONE);
    grid.sub_bits = 4;
    grid.super = 1;
    const float huge[] = {1.5e8f};
    expect_refused(&grid, huge, 1, "a scale of 1.33333e+06 does not fit F16 (at most 65504)" HOLDS);
}

Test(grid_fit, weights_at_the_end_of_floats_are_refused)
{
    mc_grid grid = grid_of(mc_levels_int(4), MC_OFFSET_ZERO);
    grid.scale_dtype = MC_F32;
    const float w[] = {1.0f, -3e38f};
    expect_refused(&grid, w, 2, "a weight of -3e+38 is beyond what a grid spans (4.25353e+37)");
}

Test(grid_fit, scales_too_small_for_their_dtype_become_its_smallest)
{
    float w[32];
    static fitted f;
    draw_weights(DRAW_NORMAL, 1, w, 32);
    for (int i = 0; i < 32; i++) w[i] *= 1e-6f;
    for (int kind = 0; kind < 2; kind++) {
        const mc_grid grid = grid_of(mc_levels_int(4), MC_OFFSET_NONE);
        fit_row(&grid, kind ? by_search(2.0f) : by_range, w, NULL, 32, 32, &f);
        cr_expect_eq(f.p[0].scale, 0x1p-24f);
    }
}
