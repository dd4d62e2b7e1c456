/* What running the models gave, as JSON: "sites", "model" (the first data set), "domains" (all of
 * them). A figure that does not apply is null. */
#include "verify/text_out.h"

#include <math.h>
#include <string.h>

static const char *site_kind(mc_site_kind kind)
{
    switch (kind) {
    case MC_SITE_LINEAR: return "linear";
    case MC_SITE_CONV: return "conv";
    case MC_SITE_CONV_TRANSPOSE: return "conv-transpose";
    case MC_SITE_EMBEDDING: return "embedding";
    case MC_SITE_RECURRENT: return "recurrent";
    }
    return "unknown";
}

/* How the site took its input. */
static void add_input(mc_json_out *out, const mc_act_spec *input)
{
    static const char *const modes[] = {"float", "dynamic", "static"};
    mc_json_object(out, "input");
    mc_json_text(out, "mode", modes[input->mode]);
    mc_json_u64(out, "bits", input->mode == MC_ACT_FLOAT ? 16 : input->bits);
    mc_json_bool(out, "asymmetric", input->asymmetric);
    mc_json_bool(out, "power_of_two", input->power_of_two);
    mc_json_u64(out, "scales", input->scales);
    mc_json_u64(out, "hadamard", input->hadamard);
    mc_json_end(out);
}

static void add_site(mc_json_out *out, const mc_site_report *s)
{
    mc_json_object(out, NULL);
    mc_json_text(out, "name", s->name);
    mc_json_text(out, "kind", site_kind(s->kind));
    mc_json_text(out, "tensor", s->tensor);
    mc_out_json_db(out, "output_sqnr_db", s->output_sqnr_db);
    mc_json_num(out, "own_output_sqnr_db", s->own_output_sqnr_db);
    mc_json_u64(out, "input_bits", s->input_bits);
    add_input(out, &s->input);
    mc_json_num(out, "weight_bits", s->weight_bits);
    mc_json_u64(out, "rows", s->rows);
    mc_json_end(out);
}

static void add_confidence(mc_json_out *out, const char *key, const mc_confidence *c)
{
    mc_json_object(out, key);
    mc_json_num(out, "expected_error", c->expected_error);
    mc_json_array(out, "bins");
    for (size_t i = 0; i < MC_CONFIDENCE_BINS; i++) {
        mc_json_object(out, NULL);
        mc_json_u64(out, "n", c->n[i]);
        mc_json_u64(out, "right", c->right[i]);
        mc_json_num(out, "confidence", c->confidence[i]);
        mc_json_end(out);
    }
    mc_json_end(out);
    mc_json_end(out);
}

static void add_choices(mc_json_out *out, const mc_outcome *o)
{
    mc_json_num(out, "accuracy_reference", o->accuracy_reference);
    mc_json_num(out, "accuracy", o->accuracy);
    mc_json_num(out, "accuracy_drop", o->accuracy_drop);
    mc_json_array(out, "ci95"); /* of the drop */
    mc_json_num(out, NULL, o->accuracy_drop_low);
    mc_json_num(out, NULL, o->accuracy_drop_high);
    mc_json_end(out);
    mc_json_u64(out, "lost", o->lost);
    mc_json_u64(out, "gained", o->gained);
    mc_json_num(out, "mcnemar_p", o->mcnemar_p);
    mc_json_num(out, "top5_reference", o->top5_reference);
    mc_json_num(out, "top5", o->top5);
    mc_json_num(out, "top5_drop", o->top5_drop);
    mc_json_num(out, "auc_reference", o->auc_reference);
    mc_json_num(out, "auc", o->auc);
    mc_json_num(out, "auc_drop", o->auc_drop);
    mc_json_num(out, "calibration_error", o->confidence.expected_error);
    add_confidence(out, "confidence_reference", &o->confidence_reference);
    add_confidence(out, "confidence", &o->confidence);
}

static void add_continuations(mc_json_out *out, const mc_outcome *o)
{
    mc_json_array(out, "continuations");
    for (size_t i = 0; i < o->continuations; i++) {
        mc_json_object(out, NULL);
        mc_json_text(out, "prompt", o->continuation[i].prompt);
        mc_json_text(out, "reference", o->continuation[i].reference);
        mc_json_text(out, "container", o->continuation[i].container);
        mc_json_end(out);
    }
    mc_json_end(out);
}

static void add_language(mc_json_out *out, const mc_outcome *o)
{
    mc_json_u64(out, "window", o->window);
    mc_json_u64(out, "dropped_tokens", o->dropped);
    mc_json_num(out, "perplexity_reference", o->perplexity_reference);
    mc_json_num(out, "perplexity_reference_se", o->perplexity_reference_se);
    mc_json_num(out, "perplexity", o->perplexity);
    mc_json_num(out, "perplexity_se", o->perplexity_se);
    mc_json_num(out, "perplexity_ratio", o->perplexity_ratio);
    mc_json_num(out, "perplexity_ratio_se", o->perplexity_ratio_se);
    mc_json_num(out, "kl_mean", o->kl_mean);
    mc_json_num(out, "kl_mean_se", o->kl_mean_se);
    mc_json_num(out, "kl_median", o->kl_median);
    mc_json_num(out, "kl_p99", o->kl_p99);
    mc_json_num(out, "kl_max", o->kl_max);
    mc_json_num(out, "delta_p_rms", o->delta_p_rms);
    mc_json_array(out, "kl_histogram");
    for (size_t i = 0; i < MC_KL_BINS; i++) mc_json_u64(out, NULL, o->kl_histogram[i]);
    mc_json_end(out);
    add_continuations(out, o);
}

/* Figures of all data sets together, and the score. */
static void add_of_all(mc_json_out *out, const mc_report *r)
{
    static const char *const names[] = {"worst_accuracy_drop", "worst_perplexity_ratio",
                                        "worst_kl_mean", "score"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        double value;
        if (mc_report_metric(r, names[i], &value) && !isnan(value))
            mc_json_num(out, names[i], value);
    }
}

/* `whole`: the report when this is its "model". */
static void add_outcome(mc_json_out *out, const char *key, const mc_outcome *o,
                        const mc_report *whole)
{
    mc_json_object(out, key);
    mc_json_text(out, "name", o->name[0] ? o->name : NULL);
    mc_json_text(out, "task", o->task);
    mc_json_u64(out, "n", o->n);
    mc_json_u64(out, "samples", o->samples);
    mc_json_text(out, "hash", o->hash);
    mc_out_json_db(out, "output_sqnr_db", o->output_sqnr_db);
    mc_json_num(out, "output_max_abs_error", o->output_max_abs_error);
    mc_json_num(out, "output_cosine", o->output_cosine);
    mc_json_num(out, "top1_agreement", o->top1_agreement);
    mc_json_num(out, "top1_agreement_se", o->top1_agreement_se);
    if (mc_outcome_has_answers(o)) add_choices(out, o);
    if (mc_outcome_is_language(o)) add_language(out, o);
    if (whole) add_of_all(out, whole);
    mc_json_end(out);
}

void mc_report_json_data(mc_json_out *out, const mc_report *r)
{
    const mc_data_report *d = r->data;
    mc_json_array(out, "sites");
    for (size_t i = 0; d && i < d->sites; i++) add_site(out, &d->site[i]);
    mc_json_end(out);
    if (!d || d->outcomes == 0) {
        mc_json_null(out, "model");
        return;
    }
    add_outcome(out, "model", &d->outcome[0], r);
    if (d->outcomes == 1) return;
    mc_json_array(out, "domains");
    for (size_t i = 0; i < d->outcomes; i++) add_outcome(out, NULL, &d->outcome[i], NULL);
    mc_json_end(out);
}
