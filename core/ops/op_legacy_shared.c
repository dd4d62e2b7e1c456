/* Versions of ai.onnx before 7: a second input is aligned to an axis of the first one. Dimensions
 * of 1 behind it make numpy's broadcasting of it, which knows only the last axis. */
#include "core/ops/op_legacy_shared.h"

static mc_status refuse(const mc_call *call, size_t i, const char *how, mc_err *err)
{
    char text[MC_ND_TEXT], other[MC_ND_TEXT];
    return mc_fail(err, MC_E_FORMAT, "input %zu is %s, which does not fit %s of input 0 %s", i,
                   mc_nd_show(call->in[i], text), mc_nd_show(call->in[0], other), how);
}

static bool may_be_same(const mc_nd *a, const mc_nd *b)
{
    if (a->ndim < 0 || b->ndim < 0) return true;
    if (a->ndim != b->ndim) return false;
    for (int d = 0; d < a->ndim; d++) {
        if (a->dim[d] >= 0 && b->dim[d] >= 0 && a->dim[d] != b->dim[d]) return false;
    }
    return true;
}

/* `out` is in[i]; its first dimension shall stand at `axis` of in[0]. */
static mc_status align(const mc_call *call, size_t i, int64_t axis, mc_nd *out, mc_err *err)
{
    const mc_nd *a = call->in[0];
    if (axis < 0 || axis > a->ndim - out->ndim) return refuse(call, i, "at that axis", err);
    for (int d = 0; d < out->ndim; d++) {
        const int64_t all = a->dim[axis + d], own = out->dim[d];
        if (all >= 0 && own >= 0 && own != 1 && own != all)
            return refuse(call, i, "at that axis", err);
    }
    while (out->ndim < a->ndim - (int)axis) out->dim[out->ndim++] = 1;
    return MC_OK;
}

/* Not to be aligned: one element, or a shape that is not known, which in[0]'s hides. */
static bool is_spread(const mc_nd *a, mc_nd *b)
{
    const bool one = mc_nd_shape_known(b) && b->count == 1 && (a->ndim < 0 || b->ndim <= a->ndim);
    if (one || b->ndim < 0) b->ndim = 0;
    if (a->ndim < 0 && b->ndim > 0) b->ndim = MC_RANK_UNKNOWN;
    return b->ndim <= 0;
}

mc_status mc_legacy_operand(const mc_call *call, size_t i, mc_nd *out, mc_err *err)
{
    const mc_nd *a = call->in[0];
    *out = *call->in[i];
    if (call->version >= MC_LEGACY_BEFORE) return MC_OK;
    if (mc_node_int(call->node, "broadcast", 0) == 0)
        return may_be_same(a, out) ? MC_OK : refuse(call, i, "without broadcast", err);
    if (is_spread(a, out)) return MC_OK;
    const int64_t last = a->ndim - out->ndim, axis = mc_node_int(call->node, "axis", last);
    return align(call, i, axis < 0 ? axis + a->ndim : axis, out, err);
}

mc_status mc_legacy_channels(const mc_call *call, size_t i, mc_nd *out, mc_err *err)
{
    const mc_nd *a = call->in[0];
    *out = *call->in[i];
    if (call->version >= MC_LEGACY_BEFORE || is_spread(a, out)) return MC_OK;
    const bool channels = out->ndim == 1 && a->ndim > 1;
    return align(call, i, channels ? 1 : a->ndim - out->ndim, out, err);
}

mc_status mc_legacy_check_test(const mc_call *call, mc_err *err)
{
    if (call->version >= MC_LEGACY_BEFORE || mc_node_int(call->node, "is_test", 0) != 0)
        return MC_OK;
    return mc_fail(err, MC_E_UNSUPPORTED,
                   "is_test is 0 in opset %d, which trains (only is_test 1 can be run)",
                   call->version);
}
