/* The range with the least error in the model clipping + rounding noise, by Newton's iteration
 * (OCTAV: Sakr et al. 2022, "Optimal Clipping and Magnitude-aware Differentiation for Improved
 * Quantization-aware Training"). With step = 2 s / 2^b, rounding costs s^2 4^-b / 3 for each value
 * within, and
 *
 *     s <- E[|x|; |x| > s] / (4^-b / 3 P(|x| <= s) + P(|x| > s)).
 *
 * Asymmetric, low = -a and high = c: step = (a + c) / 2^b, k = 4^-b / 12, and each end in turn
 *
 *     c <- (E[x; x > c] - k a P(in)) / (k P(in) + P(x > c)),
 *
 * of which the above is the case a = c.
 *
 * Deviations: zeros are exact on every grid and so in no expectation; and a distribution with
 * several lumps has several fixed points, so the iteration starts at several sizes, the whole range
 * among them, and the least model error wins. */
#include "calib/observe_parts.h"

#include <math.h>

enum {
    STEPS = 50,  /* usually 5 to 15 are taken */
    STARTS = 12, /* each half as large */
};

#define STILL 1e-9 /* a relative change that is none */

static double step_of(const mc_view *v, mc_reach r)
{
    return (r.high - r.low) * ldexp(1.0, -(int)v->want.bits);
}

static double model_error(const mc_view *v, mc_reach r)
{
    return mc_noise_error(v, r.low, r.high, step_of(v, r));
}

static mc_mass above(const mc_view *v, double x)
{
    return mc_mass_between(v, x, v->most);
}

static mc_mass below(const mc_view *v, double x)
{
    return mc_mass_up_to(v, x);
}

static mc_reach newton_symmetric(const mc_view *v, mc_reach r)
{
    const double noise = ldexp(1.0, -2 * (int)v->want.bits) / 3.0;
    const double in = mc_mass_between(v, r.low, r.high).count;
    const mc_mass right = above(v, r.high), left = below(v, r.low);
    const double s = (right.sum - left.sum) / (noise * in + right.count + left.count);
    return (mc_reach){-s, s};
}

static mc_reach newton_asymmetric(const mc_view *v, mc_reach r)
{
    const double noise = ldexp(1.0, -2 * (int)v->want.bits) / 12.0;
    double in = noise * mc_mass_between(v, r.low, r.high).count;
    const mc_mass right = above(v, r.high);
    r.high = fmax((right.sum + r.low * in) / (in + right.count), 0.0);

    in = noise * mc_mass_between(v, r.low, r.high).count;
    const mc_mass left = below(v, r.low);
    r.low = fmin((left.sum + r.high * in) / (in + left.count), 0.0);
    return r;
}

static bool still(mc_reach a, mc_reach b)
{
    const double size = a.high - a.low;
    return fabs(a.low - b.low) <= STILL * size && fabs(a.high - b.high) <= STILL * size;
}

static mc_reach iterate(const mc_view *v, mc_reach r)
{
    for (int i = 0; i < STEPS; i++) {
        const mc_reach before = r;
        r = v->want.asymmetric ? newton_asymmetric(v, r) : newton_symmetric(v, r);
        if (still(before, r)) break;
    }
    return r;
}

static void range(const mc_view *v, double *least, double *most)
{
    const double size = fmax(-v->least, v->most);
    const mc_reach whole =
        v->want.asymmetric ? (mc_reach){v->least, v->most} : (mc_reach){-size, size};
    mc_reach best = whole;
    double best_error = model_error(v, whole);
    for (int i = 1; i <= STARTS; i++) {
        const double part = ldexp(1.0, -i);
        const mc_reach r = iterate(v, (mc_reach){whole.low * part, whole.high * part});
        const double error = model_error(v, r);
        if (!(error < best_error) || !(r.high > r.low)) continue;
        best = r;
        best_error = error;
    }
    *least = fmax(best.low, v->least);
    *most = fmin(best.high, v->most);
}

static double cost(const mc_view *v, float scale, int zero)
{
    const mc_reach reach = mc_reach_of(v->want, scale, zero);
    return mc_noise_error(v, reach.low, reach.high, (double)scale);
}

const mc_observer mc_observer_octav = {
    .name = "octav",
    .summary = "the least error by a model of clipping and rounding (Newton's iteration)",
    .paper = "Sakr et al. 2022 (OCTAV): the fixed point, from several starts",
    .range = range,
    .cost = cost,
};
