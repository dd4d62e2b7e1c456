/* OPT: a decoder with ReLU, its norms in front of attention and MLP, or behind them in the model of
 * 350 million weights; embeddings may be narrower than the layers. */
#include "formats/hf_classic.h"

#include <inttypes.h>

enum { FIRST_POSITION = 2 }; /* rows of the table in front are left over from training */

typedef struct {
    uint64_t vocab, context, width, inner, layers, heads;
    uint64_t embedded; /* width of the embedding */
    bool bias, affine, norm_first, norm_last, tied;
    const char *function, *prefix;
} opt;

static void read(mc_hf *h, opt *m)
{
    m->vocab = mc_hf_need(h, "vocab_size", 1, MC_HF_VOCAB);
    m->context = mc_hf_need(h, "max_position_embeddings", 1, MC_HF_CONTEXT);
    m->width = mc_hf_need(h, "hidden_size", 1, MC_HF_WIDTH);
    m->inner = mc_hf_need(h, "ffn_dim", 1, MC_HF_WIDTH);
    m->layers = mc_hf_need(h, "num_hidden_layers", 1, MC_HF_LAYERS);
    m->heads = mc_hf_need(h, "num_attention_heads", 1, MC_HF_HEADS);
    mc_hf_divides(h, "num_attention_heads", m->heads, "hidden_size", m->width);
    m->embedded = mc_hf_count(h, "word_embed_proj_dim", 1, MC_HF_WIDTH, m->width);
    m->bias = mc_hf_flag(h, "enable_bias", true);
    m->affine = mc_hf_flag(h, "layer_norm_elementwise_affine", true);
    m->norm_first = mc_hf_flag(h, "do_layer_norm_before", true);
    m->norm_last = m->norm_first && !mc_hf_flag(h, "_remove_final_layer_norm", false);
    m->tied = mc_hf_flag(h, "tie_word_embeddings", true);
    m->function = mc_hf_text(h, NULL, "activation_function", "relu");
    m->prefix = mc_hf_prefix(h, "model.", "decoder.embed_tokens.weight");
}

static mc_id norm(mc_hf *h, const char *at, mc_id x, const opt *m)
{
    static const double epsilon = 1e-5;
    if (m->affine) return mc_hf_layer_norm(h, at, x, m->width, epsilon);
    const mc_id ones = mc_hf_ones(h, mc_hf_name(h, "%s.ones", at), (size_t)m->width);
    x = mc_hf_node(h, "LayerNormalization", at, (mc_id[]){x, ones}, 2);
    mc_hf_int(h, "axis", -1);
    mc_hf_float(h, "epsilon", epsilon);
    return x;
}

static mc_id attention(mc_hf *h, const char *at, mc_id x, const opt *m)
{
    const mc_hf_heads a = {.part = {"q_proj", "k_proj", "v_proj", "out_proj"},
                           .bias = {m->bias, m->bias, m->bias, m->bias},
                           .width = m->width,
                           .heads = m->heads,
                           .causal = true,
                           .mask = MC_NONE};
    return mc_hf_multi_head(h, at, (mc_id[]){x, x}, &a);
}

static mc_id layer(mc_hf *h, mc_id x, const opt *m, uint64_t i)
{
    const char *at = mc_hf_name(h, "%sdecoder.layers.%" PRIu64, m->prefix, i);
    const char *first = mc_hf_name(h, "%s.self_attn_layer_norm", at);
    const char *second = mc_hf_name(h, "%s.final_layer_norm", at);
    const mc_hf_mlp mlp = {.first = "fc1",
                           .second = "fc2",
                           .width = m->width,
                           .inner = m->inner,
                           .bias = m->bias,
                           .key = "activation_function",
                           .function = m->function};

    mc_id y = m->norm_first ? norm(h, first, x, m) : x;
    y = attention(h, mc_hf_name(h, "%s.self_attn", at), y, m);
    x = mc_hf_add(h, mc_hf_name(h, "%s.attention_added", at), x, y);
    if (!m->norm_first) x = norm(h, first, x, m);

    y = m->norm_first ? norm(h, second, x, m) : x;
    y = mc_hf_two_layers(h, at, y, &mlp);
    x = mc_hf_add(h, mc_hf_name(h, "%s.mlp_added", at), x, y);
    return m->norm_first ? x : norm(h, second, x, m);
}

static mc_status build(mc_family_build *b, mc_err *err)
{
    mc_hf h = mc_hf_begin(b, err);
    opt m = {0};
    read(&h, &m);
    b->model->task = MC_TASK_LANGUAGE;
    b->model->context = m.context;
    b->model->tied_head = m.tied;

    mc_id table;
    const char *at = mc_hf_name(&h, "%sdecoder", m.prefix);
    const char *tokens = mc_hf_name(&h, "%s.embed_tokens", at);
    const char *positions = mc_hf_name(&h, "%s.embed_positions", at);
    const uint64_t rows_width[] = {m.context + FIRST_POSITION, m.width};
    const bool narrow = m.embedded != m.width;

    const mc_id ids = mc_hf_input_ids(&h, "input_ids");
    mc_id x = mc_hf_embedding(&h, tokens, ids, m.vocab, m.embedded, &table);
    if (narrow)
        x = mc_hf_linear(&h, mc_hf_name(&h, "%s.project_in", at), x, m.embedded, m.width, false);
    x = mc_hf_add(&h, "embedded", x,
                  mc_hf_learned_positions(&h, positions, ids, rows_width, FIRST_POSITION));
    for (uint64_t i = 0; i < m.layers && mc_hf_ok(&h); i++) x = layer(&h, x, &m, i);
    if (m.norm_last) x = norm(&h, mc_hf_name(&h, "%s.final_layer_norm", at), x, &m);
    if (narrow)
        x = mc_hf_linear(&h, mc_hf_name(&h, "%s.project_out", at), x, m.width, m.embedded, false);
    x = m.tied ? mc_hf_times(&h, "lm_head", x, table)
               : mc_hf_linear(&h, "lm_head", x, m.embedded, m.vocab, false);
    return mc_hf_done(&h, x, "logits");
}

static const char *const names[] = {"OPTForCausalLM", NULL};

const mc_family mc_family_opt = {.architectures = names, .build = build};
