/* What follows about values of the graph is noted at them, for the passes behind this one; Casts to
 * the dtype that is there already go. */
#include "core/pass_match.h"

#include "core/exec.h"

#include <string.h>

/* What operators make counts more than what the file says of it. */
static void note(mc_value *v, const mc_nd *t)
{
    if (v->producer == MC_NONE || t->kind != MC_ND_TENSOR) return;
    if (t->dtype != MC_DTYPE_NONE) v->dtype = t->dtype;
    if (t->ndim < 0) return;
    v->ndim = t->ndim;
    memcpy(v->dim, t->dim, sizeof v->dim);
}

static bool casts_to_itself(const mc_graph *g, const mc_node *n)
{
    const mc_dtype from = g->value[n->in[0]].dtype, to = g->value[n->out[0]].dtype;
    return mc_node_is(n, "", "Cast") && from != MC_DTYPE_NONE && from == to;
}

mc_status mc_pass_types(mc_graph *g, mc_arena scratch, mc_err *err)
{
    mc_arena mem = scratch;
    mc_nd *type = MC_NEW(&mem, mc_nd, g->values + 1);
    if (!type) return mc_no_room(err, "the types of values");
    for (size_t v = 0; v < g->values; v++) type[v].ndim = MC_RANK_UNKNOWN;

    /* Who runs the graph is told of a node that refuses its inputs; until there it is known. */
    mc_err refused = {0};
    (void)mc_graph_infer(g, NULL, type, &mem, &refused);
    for (size_t v = 0; v < g->values; v++) note(&g->value[v], &type[v]);
    return mc_match_bypass(g, scratch, casts_to_itself, err);
}
