/* Normalizations: over batches, samples, groups of channels, rows, neighbouring channels, lines.
 *
 * Statistics are sums of doubles; the numbers themselves are computed as they lie (f32 or f64), by
 * one source for both (op_norm_real.inc). */
#include "core/ops/op_norm_shared.h"

#include "core/ops/op_args_shared.h"
#include "core/ops/op_legacy_shared.h"
#include "core/ops/op_move_shared.h"

#include <math.h>
#include <string.h>

enum { LANES = 8, STRIP = 64 };

typedef struct {
    double sum, square, n; /* of distances to a pivot */
} moments;

typedef struct {
    mc_norm norm;
    size_t samples, groups, group; /* elements of a group, contiguous */
    size_t group_params;           /* scales of a group: its channels, or 1 */
} grouped;

typedef struct {
    size_t samples, channels, span;
    double epsilon, momentum;
    bool training;
} batch;

typedef struct {
    size_t samples, channels, span, before, after;
    double alpha, beta, bias; /* alpha is divided by the size already */
} response;

typedef struct {
    double mean, square, n;
} sums;

/* The population variance; never below 0, NaN stays. */
static double spread(const moments *m)
{
    const double mean = m->sum / m->n, variance = m->square / m->n - mean * mean;
    return variance < 0.0 ? 0.0 : variance;
}

static mc_norm_stats finish(mc_norm norm, double pivot, const moments *m)
{
    const double size = norm.centre ? spread(m) : m->square / m->n;
    return (mc_norm_stats){.mean = norm.centre ? pivot + m->sum / m->n : 0.0,
                           .inverse = 1.0 / sqrt(size + norm.epsilon)};
}

/* The set that element i belongs to when the axes reduced[] do not tell elements apart. */
static size_t slot_of(const mc_nd *t, const bool *reduced, size_t i)
{
    size_t slot = 0, stride = 1;
    for (int d = t->ndim; d-- > 0;) {
        const size_t n = (size_t)t->dim[d];
        if (!reduced[d]) {
            slot += i % n * stride;
            stride *= n;
        }
        i /= n;
    }
    return slot;
}

#define REAL       float
#define NAME(name) name##_f32
#include "core/ops/op_norm_real.inc"
#undef REAL
#undef NAME
#define REAL       double
#define NAME(name) name##_f64
#include "core/ops/op_norm_real.inc"
#undef REAL
#undef NAME

/* ---- what shapes have in common ---- */

static double epsilon_of(const mc_call *call)
{
    return mc_node_float(call->node, "epsilon", (double)1e-5f);
}

/* Channels are axis 1; a tensor of one dimension has one. */
static int64_t channels_of(const mc_nd *x)
{
    if (x->ndim < 0) return -1;
    return x->ndim > 1 ? x->dim[1] : 1;
}

/* ---- rows: LayerNormalization, RMSNormalization ---- */

/* Inputs 1 and 2 must spread over the input by numpy's rules without changing its shape. */
static mc_status check_spread(const mc_call *call, size_t i, mc_err *err)
{
    const mc_nd *x = call->in[0], *p = mc_arg_in(call, i);
    if (!p || p->ndim < 0 || x->ndim < 0) return MC_OK;
    bool fits = p->ndim <= x->ndim;
    for (int d = 0; fits && d < p->ndim; d++) {
        const int64_t n = p->dim[d], all = x->dim[d + x->ndim - p->ndim];
        fits = n < 0 || all < 0 || n == 1 || n == all;
    }
    if (fits) return MC_OK;
    char found[MC_ND_TEXT], allowed[MC_ND_TEXT];
    return mc_fail(err, MC_E_FORMAT, "input %zu is %s, which does not spread over %s", i,
                   mc_nd_show(p, found), mc_nd_show(x, allowed));
}

mc_status mc_norm_shape(const mc_call *call, mc_norm_op op, mc_err *err)
{
    const mc_nd *x = call->in[0];
    MC_TRY(mc_arg_floats(call, 0, op.centre ? 3 : 2, err));
    for (size_t i = 1; i < 3; i++) MC_TRY(check_spread(call, i, err));
    const int64_t stash = mc_node_int(call->node, "stash_type", 1);
    if (stash != 1 && stash != 16 && stash != 11)
        return mc_fail(err, MC_E_UNSUPPORTED, "stash_type is %lld; allowed are 1, 11 and 16",
                       (long long)stash);
    const mc_dtype dtype = stash == 1 ? MC_F32 : stash == 11 ? MC_F64 : MC_BF16;
    mc_nd stats = *x;
    if (x->ndim >= 0) {
        int axis;
        MC_TRY(mc_op_axis(mc_node_int(call->node, "axis", -1), x->ndim, "axis", &axis, err));
        for (int d = axis; d < x->ndim; d++) stats.dim[d] = 1;
    }
    MC_TRY(mc_arg_set(call, 0, x->dtype, x->ndim, x->dim, err));
    MC_TRY(mc_arg_set(call, op.mean, dtype, stats.ndim, stats.dim, err));
    return mc_arg_set(call, op.inverse, dtype, stats.ndim, stats.dim, err);
}

/* Where the rows of a scale or bias come from. */
typedef struct {
    const mc_nd *p;
    const mc_nd *x;
    int axis;    /* the row's first axis */
    bool varies; /* from row to row */
    char *room;  /* a row that is spread out; NULL: p is the row */
} param;

static void spread_row(const param *p, size_t row)
{
    const mc_nd *x = p->x;
    const size_t width = mc_nd_width(p->p->dtype), n = mc_nd_span(x, p->axis, x->ndim);
    const int skip = x->ndim - p->p->ndim;
    for (size_t i = 0; i < n; i++) {
        size_t rest = row * n + i, from = 0, stride = 1;
        for (int d = x->ndim; d-- > skip;) {
            const size_t size = (size_t)p->p->dim[d - skip], all = (size_t)x->dim[d];
            if (size != 1) from += rest % all * stride;
            stride *= size;
            rest /= all;
        }
        memcpy(p->room + i * width, (const char *)p->p->data + from * width, width);
    }
}

static mc_status open_param(const mc_call *call, size_t i, int axis, mc_arena *scratch, param *out,
                            mc_err *err)
{
    *out = (param){.p = mc_arg_in(call, i), .x = call->in[0], .axis = axis};
    if (!out->p) return MC_OK;
    const int skip = out->x->ndim - out->p->ndim;
    for (int d = skip; d < axis; d++) {
        if (d >= 0 && out->p->dim[d - skip] != 1) out->varies = true;
    }
    const size_t n = mc_nd_span(out->x, axis, out->x->ndim);
    if (!out->varies && out->p->count == n) return MC_OK;
    out->room = mc_alloc_raw(scratch, n, mc_nd_width(out->p->dtype));
    if (!out->room) return mc_no_room(err, "a row of parameters");
    if (!out->varies && n > 0 && out->x->count > 0) spread_row(out, 0);
    return MC_OK;
}

static const void *param_row(const param *p, size_t row)
{
    if (!p->p) return NULL;
    if (!p->room) return p->p->data;
    if (p->varies) spread_row(p, row);
    return p->room;
}

static void put_stat(mc_nd *t, size_t i, double value)
{
    if (t && t->dtype == MC_F64) ((double *)t->data)[i] = value;
    if (t && t->dtype != MC_F64) ((float *)t->data)[i] = (float)value;
}

mc_status mc_norm_run(const mc_call *call, mc_norm_op op, mc_err *err)
{
    const mc_nd *x = call->in[0];
    mc_arena scratch = call->scratch;
    const mc_norm norm = {.centre = op.centre, .epsilon = epsilon_of(call)};
    int axis = 0;
    MC_TRY(mc_op_axis(mc_node_int(call->node, "axis", -1), x->ndim, "axis", &axis, err));
    param scale, bias;
    MC_TRY(open_param(call, 1, axis, &scratch, &scale, err));
    MC_TRY(open_param(call, 2, axis, &scratch, &bias, err));
    const size_t rows = mc_nd_span(x, 0, axis), n = mc_nd_span(x, axis, x->ndim);
    for (size_t r = 0; r < rows; r++) {
        const void *by = param_row(&scale, r), *plus = param_row(&bias, r);
        const size_t at = r * n;
        mc_norm_stats stats;
        if (mc_arg_is_f64(x))
            stats = mc_norm_row_f64(norm, (const double *)x->data + at, n, by, plus,
                                    (double *)call->out[0]->data + at);
        else
            stats = mc_norm_row_f32(norm, (const float *)x->data + at, n, by, plus,
                                    (float *)call->out[0]->data + at);
        put_stat(mc_arg_out(call, op.mean), r, stats.mean);
        put_stat(mc_arg_out(call, op.inverse), r, stats.inverse);
    }
    return MC_OK;
}

size_t mc_norm_scratch(const mc_call *call)
{
    int axis;
    const mc_nd *x = call->in[0];
    if (!mc_nd_axis(x, mc_node_int(call->node, "axis", -1), &axis)) return 0;
    const size_t row = mc_arg_bytes(mc_nd_span(x, axis, x->ndim), mc_nd_width(x->dtype));
    return mc_arg_plus(row, row);
}

static const mc_norm_op layer = {.centre = true, .mean = 1, .inverse = 2};
static const mc_norm_op rms = {.mean = SIZE_MAX, .inverse = SIZE_MAX};

static mc_status layer_shape(const mc_call *call, mc_err *err)
{
    return mc_norm_shape(call, layer, err);
}

static mc_status layer_run(const mc_call *call, mc_err *err)
{
    return mc_norm_run(call, layer, err);
}

static mc_status rms_shape(const mc_call *call, mc_err *err)
{
    return mc_norm_shape(call, rms, err);
}

static mc_status rms_run(const mc_call *call, mc_err *err)
{
    return mc_norm_run(call, rms, err);
}

/* ---- groups: InstanceNormalization, GroupNormalization ---- */

static mc_status instance_shape(const mc_call *call, mc_err *err)
{
    const mc_nd *x = call->in[0];
    MC_TRY(mc_arg_floats(call, 0, 3, err));
    MC_TRY(mc_op_rank(call, 0, 3, MC_MAX_DIMS, err));
    int64_t channels = channels_of(x);
    for (size_t i = 1; i < 3; i++) MC_TRY(mc_arg_dims(call, i, 1, &channels, err));
    return mc_op_same_shape(call, err);
}

static mc_status group_shape(const mc_call *call, mc_err *err)
{
    const mc_nd *x = call->in[0];
    MC_TRY(mc_arg_floats(call, 0, 3, err));
    MC_TRY(mc_op_rank(call, 0, 2, MC_MAX_DIMS, err));
    const int64_t channels = channels_of(x), groups = mc_node_int(call->node, "num_groups", 0);
    if (groups < 1 || (channels >= 0 && channels % groups != 0))
        return mc_fail(err, MC_E_FORMAT,
                       "num_groups is %lld; allowed are divisors of %lld channels",
                       (long long)groups, (long long)channels);
    int64_t params = call->version < 21 ? groups : channels;
    for (size_t i = 1; i < 3; i++) MC_TRY(mc_arg_dims(call, i, 1, &params, err));
    return mc_op_same_shape(call, err);
}

static void run_groups(const mc_call *call, size_t groups, size_t group_params)
{
    const mc_nd *x = call->in[0];
    grouped g = {.norm = {.centre = true, .epsilon = epsilon_of(call)},
                 .samples = (size_t)x->dim[0],
                 .groups = groups,
                 .group_params = group_params};
    if (x->count == 0) return;
    g.group = x->count / (g.samples * groups);
    if (mc_arg_is_f64(x))
        groups_f64(&g, call);
    else
        groups_f32(&g, call);
}

static mc_status instance_run(const mc_call *call, mc_err *err)
{
    (void)err;
    run_groups(call, (size_t)channels_of(call->in[0]), 1);
    return MC_OK;
}

static mc_status group_run(const mc_call *call, mc_err *err)
{
    (void)err;
    const size_t groups = (size_t)mc_node_int(call->node, "num_groups", 0);
    const size_t channels = (size_t)channels_of(call->in[0]);
    run_groups(call, groups, call->version < 21 ? 1 : channels / groups);
    return MC_OK;
}

/* ---- BatchNormalization ---- */

static bool each_activation(const mc_call *call)
{
    return call->version < 9 && mc_node_int(call->node, "spatial", 1) == 0;
}

static mc_status batch_params(const mc_call *call, mc_err *err)
{
    const mc_nd *x = call->in[0];
    if (each_activation(call)) {
        int64_t each[MC_MAX_DIMS];
        for (int d = 1; d < x->ndim; d++) each[d - 1] = x->dim[d];
        for (size_t i = 1; i < 5 && x->ndim > 1; i++)
            MC_TRY(mc_arg_dims(call, i, x->ndim - 1, each, err));
        return MC_OK;
    }
    int64_t channels = channels_of(x);
    for (size_t i = 1; i < 5; i++) MC_TRY(mc_arg_dims(call, i, 1, &channels, err));
    return MC_OK;
}

static mc_status batch_shape(const mc_call *call, mc_err *err)
{
    MC_TRY(mc_arg_floats(call, 0, 5, err));
    MC_TRY(mc_op_rank(call, 0, each_activation(call) ? 2 : 1, MC_MAX_DIMS, err));
    MC_TRY(batch_params(call, err));
    MC_TRY(mc_legacy_check_test(call, err));
    const bool training = call->version >= 14 && mc_node_int(call->node, "training_mode", 0) != 0;
    for (size_t i = 1; i < call->outs; i++) {
        if (!call->out[i] || training) continue;
        return mc_fail(err, MC_E_UNSUPPORTED,
                       "output %zu is for training; allowed is output 0 in opset %d%s", i,
                       call->version, call->version < 14 ? "" : " without training_mode");
    }
    for (size_t i = 1; i < 3; i++) {
        const mc_nd *old = call->in[2 + i];
        MC_TRY(mc_arg_set(call, i, old->dtype, old->ndim, old->dim, err));
    }
    return mc_op_same_shape(call, err);
}

static mc_status batch_run(const mc_call *call, mc_err *err)
{
    (void)err;
    const mc_nd *x = call->in[0];
    batch b = {.samples = (size_t)x->dim[0],
               .epsilon = epsilon_of(call),
               .momentum = mc_node_float(call->node, "momentum", (double)0.9f),
               .training = call->version >= 14 && mc_node_int(call->node, "training_mode", 0) != 0};
    b.channels = each_activation(call) ? mc_nd_span(x, 1, x->ndim) : (size_t)channels_of(x);
    b.span = each_activation(call) || x->ndim < 3 ? 1 : mc_nd_span(x, 2, x->ndim);
    if (mc_arg_is_f64(x))
        batches_f64(&b, call);
    else
        batches_f32(&b, call);
    return MC_OK;
}

/* ---- LRN, LpNormalization, MeanVarianceNormalization ---- */

static mc_status lrn_shape(const mc_call *call, mc_err *err)
{
    MC_TRY(mc_arg_floats(call, 0, 1, err));
    MC_TRY(mc_op_rank(call, 0, 2, MC_MAX_DIMS, err));
    const int64_t size = mc_node_int(call->node, "size", 0);
    if (size < 1)
        return mc_fail(err, MC_E_FORMAT, "size is %lld; allowed is 1 or more", (long long)size);
    return mc_op_same_shape(call, err);
}

static mc_status lrn_run(const mc_call *call, mc_err *err)
{
    (void)err;
    const mc_nd *x = call->in[0];
    const int64_t size = mc_node_int(call->node, "size", 1);
    const response r = {.samples = (size_t)x->dim[0],
                        .channels = (size_t)x->dim[1],
                        .span = mc_nd_span(x, 2, x->ndim),
                        .before = (size_t)(size - 1) / 2,
                        .after = (size_t)(size - 1) - (size_t)(size - 1) / 2,
                        .alpha = mc_node_float(call->node, "alpha", (double)1e-4f) / (double)size,
                        .beta = mc_node_float(call->node, "beta", 0.75),
                        .bias = mc_node_float(call->node, "bias", 1.0)};
    if (mc_arg_is_f64(x))
        responses_f64(&r, x, call->out[0]);
    else
        responses_f32(&r, x, call->out[0]);
    return MC_OK;
}

static mc_status lp_shape(const mc_call *call, mc_err *err)
{
    const mc_nd *x = call->in[0];
    const int64_t p = mc_node_int(call->node, "p", 2);
    int axis;
    MC_TRY(mc_arg_floats(call, 0, 1, err));
    if (p != 1 && p != 2)
        return mc_fail(err, MC_E_FORMAT, "p is %lld; allowed are 1 and 2", (long long)p);
    if (x->ndim >= 0)
        MC_TRY(mc_op_axis(mc_node_int(call->node, "axis", -1), x->ndim, "axis", &axis, err));
    return mc_op_same_shape(call, err);
}

static mc_status lp_run(const mc_call *call, mc_err *err)
{
    const mc_nd *x = call->in[0];
    const bool absolute = mc_node_int(call->node, "p", 2) == 1;
    int axis = 0;
    MC_TRY(mc_op_axis(mc_node_int(call->node, "axis", -1), x->ndim, "axis", &axis, err));
    if (x->count == 0) return MC_OK;
    const size_t outer = mc_nd_span(x, 0, axis), step = mc_nd_span(x, axis + 1, x->ndim);
    if (mc_arg_is_f64(x))
        lines_f64(outer, (size_t)x->dim[axis], step, absolute, call);
    else
        lines_f32(outer, (size_t)x->dim[axis], step, absolute, call);
    return MC_OK;
}

/* The axes that share one mean; those of the batch and of space unless the node says otherwise. */
static mc_status mvn_axes(const mc_call *call, bool reduced[MC_MAX_DIMS], mc_err *err)
{
    static const int64_t usual[] = {0, 2, 3};
    const int64_t *axes;
    size_t n = mc_node_ints(call->node, "axes", &axes);
    if (!axes) {
        axes = usual;
        n = 3;
    }
    for (int d = 0; d < MC_MAX_DIMS; d++) reduced[d] = false;
    for (size_t i = 0; i < n; i++) {
        int axis = 0;
        MC_TRY(mc_op_axis(axes[i], call->in[0]->ndim, "axes", &axis, err));
        reduced[axis] = true;
    }
    return MC_OK;
}

static mc_status mvn_shape(const mc_call *call, mc_err *err)
{
    bool reduced[MC_MAX_DIMS];
    MC_TRY(mc_arg_floats(call, 0, 1, err));
    if (call->in[0]->ndim >= 0) MC_TRY(mvn_axes(call, reduced, err));
    return mc_op_same_shape(call, err);
}

static size_t mvn_sets(const mc_nd *x, const bool *reduced)
{
    size_t sets = 1;
    for (int d = 0; d < x->ndim; d++) sets *= reduced[d] ? 1 : (size_t)x->dim[d];
    return sets;
}

static mc_status mvn_run(const mc_call *call, mc_err *err)
{
    const mc_nd *x = call->in[0];
    mc_arena scratch = call->scratch;
    bool reduced[MC_MAX_DIMS];
    MC_TRY(mvn_axes(call, reduced, err));
    const size_t sets = mvn_sets(x, reduced);
    sums *sum = MC_NEW(&scratch, sums, sets);
    if (!sum) return mc_no_room(err, "sums of a normalization");
    if (mc_arg_is_f64(x))
        sets_f64(x, reduced, sum, sets, call->out[0]);
    else
        sets_f32(x, reduced, sum, sets, call->out[0]);
    return MC_OK;
}

static size_t mvn_scratch(const mc_call *call)
{
    bool reduced[MC_MAX_DIMS];
    mc_err err;
    if (mvn_axes(call, reduced, &err) != MC_OK) return 0;
    return mc_arg_bytes(mvn_sets(call->in[0], reduced), sizeof(sums));
}

/* ---- the table ---- */

#define LINE(title, from, ins, wanted, stem)                                               \
    {                                                                                      \
        .name = title, .since = from, .least_in = ins, .most_in = ins, .most_out = wanted, \
        .domain = "", .flags = MC_OP_IN_PLACE, .shape = stem##_shape, .run = stem##_run    \
    }

const mc_op mc_ops_norm[] = {
    LINE("BatchNormalization", 1, 5, 5, batch),
    LINE("BatchNormalization", 14, 5, 3, batch),
    LINE("InstanceNormalization", 1, 3, 1, instance),
    LINE("GroupNormalization", 18, 3, 1, group),
    LINE("LpNormalization", 1, 1, 1, lp),
    {.domain = "",
     .name = "LRN",
     .since = 1,
     .least_in = 1,
     .most_in = 1,
     .most_out = 1,
     .shape = lrn_shape,
     .run = lrn_run},
    {.domain = "",
     .name = "MeanVarianceNormalization",
     .since = 9,
     .least_in = 1,
     .most_in = 1,
     .most_out = 1,
     .flags = MC_OP_IN_PLACE,
     .shape = mvn_shape,
     .run = mvn_run,
     .scratch = mvn_scratch},
    {.domain = "",
     .name = "LayerNormalization",
     .since = 17,
     .least_in = 2,
     .most_in = 3,
     .most_out = 3,
     .flags = MC_OP_IN_PLACE,
     .shape = layer_shape,
     .run = layer_run,
     .scratch = mc_norm_scratch},
    {.domain = "",
     .name = "RMSNormalization",
     .since = 23,
     .least_in = 2,
     .most_in = 2,
     .most_out = 1,
     .flags = MC_OP_IN_PLACE,
     .shape = rms_shape,
     .run = rms_run,
     .scratch = mc_norm_scratch},
    {.domain = NULL},
};
