/* The whole range: no value is clipped, and one outlier sets the step of all. */
#include "calib/observe_parts.h"

#include <math.h>

static void range(const mc_view *v, double *least, double *most)
{
    *least = v->least;
    *most = v->most;
}

/* How much longer the range is than what the codes span: 0 where nothing is clipped. */
static double cost(const mc_view *v, float scale, int zero)
{
    const mc_reach reach = mc_reach_of(v->want, scale, zero);
    const double span = v->want.asymmetric ? v->most - v->least : 2.0 * fmax(-v->least, v->most);
    return fmax(span - (reach.high - reach.low), 0.0);
}

const mc_observer mc_observer_minmax = {
    .name = "minmax",
    .summary = "the whole range: nothing is clipped",
    .paper = "common practice",
    .range = range,
    .cost = cost,
};
