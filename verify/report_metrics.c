/* The scalars of a report. To add one, add a line: it can then be gated, stands in the JSON report
 * and in the help. */
#include "verify/report.h"

#include <math.h>
#include <string.h>

/* Known by name so that a gate on it says what is missing, instead of passing or being a typing
 * error. */
#define NOT_MEASURED ((double)NAN)

/* X(name, section, unit, summary, expression of r) */
#define METRICS(X)                                                                                 \
    X(source_bytes, "size", BYTES, "bytes of the source: weights, and files carried along",        \
      (double)r->source_bytes)                                                                     \
    X(container_bytes, "size", BYTES, "bytes of the container", (double)r->container_bytes)        \
    X(flash_bytes, "size", BYTES, "bytes the container takes in flash, used in place",             \
      (double)r->container_bytes)                                                                  \
    X(bits_per_weight, "size", REAL,                                                               \
      "stored bits of a quantized weight: codes, scales, offsets and tables", r->bits_per_weight)  \
    X(parameters, "size", COUNT, "elements of all tensors", (double)r->parameters)                 \
    X(macs, "size", COUNT, "multiplications of a run; not measured without a graph", NOT_MEASURED) \
    X(ram_bytes, "size", BYTES, "memory a run takes; not measured without a graph", NOT_MEASURED)  \
    X(quantized_parameters, "size", COUNT, "elements of the quantized tensors",                    \
      (double)r->quantized_parameters)                                                             \
    X(min_tensor_sqnr_db, "summary", DB, "signal to quantization noise of the worst tensor",       \
      r->min_tensor_sqnr_db)                                                                       \
    X(mean_tensor_sqnr_db, "summary", DB, "its mean over the quantized tensors",                   \
      r->mean_tensor_sqnr_db)                                                                      \
    X(min_site_sqnr_db, "summary", DB,                                                             \
      "the same for outputs of the worst site; not measured without a graph", NOT_MEASURED)        \
    X(max_abs_error, "summary", REAL, "largest absolute error of a weight", r->max_abs_error)      \
    X(max_relative_error, "summary", SHARE,                                                        \
      "largest root of error energy over weight energy of a tensor", r->max_relative_error)        \
    X(clipped, "summary", SHARE, "share of quantized weights beyond the range of their group",     \
      r->clipped)                                                                                  \
    X(zeros, "summary", SHARE, "share of quantized weights that became zero", r->zeros)            \
    X(tensors, "summary", COUNT, "tensors in the container", (double)r->tensors)                   \
    X(quantized_tensors, "summary", COUNT, "quantized tensors", (double)r->quantized)

#define X(name, section, unit, summary, expression) \
    static double value_##name(const mc_report *r)  \
    {                                               \
        (void)r;                                    \
        return (expression);                        \
    }
METRICS(X)
#undef X

static const mc_metric metrics[] = {
#define X(name, section, unit, summary, expression) \
    {#name, section, MC_METRIC_##unit, summary, value_##name},
    METRICS(X)
#undef X
};

enum { METRIC_COUNT = sizeof metrics / sizeof *metrics };

const mc_metric *mc_metric_at(size_t i)
{
    return i < METRIC_COUNT ? &metrics[i] : NULL;
}

const mc_metric *mc_metric_find(const char *name)
{
    for (size_t i = 0; i < METRIC_COUNT; i++)
        if (strcmp(metrics[i].name, name) == 0) return &metrics[i];
    return NULL;
}

bool mc_report_metric(const mc_report *report, const char *name, double *value)
{
    const mc_metric *metric = mc_metric_find(name);
    if (metric) *value = metric->value(report);
    return metric != NULL;
}

const char *mc_report_metric_name(size_t i)
{
    const mc_metric *metric = mc_metric_at(i);
    return metric ? metric->name : NULL;
}
