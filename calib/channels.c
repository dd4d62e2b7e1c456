/* Per-channel ranges and sums. Plain f64 sums rather than running means: two halves are merged by
 * adding them, and what that rounds is bounded by the sums themselves. */
#include "calib/channels.h"

#include "core/kernels.h"

#include <math.h>

static const char *not_finite_name(float x)
{
    return isnan(x) ? "nan" : x < 0.0f ? "-inf" : "inf";
}

size_t mc_channels_bytes(size_t n)
{
    enum { PADDING = 5 * 256 };
    return n * (2 * sizeof(float) + 3 * sizeof(double)) + PADDING;
}

mc_status mc_channels_alloc(mc_arena *mem, size_t n, mc_channels *out, mc_err *err)
{
    *out = (mc_channels){
        .n = n,
        .least = MC_NEW(mem, float, n),
        .most = MC_NEW(mem, float, n),
        .sum = MC_NEW(mem, double, n),
        .abs = MC_NEW(mem, double, n),
        .square = MC_NEW(mem, double, n),
    };
    if (out->least && out->most && out->sum && out->abs && out->square) return MC_OK;
    return mc_no_room(err, "the statistics of channels");
}

/* ---- adding ---- */

static void start(mc_channels *c, const float *first, size_t stride)
{
    for (size_t i = 0; i < c->n; i++) c->least[i] = c->most[i] = first[i * stride] + 0.0f;
}

/* One token: a value of each channel. -0 counts as 0, so that the order of the two cannot show. */
static void add_row(mc_channels *c, const float *x)
{
    for (size_t i = 0; i < c->n; i++) {
        const float value = x[i] + 0.0f;
        const double wide = (double)value;
        c->least[i] = value < c->least[i] ? value : c->least[i];
        c->most[i] = value > c->most[i] ? value : c->most[i];
        c->sum[i] += wide;
        c->abs[i] += fabs(wide);
        c->square[i] += wide * wide;
    }
}

/* `count` values of channel i. */
static void add_plane(mc_channels *c, size_t i, const float *x, size_t count)
{
    float least = c->least[i], most = c->most[i];
    double sum = c->sum[i], magnitude = c->abs[i], square = c->square[i];
    for (size_t k = 0; k < count; k++) {
        const float value = x[k] + 0.0f;
        const double wide = (double)value;
        least = value < least ? value : least;
        most = value > most ? value : most;
        sum += wide;
        magnitude += fabs(wide);
        square += wide * wide;
    }
    c->least[i] = least;
    c->most[i] = most;
    c->sum[i] = sum;
    c->abs[i] = magnitude;
    c->square[i] = square;
}

mc_status mc_channels_add(mc_channels *c, const float *x, size_t outer, size_t inner, mc_err *err)
{
    const size_t count = outer * c->n * inner;
    if (count == 0) return MC_OK;
    const size_t bad = mc_first_not_finite(x, count);
    if (bad < count)
        return mc_fail(err, MC_E_FORMAT, "row %zu, channel %zu is %s", bad / inner / c->n,
                       bad / inner % c->n, not_finite_name(x[bad]));

    if (c->rows == 0) start(c, x, inner);
    for (size_t o = 0; o < outer; o++) {
        const float *row = x + o * c->n * inner;
        if (inner == 1) {
            add_row(c, row);
            continue;
        }
        for (size_t i = 0; i < c->n; i++) add_plane(c, i, row + i * inner, inner);
    }
    c->rows += (uint64_t)outer * inner;
    return MC_OK;
}

mc_status mc_channels_merge(mc_channels *c, const mc_channels *from, mc_err *err)
{
    if (c->n != from->n)
        return mc_fail(err, MC_E_INTERNAL, "statistics of %zu channels cannot join those of %zu",
                       from->n, c->n);
    if (from->rows == 0) return MC_OK;
    const bool first = c->rows == 0;
    for (size_t i = 0; i < c->n; i++) {
        c->least[i] = first || from->least[i] < c->least[i] ? from->least[i] : c->least[i];
        c->most[i] = first || from->most[i] > c->most[i] ? from->most[i] : c->most[i];
        c->sum[i] += from->sum[i];
        c->abs[i] += from->abs[i];
        c->square[i] += from->square[i];
    }
    c->rows += from->rows;
    return MC_OK;
}

/* ---- what follows ---- */

void mc_channels_absmax(const mc_channels *c, float *out)
{
    for (size_t i = 0; i < c->n; i++) out[i] = fmaxf(fabsf(c->least[i]), fabsf(c->most[i]));
}

static void divide(const mc_channels *c, const double *sums, double *out)
{
    const double rows = c->rows > 0 ? (double)c->rows : 1.0;
    for (size_t i = 0; i < c->n; i++) out[i] = sums[i] / rows;
}

void mc_channels_mean(const mc_channels *c, double *out)
{
    divide(c, c->sum, out);
}

void mc_channels_mean_abs(const mc_channels *c, double *out)
{
    divide(c, c->abs, out);
}

void mc_channels_mean_square(const mc_channels *c, double *out)
{
    divide(c, c->square, out);
}

void mc_channels_variance(const mc_channels *c, double *out)
{
    divide(c, c->square, out);
    const double rows = c->rows > 0 ? (double)c->rows : 1.0;
    for (size_t i = 0; i < c->n; i++) {
        const double mean = c->sum[i] / rows;
        out[i] = fmax(out[i] - mean * mean, 0.0);
    }
}
