/* The grain of quantization: which scale and zero point belong to which element. */
#ifndef MC_CORE_OPS_OP_GRAIN_SHARED_H
#define MC_CORE_OPS_OP_GRAIN_SHARED_H

#include "core/op.h"

#include <stdbool.h>
#include <stddef.h>

/* A tensor as outer x axis x inner; `block` neighbours along the axis share parameters. */
typedef struct {
    size_t outer, axis, inner;
    size_t block, blocks; /* axis = blocks * block, the last may be shorter */
    bool each;            /* parameters for each outer and inner too (blocked); else for blocks */
} mc_grain;

/* Elements [at, at + n) lie together; with step 1 element i has parameters `param` + i, with step 0
 * all of them have `param`. */
typedef struct {
    size_t at, n, param, step;
} mc_grain_run;

/* The runs that make up a tensor, in order; the first call with *i = 0; false behind the last. */
bool mc_grain_next(const mc_grain *g, size_t *i, mc_grain_run *out);

/* From the shapes of input 0 and of its scale, input 1, as QuantizeLinear says: none or one element
 * for the whole tensor, a vector along the attribute `axis` (1 by default), or blocks of block_size
 * along it. Input 2, the zero points, must have the scale's shape. MC_E_FORMAT with what is found
 * and allowed; *known false while shapes are not known. */
mc_status mc_grain_find(const mc_call *call, mc_grain *out, bool *known, mc_err *err);

#endif
