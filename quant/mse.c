/* Round to nearest over a searched range: the scale, and on asymmetric grids the offset with it,
 * that leave the least sum of |w - v|^norm in each group.
 *
 * Shrinking the range clips the few largest weights and spends the codes on the many others.
 * GPTQ's quantizer tries 80 shrink factors at norm 2.4; here the search is the grid's own, over
 * scales as they are stored, and squared error is the default. The range that rtn takes is among
 * the candidates: never worse than rtn in its own norm. */
#include "quant/quant.h"
#include "quant/rows.h"

enum { NORM };

static const char *refuses(const mc_grid *grid)
{
    (void)grid;
    return NULL;
}

static size_t scratch_bytes(const mc_grid *grid, size_t rows, size_t cols, size_t group)
{
    (void)grid, (void)rows, (void)cols, (void)group;
    return 0;
}

static mc_status run(const mc_quant_job *job, mc_qmat *out, mc_arena scratch, mc_err *err)
{
    (void)scratch;
    const mc_fit fit = {.kind = MC_FIT_SEARCH, .norm = (float)job->setup->param[NORM]};
    return fit_and_encode_rows(job, fit, out, err);
}

const mc_quant_method mc_quant_mse = {
    .name = "mse",
    .summary = "round to nearest over the range that leaves the least error",
    .needs = "no data",
    .paper = "Frantar et al. 2022 (GPTQ), its quantizer's search over shrink factors",
    .params =
        {
            [NORM] = {.key = "norm",
                      .summary = "exponent of the error that is minimised",
                      .least = 0.5,
                      .most = 8.0,
                      .usual = 2.0},
        },
    .refuses = refuses,
    .scratch = scratch_bytes,
    .run = run,
};
