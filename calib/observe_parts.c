/* Integrals of the density behind a histogram, and from ranges to grids. */
#include "calib/observe_parts.h"

#include <float.h>
#include <math.h>

/* ---- the density ---- */

mc_mass mc_mass_up_to(const mc_view *v, double x)
{
    const double least = (double)v->seen->least, most = (double)v->seen->most;
    if (x < least) return v->below[0];
    if (x >= most) return v->below[MC_HISTOGRAM_BINS];

    /* From least to most every x is in a bin: times a power of two is exact. */
    const ptrdiff_t from_zero = (ptrdiff_t)floor(x * v->per_width);
    const size_t bin = (size_t)(from_zero + MC_HISTOGRAM_SIDE);
    const double count = (double)v->seen->count[bin];
    const double left = fmax((double)from_zero * v->width, least);
    const double right = fmin((double)(from_zero + 1) * v->width, most);
    const double t = x - left;
    mc_mass mass = v->below[bin];
    if (!(t > 0.0)) return mass;

    const double part = count * (t / (right - left));
    mass.count += part;
    mass.sum += part * (left + t / 2.0);
    mass.square += part * (left * left + left * t + t * t / 3.0);
    return mass;
}

static mc_mass difference(mc_mass a, mc_mass b)
{
    return (mc_mass){a.count - b.count, a.sum - b.sum, a.square - b.square};
}

mc_mass mc_mass_between(const mc_view *v, double from, double to)
{
    return difference(mc_mass_up_to(v, to), mc_mass_up_to(v, from));
}

double mc_mass_error(mc_mass m, double value)
{
    return fmax(m.square - 2.0 * value * m.sum + value * value * m.count, 0.0);
}

static mc_mass above(const mc_view *v, double x)
{
    return difference(v->below[MC_HISTOGRAM_BINS], mc_mass_up_to(v, x));
}

double mc_clipped_count(const mc_view *v, double low, double high)
{
    return mc_mass_up_to(v, low).count + above(v, high).count;
}

double mc_clipping_error(const mc_view *v, double low, double high)
{
    return mc_mass_error(mc_mass_up_to(v, low), low) + mc_mass_error(above(v, high), high);
}

double mc_noise_error(const mc_view *v, double low, double high, double step)
{
    const double within = mc_mass_between(v, low, high).count;
    return within * step * step / 12.0 + mc_clipping_error(v, low, high);
}

/* ---- grids ---- */

int mc_want_first(mc_observe_want want)
{
    const int half = 1 << (want.bits - 1);
    return want.asymmetric ? -half : 1 - half;
}

int mc_want_last(mc_observe_want want)
{
    return (1 << (want.bits - 1)) - 1;
}

mc_reach mc_reach_of(mc_observe_want want, float scale, int zero)
{
    const double step = (double)scale;
    return (mc_reach){step * (mc_want_first(want) - zero), step * (mc_want_last(want) - zero)};
}

float mc_scale_of_range(mc_observe_want want, double least, double most)
{
    const int last = mc_want_last(want);
    const double scale =
        want.asymmetric ? (most - least) / (last - mc_want_first(want)) : fmax(-least, most) / last;
    if (!(scale > 0.0)) return 1.0f;
    return fmaxf((float)scale, FLT_MIN);
}

int mc_zero_of_range(mc_observe_want want, float scale, double least)
{
    if (!want.asymmetric) return 0;
    const float zero = rintf((float)mc_want_first(want) - (float)least / scale);
    return (int)fminf(zero, (float)mc_want_last(want));
}
