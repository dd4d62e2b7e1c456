/* The report for a terminal or a build log: the statement about activations first, then the
 * verdict, the totals, the gates, and what is worst: data sets, sites, tensors. */
#include "formats/json_pull.h"
#include "verify/report_text.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { COLUMNS = 9, MOST_ROWS = 10, FEW = 16, LABEL = 14 };

/* ---- colour ---- */

static void add_colored(mc_text *to, bool color, const char *code, const char *text)
{
    if (color)
        mc_text_addf(to, "\033[%sm%s\033[0m", code, text);
    else
        mc_text_add(to, text);
}

/* ---- what all parts share ---- */

void mc_lines_name(mc_text *to, const char *name)
{
    char shown[MC_QUOTE_LIMIT + 1];
    mc_text_add(to, mc_show_path(name, shown, sizeof shown));
}

/* Columns on the screen: characters of UTF-8, not bytes. */
static size_t width_of(const char *text, size_t bytes)
{
    size_t width = 0;
    for (size_t i = 0; i < bytes; i++) width += ((unsigned char)text[i] & 0xc0) != 0x80;
    return width;
}

void mc_lines_begin(mc_text *to, const char *label)
{
    mc_text_addf(to, "  %-*s", LABEL, label);
}

void mc_lines_table(mc_text *to, const mc_text *cells, size_t columns)
{
    const char *end = cells->at + cells->length;
    size_t width[MC_LINES_COLUMNS] = {0};
    size_t column = 0;
    for (const char *at = cells->at, *tab; at < end; at = tab + 1) {
        tab = memchr(at, '\t', (size_t)(end - at));
        const size_t w = width_of(at, (size_t)(tab - at));
        if (w > width[column]) width[column] = w;
        column = (column + 1) % columns;
    }
    for (const char *at = cells->at, *tab; at < end; at = tab + 1) {
        tab = memchr(at, '\t', (size_t)(end - at));
        const size_t bytes = (size_t)(tab - at);
        const size_t pad = width[column] - width_of(at, bytes);
        mc_text_add(to, "  ");
        if (column > 0) mc_text_add_repeated(to, ' ', pad);
        mc_text_add_bytes(to, at, bytes);
        if (column == 0) mc_text_add_repeated(to, ' ', pad);
        column = (column + 1) % columns;
        if (column == 0) mc_text_add(to, "\n");
    }
}

size_t mc_lines_shown(size_t entries)
{
    return entries <= FEW ? entries : MOST_ROWS;
}

/* ---- totals ---- */

static void add_sizes(mc_text *to, const mc_report *r)
{
    mc_lines_begin(to, "source");
    mc_text_add_size(to, r->source_bytes);
    mc_text_addf(to, "  (%" PRIu64 " bytes)\n", r->source_bytes);

    mc_lines_begin(to, "container");
    mc_text_add_size(to, r->container_bytes);
    mc_text_addf(to, "  (%" PRIu64 " bytes", r->container_bytes);
    if (r->source_bytes > 0) {
        const double share = (double)r->container_bytes / (double)r->source_bytes;
        mc_text_add(to, ", ");
        mc_text_add_fixed(to, 100.0 * share, 1);
        mc_text_add(to, " % of the source");
        if (r->container_bytes < r->source_bytes) {
            mc_text_add(to, ", ");
            mc_text_add_fixed(to, 1.0 / share, 2);
            mc_text_add(to, "x smaller");
        }
    }
    mc_text_add(to, ")\n");
}

static void add_edited(mc_text *to, const mc_report *r)
{
    mc_lines_begin(to, "edited");
    mc_text_addf(to,
                 "%zu of the quantized tensors, by transforms: errors of tensors are not "
                 "measured\n",
                 r->edited);
    mc_lines_begin(to, "codes");
}

static void add_errors(mc_text *to, const mc_report *r)
{
    mc_lines_begin(to, "SQNR");
    mc_out_db(to, r->min_tensor_sqnr_db);
    mc_text_add(to, " worst");
    if (r->worst_tensor) {
        mc_text_add(to, " (");
        mc_lines_name(to, r->worst_tensor);
        mc_text_add(to, ")");
    }
    mc_text_add(to, ", ");
    mc_out_db(to, r->mean_tensor_sqnr_db);
    mc_text_add(to, " mean\n");
    mc_lines_begin(to, "error");
    mc_out_real(to, r->max_abs_error);
    mc_text_add(to, " largest absolute, ");
    mc_out_share(to, r->max_relative_error);
    mc_text_add(to, " largest relative of a tensor\n");
    mc_lines_begin(to, "clipped");
    mc_out_share(to, r->clipped);
    mc_text_add(to, " of the quantized weights; ");
}

static void add_figures(mc_text *to, const mc_report *r)
{
    mc_lines_begin(to, "weights");
    mc_out_grouped(to, r->parameters);
    mc_text_addf(to, " in %zu tensor%s: %zu quantized, %zu carried unchanged\n", r->tensors,
                 r->tensors == 1 ? "" : "s", r->quantized, r->tensors - r->quantized);
    if (r->quantized == 0) return;

    mc_lines_begin(to, "bits/weight");
    mc_text_add_fixed(to, r->bits_per_weight, 3);
    mc_text_add(to, "  with scales, offsets and tables\n");
    if (r->edited > 0)
        add_edited(to, r);
    else
        add_errors(to, r);
    mc_text_add(to, "zeros ");
    mc_out_share(to, r->zeros);
    mc_text_add(to, "\n");
}

/* ---- tensors ---- */

static void add_cell(mc_text *cells, const char *text)
{
    mc_text_add(cells, text);
    mc_text_add(cells, "\t");
}

static void add_number(mc_text *cells, double value, int decimals)
{
    mc_text_add_fixed(cells, value, decimals);
    mc_text_add(cells, "\t");
}

static void add_tensor(mc_text *cells, const mc_tensor_report *t)
{
    mc_lines_name(cells, t->name);
    mc_text_add(cells, "\t");
    mc_out_bits_text(cells, t->spec);
    mc_text_add(cells, "\t");
    char group[MC_SCHEME_TEXT];
    mc_scheme_group(t->spec, group);
    mc_text_add(cells, group);
    mc_text_add(cells, "\t");
    if (t->sqnr_db == (double)INFINITY)
        add_cell(cells, "exact");
    else if (isnan(t->sqnr_db))
        add_cell(cells, "–");
    else
        add_number(cells, t->sqnr_db, 2);
    mc_out_share(cells, t->relative_error);
    mc_text_add(cells, "\t");
    mc_out_real_or_dash(cells, t->max_abs_error);
    mc_text_add(cells, "\t");
    mc_out_share(cells, t->clipped);
    mc_text_add(cells, "\t");
    mc_out_share(cells, t->zeros);
    mc_text_addf(cells, "\t%" PRIu64 "\t", t->bytes);
}

static void add_tensors(mc_text *to, const mc_report *r)
{
    if (r->quantized == 0) return;
    const size_t shown = mc_lines_shown(r->quantized);

    mc_text cells;
    mc_text_open(&cells);
    static const char *const titles[COLUMNS] = {"tensor",  "bits",       "group",
                                                "SQNR dB", "rel. error", "max error",
                                                "clipped", "zeros",      "bytes"};
    for (size_t i = 0; i < COLUMNS; i++) add_cell(&cells, titles[i]);
    for (size_t i = 0; i < shown; i++) add_tensor(&cells, &r->tensor[r->worst_first[i]]);

    mc_text_add(to,
                r->quantized == shown ? "\nquantized tensors, worst first\n" : "\nworst tensors\n");
    if (cells.failed)
        to->failed = true;
    else
        mc_lines_table(to, &cells, COLUMNS);
    mc_text_close(&cells);

    if (r->quantized > shown) {
        const mc_tensor_report *next = &r->tensor[r->worst_first[shown]];
        mc_text_addf(to, "  and %zu more from ", r->quantized - shown);
        mc_out_db(to, next->sqnr_db);
        mc_text_add(to, " up\n");
    }
}

/* ---- gates ---- */

static void add_gate_cells(mc_text *cells, const mc_gate_result *g)
{
    const mc_metric *metric = mc_metric_find(g->metric);
    mc_text_addf(cells, "%s %s", g->pass ? "pass" : "FAIL", g->metric);
    if (g->underpowered) {
        mc_text_add(cells, " (underpowered");
        if (!isnan(g->interval)) mc_text_add(cells, ": ±");
        if (!isnan(g->interval)) mc_out_real(cells, g->interval);
        mc_text_add(cells, ")");
    }
    mc_text_add(cells, "\t");
    mc_out_gate_value(cells, g);
    mc_text_addf(cells, "\t%s\t", g->op);
    if (metric) mc_out_threshold(cells, metric, g->threshold);
    mc_text_add(cells, "\t");
}

static void add_gates(mc_text *to, const mc_report *r)
{
    if (r->gates == 0) return;
    mc_text cells;
    mc_text_open(&cells);
    for (size_t i = 0; i < r->gates; i++) add_gate_cells(&cells, &r->gate[i]);
    mc_text_add(to, "\ngates\n");
    if (cells.failed)
        to->failed = true;
    else
        mc_lines_table(to, &cells, 4);
    mc_text_close(&cells);
}

static void add_verdict(mc_text *to, const mc_report *r, bool color)
{
    size_t met = 0;
    for (size_t i = 0; i < r->gates; i++) met += r->gate[i].pass;

    mc_text_add(to, "verdict: ");
    add_colored(to, color, r->pass ? "1;32" : "1;31", r->pass ? "pass" : "FAIL");
    if (r->gates == 0)
        mc_text_add(to, " (no gates)\n\n");
    else
        mc_text_addf(to, " (%zu of %zu gate%s met)\n\n", met, r->gates, r->gates == 1 ? "" : "s");
}

static void add_hashes(mc_text *to, const mc_report *r)
{
    const char *const labels[] = {"source", "container", "recipe"};
    const char *const hashes[] = {r->source_hash, r->container_hash, r->recipe_hash};
    mc_text_add(to, "\nsha-256\n");
    for (size_t i = 0; i < sizeof hashes / sizeof *hashes; i++) {
        if (!hashes[i][0]) continue;
        mc_lines_begin(to, labels[i]);
        mc_text_addf(to, "%s\n", hashes[i]);
    }
}

char *mc_report_text(const mc_report *report, bool color)
{
    mc_text text;
    mc_text_open(&text);
    add_colored(&text, color, "1", report->headline);
    mc_text_add(&text, "\n");
    add_verdict(&text, report, color);
    add_sizes(&text, report);
    add_figures(&text, report);
    mc_lines_outcome(&text, report);
    add_gates(&text, report);
    mc_lines_data_sets(&text, report);
    mc_lines_sites(&text, report);
    add_tensors(&text, report);
    mc_lines_continuations(&text, report);
    add_hashes(&text, report);
    return mc_text_take(&text);
}
