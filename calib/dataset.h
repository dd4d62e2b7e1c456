/* Data sets: samples to calibrate on and to evaluate with.
 *
 *   .npz, .npy     arrays named as the graph's inputs (a single .npy: the first input), first
 *                  axis = samples, converted to the input's dtype; `labels` optional
 *   .npy of ids    whole numbers of one axis, for a language model: token ids
 *   text           UTF-8, tokenized by the model's own tokenizer.json
 *   .jsonl         one question a line: {"context": "…", "choices": ["…", …], "answer": 0}
 *   folder, zip, tar of those: all files of one kind, in the order of their names
 *
 * Files stay mapped; a sample is made when it is asked for, so memory does not grow with their
 * number. Texts become ids at once, 4 bytes each, and so do questions. Arrays that a file holds
 * deflated are inflated into a scratch file. */
#ifndef MC_CALIB_DATASET_H
#define MC_CALIB_DATASET_H

#include "core/arena.h"
#include "core/hash.h"
#include "core/model.h"
#include "core/nd.h"
#include "core/tokenizer.h"

#include <stdbool.h>
#include <stdint.h>

typedef enum { MC_DATA_ARRAYS, MC_DATA_TOKENS, MC_DATA_CHOICES } mc_data_kind;

typedef struct {
    uint64_t window;  /* tokens of a sample; 0: what the data or the graph says (rows of ids, fixed
                       * length), else the model's context, at most 512 */
    uint64_t most;    /* samples; 0: all. The first ones, or those the seed picks */
    bool shuffled;    /* by `seed`: a permutation of all samples, then `most` of them */
    uint64_t seed;
    bool no_follow;   /* refuse symlinked files */
} mc_dataset_options;

typedef struct mc_dataset mc_dataset;

/* Nothing of `path` and `options` is needed afterwards; the model is.
 * MC_E_FORMAT: an array is missing, or has another shape than the graph's input (names file, array,
 * shape found, shape wanted). MC_E_UNSUPPORTED: text without a tokenizer that can be read. */
mc_status mc_dataset_open(const char *path, const mc_model *model,
                          const mc_dataset_options *options, mc_dataset **out, mc_err *err);
void mc_dataset_close(mc_dataset *d);

const mc_model *mc_dataset_model(const mc_dataset *d);
mc_data_kind mc_dataset_kind(const mc_dataset *d);
uint64_t mc_dataset_samples(const mc_dataset *d);
uint64_t mc_dataset_window(const mc_dataset *d);  /* tokens: W */
uint64_t mc_dataset_dropped(const mc_dataset *d); /* tokens left over behind the last window */

/* SHA-256 of what was read: of one file its bytes; of several, of their digests in order. */
void mc_dataset_hash(const mc_dataset *d, uint8_t digest[MC_SHA256_BYTES]);

/* Sample `i` as inputs of the graph, in their order, with a first axis of 1, in `mem`. Any thread.
 * Tokens: window i, [1, W] in the first input's dtype; other inputs that the graph has
 * (attention_mask, position_ids, token_type_ids) are made to fit. */
mc_status mc_dataset_sample(const mc_dataset *d, uint64_t i, mc_arena *mem, mc_nd *input,
                            mc_err *err);

/* Arrays: the label of sample i; false when there are none. */
bool mc_dataset_label(const mc_dataset *d, uint64_t i, int64_t *label);

/* Tokens: the W + 1 ids of window i and its follower's first; fewer behind the last window (then
 * the last position has no target). Returns how many. */
size_t mc_dataset_tokens(const mc_dataset *d, uint64_t i, const int32_t **ids);

/* Choices. */
typedef struct {
    const int32_t *context;
    size_t context_ids;
    const int32_t *const *choice;
    const size_t *choice_ids;
    const size_t *choice_bytes; /* of its text, for length-normalised scores */
    size_t choices;
    size_t answer;
} mc_question;
mc_status mc_dataset_question(const mc_dataset *d, uint64_t i, mc_question *out, mc_err *err);

/* What the inputs of the model's graph are for a row of ids: [1, n]. For choices, continuations and
 * ids that come from elsewhere. */
mc_status mc_inputs_of_ids(const mc_model *model, const int32_t *ids, size_t n, mc_arena *mem,
                           mc_nd *input, mc_err *err);

const mc_tokenizer *mc_dataset_tokenizer(const mc_dataset *d); /* NULL when there is none */

#endif
