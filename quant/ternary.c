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
    return group * sizeof(uint32_t) + 64; /* and what aligning takes */
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

/* Sum of (w - v)^2 with the nearest codes. */
static double squared_error(const mc_grid *grid, mc_params p, const float *w, size_t n)
{
    enum { CHUNK = 256 };
    uint8_t code[CHUNK];
    float value[CHUNK];
    double sum = 0.0;
    for (size_t i = 0; i < n; i += CHUNK) {
        const size_t m = n - i < CHUNK ? n - i : CHUNK;
        mc_grid_encode(grid, p, w + i, m, code);
        mc_grid_decode(grid, p, code, m, value);
        for (size_t j = 0; j < m; j++) {
            const double off = (double)w[i + j] - (double)value[j];
            sum += off * off;
        }
    }
    return sum;
}

static mc_status fit_group(const mc_grid *grid, const float *w, size_t n, uint32_t *key,
                           mc_params *out, mc_err *err)
{
    const float wanted = best_scale(w, n, key);
    if (wanted == 0.0f) /* any scale will do: the grid's choice for zeros */
        return mc_grid_fit(grid, (mc_fit){.kind = MC_FIT_RANGE}, w, NULL, 1, n, out, NULL, NULL,
                           err);

    *out = (mc_params){0};
    MC_TRY(mc_grid_store_scale(grid, wanted, &out->scale, err));
    if (mc_dtype_about(grid->scale_dtype)->bits > 8) return MC_OK;

    mc_params searched;
    const mc_fit search = {.kind = MC_FIT_SEARCH, .norm = 2.0f};
    MC_TRY(mc_grid_fit(grid, search, w, NULL, 1, n, &searched, NULL, NULL, err));
    if (squared_error(grid, searched, w, n) < squared_error(grid, *out, w, n)) *out = searched;
    return MC_OK;
}

static mc_status run(const mc_quant_job *job, mc_qmat *out, mc_arena scratch, mc_err *err)
{
    const size_t n = out->group, groups = mc_qmat_groups(out);
    uint32_t *key = MC_NEW_RAW(&scratch, uint32_t, n);
    if (!key) return mc_no_room(err, "sorting a group");

    for (size_t r = 0; r < out->rows; r++)
        for (size_t g = 0; g < groups; g++) {
            const float *w = mc_row(job->weights, r) + g * n;
            mc_params *params = &out->params[r * groups + g];
            if (fit_group(&out->grid, w, n, key, params, err) != MC_OK)
                return mc_wrap(err, "row %zu, group %zu", job->first_row + r, g);
            mc_grid_encode(&out->grid, *params, w, n, out->code + r * out->cols + g * n);
        }
    return MC_OK;
}

const mc_quant_method mc_quant_ternary = {
    .name = "ternary",
    .summary = "-1, 0, 1 times the exactly best scale",
    .needs = "no data",
    .paper = "Li et al. 2016 (ternary weight networks), its optimum found exactly",
    .refuses = refuses,
    .scratch = scratch_bytes,
    .run = run,
};
