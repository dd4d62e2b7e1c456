/* "did you mean …?": the nearest name to one that is not known. */
#ifndef MC_CLI_SUGGEST_H
#define MC_CLI_SUGGEST_H

#include "cli/options_table.h"

/* The nearest option to `text` (with its dashes), as "--quiet"; false when none is near. */
bool mc_suggest_option(const char *text, size_t length, char near[MC_OPTION_TEXT]);

/* The nearest command, or NULL. */
const char *mc_suggest_command(const char *text);

#endif
