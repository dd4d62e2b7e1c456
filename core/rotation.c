/* Rotations. Hadamard blocks: the fast Walsh-Hadamard transform (Fino and Algazi 1976) on every
 * row of a block seen as K x 2^k, and the table times that matrix. Orthogonal blocks: the matrix
 * itself, a few vectors at a time; sums run in a fixed order, so that vectors do not depend on
 * company. */
#include "core/rotation.h"

#include "core/ckd.h"
#include "core/hadamard.h"
#include "core/linalg.h"
#include "core/rng.h"

#include <math.h>
#include <string.h>

enum {
    LARGEST_TABLE = 172,
    PANEL = 16,   /* columns of a block that meet the table at a time: 22 KB of stack */
    TOGETHER = 8, /* vectors that meet an orthogonal matrix together */
    CHUNK = 256,  /* elements of them at a time */
    LANES = 8,    /* partial sums of a dot product */
};

enum { STREAM_SIGNS = 0x5167, STREAM_NORMALS = 0x0a70 }; /* of a seed's random numbers */

/* ---- which block, which table ---- */

static size_t power_of_two_in(size_t n)
{
    return n & (~n + 1);
}

/* The largest K 2^k that divides n, and its K: the last, as the odd parts of orders rise. */
static size_t largest_block(size_t n, size_t *table)
{
    size_t best = 0;
    for (size_t i = 0; mc_hadamard_order(i) > 0; i++) {
        const size_t order = mc_hadamard_order(i);
        if (n == 0 || n % order != 0) continue;
        best = order * power_of_two_in(n / order);
        *table = order;
    }
    return best;
}

size_t mc_hadamard_block(size_t n)
{
    size_t table;
    return largest_block(n, &table);
}

bool mc_hadamard_exists(size_t n)
{
    return n > 0 && mc_hadamard_block(n) == n;
}

/* ---- making ---- */

static mc_status make_hadamard(mc_rotation *q, uint64_t seed, mc_arena *mem, mc_err *err)
{
    if (largest_block(q->block, &q->table) != q->block)
        return mc_fail(err, MC_E_USAGE,
                       "there is no Hadamard matrix for blocks of %zu (the largest for vectors of "
                       "%zu is %zu)",
                       q->block, q->n, mc_hadamard_block(q->n));
    if (q->table > 1) {
        double *table = MC_NEW_RAW(mem, double, q->table * q->table);
        if (!table) return mc_no_room(err, "a Hadamard matrix");
        mc_hadamard_table(q->table, table);
        q->matrix = table;
    }
    if (q->kind == MC_ROTATE_HADAMARD) return MC_OK;
    double *sign = MC_NEW_RAW(mem, double, q->n);
    if (!sign) return mc_no_room(err, "signs of a rotation");
    for (size_t i = 0; i < q->n; i++)
        sign[i] = mc_rng_u32((mc_rng){seed, STREAM_SIGNS}, i) >> 31 ? -1.0 : 1.0;
    q->sign = sign;
    return MC_OK;
}

/* Box and Muller 1958: number 2 i and 2 i + 1 from words 2 i and 2 i + 1. */
static void draw_normals(uint64_t seed, size_t n, double *x)
{
    const mc_rng rng = {seed, STREAM_NORMALS};
    const double turn = 2.0 * acos(-1.0), step = 0x1p-32;
    for (size_t i = 0; i < n; i += 2) {
        const double u = ((double)mc_rng_u32(rng, i) + 0.5) * step; /* never 0 */
        const double angle = turn * ((double)mc_rng_u32(rng, i + 1) * step);
        const double radius = sqrt(-2.0 * log(u));
        x[i] = radius * cos(angle);
        if (i + 1 < n) x[i + 1] = radius * sin(angle);
    }
}

static mc_status make_orthogonal(mc_rotation *q, uint64_t seed, mc_arena *mem, mc_err *err)
{
    size_t count;
    double *matrix =
        mc_mul_size(q->block, q->block, &count) ? MC_NEW_RAW(mem, double, count) : NULL;
    if (!matrix) return mc_no_room(err, "an orthogonal matrix");
    draw_normals(seed, count, matrix);
    q->matrix = matrix;
    return mc_qr_q(q->block, q->block, matrix, *mem, err);
}

mc_status mc_rotation_make(mc_rotate_kind kind, size_t n, size_t block, uint64_t seed,
                           mc_arena *mem, mc_rotation *out, mc_err *err)
{
    const size_t whole = kind == MC_ROTATE_ORTHOGONAL ? n : mc_hadamard_block(n);
    *out = (mc_rotation){.kind = kind, .n = n, .block = block > 0 ? block : whole};
    if (n == 0) return mc_fail(err, MC_E_USAGE, "vectors of 0 numbers cannot be rotated");
    if (n % out->block != 0)
        return mc_fail(err, MC_E_USAGE, "blocks of %zu do not divide vectors of %zu", out->block,
                       n);
    if (kind == MC_ROTATE_ORTHOGONAL) return make_orthogonal(out, seed, mem, err);
    return make_hadamard(out, seed, mem, err);
}

/* ---- Hadamard ---- */

/* One stage of radix 2, then stages of radix 4: half as often through the memory. */
static void walsh_hadamard(double *x, size_t n)
{
    size_t left = n;
    while (left > 2) left /= 4;
    for (size_t i = 0; left == 2 && i < n; i += 2) {
        const double a = x[i], b = x[i + 1];
        x[i] = a + b;
        x[i + 1] = a - b;
    }
    for (size_t h = left; h < n; h *= 4)
        for (size_t i = 0; i < n; i += 4 * h) {
            double *restrict p = x + i, *restrict q = p + h, *restrict r = q + h,
                             *restrict s = r + h;
            for (size_t j = 0; j < h; j++) {
                const double a = p[j] + q[j], b = p[j] - q[j];
                const double c = r[j] + s[j], d = r[j] - s[j];
                p[j] = a + c;
                q[j] = b + d;
                r[j] = a - c;
                s[j] = b - d;
            }
        }
}

/* x [K x cols] becomes T^T x, or T x on the way back. */
static void multiply_table(const mc_rotation *q, bool back, double *x, size_t cols)
{
    double panel[LARGEST_TABLE * PANEL];
    const size_t k = q->table;
    for (size_t at = 0; at < cols; at += PANEL) {
        const size_t now = cols - at < PANEL ? cols - at : PANEL;
        mc_gemm_f64(k, now, k, q->matrix, k, !back, x + at, cols, 0, 0.0, panel, now);
        for (size_t i = 0; i < k; i++)
            memcpy(x + i * cols + at, panel + i * now, now * sizeof *panel);
    }
}

static void apply_signs(const mc_rotation *q, double *x)
{
    for (size_t i = 0; q->sign && i < q->n; i++) x[i] *= q->sign[i];
}

static void rotate_hadamard(const mc_rotation *q, bool back, double *x)
{
    const size_t cols = q->block / q->table;
    const double scale = 1.0 / sqrt((double)q->block);
    if (!back) apply_signs(q, x);
    for (size_t at = 0; at < q->n; at += q->block) {
        for (size_t i = 0; i < q->table; i++) walsh_hadamard(x + at + i * cols, cols);
        if (q->table > 1) multiply_table(q, back, x + at, cols);
    }
    for (size_t i = 0; i < q->n; i++) x[i] *= scale;
    if (back) apply_signs(q, x);
}

/* ---- vectors of either width ---- */

typedef struct {
    double *wide;  /* either this */
    float *narrow; /* or that */
    size_t stride;
} vectors;

static void load(const vectors *v, size_t row, size_t at, size_t n, double *to)
{
    const size_t from = row * v->stride + at;
    if (v->wide) {
        memcpy(to, v->wide + from, n * sizeof *to);
        return;
    }
    for (size_t i = 0; i < n; i++) to[i] = (double)v->narrow[from + i];
}

static void store(const vectors *v, size_t row, size_t at, size_t n, const double *from)
{
    const size_t to = row * v->stride + at;
    if (v->wide) {
        memcpy(v->wide + to, from, n * sizeof *from);
        return;
    }
    for (size_t i = 0; i < n; i++) v->narrow[to + i] = (float)from[i];
}

/* What there was no scratch memory for must not be taken for a result. */
static void spoil(const vectors *v, size_t rows, size_t n)
{
    const double nan = (double)NAN;
    for (size_t row = 0; row < rows; row++)
        for (size_t i = 0; i < n; i++) store(v, row, i, 1, &nan);
}

/* ---- orthogonal ---- */

/* to += x Q for the n rows of Q [n x size] that x [n] belongs to. */
static void add_rows(const double *restrict q, size_t size, const double *restrict x, size_t n,
                     double *restrict to)
{
    size_t j = 0;
    for (; j + 4 <= n; j += 4) {
        const double *restrict r = q + j * size;
        const double a = x[j], b = x[j + 1], c = x[j + 2], d = x[j + 3];
        for (size_t i = 0; i < size; i++)
            to[i] += (a * r[i] + b * r[size + i]) + (c * r[2 * size + i] + d * r[3 * size + i]);
    }
    for (; j < n; j++)
        for (size_t i = 0; i < size; i++) to[i] += x[j] * q[j * size + i];
}

static double dot(const double *restrict a, const double *restrict b, size_t n)
{
    double part[LANES] = {0};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t l = 0; l < LANES; l++) part[l] += a[i + l] * b[i + l];
    for (; i < n; i++) part[i % LANES] += a[i] * b[i];
    return ((part[0] + part[4]) + (part[2] + part[6])) +
           ((part[1] + part[5]) + (part[3] + part[7]));
}

typedef struct {
    const mc_rotation *q;
    bool back;
    const vectors *v;
    double *sum; /* [TOGETHER x block], or [1 x block] */
} orthogonal_job;

/* Block `at` of `rows` vectors from `row` on. */
static void rotate_block(const orthogonal_job *job, size_t row, size_t rows, size_t at)
{
    double part[TOGETHER][CHUNK];
    const size_t size = job->q->block;
    const double *q = job->q->matrix;
    memset(job->sum, 0, rows * size * sizeof *job->sum);
    for (size_t from = 0; from < size; from += CHUNK) {
        const size_t n = size - from < CHUNK ? size - from : CHUNK;
        for (size_t r = 0; r < rows; r++) load(job->v, row + r, at + from, n, part[r]);
        for (size_t j = 0; job->back && j < size; j++)
            for (size_t r = 0; r < rows; r++)
                job->sum[r * size + j] += dot(part[r], q + j * size + from, n);
        for (size_t j = 0; !job->back && j < n; j += 4)
            for (size_t r = 0; r < rows; r++)
                add_rows(q + (from + j) * size, size, part[r] + j, n - j < 4 ? n - j : 4,
                         job->sum + r * size);
    }
    for (size_t r = 0; r < rows; r++) store(job->v, row + r, at, size, job->sum + r * size);
}

static void rotate_orthogonal(const mc_rotation *q, bool back, const vectors *v, size_t rows,
                              mc_arena scratch)
{
    size_t step = TOGETHER;
    double *sum = MC_NEW_RAW(&scratch, double, step * q->block);
    if (!sum) {
        step = 1;
        sum = MC_NEW_RAW(&scratch, double, q->block);
    }
    if (!sum) {
        spoil(v, rows, q->n);
        return;
    }
    const orthogonal_job job = {q, back, v, sum};
    for (size_t row = 0; row < rows; row += step)
        for (size_t at = 0; at < q->n; at += q->block)
            rotate_block(&job, row, rows - row < step ? rows - row : step, at);
}

/* ---- both ---- */

void mc_rotate_f64(const mc_rotation *q, bool back, double *x, size_t rows, size_t stride,
                   mc_arena scratch)
{
    if (q->kind == MC_ROTATE_ORTHOGONAL) {
        rotate_orthogonal(q, back, &(vectors){.wide = x, .stride = stride}, rows, scratch);
        return;
    }
    for (size_t i = 0; i < rows; i++) rotate_hadamard(q, back, x + i * stride);
}

void mc_rotate_f32(const mc_rotation *q, bool back, float *x, size_t rows, size_t stride,
                   mc_arena scratch)
{
    const vectors v = {.narrow = x, .stride = stride};
    if (q->kind == MC_ROTATE_ORTHOGONAL) {
        rotate_orthogonal(q, back, &v, rows, scratch);
        return;
    }
    double *wide = MC_NEW_RAW(&scratch, double, q->n);
    if (!wide) spoil(&v, rows, q->n);
    for (size_t i = 0; wide && i < rows; i++) {
        load(&v, i, 0, q->n, wide);
        rotate_hadamard(q, back, wide);
        store(&v, i, 0, q->n, wide);
    }
}
