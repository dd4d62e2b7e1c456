/* One group's weights and grids as the searching kernels like them. */
#include "core/grid_parts.h"

#include <math.h>
#include <string.h>

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

bool mc_fit_group_open(mc_fit_group *out, const mc_fit_row *row, size_t g, float unit, float centre)
{
    const mc_grid *grid = row->grid;
    const float *importance = row->importance ? row->importance + g * row->group : NULL;
    float importance_unit = 1.0f;
    if (importance) {
        float most;
        mc_kernels_best()->absmax(importance, 1, row->group, &most);
        if (!(most > 0.0f)) return false;
        importance_unit = mc_fit_unit(most);
    }
    *out = (mc_fit_group){.grid = grid,
                          .norm = row->fit.norm,
                          .scan = {.w = row->w + g * row->group,
                                   .importance = importance,
                                   .n = row->group,
                                   .unit = unit,
                                   .centre = centre,
                                   .importance_unit = importance_unit,
                                   .table = grid->levels->value ? grid->levels : NULL,
                                   .dtype = grid->scale_dtype,
                                   .least = mc_grid_least_scale(grid),
                                   .most = mc_grid_most_scale(grid)}};
    return true;
}

void mc_fit_totals(const mc_fit_group *group, double *importance, double *x)
{
    enum { WAYS = 8 }; /* sums side by side; no decision hangs on their last bit */
    const mc_scan *scan = &group->scan;
    double total[WAYS] = {0};
    double weighted[WAYS] = {0};
    for (size_t i = 0; i < scan->n; i++) {
        const double weight =
            scan->importance ? (double)(scan->importance[i] * scan->importance_unit) : 1.0;
        total[i % WAYS] += weight;
        weighted[i % WAYS] += weight * (double)(scan->w[i] * scan->unit - scan->centre);
    }
    *importance = 0.0;
    *x = 0.0;
    for (unsigned c = 0; c < WAYS; c++) {
        *importance += total[c];
        *x += weighted[c];
    }
}

void mc_fit_lane(const mc_fit_group *group, mc_params p, mc_lanes *lanes, unsigned c)
{
    const mc_grid *grid = group->grid;
    const float step = p.scale * group->scan.unit;
    lanes->step[c] = step;
    lanes->inverse[c] = 1.0f / step;
    lanes->offset[c] = 0.0f;
    if (grid->offset == MC_OFFSET_FREE)
        lanes->offset[c] = p.offset * group->scan.unit - group->scan.centre;
    lanes->low[c] = (float)((int)mc_grid_first(grid) - (int)p.zero);
    lanes->high[c] = (float)((int)mc_grid_codes(grid) - 1 - (int)p.zero);
}

double mc_grid_error(const mc_grid *grid, mc_params p, mc_grid_group group, float norm)
{
    double sum = 0.0;
    for (size_t at = 0; at < group.n; at += MC_CHUNK) {
        const size_t n = group.n - at < MC_CHUNK ? group.n - at : MC_CHUNK;
        uint8_t code[MC_CHUNK];
        float value[MC_CHUNK];
        mc_grid_encode(grid, p, group.w + at, n, code);
        mc_grid_decode(grid, p, code, n, value);
        for (size_t i = 0; i < n; i++) {
            const double off = fabs((double)group.w[at + i] - (double)value[i]);
            const double cost = norm == 2.0f ? off * off : pow(off, (double)norm);
            sum += group.importance ? (double)group.importance[at + i] * cost : cost;
        }
    }
    return sum;
}

double mc_fit_exact_error(const mc_fit_row *row, size_t g, mc_params p)
{
    const size_t at = g * row->group;
    const mc_grid_group group = {row->w + at, row->importance ? row->importance + at : NULL,
                                 row->group};
    return mc_grid_error(row->grid, p, group, row->fit.norm);
}

bool mc_fit_better(double found, double known, float norm)
{
    const double rounding = norm == 2.0f ? 4e-6 : 4e-5;
    return found < known * (1.0 - rounding);
}
