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

/* Sections, in the order of the page. Those without anything to show add nothing. */
void mc_page_sizes(mc_text *to, const mc_report *report);
void mc_page_noise(mc_text *to, const mc_report *report);
void mc_page_scatter(mc_text *to, const mc_report *report);
void mc_page_codes(mc_text *to, const mc_report *report);
void mc_page_tensors(mc_text *to, const mc_report *report);

#endif
