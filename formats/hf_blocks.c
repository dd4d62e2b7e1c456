/* The builder: its first failure, config.json, tensors, nodes, and the layers made of them. */
#include "formats/hf_blocks.h"

#include "formats/json_pull.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

mc_hf mc_hf_begin(mc_family_build *b, mc_err *err)
{
    return (mc_hf){.b = b, .g = b->graph, .err = err};
}

bool mc_hf_ok(const mc_hf *h)
{
    return h->status == MC_OK;
}

void mc_hf_fail(mc_hf *h, mc_status status, const char *fmt, ...)
{
    if (!mc_hf_ok(h)) return;
    char text[MC_ERR_TEXT];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    h->status = mc_fail(h->err, status, "%s: %s", h->b->path, text);
}

static void out_of_room(mc_hf *h)
{
    if (mc_hf_ok(h)) h->status = mc_no_room(h->err, "the graph");
}

const char *mc_hf_name(mc_hf *h, const char *fmt, ...)
{
    if (!mc_hf_ok(h)) return "";
    char text[512];
    va_list args;
    va_start(args, fmt);
    const int length = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    const bool fits = length >= 0 && (size_t)length < sizeof text;
    const char *copy = fits ? mc_copy_text(h->b->mem, text, (size_t)length) : NULL;
    if (!copy) out_of_room(h);
    return copy ? copy : "";
}

mc_status mc_hf_done(mc_hf *h, mc_id output, const char *name)
{
    if (!mc_hf_ok(h)) return h->status;
    h->g->value[output].name = name;
    h->g->value[output].dtype = MC_F32;
    if (!mc_graph_add_output(h->g, output)) out_of_room(h);
    return h->status;
}

/* ---- config.json ---- */

const char *mc_hf_show(const mc_json *value, char text[MC_HF_SHOWN])
{
    const char *word = mc_json_as_text(value, NULL);
    const double x = mc_json_as_num(value, (double)NAN);
    if (word)
        mc_show_path(mc_quote(word).text, text, MC_HF_SHOWN);
    else if (!isnan(x))
        snprintf(text, MC_HF_SHOWN, fabs(x) < 0x1p53 && x == floor(x) ? "%.0f" : "%.9g", x);
    else if (mc_json_as_bool(value, true) == mc_json_as_bool(value, false))
        snprintf(text, MC_HF_SHOWN, "%s", mc_json_as_bool(value, false) ? "true" : "false");
    else if (!value || mc_json_is_null(value))
        snprintf(text, MC_HF_SHOWN, "%s", value ? "null" : "missing");
    else if (mc_json_is_object(value))
        snprintf(text, MC_HF_SHOWN, "an object");
    else
        snprintf(text, MC_HF_SHOWN, "a list of %zu", mc_json_count(value));
    return text;
}

const mc_json *mc_hf_get(const mc_hf *h, const mc_json *in, const char *key)
{
    const mc_json *value = mc_json_get(in ? in : h->b->config, key); /* null is Python's None */
    return value && !mc_json_is_null(value) ? value : NULL;
}

static uint64_t whole(mc_hf *h, const char *key, const mc_json *value, const uint64_t range[2])
{
    uint64_t n;
    if (mc_json_as_u64(value, &n) && n >= range[0] && n <= range[1]) return n;
    char text[MC_HF_SHOWN];
    mc_hf_fail(h, value ? MC_E_FORMAT : MC_E_UNSUPPORTED,
               "%s is %s, a whole number from %" PRIu64 " to %" PRIu64 " is allowed", key,
               mc_hf_show(value, text), range[0], range[1]);
    return 0;
}

uint64_t mc_hf_need(mc_hf *h, const char *key, uint64_t least, uint64_t most)
{
    if (!mc_hf_ok(h)) return 0;
    const mc_json *value = mc_hf_get(h, NULL, key);
    return whole(h, key, value, (uint64_t[]){least, most});
}

uint64_t mc_hf_count(mc_hf *h, const char *key, uint64_t least, uint64_t most, uint64_t otherwise)
{
    if (!mc_hf_ok(h)) return 0;
    const mc_json *value = mc_hf_get(h, NULL, key);
    return value ? whole(h, key, value, (uint64_t[]){least, most}) : otherwise;
}

void mc_hf_divides(mc_hf *h, const char *key, uint64_t n, const char *whole_key, uint64_t all)
{
    if (mc_hf_ok(h) && all % n != 0)
        mc_hf_fail(h, MC_E_FORMAT, "%s is %" PRIu64 ", a divisor of %s %" PRIu64 " is allowed", key,
                   n, whole_key, all);
}

double mc_hf_real(mc_hf *h, const mc_json *in, const char *key, double least, double most,
                  double otherwise)
{
    if (!mc_hf_ok(h)) return 0;
    const mc_json *value = mc_hf_get(h, in, key);
    if (!value) return otherwise;
    const double x = mc_json_as_num(value, (double)NAN);
    if (x >= least && x <= most) return x;
    char text[MC_HF_SHOWN];
    mc_hf_fail(h, MC_E_FORMAT, "%s is %s, a number from %g to %g is allowed", key,
               mc_hf_show(value, text), least, most);
    return 0;
}

bool mc_hf_flag(mc_hf *h, const char *key, bool otherwise)
{
    if (!mc_hf_ok(h)) return false;
    const mc_json *value = mc_hf_get(h, NULL, key);
    if (!value) return otherwise;
    if (mc_json_as_bool(value, true) == mc_json_as_bool(value, false))
        return mc_json_as_bool(value, false);
    char text[MC_HF_SHOWN];
    mc_hf_fail(h, MC_E_FORMAT, "%s is %s, true or false is allowed", key, mc_hf_show(value, text));
    return false;
}

const char *mc_hf_text(mc_hf *h, const mc_json *in, const char *key, const char *otherwise)
{
    if (!mc_hf_ok(h)) return "";
    const mc_json *value = mc_hf_get(h, in, key);
    if (!value) return otherwise;
    const char *text = mc_json_as_text(value, NULL);
    if (text) return text;
    char shown[MC_HF_SHOWN];
    mc_hf_fail(h, MC_E_FORMAT, "%s is %s, a string is allowed", key, mc_hf_show(value, shown));
    return "";
}

/* ---- tensors ---- */

bool mc_hf_has(const mc_hf *h, const char *name)
{
    return mc_model_find(h->b->model, name) != NULL;
}

static void missing(mc_hf *h, const mc_tensor *wanted)
{
    char asked[256];
    mc_tensor_shape_text(wanted, asked, sizeof asked);
    mc_hf_fail(h, MC_E_UNSUPPORTED, "asks for tensor %s of shape %s, which %s does not hold",
               mc_quote(wanted->name).text, asked, h->b->model->path);
}

static void wrong_shape(mc_hf *h, const mc_tensor *found, const mc_tensor *wanted)
{
    char is[256], asked[256];
    mc_tensor_shape_text(wanted, asked, sizeof asked);
    mc_tensor_shape_text(found, is, sizeof is);
    mc_hf_fail(h, MC_E_FORMAT, "asks for tensor %s of shape %s, %s holds it with shape %s",
               mc_quote(wanted->name).text, asked, h->b->model->source[found->source].path, is);
}

mc_id mc_hf_tensor(mc_hf *h, const char *name, int ndim, const uint64_t *dim)
{
    if (!mc_hf_ok(h)) return MC_NONE;
    mc_tensor wanted = {.name = name, .ndim = ndim};
    memcpy(wanted.dim, dim, (size_t)ndim * sizeof *dim);

    const mc_tensor *t = mc_model_find(h->b->model, name);
    if (!t)
        missing(h, &wanted);
    else if (t->ndim != ndim || memcmp(t->dim, dim, (size_t)ndim * sizeof *dim) != 0)
        wrong_shape(h, t, &wanted);
    if (!mc_hf_ok(h)) return MC_NONE;
    if (!mc_dtype_about(t->dtype)->to_f32) {
        mc_hf_fail(h, MC_E_UNSUPPORTED, "tensor %s is %s, which cannot be run: real numbers can",
                   mc_quote(name).text, mc_dtype_about(t->dtype)->name);
        return MC_NONE;
    }
    const mc_id id = mc_graph_add_constant(h->g, t);
    if (id == MC_NONE) out_of_room(h);
    return id;
}

mc_id mc_hf_f32(mc_hf *h, mc_id value, const char *name)
{
    if (!mc_hf_ok(h) || h->g->value[value].dtype == MC_F32) return value;
    const mc_id cast = mc_hf_node(h, "Cast", name, (mc_id[]){value}, 1);
    mc_hf_int(h, "to", 1); /* TensorProto.FLOAT */
    if (mc_hf_ok(h)) h->g->value[cast].dtype = MC_F32;
    return cast;
}

mc_id mc_hf_matrix(mc_hf *h, const char *name, uint64_t rows, uint64_t cols)
{
    const mc_id id = mc_hf_tensor(h, name, 2, (uint64_t[]){rows, cols});
    const mc_dtype dtype = mc_hf_ok(h) ? h->g->value[id].dtype : MC_DTYPE_NONE;
    if (dtype == MC_F16 || dtype == MC_BF16) return id;
    return mc_hf_f32(h, id, mc_hf_name(h, "%s.f32", name));
}

mc_id mc_hf_vector(mc_hf *h, const char *name, uint64_t n)
{
    const mc_id stored = mc_hf_tensor(h, name, 1, &n);
    return mc_hf_f32(h, stored, mc_hf_name(h, "%s.f32", name));
}

mc_id mc_hf_scalar(mc_hf *h, const char *name, double value)
{
    if (!mc_hf_ok(h)) return MC_NONE;
    const float number = (float)value;
    const mc_id id = mc_graph_const_f32(h->g, name, 0, NULL, &number);
    if (id == MC_NONE) out_of_room(h);
    return id;
}

mc_id mc_hf_whole(mc_hf *h, const char *name, int64_t value)
{
    if (!mc_hf_ok(h)) return MC_NONE;
    const mc_id id = mc_graph_const_i64(h->g, name, 0, NULL, &value);
    if (id == MC_NONE) out_of_room(h);
    return id;
}

mc_id mc_hf_floats(mc_hf *h, const char *name, const float *value, size_t n)
{
    if (!mc_hf_ok(h)) return MC_NONE;
    const mc_id id = mc_graph_const_f32(h->g, name, 1, (int64_t[]){(int64_t)n}, value);
    if (id == MC_NONE) out_of_room(h);
    return id;
}

mc_id mc_hf_ints(mc_hf *h, const char *name, const int64_t *value, size_t n)
{
    if (!mc_hf_ok(h)) return MC_NONE;
    const mc_id id = mc_graph_const_i64(h->g, name, 1, (int64_t[]){(int64_t)n}, value);
    if (id == MC_NONE) out_of_room(h);
    return id;
}

mc_id mc_hf_ones(mc_hf *h, const char *name, size_t n)
{
    float *one = mc_hf_ok(h) ? MC_NEW_RAW(h->b->mem, float, n) : NULL;
    if (!one) out_of_room(h);
    for (size_t i = 0; one && i < n; i++) one[i] = 1;
    return mc_hf_floats(h, name, one, n);
}

/* ---- nodes ---- */

mc_id mc_hf_node(mc_hf *h, const char *op, const char *name, const mc_id *in, size_t ins)
{
    if (!mc_hf_ok(h)) return MC_NONE;
    const mc_id id = mc_graph_apply(h->g, "", op, MC_HF_OPSET, in, ins, name);
    if (id == MC_NONE) out_of_room(h);
    return id;
}

mc_id mc_hf_own(mc_hf *h, const char *op, const char *name, const mc_id *in, size_t ins)
{
    if (!mc_hf_ok(h)) return MC_NONE;
    const mc_id id = mc_graph_apply(h->g, MC_DOMAIN, op, 1, in, ins, name);
    if (id == MC_NONE) out_of_room(h);
    return id;
}

void mc_hf_int(mc_hf *h, const char *name, int64_t value)
{
    if (mc_hf_ok(h) && !mc_node_add_int(h->g, name, value)) out_of_room(h);
}

void mc_hf_int_list(mc_hf *h, const char *name, const int64_t *value, size_t n)
{
    if (mc_hf_ok(h) && !mc_node_add_ints(h->g, name, value, n)) out_of_room(h);
}

void mc_hf_float(mc_hf *h, const char *name, double value)
{
    if (mc_hf_ok(h) && !mc_node_add_float(h->g, name, (float)value)) out_of_room(h);
}

void mc_hf_split(mc_hf *h, mc_id x, const char *name, const mc_hf_parts *parts, mc_id *out)
{
    const mc_id sizes = mc_hf_ints(h, mc_hf_name(h, "%s.sizes", name), parts->size, parts->parts);
    for (size_t i = 0; i < parts->parts; i++) {
        const char *part = mc_hf_name(h, "%s.%zu", name, i);
        out[i] = mc_hf_ok(h) ? mc_graph_add_value(h->g, part) : MC_NONE;
        if (out[i] == MC_NONE) out_of_room(h);
    }
    if (!mc_hf_ok(h)) return;
    const mc_node node = {.name = name,
                          .op = "Split",
                          .version = MC_HF_OPSET,
                          .in = (mc_id[]){x, sizes},
                          .ins = 2,
                          .out = out,
                          .outs = parts->parts,
                          .origin = MC_NONE};
    if (!mc_graph_add_node(h->g, &node)) out_of_room(h);
    mc_hf_int(h, "axis", parts->axis);
}

mc_id mc_hf_reshape(mc_hf *h, mc_id x, const char *name, const int64_t *dim, size_t dims)
{
    const mc_id shape = mc_hf_ints(h, mc_hf_name(h, "%s.shape", name), dim, dims);
    return mc_hf_node(h, "Reshape", name, (mc_id[]){x, shape}, 2);
}

mc_id mc_hf_transpose(mc_hf *h, mc_id x, const char *name, const int64_t *perm, size_t dims)
{
    const mc_id y = mc_hf_node(h, "Transpose", name, &x, 1);
    mc_hf_int_list(h, "perm", perm, dims);
    return y;
}

static const struct {
    const char *function, *domain, *op;
    int version;
    const char *approximate;
} activation[] = {
    {"silu", MC_DOMAIN, "SiLU", 1, NULL},
    {"swish", MC_DOMAIN, "SiLU", 1, NULL},
    {"gelu", "", "Gelu", MC_HF_OPSET, "none"},
    {"gelu_python", "", "Gelu", MC_HF_OPSET, "none"},
    {"gelu_new", "", "Gelu", MC_HF_OPSET, "tanh"},
    {"gelu_fast", "", "Gelu", MC_HF_OPSET, "tanh"},
    {"gelu_pytorch_tanh", "", "Gelu", MC_HF_OPSET, "tanh"},
    {"quick_gelu", MC_DOMAIN_MS, "QuickGelu", 1, NULL},
    {"relu", "", "Relu", MC_HF_OPSET, NULL},
    {"tanh", "", "Tanh", MC_HF_OPSET, NULL},
    {"sigmoid", "", "Sigmoid", MC_HF_OPSET, NULL},
};

enum { ACTIVATIONS = sizeof activation / sizeof activation[0] };

static void unknown_activation(mc_hf *h, const char *key, const char *function)
{
    char known[512] = "";
    for (size_t i = 0; i < ACTIVATIONS; i++) {
        const size_t n = strlen(known);
        snprintf(known + n, sizeof known - n, "%s%s", i > 0 ? ", " : "", activation[i].function);
    }
    mc_hf_fail(h, MC_E_UNSUPPORTED, "%s %s is not one that can be run (known: %s)", key,
               mc_quote(function).text, known);
}

mc_id mc_hf_activation(mc_hf *h, const char *key, const char *function, mc_id x, const char *name)
{
    if (!mc_hf_ok(h)) return MC_NONE;
    size_t i = 0;
    while (i < ACTIVATIONS && strcmp(activation[i].function, function) != 0) i++;
    if (i == ACTIVATIONS) {
        unknown_activation(h, key, function);
        return MC_NONE;
    }
    const mc_id y = mc_graph_apply(h->g, activation[i].domain, activation[i].op,
                                   activation[i].version, &x, 1, name);
    const char *approximate = activation[i].approximate;
    if (y == MC_NONE || (approximate && !mc_node_add_text(h->g, "approximate", approximate)))
        out_of_room(h);
    return y;
}

/* ---- layers ---- */

mc_id mc_hf_linear(mc_hf *h, const char *at, mc_id x, uint64_t in, uint64_t out, bool bias)
{
    const mc_id w = mc_hf_matrix(h, mc_hf_name(h, "%s.weight", at), out, in);
    const mc_id b = bias ? mc_hf_vector(h, mc_hf_name(h, "%s.bias", at), out) : MC_NONE;
    return mc_hf_own(h, "Linear", at, (mc_id[]){x, w, b}, bias ? 3 : 2);
}

mc_id mc_hf_times(mc_hf *h, const char *name, mc_id x, mc_id matrix)
{
    return mc_hf_own(h, "Linear", name, (mc_id[]){x, matrix}, 2);
}

mc_id mc_hf_rms_norm(mc_hf *h, const char *at, mc_id x, uint64_t n, double epsilon)
{
    const mc_id w = mc_hf_vector(h, mc_hf_name(h, "%s.weight", at), n);
    const mc_id y = mc_hf_node(h, "RMSNormalization", at, (mc_id[]){x, w}, 2);
    mc_hf_int(h, "axis", -1);
    mc_hf_float(h, "epsilon", epsilon);
    return y;
}

mc_id mc_hf_layer_norm(mc_hf *h, const char *at, mc_id x, uint64_t n, double epsilon)
{
    const char *weight = mc_hf_name(h, "%s.weight", at), *bias = mc_hf_name(h, "%s.bias", at);
    const char *gamma = mc_hf_name(h, "%s.gamma", at);
    if (!mc_hf_has(h, weight) && mc_hf_has(h, gamma)) { /* converted from TensorFlow */
        weight = gamma;
        bias = mc_hf_name(h, "%s.beta", at);
    }
    const mc_id w = mc_hf_vector(h, weight, n);
    const mc_id b = mc_hf_vector(h, bias, n);
    const mc_id y = mc_hf_node(h, "LayerNormalization", at, (mc_id[]){x, w, b}, 3);
    mc_hf_int(h, "axis", -1);
    mc_hf_float(h, "epsilon", epsilon);
    return y;
}

mc_id mc_hf_conv(mc_hf *h, const char *at, mc_id x, const mc_hf_kernel *k)
{
    const char *weight = mc_hf_name(h, "%s.weight", at);
    const mc_id stored = mc_hf_tensor(h, weight, k->ndim, k->dim);
    const mc_id w = mc_hf_f32(h, stored, mc_hf_name(h, "%s.f32", weight));
    const mc_id b = k->bias ? mc_hf_vector(h, mc_hf_name(h, "%s.bias", at), k->dim[0]) : MC_NONE;
    return mc_hf_node(h, "Conv", at, (mc_id[]){x, w, b}, k->bias ? 3 : 2);
}

mc_id mc_hf_input(mc_hf *h, const char *name, mc_dtype dtype, int ndim, const int64_t *dim)
{
    if (!mc_hf_ok(h)) return MC_NONE;
    const mc_id input = mc_graph_add_input(h->g, name, dtype, ndim, dim);
    if (input == MC_NONE) out_of_room(h);
    return input;
}

mc_id mc_hf_input_ids(mc_hf *h, const char *name)
{
    return mc_hf_input(h, name, MC_I64, 2, (int64_t[]){-1, -1});
}

mc_id mc_hf_embedding(mc_hf *h, const char *at, mc_id ids, uint64_t rows, uint64_t width,
                      mc_id *table)
{
    *table = mc_hf_matrix(h, mc_hf_name(h, "%s.weight", at), rows, width);
    const mc_id y = mc_hf_node(h, "Gather", at, (mc_id[]){*table, ids}, 2);
    mc_hf_int(h, "axis", 0);
    if (mc_hf_ok(h)) h->g->value[y].dtype = h->g->value[*table].dtype;
    return mc_hf_f32(h, y, mc_hf_name(h, "%s.f32", at));
}

mc_hf_positions mc_hf_count_positions(mc_hf *h, mc_id ids)
{
    mc_hf_positions p;
    p.shape = mc_hf_node(h, "Shape", "positions.shape", &ids, 1);
    const mc_id axis = mc_hf_whole(h, "positions.axis", 1);
    p.length = mc_hf_node(h, "Gather", "positions.length", (mc_id[]){p.shape, axis}, 2);

    const mc_id zero = mc_hf_whole(h, "positions.first", 0);
    const mc_id one = mc_hf_whole(h, "positions.step", 1);
    p.row = mc_hf_node(h, "Range", "positions", (mc_id[]){zero, p.length, one}, 3);
    return p;
}

mc_id mc_hf_attend(mc_hf *h, const char *name, const mc_id qkv[3], const mc_hf_attention *a)
{
    const mc_id in[] = {qkv[0], qkv[1], qkv[2], a->mask};
    const mc_id y = mc_hf_own(h, "Attention", name, in, a->mask == MC_NONE ? 3 : 4);
    mc_hf_int(h, "q_num_heads", (int64_t)a->heads);
    mc_hf_int(h, "kv_num_heads", (int64_t)a->kv_heads);
    mc_hf_float(h, "scale", a->scale);
    if (a->causal) mc_hf_int(h, "is_causal", 1);
    if (a->softcap > 0) mc_hf_float(h, "softcap", a->softcap);
    if (a->window > 0) mc_hf_int(h, "window", (int64_t)a->window);
    return y;
}

mc_id mc_hf_gate(mc_hf *h, const char *at, const mc_id part[2], const mc_hf_gated *m)
{
    const char *name = mc_hf_name(h, "%s.act_fn", at);
    const mc_id gate = mc_hf_activation(h, m->key, m->function, part[0], name);
    return mc_hf_node(h, "Mul", mc_hf_name(h, "%s.gated", at), (mc_id[]){gate, part[1]}, 2);
}

mc_id mc_hf_gated_mlp(mc_hf *h, const char *at, mc_id x, const mc_hf_gated *m)
{
    mc_id part[2] = {MC_NONE, MC_NONE};
    if (m->fused) {
        const char *name = mc_hf_name(h, "%s.gate_up_proj", at);
        const mc_id both = mc_hf_linear(h, name, x, m->width, 2 * m->inner, m->bias);
        const int64_t half[] = {(int64_t)m->inner, (int64_t)m->inner};
        mc_hf_split(h, both, mc_hf_name(h, "%s.part", name), &(mc_hf_parts){-1, 2, half}, part);
    } else {
        const char *gate = mc_hf_name(h, "%s.gate_proj", at);
        const char *up = mc_hf_name(h, "%s.up_proj", at);
        part[0] = mc_hf_linear(h, gate, x, m->width, m->inner, m->bias);
        part[1] = mc_hf_linear(h, up, x, m->width, m->inner, m->bias);
    }
    const mc_id y = mc_hf_gate(h, at, part, m);
    return mc_hf_linear(h, mc_hf_name(h, "%s.down_proj", at), y, m->inner, m->width, m->bias);
}
