/* LSTM, GRU, RNN: what a node asks for. op_recurrent_run.c does it. */
#include "core/ops/op_recurrent_shared.h"

#include "core/ops/op_args_shared.h"
#include "core/ops/op_math_shared.h"

#include <math.h>
#include <string.h>

/* ---- activations ---- */

static void run_tanh(const mc_activation *a, float *x, size_t n)
{
    (void)a;
    mc_tanh_f32(x, x, n);
}

static void run_sigmoid(const mc_activation *a, float *x, size_t n)
{
    (void)a;
    mc_sigmoid_f32(x, x, n);
}

#define ACTIVATION(name, expression)                                   \
    static void run_##name(const mc_activation *a, float *x, size_t n) \
    {                                                                  \
        const float alpha = a->alpha, beta = a->beta;                  \
        (void)alpha;                                                   \
        (void)beta;                                                    \
        for (size_t i = 0; i < n; i++) {                               \
            const float v = x[i];                                      \
            x[i] = (expression);                                       \
        }                                                              \
    }
ACTIVATION(relu, v < 0.0f ? 0.0f : v)
ACTIVATION(affine, alpha *v + beta)
ACTIVATION(leaky_relu, v < 0.0f ? alpha * v : v)
ACTIVATION(thresholded_relu, v < alpha ? 0.0f : v)
ACTIVATION(scaled_tanh, alpha *tanhf(beta *v))
ACTIVATION(hard_sigmoid, fminf(fmaxf(alpha *v + beta, 0.0f), 1.0f))
ACTIVATION(elu, v < 0.0f ? alpha * expm1f(v) : v)
ACTIVATION(softsign, v / (1.0f + fabsf(v)))
ACTIVATION(softplus, v > 0.0f ? v + log1pf(expf(-v)) : log1pf(expf(v)))

static const mc_activation activations[] = {
    {"Sigmoid", 0, 0.0f, 0.0f, run_sigmoid},
    {"Tanh", 0, 0.0f, 0.0f, run_tanh},
    {"Relu", 0, 0.0f, 0.0f, run_relu},
    {"Affine", 2, 1.0f, 0.0f, run_affine},
    {"LeakyRelu", 1, 0.01f, 0.0f, run_leaky_relu},
    {"ThresholdedRelu", 1, 1.0f, 0.0f, run_thresholded_relu},
    {"ScaledTanh", 2, 1.0f, 1.0f, run_scaled_tanh},
    {"HardSigmoid", 2, 0.2f, 0.5f, run_hard_sigmoid},
    {"Elu", 1, 1.0f, 0.0f, run_elu},
    {"Softsign", 0, 0.0f, 0.0f, run_softsign},
    {"Softplus", 0, 0.0f, 0.0f, run_softplus},
};

enum { ACTIVATIONS = sizeof activations / sizeof *activations };

/* Names are told apart without regard to case, as exporters write them in several. */
static bool same_name(const char *a, const char *b)
{
    for (; *a && *b; a++, b++) {
        const int x = *a >= 'A' && *a <= 'Z' ? *a + 32 : *a,
                  y = *b >= 'A' && *b <= 'Z' ? *b + 32 : *b;
        if (x != y) return false;
    }
    return *a == *b;
}

/* ---- the three cells ---- */

typedef struct {
    int gates, activations; /* for each direction */
    const char *otherwise[MC_CELL_ACTIVATIONS];
} cell;

static const cell cells[] = {
    [MC_RNN] = {1, 1, {"Tanh"}},
    [MC_GRU] = {3, 2, {"Sigmoid", "Tanh"}},
    [MC_LSTM] = {4, 3, {"Sigmoid", "Tanh", "Tanh"}},
};

/* ---- attributes ---- */

static mc_status read_direction(const mc_call *call, mc_recurrent *l, mc_err *err)
{
    const char *name = mc_node_text(call->node, "direction", "forward");
    l->directions = 1;
    if (strcmp(name, "bidirectional") == 0) {
        l->directions = 2;
        l->reverse[1] = true;
    } else if (strcmp(name, "reverse") == 0) {
        l->reverse[0] = true;
    } else if (strcmp(name, "forward") != 0) {
        return mc_fail(err, MC_E_FORMAT, "direction is '%.40s' (forward, reverse, bidirectional)",
                       name);
    }
    return MC_OK;
}

static mc_status find_activation(const char *name, mc_activation *out, mc_err *err)
{
    for (size_t i = 0; i < ACTIVATIONS; i++) {
        if (!same_name(activations[i].name, name)) continue;
        *out = activations[i];
        return MC_OK;
    }
    return mc_fail(err, MC_E_FORMAT, "activation '%.40s' is not known", name);
}

/* The next number of a list of floats, when one is left. */
static void take_number(const mc_attr *list, size_t *at, float *out)
{
    if (list && list->kind == MC_ATTR_FLOATS && *at < list->count) *out = list->f[(*at)++];
}

/* activation_alpha and activation_beta have numbers only for functions that take them. */
static mc_status read_activations(const mc_call *call, mc_recurrent *l, mc_err *err)
{
    const mc_attr *names = mc_node_attr(call->node, "activations");
    const mc_attr *alpha = mc_node_attr(call->node, "activation_alpha");
    const mc_attr *beta = mc_node_attr(call->node, "activation_beta");
    const size_t each = (size_t)cells[l->kind].activations, needed = each * (size_t)l->directions;
    if (names && (names->kind != MC_ATTR_STRINGS || names->count != needed))
        return mc_fail(err, MC_E_FORMAT, "activations has %zu names (%zu are needed)", names->count,
                       needed);
    size_t alphas = 0, betas = 0;
    for (size_t i = 0; i < needed; i++) {
        mc_activation *act = &l->act[i / each][i % each];
        MC_TRY(find_activation(names ? names->s[i] : cells[l->kind].otherwise[i % each], act, err));
        if (act->takes >= 1) take_number(alpha, &alphas, &act->alpha);
        if (act->takes >= 2) take_number(beta, &betas, &act->beta);
    }
    return MC_OK;
}

static mc_status read_attributes(const mc_call *call, mc_recurrent *l, mc_err *err)
{
    const char *op = call->node->op;
    l->kind = strcmp(op, "LSTM") == 0 ? MC_LSTM : strcmp(op, "GRU") == 0 ? MC_GRU : MC_RNN;
    l->gates = cells[l->kind].gates;
    MC_TRY(read_direction(call, l, err));
    MC_TRY(read_activations(call, l, err));
    const double clip = mc_node_float(call->node, "clip", 0.0);
    if (!(clip >= 0.0)) return mc_fail(err, MC_E_FORMAT, "clip is %g (at least 0)", clip);
    l->clip = (float)clip;
    l->batch_first = call->version >= 14 && mc_node_int(call->node, "layout", 0) != 0;
    l->linear_before_reset = mc_node_int(call->node, "linear_before_reset", 0) != 0;
    l->input_forget = mc_node_int(call->node, "input_forget", 0) != 0;
    return MC_OK;
}

/* ---- shapes ---- */

static mc_status multiple(int64_t dim, int by, const char *what, int64_t *out, mc_err *err)
{
    if (dim >= 0 && dim % by != 0)
        return mc_fail(err, MC_E_FORMAT, "%s has %lld rows, not a multiple of %d", what,
                       (long long)dim, by);
    *out = dim < 0 ? -1 : dim / by;
    return MC_OK;
}

static mc_status check_state(const mc_call *call, size_t i, const mc_recurrent *l, mc_err *err)
{
    int64_t want[3] = {l->directions, l->batch, l->hidden};
    if (l->batch_first) {
        want[0] = l->batch;
        want[1] = l->directions;
    }
    return mc_arg_dims(call, i, 3, want, err);
}

/* All dimensions that the inputs agree on. */
static mc_status read_shapes(const mc_call *call, mc_recurrent *l, mc_err *err)
{
    const int gates = l->gates;
    int64_t x[3] = {-1, -1, -1}, w[3] = {l->directions, -1, -1}, r[3] = {l->directions, -1, -1};
    static const mc_dtype whole[] = {MC_I32, MC_I64, MC_DTYPE_NONE};
    MC_TRY(mc_arg_floats(call, MC_RNN_X, MC_RNN_B + 1, err));
    MC_TRY(mc_arg_floats(call, MC_RNN_H, MC_RNN_P + 1, err));
    MC_TRY(mc_arg_dtype(call, MC_RNN_LENGTHS, whole, err));
    MC_TRY(mc_arg_dims(call, MC_RNN_X, 3, x, err));
    l->steps = x[l->batch_first ? 1 : 0];
    l->batch = x[l->batch_first ? 0 : 1];
    w[2] = x[2];
    MC_TRY(mc_arg_dims(call, MC_RNN_W, 3, w, err));
    l->inputs = w[2];
    r[1] = w[1];
    r[2] = mc_node_int(call->node, "hidden_size", -1);
    if (r[2] < 0) r[2] = -1;
    MC_TRY(mc_arg_dims(call, MC_RNN_R, 3, r, err));
    MC_TRY(multiple(r[1], gates, "R", &l->hidden, err));
    if (l->hidden >= 0 && r[2] >= 0 && r[2] != l->hidden)
        return mc_fail(err, MC_E_FORMAT, "R has %lld columns for %lld rows of %d gates",
                       (long long)r[2], (long long)r[1], gates);
    if (l->hidden < 0) l->hidden = r[2];

    const bool known = l->hidden >= 0 && l->hidden < INT32_MAX;
    int64_t bias[2] = {l->directions, known ? 2 * gates * l->hidden : -1};
    int64_t peep[2] = {l->directions, known ? 3 * l->hidden : -1};
    MC_TRY(mc_arg_dims(call, MC_RNN_B, 2, bias, err));
    MC_TRY(mc_arg_vector(call, MC_RNN_LENGTHS, &l->batch, err));
    MC_TRY(check_state(call, MC_RNN_H, l, err));
    if (l->kind != MC_LSTM) return MC_OK;
    MC_TRY(check_state(call, MC_RNN_C, l, err));
    return mc_arg_dims(call, MC_RNN_P, 2, peep, err);
}

static mc_status read_layer(const mc_call *call, mc_recurrent *l, mc_err *err)
{
    *l = (mc_recurrent){0};
    MC_TRY(read_attributes(call, l, err));
    return read_shapes(call, l, err);
}

static mc_status shape_recurrent(const mc_call *call, mc_err *err)
{
    mc_recurrent l;
    MC_TRY(read_layer(call, &l, err));
    const mc_dtype dtype = call->in[MC_RNN_X]->dtype;
    const int64_t y[4] = {l.steps, l.directions, l.batch, l.hidden};
    const int64_t y_batch[4] = {l.batch, l.steps, l.directions, l.hidden};
    const int64_t last[3] = {l.directions, l.batch, l.hidden};
    const int64_t last_batch[3] = {l.batch, l.directions, l.hidden};
    MC_TRY(mc_arg_set(call, 0, dtype, 4, l.batch_first ? y_batch : y, err));
    MC_TRY(mc_arg_set(call, 1, dtype, 3, l.batch_first ? last_batch : last, err));
    return mc_arg_set(call, 2, dtype, 3, l.batch_first ? last_batch : last, err);
}

static size_t scratch_recurrent(const mc_call *call)
{
    mc_recurrent l;
    mc_err err;
    if (read_layer(call, &l, &err) != MC_OK || l.steps < 0 || l.batch < 0 || l.inputs < 0 ||
        l.hidden < 0)
        return 0;
    return mc_recurrent_scratch(call, &l);
}

static mc_status run_recurrent(const mc_call *call, mc_err *err)
{
    mc_recurrent l;
    MC_TRY(read_layer(call, &l, err));
    return mc_recurrent_run(call, &l, err);
}

#define LINE(op, ins, outs)                                                                    \
    .domain = "", .name = op, .since = 1, .least_in = 3, .most_in = (ins), .most_out = (outs), \
    .shape = shape_recurrent, .run = run_recurrent, .scratch = scratch_recurrent

const mc_op mc_ops_recurrent[] = {
    {LINE("RNN", 6, 2)},
    {LINE("GRU", 6, 2)},
    {LINE("LSTM", 8, 3)},
    {.domain = NULL},
};
