/* The sweep against the algorithm written column by column, and against what it promises: its sum
 * of squares is the quadratic form, rows are independent, the ladder ends. */
#include "core/sweep.h"

#include "core/linalg.h"
#include "tests/support/gram_case.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 300, ROWS = 70 };

static mc_region memory;

static void open_memory(void)
{
    mc_err err = {0};
    cr_assert_eq(mc_region_open(&memory, (size_t)256 << 20, &err), MC_OK);
}

static void close_memory(void)
{
    mc_region_close(&memory);
}

TestSuite(sweep, .init = open_memory, .fini = close_memory);

static double *numbers(size_t count)
{
    double *at = MC_NEW(&memory.arena, double, count);
    cr_assert_not_null(at);
    return at;
}

/* A permutation that is neither the identity nor its own inverse. */
static const uint32_t *some_order(size_t n)
{
    uint32_t *order = MC_NEW(&memory.arena, uint32_t, n);
    for (size_t i = 0; i < n; i++) order[i] = (uint32_t)((i * 7 + 3) % n);
    return order;
}

/* `bytes` of memory, one byte off, so that aligning takes all it can. */
static mc_arena open_exactly(mc_region *region, size_t bytes)
{
    mc_err err = {0};
    cr_assert_eq(mc_region_open(region, bytes + 1, &err), MC_OK, "%s", err.text);
    return (mc_arena){region->arena.at + 1, region->arena.end};
}

/* prepare() in exactly the memory that it asks for, which lasts as long as the test. */
static mc_status try_prepare(size_t n, const double *gram, const double *cross,
                             mc_sweep_setup setup, mc_sweep_factor *out, mc_err *err)
{
    mc_region region;
    mc_arena room = open_exactly(&region, mc_sweep_prepare_bytes(n, cross));
    return mc_sweep_prepare(n, gram, cross, &setup, &room, out, err);
}

static mc_sweep_factor prepare(size_t n, const double *gram, const double *cross,
                               mc_sweep_setup setup)
{
    mc_sweep_factor f;
    mc_err err = {0};
    cr_assert_eq(try_prepare(n, gram, cross, setup, &f, &err), MC_OK, "%s", err.text);
    return f;
}

/* ---- a projection: to whole multiples of a step ---- */

typedef struct {
    size_t rows, n;
    double step;
    const double *naive; /* what group() compares with: rows x n at each column, or NULL */
    size_t groups_seen, span;
} grid;

static mc_status round_column(void *self, size_t column, const double *w, double *value,
                              mc_err *err)
{
    (void)column, (void)err;
    const grid *g = self;
    for (size_t r = 0; r < g->rows; r++) value[r] = g->step * rint(w[r] / g->step);
    return MC_OK;
}

static void run(const mc_sweep_factor *f, mc_projection by, double *w, size_t rows, double *loss)
{
    mc_region region;
    const mc_arena scratch = open_exactly(&region, mc_sweep_scratch(rows, f->n));
    mc_err err = {0};
    const mc_status status = mc_sweep(f, &by, w, rows, loss, scratch, &err);
    mc_region_close(&region);
    cr_assert_eq(status, MC_OK, "%s", err.text);
}

/* The algorithm without blocks: every error reaches all later columns at once. */
static void naive_column(const mc_sweep_factor *f, double *w, size_t c, double step)
{
    const size_t n = f->n;
    const double *u = f->factor + c * n;
    const double met = w[c], value = step * rint(met / step), e = (met - value) / u[c];
    const bool dead = f->dead[f->order ? f->order[c] : c];
    w[c] = value;
    for (size_t j = c + 1; j < n; j++) {
        if (!dead) w[j] -= e * u[j];
        if (f->cross) w[j] += met * f->cross[c * n + j];
    }
}

static void draw(double *w, size_t count, uint64_t seed)
{
    for (size_t i = 0; i < count; i++) w[i] = gram_normal(seed, i);
}

static double most_off(const double *a, const double *b, size_t count)
{
    double most = 0.0;
    for (size_t i = 0; i < count; i++) most = fmax(most, fabs(a[i] - b[i]));
    return most;
}

/* (H + damping) in the order of the sweep, from its definition. */
static double damped(const mc_sweep_factor *f, const double *gram, size_t i, size_t j)
{
    const size_t a = f->order ? f->order[i] : i, b = f->order ? f->order[j] : j;
    if (f->dead[a] || f->dead[b]) return a == b;
    return gram[a * f->n + b] + (i == j ? f->added : 0.0);
}

/* ---- the factor ---- */

Test(sweep, factor_times_itself_inverts_the_damped_moment)
{
    double *gram = numbers(N * N);
    gram_of_rows(N, 400, 1, (gram_sums){.gram = gram});
    const mc_sweep_factor f =
        prepare(N, gram, NULL, (mc_sweep_setup){.damp = 0.01, .order = some_order(N)});
    double mean = 0.0;
    for (size_t i = 0; i < N; i++) mean += gram[i * N + i] / N;
    cr_expect_float_eq(f.added, 0.01 * mean, 1e-12 * mean);
    cr_expect_eq(f.damp, 0.01);
    cr_expect_eq(f.floor, 0.0);
    cr_expect_eq(f.dead_columns, 0u);

    double *x = numbers(4 * N), *want = numbers(4 * N);
    draw(want, 4 * N, 5);
    for (size_t r = 0; r < 4; r++)
        for (size_t i = 0; i < N; i++)
            for (size_t j = 0; j < N; j++) x[r * N + i] += want[r * N + j] * damped(&f, gram, j, i);
    mc_err err = {0};
    cr_assert_eq(mc_sweep_solve(&f, x, 4, memory.arena, &err), MC_OK, "%s", err.text);
    cr_expect_lt(most_off(x, want, 4 * N), 1e-9); /* condition about 1e4 */
    for (size_t i = 0; i < N; i++)
        for (size_t j = 0; j < i; j++) cr_assert_eq(f.factor[i * N + j], 0.0);
}

Test(sweep, share_of_the_cross_moment_that_later_columns_make_good)
{
    enum { M = 150 }; /* two blocks */
    double *gram = numbers(M * M), *cross = numbers(M * M);
    gram_of_rows(M, 300, 2, (gram_sums){.gram = gram, .cross = cross});
    const mc_sweep_setup setup = {.damp = 0.01, .alpha = 0.25, .order = some_order(M)};
    const mc_sweep_factor f = prepare(M, gram, cross, setup);
    /* P_q = alpha C_qF (H_FF)^-1 over the columns F behind q: so P_q H_FF = alpha C_qF. */
    for (size_t q = 0; q < M; q += 29)
        for (size_t j = 0; j < M; j++) {
            if (j <= q) cr_assert_eq(f.cross[q * M + j], 0.0);
            if (j <= q) continue;
            double sum = 0.0;
            for (size_t k = q + 1; k < M; k++) sum += f.cross[q * M + k] * damped(&f, gram, k, j);
            const double want = 0.25 * cross[setup.order[q] * M + setup.order[j]];
            cr_assert_float_eq(sum, want, 1e-8 * (1.0 + fabs(want)), "%zu %zu: %g, not %g", q, j,
                               sum, want);
        }
}

/* ---- the pass ---- */

static void expect_naive(const double *cross, const uint32_t *order, size_t group, size_t span)
{
    double *gram = numbers(N * N), *w = numbers(ROWS * N), *want = numbers(ROWS * N);
    gram_of_rows(N, 500, 3, (gram_sums){.gram = gram});
    const mc_sweep_factor f =
        prepare(N, gram, cross, (mc_sweep_setup){.damp = 0.02, .alpha = 0.5, .order = order});
    draw(w, ROWS * N, 9);
    memcpy(want, w, ROWS * N * sizeof *w);
    grid g = {.rows = ROWS, .n = N, .step = 0.37};
    run(&f, (mc_projection){.project = round_column, .self = &g}, w, ROWS, NULL);
    for (size_t r = 0; r < ROWS; r++)
        for (size_t c = 0; c < N; c++) naive_column(&f, want + r * N, c, g.step);
    cr_expect_lt(most_off(w, want, ROWS * N), 1e-9, "group %zu, span %zu", group, span);
}

Test(sweep, gives_what_the_plain_algorithm_gives)
{
    expect_naive(NULL, NULL, 0, 0);
    expect_naive(NULL, some_order(N), 0, 0);
}

Test(sweep, gives_what_the_plain_algorithm_gives_with_a_cross_moment)
{
    double *cross = numbers(N * N);
    gram_of_rows(N, 500, 3, (gram_sums){.cross = cross});
    expect_naive(cross, some_order(N), 0, 0);
}

Test(sweep, sum_of_squares_is_the_quadratic_form)
{
    double *gram = numbers(N * N), *w = numbers(ROWS * N), *v = numbers(ROWS * N);
    double loss[ROWS];
    gram_of_rows(N, 500, 4, (gram_sums){.gram = gram});
    const mc_sweep_factor f =
        prepare(N, gram, NULL, (mc_sweep_setup){.damp = 0.01, .order = some_order(N)});
    draw(w, ROWS * N, 11);
    memcpy(v, w, ROWS * N * sizeof *w);
    grid g = {.rows = ROWS, .n = N, .step = 0.5};
    run(&f, (mc_projection){.project = round_column, .self = &g}, v, ROWS, loss);
    for (size_t r = 0; r < ROWS; r++) {
        double form = 0.0;
        for (size_t i = 0; i < N; i++)
            for (size_t j = 0; j < N; j++)
                form += (w[r * N + i] - v[r * N + i]) * damped(&f, gram, i, j) *
                        (w[r * N + j] - v[r * N + j]);
        cr_expect(fabs(loss[r] - form) <= 1e-10 * form, "row %zu: %.17g, not %.17g", r, loss[r],
                  form);
    }
}

Test(sweep, any_slab_of_rows_gives_the_same_bits)
{
    enum { ALL = 200 };
    double *gram = numbers(N * N), *cross = numbers(N * N);
    double *whole = numbers(ALL * N), *part = numbers(ALL * N);
    double loss[ALL], part_loss[ALL];
    gram_of_rows(N, 500, 5, (gram_sums){.gram = gram, .cross = cross});
    const mc_sweep_factor f =
        prepare(N, gram, cross, (mc_sweep_setup){.damp = 0.01, .alpha = 0.25});
    static const size_t slabs[] = {1, 3, 31, 64, 65, 130};
    draw(whole, ALL * N, 12);
    double *start = numbers(ALL * N);
    memcpy(start, whole, ALL * N * sizeof *start);
    grid g = {.rows = ALL, .n = N, .step = 0.5};
    run(&f, (mc_projection){.project = round_column, .self = &g}, whole, ALL, loss);
    for (size_t i = 0; i < sizeof slabs / sizeof slabs[0]; i++) {
        memcpy(part, start, ALL * N * sizeof *part);
        for (size_t row = 0; row < ALL; row += slabs[i]) {
            g.rows = ALL - row < slabs[i] ? ALL - row : slabs[i];
            run(&f, (mc_projection){.project = round_column, .self = &g}, part + row * N, g.rows,
                part_loss + row);
        }
        cr_expect_arr_eq(part, whole, ALL * N * sizeof *part, "slabs of %zu", slabs[i]);
        cr_expect_arr_eq(part_loss, loss, sizeof loss, "slabs of %zu", slabs[i]);
    }
}

/* ---- groups ---- */

/* The naive state before `column`, from the start. */
static mc_status compare_group(void *self, size_t column, const double *w, mc_err *err)
{
    (void)err;
    grid *g = self;
    const size_t wide = column % g->span == 0 ? g->span : 0;
    g->groups_seen++;
    for (size_t r = 0; r < g->rows; r++)
        for (size_t c = column; c < column + wide && c < g->n; c++) {
            const double want = g->naive[(column * g->rows + r) * g->n + c];
            cr_assert_float_eq(w[r * g->n + c], want, 1e-9,
                               "span %zu: column %zu at %zu: %g, not %g", g->span, c, column,
                               w[r * g->n + c], want);
        }
    return MC_OK;
}

Test(sweep, groups_and_spans_are_asked_with_weights_that_are_up_to_date)
{
    enum { R = 3 };
    static const size_t group[] = {1, 32, 48, 50, 100, 150, N, 10, 10, 32, 48, 150};
    static const size_t span[] = {1, 32, 48, 50, 100, 150, N, 50, 90, 256, 144, N};
    double *gram = numbers(N * N), *start = numbers(R * N), *w = numbers(R * N);
    double *naive = numbers((size_t)(N + 1) * R * N);
    gram_of_rows(N, 500, 6, (gram_sums){.gram = gram});
    const mc_sweep_factor f = prepare(N, gram, NULL, (mc_sweep_setup){.damp = 0.01});
    draw(start, R * N, 13);
    memcpy(naive, start, R * N * sizeof *start);
    for (size_t c = 0; c < N; c++) {
        double *next = naive + (c + 1) * R * N;
        memcpy(next, next - R * N, R * N * sizeof *next);
        for (size_t r = 0; r < R; r++) naive_column(&f, next + r * N, c, 0.5);
    }
    for (size_t i = 0; i < sizeof group / sizeof group[0]; i++) {
        grid g = {.rows = R, .n = N, .step = 0.5, .naive = naive, .span = span[i]};
        memcpy(w, start, R * N * sizeof *w);
        run(&f,
            (mc_projection){.group = compare_group,
                            .group_columns = group[i],
                            .span_columns = span[i] == group[i] ? 0 : span[i],
                            .project = round_column,
                            .self = &g},
            w, R, NULL);
        cr_expect_eq(g.groups_seen, (N + group[i] - 1) / group[i]);
        cr_expect_lt(most_off(w, naive + (size_t)N * R * N, R * N), 1e-9);
    }
}

static mc_status refuse(void *self, size_t column, const double *w, double *value, mc_err *err)
{
    (void)self, (void)w, (void)value;
    return column == 5 ? mc_fail(err, MC_E_UNSUPPORTED, "column five") : MC_OK;
}

Test(sweep, hands_on_what_a_projection_refuses)
{
    double gram[64] = {0}, w[8] = {0};
    const mc_sweep_factor f = prepare(8, gram, NULL, (mc_sweep_setup){.damp = 0.01});
    mc_err err = {0};
    const mc_projection by = {.project = refuse};
    cr_expect_eq(mc_sweep(&f, &by, w, 1, NULL, memory.arena, &err), MC_E_UNSUPPORTED);
    cr_expect_str_eq(err.text, "column five");
    cr_expect_eq(mc_sweep(&f, &by, w, 1, NULL, (mc_arena){0}, &err), MC_E_BUDGET);
}

/* ---- inputs that say little ---- */

Test(sweep, a_moment_of_zeros_gives_the_identity)
{
    double *gram = numbers(N * N);
    const mc_sweep_factor f = prepare(N, gram, NULL, (mc_sweep_setup){.damp = 0.01});
    cr_expect_eq(f.dead_columns, (size_t)N);
    for (size_t i = 0; i < N; i++)
        for (size_t j = 0; j < N; j++) cr_assert_eq(f.factor[i * N + j], i == j ? 1.0 : 0.0);
}

/* Column 3 met nothing, column 7 next to nothing, though both moments with others are not 0. */
Test(sweep, dead_columns_neither_give_nor_take)
{
    enum { M = 40 };
    double *gram = numbers(M * M), *cross = numbers(M * M), *w = numbers(M);
    double loss[1];
    gram_of_rows(M, 200, 8, (gram_sums){.gram = gram, .cross = cross});
    for (size_t i = 0; i < M; i++) {
        gram[3 * M + i] = gram[i * M + 3] = 0.0;
        gram[7 * M + i] = gram[i * M + 7] = 1e-12 * gram[i * M + i];
    }
    const mc_sweep_factor f = prepare(M, gram, cross, (mc_sweep_setup){.damp = 0.01, .alpha = 1.0});
    cr_expect_eq(f.dead_columns, 2u);
    cr_expect(f.dead[3] && f.dead[7] && !f.dead[4]);
    for (size_t i = 0; i < M; i++) w[i] = i == 3 || i == 7 ? 0.4 : 0.0;
    grid g = {.rows = 1, .n = M, .step = 1.0};
    run(&f, (mc_projection){.project = round_column, .self = &g}, w, 1, loss);
    for (size_t i = 0; i < M; i++) cr_expect_eq(w[i], 0.0, "column %zu: %g", i, w[i]);
    cr_expect_eq(loss[0], 0.0);
}

/* Fewer rows than columns; one row; a constant; a column of size 1e12 among others. */
Test(sweep, moments_without_full_rank_have_a_factor)
{
    static const size_t rows[] = {1, 2, 17, 100};
    double *gram = numbers(N * N);
    for (size_t i = 0; i < 6; i++) {
        if (i < 4) gram_of_rows(N, rows[i], 20 + i, (gram_sums){.gram = gram});
        for (size_t k = 0; i >= 4 && k < N * N; k++) gram[k] = 3.0;
        for (size_t k = 0; i == 5 && k < N; k++) {
            gram[k] *= 1e6;
            gram[k * N] *= 1e6;
        }
        static const double damp[] = {0.01, 1e-6, 0.0};
        for (size_t d = 0; d < 3; d++) {
            const mc_sweep_factor f = prepare(N, gram, NULL, (mc_sweep_setup){.damp = damp[d]});
            cr_expect_eq(f.floor, 0.0);
            cr_expect(f.damp >= damp[d] && f.damp < 1.0);
            cr_expect(damp[d] > 0.0 || f.damp > 0.0, "a singular moment has no factor");
            for (size_t k = 0; k < N * N; k++) cr_assert(isfinite(f.factor[k]));
        }
    }
}

/* A pivot of 1e-15 is rounding, though it is above 0. */
Test(sweep, pivots_that_are_rounding_do_not_count)
{
    double gram[4] = {1.0, 1.0, 1.0, 1.0 + 1e-15};
    const mc_sweep_factor f = prepare(2, gram, NULL, (mc_sweep_setup){.damp = 0.0});
    cr_expect_eq(f.damp, 1e-4);
}

/* Not a moment at all: an eigenvalue is below -1 times the mean of the diagonal. */
Test(sweep, ladder_goes_up_to_a_floor_and_then_gives_up)
{
    enum { M = 4 };
    double gram[M * M];
    for (size_t i = 0; i < M * M; i++) gram[i] = i % (M + 1) == 0 ? 1.0 : 0.0;
    gram[1] = gram[M] = 1.0 + 1.0 / 128.0;
    mc_sweep_factor f = prepare(M, gram, NULL, (mc_sweep_setup){.damp = 0.001});
    cr_expect_float_eq(f.damp, 0.008, 1e-12);
    gram[1] = gram[M] = 1.8;
    f = prepare(M, gram, NULL, (mc_sweep_setup){.damp = 0.01});
    cr_expect_float_eq(f.damp, 0.64, 1e-12);
    cr_expect_float_eq(f.floor, 1.0, 1e-12);
    gram[1] = gram[M] = 30.0;
    mc_err err = {0};
    cr_expect_eq(try_prepare(M, gram, NULL, (mc_sweep_setup){.damp = 0.01}, &f, &err), MC_E_FORMAT);
    cr_expect(strstr(err.text, "not a sum of squares"), "%s", err.text);
}

Test(sweep, moments_that_are_not_numbers_are_refused_by_column)
{
    static const double bad[] = {(double)NAN, (double)INFINITY, -(double)INFINITY, -2.0};
    static const char *says[] = {"is nan at columns 2 and 2", "is infinite at columns 2 and 2",
                                 "is infinite at columns 2 and 2", "is -2 at column 2"};
    for (size_t i = 0; i < 4; i++) {
        double gram[16] = {[0] = 1.0, [5] = 1.0, [10] = bad[i], [15] = 1.0}, zero[16] = {0};
        mc_sweep_factor f;
        mc_err err = {0};
        const mc_sweep_setup setup = {.damp = 0.01, .alpha = 1.0};
        cr_expect_eq(try_prepare(4, gram, NULL, setup, &f, &err), MC_E_FORMAT);
        cr_expect(strstr(err.text, says[i]), "%s", err.text);
        if (i == 3) continue;
        cr_expect_eq(try_prepare(4, zero, gram, setup, &f, &err), MC_E_FORMAT);
        cr_expect(strstr(err.text, "cross moment"), "%s", err.text);
    }
}
