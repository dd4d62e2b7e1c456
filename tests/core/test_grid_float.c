/* Grids of small floats against what others make of the same numbers: FP8, MXFP4, NVFP4. */
#include "float_golden.h"

#include "core/grid.h"
#include "tests/support/draw.h"
#include "tests/support/fitted.h"

#include <criterion/criterion.h>
#include <float.h>
#include <math.h>

static mc_grid float_grid(const char *levels, mc_dtype scale)
{
    return (mc_grid){.levels = mc_levels_find(levels), .scale_dtype = scale};
}

static unsigned code_of(const mc_grid *grid, float scale, float w)
{
    uint8_t code;
    mc_grid_encode(grid, (mc_params){.scale = scale}, &w, 1, &code);
    return code;
}

/* A code as the float's bits: a sign of `sign` and what is beside it. */
static unsigned bits_of(const mc_grid *grid, unsigned code, unsigned sign)
{
    const unsigned middle = grid->levels->count / 2u;
    return code < middle ? sign | (middle - code) : code - middle;
}

/* ---- E2M1 ---- */

/* The thresholds that encoders of MXFP4 and NVFP4 use: above or from there on. */
Test(grid_float, e2m1_has_the_published_thresholds)
{
    static const struct {
        float at;
        bool included;
        float below, above;
    } threshold[] = {{0.25f, false, 0.0f, 0.5f}, {0.75f, true, 0.5f, 1.0f},
                     {1.25f, false, 1.0f, 1.5f}, {1.75f, true, 1.5f, 2.0f},
                     {2.5f, false, 2.0f, 3.0f},  {3.5f, true, 3.0f, 4.0f},
                     {5.0f, false, 4.0f, 6.0f}};
    const mc_grid grid = float_grid("e2m1", MC_F32);
    static const float scales[] = {1.0f, 0x1p-100f, 0x1p60f, 3.0f, 0.0625f * 1.25f};
    for (size_t s = 0; s < sizeof scales / sizeof *scales; s++)
        for (size_t i = 0; i < sizeof threshold / sizeof *threshold; i++)
            for (int sign = -1; sign <= 1; sign += 2) {
                const float unit = (float)sign * scales[s];
                const float at = threshold[i].at * scales[s];
                const float w[] = {nextafterf(at, 0.0f), at, nextafterf(at, INFINITY)};
                const bool up[] = {false, threshold[i].included, true};
                for (int k = 0; k < 3; k++) {
                    const float wanted = up[k] ? threshold[i].above : threshold[i].below;
                    const unsigned code = code_of(&grid, scales[s], (float)sign * w[k]);
                    cr_expect_eq(mc_grid_value(&grid, (mc_params){.scale = scales[s]}, code),
                                 unit * wanted, "%g at %g", (double)(unit * w[k]),
                                 (double)threshold[i].at);
                }
            }
    cr_expect_eq(code_of(&grid, 1.0f, 1e30f), 14u, "it saturates");
    cr_expect_eq(code_of(&grid, 1.0f, -FLT_MAX), 0u);
}

/* ---- FP8 ---- */

typedef struct {
    const char *levels;
    mc_dtype dtype;
    const uint8_t *of_middle;
    unsigned most; /* code of the largest */
    uint64_t of_halves;
} fp8;

static const fp8 *fp8s(void)
{
    static fp8 list[2];
    list[0] = (fp8){"e4m3", MC_F8_E4M3, e4m3_of_middle, 0x7E, e4m3_of_halves};
    list[1] = (fp8){"e5m2", MC_F8_E5M2, e5m2_of_middle, 0x7B, e5m2_of_halves};
    return list;
}

/* As torch casts. A scale that is a power of two changes nothing. */
Test(grid_float, fp8_middles_go_to_the_even_neighbour)
{
    for (int f = 0; f < 2; f++) {
        const fp8 *t = &fp8s()[f];
        const mc_grid grid = float_grid(t->levels, MC_F32);
        const float *level = grid.levels->value + t->most;
        for (unsigned k = 0; k < t->most; k++) {
            const float middle = 0.5f * (level[k] + level[k + 1]);
            for (int sign = 0; sign < 2; sign++) {
                const unsigned bit = sign ? 0x80u : 0, of = t->of_middle[k];
                const float unit = sign ? -0x1p-30f : 0x1p-30f, scale = 0x1p-30f;
                const unsigned wanted = of == 0 ? 0 : bit | of;
                const unsigned low = k == 0 ? 0 : bit | k;
                cr_expect_eq(bits_of(&grid, code_of(&grid, scale, unit * middle), 0x80), wanted,
                             "%s: between %u and the next", t->levels, k);
                cr_expect_eq(
                    bits_of(&grid, code_of(&grid, scale, unit * nextafterf(middle, 0.0f)), 0x80),
                    low);
                cr_expect_eq(
                    bits_of(&grid, code_of(&grid, scale, unit * nextafterf(middle, 1e9f)), 0x80),
                    bit | (k + 1));
            }
        }
        cr_expect_eq(code_of(&grid, 1.0f, FLT_MAX), 2 * t->most, "it saturates");
        cr_expect_eq(code_of(&grid, 1.0f, -FLT_MAX), 0u);
    }
}

static float from_half(unsigned bits)
{
    const uint16_t half = (uint16_t)bits;
    float x;
    mc_to_f32(MC_F16, &half, &x, 1);
    return x;
}

/* Of all halves at once: the grid, the conversion of dtypes and torch agree. */
Test(grid_float, fp8_codes_of_all_halves_are_those_of_the_casts)
{
    static float w[65536];
    static uint8_t code[65536], byte[65536];
    for (int f = 0; f < 2; f++) {
        const fp8 *t = &fp8s()[f];
        const mc_grid grid = float_grid(t->levels, MC_F32);
        const float most = grid.levels->value[2 * t->most];
        size_t n = 0;
        for (unsigned i = 0; i < 65536; i++)
            if (fabsf(from_half(i)) <= most) w[n++] = from_half(i);
        mc_grid_encode(&grid, (mc_params){.scale = 1.0f}, w, n, code);
        mc_from_f32(t->dtype, w, byte, n);
        uint64_t hash = UINT64_C(0xCBF29CE484222325);
        for (size_t i = 0; i < n; i++) {
            hash = (hash ^ byte[i]) * UINT64_C(0x100000001B3);
            const unsigned wanted = byte[i] == 0x80 ? 0 : byte[i]; /* -0 is not kept */
            cr_assert_eq(bits_of(&grid, code[i], 0x80), wanted, "%s: %g", t->levels, (double)w[i]);
        }
        cr_expect_eq(hash, t->of_halves, "%s", t->levels);
    }
}

Test(grid_float, fp8_spans_the_largest_weight)
{
    static float w[MOST];
    static fitted f;
    for (int k = 0; k < 2; k++) {
        const mc_grid grid = float_grid(fp8s()[k].levels, MC_F32);
        const float most = grid.levels->value[grid.levels->count - 1];
        draw_weights(DRAW_HEAVY, 3, w, 256);
        fit_row(&grid, by_range, w, NULL, 256, 256, &f);
        float absmax = 0.0f;
        for (int i = 0; i < 256; i++) absmax = fmaxf(absmax, fabsf(w[i]));
        cr_expect_eq(f.p[0].scale, absmax / most);
        for (int i = 0; i < 256; i++) { /* half a last place, or half the least number */
            const float place = ldexpf(1.0f, -1 - grid.levels->fraction);
            const float least = ldexpf(place, grid.levels->exponent) * f.p[0].scale;
            cr_expect(fabsf(f.value[i] - w[i]) <= fmaxf(place * fabsf(w[i]), least) * 1.000001f,
                      "%s: %g became %g", grid.levels->name, (double)w[i], (double)f.value[i]);
        }
    }
}

/* ---- MXFP4 ---- */

Test(grid_float, mxfp4_by_range_is_the_published_rule)
{
    static float w[MXFP4_BLOCKS * 32];
    static fitted f;
    const mc_grid grid = float_grid("e2m1", MC_F8_E8M0);
    for (size_t i = 0; i < MXFP4_BLOCKS * 32; i++)
        w[i] = ldexpf((float)mxfp4_weight[i], mxfp4_shift[i / 32]);
    fit_row(&grid, by_range, w, NULL, MXFP4_BLOCKS * 32, 32, &f);
    for (size_t b = 0; b < MXFP4_BLOCKS; b++)
        cr_expect_eq(f.p[b].scale, ldexpf(1.0f, mxfp4_scale[b] - 127), "block %zu", b);
    for (size_t i = 0; i < MXFP4_BLOCKS * 32; i++)
        cr_expect_eq(bits_of(&grid, f.code[i], 8), mxfp4_code[i], "weight %zu", i);
}

/* The rule clips where it pays and where it does not: a search has the choice. */
Test(grid_float, mxfp4_by_search_is_better_than_the_rule_and_never_worse)
{
    static float w[MOST];
    static fitted rule, f;
    const mc_grid grid = float_grid("e2m1", MC_F8_E8M0);
    double whole[2] = {0.0, 0.0};
    for (draw_kind kind = 0; kind < DRAW_KINDS; kind++) {
        draw_weights(kind, 5, w, MOST);
        fit_row(&grid, by_range, w, NULL, MOST, 32, &rule);
        fit_row(&grid, by_search(2.0f), w, NULL, MOST, 32, &f);
        for (size_t g = 0; g < MOST / 32; g++) {
            const double a = error_of(w + 32 * g, rule.value + 32 * g, NULL, 32, 2.0f);
            const double b = error_of(w + 32 * g, f.value + 32 * g, NULL, 32, 2.0f);
            cr_assert(b <= a * (1.0 + 1e-6), "kind %d, group %zu: %g, the rule has %g", kind, g, b,
                      a);
            if (kind != DRAW_NORMAL) continue;
            whole[0] += a;
            whole[1] += b;
        }
    }
    cr_expect_lt(whole[1], 0.999 * whole[0]);
}

/* ---- NVFP4 ---- */

static mc_grid nvfp4_grid(const float *w, size_t n)
{
    mc_grid grid = float_grid("e2m1", MC_F8_E4M3);
    float most = 0.0f;
    for (size_t i = 0; i < n; i++) most = fmaxf(most, fabsf(w[i]));
    grid.tensor_scaled = true;
    mc_grid_set_tensor_scale(&grid, most);
    return grid;
}

Test(grid_float, nvfp4_by_range_is_the_published_rule)
{
    enum { N = NVFP4_BLOCKS * 16 };
    static float w[N];
    static fitted f;
    for (size_t i = 0; i < N; i++) w[i] = ldexpf((float)nvfp4_weight[i], -20);
    const mc_grid grid = nvfp4_grid(w, N);
    cr_expect(fabsf(grid.tensor_scale * nvfp4_global - 1.0f) <= 2.0f * FLT_EPSILON);
    fit_row(&grid, by_range, w, NULL, N, 16, &f);
    for (size_t b = 0; b < NVFP4_BLOCKS; b++) {
        float stored;
        mc_to_f32(MC_F8_E4M3, &nvfp4_scale[b], &stored, 1);
        cr_expect_eq(f.p[b].scale, grid.tensor_scale * stored, "block %zu", b);
    }
    for (size_t i = 0; i < N; i++)
        cr_expect_eq(bits_of(&grid, f.code[i], 8), nvfp4_code[i], "weight %zu", i);
}

/* Scales of E4M3 by themselves end at 2^-9, with three bits just above. */
Test(grid_float, a_scale_of_the_tensor_keeps_small_weights_from_vanishing)
{
    static float w[MOST];
    static fitted alone, under;
    draw_weights(DRAW_NORMAL, 8, w, 1024);
    for (size_t i = 0; i < 1024; i++) w[i] *= 0.02f;
    const mc_grid grid = nvfp4_grid(w, 1024);
    mc_grid bare = grid, wide = grid;
    bare.tensor_scaled = wide.tensor_scaled = false;
    wide.scale_dtype = MC_F32;
    fit_row(&bare, by_range, w, NULL, 1024, 16, &alone);
    fit_row(&grid, by_range, w, NULL, 1024, 16, &under);
    const double lost = error_of(w, alone.value, NULL, 1024, 2.0f);
    const double kept = error_of(w, under.value, NULL, 1024, 2.0f);
    fit_row(&wide, by_range, w, NULL, 1024, 16, &under);
    const double best = error_of(w, under.value, NULL, 1024, 2.0f);
    cr_expect_lt(kept, 1.2 * best, "%g, with f32 scales %g", kept, best);
    cr_expect_gt(lost, 2.0 * kept, "%g, under a scale of the tensor %g", lost, kept);
}

/* What is stored comes back: s / T is the number of E4M3 whose product with T is s. */
Test(grid_float, scales_under_a_scale_of_the_tensor_are_products_that_come_apart)
{
    static const float mosts[] = {1e-44f, 1e-30f, 1e-5f, 0.3f, 1.0f, 77.7f, 1e30f, 0x1p125f};
    for (size_t i = 0; i < sizeof mosts / sizeof *mosts; i++) {
        const mc_grid grid = nvfp4_grid(&mosts[i], 1);
        mc_err err;
        cr_assert_gt(grid.tensor_scale, 0.0f);
        for (unsigned byte = 1; byte < 0x7F; byte++) {
            const uint8_t one = (uint8_t)byte;
            float stored, again;
            uint8_t back;
            mc_to_f32(MC_F8_E4M3, &one, &stored, 1);
            const float scale = grid.tensor_scale * stored, apart = scale / grid.tensor_scale;
            mc_from_f32(MC_F8_E4M3, &apart, &back, 1);
            cr_expect_eq(back, byte, "%g", (double)mosts[i]);
            cr_assert_eq(mc_grid_store_scale(&grid, scale, &again, &err), MC_OK);
            cr_expect_eq(again, scale);
        }
    }
}

/* Weights that grew since the tensor was looked at are clipped, not refused. */
Test(grid_float, scales_beyond_those_of_the_tensor_saturate)
{
    static fitted f;
    float w[16], stored;
    mc_err err = {0};
    for (int i = 0; i < 16; i++) w[i] = 0.01f * (float)(i - 8);
    const mc_grid grid = nvfp4_grid(w, 16);
    for (int i = 0; i < 16; i++) w[i] *= 3.0f;
    for (int kind = 0; kind < 2; kind++) {
        fit_row(&grid, kind ? by_search(2.0f) : by_range, w, NULL, 16, 16, &f);
        cr_expect_eq(f.p[0].scale, grid.tensor_scale * 448.0f);
    }
    cr_expect_eq(mc_grid_store_scale(&grid, -1e9f, &stored, &err), MC_OK);
    cr_expect_eq(stored, grid.tensor_scale * -448.0f);
    cr_expect_eq(mc_grid_store_scale(&grid, 0.0f, &stored, &err), MC_OK);
    cr_expect_eq(stored, grid.tensor_scale * 0x1p-9f);
    cr_expect_eq(mc_grid_store_scale(&grid, INFINITY, &stored, &err), MC_E_UNSUPPORTED);
    cr_expect_eq(mc_grid_store_scale(&grid, NAN, &stored, &err), MC_E_UNSUPPORTED);
}

/* Without a look at the tensor each row is one: searches that compare need no more. */
Test(grid_float, rows_of_an_unknown_tensor_stand_for_it)
{
    static float w[MOST];
    static fitted known, alone;
    draw_weights(DRAW_NORMAL, 9, w, 256);
    const mc_grid grid = nvfp4_grid(w, 256);
    mc_grid unknown = grid;
    unknown.tensor_scale = 0.0f;
    fit_row(&grid, by_range, w, NULL, 256, 16, &known);
    fit_row(&unknown, by_range, w, NULL, 256, 16, &alone);
    for (int g = 0; g < 16; g++) cr_expect_eq(known.p[g].scale, alone.p[g].scale);
}
