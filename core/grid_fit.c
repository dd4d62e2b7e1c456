/* Fitting by range, and the way from a request to the stage that serves it.
 *
 * Ranges are taken for a chunk of groups at a time, so that every step (extremes, scales, rounding
 * to the stored dtype) is a loop over numbers that lie side by side. */
#include "core/grid_parts.h"
#include "core/kernels.h"

#include <math.h>

enum { CHUNK = 64 }; /* groups */

/* Weights beyond it could leave f32 when they meet a scale or an offset. */
static const float weight_most = 0x1p125f;

typedef struct {
    float least[CHUNK], most[CHUNK];
    float scale[CHUNK];
} chunk;

float mc_grid_span(const mc_grid *grid)
{
    const mc_levels *levels = grid->levels;
    const float last = (float)(levels->count - 1);
    if (!levels->value) {
        if (grid->offset != MC_OFFSET_NONE) return last;
        return grid->restricted ? 0.5f * (last - 1.0f) : 0.5f * last;
    }
    const float low = levels->value[0];
    const float high = levels->value[levels->count - 1];
    return grid->offset == MC_OFFSET_FREE ? high - low : fmaxf(-low, high);
}

/* The width of the weights of each group, as the scale it asks for. A symmetric grid knows but the
 * largest magnitude. */
static void wanted_scales(const mc_fit_row *row, const float *w, size_t groups, chunk *c)
{
    const mc_grid *grid = row->grid;
    const float idle = mc_grid_idle_scale(grid);
    const float span = mc_grid_span(grid);

    if (grid->offset == MC_OFFSET_NONE) {
        mc_kernels_best()->absmax(w, groups, row->group, c->most);
        for (size_t g = 0; g < groups; g++)
            c->scale[g] = c->most[g] > 0.0f ? c->most[g] / span : idle;
        return;
    }
    mc_kernels_best()->minmax(w, groups, row->group, c->least, c->most);
    for (size_t g = 0; g < groups; g++) {
        if (grid->offset == MC_OFFSET_ZERO) {
            c->least[g] = fminf(c->least[g], 0.0f);
            c->most[g] = fmaxf(c->most[g], 0.0f);
        }
        const float width = c->most[g] - c->least[g];
        c->scale[g] = width > 0.0f ? width / span : idle;
    }
}

/* Powers of two round up: the nearest one could be a third too small and cut off whole steps. */
static float power_of_two_above(float x)
{
    int exponent;
    const float fraction = frexpf(x, &exponent);
    return ldexpf(1.0f, fraction == 0.5f ? exponent - 1 : exponent);
}

/* Floats have their own rule (OCP MX 1.0, with the rounding that encoders of MXFP4 give it): the
 * exponent of the largest weight less that of the largest level, one more when its fraction is 1.75
 * or above. What lies beyond the largest level then saturates. */
static float power_of_two_for(const mc_grid *grid, float scale, float most)
{
    const mc_levels *levels = grid->levels;
    if (!levels->fraction || !(most > 0.0f)) return power_of_two_above(scale);
    int exponent, reach;
    const float fraction = frexpf(most, &exponent);
    frexpf(levels->value[levels->count - 1], &reach);
    return ldexpf(1.0f, exponent - reach + (fraction >= 0.875f));
}

static mc_status store_scales(const mc_grid *grid, chunk *c, size_t groups, mc_err *err)
{
    float *scale = c->scale;
    float stored[CHUNK];
    for (size_t g = 0; g < groups; g++) {
        if (grid->scale_dtype == MC_F8_E8M0)
            scale[g] = power_of_two_for(grid, scale[g], c->most[g]);
        stored[g] = scale[g];
    }
    mc_grid_round_scales(grid, stored, groups);

    const float least = mc_grid_least_scale(grid);
    for (size_t g = 0; g < groups; g++) {
        const bool plain = stored[g] >= least && stored[g] < 256.0f; /* fits every dtype */
        if (plain)
            scale[g] = stored[g];
        else
            MC_TRY(mc_grid_store_scale(grid, scale[g], &scale[g], err));
    }
    return MC_OK;
}

/* The offset at which the middle of the levels meets the middle of the weights; integers start at
 * the least weight. */
static float wanted_offset(const mc_grid *grid, float least, float most, float scale)
{
    const float *t = grid->levels->value;
    if (!t || !(most > least)) return least;
    return 0.5f * (least + most) - scale * (0.5f * (t[0] + t[grid->levels->count - 1]));
}

static mc_status finish(const mc_grid *grid, const chunk *c, size_t groups, mc_params *out,
                        mc_err *err)
{
    const uint8_t middle = grid->levels->value ? 0 : (uint8_t)(mc_grid_codes(grid) / 2);
    for (size_t g = 0; g < groups; g++) {
        out[g] = (mc_params){.scale = c->scale[g]};
        if (grid->offset == MC_OFFSET_NONE) {
            out[g].zero = middle;
        } else if (grid->offset == MC_OFFSET_ZERO) {
            out[g].zero = mc_grid_zero(grid, c->least[g], c->scale[g]);
        } else {
            const float offset = wanted_offset(grid, c->least[g], c->most[g], c->scale[g]);
            MC_TRY(mc_grid_store_offset(grid, offset, &out[g].offset, err));
        }
    }
    return MC_OK;
}

static mc_status check_range(const chunk *c, mc_offset offset, size_t groups, mc_err *err)
{
    for (size_t g = 0; g < groups; g++) {
        const float low = offset == MC_OFFSET_NONE ? 0.0f : -c->least[g];
        if (c->most[g] <= weight_most && low <= weight_most) continue;
        const float found = c->most[g] <= weight_most ? c->least[g] : c->most[g];
        return mc_fail(err, MC_E_UNSUPPORTED, "a weight of %.6g is beyond what a grid spans (%.6g)",
                       (double)found, (double)weight_most);
    }
    return MC_OK;
}

mc_status mc_grid_fit_range(const mc_fit_row *row, mc_params *out, mc_err *err)
{
    for (size_t at = 0; at < row->groups; at += CHUNK) {
        const size_t groups = row->groups - at < CHUNK ? row->groups - at : CHUNK;
        chunk c;
        wanted_scales(row, row->w + at * row->group, groups, &c);
        MC_TRY(check_range(&c, row->grid->offset, groups, err));
        MC_TRY(store_scales(row->grid, &c, groups, err));
        MC_TRY(finish(row->grid, &c, groups, out + at, err));
    }
    return MC_OK;
}

mc_status mc_grid_fit(const mc_grid *grid, mc_fit fit, const float *w, const float *importance,
                      size_t groups, size_t group, mc_params *out, mc_sub *sub, mc_super *super,
                      mc_err *err)
{
    if (group == 0) return MC_OK;
    mc_grid alone = *grid;
    if (grid->tensor_scaled && !(grid->tensor_scale > 0.0f)) {
        float most;
        mc_kernels_best()->absmax(w, 1, groups * group, &most);
        mc_grid_set_tensor_scale(&alone, most);
    }
    const mc_fit_row row = {.grid = &alone,
                            .fit = fit,
                            .w = w,
                            .importance = importance,
                            .groups = groups,
                            .group = group};
    if (grid->sub_bits != 0) return mc_grid_fit_two_level(&row, out, sub, super, err);

    MC_TRY(mc_grid_fit_range(&row, out, err));
    if (fit.kind == MC_FIT_SEARCH) mc_grid_fit_search(&row, out);
    return MC_OK;
}
