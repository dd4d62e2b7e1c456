/* What running the models gave, in the HTML report: key figures, tables of figures, data sets and
 * sites, and continuations to read. Drawings: report_charts_data.c. */
#include "verify/report_page.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* ---- pieces ---- */

static const mc_outcome *first_of(const mc_report *r)
{
    return r->data && r->data->outcomes ? &r->data->outcome[0] : NULL;
}

/* ---- key figures ---- */

static void begin_tile(mc_text *to, const char *title)
{
    mc_text_addf(to, "<div><dt>%s</dt><dd><b>", title);
}

static void end_tile(mc_text *to)
{
    mc_text_add(to, "</dd></div>\n");
}

static void add_answer_tiles(mc_text *to, const mc_outcome *o)
{
    const int decimals = mc_out_decimals(50.0 * (o->accuracy_drop_high - o->accuracy_drop_low));
    begin_tile(to, "Accuracy lost");
    mc_out_fixed_or_dash(to, 100.0 * o->accuracy_drop, decimals);
    mc_text_add(to, " %</b> 95 %: ");
    mc_out_fixed_or_dash(to, 100.0 * o->accuracy_drop_low, decimals);
    mc_text_add(to, " … ");
    mc_out_fixed_or_dash(to, 100.0 * o->accuracy_drop_high, decimals);
    mc_text_add(to, " %");
    end_tile(to);

    begin_tile(to, "Accuracy");
    mc_out_fixed_or_dash(to, 100.0 * o->accuracy, 2);
    mc_text_add(to, " %</b> before ");
    mc_out_fixed_or_dash(to, 100.0 * o->accuracy_reference, 2);
    mc_text_add(to, " %");
    end_tile(to);
}

static void add_language_tiles(mc_text *to, const mc_outcome *o)
{
    begin_tile(to, "Perplexity");
    mc_text_add(to, "× ");
    mc_out_fixed_or_dash(to, o->perplexity_ratio, 4);
    mc_text_add(to, "</b> ");
    mc_out_fixed_or_dash(to, o->perplexity_reference, 2);
    mc_text_add(to, " → ");
    mc_out_fixed_or_dash(to, o->perplexity, 2);
    end_tile(to);

    begin_tile(to, "KL divergence");
    mc_out_real_or_dash(to, o->kl_mean);
    mc_text_add(to, "</b> mean, nats; 99 % below ");
    mc_out_real_or_dash(to, o->kl_p99);
    end_tile(to);
}

void mc_page_data_tiles(mc_text *to, const mc_report *report)
{
    const mc_outcome *o = first_of(report);
    if (!o) return;
    mc_text_add(to, "<dl class=\"tiles\">\n");
    if (mc_outcome_has_answers(o)) add_answer_tiles(to, o);
    if (mc_outcome_is_language(o)) add_language_tiles(to, o);
    if (!isnan(o->top1_agreement)) {
        begin_tile(to, "Same choice");
        mc_out_share(to, o->top1_agreement);
        mc_text_add(to, "</b> of ");
        mc_out_grouped(to, o->n);
        end_tile(to);
    }
    if (!isnan(o->output_sqnr_db)) {
        begin_tile(to, "Outputs");
        mc_out_db(to, o->output_sqnr_db);
        mc_text_add(to, "</b> signal to noise");
        end_tile(to);
    }
    if (report->data->sites) {
        const mc_site_report *worst = &report->data->site[report->data->worst_first[0]];
        begin_tile(to, "Worst site");
        mc_out_db(to, worst->output_sqnr_db);
        mc_text_add(to, "</b> ");
        mc_page_name(to, worst->name);
        end_tile(to);
    }
    mc_text_add(to, "</dl>\n");
}

/* ---- figures of the first data set ---- */

static void begin_row(mc_text *to, const char *title)
{
    mc_text_addf(to, "<tr><th scope=\"row\">%s</th><td class=\"n\">", title);
}

static void next_cell(mc_text *to)
{
    mc_text_add(to, "</td><td class=\"n\">");
}

static void end_row(mc_text *to)
{
    mc_text_add(to, "</td></tr>\n");
}

/* A figure of the two models together. */
static void begin_joint_row(mc_text *to, const char *title)
{
    mc_text_addf(to, "<tr><th scope=\"row\">%s</th><td class=\"n\" colspan=\"3\">", title);
}

/* What was lost of a share of 1, as a change: "-0.15 %", "+0.05 %". */
static void add_change(mc_text *to, double drop)
{
    if (drop < 0.0) mc_text_add(to, "+");
    mc_out_fixed_or_dash(to, -100.0 * drop, 2);
    mc_text_add(to, " %");
}

/* A share of 1 and what was lost of it. */
static void add_share_row(mc_text *to, const char *title, double reference, double container,
                          double drop)
{
    if (isnan(container)) return;
    begin_row(to, title);
    mc_out_fixed_or_dash(to, reference, 4);
    next_cell(to);
    mc_out_fixed_or_dash(to, container, 4);
    next_cell(to);
    add_change(to, drop);
    end_row(to);
}

static void add_answer_rows(mc_text *to, const mc_outcome *o)
{
    add_share_row(to, "Accuracy", o->accuracy_reference, o->accuracy, o->accuracy_drop);
    add_share_row(to, "Right among the first five", o->top5_reference, o->top5, o->top5_drop);
    add_share_row(to, "Area under the ROC curve", o->auc_reference, o->auc, o->auc_drop);
    begin_row(to, "Expected calibration error");
    mc_out_fixed_or_dash(to, o->confidence_reference.expected_error, 4);
    next_cell(to);
    mc_out_fixed_or_dash(to, o->confidence.expected_error, 4);
    next_cell(to);
    end_row(to);
    begin_joint_row(to, "Right before and wrong now");
    mc_out_grouped(to, o->lost);
    end_row(to);
    begin_joint_row(to, "Wrong before and right now");
    mc_out_grouped(to, o->gained);
    end_row(to);
    begin_joint_row(to, "McNemar p<small>chance of a difference like this between equals</small>");
    mc_out_real_or_dash(to, o->mcnemar_p);
    end_row(to);
}

static void add_language_rows(mc_text *to, const mc_outcome *o)
{
    begin_row(to, "Perplexity");
    mc_out_with_error(to, o->perplexity_reference, o->perplexity_reference_se);
    next_cell(to);
    mc_out_with_error(to, o->perplexity, o->perplexity_se);
    next_cell(to);
    mc_text_add(to, "× ");
    mc_out_with_error(to, o->perplexity_ratio, o->perplexity_ratio_se);
    end_row(to);

    const struct {
        const char *title;
        double value;
    } rows[] = {{"KL divergence: median", o->kl_median},
                {"KL divergence: 99 % below", o->kl_p99},
                {"KL divergence: largest", o->kl_max}};
    begin_joint_row(to, "KL divergence of the next token: mean<small>in nats</small>");
    mc_out_with_error(to, o->kl_mean, o->kl_mean_se);
    end_row(to);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        begin_joint_row(to, rows[i].title);
        mc_out_real_or_dash(to, rows[i].value);
        end_row(to);
    }
    begin_joint_row(to, "Change of the right token's probability, rms");
    mc_out_share(to, o->delta_p_rms);
    end_row(to);
}

static void add_output_rows(mc_text *to, const mc_outcome *o)
{
    if (!isnan(o->top1_agreement)) {
        begin_joint_row(to, "Same first choice");
        mc_out_with_error(to, 100.0 * o->top1_agreement, 100.0 * o->top1_agreement_se);
        mc_text_add(to, " %");
        end_row(to);
    }
    if (isnan(o->output_max_abs_error)) return;
    begin_joint_row(to, "Outputs: signal to noise");
    mc_out_db(to, o->output_sqnr_db);
    end_row(to);
    begin_joint_row(to, "Outputs: largest error");
    mc_out_real(to, o->output_max_abs_error);
    end_row(to);
    begin_joint_row(to, "Outputs: cosine");
    mc_out_fixed_or_dash(to, o->output_cosine, 5);
    end_row(to);
}

static void add_work_rows(mc_text *to, const mc_report *r)
{
    const mc_data_report *d = r->data;
    const bool token = mc_outcome_is_language(&d->outcome[0]);
    if (d->macs > 0 && d->macs < UINT64_MAX) {
        begin_row(to, token ? "Multiplications of a token" : "Multiplications of a sample");
        next_cell(to);
        mc_out_grouped(to, d->macs);
        next_cell(to);
        end_row(to);
    }
    if (d->ram_bytes) {
        begin_row(to, token ? "Memory for the values of a window, f32"
                            : "Memory for the values of a sample, f32");
        next_cell(to);
        mc_text_add_size(to, d->ram_bytes);
        next_cell(to);
        end_row(to);
    }
    if (isnan(r->score)) return;
    begin_row(to, "Score");
    next_cell(to);
    mc_out_shortest(to, r->score);
    next_cell(to);
    end_row(to);
}

static void begin_table(mc_text *to, const char *id, const char *class)
{
    mc_text_addf(to,
                 "<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-labelledby=\"%s\">\n"
                 "<table class=\"%s\">\n<thead><tr>",
                 id, class);
}

static void add_heading(mc_text *to, const char *title, bool number)
{
    mc_text_addf(to, "<th scope=\"col\"%s>%s</th>", number ? " class=\"n\"" : "", title);
}

static void end_table(mc_text *to)
{
    mc_text_add(to, "</tbody>\n</table>\n</div>\n");
}

/* ---- data sets ---- */

static void add_set_figures(mc_text *to, const mc_outcome *o)
{
    if (mc_outcome_has_answers(o)) {
        mc_out_fixed_or_dash(to, o->accuracy_reference, 4);
        next_cell(to);
        mc_out_fixed_or_dash(to, o->accuracy, 4);
        next_cell(to);
        add_change(to, o->accuracy_drop);
    } else if (mc_outcome_is_language(o)) {
        mc_out_fixed_or_dash(to, o->perplexity_reference, 2);
        next_cell(to);
        mc_out_fixed_or_dash(to, o->perplexity, 2);
        next_cell(to);
        mc_text_add(to, "× ");
        mc_out_fixed_or_dash(to, o->perplexity_ratio, 4);
    } else {
        mc_text_add(to, "–");
        next_cell(to);
        mc_text_add(to, "–");
        next_cell(to);
        mc_text_add(to, "–");
    }
}

static void add_set(mc_text *to, const mc_data_report *d, size_t i)
{
    const mc_outcome *o = &d->outcome[i];
    mc_text_add(to, "<tr><th scope=\"row\">");
    mc_page_name(to, mc_out_data_name(o));
    if (mc_out_is_worst(d, i)) mc_text_add(to, "<span class=\"tag\">worst</span>");
    mc_text_addf(to, "</th><td>%s</td><td class=\"n\">", o->task);
    mc_out_grouped(to, o->n);
    next_cell(to);
    add_set_figures(to, o);
    next_cell(to);
    mc_out_real_or_dash(to, o->kl_mean);
    next_cell(to);
    mc_out_share(to, o->top1_agreement);
    next_cell(to);
    mc_out_db(to, o->output_sqnr_db);
    end_row(to);
}

static void add_sets(mc_text *to, const mc_data_report *d)
{
    static const char *const titles[] = {"Data set", "Task",        "n",
                                         "Original", "Container",   "Change",
                                         "KL mean",  "Same choice", "Outputs"};
    if (d->outcomes < 2) return;
    mc_text_add(to, "<h3 id=\"sets\">All data sets</h3>\n<p class=\"note\">Accuracy where there "
                    "are right answers, perplexity of language.</p>\n");
    begin_table(to, "sets", "figures");
    for (size_t i = 0; i < sizeof titles / sizeof *titles; i++) add_heading(to, titles[i], i >= 2);
    mc_text_add(to, "</tr></thead>\n<tbody>\n");
    for (size_t i = 0; i < d->outcomes; i++) add_set(to, d, i);
    end_table(to);
}

/* ---- the section of figures ---- */

static void add_what(mc_text *to, const mc_data_report *d)
{
    const mc_outcome *o = &d->outcome[0];
    mc_text_add(to, "<p class=\"note\">Both models on the same data: ");
    mc_page_name(to, mc_out_data_name(o));
    mc_text_addf(to, ", %s, ", o->task);
    mc_out_grouped(to, o->samples);
    if (mc_outcome_is_language(o)) {
        mc_text_add(to, " windows of ");
        mc_out_grouped(to, o->window);
        mc_text_add(to, " tokens, ");
        mc_out_grouped(to, o->n);
        mc_text_add(to, " of them scored");
        if (o->dropped) {
            mc_text_add(to, ", ");
            mc_out_grouped(to, o->dropped);
            mc_text_add(to, " left over");
        }
    } else {
        mc_text_addf(to, " sample%s", o->samples == 1 ? "" : "s");
    }
    mc_text_add(to, ". ");
    if (d->activation_bits < 16)
        mc_text_addf(to, "Activations were quantized to %u bits (%s). ", d->activation_bits,
                     d->simulated);
    mc_text_add(to, "Behind ± stands one standard error.</p>\n");
}

void mc_page_model(mc_text *to, const mc_report *report)
{
    const mc_outcome *o = first_of(report);
    if (!o) return;
    mc_text_add(to, "<section aria-labelledby=\"model\">\n<h2 id=\"model\">What the model does "
                    "now</h2>\n");
    add_what(to, report->data);
    begin_table(to, "model", "figures");
    add_heading(to, "Figure", false);
    add_heading(to, "Original", true);
    add_heading(to, "Container", true);
    add_heading(to, "Difference", true);
    mc_text_add(to, "</tr></thead>\n<tbody>\n");
    if (mc_outcome_has_answers(o)) add_answer_rows(to, o);
    if (mc_outcome_is_language(o)) add_language_rows(to, o);
    add_output_rows(to, o);
    add_work_rows(to, report);
    end_table(to);
    add_sets(to, report->data);
    mc_text_add(to, "</section>\n");
}

/* ---- continuations ---- */

/* Bytes that both texts begin with; whole characters only. */
static size_t common(const char *a, const char *b)
{
    size_t n = 0;
    while (a[n] && a[n] == b[n]) n++;
    while (n > 0 && ((unsigned char)b[n] & 0xc0) == 0x80) n--;
    return n;
}

static void add_said(mc_text *to, const char *who, const char *text, size_t same)
{
    mc_text_addf(to, "<dt>%s</dt><dd><bdi>", who);
    mc_page_prose(to, text, same);
    if (text[same]) {
        mc_text_add(to, "<mark>");
        mc_page_prose(to, text + same, strlen(text + same));
        mc_text_add(to, "</mark>");
    }
    mc_text_add(to, "</bdi></dd>\n");
}

void mc_page_continuations(mc_text *to, const mc_report *report)
{
    const mc_outcome *o = first_of(report);
    if (!o || o->continuations == 0) return;
    mc_text_add(to, "<section aria-labelledby=\"said\">\n<h2 id=\"said\">Continuations</h2>\n"
                    "<p class=\"note\">The likeliest token again and again. What the container "
                    "says otherwise is marked.</p>\n");
    for (size_t i = 0; i < o->continuations; i++) {
        const mc_continuation *c = &o->continuation[i];
        mc_text_add(to, "<dl class=\"said\">\n");
        add_said(to, "Prompt", c->prompt, strlen(c->prompt));
        add_said(to, "Original", c->reference, strlen(c->reference));
        add_said(to, "Container", c->container, common(c->reference, c->container));
        mc_text_add(to, "</dl>\n");
    }
    mc_text_add(to, "</section>\n");
}

/* ---- sites ---- */

static void begin_number(mc_text *to, double value)
{
    mc_text_add(to, "<td class=\"n\" data-v=\"");
    mc_text_add_fixed(to, value, 9); /* "inf" and "nan" the script knows */
    mc_text_add(to, "\">");
}

static void add_site(mc_text *to, const mc_site_report *s)
{
    mc_text_add(to, "<tr><th scope=\"row\" class=\"name\">");
    mc_page_name(to, s->name);
    mc_text_add(to, "<small>");
    mc_page_name(to, s->tensor);
    mc_text_add(to, "</small></th>");
    begin_number(to, s->weight_bits);
    mc_out_fixed_or_dash(to, s->weight_bits, 2);
    mc_text_add(to, "</td>");
    begin_number(to, s->input_bits);
    mc_text_addf(to, "%u</td>", s->input_bits);
    begin_number(to, s->output_sqnr_db);
    mc_out_db(to, s->output_sqnr_db);
    mc_text_add(to, "</td>");
    begin_number(to, s->own_output_sqnr_db);
    mc_out_db(to, s->own_output_sqnr_db);
    mc_text_add(to, "</td>");
    begin_number(to, (double)s->rows);
    mc_out_grouped(to, s->rows);
    mc_text_add(to, "</td></tr>\n");
}

void mc_page_site_table(mc_text *to, const mc_report *report)
{
    const mc_data_report *d = report->data;
    if (!d || d->sites == 0) return;
    mc_text_add(to, "<section class=\"long\" aria-labelledby=\"sites-all\">\n"
                    "<h2 id=\"sites-all\">All sites</h2>\n"
                    "<div class=\"wide flush\" tabindex=\"0\" role=\"region\" "
                    "aria-labelledby=\"sites-all\">\n<table class=\"tensors\">\n<thead><tr>"
                    "<th scope=\"col\" title=\"name and weight\">Site</th>"
                    "<th scope=\"col\" class=\"n\" title=\"scales, offsets and tables counted\">"
                    "Bits per weight</th>"
                    "<th scope=\"col\" class=\"n\" title=\"16: as they are\">Input bits</th>"
                    "<th scope=\"col\" class=\"n\" title=\"with the error of those before it\">"
                    "Outputs</th>"
                    "<th scope=\"col\" class=\"n\" title=\"given the original's inputs\">"
                    "Its own error</th>"
                    "<th scope=\"col\" class=\"n\" title=\"tokens or positions that reached it\">"
                    "Rows</th></tr></thead>\n<tbody>\n");
    for (size_t i = 0; i < d->sites; i++) add_site(to, &d->site[d->worst_first[i]]);
    mc_text_add(to, "</tbody>\n</table>\n</div>\n</section>\n");
}
