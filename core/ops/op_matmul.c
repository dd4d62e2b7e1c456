/* Products of matrices: MatMul, Gemm, and Linear of our own domain.
 *
 * Floats go through mc_gemm. A weight is taken in tiles of whole stored rows, in the same tiles
 * whether it lies in memory or is decoded piece by piece, so that both give the same numbers. A
 * stack of samples shares the weight but is multiplied sample by sample: what comes out for one
 * does not depend on how many others stand beside it. */
#include "core/linalg.h"
#include "core/op.h"
#include "core/ops/op_args_shared.h"
#include "core/ops/op_whole_shared.h"

#include <math.h>
#include <string.h>

enum { TILE = 1 << 20 }; /* elements of a weight that are multiplied at a time */

static const mc_dtype numbers[] = {MC_F16, MC_BF16, MC_F32, MC_F64,       MC_I32,
                                   MC_U32, MC_I64,  MC_U64, MC_DTYPE_NONE};
static const mc_dtype floats[] = {MC_F16, MC_BF16, MC_F32, MC_F64, MC_DTYPE_NONE};

/* ---- one weight, many samples ---- */

typedef struct {
    mc_gemm_operand x; /* rows x k, of the first sample */
    size_t samples, rows, k, n;
    const mc_nd *w; /* in a stack of matrices, this one starts at: */
    size_t first;
    bool transposed; /* w is n x k, else k x n */
    float *y;        /* samples x rows x n */
    bool add;        /* to what y holds */
} product;

static size_t tile_rows(size_t row)
{
    return row < TILE ? TILE / (row > 0 ? row : 1) : 1;
}

/* Rows [at, at + rows) of the stored matrix, multiplied into every sample. */
static void multiply_tile(const product *p, const float *w, size_t at, size_t rows)
{
    for (size_t s = 0; s < p->samples; s++) {
        mc_gemm_operand x = p->x;
        x.at += s * p->rows * p->k;
        float *y = p->y + s * p->rows * p->n;
        if (p->transposed) {
            const mc_gemm_operand tile = {w, p->k, 1};
            mc_gemm(p->rows, rows, p->k, x, tile, p->add ? 1.0f : 0.0f, y + at, p->n);
        } else {
            const mc_gemm_operand tile = {w, p->n, 0};
            x.at += at * (x.transposed ? x.stride : 1);
            mc_gemm(p->rows, p->n, rows, x, tile, p->add || at > 0 ? 1.0f : 0.0f, y, p->n);
        }
    }
}

static mc_status multiply(const product *p, mc_arena scratch, mc_err *err)
{
    const size_t outputs = p->samples * p->rows * p->n;
    if (outputs == 0) return MC_OK;
    if (p->k == 0) {
        if (!p->add) memset(p->y, 0, outputs * sizeof *p->y);
        return MC_OK;
    }
    const size_t row = p->transposed ? p->k : p->n, rows = p->transposed ? p->n : p->k;
    const size_t step = tile_rows(row) < rows ? tile_rows(row) : rows;
    float *tile = p->w->lazy ? MC_NEW_RAW(&scratch, float, step *row) : NULL;
    if (p->w->lazy && !tile) return mc_no_room(err, "a tile of a weight");
    for (size_t at = 0; at < rows; at += step) {
        const size_t n = rows - at < step ? rows - at : step;
        const size_t from = p->first + at * row;
        if (p->w->lazy) MC_TRY(p->w->lazy->read(p->w->lazy, from, n * row, tile, err));
        multiply_tile(p, tile ? tile : (const float *)p->w->data + from, at, n);
    }
    return MC_OK;
}

/* The last two dimensions of in[1], stored as rows of `row`. */
static size_t lazy_tile(int64_t rows, int64_t row)
{
    if (rows < 0 || row < 0) return 0;
    const size_t step = tile_rows((size_t)row);
    const size_t n = step < (size_t)rows ? step : (size_t)rows;
    return mc_arg_bytes(n * (size_t)row, sizeof(float));
}

static size_t scratch(const mc_call *call)
{
    const mc_nd *w = mc_arg_in(call, 1);
    if (!w->lazy || w->ndim < 1) return 0;
    if (w->ndim == 1) return lazy_tile(w->dim[0], 1);
    return lazy_tile(w->dim[w->ndim - 2], w->dim[w->ndim - 1]);
}

/* Rows of x as samples (dim 0) of rows (all others but the last). */
static void split_rows(const mc_nd *x, size_t *samples, size_t *rows)
{
    *samples = x->ndim > 2 ? (size_t)x->dim[0] : 1;
    *rows = mc_nd_span(x, x->ndim > 2, x->ndim - 1);
}

/* ---- dtypes ---- */

/* All inputs are of one dtype; floats may differ as long as they lie alike. */
static mc_status check_dtypes(const mc_call *call, const mc_dtype *allowed, mc_err *err)
{
    bool any_float = false, any_whole = false;
    mc_dtype first = MC_DTYPE_NONE;
    for (size_t i = 0; i < call->ins; i++) {
        MC_TRY(mc_arg_dtype(call, i, allowed, err));
        const mc_dtype dtype = call->in[i] ? call->in[i]->dtype : MC_DTYPE_NONE;
        if (dtype == MC_DTYPE_NONE) continue;
        const bool is_float = mc_dtype_about(dtype)->is_float;
        any_float = any_float || is_float;
        any_whole = any_whole || !is_float;
        if (first == MC_DTYPE_NONE) first = dtype;
        if (any_whole && dtype != first)
            return mc_fail(err, MC_E_FORMAT, "input %zu is %s, the others are %s", i,
                           mc_dtype_about(dtype)->name, mc_dtype_about(first)->name);
    }
    return any_float ? mc_arg_floats(call, 0, call->ins, err) : MC_OK;
}

/* c[m x n] = a b by integers that wrap around; a_t, b_t: stored transposed. */
#define WHOLE_PRODUCT(name, type)                                                           \
    static void name(size_t m, size_t n, size_t k, const type *a, bool a_t, const type *b,  \
                     bool b_t, type *c)                                                     \
    {                                                                                       \
        for (size_t i = 0; i < m; i++)                                                      \
            for (size_t j = 0; j < n; j++) {                                                \
                type sum = 0;                                                               \
                for (size_t t = 0; t < k; t++)                                              \
                    sum += a[a_t ? t * m + i : i * k + t] * b[b_t ? j * k + t : t * n + j]; \
                c[i * n + j] = sum;                                                         \
            }                                                                               \
    }
WHOLE_PRODUCT(product_u32, uint32_t)
WHOLE_PRODUCT(product_u64, uint64_t)

typedef struct {
    size_t m, n, k;
    bool a_transposed, b_transposed;
} sizes;

/* What is not f32: matrix `at_a` of a times matrix `at_b` of b into matrix `at_c` of c. */
static void multiply_others(sizes s, const mc_call *call, size_t at_a, size_t at_b, size_t at_c)
{
    const mc_nd *a = call->in[0], *b = call->in[1], *c = call->out[0];
    const size_t from_a = at_a * s.m * s.k, from_b = at_b * s.k * s.n, to = at_c * s.m * s.n;
    if (mc_nd_storage(a->dtype) == MC_F64) {
        mc_gemm_f64(s.m, s.n, s.k, (const double *)a->data + from_a, s.a_transposed ? s.m : s.k,
                    s.a_transposed, (const double *)b->data + from_b, s.b_transposed ? s.k : s.n,
                    s.b_transposed, 0.0, (double *)c->data + to, s.n);
    } else if (mc_nd_width(a->dtype) == 4) {
        product_u32(s.m, s.n, s.k, (const uint32_t *)a->data + from_a, s.a_transposed,
                    (const uint32_t *)b->data + from_b, s.b_transposed, (uint32_t *)c->data + to);
    } else {
        product_u64(s.m, s.n, s.k, (const uint64_t *)a->data + from_a, s.a_transposed,
                    (const uint64_t *)b->data + from_b, s.b_transposed, (uint64_t *)c->data + to);
    }
}

static mc_status check_inner(int64_t a, int64_t b, mc_err *err)
{
    if (a >= 0 && b >= 0 && a != b)
        return mc_fail(err, MC_E_FORMAT,
                       "input 0 has rows of %lld, which input 1 cannot take (it has %lld)",
                       (long long)a, (long long)b);
    return MC_OK;
}

/* ---- MatMul ---- */

/* The leading dimensions, which count matrices. */
static mc_nd stack_of(const mc_nd *t)
{
    mc_nd stack = {.dtype = t->dtype, .ndim = t->ndim > 2 ? t->ndim - 2 : 0};
    memcpy(stack.dim, t->dim, (size_t)stack.ndim * sizeof *t->dim);
    return stack;
}

static mc_status matmul_shape(const mc_call *call, mc_err *err)
{
    MC_TRY(check_dtypes(call, call->version < 9 ? floats : numbers, err));
    const mc_nd *a = call->in[0], *b = call->in[1];
    if (a->ndim == 0 || b->ndim == 0)
        return mc_fail(err, MC_E_FORMAT, "input %d is a scalar, at least 1 dimension is needed",
                       a->ndim != 0);
    const mc_dtype dtype = a->dtype != MC_DTYPE_NONE ? a->dtype : b->dtype;
    if (a->ndim < 0 || b->ndim < 0) return mc_arg_set(call, 0, dtype, MC_RANK_UNKNOWN, NULL, err);
    MC_TRY(check_inner(a->dim[a->ndim - 1], b->dim[b->ndim > 1 ? b->ndim - 2 : 0], err));
    const mc_nd stack_a = stack_of(a), stack_b = stack_of(b);
    mc_nd out = {.dtype = dtype};
    MC_TRY(mc_op_broadcast(&stack_a, &stack_b, &out, err));
    if (out.ndim < 0) return mc_arg_set(call, 0, dtype, MC_RANK_UNKNOWN, NULL, err);
    if (a->ndim > 1) out.dim[out.ndim++] = a->dim[a->ndim - 2];
    if (b->ndim > 1) out.dim[out.ndim++] = b->dim[b->ndim - 1];
    return mc_arg_set(call, 0, dtype, out.ndim, out.dim, err);
}

static mc_status matmul_f32(const mc_call *call, const mc_stack *s, mc_err *err)
{
    const float *x = call->in[0]->data;
    float *y = call->out[0]->data;
    product p = {.x = {x, s->k, 0}, .samples = 1, .rows = s->m, .k = s->k, .n = s->n};
    p.w = call->in[1];
    p.y = y;
    if (p.w->ndim <= 2) {
        if (call->in[0]->ndim > 1) split_rows(call->in[0], &p.samples, &p.rows);
        return multiply(&p, call->scratch, err);
    }
    for (size_t i = 0; i < s->products; i++) {
        size_t at_a, at_b;
        mc_stack_at(s, i, &at_a, &at_b);
        p.x.at = x + at_a * s->m * s->k;
        p.first = at_b * s->k * s->n;
        p.y = y + i * s->m * s->n;
        MC_TRY(multiply(&p, call->scratch, err));
    }
    return MC_OK;
}

static mc_status matmul_run(const mc_call *call, mc_err *err)
{
    const mc_nd *a = call->in[0], *b = call->in[1];
    if (call->out[0]->count == 0) return MC_OK;
    const mc_stack s = mc_stack_of(a, b);
    if (mc_arg_is_f32(a)) return matmul_f32(call, &s, err);
    const sizes each = {.m = s.m, .n = s.n, .k = s.k};
    for (size_t i = 0; i < s.products; i++) {
        size_t at_a, at_b;
        mc_stack_at(&s, i, &at_a, &at_b);
        multiply_others(each, call, at_a, at_b, i);
    }
    return MC_OK;
}

/* ---- Gemm: alpha op(a) op(b) + beta c ---- */

static sizes gemm_sizes(const mc_call *call)
{
    const mc_nd *a = call->in[0], *b = call->in[1];
    const bool ta = mc_node_int(call->node, "transA", 0) != 0;
    const bool tb = mc_node_int(call->node, "transB", 0) != 0;
    return (sizes){.m = (size_t)a->dim[ta],
                   .n = (size_t)b->dim[!tb],
                   .k = (size_t)a->dim[!ta],
                   .a_transposed = ta,
                   .b_transposed = tb};
}

/* c[...] must broadcast to m x n without widening it; before version 7 only if the node says so. */
static mc_status check_addend(const mc_call *call, const int64_t out[2], mc_err *err)
{
    const mc_nd *c = mc_arg_in(call, 2);
    if (!c || c->ndim < 0) return MC_OK;
    const bool stretches = call->version >= 7 || mc_node_int(call->node, "broadcast", 0) != 0;
    bool fits = stretches ? c->ndim <= 2 : c->ndim == 2;
    for (int d = 0; fits && d < c->ndim; d++) {
        const int64_t want = out[2 - c->ndim + d], found = c->dim[d];
        fits = found < 0 || want < 0 || found == want || (found == 1 && stretches);
    }
    if (fits) return MC_OK;
    char found[MC_ND_TEXT];
    return mc_fail(err, MC_E_FORMAT, "input 2 is %s, which does not broadcast to %lld x %lld",
                   mc_nd_show(c, found), (long long)out[0], (long long)out[1]);
}

/* Whole numbers are multiplied by whole numbers only. */
static mc_status check_factor(const mc_call *call, const char *name, mc_err *err)
{
    const mc_dtype dtype = call->in[0]->dtype;
    const double x = mc_node_float(call->node, name, 1.0);
    if (dtype == MC_DTYPE_NONE || mc_dtype_about(dtype)->is_float) return MC_OK;
    if (!(fabs(x) <= 0x1p53) || x != floor(x))
        return mc_fail(err, MC_E_UNSUPPORTED, "%s is %g; of %s, a whole number is needed", name, x,
                       mc_dtype_about(dtype)->name);
    return MC_OK;
}

static mc_status gemm_shape(const mc_call *call, mc_err *err)
{
    MC_TRY(check_dtypes(call, call->version < 9 ? floats : numbers, err));
    MC_TRY(check_factor(call, "alpha", err));
    MC_TRY(check_factor(call, "beta", err));
    int64_t a[2] = {-1, -1}, b[2] = {-1, -1};
    MC_TRY(mc_arg_dims(call, 0, 2, a, err));
    MC_TRY(mc_arg_dims(call, 1, 2, b, err));
    const bool ta = mc_node_int(call->node, "transA", 0) != 0;
    const bool tb = mc_node_int(call->node, "transB", 0) != 0;
    MC_TRY(check_inner(a[!ta], b[tb], err));
    const int64_t out[2] = {a[ta], b[!tb]};
    MC_TRY(check_addend(call, out, err));
    return mc_arg_set(call, 0, call->in[0]->dtype, 2, out, err);
}

/* The addend seen as m x n: steps of 0 repeat it. */
typedef struct {
    size_t row, col;
} addend_steps;

static addend_steps addend(const mc_nd *c)
{
    const size_t cols = c->ndim > 0 ? (size_t)c->dim[c->ndim - 1] : 1;
    const size_t rows = c->ndim > 1 ? (size_t)c->dim[0] : 1;
    return (addend_steps){.row = rows > 1 ? cols : 0, .col = cols > 1};
}

/* y = alpha y + beta c; `wide` is what is computed in. */
#define BLEND(name, type, wide)                                                                  \
    static void name(size_t m, size_t n, wide alpha, type *y, wide beta, const mc_nd *c)         \
    {                                                                                            \
        const addend_steps step = c ? addend(c) : (addend_steps){0};                             \
        for (size_t i = 0; i < m; i++)                                                           \
            for (size_t j = 0; j < n; j++) {                                                     \
                const wide scaled = alpha * (wide)y[i * n + j];                                  \
                const type *from = c ? (const type *)c->data + i * step.row : NULL;              \
                y[i * n + j] = (type)(from ? scaled + beta * (wide)from[j * step.col] : scaled); \
            }                                                                                    \
    }
BLEND(blend_f32, float, float)
BLEND(blend_f64, double, double)
BLEND(blend_u32, uint32_t, uint32_t)
BLEND(blend_u64, uint64_t, uint64_t)

/* alpha is mostly 1: then the addend is laid out first and the product goes on top. */
static mc_status gemm_f32(const mc_call *call, sizes s, mc_err *err)
{
    const float alpha = (float)mc_node_float(call->node, "alpha", 1.0);
    const float beta = (float)mc_node_float(call->node, "beta", 1.0);
    const mc_nd *c = beta != 0.0f ? mc_arg_in(call, 2) : NULL;
    product p = {.x = {call->in[0]->data, s.a_transposed ? s.m : s.k, s.a_transposed},
                 .samples = 1,
                 .rows = s.m,
                 .k = s.k,
                 .n = s.n};
    p.w = call->in[1];
    p.transposed = s.b_transposed;
    p.y = call->out[0]->data;
    p.add = c && alpha == 1.0f;
    if (p.add) {
        memset(p.y, 0, s.m * s.n * sizeof *p.y);
        blend_f32(s.m, s.n, 0.0f, p.y, beta, c);
    }
    MC_TRY(multiply(&p, call->scratch, err));
    if (alpha != 1.0f) blend_f32(s.m, s.n, alpha, p.y, beta, c);
    return MC_OK;
}

static mc_status gemm_run(const mc_call *call, mc_err *err)
{
    const sizes s = gemm_sizes(call);
    const mc_dtype dtype = call->in[0]->dtype;
    const double alpha = mc_node_float(call->node, "alpha", 1.0);
    const double beta = mc_node_float(call->node, "beta", 1.0);
    const mc_nd *c = beta != 0.0 ? mc_arg_in(call, 2) : NULL;
    if (call->out[0]->count == 0) return MC_OK;
    if (mc_arg_is_f32(call->in[0])) return gemm_f32(call, s, err);
    multiply_others(s, call, 0, 0, 0);
    void *y = call->out[0]->data;
    const int64_t times = dtype != MC_F64 ? (int64_t)alpha : 0;
    const int64_t plus = dtype != MC_F64 ? (int64_t)beta : 0;
    if (dtype == MC_F64) {
        blend_f64(s.m, s.n, alpha, y, beta, c);
    } else if (mc_nd_width(dtype) == 4) {
        blend_u32(s.m, s.n, (uint32_t)times, y, (uint32_t)plus, c);
    } else {
        blend_u64(s.m, s.n, (uint64_t)times, y, (uint64_t)plus, c);
    }
    return MC_OK;
}

/* ---- Linear: x w^T + b ---- */

static mc_status linear_shape(const mc_call *call, mc_err *err)
{
    MC_TRY(mc_arg_floats(call, 0, call->ins, err));
    const mc_nd *x = call->in[0];
    int64_t w[2] = {-1, -1};
    MC_TRY(mc_arg_dims(call, 1, 2, w, err));
    MC_TRY(mc_arg_dims(call, 2, 1, w, err));
    if (x->ndim < 0) return mc_arg_set(call, 0, x->dtype, MC_RANK_UNKNOWN, NULL, err);
    if (x->ndim == 0)
        return mc_fail(err, MC_E_FORMAT, "input 0 is a scalar, at least 1 dimension is needed");
    MC_TRY(check_inner(x->dim[x->ndim - 1], w[1], err));
    int64_t dim[MC_MAX_DIMS];
    memcpy(dim, x->dim, (size_t)x->ndim * sizeof *dim);
    dim[x->ndim - 1] = w[0];
    return mc_arg_set(call, 0, x->dtype, x->ndim, dim, err);
}

static mc_status linear_run(const mc_call *call, mc_err *err)
{
    const mc_nd *x = call->in[0], *w = call->in[1], *b = mc_arg_in(call, 2);
    if (call->out[0]->count == 0) return MC_OK;
    const sizes s = {.m = mc_nd_span(x, 0, x->ndim - 1),
                     .n = (size_t)w->dim[0],
                     .k = (size_t)w->dim[1],
                     .b_transposed = true};
    if (mc_arg_is_f64(x)) {
        multiply_others(s, call, 0, 0, 0);
        if (b) blend_f64(s.m, s.n, 1.0, call->out[0]->data, 1.0, b);
        return MC_OK;
    }
    product p = {.x = {x->data, s.k, 0}, .k = s.k, .n = s.n, .w = w, .transposed = true};
    split_rows(x, &p.samples, &p.rows);
    p.y = call->out[0]->data;
    p.add = b != NULL;
    for (size_t i = 0; b && i < s.m; i++) memcpy(p.y + i * s.n, b->data, s.n * sizeof *p.y);
    return multiply(&p, call->scratch, err);
}

#define GEMM(version, least)                                                              \
    {                                                                                     \
        .name = "Gemm", .since = version, .least_in = least, .most_in = 3, .most_out = 1, \
        .flags = MC_OP_LAZY, .domain = "", .shape = gemm_shape, .run = gemm_run,          \
        .scratch = scratch                                                                \
    }

const mc_op mc_ops_matmul[] = {
    {.domain = "",
     .name = "MatMul",
     .since = 1,
     .least_in = 2,
     .most_in = 2,
     .most_out = 1,
     .flags = MC_OP_LAZY,
     .shape = matmul_shape,
     .run = matmul_run,
     .scratch = scratch},
    GEMM(1, 3),
    GEMM(11, 2),
    {.domain = MC_DOMAIN,
     .name = "Linear",
     .since = 1,
     .least_in = 2,
     .most_in = 3,
     .most_out = 1,
     .flags = MC_OP_LAZY,
     .shape = linear_shape,
     .run = linear_run,
     .scratch = scratch},
    {.domain = NULL},
};
