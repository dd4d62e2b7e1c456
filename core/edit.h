/* Pending edits: what transforms make of the tensors of a model, applied when a tensor is loaded.
 *
 * The source stays mapped as it is. An edit acts along one axis of a tensor, in the tensor's own
 * order of dimensions, so that nobody needs to know whether a matrix is stored transposed; edits of
 * a tensor are applied in the order in which they were added, in f64, and rounded to f32 once at
 * the end. Together a transform's edits leave the function of the model as it is. */
#ifndef MC_CORE_EDIT_H
#define MC_CORE_EDIT_H

#include "core/arena.h"
#include "core/exec.h"
#include "core/model.h"
#include "core/rotation.h"

typedef enum {
    MC_EDIT_SCALE,  /* times vector[i], i the index along the axis */
    MC_EDIT_ADD,    /* plus vector[i] */
    MC_EDIT_SET,    /* the vector itself, whatever was there; tensors of one dimension */
    MC_EDIT_ROTATE, /* each vector x along the axis becomes x Q (x as a row) */
} mc_edit_kind;

typedef struct {
    mc_edit_kind kind;
    int axis;                    /* 0 .. ndim - 1 */
    const double *vector;        /* dim[axis] numbers; copied by mc_edits_add */
    const mc_rotation *rotation; /* of dim[axis]; must outlive the edits */
} mc_edit;

typedef struct mc_edits mc_edits;

/* Edits of a model's tensors (and of constants that its graphs bring along), none yet; they live
 * in `mem`, which grows with them and must outlive them. */
mc_status mc_edits_open(const mc_model *model, mc_arena *mem, mc_edits **out, mc_err *err);

/* Gives back what reads of mc_edits_weights() keep; NULL is allowed. */
void mc_edits_close(mc_edits *edits);

/* Appends; while nobody else uses the edits. MC_E_INTERNAL when axis or shape do not fit;
 * MC_E_FORMAT when a number of the vector is not finite, naming tensor and index. */
mc_status mc_edits_add(mc_edits *edits, const mc_tensor *tensor, const mc_edit *edit, mc_err *err);

/* How many edits a tensor has; the i-th of them, NULL past the end. */
size_t mc_edits_of(const mc_edits *edits, const mc_tensor *tensor);
const mc_edit *mc_edits_at(const mc_edits *edits, const mc_tensor *tensor, size_t i);

/* All elements of the tensor, edited, row-major in its own order. `scratch` needs
 * mc_edits_scratch() bytes. MC_E_FORMAT when an element is not finite afterwards and was before
 * (an overflow), naming tensor and element. Any thread. */
mc_status mc_edits_load(const mc_edits *edits, const mc_tensor *tensor, mc_arena scratch,
                        float *out, mc_err *err);
size_t mc_edits_scratch(const mc_tensor *tensor);

/* The edited model for an executor. A read computes what it asks for: single elements when all
 * edits are scales and sums, else all that one rotation mixes with them. Where that is more than
 * was asked for (rows of a matrix whose columns are rotated) it is kept, f32, for the reads that
 * follow, of any thread: at most one such stretch per processor, the least recently used goes
 * first. */
const mc_weights *mc_edits_weights(const mc_edits *edits);

#endif
