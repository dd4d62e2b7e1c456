/* Parts of running data sets (verify_data.c) that stand on their own. */
#ifndef MC_VERIFY_DATA_RUN_H
#define MC_VERIFY_DATA_RUN_H

#include "formats/npy.h"
#include "verify/judge.h"
#include "verify/verify_data.h"

/* ---- continuations.c ---- */

/* A few greedy continuations by both models, when there is a tokenizer to show them with. */
mc_status mc_continue_texts(const mc_judging *j, mc_arena *mem, mc_outcome *out, mc_err *err);

/* ---- dump.c: both models' outputs as arrays original/NAME and container/NAME ---- */

typedef struct {
    mc_npz_out *file;
    size_t *row_bytes; /* of each output */
    size_t outputs;
} mc_dump;

mc_status mc_dump_open(const char *path, bool replace, const mc_judging *j, mc_arena *mem,
                       mc_dump *out, mc_err *err);
size_t mc_dump_slot_bytes(const mc_dump *dump);

/* Copies a lane's outputs into a slot; any thread. */
mc_status mc_dump_see(const mc_dump *dump, const mc_judging *j, const mc_lane *lane,
                      unsigned char *slot, mc_err *err);
mc_status mc_dump_take(const mc_dump *dump, uint64_t i, const unsigned char *slot, mc_err *err);
mc_status mc_dump_commit(mc_dump *dump, mc_err *err);
void mc_dump_discard(mc_dump *dump);

#endif
