/* Quantizing a model into a container: see pipeline_quantize.h. */
#include "cli/pipeline_quantize.h"

#include "cli/pipeline_act.h"
#include "cli/pipeline_checkpoint.h"
#include "cli/pipeline_encode.h"
#include "cli/pipeline_outputs.h"
#include "cli/pipeline_stats.h"
#include "cli/pipeline_verify.h"
#include "core/clock.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    mc_plan *plan;
    mc_calibration *calibration;
    mc_arena *mem; /* of the plan */
    mc_pool *pool;
    mc_region memory; /* of lanes and names */
    mc_out *out;
    mc_pack *pack;
    mc_hash_lanes *lanes;
    mc_progress *progress;
    const uint8_t (*digest)[MC_SHA256_BYTES];
    const mc_made *made; /* NULL: codes are chosen as they are packed */
} run;

/* Does this run measure what it wrote? */
static bool wants_report(const mc_options *o)
{
    return o->report || o->html || o->requires > 0 || o->datas > 0;
}

/* As statistics files count them: samples of arrays have none. */
static uint64_t calib_tokens(const mc_calibration *c)
{
    return c->data && mc_dataset_kind(c->data) == MC_DATA_TOKENS ? c->tokens : 0;
}

/* Codes that are chosen with data, before anything is written. What was edited and is kept is
 * stored as f32 from now on. */
static mc_status choose_codes(run *r, mc_quantize_result *result, mc_err *err)
{
    mc_plan *plan = r->plan;
    const mc_options *o = plan->options;
    mc_calibration *calibration = r->calibration;
    if (!mc_code_needed(plan)) return MC_OK;
    MC_TRY(mc_made_open(plan, &result->made, err));
    MC_TRY(mc_pipeline_code(plan, calibration, r->pool, &result->made, err));
    r->made = &result->made;
    plan->kv.hadamard = result->made.kv.hadamard;
    const mc_stats_about *about = calibration->known ? mc_known_about(calibration->known) : NULL;
    plan->calib_data = mc_calibration_data(calibration, o, r->mem);
    plan->calib_samples = about ? about->samples : calibration->samples;
    plan->calib_tokens = about ? about->tokens : calib_tokens(calibration);
    if (!plan->calib_data) return mc_no_room(err, "the manifest");
    MC_TRY(mc_act_record(r->made, calibration, plan, r->mem, err));
    for (size_t e = 0; e < plan->entries; e++) {
        if (r->made->entry[e].fallback) {
            plan->fallbacks += !plan->entry[e].fallback;
            plan->entry[e].why = r->made->entry[e].why;
            plan->entry[e].fallback = true;
        }
        if (mc_edits_of(r->made->edits, plan->entry[e].tensor) == 0) continue;
        plan->weight[e].edited = true;
        if (r->made->entry[e].dense) plan->weight[e].dtype = MC_F32;
    }
    return mc_plan_lay_out(plan, r->mem, err);
}

/* Codes, bytes, tables: everything that is written before the file has a name. */
static mc_status write_container(run *r, mc_quantize_result *result, mc_err *err)
{
    const mc_plan *plan = r->plan;
    const mc_options *o = plan->options;
    MC_TRY(mc_plan_look(r->plan, r->made, r->pool, err));
    const mc_out_options how = {.replace = mc_may_replace(o, o->arg[1]), .no_fsync = o->no_fsync};
    MC_TRY(mc_out_open(o->arg[1], o->compress ? 0 : plan->layout.file_bytes, how, &r->out, err));
    MC_TRY(mc_pack_open(r->out, &plan->layout, &r->pack, err));
    const mc_encoding encoding = {
        .plan = plan, .made = r->made, .pack = r->pack, .lanes = r->lanes, .progress = r->progress};
    MC_TRY(mc_pipeline_encode(&encoding, r->pool, err));

    r->digest = mc_hash_lanes_finish(r->lanes);
    char *manifest = mc_plan_manifest(plan, r->digest);
    if (!manifest) return mc_no_room(err, "the manifest");
    const mc_status status =
        mc_pack_finish(r->pack, manifest, result->root, &result->container_bytes, err);
    free(manifest);
    return status;
}

/* Opens the file that was written and holds it against what was meant to be written. */
static mc_status reopen(run *r, mc_quantize_result *result, mc_err *err)
{
    mc_map map;
    MC_TRY(mc_out_map(r->out, &map, err));
    MC_TRY(mc_container_open_map(map, r->plan->options->arg[1], &result->container, err));
    if (memcmp(result->container.root, result->root, sizeof result->root) != 0)
        return mc_fail(err, MC_E_MISMATCH,
                       "%s: the file read back has another root hash than the one written",
                       r->plan->options->arg[1]);
    return MC_OK;
}

static mc_status measure(run *r, mc_quantize_result *result, mc_err *err)
{
    const mc_plan *plan = r->plan;
    MC_TRY(mc_region_open(&result->memory,
                          mc_measure_memory(plan->model, &result->container, plan->options), err));
    MC_TRY(mc_pipeline_measure(plan->model, &result->container, plan->options, r->pool,
                               &result->memory.arena, &result->report, err));
    MC_TRY(mc_hash_of_weights(plan->model, r->digest, result->report.source_hash, err));
    result->measured = true;
    return MC_OK;
}

/* True when OUT already holds these very bytes. */
static bool unchanged(run *r, const mc_container *written)
{
    const mc_options *o = r->plan->options;
    mc_map old;
    mc_err ignored;
    if (!o->write_if_changed || mc_map_open(o->arg[1], 0, &old, &ignored) != MC_OK) return false;
    const bool same =
        old.size == written->map.size && memcmp(old.data, written->map.data, old.size) == 0;
    mc_map_close(&old);
    return same;
}

static mc_status check_flash(const run *r, const mc_quantize_result *result, mc_err *err)
{
    const uint64_t limit = r->plan->options->max_flash;
    if (!limit || result->container_bytes <= limit) return MC_OK;
    return mc_fail(err, MC_E_BUDGET, "%s: the container takes %llu bytes, --max-flash is %llu",
                   r->plan->options->arg[1], (unsigned long long)result->container_bytes,
                   (unsigned long long)limit);
}

/* Gives the file its name: OUT, or OUT.rejected beside an OUT that stays as it was. */
static mc_status name_it(run *r, mc_quantize_result *result, mc_err *err)
{
    const mc_options *o = r->plan->options;
    const bool rejected = result->measured && !result->report.pass;
    if (!rejected && unchanged(r, &result->container)) {
        mc_out_discard(r->out);
        r->out = NULL;
        result->ending = MC_ENDED_UNCHANGED;
        return MC_OK;
    }
    const char *path = rejected ? mc_rejected_name(o, &r->memory.arena) : o->arg[1];
    if (!path) return mc_no_room(err, "a name");
    mc_out *out = r->out;
    r->out = NULL;
    MC_TRY(mc_out_commit(out, path, &result->fsync_seconds, err));
    result->ending = rejected ? MC_ENDED_REJECTED : MC_ENDED_WRITTEN;
    return MC_OK;
}

/* Reports and depfile come before OUT has its name: a build that finds OUT finds them too. */
static mc_status write_beside(run *r, const mc_quantize_result *result, mc_err *err)
{
    const mc_options *o = r->plan->options;
    if (result->measured) MC_TRY(mc_pipeline_reports(&result->report, o, err));
    if (result->measured && !result->report.pass) return MC_OK;
    return mc_write_depfile(o, r->plan->model, r->memory.arena, err);
}

static mc_status quantize(run *r, mc_quantize_result *result, mc_err *err)
{
    const mc_model *model = r->plan->model;
    const size_t room = mc_hash_lanes_bytes(model) + model->sources * 16 + ((size_t)1 << 16);
    MC_TRY(mc_region_open(&r->memory, room, err));
    MC_TRY(mc_hash_lanes_open(model, &r->memory.arena, &r->lanes, err));
    MC_TRY(choose_codes(r, result, err));
    r->progress = mc_progress_open(r->plan->tensor_bytes, "quantizing");
    MC_TRY(write_container(r, result, err));
    MC_TRY(check_flash(r, result, err));
    MC_TRY(reopen(r, result, err));
    if (wants_report(r->plan->options)) MC_TRY(measure(r, result, err));
    MC_TRY(write_beside(r, result, err));
    MC_TRY(name_it(r, result, err));
    MC_TRY(mc_checkpoint_remove(r->plan->options, err));
    return result->measured ? mc_gate_failure(&result->report, err) : MC_OK;
}

mc_status mc_pipeline_quantize(mc_plan *plan, mc_calibration *calibration, mc_arena *mem,
                               mc_pool *pool, mc_quantize_result *result, mc_err *err)
{
    const double start = mc_seconds();
    *result = (mc_quantize_result){0};
    run r = {.plan = plan, .calibration = calibration, .mem = mem, .pool = pool};
    const mc_status status = quantize(&r, result, err);
    mc_progress_close(r.progress);
    mc_pack_close(r.pack);
    mc_out_discard(r.out);
    mc_hash_lanes_close(r.lanes);
    mc_region_close(&r.memory);
    result->seconds = mc_seconds() - start;
    result->peak_bytes = mc_peak_memory();
    return status;
}

void mc_quantize_close(mc_quantize_result *result)
{
    mc_container_close(&result->container);
    mc_made_close(&result->made);
    mc_region_close(&result->memory);
    *result = (mc_quantize_result){0};
}
