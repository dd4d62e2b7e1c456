/* From the plan to the bytes of a container. */
#ifndef MC_CLI_PIPELINE_ENCODE_H
#define MC_CLI_PIPELINE_ENCODE_H

#include "cli/pipeline_hash.h"
#include "cli/pipeline_made.h"
#include "cli/progress.h"
#include "core/pool.h"

/* Where pieces come from and go to. */
typedef struct {
    const mc_plan *plan;
    const mc_made *made; /* what was coded or edited before; NULL: nothing was */
    mc_pack *pack;
    mc_hash_lanes *lanes;
    mc_progress *progress;
} mc_encoding;

/* Sets what grids of the plan must know of the whole tensor, of those that are not coded yet
 * (`made` may be NULL): before any of them is. (pipeline_look.c) */
mc_status mc_plan_look(mc_plan *plan, const mc_made *made, mc_pool *pool, mc_err *err);

/* Quantizes what is not coded yet, packs and writes every piece of the plan; the sources are hashed
 * on the way. */
mc_status mc_pipeline_encode(const mc_encoding *encoding, mc_pool *pool, mc_err *err);

/* Quantizes one piece and throws the codes away; for time estimates. */
mc_status mc_plan_try(const mc_plan *plan, mc_work work, mc_arena scratch, mc_err *err);

#endif
