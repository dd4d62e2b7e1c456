/* Observers that minimise an error, against all candidates one after another. */
#include "observe_case.h"

enum { POINTS = 8, SPREAD = POINTS * MC_HISTOGRAM_BINS };

/* The values of the histogram, each bin's spread evenly over some points in it. */
static struct {
    float x[SPREAD];
    double weight[SPREAD];
    size_t n;
} spread;

static void spread_seen(int points)
{
    spread.n = 0;
    for (size_t i = 0; i < MC_HISTOGRAM_BINS; i++) {
        if (seen.count[i] == 0) continue;
        const double a = fmax(mc_histogram_edge(&seen, i), (double)seen.least);
        const double b = fmin(mc_histogram_edge(&seen, i + 1), (double)seen.most);
        for (int p = 0; p < points; p++) {
            spread.x[spread.n] = (float)(a + (b - a) * (p + 0.5) / points);
            spread.weight[spread.n++] = (double)seen.count[i] / points;
        }
    }
}

static double squared_error(mc_observe_want want, float scale, int zero)
{
    double sum = 0.0;
    for (size_t i = 0; i < spread.n; i++) {
        const double d = (double)spread.x[i] - rounded(spread.x[i], want, scale, zero);
        sum += spread.weight[i] * d * d;
    }
    return sum;
}

/* The least error of symmetric grids: many scales. */
static double best_symmetric(mc_observe_want want)
{
    const float size = fmaxf(-seen.least, seen.most);
    double best = (double)INFINITY;
    for (int i = 1; i <= 150; i++) {
        const float scale = size * (float)i / 150.0f / (float)last_code(want);
        best = fmin(best, squared_error(want, scale, 0));
    }
    return best;
}

/* … of asymmetric ones: scales, and for each the zeros whose range lies within the values'. */
static double best_asymmetric(mc_observe_want want)
{
    const double least = fmin((double)seen.least, 0.0), most = fmax((double)seen.most, 0.0);
    const int first = first_code(want), last = last_code(want);
    double best = (double)INFINITY;
    for (int i = 1; i <= 24; i++) {
        const double scale = (most - least) / (last - first) * i / 24.0;
        const int stride = want.bits == 8 ? 6 : 1;
        for (int zero = first; zero <= last; zero += stride) {
            const double low = scale * (first - zero), high = scale * (last - zero);
            if (low < least - scale / 2.0 || high > most + scale / 2.0) continue;
            best = fmin(best, squared_error(want, (float)scale, zero));
        }
    }
    return best;
}

static const draw_kind kinds[] = {DRAW_NORMAL, DRAW_HEAVY, DRAW_OUTLIER, DRAW_POSITIVE,
                                  DRAW_SHIFTED};

enum { KINDS = sizeof kinds / sizeof kinds[0] };

/* Points are at least 1/32 of a step apart: their sums are off by less than a thousandth. */
Test(observe, mse_has_the_least_error_of_all_grids)
{
    for (size_t k = 0; k < KINDS; k++) {
        see_drawn(kinds[k]);
        spread_seen(POINTS);
        for (size_t w = 0; w < 4; w++) {
            const mc_observed o = observe("mse", wants[w]);
            const double got = squared_error(wants[w], o.scale, o.zero);
            const double best =
                wants[w].asymmetric ? best_asymmetric(wants[w]) : best_symmetric(wants[w]);
            cr_expect(got <= best * 1.001, "%s %zu: %g, possible is %g", draw_name(kinds[k]), w,
                      got, best);
        }
    }
}

/* One far value makes bins as wide as the steps that are best for all others: evenly -1 to 1. */
static void see_wide_bins(void)
{
    const float far = 500.0f;
    seen = (mc_histogram){0};
    mc_histogram_add(&seen, &far, 1);
    const size_t bins = (size_t)(1.0 / mc_histogram_width(&seen));
    for (size_t i = MC_HISTOGRAM_SIDE - bins; i < MC_HISTOGRAM_SIDE + bins; i++) {
        seen.count[i] = 1000000000;
        seen.total += seen.count[i];
    }
    seen.least = -1.0f;
}

Test(observe, mse_sees_into_bins_as_wide_as_its_steps)
{
    see_wide_bins();
    spread_seen(1024);
    for (size_t w = 0; w < 4; w++) {
        const mc_observe_want want = wants[w];
        const float codes = (float)(last_code(want) - first_code(want));
        double best = (double)INFINITY;
        for (float low = want.asymmetric ? 0.8f : 1.0f; low <= 1.0f; low += 0.02f)
            for (float high = 0.8f; high <= 1.2f; high += 0.01f) {
                const float scale = want.asymmetric ? (low + high) / codes : 2.0f * high / codes;
                const float zero = rintf((float)first_code(want) + low / scale);
                best = fmin(best, squared_error(want, scale, want.asymmetric ? (int)zero : 0));
            }
        const mc_observed o = observe("mse", want);
        const double got = squared_error(want, o.scale, o.zero);
        cr_expect(got <= best * 1.001, "%zu: %g, possible is %g", w, got, best);
    }
}

Test(observe, mse_errs_least_of_all_observers)
{
    for (size_t k = 0; k < KINDS; k++) {
        see_drawn(kinds[k]);
        spread_seen(POINTS);
        for (size_t w = 0; w < 4; w++) {
            const mc_observed o = observe("mse", wants[w]);
            const double error = squared_error(wants[w], o.scale, o.zero);
            for (size_t i = 0; mc_observer_at(i); i++) {
                const mc_observed other = observe(mc_observer_at(i)->name, wants[w]);
                cr_expect(error <= squared_error(wants[w], other.scale, other.zero) * 1.001,
                          "%s %zu: %s", draw_name(kinds[k]), w, mc_observer_at(i)->name);
            }
        }
    }
}

/* OCTAV's model: noise of step^2 / 12 within, clipping beyond; zeros cost nothing. */
static double model_error(mc_observe_want want, double low, double high)
{
    const double step = ldexp(high - low, -(int)want.bits);
    double sum = 0.0;
    for (size_t i = 0; i < spread.n; i++) {
        const double x = (double)spread.x[i];
        const double off = x > high ? x - high : x < low ? low - x : 0.0;
        sum += spread.weight[i] * (off > 0.0 ? off * off : step * step / 12.0);
    }
    return sum;
}

static double best_model(mc_observe_want want)
{
    const double least = fmin((double)seen.least, 0.0), most = fmax((double)seen.most, 0.0);
    const double size = fmax(-least, most);
    double best = (double)INFINITY;
    if (!want.asymmetric) {
        for (int i = 1; i <= 400; i++)
            best = fmin(best, model_error(want, -size * i / 400.0, size * i / 400.0));
        return best;
    }
    const int lows = least < 0.0 ? 24 : 0;
    for (int i = lows > 0; i <= lows; i++)
        for (int j = 1; j <= 24; j++)
            best = fmin(best, model_error(want, lows ? least * i / lows : 0.0, most * j / 24.0));
    return best;
}

Test(observe, octav_minimises_its_model)
{
    for (size_t k = 0; k < KINDS; k++) {
        see_drawn(kinds[k]);
        spread_seen(POINTS);
        for (size_t w = 0; w < WANTS; w++) {
            const mc_observed o = observe("octav", wants[w]);
            const double size = (double)fmaxf(-o.least, o.most);
            const double got = wants[w].asymmetric
                                   ? model_error(wants[w], (double)o.least, (double)o.most)
                                   : model_error(wants[w], -size, size);
            const double best = best_model(wants[w]);
            cr_expect(got <= best * 1.001, "%s %zu: %g, possible is %g", draw_name(kinds[k]), w,
                      got, best);
        }
    }
}

/* A normal distribution of variance 1 on [-8, 8), without the noise of samples. */
static void see_exact_normal(void)
{
    seen = (mc_histogram){.bins = MC_HISTOGRAM_BINS, .least = -8.0f, .most = 8.0f};
    const float ends[] = {-7.9f, 7.9f};
    mc_histogram_add(&seen, ends, 2);
    for (size_t i = 0; i < MC_HISTOGRAM_BINS; i++) {
        const double a = mc_histogram_edge(&seen, i), b = mc_histogram_edge(&seen, i + 1);
        const double p =
            (erfc(fmin(fabs(a), fabs(b)) / sqrt(2.0)) - erfc(fmax(fabs(a), fabs(b)) / sqrt(2.0))) /
            2.0;
        seen.count[i] += (uint64_t)(p * 1e15);
        seen.total += (uint64_t)(p * 1e15);
    }
}

/* Where OCTAV's model stands still for it: s (k P(in) + P(out)) = E[|x|; |x| > s] = 2 phi(s). The
 * optima of ACIQ (Banner et al. 2019, 2.55 sigma at 4 bits and 3.92 at 8), whose noise is not
 * weighted by P(in), are the same to their digits. */
static double normal_optimum(unsigned bits)
{
    const double k = ldexp(1.0, -2 * (int)bits) / 3.0, pi = acos(-1.0);
    double low = 1.0, high = 8.0;
    for (int i = 0; i < 100; i++) {
        const double s = (low + high) / 2.0, out = erfc(s / sqrt(2.0));
        const double slope = s * (k * (1.0 - out) + out) - sqrt(2.0 / pi) * exp(-s * s / 2.0);
        *(slope < 0.0 ? &low : &high) = s;
    }
    return low;
}

Test(observe, octav_finds_the_optimum_of_a_normal_distribution)
{
    see_exact_normal();
    cr_assert_float_eq(normal_optimum(4), 2.55, 0.02);
    cr_assert_float_eq(normal_optimum(8), 3.92, 0.01);
    for (size_t w = 0; w < 4; w++) {
        const mc_observed o = observe("octav", wants[w]);
        const double s = normal_optimum(wants[w].bits);
        cr_expect_float_eq((double)o.most, s, 1e-5, "%zu: %g, must be %g", w, (double)o.most, s);
        cr_expect_float_eq((double)o.least, -s, 1e-5);
    }
}

/* ---- powers of two ---- */

Test(observe, power_of_two_is_the_better_neighbour)
{
    for (size_t k = 0; k < KINDS; k++) {
        see_drawn(kinds[k]);
        spread_seen(POINTS);
        for (size_t w = 0; w < 4; w += 2) {
            mc_observe_want want = wants[w];
            const float scale = observe("mse", want).scale;
            int exponent;
            frexpf(scale, &exponent);
            const float down = ldexpf(1.0f, exponent - 1), up = ldexpf(1.0f, exponent);
            want.power_of_two = true;
            const float got = observe("mse", want).scale, other = got == down ? up : down;
            cr_expect(squared_error(want, got, 0) <= squared_error(want, other, 0) * 1.001,
                      "%s %zu: %g", draw_name(kinds[k]), w, (double)got);
        }
    }
}
