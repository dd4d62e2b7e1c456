/* SHA-256 of the source files while their weights are worked on.
 *
 * A digest is one chain over a file, so only one thread can work on it at a time; but which one does not
 * matter. Whoever finishes a piece says how far the file is wanted; if nobody is hashing it, he
 * goes on until that point is reached, else the one who is will. The pages are hot, nobody waits, and the digest is
 * that of `sha256sum`. */
#ifndef MC_CLI_PIPELINE_HASH_H
#define MC_CLI_PIPELINE_HASH_H

#include "core/arena.h"
#include "core/hash.h"
#include "core/model.h"

typedef struct mc_hash_lanes mc_hash_lanes;

/* One lane for each source of the model; lives in `mem`. Close it also after a failure (NULL is allowed). */
mc_status mc_hash_lanes_open(const mc_model *model, mc_arena *mem, mc_hash_lanes **out,
                             mc_err *err);
void mc_hash_lanes_close(mc_hash_lanes *lanes);

/* Bytes [0, until) of that source are wanted. Any thread. */
void mc_hash_lanes_want(mc_hash_lanes *lanes, size_t source, uint64_t until);

/* Finishes all files; one digest a source, valid until close. No other thread may be at work. */
const uint8_t (*mc_hash_lanes_finish(mc_hash_lanes *lanes))[MC_SHA256_BYTES];

/* One digest for all files of weights: that of the file when there is one, else of their digests
 * in order. Text of MC_SHA256_HEX characters. */
mc_status mc_hash_of_weights(const mc_model *model, const uint8_t (*digest)[MC_SHA256_BYTES],
                             char *hex, mc_err *err);

#endif
