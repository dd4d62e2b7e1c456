/* QAttention of com.microsoft: queries, keys and values of all heads by one product of quantized
 * matrices, and attention over them. Padding is hidden by adding mask_filter_value, as the operator
 * is defined, not by leaving it out. */
#include "core/ops/op_args_shared.h"
#include "core/ops/op_attention_shared.h"
#include "core/ops/op_contrib_shared.h"
#include "core/ops/op_move_shared.h"
#include "core/ops/op_qlinear_shared.h"
#include "core/ops/op_whole_shared.h"

#include <math.h>

enum { X, W, BIAS, X_SCALE, W_SCALE, MASK, X_ZERO, W_ZERO, PAST }; /* inputs */

typedef struct {
    int64_t batches, tokens, inputs, width, heads, past; /* -1: not known; width of q, k and v */
} sizes;

/* ---- shapes ---- */

static mc_status find_sizes(const mc_call *call, sizes *s, mc_err *err)
{
    int64_t x[] = {-1, -1, -1}, w[] = {-1, -1};
    *s = (sizes){.heads = mc_node_int(call->node, "num_heads", 0)};
    MC_TRY(mc_arg_dims(call, X, 3, x, err));
    w[0] = x[2];
    MC_TRY(mc_arg_dims(call, W, 2, w, err));
    int64_t all = w[1];
    MC_TRY(mc_arg_dims(call, BIAS, 1, &all, err));
    s->batches = x[0];
    s->tokens = x[1];
    s->inputs = w[0];
    s->width = all < 0 ? -1 : all / 3;
    if (s->heads < 1 || (all >= 0 && (all == 0 || all % 3 != 0 || s->width % s->heads != 0)))
        return mc_fail(err, MC_E_FORMAT,
                       "num_heads is %lld; allowed are divisors of a third of the weight's %lld "
                       "columns",
                       (long long)s->heads, (long long)all);
    s->past = mc_arg_in(call, PAST) ? -1 : 0;
    const int64_t size = s->width < 0 ? -1 : s->width / s->heads;
    int64_t past[] = {2, s->batches, s->heads, -1, size};
    MC_TRY(mc_arg_dims(call, PAST, 5, past, err));
    if (mc_arg_in(call, PAST)) s->past = past[3];
    return MC_OK;
}

static int64_t total_of(const sizes *s)
{
    return s->past < 0 || s->tokens < 0 ? -1 : s->past + s->tokens;
}

/* Lengths of the samples [b], or what counts of [b, total] or [b, tokens, total]. */
static mc_status check_mask(const mc_call *call, const sizes *s, mc_err *err)
{
    static const mc_dtype whole[] = {MC_I32, MC_DTYPE_NONE};
    const mc_nd *mask = mc_arg_in(call, MASK);
    MC_TRY(mc_arg_dtype(call, MASK, whole, err));
    if (!mask || mask->ndim < 0) return MC_OK;
    MC_TRY(mc_op_rank(call, MASK, 1, 3, err));
    int64_t want[] = {s->batches, mask->ndim == 3 ? s->tokens : total_of(s), total_of(s)};
    return mc_arg_dims(call, MASK, mask->ndim, want, err);
}

static mc_status check_scales(const mc_call *call, const sizes *s, mc_err *err)
{
    const size_t one_each[] = {X_SCALE, X_ZERO}, columns[] = {W_SCALE, W_ZERO};
    for (size_t i = 0; i < 2; i++) {
        int64_t one = 1, all = s->width < 0 ? -1 : 3 * s->width;
        const mc_nd *t = mc_arg_in(call, columns[i]);
        MC_TRY(mc_arg_vector(call, one_each[i], &one, err));
        if (t && mc_nd_shape_known(t) && t->count == 1) all = 1;
        MC_TRY(mc_arg_vector(call, columns[i], &all, err));
    }
    return MC_OK;
}

mc_status mc_qattention_shape(const mc_call *call, mc_err *err)
{
    static const char *const others[] = {"do_rotary", "past_present_share_buffer"};
    const size_t codes[] = { X, W, X_ZERO, W_ZERO }, floats[] = {BIAS, X_SCALE, W_SCALE, PAST};
    sizes s;
    for (size_t i = 0; i < 4; i++) {
        MC_TRY(mc_arg_dtype(call, codes[i], mc_qlinear_codes, err));
        MC_TRY(mc_arg_floats(call, floats[i], floats[i] + 1, err));
        const mc_nd *t = mc_arg_in(call, floats[i]);
        if (t && mc_arg_is_f64(t)) return mc_op_refuse_dtype(call, floats[i], err);
    }
    for (size_t i = 0; i < 2; i++) {
        if (mc_node_int(call->node, others[i], 0) != 0)
            return mc_fail(err, MC_E_UNSUPPORTED, "%s is 1; allowed is 0", others[i]);
    }
    MC_TRY(find_sizes(call, &s, err));
    MC_TRY(check_mask(call, &s, err));
    MC_TRY(check_scales(call, &s, err));
    const mc_dtype dtype = call->in[BIAS]->dtype;
    const int64_t size = s.width < 0 ? -1 : s.width / s.heads;
    const int64_t y[] = {s.batches, s.tokens, s.width};
    const int64_t present[] = {2, s.batches, s.heads, total_of(&s), size};
    MC_TRY(mc_arg_set(call, 0, dtype, 3, y, err));
    return mc_arg_set(call, 1, dtype, 5, present, err);
}

/* ---- running ---- */

static float parameter(const mc_nd *t, size_t i)
{
    return t ? (float)mc_nd_real(t, t->count == 1 ? 0 : i) : 0.0f;
}

/* Queries, keys and values of every token: [batches * tokens, 3 * width]. */
static mc_status project(const mc_call *call, const sizes *s, float *out, mc_arena scratch,
                         mc_err *err)
{
    const size_t m = (size_t)(s->batches * s->tokens), n = 3 * (size_t)s->width;
    const size_t k = (size_t)s->inputs;
    float *x = mc_alloc_raw(&scratch, m, k * sizeof(float));
    float *w = mc_alloc_raw(&scratch, n, k * sizeof(float));
    int32_t *sum = mc_alloc_raw(&scratch, m, n * sizeof(int32_t));
    if (!x || !w || !sum) return mc_no_room(err, "matrices of whole numbers");
    const mc_nd *w_zero = mc_arg_in(call, W_ZERO);
    mc_qlinear_load(call->in[X], 0, m * k, parameter(mc_arg_in(call, X_ZERO), 0), x);
    mc_qlinear_load(call->in[W], 0, k * n, 0.0f, w);
    for (size_t i = 0; w_zero && i < k * n; i++) w[i] -= parameter(w_zero, i % n);
    const mc_gemm_operand a = {.at = x, .stride = k}, b = {.at = w, .stride = n};
    MC_TRY(mc_whole_product(m, n, k, a, b, sum, scratch, err));
    const float x_scale = parameter(call->in[X_SCALE], 0);
    for (size_t i = 0; i < m * n; i++)
        out[i] = (float)sum[i] * (x_scale * parameter(call->in[W_SCALE], i % n)) +
                 parameter(call->in[BIAS], i % n);
    return MC_OK;
}

/* What is added to scores: 0 where a key counts, [batches, 1 or tokens, total]. */
static void fill_mask(const mc_nd *mask, float hidden, mc_nd *out)
{
    const size_t total = (size_t)out->dim[3], rows = (size_t)out->dim[2];
    float *to = out->data;
    for (size_t i = 0; i < out->count; i++) {
        const size_t batch = i / (total * rows), key = i % total;
        const bool counts =
            mask->ndim == 1 ? (int64_t)key < mc_nd_int(mask, batch) : mc_nd_int(mask, i) != 0;
        to[i] = counts ? 0.0f : hidden;
    }
}

static mc_status place_mask(const mc_call *call, const sizes *s, mc_nd *room, mc_arena *scratch,
                            mc_attention *a, mc_err *err)
{
    const mc_nd *mask = mc_arg_in(call, MASK);
    if (!mask) return MC_OK;
    const int64_t dim[] = {s->batches, 1, mask->ndim == 3 ? s->tokens : 1, total_of(s)};
    *room = (mc_nd){.kind = MC_ND_TENSOR};
    MC_TRY(mc_nd_set(room, MC_F32, 4, dim, err));
    room->data = mc_alloc_raw(scratch, room->count, sizeof(float));
    if (!room->data) return mc_no_room(err, "a mask");
    fill_mask(mask, (float)mc_node_float(call->node, "mask_filter_value", -10000.0), room);
    a->mask = room;
    a->mask_keys = (size_t)dim[3];
    a->mask_stride[0] = (size_t)(dim[2] * dim[3]);
    a->mask_stride[2] = dim[2] > 1 ? (size_t)dim[3] : 0;
    a->mask_stride[3] = 1;
    return MC_OK;
}

/* Heads side by side in rows of `row`, which begin at `at`. */
static mc_heads side_by_side(float *at, const sizes *s, size_t row)
{
    return (mc_heads){.at = at,
                      .batch = (size_t)s->tokens * row,
                      .head = (size_t)(s->width / s->heads),
                      .row = row,
                      .positions = (size_t)s->tokens};
}

static mc_heads cached(const mc_nd *past, size_t half, const sizes *s)
{
    const size_t size = (size_t)(s->width / s->heads), positions = (size_t)s->past;
    if (!past) return (mc_heads){0};
    return (mc_heads){.at = (float *)past->data + half * past->count / 2,
                      .batch = (size_t)s->heads * positions * size,
                      .head = positions * size,
                      .row = size,
                      .positions = positions};
}

mc_status mc_qattention_run(const mc_call *call, mc_err *err)
{
    sizes s;
    mc_arena scratch = call->scratch;
    MC_TRY(find_sizes(call, &s, err));
    const size_t width = (size_t)s.width, row = 3 * width, size = width / (size_t)s.heads;
    float *all = mc_alloc_raw(&scratch, (size_t)(s.batches * s.tokens), row * sizeof(float));
    if (!all) return mc_no_room(err, "queries, keys and values");
    MC_TRY(project(call, &s, all, scratch, err));
    const mc_nd *past = mc_arg_in(call, PAST);
    mc_nd mask, *present = mc_arg_out(call, 1);
    mc_attention a = {.batches = (size_t)s.batches,
                      .heads = (size_t)s.heads,
                      .kv_heads = (size_t)s.heads,
                      .head_size = size,
                      .value_size = size,
                      .q = side_by_side(all, &s, row),
                      .k = {cached(past, 0, &s), side_by_side(all + width, &s, row)},
                      .v = {cached(past, 1, &s), side_by_side(all + 2 * width, &s, row)},
                      .y = side_by_side(call->out[0]->data, &s, width),
                      .scale = mc_node_float(call->node, "scale", 0.0),
                      .call = call,
                      .before = -1,
                      .after = mc_node_int(call->node, "unidirectional", 0) != 0 ? 0 : -1};
    if (a.scale == 0.0) a.scale = 1.0 / sqrt((double)size);
    MC_TRY(place_mask(call, &s, &mask, &scratch, &a, err));
    if (present) {
        mc_heads_join(a.k, a.batches, a.heads, size, sizeof(float), present->data);
        mc_heads_join(a.v, a.batches, a.heads, size, sizeof(float),
                      (float *)present->data + present->count / 2);
    }
    return mc_attention_run(&a, scratch, err);
}

size_t mc_qattention_scratch(const mc_call *call)
{
    sizes s;
    mc_err err;
    if (find_sizes(call, &s, &err) != MC_OK || s.batches < 0 || s.tokens < 0 || s.width < 0 ||
        s.inputs < 0 || s.past < 0)
        return 0;
    const size_t m = (size_t)(s.batches * s.tokens), n = 3 * (size_t)s.width;
    const size_t total = (size_t)total_of(&s);
    const size_t row = mc_arg_bytes((size_t)s.inputs, sizeof(float));
    const size_t all = mc_arg_bytes(m, mc_arg_bytes(n, sizeof(float)));
    const size_t product = mc_arg_plus(mc_arg_plus(mc_arg_bytes(m, row), mc_arg_bytes(n, row)),
                                       mc_arg_plus(all, mc_whole_scratch()));
    const size_t mask = mc_arg_bytes(m, mc_arg_bytes(total, sizeof(float)));
    const size_t size = (size_t)(s.width / s.heads);
    const size_t attention = mc_attention_scratch(
        call,
        (mc_attention_sizes){
            .queries = (size_t)s.tokens, .keys = total, .head_size = size, .value_size = size});
    return mc_arg_plus(mc_arg_plus(all, product), mc_arg_plus(mask, attention));
}
