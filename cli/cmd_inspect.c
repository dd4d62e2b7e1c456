/* inspect FILE: what is in a model or a container, without reading the numbers. */
#include "cli/commands.h"
#include "cli/inspect.h"
#include "cli/output.h"

static mc_status run(const mc_options *options, mc_err *err)
{
    mc_subject subject;
    mc_status status = mc_subject_open(options->arg[0], options, &subject, err);
    if (status == MC_OK && options->json) {
        mc_json_out *json;
        status = mc_json_out_open(&json, err);
        if (status == MC_OK) {
            mc_inspect_json(json, &subject);
            status = mc_print_json(json, err);
        }
    } else if (status == MC_OK) {
        mc_text text;
        mc_text_open(&text);
        mc_inspect_text(&text, &subject);
        status = mc_print_text(&text, err);
    }
    mc_subject_close(&subject);
    return status;
}

const mc_command mc_cmd_inspect = {
    .name = "inspect",
    .args = "FILE",
    .least_args = 1,
    .most_args = 1,
    .summary = "show what a model or a container holds",
    .details =
        "FILE is a model (a .safetensors file, a shard index, a Hugging Face folder, an archive "
        "of these) or a container.\n\n"
        "A model: its files, tensors, totals and metadata. A container: what its header says, "
        "its weights and how each is quantized, the activations it was made for, its manifest. "
        "Sizes, tables and the root hash are checked; use verify for all other hashes.",
    .examples = "mcompress inspect model.safetensors\n"
                "mcompress inspect --json out.bin\n",
    .run = run,
};
