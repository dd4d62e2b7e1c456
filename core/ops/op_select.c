/* Operators that pick elements by value or by place: TopK and Unique (op_select_order.c), NonZero,
 * Compress, OneHot, Trilu; and Det, the determinant. */
#include "core/ops/op_args_shared.h"
#include "core/ops/op_move_shared.h"
#include "core/ops/op_number_shared.h"
#include "core/ops/op_select_order.h"

#include <math.h>
#include <string.h>

enum { NO_STRING = MC_NUM_ANY & ~MC_NUM_STRING };

static bool data_known(const mc_nd *t)
{
    return mc_nd_shape_known(t) && (t->data || t->count == 0);
}

/* ---- NonZero ---- */

/* How many of n elements are not 0. */
#define COUNT(s, T)                                           \
    static size_t count_##s(const void *from, size_t n)       \
    {                                                         \
        const T *x = from;                                    \
        size_t found = 0;                                     \
        for (size_t i = 0; i < n; i++) found += x[i] != (T)0; \
        return found;                                         \
    }
#define X(id, T, W, s) COUNT(s, T)
MC_NUM_ALL(X)
#undef X

typedef size_t (*count_loop)(const void *x, size_t n);
static const count_loop counts[MC_DTYPE_COUNT] = {
#define X(id, T, W, s) [MC_##id] = count_##s,
    MC_NUM_ALL(X)
#undef X
        [MC_BOOL] = count_u8,
};

/* A scalar is seen as a list of one. */
static mc_status shape_nonzero(const mc_call *call, mc_err *err)
{
    const mc_nd *x = call->in[0];
    MC_TRY(mc_num_need(call, 0, NO_STRING, err));
    int64_t dim[2] = {x->ndim < 0 ? -1 : x->ndim > 0 ? x->ndim : 1, -1};
    if (data_known(x)) dim[1] = (int64_t)counts[mc_nd_storage(x->dtype)](x->data, x->count);
    return mc_arg_set(call, 0, MC_I64, 2, dim, err);
}

static mc_status run_nonzero(const mc_call *call, mc_err *err)
{
    (void)err;
    const mc_nd *x = call->in[0], *out = mc_arg_out(call, 0);
    if (!out || out->count == 0) return MC_OK;
    const count_loop is_there = counts[mc_nd_storage(x->dtype)];
    const size_t width = mc_nd_width(x->dtype), found = (size_t)out->dim[1];
    int64_t *to = out->data, index[MC_MAX_DIMS] = {0};
    for (size_t i = 0, k = 0; i < x->count && k < found; i++) {
        if (is_there((const unsigned char *)x->data + i * width, 1)) {
            for (int64_t d = 0; d < out->dim[0]; d++) to[(size_t)d * found + k] = index[d];
            k++;
        }
        for (int d = x->ndim - 1; d >= 0 && ++index[d] == x->dim[d]; d--) index[d] = 0;
    }
    return MC_OK;
}

/* ---- Compress: slices along an axis whose condition holds ---- */

typedef struct {
    int axis;
    bool flat;
    size_t outer, n, inner;
} compress_job;

static mc_status open_compress(const mc_call *call, compress_job *job, mc_err *err)
{
    const mc_nd *x = call->in[0];
    *job = (compress_job){.flat = mc_node_attr(call->node, "axis") == NULL};
    if (x->ndim < 0) return MC_OK;
    if (!job->flat)
        MC_TRY(mc_op_axis(mc_node_int(call->node, "axis", 0), x->ndim, "axis", &job->axis, err));
    job->outer = job->flat ? 1 : mc_nd_span(x, 0, job->axis);
    job->n = job->flat ? x->count : mc_nd_span(x, job->axis, job->axis + 1);
    job->inner = job->flat ? 1 : mc_nd_span(x, job->axis + 1, x->ndim);
    return MC_OK;
}

static mc_status shape_compress(const mc_call *call, mc_err *err)
{
    const mc_nd *x = call->in[0], *keep = call->in[1];
    compress_job job;
    MC_TRY(mc_num_need(call, 0, MC_NUM_ANY, err));
    MC_TRY(mc_num_need(call, 1, MC_NUM_BOOL, err));
    MC_TRY(mc_op_rank(call, 1, 1, 1, err));
    MC_TRY(open_compress(call, &job, err));
    int64_t dim[MC_MAX_DIMS] = {-1}, kept = -1;
    if (data_known(keep)) {
        kept = (int64_t)count_u8(keep->data, keep->count);
        if (mc_nd_shape_known(x) && keep->count > job.n)
            return mc_fail(err, MC_E_FORMAT, "%zu conditions for %zu slices", keep->count, job.n);
    }
    if (!job.flat && x->ndim > 0) memcpy(dim, x->dim, (size_t)x->ndim * sizeof *dim);
    dim[job.axis] = kept;
    return mc_arg_set(call, 0, x->dtype, job.flat ? 1 : x->ndim, dim, err);
}

static mc_status run_compress(const mc_call *call, mc_err *err)
{
    const mc_nd *x = call->in[0], *keep = call->in[1], *out = mc_arg_out(call, 0);
    compress_job job;
    MC_TRY(open_compress(call, &job, err));
    if (!out || out->count == 0) return MC_OK;
    const size_t bytes = job.inner * mc_nd_width(x->dtype);
    const uint8_t *yes = keep->data;
    unsigned char *to = out->data;
    for (size_t o = 0; o < job.outer; o++) {
        for (size_t i = 0; i < keep->count; i++) {
            if (!yes[i]) continue;
            memcpy(to, (const unsigned char *)x->data + (o * job.n + i) * bytes, bytes);
            to += bytes;
        }
    }
    return MC_OK;
}

/* ---- OneHot ---- */

static mc_status hot_axis(const mc_call *call, int *axis, mc_err *err)
{
    return mc_op_axis(mc_node_int(call->node, "axis", -1), call->in[0]->ndim + 1, "axis", axis,
                      err);
}

static mc_status shape_one_hot(const mc_call *call, mc_err *err)
{
    const mc_nd *x = call->in[0], *depth = call->in[1], *values = call->in[2];
    MC_TRY(mc_num_need(call, 0, MC_NUM_ANY_NUMBER, err));
    MC_TRY(mc_num_need(call, 1, MC_NUM_ANY_NUMBER, err));
    MC_TRY(mc_num_need(call, 2, MC_NUM_ANY, err));
    char text[MC_ND_TEXT];
    if (mc_nd_shape_known(depth) && depth->count != 1)
        return mc_fail(err, MC_E_FORMAT, "depth is %s (one number is allowed)",
                       mc_nd_show(depth, text));
    if (mc_nd_shape_known(values) && values->count != 2)
        return mc_fail(err, MC_E_FORMAT, "values are %s ([2] is allowed)",
                       mc_nd_show(values, text));
    if (x->ndim < 0) return mc_arg_set(call, 0, values->dtype, x->ndim, x->dim, err);
    if (x->ndim == MC_MAX_DIMS)
        return mc_fail(err, MC_E_UNSUPPORTED, "an output of %d dimensions", MC_MAX_DIMS + 1);

    int axis;
    MC_TRY(hot_axis(call, &axis, err));
    int64_t dim[MC_MAX_DIMS];
    for (int i = 0; i <= x->ndim; i++) dim[i] = i == axis ? -1 : x->dim[i < axis ? i : i - 1];
    if (data_known(depth)) dim[axis] = mc_nd_int(depth, 0);
    if (data_known(depth) && dim[axis] < 0)
        return mc_fail(err, MC_E_FORMAT, "depth is %lld", (long long)dim[axis]);
    return mc_arg_set(call, 0, values->dtype, x->ndim + 1, dim, err);
}

static mc_status run_one_hot(const mc_call *call, mc_err *err)
{
    const mc_nd *x = call->in[0], *values = call->in[2], *out = mc_arg_out(call, 0);
    if (!out || out->count == 0) return MC_OK;
    int axis;
    MC_TRY(hot_axis(call, &axis, err));
    const size_t width = mc_nd_width(out->dtype), inner = mc_nd_span(x, axis, x->ndim);
    const unsigned char *off = values->data, *on = off + width;
    unsigned char *to = out->data;
    const int64_t depth = out->dim[axis];
    for (size_t i = 0; i < out->count; i++) memcpy(to + i * width, off, width);
    for (size_t i = 0; i < x->count; i++) {
        int64_t place = mc_nd_int(x, i);
        if (place < -depth || place >= depth) continue;
        if (place < 0) place += depth;
        const size_t at = (i / inner * (size_t)depth + (size_t)place) * inner + i % inner;
        memcpy(to + at * width, on, width);
    }
    return MC_OK;
}

/* ---- Trilu ---- */

static mc_status diagonal(const mc_call *call, int64_t *k, mc_err *err)
{
    size_t n;
    bool known;
    *k = 0;
    return mc_op_ints(call, 1, k, 1, &n, &known, err);
}

static mc_status shape_trilu(const mc_call *call, mc_err *err)
{
    int64_t k;
    MC_TRY(mc_num_need(call, 0, MC_NUM_ANY, err));
    MC_TRY(diagonal(call, &k, err));
    MC_TRY(mc_op_rank(call, 0, 2, MC_MAX_DIMS, err));
    return mc_op_same_shape(call, err);
}

/* Of row i, columns from i + k on (upper) or up to it (lower) stay. */
static mc_status run_trilu(const mc_call *call, mc_err *err)
{
    const mc_nd *x = call->in[0], *out = mc_arg_out(call, 0);
    if (!out || out->count == 0) return MC_OK;
    int64_t k;
    MC_TRY(diagonal(call, &k, err));
    const bool upper = mc_node_int(call->node, "upper", 1) != 0;
    const int64_t rows = x->dim[x->ndim - 2], cols = x->dim[x->ndim - 1];
    const size_t width = mc_nd_width(x->dtype), row_bytes = (size_t)cols * width;
    if (k > cols) k = cols; /* keeps the sum below from overflowing */
    for (size_t r = 0; r < x->count / (size_t)cols; r++) {
        const int64_t at = (int64_t)(r % (size_t)rows) + k + (upper ? 0 : 1);
        const size_t cut = (size_t)(at < 0 ? 0 : at < cols ? at : cols) * width;
        unsigned char *to = (unsigned char *)out->data + r * row_bytes;
        memmove(to, (const unsigned char *)x->data + r * row_bytes, row_bytes);
        if (upper)
            memset(to, 0, cut);
        else
            memset(to + cut, 0, row_bytes - cut);
    }
    return MC_OK;
}

/* ---- Det ---- */

static mc_status shape_det(const mc_call *call, mc_err *err)
{
    const mc_nd *x = call->in[0];
    char text[MC_ND_TEXT];
    MC_TRY(mc_num_need(call, 0, MC_NUM_FLOAT, err));
    MC_TRY(mc_op_rank(call, 0, 2, MC_MAX_DIMS, err));
    if (mc_nd_shape_known(x) && x->dim[x->ndim - 1] != x->dim[x->ndim - 2])
        return mc_fail(err, MC_E_FORMAT, "%s are no square matrices", mc_nd_show(x, text));
    return mc_arg_set(call, 0, x->dtype, x->ndim < 0 ? x->ndim : x->ndim - 2, x->dim, err);
}

/* By elimination with row pivots; `a`, n x n, is spent. */
static double determinant(double *a, size_t n)
{
    double product = 1.0;
    for (size_t i = 0; i < n; i++) {
        size_t pivot = i;
        for (size_t r = i + 1; r < n; r++) {
            if (fabs(a[r * n + i]) > fabs(a[pivot * n + i])) pivot = r;
        }
        if (pivot != i) product = -product;
        for (size_t c = i; c < n && pivot != i; c++) {
            const double kept = a[i * n + c];
            a[i * n + c] = a[pivot * n + c];
            a[pivot * n + c] = kept;
        }
        const double first = a[i * n + i];
        product *= first;
        for (size_t r = i + 1; r < n && first != 0.0; r++) {
            const double factor = a[r * n + i] / first;
            for (size_t c = i; c < n; c++) a[r * n + c] -= factor * a[i * n + c];
        }
    }
    return product;
}

static size_t scratch_det(const mc_call *call)
{
    const mc_nd *x = call->in[0];
    return mc_arg_bytes(mc_nd_span(x, x->ndim - 2, x->ndim), sizeof(double));
}

static mc_status run_det(const mc_call *call, mc_err *err)
{
    const mc_nd *x = call->in[0], *out = mc_arg_out(call, 0);
    if (!out) return MC_OK;
    const size_t n = (size_t)x->dim[x->ndim - 1], width = mc_nd_width(x->dtype);
    mc_arena mem = call->scratch;
    double *a = MC_NEW_RAW(&mem, double, n *n);
    if (!a) return mc_no_room(err, "a matrix");
    for (size_t i = 0; i < out->count; i++) {
        mc_num_convert(x->dtype, (const unsigned char *)x->data + i * n * n * width, MC_F64, a,
                       n * n);
        const double det = determinant(a, n);
        mc_num_convert(MC_F64, &det, out->dtype, (unsigned char *)out->data + i * width, 1);
    }
    return MC_OK;
}

/* ---- the list ---- */

#define LINE(name_, since_, least, most, outs, ...)                                               \
    {                                                                                             \
        .domain = "", .name = (name_), .since = (since_), .least_in = (least), .most_in = (most), \
        .most_out = (outs), __VA_ARGS__                                                           \
    }

const mc_op mc_ops_select[] = {
    LINE("Compress", 9, 2, 2, 1, .flags = MC_OP_MOVES, .shape = shape_compress,
         .run = run_compress),
    LINE("Det", 11, 1, 1, 1, .shape = shape_det, .run = run_det, .scratch = scratch_det),
    LINE("NonZero", 9, 1, 1, 1, .shape = shape_nonzero, .run = run_nonzero),
    LINE("OneHot", 9, 3, 3, 1, .shape = shape_one_hot, .run = run_one_hot),
    LINE("TopK", 1, 1, 1, 2, .flags = MC_OP_MOVES, .shape = mc_topk_shape, .run = mc_topk_run,
         .scratch = mc_topk_scratch),
    LINE("TopK", 10, 2, 2, 2, .flags = MC_OP_MOVES, .shape = mc_topk_shape, .run = mc_topk_run,
         .scratch = mc_topk_scratch),
    LINE("Trilu", 14, 1, 2, 1, .flags = MC_OP_IN_PLACE | MC_OP_MOVES, .shape = shape_trilu,
         .run = run_trilu),
    LINE("Unique", 11, 1, 1, 4, .flags = MC_OP_SIZES | MC_OP_MOVES, .shape = mc_unique_shape,
         .run = mc_unique_run, .scratch = mc_unique_scratch),
    {.name = NULL},
};
