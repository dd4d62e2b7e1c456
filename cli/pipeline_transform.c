/* Transforms: what follows from the weights alone first; then one walk through the float model, in
 * which each group's inputs are seen before their edits are chosen. All edits keep the function, so
 * the walk may stay on the model as it was when it began. */
#include "cli/pipeline_code.h"

#include "cli/pipeline_collect.h"
#include "cli/pipeline_stats.h"
#include "core/act.h"

#include <string.h>

static mc_transform_job job_of(const mc_coding *coding, const mc_places *places,
                               const mc_chain_transform *t, mc_edits *edits, bool *kv_hadamard)
{
    const mc_plan *plan = coding->plan;
    return (mc_transform_job){
        .model = plan->model,
        .places = places,
        .edits = edits,
        .setup = &t->setup,
        .rounding = &plan->asked,
        .grid = &plan->usual_grid,
        .group = (size_t)plan->usual_group,
        .activation_bits = plan->container.numerics.activation_bits,
        .seed = plan->options->seed,
        .pool = coding->pool,
        .online_hadamard = plan->target->online_hadamard,
        .hadamard = coding->made->hadamard,
        .kv_hadamard = kv_hadamard,
        .changes = edits == coding->made->edits ? &coding->made->changes : NULL,
    };
}

typedef struct {
    mc_coding *coding;
    mc_places places;
    mc_region memory; /* of places, and of what `begin` keeps */
    mc_region edited; /* of `before` */
    mc_edits *before; /* the edits of all `begin`s: what the walk runs on */
    bool kv_hadamard;
} transforming;

/* The same edits twice: those that stay, and those that the walk runs on, to which no group
 * adds. */
static mc_status begin_all(transforming *t, mc_err *err)
{
    const mc_chain *chain = &t->coding->plan->chain;
    mc_edits *const edits[] = {t->before, t->coding->made->edits};
    for (size_t k = 0; k < sizeof edits / sizeof *edits; k++)
        for (size_t i = 0; i < chain->transforms; i++) {
            const mc_chain_transform *link = &chain->transform[i];
            if (!link->transform->begin) continue;
            const mc_transform_job job =
                job_of(t->coding, &t->places, link, edits[k], &t->kv_hadamard);
            if (link->transform->begin(&job, &t->coding->made->turned.arena, err) != MC_OK)
                return mc_wrap(err, "transform %s", link->transform->name);
        }
    return MC_OK;
}

/* ---- what a group's input is like ---- */

/* What is known of it, in `mem`. channels.n is 0: nothing. */
typedef struct {
    mc_channels channels;
    const mc_moments *moments; /* NULL: none were asked for, or there are no rows */
    mc_group_inputs inputs;    /* from a walk, */
    mc_known_numbers numbers;  /* or from statistics */
} known_input;

static void drop_input(known_input *k)
{
    mc_group_inputs_close(&k->inputs);
    mc_known_drop(&k->numbers);
}

static mc_status fill_channels(const mc_channels *seen, mc_arena *mem, mc_input_stats *out,
                               mc_err *err)
{
    float *absmax = MC_NEW(mem, float, seen->n + 1);
    double *mean_abs = MC_NEW(mem, double, seen->n + 1);
    if (!absmax || !mean_abs) return mc_no_room(err, "channels");
    mc_channels_absmax(seen, absmax);
    mc_channels_mean_abs(seen, mean_abs);
    out->least = seen->least;
    out->most = seen->most;
    out->absmax = absmax;
    out->mean_abs = mean_abs;
    return MC_OK;
}

static unsigned wants_of(const mc_chain *chain)
{
    unsigned wants = 0;
    for (size_t i = 0; i < chain->transforms; i++)
        if (chain->transform[i].transform->group) wants |= chain->transform[i].transform->wants;
    return wants;
}

/* Statistics of the float model, as transforms that looked at no data have changed the input. */
static mc_status change_moments(const mc_input_change *change, mc_moment_sums *sums, mc_arena mem,
                                mc_err *err)
{
    return change ? mc_change_moments(change, sums, mem, err) : MC_OK;
}

static mc_status see_walking(transforming *t, mc_walk *walk, const mc_input_group *group,
                             mc_arena *mem, known_input *out, mc_err *err)
{
    const mc_coding *coding = t->coding;
    const bool sequential = coding->plan->sequential;
    const mc_input_change *change =
        sequential ? NULL : mc_made_change(coding->made, group->site[0]);
    mc_sight sight = {.calibration = coding->calibration,
                      .walk = walk,
                      .pool = coding->pool,
                      .kind = coding->calibration->sites.site[group->site[0]].kind};
    MC_TRY(mc_see_input(&sight, mem, &out->channels, NULL, err));
    if (change && !mc_change_channels(change, &out->channels)) {
        sight.change = change;
        MC_TRY(mc_see_input(&sight, mem, &out->channels, NULL, err));
    }
    const unsigned wants = wants_of(&coding->plan->chain);
    const char *why;
    MC_TRY(mc_group_inputs_open(coding, walk, group, &out->inputs, err));
    if (!wants || out->channels.n == 0) return MC_OK;
    MC_TRY(mc_group_moments(coding, &out->inputs, group->site[0], wants, &out->moments, &why, err));
    return out->moments ? change_moments(change, &out->inputs.moments, *mem, err) : MC_OK;
}

static mc_status see_known(transforming *t, const mc_input_group *group, mc_arena *mem,
                           known_input *out, mc_err *err)
{
    const mc_coding *coding = t->coding;
    const mc_calibration *c = coding->calibration;
    const mc_site *site = &c->sites.site[group->site[0]];
    const mc_input_change *change = mc_made_change(coding->made, group->site[0]);
    if (!mc_collects_site(c, group->site[0]) || !mc_known_has(c->known, site)) return MC_OK;
    const bool gram = (wants_of(&coding->plan->chain) & MC_QUANT_GRAM) != 0;
    MC_TRY(mc_known_load(c, group->site[0], gram, &out->numbers, err));
    out->channels = out->numbers.channels;
    if (change && !mc_change_channels(change, &out->channels))
        return mc_fail(err, MC_E_UNSUPPORTED,
                       "site \"%s\": statistics do not say what ranges its input has behind a "
                       "rotation or a shift (give the data)",
                       site->name);
    out->moments = &out->numbers.moments.view;
    return change_moments(change, &out->numbers.moments, *mem, err);
}

/* A place counts on a channel for each of its own. */
static mc_status check_width(const transforming *t, const mc_input_group *group,
                             const known_input *k, mc_err *err)
{
    const mc_place *place = mc_places_of(&t->places, group);
    if (!place || place->width == k->channels.n) return MC_OK;
    return mc_fail(err, MC_E_FORMAT, "%s: statistics of %zu channels, its input has %zu",
                   place->name, k->channels.n, place->width);
}

static mc_status transform_known(transforming *t, const mc_input_group *group, const known_input *k,
                                 mc_arena mem, mc_err *err)
{
    const mc_coding *coding = t->coding;
    const mc_chain *chain = &coding->plan->chain;
    mc_input_stats stats = {.group = group};
    if (k->channels.n == 0) return MC_OK;
    MC_TRY(check_width(t, group, k, err));
    MC_TRY(fill_channels(&k->channels, &mem, &stats, err));
    if (k->moments) stats.moments = *k->moments;
    for (size_t i = 0; i < chain->transforms; i++) {
        const mc_chain_transform *link = &chain->transform[i];
        if (!link->transform->group || (link->transform->wants && !k->moments)) continue;
        const mc_transform_job job =
            job_of(coding, &t->places, link, coding->made->edits, &t->kv_hadamard);
        if (link->transform->group(&job, &stats, mem, err) != MC_OK)
            return mc_wrap(err, "transform %s", link->transform->name);
    }
    return MC_OK;
}

/* `walk` NULL: from statistics. */
static mc_status transform_group(transforming *t, mc_walk *walk, const mc_input_group *group,
                                 mc_arena mem, mc_err *err)
{
    known_input known = {.moments = NULL};
    mc_status status = walk ? see_walking(t, walk, group, &mem, &known, err)
                            : see_known(t, group, &mem, &known, err);
    if (status == MC_OK) status = transform_known(t, group, &known, mem, err);
    drop_input(&known);
    return status;
}

/* Address space for a group's channels and what a transform works in. */
static const size_t group_room = (size_t)8 << 30;

/* Floats, rotated where a transform of the weights alone made the device do so; NULL: nowhere. */
static mc_status float_acts(const transforming *t, mc_arena *mem, const mc_act_spec **out,
                            mc_err *err)
{
    const size_t sites = t->coding->calibration->sites.sites;
    bool turns = false;
    *out = NULL;
    for (size_t s = 0; s < sites; s++) turns |= t->coding->made->hadamard[s] != 0;
    if (!turns) return MC_OK;
    mc_act_spec *act = MC_NEW(mem, mc_act_spec, sites + 1);
    if (!act) return mc_no_room(err, "the activations of sites");
    for (size_t s = 0; s < sites; s++)
        act[s] = (mc_act_spec){.bits = 16, .hadamard = t->coding->made->hadamard[s]};
    *out = act;
    return MC_OK;
}

static mc_status walk_groups(transforming *t, mc_err *err)
{
    mc_coding *coding = t->coding;
    const mc_calibration *c = coding->calibration;
    const mc_act_spec *act = NULL;
    const bool edited = coding->plan->sequential;
    if (edited) MC_TRY(float_acts(t, &t->memory.arena, &act, err));
    mc_progress *progress = mc_progress_open(c->samples * c->stages.stages, "looking");
    const mc_walk_options options = {
        .name = c->model->path,
        .stages = &c->stages,
        .data = c->data,
        .samples = c->samples,
        .weights = {edited ? mc_edits_weights(t->before) : NULL},
        .act = act,
        .cache_bytes = UINT64_MAX,
        .spills = coding->plan->spills,
        .pool = coding->pool,
        .meter = mc_progress_meter(progress),
    };
    mc_walk *walk;
    mc_region room;
    MC_TRY(mc_region_open(&room, group_room, err));
    mc_status status = mc_walk_open(&options, &walk, err);
    const mc_input_group *group = NULL;
    do {
        if (status == MC_OK) status = mc_walk_next(walk, &group, err);
        if (status == MC_OK && group) status = transform_group(t, walk, group, room.arena, err);
    } while (status == MC_OK && group);
    mc_walk_close(walk);
    mc_region_close(&room);
    mc_progress_close(progress);
    return status;
}

static mc_status known_groups(transforming *t, mc_err *err)
{
    const mc_input_groups *groups = &t->coding->calibration->groups;
    mc_region room;
    MC_TRY(mc_region_open(&room, group_room, err));
    mc_status status = MC_OK;
    for (size_t g = 0; g < groups->groups && status == MC_OK; g++)
        status = transform_group(t, NULL, &groups->group[g], room.arena, err);
    mc_region_close(&room);
    return status;
}

static mc_status transform(transforming *t, mc_err *err)
{
    mc_coding *coding = t->coding;
    const mc_calibration *c = coding->calibration;
    const mc_chain *chain = &coding->plan->chain;
    bool looks = false;
    for (size_t i = 0; i < chain->transforms; i++)
        looks |= chain->transform[i].transform->group != NULL;
    coding->made->hadamard = MC_NEW(&coding->made->lists.arena, uint32_t, c->sites.sites + 1);
    coding->made->changes.mem = &coding->made->changed.arena;
    coding->made->changes.first =
        MC_NEW(&coding->made->lists.arena, mc_input_change *, c->sites.sites + 1);
    if (!coding->made->hadamard || !coding->made->changes.first)
        return mc_no_room(err, "the sites of a graph");
    MC_TRY(mc_places_find(c->graph, &c->sites, &t->memory.arena, &t->places, err));
    MC_TRY(mc_region_open(&t->edited, (size_t)4 << 30, err));
    MC_TRY(mc_edits_open(c->model, &t->edited.arena, &t->before, err));
    MC_TRY(begin_all(t, err));
    if (looks) MC_TRY(c->data ? walk_groups(t, err) : known_groups(t, err));
    if (t->kv_hadamard && coding->plan->kv.bits >= 16)
        return mc_fail(err, MC_E_USAGE,
                       "r3=1 rotates keys for a quantized cache; the scheme leaves "
                       "the cache as it is (take --w4a8kv8)");
    coding->made->kv.hadamard = t->kv_hadamard;
    return MC_OK;
}

mc_status mc_code_transforms(mc_coding *coding, mc_err *err)
{
    const mc_calibration *c = coding->calibration;
    if (coding->plan->chain.transforms == 0) return MC_OK;
    if (!c->graph)
        return mc_fail(
            err, MC_E_UNSUPPORTED,
            "transform %s needs to know how weights are connected, and there is no graph "
            "(%s)",
            coding->plan->chain.transform[0].transform->name, c->model->no_graph);
    transforming t = {.coding = coding};
    MC_TRY(mc_region_open(&t.memory, (size_t)4 << 30, err));
    const mc_status status = transform(&t, err);
    if (t.before) mc_edits_close(t.before);
    mc_region_close(&t.edited);
    mc_region_close(&t.memory);
    return status;
}
