/* Ternary codes: the optimum that trying all codes finds, and native ternary weights unharmed. */
#include "quant_case.h"

static quant_case case_of(const float *w, size_t n, mc_dtype scale)
{
    return (quant_case){.setup = "ternary",
                        .grid = table_grid("ternary", MC_OFFSET_NONE, scale),
                        .w = w,
                        .rows = 1,
                        .cols = n,
                        .group = n};
}

/* The least of sum (w - s t)^2 over all t in {-1, 0, 1}^n, with the best s for each; *used gets the
 * number of codes that are not 0. */
static double brute_force(const float *w, size_t n, size_t *used)
{
    size_t all = 1;
    for (size_t i = 0; i < n; i++) all *= 3;
    double best = HUGE_VAL;
    for (size_t k = 0; k < all; k++) {
        double tw = 0.0, tt = 0.0, ww = 0.0;
        size_t rest = k;
        for (size_t i = 0; i < n; i++, rest /= 3) {
            const double t = (double)(rest % 3) - 1.0;
            tw += t * (double)w[i];
            tt += t * t;
            ww += (double)w[i] * (double)w[i];
        }
        const double error = tt > 0.0 ? ww - tw * tw / tt : ww;
        if (!(error < best)) continue;
        best = error;
        *used = (size_t)tt;
    }
    return best;
}

Test(ternary, finds_what_trying_all_codes_finds)
{
    for (size_t n = 1; n <= 9; n++)
        for (uint64_t seed = 0; seed < 8; seed++) {
            float w[9];
            fill_weights(w, n, 100 + seed);
            if (seed == 7)
                for (size_t i = 0; i < n; i++) w[i] = (float)(i + 1);
            size_t used = 0;
            const double best = brute_force(w, n, &used);
            double power = 0.0;
            for (size_t i = 0; i < n; i++) power += (double)w[i] * (double)w[i];

            const double f32 = error_after(case_of(w, n, MC_F32), 2.0);
            cr_expect(f32 <= best + 1e-6 * power, "n %zu: %g, best %g", n, f32, best);

            /* f16 moves the values that are used by at most 2^-11 of themselves. */
            quant_result r = quantize(case_of(w, n, MC_F16));
            const double moved = 0x1p-11 * 1.001 * (double)r.q.params[0].scale;
            const double f16 = error_of(case_of(w, n, MC_F16), &r.q, 2.0);
            cr_expect(f16 <= best + (double)used * moved * moved + 1e-6 * power,
                      "n %zu: %g, best %g", n, f16, best);
            close_result(&r);
        }
}

/* Larger groups pass through the radix sort: against the definition, O(n^2). */
Test(ternary, finds_the_best_threshold_of_large_groups)
{
    enum { N = 1500 };
    static float w[N];
    fill_weights(w, N, 31);
    for (size_t i = 0; i < N; i += 7) w[i] = w[i / 7]; /* equal magnitudes */
    double best = HUGE_VAL;
    for (size_t k = 0; k < N; k++) {
        double sum = 0.0, count = 0.0, ww = 0.0;
        for (size_t i = 0; i < N; i++) {
            const double a = fabs((double)w[i]);
            ww += a * a;
            if (a < fabs((double)w[k])) continue;
            sum += a;
            count += 1.0;
        }
        best = fmin(best, ww - sum * sum / count);
    }
    const double error = error_after(case_of(w, N, MC_F32), 2.0);
    cr_expect(error <= best * (1.0 + 1e-6), "%.9g, best %.9g", error, best);
    cr_expect(error >= best * (1.0 - 1e-6), "%.9g, best %.9g", error, best);
}

Test(ternary, keeps_every_code_of_ternary_weights)
{
    enum { N = 4096 };
    static const float gammas[] = {1.0f, 0.0173f, 3.1e-5f, 777.0f};
    static const mc_dtype dtype[] = {MC_F16, MC_BF16, MC_F32, MC_F8_E4M3, MC_F8_E8M0};
    static float w[N];
    const mc_rng rng = {.seed = 5};
    for (size_t g = 0; g < 4; g++)
        for (size_t d = 0; d < 5; d++) {
            if (dtype[d] == MC_F8_E4M3 && (gammas[g] > 400.0f || gammas[g] < 0.01f)) continue;
            for (size_t i = 0; i < N; i++)
                w[i] = gammas[g] * ((float)mc_rng_below(rng, i, 3) - 1.0f);
            quant_result r = quantize(case_of(w, N, dtype[d]));
            for (size_t i = 0; i < N; i++)
                cr_assert(r.q.code[i] == (w[i] > 0.0f   ? 2
                                          : w[i] < 0.0f ? 0
                                                        : 1),
                          "%g, %s: w[%zu]", (double)gammas[g], mc_dtype_about(dtype[d])->name, i);
            const float stored = mc_round_to(dtype[d], gammas[g]);
            cr_expect_eq(r.q.params[0].scale, stored, "%g, not %g", (double)r.q.params[0].scale,
                         (double)stored);
            close_result(&r);
        }
}

Test(ternary, is_not_worse_than_the_search_of_the_grid)
{
    static const mc_dtype dtype[] = {MC_F8_E8M0, MC_F8_E4M3, MC_F32};
    static float w[64 * 32];
    fill_weights(w, 64 * 32, 41);
    for (size_t d = 0; d < 3; d++) {
        quant_case c = case_of(w, 32, dtype[d]);
        c.rows = 64;
        quant_case mse = c;
        mse.setup = "mse";
        const double own = error_after(c, 2.0), searched = error_after(mse, 2.0);
        cr_expect(own <= searched * (1.0 + 1e-7), "%s: %.9g, mse %.9g",
                  mc_dtype_about(dtype[d])->name, own, searched);
    }
}
