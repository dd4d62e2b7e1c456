/* Sites in integers: 8-bit codes of activations times codes of weights.
 *
 * Weights are unpacked a few outputs at a time into 16-bit differences u - z; each output is then a
 * sum over groups of exact integer sums. A convolution is the same over the windows of a sample,
 * gathered as rows. */
#include "core/act.h"

#include "core/ckd.h"

#include <string.h>

enum {
    OUTPUTS = 16,    /* unpacked at one time */
    EXACT = 1 << 15, /* 127 * 255 * EXACT fits 31 bits */
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
    const mc_nd *x = call->in[0];
    if (site->activation_input != 0 || x->dtype != MC_F32) return false;
    if (mc_node_is(n, "", "Conv")) return x->ndim >= 3 && x->ndim <= 5;
    if (mc_node_is(n, MC_DOMAIN, "Linear")) return true;
    if (mc_node_is(n, "", "MatMul")) return x->ndim >= 2;
    return mc_node_is(n, "", "Gemm") && is_plain_gemm(n);
}

typedef struct {
    mc_grid grid;
    size_t rows, cols, group; /* of the code shape */
} shape;

static bool shape_of(const mc_act_site *s, shape *out)
{
    const mc_weights *w = s->weights;
    return w && w->quantized &&
           w->quantized(w, s->site->weight, &out->grid, &out->rows, &out->cols, &out->group);
}

/* Outputs and inputs of the matrix that the node multiplies by; false for stacks of matrices. */
static bool matrix_of(const mc_act_site *s, const mc_call *call, size_t *outputs, size_t *inputs)
{
    const mc_nd *x = call->in[0], *y = call->out[0];
    const bool conv = s->site->kind == MC_SITE_CONV;
    const int64_t last = conv ? y->dim[1] : y->dim[y->ndim - 1];
    if (last <= 0) return false;
    *outputs = (size_t)last;
    *inputs = (size_t)(s->site->weight->count / *outputs);
    if (s->site->part || (!conv && x->dim[x->ndim - 1] != (int64_t)*inputs)) return false;
    return *inputs * *outputs == s->site->weight->count;
}

bool mc_act_integer_fits(const mc_act_site *s, const mc_call *call)
{
    shape w;
    size_t outputs, inputs;
    if (s->bits > 8 || !knows_node(s->site, call) || !shape_of(s, &w)) return false;
    if (w.grid.levels->value || !matrix_of(s, call, &outputs, &inputs)) return false;
    if (w.rows == 1 && outputs > 1) return w.cols == outputs * inputs; /* one scale for all */
    return w.rows == outputs && w.cols == inputs;
}

/* ---- unpacked outputs ---- */

/* Some rows of the matrix: differences u - z, and what each group multiplies them by. */
typedef struct {
    size_t rows, cols, group;
    int16_t *code;         /* rows x cols */
    float *scale, *offset; /* rows x groups */
    bool has_offset;
} block;

static bool make_block(mc_arena *mem, size_t rows, const shape *w, size_t cols, block *b)
{
    *b = (block){.rows = rows, .cols = cols, .group = w->group < cols ? w->group : cols};
    const size_t groups = cols / b->group;
    b->code = MC_NEW_RAW(mem, int16_t, rows * cols);
    b->scale = MC_NEW_RAW(mem, float, rows *groups);
    b->offset = MC_NEW_RAW(mem, float, rows *groups);
    b->has_offset = w->grid.offset == MC_OFFSET_FREE;
    return b->code && b->scale && b->offset;
}

/* Rows of the block from codes that begin at `at` of q (a place, not a row: one scale may serve the
 * whole matrix). */
static void fill_block(const mc_qmat *q, size_t at, block *b)
{
    const size_t groups = b->cols / b->group;
    for (size_t g = 0; g < b->rows * groups; g++) {
        const size_t from = at + g * b->group;
        const mc_params p = q->params[from / q->group];
        b->scale[g] = p.scale;
        b->offset[g] = p.offset;
        for (size_t i = 0; i < b->group; i++)
            b->code[g * b->group + i] = (int16_t)((int)q->code[from + i] - (int)p.zero);
    }
}

static mc_status load_block(const mc_act_site *s, const shape *w, size_t row, mc_arena scratch,
                            block *b, mc_err *err)
{
    mc_qmat q;
    const bool whole = w->rows == 1 && w->cols > b->cols;
    MC_TRY(s->weights->codes(s->weights, s->site->weight, whole ? 0 : row, whole ? 1 : b->rows,
                             &scratch, &q, err));
    fill_block(&q, whole ? row * b->cols : 0, b);
    return MC_OK;
}

/* ---- sums ---- */

static int32_t dot(const int16_t *a, const int16_t *w, size_t n)
{
    int32_t sum = 0;
    for (size_t i = 0; i < n; i++) sum += (int32_t)a[i] * (int32_t)w[i];
    return sum;
}

static int32_t total(const int16_t *a, size_t n)
{
    int32_t sum = 0;
    for (size_t i = 0; i < n; i++) sum += (int32_t)a[i];
    return sum;
}

/* A group of any length; longer ones than fit 32 bits go on in 64. */
static float exact(const int16_t *a, const int16_t *w, size_t n)
{
    if (n <= EXACT) return (float)(w ? dot(a, w, n) : total(a, n));
    int64_t sum = 0;
    for (size_t i = 0; i < n; i += EXACT) {
        const size_t now = n - i < EXACT ? n - i : EXACT;
        sum += w ? dot(a + i, w + i, now) : total(a + i, now);
    }
    return (float)sum;
}

static float output(const block *b, size_t row, const int16_t *a)
{
    const size_t groups = b->cols / b->group;
    float sum = 0.0f;
    for (size_t g = 0; g < groups; g++) {
        const int16_t *w = b->code + row * b->cols + g * b->group;
        sum += b->scale[row * groups + g] * exact(a + g * b->group, w, b->group);
        if (b->has_offset)
            sum += b->offset[row * groups + g] * exact(a + g * b->group, NULL, b->group);
    }
    return sum;
}

/* Codes of rows of activations, and their scales. */
typedef struct {
    size_t rows, cols;
    int16_t *code;
    float *scale;
} rounded;

static void round_rows(unsigned bits, const float *x, rounded *r, int8_t *narrow)
{
    for (size_t t = 0; t < r->rows; t++) {
        r->scale[t] = mc_act_codes(bits, x + t * r->cols, r->cols, narrow);
        for (size_t i = 0; i < r->cols; i++) r->code[t * r->cols + i] = narrow[i];
    }
}

/* ---- matrices ---- */

/* The bias of output o at row t: Gemm's may have any shape that broadcasts. */
static float bias_at(const mc_nd *bias, size_t t, size_t o, size_t outputs)
{
    if (!bias) return 0.0f;
    const float *b = bias->data;
    const size_t rows = bias->ndim == 2 ? (size_t)bias->dim[0] : 1;
    const size_t cols = bias->ndim ? (size_t)bias->dim[bias->ndim - 1] : 1;
    return b[(rows > 1 ? t : 0) * cols + (cols == outputs ? o : 0)];
}

static mc_status run_matrix(const mc_act_site *s, const mc_call *call, mc_err *err)
{
    shape w;
    size_t outputs, inputs;
    if (!shape_of(s, &w) || !matrix_of(s, call, &outputs, &inputs))
        return mc_fail(err, MC_E_INTERNAL, "a site that does not fit integers");
    const mc_nd *bias = call->ins > 2 ? call->in[2] : NULL;
    mc_arena mem = call->scratch;
    rounded a = {.rows = call->in[0]->count / inputs, .cols = inputs};
    a.code = MC_NEW_RAW(&mem, int16_t, a.rows * inputs);
    a.scale = MC_NEW_RAW(&mem, float, a.rows);
    int8_t *narrow = MC_NEW_RAW(&mem, int8_t, inputs);
    block b;
    if (!a.code || !a.scale || !narrow || !make_block(&mem, OUTPUTS, &w, inputs, &b))
        return mc_no_room(err, "an activation in integers");
    round_rows(s->bits, call->in[0]->data, &a, narrow);

    float *y = call->out[0]->data;
    for (size_t first = 0; first < outputs; first += OUTPUTS) {
        b.rows = outputs - first < OUTPUTS ? outputs - first : OUTPUTS;
        MC_TRY(load_block(s, &w, first, mem, &b, err));
        for (size_t t = 0; t < a.rows; t++)
            for (size_t o = 0; o < b.rows; o++)
                y[t * outputs + first + o] = a.scale[t] * output(&b, o, a.code + t * inputs) +
                                             bias_at(bias, t, first + o, outputs);
    }
    return MC_OK;
}

/* ---- convolutions ---- */

/* The codes that the kernel sees at output position `p` of channels [from, from + channels), in the
 * order of the weight's columns; outside the input they are 0. */
static void gather(const mc_window *w, const int8_t *code, size_t channels, size_t p, int16_t *row)
{
    int64_t at[3] = {0, 0, 0};
    size_t rest = p, spatial = 1, taps = 1;
    for (int i = w->axes; i-- > 0;) {
        at[i] = (int64_t)(rest % (size_t)w->out[i]) * w->stride[i] - w->pad_begin[i];
        rest /= (size_t)w->out[i];
        spatial *= (size_t)w->in[i];
        taps *= (size_t)w->kernel[i];
    }
    for (size_t k = 0; k < taps; k++) {
        size_t left = k, place = 0, stride = 1;
        bool inside = true;
        for (int i = w->axes; i-- > 0;) {
            const int64_t x = at[i] + (int64_t)(left % (size_t)w->kernel[i]) * w->dilation[i];
            left /= (size_t)w->kernel[i];
            inside = inside && x >= 0 && x < w->in[i];
            place += inside ? (size_t)x * stride : 0;
            stride *= (size_t)w->in[i];
        }
        for (size_t c = 0; c < channels; c++)
            row[c * taps + k] = inside ? code[c * spatial + place] : 0;
    }
}

typedef struct {
    mc_window window;
    size_t samples, channels, outputs, groups; /* groups: of channels */
    size_t inputs;                             /* columns of the weight */
    size_t positions;                          /* outputs' spatial size */
    size_t spatial;                            /* the inputs' */
} conv;

/* One sample of a convolution. */
typedef struct {
    float scale;
    const float *bias; /* or NULL */
    float *y;
} conv_sample;

static mc_status plan_conv(const mc_act_site *s, const mc_call *call, conv *c, mc_err *err)
{
    const mc_nd *x = call->in[0], *w = call->in[1];
    if (!w) return mc_fail(err, MC_E_INTERNAL, "a convolution without a weight");
    MC_TRY(mc_op_window(call, x, w->dim + 2, &c->window, err));
    if (!matrix_of(s, call, &c->outputs, &c->inputs))
        return mc_fail(err, MC_E_INTERNAL, "a site that does not fit integers");
    c->samples = (size_t)x->dim[0];
    c->channels = (size_t)x->dim[1];
    c->groups = (size_t)mc_node_int(call->node, "group", 1);
    c->positions = mc_nd_span(call->out[0], 2, call->out[0]->ndim);
    c->spatial = mc_nd_span(x, 2, x->ndim);
    if (c->groups == 0 || c->channels % c->groups || c->outputs % c->groups)
        return mc_fail(err, MC_E_FORMAT, "%zu channels in %zu groups", c->channels, c->groups);
    return MC_OK;
}

/* Memory that one sample is worked on in. */
typedef struct {
    int8_t *code; /* of the whole sample */
    int16_t *row; /* positions x inputs, of one group of channels */
    block b;
} bench;

static bool make_bench(const conv *c, const shape *w, size_t sample, mc_arena *mem, bench *m)
{
    m->code = MC_NEW_RAW(mem, int8_t, sample);
    m->row = MC_NEW_RAW(mem, int16_t, c->positions * c->inputs);
    return m->code && m->row && make_block(mem, OUTPUTS, w, c->inputs, &m->b);
}

/* Outputs [first, first + b->rows) at all positions of a sample. */
static void convolve(const conv *c, const bench *m, size_t first, float scale, const float *bias,
                     float *y)
{
    for (size_t o = 0; o < m->b.rows; o++) {
        float *to = y + (first + o) * c->positions;
        const float add = bias ? bias[first + o] : 0.0f;
        for (size_t p = 0; p < c->positions; p++)
            to[p] = scale * output(&m->b, o, m->row + p * c->inputs) + add;
    }
}

/* One group of channels of a sample whose codes are in m->code. */
static mc_status run_group(const mc_act_site *s, const conv *c, size_t group, conv_sample sample,
                           bench *m, mc_arena mem, mc_err *err)
{
    shape w;
    if (!shape_of(s, &w)) return mc_fail(err, MC_E_INTERNAL, "a weight without codes");
    const size_t channels = c->channels / c->groups, outputs = c->outputs / c->groups;
    const int8_t *code = m->code + group * channels * c->spatial;
    for (size_t p = 0; p < c->positions; p++)
        gather(&c->window, code, channels, p, m->row + p * c->inputs);

    const size_t end = (group + 1) * outputs;
    for (size_t first = group * outputs; first < end; first += OUTPUTS) {
        m->b.rows = end - first < OUTPUTS ? end - first : OUTPUTS;
        MC_TRY(load_block(s, &w, first, mem, &m->b, err));
        convolve(c, m, first, sample.scale, sample.bias, sample.y);
    }
    return MC_OK;
}

static mc_status run_conv(const mc_act_site *s, const mc_call *call, mc_err *err)
{
    conv c;
    shape w;
    bench m;
    MC_TRY(plan_conv(s, call, &c, err));
    if (!shape_of(s, &w)) return mc_fail(err, MC_E_INTERNAL, "a weight without codes");
    const size_t sample = c.channels * c.spatial;
    mc_arena mem = call->scratch;
    if (!make_bench(&c, &w, sample, &mem, &m)) return mc_no_room(err, "a convolution in integers");
    const mc_nd *bias = call->ins > 2 ? call->in[2] : NULL;
    for (size_t n = 0; n < c.samples; n++) {
        const float *x = (const float *)call->in[0]->data + n * sample;
        const conv_sample now = {
            .scale = mc_act_codes(s->bits, x, sample, m.code),
            .bias = bias ? bias->data : NULL,
            .y = (float *)call->out[0]->data + n * c.outputs * c.positions,
        };
        for (size_t g = 0; g < c.groups; g++) MC_TRY(run_group(s, &c, g, now, &m, mem, err));
    }
    return MC_OK;
}

mc_status mc_act_integer_run(const mc_act_site *s, const mc_call *call, mc_err *err)
{
    return s->site->kind == MC_SITE_CONV ? run_conv(s, call, err) : run_matrix(s, call, err);
}

size_t mc_act_integer_scratch(const mc_act_site *s, const mc_call *call)
{
    enum { ALIGN = 1024 }; /* of each allocation, poisoned edges included */
    shape w;
    size_t outputs, inputs;
    if (!shape_of(s, &w) || !matrix_of(s, call, &outputs, &inputs)) return 0;
    const bool windows = s->site->kind == MC_SITE_CONV;
    const size_t rows =
        windows ? mc_nd_span(call->out[0], 2, call->out[0]->ndim) : call->in[0]->count / inputs;
    const size_t codes = windows ? call->in[0]->count : inputs;
    const size_t group = w.group < inputs ? w.group : inputs;
    const bool whole = w.rows == 1 && outputs > 1;
    return codes + rows * (inputs * sizeof(int16_t) + sizeof(float)) +
           OUTPUTS * (inputs * sizeof(int16_t) + inputs / group * 2 * sizeof(float)) +
           mc_qmat_bytes(&w.grid, whole ? 1 : OUTPUTS, w.cols, w.group) + 8 * ALIGN;
}
