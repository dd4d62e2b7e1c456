/* What the files of the ONNX reader share: the check of a message, tensors, external files, and the
 * parts of a graph. */
#ifndef MC_FORMATS_ONNX_PARTS_H
#define MC_FORMATS_ONNX_PARTS_H

#include "core/wire.h"
#include "formats/formats.h"
#include "formats/json_pull.h"
#include "formats/onnx.h"
#include "formats/onnx_file.h"
#include "formats/onnx_names.h"

/* ---- the check (onnx_check.c) ---- */

typedef enum {
    MC_PB_NONE,
    MC_PB_MODEL,
    MC_PB_GRAPH,
    MC_PB_NODE,
    MC_PB_ATTRIBUTE,
    MC_PB_TENSOR,
    MC_PB_SPARSE_TENSOR,
    MC_PB_VALUE_INFO,
    MC_PB_TYPE,
    MC_PB_TENSOR_TYPE,
    MC_PB_SHAPE,
    MC_PB_DIM,
    MC_PB_OPSET,
    MC_PB_PAIR,
    MC_PB_FUNCTION,
    MC_PB_SEQUENCE,
    MC_PB_OPTIONAL,
    MC_PB_MESSAGES,
} mc_pb;

/* What a message is made of, subgraphs and functions included. */
typedef struct {
    size_t tensors, graphs, nodes, texts;
    size_t bytes; /* room that its parts take of an arena at most */
} mc_pb_counts;

/* Walks a whole message with all messages in it: wire format, nesting, fields that may appear once,
 * wire types of known fields, packed numbers, texts (UTF-8 without NUL). After it mc_wire_next on
 * any known part ends only at the end. `name` stands in front of messages. */
mc_status mc_pb_check(mc_cursor message, mc_pb kind, const char *name, mc_pb_counts *counts,
                      mc_err *err);

/* ---- external data (onnx_external.c) ---- */

/* The files that one model names, mapped once each at their first use. */
typedef struct {
    const char *model; /* its path: names are looked for beside it */
    mc_external_policy policy;
    mc_arena *mem;   /* of the model, for paths */
    mc_arena *work;  /* for what is only needed while reading */
    mc_onnx_names names;  /* location -> number */
    mc_source *file; /* room for MC_SHARD_LIMIT */
    size_t files;
} mc_onnx_externals;

/* The bytes that the entries of a TensorProto's external_data name; *file is the file's number, in
 * the order of first use; MC_NONE and no bytes when they are not asked for. */
mc_status mc_onnx_external(mc_onnx_externals *files, mc_cursor tensor, mc_raw *out, uint32_t *file,
                           mc_err *err);

/* ---- tensors (onnx_tensor.c) ---- */

/* A TensorProto that mc_pb_check has seen as a view: name, dtype, shape, data; data that is not
 * stored as its dtype wants it is decoded into `mem`. STRING: data NULL. source is 0, or one more
 * than the number of an external file. `files` NULL: external data is refused. */
mc_status mc_onnx_tensor(mc_cursor tensor, mc_onnx_externals *files, mc_arena *mem, mc_tensor *out,
                         mc_err *err);

/* The strings of a TensorProto as views into it: count of them. */
void mc_onnx_strings(mc_cursor tensor, mc_nd_text *out);

/* ---- graphs (onnx_graph.c, onnx_node.c) ---- */

/* Where the parts stand in a GraphProto and a FunctionProto; 0: there are none. */
typedef struct {
    unsigned char node, initializer, input, output, value_info, sparse;
} mc_onnx_layout;

extern const mc_onnx_layout mc_onnx_of_graph, mc_onnx_of_function;

/* Where values of that kind stand in an AttributeProto. */
uint32_t mc_onnx_attr_field(mc_attr_kind kind);

/* The counted field of that number, the last one; empty when it is not there. */
mc_cursor mc_onnx_part(mc_cursor in, uint32_t number);

/* A graph that is being read, with the graphs around it. */
typedef struct mc_onnx_scope mc_onnx_scope;
struct mc_onnx_scope {
    mc_graph *graph;
    mc_onnx_names names; /* of its values, those taken from outside too */
    mc_onnx_scope *outer;
};

/* The reading of one model. Lists have room for what mc_pb_check has counted. */
typedef struct {
    mc_arena *mem;  /* of the model */
    mc_arena *work; /* gone when the model is read */
    mc_onnx_externals *files;
    const mc_opset *opset; /* that hold for the nodes being read */
    size_t opsets;
    mc_onnx_graph *graph;
    size_t graphs;
    mc_tensor *tensor; /* in the order of the file */
    mc_onnx_tensor_place *place;
    size_t tensors;
    const char *sparse; /* a value that has a sparse initializer, or NULL */
    mc_err *err;
} mc_onnx_read;

/* A GraphProto or FunctionProto, all in it included, as a graph (neither ordered nor checked). */
mc_status mc_onnx_read_graph(mc_onnx_read *r, mc_cursor graph, bool is_function,
                             mc_onnx_scope *outer, mc_graph **out);

/* A NodeProto becomes the next node of the scope's graph, whose values are all declared. */
mc_status mc_onnx_read_node(mc_onnx_read *r, mc_onnx_scope *scope, mc_cursor node);

/* An AttributeProto. */
mc_status mc_onnx_read_attr(mc_onnx_read *r, mc_onnx_scope *scope, mc_cursor attr, mc_attr *out);

/* The value of that name in the scope or around it; the text of a field as a C string. MC_NONE and
 * NULL: err is set. */
mc_id mc_onnx_resolve(mc_onnx_read *r, mc_onnx_scope *scope, mc_cursor name);
const char *mc_onnx_text(mc_onnx_read *r, mc_cursor text);

/* Whether the field is the text, and a text for messages. */
bool mc_onnx_is(mc_cursor field, const char *text);
mc_quoted mc_onnx_quote(mc_cursor text);

/* Lists a tensor of the model: what a value starts as (node MC_NONE), or what a Constant gives. */
void mc_onnx_list_tensor(mc_onnx_read *r, const mc_tensor *tensor, mc_onnx_tensor_place place);

/* The opset that holds for a domain. */
mc_status mc_onnx_version(const mc_onnx_read *r, const char *domain, int *out);

/* ---- functions (onnx_functions.c) ---- */

/* All functions of a model; `r` has the model's opsets, which hold again afterwards. */
mc_status mc_onnx_read_functions(mc_onnx_read *r, mc_cursor model, mc_graph *graph);

/* The opset_import entries of a ModelProto or FunctionProto (its field of that number). */
mc_status mc_onnx_read_opsets(mc_onnx_read *r, mc_cursor in, uint32_t number);

#endif
