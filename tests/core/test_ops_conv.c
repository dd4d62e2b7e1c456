/* Conv and ConvTranspose against the plain loops over a sweep of shapes and attributes, and what
 * must not change their bits. */
#include "core/ops/conv_direct.h"
#include "core/rng.h"
#include "tests/support/op_run.h"

#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <string.h>

/* ---- a sweep ---- */

enum { ROOM = 1 << 18, TRIES = 400 };

typedef struct {
    uint64_t stream, drawn;
} dice;

static int64_t roll(dice *d, uint64_t below)
{
    return (int64_t)mc_rng_below((mc_rng){11, d->stream}, d->drawn++, below);
}

/* A convolution, or (transposed) the one that it is the transpose of. */
typedef struct {
    mc_conv conv;
    int axes;
    int64_t added[3]; /* output_padding */
    bool bias;
} sample;

static bool draw_axis(dice *d, mc_window *w, int i, bool transposed, int64_t *added)
{
    w->kernel[i] = 1 + roll(d, roll(d, 8) == 0 ? 9 : 4);
    w->stride[i] = 1 + roll(d, 4);
    w->dilation[i] = 1 + roll(d, 3);
    w->pad_begin[i] = roll(d, 5);
    w->pad_end[i] = roll(d, 5);
    const int64_t reach = (w->kernel[i] - 1) * w->dilation[i] + 1;
    const int64_t pads = w->pad_begin[i] + w->pad_end[i];
    const int64_t size = 1 + roll(d, roll(d, 6) == 0 ? 150 : 20);
    *added = transposed ? roll(d, (uint64_t)w->stride[i]) : 0;
    if (transposed) {
        w->out[i] = size;
        w->in[i] = (size - 1) * w->stride[i] + reach + *added - pads;
        return w->in[i] > 0;
    }
    w->in[i] = size;
    w->out[i] = (size + pads - reach) / w->stride[i] + 1;
    return size + pads >= reach;
}

static size_t volume(const int64_t n[3])
{
    return (size_t)(n[0] * n[1] * n[2]);
}

/* False: it does not fit, or is too much work for a test. */
static bool draw_sample(dice *d, bool transposed, sample *s)
{
    mc_window w = {.axes = 3,
                   .kernel = {1, 1, 1},
                   .stride = {1, 1, 1},
                   .dilation = {1, 1, 1},
                   .in = {1, 1, 1},
                   .out = {1, 1, 1}};
    bool fits = true;
    *s = (sample){.axes = 1 + (int)roll(d, 3), .bias = roll(d, 2) == 0};
    for (int i = 3 - s->axes; i < 3; i++)
        fits = draw_axis(d, &w, i, transposed, &s->added[i]) && fits;
    s->conv = (mc_conv){.samples = (size_t)(1 + roll(d, 2)),
                        .groups = (size_t)(1 + roll(d, 3)),
                        .channels = (size_t)(1 + roll(d, 9)),
                        .filters = (size_t)(1 + roll(d, 20)),
                        .window = w};
    if (!fits) return false;
    const double planes = (double)(s->conv.samples * s->conv.groups * s->conv.filters);
    return planes * (double)(s->conv.channels * volume(w.kernel)) *
               (double)(volume(w.in) + volume(w.out)) <
           2e5;
}

static void set_ints(op_case *c, const char *name, const sample *s, const int64_t value[3])
{
    op_ints(c, name, (size_t)s->axes, value + 3 - s->axes);
}

static void set_attributes(op_case *c, const sample *s)
{
    const mc_window *w = &s->conv.window;
    int64_t pads[6];
    for (int i = 0; i < s->axes; i++) {
        pads[i] = w->pad_begin[3 - s->axes + i];
        pads[s->axes + i] = w->pad_end[3 - s->axes + i];
    }
    op_int(c, "group", (int64_t)s->conv.groups);
    op_ints(c, "pads", 2 * (size_t)s->axes, pads);
    set_ints(c, "strides", s, w->stride);
    set_ints(c, "dilations", s, w->dilation);
    set_ints(c, "kernel_shape", s, w->kernel);
    set_ints(c, "output_padding", s, s->added);
}

/* first x second x the axes of the sample */
static mc_nd tensor(const sample *s, size_t first, size_t second, const int64_t n[3], float *data)
{
    int64_t dim[5] = {(int64_t)first, (int64_t)second};
    memcpy(dim + 2, n + 3 - s->axes, (size_t)s->axes * sizeof *dim);
    return op_f32(2 + s->axes, dim, data);
}

static float x_data[ROOM], w_data[ROOM], b_data[ROOM], y_data[ROOM], x_abs[ROOM], w_abs[ROOM];
static float b_abs[ROOM], most[ROOM];

static void draw_numbers(dice *d, float *x, float *size, size_t n)
{
    cr_assert_lt(n, ROOM);
    for (size_t i = 0; i < n; i++) {
        x[i] = (float)roll(d, 1 << 20) / (1 << 19) - 1.0f;
        size[i] = fabsf(x[i]);
    }
}

/* A sum of n products in float is off by at most n roundings of the sum of their sizes. */
static void run_sample(const sample *s, bool transposed, dice *d)
{
    const mc_conv *c = &s->conv;
    const mc_window *w = &c->window;
    const size_t in = c->groups * c->channels, out = c->groups * c->filters;
    mc_nd x = tensor(s, c->samples, in, transposed ? w->out : w->in, x_data);
    mc_nd y = tensor(s, c->samples, out, transposed ? w->in : w->out, y_data);
    mc_nd weight = transposed ? tensor(s, in, c->filters, w->kernel, w_data)
                              : tensor(s, out, c->channels, w->kernel, w_data);
    mc_nd bias = op_f32(1, (int64_t[]){(int64_t)out}, b_data);
    draw_numbers(d, x_data, x_abs, x.count);
    draw_numbers(d, w_data, w_abs, weight.count);
    draw_numbers(d, b_data, b_abs, out);
    cr_assert_lt(y.count, ROOM);

    op_case o = op_begin(transposed ? "ConvTranspose" : "Conv", 11);
    set_attributes(&o, s);
    op_in(&o, x);
    op_const(&o, weight);
    if (s->bias) op_const(&o, bias);
    op_run(&o);
    void (*const plain)(const mc_conv *, const mc_nd *, const mc_nd *, const mc_nd *, mc_nd *) =
        transposed ? mc_conv_transpose_plain : mc_conv_plain;
    plain(c, &x, &weight, s->bias ? &bias : NULL, &y);
    const mc_nd *got = op_out(&o, 0);
    cr_assert(mc_nd_same_shape(got, &y));
    x.data = x_abs, weight.data = w_abs, bias.data = b_abs, y.data = most;
    plain(c, &x, &weight, s->bias ? &bias : NULL, &y);
    const double n = (double)(c->channels * volume(w->kernel) + 2);
    for (size_t i = 0; i < y.count; i++) {
        const double off = fabs((double)((const float *)got->data)[i] - (double)y_data[i]);
        cr_assert(off <= n * (double)FLT_EPSILON * (double)most[i], "off by %g at %zu", off, i);
    }
    op_end(&o);
}

static void sweep(bool transposed)
{
    size_t done = 0;
    for (uint64_t i = 0; i < TRIES; i++) {
        dice d = {.stream = 2 * i + transposed};
        sample s;
        if (!draw_sample(&d, transposed, &s)) continue;
        run_sample(&s, transposed, &d);
        done++;
    }
    cr_expect_gt(done, TRIES / 4, "%zu samples", done);
}

Test(conv, equals_plain_loops_in_every_shape)
{
    sweep(false);
}

Test(conv, transposed_equals_plain_loops_in_every_shape)
{
    sweep(true);
}

/* Large enough for several bands of rows, parts of rows, and rows that are shared or not. */
Test(conv, equals_plain_loops_in_every_kind_of_tile)
{
    static const struct {
        int64_t channels, filters, in[3], kernel[3], stride, dilation;
    } set[] = {
        {32, 2, {1, 48, 70}, {1, 3, 3}, 1, 1},  /* bands */
        {24, 1, {1, 1, 3000}, {1, 1, 5}, 1, 2}, /* parts of a row */
        {16, 2, {1, 40, 40}, {1, 3, 3}, 1, 12}, /* rows that few taps share */
        {8, 3, {5, 20, 20}, {3, 3, 3}, 2, 1},   /* depth */
        {64, 1, {1, 9, 130}, {1, 5, 3}, 3, 2},  /* strides between taps */
    };
    for (size_t i = 0; i < sizeof set / sizeof *set; i++) {
        dice d = {.stream = 1000 + i};
        mc_window w = {.axes = 3};
        for (int k = 0; k < 3; k++) {
            w.kernel[k] = set[i].kernel[k];
            w.stride[k] = k == 0 && w.kernel[0] == 1 ? 1 : set[i].stride;
            w.dilation[k] = w.kernel[k] == 1 ? 1 : set[i].dilation;
            w.pad_begin[k] = w.pad_end[k] = (w.kernel[k] - 1) * w.dilation[k] / 2;
            w.in[k] = set[i].in[k];
            w.out[k] = (w.in[k] - 1) / w.stride[k] + 1;
        }
        sample s = {.axes = 3, .bias = true};
        s.conv = (mc_conv){1, 1, (size_t)set[i].channels, (size_t)set[i].filters, w};
        run_sample(&s, false, &d);
    }
}

/* ---- builds of the innermost loops ---- */

Test(conv, builds_of_the_innermost_loops_agree)
{
    enum { TAPS = 29, FILTERS = 15, COUNT = 301, ROW = COUNT + MC_CONV_SLACK };
    static float first[FILTERS * COUNT], y[FILTERS * COUNT];
    size_t offset[TAPS];
    dice d = {.stream = 5000};
    draw_numbers(&d, x_data, x_abs, TAPS * ROW);
    draw_numbers(&d, w_data, w_abs, TAPS * FILTERS);
    for (size_t i = 0; i < TAPS; i++) offset[i] = (i * 7 % TAPS) * ROW;
    for (size_t filters = 1; filters <= FILTERS; filters++)
        for (size_t count = 1; count <= COUNT; count += 1 + count / 4)
            for (size_t build = 0; mc_conv_kernels_at(build); build++) {
                const mc_conv_tile tile = {.x = x_data,
                                           .w = w_data,
                                           .offset = offset,
                                           .y = build == 0 ? first : y,
                                           .taps = TAPS,
                                           .filters = filters,
                                           .count = count,
                                           .w_stride = TAPS,
                                           .y_stride = count};
                mc_conv_kernels_at(build)->tile(&tile);
                for (size_t i = 0; build > 0 && i < filters * count; i++)
                    cr_assert(fabsf(first[i] - y[i]) <= TAPS * FLT_EPSILON * TAPS, "%s, %zu x %zu",
                              mc_conv_kernels_at(build)->name, filters, count);
            }
}

Test(conv, builds_with_fused_multiply_add_give_the_same_bits)
{
    enum { TAPS = 50, FILTERS = 11, COUNT = 123 };
    static float y[8][FILTERS * COUNT];
    size_t offset[TAPS], builds = 0;
    dice d = {.stream = 6000};
    draw_numbers(&d, x_data, x_abs, TAPS + COUNT + MC_CONV_SLACK);
    draw_numbers(&d, w_data, w_abs, TAPS * FILTERS);
    for (size_t i = 0; i < TAPS; i++) offset[i] = i;
    for (; builds < 8 && mc_conv_kernels_at(builds); builds++) {
        const mc_conv_tile tile = {.x = x_data,
                                   .w = w_data,
                                   .bias = w_data,
                                   .offset = offset,
                                   .y = y[builds],
                                   .taps = TAPS,
                                   .filters = FILTERS,
                                   .count = COUNT,
                                   .w_stride = TAPS,
                                   .y_stride = COUNT};
        mc_conv_kernels_at(builds)->tile(&tile);
    }
    for (size_t i = 2; i < builds; i++) cr_expect(memcmp(y[1], y[i], sizeof y[1]) == 0);
}

/* ---- samples ---- */

/* Samples that stand together come out as each alone. */
Test(conv, does_not_depend_on_the_other_samples)
{
    enum { N = 3, IN = 4 * 11 * 13, OUT = 5 * 11 * 13 };
    dice d = {.stream = 7000};
    draw_numbers(&d, x_data, x_abs, N * IN);
    draw_numbers(&d, w_data, w_abs, 5 * 4 * 9);
    static float all[N * OUT];
    for (int64_t alone = 0; alone < 2; alone++)
        for (size_t i = 0; i < (alone ? N : 1); i++) {
            op_case c = op_begin("Conv", 11);
            op_text(&c, "auto_pad", "SAME_UPPER");
            op_in(&c, op_f32(4, (int64_t[]){alone ? 1 : N, 4, 11, 13}, x_data + i * IN));
            op_const(&c, op_f32(4, (int64_t[]){5, 4, 3, 3}, w_data));
            op_run(&c);
            const float *y = op_out(&c, 0)->data;
            if (alone)
                cr_expect(memcmp(all + i * OUT, y, OUT * sizeof *y) == 0, "sample %zu", i);
            else
                memcpy(all, y, sizeof all);
            op_end(&c);
        }
}
