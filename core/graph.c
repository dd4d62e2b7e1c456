/* Building and looking at graphs. Lists double when they are full; what they leave behind stays in
 * the arena. When memory runs out the arena is emptied, so that every later call fails as well and
 * mc_graph_check can tell. */
#include "core/graph.h"

#include "core/bytes.h"
#include "core/ckd.h"
#include "core/graph_walk.h"
#include "core/nd.h"

#include <stdio.h>
#include <string.h>

/* ---- building ---- */

static void *ran_out(mc_graph *g)
{
    if (g->mem) g->mem->at = g->mem->end;
    return NULL;
}

static void *take(mc_graph *g, size_t count, size_t size)
{
    void *room = g->mem ? mc_alloc(g->mem, count, size) : NULL;
    return room ? room : ran_out(g);
}

/* Makes room for one more element in a list of `*n` elements with room for `*room`. */
static bool grow(mc_graph *g, void **list, size_t n, size_t *room, size_t size)
{
    if (n < *room) return true;
    if (n >= MC_NONE / 2) return ran_out(g) != NULL;
    const size_t more = *room > 0 ? 2 * *room : 8;
    void *longer = take(g, more, size);
    if (!longer) return false;
    if (n > 0) memcpy(longer, *list, n * size);
    *list = longer;
    *room = more;
    return true;
}

mc_graph *mc_graph_new(mc_arena *mem, const char *name)
{
    mc_graph *g = MC_NEW(mem, mc_graph, 1);
    if (!g) {
        mem->at = mem->end;
        return NULL;
    }
    g->name = name ? name : "";
    g->mem = mem;
    return g;
}

mc_id mc_graph_add_value(mc_graph *g, const char *name)
{
    void *list = g->value;
    if (!grow(g, &list, g->values, &g->value_room, sizeof *g->value)) return MC_NONE;
    g->value = list;
    g->value[g->values] = (mc_value){
        .name = name ? name : "", .ndim = MC_RANK_UNKNOWN, .producer = MC_NONE, .outer = MC_NONE};
    return (mc_id)g->values++;
}

static bool add_id(mc_graph *g, mc_id **list, size_t *n, size_t *room, mc_id id)
{
    void *ids = *list;
    if (!grow(g, &ids, *n, room, sizeof id)) return false;
    *list = ids;
    (*list)[(*n)++] = id;
    return true;
}

mc_id mc_graph_add_input(mc_graph *g, const char *name, mc_dtype dtype, int ndim,
                         const int64_t *dim)
{
    const mc_id id = mc_graph_add_value(g, name);
    if (id == MC_NONE) return MC_NONE;
    mc_value *v = &g->value[id];
    v->dtype = dtype;
    v->ndim = ndim < 0 || ndim > MC_MAX_DIMS ? MC_RANK_UNKNOWN : ndim;
    for (int i = 0; i < v->ndim; i++) v->dim[i] = dim[i];
    return add_id(g, &g->input, &g->inputs, &g->input_room, id) ? id : MC_NONE;
}

mc_id mc_graph_add_constant(mc_graph *g, const mc_tensor *tensor)
{
    const mc_id id = mc_graph_add_value(g, tensor->name);
    if (id == MC_NONE) return MC_NONE;
    mc_value *v = &g->value[id];
    v->dtype = tensor->dtype;
    v->ndim = tensor->ndim;
    for (int i = 0; i < tensor->ndim; i++) v->dim[i] = (int64_t)tensor->dim[i];
    v->constant = tensor;
    return id;
}

bool mc_graph_add_output(mc_graph *g, mc_id value)
{
    return value != MC_NONE && add_id(g, &g->output, &g->outputs, &g->output_room, value);
}

static void *copy_list(mc_graph *g, const void *list, size_t n, size_t size)
{
    if (n == 0) return NULL;
    void *copy = take(g, n, size);
    if (copy) memcpy(copy, list, n * size);
    return copy;
}

mc_node *mc_graph_add_node(mc_graph *g, const mc_node *node)
{
    void *list = g->node;
    if (!grow(g, &list, g->nodes, &g->node_room, sizeof *g->node)) return NULL;
    g->node = list;

    mc_node copy = *node;
    copy.name = node->name ? node->name : "";
    copy.domain = node->domain ? node->domain : "";
    copy.overload = node->overload ? node->overload : "";
    copy.in = copy_list(g, node->in, node->ins, sizeof *node->in);
    copy.out = copy_list(g, node->out, node->outs, sizeof *node->out);
    copy.attr = copy_list(g, node->attr, node->attrs, sizeof *node->attr);
    if ((node->ins && !copy.in) || (node->outs && !copy.out) || (node->attrs && !copy.attr))
        return NULL;

    for (size_t i = 0; i < copy.outs; i++) {
        if (copy.out[i] < g->values) g->value[copy.out[i]].producer = (mc_id)g->nodes;
    }
    g->node[g->nodes] = copy;
    return &g->node[g->nodes++];
}

mc_id mc_graph_apply(mc_graph *g, const char *domain, const char *op, int version, const mc_id *in,
                     size_t ins, const char *name)
{
    mc_id out = mc_graph_add_value(g, name);
    if (out == MC_NONE) return MC_NONE;
    const mc_node node = {.name = name,
                          .op = op,
                          .domain = domain,
                          .version = version,
                          .in = copy_list(g, in, ins, sizeof *in),
                          .ins = ins,
                          .out = &out,
                          .outs = 1,
                          .origin = MC_NONE};
    if (ins > 0 && !node.in) return MC_NONE;
    return mc_graph_add_node(g, &node) ? out : MC_NONE;
}

static mc_attr *add_attr(mc_graph *g, const char *name, mc_attr_kind kind, size_t count)
{
    if (g->nodes == 0) return NULL;
    mc_node *node = &g->node[g->nodes - 1];
    mc_attr *list = take(g, node->attrs + 1, sizeof *list);
    if (!list) return NULL;
    if (node->attrs > 0) memcpy(list, node->attr, node->attrs * sizeof *list);
    node->attr = list;
    mc_attr *a = &list[node->attrs];
    *a = (mc_attr){.name = name, .kind = kind, .count = count};
    return a;
}

/* Counts the attribute once its value has found room too. */
static bool end_attr(mc_graph *g, const void *value)
{
    if (!value) return false;
    g->node[g->nodes - 1].attrs++;
    return true;
}

bool mc_node_add_int(mc_graph *g, const char *name, int64_t value)
{
    mc_attr *a = add_attr(g, name, MC_ATTR_INT, 1);
    if (!a) return false;
    a->i = copy_list(g, &value, 1, sizeof value);
    return end_attr(g, a->i);
}

bool mc_node_add_float(mc_graph *g, const char *name, float value)
{
    mc_attr *a = add_attr(g, name, MC_ATTR_FLOAT, 1);
    if (!a) return false;
    a->f = copy_list(g, &value, 1, sizeof value);
    return end_attr(g, a->f);
}

bool mc_node_add_text(mc_graph *g, const char *name, const char *value)
{
    mc_attr *a = add_attr(g, name, MC_ATTR_STRING, 1);
    if (!a) return false;
    const size_t length = strlen(value);
    const char *copy = copy_list(g, value, length + 1, 1);
    a->s_bytes = copy_list(g, &length, 1, sizeof length);
    a->s = copy_list(g, &copy, 1, sizeof copy);
    return end_attr(g, copy && a->s_bytes ? a->s : NULL);
}

bool mc_node_add_ints(mc_graph *g, const char *name, const int64_t *value, size_t n)
{
    mc_attr *a = add_attr(g, name, MC_ATTR_INTS, n);
    if (!a) return false;
    int64_t *copy = take(g, n > 0 ? n : 1, sizeof *copy);
    if (copy && n > 0) memcpy(copy, value, n * sizeof *copy);
    a->i = copy;
    return end_attr(g, copy);
}

/* ---- small constants ---- */

/* A tensor of our own; *data is where its bytes go. */
static mc_tensor *new_tensor(mc_graph *g, mc_tensor like, const int64_t *dim, unsigned char **data)
{
    mc_tensor *t = take(g, 1, sizeof *t);
    if (!t || like.ndim < 0 || like.ndim > MC_MAX_DIMS) return NULL;
    *t = like;
    t->count = 1;
    for (int i = 0; i < t->ndim; i++) {
        if (dim[i] < 0 || !mc_mul_u64(t->count, (uint64_t)dim[i], &t->count)) return NULL;
        t->dim[i] = (uint64_t)dim[i];
    }
    if (!mc_mul_u64(t->count, mc_dtype_about(t->dtype)->bits / 8, &t->bytes)) return NULL;
    *data = take(g, t->bytes > 0 ? (size_t)t->bytes : 1, 1);
    t->data = *data;
    return t->data ? t : NULL;
}

mc_id mc_graph_const_f32(mc_graph *g, const char *name, int ndim, const int64_t *dim,
                         const float *value)
{
    unsigned char *data;
    mc_tensor *t =
        new_tensor(g, (mc_tensor){.name = name, .dtype = MC_F32, .ndim = ndim}, dim, &data);
    if (!t) return MC_NONE;
    for (size_t i = 0; i < t->count; i++) {
        uint32_t bits;
        memcpy(&bits, &value[i], sizeof bits);
        mc_store_u32le(data + 4 * i, bits);
    }
    return mc_graph_add_constant(g, t);
}

mc_id mc_graph_const_i64(mc_graph *g, const char *name, int ndim, const int64_t *dim,
                         const int64_t *value)
{
    unsigned char *data;
    mc_tensor *t =
        new_tensor(g, (mc_tensor){.name = name, .dtype = MC_I64, .ndim = ndim}, dim, &data);
    if (!t) return MC_NONE;
    for (size_t i = 0; i < t->count; i++) mc_store_u64le(data + 8 * i, (uint64_t)value[i]);
    return mc_graph_add_constant(g, t);
}

/* ---- copying ---- */

static mc_graph *copy_graph(const mc_graph *g, mc_arena *mem, mc_graph *outer, int depth);

static bool copy_bodies(mc_graph *to, mc_attr *a, int depth)
{
    mc_graph **body = take(to, a->count, sizeof(mc_graph *));
    if (!body) return false;
    for (size_t i = 0; i < a->count; i++) {
        body[i] = a->g[i] ? copy_graph(a->g[i], to->mem, to, depth + 1) : NULL;
        if (a->g[i] && !body[i]) return false;
    }
    a->g = body;
    return true;
}

static bool copy_node(mc_graph *to, const mc_node *node, mc_id index, int depth)
{
    mc_node *copy = mc_graph_add_node(to, node);
    if (!copy) return false;
    copy->origin = index;
    for (size_t i = 0; i < copy->attrs; i++) {
        if (copy->attr[i].g && !copy_bodies(to, &copy->attr[i], depth)) return false;
    }
    return true;
}

static mc_graph *copy_graph(const mc_graph *g, mc_arena *mem, mc_graph *outer, int depth)
{
    if (depth > MC_GRAPH_DEPTH) return NULL;
    mc_graph *to = mc_graph_new(mem, g->name);
    if (!to) return NULL;
    to->outer = outer;
    to->function = g->function;
    to->functions = g->functions;
    to->value = copy_list(to, g->value, g->values, sizeof *g->value);
    to->input = copy_list(to, g->input, g->inputs, sizeof *g->input);
    to->output = copy_list(to, g->output, g->outputs, sizeof *g->output);
    to->node = take(to, g->nodes > 0 ? g->nodes : 1, sizeof *g->node);
    if ((g->values && !to->value) || (g->inputs && !to->input) || (g->outputs && !to->output) ||
        !to->node)
        return NULL;
    to->values = to->value_room = g->values;
    to->inputs = to->input_room = g->inputs;
    to->outputs = to->output_room = g->outputs;
    to->node_room = g->nodes;
    for (size_t i = 0; i < g->nodes; i++) {
        if (!copy_node(to, &g->node[i], (mc_id)i, depth)) return NULL;
    }
    return to;
}

mc_graph *mc_graph_copy(const mc_graph *g, mc_arena *mem)
{
    return copy_graph(g, mem, g->outer, 0);
}
