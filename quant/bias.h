/* Bias correction: rounding weights shifts the mean of a layer's outputs, and a bias can undo that
 * (Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias Correction",
 * section 4.2). With x the input that a site gets and y the float model's,
 *
 *     shift = E[W y] - E[V x]      is to be added to its outputs.
 *
 * Empirically from sums over inputs, or without data where the input is ReLU of something normal.
 * What is in the graph to take the shift is found by mc_bias_find. */
#ifndef MC_QUANT_BIAS_H
#define MC_QUANT_BIAS_H

#include "calib/stats.h"
#include "core/arena.h"
#include "core/site.h"

/* out[rows]: the shift of each output. w (the float weights) and v (what they have become) are
 * rows x n; moments with sum, and shift where there are two streams. With several groups all
 * outputs must be given, since output o belongs to group o / (rows / groups). Without any input
 * there is no shift. */
void mc_bias_shift(const mc_moments *moments, const float *w, const float *v, size_t rows,
                   double *out);

/* Analytically: mean[n], n = channels * positions, of ReLU of normal numbers with mean beta[c] and
 * deviation |gamma[c]| (those of the BatchNormalization in front), the same for each kernel
 * position of a channel: gamma phi(beta / gamma) + beta Phi(beta / gamma). (section 4.2.1, eq. 19)
 *
 * As moments of one row, {.n = n, .groups = 1, .rows = 1, .sum = mean}, it serves mc_bias_shift. */
typedef struct {
    const float *beta, *gamma; /* channels */
    size_t channels, positions;
} mc_bias_relu;
void mc_bias_relu_mean(const mc_bias_relu *in, double *mean);

/* A tensor that is added to the outputs of a site, and to nothing else: adding factor[o] * shift to
 * its o-th number along `axis` adds the shift. Its other dimensions are 1. */
typedef struct {
    const mc_tensor *tensor;
    int axis;
    size_t outputs;
    const double *factor; /* outputs */
} mc_bias_slot;

/* In a source graph or an execution graph: the node's own bias, an Add of a constant directly
 * behind, a BatchNormalization directly behind, or one that the passes have folded into the node.
 * Nothing of the kind is MC_E_UNSUPPORTED, naming the node and the reason. `mem` holds factor. */
mc_status mc_bias_find(const mc_graph *graph, const mc_site *site, mc_arena *mem, mc_bias_slot *out,
                       mc_err *err);

#endif
