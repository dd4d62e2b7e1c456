/* Views: where values lie and how to read them. A view never owns its memory. */
#ifndef MC_CORE_TENSOR_H
#define MC_CORE_TENSOR_H

#include "core/dtype.h"

#include <stddef.h>
#include <stdint.h>

enum { MC_MAX_DIMS = 8 };

/* A tensor as a file stores it: contiguous, row-major, little-endian, any alignment. */
typedef struct {
    const char *name; /* NUL-terminated UTF-8, no NUL inside */
    mc_dtype dtype;
    int ndim;
    uint64_t dim[MC_MAX_DIMS]; /* outermost first; a scalar has ndim 0 */
    const unsigned char *data; /* `bytes` bytes inside the map of `source` */
    uint64_t bytes;
    uint64_t count;  /* elements */
    uint32_t source; /* index into mc_model.source */
} mc_tensor;

/* A matrix as an algorithm works on it: f32, row-major. */
typedef struct {
    const float *at;
    size_t rows, cols;
} mc_mat;

static inline const float *mc_row(mc_mat m, size_t row)
{
    return m.at + row * m.cols;
}

/* How a tensor of two or more dimensions is seen as rows x cols: one row per output feature.
 * Two dimensions: as they are. Convolutions (4 or 5 dimensions, or 3 with a last one below 16):
 * dim 0 x the rest. Stacks of matrices (other 3-D): all but the last x the last.
 * False, and rows = 1, cols = count, for fewer than two dimensions. */
bool mc_tensor_shape(const mc_tensor *t, uint64_t *rows, uint64_t *cols);

/* "[4096, 256]" */
void mc_tensor_shape_text(const mc_tensor *t, char *text, size_t room);

#endif
