/* Calls of local functions become their bodies.
 *
 * The values of a body become values of the graph that calls it; those that are its inputs and
 * outputs are the call's. Attributes that refer to the call's take its value, or the function's
 * default, or are left out. A body may call further functions, not itself: calls inside calls are
 * bounded, and so is the number of nodes that come out, which could double at every level. */
#include "core/passes.h"

#include "core/graph_walk.h"
#include "core/op.h"

#include <stdlib.h>
#include <string.h>

enum { NODES = 1 << 20 /* that calls may become in all */ };

typedef struct {
    const mc_function **by_name;
    size_t functions;
    size_t nodes, calls; /* so far */
    mc_arena *mem;
    mc_err *err;
} expansion;

/* One call that is being replaced. */
typedef struct {
    const mc_function *f;
    const mc_node *node; /* the call; its attributes refer to nothing any more */
    mc_graph *graph;     /* that the call is in, and its body comes to */
    mc_id *id;           /* of each value of the body: the value in that graph */
    int depth;
} call;

static mc_status place(expansion *x, call c, mc_arena scratch);

/* ---- which node is a call ---- */

static int order(const char *name_a, const char *domain_a, const char *overload_a,
                 const mc_function *b)
{
    int by = strcmp(name_a, b->name);
    if (by == 0) by = strcmp(domain_a, b->domain);
    return by == 0 ? strcmp(overload_a, b->overload) : by;
}

static int by_name(const void *a, const void *b)
{
    const mc_function *f = *(const mc_function *const *)a;
    return order(f->name, f->domain, f->overload, *(const mc_function *const *)b);
}

static int by_call(const void *node, const void *b)
{
    const mc_node *n = node;
    return order(n->op, n->domain, n->overload, *(const mc_function *const *)b);
}

static const mc_function *called(const expansion *x, const mc_node *node)
{
    const mc_function **f = bsearch(node, x->by_name, x->functions, sizeof *x->by_name, by_call);
    return f ? *f : NULL;
}

/* ---- attributes ---- */

static const mc_attr *find(const mc_attr *list, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i].name, name) == 0) return &list[i];
    return NULL;
}

/* What an attribute stands for; NULL when it is left out. */
static const mc_attr *meant(const call *c, const mc_attr *a)
{
    if (!a->refers) return a;
    const mc_attr *given = find(c->node->attr, c->node->attrs, a->refers);
    return given ? given : find(c->f->fallback, c->f->fallbacks, a->refers);
}

static mc_status copy_body(expansion *x, const call *c, const mc_graph *from, const mc_id *id,
                           mc_graph **out, mc_graph *outer);

/* Subgraphs of the body see its values. One that the call gives sees the values around the call, so
 * it can only stand where those are. */
static mc_status copy_bodies(expansion *x, const call *c, mc_graph *g, bool is_given, mc_attr *a)
{
    if (is_given && g != c->graph)
        return mc_fail(x->err, MC_E_UNSUPPORTED, "attribute %s gives a graph to a graph inside",
                       a->name);
    const mc_id *id = g == c->graph && !is_given ? c->id : NULL;
    mc_graph **body = MC_NEW(x->mem, mc_graph *, a->count);
    if (!body) return mc_no_room(x->err, "a function's body");
    for (size_t i = 0; i < a->count; i++) MC_TRY(copy_body(x, c, a->g[i], id, &body[i], g));
    a->g = body;
    return MC_OK;
}

/* The attributes of a node of the body, in `g`, which is the graph of the call or one inside. */
static mc_status copy_attrs(expansion *x, const call *c, mc_graph *g, mc_node *n)
{
    mc_attr *list = MC_NEW(x->mem, mc_attr, n->attrs);
    if (!list) return mc_no_room(x->err, "a function's attributes");
    size_t kept = 0;
    for (size_t i = 0; i < n->attrs; i++) {
        const mc_attr *a = &n->attr[i], *m = meant(c, a);
        if (!m) continue;
        if (a->kind != MC_ATTR_NONE && a->kind != m->kind)
            return mc_fail(x->err, MC_E_FORMAT,
                           "attribute %s refers to %s, which is of another kind", a->name, m->name);
        mc_attr *copy = &list[kept++];
        *copy = *m;
        copy->name = a->name;
        if (m != a) copy->raw = (mc_raw){0};
        if (copy->g) MC_TRY(copy_bodies(x, c, g, m != a, copy));
    }
    n->attr = list;
    n->attrs = kept;
    return MC_OK;
}

/* ---- graphs inside a body ---- */

static mc_status copy_values(expansion *x, const mc_graph *from, const mc_id *id, mc_graph *to)
{
    for (size_t i = 0; i < from->values; i++) {
        const mc_value *v = &from->value[i];
        if (mc_graph_add_value(to, v->name) == MC_NONE) return mc_no_room(x->err, "a body");
        mc_value *copy = &to->value[i];
        *copy = *v;
        if (v->outer == MC_NONE || !id) continue;
        copy->outer = id[v->outer];
        if (copy->outer == MC_NONE)
            return mc_fail(x->err, MC_E_FORMAT, "a graph takes '%s', which the call leaves out",
                           v->name);
    }
    return MC_OK;
}

/* `id` says what values of the graph around have become; NULL: they are the same. Ids inside do not
 * change. No deeper than graphs are inside graphs: those were checked. */
static mc_status copy_body(expansion *x, const call *c, const mc_graph *from, const mc_id *id,
                           mc_graph **out, mc_graph *outer)
{
    mc_graph *to = mc_graph_new(x->mem, from->name);
    if (!to) return mc_no_room(x->err, "a function's body");
    to->outer = outer;
    *out = to;
    MC_TRY(copy_values(x, from, id, to));
    to->inputs = to->input_room = from->inputs; /* a list that is not written to may be shared */
    to->input = from->input;
    for (size_t i = 0; i < from->outputs; i++) mc_graph_add_output(to, from->output[i]);
    for (size_t i = 0; i < from->nodes; i++) {
        mc_node n = from->node[i];
        n.origin = c->node->origin;
        MC_TRY(copy_attrs(x, c, to, &n));
        if (!mc_graph_add_node(to, &n)) return mc_no_room(x->err, "a function's body");
    }
    return MC_OK;
}

/* ---- the body itself ---- */

/* A value of its own, named after the function; the number keeps names apart. */
static mc_id new_value(expansion *x, const call *c, const mc_value *v)
{
    const char *name = mc_format(x->mem, "%s#%zu/%s", c->f->name, x->calls, v->name);
    const mc_id id = name ? mc_graph_add_value(c->graph, name) : MC_NONE;
    if (id == MC_NONE) return MC_NONE;
    mc_value *copy = &c->graph->value[id];
    *copy = *v;
    copy->name = name;
    copy->outer = copy->producer = MC_NONE;
    return id;
}

static bool is_free(const call *c, mc_id of_body)
{
    return c->id[of_body] == MC_NONE && c->f->body->value[of_body].producer != MC_NONE;
}

/* What every value of the body is in the graph of the call. */
static mc_status bind(expansion *x, const call *c)
{
    const mc_graph *body = c->f->body;
    const mc_node *n = c->node;
    if (n->ins > body->inputs || n->outs > body->outputs)
        return mc_fail(x->err, MC_E_FORMAT,
                       "%zu inputs and %zu outputs, at most %zu and %zu are "
                       "allowed",
                       n->ins, n->outs, body->inputs, body->outputs);
    for (size_t i = 0; i < body->values; i++) c->id[i] = MC_NONE;
    for (size_t i = 0; i < n->outs; i++)
        if (n->out[i] != MC_NONE && is_free(c, body->output[i])) c->id[body->output[i]] = n->out[i];
    for (size_t i = 0; i < body->values; i++)
        if (is_free(c, (mc_id)i) || body->value[i].constant)
            if ((c->id[i] = c->id[i] != MC_NONE ? c->id[i] : new_value(x, c, &body->value[i])) ==
                MC_NONE)
                return mc_no_room(x->err, "a function's values");
    for (size_t i = 0; i < n->ins; i++) c->id[body->input[i]] = n->in[i];
    return MC_OK;
}

static mc_id *map(const call *c, const mc_id *from, size_t n, mc_arena *scratch)
{
    mc_id *to = MC_NEW_RAW(scratch, mc_id, n);
    for (size_t i = 0; to && i < n; i++) to[i] = from[i] == MC_NONE ? MC_NONE : c->id[from[i]];
    return to;
}

static mc_status put_node(expansion *x, const call *c, const mc_node *from, mc_arena scratch)
{
    mc_node n = *from;
    n.origin = c->node->origin;
    n.raw = (mc_raw){0};
    n.in = map(c, from->in, from->ins, &scratch);
    n.out = map(c, from->out, from->outs, &scratch);
    if (!n.in || !n.out) return mc_no_room(x->err, "a function's nodes");
    if (++x->nodes > NODES)
        return mc_fail(x->err, MC_E_FORMAT, "functions become more than %d nodes", (int)NODES);
    MC_TRY(copy_attrs(x, c, c->graph, &n));
    const mc_function *f = called(x, &n);
    if (f)
        return place(x, (call){.f = f, .node = &n, .graph = c->graph, .depth = c->depth + 1},
                     scratch);
    return mc_graph_add_node(c->graph, &n) ? MC_OK : mc_no_room(x->err, "a function's nodes");
}

/* An output that is an input of the body too, or is given twice, needs a node. */
static mc_status put_outputs(expansion *x, const call *c)
{
    for (size_t i = 0; i < c->node->outs; i++) {
        mc_id in = c->id[c->f->body->output[i]], out = c->node->out[i];
        if (out == MC_NONE || in == out) continue;
        const mc_node n = {.name = c->node->name,
                           .op = "Identity",
                           .domain = "",
                           .version = MC_OPSET_NEWEST,
                           .in = &in,
                           .ins = 1,
                           .out = &out,
                           .outs = 1,
                           .origin = c->node->origin};
        if (!mc_graph_add_node(c->graph, &n)) return mc_no_room(x->err, "a function's nodes");
    }
    return MC_OK;
}

static mc_status place_body(expansion *x, const call *c, mc_arena scratch)
{
    if (c->depth > MC_GRAPH_DEPTH)
        return mc_fail(x->err, MC_E_FORMAT, "functions call each other, deeper than %d",
                       (int)MC_GRAPH_DEPTH);
    x->calls++;
    MC_TRY(bind(x, c));
    for (size_t i = 0; i < c->f->body->nodes; i++)
        MC_TRY(put_node(x, c, &c->f->body->node[i], scratch));
    return put_outputs(x, c);
}

static mc_status place(expansion *x, call c, mc_arena scratch)
{
    c.id = MC_NEW_RAW(&scratch, mc_id, c.f->body->values);
    if (!c.id) return mc_no_room(x->err, "a function's values");
    if (place_body(x, &c, scratch) == MC_OK) return MC_OK;
    return c.depth > 0 ? x->err->status
                       : mc_wrap(x->err, "call '%s' of function %s", c.node->name, c.f->name);
}

/* ---- graphs ---- */

static mc_status replace_calls(expansion *x, mc_graph *g, mc_arena scratch)
{
    mc_node *old = g->node;
    const size_t n = g->nodes;
    g->node = NULL;
    g->nodes = g->node_room = 0;
    for (size_t i = 0; i < n; i++) {
        const mc_function *f = called(x, &old[i]);
        if (f)
            MC_TRY(place(x, (call){.f = f, .node = &old[i], .graph = g}, scratch));
        else if (!mc_graph_add_node(g, &old[i]))
            return mc_no_room(x->err, "the nodes of a graph");
    }
    return MC_OK;
}

static mc_status expand(expansion *x, mc_graph *g, mc_arena scratch, int depth)
{
    if (depth > MC_GRAPH_DEPTH)
        return mc_fail(x->err, MC_E_FORMAT, "graphs inside graphs, deeper than %d",
                       (int)MC_GRAPH_DEPTH);
    bool calls = false;
    for (size_t i = 0; i < g->nodes && !calls; i++) calls = called(x, &g->node[i]) != NULL;
    if (calls) MC_TRY(replace_calls(x, g, scratch));
    for (size_t i = 0; i < g->nodes; i++) {
        mc_body_place at = {0};
        for (mc_graph *body; (body = mc_node_next_body(&g->node[i], &at));)
            MC_TRY(expand(x, body, scratch, depth + 1));
    }
    return MC_OK;
}

mc_status mc_pass_functions(mc_graph *graph, mc_arena scratch, mc_err *err)
{
    if (graph->functions == 0) return MC_OK;
    expansion x = {.functions = graph->functions, .mem = graph->mem, .err = err};
    x.by_name = MC_NEW_RAW(&scratch, const mc_function *, x.functions);
    if (!x.by_name) return mc_no_room(err, "the functions");
    for (size_t i = 0; i < x.functions; i++) x.by_name[i] = &graph->function[i];
    qsort(x.by_name, x.functions, sizeof *x.by_name, by_name);
    MC_TRY(expand(&x, graph, scratch, 0));
    graph->functions = 0;
    return MC_OK;
}
