/* The graph of a model: nodes that compute values from values.
 *
 * Nodes and values are known by their index, never by address: lists may move when they grow. A
 * node's operator is named as ONNX names it (domain, name, version of the domain's operator set);
 * Hugging Face families build the same kind of graph, with a few operators of our own domain
 * MC_DOMAIN.
 *
 * Two graphs of one model: the source graph is what was read, unknown operators and all, and is
 * what gets written back, pruned and reported. Passes (core/passes.h) turn a copy of it into the
 * execution graph, whose nodes say by `origin` which source node they stand for.
 *
 * All memory is the arena's; tensors are views into the model. */
#ifndef MC_CORE_GRAPH_H
#define MC_CORE_GRAPH_H

#include "core/arena.h"
#include "core/dtype.h"
#include "core/tensor.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MC_DOMAIN "ai.mcompress"
#define MC_DOMAIN_MS "com.microsoft"

typedef uint32_t mc_id;
#define MC_NONE UINT32_MAX /* an optional input or output that is left out; no origin */

typedef struct mc_graph mc_graph;

/* Bytes of the file that something was read from, for writing it back untouched. */
typedef struct {
    const unsigned char *at; /* NULL: it was not read from a file, or has been changed */
    size_t bytes;
} mc_raw;

/* The numbers of AttributeProto.AttributeType. */
typedef enum {
    MC_ATTR_NONE = 0,
    MC_ATTR_FLOAT = 1,
    MC_ATTR_INT = 2,
    MC_ATTR_STRING = 3,
    MC_ATTR_TENSOR = 4,
    MC_ATTR_GRAPH = 5,
    MC_ATTR_FLOATS = 6,
    MC_ATTR_INTS = 7,
    MC_ATTR_STRINGS = 8,
    MC_ATTR_TENSORS = 9,
    MC_ATTR_GRAPHS = 10,
    MC_ATTR_OTHER = 11, /* sparse tensors, types: kept as `raw` only */
} mc_attr_kind;

typedef struct {
    const char *name;
    mc_attr_kind kind;
    size_t count;           /* of lists; 1 for single values */
    const float *f;
    const int64_t *i;
    const char *const *s;   /* NUL-terminated copies; s_bytes holds the lengths */
    const size_t *s_bytes;
    const mc_tensor *t;     /* tensors; those of STRING have data NULL and are in `raw` only */
    mc_graph *const *g;
    const char *refers;     /* in a function's body: the call's attribute that it stands for */
    mc_raw raw;             /* the AttributeProto */
} mc_attr;

typedef struct {
    const char *name;     /* may be "" */
    const char *op;
    const char *domain;   /* "" is ai.onnx */
    const char *overload; /* "" mostly; of functions */
    int version;          /* of the domain's operator set that holds for this node */
    mc_id *in;            /* MC_NONE: left out */
    size_t ins;
    mc_id *out;
    size_t outs;
    mc_attr *attr;
    size_t attrs;
    mc_id origin;         /* in an execution graph: the source node; else MC_NONE */
    mc_raw raw;           /* the NodeProto */
} mc_node;

typedef struct {
    const char *name;         /* "" only when nothing names it; else unique in its graph */
    mc_dtype dtype;           /* MC_DTYPE_NONE: not said */
    int ndim;                 /* MC_RANK_UNKNOWN (nd.h): not said */
    int64_t dim[MC_MAX_DIMS]; /* -1: not said, or symbolic */
    const char *dim_name[MC_MAX_DIMS]; /* of symbolic ones, else NULL */
    const mc_tensor *constant;/* an initializer's numbers, else NULL */
    mc_id producer;           /* node, or MC_NONE: input, initializer, captured */
    mc_id outer;              /* in a subgraph: the value of the enclosing graph that this is */
    mc_raw raw;               /* the ValueInfoProto */
} mc_value;

/* A function of the model itself: nodes of this domain, name and overload stand for its body
 * (core/pass_functions.c). In the body, attributes with `refers` take the call's attribute of that
 * name, or its default, or are left out. */
typedef struct {
    const char *domain, *name, *overload;
    const mc_attr *fallback; /* attributes that have a default */
    size_t fallbacks;
    const mc_graph *body; /* its inputs and outputs are the call's, by position */
} mc_function;

struct mc_graph {
    const char *name;
    mc_node *node; /* each after the nodes whose outputs it takes, once mc_graph_order has run */
    size_t nodes, node_room;
    mc_value *value;
    size_t values, value_room;
    mc_id *input; /* without initializers */
    size_t inputs, input_room;
    mc_id *output;
    size_t outputs, output_room;
    mc_graph *outer; /* of a subgraph: the graph that its node is in */
    const mc_function *function; /* of a main graph: what its nodes, and these, may call */
    size_t functions;
    mc_arena *mem;   /* for growing; NULL once complete */
};

/* ---- building: NULL or MC_NONE when memory ran out; both stick in mem and are checked once by
 * mc_graph_check ---- */

mc_graph *mc_graph_new(mc_arena *mem, const char *name);

/* A value without producer. The name is not copied. */
mc_id mc_graph_add_value(mc_graph *g, const char *name);
mc_id mc_graph_add_input(mc_graph *g, const char *name, mc_dtype dtype, int ndim,
                         const int64_t *dim);
mc_id mc_graph_add_constant(mc_graph *g, const mc_tensor *tensor);
bool mc_graph_add_output(mc_graph *g, mc_id value);

/* Lists are copied; every out[] gets the node as producer. The pointer holds until the
 * next call. */
mc_node *mc_graph_add_node(mc_graph *g, const mc_node *node);

/* One value made by a node of `ins` inputs (the common case). Attributes may be added behind it. */
mc_id mc_graph_apply(mc_graph *g, const char *domain, const char *op, int version, const mc_id *in,
                     size_t ins, const char *name);

/* Appends to the last node added. */
bool mc_node_add_int(mc_graph *g, const char *name, int64_t value);
bool mc_node_add_float(mc_graph *g, const char *name, float value);
bool mc_node_add_text(mc_graph *g, const char *name, const char *value);
bool mc_node_add_ints(mc_graph *g, const char *name, const int64_t *value, size_t n);

/* A small constant of our own making, copied into mem. */
mc_id mc_graph_const_f32(mc_graph *g, const char *name, int ndim, const int64_t *dim,
                         const float *value);
mc_id mc_graph_const_i64(mc_graph *g, const char *name, int ndim, const int64_t *dim,
                         const int64_t *value);

/* A copy whose nodes have `origin` set to the index they have here; subgraphs are copied too. */
mc_graph *mc_graph_copy(const mc_graph *g, mc_arena *mem);

/* Sets producers anew; refuses ids out of range, two producers of a value, an output without
 * producer; subgraphs too. `name` stands in front of messages (MC_E_FORMAT). */
mc_status mc_graph_check(mc_graph *g, const char *name, mc_err *err);

/* Puts nodes into an order in which producers come first, changing as little as can be; fails
 * (MC_E_FORMAT, naming a node) on a cycle. Linear time, no recursion. */
mc_status mc_graph_order(mc_graph *g, const char *name, mc_arena scratch, mc_err *err);

/* ---- looking ---- */

mc_id mc_graph_find(const mc_graph *g, const char *value_name); /* linear; MC_NONE */

const mc_attr *mc_node_attr(const mc_node *node, const char *name); /* NULL: not there */
int64_t mc_node_int(const mc_node *node, const char *name, int64_t otherwise);
double mc_node_float(const mc_node *node, const char *name, double otherwise);
const char *mc_node_text(const mc_node *node, const char *name, const char *otherwise);
/* How many; *values NULL when it is not there. */
size_t mc_node_ints(const mc_node *node, const char *name, const int64_t **values);
bool mc_node_is(const mc_node *node, const char *domain, const char *op);

/* How many node inputs (subgraphs' captures included) and graph outputs take each value: n[values],
 * and with `user` not NULL one node that does. */
void mc_graph_uses(const mc_graph *g, uint32_t *n, mc_id *user);

/* "node 12 'conv1' (Conv, opset 13)": how messages name a node. Returns `text`. */
enum { MC_NODE_TEXT = 256 };
const char *mc_node_show(const mc_graph *g, mc_id node, char text[MC_NODE_TEXT]);

#endif
