/* Moments of activations: chunks of rows become f64 once, then every tile of the Gram adds its own
 * product of the chunk's columns. */
#include "calib/moments.h"

#include "core/ckd.h"
#include "core/linalg.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    MOST_ROWS = 1024, /* of a chunk */
    LEAST_ROWS = 64,
    PIECE_ROWS = 64,         /* turned to f64 by one piece of work */
    CHUNK_BYTES = 16 << 20,  /* of a chunk in f64, when that leaves LEAST_ROWS */
    SMALL_N = 256,           /* below, groups are shared out among pieces whole */
    SMALL_BYTES = 512 << 10, /* then of a chunk in f64 */
    SMALL_PIECES = 32,
};

/* ---- sums ---- */

/* How many numbers: of matrices and of vectors, one each; and of all. */
typedef struct {
    size_t matrix, vector, all;
} counts;

/* False when there can be no such moments. */
static bool count(size_t n, size_t groups, unsigned what, counts *c)
{
    const bool gram = (what & MC_MOMENTS_GRAM) != 0, cross = (what & MC_MOMENTS_CROSS) != 0;
    const size_t matrices = (size_t)gram + (size_t)cross, vectors = cross ? 3 : 2;
    size_t bytes;
    return mc_mul_size(n, groups, &c->vector) && mc_mul_size(n, c->vector, &c->matrix) &&
           mc_mul_size(c->matrix, matrices, &c->all) && mc_mul_size(c->vector, vectors, &bytes) &&
           mc_add_size(c->all, bytes, &c->all) && mc_mul_size(c->all, sizeof(double), &bytes) &&
           bytes < SIZE_MAX / 4;
}

size_t mc_moments_bytes(size_t n, size_t groups, unsigned what)
{
    counts c;
    if (!count(n, groups, what, &c)) return SIZE_MAX;
    return c.all * sizeof(double) + 5 * 128; /* and what arenas lose to alignment */
}

static double *numbers(mc_arena *mem, bool wanted, size_t count, bool *failed)
{
    double *at = wanted ? MC_NEW(mem, double, count) : NULL;
    *failed |= wanted && !at;
    return at;
}

mc_status mc_moments_new(size_t n, size_t groups, unsigned what, mc_arena *mem, mc_moment_sums *out,
                         mc_err *err)
{
    counts c;
    bool failed = !count(n, groups, what, &c);
    if (failed) return mc_no_room(err, "moments");
    const bool gram = (what & MC_MOMENTS_GRAM) != 0, cross = (what & MC_MOMENTS_CROSS) != 0;
    *out = (mc_moment_sums){
        .gram = numbers(mem, gram, c.matrix, &failed),
        .cross = numbers(mem, cross, c.matrix, &failed),
        .sum = numbers(mem, true, c.vector, &failed),
        .shift = numbers(mem, cross, c.vector, &failed),
        .square = numbers(mem, true, c.vector, &failed),
    };
    if (failed) return mc_no_room(err, "moments");
    out->view = (mc_moments){.n = n,
                             .groups = groups,
                             .gram = out->gram,
                             .cross = out->cross,
                             .sum = out->sum,
                             .shift = out->shift,
                             .square = out->square};
    return MC_OK;
}

/* ---- one chunk of one group ---- */

/* Where a chunk begins: a row of a sample. */
typedef struct {
    size_t sample, row;
} place;

typedef struct {
    mc_moment_sums *sums;
    const mc_moment_rows *in;
    mc_pool *pool; /* NULL: this thread */
    size_t n, group;
    size_t most;   /* rows of a chunk */
    size_t tile;   /* columns of a tile */
    place at;      /* where this chunk begins */
    size_t rows;   /* of this chunk */
    double *x, *d; /* most x n: the rows, and y - x */
    float *gather; /* most x n */
} chunk;

static mc_status for_each(mc_pool *pool, size_t pieces, mc_pool_fn fn, void *job, mc_err *err)
{
    if (pool) return mc_pool_for(pool, pieces, fn, job, err);
    for (size_t i = 0; i < pieces; i++) MC_TRY(fn(job, i, (mc_arena){0}, err));
    return MC_OK;
}

/* `n` rows on from a place; places at the end of a sample become the start of the next that has
 * rows. */
static place further(const mc_moment_rows *in, place at, size_t n)
{
    at.row += n;
    while (at.sample < in->samples && at.row >= in->x[at.sample].rows)
        at.row -= in->x[at.sample++].rows;
    return at;
}

static mc_status refuse(const chunk *c, const float *row, place at, const char *stream, mc_err *err)
{
    size_t i = 0;
    while (fabsf(row[i]) <= FLT_MAX) i++;
    char group[48] = "";
    if (c->sums->view.groups > 1) snprintf(group, sizeof group, "group %zu, ", c->group);
    return mc_fail(err, MC_E_FORMAT, "site %s: sample %zu, row %zu, %scolumn %zu: %s is %g",
                   c->in->site, at.sample, at.row, group, i, stream, (double)row[i]);
}

/* Rows of one sample as f32: as they lie, or put together in `room`. */
static const float *rows_of(const mc_site_rows *r, size_t group, size_t first, size_t count,
                            float *room)
{
    const float *at = mc_site_rows_at(r, first);
    if (at) return at;
    mc_site_rows_fill(r, group, first, count, room);
    return room;
}

static bool all_finite(const float *x, size_t n)
{
    unsigned bad = 0;
    for (size_t i = 0; i < n; i++) bad |= !(fabsf(x[i]) <= FLT_MAX);
    return !bad;
}

/* Rows [done, done + count) of the chunk, all of the sample at `at`. */
static mc_status convert(const chunk *c, place at, size_t done, size_t count, mc_err *err)
{
    const size_t n = c->n;
    const mc_site_rows *r = &c->in->x[at.sample];
    double *x = c->x + done * n;
    float *room = c->gather + done * n;
    const float *from = rows_of(r, c->group, at.row, count, room);
    for (size_t i = 0; i < count; i++)
        if (!all_finite(from + i * n, n))
            return refuse(c, from + i * n, (place){at.sample, at.row + i}, "activation", err);
    for (size_t i = 0; i < count * n; i++) x[i] = (double)from[i];
    if (!c->d) return MC_OK;

    double *d = c->d + done * n;
    from = rows_of(&c->in->y[at.sample], c->group, at.row, count, room);
    for (size_t i = 0; i < count; i++)
        if (!all_finite(from + i * n, n))
            return refuse(c, from + i * n, (place){at.sample, at.row + i},
                          "the float model's activation", err);
    for (size_t i = 0; i < count * n; i++) d[i] = (double)from[i] - x[i];
    return MC_OK;
}

static mc_status convert_piece(void *job, size_t i, mc_arena scratch, mc_err *err)
{
    (void)scratch;
    const chunk *c = job;
    size_t done = i * PIECE_ROWS;
    const size_t end = done + PIECE_ROWS < c->rows ? done + PIECE_ROWS : c->rows;
    place at = further(c->in, c->at, done);
    while (done < end) {
        const size_t left = c->in->x[at.sample].rows - at.row;
        const size_t count = left < end - done ? left : end - done;
        MC_TRY(convert(c, at, done, count, err));
        done += count;
        at = further(c->in, at, count);
    }
    return MC_OK;
}

static size_t width(const chunk *c, size_t tile)
{
    const size_t left = c->n - tile * c->tile;
    return left < c->tile ? left : c->tile;
}

/* Tile (i, j) of to += a^T x. */
static void add_tile(const chunk *c, const double *a, size_t i, size_t j, double *to)
{
    const size_t row = i * c->tile, col = j * c->tile;
    double *at = to + c->group * c->n * c->n + row * c->n + col;
    mc_gemm_f64(width(c, i), width(c, j), c->rows, a + row, c->n, 1, c->x + col, c->n, 0, 1.0, at,
                c->n);
}

static void add_columns(const chunk *c, size_t tile)
{
    const mc_moment_sums *s = c->sums;
    const size_t from = tile * c->tile, count = width(c, tile);
    double *sum = s->sum + c->group * c->n + from, *square = s->square + c->group * c->n + from;
    double *shift = s->shift ? s->shift + c->group * c->n + from : NULL;
    for (size_t row = 0; row < c->rows; row++) {
        const double *x = c->x + row * c->n + from;
        const double *d = c->d ? c->d + row * c->n + from : NULL;
        for (size_t i = 0; i < count; i++) sum[i] += x[i];
        for (size_t i = 0; i < count; i++) square[i] += x[i] * x[i];
        for (size_t i = 0; shift && i < count; i++) shift[i] += d[i];
    }
}

/* Pieces: columns, then tiles of the Gram's lower triangle, then all tiles of the cross moment. */
static mc_status add_piece(void *job, size_t i, mc_arena scratch, mc_err *err)
{
    (void)scratch;
    (void)err;
    const chunk *c = job;
    const size_t tiles = (size_t)mc_ceil_div(c->n, c->tile);
    const size_t triangle = c->sums->gram ? tiles * (tiles + 1) / 2 : 0;
    if (i < tiles) {
        add_columns(c, i);
    } else if (i < tiles + triangle) {
        size_t row = 0, left = i - tiles;
        while (left > row) left -= ++row;
        add_tile(c, c->x, row, left, c->sums->gram);
    } else {
        const size_t left = i - tiles - triangle;
        add_tile(c, c->d, left / tiles, left % tiles, c->sums->cross);
    }
    return MC_OK;
}

static size_t add_pieces(const chunk *c)
{
    const size_t tiles = (size_t)mc_ceil_div(c->n, c->tile);
    return tiles + (c->sums->gram ? tiles * (tiles + 1) / 2 : 0) +
           (c->sums->cross ? tiles * tiles : 0);
}

/* All rows of one group. */
static mc_status add_group(chunk c, size_t group, uint64_t rows, mc_err *err)
{
    c.group = group;
    c.at = further(c.in, (place){0, 0}, 0);
    for (uint64_t left = rows; left > 0; left -= c.rows) {
        c.rows = left < c.most ? (size_t)left : c.most;
        const size_t pieces = (size_t)mc_ceil_div(c.rows, PIECE_ROWS);
        MC_TRY(for_each(c.pool, pieces, convert_piece, &c, err));
        MC_TRY(for_each(c.pool, add_pieces(&c), add_piece, &c, err));
        c.at = further(c.in, c.at, c.rows);
        if (c.in->passed) c.in->passed(c.in->self);
    }
    return MC_OK;
}

/* ---- all groups ---- */

static bool by_groups(size_t n, size_t groups)
{
    return groups > 1 && n <= SMALL_N;
}

static size_t chunk_rows(size_t n, size_t groups)
{
    const size_t bytes = by_groups(n, groups) ? SMALL_BYTES : CHUNK_BYTES;
    const size_t rows = bytes / sizeof(double) / (n ? n : 1) / LEAST_ROWS * LEAST_ROWS;
    return rows < LEAST_ROWS ? LEAST_ROWS : rows > MOST_ROWS ? MOST_ROWS : rows;
}

static size_t workers(size_t n, size_t groups)
{
    if (!by_groups(n, groups)) return 1;
    return groups < SMALL_PIECES ? groups : SMALL_PIECES;
}

size_t mc_moments_scratch(size_t n, size_t groups, unsigned what)
{
    const size_t each = (what & MC_MOMENTS_CROSS ? 2 : 1) * sizeof(double) + sizeof(float);
    size_t bytes;
    if (!mc_mul_size(chunk_rows(n, groups) * each, n, &bytes) ||
        !mc_mul_size(bytes + 4 * 64, workers(n, groups), &bytes))
        return SIZE_MAX;
    return bytes;
}

static mc_status take_room(chunk *c, mc_arena *scratch, mc_err *err)
{
    c->x = MC_NEW_RAW(scratch, double, c->most * c->n);
    c->d = c->sums->cross ? MC_NEW_RAW(scratch, double, c->most * c->n) : NULL;
    c->gather = MC_NEW_RAW(scratch, float, c->most * c->n);
    if (!c->x || !c->gather || (c->sums->cross && !c->d)) return mc_no_room(err, "moments");
    return MC_OK;
}

typedef struct {
    chunk worker[SMALL_PIECES];
    size_t workers;
    uint64_t rows;
} spread;

/* Each worker has its share of the groups, so that small ones cost no piece each. */
static mc_status add_share(void *job, size_t i, mc_arena scratch, mc_err *err)
{
    (void)scratch;
    const spread *s = job;
    const size_t groups = s->worker[i].sums->view.groups;
    const size_t end = groups * (i + 1) / s->workers;
    for (size_t g = groups * i / s->workers; g < end; g++)
        MC_TRY(add_group(s->worker[i], g, s->rows, err));
    return MC_OK;
}

static bool fits(const mc_moment_sums *sums, const mc_site_rows *r)
{
    return r->n == sums->view.n && r->groups == sums->view.groups;
}

/* All samples must be rows of what the sums are for, and both streams the same rows. */
static mc_status check(const mc_moment_sums *sums, const mc_moment_rows *in, uint64_t *rows,
                       mc_err *err)
{
    *rows = 0;
    for (size_t i = 0; i < in->samples; i++) {
        const mc_site_rows *x = &in->x[i], *y = in->y ? &in->y[i] : NULL;
        if (!fits(sums, x) || (y && (!fits(sums, y) || y->rows != x->rows)))
            return mc_fail(err, MC_E_INTERNAL,
                           "site %s: sample %zu has %zu rows of %zu in %zu groups (moments are of "
                           "%zu in %zu)",
                           in->site, i, x->rows, x->n, x->groups, sums->view.n, sums->view.groups);
        *rows += x->rows;
    }
    if (!in->y != !sums->cross)
        return mc_fail(err, MC_E_INTERNAL, "site %s: moments and rows differ in streams", in->site);
    return MC_OK;
}

mc_status mc_moments_add(mc_moment_sums *sums, const mc_moment_rows *in, mc_pool *pool,
                         mc_arena scratch, mc_err *err)
{
    const size_t n = sums->view.n, groups = sums->view.groups;
    uint64_t rows;
    MC_TRY(check(sums, in, &rows, err));
    const bool spread_groups = by_groups(n, groups);
    const chunk one = {.sums = sums,
                       .in = in,
                       .pool = spread_groups ? NULL : pool,
                       .n = n,
                       .most = chunk_rows(n, groups),
                       .tile = n > 1024 || spread_groups ? 256 : 128};
    spread s = {.workers = workers(n, groups), .rows = rows};
    for (size_t i = 0; i < s.workers; i++) {
        s.worker[i] = one;
        MC_TRY(take_room(&s.worker[i], &scratch, err));
    }
    if (spread_groups)
        MC_TRY(for_each(pool, s.workers, add_share, &s, err));
    else
        for (size_t g = 0; g < groups; g++) MC_TRY(add_group(s.worker[0], g, rows, err));
    sums->view.rows += rows;
    return MC_OK;
}

/* ---- afterwards ---- */

static void add_vector(double *to, const double *from, size_t n)
{
    for (size_t i = 0; to && i < n; i++) to[i] += from[i];
}

mc_status mc_moments_merge(mc_moment_sums *into, const mc_moments *more, mc_err *err)
{
    const size_t n = into->view.n, groups = into->view.groups;
    if (more->n != n || more->groups != groups)
        return mc_fail(err, MC_E_MISMATCH,
                       "moments of %zu columns in %zu groups and of %zu in %zu cannot be added", n,
                       groups, more->n, more->groups);
    if (!into->gram != !more->gram || !into->cross != !more->cross)
        return mc_fail(err, MC_E_USAGE, "only one of the moments to be added has %s",
                       !into->gram != !more->gram ? "a Gram matrix" : "a second stream");
    for (size_t row = 0; into->gram && row < n * groups; row++)
        add_vector(into->gram + row * n, more->gram + row * n, row % n + 1);
    add_vector(into->cross, more->cross, n * n * groups);
    add_vector(into->sum, more->sum, n * groups);
    add_vector(into->shift, more->shift, n * groups);
    add_vector(into->square, more->square, n * groups);
    into->view.rows += more->rows;
    return MC_OK;
}

/* In blocks, so that columns are written while their lines are near. */
static void mirror(double *a, size_t n)
{
    enum { BLOCK = 32 };
    for (size_t i = 0; i < n; i += BLOCK)
        for (size_t j = 0; j <= i; j += BLOCK)
            for (size_t r = i; r < n && r < i + BLOCK; r++)
                for (size_t c = j; c < r && c < j + BLOCK; c++) a[c * n + r] = a[r * n + c];
}

void mc_moments_mirror(mc_moment_sums *sums)
{
    const size_t n = sums->view.n;
    for (size_t g = 0; sums->gram && g < sums->view.groups; g++) mirror(sums->gram + g * n * n, n);
}
