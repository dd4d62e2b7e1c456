/* Round to nearest: each weight takes the nearest of the values that span its group's range.
 *
 * The range is that of section "fitting" of core/grid.h, with no search. It needs no data and no
 * parameters, so it is the baseline that every other method has to beat. */
#include "quant/quant.h"
#include "quant/rows.h"

static mc_status run(const mc_quant_job *job, mc_qmat *out, mc_arena scratch, mc_err *err)
{
    (void)scratch;
    return fit_and_encode_rows(job, (mc_fit){.kind = MC_FIT_RANGE}, NULL, out, err);
}

const mc_quant_method mc_quant_rtn = {
    .name = "rtn",
    .summary = "round to nearest over the range of each group",
    .needs = "no data",
    .cost = "one pass over the weights",
    .paper = "uniform quantization; no search",
    .refuses = refuses_no_grid,
    .scratch = needs_no_scratch,
    .run = run,
};
