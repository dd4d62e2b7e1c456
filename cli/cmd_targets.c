/* targets: the table of devices and layouts. */
#include "cli/commands.h"
#include "cli/output.h"
#include "formats/target.h"

static const char *standing(const mc_target *target)
{
    return target->supported ? "supported" : "experimental";
}

static mc_status run_json(mc_err *err)
{
    mc_json_out *json;
    MC_TRY(mc_json_out_open(&json, err));
    mc_json_object(json, NULL);
    mc_json_array(json, "targets");
    const mc_target *target;
    for (size_t i = 0; (target = mc_target_at(i)); i++) {
        mc_json_object(json, NULL);
        mc_json_text(json, "name", target->name);
        mc_json_text(json, "summary", target->summary);
        mc_json_text(json, "standing", standing(target));
        mc_json_u64(json, "id", target->id);
        mc_json_u64(json, "align", target->align);
        mc_json_bool(json, "float_offset", target->float_offset);
        mc_json_bool(json, "negative_scale", target->negative_scale);
        mc_json_end(json);
    }
    mc_json_end(json);
    mc_json_end(json);
    return mc_print_json(json, err);
}

static mc_status run(const mc_options *options, mc_err *err)
{
    if (options->json) return run_json(err);
    mc_text text;
    mc_text_open(&text);
    mc_text_addf(&text, "%-12s %-12s %5s  %-8s %s\n", "target", "standing", "align", "offsets",
                 "scales");
    const mc_target *target;
    for (size_t i = 0; (target = mc_target_at(i)); i++)
        mc_text_addf(&text, "%-12s %-12s %5u  %-8s %s\n    %s\n", target->name, standing(target),
                     (unsigned)target->align, target->float_offset ? "float" : "integer",
                     target->negative_scale ? "signed" : "positive", target->summary);
    return mc_print_text(&text, err);
}

const mc_command mc_cmd_targets = {
    .name = "targets",
    .args = "",
    .summary = "list the devices and layouts that can be packed for",
    .details =
        "A target is supported when a program outside this project loads its layout in a test; "
        "otherwise it is experimental.",
    .examples = "mcompress targets --json\n",
    .run = run,
};
