/* Absorbing high biases: where a channel behind a ReLU lies above c on nearly all inputs, c moves
 * through the ReLU into the next layer's bias: b1 - c, b2 + W2 c, c = max(0, mean - 3 deviation)
 * (Nagel et al. 2019, section 4.1.3, which takes mean and deviation from BatchNormalization; here
 * they are the data's). Never more than the least value seen, so that no input of the data is cut
 * off and the function stays as it was on them. */
#include "quant/transform_scale.h"

#include <math.h>

static bool fits(const mc_transform_job *job, const mc_place *place)
{
    return place && place->takes_shift && place->kind == MC_PLACE_CONV &&
           mc_scale_is_stored(job, place);
}

static mc_status begin(const mc_transform_job *job, mc_arena *mem, mc_err *err)
{
    (void)mem;
    for (size_t i = 0; i < job->places->places; i++)
        if (fits(job, &job->places->place[i])) return MC_OK;
    return mc_fail(err, MC_E_UNSUPPORTED,
                   "the model has no place to absorb biases: two layers with biases, the second "
                   "without padding");
}

/* mean - 3 deviation of a channel, whose columns are side by side. */
static double low_end(const mc_moments *m, size_t channel, size_t columns)
{
    double sum = 0.0, square = 0.0;
    for (size_t k = channel * columns; k < (channel + 1) * columns; k++) {
        sum += m->sum[k];
        square += m->square[k];
    }
    const double rows = (double)m->rows * (double)columns, mean = sum / rows;
    return mean - 3.0 * sqrt(fmax(square / rows - mean * mean, 0.0));
}

static mc_status group(const mc_transform_job *job, const mc_input_stats *stats, mc_arena scratch,
                       mc_err *err)
{
    const mc_place *place = mc_places_of(job->places, stats->group);
    const mc_moments *m = &stats->moments;
    if (!fits(job, place) || !m->sum || !m->square || m->rows == 0) return MC_OK;
    double *c = MC_NEW_RAW(&scratch, double, place->channels);
    if (!c) return mc_no_room(err, place->name);
    for (size_t i = 0; i < place->channels; i++) c[i] = (double)INFINITY;
    const size_t columns = m->groups * m->n / place->width;
    for (size_t i = 0; i < place->width; i++) {
        const double low = fmin(low_end(m, i, columns), (double)stats->least[i]);
        c[place->from[i]] = fmin(c[place->from[i]], low);
    }
    for (size_t i = 0; i < place->channels; i++)
        if (!(c[i] > 0.0 && isfinite(c[i]))) c[i] = 0.0;
    return mc_scale_shift(job, place, c, scratch, err);
}

const mc_transform mc_transform_absorb = {
    .name = "absorb",
    .summary = "high biases moved through ReLU into the next layer",
    .needs = "calibration data, biases",
    .cost = "one forward pass",
    .paper = "Nagel et al. 2019 (DFQ), section 4.1.3",
    .wants = MC_QUANT_SQUARES,
    .begin = begin,
    .group = group,
};
