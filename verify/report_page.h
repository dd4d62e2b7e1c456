/* The parts of the HTML report. Private to verify/.
 *
 * Everything that comes from a file or the command line passes mc_page_text on its way into the
 * page. */
#ifndef MC_VERIFY_REPORT_PAGE_H
#define MC_VERIFY_REPORT_PAGE_H

#include "verify/text_out.h"

/* Style sheet and script, each a NULL-terminated list of strings (a literal ends at 4095 bytes in
 * C17). */
extern const char *const mc_page_style[];
extern const char *const mc_page_script[];

/* Text with all that HTML would read as markup escaped; control bytes and invalid UTF-8 as \xNN. */
void mc_page_text(mc_text *to, const char *text);

/* The first n bytes of a text to be read; line breaks are shown as ↵. */
void mc_page_prose(mc_text *to, const char *text, size_t n);

/* A name in the middle of a page: may break after each dot. */
void mc_page_name(mc_text *to, const char *name);

/* "12.345%": a coordinate that grows with the page, so that texts in a drawing keep their size. */
void mc_page_percent(mc_text *to, double share);

/* The class that colours a tensor by its bits, and a legend of those in use (nothing when all are
 * alike). */
const char *mc_page_bits_class(const mc_weight_spec *spec);
void mc_page_bits_legend(mc_text *to, const mc_report *report);

/* The threshold of a gate that bounds `metric` from below (or above); false when there is none. */
bool mc_page_threshold(const mc_report *report, const char *metric, double *threshold);

/* ---- parts of drawings ----
 *
 * No drawing has a viewBox: positions across are percentages and heights are pixels, so a drawing
 * is as wide as the page, on a phone too, while its texts and dots keep their size. */

/* More entries than MOST_BARS get a bar each only for the worst. */
enum { MC_PAGE_MOST_BARS = 40, MC_PAGE_WORST_BARS = 16 };

/* An axis of decibels from 0 to at least `most`: grid lines every `step`, and the line of a gate on
 * `metric`. */
typedef struct {
    double top, step;
    bool has_gate;
    double gate;
} mc_page_axis;
mc_page_axis mc_page_decibels(const mc_report *report, const char *metric, double most);

/* Where on the axis, 0..1; what is exact stands at the end. */
double mc_page_place(const mc_page_axis *axis, double db);
void mc_page_vertical(mc_text *to, const char *class, double x, int height);
void mc_page_db_grid(mc_text *to, const mc_page_axis *axis, int height);

/* The last row of a list of bars, and a legend for the gate. */
void mc_page_db_axis(mc_text *to, const mc_page_axis *axis);
void mc_page_gate_note(mc_text *to, const mc_page_axis *axis);

/* Plots of this height: where a share of the top stands, grid lines, and their texts, which stand
 * on them at the left. */
enum { MC_PAGE_PLOT = 240 };
double mc_page_plot_y(double share_of_top);
void mc_page_horizontal(mc_text *to, const char *class, double y);
void mc_page_grid_text(mc_text *to, double y);

/* 1, 2 or 5 times a power of ten: the first that is at least `value`. */
double mc_page_nice_above(double value);

/* ---- sections ---- */

/* What running the models gave; nothing when they were not run. report_html_data.c: */
void mc_page_data_tiles(mc_text *to, const mc_report *report);
void mc_page_model(mc_text *to, const mc_report *report);
void mc_page_continuations(mc_text *to, const mc_report *report);
void mc_page_site_table(mc_text *to, const mc_report *report);

/* report_charts_data.c: */
void mc_page_confidence(mc_text *to, const mc_report *report);
void mc_page_divergence(mc_text *to, const mc_report *report);
void mc_page_sites(mc_text *to, const mc_report *report);

/* Sections, in the order of the page. Those without anything to show add nothing. */
void mc_page_sizes(mc_text *to, const mc_report *report);
void mc_page_noise(mc_text *to, const mc_report *report);
void mc_page_scatter(mc_text *to, const mc_report *report);
void mc_page_codes(mc_text *to, const mc_report *report);
void mc_page_tensors(mc_text *to, const mc_report *report);

#endif
