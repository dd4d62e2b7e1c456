/* TopK and Unique: choosing by order.
 *
 * Every number becomes a 64-bit key that rises with it: the bits of a double, with those of
 * negative ones turned over. -0 is 0 and NaN is above everything. So one heap and one merge sort
 * serve all dtypes. */
#include "core/ops/op_select_order.h"

#include "core/ops/op_args_shared.h"
#include "core/ops/op_move_shared.h"
#include "core/ops/op_number_shared.h"

#include <math.h>
#include <string.h>

#define TOP ((uint64_t)1 << 63)

static inline uint64_t real_key(double x)
{
    uint64_t bits;
    if (isnan(x)) return UINT64_MAX;
    if (x == 0.0) return TOP;
    memcpy(&bits, &x, sizeof bits);
    return bits & TOP ? ~bits : bits | TOP;
}

/* Keys of n elements that lie `step` apart. */
#define KEYS(s, T, expr)                                                         \
    static void keys_##s(const void *from, size_t n, size_t step, uint64_t *key) \
    {                                                                            \
        const T *x = from;                                                       \
        for (size_t i = 0; i < n; i++) key[i] = (expr);                          \
    }
#define X(id, T, W, s) KEYS(s, T, real_key((double)x[i * step]))
MC_NUM_FLOATS(X)
#undef X
#define X(id, T, W, s) KEYS(s, T, (uint64_t)(int64_t)x[i * step] ^ TOP)
MC_NUM_SIGNED(X)
#undef X
#define X(id, T, W, s) KEYS(s, T, x[i * step])
MC_NUM_UNSIGNED(X)
#undef X

typedef void (*keys_loop)(const void *x, size_t n, size_t step, uint64_t *key);
static const keys_loop key_loops[MC_DTYPE_COUNT] = {
#define X(id, T, W, s) [MC_##id] = keys_##s,
    MC_NUM_ALL(X)
#undef X
        [MC_BOOL] = keys_u8,
};

/* ---- TopK ---- */

typedef struct {
    uint64_t key;
    size_t index;
} entry;

/* Of equal keys the later one. */
static bool is_worse(entry a, entry b)
{
    return a.key < b.key || (a.key == b.key && a.index > b.index);
}

/* Lets the entry at `at` sink to where both below it are better: the worst is at the top. */
static void sink(entry *heap, size_t n, size_t at)
{
    const entry moved = heap[at];
    for (size_t child = 2 * at + 1; child < n; child = 2 * at + 1) {
        if (child + 1 < n && is_worse(heap[child + 1], heap[child])) child++;
        if (!is_worse(heap[child], moved)) break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = moved;
}

/* The k best of n keys, the best first. */
static void choose(const uint64_t *key, size_t n, entry *heap, size_t k)
{
    if (k == 0) return;
    for (size_t i = 0; i < k; i++) heap[i] = (entry){key[i], i};
    for (size_t i = k / 2; i-- > 0;) sink(heap, k, i);
    for (size_t i = k; i < n; i++) {
        if (key[i] <= heap[0].key) continue;
        heap[0] = (entry){key[i], i};
        sink(heap, k, 0);
    }
    for (size_t left = k; left > 1; left--) {
        const entry worst = heap[0];
        heap[0] = heap[left - 1];
        heap[left - 1] = worst;
        sink(heap, left - 1, 0);
    }
}

/* k is an attribute before version 10. */
static mc_status find_k(const mc_call *call, int64_t *k, bool *known, mc_err *err)
{
    size_t n = 1;
    *known = true;
    if (call->version < 10)
        *k = mc_node_int(call->node, "k", -1);
    else
        MC_TRY(mc_op_ints(call, 1, k, 1, &n, known, err));
    if (*known && (n != 1 || *k < 0)) return mc_fail(err, MC_E_FORMAT, "k is missing, or below 0");
    return MC_OK;
}

mc_status mc_topk_shape(const mc_call *call, mc_err *err)
{
    const mc_nd *x = call->in[0];
    int64_t k = -1, dim[MC_MAX_DIMS] = {0};
    bool known;
    int axis;
    MC_TRY(mc_num_need(call, 0, MC_NUM_ANY_NUMBER, err));
    if (call->version >= 10) MC_TRY(mc_num_need(call, 1, MC_NUM_INT, err));
    MC_TRY(find_k(call, &k, &known, err));
    if (x->ndim >= 0) {
        MC_TRY(mc_op_axis(mc_node_int(call->node, "axis", -1), x->ndim, "axis", &axis, err));
        memcpy(dim, x->dim, (size_t)x->ndim * sizeof *dim);
        if (known && dim[axis] >= 0 && k > dim[axis])
            return mc_fail(err, MC_E_FORMAT, "k is %lld, axis %d has %lld elements", (long long)k,
                           axis, (long long)dim[axis]);
        dim[axis] = known ? k : -1;
    }
    MC_TRY(mc_arg_set(call, 0, x->dtype, x->ndim, dim, err));
    return mc_arg_set(call, 1, MC_I64, x->ndim, dim, err);
}

/* Bounds of all dimensions, whichever the axis is. */
static size_t longest(const mc_nd *x)
{
    size_t n = 1;
    for (int i = 0; i < x->ndim; i++) n = (size_t)x->dim[i] > n ? (size_t)x->dim[i] : n;
    return n;
}

size_t mc_topk_scratch(const mc_call *call)
{
    const size_t n = longest(call->in[0]);
    return mc_arg_plus(mc_arg_bytes(n, sizeof(uint64_t)), mc_arg_bytes(n, sizeof(entry)));
}

static void put_chosen(const mc_call *call, const entry *heap, size_t k, size_t x_at, size_t y_at,
                       size_t inner)
{
    const mc_nd *x = call->in[0], *values = mc_arg_out(call, 0), *places = mc_arg_out(call, 1);
    const size_t width = mc_nd_width(x->dtype);
    for (size_t j = 0; j < k; j++) {
        const size_t from = x_at + heap[j].index * inner, to = y_at + j * inner;
        if (values)
            memcpy((unsigned char *)values->data + to * width,
                   (const unsigned char *)x->data + from * width, width);
        if (places) ((int64_t *)places->data)[to] = (int64_t)heap[j].index;
    }
}

mc_status mc_topk_run(const mc_call *call, mc_err *err)
{
    const mc_nd *x = call->in[0];
    const keys_loop keys = key_loops[mc_nd_storage(x->dtype)];
    if (!keys) return mc_op_refuse_dtype(call, 0, err);
    int64_t asked = 0;
    bool known;
    int axis;
    MC_TRY(find_k(call, &asked, &known, err));
    MC_TRY(mc_op_axis(mc_node_int(call->node, "axis", -1), x->ndim, "axis", &axis, err));
    const bool largest = mc_node_int(call->node, "largest", 1) != 0;
    const size_t outer = mc_nd_span(x, 0, axis), inner = mc_nd_span(x, axis + 1, x->ndim);
    const size_t n = (size_t)x->dim[axis], k = (size_t)asked, width = mc_nd_width(x->dtype);
    mc_arena mem = call->scratch;
    uint64_t *key = MC_NEW_RAW(&mem, uint64_t, n);
    entry *heap = MC_NEW_RAW(&mem, entry, n);
    if (!key || !heap) return mc_no_room(err, "keys");
    for (size_t row = 0; row < outer * inner; row++) {
        const size_t o = row / inner, i = row % inner, at = o * n * inner + i;
        keys((const unsigned char *)x->data + at * width, n, inner, key);
        for (size_t j = 0; j < n && !largest; j++) key[j] = ~key[j];
        choose(key, n, heap, k);
        put_chosen(call, heap, k, at, o * k * inner + i, inner);
    }
    return MC_OK;
}

/* ---- Unique ---- */

/* `n` slices, each of outer x inner elements: element (o, i) of slice s is (o * n + s) * inner + i.
 * Strings are compared by their bytes. */
typedef struct {
    const uint64_t *key;
    const mc_nd_text *text;
    size_t outer, n, inner;
} slices;

static int compare_texts(mc_nd_text a, mc_nd_text b)
{
    const size_t both = a.length < b.length ? a.length : b.length;
    const int order = both > 0 ? memcmp(a.at, b.at, both) : 0;
    return order != 0 ? order : (a.length > b.length) - (a.length < b.length);
}

static int compare(const slices *s, size_t a, size_t b)
{
    for (size_t o = 0; o < s->outer; o++) {
        for (size_t i = 0; i < s->inner; i++) {
            const size_t x = (o * s->n + a) * s->inner + i, y = (o * s->n + b) * s->inner + i;
            const int order = s->text ? compare_texts(s->text[x], s->text[y])
                                      : (s->key[x] > s->key[y]) - (s->key[x] < s->key[y]);
            if (order != 0) return order;
        }
    }
    return 0;
}

/* Merges order[from, middle) and order[middle, to) into `out`; of equals the left one first. */
static void merge(const slices *s, const size_t *order, size_t from, size_t middle, size_t to,
                  size_t *out)
{
    size_t a = from, b = middle;
    for (size_t i = from; i < to; i++) {
        const bool left = a < middle && (b == to || compare(s, order[a], order[b]) <= 0);
        out[i] = left ? order[a++] : order[b++];
    }
}

/* Slices in rising order, equal ones in theirs. The result is in one of the two arrays. */
static size_t *sort(const slices *s, size_t *order, size_t *spare)
{
    for (size_t i = 0; i < s->n; i++) order[i] = i;
    for (size_t width = 1; width < s->n; width *= 2) {
        for (size_t from = 0; from < s->n; from += 2 * width) {
            const size_t middle = s->n - from < width ? s->n : from + width;
            const size_t to = s->n - middle < width ? s->n : middle + width;
            merge(s, order, from, middle, to, spare);
        }
        size_t *const merged = spare;
        spare = order;
        order = merged;
    }
    return order;
}

/* Distinct slices: group[s] of each slice, and of each group its first slice and its size. */
typedef struct {
    size_t count, *group, *first, *size;
} groups;

static void find_groups(const slices *s, const size_t *order, groups *g)
{
    g->count = 0;
    for (size_t i = 0; i < s->n; i++) {
        if (i == 0 || compare(s, order[i - 1], order[i]) != 0) {
            g->first[g->count] = order[i];
            g->size[g->count++] = 0;
        }
        g->group[order[i]] = g->count - 1;
        g->size[g->count - 1]++;
    }
}

/* Numbers groups by their first slices. `number` and `size` have room for g->n numbers. */
static void in_order_of_appearance(groups *g, size_t n, size_t *number, size_t *size)
{
    size_t seen = 0;
    for (size_t i = 0; i < n; i++) {
        const size_t old = g->group[i];
        if (g->first[old] == i) number[old] = seen++;
    }
    for (size_t i = 0; i < n; i++) {
        const size_t old = g->group[i];
        if (g->first[old] == i) size[number[old]] = g->size[old];
    }
    for (size_t i = n; i-- > 0;) {
        const size_t old = g->group[i];
        g->group[i] = number[old];
    }
    for (size_t i = n; i-- > 0;) g->first[g->group[i]] = i;
    memcpy(g->size, size, g->count * sizeof *size);
}

static mc_status unique_axis(const mc_call *call, int *axis, bool *flat, mc_err *err)
{
    const mc_nd *x = call->in[0];
    *flat = mc_node_attr(call->node, "axis") == NULL;
    *axis = 0;
    if (*flat || x->ndim < 0) return MC_OK;
    return mc_op_axis(mc_node_int(call->node, "axis", 0), x->ndim, "axis", axis, err);
}

mc_status mc_unique_shape(const mc_call *call, mc_err *err)
{
    const mc_nd *x = call->in[0];
    int64_t dim[MC_MAX_DIMS] = {-1};
    const int64_t unknown[1] = {-1};
    int axis;
    bool flat;
    MC_TRY(mc_num_need(call, 0, MC_NUM_ANY & ~(unsigned)MC_NUM_TINY, err));
    MC_TRY(unique_axis(call, &axis, &flat, err));
    if (!flat && x->ndim > 0) {
        memcpy(dim, x->dim, (size_t)x->ndim * sizeof *dim);
        dim[axis] = -1;
    }
    MC_TRY(mc_arg_set(call, 0, x->dtype, flat ? 1 : x->ndim, dim, err));
    for (size_t i = 1; i < 4; i++) MC_TRY(mc_arg_set(call, i, MC_I64, 1, unknown, err));
    return MC_OK;
}

size_t mc_unique_scratch(const mc_call *call)
{
    size_t n = 1 + call->in[0]->count, bytes = 0;
    for (int i = 0; i < call->in[0]->ndim; i++) /* an axis of an empty tensor may be long */
        n = (size_t)call->in[0]->dim[i] > n ? (size_t)call->in[0]->dim[i] : n;
    for (int i = 0; i < 6; i++) bytes = mc_arg_plus(bytes, mc_arg_bytes(n, sizeof(uint64_t)));
    return bytes;
}

static mc_status make_list(const mc_call *call, size_t i, size_t n, mc_err *err)
{
    mc_nd *t = mc_arg_out(call, i);
    if (!t) return MC_OK;
    MC_TRY(mc_arg_set(call, i, MC_I64, 1, (int64_t[]){(int64_t)n}, err));
    return call->host->make(call->host, t, err);
}

static mc_status make_outputs(const mc_call *call, const slices *s, const groups *g, int axis,
                              bool flat, mc_err *err)
{
    const mc_nd *x = call->in[0];
    int64_t dim[MC_MAX_DIMS];
    memcpy(dim, x->dim, sizeof dim);
    dim[flat ? 0 : axis] = (int64_t)g->count;
    MC_TRY(mc_arg_set(call, 0, x->dtype, flat ? 1 : x->ndim, dim, err));
    if (mc_arg_out(call, 0)) MC_TRY(call->host->make(call->host, call->out[0], err));
    MC_TRY(make_list(call, 1, g->count, err));
    MC_TRY(make_list(call, 2, s->n, err));
    return make_list(call, 3, g->count, err);
}

static void fill_outputs(const mc_call *call, const slices *s, const groups *g)
{
    const mc_nd *x = call->in[0], *y = mc_arg_out(call, 0), *indices = mc_arg_out(call, 1);
    const mc_nd *inverse = mc_arg_out(call, 2), *counts = mc_arg_out(call, 3);
    const size_t bytes = s->inner * mc_nd_width(x->dtype);
    for (size_t o = 0; o < s->outer && y; o++) {
        for (size_t k = 0; k < g->count && bytes > 0; k++)
            memcpy((unsigned char *)y->data + (o * g->count + k) * bytes,
                   (const unsigned char *)x->data + (o * s->n + g->first[k]) * bytes, bytes);
    }
    for (size_t k = 0; k < g->count; k++) {
        if (indices) ((int64_t *)indices->data)[k] = (int64_t)g->first[k];
        if (counts) ((int64_t *)counts->data)[k] = (int64_t)g->size[k];
    }
    for (size_t i = 0; i < s->n && inverse; i++)
        ((int64_t *)inverse->data)[i] = (int64_t)g->group[i];
}

mc_status mc_unique_run(const mc_call *call, mc_err *err)
{
    const mc_nd *x = call->in[0];
    const keys_loop keys = key_loops[mc_nd_storage(x->dtype)];
    int axis;
    bool flat;
    MC_TRY(unique_axis(call, &axis, &flat, err));
    slices s = {.outer = 1, .n = x->count, .inner = 1};
    if (!flat)
        s = (slices){.outer = mc_nd_span(x, 0, axis),
                     .n = (size_t)x->dim[axis],
                     .inner = mc_nd_span(x, axis + 1, x->ndim)};
    mc_arena mem = call->scratch;
    uint64_t *key = MC_NEW_RAW(&mem, uint64_t, x->count);
    size_t *order = MC_NEW_RAW(&mem, size_t, s.n), *spare = MC_NEW_RAW(&mem, size_t, s.n);
    groups g = {.group = MC_NEW_RAW(&mem, size_t, s.n),
                .first = MC_NEW_RAW(&mem, size_t, s.n),
                .size = MC_NEW_RAW(&mem, size_t, s.n)};
    if (!key || !order || !spare || !g.group || !g.first || !g.size) return mc_no_room(err, "keys");
    if (x->dtype == MC_STRING)
        s.text = x->data;
    else if (keys)
        keys(x->data, x->count, 1, key);
    else
        return mc_op_refuse_dtype(call, 0, err);
    s.key = key;

    size_t *sorted = sort(&s, order, spare);
    find_groups(&s, sorted, &g);
    if (mc_node_int(call->node, "sorted", 1) == 0) in_order_of_appearance(&g, s.n, order, spare);
    MC_TRY(make_outputs(call, &s, &g, axis, flat, err));
    fill_outputs(call, &s, &g);
    return MC_OK;
}
