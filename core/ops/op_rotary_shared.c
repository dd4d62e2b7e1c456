/* Rotary position embedding of 3-D (heads side by side) and 4-D tensors. Tables of cosines and
 * sines have a row for each position, or, without positions, one for each token. */
#include "core/ops/op_rotary_shared.h"

#include "core/ops/op_args_shared.h"
#include "core/ops/op_move_shared.h"

#include <string.h>

typedef struct {
    bool flat;
    int64_t batches, heads, tokens, head_size; /* -1: not known */
    int64_t half;                              /* pairs that turn */
    int64_t rows;                              /* of the tables */
} sizes;

void mc_rotary_head(const float *restrict x, float *restrict y, size_t size, size_t half,
                    const float *restrict cosine, const float *restrict sine, bool interleaved)
{
    if (interleaved) {
        for (size_t i = 0; i < half; i++) {
            const float a = x[2 * i], b = x[2 * i + 1];
            y[2 * i] = cosine[i] * a - sine[i] * b;
            y[2 * i + 1] = sine[i] * a + cosine[i] * b;
        }
    } else {
        for (size_t i = 0; i < half; i++) {
            const float a = x[i], b = x[half + i];
            y[i] = cosine[i] * a - sine[i] * b;
            y[half + i] = sine[i] * a + cosine[i] * b;
        }
    }
    memcpy(y + 2 * half, x + 2 * half, (size - 2 * half) * sizeof *y);
}

/* Heads and their size: of 3-D inputs by num_heads, or, where the node does not say, by the tables,
 * which then turn whole heads. */
static mc_status flat_heads(const mc_call *call, sizes *s, mc_err *err)
{
    const int64_t width = call->in[0]->dim[2];
    s->heads = mc_node_int(call->node, "num_heads", 0);
    if (s->heads == 0 && s->half > 0 && width >= 0) s->heads = width / (2 * s->half);
    if (s->heads == 0 && (s->half < 0 || width < 0)) s->heads = -1;
    if (s->heads < 0 && mc_node_int(call->node, "num_heads", 0) == 0) return MC_OK;
    if (s->heads < 1 || (width >= 0 && width % s->heads != 0))
        return mc_fail(err, MC_E_FORMAT, "num_heads is %lld; allowed are divisors of %lld",
                       (long long)s->heads, (long long)width);
    if (width >= 0) s->head_size = width / s->heads;
    return MC_OK;
}

static mc_status find_heads(const mc_call *call, sizes *s, mc_err *err)
{
    const mc_nd *x = call->in[0];
    s->flat = x->ndim == 3;
    s->batches = x->dim[0];
    s->tokens = x->dim[s->flat ? 1 : 2];
    if (s->flat) return flat_heads(call, s, err);
    s->heads = x->dim[1];
    s->head_size = x->dim[3];
    const int64_t heads = mc_node_int(call->node, "num_heads", 0);
    if (heads == 0 || s->heads < 0 || heads == s->heads) return MC_OK;
    return mc_fail(err, MC_E_FORMAT, "num_heads is %lld; allowed is %lld as in input 0",
                   (long long)heads, (long long)s->heads);
}

/* Position ids of each token; com.microsoft also takes one for the first token of all. */
static mc_status check_positions(const mc_call *call, size_t i, const sizes *s, mc_err *err)
{
    static const mc_dtype whole[] = {MC_I64, MC_DTYPE_NONE};
    const mc_nd *p = mc_arg_in(call, i);
    MC_TRY(mc_arg_dtype(call, i, whole, err));
    if (!p || p->ndim < 0) return MC_OK;
    const bool first_alone = i == 1 && p->ndim == 1;
    int64_t one[] = {1}, each[] = {s->batches, s->tokens};
    return mc_arg_dims(call, i, first_alone ? 1 : 2, first_alone ? one : each, err);
}

static mc_status check_tables(const mc_call *call, mc_rotary_inputs in, sizes *s, mc_err *err)
{
    const bool by_position = mc_arg_in(call, in.position) != NULL;
    int64_t dim[] = {s->batches, s->tokens, s->half};
    if (by_position) dim[1] = -1;
    int64_t *first = by_position ? dim + 1 : dim;
    MC_TRY(mc_arg_dims(call, in.cosine, by_position ? 2 : 3, first, err));
    MC_TRY(mc_arg_dims(call, in.sine, by_position ? 2 : 3, first, err));
    s->half = dim[2];
    s->rows = by_position || dim[0] < 0 || dim[1] < 0 ? dim[1] : dim[0] * dim[1];
    return MC_OK;
}

static mc_status find_sizes(const mc_call *call, mc_rotary_inputs in, sizes *s, mc_err *err)
{
    const mc_nd *x = call->in[0], *cosine = call->in[in.cosine];
    *s = (sizes){.batches = -1, .heads = -1, .tokens = -1, .head_size = -1, .half = -1, .rows = -1};
    if (x->ndim < 0) return MC_OK;
    MC_TRY(mc_op_rank(call, 0, 3, 4, err));
    const int64_t turned = mc_node_int(call->node, "rotary_embedding_dim", 0);
    if (turned < 0 || turned % 2 != 0)
        return mc_fail(err, MC_E_FORMAT,
                       "rotary_embedding_dim is %lld; allowed are even numbers from 0 on",
                       (long long)turned);
    if (turned > 0) s->half = turned / 2;
    if (turned == 0 && cosine->ndim > 0) s->half = cosine->dim[cosine->ndim - 1];
    MC_TRY(find_heads(call, s, err));
    if (s->head_size >= 0 && turned == 0) {
        if (s->head_size % 2 != 0)
            return mc_fail(err, MC_E_FORMAT, "heads have %lld elements; allowed are even numbers",
                           (long long)s->head_size);
        s->half = s->head_size / 2;
    }
    if (s->head_size >= 0 && s->half > s->head_size / 2)
        return mc_fail(err, MC_E_FORMAT, "rotary_embedding_dim is %lld; allowed is at most %lld",
                       (long long)turned, (long long)s->head_size);
    MC_TRY(check_tables(call, in, s, err));
    return check_positions(call, in.position, s, err);
}

mc_status mc_rotary_shape(const mc_call *call, mc_rotary_inputs in, mc_err *err)
{
    sizes s;
    const size_t floats[] = {0, in.cosine, in.sine};
    for (size_t i = 0; i < 3; i++) {
        const mc_nd *t = call->in[floats[i]];
        MC_TRY(mc_arg_floats(call, floats[i], floats[i] + 1, err));
        if (mc_arg_is_f64(t)) return mc_op_refuse_dtype(call, floats[i], err);
    }
    MC_TRY(find_sizes(call, in, &s, err));
    return mc_op_same_shape(call, err);
}

/* The row of the tables for a token. */
static mc_status row_of(const mc_nd *position, const sizes *s, size_t batch, size_t token,
                        size_t *row, mc_err *err)
{
    const size_t i = batch * (size_t)s->tokens + token;
    *row = i;
    if (!position) return MC_OK;
    const bool first_alone = position->ndim == 1;
    int64_t id = mc_nd_int(position, first_alone ? 0 : i);
    if (first_alone && id >= 0 && id < s->rows) id += (int64_t)token;
    if (id < 0 || id >= s->rows)
        return mc_fail(err, MC_E_FORMAT,
                       "position of token %zu of sample %zu is %lld; allowed is 0 to %lld", token,
                       batch, (long long)id, (long long)s->rows - 1);
    *row = (size_t)id;
    return MC_OK;
}

mc_status mc_rotary_run(const mc_call *call, mc_rotary_inputs in, mc_err *err)
{
    sizes s;
    MC_TRY(find_sizes(call, in, &s, err));
    const bool interleaved = mc_node_int(call->node, "interleaved", 0) != 0;
    const float *x = call->in[0]->data;
    const float *cosine = call->in[in.cosine]->data, *sine = call->in[in.sine]->data;
    float *y = call->out[0]->data;
    const size_t size = (size_t)s.head_size, half = (size_t)s.half;
    const size_t heads = (size_t)s.heads, tokens = (size_t)s.tokens;
    if (call->in[0]->count == 0) return MC_OK;
    for (size_t i = 0; i < (size_t)s.batches * tokens; i++) {
        const size_t batch = i / tokens, token = i % tokens;
        size_t row;
        MC_TRY(row_of(mc_arg_in(call, in.position), &s, batch, token, &row, err));
        for (size_t h = 0; h < heads; h++) {
            const size_t head = s.flat ? i * heads + h : (batch * heads + h) * tokens + token;
            mc_rotary_head(x + head * size, y + head * size, size, half, cosine + row * half,
                           sine + row * half, interleaved);
        }
    }
    return MC_OK;
}
