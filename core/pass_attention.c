/* Attention that exporters write out becomes one node:
 *
 *   softmax(q k^T * scale + mask) v, all [batch, heads, tokens, width]
 *
 * The scale may stand before or behind the product, on q, on k or on both, as Mul or Div. A mask is
 * added, or put in place of scores by Where (then it is so low that no score adds to it). A row of
 * which nothing is seen becomes zeros; Softmax makes NaN of it, which some exporters mend behind
 * it. */
#include "core/pass_match.h"

#include "core/nd.h"

#include <math.h>

enum { MASKS = 2, FACTORS = 3 };

/* s + LOW is LOW in f32 for every |s| < 2^75. */
#define LOW (-1e30)

/* What is added to scores: `value`, or where `fill` is a Where, its number and else 0. */
typedef struct {
    mc_id value;
    const mc_node *fill;
    size_t scores; /* which input of it the scores are */
} mask;

typedef struct {
    mc_id q, k, k_turned, v; /* k_turned: [.., width, tokens] */
    mask mask[MASKS];        /* from the last one back */
    size_t masks;
    double scale;
} attention;

/* ---- finding ---- */

/* The same size, as far as it is known. */
static bool same_dim(const mc_match *m, mc_id a, mc_id b, int axis)
{
    const mc_size x = mc_match_size(m, a, axis), y = mc_match_size(m, b, axis);
    return mc_match_same_size(x, y) || (x.known < 0 && y.known < 0);
}

/* Takes factors that are numbers off a value, as far as nothing else needs them. */
static mc_id unscaled(const mc_match *m, mc_id value, double *scale)
{
    double s;
    for (int i = 0; i < FACTORS; i++) {
        const mc_node *mul = mc_made_only_for(m, value, "Mul");
        const mc_node *div = mc_made_only_for(m, value, "Div");
        const mc_node *n = mul ? mul : div;
        if (!n || n->ins != 2) break;
        const size_t k = mul && mc_match_number(m, n->in[0], &s) ? 0 : 1; /* the number */
        if (!mc_match_number(m, n->in[k], &s) || !mc_match_alike(m, n->in[1 - k], value)) break;
        *scale = mul ? *scale * s : *scale / s;
        value = n->in[1 - k];
    }
    return value;
}

static const mc_node *product_behind(const mc_match *m, mc_id value)
{
    double ignored = 1.0;
    return mc_made_only_for(m, unscaled(m, value, &ignored), "MatMul");
}

/* Takes one mask off the scores; MC_NONE when there is none. */
static mc_id unmasked(const mc_match *m, mc_id scores, mask *out)
{
    double low;
    const mc_node *add = mc_made_only_for(m, scores, "Add");
    const mc_node *fill = mc_made_only_for(m, scores, "Where");
    if (add && add->ins == 2 && !mc_match_is_legacy(add)) {
        /* The scores are the side that a product makes, or another mask. */
        const size_t k =
            product_behind(m, add->in[0]) || mc_made_only_for(m, add->in[0], "Where") ? 0 : 1;
        *out = (mask){.value = add->in[1 - k]};
        return add->in[k];
    }
    for (size_t k = 1; fill && fill->ins == 3 && k < 3; k++) {
        if (!mc_match_scalar(m, fill->in[3 - k], &low) || !(low <= LOW)) continue;
        *out = (mask){.value = fill->in[0], .fill = fill, .scores = k};
        return fill->in[k];
    }
    return MC_NONE;
}

/* Softmax over the last axis of four; gives its input. */
static mc_id scores_of(const mc_match *m, const mc_node *softmax)
{
    const mc_id in = softmax ? mc_in(softmax, 0) : MC_NONE;
    if (mc_match_rank(m, in) != 4) return MC_NONE;
    const int64_t axis = mc_node_int(softmax, "axis", softmax->version >= 13 ? -1 : 1);
    return axis == -1 || axis == 3 ? in : MC_NONE;
}

/* The softmax behind weights, or behind where(isnan(weights), 0, weights). */
static const mc_node *softmax_of(const mc_match *m, mc_id weights)
{
    double zero;
    const mc_node *where = mc_made_only_for(m, weights, "Where");
    if (!where) return mc_made_only_for(m, weights, "Softmax");
    const mc_id value = mc_in(where, 2);
    const mc_node *isnan = mc_made_only_for(m, mc_in(where, 0), "IsNaN");
    if (!isnan || mc_in(isnan, 0) != value || value >= m->values || m->uses[value] != 2)
        return NULL;
    if (!mc_match_scalar(m, mc_in(where, 1), &zero) || !(zero == 0.0)) return NULL;
    return mc_made_by(m, value, "Softmax");
}

static bool find(const mc_match *m, mc_id i, attention *a)
{
    const mc_node *last = &m->g->node[i];
    *a = (attention){.v = mc_in(last, 1), .scale = 1.0};
    mc_id scores = scores_of(m, softmax_of(m, mc_in(last, 0)));
    while (a->masks < MASKS) {
        const mc_id inner = unmasked(m, scores, &a->mask[a->masks]);
        if (inner == MC_NONE) break;
        scores = inner;
        a->masks++;
    }
    const mc_node *product = mc_made_only_for(m, unscaled(m, scores, &a->scale), "MatMul");
    if (!product || product->ins != 2) return false;
    a->q = unscaled(m, product->in[0], &a->scale);
    a->k_turned = unscaled(m, product->in[1], &a->scale);
    return isfinite(a->scale);
}

/* ---- is it what Attention takes? ---- */

/* MatMul, Add and Where spread what is 1 on either side, Attention only the mask. */
static bool spreads(const mc_match *m, mc_id value, const attention *a)
{
    const int rank = mc_match_rank(m, value);
    if (rank < 0 || rank > 4) return false;
    for (int axis = -rank; axis < 0; axis++) {
        const mc_id of = axis == -1 ? a->k_turned : a->q;
        const int64_t n = mc_match_dim(m, value, axis), all = mc_match_dim(m, of, axis);
        if (n != 1 && all >= 0 && n >= 0 && n != all) return false;
        if (n != 1 && all == 1) return false;
    }
    return true;
}

static bool fits(const mc_match *m, const attention *a)
{
    const mc_id part[] = {a->q, a->k_turned, a->v};
    for (size_t i = 0; i < 3; i++) {
        if (!mc_match_is_f32(m, part[i]) || mc_match_rank(m, part[i]) != 4) return false;
        if (!same_dim(m, part[i], a->q, 0) || !same_dim(m, part[i], a->q, 1)) return false;
    }
    for (size_t i = 0; i < a->masks; i++) {
        if (!a->mask[i].fill && !mc_match_is_f32(m, a->mask[i].value)) return false;
        if (!spreads(m, a->mask[i].value, a)) return false;
    }
    return true;
}

/* ---- replacing ---- */

/* k behind reshape(transpose(reshape(k))), which turns the last two axes of three. */
static mc_id folded_turn(const mc_match *m, mc_id k_turned)
{
    const int64_t *perm;
    const mc_node *unfold = mc_made_by(m, k_turned, "Reshape");
    const mc_node *turn = unfold ? mc_made_by(m, mc_in(unfold, 0), "Transpose") : NULL;
    const mc_node *fold = turn ? mc_made_by(m, mc_in(turn, 0), "Reshape") : NULL;
    if (!fold || mc_node_ints(turn, "perm", &perm) != 3 || perm[1] != 2 || perm[2] != 1)
        return MC_NONE;
    const mc_id k = mc_in(fold, 0), three = mc_in(turn, 0);
    if (mc_match_rank(m, k) != 4 || mc_match_rank(m, three) != 3) return MC_NONE;
    for (int axis = -2; axis < 0; axis++) {
        const mc_size n = mc_match_size(m, k, axis);
        if (!mc_match_same_size(n, mc_match_size(m, three, axis)) ||
            !mc_match_same_size(n, mc_match_size(m, k_turned, -3 - axis)))
            return MC_NONE;
    }
    /* What is left is as many in all, so with one of the two the other is the same too. */
    const mc_size heads = mc_match_size(m, k, 1);
    return mc_match_same_size(heads, mc_match_size(m, k_turned, 1)) ? k : MC_NONE;
}

static mc_id transposed(mc_match *m, mc_id value, const int64_t perm[4])
{
    const mc_id out = mc_graph_apply(m->g, "", "Transpose", 13, &value, 1, "");
    return out != MC_NONE && mc_node_add_ints(m->g, "perm", perm, 4) ? out : MC_NONE;
}

/* k from k^T: what turned its last two axes is undone or left out. */
static mc_id turn_back(mc_match *m, mc_id k_turned)
{
    static const int64_t last_two[] = {0, 1, 3, 2};
    const mc_id folded = folded_turn(m, k_turned);
    if (folded != MC_NONE) return folded;
    const mc_node *t = mc_made_by(m, k_turned, "Transpose");
    const int64_t *perm;
    if (!t || mc_node_ints(t, "perm", &perm) != 4) return transposed(m, k_turned, last_two);
    const int64_t back[] = {perm[0], perm[1], perm[3], perm[2]};
    const bool as_it_was = back[0] == 0 && back[1] == 1 && back[2] == 2 && back[3] == 3;
    return as_it_was ? mc_in(t, 0) : transposed(m, mc_in(t, 0), back);
}

/* What is added to the scores, as one value. */
static mc_id added(mc_match *m, const mask *part)
{
    if (!part->fill) return part->value;
    const float none = 0.0f;
    const mc_id zero = mc_graph_const_f32(m->g, "", 0, NULL, &none);
    mc_id in[] = {part->fill->in[0], part->fill->in[1], part->fill->in[2]};
    in[part->scores] = zero;
    return zero == MC_NONE ? MC_NONE : mc_graph_apply(m->g, "", "Where", 9, in, 3, "");
}

static mc_id whole_mask(mc_match *m, const attention *a)
{
    mc_id sum = added(m, &a->mask[0]);
    for (size_t i = 1; i < a->masks && sum != MC_NONE; i++) {
        const mc_id in[] = {added(m, &a->mask[i]), sum};
        sum = in[0] == MC_NONE ? MC_NONE : mc_graph_apply(m->g, "", "Add", 13, in, 2, "");
    }
    return sum;
}

static mc_status replace(mc_match *m, mc_id i, attention *a, mc_err *err)
{
    a->k = turn_back(m, a->k_turned);
    mc_id in[] = {a->q, a->k, a->v, MC_NONE};
    if (a->masks > 0) in[3] = whole_mask(m, a);
    if (a->k == MC_NONE || (a->masks > 0 && in[3] == MC_NONE)) return mc_no_room(err, "a graph");
    MC_TRY(mc_match_replace(m, i, "", "Attention", 23, in, a->masks > 0 ? 4 : 3, err));
    return mc_node_add_float(m->g, "scale", (float)a->scale) ? MC_OK : mc_no_room(err, "a graph");
}

mc_status mc_pass_attention(mc_graph *g, mc_arena scratch, mc_err *err)
{
    mc_match m;
    MC_TRY(mc_match_open(g, &scratch, &m, err));
    const size_t nodes = g->nodes;
    for (mc_id i = 0; i < nodes; i++) {
        attention a;
        if (!mc_node_is(&g->node[i], "", "MatMul") || !find(&m, i, &a) || !fits(&m, &a)) continue;
        MC_TRY(replace(&m, i, &a, err));
    }
    return MC_OK;
}
