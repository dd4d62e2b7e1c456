/* SHA-256 of the source files while their weights are worked on.
 *
 * A digest is one chain over a file, so only one thread can work on it at a time; but which one does not
 * matter. Whoever is done with a piece says how far the file is wanted; the steps are taken aside of the
 * other work (mc_stream). The digest is that of `sha256sum`.
 */
#ifndef MC_CLI_PIPELINE_HASH_H
#define MC_CLI_PIPELINE_HASH_H

#include "core/arena.h"
#include "core/hash.h"
#include "core/model.h"

#include <stdbool.h>

typedef struct mc_hash_lanes mc_hash_lanes;

/* Bytes of arena that the lanes take. */
size_t mc_hash_lanes_bytes(const mc_model *model);

/* One lane for each source of the model; lives in `mem`. Close it also after a failure (NULL is allowed). */
mc_status mc_hash_lanes_open(const mc_model *model, mc_arena *mem, mc_hash_lanes **out,
                             mc_err *err);
void mc_hash_lanes_close(mc_hash_lanes *lanes);

/* Bytes [0, until) of that source are wanted. Any thread. */
void mc_hash_lanes_want(mc_hash_lanes *lanes, size_t source, uint64_t until);

/* Hashes a bounded part of what is wanted; false when there is nothing more. One thread at a time. A
 * failure is kept for mc_hash_lanes_finish(). */
bool mc_hash_lanes_step(mc_hash_lanes *lanes);

/* Finishes all files: one digest a source, valid as long as the arena. No other thread may be at work. */
mc_status mc_hash_lanes_finish(mc_hash_lanes *lanes, const uint8_t (**digest)[MC_SHA256_BYTES],
                               mc_err *err);

/* One digest for all files of weights: that of the file when there is one, else of their digests
 * in order. Text of MC_SHA256_HEX characters. */
mc_status mc_hash_of_weights(const mc_model *model, const uint8_t (*digest)[MC_SHA256_BYTES],
                             char *hex, mc_err *err);

#endif
