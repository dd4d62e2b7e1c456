/* Constant nodes become constants; nodes that hand their input on go. In subgraphs too. */
#include "core/pass_match.h"

#include "core/graph_walk.h"

#include <string.h>

static mc_id from_floats(mc_graph *g, const mc_attr *a, int ndim)
{
    const int64_t dim = (int64_t)a->count;
    return mc_graph_const_f32(g, "", ndim, &dim, a->f);
}

static mc_id from_ints(mc_graph *g, const mc_attr *a, int ndim)
{
    const int64_t dim = (int64_t)a->count;
    return mc_graph_const_i64(g, "", ndim, &dim, a->i);
}

/* A constant of the node's value, MC_NONE for kinds that stay nodes (texts, sparse tensors). */
static mc_id constant_of(mc_graph *g, mc_id node)
{
    const mc_node n = g->node[node];
    if (n.attrs != 1) return MC_NONE;
    const mc_attr *a = &n.attr[0];
    if (strcmp(a->name, "value") == 0 && a->kind == MC_ATTR_TENSOR && a->t && a->t->data)
        return mc_graph_add_constant(g, a->t);
    if (strcmp(a->name, "value_float") == 0 && a->f) return from_floats(g, a, 0);
    if (strcmp(a->name, "value_floats") == 0 && a->f) return from_floats(g, a, 1);
    if (strcmp(a->name, "value_int") == 0 && a->i) return from_ints(g, a, 0);
    if (strcmp(a->name, "value_ints") == 0 && a->i) return from_ints(g, a, 1);
    return MC_NONE;
}

/* The value becomes what the constant is: it keeps its name, and the graph its outputs. */
static void take_constant(mc_graph *g, mc_id node, mc_id constant)
{
    mc_value *v = &g->value[g->node[node].out[0]];
    const mc_value *c = &g->value[constant];
    v->constant = c->constant;
    v->dtype = c->dtype;
    v->ndim = c->ndim;
    memcpy(v->dim, c->dim, sizeof v->dim);
    v->producer = MC_NONE;
    mc_match_remove(g, node);
}

static bool hands_on(const mc_graph *g, const mc_node *n)
{
    (void)g;
    if (mc_node_is(n, "", "Identity")) return true;
    if (n->version < 7 && mc_node_int(n, "is_test", 0) == 0) return false; /* it drops */
    const bool mask = n->outs > 1 && n->out[1] != MC_NONE;
    return mc_node_is(n, "", "Dropout") && !mask && mc_in(n, 2) == MC_NONE;
}

static mc_status fold(mc_graph *g, mc_arena scratch, int depth, mc_err *err)
{
    if (depth > MC_GRAPH_DEPTH) return MC_OK;
    for (mc_id n = 0; n < g->nodes; n++) {
        if (mc_node_is(&g->node[n], "", "Constant") && g->node[n].outs == 1) {
            const mc_id constant = constant_of(g, n);
            if (constant != MC_NONE) take_constant(g, n, constant);
        }
        mc_body_place place = {0};
        mc_graph *body;
        while ((body = mc_node_next_body(&g->node[n], &place)))
            MC_TRY(fold(body, scratch, depth + 1, err));
    }
    return mc_match_bypass(g, scratch, hands_on, err);
}

mc_status mc_pass_constants(mc_graph *g, mc_arena scratch, mc_err *err)
{
    return fold(g, scratch, 0, err);
}
