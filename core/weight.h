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
    bool edited;         /* a transform changed its numbers, together with those of other tensors,
                            so that the model's function stayed; a dense one is then F32 */
    /* quantized only: */
    bool transposed; /* rows are the tensor's last dimension, columns all the others: how x W is
                        stored, so that a row of the matrix is an output all the same */
    mc_grid grid;
    uint64_t group; /* columns that share a scale; cols for one a row; 0 for one in all */
} mc_weight_spec;

/* The shape on which codes are computed: rows x cols, or 1 x rows*cols when one scale serves all
 * (group 0). */
typedef struct {
    size_t rows, cols, group;
} mc_weight_shape;
mc_weight_shape mc_weight_code_shape(const mc_weight_spec *spec);

/* Makes the matrix the transpose: for a tensor of two dimensions or more. */
void mc_weight_transpose(mc_weight_spec *spec);

/* Which element of the tensor (flat, row-major) stands at place i of the matrix (row-major). */
uint64_t mc_weight_element(const mc_weight_spec *spec, uint64_t i);

/* Places [first, first + count) of the matrix, read from the tensor's bytes as its source stores
 * them. */
void mc_weight_source(const mc_weight_spec *spec, const unsigned char *data, uint64_t first,
                      uint64_t count, float *out);

/* Elements [first, first + count) of the tensor, decoded from its codes: `q` is the whole matrix
 * (mc_weight_code_shape). */
void mc_weight_decode(const mc_weight_spec *spec, const mc_qmat *q, uint64_t first, uint64_t count,
                      float *out);

/* What a weight is stored as, part by part. */
typedef enum {
    MC_PART_DENSE,
    MC_PART_CODES,
    MC_PART_SCALE,
    MC_PART_ZERO,
    MC_PART_OFFSET,
    MC_PART_SUB_SCALE,
    MC_PART_SUB_OFFSET,
    MC_PART_SUPER_SCALE,
    MC_PART_SUPER_OFFSET,
    MC_PARTS,
} mc_part;

typedef struct {
    mc_part part;
    mc_dtype dtype; /* of numbers; MC_DTYPE_NONE for integers */
    unsigned bits;  /* of an integer */
    bool base3;     /* five of them share a byte */
    uint64_t count; /* elements */
    uint64_t bytes; /* rounded up */
} mc_part_size;

enum { MC_WEIGHT_PARTS = 5 }; /* the most a weight has */

/* The one rule of which parts a weight has and how many bytes each takes: writes them in the order
 * of mc_part and says how many. rows * cols must be at most 2^60. */
unsigned mc_weight_parts(const mc_weight_spec *spec, mc_part_size part[MC_WEIGHT_PARTS]);

/* Bytes of all parts. 8 * bytes / (rows * cols) is the weight's bits per weight. */
uint64_t mc_weight_bytes(const mc_weight_spec *spec);

const char *mc_form_name(mc_form form);

#endif
