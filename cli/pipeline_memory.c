/* Estimates, mapped pages included: activations from inferred shapes, weights of a stage as the
 * executor keeps them, and of a group its moments, what methods make of them, and the weight. */
#include "cli/pipeline_memory.h"

#include "calib/outer.h"
#include "cli/pipeline_budget.h"
#include "quant/compensate.h"

enum {
    PROGRAM = 40 << 20, /* code, libraries and their buffers, tables */
    SAMPLE = 16 << 20,  /* operators' scratch of a thread */
};

/* ---- shapes ---- */

typedef struct {
    const mc_calibration *c;
    mc_nd *value; /* of each of the graph's */
} shapes;

static uint64_t bytes_of(const shapes *s, mc_id value)
{
    const mc_nd *nd = &s->value[value];
    if (s->c->stages.constant[value] || nd->dtype == MC_STRING || !mc_nd_shape_known(nd)) return 0;
    return (uint64_t)nd->count * mc_nd_width(nd->dtype);
}

static mc_status infer(const mc_calibration *c, mc_arena *mem, shapes *out, mc_err *err)
{
    const mc_graph *g = c->graph;
    mc_nd *input = MC_NEW(mem, mc_nd, g->inputs + 1);
    *out = (shapes){c, MC_NEW(mem, mc_nd, g->values + 1)};
    if (!input || !out->value) return mc_no_room(err, "shapes");
    MC_TRY(mc_dataset_sample(c->data, 0, mem, input, err));
    for (size_t i = 0; i < g->inputs; i++) input[i].data = NULL;
    return mc_graph_infer(g, input, out->value, mem, err);
}

/* ---- a stage ---- */

/* Values that wait when stage `s` begins, and those that it makes for later ones. */
static uint64_t waiting(const shapes *sh, size_t s, uint64_t *largest)
{
    const mc_stages *st = &sh->c->stages;
    const mc_graph *g = st->graph;
    const mc_id begin = st->first[s], end = st->first[s + 1];
    uint64_t all = 0;
    for (mc_id v = 0; v < g->values; v++) {
        const mc_id maker = g->value[v].producer;
        const bool input = maker == MC_NONE;
        if (st->last_use[v] == MC_NONE || st->last_use[v] < begin) continue;
        if (!input && maker >= end) continue;
        if (!input && maker >= begin && st->last_use[v] < end)
            continue; /* never leaves the stage */
        const uint64_t bytes = bytes_of(sh, v);
        if (bytes > *largest) *largest = bytes;
        all += bytes;
    }
    return all;
}

/* Values of a sample, at most all at once; weights, decoded. */
static uint64_t running(const shapes *sh, size_t s, unsigned threads)
{
    const mc_stages *st = &sh->c->stages;
    const mc_graph *g = st->graph;
    uint64_t values = SAMPLE, weights = 0;
    for (mc_id n = st->first[s]; n < st->first[s + 1]; n++) {
        for (size_t i = 0; i < g->node[n].outs; i++)
            if (g->node[n].out[i] != MC_NONE) values += bytes_of(sh, g->node[n].out[i]);
        for (size_t i = 0; i < g->node[n].ins; i++) {
            const mc_id v = g->node[n].in[i];
            if (v == MC_NONE || !st->constant[v] || !mc_nd_shape_known(&sh->value[v])) continue;
            weights += (uint64_t)sh->value[v].count * mc_nd_width(sh->value[v].dtype);
        }
    }
    return values * threads + weights;
}

static void most(uint64_t *of, uint64_t value)
{
    if (value > *of) *of = value;
}

static void add_groups(const shapes *sh, mc_memory_walk *out)
{
    const mc_calibration *c = sh->c;
    for (size_t g = 0; g < c->groups.groups; g++) {
        const mc_input_group *group = &c->groups.group[g];
        const uint64_t input = bytes_of(sh, group->value) * c->samples;
        most(&out->input, input);
        for (size_t i = 0; i < group->sites; i++) {
            const mc_id to = mc_code_added_to(c, &c->sites.site[group->site[i]]);
            if (to != MC_NONE) most(&out->residual, input + 2 * bytes_of(sh, to) * c->samples);
        }
    }
}

mc_status mc_memory_of_walk(const mc_calibration *c, unsigned streams, unsigned threads,
                            mc_memory_walk *out, mc_err *err)
{
    mc_region room;
    shapes sh;
    *out = (mc_memory_walk){0};
    MC_TRY(mc_region_open(&room, ((size_t)4 << 30) + c->graph->values * sizeof(mc_nd), err));
    const mc_status status = infer(c, &room.arena, &sh, err);
    for (size_t s = 0; status == MC_OK && s + 1 < c->stages.stages; s++) {
        most(&out->streams, waiting(&sh, s, &out->sample) * c->samples * streams);
        most(&out->stage, running(&sh, s, threads));
    }
    if (status == MC_OK) add_groups(&sh, out);
    mc_region_close(&room);
    return status;
}

/* ---- a group ---- */

static size_t columns_of(const mc_calibration *c, size_t site, size_t *groups)
{
    const mc_site *s = &c->sites.site[site];
    const mc_tensor *t = s->weight;
    *groups = 1;
    if (t->ndim < 2 || c->groups.of_site[site] == MC_NONE || s->part ||
        mc_site_rows_refuses(c->graph, s))
        return 0;
    const size_t out = (size_t)t->dim[s->transposed ? t->ndim - 1 : 0];
    if (s->kind == MC_SITE_CONV)
        *groups = (size_t)mc_node_int(&c->graph->node[s->node], "group", 1);
    return out ? (size_t)(t->count / out) : 0;
}

static uint64_t finite(size_t bytes)
{
    return bytes == SIZE_MAX ? UINT64_MAX / 4 : bytes;
}

static uint64_t moments_of(size_t n, size_t groups, unsigned kinds)
{
    return finite(mc_moments_bytes(n, groups, kinds)) +
           finite(mc_moments_scratch(n, groups, kinds));
}

/* Moments, what the method and the correction make of them, and the weight with its edits. */
static uint64_t coding(const mc_plan *plan, const mc_calibration *c, size_t site, size_t entry)
{
    size_t groups;
    const size_t n = columns_of(c, site, &groups);
    const mc_quant_setup *setup = plan->entry[entry].setup;
    const unsigned wants = mc_chain_wants(&plan->chain);
    const uint64_t count = plan->entry[entry].tensor->count;
    uint64_t bytes = count * (2 * sizeof(float) + 2) + mc_edits_scratch(plan->entry[entry].tensor);
    if (!n) return bytes;
    unsigned kinds = wants & (MC_QUANT_GRAM | MC_QUANT_CROSS) ? MC_MOMENTS_GRAM : 0;
    if (plan->sequential && (wants & MC_QUANT_CROSS)) kinds |= MC_MOMENTS_CROSS;
    bytes += moments_of(n, groups, kinds) + mc_quant_ready_bytes(setup, n);
    if (!plan->chain.correct[MC_CORRECTION_compensate]) return bytes;
    return bytes + mc_compensate_prepare_bytes(n) + count * sizeof(double);
}

static mc_status largest_coding(const mc_plan *plan, const mc_calibration *c, uint64_t *out,
                                mc_err *err)
{
    mc_region room;
    MC_TRY(mc_region_open(&room, (plan->entries + 1) * sizeof(size_t) + 4096, err));
    size_t *place = MC_NEW(&room.arena, size_t, plan->entries + 1); /* of each of the tensors */
    for (size_t e = 0; place && e < plan->entries; e++)
        place[plan->entry[e].tensor - plan->model->tensor] = e;
    for (size_t s = 0; place && s < c->sites.sites; s++) {
        const mc_tensor *t = mc_model_find(plan->model, c->sites.site[s].weight->name);
        const size_t e = t ? place[t - plan->model->tensor] : SIZE_MAX;
        if (t && plan->entry[e].setup) most(out, coding(plan, c, s, e));
    }
    mc_region_close(&room);
    return place ? MC_OK : mc_no_room(err, "an estimate");
}

/* ---- decisions ---- */

typedef struct {
    uint64_t streams, kept; /* all of it in memory; what stays there when it waits in files */
    uint64_t rest, limit;
} sums;

/* Do activations wait in files? And what is then needed in all. */
static uint64_t settle(const sums *s, bool *spills)
{
    *spills = s->limit ? s->streams + s->rest > s->limit : s->streams > MC_MEMORY_STREAMS;
    return s->rest + (*spills ? s->kept : s->streams);
}

/* Pages that are read or written before the next time that they are given back. */
static uint64_t in_passing(const mc_memory_walk *walk, unsigned threads)
{
    return walk->sample * threads * 8;
}

mc_status mc_memory_of_quantize(mc_plan *plan, const mc_calibration *c, unsigned threads,
                                mc_err *err)
{
    mc_memory_walk walk = {0};
    if (!plan->calibrated || !c->graph) return MC_OK;
    const bool two = plan->sequential && (mc_chain_wants(&plan->chain) & MC_QUANT_CROSS) != 0;
    const bool rounds = plan->container.numerics.activation_bits < 16;
    if (c->data) MC_TRY(mc_memory_of_walk(c, two ? 2 : 1, threads, &walk, err));
    uint64_t group = 0;
    MC_TRY(largest_coding(plan, c, &group, err));
    most(&group, walk.stage);
    const bool compensates = plan->chain.correct[MC_CORRECTION_compensate];
    const sums s = {.streams = walk.streams + (rounds ? walk.input * (two ? 2 : 1) : 0),
                    .kept = (two && compensates ? walk.residual : 0) + in_passing(&walk, threads),
                    .rest = PROGRAM + group + (uint64_t)threads * mc_plan_scratch_bytes(plan),
                    .limit = plan->options->memory_limit};
    most(&plan->memory_bytes, settle(&s, &plan->spills));
    return MC_OK;
}

mc_status mc_memory_of_calibrate(mc_calibration *c, const mc_options *o, mc_pool *pool, mc_err *err)
{
    mc_memory_walk walk;
    const unsigned threads = mc_pool_threads(pool);
    MC_TRY(mc_memory_of_walk(c, 1, threads, &walk, err));
    uint64_t group = 0;
    for (size_t s = 0; s < c->sites.sites; s++) {
        size_t groups;
        const size_t n = columns_of(c, s, &groups);
        const unsigned kinds = o->no_gram ? 0 : MC_MOMENTS_GRAM;
        /* … and once more, packed, to be written */
        if (n)
            most(&group,
                 moments_of(n, groups, kinds) + finite(mc_moments_bytes(n, groups, kinds)) / 2);
    }
    most(&group, walk.stage);
    const sums all = {.streams = walk.streams,
                      .kept = in_passing(&walk, threads),
                      .rest = PROGRAM + group,
                      .limit = o->memory_limit};
    return mc_check_memory_limit(o, o->arg[0], settle(&all, &c->spills), threads, err);
}

size_t mc_memory_scratch(const mc_model *model)
{
    size_t longest = 0;
    for (size_t t = 0; t < model->tensors; t++)
        for (int d = 0; d < model->tensor[t].ndim; d++)
            if (model->tensor[t].dim[d] > longest) longest = (size_t)model->tensor[t].dim[d];
    return mc_outer_scratch(longest) + ((size_t)1 << 30);
}
