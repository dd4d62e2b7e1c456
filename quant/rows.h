/* Loops that several methods share: over rows whose groups are fitted together, and over groups
 * that are fitted one by one. */
#ifndef MC_QUANT_ROWS_H
#define MC_QUANT_ROWS_H

#include "quant/quant.h"

/* ---- of methods that let the grid fit ---- */

static inline const char *refuses_no_grid(const mc_grid *grid)
{
    (void)grid;
    return NULL;
}

static inline size_t needs_no_scratch(const mc_grid *grid, size_t rows, size_t cols, size_t group)
{
    (void)grid, (void)rows, (void)cols, (void)group;
    return 0;
}

/* A weight that others' errors were added to, before it could leave what grids span. */
static inline float within_reach(double x)
{
    static const double most = 0x1p124;
    return (float)(x < -most ? -most : x > most ? most : x);
}

/* What a column's error counts: the mean square of its input over that of all columns, at least a
 * millionth. Without any input all columns count the same. */
static inline void importance_of(const double *square, size_t n, float *importance)
{
    double sum = 0.0;
    for (size_t i = 0; i < n; i++) sum += square[i];
    for (size_t i = 0; i < n; i++) {
        const double share = sum > 0.0 ? square[i] / sum * (double)n : 1.0;
        importance[i] = (float)(share > 1e-6 ? share : 1e-6);
    }
}

/* Fits the groups of a row, then takes the nearest codes. `importance`: of the columns, or NULL. */
static inline mc_status fit_and_encode_rows(const mc_quant_job *job, mc_fit fit,
                                            const float *importance, mc_qmat *out, mc_err *err)
{
    const size_t groups = mc_qmat_groups(out), supers = mc_qmat_supers(out);
    for (size_t r = 0; r < out->rows; r++) {
        const float *w = mc_row(job->weights, r);
        mc_params *params = out->params + r * groups;
        mc_sub *sub = out->sub ? out->sub + r * groups : NULL;
        mc_super *super = out->super ? out->super + r * supers : NULL;
        if (mc_grid_fit(&out->grid, fit, w, importance, groups, out->group, params, sub, super,
                        err) != MC_OK)
            return mc_wrap(err, "row %zu", job->first_row + r);
        mc_grid_encode_row(&out->grid, params, w, groups, out->group, out->code + r * out->cols);
    }
    return MC_OK;
}

/* ---- of methods that fit each group alone ---- */

/* A group, and room for the keys of its weights (radix.h; NULL for methods that sort none). */
typedef struct {
    const mc_grid *grid;
    const float *w;
    size_t n;
    uint32_t *key;
} one_group;

/* Sets the group's numbers and its codes. */
typedef mc_status (*choose_fn)(const one_group *group, mc_params *out, uint8_t *code, mc_err *err);

static inline size_t key_bytes(size_t group)
{
    return group * sizeof(uint32_t) + 64; /* and what aligning takes */
}

static inline mc_status choose_groups(const mc_quant_job *job, mc_qmat *out, uint32_t *key,
                                      choose_fn choose, mc_err *err)
{
    const size_t n = out->group, groups = mc_qmat_groups(out);
    for (size_t r = 0; r < out->rows; r++)
        for (size_t g = 0; g < groups; g++) {
            const one_group group = {&out->grid, mc_row(job->weights, r) + g * n, n, key};
            uint8_t *code = out->code + r * out->cols + g * n;
            if (choose(&group, &out->params[r * groups + g], code, err) != MC_OK)
                return mc_wrap(err, "row %zu, group %zu", job->first_row + r, g);
        }
    return MC_OK;
}

#endif
