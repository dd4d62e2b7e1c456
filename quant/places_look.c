/* Uses of values and tensors, and what stands behind a site. */
#include "quant/places_look.h"

#include <string.h>

/* ---- lists ---- */

static void list_users(mc_look *l)
{
    const mc_graph *g = l->graph;
    for (mc_id n = 0; n < g->nodes; n++)
        for (size_t i = 0; i < g->node[n].ins; i++)
            if (g->node[n].in[i] != MC_NONE) l->start[g->node[n].in[i] + 1]++;
    for (size_t v = 0; v < g->values; v++) l->start[v + 1] += l->start[v];

    uint32_t *next = l->stack;
    for (size_t v = 0; v < g->values; v++) next[v] = l->start[v];
    for (mc_id n = 0; n < g->nodes; n++)
        for (size_t i = 0; i < g->node[n].ins; i++)
            if (g->node[n].in[i] != MC_NONE) l->user[next[g->node[n].in[i]]++] = n;
}

static void mark_constants(mc_look *l)
{
    const mc_graph *g = l->graph;
    for (size_t v = 0; v < g->values; v++) l->constant[v] = g->value[v].constant != NULL;
    for (mc_id n = 0; n < g->nodes; n++) {
        const mc_node *node = &g->node[n];
        bool all = node->ins > 0;
        for (size_t i = 0; i < node->attrs; i++) all = all && node->attr[i].kind != MC_ATTR_GRAPH;
        for (size_t i = 0; i < node->ins && all; i++)
            all = node->in[i] == MC_NONE || l->constant[node->in[i]];
        for (size_t i = 0; i < node->outs && all; i++)
            if (node->out[i] != MC_NONE) l->constant[node->out[i]] = 1;
    }
}

const mc_node *mc_look_maker(const mc_look *l, mc_id value)
{
    const mc_id producer = value == MC_NONE ? MC_NONE : l->graph->value[value].producer;
    return producer == MC_NONE ? NULL : &l->graph->node[producer];
}

mc_id mc_look_only_user(const mc_look *l, mc_id value)
{
    const uint32_t first = l->start[value];
    return l->uses[value] == 1 && l->start[value + 1] == first + 1 ? l->user[first] : MC_NONE;
}

/* ---- tensors ---- */

/* Steps from a value that follows from constants to what its users make of it. */
static size_t step_from(const mc_look *l, mc_id value, size_t *depth)
{
    const mc_graph *g = l->graph;
    size_t takers = l->uses[value] - (l->start[value + 1] - l->start[value]);
    for (uint32_t u = l->start[value]; u < l->start[value + 1]; u++) {
        const mc_node *node = &g->node[l->user[u]];
        bool on_constants = false;
        for (size_t i = 0; i < node->outs; i++) {
            const mc_id out = node->out[i];
            if (out == MC_NONE || !l->constant[out]) continue;
            on_constants = true;
            if (l->seen[out]) continue;
            l->seen[out] = 1;
            l->stack[(*depth)++] = out;
        }
        takers += !on_constants;
    }
    return takers;
}

size_t mc_look_takers(const mc_look *l, const mc_tensor *tensor)
{
    const mc_graph *g = l->graph;
    size_t depth = 0, takers = 0;
    memset(l->seen, 0, g->values);
    for (mc_id v = 0; v < g->values; v++)
        if (g->value[v].constant == tensor) {
            l->seen[v] = 1;
            l->stack[depth++] = v;
        }
    while (depth > 0) takers += step_from(l, l->stack[--depth], &depth);
    return takers;
}

const mc_tensor *mc_look_tensor(const mc_look *l, mc_id value)
{
    enum { MOST_STEPS = 8 };
    for (int i = 0; i < MOST_STEPS && value != MC_NONE; i++) {
        if (l->graph->value[value].constant) return l->graph->value[value].constant;
        const mc_node *n = mc_look_maker(l, value);
        if (!n || !(mc_node_is(n, "", "Cast") || mc_node_is(n, "", "Identity") ||
                    mc_node_is(n, "", "Reshape")))
            return NULL;
        value = mc_look_in(n, 0);
    }
    return NULL;
}

const mc_tensor *mc_look_vector(const mc_look *l, mc_id value, size_t n)
{
    const mc_tensor *t = mc_look_tensor(l, value);
    if (!t || t->ndim != 1 || t->dim[0] != n || !mc_dtype_about(t->dtype)->to_f32) return NULL;
    return mc_look_takers(l, t) == 1 ? t : NULL;
}

int mc_look_vector_axis(const mc_tensor *t)
{
    int axis = 0;
    for (int d = 0; d < t->ndim; d++)
        if (t->dim[d] != 1) axis = d;
    return axis;
}

bool mc_look_number(const mc_look *l, mc_id value, double *out)
{
    const mc_tensor *t = mc_look_tensor(l, value);
    if (!t || t->count != 1 || !t->data || !mc_dtype_about(t->dtype)->to_f32) return false;
    float x;
    mc_to_f32(t->dtype, t->data, &x, 1);
    *out = (double)x;
    return true;
}

bool mc_look_is_norm(const mc_look *l, const mc_node *n)
{
    if (!mc_node_is(n, "", "LayerNormalization") && !mc_node_is(n, "", "RMSNormalization"))
        return false;
    for (size_t i = 1; i < n->outs; i++)
        if (n->out[i] != MC_NONE && l->uses[n->out[i]] > 0) return false;
    const mc_id x = mc_look_in(n, 0);
    const int64_t axis = mc_node_int(n, "axis", -1);
    if (x == MC_NONE || n->outs == 0 || n->out[0] == MC_NONE) return false;
    const int ndim = l->graph->value[x].ndim;
    return axis == -1 || (ndim > 0 && axis == ndim - 1);
}

bool mc_look_pads(const mc_node *n)
{
    const int64_t *pad;
    const size_t pads = mc_node_ints(n, "pads", &pad);
    for (size_t i = 0; i < pads; i++)
        if (pad[i] != 0) return true;
    const char *automatic = mc_node_text(n, "auto_pad", "NOTSET");
    return strcmp(automatic, "NOTSET") != 0 && strcmp(automatic, "VALID") != 0;
}

/* ---- sites ---- */

static bool conv_axes(const mc_node *n, const mc_tensor *w, mc_site_axes *out)
{
    const uint64_t groups = (uint64_t)mc_node_int(n, "group", 1);
    if (groups == 1) {
        *out = (mc_site_axes){1, 0, (size_t)w->dim[1], (size_t)w->dim[0], 1};
        return true;
    }
    if (w->dim[1] != 1 || groups == 0 || w->dim[0] % groups != 0) return false;
    *out = (mc_site_axes){0, 0, (size_t)groups, (size_t)w->dim[0], (size_t)(w->dim[0] / groups)};
    return true;
}

bool mc_look_axes(const mc_graph *g, const mc_site *site, mc_site_axes *out)
{
    const mc_node *n = &g->node[site->node];
    const mc_tensor *w = site->weight;
    if (site->scaled) return false;
    if (mc_node_is(n, "", "Conv")) return !site->through && conv_axes(n, w, out);
    if (mc_node_is(n, "", "ConvTranspose") && mc_node_int(n, "group", 1) == 1) {
        *out = (mc_site_axes){0, 1, (size_t)w->dim[0], (size_t)w->dim[1], 1};
        return !site->through;
    }
    const bool linear = mc_node_is(n, MC_DOMAIN, "Linear") || mc_node_is(n, "", "MatMul") ||
                        (mc_node_is(n, "", "Gemm") && mc_node_int(n, "transA", 0) == 0);
    if (!linear || w->ndim != (site->part ? 3 : 2)) return false;
    const int first = site->part ? 1 : 0;
    *out =
        (mc_site_axes){.in = first + !site->transposed, .out = first + site->transposed, .each = 1};
    out->ins = (size_t)w->dim[out->in];
    out->outs = (size_t)w->dim[out->out];
    return true;
}

/* ---- what stands behind a site ---- */

static bool is_inference(const mc_look *l, const mc_node *n)
{
    if (n->ins != 5 || mc_node_int(n, "training_mode", 0) != 0 || mc_node_int(n, "spatial", 1) != 1)
        return false;
    if (n->version < 7 && mc_node_int(n, "is_test", 0) == 0) return false;
    for (size_t i = 1; i < n->outs; i++)
        if (n->out[i] != MC_NONE && l->uses[n->out[i]] > 0) return false;
    return true;
}

/* BatchNormalization behind a convolution, or behind a matrix of two dimensions. */
static void take_norm(const mc_look *l, const mc_site *site, size_t outs, mc_site_output *o)
{
    const mc_id user = mc_look_only_user(l, o->value);
    const mc_node *n = user == MC_NONE ? NULL : &l->graph->node[user];
    if (!n || !mc_node_is(n, "", "BatchNormalization") || n->in[0] != o->value) return;
    if (!is_inference(l, n)) return;
    if (site->kind == MC_SITE_LINEAR && l->graph->value[o->value].ndim != 2) return;
    const mc_tensor *part[4];
    for (size_t i = 0; i < 4; i++) {
        part[i] = mc_look_vector(l, n->in[i + 1], outs);
        if (!part[i] || part[i]->dtype != MC_F32) return;
    }
    o->norm.scale = part[0];
    o->norm.bias = part[1];
    o->norm.mean = part[2];
    o->norm.variance = part[3];
    o->norm.epsilon = mc_node_float(n, "epsilon", (double)1e-5f);
    o->value = n->out[0];
}

/* What an Add spreads over outputs along axis -1 - behind: a tensor with nothing else in it. */
static const mc_tensor *spread_vector(const mc_look *l, mc_id value, size_t outs, int behind)
{
    const mc_tensor *t = mc_look_tensor(l, value);
    if (!t || t->count != outs || !mc_dtype_about(t->dtype)->to_f32) return NULL;
    const int axis = t->ndim - 1 - behind;
    if (axis < 0 || t->dim[axis] != outs || l->graph->value[value].ndim > t->ndim) return NULL;
    if (l->graph->value[value].constant != t && t->ndim > 1)
        return NULL; /* seen in another shape */
    return mc_look_takers(l, t) == 1 ? t : NULL;
}

/* An Add of a vector behind a matrix product, or of one for each channel behind a convolution. */
static void take_added(const mc_look *l, const mc_site *site, size_t outs, mc_site_output *o)
{
    const mc_id user = mc_look_only_user(l, o->value);
    const mc_node *n = user == MC_NONE ? NULL : &l->graph->node[user];
    if (!n || !mc_node_is(n, "", "Add") || n->ins != 2 || n->version < 7) return;
    const mc_id other = n->in[0] == o->value ? n->in[1] : n->in[0];
    const int rank = l->graph->value[o->value].ndim;
    const bool matrix = site->kind == MC_SITE_LINEAR;
    if (other == o->value || (!matrix && rank < 3)) return;
    const mc_tensor *bias = spread_vector(l, other, outs, matrix ? 0 : rank - 2);
    if (!bias || (rank > 0 && bias->ndim > rank)) return;
    o->bias = bias;
    o->value = n->out[0];
}

static void find_output(const mc_look *l, const mc_site *site, mc_site_output *o)
{
    const mc_node *n = &l->graph->node[site->node];
    *o = (mc_site_output){.value = n->outs > 0 ? n->out[0] : MC_NONE, .fixed = true};
    mc_site_axes axes;
    if (o->value == MC_NONE || !mc_look_axes(l->graph, site, &axes)) return;
    const mc_id bias = mc_node_is(n, "", "MatMul") ? MC_NONE : mc_look_in(n, 2);
    o->fixed = false;
    if (bias != MC_NONE) {
        o->bias = mc_look_vector(l, bias, axes.outs);
        o->fixed = !o->bias;
    }
    if (mc_node_is(n, "", "Gemm"))
        o->fixed = o->fixed || (bias != MC_NONE && mc_node_float(n, "beta", 1.0) != 1.0);
    if (o->fixed) return;
    if (bias == MC_NONE) take_added(l, site, axes.outs, o);
    take_norm(l, site, axes.outs, o);
}

static mc_status alloc(mc_look *l, mc_arena *mem, mc_err *err)
{
    const size_t values = l->graph->values + 2, nodes = l->graph->nodes + 1;
    size_t inputs = 1;
    for (size_t n = 0; n < l->graph->nodes; n++) inputs += l->graph->node[n].ins;
    l->start = MC_NEW(mem, uint32_t, values);
    l->user = MC_NEW(mem, mc_id, inputs);
    l->uses = MC_NEW(mem, uint32_t, values);
    l->constant = MC_NEW(mem, unsigned char, values);
    l->site_of_node = MC_NEW_RAW(mem, uint32_t, nodes);
    l->output = MC_NEW(mem, mc_site_output, l->sites->sites + 1);
    l->site_of_value = MC_NEW_RAW(mem, uint32_t, values);
    l->stack = MC_NEW_RAW(mem, mc_id, values);
    l->seen = MC_NEW(mem, unsigned char, values);
    const bool room = l->start && l->user && l->uses && l->constant && l->site_of_node &&
                      l->output && l->site_of_value && l->stack && l->seen;
    return room ? MC_OK : mc_no_room(err, "places of transforms");
}

mc_status mc_look_open(const mc_graph *graph, const mc_sites *sites, mc_arena *mem, mc_look *out,
                       mc_err *err)
{
    *out = (mc_look){.graph = graph, .sites = sites};
    MC_TRY(alloc(out, mem, err));
    mc_graph_uses(graph, out->uses, NULL);
    list_users(out);
    mark_constants(out);
    for (size_t n = 0; n < graph->nodes; n++) out->site_of_node[n] = MC_NONE;
    for (size_t v = 0; v < graph->values; v++) out->site_of_value[v] = MC_NONE;
    for (size_t s = sites->sites; s-- > 0;) {
        const mc_site *site = &sites->site[s];
        out->site_of_node[site->node] = (uint32_t)s;
        find_output(out, site, &out->output[s]);
        if (!out->output[s].fixed) out->site_of_value[out->output[s].value] = (uint32_t)s;
    }
    return MC_OK;
}
