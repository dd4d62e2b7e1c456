/* Learned rounding in Gram form: what adaround and flexround share.
 *
 * A layer's squared error needs no data, only moments. With t the weights, or where the inputs have
 * changed the target of quant/compensate.h, and G the Gram of the inputs, row by row
 *
 *     sum over inputs of |v x - w y|^2 + damping |v - w|^2
 *         = d (G + damping) d^T + what no v changes,      d = v - t.
 *
 * Its slope is 2 d (G + damping): one product with an n x n matrix an iteration.
 *
 * Units. G is divided by the mean of its diagonal, each row's weights by the root of the mean
 * square of its steps: neither the number of tokens nor the size of weights and inputs matters to
 * learning rates and regularisers.
 *
 * Rows are learned in tiles of MC_LEARNED_TILE, the last one filled up with zeros, so that BLAS
 * sees one shape and any slab of rows gives the same bits. */
#ifndef MC_QUANT_LEARNED_SHARED_H
#define MC_QUANT_LEARNED_SHARED_H

#include "quant/compensate.h"
#include "quant/quant.h"

enum { MC_LEARNED_TILE = MC_SWEEP_TILE };

/* Where learning starts; the values of the parameter `start`. */
typedef enum {
    MC_START_NEAREST, /* codes nearest to t, least squares scales */
    MC_START_SWEEP,   /* those of gptq, scales and codes */
    MC_START_HQQ,     /* those of hqq */
} mc_learned_start;

/* ---- made once for all rows that meet the same inputs ---- */

typedef struct {
    size_t n;
    mc_learned_start start;
    double unit;                  /* mean of G's diagonal over columns that live, or 1 */
    const float *gram;            /* n x n: (G + damping) / unit */
    const float *worth;           /* n: its diagonal */
    mc_compensation compensation; /* of the target; its factor says what the damping is */
    mc_quant_setup sweep;         /* of MC_START_SWEEP */
    const void *swept;            /* what its method has prepared */
} mc_learned;

typedef struct {
    mc_learned_start start;
    double damp; /* of the mean of G's diagonal */
} mc_learned_rule;

/* Fails (MC_E_FORMAT) when a moment is not finite, naming the columns. The result lives in mem. */
mc_status mc_learned_prepare(const mc_quant_prepare *in, mc_learned_rule rule, mc_arena *mem,
                             const void **out, mc_quant_facts *facts, mc_err *err);
size_t mc_learned_prepare_bytes(size_t n);

/* ---- rows ---- */

typedef struct {
    double loss;   /* d G d^T */
    double damped; /* d (G + damping) d^T */
} mc_learned_score;

/* The job's rows, and the tile of them that is being learned. */
typedef struct {
    const mc_learned *learned;
    const double *gram;  /* G */
    const float *target; /* t, of all rows of the job */
    size_t n, groups;    /* columns and groups of a row */
    mc_qmat *all;

    const float *t;         /* rows x n: the tile's part of the target */
    size_t rows;
    mc_qmat best;           /* the tile's part of the result: the best so far */
    mc_qmat start;          /* where learning starts */
    mc_qmat trial;          /* room for what might be better, super-scales those of the start */
    double *off, *slope;    /* TILE x n: d, d G of what was measured last */
    float *value;           /* TILE x n: v */
    mc_learned_score *now;  /* TILE: of what was measured last */
    mc_learned_score *held; /* TILE: of the best */
    double *bar;            /* TILE: a loss that may not be exceeded */
} mc_learned_rows;

/* Makes the target and the start of all rows of a job; what it needs stays in mem. The loss of
 * nearest codes goes to the job's facts here or, without a sweep, in mc_learned_begin. */
mc_status mc_learned_open(const mc_quant_job *job, mc_qmat *out, mc_arena *mem,
                          mc_learned_rows *rows, mc_err *err);
size_t mc_learned_scratch(const mc_grid *grid, size_t rows, size_t cols, size_t group);

/* Goes to the tile that begins with row `first`: its best is the start or the nearest codes, or the
 * start after a descent. */
mc_status mc_learned_begin(mc_learned_rows *rows, size_t first, mc_quant_facts *facts,
                           mc_arena scratch, mc_err *err);

/* What rows->trial holds might be better: taken, row by row, where it lowers the damped loss and
 * leaves the loss at most at that of nearest codes and start; then it descends
 * (descent_shared.h) and is asked again. Changes rows->trial. */
mc_status mc_learned_offer(mc_learned_rows *rows, mc_arena scratch, mc_err *err);

/* The loss of the best to facts. */
void mc_learned_end(const mc_learned_rows *rows, mc_quant_facts *facts);

/* trial <- start. */
void mc_learned_reset_trial(mc_learned_rows *rows);

/* slope [TILE x n] = d G in units, all rows. */
void mc_learned_product(const mc_learned *learned, const float *d, float *slope);

/* The square root of the mean square of a row's steps [n], in f64; 1 when all are 0. */
double mc_learned_row_unit(const float *step, size_t n);

/* ---- Adam (Kingma and Ba 2015, algorithm 1) ---- */

typedef struct {
    float rate;          /* lr / (1 - b1^t) */
    float second_unbias; /* 1 / (1 - b2^t) */
} mc_adam;
mc_adam mc_adam_at(double rate, unsigned step); /* step counts from 1 */
void mc_adam_move(mc_adam adam, const float *slope, float *mean, float *square, float *x, size_t n);

/* ---- slopes of adaround and flexround, for their iterations and for tests ---- */

typedef struct {
    float reg;  /* weight of the regulariser, 0 while warming up */
    float beta; /* its exponent */
} mc_adaround_rule;

/* h = clip(sigmoid(v) 1.2 - 0.1, 0, 1); sigmoid[] is kept for the slope; d = below + step h. */
void mc_adaround_soften(const float *v, const float *below, const float *step, size_t n,
                        float *sigmoid, float *d);

/* In place, from d G [n] to the slope of
 *     d G d^T + sum of reg worth step^2 (1 - |2 h - 1|^beta)
 * with respect to v. */
typedef struct {
    const float *sigmoid, *step, *worth;
    size_t n;
} mc_adaround_row;
void mc_adaround_slope(const mc_adaround_row *row, mc_adaround_rule rule, float *slope);

/* A group of a row: r = x / (e^d1 e^(d2 + d3)), q = clamp(rint(r), low, high), d = e^d1 q - x for
 * x = (w - m) / s, in steps s of the grid. d1 is the group's, d2 each weight's, d3 the row's. */
typedef struct {
    const float *x;
    const float *d2;
    size_t n;
    float d1, d3;
    float low, high;
} mc_flexround_group;

void mc_flexround_round(const mc_flexround_group *g, float *r, float *q);

/* From slope[] with respect to d to those of d2 (in place) and, returned, d1 and (the sum over the
 * group for) d3. Rounding passes slopes on where it does not clamp. */
typedef struct {
    double d1, d3;
} mc_flexround_sums;
mc_flexround_sums mc_flexround_slope(const mc_flexround_group *g, const float *r, const float *q,
                                     float *slope);

#endif
