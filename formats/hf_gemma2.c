/* Gemma-2: norms that scale by 1 + w, before and behind attention and MLP; soft caps on scores and
 * logits; every other layer sees a window; embeddings scaled by the root of their width. */
#include "formats/hf_decoder.h"

#include <inttypes.h>
#include <math.h>

/* The first, third, … layer sees the window. */
static bool even(const mc_hf_decoder *d, uint64_t layer)
{
    (void)d;
    return layer % 2 == 0;
}

static mc_id norm(mc_hf *h, const char *at, mc_id x, const mc_hf_decoder *d)
{
    const mc_id w = mc_hf_vector(h, mc_hf_name(h, "%s.weight", at), d->hidden);
    const mc_id one = mc_hf_scalar(h, mc_hf_name(h, "%s.one", at), 1);
    const mc_id scale = mc_hf_node(h, "Add", mc_hf_name(h, "%s.scale", at), (mc_id[]){w, one}, 2);
    const mc_id y = mc_hf_node(h, "RMSNormalization", at, (mc_id[]){x, scale}, 2);
    mc_hf_int(h, "axis", -1);
    mc_hf_float(h, "epsilon", d->epsilon);
    return y;
}

static mc_id layer(mc_hf *h, mc_id x, const mc_hf_decoder *d, uint64_t i)
{
    const char *at = mc_hf_name(h, "model.layers.%" PRIu64, i);
    const mc_hf_gated m = {
        .width = d->hidden, .inner = d->inner, .key = d->activation, .function = d->function};

    mc_id y = norm(h, mc_hf_name(h, "%s.input_layernorm", at), x, d);
    y = mc_hf_self_attention(h, at, y, d, i);
    y = norm(h, mc_hf_name(h, "%s.post_attention_layernorm", at), y, d);
    x = mc_hf_node(h, "Add", mc_hf_name(h, "%s.attention_added", at), (mc_id[]){x, y}, 2);

    y = norm(h, mc_hf_name(h, "%s.pre_feedforward_layernorm", at), x, d);
    y = mc_hf_gated_mlp(h, mc_hf_name(h, "%s.mlp", at), y, &m);
    y = norm(h, mc_hf_name(h, "%s.post_feedforward_layernorm", at), y, d);
    return mc_hf_node(h, "Add", mc_hf_name(h, "%s.mlp_added", at), (mc_id[]){x, y}, 2);
}

/* cap * tanh(x / cap) */
static mc_id cap(mc_hf *h, mc_id x, double most)
{
    if (!(most > 0)) return x;
    const mc_id by = mc_hf_scalar(h, "lm_head.cap", most);
    x = mc_hf_node(h, "Div", "lm_head.over_cap", (mc_id[]){x, by}, 2);
    x = mc_hf_node(h, "Tanh", "lm_head.tanh", &x, 1);
    return mc_hf_node(h, "Mul", "lm_head.capped", (mc_id[]){x, by}, 2);
}

/* A cap that config.json sets to null is none. */
static double soft_cap(mc_hf *h, const char *key, double otherwise)
{
    const bool said = mc_json_get(h->b->config, key) != NULL;
    return mc_hf_real(h, NULL, key, 1e-3, 1e6, said ? 0 : otherwise);
}

static void read(mc_hf *h, mc_hf_decoder *d)
{
    mc_hf_decoder_read(h, d);
    d->function = mc_hf_text(h, NULL, d->activation, "gelu_pytorch_tanh");
    d->qkv_bias = d->out_bias = mc_hf_flag(h, "attention_bias", false);
    d->scale = 1 / sqrt(mc_hf_real(h, NULL, "query_pre_attn_scalar", 1e-3, 1e6, 256));
    d->softcap = soft_cap(h, "attn_logit_softcapping", 50);
    d->window = mc_hf_count(h, "sliding_window", 1, MC_HF_CONTEXT,
                            mc_json_get(h->b->config, "sliding_window") ? 0 : 4096);
    if (mc_hf_flag(h, "use_bidirectional_attention", false))
        mc_hf_fail(h, MC_E_UNSUPPORTED, "use_bidirectional_attention is true, which cannot be run");
}

static mc_status build(mc_family_build *b, mc_err *err)
{
    mc_hf h = mc_hf_begin(b, err);
    mc_hf_decoder d = {.activation = "hidden_activation",
                       .default_theta = 10000,
                       .default_epsilon = 1e-6,
                       .default_head_dim = 256,
                       .default_tied = true,
                       .slides = even};
    read(&h, &d);
    const double last = soft_cap(&h, "final_logit_softcapping", 30);

    mc_id x = mc_hf_decoder_begin(&h, &d);
    const mc_id width = mc_hf_scalar(&h, "model.embed_scale", sqrt((double)d.hidden));
    x = mc_hf_node(&h, "Mul", "model.embed_scaled", (mc_id[]){x, width}, 2);
    for (uint64_t i = 0; i < d.layers && mc_hf_ok(&h); i++) x = layer(&h, x, &d, i);
    x = norm(&h, "model.norm", x, &d);
    return mc_hf_done(&h, cap(&h, mc_hf_decoder_head(&h, x, &d), last), "logits");
}

static const char *const names[] = {"Gemma2ForCausalLM", NULL};

const mc_family mc_family_gemma2 = {.architectures = names, .build = build};
