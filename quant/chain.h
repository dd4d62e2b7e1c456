/* A chain of methods, as --method says it: "smoothquant:alpha=0.8+compensate+gptaq+bias". In this
 * order: transforms, at most one correction of the weights before rounding, the method that chooses
 * codes, corrections after it.
 *
 * To add a correction, add a line to the list and its place in cli/pipeline_code.c. */
#ifndef MC_QUANT_CHAIN_H
#define MC_QUANT_CHAIN_H

#include "quant/transform.h"

/* X(name, moments it wants, before codes are chosen?, summary, needs, cost, paper) */
#define MC_CORRECTIONS(X)                                                                      \
    X(compensate, MC_QUANT_GRAM | MC_QUANT_CROSS, true,                                        \
      "weights that make good what quantized inputs lose, before codes are chosen",            \
      "calibration data, sequential",                                                          \
      "two forward passes with 4 n^2 per token, n^3 per group, m n^2 per matrix",              \
      "Shen et al. 2025 (QuartDepth), its closed form")                                        \
    X(bias, 0, false, "biases that undo the mean error of each output", "calibration data",    \
      "m n per matrix", "Nagel et al. 2019 (DFQ), empirical bias correction")                  \
    /* end */

typedef enum {
#define X(name, wants, before, summary, needs, cost, paper) MC_CORRECTION_##name,
    MC_CORRECTIONS(X)
#undef X
        MC_CORRECTION_COUNT
} mc_correction_id;

typedef struct {
    const char *name, *summary, *needs, *cost, *paper;
    unsigned wants;
    bool before;
} mc_correction;

const mc_correction *mc_correction_at(size_t i); /* NULL past the end */

enum { MC_CHAIN_TRANSFORMS = 8 };

typedef struct {
    const mc_transform *transform;
    mc_quant_setup setup; /* its parameters; no method */
} mc_chain_transform;

typedef struct {
    mc_chain_transform transform[MC_CHAIN_TRANSFORMS]; /* in the order given */
    size_t transforms;
    mc_quant_setup rounding; /* method NULL: none was named */
    bool correct[MC_CORRECTION_COUNT];
} mc_chain;

/* MC_E_USAGE names the link that is wrong and what is allowed: an unknown name, two methods that
 * choose codes, a transform behind one, a rotation beside a scaling of norms, something twice. */
mc_status mc_chain_parse(const char *text, mc_chain *out, mc_err *err);

/* The names of all links, in the order of `methods`; NULL past the end. */
const char *mc_chain_name_at(size_t i);

/* What "auto" stands for: the chain that measurement favours for weights of `bits`, with data or
 * without, and for models with BatchNormalization (docs/methods.md has the figures). */
const char *mc_auto_chain(double bits, bool data, bool norms_of_batches);

/* MC_QUANT_… that its links want together; data at all? */
unsigned mc_chain_wants(const mc_chain *chain);
bool mc_chain_wants_data(const mc_chain *chain);

#endif
