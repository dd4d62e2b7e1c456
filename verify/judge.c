/* What judges share, and the judge of models without a task: how far the outputs moved. */
#include "verify/judge.h"

#include "core/ops/op_math_shared.h"

#include <math.h>
#include <string.h>

void mc_outcome_clear(mc_outcome *o)
{
    const double none = (double)NAN;
    *o = (mc_outcome){.name = "", .path = "", .task = ""};
    o->output_sqnr_db = o->output_max_abs_error = o->output_cosine = none;
    o->accuracy_reference = o->accuracy = o->accuracy_drop = none;
    o->top5_reference = o->top5 = o->top5_drop = none;
    o->auc_reference = o->auc = o->auc_drop = none;
    o->accuracy_drop_low = o->accuracy_drop_high = o->mcnemar_p = none;
    o->top1_agreement = o->top1_agreement_se = none;
    o->confidence.expected_error = o->confidence_reference.expected_error = none;
    o->perplexity_reference = o->perplexity_reference_se = none;
    o->perplexity = o->perplexity_se = o->perplexity_ratio = o->perplexity_ratio_se = none;
    o->kl_mean = o->kl_mean_se = o->kl_median = o->kl_p99 = o->kl_max = o->delta_p_rms = none;
}

mc_status mc_judge_input(const mc_judging *j, mc_lane *lane, uint64_t i, mc_err *err)
{
    mc_arena mem = lane->room.arena;
    return mc_dataset_sample(j->data, i, &mem, lane->input, err);
}

/* ---- outputs as numbers ---- */

/* f32 in eight lanes, added in an order that n fixes. */
static void see_floats(const float *a, const float *b, size_t n, mc_output_sums *s)
{
    enum { LANES = 8 };
    double yy[LANES] = {0}, zz[LANES] = {0}, yz[LANES] = {0}, ee[LANES] = {0};
    float most[LANES] = {0};
    for (size_t i = 0; i < n; i += LANES) {
        const size_t lanes = n - i < LANES ? n - i : LANES;
        for (size_t k = 0; k < lanes; k++) {
            const double y = (double)a[i + k], z = (double)b[i + k];
            const float e = fabsf(a[i + k] - b[i + k]);
            yy[k] += y * y;
            zz[k] += z * z;
            yz[k] += y * z;
            ee[k] += (double)e * (double)e;
            most[k] = e <= most[k] ? most[k] : e; /* NaN stays */
        }
    }
    for (size_t k = 0; k < LANES; k++) {
        const mc_output_sums lane = {yy[k], zz[k], yz[k], ee[k], (double)most[k]};
        mc_output_merge(s, &lane);
    }
}

static void see_values(const mc_nd *a, const mc_nd *b, mc_output_sums *s)
{
    if (mc_nd_storage(a->dtype) == MC_F32) {
        see_floats(a->data, b->data, a->count, s);
        return;
    }
    for (size_t i = 0; i < a->count; i++) {
        const double y = mc_nd_real(a, i), z = mc_nd_real(b, i);
        const double e = fabs(y - z);
        s->yy += y * y;
        s->zz += z * z;
        s->yz += y * z;
        s->ee += e * e;
        s->max_abs = mc_larger(s->max_abs, e);
    }
}

void mc_output_see(const mc_pair_of_models *pair, const mc_lane *lane, mc_output_sums *sums)
{
    for (size_t i = 0; i < pair->graph->outputs; i++) {
        const mc_id id = pair->graph->output[i];
        const mc_nd *a = mc_run_value(lane->original, id);
        const mc_nd *b = mc_run_value(lane->container, id);
        if (!a || !b || a->kind != MC_ND_TENSOR || !a->data || !b->data) continue;
        if (a->dtype != MC_STRING && a->dtype == b->dtype && mc_nd_same_shape(a, b))
            see_values(a, b, sums);
    }
}

void mc_output_merge(mc_output_sums *to, const mc_output_sums *from)
{
    to->yy += from->yy;
    to->zz += from->zz;
    to->yz += from->yz;
    to->ee += from->ee;
    to->max_abs = mc_larger(to->max_abs, from->max_abs);
}

void mc_output_finish(const mc_output_sums *s, mc_outcome *out)
{
    out->output_sqnr_db = s->ee == 0.0 ? (double)INFINITY : 10.0 * log10(s->yy / s->ee);
    out->output_max_abs_error = s->max_abs;
    out->output_cosine = s->yy == 0.0 && s->zz == 0.0 ? 1.0 : s->yz / sqrt(s->yy * s->zz);
}

double mc_log_sum_exp(const float *x, size_t n, float *share, size_t *largest)
{
    const float most = mc_max_f32(x, n);
    size_t at = 0;
    while (at + 1 < n && x[at] != most) at++;
    *largest = at;
    return (double)most + log(mc_exp_sum_f32(x, share, n, most));
}

/* ---- right and wrong ---- */

void mc_right_add(mc_right_counts *r, bool original, bool container, bool agree)
{
    r->n++;
    r->original += original;
    r->container += container;
    r->lost += original && !container;
    r->gained += container && !original;
    r->agree += agree;
}

static double share(uint64_t part, uint64_t of)
{
    return of ? (double)part / (double)of : (double)NAN;
}

void mc_right_finish(const mc_right_counts *r, mc_outcome *out)
{
    out->accuracy_reference = share(r->original, r->n);
    out->accuracy = share(r->container, r->n);
    out->accuracy_drop = r->n ? ((double)r->lost - (double)r->gained) / (double)r->n : (double)NAN;
    out->lost = r->lost;
    out->gained = r->gained;
    out->mcnemar_p = mc_mcnemar_exact(r->lost, r->gained);
    mc_paired_interval(r->lost, r->gained, r->n, &out->accuracy_drop_low, &out->accuracy_drop_high);
    out->top1_agreement = share(r->agree, r->n);
    const double p = out->top1_agreement;
    out->top1_agreement_se = r->n > 1 ? sqrt(p * (1.0 - p) / (double)(r->n - 1)) : (double)NAN;
}

void mc_confidence_add(mc_confidence *c, double confidence, bool right)
{
    if (!(confidence >= 0.0)) return;
    int bin = (int)(confidence * MC_CONFIDENCE_BINS);
    if (bin >= MC_CONFIDENCE_BINS) bin = MC_CONFIDENCE_BINS - 1;
    c->n[bin]++;
    c->right[bin] += right;
    c->confidence[bin] += confidence; /* a sum until finish */
}

void mc_confidence_finish(mc_confidence *c)
{
    double all = 0.0, error = 0.0;
    for (int b = 0; b < MC_CONFIDENCE_BINS; b++) {
        const double n = (double)c->n[b];
        if (c->n[b] == 0) continue;
        error += fabs((double)c->right[b] - c->confidence[b]);
        c->confidence[b] /= n;
        all += n;
    }
    c->expected_error = all > 0.0 ? error / all : (double)NAN;
}

void mc_answers_finish(mc_answer_sums *s, mc_outcome *out)
{
    out->n = s->right.n;
    mc_right_finish(&s->right, out);
    mc_output_finish(&s->outputs, out);
    mc_confidence_finish(&s->original);
    mc_confidence_finish(&s->container);
    out->confidence_reference = s->original;
    out->confidence = s->container;
}

/* ---- the judge of outputs alone ---- */

static mc_status open_outputs(mc_judging *j, mc_arena *mem, mc_err *err)
{
    j->state = MC_NEW(mem, mc_output_sums, 1);
    return j->state ? MC_OK : mc_no_room(err, "sums");
}

static size_t slot_bytes(const mc_judging *j)
{
    (void)j;
    return sizeof(mc_output_sums);
}

static mc_status see(const mc_judging *j, mc_lane *lane, uint64_t i, mc_site_sums *sites,
                     void *slot, mc_err *err)
{
    mc_output_sums sums = {0};
    MC_TRY(mc_judge_input(j, lane, i, err));
    MC_TRY(mc_lane_run(j->pair, lane, sites, err));
    mc_output_see(j->pair, lane, &sums);
    memcpy(slot, &sums, sizeof sums);
    return MC_OK;
}

static mc_status take(mc_judging *j, uint64_t i, const void *slot, mc_err *err)
{
    (void)i;
    (void)err;
    mc_output_merge(j->state, slot);
    return MC_OK;
}

static void finish(mc_judging *j, mc_outcome *out)
{
    out->n = j->samples;
    mc_output_finish(j->state, out);
}

const mc_judge mc_judge_outputs = {
    .task = "outputs",
    .open = open_outputs,
    .slot_bytes = slot_bytes,
    .see = see,
    .take = take,
    .finish = finish,
};
