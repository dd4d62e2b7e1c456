/* Binary weights: s * {-1, 1}, or s * {-1, 1} + m where the grid has an offset, with the numbers
 * that leave the least squared error.
 *
 * Without an offset the best codes are the signs (that of 0 is +1) and the best scale is the mean
 * magnitude (Rastegari et al. 2016, XNOR-Net). With an offset, m - s and m + s are the centres of
 * two clusters; the best two clusters of numbers are a split of their sorted row, and one scan
 * finds it (where BiLLM takes the mean as offset).
 *
 * m is rounded to its stored dtype first; the scale is then the best one for the rounded m. */
#include "quant/quant.h"
#include "quant/radix.h"
#include "quant/rows.h"

#include <math.h>
#include <string.h>

static const char *refuses(const mc_grid *grid)
{
    if (strcmp(grid->levels->name, "binary") != 0) return "it needs the levels -1, 1 (\"binary\")";
    if (grid->sub_bits) return "it fits each group alone, so it needs plain scales";
    return NULL;
}

static size_t scratch_bytes(const mc_grid *grid, size_t rows, size_t cols, size_t group)
{
    (void)rows, (void)cols;
    return grid->offset == MC_OFFSET_FREE ? key_bytes(group) : 0;
}

/* The middle between the centres of the best two clusters of w. */
static float best_offset(const float *w, size_t n, uint32_t *key)
{
    double all = 0.0;
    for (size_t i = 0; i < n; i++) {
        key[i] = key_of_float(w[i]);
        all += (double)w[i];
    }
    sort_keys(key, n, 24);

    /* The split lowers the squared error by the weighted square of the distance of its centres. */
    const double mean = all / (double)n;
    double sum = 0.0, gain = 0.0, offset = mean;
    for (size_t k = 1; k < n; k++) {
        sum += (double)float_of_key(key[k - 1]);
        const double low = sum / (double)k, high = (all - sum) / (double)(n - k);
        const double less = (double)k * (low - mean) * (low - mean) +
                            (double)(n - k) * (high - mean) * (high - mean);
        if (!(less > gain)) continue;
        gain = less;
        offset = (low + high) / 2.0;
    }
    return (float)offset;
}

static double mean_distance(const float *w, size_t n, float from)
{
    double sum = 0.0;
    for (size_t i = 0; i < n; i++) sum += fabs((double)w[i] - (double)from);
    return sum / (double)n;
}

/* Weights that all equal the stored m are met exactly: as s + 0, or for zeros as 1 - 1. */
static mc_params constant(float m)
{
    return m == 0.0f ? (mc_params){.scale = 1.0f, .offset = -1.0f}
                     : (mc_params){.scale = fabsf(m), .offset = 0.0f};
}

/* The best offset as it is stored; 0 where the grid has none. */
static mc_status fit_offset(const one_group *group, float *stored, mc_err *err)
{
    *stored = 0.0f;
    if (group->grid->offset != MC_OFFSET_FREE) return MC_OK;
    const float wanted = best_offset(group->w, group->n, group->key);
    return mc_grid_store_offset(group->grid, wanted, stored, err);
}

static mc_status fit_group(const one_group *group, mc_params *out, mc_err *err)
{
    const mc_grid *grid = group->grid;
    *out = (mc_params){0};
    MC_TRY(fit_offset(group, &out->offset, err));

    const double scale = mean_distance(group->w, group->n, out->offset);
    if (scale > 0.0) return mc_grid_store_scale(grid, (float)scale, &out->scale, err);
    if (grid->offset == MC_OFFSET_FREE) {
        *out = constant(out->offset);
        return MC_OK;
    }
    return mc_grid_fit(grid, (mc_fit){.kind = MC_FIT_RANGE}, group->w, NULL, 1, group->n, out, NULL,
                       NULL, err);
}

static mc_status choose(const one_group *group, mc_params *out, uint8_t *code, mc_err *err)
{
    MC_TRY(fit_group(group, out, err));
    mc_grid_encode(group->grid, *out, group->w, group->n, code);
    if (group->grid->offset == MC_OFFSET_FREE) return MC_OK;
    for (size_t i = 0; i < group->n; i++) /* as near to one as to the other; the sign of 0 is +1 */
        if (group->w[i] == 0.0f) code[i] = 1;
    return MC_OK;
}

static mc_status run(const mc_quant_job *job, mc_qmat *out, mc_arena scratch, mc_err *err)
{
    uint32_t *key = NULL;
    if (out->grid.offset == MC_OFFSET_FREE) {
        key = MC_NEW_RAW(&scratch, uint32_t, out->group);
        if (!key) return mc_no_room(err, "sorting a group");
    }
    return choose_groups(job, out, key, choose, err);
}

const mc_quant_method mc_quant_binary = {
    .name = "binary",
    .summary = "-1, 1 times the best scale, around the best offset if the grid has one",
    .needs = "no data",
    .cost = "one pass over the weights",
    .paper = "Rastegari et al. 2016 (XNOR-Net); with an offset exact two-means",
    .usual_from = 1.0,
    .usual_below = 1.5,
    .refuses = refuses,
    .scratch = scratch_bytes,
    .run = run,
};
