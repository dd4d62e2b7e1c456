/* Conv and ConvTranspose over one to three spatial axes: what shapes and attributes mean. The loops
 * are in conv_direct.h. */
#include "core/ckd.h"
#include "core/op.h"
#include "core/ops/conv_direct.h"
#include "core/ops/op_args_shared.h"
#include "core/ops/op_window_shared.h"

#include <string.h>

static const mc_dtype floats[] = {MC_F16, MC_BF16, MC_F32, MC_F64, MC_DTYPE_NONE};

/* ---- shapes ---- */

static mc_status check_dtypes(const mc_call *call, mc_err *err)
{
    for (size_t i = 0; i < 3; i++) MC_TRY(mc_arg_dtype(call, i, floats, err));
    return mc_arg_floats(call, 0, 3, err);
}

/* The weight's spatial dimensions, with which kernel_shape must agree where both are there; -1:
 * not known. */
static mc_status read_kernel(const mc_call *call, int axes, int64_t kernel[3], mc_err *err)
{
    const mc_nd *w = call->in[1];
    const int64_t *said;
    const size_t n = mc_node_ints(call->node, "kernel_shape", &said);
    if (said && n != (size_t)axes)
        return mc_fail(err, MC_E_FORMAT, "kernel_shape has %zu numbers (%d are needed)", n, axes);
    for (int i = 0; i < axes; i++) {
        kernel[i] = w->ndim >= 0 ? w->dim[2 + i] : -1;
        if (!said) continue;
        if (kernel[i] < 0) kernel[i] = said[i];
        if (said[i] < 1 || kernel[i] != said[i])
            return mc_fail(err, MC_E_FORMAT, "kernel_shape[%d] is %lld (the weight's is %lld)", i,
                           (long long)said[i], (long long)kernel[i]);
    }
    return MC_OK;
}

/* Filters and channels against group: per_group is what dimension 1 of the weight stands for. */
static mc_status check_channels(const mc_call *call, bool transposed, int64_t *filters, mc_err *err)
{
    const mc_nd *x = call->in[0], *w = call->in[1];
    const int64_t group = mc_node_int(call->node, "group", 1);
    const int64_t channels = x->dim[1], first = w->ndim > 0 ? w->dim[0] : -1;
    const int64_t second = w->ndim > 0 ? w->dim[1] : -1;
    if (group < 1 || (channels >= 0 && channels % group != 0))
        return mc_fail(err, MC_E_FORMAT, "group is %lld, which must be at least 1 and divide %lld",
                       (long long)group, (long long)channels);
    if (first >= 0 && first % group != 0)
        return mc_fail(err, MC_E_FORMAT,
                       "group is %lld, which must divide dimension 0 of input 1, %lld",
                       (long long)group, (long long)first);
    const int64_t want = transposed ? channels : channels / group;
    const int64_t found = transposed ? first : second;
    if (channels >= 0 && found >= 0 && found != want)
        return mc_fail(err, MC_E_FORMAT,
                       "dimension %d of input 1 is %lld (%lld is needed: input 0 "
                       "has %lld channels in %lld groups)",
                       !transposed, (long long)found, (long long)want, (long long)channels,
                       (long long)group);
    *filters = first;
    if (transposed && (second < 0 || __builtin_mul_overflow(second, group, filters))) *filters = -1;
    return mc_arg_vector(call, 2, &(int64_t){*filters}, err);
}

static mc_status check_ranks(const mc_call *call, mc_err *err)
{
    const mc_nd *x = call->in[0], *w = call->in[1];
    char found[MC_ND_TEXT];
    if (x->ndim < 3 || x->ndim > 5)
        return mc_fail(err, x->ndim > 5 ? MC_E_UNSUPPORTED : MC_E_FORMAT,
                       "input 0 is %s (3 to 5 dimensions are allowed)", mc_nd_show(x, found));
    if (w->ndim >= 0 && w->ndim != x->ndim)
        return mc_fail(err, MC_E_FORMAT, "input 1 is %s (%d dimensions are needed)",
                       mc_nd_show(w, found), x->ndim);
    return MC_OK;
}

/* ---- windows ---- */

static mc_status conv_window(const mc_call *call, mc_window *w, mc_err *err)
{
    int64_t kernel[3];
    MC_TRY(read_kernel(call, call->in[0]->ndim - 2, kernel, err));
    return mc_op_window(call, call->in[0], kernel, w, err);
}

/* An attribute with a number at least 0 for each axis. */
static mc_status axis_numbers(const mc_call *call, const char *name, int axes, int64_t *out,
                              bool *there, mc_err *err)
{
    const int64_t *value;
    const size_t n = mc_node_ints(call->node, name, &value);
    *there = value != NULL;
    if (value && n != (size_t)axes)
        return mc_fail(err, MC_E_FORMAT, "%s has %zu numbers (%d are needed)", name, n, axes);
    for (int i = 0; i < axes; i++) {
        out[i] = value ? value[i] : 0;
        if (out[i] < 0 || out[i] > INT32_MAX)
            return mc_fail(err, MC_E_FORMAT, "%s[%d] is %lld (0 to %d are allowed)", name, i,
                           (long long)out[i], (int)INT32_MAX);
    }
    return MC_OK;
}

/* An odd pad is larger at the end for SAME_UPPER, else at the beginning. (The equations of version
 * 1 say the opposite of its own text; runtimes follow the text, and so do later versions.) */
static void share_pad(mc_window *w, int i, int64_t total, bool upper)
{
    w->pad_begin[i] = upper ? total / 2 : total - total / 2;
    w->pad_end[i] = total - w->pad_begin[i];
}

/* The window of the convolution that this is the transpose of: out is what the node takes, in what
 * it makes. */
static mc_status transposed_window(const mc_call *call, mc_window *w, mc_err *err)
{
    const mc_nd *x = call->in[0];
    int64_t kernel[3], wanted[3], added[3];
    bool fixed, any;
    MC_TRY(read_kernel(call, x->ndim - 2, kernel, err));
    MC_TRY(mc_window_unfitted(call, kernel, w, err));
    MC_TRY(axis_numbers(call, "output_shape", w->axes, wanted, &fixed, err));
    MC_TRY(axis_numbers(call, "output_padding", w->axes, added, &any, err));
    const char *mode = mc_node_text(call->node, "auto_pad", "NOTSET");
    const bool upper = strcmp(mode, "SAME_UPPER") == 0, lower = strcmp(mode, "SAME_LOWER") == 0;

    for (int i = 0; i < w->axes; i++) {
        const int64_t inputs = x->dim[i + 2];
        int64_t full = 0;
        w->out[i] = inputs;
        w->in[i] = fixed ? wanted[i] : -1;
        if (inputs < 0 || w->kernel[i] < 0) continue;
        MC_TRY(mc_window_full_size(w, i, inputs, added[i], &full, err));
        if (!fixed && (upper || lower)) w->in[i] = inputs * w->stride[i];
        if (fixed || upper || lower)
            share_pad(w, i, full > w->in[i] ? full - w->in[i] : 0, upper);
        else
            w->in[i] = full - w->pad_begin[i] - w->pad_end[i];
        if (w->in[i] < 1)
            return mc_fail(err, MC_E_FORMAT, "axis %d of %lld with pads of %lld and %lld is empty",
                           i + 2, (long long)full, (long long)w->pad_begin[i],
                           (long long)w->pad_end[i]);
    }
    return MC_OK;
}

/* ---- operators ---- */

static mc_status shape(const mc_call *call, bool transposed, mc_err *err)
{
    const mc_nd *x = call->in[0];
    MC_TRY(check_dtypes(call, err));
    if (x->ndim < 0) return mc_arg_set(call, 0, x->dtype, MC_RANK_UNKNOWN, NULL, err);
    int64_t dim[MC_MAX_DIMS] = {x->dim[0], -1};
    mc_window w;
    MC_TRY(check_ranks(call, err));
    MC_TRY(check_channels(call, transposed, &dim[1], err));
    MC_TRY(transposed ? transposed_window(call, &w, err) : conv_window(call, &w, err));
    for (int i = 0; i < w.axes; i++) dim[2 + i] = transposed ? w.in[i] : w.out[i];
    return mc_arg_set(call, 0, x->dtype, x->ndim, dim, err);
}

static mc_status conv_shape(const mc_call *call, mc_err *err)
{
    return shape(call, false, err);
}

static mc_status transpose_shape(const mc_call *call, mc_err *err)
{
    return shape(call, true, err);
}

static mc_conv conv_of(const mc_call *call, bool transposed, const mc_window *w)
{
    const mc_nd *x = call->in[0], *weight = call->in[1];
    const size_t groups = (size_t)mc_node_int(call->node, "group", 1);
    return (mc_conv){.samples = (size_t)x->dim[0],
                     .groups = groups,
                     .channels = (size_t)x->dim[1] / groups,
                     .filters =
                         transposed ? (size_t)weight->dim[1] : (size_t)weight->dim[0] / groups,
                     .window = mc_window_three_axes(w)};
}

static mc_conv_f32 data_of(const mc_call *call)
{
    const mc_nd *bias = mc_arg_in(call, 2);
    return (mc_conv_f32){.x = call->in[0]->data,
                         .w = call->in[1]->data,
                         .bias = bias ? bias->data : NULL,
                         .y = call->out[0]->data};
}

static mc_status conv_run(const mc_call *call, mc_err *err)
{
    mc_window w;
    MC_TRY(conv_window(call, &w, err));
    const mc_conv conv = conv_of(call, false, &w);
    if (mc_arg_is_f64(call->in[0])) {
        mc_conv_plain(&conv, call->in[0], call->in[1], mc_arg_in(call, 2), call->out[0]);
        return MC_OK;
    }
    const mc_conv_f32 data = data_of(call);
    return mc_conv_run(&conv, &data, call->scratch, err);
}

static mc_status transpose_run(const mc_call *call, mc_err *err)
{
    mc_window w;
    MC_TRY(transposed_window(call, &w, err));
    const mc_conv conv = conv_of(call, true, &w);
    if (mc_arg_is_f64(call->in[0])) {
        mc_conv_transpose_plain(&conv, call->in[0], call->in[1], mc_arg_in(call, 2), call->out[0]);
        return MC_OK;
    }
    const mc_conv_f32 data = data_of(call);
    return mc_conv_transpose_run(&conv, &data, call->scratch, err);
}

/* What does not pass here is refused by `shape`. */
static size_t scratch(const mc_call *call, bool transposed)
{
    mc_window w;
    mc_err err;
    if (!mc_arg_is_f32(call->in[0]) || check_ranks(call, &err) != MC_OK) return 0;
    if (!mc_nd_shape_known(call->in[0]) || !mc_nd_shape_known(call->in[1])) return 0;
    const mc_status status =
        transposed ? transposed_window(call, &w, &err) : conv_window(call, &w, &err);
    if (status != MC_OK) return 0;
    const mc_conv conv = conv_of(call, transposed, &w);
    return transposed ? mc_conv_transpose_scratch(&conv) : mc_conv_scratch(&conv);
}

static size_t conv_scratch(const mc_call *call)
{
    return scratch(call, false);
}

static size_t transpose_scratch(const mc_call *call)
{
    return scratch(call, true);
}

const mc_op mc_ops_conv[] = {
    {.domain = "",
     .name = "Conv",
     .since = 1,
     .least_in = 2,
     .most_in = 3,
     .most_out = 1,
     .shape = conv_shape,
     .run = conv_run,
     .scratch = conv_scratch},
    {.domain = "",
     .name = "ConvTranspose",
     .since = 1,
     .least_in = 2,
     .most_in = 3,
     .most_out = 1,
     .shape = transpose_shape,
     .run = transpose_run,
     .scratch = transpose_scratch},
    {.domain = NULL},
};
