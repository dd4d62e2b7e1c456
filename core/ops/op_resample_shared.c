/* Interpolation in N dimensions, one axis after the other: for each element of the output along an
 * axis there is a short list of input elements and weights (taps), computed once. Weighted modes
 * pass over the block of axes that move, innermost first, in double; the nearest mode only copies.
 *
 * Cubic: R. Keys, "Cubic convolution interpolation for digital image processing", 1981, equation 4
 * with a free parameter a. Antialias: the same kernels, stretched by 1 / scale where that is above
 * 1 and made to sum to 1. */
#include "core/ops/op_resample_shared.h"

#include "core/ops/op_args_shared.h"
#include "core/ops/op_number_shared.h"

#include <math.h>
#include <string.h>

/* For each element of the output `n` elements of the input. index[i * n] is -1 where the output is
 * outside of the input and gets the extrapolation value. */
typedef struct {
    int64_t n;
    int64_t *index;
    double *weight;
} taps;

/* ---- where ---- */

/* `length`: of the output before it was cut to a whole number. */
static double source_of(const mc_resample *r, const mc_resample_axis *a, int64_t i)
{
    const double x = (double)i, in = (double)a->in, length = a->scale * in;
    switch (r->at) {
    case MC_AT_HALF_PIXEL: break;
    case MC_AT_HALF_PIXEL_SYMMETRIC:
        return in / 2 * (1 - (double)a->out / length) + (x + 0.5) / a->scale - 0.5;
    case MC_AT_PYTORCH_HALF_PIXEL:
        if (a->out == 1) return 0.0;
        break;
    case MC_AT_ALIGN_CORNERS: return a->out == 1 ? 0.0 : x * (in - 1) / (length - 1);
    case MC_AT_ASYMMETRIC: return x / a->scale;
    case MC_AT_TF_HALF_PIXEL_FOR_NN: return (x + 0.5) / a->scale;
    case MC_AT_TF_CROP_AND_RESIZE:
        if (a->out == 1) return 0.5 * (a->start + a->end) * (in - 1);
        return a->start * (in - 1) + x * (a->end - a->start) * (in - 1) / ((double)a->out - 1);
    }
    return (x + 0.5) / a->scale - 0.5;
}

static int64_t clamp_index(int64_t i, int64_t n)
{
    return i < 0 ? 0 : i >= n ? n - 1 : i;
}

static int64_t nearest_of(const mc_resample *r, const mc_resample_axis *a, double x)
{
    double i = floor(x);
    switch (r->near) {
    case MC_NEAR_ROUND_PREFER_FLOOR: i = ceil(x - 0.5); break;
    case MC_NEAR_ROUND_PREFER_CEIL: i = floor(x + 0.5); break;
    case MC_NEAR_FLOOR: break;
    case MC_NEAR_CEIL: i = ceil(x); break;
    case MC_NEAR_UPSAMPLE:
        if (a->scale < 1.0) i = ceil(x);
        break;
    }
    return clamp_index((int64_t)i, a->in);
}

/* ---- weights ---- */

static double linear_kernel(double x)
{
    x = fabs(x);
    return x < 1.0 ? 1.0 - x : 0.0;
}

static double cubic_kernel(double x, double a)
{
    x = fabs(x);
    if (x <= 1.0) return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2.0 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0.0;
}

/* How much the kernel is stretched: its arguments are multiplied by this. */
static double shrink_of(const mc_resample *r, const mc_resample_axis *a)
{
    return r->antialias && a->scale < 1.0 ? a->scale : 1.0;
}

/* Taps on each side. */
static double reach_of(const mc_resample *r, const mc_resample_axis *a)
{
    const double support = r->mode == MC_RESAMPLE_CUBIC ? 2.0 : 1.0;
    return -floor(-support / shrink_of(r, a));
}

/* What sizes make of a scale bounds the taps; only a region far larger than the input breaks it. */
static int64_t most_taps(const mc_resample *r, const mc_resample_axis *a)
{
    if (r->mode == MC_RESAMPLE_NEAREST) return 1;
    if (!r->antialias) return r->mode == MC_RESAMPLE_CUBIC ? 4 : 2;
    return 8 * (a->in / (a->out > 0 ? a->out : 1) + 2);
}

static void weigh(const mc_resample *r, const mc_resample_axis *a, double x, int64_t n,
                  int64_t *index, double *weight)
{
    const double shrink = shrink_of(r, a);
    const int64_t first = (int64_t)ceil(x) - n / 2;
    double sum = 0.0;
    for (int64_t k = 0; k < n; k++) {
        const int64_t i = first + k;
        const double off = ((double)i - x) * shrink;
        weight[k] =
            r->mode == MC_RESAMPLE_CUBIC ? cubic_kernel(off, r->cubic_a) : linear_kernel(off);
        index[k] = clamp_index(i, a->in);
        if (r->exclude_outside && i != index[k]) weight[k] = 0.0;
        sum += weight[k];
    }
    if (!r->exclude_outside && !r->antialias) return;
    for (int64_t k = 0; k < n; k++) weight[k] /= sum;
}

static mc_status make_taps(const mc_resample *r, const mc_resample_axis *a, mc_arena *mem, taps *t,
                           mc_err *err)
{
    const int64_t most = most_taps(r, a);
    const double wanted = r->mode == MC_RESAMPLE_NEAREST ? 1.0 : 2.0 * reach_of(r, a);
    if (!(wanted <= (double)most))
        return mc_fail(err, MC_E_FORMAT,
                       "scale %g is too small for a filter from %lld to %lld elements", a->scale,
                       (long long)a->in, (long long)a->out);
    t->n = (int64_t)wanted;
    const size_t count = (size_t)a->out * (size_t)t->n;
    t->index = MC_NEW_RAW(mem, int64_t, count);
    t->weight = MC_NEW_RAW(mem, double, count);
    if (!t->index || !t->weight) return mc_no_room(err, "resampling weights");
    for (int64_t i = 0; i < a->out; i++) {
        double x = source_of(r, a, i);
        int64_t *index = t->index + i * t->n;
        double *weight = t->weight + i * t->n;
        if (r->at == MC_AT_TF_CROP_AND_RESIZE && !(x >= 0 && x <= (double)(a->in - 1))) {
            index[0] = -1;
            continue;
        }
        x = fmax(-1.0 - (double)a->in, fmin(x, 2.0 * (double)a->in));
        if (r->mode == MC_RESAMPLE_NEAREST)
            index[0] = nearest_of(r, a, x);
        else
            weigh(r, a, x, t->n, index, weight);
    }
    return MC_OK;
}

/* ---- the block of axes that move ---- */

typedef struct {
    int first, end; /* axes [first, end) */
    size_t outer, inner;
} block;

static block find_block(const mc_resample *r)
{
    block b = {.first = r->ndim, .outer = 1, .inner = 1};
    for (int i = 0; i < r->ndim; i++) {
        if (!r->axis[i].moves) continue;
        if (b.first == r->ndim) b.first = i;
        b.end = i + 1;
    }
    for (int i = 0; i < b.first; i++) b.outer *= (size_t)r->axis[i].in;
    for (int i = b.end; i < r->ndim; i++) b.inner *= (size_t)r->axis[i].in;
    return b;
}

/* Elements of the largest stage of a block between its input and its output. */
static size_t largest_stage(const mc_resample *r, const block *b)
{
    size_t n = b->inner;
    for (int i = b->first; i < b->end; i++) {
        const int64_t in = r->axis[i].in, out = r->axis[i].out;
        if (__builtin_mul_overflow(n, (size_t)(in > out ? in : out), &n)) return SIZE_MAX;
    }
    return n;
}

size_t mc_resample_scratch(const mc_resample *r)
{
    size_t bytes = 0;
    for (int i = 0; i < r->ndim; i++) {
        size_t count;
        if (__builtin_mul_overflow((size_t)r->axis[i].out, (size_t)most_taps(r, &r->axis[i]),
                                   &count))
            return SIZE_MAX;
        bytes = mc_arg_plus(bytes, mc_arg_bytes(count, sizeof(int64_t)));
        bytes = mc_arg_plus(bytes, mc_arg_bytes(count, sizeof(double)));
    }
    if (r->mode == MC_RESAMPLE_NEAREST) return bytes;
    const block b = find_block(r);
    const size_t stage = mc_arg_bytes(largest_stage(r, &b), sizeof(double));
    return mc_arg_plus(bytes, mc_arg_plus(stage, stage));
}

/* ---- weighted modes ---- */

/* One axis: from[before x in x behind] to to[before x out x behind]. */
static void pass(const taps *t, const mc_resample_axis *a, size_t before, size_t behind,
                 const double *from, double *to, double outside)
{
    for (size_t b = 0; b < before; b++, from += (size_t)a->in * behind) {
        for (int64_t i = 0; i < a->out; i++, to += behind) {
            const int64_t *index = t->index + i * t->n;
            const double *weight = t->weight + i * t->n;
            const bool inside = index[0] >= 0;
            for (size_t j = 0; j < behind; j++) to[j] = inside ? 0.0 : outside;
            for (int64_t k = 0; inside && k < t->n; k++) {
                const double *row = from + (size_t)index[k] * behind, w = weight[k];
                for (size_t j = 0; j < behind; j++) to[j] += w * row[j];
            }
        }
    }
}

/* Rounds to what a whole number can hold; NaN, which none is, becomes 0. */
static void saturate(mc_dtype dtype, double *x, size_t n)
{
    const mc_dtype_info *about = mc_dtype_about(dtype);
    if (about->is_float) return;
    const mc_dtype lies = mc_nd_storage(dtype);
    const bool is_signed = lies == MC_I8 || lies == MC_I16 || lies == MC_I32 || lies == MC_I64;
    const double most = ldexp(1.0, (int)about->bits - is_signed), least = is_signed ? -most : 0.0;
    for (size_t i = 0; i < n; i++)
        x[i] = isnan(x[i]) ? 0.0 : fmax(least, fmin(rint(x[i]), most - 1.0));
}

static mc_status run_weighted(const mc_resample *r, const mc_nd *in, mc_nd *out, const taps *t,
                              mc_arena scratch, mc_err *err)
{
    const block b = find_block(r);
    const size_t stage = largest_stage(r, &b);
    double *now = MC_NEW_RAW(&scratch, double, stage), *next = MC_NEW_RAW(&scratch, double, stage);
    if (!now || !next) return mc_no_room(err, "resampling");
    size_t in_block = b.inner, out_block = b.inner;
    for (int i = b.first; i < b.end; i++) {
        in_block *= (size_t)r->axis[i].in;
        out_block *= (size_t)r->axis[i].out;
    }
    const size_t width = mc_nd_width(in->dtype);
    const mc_dtype lies = mc_nd_storage(in->dtype);
    for (size_t o = 0; o < b.outer; o++) {
        mc_num_convert(lies, (const unsigned char *)in->data + o * in_block * width, MC_F64, now,
                       in_block);
        size_t behind = b.inner;
        for (int i = b.end - 1; i >= b.first; i--) {
            size_t before = 1;
            for (int k = b.first; k < i; k++) before *= (size_t)r->axis[k].in;
            if (r->axis[i].moves) {
                pass(&t[i], &r->axis[i], before, behind, now, next, r->extrapolation);
                double *const done = next;
                next = now;
                now = done;
            }
            behind *= (size_t)r->axis[i].out;
        }
        saturate(out->dtype, now, out_block);
        mc_num_convert(MC_F64, now, lies, (unsigned char *)out->data + o * out_block * width,
                       out_block);
    }
    return MC_OK;
}

/* ---- nearest ---- */

/* An element that nothing was found for, as it lies in memory. */
static void outside_value(mc_dtype dtype, double value, unsigned char *to)
{
    if (dtype == MC_STRING) {
        const mc_nd_text none = {.at = ""};
        memcpy(to, &none, sizeof none);
        return;
    }
    if (dtype == MC_BOOL) value = value != 0.0;
    saturate(dtype, &value, 1);
    mc_num_convert(MC_F64, &value, mc_nd_storage(dtype), to, 1);
}

/* Along the last axis that moves: `out` runs of `bytes` each. */
static void near_row(const taps *t, int64_t out, size_t bytes, size_t width,
                     const unsigned char *from, unsigned char *to, const unsigned char *outside)
{
    if (bytes == 4) { /* single f32, what images are made of */
        for (int64_t i = 0; i < out; i++)
            memcpy(to + 4 * i, t->index[i] < 0 ? outside : from + 4 * t->index[i], 4);
        return;
    }
    for (int64_t i = 0; i < out; i++, to += bytes) {
        if (t->index[i] >= 0) {
            memcpy(to, from + (size_t)t->index[i] * bytes, bytes);
            continue;
        }
        for (size_t k = 0; k < bytes; k += width) memcpy(to + k, outside, width);
    }
}

/* Rows of the output in order, each from one row of the input; a row like the one before it is
 * copied from there. */
static void run_nearest(const mc_resample *r, const mc_nd *in, mc_nd *out, const taps *t)
{
    const block b = find_block(r);
    const int last = b.end - 1;
    const size_t width = mc_nd_width(in->dtype), bytes = b.inner * width;
    const size_t row = (size_t)r->axis[last].out * bytes, in_row = (size_t)r->axis[last].in * bytes;
    unsigned char outside[sizeof(mc_nd_text) + sizeof(double)] = {0};
    outside_value(in->dtype, r->extrapolation, outside);

    int64_t at[MC_MAX_DIMS] = {0};
    unsigned char *to = out->data;
    int64_t before = -2;
    for (size_t rows = out->count * width / row; rows > 0; rows--, to += row) {
        int64_t source = 0;
        for (int i = 0; i < last && source >= 0; i++) {
            const int64_t index = r->axis[i].moves ? t[i].index[at[i]] : at[i];
            source = index < 0 ? -1 : source * r->axis[i].in + index;
        }
        if (source == before) {
            memcpy(to, to - row, row);
        } else if (source < 0) {
            for (size_t k = 0; k < row; k += width) memcpy(to + k, outside, width);
        } else {
            near_row(&t[last], r->axis[last].out, bytes, width,
                     (const unsigned char *)in->data + (size_t)source * in_row, to, outside);
        }
        before = source;
        for (int i = last - 1; i >= 0 && ++at[i] == r->axis[i].out; i--) at[i] = 0;
    }
}

mc_status mc_resample_run(const mc_resample *r, const mc_nd *in, mc_nd *out, mc_arena scratch,
                          mc_err *err)
{
    if (out->count == 0) return MC_OK;
    taps t[MC_MAX_DIMS] = {{0}};
    bool moves = false;
    for (int i = 0; i < r->ndim; i++) {
        if (!r->axis[i].moves) continue;
        moves = true;
        MC_TRY(make_taps(r, &r->axis[i], &scratch, &t[i], err));
    }
    if (!moves)
        memcpy(out->data, in->data, out->count * mc_nd_width(in->dtype));
    else if (r->mode == MC_RESAMPLE_NEAREST)
        run_nearest(r, in, out, t);
    else
        return run_weighted(r, in, out, t, scratch, err);
    return MC_OK;
}
