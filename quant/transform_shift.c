/* Shifting inputs to the middle of their range: z = (max + min) / 2 of each channel leaves through
 * the producer's bias and comes back through the consumers', b + W z (Outlier Suppression+, Wei et
 * al. 2023, eq. 4-6). Only where both have biases and nothing in between bends. */
#include "quant/transform_scale.h"

#include <math.h>

static bool fits(const mc_transform_job *job, const mc_place *place)
{
    return place && place->takes_shift && !place->rectified && mc_scale_is_stored(job, place);
}

static mc_status begin(const mc_transform_job *job, mc_arena *mem, mc_err *err)
{
    (void)mem;
    for (size_t i = 0; i < job->places->places; i++)
        if (fits(job, &job->places->place[i])) return MC_OK;
    return mc_fail(err, MC_E_UNSUPPORTED,
                   "the model has no place to shift: biases on both sides of a norm's or a layer's "
                   "outputs");
}

static mc_status group(const mc_transform_job *job, const mc_input_stats *stats, mc_arena scratch,
                       mc_err *err)
{
    const mc_place *place = mc_places_of(job->places, stats->group);
    if (!fits(job, place)) return MC_OK;
    double *least = MC_NEW_RAW(&scratch, double, place->channels);
    double *most = MC_NEW_RAW(&scratch, double, place->channels);
    if (!least || !most) return mc_no_room(err, place->name);
    for (size_t c = 0; c < place->channels; c++) {
        least[c] = (double)INFINITY;
        most[c] = -(double)INFINITY;
    }
    for (size_t i = 0; i < place->width; i++) {
        const size_t c = place->from[i];
        least[c] = fmin(least[c], (double)stats->least[i]);
        most[c] = fmax(most[c], (double)stats->most[i]);
    }
    for (size_t c = 0; c < place->channels; c++) {
        const double middle = 0.5 * (most[c] + least[c]);
        most[c] = isfinite(middle) ? middle : 0.0;
    }
    return mc_scale_shift(job, place, most, scratch, err);
}

const mc_transform mc_transform_shift = {
    .name = "shift",
    .summary = "inputs shifted to the middle of their range, biases make it good",
    .needs = "calibration data, biases",
    .cost = "one forward pass",
    .paper = "Wei et al. 2023 (Outlier Suppression+), eq. 4-6",
    .wants = MC_QUANT_SQUARES,
    .begin = begin,
    .group = group,
};
