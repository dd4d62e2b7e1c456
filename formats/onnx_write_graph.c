/* mc_graph -> GraphProto and FunctionProto.
 *
 * Fields come in the order of their numbers, as other writers have them. What the graph does not
 * model follows the file; a value's description does so until the value is changed. */
#include "formats/onnx_write_parts.h"

enum { LAST = INT32_MAX }; /* beyond all numbers of fields */

/* ---- values ---- */

static void put_dim(mc_emit *e, const mc_value *v, int axis)
{
    const size_t dim = mc_emit_begin(e, 1);
    if (v->dim[axis] >= 0)
        mc_emit_int(e, 1, v->dim[axis]);
    else if (v->dim_name[axis])
        mc_emit_text(e, 2, v->dim_name[axis]);
    mc_emit_end(e, dim);
}

static void put_type(mc_emit *e, const mc_value *v)
{
    const size_t type = mc_emit_begin(e, 2), tensor = mc_emit_begin(e, 1);
    mc_emit_int(e, 1, mc_onnx_data_type(v->dtype));
    if (v->ndim >= 0) {
        const size_t shape = mc_emit_begin(e, 2);
        for (int i = 0; i < v->ndim; i++) put_dim(e, v, i);
        mc_emit_end(e, shape);
    }
    mc_emit_end(e, tensor);
    mc_emit_end(e, type);
}

/* Inputs and outputs of the main graph must say what they are; others may. */
static mc_status put_info(mc_onnx_writing *w, const mc_onnx_written *s, uint32_t field, mc_id id)
{
    mc_value v = s->graph->value[id];
    if (v.constant) {
        v.dtype = v.constant->dtype;
        v.ndim = v.constant->ndim;
        for (int i = 0; i < v.ndim; i++) v.dim[i] = (int64_t)v.constant->dim[i];
    }
    const bool must = !s->outer && !s->in_function && field != s->at->value_info;
    const bool is_known = mc_onnx_data_type(v.dtype) != 0;
    if (!is_known && must)
        return mc_fail(w->err, MC_E_UNSUPPORTED, "value %s: its type %s",
                       mc_quote(s->name[id]).text,
                       v.dtype == MC_DTYPE_NONE ? "is not known" : "is none of ONNX");
    const size_t info = mc_emit_begin(&w->emit, field);
    mc_emit_text(&w->emit, 1, s->name[id]);
    if (is_known) put_type(&w->emit, &v);
    mc_emit_end(&w->emit, info);
    return MC_OK;
}

static mc_id find(const mc_onnx_written *s, mc_cursor name)
{
    return mc_onnx_names_find(&s->names, (const char *)name.at, mc_left(&name));
}

/* An input or output: the field of the file unless the value was changed. */
static mc_status put_end(mc_onnx_writing *w, const mc_onnx_written *s, uint32_t field, mc_id id,
                         mc_raw raw)
{
    if (id == MC_NONE) return mc_fail(w->err, MC_E_INTERNAL, "an input or output is no value");
    if (s->at == &mc_onnx_of_function) {
        mc_emit_text(&w->emit, field, s->name[id]);
        return MC_OK;
    }
    if (!raw.at || !s->graph->value[id].raw.at) return put_info(w, s, field, id);
    mc_emit_raw(&w->emit, raw);
    return MC_OK;
}

/* The file's list may have initializers among the inputs: they keep their places. Before IR 4 all
 * initializers had to be inputs, so new ones join. */
static mc_status put_inputs(mc_onnx_writing *w, const mc_onnx_written *s)
{
    const mc_graph *g = s->graph;
    const uint32_t field = s->at->input;
    const bool is_function = s->at == &mc_onnx_of_function;
    size_t done = 0;
    mc_cursor in = s->raw;
    mc_wire_field f;
    while (mc_wire_next(&in, &f)) {
        if (f.number != field) continue;
        const mc_id id = find(s, is_function ? f.bytes : mc_onnx_part(f.bytes, 1));
        if (id != MC_NONE && g->value[id].constant) {
            MC_TRY(put_end(w, s, field, id, s->input[id]));
        } else if (done < g->inputs) {
            const mc_id next = g->input[done++];
            MC_TRY(put_end(w, s, field, next, next == MC_NONE ? (mc_raw){0} : s->input[next]));
        }
    }
    for (; done < g->inputs; done++) {
        const mc_id id = g->input[done];
        MC_TRY(put_end(w, s, field, id, id == MC_NONE ? (mc_raw){0} : s->input[id]));
    }
    if (is_function || w->ir_version == 0 || w->ir_version >= 4) return MC_OK;
    for (size_t i = 0; i < g->values; i++) {
        const mc_value *v = &g->value[i];
        if (v->constant && v->outer == MC_NONE && !s->initialized[i] && !s->input[i].at)
            MC_TRY(put_info(w, s, field, (mc_id)i));
    }
    return MC_OK;
}

/* The field of the file that stands at the same place when it is about this value, else any: a file
 * may list one value twice. */
static mc_status put_outputs(mc_onnx_writing *w, const mc_onnx_written *s)
{
    mc_cursor in = s->raw;
    mc_wire_field f;
    for (size_t i = 0; i < s->graph->outputs; i++) {
        const mc_id id = s->graph->output[i];
        mc_raw raw = {0};
        while (mc_wire_next(&in, &f) && f.number != s->at->output) continue;
        if (f.number == s->at->output && find(s, mc_onnx_part(f.bytes, 1)) == id)
            raw = (mc_raw){f.from, (size_t)(in.at - f.from)};
        else if (id != MC_NONE)
            raw = s->output[id];
        MC_TRY(put_end(w, s, s->at->output, id, raw));
    }
    return MC_OK;
}

/* ---- initializers ---- */

static mc_status put_initializer(mc_onnx_writing *w, const mc_onnx_written *s, mc_id id,
                                 mc_cursor raw)
{
    const mc_onnx_piece piece = {
        .tensor = s->graph->value[id].constant, .name = s->name[id], .raw = raw, .is_weight = true};
    if (mc_onnx_put_tensor(w, s->at->initializer, &piece) == MC_OK) return MC_OK;
    return mc_wrap(w->err, "initializer %s", mc_quote(s->name[id]).text);
}

/* Sparse ones have neither dtype nor data here: their field stands with the rest. */
static mc_status put_initializers(mc_onnx_writing *w, const mc_onnx_written *s)
{
    const mc_graph *g = s->graph;
    mc_cursor in = s->raw;
    mc_wire_field f;
    while (mc_wire_next(&in, &f)) {
        if (f.number != s->at->initializer) continue;
        const mc_id id = find(s, mc_onnx_part(f.bytes, 8));
        if (id != MC_NONE && g->value[id].constant) MC_TRY(put_initializer(w, s, id, f.bytes));
    }
    for (size_t i = 0; i < g->values; i++) {
        const mc_value *v = &g->value[i];
        const bool is_new = v->constant && v->outer == MC_NONE && !s->initialized[i];
        if (is_new && v->constant->dtype != MC_DTYPE_NONE)
            MC_TRY(put_initializer(w, s, (mc_id)i, (mc_cursor){NULL, NULL}));
    }
    return MC_OK;
}

/* ---- what the graph does not model ---- */

/* Bytes of sparse tensors are not read, so files that they lie in would be lost. */
static mc_status put_sparse(mc_onnx_writing *w, mc_raw field, mc_cursor sparse)
{
    mc_wire_field f, part;
    while (mc_wire_next(&sparse, &f)) {
        if (f.number > 2) continue;
        while (f.type == MC_WIRE_COUNTED && mc_wire_next(&f.bytes, &part))
            if (part.number == 13)
                return mc_fail(w->err, MC_E_UNSUPPORTED, "a sparse initializer is external data");
    }
    mc_emit_raw(&w->emit, field);
    return MC_OK;
}

/* What is said about a value that is gone goes with it; the name of no value is left alone. */
static mc_status put_about(mc_onnx_writing *w, const mc_onnx_written *s, mc_raw field,
                           mc_wire_field f)
{
    const mc_id id = find(s, mc_onnx_part(f.bytes, 1));
    if (id != MC_NONE && !s->given[id]) return MC_OK;
    if (id != MC_NONE && f.number == s->at->value_info && !s->graph->value[id].raw.at)
        return put_info(w, s, f.number, id);
    mc_emit_raw(&w->emit, field);
    return MC_OK;
}

enum { QUANTIZATION_ANNOTATION = 14 }; /* of a GraphProto */

/* Fields of the file in [from, to) that are not in the graph's own lists. */
static mc_status put_rest(mc_onnx_writing *w, const mc_onnx_written *s, uint32_t from, uint32_t to)
{
    const mc_onnx_layout *at = s->at;
    const bool is_graph = at == &mc_onnx_of_graph;
    mc_cursor in = s->raw;
    mc_wire_field f;
    while (mc_wire_next(&in, &f)) {
        const uint32_t k = f.number;
        if (k < from || k >= to || k == at->node || k == at->input || k == at->output) continue;
        if (is_graph && k == at->initializer) continue;
        const mc_raw field = {f.from, (size_t)(in.at - f.from)};
        if (k == at->value_info || (is_graph && k == QUANTIZATION_ANNOTATION))
            MC_TRY(put_about(w, s, field, f));
        else if (is_graph && k == at->sparse)
            MC_TRY(put_sparse(w, field, f.bytes));
        else
            mc_emit_raw(&w->emit, field);
    }
    return MC_OK;
}

/* ---- the two messages ---- */

static mc_status put_nodes(mc_onnx_writing *w, mc_onnx_written *s)
{
    for (size_t i = 0; i < s->graph->nodes; i++) MC_TRY(mc_onnx_put_node(w, s, (mc_id)i));
    return MC_OK;
}

mc_status mc_onnx_put_graph(mc_onnx_writing *w, uint32_t field, const mc_graph *graph,
                            mc_cursor raw, mc_onnx_written *outer)
{
    mc_onnx_written *s;
    MC_TRY(mc_onnx_enter(w, graph, raw, false, outer, &s));
    const size_t message = mc_emit_begin(&w->emit, field);
    MC_TRY(put_nodes(w, s));
    if (!raw.at) mc_emit_text(&w->emit, 2, graph->name[0] != '\0' ? graph->name : "graph");
    MC_TRY(put_rest(w, s, 2, s->at->initializer));
    MC_TRY(put_initializers(w, s));
    MC_TRY(put_rest(w, s, s->at->initializer, s->at->input));
    MC_TRY(put_inputs(w, s));
    MC_TRY(put_outputs(w, s));
    MC_TRY(put_rest(w, s, s->at->output, LAST));
    mc_emit_end(&w->emit, message);
    return MC_OK;
}

enum { ATTRIBUTE_PROTO = 11 }; /* of a FunctionProto: attributes with a default */

static mc_status put_defaults(mc_onnx_writing *w, mc_onnx_written *s, const mc_function *function)
{
    for (size_t i = 0; i < function->fallbacks; i++)
        MC_TRY(mc_onnx_put_attr(w, s, ATTRIBUTE_PROTO, NULL, &function->fallback[i]));
    return MC_OK;
}

mc_status mc_onnx_put_function(mc_onnx_writing *w, uint32_t field, const mc_function *function,
                               mc_cursor raw)
{
    mc_onnx_written *s;
    MC_TRY(mc_onnx_enter(w, function->body, raw, true, NULL, &s));
    const size_t message = mc_emit_begin(&w->emit, field);
    MC_TRY(put_rest(w, s, 1, s->at->input));
    MC_TRY(put_inputs(w, s));
    MC_TRY(put_outputs(w, s));
    MC_TRY(put_rest(w, s, s->at->output, s->at->node));
    MC_TRY(put_nodes(w, s));
    MC_TRY(put_rest(w, s, s->at->node, ATTRIBUTE_PROTO));
    MC_TRY(put_defaults(w, s, function));
    MC_TRY(put_rest(w, s, ATTRIBUTE_PROTO + 1, LAST));
    mc_emit_end(&w->emit, message);
    return MC_OK;
}
