/* Shapes without running: every operator's `shape` over what is known. Where shapes are computed by
 * nodes (Shape, Gather, Concat into Reshape) their few numbers are computed on the way; `mem` holds
 * them, and when it is full they stay unknown. */
#include "core/exec_impl.h"

#include "core/graph_walk.h"
#include "core/poison.h"

#include <string.h>

enum {
    MOST_ELEMENTS = 4096, /* of tensors whose numbers are followed */
    MOST_FLOATS = 64, /* the same of constants of real numbers: only parameters are of interest */
    SHAPE_SCRATCH = 4096,
    RUN_SCRATCH = 1 << 20,
};

typedef struct {
    mc_host host; /* first */
    const mc_graph *graph;
    mc_nd *value;
    mc_arena *mem;
    const mc_nd **in; /* of the node at work */
    mc_nd **out;
    mc_nd *shaped; /* what `shape` said of them */
    bool trust;    /* what the graph says about values inside holds for the given inputs */
} infer;

/* ---- beginning ---- */

static void unknown_value(mc_nd *t)
{
    *t = (mc_nd){.ndim = MC_RANK_UNKNOWN};
}

static void declared(const mc_value *v, mc_nd *t)
{
    unknown_value(t);
    t->dtype = v->dtype;
    if (v->ndim < 0 || v->ndim > MC_MAX_DIMS) return;
    int64_t dim[MC_MAX_DIMS];
    for (int i = 0; i < v->ndim; i++) dim[i] = v->dim[i] < 0 ? -1 : v->dim[i];
    mc_err ignored;
    if (mc_nd_set(t, v->dtype, v->ndim, dim, &ignored) != MC_OK) unknown_value(t);
}

/* Its numbers only when they may be parameters of shapes. */
static mc_status set_constant(infer *f, const mc_tensor *tensor, mc_nd *t, mc_err *err)
{
    const mc_status status = mc_exec_describe(tensor, t, err);
    if (status == MC_E_UNSUPPORTED) unknown_value(t);
    if (status != MC_OK) return status == MC_E_UNSUPPORTED ? MC_OK : status;
    const size_t most = mc_dtype_about(t->dtype)->is_float ? MOST_FLOATS : MOST_ELEMENTS;
    if (t->count > most) return MC_OK;
    t->data = mc_alloc_raw(f->mem, t->count, mc_nd_width(t->dtype));
    if (!t->data) return MC_OK;
    return mc_nd_decode(t->dtype, tensor->data, 0, t->count, t->data, err);
}

static bool agrees(const mc_nd *given, const mc_nd *said)
{
    if (said->ndim < 0) return true;
    if (given->ndim != said->ndim) return false;
    for (int i = 0; i < said->ndim; i++) {
        if (said->dim[i] >= 0 && said->dim[i] != given->dim[i]) return false;
    }
    return true;
}

static mc_status begin(infer *f, const mc_nd *shape, mc_err *err)
{
    const mc_graph *g = f->graph;
    for (size_t v = 0; v < g->values; v++) {
        if (g->value[v].constant)
            MC_TRY(set_constant(f, g->value[v].constant, &f->value[v], err));
        else
            unknown_value(&f->value[v]);
    }
    f->trust = true;
    for (size_t i = 0; i < g->inputs; i++) {
        mc_nd *t = &f->value[g->input[i]];
        declared(&g->value[g->input[i]], t);
        if (!shape) continue;
        f->trust = f->trust && agrees(&shape[i], t);
        *t = shape[i];
    }
    return MC_OK;
}

static mc_status open_lists(infer *f, mc_err *err)
{
    size_t ins = 0, outs = 0;
    for (size_t i = 0; i < f->graph->nodes; i++) {
        const mc_node *node = &f->graph->node[i];
        ins = node->ins > ins ? node->ins : ins;
        outs = node->outs > outs ? node->outs : outs;
    }
    f->in = MC_NEW(f->mem, const mc_nd *, ins);
    f->out = MC_NEW(f->mem, mc_nd *, outs);
    f->shaped = MC_NEW(f->mem, mc_nd, outs);
    return f->in && f->out && f->shaped ? MC_OK : mc_no_room(err, "shapes of values");
}

/* ---- numbers of small values ---- */

static bool room_for(infer *f, mc_nd *t)
{
    t->data = NULL;
    if (!mc_nd_shape_known(t) || t->count > MOST_ELEMENTS || mc_nd_width(t->dtype) == 0)
        return false;
    t->data = mc_alloc(f->mem, t->count, mc_nd_width(t->dtype));
    return t->data != NULL;
}

static mc_status make(mc_host *host, mc_nd *t, mc_err *err)
{
    infer *f = (infer *)(void *)host;
    if (t->kind == MC_ND_TENSOR && room_for(f, t)) return MC_OK;
    return mc_fail(err, MC_E_UNSUPPORTED, "too large to be followed");
}

/* Numbers that `shape` left in its scratch go into mem. */
static void keep_numbers(infer *f, const mc_call *call)
{
    for (size_t i = 0; i < call->outs; i++) {
        mc_nd *t = call->out[i];
        const void *data = t ? t->data : NULL;
        if (data && room_for(f, t)) memcpy(t->data, data, t->count * mc_nd_width(t->dtype));
    }
}

static bool numbers_known(const mc_nd *t)
{
    return t->kind == MC_ND_TENSOR && mc_nd_shape_known(t) && t->data;
}

static bool can_compute(const mc_op *op, const mc_call *call)
{
    mc_body_place place = {0};
    if (op->flags & MC_OP_RANDOM || mc_node_next_body(call->node, &place)) return false;
    for (size_t i = 0; i < call->ins; i++) {
        if (!call->in[i]) continue;
        const bool known =
            op->flags & MC_OP_DIMS ? mc_nd_shape_known(call->in[i]) : numbers_known(call->in[i]);
        if (!known) return false;
    }
    return true;
}

static bool compute(infer *f, const mc_op *op, mc_call *call)
{
    for (size_t i = 0; i < call->outs && !(op->flags & MC_OP_SIZES); i++) {
        if (call->out[i] && !call->out[i]->data && !room_for(f, call->out[i])) return false;
    }
    const size_t scratch = op->scratch ? op->scratch(call) : 0;
    if (scratch > RUN_SCRATCH || (size_t)(f->mem->end - f->mem->at) < scratch) return false;
    call->scratch = *f->mem;
    call->host = &f->host;
    mc_err ignored = {0};
    if (op->run(call, &ignored) != MC_OK) return false;
    for (size_t i = 0; i < call->outs; i++) {
        if (call->out[i]) mc_nd_round(call->out[i]);
    }
    return true;
}

/* ---- a node ---- */

static mc_status shape_node(infer *f, const mc_op *op, mc_call *call, mc_err *err)
{
    MC_TRY(mc_exec_check_inputs(op, call->node, call->in, err));
    _Alignas(64) unsigned char room[SHAPE_SCRATCH];
    call->scratch = (mc_arena){room, room + sizeof room};
    const mc_status status = op->shape(call, err);
    mc_unpoison(room, sizeof room);
    if (status == MC_OK) keep_numbers(f, call);
    return status;
}

/* What is not known may have misled an operator: its refusal counts when all was known. */
static bool refusal_counts(const mc_call *call, mc_status status)
{
    if (status == MC_E_UNSUPPORTED) return false;
    for (size_t i = 0; i < call->ins; i++) {
        if (call->in[i] && !mc_nd_shape_known(call->in[i])) return false;
    }
    return true;
}

static void put_back(const infer *f, const mc_call *call)
{
    for (size_t i = 0; i < call->outs; i++) {
        if (call->out[i]) *call->out[i] = f->shaped[i];
    }
}

/* A dimension that did not follow is what the graph says. */
static void believe(const infer *f, mc_id value)
{
    mc_nd said, *t = &f->value[value];
    if (!f->trust || t->kind != MC_ND_TENSOR) return;
    declared(&f->graph->value[value], &said);
    if (t->dtype == MC_DTYPE_NONE) t->dtype = said.dtype;
    if (said.ndim < 0 || (t->ndim >= 0 && t->ndim != said.ndim)) return;
    for (int i = 0; i < said.ndim && t->ndim >= 0; i++) {
        if (t->dim[i] >= 0) said.dim[i] = t->dim[i];
    }
    mc_err ignored;
    (void)mc_nd_set(t, t->dtype, said.ndim, said.dim, &ignored);
}

static mc_status infer_node(infer *f, const mc_node *node, mc_err *err)
{
    if (node->outs == 0) return MC_OK;
    for (size_t i = 0; i < node->ins; i++)
        f->in[i] = node->in[i] == MC_NONE ? NULL : &f->value[node->in[i]];
    for (size_t i = 0; i < node->outs; i++)
        f->out[i] = node->out[i] == MC_NONE ? NULL : &f->value[node->out[i]];
    mc_call call = {.node = node,
                    .version = node->version,
                    .in = f->in,
                    .ins = node->ins,
                    .out = f->out,
                    .outs = node->outs};
    const mc_op *op = mc_op_find(node->domain, node->op, node->version);
    for (size_t i = 0; i < node->outs; i++) unknown_value(&f->shaped[i]);
    if (op) {
        const mc_status status = shape_node(f, op, &call, err);
        if (status != MC_OK && refusal_counts(&call, status)) return status;
        if (status != MC_OK) put_back(f, &call);
        for (size_t i = 0; i < node->outs; i++) {
            if (f->out[i]) f->shaped[i] = *f->out[i];
        }
        if (status == MC_OK && can_compute(op, &call) && !compute(f, op, &call)) put_back(f, &call);
    }
    for (size_t i = 0; i < node->outs; i++) {
        if (f->out[i]) believe(f, node->out[i]);
    }
    return MC_OK;
}

mc_status mc_graph_infer(const mc_graph *graph, const mc_nd *shape, mc_nd *out, mc_arena *mem,
                         mc_err *err)
{
    infer f = {.host = {.make = make}, .graph = graph, .value = out, .mem = mem};
    MC_TRY(open_lists(&f, err));
    MC_TRY(begin(&f, shape, err));
    for (size_t i = 0; i < graph->nodes; i++) {
        if (infer_node(&f, &graph->node[i], err) == MC_OK) continue;
        char text[MC_NODE_TEXT];
        return mc_wrap(err, "%s", mc_node_show(graph, (mc_id)i, text));
    }
    return MC_OK;
}
