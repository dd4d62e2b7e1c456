/* Suggestions from the tables of options and commands. */
#include "cli/suggest.h"

#include "cli/commands.h"
#include "core/nearest.h"

#include <string.h>

bool mc_suggest_option(const char *text, size_t length, char near[MC_OPTION_TEXT])
{
    while (length > 0 && *text == '-') text++, length--;

    mc_nearest nearest = {.text = text, .length = length};
    const mc_option *option;
    const char *before = NULL;
    for (size_t i = 0; (option = mc_option_at(i)); i++) {
        if (mc_option_is_scheme(option)) continue;
        mc_nearest_offer(&nearest, option->name ? option->name : option->brief);
        if (nearest.best != before) mc_option_text(option, near);
        before = nearest.best;
    }
    return mc_nearest_best(&nearest) != NULL;
}

const char *mc_suggest_command(const char *text)
{
    mc_nearest nearest = {.text = text, .length = strlen(text)};
    for (size_t i = 0; mc_command_at(i); i++) mc_nearest_offer(&nearest, mc_command_at(i)->name);
    return mc_nearest_best(&nearest);
}
