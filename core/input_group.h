/* Sites that take one and the same value: what they share is collected once (moments, scales), and
 * a transform of the value must suit them all. Embeddings are in none: their inputs are
 * indices. */
#ifndef MC_CORE_INPUT_GROUP_H
#define MC_CORE_INPUT_GROUP_H

#include "core/site.h"

typedef struct {
    mc_id value;         /* the activation */
    const size_t *site;  /* indices into mc_sites, rising */
    size_t sites;
    mc_id first;         /* the first of their nodes */
} mc_input_group;

typedef struct {
    mc_input_group *group; /* in the order of their first nodes */
    size_t groups;
    uint32_t *of_site;     /* of each site: its group, MC_NONE for embeddings */
} mc_input_groups;

/* `graph` is ordered. The result lives in `mem`. */
mc_status mc_input_groups_find(const mc_graph *graph, const mc_sites *sites, mc_arena *mem,
                               mc_input_groups *out, mc_err *err);

#endif
