/* Multiplications of a run, from shapes alone. */
#include "core/ckd.h"
#include "verify/verify_data.h"

/* Outputs times the inputs that each sums over. */
static uint64_t product(const mc_nd *out, uint64_t each)
{
    uint64_t n;
    if (!mc_nd_shape_known(out) || !mc_mul_u64(out->count, each, &n)) return UINT64_MAX;
    return n;
}

static uint64_t last_dim(const mc_nd *t)
{
    return t->ndim > 0 && t->dim[t->ndim - 1] > 0 ? (uint64_t)t->dim[t->ndim - 1] : 0;
}

/* A window of a convolution: all of the weight but its outputs. */
static uint64_t window_of(const mc_nd *weight)
{
    return weight->ndim > 1 ? mc_nd_span(weight, 1, weight->ndim) : 0;
}

static uint64_t attention(const mc_nd *q, const mc_nd *k, const mc_nd *v)
{
    /* q k^T and p v, each once for every query and key; heads share the width in three axes. */
    if (q->ndim < 3 || k->ndim != q->ndim || v->ndim != q->ndim) return UINT64_MAX;
    const uint64_t keys = (uint64_t)k->dim[k->ndim - 2];
    const uint64_t first = product(q, keys);
    return first == UINT64_MAX ? first : 2 * first;
}

static uint64_t of_node(const mc_node *n, const mc_nd *shape)
{
    static const mc_nd none = {.ndim = MC_RANK_UNKNOWN};
    const mc_nd *in[3], *out = n->outs && n->out[0] != MC_NONE ? &shape[n->out[0]] : &none;
    for (size_t i = 0; i < 3; i++)
        in[i] = i < n->ins && n->in[i] != MC_NONE ? &shape[n->in[i]] : &none;
    if (mc_node_is(n, "", "Conv")) return product(out, window_of(in[1]));
    if (mc_node_is(n, "", "ConvTranspose")) return product(in[0], window_of(in[1]));
    if (mc_node_is(n, "", "MatMul") || mc_node_is(n, MC_DOMAIN, "Linear"))
        return product(out, last_dim(in[0]));
    if (mc_node_is(n, "", "Gemm")) {
        const int k = mc_node_int(n, "transA", 0) ? 0 : 1;
        return product(out, in[0]->ndim == 2 && in[0]->dim[k] > 0 ? (uint64_t)in[0]->dim[k] : 0);
    }
    if (mc_node_is(n, "", "Attention") || mc_node_is(n, MC_DOMAIN, "Attention"))
        return attention(in[0], in[1], in[2]);
    if (mc_node_is(n, "", "LSTM") || mc_node_is(n, "", "GRU") || mc_node_is(n, "", "RNN")) {
        const uint64_t steps = in[0]->ndim == 3 && in[0]->dim[0] > 0 && in[0]->dim[1] > 0
                                   ? (uint64_t)(in[0]->dim[0] * in[0]->dim[1])
                                   : 0;
        const uint64_t w = product(in[1], steps), r = product(in[2], steps);
        return w == UINT64_MAX || r == UINT64_MAX ? UINT64_MAX : w + r;
    }
    return 0;
}

uint64_t mc_graph_macs(const mc_graph *graph, const mc_nd *shape)
{
    uint64_t all = 0;
    for (size_t i = 0; i < graph->nodes; i++) {
        const uint64_t n = of_node(&graph->node[i], shape);
        if (n == UINT64_MAX || !mc_add_u64(all, n, &all)) return UINT64_MAX;
    }
    return all;
}
