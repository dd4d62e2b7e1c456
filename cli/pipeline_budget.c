/* Memory budgets: see pipeline_budget.h. */
#include "cli/pipeline_budget.h"

#include "core/text.h"

mc_status mc_check_memory_limit(const mc_options *options, const char *what, uint64_t need,
                                unsigned threads, mc_err *err)
{
    if (!options->memory_limit || need <= options->memory_limit) return MC_OK;
    char needed[MC_SIZE_TEXT], limit[MC_SIZE_TEXT];
    return mc_fail(err, MC_E_BUDGET,
                   "%s: needs up to %s of memory with %u thread%s, --memory-limit is %s", what,
                   mc_size_text(need, needed), threads, threads == 1 ? "" : "s",
                   mc_size_text(options->memory_limit, limit));
}
