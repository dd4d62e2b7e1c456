/* Planning: what can be known before any run. Backwards over the nodes: which are needed. Forwards:
 * which depend on constants alone, and are computed now, and which make a step. Then the last step
 * that uses each value. */
#include "core/exec_impl.h"

#include "core/graph_walk.h"

/* Constants of up to this many bytes are kept whatever the limit is. */
enum { SMALL_BYTES = 4096 };

size_t mc_exec_plan_memory(const mc_graph *graph, int depth)
{
    if (depth > MC_GRAPH_DEPTH) return 0;
    size_t bytes = sizeof(mc_exec_plan) + 64 * 128;
    bytes += graph->values * (sizeof(mc_slot) + sizeof(mc_lazy_tensor) + 128 + 32);
    bytes += graph->nodes * (sizeof(mc_step) + 32);
    for (size_t i = 0; i < graph->nodes; i++) {
        mc_body_place place = {0};
        for (const mc_graph *body; (body = mc_node_next_body(&graph->node[i], &place));)
            bytes += 2 * sizeof body + 256 + mc_exec_plan_memory(body, depth + 1);
    }
    return bytes;
}

/* ---- what is needed ---- */

static bool is_needed(const mc_exec_plan *p, const mc_node *node)
{
    for (size_t i = 0; i < node->outs; i++) {
        if (node->out[i] != MC_NONE && p->left[node->out[i]] > 0) return true;
    }
    return false;
}

/* Adds `by` to the uses of everything that a node takes. */
static void count_uses(mc_exec_plan *p, const mc_node *node, uint32_t by)
{
    for (size_t i = 0; i < node->ins; i++) {
        if (node->in[i] != MC_NONE) p->left[node->in[i]] += by;
    }
    mc_body_place place = {0};
    for (const mc_graph *body; (body = mc_node_next_body(node, &place));) {
        for (size_t v = 0; v < body->values; v++) {
            if (body->value[v].outer != MC_NONE) p->left[body->value[v].outer] += by;
        }
    }
}

/* Nodes are in order, so one pass from the end knows of every user before the node it uses. */
static void find_needed(mc_exec_plan *p)
{
    const mc_graph *g = p->graph;
    for (size_t i = 0; i < g->outputs; i++) p->left[g->output[i]]++;
    for (size_t i = g->nodes; i-- > 0;) {
        const bool needed = is_needed(p, &g->node[i]);
        p->step_of[i] = needed ? 0 : MC_NONE;
        if (needed) count_uses(p, &g->node[i], 1);
    }
}

/* ---- constants ---- */

static mc_status mark_constants(mc_exec *exec, mc_exec_plan *p, mc_err *err)
{
    for (size_t v = 0; v < p->graph->values; v++) {
        const mc_value *value = &p->graph->value[v];
        if (value->outer != MC_NONE) p->constant[v] = p->outer->constant[value->outer];
        if (!value->constant) continue;
        p->constant[v] = 1;
        if (p->left[v] == 0) continue;
        mc_slot *slot = &p->base[v];
        MC_TRY(mc_exec_describe(value->constant, &slot->nd, err));
        slot->there = mc_exec_view(exec, value->constant, &slot->nd);
    }
    return MC_OK;
}

static uint64_t room_left(const mc_exec *exec)
{
    const uint64_t limit = exec->options.cache_bytes, used = mc_heap_used(&exec->heap);
    const uint64_t room = limit > used ? limit - used : 0;
    return room > SMALL_BYTES ? room : SMALL_BYTES;
}

static bool depends_on_constants(const mc_exec_plan *p, const mc_node *node)
{
    for (size_t i = 0; i < node->ins; i++) {
        if (node->in[i] != MC_NONE && !p->constant[node->in[i]]) return false;
    }
    mc_body_place place = {0};
    for (const mc_graph *body; (body = mc_node_next_body(node, &place));) {
        for (size_t v = 0; v < body->values; v++) {
            const mc_id outer = body->value[v].outer;
            if (outer != MC_NONE && !p->constant[outer]) return false;
        }
    }
    return true;
}

static void clear_unused(mc_exec *exec, mc_exec_plan *p, mc_id value)
{
    if (value != MC_NONE && p->left[value] == 0) mc_slot_clear(&exec->heap, &p->base[value]);
}

/* A node's outputs have joined the constants: what only it used is not needed any more. */
static void leave_constants(mc_exec *exec, mc_exec_plan *p, const mc_node *node)
{
    for (size_t i = 0; i < node->outs; i++) {
        if (node->out[i] != MC_NONE) p->constant[node->out[i]] = 1;
        clear_unused(exec, p, node->out[i]);
    }
    count_uses(p, node, UINT32_MAX); /* one less of each */
    for (size_t i = 0; i < node->ins; i++) clear_unused(exec, p, node->in[i]);
    mc_body_place place = {0};
    for (const mc_graph *body; (body = mc_node_next_body(node, &place));) {
        for (size_t v = 0; v < body->values; v++) clear_unused(exec, p, body->value[v].outer);
    }
}

/* Computes a node's outputs into `base`. *done is false when they are too large to be kept, or in a
 * subgraph cannot be computed: it may never run. */
static mc_status compute(mc_exec *exec, mc_exec_plan *p, const mc_step *step, bool *done,
                         mc_err *err)
{
    mc_run run = {.exec = exec, .heap = &exec->heap};
    mc_job job = {.run = &run, .frame = &p->frame, .step = step, .most_bytes = room_left(exec)};
    if (exec->options.cache_bytes == UINT64_MAX) job.most_bytes = UINT64_MAX;
    mc_err inner = {0};
    const mc_status status = mc_exec_node(&job, p->outer ? &inner : err);
    *done = status == MC_OK && !job.too_much;
    if (status != MC_OK) return p->outer ? MC_OK : status;
    if (*done) leave_constants(exec, p, &p->graph->node[step->node]);
    return MC_OK;
}

/* ---- steps ---- */

static mc_status plan_bodies(mc_exec *exec, mc_exec_plan *p, mc_step *step, mc_err *err)
{
    const mc_node *node = &p->graph->node[step->node];
    mc_body_place place = {0};
    size_t n = 0;
    while (mc_node_next_body(node, &place)) n++;
    if (n == 0) return MC_OK;
    step->body = MC_NEW(&exec->region.arena, mc_exec_plan *, n);
    if (!step->body) return mc_no_room(err, "plans of subgraphs");
    place = (mc_body_place){0};
    for (const mc_graph *body; (body = mc_node_next_body(node, &place));) {
        mc_exec_plan *plan;
        MC_TRY(mc_exec_plan_make(exec, body, p, &plan, err));
        step->body[step->bodies++] = plan;
    }
    return MC_OK;
}

static bool is_random(const mc_step *step)
{
    bool random = (step->op->flags & MC_OP_RANDOM) != 0;
    for (size_t i = 0; i < step->bodies; i++) random = random || step->body[i]->random;
    return random;
}

static mc_status prepare_step(mc_exec *exec, mc_exec_plan *p, mc_step *step, mc_err *err)
{
    const mc_node *node = &p->graph->node[step->node];
    step->op = mc_op_find(node->domain, node->op, node->version);
    const mc_status status =
        step->op ? plan_bodies(exec, p, step, err)
                 : mc_fail(err, MC_E_UNSUPPORTED,
                           "this operator is not known, so the model cannot be run");
    if (status == MC_OK) return MC_OK;
    char text[MC_NODE_TEXT];
    return mc_wrap(err, "%s", mc_node_show(p->graph, step->node, text));
}

static mc_status plan_node(mc_exec *exec, mc_exec_plan *p, mc_id index, mc_err *err)
{
    mc_step step = {.node = index};
    MC_TRY(prepare_step(exec, p, &step, err));
    const bool random = is_random(&step);
    p->random = p->random || random;
    p->step_of[index] = MC_NONE;
    bool done = false;
    if (!random && depends_on_constants(p, &p->graph->node[index]))
        MC_TRY(compute(exec, p, &step, &done, err));
    if (done) return MC_OK;
    p->step_of[index] = (mc_id)p->steps;
    p->step[p->steps++] = step;
    return MC_OK;
}

static mc_status plan_nodes(mc_exec *exec, mc_exec_plan *p, mc_err *err)
{
    for (size_t i = 0; i < p->graph->nodes; i++) {
        if (p->step_of[i] != MC_NONE) MC_TRY(plan_node(exec, p, (mc_id)i, err));
    }
    return MC_OK;
}

/* ---- constants that steps use ---- */

static bool is_output(const mc_graph *g, mc_id value)
{
    for (size_t i = 0; i < g->outputs; i++) {
        if (g->output[i] == value) return true;
    }
    return false;
}

static mc_status settle(mc_exec *exec, mc_exec_plan *p, mc_id value, mc_err *err)
{
    const mc_tensor *tensor = p->graph->value[value].constant;
    mc_slot *slot = &p->base[value];
    if (!tensor || p->left[value] == 0 || slot->there) return MC_OK;
    const uint64_t bytes = slot->nd.count * mc_nd_width(slot->nd.dtype);
    if (bytes <= room_left(exec) || is_output(p->graph, value))
        return mc_exec_load(exec, tensor, &exec->heap, slot, err);
    if (mc_nd_storage(tensor->dtype) != MC_F32) return MC_OK;

    mc_lazy_tensor *lazy = MC_NEW(&exec->region.arena, mc_lazy_tensor, 1);
    if (!lazy) return mc_no_room(err, "a constant");
    *lazy = (mc_lazy_tensor){.lazy.read = mc_exec_read_lazy, .exec = exec, .tensor = tensor};
    slot->nd.lazy = &lazy->lazy;
    slot->there = true;
    return MC_OK;
}

/* ---- last uses ---- */

static void last_used(const mc_exec_plan *p, mc_id *last, mc_id value, size_t step)
{
    if (value != MC_NONE && !p->constant[value]) last[value] = (mc_id)step;
}

static void find_last_uses(const mc_exec_plan *p, mc_id *last)
{
    const mc_graph *g = p->graph;
    for (size_t v = 0; v < g->values; v++) last[v] = MC_NONE;
    for (size_t s = 0; s < p->steps; s++) {
        const mc_node *node = &g->node[p->step[s].node];
        for (size_t i = 0; i < node->ins; i++) last_used(p, last, node->in[i], s);
        for (size_t i = 0; i < node->outs; i++) last_used(p, last, node->out[i], s);
        mc_body_place place = {0};
        for (const mc_graph *body; (body = mc_node_next_body(node, &place));) {
            for (size_t v = 0; v < body->values; v++) last_used(p, last, body->value[v].outer, s);
        }
    }
    for (size_t v = 0; v < g->values; v++) {
        if (g->value[v].producer == MC_NONE) last[v] = MC_NONE; /* not ours */
    }
    for (size_t i = 0; i < g->outputs; i++) last[g->output[i]] = MC_NONE;
}

static mc_status list_frees(mc_exec *exec, mc_exec_plan *p, mc_err *err)
{
    mc_arena *mem = &exec->region.arena;
    const size_t values = p->graph->values;
    mc_id *last = MC_NEW_RAW(mem, mc_id, values);
    uint32_t *first = MC_NEW(mem, uint32_t, p->steps + 2);
    p->free_list = MC_NEW_RAW(mem, mc_id, values);
    if (!last || !first || !p->free_list) return mc_no_room(err, "the last uses of values");
    find_last_uses(p, last);

    /* first[s + 2] counts, then first[s + 1] runs from where s begins to where it ends. */
    for (size_t v = 0; v < values; v++) {
        if (last[v] != MC_NONE && last[v] + 2 < p->steps + 2) first[last[v] + 2]++;
    }
    for (size_t s = 2; s < p->steps + 2; s++) first[s] += first[s - 1];
    for (size_t v = 0; v < values; v++) {
        if (last[v] != MC_NONE) p->free_list[first[last[v] + 1]++] = (mc_id)v;
    }
    p->free_first = first;
    return MC_OK;
}

/* ---- all of it ---- */

static mc_status open_plan(mc_exec *exec, mc_exec_plan *p, mc_err *err)
{
    mc_arena *mem = &exec->region.arena;
    const size_t values = p->graph->values, nodes = p->graph->nodes;
    p->base = MC_NEW(mem, mc_slot, values);
    p->constant = MC_NEW(mem, unsigned char, values);
    p->left = MC_NEW(mem, uint32_t, values);
    p->step = MC_NEW(mem, mc_step, nodes);
    p->step_of = MC_NEW(mem, mc_id, nodes);
    if (!p->base || !p->constant || !p->left || !p->step || !p->step_of)
        return mc_no_room(err, "the plan of the graph");
    p->frame = (mc_frame){.plan = p, .outer = p->outer ? &p->outer->frame : NULL, .slot = p->base};
    return MC_OK;
}

mc_status mc_exec_plan_make(mc_exec *exec, const mc_graph *graph, mc_exec_plan *outer,
                            mc_exec_plan **out, mc_err *err)
{
    mc_exec_plan *p = MC_NEW(&exec->region.arena, mc_exec_plan, 1);
    if (!p) return mc_no_room(err, "the plan of the graph");
    p->graph = graph;
    p->outer = outer;
    MC_TRY(open_plan(exec, p, err));
    find_needed(p);
    MC_TRY(mark_constants(exec, p, err));
    MC_TRY(plan_nodes(exec, p, err));
    for (size_t v = 0; v < graph->values; v++) MC_TRY(settle(exec, p, (mc_id)v, err));
    MC_TRY(list_frees(exec, p, err));
    *out = p;
    return MC_OK;
}
