/* The list of commands, walked and searched. */
#include "cli/commands.h"

#include <string.h>

static const mc_command *const commands[] = {
#define X(name) &mc_cmd_##name,
    MC_COMMANDS(X)
#undef X
};

const mc_command *mc_command_at(size_t i)
{
    return i < MC_COMMAND_COUNT ? commands[i] : NULL;
}

const mc_command *mc_command_find(const char *name)
{
    for (size_t i = 0; i < MC_COMMAND_COUNT; i++)
        if (strcmp(commands[i]->name, name) == 0) return commands[i];
    return NULL;
}

unsigned mc_command_index(const mc_command *command)
{
    unsigned i = 0;
    while (i < MC_COMMAND_COUNT && commands[i] != command) i++;
    return i;
}
