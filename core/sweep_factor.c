/* What a sweep needs of the inputs: the factor U of the inverse Gram, damped until it can be had,
 * and GPTAQ's P. The Gram is brought into the order of the sweep first, so that a sweep walks
 * memory forwards. */
#include "core/sweep.h"

#include "core/linalg.h"

#include <math.h>
#include <string.h>

enum { TILE = MC_SWEEP_TILE, BLOCK = MC_SWEEP_BLOCK };

static const double dead_share = 1e-10;  /* of the mean of the diagonal */
static const double least_pivot = 1e-13; /* of the largest number on the diagonal */

/* What of the Gram is known before it is factored. */
typedef struct {
    size_t n;
    const double *gram;
    const uint32_t *order; /* or NULL */
    bool *dead;
    size_t dead_columns;
    double mean, most; /* of the diagonal, over the columns that live */
} source;

static size_t place(const uint32_t *order, size_t column)
{
    return order ? order[column] : column;
}

/* ---- looking ---- */

static mc_status check_finite(const char *what, const double *x, size_t n, mc_err *err)
{
    for (size_t i = 0; i < n * n; i++)
        if (!isfinite(x[i]))
            return mc_fail(err, MC_E_FORMAT, "the %s of the inputs is %s at columns %zu and %zu",
                           what, isnan(x[i]) ? "nan" : "infinite", i / n, i % n);
    return MC_OK;
}

static mc_status look(source *s, mc_err *err)
{
    double sum = 0.0;
    for (size_t i = 0; i < s->n; i++) {
        const double d = s->gram[i * s->n + i];
        if (d < 0.0)
            return mc_fail(err, MC_E_FORMAT,
                           "the second moment of the inputs is %g at column %zu, must not be "
                           "negative",
                           d, i);
        sum += d;
    }
    const double least = dead_share * sum / (double)s->n;
    double living = 0.0;
    for (size_t i = 0; i < s->n; i++) {
        const double d = s->gram[i * s->n + i];
        s->dead[i] = !(d > 0.0) || d < least;
        s->dead_columns += s->dead[i];
        if (s->dead[i]) continue;
        living += d;
        s->most = d > s->most ? d : s->most;
    }
    const size_t live = s->n - s->dead_columns;
    s->mean = live ? living / (double)live : 0.0;
    return MC_OK;
}

/* ---- the factor ---- */

/* The upper half of the Gram in the order of the sweep, with `added` on the diagonal. */
static void arrange(const source *s, double added, double *h)
{
    const size_t n = s->n;
    for (size_t i = 0; i < n; i++) {
        const size_t row = place(s->order, i);
        const double *from = s->gram + row * n;
        for (size_t j = i; j < n; j++) {
            const size_t column = place(s->order, j);
            h[i * n + j] = s->dead[row] || s->dead[column] ? 0.0 : from[column];
        }
        h[i * n + i] = s->dead[row] ? 1.0 : h[i * n + i] + added;
    }
}

/* False when the Gram, so damped, has no factor that is worth its name. */
static bool factor_damped(const source *s, double added, double *u)
{
    const size_t n = s->n;
    arrange(s, added, u);
    if (!mc_inverse_factor(n, u, NULL)) return false;
    for (size_t i = 0; i < n; i++) {
        if (s->dead[place(s->order, i)]) continue;
        const double x = u[i * n + i]; /* 1 / x^2 is what is left of the diagonal */
        if (!(x > 0.0 && x * x * (s->most + added) < 1.0 / least_pivot)) return false;
    }
    return true;
}

static mc_status climb(const source *s, double damp, double *u, mc_sweep_factor *out, mc_err *err)
{
    for (out->damp = damp;; out->damp = out->damp > 0.0 ? 2.0 * out->damp : 1e-4) {
        out->added = out->damp * s->mean;
        if (factor_damped(s, out->added, u)) return MC_OK;
        if (!(2.0 * out->damp < 1.0)) break;
    }
    for (double share = 1e-6; share < 2.0; share *= 10.0) {
        out->floor = share * s->most;
        out->added = out->damp * s->mean + out->floor;
        if (factor_damped(s, out->added, u)) return MC_OK;
    }
    return mc_fail(err, MC_E_FORMAT,
                   "the second moment of the inputs has no factor even with %g on its diagonal: it "
                   "is not a sum of squares",
                   out->added);
}

/* ---- GPTAQ's P ---- */

/* Rows from .. to of the cross moment in the order of the sweep, columns from `from` on. */
static void arrange_cross(const source *s, const double *cross, size_t from, size_t to, double *out)
{
    const size_t n = s->n;
    for (size_t i = from; i < to; i++)
        for (size_t j = from; j < n; j++) {
            const size_t row = place(s->order, i), column = place(s->order, j);
            const bool dead = s->dead[row] || s->dead[column];
            out[(i - from) * n + j] = dead ? 0.0 : cross[row * n + column];
        }
}

/* Row q of P needs U from row and column q on alone. */
static void fill_cross(const source *s, const double *cross, double alpha, const double *u,
                       double *room, double *p)
{
    const size_t n = s->n;
    double *c = room, *b = room + BLOCK * n;
    memset(p, 0, n * n * sizeof *p);
    for (size_t from = 0; from < n; from += BLOCK) {
        const size_t to = n - from < BLOCK ? n : from + BLOCK;
        const size_t rows = to - from, wide = n - from;
        const double *corner = u + from * n + from;
        arrange_cross(s, cross, from, to, c);
        mc_gemm_f64(rows, wide, wide, c + from, n, 0, corner, n, 1, 0.0, b + from, n);
        for (size_t i = 0; i < rows; i++)
            for (size_t j = from; j < n; j++) b[i * n + j] *= j > from + i ? alpha : 0.0;
        mc_gemm_f64(rows, wide, wide, b + from, n, 0, corner, n, 0, 0.0, p + from * n + from, n);
        for (size_t i = from; i < to; i++) /* what rounding left where nothing is */
            for (size_t j = from; j <= i; j++) p[i * n + j] = 0.0;
    }
}

/* ---- all of it ---- */

size_t mc_sweep_prepare_bytes(size_t n, bool cross)
{
    const size_t matrices = n * n * (cross ? 2 : 1), room = cross ? 2 * BLOCK * n : 0;
    return (matrices + room) * sizeof(double) + n * sizeof(bool) + 4 * 64;
}

mc_status mc_sweep_prepare(size_t n, const double *gram, const double *cross,
                           const mc_sweep_setup *setup, mc_arena *mem, mc_sweep_factor *out,
                           mc_err *err)
{
    source s = {.n = n, .gram = gram, .order = setup->order};
    MC_TRY(check_finite("second moment", gram, n, err));
    if (cross) MC_TRY(check_finite("cross moment", cross, n, err));
    double *u = MC_NEW_RAW(mem, double, n *n);
    s.dead = MC_NEW(mem, bool, n);
    double *p = cross ? MC_NEW_RAW(mem, double, n *n) : NULL;
    mc_arena loan = *mem;
    double *room = cross ? MC_NEW_RAW(&loan, double, 2 * BLOCK * n) : NULL;
    if (!u || !s.dead || (cross && (!p || !room)))
        return mc_no_room(err, "the factor of a second moment");

    MC_TRY(look(&s, err));
    *out = (mc_sweep_factor){.n = n, .order = setup->order, .dead = s.dead};
    out->dead_columns = s.dead_columns;
    MC_TRY(climb(&s, setup->damp, u, out, err));
    if (cross) fill_cross(&s, cross, setup->alpha, u, room, p);
    out->factor = u;
    out->cross = p;
    return MC_OK;
}

/* ---- x (U^T U) ---- */

size_t mc_sweep_solve_scratch(size_t n)
{
    return 2 * TILE * n * sizeof(double) + 2 * 64;
}

/* One tile: y = x U^T, then x = y U, block by block of the triangle. */
static void solve_tile(const mc_sweep_factor *f, double *x, double *y)
{
    const size_t n = f->n;
    const double *u = f->factor;
    for (size_t at = 0; at < n; at += BLOCK) {
        const size_t wide = n - at < BLOCK ? n - at : BLOCK;
        mc_gemm_f64(TILE, wide, n - at, x + at, n, 0, u + at * n + at, n, 1, 0.0, y + at, n);
    }
    for (size_t at = 0; at < n; at += BLOCK) {
        const size_t wide = n - at < BLOCK ? n - at : BLOCK;
        mc_gemm_f64(TILE, wide, at + wide, y, n, 0, u + at, n, 0, 0.0, x + at, n);
    }
}

mc_status mc_sweep_solve(const mc_sweep_factor *factor, double *x, size_t rows, mc_arena scratch,
                         mc_err *err)
{
    const size_t n = factor->n;
    double *in = MC_NEW(&scratch, double, TILE *n), *y = MC_NEW_RAW(&scratch, double, TILE *n);
    if (!in || !y) return mc_no_room(err, "a tile of rows");
    for (size_t row = 0; row < rows; row += TILE) {
        const size_t count = rows - row < TILE ? rows - row : TILE;
        memcpy(in, x + row * n, count * n * sizeof *x);
        memset(in + count * n, 0, (TILE - count) * n * sizeof *x);
        solve_tile(factor, in, y);
        memcpy(x + row * n, in, count * n * sizeof *x);
    }
    return MC_OK;
}
