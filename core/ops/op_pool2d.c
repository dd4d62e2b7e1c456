/* Pooling over one to three spatial axes, or over all of them, and MaxPool turned around. The loops
 * are in op_pool_rows.h. */
#include "core/op.h"
#include "core/ops/op_args_shared.h"
#include "core/ops/op_pool_rows.h"
#include "core/ops/op_window_shared.h"

#include <string.h>

static const mc_dtype floats[] = {MC_F16, MC_BF16, MC_F32, MC_F64, MC_DTYPE_NONE};
static const mc_dtype floats_and_bytes[] = {MC_F16, MC_BF16, MC_F32,       MC_F64,
                                            MC_I8,  MC_U8,   MC_DTYPE_NONE};

/* kernel_shape, which has to be there and fit in[0] (whose rank is known). */
static mc_status read_kernel(const mc_call *call, int64_t kernel[3], mc_err *err)
{
    const int axes = call->in[0]->ndim - 2;
    const int64_t *said;
    const size_t n = mc_node_ints(call->node, "kernel_shape", &said);
    char found[MC_ND_TEXT];
    if (axes < 1 || axes > 3)
        return mc_fail(err, axes > 3 ? MC_E_UNSUPPORTED : MC_E_FORMAT,
                       "input 0 is %s (3 to 5 dimensions are allowed)",
                       mc_nd_show(call->in[0], found));
    if (!said || n != (size_t)axes)
        return mc_fail(err, MC_E_FORMAT, "kernel_shape has %zu numbers (%d are needed)", n, axes);
    for (int i = 0; i < axes; i++) {
        kernel[i] = said[i];
        if (kernel[i] < 1)
            return mc_fail(err, MC_E_FORMAT, "kernel_shape[%d] is %lld (at least 1 is allowed)", i,
                           (long long)kernel[i]);
    }
    return MC_OK;
}

/* The exponent of LpPool: a float in version 1, whole since. */
static mc_status read_p(const mc_call *call, double *p, mc_err *err)
{
    const mc_attr *attr = mc_node_attr(call->node, "p");
    *p = attr && attr->kind == MC_ATTR_INT ? (double)mc_node_int(call->node, "p", 2)
                                           : mc_node_float(call->node, "p", 2.0);
    if (!(*p > 0.0)) return mc_fail(err, MC_E_FORMAT, "p is %g (it must be above 0)", *p);
    return MC_OK;
}

/* ---- windows ---- */

static mc_status pool_window(const mc_call *call, mc_window *w, mc_err *err)
{
    int64_t kernel[3];
    MC_TRY(read_kernel(call, kernel, err));
    return mc_op_window(call, call->in[0], kernel, w, err);
}

static mc_status shape(const mc_call *call, const mc_dtype *allowed, mc_err *err)
{
    const mc_nd *x = call->in[0];
    MC_TRY(mc_arg_dtype(call, 0, allowed, err));
    int64_t dim[MC_MAX_DIMS] = {0};
    int ndim = MC_RANK_UNKNOWN;
    if (x->ndim >= 0) {
        mc_window w;
        MC_TRY(pool_window(call, &w, err));
        ndim = x->ndim;
        memcpy(dim, x->dim, 2 * sizeof *dim);
        memcpy(dim + 2, w.out, (size_t)w.axes * sizeof *dim);
    }
    MC_TRY(mc_arg_set(call, 0, x->dtype, ndim, dim, err));
    return mc_arg_set(call, 1, MC_I64, ndim, dim, err);
}

static mc_status max_shape(const mc_call *call, mc_err *err)
{
    return shape(call, call->version < 12 ? floats : floats_and_bytes, err);
}

static mc_status mean_shape(const mc_call *call, mc_err *err)
{
    return shape(call, floats, err);
}

static mc_status norm_shape(const mc_call *call, mc_err *err)
{
    double p;
    MC_TRY(read_p(call, &p, err));
    return shape(call, floats, err);
}

static mc_status pooling_of(const mc_call *call, mc_pool_kind kind, mc_pooling *out, mc_err *err)
{
    mc_window w;
    MC_TRY(pool_window(call, &w, err));
    *out = (mc_pooling){.kind = kind,
                        .planes = mc_nd_span(call->in[0], 0, 2),
                        .window = mc_window_three_axes(&w),
                        .count_pads = mc_node_int(call->node, "count_include_pad", 0) != 0,
                        .columns_first = mc_node_int(call->node, "storage_order", 0) != 0};
    return kind == MC_POOL_NORM ? read_p(call, &out->p, err) : MC_OK;
}

static mc_status run(const mc_call *call, mc_pool_kind kind, mc_err *err)
{
    mc_pooling pool;
    MC_TRY(pooling_of(call, kind, &pool, err));
    return mc_pool_run(&pool, call->in[0], call->out[0], mc_arg_out(call, 1), call->scratch, err);
}

static mc_status max_run(const mc_call *call, mc_err *err)
{
    return run(call, MC_POOL_MAX, err);
}

static mc_status mean_run(const mc_call *call, mc_err *err)
{
    return run(call, MC_POOL_MEAN, err);
}

static mc_status norm_run(const mc_call *call, mc_err *err)
{
    return run(call, MC_POOL_NORM, err);
}

static size_t scratch(const mc_call *call)
{
    mc_pooling pool;
    mc_err err;
    if (!mc_nd_shape_known(call->in[0])) return 0;
    return pooling_of(call, MC_POOL_MEAN, &pool, &err) == MC_OK ? mc_pool_scratch(&pool) : 0;
}

/* ---- all of a plane ---- */

static mc_status whole_shape(const mc_call *call, mc_err *err)
{
    const mc_nd *x = call->in[0];
    char found[MC_ND_TEXT];
    MC_TRY(mc_arg_dtype(call, 0, floats, err));
    if (x->ndim >= 0 && x->ndim < 2)
        return mc_fail(err, MC_E_FORMAT, "input 0 is %s (at least 2 dimensions are needed)",
                       mc_nd_show(x, found));
    int64_t dim[MC_MAX_DIMS] = {1, 1, 1, 1, 1, 1, 1, 1};
    for (int i = 0; i < 2 && i < x->ndim; i++) dim[i] = x->dim[i];
    return mc_arg_set(call, 0, x->dtype, x->ndim, dim, err);
}

static mc_status whole_norm_shape(const mc_call *call, mc_err *err)
{
    double p;
    MC_TRY(read_p(call, &p, err));
    return whole_shape(call, err);
}

static mc_status whole_run(const mc_call *call, mc_pool_kind kind, mc_err *err)
{
    const mc_nd *x = call->in[0];
    mc_pooling pool = {.kind = kind, .planes = mc_nd_span(x, 0, 2)};
    if (kind == MC_POOL_NORM) MC_TRY(read_p(call, &pool.p, err));
    mc_pool_whole(&pool, x, mc_nd_span(x, 2, x->ndim), call->out[0]);
    return MC_OK;
}

static mc_status whole_max_run(const mc_call *call, mc_err *err)
{
    return whole_run(call, MC_POOL_MAX, err);
}

static mc_status whole_mean_run(const mc_call *call, mc_err *err)
{
    return whole_run(call, MC_POOL_MEAN, err);
}

static mc_status whole_norm_run(const mc_call *call, mc_err *err)
{
    return whole_run(call, MC_POOL_NORM, err);
}

/* ---- MaxUnpool ---- */

/* The shape that the indices count in: what MaxPool took, if windows and pads say all. */
static mc_status unpooled(const mc_call *call, int64_t dim[MC_MAX_DIMS], mc_err *err)
{
    const mc_nd *x = call->in[0];
    int64_t kernel[3];
    mc_window w;
    MC_TRY(read_kernel(call, kernel, err));
    MC_TRY(mc_window_unfitted(call, kernel, &w, err));
    memcpy(dim, x->dim, 2 * sizeof *dim);
    for (int i = 0; i < w.axes; i++) {
        dim[2 + i] = -1;
        if (x->dim[2 + i] < 0) continue;
        MC_TRY(mc_window_full_size(&w, i, x->dim[2 + i], 0, &dim[2 + i], err));
        dim[2 + i] -= w.pad_begin[i] + w.pad_end[i];
        if (dim[2 + i] < 1)
            return mc_fail(err, MC_E_FORMAT, "axis %d is empty behind its pads of %lld and %lld",
                           i + 2, (long long)w.pad_begin[i], (long long)w.pad_end[i]);
    }
    return MC_OK;
}

/* output_shape may only add to the end of axes. */
static mc_status check_wanted(const int64_t *wanted, size_t n, const int64_t *dim, int ndim,
                              mc_err *err)
{
    if (n != (size_t)ndim)
        return mc_fail(err, MC_E_FORMAT, "input 2 has %zu numbers (%d are needed)", n, ndim);
    for (int i = 0; i < ndim; i++) {
        if (wanted[i] < 0 || wanted[i] < dim[i])
            return mc_fail(err, MC_E_FORMAT, "input 2 asks for %lld of axis %d (at least %lld)",
                           (long long)wanted[i], i, (long long)dim[i]);
    }
    return MC_OK;
}

static mc_status unpool_shape(const mc_call *call, mc_err *err)
{
    static const mc_dtype whole[] = {MC_I64, MC_DTYPE_NONE};
    const mc_nd *x = call->in[0];
    MC_TRY(mc_arg_dtype(call, 0, floats, err));
    MC_TRY(mc_arg_dtype(call, 1, whole, err));
    if (x->ndim < 0) return mc_arg_set(call, 0, x->dtype, MC_RANK_UNKNOWN, NULL, err);
    int64_t dim[MC_MAX_DIMS], same[MC_MAX_DIMS], wanted[MC_MAX_DIMS];
    MC_TRY(unpooled(call, dim, err));
    memcpy(same, x->dim, sizeof same);
    MC_TRY(mc_arg_dims(call, 1, x->ndim, same, err));
    size_t n;
    bool known;
    MC_TRY(mc_op_ints(call, 2, wanted, MC_MAX_DIMS, &n, &known, err));
    if (!known) {
        for (int i = 0; i < x->ndim; i++) dim[i] = -1;
    } else if (mc_arg_in(call, 2)) {
        MC_TRY(check_wanted(wanted, n, dim, x->ndim, err));
        memcpy(dim, wanted, n * sizeof *dim);
    }
    return mc_arg_set(call, 0, x->dtype, x->ndim, dim, err);
}

/* Where the element of a shape of `from` lies in one of `to`. */
static size_t moved(size_t at, const int64_t *from, const mc_nd *to)
{
    size_t out = 0, step = 1;
    for (int i = to->ndim - 1; i >= 0; i--) {
        out += at % (size_t)from[i] * step;
        at /= (size_t)from[i];
        step *= (size_t)to->dim[i];
    }
    return out;
}

static mc_status unpool_run(const mc_call *call, mc_err *err)
{
    const mc_nd *x = call->in[0], *index = call->in[1];
    mc_nd *y = call->out[0];
    int64_t dim[MC_MAX_DIMS];
    MC_TRY(unpooled(call, dim, err));
    mc_nd counted = {0};
    MC_TRY(mc_nd_set(&counted, x->dtype, x->ndim, dim, err));
    const size_t width = mc_nd_width(x->dtype);
    if (y->count > 0) memset(y->data, 0, y->count * width);
    for (size_t i = 0; i < x->count; i++) {
        const int64_t at = ((const int64_t *)index->data)[i];
        if (at < 0 || (uint64_t)at >= counted.count)
            return mc_fail(err, MC_E_FORMAT, "index %zu is %lld (0 to %zu are allowed)", i,
                           (long long)at, counted.count - 1);
        memcpy((unsigned char *)y->data + moved((size_t)at, dim, y) * width,
               (const unsigned char *)x->data + i * width, width);
    }
    return MC_OK;
}

/* ---- the list ---- */

const mc_op mc_ops_pool2d[] = {
    {.domain = "",
     .name = "MaxPool",
     .since = 1,
     .least_in = 1,
     .most_in = 1,
     .most_out = 2,
     .shape = max_shape,
     .run = max_run},
    {.domain = "",
     .name = "AveragePool",
     .since = 1,
     .least_in = 1,
     .most_in = 1,
     .most_out = 1,
     .shape = mean_shape,
     .run = mean_run,
     .scratch = scratch},
    {.domain = "",
     .name = "LpPool",
     .since = 1,
     .least_in = 1,
     .most_in = 1,
     .most_out = 1,
     .shape = norm_shape,
     .run = norm_run,
     .scratch = scratch},
    {.domain = "",
     .name = "GlobalMaxPool",
     .since = 1,
     .least_in = 1,
     .most_in = 1,
     .most_out = 1,
     .shape = whole_shape,
     .run = whole_max_run},
    {.domain = "",
     .name = "GlobalAveragePool",
     .since = 1,
     .least_in = 1,
     .most_in = 1,
     .most_out = 1,
     .shape = whole_shape,
     .run = whole_mean_run},
    {.domain = "",
     .name = "GlobalLpPool",
     .since = 1,
     .least_in = 1,
     .most_in = 1,
     .most_out = 1,
     .shape = whole_norm_shape,
     .run = whole_norm_run},
    {.domain = "",
     .name = "MaxUnpool",
     .since = 9,
     .least_in = 2,
     .most_in = 3,
     .most_out = 1,
     .shape = unpool_shape,
     .run = unpool_run},
    {.domain = NULL},
};
