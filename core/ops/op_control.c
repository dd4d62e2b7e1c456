/* If and Loop: operators that run subgraphs. What a subgraph gives is copied into the node's
 * outputs once it is known to stay; states of a loop are handed on as they are and dropped when the
 * next iteration has replaced them. */
#include "core/ops/op_value_shared.h"

#include <stdlib.h>
#include <string.h>

/* ---- subgraphs and their values ---- */

static mc_status body_of(const mc_call *call, const char *name, const mc_graph **body, mc_err *err)
{
    const mc_attr *a = mc_node_attr(call->node, name);
    *body = a && a->kind == MC_ATTR_GRAPH && a->g ? a->g[0] : NULL;
    if (!*body) return mc_fail(err, MC_E_FORMAT, "subgraph %s is missing", name);
    return MC_OK;
}

/* What the subgraph says about an output, in front of which `axes` dimensions come. */
static void declare(const mc_graph *body, size_t output, int axes, mc_nd *out)
{
    const mc_value *v = &body->value[body->output[output]];
    out->dtype = v->dtype;
    out->ndim = MC_RANK_UNKNOWN;
    if (v->ndim < 0 || v->ndim + axes > MC_MAX_DIMS) return;
    out->ndim = v->ndim + axes;
    for (int i = 0; i < out->ndim; i++) out->dim[i] = i < axes ? -1 : v->dim[i - axes];
}

static mc_status read_flag(const mc_nd *t, const char *what, bool *out, mc_err *err)
{
    if (t->kind != MC_ND_TENSOR || t->dtype != MC_BOOL || t->count != 1) {
        char text[MC_ND_TEXT];
        return mc_fail(err, MC_E_FORMAT, "%s is %s (one BOOL is needed)", what,
                       mc_nd_show(t, text));
    }
    *out = mc_nd_int(t, 0) != 0;
    return MC_OK;
}

/* ---- If ---- */

static mc_status if_shape(const mc_call *call, mc_err *err)
{
    const mc_graph *yes, *no;
    MC_TRY(body_of(call, "then_branch", &yes, err));
    MC_TRY(body_of(call, "else_branch", &no, err));
    if (yes->outputs < call->outs || no->outputs < call->outs)
        return mc_fail(err, MC_E_FORMAT, "it has %zu outputs, its branches %zu and %zu", call->outs,
                       yes->outputs, no->outputs);
    for (size_t i = 0; i < call->outs; i++) {
        mc_nd *out = call->out[i], other = {0};
        if (!out) continue;
        declare(yes, i, 0, out);
        declare(no, i, 0, &other);
        if (other.dtype != out->dtype) out->dtype = MC_DTYPE_NONE;
        if (other.ndim != out->ndim) out->ndim = MC_RANK_UNKNOWN;
        for (int d = 0; d < out->ndim; d++) {
            if (other.dim[d] != out->dim[d]) out->dim[d] = -1;
        }
    }
    return MC_OK;
}

static mc_status if_run(const mc_call *call, mc_err *err)
{
    bool flag;
    MC_TRY(read_flag(call->in[0], "the condition", &flag, err));
    const mc_graph *body;
    MC_TRY(body_of(call, flag ? "then_branch" : "else_branch", &body, err));
    const mc_nd **out = malloc((body->outputs + 1) * sizeof *out);
    if (!out) return mc_no_room(err, "outputs of a branch");
    mc_status status = call->host->run(call->host, body, NULL, 0, out, body->outputs, err);
    for (size_t i = 0; i < call->outs && status == MC_OK; i++)
        status = mc_op_give(call, call->out[i], out[i], err);
    free(out);
    return status;
}

/* ---- iterations ---- */

/* A subgraph that is run again and again. It takes `first` values of the loop itself and the
 * states; it gives `head` values for the loop, the states, and `rows` values that are stacked. */
typedef struct {
    const mc_call *call;
    const mc_graph *body;
    size_t head, states, rows;
    const mc_nd **in;    /* of the next iteration */
    size_t first;        /* in in[]: the first state */
    const mc_nd **out;   /* of the last iteration */
    const mc_nd **stale; /* states that the last iteration took and we own */
    const mc_nd **stack; /* rows of all iterations, iteration by iteration */
    size_t done, room;   /* iterations */
} iteration;

static mc_status open_iteration(iteration *it, mc_err *err)
{
    it->in = calloc(it->body->inputs + 1, sizeof *it->in);
    it->out = calloc(it->body->outputs + 1, sizeof *it->out);
    it->stale = calloc(it->states + 1, sizeof *it->stale);
    return it->in && it->out && it->stale ? MC_OK : mc_no_room(err, "a loop");
}

static void close_iteration(iteration *it)
{
    free(it->in);
    free(it->out);
    free(it->stale);
    free(it->stack);
}

static mc_status push_rows(iteration *it, mc_err *err)
{
    if (it->rows == 0) return MC_OK;
    if (it->done == it->room) {
        const size_t room = it->room > 0 ? 2 * it->room : 16;
        const mc_nd **stack = room > SIZE_MAX / sizeof *stack / it->rows
                                  ? NULL
                                  : realloc(it->stack, room * it->rows * sizeof *stack);
        if (!stack) return mc_no_room(err, "outputs of a loop");
        it->stack = stack;
        it->room = room;
    }
    const mc_nd *const *from = it->out + it->head + it->states;
    memcpy(it->stack + it->done * it->rows, from, it->rows * sizeof *it->stack);
    return MC_OK;
}

static mc_status iterate(iteration *it, mc_err *err)
{
    mc_host *host = it->call->host;
    const mc_status status =
        host->run(host, it->body, it->in, it->body->inputs, it->out, it->body->outputs, err);
    if (status != MC_OK) return mc_wrap(err, "iteration %zu", it->done);
    MC_TRY(push_rows(it, err));
    for (size_t i = 0; i < it->states; i++) {
        if (it->stale[i]) host->drop(host, it->stale[i]);
        it->stale[i] = it->in[it->first + i] = it->out[it->head + i];
    }
    it->done++;
    return MC_OK;
}

/* Rows of one output behind each other. Without any its shape is what the subgraph
 * says, 0 for what it leaves open. */
static mc_status stack_rows(const iteration *it, size_t row, mc_nd *out, mc_err *err)
{
    if (!out) return MC_OK;
    mc_nd one = {0};
    declare(it->body, it->head + it->states + row, 0, &one);
    if (it->done > 0) one = *it->stack[row];
    if (one.kind != MC_ND_TENSOR || one.ndim >= MC_MAX_DIMS)
        return mc_fail(err, MC_E_UNSUPPORTED,
                       "an output that is stacked is no tensor, or too large");

    int64_t dim[MC_MAX_DIMS] = {(int64_t)it->done};
    for (int i = 0; i < one.ndim; i++) dim[i + 1] = one.dim[i] > 0 ? one.dim[i] : 0;
    MC_TRY(mc_nd_set(out, one.dtype, one.ndim < 0 ? 1 : one.ndim + 1, dim, err));
    MC_TRY(it->call->host->make(it->call->host, out, err));

    const size_t bytes = one.count * mc_nd_width(one.dtype);
    for (size_t i = 0; i < it->done; i++) {
        const mc_nd *from = it->stack[i * it->rows + row];
        if (!mc_nd_same_shape(from, &one) || from->dtype != one.dtype)
            return mc_fail(err, MC_E_FORMAT, "iterations give outputs of different shapes");
        if (bytes > 0) memcpy((unsigned char *)out->data + i * bytes, from->data, bytes);
    }
    return MC_OK;
}

static mc_status give_states(const iteration *it, mc_err *err)
{
    const mc_call *call = it->call;
    for (size_t i = 0; i < it->states && i < call->outs; i++)
        MC_TRY(mc_op_give(call, call->out[i], it->in[it->first + i], err));
    return MC_OK;
}

/* ---- Loop ---- */

/* A loop that only its own condition ends may never end; no model comes near this. */
enum { LOOP_MOST = 1 << 19 };

static mc_status loop_parts(const mc_call *call, iteration *it, mc_err *err)
{
    *it = (iteration){.call = call, .head = 1, .first = 2};
    MC_TRY(body_of(call, "body", &it->body, err));
    it->states = call->ins > 2 ? call->ins - 2 : 0;
    const size_t inputs = it->body->inputs, outputs = it->body->outputs;
    if (inputs != 2 + it->states || outputs < 1 + it->states || outputs - 1 < call->outs)
        return mc_fail(err, MC_E_FORMAT,
                       "its body has %zu inputs and %zu outputs, which do not fit %zu states and "
                       "%zu outputs",
                       inputs, outputs, it->states, call->outs);
    it->rows = outputs - 1 - it->states;
    return MC_OK;
}

static mc_status loop_shape(const mc_call *call, mc_err *err)
{
    iteration it;
    MC_TRY(loop_parts(call, &it, err));
    for (size_t i = 0; i < call->outs; i++) {
        mc_nd *out = call->out[i];
        if (!out) continue;
        declare(it.body, 1 + i, i < it.states ? 0 : 1, out);
        if (i < it.states && out->dtype == MC_DTYPE_NONE && call->in[2 + i])
            out->dtype = call->in[2 + i]->dtype;
        /* A state may change its shape from one iteration to the next. */
        for (int d = 0; i < it.states && d < out->ndim; d++) out->dim[d] = -1;
    }
    return MC_OK;
}

static mc_status loop_limits(const mc_call *call, int64_t *most, bool *go_on, mc_err *err)
{
    *most = INT64_MAX;
    *go_on = true;
    if (call->ins > 0 && call->in[0]) {
        if (call->in[0]->kind != MC_ND_TENSOR || call->in[0]->dtype != MC_I64 ||
            call->in[0]->count != 1)
            return mc_op_refuse_dtype(call, 0, err);
        *most = mc_nd_int(call->in[0], 0);
    }
    if (call->ins > 1 && call->in[1]) return read_flag(call->in[1], "the condition", go_on, err);
    return MC_OK;
}

static mc_status loop_all(iteration *it, mc_err *err)
{
    int64_t most, number = 0;
    bool go_on;
    MC_TRY(loop_limits(it->call, &most, &go_on, err));
    uint8_t flag = 1; /* an iteration that runs was to go on */
    const mc_nd number_nd = {.dtype = MC_I64, .count = 1, .data = &number};
    const mc_nd flag_nd = {.dtype = MC_BOOL, .count = 1, .data = &flag};
    it->in[0] = &number_nd;
    it->in[1] = &flag_nd;
    for (size_t i = 0; i < it->states; i++) {
        it->in[2 + i] = it->call->in[2 + i];
        if (!it->in[2 + i]) return mc_fail(err, MC_E_FORMAT, "state %zu is missing", i);
    }
    for (; go_on && number < most; number++) {
        if (number == LOOP_MOST)
            return mc_fail(err, MC_E_UNSUPPORTED, "it goes on after %d iterations (at most)",
                           (int)LOOP_MOST);
        MC_TRY(iterate(it, err));
        MC_TRY(read_flag(it->out[0], "the condition that the body gives", &go_on, err));
        it->call->host->drop(it->call->host, it->out[0]);
    }
    MC_TRY(give_states(it, err));
    for (size_t i = it->states; i < it->call->outs; i++)
        MC_TRY(stack_rows(it, i - it->states, it->call->out[i], err));
    return MC_OK;
}

static mc_status loop_run(const mc_call *call, mc_err *err)
{
    iteration it;
    MC_TRY(loop_parts(call, &it, err));
    mc_status status = open_iteration(&it, err);
    if (status == MC_OK) status = loop_all(&it, err);
    close_iteration(&it);
    return status;
}

const mc_op mc_ops_control[] = {
    {"", "If", 1, 1, 1, -1, MC_OP_SIZES | MC_OP_KINDS | MC_OP_MOVES, if_shape, if_run, NULL},
    {"", "Loop", 1, 0, -1, -1, MC_OP_SIZES | MC_OP_KINDS | MC_OP_MOVES, loop_shape, loop_run, NULL},
    {.domain = NULL},
};
