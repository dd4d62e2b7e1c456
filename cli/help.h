/* Help, made from the tables of commands and options: for terminals (80 columns) and as manual
 * pages. */
#ifndef MC_CLI_HELP_H
#define MC_CLI_HELP_H

#include "cli/commands.h"
#include "core/text.h"

/* A few lines for who gave no arguments. */
void mc_help_usage(mc_text *text);

/* What the program does and its commands. */
void mc_help_overview(mc_text *text);

/* One command: its arguments and options; with `details` also its paragraphs. */
void mc_help_command(mc_text *text, const mc_command *command, bool details);

/* The mdoc(7) source of mcompress(1), or of mcompress-COMMAND(1). */
void mc_man_page(mc_text *text, const mc_command *command);

/* What the exit codes mean: the i-th, or NULL. Help and manual pages show them. */
typedef struct {
    mc_status status;
    const char *text;
} mc_exit_code;
const mc_exit_code *mc_exit_code_at(size_t i);

/* What the program does, in one sentence part. */
#define MC_HELP_PURPOSE "quantize neural-network weights and prove what it cost"

#endif
