/* The transpose of a convolution: each input is spread over the window that it would have been made
 * from. A product of matrices gives what every input sends to every tap, a piece of it at a time;
 * then the pieces are added up where they belong. */
#include "core/ckd.h"
#include "core/linalg.h"
#include "core/ops/conv_direct.h"
#include "core/ops/op_args_shared.h"
#include "core/ops/op_window_shared.h"

#include <string.h>

enum { PIECE = 128 * 1024 }; /* floats of a product */

/* A piece: some filters, and of the inputs some rows (depth and row as one) or a part of one. */
typedef struct {
    size_t taps, filters, rows, cols;
} plan;

static size_t fit(size_t one, size_t most)
{
    const size_t n = one > 0 ? PIECE / one : most;
    return n > most ? most : n > 0 ? n : 1;
}

static plan make_plan(const mc_conv *c)
{
    const mc_window *w = &c->window;
    plan p = {.taps = mc_window_volume(w->kernel)};
    p.cols = fit(p.taps, (size_t)w->out[2]);
    p.rows = p.cols < (size_t)w->out[2]
                 ? 1
                 : fit(p.taps * p.cols, (size_t)w->out[0] * (size_t)w->out[1]);
    p.filters = fit(p.taps * p.rows * p.cols, c->filters);
    return p;
}

size_t mc_conv_transpose_scratch(const mc_conv *conv)
{
    for (int i = 0; i < 3; i++) {
        if (conv->window.out[i] <= 0) return 0;
    }
    const plan p = make_plan(conv);
    return mc_arg_bytes(p.filters * p.taps * p.rows * p.cols, sizeof(float));
}

/* ---- adding up ---- */

typedef struct {
    const mc_window *window;
    size_t row, rows, col, cols; /* inputs of the piece */
} part;

/* What tap k of one filter got of a row of inputs, into the row of y. */
static void add_row(const part *t, int64_t k2, const float *from, float *y)
{
    const mc_window *w = t->window;
    const int64_t at = (int64_t)t->col * w->stride[2] + k2 * w->dilation[2] - w->pad_begin[2];
    size_t first, end;
    mc_window_inside(at, w->stride[2], w->in[2], t->cols, &first, &end);
    if (first == end) return;
    float *to = y + at + (int64_t)first * w->stride[2];
    const size_t n = end - first, step = (size_t)w->stride[2];
    from += first;
    if (step == 1)
        for (size_t j = 0; j < n; j++) to[j] += from[j];
    else
        for (size_t j = 0; j < n; j++) to[j * step] += from[j];
}

/* What one tap got of all rows of the piece. */
static void add_tap(const part *t, const int64_t k[3], const float *from, float *y)
{
    const mc_window *w = t->window;
    for (size_t r = 0; r < t->rows; r++) {
        const int64_t depth = (int64_t)(t->row + r) / w->out[1];
        const int64_t row = (int64_t)(t->row + r) % w->out[1];
        const int64_t z = depth * w->stride[0] + k[0] * w->dilation[0] - w->pad_begin[0];
        const int64_t at = row * w->stride[1] + k[1] * w->dilation[1] - w->pad_begin[1];
        if (z < 0 || z >= w->in[0] || at < 0 || at >= w->in[1]) continue;
        add_row(t, k[2], from + r * t->cols, y + (z * w->in[1] + at) * w->in[2]);
    }
}

static void add_filter(const part *t, const float *from, float *y)
{
    const mc_window *w = t->window;
    int64_t k[3];
    for (k[0] = 0; k[0] < w->kernel[0]; k[0]++)
        for (k[1] = 0; k[1] < w->kernel[1]; k[1]++)
            for (k[2] = 0; k[2] < w->kernel[2]; k[2]++, from += t->rows * t->cols)
                add_tap(t, k, from, y);
}

/* ---- pieces ---- */

typedef struct {
    const mc_conv *conv;
    const plan *plan;
    const float *x, *w; /* of the sample and group */
    float *y, *piece;
} image;

static void one_piece(const image *g, const part *t)
{
    const mc_conv *c = g->conv;
    const size_t taps = g->plan->taps, in = mc_window_volume(c->window.out),
                 out = mc_window_volume(c->window.in);
    const size_t n = t->rows * t->cols;
    for (size_t f = 0; f < c->filters; f += g->plan->filters) {
        const size_t left = c->filters - f;
        const size_t filters = left < g->plan->filters ? left : g->plan->filters;
        const mc_gemm_operand w = {g->w + f * taps, c->filters * taps, 1};
        const mc_gemm_operand x = {g->x + t->row * (size_t)c->window.out[2] + t->col, in, 0};
        mc_gemm(filters * taps, n, c->channels, w, x, 0.0f, g->piece, n);
        for (size_t i = 0; i < filters; i++)
            add_filter(t, g->piece + i * taps * n, g->y + (f + i) * out);
    }
}

static void one_image(const image *g)
{
    const mc_window *w = &g->conv->window;
    const size_t rows = (size_t)w->out[0] * (size_t)w->out[1], cols = (size_t)w->out[2];
    for (size_t row = 0; row < rows; row += g->plan->rows)
        for (size_t col = 0; col < cols; col += g->plan->cols) {
            const size_t down = rows - row, right = cols - col;
            const part t = {.window = w,
                            .row = row,
                            .rows = down < g->plan->rows ? down : g->plan->rows,
                            .col = col,
                            .cols = right < g->plan->cols ? right : g->plan->cols};
            one_piece(g, &t);
        }
}

static void lay_out_bias(const mc_conv *conv, const mc_conv_f32 *data)
{
    const size_t filters = conv->groups * conv->filters, area = mc_window_volume(conv->window.in);
    for (size_t i = 0; i < conv->samples * filters; i++) {
        const float bias = data->bias ? data->bias[i % filters] : 0.0f;
        for (size_t p = 0; p < area; p++) data->y[i * area + p] = bias;
    }
}

mc_status mc_conv_transpose_run(const mc_conv *conv, const mc_conv_f32 *data, mc_arena scratch,
                                mc_err *err)
{
    lay_out_bias(conv, data);
    const size_t in = conv->channels * mc_window_volume(conv->window.out);
    const size_t out = conv->filters * mc_window_volume(conv->window.in);
    if (in == 0 || out == 0) return MC_OK;
    const plan p = make_plan(conv);
    image g = {.conv = conv, .plan = &p};
    g.piece = MC_NEW_RAW(&scratch, float, p.filters *p.taps *p.rows *p.cols);
    if (!g.piece) return mc_no_room(err, "a piece of a transposed convolution");
    for (size_t s = 0; s < conv->samples; s++)
        for (size_t group = 0; group < conv->groups; group++) {
            const size_t at = s * conv->groups + group;
            g.x = data->x + at * in;
            g.w = data->w + group * conv->channels * conv->filters * p.taps;
            g.y = data->y + at * out;
            one_image(&g);
        }
    return MC_OK;
}
