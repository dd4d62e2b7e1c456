/* GPTAQ: GPTQ for a layer whose inputs y of the float model have become x, since the layers before
 * it are quantized already: it looks for the least |W y - V x|^2 (Li et al. 2025).
 *
 * The paper lets each column's share of W (y - x) be made good by the later columns alone, by a
 * quarter (published=1 with alpha=0.25 in its code). But the least over all V without codes is
 *     T = W + W C (H + damping)^-1,   C = sum of (y - x) x^T,
 * so that |W y - V x|^2 = (V - T) H (V - T)^T and what no V changes, up to the damping: to sweep T
 * is exact and costs no second n x n matrix, and all of it (alpha=1) gains where all moments come
 * from enough rows. What the outputs should give besides (job->gain) joins W C.
 *
 * Without a cross moment it is gptq. */
#include "quant/gptq_shared.h"
#include "quant/rows.h"

const mc_quant_method mc_quant_gptaq = {
    .name = "gptaq",
    .summary = "gptq that also makes good what the layers before have changed",
    .needs = "the second moment of its inputs (calibration data)",
    .cost = "as gptq, two forward passes side by side, three times the n^2 per token",
    .paper = "Li et al. 2025 (GPTAQ); without published=1 the whole least-squares target",
    .params =
        {
            MC_GPTQ_COMMON_PARAMS(3),
            [MC_GPTQ_ALPHA] = {"alpha", "share of the earlier layers' error that is made good", 0.0,
                               1.0, 1.0, false},
            [MC_GPTQ_PUBLISHED] = {"published", "1: only by later columns, as in the paper", 0, 1,
                                   0, true},
        },
    .refuses = refuses_no_grid,
    .wants = MC_QUANT_GRAM | MC_QUANT_CROSS,
    .prepare_bytes = mc_gptq_prepare_bytes,
    .prepare = mc_gptq_prepare,
    .scratch = mc_gptq_scratch,
    .run = mc_gptq_run,
};
