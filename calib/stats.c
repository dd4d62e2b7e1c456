/* Questions to moments that several folders ask. */
#include "calib/stats.h"

#include "core/linalg.h"

#include <string.h>

mc_moments mc_moments_of_group(const mc_moments *all, size_t group)
{
    const size_t vector = group * all->n, matrix = vector * all->n;
    mc_moments one = *all;
    one.groups = 1;
    if (one.gram) one.gram += matrix;
    if (one.cross) one.cross += matrix;
    if (one.sum) one.sum += vector;
    if (one.shift) one.shift += vector;
    if (one.square) one.square += vector;
    return one;
}

/* ---- d G d^T, tile by tile: rows that meet BLAS together, blocks of the upper half ---- */

enum { TILE = 64, BLOCK = 128, WIDE = 256 };

typedef struct {
    const float *w, *v; /* the first row of the tile */
    size_t rows, n;
} tile;

/* Columns from .. to of d, WIDE a row; zeros in the rows that are not there. */
static void difference(const tile *t, size_t from, size_t to, double *d)
{
    for (size_t r = 0; r < t->rows; r++) {
        const float *w = t->w + r * t->n, *v = t->v + r * t->n;
        for (size_t c = from; c < to; c++) d[r * WIDE + c - from] = (double)w[c] - (double)v[c];
    }
    for (size_t r = t->rows; r < TILE; r++) memset(d + r * WIDE, 0, WIDE * sizeof *d);
}

/* Columns i .. i1 - 1 with those from j on, which begin with them or lie behind. */
static void add_block(const tile *t, const double *gram, const double *left, size_t i, size_t j,
                      double loss[TILE])
{
    double right[TILE * WIDE], product[TILE * WIDE];
    const size_t n = t->n, j1 = n - j < WIDE ? n : j + WIDE;
    const size_t i1 = n - i < BLOCK ? n : i + BLOCK;
    difference(t, j, j1, right);
    mc_gemm_f64(TILE, j1 - j, i1 - i, left, WIDE, 0, gram + i * n + j, n, 0, 0.0, product, WIDE);
    for (size_t r = 0; r < t->rows; r++) {
        double own = 0.0, other = 0.0; /* the diagonal's block counts once, what is behind twice */
        for (size_t c = j; c < j1; c++) {
            const double square = product[r * WIDE + c - j] * right[r * WIDE + c - j];
            if (c < i1)
                own += square;
            else
                other += square;
        }
        loss[r] += own + 2.0 * other;
    }
}

double mc_moments_loss(const mc_moments *one, const float *w, const float *v, size_t rows)
{
    double total = 0.0;
    const size_t n = one->n;
    for (size_t row = 0; row < rows; row += TILE) {
        const size_t count = rows - row < TILE ? rows - row : TILE, at = row * n;
        const tile t = {w + at, v + at, count, n};
        double loss[TILE] = {0}, left[TILE * WIDE];
        for (size_t i = 0; i < n; i += BLOCK) {
            difference(&t, i, n - i < BLOCK ? n : i + BLOCK, left);
            for (size_t j = i; j < n; j += WIDE) add_block(&t, one->gram, left, i, j, loss);
        }
        for (size_t r = 0; r < count; r++) total += loss[r];
    }
    return total;
}
