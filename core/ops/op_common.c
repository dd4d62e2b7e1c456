/* What operators share: broadcasting, parameters given as inputs, windows. Messages say which input
 * and what it is; the caller of an operator puts the node in front. */
#include "core/op.h"

#include <string.h>

/* 1 gives way to anything; an unknown dimension is decided by one that is above 1. */
static bool broadcast_dim(int64_t a, int64_t b, int64_t *out)
{
    if (a == b || b == 1)
        *out = a;
    else if (a == 1)
        *out = b;
    else if (a < 0 || b < 0)
        *out = a < 0 ? b : a;
    else
        return false;
    return true;
}

static mc_status broadcast_fails(const mc_nd *a, const mc_nd *b, mc_err *err)
{
    char left[MC_ND_TEXT], right[MC_ND_TEXT];
    return mc_fail(err, MC_E_FORMAT, "shapes %s and %s do not fit each other", mc_nd_show(a, left),
                   mc_nd_show(b, right));
}

/* The dtype of `out` stays. */
mc_status mc_op_broadcast(const mc_nd *a, const mc_nd *b, mc_nd *out, mc_err *err)
{
    if (a->ndim < 0 || b->ndim < 0) return mc_nd_set(out, out->dtype, MC_RANK_UNKNOWN, NULL, err);
    const int ndim = a->ndim > b->ndim ? a->ndim : b->ndim;
    int64_t dim[MC_MAX_DIMS];
    for (int i = 0; i < ndim; i++) {
        const int ia = i - (ndim - a->ndim), ib = i - (ndim - b->ndim);
        if (!broadcast_dim(ia < 0 ? 1 : a->dim[ia], ib < 0 ? 1 : b->dim[ib], &dim[i]))
            return broadcast_fails(a, b, err);
    }
    return mc_nd_set(out, out->dtype, ndim, dim, err);
}

mc_status mc_op_same_shape(const mc_call *call, mc_err *err)
{
    const mc_nd *x = call->in[0];
    if (call->outs == 0 || !call->out[0]) return MC_OK;
    return mc_nd_set(call->out[0], x->dtype, x->ndim, x->dim, err);
}

mc_status mc_op_refuse_dtype(const mc_call *call, size_t input, mc_err *err)
{
    if (input >= call->ins || !call->in[input])
        return mc_fail(err, MC_E_FORMAT, "input %zu is missing", input);
    char text[MC_ND_TEXT];
    return mc_fail(err, MC_E_UNSUPPORTED, "input %zu is %s, which the operator does not take",
                   input, mc_nd_show(call->in[input], text));
}

static bool is_whole(mc_dtype dtype)
{
    return dtype != MC_BOOL && dtype != MC_STRING && mc_nd_width(dtype) > 0 &&
           !mc_dtype_about(dtype)->is_float;
}

mc_status mc_op_ints(const mc_call *call, size_t i, int64_t *out, size_t room, size_t *n,
                     bool *known, mc_err *err)
{
    *n = 0;
    *known = true;
    const mc_nd *t = i < call->ins ? call->in[i] : NULL;
    if (!t) return MC_OK;

    if (t->kind != MC_ND_TENSOR || (t->dtype != MC_DTYPE_NONE && !is_whole(t->dtype)))
        return mc_op_refuse_dtype(call, i, err);
    if (t->ndim > 1) {
        char text[MC_ND_TEXT];
        return mc_fail(err, MC_E_FORMAT, "input %zu is %s, not a list", i, mc_nd_show(t, text));
    }
    *known = mc_nd_shape_known(t) && (t->data || t->count == 0);
    if (!*known) return MC_OK;
    if (t->count > room)
        return mc_fail(err, MC_E_FORMAT, "input %zu has %zu numbers (at most %zu are allowed)", i,
                       t->count, room);
    for (size_t k = 0; k < t->count; k++) out[k] = mc_nd_int(t, k);
    *n = t->count;
    return MC_OK;
}

/* ---- windows ---- */

enum { WINDOW_MOST = 1 << 30 }; /* kernels, strides, dilations, pads: sums stay far from 64 bits */

/* An attribute with a number for each axis; `otherwise` when it is not there. */
static mc_status axis_attr(const mc_call *call, const char *name, int64_t least, size_t n,
                           int64_t *out, mc_err *err)
{
    const int64_t *value;
    const size_t count = mc_node_ints(call->node, name, &value);
    if (!value) return MC_OK;
    if (count != n)
        return mc_fail(err, MC_E_FORMAT, "%s has %zu numbers (%zu are needed)", name, count, n);
    for (size_t i = 0; i < n; i++) {
        if (value[i] < least || value[i] > WINDOW_MOST)
            return mc_fail(err, MC_E_FORMAT, "%s[%zu] is %lld (%lld to %d are allowed)", name, i,
                           (long long)value[i], (long long)least, (int)WINDOW_MOST);
        out[i] = value[i];
    }
    return MC_OK;
}

static mc_status window_attrs(const mc_call *call, mc_window *w, mc_err *err)
{
    const size_t axes = (size_t)w->axes;
    int64_t pads[6] = {0};
    MC_TRY(axis_attr(call, "strides", 1, axes, w->stride, err));
    MC_TRY(axis_attr(call, "dilations", 1, axes, w->dilation, err));
    MC_TRY(axis_attr(call, "pads", 0, 2 * axes, pads, err));
    for (size_t i = 0; i < axes; i++) {
        w->pad_begin[i] = pads[i];
        w->pad_end[i] = pads[axes + i];
    }
    w->ceil_mode = mc_node_int(call->node, "ceil_mode", 0) != 0;
    return MC_OK;
}

/* auto_pad SAME: as many outputs as strides begin in the input; an odd pad goes to the end (UPPER)
 * or the beginning (LOWER). */
static void pad_same(mc_window *w, int i, bool upper)
{
    const int64_t reach = (w->kernel[i] - 1) * w->dilation[i] + 1;
    const int64_t out = w->in[i] / w->stride[i] + (w->in[i] % w->stride[i] != 0);
    const int64_t need = (out - 1) * w->stride[i] + reach - w->in[i];
    const int64_t pad = out > 0 && need > 0 ? need : 0;
    w->pad_begin[i] = upper ? pad / 2 : pad - pad / 2;
    w->pad_end[i] = pad - w->pad_begin[i];
    w->out[i] = out;
}

/* With ceil_mode a last window may hang over the end, but must not begin behind the input and its
 * first pad. */
static mc_status fit_axis(mc_window *w, int i, mc_err *err)
{
    const int64_t reach = (w->kernel[i] - 1) * w->dilation[i] + 1;
    const int64_t room = w->in[i] + w->pad_begin[i] + w->pad_end[i] - reach;
    if (room < 0)
        return mc_fail(err, MC_E_FORMAT,
                       "a window of %lld does not fit axis %d of %lld with pads of %lld and %lld",
                       (long long)reach, i + 2, (long long)w->in[i], (long long)w->pad_begin[i],
                       (long long)w->pad_end[i]);
    w->out[i] = room / w->stride[i] + 1;
    if (w->ceil_mode && room % w->stride[i] != 0 &&
        w->out[i] * w->stride[i] < w->in[i] + w->pad_begin[i])
        w->out[i]++;
    return MC_OK;
}

static mc_status fit_window(mc_window *w, const char *mode, mc_err *err)
{
    const bool upper = strcmp(mode, "SAME_UPPER") == 0, lower = strcmp(mode, "SAME_LOWER") == 0;
    const bool valid = strcmp(mode, "VALID") == 0;
    if (!upper && !lower && !valid && strcmp(mode, "NOTSET") != 0)
        return mc_fail(err, MC_E_FORMAT,
                       "auto_pad is '%.40s' (NOTSET, VALID, SAME_UPPER, SAME_LOWER)", mode);
    for (int i = 0; i < w->axes; i++) {
        if (valid) w->pad_begin[i] = w->pad_end[i] = 0;
        w->out[i] = -1;
        if (w->in[i] < 0 || w->kernel[i] < 0) continue;
        if (w->kernel[i] == 0 || w->kernel[i] > WINDOW_MOST || w->in[i] > INT64_MAX / 4)
            return mc_fail(err, MC_E_FORMAT, "a kernel of %lld on axis %d of %lld",
                           (long long)w->kernel[i], i + 2, (long long)w->in[i]);
        if (upper || lower)
            pad_same(w, i, upper);
        else
            MC_TRY(fit_axis(w, i, err));
    }
    return MC_OK;
}

mc_status mc_op_window(const mc_call *call, const mc_nd *x, const int64_t *kernel, mc_window *out,
                       mc_err *err)
{
    if (x->ndim < 3 || x->ndim > 5) {
        char text[MC_ND_TEXT];
        return mc_fail(err, x->ndim < 0 || x->ndim > 5 ? MC_E_UNSUPPORTED : MC_E_FORMAT,
                       "windows over %s (3 to 5 dimensions are allowed)", mc_nd_show(x, text));
    }
    *out = (mc_window){.axes = x->ndim - 2, .stride = {1, 1, 1}, .dilation = {1, 1, 1}};
    for (int i = 0; i < out->axes; i++) {
        out->kernel[i] = kernel[i];
        out->in[i] = x->dim[i + 2];
    }
    MC_TRY(window_attrs(call, out, err));
    return fit_window(out, mc_node_text(call->node, "auto_pad", "NOTSET"), err);
}
