/* Finding sites: from each node that multiplies by a weight, back through whatever only moves or
 * renames that weight, to the tensor it came from. */
#include "core/site.h"

#include "core/nd.h"

#include <string.h>

/* A tensor as a node sees it, or tensor NULL. */
typedef struct {
    const mc_tensor *tensor;
    bool transposed; /* seen as the transpose of (all but the last dimension) x the last */
    bool through;
    bool scaled;
    bool part; /* cut out of a stack along its first dimension */
} origin;

/* How far a weight is followed back; exporters put one or two nodes in between. */
enum { MOST_STEPS = 8 };

static bool keeps_numbers(const mc_node *n)
{
    return mc_node_is(n, "", "Identity") || mc_node_is(n, "", "Cast") ||
           mc_node_is(n, "", "Dropout") || mc_node_is(n, "", "Reshape") ||
           mc_node_is(n, "", "Squeeze");
}

static mc_id input_of(const mc_node *n, size_t i)
{
    return i < n->ins ? n->in[i] : MC_NONE;
}

/* Does it swap the dimensions of a matrix, or of each of a stack? Without a permutation it reverses
 * all dimensions. */
static bool swaps(const mc_node *n, const mc_tensor *t)
{
    const int64_t *perm;
    const size_t dims = mc_node_ints(n, "perm", &perm);
    if (dims == 0) return t->ndim == 2;
    if (dims == 2) return perm[0] == 1 && perm[1] == 0;
    return dims == 3 && t->ndim == 3 && perm[0] == 0 && perm[1] == 2 && perm[2] == 1;
}

/* The one axis that a Slice cuts, or -1: others stay whole. */
static int64_t sliced_axis(const mc_graph *g, const mc_node *n)
{
    const int64_t *axis;
    const size_t axes = mc_node_ints(n, "axes", &axis); /* before version 10 */
    if (axes > 0) return axes == 1 ? axis[0] : -1;
    const mc_id value = input_of(n, 3);
    const mc_tensor *t = value == MC_NONE ? NULL : g->value[value].constant;
    int64_t one;
    if (!t || t->dtype != MC_I64 || t->count != 1 || !t->data) return -1;
    memcpy(&one, t->data, sizeof one);
    return one;
}

static bool is_constant(const mc_graph *g, mc_id value)
{
    return value != MC_NONE && g->value[value].constant;
}

/* Does it cut its input along the first dimension, always in the same way? */
static bool cuts(const mc_graph *g, const mc_node *n)
{
    if (mc_node_is(n, "", "Split")) return mc_node_int(n, "axis", 0) == 0;
    if (mc_node_is(n, "", "Gather"))
        return mc_node_int(n, "axis", 0) == 0 && is_constant(g, input_of(n, 1));
    return mc_node_is(n, "", "Slice") && sliced_axis(g, n) == 0;
}

static const mc_node *maker_of(const mc_graph *g, mc_id value)
{
    const mc_id producer = value == MC_NONE ? MC_NONE : g->value[value].producer;
    return producer == MC_NONE ? NULL : &g->node[producer];
}

/* Does the value follow from constants alone? `steps` is how many nodes may be looked at. */
static bool from_constants(const mc_graph *g, mc_id value, int *steps)
{
    if (value == MC_NONE || g->value[value].constant) return true;
    const mc_node *n = maker_of(g, value);
    if (!n || (*steps)-- <= 0) return false;
    bool all = n->ins > 0;
    for (size_t i = 0; i < n->ins && all; i++) all = from_constants(g, n->in[i], steps);
    return all;
}

/* Does it multiply a weight, its first input, by a factor for each output? As the pass batchnorm
 * writes it: the factors follow from constants and are spread by a Reshape. */
static bool scales(const mc_graph *g, const mc_node *n)
{
    int steps = MOST_STEPS;
    const mc_node *spread = mc_node_is(n, "", "Mul") ? maker_of(g, input_of(n, 1)) : NULL;
    return spread && mc_node_is(spread, "", "Reshape") && from_constants(g, n->in[1], &steps);
}

/* What a node makes of what it sees; false when that is no matrix of weights any more. */
static bool pass(const mc_graph *g, const mc_node *n, origin *o)
{
    if (keeps_numbers(n)) return true;
    if (mc_node_is(n, "", "Transpose")) {
        o->transposed = !o->transposed;
        return swaps(n, o->tensor);
    }
    if (scales(g, n)) return o->scaled = true;
    o->part = true;
    return o->tensor->ndim == 3 && cuts(g, n);
}

static origin follow(const mc_graph *g, mc_id value)
{
    const mc_node *passed[MOST_STEPS];
    size_t steps = 0;
    while (value != MC_NONE && !g->value[value].constant) {
        const mc_id producer = g->value[value].producer;
        if (producer == MC_NONE || steps == MOST_STEPS) return (origin){0};
        passed[steps++] = &g->node[producer];
        value = input_of(&g->node[producer], 0);
    }
    if (value == MC_NONE) return (origin){0};

    origin o = {.tensor = g->value[value].constant, .through = steps > 0};
    while (steps-- > 0)
        if (!pass(g, passed[steps], &o)) return (origin){0};
    return o;
}

static bool is_real(const mc_tensor *t)
{
    return mc_dtype_about(t->dtype)->is_float;
}

/* ---- one node ---- */

/* Where operators have their weight, and how they see it. */
typedef struct {
    const char *domain, *op;
    mc_site_kind kind;
    unsigned weight, activation;
    int least_dims;
    bool outputs_last; /* the weight's last dimension is the outputs */
} role;

static const role roles[] = {
    {"", "Conv", MC_SITE_CONV, 1, 0, 3, false},
    {MC_DOMAIN_MS, "FusedConv", MC_SITE_CONV, 1, 0, 3, false},
    {"", "ConvTranspose", MC_SITE_CONV_TRANSPOSE, 1, 0, 3, false},
    {MC_DOMAIN, "Linear", MC_SITE_LINEAR, 1, 0, 2, false},
    {"", "MatMul", MC_SITE_LINEAR, 1, 0, 2, true},
    {MC_DOMAIN_MS, "FusedMatMul", MC_SITE_LINEAR, 1, 0, 2, true},
    {"", "Gemm", MC_SITE_LINEAR, 1, 0, 2, true},
    {"", "Gather", MC_SITE_EMBEDDING, 0, 1, 2, false},
    {"", "LSTM", MC_SITE_RECURRENT, 1, 0, 3, false},
    {"", "LSTM", MC_SITE_RECURRENT, 2, 0, 3, false},
    {"", "GRU", MC_SITE_RECURRENT, 1, 0, 3, false},
    {"", "GRU", MC_SITE_RECURRENT, 2, 0, 3, false},
    {"", "RNN", MC_SITE_RECURRENT, 1, 0, 3, false},
    {"", "RNN", MC_SITE_RECURRENT, 2, 0, 3, false},
};

static bool transposes_weight(const mc_node *n)
{
    if (mc_node_is(n, "", "Gemm") || mc_node_is(n, MC_DOMAIN_MS, "FusedMatMul"))
        return mc_node_int(n, "transB", 0) != 0;
    return false;
}

/* A matrix times an activation on its other side (W x) is no site here: its rows are outputs
 * already, but tokens run along the wrong axis. */
static bool site_of(const mc_graph *g, mc_id node, const role *r, mc_site *out)
{
    const mc_node *n = &g->node[node];
    if (!mc_node_is(n, r->domain, r->op)) return false;
    const mc_id activation = input_of(n, r->activation);
    const origin o = follow(g, input_of(n, r->weight));
    if (!o.tensor || !is_real(o.tensor) || o.tensor->ndim < r->least_dims || o.tensor->count == 0)
        return false;
    if (activation == MC_NONE || g->value[activation].constant) return false;
    if (r->kind == MC_SITE_EMBEDDING && (mc_node_int(n, "axis", 0) != 0 || o.transposed))
        return false;

    const bool outputs_last = r->outputs_last != transposes_weight(n);
    const char *name = n->name && n->name[0] ? n->name : "";
    if (!name[0] && n->outs > 0 && n->out[0] != MC_NONE) name = g->value[n->out[0]].name;
    *out = (mc_site){.node = node,
                     .kind = r->kind,
                     .name = name,
                     .weight_input = r->weight,
                     .activation_input = r->activation,
                     .weight = o.tensor,
                     .transposed = r->kind == MC_SITE_LINEAR && outputs_last != o.transposed,
                     .through = o.through,
                     .scaled = o.scaled,
                     .part = o.part};
    return true;
}

/* ---- what a site is for ---- */

/* Values from which a graph output is reached without meeting another site: backwards over the
 * ordered nodes, one pass. */
static void mark_last(const mc_graph *g, mc_sites *s, bool *ends)
{
    for (size_t i = 0; i < g->outputs; i++) ends[g->output[i]] = true;
    size_t site = s->sites;
    for (mc_id node = (mc_id)g->nodes; node-- > 0;) {
        const mc_node *n = &g->node[node];
        bool reaches = false;
        for (size_t i = 0; i < n->outs; i++) reaches |= n->out[i] != MC_NONE && ends[n->out[i]];
        bool is_site = false;
        while (site > 0 && s->site[site - 1].node == node) {
            site--;
            s->site[site].last = reaches && s->site[site].kind == MC_SITE_LINEAR;
            is_site = true;
        }
        if (!reaches || is_site) continue;
        for (size_t i = 0; i < n->ins; i++)
            if (n->in[i] != MC_NONE) ends[n->in[i]] = true;
    }
}

/* A site whose output chooses experts. */
static void mark_routers(const mc_graph *g, mc_sites *s)
{
    for (mc_id node = 0; node < g->nodes; node++) {
        const mc_node *n = &g->node[node];
        if (!mc_node_is(n, MC_DOMAIN, "RouteTopK") || n->ins == 0 || n->in[0] == MC_NONE) continue;
        const mc_id producer = g->value[n->in[0]].producer;
        for (size_t i = 0; i < s->sites; i++)
            if (s->site[i].node == producer) s->site[i].router = true;
    }
}

mc_status mc_sites_find(const mc_graph *g, mc_arena *mem, mc_sites *out, mc_err *err)
{
    *out = (mc_sites){.site = NULL};
    for (int fill = 0; fill < 2; fill++) {
        size_t n = 0;
        for (mc_id node = 0; node < g->nodes; node++)
            for (size_t r = 0; r < sizeof roles / sizeof roles[0]; r++) {
                mc_site site;
                if (!site_of(g, node, &roles[r], &site)) continue;
                if (fill) out->site[n] = site;
                n++;
            }
        out->sites = n;
        if (!fill) out->site = MC_NEW(mem, mc_site, n + 1);
        if (!out->site) return mc_no_room(err, "the sites of a graph");
    }
    mc_arena scratch = *mem;
    bool *ends = MC_NEW(&scratch, bool, g->values + 1);
    if (!ends) return mc_no_room(err, "the sites of a graph");
    mark_last(g, out, ends);
    mark_routers(g, out);
    return MC_OK;
}

const mc_site *mc_sites_of(const mc_sites *sites, const char *tensor_name)
{
    for (size_t i = 0; i < sites->sites; i++)
        if (strcmp(sites->site[i].weight->name, tensor_name) == 0) return &sites->site[i];
    return NULL;
}
