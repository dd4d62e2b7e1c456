/* Attention of heads: softmax(scale q k^T + mask) v, from wherever queries, keys and values lie.
 * The kernel behind every operator that attends. */
#ifndef MC_CORE_OPS_OP_ATTENTION_SHARED_H
#define MC_CORE_OPS_OP_ATTENTION_SHARED_H

#include "core/arena.h"
#include "core/nd.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Rows of heads: element e of position p of head h of batch b is at[b * batch + h * head + p * row
 * + e], float or double. */
typedef struct {
    void *at;
    size_t batch, head, row;
    size_t positions;
} mc_heads;

/* Two parts one behind the other: [batches, heads, positions of both, size], elements of `width`
 * bytes. */
void mc_heads_join(const mc_heads part[2], size_t batches, size_t heads, size_t size,
                   size_t width, void *out);

/* What to write beside the result. */
typedef enum {
    MC_SCORES_RAW = 0,    /* scale q k^T */
    MC_SCORES_CAPPED = 1, /* after softcap */
    MC_SCORES_MASKED = 2, /* and mask */
    MC_SCORES_SOFTMAX = 3,
} mc_scores;

typedef struct {
    bool is_f64;
    size_t batches, heads, kv_heads; /* heads share keys and values in runs of heads / kv_heads */
    size_t head_size, value_size;
    mc_heads q;
    mc_heads k[2], v[2]; /* the keys one behind the other: a cache (may have none) and new ones */
    mc_heads y; /* at NULL: only the scores are wanted */
    double scale;
    double softcap;     /* 0: none */
    int64_t before, after; /* query i sees the keys i + offset - before … i + offset + after;
                              -1: no such end */
    bool wide_softmax;  /* softmax in double */
    const int64_t *valid; /* of each batch: keys that count; then offset is valid - queries. NULL:
                             all keys, offset is the positions of k[0] */

    /* BOOL (false hides) or real numbers to add, -infinity hides; NULL: none. Strides in elements,
     * 0 where it is spread: batch, head, query, key. Keys from mask_keys on are hidden. */
    const mc_nd *mask;
    size_t mask_stride[4], mask_keys;

    void *scores; /* [batches, heads, queries, keys], or NULL */
    mc_scores scores_as;
} mc_attention;

/* A query that sees no key gets zeros. */
mc_status mc_attention_run(const mc_attention *a, mc_arena scratch, mc_err *err);

/* Scratch for so many queries and keys; SIZE_MAX when it is too much. */
size_t mc_attention_scratch(size_t queries, size_t keys, bool is_f64);

#endif
