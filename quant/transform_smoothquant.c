/* SmoothQuant: s_j = max|x_j|^alpha / max|w_j|^(1 - alpha) moves what makes inputs hard to quantize
 * into weights, which can bear it (Xiao et al. 2023, eq. 4). Beside the norms that the paper folds
 * scales into, also v -> o (one scale for each channel of a key-value head) and up -> down. */
#include "quant/transform_scale.h"

#include <math.h>

enum { ALPHA, INNER };
enum { SEARCHED = 13 }; /* .3, .35 … .9 */

static void migrate(const mc_scale_stats *of, double alpha, double *s)
{
    for (size_t c = 0; c < of->channels; c++)
        s[c] =
            of->weight[c] > 0.0 ? pow(of->absmax[c], alpha) / pow(of->weight[c], 1.0 - alpha) : 1.0;
}

static void candidate(const void *self, size_t i, double *s)
{
    migrate(self, 0.3 + 0.05 * (double)i, s);
}

static mc_status begin(const mc_transform_job *job, mc_arena *mem, mc_err *err)
{
    (void)mem;
    return mc_scale_needs(job, job->setup->param[INNER] != 0.0, err);
}

static mc_status group(const mc_transform_job *job, const mc_input_stats *stats, mc_arena scratch,
                       mc_err *err)
{
    const mc_place *place = mc_scale_place(job, stats, job->setup->param[INNER] != 0.0);
    if (!place) return MC_OK;
    mc_scale_stats of;
    MC_TRY(mc_scale_stats_of(place, stats, job, &scratch, &of, err));
    double *s = MC_NEW(&scratch, double, place->channels);
    if (!s) return mc_no_room(err, place->name);

    const double alpha = job->setup->param[ALPHA];
    size_t best;
    const mc_scale_search search = {job, place, stats, SEARCHED, candidate, &of, of.absmax};
    if (alpha == 0.0)
        MC_TRY(mc_scale_find(&search, scratch, s, &best, err));
    else
        migrate(&of, alpha, s);
    mc_scale_clean(place, of.absmax, s);
    return mc_scale_apply(job, place, s, scratch, err);
}

const mc_transform mc_transform_smoothquant = {
    .name = "smoothquant",
    .summary = "scales that move outliers of inputs into weights",
    .needs = "calibration data",
    .cost = "one forward pass; with alpha=0 also n^2 per token and m n^2 per trial",
    .paper = "Xiao et al. 2023 (SmoothQuant), eq. 4; also v to o and up to down",
    .params = {[ALPHA] = {.key = "alpha",
                          .summary = "share of the inputs' range that weights take over; 0: the "
                                     "best of 0.3 … 0.9 for each place",
                          .least = 0.0,
                          .most = 1.0,
                          .usual = 0.5},
               [INNER] = MC_SCALE_INNER},
    .wants = MC_QUANT_GRAM,
    .scales_norms = true,
    .begin = begin,
    .group = group,
};
