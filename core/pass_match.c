/* Matching and replacing: see pass_match.h. */
#include "core/pass_match.h"

#include "core/graph_walk.h"
#include "core/nd.h"

#include <math.h>
#include <string.h>

mc_status mc_match_open(mc_graph *g, mc_arena *scratch, mc_match *out, mc_err *err)
{
    *out = (mc_match){.g = g, .values = g->values};
    out->uses = MC_NEW(scratch, uint32_t, g->values + 1);
    if (!out->uses) return mc_no_room(err, "the uses of values");
    mc_graph_uses(g, out->uses, NULL);
    return MC_OK;
}

const mc_node *mc_made_by(const mc_match *m, mc_id value, const char *op)
{
    if (value >= m->g->values) return NULL;
    const mc_id producer = m->g->value[value].producer;
    if (producer >= m->g->nodes) return NULL;
    const mc_node *n = &m->g->node[producer];
    const bool is = mc_node_is(n, "", op) && !mc_match_is_legacy(n);
    return is && n->outs > 0 && n->out[0] == value ? n : NULL;
}

const mc_node *mc_made_only_for(const mc_match *m, mc_id value, const char *op)
{
    if (value >= m->values || m->uses[value] != 1) return NULL;
    return mc_made_by(m, value, op);
}

const mc_tensor *mc_match_constant(const mc_match *m, mc_id value)
{
    return value < m->g->values ? m->g->value[value].constant : NULL;
}

bool mc_match_scalar(const mc_match *m, mc_id value, double *out)
{
    const mc_tensor *t = mc_match_constant(m, value);
    mc_err ignored;
    double room;
    if (!t || t->count != 1 || mc_nd_width(t->dtype) == 0 || mc_nd_width(t->dtype) > sizeof room)
        return false;
    if (mc_nd_decode(t->dtype, t->data, 0, 1, &room, &ignored) != MC_OK) return false;
    const mc_nd one = {.dtype = t->dtype, .count = 1, .data = &room};
    *out = mc_nd_real(&one, 0);
    return true;
}

bool mc_match_near(double found, double wanted)
{
    return fabs(found - wanted) <= 1e-6 * fabs(wanted);
}

bool mc_match_is_scalar(const mc_match *m, mc_id value, double wanted)
{
    double found;
    return mc_match_scalar(m, value, &found) && mc_match_near(found, wanted);
}

/* ---- types ---- */

bool mc_match_is_f32(const mc_match *m, mc_id value)
{
    return value < m->g->values && m->g->value[value].dtype == MC_F32;
}

int mc_match_rank(const mc_match *m, mc_id value)
{
    return value < m->g->values ? m->g->value[value].ndim : MC_RANK_UNKNOWN;
}

int64_t mc_match_dim(const mc_match *m, mc_id value, int axis)
{
    const int rank = mc_match_rank(m, value), at = axis < 0 ? axis + rank : axis;
    return at < 0 || at >= rank ? -1 : m->g->value[value].dim[at];
}

bool mc_match_alike(const mc_match *m, mc_id a, mc_id b)
{
    return mc_match_is_f32(m, a) && mc_match_is_f32(m, b) && mc_match_rank(m, a) >= 0 &&
           mc_match_rank(m, a) == mc_match_rank(m, b);
}

mc_id mc_match_other(const mc_node *node, mc_id value)
{
    if (node->ins != 2) return MC_NONE;
    return node->in[0] == value ? node->in[1] : node->in[1] == value ? node->in[0] : MC_NONE;
}

bool mc_match_is_legacy(const mc_node *node)
{
    return node->version < 7 && mc_node_int(node, "broadcast", 0) != 0;
}

bool mc_match_split(const mc_match *m, const mc_node *node, mc_id *variable, mc_id *constant)
{
    if (node->ins != 2 || mc_match_is_legacy(node)) return false;
    const bool first = mc_match_constant(m, node->in[0]) != NULL;
    *constant = node->in[first ? 0 : 1];
    *variable = node->in[first ? 1 : 0];
    return mc_match_constant(m, *constant) != NULL;
}

/* ---- changing ---- */

void mc_match_remove(mc_graph *g, mc_id i)
{
    g->node[i].ins = 0;
    g->node[i].outs = 0;
    g->node[i].attrs = 0;
}

mc_status mc_match_replace(mc_match *m, mc_id last, const char *domain, const char *op, int version,
                           const mc_id *in, size_t ins, mc_err *err)
{
    const mc_node old = m->g->node[last];
    mc_id inputs[8], out = old.out[0];
    memcpy(inputs, in, ins * sizeof *in);
    const mc_node node = {.name = old.name,
                          .op = op,
                          .domain = domain,
                          .overload = "",
                          .version = version,
                          .in = inputs,
                          .ins = ins,
                          .out = &out,
                          .outs = 1,
                          .origin = old.origin};
    mc_match_remove(m->g, last);
    return mc_graph_add_node(m->g, &node) ? MC_OK : mc_no_room(err, "a graph");
}

static void rename_outer(mc_graph *body, const mc_id *to)
{
    for (size_t i = 0; i < body->values; i++) {
        const mc_id from = body->value[i].outer;
        if (from != MC_NONE && to[from] != MC_NONE) body->value[i].outer = to[from];
    }
}

void mc_match_rename(mc_graph *g, const mc_id *to)
{
    for (size_t n = 0; n < g->nodes; n++) {
        mc_node *node = &g->node[n];
        for (size_t i = 0; i < node->ins; i++)
            if (node->in[i] != MC_NONE && to[node->in[i]] != MC_NONE) node->in[i] = to[node->in[i]];
        mc_body_place place = {0};
        mc_graph *body;
        while ((body = mc_node_next_body(node, &place))) rename_outer(body, to);
    }
}

mc_status mc_match_bypass(mc_graph *g, mc_arena scratch,
                          bool (*hands_on)(const mc_graph *g, const mc_node *node), mc_err *err)
{
    mc_id *to = MC_NEW_RAW(&scratch, mc_id, g->values + 1);
    bool *is_output = MC_NEW(&scratch, bool, g->values + 1);
    if (!to || !is_output) return mc_no_room(err, "renamed values");
    for (size_t i = 0; i < g->values; i++) to[i] = MC_NONE;
    for (size_t i = 0; i < g->outputs; i++) is_output[g->output[i]] = true;
    for (mc_id n = 0; n < g->nodes; n++) { /* ordered: chains end at what begins them */
        const mc_node *node = &g->node[n];
        if (mc_in(node, 0) == MC_NONE || node->outs == 0 || node->out[0] == MC_NONE) continue;
        if (!hands_on(g, node)) continue;
        const mc_id from = node->out[0], in = node->in[0];
        to[from] = to[in] == MC_NONE ? in : to[in];
        if (!is_output[from]) mc_match_remove(g, n);
    }
    mc_match_rename(g, to);
    return MC_OK;
}
