/* completion SHELL: a script that completes commands, options and their values. */
#include "cli/commands.h"
#include "cli/completion.h"
#include "cli/output.h"

#include <string.h>

static mc_status refuse(const char *shell, mc_err *err)
{
    char known[64] = "";
    for (size_t i = 0; mc_shell_at(i); i++) {
        if (i) strncat(known, ", ", sizeof known - strlen(known) - 1);
        strncat(known, mc_shell_at(i)->name, sizeof known - strlen(known) - 1);
    }
    return mc_fail(err, MC_E_USAGE, "completion: shell '%s', allowed: %s", shell, known);
}

static mc_status run(const mc_options *options, mc_err *err)
{
    const mc_shell *shell = NULL;
    for (size_t i = 0; (shell = mc_shell_at(i)); i++)
        if (strcmp(shell->name, options->arg[0]) == 0) break;
    if (!shell) return refuse(options->arg[0], err);

    mc_text text;
    mc_text_open(&text);
    shell->write(&text);
    return mc_print_text(&text, err);
}

const mc_command mc_cmd_completion = {
    .name = "completion",
    .args = "SHELL",
    .least_args = 1,
    .most_args = 1,
    .summary = "print a completion script for bash, zsh or fish",
    .details =
        "The script holds all commands, options and named values; completing does not run the "
        "program.",
    .examples = "mcompress completion bash > /etc/bash_completion.d/mcompress\n"
                "mcompress completion zsh > ~/.zsh/functions/_mcompress\n"
                "mcompress completion fish > ~/.config/fish/completions/mcompress.fish\n",
    .run = run,
};
