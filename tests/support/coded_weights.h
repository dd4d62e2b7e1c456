/* Weights as a container gives them, without a container: one tensor of a graph on a grid, all
 * others as they are. */
#ifndef MC_TESTS_SUPPORT_CODED_WEIGHTS_H
#define MC_TESTS_SUPPORT_CODED_WEIGHTS_H

#include "core/exec.h"

typedef struct {
    mc_weights weights; /* first */
    const mc_tensor *tensor;
    mc_weight_spec spec;
    mc_qmat q;      /* of the whole matrix */
    float *decoded; /* in the order of the tensor */
    float *bound;   /* |s u| + |m| at each place: what rounding errors are relative to */
    bool bounds;    /* read gives those, and of other tensors absolute values */
    size_t asked;   /* how often for codes */
} coded_weights;

/* Puts `tensor` (F32) on a grid. group: 0 one scale in all; SIZE_MAX one a row. */
coded_weights *coded_weights_make(mc_arena *mem, const mc_tensor *tensor, bool transposed,
                                  const mc_grid *grid, size_t group);

#endif
