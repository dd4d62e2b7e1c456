/* NodeProto and AttributeProto -> mc_node and mc_attr. */
#include "formats/onnx_parts.h"

#include <inttypes.h>
#include <string.h>

/* ---- attributes ---- */

/* Where each kind of value stands in an AttributeProto. */
static const unsigned char number_of[] = {
    [MC_ATTR_FLOAT] = 2,    [MC_ATTR_INT] = 3,     [MC_ATTR_STRING] = 4, [MC_ATTR_TENSOR] = 5,
    [MC_ATTR_GRAPH] = 6,    [MC_ATTR_FLOATS] = 7,  [MC_ATTR_INTS] = 8,   [MC_ATTR_STRINGS] = 9,
    [MC_ATTR_TENSORS] = 10, [MC_ATTR_GRAPHS] = 11,
};
enum { KINDS = sizeof number_of, OTHER_KINDS = 14 /* SPARSE_TENSORS, TYPE_PROTO, TYPE_PROTOS */ };

uint32_t mc_onnx_attr_field(mc_attr_kind kind)
{
    return number_of[kind];
}

static mc_attr_kind kind_of(uint32_t number)
{
    for (int k = MC_ATTR_FLOAT; k < KINDS; k++)
        if (number_of[k] == number) return (mc_attr_kind)k;
    /* tp, type_protos, sparse_tensor, sparse_tensors */
    const bool is_other = number == 14 || number == 15 || number == 22 || number == 23;
    return is_other ? MC_ATTR_OTHER : MC_ATTR_NONE;
}

static float float_of(uint64_t bits)
{
    const uint32_t word = (uint32_t)bits;
    float x;
    memcpy(&x, &word, sizeof x);
    return x;
}

/* Elements of a list, counted (`to` NULL) or stored. */
static size_t numbers(mc_cursor in, mc_attr_kind kind, void *to)
{
    const bool is_float = kind == MC_ATTR_FLOAT || kind == MC_ATTR_FLOATS;
    const bool is_single = kind == MC_ATTR_FLOAT || kind == MC_ATTR_INT;
    mc_wire_field f;
    uint64_t value;
    size_t n = 0;
    while (mc_wire_next(&in, &f)) {
        if (f.number != number_of[kind]) continue;
        while (mc_wire_number(&f, is_float ? MC_WIRE_4_BYTES : MC_WIRE_VARINT, &value)) {
            if (is_single) n = 0; /* the last one counts */
            if (to && is_float) ((float *)to)[n] = float_of(value);
            if (to && !is_float) ((int64_t *)to)[n] = mc_wire_signed(value);
            n++;
        }
    }
    return n;
}

/* Writers of proto3 leave out a single number that is 0. */
static mc_status read_numbers(mc_onnx_read *r, mc_cursor in, mc_attr *a)
{
    const bool is_float = a->kind == MC_ATTR_FLOAT || a->kind == MC_ATTR_FLOATS;
    const bool is_single = a->kind == MC_ATTR_FLOAT || a->kind == MC_ATTR_INT;
    a->count = numbers(in, a->kind, NULL);
    if (is_single) a->count = 1;
    void *list = mc_alloc(r->mem, a->count, is_float ? sizeof *a->f : sizeof *a->i);
    if (!list) return mc_no_room(r->err, "an attribute");
    numbers(in, a->kind, list);
    if (is_float)
        a->f = list;
    else
        a->i = list;
    return MC_OK;
}

/* How many fields of that number; *last is the last of them, an empty one when there is none. */
static size_t fields(mc_cursor in, uint32_t number, mc_wire_field *last)
{
    mc_wire_field f;
    size_t n = 0;
    *last = (mc_wire_field){.bytes = {in.end, in.end}};
    while (mc_wire_next(&in, &f)) {
        if (f.number != number) continue;
        *last = f;
        n++;
    }
    return n;
}

static mc_status read_strings(mc_onnx_read *r, mc_cursor in, mc_attr *a)
{
    mc_wire_field f;
    const bool is_single = a->kind == MC_ATTR_STRING;
    a->count = fields(in, number_of[a->kind], &f);
    if (is_single) {
        in = a->count ? (mc_cursor){f.from, f.bytes.end} : (mc_cursor){in.end, in.end};
        a->count = 1;
    }
    const char **text = MC_NEW(r->mem, const char *, a->count);
    size_t *bytes = MC_NEW(r->mem, size_t, a->count);
    if (!text || !bytes) return mc_no_room(r->err, "an attribute");
    if (is_single) text[0] = "";
    for (size_t i = 0; mc_wire_next(&in, &f);) {
        if (f.number != number_of[a->kind]) continue;
        text[i] = mc_onnx_text(r, f.bytes);
        if (!text[i]) return r->err->status;
        bytes[i++] = mc_left(&f.bytes);
    }
    a->s = text;
    a->s_bytes = bytes;
    return MC_OK;
}

static mc_status read_tensors(mc_onnx_read *r, mc_cursor in, mc_attr *a)
{
    mc_tensor *list = MC_NEW(r->mem, mc_tensor, a->count);
    if (!list) return mc_no_room(r->err, "an attribute");
    mc_wire_field f;
    for (size_t i = 0; mc_wire_next(&in, &f);)
        if (f.number == number_of[a->kind])
            MC_TRY(mc_onnx_tensor(f.bytes, r->files, r->mem, &list[i++], r->err));
    a->t = list;
    return MC_OK;
}

static mc_status read_graphs(mc_onnx_read *r, mc_onnx_scope *scope, mc_cursor in, mc_attr *a)
{
    mc_graph **list = MC_NEW(r->mem, mc_graph *, a->count);
    if (!list) return mc_no_room(r->err, "an attribute");
    mc_wire_field f;
    for (size_t i = 0; mc_wire_next(&in, &f);)
        if (f.number == number_of[a->kind])
            MC_TRY(mc_onnx_read_graph(r, f.bytes, false, scope, &list[i++]));
    a->g = list;
    return MC_OK;
}

static mc_status read_value(mc_onnx_read *r, mc_onnx_scope *scope, mc_cursor in, mc_attr *a)
{
    mc_wire_field f;
    switch (a->kind) {
    case MC_ATTR_FLOAT:
    case MC_ATTR_INT:
    case MC_ATTR_FLOATS:
    case MC_ATTR_INTS: return read_numbers(r, in, a);
    case MC_ATTR_STRING:
    case MC_ATTR_STRINGS: return read_strings(r, in, a);
    case MC_ATTR_OTHER: return MC_OK;
    default: break;
    }
    const bool is_single = a->kind == MC_ATTR_TENSOR || a->kind == MC_ATTR_GRAPH;
    a->count = fields(in, number_of[a->kind], &f);
    if (is_single && a->count == 0)
        return mc_fail(r->err, MC_E_FORMAT, "has neither value nor ref_attr_name");
    const bool is_graph = a->kind == MC_ATTR_GRAPH || a->kind == MC_ATTR_GRAPHS;
    return is_graph ? read_graphs(r, scope, in, a) : read_tensors(r, in, a);
}

/* Name, kind, and what it refers to. The kind must agree with the value; files from before kinds
 * were written say it by the value alone. */
static mc_status look(mc_onnx_read *r, mc_cursor in, mc_attr *a)
{
    mc_wire_field f;
    uint64_t type = 0;
    mc_attr_kind found = MC_ATTR_NONE;
    a->name = "";
    while (mc_wire_next(&in, &f)) {
        const mc_attr_kind k = kind_of(f.number);
        if (k != MC_ATTR_NONE && found != MC_ATTR_NONE && k != found)
            return mc_fail(r->err, MC_E_FORMAT, "has values of two kinds");
        if (k != MC_ATTR_NONE) found = k;
        if (f.number == 1 && !(a->name = mc_onnx_text(r, f.bytes))) return r->err->status;
        if (f.number == 20) type = f.value;
        if (f.number == 21 && f.bytes.at < f.bytes.end && !(a->refers = mc_onnx_text(r, f.bytes)))
            return r->err->status;
    }
    if (type > OTHER_KINDS)
        return mc_fail(r->err, MC_E_FORMAT, "type is %" PRId64 ", must be 1 to %d",
                       mc_wire_signed(type), (int)OTHER_KINDS);
    a->kind = type == 0 ? found : type >= KINDS ? MC_ATTR_OTHER : (mc_attr_kind)type;
    if (a->refers) return MC_OK;
    if (found != MC_ATTR_NONE && found != a->kind)
        return mc_fail(r->err, MC_E_FORMAT, "type is %" PRIu64 ", its value is of another", type);
    if (a->kind == MC_ATTR_NONE)
        return mc_fail(r->err, MC_E_FORMAT, "has neither type, value nor ref_attr_name");
    return MC_OK;
}

mc_status mc_onnx_read_attr(mc_onnx_read *r, mc_onnx_scope *scope, mc_cursor attr, mc_attr *out)
{
    *out = (mc_attr){.raw = {attr.at, mc_left(&attr)}};
    mc_status status = look(r, attr, out);
    if (status == MC_OK && !out->refers) status = read_value(r, scope, attr, out);
    if (status != MC_OK) return mc_wrap(r->err, "attribute %s", mc_quote(out->name).text);
    return MC_OK;
}

/* ---- nodes ---- */

mc_status mc_onnx_version(const mc_onnx_read *r, const char *domain, int *out)
{
    for (size_t i = 0; i < r->opsets; i++) {
        if (strcmp(r->opset[i].domain, domain) != 0) continue;
        *out = (int)r->opset[i].version;
        return MC_OK;
    }
    if (domain[0] == '\0')
        return mc_fail(r->err, MC_E_FORMAT, "is of ai.onnx, but no opset_import names a version");
    *out = 1; /* its operators can only be known by name */
    return MC_OK;
}

/* Texts of one field, as values: `give` those that are declared here, else those to be found. */
static mc_status read_values(mc_onnx_read *r, mc_onnx_scope *scope, mc_cursor in, uint32_t number,
                             mc_id *to)
{
    mc_wire_field f;
    while (mc_wire_next(&in, &f)) {
        if (f.number != number) continue;
        if (f.bytes.at == f.bytes.end) {
            *to++ = MC_NONE;
            continue;
        }
        if ((*to++ = mc_onnx_resolve(r, scope, f.bytes)) == MC_NONE) return r->err->status;
    }
    return MC_OK;
}

static mc_status read_texts(mc_onnx_read *r, mc_cursor in, mc_node *n)
{
    n->name = n->op = n->domain = n->overload = "";
    mc_wire_field f;
    while (mc_wire_next(&in, &f)) {
        const char **to = f.number == 3   ? &n->name
                          : f.number == 4 ? &n->op
                          : f.number == 7 ? &n->domain
                          : f.number == 8 ? &n->overload
                                          : NULL;
        if (to && !(*to = mc_onnx_text(r, f.bytes))) return r->err->status;
    }
    if (strcmp(n->domain, "ai.onnx") == 0) n->domain = "";
    if (n->op[0] == '\0') return mc_fail(r->err, MC_E_FORMAT, "has no op_type");
    return mc_onnx_version(r, n->domain, &n->version);
}

static mc_status check_names(mc_onnx_read *r, mc_cursor in)
{
    mc_arena work = *r->work;
    mc_onnx_names seen = {0};
    mc_wire_field f, name;
    while (mc_wire_next(&in, &f)) {
        if (f.number != 5) continue;
        fields(f.bytes, 1, &name);
        const size_t length = mc_left(&name.bytes);
        switch (mc_onnx_names_add(&seen, &work, (const char *)name.bytes.at, length, 0)) {
        case MC_NAMES_ADDED: break;
        case MC_NAMES_FULL: return mc_no_room(r->err, "attributes");
        case MC_NAMES_THERE:
            return mc_fail(r->err, MC_E_FORMAT, "attribute %s appears twice",
                           mc_onnx_quote(name.bytes).text);
        }
    }
    return MC_OK;
}

static mc_status read_attrs(mc_onnx_read *r, mc_onnx_scope *scope, mc_cursor in, mc_node *n)
{
    MC_TRY(check_names(r, in));
    mc_wire_field f;
    for (size_t i = 0; mc_wire_next(&in, &f);)
        if (f.number == 5) MC_TRY(mc_onnx_read_attr(r, scope, f.bytes, &n->attr[i++]));
    return MC_OK;
}

/* What a Constant gives is a weight like an initializer. */
static void list_constant(mc_onnx_read *r, mc_onnx_scope *scope, mc_node *n)
{
    if (!mc_node_is(n, "", "Constant") || n->outs != 1 || n->out[0] == MC_NONE) return;
    for (size_t i = 0; i < n->attrs; i++) {
        mc_attr *a = &n->attr[i];
        if (a->kind != MC_ATTR_TENSOR || a->refers || strcmp(a->name, "value") != 0) continue;
        if (a->t->dtype == MC_STRING) continue;
        mc_cursor tensor = {a->raw.at, a->raw.at + a->raw.bytes};
        mc_wire_field f;
        fields(tensor, number_of[MC_ATTR_TENSOR], &f);
        mc_tensor named = *a->t;
        named.name = scope->graph->value[n->out[0]].name;
        a->t = &r->tensor[r->tensors];
        mc_onnx_list_tensor(r, &named,
                            (mc_onnx_tensor_place){.raw = {f.bytes.at, mc_left(&f.bytes)},
                                                   .graph = scope->graph,
                                                   .value = n->out[0],
                                                   .node = (mc_id)scope->graph->nodes});
    }
}

static mc_status read_parts(mc_onnx_read *r, mc_onnx_scope *scope, mc_cursor in, mc_node *n)
{
    mc_wire_field f;
    n->ins = fields(in, 1, &f);
    n->outs = fields(in, 2, &f);
    n->attrs = fields(in, 5, &f);
    n->in = MC_NEW_RAW(r->work, mc_id, n->ins);
    n->out = MC_NEW_RAW(r->work, mc_id, n->outs);
    n->attr = MC_NEW_RAW(r->work, mc_attr, n->attrs);
    if (!n->in || !n->out || !n->attr) return mc_no_room(r->err, "a node");
    MC_TRY(read_texts(r, in, n));
    MC_TRY(read_values(r, scope, in, 1, n->in));
    MC_TRY(read_values(r, scope, in, 2, n->out));
    return read_attrs(r, scope, in, n);
}

mc_status mc_onnx_read_node(mc_onnx_read *r, mc_onnx_scope *scope, mc_cursor node)
{
    mc_node n = {.raw = {node.at, mc_left(&node)}, .origin = MC_NONE};
    if (read_parts(r, scope, node, &n) != MC_OK)
        return mc_wrap(r->err, "node %zu %s (%s)", scope->graph->nodes,
                       mc_quote(n.name ? n.name : "").text, n.op ? mc_quote(n.op).text : "?");
    list_constant(r, scope, &n);
    return mc_graph_add_node(scope->graph, &n) ? MC_OK : mc_no_room(r->err, "a node");
}
