/* Choosing codes with data: transforms, then a walk through the model in which every weight is
 * coded for the inputs that it will really meet. */
#ifndef MC_CLI_PIPELINE_CODE_H
#define MC_CLI_PIPELINE_CODE_H

#include "calib/dataset.h"
#include "calib/moments.h"
#include "calib/stats_file.h"
#include "calib/walk.h"
#include "cli/pipeline_made.h"
#include "cli/progress.h"
#include "quant/compensate.h"

/* What calibration runs on: the execution graph (BatchNormalization is left in it: codes are the
 * source's weights), its sites, and the samples. Without a graph there is none. */
typedef struct mc_known mc_known;           /* pipeline_stats.h */
typedef struct mc_checkpoint mc_checkpoint; /* pipeline_checkpoint.h */

typedef struct {
    const mc_model *model;
    mc_graph *graph;
    mc_sites sites;
    mc_input_groups groups;
    mc_stages stages;
    mc_dataset *data;        /* NULL: statistics from a file */
    mc_known *known;
    size_t samples;
    uint64_t tokens;         /* of all samples; samples of arrays count as one */
    bool spills;             /* calibrate: activations wait in scratch files */
    mc_region memory;
} mc_calibration;

/* Opens what `path` is: a data set, or a file of statistics of this very model. NULL path: the
 * graph alone. */
mc_status mc_calibration_open(const mc_model *model, const mc_options *options, const char *path,
                              mc_calibration *out, mc_err *err);
void mc_calibration_close(mc_calibration *c);

/* What names the samples: "first 128 samples of sha256 …"; no path in it. NULL: no room in
 * `mem`. */
const char *mc_calibration_data(const mc_calibration *c, const mc_options *options, mc_arena *mem);
#define MC_WITHOUT_GRAMS ", without Grams"

/* Does a run of this plan choose codes here (else they are chosen piece by piece as they are
 * packed)? */
bool mc_code_needed(const mc_plan *plan);

/* Scratch of each thread of the pool that it takes besides the plan's: address space. */
size_t mc_code_scratch_bytes(const mc_plan *plan);

/* Codes every weight that the plan quantizes, and loads what is edited and kept. `made` is open. */
mc_status mc_pipeline_code(const mc_plan *plan, mc_calibration *calibration, mc_pool *pool,
                           mc_made *made, mc_err *err);

/* ---- parts of it ---- */

/* What a method made of a group's moments, for the next weight that meets them and is coded the
 * same way: q, k and v share one factor. */
typedef struct {
    const mc_quant_setup *setup;
    mc_grid grid;
    size_t group;
    const double *moments; /* what it was made of, NULL: nothing is there */
    const void *prepared;
    mc_quant_facts facts;
    mc_region room;
    const double *compensated; /* the moments that `compensation` was made of; NULL: none */
    mc_compensation compensation;
    mc_region compensation_room;
} mc_prepared;

typedef struct {
    const mc_plan *plan;
    mc_made *made;
    mc_pool *pool;
    const mc_calibration *calibration;
    mc_prepared prepared;
    mc_checkpoint *checkpoint; /* NULL: none */
} mc_coding;

/* One weight and what it meets. */
typedef struct {
    size_t entry;
    const mc_site *site;       /* of the execution graph; NULL: it meets no activation */
    const mc_moments *moments; /* NULL: no data, */
    const char *why_none;      /* for this reason; NULL: none was to be expected */
    const double *residual;    /* outputs x n: sum of (r_float - r) x^T, r what the site's output
                                  is added to; NULL: there is none */
} mc_weight_input;

/* Which moments (MC_QUANT_…) an entry's weight wants of its inputs. */
unsigned mc_code_wants(const mc_coding *coding, size_t entry);

/* pipeline_float.c: all weights, for the inputs of the float model: from a walk through it, or from
 * statistics. */
mc_status mc_code_float(mc_coding *coding, mc_err *err);

/* pipeline_weight.c: codes one weight. */
mc_status mc_code_weight(mc_coding *coding, const mc_weight_input *input, mc_err *err);
void mc_prepared_drop(mc_prepared *prepared);

/* pipeline_transform.c: edits of all transforms of the plan's chain. */
mc_status mc_code_transforms(mc_coding *coding, mc_err *err);

/* pipeline_inputs.c: what the sites of a group meet, from the walk. */
typedef struct {
    mc_walk *walk;
    const mc_input_group *group;
    const mc_act_spec *act; /* of the group: inputs are rounded as their sites will take them */
    mc_carry rounded;       /* the main stream's, when it differs from the walk's, */
    mc_carry turned;        /* and the float stream's; */
    mc_carry paired;        /* of an expert: the float stream's rows of the main stream's tokens */
    mc_region lists;
    mc_region sums;         /* of the site under way */
    const mc_site *last;    /* whose sums they are */
    mc_moment_sums moments;
    mc_region residual_room;
} mc_group_inputs;

/* Rounds and rotates the inputs of the walk's present group. */
mc_status mc_group_inputs_open(const mc_coding *coding, mc_walk *walk, const mc_input_group *group,
                               mc_group_inputs *out, mc_err *err);
void mc_group_inputs_close(mc_group_inputs *inputs);

/* The moments that a site's weight wants (MC_QUANT_…), in `inputs` until the next call that needs
 * others. *moments NULL: its rows are not known, *why says why. */
mc_status mc_group_moments(const mc_coding *coding, mc_group_inputs *inputs, size_t site,
                           unsigned wants, const mc_moments **moments, const char **why,
                           mc_err *err);

/* The value that a site's output is added to, past a bias; MC_NONE: none. */
mc_id mc_code_added_to(const mc_calibration *calibration, const mc_site *site);

/* outputs x n for a site whose output is added to a value that is there already; else NULL. */
mc_status mc_group_residual(const mc_coding *coding, mc_group_inputs *inputs, size_t site,
                            const double **residual, mc_err *err);

#endif
