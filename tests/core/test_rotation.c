/* Rotations against their matrices, written out by other formulas. */
#include "core/rotation.h"

#include "core/hadamard.h"
#include "core/rng.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

enum { REGION = 1 << 26 };

static mc_region region;
static mc_err err;

static void begin(void)
{
    cr_assert_eq(mc_region_open(&region, REGION, &err), MC_OK, "%s", err.text);
}

static void end(void)
{
    mc_region_close(&region);
}

TestSuite(rotation, .init = begin, .fini = end);

static double *numbers(size_t n, uint64_t stream)
{
    double *x = MC_NEW_RAW(&region.arena, double, n);
    cr_assert_not_null(x);
    for (size_t i = 0; i < n; i++) x[i] = 2.0 * (double)mc_rng_unit((mc_rng){3, stream}, i) - 1.0;
    return x;
}

static mc_rotation make(mc_rotate_kind kind, size_t n, size_t block, uint64_t seed)
{
    mc_rotation q;
    cr_assert_eq(mc_rotation_make(kind, n, block, seed, &region.arena, &q, &err), MC_OK, "%s",
                 err.text);
    return q;
}

/* Q [n x n]: what becomes of the rows of the identity. */
static double *matrix_of(const mc_rotation *q, bool back)
{
    double *x = MC_NEW(&region.arena, double, q->n * q->n);
    cr_assert_not_null(x);
    for (size_t i = 0; i < q->n; i++) x[i * q->n + i] = 1.0;
    mc_rotate_f64(q, back, x, q->n, q->n, region.arena);
    return x;
}

/* ---- tables ---- */

Test(rotation, every_table_is_a_hadamard_matrix)
{
    static const size_t order[] = {1, 12, 20, 28, 36, 52, 60, 108, 140, 156, 172, 0};
    static double t[172 * 172];
    for (size_t o = 0; o < sizeof order / sizeof *order; o++) {
        const size_t n = mc_hadamard_order(o);
        cr_assert_eq(n, order[o]);
        if (n == 0) continue;
        memset(t, 0, sizeof t);
        mc_hadamard_table(n, t);
        for (size_t i = 0; i < n * n; i++) cr_assert(t[i] == 1.0 || t[i] == -1.0);
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++) {
                double sum = 0.0; /* whole numbers: exact */
                for (size_t k = 0; k < n; k++) sum += t[i * n + k] * t[j * n + k];
                cr_assert(sum == (i == j ? (double)n : 0.0), "order %zu: rows %zu, %zu: %g", n, i,
                          j, sum);
            }
    }
    cr_assert_eq(mc_hadamard_order(1000), 0u);
}

Test(rotation, sizes_have_the_largest_block_there_is)
{
    static const size_t want[][2] = {
        {1, 1},         {2, 2},         {3, 1},         {7, 1},       {96, 96},
        {40, 40},       {172, 172},     {344, 344},     {512, 512},   {768, 768},
        {1000, 40},     {4608, 4608},   {5120, 5120},   {5632, 512},  {8960, 8960},
        {11008, 11008}, {13824, 13824}, {14336, 14336}, {18944, 512}, {132, 12},
    };
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        cr_expect_eq(mc_hadamard_block(want[i][0]), want[i][1], "%zu: %zu", want[i][0],
                     mc_hadamard_block(want[i][0]));
        cr_expect_eq(mc_hadamard_exists(want[i][0]), want[i][0] == want[i][1]);
    }
    cr_expect_not(mc_hadamard_exists(0));
}

/* ---- Hadamard ---- */

/* Element i, j of Sylvester's matrix: -1 to the number of ones that i and j share. */
static double sylvester(size_t i, size_t j)
{
    double sign = 1.0;
    for (size_t shared = i & j; shared; shared &= shared - 1) sign = -sign;
    return sign;
}

Test(rotation, hadamard_is_the_product_of_table_and_sylvester)
{
    static double table[172 * 172];
    for (size_t o = 0; mc_hadamard_order(o) > 0; o++)
        for (size_t cols = 1; cols <= 32; cols *= mc_hadamard_order(o) < 100 ? 2 : 32) {
            const size_t k = mc_hadamard_order(o), n = k * cols;
            if (n > 700) continue;
            mc_arena mark = region.arena;
            const mc_rotation q = make(MC_ROTATE_HADAMARD, n, 0, 0);
            cr_assert_eq(q.block, n);
            const double *x = matrix_of(&q, false), *y = matrix_of(&q, true);
            mc_hadamard_table(k, table);
            for (size_t i = 0; i < n; i++)
                for (size_t j = 0; j < n; j++) {
                    const double want = table[i / cols * k + j / cols] *
                                        sylvester(i % cols, j % cols) / sqrt((double)n);
                    cr_assert(fabs(x[i * n + j] - want) <= 1e-15, "%zu: %zu, %zu", n, i, j);
                    cr_assert(fabs(y[j * n + i] - want) <= 1e-15, "%zu: %zu, %zu", n, i, j);
                }
            region.arena = mark;
        }
}

Test(rotation, blocks_are_rotated_each_for_itself)
{
    const mc_rotation q = make(MC_ROTATE_HADAMARD, 96, 24, 0), one = make(q.kind, 24, 0, 0);
    const double *x = matrix_of(&q, false), *part = matrix_of(&one, false);
    for (size_t i = 0; i < 96; i++)
        for (size_t j = 0; j < 96; j++) {
            const double want = i / 24 == j / 24 ? part[i % 24 * 24 + j % 24] : 0.0;
            cr_assert(x[i * 96 + j] == want, "%zu, %zu", i, j);
        }
}

Test(rotation, signs_come_in_front_and_from_the_seed)
{
    const size_t n = 160;
    const mc_rotation plain = make(MC_ROTATE_HADAMARD, n, 0, 1);
    const mc_rotation q = make(MC_ROTATE_RANDOM_HADAMARD, n, 0, 1);
    const mc_rotation again = make(MC_ROTATE_RANDOM_HADAMARD, n, 0, 1);
    const mc_rotation other = make(MC_ROTATE_RANDOM_HADAMARD, n, 0, 2);
    cr_assert_null(plain.sign);
    size_t minus = 0, differ = 0;
    for (size_t i = 0; i < n; i++) {
        cr_assert(q.sign[i] == 1.0 || q.sign[i] == -1.0);
        cr_assert(q.sign[i] == again.sign[i]);
        minus += q.sign[i] < 0.0;
        differ += q.sign[i] != other.sign[i];
    }
    /* Five standard deviations of n throws of a coin. */
    cr_assert(fabs((double)minus - 80.0) < 5.0 * sqrt(40.0), "%zu", minus);
    cr_assert(fabs((double)differ - 80.0) < 5.0 * sqrt(40.0), "%zu", differ);

    const double *h = matrix_of(&plain, false), *x = matrix_of(&q, false);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) cr_assert(x[i * n + j] == q.sign[i] * h[i * n + j]);
}

/* ---- orthogonal ---- */

Test(rotation, orthogonal_matrices_are_drawn_by_seed)
{
    const size_t n = 60;
    const mc_rotation q = make(MC_ROTATE_ORTHOGONAL, 2 * n, n, 5);
    const mc_rotation again = make(MC_ROTATE_ORTHOGONAL, 2 * n, n, 5);
    const mc_rotation other = make(MC_ROTATE_ORTHOGONAL, 2 * n, n, 6);
    cr_assert(memcmp(q.matrix, again.matrix, n * n * sizeof *q.matrix) == 0);
    const double *x = matrix_of(&q, false), *back = matrix_of(&q, true);
    double mean = 0.0, common = 0.0;
    for (size_t i = 0; i < 2 * n; i++)
        for (size_t j = 0; j < 2 * n; j++) {
            const double want = i / n == j / n ? q.matrix[i % n * n + j % n] : 0.0;
            cr_assert(fabs(x[i * 2 * n + j] - want) <= 1e-15);
            cr_assert(fabs(back[j * 2 * n + i] - want) <= 1e-15);
            mean += want / (double)(2 * n * n);
            common += want * other.matrix[i % n * n + j % n] / (double)(2 * n);
        }
    /* Elements are about normal with variance 1 / n. */
    cr_assert(fabs(mean) < 5.0 / ((double)n * sqrt((double)n)), "%g", mean);
    cr_assert(fabs(common) < 5.0 / sqrt((double)n), "%g", common);
}

/* Gram and Schmidt on what Box and Muller make of the seed's words. */
Test(rotation, orthogonal_matrices_come_from_normal_numbers)
{
    enum { SIZE = 4 };
    const mc_rotation q = make(MC_ROTATE_ORTHOGONAL, SIZE, 0, 77);
    double x[SIZE][SIZE];
    for (size_t i = 0; i < SIZE * SIZE; i++) {
        const mc_rng rng = {77, 0x0a70};
        const double radius =
            sqrt(-2.0 * log(((double)mc_rng_u32(rng, i / 2 * 2) + 0.5) / 4294967296.0));
        const double angle =
            2.0 * acos(-1.0) * (double)mc_rng_u32(rng, i / 2 * 2 + 1) / 4294967296.0;
        x[i / SIZE][i % SIZE] = radius * (i % 2 ? sin(angle) : cos(angle));
    }
    for (int j = 0; j < SIZE; j++) { /* columns */
        double length = 0.0;
        for (int before = 0; before < j; before++) {
            double sum = 0.0;
            for (int i = 0; i < SIZE; i++) sum += x[i][j] * x[i][before];
            for (int i = 0; i < SIZE; i++) x[i][j] -= sum * x[i][before];
        }
        for (int i = 0; i < SIZE; i++) length += x[i][j] * x[i][j];
        for (int i = 0; i < SIZE; i++) x[i][j] /= sqrt(length);
    }
    for (int i = 0; i < SIZE; i++)
        for (int j = 0; j < SIZE; j++)
            cr_assert(fabs(q.matrix[i * SIZE + j] - x[i][j]) <= 1e-13, "%d, %d", i, j);
}

/* ---- all ---- */

typedef struct {
    mc_rotate_kind kind;
    size_t n, block;
} shape;

static const shape shapes[] = {
    {MC_ROTATE_HADAMARD, 1, 0},          {MC_ROTATE_HADAMARD, 2, 0},
    {MC_ROTATE_HADAMARD, 512, 0},        {MC_ROTATE_HADAMARD, 768, 0},
    {MC_ROTATE_HADAMARD, 5632, 0},       {MC_ROTATE_HADAMARD, 11008, 0},
    {MC_ROTATE_HADAMARD, 14336, 0},      {MC_ROTATE_RANDOM_HADAMARD, 1024, 128},
    {MC_ROTATE_RANDOM_HADAMARD, 312, 0}, {MC_ROTATE_ORTHOGONAL, 1, 0},
    {MC_ROTATE_ORTHOGONAL, 3, 0},        {MC_ROTATE_ORTHOGONAL, 300, 0},
    {MC_ROTATE_ORTHOGONAL, 267, 89},     {MC_ROTATE_ORTHOGONAL, 513, 0},
};
enum { SHAPES = sizeof shapes / sizeof *shapes, ROWS = 11, GAP = 5 };

Test(rotation, there_and_back_is_nothing)
{
    for (size_t s = 0; s < SHAPES; s++) {
        mc_arena mark = region.arena;
        const size_t n = shapes[s].n, stride = n + GAP;
        const mc_rotation q = make(shapes[s].kind, n, shapes[s].block, s);
        const double *was = numbers(ROWS * stride, s);
        double *x = MC_NEW_RAW(&region.arena, double, ROWS *stride);
        float *f = MC_NEW_RAW(&region.arena, float, ROWS *stride);
        for (size_t i = 0; i < ROWS * stride; i++) {
            x[i] = was[i];
            f[i] = (float)was[i];
        }
        mc_rotate_f64(&q, false, x, ROWS, stride, region.arena);
        mc_rotate_f32(&q, false, f, ROWS, stride, region.arena);
        for (size_t r = 0; r < ROWS; r++) {
            double before = 0.0, after = 0.0;
            for (size_t i = 0; i < n; i++) {
                before += was[r * stride + i] * was[r * stride + i];
                after += x[r * stride + i] * x[r * stride + i];
            }
            cr_assert(fabs(after - before) <= 1e-13 * before, "%zu: length", n);
        }
        mc_rotate_f64(&q, true, x, ROWS, stride, region.arena);
        mc_rotate_f32(&q, true, f, ROWS, stride, region.arena);
        for (size_t i = 0; i < ROWS * stride; i++) {
            const bool gap = i % stride >= n;
            cr_assert(fabs(x[i] - was[i]) <= (gap ? 0.0 : 1e-14), "%zu: %zu", n, i);
            cr_assert(fabs((double)f[i] - (double)(float)was[i]) <= (gap ? 0.0 : 1e-6), "%zu: %zu",
                      n, i);
        }
        region.arena = mark;
    }
}

Test(rotation, floats_meet_the_same_matrix)
{
    for (size_t s = 0; s < SHAPES; s++) {
        mc_arena mark = region.arena;
        const size_t n = shapes[s].n;
        const mc_rotation q = make(shapes[s].kind, n, shapes[s].block, s);
        for (int back = 0; back < 2; back++) {
            double *x = numbers(n, 7);
            float *f = MC_NEW_RAW(&region.arena, float, n);
            for (size_t i = 0; i < n; i++) {
                f[i] = (float)x[i];
                x[i] = (double)f[i];
            }
            mc_rotate_f64(&q, back, x, 1, n, region.arena);
            mc_rotate_f32(&q, back, f, 1, n, region.arena);
            for (size_t i = 0; i < n; i++)
                cr_assert(f[i] == (float)x[i], "%zu: %zu: %g, not %g", n, i, (double)f[i], x[i]);
        }
        region.arena = mark;
    }
}

Test(rotation, vectors_do_not_depend_on_company_or_scratch)
{
    for (size_t s = 0; s < SHAPES; s++) {
        mc_arena mark = region.arena;
        const size_t n = shapes[s].n;
        const mc_rotation q = make(shapes[s].kind, n, shapes[s].block, s);
        double *x = numbers(ROWS * n, 8), *y = numbers(ROWS * n, 8);
        mc_rotate_f64(&q, false, x, ROWS, n, region.arena);
        unsigned char *room = mc_alloc_raw(&region.arena, n * sizeof(double) + 64, 1);
        const mc_arena least = {room, room + n * sizeof(double) + 64};
        for (size_t r = 0; r < ROWS; r++) mc_rotate_f64(&q, false, y + r * n, 1, n, least);
        cr_assert(memcmp(x, y, ROWS * n * sizeof *x) == 0, "n %zu", n);
        region.arena = mark;
    }
}

Test(rotation, without_scratch_there_is_no_number)
{
    const mc_rotation q = make(MC_ROTATE_ORTHOGONAL, 4, 0, 1),
                      h = make(MC_ROTATE_HADAMARD, 4, 0, 1);
    double x[4] = {1, 2, 3, 4};
    float f[4] = {1, 2, 3, 4};
    mc_rotate_f64(&q, false, x, 1, 4, (mc_arena){0});
    mc_rotate_f32(&h, false, f, 1, 4, (mc_arena){0});
    for (int i = 0; i < 4; i++) cr_assert(isnan(x[i]) && isnan(f[i]));
}

Test(rotation, what_does_not_exist_is_refused)
{
    mc_rotation q;
    mc_arena *mem = &region.arena;
    cr_assert_eq(mc_rotation_make(MC_ROTATE_HADAMARD, 100, 30, 0, mem, &q, &err), MC_E_USAGE);
    cr_assert_str_eq(err.text, "blocks of 30 do not divide vectors of 100");
    cr_assert_eq(mc_rotation_make(MC_ROTATE_HADAMARD, 100, 50, 0, mem, &q, &err), MC_E_USAGE);
    cr_assert_str_eq(err.text, "there is no Hadamard matrix for blocks of 50 (the largest for "
                               "vectors of 100 is 20)");
    cr_assert_eq(mc_rotation_make(MC_ROTATE_ORTHOGONAL, 0, 0, 0, mem, &q, &err), MC_E_USAGE);
    cr_assert_str_eq(err.text, "vectors of 0 numbers cannot be rotated");
    mc_arena small = {mem->at, mem->at + 1000};
    cr_assert_eq(mc_rotation_make(MC_ROTATE_ORTHOGONAL, 100, 0, 0, &small, &q, &err), MC_E_BUDGET);
    small = (mc_arena){mem->at, mem->at + 1000};
    cr_assert_eq(mc_rotation_make(MC_ROTATE_HADAMARD, 172, 0, 0, &small, &q, &err), MC_E_BUDGET);
}
