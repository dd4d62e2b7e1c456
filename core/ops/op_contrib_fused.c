/* FusedMatMul, FusedGemm, FusedConv: operators of ai.onnx with something before or after, which are
 * left to those operators themselves. */
#include "core/ops/op_args_shared.h"
#include "core/ops/op_contrib_shared.h"
#include "core/ops/op_math_shared.h"
#include "core/ops/op_move_shared.h"

#include <string.h>

/* The call as another operator sees it, which takes the first `ins` inputs at most. */
static const mc_op *as(const char *name, int version, size_t ins, mc_call *call)
{
    call->version = version;
    if (call->ins > ins) call->ins = ins;
    return mc_op_find("", name, version);
}

/* ---- what follows ---- */

typedef struct {
    const char *name;
    float a, b; /* alpha and beta, or the ends of Clip */
} activation;

static mc_status check_activation(const activation *f, mc_err *err)
{
    static const char *const known[] = {"",          "Relu", "Tanh",        "Sigmoid",
                                        "LeakyRelu", "Clip", "HardSigmoid", "HardSwish"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(f->name, known[i]) == 0) return MC_OK;
    }
    return mc_fail(err, MC_E_UNSUPPORTED, "the activation '%s' is not known", f->name);
}

static float between(float x, float low, float high)
{
    x = x < low ? low : x;
    return x > high ? high : x;
}

static void activate(const activation *f, float *x, size_t n)
{
    const char *name = f->name;
    if (strcmp(name, "Tanh") == 0) mc_tanh_f32(x, x, n);
    if (strcmp(name, "Sigmoid") == 0) mc_sigmoid_f32(x, x, n);
    if (strcmp(name, "Relu") == 0) {
        for (size_t i = 0; i < n; i++) x[i] = x[i] < 0.0f ? 0.0f : x[i];
    } else if (strcmp(name, "LeakyRelu") == 0) {
        for (size_t i = 0; i < n; i++) x[i] = x[i] < 0.0f ? f->a * x[i] : x[i];
    } else if (strcmp(name, "Clip") == 0) {
        for (size_t i = 0; i < n; i++) x[i] = between(x[i], f->a, f->b);
    } else if (strcmp(name, "HardSigmoid") == 0) {
        for (size_t i = 0; i < n; i++) x[i] = between(f->a * x[i] + f->b, 0.0f, 1.0f);
    } else if (strcmp(name, "HardSwish") == 0) {
        for (size_t i = 0; i < n; i++) x[i] *= between(x[i] / 6.0f + 0.5f, 0.0f, 1.0f);
    }
}

/* Outputs of these operators lie as f32. */
static mc_status need_f32(const mc_call *call, mc_err *err)
{
    MC_TRY(mc_arg_floats(call, 0, call->ins, err));
    if (mc_arg_is_f64(call->in[0])) return mc_op_refuse_dtype(call, 0, err);
    return MC_OK;
}

/* ---- FusedGemm ---- */

static activation gemm_activation(const mc_node *node)
{
    activation f = {.name = mc_node_text(node, "activation", "")};
    const bool hard = strcmp(f.name, "HardSigmoid") == 0;
    f.a = (float)mc_node_float(node, "activation_alpha", hard ? (double)0.2f : (double)0.01f);
    f.b = (float)mc_node_float(node, "activation_beta", 0.5);
    return f;
}

mc_status mc_fused_gemm_shape(const mc_call *call, mc_err *err)
{
    mc_call gemm = *call;
    const activation f = gemm_activation(call->node);
    MC_TRY(need_f32(call, err));
    if (strcmp(f.name, "Clip") == 0)
        return mc_fail(err, MC_E_UNSUPPORTED, "the activation Clip is not one of FusedGemm's");
    MC_TRY(check_activation(&f, err));
    return as("Gemm", 13, 3, &gemm)->shape(&gemm, err);
}

mc_status mc_fused_gemm_run(const mc_call *call, mc_err *err)
{
    mc_call gemm = *call;
    const activation f = gemm_activation(call->node);
    MC_TRY(as("Gemm", 13, 3, &gemm)->run(&gemm, err));
    activate(&f, call->out[0]->data, call->out[0]->count);
    return MC_OK;
}

static size_t scratch_as(const char *name, int version, size_t ins, const mc_call *call)
{
    mc_call other = *call;
    const mc_op *op = as(name, version, ins, &other);
    return op->scratch ? op->scratch(&other) : 0;
}

size_t mc_fused_gemm_scratch(const mc_call *call)
{
    return scratch_as("Gemm", 13, 3, call);
}

/* ---- FusedConv: X, W, B?, Z? ---- */

static mc_status conv_activation(const mc_node *node, activation *f, mc_err *err)
{
    *f = (activation){.name = mc_node_text(node, "activation", "")};
    const mc_attr *params = mc_node_attr(node, "activation_params");
    const size_t n = params && params->f ? params->count : 0;
    const bool one = strcmp(f->name, "LeakyRelu") == 0;
    const bool two = strcmp(f->name, "Clip") == 0 || strcmp(f->name, "HardSigmoid") == 0;
    if (n != (two ? 2u : one ? 1u : 0u) && (one || two))
        return mc_fail(err, MC_E_FORMAT, "activation_params has %zu numbers; allowed are %d for %s",
                       n, two ? 2 : 1, f->name);
    if (n > 0) f->a = params->f[0];
    if (n > 1) f->b = params->f[1];
    return check_activation(f, err);
}

mc_status mc_fused_conv_shape(const mc_call *call, mc_err *err)
{
    mc_call conv = *call;
    activation f;
    MC_TRY(need_f32(call, err));
    MC_TRY(conv_activation(call->node, &f, err));
    MC_TRY(as("Conv", 11, 3, &conv)->shape(&conv, err));
    const mc_nd *y = call->out[0];
    if (!y || y->ndim < 0) return MC_OK;
    int64_t dim[MC_MAX_DIMS];
    memcpy(dim, y->dim, sizeof dim);
    return mc_arg_dims(call, 3, y->ndim, dim, err);
}

mc_status mc_fused_conv_run(const mc_call *call, mc_err *err)
{
    mc_call conv = *call;
    activation f;
    MC_TRY(conv_activation(call->node, &f, err));
    MC_TRY(as("Conv", 11, 3, &conv)->run(&conv, err));
    const mc_nd *plus = mc_arg_in(call, 3);
    mc_nd *y = call->out[0];
    for (size_t i = 0; plus && i < y->count; i++)
        ((float *)y->data)[i] += ((const float *)plus->data)[i];
    activate(&f, y->data, y->count);
    return MC_OK;
}

size_t mc_fused_conv_scratch(const mc_call *call)
{
    return scratch_as("Conv", 11, 3, call);
}

/* ---- FusedMatMul: matrices, and the stacks they stand in, may be transposed ---- */

/* Where dimension d of the operand comes from; false when nothing moves. */
static bool operand_order(const mc_call *call, size_t i, int order[MC_MAX_DIMS])
{
    const int n = call->in[i]->ndim;
    const bool swap = n > 1 && mc_node_int(call->node, i ? "transB" : "transA", 0) != 0;
    const bool stack = n > 2 && mc_node_int(call->node, i ? "transBatchB" : "transBatchA", 0) != 0;
    for (int d = 0; d < n; d++) order[d] = d;
    for (int d = 0; stack && d < n - 1; d++) order[d] = d < n - 2 ? d + 1 : 0;
    if (swap) {
        const int last = order[n - 1];
        order[n - 1] = order[n - 2];
        order[n - 2] = last;
    }
    return swap || stack;
}

/* The operand as MatMul wants it, without its numbers where they have to move. */
static bool turn(const mc_call *call, size_t i, mc_nd *out)
{
    int order[MC_MAX_DIMS];
    const mc_nd *t = call->in[i];
    *out = *t;
    if (t->ndim < 0 || !operand_order(call, i, order)) return false;
    for (int d = 0; d < t->ndim; d++) out->dim[d] = t->dim[order[d]];
    out->data = NULL;
    return true;
}

static mc_status move_operand(const mc_call *call, size_t i, mc_nd *out, mc_arena *scratch,
                              mc_err *err)
{
    int order[MC_MAX_DIMS];
    int64_t from[MC_MAX_DIMS], to[MC_MAX_DIMS];
    const mc_nd *t = call->in[i];
    if (!turn(call, i, out)) return MC_OK;
    const size_t width = mc_nd_width(t->dtype);
    out->data = mc_alloc_raw(scratch, t->count, width);
    if (!out->data) return mc_no_room(err, "a transposed matrix");
    operand_order(call, i, order);
    mc_move_strides(t, from);
    mc_move_strides(out, to);
    mc_move move = {0};
    for (int d = 0; d < t->ndim; d++) mc_move_add(&move, out->dim[d], from[order[d]], to[d]);
    if (t->count > 0) mc_move_run(&move, width, t->data, out->data);
    return MC_OK;
}

mc_status mc_fused_matmul_shape(const mc_call *call, mc_err *err)
{
    mc_call matmul = *call;
    mc_nd a, b;
    const mc_nd *in[] = {&a, &b};
    MC_TRY(mc_arg_floats(call, 0, 2, err));
    turn(call, 0, &a);
    turn(call, 1, &b);
    matmul.in = in;
    return as("MatMul", 13, 2, &matmul)->shape(&matmul, err);
}

mc_status mc_fused_matmul_run(const mc_call *call, mc_err *err)
{
    mc_call matmul = *call;
    mc_nd a, b;
    const mc_nd *in[] = {&a, &b};
    MC_TRY(move_operand(call, 0, &a, &matmul.scratch, err));
    MC_TRY(move_operand(call, 1, &b, &matmul.scratch, err));
    matmul.in = in;
    MC_TRY(as("MatMul", 13, 2, &matmul)->run(&matmul, err));
    const double alpha = mc_node_float(call->node, "alpha", 1.0);
    mc_nd *y = call->out[0];
    for (size_t i = 0; alpha != 1.0 && i < y->count; i++) {
        if (mc_arg_is_f64(y))
            ((double *)y->data)[i] *= alpha;
        else
            ((float *)y->data)[i] *= (float)alpha;
    }
    return MC_OK;
}

size_t mc_fused_matmul_scratch(const mc_call *call)
{
    size_t bytes = scratch_as("MatMul", 13, 2, call);
    for (size_t i = 0; i < 2; i++) {
        mc_nd t;
        if (turn(call, i, &t))
            bytes = mc_arg_plus(bytes, mc_arg_bytes(t.count, mc_nd_width(t.dtype)));
    }
    return bytes;
}
