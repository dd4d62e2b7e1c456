/* Moments against plain sums, closed forms, and the identity they are for: d G d^T is the squared
 * error of the outputs. */
#include "calib/moments.h"

#include "tests/support/draw.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    size_t n, groups, samples;
    mc_nd x[8], y[8];
    mc_site_rows x_rows[8], y_rows[8];
    float *numbers;
} case_of;

/* Samples of tokens, each of its own number of rows. */
static case_of tokens(size_t n, size_t samples, const size_t *rows, uint64_t seed)
{
    case_of c = {.n = n, .groups = 1, .samples = samples};
    size_t all = 0;
    for (size_t i = 0; i < samples; i++) all += 2 * rows[i] * n;
    c.numbers = malloc((all + 1) * sizeof *c.numbers);
    cr_assert(c.numbers);
    draw_weights(DRAW_NORMAL, seed, c.numbers, all);
    float *at = c.numbers;
    for (size_t i = 0; i < samples; i++) {
        const int64_t dim[] = {(int64_t)rows[i], (int64_t)n};
        mc_err err;
        mc_nd *both[] = {&c.x[i], &c.y[i]};
        for (int s = 0; s < 2; s++, at += rows[i] * n) {
            cr_assert_eq(mc_nd_set(both[s], MC_F32, 2, dim, &err), MC_OK);
            both[s]->data = at;
        }
    }
    return c;
}

/* A map of `groups` channels, 3 x 3 windows around each place. */
static case_of depthwise(size_t groups, size_t channels, size_t side)
{
    case_of c = {.n = channels * 9, .groups = groups, .samples = 2};
    const size_t each = groups * channels * side * side;
    c.numbers = malloc(4 * each * sizeof *c.numbers);
    cr_assert(c.numbers);
    draw_weights(DRAW_UNIFORM, 3, c.numbers, 4 * each);
    for (size_t i = 0; i < 4; i++) {
        mc_nd *nd = i % 2 ? &c.y[i / 2] : &c.x[i / 2];
        const int64_t dim[] = {1, (int64_t)(groups * channels), (int64_t)side, (int64_t)side};
        mc_err err;
        cr_assert_eq(mc_nd_set(nd, MC_F32, 4, dim, &err), MC_OK);
        nd->data = c.numbers + i * each;
    }
    return c;
}

static mc_site_rows rows_of(const case_of *c, const mc_nd *x)
{
    mc_site_rows r = mc_site_rows_of(x);
    if (x->ndim < 4) return r;
    const int64_t side = x->dim[3];
    r.groups = c->groups;
    r.channels = (size_t)x->dim[1] / c->groups;
    r.n = r.channels * 9;
    r.rows = (size_t)(side * side);
    r.window = (mc_window){.axes = 3,
                           .kernel = {1, 3, 3},
                           .stride = {1, 1, 1},
                           .dilation = {1, 1, 1},
                           .pad_begin = {0, 1, 1},
                           .pad_end = {0, 1, 1},
                           .in = {1, side, side},
                           .out = {1, side, side}};
    return r;
}

static mc_status add(case_of *c, mc_moment_sums *sums, mc_pool *pool, mc_err *err)
{
    const unsigned what =
        (sums->gram ? MC_MOMENTS_GRAM : 0u) | (sums->cross ? MC_MOMENTS_CROSS : 0u);
    mc_region scratch;
    cr_assert_eq(mc_region_open(&scratch, mc_moments_scratch(c->n, c->groups, what), err), MC_OK);
    for (size_t i = 0; i < c->samples; i++) {
        c->x_rows[i] = rows_of(c, &c->x[i]);
        c->y_rows[i] = rows_of(c, &c->y[i]);
    }
    const mc_moment_rows in = {.site = "block.3.down",
                               .x = c->x_rows,
                               .y = sums->cross ? c->y_rows : NULL,
                               .samples = c->samples};
    const mc_status status = mc_moments_add(sums, &in, pool, scratch.arena, err);
    mc_region_close(&scratch);
    return status;
}

static mc_moment_sums sums_of(const case_of *c, unsigned what, mc_region *room)
{
    mc_moment_sums sums;
    mc_err err = {0};
    const size_t bytes = mc_moments_bytes(c->n, c->groups, what);
    cr_assert_eq(mc_region_open(room, bytes, &err), MC_OK, "%s", err.text);
    cr_assert_eq(mc_moments_new(c->n, c->groups, what, &room->arena, &sums, &err), MC_OK);
    return sums;
}

static mc_moment_sums collect(case_of *c, unsigned what, unsigned threads, mc_region *room)
{
    mc_moment_sums sums = sums_of(c, what, room);
    mc_pool *pool = NULL;
    mc_err err = {0};
    if (threads > 0) cr_assert_eq(mc_pool_open(&pool, threads, 0, &err), MC_OK);
    cr_assert_eq(add(c, &sums, pool, &err), MC_OK, "%s", err.text);
    mc_moments_mirror(&sums);
    mc_pool_close(pool);
    return sums;
}

/* ---- by plain loops ---- */

static void near(double got, double want, double scale, const char *what, size_t i)
{
    cr_assert(fabs(got - want) <= 1e-12 * scale + 1e-300, "%s[%zu] is %.17g, not %.17g", what, i,
              got, want);
}

/* Elements of all rows of a group, one row after the other. */
static float *all_rows(const case_of *c, const mc_nd *nd, size_t group, size_t *rows)
{
    *rows = 0;
    for (size_t i = 0; i < c->samples; i++) *rows += rows_of(c, &nd[i]).rows;
    float *all = malloc((*rows * c->n + 1) * sizeof *all), *at = all;
    cr_assert(all);
    for (size_t i = 0; i < c->samples; i++) {
        const mc_site_rows r = rows_of(c, &nd[i]);
        mc_site_rows_fill(&r, group, 0, r.rows, at);
        at += r.rows * c->n;
    }
    return all;
}

static void check_group(const case_of *c, const mc_moments *m, size_t group)
{
    size_t rows;
    float *x = all_rows(c, c->x, group, &rows), *y = all_rows(c, c->y, group, &rows);
    const size_t n = c->n;
    cr_assert_eq(m->rows, rows);
    for (size_t i = 0; i < n; i++) {
        double sum = 0, shift = 0, square = 0;
        for (size_t r = 0; r < rows; r++) {
            sum += (double)x[r * n + i];
            shift += (double)y[r * n + i] - (double)x[r * n + i];
            square += (double)x[r * n + i] * (double)x[r * n + i];
        }
        near(m->sum[i], sum, (double)rows, "sum", i);
        near(m->square[i], square, (double)rows, "square", i);
        if (m->shift) near(m->shift[i], shift, (double)rows, "shift", i);
        for (size_t j = 0; j < n; j++) {
            double gram = 0, cross = 0;
            for (size_t r = 0; r < rows; r++) {
                gram += (double)x[r * n + i] * (double)x[r * n + j];
                cross += ((double)y[r * n + i] - (double)x[r * n + i]) * (double)x[r * n + j];
            }
            if (m->gram) near(m->gram[i * n + j], gram, (double)rows, "gram", i * n + j);
            if (m->cross) near(m->cross[i * n + j], cross, (double)rows, "cross", i * n + j);
        }
    }
    free(x);
    free(y);
}

static void check(case_of *c, unsigned what)
{
    mc_region room;
    const mc_moment_sums sums = collect(c, what, 2, &room);
    cr_expect_eq(!sums.gram, !(what & MC_MOMENTS_GRAM));
    cr_expect_eq(!sums.cross, !(what & MC_MOMENTS_CROSS));
    for (size_t g = 0; g < c->groups; g++) {
        const mc_moments one = mc_moments_of_group(&sums.view, g);
        check_group(c, &one, g);
    }
    mc_region_close(&room);
    free(c->numbers);
}

Test(moments, are_sums_over_all_rows_of_all_samples)
{
    const size_t rows[] = {3, 0, 70, 1, 0, 64};
    case_of c = tokens(37, 6, rows, 1);
    check(&c, MC_MOMENTS_GRAM);
    c = tokens(37, 6, rows, 2);
    check(&c, 0);
    c = tokens(1, 1, rows, 2);
    check(&c, MC_MOMENTS_GRAM);
}

Test(moments, keep_both_streams_apart)
{
    const size_t rows[] = {65, 2, 70};
    case_of c = tokens(19, 3, rows, 4);
    check(&c, MC_MOMENTS_GRAM | MC_MOMENTS_CROSS);
    c = tokens(19, 3, rows, 5);
    check(&c, MC_MOMENTS_CROSS);
}

Test(moments, go_over_borders_of_tiles_and_chunks)
{
    const size_t rows[] = {1000, 100}; /* a chunk has 1024 rows, a tile 128 columns */
    case_of c = tokens(130, 2, rows, 6);
    check(&c, MC_MOMENTS_GRAM | MC_MOMENTS_CROSS);
}

Test(moments, of_a_depthwise_convolution_are_one_set_a_group)
{
    case_of c = depthwise(40, 1, 6);
    check(&c, MC_MOMENTS_GRAM | MC_MOMENTS_CROSS);
    c = depthwise(2, 29, 3); /* groups of 261 columns: too wide to be spread by groups */
    check(&c, MC_MOMENTS_GRAM);
}

/* Rows 0 .. T-1 of x_i = i + 1, and of the float model x_i + i: everything has a closed form, all
 * numbers are whole. */
Test(moments, of_constant_rows_are_exact)
{
    enum { T = 1100, N = 5 };
    const size_t rows[] = {T};
    case_of c = tokens(N, 1, rows, 1);
    for (size_t t = 0; t < T; t++)
        for (size_t i = 0; i < N; i++) {
            ((float *)c.x[0].data)[t * N + i] = (float)(i + 1);
            ((float *)c.y[0].data)[t * N + i] = (float)(2 * i + 1);
        }
    mc_region room;
    const mc_moment_sums s = collect(&c, MC_MOMENTS_GRAM | MC_MOMENTS_CROSS, 1, &room);
    cr_expect_eq(s.view.rows, T);
    for (size_t i = 0; i < N; i++) {
        cr_expect(s.sum[i] == (double)(T * (i + 1)) && s.shift[i] == (double)(T * i));
        cr_expect(s.square[i] == (double)(T * (i + 1) * (i + 1)));
        for (size_t j = 0; j < N; j++) {
            cr_expect(s.gram[i * N + j] == (double)(T * (i + 1) * (j + 1)));
            cr_expect(s.cross[i * N + j] == (double)(T * i * (j + 1)));
        }
    }
    mc_region_close(&room);
    free(c.numbers);
}

/* ---- what they are for ---- */

Test(moments, give_the_squared_error_of_the_outputs)
{
    enum { OUTS = 45 };
    const size_t rows[] = {150, 33}, n = 300;
    case_of c = tokens(n, 2, rows, 9);
    float *w = malloc(2 * OUTS * n * sizeof *w), *v = w + OUTS * n;
    cr_assert(w);
    draw_weights(DRAW_NORMAL, 10, w, 2 * OUTS * n);
    double want = 0.0;
    for (size_t s = 0; s < 2; s++)
        for (size_t t = 0; t < rows[s]; t++)
            for (size_t o = 0; o < OUTS; o++) {
                double y = 0.0;
                for (size_t i = 0; i < n; i++)
                    y += ((double)w[o * n + i] - (double)v[o * n + i]) *
                         (double)((const float *)c.x[s].data)[t * n + i];
                want += y * y;
            }
    mc_region room;
    const mc_moment_sums s = collect(&c, MC_MOMENTS_GRAM, 2, &room);
    const double got = mc_moments_loss(&s.view, w, v, OUTS);
    cr_expect(fabs(got - want) <= 1e-11 * want, "%.17g is not %.17g", got, want);
    mc_region_close(&room);
    free(w);
    free(c.numbers);
}

/* ---- sameness ---- */

static void expect_same(const mc_moments *a, const mc_moments *b)
{
    const size_t vector = a->n * a->groups * sizeof(double);
    cr_expect_eq(a->rows, b->rows);
    cr_expect_arr_eq(a->sum, b->sum, vector);
    cr_expect_arr_eq(a->square, b->square, vector);
    if (a->gram) cr_expect_arr_eq(a->gram, b->gram, vector * a->n);
    if (a->cross) cr_expect_arr_eq(a->cross, b->cross, vector * a->n);
    if (a->shift) cr_expect_arr_eq(a->shift, b->shift, vector);
}

Test(moments, do_not_depend_on_threads)
{
    const size_t rows[] = {700, 650};
    case_of of[] = {tokens(259, 2, rows, 11), depthwise(70, 2, 9)};
    for (size_t i = 0; i < 2; i++) {
        const unsigned what = MC_MOMENTS_GRAM | MC_MOMENTS_CROSS;
        mc_region room[4];
        const mc_moment_sums none = collect(&of[i], what, 0, &room[3]);
        for (unsigned threads = 1; threads <= 3; threads++) {
            const mc_moment_sums s = collect(&of[i], what, threads, &room[threads - 1]);
            expect_same(&none.view, &s.view);
        }
        for (size_t k = 0; k < 4; k++) mc_region_close(&room[k]);
        free(of[i].numbers);
    }
}

Test(moments, of_two_halves_add_up_to_those_of_the_whole)
{
    const size_t rows[] = {40, 60};
    case_of c = tokens(33, 2, rows, 12);
    const unsigned what = MC_MOMENTS_GRAM | MC_MOMENTS_CROSS;
    mc_region room[3];
    mc_err err = {0};
    const mc_moment_sums all = collect(&c, what, 1, &room[0]);
    c.samples = 1;
    mc_moment_sums first = collect(&c, what, 1, &room[1]);
    c.x[0] = c.x[1];
    c.y[0] = c.y[1];
    const mc_moment_sums second = collect(&c, what, 1, &room[2]);
    cr_assert_eq(mc_moments_merge(&first, &second.view, &err), MC_OK);
    mc_moments_mirror(&first);
    cr_expect_eq(first.view.rows, 100);
    for (size_t i = 0; i < 33; i++) {
        near(first.sum[i], all.sum[i], 100, "sum", i);
        near(first.shift[i], all.shift[i], 100, "shift", i);
        near(first.square[i], all.square[i], 100, "square", i);
        for (size_t k = i * 33; k < i * 33 + 33; k++) {
            near(first.gram[k], all.gram[k], 100, "gram", k);
            near(first.cross[k], all.cross[k], 100, "cross", k);
        }
    }
    for (size_t k = 0; k < 3; k++) mc_region_close(&room[k]);
    free(c.numbers);
}

/* ---- refusals ---- */

static void expect_refused(case_of *c, unsigned what, const char *place)
{
    mc_region room;
    mc_err err = {0};
    mc_moment_sums sums = sums_of(c, what, &room);
    cr_expect_eq(add(c, &sums, NULL, &err), MC_E_FORMAT);
    cr_expect(strstr(err.text, "site block.3.down"), "%s", err.text);
    cr_expect(strstr(err.text, place), "%s", err.text);
    mc_region_close(&room);
}

Test(moments, name_the_place_of_a_number_that_is_not_finite)
{
    const size_t rows[] = {90, 80};
    case_of c = tokens(21, 2, rows, 13);
    float *x = c.x[1].data, *y = c.y[0].data;
    x[70 * 21 + 20] = NAN;
    x[71 * 21] = INFINITY;
    expect_refused(&c, MC_MOMENTS_GRAM, "sample 1, row 70, column 20: activation is nan");
    x[70 * 21 + 20] = 0;
    expect_refused(&c, 0, "sample 1, row 71, column 0: activation is inf");
    x[71 * 21] = 0;
    y[5] = -INFINITY;
    expect_refused(&c, MC_MOMENTS_CROSS,
                   "sample 0, row 0, column 5: the float model's activation is -inf");
    free(c.numbers);

    c = depthwise(3, 1, 4);
    ((float *)c.x[0].data)[16] = NAN; /* the second group's first place, seen by 4 windows */
    expect_refused(&c, MC_MOMENTS_GRAM, "sample 0, row 0, group 1, column 4: activation is nan");
    free(c.numbers);
}

Test(moments, of_other_shapes_are_not_added)
{
    const size_t rows[] = {2};
    case_of a = tokens(3, 1, rows, 1), b = tokens(4, 1, rows, 1);
    mc_region room[3];
    mc_err err = {0};
    mc_moment_sums x = collect(&a, MC_MOMENTS_GRAM, 0, &room[0]);
    const mc_moment_sums y = collect(&b, MC_MOMENTS_GRAM, 0, &room[1]);
    const mc_moment_sums z = collect(&a, 0, 0, &room[2]);
    cr_expect_eq(mc_moments_merge(&x, &y.view, &err), MC_E_MISMATCH);
    cr_expect(strstr(err.text, "3 columns") && strstr(err.text, "of 4"), "%s", err.text);
    cr_expect_eq(mc_moments_merge(&x, &z.view, &err), MC_E_USAGE);
    cr_expect(strstr(err.text, "Gram"), "%s", err.text);
    cr_expect_eq(mc_moments_bytes(SIZE_MAX / 16, 1, MC_MOMENTS_GRAM), SIZE_MAX);
    cr_expect_eq(add(&b, &x, NULL, &err), MC_E_INTERNAL);
    for (size_t k = 0; k < 3; k++) mc_region_close(&room[k]);
    free(a.numbers);
    free(b.numbers);
}
