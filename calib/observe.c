/* The table of observers, the checks they rely on, and the choice between powers of two. */
#include "calib/observe.h"

#include "calib/observe_parts.h"

#include <float.h>
#include <math.h>
#include <string.h>

static const mc_observer *const observers[] = {
#define X(name) &mc_observer_##name,
    MC_OBSERVERS(X)
#undef X
};

enum { OBSERVER_COUNT = sizeof observers / sizeof observers[0] };

const mc_observer *mc_observer_at(size_t i)
{
    return i < OBSERVER_COUNT ? observers[i] : NULL;
}

static bool member_at(size_t i, mc_setup_member *member)
{
    if (i >= OBSERVER_COUNT) return false;
    *member = (mc_setup_member){observers[i]->name, observers[i]->params};
    return true;
}

mc_status mc_observe_setup_parse(const char *text, mc_observe_setup *out, mc_err *err)
{
    static const mc_setup_family family = {"observer", member_at};
    mc_setup setup;
    *out = (mc_observe_setup){0};
    MC_TRY(mc_setup_parse(&family, text, strlen(text), &setup, err));
    out->observer = observers[setup.member];
    memcpy(out->param, setup.param, sizeof out->param);
    return MC_OK;
}

/* ---- what was seen ---- */

static mc_status check_want(mc_observe_want want, mc_err *err)
{
    if (want.bits == 4 || want.bits == 8 || want.bits == 16) return MC_OK;
    return mc_fail(err, MC_E_UNSUPPORTED, "static activations of %u bits (4, 8 or 16 are possible)",
                   want.bits);
}

static mc_status check_seen(const mc_histogram *h, mc_err *err)
{
    if (h->nans > 0 || h->infinities > 0)
        return mc_fail(err, MC_E_FORMAT, "%llu of %llu values are nan, %llu are infinite",
                       (unsigned long long)h->nans,
                       (unsigned long long)(h->total + h->nans + h->infinities),
                       (unsigned long long)h->infinities);
    if (h->total == 0) return mc_fail(err, MC_E_UNSUPPORTED, "no values were seen");
    return MC_OK;
}

/* Running sums over the bins, each evenly filled between its edges. */
static void sum_bins(const mc_view *v, mc_mass *below)
{
    below[0] = (mc_mass){0};
    for (size_t i = 0; i < MC_HISTOGRAM_BINS; i++) {
        below[i + 1] = below[i];
        if (v->seen->count[i] == 0) continue;
        const double count = (double)v->seen->count[i];
        const double a = fmax(mc_histogram_edge(v->seen, i), (double)v->seen->least);
        const double b = fmin(mc_histogram_edge(v->seen, i + 1), (double)v->seen->most);
        below[i + 1].count += count;
        below[i + 1].sum += count * (a + b) / 2.0;
        below[i + 1].square += count * (a * a + a * b + b * b) / 3.0;
    }
}

static mc_status look(const mc_observe_job *job, mc_arena scratch, mc_view *out, mc_err *err)
{
    const mc_histogram *h = job->seen;
    mc_mass *below = MC_NEW_RAW(&scratch, mc_mass, MC_HISTOGRAM_BINS + 1);
    if (!below) return mc_no_room(err, "an observer");
    *out = (mc_view){
        .setup = job->setup,
        .want = job->want,
        .seen = h,
        .least = fmin((double)h->least, 0.0),
        .most = fmax((double)h->most, 0.0),
        .width = mc_histogram_width(h),
        .per_width = 1.0 / mc_histogram_width(h),
        .below = below,
        .scratch = scratch,
    };
    sum_bins(out, below);
    return MC_OK;
}

/* ---- powers of two ---- */

typedef struct {
    float scale;
    int zero;
    double cost;
} candidate;

static void weigh(const mc_view *v, float scale, int zero, candidate *best)
{
    const double cost = v->setup->observer->cost(v, scale, zero);
    if (!(cost < best->cost)) return;
    *best = (candidate){scale, zero, cost};
}

/* A power of two leaves room beside the range or does not reach all of it: the zero may favour
 * either end, or neither. */
static void weigh_zeros(const mc_view *v, float scale, mc_reach range, candidate *best)
{
    const double step = (double)scale;
    const double spare =
        step * (mc_want_last(v->want) - mc_want_first(v->want)) - (range.high - range.low);
    for (int part = 0; part <= (v->want.asymmetric ? 2 : 0); part++) {
        const double low = fmin(range.low - spare * part / 2.0, 0.0);
        weigh(v, scale, mc_zero_of_range(v->want, scale, low), best);
    }
}

/* The neighbours of the scale that the range leads to, the smaller one first: it wins ties. */
static candidate choose_power(const mc_view *v, mc_reach range)
{
    int exponent;
    const float scale = mc_scale_of_range(v->want, range.low, range.high);
    const bool exact = frexpf(scale, &exponent) == 0.5f;
    const float down = ldexpf(1.0f, exponent - 1), up = exact ? down : down * 2.0f;

    candidate best = {.scale = up, .cost = (double)INFINITY};
    best.zero = mc_zero_of_range(v->want, up, range.low);
    weigh_zeros(v, down, range, &best);
    if (up != down) weigh_zeros(v, up, range, &best);
    return best;
}

/* ---- one scale for all values ---- */

static void keep(const mc_view *v, candidate chosen, mc_reach range, mc_observed *out)
{
    const double beyond = mc_clipped_count(v, range.low, range.high);
    *out = (mc_observed){
        .scale = chosen.scale,
        .zero = (int16_t)chosen.zero,
        .least = (float)range.low + 0.0f, /* not -0 */
        .most = (float)range.high,
        .clipped = fmax(beyond, 0.0) / (double)v->seen->total,
    };
}

mc_status mc_observe(const mc_observe_job *job, mc_arena scratch, mc_observed *out, mc_err *err)
{
    MC_TRY(check_want(job->want, err));
    MC_TRY(check_seen(job->seen, err));
    *out = (mc_observed){.scale = 1.0f};
    if (job->seen->zeros == job->seen->total) return MC_OK;

    mc_view v;
    MC_TRY(look(job, scratch, &v, err));
    mc_reach range = {v.least, v.most};
    job->setup->observer->range(&v, &range.low, &range.high);
    if (!job->want.power_of_two) {
        const float scale = mc_scale_of_range(job->want, range.low, range.high);
        const int zero = mc_zero_of_range(job->want, scale, range.low);
        keep(&v, (candidate){.scale = scale, .zero = zero}, range, out);
        return MC_OK;
    }
    const candidate chosen = choose_power(&v, range);
    const mc_reach reach = mc_reach_of(job->want, chosen.scale, chosen.zero);
    const double half = (double)chosen.scale / 2.0;
    range = (mc_reach){fmax(reach.low - half, v.least), fmin(reach.high + half, v.most)};
    keep(&v, chosen, range, out);
    return MC_OK;
}

/* ---- a scale for each channel ---- */

/* Powers of two go up, as minmax goes: nothing is clipped. */
static float whole_range_scale(mc_observe_want want, double least, double most)
{
    const float scale = mc_scale_of_range(want, least, most);
    if (!want.power_of_two) return scale;
    int exponent;
    const bool exact = frexpf(scale, &exponent) == 0.5f;
    return ldexpf(1.0f, exact ? exponent - 1 : exponent);
}

mc_status mc_observe_channels(const mc_channels *seen, mc_observe_want want, float *scale,
                              int16_t *zero, mc_err *err)
{
    MC_TRY(check_want(want, err));
    if (seen->rows == 0) return mc_fail(err, MC_E_UNSUPPORTED, "no values were seen");
    for (size_t i = 0; i < seen->n; i++) {
        const double least = fmin((double)seen->least[i], 0.0);
        const double most = fmax((double)seen->most[i], 0.0);
        scale[i] = whole_range_scale(want, least, most);
        if (zero) zero[i] = (int16_t)(least < most ? mc_zero_of_range(want, scale[i], least) : 0);
    }
    return MC_OK;
}
