/* What has to be known of a graph before it can be written: how its values are called, and which
 * of them its file lists where. Found in the first pass, used in all. */
#include "core/ckd.h"
#include "core/graph_walk.h"
#include "formats/onnx_write_parts.h"

#include <inttypes.h>
#include <string.h>

/* ---- memory ---- */

/* A value takes part in four lists and in the tree of names, which doubles as it grows. */
enum { GRAPH_BYTES = 4096, VALUE_BYTES = 768 };

static mc_status add_bytes(const mc_graph *g, int depth, size_t *bytes, mc_err *err)
{
    if (depth > MC_GRAPH_DEPTH)
        return mc_fail(err, MC_E_UNSUPPORTED, "has graphs more than %d deep in graphs",
                       (int)MC_GRAPH_DEPTH);
    size_t own;
    if (!mc_mul_size(g->values, VALUE_BYTES, &own) || !mc_add_size(own, GRAPH_BYTES, &own) ||
        !mc_add_size(*bytes, own, bytes))
        return mc_no_room(err, "the names of a graph");
    for (size_t i = 0; i < g->nodes; i++) {
        mc_body_place place = {0};
        for (const mc_graph *body; (body = mc_node_next_body(&g->node[i], &place));)
            MC_TRY(add_bytes(body, depth + 1, bytes, err));
    }
    return MC_OK;
}

mc_status mc_onnx_written_memory(const mc_model *m, size_t *bytes, mc_err *err)
{
    const mc_graph *g = m->graph ? m->graph : m->onnx->graph[0].graph;
    const mc_graph *read = m->onnx ? m->onnx->graph[0].graph : NULL;
    *bytes = 0;
    MC_TRY(add_bytes(g, 0, bytes, err));
    for (size_t i = 0; read && i < read->functions; i++) {
        const mc_function *f = &read->function[i];
        MC_TRY(add_bytes(f->body, 0, bytes, err));
        const mc_node defaults = {.attr = (mc_attr *)(uintptr_t)f->fallback, .attrs = f->fallbacks};
        mc_body_place place = {0};
        for (const mc_graph *body; (body = mc_node_next_body(&defaults, &place));)
            MC_TRY(add_bytes(body, 1, bytes, err));
    }
    return MC_OK;
}

/* ---- names ---- */

/* Values that nothing names get a name that no one would choose. */
static const char *new_name(mc_onnx_writing *w, const mc_onnx_written *s, mc_id id)
{
    for (unsigned i = 0;; i++) {
        mc_arena mem = *w->mem;
        const char *name = mc_format(&mem, "mcompress.%" PRIu32 ".%u", id, i);
        if (name && mc_onnx_names_find(&s->names, name, strlen(name)) != MC_NONE) continue;
        *w->mem = mem;
        return name;
    }
}

static mc_status add_name(mc_onnx_writing *w, mc_onnx_written *s, mc_id id)
{
    const mc_value *v = &s->graph->value[id];
    const bool is_outer = v->outer != MC_NONE && s->outer;
    if (is_outer && v->outer >= s->outer->graph->values)
        return mc_fail(w->err, MC_E_INTERNAL, "value %s is of no graph", mc_quote(v->name).text);
    const char *name = is_outer ? s->outer->name[v->outer] : v->name;
    s->name[id] = name;
    if (name[0] == '\0') return MC_OK;
    const mc_onnx_names_result got = mc_onnx_names_add(&s->names, w->mem, name, strlen(name), id);
    if (got == MC_NAMES_FULL) return mc_no_room(w->err, "the names of a graph");
    if (got == MC_NAMES_THERE && !is_outer)
        return mc_fail(w->err, MC_E_USAGE, "two values are called %s", mc_quote(name).text);
    return MC_OK;
}

static mc_status name_values(mc_onnx_writing *w, mc_onnx_written *s)
{
    for (size_t i = 0; i < s->graph->values; i++) MC_TRY(add_name(w, s, (mc_id)i));
    for (size_t i = 0; i < s->graph->values; i++) {
        if (s->name[i][0] != '\0') continue;
        s->name[i] = new_name(w, s, (mc_id)i);
        if (!s->name[i]) return mc_no_room(w->err, "the names of a graph");
    }
    return MC_OK;
}

/* ---- marks ---- */

static mc_status check_ids(mc_onnx_writing *w, const mc_graph *g, const mc_id *id, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (id[i] != MC_NONE && id[i] >= g->values)
            return mc_fail(w->err, MC_E_INTERNAL, "value %" PRIu32 " is of no graph", id[i]);
    return MC_OK;
}

static mc_status mark_given(mc_onnx_writing *w, mc_onnx_written *s)
{
    const mc_graph *g = s->graph;
    MC_TRY(check_ids(w, g, g->input, g->inputs));
    MC_TRY(check_ids(w, g, g->output, g->outputs));
    for (size_t i = 0; i < g->values; i++)
        s->given[i] = g->value[i].constant || g->value[i].outer != MC_NONE;
    for (size_t i = 0; i < g->inputs; i++) s->given[g->input[i]] = true;
    for (size_t i = 0; i < g->nodes; i++) {
        const mc_node *n = &g->node[i];
        MC_TRY(check_ids(w, g, n->in, n->ins));
        MC_TRY(check_ids(w, g, n->out, n->outs));
        for (size_t k = 0; k < n->outs; k++)
            if (n->out[k] != MC_NONE) s->given[n->out[k]] = true;
    }
    return MC_OK;
}

static void mark_listed(mc_onnx_written *s)
{
    const bool is_function = s->at == &mc_onnx_of_function;
    mc_cursor in = s->raw;
    mc_wire_field f;
    while (mc_wire_next(&in, &f)) {
        const bool is_input = f.number == s->at->input, is_output = f.number == s->at->output;
        const bool is_tensor = !is_function && f.number == s->at->initializer;
        if (!is_input && !is_output && !is_tensor) continue;
        const mc_cursor name = is_function ? f.bytes : mc_onnx_part(f.bytes, is_tensor ? 8 : 1);
        const mc_id id = mc_onnx_names_find(&s->names, (const char *)name.at, mc_left(&name));
        if (id == MC_NONE) continue;
        const mc_raw field = {f.from, (size_t)(in.at - f.from)};
        if (is_input) s->input[id] = field;
        if (is_output) s->output[id] = field;
        if (is_tensor) s->initialized[id] = true;
    }
}

mc_status mc_onnx_enter(mc_onnx_writing *w, const mc_graph *graph, mc_cursor raw, bool is_function,
                        mc_onnx_written *outer, mc_onnx_written **out)
{
    *out = *w->next;
    if (!*out) {
        mc_onnx_written *s = MC_NEW(w->mem, mc_onnx_written, 1);
        if (!s) return mc_no_room(w->err, "a graph");
        *s = (mc_onnx_written){.graph = graph, .raw = raw, .outer = outer};
        s->at = is_function ? &mc_onnx_of_function : &mc_onnx_of_graph;
        s->in_function = is_function || (outer && outer->in_function);
        s->name = MC_NEW(w->mem, const char *, graph->values);
        s->given = MC_NEW(w->mem, bool, graph->values);
        s->initialized = MC_NEW(w->mem, bool, graph->values);
        s->input = MC_NEW(w->mem, mc_raw, graph->values);
        s->output = MC_NEW(w->mem, mc_raw, graph->values);
        if (!s->name || !s->given || !s->initialized || !s->input || !s->output)
            return mc_no_room(w->err, "a graph");
        MC_TRY(name_values(w, s));
        MC_TRY(mark_given(w, s));
        mark_listed(s);
        *w->next = *out = s;
    }
    w->next = &(*out)->next;
    return MC_OK;
}
