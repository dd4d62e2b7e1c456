/* Measuring a container against its source, judging it by the gates, writing the reports. Used by
 * `verify`, and by `quantize` on the file it has just written. */
#ifndef MC_CLI_PIPELINE_VERIFY_H
#define MC_CLI_PIPELINE_VERIFY_H

#include "cli/options.h"
#include "core/pool.h"
#include "verify/report.h"

/* Fills `report`: all sections checked, all weights measured, gates of --require applied; only the
 * source's hash is left to the caller. MC_E_GATE is not returned: look at report->pass. */
mc_status mc_pipeline_measure(const mc_model *reference, const mc_container *container,
                              const mc_options *options, mc_pool *pool, mc_arena *mem,
                              mc_report *report, mc_err *err);

/* What the arena of mc_pipeline_measure must hold: a bound, of which only what is used becomes
 * memory. */
size_t mc_measure_memory(const mc_model *reference, const mc_container *container,
                         const mc_options *options);

/* Writes --report and --html, as far as they were asked for. */
mc_status mc_pipeline_reports(const mc_report *report, const mc_options *options, mc_err *err);

/* --strict: what was recorded but not measured is refused (MC_E_USAGE). */
mc_status mc_refuse_unmeasured(const mc_numerics *numerics, const mc_options *options, mc_err *err);

/* MC_E_GATE "1 of 2 gates failed: min_tensor_sqnr_db is 17.2, required >= 20": the first that did,
 * and why when it is not the value. */
mc_status mc_gate_failure(const mc_report *report, mc_err *err);

#endif
