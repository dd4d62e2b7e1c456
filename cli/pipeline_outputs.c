/* Names of outputs: see pipeline_outputs.h. */
#include "cli/pipeline_outputs.h"

#include "cli/depfile.h"
#include "formats/container.h"

#include <string.h>

static mc_status is_input(const char *output, mc_err *err)
{
    return mc_fail(err, MC_E_USAGE, "%s: is an input too; it would be overwritten", output);
}

static mc_status check_against_inputs(const mc_model *model, mc_path_list inputs,
                                      const char *output, mc_err *err)
{
    for (size_t k = 0; k < inputs.names; k++)
        if (inputs.name[k] && mc_same_file(output, inputs.name[k])) return is_input(output, err);
    for (size_t k = 0; k < model->sources; k++)
        if (mc_same_file(output, model->source[k].path)) return is_input(output, err);
    return MC_OK;
}

mc_status mc_outputs_check(const mc_model *model, mc_path_list inputs, mc_path_list outputs,
                           mc_err *err)
{
    for (size_t i = 0; i < outputs.names; i++) {
        const char *output = outputs.name[i];
        if (!output) continue;
        MC_TRY(check_against_inputs(model, inputs, output, err));
        for (size_t k = 0; k < i; k++)
            if (outputs.name[k] && mc_same_place(outputs.name[k], output))
                return mc_fail(err, MC_E_USAGE, "%s: two outputs would be this file", output);
    }
    return MC_OK;
}

bool mc_is_our_container(const char *path)
{
    mc_map map;
    mc_err ignored;
    if (mc_map_open(path, 0, &map, &ignored) != MC_OK) return false;
    const bool ours = mc_container_is(map.data, map.size);
    mc_map_close(&map);
    return ours;
}

mc_read_options mc_reading(const mc_options *o)
{
    mc_read_options read = {.no_follow = o->no_follow};
    switch (o->external) {
    case MC_EXTERNAL_UNSET:
    case MC_EXTERNAL_SAID_STRICT: read.external = MC_EXTERNAL_STRICT; break;
    case MC_EXTERNAL_SAID_FOLLOW: read.external = MC_EXTERNAL_FOLLOW; break;
    case MC_EXTERNAL_SAID_NONE: read.external = MC_EXTERNAL_NONE; break;
    }
    return read;
}

bool mc_may_replace(const mc_options *o, const char *path)
{
    if (o->force) return true;
    return (o->depfile || o->write_if_changed) && mc_is_our_container(path);
}

const char *mc_rejected_name(const mc_options *o, mc_arena *mem)
{
    return mc_format(mem, "%s.rejected", o->arg[1]);
}

const char *mc_depfile_name(const mc_options *o, mc_arena *mem)
{
    if (!o->depfile) return NULL;
    return o->depfile_path ? o->depfile_path : mc_format(mem, "%s.d", o->arg[1]);
}

mc_status mc_write_depfile(const mc_options *o, const mc_model *model, mc_arena scratch,
                           mc_err *err)
{
    if (!o->depfile) return MC_OK;
    const char *path = mc_depfile_name(o, &scratch);
    const char **inputs = MC_NEW(&scratch, const char *, model->sources + 2);
    if (!path || !inputs) return mc_no_room(err, "the depfile");

    const mc_source *archive = mc_model_source(model, "archive");
    size_t files = archive ? 1 : model->sources; /* its members are no files to make */
    for (size_t i = 0; i < files; i++) inputs[i] = archive ? archive->path : model->source[i].path;
    if (o->calib) inputs[files++] = o->calib;
    return mc_depfile_write(path, o->arg[1], inputs, files, err);
}
