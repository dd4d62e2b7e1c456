/* The original and the container on one sample, node by node side by side.
 *
 * A lane is what one thread needs for it; lanes are lent to the pieces of a pool, one at a time. */
#ifndef MC_VERIFY_LOCKSTEP_H
#define MC_VERIFY_LOCKSTEP_H

#include "core/exec.h"
#include "core/site.h"

#include <stdatomic.h>

/* Sums over the outputs of one site: y of the original, e what differs from it. */
typedef struct {
    double yy;       /* sum of y^2 */
    double ee;       /* of e^2, the container's activations before it */
    double own_yy;   /* the same where its own error was measured, */
    double own_ee;   /* with the original's activations before it */
    uint64_t rows;   /* tokens or positions that reached it */
} mc_site_sums;

typedef struct {
    atomic_flag busy;
    mc_run *original;  /* NULL: its outputs are known from elsewhere */
    mc_run *container;
    mc_region room;    /* of a sample's inputs */
    mc_nd *input;
    const mc_nd **inputs;
} mc_lane;

/* The two models. */
typedef struct {
    const mc_graph *graph; /* of both */
    const mc_sites *sites;
    mc_exec *original, *container;
    mc_lane *lane;
    size_t lanes;
} mc_pair_of_models;

mc_status mc_lanes_open(mc_pair_of_models *pair, size_t lanes, uint64_t input_bytes, mc_arena *mem,
                        mc_err *err);
void mc_lanes_close(mc_pair_of_models *pair);

/* One that nobody uses; there are as many as threads. */
mc_lane *mc_lane_take(mc_pair_of_models *pair);
void mc_lane_give(mc_lane *lane);

/* Runs both on lane->input. `sums` (sites of them, may be NULL) gets what is seen at the sites. */
mc_status mc_lane_run(const mc_pair_of_models *pair, mc_lane *lane, mc_site_sums *sums,
                      mc_err *err);

#endif
