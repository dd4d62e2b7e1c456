/* Logarithmic equalization: s_j = max|x_j| / log2(2 + max|x_j|). Large channels shrink to about the
 * logarithm of what they were, whatever the weights are. */
#include "quant/transform_scale.h"

#include <math.h>

enum { INNER };

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
    for (size_t c = 0; c < of.channels; c++)
        s[c] = of.weight[c] > 0.0 ? of.absmax[c] / log2(2.0 + of.absmax[c]) : 1.0;
    mc_scale_clean(place, of.absmax, s);
    return mc_scale_apply(job, place, s, scratch, err);
}

const mc_transform mc_transform_logeq = {
    .name = "logeq",
    .summary = "scales by the logarithm of the inputs' range",
    .needs = "calibration data",
    .cost = "one forward pass",
    .paper = "Li et al. 2023 (FPTQ), logarithmic equalization",
    .params = {[INNER] = MC_SCALE_INNER},
    .wants = MC_QUANT_SQUARES,
    .scales_norms = true,
    .begin = begin,
    .group = group,
};
