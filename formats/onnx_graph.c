/* GraphProto and FunctionProto -> mc_graph.
 *
 * Fields come in any order and nodes may take what later nodes give. So a graph is walked several
 * times, always over its own fields alone: first all that gives a value a name (inputs,
 * initializers, outputs of nodes), then what describes values, then the nodes. A name that a
 * subgraph does not give is looked for in the graphs around it; every graph in between gets a value
 * for it. */
#include "formats/onnx_parts.h"

#include <string.h>

const mc_onnx_layout mc_onnx_of_graph = {1, 5, 11, 12, 13, 15};
const mc_onnx_layout mc_onnx_of_function = {.node = 7, .input = 4, .output = 5, .value_info = 12};

typedef struct {
    mc_onnx_read *r;
    mc_onnx_scope *scope;
    const mc_onnx_layout *at;
    mc_cursor in;
    mc_onnx_graph *kept;
} body;

/* ---- texts ---- */

bool mc_onnx_is(mc_cursor field, const char *text)
{
    return mc_left(&field) == strlen(text) && memcmp(field.at, text, strlen(text)) == 0;
}

mc_quoted mc_onnx_quote(mc_cursor text)
{
    const mc_pull_token token = {.at = text.at, .bytes = mc_left(&text), .kind = MC_PULL_TEXT};
    return mc_quote_token(&token);
}

const char *mc_onnx_text(mc_onnx_read *r, mc_cursor text)
{
    if (text.at == text.end) return "";
    const char *copy = mc_copy_text(r->mem, (const char *)text.at, mc_left(&text));
    if (!copy) mc_no_room(r->err, "the names of a graph");
    return copy;
}

mc_cursor mc_onnx_part(mc_cursor in, uint32_t number)
{
    mc_cursor found = {in.end, in.end};
    mc_wire_field f;
    while (mc_wire_next(&in, &f))
        if (f.number == number) found = f.bytes;
    return found;
}

static bool next(mc_cursor *in, uint32_t number, mc_wire_field *f)
{
    while (mc_wire_next(in, f))
        if (f->number == number) return true;
    return false;
}

static mc_raw raw_of(mc_cursor bytes)
{
    return (mc_raw){bytes.at, mc_left(&bytes)};
}

/* ---- names ---- */

static mc_id find(const mc_onnx_scope *s, mc_cursor name)
{
    return mc_onnx_names_find(&s->names, (const char *)name.at, mc_left(&name));
}

static mc_id add_value(mc_onnx_read *r, mc_onnx_scope *s, const char *name)
{
    const mc_id id = mc_graph_add_value(s->graph, name);
    if (id == MC_NONE ||
        mc_onnx_names_add(&s->names, r->work, name, strlen(name), id) == MC_NAMES_FULL) {
        mc_no_room(r->err, "the values of a graph");
        return MC_NONE;
    }
    return id;
}

/* A new name of this graph. `what` gives it. */
static mc_status declare(body *b, mc_cursor name, const char *what, mc_id *out)
{
    if (name.at == name.end) return mc_fail(b->r->err, MC_E_FORMAT, "%s has no name", what);
    if (find(b->scope, name) != MC_NONE)
        return mc_fail(b->r->err, MC_E_FORMAT, "%s is named %s, which is something else's name",
                       what, mc_onnx_quote(name).text);
    const char *text = mc_onnx_text(b->r, name);
    *out = text ? add_value(b->r, b->scope, text) : MC_NONE;
    return *out == MC_NONE ? b->r->err->status : MC_OK;
}

mc_id mc_onnx_resolve(mc_onnx_read *r, mc_onnx_scope *scope, mc_cursor name)
{
    mc_onnx_scope *s = scope;
    mc_id id = MC_NONE;
    while (s && (id = find(s, name)) == MC_NONE) s = s->outer;
    if (!s) {
        mc_fail(r->err, MC_E_FORMAT, "%s is taken, but nothing gives it", mc_onnx_quote(name).text);
        return MC_NONE;
    }
    /* Inwards again, a value a graph: few levels deep, so each time from the start. */
    for (mc_onnx_scope *have = s; have != scope;) {
        mc_onnx_scope *to = scope;
        while (to->outer != have) to = to->outer;
        const char *text = have->graph->value[id].name;
        const mc_id here = add_value(r, to, text);
        if (here == MC_NONE) return MC_NONE;
        mc_value *v = &to->graph->value[here];
        const mc_value *from = &have->graph->value[id];
        v->outer = id;
        v->dtype = from->dtype;
        v->ndim = from->ndim;
        memcpy(v->dim, from->dim, sizeof v->dim);
        memcpy(v->dim_name, from->dim_name, sizeof v->dim_name);
        id = here;
        have = to;
    }
    return id;
}

/* ---- what is said about a value ---- */

/* A dimension that is not said, or said with a name, or below 0: -1. */
static mc_status read_dim(mc_onnx_read *r, mc_cursor in, mc_value *v, int axis)
{
    mc_wire_field f;
    v->dim[axis] = -1;
    v->dim_name[axis] = NULL;
    while (mc_wire_next(&in, &f)) {
        if (f.number == 1) {
            v->dim[axis] = f.value <= INT64_MAX ? (int64_t)f.value : -1;
            v->dim_name[axis] = NULL;
        } else if (f.number == 2) {
            v->dim[axis] = -1;
            v->dim_name[axis] = mc_onnx_text(r, f.bytes);
            if (!v->dim_name[axis]) return r->err->status;
        }
    }
    return MC_OK;
}

static mc_status read_shape(mc_onnx_read *r, mc_cursor in, mc_value *v)
{
    mc_wire_field f;
    mc_cursor again = in;
    int n = 0;
    while (next(&again, 1, &f))
        if (n++ == MC_MAX_DIMS) return MC_OK; /* more than a value can have: not known */
    v->ndim = n;
    for (int i = 0; next(&in, 1, &f); i++) MC_TRY(read_dim(r, f.bytes, v, i));
    return MC_OK;
}

/* A ValueInfoProto. Sequences and optionals have neither dtype nor shape; an initializer knows its
 * own. */
static mc_status describe(mc_onnx_read *r, mc_cursor info, mc_value *v)
{
    v->raw = raw_of(info);
    if (v->constant) return MC_OK;
    v->dtype = MC_DTYPE_NONE;
    v->ndim = MC_RANK_UNKNOWN;
    const mc_cursor type = mc_onnx_part(info, 2);
    mc_cursor tensor = mc_onnx_part(type, 1);
    mc_wire_field f;
    while (mc_wire_next(&tensor, &f)) {
        if (f.number == 1) v->dtype = mc_onnx_dtype(mc_wire_signed(f.value));
        if (f.number == 2) MC_TRY(read_shape(r, f.bytes, v));
    }
    return MC_OK;
}

/* ---- declaring ---- */

static mc_status declare_inputs(body *b)
{
    mc_cursor in = b->in, again = b->in;
    mc_wire_field f;
    size_t n = 0;
    while (next(&again, b->at->input, &f)) n++;
    mc_id *all = MC_NEW_RAW(b->r->mem, mc_id, n);
    if (!all) return mc_no_room(b->r->err, "the inputs of a graph");
    b->kept->input = all;
    while (next(&in, b->at->input, &f)) {
        const bool is_name = b->at == &mc_onnx_of_function;
        mc_id id;
        MC_TRY(declare(b, is_name ? f.bytes : mc_onnx_part(f.bytes, 1), "an input", &id));
        if (!is_name) MC_TRY(describe(b->r, f.bytes, &b->scope->graph->value[id]));
        all[b->kept->inputs++] = id;
    }
    return MC_OK;
}

void mc_onnx_list_tensor(mc_onnx_read *r, const mc_tensor *tensor, mc_onnx_tensor_place place)
{
    r->tensor[r->tensors] = *tensor;
    r->place[r->tensors++] = place;
}

/* Tensors of strings are no weights: they stay with their value. */
static mc_status keep_tensor(body *b, mc_cursor proto, const mc_tensor *t, mc_id id)
{
    mc_onnx_read *r = b->r;
    mc_value *v = &b->scope->graph->value[id];
    v->dtype = t->dtype;
    v->ndim = t->ndim;
    for (int i = 0; i < t->ndim; i++) v->dim[i] = (int64_t)t->dim[i];
    if (t->dtype == MC_STRING) {
        mc_tensor *own = MC_NEW_RAW(r->mem, mc_tensor, 1);
        if (!own) return mc_no_room(r->err, "an initializer");
        *own = *t;
        v->constant = own;
        return MC_OK;
    }
    v->constant = &r->tensor[r->tensors];
    mc_onnx_list_tensor(
        r, t,
        (mc_onnx_tensor_place){
            .raw = raw_of(proto), .graph = b->scope->graph, .value = id, .node = MC_NONE});
    return MC_OK;
}

static mc_status declare_initializer(body *b, mc_cursor proto)
{
    mc_onnx_read *r = b->r;
    const mc_cursor name = mc_onnx_part(proto, 8);
    mc_tensor t;
    if (mc_onnx_tensor(proto, r->files, r->mem, &t, r->err) != MC_OK)
        return mc_wrap(r->err, "initializer %s", mc_onnx_quote(name).text);
    mc_id id = find(b->scope, name);
    if (id == MC_NONE || b->scope->graph->value[id].constant)
        MC_TRY(declare(b, name, "an initializer", &id));
    t.name = b->scope->graph->value[id].name;
    return keep_tensor(b, proto, &t, id);
}

/* Kept as bytes: its value has a tensor without data, and the model cannot be run. */
static mc_status declare_sparse(body *b, mc_cursor proto)
{
    const mc_cursor name = mc_onnx_part(mc_onnx_part(proto, 1), 8);
    mc_id id = find(b->scope, name);
    if (id == MC_NONE || b->scope->graph->value[id].constant)
        MC_TRY(declare(b, name, "a sparse initializer", &id));
    mc_value *v = &b->scope->graph->value[id];
    mc_tensor *own = MC_NEW(b->r->mem, mc_tensor, 1);
    if (!own) return mc_no_room(b->r->err, "an initializer");
    own->name = b->r->sparse = v->name;
    v->constant = own;
    return MC_OK;
}

static mc_status declare_initializers(body *b)
{
    mc_cursor in = b->in;
    mc_wire_field f;
    while (mc_wire_next(&in, &f)) {
        if (f.number == b->at->initializer && f.number) MC_TRY(declare_initializer(b, f.bytes));
        if (f.number == b->at->sparse && f.number) MC_TRY(declare_sparse(b, f.bytes));
    }
    return MC_OK;
}

/* Inputs that are initializers too are constants: before IR 4 all were written as both. */
static mc_status list_inputs(body *b)
{
    mc_graph *g = b->scope->graph;
    g->input = MC_NEW_RAW(b->r->mem, mc_id, b->kept->inputs);
    if (!g->input) return mc_no_room(b->r->err, "the inputs of a graph");
    g->input_room = b->kept->inputs;
    for (size_t i = 0; i < b->kept->inputs; i++)
        if (!g->value[b->kept->input[i]].constant) g->input[g->inputs++] = b->kept->input[i];
    return MC_OK;
}

static mc_status declare_outputs(body *b, mc_cursor node)
{
    mc_cursor in = node;
    mc_wire_field f;
    mc_id id;
    while (next(&in, 2, &f)) {
        if (f.bytes.at == f.bytes.end) continue; /* left out */
        if (declare(b, f.bytes, "an output", &id) != MC_OK)
            return mc_wrap(b->r->err, "node %s (%s)", mc_onnx_quote(mc_onnx_part(node, 3)).text,
                           mc_onnx_quote(mc_onnx_part(node, 4)).text);
    }
    return MC_OK;
}

static mc_status declare_nodes(body *b)
{
    mc_cursor in = b->in;
    mc_wire_field f;
    size_t n = 0;
    while (next(&in, b->at->node, &f)) {
        MC_TRY(declare_outputs(b, f.bytes));
        n++;
    }
    mc_graph *g = b->scope->graph;
    g->node = MC_NEW_RAW(b->r->mem, mc_node, n);
    if (!g->node) return mc_no_room(b->r->err, "the nodes of a graph");
    g->node_room = n;
    return MC_OK;
}

/* ---- describing, nodes, outputs ---- */

static mc_status describe_values(body *b)
{
    mc_cursor in = b->in;
    mc_wire_field f;
    while (mc_wire_next(&in, &f)) {
        const bool is_output = f.number == b->at->output && b->at != &mc_onnx_of_function;
        if (f.number != b->at->value_info && !is_output) continue;
        const mc_id id = find(b->scope, mc_onnx_part(f.bytes, 1));
        if (id == MC_NONE) continue; /* nothing here has that name: it stays with the rest */
        MC_TRY(describe(b->r, f.bytes, &b->scope->graph->value[id]));
    }
    return MC_OK;
}

static mc_status read_nodes(body *b)
{
    mc_cursor in = b->in;
    mc_wire_field f;
    while (next(&in, b->at->node, &f)) MC_TRY(mc_onnx_read_node(b->r, b->scope, f.bytes));
    return MC_OK;
}

static mc_status read_outputs(body *b)
{
    mc_cursor in = b->in;
    mc_wire_field f;
    while (next(&in, b->at->output, &f)) {
        const mc_cursor name = b->at == &mc_onnx_of_function ? f.bytes : mc_onnx_part(f.bytes, 1);
        const mc_id id = mc_onnx_resolve(b->r, b->scope, name);
        if (id == MC_NONE) return mc_wrap(b->r->err, "an output of the graph");
        if (!mc_graph_add_output(b->scope->graph, id))
            return mc_no_room(b->r->err, "the outputs of a graph");
    }
    return MC_OK;
}

/* What is said here about values from outside: they have become values of this graph meanwhile. */
static void describe_outer(body *b)
{
    mc_cursor in = b->in;
    mc_wire_field f;
    while (mc_wire_next(&in, &f)) {
        const bool is_output = f.number == b->at->output && b->at != &mc_onnx_of_function;
        if (f.number != b->at->value_info && !is_output) continue;
        const mc_id id = find(b->scope, mc_onnx_part(f.bytes, 1));
        if (id != MC_NONE && !b->scope->graph->value[id].raw.at)
            b->scope->graph->value[id].raw = raw_of(f.bytes);
    }
}

/* ---- the rest ---- */

static mc_status keep_rest(body *b)
{
    const mc_onnx_layout *at = b->at;
    for (int count = 1; count >= 0; count--) {
        mc_cursor in = b->in;
        mc_wire_field f;
        size_t n = 0;
        while (mc_wire_next(&in, &f)) {
            const uint32_t k = f.number;
            if (k == at->node || k == at->initializer || k == at->input || k == at->output)
                continue;
            if (!count)
                ((mc_raw *)(uintptr_t)b->kept->rest)[n] =
                    (mc_raw){f.from, (size_t)(in.at - f.from)};
            n++;
        }
        if (count && !(b->kept->rest = MC_NEW_RAW(b->r->mem, mc_raw, n)))
            return mc_no_room(b->r->err, "the parts of a graph");
        b->kept->rests = n;
    }
    return MC_OK;
}

mc_status mc_onnx_read_graph(mc_onnx_read *r, mc_cursor graph, bool is_function,
                             mc_onnx_scope *outer, mc_graph **out)
{
    const char *name = mc_onnx_text(r, mc_onnx_part(graph, is_function ? 1 : 2));
    if (!name) return r->err->status;
    mc_onnx_scope scope = {.graph = mc_graph_new(r->mem, name), .outer = outer};
    if (!scope.graph) return mc_no_room(r->err, "a graph");
    scope.graph->outer = outer ? outer->graph : NULL;
    body b = {r, &scope, is_function ? &mc_onnx_of_function : &mc_onnx_of_graph, graph,
              &r->graph[r->graphs++]};
    *b.kept = (mc_onnx_graph){.graph = scope.graph, .raw = raw_of(graph)};

    MC_TRY(declare_inputs(&b));
    MC_TRY(declare_initializers(&b));
    MC_TRY(list_inputs(&b));
    MC_TRY(declare_nodes(&b));
    MC_TRY(describe_values(&b));
    MC_TRY(read_nodes(&b));
    MC_TRY(read_outputs(&b));
    describe_outer(&b);
    *out = scope.graph;
    return keep_rest(&b);
}
