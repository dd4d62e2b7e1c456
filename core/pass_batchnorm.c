/* BatchNormalization behind Conv, ConvTranspose or Linear goes into their weights:
 *
 *   g = scale / sqrt(var + epsilon);  w' = w g (per output);  b' = (b - mean) g + shift
 *
 * as nodes on constants, which the executor computes once. */
#include "core/pass_match.h"

#include "core/nd.h"

#include <string.h>

enum { VERSION = 13 }; /* of ai.onnx, for the nodes made here */

/* A BatchNormalization at inference, and the node whose output it takes. */
typedef struct {
    mc_id norm, before;
    mc_id scale, shift, mean, var;
    float epsilon;
    int axis; /* of the weight, that counts outputs */
    uint64_t outputs;
} fold;

static bool is_inference(const mc_node *n)
{
    if (n->ins != 5 || n->outs == 0 || n->out[0] == MC_NONE) return false;
    if (n->version < 7 && mc_node_int(n, "is_test", 0) == 0) return false;
    if (mc_node_int(n, "training_mode", 0) != 0 || mc_node_int(n, "spatial", 1) != 1) return false;
    for (size_t i = 1; i < n->outs; i++)
        if (n->out[i] != MC_NONE) return false;
    return true;
}

/* One number in F32 for each output. */
static bool is_vector(const mc_match *m, mc_id value, uint64_t n)
{
    const mc_tensor *t = mc_match_constant(m, value);
    return t && t->dtype == MC_F32 && t->ndim == 1 && t->dim[0] == n;
}

/* Which axis of its weight counts outputs; -1: this node takes no factor per output. The outputs of
 * Linear are the axis that is normalized only when it has two. */
static int output_axis(const mc_match *m, const mc_node *n)
{
    if (mc_node_is(n, "", "Conv")) return 0;
    if (mc_node_is(n, MC_DOMAIN, "Linear")) return mc_match_rank(m, mc_in(n, 0)) == 2 ? 0 : -1;
    if (mc_node_is(n, "", "ConvTranspose") && mc_node_int(n, "group", 1) == 1) return 1;
    return -1;
}

/* The node in front of the normalization, when it takes its factors. */
static bool find_before(const mc_match *m, fold *f)
{
    const mc_id x = mc_in(&m->g->node[f->norm], 0);
    if (x >= m->values || m->uses[x] != 1 || m->g->value[x].producer >= m->g->nodes) return false;
    f->before = m->g->value[x].producer;
    const mc_node *n = &m->g->node[f->before];
    const mc_tensor *w = mc_match_constant(m, mc_in(n, 1));
    f->axis = output_axis(m, n);
    if (f->axis < 0 || !w || w->dtype != MC_F32 || w->ndim <= f->axis) return false;
    f->outputs = w->dim[f->axis];
    return mc_in(n, 2) == MC_NONE || is_vector(m, n->in[2], f->outputs);
}

static bool find(const mc_match *m, mc_id i, fold *f)
{
    const mc_node *n = &m->g->node[i];
    if (!mc_node_is(n, "", "BatchNormalization") || !is_inference(n)) return false;
    *f = (fold){.norm = i,
                .scale = n->in[1],
                .shift = n->in[2],
                .mean = n->in[3],
                .var = n->in[4],
                .epsilon = (float)mc_node_float(n, "epsilon", 1e-5)};
    if (!find_before(m, f) || !mc_match_is_f32(m, n->out[0])) return false;
    for (size_t k = 1; k < 5; k++)
        if (!is_vector(m, n->in[k], f->outputs)) return false;
    return true;
}

static mc_id two(mc_graph *g, const char *op, mc_id a, mc_id b)
{
    const mc_id in[] = {a, b};
    return mc_graph_apply(g, "", op, VERSION, in, 2, "");
}

/* g, as a vector. */
static mc_id factor_of(mc_graph *g, const fold *f)
{
    const mc_id epsilon = mc_graph_const_f32(g, "", 0, NULL, &f->epsilon);
    const mc_id var = two(g, "Add", f->var, epsilon);
    const mc_id root = mc_graph_apply(g, "", "Sqrt", VERSION, &var, 1, "");
    return two(g, "Div", f->scale, root);
}

static mc_id weight_of(mc_graph *g, const fold *f, mc_id weight, mc_id factor)
{
    const int64_t dims = g->value[weight].constant->ndim;
    int64_t shape[MC_MAX_DIMS];
    for (int i = 0; i < MC_MAX_DIMS; i++) shape[i] = i == f->axis ? -1 : 1;
    const mc_id target = mc_graph_const_i64(g, "", 1, &dims, shape);
    const mc_id spread = two(g, "Reshape", factor, target);
    return two(g, "Mul", weight, spread);
}

static mc_id bias_of(mc_graph *g, const fold *f, mc_id bias, mc_id factor)
{
    if (bias == MC_NONE) return two(g, "Sub", f->shift, two(g, "Mul", f->mean, factor));
    return two(g, "Add", two(g, "Mul", two(g, "Sub", bias, f->mean), factor), f->shift);
}

static mc_status apply(mc_match *m, const fold *f, mc_err *err)
{
    mc_graph *g = m->g;
    const mc_node before = g->node[f->before];
    const mc_id factor = factor_of(g, f);
    const mc_id in[] = {before.in[0], weight_of(g, f, before.in[1], factor),
                        bias_of(g, f, mc_in(&before, 2), factor)};
    if (in[1] == MC_NONE || in[2] == MC_NONE) return mc_no_room(err, "a graph");
    MC_TRY(mc_match_replace(m, f->norm, before.domain, before.op, before.version, in, 3, err));
    mc_node *made = &g->node[g->nodes - 1];
    made->name = before.name;
    made->attr = before.attr;
    made->attrs = before.attrs;
    made->origin = before.origin;
    return MC_OK;
}

mc_status mc_pass_batchnorm(mc_graph *g, mc_arena scratch, mc_err *err)
{
    mc_match m;
    MC_TRY(mc_match_open(g, &scratch, &m, err));
    const size_t nodes = g->nodes;
    for (mc_id i = 0; i < nodes; i++) {
        fold f;
        if (find(&m, i, &f)) MC_TRY(apply(&m, &f, err));
    }
    return MC_OK;
}
