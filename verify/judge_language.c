/* Language: perplexity of both models, and how far apart their distributions of the next token are.
 *
 * Windows are fed whole; position i is scored against token i + 1, the last one against the first
 * token of the next window. Against a file of log-probabilities of llama.cpp the positions are the
 * file's: the second half of each window. Terms of the divergence that the original gives less than
 * e^-16 are left out in both cases, as the file cannot hold them. */
#include "verify/judge.h"

#include <math.h>
#include <string.h>

#define LEAST_LOG_P (-16.0)

typedef struct {
    double nll_original, nll, kl;
    double delta_p; /* of the right token */
    bool same;      /* both find the same token likeliest */
} token_result;

/* A slot: this, the results of its window, the rows for a file of log-probabilities. */
typedef struct {
    size_t scored;
    mc_output_sums outputs;
} slot_head;

typedef struct {
    mc_moments_of original, container, difference, kl, delta_p_squared;
    uint64_t same;
    double kl_max;
    mc_quantiles kl_quantiles;
    uint64_t kl_histogram[MC_KL_BINS];
    mc_output_sums outputs;
} sums_of;

static size_t vocabulary_of(const mc_judging *j)
{
    const mc_nd *logits = &j->shape[0];
    return (size_t)logits->dim[logits->ndim - 1];
}

static size_t window_of(const mc_judging *j)
{
    return (size_t)mc_dataset_window(j->data);
}

static size_t rows_for_file(const mc_judging *j)
{
    const size_t window = window_of(j);
    return j->logits_out ? window - 1 - window / 2 : 0;
}

static mc_status open_language(mc_judging *j, mc_arena *mem, mc_err *err)
{
    if (j->shape[0].ndim != 3 || vocabulary_of(j) < 2)
        return mc_fail(err, MC_E_UNSUPPORTED,
                       "the first output is not [batch, tokens, words] of logits");
    if (j->logits && j->logits->vocabulary != vocabulary_of(j))
        return mc_fail(err, MC_E_FORMAT, "%s: has %u words, the model %zu", j->logits->path,
                       j->logits->vocabulary, vocabulary_of(j));
    j->state = MC_NEW(mem, sums_of, 1);
    return j->state ? MC_OK : mc_no_room(err, "sums");
}

static size_t results_bytes(const mc_judging *j)
{
    return sizeof(slot_head) + window_of(j) * sizeof(token_result);
}

static size_t slot_bytes(const mc_judging *j)
{
    return results_bytes(j) + rows_for_file(j) * mc_logits_row_bytes((uint32_t)vocabulary_of(j));
}

/* ---- one position ---- */

/* What one model says of the next token. */
typedef struct {
    const float *logit; /* or log p: then log_sum is 0 */
    float *share;       /* exp(logit - largest); their sum is `shares` */
    double log_sum, shares;
    size_t best;
} distribution;

static distribution of_logits(const float *logit, size_t n, float *share)
{
    distribution d = {.logit = logit, .share = share};
    d.log_sum = mc_log_sum_exp(logit, n, share, &d.best);
    d.shares = exp(d.log_sum - (double)logit[d.best]);
    return d;
}

static double log_p(const distribution *d, size_t v)
{
    return (double)d->logit[v] - d->log_sum;
}

/* Sum of p (log p - log q), in eight lanes whose order n fixes. */
static double divergence(const distribution *p, const distribution *q, size_t n)
{
    enum { LANES = 8 };
    double sum[LANES] = {0}, all = 0.0;
    const float least = (float)(LEAST_LOG_P + p->log_sum);
    const double shift = q->log_sum - p->log_sum;
    for (size_t v = 0; v < n; v += LANES) {
        const size_t lanes = n - v < LANES ? n - v : LANES;
        for (size_t k = 0; k < lanes; k++) {
            const float x = p->logit[v + k];
            const float share = x > least ? p->share[v + k] : 0.0f;
            sum[k] += (double)share * ((double)x - (double)q->logit[v + k] + shift);
        }
    }
    for (size_t k = 0; k < LANES; k++) all += sum[k];
    return all / p->shares;
}

static token_result compare(const distribution *p, const distribution *q, size_t n, int32_t target)
{
    const double kl = divergence(p, q, n);
    const double before = log_p(p, (size_t)target), after = log_p(q, (size_t)target);
    return (token_result){
        .nll_original = -before,
        .nll = -after,
        .kl = kl < 0.0 ? 0.0 : kl, /* of rounding alone */
        .delta_p = exp(after) - exp(before),
        .same = p->best == q->best,
    };
}

/* ---- one window ---- */

/* A window being looked at: logits of the models, or of one and the file's rows. */
typedef struct {
    const mc_judging *j;
    uint64_t i;
    const float *original; /* NULL: from the file */
    const float *container;
    const int32_t *ids;
    size_t ids_known;
    float *p, *p_share, *q_share; /* room for a row each */
    size_t vocabulary;
} window;

static mc_status score(const window *w, size_t position, unsigned char *file_row,
                       token_result *result, mc_err *err)
{
    const size_t n = w->vocabulary;
    const int32_t target = w->ids[position + 1];
    if (target < 0 || (size_t)target >= n)
        return mc_fail(err, MC_E_FORMAT, "token id %d in window %llu, the model has %zu words",
                       target, (unsigned long long)w->i, n);
    const distribution q = of_logits(w->container + position * n, n, w->q_share);
    const float *logit = w->original ? w->original + position * n : NULL;
    if (!w->original) {
        const uint32_t half = w->j->logits->window / 2;
        mc_logits_row(w->j->logits, (uint32_t)w->i, (uint32_t)position - half, w->p);
        logit = w->p;
    }
    const distribution p = of_logits(logit, n, w->p_share);
    if (file_row) {
        for (size_t v = 0; v < n; v++) w->p[v] = (float)log_p(&p, v);
        mc_logits_encode(w->p, (uint32_t)n, file_row);
    }
    *result = compare(&p, &q, n, target);
    return MC_OK;
}

static mc_status score_all(const window *w, unsigned char *slot, mc_err *err)
{
    const mc_judging *j = w->j;
    const size_t size = window_of(j), half = size / 2;
    const size_t row_bytes = mc_logits_row_bytes((uint32_t)w->vocabulary);
    slot_head head;
    memcpy(&head, slot, sizeof head);
    unsigned char *result = slot + sizeof head, *rows = slot + results_bytes(j);
    const size_t first = j->logits ? half : 0, end = j->logits ? size - 1 : size;
    for (size_t at = first; at < end && at + 1 < w->ids_known; at++) {
        const bool to_file = j->logits_out && at >= half && at + 1 < size;
        token_result r;
        MC_TRY(score(w, at, to_file ? rows + (at - half) * row_bytes : NULL, &r, err));
        memcpy(result + head.scored++ * sizeof r, &r, sizeof r);
    }
    memcpy(slot, &head, sizeof head);
    return MC_OK;
}

static mc_status logits_of(const mc_judging *j, mc_run *run, const float **logits, mc_err *err)
{
    *logits = NULL;
    if (!run) return MC_OK;
    const mc_nd *nd = mc_run_value(run, j->pair->graph->output[0]);
    const size_t wanted = window_of(j) * vocabulary_of(j);
    if (!nd || nd->count != wanted || mc_nd_storage(nd->dtype) != MC_F32)
        return mc_fail(err, MC_E_UNSUPPORTED, "the first output is not logits of every token");
    *logits = nd->data;
    return MC_OK;
}

static mc_status see(const mc_judging *j, mc_lane *lane, uint64_t i, mc_site_sums *sites,
                     void *slot, mc_err *err)
{
    window w = {.j = j, .i = i, .vocabulary = vocabulary_of(j)};
    mc_arena mem = lane->room.arena;
    slot_head head = {0};
    w.ids_known = mc_dataset_tokens(j->data, i, &w.ids);
    MC_TRY(mc_dataset_sample(j->data, i, &mem, lane->input, err));
    MC_TRY(mc_lane_run(j->pair, lane, sites, err));
    MC_TRY(logits_of(j, lane->original, &w.original, err));
    MC_TRY(logits_of(j, lane->container, &w.container, err));
    w.p = MC_NEW_RAW(&mem, float, w.vocabulary);
    w.p_share = MC_NEW_RAW(&mem, float, w.vocabulary);
    w.q_share = MC_NEW_RAW(&mem, float, w.vocabulary);
    if (!w.p || !w.p_share || !w.q_share) return mc_no_room(err, "a row of logits");
    if (lane->original) mc_output_see(j->pair, lane, &head.outputs);
    memcpy(slot, &head, sizeof head);
    return score_all(&w, slot, err);
}

/* ---- sums ---- */

/* NaN is above all. */
static int histogram_bin(double kl)
{
    int octave;
    const double end = ldexp(1.0, MC_KL_BINS - 41);
    if (kl <= 0.0) return 0;
    if (!(kl < end)) return MC_KL_BINS - 1;
    (void)frexp(kl, &octave);
    return octave - 1 + 40 > 0 ? octave - 1 + 40 : 0;
}

static void add(sums_of *s, const token_result *r)
{
    mc_moments_add(&s->original, r->nll_original);
    mc_moments_add(&s->container, r->nll);
    mc_moments_add(&s->difference, r->nll - r->nll_original);
    mc_moments_add(&s->kl, r->kl);
    mc_moments_add(&s->delta_p_squared, r->delta_p * r->delta_p);
    s->same += r->same;
    s->kl_max = mc_larger(s->kl_max, r->kl);
    mc_quantiles_add(&s->kl_quantiles, r->kl);
    s->kl_histogram[histogram_bin(r->kl)]++;
}

static mc_status take(mc_judging *j, uint64_t i, const void *slot, mc_err *err)
{
    sums_of *s = j->state;
    slot_head head;
    memcpy(&head, slot, sizeof head);
    const unsigned char *at = (const unsigned char *)slot + sizeof head;
    for (size_t k = 0; k < head.scored; k++) {
        token_result r;
        memcpy(&r, at + k * sizeof r, sizeof r);
        add(s, &r);
    }
    mc_output_merge(&s->outputs, &head.outputs);
    if (!j->logits_out) return MC_OK;
    const int32_t *ids;
    (void)mc_dataset_tokens(j->data, i, &ids);
    return mc_logits_out_chunk(j->logits_out, (uint32_t)i, ids,
                               (const unsigned char *)slot + results_bytes(j), err);
}

static void finish(mc_judging *j, mc_outcome *out)
{
    const sums_of *s = j->state;
    const double n = s->kl.n;
    out->n = (uint64_t)n;
    out->window = window_of(j);
    out->dropped = mc_dataset_dropped(j->data);
    out->perplexity_reference = exp(mc_mean(&s->original));
    out->perplexity_reference_se = out->perplexity_reference * mc_standard_error(&s->original);
    out->perplexity = exp(mc_mean(&s->container));
    out->perplexity_se = out->perplexity * mc_standard_error(&s->container);
    out->perplexity_ratio = exp(mc_mean(&s->difference));
    out->perplexity_ratio_se = out->perplexity_ratio * mc_standard_error(&s->difference);
    out->kl_mean = mc_mean(&s->kl);
    out->kl_mean_se = mc_standard_error(&s->kl);
    out->kl_median = mc_quantile(&s->kl_quantiles, 0.5);
    out->kl_p99 = mc_quantile(&s->kl_quantiles, 0.99);
    out->kl_max = s->kl_max;
    out->delta_p_rms = sqrt(mc_mean(&s->delta_p_squared));
    out->top1_agreement = (double)s->same / n;
    out->top1_agreement_se =
        sqrt(out->top1_agreement * (1.0 - out->top1_agreement) / (n > 1.0 ? n - 1.0 : 1.0));
    memcpy(out->kl_histogram, s->kl_histogram, sizeof out->kl_histogram);
    if (!j->logits) mc_output_finish(&s->outputs, out);
}

const mc_judge mc_judge_language = {
    .task = "language",
    .open = open_language,
    .slot_bytes = slot_bytes,
    .see = see,
    .take = take,
    .finish = finish,
};
