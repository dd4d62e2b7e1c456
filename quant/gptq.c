/* GPTQ: nearest codes column by column, the error of each made good by those that follow, in the
 * measure of the second moment of the inputs (Frantar et al. 2022, algorithm 1). How: core/sweep.h
 * and gptq_shared.c, with all deviations. */
#include "quant/gptq_shared.h"
#include "quant/rows.h"

const mc_quant_method mc_quant_gptq = {
    .name = "gptq",
    .summary = "codes chosen column by column, errors made good by the columns that follow",
    .needs = "the second moment of its inputs (calibration data)",
    .cost = "one forward pass with n^2 per token and input group, n^3 per group, m n^2 per matrix",
    .paper = "Frantar et al. 2022 (GPTQ), in double precision, groups in their own order",
    .params = {MC_GPTQ_COMMON_PARAMS(0)},
    .refuses = refuses_no_grid,
    .wants = MC_QUANT_GRAM,
    .prepare_bytes = mc_gptq_prepare_bytes,
    .prepare = mc_gptq_prepare,
    .scratch = mc_gptq_scratch,
    .run = mc_gptq_run,
};
