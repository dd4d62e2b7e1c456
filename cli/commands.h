/* The commands. To add one, write cli/cmd_<name>.c that defines mc_cmd_<name>, and add X(<name>)
 * here. */
#ifndef MC_CLI_COMMANDS_H
#define MC_CLI_COMMANDS_H

#include "cli/options.h"

#define MC_COMMANDS(X) \
    X(quantize)        \
    X(calibrate)       \
    X(verify)          \
    X(inspect)         \
    X(diff)            \
    X(methods)         \
    X(targets)         \
    X(completion)      \
    X(help)            \
    X(version)         \
    /* end */

#define X(name) extern const mc_command mc_cmd_##name;
MC_COMMANDS(X)
#undef X

/* Their places in the list; options_table.c makes sets of them. */
enum {
#define X(name) MC_COMMAND_##name,
    MC_COMMANDS(X)
#undef X
    MC_COMMAND_COUNT
};

/* The i-th command of the list, or NULL past its end. */
const mc_command *mc_command_at(size_t i);
const mc_command *mc_command_find(const char *name);

/* The place of a command in the list. */
unsigned mc_command_index(const mc_command *command);

#endif
