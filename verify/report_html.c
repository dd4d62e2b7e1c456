/* The report as one HTML page that needs no network and no script: headline, verdict, key figures,
 * gates, what the models did (report_html_data.c, report_charts_data.c), the drawings of weights
 * (report_charts.c, report_codes.c), all tensors (report_table.c), where the numbers come from. */
#include "verify/report_page.h"

#include "core/bytes.h"

#include <math.h>
#include <string.h>

/* ---- what other parts share ---- */

/* A line may break after one of `breaks`; a line break among them is shown. */
static void add_escaped(mc_text *to, const char *text, size_t n, const char *breaks)
{
    const bool is_utf8 = mc_is_utf8(text, n);
    for (const char *end = text + n; text < end; text++) {
        const unsigned char c = (unsigned char)*text;
        if (c == '\n' && strchr(breaks, c))
            mc_text_add(to, "↵");
        else if (c < 0x20 || c == 0x7f || (c >= 0x80 && !is_utf8))
            mc_text_addf(to, "\\x%02x", c);
        else if (c == '<' || c == '>' || c == '&' || c == '"' || c == '\'')
            mc_text_addf(to, "&#%d;", c);
        else
            mc_text_add_bytes(to, text, 1);
        if (text + 1 < end && strchr(breaks, *text)) mc_text_add(to, "<wbr>");
    }
}

void mc_page_text(mc_text *to, const char *text)
{
    add_escaped(to, text, strlen(text), "");
}

void mc_page_prose(mc_text *to, const char *text, size_t n)
{
    add_escaped(to, text, n, "\n");
}

void mc_page_name(mc_text *to, const char *name)
{
    mc_text_add(to, "<bdi>");
    add_escaped(to, name, strlen(name), "./");
    mc_text_add(to, "</bdi>");
}

void mc_page_percent(mc_text *to, double share)
{
    mc_text_add_fixed(to, 100.0 * share, 3);
    mc_text_add(to, "%");
}

/* Five classes from few bits to many, so that neighbours can be told apart. */
static size_t bits_class(const mc_weight_spec *spec)
{
    const double bits = mc_scheme_bits(spec);
    if (bits <= 2) return 0;
    if (bits <= 3) return 1;
    if (bits <= 4) return 2;
    return bits <= 6 ? 3 : 4;
}

const char *mc_page_bits_class(const mc_weight_spec *spec)
{
    static const char *const classes[] = {"s0", "s1", "s2", "s3", "s4"};
    return classes[bits_class(spec)];
}

void mc_page_bits_legend(mc_text *to, const mc_report *report)
{
    static const char *const texts[] = {"up to 2 bits", "3 bits", "4 bits", "5 or 6 bits",
                                        "7 or 8 bits"};
    size_t count[5] = {0};
    for (size_t i = 0; i < report->tensors; i++)
        if (mc_out_is_quantized(&report->tensor[i])) count[bits_class(report->tensor[i].spec)]++;

    size_t kinds = 0;
    for (size_t k = 0; k < 5; k++) kinds += count[k] > 0;
    if (kinds < 2) return;
    mc_text_add(to, "<ul class=\"legend\">");
    for (size_t k = 0; k < 5; k++)
        if (count[k])
            mc_text_addf(to, "<li><i class=\"swatch s%zu\"></i>%s <span>%zu</span></li>", k,
                         texts[k], count[k]);
    mc_text_add(to, "</ul>\n");
}

bool mc_page_threshold(const mc_report *report, const char *metric, double *threshold)
{
    for (size_t i = 0; i < report->gates; i++) {
        if (strcmp(report->gate[i].metric, metric) != 0) continue;
        *threshold = report->gate[i].threshold;
        return true;
    }
    return false;
}

/* ---- head ---- */

static void add_all(mc_text *to, const char *const *strings)
{
    for (size_t i = 0; strings[i]; i++) mc_text_add(to, strings[i]);
}

static void add_head(mc_text *to, const mc_report *r)
{
    mc_text_add(to, "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                    "<meta name=\"color-scheme\" content=\"light dark\">\n"
                    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
                    "style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n");
    mc_text_addf(to, "<title>%s: mcompress report</title>\n<style>\n", r->pass ? "pass" : "fail");
    add_all(to, mc_page_style);
    mc_text_add(to, "</style>\n</head>\n<body>\n");
}

static bool is_only_recorded(const mc_numerics *n)
{
    return (mc_numerics_act(n) && !n->measured) || (n->kv_bits < 16 && !n->kv_measured);
}

static void add_headline(mc_text *to, const mc_report *r)
{
    mc_text_addf(to, "<p class=\"headline%s\"><span>",
                 is_only_recorded(&r->numerics) ? " caution" : "");
    mc_page_text(to, r->headline);
    mc_text_add(to, "</span></p>\n");
}

static void add_badge(mc_text *to, const mc_report *r)
{
    size_t met = 0;
    for (size_t i = 0; i < r->gates; i++) met += r->gate[i].pass;

    mc_text_addf(
        to, "<p class=\"verdict %s\"><svg viewBox=\"0 0 24 24\" aria-hidden=\"true\">%s</svg>",
        r->pass ? "pass" : "fail",
        r->pass ? "<path d=\"M4.5 12.5l5 5 10-11\"/>" : "<path d=\"M6 6l12 12M18 6L6 18\"/>");
    mc_text_addf(to, "<strong>%s</strong>", r->pass ? "Pass" : "Fail");
    if (r->gates == 0)
        mc_text_add(to, "<span>no gates set</span></p>\n");
    else
        mc_text_addf(to, "<span>%zu of %zu gate%s met</span></p>\n", met, r->gates,
                     r->gates == 1 ? "" : "s");
}

static void add_title(mc_text *to, const mc_report *r)
{
    mc_text_add(to, "<header>\n<div>\n<p class=\"brand\"><b>mcompress</b>");
    if (r->version) {
        mc_text_add(to, " ");
        mc_page_text(to, r->version);
    }
    mc_text_add(to, "</p>\n<h1>What quantization cost</h1>\n<p class=\"lede\">");
    mc_out_grouped(to, r->parameters);
    mc_text_addf(to,
                 " parameters in %zu tensor%s: %zu quantized, %zu carried unchanged.</p>\n</div>\n",
                 r->tensors, r->tensors == 1 ? "" : "s", r->quantized, r->tensors - r->quantized);
    add_badge(to, r);
    mc_text_add(to, "</header>\n");
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

static void add_size_tiles(mc_text *to, const mc_report *r)
{
    begin_tile(to, "Size");
    if (r->source_bytes > 0 && r->container_bytes > 0) {
        const double ratio = (double)r->source_bytes / (double)r->container_bytes;
        mc_text_add_fixed(to, ratio >= 1 ? ratio : 1.0 / ratio, 2);
        mc_text_addf(to, "× <small>%s</small></b> ", ratio >= 1 ? "smaller" : "larger");
    } else {
        mc_text_add(to, "–</b> ");
    }
    mc_text_add_size(to, r->source_bytes);
    mc_text_add(to, " → ");
    mc_text_add_size(to, r->container_bytes);
    end_tile(to);
    if (r->quantized == 0) return;

    begin_tile(to, "Bits per weight");
    mc_text_add_fixed(to, r->bits_per_weight, 3);
    mc_text_add(to, "</b> scales, offsets and tables counted");
    end_tile(to);
}

static void add_error_tiles(mc_text *to, const mc_report *r)
{
    if (r->quantized == 0) return;
    if (r->edited > 0) {
        begin_tile(to, "Edited");
        mc_text_addf(to,
                     "%zu</b> of the quantized tensors, by transforms: errors of tensors are "
                     "not measured; zeros: ",
                     r->edited);
        mc_out_share(to, r->zeros);
        end_tile(to);
        return;
    }
    begin_tile(to, "Worst tensor");
    mc_out_db(to, r->min_tensor_sqnr_db);
    mc_text_add(to, "</b> ");
    if (r->worst_tensor) mc_page_name(to, r->worst_tensor);
    end_tile(to);

    begin_tile(to, "Mean SQNR");
    mc_out_db(to, r->mean_tensor_sqnr_db);
    mc_text_add(to, "</b> over the quantized tensors");
    end_tile(to);

    begin_tile(to, "Largest error");
    mc_out_real(to, r->max_abs_error);
    mc_text_add(to, "</b> of a weight; relative, of a tensor: ");
    mc_out_share(to, r->max_relative_error);
    end_tile(to);

    begin_tile(to, "Clipped");
    mc_out_share(to, r->clipped);
    mc_text_add(to, "</b> of the weights; zeros: ");
    mc_out_share(to, r->zeros);
    end_tile(to);
}

/* ---- gates ---- */

static void add_gate(mc_text *to, const mc_gate_result *g)
{
    const mc_metric *metric = mc_metric_find(g->metric);
    mc_text_addf(to, "<tr class=\"%s\"><td class=\"mark\">%s%s</td><th scope=\"row\"><code>",
                 g->pass ? "pass" : "fail", g->pass ? "✓ pass" : "✕ fail",
                 g->underpowered ? "<small>underpowered</small>" : "");
    add_escaped(to, g->metric, strlen(g->metric), "_");
    mc_text_add(to, "</code>");
    if (metric) mc_text_addf(to, "<small>%s</small>", metric->summary);
    mc_text_add(to, "</th><td class=\"n\">");
    mc_out_gate_value(to, g);
    if (g->underpowered && !isnan(g->interval)) {
        mc_text_add(to, "<small>95 % interval ±");
        mc_out_real(to, g->interval);
        mc_text_add(to, "</small>");
    }
    mc_text_add(to, "</td><td class=\"n\">");
    mc_page_text(to, strcmp(g->op, "<=") == 0 ? "≤" : strcmp(g->op, ">=") == 0 ? "≥" : g->op);
    mc_text_add(to, " ");
    if (metric) mc_out_threshold(to, metric, g->threshold);
    mc_text_add(to, "</td></tr>\n");
}

static void add_gates(mc_text *to, const mc_report *r)
{
    if (r->gates == 0) return;
    mc_text_add(to,
                "<section aria-labelledby=\"gates\">\n<h2 id=\"gates\">Gates</h2>\n"
                "<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-labelledby=\"gates\">\n"
                "<table class=\"gates\">\n<thead><tr><th scope=\"col\">Verdict</th>"
                "<th scope=\"col\">Metric</th><th scope=\"col\" class=\"n\">Value</th>"
                "<th scope=\"col\" class=\"n\">Required</th></tr></thead>\n<tbody>\n");
    for (size_t i = 0; i < r->gates; i++) add_gate(to, &r->gate[i]);
    mc_text_add(to, "</tbody>\n</table>\n</div>\n</section>\n");
}

/* ---- origin ---- */

static void add_term(mc_text *to, const char *term, const char *text, bool code)
{
    if (!text || !text[0]) return;
    mc_text_addf(to, "<dt>%s</dt><dd>%s", term, code ? "<code>" : "");
    mc_page_text(to, text);
    mc_text_addf(to, "%s</dd>\n", code ? "</code>" : "");
}

static void add_origin(mc_text *to, const mc_report *r)
{
    mc_text_add(to,
                "<section aria-labelledby=\"origin\">\n<h2 id=\"origin\">Where the numbers come "
                "from</h2>\n<dl class=\"origin\">\n");
    if (r->command && r->command[0]) {
        mc_text_add(to, "<dt>command</dt><dd><code>");
        for (size_t i = 0; r->command[i]; i++) {
            if (i) mc_text_add(to, " ");
            mc_page_text(to, r->command[i]);
        }
        mc_text_add(to, "</code></dd>\n");
    }
    add_term(to, "container", r->container_hash, true);
    add_term(to, "source", r->source_hash, true);
    add_term(to, "recipe", r->recipe_hash, true);
    for (size_t i = 0; r->data && i < r->data->outcomes; i++)
        add_term(to, "data", r->data->outcome[i].hash, true);
    add_term(to, "tool", r->version, false);
    mc_text_add(to,
                "</dl>\n<p class=\"note\">Every figure is measured on the container as it was "
                "written: decoded from its bytes and compared with the source, weight by weight. "
                "Hashes are SHA-256; that of the container is its root. SQNR is "
                "10&nbsp;log<sub>10</sub>(Σw² ∕ Σ(w−v)²): 6 dB more is half the "
                "error.</p>\n"
                "</section>\n");
}

char *mc_report_html(const mc_report *report)
{
    mc_text text;
    mc_text_open(&text);
    add_head(&text, report);
    add_headline(&text, report);
    mc_text_add(&text, "<main>\n");
    add_title(&text, report);
    mc_page_data_tiles(&text, report);
    mc_text_add(&text, "<dl class=\"tiles\">\n");
    add_size_tiles(&text, report);
    add_error_tiles(&text, report);
    mc_text_add(&text, "</dl>\n");
    add_gates(&text, report);
    mc_page_model(&text, report);
    mc_page_confidence(&text, report);
    mc_page_divergence(&text, report);
    mc_page_continuations(&text, report);
    mc_page_sites(&text, report);
    mc_page_sizes(&text, report);
    mc_page_noise(&text, report);
    mc_page_scatter(&text, report);
    mc_page_codes(&text, report);
    mc_page_tensors(&text, report);
    mc_page_site_table(&text, report);
    add_origin(&text, report);
    mc_text_add(&text, "</main>\n<script>\n");
    add_all(&text, mc_page_script);
    mc_text_add(&text, "</script>\n</body>\n</html>\n");
    return mc_text_take(&text);
}
