/* Arithmetic of two tensors that broadcast, and of any number of them. Whole numbers wrap, as
 * unsigned ones do; dividing by 0 is an error, and the least number by -1 is itself. */
#include "core/ops/op_args_shared.h"
#include "core/ops/op_legacy_shared.h"
#include "core/ops/op_number_shared.h"

#include <math.h>
#include <string.h>

typedef struct {
    mc_num_loop loop[MC_DTYPE_COUNT]; /* by storage */
} pair_function;

/* ---- writing loops; f32, where speed counts, has one for each way to broadcast ---- */

#define LOOP(name, s, T, expr)                                                                    \
    static void name##_##s(void *to, const void *from_a, const void *from_b, size_t n, size_t sa, \
                           size_t sb)                                                             \
    {                                                                                             \
        T *o = to;                                                                                \
        const T *a = from_a, *b = from_b;                                                         \
        for (size_t i = 0; i < n; i++) {                                                          \
            const T x = a[i * sa], y = b[i * sb];                                                 \
            o[i] = (T)(expr);                                                                     \
        }                                                                                         \
    }

#define FAST_LOOP(name, expr)                                                                     \
    static void name##_f32(void *to, const void *from_a, const void *from_b, size_t n, size_t sa, \
                           size_t sb)                                                             \
    {                                                                                             \
        float *o = to;                                                                            \
        const float *a = from_a, *b = from_b;                                                     \
        if (sa && sb) {                                                                           \
            for (size_t i = 0; i < n; i++) {                                                      \
                const float x = a[i], y = b[i];                                                   \
                o[i] = (expr);                                                                    \
            }                                                                                     \
        } else if (sa) {                                                                          \
            const float y = b[0];                                                                 \
            for (size_t i = 0; i < n; i++) {                                                      \
                const float x = a[i];                                                             \
                o[i] = (expr);                                                                    \
            }                                                                                     \
        } else if (n > 0) {                                                                       \
            const float x = a[0];                                                                 \
            for (size_t i = 0; i < n; i++) {                                                      \
                const float y = b[i * sb];                                                        \
                o[i] = (expr);                                                                    \
            }                                                                                     \
        }                                                                                         \
    }

FAST_LOOP(add, x + y)
LOOP(add, f64, double, x + y)
FAST_LOOP(sub, x - y)
LOOP(sub, f64, double, x - y)
FAST_LOOP(mul, x *y)
LOOP(mul, f64, double, x *y)
FAST_LOOP(quotient, x / y)
LOOP(quotient, f64, double, x / y)

/* NaN on either side comes through. */
FAST_LOOP(least, x < y || x != x ? x : y)
LOOP(least, f64, double, x < y || x != x ? x : y)
FAST_LOOP(most, x > y || x != x ? x : y)
LOOP(most, f64, double, x > y || x != x ? x : y)
FAST_LOOP(prelu, x < 0.0f ? x * y : x)
LOOP(prelu, f64, double, x < 0.0 ? x * y : x)
LOOP(fmod, f32, float, fmodf(x, y))
LOOP(fmod, f64, double, fmod(x, y))

#define X(id, T, W, s)               \
    LOOP(add, s, T, (W)x + (W)y)     \
    LOOP(sub, s, T, (W)x - (W)y)     \
    LOOP(mul, s, T, (W)x *(W)y)      \
    LOOP(least, s, T, x < y ? x : y) \
    LOOP(most, s, T, x > y ? x : y)  \
    LOOP(both, s, T, x &y)           \
    LOOP(either, s, T, x | y)        \
    LOOP(differ, s, T, x ^ y)
MC_NUM_INTS(X)
#undef X

/* Toward zero; remainders with the sign of the divisor (modulo) or of the dividend (rest). By -1
 * nothing is divided, as the least number by it is no number. */
#define X(id, T, W, s)                                                                     \
    LOOP(quotient, s, T, y == -1 ? (T)((W)0 - (W)x) : x / y)                               \
    LOOP(rest, s, T, y == -1 ? 0 : x % y)                                                  \
    LOOP(modulo, s, T, y == -1 ? 0 : x % y != 0 && (x < 0) != (y < 0) ? x % y + y : x % y) \
    LOOP(prelu, s, T, x < 0 ? (W)x * (W)y : (W)x)
MC_NUM_SIGNED(X)
#undef X

/* Counts as wide as the number and wider shift every bit out. */
#define X(id, T, W, s)                                  \
    LOOP(quotient, s, T, x / y)                         \
    LOOP(rest, s, T, x % y)                             \
    LOOP(prelu, s, T, ((void)y, x))                     \
    LOOP(left, s, T, y < 8 * sizeof(T) ? (W)x << y : 0) \
    LOOP(right, s, T, y < 8 * sizeof(T) ? (W)x >> y : 0)
MC_NUM_UNSIGNED(X)
#undef X

#define FLOATS(name) [MC_F32] = name##_f32, [MC_F64] = name##_f64
#define SIGNED(name) \
    [MC_I8] = name##_i8, [MC_I16] = name##_i16, [MC_I32] = name##_i32, [MC_I64] = name##_i64
#define UNSIGNED(name) \
    [MC_U8] = name##_u8, [MC_U16] = name##_u16, [MC_U32] = name##_u32, [MC_U64] = name##_u64
#define ALL(name) FLOATS(name), SIGNED(name), UNSIGNED(name)

static const pair_function adds = {{ALL(add)}}, subs = {{ALL(sub)}}, muls = {{ALL(mul)}};
static const pair_function quotients = {{ALL(quotient)}}, prelus = {{ALL(prelu)}};
static const pair_function leasts = {{ALL(least)}}, mosts = {{ALL(most)}};
static const pair_function rests = {{FLOATS(fmod), SIGNED(rest), UNSIGNED(rest)}};
static const pair_function modulos = {{SIGNED(modulo), UNSIGNED(rest)}};
static const pair_function boths = {{SIGNED(both), UNSIGNED(both)}};
static const pair_function eithers = {{SIGNED(either), UNSIGNED(either)}};
static const pair_function differs = {{SIGNED(differ), UNSIGNED(differ)}};
static const pair_function lefts = {{UNSIGNED(left)}}, rights = {{UNSIGNED(right)}};

/* ---- shapes ---- */

/* All inputs of one dtype, broadcast together. */
static mc_status shape_together(const mc_call *call, unsigned kinds, mc_err *err)
{
    mc_dtype dtype;
    for (size_t i = 0; i < call->ins; i++) MC_TRY(mc_num_need(call, i, kinds, err));
    MC_TRY(mc_num_alike(call, 0, call->ins, &dtype, err));
    mc_nd sum = *call->in[0];
    sum.dtype = dtype;
    for (size_t i = 1; i < call->ins; i++) {
        const mc_nd before = sum;
        mc_nd next;
        MC_TRY(mc_legacy_operand(call, i, &next, err));
        MC_TRY(mc_op_broadcast(&before, &next, &sum, err));
    }
    return mc_arg_set(call, 0, dtype, sum.ndim, sum.dim, err);
}

static mc_status shape_numbers(const mc_call *call, mc_err *err)
{
    return shape_together(call, MC_NUM_ANY_NUMBER, err);
}

static mc_status shape_floats(const mc_call *call, mc_err *err)
{
    return shape_together(call, MC_NUM_FLOAT, err);
}

static mc_status shape_ints(const mc_call *call, mc_err *err)
{
    return shape_together(call, MC_NUM_INT, err);
}

static mc_status shape_bit_shift(const mc_call *call, mc_err *err)
{
    return shape_together(call, MC_NUM_NOSIGN, err);
}

/* The slope broadcasts to x, not x to the slope. */
static mc_status shape_prelu(const mc_call *call, mc_err *err)
{
    mc_dtype dtype;
    MC_TRY(mc_num_need(call, 0, MC_NUM_ANY_NUMBER, err));
    MC_TRY(mc_num_need(call, 1, MC_NUM_ANY_NUMBER, err));
    MC_TRY(mc_num_alike(call, 0, 2, &dtype, err));
    const mc_nd *x = call->in[0];
    mc_nd both = *x, slope;
    MC_TRY(mc_legacy_channels(call, 1, &slope, err));
    MC_TRY(mc_op_broadcast(x, &slope, &both, err));
    char text[MC_ND_TEXT], other[MC_ND_TEXT];
    if (mc_nd_shape_known(x) && mc_nd_shape_known(&slope) && !mc_nd_same_shape(x, &both))
        return mc_fail(err, MC_E_FORMAT, "a slope of %s does not broadcast to %s",
                       mc_nd_show(call->in[1], text), mc_nd_show(x, other));
    return mc_arg_set(call, 0, dtype, both.ndim, both.dim, err);
}

/* ---- running ---- */

static mc_status run_on(const mc_call *call, const pair_function *f, const mc_nd *b, mc_err *err)
{
    const mc_num_loop loop = f->loop[mc_nd_storage(call->in[0]->dtype)];
    if (!loop) return mc_op_refuse_dtype(call, 0, err);
    if (mc_arg_out(call, 0)) mc_num_binary(loop, call->in[0], b, call->out[0]);
    return MC_OK;
}

static mc_status run_pair(const mc_call *call, const pair_function *f, mc_err *err)
{
    mc_nd b;
    MC_TRY(mc_legacy_operand(call, 1, &b, err));
    return run_on(call, f, &b, err);
}

#define RUN(name, function)                                       \
    static mc_status run_##name(const mc_call *call, mc_err *err) \
    {                                                             \
        return run_pair(call, &(function), err);                  \
    }
RUN(add, adds)
RUN(sub, subs)
RUN(mul, muls)
RUN(bitwise_and, boths)
RUN(bitwise_or, eithers)
RUN(bitwise_xor, differs)

static mc_status run_prelu(const mc_call *call, mc_err *err)
{
    mc_nd slope;
    MC_TRY(mc_legacy_channels(call, 1, &slope, err));
    return run_on(call, &prelus, &slope, err);
}

/* Nothing is divided by 0 where the output is empty. */
static mc_status refuse_zero(const mc_call *call, mc_err *err)
{
    const mc_nd *by = call->in[1];
    if (mc_dtype_about(by->dtype)->is_float) return MC_OK;
    for (size_t i = 0; i < by->count; i++) {
        if (mc_nd_int(by, i) == 0 && mc_arg_out(call, 0) && call->out[0]->count > 0)
            return mc_fail(err, MC_E_FORMAT,
                           "element %zu of input 1 is 0, which whole numbers "
                           "cannot be divided by",
                           i);
    }
    return MC_OK;
}

static mc_status run_div(const mc_call *call, mc_err *err)
{
    MC_TRY(refuse_zero(call, err));
    return run_pair(call, &quotients, err);
}

static mc_status run_mod(const mc_call *call, mc_err *err)
{
    const bool rest = mc_node_int(call->node, "fmod", 0) != 0;
    if (!rest && mc_dtype_about(call->in[0]->dtype)->is_float)
        return mc_fail(err, MC_E_FORMAT, "fmod is 0, which is for whole numbers only");
    MC_TRY(refuse_zero(call, err));
    return run_pair(call, rest ? &rests : &modulos, err);
}

static mc_status run_bit_shift(const mc_call *call, mc_err *err)
{
    const char *way = mc_node_text(call->node, "direction", "");
    if (strcmp(way, "LEFT") == 0) return run_pair(call, &lefts, err);
    if (strcmp(way, "RIGHT") == 0) return run_pair(call, &rights, err);
    return mc_fail(err, MC_E_FORMAT, "direction is '%.40s' (LEFT and RIGHT are allowed)", way);
}

static mc_status run_bitwise_not(const mc_call *call, mc_err *err)
{
    (void)err;
    const unsigned char *x = call->in[0]->data;
    if (!mc_arg_out(call, 0)) return MC_OK;
    unsigned char *y = call->out[0]->data;
    const size_t bytes = call->in[0]->count * mc_nd_width(call->in[0]->dtype);
    for (size_t i = 0; i < bytes; i++) y[i] = (unsigned char)~x[i];
    return MC_OK;
}

/* ---- any number of inputs ---- */

static mc_status run_all(const mc_call *call, const pair_function *f, mc_err *err)
{
    const mc_num_loop loop = f->loop[mc_nd_storage(call->in[0]->dtype)];
    if (!loop) return mc_op_refuse_dtype(call, 0, err);
    const mc_nd *out = mc_arg_out(call, 0);
    if (!out || out->count == 0) return MC_OK;
    if (call->ins == 1) {
        memcpy(out->data, call->in[0]->data, out->count * mc_nd_width(out->dtype));
        return MC_OK;
    }
    mc_num_binary(loop, call->in[0], call->in[1], out);
    for (size_t i = 2; i < call->ins; i++) mc_num_binary(loop, out, call->in[i], out);
    return MC_OK;
}

static mc_status run_min(const mc_call *call, mc_err *err)
{
    return run_all(call, &leasts, err);
}

static mc_status run_max(const mc_call *call, mc_err *err)
{
    return run_all(call, &mosts, err);
}

static mc_status run_sum(const mc_call *call, mc_err *err)
{
    return run_all(call, &adds, err);
}

static mc_status run_mean(const mc_call *call, mc_err *err)
{
    MC_TRY(run_all(call, &adds, err));
    const mc_nd *out = mc_arg_out(call, 0);
    if (!out) return MC_OK;
    if (mc_nd_storage(out->dtype) == MC_F64) {
        double *y = out->data;
        for (size_t i = 0; i < out->count; i++) y[i] /= (double)call->ins;
    } else {
        float *y = out->data;
        for (size_t i = 0; i < out->count; i++) y[i] /= (float)call->ins;
    }
    return MC_OK;
}

/* ---- Pow: the base's dtype stays; the exponent has its own ---- */

static mc_status shape_pow(const mc_call *call, mc_err *err)
{
    MC_TRY(mc_num_need(call, 0, MC_NUM_ANY_NUMBER, err));
    MC_TRY(mc_num_need(call, 1, MC_NUM_ANY_NUMBER, err));
    mc_nd *out = mc_arg_out(call, 0);
    if (!out) return MC_OK;
    mc_nd power;
    MC_TRY(mc_legacy_operand(call, 1, &power, err));
    out->dtype = call->in[0]->dtype;
    return mc_op_broadcast(call->in[0], &power, out, err);
}

/* Squares and cubes, which models ask for most, are products. */
static void pow_f32(void *to, const void *from_a, const void *from_b, size_t n, size_t sa,
                    size_t sb)
{
    float *o = to;
    const float *a = from_a, *b = from_b;
    if (n == 0) return;
    if (!sb && b[0] == 2.0f) {
        for (size_t i = 0; i < n; i++) o[i] = a[i * sa] * a[i * sa];
    } else if (!sb && b[0] == 3.0f) {
        for (size_t i = 0; i < n; i++) o[i] = a[i * sa] * a[i * sa] * a[i * sa];
    } else {
        for (size_t i = 0; i < n; i++) o[i] = powf(a[i * sa], b[i * sb]);
    }
}
LOOP(pow, f64, double, pow(x, y))

/* By squaring, modulo 2^64. Negative powers of whole numbers are 0 but for 1 and -1; of 0 they are
 * no number, and 0 is as good as any. */
static int64_t whole_power(int64_t base, int64_t power)
{
    if (power < 0) {
        if (base != 1 && base != -1) return 0;
        return base == 1 || power % 2 == 0 ? 1 : -1;
    }
    uint64_t result = 1, square = (uint64_t)base;
    for (uint64_t left = (uint64_t)power; left > 0; left >>= 1) {
        if (left & 1) result *= square;
        square *= square;
    }
    return (int64_t)result;
}
LOOP(pow, i64, int64_t, whole_power(x, y))

/* Both operands become one of f32, f64 and i64, unless they are it. */
static mc_dtype pow_dtype(const mc_nd *a, const mc_nd *b)
{
    const mc_dtype base = mc_nd_storage(a->dtype);
    if (base == MC_F32 || base == MC_F64) return base;
    return mc_dtype_about(b->dtype)->is_float ? MC_F64 : MC_I64;
}

static mc_status as_dtype(mc_nd *t, mc_dtype dtype, mc_arena *mem, mc_err *err)
{
    if (mc_nd_storage(t->dtype) == dtype) return MC_OK;
    void *to = mc_alloc_raw(mem, t->count, mc_nd_width(dtype));
    if (!to) return mc_no_room(err, "a converted operand");
    mc_num_convert(t->dtype, t->data, dtype, to, t->count);
    t->dtype = dtype;
    t->data = to;
    return MC_OK;
}

static size_t scratch_pow(const mc_call *call)
{
    const size_t out = mc_arg_out(call, 0) ? call->out[0]->count : 0;
    return mc_arg_plus(mc_arg_plus(mc_arg_bytes(call->in[0]->count, sizeof(double)),
                                   mc_arg_bytes(call->in[1]->count, sizeof(double))),
                       mc_arg_bytes(out, sizeof(double)));
}

static mc_status run_pow(const mc_call *call, mc_err *err)
{
    if (!mc_arg_out(call, 0)) return MC_OK;
    mc_arena mem = call->scratch;
    mc_nd a = *call->in[0], b, out = *call->out[0];
    MC_TRY(mc_legacy_operand(call, 1, &b, err));
    const mc_dtype dtype = pow_dtype(&a, &b), to = mc_nd_storage(out.dtype);
    MC_TRY(as_dtype(&a, dtype, &mem, err));
    MC_TRY(as_dtype(&b, dtype, &mem, err));
    out.dtype = dtype;
    if (dtype != to) {
        out.data = mc_alloc_raw(&mem, out.count, mc_nd_width(dtype));
        if (!out.data) return mc_no_room(err, "powers");
    }
    mc_num_binary(dtype == MC_F32 ? pow_f32 : dtype == MC_F64 ? pow_f64 : pow_i64, &a, &b, &out);
    if (dtype != to) mc_num_convert(dtype, out.data, to, call->out[0]->data, out.count);
    return MC_OK;
}

/* ---- the list ---- */

#define BINARY(name_, since_, shape_, run_)                                            \
    {                                                                                  \
        .domain = "", .name = (name_), .since = (since_), .least_in = 2, .most_in = 2, \
        .most_out = 1, .flags = MC_OP_IN_PLACE, .shape = (shape_), .run = (run_),      \
    }
#define VARIADIC(name_, shape_, run_)                                                           \
    {                                                                                           \
        .domain = "", .name = (name_), .since = 1, .least_in = 1, .most_in = -1, .most_out = 1, \
        .shape = (shape_), .run = (run_),                                                       \
    }

const mc_op mc_ops_binary[] = {
    BINARY("Add", 1, shape_numbers, run_add),
    BINARY("BitShift", 11, shape_bit_shift, run_bit_shift),
    BINARY("BitwiseAnd", 18, shape_ints, run_bitwise_and),
    {.domain = "",
     .name = "BitwiseNot",
     .since = 18,
     .least_in = 1,
     .most_in = 1,
     .most_out = 1,
     .flags = MC_OP_IN_PLACE,
     .shape = shape_ints,
     .run = run_bitwise_not},
    BINARY("BitwiseOr", 18, shape_ints, run_bitwise_or),
    BINARY("BitwiseXor", 18, shape_ints, run_bitwise_xor),
    BINARY("Div", 1, shape_numbers, run_div),
    VARIADIC("Max", shape_numbers, run_max),
    VARIADIC("Mean", shape_floats, run_mean),
    VARIADIC("Min", shape_numbers, run_min),
    BINARY("Mod", 10, shape_numbers, run_mod),
    BINARY("Mul", 1, shape_numbers, run_mul),
    {.domain = "",
     .name = "Pow",
     .since = 1,
     .least_in = 2,
     .most_in = 2,
     .most_out = 1,
     .shape = shape_pow,
     .run = run_pow,
     .scratch = scratch_pow},
    BINARY("PRelu", 1, shape_prelu, run_prelu),
    BINARY("Sub", 1, shape_numbers, run_sub),
    VARIADIC("Sum", shape_floats, run_sum),
    {.name = NULL},
};
