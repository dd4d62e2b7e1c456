/* ConvInteger and QLinearConv: patches of the input, less its zero point, become columns of a
 * matrix (a tile of positions at a time) that the filters multiply exactly. What lies in the
 * padding is the zero point, so its column holds 0. */
#include "core/ops/op_args_shared.h"
#include "core/ops/op_qlinear_shared.h"
#include "core/ops/op_whole_shared.h"

#include <string.h>

enum { TILE = 1024 }; /* positions */

/* Where a node's inputs stand; SIZE_MAX: it has none. */
typedef struct {
    size_t x, w, x_zero, w_zero, x_scale, w_scale, y_scale, y_zero, bias;
} places;

static const places integer = {.x = 0,
                               .w = 1,
                               .x_zero = 2,
                               .w_zero = 3,
                               .x_scale = SIZE_MAX,
                               .w_scale = SIZE_MAX,
                               .y_scale = SIZE_MAX,
                               .y_zero = SIZE_MAX,
                               .bias = SIZE_MAX};
static const places linear = {.x = 0,
                              .x_scale = 1,
                              .x_zero = 2,
                              .w = 3,
                              .w_scale = 4,
                              .w_zero = 5,
                              .y_scale = 6,
                              .y_zero = 7,
                              .bias = 8};

/* Axes that a convolution lacks come first, of size 1. */
typedef struct {
    size_t samples, groups, channels, filters; /* the last two of one group */
    size_t in[3], out[3], kernel[3];
    int64_t stride[3], dilation[3], pad[3];
    size_t inputs, outputs, taps; /* products of the above; taps with channels */
} geometry;

/* ---- shapes ---- */

/* The rules of Conv, for tensors of our own types. */
static mc_status conv_shape(const mc_call *call, const places *at, mc_dtype dtype, mc_err *err)
{
    mc_nd x = *call->in[at->x], w = *call->in[at->w];
    mc_nd y = {.kind = MC_ND_TENSOR, .ndim = MC_RANK_UNKNOWN};
    x.dtype = w.dtype = MC_F32;
    const mc_nd *in[] = {&x, &w};
    mc_nd *out[] = {&y};
    mc_call conv = *call;
    conv.version = 11;
    conv.in = in;
    conv.ins = 2;
    conv.out = out;
    conv.outs = 1;
    MC_TRY(mc_op_find("", "Conv", conv.version)->shape(&conv, err));
    return mc_arg_set(call, 0, dtype, y.ndim, y.dim, err);
}

static mc_status check_zeros(const mc_call *call, const places *at, mc_err *err)
{
    const mc_nd *w = call->in[at->w];
    const size_t of[][2] = {{at->x, at->x_zero}, {at->w, at->w_zero}};
    for (size_t i = 0; i < 2; i++) {
        const mc_nd *t = call->in[of[i][0]], *zero = mc_arg_in(call, of[i][1]);
        MC_TRY(mc_arg_dtype(call, of[i][0], mc_qlinear_codes, err));
        MC_TRY(mc_arg_dtype(call, of[i][1], mc_qlinear_codes, err));
        if (zero && zero->dtype != MC_DTYPE_NONE && t->dtype != MC_DTYPE_NONE &&
            zero->dtype != t->dtype)
            return mc_fail(err, MC_E_FORMAT, "input %zu is %s; allowed is %s as in input %zu",
                           of[i][1], mc_dtype_about(zero->dtype)->name,
                           mc_dtype_about(t->dtype)->name, of[i][0]);
    }
    int64_t one = 1, filters = w->ndim > 0 ? w->dim[0] : -1;
    MC_TRY(mc_arg_vector(call, at->x_zero, &one, err));
    const mc_nd *zero = mc_arg_in(call, at->w_zero);
    if (zero && mc_nd_shape_known(zero) && zero->count == 1) filters = 1;
    return mc_arg_vector(call, at->w_zero, &filters, err);
}

mc_status mc_conv_integer_shape(const mc_call *call, mc_err *err)
{
    MC_TRY(check_zeros(call, &integer, err));
    return conv_shape(call, &integer, MC_I32, err);
}

mc_status mc_qlinear_conv_shape(const mc_call *call, mc_err *err)
{
    static const mc_dtype scales[] = {MC_F32, MC_DTYPE_NONE}, biases[] = {MC_I32, MC_DTYPE_NONE};
    const mc_nd *w = call->in[linear.w], *w_scale = call->in[linear.w_scale];
    int64_t one = 1, filters = w->ndim > 0 ? w->dim[0] : -1, each = filters;
    MC_TRY(check_zeros(call, &linear, err));
    MC_TRY(mc_arg_dtype(call, linear.x_scale, scales, err));
    MC_TRY(mc_arg_dtype(call, linear.w_scale, scales, err));
    MC_TRY(mc_arg_dtype(call, linear.y_scale, scales, err));
    MC_TRY(mc_arg_dtype(call, linear.y_zero, mc_qlinear_codes, err));
    MC_TRY(mc_arg_dtype(call, linear.bias, biases, err));
    MC_TRY(mc_arg_vector(call, linear.x_scale, &one, err));
    MC_TRY(mc_arg_vector(call, linear.y_scale, &one, err));
    MC_TRY(mc_arg_vector(call, linear.y_zero, &one, err));
    if (mc_nd_shape_known(w_scale) && w_scale->count == 1) each = 1;
    MC_TRY(mc_arg_vector(call, linear.w_scale, &each, err));
    MC_TRY(mc_arg_dims(call, linear.bias, 1, &filters, err));
    return conv_shape(call, &linear, call->in[linear.y_zero]->dtype, err);
}

/* ---- geometry ---- */

static mc_status find_geometry(const mc_call *call, const places *at, geometry *g, mc_err *err)
{
    const mc_nd *x = call->in[at->x], *w = call->in[at->w];
    mc_window window;
    MC_TRY(mc_op_window(call, x, w->dim + 2, &window, err));
    *g = (geometry){.samples = (size_t)x->dim[0],
                    .groups = (size_t)mc_node_int(call->node, "group", 1),
                    .channels = (size_t)w->dim[1],
                    .inputs = 1,
                    .outputs = 1,
                    .taps = (size_t)w->dim[1]};
    g->filters = (size_t)w->dim[0] / g->groups;
    for (int d = 0; d < 3; d++) {
        const int i = d - (3 - window.axes);
        g->in[d] = i < 0 ? 1 : (size_t)window.in[i];
        g->out[d] = i < 0 ? 1 : (size_t)window.out[i];
        g->kernel[d] = i < 0 ? 1 : (size_t)window.kernel[i];
        g->stride[d] = i < 0 ? 1 : window.stride[i];
        g->dilation[d] = i < 0 ? 1 : window.dilation[i];
        g->pad[d] = i < 0 ? 0 : window.pad_begin[i];
        g->inputs *= g->in[d];
        g->outputs *= g->out[d];
        g->taps *= g->kernel[d];
    }
    return MC_OK;
}

/* The input's place on axis d for an output and a tap; false in the padding. */
static bool place(const geometry *g, int d, size_t out, size_t tap, size_t *in)
{
    const int64_t p = (int64_t)out * g->stride[d] + (int64_t)tap * g->dilation[d] - g->pad[d];
    *in = (size_t)p;
    return p >= 0 && p < (int64_t)g->in[d];
}

/* Row `tap` of the columns of positions [first, first + n): col[n]. */
static void fill_row(const geometry *g, const float *x, size_t tap, size_t first, size_t n,
                     float *col)
{
    const size_t k2 = tap % g->kernel[2], k1 = tap / g->kernel[2] % g->kernel[1];
    const size_t k0 = tap / (g->kernel[2] * g->kernel[1]) % g->kernel[0];
    const size_t channel = tap / (g->kernel[2] * g->kernel[1] * g->kernel[0]);
    for (size_t i = 0; i < n; i++) {
        const size_t p = first + i, o2 = p % g->out[2], o1 = p / g->out[2] % g->out[1];
        const size_t o0 = p / (g->out[2] * g->out[1]);
        size_t i0, i1, i2;
        const bool inside =
            place(g, 0, o0, k0, &i0) && place(g, 1, o1, k1, &i1) && place(g, 2, o2, k2, &i2);
        col[i] = inside ? x[channel * g->inputs + (i0 * g->in[1] + i1) * g->in[2] + i2] : 0.0f;
    }
}

/* ---- running ---- */

typedef struct {
    const mc_call *call;
    const places *at;
    geometry g;
    float *w;     /* [groups * filters, taps], less zero points */
    float *x;     /* [channels, inputs] of a sample's group, less the zero point */
    float *col;   /* [taps, TILE] */
    int32_t *sum; /* [filters, TILE] */
} job;

static float parameter(const mc_call *call, size_t i, size_t k)
{
    const mc_nd *t = mc_arg_in(call, i);
    return t ? (float)mc_nd_real(t, t->count == 1 ? 0 : k) : 0.0f;
}

static void put(const job *j, size_t filter, const int32_t *sum, size_t n, size_t to)
{
    const mc_call *call = j->call;
    mc_nd *y = call->out[0];
    if (y->dtype == MC_I32) {
        memcpy((int32_t *)y->data + to, sum, n * sizeof *sum);
        return;
    }
    const float by = parameter(call, j->at->x_scale, 0) * parameter(call, j->at->w_scale, filter) /
                     parameter(call, j->at->y_scale, 0);
    mc_qlinear_store(sum, n, by, parameter(call, j->at->y_zero, 0), y, to);
}

static void add_bias(const job *j, size_t filter, int32_t *sum, size_t n)
{
    const mc_nd *bias = mc_arg_in(j->call, j->at->bias);
    if (!bias) return;
    const uint32_t by = (uint32_t)((const int32_t *)bias->data)[filter];
    for (size_t i = 0; i < n; i++) sum[i] = (int32_t)((uint32_t)sum[i] + by);
}

static mc_status convolve(const job *j, size_t sample, size_t group, size_t first, mc_arena scratch,
                          mc_err *err)
{
    const geometry *g = &j->g;
    const size_t n = g->outputs - first < TILE ? g->outputs - first : TILE;
    for (size_t tap = 0; tap < g->taps; tap++) fill_row(g, j->x, tap, first, n, j->col + tap * n);
    const mc_gemm_operand w = {.at = j->w + group * g->filters * g->taps, .stride = g->taps};
    const mc_gemm_operand col = {.at = j->col, .stride = n};
    MC_TRY(mc_whole_product(g->filters, n, g->taps, w, col, j->sum, scratch, err));
    for (size_t f = 0; f < g->filters; f++) {
        const size_t filter = group * g->filters + f;
        add_bias(j, filter, j->sum + f * n, n);
        put(j, filter, j->sum + f * n, n,
            (sample * g->groups * g->filters + filter) * g->outputs + first);
    }
    return MC_OK;
}

static mc_status run(const mc_call *call, const places *at, mc_err *err)
{
    mc_arena scratch = call->scratch;
    job j = {.call = call, .at = at};
    MC_TRY(find_geometry(call, at, &j.g, err));
    const geometry *g = &j.g;
    if (call->out[0]->count == 0) return MC_OK;
    const size_t tile = g->outputs < TILE ? g->outputs : TILE, filters = g->groups * g->filters;
    j.w = mc_alloc_raw(&scratch, filters, g->taps * sizeof(float));
    j.x = mc_alloc_raw(&scratch, g->channels, g->inputs * sizeof(float));
    j.col = mc_alloc_raw(&scratch, tile, g->taps * sizeof(float));
    j.sum = mc_alloc_raw(&scratch, tile, g->filters * sizeof(int32_t));
    if (!j.w || !j.x || !j.col || !j.sum) return mc_no_room(err, "patches of a convolution");
    for (size_t f = 0; f < filters; f++)
        mc_qlinear_load(call->in[at->w], f * g->taps, g->taps, parameter(call, at->w_zero, f),
                        j.w + f * g->taps);
    for (size_t i = 0; i < g->samples * g->groups; i++) {
        mc_qlinear_load(call->in[at->x], i * g->channels * g->inputs, g->channels * g->inputs,
                        parameter(call, at->x_zero, 0), j.x);
        for (size_t first = 0; first < g->outputs; first += TILE)
            MC_TRY(convolve(&j, i / g->groups, i % g->groups, first, scratch, err));
    }
    return MC_OK;
}

static size_t scratch_of(const mc_call *call, const places *at)
{
    geometry g;
    mc_err err;
    if (find_geometry(call, at, &g, &err) != MC_OK) return 0;
    const size_t tile = g.outputs < TILE ? g.outputs : TILE;
    const size_t row = mc_arg_bytes(g.taps, sizeof(float));
    size_t bytes = mc_arg_plus(mc_whole_scratch(), mc_arg_bytes(g.groups * g.filters, row));
    bytes = mc_arg_plus(bytes, mc_arg_bytes(tile, row));
    bytes = mc_arg_plus(bytes, mc_arg_bytes(g.channels, mc_arg_bytes(g.inputs, sizeof(float))));
    return mc_arg_plus(bytes, mc_arg_bytes(g.filters, tile * sizeof(int32_t)));
}

mc_status mc_conv_integer_run(const mc_call *call, mc_err *err)
{
    return run(call, &integer, err);
}

size_t mc_conv_integer_scratch(const mc_call *call)
{
    return scratch_of(call, &integer);
}

mc_status mc_qlinear_conv_run(const mc_call *call, mc_err *err)
{
    return run(call, &linear, err);
}

size_t mc_qlinear_conv_scratch(const mc_call *call)
{
    return scratch_of(call, &linear);
}
