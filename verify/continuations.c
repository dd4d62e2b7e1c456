/* Greedy continuations: what a reader of the report can judge without statistics. */
#include "verify/data_run.h"

#include <string.h>

enum { PROMPT = 16, TOKENS = 24 };

/* The likeliest token behind the last one. */
static mc_status next_token(const mc_judging *j, mc_lane *lane, mc_run *run, const int32_t *ids,
                            size_t n, int32_t *next, mc_err *err)
{
    mc_arena mem = lane->room.arena;
    size_t largest;
    MC_TRY(mc_inputs_of_ids(mc_dataset_model(j->data), ids, n, &mem, lane->input, err));
    MC_TRY(mc_run_all(run, lane->inputs, j->pair->graph->inputs, err));
    const mc_nd *logits = mc_run_value(run, j->pair->graph->output[0]);
    if (!logits || logits->ndim != 3 || logits->dim[1] != (int64_t)n)
        return mc_fail(err, MC_E_UNSUPPORTED, "the first output is not logits of every token");
    const size_t words = (size_t)logits->dim[2];
    float *share = MC_NEW_RAW(&mem, float, words);
    if (!share) return mc_no_room(err, "a row of logits");
    (void)mc_log_sum_exp((const float *)logits->data + (n - 1) * words, words, share, &largest);
    *next = (int32_t)largest;
    return MC_OK;
}

static mc_status continue_by(const mc_judging *j, mc_lane *lane, mc_run *run, const int32_t *prompt,
                             size_t n, mc_arena *mem, const char **text, mc_err *err)
{
    int32_t ids[PROMPT + TOKENS];
    memcpy(ids, prompt, n * sizeof *ids);
    for (size_t i = 0; i < TOKENS; i++)
        MC_TRY(next_token(j, lane, run, ids, n + i, &ids[n + i], err));
    *text = mc_tokenizer_decode(mc_dataset_tokenizer(j->data), ids + n, TOKENS, mem);
    return *text ? MC_OK : mc_no_room(err, "a continuation");
}

mc_status mc_continue_texts(const mc_judging *j, mc_arena *mem, mc_outcome *out, mc_err *err)
{
    const mc_tokenizer *tokenizer = mc_dataset_tokenizer(j->data);
    const size_t window = (size_t)mc_dataset_window(j->data);
    const uint64_t context = mc_dataset_model(j->data)->context;
    const size_t n = window / 2 < PROMPT ? window / 2 : PROMPT;
    mc_lane *lane = &j->pair->lane[0];
    if (!tokenizer || !lane->original || n == 0 || (context && context < n + TOKENS)) return MC_OK;
    for (uint64_t i = 0; i < MC_CONTINUATIONS && i < j->samples; i++) {
        const int32_t *ids;
        mc_continuation *c = &out->continuation[out->continuations];
        (void)mc_dataset_tokens(j->data, i * j->samples / MC_CONTINUATIONS, &ids);
        c->prompt = mc_tokenizer_decode(tokenizer, ids, n, mem);
        if (!c->prompt) return mc_no_room(err, "a prompt");
        MC_TRY(continue_by(j, lane, lane->original, ids, n, mem, &c->reference, err));
        MC_TRY(continue_by(j, lane, lane->container, ids, n, mem, &c->container, err));
        out->continuations++;
    }
    return MC_OK;
}
