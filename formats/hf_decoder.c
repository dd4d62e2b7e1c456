/* The decoder that Llama made common: RMS norms in front, rotary self-attention with fewer keys
 * than queries, a gated MLP. Families say how they differ by the fields of mc_hf_decoder. */
#include "formats/hf_decoder.h"
#include "formats/json_pull.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static void read_heads(mc_hf *h, mc_hf_decoder *d)
{
    d->heads = mc_hf_need(h, "num_attention_heads", 1, MC_HF_HEADS);
    d->kv_heads = mc_hf_count(h, "num_key_value_heads", 1, MC_HF_HEADS, d->heads);
    mc_hf_divides(h, "num_key_value_heads", d->kv_heads, "num_attention_heads", d->heads);

    d->head_dim = mc_hf_count(h, "head_dim", 1, MC_HF_WIDTH, d->default_head_dim);
    if (!mc_hf_ok(h) || d->head_dim > 0) return;
    mc_hf_divides(h, "num_attention_heads", d->heads, "hidden_size", d->hidden);
    d->head_dim = d->hidden / d->heads;
}

void mc_hf_decoder_read(mc_hf *h, mc_hf_decoder *d)
{
    d->vocab = mc_hf_need(h, "vocab_size", 1, MC_HF_VOCAB);
    d->hidden = mc_hf_need(h, "hidden_size", 1, MC_HF_WIDTH);
    d->inner = mc_hf_need(h, "intermediate_size", 1, MC_HF_WIDTH);
    d->layers = mc_hf_need(h, "num_hidden_layers", 1, MC_HF_LAYERS);
    d->context = mc_hf_need(h, "max_position_embeddings", 1, MC_HF_CONTEXT);
    read_heads(h, d);
    d->epsilon = mc_hf_real(h, NULL, "rms_norm_eps", 0, 1, d->default_epsilon);
    d->tied = mc_hf_flag(h, "tie_word_embeddings", d->default_tied);
    d->function = mc_hf_text(h, NULL, d->activation, "silu");
    d->scale = 1 / sqrt((double)d->head_dim);
    mc_hf_rope_read(h, d);
}

mc_id mc_hf_decoder_begin(mc_hf *h, mc_hf_decoder *d)
{
    const mc_id ids = mc_hf_input_ids(h, "input_ids");
    mc_hf_rope_build(h, ids, d);
    h->b->model->task = MC_TASK_LANGUAGE;
    h->b->model->context = d->context;
    h->b->model->tied_head = d->tied;
    return mc_hf_embedding(h, "model.embed_tokens", ids, d->vocab, d->hidden, &d->table);
}

/* ---- attention ---- */

static void project(mc_hf *h, const char *at, mc_id x, const mc_hf_decoder *d, mc_id qkv[3])
{
    const uint64_t wide[] = {d->heads * d->head_dim, d->kv_heads * d->head_dim,
                             d->kv_heads * d->head_dim};
    if (d->fused) {
        const char *name = mc_hf_name(h, "%s.qkv_proj", at);
        const mc_id all =
            mc_hf_linear(h, name, x, d->hidden, wide[0] + wide[1] + wide[2], d->qkv_bias);
        const int64_t size[] = {(int64_t)wide[0], (int64_t)wide[1], (int64_t)wide[2]};
        mc_hf_split(h, all, mc_hf_name(h, "%s.part", name), &(mc_hf_parts){-1, 3, size}, qkv);
        return;
    }
    static const char *const name[] = {"q_proj", "k_proj", "v_proj"};
    for (size_t i = 0; i < 3; i++)
        qkv[i] = mc_hf_linear(h, mc_hf_name(h, "%s.%s", at, name[i]), x, d->hidden, wide[i],
                              d->qkv_bias);
}

/* Each head by itself. */
static mc_id head_norm(mc_hf *h, const char *at, mc_id x, const mc_hf_decoder *d)
{
    const char *apart = mc_hf_name(h, "%s.heads", at), *together = mc_hf_name(h, "%s.joined", at);
    const mc_id heads = mc_hf_reshape(h, x, apart, (int64_t[]){0, 0, -1, (int64_t)d->head_dim}, 4);
    const mc_id y = mc_hf_rms_norm(h, at, heads, d->head_dim, d->epsilon);
    return mc_hf_reshape(h, y, together, (int64_t[]){0, 0, -1}, 3);
}

static mc_id turn(mc_hf *h, const char *name, mc_id x, const mc_hf_decoder *d, uint64_t heads)
{
    const mc_id in[] = {x, d->cos, d->sin, d->position};
    const mc_id y = mc_hf_node(h, "RotaryEmbedding", name, in, 4);
    mc_hf_int(h, "num_heads", (int64_t)heads);
    if (d->turned < d->head_dim) mc_hf_int(h, "rotary_embedding_dim", (int64_t)d->turned);
    return y;
}

/* layer_types of newer files, else the family's rule. */
static bool slides(mc_hf *h, const mc_hf_decoder *d, uint64_t i)
{
    if (!d->slides) return true;
    const mc_json *types = mc_hf_get(h, NULL, "layer_types");
    if (!types) return d->slides(d, i);

    const mc_json *type = mc_json_is_object(types) ? NULL : mc_json_at(types, (size_t)i);
    const char *text = mc_json_as_text(type, "");
    if (strcmp(text, "sliding_attention") == 0) return true;
    char shown[MC_HF_SHOWN];
    if (strcmp(text, "full_attention") != 0)
        mc_hf_fail(h, MC_E_FORMAT,
                   "layer_types[%" PRIu64 "] is %s, full_attention or sliding_attention is allowed",
                   i, mc_hf_show(type, shown));
    return false;
}

mc_id mc_hf_self_attention(mc_hf *h, const char *layer, mc_id x, const mc_hf_decoder *d, uint64_t i)
{
    const char *at = mc_hf_name(h, "%s.self_attn", layer);
    mc_id qkv[3];
    project(h, at, x, d, qkv);
    if (d->qk_norm) {
        qkv[0] = head_norm(h, mc_hf_name(h, "%s.q_norm", at), qkv[0], d);
        qkv[1] = head_norm(h, mc_hf_name(h, "%s.k_norm", at), qkv[1], d);
    }
    qkv[0] = turn(h, mc_hf_name(h, "%s.q_rope", at), qkv[0], d, d->heads);
    qkv[1] = turn(h, mc_hf_name(h, "%s.k_rope", at), qkv[1], d, d->kv_heads);

    const mc_hf_attention a = {.heads = d->heads,
                               .kv_heads = d->kv_heads,
                               .scale = d->scale,
                               .softcap = d->softcap,
                               .window = d->window > 0 && slides(h, d, i) ? d->window : 0,
                               .causal = true,
                               .mask = MC_NONE};
    const mc_id y = mc_hf_attend(h, at, qkv, &a);
    const char *out = mc_hf_name(h, "%s.o_proj", at);
    return mc_hf_linear(h, out, y, d->heads * d->head_dim, d->hidden, d->out_bias);
}

/* ---- the whole ---- */

mc_id mc_hf_decoder_head(mc_hf *h, mc_id x, const mc_hf_decoder *d)
{
    if (d->tied) return mc_hf_times(h, "lm_head", x, d->table);
    return mc_hf_linear(h, "lm_head", x, d->hidden, d->vocab, false);
}

static mc_id mlp(mc_hf *h, const char *layer, mc_id x, const mc_hf_decoder *d)
{
    if (d->mlp) return d->mlp(h, layer, x, d);
    const mc_hf_gated m = {.width = d->hidden,
                           .inner = d->inner,
                           .bias = d->mlp_bias,
                           .fused = d->fused,
                           .key = d->activation,
                           .function = d->function};
    return mc_hf_gated_mlp(h, mc_hf_name(h, "%s.mlp", layer), x, &m);
}

static mc_id add(mc_hf *h, const char *layer, const char *what, const mc_id in[2])
{
    return mc_hf_node(h, "Add", mc_hf_name(h, "%s.%s", layer, what), in, 2);
}

mc_status mc_hf_decoder_build(mc_hf *h, mc_hf_decoder *d)
{
    mc_id x = mc_hf_decoder_begin(h, d);
    for (uint64_t i = 0; i < d->layers && mc_hf_ok(h); i++) {
        const char *layer = mc_hf_name(h, "model.layers.%" PRIu64, i);
        const char *first = mc_hf_name(h, "%s.input_layernorm", layer);
        const char *second = mc_hf_name(h, "%s.post_attention_layernorm", layer);

        mc_id y = mc_hf_rms_norm(h, first, x, d->hidden, d->epsilon);
        y = mc_hf_self_attention(h, layer, y, d, i);
        x = add(h, layer, "attention_added", (mc_id[]){x, y});
        y = mc_hf_rms_norm(h, second, x, d->hidden, d->epsilon);
        y = mlp(h, layer, y, d);
        x = add(h, layer, "mlp_added", (mc_id[]){x, y});
    }
    x = mc_hf_rms_norm(h, "model.norm", x, d->hidden, d->epsilon);
    return mc_hf_done(h, mc_hf_decoder_head(h, x, d), "logits");
}
