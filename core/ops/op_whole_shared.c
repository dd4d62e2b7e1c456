/* Products of matrices of small whole numbers, by products of floats: 256 terms of at most 255^2
 * stay below 2^24, so every sum of them is exact in f32, in whatever order it is taken. What such
 * pieces give is added up in 32 bits. */
#include "core/ops/op_whole_shared.h"

enum { TILE_ROWS = 64, TILE_COLS = 512, DEPTH = 256 };

static mc_gemm_operand part(mc_gemm_operand m, size_t row, size_t col)
{
    m.at += m.transposed ? col * m.stride + row : row * m.stride + col;
    return m;
}

size_t mc_whole_scratch(void)
{
    return TILE_ROWS * TILE_COLS * sizeof(float) + 128;
}

static void add_tile(const float *tile, size_t rows, size_t cols, bool first, int32_t *c,
                     size_t stride)
{
    for (size_t i = 0; i < rows; i++) {
        for (size_t j = 0; j < cols; j++) {
            const uint32_t before = first ? 0u : (uint32_t)c[i * stride + j];
            c[i * stride + j] = (int32_t)(before + (uint32_t)(int32_t)tile[i * cols + j]);
        }
    }
}

mc_status mc_whole_product(size_t m, size_t n, size_t k, mc_gemm_operand a, mc_gemm_operand b,
                           int32_t *c, mc_arena scratch, mc_err *err)
{
    float *tile = MC_NEW_RAW(&scratch, float, TILE_ROWS *TILE_COLS);
    if (!tile) return mc_no_room(err, "a tile of a product");
    for (size_t i = 0; i < m * n && k == 0; i++) c[i] = 0;
    for (size_t i = 0; i < m; i += TILE_ROWS) {
        const size_t rows = m - i < TILE_ROWS ? m - i : TILE_ROWS;
        for (size_t j = 0; j < n; j += TILE_COLS) {
            const size_t cols = n - j < TILE_COLS ? n - j : TILE_COLS;
            for (size_t t = 0; t < k; t += DEPTH) {
                const size_t depth = k - t < DEPTH ? k - t : DEPTH;
                mc_gemm(rows, cols, depth, part(a, i, t), part(b, t, j), 0.0f, tile, cols);
                add_tile(tile, rows, cols, t == 0, c + i * n + j, n);
            }
        }
    }
    return MC_OK;
}

/* ---- stacks ---- */

mc_status mc_stack_shape(const mc_call *call, const mc_nd *a, const mc_nd *b, mc_nd *out,
                         mc_err *err)
{
    mc_nd left = *a, right = *b, product = {.kind = MC_ND_TENSOR, .ndim = MC_RANK_UNKNOWN};
    left.dtype = right.dtype = MC_F32;
    left.lazy = right.lazy = NULL;
    const mc_nd *in[] = {&left, &right};
    mc_nd *outs[] = {&product};
    mc_call matmul = *call;
    matmul.version = 13;
    matmul.in = in;
    matmul.ins = 2;
    matmul.out = outs;
    matmul.outs = 1;
    MC_TRY(mc_op_find("", "MatMul", matmul.version)->shape(&matmul, err));
    return mc_nd_set(out, out->dtype, product.ndim, product.dim, err);
}

/* Dimension d of a stack of `ndim`, counted so that the last of all stacks meet. */
static size_t stack_dim(const mc_nd *t, int d, int ndim)
{
    const int own = d - (ndim - (t->ndim - 2));
    return own < 0 || t->ndim < 3 ? 1 : (size_t)t->dim[own];
}

mc_stack mc_stack_of(const mc_nd *a, const mc_nd *b)
{
    const int rank = a->ndim > b->ndim ? a->ndim : b->ndim;
    mc_stack s = {.m = a->ndim > 1 ? (size_t)a->dim[a->ndim - 2] : 1,
                  .n = b->ndim > 1 ? (size_t)b->dim[b->ndim - 1] : 1,
                  .k = (size_t)a->dim[a->ndim - 1],
                  .ndim = rank > 2 ? rank - 2 : 0,
                  .products = 1};
    size_t of_a = 1, of_b = 1;
    for (int d = s.ndim; d-- > 0;) {
        const size_t na = stack_dim(a, d, s.ndim), nb = stack_dim(b, d, s.ndim);
        s.dim[d] = na == 1 ? nb : na;
        s.a[d] = na == 1 ? 0 : of_a;
        s.b[d] = nb == 1 ? 0 : of_b;
        of_a *= na;
        of_b *= nb;
        s.products *= s.dim[d];
    }
    return s;
}

void mc_stack_at(const mc_stack *s, size_t i, size_t *at_a, size_t *at_b)
{
    *at_a = *at_b = 0;
    for (int d = s->ndim; d-- > 0;) {
        *at_a += i % s->dim[d] * s->a[d];
        *at_b += i % s->dim[d] * s->b[d];
        i /= s->dim[d];
    }
}
