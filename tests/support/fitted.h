/* A row of weights fitted to a grid, encoded and decoded again, and its error. */
#ifndef MC_TESTS_SUPPORT_FITTED_H
#define MC_TESTS_SUPPORT_FITTED_H

#include "core/grid.h"

enum { MOST = 8192 }; /* weights */

typedef struct {
    mc_params p[MOST];
    mc_sub sub[MOST];
    mc_super super[MOST];
    uint8_t code[MOST];
    float value[MOST];
} fitted;

static const mc_fit by_range = {.kind = MC_FIT_RANGE};

static inline mc_fit by_search(float norm)
{
    return (mc_fit){.kind = MC_FIT_SEARCH, .norm = norm};
}

/* Plain F16 scales. */
mc_grid grid_of(const mc_levels *levels, mc_offset offset);

/* Fails the test when the grid or the fit is refused. */
void fit_row(const mc_grid *grid, mc_fit fit, const float *w, const float *importance, size_t n,
             size_t group, fitted *out);

/* Sum of importance * |w - value|^norm; importance may be NULL. */
double error_of(const float *w, const float *value, const float *importance, size_t n, float norm);

/* Every weight that does not count as clipped is within half a step of its value. */
void expect_half_steps(const mc_grid *grid, const float *w, size_t n, size_t group,
                       const fitted *f);

#endif
