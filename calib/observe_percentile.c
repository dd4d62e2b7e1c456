/* The range that holds p percent of the values. Symmetric: of |x|. Asymmetric: what is left out is
 * shared by both ends, but when all values lie on one side of 0 it is left out at theirs. */
#include "calib/observe_parts.h"

#include <math.h>

/* Values that may be left out. Decimal fractions are not exact: 0.1 % of 1000 must be 1. */
static double left_out(const mc_view *v)
{
    return (double)v->seen->total * (1.0 - v->setup->param[0] / 100.0) * (1.0 + 1e-9);
}

typedef enum { LEFT, RIGHT, BOTH } ends;

/* The least a up to `end` for which clipping to -a, a or both leaves out at most `allowed`. */
static double shrink(const mc_view *v, double end, double allowed, ends at)
{
    double in = 0.0, out = end; /* out leaves few enough, in too many */
    for (int i = 0; i < 64 && out - in > end * 1e-9; i++) {
        const double a = in + (out - in) / 2.0;
        const double low = at == RIGHT ? v->least : -a, high = at == LEFT ? v->most : a;
        *(mc_clipped_count(v, low, high) <= allowed ? &out : &in) = a;
    }
    return out;
}

static void range(const mc_view *v, double *least, double *most)
{
    const double allowed = left_out(v);
    if (!v->want.asymmetric) {
        const double a = shrink(v, fmax(-v->least, v->most), allowed, BOTH);
        *least = fmax(v->least, -a);
        *most = fmin(v->most, a);
        return;
    }
    const double each = v->least < 0.0 && v->most > 0.0 ? allowed / 2.0 : allowed;
    *least = -shrink(v, -v->least, each, LEFT);
    *most = shrink(v, v->most, each, RIGHT);
}

/* Values that the codes do not reach beyond those that may be left out. */
static double cost(const mc_view *v, float scale, int zero)
{
    const mc_reach reach = mc_reach_of(v->want, scale, zero);
    return fmax(mc_clipped_count(v, reach.low, reach.high) - left_out(v), 0.0);
}

const mc_observer mc_observer_percentile = {
    .name = "percentile",
    .summary = "the range that holds p percent of the values",
    .paper = "common practice; TensorRT's default is 99.99",
    .params = {{.key = "p",
                .summary = "percent of the values to keep",
                .least = 50,
                .most = 100,
                .usual = 99.999}},
    .range = range,
    .cost = cost,
};
