/* Observers: what holds for every one of them, and each against a plain computation of what it
 * promises: sorted values, all candidates one after another, distributions built bin by bin. */
#include "calib/observe.h"
#include "core/act.h"
#include "tests/support/draw.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VALUES = 20000, POINTS = 8, SPREAD = POINTS * MC_HISTOGRAM_BINS };

static float values[VALUES];
static mc_histogram seen;
static _Alignas(64) unsigned char scratch[MC_OBSERVE_SCRATCH];

static const mc_observe_want wants[] = {
    {.bits = 4},  {.bits = 4, .asymmetric = true},  {.bits = 8}, {.bits = 8, .asymmetric = true},
    {.bits = 16}, {.bits = 16, .asymmetric = true},
};

enum { WANTS = sizeof wants / sizeof wants[0] };

static void see(const float *x, size_t n)
{
    seen = (mc_histogram){0};
    mc_histogram_add(&seen, x, n);
}

static void see_drawn(draw_kind kind)
{
    draw_weights(kind, 11, values, VALUES);
    see(values, VALUES);
}

static mc_status try_observe(const char *name, mc_observe_want want, mc_observed *out, mc_err *err)
{
    mc_observe_setup setup;
    cr_assert_eq(mc_observe_setup_parse(name, &setup, err), MC_OK, "%s", err->text);
    const mc_observe_job job = {.setup = &setup, .want = want, .seen = &seen};
    return mc_observe(&job, (mc_arena){scratch, scratch + sizeof scratch}, out, err);
}

static mc_observed observe(const char *name, mc_observe_want want)
{
    mc_observed out;
    mc_err err = {0};
    cr_assert_eq(try_observe(name, want, &out, &err), MC_OK, "%s", err.text);
    return out;
}

static int first_code(mc_observe_want w)
{
    return w.asymmetric ? -(1 << (w.bits - 1)) : 1 - (1 << (w.bits - 1));
}

static int last_code(mc_observe_want w)
{
    return (1 << (w.bits - 1)) - 1;
}

/* ---- every observer ---- */

static struct criterion_test_params all_observers(void)
{
    static size_t indices[16];
    size_t n = 0;
    for (; mc_observer_at(n); n++) indices[n] = n;
    return cr_make_param_array(size_t, indices, n);
}

ParameterizedTestParameters(every_observer, keeps_the_rules)
{
    return all_observers();
}

static void expect_rules(const char *name, mc_observe_want want, const char *what)
{
    const mc_observed o = observe(name, want);
    const float least = fminf(seen.least, 0.0f), most = fmaxf(seen.most, 0.0f);
    const int zero = o.zero;
    cr_expect(isnormal(o.scale) && o.scale > 0.0f, "%s %s: scale %g", name, what, (double)o.scale);
    cr_expect(zero >= first_code(want) && zero <= last_code(want) && (want.asymmetric || zero == 0),
              "%s %s: zero %d", name, what, zero);
    cr_expect(o.least >= least && o.most <= most && o.least <= 0.0f && o.most >= 0.0f,
              "%s %s: %g to %g of %g to %g", name, what, (double)o.least, (double)o.most,
              (double)least, (double)most);
    cr_expect(o.clipped >= 0.0 && o.clipped <= 1.0, "%s %s: %g", name, what, o.clipped);
    if (want.power_of_two) {
        int exponent;
        cr_expect_eq(frexpf(o.scale, &exponent), 0.5f, "%s %s", name, what);
        const float free =
            observe(name, (mc_observe_want){want.bits, want.asymmetric, false}).scale;
        cr_expect(o.scale > free / 2 && o.scale < free * 2, "%s %s: %g is no neighbour of %g", name,
                  what, (double)o.scale, (double)free);
    }
}

static void expect_rules_of_all_wants(const char *name, const char *what)
{
    for (size_t w = 0; w < WANTS; w++) {
        expect_rules(name, wants[w], what);
        mc_observe_want power = wants[w];
        power.power_of_two = true;
        expect_rules(name, power, what);
    }
}

ParameterizedTest(size_t *which, every_observer, keeps_the_rules)
{
    const char *name = mc_observer_at(*which)->name;
    for (int kind = 0; kind < DRAW_KINDS; kind++) {
        see_drawn((draw_kind)kind);
        expect_rules_of_all_wants(name, draw_name((draw_kind)kind));
    }
}

ParameterizedTestParameters(every_observer, survives_extremes)
{
    return all_observers();
}

ParameterizedTest(size_t *which, every_observer, survives_extremes)
{
    const char *name = mc_observer_at(*which)->name;
    static const float few[][4] = {
        {0, 0, 0, 0},
        {3, 3, 3, 3},
        {-3, -3, -3, -3},
        {1, 1, 1, 1e30f},
        {-1e-30f, 1, 0, 1e30f},
        {0x1p-149f, 0, 0, 0},
        {-0x1p-149f, 1e-40f, 0, 0},
        {FLT_MAX, -FLT_MAX, 0, 0},
        {FLT_MAX, 0, 0, 0},
        {FLT_MIN, FLT_MIN, 0, 0},
        {-1, 1, -1, 1},
        {-5, 1e-3f, 1e-3f, 1e-3f},
    };
    for (size_t i = 0; i < sizeof few / sizeof few[0]; i++) {
        char what[32];
        snprintf(what, sizeof what, "case %zu", i);
        see(few[i], 4);
        expect_rules_of_all_wants(name, what);
    }
    see(few[0], 4);
    cr_expect_eq(observe(name, wants[2]).scale, 1.0f);
    cr_expect_eq(observe(name, wants[2]).zero, 0);
}

ParameterizedTestParameters(every_observer, represents_a_constant)
{
    return all_observers();
}

static double rounded(float x, mc_observe_want w, float scale, int zero)
{
    const float q = rintf(x / scale) + (float)zero;
    const float in = fminf(fmaxf(q, (float)first_code(w)), (float)last_code(w));
    return (double)scale * ((double)in - zero);
}

ParameterizedTest(size_t *which, every_observer, represents_a_constant)
{
    const char *name = mc_observer_at(*which)->name;
    for (float c = -3.7f; c < 4.0f; c += 7.4f) {
        for (size_t i = 0; i < 50; i++) values[i] = c;
        see(values, 50);
        for (size_t w = 0; w < WANTS; w++) {
            const mc_observed o = observe(name, wants[w]);
            const double off = fabs(rounded(c, wants[w], o.scale, o.zero) - (double)c);
            cr_expect(off <= 0.51 * (double)o.scale, "%s %zu: %g with %g", name, w, off,
                      (double)o.scale);
        }
    }
}

Test(observe, describes_each_observer_and_parameter)
{
    for (size_t i = 0; mc_observer_at(i); i++) {
        const mc_observer *o = mc_observer_at(i);
        cr_expect(o->summary && o->paper && o->range && o->cost, "%s", o->name);
        for (size_t p = 0; p < mc_setup_count(o->params); p++) {
            const mc_setup_param *param = &o->params[p];
            cr_expect(param->summary, "%s", param->key);
            cr_expect(param->least <= param->usual && param->usual <= param->most, "%s",
                      param->key);
        }
    }
}

Test(observe, is_asked_for_by_name_and_parameters)
{
    mc_observe_setup setup;
    mc_err err = {0};
    cr_assert_eq(mc_observe_setup_parse("percentile", &setup, &err), MC_OK);
    cr_expect_eq(setup.param[0], 99.999);
    cr_assert_eq(mc_observe_setup_parse("percentile:p=99.9", &setup, &err), MC_OK);
    cr_expect_eq(setup.param[0], 99.9);
    cr_expect_eq(mc_observe_setup_parse("precentile", &setup, &err), MC_E_USAGE);
    cr_expect_str_eq(err.text, "there is no observer \"precentile\"; did you mean \"percentile\"? "
                               "(known: minmax, percentile, entropy, mse, octav)");
    cr_expect_eq(mc_observe_setup_parse("percentile:p=101", &setup, &err), MC_E_USAGE);
    cr_expect_str_eq(err.text, "observer percentile: p is 101, must be 50 to 100");
}

Test(observe, refuses_what_no_scale_follows_from)
{
    mc_observed out;
    mc_err err = {0};
    const float bad[] = {1.0f, NAN, 2.0f, INFINITY, NAN};
    see(bad, 5);
    cr_expect_eq(try_observe("mse", wants[0], &out, &err), MC_E_FORMAT);
    cr_expect_str_eq(err.text, "2 of 5 values are nan, 1 are infinite");
    see(bad, 0);
    cr_expect_eq(try_observe("mse", wants[0], &out, &err), MC_E_UNSUPPORTED);
    cr_expect_str_eq(err.text, "no values were seen");
    see(bad, 1);
    cr_expect_eq(try_observe("mse", (mc_observe_want){.bits = 5}, &out, &err), MC_E_UNSUPPORTED);
    cr_expect_str_eq(err.text, "static activations of 5 bits (4, 8 or 16 are possible)");
}

/* ---- minmax ---- */

Test(observe, minmax_is_the_dynamic_rule_for_a_row_of_all_values)
{
    static int8_t codes[VALUES];
    for (int kind = 0; kind < DRAW_KINDS; kind++) {
        see_drawn((draw_kind)kind);
        for (int power = 0; power < 2; power++)
            for (size_t w = 0; w < 4; w++) {
                mc_observe_want want = wants[w];
                want.power_of_two = power;
                mc_act_spec spec = mc_act_dynamic(want.bits);
                spec.asymmetric = want.asymmetric;
                spec.power_of_two = want.power_of_two;
                const mc_act_grid grid = mc_act_codes(&spec, values, VALUES, codes);
                const mc_observed o = observe("minmax", want);
                cr_expect_float_eq(o.scale, grid.scale, FLT_EPSILON * grid.scale);
                cr_expect_eq(o.zero, grid.zero, "%s: %d, %d", draw_name((draw_kind)kind), o.zero,
                             grid.zero);
                cr_expect_eq(o.clipped, 0.0);
            }
    }
}

Test(observe, gives_each_channel_the_scale_of_its_range)
{
    static unsigned char memory[4096];
    mc_arena mem = {memory, memory + sizeof memory};
    mc_channels c;
    mc_err err = {0};
    cr_assert_eq(mc_channels_alloc(&mem, 4, &c, &err), MC_OK);
    float scale[4];
    int16_t zero[4];
    cr_expect_eq(mc_observe_channels(&c, wants[3], scale, zero, &err), MC_E_UNSUPPORTED);
    const float x[] = {1, -8, 0, -1e-45f, 3, -2, 0, 1e-45f};
    cr_assert_eq(mc_channels_add(&c, x, 2, 1, &err), MC_OK);
    for (size_t w = 0; w < WANTS; w++)
        for (int power = 0; power < 2; power++) {
            mc_observe_want want = wants[w];
            want.power_of_two = power;
            cr_assert_eq(mc_observe_channels(&c, want, scale, want.asymmetric ? zero : NULL, &err),
                         MC_OK);
            for (size_t i = 0; i < 4; i++) {
                const float both[] = {x[i], x[i + 4]};
                see(both, 2);
                const mc_observed o = observe("minmax", want);
                cr_expect_eq(scale[i], o.scale, "%zu", i);
                if (want.asymmetric) cr_expect_eq(zero[i], o.zero, "%zu: %d", i, zero[i]);
            }
        }
}

/* ---- percentile ---- */

static int by_size(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* The least a >= 0 with at most `allowed` of the sorted values above it. */
static double sorted_end(const float *sorted, size_t n, double allowed)
{
    const size_t over = (size_t)floor(allowed + 1e-6);
    return over < n ? fmax((double)sorted[n - 1 - over], 0.0) : 0.0;
}

Test(observe, percentile_is_that_of_the_sorted_values_within_a_bin)
{
    static float sorted[VALUES];
    static const double percents[] = {50, 90, 99, 99.9, 99.99, 100};
    for (int kind = 0; kind < DRAW_KINDS; kind++) {
        see_drawn((draw_kind)kind);
        const double width = mc_histogram_width(&seen);
        const bool both = seen.least < 0.0f && seen.most > 0.0f;
        for (size_t p = 0; p < sizeof percents / sizeof percents[0]; p++) {
            char name[32];
            snprintf(name, sizeof name, "percentile:p=%g", percents[p]);
            const double allowed = VALUES * (1.0 - percents[p] / 100.0);
            const double each = both ? allowed / 2.0 : allowed;

            for (size_t i = 0; i < VALUES; i++) sorted[i] = fabsf(values[i]);
            qsort(sorted, VALUES, sizeof sorted[0], by_size);
            const mc_observed s = observe(name, wants[2]);
            const double size = (double)fmaxf(-s.least, s.most);
            cr_expect(fabs(size - sorted_end(sorted, VALUES, allowed)) <= width, "%s: %g", name,
                      size);

            memcpy(sorted, values, sizeof sorted);
            qsort(sorted, VALUES, sizeof sorted[0], by_size);
            const mc_observed a = observe(name, wants[3]);
            cr_expect(fabs((double)a.most - sorted_end(sorted, VALUES, each)) <= width, "%s: %g",
                      name, (double)a.most);
            for (size_t i = 0; i < VALUES; i++) sorted[i] = -values[i];
            qsort(sorted, VALUES, sizeof sorted[0], by_size);
            cr_expect(fabs(-(double)a.least - sorted_end(sorted, VALUES, each)) <= width, "%s: %g",
                      name, (double)a.least);
        }
    }
}

/* ---- entropy ---- */

/* tests/golden/observers/<name>.txt up to the answers. */
static FILE *open_golden(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/tests/golden/observers/%s.txt", MC_SOURCE_DIR, name);
    FILE *file = fopen(path, "r");
    cr_assert(file, "%s", path);
    unsigned widening, held, bin;
    unsigned long long zeros, count;
    seen = (mc_histogram){.bins = MC_HISTOGRAM_BINS};
    cr_assert_eq(
        fscanf(file, "%u %llu %f %f %u", &widening, &zeros, &seen.least, &seen.most, &held), 5);
    seen.widening = widening;
    seen.total = seen.zeros = zeros;
    for (unsigned i = 0; i < held; i++) {
        cr_assert_eq(fscanf(file, "%u %llu", &bin, &count), 2);
        cr_assert_lt(bin, MC_HISTOGRAM_BINS);
        seen.count[bin] = count;
        seen.total += count;
    }
    mc_err err = {0};
    cr_assert_eq(mc_histogram_check(&seen, &err), MC_OK, "%s: %s", name, err.text);
    return file;
}

Test(observe, entropy_keeps_the_bins_that_the_naive_reference_keeps)
{
    static const char *const names[] = {"normal", "laplace",  "student",  "relu",
                                        "gelu",   "negative", "outliers", "lumps"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        FILE *file = open_golden(names[i]);
        unsigned bits, left, right, answers = 0;
        char kind[16];
        for (; fscanf(file, "%u %15s %u %u", &bits, kind, &left, &right) == 4; answers++) {
            const mc_observe_want want = {.bits = bits, .asymmetric = kind[0] == 'a'};
            const mc_observed o = observe("entropy", want);
            const double width = mc_histogram_width(&seen);
            const double least = fmax(-width * left, fmin((double)seen.least, 0.0));
            const double most = fmin(width * right, fmax((double)seen.most, 0.0));
            cr_expect(o.least == (float)least && o.most == (float)most,
                      "%s %u %s: %g to %g, must be %g to %g", names[i], bits, kind, (double)o.least,
                      (double)o.most, least, most);
        }
        cr_expect_eq(answers, 4u);
        fclose(file);
    }
}

/* ---- mse and octav ---- */

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
