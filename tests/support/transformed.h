/* A model, its places, and what transforms make of it: run before and after on the same inputs.
 *
 *     transformed t = transformed_open(path);
 *     transformed_apply(&t, "smoothquant", (double[]){0.5, 1});
 *     cr_expect_lt(transformed_distance(&t), 1e-5);
 *     transformed_close(&t);
 */
#ifndef MC_TESTS_SUPPORT_TRANSFORMED_H
#define MC_TESTS_SUPPORT_TRANSFORMED_H

#include "core/exec.h"
#include "formats/formats.h"
#include "quant/transform.h"

enum { TRANSFORMED_INPUTS = 4, TRANSFORMED_BATCHES = 2 };

typedef struct {
    mc_model model;
    mc_region region;
    mc_graph *graph; /* prepared, without the pass batchnorm */
    mc_sites *sites;
    mc_places places;
    mc_edits *edits;
    mc_nd input[TRANSFORMED_BATCHES][TRANSFORMED_INPUTS]; /* drawn */
    uint32_t *hadamard;                                   /* of each site */
    bool kv_hadamard, online;
    mc_transform_job job; /* of the last transform */
    mc_quant_setup rounding;
    mc_grid grid;
    mc_err err;
} transformed;

transformed transformed_open(const char *path);

/* A graph of one's own: between these two, tensors and nodes are added to t.model. */
transformed transformed_begin(void);
void transformed_ready(transformed *t);

/* A graph input of floats; a tensor of small numbers, or the given ones; a node of ai.onnx version
 * 23 whose output is named after it. Attributes may follow (mc_node_add_…, t.model.graph). */
mc_id transformed_in(transformed *t, int ndim, const int64_t *dim);
mc_id transformed_weight(transformed *t, const char *name, int ndim, const uint64_t *dim,
                         const float *x);
mc_id transformed_node(transformed *t, const char *op, const char *name, const mc_id *in,
                       size_t ins);

void transformed_close(transformed *t);

/* Begins the transform, then hands it all groups with what their inputs were in the model edited so
 * far; `param` NULL: as usual. The status, its message in t->err. */
mc_status transformed_try(transformed *t, const char *name, const double *param);
void transformed_apply(transformed *t, const char *name, const double *param);

/* The largest difference between outputs over the largest output, over all inputs and outputs;
 * infinite when something is not a number. */
double transformed_distance(const transformed *t);

/* The same on the graph that went through all passes, batchnorm too. */
double transformed_distance_with_passes(const transformed *t);

/* The largest |x| of each channel of a group's input, over all batches, in the model with its edits
 * and with the rotation that the device does: most[channels]. */
void transformed_absmax(const transformed *t, const mc_input_group *group, size_t channels,
                        float *most);

/* Edits a tensor along an axis. */
void transformed_edit(transformed *t, const char *name, mc_edit_kind kind, int axis,
                      const double *vector);

/* The place whose consumer is called so (the first that has it in its name), or NULL. */
const mc_place *transformed_place(const transformed *t, const char *consumer);

/* A tensor of the model by name, edited; count numbers. */
const float *transformed_tensor(transformed *t, const char *name);

#endif
