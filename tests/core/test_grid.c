/* Values and codes of grids against arithmetic written out, for all kinds of levels and offsets. */
#include "core/grid.h"
#include "tests/support/draw.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static void expect_refused(mc_grid grid, const char *text)
{
    mc_err err = {0};
    cr_expect_eq(mc_grid_check(&grid, &err), MC_E_USAGE, "%s", text);
    cr_expect_str_eq(err.text, text);
}

static mc_grid int_grid(unsigned bits, mc_offset offset)
{
    return (mc_grid){.levels = mc_levels_int(bits), .offset = offset, .scale_dtype = MC_F16};
}

static mc_grid table_grid(const char *name, mc_offset offset)
{
    return (mc_grid){.levels = mc_levels_find(name), .offset = offset, .scale_dtype = MC_F16};
}

Test(grid, refuses_what_means_nothing)
{
    mc_grid grid = int_grid(4, MC_OFFSET_NONE);
    expect_refused(table_grid("nf4", MC_OFFSET_ZERO), "the table nf4 has no integer zero");
    expect_refused(int_grid(1, MC_OFFSET_NONE),
                   "symmetric integers of 1 bit are -1 and 0; the table binary is -1 and 1");
    grid = int_grid(4, MC_OFFSET_ZERO);
    grid.restricted = true;
    expect_refused(grid, "only symmetric integers have a restricted range");
    grid = int_grid(4, MC_OFFSET_FREE);
    grid.scale_dtype = MC_F8_E8M0;
    expect_refused(grid, "F8_E8M0 holds powers of two, not the offsets of a grid");
    grid.offset = MC_OFFSET_NONE;
    grid.negative_scale = true;
    expect_refused(grid, "F8_E8M0 has no negative scales");
    grid = int_grid(4, MC_OFFSET_NONE);
    grid.scale_dtype = MC_F8_E5M2;
    expect_refused(grid, "scales are F16, BF16, F32, F8_E8M0 or F8_E4M3, not F8_E5M2");
    grid = int_grid(4, MC_OFFSET_NONE);
    grid.super = 8;
    expect_refused(grid, "plain scales have no super-scale, but 8 groups share one");
    grid.sub_bits = 3;
    expect_refused(grid, "sub-scales have 4 to 8 bits, not 3");
    grid.sub_bits = 6;
    grid.super = 0;
    expect_refused(grid, "sub-scales of 6 bits need groups that share a super-scale");
    expect_refused((mc_grid){.scale_dtype = MC_F16}, "the grid has no levels");
    grid = table_grid("e2m1", MC_OFFSET_NONE);
    grid.tensor_scaled = true;
    expect_refused(grid, "a scale of the whole tensor goes with plain scales of F8_E4M3");
    grid.scale_dtype = MC_F8_E4M3;
    grid.sub_bits = 6;
    grid.super = 8;
    expect_refused(grid, "a scale of the whole tensor goes with plain scales of F8_E4M3");
    grid.sub_bits = grid.super = 0;
    grid.offset = MC_OFFSET_FREE;
    expect_refused(grid, "a scale of the whole tensor has no offset beside it");
}

Test(grid, accepts_what_means_something)
{
    mc_err err = {0};
    for (unsigned bits = 1; bits <= 8; bits++) {
        for (int offset = MC_OFFSET_NONE; offset <= MC_OFFSET_FREE; offset++) {
            if (bits == 1 && offset == MC_OFFSET_NONE) continue;
            mc_grid grid = int_grid(bits, (mc_offset)offset);
            cr_expect_eq(mc_grid_check(&grid, &err), MC_OK, "%s", err.text);
            grid.sub_bits = 6;
            grid.super = 16;
            cr_expect_eq(mc_grid_check(&grid, &err), MC_OK, "%s", err.text);
        }
    }
    mc_grid grid = table_grid("e2m1", MC_OFFSET_NONE);
    grid.scale_dtype = MC_F8_E8M0;
    cr_expect_eq(mc_grid_check(&grid, &err), MC_OK, "%s", err.text);
}

Test(grid, values_follow_the_formulas)
{
    mc_grid grid = int_grid(4, MC_OFFSET_NONE);
    const mc_params p = {.scale = 0.5f, .offset = 100.0f, .zero = 8};
    cr_expect_eq(mc_grid_value(&grid, p, 0), -4.0f);
    cr_expect_eq(mc_grid_value(&grid, p, 15), 3.5f);
    grid.offset = MC_OFFSET_ZERO;
    cr_expect_eq(mc_grid_value(&grid, (mc_params){.scale = 0.5f, .zero = 3}, 5), 1.0f);
    grid.offset = MC_OFFSET_FREE;
    cr_expect_eq(mc_grid_value(&grid, (mc_params){.scale = 0.5f, .offset = -1.25f}, 3), 0.25f);
    grid = table_grid("nf4", MC_OFFSET_NONE);
    cr_expect_eq(mc_grid_value(&grid, (mc_params){.scale = 2.0f}, 14), 2.0f * 0.7229568362236023f);
    grid.offset = MC_OFFSET_FREE;
    cr_expect_eq(mc_grid_value(&grid, (mc_params){.scale = 2.0f, .offset = 1.0f}, 0), -1.0f);
    cr_expect_eq(mc_grid_codes(&grid), 16u);
    cr_expect_eq(mc_grid_first(&grid), 0u);
    grid = int_grid(4, MC_OFFSET_NONE);
    grid.restricted = true;
    cr_expect_eq(mc_grid_first(&grid), 1u);
}

/* ---- codes ---- */

static unsigned defined_int_code(const mc_grid *grid, mc_params p, float w)
{
    const float offset = grid->offset == MC_OFFSET_FREE ? p.offset : 0.0f;
    const float u = rintf((w - offset) / p.scale) + (float)p.zero;
    const float first = (float)mc_grid_first(grid);
    return (unsigned)fminf(fmaxf(u, first), (float)(mc_grid_codes(grid) - 1));
}

/* The least distance, compared as 2w against the sum of two values, which is exact in double; of
 * equal distances the smaller code, or that of the float with an even last bit. (Levels whose
 * values coincide are one level.) */
static unsigned defined_table_code(const mc_grid *grid, mc_params p, float w)
{
    unsigned best = 0;
    for (unsigned u = 1; u < mc_grid_codes(grid); u++) {
        const double a = (double)mc_grid_value(grid, p, best);
        const double b = (double)mc_grid_value(grid, p, u);
        const double twice = 2.0 * (double)w;
        const bool even = grid->levels->fraction && (u + grid->levels->count / 2) % 2 == 0;
        if (b != a && twice == a + b ? even : b > a ? twice > a + b : b < a && twice < a + b)
            best = u;
    }
    return best;
}

/* Weights around the middles of neighbouring values, where codes change. */
static size_t tie_weights(const mc_grid *grid, mc_params p, float *w)
{
    size_t n = 0;
    for (unsigned u = mc_grid_first(grid); u + 1 < mc_grid_codes(grid) && n < 900; u++) {
        const double a = (double)mc_grid_value(grid, p, u);
        const double b = (double)mc_grid_value(grid, p, u + 1);
        const float middle = (float)(0.5 * (a + b));
        w[n++] = middle;
        w[n++] = nextafterf(middle, INFINITY);
        w[n++] = nextafterf(middle, -INFINITY);
    }
    return n;
}

static void expect_codes(const mc_grid *grid, mc_params p, const float *w, size_t n)
{
    static uint8_t code[2048];
    static float value[2048];
    mc_grid_encode(grid, p, w, n, code);
    mc_grid_decode(grid, p, code, n, value);
    for (size_t i = 0; i < n; i++) {
        const unsigned wanted = grid->levels->value ? defined_table_code(grid, p, w[i])
                                                    : defined_int_code(grid, p, w[i]);
        const bool same = mc_grid_value(grid, p, code[i]) == mc_grid_value(grid, p, wanted);
        cr_assert(code[i] == wanted || (grid->levels->value && same),
                  "%s, offset %d, scale %g: %.9g became %u, not %u", grid->levels->name,
                  grid->offset, (double)p.scale, (double)w[i], code[i], wanted);
        const float single = mc_grid_value(grid, p, code[i]);
        cr_assert(memcmp(&value[i], &single, sizeof single) == 0, "%g", (double)w[i]);
    }
}

static const mc_params tried[] = {
    {0.01f, 0.0f, 0},      {-0.01f, 0.0f, 0},    {0.0033f, 0.002f, 0},
    {-0.0033f, -0.02f, 0}, {6e-8f, 1e-3f, 0},    {1e-45f, 0.0f, 0},
    {1e30f, -1e31f, 0},    {0x1p-7f, 0.125f, 0}, {-0x1p-130f, 0.0f, 0}};
enum { TRIED = sizeof tried / sizeof *tried };

static void expect_codes_of(const mc_grid *grid, mc_params p)
{
    static float w[2048];
    expect_codes(grid, p, w, tie_weights(grid, p, w));
    for (draw_kind kind = 0; kind < DRAW_KINDS; kind++) {
        draw_weights(kind, 1, w, 101);
        expect_codes(grid, p, w, 101);
    }
    draw_bits(2, w, 1001);
    expect_codes(grid, p, w, 1001);
}

Test(grid, integer_codes_are_the_rounded_division)
{
    for (unsigned bits = 1; bits <= 8; bits++) {
        for (int offset = MC_OFFSET_NONE; offset <= MC_OFFSET_FREE; offset++) {
            for (size_t i = 0; i < TRIED; i++) {
                mc_grid grid = int_grid(bits, (mc_offset)offset);
                grid.restricted = offset == MC_OFFSET_NONE && i % 2;
                mc_params p = tried[i];
                if (offset != MC_OFFSET_FREE) p.offset = 0.0f;
                if (offset == MC_OFFSET_NONE) p.zero = (uint8_t)(mc_grid_codes(&grid) / 2);
                if (offset == MC_OFFSET_ZERO) p.zero = (uint8_t)((i * 37) % mc_grid_codes(&grid));
                expect_codes_of(&grid, p);
            }
        }
    }
}

Test(grid, table_codes_are_the_nearest_values)
{
    static const char *const names[] = {"binary", "ternary", "nf4", "iq4_nl",
                                        "e2m1",   "e4m3",    "e5m2"};
    for (size_t k = 0; k < 7; k++) {
        for (size_t i = 0; i < TRIED; i++) {
            if (k > 4 && i % 4 != 3) continue; /* many levels: ties among subnormals, and without */
            const mc_grid plain = table_grid(names[k], MC_OFFSET_NONE);
            const mc_grid free_offset = table_grid(names[k], MC_OFFSET_FREE);
            mc_params p = tried[i];
            expect_codes_of(&free_offset, p);
            p.offset = 0.0f;
            expect_codes_of(&plain, p);
        }
    }
}

static unsigned code_of(const mc_grid *grid, mc_params p, float w)
{
    uint8_t code;
    mc_grid_encode(grid, p, &w, 1, &code);
    return code;
}

Test(grid, a_tie_between_table_levels_goes_to_the_smaller_one_or_the_even_float)
{
    const mc_grid iq4 = table_grid("iq4_nl", MC_OFFSET_NONE);
    cr_expect_eq(code_of(&iq4, (mc_params){.scale = 1.0f}, 7.0f), 8u);
    cr_expect_eq(code_of(&iq4, (mc_params){.scale = 1.0f}, -115.5f), 0u);
    cr_expect_eq(code_of(&iq4, (mc_params){.scale = -1.0f}, 115.5f), 0u);
    const mc_grid grid = table_grid("e2m1", MC_OFFSET_NONE);
    cr_expect_eq(code_of(&grid, (mc_params){.scale = 1.0f}, 5.0f), 13u);
    cr_expect_eq(code_of(&grid, (mc_params){.scale = 1.0f}, -5.0f), 1u);
    cr_expect_eq(code_of(&grid, (mc_params){.scale = -1.0f}, 5.0f), 1u);
    cr_expect_eq(code_of(&grid, (mc_params){.scale = 1.0f}, 3.5f), 13u);
    const mc_grid ints = int_grid(4, MC_OFFSET_NONE);
    cr_expect_eq(code_of(&ints, (mc_params){.scale = 1.0f, .zero = 8}, 2.5f), 10u);
    cr_expect_eq(code_of(&ints, (mc_params){.scale = 1.0f, .zero = 8}, 3.5f), 12u);
}

/* Rows of several groups are groups one by one. */
Test(grid, rows_are_groups_side_by_side)
{
    enum { GROUPS = 5 };
    static const size_t sizes[] = {1, 7, 32, 33, 64, 128};
    const mc_grid grids[] = {int_grid(4, MC_OFFSET_NONE), int_grid(8, MC_OFFSET_ZERO),
                             int_grid(3, MC_OFFSET_FREE), table_grid("nf4", MC_OFFSET_NONE),
                             table_grid("e4m3", MC_OFFSET_FREE)};
    float w[GROUPS * 128];
    draw_weights(DRAW_SHIFTED, 3, w, GROUPS * 128);
    for (size_t k = 0; k < sizeof grids / sizeof *grids; k++) {
        for (size_t s = 0; s < 6; s++) {
            const size_t n = sizes[s];
            mc_params p[GROUPS];
            uint8_t code[2][GROUPS * 128];
            float value[2][GROUPS * 128];
            size_t clipped = 0;
            for (size_t g = 0; g < GROUPS; g++) {
                p[g] = (mc_params){.scale = 0.002f * (float)(g + 1), .zero = (uint8_t)(g + 2)};
                if (grids[k].offset == MC_OFFSET_FREE) p[g].offset = 0.01f * (float)g;
                mc_grid_encode(&grids[k], p[g], w + g * n, n, code[0] + g * n);
                mc_grid_decode(&grids[k], p[g], code[0] + g * n, n, value[0] + g * n);
                clipped += mc_grid_clipped_row(&grids[k], &p[g], w + g * n, 1, n);
            }
            mc_grid_encode_row(&grids[k], p, w, GROUPS, n, code[1]);
            mc_grid_decode_row(&grids[k], p, code[1], GROUPS, n, value[1]);
            cr_expect_arr_eq(code[0], code[1], GROUPS * n);
            cr_expect_arr_eq(value[0], value[1], GROUPS * n * sizeof(float));
            cr_expect_eq(mc_grid_clipped_row(&grids[k], p, w, GROUPS, n), clipped);
        }
    }
}

/* Few weights are searched for their code, many are compared with bounds that are computed once:
 * the same codes, also where steps are lost in an offset. */
Test(grid, short_groups_get_the_codes_of_long_ones)
{
    static float w[1024];
    static uint8_t code[2][1024];
    for (size_t l = 0; mc_levels_at(l); l++) {
        const mc_levels *levels = mc_levels_at(l);
        if (!levels->value) continue;
        for (int offset = MC_OFFSET_NONE; offset <= MC_OFFSET_FREE; offset += 2) {
            const mc_grid grid = table_grid(levels->name, (mc_offset)offset);
            for (size_t k = 0; k < TRIED; k++) {
                const mc_params p = tried[k];
                const size_t ties = tie_weights(&grid, p, w);
                draw_weights(DRAW_HEAVY, k, w + ties, 1024 - ties);
                mc_grid_encode(&grid, p, w, 1024, code[0]);
                for (size_t i = 0; i < 1024; i++) mc_grid_encode(&grid, p, w + i, 1, &code[1][i]);
                cr_assert_arr_eq(code[0], code[1], 1024, "%s %zu", levels->name, k);
            }
        }
    }
}

static size_t clipped_of(const mc_grid *grid, mc_params p, const float *w, size_t n)
{
    return mc_grid_clipped_row(grid, &p, w, 1, n);
}

Test(grid, clipped_weights_lie_more_than_half_a_step_outside)
{
    mc_grid grid = int_grid(4, MC_OFFSET_NONE); /* -8 .. 7 */
    const mc_params p = {.scale = 1.0f, .zero = 8};
    const float w[] = {-8.6f, -8.5f, -8.4f, 7.5f, 7.6f, 0.0f, 100.0f};
    cr_expect_eq(clipped_of(&grid, p, w, 7), 3u);
    grid.restricted = true; /* -7 .. 7 */
    cr_expect_eq(clipped_of(&grid, p, w, 7), 5u);
    cr_expect_eq(clipped_of(&grid, (mc_params){.scale = -1.0f, .zero = 8}, w, 7), 5u);

    grid = table_grid("e2m1", MC_OFFSET_NONE); /* -6 .. 6, steps of 2 at the ends */
    const float t[] = {-7.1f, -7.0f, 7.0f, 7.1f};
    cr_expect_eq(clipped_of(&grid, (mc_params){.scale = 1.0f}, t, 4), 2u);
    grid = int_grid(2, MC_OFFSET_FREE); /* 10 .. 13 */
    const float f[] = {9.4f, 9.5f, 13.5f, 13.6f};
    cr_expect_eq(clipped_of(&grid, (mc_params){.scale = 1.0f, .offset = 10.0f}, f, 4), 2u);
}

/* ---- storing ---- */

static float stored(mc_dtype dtype, float wanted)
{
    mc_grid grid = int_grid(4, MC_OFFSET_NONE);
    grid.scale_dtype = dtype;
    float found = NAN;
    mc_err err = {0};
    cr_expect_eq(mc_grid_store_scale(&grid, wanted, &found, &err), MC_OK, "%s", err.text);
    return found;
}

static void expect_not_stored(mc_dtype dtype, float wanted, const char *text)
{
    mc_grid grid = int_grid(4, MC_OFFSET_NONE);
    grid.scale_dtype = dtype;
    float found;
    mc_err err = {0};
    cr_expect_eq(mc_grid_store_scale(&grid, wanted, &found, &err), MC_E_UNSUPPORTED);
    cr_expect_str_eq(err.text, text);
}

Test(grid, scales_are_rounded_but_never_to_zero)
{
    cr_expect_eq(stored(MC_F16, 0.1f), 0.0999755859375f);
    cr_expect_eq(stored(MC_F16, 65519.0f), 65504.0f);
    cr_expect_eq(stored(MC_F16, 1e-9f), 0x1p-24f);
    cr_expect_eq(stored(MC_F16, -1e-9f), -0x1p-24f);
    cr_expect_eq(stored(MC_F16, 0.0f), 0x1p-24f);
    cr_expect_eq(stored(MC_BF16, 0.1f), 0.10009765625f);
    cr_expect_eq(stored(MC_BF16, 1e-45f), 0x1p-133f);
    cr_expect_eq(stored(MC_F32, 0.1f), 0.1f);
    cr_expect_eq(stored(MC_F8_E4M3, 1e-9f), 0x1p-9f);
    cr_expect_eq(stored(MC_F8_E4M3, 463.0f), 448.0f);
    cr_expect_eq(stored(MC_F8_E8M0, 0.3f), 0.25f);
    cr_expect_eq(stored(MC_F8_E8M0, 1e-45f), 0x1p-127f);
}

Test(grid, scales_that_do_not_fit_are_named)
{
    expect_not_stored(
        MC_F16, 1.2e6f,
        "a scale of 1.2e+06 does not fit F16 (at most 65504); --scale-dtype f32 or bf16 holds it");
    expect_not_stored(
        MC_F16, -70000.0f,
        "a scale of -70000 does not fit F16 (at most 65504); --scale-dtype f32 or bf16 holds it");
    expect_not_stored(
        MC_F8_E4M3, 465.0f,
        "a scale of 465 does not fit F8_E4M3 (at most 448); --scale-dtype f32 or bf16 holds it");
    expect_not_stored(
        MC_F8_E8M0, -1.0f,
        "a scale of -1 does not fit F8_E8M0 (no sign); --scale-dtype f32 or bf16 holds it");
    expect_not_stored(MC_F8_E8M0, 3e38f,
                      "a scale of 3e+38 does not fit F8_E8M0 (at most 1.701412e+38); --scale-dtype "
                      "f32 or bf16 holds it");
    expect_not_stored(MC_BF16, 0x1.ffp127f,
                      "a scale of 3.39618e+38 does not fit BF16 (at most 3.389531e+38)"
                      "; --scale-dtype f32 holds it");
    expect_not_stored(MC_F32, INFINITY, "a scale of inf does not fit F32 (at most 3.402823e+38)");
    expect_not_stored(MC_F16, NAN, "a scale of nan does not fit F16 (at most 65504)");
}
