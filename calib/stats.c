/* Questions to moments that several folders ask. */
#include "calib/stats.h"

#include "core/linalg.h"

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

enum { TILE = 64, BLOCK = 128 };

typedef struct {
    const float *w, *v; /* the first row of the tile */
    size_t rows, n;
} tile;

/* Columns from .. to of d; zeros in the rows that are not there. */
static void difference(const tile *t, size_t from, size_t to, double d[TILE * BLOCK])
{
    for (size_t r = 0; r < TILE; r++)
        for (size_t c = from; c < to; c++) {
            const size_t at = r * t->n + c;
            d[r * BLOCK + c - from] = r < t->rows ? (double)t->w[at] - (double)t->v[at] : 0.0;
        }
}

static void add_block(const tile *t, const double *gram, size_t i, size_t j, double loss[TILE])
{
    double left[TILE * BLOCK], right[TILE * BLOCK], product[TILE * BLOCK];
    const size_t n = t->n;
    const size_t i1 = n - i < BLOCK ? n : i + BLOCK, j1 = n - j < BLOCK ? n : j + BLOCK;
    difference(t, i, i1, left);
    difference(t, j, j1, right);
    mc_gemm_f64(TILE, j1 - j, i1 - i, left, BLOCK, 0, gram + i * n + j, n, 0, 0.0, product, BLOCK);
    for (size_t r = 0; r < t->rows; r++) {
        double sum = 0.0;
        for (size_t c = 0; c < j1 - j; c++) sum += product[r * BLOCK + c] * right[r * BLOCK + c];
        loss[r] += i == j ? sum : 2.0 * sum;
    }
}

double mc_moments_loss(const mc_moments *one, const float *w, const float *v, size_t rows)
{
    double total = 0.0;
    for (size_t row = 0; row < rows; row += TILE) {
        const size_t count = rows - row < TILE ? rows - row : TILE, at = row * one->n;
        const tile t = {w + at, v + at, count, one->n};
        double loss[TILE] = {0};
        for (size_t i = 0; i < one->n; i += BLOCK)
            for (size_t j = i; j < one->n; j += BLOCK) add_block(&t, one->gram, i, j, loss);
        for (size_t r = 0; r < count; r++) total += loss[r];
    }
    return total;
}
