/* Attention (ai.onnx 23 to 25, and our own with a window) and RotaryEmbedding: what their inputs
 * are; the work is in op_attention_kernel.c and op_rotary_shared.c. */
#include "core/ops/op_args_shared.h"
#include "core/ops/op_attention_shared.h"
#include "core/ops/op_move_shared.h"
#include "core/ops/op_rotary_shared.h"

#include "core/ckd.h"

#include <math.h>
#include <string.h>

enum { Q, K, V, MASK, PAST_KEY, PAST_VALUE, VALID }; /* inputs */
enum { Y, PRESENT_KEY, PRESENT_VALUE, SCORES };      /* outputs */

/* Sizes; -1 while not known. */
typedef struct {
    bool flat; /* inputs of 3 dimensions: heads stand side by side in a row */
    int64_t batches, heads, kv_heads, queries, keys, past, head_size, value_size;
} sizes;

/* ---- sizes ---- */

/* a * b, or -1 when one is not known. */
static mc_status times(int64_t a, int64_t b, int64_t *out, mc_err *err)
{
    uint64_t product = 0;
    *out = -1;
    if (a < 0 || b < 0) return MC_OK;
    if (!mc_mul_u64((uint64_t)a, (uint64_t)b, &product) || product > INT64_MAX)
        return mc_fail(err, MC_E_FORMAT, "%lld heads of %lld are too many", (long long)a,
                       (long long)b);
    *out = (int64_t)product;
    return MC_OK;
}

static int64_t plus(int64_t a, int64_t b)
{
    return a < 0 || b < 0 || a > INT64_MAX - b ? -1 : a + b;
}

/* A row of `width` as `heads` heads; *size becomes known, or must be what it is. */
static mc_status split(int64_t width, int64_t heads, size_t input, int64_t *size, mc_err *err)
{
    if (width < 0) return MC_OK;
    if (width % heads == 0 && (*size < 0 || *size == width / heads)) {
        *size = width / heads;
        return MC_OK;
    }
    if (*size < 0)
        return mc_fail(err, MC_E_FORMAT, "input %zu has rows of %lld, which are not %lld heads",
                       input, (long long)width, (long long)heads);
    return mc_fail(err, MC_E_FORMAT, "input %zu has rows of %lld; allowed are %lld heads of %lld",
                   input, (long long)width, (long long)heads, (long long)*size);
}

static mc_status flat_sizes(const mc_call *call, sizes *s, mc_err *err)
{
    int64_t q[] = {-1, -1, -1}, k[] = {-1, -1, -1}, v[] = {-1, -1, -1};
    MC_TRY(mc_arg_dims(call, Q, 3, q, err));
    k[0] = q[0];
    MC_TRY(mc_arg_dims(call, K, 3, k, err));
    v[0] = k[0];
    v[1] = k[1];
    MC_TRY(mc_arg_dims(call, V, 3, v, err));
    s->heads = mc_node_int(call->node, "q_num_heads", 0);
    s->kv_heads = mc_node_int(call->node, "kv_num_heads", 0);
    if (s->heads < 1 || s->kv_heads < 1)
        return mc_fail(err, MC_E_FORMAT,
                       "q_num_heads is %lld and kv_num_heads %lld; allowed is 1 or more for inputs "
                       "of 3 dimensions",
                       (long long)s->heads, (long long)s->kv_heads);
    s->batches = v[0];
    s->queries = q[1];
    s->keys = v[1];
    MC_TRY(split(q[2], s->heads, Q, &s->head_size, err));
    MC_TRY(split(k[2], s->kv_heads, K, &s->head_size, err));
    return split(v[2], s->kv_heads, V, &s->value_size, err);
}

static mc_status tall_sizes(const mc_call *call, sizes *s, mc_err *err)
{
    int64_t q[] = {-1, -1, -1, -1}, k[] = {-1, -1, -1, -1}, v[] = {-1, -1, -1, -1};
    const int64_t heads = mc_node_int(call->node, "q_num_heads", 0);
    const int64_t kv_heads = mc_node_int(call->node, "kv_num_heads", 0);
    if (heads > 0) q[1] = heads;
    if (kv_heads > 0) k[1] = kv_heads;
    MC_TRY(mc_arg_dims(call, Q, 4, q, err));
    k[0] = q[0];
    k[3] = q[3];
    MC_TRY(mc_arg_dims(call, K, 4, k, err));
    for (int d = 0; d < 3; d++) v[d] = k[d];
    MC_TRY(mc_arg_dims(call, V, 4, v, err));
    *s = (sizes){.batches = v[0],
                 .heads = q[1],
                 .kv_heads = v[1],
                 .queries = q[2],
                 .keys = v[2],
                 .past = s->past,
                 .head_size = k[3],
                 .value_size = v[3]};
    return MC_OK;
}

static mc_status past_sizes(const mc_call *call, sizes *s, mc_err *err)
{
    const bool key = mc_arg_in(call, PAST_KEY) != NULL, value = mc_arg_in(call, PAST_VALUE) != NULL;
    s->past = key ? -1 : 0;
    if (key != value)
        return mc_fail(err, MC_E_FORMAT, "past_key and past_value; allowed are both or neither");
    if (key && mc_arg_in(call, VALID))
        return mc_fail(err, MC_E_FORMAT,
                       "nonpad_kv_seqlen and past_key; allowed is one of the two");
    int64_t dim[] = {s->batches, s->kv_heads, -1, s->head_size};
    MC_TRY(mc_arg_dims(call, PAST_KEY, 4, dim, err));
    s->head_size = dim[3];
    dim[3] = s->value_size;
    MC_TRY(mc_arg_dims(call, PAST_VALUE, 4, dim, err));
    s->value_size = dim[3];
    s->batches = dim[0];
    s->kv_heads = dim[1];
    if (key) s->past = dim[2];
    return mc_arg_dims(call, VALID, 1, &s->batches, err);
}

/* Leaves everything -1 when no rank is known. */
static mc_status find_sizes(const mc_call *call, sizes *s, mc_err *err)
{
    const mc_nd *q = call->in[Q];
    *s = (sizes){false, -1, -1, -1, -1, -1, -1, -1, -1};
    if (q->ndim < 0) return MC_OK;
    if (q->ndim != 3 && q->ndim != 4)
        return mc_fail(err, MC_E_FORMAT, "input 0 has %d dimensions; allowed are 3 and 4", q->ndim);
    s->flat = q->ndim == 3;
    MC_TRY(s->flat ? flat_sizes(call, s, err) : tall_sizes(call, s, err));
    MC_TRY(past_sizes(call, s, err));
    if (s->head_size == 0)
        return mc_fail(err, MC_E_FORMAT, "heads have 0 elements; allowed is 1 or more");
    const bool known = s->heads >= 0 && s->kv_heads >= 0;
    if (known && (s->kv_heads == 0 || s->heads % s->kv_heads != 0))
        return mc_fail(err, MC_E_FORMAT, "%lld heads share %lld; allowed is a divisor",
                       (long long)s->heads, (long long)s->kv_heads);
    return MC_OK;
}

/* ---- masks ---- */

/* From version 24 on a mask may end before the keys do, which hides the rest. */
static bool mask_may_end(const mc_call *call)
{
    return call->version >= 24;
}

static mc_status check_mask(const mc_call *call, const sizes *s, mc_err *err)
{
    const mc_nd *mask = mc_arg_in(call, MASK);
    if (!mask) return MC_OK;
    if (mask->kind != MC_ND_TENSOR || (mask->dtype != MC_DTYPE_NONE &&
                                       (mc_nd_width(mask->dtype) == 0 || mask->dtype == MC_STRING)))
        return mc_op_refuse_dtype(call, MASK, err);
    if (mask->ndim < 0 || call->in[Q]->ndim < 0) return MC_OK;
    const int64_t total = plus(s->past, s->keys);
    const int64_t want[] = {s->batches, s->heads, s->queries, total};
    bool fits = mask->ndim <= 4;
    for (int d = 0; fits && d < mask->ndim; d++) {
        const int64_t n = mask->dim[d], all = want[d + 4 - mask->ndim];
        fits = n < 0 || all < 0 || n == 1 || n == all;
        if (d == mask->ndim - 1 && mask_may_end(call)) fits = fits || n < all;
    }
    if (fits) return MC_OK;
    char found[MC_ND_TEXT], allowed[MC_ND_TEXT];
    mc_nd shape = {.dtype = mask->dtype, .ndim = 4};
    memcpy(shape.dim, want, sizeof want);
    return mc_fail(err, MC_E_FORMAT, "the mask is %s, which does not spread over %s",
                   mc_nd_show(mask, found), mc_nd_show(&shape, allowed));
}

static void place_mask(const mc_call *call, size_t keys, mc_attention *a)
{
    const mc_nd *mask = mc_arg_in(call, MASK);
    a->mask = mask;
    a->mask_keys = keys;
    if (!mask) return;
    size_t stride = 1;
    for (int d = mask->ndim; d-- > 0;) {
        const int to = d + 4 - mask->ndim;
        a->mask_stride[to] = mask->dim[d] == 1 ? 0 : stride;
        stride *= (size_t)mask->dim[d];
    }
    if (!mask_may_end(call) || mask->ndim == 0) return;
    a->mask_keys = (size_t)mask->dim[mask->ndim - 1];
    a->mask_stride[3] = 1;
}

/* ---- shapes ---- */

static mc_status check_numbers(const mc_call *call, mc_err *err)
{
    static const mc_dtype whole[] = {MC_I64, MC_DTYPE_NONE};
    MC_TRY(mc_arg_floats(call, Q, V + 1, err));
    MC_TRY(mc_arg_floats(call, PAST_KEY, PAST_VALUE + 1, err));
    const mc_nd *past = mc_arg_in(call, PAST_KEY), *q = call->in[Q];
    if (past && past->dtype != MC_DTYPE_NONE && q->dtype != MC_DTYPE_NONE &&
        mc_arg_is_f64(past) != mc_arg_is_f64(q))
        return mc_op_refuse_dtype(call, PAST_KEY, err);
    MC_TRY(mc_arg_dtype(call, VALID, whole, err));
    const int64_t window = mc_node_int(call->node, "window", 0);
    if (window < 0)
        return mc_fail(err, MC_E_FORMAT, "window is %lld; allowed is 0 or more", (long long)window);
    static const char *const sides[] = {"left_window_size", "right_window_size"};
    for (int i = 0; i < 2; i++) {
        const int64_t n = mc_node_int(call->node, sides[i], -1);
        if (n < -1)
            return mc_fail(err, MC_E_FORMAT, "%s is %lld; allowed is -1 or more", sides[i],
                           (long long)n);
    }
    const int64_t as = mc_node_int(call->node, "qk_matmul_output_mode", 0);
    if (as < 0 || as > MC_SCORES_SOFTMAX)
        return mc_fail(err, MC_E_FORMAT, "qk_matmul_output_mode is %lld; allowed is 0 to 3",
                       (long long)as);
    const double cap = mc_node_float(call->node, "softcap", 0.0);
    if (!(cap >= 0.0)) return mc_fail(err, MC_E_FORMAT, "softcap is %g; allowed is 0 or more", cap);
    mc_dtype precision;
    MC_TRY(mc_arg_named_dtype(call, "softmax_precision", &precision, err));
    switch (precision) {
    case MC_DTYPE_NONE:
    case MC_F16:
    case MC_BF16:
    case MC_F32:
    case MC_F64: return MC_OK;
    default:
        return mc_fail(err, MC_E_FORMAT, "softmax_precision is %s; allowed are F16, BF16, F32, F64",
                       mc_dtype_about(precision)->name);
    }
}

static mc_status attention_shape(const mc_call *call, mc_err *err)
{
    sizes s;
    MC_TRY(check_numbers(call, err));
    MC_TRY(find_sizes(call, &s, err));
    MC_TRY(check_mask(call, &s, err));
    const mc_nd *q = call->in[Q], *k = call->in[K], *v = call->in[V];
    const int rank = q->ndim < 0 ? MC_RANK_UNKNOWN : 4;
    const int64_t total = plus(s.past, s.keys);
    const int64_t key[] = {s.batches, s.kv_heads, total, s.head_size};
    const int64_t value[] = {s.batches, s.kv_heads, total, s.value_size};
    const int64_t score[] = {s.batches, s.heads, s.queries, total};
    const int64_t tall[] = {s.batches, s.heads, s.queries, s.value_size};
    int64_t flat[] = {s.batches, s.queries, -1};
    MC_TRY(times(s.heads, s.value_size, &flat[2], err));
    MC_TRY(mc_arg_set(call, Y, q->dtype, q->ndim, s.flat ? flat : tall, err));
    MC_TRY(mc_arg_set(call, PRESENT_KEY, k->dtype, rank, key, err));
    MC_TRY(mc_arg_set(call, PRESENT_VALUE, v->dtype, rank, value, err));
    return mc_arg_set(call, SCORES, q->dtype, rank, score, err);
}

/* ---- running ---- */

static mc_heads heads_of(const mc_nd *t, bool flat, int64_t heads, int64_t positions, int64_t size)
{
    const size_t row = (size_t)(flat ? heads * size : size), n = (size_t)positions;
    return (mc_heads){.at = t->data,
                      .positions = n,
                      .row = row,
                      .head = flat ? (size_t)size : n * row,
                      .batch = flat ? n * row : (size_t)heads * n * row};
}

static void join(const mc_heads part[2], const sizes *s, int64_t size, mc_nd *out)
{
    mc_heads_join(part, (size_t)s->batches, (size_t)s->kv_heads, (size_t)size,
                  mc_nd_width(out->dtype), out->data);
}

static mc_status check_valid(const mc_call *call, const sizes *s, mc_err *err)
{
    const mc_nd *valid = mc_arg_in(call, VALID);
    for (size_t i = 0; valid && i < valid->count; i++) {
        const int64_t n = mc_nd_int(valid, i);
        if (n >= 0 && n <= s->keys) continue;
        return mc_fail(err, MC_E_FORMAT,
                       "nonpad_kv_seqlen of sample %zu is %lld; allowed is 0 to %lld", i,
                       (long long)n, (long long)s->keys);
    }
    return MC_OK;
}

static void place_heads(const mc_call *call, const sizes *s, mc_attention *a)
{
    const mc_nd *past_key = mc_arg_in(call, PAST_KEY), *past_value = mc_arg_in(call, PAST_VALUE);
    a->q = heads_of(call->in[Q], s->flat, s->heads, s->queries, s->head_size);
    a->k[1] = heads_of(call->in[K], s->flat, s->kv_heads, s->keys, s->head_size);
    a->v[1] = heads_of(call->in[V], s->flat, s->kv_heads, s->keys, s->value_size);
    if (past_key) a->k[0] = heads_of(past_key, false, s->kv_heads, s->past, s->head_size);
    if (past_value) a->v[0] = heads_of(past_value, false, s->kv_heads, s->past, s->value_size);
}

/* Our own `window` counts the query itself; those of version 25 do not. */
static void place_window(const mc_node *node, mc_attention *a)
{
    const int64_t window = mc_node_int(node, "window", 0);
    a->before = mc_node_int(node, "left_window_size", window - 1);
    a->after = mc_node_int(node, "right_window_size", -1);
    if (mc_node_int(node, "is_causal", 0) != 0) a->after = 0;
}

static mc_status attention_run(const mc_call *call, mc_err *err)
{
    sizes s;
    MC_TRY(find_sizes(call, &s, err));
    MC_TRY(check_valid(call, &s, err));
    mc_dtype precision;
    MC_TRY(mc_arg_named_dtype(call, "softmax_precision", &precision, err));
    mc_nd *key = mc_arg_out(call, PRESENT_KEY), *value = mc_arg_out(call, PRESENT_VALUE);
    mc_nd *scores = mc_arg_out(call, SCORES), *y = mc_arg_out(call, Y);
    const mc_nd *valid = mc_arg_in(call, VALID);
    mc_attention a = {
        .is_f64 = mc_arg_is_f64(call->in[Q]),
        .batches = (size_t)s.batches,
        .heads = (size_t)s.heads,
        .kv_heads = (size_t)s.kv_heads,
        .head_size = (size_t)s.head_size,
        .value_size = (size_t)s.value_size,
        .scale = mc_node_float(call->node, "scale", 1.0 / sqrt((double)s.head_size)),
        .softcap = mc_node_float(call->node, "softcap", 0.0),
        .wide_softmax = precision == MC_F64,
        .valid = valid ? valid->data : NULL,
        .scores = scores ? scores->data : NULL,
        .scores_as = (mc_scores)mc_node_int(call->node, "qk_matmul_output_mode", 0),
        .call = call,
    };
    place_window(call->node, &a);
    place_heads(call, &s, &a);
    place_mask(call, (size_t)(s.past + s.keys), &a);
    if (key) join(a.k, &s, s.head_size, key);
    if (value) join(a.v, &s, s.value_size, value);
    if (!y && !scores) return MC_OK;
    a.y = y ? heads_of(y, s.flat, s.heads, s.queries, s.value_size) : (mc_heads){0};
    return mc_attention_run(&a, call->scratch, err);
}

static size_t attention_scratch(const mc_call *call)
{
    sizes s;
    mc_err err;
    if (find_sizes(call, &s, &err) != MC_OK || s.queries < 0 || s.keys < 0 || s.past < 0) return 0;
    return mc_attention_scratch(call, (mc_attention_sizes){.queries = (size_t)s.queries,
                                                           .keys = (size_t)(s.past + s.keys),
                                                           .head_size = (size_t)s.head_size,
                                                           .value_size = (size_t)s.value_size,
                                                           .is_f64 = mc_arg_is_f64(call->in[Q])});
}

/* ---- RotaryEmbedding: X, cos, sin, positions? ---- */

static const mc_rotary_inputs rotary_inputs = {.cosine = 1, .sine = 2, .position = 3};

static mc_status rotary_shape(const mc_call *call, mc_err *err)
{
    return mc_rotary_shape(call, rotary_inputs, err);
}

static mc_status rotary_run(const mc_call *call, mc_err *err)
{
    return mc_rotary_run(call, rotary_inputs, err);
}

#define ATTENTION .shape = attention_shape, .run = attention_run, .scratch = attention_scratch

const mc_op mc_ops_attention[] = {
    {.domain = "",
     .name = "Attention",
     .since = 23,
     .least_in = 3,
     .most_in = 6,
     .most_out = 4,
     ATTENTION},
    {.domain = "",
     .name = "Attention",
     .since = 24,
     .least_in = 3,
     .most_in = 7,
     .most_out = 4,
     ATTENTION},
    {.domain = MC_DOMAIN,
     .name = "Attention",
     .since = 1,
     .least_in = 3,
     .most_in = 4,
     .most_out = 1,
     ATTENTION},
    {.domain = "",
     .name = "RotaryEmbedding",
     .since = 23,
     .least_in = 3,
     .most_in = 4,
     .most_out = 1,
     .shape = rotary_shape,
     .run = rotary_run},
    {.domain = NULL},
};
