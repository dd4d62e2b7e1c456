/* Whisper: an encoder of spectrograms, shortened by half by two convolutions, and a decoder of text
 * whose layers also look at what the encoder made. */
#include "formats/hf_classic.h"

#include <inttypes.h>

/* The encoder's layers, or the decoder's. */
typedef struct {
    const char *at;
    uint64_t layers, heads, inner, positions;
    bool decodes;
} side;

typedef struct {
    uint64_t vocab, bands, width;
    const char *function, *prefix;
    side encoder, decoder;
} whisper;

static void read_side(mc_hf *h, side *s, const char *name, const char *positions, uint64_t width)
{
    const char *heads = mc_hf_name(h, "%s_attention_heads", name);
    s->layers = mc_hf_need(h, mc_hf_name(h, "%s_layers", name), 1, MC_HF_LAYERS);
    s->heads = mc_hf_need(h, heads, 1, MC_HF_HEADS);
    s->inner = mc_hf_need(h, mc_hf_name(h, "%s_ffn_dim", name), 1, MC_HF_WIDTH);
    s->positions = mc_hf_need(h, positions, 1, MC_HF_CONTEXT);
    mc_hf_divides(h, heads, s->heads, "d_model", width);
}

static void read(mc_hf *h, whisper *m)
{
    m->vocab = mc_hf_need(h, "vocab_size", 1, MC_HF_VOCAB);
    m->bands = mc_hf_need(h, "num_mel_bins", 1, MC_HF_WIDTH);
    m->width = mc_hf_need(h, "d_model", 1, MC_HF_WIDTH);
    m->function = mc_hf_text(h, NULL, "activation_function", "gelu");
    m->prefix = mc_hf_prefix(h, "model.", "encoder.conv1.weight");
    m->encoder.at = mc_hf_name(h, "%sencoder", m->prefix);
    m->decoder.at = mc_hf_name(h, "%sdecoder", m->prefix);
    m->decoder.decodes = true;
    read_side(h, &m->encoder, "encoder", "max_source_positions", m->width);
    read_side(h, &m->decoder, "decoder", "max_target_positions", m->width);
}

/* ---- layers ---- */

static mc_id attention(mc_hf *h, const char *at, const mc_id from_to[2], const mc_hf_heads *a)
{
    const char *norm = mc_hf_name(h, "%s_layer_norm", at);
    const mc_id y = mc_hf_layer_norm(h, norm, from_to[0], a->width, 1e-5);
    const mc_id to = from_to[1] == MC_NONE ? y : from_to[1];
    const mc_id z = mc_hf_multi_head(h, at, (mc_id[]){y, to}, a);
    return mc_hf_add(h, mc_hf_name(h, "%s.added", at), from_to[0], z);
}

/* `heard` is what the encoder made; MC_NONE in the encoder itself. */
static mc_id layer(mc_hf *h, const char *at, const mc_id x_heard[2], const whisper *m,
                   const side *s)
{
    mc_hf_heads a = {.part = {"q_proj", "k_proj", "v_proj", "out_proj"},
                     .bias = {true, false, true, true},
                     .width = m->width,
                     .heads = s->heads,
                     .causal = s->decodes,
                     .mask = MC_NONE};
    const mc_hf_mlp mlp = {.first = "fc1",
                           .second = "fc2",
                           .width = m->width,
                           .inner = s->inner,
                           .bias = true,
                           .key = "activation_function",
                           .function = m->function};

    const mc_id heard = x_heard[1];
    mc_id x = attention(h, mc_hf_name(h, "%s.self_attn", at), (mc_id[]){x_heard[0], MC_NONE}, &a);
    a.causal = false;
    if (s->decodes) x = attention(h, mc_hf_name(h, "%s.encoder_attn", at), (mc_id[]){x, heard}, &a);
    const char *norm = mc_hf_name(h, "%s.final_layer_norm", at);
    mc_id y = mc_hf_layer_norm(h, norm, x, m->width, 1e-5);
    y = mc_hf_two_layers(h, at, y, &mlp);
    return mc_hf_add(h, mc_hf_name(h, "%s.mlp_added", at), x, y);
}

static mc_id stack(mc_hf *h, mc_id x, mc_id heard, const whisper *m, const side *s)
{
    for (uint64_t i = 0; i < s->layers && mc_hf_ok(h); i++) {
        const char *at = mc_hf_name(h, "%s.layers.%" PRIu64, s->at, i);
        x = layer(h, at, (mc_id[]){x, heard}, m, s);
    }
    return mc_hf_layer_norm(h, mc_hf_name(h, "%s.layer_norm", s->at), x, m->width, 1e-5);
}

/* ---- the two sides ---- */

static mc_id convolve(mc_hf *h, const char *at, mc_id x, const uint64_t in_out[2], int64_t stride)
{
    x = mc_hf_conv(h, at, x, &(mc_hf_kernel){true, 3, {in_out[1], in_out[0], 3}});
    mc_hf_int_list(h, "pads", (int64_t[]){1, 1}, 2);
    mc_hf_int_list(h, "strides", &stride, 1);
    return mc_hf_activation(h, "activation_function", "gelu", x, mc_hf_name(h, "%s.act", at));
}

static mc_id encode(mc_hf *h, const whisper *m)
{
    const side *s = &m->encoder;
    const int64_t dim[] = {-1, (int64_t)m->bands, 2 * (int64_t)s->positions};
    mc_id x = mc_hf_input(h, "input_features", MC_F32, 3, dim);
    x = convolve(h, mc_hf_name(h, "%s.conv1", s->at), x, (uint64_t[]){m->bands, m->width}, 1);
    x = convolve(h, mc_hf_name(h, "%s.conv2", s->at), x, (uint64_t[]){m->width, m->width}, 2);
    x = mc_hf_transpose(h, x, mc_hf_name(h, "%s.tokens", s->at), (int64_t[]){0, 2, 1}, 3);

    const char *name = mc_hf_name(h, "%s.embed_positions.weight", s->at);
    const mc_id stored = mc_hf_tensor(h, name, 2, (uint64_t[]){s->positions, m->width});
    const mc_id positions = mc_hf_f32(h, stored, mc_hf_name(h, "%s.f32", name));
    x = mc_hf_add(h, mc_hf_name(h, "%s.placed", s->at), x, positions);
    return stack(h, x, MC_NONE, m, s);
}

static mc_id decode(mc_hf *h, mc_id heard, const whisper *m, mc_id *table)
{
    const side *s = &m->decoder;
    const uint64_t rows_width[] = {s->positions, m->width};
    const mc_id ids = mc_hf_input_ids(h, "decoder_input_ids");
    const char *tokens = mc_hf_name(h, "%s.embed_tokens", s->at);
    const char *positions = mc_hf_name(h, "%s.embed_positions", s->at);
    mc_id x = mc_hf_embedding(h, tokens, ids, m->vocab, m->width, table);
    const mc_id y = mc_hf_learned_positions(h, positions, ids, rows_width, 0);
    x = mc_hf_add(h, mc_hf_name(h, "%s.placed", s->at), x, y);
    return stack(h, x, heard, m, s);
}

static mc_status build(mc_family_build *b, mc_err *err)
{
    mc_hf h = mc_hf_begin(b, err);
    whisper m = {0};
    mc_id table;
    read(&h, &m);
    b->model->context = m.decoder.positions;
    b->model->tied_head = mc_hf_flag(&h, "tie_word_embeddings", true);
    const mc_id x = decode(&h, encode(&h, &m), &m, &table);
    const mc_id y = b->model->tied_head ? mc_hf_times(&h, "proj_out", x, table)
                                        : mc_hf_linear(&h, "proj_out", x, m.width, m.vocab, false);
    return mc_hf_done(&h, y, "logits");
}

static const char *const names[] = {"WhisperForConditionalGeneration", NULL};

const mc_family mc_family_whisper = {.architectures = names, .build = build};
