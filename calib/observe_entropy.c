/* The clipping that changes the distribution least: Kullback-Leibler divergence of the quantized
 * histogram from the clipped one, as NVIDIA's pytorch-quantization computes it for |x|.
 *
 * For each number i of bins to keep, P is the first i bins with all that lies beyond added to the
 * last of them, and Q the first i bins in as many equal parts as there are codes, each part's mass
 * spread evenly over its bins that hold anything. The bin at 0 counts as much as its neighbour. The
 * i with the smallest KL(P || Q) wins, the last one among equals; one whose last bin is empty but
 * has something beyond it (P > 0, Q = 0) cannot win. Prefix sums of counts, of occupied bins and of
 * c log c make a candidate cost a step for each part: with T and T' the sums of P and Q,
 *
 *     KL = (sum P log P - sum P log Q) / T - log(T / T')
 *
 * where the bins of a part bring mass log(mass / occupied) to the second sum.
 *
 * Deviations: candidates start at as many bins as there are parts (128 for 8 bits, as published).
 * Divergences within 1e-12 are equal, for rounding would choose among them. A candidate that keeps
 * less than half of the counts cannot win: where no value is near 0 the first bins that hold
 * anything would take the heap of all others, and P equal Q.
 *
 * Asymmetric codes on values of both signs, which the original does not have: the same over a
 * stretch of bins on both sides of 0, what lies beyond added to either end; the ends are moved in
 * turns, each through all its candidates, until neither moves. */
#include "calib/observe_parts.h"

#include <math.h>

enum { TURNS = 8 };

#define TIE 1e-12

/* Bins first <= k < last around 0 and, for each of them and for the end, sums over those before. */
typedef struct {
    size_t parts;
    ptrdiff_t first, last; /* first <= 0 <= last */
    double *count, *occupied, *entropy;
} table;

/* Bins from <= k < to; outside the table they are empty. */
typedef struct {
    ptrdiff_t from, to;
} stretch;

static size_t place(const table *t, ptrdiff_t k)
{
    return (size_t)((k < t->first ? t->first : k > t->last ? t->last : k) - t->first);
}

static double within(const table *t, const double *sums, stretch s)
{
    return sums[place(t, s.to)] - sums[place(t, s.from)];
}

static double x_log_x(double x)
{
    return x > 0.0 ? x * log(x) : 0.0;
}

/* ---- a candidate ---- */

/* What lies beyond a stretch, and what Q makes of the bins that P adds it to. */
typedef struct {
    double tail[2];
    double q[2];
    double coded; /* sum over the parts of mass log(mass / occupied) */
} ends;

/* Part j of n bins in equal parts ends where bins k >= j n / parts begin. */
static void walk_parts(const table *t, stretch s, ends *e)
{
    const size_t bins = (size_t)(s.to - s.from);
    stretch part = {s.from, s.from};
    for (size_t j = 1; j <= t->parts; j++) {
        part.from = part.to;
        part.to = s.from + (ptrdiff_t)((j * bins + t->parts - 1) / t->parts);
        const double mass = within(t, t->count, part);
        if (!(mass > 0.0)) continue;
        const double each = mass / within(t, t->occupied, part);
        if (part.from == s.from) e->q[0] = each;
        if (part.to == s.to) e->q[1] = each;
        e->coded += mass * log(each);
    }
}

/* What a tail on bin k adds to sum P log(P / Q); infinite when Q is 0 there. */
static double tail_cost(const table *t, ptrdiff_t k, double tail, double q)
{
    if (!(tail > 0.0)) return 0.0;
    const double held = within(t, t->count, (stretch){k, k + 1});
    return held > 0.0 ? x_log_x(held + tail) - x_log_x(held) - tail * log(q) : (double)INFINITY;
}

static double divergence(const table *t, stretch s)
{
    const double all = t->count[t->last - t->first], kept = within(t, t->count, s);
    if (!(2.0 * kept >= all)) return (double)INFINITY;
    ends e = {.tail = {t->count[place(t, s.from)], all - t->count[place(t, s.to)]}};
    walk_parts(t, s, &e);

    double tails;
    if (s.to - s.from == 1)
        tails = tail_cost(t, s.from, e.tail[0] + e.tail[1], e.q[1]);
    else
        tails = tail_cost(t, s.from, e.tail[0], e.q[0]) + tail_cost(t, s.to - 1, e.tail[1], e.q[1]);
    return (within(t, t->entropy, s) + tails - e.coded) / all - log(all / kept);
}

/* ---- all candidates ---- */

/* Moves one end of the stretch from the nearest place that leaves it a bin for each part outward;
 * `sign` is that end's side. */
static stretch move_end(const table *t, stretch s, int sign)
{
    const ptrdiff_t parts = (ptrdiff_t)t->parts;
    const ptrdiff_t other = sign > 0 ? -s.from : s.to, most = sign > 0 ? t->last : -t->first;
    ptrdiff_t length = parts > other ? parts - other : 0;
    if (length > most) length = most;

    double best = (double)INFINITY;
    for (; length <= most; length++) {
        const stretch tried = sign > 0 ? (stretch){s.from, length} : (stretch){-length, s.to};
        const double d = tried.to > tried.from ? divergence(t, tried) : (double)INFINITY;
        if (!(d <= best + TIE)) continue;
        best = fmin(best, d);
        s = tried;
    }
    return s;
}

/* Only asymmetric codes tell the sides of 0 apart, and only when there are values on both. */
static bool is_folded(const mc_view *v)
{
    return !v->want.asymmetric || v->least == 0.0 || v->most == 0.0;
}

/* Counts of bin k, or of |x| in bin k. */
static double count_of(const mc_view *v, ptrdiff_t k)
{
    const uint64_t *centre = v->seen->count + MC_HISTOGRAM_SIDE;
    if (!is_folded(v)) return (double)centre[k];
    return (double)centre[k] + (double)centre[-1 - k];
}

/* The bin at 0 counts as much as its neighbour, on each side that has one. */
static double flattened(const mc_view *v, const table *t, ptrdiff_t k)
{
    if (k == 0 && t->last > 1) return count_of(v, 1);
    if (k == -1 && t->first < -1) return count_of(v, -2);
    return count_of(v, k);
}

static bool tabulate(const mc_view *v, mc_arena *scratch, table *out)
{
    const ptrdiff_t left = (ptrdiff_t)floor(-v->least / v->width) + (v->least < 0.0);
    const ptrdiff_t right = (ptrdiff_t)floor(v->most / v->width) + (v->most > 0.0);
    const unsigned bits = v->want.bits;
    const bool folded = is_folded(v);
    *out = (table){.parts = (size_t)1 << (v->want.asymmetric ? bits : bits - 1),
                   .first = folded ? 0 : -left,
                   .last = folded && left > right ? left : right};

    const size_t bins = (size_t)(out->last - out->first);
    out->count = MC_NEW(scratch, double, bins + 1);
    out->occupied = MC_NEW(scratch, double, bins + 1);
    out->entropy = MC_NEW(scratch, double, bins + 1);
    if (!out->count || !out->occupied || !out->entropy) return false;
    for (size_t i = 0; i < bins; i++) {
        const double count = flattened(v, out, out->first + (ptrdiff_t)i);
        out->count[i + 1] = out->count[i] + count;
        out->occupied[i + 1] = out->occupied[i] + (count > 0.0);
        out->entropy[i + 1] = out->entropy[i] + x_log_x(count);
    }
    return out->count[bins] > 0.0;
}

static void range(const mc_view *v, double *least, double *most)
{
    mc_arena scratch = v->scratch;
    table t;
    *least = v->least;
    *most = v->most;
    if (!tabulate(v, &scratch, &t)) return;

    stretch s = {t.first, t.last};
    for (int turn = 0; turn < TURNS; turn++) {
        const stretch before = s;
        s = move_end(&t, s, 1);
        if (t.first == 0) break;
        s = move_end(&t, s, -1);
        if (s.from == before.from && s.to == before.to) break;
    }
    const ptrdiff_t left = is_folded(v) ? s.to : -s.from;
    *least = fmax(v->least, -(double)left * v->width);
    *most = fmin(v->most, (double)s.to * v->width);
}

/* The divergence of the nearest stretch to what the codes reach. */
static double cost(const mc_view *v, float scale, int zero)
{
    const double most = 1 << 20; /* bins: far beyond all that hold anything */
    const mc_reach reach = mc_reach_of(v->want, scale, zero);
    mc_arena scratch = v->scratch;
    table t;
    if (!tabulate(v, &scratch, &t)) return (double)INFINITY;
    const double low = rint(fmin(-reach.low / v->width, most));
    const double high = rint(fmin(reach.high / v->width, most));
    stretch s = {-(ptrdiff_t)low, (ptrdiff_t)high};
    if (is_folded(v)) s = (stretch){0, (ptrdiff_t)fmax(low, high)};
    if (s.to == s.from) s.to++;
    return divergence(&t, s);
}

const mc_observer mc_observer_entropy = {
    .name = "entropy",
    .summary = "the clipping that changes the distribution least (KL divergence)",
    .paper =
        "Migacz 2017 (TensorRT), as in NVIDIA's pytorch-quantization: i = 128 .. N, last argmin",
    .range = range,
    .cost = cost,
};
