/* Running one node: its inputs are found and prepared, its outputs get their shapes and their
 * memory, the operator fills them. The one place where arithmetic of a graph happens. */
#include "core/exec_impl.h"

#include "core/act.h"
#include "core/poison.h"

#include <string.h>

enum { FIXED_SCRATCH = 4096, DEPTH_MOST = 64 };

/* ---- slots and frames ---- */

void mc_slot_clear(mc_heap *heap, mc_slot *slot)
{
    mc_heap_give(heap, slot->block);
    *slot = (mc_slot){0};
}

static size_t lines(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

/* Bytes of everything that a value points to, piece by piece; optionals hold sequences, which hold
 * tensors: that is how deep `depth` goes. */
static size_t copy_bytes(const mc_nd *nd, int depth)
{
    if (nd->kind == MC_ND_TENSOR) return lines(nd->count * mc_nd_width(nd->dtype));
    size_t bytes = lines(nd->items * sizeof *nd->item);
    for (size_t i = 0; i < nd->items && depth < 3; i++)
        bytes += copy_bytes(&nd->item[i], depth + 1);
    return bytes;
}

static unsigned char *copy_into(mc_nd *to, const mc_nd *from, unsigned char *at, int depth)
{
    *to = *from;
    to->lazy = NULL;
    if (from->kind == MC_ND_TENSOR) {
        const size_t bytes = from->count * mc_nd_width(from->dtype);
        to->data = at;
        if (bytes > 0) memcpy(at, from->data, bytes);
        return at + lines(bytes);
    }
    mc_nd *item = (mc_nd *)(void *)at;
    to->item = item;
    at += lines(from->items * sizeof *item);
    for (size_t i = 0; i < from->items && depth < 3; i++)
        at = copy_into(&item[i], &from->item[i], at, depth + 1);
    return at;
}

mc_status mc_slot_copy(mc_heap *heap, const mc_nd *from, mc_slot *to, mc_err *err)
{
    const mc_block block = mc_heap_take(heap, copy_bytes(from, 0));
    if (!block) return mc_no_room(err, "the copy of a value");
    (void)copy_into(&to->nd, from, mc_heap_at(heap, block), 0);
    to->block = block;
    to->there = true;
    return MC_OK;
}

const mc_nd *mc_frame_value(const mc_frame *frame, mc_id value)
{
    while (frame && value < frame->plan->graph->values) {
        const mc_slot *slot = &frame->slot[value], *base = &frame->plan->base[value];
        if (slot->there) return &slot->nd;
        if (base->there) return &base->nd;
        value = frame->plan->graph->value[value].outer;
        frame = frame->outer;
    }
    return NULL;
}

void mc_frame_release(mc_run *run, mc_frame *frame, size_t step)
{
    const mc_exec_plan *p = frame->plan;
    for (uint32_t i = p->free_first[step]; i < p->free_first[step + 1]; i++)
        mc_slot_clear(run->heap, &frame->slot[p->free_list[i]]);
}

/* ---- a node at work ---- */

typedef struct {
    mc_job *job;
    mc_heap *heap;
    const mc_graph *graph;
    const mc_node *node;
    const mc_op *op;
    mc_block lists; /* memory of the three below */
    const mc_nd **in;
    mc_slot *own;   /* inputs that were decoded or replaced for this node alone */
    mc_slot **slot; /* of outputs; NULL: not wanted */
    mc_nd **out;
    mc_block scratch;
    mc_call call;
} work;

static mc_status open_lists(work *w, mc_err *err)
{
    const size_t ins = w->node->ins, outs = w->node->outs;
    const size_t bytes =
        ins * (sizeof *w->in + sizeof *w->own) + outs * (sizeof *w->slot + sizeof *w->out);
    w->lists = mc_heap_take(w->heap, bytes);
    if (!w->lists) return mc_no_room(err, "a node");
    unsigned char *at = mc_heap_at(w->heap, w->lists);
    memset(at, 0, bytes);
    w->own = (mc_slot *)(void *)at;
    w->in = (const mc_nd **)(void *)(at + ins * sizeof *w->own);
    w->slot = (mc_slot **)(void *)(w->in + ins);
    w->out = (mc_nd **)(void *)(w->slot + outs);
    return MC_OK;
}

static void close_work(work *w)
{
    if (w->lists) {
        for (size_t i = 0; i < w->node->ins; i++) mc_slot_clear(w->heap, &w->own[i]);
    }
    mc_heap_give(w->heap, w->lists);
    mc_heap_give(w->heap, w->scratch);
}

/* ---- inputs ---- */

const mc_tensor *mc_frame_constant(const mc_frame *frame, mc_id value)
{
    for (; frame && value < frame->plan->graph->values; frame = frame->outer) {
        const mc_value *v = &frame->plan->graph->value[value];
        if (v->constant) return v->constant;
        value = v->outer;
    }
    return NULL;
}

static bool takes_lazy(const mc_op *op, size_t input)
{
    return (input == 1 && (op->flags & MC_OP_LAZY)) || (input == 0 && (op->flags & MC_OP_LAZY_0));
}

/* A value that nothing has computed in this pass: mc_run_apply asks for nodes that depend on
 * constants alone, but are too large to be kept. */
static mc_status compute_input(work *w, size_t i, mc_err *err)
{
    const mc_id value = w->node->in[i];
    const mc_exec_plan *plan = w->job->frame->plan;
    const mc_id producer = plan->graph->value[value].producer;
    const mc_id step = producer < plan->graph->nodes ? plan->step_of[producer] : MC_NONE;
    if (step == MC_NONE || w->job->depth >= DEPTH_MOST)
        return mc_fail(err, MC_E_USAGE, "input %zu, '%s', is not there", i,
                       plan->graph->value[value].name);
    const mc_id *out = plan->graph->node[producer].out;
    mc_job job = {.run = w->job->run,
                  .frame = w->job->frame,
                  .step = &plan->step[step],
                  .only = &w->own[i],
                  .most_bytes = UINT64_MAX,
                  .depth = w->job->depth + 1};
    while (out[job.only_out] != value) job.only_out++;
    MC_TRY(mc_exec_node(&job, err));
    w->in[i] = &w->own[i].nd;
    return MC_OK;
}

static mc_status find_input(work *w, size_t i, mc_err *err)
{
    mc_job *job = w->job;
    const mc_id value = w->node->in[i];
    if (job->given && i < job->givens && job->given[i]) {
        w->in[i] = job->given[i];
        return MC_OK;
    }
    if (value == MC_NONE) return MC_OK;

    const mc_nd *nd = mc_frame_value(job->frame, value);
    if (nd && (nd->kind != MC_ND_TENSOR || nd->data || takes_lazy(w->op, i))) {
        w->in[i] = nd;
        return MC_OK;
    }
    const mc_tensor *tensor = mc_frame_constant(job->frame, value);
    if (!tensor) return compute_input(w, i, err);
    MC_TRY(mc_exec_load(job->run->exec, tensor, w->heap, &w->own[i], err));
    w->in[i] = &w->own[i].nd;
    return MC_OK;
}

mc_status mc_exec_check_inputs(const mc_op *op, const mc_node *node, const mc_nd *const *in,
                               mc_err *err)
{
    if (op->most_in >= 0 && node->ins > (size_t)op->most_in)
        return mc_fail(err, MC_E_FORMAT, "it has %zu inputs (at most %d are allowed)", node->ins,
                       op->most_in);
    if (op->most_out >= 0 && node->outs > (size_t)op->most_out)
        return mc_fail(err, MC_E_FORMAT, "it has %zu outputs (at most %d are allowed)", node->outs,
                       op->most_out);
    for (size_t i = 0; i < (size_t)op->least_in; i++) {
        if (i >= node->ins || !in[i]) return mc_fail(err, MC_E_FORMAT, "input %zu is missing", i);
    }
    for (size_t i = 0; i < node->ins && !(op->flags & MC_OP_KINDS); i++) {
        if (!in[i] || in[i]->kind == MC_ND_TENSOR) continue;
        char text[MC_ND_TEXT];
        return mc_fail(err, MC_E_FORMAT, "input %zu is %s, not a tensor", i,
                       mc_nd_show(in[i], text));
    }
    return MC_OK;
}

static mc_status prepare_inputs(work *w, mc_err *err)
{
    for (size_t i = 0; i < w->node->ins; i++) MC_TRY(find_input(w, i, err));
    return mc_exec_check_inputs(w->op, w->node, w->in, err);
}

/* ---- outputs ---- */

/* The first output is always made, the others when somebody takes them. */
static mc_slot *wanted_slot(const work *w, size_t i)
{
    const mc_job *job = w->job;
    const mc_id value = w->node->out[i];
    if (job->only) return i == job->only_out ? job->only : NULL;
    const bool wanted = value != MC_NONE && (i == 0 || job->frame->plan->left[value] > 0);
    return wanted ? &job->frame->slot[value] : NULL;
}

static void open_outputs(work *w)
{
    for (size_t i = 0; i < w->node->outs; i++) {
        w->slot[i] = wanted_slot(w, i);
        if (!w->slot[i]) continue;
        mc_slot_clear(w->heap, w->slot[i]);
        w->slot[i]->nd.ndim = MC_RANK_UNKNOWN;
        w->out[i] = &w->slot[i]->nd;
    }
}

static bool takes_twice(const mc_node *node)
{
    for (size_t i = 1; i < node->ins; i++) {
        if (node->in[i] == node->in[0]) return true;
    }
    return false;
}

/* The slot of in[0] when its memory may become out[0]'s: this is its last use and it is ours. */
static mc_slot *reusable(const work *w)
{
    const mc_job *job = w->job;
    if (!(w->op->flags & MC_OP_IN_PLACE) || job->run->exec->options.keep_inputs || job->given ||
        job->only || w->node->ins == 0 || takes_twice(w->node))
        return NULL;
    const mc_exec_plan *plan = job->frame->plan;
    if (!plan->free_first) return NULL; /* constants are being computed */
    mc_slot *slot = &job->frame->slot[w->node->in[0]];
    if (w->in[0] != &slot->nd || !slot->block) return NULL;
    const size_t s = (size_t)(job->step - plan->step);
    for (uint32_t i = plan->free_first[s]; i < plan->free_first[s + 1]; i++) {
        if (plan->free_list[i] == w->node->in[0]) return slot;
    }
    return NULL;
}

static size_t tensor_bytes(const mc_nd *t)
{
    return t->count * mc_nd_width(t->dtype);
}

static mc_status no_memory(const mc_nd *t, size_t i, mc_err *err)
{
    char text[MC_ND_TEXT];
    return mc_fail(err, MC_E_BUDGET, "no room for output %zu, %s", i, mc_nd_show(t, text));
}

static mc_status make_output(work *w, size_t i, mc_err *err)
{
    mc_slot *slot = w->slot[i];
    const size_t bytes = tensor_bytes(&slot->nd);
    mc_slot *from = i == 0 ? reusable(w) : NULL;
    if (from && tensor_bytes(&from->nd) == bytes) {
        slot->block = from->block;
        from->block = 0; /* in[0] still points to the numbers, and is gone for everybody else */
        from->there = false;
    } else {
        slot->block = mc_heap_take(w->heap, bytes);
        if (!slot->block) return no_memory(&slot->nd, i, err);
    }
    slot->nd.data = mc_heap_at(w->heap, slot->block);
    return MC_OK;
}

static mc_status check_output(const work *w, size_t i, mc_err *err)
{
    const mc_nd *t = w->out[i];
    char text[MC_ND_TEXT];
    if (t->dtype != MC_DTYPE_NONE && mc_nd_width(t->dtype) == 0)
        return mc_fail(err, MC_E_UNSUPPORTED, "output %zu is %s, which cannot be computed with", i,
                       mc_nd_show(t, text));
    if (!(w->op->flags & MC_OP_SIZES) && !mc_nd_shape_known(t))
        return mc_fail(err, MC_E_FORMAT,
                       "the shape of output %zu, %s, does not follow from its inputs", i,
                       mc_nd_show(t, text));
    return MC_OK;
}

/* What a `shape` leaves behind it as data lay in its loan. */
static mc_status shape_outputs(work *w, mc_err *err)
{
    _Alignas(64) unsigned char room[FIXED_SCRATCH];
    w->call.scratch = (mc_arena){room, room + sizeof room};
    const mc_status status = w->op->shape(&w->call, err);
    mc_unpoison(room, sizeof room);
    MC_TRY(status);

    uint64_t bytes = 0;
    for (size_t i = 0; i < w->node->outs; i++) {
        if (!w->out[i]) continue;
        w->out[i]->data = NULL;
        MC_TRY(check_output(w, i, err));
        bytes += tensor_bytes(w->out[i]);
    }
    w->job->too_much = bytes > w->job->most_bytes;
    return MC_OK;
}

/* ---- running ---- */

/* What an operator says it takes, and the lines that are lost to alignment (with AddressSanitizer
 * also those between allocations). */
static mc_status open_scratch(work *w, size_t asked, mc_err *err)
{
#ifdef MC_WITH_ASAN
    enum { STRETCH = 2 };
#else
    enum { STRETCH = 1 };
#endif
    if (asked > SIZE_MAX / STRETCH - 2 * FIXED_SCRATCH) return mc_no_room(err, "scratch memory");
    const size_t bytes = asked > 0 ? STRETCH * asked + FIXED_SCRATCH : 0;
    w->call.scratch = (mc_arena){NULL, NULL};
    if (bytes == 0) return MC_OK;
    w->scratch = mc_heap_take(w->heap, bytes);
    if (!w->scratch) return mc_fail(err, MC_E_BUDGET, "no room for %zu bytes of scratch", bytes);
    unsigned char *at = mc_heap_at(w->heap, w->scratch);
    w->call.scratch = (mc_arena){at, at + bytes};
    return MC_OK;
}

/* ---- sites whose activations are quantized ---- */

/* The node's site, when this executor does something to its activation. */
static const mc_exec_site *acting_site(const work *w)
{
    const mc_exec *exec = w->job->run->exec;
    if (!exec->site_of || w->job->frame->plan != exec->root) return NULL;
    const mc_exec_site *s = &exec->site_of[w->job->step->node];
    return s->site && (s->act.mode != MC_ACT_FLOAT || s->act.hadamard > 0) ? s : NULL;
}

static mc_status check_activation(const mc_exec_site *s, const mc_nd *x, const mc_act_shape *shape,
                                  mc_err *err)
{
    char text[MC_ND_TEXT];
    if (s->act.scales > 1 && s->act.scales != shape->channels)
        return mc_fail(err, MC_E_MISMATCH, "%lu scales for an input of %s",
                       (unsigned long)s->act.scales, mc_nd_show(x, text));
    if (s->act.hadamard > 0 && mc_nd_storage(x->dtype) != MC_F32)
        return mc_fail(err, MC_E_UNSUPPORTED, "an input of %s cannot be rotated",
                       mc_nd_show(x, text));
    return MC_OK;
}

static mc_status rotate_activation(work *w, const mc_exec_site *s, const mc_act_shape *shape,
                                   float *x, mc_err *err)
{
    const size_t bytes = mc_act_rotate_scratch(s->act.hadamard, shape->channels);
    const mc_block block = mc_heap_take(w->heap, bytes);
    if (!block) return mc_no_room(err, "a rotation");
    unsigned char *at = mc_heap_at(w->heap, block);
    const mc_status status = mc_act_rotate(&s->act, shape, x, (mc_arena){at, at + bytes}, err);
    mc_heap_give(w->heap, block);
    return status;
}

/* Replaces the activation by a rotated, or by a rounded copy. */
static mc_status replace_activation(work *w, const mc_exec_site *s, bool rotate, mc_err *err)
{
    mc_act_shape shape;
    const size_t i = s->site->activation_input;
    const mc_nd *x = i < w->node->ins ? w->in[i] : NULL;
    if (!x || !mc_act_shape_of(s->site->kind, x, &shape)) return MC_OK;
    MC_TRY(check_activation(s, x, &shape, err));
    if (mc_nd_storage(x->dtype) != MC_F32) return MC_OK;
    if (x != &w->own[i].nd) MC_TRY(mc_slot_copy(w->heap, x, &w->own[i], err));
    w->in[i] = &w->own[i].nd;
    if (rotate) return rotate_activation(w, s, &shape, w->own[i].nd.data, err);
    mc_act_round(&s->act, &shape, w->own[i].nd.data);
    return MC_OK;
}

/* The bias as integers would have it. */
static mc_status round_bias(work *w, const mc_act_site *act, mc_err *err)
{
    enum { BIAS = 2 };
    if (!mc_act_bias_rounds(act, &w->call)) return MC_OK;
    mc_slot copy = {0};
    MC_TRY(mc_slot_copy(w->heap, w->in[BIAS], &copy, err));
    const mc_status status = mc_act_round_bias(act, &w->call, copy.nd.data, err);
    mc_slot_clear(w->heap, &w->own[BIAS]);
    w->own[BIAS] = copy;
    w->in[BIAS] = &w->own[BIAS].nd;
    return status;
}

/* True when the node was run in integers. */
static mc_status run_site(work *w, bool *done, mc_err *err)
{
    const mc_exec *exec = w->job->run->exec;
    const mc_exec_site *s = acting_site(w);
    *done = false;
    if (!s) return MC_OK;
    if (s->act.hadamard > 0) MC_TRY(replace_activation(w, s, true, err));
    if (s->act.mode == MC_ACT_FLOAT) return MC_OK;
    const mc_act_site act = {s->site, exec->options.weights, &s->act};
    if (exec->options.numerics != MC_NUMERICS_INTEGER || !mc_act_integer_fits(&act, &w->call)) {
        MC_TRY(round_bias(w, &act, err));
        return replace_activation(w, s, false, err);
    }
    *done = true;
    MC_TRY(open_scratch(w, mc_act_integer_scratch(&act, &w->call), err));
    return mc_act_integer_run(&act, &w->call, err);
}

static mc_status run_operator(work *w, mc_err *err)
{
    bool done;
    MC_TRY(run_site(w, &done, err));
    if (done) return MC_OK;
    MC_TRY(open_scratch(w, w->op->scratch ? w->op->scratch(&w->call) : 0, err));
    mc_exec_host host = mc_exec_host_for(w->job);
    host.call = &w->call;
    w->call.host = &host.host;
    const mc_status status = w->op->run(&w->call, err);
    mc_exec_host_close(&host);
    return status;
}

static mc_status finish_outputs(work *w, mc_err *err)
{
    const bool rounds = !(w->op->flags & MC_OP_MOVES);
    for (size_t i = 0; i < w->node->outs; i++) {
        if (!w->out[i]) continue;
        if (!w->slot[i]->block) return mc_fail(err, MC_E_INTERNAL, "output %zu was not made", i);
        if (rounds && w->out[i]->kind == MC_ND_TENSOR) mc_nd_round(w->out[i]);
        w->slot[i]->there = true;
    }
    return MC_OK;
}

static mc_status work_on(work *w, mc_err *err)
{
    MC_TRY(open_lists(w, err));
    MC_TRY(prepare_inputs(w, err));
    open_outputs(w);
    w->call = (mc_call){.node = w->node,
                        .version = w->node->version,
                        .in = w->in,
                        .ins = w->node->ins,
                        .out = w->out,
                        .outs = w->node->outs,
                        .kv = w->job->run->kv.spec ? &w->job->run->kv : NULL};
    MC_TRY(shape_outputs(w, err));
    if (w->job->too_much) return MC_OK;
    for (size_t i = 0; i < w->node->outs && !(w->op->flags & MC_OP_SIZES); i++) {
        if (w->out[i]) MC_TRY(make_output(w, i, err));
    }
    MC_TRY(run_operator(w, err));
    return finish_outputs(w, err);
}

static void drop_outputs(work *w)
{
    for (size_t i = 0; w->lists && i < w->node->outs; i++) {
        if (w->slot[i]) mc_slot_clear(w->heap, w->slot[i]);
    }
}

mc_status mc_exec_node(mc_job *job, mc_err *err)
{
    const mc_graph *graph = job->frame->plan->graph;
    work w = {.job = job,
              .heap = job->run->heap,
              .graph = graph,
              .node = &graph->node[job->step->node],
              .op = job->step->op};
    const mc_status status = work_on(&w, err);
    if (status != MC_OK || job->too_much) drop_outputs(&w);
    close_work(&w);
    if (status == MC_OK) return MC_OK;
    char text[MC_NODE_TEXT];
    return mc_wrap(err, "%s", mc_node_show(graph, job->step->node, text));
}
