/* What operators ask of the executor while they run: room for outputs whose size only they know,
 * and runs of the node's subgraphs. */
#include "core/exec_impl.h"

#include <string.h>

/* Outputs of one run of a subgraph. */
struct mc_kept {
    mc_kept *next;
    mc_block block; /* where this lies */
    size_t outs;
    mc_slot out[];
};

/* ---- make ---- */

static mc_slot *slot_of(const mc_exec_host *h, const mc_nd *t)
{
    for (size_t i = 0; i < h->call->outs; i++) {
        if (h->call->out[i] == t) return (mc_slot *)(void *)h->call->out[i];
    }
    return NULL;
}

static mc_status make(mc_host *host, mc_nd *t, mc_err *err)
{
    const mc_exec_host *h = (const mc_exec_host *)(const void *)host;
    mc_heap *heap = h->job->run->heap;
    mc_slot *slot = slot_of(h, t);
    if (!slot) return mc_fail(err, MC_E_INTERNAL, "room was asked for what is no output");
    mc_heap_give(heap, slot->block);
    slot->block = 0;
    if (t->kind != MC_ND_TENSOR) {
        const mc_nd from = *t;
        MC_TRY(mc_slot_copy(heap, &from, slot, err));
        slot->there = false; /* not before the node is done */
        return MC_OK;
    }
    char text[MC_ND_TEXT];
    if (!mc_nd_shape_known(t) || mc_nd_width(t->dtype) == 0)
        return mc_fail(err, MC_E_UNSUPPORTED, "an output of %s", mc_nd_show(t, text));
    slot->block = mc_heap_take(heap, t->count * mc_nd_width(t->dtype));
    if (!slot->block)
        return mc_fail(err, MC_E_BUDGET, "no room for an output of %s", mc_nd_show(t, text));
    t->data = mc_heap_at(heap, slot->block);
    return MC_OK;
}

/* ---- subgraphs ---- */

static const mc_exec_plan *plan_of(const mc_step *step, const mc_graph *body)
{
    for (size_t i = 0; i < step->bodies; i++) {
        if (step->body[i]->graph == body) return step->body[i];
    }
    return NULL;
}

static mc_status set_inputs(mc_frame *frame, const mc_nd *const *in, size_t ins, mc_err *err)
{
    const mc_graph *g = frame->plan->graph;
    if (ins != g->inputs)
        return mc_fail(err, MC_E_FORMAT, "the subgraph has %zu inputs (%zu are needed)", g->inputs,
                       ins);
    for (size_t i = 0; i < ins; i++) {
        mc_slot *slot = &frame->slot[g->input[i]];
        slot->nd = *in[i];
        slot->there = true;
    }
    return MC_OK;
}

static mc_status run_steps(mc_run *run, mc_frame *frame, mc_err *err)
{
    for (size_t s = 0; s < frame->plan->steps; s++) {
        mc_job job = {
            .run = run, .frame = frame, .step = &frame->plan->step[s], .most_bytes = UINT64_MAX};
        MC_TRY(mc_exec_node(&job, err));
        mc_frame_release(run, frame, s);
    }
    return MC_OK;
}

/* Moves an output out of the frame, or copies it when it is an input, a constant, taken from
 * outside, or was moved as another output before (then it lies where that is now). */
static mc_status keep_output(mc_run *run, mc_frame *frame, mc_id value, mc_slot *to, mc_err *err)
{
    mc_slot *slot = &frame->slot[value];
    const mc_nd *nd = mc_frame_value(frame, value);
    const mc_tensor *tensor = mc_frame_constant(frame, value);
    if (tensor && (!nd || !nd->data)) return mc_exec_load(run->exec, tensor, run->heap, to, err);
    if (!nd) return mc_fail(err, MC_E_INTERNAL, "an output of a subgraph is not there");
    if (!slot->block) return mc_slot_copy(run->heap, nd, to, err);
    *to = *slot;
    slot->block = 0;
    return MC_OK;
}

static mc_status keep_outputs(mc_exec_host *h, mc_frame *frame, const mc_nd **out, size_t outs,
                              mc_err *err)
{
    mc_run *run = h->job->run;
    const mc_graph *g = frame->plan->graph;
    if (outs != g->outputs)
        return mc_fail(err, MC_E_FORMAT, "the subgraph has %zu outputs (%zu are needed)",
                       g->outputs, outs);
    const size_t bytes = sizeof(mc_kept) + outs * sizeof(mc_slot);
    const mc_block block = mc_heap_take(run->heap, bytes);
    if (!block) return mc_no_room(err, "outputs of a subgraph");
    mc_kept *kept = mc_heap_at(run->heap, block);
    memset(kept, 0, bytes);
    *kept = (mc_kept){.next = h->kept, .block = block, .outs = outs};
    h->kept = kept;
    for (size_t i = 0; i < outs; i++) {
        MC_TRY(keep_output(run, frame, g->output[i], &kept->out[i], err));
        out[i] = &kept->out[i].nd;
    }
    return MC_OK;
}

static mc_status run_body(mc_host *host, const mc_graph *body, const mc_nd *const *in, size_t ins,
                          const mc_nd **out, size_t outs, mc_err *err)
{
    mc_exec_host *h = (mc_exec_host *)(void *)host;
    mc_run *run = h->job->run;
    const mc_exec_plan *plan = plan_of(h->job->step, body);
    if (!plan) return mc_fail(err, MC_E_INTERNAL, "a subgraph of another node");
    const size_t bytes = (body->values > 0 ? body->values : 1) * sizeof(mc_slot);
    const mc_block block = mc_heap_take(run->heap, bytes);
    if (!block) return mc_no_room(err, "values of a subgraph");

    mc_frame frame = {.plan = plan, .outer = h->job->frame, .slot = mc_heap_at(run->heap, block)};
    memset(frame.slot, 0, bytes);
    mc_status status = set_inputs(&frame, in, ins, err);
    if (status == MC_OK) status = run_steps(run, &frame, err);
    if (status == MC_OK) status = keep_outputs(h, &frame, out, outs, err);
    for (size_t i = 0; i < body->values; i++) mc_slot_clear(run->heap, &frame.slot[i]);
    mc_heap_give(run->heap, block);
    return status;
}

static void drop(mc_host *host, const mc_nd *t)
{
    const mc_exec_host *h = (const mc_exec_host *)(const void *)host;
    mc_slot_clear(h->job->run->heap, (mc_slot *)(void *)(uintptr_t)t);
}

/* ---- strings ---- */

/* Before the characters of a block. */
typedef struct {
    mc_block before;
    char at[];
} text_block;

/* Strings are copied from tensor to tensor without their characters, so nobody knows before the
 * end of the pass who still points to them. */
static char *text_room(mc_host *host, size_t bytes)
{
    mc_run *run = ((mc_exec_host *)(void *)host)->job->run;
    if (bytes > SIZE_MAX - sizeof(text_block)) return NULL;
    const mc_block block = mc_heap_take(run->heap, sizeof(text_block) + bytes);
    if (!block) return NULL;
    text_block *text = mc_heap_at(run->heap, block);
    text->before = run->texts;
    run->texts = block;
    return text->at;
}

void mc_run_drop_texts(mc_run *run)
{
    while (run->texts) {
        const mc_block block = run->texts;
        run->texts = ((const text_block *)mc_heap_at(run->heap, block))->before;
        mc_heap_give(run->heap, block);
    }
}

mc_exec_host mc_exec_host_for(mc_job *job)
{
    return (mc_exec_host){.host = {.make = make, .run = run_body, .drop = drop, .text = text_room},
                          .job = job};
}

void mc_exec_host_close(mc_exec_host *host)
{
    mc_heap *heap = host->job->run->heap;
    while (host->kept) {
        mc_kept *kept = host->kept;
        host->kept = kept->next;
        for (size_t i = 0; i < kept->outs; i++) mc_slot_clear(heap, &kept->out[i]);
        mc_heap_give(heap, kept->block);
    }
}
