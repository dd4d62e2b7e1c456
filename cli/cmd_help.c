/* help [COMMAND]: from the tables, as text or as a manual page. */
#include "cli/help.h"
#include "cli/output.h"
#include "cli/suggest.h"

static mc_status run(const mc_options *options, mc_err *err)
{
    const mc_command *about = NULL;
    if (options->args > 0) {
        about = mc_command_find(options->arg[0]);
        const char *near = mc_suggest_command(options->arg[0]);
        if (!about && near)
            return mc_fail(err, MC_E_USAGE, "help: no command '%s'; did you mean %s?",
                           options->arg[0], near);
        if (!about)
            return mc_fail(err, MC_E_USAGE, "help: no command '%s'; 'mcompress help' lists all",
                           options->arg[0]);
    }

    mc_text text;
    mc_text_open(&text);
    if (options->man)
        mc_man_page(&text, about);
    else if (about)
        mc_help_command(&text, about, true);
    else
        mc_help_overview(&text);
    return mc_print_text(&text, err);
}

const mc_command mc_cmd_help = {
    .name = "help",
    .args = "[COMMAND]",
    .most_args = 1,
    .summary = "say how the program or a command is used",
    .details =
        "Without a command it lists all of them. With --man it prints the source of a manual "
        "page, mcompress(1) or mcompress-COMMAND(1), in mdoc.",
    .examples = "mcompress help quantize\n"
                "mcompress help --man verify | man -l -\n",
    .run = run,
};
