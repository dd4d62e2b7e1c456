/* How much memory a run on data takes, told from shapes before the first sample is run. */
#ifndef MC_CLI_PIPELINE_MEMORY_H
#define MC_CLI_PIPELINE_MEMORY_H

#include "cli/pipeline_code.h"

/* Activations of more bytes than this wait in scratch files, unless --memory-limit says more. */
#define MC_MEMORY_STREAMS ((uint64_t)1 << 30)

/* All samples and streams together, where nothing else is said. */
typedef struct {
    uint64_t streams;  /* what waits between stages at its most */
    uint64_t input;    /* the largest input of a group of sites, in one stream */
    uint64_t residual; /* most of what is read over and over at one time: an input, and what outputs
                          are added to, in both streams */
    uint64_t sample;   /* the largest value of one sample */
    uint64_t stage;    /* weights and values of a stage that is run */
} mc_memory_walk;

/* `streams` 1 or 2. Values whose shape does not follow from the first sample's count nothing. */
mc_status mc_memory_of_walk(const mc_calibration *calibration, unsigned streams, unsigned threads,
                            mc_memory_walk *out, mc_err *err);

/* A run that chooses codes with this calibration: adds to plan->memory_bytes, sets plan->spills. */
mc_status mc_memory_of_quantize(mc_plan *plan, const mc_calibration *calibration, unsigned threads,
                                mc_err *err);

/* A run of `calibrate`: sets calibration->spills; MC_E_BUDGET when --memory-limit is too small. */
mc_status mc_memory_of_calibrate(mc_calibration *calibration, const mc_options *options,
                                 mc_pool *pool, mc_err *err);

/* Address space for scratch of each thread of `calibrate`. */
size_t mc_memory_scratch(const mc_model *model);

#endif
