/* The container as docs/container.md describes it, for any device that runs runtime/mcpk.c. It
 * refuses nothing that a container can say. Nothing outside this project reads the format while it
 * is a draft. */
#include "formats/target.h"

const mc_target mc_target_generic = {
    .name = "generic",
    .summary = "row-major codes for runtime/mcpk.c; format version 0, a draft until it freezes",
    .supported = false,
    .id = 1,
    .align = 64,
    .float_offset = true,
    .online_hadamard = true,
    .negative_scale = true,
};
