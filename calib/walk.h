/* A walk: the samples of a data set carried through a model, from one group of sites to the next
 * (stage.h), so that each group's inputs are at hand before its weights are coded, computed with
 * whatever the weights before it have become. One pass over the model in all: the true-sequential
 * order of GPTQ without running a block twice.
 *
 * Up to two streams: the main one, with the numbers that `weights[0]` gives at that moment and its
 * activations rounded as `act` says; and the float one beside it, from weights[1]. */
#ifndef MC_CALIB_WALK_H
#define MC_CALIB_WALK_H

#include "calib/carry.h"
#include "calib/dataset.h"
#include "calib/stage.h"
#include "core/act_spec.h"
#include "core/exec.h"
#include "core/lend.h"
#include "core/meter.h"
#include "core/pool.h"

enum { MC_WALK_MAIN, MC_WALK_FLOAT, MC_WALK_STREAMS };

typedef struct {
    const char *name;             /* of the model, for messages */
    const mc_stages *stages;
    const mc_dataset *data;
    size_t samples;               /* the first so many */
    const mc_weights *weights[MC_WALK_STREAMS]; /* NULL: as the file has them */
    bool two;                     /* there is a float stream */
    const mc_act_spec *act;       /* of each site, or NULL: nothing is rounded. Read when a stage
                                     is run, so that it may be filled in stage by stage */
    uint64_t cache_bytes;         /* decoded weights of a stage that stay in memory */
    bool spills;                  /* values wait in scratch files */
    mc_pool *pool;
    mc_meter meter;               /* gets one for each sample of each stage that is run */
} mc_walk_options;

typedef struct mc_walk mc_walk;

mc_status mc_walk_open(const mc_walk_options *options, mc_walk **out, mc_err *err);
void mc_walk_close(mc_walk *walk);

/* Runs the stage in front of the next group of sites on all samples, with the weights as they are
 * now, and gives that group; NULL when there is none left. The first call runs stage 0. NaN or
 * infinity in a group's input is MC_E_FORMAT, naming the site and the sample. */
mc_status mc_walk_next(mc_walk *walk, const mc_input_group **group, mc_err *err);

/* The group's input of a sample, as it was computed (not rounded). A view that lasts until the next
 * group; its numbers must stay as they are. */
mc_nd mc_walk_input(const mc_walk *walk, unsigned stream, size_t sample);

/* Any value that waits at this stage, of a sample; false when it does not. */
bool mc_walk_value(const mc_walk *walk, unsigned stream, mc_id value, size_t sample, mc_nd *out);

bool mc_walk_two(const mc_walk *walk);    /* is there a float stream? */
bool mc_walk_spills(const mc_walk *walk); /* do values wait in scratch files? */

/* Where they do: pages that were read may leave memory. Any thread. */
void mc_walk_release(const mc_walk *walk);

/* Bytes that wait between stages now. */
uint64_t mc_walk_bytes(const mc_walk *walk);

#endif
