/* Running the original and the container on the data of --data, as a part of measuring. */
#ifndef MC_CLI_PIPELINE_DATA_H
#define MC_CLI_PIPELINE_DATA_H

#include "cli/options.h"
#include "core/pool.h"
#include "verify/report.h"
#include "verify/verify_data.h"

/* What has to be said of options before anything is read: --quick without --data means nothing.
 * MC_E_USAGE names the option. */
mc_status mc_data_options_check(const mc_options *options, mc_err *err);

/* Can the model be run at all? MC_E_UNSUPPORTED says why not. Nothing to do without --data. */
mc_status mc_data_model_check(const mc_model *reference, const mc_options *options, mc_err *err);

/* How the activations of such a container are computed. */
mc_exec_numerics mc_data_numerics(const mc_options *options, const mc_numerics *container);

/* What the arena of mc_pipeline_data must hold; 0 without --data. */
size_t mc_data_memory(const mc_model *reference, const mc_container *container,
                      const mc_options *options);

/* Runs both, fills report->data, score and numerics. Nothing to do without --data. */
mc_status mc_pipeline_data(const mc_model *reference, const mc_container *container,
                           const mc_options *options, mc_pool *pool, mc_arena *mem,
                           mc_report *report, mc_err *err);

#endif
