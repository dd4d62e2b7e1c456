/* The grain of quantization, found from shapes, and walked in runs that are as long as can be. */
#include "core/ops/op_grain_shared.h"

#include "core/ckd.h"
#include "core/ops/op_args_shared.h"
#include "core/ops/op_move_shared.h"

/* Runs of a vector along the last axis are rows; so are those of blocks that have inner elements;
 * else a run is a block. */
bool mc_grain_next(const mc_grain *g, size_t *i, mc_grain_run *out)
{
    const size_t k = (*i)++;
    if (g->outer == 0 || g->axis == 0 || g->inner == 0) return false;
    if (!g->each && g->inner == 1 && g->block == 1) {
        *out = (mc_grain_run){.at = k * g->axis, .n = g->axis, .param = 0, .step = 1};
        return k < g->outer;
    }
    if (g->each && g->inner > 1) {
        const size_t block = k / g->axis * g->blocks + k % g->axis / g->block;
        *out =
            (mc_grain_run){.at = k * g->inner, .n = g->inner, .param = block * g->inner, .step = 1};
        return k < g->outer * g->axis;
    }
    const size_t block = k % g->blocks, first = block * g->block;
    const size_t left = g->axis - first, n = left < g->block ? left : g->block;
    *out = (mc_grain_run){.at = (k / g->blocks * g->axis + first) * g->inner,
                          .n = n * g->inner,
                          .param = g->each ? k : block};
    return k < g->outer * g->blocks;
}

static mc_status refuse_scale(const mc_call *call, int axis, int64_t block, mc_err *err)
{
    char x[MC_ND_TEXT], scale[MC_ND_TEXT];
    return mc_fail(err, MC_E_FORMAT,
                   "the scale is %s, which fits neither the whole of %s nor its axis %d%s (blocks "
                   "of %lld)",
                   mc_nd_show(call->in[1], scale), mc_nd_show(call->in[0], x), axis,
                   block > 0 ? " in blocks" : "", (long long)block);
}

static mc_status check_zero_points(const mc_call *call, mc_err *err)
{
    const mc_nd *scale = call->in[1], *zero = mc_arg_in(call, 2);
    if (!zero || zero->ndim < 0) return MC_OK;
    char found[MC_ND_TEXT], allowed[MC_ND_TEXT];
    bool fits = zero->ndim == scale->ndim;
    for (int d = 0; fits && d < zero->ndim; d++)
        fits = zero->dim[d] < 0 || scale->dim[d] < 0 || zero->dim[d] == scale->dim[d];
    if (!fits && mc_nd_shape_known(zero) && zero->count == 1 && scale->count == 1) fits = true;
    if (fits) return MC_OK;
    return mc_fail(err, MC_E_FORMAT, "the zero point is %s; allowed is the scale's shape %s",
                   mc_nd_show(zero, found), mc_nd_show(scale, allowed));
}

/* Scales with all of the tensor's dimensions: equal but along the axis. */
static bool fits_blocks(const mc_nd *x, const mc_nd *scale, int axis, int64_t block)
{
    if (block < 1 || scale->ndim != x->ndim) return false;
    for (int d = 0; d < x->ndim; d++) {
        const int64_t n = x->dim[d];
        const int64_t want = d == axis ? n / block + (n % block != 0) : n;
        if (scale->dim[d] != want) return false;
    }
    return true;
}

mc_status mc_grain_find(const mc_call *call, mc_grain *out, bool *known, mc_err *err)
{
    const mc_nd *x = call->in[0], *scale = call->in[1];
    const int64_t block = mc_node_int(call->node, "block_size", 0);
    *known = mc_nd_shape_known(x) && mc_nd_shape_known(scale);
    if (block < 0)
        return mc_fail(err, MC_E_FORMAT, "block_size is %lld; allowed is 0 or more",
                       (long long)block);
    if (!*known) return MC_OK;
    MC_TRY(check_zero_points(call, err));
    const bool blocked = block > 0 && scale->ndim == x->ndim && scale->ndim > 0;
    if (scale->ndim < 2 && scale->count == 1 && !blocked) {
        const size_t n = x->count;
        *out = (mc_grain){.outer = n > 0, .axis = n, .inner = 1, .block = n, .blocks = 1};
        return MC_OK;
    }
    int axis = 0;
    if (x->ndim != 1)
        MC_TRY(mc_op_axis(mc_node_int(call->node, "axis", 1), x->ndim, "axis", &axis, err));
    const bool vector = scale->ndim == 1 && scale->dim[0] == x->dim[axis] && block == 0;
    if (!vector && !fits_blocks(x, scale, axis, block)) return refuse_scale(call, axis, block, err);
    const size_t n = (size_t)x->dim[axis], width = vector ? 1 : (size_t)block;
    *out = (mc_grain){.outer = mc_nd_span(x, 0, axis),
                      .axis = n,
                      .inner = mc_nd_span(x, axis + 1, x->ndim),
                      .block = width,
                      .blocks = (size_t)mc_ceil_div(n, width),
                      .each = !vector};
    return MC_OK;
}
