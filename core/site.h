/* Sites: where a weight meets an activation. Conv, ConvTranspose, Gemm, MatMul with a constant,
 * Linear, Gather of an embedding, gates of LSTM and GRU, experts.
 *
 * A weight that reaches its node through Transpose, Identity, Cast or Reshape is still that node's
 * weight, and so is a matrix cut out of a stack of them (experts in one tensor). One weight may
 * have several sites (tied embeddings, shared blocks, stacks). */
#ifndef MC_CORE_SITE_H
#define MC_CORE_SITE_H

#include "core/graph.h"

#include <stdbool.h>
#include <stdint.h>

typedef enum {
    MC_SITE_LINEAR,    /* y = x W^T: MatMul, Gemm, Linear */
    MC_SITE_CONV,
    MC_SITE_CONV_TRANSPOSE,
    MC_SITE_EMBEDDING, /* rows of a table by index */
    MC_SITE_RECURRENT, /* LSTM, GRU: W and R */
} mc_site_kind;

typedef struct {
    mc_id node;
    mc_site_kind kind;
    const char *name;        /* of the node, or of its output when it has none */
    unsigned weight_input;   /* of the node */
    unsigned activation_input;
    const mc_tensor *weight; /* the source's tensor */
    bool transposed;         /* the tensor is [in, out]: its matrix is the transpose */
    bool through;            /* the node sees the weight through other nodes, */
    bool scaled;             /* of which one multiplies its outputs by constants (a folded
                                BatchNormalization) */
    bool part;               /* and only a part of it: the tensor is a stack of matrices */
    bool router;             /* chooses experts */
    bool last;               /* its output reaches the graph's outputs through no other site */
} mc_site;

typedef struct {
    mc_site *site; /* in the order of the nodes */
    size_t sites;
} mc_sites;

/* Of a source or an execution graph, subgraphs left out. `mem` holds the result. */
mc_status mc_sites_find(const mc_graph *graph, mc_arena *mem, mc_sites *out, mc_err *err);

/* The first site of a tensor, by its name; NULL: it meets no activation. */
const mc_site *mc_sites_of(const mc_sites *sites, const char *tensor_name);

#endif
