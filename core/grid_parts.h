/* What the files of the grid share among themselves: the ranges of dtypes, the stages of a fit, and
 * one group's weights as the searching kernels like them. */
#ifndef MC_CORE_GRID_PARTS_H
#define MC_CORE_GRID_PARTS_H

#include "core/grid.h"
#include "core/kernels.h"

/* The smallest positive scale that can be stored, and the largest. */
float mc_grid_least_scale(const mc_grid *grid);
float mc_grid_most_scale(const mc_grid *grid);

/* n scales as the dtype rounds them: may become 0 or overflow. */
void mc_grid_round_scales(const mc_grid *grid, float *scale, size_t n);

/* The scale that a group of zeros gets: 1, or the least one when the levels have no 0. */
float mc_grid_idle_scale(const mc_grid *grid);

/* How far levels reach: the width in steps that meets the width of the weights. */
float mc_grid_span(const mc_grid *grid);

/* z of the group whose least weight is `least`: clamp(rint(-least / scale), 0, 2^b - 1). */
uint8_t mc_grid_zero(const mc_grid *grid, float least, float scale);

/* One row's groups, and what the caller asked for. */
typedef struct {
    const mc_grid *grid;
    mc_fit fit;
    const float *w;
    const float *importance; /* or NULL */
    size_t groups, group;
} mc_fit_row;

/* Plain scales: by range, and from there on by search, group by group. */
mc_status mc_grid_fit_range(const mc_fit_row *row, mc_params *out, mc_err *err);
void mc_grid_fit_search(const mc_fit_row *row, mc_params *out);

/* Two-level scales, either way. */
mc_status mc_grid_fit_two_level(const mc_fit_row *row, mc_params *out, mc_sub *sub,
                                mc_super *super, mc_err *err);

/* ---- one group under search ---- */

typedef struct {
    const mc_grid *grid;
    float norm;
    mc_scan scan;
} mc_fit_group;

/* The power of two that brings `most` into 1..2 (as far as floats reach). */
float mc_fit_unit(float most);

/* Group g of the row in the given unit. False when no weight has any importance. */
bool mc_fit_group_open(mc_fit_group *out, const mc_fit_row *row, size_t g, float unit,
                       float centre);

/* Sums of importance and of importance * x. */
void mc_fit_totals(const mc_fit_group *group, double *importance, double *x);

/* Lane `c` becomes the grid of `p`. */
void mc_fit_lane(const mc_fit_group *group, mc_params p, mc_lanes *lanes, unsigned c);

/* mc_grid_error of group g. The kernels' errors leave out how s * t + m is rounded, which matters
 * when m is large or errors are tiny. */
double mc_fit_exact_error(const mc_fit_row *row, size_t g, mc_params p);

/* A kernels' error counts as smaller when it is so by more than their rounding. */
bool mc_fit_better(double found, double known, float norm);

#endif
