/* Judges: what a task makes of the outputs of both models, sample by sample.
 *
 * `see` looks at one sample on any thread and leaves what it found in a slot; `take` gets the slots
 * one at a time in the order of samples, so that sums are the same for any number of threads;
 * `finish` writes figures. To add a task, write verify/judge_<task>.c and add it to
 * mc_judge_for(). */
#ifndef MC_VERIFY_JUDGE_H
#define MC_VERIFY_JUDGE_H

#include "calib/dataset.h"
#include "verify/lockstep.h"
#include "verify/logits_file.h"
#include "verify/outcome.h"
#include "verify/paired.h"

typedef struct mc_judge mc_judge;

/* One data set being judged. */
typedef struct {
    const mc_judge *judge;
    mc_pair_of_models *pair;
    const mc_dataset *data;
    const mc_logits_file *logits; /* the original's, instead of running it; or NULL */
    mc_logits_out *logits_out;    /* where the original's go; or NULL */
    const mc_nd *shape;           /* of the graph's outputs, of the first sample */
    uint64_t samples;
    void *state;                  /* the judge's sums */
} mc_judging;

struct mc_judge {
    const char *task;

    /* Makes the sums, in `mem`. */
    mc_status (*open)(mc_judging *j, mc_arena *mem, mc_err *err);
    size_t (*slot_bytes)(const mc_judging *j);

    /* Runs the models on sample i and looks at their outputs. */
    mc_status (*see)(const mc_judging *j, mc_lane *lane, uint64_t i, mc_site_sums *sites,
                     void *slot, mc_err *err);
    mc_status (*take)(mc_judging *j, uint64_t i, const void *slot, mc_err *err);
    void (*finish)(mc_judging *j, mc_outcome *out);
};

extern const mc_judge mc_judge_outputs, mc_judge_classes, mc_judge_language, mc_judge_choices;

/* ---- shared: all outputs as numbers ---- */

typedef struct {
    double yy, zz, yz, ee; /* y: original's, z: container's */
    double max_abs;
} mc_output_sums;

/* Sums over every output of real numbers that both have. */
void mc_output_see(const mc_pair_of_models *pair, const mc_lane *lane, mc_output_sums *sums);
void mc_output_merge(mc_output_sums *to, const mc_output_sums *from);
void mc_output_finish(const mc_output_sums *sums, mc_outcome *out);

/* Sample i becomes the lane's input. */
mc_status mc_judge_input(const mc_judging *j, mc_lane *lane, uint64_t i, mc_err *err);

/* log sum exp of n numbers, and where the largest of them is (the first of equals). share[n] gets
 * exp(x - largest), whose sum is exp(the result - largest). */
double mc_log_sum_exp(const float *x, size_t n, float *share, size_t *largest);

/* A sample's confidence goes to its bin. */
void mc_confidence_add(mc_confidence *c, double confidence, bool right);
void mc_confidence_finish(mc_confidence *c);

/* Accuracies, drop, interval, McNemar. */
typedef struct {
    uint64_t n, original, container, lost, gained, agree;
} mc_right_counts;
void mc_right_add(mc_right_counts *r, bool original, bool container, bool agree);
void mc_right_finish(const mc_right_counts *r, mc_outcome *out);

/* Answers of both models that are right or wrong, and how sure they were. */
typedef struct {
    mc_right_counts right;
    mc_confidence original, container;
    mc_output_sums outputs;
} mc_answer_sums;
void mc_answers_finish(mc_answer_sums *s, mc_outcome *out);

/* All figures that do not apply. */
void mc_outcome_clear(mc_outcome *out);

#endif
