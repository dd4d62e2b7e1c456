/* Both streams have an expert's rows in the order of tokens, so that one pass over the gates finds
 * the pairs. */
#include "calib/expert_pairs.h"

#include <string.h>

mc_id mc_expert_rows_node(const mc_stages *stages, mc_id value)
{
    const mc_graph *g = stages->graph;
    /* Inside an expert all ways back lead to its rows. */
    for (mc_id next; value != MC_NONE; value = next) {
        const mc_id producer = g->value[value].producer;
        next = MC_NONE;
        if (producer == MC_NONE) return MC_NONE;
        const mc_node *node = &g->node[producer];
        if (mc_node_is(node, MC_DOMAIN, "ExpertRows")) return producer;
        if (mc_node_is(node, MC_DOMAIN, "ExpertMerge")) return MC_NONE;
        for (size_t i = 0; i < node->ins && next == MC_NONE; i++)
            if (node->in[i] != MC_NONE && !stages->constant[node->in[i]]) next = node->in[i];
    }
    return MC_NONE;
}

/* Elements of a row; 0: none that could be told apart. */
static size_t width_of(const mc_nd *x, size_t rows)
{
    return rows > 0 && x->count % rows == 0 ? x->count / rows : 0;
}

/* Does the expert work on this token? */
static bool goes(const mc_nd *gates, size_t token, size_t expert)
{
    return mc_nd_real(gates, token * (size_t)gates->dim[1] + expert) != 0.0;
}

static size_t count_rows(const mc_nd *gates, size_t expert)
{
    size_t rows = 0;
    for (size_t t = 0; t < (size_t)gates->dim[0]; t++) rows += goes(gates, t, expert);
    return rows;
}

mc_status mc_expert_pair_rows(const mc_expert_pair *pair, mc_nd *out, mc_err *err)
{
    const mc_nd *a = pair->x_gates, *b = pair->y_gates;
    const int64_t expert = mc_node_int(pair->node, "expert", 0);
    if (a->ndim != 2 || !mc_nd_same_shape(a, b) || expert < 0 || expert >= a->dim[1])
        return mc_fail(err, MC_E_FORMAT, "gates of two streams that do not belong together");
    const size_t e = (size_t)expert;
    const size_t x_rows = count_rows(a, e), y_rows = count_rows(b, e);
    if (x_rows == 0 || y_rows == 0) return MC_OK;
    const size_t width = width_of(out, x_rows), bytes = width * mc_nd_width(out->dtype);
    if (width == 0 || width_of(pair->y, y_rows) != width || pair->y->dtype != out->dtype)
        return mc_fail(err, MC_E_FORMAT, "rows of expert %zu that do not belong together", e);
    unsigned char *to = out->data;
    const unsigned char *from = pair->y->data;
    for (size_t t = 0; t < (size_t)a->dim[0]; t++) {
        const bool here = goes(a, t, e), there = goes(b, t, e);
        if (here && there) memcpy(to, from, bytes);
        if (here) to += bytes;
        if (there) from += bytes;
    }
    return MC_OK;
}
