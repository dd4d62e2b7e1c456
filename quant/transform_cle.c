/* Cross-layer equalization (Nagel et al. 2019, DFQ, eq. 11), of convolutions and of what attention
 * and gates pass on channel by channel (v to o, up to down): with r1 the largest weight of an
 * output, r2 that of the input it becomes, s = r1 / sqrt(r1 r2) makes both sqrt(r1 r2). A depthwise
 * convolution between two others is equalized with them, all three to (r1 r2 r3)^(1/3). Pairs share
 * layers, so that sweeps over all of them go on until scales stand still.
 *
 * The sweeps work on the largest |weight| of each output and input (kernels reduced); the weights
 * themselves are edited once, by the products of all scales. */
#include "quant/transform_scale.h"

#include <math.h>
#include <string.h>

enum { SWEEPS };

/* One number for each output and input of a site; of depthwise convolutions for each output. */
typedef struct {
    float *at; /* outs x ins; NULL: in no place */
    size_t outs, ins, each;
} extent;

typedef struct {
    const mc_place *place, *before;      /* `before` ends in the place's producer, a depthwise
                                       convolution: three layers */
    double *s, *s_before, *r1, *r2, *r3; /* channels */
} pair;

typedef struct {
    const mc_transform_job *job;
    extent *site;
    pair *pair;
    size_t pairs;
} sweeper;

/* ---- the layers ---- */

static mc_status measure(sweeper *w, size_t at, mc_arena *mem, mc_err *err)
{
    const mc_site *site = &w->job->places->sites->site[at];
    extent *e = &w->site[at];
    mc_site_axes axes;
    if (e->at) return MC_OK;
    if (!mc_look_axes(w->job->places->graph, site, &axes))
        return mc_fail(err, MC_E_INTERNAL, "'%s' has no axis of channels", site->name);
    const bool depthwise = axes.in == axes.out;
    *e = (extent){.outs = axes.outs, .ins = depthwise ? 1 : axes.ins, .each = axes.each};
    e->at = MC_NEW(mem, float, e->outs * e->ins);
    if (!e->at) return mc_no_room(err, site->name);

    mc_arena scratch = *mem;
    const float *x;
    MC_TRY(mc_scale_load(w->job, site->weight, &scratch, &x, err));
    const size_t inner = (size_t)site->weight->count / (e->outs * e->ins);
    for (size_t i = 0; i < e->outs * e->ins; i++) {
        float most = 0.0f;
        for (size_t k = 0; k < inner; k++) most = fmaxf(most, fabsf(x[i * inner + k]));
        const size_t o = axes.out <= axes.in ? i / e->ins : i % e->outs;
        const size_t c = axes.out <= axes.in ? i % e->ins : i / e->outs;
        e->at[o * e->ins + c] = most;
    }
    return MC_OK;
}

static size_t index_of(const sweeper *w, const mc_site *site)
{
    return (size_t)(site - w->job->places->sites->site);
}

static bool is_depthwise(const sweeper *w, size_t at)
{
    mc_site_axes axes;
    return mc_look_axes(w->job->places->graph, &w->job->places->sites->site[at], &axes) &&
           axes.in == axes.out && axes.each == 1;
}

/* The place whose one consumer is the depthwise convolution that makes this place's channels. */
static const mc_place *place_before(const sweeper *w, const mc_place *place)
{
    const mc_places *all = w->job->places;
    const size_t producer = index_of(w, place->producer);
    if (!is_depthwise(w, producer)) return NULL;
    for (size_t i = 0; i < all->places; i++) {
        const mc_place *p = &all->place[i];
        if (p->kind == MC_PLACE_CONV && p->sites == 1 && p->site[0] == producer &&
            p->channels == p->width && p->width == place->channels)
            return p;
    }
    return NULL;
}

static bool fits(const sweeper *w, const mc_place *place)
{
    return place->kind != MC_PLACE_NORM && mc_scale_is_stored(w->job, place);
}

static mc_status add_pair(sweeper *w, const mc_place *place, mc_arena *mem, mc_err *err)
{
    pair *p = &w->pair[w->pairs++];
    *p = (pair){.place = place, .before = place_before(w, place)};
    const size_t n = place->channels;
    p->s = MC_NEW(mem, double, n);
    p->s_before = MC_NEW(mem, double, n);
    p->r1 = MC_NEW(mem, double, n);
    p->r2 = MC_NEW(mem, double, n);
    p->r3 = MC_NEW(mem, double, n);
    if (!p->s || !p->s_before || !p->r1 || !p->r2 || !p->r3) return mc_no_room(err, place->name);
    for (size_t c = 0; c < n; c++) p->s[c] = p->s_before[c] = 1.0;
    MC_TRY(measure(w, index_of(w, place->producer), mem, err));
    if (p->before) MC_TRY(measure(w, index_of(w, p->before->producer), mem, err));
    for (size_t i = 0; i < place->sites; i++) MC_TRY(measure(w, place->site[i], mem, err));
    return MC_OK;
}

/* ---- largest numbers, and scaling them ---- */

static void rows_of(const extent *e, double *r)
{
    for (size_t o = 0; o < e->outs; o++) {
        r[o] = 0.0;
        for (size_t i = 0; i < e->ins; i++) r[o] = fmax(r[o], (double)e->at[o * e->ins + i]);
    }
}

static void scale_rows(const extent *e, const double *by)
{
    for (size_t o = 0; o < e->outs; o++)
        for (size_t i = 0; i < e->ins; i++)
            e->at[o * e->ins + i] = (float)((double)e->at[o * e->ins + i] * by[o]);
}

/* The channel of the producer that meets entry k of a consumer. */
static size_t channel_of(const mc_place *p, const extent *e, bool depthwise, size_t k)
{
    return p->from[depthwise ? k / e->each : k % e->ins];
}

static bool depthwise_extent(const mc_place *p, const extent *e)
{
    return e->ins == 1 && p->width * e->each == e->outs && p->width > 1;
}

static void columns_of(const sweeper *w, const mc_place *p, double *r)
{
    memset(r, 0, p->channels * sizeof *r);
    for (size_t s = 0; s < p->sites; s++) {
        const extent *e = &w->site[p->site[s]];
        const bool depthwise = depthwise_extent(p, e);
        for (size_t k = 0; k < e->outs * e->ins; k++) {
            double *to = &r[channel_of(p, e, depthwise, k)];
            *to = fmax(*to, (double)e->at[k]);
        }
    }
}

static void scale_columns(const sweeper *w, const mc_place *p, const double *s)
{
    for (size_t i = 0; i < p->sites; i++) {
        const extent *e = &w->site[p->site[i]];
        const bool depthwise = depthwise_extent(p, e);
        for (size_t k = 0; k < e->outs * e->ins; k++)
            e->at[k] = (float)((double)e->at[k] * s[channel_of(p, e, depthwise, k)]);
    }
}

/* ---- sweeps ---- */

static bool usable(double r)
{
    return r > 0.0 && isfinite(r);
}

/* Turns r1, r2, r3 into the steps of both scales: r1 becomes that in front of the depthwise
 * convolution, r2 that behind it (or the only one). Gives the largest step. */
static double steps_of(pair *p)
{
    double most = 0.0;
    for (size_t c = 0; c < p->place->channels; c++) {
        const double r1 = p->r1[c], r2 = p->r2[c], r3 = p->r3[c];
        double first = 1.0, second = 1.0;
        if (p->before && usable(r1) && usable(r2) && usable(r3)) {
            const double mean = cbrt(r1) * cbrt(r2) * cbrt(r3);
            first = r1 / mean;
            second = mean / r3;
        } else if (!p->before && usable(r1) && usable(r2))
            second = sqrt(r1) / sqrt(r2);
        p->r1[c] = first;
        p->r2[c] = second;
        most = fmax(most, fmax(fabs(log(first)), fabs(log(second))));
    }
    return most;
}

static void invert(double *x, size_t n)
{
    for (size_t i = 0; i < n; i++) x[i] = 1.0 / x[i];
}

static double equalize(sweeper *w, pair *p)
{
    const mc_place *place = p->place;
    const size_t n = place->channels;
    const extent *producer = &w->site[index_of(w, place->producer)];
    const extent *first = p->before ? &w->site[index_of(w, p->before->producer)] : producer;
    rows_of(first, p->r1);
    if (p->before) rows_of(producer, p->r2);
    columns_of(w, place, p->before ? p->r3 : p->r2);
    const double most = steps_of(p);
    for (size_t c = 0; c < n; c++) {
        p->s_before[c] *= p->r1[c];
        p->s[c] *= p->r2[c];
    }
    scale_columns(w, place, p->r2);
    if (p->before) scale_columns(w, p->before, p->r1);
    invert(p->r1, n);
    invert(p->r2, n);
    if (p->before) scale_rows(first, p->r1);
    scale_rows(producer, p->r2);
    return most;
}

static mc_status apply(const sweeper *w, pair *p, mc_arena scratch, mc_err *err)
{
    for (size_t c = 0; c < p->place->channels; c++) p->r3[c] = 1.0; /* all channels are used */
    mc_scale_clean(p->place, p->r3, p->s);
    mc_scale_clean(p->place, p->r3, p->s_before);
    if (p->before) MC_TRY(mc_scale_apply(w->job, p->before, p->s_before, scratch, err));
    return mc_scale_apply(w->job, p->place, p->s, scratch, err);
}

static mc_status begin(const mc_transform_job *job, mc_arena *mem, mc_err *err)
{
    const mc_places *all = job->places;
    mc_arena scratch = *mem; /* nothing of it is kept */
    sweeper w = {.job = job,
                 .site = MC_NEW(&scratch, extent, all->sites->sites + 1),
                 .pair = MC_NEW(&scratch, pair, all->places + 1)};
    if (!w.site || !w.pair) return mc_no_room(err, "equalization");
    for (size_t i = 0; i < all->places; i++)
        if (fits(&w, &all->place[i])) MC_TRY(add_pair(&w, &all->place[i], &scratch, err));
    if (w.pairs == 0)
        return mc_fail(err, MC_E_UNSUPPORTED,
                       "the model has no place to equalize: two layers with nothing or a ReLU "
                       "between them");

    double most = (double)INFINITY;
    for (size_t sweep = 0; sweep < (size_t)job->setup->param[SWEEPS] && most >= 1e-3; sweep++) {
        most = 0.0;
        for (size_t i = 0; i < w.pairs; i++) most = fmax(most, equalize(&w, &w.pair[i]));
    }
    for (size_t i = 0; i < w.pairs; i++) MC_TRY(apply(&w, &w.pair[i], scratch, err));
    return MC_OK;
}

const mc_transform mc_transform_cle = {
    .name = "cle",
    .summary = "neighbouring layers scaled to equal ranges of their weights",
    .needs = "no data",
    .cost = "some passes over the weights",
    .paper = "Nagel et al. 2019 (DFQ), eq. 11; depthwise convolutions in threes",
    .params = {[SWEEPS] = {.key = "sweeps",
                           .summary = "times that all pairs are gone through, at most",
                           .least = 1.0,
                           .most = 1000.0,
                           .usual = 20.0,
                           .whole = true}},
    .begin = begin,
};
