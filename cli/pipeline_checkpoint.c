/* Which run a checkpoint is of, and its folder. */
#include "cli/pipeline_checkpoint_parts.h"

#include "core/json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* It goes last: a folder without it is no checkpoint. */
static const char run_name[] = "run.json";

/* ---- which run ---- */

static void add_data(mc_json_out *out, const mc_calibration *c)
{
    uint8_t digest[MC_SHA256_BYTES];
    char hex[MC_SHA256_HEX];
    mc_dataset_hash(c->data, digest);
    mc_hex(digest, sizeof digest, hex);
    mc_json_text(out, "calibration data", hex);
    mc_json_u64(out, "samples", c->samples);
    mc_json_u64(out, "tokens", c->tokens);
}

/* What decides a code and does not stand in the manifest's recipe. */
static void add_options(mc_json_out *out, const mc_plan *plan)
{
    const mc_options *o = plan->options;
    mc_json_text(out, "method", plan->method);
    mc_json_bool(out, "sequential", plan->sequential);
    mc_json_bool(out, "shuffled", o->seeded);
    mc_json_u64(out, "seed", o->seed);
    mc_json_bool(out, "static activations", plan->act_static);
    mc_json_bool(out, "asymmetric activations", plan->act_asymmetric);
    mc_json_bool(out, "activation scales of powers of two", plan->act_power_of_two);
    mc_json_bool(out, "activation scales of channels", plan->act_per_channel);
    mc_json_text(out, "observer", o->observer);
}

static mc_status describe_run(const mc_checkpoint *k, char **text, mc_err *err)
{
    char model[MC_SHA256_HEX];
    mc_json_out *out;
    char *manifest = mc_plan_manifest(k->plan, NULL);
    *text = NULL;
    if (!manifest) return mc_no_room(err, "the manifest");
    mc_status status = mc_stats_hash_model(k->plan->model, model, err);
    if (status == MC_OK) status = mc_json_out_open(&out, err);
    if (status == MC_OK) {
        mc_json_object(out, NULL);
        mc_json_text(out, "schema", "mcompress-checkpoint/1");
        mc_json_text(out, "version", MC_VERSION);
        mc_json_text(out, "model", model);
        add_data(out, k->calibration);
        add_options(out, k->plan);
        mc_json_raw(out, "manifest", manifest);
        mc_json_end(out);
        *text = mc_json_done(out, true);
        mc_json_out_close(out);
        if (!*text) status = mc_no_room(err, "a checkpoint");
    }
    free(manifest);
    return status;
}

/* Fails with the first place where `was` is not what `now` is; only as deep as `now`. */
static mc_status compare(const mc_checkpoint *k, const char *place, const mc_json *was,
                         const mc_json *now, mc_err *err)
{
    const bool list = mc_json_is_array(now), many = list || mc_json_is_object(now);
    size_t i = 0;
    for (const mc_json *to = many ? mc_json_first(now) : NULL; to; to = mc_json_next(to), i++) {
        char inner[512];
        const mc_json *from = list ? mc_json_at(was, i) : mc_json_get(was, mc_json_key(to));
        if (list)
            snprintf(inner, sizeof inner, "%s[%zu]", place, i);
        else
            snprintf(inner, sizeof inner, "%s%s%s", place, *place ? "." : "", mc_json_key(to));
        MC_TRY(compare(k, inner, from, to, err));
    }
    if (many && mc_json_count(was) == mc_json_count(now)) return MC_OK;
    char *a = was ? mc_json_print(was) : NULL, *b = mc_json_print(now);
    mc_status status = MC_OK;
    if (!a || !b || strcmp(a, b) != 0)
        status =
            mc_fail(err, MC_E_MISMATCH,
                    "--checkpoint %s: was begun with %s %.80s, now it is %.80s (--force begins "
                    "anew)",
                    k->folder, place, a ? a : "unknown", b ? b : "unknown");
    free(a);
    free(b);
    return status;
}

static mc_status compare_texts(const mc_checkpoint *k, const mc_map *was, const char *path,
                               const char *text, mc_err *err)
{
    mc_json *a, *b;
    MC_TRY(mc_json_parse((const char *)was->data, was->size, path, &a, err));
    mc_status status = mc_json_parse(text, strlen(text), path, &b, err);
    if (status == MC_OK) {
        status = compare(k, "", a, b, err);
        mc_json_free(b);
    }
    mc_json_free(a);
    return status;
}

/* ---- the folder ---- */

static mc_status begin_folder(const mc_checkpoint *k, const char *run, const char *text,
                              mc_err *err)
{
    const unsigned how = k->plan->options->no_fsync ? MC_WRITE_NO_FSYNC : 0;
    if (mkdir(k->folder, 0777) != 0 && errno != EEXIST)
        return mc_fail_errno(err, errno, "--checkpoint %s: cannot make the folder", k->folder);
    return mc_write_file(run, text, strlen(text), how, err);
}

/* Ours alone may be taken away: rmdir tells whether a folder without run.json has anything in
 * it. */
static mc_status open_folder(const mc_checkpoint *k, const char *run, const char *text, mc_err *err)
{
    struct stat about;
    mc_map map;
    if (stat(k->folder, &about) != 0) return begin_folder(k, run, text, err);
    if (stat(run, &about) != 0) {
        if (remove(k->folder) == 0) return begin_folder(k, run, text, err);
        return mc_fail(err, MC_E_USAGE, "--checkpoint %s: is there and is no checkpoint",
                       k->folder);
    }
    MC_TRY(mc_map_open(run, 0, &map, err));
    mc_status status = compare_texts(k, &map, run, text, err);
    mc_map_close(&map);
    if (status == MC_OK || !k->plan->options->force) return status;
    MC_TRY(mc_folder_remove(k->folder, run_name, err));
    return begin_folder(k, run, text, err);
}

mc_status mc_checkpoint_open(const mc_plan *plan, const mc_calibration *calibration, mc_made *made,
                             mc_checkpoint **out, mc_err *err)
{
    const char *folder = plan->options->checkpoint;
    mc_region self;
    *out = NULL;
    if (!folder || !calibration->data) return MC_OK;
    const size_t lists = plan->entries * (sizeof(bool) + sizeof(size_t)) + calibration->sites.sites;
    MC_TRY(mc_region_open(&self, lists + 2 * strlen(folder) + ((size_t)1 << 16), err));
    mc_checkpoint *k = MC_NEW(&self.arena, mc_checkpoint, 1);
    char *text = NULL;
    mc_status status = k ? MC_OK : mc_no_room(err, "a checkpoint");
    if (k) {
        *k = (mc_checkpoint){.plan = plan, .calibration = calibration, .made = made};
        k->folder = mc_copy_text(&self.arena, folder, strlen(folder));
        k->coded = MC_NEW(&self.arena, bool, plan->entries + 1);
        k->edits = MC_NEW(&self.arena, size_t, plan->entries + 1);
        k->chosen = MC_NEW(&self.arena, bool, calibration->sites.sites + 1);
        const char *run = mc_format(&self.arena, "%s/%s", folder, run_name);
        if (!k->folder || !k->coded || !k->edits || !k->chosen || !run)
            status = mc_no_room(err, "a checkpoint");
        if (status == MC_OK) status = describe_run(k, &text, err);
        if (status == MC_OK) status = open_folder(k, run, text, err);
        k->self = self;
    }
    free(text);
    if (status != MC_OK)
        mc_region_close(&self);
    else
        *out = k;
    return status;
}

void mc_checkpoint_close(mc_checkpoint *k)
{
    if (!k) return;
    mc_region self = k->self; /* it lies in it */
    mc_region_close(&self);
}

mc_status mc_checkpoint_remove(const mc_options *options, mc_err *err)
{
    return options->checkpoint ? mc_folder_remove(options->checkpoint, run_name, err) : MC_OK;
}

bool mc_checkpoint_static(const mc_checkpoint *k, size_t site)
{
    return k->made->act && k->made->act[site].mode == MC_ACT_STATIC;
}

void mc_checkpoint_mark(mc_checkpoint *k)
{
    for (size_t e = 0; e < k->plan->entries; e++) {
        k->coded[e] = k->made->entry[e].coded;
        k->edits[e] = mc_edits_of(k->made->edits, k->plan->entry[e].tensor);
    }
    for (size_t s = 0; s < k->calibration->sites.sites; s++)
        k->chosen[s] = mc_checkpoint_static(k, s);
}

void mc_checkpoint_begin(mc_checkpoint *k)
{
    if (k) mc_checkpoint_mark(k);
}

const char *mc_checkpoint_path(const mc_checkpoint *k, size_t step, mc_arena *mem)
{
    return mc_format(mem, "%s/%05zu.safetensors", k->folder, step);
}
