/* calibrate IN STATS: what the weights of a model meet, kept in a file. */
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/pipeline_calibrate.h"
#include "cli/pipeline_code.h"
#include "cli/pipeline_memory.h"
#include "cli/pipeline_outputs.h"
#include "core/text.h"
#include "formats/formats.h"
#include "formats/json_pull.h"

#include <inttypes.h>
#include <stdlib.h>

static mc_status check_options(const mc_options *o, mc_err *err)
{
    const char *idle = !o->merges        ? NULL
                       : o->calib        ? "--calib"
                       : o->datas        ? "--data"
                       : o->no_gram      ? "--no-gram"
                       : o->max_tokens   ? "--max-tokens"
                       : o->window       ? "--window"
                       : o->seeded       ? "--seed"
                       : o->threads      ? "--threads"
                       : o->memory_limit ? "--memory-limit"
                                         : NULL;
    if (idle)
        return mc_fail(err, MC_E_USAGE, "%s does nothing with --merge, which runs no model", idle);
    if (o->merges && o->args != 1)
        return mc_fail(err, MC_E_USAGE, "calibrate --merge STATS takes one argument, OUT");
    if (!o->merges && o->args != 2)
        return mc_fail(err, MC_E_USAGE, "calibrate needs two arguments, IN STATS; it got %d",
                       o->args);
    if (!o->merges && o->no_gram && mc_calibrate_is_imatrix(o->arg[1]))
        return mc_fail(err, MC_E_USAGE, "--no-gram: an importance matrix never has Grams");
    return MC_OK;
}

/* ---- what a run says ---- */

static void add_run(mc_text *text, const mc_calibrate_result *r)
{
    char peak[MC_SIZE_TEXT];
    mc_size_text(r->peak_bytes, peak);
    mc_text_add(text, "  run       ");
    mc_text_add_fixed(text, r->seconds, 2);
    mc_text_addf(text, " s, peak memory %s\n", peak);
}

static char *summary_text(const mc_options *o, const mc_calibrate_result *r)
{
    char shown[4096];
    mc_text text;
    mc_text_open(&text);
    if (!o->merges) mc_text_addf(&text, "%s -> ", mc_show_path(o->arg[0], shown, sizeof shown));
    const char *out = o->arg[o->merges ? 0 : 1];
    mc_text_addf(&text, "%s\n", mc_show_path(out, shown, sizeof shown));
    mc_text_addf(&text, "  data      %" PRIu64 " samples", r->samples);
    if (r->tokens) mc_text_addf(&text, ", %" PRIu64 " tokens", r->tokens);
    mc_text_addf(&text, "\n  blocks    %zu", r->blocks + r->resumed);
    if (r->resumed) mc_text_addf(&text, ", %zu of them from the run before", r->resumed);
    if (r->unnamed) mc_text_addf(&text, "; %zu weights have no name in GGUF", r->unnamed);
    mc_text_add(&text, "\n");
    add_run(&text, r);
    return mc_text_take(&text);
}

static mc_status print_json(const mc_options *o, const mc_calibrate_result *r, mc_err *err)
{
    mc_json_out *out;
    MC_TRY(mc_json_out_open(&out, err));
    mc_json_object(out, NULL);
    mc_json_text(out, "schema", "mcompress-calibrate/1");
    mc_json_text(out, "output", o->arg[o->merges ? 0 : 1]);
    mc_json_u64(out, "samples", r->samples);
    mc_json_u64(out, "tokens", r->tokens);
    mc_json_u64(out, "blocks", r->blocks + r->resumed);
    mc_json_u64(out, "resumed", r->resumed);
    mc_json_u64(out, "unnamed", r->unnamed);
    mc_json_num(out, "seconds", r->seconds);
    mc_json_u64(out, "peak_bytes", r->peak_bytes);
    mc_json_end(out);
    return mc_print_json(out, err);
}

static mc_status say(const mc_options *o, const mc_calibrate_result *r, mc_err *err)
{
    if (o->json) return print_json(o, r, err);
    return o->quiet ? MC_OK : mc_print_and_free(summary_text(o, r), err);
}

/* ---- the run ---- */

static mc_status calibrate(const mc_options *o, const mc_model *model, mc_err *err)
{
    const unsigned threads = o->threads ? o->threads : mc_processors();
    const char *data;
    mc_pool *pool;
    MC_TRY(mc_calibrate_data(o, &data, err));
    const mc_path_list inputs = {&data, 1}, outputs = {(const char *const[]){o->arg[1]}, 1};
    MC_TRY(mc_outputs_check(model, inputs, outputs, err));
    MC_TRY(mc_pool_open(&pool, threads, mc_memory_scratch(model), err));
    mc_calibrate_result result;
    mc_status status = mc_pipeline_calibrate(model, o, pool, &result, err);
    mc_pool_close(pool);
    return status == MC_OK ? say(o, &result, err) : status;
}

static mc_status run(const mc_options *o, mc_err *err)
{
    MC_TRY(check_options(o, err));
    if (o->merges) {
        mc_calibrate_result result;
        MC_TRY(mc_pipeline_merge(o, &result, err));
        return say(o, &result, err);
    }
    const mc_read_options read = mc_reading(o);
    mc_model model;
    mc_status status = mc_model_open(o->arg[0], &read, &model, err);
    if (status == MC_OK) status = calibrate(o, &model, err);
    mc_model_close(&model);
    return status;
}

const mc_command mc_cmd_calibrate = {
    .name = "calibrate",
    .args = "IN STATS",
    .least_args = 1,
    .most_args = 2,
    .summary = "collect statistics for quantize --calib",
    .details =
        "Runs the float model IN on --data DATA once and writes what each weight's inputs were "
        "like: "
        "second moments, ranges of channels, a histogram (docs/stats.md). quantize --calib STATS "
        "then "
        "chooses codes without running anything; it refuses statistics of another model. Weights "
        "that "
        "meet the same rows share a block.\n\n"
        "A name STATS that ends in .gguf gets an importance matrix of llama.cpp instead: sums of "
        "squares and counts for each weight that GGUF has a name for.\n\n"
        "Blocks go to the folder STATS.partial as they are complete. A run that was interrupted "
        "goes on "
        "there when it is started again and ends with the same bytes; with --force, blocks of "
        "another "
        "run are thrown away. Importance matrices are begun anew.\n\n"
        "calibrate --merge A --merge B OUT adds files of one model, collected from different data; "
        "OUT "
        "may be an importance matrix.",
    .examples = "mcompress calibrate --data calib.txt llama/ llama.stats\n"
                "mcompress calibrate --data calib.npz --no-gram model.onnx model.stats\n"
                "mcompress calibrate --data calib.txt --max-tokens 65536 llama/ imatrix.gguf\n"
                "mcompress calibrate --merge first.stats --merge second.stats both.stats\n"
                "mcompress quantize --w4a16 --calib llama.stats llama/ llama.bin\n",
    .run = run,
};
