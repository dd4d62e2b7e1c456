/* Names in GGUF: one table of patterns, in which % is a block's number and # an expert's. */
#include "formats/gguf_names.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

typedef struct {
    const char *weight, *name;
} pattern;

static const pattern patterns[] = {
    {"model.embed_tokens.weight", "token_embd.weight"},
    {"lm_head.weight", "output.weight"},
    {"model.layers.%.self_attn.q_proj.weight", "blk.%.attn_q.weight"},
    {"model.layers.%.self_attn.k_proj.weight", "blk.%.attn_k.weight"},
    {"model.layers.%.self_attn.v_proj.weight", "blk.%.attn_v.weight"},
    {"model.layers.%.self_attn.o_proj.weight", "blk.%.attn_output.weight"},
    {"model.layers.%.self_attn.qkv_proj.weight", "blk.%.attn_qkv.weight"},
    {"model.layers.%.mlp.gate_proj.weight", "blk.%.ffn_gate.weight"},
    {"model.layers.%.mlp.up_proj.weight", "blk.%.ffn_up.weight"},
    {"model.layers.%.mlp.down_proj.weight", "blk.%.ffn_down.weight"},
    {"model.layers.%.mlp.gate_up_proj.weight", "blk.%.ffn_up.weight"},
    /* experts: Mixtral, Qwen */
    {"model.layers.%.block_sparse_moe.gate.weight", "blk.%.ffn_gate_inp.weight"},
    {"model.layers.%.block_sparse_moe.experts.#.w1.weight", "blk.%.ffn_gate_exps.weight"},
    {"model.layers.%.block_sparse_moe.experts.#.w2.weight", "blk.%.ffn_down_exps.weight"},
    {"model.layers.%.block_sparse_moe.experts.#.w3.weight", "blk.%.ffn_up_exps.weight"},
    {"model.layers.%.mlp.gate.weight", "blk.%.ffn_gate_inp.weight"},
    {"model.layers.%.mlp.experts.#.gate_proj.weight", "blk.%.ffn_gate_exps.weight"},
    {"model.layers.%.mlp.experts.#.down_proj.weight", "blk.%.ffn_down_exps.weight"},
    {"model.layers.%.mlp.experts.#.up_proj.weight", "blk.%.ffn_up_exps.weight"},
    {"model.layers.%.mlp.shared_expert_gate.weight", "blk.%.ffn_gate_inp_shexp.weight"},
    {"model.layers.%.mlp.shared_expert.gate_proj.weight", "blk.%.ffn_gate_shexp.weight"},
    {"model.layers.%.mlp.shared_expert.down_proj.weight", "blk.%.ffn_down_shexp.weight"},
    {"model.layers.%.mlp.shared_expert.up_proj.weight", "blk.%.ffn_up_shexp.weight"},
    /* GPT-2 */
    {"transformer.h.%.attn.c_attn.weight", "blk.%.attn_qkv.weight"},
    {"transformer.h.%.attn.c_proj.weight", "blk.%.attn_output.weight"},
    {"transformer.h.%.mlp.c_fc.weight", "blk.%.ffn_up.weight"},
    {"transformer.h.%.mlp.c_proj.weight", "blk.%.ffn_down.weight"},
    {"h.%.attn.c_attn.weight", "blk.%.attn_qkv.weight"},
    {"h.%.attn.c_proj.weight", "blk.%.attn_output.weight"},
    {"h.%.mlp.c_fc.weight", "blk.%.ffn_up.weight"},
    {"h.%.mlp.c_proj.weight", "blk.%.ffn_down.weight"},
    /* Mamba */
    {"backbone.layers.%.mixer.in_proj.weight", "blk.%.ssm_in.weight"},
    {"backbone.layers.%.mixer.out_proj.weight", "blk.%.ssm_out.weight"},
    /* BERT */
    {"encoder.layer.%.attention.self.query.weight", "blk.%.attn_q.weight"},
    {"encoder.layer.%.attention.self.key.weight", "blk.%.attn_k.weight"},
    {"encoder.layer.%.attention.self.value.weight", "blk.%.attn_v.weight"},
    {"encoder.layer.%.attention.output.dense.weight", "blk.%.attn_output.weight"},
    {"encoder.layer.%.intermediate.dense.weight", "blk.%.ffn_up.weight"},
    {"encoder.layer.%.output.dense.weight", "blk.%.ffn_down.weight"},
};

/* A number as it is printed: digits, no zero in front, at most six of them. */
static bool take_number(const char **at, uint64_t *value)
{
    const size_t digits = strspn(*at, "0123456789");
    if (digits == 0 || digits > 6 || (digits > 1 && **at == '0')) return false;
    *value = 0;
    for (size_t i = 0; i < digits; i++) *value = *value * 10 + (uint64_t)(*(*at)++ - '0');
    return true;
}

static bool matches(const char *shape, const char *weight, uint64_t *block, uint64_t *expert)
{
    *block = *expert = MC_GGUF_WHOLE;
    for (; *shape; shape++) {
        if (*shape == '%' || *shape == '#') {
            if (!take_number(&weight, *shape == '%' ? block : expert)) return false;
        } else if (*shape != *weight++) {
            return false;
        }
    }
    return *weight == '\0';
}

bool mc_gguf_name(const char *weight, char name[MC_GGUF_NAME + 1], uint64_t *expert)
{
    uint64_t block, which;
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
        const char *shape = patterns[i].name;
        if (!matches(patterns[i].weight, weight, &block, &which)) continue;
        const size_t lead = strcspn(shape, "%");
        if (shape[lead])
            snprintf(name, MC_GGUF_NAME + 1, "%.*s%" PRIu64 "%s", (int)lead, shape, block,
                     shape + lead + 1);
        else
            snprintf(name, MC_GGUF_NAME + 1, "%s", shape);
        *expert = which;
        return true;
    }
    return false;
}
