/* The table of presets. */
#include "cli/presets.h"

#include <string.h>

static const mc_preset presets[] = {
#define X(name_, options_, summary_) {name_, options_, summary_},
    MC_PRESETS(X)
#undef X
};

const mc_preset *mc_preset_at(size_t i)
{
    return i < sizeof presets / sizeof presets[0] ? &presets[i] : NULL;
}

const mc_preset *mc_preset_find(const char *name)
{
    for (size_t i = 0; mc_preset_at(i); i++)
        if (strcmp(presets[i].name, name) == 0) return &presets[i];
    return NULL;
}
