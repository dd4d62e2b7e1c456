/* The pieces of an ONNX file that a graph does not model, kept as they stand there, so that a model
 * can be written back whole. All point into the mapped file. */
#ifndef MC_FORMATS_ONNX_FILE_H
#define MC_FORMATS_ONNX_FILE_H

#include "core/graph.h"

/* Of the main graph, a subgraph or the body of a function. */
typedef struct {
    const mc_graph *graph;
    mc_raw raw;          /* the whole GraphProto or FunctionProto */
    const mc_id *input;  /* all inputs in the order of the file, those with initializers too */
    size_t inputs;
    const mc_raw *rest;  /* whole fields, tags included, that are neither node, initializer, */
    size_t rests;        /* input nor output: name, doc_string, value_info, … */
} mc_onnx_graph;

/* An initializer, or the tensor of a Constant node. */
typedef struct {
    mc_raw raw;            /* the TensorProto; its name is not the tensor's when names repeat */
    const mc_graph *graph; /* that it is in */
    mc_id value;           /* of that graph: what it initializes, or what the Constant gives */
    mc_id node;            /* the Constant, or MC_NONE */
    mc_raw location;       /* of external data: the path as the file has it */
} mc_onnx_tensor_place;

typedef struct mc_onnx_file {
    mc_raw raw; /* the ModelProto: the whole file */
    int64_t ir_version;
    const mc_raw *rest; /* whole fields other than graph: versions, producer, opsets, … */
    size_t rests;
    mc_onnx_graph *graph; /* the main graph first, then functions and subgraphs as they stand */
    size_t graphs;
    const mc_onnx_tensor_place *tensor; /* of each mc_model.tensor, in its order */
} mc_onnx_file;

#endif
