/* Statistics from a file as calibration: what --calib names may be data, a STATS file
 * (calib/stats_file.h) or an importance matrix of llama.cpp (formats/gguf_imatrix.h). Both hold
 * what the float model's sites meet, so nothing is run. */
#ifndef MC_CLI_PIPELINE_STATS_H
#define MC_CLI_PIPELINE_STATS_H

#include "cli/pipeline_code.h"

/* By content: a safetensors file that says it holds statistics, a GGUF that says it is an
 * importance matrix; anything else is data. */
mc_status mc_calib_kind_of(const char *path, bool no_follow, mc_calib_kind *out, mc_err *err);

/* What a chain asks for and statistics do not hold is refused by name. `path` is what --calib
 * says. */
mc_status mc_calib_refuse(const mc_plan *plan, const char *path, mc_err *err);

/* "auto" for this kind of calibration. */
const char *mc_calib_auto(double bits, mc_calib_kind kind, bool sequential, const mc_graph *graph);

/* MC_E_MISMATCH: statistics of another model. */
mc_status mc_known_open(const mc_model *model, const char *path, bool no_follow, mc_known **out,
                        mc_err *err);
void mc_known_close(mc_known *known); /* NULL is allowed */

/* Is there a block of the site's weight? Have two sites' weights, which do, one block? */
bool mc_known_has(const mc_known *known, const mc_site *site);
bool mc_known_shares(const mc_known *known, const mc_site *a, const mc_site *b);

/* The numbers of a block as the site takes them, of the float model as it was. */
typedef struct {
    mc_region room;
    mc_moment_sums moments; /* both halves of the Gram; NULL without */
    mc_channels channels;   /* n 0: not there */
    mc_histogram *histogram;/* NULL: not there */
} mc_known_numbers;

/* MC_E_UNSUPPORTED: a Gram is wanted and there is none; MC_E_FORMAT: the shapes do not fit the
 * weight. Closed by mc_known_drop. */
mc_status mc_known_load(const mc_calibration *calibration, size_t site, bool gram,
                        mc_known_numbers *out, mc_err *err);
void mc_known_drop(mc_known_numbers *numbers);

/* What a STATS file says it was collected from. */
const mc_stats_about *mc_known_about(const mc_known *known); /* NULL: an importance matrix */

#endif
