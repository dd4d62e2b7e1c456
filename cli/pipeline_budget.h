/* --memory-limit: an estimate that is too large is refused before the work. */
#ifndef MC_CLI_PIPELINE_BUDGET_H
#define MC_CLI_PIPELINE_BUDGET_H

#include "cli/options.h"

/* MC_E_BUDGET when `need` bytes are more than --memory-limit. `what` begins the message. */
mc_status mc_check_memory_limit(const mc_options *options, const char *what, uint64_t need,
                                unsigned threads, mc_err *err);

#endif
