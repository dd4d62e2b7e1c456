/* Passes: from the source graph to the graph that is run. Each is a function from graph to graph
 * that keeps the function computed (up to f32 rounding) and the names of inputs, outputs and
 * weights. `origin` of a node that takes the place of others is the source node whose output it
 * gives, or that multiplies by the weight, where there is one (so that sites keep their node and
 * its name); nodes in between have none. None computes with weights: what depends on constants
 * alone (a folded BatchNorm's weight) becomes nodes that the executor computes once.
 *
 * To add a pass, write core/pass_<name>.c with mc_pass_<name>, and add a line to the list: they run
 * in this order. */
#ifndef MC_CORE_PASSES_H
#define MC_CORE_PASSES_H

#include "core/graph.h"

/* X(name, what it does) */
#define MC_PASSES(X)                                                                       \
    X(functions, "calls of the model's own functions become their bodies")                 \
    X(constants, "Constant nodes become constants; Identity and inference Dropout go")     \
    X(types, "dtypes and shapes that follow are noted; Casts that change nothing go")      \
    X(linear, "MatMul by a transposed constant, Gemm, MatMul + bias become Linear")        \
    X(layernorm, "decomposed LayerNormalization and RMSNormalization become one node")     \
    X(activations, "decomposed Gelu, SiLU, HardSwish become one node")                     \
    X(attention, "MatMul, scale, mask, Softmax, MatMul become Attention")                  \
    X(batchnorm, "BatchNormalization behind Conv, ConvTranspose or Gemm goes into weights") \
    X(dead, "nodes that no output needs go")                                               \
    /* end */

typedef struct {
    const char *name, *summary;
    mc_status (*run)(mc_graph *graph, mc_arena scratch, mc_err *err); /* in place */
} mc_pass;

const mc_pass *mc_pass_at(size_t i); /* NULL past the end */

/* A copy of `source` that went through all passes, except those named in `skip` (NULL-terminated,
 * may be NULL). Ordered and checked. */
mc_status mc_graph_prepare(const mc_graph *source, const char *const *skip, mc_arena *mem,
                           mc_graph **out, mc_err *err);

/* What the arena of mc_graph_prepare must hold at most. */
size_t mc_graph_prepare_memory(const mc_graph *source);

#define X(name, summary) mc_status mc_pass_##name(mc_graph *graph, mc_arena scratch, mc_err *err);
MC_PASSES(X)
#undef X

#endif
