/* The scalars of a report. To add one, add a line: it can then be gated, stands in the JSON report
 * and in the help. */
#include "verify/report.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

/* Known by name so that a gate on it says what is missing, instead of passing or being a typing
 * error. */
#define NOT_MEASURED ((double)NAN)

/* The first data set's figure. */
#define FIRST(field) (outcomes(r) ? r->data->outcome[0].field : NOT_MEASURED)

static size_t outcomes(const mc_report *r)
{
    return r->data ? r->data->outcomes : 0;
}

/* The largest of all data sets; NaN when one has none, so that a gate on it fails. */
#define WORST(field) worst(r, offsetof(mc_outcome, field))

static double worst(const mc_report *r, size_t field)
{
    double most = NOT_MEASURED;
    for (size_t i = 0; i < outcomes(r); i++) {
        const double value = *(const double *)((const char *)&r->data->outcome[i] + field);
        if (isnan(value)) return NOT_MEASURED;
        if (!(most >= value)) most = value;
    }
    return most;
}

static double min_site_sqnr(const mc_report *r)
{
    if (!r->data || r->data->sites == 0) return NOT_MEASURED;
    return r->data->site[r->data->worst_first[0]].output_sqnr_db;
}

static double seen(const mc_report *r, uint64_t value)
{
    return r->data && value > 0 && value < UINT64_MAX ? (double)value : NOT_MEASURED;
}

/* X(name, section, unit, summary, expression of r) */
#define METRICS(X)                                                                                \
    X(source_bytes, "size", BYTES, "bytes of the source: weights, and files carried along",       \
      (double)r->source_bytes)                                                                    \
    X(container_bytes, "size", BYTES, "bytes of the container", (double)r->container_bytes)       \
    X(flash_bytes, "size", BYTES, "bytes the container takes in flash, used in place",            \
      (double)r->container_bytes)                                                                 \
    X(bits_per_weight, "size", REAL,                                                              \
      "stored bits of a quantized weight: codes, scales, offsets and tables", r->bits_per_weight) \
    X(parameters, "size", COUNT, "elements of all tensors", (double)r->parameters)                \
    X(macs, "size", COUNT, "multiplications of a sample, or of a token; needs --data",            \
      seen(r, r->data ? r->data->macs : 0))                                                       \
    X(ram_bytes, "size", BYTES, "memory the values of a sample take, in f32; needs --data",       \
      seen(r, r->data ? r->data->ram_bytes : 0))                                                  \
    X(quantized_parameters, "size", COUNT, "elements of the quantized tensors",                   \
      (double)r->quantized_parameters)                                                            \
    X(min_tensor_sqnr_db, "summary", DB, "signal to quantization noise of the worst tensor",      \
      r->min_tensor_sqnr_db)                                                                      \
    X(mean_tensor_sqnr_db, "summary", DB, "its mean over the quantized tensors",                  \
      r->mean_tensor_sqnr_db)                                                                     \
    X(min_site_sqnr_db, "summary", DB, "the same for outputs of the worst site; needs --data",    \
      min_site_sqnr(r))                                                                           \
    X(max_abs_error, "summary", REAL, "largest absolute error of a weight", r->max_abs_error)     \
    X(max_relative_error, "summary", SHARE,                                                       \
      "largest root of error energy over weight energy of a tensor", r->max_relative_error)       \
    X(clipped, "summary", SHARE, "share of quantized weights beyond the range of their group",    \
      r->clipped)                                                                                 \
    X(zeros, "summary", SHARE, "share of quantized weights that became zero", r->zeros)           \
    X(tensors, "summary", COUNT, "tensors in the container", (double)r->tensors)                  \
    X(quantized_tensors, "summary", COUNT, "quantized tensors", (double)r->quantized)             \
    X(accuracy, "model", SHARE, "right answers of the container; needs --data", FIRST(accuracy))  \
    X(accuracy_reference, "model", SHARE, "right answers of the original",                        \
      FIRST(accuracy_reference))                                                                  \
    X(accuracy_drop, "model", SHARE, "what the container lost of them", FIRST(accuracy_drop))     \
    X(top5, "model", SHARE, "the right answer is among the first five", FIRST(top5))              \
    X(top5_reference, "model", SHARE, "the same of the original", FIRST(top5_reference))          \
    X(top5_drop, "model", SHARE, "what the container lost of them", FIRST(top5_drop))             \
    X(auc, "model", SHARE, "area under the ROC curve, for two classes", FIRST(auc))               \
    X(auc_reference, "model", SHARE, "the same of the original", FIRST(auc_reference))            \
    X(auc_drop, "model", SHARE, "what the container lost of it", FIRST(auc_drop))                 \
    X(mcnemar_p, "model", REAL, "chance of such a drop between equals (McNemar)",                 \
      FIRST(mcnemar_p))                                                                           \
    X(top1_agreement, "model", SHARE, "both choose the same", FIRST(top1_agreement))              \
    X(calibration_error, "model", SHARE, "confidence against accuracy of the container (ECE)",    \
      FIRST(confidence.expected_error))                                                           \
    X(perplexity, "model", REAL, "perplexity of the container; needs --data", FIRST(perplexity))  \
    X(perplexity_reference, "model", REAL, "the same of the original",                            \
      FIRST(perplexity_reference))                                                                \
    X(perplexity_ratio, "model", REAL, "the first over the second", FIRST(perplexity_ratio))      \
    X(kl_mean, "model", REAL, "divergence of the next token's distribution, in nats",             \
      FIRST(kl_mean))                                                                             \
    X(kl_median, "model", REAL, "its median", FIRST(kl_median))                                   \
    X(kl_p99, "model", REAL, "its 99th percentile", FIRST(kl_p99))                                \
    X(kl_max, "model", REAL, "its maximum", FIRST(kl_max))                                        \
    X(delta_p_rms, "model", SHARE, "change of the right token's probability", FIRST(delta_p_rms)) \
    X(output_sqnr_db, "model", DB, "signal to noise of the model's outputs",                      \
      FIRST(output_sqnr_db))                                                                      \
    X(output_max_abs_error, "model", REAL, "largest error of an output",                          \
      FIRST(output_max_abs_error))                                                                \
    X(worst_accuracy_drop, "model", SHARE, "the largest of all data sets", WORST(accuracy_drop))  \
    X(worst_perplexity_ratio, "model", REAL, "the largest of all data sets",                      \
      WORST(perplexity_ratio))                                                                    \
    X(worst_kl_mean, "model", REAL, "the largest of all data sets", WORST(kl_mean))               \
    X(score, "model", REAL, "what the program of --score printed", r->score)

#define X(name, section, unit, summary, expression) \
    static double value_##name(const mc_report *r)  \
    {                                               \
        (void)r;                                    \
        return (expression);                        \
    }
METRICS(X)
#undef X

/* ---- how sure the figures are: half of a 95 % interval ---- */

#define Z95 1.959963984540054

static double accuracy_drop_interval(const mc_report *r)
{
    return 0.5 * (FIRST(accuracy_drop_high) - FIRST(accuracy_drop_low));
}

static double kl_mean_interval(const mc_report *r)
{
    return Z95 * FIRST(kl_mean_se);
}

static double perplexity_ratio_interval(const mc_report *r)
{
    return Z95 * FIRST(perplexity_ratio_se);
}

static double top1_agreement_interval(const mc_report *r)
{
    return Z95 * FIRST(top1_agreement_se);
}

/* `same`: the figure of a container that behaves as the original. */
static const struct {
    const char *name;
    double same;
    double (*interval)(const mc_report *report);
} intervals[] = {
    {"accuracy_drop", 0.0, accuracy_drop_interval},
    {"kl_mean", 0.0, kl_mean_interval},
    {"perplexity_ratio", 1.0, perplexity_ratio_interval},
    {"top1_agreement", 1.0, top1_agreement_interval},
};

bool mc_metric_is_too_coarse(const mc_metric *metric, const mc_report *report, double threshold)
{
    for (size_t i = 0; i < sizeof intervals / sizeof *intervals; i++)
        if (strcmp(intervals[i].name, metric->name) == 0)
            return fabs(threshold - intervals[i].same) < intervals[i].interval(report);
    return false;
}

/* ---- the table ---- */

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
