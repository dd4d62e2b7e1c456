/* Outputs that are copies of values of any kind: tensors, sequences, optionals. */
#ifndef MC_CORE_OPS_OP_VALUE_SHARED_H
#define MC_CORE_OPS_OP_VALUE_SHARED_H

#include "core/op.h"

/* Makes *out a copy of *from (MC_OP_SIZES); nothing when nobody wants it. */
mc_status mc_op_give(const mc_call *call, mc_nd *out, const mc_nd *from, mc_err *err);

/* Makes *out a sequence of copies. */
mc_status mc_op_give_sequence(const mc_call *call, mc_nd *out, mc_dtype dtype, const mc_nd *item,
                              size_t items, mc_err *err);

#endif
