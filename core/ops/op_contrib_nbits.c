/* Weights of 2, 4 or 8 bits in blocks along a row, packed low bits first: MatMulNBits multiplies by
 * them (a tile of rows decoded at a time), GatherBlockQuantized looks rows up. */
#include "core/ckd.h"
#include "core/linalg.h"
#include "core/ops/op_args_shared.h"
#include "core/ops/op_contrib_shared.h"
#include "core/ops/op_move_shared.h"

#include <string.h>

enum { TILE = 1 << 18 }; /* decoded numbers at a time */

/* Code i of packed bytes. */
static unsigned code_at(const uint8_t *at, size_t i, unsigned bits)
{
    const size_t per = 8 / bits;
    return (unsigned)at[i / per] >> (i % per * bits) & ((1u << bits) - 1);
}

static mc_status check_bits(const mc_call *call, mc_err *err)
{
    const int64_t bits = mc_node_int(call->node, "bits", 4);
    if (bits == 2 || bits == 4 || bits == 8) return MC_OK;
    return mc_fail(err, MC_E_UNSUPPORTED, "bits is %lld; allowed are 2, 4 and 8", (long long)bits);
}

static mc_status check_block(int64_t block, mc_err *err)
{
    if (block >= 16 && block <= INT32_MAX && (block & (block - 1)) == 0) return MC_OK;
    return mc_fail(err, MC_E_FORMAT, "block_size is %lld; allowed are powers of two from 16 on",
                   (long long)block);
}

/* ---- MatMulNBits: A, B, scales, zero points?, g_idx?, bias? ---- */

enum { A, B, SCALES, ZEROS, ORDER, BIAS };

typedef struct {
    size_t n, k, block, blocks;
    unsigned bits;
    size_t row, zero_row; /* bytes of a row of codes, of packed zero points */
} packing;

static mc_status find_packing(const mc_call *call, packing *p, mc_err *err)
{
    const int64_t n = mc_node_int(call->node, "N", 0), k = mc_node_int(call->node, "K", 0);
    const int64_t block = mc_node_int(call->node, "block_size", 0);
    MC_TRY(check_bits(call, err));
    MC_TRY(check_block(block, err));
    if (n < 1 || k < 1 || n > INT32_MAX || k > INT32_MAX)
        return mc_fail(err, MC_E_FORMAT, "N is %lld and K %lld; allowed is 1 to %d", (long long)n,
                       (long long)k, (int)INT32_MAX);
    *p = (packing){.n = (size_t)n, .k = (size_t)k, .block = (size_t)block};
    p->bits = (unsigned)mc_node_int(call->node, "bits", 4);
    p->blocks = (size_t)mc_ceil_div(p->k, p->block);
    p->row = p->blocks * (p->block * p->bits / 8);
    p->zero_row = (size_t)mc_ceil_div(p->blocks * p->bits, 8);
    return MC_OK;
}

/* Input i holds `want` elements, however they are arranged, or is left out or not known. */
static mc_status check_count(const mc_call *call, size_t i, size_t want, const char *what,
                             mc_err *err)
{
    const mc_nd *t = mc_arg_in(call, i);
    if (!t || !mc_nd_shape_known(t) || t->count == want) return MC_OK;
    char found[MC_ND_TEXT];
    return mc_fail(err, MC_E_FORMAT, "input %zu is %s; allowed are %zu %s", i, mc_nd_show(t, found),
                   want, what);
}

static mc_status check_order(const mc_call *call, const packing *p, mc_err *err)
{
    static const mc_dtype whole[] = {MC_I32, MC_DTYPE_NONE};
    const mc_nd *order = mc_arg_in(call, ORDER);
    MC_TRY(mc_arg_dtype(call, ORDER, whole, err));
    if (!order || !mc_nd_shape_known(order) || order->count == p->blocks * p->block) return MC_OK;
    return check_count(call, ORDER, p->k, "groups", err);
}

mc_status mc_nbits_shape(const mc_call *call, mc_err *err)
{
    static const mc_dtype bytes[] = {MC_U8, MC_DTYPE_NONE};
    const mc_nd *a = call->in[A], *zeros = mc_arg_in(call, ZEROS);
    packing p;
    MC_TRY(find_packing(call, &p, err));
    const size_t floats[] = {A, SCALES, BIAS};
    for (size_t i = 0; i < 3; i++) {
        MC_TRY(mc_arg_floats(call, floats[i], floats[i] + 1, err));
        if (mc_arg_in(call, floats[i]) && mc_arg_is_f64(call->in[floats[i]]))
            return mc_op_refuse_dtype(call, floats[i], err);
    }
    MC_TRY(mc_arg_dtype(call, B, bytes, err));
    MC_TRY(check_count(call, B, p.n * p.row, "packed bytes", err));
    MC_TRY(check_count(call, SCALES, p.n * p.blocks, "scales", err));
    MC_TRY(check_count(call, BIAS, p.n, "numbers", err));
    MC_TRY(check_order(call, &p, err));
    const bool packed = zeros && zeros->dtype == MC_U8;
    if (zeros && !packed && zeros->dtype != MC_DTYPE_NONE && !mc_arg_is_f32(zeros))
        return mc_op_refuse_dtype(call, ZEROS, err);
    MC_TRY(check_count(call, ZEROS, p.n * (packed ? p.zero_row : p.blocks), "zero points", err));
    if (mc_node_int(call->node, "weight_prepacked", 0) != 0)
        return mc_fail(err, MC_E_UNSUPPORTED,
                       "weight_prepacked is not 0: the layout is a device's");
    if (a->ndim == 0 ||
        (a->ndim > 0 && a->dim[a->ndim - 1] >= 0 && a->dim[a->ndim - 1] != (int64_t)p.k)) {
        char found[MC_ND_TEXT];
        return mc_fail(err, MC_E_FORMAT, "input 0 is %s; allowed are rows of %zu",
                       mc_nd_show(a, found), p.k);
    }
    int64_t dim[MC_MAX_DIMS];
    memcpy(dim, a->dim, sizeof dim);
    if (a->ndim > 0) dim[a->ndim - 1] = (int64_t)p.n;
    return mc_arg_set(call, 0, a->dtype, a->ndim, dim, err);
}

static float zero_point(const mc_call *call, const packing *p, size_t row, size_t block)
{
    const mc_nd *zeros = mc_arg_in(call, ZEROS);
    if (!zeros) return (float)(1u << (p->bits - 1));
    if (zeros->dtype != MC_U8) return ((const float *)zeros->data)[row * p->blocks + block];
    return (float)code_at((const uint8_t *)zeros->data + row * p->zero_row, block, p->bits);
}

static void decode_row(const mc_call *call, const packing *p, size_t row, float *w)
{
    const uint8_t *codes = (const uint8_t *)call->in[B]->data + row * p->row;
    const float *scales = (const float *)call->in[SCALES]->data + row * p->blocks;
    const mc_nd *order = mc_arg_in(call, ORDER);
    if (order) {
        for (size_t i = 0; i < p->k; i++) {
            const size_t block = (size_t)((const int32_t *)order->data)[i];
            const float zero = zero_point(call, p, row, block);
            w[i] = ((float)code_at(codes, i, p->bits) - zero) * scales[block];
        }
        return;
    }
    for (size_t block = 0; block < p->blocks; block++) {
        const float zero = zero_point(call, p, row, block), scale = scales[block];
        const size_t first = block * p->block;
        const size_t end = p->k - first < p->block ? p->k : first + p->block;
        for (size_t i = first; i < end; i++)
            w[i] = ((float)code_at(codes, i, p->bits) - zero) * scale;
    }
}

static mc_status check_groups(const mc_call *call, const packing *p, mc_err *err)
{
    const mc_nd *order = mc_arg_in(call, ORDER);
    for (size_t i = 0; order && i < p->k; i++) {
        const int32_t block = ((const int32_t *)order->data)[i];
        if (block >= 0 && (size_t)block < p->blocks) continue;
        return mc_fail(err, MC_E_FORMAT, "g_idx[%zu] is %d; allowed is 0 to %zu", i, (int)block,
                       p->blocks - 1);
    }
    return MC_OK;
}

static size_t tile_rows(const packing *p)
{
    const size_t rows = p->k < TILE ? TILE / p->k : 1;
    return rows < p->n ? rows : p->n;
}

mc_status mc_nbits_run(const mc_call *call, mc_err *err)
{
    mc_arena scratch = call->scratch;
    packing p;
    MC_TRY(find_packing(call, &p, err));
    MC_TRY(check_groups(call, &p, err));
    const mc_nd *bias = mc_arg_in(call, BIAS);
    const size_t step = tile_rows(&p), m = call->in[A]->count / p.k;
    float *w = mc_alloc_raw(&scratch, step, p.k * sizeof(float)), *y = call->out[0]->data;
    if (!w) return mc_no_room(err, "a tile of a weight");
    for (size_t at = 0; at < p.n; at += step) {
        const size_t rows = p.n - at < step ? p.n - at : step;
        for (size_t r = 0; r < rows; r++) decode_row(call, &p, at + r, w + r * p.k);
        const mc_gemm_operand left = {.at = call->in[A]->data, .stride = p.k};
        const mc_gemm_operand right = {.at = w, .stride = p.k, .transposed = 1};
        mc_gemm(m, rows, p.k, left, right, 0.0f, y + at, p.n);
    }
    for (size_t i = 0; bias && i < m * p.n; i++) y[i] += ((const float *)bias->data)[i % p.n];
    return MC_OK;
}

size_t mc_nbits_scratch(const mc_call *call)
{
    packing p;
    mc_err err;
    if (find_packing(call, &p, &err) != MC_OK) return 0;
    return mc_arg_bytes(tile_rows(&p), mc_arg_bytes(p.k, sizeof(float)));
}

/* ---- GatherBlockQuantized: data, indices, scales, zero points? ---- */

enum { DATA, INDICES, GATHER_SCALES, GATHER_ZEROS };

typedef struct {
    unsigned bits; /* of packed bytes; 0: an element is a number */
    int gather, quantize;
    mc_nd data; /* unpacked */
    int64_t block;
} lookup;

static mc_status find_lookup(const mc_call *call, lookup *l, mc_err *err)
{
    const mc_nd *data = call->in[DATA];
    *l = (lookup){.data = *data, .block = mc_node_int(call->node, "block_size", 128)};
    const bool is_float = mc_nd_is_small_float(data->dtype);
    if (data->dtype == MC_U8) l->bits = (unsigned)mc_node_int(call->node, "bits", 4);
    if (data->ndim < 1) return mc_op_rank(call, DATA, 1, MC_MAX_DIMS, err);
    MC_TRY(mc_op_axis(mc_node_int(call->node, "gather_axis", 0), data->ndim, "gather_axis",
                      &l->gather, err));
    MC_TRY(mc_op_axis(mc_node_int(call->node, "quantize_axis", 1), data->ndim, "quantize_axis",
                      &l->quantize, err));
    int64_t *last = &l->data.dim[data->ndim - 1];
    if (l->bits > 0 && *last >= 0) {
        if (*last > INT64_MAX / 8) return mc_op_refuse_dtype(call, DATA, err);
        *last *= 8 / (int64_t)l->bits;
    }
    if (l->bits > 0 && l->bits < 8 && l->gather != 0)
        return mc_fail(err, MC_E_FORMAT, "gather_axis is %d; allowed is 0 for packed bytes",
                       l->gather);
    const int64_t size = l->data.dim[l->quantize];
    if (is_float && l->block == 0)
        l->block = size > 0 ? size : 1;
    else
        MC_TRY(check_block(l->block, err));
    return MC_OK;
}

static mc_status check_blocks(const mc_call *call, const lookup *l, mc_err *err)
{
    const mc_nd *scales = call->in[GATHER_SCALES], *zeros = mc_arg_in(call, GATHER_ZEROS);
    const bool is_float = mc_nd_is_small_float(l->data.dtype);
    if (l->data.ndim < 0 || scales->ndim < 0) return MC_OK;
    int64_t want[MC_MAX_DIMS];
    for (int d = 0; d < l->data.ndim; d++) {
        want[d] = l->data.dim[d];
        if (d == l->quantize && want[d] >= 0)
            want[d] = want[d] / l->block + (want[d] % l->block != 0);
        if (d != l->quantize && is_float && d < scales->ndim && scales->dim[d] == 1) want[d] = 1;
    }
    MC_TRY(mc_arg_dims(call, GATHER_SCALES, l->data.ndim, want, err));
    if (zeros && is_float)
        return mc_fail(err, MC_E_FORMAT, "zero points; allowed are none for %s",
                       mc_dtype_about(l->data.dtype)->name);
    int64_t *last = &want[l->data.ndim - 1];
    if (l->bits > 0 && *last >= 0) *last = (int64_t)mc_ceil_div((uint64_t)*last * l->bits, 8);
    return mc_arg_dims(call, GATHER_ZEROS, l->data.ndim, want, err);
}

mc_status mc_gather_blocks_shape(const mc_call *call, mc_err *err)
{
    static const mc_dtype codes[] = {MC_U8,          MC_U4,      MC_I4,
                                     MC_F8_E4M3,     MC_F8_E5M2, MC_F8_E4M3FNUZ,
                                     MC_F8_E5M2FNUZ, MC_F4,      MC_DTYPE_NONE};
    static const mc_dtype whole[] = {MC_I32, MC_I64, MC_DTYPE_NONE};
    const mc_nd *data = call->in[DATA], *indices = call->in[INDICES];
    const mc_nd *scales = call->in[GATHER_SCALES], *zeros = mc_arg_in(call, GATHER_ZEROS);
    lookup l;
    MC_TRY(check_bits(call, err));
    MC_TRY(mc_arg_dtype(call, DATA, codes, err));
    MC_TRY(mc_arg_dtype(call, INDICES, whole, err));
    MC_TRY(mc_arg_floats(call, GATHER_SCALES, GATHER_SCALES + 1, err));
    if (mc_arg_is_f64(scales)) return mc_op_refuse_dtype(call, GATHER_SCALES, err);
    if (zeros && zeros->dtype != MC_DTYPE_NONE && data->dtype != MC_DTYPE_NONE &&
        zeros->dtype != data->dtype)
        return mc_op_refuse_dtype(call, GATHER_ZEROS, err);
    MC_TRY(find_lookup(call, &l, err));
    MC_TRY(check_blocks(call, &l, err));
    if (data->ndim < 0 || indices->ndim < 0)
        return mc_arg_set(call, 0, scales->dtype, MC_RANK_UNKNOWN, NULL, err);
    int64_t dim[2 * MC_MAX_DIMS];
    int n = 0;
    for (int d = 0; d < l.gather; d++) dim[n++] = l.data.dim[d];
    for (int d = 0; d < indices->ndim; d++) dim[n++] = indices->dim[d];
    for (int d = l.gather + 1; d < data->ndim; d++) dim[n++] = l.data.dim[d];
    return mc_arg_set(call, 0, scales->dtype, n, dim, err);
}

/* The scale that element i of the unpacked data belongs to. */
static size_t scale_at(const lookup *l, const mc_nd *scales, size_t i)
{
    size_t at = 0, stride = 1;
    for (int d = l->data.ndim; d-- > 0;) {
        const size_t size = (size_t)l->data.dim[d], own = (size_t)scales->dim[d];
        const size_t place = d == l->quantize ? i % size / (size_t)l->block : i % size;
        at += own == 1 ? 0 : place * stride;
        stride *= own;
        i /= size;
    }
    return at;
}

/* Zero points are packed in rows of their own, as scales stand. */
static float gathered(const mc_call *call, const lookup *l, size_t i)
{
    const mc_nd *scales = call->in[GATHER_SCALES], *zeros = mc_arg_in(call, GATHER_ZEROS);
    const size_t at = scale_at(l, scales, i);
    const float scale = ((const float *)scales->data)[at];
    float zero = l->bits > 0 ? (float)(1u << (l->bits - 1)) : 0.0f;
    if (l->bits == 0) {
        if (zeros) zero = (float)mc_nd_real(zeros, at);
        return ((float)mc_nd_real(call->in[DATA], i) - zero) * scale;
    }
    if (zeros) {
        const size_t row = (size_t)scales->dim[scales->ndim - 1];
        const size_t bytes = (size_t)zeros->dim[zeros->ndim - 1];
        const uint8_t *from = (const uint8_t *)zeros->data + at / row * bytes;
        zero = (float)code_at(from, at % row, l->bits);
    }
    return ((float)code_at(call->in[DATA]->data, i, l->bits) - zero) * scale;
}

mc_status mc_gather_blocks_run(const mc_call *call, mc_err *err)
{
    lookup l;
    MC_TRY(find_lookup(call, &l, err));
    const mc_nd *indices = call->in[INDICES];
    const size_t outer = mc_nd_span(&l.data, 0, l.gather);
    const size_t inner = mc_nd_span(&l.data, l.gather + 1, l.data.ndim);
    const int64_t rows = l.data.dim[l.gather];
    float *y = call->out[0]->data;
    for (size_t o = 0; o < outer; o++) {
        for (size_t k = 0; k < indices->count; k++) {
            int64_t row = mc_nd_int(indices, k);
            if (row < -rows || row >= rows)
                return mc_fail(err, MC_E_FORMAT, "index %zu is %lld; allowed is %lld to %lld", k,
                               (long long)row, -(long long)rows, (long long)rows - 1);
            if (row < 0) row += rows;
            const size_t first = (o * (size_t)rows + (size_t)row) * inner;
            for (size_t i = 0; i < inner; i++) *y++ = gathered(call, &l, first + i);
        }
    }
    return MC_OK;
}
