/* Operators that map each element by itself. A function is one line for each kind of number; its
 * loops are written by macros, and the loops of f32 that models spend their time in come from
 * op_math_shared.h. Parameters are attributes, at most two. */
#include "core/ops/op_math_shared.h"
#include "core/ops/op_number_shared.h"

#include <float.h>
#include <math.h>
#include <string.h>

typedef struct {
    double a, b;
} params;

typedef void (*map_loop)(const void *x, void *y, size_t n, params p);

typedef struct {
    map_loop loop[MC_DTYPE_COUNT]; /* by storage */
    const char *name_a, *name_b;   /* attributes, or NULL */
    params otherwise;
} function;

/* ---- shape and run of all functions ---- */

static mc_status shape_floats(const mc_call *call, mc_err *err)
{
    MC_TRY(mc_num_need(call, 0, MC_NUM_FLOAT, err));
    return mc_op_same_shape(call, err);
}

static mc_status shape_signed(const mc_call *call, mc_err *err)
{
    MC_TRY(mc_num_need(call, 0, MC_NUM_FLOAT | MC_NUM_SIGN, err));
    return mc_op_same_shape(call, err);
}

static mc_status shape_numbers(const mc_call *call, mc_err *err)
{
    MC_TRY(mc_num_need(call, 0, MC_NUM_ANY_NUMBER, err));
    return mc_op_same_shape(call, err);
}

static mc_status map(const mc_call *call, const function *f, mc_err *err)
{
    const mc_nd *x = call->in[0];
    const map_loop loop = f->loop[mc_nd_storage(x->dtype)];
    if (!loop) return mc_op_refuse_dtype(call, 0, err);
    params p = f->otherwise;
    if (f->name_a) p.a = mc_node_float(call->node, f->name_a, p.a);
    if (f->name_b) p.b = mc_node_float(call->node, f->name_b, p.b);
    if (call->outs > 0 && call->out[0] && x->count > 0)
        loop(x->data, call->out[0]->data, x->count, p);
    return MC_OK;
}

/* ---- writing loops ---- */

/* A loop over elements of type T; `expr` sees x, and the parameters a and b as T. */
#define LOOP(name, s, T, expr)                                             \
    static void name##_##s(const void *from, void *to, size_t n, params p) \
    {                                                                      \
        const T *x_ = from;                                                \
        T *y_ = to;                                                        \
        const T a = (T)p.a, b = (T)p.b;                                    \
        (void)a;                                                           \
        (void)b;                                                           \
        for (size_t i = 0; i < n; i++) {                                   \
            const T x = x_[i];                                             \
            y_[i] = (T)(expr);                                             \
        }                                                                  \
    }

/* For whole numbers: a and b stay double, W is the type that arithmetic wraps in. */
#define INT_LOOP(name, s, T, expr)                                         \
    static void name##_##s(const void *from, void *to, size_t n, params p) \
    {                                                                      \
        const T *x_ = from;                                                \
        T *y_ = to;                                                        \
        const double a = p.a, b = p.b;                                     \
        (void)a;                                                           \
        (void)b;                                                           \
        for (size_t i = 0; i < n; i++) {                                   \
            const T x = x_[i];                                             \
            y_[i] = (T)(expr);                                             \
        }                                                                  \
    }

#define FLOATS(name) [MC_F32] = name##_f32, [MC_F64] = name##_f64
#define SIGNED(name) \
    [MC_I8] = name##_i8, [MC_I16] = name##_i16, [MC_I32] = name##_i32, [MC_I64] = name##_i64
#define UNSIGNED(name) \
    [MC_U8] = name##_u8, [MC_U16] = name##_u16, [MC_U32] = name##_u32, [MC_U64] = name##_u64

#define RUN(name)                                                 \
    static mc_status run_##name(const mc_call *call, mc_err *err) \
    {                                                             \
        return map(call, &map_##name, err);                       \
    }

/* A function of floats: its value in f32 and in f64, and its parameters. */
#define FLOAT_FUNCTION_OF(name, e32, e64, first, second, ...)        \
    LOOP(name, f32, float, e32)                                      \
    LOOP(name, f64, double, e64)                                     \
    static const function map_##name = {.loop = {FLOATS(name)},      \
                                        .name_a = (first),           \
                                        .name_b = (second),          \
                                        .otherwise = {__VA_ARGS__}}; \
    RUN(name)
#define FLOAT_FUNCTION(name, e32, e64) FLOAT_FUNCTION_OF(name, e32, e64, NULL, NULL, 0.0, 0.0)

/* One of op_math_shared.h for f32. */
#define FAST_FUNCTION(name, e64)                                           \
    static void name##_f32(const void *from, void *to, size_t n, params p) \
    {                                                                      \
        (void)p;                                                           \
        mc_##name##_f32(from, to, n);                                      \
    }                                                                      \
    LOOP(name, f64, double, e64)                                           \
    static const function map_##name = {.loop = {FLOATS(name)}};           \
    RUN(name)

/* ---- functions of floats ---- */

FAST_FUNCTION(exp, exp(x))
FAST_FUNCTION(tanh, tanh(x))
FAST_FUNCTION(sigmoid, (x < 0.0 ? exp(x) : 1.0) / (1.0 + exp(-fabs(x))))
FLOAT_FUNCTION(log, logf(x), log(x))
FLOAT_FUNCTION(sqrt, sqrtf(x), sqrt(x))
FLOAT_FUNCTION(reciprocal, 1.0f / x, 1.0 / x)
FLOAT_FUNCTION(sin, sinf(x), sin(x))
FLOAT_FUNCTION(cos, cosf(x), cos(x))
FLOAT_FUNCTION(tan, tanf(x), tan(x))
FLOAT_FUNCTION(asin, asinf(x), asin(x))
FLOAT_FUNCTION(acos, acosf(x), acos(x))
FLOAT_FUNCTION(atan, atanf(x), atan(x))
FLOAT_FUNCTION(sinh, sinhf(x), sinh(x))
FLOAT_FUNCTION(cosh, coshf(x), cosh(x))
FLOAT_FUNCTION(asinh, asinhf(x), asinh(x))
FLOAT_FUNCTION(acosh, acoshf(x), acosh(x))
FLOAT_FUNCTION(atanh, atanhf(x), atanh(x))
FLOAT_FUNCTION(ceil, ceilf(x), ceil(x))
FLOAT_FUNCTION(floor, floorf(x), floor(x))
FLOAT_FUNCTION(round, rintf(x), rint(x)) /* halves to even */

/* log(1 + e^x), by e^-|x|, which cannot overflow. */
#define SOFTPLUS32 ((x > 0.0f ? x : 0.0f) + log1pf(expf(-fabsf(x))))
#define SOFTPLUS64 ((x > 0.0 ? x : 0.0) + log1p(exp(-fabs(x))))
FLOAT_FUNCTION(softplus, SOFTPLUS32, SOFTPLUS64)
FLOAT_FUNCTION(mish, x *tanhf(SOFTPLUS32), x *tanh(SOFTPLUS64))
FLOAT_FUNCTION(softsign, x / (1.0f + fabsf(x)), x / (1.0 + fabs(x)))

FLOAT_FUNCTION_OF(leaky_relu, x < 0.0f ? a * x : x, x < 0.0 ? a * x : x, "alpha", NULL, 0.01, 0.0)
FLOAT_FUNCTION_OF(thresholded_relu, x > a ? x : 0.0f, x > a ? x : 0.0, "alpha", NULL, 1.0, 0.0)
FLOAT_FUNCTION_OF(elu, x < 0.0f ? a * expm1f(x) : x, x < 0.0 ? a * expm1(x) : x, "alpha", NULL, 1.0,
                  0.0)
FLOAT_FUNCTION_OF(celu, x < 0.0f ? a * expm1f(x / a) : x, x < 0.0 ? a * expm1(x / a) : x, "alpha",
                  NULL, 1.0, 0.0)
FLOAT_FUNCTION_OF(selu, b *(x > 0.0f ? x : a * expm1f(x)), b *(x > 0.0 ? x : a * expm1(x)), "alpha",
                  "gamma", 1.67326319217681884765625, 1.05070102214813232421875)
static const function map_selu_1 = {.loop = {FLOATS(selu)},
                                    .name_a = "alpha",
                                    .name_b = "gamma",
                                    .otherwise = {(double)1.6732f, (double)1.0507f}};
RUN(selu_1)

#define UNIT(x, zero, one) ((x) < (zero) ? (zero) : (x) > (one) ? (one) : (x))
FLOAT_FUNCTION_OF(hard_sigmoid, UNIT(a *x + b, 0.0f, 1.0f), UNIT(a *x + b, 0.0, 1.0), "alpha",
                  "beta", 0.2, 0.5)
FLOAT_FUNCTION(hard_swish, x *UNIT(x / 6.0f + 0.5f, 0.0f, 1.0f), x *UNIT(x / 6.0 + 0.5, 0.0, 1.0))

static void swish_f32(const void *from, void *to, size_t n, params p)
{
    mc_silu_f32(from, to, n, (float)p.a);
}
LOOP(swish, f64, double, x / (1.0 + exp(-a * x)))
static const function map_swish = {
    .loop = {FLOATS(swish)}, .name_a = "alpha", .otherwise = {1.0, 0.0}};
static const function map_silu = {.loop = {FLOATS(swish)}, .otherwise = {1.0, 0.0}};
RUN(swish)
RUN(silu)

/* ---- Gelu ---- */

static void gelu_f32(const void *from, void *to, size_t n, params p)
{
    (void)p;
    mc_gelu_f32(from, to, n);
}

static void gelu_tanh_f32(const void *from, void *to, size_t n, params p)
{
    (void)p;
    mc_gelu_tanh_f32(from, to, n);
}

LOOP(gelu, f64, double, 0.5 * x * (1.0 + erf(x * 0.70710678118654752)))
LOOP(gelu_tanh, f64, double,
     0.5 * x * (1.0 + tanh(0.79788456080286536 * (x + 0.044715 * x * x * x))))
static const function map_gelu = {.loop = {FLOATS(gelu)}};
static const function map_gelu_tanh = {.loop = {FLOATS(gelu_tanh)}};

static mc_status run_gelu(const mc_call *call, mc_err *err)
{
    const char *how = mc_node_text(call->node, "approximate", "none");
    if (strcmp(how, "none") == 0) return map(call, &map_gelu, err);
    if (strcmp(how, "tanh") == 0) return map(call, &map_gelu_tanh, err);
    return mc_fail(err, MC_E_FORMAT, "approximate is '%.40s' (none and tanh are allowed)", how);
}

/* ---- functions of whole numbers too ---- */

/* NaN is neither above nor below. */
LOOP(sign, f32, float, x > 0.0f ? 1.0f : x < 0.0f ? -1.0f : x)
LOOP(sign, f64, double, x > 0.0 ? 1.0 : x < 0.0 ? -1.0 : x)
LOOP(abs, f32, float, fabsf(x))
LOOP(abs, f64, double, fabs(x))
LOOP(neg, f32, float, -x)
LOOP(neg, f64, double, -x)
LOOP(relu, f32, float, x < 0.0f ? 0.0f : x)
LOOP(relu, f64, double, x < 0.0 ? 0.0 : x)
LOOP(shrink, f32, float, x<-a ? x + b : x> a ? x - b : 0.0f)
LOOP(shrink, f64, double, x<-a ? x + b : x> a ? x - b : 0.0)
static void erf_f32(const void *from, void *to, size_t n, params p)
{
    (void)p;
    mc_erf_f32(from, to, n);
}
LOOP(erf, f64, double, erf(x))

/* The least number has no opposite: arithmetic wraps. */
#define X(id, T, W, s)                              \
    INT_LOOP(abs, s, T, x < 0 ? (W)0 - (W)x : (W)x) \
    INT_LOOP(neg, s, T, (W)0 - (W)x)                \
    INT_LOOP(relu, s, T, x < 0 ? 0 : x)             \
    INT_LOOP(sign, s, T, (x > 0) - (x < 0))
MC_NUM_SIGNED(X)
#undef X
#define X(id, T, W, s)     \
    INT_LOOP(abs, s, T, x) \
    INT_LOOP(sign, s, T, x > 0 ? 1 : 0)
MC_NUM_UNSIGNED(X)
#undef X
#define SHRINK(x) ((x) < -a ? (x) + b : (x) > a ? (x)-b : 0.0)
#define X(id, T, W, s)                                        \
    INT_LOOP(shrink, s, T, mc_num_cut_##s(SHRINK((double)x))) \
    INT_LOOP(erf, s, T, mc_num_cut_##s(erf((double)x)))
MC_NUM_INTS(X)
#undef X

static const function map_abs = {.loop = {FLOATS(abs), SIGNED(abs), UNSIGNED(abs)}};
static const function map_neg = {.loop = {FLOATS(neg), SIGNED(neg)}};
static const function map_relu = {.loop = {FLOATS(relu), SIGNED(relu)}};
static const function map_sign = {.loop = {FLOATS(sign), SIGNED(sign), UNSIGNED(sign)}};
static const function map_erf = {.loop = {FLOATS(erf), SIGNED(erf), UNSIGNED(erf)}};
static const function map_shrink = {.loop = {FLOATS(shrink), SIGNED(shrink), UNSIGNED(shrink)},
                                    .name_a = "lambd",
                                    .name_b = "bias",
                                    .otherwise = {0.5, 0.0}};
RUN(abs)
RUN(neg)
RUN(relu)
RUN(sign)
RUN(erf)
RUN(shrink)

/* ---- Clip: limits are attributes, from version 11 on scalar inputs ---- */

/* Below comes first: when the least is above the most, everything becomes the most. */
#define X(id, T, W, s)                                                            \
    static void clip_##s(const void *from, void *to, size_t n, const void *least, \
                         const void *most)                                        \
    {                                                                             \
        const T *x_ = from;                                                       \
        T *y_ = to;                                                               \
        const T low = least ? *(const T *)least : (T)0;                           \
        const T high = most ? *(const T *)most : (T)0;                            \
        for (size_t i = 0; i < n; i++) {                                          \
            T x = x_[i];                                                          \
            if (least) x = x < low ? low : x;                                     \
            if (most) x = x > high ? high : x;                                    \
            y_[i] = x;                                                            \
        }                                                                         \
    }
MC_NUM_ALL(X)
#undef X

typedef void (*clip_loop)(const void *x, void *y, size_t n, const void *least, const void *most);
static const clip_loop clips[MC_DTYPE_COUNT] = {
#define X(id, T, W, s) [MC_##id] = clip_##s,
    MC_NUM_ALL(X)
#undef X
};

static mc_status shape_clip(const mc_call *call, mc_err *err)
{
    mc_dtype dtype;
    MC_TRY(mc_num_need(call, 0, MC_NUM_ANY_NUMBER, err));
    MC_TRY(mc_num_alike(call, 0, call->ins, &dtype, err));
    for (size_t i = 1; i < call->ins; i++) {
        const mc_nd *limit = call->in[i];
        char text[MC_ND_TEXT];
        if (limit && mc_nd_shape_known(limit) && limit->count != 1)
            return mc_fail(err, MC_E_FORMAT, "input %zu is %s (one number is allowed)", i,
                           mc_nd_show(limit, text));
    }
    return mc_op_same_shape(call, err);
}

static mc_status clip_to(const mc_call *call, const void *least, const void *most, mc_err *err)
{
    const mc_nd *x = call->in[0];
    const clip_loop loop = clips[mc_nd_storage(x->dtype)];
    if (!loop) return mc_op_refuse_dtype(call, 0, err);
    if (call->outs > 0 && call->out[0] && x->count > 0)
        loop(x->data, call->out[0]->data, x->count, least, most);
    return MC_OK;
}

static mc_status run_clip(const mc_call *call, mc_err *err)
{
    const void *least = call->ins > 1 && call->in[1] ? call->in[1]->data : NULL;
    const void *most = call->ins > 2 && call->in[2] ? call->in[2]->data : NULL;
    return clip_to(call, least, most, err);
}

static mc_status run_clip_6(const mc_call *call, mc_err *err)
{
    const double low = mc_node_float(call->node, "min", (double)-FLT_MAX);
    const double high = mc_node_float(call->node, "max", (double)FLT_MAX);
    const float low32 = (float)low, high32 = (float)high;
    const bool has_low = mc_node_attr(call->node, "min") != NULL;
    const bool has_high = mc_node_attr(call->node, "max") != NULL;
    const bool wide = mc_nd_storage(call->in[0]->dtype) == MC_F64;
    return clip_to(call,
                   !has_low ? NULL
                   : wide   ? (const void *)&low
                            : &low32,
                   !has_high ? NULL
                   : wide    ? (const void *)&high
                             : &high32,
                   err);
}

/* ---- the list ---- */

#define UNARY(name_, since_, shape_, run_)                                             \
    {                                                                                  \
        .domain = "", .name = (name_), .since = (since_), .least_in = 1, .most_in = 1, \
        .most_out = 1, .flags = MC_OP_IN_PLACE, .shape = (shape_), .run = (run_),      \
    }

const mc_op mc_ops_unary[] = {
    UNARY("Abs", 1, shape_numbers, run_abs),
    UNARY("Acos", 7, shape_floats, run_acos),
    UNARY("Acosh", 9, shape_floats, run_acosh),
    UNARY("Asin", 7, shape_floats, run_asin),
    UNARY("Asinh", 9, shape_floats, run_asinh),
    UNARY("Atan", 7, shape_floats, run_atan),
    UNARY("Atanh", 9, shape_floats, run_atanh),
    UNARY("Ceil", 1, shape_floats, run_ceil),
    UNARY("Celu", 12, shape_floats, run_celu),
    UNARY("Clip", 1, shape_floats, run_clip_6),
    {.domain = "",
     .name = "Clip",
     .since = 11,
     .least_in = 1,
     .most_in = 3,
     .most_out = 1,
     .flags = MC_OP_IN_PLACE,
     .shape = shape_clip,
     .run = run_clip},
    UNARY("Cos", 7, shape_floats, run_cos),
    UNARY("Cosh", 9, shape_floats, run_cosh),
    UNARY("Elu", 1, shape_floats, run_elu),
    UNARY("Erf", 9, shape_numbers, run_erf),
    UNARY("Exp", 1, shape_floats, run_exp),
    UNARY("Floor", 1, shape_floats, run_floor),
    UNARY("Gelu", 20, shape_floats, run_gelu),
    UNARY("HardSigmoid", 1, shape_floats, run_hard_sigmoid),
    UNARY("HardSwish", 14, shape_floats, run_hard_swish),
    UNARY("LeakyRelu", 1, shape_floats, run_leaky_relu),
    UNARY("Log", 1, shape_floats, run_log),
    UNARY("Mish", 18, shape_floats, run_mish),
    UNARY("Neg", 1, shape_signed, run_neg),
    UNARY("Reciprocal", 1, shape_floats, run_reciprocal),
    UNARY("Relu", 1, shape_signed, run_relu),
    UNARY("Round", 11, shape_floats, run_round),
    UNARY("Selu", 1, shape_floats, run_selu_1),
    UNARY("Selu", 6, shape_floats, run_selu),
    UNARY("Shrink", 9, shape_numbers, run_shrink),
    UNARY("Sigmoid", 1, shape_floats, run_sigmoid),
    UNARY("Sign", 9, shape_numbers, run_sign),
    UNARY("Sin", 7, shape_floats, run_sin),
    UNARY("Sinh", 9, shape_floats, run_sinh),
    UNARY("Softplus", 1, shape_floats, run_softplus),
    UNARY("Softsign", 1, shape_floats, run_softsign),
    UNARY("Sqrt", 1, shape_floats, run_sqrt),
    UNARY("Swish", 24, shape_floats, run_swish),
    UNARY("Tan", 7, shape_floats, run_tan),
    UNARY("Tanh", 1, shape_floats, run_tanh),
    UNARY("ThresholdedRelu", 10, shape_floats, run_thresholded_relu),
    {.domain = MC_DOMAIN,
     .name = "SiLU",
     .since = 1,
     .least_in = 1,
     .most_in = 1,
     .most_out = 1,
     .flags = MC_OP_IN_PLACE,
     .shape = shape_floats,
     .run = run_silu},
    {.name = NULL},
};
