/* Multiple choice: the choice of the largest log-probability per byte of its text, given the
 * context, is the model's answer. */
#include "verify/judge.h"

#include <math.h>
#include <string.h>

enum { CHOICES = 64 };

typedef struct {
    size_t answer, original, container;
    double confidence_original, confidence_container;
    mc_output_sums outputs;
} slot_of;

static mc_status open_choices(mc_judging *j, mc_arena *mem, mc_err *err)
{
    j->state = MC_NEW(mem, mc_answer_sums, 1);
    return j->state ? MC_OK : mc_no_room(err, "sums");
}

static size_t slot_bytes(const mc_judging *j)
{
    (void)j;
    return sizeof(slot_of);
}

/* A context and a choice behind it. */
typedef struct {
    const int32_t *ids;
    size_t from, n; /* the choice: ids [from, n) */
} row_of_ids;

/* Sum of log p of the choice's ids, each from the logits one place before it. */
static mc_status log_p_of(const mc_nd *logits, const row_of_ids *r, mc_arena scratch, double *sum,
                          mc_err *err)
{
    const int32_t *ids = r->ids;
    if (!logits || logits->ndim != 3 || logits->dim[1] != (int64_t)r->n ||
        mc_nd_storage(logits->dtype) != MC_F32)
        return mc_fail(err, MC_E_UNSUPPORTED, "the first output is not logits of every token");
    const size_t words = (size_t)logits->dim[2];
    size_t ignored;
    float *share = MC_NEW_RAW(&scratch, float, words);
    if (!share) return mc_no_room(err, "a row of logits");
    *sum = 0.0;
    for (size_t i = r->from; i < r->n; i++) {
        const float *row = (const float *)logits->data + (i - 1) * words;
        if (ids[i] < 0 || (size_t)ids[i] >= words)
            return mc_fail(err, MC_E_FORMAT, "token id %d, the model has %zu words", ids[i], words);
        *sum += (double)row[ids[i]] - mc_log_sum_exp(row, words, share, &ignored);
    }
    return MC_OK;
}

/* Log-probabilities per byte of each choice, by both models. */
static mc_status weigh(const mc_judging *j, mc_lane *lane, const mc_question *q, size_t choice,
                       double score[2], mc_output_sums *outputs, mc_err *err)
{
    mc_arena mem = lane->room.arena;
    const size_t n = q->context_ids + q->choice_ids[choice];
    int32_t *ids = MC_NEW_RAW(&mem, int32_t, n);
    if (!ids) return mc_no_room(err, "a question");
    memcpy(ids, q->context, q->context_ids * sizeof *ids);
    memcpy(ids + q->context_ids, q->choice[choice], q->choice_ids[choice] * sizeof *ids);
    MC_TRY(mc_inputs_of_ids(mc_dataset_model(j->data), ids, n, &mem, lane->input, err));
    MC_TRY(mc_lane_run(j->pair, lane, NULL, err));
    mc_output_see(j->pair, lane, outputs);
    const mc_id out = j->pair->graph->output[0];
    const row_of_ids row = {ids, q->context_ids, n};
    MC_TRY(log_p_of(mc_run_value(lane->original, out), &row, mem, &score[0], err));
    MC_TRY(log_p_of(mc_run_value(lane->container, out), &row, mem, &score[1], err));
    const double bytes = q->choice_bytes[choice] ? (double)q->choice_bytes[choice] : 1.0;
    score[0] /= bytes;
    score[1] /= bytes;
    return MC_OK;
}

static size_t choose(const float *score, size_t n, double *confidence)
{
    size_t best;
    float share[CHOICES];
    const double all = mc_log_sum_exp(score, n, share, &best);
    *confidence = exp((double)score[best] - all);
    return best;
}

static mc_status see(const mc_judging *j, mc_lane *lane, uint64_t i, mc_site_sums *sites,
                     void *slot, mc_err *err)
{
    (void)sites; /* questions are of many lengths: sites are compared on windows */
    mc_question q;
    float original[CHOICES], container[CHOICES];
    slot_of s = {0};
    MC_TRY(mc_dataset_question(j->data, i, &q, err));
    for (size_t c = 0; c < q.choices; c++) {
        double score[2] = {0.0, 0.0};
        MC_TRY(weigh(j, lane, &q, c, score, &s.outputs, err));
        original[c] = (float)score[0];
        container[c] = (float)score[1];
    }
    s.answer = q.answer;
    s.original = choose(original, q.choices, &s.confidence_original);
    s.container = choose(container, q.choices, &s.confidence_container);
    memcpy(slot, &s, sizeof s);
    return MC_OK;
}

static mc_status take(mc_judging *j, uint64_t i, const void *slot, mc_err *err)
{
    (void)i;
    (void)err;
    mc_answer_sums *sums = j->state;
    slot_of s;
    memcpy(&s, slot, sizeof s);
    const bool before = s.original == s.answer, after = s.container == s.answer;
    mc_right_add(&sums->right, before, after, s.original == s.container);
    mc_confidence_add(&sums->original, s.confidence_original, before);
    mc_confidence_add(&sums->container, s.confidence_container, after);
    mc_output_merge(&sums->outputs, &s.outputs);
    return MC_OK;
}

static void finish(mc_judging *j, mc_outcome *out)
{
    mc_answers_finish(j->state, out);
}

const mc_judge mc_judge_choices = {
    .task = "choices",
    .open = open_choices,
    .slot_bytes = slot_bytes,
    .see = see,
    .take = take,
    .finish = finish,
};
