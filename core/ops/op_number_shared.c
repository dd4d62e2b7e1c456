/* What element-wise operators share: checks of inputs, conversions, broadcasting. */
#include "core/ops/op_number_shared.h"

#include <string.h>

/* ---- inputs ---- */

static unsigned kind_of(mc_dtype dtype)
{
    if (dtype == MC_BOOL) return MC_NUM_BOOL;
    if (dtype == MC_STRING) return MC_NUM_STRING;
    if (mc_nd_width(dtype) == 0) return 0;
    if (mc_dtype_about(dtype)->is_float) return MC_NUM_FLOAT;
    switch (dtype) {
    case MC_I8:
    case MC_I16:
    case MC_I32:
    case MC_I64: return MC_NUM_SIGN;
    case MC_U8:
    case MC_U16:
    case MC_U32:
    case MC_U64: return MC_NUM_NOSIGN;
    default: return MC_NUM_TINY;
    }
}

mc_status mc_num_may(const mc_call *call, size_t input, unsigned kinds, mc_err *err)
{
    if (input >= call->ins || !call->in[input]) return MC_OK;
    const mc_nd *t = call->in[input];
    if (t->kind == MC_ND_TENSOR && (t->dtype == MC_DTYPE_NONE || (kind_of(t->dtype) & kinds)))
        return MC_OK;
    return mc_op_refuse_dtype(call, input, err);
}

mc_status mc_num_need(const mc_call *call, size_t input, unsigned kinds, mc_err *err)
{
    if (input >= call->ins || !call->in[input]) return mc_op_refuse_dtype(call, input, err);
    return mc_num_may(call, input, kinds, err);
}

mc_status mc_num_alike(const mc_call *call, size_t first, size_t ins, mc_dtype *dtype, mc_err *err)
{
    *dtype = MC_DTYPE_NONE;
    for (size_t i = first; i < ins; i++) {
        const mc_nd *t = i < call->ins ? call->in[i] : NULL;
        if (!t || t->dtype == MC_DTYPE_NONE) continue;
        if (*dtype != MC_DTYPE_NONE && *dtype != t->dtype)
            return mc_fail(err, MC_E_FORMAT, "input %zu is of type %s, those before of type %s", i,
                           mc_dtype_about(t->dtype)->name, mc_dtype_about(*dtype)->name);
        *dtype = t->dtype;
    }
    return MC_OK;
}

/* ---- conversions ---- */

int64_t mc_num_cut_i64(double x)
{
    if (!(x > -0x1p63)) return isnan(x) ? 0 : INT64_MIN;
    return x < 0x1p63 ? (int64_t)x : INT64_MAX;
}

uint64_t mc_num_cut_u64(double x)
{
    if (!(x > -1.0)) return 0;
    return x < 0x1p64 ? (uint64_t)x : UINT64_MAX;
}

int32_t mc_num_cut_i32(double x)
{
    if (!(x > -0x1p31)) return isnan(x) ? 0 : INT32_MIN;
    return x < 0x1p31 ? (int32_t)x : INT32_MAX;
}

uint32_t mc_num_cut_u32(double x)
{
    if (!(x > -1.0)) return 0;
    return x < 0x1p32 ? (uint32_t)x : UINT32_MAX;
}

static uint32_t low_bits(double x)
{
    return fabs(x) < 0x1p31 ? (uint32_t)(int32_t)x : 0; /* NaN: 0 */
}

int16_t mc_num_cut_i16(double x)
{
    return (int16_t)low_bits(x);
}

uint16_t mc_num_cut_u16(double x)
{
    return (uint16_t)low_bits(x);
}

int8_t mc_num_cut_i8(double x)
{
    return (int8_t)low_bits(x);
}

uint8_t mc_num_cut_u8(double x)
{
    return (uint8_t)low_bits(x);
}

/* A loop for each pair of storage types; BOOL is read as U8 and written as "is not 0". */
#define TO(from, FT, to, expr)                                     \
    static void from##_to_##to(const void *x_, void *y_, size_t n) \
    {                                                              \
        const FT *x = x_;                                          \
        type_##to *y = y_;                                         \
        for (size_t i = 0; i < n; i++) y[i] = (expr);              \
    }
#define X(id, T, W, s) typedef T type_##s;
MC_NUM_ALL(X)
#undef X
typedef uint8_t type_bool;

#define FROM(id, T, W, s)       \
    TO(s, T, f32, (float)x[i])  \
    TO(s, T, f64, (double)x[i]) \
    TO(s, T, bool, (uint8_t)(x[i] != (T)0))
MC_NUM_ALL(FROM)
#undef FROM

#define FROM_FLOAT(id, T, W, s)                 \
    TO(s, T, i8, mc_num_cut_i8((double)x[i]))   \
    TO(s, T, i16, mc_num_cut_i16((double)x[i])) \
    TO(s, T, i32, mc_num_cut_i32((double)x[i])) \
    TO(s, T, i64, mc_num_cut_i64((double)x[i])) \
    TO(s, T, u8, mc_num_cut_u8((double)x[i]))   \
    TO(s, T, u16, mc_num_cut_u16((double)x[i])) \
    TO(s, T, u32, mc_num_cut_u32((double)x[i])) \
    TO(s, T, u64, mc_num_cut_u64((double)x[i]))
MC_NUM_FLOATS(FROM_FLOAT)
#undef FROM_FLOAT

#define FROM_INT(id, T, W, s)     \
    TO(s, T, i8, (int8_t)x[i])    \
    TO(s, T, i16, (int16_t)x[i])  \
    TO(s, T, i32, (int32_t)x[i])  \
    TO(s, T, i64, (int64_t)x[i])  \
    TO(s, T, u8, (uint8_t)x[i])   \
    TO(s, T, u16, (uint16_t)x[i]) \
    TO(s, T, u32, (uint32_t)x[i]) \
    TO(s, T, u64, (uint64_t)x[i])
MC_NUM_INTS(FROM_INT)
#undef FROM_INT

typedef void (*convert_loop)(const void *x, void *y, size_t n);

#define ROW(s)                                                                                    \
    {                                                                                             \
        [MC_F32] = s##_to_f32, [MC_F64] = s##_to_f64, [MC_I8] = s##_to_i8, [MC_I16] = s##_to_i16, \
        [MC_I32] = s##_to_i32, [MC_I64] = s##_to_i64, [MC_U8] = s##_to_u8, [MC_U16] = s##_to_u16, \
        [MC_U32] = s##_to_u32, [MC_U64] = s##_to_u64, [MC_BOOL] = s##_to_bool,                    \
    }
static const convert_loop converts[MC_DTYPE_COUNT][MC_DTYPE_COUNT] = {
#define X(id, T, W, s) [MC_##id] = ROW(s),
    MC_NUM_ALL(X)
#undef X
        [MC_BOOL] = ROW(u8),
};

void mc_num_convert(mc_dtype from, const void *x, mc_dtype to, void *y, size_t n)
{
    if (n == 0) return;
    const convert_loop loop = converts[mc_nd_storage(from)][mc_nd_storage(to)];
    if (loop) loop(x, y, n);
}

/* ---- broadcasting ---- */

/* The step of an operand along axis i of the output. */
static void operand_steps(const mc_nd *out, const mc_nd *in, size_t *step)
{
    size_t inside = 1;
    for (int i = out->ndim - 1; i >= 0; i--) {
        const int own = i - (out->ndim - in->ndim);
        const size_t n = own < 0 ? 1 : (size_t)in->dim[own];
        step[i] = n == 1 ? 0 : inside;
        inside *= n;
    }
}

/* Is axis `a` the outside of axis `b` in every operand, so that both are one long axis? */
static bool is_one(const mc_num_walk *w, int a, int b)
{
    for (int k = 0; k < w->operands; k++) {
        if (w->step[k][a] != w->step[k][b] * w->dim[b]) return false;
    }
    return true;
}

static void set_axis(mc_num_walk *w, int to, int from)
{
    w->dim[to] = w->dim[from];
    for (int k = 0; k < w->operands; k++) w->step[k][to] = w->step[k][from];
}

/* Drops axes of one element and joins neighbours, from the outside in. */
static void collapse(mc_num_walk *w, int axes)
{
    w->ndim = 0;
    for (int i = 0; i < axes; i++) {
        if (w->dim[i] == 1) continue;
        if (w->ndim > 0 && is_one(w, w->ndim - 1, i)) {
            const size_t outside = w->dim[w->ndim - 1];
            set_axis(w, w->ndim - 1, i);
            w->dim[w->ndim - 1] *= outside;
        } else {
            set_axis(w, w->ndim, i);
            w->ndim++;
        }
    }
}

void mc_num_walk_open(mc_num_walk *w, const mc_nd *out, const mc_nd *const *in, int operands)
{
    *w = (mc_num_walk){.operands = operands, .rows = out->count > 0, .row = 1};
    if (out->count == 0) return;
    for (int i = 0; i < out->ndim; i++) w->dim[i] = (size_t)out->dim[i];
    for (int k = 0; k < operands; k++) operand_steps(out, in[k], w->step[k]);
    collapse(w, out->ndim);
    if (w->ndim == 0) return;

    w->ndim--;
    w->row = w->dim[w->ndim];
    w->rows = out->count / w->row;
    for (int k = 0; k < operands; k++) w->unit[k] = w->step[k][w->ndim];
}

void mc_num_walk_next(mc_num_walk *w)
{
    for (int i = w->ndim - 1; i >= 0; i--) {
        for (int k = 0; k < w->operands; k++) w->at[k] += w->step[k][i];
        if (++w->index[i] < w->dim[i]) return;
        for (int k = 0; k < w->operands; k++) w->at[k] -= w->step[k][i] * w->dim[i];
        w->index[i] = 0;
    }
}

void mc_num_binary(mc_num_loop loop, const mc_nd *a, const mc_nd *b, const mc_nd *out)
{
    const mc_nd *const in[] = {a, b};
    const size_t wide_a = mc_nd_width(a->dtype), wide_b = mc_nd_width(b->dtype);
    const size_t row_bytes = mc_nd_width(out->dtype);
    unsigned char *to = out->data;
    const unsigned char *from_a = a->data, *from_b = b->data;
    mc_num_walk w;
    mc_num_walk_open(&w, out, in, 2);
    for (size_t r = 0; r < w.rows; r++) {
        loop(to + r * w.row * row_bytes, from_a + w.at[0] * wide_a, from_b + w.at[1] * wide_b,
             w.row, w.unit[0], w.unit[1]);
        mc_num_walk_next(&w);
    }
}
