/* What rtn and mse share: fit the groups of a row, then take the nearest codes. */
#ifndef MC_QUANT_ROWS_H
#define MC_QUANT_ROWS_H

#include "quant/quant.h"

static inline mc_status fit_and_encode_rows(const mc_quant_job *job, mc_fit fit, mc_qmat *out,
                                            mc_err *err)
{
    const size_t groups = mc_qmat_groups(out), supers = mc_qmat_supers(out);
    for (size_t r = 0; r < out->rows; r++) {
        const float *w = mc_row(job->weights, r);
        mc_params *params = out->params + r * groups;
        mc_sub *sub = out->sub ? out->sub + r * groups : NULL;
        mc_super *super = out->super ? out->super + r * supers : NULL;
        if (mc_grid_fit(&out->grid, fit, w, NULL, groups, out->group, params, sub, super, err) !=
            MC_OK)
            return mc_wrap(err, "row %zu", job->first_row + r);
        mc_grid_encode_row(&out->grid, params, w, groups, out->group, out->code + r * out->cols);
    }
    return MC_OK;
}

#endif
