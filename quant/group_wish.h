/* Where least squares puts the numbers of a group while its codes stay. */
#ifndef MC_QUANT_GROUP_WISH_H
#define MC_QUANT_GROUP_WISH_H

#include "core/grid.h"

/* With y what values gain when the scale grows by one, 1 what they gain with the offset, H the
 * measure inside the group and r the pull on it, (t - v) H. */
typedef struct {
    double yy, y1, one; /* y H y^T, y H 1^T, 1 H 1^T */
    double yr, r1;      /* y r^T, 1 r^T */
} mc_wish_sums;

/* y of a code: (u - z), t[u]. */
float mc_wish_slope(const mc_grid *grid, mc_params p, unsigned code);

/* From the numbers that the group has to those it wishes for, as they can be stored; an integer
 * zero moves by one at most. False when they stay. */
bool mc_wish(const mc_grid *grid, const mc_wish_sums *sums, mc_super super, mc_params *p,
             mc_sub *sub);

#endif
