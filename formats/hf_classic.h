/* What transformers older than Llama share, decoders and encoders alike: positions from a table,
 * attention whose four matrices each family names in its own way, MLPs of two matrices, heads on
 * the first token. */
#ifndef MC_FORMATS_HF_CLASSIC_H
#define MC_FORMATS_HF_CLASSIC_H

#include "formats/hf_blocks.h"

/* Is this config.json's architecture? */
bool mc_hf_is(const mc_hf *h, const char *architecture);

/* Files of a whole model put `prefix` in front of the names of its body, files of the body alone
 * do not: gives what stands in front of `probe` here. */
const char *mc_hf_prefix(mc_hf *h, const char *prefix, const char *probe);

/* How many classes config.json names. */
uint64_t mc_hf_labels(mc_hf *h);

/* Rows of <at>.weight for positions first, first + 1, … of as many ids as there are, as F32. */
mc_id mc_hf_learned_positions(mc_hf *h, const char *at, mc_id ids, const uint64_t rows_width[2],
                              int64_t first);

/* Attention with a query, key, value and output matrix, all [width, width]. */
typedef struct {
    const char *part[4]; /* their names below the module, in this order */
    bool bias[4];
    uint64_t width, heads;
    bool causal;
    mc_id mask; /* MC_NONE: none */
} mc_hf_heads;

/* Queries from from_to[0]; keys and values from from_to[1], which is the same in self-attention. */
mc_id mc_hf_multi_head(mc_hf *h, const char *at, const mc_id from_to[2], const mc_hf_heads *a);

/* second(act(first(x))) */
typedef struct {
    const char *first, *second; /* their names below the module */
    uint64_t width, inner;
    bool bias;
    const char *key, *function; /* of the activation */
} mc_hf_mlp;
mc_id mc_hf_two_layers(mc_hf *h, const char *at, mc_id x, const mc_hf_mlp *m);

mc_id mc_hf_add(mc_hf *h, const char *name, mc_id a, mc_id b);

/* Token `index` of each sequence: [batch, sequence, width] -> [batch, width]. */
mc_id mc_hf_token(mc_hf *h, mc_id x, const char *name, int64_t index);

#endif
