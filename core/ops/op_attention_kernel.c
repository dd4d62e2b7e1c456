/* The kernel of attention: blocks of queries, and which keys they may see (op_attention_shared.h).
 * Numbers are f32 or f64, by one source for both (op_attention_real.inc). */
#include "core/ops/op_attention_shared.h"

#include "core/linalg.h"
#include "core/ops/op_args_shared.h"
#include "core/ops/op_math_shared.h"

#include <math.h>
#include <string.h>

/* Enough rows for products of matrices to be fast; few enough that a causal block, which computes
 * up to this many keys too many for each row, stays near the triangle. */
enum { ROWS = 64 };

typedef struct {
    size_t from, to;
} span;

typedef struct {
    size_t batch, head, kv_head;
    size_t row, rows;          /* queries */
    size_t keys;               /* in all */
    size_t lo, hi;             /* keys that any of the queries sees */
    size_t score_lo, score_hi; /* keys that scores are computed of: all when they are wanted */
    size_t width;              /* of the heads that a product works on */
    const void *q;             /* the first of the queries */
    size_t q_row;
    mc_heads k[2], v[2];
} block;

/* ---- what differs between f32 and f64 ---- */

static void gemm_f32(size_t m, size_t n, size_t k, const float *a, size_t lda, const float *b,
                     size_t ldb, bool transposed, float beta, float *c, size_t ldc)
{
    const mc_gemm_operand left = {.at = a, .stride = lda};
    const mc_gemm_operand right = {.at = b, .stride = ldb, .transposed = transposed};
    mc_gemm(m, n, k, left, right, beta, c, ldc);
}

static void gemm_f64(size_t m, size_t n, size_t k, const double *a, size_t lda, const double *b,
                     size_t ldb, bool transposed, double beta, double *c, size_t ldc)
{
    mc_gemm_f64(m, n, k, a, lda, 0, b, ldb, transposed, beta, c, ldc);
}

static void tanh_f32(float *x, size_t n)
{
    mc_tanh_f32(x, x, n);
}

static void tanh_f64(double *x, size_t n)
{
    for (size_t i = 0; i < n; i++) x[i] = tanh(x[i]);
}

static float max_f32(const float *x, size_t n)
{
    return mc_max_f32(x, n);
}

static double max_f64(const double *x, size_t n)
{
    double most = -(double)INFINITY;
    for (size_t i = 0; i < n; i++) most = x[i] <= most ? most : x[i];
    return most;
}

static double exp_sum_f32(float *x, size_t n, float most, bool wide)
{
    if (!wide) return mc_exp_sum_f32(x, x, n, most);
    double sum = 0.0;
    for (size_t i = 0; i < n; i++) {
        const double e = exp((double)x[i] - (double)most);
        x[i] = (float)e;
        sum += e;
    }
    return sum;
}

static double exp_sum_f64(double *x, size_t n, double most, bool wide)
{
    (void)wide;
    double sum = 0.0;
    for (size_t i = 0; i < n; i++) sum += x[i] = exp(x[i] - most);
    return sum;
}

/* ---- caches ---- */

void mc_heads_join(const mc_heads part[2], size_t batches, size_t heads, size_t size, size_t width,
                   void *out)
{
    char *to = out;
    const size_t bytes = size * width;
    for (size_t i = 0; bytes > 0 && i < batches * heads; i++) {
        const size_t batch = i / heads, head = i % heads;
        for (int p = 0; p < 2; p++) {
            for (size_t row = 0; row < part[p].positions; row++, to += bytes) {
                const size_t from = batch * part[p].batch + head * part[p].head + row * part[p].row;
                memcpy(to, (const char *)part[p].at + from * width, bytes);
            }
        }
    }
}

/* ---- who sees what ---- */

/* The keys that a query may see, mask aside. */
static span span_of(const mc_attention *a, size_t batch, size_t row, size_t keys)
{
    int64_t to = (int64_t)keys, from = 0;
    int64_t offset = (int64_t)a->k[0].positions;
    if (a->valid) {
        const int64_t valid = a->valid[batch];
        offset = valid - (int64_t)a->q.positions;
        if (valid < to) to = valid > 0 ? valid : 0;
    }
    const int64_t position = (int64_t)row + offset;
    if (a->mask && (int64_t)a->mask_keys < to) to = (int64_t)a->mask_keys;
    if (a->after >= 0 && a->after < to - 1 - position) to = position + a->after + 1;
    if (a->before >= 0 && a->before < position) from = position - a->before;
    if (to < 0) to = 0;
    if (from > to) from = to;
    return (span){.from = (size_t)from, .to = (size_t)to};
}

static block block_at(const mc_attention *a, const mc_kv_room *kv, size_t batch, size_t head,
                      size_t row)
{
    block b = {.batch = batch,
               .head = head,
               .kv_head = head / (a->heads / a->kv_heads),
               .row = row,
               .keys = a->k[0].positions + a->k[1].positions,
               .k = {a->k[0], a->k[1]},
               .v = {a->v[0], a->v[1]}};
    const size_t left = a->q.positions - row;
    const size_t width = a->is_f64 ? sizeof(double) : sizeof(float);
    b.rows = left < ROWS ? left : ROWS;
    b.q = (const char *)a->q.at + (batch * a->q.batch + head * a->q.head + row * a->q.row) * width;
    b.q_row = a->q.row;
    if (kv->spec) mc_kv_seen(kv, a, row, &b.rows, b.k, b.v);
    /* both ends rise with the row */
    b.lo = span_of(a, batch, row, b.keys).from;
    b.hi = span_of(a, batch, row + b.rows - 1, b.keys).to;
    b.score_lo = a->scores ? 0 : b.lo;
    b.score_hi = a->scores ? b.keys : b.hi;
    return b;
}

#define REAL       float
#define DTYPE      MC_F32
#define NAME(name) name##_f32
#include "core/ops/op_attention_real.inc"
#undef REAL
#undef DTYPE
#undef NAME
#define REAL       double
#define DTYPE      MC_F64
#define NAME(name) name##_f64
#include "core/ops/op_attention_real.inc"
#undef REAL
#undef DTYPE
#undef NAME

size_t mc_attention_scratch(const mc_call *call, mc_attention_sizes s)
{
    const size_t row = mc_arg_bytes(s.keys, s.is_f64 ? sizeof(double) : sizeof(float));
    const size_t scores = mc_arg_bytes(s.queries < ROWS ? s.queries : ROWS, row);
    return call->kv && !s.is_f64 ? mc_arg_plus(scores, mc_kv_scratch(ROWS, s)) : scores;
}

/* All queries of one head. */
static mc_status attend_head(const mc_attention *a, const mc_kv_room *kv, size_t i, void *score,
                             mc_err *err)
{
    const size_t batch = i / a->heads, head = i % a->heads;
    for (size_t row = 0; row < a->q.positions;) {
        block b = block_at(a, kv, batch, head, row);
        if (kv->spec) {
            const float *q;
            MC_TRY(mc_kv_queries(kv, b.q, b.rows, &b.q_row, &q, err));
            b.q = q;
        }
        if (a->is_f64)
            attend_f64(a, &b, score);
        else
            attend_f32(a, &b, score);
        row += b.rows;
    }
    return MC_OK;
}

mc_status mc_attention_run(const mc_attention *a, mc_arena scratch, mc_err *err)
{
    const size_t keys = a->k[0].positions + a->k[1].positions;
    const size_t rows = a->q.positions < ROWS ? a->q.positions : ROWS;
    void *score = mc_alloc_raw(&scratch, rows, (a->is_f64 ? sizeof(double) : sizeof(float)) * keys);
    if (!score) return mc_no_room(err, "scores of attention");
    mc_kv_room kv;
    const size_t share = a->heads / a->kv_heads;
    MC_TRY(mc_kv_open(a, ROWS, &scratch, &kv, err));
    for (size_t i = 0; i < a->batches * a->heads; i++) {
        if (kv.spec && i % share == 0)
            MC_TRY(mc_kv_load(&kv, a, i / a->heads, i % a->heads / share, err));
        MC_TRY(attend_head(a, &kv, i, score, err));
    }
    return MC_OK;
}
