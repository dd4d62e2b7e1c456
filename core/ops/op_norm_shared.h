/* Rows that are normalized: what LayerNormalization, RMSNormalization and their fused relatives
 * have in common. */
#ifndef MC_CORE_OPS_OP_NORM_SHARED_H
#define MC_CORE_OPS_OP_NORM_SHARED_H

#include "core/op.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct {
    bool centre; /* subtract the mean (LayerNormalization); else the root mean square alone */
    double epsilon;
} mc_norm;

typedef struct {
    double mean;    /* 0 without centre */
    double inverse; /* 1 / sqrt(variance or mean square + epsilon) */
} mc_norm_stats;

/* y[i] = (x[i] - mean) * inverse * scale[i] + bias[i] over n elements; scale and bias may be NULL,
 * y may be x. */
mc_norm_stats mc_norm_row_f32(mc_norm norm, const float *x, size_t n, const float *scale,
                              const float *bias, float *y);
mc_norm_stats mc_norm_row_f64(mc_norm norm, const double *x, size_t n, const double *scale,
                              const double *bias, double *y);

/* LayerNormalization and its kind as operators: X, scale, bias? -> Y, and one row of statistics for
 * each of the outputs `mean` and `inverse` (any index past the node's outputs: none). */
typedef struct {
    bool centre;
    size_t mean, inverse;
} mc_norm_op;
mc_status mc_norm_shape(const mc_call *call, mc_norm_op op, mc_err *err);
mc_status mc_norm_run(const mc_call *call, mc_norm_op op, mc_err *err);
size_t mc_norm_scratch(const mc_call *call);

#endif
