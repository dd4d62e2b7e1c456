/* Pad: constant, reflect, edge, wrap; negative pads crop, and what is left is what gets padded.
 *
 * What stays of the input is copied in one walk. A constant is filled in before; the other modes
 * then grow the block axis by axis, innermost first, each new slab a copy of one inside it. */
#include "core/ops/op_args_shared.h"
#include "core/ops/op_move_shared.h"

#include <string.h>

typedef enum { CONSTANT, REFLECT, EDGE, WRAP } pad_mode;

/* Along an axis: `keep` elements of the input from `from` on go to `to` of the output. */
typedef struct {
    int64_t from, to, keep, out;
} pad_axis;

static mc_status read_mode(const mc_call *call, pad_mode *mode, mc_err *err)
{
    static const char *const name[] = {"constant", "reflect", "edge", "wrap"};
    const char *asked = mc_node_text(call->node, "mode", "constant");
    for (int i = 0; i < (call->version < 19 ? 3 : 4); i++) {
        if (strcmp(asked, name[i]) != 0) continue;
        *mode = (pad_mode)i;
        return MC_OK;
    }
    return mc_fail(err, MC_E_FORMAT, "mode is '%.40s' (constant, reflect, edge%s)", asked,
                   call->version < 19 ? "" : ", wrap");
}

/* The pads of one axis of `dim` elements. */
static mc_status place(pad_axis *a, int axis, int64_t dim, const int64_t pad[2], mc_err *err)
{
    int64_t out;
    if (__builtin_add_overflow(dim, pad[0], &out) || __builtin_add_overflow(out, pad[1], &out) ||
        out < 0 || pad[0] == INT64_MIN || pad[1] == INT64_MIN)
        return mc_fail(err, MC_E_FORMAT, "dimension %d of %lld cannot be padded by %lld and %lld",
                       axis, (long long)dim, (long long)pad[0], (long long)pad[1]);
    const int64_t first = pad[0] < 0 ? -pad[0] : 0, end = pad[1] < 0 ? dim + pad[1] : dim;
    *a = (pad_axis){.from = first, .to = pad[0] > 0 ? pad[0] : 0, .out = out};
    a->keep = end > first ? end - first : 0;
    return MC_OK;
}

static mc_status read_pads(const mc_call *call, pad_axis axis[MC_MAX_DIMS], bool *known,
                           mc_err *err)
{
    const mc_nd *in = call->in[0];
    mc_op_list pads, axes = {.known = true};
    const char *attr = call->version < 2 ? "paddings" : call->version < 11 ? "pads" : NULL;
    MC_TRY(mc_op_list_read(call, attr, 1, &pads, err));
    if (call->version >= 18) MC_TRY(mc_op_list_read(call, NULL, 3, &axes, err));
    if (!pads.given) return mc_fail(err, MC_E_FORMAT, "pads are missing");
    *known = pads.known && axes.known;
    if (!axes.given) {
        axes.n = in->ndim;
        for (int i = 0; i < in->ndim; i++) axes.at[i] = i;
    }
    if (axes.n >= 0 && pads.n >= 0 && pads.n != 2 * axes.n)
        return mc_fail(err, MC_E_FORMAT, "there are %d pads for %d axes (%d are needed)", pads.n,
                       axes.n, 2 * axes.n);
    if (!*known) return MC_OK;
    MC_TRY(mc_op_list_axes(&axes, in->ndim, "axes", err));
    for (int i = 0; i < in->ndim; i++) axis[i] = (pad_axis){.keep = in->dim[i], .out = in->dim[i]};
    for (int i = 0; i < axes.n; i++) {
        const int a = (int)axes.at[i];
        const int64_t pad[2] = {pads.at[i], pads.at[axes.n + i]};
        if (in->dim[a] < 0)
            axis[a].out = -1;
        else
            MC_TRY(place(&axis[a], a, in->dim[a], pad, err));
    }
    return MC_OK;
}

static mc_status check_value(const mc_call *call, mc_err *err)
{
    if (call->version < 11 || call->ins < 3 || !call->in[2]) return MC_OK;
    const mc_nd *in = call->in[0], *value = call->in[2];
    char text[MC_ND_TEXT], other[MC_ND_TEXT];
    if ((value->dtype != in->dtype && value->dtype != MC_DTYPE_NONE &&
         in->dtype != MC_DTYPE_NONE) ||
        (mc_nd_shape_known(value) && value->count > 1))
        return mc_fail(err, MC_E_FORMAT, "constant_value is %s for data of %s",
                       mc_nd_show(value, text), mc_nd_show(in, other));
    return MC_OK;
}

static mc_status shape_pad(const mc_call *call, mc_err *err)
{
    const mc_nd *in = call->in[0];
    pad_mode mode = CONSTANT;
    MC_TRY(read_mode(call, &mode, err));
    MC_TRY(check_value(call, err));
    if (in->ndim < 0) return mc_op_unknown(call, 0, in->dtype, in->ndim, err);
    pad_axis axis[MC_MAX_DIMS];
    bool known = false;
    MC_TRY(read_pads(call, axis, &known, err));
    if (!known) return mc_op_unknown(call, 0, in->dtype, in->ndim, err);

    int64_t dim[MC_MAX_DIMS];
    for (int i = 0; i < in->ndim; i++) {
        dim[i] = axis[i].out;
        if (mode != CONSTANT && dim[i] > 0 && axis[i].keep == 0)
            return mc_fail(err, MC_E_FORMAT,
                           "dimension %d is padded to %lld with nothing to repeat", i,
                           (long long)dim[i]);
    }
    return mc_arg_set(call, 0, in->dtype, in->ndim, dim, err);
}

/* ---- constant ---- */

/* One element, as it lies in memory. */
typedef union {
    float f32;
    double f64;
    unsigned char bytes[sizeof(mc_nd_text) > 8 ? sizeof(mc_nd_text) : 8];
    mc_nd_text text;
} pad_value;

static mc_status read_value(const mc_call *call, pad_value *value, mc_err *err)
{
    const mc_nd *in = call->in[0];
    *value = (pad_value){.bytes = {0}};
    if (in->dtype == MC_STRING) value->text = (mc_nd_text){.at = ""};
    if (call->version >= 11) {
        if (call->ins > 2 && call->in[2] && call->in[2]->count == 1)
            memcpy(value, call->in[2]->data, mc_nd_width(in->dtype));
        return MC_OK;
    }
    const double number = mc_node_float(call->node, "value", 0.0);
    if (mc_nd_storage(in->dtype) == MC_F32)
        value->f32 = (float)number;
    else if (in->dtype == MC_F64)
        value->f64 = number;
    else if (number != 0.0)
        return mc_op_refuse_dtype(call, 0, err);
    return MC_OK;
}

static void fill(mc_nd *out, const pad_value *value)
{
    mc_move m = {0};
    mc_move_add(&m, (int64_t)out->count, 0, 1);
    mc_move_run(&m, mc_nd_width(out->dtype), value, out->data);
}

/* ---- the other modes ---- */

/* Which of `n` elements stands `at` from the first one, outside [0, n). */
static int64_t repeated(pad_mode mode, int64_t at, int64_t n)
{
    if (mode == EDGE || n == 1) return at < 0 ? 0 : n - 1;
    const int64_t period = mode == WRAP ? n : 2 * (n - 1);
    const int64_t i = ((at % period) + period) % period;
    return i < n ? i : period - i;
}

/* The axes inside `a` are complete, those outside hold what was kept. */
static void grow_axis(const mc_nd *out, const pad_axis *axis, int a, pad_mode mode)
{
    const size_t width = mc_nd_width(out->dtype);
    int64_t stride[MC_MAX_DIMS], first = 0;
    mc_move_strides(out, stride);
    mc_move m = {0};
    for (int i = 0; i < a; i++) {
        first += axis[i].to * stride[i];
        mc_move_add(&m, axis[i].keep, stride[i], stride[i]);
    }
    mc_move_add(&m, stride[a], 1, 1);
    unsigned char *at = (unsigned char *)out->data + (size_t)first * width;
    const size_t slab = (size_t)stride[a] * width;
    for (int64_t i = 0; i < axis[a].out; i++) {
        const int64_t k = i - axis[a].to;
        if (k >= 0 && k < axis[a].keep) continue;
        const int64_t source = axis[a].to + repeated(mode, k, axis[a].keep);
        mc_move_run(&m, width, at + (size_t)source * slab, at + (size_t)i * slab);
    }
}

/* ---- run ---- */

static void copy_kept(const mc_nd *in, mc_nd *out, const pad_axis *axis)
{
    int64_t from[MC_MAX_DIMS], to[MC_MAX_DIMS], from_first = 0, to_first = 0;
    mc_move_strides(in, from);
    mc_move_strides(out, to);
    mc_move m = {0};
    for (int i = 0; i < in->ndim; i++) {
        if (axis[i].keep == 0) return;
        from_first += axis[i].from * from[i];
        to_first += axis[i].to * to[i];
        mc_move_add(&m, axis[i].keep, from[i], to[i]);
    }
    const size_t width = mc_nd_width(in->dtype);
    mc_move_run(&m, width, (const unsigned char *)in->data + (size_t)from_first * width,
                (unsigned char *)out->data + (size_t)to_first * width);
}

static mc_status run_pad(const mc_call *call, mc_err *err)
{
    const mc_nd *in = call->in[0];
    mc_nd *out = call->out[0];
    if (out->count == 0) return MC_OK;
    pad_mode mode = CONSTANT;
    pad_axis axis[MC_MAX_DIMS];
    bool known = false;
    MC_TRY(read_mode(call, &mode, err));
    MC_TRY(read_pads(call, axis, &known, err));
    bool grows = false;
    for (int i = 0; i < in->ndim; i++) grows = grows || axis[i].keep != axis[i].out;
    if (mode == CONSTANT && grows) {
        pad_value value;
        MC_TRY(read_value(call, &value, err));
        fill(out, &value);
    }
    copy_kept(in, out, axis);
    for (int i = in->ndim - 1; i >= 0 && mode != CONSTANT; i--)
        if (axis[i].keep != axis[i].out) grow_axis(out, axis, i, mode);
    return MC_OK;
}

#define LINE(version, ins)                                                          \
    .domain = "", .name = "Pad", .since = (version), .least_in = (ins) > 1 ? 2 : 1, \
    .most_in = (ins), .most_out = 1, .shape = shape_pad, .run = run_pad

/* The number that the first versions pad with need not fit the dtype. */
const mc_op mc_ops_pad[] = {
    {LINE(1, 1)},
    {LINE(11, 3), .flags = MC_OP_MOVES},
    {LINE(18, 4), .flags = MC_OP_MOVES},
    {.domain = NULL},
};
