/* What families of Hugging Face models are built of: config.json read with ranges, tensors looked
 * up with the shape they must have, and the layers that many families share.
 *
 * A builder keeps its first failure: every call after it does nothing and gives MC_NONE, 0 or "".
 * So a family reads like the model that it describes, and ends with mc_hf_done. Only loops over
 * counts from config.json need to look at `status` (mc_hf_ok), and stop.
 *
 * Activations are F32 throughout, whatever the weights are stored as. Weights of sites go into
 * their nodes as the file has them; embeddings become F32 behind the Gather, norms and biases in
 * front of their node. */
#ifndef MC_FORMATS_HF_BLOCKS_H
#define MC_FORMATS_HF_BLOCKS_H

#include "formats/hf_family.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MC_HF_OPSET = 23,        /* of the nodes of ai.onnx */
    MC_HF_LAYERS = 1024,     /* what config.json may ask for at most */
    MC_HF_WIDTH = 1 << 20,   /* hidden and inner sizes */
    MC_HF_VOCAB = 1 << 24,
    MC_HF_HEADS = 1 << 16,
    MC_HF_CONTEXT = 1 << 30, /* positions */
};

typedef struct {
    mc_family_build *b;
    mc_graph *g;
    mc_err *err;
    mc_status status;
} mc_hf;

mc_hf mc_hf_begin(mc_family_build *b, mc_err *err);
bool mc_hf_ok(const mc_hf *h);

/* Makes a value the graph's next output, called `name`, and gives the first failure. */
mc_status mc_hf_done(mc_hf *h, mc_id output, const char *name);

/* Records a failure, unless there is one already. The sentence begins with config.json's path. */
void mc_hf_fail(mc_hf *h, mc_status status, const char *fmt, ...) MC_PRINTF(3, 4);

/* A text in the model's memory: names of nodes. */
const char *mc_hf_name(mc_hf *h, const char *fmt, ...) MC_PRINTF(2, 3);

/* ---- config.json ----
 *
 * `in` is the object that holds the key, NULL for the root. A key that is missing or null gives
 * `otherwise`; anything else that is not of the kind, or out of range, is MC_E_FORMAT. */

/* A number of which there is no default: MC_E_UNSUPPORTED when it is missing or null. */
uint64_t mc_hf_need(mc_hf *h, const char *key, uint64_t least, uint64_t most);
uint64_t mc_hf_count(mc_hf *h, const char *key, uint64_t least, uint64_t most, uint64_t otherwise);
double mc_hf_real(mc_hf *h, const mc_json *in, const char *key, double least, double most,
                  double otherwise);
bool mc_hf_flag(mc_hf *h, const char *key, bool otherwise);
const char *mc_hf_text(mc_hf *h, const mc_json *in, const char *key, const char *otherwise);

/* Refuses `n`, read from `key`, unless it divides `all`, read from `whole_key`. */
void mc_hf_divides(mc_hf *h, const char *key, uint64_t n, const char *whole_key, uint64_t all);

/* NULL when it is missing or null. */
const mc_json *mc_hf_get(const mc_hf *h, const mc_json *in, const char *key);

/* A value of config.json, for messages. */
enum { MC_HF_SHOWN = 64 };
const char *mc_hf_show(const mc_json *value, char text[MC_HF_SHOWN]);

/* ---- tensors ---- */

bool mc_hf_has(const mc_hf *h, const char *name);

/* A tensor of real numbers with just this shape, as it is stored. Another shape is MC_E_FORMAT. One
 * that is missing is MC_E_UNSUPPORTED: a lone shard, or an adapter beside the config.json of the
 * whole, are weights like any other. Once a tensor: names of values are unique. */
mc_id mc_hf_tensor(mc_hf *h, const char *name, int ndim, const uint64_t *dim);

/* The same, as Linear takes it: through a Cast when it is neither F32, F16 nor BF16. */
mc_id mc_hf_matrix(mc_hf *h, const char *name, uint64_t rows, uint64_t cols);

/* The same as F32. */
mc_id mc_hf_vector(mc_hf *h, const char *name, uint64_t n);
mc_id mc_hf_f32(mc_hf *h, mc_id value, const char *name);

/* Constants of our own. */
mc_id mc_hf_scalar(mc_hf *h, const char *name, double value);
mc_id mc_hf_whole(mc_hf *h, const char *name, int64_t value);
mc_id mc_hf_floats(mc_hf *h, const char *name, const float *value, size_t n);
mc_id mc_hf_ints(mc_hf *h, const char *name, const int64_t *value, size_t n);
mc_id mc_hf_ones(mc_hf *h, const char *name, size_t n);

/* ---- nodes ---- */

/* One node of ai.onnx, or of our own domain; its output has its name. */
mc_id mc_hf_node(mc_hf *h, const char *op, const char *name, const mc_id *in, size_t ins);
mc_id mc_hf_own(mc_hf *h, const char *op, const char *name, const mc_id *in, size_t ins);

/* Attributes of the last node. */
void mc_hf_int(mc_hf *h, const char *name, int64_t value);
void mc_hf_int_list(mc_hf *h, const char *name, const int64_t *value, size_t n);
void mc_hf_float(mc_hf *h, const char *name, double value);

/* Parts of an axis: out[i] is size[i] wide, named <name>.<i>. */
typedef struct {
    int axis;
    size_t parts;
    const int64_t *size;
} mc_hf_parts;
void mc_hf_split(mc_hf *h, mc_id x, const char *name, const mc_hf_parts *parts, mc_id *out);

mc_id mc_hf_reshape(mc_hf *h, mc_id x, const char *name, const int64_t *dim, size_t dims);
mc_id mc_hf_transpose(mc_hf *h, mc_id x, const char *name, const int64_t *perm, size_t dims);

/* `name` by its name in config.json: silu, gelu, gelu_new, gelu_pytorch_tanh, relu, quick_gelu …
 * MC_E_UNSUPPORTED names `key` and what is known. */
mc_id mc_hf_activation(mc_hf *h, const char *key, const char *function, mc_id x, const char *name);

/* ---- layers: `at` is the module's name, <at>.weight and <at>.bias its tensors ---- */

/* in x -> out; weight [out, in]. */
mc_id mc_hf_linear(mc_hf *h, const char *at, mc_id x, uint64_t in, uint64_t out, bool bias);

/* The same without bias, with a matrix that is there already. */
mc_id mc_hf_times(mc_hf *h, const char *name, mc_id x, mc_id matrix);

mc_id mc_hf_rms_norm(mc_hf *h, const char *at, mc_id x, uint64_t n, double epsilon);
mc_id mc_hf_layer_norm(mc_hf *h, const char *at, mc_id x, uint64_t n, double epsilon);

/* A convolution, its weight as F32. Strides, pads and groups may be added behind. */
typedef struct {
    bool bias;
    int ndim;
    uint64_t dim[4]; /* out, in / groups, kernel */
} mc_hf_kernel;
mc_id mc_hf_conv(mc_hf *h, const char *at, mc_id x, const mc_hf_kernel *k);

/* An input of the graph. -1: as the caller has it. */
mc_id mc_hf_input(mc_hf *h, const char *name, mc_dtype dtype, int ndim, const int64_t *dim);

/* One of whole numbers, I64 [batch, sequence]. */
mc_id mc_hf_input_ids(mc_hf *h, const char *name);

/* Rows of <at>.weight, as F32. *table is the weight, for heads that are tied to it. */
mc_id mc_hf_embedding(mc_hf *h, const char *at, mc_id ids, uint64_t rows, uint64_t width,
                      mc_id *table);

/* What depends on how long the sequence is: the ids' shape, its length (a scalar), and 0, 1, 2, …
 * [sequence]; all I64. Once a graph. */
typedef struct {
    mc_id shape, length, row;
} mc_hf_positions;
mc_hf_positions mc_hf_count_positions(mc_hf *h, mc_id ids);

/* softmax(scale q k^T + mask) v. All three [batch, sequence, heads * size]. The mask is of booleans
 * (true: seen) or is added, and spreads over [batch, heads, queries, keys]. */
typedef struct {
    uint64_t heads, kv_heads;
    double scale;
    double softcap;  /* 0: none */
    uint64_t window; /* positions that are seen, itself included; 0: all */
    bool causal;
    mc_id mask;      /* MC_NONE: none */
} mc_hf_attention;
mc_id mc_hf_attend(mc_hf *h, const char *name, const mc_id qkv[3], const mc_hf_attention *a);

/* down(act(gate(x)) * up(x)): <at>.gate_proj, up_proj, down_proj, or gate_up_proj in one. */
typedef struct {
    uint64_t width, inner;
    bool bias, fused;
    const char *key, *function; /* of the activation */
} mc_hf_gated;
mc_id mc_hf_gated_mlp(mc_hf *h, const char *at, mc_id x, const mc_hf_gated *m);

/* act(part[0]) * part[1]: its middle. */
mc_id mc_hf_gate(mc_hf *h, const char *at, const mc_id part[2], const mc_hf_gated *m);

#endif
