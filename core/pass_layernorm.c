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
    const int ndim = m->g->value[n->in[0]].ndim;
    return axis == -1.0 || (ndim > 0 && axis == (double)(ndim - 1)) ? n->in[0] : MC_NONE;
}

/* v^2 as Pow or Mul: gives v. */
static mc_id root_of_square(const mc_match *m, mc_id value)
{
    const mc_node *pow = mc_made_by(m, value, "Pow");
    if (pow) return mc_match_is_scalar(m, mc_in(pow, 1), 2.0) ? pow->in[0] : MC_NONE;
    const mc_node *mul = mc_made_by(m, value, "Mul");
    return mul && mul->ins == 2 && mul->in[0] == mul->in[1] ? mul->in[0] : MC_NONE;
}

/* sqrt(mean(v^2) + epsilon): gives v. */
static mc_id deviation_of(const mc_match *m, mc_id value, double *epsilon)
{
    const mc_node *root = mc_made_by(m, value, "Sqrt");
    const mc_node *add = root ? mc_made_by(m, root->in[0], "Add") : NULL;
    if (!add || add->ins != 2) return MC_NONE;
    const size_t k = mc_match_scalar(m, add->in[1], epsilon) ? 0 : 1;
    if (!mc_match_scalar(m, add->in[1 - k], epsilon)) return MC_NONE;
    const mc_id square = mean_of(m, add->in[k]);
    return square == MC_NONE ? MC_NONE : root_of_square(m, square);
}

/* v divided by its deviation: by Div, or by Mul with a Reciprocal or 1 / …. */
static mc_id normalized(const mc_match *m, mc_id value, double *epsilon)
{
    const mc_node *div = mc_made_only_for(m, value, "Div");
    if (div) return deviation_of(m, mc_in(div, 1), epsilon) == div->in[0] ? div->in[0] : MC_NONE;
    const mc_node *mul = mc_made_only_for(m, value, "Mul");
    for (size_t k = 0; mul && mul->ins == 2 && k < 2; k++) {
        const mc_node *inverse = mc_made_by(m, mul->in[k], "Reciprocal");
        const mc_node *one = mc_made_by(m, mul->in[k], "Div");
        mc_id deviation = inverse ? inverse->in[0] : MC_NONE;
        if (one && mc_match_is_scalar(m, one->in[0], 1.0)) deviation = mc_in(one, 1);
        if (deviation == MC_NONE) continue;
        if (deviation_of(m, deviation, epsilon) == mul->in[1 - k]) return mul->in[1 - k];
    }
    return MC_NONE;
}

static bool find(const mc_match *m, mc_id value, norm *n)
{
    const mc_id v = normalized(m, value, &n->epsilon);
    if (v == MC_NONE) return false;
    *n = (norm){.x = v, .epsilon = n->epsilon};
    const mc_node *sub = mc_made_by(m, v, "Sub");
    if (sub && mean_of(m, mc_in(sub, 1)) == sub->in[0]) {
        n->x = sub->in[0];
        n->centred = true;
    }
    return true;
}

static bool is_vector(const mc_match *m, mc_id value)
{
    const mc_tensor *t = mc_match_constant(m, value);
    return t && t->ndim == 1 && t->count > 1;
}

static mc_status replace(mc_match *m, mc_id last, const norm *n, const mc_id *in, size_t ins,
                         mc_err *err)
{
    const char *op = n->centred ? "LayerNormalization" : "RMSNormalization";
    MC_TRY(mc_match_replace(m, last, "", op, n->centred ? 17 : 23, in, ins, err));
    const bool ok =
        mc_node_add_int(m->g, "axis", -1) && mc_node_add_float(m->g, "epsilon", (float)n->epsilon);
    return ok ? MC_OK : mc_no_room(err, "a graph");
}

/* From the Mul by the scale; the Add of the shift goes along. */
static mc_status match_scale(mc_match *m, mc_id i, mc_err *err)
{
    norm n;
    mc_id value, scale;
    const mc_node *mul = &m->g->node[i];
    if (!mc_match_split(m, mul, &value, &scale) || !is_vector(m, scale)) return MC_OK;
    if (!find(m, value, &n) || n.centred) return MC_OK;
    const mc_id in[] = {n.x, scale};
    return replace(m, i, &n, in, 2, err);
}

static mc_status match_shift(mc_match *m, mc_id i, mc_err *err)
{
    norm n;
    mc_id product, shift, value, scale;
    const mc_node *add = &m->g->node[i];
    if (!mc_match_split(m, add, &product, &shift) || !is_vector(m, shift)) return MC_OK;
    const mc_node *mul = mc_made_only_for(m, product, "Mul");
    if (!mul || !mc_match_split(m, mul, &value, &scale) || !is_vector(m, scale)) return MC_OK;
    if (!find(m, value, &n) || !n.centred) return MC_OK;
    const mc_id in[] = {n.x, scale, shift};
    return replace(m, i, &n, in, 3, err);
}

/* LayerNormalization without a shift. */
static mc_status match_scale_only(mc_match *m, mc_id i, mc_err *err)
{
    norm n;
    mc_id value, scale;
    if (!mc_match_split(m, &m->g->node[i], &value, &scale) || !is_vector(m, scale)) return MC_OK;
    if (!find(m, value, &n) || !n.centred) return MC_OK;
    const mc_id in[] = {n.x, scale};
    return replace(m, i, &n, in, 2, err);
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
    /* A product whose shift was taken above is left without users; the pass `dead` takes it. */
    for (mc_id i = 0; i < nodes; i++)
        if (mc_node_is(&g->node[i], "", "Mul")) MC_TRY(match_scale_only(&m, i, err));
    return MC_OK;
}
