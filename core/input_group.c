/* Grouping by value: a table from value to group, filled in the order of the sites. */
#include "core/input_group.h"

static mc_id activation_of(const mc_graph *graph, const mc_site *site)
{
    const mc_node *node = &graph->node[site->node];
    if (site->kind == MC_SITE_EMBEDDING || site->activation_input >= node->ins) return MC_NONE;
    return node->in[site->activation_input];
}

/* Numbers the groups; group[] gets value, first node and the count of sites. */
static void number_groups(const mc_graph *graph, const mc_sites *sites, uint32_t *of_value,
                          mc_input_groups *out)
{
    for (size_t v = 0; v < graph->values; v++) of_value[v] = MC_NONE;
    for (size_t s = 0; s < sites->sites; s++) {
        const mc_id value = activation_of(graph, &sites->site[s]);
        out->of_site[s] = MC_NONE;
        if (value == MC_NONE) continue;
        if (of_value[value] == MC_NONE) {
            of_value[value] = (uint32_t)out->groups;
            out->group[out->groups++] =
                (mc_input_group){.value = value, .first = sites->site[s].node};
        }
        out->of_site[s] = of_value[value];
        out->group[of_value[value]].sites++;
    }
}

mc_status mc_input_groups_find(const mc_graph *graph, const mc_sites *sites, mc_arena *mem,
                               mc_input_groups *out, mc_err *err)
{
    *out = (mc_input_groups){.group = MC_NEW(mem, mc_input_group, sites->sites + 1),
                             .of_site = MC_NEW(mem, uint32_t, sites->sites + 1)};
    size_t *list = MC_NEW(mem, size_t, sites->sites + 1);
    mc_arena scratch = *mem;
    uint32_t *of_value = MC_NEW(&scratch, uint32_t, graph->values + 1);
    if (!out->group || !out->of_site || !list || !of_value)
        return mc_no_room(err, "the sites of a graph");
    number_groups(graph, sites, of_value, out);

    for (size_t g = 0; g < out->groups; g++) {
        mc_input_group *group = &out->group[g];
        size_t *next = list;
        group->site = list;
        for (size_t s = 0; s < sites->sites; s++)
            if (out->of_site[s] == g) *next++ = s;
        list = next;
    }
    return MC_OK;
}
