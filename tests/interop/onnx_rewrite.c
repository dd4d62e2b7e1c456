/* Reads ONNX files and writes them again, for tests against the library of that name.
 *
 *     onnx_rewrite [--external N] [--without-weights] IN OUT [IN OUT]...
 *
 * A line says what could not be done; the others are done all the same. */
#include "formats/formats.h"
#include "formats/onnx.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static mc_status rewrite(const char *in, const char *to, const mc_onnx_write_options *options,
                         mc_err *err)
{
    mc_model model;
    MC_TRY(mc_model_open(in, NULL, &model, err));
    const mc_status status = mc_onnx_write(&model, options, to, err);
    mc_model_close(&model);
    return status;
}

int main(int argc, char **argv)
{
    mc_onnx_write_options options = {.replace = true, .no_fsync = true};
    mc_status worst = MC_OK;
    int i = 1;
    for (; i < argc && argv[i][0] == '-'; i++) {
        if (strcmp(argv[i], "--without-weights") == 0)
            options.without_weights = true;
        else if (strcmp(argv[i], "--external") == 0 && i + 1 < argc)
            options.external_from = strtoull(argv[++i], NULL, 10);
        else
            return MC_E_USAGE;
    }
    if (i == argc || (argc - i) % 2 != 0) return MC_E_USAGE;
    for (; i < argc; i += 2) {
        mc_err err = {0};
        const mc_status status = rewrite(argv[i], argv[i + 1], &options, &err);
        if (status == MC_OK) continue;
        printf("%s: %s\n", argv[i], err.text);
        worst = status;
    }
    return (int)worst;
}
