/* Round to nearest over a searched range: the scale, and on asymmetric grids the offset with it,
 * that leave the least sum of |w - v|^norm in each group.
 *
 * Shrinking the range clips the few largest weights and spends the codes on the many others.
 * GPTQ's quantizer tries 80 shrink factors at norm 2.4; here the search is the grid's own, over
 * scales as they are stored, and squared error is the default. The range that rtn takes is among
 * the candidates: never worse than rtn in its own norm. */
#include "quant/quant.h"
#include "quant/rows.h"

#include <math.h>

enum { NORM };

static mc_status run(const mc_quant_job *job, mc_qmat *out, mc_arena scratch, mc_err *err)
{
    (void)scratch;
    const mc_fit fit = {.kind = MC_FIT_SEARCH, .norm = (float)job->setup->param[NORM]};
    return fit_and_encode_rows(job, fit, NULL, out, err);
}

const mc_quant_method mc_quant_mse = {
    .name = "mse",
    .summary = "round to nearest over the range that leaves the least error",
    .needs = "no data",
    .cost = "some passes over the weights: 100 million weights in seconds",
    .paper = "Frantar et al. 2022 (GPTQ), its quantizer's search over shrink factors",
    .params =
        {
            [NORM] = {.key = "norm",
                      .summary = "exponent of the error that is minimised",
                      .least = 0.5,
                      .most = 8.0,
                      .usual = 2.0},
        },
    .usual_from = 2.0,
    .usual_below = HUGE_VAL,
    .refuses = refuses_no_grid,
    .scratch = needs_no_scratch,
    .run = run,
};
