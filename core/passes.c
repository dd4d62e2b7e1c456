/* The list of passes, run one after the other on a copy. */
#include "core/passes.h"

#include <string.h>

static const mc_pass passes[] = {
#define X(name, summary) {#name, summary, mc_pass_##name},
    MC_PASSES(X)
#undef X
};

enum { PASSES = sizeof passes / sizeof passes[0] };

const mc_pass *mc_pass_at(size_t i)
{
    return i < PASSES ? &passes[i] : NULL;
}

static bool skipped(const char *name, const char *const *skip)
{
    for (; skip && *skip; skip++)
        if (strcmp(*skip, name) == 0) return true;
    return false;
}

mc_status mc_graph_prepare(const mc_graph *source, const char *const *skip, mc_arena *mem,
                           mc_graph **out, mc_err *err)
{
    const char *name = source->name ? source->name : "graph";
    mc_graph *g = mc_graph_copy(source, mem);
    if (!g) return mc_no_room(err, "the execution graph");
    mc_region scratch;
    MC_TRY(mc_region_open(&scratch, mc_graph_prepare_memory(source), err));
    mc_status status = MC_OK;
    for (size_t i = 0; status == MC_OK && i < PASSES; i++) {
        if (skipped(passes[i].name, skip)) continue;
        status = passes[i].run(g, scratch.arena, err);
        if (status == MC_OK) status = mc_graph_order(g, name, scratch.arena, err);
        if (status != MC_OK) mc_wrap(err, "pass %s", passes[i].name);
    }
    mc_region_close(&scratch);
    if (status == MC_OK) status = mc_graph_check(g, name, err);
    *out = g;
    return status;
}

/* Address space only: what passes do not use never becomes memory. */
size_t mc_graph_prepare_memory(const mc_graph *source)
{
    const size_t nodes = source->nodes + 64, values = source->values + 64;
    const size_t functions = source->functions ? (size_t)1 << 33 : 0;
    return (nodes + values) * 8192 + ((size_t)64 << 20) + functions;
}
