/* Attention of heads: softmax(scale q k^T + mask) v, from wherever queries, keys and values lie.
 * The kernel behind every operator that attends. */
#ifndef MC_CORE_OPS_OP_ATTENTION_SHARED_H
#define MC_CORE_OPS_OP_ATTENTION_SHARED_H

#include "core/arena.h"
#include "core/nd.h"
#include "core/op.h"

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

    const mc_call *call; /* its cache is simulated when it says so (mc_call.kv) */
} mc_attention;

/* A query that sees no key gets zeros. */
mc_status mc_attention_run(const mc_attention *a, mc_arena scratch, mc_err *err);

/* Scratch for `call` (of which only kv is read); SIZE_MAX when it is too much. */
typedef struct {
    size_t queries, keys, head_size, value_size;
    bool is_f64;
} mc_attention_sizes;
size_t mc_attention_scratch(const mc_call *call, mc_attention_sizes sizes);

/* ---- op_attention_kv.c: caches that a device quantizes ----
 *
 * A query sees what a decoder at its position would: the keys and values of the tokens that are
 * codes by then (core/act.h), and the others as they are. In f32, head by head. */

typedef struct {
    const mc_kv_spec *spec; /* NULL: keys and values are kept as they are */
    size_t size;            /* of a key, value_size of a value */
    size_t value_size;
    float *key[2], *value[2]; /* of one head: [tokens, size], rounded where codes are; as it was */
    float *query;             /* of one block, rotated */
    mc_arena rotation;
} mc_kv_room;

/* Counts the attention, and makes room when its cache is simulated. */
mc_status mc_kv_open(const mc_attention *a, size_t block_rows, mc_arena *scratch, mc_kv_room *out,
                     mc_err *err);
size_t mc_kv_scratch(size_t block_rows, mc_attention_sizes sizes);

/* Keys and values of one head. */
mc_status mc_kv_load(const mc_kv_room *kv, const mc_attention *a, size_t batch, size_t kv_head,
                     mc_err *err);

/* What the query at `row` sees; *rows (so many want the same) becomes fewer when others see more
 * codes. */
void mc_kv_seen(const mc_kv_room *kv, const mc_attention *a, size_t row, size_t *rows,
                mc_heads key[2], mc_heads value[2]);

/* `rows` queries that begin at q, `stride` apart, rotated when keys are; *stride becomes theirs. */
mc_status mc_kv_queries(const mc_kv_room *kv, const float *q, size_t rows, size_t *stride,
                        const float **out, mc_err *err);

#endif
