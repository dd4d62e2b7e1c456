/* Importance matrices of llama.cpp: for each weight the sum of x^2 of every input, and how many
 * rows it is a sum over. GGUF with general.type "imatrix"; for a tensor NAME
 *
 *   NAME.in_sum2  F32 [inputs, matrices]     NAME.counts  F32 [1, matrices]
 *
 * matrices is 1 but for the experts of a block, which share a tensor. */
#ifndef MC_FORMATS_GGUF_IMATRIX_H
#define MC_FORMATS_GGUF_IMATRIX_H

#include "core/arena.h"
#include "core/file.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    const char *tensor; /* as GGUF names it: "blk.0.ffn_down_exps.weight" */
    size_t n, matrices;
    const float *square; /* matrices x n: sums */
    const float *count;  /* matrices */
} mc_imatrix_entry;

typedef struct {
    mc_imatrix_entry *entry; /* by name */
    size_t entries;
    const char **dataset;    /* what it was collected from, for people */
    size_t datasets;
    uint32_t chunks, chunk_tokens;
} mc_imatrix;

/* Does the file say that it is one? For choosing a reader; `file` is any. */
bool mc_imatrix_is(const mc_map *file);

/* Everything is copied to `mem`, of which it takes mc_imatrix_memory() at most. MC_E_FORMAT: sums
 * without counts, shapes that do not agree, numbers that are negative or not finite; messages name
 * file, tensor and element. Tensors of other names are left alone. */
size_t mc_imatrix_memory(const mc_map *file);
mc_status mc_imatrix_read(const mc_map *file, const char *path, mc_arena *mem, mc_imatrix *out,
                          mc_err *err);

/* What a weight's inputs were, by its name in GGUF or in a Hugging Face model. `square` are sums
 * over `count` rows: E[x^2] is square / count. count 0: an expert that no row came to. */
typedef struct {
    size_t n;
    const float *square;
    double count;
} mc_imatrix_part;
bool mc_imatrix_find(const mc_imatrix *imatrix, const char *weight, mc_imatrix_part *out);

/* ---- writing ---- */

typedef struct {
    const char *weight; /* its name in a Hugging Face model, or in GGUF */
    size_t n;
    const double *square; /* sums over */
    uint64_t count;       /* so many rows */
} mc_imatrix_row;

typedef struct {
    const mc_imatrix_row *row;
    size_t rows;
    const char *dataset;
    uint32_t chunks, chunk_tokens;
} mc_imatrix_content;

/* Experts of a block become one tensor; those that no row is given for get sums and counts of 0.
 * MC_E_UNSUPPORTED: GGUF has no name for a weight (mc_gguf_name tells beforehand). MC_E_FORMAT: a
 * sum that is negative or that f32 cannot hold. MC_E_USAGE: a weight twice, experts of different
 * widths. `scratch` needs mc_imatrix_write_memory(). */
size_t mc_imatrix_write_memory(const mc_imatrix_content *content);
mc_status mc_imatrix_write(mc_out *out, const mc_imatrix_content *content, mc_arena scratch,
                           mc_err *err);

#endif
