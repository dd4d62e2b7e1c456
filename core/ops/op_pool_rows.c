/* A row of outputs is made tap by tap: a tap's part of the input row is added to (or compared with)
 * the whole row of results at once, which compilers turn into vectors. Sums are of doubles. A NaN
 * in a window is its maximum. */
#include "core/ops/op_pool_rows.h"

#include "core/ops/op_args_shared.h"
#include "core/ops/op_window_shared.h"

#include <math.h>
#include <string.h>

/* The columns of a row. */
typedef struct {
    int64_t stride, dilation, pad, in;
    int64_t first, end; /* taps that read some input */
    size_t out;
    double p;
} row;

typedef void (*row_fn)(const row *r, const void *from, void *to);

enum { FEW = 4 }; /* outputs of a row that are better made one by one */

/* to[j] = STEP(to[j], x) for each tap's x, in the order of the taps. */
#define ROW(name, type, result, STEP)                                                       \
    static void name(const row *r, const void *from, void *to)                              \
    {                                                                                       \
        const type *x = from;                                                               \
        result *sum = to;                                                                   \
        const double p = r->p;                                                              \
        (void)p;                                                                            \
        for (size_t j = 0; r->out < FEW && j < r->out; j++) {                               \
            const int64_t at = (int64_t)j * r->stride - r->pad;                             \
            int64_t k, end;                                                                 \
            mc_window_taps(at, r->dilation, r->end, 0, r->in, &k, &end);                    \
            for (; k < end; k++) sum[j] = STEP(sum[j], x[at + k * r->dilation]);            \
        }                                                                                   \
        for (int64_t k = r->first; r->out >= FEW && k < r->end; k++) {                      \
            const int64_t at = k * r->dilation - r->pad;                                    \
            size_t j, end;                                                                  \
            mc_window_inside(at, r->stride, r->in, r->out, &j, &end);                       \
            if (r->stride == 1)                                                             \
                for (; j < end; j++) sum[j] = STEP(sum[j], x[at + (int64_t)j]);             \
            else                                                                            \
                for (; j < end; j++) sum[j] = STEP(sum[j], x[at + (int64_t)j * r->stride]); \
        }                                                                                   \
    }

#define LARGER(a, b)      ((a) >= (b) || (a) != (a) ? (a) : (b))
#define PLUS(a, b)        ((a) + (double)(b))
#define PLUS_ABS(a, b)    ((a) + fabs((double)(b)))
#define PLUS_SQUARE(a, b) ((a) + (double)(b) * (double)(b))
#define PLUS_POWER(a, b)  ((a) + pow(fabs((double)(b)), p))

ROW(max_f32, float, float, LARGER)
ROW(max_f64, double, double, LARGER)
ROW(max_i8, int8_t, int8_t, LARGER)
ROW(max_u8, uint8_t, uint8_t, LARGER)
ROW(sum_f32, float, double, PLUS)
ROW(sum_f64, double, double, PLUS)
ROW(abs_f32, float, double, PLUS_ABS)
ROW(abs_f64, double, double, PLUS_ABS)
ROW(square_f32, float, double, PLUS_SQUARE)
ROW(square_f64, double, double, PLUS_SQUARE)
ROW(power_f32, float, double, PLUS_POWER)
ROW(power_f64, double, double, PLUS_POWER)

static row_fn row_for(const mc_pooling *pool, mc_dtype dtype)
{
    const bool wide = dtype == MC_F64;
    if (pool->kind == MC_POOL_MAX)
        return dtype == MC_I8 ? max_i8 : dtype == MC_U8 ? max_u8 : wide ? max_f64 : max_f32;
    if (pool->kind == MC_POOL_MEAN) return wide ? sum_f64 : sum_f32;
    if (pool->p == 1.0) return wide ? abs_f64 : abs_f32;
    if (pool->p == 2.0) return wide ? square_f64 : square_f32;
    return wide ? power_f64 : power_f32;
}

/* ---- rows of results ---- */

static void fill_lowest(mc_dtype dtype, void *to, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (dtype == MC_F64)
            ((double *)to)[i] = -(double)INFINITY;
        else if (dtype == MC_F32)
            ((float *)to)[i] = -INFINITY;
        else
            ((unsigned char *)to)[i] = dtype == MC_I8 ? 0x80 : 0;
    }
}

static void put(mc_dtype dtype, void *to, size_t i, double value)
{
    if (dtype == MC_F64)
        ((double *)to)[i] = value;
    else
        ((float *)to)[i] = (float)value;
}

/* What sums become; `count` per output: a window of nothing has mean 0. */
static void finish(const mc_pooling *pool, const double *sum, double rows, const double *count,
                   mc_dtype dtype, void *to)
{
    for (size_t j = 0; j < (size_t)pool->window.out[2]; j++) {
        const double n = rows * count[j];
        if (pool->kind == MC_POOL_MEAN)
            put(dtype, to, j, n > 0.0 ? sum[j] / n : 0.0);
        else
            put(dtype, to, j, pool->p == 2.0 ? sqrt(sum[j]) : pow(sum[j], 1.0 / pool->p));
    }
}

/* Taps of an axis that output `out` counts in its mean. */
static double counted(const mc_pooling *pool, int axis, int64_t out)
{
    const mc_window *w = &pool->window;
    const int64_t before = pool->count_pads ? w->pad_begin[axis] : 0;
    const int64_t behind = pool->count_pads ? w->pad_end[axis] : 0;
    int64_t from, to;
    mc_window_taps(out * w->stride[axis] - w->pad_begin[axis], w->dilation[axis], w->kernel[axis],
                   -before, w->in[axis] + behind, &from, &to);
    return (double)(to - from);
}

/* ---- planes ---- */

typedef struct {
    const mc_pooling *pool;
    row columns;
    row_fn add;
    mc_dtype dtype;
    size_t width;
    double *sum, *count; /* of a row; of maxima neither */
} pass;

static void one_row(const pass *s, const unsigned char *x, int64_t z, int64_t y, void *to)
{
    const mc_window *w = &s->pool->window;
    const bool max = s->pool->kind == MC_POOL_MAX;
    const int64_t top = z * w->stride[0] - w->pad_begin[0];
    const int64_t left = y * w->stride[1] - w->pad_begin[1];
    int64_t k0, end0, first1, end1;
    mc_window_taps(top, w->dilation[0], w->kernel[0], 0, w->in[0], &k0, &end0);
    mc_window_taps(left, w->dilation[1], w->kernel[1], 0, w->in[1], &first1, &end1);
    if (max)
        fill_lowest(s->dtype, to, s->columns.out);
    else
        for (size_t j = 0; j < s->columns.out; j++) s->sum[j] = 0.0;
    for (; k0 < end0; k0++)
        for (int64_t k1 = first1; k1 < end1; k1++) {
            const int64_t at = (top + k0 * w->dilation[0]) * w->in[1] + left + k1 * w->dilation[1];
            s->add(&s->columns, x + (size_t)(at * w->in[2]) * s->width, max ? to : s->sum);
        }
    if (!max)
        finish(s->pool, s->sum, counted(s->pool, 0, z) * counted(s->pool, 1, y), s->count, s->dtype,
               to);
}

/* The place of the maximum that `y` holds. */
typedef struct {
    const mc_pooling *pool;
    const mc_nd *x;
    size_t plane;
} search;

static int64_t place(const search *s, const int64_t at[3])
{
    const int64_t *in = s->pool->window.in;
    const int64_t base = (int64_t)(s->plane * mc_window_volume(in));
    return s->pool->columns_first ? base + at[0] + in[0] * (at[1] + in[1] * at[2])
                                  : base + (at[0] * in[1] + at[1]) * in[2] + at[2];
}

static int64_t find_max(const search *s, const int64_t out[3])
{
    const mc_window *w = &s->pool->window;
    const size_t base = s->plane * mc_window_volume(w->in);
    int64_t start[3], from[3], to[3], at[3], best = -1;
    double most = 0.0;
    for (int i = 0; i < 3; i++) {
        start[i] = out[i] * w->stride[i] - w->pad_begin[i];
        mc_window_taps(start[i], w->dilation[i], w->kernel[i], 0, w->in[i], &from[i], &to[i]);
    }
    for (int64_t a = from[0]; a < to[0]; a++)
        for (int64_t b = from[1]; b < to[1]; b++)
            for (int64_t c = from[2]; c < to[2]; c++) {
                at[0] = start[0] + a * w->dilation[0];
                at[1] = start[1] + b * w->dilation[1];
                at[2] = start[2] + c * w->dilation[2];
                const size_t i = base + (size_t)((at[0] * w->in[1] + at[1]) * w->in[2] + at[2]);
                const double x = mc_nd_real(s->x, i);
                if (best >= 0 && (most >= x || isnan(most))) continue;
                most = x;
                best = place(s, at);
            }
    return best;
}

static void find_all(const mc_pooling *pool, const mc_nd *x, int64_t *index)
{
    const int64_t *n = pool->window.out;
    int64_t at[3];
    for (size_t plane = 0; plane < pool->planes; plane++) {
        const search s = {.pool = pool, .x = x, .plane = plane};
        for (at[0] = 0; at[0] < n[0]; at[0]++)
            for (at[1] = 0; at[1] < n[1]; at[1]++)
                for (at[2] = 0; at[2] < n[2]; at[2]++) *index++ = find_max(&s, at);
    }
}

size_t mc_pool_scratch(const mc_pooling *pool)
{
    if (pool->kind == MC_POOL_MAX || pool->window.out[2] < 0) return 0;
    const size_t one = mc_arg_bytes((size_t)pool->window.out[2], sizeof(double));
    return mc_arg_plus(one, one);
}

static row columns_of(const mc_pooling *pool)
{
    const mc_window *w = &pool->window;
    row r = {.stride = w->stride[2],
             .dilation = w->dilation[2],
             .pad = w->pad_begin[2],
             .in = w->in[2],
             .out = (size_t)w->out[2],
             .p = pool->p};
    /* some output reads an input at -pad + k * dilation + j * stride */
    mc_window_taps(-r.pad, r.dilation, w->kernel[2], -(w->out[2] - 1) * r.stride, r.in, &r.first,
                   &r.end);
    return r;
}

mc_status mc_pool_run(const mc_pooling *pool, const mc_nd *x, mc_nd *y, mc_nd *index,
                      mc_arena scratch, mc_err *err)
{
    const mc_window *w = &pool->window;
    if (pool->planes * mc_window_volume(w->out) == 0) return MC_OK;
    const mc_dtype dtype = mc_nd_storage(x->dtype);
    pass s = {.pool = pool, .columns = columns_of(pool), .add = row_for(pool, dtype)};
    s.dtype = dtype;
    s.width = mc_nd_width(dtype);
    if (pool->kind != MC_POOL_MAX) {
        s.sum = MC_NEW_RAW(&scratch, double, s.columns.out);
        s.count = MC_NEW_RAW(&scratch, double, s.columns.out);
        if (!s.sum || !s.count) return mc_no_room(err, "a row of sums");
        for (size_t j = 0; j < s.columns.out; j++) s.count[j] = counted(pool, 2, (int64_t)j);
    }
    const unsigned char *from = x->data;
    unsigned char *to = y->data;
    for (size_t plane = 0; plane < pool->planes; plane++) {
        for (int64_t z = 0; z < w->out[0]; z++)
            for (int64_t r = 0; r < w->out[1]; r++, to += s.columns.out * s.width)
                one_row(&s, from, z, r, to);
        from += mc_window_volume(w->in) * s.width;
    }
    if (index) find_all(pool, x, index->data);
    return MC_OK;
}

/* ---- whole planes ---- */

enum { CHAINS = 8 }; /* of additions, so that none waits for the one before */

#define WHOLE(name, type)                                                        \
    static double name(const mc_pooling *pool, const type *x, size_t n)          \
    {                                                                            \
        double sum[CHAINS] = {0}, most = -(double)INFINITY;                      \
        const double p = pool->p;                                                \
        for (size_t i = 0; i < n; i++) {                                         \
            const double v = (double)x[i];                                       \
            double *to = &sum[i % CHAINS];                                       \
            if (pool->kind == MC_POOL_MAX)                                       \
                most = LARGER(most, v);                                          \
            else if (pool->kind == MC_POOL_MEAN)                                 \
                *to = PLUS(*to, v);                                              \
            else                                                                 \
                *to = p == 2.0 ? PLUS_SQUARE(*to, v) : PLUS_POWER(*to, v);       \
        }                                                                        \
        for (size_t i = 1; i < CHAINS; i++) sum[0] += sum[i];                    \
        if (pool->kind == MC_POOL_MAX) return most;                              \
        if (pool->kind == MC_POOL_MEAN) return n > 0 ? sum[0] / (double)n : 0.0; \
        return p == 2.0 ? sqrt(sum[0]) : pow(sum[0], 1.0 / p);                   \
    }
WHOLE(whole_f32, float)
WHOLE(whole_f64, double)

void mc_pool_whole(const mc_pooling *pool, const mc_nd *x, size_t n, mc_nd *y)
{
    const mc_dtype dtype = mc_nd_storage(x->dtype);
    for (size_t i = 0; i < pool->planes; i++)
        put(dtype, y->data, i,
            dtype == MC_F64 ? whole_f64(pool, (const double *)x->data + i * n, n)
                            : whole_f32(pool, (const float *)x->data + i * n, n));
}
