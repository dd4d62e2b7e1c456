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
    return grid->offset == MC_OFFSET_FREE ? group * sizeof(uint32_t) + 64 : 0;
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

static mc_status fit_group(const mc_grid *grid, const float *w, size_t n, uint32_t *key,
                           mc_params *out, mc_err *err)
{
    *out = (mc_params){0};
    if (grid->offset == MC_OFFSET_FREE) {
        const float wanted = best_offset(w, n, key);
        out->offset = mc_round_to(grid->scale_dtype, wanted);
        if (!isfinite(out->offset))
            return mc_fail(err, MC_E_UNSUPPORTED, "offset %g does not fit %s", (double)wanted,
                           mc_dtype_about(grid->scale_dtype)->name);
    }

    const double scale = mean_distance(w, n, out->offset);
    if (scale > 0.0) return mc_grid_store_scale(grid, (float)scale, &out->scale, err);
    if (grid->offset == MC_OFFSET_FREE) {
        *out = constant(out->offset);
        return MC_OK;
    }
    return mc_grid_fit(grid, (mc_fit){.kind = MC_FIT_RANGE}, w, NULL, 1, n, out, NULL, NULL, err);
}

static void encode_group(const mc_grid *grid, mc_params p, const float *w, size_t n, uint8_t *code)
{
    mc_grid_encode(grid, p, w, n, code);
    if (grid->offset == MC_OFFSET_FREE) return;
    for (size_t i = 0; i < n; i++) /* as near to one as to the other; the sign of 0 is +1 */
        if (w[i] == 0.0f) code[i] = 1;
}

static mc_status run(const mc_quant_job *job, mc_qmat *out, mc_arena scratch, mc_err *err)
{
    const size_t n = out->group, groups = mc_qmat_groups(out);
    uint32_t *key = NULL;
    if (out->grid.offset == MC_OFFSET_FREE) {
        key = MC_NEW_RAW(&scratch, uint32_t, n);
        if (!key) return mc_no_room(err, "sorting a group");
    }

    for (size_t r = 0; r < out->rows; r++)
        for (size_t g = 0; g < groups; g++) {
            const float *w = mc_row(job->weights, r) + g * n;
            mc_params *params = &out->params[r * groups + g];
            if (fit_group(&out->grid, w, n, key, params, err) != MC_OK)
                return mc_wrap(err, "row %zu, group %zu", job->first_row + r, g);
            encode_group(&out->grid, *params, w, n, out->code + r * out->cols + g * n);
        }
    return MC_OK;
}

const mc_quant_method mc_quant_binary = {
    .name = "binary",
    .summary = "-1, 1 times the best scale, around the best offset if the grid has one",
    .needs = "no data",
    .paper = "Rastegari et al. 2016 (XNOR-Net); with an offset exact two-means",
    .refuses = refuses,
    .scratch = scratch_bytes,
    .run = run,
};
