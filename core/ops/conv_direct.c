/* Convolution in tiles of one sample, one group and a band of output rows.
 *
 * A tile's inputs are copied into a buffer in which every tap of the kernel reads a run of
 * neighbours: the taps along the last axis (and the first of three) get a copy each, shifted; the
 * taps along the middle one share rows, so that a tap is an offset into the buffer. (Where few rows
 * would be shared, as with wide dilations, those taps get copies as well.) Then outputs are sums
 * over taps of weight times run, which conv_kernels.c computes. Copying three times instead of nine
 * is what this saves over im2col for a 3 x 3 kernel; strides and pads end in the copy. */
#include "core/ckd.h"
#include "core/ops/conv_direct.h"
#include "core/ops/op_args_shared.h"
#include "core/ops/op_window_shared.h"

#include <string.h>

enum {
    BUFFER =
        96 * 1024, /* floats that a tile's inputs should take: less than a second-level cache */
    LEAST = 96,    /* outputs of a row that are worth a tile, whatever it takes */
};

/* Sizes of tiles, and where taps find their rows. Axes 0 (depth), 1 (row), 2 (column). */
typedef struct {
    size_t rows, cols; /* outputs of a tile */
    size_t planes;     /* copies: channels x kernel depth x kernel width */
    size_t period;     /* taps of the middle axis k and k + period share rows */
    size_t reach;      /* rows that sharing adds to a tile's */
    size_t taps;
    bool spread; /* no sharing */
} plan;

static size_t gcd(size_t a, size_t b)
{
    while (b != 0) {
        const size_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static size_t times(size_t a, size_t b)
{
    size_t out;
    return mc_mul_size(a, b, &out) ? out : SIZE_MAX;
}

static size_t least_of(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Rows of the buffer that a plane has for tiles of `rows`. */
static size_t slots(const plan *p, size_t rows)
{
    return times(p->period, rows + p->reach);
}

/* The most rows of a tile whose inputs fit the buffer. */
static size_t rows_that_fit(const plan *p, size_t row_floats)
{
    const size_t room = BUFFER / (row_floats > 0 ? row_floats : 1) / p->period;
    return room > p->reach ? room - p->reach : 0;
}

static plan shared_rows(const mc_conv *c)
{
    const size_t kernel = (size_t)c->window.kernel[1], stride = (size_t)c->window.stride[1];
    const size_t dilation = (size_t)c->window.dilation[1];
    return (plan){.period = least_of(kernel, stride / gcd(stride, dilation)),
                  .reach = times(kernel - 1, dilation) / stride};
}

static plan make_plan(const mc_conv *c)
{
    const mc_window *w = &c->window;
    const size_t kernel = (size_t)w->kernel[1];
    const size_t out_rows = (size_t)w->out[1], out_cols = (size_t)w->out[2];
    const size_t planes = times(times(c->channels, (size_t)w->kernel[0]), (size_t)w->kernel[2]);
    plan p = shared_rows(c);
    const plan spread = {.period = kernel, .spread = true};
    const size_t row_floats = times(planes, out_cols);
    if (rows_that_fit(&p, row_floats) <= rows_that_fit(&spread, row_floats)) p = spread;
    p.planes = planes;
    p.taps = times(planes, kernel);

    size_t rows = rows_that_fit(&p, row_floats);
    const size_t least = (LEAST + out_cols - 1) / out_cols;
    rows = least_of(rows > least ? rows : least, out_rows);
    p.cols = out_cols;
    if (rows == 1 && times(row_floats, slots(&p, 1)) > BUFFER) {
        const size_t fit = BUFFER / p.taps / LEAST * LEAST;
        p.cols = least_of(fit > LEAST ? fit : LEAST, out_cols);
    }
    const size_t bands = (out_rows + rows - 1) / rows;
    p.rows = (out_rows + bands - 1) / bands;
    if (slots(&p, p.rows) > times(kernel, p.rows)) {
        p.period = kernel;
        p.reach = 0;
        p.spread = true;
    }
    return p;
}

static size_t buffer_floats(const plan *p)
{
    const size_t floats = times(times(p->planes, p->cols), slots(p, p->rows));
    return floats < SIZE_MAX - MC_CONV_SLACK ? floats + MC_CONV_SLACK : SIZE_MAX;
}

size_t mc_conv_scratch(const mc_conv *conv)
{
    for (int i = 0; i < 3; i++) {
        if (conv->window.out[i] <= 0) return 0;
    }
    const plan p = make_plan(conv);
    return mc_arg_plus(mc_arg_bytes(buffer_floats(&p), sizeof(float)),
                       mc_arg_bytes(p.taps, sizeof(size_t)));
}

/* ---- copying ---- */

typedef struct {
    const mc_window *window;
    const plan *plan;
    const float *x;         /* of the group: channels x in */
    size_t depth, row, col; /* of the tile's first output */
    size_t rows, cols;      /* of this tile, which may be a last one */
} tile;

/* The columns of a plane: output j sees input at + j * stride, a pad unless from <= j < end. */
typedef struct {
    int64_t at;
    size_t stride, from, end;
} columns;

static void copy_row(const float *x, const columns *c, float *to, size_t n)
{
    for (size_t j = 0; j < c->from; j++) to[j] = 0.0f;
    for (size_t j = c->end; j < n; j++) to[j] = 0.0f;
    if (c->from == c->end) return;
    const float *first = x + c->at + (int64_t)(c->from * c->stride);
    const size_t inner = c->end - c->from;
    to += c->from;
    if (c->stride == 1)
        memcpy(to, first, inner * sizeof *to);
    else if (c->stride == 2)
        for (size_t j = 0; j < inner; j++) to[j] = first[j * 2];
    else
        for (size_t j = 0; j < inner; j++) to[j] = first[j * c->stride];
}

/* The same for `rows` rows that follow each other in x and whose outputs are as wide as inputs: one
 * copy, shifted, in which the ends of rows then become the pad. */
static void copy_shifted(const float *x, int64_t at, size_t width, float *to, size_t rows)
{
    const size_t n = rows * width;
    const size_t skip = least_of((size_t)(at < 0 ? -at : at), width);
    const size_t kept = n > skip ? n - skip : 0;
    if (at < 0) {
        memcpy(to + (n - kept), x, kept * sizeof *to);
        for (size_t r = 0; r < rows; r++)
            for (size_t j = 0; j < skip; j++) to[r * width + j] = 0.0f;
    } else {
        memcpy(to, x + skip, kept * sizeof *to);
        for (size_t r = 0; r < rows; r++)
            for (size_t j = width - skip; j < width; j++) to[r * width + j] = 0.0f;
    }
}

/* `rows` rows of outputs whose first input row is `y`. */
static void copy_rows(const tile *t, const float *x, int64_t y, const columns *c, float *to)
{
    const mc_window *w = t->window;
    const size_t rows = t->rows + t->plan->reach;
    size_t from, end;
    mc_window_inside(y, w->stride[1], w->in[1], rows, &from, &end);
    memset(to, 0, from * t->cols * sizeof *to);
    memset(to + end * t->cols, 0, (rows - end) * t->cols * sizeof *to);
    if (from == end) return;
    const int64_t first = y + (int64_t)from * w->stride[1];
    if (w->stride[1] == 1 && w->stride[2] == 1 && t->cols == (size_t)w->in[2]) {
        copy_shifted(x + first * w->in[2], c->at, t->cols, to + from * t->cols, end - from);
        return;
    }
    for (size_t r = from; r < end; r++) {
        const int64_t row = y + (int64_t)r * w->stride[1];
        copy_row(x + row * w->in[2], c, to + r * t->cols, t->cols);
    }
}

/* One plane: what kernel column k2 sees of an input plane. */
static void copy_plane(const tile *t, const float *x, int64_t k2, float *to)
{
    const mc_window *w = t->window;
    columns c = {.stride = (size_t)w->stride[2]};
    c.at = (int64_t)t->col * w->stride[2] + k2 * w->dilation[2] - w->pad_begin[2];
    mc_window_inside(c.at, w->stride[2], w->in[2], t->cols, &c.from, &c.end);
    for (size_t i = 0; i < t->plan->period; i++) {
        const int64_t k1 = (int64_t)i * w->dilation[1];
        const int64_t y = (int64_t)t->row * w->stride[1] - w->pad_begin[1] +
                          (t->plan->spread ? k1 : k1 % w->stride[1]);
        copy_rows(t, x, y, &c, to);
        to += (t->rows + t->plan->reach) * t->cols;
    }
}

static void copy_tile(const tile *t, size_t channels, float *to)
{
    const mc_window *w = t->window;
    const size_t area = (size_t)w->in[1] * (size_t)w->in[2];
    const size_t plane = slots(t->plan, t->rows) * t->cols;
    for (size_t c = 0; c < channels; c++)
        for (int64_t k0 = 0; k0 < w->kernel[0]; k0++) {
            const int64_t z =
                (int64_t)t->depth * w->stride[0] + k0 * w->dilation[0] - w->pad_begin[0];
            const bool there = area > 0 && z >= 0 && z < w->in[0];
            for (int64_t k2 = 0; k2 < w->kernel[2]; k2++, to += plane) {
                if (there)
                    copy_plane(t, t->x + (c * (size_t)w->in[0] + (size_t)z) * area, k2, to);
                else
                    memset(to, 0, plane * sizeof *to);
            }
        }
    memset(to, 0, MC_CONV_SLACK * sizeof *to);
}

/* Where each tap's run begins, in the order of the weights: channel, depth, row, column. */
static void find_taps(const mc_conv *conv, const tile *t, size_t *offset)
{
    const mc_window *w = &conv->window;
    const size_t kernel0 = (size_t)w->kernel[0], kernel1 = (size_t)w->kernel[1];
    const size_t kernel2 = (size_t)w->kernel[2], stride = (size_t)w->stride[1];
    const size_t rows = t->rows + t->plan->reach, plane = t->plan->period * rows * t->cols;
    for (size_t c0 = 0; c0 < conv->channels * kernel0; c0++)
        for (size_t k1 = 0; k1 < kernel1; k1++) {
            const size_t down = t->plan->spread ? 0 : k1 * (size_t)w->dilation[1] / stride;
            const size_t at = ((k1 % t->plan->period) * rows + down) * t->cols;
            for (size_t k2 = 0; k2 < kernel2; k2++) *offset++ = (c0 * kernel2 + k2) * plane + at;
        }
}

/* ---- the loops over tiles ---- */

typedef struct {
    const mc_conv *conv;
    const plan *plan;
    mc_conv_tile tile; /* of the sample and group; x is the buffer */
    const float *x;
    float *buffer;
    size_t *offset;
} image;

static void one_tile(const image *g, size_t depth, size_t row, size_t col)
{
    const mc_window *w = &g->conv->window;
    const size_t out_rows = (size_t)w->out[1], out_cols = (size_t)w->out[2];
    const tile t = {.window = w,
                    .plan = g->plan,
                    .x = g->x,
                    .depth = depth,
                    .row = row,
                    .col = col,
                    .rows = least_of(g->plan->rows, out_rows - row),
                    .cols = least_of(g->plan->cols, out_cols - col)};
    copy_tile(&t, g->conv->channels, g->buffer);
    if (col == 0 || t.cols != g->plan->cols || t.rows != g->plan->rows)
        find_taps(g->conv, &t, g->offset);
    mc_conv_tile run = g->tile;
    run.count = t.rows * t.cols;
    run.y += (depth * out_rows + row) * out_cols + col;
    mc_conv_kernels_best()->tile(&run);
}

static void one_image(const image *g)
{
    const mc_window *w = &g->conv->window;
    for (size_t depth = 0; depth < (size_t)w->out[0]; depth++)
        for (size_t row = 0; row < (size_t)w->out[1]; row += g->plan->rows)
            for (size_t col = 0; col < (size_t)w->out[2]; col += g->plan->cols)
                one_tile(g, depth, row, col);
}

mc_status mc_conv_run(const mc_conv *conv, const mc_conv_f32 *data, mc_arena scratch, mc_err *err)
{
    const size_t in = mc_window_volume(conv->window.in), out = mc_window_volume(conv->window.out);
    if (conv->samples == 0 || conv->filters == 0 || out == 0) return MC_OK;
    const plan p = make_plan(conv);
    image g = {.conv = conv, .plan = &p};
    g.buffer = MC_NEW_RAW(&scratch, float, buffer_floats(&p));
    g.offset = MC_NEW_RAW(&scratch, size_t, p.taps);
    if (!g.buffer || !g.offset) return mc_no_room(err, "a tile of a convolution");

    g.tile = (mc_conv_tile){.x = g.buffer, .offset = g.offset, .taps = p.taps};
    g.tile.filters = conv->filters;
    g.tile.w_stride = p.taps;
    g.tile.y_stride = out;
    for (size_t s = 0; s < conv->samples; s++)
        for (size_t group = 0; group < conv->groups; group++) {
            const size_t at = s * conv->groups + group;
            if (conv->channels * in > 0) g.x = data->x + at * conv->channels * in;
            g.tile.w = p.taps > 0 ? data->w + group * conv->filters * p.taps : g.buffer;
            g.tile.bias = data->bias ? data->bias + group * conv->filters : NULL;
            g.tile.y = data->y + at * conv->filters * out;
            one_image(&g);
        }
    return MC_OK;
}
