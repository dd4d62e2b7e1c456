/* Binary codes: signs and the mean magnitude, and with an offset the best two clusters of all. */
#include "quant_case.h"

static quant_case case_of(const float *w, size_t n, mc_offset offset, mc_dtype scale)
{
    return (quant_case){.setup = "binary",
                        .grid = table_grid("binary", offset, scale),
                        .w = w,
                        .rows = 1,
                        .cols = n,
                        .group = n};
}

Test(binary, takes_signs_and_the_mean_magnitude)
{
    const float w[8] = {0.5f, -1.0f, 0.0f, -0.0f, 2.0f, -0.25f, 0.125f, -4.0f};
    quant_result r = quantize(case_of(w, 8, MC_OFFSET_NONE, MC_F32));
    const uint8_t code[8] = {1, 0, 1, 1, 1, 0, 1, 0}; /* the sign of 0 is +1 */
    cr_expect_arr_eq(r.q.code, code, 8);
    cr_expect_eq(r.q.params[0].scale, 0.984375f); /* 7.875 / 8 */
    close_result(&r);
}

/* The least squared error over all ways to give each weight one of two values. */
static double brute_force(const float *w, size_t n)
{
    double best = HUGE_VAL;
    for (size_t k = 0; k < (size_t)1 << n; k++) {
        double sum[2] = {0}, count[2] = {0}, error = 0.0;
        for (size_t i = 0; i < n; i++) {
            sum[k >> i & 1] += (double)w[i];
            count[k >> i & 1] += 1.0;
        }
        for (size_t i = 0; i < n; i++) {
            const size_t side = k >> i & 1;
            const double off = (double)w[i] - sum[side] / count[side];
            error += off * off;
        }
        best = fmin(best, error);
    }
    return best;
}

Test(binary, with_an_offset_finds_what_trying_all_codes_finds)
{
    for (size_t n = 1; n <= 10; n++)
        for (uint64_t seed = 0; seed < 8; seed++) {
            float w[10];
            fill_weights(w, n, 200 + seed);
            for (size_t i = 0; i < n; i++) w[i] += seed % 2 ? 0.3f : 0.0f;
            double power = 0.0, largest = 0.0;
            for (size_t i = 0; i < n; i++) {
                power += (double)w[i] * (double)w[i];
                largest = fmax(largest, fabs((double)w[i]));
            }
            const double best = brute_force(w, n);
            const double f32 = error_after(case_of(w, n, MC_OFFSET_FREE, MC_F32), 2.0);
            cr_expect(f32 <= best + 1e-6 * power, "n %zu: %g, best %g", n, f32, best);

            /* Rounding moves scale and offset, and so each value, by 2^-11 of at most twice the
             * largest. */
            const double f16 = error_after(case_of(w, n, MC_OFFSET_FREE, MC_F16), 2.0);
            const double moved = 0x1p-11 * 2.0 * largest;
            cr_expect(f16 <= best + (double)n * moved * moved + 1e-6 * power, "n %zu: %g, best %g",
                      n, f16, best);
        }
}

Test(binary, without_an_offset_finds_what_trying_all_codes_finds)
{
    for (uint64_t seed = 0; seed < 8; seed++) {
        enum { N = 10 };
        float w[N];
        fill_weights(w, N, 300 + seed);
        double best = HUGE_VAL, power = 0.0;
        for (size_t i = 0; i < N; i++) power += (double)w[i] * (double)w[i];
        for (size_t k = 0; k < 1 << N; k++) {
            double tw = 0.0;
            for (size_t i = 0; i < N; i++) tw += k >> i & 1 ? (double)w[i] : -(double)w[i];
            best = fmin(best, power - tw * tw / N);
        }
        const double error = error_after(case_of(w, N, MC_OFFSET_NONE, MC_F32), 2.0);
        cr_expect(error <= best + 1e-6 * power, "%g, best %g", error, best);
    }
}

Test(binary, meets_constants_exactly_with_an_offset)
{
    static const float constant[] = {0.0f, -0.0f, 0.25f, -0.75f, 1000.0f};
    for (size_t k = 0; k < sizeof constant / sizeof constant[0]; k++) {
        float w[8];
        for (size_t i = 0; i < 8; i++) w[i] = constant[k];
        const double error = error_after(case_of(w, 8, MC_OFFSET_FREE, MC_F16), 2.0);
        cr_expect_eq(error, 0.0, "%g: %g", (double)constant[k], error);
    }
}

/* What f16 cannot hold, offset and scale hold together. */
Test(binary, makes_up_for_the_rounding_of_the_offset)
{
    float w[8];
    for (size_t i = 0; i < 8; i++) w[i] = 0.1f;
    quant_result r = quantize(case_of(w, 8, MC_OFFSET_FREE, MC_F16));
    const float off = fabsf(mc_qmat_value(&r.q, 0, 0) - 0.1f);
    cr_expect_lt(off, 0x1p-11f * fabsf(mc_round_to(MC_F16, 0.1f) - 0.1f) + 0x1p-24f, "%g",
                 (double)off);
    close_result(&r);
}

Test(binary, makes_zeros_small_without_an_offset)
{
    const float w[4] = {0};
    quant_result r = quantize(case_of(w, 4, MC_OFFSET_NONE, MC_F16));
    cr_expect_lt(fabsf(mc_qmat_value(&r.q, 0, 2)), 1e-7f);
    close_result(&r);
}
