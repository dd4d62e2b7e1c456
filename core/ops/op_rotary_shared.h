/* Rotary position embedding: pairs of elements of a head turned by an angle of their position. */
#ifndef MC_CORE_OPS_OP_ROTARY_SHARED_H
#define MC_CORE_OPS_OP_ROTARY_SHARED_H

#include "core/op.h"

#include <stdbool.h>
#include <stddef.h>

/* One head: elements i and half + i (interleaved: 2 i and 2 i + 1) of the first 2 * half turn by
 * the angle whose cosine and sine are given; elements up to `size` stay. y is not x. */
void mc_rotary_head(const float *x, float *y, size_t size, size_t half, const float *cosine,
                    const float *sine, bool interleaved);

/* RotaryEmbedding as an operator; where its inputs stand. */
typedef struct {
    size_t cosine, sine, position;
} mc_rotary_inputs;
mc_status mc_rotary_shape(const mc_call *call, mc_rotary_inputs in, mc_err *err);
mc_status mc_rotary_run(const mc_call *call, mc_rotary_inputs in, mc_err *err);

#endif
