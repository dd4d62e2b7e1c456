/* Kernels: the loops behind dtypes and grids, written once and compiled twice: plainly, and for
 * AVX2 and F16C where the processor has them. Both builds give the same bits: element-wise work has
 * no choice, extremes are taken over integers, and sums run in an order that the source fixes.
 *
 * Weights come as `groups` groups of `group` neighbours; p[] holds the numbers of each group. */
#ifndef MC_CORE_KERNELS_H
#define MC_CORE_KERNELS_H

#include "core/grid.h"

#include <stddef.h>
#include <stdint.h>

/* ---- candidates of a search ---- */

enum {
    MC_LANES = 16,  /* grids that one pass weighs */
    MC_CHUNK = 256, /* weights that a float sum may hold before it goes to a double */
};

/* A group in a unit of its own: x = w * unit - centre, i = importance * importance_unit. Units are
 * powers of two that keep squares from overflowing or vanishing. */
typedef struct {
    const float *w;
    const float *importance; /* or NULL */
    size_t n;
    float unit, centre, importance_unit;
    const mc_levels *table; /* or NULL for integers */
    mc_dtype dtype;         /* of a stored scale, and its range, for refine() */
    float least, most;
} mc_scan;

/* A grid for each lane: value = step * q + offset, q an integer of low..high or a level (then low
 * and high are not read). inverse is 1 / step up to rounding; steps may be negative. */
typedef struct {
    float step[MC_LANES];
    float inverse[MC_LANES];
    float offset[MC_LANES];
    float low[MC_LANES];
    float high[MC_LANES];
} mc_lanes;

/* What least squares needs of d = x - offset and its nearest q. */
typedef struct {
    double dq[MC_LANES]; /* sum of i * d * q */
    double qq[MC_LANES]; /* i * q * q */
    double q[MC_LANES];  /* i * q */
} mc_lane_sums;

typedef struct {
    double sum[MC_LANES]; /* i * |d - step * q|^norm */
} mc_errors;

typedef struct {
    const char *name;

    /* ---- dtypes: bytes little-endian at any alignment ---- */
    void (*f16_to_f32)(const void *from, float *to, size_t n);
    void (*bf16_to_f32)(const void *from, float *to, size_t n);
    void (*f32_to_f16)(const float *from, void *to, size_t n);
    void (*f32_to_bf16)(const float *from, void *to, size_t n);

    /* ---- ranges; of NaN only that it makes absmax NaN ---- */
    void (*absmax)(const float *w, size_t groups, size_t group, float *most);
    void (*minmax)(const float *w, size_t groups, size_t group, float *least, float *most);
    size_t (*first_not_finite)(const float *w, size_t n); /* n when there is none */

    /* ---- integer codes: (w - offset) / scale + zero, clamped to first..last ---- */
    void (*encode_int)(const mc_params *p, const float *w, size_t groups, size_t group,
                       unsigned first, unsigned last, uint8_t *code);
    size_t (*clipped_int)(const mc_params *p, const float *w, size_t groups, size_t group,
                          float low, float high);
    void (*decode_int)(const mc_params *p, const uint8_t *code, size_t groups, size_t group,
                       float *w); /* scale * (u - zero) */
    void (*decode_free)(const mc_params *p, const uint8_t *code, size_t groups, size_t group,
                        float *w); /* scale * u + offset */

    /* ---- codes of up to MC_TABLE_MOST levels: how many of bound[0..levels-2] sign * w exceeds */
    void (*encode_table)(const float *w, size_t n, float sign, const float *bound, unsigned levels,
                         uint8_t *code);

    /* ---- searching: what MC_LANES grids make of the same weights ---- */
    void (*moments)(const mc_scan *scan, const mc_lanes *lanes, mc_lane_sums *sums);
    void (*errors)(const mc_scan *scan, const mc_lanes *lanes, float norm, mc_errors *sums);

    /* Squared errors without offsets, all in one: every step but the last lane's becomes the best
     * one for its codes (dq / qq), as it is stored (w * unit keeps its dtype's digits); then the
     * errors. offset[] is not read. */
    void (*refine)(const mc_scan *scan, mc_lanes *lanes, mc_errors *sums);
} mc_kernels;

/* The best build for this processor, the same for the whole run. */
const mc_kernels *mc_kernels_best(void);

/* Each build that runs here, NULL past the end; for tests. The first is the plain one. */
const mc_kernels *mc_kernels_at(size_t i);

/* The place of the first NaN or infinity, n when there is none. */
size_t mc_first_not_finite(const float *w, size_t n);

#endif
