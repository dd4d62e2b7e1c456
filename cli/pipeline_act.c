/* Activations: dynamic ones follow from the plan, static ones from what the observer sees. */
#include "cli/pipeline_act.h"

#include "calib/observe.h"
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

typedef struct {
    mc_walk *walk;
    const mc_act_spec *act;
    mc_site_kind kind;
    mc_histogram *histogram; /* of each piece */
    mc_channels *channels;   /* of each piece, or NULL */
    size_t samples, pieces;
} watching;

static mc_status see_sample(const watching *w, size_t piece, size_t sample, mc_arena scratch,
                            mc_err *err)
{
    const mc_nd x = mc_walk_input(w->walk, MC_WALK_MAIN, sample);
    mc_act_shape shape;
    if (!mc_act_shape_of(w->kind, &x, &shape)) return MC_OK;
    const float *at = x.data;
    if (w->act->hadamard) {
        float *turned = MC_NEW_RAW(&scratch, float, x.count);
        if (!turned) return mc_no_room(err, "an activation");
        memcpy(turned, x.data, x.count * sizeof *turned);
        MC_TRY(mc_act_rotate(w->act, &shape, turned, scratch, err));
        at = turned;
    }
    mc_histogram_add(&w->histogram[piece], at, x.count);
    if (!w->channels) return MC_OK;
    return mc_channels_add(&w->channels[piece], at, shape.rows, shape.inner, err);
}

static mc_status see_piece(void *job, size_t piece, mc_arena scratch, mc_err *err)
{
    const watching *w = job;
    for (size_t s = piece; s < w->samples; s += w->pieces)
        MC_TRY(see_sample(w, piece, s, scratch, err));
    return MC_OK;
}

static mc_status watch(mc_coding *coding, watching *w, size_t channels, mc_arena *mem, mc_err *err)
{
    enum { PIECES = 16 };
    w->pieces = PIECES;
    w->histogram = MC_NEW(mem, mc_histogram, PIECES);
    if (!w->histogram) return mc_no_room(err, "histograms");
    if (channels) {
        w->channels = MC_NEW(mem, mc_channels, PIECES);
        if (!w->channels) return mc_no_room(err, "channels");
        for (size_t i = 0; i < PIECES; i++)
            MC_TRY(mc_channels_alloc(mem, channels, &w->channels[i], err));
    }
    MC_TRY(mc_pool_for(coding->pool, PIECES, see_piece, w, err));
    for (size_t i = 1; i < PIECES; i++) {
        mc_histogram_merge(&w->histogram[0], &w->histogram[i]);
        if (channels) MC_TRY(mc_channels_merge(&w->channels[0], &w->channels[i], err));
    }
    return MC_OK;
}

static mc_status choose(mc_coding *coding, watching *w, mc_act_spec *act, mc_arena mem,
                        mc_err *err)
{
    const mc_plan *plan = coding->plan;
    const mc_observe_want want = {act->bits, act->asymmetric, act->power_of_two};
    const mc_nd x = mc_walk_input(w->walk, MC_WALK_MAIN, 0);
    mc_act_shape shape;
    if (!mc_act_shape_of(w->kind, &x, &shape)) return MC_OK;
    const size_t channels = plan->act_per_channel ? shape.channels : 0;
    MC_TRY(watch(coding, w, channels, &mem, err));

    mc_arena *keep = &coding->made->lists.arena;
    act->scales = (uint32_t)(channels ? channels : 1);
    float *scale = MC_NEW(keep, float, act->scales);
    int16_t *zero = act->asymmetric ? MC_NEW(keep, int16_t, act->scales) : NULL;
    if (!scale || (act->asymmetric && !zero)) return mc_no_room(err, "scales of activations");
    if (channels) {
        MC_TRY(mc_observe_channels(&w->channels[0], want, scale, zero, err));
    } else {
        mc_observed seen;
        const mc_observe_job job = {&plan->observer, want, &w->histogram[0]};
        MC_TRY(mc_observe(&job, mem, &seen, err));
        scale[0] = seen.scale;
        if (zero) zero[0] = seen.zero;
    }
    act->mode = MC_ACT_STATIC;
    act->power_of_two = false; /* the scale is one already */
    act->scale = scale;
    act->zero = zero;
    return MC_OK;
}

mc_status mc_act_choose(mc_coding *coding, mc_walk *walk, const mc_input_group *group, mc_err *err)
{
    mc_made *made = coding->made;
    const mc_calibration *c = coding->calibration;
    if (!made->act || !coding->plan->act_static) return MC_OK;
    mc_act_spec *chosen = NULL;
    for (size_t i = 0; i < group->sites; i++) {
        mc_act_spec *act = &made->act[group->site[i]];
        if (act->mode == MC_ACT_FLOAT) continue;
        if (chosen) {
            *act = *chosen; /* the same value, the same codes */
            continue;
        }
        const mc_site *site = &c->sites.site[group->site[i]];
        watching w = {.walk = walk, .act = act, .kind = site->kind, .samples = c->samples};
        mc_region memory;
        MC_TRY(mc_region_open(&memory, (size_t)1 << 30, err));
        const mc_status status = choose(coding, &w, act, memory.arena, err);
        mc_region_close(&memory);
        if (status != MC_OK) return mc_wrap(err, "the input of site \"%s\"", site->name);
        chosen = act;
    }
    return MC_OK;
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
        act[plan->acts++] = (mc_site_act){
            .weight = (uint32_t)e, .site = differs ? site->name : NULL, .act = *spec};
    }
    mc_site_acts_sort(act, plan->acts);
    plan->act = act;
    return MC_OK;
}
