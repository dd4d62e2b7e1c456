/* Shared by the parts of checkpoints. A step's file holds tensors by the plan's numbers, which the
 * same run has again:
 *
 *   w/ENTRY/…   codes, params and counts of a weight; texts about it are in the metadata
 *   a/SITE/…    the static scales of a site's activation
 *   e/ENTRY/K   the K-th edit of a tensor, a sum (corrections of biases) */
#ifndef MC_CLI_PIPELINE_CHECKPOINT_PARTS_H
#define MC_CLI_PIPELINE_CHECKPOINT_PARTS_H

#include "cli/pipeline_checkpoint.h"

struct mc_checkpoint {
    mc_region self;
    const mc_plan *plan;
    const mc_calibration *calibration;
    mc_made *made;
    const char *folder;
    bool *coded;   /* of each entry: in a step before */
    size_t *edits; /* of each entry: so many are */
    bool *chosen;  /* of each site: its static scale is */
};

/* Of a weight: facts are F64, counts I64. */
enum {
    MC_KEPT_DAMP,
    MC_KEPT_FLOOR,
    MC_KEPT_START,
    MC_KEPT_END,
    MC_KEPT_OUTPUTS,
    MC_KEPT_TENSOR_SCALE,
    MC_KEPT_FACTS
};
enum { MC_KEPT_DEAD, MC_KEPT_ROWS_SEEN, MC_KEPT_BY_OTHER, MC_KEPT_FALLBACK, MC_KEPT_COUNTS };

/* Has the site's activation its static scale? */
bool mc_checkpoint_static(const mc_checkpoint *k, size_t site);

/* All that is in `made` now was kept, or need not be. */
void mc_checkpoint_mark(mc_checkpoint *k);

/* The file of a step; NULL when `mem` has no room. */
const char *mc_checkpoint_path(const mc_checkpoint *k, size_t step, mc_arena *mem);

#endif
