/* verify CONTAINER [--reference IN]: is it whole, and what did it cost? */
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/pipeline_budget.h"
#include "cli/pipeline_data.h"
#include "cli/pipeline_hash.h"
#include "cli/pipeline_outputs.h"
#include "cli/pipeline_verify.h"
#include "core/json.h"
#include "core/log.h"
#include "formats/formats.h"
#include "formats/json_pull.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    const mc_options *options;
    mc_container container;
    mc_model reference;
    mc_pool *pool;
    mc_region memory;
    mc_report report;
} session;

/* ---- without a reference: hashes, checksums and padding ---- */

static char *whole_json(const session *s)
{
    mc_err err;
    mc_json_out *out;
    if (mc_json_out_open(&out, &err) != MC_OK) return NULL;
    char root[MC_SHA256_HEX];
    mc_hex(s->container.root, MC_SHA256_BYTES, root);
    mc_json_object(out, NULL);
    mc_json_text(out, "schema", "mcompress-integrity/1");
    mc_json_text(out, "verdict", "pass");
    mc_json_u64(out, "container_bytes", s->container.map.size);
    mc_json_u64(out, "weights", s->container.weights);
    mc_json_u64(out, "sections", s->container.parts);
    mc_json_text(out, "container_hash", root);
    mc_json_end(out);
    char *text = mc_json_done(out, true);
    mc_json_out_close(out);
    return text;
}

static mc_status check_alone(session *s, mc_err *err)
{
    const mc_options *o = s->options;
    if (o->report || o->html || o->requires || o->datas || o->logits_in)
        return mc_fail(err, MC_E_USAGE,
                       "%s needs --reference IN: there is nothing to measure against",
                       o->report      ? "--report"
                       : o->html      ? "--html"
                       : o->requires  ? "--require"
                       : o->logits_in ? "--logits-in"
                                      : "--data");
    MC_TRY(mc_container_check(&s->container, s->pool, err));
    if (o->json) return mc_print_and_free(whole_json(s), err);
    if (o->quiet) return MC_OK;
    char root[MC_SHA256_HEX], path[4096];
    mc_hex(s->container.root, MC_SHA256_BYTES, root);
    mc_show_path(o->arg[0], path, sizeof path);
    return mc_print(err, "%s: intact: %zu weights in %zu sections, %llu bytes\nroot %s\n", path,
                    s->container.weights, s->container.parts,
                    (unsigned long long)s->container.map.size, root);
}

/* ---- against the model it came from ---- */

/* Does the manifest name the reference's files? Another file may hold the same weights, so it is
 * only said. */
static void compare_hashes(const session *s, const uint8_t (*digest)[MC_SHA256_BYTES])
{
    mc_json *manifest;
    mc_err ignored;
    if (mc_json_parse(s->container.manifest, s->container.manifest_bytes, "manifest", &manifest,
                      &ignored) != MC_OK)
        return;
    const mc_json *inputs = mc_json_get(manifest, "inputs");
    for (size_t i = 0; i < mc_json_count(inputs) && i < s->reference.sources; i++) {
        const mc_json *input = mc_json_at(inputs, i);
        char hex[MC_SHA256_HEX];
        mc_hex(digest[i], MC_SHA256_BYTES, hex);
        if (strcmp(mc_json_as_text(mc_json_get(input, "role"), ""), "weights") != 0) break;
        if (strcmp(mc_json_as_text(mc_json_get(input, "sha256"), ""), hex) == 0) continue;
        mc_log(MC_LOG_WARNING, "%s: is not the file that %s was made from (SHA-256 %.16s…)",
               s->reference.source[i].path, s->options->arg[0], hex);
    }
    mc_json_free(manifest);
}

static mc_status hash_reference(session *s, mc_err *err)
{
    mc_hash_lanes *lanes = NULL;
    mc_status status = mc_hash_lanes_open(&s->reference, &s->memory.arena, &lanes, err);
    if (status == MC_OK) {
        const uint8_t(*digest)[MC_SHA256_BYTES] = mc_hash_lanes_finish(lanes);
        compare_hashes(s, digest);
        status = mc_hash_of_weights(&s->reference, digest, s->report.source_hash, err);
    }
    mc_hash_lanes_close(lanes);
    return status;
}

static mc_status check_against(session *s, mc_err *err)
{
    const mc_options *o = s->options;
    const mc_read_options read = mc_reading(o);
    MC_TRY(mc_model_open(o->reference, &read, &s->reference, err));
    MC_TRY(mc_data_model_check(&s->reference, o, err));
    const char *const inputs[] = {o->arg[0]};
    const char *const outputs[] = {o->report, o->html, o->dump, o->logits_out};
    MC_TRY(mc_outputs_check(&s->reference, (mc_path_list){inputs, 1}, (mc_path_list){outputs, 4},
                            err));
    MC_TRY(mc_region_open(&s->memory, mc_measure_memory(&s->reference, &s->container, o), err));
    MC_TRY(mc_pipeline_measure(&s->reference, &s->container, o, s->pool, &s->memory.arena,
                               &s->report, err));
    MC_TRY(hash_reference(s, err));
    MC_TRY(mc_pipeline_reports(&s->report, o, err));
    if (o->json)
        MC_TRY(mc_print_and_free(mc_report_json(&s->report, true), err));
    else if (!o->quiet)
        MC_TRY(mc_print_and_free(mc_report_text(&s->report, mc_stdout_has_color()), err));
    return mc_gate_failure(&s->report, err);
}

static mc_status check(session *s, mc_err *err)
{
    const mc_options *o = s->options;
    MC_TRY(mc_data_options_check(o, err));
    MC_TRY(mc_container_open(o->arg[0], o->no_follow ? MC_NO_FOLLOW : 0, &s->container, err));
    MC_TRY(mc_refuse_unmeasured(&s->container.numerics, o, err));
    MC_TRY(mc_pool_open(&s->pool, o->threads, mc_verify_scratch_bytes(), err));
    const unsigned threads = mc_pool_threads(s->pool);
    const uint64_t need = mc_verify_memory(&s->container, threads);
    MC_TRY(mc_check_memory_limit(o, o->arg[0], need, threads, err));
    return o->reference ? check_against(s, err) : check_alone(s, err);
}

static mc_status run(const mc_options *options, mc_err *err)
{
    session s = {.options = options};
    const mc_status status = check(&s, err);
    mc_pool_close(s.pool);
    mc_model_close(&s.reference);
    mc_container_close(&s.container);
    mc_region_close(&s.memory);
    return status;
}

const mc_command mc_cmd_verify = {
    .name = "verify",
    .args = "CONTAINER",
    .least_args = 1,
    .most_args = 1,
    .summary = "check a container's integrity and measure what it cost",
    .details = "Without --reference every hash, checksum and padding byte of the container is "
               "checked. With --reference IN, the "
               "model it was made from, every weight is decoded from the container's bytes and "
               "compared: signal to noise ratio, "
               "largest error and where it is, cosine, clipped and zero shares, code histogram, "
               "bits with everything counted.\n\n"
               "--require sets gates on any figure of the report; a gate that fails makes the exit "
               "code 1. Other failures "
               "have their own: 3 not a container, 4 another version of the format, 6 damaged or "
               "not what the reference says.",
    .examples = "mcompress verify model.bin\n"
                "mcompress verify model.bin --reference model.safetensors --html report.html\n"
                "mcompress verify model.bin --reference model.safetensors --require "
                "'min_tensor_sqnr_db>=18'\n",
    .run = run,
};
