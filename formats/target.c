/* The list of targets. */
#include "formats/target.h"

#include <string.h>

static const mc_target *const targets[] = {
#define X(name) &mc_target_##name,
    MC_TARGETS(X)
#undef X
};

const mc_target *mc_target_at(size_t i)
{
    return i < sizeof targets / sizeof *targets ? targets[i] : NULL;
}

const mc_target *mc_target_find(const char *name)
{
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++)
        if (strcmp(targets[i]->name, name) == 0) return targets[i];
    return NULL;
}
