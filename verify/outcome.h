/* What quantization did to what a model does: figures of one data set, original against container
 * on the same samples. A figure that does not apply is NaN. Shares are fractions of 1. */
#ifndef MC_VERIFY_OUTCOME_H
#define MC_VERIFY_OUTCOME_H

#include "core/act_spec.h"
#include "core/hash.h"
#include "core/site.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* ---- sites: where the error comes in ---- */

typedef struct {
    const char *name;
    const char *tensor;           /* its weight */
    mc_site_kind kind;
    unsigned input_bits;          /* 16: as it is */
    mc_act_spec input;            /* its mode and rotation, how many scales; no numbers */
    double weight_bits;           /* stored bits per weight; of a carried one those of its dtype */
    uint64_t rows;                /* tokens or samples that reached it: experts see few */
    double output_sqnr_db;        /* with the errors of all sites before it */
    double own_output_sqnr_db;    /* given the original's activations: its own error alone */
} mc_site_report;

/* ---- models ---- */

enum { MC_KL_BINS = 48, MC_CONFIDENCE_BINS = 10, MC_CONTINUATIONS = 3 };

/* How sure a model was against how often it was right: 10 bins of the largest probability. */
typedef struct {
    uint64_t n[MC_CONFIDENCE_BINS];
    uint64_t right[MC_CONFIDENCE_BINS];
    double confidence[MC_CONFIDENCE_BINS]; /* mean */
    double expected_error;                 /* sum of n/N |right/n - confidence| (ECE) */
} mc_confidence;

typedef struct {
    const char *prompt, *reference, *container; /* texts; NULL when there is no tokenizer */
} mc_continuation;

typedef struct {
    const char *name;   /* of the data set: "test", "wiki", …; "" when it has none */
    const char *path;   /* as given: only for messages and text */
    const char *task;   /* "classification", "language", "choices", "outputs" */
    uint64_t n;         /* samples, questions, or scored tokens */
    uint64_t samples;   /* that were run */
    uint64_t window;    /* language: tokens of a window */
    uint64_t dropped;   /* tokens left over */
    char hash[MC_SHA256_HEX];

    /* every task: all outputs, as numbers */
    double output_sqnr_db, output_max_abs_error, output_cosine;

    /* classification and choices */
    double accuracy_reference, accuracy, accuracy_drop;
    double top5_reference, top5, top5_drop;
    double auc_reference, auc, auc_drop;    /* two classes */
    double accuracy_drop_low, accuracy_drop_high; /* 95 %: paired, Agresti and Min 2005 */
    uint64_t lost, gained;                  /* right before and wrong after; the reverse */
    double mcnemar_p;                       /* exact, two-sided */
    double top1_agreement;                  /* the same first choice; language too */
    double top1_agreement_se;
    mc_confidence confidence_reference, confidence;

    /* language; natural logarithms; a standard error behind each mean */
    double perplexity_reference, perplexity_reference_se;
    double perplexity, perplexity_se;
    double perplexity_ratio, perplexity_ratio_se; /* paired */
    double kl_mean, kl_mean_se, kl_median, kl_p99, kl_max;
    double delta_p_rms;                     /* of the right token's probability */
    uint64_t kl_histogram[MC_KL_BINS];      /* bin b: 2^(b-40) <= kl < 2^(b-39); the first also all
                                               below, the last all above */
    mc_continuation continuation[MC_CONTINUATIONS];
    size_t continuations;
} mc_outcome;

/* Which figures a task has: those of right and wrong answers, those of language, or neither. */
static inline bool mc_outcome_is_language(const mc_outcome *o)
{
    return strcmp(o->task, "language") == 0;
}

static inline bool mc_outcome_has_answers(const mc_outcome *o)
{
    return strcmp(o->task, "classification") == 0 || strcmp(o->task, "choices") == 0;
}

/* All that running the models gave. */
typedef struct {
    mc_outcome *outcome; /* one a data set, in the order given */
    size_t outcomes;
    mc_site_report *site; /* in the order of the graph; measured on the first data set */
    size_t sites;
    const size_t *worst_first; /* their indices by rising output_sqnr_db: NaN last where
                                  nothing was seen, first where a number was none */
    uint64_t site_samples;     /* how many samples sites were compared on */
    const char *simulated;     /* how activations were computed: "float", "fake-quant", "integer" */
    unsigned activation_bits;  /* 16: not quantized */
    uint64_t kv_applied;       /* attentions of a sample whose cache was quantized as the container
                                  says, */
    uint64_t kv_left;          /* those it could not be, */
    const char *kv_why;        /* and why not: of the first of them, with its name; or NULL */
    uint64_t macs;             /* multiplications of one sample (of one token, for language) */
    uint64_t ram_bytes;        /* most bytes that the values of one sample took at one time, f32 */
} mc_data_report;

#endif
