/* Operators that runtimes add to ONNX (com.microsoft): normalizations of a sum, Gelu in its
 * variants, and the table of the whole family. */
#include "core/ops/op_contrib_shared.h"

#include "core/ops/op_args_shared.h"
#include "core/ops/op_math_shared.h"
#include "core/ops/op_move_shared.h"
#include "core/ops/op_norm_shared.h"
#include "core/ops/op_rotary_shared.h"

#include <math.h>
#include <string.h>

/* Inputs [0, ins) lie as f32. */
static mc_status need_f32(const mc_call *call, mc_err *err)
{
    MC_TRY(mc_arg_floats(call, 0, call->ins, err));
    for (size_t i = 0; i < call->ins; i++) {
        if (call->in[i] && mc_arg_is_f64(call->in[i])) return mc_op_refuse_dtype(call, i, err);
    }
    return MC_OK;
}

/* ---- SimplifiedLayerNormalization: RMSNormalization with its statistics ---- */

static const mc_norm_op simplified = {.mean = SIZE_MAX, .inverse = 1};

static mc_status simplified_shape(const mc_call *call, mc_err *err)
{
    return mc_norm_shape(call, simplified, err);
}

static mc_status simplified_run(const mc_call *call, mc_err *err)
{
    return mc_norm_run(call, simplified, err);
}

/* ---- SkipLayerNormalization, SkipSimplifiedLayerNormalization ---- */

enum { X, SKIP, GAMMA, BETA };             /* inputs; the bias stands last */
enum { Y, MEAN, INVERSE, SUM, SKIP_OUTS }; /* outputs */

/* Rows of x are added to rows of skip, which may be those of one sample only. */
static mc_status check_skip(const mc_call *call, mc_err *err)
{
    const mc_nd *x = call->in[X], *skip = call->in[SKIP];
    if (!mc_nd_shape_known(x) || !mc_nd_shape_known(skip)) return MC_OK;
    bool fits = mc_nd_same_shape(x, skip);
    if (!fits && x->ndim == 3 && (skip->ndim == 2 || skip->ndim == 3)) {
        fits = skip->dim[skip->ndim - 1] == x->dim[2] && skip->dim[skip->ndim - 2] == x->dim[1];
        fits = fits && (skip->ndim == 2 || skip->dim[0] == 1);
    }
    if (fits) return MC_OK;
    char found[MC_ND_TEXT], allowed[MC_ND_TEXT];
    return mc_fail(err, MC_E_FORMAT, "the skip is %s; allowed is %s or one sample of it",
                   mc_nd_show(skip, found), mc_nd_show(x, allowed));
}

static mc_status skip_shape(const mc_call *call, mc_err *err)
{
    const mc_nd *x = call->in[X];
    MC_TRY(need_f32(call, err));
    MC_TRY(mc_op_rank(call, X, 2, 3, err));
    MC_TRY(check_skip(call, err));
    int64_t width = x->ndim > 0 ? x->dim[x->ndim - 1] : -1;
    for (size_t i = GAMMA; i < call->ins; i++) MC_TRY(mc_arg_dims(call, i, 1, &width, err));
    mc_nd stats = *x;
    if (stats.ndim > 0) stats.dim[stats.ndim - 1] = 1;
    MC_TRY(mc_arg_set(call, Y, x->dtype, x->ndim, x->dim, err));
    MC_TRY(mc_arg_set(call, MEAN, MC_F32, stats.ndim, stats.dim, err));
    MC_TRY(mc_arg_set(call, INVERSE, MC_F32, stats.ndim, stats.dim, err));
    return mc_arg_set(call, SUM, x->dtype, x->ndim, x->dim, err);
}

static const float *numbers(const mc_nd *t)
{
    return t ? t->data : NULL;
}

static void put(const mc_call *call, size_t i, size_t at, double value)
{
    mc_nd *t = mc_arg_out(call, i);
    if (t) ((float *)t->data)[at] = (float)value;
}

static void skip_rows(const mc_call *call, bool centre)
{
    const mc_nd *x = call->in[X], *skip = call->in[SKIP];
    const size_t n = (size_t)x->dim[x->ndim - 1], rows = n > 0 ? x->count / n : 0;
    const mc_norm norm = {.centre = centre,
                          .epsilon = mc_node_float(call->node, "epsilon", (double)1e-12f)};
    const float *beta = centre ? numbers(mc_arg_in(call, BETA)) : NULL;
    const float *bias = numbers(mc_arg_in(call, centre ? BETA + 1 : BETA));
    mc_nd *sums = mc_arg_out(call, SUM);
    for (size_t r = 0; r < rows; r++) {
        const float *a = (const float *)x->data + r * n;
        const float *b = (const float *)skip->data + r * n % skip->count;
        float *y = (float *)call->out[Y]->data + r * n;
        for (size_t i = 0; i < n; i++) y[i] = bias ? a[i] + b[i] + bias[i] : a[i] + b[i];
        if (sums) memcpy((float *)sums->data + r * n, y, n * sizeof *y);
        const mc_norm_stats stats = mc_norm_row_f32(norm, y, n, call->in[GAMMA]->data, beta, y);
        put(call, MEAN, r, stats.mean);
        put(call, INVERSE, r, stats.inverse);
    }
}

static mc_status skip_run(const mc_call *call, mc_err *err)
{
    (void)err;
    skip_rows(call, true);
    return MC_OK;
}

static mc_status skip_simplified_run(const mc_call *call, mc_err *err)
{
    (void)err;
    skip_rows(call, false);
    return MC_OK;
}

/* ---- Gelu and its kind: a bias for the last axis may come first ---- */

static mc_status gelu_shape(const mc_call *call, mc_err *err)
{
    const mc_nd *x = call->in[0];
    int64_t width = x->ndim > 0 ? x->dim[x->ndim - 1] : -1;
    MC_TRY(need_f32(call, err));
    if (mc_arg_in(call, 1)) MC_TRY(mc_op_rank(call, 0, 1, MC_MAX_DIMS, err));
    MC_TRY(mc_arg_dims(call, 1, 1, &width, err));
    return mc_op_same_shape(call, err);
}

static const float *with_bias(const mc_call *call)
{
    const mc_nd *x = call->in[0], *bias = mc_arg_in(call, 1);
    if (!bias || x->count == 0) return x->data;
    const float *from = x->data, *plus = bias->data;
    float *y = call->out[0]->data;
    for (size_t at = 0; at < x->count; at += bias->count) {
        for (size_t i = 0; i < bias->count; i++) y[at + i] = from[at + i] + plus[i];
    }
    return y;
}

static mc_status gelu_run(const mc_call *call, mc_err *err)
{
    (void)err;
    mc_gelu_f32(with_bias(call), call->out[0]->data, call->out[0]->count);
    return MC_OK;
}

static mc_status fast_gelu_run(const mc_call *call, mc_err *err)
{
    (void)err;
    mc_gelu_tanh_f32(with_bias(call), call->out[0]->data, call->out[0]->count);
    return MC_OK;
}

static mc_status quick_gelu_run(const mc_call *call, mc_err *err)
{
    (void)err;
    const float alpha = (float)mc_node_float(call->node, "alpha", (double)1.702f);
    mc_silu_f32(call->in[0]->data, call->out[0]->data, call->out[0]->count, alpha);
    return MC_OK;
}

/* ---- RotaryEmbedding: X, positions, cos, sin ---- */

static const mc_rotary_inputs rotary_inputs = {.cosine = 2, .sine = 3, .position = 1};

static mc_status rotary_shape(const mc_call *call, mc_err *err)
{
    const double scale = mc_node_float(call->node, "scale", 1.0);
    if (scale != 1.0) return mc_fail(err, MC_E_UNSUPPORTED, "scale is %g; allowed is 1", scale);
    if (mc_node_int(call->node, "is_packed_batching", 0) != 0)
        return mc_fail(err, MC_E_UNSUPPORTED, "is_packed_batching is 1; allowed is 0");
    return mc_rotary_shape(call, rotary_inputs, err);
}

static mc_status rotary_run(const mc_call *call, mc_err *err)
{
    return mc_rotary_run(call, rotary_inputs, err);
}

/* ---- the table ---- */

#define LINE(title, least, most, wanted, how, stem)                                            \
    {                                                                                          \
        .domain = MC_DOMAIN_MS, .name = title, .since = 1, .least_in = least, .most_in = most, \
        .most_out = wanted, .flags = how, .shape = stem##_shape, .run = stem##_run             \
    }
#define LINE_WITH_SCRATCH(title, least, most, wanted, how, stem)                               \
    {                                                                                          \
        .domain = MC_DOMAIN_MS, .name = title, .since = 1, .least_in = least, .most_in = most, \
        .most_out = wanted, .flags = how, .shape = stem##_shape, .run = stem##_run,            \
        .scratch = stem##_scratch                                                              \
    }

const mc_op mc_ops_contrib[] = {
    {.domain = "",
     .name = "SimplifiedLayerNormalization",
     .since = 1,
     .least_in = 2,
     .most_in = 2,
     .most_out = 2,
     .flags = MC_OP_IN_PLACE,
     .shape = simplified_shape,
     .run = simplified_run,
     .scratch = mc_norm_scratch},
    {.domain = MC_DOMAIN_MS,
     .name = "SimplifiedLayerNormalization",
     .since = 1,
     .least_in = 2,
     .most_in = 2,
     .most_out = 2,
     .flags = MC_OP_IN_PLACE,
     .shape = simplified_shape,
     .run = simplified_run,
     .scratch = mc_norm_scratch},
    LINE("SkipLayerNormalization", 3, 5, SKIP_OUTS, MC_OP_IN_PLACE, skip),
    {.domain = MC_DOMAIN_MS,
     .name = "SkipSimplifiedLayerNormalization",
     .since = 1,
     .least_in = 3,
     .most_in = 4,
     .most_out = SKIP_OUTS,
     .flags = MC_OP_IN_PLACE,
     .shape = skip_shape,
     .run = skip_simplified_run},
    LINE("Gelu", 1, 1, 1, MC_OP_IN_PLACE, gelu),
    LINE("BiasGelu", 2, 2, 1, MC_OP_IN_PLACE, gelu),
    {.domain = MC_DOMAIN_MS,
     .name = "FastGelu",
     .since = 1,
     .least_in = 1,
     .most_in = 2,
     .most_out = 1,
     .flags = MC_OP_IN_PLACE,
     .shape = gelu_shape,
     .run = fast_gelu_run},
    {.domain = MC_DOMAIN_MS,
     .name = "QuickGelu",
     .since = 1,
     .least_in = 1,
     .most_in = 1,
     .most_out = 1,
     .flags = MC_OP_IN_PLACE,
     .shape = gelu_shape,
     .run = quick_gelu_run},
    LINE("RotaryEmbedding", 4, 4, 1, 0, rotary),
    LINE("GatherBlockQuantized", 3, 4, 1, 0, mc_gather_blocks),
    LINE_WITH_SCRATCH("MatMulNBits", 3, 6, 1, 0, mc_nbits),
    LINE_WITH_SCRATCH("QAttention", 5, 9, 2, 0, mc_qattention),
    LINE_WITH_SCRATCH("FusedMatMul", 2, 2, 1, 0, mc_fused_matmul),
    LINE_WITH_SCRATCH("FusedGemm", 2, 3, 1, MC_OP_LAZY, mc_fused_gemm),
    LINE_WITH_SCRATCH("FusedConv", 2, 4, 1, 0, mc_fused_conv),
    {.domain = NULL},
};
