/* The parts of the text report. Private to verify/. */
#ifndef MC_VERIFY_REPORT_TEXT_H
#define MC_VERIFY_REPORT_TEXT_H

#include "verify/text_out.h"

/* A line of the totals begins with its label. */
void mc_lines_begin(mc_text *to, const char *label);

/* A name or text of a file: it must not move the cursor or turn the direction of writing, nor blow
 * up its column. */
void mc_lines_name(mc_text *to, const char *name);

/* A table: cells that end in a tab, rows of `columns` cells. Columns are as wide as what stands in
 * them; the first one stands at the left, the others at the right. */
enum { MC_LINES_COLUMNS = 10 };
void mc_lines_table(mc_text *to, const mc_text *cells, size_t columns);

/* Of a list with so many entries, the worst that are shown: all of a few. */
size_t mc_lines_shown(size_t entries);

/* What running the models gave; nothing when they were not run. */
void mc_lines_outcome(mc_text *to, const mc_report *report); /* among the totals */
void mc_lines_data_sets(mc_text *to, const mc_report *report);
void mc_lines_sites(mc_text *to, const mc_report *report);
void mc_lines_continuations(mc_text *to, const mc_report *report);

#endif
