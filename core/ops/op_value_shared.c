/* Copies of values of any kind, in memory that the executor makes. */
#include "core/ops/op_value_shared.h"

#include <string.h>

mc_status mc_op_give(const mc_call *call, mc_nd *out, const mc_nd *from, mc_err *err)
{
    if (!out) return MC_OK;
    *out = *from;
    out->lazy = NULL;
    if (from->kind != MC_ND_TENSOR) return call->host->make(call->host, out, err);
    out->data = NULL;
    MC_TRY(call->host->make(call->host, out, err));
    const size_t bytes = from->count * mc_nd_width(from->dtype);
    if (bytes > 0) memcpy(out->data, from->data, bytes);
    return MC_OK;
}

mc_status mc_op_give_sequence(const mc_call *call, mc_nd *out, mc_dtype dtype, const mc_nd *item,
                              size_t items, mc_err *err)
{
    const mc_nd sequence = {.kind = MC_ND_SEQUENCE,
                            .dtype = dtype,
                            .ndim = MC_RANK_UNKNOWN,
                            .item = item,
                            .items = items};
    return mc_op_give(call, out, &sequence, err);
}
