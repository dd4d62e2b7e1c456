/* version: of the program, of the libraries it runs with, and of the code this processor gets. */
#include "cli/commands.h"
#include "cli/output.h"
#include "core/hash.h"
#include "core/kernels.h"
#include "formats/container.h"
#include "formats/formats.h"

static mc_status run_json(mc_err *err)
{
    mc_json_out *json;
    MC_TRY(mc_json_out_open(&json, err));
    mc_json_object(json, NULL);
    mc_json_text(json, "version", MC_VERSION);
    mc_json_i64(json, "container_version", MCPK_VERSION);
    mc_json_text(json, "kernels", mc_kernels_best()->name);
    mc_json_text(json, "archives", mc_archive_library());
    mc_json_text(json, "zlib", mc_zlib_version());
    mc_json_text(json, "hashes", mc_sha256_library());
    mc_json_end(json);
    return mc_print_json(json, err);
}

static mc_status run(const mc_options *options, mc_err *err)
{
    if (options->json) return run_json(err);
    return mc_print(err,
                    "mcompress " MC_VERSION "\n"
                    "container  version %d\n"
                    "kernels    %s\n"
                    "archives   %s\n"
                    "zlib       %s\n"
                    "hashes     %s\n",
                    MCPK_VERSION, mc_kernels_best()->name, mc_archive_library(), mc_zlib_version(),
                    mc_sha256_library());
}

const mc_command mc_cmd_version = {
    .name = "version",
    .args = "",
    .summary = "print the versions of the program and its libraries",
    .details =
        "Beside the libraries it names the version of containers that is written, and the kernels "
        "that this processor gets: all builds of them give the same bytes.",
    .examples = "mcompress --version\n"
                "mcompress version --json\n",
    .run = run,
};
