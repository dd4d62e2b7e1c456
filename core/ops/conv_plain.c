/* Convolution and its transpose as their definitions say, one output after the other, with sums of
 * doubles: what the fast ways are held to, and the way of F64. */
#include "core/ops/conv_direct.h"
#include "core/ops/op_window_shared.h"

static void put(mc_nd *y, size_t i, double value)
{
    if (y->dtype == MC_F64)
        ((double *)y->data)[i] = value;
    else
        ((float *)y->data)[i] = (float)value;
}

/* The place of an element in its volume, and back. */
static size_t place(const int64_t size[3], const int64_t at[3])
{
    return (size_t)((at[0] * size[1] + at[1]) * size[2] + at[2]);
}

static void coordinates(const int64_t size[3], size_t place, int64_t at[3])
{
    for (int i = 2; i >= 0; i--) {
        at[i] = (int64_t)(place % (size_t)size[i]);
        place /= (size_t)size[i];
    }
}

/* Which input the tap `k` reads for output `out`; false: a pad. */
static bool input_of(const mc_window *w, const int64_t out[3], const int64_t k[3], int64_t in[3])
{
    for (int i = 0; i < 3; i++) {
        in[i] = out[i] * w->stride[i] + k[i] * w->dilation[i] - w->pad_begin[i];
        if (in[i] < 0 || in[i] >= w->in[i]) return false;
    }
    return true;
}

/* Which output reads input `in` by tap `k`; false: none. */
static bool output_of(const mc_window *w, const int64_t in[3], const int64_t k[3], int64_t out[3])
{
    for (int i = 0; i < 3; i++) {
        const int64_t at = in[i] + w->pad_begin[i] - k[i] * w->dilation[i];
        if (at < 0 || at % w->stride[i] != 0 || at / w->stride[i] >= w->out[i]) return false;
        out[i] = at / w->stride[i];
    }
    return true;
}

void mc_conv_plain(const mc_conv *conv, const mc_nd *x, const mc_nd *w, const mc_nd *bias, mc_nd *y)
{
    const mc_window *win = &conv->window;
    const size_t taps = mc_window_volume(win->kernel), in_area = mc_window_volume(win->in),
                 area = mc_window_volume(win->out);
    for (size_t i = 0; i < y->count; i++) {
        int64_t at[3], k[3], in[3];
        coordinates(win->out, i % area, at);
        const size_t filter = i / area % (conv->groups * conv->filters);
        const size_t sample = i / area / (conv->groups * conv->filters);
        const size_t first = (sample * conv->groups + filter / conv->filters) * conv->channels;
        double sum = bias ? mc_nd_real(bias, filter) : 0.0;
        for (size_t c = 0; c < conv->channels; c++)
            for (size_t t = 0; t < taps; t++) {
                coordinates(win->kernel, t, k);
                if (input_of(win, at, k, in))
                    sum += mc_nd_real(w, (filter * conv->channels + c) * taps + t) *
                           mc_nd_real(x, (first + c) * in_area + place(win->in, in));
            }
        put(y, i, sum);
    }
}

void mc_conv_transpose_plain(const mc_conv *conv, const mc_nd *x, const mc_nd *w, const mc_nd *bias,
                             mc_nd *y)
{
    const mc_window *win = &conv->window;
    const size_t taps = mc_window_volume(win->kernel), in_area = mc_window_volume(win->out),
                 area = mc_window_volume(win->in);
    for (size_t i = 0; i < y->count; i++) {
        int64_t at[3], k[3], from[3];
        coordinates(win->in, i % area, at);
        const size_t filter = i / area % (conv->groups * conv->filters);
        const size_t sample = i / area / (conv->groups * conv->filters);
        const size_t group = filter / conv->filters;
        double sum = bias ? mc_nd_real(bias, filter) : 0.0;
        for (size_t c = group * conv->channels; c < (group + 1) * conv->channels; c++)
            for (size_t t = 0; t < taps; t++) {
                coordinates(win->kernel, t, k);
                if (output_of(win, at, k, from))
                    sum += mc_nd_real(w, (c * conv->filters + filter % conv->filters) * taps + t) *
                           mc_nd_real(x, (sample * conv->groups * conv->channels + c) * in_area +
                                             place(win->out, from));
            }
        put(y, i, sum);
    }
}
