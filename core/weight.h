/* A weight in one of its forms. Stages turn one form into another; packing accepts all of them and
 * verification turns any back to f32.
 *
 *   dense      numbers as the source stores them
 *   quantized  codes on a grid
 *
 * (factored: two weights, and stacked: bit planes with small factors, are two more forms; the
 * values are reserved for them.) */
#ifndef MC_CORE_WEIGHT_H
#define MC_CORE_WEIGHT_H

#include "core/qmat.h"
#include "core/tensor.h"

typedef enum {
    MC_FORM_DENSE = 1,
    MC_FORM_QUANTIZED = 2,
    MC_FORM_FACTORED = 3,
    MC_FORM_STACKED = 4,
} mc_form;

/* What a weight is, without its bytes: enough to plan, to lay out a container and to decode it. */
typedef struct {
    const char *name;
    mc_form form;
    mc_dtype dtype; /* of the source; dense weights are stored in it */
    int ndim;
    uint64_t dim[MC_MAX_DIMS];
    uint64_t rows, cols; /* as matrix (mc_tensor_shape) */
    /* quantized only: */
    mc_grid grid;
    uint64_t group; /* columns that share a scale; cols for one a row; 0 for one in all */
} mc_weight_spec;

/* The shape on which codes are computed: rows x cols, or 1 x rows*cols when one scale serves all
 * (group 0). */
typedef struct {
    size_t rows, cols, group;
} mc_weight_shape;
mc_weight_shape mc_weight_code_shape(const mc_weight_spec *spec);

/* Bytes a quantized weight's parts take, each part rounded up to whole bytes; a dense one's as in
 * its source.
 * 8 * bytes / (rows * cols) is the weight's bits per weight. */
uint64_t mc_weight_bytes(const mc_weight_spec *spec);

const char *mc_form_name(mc_form form);

#endif
