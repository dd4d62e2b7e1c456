/* Gather, GatherElements, GatherND, ScatterElements (Scatter), ScatterND: elements by index. What
 * an index may be is checked where it is used, once each; an embedding table may be lazy, and then
 * only the rows that are asked for are decoded. */
#include "core/ops/op_args_shared.h"
#include "core/ops/op_move_shared.h"

#include <string.h>

/* ---- indices ---- */

static mc_status check_index_dtype(const mc_call *call, size_t input, mc_err *err)
{
    const mc_dtype dtype = call->in[input]->dtype;
    if (dtype == MC_I64 || dtype == MC_I32 || dtype == MC_DTYPE_NONE) return MC_OK;
    return mc_op_refuse_dtype(call, input, err);
}

static int64_t index_at(const mc_nd *indices, size_t i)
{
    return indices->dtype == MC_I64 ? ((const int64_t *)indices->data)[i]
                                    : ((const int32_t *)indices->data)[i];
}

static mc_status bad_index(int64_t index, size_t i, int64_t dim, mc_err *err)
{
    return mc_fail(err, MC_E_FORMAT, "indices[%zu] is %lld, outside [%lld, %lld)", i,
                   (long long)index, -(long long)dim, (long long)dim);
}

/* Index i, counted from the front of a dimension of `dim` elements. */
static mc_status read_index(const mc_nd *indices, size_t i, int64_t dim, int64_t *out, mc_err *err)
{
    const int64_t index = index_at(indices, i);
    if (index < -dim || index >= dim) return bad_index(index, i, dim, err);
    *out = index < 0 ? index + dim : index;
    return MC_OK;
}

static mc_status read_axis(const mc_call *call, int *axis, mc_err *err)
{
    return mc_op_axis(mc_node_int(call->node, "axis", 0), call->in[0]->ndim, "axis", axis, err);
}

/* ---- Gather ---- */

static mc_status shape_gather(const mc_call *call, mc_err *err)
{
    const mc_nd *in = call->in[0], *indices = call->in[1];
    MC_TRY(check_index_dtype(call, 1, err));
    MC_TRY(mc_op_rank(call, 0, 1, MC_MAX_DIMS, err));
    if (in->ndim < 0 || indices->ndim < 0)
        return mc_op_unknown(call, 0, in->dtype, MC_RANK_UNKNOWN, err);
    int axis = 0, n = 0;
    MC_TRY(read_axis(call, &axis, err));
    int64_t dim[2 * MC_MAX_DIMS];
    for (int i = 0; i < axis; i++) dim[n++] = in->dim[i];
    for (int i = 0; i < indices->ndim; i++) dim[n++] = indices->dim[i];
    for (int i = axis + 1; i < in->ndim; i++) dim[n++] = in->dim[i];
    return mc_arg_set(call, 0, in->dtype, n, dim, err);
}

/* One run of elements, decoded when the table is lazy. */
static mc_status gather_run(const mc_nd *in, size_t first, size_t count, unsigned char *to,
                            mc_err *err)
{
    if (in->lazy && !in->data) return in->lazy->read(in->lazy, first, count, (float *)to, err);
    const size_t width = mc_nd_width(in->dtype);
    memcpy(to, (const unsigned char *)in->data + first * width, count * width);
    return MC_OK;
}

static mc_status run_gather(const mc_call *call, mc_err *err)
{
    const mc_nd *in = call->in[0], *indices = call->in[1];
    if (call->out[0]->count == 0) return MC_OK;
    if (in->lazy && !in->data && mc_nd_storage(in->dtype) != MC_F32)
        return mc_op_refuse_dtype(call, 0, err);
    int axis = 0;
    MC_TRY(read_axis(call, &axis, err));
    const size_t outer = mc_nd_span(in, 0, axis), run = mc_nd_span(in, axis + 1, in->ndim);
    const int64_t dim = in->dim[axis];
    const size_t bytes = run * mc_nd_width(in->dtype);
    unsigned char *to = call->out[0]->data;
    for (size_t o = 0; o < outer; o++) {
        for (size_t i = 0; i < indices->count; i++, to += bytes) {
            int64_t index = 0;
            MC_TRY(read_index(indices, i, dim, &index, err));
            MC_TRY(gather_run(in, (o * (size_t)dim + (size_t)index) * run, run, to, err));
        }
    }
    return MC_OK;
}

/* ---- GatherElements ---- */

/* Indices have the rank of the data, and lie inside it along all other axes. */
static mc_status check_elements(const mc_call *call, int *axis, mc_err *err)
{
    const mc_nd *in = call->in[0], *indices = call->in[1];
    MC_TRY(check_index_dtype(call, 1, err));
    MC_TRY(mc_op_rank(call, 0, 1, MC_MAX_DIMS, err));
    if (in->ndim < 0) return MC_OK;
    MC_TRY(mc_op_rank(call, 1, in->ndim, in->ndim, err));
    MC_TRY(read_axis(call, axis, err));
    for (int i = 0; i < indices->ndim; i++)
        if (i != *axis && in->dim[i] >= 0 && indices->dim[i] > in->dim[i])
            return mc_fail(err, MC_E_FORMAT,
                           "dimension %d of the indices is %lld (at most %lld are there)", i,
                           (long long)indices->dim[i], (long long)in->dim[i]);
    return MC_OK;
}

static mc_status shape_gather_elements(const mc_call *call, mc_err *err)
{
    const mc_nd *in = call->in[0], *indices = call->in[1];
    int axis = 0;
    MC_TRY(check_elements(call, &axis, err));
    return mc_arg_set(call, 0, in->dtype, indices->ndim, indices->dim, err);
}

/* A walk over the indices, row-major, that knows where in the data each stands with its axis
 * at 0. */
typedef struct {
    const mc_nd *indices;
    int axis;
    int64_t dim;                 /* of the data along the axis */
    int64_t stride[MC_MAX_DIMS]; /* of the data */
    int64_t at[MC_MAX_DIMS];
    size_t base;
} element_walk;

static element_walk walk_elements(const mc_nd *data, const mc_nd *indices, int axis)
{
    element_walk w = {.indices = indices, .axis = axis, .dim = data->dim[axis]};
    mc_move_strides(data, w.stride);
    return w;
}

static mc_status walk_read(const element_walk *w, size_t i, size_t *at, mc_err *err)
{
    int64_t index = 0;
    MC_TRY(read_index(w->indices, i, w->dim, &index, err));
    *at = w->base + (size_t)(index * w->stride[w->axis]);
    return MC_OK;
}

static void walk_next(element_walk *w)
{
    for (int k = w->indices->ndim - 1; k >= 0; k--) {
        const size_t step = k == w->axis ? 0 : (size_t)w->stride[k];
        w->base += step;
        if (++w->at[k] < w->indices->dim[k]) return;
        w->base -= step * (size_t)w->indices->dim[k];
        w->at[k] = 0;
    }
}

static mc_status run_gather_elements(const mc_call *call, mc_err *err)
{
    const mc_nd *in = call->in[0], *indices = call->in[1];
    int axis = 0;
    MC_TRY(check_elements(call, &axis, err));
    const size_t width = mc_nd_width(in->dtype);
    const unsigned char *from = in->data;
    unsigned char *to = call->out[0]->data;
    element_walk w = walk_elements(in, indices, axis);
    for (size_t i = 0; i < indices->count; i++, walk_next(&w)) {
        size_t at = 0;
        MC_TRY(walk_read(&w, i, &at, err));
        memcpy(to + i * width, from + at * width, width);
    }
    return MC_OK;
}

/* ---- tuples of indices: GatherND, ScatterND ---- */

/* How tuples address `data` behind its first `batch` dimensions. */
typedef struct {
    const mc_nd *indices;
    int batch, length; /* dimensions in front; numbers of a tuple */
    size_t tuples;     /* for each element of the batch */
    size_t run;        /* elements that a tuple stands for */
    int64_t dim[MC_MAX_DIMS], stride[MC_MAX_DIMS];
} tuple_walk;

/* The length of the tuples is known and fits. */
static mc_status check_tuples(const mc_nd *data, const mc_nd *indices, int batch, mc_err *err)
{
    if (indices->ndim < 1 || batch < 0 || batch >= indices->ndim || batch >= data->ndim)
        return mc_fail(err, MC_E_FORMAT,
                       "batch_dims is %d for data of %d and indices of %d dimensions", batch,
                       data->ndim, indices->ndim);
    const int64_t length = indices->dim[indices->ndim - 1];
    if (length == 0 || length > data->ndim - batch)
        return mc_fail(err, MC_E_FORMAT,
                       "the last dimension of the indices is %lld (1 to %d are allowed)",
                       (long long)length, data->ndim - batch);
    for (int i = 0; i < batch; i++)
        if (data->dim[i] >= 0 && indices->dim[i] >= 0 && data->dim[i] != indices->dim[i])
            return mc_fail(err, MC_E_FORMAT,
                           "batch dimension %d is %lld in the data and %lld in the indices", i,
                           (long long)data->dim[i], (long long)indices->dim[i]);
    return MC_OK;
}

static tuple_walk walk_tuples(const mc_nd *data, const mc_nd *indices, int batch)
{
    tuple_walk w = {.indices = indices, .batch = batch};
    w.length = (int)indices->dim[indices->ndim - 1];
    w.tuples = mc_nd_span(indices, batch, indices->ndim - 1);
    w.run = mc_nd_span(data, batch + w.length, data->ndim);
    int64_t stride[MC_MAX_DIMS];
    mc_move_strides(data, stride);
    for (int i = 0; i < w.length; i++) {
        w.dim[i] = data->dim[batch + i];
        w.stride[i] = stride[batch + i];
    }
    return w;
}

/* Where in its batch element tuple `i` (of all) points to. */
static mc_status tuple_read(const tuple_walk *w, size_t i, size_t *at, mc_err *err)
{
    *at = 0;
    for (int k = 0; k < w->length; k++) {
        int64_t index = 0;
        MC_TRY(read_index(w->indices, i * (size_t)w->length + (size_t)k, w->dim[k], &index, err));
        *at += (size_t)(index * w->stride[k]);
    }
    return MC_OK;
}

static mc_status read_batch(const mc_call *call, int *batch, mc_err *err)
{
    const int64_t n = call->version < 12 ? 0 : mc_node_int(call->node, "batch_dims", 0);
    if (n < 0 || n >= MC_MAX_DIMS)
        return mc_fail(err, MC_E_FORMAT, "batch_dims is %lld (0 to %d are allowed)", (long long)n,
                       (int)MC_MAX_DIMS - 1);
    *batch = (int)n;
    return MC_OK;
}

static mc_status shape_gather_nd(const mc_call *call, mc_err *err)
{
    const mc_nd *in = call->in[0], *indices = call->in[1];
    int batch = 0, n = 0;
    MC_TRY(check_index_dtype(call, 1, err));
    MC_TRY(read_batch(call, &batch, err));
    if (in->ndim < 0 || indices->ndim < 0)
        return mc_op_unknown(call, 0, in->dtype, MC_RANK_UNKNOWN, err);
    MC_TRY(check_tuples(in, indices, batch, err));
    const int64_t length = indices->dim[indices->ndim - 1];
    if (length < 0) return mc_op_unknown(call, 0, in->dtype, MC_RANK_UNKNOWN, err);

    int64_t dim[2 * MC_MAX_DIMS];
    for (int i = 0; i < indices->ndim - 1; i++)
        dim[n++] = i < batch && indices->dim[i] < 0 ? in->dim[i] : indices->dim[i];
    for (int i = batch + (int)length; i < in->ndim; i++) dim[n++] = in->dim[i];
    return mc_arg_set(call, 0, in->dtype, n, dim, err);
}

static mc_status run_gather_nd(const mc_call *call, mc_err *err)
{
    const mc_nd *in = call->in[0], *indices = call->in[1];
    int batch = 0;
    if (call->out[0]->count == 0) return MC_OK;
    MC_TRY(read_batch(call, &batch, err));
    const tuple_walk w = walk_tuples(in, indices, batch);
    const size_t outer = mc_nd_span(in, 0, batch), step = mc_nd_span(in, batch, in->ndim);
    const size_t width = mc_nd_width(in->dtype), bytes = w.run * width;
    const unsigned char *from = in->data;
    unsigned char *to = call->out[0]->data;
    for (size_t b = 0; b < outer; b++) {
        for (size_t i = 0; i < w.tuples; i++, to += bytes) {
            size_t at = 0;
            MC_TRY(tuple_read(&w, b * w.tuples + i, &at, err));
            memcpy(to, from + (b * step + at) * width, bytes);
        }
    }
    return MC_OK;
}

/* ---- reductions of scattered elements ---- */

typedef enum { SET, ADD, MUL, MAX, MIN } reduction;

/* Floats: NaN wins in max and min, as it does in an operator of that name. Whole numbers wrap. */
#define FLOAT_REDUCTION(T)                                                                \
    static void reduce_##T(reduction how, T *to, const T *from, size_t n)                 \
    {                                                                                     \
        for (size_t i = 0; i < n; i++) {                                                  \
            if (how == ADD) to[i] += from[i];                                             \
            if (how == MUL) to[i] *= from[i];                                             \
            if (how == MAX) to[i] = to[i] >= from[i] || to[i] != to[i] ? to[i] : from[i]; \
            if (how == MIN) to[i] = to[i] <= from[i] || to[i] != to[i] ? to[i] : from[i]; \
        }                                                                                 \
    }
#define WHOLE_REDUCTION(T)                                                    \
    static void reduce_##T(reduction how, T *to, const T *from, size_t n)     \
    {                                                                         \
        for (size_t i = 0; i < n; i++) {                                      \
            if (how == ADD) to[i] = (T)((uint64_t)to[i] + (uint64_t)from[i]); \
            if (how == MUL) to[i] = (T)((uint64_t)to[i] * (uint64_t)from[i]); \
            if (how == MAX) to[i] = to[i] > from[i] ? to[i] : from[i];        \
            if (how == MIN) to[i] = to[i] < from[i] ? to[i] : from[i];        \
        }                                                                     \
    }
FLOAT_REDUCTION(float)
FLOAT_REDUCTION(double)
WHOLE_REDUCTION(uint8_t)
WHOLE_REDUCTION(int8_t)
WHOLE_REDUCTION(uint16_t)
WHOLE_REDUCTION(int16_t)
WHOLE_REDUCTION(uint32_t)
WHOLE_REDUCTION(int32_t)
WHOLE_REDUCTION(uint64_t)
WHOLE_REDUCTION(int64_t)

/* `n` elements at `from` into those of `data` from element `at` on. */
static void scatter_run(reduction how, mc_nd *data, size_t at, const void *from, size_t n)
{
    const size_t width = mc_nd_width(data->dtype);
    void *to = (unsigned char *)data->data + at * width;
    if (how == SET) {
        memcpy(to, from, n * width);
        return;
    }
    switch (mc_nd_storage(data->dtype)) {
    case MC_F32: reduce_float(how, to, from, n); break;
    case MC_F64: reduce_double(how, to, from, n); break;
    case MC_U8: reduce_uint8_t(how, to, from, n); break;
    case MC_I8: reduce_int8_t(how, to, from, n); break;
    case MC_U16: reduce_uint16_t(how, to, from, n); break;
    case MC_I16: reduce_int16_t(how, to, from, n); break;
    case MC_U32: reduce_uint32_t(how, to, from, n); break;
    case MC_I32: reduce_int32_t(how, to, from, n); break;
    case MC_U64: reduce_uint64_t(how, to, from, n); break;
    case MC_I64: reduce_int64_t(how, to, from, n); break;
    default: break; /* refused by read_reduction */
    }
}

static mc_status read_reduction(const mc_call *call, reduction *how, mc_err *err)
{
    static const char *const name[] = {"none", "add", "mul", "max", "min"};
    const int names = call->version < 16 ? 1 : call->version < 18 ? 3 : 5;
    const char *asked = call->version < 16 ? "none" : mc_node_text(call->node, "reduction", "none");
    int found = -1;
    for (int i = 0; i < names; i++)
        if (strcmp(asked, name[i]) == 0) found = i;
    if (found < 0)
        return mc_fail(err, MC_E_FORMAT, "reduction is '%.40s' (none, add, mul%s)", asked,
                       names == 5 ? ", max, min" : "");
    *how = (reduction)found;
    const mc_dtype dtype = call->in[0]->dtype;
    const mc_dtype_info *about = mc_dtype_about(dtype);
    const bool countable = about->is_float || (dtype != MC_BOOL && about->bits >= 8);
    if (*how != SET && dtype != MC_DTYPE_NONE && !(countable && mc_nd_width(dtype) > 0))
        return mc_op_refuse_dtype(call, 0, err);
    return MC_OK;
}

static mc_status check_updates(const mc_call *call, mc_err *err)
{
    const mc_nd *in = call->in[0], *updates = call->in[2];
    char text[MC_ND_TEXT], other[MC_ND_TEXT];
    if (in->dtype == updates->dtype || in->dtype == MC_DTYPE_NONE ||
        updates->dtype == MC_DTYPE_NONE)
        return MC_OK;
    return mc_fail(err, MC_E_FORMAT, "the updates are %s for data of %s", mc_nd_show(updates, text),
                   mc_nd_show(in, other));
}

/* Dimension `i` of the updates is what the other shapes make it. */
static mc_status check_update_dim(const mc_nd *updates, int i, int64_t needed, mc_err *err)
{
    if (needed < 0 || updates->dim[i] < 0 || updates->dim[i] == needed) return MC_OK;
    return mc_fail(err, MC_E_FORMAT, "dimension %d of the updates is %lld (%lld is needed)", i,
                   (long long)updates->dim[i], (long long)needed);
}

/* ---- ScatterElements ---- */

static mc_status shape_scatter_elements(const mc_call *call, mc_err *err)
{
    const mc_nd *in = call->in[0], *indices = call->in[1], *updates = call->in[2];
    int axis = 0;
    reduction how;
    MC_TRY(check_elements(call, &axis, err));
    MC_TRY(read_reduction(call, &how, err));
    MC_TRY(check_updates(call, err));
    if (indices->ndim >= 0) MC_TRY(mc_op_rank(call, 2, indices->ndim, indices->ndim, err));
    for (int i = 0; i < indices->ndim && i < updates->ndim; i++)
        MC_TRY(check_update_dim(updates, i, indices->dim[i], err));
    return mc_arg_set(call, 0, in->dtype, in->ndim, in->dim, err);
}

static mc_status run_scatter_elements(const mc_call *call, mc_err *err)
{
    const mc_nd *in = call->in[0], *indices = call->in[1], *updates = call->in[2];
    mc_nd *out = call->out[0];
    int axis = 0;
    reduction how = SET;
    MC_TRY(check_elements(call, &axis, err));
    MC_TRY(read_reduction(call, &how, err));
    MC_TRY(mc_op_copy(call, err));
    const size_t width = mc_nd_width(in->dtype);
    const unsigned char *from = updates->data;
    element_walk w = walk_elements(in, indices, axis);
    for (size_t i = 0; i < indices->count; i++, walk_next(&w)) {
        size_t at = 0;
        MC_TRY(walk_read(&w, i, &at, err));
        scatter_run(how, out, at, from + i * width, 1);
    }
    return MC_OK;
}

/* ---- ScatterND ---- */

static mc_status shape_scatter_nd(const mc_call *call, mc_err *err)
{
    const mc_nd *in = call->in[0], *indices = call->in[1], *updates = call->in[2];
    reduction how;
    MC_TRY(check_index_dtype(call, 1, err));
    MC_TRY(read_reduction(call, &how, err));
    MC_TRY(check_updates(call, err));
    if (in->ndim >= 0 && indices->ndim >= 0) {
        MC_TRY(check_tuples(in, indices, 0, err));
        const int length = (int)indices->dim[indices->ndim - 1], tuple_dims = indices->ndim - 1;
        if (length > 0) {
            const int ndim = tuple_dims + in->ndim - length;
            MC_TRY(mc_op_rank(call, 2, ndim, ndim, err));
            for (int i = 0; i < updates->ndim; i++)
                MC_TRY(check_update_dim(
                    updates, i, i < tuple_dims ? indices->dim[i] : in->dim[i - tuple_dims + length],
                    err));
        }
    }
    return mc_arg_set(call, 0, in->dtype, in->ndim, in->dim, err);
}

static mc_status run_scatter_nd(const mc_call *call, mc_err *err)
{
    const mc_nd *in = call->in[0];
    if (in->count == 0) return MC_OK;
    reduction how = SET;
    MC_TRY(read_reduction(call, &how, err));
    MC_TRY(mc_op_copy(call, err));
    const tuple_walk w = walk_tuples(in, call->in[1], 0);
    const size_t bytes = w.run * mc_nd_width(in->dtype);
    const unsigned char *from = call->in[2]->data;
    for (size_t i = 0; i < w.tuples; i++) {
        size_t at = 0;
        MC_TRY(tuple_read(&w, i, &at, err));
        scatter_run(how, call->out[0], at, from + i * bytes, w.run);
    }
    return MC_OK;
}

#define LINE(op, version, ins) \
    .domain = "", .name = op, .since = (version), .least_in = (ins), .most_in = (ins), .most_out = 1

const mc_op mc_ops_gather[] = {
    {LINE("Gather", 1, 2), .flags = MC_OP_LAZY_0 | MC_OP_MOVES, .shape = shape_gather,
     .run = run_gather},
    {LINE("GatherElements", 11, 2), .flags = MC_OP_MOVES, .shape = shape_gather_elements,
     .run = run_gather_elements},
    {LINE("GatherND", 11, 2), .flags = MC_OP_MOVES, .shape = shape_gather_nd, .run = run_gather_nd},
    {LINE("Scatter", 9, 3), .shape = shape_scatter_elements, .run = run_scatter_elements},
    {LINE("ScatterElements", 11, 3), .shape = shape_scatter_elements, .run = run_scatter_elements},
    {LINE("ScatterND", 11, 3), .shape = shape_scatter_nd, .run = run_scatter_nd},
    {.domain = NULL},
};
