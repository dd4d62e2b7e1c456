/* STATS files: what calibration knows about the inputs of a model's weights, kept for later.
 *
 * A safetensors file (docs/stats.md says what is in it), so that other programs can read and make
 * one. Weights that meet the same rows share a block: moments, and where they were collected
 * channels and a histogram of the activation. All of it are sums and ranges over samples of the
 * float model, so blocks of one model can be added.
 *
 * A file is written block by block: each goes to a file of its own in the folder PATH.partial, and
 * mc_stats_out_commit puts them together. An interrupted run leaves the folder, from which the next
 * one goes on; the finished file is the same byte for byte. */
#ifndef MC_CALIB_STATS_FILE_H
#define MC_CALIB_STATS_FILE_H

#include "calib/channels.h"
#include "calib/histogram.h"
#include "calib/moments.h"
#include "core/arena.h"
#include "core/hash.h"
#include "core/model.h"
#include "core/tensor.h"

#include <stdbool.h>

/* What the statistics were collected from. Two runs are the same when all of this is. */
typedef struct {
    const char *model; /* SHA-256 of its state (mc_stats_hash_model), 64 lower-case digits */
    const char *data;  /* what names the data and how samples were picked; one line */
    uint64_t samples;
    uint64_t tokens;   /* of all samples; 0: they have none */
    uint64_t window;   /* tokens of a sample; 0 as above */
} mc_stats_about;

/* The hash of a model's state: SHA-256 over all tensors in the order of their names (bytewise),
 * each as its name, a zero byte, and its bytes as the file has them. It is the same however a model
 * is cut into files. Pages that were read may leave memory. */
mc_status mc_stats_hash_model(const mc_model *model, char hex[MC_SHA256_HEX], mc_err *err);

/* ---- reading ---- */

enum { MC_STATS_ARRAYS = 13 };

/* A block. What it points to belongs to the file. */
typedef struct {
    const char *name;
    const char *const *weight; /* names of the weights that meet these rows, in their order */
    size_t weights;
    size_t n, groups; /* of the moments (stats.h) */
    uint64_t rows;
    bool gram, histogram;
    size_t channels;  /* 0: there are none */
    const mc_tensor *array[MC_STATS_ARRAYS]; /* as the file has them; NULL: not there */
} mc_stats_entry;

typedef struct mc_stats mc_stats;

/* MC_E_FORMAT: the file breaks a rule of docs/stats.md; MC_E_UNSUPPORTED: of another version, or a
 * part of a file that is not finished. Shapes are checked against each other; whether they fit a
 * model is for who knows it. */
mc_status mc_stats_open(const char *path, mc_stats **out, mc_err *err);
void mc_stats_close(mc_stats *stats);

const mc_stats_about *mc_stats_of(const mc_stats *stats);

/* MC_E_MISMATCH, with both hashes, when the statistics are of another model. */
mc_status mc_stats_check_model(const mc_stats *stats, const char *model, mc_err *err);

/* The i-th block in the order of their names, NULL past the end; the block of a weight, or NULL. */
const mc_stats_entry *mc_stats_at(const mc_stats *stats, size_t i);
const mc_stats_entry *mc_stats_find(const mc_stats *stats, const char *weight);

/* The numbers of a block, into `mem`: mc_moments_bytes() and mc_channels_bytes(). `gram`: with it
 * (the block must have one), both halves. MC_E_FORMAT: a number that is not finite or cannot be,
 * naming the tensor. Pages of the file that were read may leave memory. */
mc_status mc_stats_moments(const mc_stats *stats, const mc_stats_entry *entry, bool gram,
                           mc_arena *mem, mc_moment_sums *out, mc_err *err);
mc_status mc_stats_channels(const mc_stats *stats, const mc_stats_entry *entry, mc_arena *mem,
                            mc_channels *out, mc_err *err);
mc_status mc_stats_histogram(const mc_stats *stats, const mc_stats_entry *entry, mc_histogram *out,
                             mc_err *err);

/* ---- writing ---- */

typedef struct {
    const char *name;              /* unique; usually the first weight's */
    const char *const *weight;     /* each weight in one block only */
    size_t weights;
    const mc_moments *moments;     /* of one stream; of the Gram the lower triangle is taken */
    const mc_channels *channels;   /* NULL: none */
    const mc_histogram *histogram; /* NULL: none */
} mc_stats_block;

typedef struct {
    bool replace;  /* an existing file may be replaced */
    bool resume;   /* go on with PATH.partial when it is there; otherwise it is removed */
    bool no_fsync;
} mc_stats_options;

typedef struct mc_stats_out mc_stats_out;

/* MC_E_MISMATCH: what is to be resumed was collected from something else, naming what. */
mc_status mc_stats_out_open(const char *path, const mc_stats_about *about,
                            mc_stats_options options, mc_stats_out **out, mc_err *err);

/* Was a block of that name written, now or in the run before? */
bool mc_stats_out_has(const mc_stats_out *out, const char *name);

size_t mc_stats_out_blocks(const mc_stats_out *out); /* so many were */

/* Writes a block; it is there after a crash once this returns. MC_E_INTERNAL: the name is taken, or
 * the moments are of two streams. */
mc_status mc_stats_out_add(mc_stats_out *out, const mc_stats_block *block, mc_err *err);
size_t mc_stats_out_memory(const mc_stats_block *block); /* that mc_stats_out_add takes */

/* Makes the file of all blocks, removes PATH.partial and frees `out`. After a failure the folder
 * stays. */
mc_status mc_stats_out_commit(mc_stats_out *out, mc_err *err);

/* Frees `out`; the folder stays, to be resumed. NULL is allowed. */
void mc_stats_out_close(mc_stats_out *out);

/* Removes PATH.partial, if it is there. */
mc_status mc_stats_partial_remove(const char *path, mc_err *err);

/* ---- adding ---- */

/* Adds files of one model into a new one at `path`: sums, ranges, samples and tokens; `data` says
 * what went in, separated by "; ". MC_E_MISMATCH: another model, or blocks that not all files have,
 * naming files and block. */
mc_status mc_stats_merge(const mc_stats *const *in, size_t files, const char *path,
                         mc_stats_options options, mc_err *err);

#endif
