/* Opening executors and runs, and stepping through a pass. Plans are made in exec_plan.c, nodes run
 * in exec_node.c. */
#include "core/exec_impl.h"

#include "core/act.h"
#include "core/ckd.h"
#include "core/graph_walk.h"

#include <stdlib.h>
#include <unistd.h>

/* ---- executors ---- */

static size_t machine_memory(void)
{
    const long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    size_t bytes = 0;
    if (pages <= 0 || size <= 0 || !mc_mul_size((size_t)pages, (size_t)size, &bytes))
        bytes = (size_t)1 << 32;
    return bytes;
}

/* What this executor does to the i-th site's activation. */
static mc_status act_of(const mc_exec_options *o, size_t i, mc_act_spec *out, mc_err *err)
{
    const mc_site *site = &o->sites->site[i];
    *out = o->act ? o->act[i] : mc_act_dynamic(o->activation_bits);
    MC_TRY(mc_act_check(out, err));
    if (out->hadamard > 0 && site->kind != MC_SITE_LINEAR)
        return mc_fail(err, MC_E_UNSUPPORTED,
                       "its input is rotated online (products of matrices alone can be)");
    if (o->numerics == MC_NUMERICS_FLOAT)
        *out = (mc_act_spec){.mode = MC_ACT_FLOAT, .hadamard = out->hadamard};
    return MC_OK;
}

/* Of a node with two sites the activation is the same. */
static mc_status add_site(mc_exec *exec, size_t i, mc_err *err)
{
    mc_act_spec act;
    const mc_site *site = &exec->options.sites->site[i];
    mc_exec_site *to = &exec->site_of[site->node];
    if (site->kind == MC_SITE_EMBEDDING) return MC_OK;
    if (act_of(&exec->options, i, &act, err) != MC_OK) return mc_wrap(err, "site '%s'", site->name);
    if (to->site && !mc_act_same(&to->act, &act))
        return mc_fail(err, MC_E_USAGE, "site '%s': its two weights want different inputs",
                       site->name);
    *to = (mc_exec_site){site, act};
    return MC_OK;
}

static bool acts(const mc_exec_options *o)
{
    if (o->act) return true;
    return o->numerics != MC_NUMERICS_FLOAT && !(o->kv && o->activation_bits == 16);
}

static mc_status list_sites(mc_exec *exec, const mc_graph *graph, mc_err *err)
{
    const mc_exec_options *o = &exec->options;
    if (!o->act && (o->activation_bits < 2 || o->activation_bits > 8))
        return mc_fail(err, MC_E_UNSUPPORTED, "activations of %u bits (2 to 8 can be simulated)",
                       o->activation_bits);
    if (!o->sites) return mc_fail(err, MC_E_USAGE, "quantized activations without sites");
    exec->site_of = MC_NEW(&exec->region.arena, mc_exec_site, graph->nodes + 1);
    if (!exec->site_of) return mc_no_room(err, "sites");
    for (size_t i = 0; i < o->sites->sites; i++) MC_TRY(add_site(exec, i, err));
    return MC_OK;
}

static mc_status open_exec(mc_exec *exec, const mc_graph *graph, mc_err *err)
{
    const size_t sites = (graph->nodes + 1) * sizeof *exec->site_of + 64;
    MC_TRY(mc_region_open(&exec->region, mc_exec_plan_memory(graph, 0) + sites, err));
    MC_TRY(mc_heap_open(&exec->heap, machine_memory(), err));
    if (exec->options.kv) MC_TRY(mc_kv_check(exec->options.kv, err));
    if (acts(&exec->options)) MC_TRY(list_sites(exec, graph, err));
    return mc_exec_plan_make(exec, graph, NULL, &exec->root, err);
}

mc_status mc_exec_open(const mc_graph *graph, const mc_exec_options *options, mc_exec **out,
                       mc_err *err)
{
    *out = NULL;
    mc_exec *exec = calloc(1, sizeof *exec);
    if (!exec) return mc_no_room(err, "an executor");
    exec->options = *options;
    if (!exec->options.name) exec->options.name = "the model";
    if (open_exec(exec, graph, err) != MC_OK) {
        const mc_status status = mc_wrap(err, "%s", exec->options.name);
        mc_exec_close(exec);
        return status;
    }
    *out = exec;
    return MC_OK;
}

void mc_exec_close(mc_exec *exec)
{
    if (!exec) return;
    mc_heap_close(&exec->heap);
    mc_region_close(&exec->region);
    free(exec);
}

/* ---- runs ---- */

static mc_status open_run(mc_run *run, uint64_t room_bytes, mc_err *err)
{
    const size_t values = run->exec->root->graph->values;
    const uint64_t room = room_bytes > 0 ? room_bytes : machine_memory();
    MC_TRY(mc_region_open(&run->region, (values + 1) * sizeof(mc_slot) + 256, err));
    MC_TRY(mc_heap_open(&run->own, room < SIZE_MAX ? (size_t)room : SIZE_MAX, err));
    run->heap = &run->own;
    run->root.plan = run->exec->root;
    run->root.slot = MC_NEW(&run->region.arena, mc_slot, values);
    return run->root.slot ? MC_OK : mc_no_room(err, "the values of a run");
}

static const mc_kv_spec *simulated_cache(const mc_exec_options *o)
{
    return o->kv && o->numerics != MC_NUMERICS_FLOAT && mc_kv_rounds(o->kv) ? o->kv : NULL;
}

mc_status mc_run_open(const mc_exec *exec, uint64_t room_bytes, mc_run **out, mc_err *err)
{
    *out = NULL;
    mc_run *run = calloc(1, sizeof *run);
    if (!run) return mc_no_room(err, "a run");
    run->exec = exec;
    run->kv.spec = simulated_cache(&exec->options);
    if (open_run(run, room_bytes, err) != MC_OK) {
        const mc_status status = mc_wrap(err, "%s", exec->options.name);
        mc_run_close(run);
        return status;
    }
    *out = run;
    return MC_OK;
}

void mc_run_close(mc_run *run)
{
    if (!run) return;
    mc_heap_close(&run->own);
    mc_region_close(&run->region);
    free(run);
}

static mc_status check_input(const mc_value *value, const mc_nd *nd, mc_err *err)
{
    char text[MC_ND_TEXT];
    if (!nd) return mc_fail(err, MC_E_USAGE, "input '%s' is missing", value->name);
    if (nd->kind != MC_ND_TENSOR) return MC_OK;
    if (!mc_nd_shape_known(nd) || mc_nd_width(nd->dtype) == 0 || (nd->count > 0 && !nd->data))
        return mc_fail(err, MC_E_USAGE, "input '%s' is %s, which is no tensor with numbers",
                       value->name, mc_nd_show(nd, text));
    if (value->dtype != MC_DTYPE_NONE && value->dtype != nd->dtype)
        return mc_fail(err, MC_E_USAGE, "input '%s' is %s (%s is needed)", value->name,
                       mc_nd_show(nd, text), mc_dtype_about(value->dtype)->name);
    if (value->ndim >= 0 && value->ndim != nd->ndim)
        return mc_fail(err, MC_E_USAGE, "input '%s' is %s (%d dimensions are needed)", value->name,
                       mc_nd_show(nd, text), value->ndim);
    return MC_OK;
}

static void end_pass(mc_run *run)
{
    for (size_t v = 0; v < run->root.plan->graph->values; v++)
        mc_slot_clear(run->heap, &run->root.slot[v]);
    mc_slot_clear(run->heap, &run->applied);
    mc_run_drop_texts(run);
    run->kv = (mc_kv_use){.spec = run->kv.spec};
    run->begun = false;
    run->at = 0;
}

static mc_status set_inputs(mc_run *run, const mc_nd *const *input, size_t inputs, mc_err *err)
{
    const mc_graph *g = run->root.plan->graph;
    if (inputs != g->inputs)
        return mc_fail(err, MC_E_USAGE, "%zu inputs were given (%zu are needed)", inputs,
                       g->inputs);
    for (size_t i = 0; i < inputs; i++) {
        MC_TRY(check_input(&g->value[g->input[i]], input[i], err));
        run->root.slot[g->input[i]] = (mc_slot){.nd = *input[i], .there = true};
    }
    return MC_OK;
}

mc_status mc_run_begin(mc_run *run, const mc_nd *const *input, size_t inputs, mc_err *err)
{
    end_pass(run);
    if (set_inputs(run, input, inputs, err) != MC_OK)
        return mc_wrap(err, "%s", run->exec->options.name);
    run->begun = true;
    return MC_OK;
}

mc_status mc_run_step(mc_run *run, mc_id *node, mc_err *err)
{
    const mc_exec_plan *plan = run->root.plan;
    *node = MC_NONE;
    if (!run->begun) return mc_fail(err, MC_E_USAGE, "a step before the beginning of a pass");
    mc_slot_clear(run->heap, &run->applied);
    if (run->at > 0 && run->at <= plan->steps) mc_frame_release(run, &run->root, run->at - 1);
    if (run->at >= plan->steps) {
        run->at = plan->steps + 1; /* all was given back */
        return MC_OK;
    }
    const mc_step *step = &plan->step[run->at++];
    mc_job job = {.run = run, .frame = &run->root, .step = step, .most_bytes = UINT64_MAX};
    if (mc_exec_node(&job, err) != MC_OK) {
        run->begun = false;
        return mc_wrap(err, "%s", run->exec->options.name);
    }
    *node = step->node;
    return MC_OK;
}

mc_status mc_run_all(mc_run *run, const mc_nd *const *input, size_t inputs, mc_err *err)
{
    MC_TRY(mc_run_begin(run, input, inputs, err));
    mc_id node = 0;
    while (node != MC_NONE) MC_TRY(mc_run_step(run, &node, err));
    return MC_OK;
}

const mc_nd *mc_run_value(const mc_run *run, mc_id value)
{
    return mc_frame_value(&run->root, value);
}

mc_status mc_run_apply(mc_run *run, mc_id node, const mc_nd *const *in, size_t ins,
                       const mc_nd **out, mc_err *err)
{
    const mc_exec_plan *plan = run->root.plan;
    *out = NULL;
    mc_slot_clear(run->heap, &run->applied);
    const mc_id step = node < plan->graph->nodes ? plan->step_of[node] : MC_NONE;
    if (step == MC_NONE) {
        char text[MC_NODE_TEXT];
        return mc_fail(err, MC_E_USAGE,
                       "%s: %s: it depends on constants alone, or nothing needs it",
                       run->exec->options.name, mc_node_show(plan->graph, node, text));
    }
    mc_job job = {.run = run,
                  .frame = &run->root,
                  .step = &plan->step[step],
                  .given = in,
                  .givens = ins,
                  .only = &run->applied,
                  .most_bytes = UINT64_MAX};
    if (mc_exec_node(&job, err) != MC_OK) return mc_wrap(err, "%s", run->exec->options.name);
    *out = &run->applied.nd;
    return MC_OK;
}

const mc_kv_use *mc_run_kv(const mc_run *run)
{
    return &run->kv;
}

uint64_t mc_run_peak(const mc_run *run)
{
    return mc_heap_peak(&run->own);
}

/* ---- what cannot be run ---- */

static mc_id unknown(const mc_graph *g, const mc_graph **inside, int depth)
{
    for (size_t i = 0; i < g->nodes; i++) {
        const mc_node *node = &g->node[i];
        if (!mc_op_find(node->domain, node->op, node->version)) {
            *inside = g;
            return (mc_id)i;
        }
        mc_body_place place = {0};
        for (const mc_graph *body; (body = mc_node_next_body(node, &place));) {
            const mc_id found = depth < MC_GRAPH_DEPTH ? unknown(body, inside, depth + 1) : MC_NONE;
            if (found != MC_NONE) return found;
        }
    }
    return MC_NONE;
}

mc_id mc_graph_unknown(const mc_graph *graph, const mc_graph **inside)
{
    const mc_graph *found = NULL;
    const mc_id node = unknown(graph, &found, 0);
    if (inside) *inside = found;
    return node;
}
