/* Operators: what a node does.
 *
 * To add one, write a line in the table of its family, core/ops/op_<family>.c; to add a family,
 * write that file with `const mc_op mc_ops_<family>[]`, ended by an empty line, and add it to
 * MC_OP_FAMILIES.
 *
 * The rule of an operator's output shapes stands once, in `shape`: inference calls it with what is
 * known beforehand, the executor with everything known; then the executor makes room for the
 * outputs and `run` fills them. */
#ifndef MC_CORE_OP_H
#define MC_CORE_OP_H

#include "core/act_spec.h"
#include "core/arena.h"
#include "core/graph.h"
#include "core/nd.h"

#define MC_OP_FAMILIES(X) \
    X(unary)              \
    X(binary)             \
    X(logic)              \
    X(cast)               \
    X(reduce)             \
    X(softmax)            \
    X(select)             \
    X(shape)              \
    X(layout)             \
    X(gather)             \
    X(pad)                \
    X(resize)             \
    X(generate)           \
    X(control)            \
    X(sequence)           \
    X(conv)               \
    X(pool2d)             \
    X(norm)               \
    X(matmul)             \
    X(einsum)             \
    X(recurrent)          \
    X(quantize)           \
    X(qlinear)            \
    X(attention)          \
    X(contrib)            \
    X(experts)            \
    X(scan)               \
    /* end */

/* Operators of our own domain MC_DOMAIN, version 1 (all tensors of one float dtype):
 *
 *   Linear(x[..., k], w[n, k], b[n]?) -> [..., n]          x w^T + b
 *   SiLU(x)                                                x * sigmoid(x)
 *   Attention(q, k, v, mask?)                              ai.onnx Attention 23 without its caches;
 *     window: only the last `window` positions (0: all); the rest as there
 *   RouteTopK(logits[..., e]) -> [t, e]                    softmax over the k largest of a row,
 *     k, normalize (1: over the k, 0: over all e)          0 for the others; ties to lower experts
 *   ExpertRows(x[..., d], gates[t, e]) -> [n, d]           rows whose gate of `expert` is not 0
 *     expert
 *   ExpertMerge(x[..., d], gates[t, e], y0[n0, d], …) -> x's shape   sum of gate * row, by expert
 *   SelectiveScan(x[b, t, h, p], dt[b, t, h], a[h], b[b, t, g, n], c[b, t, g, n], d[h]?)
 *     -> [b, t, h, p]      s_t = exp(dt a) s_(t-1) + dt x b^T;  y = s c + d x;
 *                          heads share groups */

typedef struct mc_call mc_call;

/* What an operator may ask of the one who runs it. */
typedef struct mc_host mc_host;
struct mc_host {
    /* Room for an output that `run` sizes itself (MC_OP_SIZES); dtype and dims are set. Also turns
     * a list of items into a sequence's (copied). */
    mc_status (*make)(mc_host *host, mc_nd *t, mc_err *err);

    /* Runs a subgraph of this node: its inputs in order; outputs point to tensors that live until
     * the node is done (`make` and copy what shall stay). */
    mc_status (*run)(mc_host *host, const mc_graph *body, const mc_nd *const *in, size_t ins,
                     const mc_nd **out, size_t outs, mc_err *err);

    /* Gives an output of `run` back before the node is done. */
    void (*drop)(mc_host *host, const mc_nd *t);

    /* Room for the characters of strings in outputs, which stays until the run's next pass (and
     * with constants); NULL: there is none. */
    char *(*text)(mc_host *host, size_t bytes);
};

/* A cache of keys and values to simulate, and which attentions took part. */
typedef struct {
    const mc_kv_spec *spec; /* NULL: none */
    uint64_t applied, left; /* attentions */
    const mc_node *first_left;
    const char *why;        /* it was left: "its queries see later keys" */
} mc_kv_use;

struct mc_call {
    const mc_node *node;
    int version;              /* of the operator set; node->version */
    const mc_nd *const *in;   /* NULL: left out */
    size_t ins;
    mc_nd *const *out;        /* NULL: nobody wants it */
    size_t outs;
    mc_arena scratch;         /* a loan: copy it to a local before taking from it */
    mc_host *host;            /* NULL during inference */
    mc_kv_use *kv;            /* attentions; NULL: keys and values are kept as they are */
};

enum {
    MC_OP_SIZES = 1,   /* run makes room for its outputs (mc_host.make); shape may know less */
    MC_OP_LAZY = 2,    /* in[1] may be lazy (nd.h) */
    MC_OP_LAZY_0 = 4,  /* in[0] may be lazy (Gather) */
    MC_OP_IN_PLACE = 8,/* out[0] may be the memory of in[0], when both have the same size */
    MC_OP_RANDOM = 16, /* not a function of its inputs: never folded */
    MC_OP_KINDS = 32,  /* takes sequences and optionals; others only ever see tensors */
    MC_OP_DIMS = 64,   /* needs the dims of its inputs, never their numbers (Shape) */
    MC_OP_MOVES = 128, /* outputs are elements of inputs as they are: nothing to round. (Weights
                          read from a container need not fit the dtype of their source.) */
};

typedef struct {
    const char *domain, *name;
    int since;             /* first version of the operator set that the line holds for, up to the
                              next line of the same name */
    int least_in, most_in; /* most_in -1: any number */
    int most_out;          /* -1: any number */
    unsigned flags;

    /* Sets dtype and dims of every out[] that is not NULL; what cannot be known stays unknown, and
     * when everything is known so are they. May also set out[]->data when the value is plain from
     * shapes alone (Shape, Size): not required. MC_E_FORMAT: inputs that the operator forbids. */
    mc_status (*shape)(const mc_call *call, mc_err *err);

    /* Fills out[]->data. Pure; any thread. Floats smaller than f32 are rounded by the caller. */
    mc_status (*run)(const mc_call *call, mc_err *err);

    /* Most scratch bytes that `run` takes, from shapes alone; NULL: none. */
    size_t (*scratch)(const mc_call *call);
} mc_op;

#define X(family) extern const mc_op mc_ops_##family[];
MC_OP_FAMILIES(X)
#undef X

/* The line for a node, or NULL when the operator or its version is not known. */
const mc_op *mc_op_find(const char *domain, const char *name, int version);

/* All lines in the order of the list, NULL past the end: for tables and tests. */
const mc_op *mc_op_at(size_t i);

/* The newest version of ai.onnx that operators are checked against. */
enum { MC_OPSET_OLDEST = 1, MC_OPSET_NEWEST = 25 };

/* ---- what operators share (core/ops/op_common.c) ---- */

/* Numpy's broadcasting of two shapes; unknown dimensions stay unknown unless one side decides. */
mc_status mc_op_broadcast(const mc_nd *a, const mc_nd *b, mc_nd *out, mc_err *err);

/* Sets out[0] to the dtype and shape of in[0] (a `shape` for element-wise operators). */
mc_status mc_op_same_shape(const mc_call *call, mc_err *err);

/* MC_E_UNSUPPORTED / MC_E_FORMAT with node, input, and what was found. */
mc_status mc_op_refuse_dtype(const mc_call *call, size_t input, mc_err *err);

/* in[i] as whole numbers: how many; 0 and *known false when its data is not known. For inputs such
 * as axes, starts, shape. At most `room` are written; more fail. NULL inputs count as known, 0. */
mc_status mc_op_ints(const mc_call *call, size_t i, int64_t *out, size_t room, size_t *n,
                     bool *known, mc_err *err);

/* A window over 1 to 3 spatial axes: strides, dilations, pads by attribute names that Conv and
 * pooling share (auto_pad included). in: N x C x spatial. */
typedef struct {
    int axes;
    int64_t kernel[3], stride[3], dilation[3], pad_begin[3], pad_end[3], in[3], out[3];
    bool ceil_mode;
} mc_window;
mc_status mc_op_window(const mc_call *call, const mc_nd *x, const int64_t *kernel, mc_window *out,
                       mc_err *err);

#endif
