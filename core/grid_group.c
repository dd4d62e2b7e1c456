/* One group's weights, scaled to a unit and cut into chunks, under the searching kernels. */
#include "core/grid_parts.h"

#include <math.h>
#include <string.h>

/* 2^-e for a number of the exponent e, both kept away from the ends of f32. */
float mc_fit_unit(float most)
{
    uint32_t bits;
    memcpy(&bits, &most, sizeof bits);
    uint32_t exponent = bits >> 23 & 0xFFu;
    if (exponent < 1) exponent = 1;
    if (exponent > 253) exponent = 253;

    const uint32_t power = (254u - exponent) << 23;
    float unit;
    memcpy(&unit, &power, sizeof unit);
    return unit;
}

static size_t fill(mc_fit_group *group, size_t at)
{
    const size_t n = group->n - at < MC_CHUNK ? group->n - at : MC_CHUNK;
    const float unit = group->unit;
    const float centre = group->centre;
    const float *w = group->w + at;
    for (size_t i = 0; i < n; i++) group->x[i] = w[i] * unit - centre;
    if (group->importance) {
        const float *importance = group->importance + at;
        const float scale = group->importance_unit;
        for (size_t i = 0; i < n; i++) group->xi[i] = importance[i] * scale;
    }
    return n;
}

bool mc_fit_group_open(mc_fit_group *out, const mc_fit_row *row, size_t g, float unit, float centre)
{
    out->grid = row->grid;
    out->kernels = mc_kernels_best();
    out->w = row->w + g * row->group;
    out->importance = row->importance ? row->importance + g * row->group : NULL;
    out->n = row->group;
    out->norm = row->fit.norm;
    out->unit = unit;
    out->centre = centre;
    out->importance_unit = 1.0f;
    out->filled = 0;
    if (out->importance) {
        float most;
        out->kernels->absmax(out->importance, 1, out->n, &most);
        if (!(most > 0.0f)) return false;
        out->importance_unit = mc_fit_unit(most);
    }
    return true;
}

/* The next chunk of a pass over the group; a group of one chunk is scaled only once. */
static mc_scan next_chunk(mc_fit_group *group, size_t at)
{
    size_t n = group->filled;
    if (n == 0) {
        n = fill(group, at);
        if (n == group->n) group->filled = n;
    }
    const mc_levels *levels = group->grid->levels;
    return (mc_scan){.x = group->x,
                     .importance = group->importance ? group->xi : NULL,
                     .n = n,
                     .level = levels->value,
                     .levels = levels->value ? levels->count : 0,
                     .offset = group->grid->offset == MC_OFFSET_FREE};
}

void mc_fit_moments(mc_fit_group *group, const mc_lanes *lanes, mc_moments *sums)
{
    *sums = (mc_moments){0};
    for (size_t at = 0; at < group->n; at += MC_CHUNK) {
        const mc_scan scan = next_chunk(group, at);
        group->kernels->moments(&scan, lanes, sums);
    }
}

void mc_fit_errors(mc_fit_group *group, const mc_lanes *lanes, mc_errors *sums)
{
    *sums = (mc_errors){0};
    for (size_t at = 0; at < group->n; at += MC_CHUNK) {
        const mc_scan scan = next_chunk(group, at);
        group->kernels->errors(&scan, lanes, group->norm, sums);
    }
}

void mc_fit_totals(mc_fit_group *group, double *importance, double *x)
{
    *importance = 0.0;
    *x = 0.0;
    for (size_t at = 0; at < group->n; at += MC_CHUNK) {
        const mc_scan scan = next_chunk(group, at);
        for (size_t i = 0; i < scan.n; i++) {
            const double weight = scan.importance ? (double)scan.importance[i] : 1.0;
            *importance += weight;
            *x += weight * (double)scan.x[i];
        }
    }
}

void mc_fit_lane(const mc_fit_group *group, mc_params p, mc_lanes *lanes, unsigned c)
{
    const mc_grid *grid = group->grid;
    const float step = p.scale * group->unit;
    lanes->step[c] = step;
    lanes->inverse[c] = 1.0f / step;
    lanes->offset[c] =
        grid->offset == MC_OFFSET_FREE ? p.offset * group->unit - group->centre : 0.0f;
    lanes->low[c] = (float)((int)mc_grid_first(grid) - (int)p.zero);
    lanes->high[c] = (float)((int)mc_grid_codes(grid) - 1 - (int)p.zero);
}

bool mc_fit_better(double found, double known, float norm)
{
    const double rounding = norm == 2.0f ? 4e-6 : 4e-5;
    return found < known * (1.0 - rounding);
}
