/* The order of coding: what meets no activation first, then group by group along the walk, each
 * weight for the inputs that the weights before it give. */
#include "cli/pipeline_code.h"

#include "cli/pipeline_act.h"
#include "cli/pipeline_checkpoint.h"
#include "calib/outer.h"
#include "core/clock.h"
#include "quant/compensate.h"

#include <string.h>

bool mc_code_needed(const mc_plan *plan)
{
    const bool acts = plan->act_asymmetric || plan->act_power_of_two; /* each site must say so */
    return plan->calibrated || plan->chain.transforms > 0 || acts;
}

/* The longest rows of inputs, of which chunks are multiplied, and an activation to be rotated. */
size_t mc_code_scratch_bytes(const mc_plan *plan)
{
    size_t most = 0;
    for (size_t e = 0; e < plan->entries; e++)
        if (plan->weight[e].cols > most) most = (size_t)plan->weight[e].cols;
    const size_t correcting = mc_compensate_scratch(1024, most);
    return mc_outer_scratch(most) + correcting + ((size_t)1 << 30);
}

/* ---- which weights ---- */

static bool has_rows(const mc_coding *coding, size_t entry)
{
    const mc_calibration *c = coding->calibration;
    const char *name = coding->plan->entry[entry].tensor->name;
    for (size_t s = 0; s < c->sites.sites; s++)
        if (c->groups.of_site[s] != MC_NONE && strcmp(c->sites.site[s].weight->name, name) == 0)
            return true;
    return false;
}

/* Embeddings and whatever else meets no activation that is collected. */
static mc_status code_others(mc_coding *coding, bool all, mc_err *err)
{
    const mc_plan *plan = coding->plan;
    for (size_t e = 0; e < plan->entries; e++) {
        if (!plan->entry[e].setup || coding->made->entry[e].coded) continue;
        if (!all && has_rows(coding, e)) continue;
        const mc_weight_input input = {.entry = e, .why_none = "it meets no activation"};
        MC_TRY(mc_code_weight(coding, &input, err));
    }
    mc_made_release(coding->made);
    return MC_OK;
}

/* ---- a group ---- */

unsigned mc_code_wants(const mc_coding *coding, size_t entry)
{
    const mc_plan *plan = coding->plan;
    unsigned wants = plan->entry[entry].setup->method->wants;
    if (plan->chain.correct[MC_CORRECTION_bias]) wants |= MC_QUANT_SQUARES;
    for (size_t i = 0; i < MC_CORRECTION_COUNT; i++)
        if (plan->chain.correct[i]) wants |= mc_correction_at(i)->wants;
    return wants;
}

/* All that weights of the group want, so that they share one collection. */
static unsigned group_wants(const mc_coding *coding, const mc_input_group *group)
{
    unsigned wants = 0;
    for (size_t i = 0; i < group->sites; i++) {
        const mc_site *site = &coding->calibration->sites.site[group->site[i]];
        const size_t e = mc_made_find(coding->made, site->weight);
        if (e != SIZE_MAX && coding->plan->entry[e].setup) wants |= mc_code_wants(coding, e);
    }
    return wants;
}

static mc_status code_site(mc_coding *coding, mc_group_inputs *inputs, size_t site, unsigned wants,
                           mc_err *err)
{
    const mc_site *s = &coding->calibration->sites.site[site];
    const size_t e = mc_made_find(coding->made, s->weight);
    if (e == SIZE_MAX || !coding->plan->entry[e].setup || coding->made->entry[e].coded)
        return MC_OK;
    mc_weight_input input = {.entry = e, .site = s};
    if (s->part) {
        input.why_none = "it is a stack of matrices that meet inputs of their own";
    } else if (wants) {
        const double *before = inputs->moments.square;
        const double start = mc_seconds();
        MC_TRY(mc_group_moments(coding, inputs, site, wants, &input.moments, &input.why_none, err));
        if (inputs->moments.square != before) mc_prepared_drop(&coding->prepared);
        if (wants & MC_QUANT_CROSS)
            MC_TRY(mc_group_residual(coding, inputs, site, &input.residual, err));
        coding->made->seconds.moments += mc_seconds() - start;
    }
    return mc_code_weight(coding, &input, err);
}

static mc_status code_group(mc_coding *coding, mc_walk *walk, const mc_input_group *group,
                            mc_err *err)
{
    mc_group_inputs inputs;
    const size_t step = (size_t)(group - coding->calibration->groups.group);
    bool done;
    MC_TRY(mc_checkpoint_resume(coding->checkpoint, step, &done, err));
    if (done) return MC_OK;
    const unsigned wants = group_wants(coding, group);
    MC_TRY(mc_act_choose(coding, walk, group, NULL, err));
    mc_status status = mc_group_inputs_open(coding, walk, group, &inputs, err);
    for (size_t i = 0; status == MC_OK && i < group->sites; i++)
        status = code_site(coding, &inputs, group->site[i], wants, err);
    mc_prepared_drop(&coding->prepared);
    mc_group_inputs_close(&inputs);
    if (status == MC_OK) status = mc_checkpoint_save(coding->checkpoint, step, err);
    mc_made_release(coding->made);
    return status;
}

/* ---- the walk ---- */

static mc_status walk_through(mc_coding *coding, mc_err *err)
{
    const mc_calibration *c = coding->calibration;
    const mc_plan *plan = coding->plan;
    const mc_weights *now = &coding->made->weights, *before = mc_edits_weights(coding->made->edits);
    mc_progress *progress = mc_progress_open(c->samples * c->stages.stages, "calibrating");
    const mc_walk_options options = {
        .name = c->model->path,
        .stages = &c->stages,
        .data = c->data,
        .samples = c->samples,
        .weights = {now, before},
        .two = (mc_chain_wants(&plan->chain) & MC_QUANT_CROSS) != 0,
        .act = coding->made->act,
        .cache_bytes = UINT64_MAX,
        .spills = plan->spills,
        .pool = coding->pool,
        .meter = mc_progress_meter(progress),
    };
    mc_walk *walk;
    mc_status status = mc_walk_open(&options, &walk, err);
    const mc_input_group *group = NULL;
    do {
        const double start = mc_seconds();
        if (status == MC_OK) status = mc_walk_next(walk, &group, err);
        coding->made->seconds.forward += mc_seconds() - start;
        if (status == MC_OK && group) status = code_group(coding, walk, group, err);
    } while (status == MC_OK && group);
    mc_walk_close(walk);
    mc_progress_close(progress);
    return status;
}

static mc_status code(mc_coding *coding, mc_err *err)
{
    const mc_plan *plan = coding->plan;
    MC_TRY(mc_code_transforms(coding, err));
    MC_TRY(mc_act_open(coding, err));
    MC_TRY(code_others(coding, false, err));
    mc_checkpoint_begin(coding->checkpoint);
    if (plan->calibrated)
        MC_TRY(plan->sequential ? walk_through(coding, err) : mc_code_float(coding, err));
    MC_TRY(code_others(coding, true, err));
    return mc_made_load_kept(coding->made, err);
}

mc_status mc_pipeline_code(const mc_plan *plan, mc_calibration *calibration, mc_pool *pool,
                           mc_made *made, mc_err *err)
{
    mc_coding coding = {.plan = plan, .made = made, .pool = pool, .calibration = calibration};
    MC_TRY(mc_checkpoint_open(plan, calibration, made, &coding.checkpoint, err));
    const mc_status status = code(&coding, err);
    mc_prepared_drop(&coding.prepared);
    mc_checkpoint_close(coding.checkpoint);
    return status;
}
