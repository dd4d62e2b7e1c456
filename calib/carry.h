/* Values of many samples that wait between the stages of a walk (walk.h): for each value a column
 * of tensors, one a sample. In memory, or in unnamed scratch files whose pages need not stay. */
#ifndef MC_CALIB_CARRY_H
#define MC_CALIB_CARRY_H

#include "core/graph.h"
#include "core/nd.h"

#include <stdatomic.h>
#include <stdbool.h>

typedef struct mc_column mc_column;

typedef struct {
    size_t samples, values;
    bool spills;        /* into scratch files */
    mc_column **column; /* of each value; NULL: nothing was put there */
    size_t most_bytes;  /* address space of a column */
} mc_carry;

/* The list of columns lives in `mem`. */
mc_status mc_carry_open(mc_carry *carry, size_t samples, size_t values, bool spills, mc_arena *mem,
                        mc_err *err);
void mc_carry_close(mc_carry *carry);

/* Makes the column of a value; before any put. */
mc_status mc_carry_add(mc_carry *carry, mc_id value, mc_err *err);

/* Copies the tensor into the column; any thread, each sample once. MC_E_UNSUPPORTED for what is no
 * tensor of numbers. */
mc_status mc_carry_put(mc_carry *carry, mc_id value, size_t sample, const mc_nd *nd, mc_err *err);

/* A view; its numbers may be changed in place. */
mc_nd mc_carry_get(const mc_carry *carry, mc_id value, size_t sample);
bool mc_carry_has(const mc_carry *carry, mc_id value);

/* Gives a column back; NULL columns are allowed. */
void mc_carry_drop(mc_carry *carry, mc_id value);

/* Bytes in columns now. */
uint64_t mc_carry_bytes(const mc_carry *carry);

/* Spilled columns: pages may leave memory. */
void mc_carry_release(const mc_carry *carry);

#endif
