/* Windows as loops see them: always three axes, and which outputs read an input rather than a
 * pad. */
#ifndef MC_CORE_OPS_OP_WINDOW_SHARED_H
#define MC_CORE_OPS_OP_WINDOW_SHARED_H

#include "core/op.h"

#include <stddef.h>
#include <stdint.h>

/* The same window with its axes at the end; in front, windows of one element. */
mc_window mc_window_three_axes(const mc_window *window);

/* The node's window over in[0] by its attributes alone, for operators that turn windows around: in
 * and out are not known. */
mc_status mc_window_unfitted(const mc_call *call, const int64_t *kernel, mc_window *out,
                             mc_err *err);

/* What windows on `inputs` places of axis i cover, without pads: stride * (inputs - 1) + a window,
 * and what is added. MC_E_FORMAT when there is nothing, or far too much. */
mc_status mc_window_full_size(const mc_window *window, int i, int64_t inputs, int64_t added,
                              int64_t *out, mc_err *err);

static inline size_t mc_window_volume(const int64_t size[3])
{
    return (size_t)size[0] * (size_t)size[1] * (size_t)size[2];
}

/* Of `count` outputs, those in [*from, *to) read inputs at + j * stride that lie inside 0..in. */
static inline void mc_window_inside(int64_t at, int64_t stride, int64_t in, size_t count,
                                    size_t *from, size_t *to)
{
    const int64_t n = (int64_t)count;
    if (at >= 0 && at + (n - 1) * stride < in) { /* mostly so, and divisions are slow */
        *from = 0;
        *to = count;
        return;
    }
    const int64_t first = at < 0 ? (-at + stride - 1) / stride : 0;
    const int64_t end = at < in ? (in - at + stride - 1) / stride : 0;
    *to = (size_t)(end < n ? end : n);
    *from = first < (int64_t)*to ? (size_t)first : *to;
}

/* Of taps 0..kernel-1, those in [*from, *to) read least <= at + k * dilation < end. */
static inline void mc_window_taps(int64_t at, int64_t dilation, int64_t kernel, int64_t least,
                                  int64_t end, int64_t *from, int64_t *to)
{
    const int64_t first = at < least ? (least - at + dilation - 1) / dilation : 0;
    const int64_t last = at < end ? (end - at + dilation - 1) / dilation : 0;
    *to = last < kernel ? last : kernel;
    *from = first < *to ? first : *to;
}

#endif
