/* mc_node and mc_attr -> NodeProto and AttributeProto.
 *
 * Those with graphs or tensors are taken apart even when nothing has changed them: what lies in
 * these may have changed, or move to another file. */
#include "formats/onnx_write_parts.h"

#include <inttypes.h>
#include <string.h>

static mc_cursor cursor_of(mc_raw raw)
{
    return (mc_cursor){raw.at, raw.at + raw.bytes};
}

/* ---- attributes ---- */

static bool holds_tensors(const mc_attr *a)
{
    return !a->refers && (a->kind == MC_ATTR_TENSOR || a->kind == MC_ATTR_TENSORS);
}

static bool holds_graphs(const mc_attr *a)
{
    return !a->refers && (a->kind == MC_ATTR_GRAPH || a->kind == MC_ATTR_GRAPHS);
}

/* Bytes that a graph was read from, when its attribute has lost its own. */
static mc_cursor bytes_of(const mc_onnx_writing *w, const mc_graph *g)
{
    const mc_onnx_file *file = w->model->onnx;
    for (size_t i = 0; file && i < file->graphs; i++)
        if (file->graph[i].graph == g) return cursor_of(file->graph[i].raw);
    return (mc_cursor){NULL, NULL};
}

/* The tensor of a Constant is a weight like an initializer. */
static mc_status put_tensor(mc_onnx_writing *w, const mc_node *n, const mc_attr *a, size_t i,
                            mc_cursor raw)
{
    const bool is_weight = n && mc_node_is(n, "", "Constant") && strcmp(a->name, "value") == 0;
    const mc_onnx_piece piece = {.tensor = &a->t[i],
                                 .name = raw.at ? NULL : a->t[i].name,
                                 .raw = raw,
                                 .is_weight = is_weight};
    return mc_onnx_put_tensor(w, mc_onnx_attr_field(a->kind), &piece);
}

static mc_status put_graph(mc_onnx_writing *w, mc_onnx_written *s, const mc_attr *a, size_t i,
                           mc_cursor raw)
{
    if (!raw.at) raw = bytes_of(w, a->g[i]);
    return mc_onnx_put_graph(w, mc_onnx_attr_field(a->kind), a->g[i], raw, s);
}

/* The file's attribute, with the graphs or tensors in it written anew. */
static mc_status put_opened(mc_onnx_writing *w, mc_onnx_written *s, const mc_node *n,
                            const mc_attr *a)
{
    mc_cursor in = cursor_of(a->raw);
    mc_wire_field f;
    for (size_t i = 0; mc_wire_next(&in, &f);) {
        if (f.number != mc_onnx_attr_field(a->kind))
            mc_emit_raw(&w->emit, (mc_raw){f.from, (size_t)(in.at - f.from)});
        else if (holds_graphs(a))
            MC_TRY(put_graph(w, s, a, i++, f.bytes));
        else
            MC_TRY(put_tensor(w, n, a, i++, f.bytes));
    }
    return MC_OK;
}

static mc_status put_value(mc_onnx_writing *w, mc_onnx_written *s, const mc_node *n,
                           const mc_attr *a)
{
    mc_emit *e = &w->emit;
    const uint32_t field = mc_onnx_attr_field(a->kind);
    const mc_cursor none = {NULL, NULL};
    for (size_t i = 0; i < a->count; i++) {
        switch (a->kind) {
        case MC_ATTR_FLOAT:
        case MC_ATTR_FLOATS: mc_emit_float(e, field, a->f[i]); break;
        case MC_ATTR_INT:
        case MC_ATTR_INTS: mc_emit_int(e, field, a->i[i]); break;
        case MC_ATTR_STRING:
        case MC_ATTR_STRINGS: mc_emit_bytes(e, field, a->s[i], a->s_bytes[i]); break;
        case MC_ATTR_TENSOR:
        case MC_ATTR_TENSORS: MC_TRY(put_tensor(w, n, a, i, none)); break;
        default: MC_TRY(put_graph(w, s, a, i, none)); break;
        }
    }
    return MC_OK;
}

static mc_status put_made(mc_onnx_writing *w, mc_onnx_written *s, const mc_node *n,
                          const mc_attr *a)
{
    if (a->kind <= MC_ATTR_NONE || a->kind >= MC_ATTR_OTHER)
        return mc_fail(w->err, MC_E_UNSUPPORTED, "cannot be written once it is changed");
    mc_emit_text(&w->emit, 1, a->name);
    if (!a->refers) MC_TRY(put_value(w, s, n, a));
    mc_emit_int(&w->emit, 20, (int64_t)a->kind);
    if (a->refers) mc_emit_text(&w->emit, 21, a->refers);
    return MC_OK;
}

mc_status mc_onnx_put_attr(mc_onnx_writing *w, mc_onnx_written *s, uint32_t field,
                           const mc_node *node, const mc_attr *a)
{
    if (a->raw.at && !holds_graphs(a) && !holds_tensors(a)) {
        mc_emit_bytes(&w->emit, field, a->raw.at, a->raw.bytes);
        return MC_OK;
    }
    const size_t message = mc_emit_begin(&w->emit, field);
    const mc_status status = a->raw.at ? put_opened(w, s, node, a) : put_made(w, s, node, a);
    if (status != MC_OK) return mc_wrap(w->err, "attribute %s", mc_quote(a->name).text);
    mc_emit_end(&w->emit, message);
    return MC_OK;
}

/* ---- nodes ---- */

/* The version that the model imports, or will: that of the first node that needs it. */
static mc_status import(mc_onnx_writing *w, const mc_node *n)
{
    const mc_opset *list = w->model->opset;
    size_t count = w->model->onnx ? w->model->opsets : 0;
    for (int own = 0; own < 2; own++) {
        for (size_t i = 0; i < count; i++) {
            if (strcmp(list[i].domain, n->domain) != 0) continue;
            if (list[i].version == n->version) return MC_OK;
            return mc_fail(w->err, MC_E_UNSUPPORTED,
                           "is of version %d, but other nodes of domain %s are of %" PRId64,
                           n->version, mc_quote(n->domain).text, list[i].version);
        }
        list = w->opset;
        count = w->opsets;
    }
    if (w->opsets == MC_ONNX_OPSETS)
        return mc_fail(w->err, MC_E_UNSUPPORTED, "is of one domain more than the %d allowed",
                       (int)MC_ONNX_OPSETS);
    w->opset[w->opsets++] = (mc_opset){n->domain, n->version};
    return MC_OK;
}

static void put_names(mc_onnx_writing *w, const mc_onnx_written *s, uint32_t field, const mc_id *id,
                      size_t n)
{
    for (size_t i = 0; i < n; i++)
        mc_emit_text(&w->emit, field, id[i] == MC_NONE ? "" : s->name[id[i]]);
}

static void put_text(mc_emit *e, uint32_t field, const char *text)
{
    if (text[0] != '\0') mc_emit_text(e, field, text);
}

static mc_status put_fields(mc_onnx_writing *w, mc_onnx_written *s, const mc_node *n)
{
    if (strcmp(n->domain, MC_DOMAIN) == 0)
        return mc_fail(w->err, MC_E_UNSUPPORTED, "the operator has no counterpart in ONNX");
    if (!s->in_function) MC_TRY(import(w, n));
    put_names(w, s, 1, n->in, n->ins);
    put_names(w, s, 2, n->out, n->outs);
    put_text(&w->emit, 3, n->name);
    mc_emit_text(&w->emit, 4, n->op);
    for (size_t i = 0; i < n->attrs; i++) MC_TRY(mc_onnx_put_attr(w, s, 5, n, &n->attr[i]));
    put_text(&w->emit, 7, n->domain);
    put_text(&w->emit, 8, n->overload);
    return MC_OK;
}

static mc_status put_file_fields(mc_onnx_writing *w, mc_onnx_written *s, const mc_node *n)
{
    mc_cursor in = cursor_of(n->raw);
    mc_wire_field f;
    for (size_t i = 0; mc_wire_next(&in, &f);) {
        if (f.number == 5 && i < n->attrs)
            MC_TRY(mc_onnx_put_attr(w, s, 5, n, &n->attr[i++]));
        else
            mc_emit_raw(&w->emit, (mc_raw){f.from, (size_t)(in.at - f.from)});
    }
    return MC_OK;
}

mc_status mc_onnx_put_node(mc_onnx_writing *w, mc_onnx_written *s, mc_id node)
{
    const mc_node *n = &s->graph->node[node];
    const size_t message = mc_emit_begin(&w->emit, s->at->node);
    const mc_status status = n->raw.at ? put_file_fields(w, s, n) : put_fields(w, s, n);
    char text[MC_NODE_TEXT];
    if (status != MC_OK) return mc_wrap(w->err, "%s", mc_node_show(s->graph, node, text));
    mc_emit_end(&w->emit, message);
    return MC_OK;
}
