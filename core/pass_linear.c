/* Products with a constant matrix whose rows are outputs become Linear: MatMul by a transposed
 * constant, Gemm without factors, and either with a bias behind it. */
#include "core/pass_match.h"

#include <string.h>

/* A constant matrix behind a Transpose that swaps its two dimensions. */
static mc_id swapped(const mc_match *m, mc_id value)
{
    const mc_node *t = mc_made_by(m, value, "Transpose");
    const mc_tensor *w = t ? mc_match_constant(m, mc_in(t, 0)) : NULL;
    const int64_t *perm;
    if (!w || w->ndim != 2 || !mc_dtype_about(w->dtype)->is_float) return MC_NONE;
    const size_t n = mc_node_ints(t, "perm", &perm);
    return n == 0 || (n == 2 && perm[0] == 1 && perm[1] == 0) ? t->in[0] : MC_NONE;
}

/* A vector of as many elements as the weight has outputs. */
static bool is_bias(const mc_match *m, mc_id value, const mc_tensor *weight)
{
    const mc_tensor *b = mc_match_constant(m, value);
    return b && b->ndim == 1 && b->dim[0] == weight->dim[0] && b->dtype == weight->dtype;
}

static bool is_plain_gemm(const mc_node *n)
{
    return mc_node_float(n, "alpha", 1.0) == 1.0 && mc_node_float(n, "beta", 1.0) == 1.0 &&
           mc_node_int(n, "transA", 0) == 0 && mc_node_int(n, "transB", 0) == 1;
}

static mc_status from_gemm(mc_match *m, mc_id i, mc_err *err)
{
    const mc_node *n = &m->g->node[i];
    const mc_id in[] = {mc_in(n, 0), mc_in(n, 1), mc_in(n, 2)};
    const mc_tensor *w = mc_match_constant(m, in[1]);
    if (!is_plain_gemm(n) || !w || w->ndim != 2 || !mc_dtype_about(w->dtype)->is_float)
        return MC_OK;
    if (in[2] != MC_NONE && !is_bias(m, in[2], w)) return MC_OK;
    return mc_match_replace(m, i, MC_DOMAIN, "Linear", 1, in, in[2] == MC_NONE ? 2 : 3, err);
}

static mc_status from_matmul(mc_match *m, mc_id i, mc_err *err)
{
    const mc_node *n = &m->g->node[i];
    const mc_id in[] = {mc_in(n, 0), swapped(m, mc_in(n, 1))};
    return in[1] == MC_NONE ? MC_OK : mc_match_replace(m, i, MC_DOMAIN, "Linear", 1, in, 2, err);
}

/* Add of a bias behind a Linear without one; in F32, where one rounding more or less does not
 * count. */
static mc_status take_bias(mc_match *m, mc_id i, mc_err *err)
{
    const mc_node *n = &m->g->node[i];
    mc_id sum, bias;
    if (!mc_match_split(m, n, &sum, &bias) || sum >= m->values || m->uses[sum] != 1) return MC_OK;
    const mc_id producer = m->g->value[sum].producer;
    if (producer >= m->g->nodes) return MC_OK;
    const mc_node *linear = &m->g->node[producer];
    const mc_tensor *w =
        mc_node_is(linear, MC_DOMAIN, "Linear") ? mc_match_constant(m, mc_in(linear, 1)) : NULL;
    if (!w || w->dtype != MC_F32 || linear->ins != 2 || !is_bias(m, bias, w)) return MC_OK;

    const mc_id in[] = {linear->in[0], linear->in[1], bias};
    const mc_node product = *linear; /* the site keeps the product's name */
    MC_TRY(mc_match_replace(m, i, MC_DOMAIN, "Linear", 1, in, 3, err));
    mc_node *made = &m->g->node[m->g->nodes - 1];
    made->name = product.name;
    made->origin = product.origin;
    return MC_OK;
}

mc_status mc_pass_linear(mc_graph *g, mc_arena scratch, mc_err *err)
{
    mc_match m;
    MC_TRY(mc_match_open(g, &scratch, &m, err));
    const size_t nodes = g->nodes;
    for (mc_id i = 0; i < nodes; i++) {
        if (mc_node_is(&g->node[i], "", "Gemm")) MC_TRY(from_gemm(&m, i, err));
        if (mc_node_is(&g->node[i], "", "MatMul")) MC_TRY(from_matmul(&m, i, err));
    }
    for (mc_id i = 0; i < nodes; i++)
        if (mc_node_is(&g->node[i], "", "Add")) MC_TRY(take_bias(&m, i, err));
    return MC_OK;
}
