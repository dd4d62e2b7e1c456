/* Stages run one after the other, samples side by side. What a stage takes is in the carry already;
 * what later stages take is put there. */
#include "calib/walk.h"

#include "core/kernels.h"

#include <math.h>
#include <string.h>

typedef struct {
    const mc_weights *weights;
    mc_carry carry;
} flow;

struct mc_walk {
    mc_walk_options options;
    flow stream[MC_WALK_STREAMS];
    unsigned streams;
    size_t next;                 /* the stage that comes next */
    const mc_input_group *group; /* whose input is there now */
    mc_region memory;            /* lists */
    mc_region room;              /* of the stage that is run */
};

mc_status mc_walk_open(const mc_walk_options *options, mc_walk **out, mc_err *err)
{
    const mc_graph *graph = options->stages->graph;
    mc_region memory;
    *out = NULL;
    const size_t lists = graph->values * MC_WALK_STREAMS * 2 * sizeof(void *);
    MC_TRY(mc_region_open(&memory, sizeof(mc_walk) + lists + ((size_t)1 << 16), err));
    mc_walk *walk = MC_NEW(&memory.arena, mc_walk, 1);
    mc_status status = walk ? MC_OK : mc_no_room(err, "a walk");
    if (status == MC_OK) {
        walk->options = *options;
        walk->streams = options->two ? 2 : 1;
    }
    for (unsigned s = 0; status == MC_OK && s < walk->streams; s++) {
        walk->stream[s].weights = options->weights[s];
        status = mc_carry_open(&walk->stream[s].carry, options->samples, graph->values,
                               options->spills, &memory.arena, err);
    }
    if (status != MC_OK) {
        mc_region_close(&memory);
        return status;
    }
    walk->memory = memory;
    *out = walk;
    return MC_OK;
}

void mc_walk_close(mc_walk *walk)
{
    if (!walk) return;
    for (unsigned s = 0; s < walk->streams; s++) mc_carry_close(&walk->stream[s].carry);
    mc_region_close(&walk->room);
    mc_region memory = walk->memory; /* the walk lies in it */
    mc_region_close(&memory);
}

/* ---- the samples themselves ---- */

typedef struct {
    mc_walk *walk;
    mc_region *room; /* of each thread */
    mc_lend lend;
} feeding;

static mc_status feed(void *job, size_t sample, mc_arena scratch, mc_err *err)
{
    (void)scratch;
    feeding *f = job;
    const mc_graph *g = f->walk->options.stages->graph;
    const size_t lent = mc_lend_take(&f->lend);
    mc_arena mem = f->room[lent].arena;
    mc_nd *input = MC_NEW(&mem, mc_nd, g->inputs + 1);
    mc_status status = input ? MC_OK : mc_no_room(err, "a sample");
    if (status == MC_OK)
        status = mc_dataset_sample(f->walk->options.data, sample, &mem, input, err);
    for (unsigned s = 0; s < f->walk->streams; s++)
        for (size_t i = 0; status == MC_OK && i < g->inputs; i++)
            status = mc_carry_put(&f->walk->stream[s].carry, g->input[i], sample, &input[i], err);
    mc_lend_give(&f->lend, lent);
    return status;
}

/* Of a sample's inputs: address space, of which little is used. */
static const size_t sample_room = (size_t)4 << 30;

static mc_status feed_all(mc_walk *walk, mc_err *err)
{
    const mc_graph *g = walk->options.stages->graph;
    const unsigned threads = mc_pool_threads(walk->options.pool);
    feeding f = {.walk = walk};
    mc_arena mem = walk->memory.arena;
    for (unsigned s = 0; s < walk->streams; s++)
        for (size_t i = 0; i < g->inputs; i++)
            MC_TRY(mc_carry_add(&walk->stream[s].carry, g->input[i], err));
    f.room = MC_NEW(&mem, mc_region, threads);
    if (!f.room) return mc_no_room(err, "samples");
    MC_TRY(mc_lend_open(&f.lend, threads, &mem, err));
    mc_status status = MC_OK;
    for (unsigned t = 0; status == MC_OK && t < threads; t++)
        status = mc_region_open(&f.room[t], sample_room, err);
    if (status == MC_OK)
        status = mc_pool_for(walk->options.pool, walk->options.samples, feed, &f, err);
    for (unsigned t = 0; t < threads; t++) mc_region_close(&f.room[t]);
    return status;
}

/* ---- a stage ---- */

typedef struct {
    mc_walk *walk;
    flow *stream;
    const mc_stage_graph *stage;
    mc_exec *exec;
    mc_run **run; /* of each thread */
    mc_lend lend;
    const mc_nd **inputs; /* of each thread, one after the other, */
    mc_nd *input;         /* and what they point to */
} staging;

/* Constants are the same for all samples, and kept once. */
static size_t slot_of(const mc_stages *stages, mc_id value, size_t sample)
{
    return stages->constant[value] ? 0 : sample;
}

static mc_status run_sample(staging *st, size_t lent, size_t sample, mc_err *err)
{
    const mc_graph *g = st->stage->graph;
    const mc_nd **inputs = st->inputs + lent * (g->inputs + 1);
    mc_nd *input = st->input + lent * (g->inputs + 1);
    for (size_t i = 0; i < g->inputs; i++) {
        input[i] = mc_carry_get(&st->stream->carry, g->input[i], sample);
        inputs[i] = &input[i];
    }
    mc_run *run = st->run[lent];
    MC_TRY(mc_run_all(run, inputs, g->inputs, err));
    const mc_stages *stages = st->walk->options.stages;
    for (size_t i = 0; i < g->outputs; i++) {
        if (sample != slot_of(stages, g->output[i], sample)) continue;
        const mc_nd *nd = mc_run_value(run, g->output[i]);
        if (!nd) return mc_fail(err, MC_E_INTERNAL, "a value of a stage is missing");
        if (mc_carry_put(&st->stream->carry, g->output[i], sample, nd, err) != MC_OK)
            return mc_wrap(err, "value '%s'", g->value[g->output[i]].name);
    }
    return MC_OK;
}

static mc_status run_piece(void *job, size_t sample, mc_arena scratch, mc_err *err)
{
    (void)scratch;
    staging *st = job;
    const size_t lent = mc_lend_take(&st->lend);
    const mc_status status = run_sample(st, lent, sample, err);
    mc_lend_give(&st->lend, lent);
    mc_carry_release(&st->stream->carry);
    if (status == MC_OK) mc_meter_add(st->walk->options.meter, 1);
    return status;
}

static mc_status open_staging(staging *st, const mc_exec_options *how, mc_arena *mem, mc_err *err)
{
    const unsigned threads = mc_pool_threads(st->walk->options.pool);
    const mc_graph *g = st->stage->graph;
    st->run = MC_NEW(mem, mc_run *, threads);
    st->input = MC_NEW(mem, mc_nd, threads * (g->inputs + 1));
    st->inputs = MC_NEW(mem, const mc_nd *, threads *(g->inputs + 1));
    if (!st->run || !st->input || !st->inputs) return mc_no_room(err, "a stage");
    MC_TRY(mc_lend_open(&st->lend, threads, mem, err));
    MC_TRY(mc_exec_open(g, how, &st->exec, err));
    for (unsigned t = 0; t < threads; t++) MC_TRY(mc_run_open(st->exec, 0, &st->run[t], err));
    for (size_t i = 0; i < g->outputs; i++)
        MC_TRY(mc_carry_add(&st->stream->carry, g->output[i], err));
    return MC_OK;
}

static void close_staging(staging *st)
{
    for (unsigned t = 0; st->run && t < mc_pool_threads(st->walk->options.pool); t++)
        if (st->run[t]) mc_run_close(st->run[t]);
    mc_exec_close(st->exec);
}

/* How activations are taken, site by site of the stage: the float stream's are not rounded, but
 * rotated where a site's input is. */
static mc_status fill_acts(const mc_walk *walk, const mc_stage_graph *stage, mc_arena *mem,
                           mc_exec_options *how, mc_err *err)
{
    if (!walk->options.act) return MC_OK;
    mc_act_spec *act = MC_NEW(mem, mc_act_spec, stage->sites.sites + 1);
    if (!act) return mc_no_room(err, "a stage");
    for (size_t i = 0; i < stage->sites.sites; i++) act[i] = walk->options.act[stage->site_of[i]];
    how->sites = &stage->sites;
    how->act = act;
    return MC_OK;
}

static mc_status run_stream(mc_walk *walk, unsigned s, const mc_stage_graph *stage, mc_arena mem,
                            mc_err *err)
{
    staging st = {.walk = walk, .stream = &walk->stream[s], .stage = stage};
    mc_exec_options how = {.name = walk->options.name,
                           .weights = walk->stream[s].weights,
                           .cache_bytes = walk->options.cache_bytes,
                           .numerics = s == MC_WALK_MAIN && walk->options.act
                                           ? MC_NUMERICS_FAKE_QUANT
                                           : MC_NUMERICS_FLOAT,
                           .activation_bits = 16};
    MC_TRY(fill_acts(walk, stage, &mem, &how, err));
    mc_status status = open_staging(&st, &how, &mem, err);
    if (status == MC_OK)
        status = mc_pool_for(walk->options.pool, walk->options.samples, run_piece, &st, err);
    close_staging(&st);
    return status;
}

/* What nobody takes behind this node is given back. */
static void drop_dead(mc_walk *walk, mc_id end)
{
    const mc_stages *stages = walk->options.stages;
    for (mc_id v = 0; v < stages->graph->values; v++) {
        if (stages->last_use[v] != MC_NONE && stages->last_use[v] >= end) continue;
        for (unsigned s = 0; s < walk->streams; s++) mc_carry_drop(&walk->stream[s].carry, v);
    }
}

static mc_status run_stage(mc_walk *walk, mc_err *err)
{
    const mc_stages *stages = walk->options.stages;
    mc_region_close(&walk->room);
    const size_t threads = mc_pool_threads(walk->options.pool);
    const size_t lists = (threads + 1) * (stages->graph->values + stages->sites->sites + 64) *
                         (sizeof(mc_nd) + sizeof(mc_act_spec) + 64);
    MC_TRY(mc_region_open(&walk->room, mc_stage_cut_memory(stages) + lists, err));
    mc_stage_graph stage;
    MC_TRY(mc_stage_cut(stages, walk->next, &walk->room.arena, &stage, err));
    for (unsigned s = 0; s < walk->streams; s++)
        MC_TRY(run_stream(walk, s, &stage, walk->room.arena, err));
    walk->next++;
    drop_dead(walk, stages->first[walk->next]);
    mc_walk_release(walk);
    return MC_OK;
}

/* ---- what came of it ---- */

static mc_status check_input(const mc_walk *walk, unsigned s, mc_err *err)
{
    for (size_t i = 0; i < walk->options.samples; i++) {
        const mc_nd x = mc_walk_input(walk, s, i);
        if (mc_nd_storage(x.dtype) != MC_F32) continue;
        const size_t bad = mc_first_not_finite(x.data, x.count);
        mc_carry_release(&walk->stream[s].carry);
        if (bad == x.count) continue;
        const mc_site *site = &walk->options.stages->sites->site[walk->group->site[0]];
        return mc_fail(err, MC_E_FORMAT,
                       "%s: input of site \"%s\" is not finite: element %zu of sample %zu is %s",
                       walk->options.name, site->name, bad, i,
                       isnan(((const float *)x.data)[bad])   ? "nan"
                       : ((const float *)x.data)[bad] < 0.0f ? "-inf"
                                                             : "inf");
    }
    return MC_OK;
}

mc_status mc_walk_next(mc_walk *walk, const mc_input_group **group, mc_err *err)
{
    const mc_stages *stages = walk->options.stages;
    *group = NULL;
    if (walk->next >= stages->stages) return MC_OK;
    if (walk->next + 1 == stages->stages && walk->next > 0) { /* nothing needs what comes last */
        walk->next++;
        return MC_OK;
    }
    if (walk->next == 0) MC_TRY(feed_all(walk, err));
    MC_TRY(run_stage(walk, err));
    if (walk->next >= stages->stages) return MC_OK; /* a model without sites */
    walk->group = &stages->groups->group[walk->next - 1];
    for (unsigned s = 0; s < walk->streams; s++) MC_TRY(check_input(walk, s, err));
    *group = walk->group;
    return MC_OK;
}

mc_nd mc_walk_input(const mc_walk *walk, unsigned stream, size_t sample)
{
    const mc_id value = walk->group->value;
    return mc_carry_get(&walk->stream[stream].carry, value,
                        slot_of(walk->options.stages, value, sample));
}

bool mc_walk_value(const mc_walk *walk, unsigned stream, mc_id value, size_t sample, mc_nd *out)
{
    if (!mc_carry_has(&walk->stream[stream].carry, value)) return false;
    *out = mc_carry_get(&walk->stream[stream].carry, value,
                        slot_of(walk->options.stages, value, sample));
    return true;
}

bool mc_walk_two(const mc_walk *walk)
{
    return walk->streams == MC_WALK_STREAMS;
}

bool mc_walk_spills(const mc_walk *walk)
{
    return walk->options.spills;
}

void mc_walk_release(const mc_walk *walk)
{
    for (unsigned s = 0; s < walk->streams; s++) mc_carry_release(&walk->stream[s].carry);
}

uint64_t mc_walk_bytes(const mc_walk *walk)
{
    uint64_t bytes = 0;
    for (unsigned s = 0; s < walk->streams; s++) bytes += mc_carry_bytes(&walk->stream[s].carry);
    return bytes;
}
