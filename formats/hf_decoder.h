/* Decoders of Llama's descent: the numbers of their config.json, rotary positions, self-attention,
 * and the stack of layers that most of them share. */
#ifndef MC_FORMATS_HF_DECODER_H
#define MC_FORMATS_HF_DECODER_H

#include "formats/hf_blocks.h"

typedef struct mc_hf_decoder mc_hf_decoder;
struct mc_hf_decoder {
    /* Set beforehand by the family: what its config class does when a key is missing. */
    uint64_t default_head_dim; /* 0: hidden / heads */
    uint64_t default_original; /* original_max_position_embeddings; 0: as the rope says */
    double default_theta, default_epsilon;
    bool default_tied;
    bool partial;              /* obeys partial_rotary_factor */
    const char *activation;    /* the key that names it */

    /* Read by mc_hf_decoder_read. */
    uint64_t vocab, hidden, inner, layers, heads, kv_heads, head_dim, context;
    uint64_t turned;           /* how much of a head the rope turns */
    double epsilon;
    bool tied;
    const char *function;      /* activation */

    /* Set by the family. */
    bool qkv_bias, out_bias, mlp_bias, qk_norm, fused;
    double scale, softcap;     /* scale is 1 / sqrt(head_dim) unless changed */
    uint64_t window;           /* of the layers that slide; 0: none does */
    bool (*slides)(const mc_hf_decoder *d, uint64_t layer); /* NULL: all do */
    uint64_t first_sliding;    /* for `slides` */
    uint64_t experts, chosen;  /* for `mlp` */
    mc_id (*mlp)(mc_hf *h, const char *layer, mc_id x, const mc_hf_decoder *d); /* NULL: gated */

    /* Made by mc_hf_decoder_begin. */
    mc_id table;               /* the embedding's weight */
    mc_id cos, sin, position;
};

void mc_hf_decoder_read(mc_hf *h, mc_hf_decoder *d);

/* Inputs, embedding and rope. Gives the embedded tokens. */
mc_id mc_hf_decoder_begin(mc_hf *h, mc_hf_decoder *d);

/* model.layers.<i>.self_attn. */
mc_id mc_hf_self_attention(mc_hf *h, const char *layer, mc_id x, const mc_hf_decoder *d,
                           uint64_t i);

/* lm_head, or the embedding again. */
mc_id mc_hf_decoder_head(mc_hf *h, mc_id x, const mc_hf_decoder *d);

/* The whole model: norm, attention, add, norm, MLP, add; norm, head. */
mc_status mc_hf_decoder_build(mc_hf *h, mc_hf_decoder *d);

/* ---- rope (hf_rope.c) ---- */

/* Sets cos, sin and position for d->turned numbers of each head; sets d->turned first. */
void mc_hf_rope_read(mc_hf *h, mc_hf_decoder *d);
void mc_hf_rope_build(mc_hf *h, mc_id ids, mc_hf_decoder *d);

#endif
