/* Drawings of the HTML report: sizes, noise per tensor, error against size.
 What
 * the models did is drawn by report_charts_data.c. */
#include "verify/report_page.h"

#include <math.h>

enum { MOST_DOTS = 1000, FEW_DOTS = 100, PLOT_TOP = 18, PLOT_FOOT = 26 };

/* ---- sizes ---- */

typedef struct {
    const char *title, *class;
    uint64_t before, after;
} share;

enum { SHARES = 5 };

static void list_shares(const mc_report *r, share out[SHARES])
{
    const mc_size_split *a = &r->source_split, *b = &r->container_split;
    out[0] = (share){"weights, quantized", "z0", a->codes, b->codes};
    out[1] = (share){"scales, offsets and tables", "z1", a->grids, b->grids};
    out[2] = (share){"tensors carried unchanged", "z2", a->dense, b->dense};
    out[3] = (share){"files carried along", "z3", a->side, b->side};
    out[4] = (share){"headers, index, names, padding", "z4", a->frame, b->frame};
}

/* One stacked bar; `whole` bytes are as wide as the page. */
static void add_stack(mc_text *to, const share *shares, bool after, double whole, int y)
{
    double at = 0;
    for (size_t i = 0; i < SHARES; i++) {
        const uint64_t bytes = after ? shares[i].after : shares[i].before;
        if (bytes == 0) continue;
        mc_text_addf(to, "<rect class=\"%s\" x=\"", shares[i].class);
        mc_page_percent(to, at / whole);
        mc_text_addf(to, "\" y=\"%d\" height=\"30\" width=\"", y);
        mc_page_percent(to, (double)bytes / whole);
        mc_text_addf(to, "\"><title>%s: ", shares[i].title);
        mc_text_add_size(to, bytes);
        mc_text_add(to, "</title></rect>");
        at += (double)bytes;
    }
}

/* `whole`: what the bytes are a share of; 0 says nothing about it. */
static void add_bar_label(mc_text *to, const char *title, uint64_t bytes, uint64_t whole, int y)
{
    mc_text_addf(to,
                 "<text class=\"strong\" x=\"0\" y=\"%d\">%s</text><text x=\"100%%\" y=\"%d\" "
                 "text-anchor=\"end\">",
                 y, title, y);
    mc_text_add_size(to, bytes);
    if (whole > 0 && bytes != whole) {
        mc_text_add(to, ", ");
        mc_text_add_fixed(to, 100.0 * (double)bytes / (double)whole, 1);
        mc_text_add(to, " %");
    }
    mc_text_add(to, "</text>");
}

static void add_share_row(mc_text *to, const share *s)
{
    if (s->before == 0 && s->after == 0) return;
    mc_text_addf(to, "<tr><th scope=\"row\"><i class=\"swatch %s\"></i>%s</th><td>", s->class,
                 s->title);
    if (s->before)
        mc_text_add_size(to, s->before);
    else
        mc_text_add(to, "–");
    mc_text_add(to, "</td><td>");
    if (s->after)
        mc_text_add_size(to, s->after);
    else
        mc_text_add(to, "–");
    mc_text_add(to, "</td></tr>\n");
}

void mc_page_sizes(mc_text *to, const mc_report *report)
{
    share shares[SHARES];
    list_shares(report, shares);
    const uint64_t largest = report->source_bytes > report->container_bytes
                                 ? report->source_bytes
                                 : report->container_bytes;
    if (largest == 0) return;

    mc_text_add(to,
                "<section aria-labelledby=\"size\">\n<h2 id=\"size\">Size before and after</h2>\n"
                "<svg class=\"draw\" height=\"122\" role=\"img\" aria-labelledby=\"size-t size-d\">"
                "<title id=\"size-t\">Size before and after</title><desc id=\"size-d\">Source ");
    mc_text_add_size(to, report->source_bytes);
    mc_text_add(to, ", container ");
    mc_text_add_size(to, report->container_bytes);
    mc_text_add(to, ". The table below has the parts.</desc>");
    add_bar_label(to, "Source", report->source_bytes, 0, 13);
    add_stack(to, shares, false, (double)largest, 21);
    add_bar_label(to, "Container", report->container_bytes, report->source_bytes, 79);
    add_stack(to, shares, true, (double)largest, 87);
    mc_text_add(
        to,
        "</svg>\n<div class=\"wide\"><table class=\"parts\">\n<thead><tr><th "
        "scope=\"col\">Part</th>"
        "<th scope=\"col\">Source</th><th scope=\"col\">Container</th></tr></thead>\n<tbody>\n");
    for (size_t i = 0; i < SHARES; i++) add_share_row(to, &shares[i]);
    mc_text_add(to, "</tbody>\n</table></div>\n</section>\n");
}

/* ---- noise ---- */

mc_page_axis mc_page_decibels(const mc_report *report, const char *metric, double most)
{
    if (!(most >= 10.0)) most = 10.0;
    mc_page_axis a = {.step = most > 80 ? 20 : 10};
    a.has_gate = mc_page_threshold(report, metric, &a.gate) && a.gate > 0;
    if (a.has_gate && a.gate > most && a.gate < 2 * most) most = a.gate;
    a.top = a.step * ceil(most / a.step);
    a.has_gate = a.has_gate && a.gate <= a.top;
    return a;
}

static mc_page_axis tensor_axis(const mc_report *r)
{
    double most = 0.0;
    for (size_t i = 0; i < r->tensors; i++) {
        const mc_tensor_report *t = &r->tensor[i];
        if (mc_out_is_quantized(t) && t->sqnr_db < (double)INFINITY && t->sqnr_db > most)
            most = t->sqnr_db;
    }
    return mc_page_decibels(r, "min_tensor_sqnr_db", most);
}

double mc_page_place(const mc_page_axis *a, double value)
{
    if (value >= a->top) return 1.0;
    return value > 0.0 ? value / a->top : 0.0;
}

void mc_page_vertical(mc_text *to, const char *class, double x, int height)
{
    mc_text_addf(to, "<line class=\"%s\" x1=\"", class);
    mc_page_percent(to, x);
    mc_text_add(to, "\" x2=\"");
    mc_page_percent(to, x);
    mc_text_addf(to, "\" y1=\"0\" y2=\"%d\"/>", height);
}

void mc_page_db_grid(mc_text *to, const mc_page_axis *a, int height)
{
    for (double x = 0; x < a->top; x += a->step) mc_page_vertical(to, "grid", x / a->top, height);
}

static const char *bar_class(const mc_page_axis *a, const mc_tensor_report *t)
{
    if (a->has_gate && !(t->sqnr_db >= a->gate)) return "low";
    return mc_page_bits_class(t->spec);
}

static void add_noise_row(mc_text *to, const mc_page_axis *a, const mc_tensor_report *t)
{
    const char *class = bar_class(a, t);
    mc_text_addf(to, "<li class=\"%s\"><span class=\"name\">", class);
    mc_page_name(to, t->name);
    mc_text_add(to, "</span><svg class=\"bar\" height=\"22\" aria-hidden=\"true\">");
    mc_page_db_grid(to, a, 22);
    mc_text_addf(to, "<rect class=\"%s\" x=\"0\" y=\"5\" height=\"12\" rx=\"2\" width=\"", class);
    mc_page_percent(to, mc_page_place(a, t->sqnr_db));
    mc_text_add(to, "\"/>");
    if (a->has_gate) mc_page_vertical(to, "gate", a->gate / a->top, 22);
    mc_text_add(to, "</svg><span class=\"value\">");
    mc_out_db(to, t->sqnr_db);
    mc_text_add(to, "</span></li>\n");
}

void mc_page_db_axis(mc_text *to, const mc_page_axis *a)
{
    mc_text_add(to, "<li class=\"axis\" aria-hidden=\"true\"><span class=\"name\"></span>"
                    "<svg class=\"bar\" height=\"20\">");
    for (double x = 0; x < a->top; x += a->step) {
        mc_text_add(to, "<text x=\"");
        mc_page_percent(to, x / a->top);
        mc_text_addf(to, "\" y=\"14\" text-anchor=\"%s\">", x > 0 ? "middle" : "start");
        mc_text_add_fixed(to, x, 0);
        mc_text_add(to, "</text>");
    }
    mc_text_add(to, "</svg><span class=\"value\">dB</span></li>\n");
}

void mc_page_gate_note(mc_text *to, const mc_page_axis *a)
{
    if (!a->has_gate) return;
    mc_text_add(to, "<ul class=\"legend\"><li><i class=\"swatch gate\"></i>gate: at least ");
    mc_out_shortest(to, a->gate);
    mc_text_add(to, " dB</li></ul>\n");
}

/* ---- plots of dots ---- */

double mc_page_plot_y(double share_of_top)
{
    return PLOT_TOP + (1.0 - share_of_top) * (MC_PAGE_PLOT - PLOT_TOP - PLOT_FOOT);
}

void mc_page_horizontal(mc_text *to, const char *class, double y)
{
    mc_text_addf(to, "<line class=\"%s\" x1=\"0\" x2=\"100%%\" y1=\"", class);
    mc_text_add_fixed(to, y, 1);
    mc_text_add(to, "\" y2=\"");
    mc_text_add_fixed(to, y, 1);
    mc_text_add(to, "\"/>");
}

void mc_page_grid_text(mc_text *to, double y)
{
    mc_text_add(to, "<text x=\"0\" y=\"");
    mc_text_add_fixed(to, y - 4, 1);
    mc_text_add(to, "\">");
}

static void add_dot(mc_text *to, const char *class, double x, double y, const mc_tensor_report *t)
{
    mc_text_addf(to, "<circle class=\"%s\" r=\"4\" cx=\"", class);
    mc_page_percent(to, x);
    mc_text_add(to, "\" cy=\"");
    mc_text_add_fixed(to, y, 1);
    mc_text_add(to, "\"><title>");
    mc_page_text(to, t->name);
    mc_text_add(to, ": ");
    mc_out_db(to, t->sqnr_db);
    mc_text_add(to, ", ");
    mc_out_share(to, t->relative_error);
    mc_text_add(to, ", ");
    mc_text_add_size(to, t->bytes);
    mc_text_add(to, "</title></circle>\n");
}

/* All tensors by rank, the worst at the left: for models with too many for a bar each. */
static void add_ranks(mc_text *to, const mc_report *r, const mc_page_axis *a)
{
    mc_text_addf(
        to,
        "<svg class=\"draw%s\" height=\"%d\" role=\"img\" aria-labelledby=\"rank-t rank-d\">"
        "<title id=\"rank-t\">SQNR of all quantized tensors</title><desc id=\"rank-d\">%zu "
        "tensors from worst to best, ",
        r->quantized > FEW_DOTS ? " many" : "", MC_PAGE_PLOT, r->quantized);
    mc_out_db(to, r->tensor[r->worst_first[0]].sqnr_db);
    mc_text_add(to, " to ");
    mc_out_db(to, r->tensor[r->worst_first[r->quantized - 1]].sqnr_db);
    mc_text_add(to, ".</desc>\n");
    for (double db = 0; db <= a->top; db += a->step) {
        const double y = mc_page_plot_y(db / a->top);
        mc_page_horizontal(to, "grid", y);
        mc_page_grid_text(to, y);
        mc_text_add_fixed(to, db, 0);
        mc_text_add(to, db + a->step > a->top ? " dB</text>" : "</text>");
    }
    const size_t step = r->quantized / MOST_DOTS + 1;
    for (size_t i = 0; i < r->quantized; i += step) {
        const mc_tensor_report *t = &r->tensor[r->worst_first[i]];
        const double x = 0.06 + 0.93 * ((double)i + 0.5) / (double)r->quantized;
        add_dot(to, bar_class(a, t), x, mc_page_plot_y(mc_page_place(a, t->sqnr_db)), t);
    }
    if (a->has_gate) mc_page_horizontal(to, "gate", mc_page_plot_y(a->gate / a->top));
    mc_text_addf(to,
                 "<text x=\"6%%\" y=\"%d\">worst</text><text x=\"99%%\" y=\"%d\" "
                 "text-anchor=\"end\">best</text></svg>\n",
                 MC_PAGE_PLOT - 6, MC_PAGE_PLOT - 6);
}

void mc_page_noise(mc_text *to, const mc_report *report)
{
    if (report->quantized == 0) return;
    const mc_page_axis a = tensor_axis(report);
    const bool many = report->quantized > MC_PAGE_MOST_BARS;
    const size_t bars = many ? MC_PAGE_WORST_BARS : report->quantized;

    mc_text_add(
        to,
        "<section aria-labelledby=\"noise\">\n<h2 id=\"noise\">Signal to quantization noise</h2>\n"
        "<p class=\"note\">Per tensor, worst first. Longer is better.</p>\n");
    mc_text_add(to, "<div class=\"legends\">\n");
    mc_page_bits_legend(to, report);
    mc_page_gate_note(to, &a);
    mc_text_add(to, "</div>\n");
    if (many) {
        add_ranks(to, report, &a);
        mc_text_addf(to, "<h3>The %d worst</h3>\n", MC_PAGE_WORST_BARS);
    }
    mc_text_add(to, "<ol class=\"rows\">\n");
    for (size_t i = 0; i < bars; i++)
        add_noise_row(to, &a, &report->tensor[report->worst_first[i]]);
    mc_page_db_axis(to, &a);
    mc_text_add(to, "</ol>\n</section>\n");
}

/* ---- error against size ---- */

enum { FEWEST_DOTS = 6 };

typedef struct {
    double x_from, x_to, x_step; /* log2 of bytes */
    double y_top, y_step;        /* relative error */
} frame;

double mc_page_nice_above(double value)
{
    const double power = pow(10.0, floor(log10(value)));
    if (value <= power) return power;
    if (value <= 2.0 * power) return 2.0 * power;
    return value <= 5.0 * power ? 5.0 * power : 10.0 * power;
}

/* A tensor without bytes has no logarithm. */
static double log_bytes(const mc_tensor_report *t)
{
    return t->bytes ? log2((double)t->bytes) : 0.0;
}

static frame scatter_frame(const mc_report *r)
{
    double least = 64.0, most = 0.0, error = 0.0;
    for (size_t i = 0; i < r->quantized; i++) {
        const mc_tensor_report *t = &r->tensor[r->worst_first[i]];
        least = fmin(least, floor(log_bytes(t)));
        most = fmax(most, ceil(log_bytes(t)));
        if (t->relative_error > error && isfinite(t->relative_error)) error = t->relative_error;
    }
    frame f = {.x_from = least};
    f.x_step = fmax(1.0, ceil((most - least) / 5.0));
    f.x_to = least + f.x_step * fmax(1.0, ceil((most - least) / f.x_step));
    f.y_step = mc_page_nice_above((error > 0.0 ? error : 0.01) / 5.0);
    f.y_top = f.y_step * fmax(1.0, ceil(error / f.y_step));
    return f;
}

static double scatter_x(const frame *f, double log_size)
{
    return 0.12 + 0.84 * (log_size - f->x_from) / (f->x_to - f->x_from);
}

/* 2^exponent bytes: "512", "32 KiB" */
static void add_power(mc_text *to, unsigned exponent)
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    mc_text_addf(to, "%u %s", 1u << exponent % 10, units[exponent / 10]);
}

static void add_scatter_grid(mc_text *to, const frame *f)
{
    const int lines = (int)rint(f->y_top / f->y_step);
    for (int k = 0; k <= lines; k++) {
        const double y = mc_page_plot_y((double)k / lines);
        mc_page_horizontal(to, "grid", y);
        mc_page_grid_text(to, y);
        mc_out_shortest(to, 100.0 * f->y_step * k);
        mc_text_add(to, " %</text>");
    }
    for (double x = f->x_from; x <= f->x_to; x += f->x_step) {
        mc_text_add(to, "<text x=\"");
        mc_page_percent(to, scatter_x(f, x));
        mc_text_addf(to, "\" y=\"%d\" text-anchor=\"middle\">", MC_PAGE_PLOT - 6);
        add_power(to, (unsigned)x);
        mc_text_add(to, "</text>");
    }
}

void mc_page_scatter(mc_text *to, const mc_report *report)
{
    if (report->quantized < FEWEST_DOTS || report->edited > 0) return;
    const frame f = scatter_frame(report);

    mc_text_add(
        to,
        "<section aria-labelledby=\"cost\">\n<h2 id=\"cost\">Error against size</h2>\n"
        "<p class=\"note\">A dot is a tensor: how large it is in the container, and its relative "
        "error. High and to the right is where bits are missing.</p>\n");
    mc_page_bits_legend(to, report);
    mc_text_addf(
        to,
        "<svg class=\"draw%s\" height=\"%d\" role=\"img\" aria-labelledby=\"cost-t cost-d\">"
        "<title id=\"cost-t\">Relative error against stored bytes</title><desc id=\"cost-d\">"
        "%zu quantized tensors; the largest relative error is ",
        report->quantized > FEW_DOTS ? " many" : "", MC_PAGE_PLOT, report->quantized);
    mc_out_share(to, report->max_relative_error);
    mc_text_add(to, ".</desc>\n");
    add_scatter_grid(to, &f);

    const size_t step = report->quantized / MOST_DOTS + 1;
    for (size_t i = 0; i < report->quantized; i += step) {
        const mc_tensor_report *t = &report->tensor[report->worst_first[i]];
        const double x = scatter_x(&f, log_bytes(t));
        const double y = t->relative_error < f.y_top ? t->relative_error / f.y_top : 1.0;
        add_dot(to, mc_page_bits_class(t->spec), x, mc_page_plot_y(y), t);
    }
    mc_text_add(to, "</svg>\n</section>\n");
}
