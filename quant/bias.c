/* Shifts of means, and the search for a tensor that can take them: at the node itself, behind it,
 * and in what the pass `batchnorm` has made of a normalization, whose nodes are read backwards. */
#include "quant/bias.h"

#include <math.h>
#include <string.h>

/* ---- shifts ---- */

void mc_bias_shift(const mc_moments *moments, const float *w, const float *v, size_t rows,
                   double *out)
{
    const size_t n = moments->n, in_group = rows / moments->groups;
    for (size_t o = 0; o < rows; o++) {
        const size_t at = (in_group ? o / in_group : 0) * n;
        const double *sum = moments->sum + at;
        const double *shift = moments->shift ? moments->shift + at : NULL;
        double total = 0.0;
        for (size_t j = 0; j < n; j++) {
            const double a = (double)w[o * n + j], b = (double)v[o * n + j];
            total += (a - b) * sum[j];
            if (shift) total += a * shift[j];
        }
        out[o] = moments->rows ? total / (double)moments->rows : 0.0;
    }
}

static double relu_mean(double beta, double gamma)
{
    if (!(gamma > 0.0)) return beta > 0.0 ? beta : 0.0;
    const double z = beta / gamma, pi = acos(-1.0);
    const double density = exp(-0.5 * z * z) / sqrt(2.0 * pi), below = 0.5 * erfc(-z / sqrt(2.0));
    return gamma * density + beta * below;
}

void mc_bias_relu_mean(const mc_bias_relu *in, double *mean)
{
    for (size_t c = 0; c < in->channels; c++) {
        const double m = relu_mean((double)in->beta[c], fabs((double)in->gamma[c]));
        for (size_t p = 0; p < in->positions; p++) mean[c * in->positions + p] = m;
    }
}

/* ---- slots ---- */

typedef struct {
    const mc_graph *g;
    const mc_site *site;
    const mc_node *node;
    uint32_t *uses;
    mc_id *user;
    size_t outputs;
    int place; /* of the outputs' axis, counted from the last dimension; 0: the last */
    double *factor;
    mc_bias_slot *out;
} search;

static mc_id input_of(const mc_node *n, size_t i)
{
    return i < n->ins ? n->in[i] : MC_NONE;
}

/* A constant that only one node takes: it can be changed without harm. */
static const mc_tensor *own_constant(const search *s, mc_id value)
{
    const mc_tensor *t = value == MC_NONE ? NULL : s->g->value[value].constant;
    return t && t->data && s->uses[value] == 1 && mc_dtype_about(t->dtype)->to_f32 ? t : NULL;
}

/* One number for each output along axis `place` from the end, the other dimensions 1. */
static bool take(const search *s, const mc_tensor *t, int place)
{
    const int axis = t ? t->ndim - 1 - place : -1;
    if (axis < 0 || t->count != s->outputs || t->dim[axis] != s->outputs) return false;
    *s->out = (mc_bias_slot){t, axis, s->outputs, s->factor};
    return true;
}

static void fill(const search *s, double factor)
{
    for (size_t o = 0; o < s->outputs; o++) s->factor[o] = factor;
}

/* times scale / sqrt(var + epsilon). */
static bool normalize(const search *s, const mc_tensor *scale, const mc_tensor *var, double epsilon)
{
    const mc_tensor *both[] = {scale, var};
    for (size_t i = 0; i < 2; i++)
        if (!both[i] || !both[i]->data || both[i]->count != s->outputs ||
            !mc_dtype_about(both[i]->dtype)->to_f32)
            return false;
    const size_t a = scale->bytes / s->outputs, b = var->bytes / s->outputs;
    for (size_t o = 0; o < s->outputs; o++) {
        float gain, variance;
        mc_to_f32(scale->dtype, scale->data + o * a, &gain, 1);
        mc_to_f32(var->dtype, var->data + o * b, &variance, 1);
        s->factor[o] *= (double)gain / sqrt((double)variance + epsilon);
        if (!isfinite(s->factor[o])) return false;
    }
    return true;
}

static const mc_tensor *constant_of(const search *s, mc_id value)
{
    return value == MC_NONE ? NULL : s->g->value[value].constant;
}

static const mc_node *maker_of(const search *s, mc_id value, const char *op)
{
    const mc_id node = value == MC_NONE ? MC_NONE : s->g->value[value].producer;
    const mc_node *n = node == MC_NONE ? NULL : &s->g->node[node];
    return n && mc_node_is(n, "", op) ? n : NULL;
}

/* ---- at the node ---- */

static double alpha_of(const mc_node *n)
{
    const bool scaled = mc_node_is(n, "", "Gemm") || mc_node_is(n, MC_DOMAIN_MS, "FusedMatMul");
    return scaled ? mc_node_float(n, "alpha", 1.0) : 1.0;
}

static bool has_bias(const mc_node *n)
{
    return mc_node_is(n, "", "Conv") || mc_node_is(n, "", "ConvTranspose") ||
           mc_node_is(n, "", "Gemm") || mc_node_is(n, MC_DOMAIN, "Linear");
}

static bool find_own(const search *s, mc_id bias)
{
    const double beta = mc_node_is(s->node, "", "Gemm") ? mc_node_float(s->node, "beta", 1.0) : 1.0;
    if (beta == 0.0 || s->site->scaled) return false;
    fill(s, alpha_of(s->node) / beta);
    return take(s, own_constant(s, bias), 0);
}

/* (bias - mean) g + shift, or shift - mean g, of the pass batchnorm: g also multiplies the weight,
 * so that the outputs' shift is g times that of the weight. */
static bool find_folded(const search *s, mc_id bias)
{
    if (!s->site->scaled) return false;
    fill(s, 1.0);
    const mc_node *add = maker_of(s, bias, "Add");
    const mc_node *scaled = add ? maker_of(s, input_of(add, 0), "Mul") : NULL;
    const mc_node *centred = scaled ? maker_of(s, input_of(scaled, 0), "Sub") : NULL;
    if (centred) return take(s, own_constant(s, input_of(centred, 0)), 0);

    const mc_node *sub = maker_of(s, bias, "Sub");
    const mc_node *mean = sub ? maker_of(s, input_of(sub, 1), "Mul") : NULL;
    const mc_node *gain = mean ? maker_of(s, input_of(mean, 1), "Div") : NULL;
    const mc_node *root = gain ? maker_of(s, input_of(gain, 1), "Sqrt") : NULL;
    const mc_node *sum = root ? maker_of(s, input_of(root, 0), "Add") : NULL;
    const mc_tensor *epsilon = sum ? constant_of(s, input_of(sum, 1)) : NULL;
    float small;
    if (!epsilon || epsilon->dtype != MC_F32 || epsilon->count != 1 || !epsilon->data) return false;
    mc_to_f32(MC_F32, epsilon->data, &small, 1);
    return normalize(s, constant_of(s, input_of(gain, 0)), constant_of(s, input_of(sum, 0)),
                     (double)small) &&
           take(s, own_constant(s, input_of(sub, 0)), 0);
}

/* ---- behind it ---- */

static const mc_node *only_user(const search *s, mc_id value)
{
    if (value == MC_NONE || s->uses[value] != 1 || s->user[value] == MC_NONE) return NULL;
    return &s->g->node[s->user[value]];
}

static bool find_add(const search *s, const mc_node *add, mc_id value)
{
    if (!mc_node_is(add, "", "Add") || add->ins != 2) return false;
    fill(s, alpha_of(s->node));
    return take(s, own_constant(s, add->in[0] == value ? add->in[1] : add->in[0]), s->place);
}

/* Its channels are axis 1: the outputs of a product only where there are two axes. */
static bool find_norm(const search *s, const mc_node *norm, mc_id value)
{
    if (!mc_node_is(norm, "", "BatchNormalization") || norm->ins != 5 || norm->in[0] != value)
        return false;
    if (mc_node_int(norm, "training_mode", 0) != 0 || mc_node_int(norm, "spatial", 1) != 1)
        return false;
    if (norm->version < 7 && mc_node_int(norm, "is_test", 0) == 0) return false;
    if (s->place == 0 && s->g->value[value].ndim != 2 && !mc_node_is(s->node, "", "Gemm"))
        return false;
    fill(s, alpha_of(s->node));
    return normalize(s, constant_of(s, norm->in[1]), constant_of(s, norm->in[4]),
                     mc_node_float(norm, "epsilon", 1e-5)) &&
           take(s, own_constant(s, norm->in[2]), 0);
}

/* ---- all of it ---- */

static size_t outputs_of(const mc_site *site, const mc_node *n)
{
    const mc_tensor *w = site->weight;
    switch (site->kind) {
    case MC_SITE_CONV: return (size_t)w->dim[0];
    case MC_SITE_CONV_TRANSPOSE: return (size_t)w->dim[1] * (size_t)mc_node_int(n, "group", 1);
    case MC_SITE_LINEAR: return w->ndim == 2 ? (size_t)w->dim[site->transposed] : 0;
    case MC_SITE_EMBEDDING:
    case MC_SITE_RECURRENT: break;
    }
    return 0;
}

static const char *find(const search *s)
{
    const mc_node *n = s->node;
    const mc_id bias = has_bias(n) ? input_of(n, 2) : MC_NONE;
    if (s->site->scaled && bias == MC_NONE) return "its weight is scaled";
    if (bias != MC_NONE)
        return find_own(s, bias) || find_folded(s, bias)
                   ? NULL
                   : "its bias is computed, shared or of another shape";
    if (n->outs == 0) return "it has no output";
    const mc_node *behind = only_user(s, n->out[0]);
    if (!behind) return "it has no bias, and more than one node or none takes its output";
    if (find_add(s, behind, n->out[0]) || find_norm(s, behind, n->out[0])) return NULL;
    return "neither it nor the node behind it adds a constant of its own to its outputs";
}

mc_status mc_bias_find(const mc_graph *graph, const mc_site *site, mc_arena *mem, mc_bias_slot *out,
                       mc_err *err)
{
    char text[MC_NODE_TEXT];
    const mc_node *node = &graph->node[site->node];
    search s = {.g = graph, .site = site, .node = node, .out = out};
    s.outputs = outputs_of(site, node);
    const char *reason = site->part   ? "its weight is part of a stack"
                         : !s.outputs ? "its outputs are no rows of one matrix"
                                      : NULL;
    if (!reason) {
        s.factor = MC_NEW(mem, double, s.outputs);
        mc_arena scratch = *mem;
        s.uses = MC_NEW(&scratch, uint32_t, graph->values + 1);
        s.user = MC_NEW(&scratch, mc_id, graph->values + 1);
        if (!s.factor || !s.uses || !s.user) return mc_no_room(err, "the uses of values");
        mc_graph_uses(graph, s.uses, s.user);
        const bool convolves = site->kind != MC_SITE_LINEAR;
        s.place = convolves ? site->weight->ndim - 2 : 0;
        reason = find(&s);
    }
    if (!reason) return MC_OK;
    return mc_fail(err, MC_E_UNSUPPORTED, "%s: no bias can take a shift: %s",
                   mc_node_show(graph, site->node, text), reason);
}
