/* Nodes that no output of the graph needs go, and those that other passes emptied. */
#include "core/passes.h"

#include "core/graph_walk.h"

/* Is a value needed? Backwards over ordered nodes, each marks what it takes. */
static void mark(const mc_graph *g, bool *needed, bool *live)
{
    for (size_t i = 0; i < g->outputs; i++) needed[g->output[i]] = true;
    for (size_t n = g->nodes; n-- > 0;) {
        const mc_node *node = &g->node[n];
        for (size_t i = 0; i < node->outs; i++)
            if (node->out[i] != MC_NONE && needed[node->out[i]]) live[n] = true;
        if (!live[n]) continue;
        for (size_t i = 0; i < node->ins; i++)
            if (node->in[i] != MC_NONE) needed[node->in[i]] = true;
        mc_body_place place = {0};
        const mc_graph *body;
        while ((body = mc_node_next_body(node, &place)))
            for (size_t i = 0; i < body->values; i++)
                if (body->value[i].outer != MC_NONE) needed[body->value[i].outer] = true;
    }
}

mc_status mc_pass_dead(mc_graph *g, mc_arena scratch, mc_err *err)
{
    bool *needed = MC_NEW(&scratch, bool, g->values + 1);
    bool *live = MC_NEW(&scratch, bool, g->nodes + 1);
    if (!needed || !live) return mc_no_room(err, "the needed values");
    mark(g, needed, live);
    size_t kept = 0;
    for (size_t n = 0; n < g->nodes; n++) {
        const mc_node node = g->node[n];
        for (size_t i = 0; i < node.outs; i++)
            if (node.out[i] != MC_NONE)
                g->value[node.out[i]].producer = live[n] ? (mc_id)kept : MC_NONE;
        if (live[n]) g->node[kept++] = node;
    }
    g->nodes = kept;
    return MC_OK;
}
