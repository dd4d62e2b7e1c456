/* Shape, Size, Reshape, Flatten, Squeeze, Unsqueeze, Expand, Identity, Dropout: operators that
 * look at shapes or change nothing else. All but Expand leave the elements in their order. */
#include "core/ops/op_args_shared.h"
#include "core/ops/op_legacy_shared.h"
#include "core/ops/op_move_shared.h"

#include "core/ckd.h"

#include <string.h>

/* ---- Shape, Size ---- */

/* The dimensions [*first, *last) that Shape is asked for, of `ndim`. */
static void shape_range(const mc_call *call, int ndim, int *first, int *last)
{
    int64_t start = 0, end = ndim;
    if (call->version >= 15) {
        start = mc_node_int(call->node, "start", 0);
        end = mc_node_int(call->node, "end", ndim);
    }
    if (start < 0) start += ndim;
    if (end < 0) end += ndim;
    start = start < 0 ? 0 : start > ndim ? ndim : start;
    end = end < start ? start : end > ndim ? ndim : end;
    *first = (int)start;
    *last = (int)end;
}

static mc_status shape_shape(const mc_call *call, mc_err *err)
{
    const mc_nd *in = call->in[0];
    int64_t n = -1;
    if (in->ndim >= 0) {
        int first, last;
        shape_range(call, in->ndim, &first, &last);
        n = last - first;
    }
    return mc_arg_set(call, 0, MC_I64, 1, &n, err);
}

static mc_status run_shape(const mc_call *call, mc_err *err)
{
    (void)err;
    const mc_nd *in = call->in[0];
    int first, last;
    shape_range(call, in->ndim, &first, &last);
    int64_t *out = call->out[0]->data;
    for (int i = first; i < last; i++) out[i - first] = in->dim[i];
    return MC_OK;
}

static mc_status shape_size(const mc_call *call, mc_err *err)
{
    return mc_arg_set(call, 0, MC_I64, 0, NULL, err);
}

static mc_status run_size(const mc_call *call, mc_err *err)
{
    (void)err;
    *(int64_t *)call->out[0]->data = (int64_t)call->in[0]->count;
    return MC_OK;
}

/* ---- Reshape ---- */

/* A shape as it is asked for: which dimensions are copied from the input (by 0), and which is left
 * open (by -1). Copied dimensions cancel out of the count of elements, so that they need not be
 * known, and may be 0. */
typedef struct {
    mc_op_list at;
    bool copied[MC_MAX_DIMS]; /* of the shape, and so of the input */
    int open;                 /* -1: none */
    bool counts;              /* do the dimensions that are not copied decide the elements? */
} wanted_shape;

static mc_status read_wanted(const mc_nd *in, bool keep_zeros, wanted_shape *w, mc_err *err)
{
    int zeros = 0;
    w->open = -1;
    w->counts = true;
    for (int i = 0; i < w->at.n; i++) {
        const int64_t dim = w->at.at[i];
        if (dim < -1)
            return mc_fail(err, MC_E_FORMAT, "dimension %d of the shape is %lld (at least -1)", i,
                           (long long)dim);
        if (dim == -1 && w->open >= 0)
            return mc_fail(err, MC_E_FORMAT,
                           "dimensions %d and %d of the shape are -1 (one may be)", w->open, i);
        if (dim == -1) w->open = i;
        zeros += dim == 0;
        if (dim != 0 || keep_zeros) continue;
        if (in->ndim >= 0 && i >= in->ndim)
            return mc_fail(err, MC_E_FORMAT,
                           "the shape copies dimension %d of an input of %d dimensions", i,
                           in->ndim);
        w->copied[i] = true;
        w->at.at[i] = in->ndim < 0 ? -1 : in->dim[i];
        w->counts = w->counts && w->at.at[i] > 0;
    }
    if (keep_zeros && zeros > 0 && w->open >= 0)
        return mc_fail(err, MC_E_FORMAT, "the shape has both 0 and -1, which allowzero forbids");
    return MC_OK;
}

/* The product of the input's dimensions that are not copied; -1 when it is not known. */
static int64_t left_over(const mc_nd *in, const wanted_shape *w)
{
    int64_t left = 1;
    for (int i = 0; i < in->ndim; i++) {
        if (w->copied[i]) continue;
        if (in->dim[i] < 0) return -1;
        left *= in->dim[i];
    }
    return in->ndim < 0 ? -1 : left;
}

/* Puts the open dimension in its place, or checks that the elements are as many. */
static mc_status fill_open(const mc_nd *in, wanted_shape *w, mc_err *err)
{
    const int64_t left = left_over(in, w);
    uint64_t rest = 1;
    for (int i = 0; i < w->at.n; i++)
        if (!w->copied[i] && i != w->open && !mc_mul_u64(rest, (uint64_t)w->at.at[i], &rest))
            return mc_fail(err, MC_E_FORMAT, "the shape is too large at dimension %d of %lld", i,
                           (long long)w->at.at[i]);
    if (left < 0) return MC_OK;
    char text[MC_ND_TEXT];
    if (w->open < 0) {
        if (!w->counts || (uint64_t)left == rest) return MC_OK;
        return mc_fail(err, MC_E_FORMAT,
                       "%s does not have as many elements as the shape: %lld, not %llu",
                       mc_nd_show(in, text), (long long)left, (unsigned long long)rest);
    }
    if (rest == 0 || (uint64_t)left % rest != 0)
        return mc_fail(err, MC_E_FORMAT,
                       "dimension %d of the shape is -1, but the %lld elements of %s do not divide "
                       "by %llu",
                       w->open, (long long)left, mc_nd_show(in, text), (unsigned long long)rest);
    w->at.at[w->open] = left / (int64_t)rest;
    return MC_OK;
}

static mc_status shape_reshape(const mc_call *call, mc_err *err)
{
    const mc_nd *in = call->in[0];
    wanted_shape w = {.open = -1};
    MC_TRY(mc_op_list_read(call, call->version < 5 ? "shape" : NULL, 1, &w.at, err));
    if (!w.at.given) return mc_fail(err, MC_E_FORMAT, "the shape is missing");
    if (!w.at.known) return mc_op_unknown(call, 0, in->dtype, w.at.n, err);
    if (w.at.n > MC_MAX_DIMS)
        return mc_fail(err, MC_E_FORMAT, "the shape has %d dimensions (at most %d are allowed)",
                       w.at.n, (int)MC_MAX_DIMS);
    const bool keep_zeros = call->version >= 14 && mc_node_int(call->node, "allowzero", 0) != 0;
    MC_TRY(read_wanted(in, keep_zeros, &w, err));
    MC_TRY(fill_open(in, &w, err));
    return mc_arg_set(call, 0, in->dtype, w.at.n, w.at.at, err);
}

/* ---- Flatten, Squeeze, Unsqueeze ---- */

static int64_t known_span(const mc_nd *t, int from, int to)
{
    for (int i = from; i < to; i++)
        if (t->dim[i] < 0) return -1;
    return (int64_t)mc_nd_span(t, from, to);
}

static mc_status shape_flatten(const mc_call *call, mc_err *err)
{
    const mc_nd *in = call->in[0];
    if (in->ndim < 0) return mc_op_unknown(call, 0, in->dtype, 2, err);
    int64_t axis = mc_node_int(call->node, "axis", 1);
    if (axis < -(int64_t)in->ndim || axis > in->ndim)
        return mc_fail(err, MC_E_FORMAT, "axis %lld is outside [%d, %d]", (long long)axis,
                       -in->ndim, in->ndim);
    if (axis < 0) axis += in->ndim;
    const int64_t dim[2] = {known_span(in, 0, (int)axis), known_span(in, (int)axis, in->ndim)};
    return mc_arg_set(call, 0, in->dtype, 2, dim, err);
}

/* Which dimensions Squeeze takes away; false when that is not known. */
static mc_status squeezed(const mc_nd *in, mc_op_list *axes, bool gone[MC_MAX_DIMS], bool *known,
                          mc_err *err)
{
    *known = axes->known;
    if (!*known) return MC_OK;
    if (!axes->given) {
        for (int i = 0; i < in->ndim; i++) {
            gone[i] = in->dim[i] == 1;
            *known = *known && in->dim[i] >= 0;
        }
        return MC_OK;
    }
    MC_TRY(mc_op_list_axes(axes, in->ndim, "axes", err));
    for (int i = 0; i < axes->n; i++) {
        const int axis = (int)axes->at[i];
        if (in->dim[axis] > 1 || in->dim[axis] == 0)
            return mc_fail(err, MC_E_FORMAT, "dimension %d is %lld (only 1 can be squeezed)", axis,
                           (long long)in->dim[axis]);
        gone[axis] = true;
    }
    return MC_OK;
}

static mc_status shape_squeeze(const mc_call *call, mc_err *err)
{
    const mc_nd *in = call->in[0];
    mc_op_list axes;
    MC_TRY(mc_op_list_read(call, call->version < 13 ? "axes" : NULL, 1, &axes, err));
    if (in->ndim < 0) return mc_op_unknown(call, 0, in->dtype, MC_RANK_UNKNOWN, err);

    bool gone[MC_MAX_DIMS] = {false}, known;
    MC_TRY(squeezed(in, &axes, gone, &known, err));
    if (!known) {
        const int ndim = axes.given && axes.n >= 0 ? in->ndim - axes.n : MC_RANK_UNKNOWN;
        return mc_op_unknown(call, 0, in->dtype, ndim, err);
    }
    int64_t dim[MC_MAX_DIMS];
    int n = 0;
    for (int i = 0; i < in->ndim; i++)
        if (!gone[i]) dim[n++] = in->dim[i];
    return mc_arg_set(call, 0, in->dtype, n, dim, err);
}

static mc_status shape_unsqueeze(const mc_call *call, mc_err *err)
{
    const mc_nd *in = call->in[0];
    mc_op_list axes;
    MC_TRY(mc_op_list_read(call, call->version < 13 ? "axes" : NULL, 1, &axes, err));
    if (!axes.given) return mc_fail(err, MC_E_FORMAT, "axes are missing");
    const int ndim = in->ndim < 0 || axes.n < 0 ? MC_RANK_UNKNOWN : in->ndim + axes.n;
    if (ndim > MC_MAX_DIMS || ndim < 0 || !axes.known)
        return mc_op_unknown(call, 0, in->dtype, ndim, err);

    MC_TRY(mc_op_list_axes(&axes, ndim, "axes", err));
    int64_t dim[MC_MAX_DIMS] = {0};
    bool added[MC_MAX_DIMS] = {false};
    for (int i = 0; i < axes.n; i++) added[axes.at[i]] = true;
    for (int i = 0, next = 0; i < ndim; i++) dim[i] = added[i] ? 1 : in->dim[next++];
    return mc_arg_set(call, 0, in->dtype, ndim, dim, err);
}

/* ---- Expand ---- */

static mc_status shape_expand(const mc_call *call, mc_err *err)
{
    const mc_nd *in = call->in[0];
    mc_op_list shape;
    MC_TRY(mc_op_list_read(call, NULL, 1, &shape, err));
    mc_nd wanted = {0};
    if (shape.known && shape.n <= MC_MAX_DIMS) {
        for (int i = 0; i < shape.n; i++)
            if (shape.at[i] < 0)
                return mc_fail(err, MC_E_FORMAT, "dimension %d of the shape is %lld (at least 0)",
                               i, (long long)shape.at[i]);
        MC_TRY(mc_nd_set(&wanted, in->dtype, shape.n, shape.at, err));
    } else {
        for (int i = 0; i < shape.n; i++) shape.at[i] = -1;
        MC_TRY(mc_nd_set(&wanted, in->dtype, shape.n, shape.at, err));
    }
    mc_nd made = {0};
    MC_TRY(mc_op_broadcast(in, &wanted, &made, err));
    return mc_arg_set(call, 0, in->dtype, made.ndim, made.dim, err);
}

static mc_status run_expand(const mc_call *call, mc_err *err)
{
    (void)err;
    const mc_nd *in = call->in[0];
    mc_nd *out = call->out[0];
    if (out->count == 0 || out->data == in->data) return MC_OK;
    int64_t from[MC_MAX_DIMS], to[MC_MAX_DIMS];
    mc_move_strides(in, from);
    mc_move_strides(out, to);
    const int added = out->ndim - in->ndim;
    mc_move m = {0};
    for (int i = 0; i < out->ndim; i++) {
        const bool repeats = i < added || in->dim[i - added] == 1;
        mc_move_add(&m, out->dim[i], repeats ? 0 : from[i - added], to[i]);
    }
    mc_move_run(&m, mc_nd_width(out->dtype), in->data, out->data);
    return MC_OK;
}

/* ---- Identity, Dropout ---- */

static mc_status shape_identity(const mc_call *call, mc_err *err)
{
    const mc_nd *in = call->in[0];
    MC_TRY(mc_arg_set(call, 0, in->dtype, in->ndim, in->dim, err));
    if (mc_arg_out(call, 0)) call->out[0]->kind = in->kind;
    return MC_OK;
}

/* Sequences and optionals are made by the host, which copies the items. */
static mc_status run_identity(const mc_call *call, mc_err *err)
{
    const mc_nd *in = call->in[0];
    mc_nd *out = call->out[0];
    if (in->kind == MC_ND_TENSOR) {
        MC_TRY(call->host->make(call->host, out, err));
        return mc_op_copy(call, err);
    }
    out->item = in->item;
    out->items = in->items;
    return call->host->make(call->host, out, err);
}

static mc_status shape_dropout(const mc_call *call, mc_err *err)
{
    const mc_nd *in = call->in[0];
    MC_TRY(mc_legacy_check_test(call, err));
    MC_TRY(mc_arg_set(call, 0, in->dtype, in->ndim, in->dim, err));
    const mc_dtype mask = call->version < 10 ? in->dtype : MC_BOOL;
    return mc_arg_set(call, 1, mask, in->ndim, in->dim, err);
}

/* Nothing is dropped, unless a model that trains is run with a ratio: what is dropped then is
 * random, and so is nothing that can be reproduced. */
static mc_status check_not_training(const mc_call *call, mc_err *err)
{
    if (call->version < 12 || call->ins < 3 || !call->in[2] || call->in[2]->count == 0)
        return MC_OK;
    double ratio = 0.5;
    if (call->in[1] && call->in[1]->count > 0) ratio = mc_nd_real(call->in[1], 0);
    if (mc_nd_int(call->in[2], 0) == 0 || ratio == 0.0) return MC_OK;
    return mc_fail(err, MC_E_UNSUPPORTED,
                   "training_mode is true with ratio %g (only false, or a ratio of 0, can be run)",
                   ratio);
}

static mc_status run_dropout(const mc_call *call, mc_err *err)
{
    MC_TRY(check_not_training(call, err));
    mc_nd *mask = mc_arg_out(call, 1);
    if (mask && mc_nd_storage(mask->dtype) == MC_F32) {
        for (size_t i = 0; i < mask->count; i++) ((float *)mask->data)[i] = 1.0f;
    } else if (mask && mask->dtype == MC_F64) {
        for (size_t i = 0; i < mask->count; i++) ((double *)mask->data)[i] = 1.0;
    } else if (mask && mask->count > 0) {
        memset(mask->data, 1, mask->count);
    }
    return call->out[0] ? mc_op_copy(call, err) : MC_OK;
}

#define LINE(op, version, ins, flag) \
    .name = op, .since = (version), .least_in = 1, .most_in = (ins), .most_out = 1, .flags = (flag)

const mc_op mc_ops_shape[] = {
    {.domain = "",
     LINE("Shape", 1, 1, MC_OP_LAZY_0 | MC_OP_DIMS),
     .shape = shape_shape,
     .run = run_shape},
    {.domain = "",
     LINE("Size", 1, 1, MC_OP_LAZY_0 | MC_OP_DIMS),
     .shape = shape_size,
     .run = run_size},
    {.domain = "",
     LINE("Reshape", 1, 1, MC_OP_IN_PLACE | MC_OP_MOVES),
     .shape = shape_reshape,
     .run = mc_op_copy},
    {.domain = "",
     .name = "Reshape",
     .since = 5,
     .least_in = 2,
     .most_in = 2,
     .most_out = 1,
     .flags = MC_OP_IN_PLACE | MC_OP_MOVES,
     .shape = shape_reshape,
     .run = mc_op_copy},
    {.domain = "",
     LINE("Flatten", 1, 1, MC_OP_IN_PLACE | MC_OP_MOVES),
     .shape = shape_flatten,
     .run = mc_op_copy},
    {.domain = "",
     LINE("Squeeze", 1, 1, MC_OP_IN_PLACE | MC_OP_MOVES),
     .shape = shape_squeeze,
     .run = mc_op_copy},
    {.domain = "",
     LINE("Squeeze", 13, 2, MC_OP_IN_PLACE | MC_OP_MOVES),
     .shape = shape_squeeze,
     .run = mc_op_copy},
    {.domain = "",
     LINE("Unsqueeze", 1, 1, MC_OP_IN_PLACE | MC_OP_MOVES),
     .shape = shape_unsqueeze,
     .run = mc_op_copy},
    {.domain = "",
     .name = "Unsqueeze",
     .since = 13,
     .least_in = 2,
     .most_in = 2,
     .most_out = 1,
     .flags = MC_OP_IN_PLACE | MC_OP_MOVES,
     .shape = shape_unsqueeze,
     .run = mc_op_copy},
    {.domain = "",
     .name = "Expand",
     .since = 8,
     .least_in = 2,
     .most_in = 2,
     .most_out = 1,
     .flags = MC_OP_IN_PLACE | MC_OP_MOVES,
     .shape = shape_expand,
     .run = run_expand},
    {.domain = "",
     LINE("Identity", 1, 1, MC_OP_KINDS | MC_OP_SIZES | MC_OP_MOVES),
     .shape = shape_identity,
     .run = run_identity},
    {.domain = "",
     .name = "Dropout",
     .since = 1,
     .least_in = 1,
     .most_in = 1,
     .most_out = 2,
     .flags = MC_OP_IN_PLACE | MC_OP_MOVES,
     .shape = shape_dropout,
     .run = run_dropout},
    {.domain = "",
     .name = "Dropout",
     .since = 12,
     .least_in = 1,
     .most_in = 3,
     .most_out = 2,
     .flags = MC_OP_IN_PLACE | MC_OP_MOVES,
     .shape = shape_dropout,
     .run = run_dropout},
    {.domain = NULL},
};
