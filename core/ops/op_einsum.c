/* Einsum: operands are contracted two at a time, from the left.
 *
 * Of two operands every label is in both and stays (batch), in both and goes (k), or in one (m, n)
 * - those of one that go are summed first. So each step is a batch of matrix products, which
 * mc_gemm does where the operands lie, when their strides allow it, else on packed copies. Repeated
 * labels of an operand are a diagonal: a stride. Dimensions of 1 are left out.
 *
 * The same code first runs dry, to count the scratch memory it takes. */
#include "core/ckd.h"
#include "core/linalg.h"
#include "core/ops/op_args_shared.h"
#include "core/ops/op_einsum_equation.h"
#include "core/ops/op_move_shared.h"
#include "core/ops/op_number_shared.h"

#include <string.h>

enum { MOST_LABELS = MC_MOVE_DIMS };

/* An operand: labels with sizes and steps in elements, in any order. */
typedef struct {
    int n;
    uint8_t label[MOST_LABELS];
    size_t dim[MOST_LABELS], step[MOST_LABELS];
    const void *data;
} view;

typedef struct {
    const mc_einsum_equation *eq;
    mc_dtype dtype; /* F32, F64, or I64 for all whole numbers */
    size_t width;
    bool dry;
    size_t bytes; /* of scratch, counted when dry */
    mc_arena mem;
} job;

typedef struct {
    int n;
    uint8_t label[MOST_LABELS];
} labels;

static uint64_t mask_of(const view *v)
{
    uint64_t mask = 0;
    for (int i = 0; i < v->n; i++) mask |= (uint64_t)1 << v->label[i];
    return mask;
}

static bool has(uint64_t mask, uint8_t label)
{
    return mask >> label & 1;
}

static uint64_t output_mask(const job *j)
{
    uint64_t mask = 0;
    for (int i = 0; i < j->eq->out.n; i++) mask |= (uint64_t)1 << j->eq->out.label[i];
    return mask;
}

/* Labels of a mask: those of the output in its order, then the others. */
static mc_status list_labels(const job *j, uint64_t mask, labels *out, mc_err *err)
{
    out->n = 0;
    if (__builtin_popcountll(mask) > MOST_LABELS)
        return mc_fail(err, MC_E_UNSUPPORTED, "a product of more than %d dimensions",
                       (int)MOST_LABELS);
    for (int i = 0; i < j->eq->out.n; i++) {
        if (has(mask, j->eq->out.label[i])) out->label[out->n++] = j->eq->out.label[i];
    }
    mask &= ~output_mask(j);
    for (uint8_t l = 0; l < MC_EINSUM_LABELS; l++) {
        if (has(mask, l)) out->label[out->n++] = l;
    }
    return MC_OK;
}

static size_t count_of(const job *j, const labels *list)
{
    size_t n = 1; /* checked by room() before it is used for memory */
    for (int i = 0; i < list->n; i++) {
        if (!mc_mul_size(n, (size_t)j->eq->size[list->label[i]], &n)) return SIZE_MAX;
    }
    return n;
}

/* Room for n elements; NULL also when dry, which is no failure. */
static mc_status room(job *j, size_t n, void **out, mc_err *err)
{
    *out = NULL;
    if (j->dry) {
        j->bytes = mc_arg_plus(j->bytes, mc_arg_bytes(n, j->width));
        return MC_OK;
    }
    *out = mc_alloc_raw(&j->mem, n, j->width);
    return *out ? MC_OK : mc_no_room(err, "an intermediate product");
}

/* The step of a label, 0 when the view does not have it. */
static size_t step_of(const view *v, uint8_t label)
{
    for (int i = 0; i < v->n; i++) {
        if (v->label[i] == label) return v->step[i];
    }
    return 0;
}

/* A view whose elements lie in the order of the list. */
static view contiguous(const job *j, const labels *list, const void *data)
{
    view v = {.n = list->n, .data = data};
    size_t step = 1;
    for (int i = list->n - 1; i >= 0; i--) {
        v.label[i] = list->label[i];
        v.dim[i] = (size_t)j->eq->size[list->label[i]];
        v.step[i] = step;
        step *= v.dim[i];
    }
    return v;
}

/* ---- operands ---- */

/* Input k with its diagonals, whole numbers as I64. */
static mc_status open_operand(job *j, const mc_nd *x, const mc_einsum_term *t, view *v, mc_err *err)
{
    size_t step[MC_MAX_DIMS], inside = 1;
    for (int i = t->n - 1; i >= 0; i--) {
        step[i] = inside;
        inside *= (size_t)x->dim[i];
    }
    *v = (view){.data = x->data};
    for (int i = 0; i < t->n; i++) {
        if (x->dim[i] == 1) continue;
        int at = 0;
        while (at < v->n && v->label[at] != t->label[i]) at++;
        if (at == v->n) {
            v->label[v->n] = t->label[i];
            v->dim[v->n] = (size_t)x->dim[i];
            v->step[v->n++] = 0;
        }
        v->step[at] += step[i];
    }
    if (j->dtype != MC_I64 || x->dtype == MC_I64) return MC_OK;
    void *to;
    MC_TRY(room(j, x->count, &to, err));
    if (!j->dry) mc_num_convert(x->dtype, x->data, MC_I64, to, x->count);
    v->data = to;
    return MC_OK;
}

/* Copies a view into the order of the list. */
static void copy_view(const job *j, const view *v, const labels *list, void *to)
{
    mc_move move = {.ndim = 0};
    const view out = contiguous(j, list, to);
    for (int i = 0; i < list->n; i++)
        mc_move_add(&move, (int64_t)out.dim[i], (int64_t)step_of(v, list->label[i]),
                    (int64_t)out.step[i]);
    mc_move_run(&move, j->width, v->data, to);
}

static mc_status pack(job *j, view *v, const labels *list, mc_err *err)
{
    void *to;
    MC_TRY(room(j, count_of(j, list), &to, err));
    if (!j->dry) copy_view(j, v, list, to);
    *v = contiguous(j, list, to);
    return MC_OK;
}

#define SUM(s, T, S)                                                          \
    static void sum_##s(const void *from, size_t rows, size_t cols, void *to) \
    {                                                                         \
        const T *x = from;                                                    \
        T *y = to;                                                            \
        for (size_t r = 0; r < rows; r++) {                                   \
            S sum = 0;                                                        \
            for (size_t c = 0; c < cols; c++) sum += (S)x[r * cols + c];      \
            y[r] = (T)sum;                                                    \
        }                                                                     \
    }
SUM(f32, float, double)
SUM(f64, double, double)
SUM(i64, int64_t, uint64_t)

/* Adds up the labels that are not in `keep`. */
static mc_status sum_out(job *j, view *v, uint64_t keep, mc_err *err)
{
    const uint64_t all = mask_of(v);
    if ((all & ~keep) == 0) return MC_OK;
    labels stay, go, list;
    MC_TRY(list_labels(j, all & keep, &stay, err));
    MC_TRY(list_labels(j, all & ~keep, &go, err));
    list = stay;
    for (int i = 0; i < go.n; i++) list.label[list.n++] = go.label[i];
    MC_TRY(pack(j, v, &list, err));
    const size_t rows = count_of(j, &stay), cols = count_of(j, &go);
    void *to;
    MC_TRY(room(j, rows, &to, err));
    if (!j->dry) {
        if (j->dtype == MC_F32)
            sum_f32(v->data, rows, cols, to);
        else if (j->dtype == MC_F64)
            sum_f64(v->data, rows, cols, to);
        else
            sum_i64(v->data, rows, cols, to);
    }
    *v = contiguous(j, &stay, to);
    return MC_OK;
}

/* ---- products ---- */

/* A matrix inside a view: `at` elements from its beginning, as gemm takes it. */
typedef struct {
    size_t stride;
    int transposed;
} layout;

/* Several labels as one, when they lie like one: its step. */
static bool join(const job *j, const view *v, const labels *list, size_t *step)
{
    bool first = true;
    size_t inside = 0;
    *step = 1;
    for (int i = list->n - 1; i >= 0; i--) {
        const size_t own = step_of(v, list->label[i]);
        if (first)
            *step = own;
        else if (own != inside)
            return false;
        first = false;
        inside = own * (size_t)j->eq->size[list->label[i]];
    }
    return true;
}

static bool find_layout(const job *j, const view *v, const labels *row, const labels *col,
                        layout *out)
{
    size_t by_row, by_col;
    if (!join(j, v, row, &by_row) || !join(j, v, col, &by_col)) return false;
    const size_t rows = count_of(j, row), cols = count_of(j, col);
    if (cols == 1 || by_col == 1) {
        *out = (layout){.stride = rows == 1 ? cols : by_row};
        return out->stride >= cols;
    }
    if (rows == 1 || by_row == 1) {
        *out = (layout){.stride = by_col, .transposed = 1};
        return out->stride >= rows;
    }
    return false;
}

/* Finds how the view's matrices lie, packing them first when they lie in no such way. */
static mc_status as_matrices(job *j, view *v, const labels *batch, const labels *row,
                             const labels *col, layout *out, mc_err *err)
{
    if (find_layout(j, v, row, col, out)) return MC_OK;
    labels list = *batch;
    for (int i = 0; i < row->n; i++) list.label[list.n++] = row->label[i];
    for (int i = 0; i < col->n; i++) list.label[list.n++] = col->label[i];
    MC_TRY(pack(j, v, &list, err));
    *out = (layout){.stride = count_of(j, col)};
    return MC_OK;
}

typedef struct {
    size_t m, n, k;
    layout a, b;
} product;

static void multiply_i64(const product *p, const int64_t *a, const int64_t *b, int64_t *c)
{
    const size_t a_row = p->a.transposed ? 1 : p->a.stride,
                 a_col = p->a.transposed ? p->a.stride : 1;
    const size_t b_row = p->b.transposed ? 1 : p->b.stride,
                 b_col = p->b.transposed ? p->b.stride : 1;
    for (size_t i = 0; i < p->m; i++) {
        for (size_t o = 0; o < p->n; o++) {
            uint64_t sum = 0;
            for (size_t t = 0; t < p->k; t++)
                sum += (uint64_t)a[i * a_row + t * a_col] * (uint64_t)b[t * b_row + o * b_col];
            c[i * p->n + o] = (int64_t)sum;
        }
    }
}

static void multiply(const job *j, const product *p, const view *a, size_t a_at, const view *b,
                     size_t b_at, void *to, size_t to_at)
{
    if (j->dtype == MC_F32) {
        const mc_gemm_operand left = {(const float *)a->data + a_at, p->a.stride, p->a.transposed};
        const mc_gemm_operand right = {(const float *)b->data + b_at, p->b.stride, p->b.transposed};
        float *c = (float *)to + to_at;
        if (p->m == 1 && p->n == 1 && p->k == 1)
            *c = *left.at * *right.at;
        else
            mc_gemm(p->m, p->n, p->k, left, right, 0.0f, c, p->n);
    } else if (j->dtype == MC_F64) {
        mc_gemm_f64(p->m, p->n, p->k, (const double *)a->data + a_at, p->a.stride, p->a.transposed,
                    (const double *)b->data + b_at, p->b.stride, p->b.transposed, 0.0,
                    (double *)to + to_at, p->n);
    } else {
        multiply_i64(p, (const int64_t *)a->data + a_at, (const int64_t *)b->data + b_at,
                     (int64_t *)to + to_at);
    }
}

static void multiply_all(const job *j, const product *p, const view *a, const view *b,
                         const labels *batch, void *to)
{
    size_t index[MOST_LABELS] = {0}, a_at = 0, b_at = 0;
    const size_t count = count_of(j, batch);
    for (size_t i = 0; i < count; i++) {
        multiply(j, p, a, a_at, b, b_at, to, i * p->m * p->n);
        for (int d = batch->n - 1; d >= 0; d--) {
            const size_t n = (size_t)j->eq->size[batch->label[d]];
            const size_t a_step = step_of(a, batch->label[d]), b_step = step_of(b, batch->label[d]);
            a_at += a_step;
            b_at += b_step;
            if (++index[d] < n) break;
            a_at -= a_step * n;
            b_at -= b_step * n;
            index[d] = 0;
        }
    }
}

/* Whether the output has labels of `b` alone in front of those of `a` alone. */
static bool other_way_round(const job *j, uint64_t a, uint64_t b)
{
    for (int i = 0; i < j->eq->out.n; i++) {
        const uint8_t l = j->eq->out.label[i];
        if (has(a, l) != has(b, l)) return has(b, l);
    }
    return false;
}

/* The product of two views, over the labels that are not kept. `last` (or NULL): where the result
 * belongs when its order is the output's. */
static mc_status contract(job *j, view a, view b, uint64_t keep, void *last, view *out, mc_err *err)
{
    MC_TRY(sum_out(j, &a, keep | mask_of(&b), err));
    MC_TRY(sum_out(j, &b, keep | mask_of(&a), err));
    if (other_way_round(j, mask_of(&a), mask_of(&b))) {
        const view first = a;
        a = b;
        b = first;
    }
    const uint64_t left = mask_of(&a), right = mask_of(&b);
    labels batch, m, n, k, list;
    MC_TRY(list_labels(j, left & right & keep, &batch, err));
    MC_TRY(list_labels(j, left & ~right, &m, err));
    MC_TRY(list_labels(j, right & ~left, &n, err));
    MC_TRY(list_labels(j, left & right & ~keep, &k, err));
    MC_TRY(list_labels(j, (left | right) & keep, &list, err));
    product p = {.m = count_of(j, &m), .n = count_of(j, &n), .k = count_of(j, &k)};
    MC_TRY(as_matrices(j, &a, &batch, &m, &k, &p.a, err));
    MC_TRY(as_matrices(j, &b, &batch, &k, &n, &p.b, err));

    labels made = batch;
    for (int i = 0; i < m.n; i++) made.label[made.n++] = m.label[i];
    for (int i = 0; i < n.n; i++) made.label[made.n++] = n.label[i];
    void *to = last;
    if (!last || memcmp(made.label, list.label, (size_t)list.n) != 0)
        MC_TRY(room(j, count_of(j, &made), &to, err));
    if (!j->dry) multiply_all(j, &p, &a, &b, &batch, to);
    *out = contiguous(j, &made, to);
    return MC_OK;
}

/* ---- all of it ---- */

static mc_dtype product_dtype(const mc_nd *x)
{
    const mc_dtype storage = mc_nd_storage(x->dtype);
    return storage == MC_F32 || storage == MC_F64 ? storage : MC_I64;
}

static mc_status finish(job *j, view *v, const mc_nd *out, mc_err *err)
{
    labels order = {.n = 0};
    for (int i = 0; i < j->eq->out.n; i++) {
        const uint8_t label = j->eq->out.label[i];
        if (j->eq->size[label] != 1) order.label[order.n++] = label;
    }
    MC_TRY(sum_out(j, v, output_mask(j), err));
    if (j->dtype == MC_I64 && out->dtype != MC_I64) {
        MC_TRY(pack(j, v, &order, err));
        if (!j->dry) mc_num_convert(MC_I64, v->data, out->dtype, out->data, out->count);
    } else if (!j->dry && v->data != out->data) {
        copy_view(j, v, &order, out->data);
    }
    return MC_OK;
}

static mc_status einsum(const mc_call *call, job *j, const mc_nd *out, mc_err *err)
{
    const bool direct = j->dtype != MC_I64 || out->dtype == MC_I64;
    view all = {.n = 0}, next;
    MC_TRY(open_operand(j, call->in[0], &j->eq->in[0], &all, err));
    for (size_t k = 1; k < call->ins; k++) {
        uint64_t keep = output_mask(j);
        for (size_t later = k + 1; later < call->ins; later++) {
            for (int i = 0; i < j->eq->in[later].n; i++)
                keep |= (uint64_t)1 << j->eq->in[later].label[i];
        }
        MC_TRY(open_operand(j, call->in[k], &j->eq->in[k], &next, err));
        const bool is_last = direct && k + 1 == call->ins;
        MC_TRY(contract(j, all, next, keep, is_last ? out->data : NULL, &all, err));
    }
    return finish(j, &all, out, err);
}

static mc_status shape_einsum(const mc_call *call, mc_err *err)
{
    mc_dtype dtype;
    mc_einsum_equation eq;
    for (size_t i = 0; i < call->ins; i++) MC_TRY(mc_num_need(call, i, MC_NUM_ANY_NUMBER, err));
    MC_TRY(mc_num_alike(call, 0, call->ins, &dtype, err));
    MC_TRY(mc_einsum_read(call, &eq, err));
    if (!eq.ranked) return mc_op_unknown(call, 0, dtype, MC_RANK_UNKNOWN, err);
    int64_t dim[MC_MAX_DIMS];
    for (int i = 0; i < eq.out.n; i++) dim[i] = eq.size[eq.out.label[i]];
    return mc_arg_set(call, 0, dtype, eq.out.n, dim, err);
}

static mc_status open_job(const mc_call *call, mc_einsum_equation *eq, job *j, mc_err *err)
{
    MC_TRY(mc_einsum_read(call, eq, err));
    j->eq = eq;
    j->dtype = product_dtype(call->in[0]);
    j->width = mc_nd_width(j->dtype);
    return MC_OK;
}

static bool has_empty_label(const mc_einsum_equation *eq)
{
    for (int l = 0; l < MC_EINSUM_LABELS; l++) {
        if (eq->size[l] == 0) return true;
    }
    return false;
}

static size_t scratch_einsum(const mc_call *call)
{
    mc_err err = {.status = MC_OK};
    mc_einsum_equation eq;
    job j = {.dry = true};
    if (!mc_arg_out(call, 0) || open_job(call, &eq, &j, &err) != MC_OK) return 0;
    const mc_nd out = {.dtype = call->out[0]->dtype, .count = call->out[0]->count};
    if (has_empty_label(&eq) || einsum(call, &j, &out, &err) != MC_OK) return 0;
    return j.bytes;
}

static mc_status run_einsum(const mc_call *call, mc_err *err)
{
    const mc_nd *out = mc_arg_out(call, 0);
    mc_einsum_equation eq;
    job j = {.mem = call->scratch};
    if (!out || out->count == 0) return MC_OK;
    MC_TRY(open_job(call, &eq, &j, err));
    if (!has_empty_label(&eq)) return einsum(call, &j, out, err);
    memset(out->data, 0, out->count * mc_nd_width(out->dtype)); /* sums of nothing */
    return MC_OK;
}

const mc_op mc_ops_einsum[] = {
    {.domain = "",
     .name = "Einsum",
     .since = 12,
     .least_in = 1,
     .most_in = -1,
     .most_out = 1,
     .shape = shape_einsum,
     .run = run_einsum,
     .scratch = scratch_einsum},
    {.name = NULL},
};
