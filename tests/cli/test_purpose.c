/* What a tensor is for, told by its name. */
#include "cli/pipeline_plan.h"

#include <criterion/criterion.h>

static void expect(const char *name, mc_purpose purpose)
{
    cr_expect_eq(mc_purpose_of(name), purpose, "%s is taken for a %s, not a %s", name,
                 mc_purpose_name(mc_purpose_of(name)), mc_purpose_name(purpose));
}

Test(purpose, finds_embeddings_of_the_common_families)
{
    expect("model.embed_tokens.weight", MC_PURPOSE_EMBEDDING);
    expect("transformer.wte.weight", MC_PURPOSE_EMBEDDING);
    expect("transformer.wpe.weight", MC_PURPOSE_EMBEDDING);
    expect("bert.embeddings.word_embeddings.weight", MC_PURPOSE_EMBEDDING);
    expect("backbone.embeddings.weight", MC_PURPOSE_EMBEDDING);
    expect("token_embd.weight", MC_PURPOSE_EMBEDDING);
    expect("shared.weight", MC_PURPOSE_EMBEDDING);
}

Test(purpose, finds_output_heads_and_routers)
{
    expect("lm_head.weight", MC_PURPOSE_HEAD);
    expect("output.weight", MC_PURPOSE_HEAD);
    expect("embed_out.weight", MC_PURPOSE_HEAD);
    expect("model.layers.0.block_sparse_moe.gate.weight", MC_PURPOSE_ROUTER);
    expect("model.layers.3.mlp.gate.weight", MC_PURPOSE_ROUTER);
}

Test(purpose, leaves_ordinary_weights_alone)
{
    expect("model.layers.0.mlp.gate_proj.weight", MC_PURPOSE_WEIGHT);
    expect("model.layers.0.self_attn.o_proj.weight", MC_PURPOSE_WEIGHT);
    expect("encoder.layer.0.attention.output.weight", MC_PURPOSE_WEIGHT);
    expect("layers.0.shared_experts.up_proj.weight", MC_PURPOSE_WEIGHT);
    expect("bias_proj.weight", MC_PURPOSE_WEIGHT);
}

Test(purpose, finds_norms_and_biases_of_any_shape)
{
    expect("model.norm.weight", MC_PURPOSE_NORM_OR_BIAS);
    expect("model.layers.0.input_layernorm.weight", MC_PURPOSE_NORM_OR_BIAS);
    expect("h.0.ln_1.weight", MC_PURPOSE_NORM_OR_BIAS);
    expect("encoder.relative_attention_bias", MC_PURPOSE_NORM_OR_BIAS);
    expect("fc1.bias", MC_PURPOSE_NORM_OR_BIAS);
}
