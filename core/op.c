/* The list of operators, and looking one up. */
#include "core/op.h"

#include <string.h>

static const mc_op *const families[] = {
#define X(family) mc_ops_##family,
    MC_OP_FAMILIES(X)
#undef X
};

enum { FAMILIES = sizeof families / sizeof *families };

static bool same(const char *a, const char *b)
{
    return a[0] == b[0] && strcmp(a, b) == 0;
}

/* Of the lines of that name the one with the largest `since` that the version has reached. */
const mc_op *mc_op_find(const char *domain, const char *name, int version)
{
    if (strcmp(domain, "ai.onnx") == 0) domain = "";
    const mc_op *best = NULL;
    for (size_t f = 0; f < FAMILIES; f++) {
        for (const mc_op *op = families[f]; op->name; op++) {
            if (!same(op->name, name) || op->since > version) continue;
            if (best && best->since >= op->since) continue;
            if (same(op->domain, domain)) best = op;
        }
    }
    return best;
}

const mc_op *mc_op_at(size_t i)
{
    for (size_t f = 0; f < FAMILIES; f++) {
        for (const mc_op *op = families[f]; op->name; op++) {
            if (i-- == 0) return op;
        }
    }
    return NULL;
}
