/* Attention that exporters write out becomes one node:
 *
 *   softmax(q k^T * scale + mask) v, all [batch, heads, tokens, width]
 *
 * The scale may stand before or behind the product, on q, on k or on both, as Mul or Div. */
#include "core/pass_match.h"

typedef struct {
    mc_id q, k_turned, v, mask; /* k_turned: [.., width, tokens] */
    double scale;
} attention;

/* Takes scalar factors off a value, as far as nothing else needs them. */
static mc_id unscaled(const mc_match *m, mc_id value, double *scale)
{
    enum { STEPS = 3 };
    double s;
    for (int i = 0; i < STEPS; i++) {
        const mc_node *mul = mc_made_only_for(m, value, "Mul");
        const mc_node *div = mc_made_only_for(m, value, "Div");
        const mc_node *n = mul ? mul : div;
        if (!n || n->ins != 2) break;
        const size_t k = mul && mc_match_scalar(m, n->in[0], &s) ? 0 : 1; /* the scalar */
        if (!mc_match_scalar(m, n->in[k], &s) || s == 0.0) break;
        *scale = mul ? *scale * s : *scale / s;
        value = n->in[1 - k];
    }
    return value;
}

/* Softmax over the last axis of four. */
static bool over_last(const mc_match *m, const mc_node *softmax)
{
    const int64_t axis = mc_node_int(softmax, "axis", softmax->version >= 13 ? -1 : 1);
    return axis == -1 || (axis == 3 && m->g->value[softmax->in[0]].ndim == 4);
}

static bool find(const mc_match *m, mc_id i, attention *a)
{
    const mc_node *last = &m->g->node[i];
    const mc_node *softmax = mc_made_only_for(m, mc_in(last, 0), "Softmax");
    if (!softmax || !over_last(m, softmax)) return false;
    *a = (attention){.v = mc_in(last, 1), .mask = MC_NONE, .scale = 1.0};

    mc_id scores = softmax->in[0];
    const mc_node *add = mc_made_only_for(m, scores, "Add");
    if (add && add->ins == 2) {
        /* The scores are the side that a product makes. */
        double ignored = 1.0;
        const mc_id first = unscaled(m, add->in[0], &ignored);
        const size_t k = mc_made_only_for(m, first, "MatMul") ? 0 : 1;
        a->mask = add->in[1 - k];
        scores = add->in[k];
    }
    scores = unscaled(m, scores, &a->scale);
    const mc_node *product = mc_made_only_for(m, scores, "MatMul");
    if (!product || product->ins != 2) return false;
    a->q = unscaled(m, product->in[0], &a->scale);
    a->k_turned = unscaled(m, product->in[1], &a->scale);
    return true;
}

/* k from k^T: the Transpose that turned its last two axes is undone or left out. */
static mc_id turn_back(mc_match *m, mc_id k_turned)
{
    const mc_node *t = mc_made_by(m, k_turned, "Transpose");
    const int64_t *perm;
    if (!t || mc_node_ints(t, "perm", &perm) != 4) return MC_NONE;
    if (perm[0] == 0 && perm[1] == 1 && perm[2] == 3 && perm[3] == 2) return t->in[0];
    const int64_t back[] = {perm[0], perm[1], perm[3], perm[2]};
    const mc_id in = t->in[0];
    const mc_id k = mc_graph_apply(m->g, "", "Transpose", t->version, &in, 1, "");
    return k != MC_NONE && mc_node_add_ints(m->g, "perm", back, 4) ? k : MC_NONE;
}

/* Are heads and batch the first two axes of everything? Said by a Transpose that gives four. */
static bool has_four_axes(const mc_match *m, mc_id value)
{
    const mc_node *t = mc_made_by(m, value, "Transpose");
    const int64_t *perm;
    return m->g->value[value].ndim == 4 || (t && mc_node_ints(t, "perm", &perm) == 4);
}

mc_status mc_pass_attention(mc_graph *g, mc_arena scratch, mc_err *err)
{
    mc_match m;
    MC_TRY(mc_match_open(g, &scratch, &m, err));
    const size_t nodes = g->nodes;
    for (mc_id i = 0; i < nodes; i++) {
        attention a;
        if (!mc_node_is(&g->node[i], "", "MatMul") || !find(&m, i, &a)) continue;
        if (!has_four_axes(&m, a.v) || !has_four_axes(&m, a.k_turned)) continue;
        const mc_id k = turn_back(&m, a.k_turned);
        if (k == MC_NONE) continue;
        const mc_id in[] = {a.q, k, a.v, a.mask};
        MC_TRY(mc_match_replace(&m, i, "", "Attention", 23, in, a.mask == MC_NONE ? 3 : 4, err));
        if (!mc_node_add_float(g, "scale", (float)a.scale)) return mc_no_room(err, "a graph");
    }
    return MC_OK;
}
