/* Measuring, judging, reporting: see pipeline_verify.h. */
#include "cli/pipeline_verify.h"

#include "cli/pipeline_data.h"
#include "cli/pipeline_hash.h"
#include "cli/progress.h"
#include "core/file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static mc_status apply_gates(const mc_options *options, mc_arena *mem, mc_report *report,
                             mc_err *err)
{
    mc_gate *gate = MC_NEW(mem, mc_gate, options->requires + 1);
    if (!gate) return mc_no_room(err, "gates");
    for (size_t i = 0; i < options->requires; i++)
        MC_TRY(mc_gate_parse(options->require[i], mem, &gate[i], err));
    report->strict = options->strict;
    return mc_gates_apply(gate, options->requires, mem, report, err);
}

size_t mc_measure_memory(const mc_model *reference, const mc_container *container,
                         const mc_options *options)
{
    return container->weights * (sizeof(mc_tensor_report) + 1024) + reference->tensors * 256 +
           reference->sources * 1024 + options->requires * 1024 + container->manifest_bytes * 2 +
           ((size_t)1 << 20) + mc_hash_lanes_bytes(reference) +
           mc_data_memory(reference, container, options);
}

/* Only a run shows whether attentions keep a cache that can be simulated. */
static mc_status refuse_unmeasured_cache(const mc_report *report, const mc_options *options,
                                         mc_err *err)
{
    const mc_numerics *n = &report->numerics;
    if (!options->strict || n->kv_bits >= 16 || n->kv_measured) return MC_OK;
    const char *why = report->data ? report->data->kv_why : NULL;
    return mc_fail(err, MC_E_USAGE, "--strict: a kv cache of %u bits was not measured: %s",
                   n->kv_bits, why ? why : "no attention keeps one");
}

mc_status mc_pipeline_measure(const mc_model *reference, const mc_container *container,
                              const mc_options *options, mc_pool *pool, mc_arena *mem,
                              mc_report *report, mc_err *err)
{
    MC_TRY(mc_container_check(container, pool, err));
    mc_progress *progress = mc_progress_open(mc_model_weight_bytes(reference), "measuring");
    const mc_verify_input input = {reference, container, pool, mc_progress_meter(progress)};
    const mc_status status = mc_verify_weights(&input, mem, report, err);
    mc_progress_close(progress);
    MC_TRY(status);
    MC_TRY(mc_pipeline_data(reference, container, options, pool, mem, report, err));
    MC_TRY(refuse_unmeasured_cache(report, options, err));
    report->version = MC_VERSION;
    report->command = options->argv;
    return apply_gates(options, mem, report, err);
}

static mc_status write_text(const char *path, char *text, const mc_options *options, mc_err *err)
{
    if (!text) return mc_no_room(err, "a report");
    const mc_status status =
        mc_write_file(path, text, strlen(text), options->no_fsync ? MC_WRITE_NO_FSYNC : 0, err);
    free(text);
    return status;
}

mc_status mc_pipeline_reports(const mc_report *report, const mc_options *options, mc_err *err)
{
    if (options->report)
        MC_TRY(write_text(options->report, mc_report_json(report, true), options, err));
    if (options->html) MC_TRY(write_text(options->html, mc_report_html(report), options, err));
    return MC_OK;
}

mc_status mc_refuse_unmeasured(const mc_numerics *n, const mc_options *options, mc_err *err)
{
    if (!options->strict) return MC_OK;
    const bool runs = options->datas > 0 || options->logits_in;
    const bool measured = runs && mc_data_numerics(options, n) != MC_NUMERICS_FLOAT;
    if (mc_numerics_act(n) && !measured)
        return mc_fail(err, MC_E_USAGE,
                       "--strict: activations of %u bits would be recorded, not measured; use a16",
                       n->activation_bits);
    if (n->kv_bits < 16 && !measured)
        return mc_fail(err, MC_E_USAGE,
                       "--strict: a kv cache of %u bits would be recorded, not measured; use kv16",
                       n->kv_bits);
    return MC_OK;
}

mc_status mc_gate_failure(const mc_report *report, mc_err *err)
{
    size_t failed = 0;
    const mc_gate_result *first = NULL;
    for (size_t i = 0; i < report->gates; i++) {
        if (report->gate[i].pass) continue;
        if (!first) first = &report->gate[i];
        failed++;
    }
    if (!first) return MC_OK;
    char value[32] = "not measured", interval[64] = "";
    if (!isnan(first->value))
        snprintf(value, sizeof value, "%.6g", first->value);
    else if (first->needs_data)
        snprintf(value, sizeof value, "not measured (needs --data)");
    if (first->underpowered && isnan(first->interval))
        snprintf(interval, sizeof interval, "; underpowered: there is no 95 %% interval");
    else if (first->underpowered)
        snprintf(interval, sizeof interval, "; underpowered: the 95 %% interval is ±%.3g",
                 first->interval);
    return mc_fail(err, MC_E_GATE, "%zu of %zu gates failed: %s is %s, required %s %.6g%s", failed,
                   report->gates, first->metric, value, first->op, first->threshold, interval);
}
