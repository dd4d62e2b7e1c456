/* How long a run will take: the methods are timed on a few slabs of the model's own weights,
 * hashing and writing are counted at a rate. An estimate for people; nothing else looks at it. */
#include "cli/pipeline_code.h"
#include "cli/pipeline_encode.h"
#include "core/clock.h"

#include <string.h>

enum { SAMPLES = 12 };

/* Bytes per second of one thread that hashes and copies. */
static const double stream_rate = 1.2e9;

/* Every quantized piece's weights, and of `SAMPLES` pieces spread over them the time. */
mc_status mc_plan_seconds(const mc_plan *plan, unsigned threads, double *seconds, mc_err *err)
{
    mc_region memory;
    *seconds = -1.0;
    if (mc_code_needed(plan)) return MC_OK; /* a walk through the model would have to be timed */
    MC_TRY(mc_region_open(&memory, mc_plan_scratch_bytes(plan), err));

    const size_t step = plan->works / SAMPLES + 1;
    double spent = 0, weights = 0;
    mc_status status = MC_OK;
    for (size_t i = step / 2; i < plan->works && status == MC_OK; i += step) {
        const mc_work work = plan->work[i];
        if (!plan->entry[work.entry].setup) continue;
        status = mc_plan_try(plan, work, memory.arena, err); /* brings pages and caches */
        const double start = mc_seconds();
        if (status == MC_OK) status = mc_plan_try(plan, work, memory.arena, err);
        spent += mc_seconds() - start;
        weights +=
            (double)work.count * (double)mc_weight_code_shape(&plan->weight[work.entry]).cols;
    }
    mc_region_close(&memory);
    MC_TRY(status);

    const double encode = weights > 0 ? spent / weights * (double)plan->quantized : 0.0;
    const double stream = (double)(plan->source_bytes + plan->layout.file_bytes) / stream_rate;
    *seconds = (encode + stream) / (double)threads;
    return MC_OK;
}
