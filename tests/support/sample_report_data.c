/* The part of a made-up report that comes from running the models. Figures hang together: shares,
 * counts, intervals and histograms are of the same samples. */
#include "tests/support/sample_report.h"

#include "core/act.h"
#include "verify/judge.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *or_abort(void *memory)
{
    if (memory) return memory;
    fputs("sample_report_data: no room\n", stderr);
    abort();
}

mc_data_report *sample_report_data(sample_report *sample)
{
    return (mc_data_report *)sample->report.data;
}

/* Sites behind each other: the noise of those before adds to a site's own. */
static void add_sites(sample_report *sample, mc_data_report *d)
{
    mc_arena *mem = &sample->memory.arena;
    mc_report *r = &sample->report;
    d->site = or_abort(MC_NEW(mem, mc_site_report, r->tensors));
    for (size_t i = 0; i < r->tensors; i++) {
        const mc_tensor_report *t = &r->tensor[i];
        if (t->spec->form != MC_FORM_QUANTIZED) continue;
        const double before = 4.0 * (double)d->sites / (double)r->tensors;
        char *name = or_abort(mc_copy_text(mem, t->name, strlen(t->name) - strlen(".weight")));
        d->site[d->sites++] = (mc_site_report){
            .name = name,
            .tensor = t->name,
            .kind = strstr(name, "embed") ? MC_SITE_EMBEDDING : MC_SITE_LINEAR,
            .input_bits = strstr(name, "embed") ? 16 : 8,
            .input = strstr(name, "embed") ? (mc_act_spec){0} : mc_act_dynamic(8),
            .weight_bits = t->bits_per_weight,
            .rows = 1536,
            .output_sqnr_db = t->sqnr_db + 1.5 - before,
            .own_output_sqnr_db = t->sqnr_db + 2.0,
        };
    }
    size_t *order = or_abort(MC_NEW(mem, size_t, d->sites + 1));
    for (size_t i = 0; i < d->sites; i++) {
        size_t at = i;
        for (; at > 0 && d->site[order[at - 1]].output_sqnr_db > d->site[i].output_sqnr_db; at--)
            order[at] = order[at - 1];
        order[at] = i;
    }
    d->worst_first = order;
    d->site_samples = 12;
}

static mc_data_report *open_data(sample_report *sample, size_t outcomes)
{
    mc_arena *mem = &sample->memory.arena;
    mc_data_report *d = or_abort(MC_NEW(mem, mc_data_report, 1));
    d->outcome = or_abort(MC_NEW(mem, mc_outcome, outcomes));
    d->outcomes = outcomes;
    d->simulated = "fake-quant";
    d->activation_bits = 8;
    d->ram_bytes = 4456768;
    for (size_t i = 0; i < outcomes; i++) mc_outcome_clear(&d->outcome[i]);
    add_sites(sample, d);
    sample->report.data = d;
    sample->report.numerics.measured = true;
    mc_numerics_headline(&sample->report.numerics, sample->report.headline);
    return d;
}

static void fill_language(mc_outcome *o, const char *name, const char *path, double ratio)
{
    o->name = name;
    o->path = path;
    o->task = "language";
    o->samples = 12;
    o->window = 128;
    o->n = 1536;
    o->dropped = 79;
    memset(o->hash, 'd', MC_SHA256_HEX - 1);
    o->output_sqnr_db = 28.119;
    o->output_max_abs_error = 1.4515;
    o->output_cosine = 0.999236;
    o->top1_agreement = 1446.0 / 1536.0;
    o->top1_agreement_se = 0.006;
    o->perplexity_reference = 23.062;
    o->perplexity_reference_se = 1.6463;
    o->perplexity = 23.062 * ratio;
    o->perplexity_se = 1.6501;
    o->perplexity_ratio = ratio;
    o->perplexity_ratio_se = 0.0027;
    o->kl_mean = 0.005725;
    o->kl_mean_se = 0.000178;
    o->kl_median = 0.003862;
    o->kl_p99 = 0.034824;
    o->kl_max = 0.068335;
    o->delta_p_rms = 0.015762;
    static const uint64_t histogram[] = {1,  15,  41,  69,  22,  6,  7,  21,
                                         58, 144, 395, 421, 247, 68, 19, 2};
    memcpy(o->kl_histogram + 21, histogram, sizeof histogram);
}

void sample_report_language(sample_report *sample)
{
    mc_data_report *d = open_data(sample, 2);
    d->macs = 4456448;
    fill_language(&d->outcome[0], "wiki", "wiki.txt", 1.0020);
    fill_language(&d->outcome[1], "", "code/*.c", 1.0311);
    mc_outcome *o = &d->outcome[0];
    o->continuations = 2;
    o->continuation[0] = (mc_continuation){"Once upon a time", " there was a king\nand a queen",
                                           " there was a kingdom"};
    o->continuation[1] = (mc_continuation){"The end", " of it", " of it"};
}

/* Confidences at the middle of their bins; `right` of all samples. */
static void fill_confidence(mc_confidence *c, uint64_t all, uint64_t right)
{
    const uint64_t unsure = (all - right) * 2, sure = all - unsure;
    c->n[5] = unsure;
    c->right[5] = unsure / 2;
    c->confidence[5] = 0.55;
    c->n[9] = sure;
    c->right[9] = right - unsure / 2;
    c->confidence[9] = 0.97;
    c->expected_error =
        (fabs((double)c->right[5] - 0.55 * (double)unsure) + (1.0 - 0.97) * (double)sure) /
        (double)all;
}

void sample_report_classes(sample_report *sample)
{
    mc_data_report *d = open_data(sample, 1);
    mc_outcome *o = &d->outcome[0];
    d->macs = 786560;
    o->path = "eval.npz";
    o->task = "classification";
    o->samples = o->n = 2000;
    memset(o->hash, 'd', MC_SHA256_HEX - 1);
    o->output_sqnr_db = 33.456;
    o->output_max_abs_error = 0.2117;
    o->output_cosine = 0.999774;
    o->accuracy_reference = 0.981;
    o->accuracy = 0.9795;
    o->accuracy_drop = 0.0015;
    o->lost = 9;
    o->gained = 6;
    o->mcnemar_p = mc_mcnemar_exact(9, 6);
    mc_paired_interval(9, 6, 2000, &o->accuracy_drop_low, &o->accuracy_drop_high);
    o->top5_reference = 0.999;
    o->top5 = 0.9985;
    o->top5_drop = 0.0005;
    o->top1_agreement = 1983.0 / 2000.0;
    o->top1_agreement_se = sqrt(o->top1_agreement * (1.0 - o->top1_agreement) / 1999.0);
    fill_confidence(&o->confidence_reference, 2000, 1962);
    fill_confidence(&o->confidence, 2000, 1959);
}

void sample_report_gates_on_data(sample_report *sample)
{
    static const char *const texts[] = {"top1_agreement >= 0.9", "accuracy_drop <= 0.002",
                                        "kl_mean <= 0.0001"};
    mc_gate gate[3];
    mc_err err = {0};
    mc_arena *mem = &sample->memory.arena;
    for (size_t i = 0; i < 3; i++)
        if (mc_gate_parse(texts[i], mem, &gate[i], &err) != MC_OK) abort();
    if (mc_gates_apply(gate, 3, mem, &sample->report, &err) != MC_OK) abort();
}
