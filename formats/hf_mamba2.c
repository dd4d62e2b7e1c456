/* Mamba-2: a state that is carried from token to token instead of attention. Each layer projects
 * to a gate, to what enters the state (through a short causal convolution) and to time steps. */
#include "formats/hf_blocks.h"
#include "formats/json_pull.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

typedef struct {
    uint64_t vocab, hidden, layers, heads, head_dim, state, groups, kernel;
    uint64_t inner; /* heads * head_dim */
    uint64_t mixed; /* channels of the convolution: inner, and two times groups * state */
    double epsilon;
    double step[2]; /* limits of time steps */
    bool bias, conv_bias;
    const char *function;
} mamba;

/* The upper limit is mostly infinite: null, or as newer libraries write it an object. */
static void read_limits(mc_hf *h, mamba *m)
{
    m->step[0] = 0;
    m->step[1] = (double)INFINITY;
    const mc_json *list = mc_hf_get(h, NULL, "time_step_limit");
    if (!list || !mc_hf_ok(h)) return;

    char text[MC_HF_SHOWN];
    if (mc_json_is_object(list) || mc_json_count(list) != 2) {
        mc_hf_fail(h, MC_E_FORMAT, "time_step_limit is %s, a list of two numbers is allowed",
                   mc_hf_show(list, text));
        return;
    }
    for (size_t i = 0; i < 2; i++) {
        const mc_json *limit = mc_json_at(list, i);
        const char *word = mc_json_as_text(mc_json_get(limit, "__float__"), "");
        const bool endless = mc_json_is_null(limit) || strcmp(word, "Infinity") == 0;
        m->step[i] = mc_json_as_num(limit, endless ? (double)INFINITY : (double)NAN);
    }
    if (!(m->step[0] >= 0 && isfinite(m->step[0]) && m->step[1] >= m->step[0]))
        mc_hf_fail(h, MC_E_FORMAT,
                   "time_step_limit is %s, two numbers from 0 on that grow are allowed",
                   mc_hf_show(list, text));
}

static void read(mc_hf *h, mamba *m)
{
    m->vocab = mc_hf_need(h, "vocab_size", 1, MC_HF_VOCAB);
    m->hidden = mc_hf_need(h, "hidden_size", 1, MC_HF_WIDTH);
    m->layers = mc_hf_need(h, "num_hidden_layers", 1, MC_HF_LAYERS);
    m->heads = mc_hf_need(h, "num_heads", 1, MC_HF_HEADS);
    m->head_dim = mc_hf_need(h, "head_dim", 1, MC_HF_HEADS);
    m->state = mc_hf_need(h, "state_size", 1, MC_HF_HEADS);
    m->groups = mc_hf_count(h, "n_groups", 1, MC_HF_HEADS, 8);
    m->kernel = mc_hf_count(h, "conv_kernel", 1, 1024, 4);
    m->epsilon = mc_hf_real(h, NULL, "layer_norm_epsilon", 0, 1, 1e-5);
    m->bias = mc_hf_flag(h, "use_bias", false);
    m->conv_bias = mc_hf_flag(h, "use_conv_bias", true);
    m->function = mc_hf_text(h, NULL, "hidden_act", "silu");
    m->inner = m->heads * m->head_dim;
    m->mixed = m->inner + 2 * m->groups * m->state;
    read_limits(h, m);

    const double expand = mc_hf_real(h, NULL, "expand", 0.01, 1024, 2);
    if (mc_hf_ok(h) && m->inner != (uint64_t)(expand * (double)m->hidden))
        mc_hf_fail(h, MC_E_FORMAT,
                   "num_heads %" PRIu64 " times head_dim %" PRIu64
                   " must be expand %g times hidden_size %" PRIu64,
                   m->heads, m->head_dim, expand, m->hidden);
    mc_hf_divides(h, "n_groups", m->groups, "num_heads", m->heads);
}

/* Each channel by itself, over this and earlier positions. */
static mc_id convolve(mc_hf *h, const char *at, mc_id x, const mamba *m)
{
    static const int64_t swap[] = {0, 2, 1};
    const char *name = mc_hf_name(h, "%s.conv1d", at);
    const mc_hf_kernel kernel = {m->conv_bias, 3, {m->mixed, 1, m->kernel}};
    x = mc_hf_transpose(h, x, mc_hf_name(h, "%s.channels", name), swap, 3);
    x = mc_hf_conv(h, name, x, &kernel);
    mc_hf_int(h, "group", (int64_t)m->mixed);
    mc_hf_int_list(h, "pads", (int64_t[]){(int64_t)m->kernel - 1, 0}, 2);
    x = mc_hf_activation(h, "hidden_act", m->function, x, mc_hf_name(h, "%s.act", name));
    return mc_hf_transpose(h, x, mc_hf_name(h, "%s.tokens", name), swap, 3);
}

/* softplus(dt + bias), between its limits. */
static mc_id time_steps(mc_hf *h, const char *at, mc_id dt, const mamba *m)
{
    const mc_id bias = mc_hf_vector(h, mc_hf_name(h, "%s.dt_bias", at), m->heads);
    dt = mc_hf_node(h, "Add", mc_hf_name(h, "%s.dt", at), (mc_id[]){dt, bias}, 2);
    dt = mc_hf_node(h, "Softplus", mc_hf_name(h, "%s.dt_positive", at), &dt, 1);
    if (m->step[0] == 0 && isinf(m->step[1])) return dt;

    mc_id in[3] = {dt, mc_hf_scalar(h, mc_hf_name(h, "%s.dt_least", at), m->step[0]), MC_NONE};
    if (isfinite(m->step[1])) in[2] = mc_hf_scalar(h, mc_hf_name(h, "%s.dt_most", at), m->step[1]);
    const char *name = mc_hf_name(h, "%s.dt_limited", at);
    return mc_hf_node(h, "Clip", name, in, isfinite(m->step[1]) ? 3 : 2);
}

/* Norm of y * silu(gate) over each group, times one weight for all. */
static mc_id gated_norm(mc_hf *h, const char *at, const mc_id y_gate[2], const mamba *m)
{
    const char *name = mc_hf_name(h, "%s.norm", at);
    const mc_id open = mc_hf_own(h, "SiLU", mc_hf_name(h, "%s.gate", name), &y_gate[1], 1);
    mc_id y = mc_hf_node(h, "Mul", mc_hf_name(h, "%s.gated", name), (mc_id[]){y_gate[0], open}, 2);
    if (m->groups == 1) return mc_hf_rms_norm(h, name, y, m->inner, m->epsilon);

    const int64_t group = (int64_t)(m->inner / m->groups);
    const int64_t apart[] = {0, 0, -1, group}, together[] = {0, 0, -1};
    y = mc_hf_reshape(h, y, mc_hf_name(h, "%s.groups", name), apart, 4);
    const mc_id ones = mc_hf_ones(h, mc_hf_name(h, "%s.ones", name), (size_t)group);
    y = mc_hf_node(h, "RMSNormalization", name, (mc_id[]){y, ones}, 2);
    mc_hf_int(h, "axis", -1);
    mc_hf_float(h, "epsilon", m->epsilon);
    y = mc_hf_reshape(h, y, mc_hf_name(h, "%s.joined", name), together, 3);
    const mc_id w = mc_hf_vector(h, mc_hf_name(h, "%s.weight", name), m->inner);
    return mc_hf_node(h, "Mul", mc_hf_name(h, "%s.scaled", name), (mc_id[]){y, w}, 2);
}

/* x [batch, sequence, mixed] and time steps through the state. */
static mc_id scan(mc_hf *h, const char *at, const mc_id x_dt[2], const mamba *m)
{
    const int64_t inner = (int64_t)m->inner, each = (int64_t)(m->groups * m->state);
    const int64_t size[] = {inner, each, each};
    const int64_t heads[] = {0, 0, (int64_t)m->heads, (int64_t)m->head_dim};
    const int64_t groups[] = {0, 0, (int64_t)m->groups, (int64_t)m->state};
    mc_id part[3];
    mc_hf_split(h, x_dt[0], mc_hf_name(h, "%s.xbc", at), &(mc_hf_parts){-1, 3, size}, part);
    const mc_id x = mc_hf_reshape(h, part[0], mc_hf_name(h, "%s.x", at), heads, 4);
    const mc_id b = mc_hf_reshape(h, part[1], mc_hf_name(h, "%s.b", at), groups, 4);
    const mc_id c = mc_hf_reshape(h, part[2], mc_hf_name(h, "%s.c", at), groups, 4);

    const mc_id log_a = mc_hf_vector(h, mc_hf_name(h, "%s.A_log", at), m->heads);
    mc_id a = mc_hf_node(h, "Exp", mc_hf_name(h, "%s.A_exp", at), &log_a, 1);
    a = mc_hf_node(h, "Neg", mc_hf_name(h, "%s.A", at), &a, 1);
    const mc_id skip = mc_hf_vector(h, mc_hf_name(h, "%s.D", at), m->heads);

    const mc_id in[] = {x, x_dt[1], a, b, c, skip};
    const mc_id y = mc_hf_own(h, "SelectiveScan", mc_hf_name(h, "%s.scan", at), in, 6);
    return mc_hf_reshape(h, y, mc_hf_name(h, "%s.y", at), (int64_t[]){0, 0, inner}, 3);
}

static mc_id mixer(mc_hf *h, const char *at, mc_id x, const mamba *m)
{
    const int64_t size[] = {(int64_t)m->inner, (int64_t)m->mixed, (int64_t)m->heads};
    const uint64_t all = m->inner + m->mixed + m->heads;
    mc_id part[3];
    x = mc_hf_linear(h, mc_hf_name(h, "%s.in_proj", at), x, m->hidden, all, m->bias);
    mc_hf_split(h, x, mc_hf_name(h, "%s.part", at), &(mc_hf_parts){-1, 3, size}, part);

    const mc_id mixed = convolve(h, at, part[1], m);
    const mc_id dt = time_steps(h, at, part[2], m);
    const mc_id y = scan(h, at, (mc_id[]){mixed, dt}, m);
    x = gated_norm(h, at, (mc_id[]){y, part[0]}, m);
    return mc_hf_linear(h, mc_hf_name(h, "%s.out_proj", at), x, m->inner, m->hidden, m->bias);
}

static mc_status build(mc_family_build *b, mc_err *err)
{
    mc_hf h = mc_hf_begin(b, err);
    mamba m = {0};
    read(&h, &m);
    const bool tied = mc_hf_flag(&h, "tie_word_embeddings", false);
    b->model->task = MC_TASK_LANGUAGE;
    b->model->tied_head = tied;

    mc_id table;
    const mc_id ids = mc_hf_input_ids(&h, "input_ids");
    mc_id x = mc_hf_embedding(&h, "backbone.embeddings", ids, m.vocab, m.hidden, &table);
    for (uint64_t i = 0; i < m.layers && mc_hf_ok(&h); i++) {
        const char *at = mc_hf_name(&h, "backbone.layers.%" PRIu64, i);
        mc_id y = mc_hf_rms_norm(&h, mc_hf_name(&h, "%s.norm", at), x, m.hidden, m.epsilon);
        y = mixer(&h, mc_hf_name(&h, "%s.mixer", at), y, &m);
        x = mc_hf_node(&h, "Add", mc_hf_name(&h, "%s.added", at), (mc_id[]){x, y}, 2);
    }
    x = mc_hf_rms_norm(&h, "backbone.norm_f", x, m.hidden, m.epsilon);
    x = tied ? mc_hf_times(&h, "lm_head", x, table)
             : mc_hf_linear(&h, "lm_head", x, m.hidden, m.vocab, false);
    return mc_hf_done(&h, x, "logits");
}

static const char *const names[] = {"Mamba2ForCausalLM", NULL};

const mc_family mc_family_mamba2 = {.architectures = names, .build = build};
