/* Sequences and optionals. A sequence is made anew whenever it changes: they are short lists of
 * tensors, and nobody else's copy may change with them. */
#include "core/ops/op_args_shared.h"
#include "core/ops/op_value_shared.h"

#include <string.h>

static mc_status refuse(const mc_call *call, size_t input, const char *needed, mc_err *err)
{
    char text[MC_ND_TEXT];
    return mc_fail(err, MC_E_FORMAT, "input %zu is %s (%s is needed)", input,
                   mc_nd_show(call->in[input], text), needed);
}

static mc_status need_kind(const mc_call *call, size_t input, mc_nd_kind kind, mc_err *err)
{
    static const char *const name[] = {"a tensor", "a sequence", "an optional"};
    if (call->in[input]->kind == kind) return MC_OK;
    return refuse(call, input, name[kind], err);
}

/* Before it is run nothing but its dtype is known of a sequence, or of what comes out of one. */
static mc_status shape_open(const mc_call *call, mc_err *err)
{
    (void)err;
    if (!call->out[0]) return MC_OK;
    call->out[0]->ndim = MC_RANK_UNKNOWN;
    call->out[0]->dtype = call->ins > 0 && call->in[0] ? call->in[0]->dtype : MC_DTYPE_NONE;
    return MC_OK;
}

static mc_status shape_scalar(const mc_call *call, mc_dtype dtype, mc_err *err)
{
    return call->out[0] ? mc_nd_set(call->out[0], dtype, 0, NULL, err) : MC_OK;
}

static mc_status shape_count(const mc_call *call, mc_err *err)
{
    return shape_scalar(call, MC_I64, err);
}

static mc_status shape_flag(const mc_call *call, mc_err *err)
{
    return shape_scalar(call, MC_BOOL, err);
}

/* A list of items that is put together in scratch. */
static mc_nd *item_list(const mc_call *call, size_t n, mc_err *err)
{
    mc_arena scratch = call->scratch;
    mc_nd *item = MC_NEW(&scratch, mc_nd, n + 1);
    if (!item) (void)mc_no_room(err, "the items of a sequence");
    return item;
}

static size_t scratch_items(const mc_call *call)
{
    size_t n = call->ins + 2;
    if (call->ins > 0 && call->in[0]) n += call->in[0]->items;
    return n * sizeof(mc_nd);
}

/* ---- making sequences ---- */

static mc_status run_empty(const mc_call *call, mc_err *err)
{
    mc_dtype dtype;
    MC_TRY(mc_arg_named_dtype(call, "dtype", &dtype, err));
    if (dtype == MC_DTYPE_NONE) dtype = MC_F32;
    return mc_op_give_sequence(call, call->out[0], dtype, NULL, 0, err);
}

static mc_status run_construct(const mc_call *call, mc_err *err)
{
    mc_nd *item = item_list(call, call->ins, err);
    if (!item) return err->status;
    for (size_t i = 0; i < call->ins; i++) {
        if (!call->in[i]) return mc_fail(err, MC_E_FORMAT, "input %zu is missing", i);
        MC_TRY(need_kind(call, i, MC_ND_TENSOR, err));
        if (call->in[i]->dtype != call->in[0]->dtype) return mc_op_refuse_dtype(call, i, err);
        item[i] = *call->in[i];
    }
    return mc_op_give_sequence(call, call->out[0], call->in[0]->dtype, item, call->ins, err);
}

/* ---- items ---- */

/* Input `input` as a place in [-n, most], counted from the end when negative; without it `most`. */
static mc_status read_place(const mc_call *call, size_t input, size_t most, size_t *out,
                            mc_err *err)
{
    int64_t place;
    size_t count;
    bool known;
    MC_TRY(mc_op_ints(call, input, &place, 1, &count, &known, err));
    *out = most;
    if (count == 0) return MC_OK;
    const int64_t n = (int64_t)call->in[0]->items;
    if (place < -n || place > (int64_t)most)
        return mc_fail(err, MC_E_FORMAT, "position %lld of %lld items", (long long)place,
                       (long long)n);
    *out = (size_t)(place < 0 ? place + n : place);
    return MC_OK;
}

static mc_status run_at(const mc_call *call, mc_err *err)
{
    MC_TRY(need_kind(call, 0, MC_ND_SEQUENCE, err));
    const size_t n = call->in[0]->items;
    size_t place;
    if (n == 0) return mc_fail(err, MC_E_FORMAT, "the sequence is empty");
    MC_TRY(read_place(call, 1, n - 1, &place, err));
    return mc_op_give(call, call->out[0], &call->in[0]->item[place], err);
}

static mc_status run_length(const mc_call *call, mc_err *err)
{
    MC_TRY(need_kind(call, 0, MC_ND_SEQUENCE, err));
    *(int64_t *)call->out[0]->data = (int64_t)call->in[0]->items;
    return MC_OK;
}

static mc_status run_insert(const mc_call *call, mc_err *err)
{
    MC_TRY(need_kind(call, 0, MC_ND_SEQUENCE, err));
    MC_TRY(need_kind(call, 1, MC_ND_TENSOR, err));
    const mc_nd *from = call->in[0];
    size_t place;
    MC_TRY(read_place(call, 2, from->items, &place, err));
    if (from->items > 0 && from->dtype != call->in[1]->dtype)
        return mc_op_refuse_dtype(call, 1, err);
    mc_nd *item = item_list(call, from->items + 1, err);
    if (!item) return err->status;
    for (size_t i = 0; i < from->items; i++) item[i < place ? i : i + 1] = from->item[i];
    item[place] = *call->in[1];
    return mc_op_give_sequence(call, call->out[0], call->in[1]->dtype, item, from->items + 1, err);
}

static mc_status run_erase(const mc_call *call, mc_err *err)
{
    MC_TRY(need_kind(call, 0, MC_ND_SEQUENCE, err));
    const mc_nd *from = call->in[0];
    if (from->items == 0) return mc_fail(err, MC_E_FORMAT, "the sequence is empty");
    size_t place, n = 0;
    MC_TRY(read_place(call, 1, from->items - 1, &place, err));
    mc_nd *item = item_list(call, from->items, err);
    if (!item) return err->status;
    for (size_t i = 0; i < from->items; i++) {
        if (i != place) item[n++] = from->item[i];
    }
    return mc_op_give_sequence(call, call->out[0], from->dtype, item, n, err);
}

/* ---- sequences and axes ---- */

/* Copies `n` indices of an axis that has `of` there, from index `from_at` of one tensor to index
 * `to_at` of another. */
typedef struct {
    const mc_nd *from;
    mc_nd *to;
    size_t outer, inner; /* elements before the axis, bytes behind it */
} axis_copy;

static void copy_axis(const axis_copy *c, size_t from_at, size_t from_of, size_t to_at,
                      size_t to_of)
{
    const size_t n = from_of < to_of ? from_of : to_of;
    const unsigned char *from = c->from->data;
    unsigned char *to = c->to->data;
    for (size_t i = 0; i < c->outer && n * c->inner > 0; i++)
        memcpy(to + (i * to_of + to_at) * c->inner, from + (i * from_of + from_at) * c->inner,
               n * c->inner);
}

static mc_status concat_shape(const mc_call *call, bool new_axis, int *axis, mc_err *err)
{
    const mc_nd *s = call->in[0];
    if (s->items == 0) return mc_fail(err, MC_E_FORMAT, "the sequence is empty");
    mc_nd grown = {.ndim = s->item[0].ndim + (new_axis ? 1 : 0)};
    const mc_attr *a = mc_node_attr(call->node, "axis");
    if (!a || grown.ndim > MC_MAX_DIMS ||
        !mc_nd_axis(&grown, mc_node_int(call->node, "axis", 0), axis))
        return mc_fail(err, MC_E_FORMAT, "the axis is missing or none of the items'");

    int64_t dim[MC_MAX_DIMS], sum = 0;
    for (size_t i = 0; i < s->items; i++) {
        const mc_nd *t = &s->item[i];
        for (int d = 0; d < t->ndim; d++) {
            if (t->ndim == s->item[0].ndim &&
                (t->dim[d] == s->item[0].dim[d] || (d == *axis && !new_axis)))
                continue;
            return mc_fail(err, MC_E_FORMAT, "items %zu and 0 have shapes that do not fit", i);
        }
        if (t->ndim != s->item[0].ndim || t->dtype != s->item[0].dtype)
            return mc_fail(err, MC_E_FORMAT, "items %zu and 0 are of different types", i);
        if (__builtin_add_overflow(sum, new_axis ? 1 : t->dim[*axis], &sum))
            return mc_fail(err, MC_E_FORMAT, "the items are too large");
    }
    for (int d = 0; d < grown.ndim; d++)
        dim[d] = d == *axis ? sum : s->item[0].dim[new_axis && d > *axis ? d - 1 : d];
    return mc_nd_set(call->out[0], s->item[0].dtype, grown.ndim, dim, err);
}

static mc_status run_concat_sequence(const mc_call *call, mc_err *err)
{
    MC_TRY(need_kind(call, 0, MC_ND_SEQUENCE, err));
    if (!call->out[0]) return MC_OK;
    const bool new_axis = mc_node_int(call->node, "new_axis", 0) != 0;
    int axis;
    MC_TRY(concat_shape(call, new_axis, &axis, err));
    mc_nd *out = call->out[0];
    MC_TRY(call->host->make(call->host, out, err));

    const size_t behind = mc_nd_span(out, axis + 1, out->ndim) * mc_nd_width(out->dtype);
    size_t at = 0;
    for (size_t i = 0; i < call->in[0]->items; i++) {
        const mc_nd *t = &call->in[0]->item[i];
        const axis_copy c = {t, out, mc_nd_span(out, 0, axis), behind};
        const size_t n = new_axis ? 1 : (size_t)t->dim[axis];
        copy_axis(&c, 0, n, at, (size_t)out->dim[axis]);
        at += n;
    }
    return MC_OK;
}

/* The lengths of parts: one for all, or a list; without, 1 each. */
typedef struct {
    int axis;
    bool drop; /* parts of length 1 lose the axis */
    size_t parts;
    int64_t even; /* 0: as the list says */
    const mc_nd *list;
} split;

static mc_status read_split(const mc_call *call, split *s, mc_err *err)
{
    const mc_nd *x = call->in[0], *list = call->ins > 1 ? call->in[1] : NULL;
    MC_TRY(need_kind(call, 0, MC_ND_TENSOR, err));
    if (!mc_nd_axis(x, mc_node_int(call->node, "axis", 0), &s->axis))
        return mc_fail(err, MC_E_FORMAT, "the axis is none of the input's");
    const int64_t length = x->dim[s->axis];
    *s = (split){.axis = s->axis, .even = 1, .parts = (size_t)length};
    s->drop = !list && mc_node_int(call->node, "keepdims", 1) == 0;
    if (!list) return MC_OK;
    if (list->kind != MC_ND_TENSOR || mc_dtype_about(list->dtype)->is_float || list->ndim > 1)
        return mc_op_refuse_dtype(call, 1, err);
    int64_t sum = 0;
    for (size_t i = 0; i < list->count; i++) {
        const int64_t n = mc_nd_int(list, i);
        if (n < (list->ndim == 0 ? 1 : 0) || n > INT64_MAX - sum)
            return mc_fail(err, MC_E_FORMAT, "split[%zu] is %lld", i, (long long)n);
        sum += n;
    }
    if (list->ndim == 0) {
        s->even = sum;
        s->parts = (size_t)(length / sum + (length % sum != 0));
        return MC_OK;
    }
    *s = (split){.axis = s->axis, .parts = list->count, .list = list};
    if (sum == length) return MC_OK;
    return mc_fail(err, MC_E_FORMAT, "split adds up to %lld, the axis has %lld", (long long)sum,
                   (long long)length);
}

static size_t scratch_split(const mc_call *call)
{
    const mc_nd *x = call->in[0];
    split s;
    mc_err ignored;
    if (!mc_nd_shape_known(x) || read_split(call, &s, &ignored) != MC_OK) return 0;
    return (s.parts + 1) * (sizeof(mc_nd) + 128) + 2 * x->count * mc_nd_width(x->dtype);
}

/* The shape of part i, which begins at index `at`. */
static mc_status shape_part(const split *s, const mc_nd *x, size_t i, size_t at, mc_nd *part,
                            mc_err *err)
{
    const int64_t left = x->dim[s->axis] - (int64_t)at;
    int64_t dim[MC_MAX_DIMS];
    memcpy(dim, x->dim, sizeof dim);
    dim[s->axis] = s->even < left ? s->even : left;
    if (s->list) dim[s->axis] = mc_nd_int(s->list, i);
    return mc_nd_set(part, x->dtype, x->ndim, dim, err);
}

static mc_status run_split_sequence(const mc_call *call, mc_err *err)
{
    const mc_nd *x = call->in[0];
    split s;
    MC_TRY(read_split(call, &s, err));
    mc_arena scratch = call->scratch;
    mc_nd *part = MC_NEW(&scratch, mc_nd, s.parts + 1);
    if (!part) return mc_no_room(err, "the items of a sequence");

    const size_t behind = mc_nd_span(x, s.axis + 1, x->ndim) * mc_nd_width(x->dtype);
    size_t at = 0;
    for (size_t i = 0; i < s.parts; i++) {
        MC_TRY(shape_part(&s, x, i, at, &part[i], err));
        part[i].data = mc_alloc_raw(&scratch, part[i].count, mc_nd_width(x->dtype));
        if (!part[i].data) return mc_no_room(err, "the items of a sequence");
        const size_t n = (size_t)part[i].dim[s.axis];
        const axis_copy c = {x, &part[i], mc_nd_span(x, 0, s.axis), behind};
        copy_axis(&c, at, (size_t)x->dim[s.axis], 0, n);
        at += n;
        if (!s.drop) continue;
        part[i].ndim--;
        memmove(part[i].dim + s.axis, part[i].dim + s.axis + 1,
                (size_t)(part[i].ndim - s.axis) * sizeof *part[i].dim);
    }
    return mc_op_give_sequence(call, call->out[0], x->dtype, part, s.parts, err);
}

/* ---- optionals ---- */

static mc_status run_optional(const mc_call *call, mc_err *err)
{
    const mc_nd *x = call->ins > 0 ? call->in[0] : NULL;
    const mc_nd optional = {.kind = MC_ND_OPTIONAL,
                            .dtype = x ? x->dtype : MC_DTYPE_NONE,
                            .ndim = MC_RANK_UNKNOWN,
                            .item = x,
                            .items = x ? 1 : 0};
    return mc_op_give(call, call->out[0], &optional, err);
}

/* What is no optional is there. */
static mc_status run_has(const mc_call *call, mc_err *err)
{
    (void)err;
    const mc_nd *x = call->ins > 0 ? call->in[0] : NULL;
    *(uint8_t *)call->out[0]->data = x && (x->kind != MC_ND_OPTIONAL || x->items > 0);
    return MC_OK;
}

static mc_status run_get(const mc_call *call, mc_err *err)
{
    const mc_nd *x = call->in[0];
    if (x->kind != MC_ND_OPTIONAL) return mc_op_give(call, call->out[0], x, err);
    if (x->items == 0) return mc_fail(err, MC_E_FORMAT, "the optional has no value");
    return mc_op_give(call, call->out[0], &x->item[0], err);
}

#define LINE(op, version, least, most)                                                      \
    .domain = "", .name = (op), .since = (version), .least_in = (least), .most_in = (most), \
    .most_out = 1
#define OPEN .flags = MC_OP_SIZES | MC_OP_KINDS | MC_OP_MOVES, .shape = shape_open

const mc_op mc_ops_sequence[] = {
    {LINE("SequenceEmpty", 11, 0, 0), OPEN, .run = run_empty},
    {LINE("SequenceConstruct", 11, 1, -1), OPEN, .run = run_construct, .scratch = scratch_items},
    {LINE("SequenceAt", 11, 2, 2), OPEN, .run = run_at},
    {LINE("SequenceInsert", 11, 2, 3), OPEN, .run = run_insert, .scratch = scratch_items},
    {LINE("SequenceErase", 11, 1, 2), OPEN, .run = run_erase, .scratch = scratch_items},
    {LINE("SequenceLength", 11, 1, 1), .flags = MC_OP_KINDS, .shape = shape_count,
     .run = run_length},
    {LINE("ConcatFromSequence", 11, 1, 1), OPEN, .run = run_concat_sequence},
    {LINE("SplitToSequence", 11, 1, 2), OPEN, .run = run_split_sequence, .scratch = scratch_split},
    {LINE("Optional", 15, 0, 1), OPEN, .run = run_optional},
    {LINE("OptionalHasElement", 15, 0, 1), .flags = MC_OP_KINDS, .shape = shape_flag,
     .run = run_has},
    {LINE("OptionalGetElement", 15, 1, 1), OPEN, .run = run_get},
    {.domain = NULL},
};
