/* The residual stream: the values that layers read through norms and write by adding. A rotation of
 * all of it leaves the model's function as it is when everything that reads or writes is rotated
 * too (QuaRot, Ashkboos et al. 2024, section 4). */
#ifndef MC_QUANT_TRANSFORM_RESIDUAL_H
#define MC_QUANT_TRANSFORM_RESIDUAL_H

#include "quant/places_look.h"

/* A norm that reads the stream; or a matrix that does without one (`node` is its own). */
typedef struct {
    mc_id node;
    const mc_tensor *gain, *bias; /* NULL: none (all ones, zeros) */
    double gain_offset;
    const size_t *site; /* those that take its output; indices into mc_sites */
    size_t sites;
} mc_residual_norm;

typedef struct {
    const mc_tensor *tensor;
    int axis; /* along which its numbers are the stream's */
} mc_residual_tensor;

typedef struct {
    size_t width;
    bool centres; /* a LayerNormalization reads it: it takes the mean off */
    const mc_residual_norm *norm;
    size_t norms;
    const size_t *writer; /* sites that are added to it, indices into mc_sites */
    size_t writers;
    const mc_residual_tensor *from; /* tables of embeddings, vectors that are added */
    size_t froms;
} mc_residual;

/* Finds the stream that the graph's first norm reads. MC_E_UNSUPPORTED names the first node that
 * reads or writes it in another way, and tensors that serve others too. Lives in `mem`. */
mc_status mc_residual_find(const mc_look *look, mc_arena *mem, mc_residual *out, mc_err *err);

#endif
