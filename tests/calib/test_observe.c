/* Observers: what holds for every one of them, and those that look for a range against sorted
 * values and against distributions built bin by bin. */
#include "observe_case.h"

#include "core/act.h"

#include <criterion/parameterized.h>
#include <float.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
