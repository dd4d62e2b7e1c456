/* Drawings of what running the models gave: confidence against accuracy, the divergence of the next
 * token, the error at every site. */
#include "verify/report_page.h"

#include <inttypes.h>
#include <math.h>

enum { MOST_DOTS = 1000, FEW_DOTS = 100, FEWEST_DOTS = 6, STRIP = 64 };

/* Texts of grid lines stand at the left of what is plotted. */
static double across(double share)
{
    return 0.06 + 0.93 * share;
}

static const mc_outcome *first_of(const mc_report *r)
{
    return r->data && r->data->outcomes ? &r->data->outcome[0] : NULL;
}

static void add_x_text(mc_text *to, double x, int y)
{
    mc_text_add(to, "<text x=\"");
    mc_page_percent(to, x);
    mc_text_addf(to, "\" y=\"%d\" text-anchor=\"middle\">", y);
}

static void add_link(mc_text *to, const char *class, const double from[2], const double end[2])
{
    mc_text_addf(to, "<line class=\"%s\" x1=\"", class);
    mc_page_percent(to, from[0]);
    mc_text_add(to, "\" x2=\"");
    mc_page_percent(to, end[0]);
    mc_text_add(to, "\" y1=\"");
    mc_text_add_fixed(to, from[1], 1);
    mc_text_add(to, "\" y2=\"");
    mc_text_add_fixed(to, end[1], 1);
    mc_text_add(to, "\"/>");
}

static void begin_dot(mc_text *to, const char *class, double x, double y)
{
    mc_text_addf(to, "<circle class=\"%s\" r=\"4\" cx=\"", class);
    mc_page_percent(to, x);
    mc_text_add(to, "\" cy=\"");
    mc_text_add_fixed(to, y, 1);
    mc_text_add(to, "\"><title>");
}

static void begin_rect(mc_text *to, const char *class, double x, double width, double height,
                       double foot)
{
    mc_text_addf(to, "<rect class=\"%s\" x=\"", class);
    mc_page_percent(to, x);
    mc_text_add(to, "\" width=\"");
    mc_page_percent(to, width);
    mc_text_add(to, "\" y=\"");
    mc_text_add_fixed(to, foot - height, 1);
    mc_text_add(to, "\" height=\"");
    mc_text_add_fixed(to, height, 1);
    mc_text_add(to, "\">");
}

/* ---- confidence against accuracy ---- */

static double accuracy_of(const mc_confidence *c, size_t bin)
{
    return (double)c->right[bin] / (double)c->n[bin];
}

/* Bins without samples are passed over. */
static void add_curve(mc_text *to, const mc_confidence *c, const char *line, const char *dot)
{
    double last[2] = {0};
    bool any = false;
    for (size_t b = 0; b < MC_CONFIDENCE_BINS; b++) {
        if (c->n[b] == 0) continue;
        const double here[2] = {across(c->confidence[b]), mc_page_plot_y(accuracy_of(c, b))};
        if (any) add_link(to, line, last, here);
        last[0] = here[0];
        last[1] = here[1];
        any = true;
    }
    for (size_t b = 0; b < MC_CONFIDENCE_BINS; b++) {
        if (c->n[b] == 0) continue;
        begin_dot(to, dot, across(c->confidence[b]), mc_page_plot_y(accuracy_of(c, b)));
        mc_text_addf(to, "%" PRIu64 " of %" PRIu64 " right, sure by ", c->right[b], c->n[b]);
        mc_out_share(to, c->confidence[b]);
        mc_text_add(to, "</title></circle>\n");
    }
}

static void add_shares_grid(mc_text *to)
{
    for (int k = 0; k <= 4; k++) {
        const double y = mc_page_plot_y(0.25 * k);
        mc_page_horizontal(to, "grid", y);
        mc_page_grid_text(to, y);
        mc_text_addf(to, "%d %%</text>", 25 * k);
    }
    for (int k = 0; k <= 5; k++) {
        add_x_text(to, across(0.2 * k) - (k == 5 ? 0.01 : 0.0), MC_PAGE_PLOT - 6);
        mc_text_addf(to, "%d %%</text>", 20 * k);
    }
}

/* How many samples stand in each bin, of the original and of the container. */
static void add_counts(mc_text *to, const mc_confidence *before, const mc_confidence *now)
{
    uint64_t most = 1;
    for (size_t b = 0; b < MC_CONFIDENCE_BINS; b++) {
        if (before->n[b] > most) most = before->n[b];
        if (now->n[b] > most) most = now->n[b];
    }
    mc_text_addf(to,
                 "<svg class=\"draw\" height=\"%d\" role=\"img\" aria-labelledby=\"sure-n "
                 "sure-m\"><title id=\"sure-n\">Samples by confidence</title>"
                 "<desc id=\"sure-m\">The fullest of %d bins has ",
                 STRIP, MC_CONFIDENCE_BINS);
    mc_out_grouped(to, most);
    mc_text_add(to, " samples.</desc>\n");
    for (size_t b = 0; b < MC_CONFIDENCE_BINS; b++) {
        const mc_confidence *const both[] = {before, now};
        for (size_t k = 0; k < 2; k++) {
            if (both[k]->n[b] == 0) continue;
            const double height = (STRIP - 4) * (double)both[k]->n[b] / (double)most;
            const double x = across(((double)b + 0.1 + 0.4 * (double)k) / MC_CONFIDENCE_BINS);
            begin_rect(to, k ? "s2" : "was", x, 0.93 * 0.4 / MC_CONFIDENCE_BINS, fmax(height, 2.0),
                       STRIP - 2);
            mc_text_addf(to, "<title>%" PRIu64 " samples, %s</title></rect>", both[k]->n[b],
                         k ? "container" : "original");
        }
    }
    mc_text_add(to, "</svg>\n");
}

void mc_page_confidence(mc_text *to, const mc_report *report)
{
    const mc_outcome *o = first_of(report);
    if (!o || !mc_outcome_has_answers(o) || isnan(o->confidence.expected_error)) return;
    mc_text_add(
        to,
        "<section aria-labelledby=\"sure\">\n<h2 id=\"sure\">Confidence against accuracy</h2>\n"
        "<p class=\"note\">Samples in ten bins by how sure a model is of its answer; how many of "
        "a bin are right. On the line confidence is accuracy. Below: how many samples a bin "
        "has, the original's in gray.</p>\n"
        "<ul class=\"legend\"><li><i class=\"swatch ring\"></i>original</li><li><i class=\"swatch "
        "is\"></i>container</li><li><i class=\"swatch even\"></i>as right as sure</li></ul>\n");
    mc_text_addf(to,
                 "<svg class=\"draw\" height=\"%d\" role=\"img\" aria-labelledby=\"sure-t sure-d\">"
                 "<title id=\"sure-t\">Accuracy by confidence</title><desc id=\"sure-d\">Expected "
                 "calibration error ",
                 MC_PAGE_PLOT);
    mc_text_add_fixed(to, o->confidence_reference.expected_error, 4);
    mc_text_add(to, " of the original, ");
    mc_text_add_fixed(to, o->confidence.expected_error, 4);
    mc_text_add(to, " of the container.</desc>\n");
    add_shares_grid(to);
    const double from[2] = {across(0.0), mc_page_plot_y(0.0)};
    const double end[2] = {across(1.0), mc_page_plot_y(1.0)};
    add_link(to, "even", from, end);
    add_curve(to, &o->confidence, "link is", "s2");
    add_curve(to, &o->confidence_reference, "link was", "was");
    mc_text_add(to, "</svg>\n");
    add_counts(to, &o->confidence_reference, &o->confidence);
    mc_text_add(to, "</section>\n");
}

/* ---- divergence of the next token ---- */

enum { FIRST_EXPONENT = -40 }; /* of the histogram's first bin */

/* Bins from the first to the last that has tokens. The very first also holds those without any
 * divergence: it is not drawn. */
typedef struct {
    size_t first, end;
    uint64_t all, most;
} spread;

static spread spread_of(const mc_outcome *o)
{
    spread s = {0};
    for (size_t b = 0; b < MC_KL_BINS; b++) {
        const uint64_t n = o->kl_histogram[b];
        s.all += n;
        if (n == 0 || b == 0) continue;
        if (s.end == 0) s.first = b;
        s.end = b + 1;
        if (n > s.most) s.most = n;
    }
    return s;
}

static double kl_x(const spread *s, double kl)
{
    const double bins = (double)(s->end - s->first);
    const double at = log2(kl) - FIRST_EXPONENT - (double)s->first;
    return across(at <= 0.0 ? 0.0 : at >= bins ? 1.0 : at / bins);
}

static void add_kl_grid(mc_text *to, const spread *s, double top, double step)
{
    const int lines = (int)rint(top / step);
    for (int k = 0; k <= lines; k++) {
        const double y = mc_page_plot_y((double)k / lines);
        mc_page_horizontal(to, "grid", y);
        mc_page_grid_text(to, y);
        mc_out_shortest(to, 100.0 * step * k);
        mc_text_add(to, " %</text>");
    }
    const double from = ldexp(1.0, (int)s->first + FIRST_EXPONENT);
    const double end = ldexp(1.0, (int)s->end + FIRST_EXPONENT);
    for (int power = -12; power <= 2; power++) {
        const double kl = pow(10.0, power);
        if (kl < from || kl > end) continue;
        add_x_text(to, kl_x(s, kl), MC_PAGE_PLOT - 6);
        mc_out_shortest(to, kl);
        mc_text_add(to, "</text>");
    }
}

/* Its text stands where there is more room. */
static void add_kl_mark(mc_text *to, const spread *s, double kl, const char *text, int y)
{
    if (!(kl > 0.0)) return;
    const double x = kl_x(s, kl);
    const bool left = x > 0.5;
    const double from[2] = {x, (double)y - 8.0}, end[2] = {x, mc_page_plot_y(0.0)};
    add_link(to, "mark", from, end);
    mc_text_add(to, "<text x=\"");
    mc_page_percent(to, left ? x - 0.005 : x + 0.005);
    mc_text_addf(to, "\" y=\"%d\" text-anchor=\"%s\">%s ", y, left ? "end" : "start", text);
    mc_out_real(to, kl);
    mc_text_add(to, "</text>");
}

static void add_kl_bars(mc_text *to, const mc_outcome *o, const spread *s, double top)
{
    const double width = 1.0 / (double)(s->end - s->first), foot = mc_page_plot_y(0.0);
    for (size_t b = s->first; b < s->end; b++) {
        if (o->kl_histogram[b] == 0) continue;
        const double share = (double)o->kl_histogram[b] / (double)s->all;
        const double height = foot - mc_page_plot_y(share / top);
        begin_rect(to, "s2", across(width * (double)(b - s->first)), 0.93 * width,
                   fmax(height, 2.0), foot);
        mc_text_addf(to, "<title>%" PRIu64 " tokens from ", o->kl_histogram[b]);
        mc_out_real(to, ldexp(1.0, (int)b + FIRST_EXPONENT));
        mc_text_add(to, "</title></rect>");
    }
}

static void draw_divergence(mc_text *to, const mc_outcome *o, const spread *s)
{
    const double most = (double)s->most / (double)s->all;
    const double step = mc_page_nice_above(most / 4.0), top = step * ceil(most / step);
    mc_text_addf(to,
                 "<svg class=\"draw\" height=\"%d\" role=\"img\" aria-labelledby=\"kl-t kl-d\">"
                 "<title id=\"kl-t\">Divergence of the next token</title><desc id=\"kl-d\">Mean ",
                 MC_PAGE_PLOT);
    mc_out_real(to, o->kl_mean);
    mc_text_add(to, ", median ");
    mc_out_real(to, o->kl_median);
    mc_text_add(to, ", largest ");
    mc_out_real(to, o->kl_max);
    mc_text_add(to, " nats.</desc>\n");
    add_kl_grid(to, s, top, step);
    add_kl_bars(to, o, s, top);
    add_kl_mark(to, s, o->kl_median, "median", 26);
    add_kl_mark(to, s, o->kl_p99, "99 %", 12);
    mc_text_add(to, "</svg>\n");
}

void mc_page_divergence(mc_text *to, const mc_report *report)
{
    const mc_outcome *o = first_of(report);
    if (!o || !mc_outcome_is_language(o)) return;
    const spread s = spread_of(o);
    mc_text_add(to,
                "<section aria-labelledby=\"kl\">\n<h2 id=\"kl\">Divergence of the next token</h2>"
                "\n<p class=\"note\">How far the container's distribution of the next token is "
                "from the original's, in nats: the share of tokens in each octave.");
    if (o->kl_histogram[0]) {
        mc_text_add(to, " At ");
        mc_out_grouped(to, o->kl_histogram[0]);
        mc_text_add(to, " of ");
        mc_out_grouped(to, s.all);
        mc_text_add(to, " tokens there is none.");
    }
    mc_text_add(to, "</p>\n");
    if (s.most) draw_divergence(to, o, &s);
    mc_text_add(to, "</section>\n");
}

/* ---- sites ---- */

static const char *site_class(const mc_page_axis *a, const mc_site_report *s)
{
    return a->has_gate && !(s->output_sqnr_db >= a->gate) ? "low" : "s2";
}

static void add_site_row(mc_text *to, const mc_page_axis *a, const mc_site_report *s)
{
    const char *class = site_class(a, s);
    mc_text_addf(to, "<li class=\"%s\"><span class=\"name\">", class);
    mc_page_name(to, s->name);
    mc_text_add(to, "</span><svg class=\"bar\" height=\"22\" aria-hidden=\"true\">");
    mc_page_db_grid(to, a, 22);
    mc_text_addf(to, "<rect class=\"%s\" x=\"0\" y=\"5\" height=\"12\" rx=\"2\" width=\"", class);
    mc_page_percent(to, mc_page_place(a, s->output_sqnr_db));
    mc_text_add(to, "\"/>");
    if (a->has_gate) mc_page_vertical(to, "gate", a->gate / a->top, 22);
    if (!isnan(s->own_output_sqnr_db)) {
        begin_dot(to, "own", mc_page_place(a, s->own_output_sqnr_db), 11.0);
        mc_text_add(to, "its own: ");
        mc_out_db(to, s->own_output_sqnr_db);
        mc_text_add(to, "</title></circle>");
    }
    mc_text_add(to, "</svg><span class=\"value\">");
    mc_out_db(to, s->output_sqnr_db);
    mc_text_add(to, "</span></li>\n");
}

static void add_site_dot(mc_text *to, const char *class, double x, double y,
                         const mc_site_report *s)
{
    begin_dot(to, class, x, y);
    mc_page_text(to, s->name);
    mc_text_add(to, ": ");
    mc_out_db(to, s->output_sqnr_db);
    mc_text_add(to, ", its own ");
    mc_out_db(to, s->own_output_sqnr_db);
    mc_text_add(to, "</title></circle>\n");
}

/* All sites in the order of the graph: where the error comes in, and where it grows. */
static void add_along(mc_text *to, const mc_data_report *d, const mc_page_axis *a)
{
    mc_text_addf(to,
                 "<svg class=\"draw%s\" height=\"%d\" role=\"img\" aria-labelledby=\"along-t "
                 "along-d\"><title id=\"along-t\">SQNR of the outputs of all sites</title>"
                 "<desc id=\"along-d\">%zu sites from first to last; the worst has ",
                 d->sites > FEW_DOTS ? " many" : "", MC_PAGE_PLOT, d->sites);
    mc_out_db(to, d->site[d->worst_first[0]].output_sqnr_db);
    mc_text_add(to, ".</desc>\n");
    for (double db = 0; db <= a->top; db += a->step) {
        const double y = mc_page_plot_y(db / a->top);
        mc_page_horizontal(to, "grid", y);
        mc_page_grid_text(to, y);
        mc_text_add_fixed(to, db, 0);
        mc_text_add(to, db + a->step > a->top ? " dB</text>" : "</text>");
    }
    const size_t step = d->sites / MOST_DOTS + 1;
    for (size_t i = 0; i < d->sites; i += step) {
        const mc_site_report *s = &d->site[i];
        const double x = across(((double)i + 0.5) / (double)d->sites);
        if (!isnan(s->own_output_sqnr_db))
            add_site_dot(to, "own", x, mc_page_plot_y(mc_page_place(a, s->own_output_sqnr_db)), s);
        if (!isnan(s->output_sqnr_db))
            add_site_dot(to, site_class(a, s), x,
                         mc_page_plot_y(mc_page_place(a, s->output_sqnr_db)), s);
    }
    if (a->has_gate) mc_page_horizontal(to, "gate", mc_page_plot_y(a->gate / a->top));
    mc_text_addf(to,
                 "<text x=\"6%%\" y=\"%d\">first</text><text x=\"99%%\" y=\"%d\" "
                 "text-anchor=\"end\">last</text></svg>\n",
                 MC_PAGE_PLOT - 6, MC_PAGE_PLOT - 6);
}

static mc_page_axis site_axis(const mc_report *r)
{
    double most = 0.0;
    for (size_t i = 0; i < r->data->sites; i++) {
        const mc_site_report *s = &r->data->site[i];
        const double both[] = {s->output_sqnr_db, s->own_output_sqnr_db};
        for (size_t k = 0; k < 2; k++)
            if (both[k] < (double)INFINITY && both[k] > most) most = both[k];
    }
    return mc_page_decibels(r, "min_site_sqnr_db", most);
}

void mc_page_sites(mc_text *to, const mc_report *report)
{
    const mc_data_report *d = report->data;
    if (!d || d->sites == 0) return;
    const mc_page_axis a = site_axis(report);
    const bool many = d->sites > MC_PAGE_MOST_BARS;
    const size_t bars = many ? MC_PAGE_WORST_BARS : d->sites;
    mc_text_add(to,
                "<section aria-labelledby=\"sites\">\n<h2 id=\"sites\">Where the error comes "
                "in</h2>\n<p class=\"note\">Signal to noise of the outputs of every place where a "
                "weight meets an activation. Where a ring is far to the right of its bar, most of "
                "the error came from places before it.</p>\n<div class=\"legends\">\n"
                "<ul class=\"legend\"><li><i class=\"swatch s2\"></i>all error up to here</li>"
                "<li><i class=\"swatch ring\"></i>its own error alone</li></ul>\n");
    mc_page_gate_note(to, &a);
    mc_text_add(to, "</div>\n");
    if (d->sites >= FEWEST_DOTS) {
        mc_text_add(to, "<h3>From first to last</h3>\n");
        add_along(to, d, &a);
        mc_text_add(to, many ? "<h3>The worst</h3>\n" : "<h3>Worst first</h3>\n");
    }
    mc_text_add(to, "<ol class=\"rows\">\n");
    for (size_t i = 0; i < bars; i++) add_site_row(to, &a, &d->site[d->worst_first[i]]);
    mc_page_db_axis(to, &a);
    mc_text_add(to, "</ol>\n</section>\n");
}
