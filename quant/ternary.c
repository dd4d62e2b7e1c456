/* Ternary weights: s * {-1, 0, 1} with the scale that leaves the least squared error.
 *
 * For a scale shared by the k largest magnitudes, the best scale is their mean and it lowers the
 * error by (sum of them)^2 / k. So one scan over the sorted magnitudes finds the exact optimum,
 * where the papers use a fixed rule: a threshold of 0.7 of the mean magnitude (Li et al. 2016,
 * "Ternary Weight Networks"), or the mean magnitude as scale (Ma et al. 2024, BitNet b1.58).
 * Weights that are ternary already keep their codes.
 *
 * Deviation: the scale is then rounded to its stored dtype and the codes are taken anew, nearest
 * to the stored values. Dtypes of 8 bits are so coarse that the grid's own search is tried too. */
#include "quant/quant.h"
#include "quant/radix.h"
#include "quant/rows.h"

#include <math.h>
#include <string.h>

static const char *refuses(const mc_grid *grid)
{
    if (strcmp(grid->levels->name, "ternary") != 0)
        return "it needs the levels -1, 0, 1 (\"ternary\")";
    if (grid->offset != MC_OFFSET_NONE) return "it has no offset, so it needs a symmetric grid";
    if (grid->sub_bits) return "it fits each group alone, so it needs plain scales";
    return NULL;
}

static size_t scratch_bytes(const mc_grid *grid, size_t rows, size_t cols, size_t group)
{
    (void)grid, (void)rows, (void)cols;
    return key_bytes(group);
}

/* The optimal scale before rounding; 0 when all weights are. */
static float best_scale(const float *w, size_t n, uint32_t *key)
{
    for (size_t i = 0; i < n; i++) key[i] = key_of_float(fabsf(w[i]));
    sort_keys(key, n, 24);

    double sum = 0.0, gain = 0.0, scale = 0.0;
    for (size_t k = 1; k <= n; k++) {
        sum += (double)float_of_key(key[n - k]);
        const double mean = sum / (double)k;
        if (!(sum * mean > gain)) continue;
        gain = sum * mean;
        scale = mean;
    }
    return (float)scale;
}

static double squared_error(const one_group *group, mc_params p)
{
    const mc_grid_group weights = {.w = group->w, .n = group->n};
    return mc_grid_error(group->grid, p, weights, 2.0f);
}

static mc_status fit(const one_group *group, mc_fit_kind kind, mc_params *out, mc_err *err)
{
    const mc_fit how = {.kind = kind, .norm = 2.0f};
    return mc_grid_fit(group->grid, how, group->w, NULL, 1, group->n, out, NULL, NULL, err);
}

static mc_status fit_group(const one_group *group, mc_params *out, mc_err *err)
{
    const mc_grid *grid = group->grid;
    const float wanted = best_scale(group->w, group->n, group->key);
    if (wanted == 0.0f) return fit(group, MC_FIT_RANGE, out, err); /* any scale will do */

    *out = (mc_params){0};
    MC_TRY(mc_grid_store_scale(grid, wanted, &out->scale, err));
    if (mc_dtype_about(grid->scale_dtype)->bits > 8) return MC_OK;

    mc_params searched;
    MC_TRY(fit(group, MC_FIT_SEARCH, &searched, err));
    if (squared_error(group, searched) < squared_error(group, *out)) *out = searched;
    return MC_OK;
}

static mc_status choose(const one_group *group, mc_params *out, uint8_t *code, mc_err *err)
{
    MC_TRY(fit_group(group, out, err));
    mc_grid_encode(group->grid, *out, group->w, group->n, code);
    return MC_OK;
}

static mc_status run(const mc_quant_job *job, mc_qmat *out, mc_arena scratch, mc_err *err)
{
    uint32_t *key = MC_NEW_RAW(&scratch, uint32_t, out->group);
    if (!key) return mc_no_room(err, "sorting a group");
    return choose_groups(job, out, key, choose, err);
}

const mc_quant_method mc_quant_ternary = {
    .name = "ternary",
    .summary = "-1, 0, 1 times the exactly best scale",
    .needs = "no data",
    .cost = "a sort of every group",
    .paper = "Li et al. 2016 (ternary weight networks), its optimum found exactly",
    .usual_from = 1.5,
    .usual_below = 2.0,
    .refuses = refuses,
    .scratch = scratch_bytes,
    .run = run,
};
