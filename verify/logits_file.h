/* llama.cpp's `_logits_` files: what llama-perplexity writes with --kl-divergence-base and reads
 * with --kl-divergence.
 *
 *   "_logits_" | i32 n_ctx | i32 n_vocab | i32 n_chunk | i32 tokens[n_chunk n_ctx]
 *   per chunk, for positions n_ctx/2 .. n_ctx-2: f32 scale, f32 least, u16 code[n_vocab] (and one
 *   more when n_vocab is odd); log p = scale code + least, at most 16 nats below the largest */
#ifndef MC_VERIFY_LOGITS_FILE_H
#define MC_VERIFY_LOGITS_FILE_H

#include "core/arena.h"
#include "core/file.h"

#include <stdbool.h>

typedef struct {
    mc_map map;
    const char *path;
    uint32_t window, vocabulary, chunks;
    uint32_t rows;             /* of a chunk: window - 1 - window/2 */
    size_t row_bytes;
    const unsigned char *row;
} mc_logits_file;

mc_status mc_logits_open(const char *path, mc_logits_file *out, mc_err *err);
void mc_logits_close(mc_logits_file *file);

/* log p of all tokens at scored position `row` of a chunk: position window/2 + row. */
void mc_logits_row(const mc_logits_file *file, uint32_t chunk, uint32_t row, float *log_p);

typedef struct mc_logits_out mc_logits_out;
mc_status mc_logits_out_open(const char *path, bool replace, uint32_t window, uint32_t vocabulary,
                             uint32_t chunks, mc_logits_out **out, mc_err *err);
size_t mc_logits_row_bytes(uint32_t vocabulary);

/* Encodes log p into the bytes of a row; any thread. */
void mc_logits_encode(const float *log_p, uint32_t vocabulary, unsigned char *row);

/* Chunk after chunk: its tokens and its rows. */
mc_status mc_logits_out_chunk(mc_logits_out *out, uint32_t chunk, const int32_t *ids,
                              const unsigned char *rows, mc_err *err);
mc_status mc_logits_out_commit(mc_logits_out *out, mc_err *err); /* frees in every case */
void mc_logits_out_discard(mc_logits_out *out);

#endif
