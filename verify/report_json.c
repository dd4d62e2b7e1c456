/* The report as JSON, schema mcompress-report/1: keys are stable, programs depend on them.
 *
 * JSON has no infinity: an SQNR of a tensor without error is null and "exact" beside it is true. */
#include "verify/text_out.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static void add_text_or_null(mc_json_out *out, const char *key, const char *text)
{
    mc_json_text(out, key, text[0] ? text : NULL);
}

static void add_metric(mc_json_out *out, const mc_metric *metric, double value)
{
    const bool whole = metric->unit == MC_METRIC_COUNT || metric->unit == MC_METRIC_BYTES;
    if (whole && value >= 0.0 && value < 18446744073709551616.0)
        mc_json_u64(out, metric->name, (uint64_t)value);
    else
        mc_json_num(out, metric->name, value);
}

static void add_section(mc_json_out *out, const mc_report *r, const char *section)
{
    mc_json_object(out, section);
    for (size_t i = 0; mc_metric_at(i); i++) {
        const mc_metric *metric = mc_metric_at(i);
        if (strcmp(metric->section, section) == 0) add_metric(out, metric, metric->value(r));
    }
    if (strcmp(section, "summary") == 0) {
        if (r->min_tensor_sqnr_db == (double)INFINITY) mc_json_bool(out, "exact", true);
        mc_json_text(out, "worst_tensor", r->worst_tensor);
    }
    mc_json_end(out);
}

static void add_gates(mc_json_out *out, const mc_report *r)
{
    mc_json_array(out, "gates");
    for (size_t i = 0; i < r->gates; i++) {
        const mc_gate_result *gate = &r->gate[i];
        mc_json_object(out, NULL);
        mc_json_text(out, "metric", gate->metric);
        mc_json_text(out, "op", gate->op);
        mc_json_num(out, "threshold", gate->threshold);
        mc_json_num(out, "value", gate->value);
        if (gate->value == (double)INFINITY) mc_json_bool(out, "exact", true);
        mc_json_bool(out, "pass", gate->pass);
        mc_json_bool(out, "underpowered", gate->underpowered);
        mc_json_end(out);
    }
    mc_json_end(out);
}

/* Columns that share a scale; all elements when one scale serves the tensor. */
static void add_group(mc_json_out *out, const mc_tensor_report *t)
{
    if (!mc_out_is_quantized(t))
        mc_json_null(out, "group");
    else
        mc_json_u64(out, "group", t->spec->group ? t->spec->group : t->count);
}

static void add_shape(mc_json_out *out, const mc_weight_spec *spec)
{
    mc_json_array(out, "shape");
    for (int d = 0; d < spec->ndim; d++) mc_json_u64(out, NULL, spec->dim[d]);
    mc_json_end(out);
}

static void add_codes(mc_json_out *out, const mc_tensor_report *t)
{
    mc_json_num(out, "entropy_bits", t->entropy_bits);
    mc_json_array(out, "histogram");
    for (unsigned u = 0; u < mc_grid_codes(&t->spec->grid); u++)
        mc_json_u64(out, NULL, t->histogram[u]);
    mc_json_end(out);
}

static void add_tensor(mc_json_out *out, const mc_tensor_report *t)
{
    const bool quantized = mc_out_is_quantized(t);
    mc_json_object(out, NULL);
    mc_json_text(out, "name", t->name);
    mc_json_text(out, "form", mc_form_name(t->spec->form));
    mc_json_text(out, "dtype", mc_dtype_about(t->spec->dtype)->name);
    add_shape(out, t->spec);
    mc_json_num(out, "bits", mc_scheme_bits(t->spec));
    mc_json_text(out, "levels", quantized ? t->spec->grid.levels->name : NULL);
    add_group(out, t);
    mc_json_u64(out, "source_bytes", t->source_bytes);
    mc_json_u64(out, "bytes", t->bytes);
    mc_json_num(out, "bits_per_weight", t->bits_per_weight);
    mc_out_json_db(out, "sqnr_db", t->sqnr_db);
    mc_json_num(out, "relative_error", t->relative_error);
    mc_json_num(out, "max_abs_error", t->max_abs_error);
    mc_json_u64(out, "max_abs_index", t->max_abs_index);
    mc_json_num(out, "cosine", t->cosine);
    mc_json_num(out, "clipped", t->clipped);
    mc_json_num(out, "zeros", t->zeros);
    if (quantized) add_codes(out, t);
    if (t->kept_because) mc_json_text(out, "kept_because", t->kept_because);
    mc_json_end(out);
}

/* "int8 dynamic, recorded, not measured" */
static void add_numeric(mc_json_out *out, const char *key, const char *width, bool quantized,
                        bool measured)
{
    char text[MC_HEADLINE_TEXT];
    const char *state = measured ? ", measured" : ", recorded, not measured";
    snprintf(text, sizeof text, "%s%s", width, quantized ? state : "");
    mc_json_text(out, key, text);
}

static void add_numerics(mc_json_out *out, const mc_report *r)
{
    const mc_numerics *n = &r->numerics;
    const bool ran = r->data && n->measured;
    mc_json_object(out, "numerics");
    mc_json_text(out, "simulated", r->data ? r->data->simulated : "weights-only");
    char activations[MC_NUMERICS_TEXT], kv[MC_NUMERICS_TEXT];
    mc_activations_text(n, activations);
    mc_kv_text(n, kv);
    add_numeric(out, "activations", activations, mc_numerics_act(n), n->measured);
    add_numeric(out, "kv_cache", kv, n->kv_bits < 16, n->kv_measured);
    if (n->kv_bits < 16 && r->data) { /* attentions of a sample */
        mc_json_u64(out, "kv_applied", r->data->kv_applied);
        mc_json_u64(out, "kv_left", r->data->kv_left);
        mc_json_text(out, "kv_left_because", r->data->kv_why);
    }
    /* Of activations; null when none were rounded. */
    mc_json_text(out, "rounding", ran ? "half to even" : NULL);
    const bool integer = ran && strcmp(r->data->simulated, "integer") == 0;
    mc_json_text(out, "accumulator", !r->data ? NULL : integer ? "int32" : "float32");
    mc_json_end(out);
}

/* The hash of the data that the figures under "model" are of. */
static const char *evaluation(const mc_report *r)
{
    return r->data && r->data->outcomes ? r->data->outcome[0].hash : NULL;
}

static void add_origin(mc_json_out *out, const mc_report *r)
{
    mc_json_object(out, "hashes");
    add_text_or_null(out, "source", r->source_hash);
    add_text_or_null(out, "container", r->container_hash);
    add_text_or_null(out, "recipe", r->recipe_hash);
    mc_json_null(out, "calibration");
    mc_json_text(out, "evaluation", evaluation(r));
    mc_json_end(out);

    mc_json_object(out, "tool");
    mc_json_text(out, "version", r->version);
    mc_json_end(out);

    mc_json_array(out, "command");
    for (size_t i = 0; r->command && r->command[i]; i++) mc_json_text(out, NULL, r->command[i]);
    mc_json_end(out);
}

char *mc_report_json(const mc_report *report, bool pretty)
{
    mc_json_out *out = NULL;
    mc_err err = {0};
    if (mc_json_out_open(&out, &err) != MC_OK) return NULL;

    mc_json_object(out, NULL);
    mc_json_text(out, "schema", "mcompress-report/1");
    mc_json_text(out, "headline", report->headline);
    mc_json_text(out, "verdict", report->pass ? "pass" : "fail");
    add_gates(out, report);
    add_section(out, report, "size");
    add_section(out, report, "summary");
    mc_json_array(out, "tensors");
    for (size_t i = 0; i < report->tensors; i++) add_tensor(out, &report->tensor[i]);
    mc_json_end(out);
    mc_report_json_data(out, report);
    add_numerics(out, report);
    add_origin(out, report);
    mc_json_end(out);

    char *text = mc_json_done(out, pretty);
    mc_json_out_close(out);
    return text;
}
