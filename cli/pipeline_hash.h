/* SHA-256 of the source files while their weights are worked on.
 *
 * A digest is one chain over a file, so only one thread can work on it at a time; but which one
 * does not matter. The steps are taken aside of the other work (mc_stream), a bounded way ahead of
 * it, and pages that both have passed are given back to the system. The digest is that of
 * `sha256sum`.
 */
#ifndef MC_CLI_PIPELINE_HASH_H
#define MC_CLI_PIPELINE_HASH_H

#include "core/arena.h"
#include "core/hash.h"
#include "core/model.h"

#include <stdbool.h>

typedef struct mc_hash_lanes mc_hash_lanes;

/* Bytes of pages that stay mapped between hashing and everybody else, at most; for memory
 * estimates. */
size_t mc_hash_lanes_window(void);

/* Bytes of arena that the lanes take. */
size_t mc_hash_lanes_bytes(const mc_model *model);

/* One lane for each source of the model; lives in `mem`. Close it also after a failure (NULL is
 * allowed). */
mc_status mc_hash_lanes_open(const mc_model *model, mc_arena *mem, mc_hash_lanes **out,
                             mc_err *err);
void mc_hash_lanes_close(mc_hash_lanes *lanes);

/* Bytes [0, until) of that source have been read by everybody else; called in rising order, by one
 * thread at a time. */
void mc_hash_lanes_passed(mc_hash_lanes *lanes, size_t source, uint64_t until);

/* Hashes a bounded part; false when it is as far ahead as it may be. One thread at a time. */
bool mc_hash_lanes_step(mc_hash_lanes *lanes);

/* Finishes all files: one digest a source, valid as long as the arena. No other thread may be at
 * work. */
const uint8_t (*mc_hash_lanes_finish(mc_hash_lanes *lanes))[MC_SHA256_BYTES];

/* One digest for all files of weights: that of the file when there is one, else of their digests
 * in order. Text of MC_SHA256_HEX characters. */
mc_status mc_hash_of_weights(const mc_model *model, const uint8_t (*digest)[MC_SHA256_BYTES],
                             char *hex, mc_err *err);

#endif
