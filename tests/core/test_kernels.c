/* Every build of the kernels gives the bits of the plain one, and the plain one what a loop of the
 * obvious kind gives. */
#include "core/kernels.h"
#include "tests/support/draw.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

enum { MOST = 600 };

/* Lengths around the sizes of vectors and chunks. */
static const size_t lengths[] = {0,  1,  2,  3,  5,  7,  8,   9,   15,  16,  17,  31,  32,
                                 33, 40, 63, 64, 65, 96, 127, 255, 256, 257, 300, 513, 600};
enum { LENGTHS = sizeof lengths / sizeof *lengths, INPUTS = DRAW_KINDS + 5 };

/* The drawn kinds, random bits, and the same scaled to both ends of f32. */
static void input(unsigned which, float *w)
{
    if (which < DRAW_KINDS) {
        draw_weights((draw_kind)which, 1, w, MOST);
        return;
    }
    if (which == DRAW_KINDS) {
        draw_bits(3, w, MOST);
        return;
    }
    static const float factors[] = {0x1p-140f, 0x1p-126f, 0x1p120f, 1024.0f};
    draw_weights(DRAW_HEAVY, 2, w, MOST);
    for (size_t i = 0; i < MOST; i++) w[i] *= factors[which - DRAW_KINDS - 1];
}

static mc_params params_for(const float *w, size_t n, unsigned which)
{
    float most = 0.0f;
    for (size_t i = 0; i < n; i++) most = fmaxf(most, fabsf(w[i]));
    mc_params p = {.scale = most > 0.0f ? most / 7.5f : 1.0f, .zero = (uint8_t)(8 + which % 3)};
    if (p.scale == 0.0f) p.scale = 0x1p-149f;
    if (which % 2) p.scale = -p.scale;
    if (which % 3 == 2) p.offset = 0.25f * most;
    return p;
}

/* ---- the same bits ---- */

static void compare_conversions(const mc_kernels *a, const mc_kernels *b, const float *w, size_t n)
{
    uint16_t half[2][MOST];
    float back[2][MOST];
    a->f32_to_f16(w, half[0], n);
    b->f32_to_f16(w, half[1], n);
    cr_assert_arr_eq(half[0], half[1], n * 2, "f16 of %zu", n);
    a->f16_to_f32(half[0], back[0], n);
    b->f16_to_f32(half[0], back[1], n);
    cr_assert_arr_eq(back[0], back[1], n * 4);
    a->f32_to_bf16(w, half[0], n);
    b->f32_to_bf16(w, half[1], n);
    cr_assert_arr_eq(half[0], half[1], n * 2, "bf16 of %zu", n);
    a->bf16_to_f32(half[0], back[0], n);
    b->bf16_to_f32(half[0], back[1], n);
    cr_assert_arr_eq(back[0], back[1], n * 4);
}

static void compare_ranges(const mc_kernels *a, const mc_kernels *b, const float *w, size_t n)
{
    float found[2][3];
    a->absmax(w, 1, n, &found[0][0]);
    a->minmax(w, 1, n, &found[0][1], &found[0][2]);
    b->absmax(w, 1, n, &found[1][0]);
    b->minmax(w, 1, n, &found[1][1], &found[1][2]);
    cr_assert_arr_eq(found[0], found[1], sizeof found[0]);
    cr_assert_eq(a->first_not_finite(w, n), b->first_not_finite(w, n));
}

static void compare_codes(const mc_kernels *a, const mc_kernels *b, const float *w, size_t n,
                          mc_params p)
{
    uint8_t code[2][MOST] = {{0}};
    float value[2][MOST];
    a->encode_int(&p, w, 1, n, 0, 15, code[0]);
    b->encode_int(&p, w, 1, n, 0, 15, code[1]);
    cr_assert_arr_eq(code[0], code[1], n);
    a->decode_int(&p, code[0], 1, n, value[0]);
    b->decode_int(&p, code[0], 1, n, value[1]);
    cr_assert_arr_eq(value[0], value[1], n * 4);
    a->decode_free(&p, code[0], 1, n, value[0]);
    b->decode_free(&p, code[0], 1, n, value[1]);
    cr_assert_arr_eq(value[0], value[1], n * 4);
    cr_assert_eq(a->clipped_int(&p, w, 1, n, 2.5f, 13.5f),
                 b->clipped_int(&p, w, 1, n, 2.5f, 13.5f));

    float bound[15];
    for (int k = 0; k < 15; k++) bound[k] = p.scale * (float)(k - 7);
    a->encode_table(w, n, 1.0f, bound, 16, code[0]);
    b->encode_table(w, n, 1.0f, bound, 16, code[1]);
    cr_assert_arr_eq(code[0], code[1], n);
}

/* Grids around the one that p describes. */
static mc_lanes lanes_for(const mc_scan *scan, mc_params p)
{
    mc_lanes lanes;
    for (int c = 0; c < MC_LANES; c++) {
        lanes.step[c] = p.scale * scan->unit * (1.1f - 0.05f * (float)c);
        lanes.inverse[c] = 1.0f / lanes.step[c];
        lanes.offset[c] = p.offset * scan->unit * 0.1f * (float)c;
        lanes.low[c] = (float)(0 - p.zero);
        lanes.high[c] = (float)(15 - p.zero);
    }
    return lanes;
}

static float unit_for(const float *w, size_t n)
{
    float most = 0.0f;
    int exponent = 0;
    for (size_t i = 0; i < n; i++) most = fmaxf(most, fabsf(w[i]));
    frexpf(most, &exponent);
    return ldexpf(1.0f, -(exponent < -125 ? -125 : exponent));
}

static mc_scan scan_for(const float *w, const float *importance, size_t n, const char *table)
{
    return (mc_scan){.w = w,
                     .importance = importance,
                     .n = n,
                     .unit = unit_for(w, n),
                     .importance_unit = 0.5f,
                     .table = table ? mc_levels_find(table) : NULL,
                     .dtype = MC_F16,
                     .least = 0x1p-24f,
                     .most = 65504.0f};
}

static void compare_searches(const mc_kernels *a, const mc_kernels *b, const mc_scan *scan,
                             mc_params p)
{
    const mc_lanes lanes = lanes_for(scan, p);
    mc_lane_sums moments[2];
    a->moments(scan, &lanes, &moments[0]);
    b->moments(scan, &lanes, &moments[1]);
    cr_assert_arr_eq(&moments[0], &moments[1], sizeof moments[0]);
    static const float norms[] = {2.0f, 2.4f, 0.7f, 8.0f};
    for (int k = 0; k < 4; k++) {
        mc_errors errors[2];
        a->errors(scan, &lanes, norms[k], &errors[0]);
        b->errors(scan, &lanes, norms[k], &errors[1]);
        cr_assert_arr_eq(&errors[0], &errors[1], sizeof errors[0], "norm %g", (double)norms[k]);
    }
    mc_lanes refined[2] = {lanes, lanes};
    mc_errors errors[2];
    a->refine(scan, &refined[0], &errors[0]);
    b->refine(scan, &refined[1], &errors[1]);
    cr_assert_arr_eq(refined[0].step, refined[1].step, sizeof lanes.step);
    cr_assert_arr_eq(&errors[0], &errors[1], sizeof errors[0]);
}

Test(kernels, builds_agree_in_every_bit)
{
    static const char *const tables[] = {NULL, "nf4", "e2m1", "e4m3", "e5m2"};
    float w[MOST];
    float importance[MOST];
    draw_weights(DRAW_POSITIVE, 9, importance, MOST);
    for (size_t i = 1; mc_kernels_at(i); i++) {
        const mc_kernels *a = mc_kernels_at(0);
        const mc_kernels *b = mc_kernels_at(i);
        for (unsigned which = 0; which < INPUTS; which++) {
            input(which, w);
            for (size_t k = 0; k < LENGTHS; k++) {
                const size_t n = lengths[k];
                compare_conversions(a, b, w, n);
                compare_ranges(a, b, w, n);
                if (n == 0) continue;
                const mc_params p = params_for(w, n, which);
                compare_codes(a, b, w, n, p);
                if (!isfinite(w[0] * unit_for(w, n)) || unit_for(w, n) < 0x1p-126f) continue;
                for (int form = 0; form < 10; form++) {
                    mc_scan scan = scan_for(w, form & 1 ? importance : NULL, n, tables[form / 2]);
                    scan.dtype = which % 3 == 0 ? MC_F16 : which % 3 == 1 ? MC_BF16 : MC_F32;
                    compare_searches(a, b, &scan, p);
                }
            }
        }
    }
}

Test(kernels, all_half_floats_convert_alike_in_all_builds)
{
    static uint16_t half[65536];
    static float wide[2][65536];
    for (unsigned i = 0; i < 65536; i++) half[i] = (uint16_t)i;
    mc_kernels_at(0)->f16_to_f32(half, wide[0], 65536);
    for (size_t i = 1; mc_kernels_at(i); i++) {
        mc_kernels_at(i)->f16_to_f32(half, wide[1], 65536);
        cr_expect_arr_eq(wide[0], wide[1], sizeof wide[0]);
    }
}

/* Every 17th float, so all exponents with NaN payloads and ties among them. */
Test(kernels, floats_of_all_kinds_become_the_same_halves_in_all_builds)
{
    enum { BATCH = 4096 };
    static float wide[BATCH];
    static uint16_t half[4][BATCH];
    for (uint64_t from = 0; from < (uint64_t)1 << 32; from += (uint64_t)BATCH * 4099) {
        for (uint32_t i = 0; i < BATCH; i++) {
            const uint32_t bits = (uint32_t)from + i * 4099u;
            memcpy(&wide[i], &bits, sizeof bits);
        }
        for (size_t k = 0; mc_kernels_at(k); k++) {
            mc_kernels_at(k)->f32_to_f16(wide, half[2 * (k > 0)], BATCH);
            mc_kernels_at(k)->f32_to_bf16(wide, half[2 * (k > 0) + 1], BATCH);
            if (k == 0) continue;
            cr_assert_arr_eq(half[0], half[2], sizeof half[0]);
            cr_assert_arr_eq(half[1], half[3], sizeof half[0]);
        }
    }
}

/* ---- the right bits ---- */

Test(kernels, finds_the_first_number_that_is_not_finite)
{
    enum { N = 10000 };
    static float w[N];
    cr_expect_eq(mc_first_not_finite(w, N), (size_t)N);
    cr_expect_eq(mc_first_not_finite(w, 0), 0u);
    w[9999] = -INFINITY;
    cr_expect_eq(mc_first_not_finite(w, N), 9999u);
    cr_expect_eq(mc_first_not_finite(w, N - 1), (size_t)N - 1);
    w[4096] = NAN;
    cr_expect_eq(mc_first_not_finite(w, N), 4096u);
    w[0] = INFINITY;
    cr_expect_eq(mc_first_not_finite(w, N), 0u);
    w[0] = 3.4028235e38f;
    cr_expect_eq(mc_first_not_finite(w, N), 4096u);
}

Test(kernels, ranges_are_those_of_a_plain_loop)
{
    float w[MOST];
    for (unsigned which = 0; which < INPUTS; which++) {
        input(which, w);
        for (size_t k = 0; mc_kernels_at(k); k++) {
            float most[8];
            float low[8];
            float high[8];
            mc_kernels_at(k)->absmax(w, 8, 32, most);
            mc_kernels_at(k)->minmax(w, 8, 32, low, high);
            for (int g = 0; g < 8; g++) {
                float wanted[3] = {0.0f, INFINITY, -INFINITY};
                for (int i = 0; i < 32; i++) {
                    wanted[0] = fmaxf(wanted[0], fabsf(w[32 * g + i]));
                    wanted[1] = fminf(wanted[1], w[32 * g + i]);
                    wanted[2] = fmaxf(wanted[2], w[32 * g + i]);
                }
                cr_expect(most[g] == wanted[0] && low[g] == wanted[1] && high[g] == wanted[2]);
            }
        }
    }
}

/* Sums of n terms in f32 are off by n roundings at most. */
Test(kernels, sums_are_those_of_a_plain_loop_in_double)
{
    float w[MOST];
    float importance[MOST];
    draw_weights(DRAW_HEAVY, 5, w, MOST);
    draw_weights(DRAW_POSITIVE, 6, importance, MOST);
    const mc_params p = params_for(w, MOST, 2);
    const mc_scan scan = scan_for(w, importance, MOST, NULL);
    const mc_lanes lanes = lanes_for(&scan, p);
    mc_lane_sums moments;
    mc_errors squares;
    mc_errors powers;
    mc_kernels_best()->moments(&scan, &lanes, &moments);
    mc_kernels_best()->errors(&scan, &lanes, 2.0f, &squares);
    mc_kernels_best()->errors(&scan, &lanes, 2.4f, &powers);

    for (int c = 0; c < MC_LANES; c++) {
        double dq = 0.0, qq = 0.0, ee = 0.0, ep = 0.0;
        for (int i = 0; i < MOST; i++) {
            const float d = w[i] * scan.unit - lanes.offset[c];
            const float y = rintf(fminf(fmaxf(d * lanes.inverse[c], lanes.low[c]), lanes.high[c]));
            const double e = (double)d - (double)lanes.step[c] * (double)y;
            const double weight = 0.5 * (double)importance[i];
            dq += weight * (double)d * (double)y;
            qq += weight * (double)(y * y);
            ee += weight * e * e;
            ep += weight * pow(fabs(e), 2.4);
        }
        const double slack = MOST * 0x1p-24;
        cr_expect(fabs(moments.dq[c] - dq) <= slack * fabs(dq), "%d: %g %g", c, moments.dq[c], dq);
        cr_expect(fabs(moments.qq[c] - qq) <= slack * qq);
        cr_expect(fabs(squares.sum[c] - ee) <= slack * ee, "%d: %g %g", c, squares.sum[c], ee);
        cr_expect(fabs(powers.sum[c] - ep) <= slack * ep, "%d: %g %g", c, powers.sum[c], ep);
    }
}

static double nearest_even(const mc_levels *levels, double y)
{
    const double most = (double)levels->value[levels->count - 1];
    unsigned best = 0;
    y = fmin(fmax(y, -most), most);
    for (unsigned u = 1; u < levels->count; u++) {
        const double off = fabs(y - (double)levels->value[u]);
        const double known = fabs(y - (double)levels->value[best]);
        const bool even = (u + levels->count / 2) % 2 == 0;
        if (off < known || (off == known && even)) best = u;
    }
    return (double)levels->value[best];
}

/* The searching kernels compute the level of a float where others compare: the sum of q over one
 * weight is that level. Around all middles and all levels, and far outside. */
Test(kernels, floats_are_rounded_to_the_nearest_half_to_even)
{
    static const char *const names[] = {"e2m1", "e4m3", "e5m2"};
    mc_lanes lanes = {.step = {0.0f}};
    for (int c = 0; c < MC_LANES; c++) lanes.step[c] = lanes.inverse[c] = 1.0f;
    for (int t = 0; t < 3; t++) {
        const mc_levels *levels = mc_levels_find(names[t]);
        for (unsigned k = 0; k < 2u * levels->count; k++) {
            const float *at = levels->value + k / 2;
            float x = k % 2 == 0 ? *at : k / 2 + 1 < levels->count ? 0.5f * (at[0] + at[1]) : 1e30f;
            const float around[] = {x, nextafterf(x, INFINITY), nextafterf(x, -INFINITY)};
            for (int i = 0; i < 3; i++) {
                mc_scan scan = scan_for(&around[i], NULL, 1, names[t]);
                mc_lane_sums sums;
                scan.unit = 1.0f;
                for (size_t build = 0; mc_kernels_at(build); build++) {
                    mc_kernels_at(build)->moments(&scan, &lanes, &sums);
                    cr_assert_eq(sums.q[0], nearest_even(levels, (double)around[i]), "%s: %a: %a",
                                 names[t], (double)around[i], sums.q[0]);
                }
            }
        }
    }
}

/* The slope of the regression, but the last lane is left as it came. */
Test(kernels, refining_takes_the_best_step_for_the_codes)
{
    float w[MOST];
    draw_weights(DRAW_NORMAL, 7, w, MOST);
    const mc_scan scan = scan_for(w, NULL, 64, NULL);
    mc_lanes lanes = lanes_for(&scan, params_for(w, 64, 0));
    const mc_lanes before = lanes;
    mc_lane_sums moments;
    mc_errors errors;
    mc_errors again;
    mc_kernels_best()->moments(&scan, &before, &moments);
    mc_kernels_best()->refine(&scan, &lanes, &errors);
    mc_kernels_best()->errors(&scan, &lanes, 2.0f, &again);
    for (int c = 0; c < MC_LANES; c++) {
        const float slope = (float)(moments.dq[c] / moments.qq[c]) / scan.unit;
        const float wanted =
            c == MC_LANES - 1 ? before.step[c] / scan.unit : mc_round_to(MC_F16, slope);
        cr_expect(fabsf(lanes.step[c] / scan.unit - wanted) <= 0x1p-10f * wanted, "%d", c);
        cr_expect_eq(errors.sum[c], again.sum[c]);
    }
}
