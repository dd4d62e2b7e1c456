/* Checking graphs and putting their nodes in order.
 *
 * The order is that of a depth-first walk from the nodes as they stand: a node comes right after
 * those it needs, and what is in order already stays as it is. Needs are listed beforehand (a
 * node's inputs and what its subgraphs capture), so the walk is linear and keeps its own stack. */
#include "core/graph.h"

#include "core/graph_walk.h"

/* ---- check ---- */

/* The producer of graph inputs while the check runs. */
#define FROM_CALLER (MC_NONE - 1)

static mc_status at_node(const mc_graph *g, size_t node, mc_err *err)
{
    char text[MC_NODE_TEXT];
    return mc_wrap(err, "%s", mc_node_show(g, (mc_id)node, text));
}

static bool has_source(const mc_value *v)
{
    return v->producer != MC_NONE || v->constant || v->outer != MC_NONE;
}

static mc_status check_values(const mc_graph *g, const mc_graph *outer, mc_err *err)
{
    if (g->nodes >= FROM_CALLER || g->values >= FROM_CALLER)
        return mc_fail(err, MC_E_FORMAT, "the graph is too large");
    for (size_t i = 0; i < g->values; i++) {
        const mc_value *v = &g->value[i];
        if (v->outer != MC_NONE && (!outer || v->outer >= outer->values))
            return mc_fail(err, MC_E_FORMAT, "value '%s' is taken from outside, where it is not",
                           v->name);
        if (v->outer != MC_NONE && v->constant)
            return mc_fail(err, MC_E_FORMAT, "value '%s' has two sources", v->name);
    }
    return MC_OK;
}

static mc_status set_producer(mc_graph *g, mc_id value, mc_id producer, mc_err *err)
{
    if (value >= g->values) return mc_fail(err, MC_E_FORMAT, "it gives no value of this graph");
    mc_value *v = &g->value[value];
    if (has_source(v)) return mc_fail(err, MC_E_FORMAT, "value '%s' has two sources", v->name);
    v->producer = producer;
    return MC_OK;
}

static mc_status set_producers(mc_graph *g, mc_err *err)
{
    for (size_t i = 0; i < g->values; i++) g->value[i].producer = MC_NONE;
    for (size_t i = 0; i < g->inputs; i++) {
        if (set_producer(g, g->input[i], FROM_CALLER, err) != MC_OK)
            return mc_wrap(err, "input %zu", i);
    }
    for (size_t i = 0; i < g->nodes; i++) {
        const mc_node *node = &g->node[i];
        for (size_t k = 0; k < node->outs; k++) {
            if (node->out[k] == MC_NONE) continue;
            if (set_producer(g, node->out[k], (mc_id)i, err) != MC_OK) return at_node(g, i, err);
        }
    }
    return MC_OK;
}

static mc_status check_taken(const mc_graph *g, mc_id value, mc_err *err)
{
    if (value >= g->values) return mc_fail(err, MC_E_FORMAT, "it takes no value of this graph");
    if (!has_source(&g->value[value]))
        return mc_fail(err, MC_E_FORMAT, "nothing gives value '%s'", g->value[value].name);
    return MC_OK;
}

static mc_status check_uses(const mc_graph *g, mc_err *err)
{
    for (size_t i = 0; i < g->nodes; i++) {
        const mc_node *node = &g->node[i];
        for (size_t k = 0; k < node->ins; k++) {
            if (node->in[k] == MC_NONE) continue;
            if (check_taken(g, node->in[k], err) != MC_OK) return at_node(g, i, err);
        }
        mc_body_place place = {0};
        for (const mc_graph *body; (body = mc_node_next_body(node, &place));) {
            for (size_t v = 0; v < body->values; v++) {
                if (body->value[v].outer == MC_NONE) continue;
                if (check_taken(g, body->value[v].outer, err) != MC_OK) return at_node(g, i, err);
            }
        }
    }
    for (size_t i = 0; i < g->outputs; i++) {
        if (check_taken(g, g->output[i], err) != MC_OK) return mc_wrap(err, "output %zu", i);
    }
    return MC_OK;
}

static mc_status check(mc_graph *g, const mc_graph *outer, int depth, mc_err *err)
{
    if (depth > MC_GRAPH_DEPTH)
        return mc_fail(err, MC_E_FORMAT, "graphs inside graphs, deeper than %d",
                       (int)MC_GRAPH_DEPTH);
    if (g->mem && g->mem->at == g->mem->end) return mc_no_room(err, "the graph");
    MC_TRY(check_values(g, outer, err));
    MC_TRY(set_producers(g, err));
    MC_TRY(check_uses(g, err));
    for (size_t i = 0; i < g->values; i++) {
        if (g->value[i].producer == FROM_CALLER) g->value[i].producer = MC_NONE;
    }
    for (size_t i = 0; i < g->nodes; i++) {
        mc_body_place place = {0};
        for (mc_graph *body; (body = mc_node_next_body(&g->node[i], &place));) {
            if (check(body, g, depth + 1, err) != MC_OK) return at_node(g, i, err);
        }
    }
    return MC_OK;
}

mc_status mc_graph_check(mc_graph *g, const char *name, mc_err *err)
{
    if (check(g, g->outer, 0, err) != MC_OK) return mc_wrap(err, "%s", name);
    return MC_OK;
}

/* ---- order ---- */

/* What every node needs, as producers: need[first[i]..first[i + 1]) of node i. */
typedef struct {
    const mc_graph *g;
    size_t *first;
    mc_id *need; /* NULL while they are counted */
} needs;

static size_t add_need(const needs *n, size_t at, mc_id value)
{
    if (value >= n->g->values) return at;
    const mc_id producer = n->g->value[value].producer;
    if (producer >= n->g->nodes) return at;
    if (n->need) n->need[at] = producer;
    return at + 1;
}

static size_t list_needs(const needs *n)
{
    size_t at = 0;
    for (size_t i = 0; i < n->g->nodes; i++) {
        const mc_node *node = &n->g->node[i];
        n->first[i] = at;
        for (size_t k = 0; k < node->ins; k++) at = add_need(n, at, node->in[k]);
        mc_body_place place = {0};
        for (const mc_graph *body; (body = mc_node_next_body(node, &place));) {
            for (size_t v = 0; v < body->values; v++) at = add_need(n, at, body->value[v].outer);
        }
    }
    n->first[n->g->nodes] = at;
    return at;
}

/* A walk in progress. A node is on the path from when it is entered until all it needs is placed:
 * to need a node of the path closes a cycle. */
typedef struct {
    needs n;
    size_t *next; /* of each node: the need to look at next */
    unsigned char *state;
    mc_id *path;
    mc_id *order; /* order[i]: the node that comes i-th */
    size_t placed;
} walk;

enum { UNSEEN, ON_PATH, PLACED };

static void enter(walk *w, size_t *depth, mc_id node)
{
    w->state[node] = ON_PATH;
    w->next[node] = w->n.first[node];
    w->path[(*depth)++] = node;
}

static mc_status place_from(walk *w, mc_id start, mc_err *err)
{
    size_t depth = 0;
    enter(w, &depth, start);
    while (depth > 0) {
        const mc_id node = w->path[depth - 1];
        if (w->next[node] == w->n.first[node + 1]) {
            w->state[node] = PLACED;
            w->order[w->placed++] = node;
            depth--;
            continue;
        }
        const mc_id need = w->n.need[w->next[node]++];
        if (w->state[need] == ON_PATH) {
            (void)mc_fail(err, MC_E_FORMAT, "it needs its own output: the graph has a cycle");
            return at_node(w->n.g, need, err);
        }
        if (w->state[need] == UNSEEN) enter(w, &depth, need);
    }
    return MC_OK;
}

static mc_status find_order(walk *w, mc_arena *scratch, mc_err *err)
{
    const size_t nodes = w->n.g->nodes;
    w->n.first = MC_NEW_RAW(scratch, size_t, nodes + 1);
    if (!w->n.first) return mc_no_room(err, "the order of nodes");
    const size_t count = list_needs(&w->n);
    w->n.need = MC_NEW_RAW(scratch, mc_id, count + 1);
    w->next = MC_NEW_RAW(scratch, size_t, nodes);
    w->path = MC_NEW_RAW(scratch, mc_id, nodes);
    w->order = MC_NEW_RAW(scratch, mc_id, nodes);
    w->state = MC_NEW(scratch, unsigned char, nodes);
    if (!w->n.need || !w->next || !w->path || !w->order || !w->state)
        return mc_no_room(err, "the order of nodes");
    (void)list_needs(&w->n);
    for (size_t i = 0; i < nodes; i++) {
        if (w->state[i] == UNSEEN) MC_TRY(place_from(w, (mc_id)i, err));
    }
    return MC_OK;
}

/* Moves nodes along the cycles of the permutation; order[] is used up. */
static void permute(mc_graph *g, mc_id *order)
{
    for (size_t i = 0; i < g->nodes; i++) {
        if (order[i] == i) continue;
        const mc_node first = g->node[i];
        size_t to = i;
        for (size_t from = order[to]; from != i; from = order[to]) {
            g->node[to] = g->node[from];
            order[to] = (mc_id)to;
            to = from;
        }
        g->node[to] = first;
        order[to] = (mc_id)to;
    }
    for (size_t i = 0; i < g->nodes; i++) {
        const mc_node *node = &g->node[i];
        for (size_t k = 0; k < node->outs; k++) {
            if (node->out[k] < g->values) g->value[node->out[k]].producer = (mc_id)i;
        }
    }
}

static mc_status order_one(mc_graph *g, mc_arena scratch, mc_err *err)
{
    walk w = {.n = {.g = g}};
    MC_TRY(find_order(&w, &scratch, err));
    permute(g, w.order);
    return MC_OK;
}

static mc_status order_all(mc_graph *g, mc_arena scratch, int depth, mc_err *err)
{
    if (depth > MC_GRAPH_DEPTH)
        return mc_fail(err, MC_E_FORMAT, "graphs inside graphs, deeper than %d",
                       (int)MC_GRAPH_DEPTH);
    MC_TRY(order_one(g, scratch, err));
    for (size_t i = 0; i < g->nodes; i++) {
        mc_body_place place = {0};
        for (mc_graph *body; (body = mc_node_next_body(&g->node[i], &place));) {
            if (order_all(body, scratch, depth + 1, err) != MC_OK) return at_node(g, i, err);
        }
    }
    return MC_OK;
}

mc_status mc_graph_order(mc_graph *g, const char *name, mc_arena scratch, mc_err *err)
{
    if (order_all(g, scratch, 0, err) != MC_OK) return mc_wrap(err, "%s", name);
    return MC_OK;
}
