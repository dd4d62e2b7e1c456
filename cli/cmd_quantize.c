/* quantize IN OUT: a model in, a packed container out. */
#include "cli/commands.h"
#include "cli/explain.h"
#include "cli/output.h"
#include "cli/pipeline_budget.h"
#include "cli/pipeline_data.h"
#include "cli/pipeline_memory.h"
#include "cli/pipeline_outputs.h"
#include "cli/pipeline_quantize.h"
#include "cli/pipeline_verify.h"
#include "core/text.h"
#include "formats/formats.h"
#include "formats/json_pull.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    const mc_options *options;
    mc_model model;
    mc_pool *pool;
    mc_region memory; /* of the plan */
    mc_plan plan;
    mc_calibration calibration;
    mc_quantize_result result;
} session;

/* No file that is written may be one that is read, or would be refused at the end. */
static mc_status check_outputs(session *s, mc_err *err)
{
    const mc_options *o = s->options;
    const char *rejected = mc_rejected_name(o, &s->memory.arena);
    const char *depfile = mc_depfile_name(o, &s->memory.arena);
    const char *const outputs[] = {o->arg[1], rejected, o->report, o->html, depfile, o->dump};
    const mc_path_list names = {outputs, sizeof outputs / sizeof outputs[0]};
    MC_TRY(mc_outputs_check(&s->model, (mc_path_list){&o->calib, 1}, names, err));
    MC_TRY(mc_out_check(o->arg[1], mc_may_replace(o, o->arg[1]), err));
    if (!o->requires || !rejected) return MC_OK;
    return mc_out_check(rejected, o->force || mc_is_our_container(rejected), err);
}

static mc_status check_budgets(const session *s, mc_err *err)
{
    const mc_options *o = s->options;
    MC_TRY(
        mc_check_memory_limit(o, o->arg[0], s->plan.memory_bytes, mc_pool_threads(s->pool), err));
    if (o->max_flash && s->plan.layout.file_bytes > o->max_flash && !o->compress)
        return mc_fail(err, MC_E_BUDGET,
                       "%s: the container would take %llu bytes, --max-flash is %llu", o->arg[1],
                       (unsigned long long)s->plan.layout.file_bytes,
                       (unsigned long long)o->max_flash);
    return MC_OK;
}

static mc_status prepare(session *s, mc_err *err)
{
    const mc_options *o = s->options;
    if (o->weight_bits == 0)
        return mc_fail(
            err, MC_E_USAGE,
            "quantize needs a scheme such as --w4a8 (weights of 4 bits, activations of 8)");
    MC_TRY(mc_data_options_check(o, err));
    const mc_read_options read = mc_reading(o);
    MC_TRY(mc_model_open(o->arg[0], &read, &s->model, err));
    MC_TRY(mc_data_model_check(&s->model, o, err));
    MC_TRY(mc_region_open(&s->memory, mc_plan_memory(&s->model, o), err));
    MC_TRY(check_outputs(s, err));
    const unsigned threads = o->threads ? o->threads : mc_processors();
    if (mc_plan_make(&s->model, o, threads, &s->memory.arena, &s->plan, err) != MC_OK)
        return mc_wrap(err, "%s", o->arg[0]);
    MC_TRY(mc_explain_check(&s->plan, err));
    if (mc_code_needed(&s->plan)) {
        MC_TRY(mc_calibration_open(&s->model, o, o->calib, &s->calibration, err));
        MC_TRY(mc_memory_of_quantize(&s->plan, &s->calibration, threads, err));
    }
    const size_t plan_scratch = mc_plan_scratch_bytes(&s->plan);
    const size_t verify_scratch = mc_verify_scratch_bytes();
    size_t scratch = plan_scratch > verify_scratch ? plan_scratch : verify_scratch;
    if (mc_code_needed(&s->plan)) scratch += mc_code_scratch_bytes(&s->plan);
    MC_TRY(mc_pool_open(&s->pool, threads, scratch, err));
    MC_TRY(mc_refuse_unmeasured(&s->plan.container.numerics, o, err));
    return check_budgets(s, err);
}

static mc_status show_plan(session *s, mc_err *err)
{
    double seconds = -1; /* of choosing codes with data nothing is told beforehand */
    if (!mc_code_needed(&s->plan))
        MC_TRY(mc_plan_seconds(&s->plan, mc_pool_threads(s->pool), &seconds, err));
    return mc_print_and_free(
        s->options->json ? mc_plan_json(&s->plan, seconds) : mc_plan_text(&s->plan, seconds), err);
}

/* ---- what a run says ---- */

static void add_sizes(mc_text *text, const session *s)
{
    char before[MC_SIZE_TEXT], after[MC_SIZE_TEXT];
    mc_size_text(s->plan.source_bytes, before);
    mc_size_text(s->result.container_bytes, after);
    mc_text_addf(text, "  size      %s -> %s (", before, after);
    mc_text_add_fixed(text,
                      100.0 * (double)s->result.container_bytes / (double)s->plan.source_bytes, 1);
    mc_text_add(text, " %), ");
    mc_text_add_fixed(text, mc_plan_bits_per_weight(&s->plan), 3);
    mc_text_add(text, " bits per quantized weight\n");
}

/* Where the time of choosing codes with data went. */
static void add_seconds(mc_text *text, const mc_made_seconds *s)
{
    const struct {
        const char *name;
        double seconds;
    } part[] = {{"forward", s->forward},
                {", moments", s->moments},
                {", factors", s->factors},
                {", codes", s->codes}};
    if (s->forward + s->moments <= 0.0) return;
    mc_text_add(text, "  calibrate ");
    for (size_t i = 0; i < sizeof part / sizeof *part; i++) {
        mc_text_addf(text, "%s ", part[i].name);
        mc_text_add_fixed(text, part[i].seconds, 2);
        mc_text_add(text, " s");
    }
    mc_text_add(text, "\n");
}

static void add_costs(mc_text *text, const mc_quantize_result *result)
{
    add_seconds(text, &result->made.seconds);
    char peak[MC_SIZE_TEXT];
    mc_size_text(result->peak_bytes, peak);
    mc_text_add(text, "  run       ");
    mc_text_add_fixed(text, result->seconds, 2);
    mc_text_add(text, " s (of it fsync ");
    mc_text_add_fixed(text, result->fsync_seconds, 2);
    mc_text_addf(text, " s), peak memory %s\n", peak);
}

/* A path must not steer the terminal, and one of any sane length is to be copied from here. */
static void add_path(mc_text *text, const char *before, const char *path)
{
    char shown[4096];
    mc_text_addf(text, "%s%s", before, mc_show_path(path, shown, sizeof shown));
}

/* What was chosen with data, when anything was. */
static const mc_made *made_of(const session *s)
{
    return s->result.made.plan ? &s->result.made : NULL;
}

static char *summary_text(const session *s)
{
    static const char *const endings[] = {[MC_ENDED_UNCHANGED] = " (unchanged)",
                                          [MC_ENDED_WRITTEN] = "",
                                          [MC_ENDED_REJECTED] = ".rejected"};
    const mc_options *o = s->options;
    mc_text text;
    mc_text_open(&text);
    char headline[MC_HEADLINE_TEXT];
    mc_numerics_headline(&s->plan.container.numerics, headline);
    mc_text_addf(&text, "%s\n", headline);
    add_path(&text, "", o->arg[0]);
    add_path(&text, " -> ", o->arg[1]);
    mc_text_addf(&text, "%s\n", endings[s->result.ending]);
    mc_text_add(&text, "  tensors   ");
    mc_plan_add_counts(&text, &s->plan);
    mc_text_add(&text, s->plan.fallbacks ? " (--dry-run lists them)\n" : "\n");
    if (s->plan.quantized) add_sizes(&text, s);
    add_costs(&text, &s->result);
    if (s->result.measured) {
        char *report = mc_report_text(&s->result.report, false);
        mc_text_add(&text, "\n");
        mc_text_add(&text, report ? report : "");
        free(report);
    } else {
        add_path(&text, "  measure   mcompress verify ", o->arg[1]);
        add_path(&text, " --reference ", o->arg[0]);
        mc_text_add(&text, "\n");
    }
    mc_explain_text(&s->plan, made_of(s), &text);
    return mc_text_take(&text);
}

/* The report is the result then: explanations are talk. */
static char *report_json(const session *s)
{
    mc_text text;
    mc_text_open(&text);
    mc_explain_text(&s->plan, made_of(s), &text);
    char *talk = mc_text_take(&text);
    if (talk) fputs(talk, stderr);
    free(talk);
    return mc_report_json(&s->result.report, true);
}

static void add_seconds_json(mc_json_out *out, const mc_made_seconds *seconds)
{
    mc_json_object(out, "calibration_seconds");
    mc_json_num(out, "forward", seconds->forward);
    mc_json_num(out, "moments", seconds->moments);
    mc_json_num(out, "factors", seconds->factors);
    mc_json_num(out, "codes", seconds->codes);
    mc_json_end(out);
}

static char *summary_json(const session *s)
{
    if (s->result.measured) return report_json(s);
    mc_err err;
    mc_json_out *out;
    if (mc_json_out_open(&out, &err) != MC_OK) return NULL;
    char root[MC_SHA256_HEX], activations[MC_NUMERICS_TEXT];
    const mc_numerics *n = &s->plan.container.numerics;
    mc_hex(s->result.root, MC_SHA256_BYTES, root);
    mc_activations_text(n, activations);
    mc_json_object(out, NULL);
    mc_json_text(out, "schema", "mcompress-quantize/1");
    mc_json_text(out, "activations", activations);
    mc_json_bool(out, "activations_measured", n->measured);
    mc_json_text(out, "output", s->options->arg[1]);
    mc_json_bool(out, "changed", s->result.ending != MC_ENDED_UNCHANGED);
    mc_json_u64(out, "source_bytes", s->plan.source_bytes);
    mc_json_u64(out, "container_bytes", s->result.container_bytes);
    mc_json_num(out, "bits_per_weight", mc_plan_bits_per_weight(&s->plan));
    mc_json_text(out, "container_hash", root);
    mc_json_num(out, "seconds", s->result.seconds);
    mc_json_num(out, "fsync_seconds", s->result.fsync_seconds);
    mc_json_u64(out, "peak_bytes", s->result.peak_bytes);
    if (made_of(s)) add_seconds_json(out, &s->result.made.seconds);
    mc_explain_json(&s->plan, made_of(s), out);
    mc_json_end(out);
    char *text = mc_json_done(out, true);
    mc_json_out_close(out);
    return text;
}

static mc_status carry_out(session *s, mc_err *err)
{
    const mc_status status =
        mc_pipeline_quantize(&s->plan, &s->calibration, &s->memory.arena, s->pool, &s->result, err);
    if (status != MC_OK && status != MC_E_GATE) return status;
    mc_err other;
    if (s->options->quiet && !s->options->json) return status;
    if (mc_print_and_free(s->options->json ? summary_json(s) : summary_text(s), &other) != MC_OK) {
        *err = other;
        return other.status;
    }
    return status;
}

static mc_status run(const mc_options *options, mc_err *err)
{
    session s = {.options = options};
    mc_status status = prepare(&s, err);
    if (status == MC_OK) status = options->dry_run ? show_plan(&s, err) : carry_out(&s, err);
    mc_quantize_close(&s.result);
    mc_calibration_close(&s.calibration);
    mc_pool_close(s.pool);
    mc_region_close(&s.memory);
    mc_model_close(&s.model);
    return status;
}

const mc_command mc_cmd_quantize = {
    .name = "quantize",
    .args = "IN OUT",
    .least_args = 2,
    .most_args = 2,
    .summary = "quantize a model's weights and pack them into a container",
    .details = "IN is a .safetensors file, a Hugging Face folder, a model.safetensors.index.json, "
               "or a zip or tar archive of "
               "those. OUT is a container (docs/container.md).\n\n"
               "--w4a8 asks for weights of 4 bits and activations of 8. Weights get groups of 32 "
               "columns up to 4 bits and one "
               "scale a row from 5 bits on, symmetric, with F16 scales, by the method mse. "
               "Embedding and output head get 8 "
               "bits; norms, biases and tensors of one dimension stay as they are. A tensor that "
               "cannot take the scheme falls "
               "back by a stated rule and is listed by --dry-run and in the report; --no-fallback "
               "refuses instead. Without a "
               "graph, activation bits are recorded for the device and not measured, and the first "
               "line of every report says "
               "so.\n\n"
               "Archives are unpacked into unnamed files in $TMPDIR or /tmp, at most 64 GiB.\n\n"
               "The output appears under its name only when it is complete, was opened again and "
               "passed every --require; a "
               "container that fails one stands as OUT.rejected, and the exit code is 1.",
    .examples = "mcompress quantize --w4a8 model.safetensors model.bin\n"
                "mcompress quantize --w3 --asym --method hqq --group 64 llama/ llama.bin\n"
                "mcompress quantize --w4a8 --dry-run --json model.safetensors model.bin\n"
                "mcompress quantize --w4a8 --require 'min_tensor_sqnr_db>=18' --html report.html "
                "model.safetensors model.bin\n",
    .run = run,
};
