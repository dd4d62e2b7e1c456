/* What gptq and gptaq share: the options, the order of columns, the rows' way through the sweep. */
#ifndef MC_QUANT_GPTQ_SHARED_H
#define MC_QUANT_GPTQ_SHARED_H

#include "core/sweep.h"
#include "quant/quant.h"

/* Parameters in the order of the methods' tables; gptq ends before ALPHA. */
enum {
    MC_GPTQ_DAMP,
    MC_GPTQ_ORDER,
    MC_GPTQ_NORM,
    MC_GPTQ_IMPORTANCE,
    MC_GPTQ_ROUNDS,
    MC_GPTQ_ALPHA,
    MC_GPTQ_PUBLISHED,
};

typedef enum {
    MC_GPTQ_NATURAL, /* scales from the compensated weights when a group begins */
    MC_GPTQ_STATIC,  /* scales from the original weights; columns by falling mean square */
    MC_GPTQ_GAR,     /* group-aware reordering: as NATURAL, groups by their largest mean square,
                        columns within them by theirs (Gafni et al. 2025) */
} mc_gptq_order;

/* Makes of the moments what all rows share. */
mc_status mc_gptq_prepare(const mc_quant_prepare *in, mc_arena *mem, const void **out,
                          mc_quant_facts *facts, mc_err *err);
size_t mc_gptq_prepare_bytes(const mc_quant_setup *setup, size_t n);

mc_status mc_gptq_run(const mc_quant_job *job, mc_qmat *out, mc_arena scratch, mc_err *err);
size_t mc_gptq_scratch(const mc_grid *grid, size_t rows, size_t cols, size_t group);

/* `usual_rounds`: of descent. */
#define MC_GPTQ_COMMON_PARAMS(usual_rounds)                                                        \
    [MC_GPTQ_DAMP] = {"damp", "share of the mean of the diagonal that is added to it", 0.0, 1.0,   \
                      0.01, false},                                                                \
    [MC_GPTQ_ORDER] = {"order",                                                                    \
                       "0: columns as they are, 1: by falling mean square, 2: the same in groups", \
                       0, 2, 1, true},                                                             \
    [MC_GPTQ_NORM] = {"norm", "exponent of the error that scales are searched for", 0.5, 8.0, 2.0, \
                      false},                                                                      \
    [MC_GPTQ_IMPORTANCE] = {"importance",                                                          \
                            "1: scales weigh columns by the mean square of their inputs", 0, 1, 0, \
                            true},                                                                 \
    [MC_GPTQ_ROUNDS] = {"rounds", "of descent on scales and codes after the sweep, at most", 0,    \
                        1000, usual_rounds, true}

#endif
