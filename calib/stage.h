/* Stages: a graph cut in front of every group of sites that share an input, so that a model can be
 * walked group by group: the input of a stage's sites is there before any node of the stage runs.
 *
 * Stage 0 is what comes before the first group: embeddings, norms. Stage k > 0 begins with the
 * first node of group k - 1 and ends before the next stage. Sites of a group that stand in later
 * stages (a shortcut beside the main path) belong to the group all the same. */
#ifndef MC_CALIB_STAGE_H
#define MC_CALIB_STAGE_H

#include "core/input_group.h"

typedef struct {
    const mc_graph *graph;         /* the execution graph, ordered; must outlive this */
    const mc_sites *sites;
    const mc_input_groups *groups;
    mc_id *first;                  /* stages + 1: stage s is nodes [first[s], first[s + 1]) */
    size_t stages;                 /* groups + 1 */
    unsigned char *constant;       /* of each value: does it depend on constants alone? */
    mc_id *last_use;               /* of each value: the last node that takes it; MC_NONE: none */
} mc_stages;

mc_status mc_stages_find(const mc_graph *graph, const mc_sites *sites,
                         const mc_input_groups *groups, mc_arena *mem, mc_stages *out,
                         mc_err *err);

/* One stage as a graph of its own: its inputs are the values that it takes from before (in rising
 * order), its outputs those that later stages take, and the next group's input, be it a constant.
 * Values keep their ids; tensors stay the model's. */
typedef struct {
    mc_graph *graph;
    mc_sites sites;          /* in its nodes, */
    const uint32_t *site_of; /* and which of the whole graph's each is */
} mc_stage_graph;

mc_status mc_stage_cut(const mc_stages *stages, size_t stage, mc_arena *mem, mc_stage_graph *out,
                       mc_err *err);

/* What `mem` of mc_stage_cut must hold at most. */
size_t mc_stage_cut_memory(const mc_stages *stages);

#endif
