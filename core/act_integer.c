/* Sites in integers: 8-bit codes of activations times codes of weights.
 *
 * Both are whole numbers that lie in floats: a sum of EXACT products stays below 2^24, so that the
 * float product of two matrices is exact, in any order; longer groups add up such sums in double,
 * and so do zero points and integer biases. Outputs are worked on some at a time, rows too. A
 * convolution is the same over the windows of a sample, gathered as rows. */
#include "core/act.h"

#include "core/ckd.h"
#include "core/linalg.h"

#include <math.h>
#include <string.h>

enum {
    ROWS = 1024,  /* worked on at one time */
    OUTPUTS = 64, /* the same */
    EXACT = 512,  /* 128 * 255 * EXACT < 2^24 */
};

/* ---- which calls ---- */

static bool is_plain_gemm(const mc_node *n)
{
    return mc_node_float(n, "alpha", 1.0) == 1.0 && mc_node_float(n, "beta", 1.0) == 1.0 &&
           mc_node_int(n, "transA", 0) == 0;
}

static bool knows_node(const mc_site *site, const mc_call *call)
{
    const mc_node *n = call->node;
    const mc_nd *x = call->in[0], *w = call->ins > 1 ? call->in[1] : NULL;
    if (site->activation_input != 0 || !w || x->dtype != MC_F32) return false;
    if (site->scaled || site->part) return false; /* its numbers are not those of the codes */
    if (mc_node_is(n, "", "Conv")) return x->ndim >= 3 && x->ndim <= 5 && w->ndim == x->ndim;
    if (w->ndim != 2) return false; /* a batch of matrices is no site in integers */
    if (mc_node_is(n, MC_DOMAIN, "Linear")) return x->ndim >= 1;
    if (mc_node_is(n, "", "MatMul")) return x->ndim >= 2;
    return mc_node_is(n, "", "Gemm") && is_plain_gemm(n);
}

static const mc_weight_spec *spec_of(const mc_act_site *s)
{
    const mc_weights *w = s->weights;
    return w && w->quantized ? w->quantized(w, s->site->weight) : NULL;
}

/* Outputs and inputs of the matrix that the node multiplies by. */
static bool matrix_of(const mc_act_site *s, const mc_call *call, size_t *outputs, size_t *inputs)
{
    const mc_nd *y = call->out[0];
    if (!y || y->ndim < 1) return false;
    const bool conv = s->site->kind == MC_SITE_CONV;
    const int64_t last = conv ? y->dim[1] : y->dim[y->ndim - 1];
    if (last <= 0) return false;
    *outputs = (size_t)last;
    *inputs = (size_t)(s->site->weight->count / *outputs);
    return *inputs * *outputs == s->site->weight->count;
}

/* The most that n products of an activation (less its zero) and a weight (less its own) add up
 * to, as far as formats say. */
static double most_of(const mc_act_spec *a, const mc_weight_spec *w, size_t n)
{
    const unsigned bits = w->grid.levels->bits;
    const int code = a->asymmetric ? (1 << a->bits) - 1 : (1 << (a->bits - 1)) - 1;
    const int weight = w->grid.offset == MC_OFFSET_NONE ? 1 << (bits - 1) : (1 << bits) - 1;
    return (double)n * (double)code * (double)weight;
}

bool mc_act_integer_fits(const mc_act_site *s, const mc_call *call)
{
    size_t outputs, inputs;
    const mc_weight_spec *w = spec_of(s);
    const mc_act_spec *a = s->act;
    if (a->mode == MC_ACT_FLOAT || a->bits > 8 || a->scales > 1) return false;
    if (!w || !knows_node(s->site, call) || w->grid.levels->value) return false;
    if (!matrix_of(s, call, &outputs, &inputs)) return false;
    if (most_of(a, w, w->group ? (size_t)w->group : inputs) > INT32_MAX) return false;
    return w->transposed == s->site->transposed && w->rows == outputs && w->cols == inputs;
}

/* ---- one product of matrices ---- */

/* Rows of activations times some outputs of the weight. */
typedef struct {
    const mc_act_site *site;
    const mc_weight_spec *weight;
    size_t rows, inputs, first, outputs; /* outputs [first, first + outputs) of the weight */

    /* Codes of rows [from, from + n), and what they mean. */
    void (*fill)(const void *of, size_t from, size_t n, float *code, mc_act_grid *grid);
    const void *of;

    const float *bias; /* or NULL; of row t and output o: bias[t * bias_row + o * bias_col] */
    size_t bias_row, bias_col;
    float *y; /* the same way */
    size_t y_row, y_col;
} product;

/* Where it is worked on. */
typedef struct {
    size_t group, groups;
    float *code;           /* ROWS x inputs, of activations */
    mc_act_grid *grid;     /* ROWS */
    float *weight;         /* OUTPUTS x inputs: differences u - z */
    float *scale, *offset; /* groups x OUTPUTS */
    double *total;         /* the same: sums of the weights */
    double *bias;          /* OUTPUTS, whole numbers */
    float *late_bias;      /* the same, of those that do not fit */
    float *part, *sum;     /* ROWS x OUTPUTS */
    double *whole;         /* the same, where groups are longer than EXACT */
} bench;

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t group_of(const product *p)
{
    return p->weight->group > 0 ? (size_t)p->weight->group : p->inputs;
}

static bool open_bench(const product *p, mc_arena *mem, bench *b)
{
    const size_t rows = least(p->rows, ROWS), group = group_of(p);
    *b = (bench){.group = group, .groups = p->inputs / group};
    b->code = MC_NEW_RAW(mem, float, rows * p->inputs);
    b->grid = MC_NEW_RAW(mem, mc_act_grid, rows);
    b->weight = MC_NEW_RAW(mem, float, OUTPUTS * p->inputs);
    b->scale = MC_NEW_RAW(mem, float, OUTPUTS * b->groups);
    b->offset = MC_NEW_RAW(mem, float, OUTPUTS * b->groups);
    b->total = MC_NEW_RAW(mem, double, OUTPUTS * b->groups);
    b->bias = MC_NEW_RAW(mem, double, OUTPUTS);
    b->late_bias = MC_NEW_RAW(mem, float, OUTPUTS);
    b->part = MC_NEW_RAW(mem, float, rows *OUTPUTS);
    b->sum = MC_NEW_RAW(mem, float, rows *OUTPUTS);
    b->whole = group > EXACT ? MC_NEW_RAW(mem, double, rows *OUTPUTS) : NULL;
    return b->code && b->grid && b->weight && b->scale && b->offset && b->total && b->bias &&
           b->late_bias && b->part && b->sum && (b->whole || group <= EXACT);
}

static size_t bench_bytes(const product *p)
{
    const size_t rows = least(p->rows, ROWS), group = group_of(p);
    const size_t groups = p->inputs / group;
    const size_t floats = rows * (p->inputs + 2 * OUTPUTS) + OUTPUTS * (p->inputs + 2 * groups + 1);
    const size_t doubles = OUTPUTS * (groups + 1) + (group > EXACT ? rows * OUTPUTS : 0);
    return floats * sizeof(float) + doubles * sizeof(double) + rows * sizeof(mc_act_grid);
}

/* Outputs [first, first + n) of the weight, from codes that begin at place `at` of q (one scale may
 * serve the whole matrix). */
static void unpack(const mc_qmat *q, size_t at, size_t inputs, size_t n, bench *b)
{
    for (size_t o = 0; o < n; o++)
        for (size_t g = 0; g < b->groups; g++) {
            const size_t from = at + o * inputs + g * b->group;
            const mc_params p = q->params[from / q->group];
            float *to = b->weight + o * inputs + g * b->group;
            b->scale[g * OUTPUTS + o] = p.scale;
            b->offset[g * OUTPUTS + o] = p.offset;
            int64_t total = 0;
            for (size_t i = 0; i < b->group; i++) {
                const int u = (int)q->code[from + i] - (int)p.zero;
                to[i] = (float)u;
                total += u;
            }
            b->total[g * OUTPUTS + o] = (double)total;
        }
}

static bool bias_is_whole(const product *p)
{
    return p->bias && p->bias_row == 0 && p->site->act->mode == MC_ACT_STATIC &&
           group_of(p) == p->inputs && p->weight->grid.offset != MC_OFFSET_FREE;
}

/* A bias in units of the sums that it is added to, as a whole number where it fits beside them. */
static bool bias_code(const product *p, float bias, float weight_scale, double *code, double *unit)
{
    const double room = (double)INT32_MAX - most_of(p->site->act, p->weight, p->inputs);
    *unit = (double)p->site->act->scale[0] * (double)weight_scale;
    *code = rint((double)bias / *unit);
    return fabs(*code) <= room;
}

/* Biases of outputs [col, col + n) of this product as whole numbers, as far as they fit. */
static void take_bias(const product *p, size_t col, size_t n, bench *b)
{
    const bool whole = bias_is_whole(p);
    for (size_t o = 0; o < n; o++) {
        const float bias = whole ? p->bias[(col + o) * p->bias_col] : 0.0f;
        double code = 0.0, unit;
        const bool fits = !whole || bias_code(p, bias, b->scale[o], &code, &unit);
        b->bias[o] = fits ? code : 0.0;
        b->late_bias[o] = fits ? 0.0f : bias;
    }
}

static mc_status load(const product *p, size_t first, size_t n, mc_arena scratch, bench *b,
                      mc_err *err)
{
    mc_qmat q;
    const mc_weights *w = p->site->weights;
    const bool whole = p->weight->group == 0;
    MC_TRY(w->codes(w, p->site->site->weight, whole ? 0 : first, whole ? 1 : n, &scratch, &q, err));
    unpack(&q, whole ? first * p->inputs : 0, p->inputs, n, b);
    take_bias(p, first - p->first, n, b);
    return MC_OK;
}

/* part[rows x n]: products over `count` places from `from` on; exact. */
static void multiply(const product *p, const bench *b, size_t rows, size_t n, size_t from,
                     size_t count)
{
    const mc_gemm_operand a = {b->code + from, p->inputs, 0};
    const mc_gemm_operand w = {b->weight + from, p->inputs, 1};
    mc_gemm(rows, n, count, a, w, 0.0f, b->part, OUTPUTS);
}

/* part: zero points off the whole sums of a group, biases on them, and rounded once. */
static void finish_group(const product *p, const bench *b, size_t rows, size_t n, size_t g)
{
    const bool long_group = b->group > EXACT, biased = bias_is_whole(p);
    const double *total = b->total + g * OUTPUTS;
    for (size_t t = 0; t < rows; t++) {
        const double zero = (double)b->grid[t].zero;
        float *part = b->part + t * OUTPUTS;
        if (!long_group && !biased && zero == 0.0) continue;
        for (size_t o = 0; o < n; o++) {
            const double sum = long_group ? b->whole[t * OUTPUTS + o] : (double)part[o];
            part[o] = (float)(sum - zero * total[o] + b->bias[o]);
        }
    }
}

static void multiply_group(const product *p, const bench *b, size_t rows, size_t n, size_t g)
{
    const size_t from = g * b->group;
    if (b->group <= EXACT) {
        multiply(p, b, rows, n, from, b->group);
        finish_group(p, b, rows, n, g);
        return;
    }
    memset(b->whole, 0, rows * OUTPUTS * sizeof *b->whole);
    for (size_t i = 0; i < b->group; i += EXACT) {
        multiply(p, b, rows, n, from + i, least(EXACT, b->group - i));
        for (size_t t = 0; t < rows; t++)
            for (size_t o = 0; o < n; o++)
                b->whole[t * OUTPUTS + o] += (double)b->part[t * OUTPUTS + o];
    }
    finish_group(p, b, rows, n, g);
}

/* sum += scale * part, and the offset for every code of the row. */
static void add_group(const product *p, const bench *b, size_t rows, size_t n, size_t g)
{
    const float *scale = b->scale + g * OUTPUTS, *offset = b->offset + g * OUTPUTS;
    const bool has_offset = p->weight->grid.offset == MC_OFFSET_FREE;
    for (size_t t = 0; t < rows; t++) {
        const float *part = b->part + t * OUTPUTS;
        float *sum = b->sum + t * OUTPUTS;
        for (size_t o = 0; o < n; o++) sum[o] += scale[o] * part[o];
        if (!has_offset) continue;
        const float *code = b->code + t * p->inputs + g * b->group;
        double total = -(double)b->group * (double)b->grid[t].zero;
        for (size_t i = 0; i < b->group; i++) total += (double)code[i];
        const float all = (float)total;
        for (size_t o = 0; o < n; o++) sum[o] += offset[o] * all;
    }
}

static void store(const product *p, const bench *b, size_t from, size_t rows, size_t first,
                  size_t n)
{
    const bool whole = bias_is_whole(p);
    for (size_t t = 0; t < rows; t++)
        for (size_t o = 0; o < n; o++) {
            const size_t row = from + t, col = first - p->first + o;
            const float bias = p->bias ? p->bias[row * p->bias_row + col * p->bias_col] : 0.0f;
            const float add = whole ? b->late_bias[o] : bias;
            p->y[row * p->y_row + col * p->y_col] =
                b->grid[t].scale * b->sum[t * OUTPUTS + o] + add;
        }
}

static mc_status run_product(const product *p, mc_arena mem, mc_err *err)
{
    bench b;
    if (!open_bench(p, &mem, &b)) return mc_no_room(err, "an activation in integers");
    for (size_t from = 0; from < p->rows; from += ROWS) {
        const size_t rows = least(ROWS, p->rows - from), end = p->first + p->outputs;
        p->fill(p->of, from, rows, b.code, b.grid);
        for (size_t first = p->first; first < end; first += OUTPUTS) {
            const size_t n = least(OUTPUTS, end - first);
            MC_TRY(load(p, first, n, mem, &b, err));
            memset(b.sum, 0, rows * OUTPUTS * sizeof *b.sum);
            for (size_t g = 0; g < b.groups; g++) {
                multiply_group(p, &b, rows, n, g);
                add_group(p, &b, rows, n, g);
            }
            store(p, &b, from, rows, first, n);
        }
    }
    return MC_OK;
}

static mc_status not_fitting(mc_err *err)
{
    return mc_fail(err, MC_E_INTERNAL, "a site that does not fit integers");
}

/* ---- matrices ---- */

typedef struct {
    const mc_act_spec *act;
    const float *x;
    size_t cols;
    int8_t *narrow; /* of one row */
} tokens;

static void fill_tokens(const void *of, size_t from, size_t n, float *code, mc_act_grid *grid)
{
    const tokens *k = of;
    for (size_t t = 0; t < n; t++, code += k->cols) {
        grid[t] = mc_act_codes(k->act, k->x + (from + t) * k->cols, k->cols, k->narrow);
        for (size_t i = 0; i < k->cols; i++) code[i] = (float)k->narrow[i];
    }
}

/* Gemm's bias may have any shape that spreads over rows x outputs. */
static void place_bias(const mc_nd *bias, product *p)
{
    if (!bias) return;
    const size_t rows = bias->ndim == 2 ? (size_t)bias->dim[0] : 1;
    const size_t cols = bias->ndim > 0 ? (size_t)bias->dim[bias->ndim - 1] : 1;
    p->bias = bias->data;
    p->bias_row = rows > 1 ? cols : 0;
    p->bias_col = cols > 1 ? 1 : 0;
}

static bool plan_matrix(const mc_act_site *s, const mc_call *call, product *p)
{
    *p = (product){.site = s, .weight = spec_of(s), .fill = fill_tokens, .y_col = 1};
    if (!p->weight || !matrix_of(s, call, &p->outputs, &p->inputs)) return false;
    p->rows = call->in[0]->count / p->inputs;
    p->y = call->out[0]->data;
    p->y_row = p->outputs;
    place_bias(call->ins > 2 ? call->in[2] : NULL, p);
    return true;
}

static mc_status run_matrix(const mc_act_site *s, const mc_call *call, mc_err *err)
{
    product p;
    mc_arena mem = call->scratch;
    if (!plan_matrix(s, call, &p)) return not_fitting(err);
    const tokens rows = {s->act, call->in[0]->data, p.inputs, MC_NEW_RAW(&mem, int8_t, p.inputs)};
    if (!rows.narrow) return mc_no_room(err, "an activation in integers");
    p.of = &rows;
    return run_product(&p, mem, err);
}

/* ---- convolutions ---- */

typedef struct {
    mc_window window;
    size_t channels;    /* of one group */
    size_t spatial;     /* elements of a channel */
    const int8_t *code; /* of the first of these channels, in one sample */
    mc_act_grid grid;   /* of the sample */
} windows;

/* The codes that the kernel sees at output position `p`, in the order of the weight's columns;
 * outside the input they mean 0. */
static void gather(const windows *x, size_t p, float *row)
{
    const mc_window *w = &x->window;
    const float padding = (float)x->grid.zero;
    int64_t at[3] = {0, 0, 0};
    size_t taps = 1;
    for (int i = w->axes; i-- > 0;) {
        at[i] = (int64_t)(p % (size_t)w->out[i]) * w->stride[i] - w->pad_begin[i];
        p /= (size_t)w->out[i];
        taps *= (size_t)w->kernel[i];
    }
    for (size_t k = 0; k < taps; k++) {
        size_t left = k, place = 0, stride = 1;
        bool inside = true;
        for (int i = w->axes; i-- > 0;) {
            const int64_t to = at[i] + (int64_t)(left % (size_t)w->kernel[i]) * w->dilation[i];
            left /= (size_t)w->kernel[i];
            inside = inside && to >= 0 && to < w->in[i];
            place += inside ? (size_t)to * stride : 0;
            stride *= (size_t)w->in[i];
        }
        for (size_t c = 0; c < x->channels; c++)
            row[c * taps + k] = inside ? (float)x->code[c * x->spatial + place] : padding;
    }
}

static void fill_windows(const void *of, size_t from, size_t n, float *code, mc_act_grid *grid)
{
    const windows *x = of;
    size_t taps = 1;
    for (int i = 0; i < x->window.axes; i++) taps *= (size_t)x->window.kernel[i];
    for (size_t t = 0; t < n; t++) {
        gather(x, from + t, code + t * x->channels * taps);
        grid[t] = x->grid;
    }
}

static bool plan_conv(const mc_act_site *s, const mc_call *call, product *p, size_t *groups)
{
    const mc_nd *y = call->out[0];
    *p = (product){.site = s, .weight = spec_of(s), .fill = fill_windows, .y_row = 1};
    const int64_t group = mc_node_int(call->node, "group", 1);
    if (!p->weight || !matrix_of(s, call, &p->outputs, &p->inputs) || group < 1) return false;
    *groups = (size_t)group;
    if (call->in[0]->dim[1] % group || y->dim[1] % group) return false;
    p->outputs /= *groups;
    p->rows = mc_nd_span(y, 2, y->ndim);
    p->y_col = p->rows;
    return true;
}

/* One sample, whose codes lie at x->code; `y` is where its outputs go. */
static mc_status run_sample(const mc_call *call, product p, windows x, float *y, mc_arena mem,
                            mc_err *err)
{
    const mc_nd *bias = call->ins > 2 ? call->in[2] : NULL;
    const size_t outputs = mc_nd_span(call->out[0], 1, 2);
    p.of = &x;
    p.bias_col = 1;
    for (p.first = 0; p.first < outputs; p.first += p.outputs) {
        p.y = y + p.first * p.rows;
        p.bias = bias ? (const float *)bias->data + p.first : NULL;
        MC_TRY(run_product(&p, mem, err));
        x.code += x.channels * x.spatial;
    }
    return MC_OK;
}

static mc_status run_conv(const mc_act_site *s, const mc_call *call, mc_err *err)
{
    product p;
    size_t groups;
    windows x = {.channels = 0};
    mc_arena mem = call->scratch;
    const mc_nd *in = call->in[0];
    if (!plan_conv(s, call, &p, &groups)) return not_fitting(err);
    MC_TRY(mc_op_window(call, in, call->in[1]->dim + 2, &x.window, err));
    const size_t sample = mc_nd_span(in, 1, in->ndim), samples = (size_t)in->dim[0];
    int8_t *code = MC_NEW_RAW(&mem, int8_t, sample);
    if (!code) return mc_no_room(err, "a convolution in integers");
    x.channels = mc_nd_span(in, 1, 2) / groups;
    x.spatial = mc_nd_span(in, 2, in->ndim);
    x.code = code;
    for (size_t n = 0; n < samples; n++) {
        float *y =
            (float *)call->out[0]->data + n * mc_nd_span(call->out[0], 1, call->out[0]->ndim);
        x.grid = mc_act_codes(s->act, (const float *)in->data + n * sample, sample, code);
        MC_TRY(run_sample(call, p, x, y, mem, err));
    }
    return MC_OK;
}

/* ---- both ---- */

mc_status mc_act_integer_run(const mc_act_site *s, const mc_call *call, mc_err *err)
{
    return s->site->kind == MC_SITE_CONV ? run_conv(s, call, err) : run_matrix(s, call, err);
}

/* ---- the bias of float arithmetic ---- */

static bool plan_either(const mc_act_site *s, const mc_call *call, product *p, size_t *outputs)
{
    size_t groups = 1;
    if (s->site->kind != MC_SITE_CONV) {
        if (!plan_matrix(s, call, p)) return false;
        *outputs = p->outputs;
        return true;
    }
    if (!plan_conv(s, call, p, &groups)) return false;
    const mc_nd *bias = call->ins > 2 ? call->in[2] : NULL;
    p->bias = bias ? bias->data : NULL;
    p->bias_col = 1;
    *outputs = p->outputs * groups;
    return true;
}

bool mc_act_bias_rounds(const mc_act_site *s, const mc_call *call)
{
    product p;
    size_t outputs;
    return s->act->mode == MC_ACT_STATIC && mc_act_integer_fits(s, call) &&
           plan_either(s, call, &p, &outputs) && bias_is_whole(&p) && p.bias_col == 1;
}

mc_status mc_act_round_bias(const mc_act_site *s, const mc_call *call, float *bias, mc_err *err)
{
    enum { ROWS_AT_ONCE = 16 };
    product p;
    size_t outputs;
    if (!plan_either(s, call, &p, &outputs)) return not_fitting(err);
    const bool one_scale = p.weight->group == 0;
    const size_t step = one_scale ? outputs : ROWS_AT_ONCE;
    mc_region room;
    MC_TRY(mc_region_open(&room,
                          mc_qmat_bytes(&p.weight->grid, one_scale ? 1 : step,
                                        one_scale ? outputs * p.inputs : p.inputs,
                                        one_scale ? outputs * p.inputs : p.inputs) + 4096,
                          err));
    mc_status status = MC_OK;
    for (size_t at = 0; at < outputs && status == MC_OK; at += step) {
        const size_t n = outputs - at < step ? outputs - at : step;
        mc_arena mem = room.arena;
        mc_qmat q;
        status = s->weights->codes(s->weights, s->site->weight, one_scale ? 0 : at,
                                   one_scale ? 1 : n, &mem, &q, err);
        for (size_t o = 0; o < n && status == MC_OK; o++) {
            double code, unit;
            if (bias_code(&p, bias[at + o], q.params[one_scale ? 0 : o].scale, &code, &unit))
                bias[at + o] = (float)(code * unit);
        }
    }
    mc_region_close(&room);
    return status;
}

size_t mc_act_integer_scratch(const mc_act_site *s, const mc_call *call)
{
    enum { ALIGN = 1024 }; /* of each allocation, poisoned edges included */
    product p;
    size_t groups, narrow;
    const bool conv = s->site->kind == MC_SITE_CONV;
    if (conv ? !plan_conv(s, call, &p, &groups) : !plan_matrix(s, call, &p)) return 0;
    narrow = conv ? mc_nd_span(call->in[0], 1, call->in[0]->ndim) : p.inputs;
    const mc_weight_shape codes = mc_weight_code_shape(p.weight);
    const size_t rows = p.weight->group == 0 ? 1 : OUTPUTS;
    return narrow + bench_bytes(&p) +
           mc_qmat_bytes(&p.weight->grid, rows, codes.cols, codes.group) + 16 * ALIGN;
}
