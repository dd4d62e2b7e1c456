/* Truth values: comparisons, And, Or, Xor, Not, tests for NaN and infinity, and Where, which
 * chooses by them. */
#include "core/ops/op_args_shared.h"
#include "core/ops/op_legacy_shared.h"
#include "core/ops/op_number_shared.h"

#include <math.h>
#include <string.h>

typedef struct {
    mc_num_loop loop[MC_DTYPE_COUNT]; /* by storage */
} truth_function;

/* A loop for each way to broadcast, as in op_binary.c, so that compilers turn it into vectors. */
#define LOOP(name, s, T, expr)                                                                    \
    static void name##_##s(void *to, const void *from_a, const void *from_b, size_t n, size_t sa, \
                           size_t sb)                                                             \
    {                                                                                             \
        uint8_t *o = to;                                                                          \
        const T *a = from_a, *b = from_b;                                                         \
        if (sa && sb) {                                                                           \
            for (size_t i = 0; i < n; i++) {                                                      \
                const T x = a[i], y = b[i];                                                       \
                o[i] = (uint8_t)(expr);                                                           \
            }                                                                                     \
        } else {                                                                                  \
            for (size_t i = 0; i < n; i++) {                                                      \
                const T x = a[i * sa], y = b[i * sb];                                             \
                o[i] = (uint8_t)(expr);                                                           \
            }                                                                                     \
        }                                                                                         \
    }

static bool same_text(mc_nd_text a, mc_nd_text b)
{
    return a.length == b.length && (a.length == 0 || memcmp(a.at, b.at, a.length) == 0);
}

#define X(id, T, W, s)             \
    LOOP(equal, s, T, x == y)      \
    LOOP(less, s, T, x < y)        \
    LOOP(less_equal, s, T, x <= y) \
    LOOP(greater, s, T, x > y)     \
    LOOP(greater_equal, s, T, x >= y)
MC_NUM_ALL(X)
#undef X
LOOP(equal, text, mc_nd_text, same_text(x, y))
LOOP(both, bool, uint8_t, x &y)
LOOP(either, bool, uint8_t, x | y)
LOOP(differ, bool, uint8_t, x ^ y)

#define NUMBERS(name)                                                                         \
    [MC_F32] = name##_f32, [MC_F64] = name##_f64, [MC_I8] = name##_i8, [MC_I16] = name##_i16, \
    [MC_I32] = name##_i32, [MC_I64] = name##_i64, [MC_U8] = name##_u8, [MC_U16] = name##_u16, \
    [MC_U32] = name##_u32, [MC_U64] = name##_u64
static const truth_function equals = {
    {NUMBERS(equal), [MC_BOOL] = equal_u8, [MC_STRING] = equal_text}};
static const truth_function lesses = {{NUMBERS(less)}}, greaters = {{NUMBERS(greater)}};
static const truth_function less_equals = {{NUMBERS(less_equal)}};
static const truth_function greater_equals = {{NUMBERS(greater_equal)}};
static const truth_function boths = {{[MC_BOOL] = both_bool}};
static const truth_function eithers = {{[MC_BOOL] = either_bool}};
static const truth_function differs = {{[MC_BOOL] = differ_bool}};

/* ---- two inputs of one dtype, a truth value out ---- */

static mc_status shape_pair(const mc_call *call, unsigned kinds, mc_err *err)
{
    mc_dtype dtype;
    MC_TRY(mc_num_need(call, 0, kinds, err));
    MC_TRY(mc_num_need(call, 1, kinds, err));
    MC_TRY(mc_num_alike(call, 0, 2, &dtype, err));
    mc_nd *out = mc_arg_out(call, 0);
    if (!out) return MC_OK;
    mc_nd b;
    MC_TRY(mc_legacy_operand(call, 1, &b, err));
    out->dtype = MC_BOOL;
    return mc_op_broadcast(call->in[0], &b, out, err);
}

static mc_status shape_equal(const mc_call *call, mc_err *err)
{
    return shape_pair(call, MC_NUM_ANY & ~(unsigned)MC_NUM_TINY, err);
}

static mc_status shape_order(const mc_call *call, mc_err *err)
{
    return shape_pair(call, MC_NUM_ANY_NUMBER, err);
}

static mc_status shape_truths(const mc_call *call, mc_err *err)
{
    return shape_pair(call, MC_NUM_BOOL, err);
}

static mc_status run_pair(const mc_call *call, const truth_function *f, mc_err *err)
{
    const mc_num_loop loop = f->loop[mc_nd_storage(call->in[0]->dtype)];
    if (!loop) return mc_op_refuse_dtype(call, 0, err);
    mc_nd b;
    MC_TRY(mc_legacy_operand(call, 1, &b, err));
    if (mc_arg_out(call, 0)) mc_num_binary(loop, call->in[0], &b, call->out[0]);
    return MC_OK;
}

#define RUN(name, function)                                       \
    static mc_status run_##name(const mc_call *call, mc_err *err) \
    {                                                             \
        return run_pair(call, &(function), err);                  \
    }
RUN(equal, equals)
RUN(less, lesses)
RUN(less_equal, less_equals)
RUN(greater, greaters)
RUN(greater_equal, greater_equals)
RUN(and, boths)
RUN(or, eithers)
RUN(xor, differs)

/* ---- one input ---- */

static mc_status shape_not(const mc_call *call, mc_err *err)
{
    MC_TRY(mc_num_need(call, 0, MC_NUM_BOOL, err));
    return mc_op_same_shape(call, err);
}

static mc_status run_not(const mc_call *call, mc_err *err)
{
    (void)err;
    const uint8_t *x = call->in[0]->data;
    if (!mc_arg_out(call, 0)) return MC_OK;
    uint8_t *y = call->out[0]->data;
    for (size_t i = 0; i < call->in[0]->count; i++) y[i] = !x[i];
    return MC_OK;
}

static mc_status shape_is(const mc_call *call, mc_err *err)
{
    MC_TRY(mc_num_need(call, 0, MC_NUM_FLOAT, err));
    return mc_arg_set(call, 0, MC_BOOL, call->in[0]->ndim, call->in[0]->dim, err);
}

static mc_status run_is_nan(const mc_call *call, mc_err *err)
{
    (void)err;
    const mc_nd *x = call->in[0];
    if (!mc_arg_out(call, 0)) return MC_OK;
    uint8_t *y = call->out[0]->data;
    const double *x64 = x->data;
    const float *x32 = x->data;
    if (mc_nd_storage(x->dtype) == MC_F64) {
        for (size_t i = 0; i < x->count; i++) y[i] = x64[i] != x64[i];
    } else {
        for (size_t i = 0; i < x->count; i++) y[i] = x32[i] != x32[i];
    }
    return MC_OK;
}

static mc_status run_is_inf(const mc_call *call, mc_err *err)
{
    (void)err;
    const mc_nd *x = call->in[0];
    const bool below = mc_node_int(call->node, "detect_negative", 1) != 0;
    const bool above = mc_node_int(call->node, "detect_positive", 1) != 0;
    if (!mc_arg_out(call, 0)) return MC_OK;
    uint8_t *y = call->out[0]->data;
    for (size_t i = 0; i < x->count; i++) {
        const double v = mc_nd_real(x, i);
        y[i] = (above && v == (double)INFINITY) || (below && v == (double)-INFINITY);
    }
    return MC_OK;
}

/* ---- Where: elements are moved by their width, whatever they are ---- */

static mc_status shape_where(const mc_call *call, mc_err *err)
{
    mc_dtype dtype;
    MC_TRY(mc_num_need(call, 0, MC_NUM_BOOL, err));
    MC_TRY(mc_num_need(call, 1, MC_NUM_ANY, err));
    MC_TRY(mc_num_need(call, 2, MC_NUM_ANY, err));
    MC_TRY(mc_num_alike(call, 1, 3, &dtype, err));
    mc_nd *out = mc_arg_out(call, 0);
    if (!out) return MC_OK;
    mc_nd both = {.dtype = dtype};
    MC_TRY(mc_op_broadcast(call->in[1], call->in[2], &both, err));
    out->dtype = dtype;
    return mc_op_broadcast(call->in[0], &both, out, err);
}

/* Elements [0, w->row) of a row, each from x or y. */
#define CHOOSE(name, T)                                                                         \
    static void choose_##name(void *to, const mc_num_walk *w, const mc_nd *const *in)           \
    {                                                                                           \
        T *o = to;                                                                              \
        const uint8_t *c = (const uint8_t *)in[0]->data + w->at[0];                             \
        const T *x = (const T *)in[1]->data + w->at[1], *y = (const T *)in[2]->data + w->at[2]; \
        const size_t sc = w->unit[0], sx = w->unit[1], sy = w->unit[2];                         \
        if (sc && sx) {                                                                         \
            for (size_t i = 0; i < w->row; i++) {                                               \
                const T yes = x[i], no = y[i * sy];                                             \
                o[i] = c[i] ? yes : no;                                                         \
            }                                                                                   \
        } else {                                                                                \
            for (size_t i = 0; i < w->row; i++) o[i] = c[i * sc] ? x[i * sx] : y[i * sy];       \
        }                                                                                       \
    }
CHOOSE(1, uint8_t)
CHOOSE(2, uint16_t)
CHOOSE(4, uint32_t)
CHOOSE(8, uint64_t)
CHOOSE(text, mc_nd_text)

static mc_status run_where(const mc_call *call, mc_err *err)
{
    (void)err;
    const mc_nd *out = mc_arg_out(call, 0);
    if (!out) return MC_OK;
    const size_t width = mc_nd_width(out->dtype);
    unsigned char *to = out->data;
    mc_num_walk w;
    mc_num_walk_open(&w, out, call->in, 3);
    for (size_t r = 0; r < w.rows; r++) {
        void *row = to + r * w.row * width;
        switch (width) {
        case 1: choose_1(row, &w, call->in); break;
        case 2: choose_2(row, &w, call->in); break;
        case 4: choose_4(row, &w, call->in); break;
        case 8: choose_8(row, &w, call->in); break;
        default: choose_text(row, &w, call->in);
        }
        mc_num_walk_next(&w);
    }
    return MC_OK;
}

/* ---- the list ---- */

#define LINE(name_, since_, ins_, flags_, shape_, run_)                                          \
    {                                                                                            \
        .domain = "", .name = (name_), .since = (since_), .least_in = (ins_), .most_in = (ins_), \
        .most_out = 1, .flags = (flags_), .shape = (shape_), .run = (run_)                       \
    }

const mc_op mc_ops_logic[] = {
    LINE("And", 1, 2, MC_OP_IN_PLACE, shape_truths, run_and),
    LINE("Equal", 1, 2, 0, shape_equal, run_equal),
    LINE("Greater", 1, 2, 0, shape_order, run_greater),
    LINE("GreaterOrEqual", 12, 2, 0, shape_order, run_greater_equal),
    LINE("IsInf", 10, 1, 0, shape_is, run_is_inf),
    LINE("IsNaN", 9, 1, 0, shape_is, run_is_nan),
    LINE("Less", 1, 2, 0, shape_order, run_less),
    LINE("LessOrEqual", 12, 2, 0, shape_order, run_less_equal),
    LINE("Not", 1, 1, MC_OP_IN_PLACE, shape_not, run_not),
    LINE("Or", 1, 2, MC_OP_IN_PLACE, shape_truths, run_or),
    LINE("Where", 9, 3, MC_OP_MOVES, shape_where, run_where),
    LINE("Xor", 1, 2, MC_OP_IN_PLACE, shape_truths, run_xor),
    {.name = NULL},
};
