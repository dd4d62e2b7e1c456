/* AWQ: weights that meet large inputs are scaled up before they are rounded, and the inputs down
 * (Lin et al. 2023). s = x^alpha, x the mean |input| of a channel (eq. 5), or AutoAWQ's
 * s = x^alpha / (w^(1 - alpha) + 1e-4), w the mean over rows of |weight| over the largest in its
 * group; alpha = 0, 1/n … from a grid by the error that is left in the outputs. s is centred by
 * sqrt(max s min s). The paper's search of clipping ranges is left to the rounding, which fits its
 * grids. Places beyond the paper's: v -> o with shared key-value heads, up -> down,
 * convolutions. */
#include "quant/transform_scale.h"

#include <math.h>

enum { GRID, DUO, INNER };
enum { ALONE, DUAL, BOTH };

typedef struct {
    mc_scale_stats of;
    const double *share; /* w of each of the producer's channels */
    size_t steps;
    int duo;
} awq;

static void candidate(const void *self, size_t i, double *s)
{
    const awq *a = self;
    const double alpha = (double)(i % a->steps) / (double)a->steps;
    const bool dual = a->duo == DUAL || (a->duo == BOTH && i >= a->steps);
    double most = 0.0, least = (double)INFINITY;
    for (size_t c = 0; c < a->of.channels; c++) {
        s[c] = fmax(pow(a->of.mean_abs[c], alpha), 1e-4);
        if (dual) s[c] = fmax(s[c] / (pow(a->share[c], 1.0 - alpha) + 1e-4), 1e-4);
        if (!(a->of.absmax[c] > 0.0)) continue;
        most = fmax(most, s[c]);
        least = fmin(least, s[c]);
    }
    const double middle = sqrt(most * least);
    for (size_t c = 0; c < a->of.channels; c++) s[c] /= middle;
}

/* ---- mean |w| over the largest of its group ---- */

typedef struct {
    const mc_place *place;
    size_t group;
    double *sum, *count; /* of each of the producer's channels */
} shares;

static void add_row(const shares *s, const mc_scale_matrix *m, size_t row, const float *w)
{
    const size_t group = s->group > 0 && m->cols % s->group == 0 ? s->group : m->cols;
    const size_t each = m->depthwise ? m->cols : m->cols / m->axes.ins;
    const size_t channel = m->depthwise ? row / m->axes.each : 0;
    for (size_t first = 0; first < m->cols; first += group) {
        double most = 0.0;
        for (size_t j = first; j < first + group; j++) most = fmax(most, (double)fabsf(w[j]));
        for (size_t j = first; j < first + group; j++) {
            const size_t c = s->place->from[channel + j / each];
            s->sum[c] += (double)fabsf(w[j]) / (most + 1e-6);
            s->count[c] += 1.0;
        }
    }
}

static mc_status add_site(const shares *s, const mc_transform_job *job, const mc_site *site,
                          mc_arena scratch, mc_err *err)
{
    mc_scale_matrix m;
    const float *w;
    if (!mc_scale_matrix_of(job->places, site, &m)) return MC_OK;
    float *row = MC_NEW_RAW(&scratch, float, m.cols);
    if (!row) return mc_no_room(err, site->name);
    MC_TRY(mc_scale_load(job, site->weight, &scratch, &w, err));
    for (size_t r = 0; r < m.rows; r++) {
        mc_scale_row(&m, w, r, row);
        add_row(s, &m, r, row);
    }
    return MC_OK;
}

static mc_status find_shares(const mc_transform_job *job, const mc_place *place, mc_arena *mem,
                             const double **out, mc_err *err)
{
    const shares s = {place, job->group, MC_NEW(mem, double, place->channels),
                      MC_NEW(mem, double, place->channels)};
    if (!s.sum || !s.count) return mc_no_room(err, place->name);
    for (size_t i = 0; i < place->sites; i++)
        if (!mc_scale_seen(job->places, place, i))
            MC_TRY(add_site(&s, job, &job->places->sites->site[place->site[i]], *mem, err));
    for (size_t c = 0; c < place->channels; c++)
        if (s.count[c] > 0.0) s.sum[c] /= s.count[c];
    *out = s.sum;
    return MC_OK;
}

/* ---- the transform ---- */

static mc_status begin(const mc_transform_job *job, mc_arena *mem, mc_err *err)
{
    (void)mem;
    return mc_scale_needs(job, job->setup->param[INNER] != 0.0, err);
}

static mc_status group(const mc_transform_job *job, const mc_input_stats *stats, mc_arena scratch,
                       mc_err *err)
{
    const double *param = job->setup->param;
    const mc_place *place = mc_scale_place(job, stats, param[INNER] != 0.0);
    if (!place) return MC_OK;
    awq a = {.steps = (size_t)param[GRID], .duo = (int)param[DUO]};
    MC_TRY(mc_scale_stats_of(place, stats, job, &scratch, &a.of, err));
    MC_TRY(find_shares(job, place, &scratch, &a.share, err));
    double *s = MC_NEW(&scratch, double, place->channels);
    if (!s) return mc_no_room(err, place->name);

    const size_t candidates = a.duo == BOTH ? 2 * a.steps : a.steps;
    const mc_scale_search search = {job, place, stats, candidates, candidate, &a, a.of.absmax};
    size_t best;
    MC_TRY(mc_scale_find(&search, scratch, s, &best, err));
    return mc_scale_apply(job, place, s, scratch, err);
}

const mc_transform mc_transform_awq = {
    .name = "awq",
    .summary = "scales that favour weights which meet large inputs, by the error left in outputs",
    .needs = "calibration data",
    .cost = "one forward pass with n^2 per token, m n^2 per trial",
    .paper = "Lin et al. 2023 (AWQ), eq. 4-5; AutoAWQ's scaling by weights; by Grams",
    .params = {[GRID] = {.key = "grid",
                         .summary = "exponents tried, from 0 up to but not including 1",
                         .least = 1.0,
                         .most = 100.0,
                         .usual = 20.0,
                         .whole = true},
               [DUO] = {.key = "duo",
                        .summary = "0: scales from inputs alone; 1: from inputs and weights; 2: "
                                   "the better of both",
                        .least = 0.0,
                        .most = 2.0,
                        .usual = 1.0,
                        .whole = true},
               [INNER] = MC_SCALE_INNER},
    .wants = MC_QUANT_GRAM,
    .scales_norms = true,
    .begin = begin,
    .group = group,
};
