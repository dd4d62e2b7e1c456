/* Softmax, LogSoftmax, Hardmax: along one axis from version 13 on; before, over all axes from
 * `axis` on as one row.
 *
 * exp(x - largest) / sum: nothing overflows. Sums are double. A row of -infinity gives NaN. */
#include "core/ops/op_args_shared.h"
#include "core/ops/op_math_shared.h"
#include "core/ops/op_number_shared.h"

#include <math.h>
#include <string.h>

/* Rows of n elements, `step` apart; one for each outer and each inner. */
typedef struct {
    size_t outer, n, inner;
} rows;

static int64_t axis_of(const mc_call *call)
{
    return mc_node_int(call->node, "axis", call->version < 13 ? 1 : -1);
}

/* Before 13 an axis behind the last is allowed: rows of one element. */
static bool find_axis(const mc_call *call, const mc_nd *x, int *axis)
{
    const int64_t asked = axis_of(call);
    *axis = x->ndim;
    return mc_nd_axis(x, asked, axis) || (call->version < 13 && asked == x->ndim) ||
           (x->ndim == 0 && (asked == 0 || asked == -1));
}

static mc_status shape_softmax(const mc_call *call, mc_err *err)
{
    const mc_nd *x = call->in[0];
    int axis;
    MC_TRY(mc_num_need(call, 0, MC_NUM_FLOAT, err));
    if (x->ndim >= 0 && !find_axis(call, x, &axis))
        return mc_fail(err, MC_E_FORMAT, "axis %lld of a tensor of %d dimensions",
                       (long long)axis_of(call), x->ndim);
    return mc_op_same_shape(call, err);
}

static rows rows_of(const mc_call *call, const mc_nd *x)
{
    int axis;
    find_axis(call, x, &axis);
    rows r = {.outer = mc_nd_span(x, 0, axis), .n = 1, .inner = 1};
    if (axis == x->ndim) return r;
    if (call->version < 13) {
        r.n = mc_nd_span(x, axis, x->ndim);
    } else {
        r.n = (size_t)x->dim[axis];
        r.inner = mc_nd_span(x, axis + 1, x->ndim);
    }
    return r;
}

/* ---- one row, its elements side by side; y may be x ---- */

static void softmax_f32(const void *from, void *to, size_t n)
{
    float *y = to;
    const double sum = mc_exp_sum_f32(from, y, n, mc_max_f32(from, n));
    const float scale = (float)(1.0 / sum);
    for (size_t i = 0; i < n; i++) y[i] *= scale;
}

static void log_softmax_f32(const void *from, void *to, size_t n)
{
    enum { PIECE = 256 };
    const float *x = from;
    float *y = to, scratch[PIECE];
    const float most = mc_max_f32(x, n);
    double sum = 0.0;
    for (size_t i = 0; i < n; i += PIECE)
        sum += mc_exp_sum_f32(x + i, scratch, n - i < PIECE ? n - i : PIECE, most);
    const float shift = (float)log(sum);
    for (size_t i = 0; i < n; i++) y[i] = (x[i] - most) - shift;
}

static double max_f64(const double *x, size_t n)
{
    double most = (double)-INFINITY;
    for (size_t i = 0; i < n; i++) most = x[i] > most || isnan(x[i]) ? x[i] : most;
    return most;
}

static void softmax_f64(const void *from, void *to, size_t n)
{
    const double *x = from;
    double *y = to, sum = 0.0;
    const double most = max_f64(x, n);
    for (size_t i = 0; i < n; i++) {
        y[i] = exp(x[i] - most);
        sum += y[i];
    }
    for (size_t i = 0; i < n; i++) y[i] /= sum;
}

static void log_softmax_f64(const void *from, void *to, size_t n)
{
    const double *x = from;
    double *y = to, sum = 0.0;
    const double most = max_f64(x, n);
    for (size_t i = 0; i < n; i++) sum += exp(x[i] - most);
    const double shift = log(sum);
    for (size_t i = 0; i < n; i++) y[i] = (x[i] - most) - shift;
}

#define HARDMAX(s, T)                                                    \
    static void hardmax_##s(const void *from, void *to, size_t n)        \
    {                                                                    \
        const T *x = from;                                               \
        T *y = to;                                                       \
        size_t best = 0;                                                 \
        for (size_t i = 1; i < n; i++) best = x[i] > x[best] ? i : best; \
        for (size_t i = 0; i < n; i++) y[i] = (T)0;                      \
        if (n > 0) y[best] = (T)1;                                       \
    }
HARDMAX(f32, float)
HARDMAX(f64, double)

/* ---- all rows ---- */

typedef void (*row_function)(const void *x, void *y, size_t n);

/* Elements of a row that lie `inner` apart are taken together, those of TILE rows at a time: so
 * memory is read in the order in which it lies. */
enum { TILE = 16 };

#define TURN(s, T)                                                                        \
    static void take_##s(const void *from, size_t inner, size_t n, size_t cols, void *to) \
    {                                                                                     \
        const T *x = from;                                                                \
        T *y = to;                                                                        \
        for (size_t i = 0; i < n; i++) {                                                  \
            for (size_t c = 0; c < cols; c++) y[c * n + i] = x[i * inner + c];            \
        }                                                                                 \
    }                                                                                     \
    static void put_##s(const void *from, size_t inner, size_t n, size_t cols, void *to)  \
    {                                                                                     \
        const T *x = from;                                                                \
        T *y = to;                                                                        \
        for (size_t i = 0; i < n; i++) {                                                  \
            for (size_t c = 0; c < cols; c++) y[i * inner + c] = x[c * n + i];            \
        }                                                                                 \
    }
TURN(f32, float)
TURN(f64, double)

/* Rows of one outer index, each `r.inner` apart, through `tile`. */
static void run_tiles(row_function f, const rows *r, size_t width, const unsigned char *from,
                      unsigned char *to, unsigned char *tile)
{
    const bool wide = width == sizeof(double);
    for (size_t first = 0; first < r->inner; first += TILE) {
        const size_t cols = r->inner - first < TILE ? r->inner - first : TILE;
        (wide ? take_f64 : take_f32)(from + first * width, r->inner, r->n, cols, tile);
        for (size_t c = 0; c < cols; c++) {
            unsigned char *row = tile + c * r->n * width;
            f(row, row, r->n);
        }
        (wide ? put_f64 : put_f32)(tile, r->inner, r->n, cols, to + first * width);
    }
}

static size_t scratch_softmax(const mc_call *call)
{
    const mc_nd *x = call->in[0];
    const rows r = rows_of(call, x);
    return r.inner > 1 ? mc_arg_bytes(r.n, TILE * mc_nd_width(x->dtype)) : 0;
}

static mc_status run_rows(const mc_call *call, row_function f32, row_function f64, mc_err *err)
{
    const mc_nd *x = call->in[0], *out = mc_arg_out(call, 0);
    if (!out || out->count == 0) return MC_OK;
    const size_t width = mc_nd_width(x->dtype);
    const row_function f = width == sizeof(double) ? f64 : f32;
    const rows r = rows_of(call, x);
    mc_arena mem = call->scratch;
    unsigned char *tile = r.inner > 1 ? mc_alloc_raw(&mem, r.n, TILE * width) : NULL;
    if (r.inner > 1 && !tile) return mc_no_room(err, "rows");
    for (size_t o = 0; o < r.outer; o++) {
        const unsigned char *from = (const unsigned char *)x->data + o * r.n * r.inner * width;
        unsigned char *to = (unsigned char *)out->data + o * r.n * r.inner * width;
        if (tile)
            run_tiles(f, &r, width, from, to, tile);
        else
            f(from, to, r.n);
    }
    return MC_OK;
}

#define RUN(name)                                                 \
    static mc_status run_##name(const mc_call *call, mc_err *err) \
    {                                                             \
        return run_rows(call, name##_f32, name##_f64, err);       \
    }
RUN(softmax)
RUN(log_softmax)
RUN(hardmax)

/* ---- the list: versions before 13 read call->version ---- */

#define LINE(name_, run_)                                                                      \
    {                                                                                          \
        .domain = "", .name = (name_), .since = 1, .least_in = 1, .most_in = 1, .most_out = 1, \
        .flags = MC_OP_IN_PLACE, .shape = shape_softmax, .run = (run_),                        \
        .scratch = scratch_softmax,                                                            \
    }

const mc_op mc_ops_softmax[] = {
    LINE("Hardmax", run_hardmax),
    LINE("LogSoftmax", run_log_softmax),
    LINE("Softmax", run_softmax),
    {.name = NULL},
};
