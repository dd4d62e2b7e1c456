/* The scalars of a report. To add one, add a line: it can then be gated, stands in the JSON report
 * and in the help. */
#include "verify/report.h"

#include <math.h>
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

/* ---- of several data sets: the worst ---- */

/* A figure, and what has it. */
typedef struct {
    bool (*applies)(const mc_outcome *outcome);
    double (*of)(const mc_outcome *outcome);
} figure;

#define FIGURE(field, applies)                    \
    static double field##_of(const mc_outcome *o) \
    {                                             \
        return o->field;                          \
    }                                             \
    static const figure field##_figure = {applies, field##_of};
FIGURE(accuracy_drop, mc_outcome_has_answers)
FIGURE(perplexity_ratio, mc_outcome_is_language)
FIGURE(kl_mean, mc_outcome_is_language)
#undef FIGURE

/* The data set with the largest figure of those that have it; NULL: none has. NaN counts as the
 * largest, so that a gate on it fails. */
static const mc_outcome *worst_of(const mc_report *r, const figure *f)
{
    const mc_outcome *worst = NULL;
    for (size_t i = 0; i < outcomes(r); i++) {
        const mc_outcome *o = &r->data->outcome[i];
        if (!f->applies(o) || (worst && isnan(f->of(worst)))) continue;
        if (!worst || !(f->of(worst) >= f->of(o))) worst = o;
    }
    return worst;
}

static double worst(const mc_report *r, const figure *f)
{
    const mc_outcome *o = worst_of(r, f);
    return o ? f->of(o) : NOT_MEASURED;
}

#define WORST(field) worst(r, &field##_figure)

/* ---- figures that are counted or found ---- */

static double min_site_sqnr(const mc_report *r)
{
    if (!r->data || r->data->sites == 0) return NOT_MEASURED;
    return r->data->site[r->data->worst_first[0]].output_sqnr_db;
}

static double seen(const mc_report *r, uint64_t value)
{
    return r->data && value > 0 && value < UINT64_MAX ? (double)value : NOT_MEASURED;
}

/* X(name, section, unit, summary, expression of r): what the weights tell, and what the models
 * must be run for. */
#define WEIGHT_METRICS(X)                                                                         \
    X(source_bytes, "size", BYTES, "bytes of the source: weights, and files carried along",       \
      (double)r->source_bytes)                                                                    \
    X(container_bytes, "size", BYTES, "bytes of the container", (double)r->container_bytes)       \
    X(flash_bytes, "size", BYTES, "bytes the container takes in flash, used in place",            \
      (double)r->container_bytes)                                                                 \
    X(bits_per_weight, "size", REAL,                                                              \
      "stored bits of a quantized weight: codes, scales, offsets and tables", r->bits_per_weight) \
    X(parameters, "size", COUNT, "elements of all tensors", (double)r->parameters)                \
    X(quantized_parameters, "size", COUNT, "elements of the quantized tensors",                   \
      (double)r->quantized_parameters)                                                            \
    X(min_tensor_sqnr_db, "summary", DB, "signal to quantization noise of the worst tensor",      \
      r->min_tensor_sqnr_db)                                                                      \
    X(mean_tensor_sqnr_db, "summary", DB, "its mean over the quantized tensors",                  \
      r->mean_tensor_sqnr_db)                                                                     \
    X(max_abs_error, "summary", REAL, "largest absolute error of a weight", r->max_abs_error)     \
    X(max_relative_error, "summary", SHARE,                                                       \
      "largest root of error energy over weight energy of a tensor", r->max_relative_error)       \
    X(clipped, "summary", SHARE, "share of quantized weights beyond the range of their group",    \
      r->clipped)                                                                                 \
    X(zeros, "summary", SHARE, "share of quantized weights that became zero", r->zeros)           \
    X(tensors, "summary", COUNT, "tensors in the container", (double)r->tensors)                  \
    X(quantized_tensors, "summary", COUNT, "quantized tensors", (double)r->quantized)

#define DATA_METRICS(X)                                                                            \
    X(macs, "size", COUNT, "multiplications of a sample, or of a token",                           \
      seen(r, r->data ? r->data->macs : 0))                                                        \
    X(ram_bytes, "size", BYTES, "memory the values of a sample take, in f32",                      \
      seen(r, r->data ? r->data->ram_bytes : 0))                                                   \
    X(min_site_sqnr_db, "summary", DB, "signal to noise of the worst site's outputs",              \
      min_site_sqnr(r))                                                                            \
    X(accuracy, "model", SHARE, "right answers of the container", FIRST(accuracy))                 \
    X(accuracy_reference, "model", SHARE, "right answers of the original",                         \
      FIRST(accuracy_reference))                                                                   \
    X(accuracy_drop, "model", SHARE, "right answers that the container lost",                      \
      FIRST(accuracy_drop))                                                                        \
    X(top5, "model", SHARE, "right answers among the container's first five", FIRST(top5))         \
    X(top5_reference, "model", SHARE, "right answers among the original's first five",             \
      FIRST(top5_reference))                                                                       \
    X(top5_drop, "model", SHARE, "what the container lost of those among the first five",          \
      FIRST(top5_drop))                                                                            \
    X(auc, "model", SHARE, "area under the container's ROC curve, for two classes", FIRST(auc))    \
    X(auc_reference, "model", SHARE, "area under the original's ROC curve", FIRST(auc_reference))  \
    X(auc_drop, "model", SHARE, "what the container lost of the ROC area", FIRST(auc_drop))        \
    X(mcnemar_p, "model", REAL, "chance of such a difference in answers between equals (McNemar)", \
      FIRST(mcnemar_p))                                                                            \
    X(top1_agreement, "model", SHARE, "share of samples or tokens where both choose the same",     \
      FIRST(top1_agreement))                                                                       \
    X(calibration_error, "model", SHARE, "confidence of the container against its accuracy (ECE)", \
      FIRST(confidence.expected_error))                                                            \
    X(perplexity, "model", REAL, "perplexity of the container", FIRST(perplexity))                 \
    X(perplexity_reference, "model", REAL, "perplexity of the original",                           \
      FIRST(perplexity_reference))                                                                 \
    X(perplexity_ratio, "model", REAL, "perplexity of the container over that of the original",    \
      FIRST(perplexity_ratio))                                                                     \
    X(kl_mean, "model", REAL, "divergence of the next token's distribution in nats: mean",         \
      FIRST(kl_mean))                                                                              \
    X(kl_median, "model", REAL, "divergence of the next token's distribution: median",             \
      FIRST(kl_median))                                                                            \
    X(kl_p99, "model", REAL, "divergence of the next token's distribution: 99th percentile",       \
      FIRST(kl_p99))                                                                               \
    X(kl_max, "model", REAL, "divergence of the next token's distribution: largest",               \
      FIRST(kl_max))                                                                               \
    X(delta_p_rms, "model", SHARE, "change of the right token's probability, root mean square",    \
      FIRST(delta_p_rms))                                                                          \
    X(output_sqnr_db, "model", DB, "signal to noise of the model's outputs",                       \
      FIRST(output_sqnr_db))                                                                       \
    X(output_max_abs_error, "model", REAL, "largest error of an output",                           \
      FIRST(output_max_abs_error))                                                                 \
    X(worst_accuracy_drop, "model", SHARE, "the largest accuracy_drop of all data sets",           \
      WORST(accuracy_drop))                                                                        \
    X(worst_perplexity_ratio, "model", REAL, "the largest perplexity_ratio of all data sets",      \
      WORST(perplexity_ratio))                                                                     \
    X(worst_kl_mean, "model", REAL, "the largest kl_mean of all data sets", WORST(kl_mean))        \
    X(score, "model", REAL, "what the program of --score printed", r->score)

#define X(name, section, unit, summary, expression) \
    static double value_##name(const mc_report *r)  \
    {                                               \
        (void)r;                                    \
        return (expression);                        \
    }
WEIGHT_METRICS(X)
DATA_METRICS(X)
#undef X

/* ---- how sure the figures are: half of a 95 % interval ---- */

#define Z95 1.959963984540054

static double accuracy_drop_half(const mc_outcome *o)
{
    return 0.5 * (o->accuracy_drop_high - o->accuracy_drop_low);
}

static double kl_mean_half(const mc_outcome *o)
{
    return Z95 * o->kl_mean_se;
}

static double perplexity_ratio_half(const mc_outcome *o)
{
    return Z95 * o->perplexity_ratio_se;
}

static double top1_agreement_half(const mc_outcome *o)
{
    return Z95 * o->top1_agreement_se;
}

/* `same`: the figure of a container that behaves as the original. `of_worst`: the metric is this
 * figure of the worst data set; else the first one's. */
typedef struct {
    const char *name;
    double same;
    double (*half)(const mc_outcome *outcome);
    const figure *of_worst;
} interval;

static const interval intervals[] = {
    {"accuracy_drop", 0.0, accuracy_drop_half, NULL},
    {"kl_mean", 0.0, kl_mean_half, NULL},
    {"perplexity_ratio", 1.0, perplexity_ratio_half, NULL},
    {"top1_agreement", 1.0, top1_agreement_half, NULL},
    {"worst_accuracy_drop", 0.0, accuracy_drop_half, &accuracy_drop_figure},
    {"worst_kl_mean", 0.0, kl_mean_half, &kl_mean_figure},
    {"worst_perplexity_ratio", 1.0, perplexity_ratio_half, &perplexity_ratio_figure},
};

static const interval *interval_of(const mc_metric *metric)
{
    for (size_t i = 0; i < sizeof intervals / sizeof *intervals; i++)
        if (strcmp(intervals[i].name, metric->name) == 0) return &intervals[i];
    return NULL;
}

double mc_metric_interval(const mc_metric *metric, const mc_report *r)
{
    const interval *known = interval_of(metric);
    if (!known || outcomes(r) == 0) return NOT_MEASURED;
    const mc_outcome *o = known->of_worst ? worst_of(r, known->of_worst) : &r->data->outcome[0];
    return o ? known->half(o) : NOT_MEASURED;
}

/* One sample alone has no interval: then every gate is too fine. */
bool mc_metric_is_too_coarse(const mc_metric *metric, const mc_report *r, double threshold)
{
    const interval *known = interval_of(metric);
    if (!known || isnan(metric->value(r))) return false;
    return !(fabs(threshold - known->same) >= mc_metric_interval(metric, r));
}

/* ---- the table ---- */

static const mc_metric metrics[] = {
#define X(name, section, unit, summary, expression) \
    {#name, section, MC_METRIC_##unit, false, summary, value_##name},
    WEIGHT_METRICS(X)
#undef X
#define X(name, section, unit, summary, expression) \
    {#name, section, MC_METRIC_##unit, true, summary, value_##name},
        DATA_METRICS(X)
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
