/* A model and a data set as calibration sees them: execution graph, sites, groups of sites, stages;
 * walks over them; and what plain runs of the whole graph show at the same places. Failures of the
 * fixture itself are failed assertions. */
#ifndef MC_TESTS_SUPPORT_WALK_CASE_H
#define MC_TESTS_SUPPORT_WALK_CASE_H

#include "calib/walk.h"
#include "formats/formats.h"

typedef struct {
    mc_model model;
    mc_region region;
    mc_graph *graph; /* prepared, without the pass batchnorm */
    mc_sites sites;
    mc_input_groups groups;
    mc_stages stages;
    mc_dataset *data;
    size_t samples;
    mc_err err;
} walk_case;

/* The case must stay where it is. A test may make `samples` fewer. */
void walk_case_open(walk_case *c, const char *model, const char *data, uint64_t window);
void walk_case_close(walk_case *c);

/* The value of that name, and the group whose sites take it (MC_NONE: none). */
mc_id walk_case_value(const walk_case *c, const char *name);
size_t walk_case_group(const walk_case *c, const char *value);

/* Weights that are the file's times `factor`, of those tensors whose names end so; NULL: of all. A
 * test may change both while a walk is under way. */
typedef struct {
    mc_weights weights; /* first */
    const char *ending;
    float factor;
} scaled_weights;
scaled_weights scaled_weights_of(const char *ending, float factor);

/* Copies of every group's input, of all samples: nd[group * samples + sample], in the region.
 * `act`, of each site, NULL: activations are floats. */
mc_nd *walk_case_plain(walk_case *c, const mc_weights *weights, const mc_act_spec *act);

/* One stream of a walk, of the model's name, stages, data and samples; the rest as given. */
mc_walk_options walk_case_options(const walk_case *c, mc_pool *pool);

/* The walk's next group; its input in `stream` has the same bits as `plain` for all samples.
 * False when there is none left. */
bool walk_case_next(walk_case *c, mc_walk *walk, unsigned streams, mc_nd *const *plain);

/* The same shape, dtype and bits. */
bool walk_case_same(const mc_nd *a, const mc_nd *b);

#endif
