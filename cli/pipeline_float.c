/* Coding for the inputs of the float model: what is coded before does not matter, so blocks of
 * statistics may come from one walk or from a file, and give the same codes. Statistics are of the
 * model as its file has it; what transforms have made of inputs is made good here. */
#include "cli/pipeline_act.h"
#include "cli/pipeline_checkpoint.h"
#include "cli/pipeline_collect.h"
#include "cli/pipeline_stats.h"

#include <string.h>

static const mc_input_group *group_of(const mc_coding *coding, size_t site)
{
    const mc_input_groups *groups = &coding->calibration->groups;
    return &groups->group[groups->of_site[site]];
}

static size_t waiting_entry(const mc_coding *coding, size_t site)
{
    const mc_tensor *weight = coding->calibration->sites.site[site].weight;
    const size_t e = mc_made_find(coding->made, weight);
    if (e == SIZE_MAX || !coding->plan->entry[e].setup || coding->made->entry[e].coded)
        return SIZE_MAX;
    return e;
}

/* ---- a block ---- */

static unsigned wants_block(void *self, const char *name, const size_t *site, size_t sites)
{
    (void)name;
    const mc_coding *coding = self;
    unsigned wants = 0;
    bool waits = false;
    for (size_t i = 0; i < sites; i++) {
        const size_t e = waiting_entry(coding, site[i]);
        if (e == SIZE_MAX) continue;
        waits = true;
        wants |= mc_code_wants(coding, e);
    }
    unsigned collect = 0;
    if (waits && wants) collect |= MC_COLLECT_MOMENTS;
    if (wants & (MC_QUANT_GRAM | MC_QUANT_CROSS)) collect |= MC_COLLECT_GRAM;
    if (waits && coding->plan->act_static) collect |= MC_COLLECT_INPUT;
    return collect;
}

/* Scales of channels that were scaled follow from their ranges. */
static bool follows(const mc_coding *coding, const mc_input_change *change)
{
    for (; change; change = change->next)
        if (!coding->plan->act_per_channel || change->kind != MC_INPUT_SCALED) return false;
    return true;
}

static mc_status choose_changed(mc_coding *coding, const mc_input_group *group,
                                const mc_block *block, const mc_input_change *change, mc_err *err)
{
    mc_region room;
    mc_channels copy;
    const mc_channels *from = block->channels;
    MC_TRY(mc_region_open(&room, mc_channels_bytes(from->n) + 4096, err));
    mc_status status = mc_channels_alloc(&room.arena, from->n, &copy, err);
    if (status == MC_OK) status = mc_channels_merge(&copy, from, err);
    if (status == MC_OK && !mc_change_channels(change, &copy))
        status = mc_fail(err, MC_E_FORMAT, "statistics of %zu channels, the input has %zu", from->n,
                         change->n);
    const mc_input_seen seen = {&copy, NULL};
    if (status == MC_OK) status = mc_act_choose_seen(coding, group, &seen, err);
    mc_region_close(&room);
    return status;
}

static mc_status choose_acts(mc_coding *coding, const mc_block *block, mc_err *err)
{
    const mc_input_seen seen = {block->channels, block->histogram};
    if (!coding->plan->act_static) return MC_OK;
    for (size_t i = 0; i < block->sites; i++) {
        const mc_input_group *group = group_of(coding, block->site[i]);
        const mc_input_change *change = mc_made_change(coding->made, block->site[i]);
        if (!mc_act_waits(coding, group)) continue;
        if (!follows(coding, change))
            return mc_fail(err, MC_E_UNSUPPORTED,
                           "--act static: a transform changes the input of site \"%s\", and "
                           "statistics do not say what its range is then (give the data)",
                           coding->calibration->sites.site[block->site[i]].name);
        MC_TRY(change && block->channels ? choose_changed(coding, group, block, change, err)
                                         : mc_act_choose_seen(coding, group, &seen, err));
    }
    return MC_OK;
}

static mc_status change_block(mc_coding *coding, const mc_block *block, mc_err *err)
{
    const mc_input_change *change = mc_made_change(coding->made, block->site[0]);
    mc_region scratch;
    mc_moments_mirror(block->moments);
    if (!change) return MC_OK;
    MC_TRY(mc_region_open(&scratch, mc_change_scratch(block->moments->view.n), err));
    mc_status status = mc_change_moments(change, block->moments, scratch.arena, err);
    mc_region_close(&scratch);
    if (status == MC_OK) return MC_OK;
    return mc_wrap(err, "tensor \"%s\"", block->weight[0]);
}

static mc_status code_block(mc_coding *coding, const mc_block *block, mc_err *err)
{
    for (size_t i = 0; i < block->sites; i++) {
        const size_t e = waiting_entry(coding, block->site[i]);
        if (e == SIZE_MAX) continue;
        const mc_weight_input input = {.entry = e,
                                       .site = &coding->calibration->sites.site[block->site[i]],
                                       .moments = &block->moments->view};
        MC_TRY(mc_code_weight(coding, &input, err));
    }
    mc_prepared_drop(&coding->prepared);
    mc_made_release(coding->made);
    return MC_OK;
}

static mc_status take_block(void *self, const mc_block *block, mc_err *err)
{
    mc_coding *coding = self;
    MC_TRY(choose_acts(coding, block, err));
    MC_TRY(change_block(coding, block, err));
    return code_block(coding, block, err);
}

/* ---- weights without statistics ---- */

static mc_status code_without(mc_coding *coding, size_t site, const char *why, mc_err *err)
{
    const size_t e = waiting_entry(coding, site);
    if (e == SIZE_MAX) return MC_OK;
    const mc_weight_input input = {
        .entry = e, .site = &coding->calibration->sites.site[site], .why_none = why};
    return mc_code_weight(coding, &input, err);
}

static mc_status code_rowless(mc_coding *coding, mc_err *err)
{
    const mc_calibration *c = coding->calibration;
    for (size_t s = 0; s < c->sites.sites; s++) {
        const mc_site *site = &c->sites.site[s];
        if (c->groups.of_site[s] == MC_NONE || mc_collects_site(c, s)) continue;
        const char *why = site->part ? "it is a stack of matrices that meet inputs of their own"
                                     : mc_site_rows_refuses(c->graph, site);
        MC_TRY(code_without(coding, s, why, err));
    }
    mc_made_release(coding->made);
    return MC_OK;
}

/* ---- from a walk ---- */

static mc_status take_group(mc_coding *coding, mc_collector *collector, mc_walk *walk,
                            const mc_input_group *group, mc_err *err)
{
    const mc_collect_sink sink = {coding, wants_block, take_block};
    const size_t step = (size_t)(group - coding->calibration->groups.group);
    const mc_input_change *change = mc_made_change(coding->made, group->site[0]);
    bool done;
    MC_TRY(mc_checkpoint_resume(coding->checkpoint, step, &done, err));
    /* Of an input that was changed a histogram must be made anew. */
    if (!follows(coding, change)) MC_TRY(mc_act_choose(coding, walk, group, change, err));
    /* Of a step that is there only weights that come again are collected. */
    MC_TRY(mc_collect_group(collector, walk, group, &sink, err));
    return done ? MC_OK : mc_checkpoint_save(coding->checkpoint, step, err);
}

static mc_status code_walking(mc_coding *coding, mc_collector *collector, mc_err *err)
{
    const mc_calibration *c = coding->calibration;
    mc_progress *progress = mc_progress_open(c->samples * c->stages.stages, "calibrating");
    const mc_walk_options options = {.name = c->model->path,
                                     .stages = &c->stages,
                                     .data = c->data,
                                     .samples = c->samples,
                                     .cache_bytes = UINT64_MAX,
                                     .spills = coding->plan->spills,
                                     .pool = coding->pool,
                                     .meter = mc_progress_meter(progress)};
    mc_walk *walk;
    mc_status status = mc_walk_open(&options, &walk, err);
    const mc_input_group *group = NULL;
    do {
        if (status == MC_OK) status = mc_walk_next(walk, &group, err);
        if (status == MC_OK && group) status = take_group(coding, collector, walk, group, err);
    } while (status == MC_OK && group);
    mc_walk_close(walk);
    mc_progress_close(progress);
    return status;
}

/* ---- from statistics ---- */

static mc_status take_numbers(mc_coding *coding, const size_t *site, size_t sites, unsigned wants,
                              mc_err *err)
{
    const mc_calibration *c = coding->calibration;
    const char *name = c->sites.site[site[0]].weight->name;
    mc_known_numbers numbers;
    MC_TRY(mc_known_load(c, site[0], (wants & MC_COLLECT_GRAM) != 0, &numbers, err));
    const mc_block block = {.name = name,
                            .weight = &name,
                            .weights = 1,
                            .site = site,
                            .sites = sites,
                            .moments = &numbers.moments,
                            .channels = numbers.channels.n ? &numbers.channels : NULL,
                            .histogram = numbers.histogram};
    const mc_status status = take_block(coding, &block, err);
    mc_known_drop(&numbers);
    return status;
}

/* All sites whose weights have the block of this one; of those that stand in one place, those of
 * its group. */
static mc_status take_known(mc_coding *coding, const mc_collector *collector, size_t first,
                            mc_arena mem, mc_err *err)
{
    const mc_calibration *c = coding->calibration;
    const bool alone = mc_collect_places(collector, first) == 1;
    size_t *site = MC_NEW(&mem, size_t, c->sites.sites), sites = 0;
    if (!site) return mc_no_room(err, "the sites of a block");
    const mc_input_group *group = group_of(coding, first);
    for (size_t i = 0; i < (alone ? group->sites : c->sites.sites); i++) {
        const size_t s = alone ? group->site[i] : i;
        if (!mc_collects_site(c, s) || !mc_known_has(c->known, &c->sites.site[s])) continue;
        if ((mc_collect_places(collector, s) == 1) != alone) continue;
        if (mc_known_shares(c->known, &c->sites.site[first], &c->sites.site[s])) site[sites++] = s;
    }
    const unsigned wants = wants_block(coding, NULL, site, sites);
    return wants ? take_numbers(coding, site, sites, wants, err) : MC_OK;
}

static mc_status code_known(mc_coding *coding, const mc_collector *collector, mc_arena mem,
                            mc_err *err)
{
    const mc_calibration *c = coding->calibration;
    for (int several = 0; several < 2; several++)
        for (size_t s = 0; s < c->sites.sites; s++) {
            if (!mc_collects_site(c, s) || waiting_entry(coding, s) == SIZE_MAX) continue;
            if ((mc_collect_places(collector, s) > 1) != (several == 1)) continue;
            if (!mc_known_has(c->known, &c->sites.site[s]))
                MC_TRY(code_without(coding, s, "the statistics have no block of it", err));
            else
                MC_TRY(take_known(coding, collector, s, mem, err));
        }
    return MC_OK;
}

mc_status mc_code_float(mc_coding *coding, mc_err *err)
{
    const mc_calibration *c = coding->calibration;
    mc_collector *collector;
    mc_region room;
    MC_TRY(code_rowless(coding, err));
    mc_checkpoint_begin(coding->checkpoint);
    MC_TRY(mc_region_open(&room, c->sites.sites * sizeof(size_t) + 4096, err));
    mc_status status = mc_collect_open(c, coding->pool, &collector, err);
    if (status == MC_OK)
        status = c->data ? code_walking(coding, collector, err)
                         : code_known(coding, collector, room.arena, err);
    mc_collect_close(collector);
    mc_region_close(&room);
    return status;
}
