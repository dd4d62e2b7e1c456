/* Transpose, DepthToSpace, SpaceToDepth, Concat, Split, Slice, Tile, ReverseSequence: operators
 * that put elements elsewhere. Each says as an mc_move where its elements lie and where they go. */
#include "core/ops/op_args_shared.h"
#include "core/ops/op_move_shared.h"

#include "core/ckd.h"

#include <string.h>

/* ---- Transpose ---- */

static mc_status read_perm(const mc_call *call, int ndim, int perm[MC_MAX_DIMS], mc_err *err)
{
    mc_op_list list;
    MC_TRY(mc_op_list_read(call, "perm", 0, &list, err));
    if (!list.given) {
        for (int i = 0; i < ndim; i++) perm[i] = ndim - 1 - i;
        return MC_OK;
    }
    if (list.n != ndim)
        return mc_fail(err, MC_E_FORMAT, "perm has %d numbers for an input of %d dimensions",
                       list.n, ndim);
    MC_TRY(mc_op_list_axes(&list, ndim, "perm", err));
    for (int i = 0; i < ndim; i++) perm[i] = (int)list.at[i];
    return MC_OK;
}

static mc_status shape_transpose(const mc_call *call, mc_err *err)
{
    const mc_nd *in = call->in[0];
    if (in->ndim < 0) {
        const int64_t *perm;
        const size_t n = mc_node_ints(call->node, "perm", &perm);
        return mc_op_unknown(call, 0, in->dtype, perm && n <= INT32_MAX ? (int)n : MC_RANK_UNKNOWN,
                             err);
    }
    int perm[MC_MAX_DIMS] = {0};
    MC_TRY(read_perm(call, in->ndim, perm, err));
    int64_t dim[MC_MAX_DIMS];
    for (int i = 0; i < in->ndim; i++) dim[i] = in->dim[perm[i]];
    return mc_arg_set(call, 0, in->dtype, in->ndim, dim, err);
}

/* out[i0, i1, …] = in[…], where dimension i of the output is dimension perm[i] of the input. */
static void permute(const mc_nd *in, const int perm[MC_MAX_DIMS], void *out)
{
    if (in->count == 0) return;
    int64_t from[MC_MAX_DIMS];
    mc_move_strides(in, from);
    mc_move m = {0};
    int64_t to = (int64_t)in->count;
    for (int i = 0; i < in->ndim; i++) {
        to /= in->dim[perm[i]];
        mc_move_add(&m, in->dim[perm[i]], from[perm[i]], to);
    }
    mc_move_run(&m, mc_nd_width(in->dtype), in->data, out);
}

static mc_status run_transpose(const mc_call *call, mc_err *err)
{
    int perm[MC_MAX_DIMS] = {0};
    MC_TRY(read_perm(call, call->in[0]->ndim, perm, err));
    permute(call->in[0], perm, call->out[0]->data);
    return MC_OK;
}

/* ---- DepthToSpace, SpaceToDepth ---- */

static mc_status read_block(const mc_call *call, int64_t *block, mc_err *err)
{
    *block = mc_node_int(call->node, "blocksize", 0);
    if (*block < 1 || *block > INT32_MAX)
        return mc_fail(err, MC_E_FORMAT, "blocksize is %lld (1 to %d are allowed)",
                       (long long)*block, INT32_MAX);
    return mc_op_rank(call, 0, 4, 4, err);
}

static mc_status divide_dim(const mc_nd *in, int i, int64_t by, int64_t *out, mc_err *err)
{
    if (in->dim[i] >= 0 && in->dim[i] % by != 0)
        return mc_fail(err, MC_E_FORMAT, "dimension %d of %lld is not a multiple of %lld", i,
                       (long long)in->dim[i], (long long)by);
    *out = in->dim[i] < 0 ? -1 : in->dim[i] / by;
    return MC_OK;
}

/* False when the product leaves 63 bits. */
static bool times(int64_t dim, int64_t by, int64_t *out)
{
    *out = -1;
    return dim < 0 || !__builtin_mul_overflow(dim, by, out);
}

static mc_status shape_depth_to_space(const mc_call *call, mc_err *err)
{
    const mc_nd *in = call->in[0];
    int64_t b, dim[4];
    MC_TRY(read_block(call, &b, err));
    const char *mode = mc_node_text(call->node, "mode", "DCR");
    if (strcmp(mode, "DCR") != 0 && strcmp(mode, "CRD") != 0)
        return mc_fail(err, MC_E_FORMAT, "mode is '%.40s' (DCR, CRD)", mode);
    if (in->ndim < 0) return mc_op_unknown(call, 0, in->dtype, 4, err);
    dim[0] = in->dim[0];
    MC_TRY(divide_dim(in, 1, b * b, &dim[1], err));
    if (!times(in->dim[2], b, &dim[2]) || !times(in->dim[3], b, &dim[3]))
        return mc_fail(err, MC_E_FORMAT, "blocksize %lld is too large", (long long)b);
    return mc_arg_set(call, 0, in->dtype, 4, dim, err);
}

/* DCR: depth is (block row, block column, channel); CRD: (channel, block row, block column). */
static mc_status run_depth_to_space(const mc_call *call, mc_err *err)
{
    const mc_nd *in = call->in[0];
    const int64_t b = mc_node_int(call->node, "blocksize", 0), c = in->dim[1] / (b * b);
    const bool crd = strcmp(mc_node_text(call->node, "mode", "DCR"), "CRD") == 0;
    const int64_t dcr_dim[6] = {in->dim[0], b, b, c, in->dim[2], in->dim[3]};
    const int64_t crd_dim[6] = {in->dim[0], c, b, b, in->dim[2], in->dim[3]};
    static const int dcr_perm[MC_MAX_DIMS] = {0, 3, 4, 1, 5, 2};
    static const int crd_perm[MC_MAX_DIMS] = {0, 1, 4, 2, 5, 3};
    mc_nd seen = {.data = in->data};
    MC_TRY(mc_nd_set(&seen, in->dtype, 6, crd ? crd_dim : dcr_dim, err));
    permute(&seen, crd ? crd_perm : dcr_perm, call->out[0]->data);
    return MC_OK;
}

static mc_status shape_space_to_depth(const mc_call *call, mc_err *err)
{
    const mc_nd *in = call->in[0];
    int64_t b, dim[4];
    MC_TRY(read_block(call, &b, err));
    if (in->ndim < 0) return mc_op_unknown(call, 0, in->dtype, 4, err);
    dim[0] = in->dim[0];
    if (!times(in->dim[1], b * b, &dim[1]))
        return mc_fail(err, MC_E_FORMAT, "blocksize %lld is too large", (long long)b);
    MC_TRY(divide_dim(in, 2, b, &dim[2], err));
    MC_TRY(divide_dim(in, 3, b, &dim[3], err));
    return mc_arg_set(call, 0, in->dtype, 4, dim, err);
}

static mc_status run_space_to_depth(const mc_call *call, mc_err *err)
{
    const mc_nd *in = call->in[0];
    const int64_t b = mc_node_int(call->node, "blocksize", 0);
    const int64_t dim[6] = {in->dim[0], in->dim[1], in->dim[2] / b, b, in->dim[3] / b, b};
    static const int perm[MC_MAX_DIMS] = {0, 3, 5, 1, 2, 4};
    mc_nd seen = {.data = in->data};
    MC_TRY(mc_nd_set(&seen, in->dtype, 6, dim, err));
    permute(&seen, perm, call->out[0]->data);
    return MC_OK;
}

/* ---- Concat ---- */

static mc_status read_axis(const mc_call *call, int ndim, int64_t otherwise, int *axis, mc_err *err)
{
    return mc_op_axis(mc_node_int(call->node, "axis", otherwise), ndim, "axis", axis, err);
}

/* Takes one input into the shape so far. */
static mc_status join(const mc_call *call, size_t i, int axis, int64_t dim[MC_MAX_DIMS],
                      mc_err *err)
{
    const mc_nd *in = call->in[i], *first = call->in[0];
    char text[MC_ND_TEXT], other[MC_ND_TEXT];
    if (in->dtype != first->dtype && in->dtype != MC_DTYPE_NONE && first->dtype != MC_DTYPE_NONE)
        return mc_fail(err, MC_E_FORMAT, "input %zu is %s, input 0 is %s", i, mc_nd_show(in, text),
                       mc_nd_show(first, other));
    for (int k = 0; k < in->ndim; k++) {
        if (k == axis) {
            if (dim[k] >= 0 && in->dim[k] >= 0) {
                if (__builtin_add_overflow(dim[k], in->dim[k], &dim[k]))
                    return mc_fail(err, MC_E_FORMAT, "the inputs are too long together");
            } else {
                dim[k] = -1;
            }
        } else if (dim[k] < 0) {
            dim[k] = in->dim[k];
        } else if (in->dim[k] >= 0 && in->dim[k] != dim[k]) {
            return mc_fail(err, MC_E_FORMAT,
                           "input %zu is %s, where dimension %d of those before is %lld", i,
                           mc_nd_show(in, text), k, (long long)dim[k]);
        }
    }
    return MC_OK;
}

static mc_status shape_concat(const mc_call *call, mc_err *err)
{
    const mc_dtype dtype = call->in[0]->dtype;
    int ndim = MC_RANK_UNKNOWN;
    bool known = true;
    for (size_t i = 0; i < call->ins; i++) {
        if (!call->in[i]) return mc_fail(err, MC_E_FORMAT, "input %zu is missing", i);
        if (call->in[i]->ndim < 0) {
            known = false;
            continue;
        }
        if (ndim < 0) ndim = call->in[i]->ndim;
        MC_TRY(mc_op_rank(call, i, ndim, ndim, err));
    }
    if (ndim < 0) return mc_op_unknown(call, 0, dtype, ndim, err);

    int axis = 0;
    MC_TRY(read_axis(call, ndim, 1, &axis, err));
    int64_t dim[MC_MAX_DIMS];
    for (int k = 0; k < ndim; k++) dim[k] = k == axis ? 0 : -1;
    for (size_t i = 0; i < call->ins; i++)
        if (call->in[i]->ndim >= 0) MC_TRY(join(call, i, axis, dim, err));
    if (!known) dim[axis] = -1;
    return mc_arg_set(call, 0, dtype, ndim, dim, err);
}

/* Copies a slab between a tensor and its part [first, first + its length) of `axis`. */
static void copy_part(const mc_nd *whole, const mc_nd *part, int axis, int64_t first, bool to_part)
{
    if (part->count == 0) return;
    const size_t width = mc_nd_width(whole->dtype);
    const int64_t inner = (int64_t)mc_nd_span(whole, axis + 1, whole->ndim);
    const int64_t run = part->dim[axis] * inner, step = whole->dim[axis] * inner;
    mc_move m = {0};
    mc_move_add(&m, (int64_t)mc_nd_span(whole, 0, axis), to_part ? step : run,
                to_part ? run : step);
    mc_move_add(&m, run, 1, 1);
    unsigned char *at = (unsigned char *)whole->data + (size_t)(first * inner) * width;
    mc_move_run(&m, width, to_part ? at : part->data, to_part ? part->data : at);
}

static mc_status run_concat(const mc_call *call, mc_err *err)
{
    int axis = 0;
    MC_TRY(read_axis(call, call->out[0]->ndim, 1, &axis, err));
    int64_t first = 0;
    for (size_t i = 0; i < call->ins; i++) {
        copy_part(call->out[0], call->in[i], axis, first, false);
        first += call->in[i]->dim[axis];
    }
    return MC_OK;
}

/* ---- Split ---- */

/* Where the lengths of the parts come from. */
typedef struct {
    const int64_t *attr;
    const mc_nd *input; /* its data may not be known */
    int64_t even;       /* without either: the length of all parts but the last */
} split_rule;

static mc_status even_parts(const mc_call *call, int64_t length, int64_t *even, mc_err *err)
{
    const int64_t parts = (int64_t)call->outs;
    *even = -1;
    if (parts < 1) return mc_fail(err, MC_E_FORMAT, "there are no outputs");
    if (call->version >= 18) {
        const int64_t asked = mc_node_int(call->node, "num_outputs", 0);
        if (asked != parts)
            return mc_fail(err, MC_E_FORMAT,
                           "num_outputs is %lld and split is not given, for %lld outputs",
                           (long long)asked, (long long)parts);
        if (length >= 0) *even = length / parts + (length % parts != 0);
        if (length >= 0 && *even * (parts - 1) > length)
            return mc_fail(err, MC_E_FORMAT,
                           "a length of %lld cannot be split into %lld parts of %lld",
                           (long long)length, (long long)parts, (long long)*even);
        return MC_OK;
    }
    if (length >= 0 && length % parts != 0)
        return mc_fail(err, MC_E_FORMAT, "a length of %lld cannot be split into %lld equal parts",
                       (long long)length, (long long)parts);
    if (length >= 0) *even = length / parts;
    return MC_OK;
}

static mc_status read_split(const mc_call *call, int64_t length, split_rule *rule, mc_err *err)
{
    *rule = (split_rule){0};
    size_t n = call->outs;
    if (call->version < 13 && !mc_arg_in(call, 1)) {
        const size_t given = mc_node_ints(call->node, "split", &rule->attr);
        if (rule->attr) n = given;
    } else if (call->ins > 1 && call->in[1]) {
        rule->input = call->in[1];
        if (rule->input->ndim > 1 || rule->input->dtype == MC_STRING) /* floats in version 1 */
            return mc_op_refuse_dtype(call, 1, err);
        if (mc_nd_shape_known(rule->input)) n = rule->input->count;
    }
    if (n != call->outs)
        return mc_fail(err, MC_E_FORMAT, "split has %zu numbers for %zu outputs", n, call->outs);
    if (!rule->attr && !rule->input) return even_parts(call, length, &rule->even, err);
    return MC_OK;
}

/* The length of part i, whose first element is at `first`; -1: not known. */
static mc_status part_length(const split_rule *rule, const mc_nd *in, int axis, size_t i,
                             int64_t first, int64_t *out, mc_err *err)
{
    const int64_t length = in->dim[axis];
    *out = rule->attr ? rule->attr[i] : rule->even;
    if (rule->input) *out = rule->input->data ? mc_nd_int(rule->input, i) : -1;
    if (rule->input && !rule->input->data) return MC_OK;
    if (!rule->attr && !rule->input) {
        if (length >= 0 && *out > length - first) *out = length - first;
        return MC_OK;
    }
    if (*out < 0 || (length >= 0 && *out > length - first))
        return mc_fail(err, MC_E_FORMAT, "split[%zu] is %lld, of %lld elements that are left", i,
                       (long long)*out, (long long)(length < 0 ? INT64_MAX : length - first));
    return MC_OK;
}

static mc_status shape_split(const mc_call *call, mc_err *err)
{
    const mc_nd *in = call->in[0];
    if (in->ndim < 0) {
        for (size_t i = 0; i < call->outs; i++)
            MC_TRY(mc_op_unknown(call, i, in->dtype, in->ndim, err));
        return MC_OK;
    }
    int axis = 0;
    MC_TRY(read_axis(call, in->ndim, 0, &axis, err));
    split_rule rule;
    MC_TRY(read_split(call, in->dim[axis], &rule, err));
    int64_t first = 0, dim[MC_MAX_DIMS];
    memcpy(dim, in->dim, sizeof dim);
    bool known = in->dim[axis] >= 0;
    for (size_t i = 0; i < call->outs; i++) {
        MC_TRY(part_length(&rule, in, axis, i, first, &dim[axis], err));
        known = known && dim[axis] >= 0;
        if (known) first += dim[axis];
        MC_TRY(mc_arg_set(call, i, in->dtype, in->ndim, dim, err));
    }
    if (known && first != in->dim[axis])
        return mc_fail(err, MC_E_FORMAT, "split takes %lld of %lld elements", (long long)first,
                       (long long)in->dim[axis]);
    return MC_OK;
}

static mc_status run_split(const mc_call *call, mc_err *err)
{
    const mc_nd *in = call->in[0];
    int axis = 0;
    MC_TRY(read_axis(call, in->ndim, 0, &axis, err));
    split_rule rule;
    MC_TRY(read_split(call, in->dim[axis], &rule, err));
    int64_t first = 0, length;
    for (size_t i = 0; i < call->outs; i++) {
        MC_TRY(part_length(&rule, in, axis, i, first, &length, err));
        if (call->out[i]) copy_part(in, call->out[i], axis, first, true);
        first += length;
    }
    return MC_OK;
}

/* ---- Slice ---- */

typedef struct {
    int64_t start[MC_MAX_DIMS], step[MC_MAX_DIMS];
    int64_t dim[MC_MAX_DIMS]; /* of the output; -1: not known */
} slice_plan;

/* Elements of a dimension from `start` up to before `end` by `step`, both cut to what is there. */
static int64_t slice_length(int64_t dim, int64_t end, int64_t step, int64_t *start)
{
    const int64_t least = step > 0 ? 0 : -1, most = step > 0 ? dim : dim - 1;
    int64_t from = *start < 0 ? *start + dim : *start, to = end < 0 ? end + dim : end;
    /* A walk backwards may end before the first element, but must begin at one. */
    from = from < 0 ? 0 : from > most ? most : from;
    to = to < least ? least : to > most ? most : to;
    *start = from;
    const uint64_t stride = step > 0 ? (uint64_t)step : 0 - (uint64_t)step;
    const int64_t reach = step > 0 ? to - from : from - to;
    return reach <= 0 ? 0 : (int64_t)(((uint64_t)reach - 1) / stride + 1);
}

static mc_status read_slice(const mc_call *call, mc_op_list list[4], mc_err *err)
{
    static const char *const name[4] = {"starts", "ends", "axes", "steps"};
    for (size_t i = 0; i < 4; i++) {
        const bool attr = call->version < 10;
        if (attr && i == 3)
            list[3] = (mc_op_list){.known = true};
        else
            MC_TRY(mc_op_list_read(call, attr ? name[i] : NULL, i + 1, &list[i], err));
        if (i < 2 && !list[i].given) return mc_fail(err, MC_E_FORMAT, "%s are missing", name[i]);
        if (list[i].given && list[i].n >= 0 && list[0].n >= 0 && list[i].n != list[0].n)
            return mc_fail(err, MC_E_FORMAT, "there are %d %s for %d starts", list[i].n, name[i],
                           list[0].n);
    }
    return MC_OK;
}

static mc_status plan_slice(const mc_call *call, slice_plan *plan, mc_err *err)
{
    const mc_nd *in = call->in[0];
    mc_op_list list[4];
    MC_TRY(read_slice(call, list, err));
    mc_op_list *axes = &list[2];
    const bool known = list[0].known && list[1].known && list[3].known;
    for (int i = 0; i < in->ndim; i++) {
        plan->start[i] = 0;
        plan->step[i] = 1;
        plan->dim[i] = axes->known ? in->dim[i] : -1;
    }
    if (!axes->given) {
        axes->n = list[0].n;
        if (axes->n < 0) axes->n = in->ndim;
        if (axes->n > in->ndim)
            return mc_fail(err, MC_E_FORMAT, "there are %d starts for %d dimensions", axes->n,
                           in->ndim);
        for (int i = 0; i < axes->n; i++) axes->at[i] = i;
    }
    if (!axes->known) return MC_OK;
    MC_TRY(mc_op_list_axes(axes, in->ndim, "axes", err));
    for (int i = 0; i < axes->n; i++) {
        const int axis = (int)axes->at[i];
        plan->dim[axis] = -1;
        if (!known) continue;
        const int64_t step = list[3].given ? list[3].at[i] : 1;
        if (step == 0) return mc_fail(err, MC_E_FORMAT, "the step of axis %d is 0", axis);
        plan->start[axis] = list[0].at[i];
        plan->step[axis] = step;
        if (in->dim[axis] >= 0)
            plan->dim[axis] = slice_length(in->dim[axis], list[1].at[i], step, &plan->start[axis]);
    }
    return MC_OK;
}

static mc_status shape_slice(const mc_call *call, mc_err *err)
{
    const mc_nd *in = call->in[0];
    if (in->ndim < 0) return mc_op_unknown(call, 0, in->dtype, in->ndim, err);
    slice_plan plan;
    MC_TRY(plan_slice(call, &plan, err));
    return mc_arg_set(call, 0, in->dtype, in->ndim, plan.dim, err);
}

static mc_status run_slice(const mc_call *call, mc_err *err)
{
    const mc_nd *in = call->in[0];
    mc_nd *out = call->out[0];
    slice_plan plan;
    MC_TRY(plan_slice(call, &plan, err));
    if (out->count == 0 || out->data == in->data) return MC_OK;

    int64_t from[MC_MAX_DIMS], to[MC_MAX_DIMS], first = 0;
    mc_move_strides(in, from);
    mc_move_strides(out, to);
    mc_move m = {0};
    for (int i = 0; i < in->ndim; i++) {
        first += plan.start[i] * from[i];
        /* A step is only taken, and its product only sure to fit, where there is a second one. */
        if (out->dim[i] > 1) mc_move_add(&m, out->dim[i], plan.step[i] * from[i], to[i]);
    }
    const size_t width = mc_nd_width(in->dtype);
    mc_move_run(&m, width, (const unsigned char *)in->data + (size_t)first * width, out->data);
    return MC_OK;
}

/* ---- Tile ---- */

/* Before version 6: how often and along which axis, numbers of the input's own dtype. */
static mc_status read_repeats(const mc_call *call, mc_op_list *out, mc_err *err)
{
    if (call->version >= 6) return mc_op_list_read(call, NULL, 1, out, err);
    const mc_nd *in = call->in[0];
    *out = (mc_op_list){.given = true, .n = in->ndim};
    for (size_t i = 1; i < 3; i++) {
        const mc_nd *t = mc_arg_in(call, i);
        if (!t || t->dtype == MC_STRING || (mc_nd_shape_known(t) && t->count != 1))
            return mc_op_refuse_dtype(call, i, err);
        if (!t->data || in->ndim < 0) return MC_OK;
    }
    int axis = 0;
    MC_TRY(mc_op_axis(mc_nd_int(call->in[2], 0), in->ndim, "axis", &axis, err));
    for (int d = 0; d < in->ndim; d++) out->at[d] = 1;
    out->at[axis] = mc_nd_int(call->in[1], 0);
    out->known = true;
    return MC_OK;
}

static mc_status shape_tile(const mc_call *call, mc_err *err)
{
    const mc_nd *in = call->in[0];
    mc_op_list repeats;
    MC_TRY(read_repeats(call, &repeats, err));
    const int ndim = in->ndim >= 0 ? in->ndim : repeats.n;
    if (repeats.n >= 0 && repeats.n != ndim)
        return mc_fail(err, MC_E_FORMAT, "there are %d repeats for %d dimensions", repeats.n, ndim);
    if (in->ndim < 0 || !repeats.known) return mc_op_unknown(call, 0, in->dtype, ndim, err);
    int64_t dim[MC_MAX_DIMS];
    for (int i = 0; i < ndim; i++) {
        if (repeats.at[i] < 0 || !times(in->dim[i], repeats.at[i], &dim[i]))
            return mc_fail(err, MC_E_FORMAT, "dimension %d of %lld cannot be repeated %lld times",
                           i, (long long)in->dim[i], (long long)repeats.at[i]);
    }
    return mc_arg_set(call, 0, in->dtype, ndim, dim, err);
}

static mc_status run_tile(const mc_call *call, mc_err *err)
{
    (void)err;
    const mc_nd *in = call->in[0];
    mc_nd *out = call->out[0];
    if (out->count == 0 || out->data == in->data) return MC_OK;
    int64_t from[MC_MAX_DIMS], to[MC_MAX_DIMS];
    mc_move_strides(in, from);
    mc_move_strides(out, to);
    mc_move m = {0};
    for (int i = 0; i < in->ndim; i++) {
        mc_move_add(&m, out->dim[i] / in->dim[i], 0, to[i] * in->dim[i]);
        mc_move_add(&m, in->dim[i], from[i], to[i]);
    }
    mc_move_run(&m, mc_nd_width(in->dtype), in->data, out->data);
    return MC_OK;
}

/* ---- ReverseSequence ---- */

static mc_status read_reverse(const mc_call *call, int *batch, int *time, mc_err *err)
{
    const int64_t b = mc_node_int(call->node, "batch_axis", 1);
    const int64_t t = mc_node_int(call->node, "time_axis", 0);
    if (b < 0 || b > 1 || t < 0 || t > 1 || b == t)
        return mc_fail(err, MC_E_FORMAT,
                       "batch_axis is %lld and time_axis %lld (0 and 1 are allowed, once each)",
                       (long long)b, (long long)t);
    *batch = (int)b;
    *time = (int)t;
    return MC_OK;
}

static mc_status shape_reverse(const mc_call *call, mc_err *err)
{
    const mc_nd *in = call->in[0], *lens = call->in[1];
    int batch = 0, time = 1;
    MC_TRY(read_reverse(call, &batch, &time, err));
    MC_TRY(mc_op_rank(call, 0, 2, MC_MAX_DIMS, err));
    MC_TRY(mc_op_rank(call, 1, 1, 1, err));
    if (lens->dtype != MC_I64 && lens->dtype != MC_I32 && lens->dtype != MC_DTYPE_NONE)
        return mc_op_refuse_dtype(call, 1, err);
    if (in->ndim >= 2 && lens->ndim == 1 && lens->dim[0] >= 0 && in->dim[batch] >= 0 &&
        lens->dim[0] != in->dim[batch])
        return mc_fail(err, MC_E_FORMAT, "there are %lld lengths for a batch of %lld",
                       (long long)lens->dim[0], (long long)in->dim[batch]);
    return mc_arg_set(call, 0, in->dtype, in->ndim, in->dim, err);
}

/* Of each sample the first `length` steps come in reverse, the others as they are. */
static mc_status run_reverse(const mc_call *call, mc_err *err)
{
    const mc_nd *in = call->in[0];
    int batch = 0, time = 1;
    MC_TRY(read_reverse(call, &batch, &time, err));
    const size_t run = mc_nd_span(in, 2, in->ndim) * mc_nd_width(in->dtype);
    const size_t steps = (size_t)in->dim[time], samples = (size_t)in->dim[batch];
    const size_t step_run = time == 0 ? samples * run : run;
    const size_t sample_run = batch == 0 ? steps * run : run;
    const unsigned char *from = in->data;
    unsigned char *to = call->out[0]->data;
    for (size_t b = 0; b < samples; b++) {
        const int64_t length = mc_nd_int(call->in[1], b);
        if (length < 0 || length > (int64_t)steps)
            return mc_fail(err, MC_E_FORMAT,
                           "the length of sample %zu is %lld (0 to %zu are allowed)", b,
                           (long long)length, steps);
        for (size_t t = 0; t < steps && run > 0; t++) {
            const size_t source = t < (size_t)length ? (size_t)length - 1 - t : t;
            memcpy(to + t * step_run + b * sample_run, from + source * step_run + b * sample_run,
                   run);
        }
    }
    return MC_OK;
}

#define LINE(op, version, least, most)                                                    \
    .domain = "", .name = op, .since = (version), .least_in = (least), .most_in = (most), \
    .most_out = 1, .flags = MC_OP_MOVES

#define SPLIT(version, most)                                                                 \
    {                                                                                        \
        .domain = "", .name = "Split", .since = (version), .least_in = 1, .most_in = (most), \
        .most_out = -1, .flags = MC_OP_MOVES, .shape = shape_split, .run = run_split         \
    }

const mc_op mc_ops_layout[] = {
    {LINE("Transpose", 1, 1, 1), .shape = shape_transpose, .run = run_transpose},
    {LINE("DepthToSpace", 1, 1, 1), .shape = shape_depth_to_space, .run = run_depth_to_space},
    {LINE("SpaceToDepth", 1, 1, 1), .shape = shape_space_to_depth, .run = run_space_to_depth},
    {LINE("Concat", 1, 1, -1), .shape = shape_concat, .run = run_concat},
    SPLIT(1, 2),
    SPLIT(2, 1),
    SPLIT(13, 2),
    {LINE("Slice", 1, 1, 1), .shape = shape_slice, .run = run_slice},
    {LINE("Slice", 10, 3, 5), .shape = shape_slice, .run = run_slice},
    {LINE("Tile", 1, 3, 3), .shape = shape_tile, .run = run_tile},
    {LINE("Tile", 6, 2, 2), .shape = shape_tile, .run = run_tile},
    {LINE("ReverseSequence", 10, 2, 2), .shape = shape_reverse, .run = run_reverse},
    {.domain = NULL},
};
