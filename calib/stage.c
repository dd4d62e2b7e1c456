/* Cutting a graph into stages. Constants, and what depends on them alone, belong to every stage
 * that needs them; the executor computes them when it opens the stage. */
#include "calib/stage.h"

#include "core/graph_walk.h"
#include "core/op.h"

#include <string.h>

/* ---- what a node takes: inputs, and what its subgraphs capture ---- */

typedef void (*takes_fn)(void *self, mc_id value);

static void each_taken(const mc_node *node, takes_fn takes, void *self)
{
    for (size_t i = 0; i < node->ins; i++)
        if (node->in[i] != MC_NONE) takes(self, node->in[i]);
    mc_body_place place = {0};
    for (const mc_graph *body; (body = mc_node_next_body(node, &place));)
        for (size_t v = 0; v < body->values; v++)
            if (body->value[v].outer != MC_NONE) takes(self, body->value[v].outer);
}

typedef struct {
    const unsigned char *constant;
    bool all;
} all_constant;

static void takes_constant(void *self, mc_id value)
{
    all_constant *a = self;
    a->all &= a->constant[value] != 0;
}

static bool is_constant(const mc_stages *s, const mc_node *node)
{
    const mc_op *op = mc_op_find(node->domain, node->op, node->version);
    all_constant a = {s->constant, op && !(op->flags & MC_OP_RANDOM)};
    each_taken(node, takes_constant, &a);
    return a.all;
}

typedef struct {
    mc_id *last_use;
    mc_id node;
} use;

static void takes_last(void *self, mc_id value)
{
    const use *u = self;
    u->last_use[value] = u->node;
}

mc_status mc_stages_find(const mc_graph *graph, const mc_sites *sites,
                         const mc_input_groups *groups, mc_arena *mem, mc_stages *out, mc_err *err)
{
    *out = (mc_stages){.graph = graph,
                       .sites = sites,
                       .groups = groups,
                       .stages = groups->groups + 1,
                       .first = MC_NEW(mem, mc_id, groups->groups + 2),
                       .constant = MC_NEW(mem, unsigned char, graph->values + 1),
                       .last_use = MC_NEW(mem, mc_id, graph->values + 1)};
    if (!out->first || !out->constant || !out->last_use)
        return mc_no_room(err, "the stages of a graph");
    for (size_t g = 0; g < groups->groups; g++) out->first[g + 1] = groups->group[g].first;
    out->first[out->stages] = (mc_id)graph->nodes;

    for (size_t v = 0; v < graph->values; v++) {
        out->constant[v] = graph->value[v].constant != NULL;
        out->last_use[v] = MC_NONE;
    }
    for (mc_id n = 0; n < graph->nodes; n++) {
        const mc_node *node = &graph->node[n];
        use u = {out->last_use, n};
        each_taken(node, takes_last, &u);
        if (!is_constant(out, node)) continue;
        for (size_t i = 0; i < node->outs; i++)
            if (node->out[i] != MC_NONE) out->constant[node->out[i]] = 1;
    }
    return MC_OK;
}

/* ---- one of them ---- */

static bool made_by_constants(const mc_stages *s, const mc_node *node)
{
    for (size_t i = 0; i < node->outs; i++)
        if (node->out[i] != MC_NONE) return s->constant[node->out[i]] != 0;
    return false;
}

typedef struct {
    const mc_stages *stages;
    unsigned char *wanted; /* of each value */
    size_t wants;
} wanting;

static void takes_from_before(void *self, mc_id value)
{
    wanting *w = self;
    if (w->stages->constant[value] || w->wanted[value]) return;
    w->wanted[value] = 1;
    w->wants++;
}

/* Marks values that come from before the stage, and makes them its inputs. */
static mc_status set_inputs(const mc_stages *s, size_t stage, mc_arena *mem, mc_graph *g,
                            mc_err *err)
{
    const mc_id from = s->first[stage], to = s->first[stage + 1];
    unsigned char *wanted = MC_NEW(mem, unsigned char, g->values + 1);
    if (!wanted) return mc_no_room(err, "a stage");
    wanting w = {.stages = s, .wanted = wanted};
    for (mc_id n = from; n < to; n++)
        if (!made_by_constants(s, &s->graph->node[n]))
            each_taken(&s->graph->node[n], takes_from_before, &w);
    for (mc_id n = from; n < to; n++)
        for (size_t i = 0; i < s->graph->node[n].outs; i++) {
            const mc_id out = s->graph->node[n].out[i];
            if (out != MC_NONE && wanted[out]) wanted[out] = 0, w.wants--;
        }
    g->input = MC_NEW(mem, mc_id, w.wants + 1);
    if (!g->input) return mc_no_room(err, "a stage");
    g->inputs = 0;
    for (mc_id v = 0; v < g->values; v++)
        if (wanted[v]) g->input[g->inputs++] = v;
    g->input_room = g->inputs;
    return MC_OK;
}

static bool lives_on(const mc_stages *s, mc_id value, mc_id end)
{
    return value != MC_NONE && s->last_use[value] != MC_NONE && s->last_use[value] >= end &&
           !s->constant[value];
}

/* The input of the group behind the stage when it is a constant, which lives on in no other way. */
static mc_id constant_input(const mc_stages *s, size_t stage)
{
    if (stage >= s->groups->groups) return MC_NONE;
    const mc_id value = s->groups->group[stage].value;
    return s->constant[value] ? value : MC_NONE;
}

static mc_status set_outputs(const mc_stages *s, size_t stage, mc_arena *mem, mc_graph *g,
                             mc_err *err)
{
    const mc_id from = s->first[stage], to = s->first[stage + 1];
    const mc_id constant = constant_input(s, stage);
    size_t n = 0;
    for (int fill = 0; fill < 2; fill++) {
        if (fill) g->output = MC_NEW(mem, mc_id, n + 1);
        if (fill && !g->output) return mc_no_room(err, "a stage");
        n = 0;
        for (mc_id node = from; node < to; node++)
            for (size_t i = 0; i < s->graph->node[node].outs; i++) {
                const mc_id out = s->graph->node[node].out[i];
                if (!lives_on(s, out, to)) continue;
                if (fill) g->output[n] = out;
                n++;
            }
        if (constant == MC_NONE) continue;
        if (fill) g->output[n] = constant;
        n++;
    }
    g->outputs = g->output_room = n;
    return MC_OK;
}

/* Copies the nodes that the stage may need: its own, and those before it that make constants.
 * now_at[n - from] is where node n went. */
static mc_status set_nodes(const mc_stages *s, size_t stage, mc_id *now_at, mc_graph *g)
{
    const mc_id from = s->first[stage], to = s->first[stage + 1];
    g->nodes = 0;
    for (mc_id n = 0; n < to; n++) {
        const mc_node *node = &s->graph->node[n];
        if (n >= from) now_at[n - from] = (mc_id)g->nodes;
        if (n < from && !made_by_constants(s, node)) continue;
        for (size_t i = 0; i < node->outs; i++)
            if (node->out[i] != MC_NONE) g->value[node->out[i]].producer = (mc_id)g->nodes;
        g->node[g->nodes++] = *node;
    }
    g->node_room = g->nodes;
    return MC_OK;
}

static mc_status set_sites(const mc_stages *s, size_t stage, const mc_id *now_at, mc_arena *mem,
                           mc_stage_graph *out, mc_err *err)
{
    const mc_id from = s->first[stage], to = s->first[stage + 1];
    uint32_t *site_of = MC_NEW(mem, uint32_t, s->sites->sites + 1);
    out->sites.site = MC_NEW(mem, mc_site, s->sites->sites + 1);
    if (!site_of || !out->sites.site) return mc_no_room(err, "a stage");
    for (size_t i = 0; i < s->sites->sites; i++) {
        const mc_site *site = &s->sites->site[i];
        if (site->node < from || site->node >= to) continue;
        site_of[out->sites.sites] = (uint32_t)i;
        out->sites.site[out->sites.sites] = *site;
        out->sites.site[out->sites.sites++].node = now_at[site->node - from];
    }
    out->site_of = site_of;
    return MC_OK;
}

mc_status mc_stage_cut(const mc_stages *s, size_t stage, mc_arena *mem, mc_stage_graph *out,
                       mc_err *err)
{
    const mc_graph *all = s->graph;
    *out = (mc_stage_graph){.graph = MC_NEW(mem, mc_graph, 1)};
    if (!out->graph) return mc_no_room(err, "a stage");
    mc_graph *g = out->graph;
    *g = *all;
    g->mem = NULL;
    g->value = MC_NEW_RAW(mem, mc_value, all->values + 1);
    g->node = MC_NEW_RAW(mem, mc_node, (size_t)s->first[stage + 1] + 1);
    mc_id *now_at = MC_NEW(mem, mc_id, s->first[stage + 1] - s->first[stage] + 1);
    if (!g->value || !g->node || !now_at) return mc_no_room(err, "a stage");
    memcpy(g->value, all->value, all->values * sizeof *all->value);
    g->value_room = g->values;
    for (size_t v = 0; v < g->values; v++) g->value[v].producer = MC_NONE;

    MC_TRY(set_nodes(s, stage, now_at, g));
    MC_TRY(set_inputs(s, stage, mem, g, err));
    MC_TRY(set_outputs(s, stage, mem, g, err));
    return set_sites(s, stage, now_at, mem, out, err);
}

size_t mc_stage_cut_memory(const mc_stages *s)
{
    const mc_graph *g = s->graph;
    return g->values * (sizeof(mc_value) + 2 * sizeof(mc_id) + 1) +
           g->nodes * (sizeof(mc_node) + 2 * sizeof(mc_id)) +
           s->sites->sites * (sizeof(mc_site) + sizeof(uint32_t)) + 64 * 64;
}
