/* What running the models gave, in the text report: lines among the totals, a table of data sets,
 * one of sites, continuations to read. Behind a mean stands one standard error. */
#include "verify/report_text.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { SITE_COLUMNS = 6, SET_COLUMNS = 9 };

/* ---- pieces of a line ---- */

static void add_all(mc_text *to, const char *const *texts, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        mc_text_add(to, texts[i]);
        mc_text_add(to, "\t");
    }
}

/* "23.06 -> 23.11" */
static void add_pair(mc_text *to, double reference, double container, int decimals)
{
    mc_out_fixed_or_dash(to, reference, decimals);
    mc_text_add(to, " -> ");
    mc_out_fixed_or_dash(to, container, decimals);
}

static void add_count(mc_text *to, uint64_t n, const char *of)
{
    mc_out_grouped(to, n);
    mc_text_addf(to, " %s%s", of, n == 1 ? "" : "s");
}

/* ---- totals ---- */

static void add_what(mc_text *to, const mc_data_report *d)
{
    const mc_outcome *o = &d->outcome[0];
    mc_lines_begin(to, "data");
    mc_lines_name(to, mc_out_data_name(o));
    mc_text_addf(to, ": %s, ", o->task);
    if (mc_outcome_is_language(o)) {
        add_count(to, o->samples, "window");
        mc_text_add(to, " of ");
        add_count(to, o->window, "token");
        if (o->dropped) {
            mc_text_add(to, ", ");
            mc_out_grouped(to, o->dropped);
            mc_text_add(to, " left over");
        }
    } else {
        add_count(to, o->samples, "sample");
    }
    if (d->activation_bits < 16)
        mc_text_addf(to, ", activations of %u bits (%s)", d->activation_bits, d->simulated);
    if (d->outcomes > 1) mc_text_addf(to, "; the first of %zu data sets", d->outcomes);
    mc_text_add(to, "\n");
}

static void add_drop(mc_text *to, double drop, int decimals)
{
    mc_text_add(to, ", drop ");
    mc_out_fixed_or_dash(to, 100.0 * drop, decimals);
    mc_text_add(to, " %");
}

static void add_answers(mc_text *to, const mc_outcome *o)
{
    const int decimals = mc_out_decimals(50.0 * (o->accuracy_drop_high - o->accuracy_drop_low));
    mc_lines_begin(to, "accuracy");
    add_pair(to, o->accuracy_reference, o->accuracy, 4);
    add_drop(to, o->accuracy_drop, decimals);
    mc_text_add(to, " (95 % interval ");
    mc_out_fixed_or_dash(to, 100.0 * o->accuracy_drop_low, decimals);
    mc_text_add(to, " … ");
    mc_out_fixed_or_dash(to, 100.0 * o->accuracy_drop_high, decimals);
    mc_text_add(to, " %), McNemar p ");
    mc_out_real(to, o->mcnemar_p);
    mc_text_add(to, ", n ");
    mc_out_grouped(to, o->n);
    mc_text_add(to, "\n");

    mc_lines_begin(to, "answers");
    mc_out_grouped(to, o->lost);
    mc_text_add(to, " right before and wrong now, ");
    mc_out_grouped(to, o->gained);
    mc_text_add(to, " the reverse\n");

    if (!isnan(o->top5)) {
        mc_lines_begin(to, "top 5");
        add_pair(to, o->top5_reference, o->top5, 4);
        add_drop(to, o->top5_drop, decimals);
        mc_text_add(to, "\n");
    }
    if (!isnan(o->auc)) {
        mc_lines_begin(to, "ROC area");
        add_pair(to, o->auc_reference, o->auc, 4);
        add_drop(to, o->auc_drop, decimals);
        mc_text_add(to, "\n");
    }
    mc_lines_begin(to, "confidence");
    add_pair(to, o->confidence_reference.expected_error, o->confidence.expected_error, 4);
    mc_text_add(to, " expected calibration error\n");
}

static void add_language(mc_text *to, const mc_outcome *o)
{
    mc_lines_begin(to, "perplexity");
    add_pair(to, o->perplexity_reference, o->perplexity, 2);
    mc_text_add(to, ", ratio ");
    mc_out_with_error(to, o->perplexity_ratio, o->perplexity_ratio_se);
    mc_text_add(to, " (standard error), ");
    add_count(to, o->n, "token");
    mc_text_add(to, "\n");

    mc_lines_begin(to, "KL");
    mc_out_with_error(to, o->kl_mean, o->kl_mean_se);
    mc_text_add(to, " mean, ");
    mc_out_real_or_dash(to, o->kl_median);
    mc_text_add(to, " median, ");
    mc_out_real_or_dash(to, o->kl_p99);
    mc_text_add(to, " p99, ");
    mc_out_real_or_dash(to, o->kl_max);
    mc_text_add(to, " max, nats\n");
}

static void add_outputs(mc_text *to, const mc_outcome *o)
{
    if (!isnan(o->top1_agreement)) {
        mc_lines_begin(to, "same choice");
        mc_out_with_error(to, 100.0 * o->top1_agreement, 100.0 * o->top1_agreement_se);
        mc_text_add(to, " %");
        if (!isnan(o->delta_p_rms)) {
            mc_text_add(to, "; the right token's probability moved by ");
            mc_out_share(to, o->delta_p_rms);
            mc_text_add(to, " (rms)");
        }
        mc_text_add(to, "\n");
    }
    if (isnan(o->output_max_abs_error)) return;
    mc_lines_begin(to, "outputs");
    mc_out_db(to, o->output_sqnr_db);
    mc_text_add(to, " SQNR, ");
    mc_out_real(to, o->output_max_abs_error);
    mc_text_add(to, " largest error, ");
    mc_out_fixed_or_dash(to, o->output_cosine, 5);
    mc_text_add(to, " cosine\n");
}

static void add_work(mc_text *to, const mc_data_report *d, bool token)
{
    const bool macs = d->macs > 0 && d->macs < UINT64_MAX;
    if (!macs && d->ram_bytes == 0) return;
    mc_lines_begin(to, "work");
    if (macs) {
        mc_out_grouped(to, d->macs);
        mc_text_addf(to, " multiplications a %s", token ? "token" : "sample");
    }
    if (d->ram_bytes) {
        if (macs) mc_text_add(to, ", ");
        mc_text_add_size(to, d->ram_bytes);
        mc_text_addf(to, " for the values of a %s in f32", token ? "window" : "sample");
    }
    mc_text_add(to, "\n");
}

void mc_lines_outcome(mc_text *to, const mc_report *report)
{
    const mc_data_report *d = report->data;
    if (!d || d->outcomes == 0) return;
    const mc_outcome *o = &d->outcome[0];
    add_what(to, d);
    if (mc_outcome_has_answers(o)) add_answers(to, o);
    if (mc_outcome_is_language(o)) add_language(to, o);
    add_outputs(to, o);
    add_work(to, d, mc_outcome_is_language(o));
    if (isnan(report->score)) return;
    mc_lines_begin(to, "score");
    mc_out_shortest(to, report->score);
    mc_text_add(to, "\n");
}

/* ---- data sets ---- */

static void add_set_figures(mc_text *cells, const mc_outcome *o)
{
    if (mc_outcome_has_answers(o)) {
        mc_out_fixed_or_dash(cells, o->accuracy_reference, 4);
        mc_text_add(cells, "\t");
        mc_out_fixed_or_dash(cells, o->accuracy, 4);
        mc_text_add(cells, "\t");
        mc_out_fixed_or_dash(cells, 100.0 * o->accuracy_drop, 2);
        mc_text_add(cells, " %\t");
    } else if (mc_outcome_is_language(o)) {
        mc_out_fixed_or_dash(cells, o->perplexity_reference, 2);
        mc_text_add(cells, "\t");
        mc_out_fixed_or_dash(cells, o->perplexity, 2);
        mc_text_add(cells, "\t");
        mc_out_fixed_or_dash(cells, o->perplexity_ratio, 4);
        mc_text_add(cells, "\t");
    } else {
        mc_text_add(cells, "–\t–\t–\t");
    }
}

static void add_set(mc_text *cells, const mc_data_report *d, size_t i)
{
    const mc_outcome *o = &d->outcome[i];
    mc_lines_name(cells, mc_out_data_name(o));
    mc_text_addf(cells, "%s\t%s\t", mc_out_is_worst(d, i) ? "  (worst)" : "", o->task);
    mc_out_grouped(cells, o->n);
    mc_text_add(cells, "\t");
    add_set_figures(cells, o);
    mc_out_real_or_dash(cells, o->kl_mean);
    mc_text_add(cells, "\t");
    mc_out_share(cells, o->top1_agreement);
    mc_text_add(cells, "\t");
    mc_out_db(cells, o->output_sqnr_db);
    mc_text_add(cells, "\t");
}

void mc_lines_data_sets(mc_text *to, const mc_report *report)
{
    static const char *const titles[SET_COLUMNS] = {"data set", "task",        "n",
                                                    "original", "container",   "drop, or ratio",
                                                    "KL mean",  "same choice", "outputs"};
    const mc_data_report *d = report->data;
    if (!d || d->outcomes < 2) return;
    mc_text cells;
    mc_text_open(&cells);
    add_all(&cells, titles, SET_COLUMNS);
    for (size_t i = 0; i < d->outcomes; i++) add_set(&cells, d, i);
    mc_text_add(to, "\ndata sets, accuracy or perplexity\n");
    if (cells.failed)
        to->failed = true;
    else
        mc_lines_table(to, &cells, SET_COLUMNS);
    mc_text_close(&cells);
}

/* ---- sites ---- */

static void add_db_cell(mc_text *cells, double db)
{
    if (db == (double)INFINITY)
        mc_text_add(cells, "exact");
    else
        mc_out_fixed_or_dash(cells, db, 2);
    mc_text_add(cells, "\t");
}

static void add_site(mc_text *cells, const mc_site_report *s)
{
    mc_lines_name(cells, s->name);
    mc_text_add(cells, "\t");
    mc_out_fixed_or_dash(cells, s->weight_bits, 2);
    mc_text_addf(cells, "\t%u\t", s->input_bits);
    add_db_cell(cells, s->output_sqnr_db);
    add_db_cell(cells, s->own_output_sqnr_db);
    mc_out_grouped(cells, s->rows);
    mc_text_add(cells, "\t");
}

void mc_lines_sites(mc_text *to, const mc_report *report)
{
    static const char *const titles[SITE_COLUMNS] = {"site",    "weight bits", "input bits",
                                                     "SQNR dB", "its own dB",  "rows"};
    const mc_data_report *d = report->data;
    if (!d || d->sites == 0) return;
    const size_t shown = mc_lines_shown(d->sites);
    mc_text cells;
    mc_text_open(&cells);
    add_all(&cells, titles, SITE_COLUMNS);
    for (size_t i = 0; i < shown; i++) add_site(&cells, &d->site[d->worst_first[i]]);
    mc_text_addf(to, "\n%s, by their outputs on ",
                 shown < d->sites ? "worst sites" : "sites, worst first");
    add_count(to, d->site_samples, "sample");
    mc_text_add(to, " (its own: without the error of those before it)\n");
    if (cells.failed)
        to->failed = true;
    else
        mc_lines_table(to, &cells, SITE_COLUMNS);
    mc_text_close(&cells);
    if (shown == d->sites) return;
    mc_text_addf(to, "  and %zu more from ", d->sites - shown);
    mc_out_db(to, d->site[d->worst_first[shown]].output_sqnr_db);
    mc_text_add(to, " up\n");
}

/* ---- continuations ---- */

static void add_continued(mc_text *to, const char *label, const char *text)
{
    mc_lines_begin(to, label);
    mc_lines_name(to, text);
    mc_text_add(to, "\n");
}

void mc_lines_continuations(mc_text *to, const mc_report *report)
{
    const mc_data_report *d = report->data;
    if (!d || d->outcomes == 0) return;
    const mc_outcome *o = &d->outcome[0];
    for (size_t i = 0; i < o->continuations; i++) {
        const mc_continuation *c = &o->continuation[i];
        mc_text_add(to, i ? "\n" : "\ngreedy continuations\n");
        add_continued(to, "prompt", c->prompt);
        add_continued(to, "original", c->reference);
        add_continued(to, "container",
                      strcmp(c->reference, c->container) == 0 ? "the same" : c->container);
    }
}
