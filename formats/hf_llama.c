/* Llama and those that differ from it by a few flags: Mistral (sliding window), Qwen2 (biases of
 * queries, keys and values), Qwen3 (norms of queries and keys), Phi-3 (fused matrices). */
#include "formats/hf_decoder.h"

static bool from_first_sliding(const mc_hf_decoder *d, uint64_t layer)
{
    return layer >= d->first_sliding;
}

/* Only with use_sliding_window, in all layers from max_window_layers on. */
static void qwen_window(mc_hf *h, mc_hf_decoder *d)
{
    d->slides = from_first_sliding;
    d->first_sliding = mc_hf_count(h, "max_window_layers", 0, MC_HF_LAYERS, 28);
    const uint64_t window = mc_hf_count(h, "sliding_window", 0, MC_HF_CONTEXT, 4096);
    if (mc_hf_flag(h, "use_sliding_window", false)) d->window = window;
}

/* null says that there is none, no key at all that it is `otherwise`. */
static void window(mc_hf *h, mc_hf_decoder *d, uint64_t otherwise)
{
    const bool said = mc_json_get(h->b->config, "sliding_window") != NULL;
    d->window = mc_hf_count(h, "sliding_window", 1, MC_HF_CONTEXT, said ? 0 : otherwise);
}

static mc_status build_llama(mc_family_build *b, mc_err *err)
{
    mc_hf h = mc_hf_begin(b, err);
    mc_hf_decoder d = {.activation = "hidden_act", .default_theta = 10000, .default_epsilon = 1e-6};
    mc_hf_decoder_read(&h, &d);
    d.qkv_bias = d.out_bias = mc_hf_flag(&h, "attention_bias", false);
    d.mlp_bias = mc_hf_flag(&h, "mlp_bias", false);
    return mc_hf_decoder_build(&h, &d);
}

static mc_status build_mistral(mc_family_build *b, mc_err *err)
{
    mc_hf h = mc_hf_begin(b, err);
    mc_hf_decoder d = {.activation = "hidden_act", .default_theta = 10000, .default_epsilon = 1e-6};
    mc_hf_decoder_read(&h, &d);
    window(&h, &d, 4096);
    return mc_hf_decoder_build(&h, &d);
}

static mc_status build_qwen2(mc_family_build *b, mc_err *err)
{
    mc_hf h = mc_hf_begin(b, err);
    mc_hf_decoder d = {.activation = "hidden_act", .default_theta = 10000, .default_epsilon = 1e-6};
    mc_hf_decoder_read(&h, &d);
    qwen_window(&h, &d);
    d.qkv_bias = true;
    return mc_hf_decoder_build(&h, &d);
}

static mc_status build_qwen3(mc_family_build *b, mc_err *err)
{
    mc_hf h = mc_hf_begin(b, err);
    mc_hf_decoder d = {.activation = "hidden_act",
                       .default_theta = 10000,
                       .default_epsilon = 1e-6,
                       .default_head_dim = 128};
    mc_hf_decoder_read(&h, &d);
    qwen_window(&h, &d);
    d.qkv_bias = d.out_bias = mc_hf_flag(&h, "attention_bias", false);
    d.qk_norm = true;
    return mc_hf_decoder_build(&h, &d);
}

static mc_status build_phi3(mc_family_build *b, mc_err *err)
{
    mc_hf h = mc_hf_begin(b, err);
    mc_hf_decoder d = {.activation = "hidden_act",
                       .default_theta = 10000,
                       .default_epsilon = 1e-5,
                       .default_original = 4096,
                       .partial = true,
                       .fused = true};
    mc_hf_decoder_read(&h, &d);
    window(&h, &d, 0);
    return mc_hf_decoder_build(&h, &d);
}

/* A family of one architecture. */
#define MEMBER(name, text)                                  \
    static const char *const name##_names[] = {text, NULL}; \
    const mc_family mc_family_##name = {.architectures = name##_names, .build = build_##name}

MEMBER(llama, "LlamaForCausalLM");
MEMBER(mistral, "MistralForCausalLM");
MEMBER(qwen2, "Qwen2ForCausalLM");
MEMBER(qwen3, "Qwen3ForCausalLM");
MEMBER(phi3, "Phi3ForCausalLM");
