/* The program: prepares streams and signals, parses, runs the command, prints what went wrong. The
 * only place that prints errors; the exit code is the status. */
#include "cli/commands.h"
#include "cli/help.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/signals.h"

#include <stdio.h>
#include <stdlib.h>

enum { ROOM_PER_ARG = 256, ROOM = 1 << 20 };

static mc_status run(const mc_options *options, mc_err *err)
{
    mc_log_to_stderr(options);
    mc_progress_allow(!options->quiet && !options->json);
    if (options->version || !options->help) return options->command->run(options, err);

    mc_text text;
    mc_text_open(&text);
    if (options->command == &mc_cmd_help)
        mc_help_overview(&text);
    else
        mc_help_command(&text, options->command, false);
    return mc_print_text(&text, err);
}

static mc_status parse_and_run(int argc, char **argv, mc_err *err)
{
    mc_region memory;
    MC_TRY(mc_region_open(&memory, ROOM + ROOM_PER_ARG * (size_t)argc, err));

    mc_options options;
    mc_status status = mc_options_parse(argc, argv, &memory.arena, &options, err);
    if (status == MC_OK) status = run(&options, err);
    mc_region_close(&memory);
    return status;
}

/* No arguments at all: whoever types that wants to know how it goes on. */
static mc_status show_usage(void)
{
    mc_text text;
    mc_text_open(&text);
    mc_help_usage(&text);
    char *usage = mc_text_take(&text);
    if (usage) fputs(usage, stderr);
    free(usage);
    return MC_E_USAGE;
}

int main(int argc, char **argv)
{
    mc_stdio_open();
    mc_signals_install();
    if (argc < 2) return (int)show_usage();

    mc_err err = {0};
    mc_status status = parse_and_run(argc, argv, &err);
    if (status != MC_OK) mc_complain(NULL, err.text);

    mc_err lost = {0};
    if (mc_stdout_finish(&lost) != MC_OK && status != MC_E_IO) {
        mc_complain(NULL, lost.text);
        if (status == MC_OK) status = lost.status;
    }
    return (int)status;
}
