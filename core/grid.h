/* Grids: the values a quantized weight can take, without a word on how they are packed.
 *
 * A value is  s * t[u] + m.  u is a code of b bits, t the levels: the integers 0..2^b-1 or a named
 * table (levels.h), s and m the scale and the offset of the group that the weight belongs to. Three
 * kinds of offset:
 *
 *   none   symmetric. Integers: t[u] = u - 2^(b-1), so v = s * (u - 2^(b-1)). Tables carry their
 *          own sign.
 *   zero   m = -s z with an integer code z of 0..2^b-1:  v = s * (u - z). Integer levels only.
 *   free   m is a number of its own:  v = s * t[u] + m.
 *
 * Scales are plain (one stored number a group) or two-level: integer sub-scales under a super-scale
 * shared by `super` neighbouring groups of a row, s = S * k. A free offset under a two-level scale
 * is two-level too, m = M * j. (K-quants, double quantization.) Plain scales of F8_E4M3, whose
 * range is small, may stand under one f32 of the whole tensor, s = T * stored (NVFP4).
 *
 * All arithmetic is f32 in the order written, each operation rounded (docs/container.md repeats it
 * for decoders). s and m are rounded to their stored dtype before any code is chosen. */
#ifndef MC_CORE_GRID_H
#define MC_CORE_GRID_H

#include "core/dtype.h"
#include "core/err.h"
#include "core/levels.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum { MC_OFFSET_NONE = 0, MC_OFFSET_ZERO = 1, MC_OFFSET_FREE = 2 } mc_offset;

typedef struct {
    const mc_levels *levels; /* integers of 1..8 bits, or a table */
    mc_offset offset;
    bool restricted;      /* symmetric integers without the code 0: range +-(2^(b-1)-1) */
    bool negative_scale;  /* a plain scale may be negative (the target's decoder allows it) */
    mc_dtype scale_dtype; /* F16, BF16, F32, F8_E8M0, F8_E4M3: of s and m, two-level: of S and M */
    unsigned sub_bits;    /* 0: plain scales; else bits of a sub-scale, 4..8 */
    unsigned super;       /* groups under one super-scale; 0 when plain */
    bool tensor_scaled;   /* F8_E4M3: scales are multiplied by one number of the whole tensor */
    float tensor_scale;   /* that number; 0: not known yet (mc_grid_set_tensor_scale) */
} mc_grid;

/* The numbers of one group, already as they are stored. */
typedef struct {
    float scale;  /* never 0 */
    float offset; /* MC_OFFSET_FREE, else 0 */
    uint8_t zero; /* MC_OFFSET_ZERO; symmetric integers: 2^(b-1); else 0 */
} mc_params;

/* Refuses combinations that mean nothing ("a table has no integer zero", …). */
mc_status mc_grid_check(const mc_grid *grid, mc_err *err);

/* Codes: 2^b, or the length of the table. mc_grid_first: the smallest code in use (1 when
 * restricted). */
unsigned mc_grid_codes(const mc_grid *grid);
unsigned mc_grid_first(const mc_grid *grid);

/* What a code stands for: the definition that everything faster is held to. */
float mc_grid_value(const mc_grid *grid, mc_params p, unsigned code);

/* n codes: each that of the value nearest to its weight. Integers: rint((w - m) / s) by f32
 * division, half to even, clamped. Tables: the nearest of the f32 values exactly, ties to the
 * smaller level, among floats to the one whose last bit is 0 (levels whose values coincide are one
 * level). So floats are rounded to the nearest, half to even, and saturate. */
void mc_grid_encode(const mc_grid *grid, mc_params p, const float *w, size_t n, uint8_t *code);

/* n values: mc_grid_value of each code. */
void mc_grid_decode(const mc_grid *grid, mc_params p, const uint8_t *code, size_t n, float *w);

/* For `groups` groups of `group` weights that lie one after the other. */
void mc_grid_encode_row(const mc_grid *grid, const mc_params *p, const float *w, size_t groups,
                        size_t group, uint8_t *code);
void mc_grid_decode_row(const mc_grid *grid, const mc_params *p, const uint8_t *code,
                        size_t groups, size_t group, float *w);

/* Weights further outside the range of their group than half a step; a step is the distance between
 * the two levels at that end of the range. */
size_t mc_grid_clipped_row(const mc_grid *grid, const mc_params *p, const float *w, size_t groups,
                           size_t group);

/* The weights of one group, and what each is worth. */
typedef struct {
    const float *w;
    const float *importance; /* one per weight, >= 0; or NULL */
    size_t n;
} mc_grid_group;

/* Sum of importance * |w - v|^norm as it will be measured: encoded, decoded, in double. */
double mc_grid_error(const mc_grid *grid, mc_params p, mc_grid_group group, float norm);

/* ---- fitting: choosing s and m for a row's groups ---- */

/* Of a grid that is tensor_scaled, from the largest magnitude of the tensor: the number under which
 * the scale that spans it is the largest that its dtype holds, absmax / (span * 448). A larger one,
 * asked for later, saturates. Other grids stay as they are.
 *
 * While it is 0, mc_grid_fit() takes each row for a tensor of its own: enough for a search, but
 * what is to be stored needs it (mc_quantize() refuses). */
void mc_grid_set_tensor_scale(mc_grid *grid, float absmax);

typedef enum {
    MC_FIT_RANGE,  /* spread the codes over the range of the weights; floats under F8_E8M0: the
                      power of two of the OCP MX formats, one up where the fraction is 1.75 or
                      more */
    MC_FIT_SEARCH, /* the least sum of importance * |w - v|^norm; never worse than the range */
} mc_fit_kind;

typedef struct {
    mc_fit_kind kind;
    float norm; /* of MC_FIT_SEARCH: 2, or 2.4, … in 0.5..8 */
} mc_fit;

/* The integers behind a two-level scale and offset, and the numbers they multiply. */
typedef struct {
    uint8_t scale, offset;
} mc_sub;
typedef struct {
    float scale, offset;
} mc_super;

/* Fits `groups` groups of `group` weights each, laid one after the other (one row of a matrix, so
 * that two-level scales see their neighbours). `importance` (one per weight, >= 0) may be NULL.
 * Two-level results also fill sub[] and super[], one entry for every `super` groups; both may be
 * NULL for plain grids. Fails (MC_E_UNSUPPORTED) when a scale or an offset does not fit its dtype.
 *
 * Weights of zeros alone get the scale 1 (the smallest one when no level is 0). */
mc_status mc_grid_fit(const mc_grid *grid, mc_fit fit, const float *w, const float *importance,
                      size_t groups, size_t group, mc_params *out, mc_sub *sub, mc_super *super,
                      mc_err *err);

/* One group of a two-level grid whose weights have changed since its row was fitted: its sub-scale
 * (sub-offset, zero) anew under the super-scale that stays. *p and *sub hold what it had, which
 * remains unless something has a smaller error. */
mc_status mc_grid_refit_sub(const mc_grid *grid, mc_fit fit, mc_grid_group group, mc_super super,
                            mc_params *p, mc_sub *sub, mc_err *err);

/* Rounds a scale to the grid's scale dtype: never to zero, MC_E_UNSUPPORTED when it overflows
 * (under a tensor's scale it saturates). */
mc_status mc_grid_store_scale(const mc_grid *grid, float wanted, float *stored, mc_err *err);

/* The same for an offset, which may be zero. */
mc_status mc_grid_store_offset(const mc_grid *grid, float wanted, float *stored, mc_err *err);

#endif
