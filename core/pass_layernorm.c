/* Normalizations over the last axis that exporters write out become one node:
 *
 *   d = x - mean(x);  d / sqrt(mean(d^2) + epsilon) * scale + shift     LayerNormalization
 *       x / sqrt(mean(x^2) + epsilon) * scale                           RMSNormalization */
#include "core/pass_match.h"

#include "core/nd.h"

typedef struct {
    mc_id x;
    bool centred; /* the mean was taken off */
    double epsilon;
} norm;

/* ReduceMean over the last axis that keeps it: gives its input. */
static mc_id mean_of(const mc_match *m, mc_id value)
{
    const mc_node *n = mc_made_by(m, value, "ReduceMean");
    if (!n || mc_node_int(n, "keepdims", 1) != 1) return MC_NONE;
    const int64_t *axes;
    double axis;
    if (n->ins > 1) {
        if (!mc_match_scalar(m, n->in[1], &axis)) return MC_NONE;
    } else {
        if (mc_node_ints(n, "axes", &axes) != 1) return MC_NONE;
        axis = (double)axes[0];
    }
    const int rank = mc_match_rank(m, mc_in(n, 0));
    return axis == -1.0 || (rank > 0 && axis == (double)(rank - 1)) ? mc_in(n, 0) : MC_NONE;
}

/* v^2 as Pow or Mul: gives v. */
static mc_id root_of_square(const mc_match *m, mc_id value)
{
    const mc_node *pow = mc_made_by(m, value, "Pow");
    if (pow) return mc_match_is_scalar(m, mc_in(pow, 1), 2.0) ? mc_in(pow, 0) : MC_NONE;
    const mc_node *mul = mc_made_by(m, value, "Mul");
    return mul && mul->ins == 2 && mul->in[0] == mul->in[1] ? mul->in[0] : MC_NONE;
}

/* sqrt(mean(v^2) + epsilon): gives v. */
static mc_id deviation_of(const mc_match *m, mc_id value, double *epsilon)
{
    const mc_node *root = mc_made_by(m, value, "Sqrt");
    const mc_node *add = root ? mc_made_by(m, mc_in(root, 0), "Add") : NULL;
    mc_id mean, constant;
    if (!add || !mc_match_split(m, add, &mean, &constant)) return MC_NONE;
    if (!mc_match_scalar(m, constant, epsilon) || !(*epsilon >= 0.0)) return MC_NONE;
    return root_of_square(m, mean_of(m, mean));
}

/* v divided by its deviation: by Div, or by Mul with a Reciprocal or 1 / …. */
static mc_id normalized(const mc_match *m, mc_id value, double *epsilon)
{
    const mc_node *div = mc_made_only_for(m, value, "Div");
    if (div) {
        const mc_id v = deviation_of(m, mc_in(div, 1), epsilon);
        return v == mc_in(div, 0) ? v : MC_NONE;
    }
    const mc_node *mul = mc_made_only_for(m, value, "Mul");
    for (size_t k = 0; mul && mul->ins == 2 && k < 2; k++) {
        const mc_node *inverse = mc_made_by(m, mul->in[k], "Reciprocal");
        const mc_node *one = mc_made_by(m, mul->in[k], "Div");
        mc_id deviation = inverse ? mc_in(inverse, 0) : MC_NONE;
        if (one && mc_match_is_scalar(m, mc_in(one, 0), 1.0)) deviation = mc_in(one, 1);
        const mc_id v = deviation_of(m, deviation, epsilon);
        if (v != MC_NONE && v == mul->in[1 - k]) return v;
    }
    return MC_NONE;
}

static bool find(const mc_match *m, mc_id value, norm *n)
{
    *n = (norm){0};
    n->x = normalized(m, value, &n->epsilon);
    const mc_node *sub = mc_made_by(m, n->x, "Sub");
    if (sub && mc_in(sub, 0) != MC_NONE && mean_of(m, mc_in(sub, 1)) == sub->in[0]) {
        n->x = sub->in[0];
        n->centred = true;
    }
    return n->x != MC_NONE;
}

/* One number for each place of the last axis, whose length is known: one number for all places
 * would have to be spread, and one place may have been spread over all numbers. */
static bool is_scale(const mc_match *m, mc_id value, mc_id x)
{
    const mc_tensor *t = mc_match_constant(m, value);
    return t && t->dtype == MC_F32 && t->ndim == 1 && mc_match_dim(m, x, -1) == (int64_t)t->dim[0];
}

static mc_status replace(mc_match *m, mc_id last, const norm *n, const mc_id *in, size_t ins,
                         mc_err *err)
{
    const char *op = n->centred ? "LayerNormalization" : "RMSNormalization";
    if (!mc_match_alike(m, n->x, m->g->node[last].out[0])) return MC_OK;
    MC_TRY(mc_match_replace(m, last, "", op, n->centred ? 17 : 23, in, ins, err));
    const bool ok =
        mc_node_add_int(m->g, "axis", -1) && mc_node_add_float(m->g, "epsilon", (float)n->epsilon);
    return ok ? MC_OK : mc_no_room(err, "a graph");
}

/* The Mul by the scale. */
static mc_status match_scale(mc_match *m, mc_id i, mc_err *err)
{
    norm n;
    mc_id value, scale;
    if (!mc_match_split(m, &m->g->node[i], &value, &scale) || !find(m, value, &n)) return MC_OK;
    if (!is_scale(m, scale, n.x)) return MC_OK;
    const mc_id in[] = {n.x, scale};
    return replace(m, i, &n, in, 2, err);
}

/* The Add of the shift behind it. */
static mc_status match_shift(mc_match *m, mc_id i, mc_err *err)
{
    norm n;
    mc_id product, shift, value, scale;
    if (!mc_match_split(m, &m->g->node[i], &product, &shift)) return MC_OK;
    const mc_node *mul = mc_made_only_for(m, product, "Mul");
    if (!mul || !mc_match_split(m, mul, &value, &scale) || !find(m, value, &n)) return MC_OK;
    if (!n.centred || !is_scale(m, scale, n.x) || !is_scale(m, shift, n.x)) return MC_OK;
    const mc_id in[] = {n.x, scale, shift};
    const size_t nodes = m->g->nodes;
    MC_TRY(replace(m, i, &n, in, 3, err));
    if (m->g->nodes > nodes) mc_match_remove(m->g, m->g->value[product].producer);
    return MC_OK;
}

mc_status mc_pass_layernorm(mc_graph *g, mc_arena scratch, mc_err *err)
{
    mc_match m;
    MC_TRY(mc_match_open(g, &scratch, &m, err));
    const size_t nodes = g->nodes;
    for (mc_id i = 0; i < nodes; i++)
        if (mc_node_is(&g->node[i], "", "Add")) MC_TRY(match_shift(&m, i, err));
    for (mc_id i = 0; i < nodes; i++)
        if (mc_node_is(&g->node[i], "", "Mul")) MC_TRY(match_scale(&m, i, err));
    return MC_OK;
}
