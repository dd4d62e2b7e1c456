/* Convolutions as loops: what Conv and ConvTranspose compute with, once shapes are known.
 *
 * Samples one after the other, each in tiles that its own shape chooses. */
#ifndef MC_CORE_OPS_CONV_DIRECT_H
#define MC_CORE_OPS_CONV_DIRECT_H

#include "core/arena.h"
#include "core/op.h"

/* x: samples x groups * channels x in; y: samples x groups * filters x out. The window has three
 * axes; those that a convolution lacks come first, of size 1.
 * w: groups * filters x channels x kernel; transposed: groups * channels x filters x kernel, and
 * x takes the place of y: an input spreads over the window that an output would be made from. */
typedef struct {
    size_t samples, groups, channels, filters; /* the last two of one group */
    mc_window window;
} mc_conv;

typedef struct {
    const float *x, *w, *bias; /* bias[groups * filters], or NULL */
    float *y;
} mc_conv_f32;

/* By plain loops and sums of doubles, for tensors of F32 or F64: the reference, and the way of F64.
 * bias may be NULL. */
void mc_conv_plain(const mc_conv *conv, const mc_nd *x, const mc_nd *w, const mc_nd *bias,
                   mc_nd *y);
void mc_conv_transpose_plain(const mc_conv *conv, const mc_nd *x, const mc_nd *w, const mc_nd *bias,
                             mc_nd *y);

/* By tiles. The scratch is what *_scratch says, SIZE_MAX when that leaves the address space. */
size_t mc_conv_scratch(const mc_conv *conv);
mc_status mc_conv_run(const mc_conv *conv, const mc_conv_f32 *data, mc_arena scratch, mc_err *err);
size_t mc_conv_transpose_scratch(const mc_conv *conv);
mc_status mc_conv_transpose_run(const mc_conv *conv, const mc_conv_f32 *data, mc_arena scratch,
                                mc_err *err);

/* ---- the innermost loops (conv_kernels.c) ---- */

/* y[f][p] = bias[f] + sum over t of w[f][t] * x[offset[t] + p], for f < filters, p < count; summed
 * in the order of t. From each offset, x is readable for count rounded up to MC_CONV_SLACK. */
typedef struct {
    const float *x, *w, *bias;
    const size_t *offset;
    float *y;
    size_t taps, filters, count;
    size_t w_stride, y_stride; /* from one f to the next */
} mc_conv_tile;

enum { MC_CONV_SLACK = 16 };

typedef struct {
    const char *name;
    void (*tile)(const mc_conv_tile *tile);
} mc_conv_kernels;

/* The best build for this processor; each that runs here, plain first, NULL past the end. Those
 * with fused multiply-add agree bit for bit; the plain one rounds each product too. */
const mc_conv_kernels *mc_conv_kernels_best(void);
const mc_conv_kernels *mc_conv_kernels_at(size_t i);

#endif
