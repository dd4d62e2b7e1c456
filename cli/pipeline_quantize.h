/* Quantizing a model into a container: plan, codes, container, measured again.
 *
 * The output is written under no name; it is opened again, checked, and measured where gates or a
 * report ask for it. Only then it becomes OUT, or OUT.rejected when a gate failed. */
#ifndef MC_CLI_PIPELINE_QUANTIZE_H
#define MC_CLI_PIPELINE_QUANTIZE_H

#include "cli/pipeline_code.h"
#include "core/pool.h"
#include "verify/report.h"

/* How a run ended: OUT already had these bytes, OUT has them now, or a gate failed and OUT.rejected
 * has. */
typedef enum { MC_ENDED_UNCHANGED, MC_ENDED_WRITTEN, MC_ENDED_REJECTED } mc_ending;

typedef struct {
    mc_ending ending;
    uint64_t container_bytes;
    uint8_t root[MC_SHA256_BYTES];
    double seconds, fsync_seconds;
    uint64_t peak_bytes;  /* VmHWM of the process, 0 when the system does not tell */
    bool measured;
    mc_report report;     /* when measured */
    mc_region memory;     /* of the report */
    mc_container container; /* what the report's specs point into */
    mc_made made;         /* what was chosen with data; closed with the result */
} mc_quantize_result;

/* Carries out `plan`, whose options hold everything else; `mem` is the one that holds the plan. The
 * calibration is open where codes are chosen here (mc_code_needed) and must outlive the result.
 * MC_E_GATE when a gate failed: the result is filled all the same. mc_quantize_close() in every
 * case. */
mc_status mc_pipeline_quantize(mc_plan *plan, mc_calibration *calibration, mc_arena *mem,
                               mc_pool *pool, mc_quantize_result *out, mc_err *err);
void mc_quantize_close(mc_quantize_result *result);

#endif
