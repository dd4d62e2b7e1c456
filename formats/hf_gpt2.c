/* GPT-2: norms in front, queries, keys and values from one matrix. Its matrices are stored
 * [in, out], so they are multiplied as they are. */
#include "formats/hf_classic.h"

#include <inttypes.h>
#include <math.h>

typedef struct {
    uint64_t vocab, context, width, layers, heads, inner;
    double epsilon;
    bool scaled, scaled_by_layer;
    const char *function, *prefix;
} gpt2;

static void read(mc_hf *h, gpt2 *m)
{
    m->vocab = mc_hf_need(h, "vocab_size", 1, MC_HF_VOCAB);
    m->context = mc_hf_need(h, "n_positions", 1, MC_HF_CONTEXT);
    m->width = mc_hf_need(h, "n_embd", 1, MC_HF_WIDTH);
    m->layers = mc_hf_need(h, "n_layer", 1, MC_HF_LAYERS);
    m->heads = mc_hf_need(h, "n_head", 1, MC_HF_HEADS);
    mc_hf_divides(h, "n_head", m->heads, "n_embd", m->width);
    m->inner = mc_hf_count(h, "n_inner", 1, MC_HF_WIDTH, 4 * m->width);
    m->epsilon = mc_hf_real(h, NULL, "layer_norm_epsilon", 0, 1, 1e-5);
    m->scaled = mc_hf_flag(h, "scale_attn_weights", true);
    m->scaled_by_layer = mc_hf_flag(h, "scale_attn_by_inverse_layer_idx", false);
    m->function = mc_hf_text(h, NULL, "activation_function", "gelu_new");
    m->prefix = mc_hf_prefix(h, "transformer.", "wte.weight");
    if (mc_hf_flag(h, "add_cross_attention", false))
        mc_hf_fail(h, MC_E_UNSUPPORTED, "add_cross_attention is true, which cannot be run");
}

/* x W + b with W [in, out]. */
static mc_id product(mc_hf *h, const char *at, mc_id x, uint64_t in, uint64_t out)
{
    const mc_id w = mc_hf_matrix(h, mc_hf_name(h, "%s.weight", at), in, out);
    const mc_id b = mc_hf_vector(h, mc_hf_name(h, "%s.bias", at), out);
    x = mc_hf_node(h, "MatMul", at, (mc_id[]){x, w}, 2);
    return mc_hf_add(h, mc_hf_name(h, "%s.added", at), x, b);
}

static mc_id attention(mc_hf *h, const char *at, mc_id x, const gpt2 *m, uint64_t layer)
{
    const int64_t part = (int64_t)m->width, size[] = {part, part, part};
    const char *name = mc_hf_name(h, "%s.c_attn", at);
    const mc_id all = product(h, name, x, m->width, 3 * m->width);
    mc_id qkv[3];
    mc_hf_split(h, all, mc_hf_name(h, "%s.part", name), &(mc_hf_parts){-1, 3, size}, qkv);

    mc_hf_attention a = {.heads = m->heads,
                         .kv_heads = m->heads,
                         .scale = m->scaled ? sqrt((double)m->heads / (double)m->width) : 1,
                         .causal = true,
                         .mask = MC_NONE};
    if (m->scaled_by_layer) a.scale /= (double)(layer + 1);
    const mc_id y = mc_hf_attend(h, at, qkv, &a);
    return product(h, mc_hf_name(h, "%s.c_proj", at), y, m->width, m->width);
}

static mc_id mlp(mc_hf *h, const char *at, mc_id x, const gpt2 *m)
{
    const char *act = mc_hf_name(h, "%s.act", at);
    x = product(h, mc_hf_name(h, "%s.c_fc", at), x, m->width, m->inner);
    x = mc_hf_activation(h, "activation_function", m->function, x, act);
    return product(h, mc_hf_name(h, "%s.c_proj", at), x, m->inner, m->width);
}

static mc_id block(mc_hf *h, mc_id x, const gpt2 *m, uint64_t i)
{
    const char *at = mc_hf_name(h, "%sh.%" PRIu64, m->prefix, i);
    mc_id y = mc_hf_layer_norm(h, mc_hf_name(h, "%s.ln_1", at), x, m->width, m->epsilon);
    y = attention(h, mc_hf_name(h, "%s.attn", at), y, m, i);
    x = mc_hf_add(h, mc_hf_name(h, "%s.attention_added", at), x, y);
    y = mc_hf_layer_norm(h, mc_hf_name(h, "%s.ln_2", at), x, m->width, m->epsilon);
    y = mlp(h, mc_hf_name(h, "%s.mlp", at), y, m);
    return mc_hf_add(h, mc_hf_name(h, "%s.mlp_added", at), x, y);
}

static mc_id body(mc_hf *h, const gpt2 *m, mc_id *table)
{
    const mc_id ids = mc_hf_input_ids(h, "input_ids");
    const uint64_t positions[] = {m->context, m->width};
    const char *wte = mc_hf_name(h, "%swte", m->prefix), *wpe = mc_hf_name(h, "%swpe", m->prefix);
    mc_id x = mc_hf_embedding(h, wte, ids, m->vocab, m->width, table);
    x = mc_hf_add(h, "embedded", x, mc_hf_learned_positions(h, wpe, ids, positions, 0));
    for (uint64_t i = 0; i < m->layers && mc_hf_ok(h); i++) x = block(h, x, m, i);
    return mc_hf_layer_norm(h, mc_hf_name(h, "%sln_f", m->prefix), x, m->width, m->epsilon);
}

static mc_status build(mc_family_build *b, mc_err *err)
{
    mc_hf h = mc_hf_begin(b, err);
    gpt2 m = {0};
    mc_id table;
    read(&h, &m);
    b->model->context = m.context;
    const mc_id x = body(&h, &m, &table);
    if (mc_hf_is(&h, "GPT2Model")) return mc_hf_done(&h, x, "last_hidden_state");

    b->model->task = MC_TASK_LANGUAGE;
    b->model->tied_head = mc_hf_flag(&h, "tie_word_embeddings", true);
    const mc_id y = b->model->tied_head ? mc_hf_times(&h, "lm_head", x, table)
                                        : mc_hf_linear(&h, "lm_head", x, m.width, m.vocab, false);
    return mc_hf_done(&h, y, "logits");
}

static const char *const names[] = {"GPT2LMHeadModel", "GPT2Model", NULL};

const mc_family mc_family_gpt2 = {.architectures = names, .build = build};
