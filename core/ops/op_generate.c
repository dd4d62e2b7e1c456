/* Operators that make numbers out of little: Constant, ConstantOfShape, Range, EyeLike. */
#include "core/ops/op_args_shared.h"
#include "core/ops/op_move_shared.h"
#include "core/ops/op_number_shared.h"

#include <math.h>
#include <string.h>

/* ---- Constant ---- */

static mc_status attr_tensor(const mc_attr *attr, const mc_tensor **out, mc_err *err)
{
    const mc_tensor *t = attr->kind == MC_ATTR_TENSOR && attr->count == 1 ? attr->t : NULL;
    if (!t) return mc_fail(err, MC_E_FORMAT, "attribute '%.40s' is no tensor", attr->name);
    if (t->dtype == MC_STRING || mc_nd_width(t->dtype) == 0)
        return mc_fail(err, MC_E_UNSUPPORTED, "attribute '%.40s' is a tensor of type %s",
                       attr->name, mc_dtype_about(t->dtype)->name);
    *out = t;
    return MC_OK;
}

/* The attributes that a constant can be given by: exactly one is there. */
static const struct {
    const char *name;
    mc_attr_kind kind;
    mc_dtype dtype;
    int ndim;
} plain[] = {
    {"value_float", MC_ATTR_FLOAT, MC_F32, 0},
    {"value_floats", MC_ATTR_FLOATS, MC_F32, 1},
    {"value_int", MC_ATTR_INT, MC_I64, 0},
    {"value_ints", MC_ATTR_INTS, MC_I64, 1},
    {"value_string", MC_ATTR_STRING, MC_STRING, 0},
    {"value_strings", MC_ATTR_STRINGS, MC_STRING, 1},
};

enum { PLAIN = sizeof plain / sizeof *plain };

static mc_status shape_constant(const mc_call *call, mc_err *err)
{
    const mc_attr *value = mc_node_attr(call->node, "value");
    if (value) {
        const mc_tensor *t;
        int64_t dim[MC_MAX_DIMS];
        MC_TRY(attr_tensor(value, &t, err));
        for (int i = 0; i < t->ndim; i++) dim[i] = (int64_t)t->dim[i];
        return mc_arg_set(call, 0, t->dtype, t->ndim, dim, err);
    }
    for (size_t i = 0; i < PLAIN; i++) {
        const mc_attr *a = mc_node_attr(call->node, plain[i].name);
        if (!a) continue;
        if (a->kind != plain[i].kind)
            return mc_fail(err, MC_E_FORMAT, "attribute '%s' is of another type", plain[i].name);
        return mc_arg_set(call, 0, plain[i].dtype, plain[i].ndim, (int64_t[]){(int64_t)a->count},
                          err);
    }
    if (mc_node_attr(call->node, "sparse_value"))
        return mc_fail(err, MC_E_UNSUPPORTED, "attribute 'sparse_value' is a sparse tensor");
    return mc_fail(err, MC_E_FORMAT, "none of the attributes that give a value is there");
}

static void copy_attr(const mc_attr *a, mc_dtype dtype, void *to)
{
    if (dtype == MC_F32) {
        memcpy(to, a->f, a->count * sizeof *a->f);
    } else if (dtype == MC_I64) {
        memcpy(to, a->i, a->count * sizeof *a->i);
    } else {
        mc_nd_text *text = to;
        for (size_t i = 0; i < a->count; i++) text[i] = (mc_nd_text){a->s[i], a->s_bytes[i]};
    }
}

static mc_status run_constant(const mc_call *call, mc_err *err)
{
    mc_nd *out = mc_arg_out(call, 0);
    if (!out || out->count == 0) return MC_OK;
    const mc_attr *value = mc_node_attr(call->node, "value");
    if (value) {
        const mc_tensor *t;
        MC_TRY(attr_tensor(value, &t, err));
        return mc_nd_decode(t->dtype, t->data, 0, t->count, out->data, err);
    }
    for (size_t i = 0; i < PLAIN; i++) {
        const mc_attr *a = mc_node_attr(call->node, plain[i].name);
        if (a && a->kind == plain[i].kind) {
            copy_attr(a, plain[i].dtype, out->data);
            return MC_OK;
        }
    }
    return MC_OK;
}

/* ---- ConstantOfShape ---- */

static mc_status fill_value(const mc_call *call, const mc_tensor **t, mc_err *err)
{
    const mc_attr *value = mc_node_attr(call->node, "value");
    *t = NULL;
    if (!value) return MC_OK;
    MC_TRY(attr_tensor(value, t, err));
    if ((*t)->count == 1) return MC_OK;
    return mc_fail(err, MC_E_FORMAT, "attribute 'value' has %llu elements (1 is allowed)",
                   (unsigned long long)(*t)->count);
}

static mc_status shape_constant_of(const mc_call *call, mc_err *err)
{
    const mc_tensor *t;
    int64_t dim[MC_MAX_DIMS];
    size_t n;
    bool known;
    MC_TRY(mc_num_need(call, 0, MC_NUM_INT, err));
    MC_TRY(fill_value(call, &t, err));
    const mc_dtype dtype = t ? t->dtype : MC_F32;
    MC_TRY(mc_op_ints(call, 0, dim, MC_MAX_DIMS, &n, &known, err));
    if (known) {
        for (size_t i = 0; i < n; i++) {
            if (dim[i] < 0)
                return mc_fail(err, MC_E_FORMAT, "dimension %zu is %lld", i, (long long)dim[i]);
        }
        return mc_arg_set(call, 0, dtype, (int)n, dim, err);
    }
    const mc_nd *shape = call->in[0];
    const bool ranked = shape->ndim == 1 && shape->dim[0] >= 0 && shape->dim[0] <= MC_MAX_DIMS;
    return mc_op_unknown(call, 0, dtype, ranked ? (int)shape->dim[0] : MC_RANK_UNKNOWN, err);
}

static mc_status run_constant_of(const mc_call *call, mc_err *err)
{
    const mc_nd *out = mc_arg_out(call, 0);
    const mc_tensor *t;
    if (!out || out->count == 0) return MC_OK;
    MC_TRY(fill_value(call, &t, err));
    const size_t width = mc_nd_width(out->dtype);
    unsigned char *to = out->data;
    memset(to, 0, width);
    if (t) MC_TRY(mc_nd_decode(t->dtype, t->data, 0, 1, to, err));
    for (size_t done = 1; done < out->count;) { /* doubles what is there */
        const size_t more = out->count - done < done ? out->count - done : done;
        memcpy(to + done * width, to, more * width);
        done += more;
    }
    return MC_OK;
}

/* ---- Range ---- */

/* Steps from start until limit is reached or passed. */
static mc_status whole_steps(int64_t start, int64_t limit, int64_t delta, uint64_t *n, mc_err *err)
{
    if (delta == 0) return mc_fail(err, MC_E_FORMAT, "delta is 0");
    *n = 0;
    if (delta > 0 ? limit <= start : limit >= start) return MC_OK;
    const bool up = delta > 0;
    const uint64_t way = up ? (uint64_t)limit - (uint64_t)start : (uint64_t)start - (uint64_t)limit;
    const uint64_t step = up ? (uint64_t)delta : 0 - (uint64_t)delta;
    *n = way / step + (way % step != 0);
    return MC_OK;
}

static mc_status real_steps(double start, double limit, double delta, uint64_t *n, mc_err *err)
{
    const double steps = ceil((limit - start) / delta);
    if (!(fabs(steps) < 0x1p62) || delta == 0.0)
        return mc_fail(err, MC_E_FORMAT, "from %g to %g by %g is no range", start, limit, delta);
    *n = steps > 0.0 ? (uint64_t)steps : 0;
    return MC_OK;
}

static mc_status shape_range(const mc_call *call, mc_err *err)
{
    mc_dtype dtype;
    bool known = true;
    for (size_t i = 0; i < 3; i++) {
        MC_TRY(mc_num_need(call, i, MC_NUM_ANY_NUMBER, err));
        const mc_nd *t = call->in[i];
        char text[MC_ND_TEXT];
        if (mc_nd_shape_known(t) && t->count != 1)
            return mc_fail(err, MC_E_FORMAT, "input %zu is %s (one number is allowed)", i,
                           mc_nd_show(t, text));
        known = known && mc_nd_shape_known(t) && t->data;
    }
    MC_TRY(mc_num_alike(call, 0, 3, &dtype, err));
    if (!known) return mc_op_unknown(call, 0, dtype, 1, err);
    const mc_nd *const *in = call->in;
    uint64_t n = 0;
    if (mc_dtype_about(dtype)->is_float)
        MC_TRY(
            real_steps(mc_nd_real(in[0], 0), mc_nd_real(in[1], 0), mc_nd_real(in[2], 0), &n, err));
    else
        MC_TRY(whole_steps(mc_nd_int(in[0], 0), mc_nd_int(in[1], 0), mc_nd_int(in[2], 0), &n, err));
    if (n > INT64_MAX) return mc_fail(err, MC_E_FORMAT, "a range of more than 2^63 numbers");
    return mc_arg_set(call, 0, dtype, 1, (int64_t[]){(int64_t)n}, err);
}

#define X(id, T, W, s)                                                           \
    static void range_##s(const mc_nd *const *in, void *to, size_t n)            \
    {                                                                            \
        const double start = mc_nd_real(in[0], 0), delta = mc_nd_real(in[2], 0); \
        T *y = to;                                                               \
        for (size_t i = 0; i < n; i++) y[i] = (T)(start + (double)i * delta);    \
    }
MC_NUM_FLOATS(X)
#undef X
#define X(id, T, W, s)                                                          \
    static void range_##s(const mc_nd *const *in, void *to, size_t n)           \
    {                                                                           \
        const W start = (W)mc_nd_int(in[0], 0), delta = (W)mc_nd_int(in[2], 0); \
        T *y = to;                                                              \
        for (size_t i = 0; i < n; i++) y[i] = (T)(start + (W)i * delta);        \
    }
MC_NUM_INTS(X)
#undef X

typedef void (*range_loop)(const mc_nd *const *in, void *to, size_t n);
static const range_loop ranges[MC_DTYPE_COUNT] = {
#define X(id, T, W, s) [MC_##id] = range_##s,
    MC_NUM_ALL(X)
#undef X
};

static mc_status run_range(const mc_call *call, mc_err *err)
{
    const mc_nd *out = mc_arg_out(call, 0);
    const range_loop loop = ranges[mc_nd_storage(call->in[0]->dtype)];
    if (!loop) return mc_op_refuse_dtype(call, 0, err);
    if (out) loop(call->in, out->data, out->count);
    return MC_OK;
}

/* ---- EyeLike ---- */

static mc_status shape_eye(const mc_call *call, mc_err *err)
{
    mc_dtype dtype;
    MC_TRY(mc_num_need(call, 0, MC_NUM_ANY_NUMBER | MC_NUM_BOOL, err));
    MC_TRY(mc_op_rank(call, 0, 2, 2, err));
    MC_TRY(mc_arg_named_dtype(call, "dtype", &dtype, err));
    if (dtype == MC_DTYPE_NONE) dtype = call->in[0]->dtype;
    return mc_arg_set(call, 0, dtype, call->in[0]->ndim, call->in[0]->dim, err);
}

static mc_status run_eye(const mc_call *call, mc_err *err)
{
    (void)err;
    const mc_nd *out = mc_arg_out(call, 0);
    if (!out || out->count == 0) return MC_OK;
    const int64_t k = mc_node_int(call->node, "k", 0), rows = out->dim[0], cols = out->dim[1];
    const size_t width = mc_nd_width(out->dtype);
    const int64_t one = 1;
    unsigned char *to = out->data;
    memset(to, 0, out->count * width);
    for (int64_t r = 0; r < rows; r++) {
        if (k < -r || k >= cols - r) continue;
        mc_num_convert(MC_I64, &one, out->dtype, to + (size_t)(r * cols + r + k) * width, 1);
    }
    return MC_OK;
}

/* ---- the list ---- */

#define LINE(name_, since_, ins_, shape_, run_)                                                  \
    {                                                                                            \
        .domain = "", .name = (name_), .since = (since_), .least_in = (ins_), .most_in = (ins_), \
        .most_out = 1, .shape = (shape_), .run = (run_),                                         \
    }

const mc_op mc_ops_generate[] = {
    LINE("Constant", 1, 0, shape_constant, run_constant),
    LINE("ConstantOfShape", 9, 1, shape_constant_of, run_constant_of),
    LINE("EyeLike", 9, 1, shape_eye, run_eye),
    LINE("Range", 11, 3, shape_range, run_range),
    {.name = NULL},
};
