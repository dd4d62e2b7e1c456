/* Completion scripts for shells, made from the tables of commands and options. */
#ifndef MC_CLI_COMPLETION_H
#define MC_CLI_COMPLETION_H

#include "core/text.h"

typedef struct {
    const char *name;
    void (*write)(mc_text *text);
} mc_shell;

/* The i-th shell, or NULL. */
const mc_shell *mc_shell_at(size_t i);

#endif
