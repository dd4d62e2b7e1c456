/* Classification: the first output holds a score for each class. */
#include "verify/judge.h"
#include "verify/paired.h"

#include <math.h>
#include <string.h>

enum { TOP = 5 };

/* What one model said of a sample. */
typedef struct {
    size_t choice;
    bool right, among_five;
    double confidence; /* of its choice */
    float margin;      /* two classes: score of the second over the first, in logits */
} verdict;

typedef struct {
    verdict original, container;
    int64_t label;
    mc_output_sums outputs;
} slot_of;

typedef struct {
    mc_answer_sums answers;
    uint64_t five_original, five_container;
    mc_roc roc_original, roc_container;
} sums_of;

static size_t classes_of(const mc_judging *j)
{
    const mc_nd *scores = &j->shape[0];
    return scores->count;
}

static mc_status open_classes(mc_judging *j, mc_arena *mem, mc_err *err)
{
    sums_of *s = MC_NEW(mem, sums_of, 1);
    j->state = s;
    if (!s) return mc_no_room(err, "sums");
    if (classes_of(j) != 2) return MC_OK;
    s->roc_original.negative = MC_NEW(mem, uint32_t, MC_ROC_BINS);
    s->roc_original.positive = MC_NEW(mem, uint32_t, MC_ROC_BINS);
    s->roc_container.negative = MC_NEW(mem, uint32_t, MC_ROC_BINS);
    s->roc_container.positive = MC_NEW(mem, uint32_t, MC_ROC_BINS);
    return s->roc_container.positive ? MC_OK : mc_no_room(err, "a ROC curve");
}

static size_t slot_bytes(const mc_judging *j)
{
    (void)j;
    return sizeof(slot_of);
}

/* Are these probabilities already (a Softmax ends the graph), or logits? */
static bool sums_to_one(const float *x, size_t n)
{
    double sum = 0.0;
    for (size_t i = 0; i < n; i++) {
        if (!(x[i] >= 0.0f && x[i] <= 1.0f)) return false;
        sum += (double)x[i];
    }
    return fabs(sum - 1.0) < 1e-3;
}

static verdict judge(const float *x, size_t n, int64_t label, float *share)
{
    size_t choice, above = 0;
    const double all = mc_log_sum_exp(x, n, share, &choice);
    const bool shares = sums_to_one(x, n);
    for (size_t i = 0; i < n; i++) {
        const float own = x[label];
        above += x[i] > own || (x[i] == own && (int64_t)i < label);
    }
    verdict v = {.choice = choice,
                 .right = (int64_t)choice == label,
                 .among_five = above < TOP,
                 .confidence = shares ? (double)x[choice] : exp((double)x[choice] - all)};
    if (n == 2) v.margin = shares ? logf(x[1]) - logf(x[0]) : x[1] - x[0];
    return v;
}

static mc_status see(const mc_judging *j, mc_lane *lane, uint64_t i, mc_site_sums *sites,
                     void *slot, mc_err *err)
{
    slot_of s = {.label = -1};
    MC_TRY(mc_judge_input(j, lane, i, err));
    MC_TRY(mc_lane_run(j->pair, lane, sites, err));
    const mc_id out = j->pair->graph->output[0];
    const mc_nd *a = mc_run_value(lane->original, out), *b = mc_run_value(lane->container, out);
    const size_t n = classes_of(j);
    if (!a || !b || a->count != n || b->count != n || mc_nd_storage(a->dtype) != MC_F32)
        return mc_fail(err, MC_E_UNSUPPORTED, "sample %llu: the first output is not %zu scores",
                       (unsigned long long)i, n);
    (void)mc_dataset_label(j->data, i, &s.label);
    if (s.label < 0 || s.label >= (int64_t)n)
        return mc_fail(err, MC_E_FORMAT, "label of sample %llu is %lld, the model has %zu classes",
                       (unsigned long long)i, (long long)s.label, n);
    mc_arena mem = lane->room.arena;
    float *share = MC_NEW_RAW(&mem, float, n);
    if (!share) return mc_no_room(err, "scores");
    s.original = judge(a->data, n, s.label, share);
    s.container = judge(b->data, n, s.label, share);
    mc_output_see(j->pair, lane, &s.outputs);
    memcpy(slot, &s, sizeof s);
    return MC_OK;
}

static mc_status take(mc_judging *j, uint64_t i, const void *slot, mc_err *err)
{
    (void)i;
    (void)err;
    sums_of *sums = j->state;
    slot_of s;
    memcpy(&s, slot, sizeof s);
    mc_right_add(&sums->answers.right, s.original.right, s.container.right,
                 s.original.choice == s.container.choice);
    sums->five_original += s.original.among_five;
    sums->five_container += s.container.among_five;
    mc_confidence_add(&sums->answers.original, s.original.confidence, s.original.right);
    mc_confidence_add(&sums->answers.container, s.container.confidence, s.container.right);
    mc_output_merge(&sums->answers.outputs, &s.outputs);
    if (!sums->roc_container.positive) return MC_OK;
    mc_roc_add(&sums->roc_original, s.original.margin, s.label == 1);
    mc_roc_add(&sums->roc_container, s.container.margin, s.label == 1);
    return MC_OK;
}

static void finish(mc_judging *j, mc_outcome *out)
{
    sums_of *s = j->state;
    mc_answers_finish(&s->answers, out);
    if (classes_of(j) > TOP && s->answers.right.n) {
        const double n = (double)s->answers.right.n;
        out->top5_reference = (double)s->five_original / n;
        out->top5 = (double)s->five_container / n;
        out->top5_drop = ((double)s->five_original - (double)s->five_container) / n;
    }
    if (s->roc_container.positive) {
        out->auc_reference = mc_roc_area(&s->roc_original);
        out->auc = mc_roc_area(&s->roc_container);
        out->auc_drop = out->auc_reference - out->auc;
    }
}

const mc_judge mc_judge_classes = {
    .task = "classification",
    .open = open_classes,
    .slot_bytes = slot_bytes,
    .see = see,
    .take = take,
    .finish = finish,
};
