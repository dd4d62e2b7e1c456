/* The first walk over an ONNX message: is it well-formed, and how much memory will it take?
 *
 * A table of the fields that are read (onnx.proto) drives it, so each rule of the wire format
 * stands here once, and the readers behind it look at fields without having to fail. Unknown fields
 * are passed over. The walk goes down by recursion, at most MC_ONNX_DEPTH messages deep. */
#include "core/ckd.h"
#include "formats/json_pull.h"
#include "formats/limits.h"
#include "formats/onnx_parts.h"

#include <stdio.h>
#include <string.h>

typedef enum {
    INT,    /* varint, once; the last one counts */
    FLOAT,  /* 4 bytes, once */
    BYTES,  /* counted, once */
    TEXT,   /* the same, UTF-8 without NUL: a name */
    PROSE,  /* the same, of any length */
    ONE,    /* a message, at most once: protobuf would merge two */
    BLOBS,  /* counted, repeated */
    TEXTS,  /* the same, UTF-8 without NUL */
    MANY,   /* messages */
    INTS,   /* packed or not */
    FLOATS, /* 4 bytes each */
    WIDES,  /* 8 bytes each */
} field_kind;

typedef struct {
    unsigned char number, kind, message;
    const char *name;
} field;

static const field model[] = {
    {1, INT, 0, "ir_version"},
    {7, ONE, MC_PB_GRAPH, "graph"},
    {8, MANY, MC_PB_OPSET, "opset_import"},
    {14, MANY, MC_PB_PAIR, "metadata_props"},
    {25, MANY, MC_PB_FUNCTION, "functions"},
    {0},
};
static const field graph[] = {
    {1, MANY, MC_PB_NODE, "node"},
    {2, TEXT, 0, "name"},
    {5, MANY, MC_PB_TENSOR, "initializer"},
    {11, MANY, MC_PB_VALUE_INFO, "input"},
    {12, MANY, MC_PB_VALUE_INFO, "output"},
    {13, MANY, MC_PB_VALUE_INFO, "value_info"},
    {15, MANY, MC_PB_SPARSE_TENSOR, "sparse_initializer"},
    {0},
};
static const field node[] = {
    {1, TEXTS, 0, "input"},   {2, TEXTS, 0, "output"},
    {3, TEXT, 0, "name"},     {4, TEXT, 0, "op_type"},
    {7, TEXT, 0, "domain"},   {5, MANY, MC_PB_ATTRIBUTE, "attribute"},
    {8, TEXT, 0, "overload"}, {0},
};
static const field attribute[] = {
    {1, TEXT, 0, "name"},
    {2, FLOAT, 0, "f"},
    {3, INT, 0, "i"},
    {4, BYTES, 0, "s"},
    {5, ONE, MC_PB_TENSOR, "t"},
    {6, ONE, MC_PB_GRAPH, "g"},
    {7, FLOATS, 0, "floats"},
    {8, INTS, 0, "ints"},
    {9, BLOBS, 0, "strings"},
    {10, MANY, MC_PB_TENSOR, "tensors"},
    {11, MANY, MC_PB_GRAPH, "graphs"},
    {20, INT, 0, "type"},
    {21, TEXT, 0, "ref_attr_name"},
    {0},
};
static const field tensor[] = {
    {1, INTS, 0, "dims"},
    {2, INT, 0, "data_type"},
    {3, ONE, MC_PB_NONE, "segment"},
    {4, FLOATS, 0, "float_data"},
    {5, INTS, 0, "int32_data"},
    {6, BLOBS, 0, "string_data"},
    {7, INTS, 0, "int64_data"},
    {8, TEXT, 0, "name"},
    {9, BYTES, 0, "raw_data"},
    {10, WIDES, 0, "double_data"},
    {11, INTS, 0, "uint64_data"},
    {13, MANY, MC_PB_PAIR, "external_data"},
    {14, INT, 0, "data_location"},
    {0},
};
static const field sparse_tensor[] = {{1, ONE, MC_PB_TENSOR, "values"}, {0}};
static const field value_info[] = {{1, TEXT, 0, "name"}, {2, ONE, MC_PB_TYPE, "type"}, {0}};
static const field type[] = {
    {1, ONE, MC_PB_TENSOR_TYPE, "tensor_type"}, {4, ONE, MC_PB_NONE, "sequence_type"},
    {5, ONE, MC_PB_NONE, "map_type"},           {8, ONE, MC_PB_NONE, "sparse_tensor_type"},
    {9, ONE, MC_PB_NONE, "optional_type"},      {0},
};
static const field tensor_type[] = {{1, INT, 0, "elem_type"}, {2, ONE, MC_PB_SHAPE, "shape"}, {0}};
static const field shape[] = {{1, MANY, MC_PB_DIM, "dim"}, {0}};
static const field dim[] = {{1, INT, 0, "dim_value"}, {2, TEXT, 0, "dim_param"}, {0}};
static const field opset[] = {{1, TEXT, 0, "domain"}, {2, INT, 0, "version"}, {0}};
static const field pair[] = {{1, TEXT, 0, "key"}, {2, PROSE, 0, "value"}, {0}};
static const field function[] = {
    {1, TEXT, 0, "name"},
    {4, TEXTS, 0, "input"},
    {5, TEXTS, 0, "output"},
    {6, TEXTS, 0, "attribute"},
    {7, MANY, MC_PB_NODE, "node"},
    {9, MANY, MC_PB_OPSET, "opset_import"},
    {10, TEXT, 0, "domain"},
    {11, MANY, MC_PB_ATTRIBUTE, "attribute_proto"},
    {12, MANY, MC_PB_VALUE_INFO, "value_info"},
    {13, TEXT, 0, "overload"},
    {0},
};
static const field sequence[] = {
    {2, INT, 0, "elem_type"},
    {3, MANY, MC_PB_TENSOR, "tensor_values"},
    {0},
};
static const field optional[] = {
    {2, INT, 0, "elem_type"},
    {3, ONE, MC_PB_TENSOR, "tensor_value"},
    {5, ONE, MC_PB_SEQUENCE, "sequence_value"},
    {0},
};

static const struct {
    const char *name;
    const field *field;
    size_t bytes; /* that the message itself takes at most, lists that grow included */
} messages[MC_PB_MESSAGES] = {
    [MC_PB_MODEL] = {"ModelProto", model, 4096},
    [MC_PB_GRAPH] = {"GraphProto", graph, 2 * sizeof(mc_graph) + sizeof(mc_onnx_graph) + 2048},
    [MC_PB_NODE] = {"NodeProto", node, 2 * sizeof(mc_node) + 1024},
    [MC_PB_ATTRIBUTE] = {"AttributeProto", attribute, 2 * sizeof(mc_attr) + 512},
    [MC_PB_TENSOR] = {"TensorProto", tensor,
                      4 * sizeof(mc_tensor) + 2 * sizeof(mc_value) + sizeof(mc_raw) + 1024},
    [MC_PB_SPARSE_TENSOR] = {"SparseTensorProto", sparse_tensor, 2 * sizeof(mc_value) + 256},
    [MC_PB_VALUE_INFO] = {"ValueInfoProto", value_info, 2 * sizeof(mc_value) + 256},
    [MC_PB_TYPE] = {"TypeProto", type, 0},
    [MC_PB_TENSOR_TYPE] = {"TypeProto.Tensor", tensor_type, 0},
    [MC_PB_SHAPE] = {"TensorShapeProto", shape, 0},
    [MC_PB_DIM] = {"TensorShapeProto.Dimension", dim, 0},
    [MC_PB_OPSET] = {"OperatorSetIdProto", opset, sizeof(mc_opset) + 128},
    [MC_PB_PAIR] = {"StringStringEntryProto", pair, sizeof(mc_pair) + 128},
    [MC_PB_FUNCTION] = {"FunctionProto", function,
                        2 * sizeof(mc_graph) + sizeof(mc_function) + 4096},
    [MC_PB_SEQUENCE] = {"SequenceProto", sequence, 256},
    [MC_PB_OPTIONAL] = {"OptionalProto", optional, 256},
};

typedef struct {
    const char *name;
    const unsigned char *begin;
    mc_pb_counts *counts;
    mc_err *err;
} walk;

/* Sizes beyond the address space stay there. */
static void need(walk *w, size_t n, size_t each)
{
    size_t bytes;
    if (!mc_mul_size(n, each, &bytes) || !mc_add_size(w->counts->bytes, bytes, &w->counts->bytes))
        w->counts->bytes = SIZE_MAX;
}

static mc_status refuse(const walk *w, mc_pb in, const field *f, const unsigned char *at,
                        const char *why)
{
    char path[MC_PATH_ROOM];
    return mc_fail(w->err, MC_E_FORMAT, "%s: byte %zu: %s%s%s %s",
                   mc_show_path(w->name, path, sizeof path), (size_t)(at - w->begin),
                   messages[in].name, f ? "." : "", f ? f->name : "", why);
}

static mc_wire_type wire_type(field_kind k)
{
    switch (k) {
    case INT:
    case INTS: return MC_WIRE_VARINT;
    case FLOAT:
    case FLOATS: return MC_WIRE_4_BYTES;
    case WIDES: return MC_WIRE_8_BYTES;
    default: return MC_WIRE_COUNTED;
    }
}

static bool is_packable(field_kind k)
{
    return k == INTS || k == FLOATS || k == WIDES;
}

/* Fixed-width numbers are counted by their bytes: there may be gigabytes. */
static mc_status numbers(walk *w, mc_pb in, const field *f, mc_wire_field *got)
{
    const field_kind k = (field_kind)f->kind;
    const mc_wire_type wire = wire_type(k);
    if (k != INTS && got->type == MC_WIRE_COUNTED) {
        const size_t width = wire == MC_WIRE_4_BYTES ? 4 : 8;
        if (mc_left(&got->bytes) % width != 0)
            return refuse(w, in, f, got->from, "is packed, but ends inside a number");
        need(w, mc_left(&got->bytes), 1);
        return MC_OK;
    }
    uint64_t value;
    size_t n = 0;
    while (mc_wire_number(got, wire, &value)) n++;
    if (got->type == MC_WIRE_COUNTED && got->bytes.at < got->bytes.end)
        return refuse(w, in, f, got->bytes.at, "holds a number that is no varint of 64 bits");
    need(w, n, 8);
    return MC_OK;
}

/* A text becomes a name, and what nodes take may become a value of every graph they are in. */
static mc_status text(walk *w, mc_pb in, const field *f, const mc_wire_field *got, unsigned depth)
{
    const size_t n = mc_left(&got->bytes);
    const bool is_name = f->kind == TEXT || f->kind == TEXTS;
    if (is_name && n > MC_ONNX_NAME_LIMIT)
        return refuse(w, in, f, got->from, "is longer than 64 KiB");
    if ((is_name || f->kind == PROSE) &&
        (!mc_is_utf8(got->bytes.at, n) || memchr(got->bytes.at, 0, n)))
        return refuse(w, in, f, got->from, "is not UTF-8 without NUL");
    if (f->kind == BYTES && in == MC_PB_TENSOR) return MC_OK; /* stays where it is */
    need(w, n, 1);
    need(w, 1, 256);
    if (f->kind == TEXTS) need(w, depth, 2 * sizeof(mc_value));
    w->counts->texts++;
    return MC_OK;
}

static mc_status message(walk *w, mc_pb kind, mc_cursor in, unsigned depth);

static mc_status known(walk *w, mc_pb in, const field *f, mc_wire_field *got, unsigned depth)
{
    const field_kind k = (field_kind)f->kind;
    if (got->type != wire_type(k) && !(is_packable(k) && got->type == MC_WIRE_COUNTED))
        return refuse(w, in, f, got->from, "has another wire type than ONNX gives it");
    switch (k) {
    case INT:
    case FLOAT: return MC_OK;
    case INTS:
    case FLOATS:
    case WIDES: return numbers(w, in, f, got);
    case ONE:
    case MANY:
        if (f->message == MC_PB_NONE) return MC_OK;
        return message(w, (mc_pb)f->message, got->bytes, depth + 1);
    default: return text(w, in, f, got, depth);
    }
}

static mc_status message(walk *w, mc_pb kind, mc_cursor in, unsigned depth)
{
    if (depth > MC_ONNX_DEPTH)
        return refuse(w, kind, NULL, in.at, "lies more than 100 messages deep");
    w->counts->graphs += kind == MC_PB_GRAPH || kind == MC_PB_FUNCTION;
    w->counts->tensors += kind == MC_PB_TENSOR;
    w->counts->nodes += kind == MC_PB_NODE;
    if (w->counts->nodes > MC_ONNX_NODES)
        return refuse(w, kind, NULL, in.at, "is one node more than the 4194304 that are allowed");
    need(w, 1, messages[kind].bytes);

    uint32_t seen = 0; /* fields of the table that may appear once, and did */
    mc_wire_field got;
    while (mc_wire_next(&in, &got)) {
        const field *f = messages[kind].field;
        while (f->number && f->number != got.number) f++;
        if (!f->number) continue;
        const uint32_t bit = UINT32_C(1) << (f - messages[kind].field);
        if (f->kind == ONE && (seen & bit)) return refuse(w, kind, f, got.from, "appears twice");
        seen |= bit;
        MC_TRY(known(w, kind, f, &got, depth));
    }
    if (in.at == in.end) return MC_OK;
    char why[128];
    snprintf(why, sizeof why, "holds %s", mc_wire_damage(in));
    return refuse(w, kind, NULL, in.at, why);
}

mc_status mc_pb_check(mc_cursor in, mc_pb kind, const char *name, mc_pb_counts *counts, mc_err *err)
{
    *counts = (mc_pb_counts){0};
    walk w = {.name = name, .begin = in.at, .counts = counts, .err = err};
    return message(&w, kind, in, 1);
}
