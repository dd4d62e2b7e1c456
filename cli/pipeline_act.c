/* Activations: dynamic ones follow from the plan, static ones from what the observer sees. */
#include "cli/pipeline_act.h"

#include "calib/observe.h"
#include "cli/pipeline_collect.h"
#include "core/act.h"

#include <string.h>

mc_status mc_act_open(mc_coding *coding, mc_err *err)
{
    const mc_calibration *c = coding->calibration;
    const mc_plan *plan = coding->plan;
    mc_made *made = coding->made;
    const unsigned bits = plan->container.numerics.activation_bits;
    if (bits >= 16 && !made->hadamard) return MC_OK;
    made->act = MC_NEW(&made->lists.arena, mc_act_spec, c->sites.sites + 1);
    if (!made->act) return mc_no_room(err, "the activations of sites");
    for (size_t s = 0; s < c->sites.sites; s++) {
        const size_t e = mc_made_find(made, c->sites.site[s].weight);
        const bool rounds = bits < 16 && c->groups.of_site[s] != MC_NONE && e != SIZE_MAX &&
                            plan->entry[e].setup != NULL;
        if (rounds) made->act[s] = mc_act_dynamic(bits);
        if (rounds) made->act[s].asymmetric = plan->act_asymmetric;
        if (rounds) made->act[s].power_of_two = plan->act_power_of_two;
        if (made->hadamard) made->act[s].hadamard = made->hadamard[s];
    }
    return MC_OK;
}

/* ---- static scales ---- */

/* The first of the group's sites whose activation is to be rounded. */
static const mc_act_spec *wanted(const mc_coding *coding, const mc_input_group *group, size_t *site)
{
    const mc_made *made = coding->made;
    if (!made->act || !coding->plan->act_static) return NULL;
    for (size_t i = 0; i < group->sites; i++) {
        *site = group->site[i];
        if (made->act[*site].mode != MC_ACT_FLOAT) return &made->act[*site];
    }
    return NULL;
}

bool mc_act_waits(const mc_coding *coding, const mc_input_group *group)
{
    size_t site = 0;
    const mc_act_spec *act = wanted(coding, group, &site);
    return act && act->mode != MC_ACT_STATIC;
}

static mc_status choose(mc_coding *coding, const mc_input_seen *seen, mc_act_spec *act,
                        mc_arena mem, mc_err *err)
{
    const mc_plan *plan = coding->plan;
    const mc_observe_want want = {act->bits, act->asymmetric, act->power_of_two};
    const size_t channels = plan->act_per_channel ? seen->channels->n : 0;
    mc_arena *keep = &coding->made->lists.arena;
    act->scales = (uint32_t)(channels ? channels : 1);
    float *scale = MC_NEW(keep, float, act->scales);
    int16_t *zero = act->asymmetric ? MC_NEW(keep, int16_t, act->scales) : NULL;
    if (!scale || (act->asymmetric && !zero)) return mc_no_room(err, "scales of activations");
    if (channels) {
        MC_TRY(mc_observe_channels(seen->channels, want, scale, zero, err));
    } else {
        mc_observed observed;
        const mc_observe_job job = {&plan->observer, want, seen->histogram};
        MC_TRY(mc_observe(&job, mem, &observed, err));
        scale[0] = observed.scale;
        if (zero) zero[0] = observed.zero;
    }
    act->mode = MC_ACT_STATIC;
    act->power_of_two = false; /* the scale is one already */
    act->scale = scale;
    act->zero = zero;
    return MC_OK;
}

/* The same value, the same codes. */
static mc_status choose_all(mc_coding *coding, const mc_input_group *group,
                            const mc_input_seen *seen, mc_arena mem, mc_err *err)
{
    size_t first = 0;
    const mc_calibration *c = coding->calibration;
    const mc_act_spec *act = wanted(coding, group, &first);
    if (choose(coding, seen, &coding->made->act[first], mem, err) != MC_OK)
        return mc_wrap(err, "the input of site \"%s\"", c->sites.site[first].name);
    for (size_t i = 0; i < group->sites; i++)
        if (coding->made->act[group->site[i]].mode != MC_ACT_FLOAT)
            coding->made->act[group->site[i]] = *act;
    return MC_OK;
}

mc_status mc_act_choose_seen(mc_coding *coding, const mc_input_group *group,
                             const mc_input_seen *seen, mc_err *err)
{
    const bool known =
        coding->plan->act_per_channel ? seen->channels != NULL : seen->histogram != NULL;
    mc_region memory;
    if (!mc_act_waits(coding, group)) return MC_OK;
    if (!known)
        return mc_fail(err, MC_E_UNSUPPORTED,
                       "the statistics do not say what the input of site \"%s\" is like, which "
                       "--act static needs",
                       coding->calibration->sites.site[group->site[0]].name);
    MC_TRY(mc_region_open(&memory, MC_OBSERVE_SCRATCH, err));
    const mc_status status = choose_all(coding, group, seen, memory.arena, err);
    mc_region_close(&memory);
    return status;
}

static mc_status see_and_choose(mc_coding *coding, const mc_sight *sight,
                                const mc_input_group *group, mc_arena mem, mc_err *err)
{
    mc_channels channels = {.n = 0};
    mc_histogram *histogram = MC_NEW(&mem, mc_histogram, 1);
    const bool each = coding->plan->act_per_channel;
    if (!histogram) return mc_no_room(err, "histograms");
    MC_TRY(mc_see_input(sight, &mem, each ? &channels : NULL, histogram, err));
    const mc_input_seen seen = {&channels, histogram};
    return choose_all(coding, group, &seen, mem, err);
}

mc_status mc_act_choose(mc_coding *coding, mc_walk *walk, const mc_input_group *group,
                        const mc_input_change *change, mc_err *err)
{
    const mc_calibration *c = coding->calibration;
    size_t first = 0;
    mc_act_shape shape;
    mc_region memory;
    const mc_act_spec *act = wanted(coding, group, &first);
    if (!mc_act_waits(coding, group)) return MC_OK;
    const mc_site_kind kind = c->sites.site[first].kind;
    const mc_nd x = mc_walk_input(walk, MC_WALK_MAIN, 0);
    if (!mc_act_shape_of(kind, &x, &shape)) return MC_OK;
    const mc_sight sight = {.calibration = c,
                            .walk = walk,
                            .pool = coding->pool,
                            .kind = kind,
                            .act = change ? NULL : act,
                            .change = change};
    MC_TRY(mc_region_open(&memory, (size_t)1 << 30, err));
    const mc_status status = see_and_choose(coding, &sight, group, memory.arena, err);
    mc_region_close(&memory);
    return status;
}

/* ---- what the container says ---- */

static bool weight_differs(const mc_made *made, const mc_calibration *c, size_t site)
{
    for (size_t s = 0; s < c->sites.sites; s++)
        if (c->groups.of_site[s] != MC_NONE &&
            strcmp(c->sites.site[s].weight->name, c->sites.site[site].weight->name) == 0 &&
            !mc_act_same(&made->act[s], &made->act[site]))
            return true;
    return false;
}

static bool said_before(const mc_calibration *c, size_t site)
{
    for (size_t s = 0; s < site; s++)
        if (c->groups.of_site[s] != MC_NONE &&
            strcmp(c->sites.site[s].weight->name, c->sites.site[site].weight->name) == 0)
            return true;
    return false;
}

mc_status mc_act_record(const mc_made *made, const mc_calibration *c, mc_plan *plan, mc_arena *mem,
                        mc_err *err)
{
    if (!made->act) return MC_OK;
    mc_site_act *act = MC_NEW(mem, mc_site_act, c->sites.sites + 1);
    if (!act) return mc_no_room(err, "the activations of sites");
    plan->acts = 0;
    for (size_t s = 0; s < c->sites.sites; s++) {
        const mc_site *site = &c->sites.site[s];
        const mc_act_spec *spec = &made->act[s];
        const size_t e = mc_made_find(made, site->weight);
        if (c->groups.of_site[s] == MC_NONE || e == SIZE_MAX) continue;
        if (spec->mode == MC_ACT_FLOAT && !spec->hadamard) continue;
        const bool differs = weight_differs(made, c, s);
        if (!differs && said_before(c, s)) continue;
        act[plan->acts++] =
            (mc_site_act){.weight = (uint32_t)e, .site = differs ? site->name : NULL, .act = *spec};
    }
    mc_site_acts_sort(act, plan->acts);
    plan->act = act;
    return MC_OK;
}
