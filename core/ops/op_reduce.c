/* Reductions over axes, ArgMax, ArgMin, CumSum.
 *
 * The axes of the input become runs that are either kept or gone; the input is read once, in its
 * order, into one accumulator for each output: double for floats, 64 bits that wrap for whole
 * numbers. */
#include "core/ops/op_args_shared.h"
#include "core/ops/op_math_shared.h"
#include "core/ops/op_number_shared.h"

#include <math.h>
#include <string.h>

typedef enum { SUM, MEAN, MAX, MIN, PROD, L1, L2, LOG_SUM, LOG_SUM_EXP, SUM_SQUARE } reduction;

/* ---- axes ---- */

/* Which axes go. *known is false while that depends on an input without data. `input`: the axes are
 * input 1, not an attribute. */
static mc_status find_axes(const mc_call *call, bool input, bool gone[MC_MAX_DIMS], bool *known,
                           mc_err *err)
{
    const mc_nd *x = call->in[0];
    int64_t room[MC_MAX_DIMS];
    const int64_t *axes = room;
    size_t n = 0;
    *known = true;
    memset(gone, 0, MC_MAX_DIMS * sizeof *gone);
    if (input)
        MC_TRY(mc_op_ints(call, 1, room, MC_MAX_DIMS, &n, known, err));
    else
        n = mc_node_ints(call->node, "axes", &axes);
    if (!*known || x->ndim < 0) return MC_OK;

    const bool none_is_all = mc_node_int(call->node, "noop_with_empty_axes", 0) == 0;
    for (int i = 0; n == 0 && none_is_all && i < x->ndim; i++) gone[i] = true;
    for (size_t i = 0; i < n; i++) {
        int axis;
        if (!mc_nd_axis(x, axes[i], &axis))
            return mc_fail(err, MC_E_FORMAT, "axis %lld of a tensor of %d dimensions",
                           (long long)axes[i], x->ndim);
        if (gone[axis]) return mc_fail(err, MC_E_FORMAT, "axis %d is named twice", axis);
        gone[axis] = true;
    }
    return MC_OK;
}

/* With axes that are not known yet at most the rank is. */
static mc_status shape_unknown_axes(const mc_call *call, bool keep, mc_err *err)
{
    const mc_nd *x = call->in[0], *axes = call->in[1];
    int64_t dim[MC_MAX_DIMS];
    for (int i = 0; i < MC_MAX_DIMS; i++) dim[i] = -1;
    int ndim = MC_RANK_UNKNOWN;
    if (keep)
        ndim = x->ndim;
    else if (x->ndim >= 0 && axes->ndim == 1 && axes->dim[0] > 0 && axes->dim[0] <= x->ndim)
        ndim = x->ndim - (int)axes->dim[0];
    return mc_arg_set(call, 0, x->dtype, ndim, dim, err);
}

static mc_status shape_reduced(const mc_call *call, bool input, mc_err *err)
{
    const mc_nd *x = call->in[0];
    const bool keep = mc_node_int(call->node, "keepdims", 1) != 0;
    bool gone[MC_MAX_DIMS], known;
    MC_TRY(mc_num_need(call, 0, MC_NUM_ANY_NUMBER | MC_NUM_BOOL, err));
    MC_TRY(find_axes(call, input, gone, &known, err));
    if (!known) return shape_unknown_axes(call, keep, err);

    int64_t dim[MC_MAX_DIMS];
    int ndim = 0;
    for (int i = 0; i < x->ndim; i++) {
        if (!gone[i])
            dim[ndim++] = x->dim[i];
        else if (keep)
            dim[ndim++] = 1;
    }
    return mc_arg_set(call, 0, x->dtype, x->ndim < 0 ? x->ndim : ndim, dim, err);
}

static mc_status shape_attr(const mc_call *call, mc_err *err)
{
    return shape_reduced(call, false, err);
}

static mc_status shape_input(const mc_call *call, mc_err *err)
{
    return shape_reduced(call, true, err);
}

/* ---- going through the input ---- */

/* Runs of axes, from the outside in, with the step of the output along each (0: gone). The last
 * one is a row: `row` elements whose outputs are `unit` (0 or 1) apart. */
typedef struct {
    int ndim;
    size_t rows, row, unit, at;
    size_t dim[MC_MAX_DIMS], step[MC_MAX_DIMS], index[MC_MAX_DIMS];
} runs;

static void open_runs(runs *r, const mc_nd *x, const bool gone[MC_MAX_DIMS])
{
    *r = (runs){.rows = x->count > 0, .row = 1};
    if (x->count == 0) return;
    bool was_gone = false;
    for (int i = 0; i < x->ndim; i++) {
        const size_t n = (size_t)x->dim[i];
        if (n == 1) continue;
        if (r->ndim > 0 && was_gone == gone[i])
            r->dim[r->ndim - 1] *= n;
        else
            r->dim[r->ndim++] = n;
        was_gone = gone[i];
    }
    if (r->ndim == 0) return;
    size_t step = 1; /* kept and gone take turns: the last one is `was_gone` */
    for (int i = r->ndim - 1; i >= 0; i--, was_gone = !was_gone) {
        r->step[i] = was_gone ? 0 : step;
        if (!was_gone) step *= r->dim[i];
    }
    r->ndim--;
    r->row = r->dim[r->ndim];
    r->unit = r->step[r->ndim];
    r->rows = x->count / r->row;
}

static void next_run(runs *r)
{
    for (int i = r->ndim - 1; i >= 0; i--) {
        r->at += r->step[i];
        if (++r->index[i] < r->dim[i]) return;
        r->at -= r->step[i] * r->dim[i];
        r->index[i] = 0;
    }
}

/* ---- loops: a row into accumulators ---- */

/* What is done with an element. LOG_SUM_EXP has two goes: LARGEST, then ADD_EXP. */
typedef enum { ADD, ADD_SIZE, ADD_SQUARE, TIMES, LARGEST, SMALLEST, ADD_EXP } mode;

#define ROW(expr)                    \
    for (size_t i = 0; i < n; i++) { \
        const size_t k = i * unit;   \
        const A v = (A)x[i];         \
        acc[k] = (expr);             \
    }                                \
    break

/* NaN wins in LARGEST and SMALLEST. `most` holds the largest of each output, for ADD_EXP. */
#define FLOAT_LOOP(s, T)                                                              \
    static void reduce_##s(mode m, const void *from, size_t n, size_t unit, void *to, \
                           const double *most)                                        \
    {                                                                                 \
        typedef double A;                                                             \
        const T *x = from;                                                            \
        A *acc = to;                                                                  \
        switch (m) {                                                                  \
        case ADD: ROW(acc[k] + v);                                                    \
        case ADD_SIZE: ROW(acc[k] + fabs(v));                                         \
        case ADD_SQUARE: ROW(acc[k] + v * v);                                         \
        case TIMES: ROW(acc[k] * v);                                                  \
        case LARGEST: ROW(v > acc[k] || isnan(v) ? v : acc[k]);                       \
        case SMALLEST: ROW(v < acc[k] || isnan(v) ? v : acc[k]);                      \
        case ADD_EXP: ROW(acc[k] + exp(v - most[k]));                                 \
        }                                                                             \
    }
#define INT_LOOP(s, T, wide)                                                                 \
    static void reduce_##s(mode m, const void *from, size_t n, size_t unit, void *to,        \
                           const double *most)                                               \
    {                                                                                        \
        typedef wide A;                                                                      \
        const T *x = from;                                                                   \
        A *acc = to;                                                                         \
        switch (m) {                                                                         \
        case ADD: ROW((A)((uint64_t)acc[k] + (uint64_t)v));                                  \
        case ADD_SIZE: ROW((A)((uint64_t)acc[k] + (v < 1 ? 0 - (uint64_t)v : (uint64_t)v))); \
        case ADD_SQUARE: ROW((A)((uint64_t)acc[k] + (uint64_t)v * (uint64_t)v));             \
        case TIMES: ROW((A)((uint64_t)acc[k] * (uint64_t)v));                                \
        case LARGEST: ROW(v > acc[k] ? v : acc[k]);                                          \
        case SMALLEST: ROW(v < acc[k] ? v : acc[k]);                                         \
        case ADD_EXP:                                                                        \
            for (size_t i = 0; i < n; i++)                                                   \
                ((double *)to)[i * unit] += exp((double)x[i] - most[i * unit]);              \
            break;                                                                           \
        }                                                                                    \
    }
#define X(id, T, W, s) FLOAT_LOOP(s, T)
MC_NUM_FLOATS(X)
#undef X
#define X(id, T, W, s) INT_LOOP(s, T, int64_t)
MC_NUM_SIGNED(X)
#undef X
#define X(id, T, W, s) INT_LOOP(s, T, uint64_t)
MC_NUM_UNSIGNED(X)
#undef X

typedef void (*reduce_loop)(mode m, const void *x, size_t n, size_t unit, void *acc,
                            const double *most);
static const reduce_loop loops[MC_DTYPE_COUNT] = {
#define X(id, T, W, s) [MC_##id] = reduce_##s,
    MC_NUM_ALL(X)
#undef X
        [MC_BOOL] = reduce_u8,
};

/* Sums and extremes of long f32 rows go side by side. */
static void reduce_row(mc_dtype storage, mode m, const void *x, size_t n, size_t unit, void *acc,
                       const double *most)
{
    double *to = acc;
    if (storage == MC_F32 && unit == 0 && m == ADD) {
        *to += mc_sum_f32(x, n);
    } else if (storage == MC_F32 && unit == 0 && m == ADD_SQUARE) {
        *to += mc_sum_squares_f32(x, n);
    } else if (storage == MC_F32 && unit == 0 && m == LARGEST) {
        const double v = (double)mc_max_f32(x, n);
        if (v > *to || isnan(v)) *to = v;
    } else {
        loops[storage](m, x, n, unit, acc, most);
    }
}

static void reduce_all(mode m, const mc_nd *x, const bool gone[MC_MAX_DIMS], void *acc,
                       const double *most)
{
    const mc_dtype storage = mc_nd_storage(x->dtype);
    const size_t width = mc_nd_width(x->dtype);
    const unsigned char *from = x->data;
    runs r;
    open_runs(&r, x, gone);
    for (size_t i = 0; i < r.rows; i++) {
        reduce_row(storage, m, from + i * r.row * width, r.row, r.unit, (uint64_t *)acc + r.at,
                   most ? most + r.at : NULL);
        next_run(&r);
    }
}

/* ---- before and behind the loops ---- */

static mc_dtype wide_dtype(mc_dtype dtype)
{
    if (mc_dtype_about(dtype)->is_float) return MC_F64;
    return dtype == MC_I8 || dtype == MC_I16 || dtype == MC_I32 || dtype == MC_I64 ? MC_I64
                                                                                   : MC_U64;
}

static mode mode_of(reduction what)
{
    static const mode modes[] = {[SUM] = ADD,
                                 [MEAN] = ADD,
                                 [MAX] = LARGEST,
                                 [MIN] = SMALLEST,
                                 [PROD] = TIMES,
                                 [L1] = ADD_SIZE,
                                 [L2] = ADD_SQUARE,
                                 [LOG_SUM] = ADD,
                                 [LOG_SUM_EXP] = ADD_EXP,
                                 [SUM_SQUARE] = ADD_SQUARE};
    return modes[what];
}

/* The result for no elements, as the accumulators hold it: an extreme of nothing is the opposite
 * end of the dtype. */
static uint64_t start_of(mode m, mc_dtype dtype, mc_dtype wide)
{
    const bool extreme = m == LARGEST || m == SMALLEST;
    if (wide == MC_F64) {
        const double x = m == TIMES      ? 1.0
                         : m == LARGEST  ? (double)-INFINITY
                         : m == SMALLEST ? (double)INFINITY
                                         : 0.0;
        uint64_t bits;
        memcpy(&bits, &x, sizeof bits);
        return bits;
    }
    if (!extreme) return m == TIMES;
    if (dtype == MC_BOOL) return m == SMALLEST;
    const unsigned spare = 64 - mc_dtype_about(dtype)->bits;
    if (wide == MC_U64) return m == LARGEST ? 0 : UINT64_MAX >> spare;
    const uint64_t high = (uint64_t)INT64_MAX >> spare;
    return m == LARGEST ? ~high : high;
}

static void fill(uint64_t *acc, size_t n, uint64_t value)
{
    for (size_t i = 0; i < n; i++) acc[i] = value;
}

/* Accumulators to doubles, where they lie. */
static void to_reals(mc_dtype wide, uint64_t *acc, size_t n)
{
    for (size_t i = 0; i < n && wide != MC_F64; i++) {
        const uint64_t bits = acc[i];
        mc_num_convert(wide, &bits, MC_F64, &acc[i], 1);
    }
}

/* Largest of each output, subtracted before exp; 0 where it is infinite or NaN, which then comes
 * through by itself. */
static void find_shifts(const mc_nd *x, const bool gone[MC_MAX_DIMS], mc_dtype wide, double *most,
                        size_t n)
{
    fill((uint64_t *)(void *)most, n, start_of(LARGEST, x->dtype, wide));
    reduce_all(LARGEST, x, gone, most, NULL);
    to_reals(wide, (uint64_t *)(void *)most, n);
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(most[i])) most[i] = 0.0;
    }
}

static void divide(mc_dtype wide, uint64_t *acc, size_t n, size_t by)
{
    for (size_t i = 0; i < n; i++) {
        if (wide == MC_F64)
            ((double *)(void *)acc)[i] /= (double)by;
        else if (by > 0)
            acc[i] = wide == MC_U64 ? acc[i] / by : (uint64_t)((int64_t)acc[i] / (int64_t)by);
    }
}

/* What accumulators say, as `out` stores it. */
static void finish(reduction what, mc_dtype wide, uint64_t *acc, const double *most, size_t by,
                   const mc_nd *out)
{
    const size_t n = out->count;
    double *real = (double *)(void *)acc;
    if (what == MEAN) divide(wide, acc, n, by);
    if (what == L2 || what == LOG_SUM || what == LOG_SUM_EXP) {
        if (what != LOG_SUM_EXP) to_reals(wide, acc, n);
        for (size_t i = 0; i < n; i++)
            real[i] = what == L2 ? sqrt(real[i]) : log(real[i]) + (most ? most[i] : 0.0);
        wide = MC_F64;
    }
    mc_num_convert(wide, acc, out->dtype, out->data, n);
}

static size_t scratch_reduce(const mc_call *call)
{
    const size_t n = mc_arg_out(call, 0) ? call->out[0]->count : 0;
    return mc_arg_plus(mc_arg_bytes(n, sizeof(uint64_t)), mc_arg_bytes(n, sizeof(double)));
}

static mc_status reduce(const mc_call *call, reduction what, bool input, mc_err *err)
{
    const mc_nd *x = call->in[0], *out = mc_arg_out(call, 0);
    if (!out || out->count == 0) return MC_OK;
    bool gone[MC_MAX_DIMS], known;
    MC_TRY(find_axes(call, input, gone, &known, err));
    mc_arena mem = call->scratch;
    uint64_t *acc = MC_NEW_RAW(&mem, uint64_t, out->count);
    double *most = what == LOG_SUM_EXP ? MC_NEW_RAW(&mem, double, out->count) : NULL;
    if (!acc || (what == LOG_SUM_EXP && !most)) return mc_no_room(err, "sums");

    const mc_dtype wide = wide_dtype(x->dtype);
    const mode m = mode_of(what);
    size_t by = 1;
    for (int i = 0; i < x->ndim; i++) by *= gone[i] ? (size_t)x->dim[i] : 1;
    if (most) find_shifts(x, gone, wide, most, out->count);
    fill(acc, out->count, start_of(m, x->dtype, m == ADD_EXP ? MC_F64 : wide));
    reduce_all(m, x, gone, acc, most);
    finish(what, wide, acc, most, by, out);
    return MC_OK;
}

#define RUN(name, what)                                                   \
    static mc_status run_##name(const mc_call *call, mc_err *err)         \
    {                                                                     \
        return reduce(call, what, false, err);                            \
    }                                                                     \
    static mc_status run_##name##_input(const mc_call *call, mc_err *err) \
    {                                                                     \
        return reduce(call, what, true, err);                             \
    }
RUN(sum, SUM)
RUN(mean, MEAN)
RUN(max, MAX)
RUN(min, MIN)
RUN(prod, PROD)
RUN(l1, L1)
RUN(l2, L2)
RUN(log_sum, LOG_SUM)
RUN(log_sum_exp, LOG_SUM_EXP)
RUN(sum_square, SUM_SQUARE)

/* ---- ArgMax and ArgMin: the place of the first (or last) extreme; NaN is one ---- */

static mc_status shape_arg(const mc_call *call, mc_err *err)
{
    const mc_nd *x = call->in[0];
    MC_TRY(mc_num_need(call, 0, MC_NUM_ANY_NUMBER, err));
    const bool keep = mc_node_int(call->node, "keepdims", 1) != 0;
    const int64_t asked = mc_node_int(call->node, "axis", 0);
    if (x->ndim < 0) return mc_arg_set(call, 0, MC_I64, x->ndim, x->dim, err);
    int axis;
    if (!mc_nd_axis(x, asked, &axis))
        return mc_fail(err, MC_E_FORMAT, "axis %lld of a tensor of %d dimensions", (long long)asked,
                       x->ndim);
    if (x->dim[axis] == 0)
        return mc_fail(err, MC_E_FORMAT, "axis %d has no elements to choose from", axis);
    int64_t dim[MC_MAX_DIMS];
    int ndim = 0;
    for (int i = 0; i < x->ndim; i++) {
        if (i != axis || keep) dim[ndim++] = i == axis ? 1 : x->dim[i];
    }
    return mc_arg_set(call, 0, MC_I64, ndim, dim, err);
}

/* An element is better when it is beyond the best by `sign`; equal ones when the last is wanted. */
#define X(id, T, W, s)                                                                     \
    static size_t find_##s(const void *from, size_t n, size_t step, bool least, bool last) \
    {                                                                                      \
        const T *x = from;                                                                 \
        size_t best = 0;                                                                   \
        for (size_t i = 1; i < n; i++) {                                                   \
            const T v = x[i * step], b = x[best * step];                                   \
            const bool nan = v != v, had = b != b;                                         \
            const bool better = nan ? !had : !had && (least ? v < b : v > b);              \
            if (better || (last && (v == b || (nan && had)))) best = i;                    \
        }                                                                                  \
        return best;                                                                       \
    }
MC_NUM_ALL(X)
#undef X

typedef size_t (*find_loop)(const void *x, size_t n, size_t step, bool least, bool last);
static const find_loop finds[MC_DTYPE_COUNT] = {
#define X(id, T, W, s) [MC_##id] = find_##s,
    MC_NUM_ALL(X)
#undef X
};

static mc_status run_arg(const mc_call *call, bool least, mc_err *err)
{
    const mc_nd *x = call->in[0], *out = mc_arg_out(call, 0);
    const find_loop find = finds[mc_nd_storage(x->dtype)];
    int axis;
    if (!find) return mc_op_refuse_dtype(call, 0, err);
    if (!out || out->count == 0 || !mc_nd_axis(x, mc_node_int(call->node, "axis", 0), &axis))
        return MC_OK;
    const bool last = mc_node_int(call->node, "select_last_index", 0) != 0;
    const size_t outer = mc_nd_span(x, 0, axis), inner = mc_nd_span(x, axis + 1, x->ndim);
    const size_t n = (size_t)x->dim[axis], width = mc_nd_width(x->dtype);
    const unsigned char *from = x->data;
    int64_t *to = out->data;
    for (size_t o = 0; o < outer; o++) {
        for (size_t i = 0; i < inner; i++)
            *to++ = (int64_t)find(from + (o * n * inner + i) * width, n, inner, least, last);
    }
    return MC_OK;
}

static mc_status run_arg_max(const mc_call *call, mc_err *err)
{
    return run_arg(call, false, err);
}

static mc_status run_arg_min(const mc_call *call, mc_err *err)
{
    return run_arg(call, true, err);
}

/* ---- CumSum ---- */

static mc_status shape_cum_sum(const mc_call *call, mc_err *err)
{
    int64_t axis[1];
    size_t n;
    bool known;
    int place;
    MC_TRY(mc_num_need(call, 0, MC_NUM_ANY_NUMBER, err));
    MC_TRY(mc_num_need(call, 1, MC_NUM_INT, err));
    MC_TRY(mc_op_ints(call, 1, axis, 1, &n, &known, err));
    if (known && n != 1) return mc_fail(err, MC_E_FORMAT, "input 1 has no axis");
    if (known && call->in[0]->ndim >= 0 && !mc_nd_axis(call->in[0], axis[0], &place))
        return mc_fail(err, MC_E_FORMAT, "axis %lld of a tensor of %d dimensions",
                       (long long)axis[0], call->in[0]->ndim);
    return mc_op_same_shape(call, err);
}

/* `from` and `to` are the first element in the order of adding, `step` the way to the next. */
#define CUM(s, T, S)                                                                       \
    static void cum_##s(const void *from, void *to, size_t n, ptrdiff_t step, bool before) \
    {                                                                                      \
        const T *x = from;                                                                 \
        T *y = to;                                                                         \
        S sum = (S)0;                                                                      \
        for (size_t i = 0; i < n; i++) {                                                   \
            const ptrdiff_t at = (ptrdiff_t)i * step;                                      \
            const S v = (S)x[at], next = sum + v;                                          \
            y[at] = (T)(before ? sum : next);                                              \
            sum = next;                                                                    \
        }                                                                                  \
    }
#define X(id, T, W, s) CUM(s, T, double)
MC_NUM_FLOATS(X)
#undef X
#define X(id, T, W, s) CUM(s, T, W)
MC_NUM_INTS(X)
#undef X

typedef void (*cum_loop)(const void *x, void *y, size_t n, ptrdiff_t step, bool before);
static const cum_loop cums[MC_DTYPE_COUNT] = {
#define X(id, T, W, s) [MC_##id] = cum_##s,
    MC_NUM_ALL(X)
#undef X
};

static mc_status run_cum_sum(const mc_call *call, mc_err *err)
{
    const mc_nd *x = call->in[0], *out = mc_arg_out(call, 0);
    const cum_loop loop = cums[mc_nd_storage(x->dtype)];
    int axis;
    if (!loop) return mc_op_refuse_dtype(call, 0, err);
    if (!out || out->count == 0) return MC_OK;
    if (!mc_nd_axis(x, mc_nd_int(call->in[1], 0), &axis))
        return mc_fail(err, MC_E_FORMAT, "a scalar has no axis to add along");
    const bool before = mc_node_int(call->node, "exclusive", 0) != 0;
    const bool back = mc_node_int(call->node, "reverse", 0) != 0;
    const size_t outer = mc_nd_span(x, 0, axis), inner = mc_nd_span(x, axis + 1, x->ndim);
    const size_t n = (size_t)x->dim[axis], width = mc_nd_width(x->dtype);
    for (size_t o = 0; o < outer; o++) {
        for (size_t i = 0; i < inner; i++) {
            const size_t first = (o * n + (back ? n - 1 : 0)) * inner + i;
            loop((const unsigned char *)x->data + first * width,
                 (unsigned char *)out->data + first * width, n,
                 back ? -(ptrdiff_t)inner : (ptrdiff_t)inner, before);
        }
    }
    return MC_OK;
}

/* ---- the list ---- */

#define LINE(name_, since_, most_in_, shape_, run_)                                             \
    {                                                                                           \
        .domain = "", .name = (name_), .since = (since_), .least_in = 1, .most_in = (most_in_), \
        .most_out = 1, .shape = (shape_), .run = (run_), .scratch = scratch_reduce,             \
    }
/* Axes are an attribute up to a version and an input from then on. */
#define REDUCE(name, since_input, run) \
    LINE(name, 1, 1, shape_attr, run), LINE(name, since_input, 2, shape_input, run##_input)

const mc_op mc_ops_reduce[] = {
    {.domain = "",
     .name = "ArgMax",
     .since = 1,
     .least_in = 1,
     .most_in = 1,
     .most_out = 1,
     .shape = shape_arg,
     .run = run_arg_max},
    {.domain = "",
     .name = "ArgMin",
     .since = 1,
     .least_in = 1,
     .most_in = 1,
     .most_out = 1,
     .shape = shape_arg,
     .run = run_arg_min},
    {.domain = "",
     .name = "CumSum",
     .since = 11,
     .least_in = 2,
     .most_in = 2,
     .most_out = 1,
     .shape = shape_cum_sum,
     .run = run_cum_sum},
    REDUCE("ReduceL1", 18, run_l1),
    REDUCE("ReduceL2", 18, run_l2),
    REDUCE("ReduceLogSum", 18, run_log_sum),
    REDUCE("ReduceLogSumExp", 18, run_log_sum_exp),
    REDUCE("ReduceMax", 18, run_max),
    REDUCE("ReduceMean", 18, run_mean),
    REDUCE("ReduceMin", 18, run_min),
    REDUCE("ReduceProd", 18, run_prod),
    REDUCE("ReduceSum", 13, run_sum),
    REDUCE("ReduceSumSquare", 18, run_sum_square),
    {.name = NULL},
};
