#include "gram_case.h"

#include "core/rng.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

double gram_normal(uint64_t seed, uint64_t i)
{
    const mc_rng rng = {.seed = seed, .stream = 77};
    double sum = 0.0;
    for (uint64_t j = 0; j < 12; j++) sum += (double)mc_rng_unit(rng, i * 12 + j);
    return sum - 6.0;
}

static double *room(size_t count)
{
    double *at = calloc(count, sizeof *at);
    cr_assert_not_null(at);
    return at;
}

/* a <- (I - 2 v v^T) a (I - 2 v v^T) for a unit vector v. */
static void reflect(size_t n, const double *v, double *a, double *av)
{
    double vav = 0.0;
    for (size_t i = 0; i < n; i++) {
        av[i] = 0.0;
        for (size_t j = 0; j < n; j++) av[i] += a[i * n + j] * v[j];
        vav += v[i] * av[i];
    }
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++)
            a[i * n + j] -= 2.0 * (v[i] * av[j] + av[i] * v[j]) - 4.0 * vav * v[i] * v[j];
}

void gram_of_condition(size_t n, double condition, uint64_t seed, double *gram)
{
    enum { REFLECTIONS = 12 };
    double *v = room(n), *av = room(n);
    memset(gram, 0, n * n * sizeof *gram);
    for (size_t i = 0; i < n; i++)
        gram[i * n + i] = pow(condition, -(double)i / (double)(n > 1 ? n - 1 : 1));
    for (size_t k = 0; k < REFLECTIONS; k++) {
        double length = 0.0;
        for (size_t i = 0; i < n; i++) {
            v[i] = gram_normal(seed, k * n + i);
            length += v[i] * v[i];
        }
        for (size_t i = 0; i < n; i++) v[i] /= sqrt(length);
        reflect(n, v, gram, av);
    }
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < i; j++) gram[i * n + j] = gram[j * n + i];
    free(v);
    free(av);
}

/* One input x, and how y differs from it. */
static void draw_row(size_t n, uint64_t seed, size_t row, double *x, double *off)
{
    double last = gram_normal(seed + 1, row), wave = 0.0;
    for (size_t i = 0; i < n; i++) {
        last = 0.8 * last + 0.6 * gram_normal(seed + 2, row * n + i);
        x[i] = last * exp(0.7 * gram_normal(seed + 3, i));
        wave = 0.5 * wave + x[i];
        off[i] = 0.05 * wave + 0.05 * gram_normal(seed + 4, row * n + i);
    }
}

void gram_of_rows(size_t n, size_t rows, uint64_t seed, gram_sums out)
{
    double *x = room(n), *off = room(n);
    if (out.gram) memset(out.gram, 0, n * n * sizeof *out.gram);
    if (out.cross) memset(out.cross, 0, n * n * sizeof *out.cross);
    if (out.square) memset(out.square, 0, n * sizeof *out.square);
    for (size_t r = 0; r < rows; r++) {
        draw_row(n, seed, r, x, off);
        for (size_t i = 0; i < n; i++) {
            if (out.square) out.square[i] += x[i] * x[i];
            for (size_t j = 0; out.gram && j < n; j++) out.gram[i * n + j] += x[i] * x[j];
            for (size_t j = 0; out.cross && j < n; j++) out.cross[i * n + j] += off[i] * x[j];
        }
    }
    free(x);
    free(off);
}
