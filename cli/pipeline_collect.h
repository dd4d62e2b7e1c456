/* Collecting statistics along a walk: what the weights of a group of sites meet, block by block.
 *
 * A block is a set of weights that meet the same rows (calib/stats_file.h). Weights that one place
 * of the model uses share a block with all others that see the same rows there; a weight of several
 * places has a block of its own, which is complete behind the last of them. */
#ifndef MC_CLI_PIPELINE_COLLECT_H
#define MC_CLI_PIPELINE_COLLECT_H

#include "calib/channels.h"
#include "calib/histogram.h"
#include "calib/moments.h"
#include "calib/walk.h"
#include "cli/pipeline_change.h"
#include "cli/pipeline_code.h"

/* ---- moments ---- */

/* Moments of a site's rows, of every sample: x, and of the float stream y (NULL: there is none).
 * They live in *room, which is opened here. */
mc_status mc_collect_moments(const mc_moment_rows *rows, unsigned kinds, mc_pool *pool,
                             mc_region *room, mc_moment_sums *out, mc_err *err);

/* ---- the input itself ---- */

/* The input of the walk's present group, in the main stream. */
typedef struct {
    const mc_calibration *calibration;
    mc_walk *walk;
    mc_pool *pool;
    mc_site_kind kind;             /* of the group's sites */
    const mc_act_spec *act;        /* NULL, or: rotated as it says */
    const mc_input_change *change; /* changed as transforms have changed it; then `act` is NULL */
} mc_sight;

/* What is seen of it. Either part may be NULL: it is not collected. `channels` live in `mem`; n is
 * 0 where the input is not numbers. The order of sums does not depend on threads. */
mc_status mc_see_input(const mc_sight *sight, mc_arena *mem, mc_channels *channels,
                       mc_histogram *histogram, mc_err *err);

/* ---- blocks ---- */

typedef struct {
    const char *name;
    const char *const *weight;
    size_t weights;
    const size_t *site; /* of the calibration: places where these weights stand */
    size_t sites;
    mc_moment_sums *moments;       /* of the Gram the lower triangle; the taker may change them */
    const mc_channels *channels;   /* NULL: not collected, */
    const mc_histogram *histogram; /* as this */
} mc_block;

enum { MC_COLLECT_GRAM = 1, MC_COLLECT_MOMENTS = 2, MC_COLLECT_INPUT = 4 };

/* Who takes the blocks. `wants` says what to collect of a block that is called `name` and holds
 * these sites' weights, 0 to leave it out; it says the same whenever it is asked. */
typedef struct {
    void *self;
    unsigned (*wants)(void *self, const char *name, const size_t *site, size_t sites);
    mc_status (*take)(void *self, const mc_block *block, mc_err *err);
} mc_collect_sink;

typedef struct mc_collector mc_collector;

mc_status mc_collect_open(const mc_calibration *calibration, mc_pool *pool, mc_collector **out,
                          mc_err *err);
void mc_collect_close(mc_collector *collector); /* NULL is allowed */

/* Collects of the walk's present group and gives the blocks that are complete with it. */
mc_status mc_collect_group(mc_collector *collector, mc_walk *walk, const mc_input_group *group,
                           const mc_collect_sink *sink, mc_err *err);

/* Does a site present rows for a weight of the model? Others are in no block. */
bool mc_collects_site(const mc_calibration *calibration, size_t site);

/* Of how many such sites is this one's weight? */
size_t mc_collect_places(const mc_collector *collector, size_t site);

#endif
