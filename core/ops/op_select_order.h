/* Operators that choose by order: TopK and Unique. */
#ifndef MC_CORE_OPS_OP_SELECT_ORDER_H
#define MC_CORE_OPS_OP_SELECT_ORDER_H

#include "core/op.h"

mc_status mc_topk_shape(const mc_call *call, mc_err *err);
mc_status mc_topk_run(const mc_call *call, mc_err *err);
size_t mc_topk_scratch(const mc_call *call);

mc_status mc_unique_shape(const mc_call *call, mc_err *err);
mc_status mc_unique_run(const mc_call *call, mc_err *err);
size_t mc_unique_scratch(const mc_call *call);

#endif
