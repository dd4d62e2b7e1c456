/* What observers share: the values as a density, and the grid that a range leads to.
 *
 * A bin holds its values evenly spread between its edges (the outermost ones: no further than the
 * least and the largest value); all sums over values are integrals of that, in closed form. Zeros
 * are no part of it: every grid holds them exactly. */
#ifndef MC_CALIB_OBSERVE_PARTS_H
#define MC_CALIB_OBSERVE_PARTS_H

#include "calib/observe.h"

/* Sums over values below some point: how many, of x, of x^2. */
typedef struct {
    double count, sum, square;
} mc_mass;

struct mc_view {
    const mc_observe_setup *setup;
    mc_observe_want want;
    const mc_histogram *seen;
    double least, most;      /* with 0 between them; not both 0 */
    double width, per_width; /* of a bin; 1 / width */
    const mc_mass *below;    /* MC_HISTOGRAM_BINS + 1: left of each edge */
    mc_arena scratch;        /* for one call of an observer */
};

/* Of all values but zeros that are at most x. */
mc_mass mc_mass_up_to(const mc_view *view, double x);

/* Between two points. */
mc_mass mc_mass_between(const mc_view *view, double from, double to);

/* sum over `mass` of (x - value)^2. */
double mc_mass_error(mc_mass mass, double value);

/* Values outside low..high. */
double mc_clipped_count(const mc_view *view, double low, double high);

/* Sum of squares of what clipping to low..high costs. */
double mc_clipping_error(const mc_view *view, double low, double high);

/* … and what rounding in steps costs the values within, step^2 / 12 each. */
double mc_noise_error(const mc_view *view, double low, double high, double step);

/* ---- grids ---- */

int mc_want_first(mc_observe_want want); /* the smallest code */
int mc_want_last(mc_observe_want want);

/* The numbers that the codes reach. */
typedef struct {
    double low, high;
} mc_reach;

mc_reach mc_reach_of(mc_observe_want want, float scale, int zero);

/* Scale and zero for least <= 0 <= most: mc_act_spec's rule for a row of that range. Where f32
 * could only hold a denormal number it is the smallest normal one; no range at all gives 1. */
float mc_scale_of_range(mc_observe_want want, double least, double most);
int mc_zero_of_range(mc_observe_want want, float scale, double least);

#endif
