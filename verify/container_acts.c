/* What a container says of the inputs of a graph's sites, by the weight that each has and by its
 * name. */
#include "verify/verify_data.h"

#include "core/act.h"

static uint32_t weight_of(const mc_container_weights *w, const mc_site *site)
{
    const uint32_t i = mc_names_find(&w->names, site->weight->name);
    return i == MC_NO_NAME ? MCPK_NO_WEIGHT : i;
}

/* Weights that expect rotated inputs must not be run without. */
static mc_status check_rotations(const mc_container *c, const bool *seen, mc_err *err)
{
    for (size_t i = 0; i < c->acts; i++) {
        const mc_site_act *a = &c->act[i];
        if (a->act.hadamard == 0 || seen[i]) continue;
        return mc_fail(err, MC_E_MISMATCH,
                       "the input of %s \"%s\" is rotated online, the reference has no such site",
                       a->site ? "site" : "weight", a->site ? a->site : c->weight[a->weight].name);
    }
    return MC_OK;
}

mc_status mc_container_acts(const mc_container_weights *w, const mc_sites *sites, mc_arena *mem,
                            const mc_act_spec **out, mc_err *err)
{
    const mc_container *c = w->container;
    const bool wide = c->numerics.activation_bits == 16 && mc_numerics_act(&c->numerics);
    *out = NULL;
    if (c->acts == 0 && !wide) return MC_OK;
    mc_act_spec *act = MC_NEW(mem, mc_act_spec, sites->sites + 1);
    bool *seen = MC_NEW(mem, bool, c->acts + 1);
    if (!act || !seen) return mc_no_room(err, "the activations of sites");
    for (size_t i = 0; i < sites->sites; i++) {
        const mc_site *site = &sites->site[i];
        const mc_site_act *found =
            mc_site_act_find(c->act, c->acts, weight_of(w, site), site->name);
        if (site->kind == MC_SITE_EMBEDDING) continue;
        if (c->acts == 0) act[i] = mc_act_dynamic(16);
        if (!found) continue;
        seen[found - c->act] = true;
        act[i] = found->act;
    }
    *out = act;
    if (check_rotations(c, seen, err) == MC_OK) return MC_OK;
    return mc_wrap(err, "%s", c->path);
}
