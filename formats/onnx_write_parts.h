/* What the files of the ONNX writer share.
 *
 * The raw bytes of what was read stand in for everything that nothing has changed. They are walked
 * field by field wherever a graph or a tensor lies below, since those may change without them. */
#ifndef MC_FORMATS_ONNX_WRITE_PARTS_H
#define MC_FORMATS_ONNX_WRITE_PARTS_H

#include "formats/onnx_emit.h"
#include "formats/onnx_parts.h"

/* How large the two files become; `data` is 0 when there is only one. */
typedef struct {
    uint64_t model, data;
} mc_onnx_sizes;

/* What mc_onnx_write would write, without looking at any tensor's bytes. */
mc_status mc_onnx_write_sizes(const mc_model *model, const mc_onnx_write_options *options,
                              const char *path, mc_onnx_sizes *out, mc_err *err);

/* A graph that is being written, with the graph around it. */
typedef struct mc_onnx_written mc_onnx_written;
struct mc_onnx_written {
    const mc_graph *graph;
    mc_cursor raw; /* what it was read from; `at` NULL: from no file */
    const mc_onnx_layout *at;
    bool in_function;
    const char **name; /* of each value, never "" */
    mc_onnx_names names;    /* -> values */
    bool *given;       /* of each value: something gives it */
    bool *initialized; /* of each value: the file it is from lists an initializer of it */
    mc_raw *input;     /* of each value: the whole field of the file that lists it as an input */
    mc_raw *output;
    mc_onnx_written *outer, *next;
};

typedef struct {
    mc_emit emit;
    const mc_model *model;
    mc_onnx_write_options options;
    mc_arena *mem;
    mc_onnx_written *first; /* all graphs in the order in which they are written */
    mc_onnx_written **next; /* the one that comes next */
    mc_opset *opset;        /* that the model has to import besides those of its file */
    size_t opsets;
    int64_t ir_version;     /* 0: not known yet */
    uint64_t external_from; /* UINT64_MAX: all data stays in the model */
    const char *location;   /* of external data */
    uint64_t data_bytes;    /* of external data so far */
    mc_out *data;
    mc_err *err;
} mc_onnx_writing;

/* ---- graphs (onnx_write_graph.c, onnx_write_names.c) ---- */

/* Bytes that mc_onnx_enter takes for all graphs of a model; refuses graphs that lie too deep. */
mc_status mc_onnx_written_memory(const mc_model *model, size_t *bytes, mc_err *err);

/* Makes a graph known, or finds what an earlier pass made of it. raw.at NULL: from no file. */
mc_status mc_onnx_enter(mc_onnx_writing *w, const mc_graph *graph, mc_cursor raw, bool is_function,
                        mc_onnx_written *outer, mc_onnx_written **out);

/* A GraphProto or FunctionProto as that field of the message around it. */
mc_status mc_onnx_put_graph(mc_onnx_writing *w, uint32_t field, const mc_graph *graph,
                            mc_cursor raw, mc_onnx_written *outer);
mc_status mc_onnx_put_function(mc_onnx_writing *w, uint32_t field, const mc_function *function,
                               mc_cursor raw);

/* ---- nodes (onnx_write_node.c) ---- */

mc_status mc_onnx_put_node(mc_onnx_writing *w, mc_onnx_written *s, mc_id node);

/* `node` NULL: a default of a function. */
mc_status mc_onnx_put_attr(mc_onnx_writing *w, mc_onnx_written *s, uint32_t field,
                           const mc_node *node, const mc_attr *attr);

/* ---- tensors (onnx_write_tensor.c) ---- */

typedef struct {
    const mc_tensor *tensor;
    const char *name; /* NULL: the one in raw, or none */
    mc_cursor raw;    /* the TensorProto it was read from; no bytes: none */
    bool is_weight;   /* may be replaced, moved to the other file, left out */
} mc_onnx_piece;

mc_status mc_onnx_put_tensor(mc_onnx_writing *w, uint32_t field, const mc_onnx_piece *piece);

#endif
