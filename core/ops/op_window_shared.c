/* Windows of one to three axes as windows of three. */
#include "core/ops/op_window_shared.h"

mc_window mc_window_three_axes(const mc_window *w)
{
    mc_window out = {.axes = 3,
                     .kernel = {1, 1, 1},
                     .stride = {1, 1, 1},
                     .dilation = {1, 1, 1},
                     .in = {1, 1, 1},
                     .out = {1, 1, 1},
                     .ceil_mode = w->ceil_mode};
    for (int i = 0, to = 3 - w->axes; i < w->axes; i++, to++) {
        out.kernel[to] = w->kernel[i];
        out.stride[to] = w->stride[i];
        out.dilation[to] = w->dilation[i];
        out.pad_begin[to] = w->pad_begin[i];
        out.pad_end[to] = w->pad_end[i];
        out.in[to] = w->in[i];
        out.out[to] = w->out[i];
    }
    return out;
}

mc_status mc_window_unfitted(const mc_call *call, const int64_t *kernel, mc_window *out,
                             mc_err *err)
{
    mc_nd unsized = *call->in[0];
    for (int i = 2; i < unsized.ndim; i++) unsized.dim[i] = -1;
    return mc_op_window(call, &unsized, kernel, out, err);
}

mc_status mc_window_full_size(const mc_window *w, int i, int64_t inputs, int64_t added,
                              int64_t *out, mc_err *err)
{
    const int64_t reach = (w->kernel[i] - 1) * w->dilation[i] + 1;
    if (w->kernel[i] < 1 || w->kernel[i] > INT32_MAX || inputs < 1 ||
        __builtin_mul_overflow(w->stride[i], inputs - 1, out) ||
        __builtin_add_overflow(*out, reach + added, out) || *out > INT64_MAX / 4)
        return mc_fail(err, MC_E_FORMAT, "a kernel of %lld on axis %d of %lld",
                       (long long)w->kernel[i], i + 2, (long long)inputs);
    return MC_OK;
}
