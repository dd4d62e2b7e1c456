/* What holds for every method in the list, and so for those not yet written: on every grid that the
 * method accepts, for weights of every awkward kind. */
#include "quant_case.h"

#include "tests/support/gram_case.h"

#include <criterion/parameterized.h>

enum { COLS = 48, ROWS = 8 };

static const size_t groups_to_try[] = {8, 16, COLS};

/* One kind of weights a row. */
static void fill_rows(float w[ROWS * COLS])
{
    fill_weights(w, ROWS * COLS, 7);
    for (size_t i = 0; i < COLS; i++) {
        w[1 * COLS + i] = i % 3 == 0 ? -0.0f : 0.0f;                   /* zeros */
        w[2 * COLS + i] = -0.37f;                                      /* a constant */
        w[3 * COLS + i] = i == 5 ? 80.0f : w[3 * COLS + i];            /* an outlier */
        w[4 * COLS + i] = (i % 2 ? -1e-41f : 3e-40f) * (float)(i % 5); /* denormals */
        w[5 * COLS + i] = fabsf(w[5 * COLS + i]) + 0.01f;              /* all positive */
        w[6 * COLS + i] = i % 16 == 9 ? -0.2f : 0.0f;                  /* one weight alone */
        w[7 * COLS + i] = (float)((int)(i * 7 % 3) - 1) * 0.0625f;     /* ternary already */
    }
}

/* Moments of correlated inputs, from fewer rows than there are columns when there are many; made
 * once for each size. NULL for methods that look at no data. */
static const mc_moments *moments_for(const mc_quant_method *method, size_t n)
{
    enum { MOST = 600 };
    static double gram[MOST * MOST], cross[MOST * MOST], square[MOST];
    static mc_moments m;
    if (!method->wants) return NULL;
    if (m.n == n) return &m;
    cr_assert_leq(n, (size_t)MOST);
    gram_of_rows(n, 200, 19, (gram_sums){gram, cross, square});
    m = (mc_moments){
        .n = n, .groups = 1, .rows = 200, .gram = gram, .cross = cross, .square = square};
    return &m;
}

static bool iterates(const mc_quant_method *method)
{
    for (size_t i = 0; i < MC_QUANT_PARAMS && method->params[i].key; i++)
        if (strcmp(method->params[i].key, "iters") == 0) return true;
    return false;
}

/* What holds after many iterations must hold after three. */
static const char *setup_for(const mc_quant_method *method)
{
    static char text[64];
    snprintf(text, sizeof text, "%s%s", method->name, iterates(method) ? ":iters=3" : "");
    return text;
}

typedef void (*check_fn)(quant_case c, const char *text);

/* Runs `check` for the method on all its grids and groups. Where a check runs the method `often`,
 * and for methods that iterate, every eleventh grid does where a Gram is factored: each part of a
 * grid is met all the same. */
static void on_grids(size_t method, check_fn check, bool often)
{
    static mc_grid grid[MOST_GRIDS];
    float w[ROWS * COLS];
    fill_rows(w);

    size_t accepted = 0;
    const size_t n = every_grid(grid);
    for (size_t i = 0; i < n; i++) {
        if (mc_quant_at(method)->refuses(&grid[i])) continue;
        accepted++;
        const bool some = often || iterates(mc_quant_at(method));
        if (some && mc_quant_at(method)->wants & MC_QUANT_GRAM && i % 11 != 3) continue;
        char text[128];
        grid_text(&grid[i], text);
        mc_grid_set_tensor_scale(&grid[i], 80.0f); /* the outlier of row 3 */
        for (size_t g = 0; g < sizeof groups_to_try / sizeof groups_to_try[0]; g++)
            check((quant_case){.setup = setup_for(mc_quant_at(method)),
                               .grid = grid[i],
                               .w = w,
                               .rows = ROWS,
                               .cols = COLS,
                               .group = groups_to_try[g],
                               .moments = moments_for(mc_quant_at(method), COLS)},
                  text);
    }
    cr_assert_gt(accepted, 0u, "%s accepts no grid", mc_quant_at(method)->name);
}

static void on_every_grid(size_t method, check_fn check)
{
    on_grids(method, check, false);
}

#define FOR_EVERY_METHOD(name)                        \
    ParameterizedTestParameters(every_method, name)   \
    {                                                 \
        static size_t index[64];                      \
        size_t n = 0;                                 \
        for (; mc_quant_at(n); n++) index[n] = n;     \
        return cr_make_param_array(size_t, index, n); \
    }                                                 \
    ParameterizedTest(size_t *method, every_method, name)

static bool is_stored(const mc_grid *grid, float x)
{
    return isfinite(x) && mc_round_to(grid->scale_dtype, x) == x;
}

static bool is_stored_scale(const mc_grid *grid, float x)
{
    float stored;
    mc_err err;
    return mc_grid_store_scale(grid, x, &stored, &err) == MC_OK && stored == x;
}

static void check_storable(quant_case c, const char *text)
{
    quant_result r = quantize(c);
    const unsigned first = mc_grid_first(&c.grid), codes = mc_grid_codes(&c.grid);
    for (size_t i = 0; i < ROWS * COLS; i++)
        cr_assert(r.q.code[i] >= first && r.q.code[i] < codes, "%s %s: code[%zu] is %u", c.setup,
                  text, i, r.q.code[i]);

    for (size_t i = 0; i < ROWS * mc_qmat_groups(&r.q); i++) {
        const mc_params p = r.q.params[i];
        cr_assert(isfinite(p.scale) && p.scale != 0.0f, "%s %s: scale[%zu] is %g", c.setup, text, i,
                  (double)p.scale);
        cr_assert(p.scale > 0.0f || c.grid.negative_scale, "%s %s: scale[%zu] is %g", c.setup, text,
                  i, (double)p.scale);
        cr_assert(c.grid.offset == MC_OFFSET_FREE || p.offset == 0.0f, "%s %s", c.setup, text);
        cr_assert(p.zero < codes, "%s %s: zero[%zu] is %u", c.setup, text, i, p.zero);
        if (c.grid.offset == MC_OFFSET_NONE)
            cr_assert_eq(p.zero, c.grid.levels->value ? 0 : 1u << (c.grid.levels->bits - 1),
                         "%s %s: zero[%zu] is %u", c.setup, text, i, p.zero);
        if (c.grid.sub_bits) continue;
        cr_assert(is_stored_scale(&c.grid, p.scale) &&
                      (c.grid.offset != MC_OFFSET_FREE || is_stored(&c.grid, p.offset)),

                  "%s %s: scale[%zu] = %a, offset %a", c.setup, text, i, (double)p.scale,
                  (double)p.offset);
    }
    close_result(&r);
}

FOR_EVERY_METHOD(gives_codes_of_the_grid_and_numbers_that_can_be_stored)
{
    on_every_grid(*method, check_storable);
}

static void check_same(const mc_qmat *a, size_t row, const mc_qmat *b, quant_case c,
                       const char *text)
{
    const size_t groups = mc_qmat_groups(a), supers = mc_qmat_supers(a), rows = b->rows;
    cr_assert_arr_eq(a->code + row * a->cols, b->code, rows * a->cols, "%s %s", c.setup, text);
    for (size_t i = 0; i < rows * groups; i++) {
        const mc_params p = a->params[row * groups + i], q = b->params[i];
        cr_assert(p.scale == q.scale && p.offset == q.offset && p.zero == q.zero,
                  "%s %s: row %zu: scale %a or %a, offset %a or %a", c.setup, text, row,
                  (double)p.scale, (double)q.scale, (double)p.offset, (double)q.offset);
    }
    if (!supers) return;
    for (size_t i = 0; i < rows * groups; i++)
        cr_assert(a->sub[row * groups + i].scale == b->sub[i].scale &&
                  a->sub[row * groups + i].offset == b->sub[i].offset);
    for (size_t i = 0; i < rows * supers; i++)
        cr_assert(a->super[row * supers + i].scale == b->super[i].scale &&
                  a->super[row * supers + i].offset == b->super[i].offset);
}

static void check_twice(quant_case c, const char *text)
{
    quant_result a = quantize(c), b = quantize(c);
    check_same(&a.q, 0, &b.q, c, text);
    close_result(&a);
    close_result(&b);
}

FOR_EVERY_METHOD(gives_the_same_bytes_twice)
{
    on_grids(*method, check_twice, true);
}

static void check_rows(quant_case c, const char *text)
{
    quant_result whole = quantize(c);
    for (size_t row = 0; row < ROWS; row++) {
        quant_case one = c;
        one.w = c.w + row * COLS;
        one.rows = 1;
        quant_result r = quantize(one);
        check_same(&whole.q, row, &r.q, c, text);
        close_result(&r);
    }
    close_result(&whole);
}

FOR_EVERY_METHOD(treats_rows_alone_as_it_treats_them_together)
{
    on_grids(*method, check_rows, true);
}

/* Decoding and encoding again under the same numbers changes no value: codes are the nearest ones.
 * A free offset far from 0 may absorb a step, so there a value may move by what f32 rounds. */
static void check_idempotent(quant_case c, const char *text)
{
    quant_result r = quantize(c);
    float v[COLS], again[COLS];
    uint8_t code[COLS];
    for (size_t row = 0; row < ROWS; row++) {
        const mc_params *p = r.q.params + row * mc_qmat_groups(&r.q);
        mc_grid_decode_row(&c.grid, p, r.q.code + row * COLS, COLS / c.group, c.group, v);
        mc_grid_encode_row(&c.grid, p, v, COLS / c.group, c.group, code);
        mc_grid_decode_row(&c.grid, p, code, COLS / c.group, c.group, again);
        for (size_t i = 0; i < COLS; i++) {
            const float slack =
                c.grid.offset == MC_OFFSET_FREE ? 0x1p-22f * fabsf(p[i / c.group].offset) : 0.0f;
            cr_assert(fabsf(again[i] - v[i]) <= slack, "%s %s: row %zu column %zu: %a became %a",
                      c.setup, text, row, i, (double)v[i], (double)again[i]);
        }
    }
    close_result(&r);
}

FOR_EVERY_METHOD(chooses_values_that_stay_when_quantized_again)
{
    on_every_grid(*method, check_idempotent);
}

/* The norm a method works for: its parameter "norm" or "p", else squared error. */
static double own_norm(const mc_quant_method *method)
{
    for (size_t i = 0; i < MC_QUANT_PARAMS && method->params[i].key; i++)
        if (strcmp(method->params[i].key, "norm") == 0 || strcmp(method->params[i].key, "p") == 0)
            return method->params[i].usual;
    return 2.0;
}

/* Of a method that weighs columns, weighted; else plain. */
static double own_error(quant_case c, const char *setup, double norm, bool weighted)
{
    c.setup = setup;
    quant_result r = quantize(c);
    const double error = weighted ? weighted_error(c, &r.q, norm) : error_of(c, &r.q, norm);
    close_result(&r);
    return error;
}

/* Rounding a scale to f16 may cost what it moves the values, and no more. */
static void check_baseline(quant_case c, const char *text)
{
    const mc_quant_method *method = setup_of(c.setup).method;
    const double norm = own_norm(method);
    const bool weighted = method->wants & MC_QUANT_SQUARES;
    double weight = weighted ? 0.0 : COLS;
    for (size_t i = 0; weighted && i < COLS; i++) weight += c.moments->square[i];
    for (size_t row = 0; row < ROWS; row++) {
        quant_case own = c;
        own.w = c.w + row * COLS;
        own.rows = 1;
        double most = 0.0;
        for (size_t i = 0; i < COLS; i++) most = fmax(most, fabs((double)own.w[i]));
        const double slack = weight * pow(most * 0x1p-11, norm);
        const double error = own_error(own, c.setup, norm, weighted);
        const double baseline = own_error(own, "rtn", norm, weighted);
        cr_assert(error <= baseline * (1.0 + 1e-6) + (norm == 2.0 ? slack : 0.0),
                  "%s %s: row %zu: error %g, rtn has %g", c.setup, text, row, error, baseline);
    }
}

/* A method that works on the error in the outputs promises less for one row: in all. */
static void check_outputs(quant_case c, const char *text)
{
    mc_quant_facts facts = {0};
    c.facts = &facts;
    quant_result r = quantize(c);
    cr_assert(facts.end >= 0.0 && facts.start >= 0.0 && isfinite(facts.end), "%s %s: %g to %g",
              c.setup, text, facts.start, facts.end);
    close_result(&r);
}

FOR_EVERY_METHOD(is_not_worse_than_rtn_in_its_own_norm)
{
    const bool outputs = mc_quant_at(*method)->wants & MC_QUANT_GRAM;
    on_grids(*method, outputs ? check_outputs : check_baseline, true);
}

/* In f32 a factor of a power of two passes through every formula. */
static void check_unit(quant_case c, const char *text)
{
    static const size_t special[] = {1, 2, 4, 6}; /* rows with groups whose scale says nothing */
    static const float factors[] = {0x1p20f, 0x1p-80f};
    if (c.grid.scale_dtype != MC_F32) return;
    float normal[ROWS * COLS], scaled[ROWS * COLS];
    memcpy(normal, c.w, sizeof normal);
    for (size_t i = 0; i < 4; i++) memcpy(normal + special[i] * COLS, c.w, COLS * sizeof *normal);
    c.w = normal;
    quant_result one = quantize(c);
    c.w = scaled;
    for (size_t k = 0; k < 2; k++) {
        for (size_t i = 0; i < ROWS * COLS; i++) scaled[i] = normal[i] * factors[k];
        quant_result r = quantize(c);
        cr_assert_arr_eq(one.q.code, r.q.code, ROWS * COLS, "%s %s: times %g", c.setup, text,
                         (double)factors[k]);
        for (size_t i = 0; i < ROWS * mc_qmat_groups(&one.q); i++)
            cr_assert(one.q.params[i].scale * factors[k] == r.q.params[i].scale,
                      "%s %s: group %zu times %g", c.setup, text, i, (double)factors[k]);
        close_result(&r);
    }
    close_result(&one);
}

FOR_EVERY_METHOD(does_not_depend_on_the_unit_of_the_weights)
{
    on_every_grid(*method, check_unit);
}

/* The first grid that the method accepts. */
static mc_grid some_grid(size_t method)
{
    static mc_grid grid[MOST_GRIDS];
    const size_t n = every_grid(grid);
    for (size_t i = 0; i < n; i++)
        if (!mc_quant_at(method)->refuses(&grid[i])) return grid[i];
    cr_assert(false, "%s accepts no grid", mc_quant_at(method)->name);
    return grid[0];
}

FOR_EVERY_METHOD(takes_one_group_for_a_whole_tensor_and_groups_of_one)
{
    enum { MOST = 5000 };
    static float w[MOST];
    const size_t n = mc_quant_at(*method)->wants ? 600 : MOST;
    fill_weights(w, n, 11);
    quant_case c = {.setup = mc_quant_at(*method)->name,
                    .grid = some_grid(*method),
                    .w = w,
                    .rows = 1,
                    .cols = n,
                    .group = n,
                    .moments = moments_for(mc_quant_at(*method), n)};
    quant_result r = quantize(c);
    cr_expect_lt(error_of(c, &r.q, 2.0), (double)n * 0.05 * 0.05 * 2.0);
    close_result(&r);

    c.group = 1;
    r = quantize(c);
    close_result(&r);
}

FOR_EVERY_METHOD(says_so_when_scratch_is_missing)
{
    float w[COLS];
    fill_weights(w, COLS, 13);
    const mc_grid grid = some_grid(*method);
    const mc_quant_setup setup = setup_of(mc_quant_at(*method)->name);
    const mc_moments *moments = moments_for(setup.method, COLS);
    mc_quant_job job = {.weights = {w, 1, COLS}, .setup = &setup, .moments = moments};
    uint8_t code[COLS];
    mc_params params[COLS];
    mc_qmat q = {
        .grid = grid, .rows = 1, .cols = COLS, .group = 16, .code = code, .params = params};
    mc_err err = {0};
    const mc_quant_prepare prepare = {&setup, moments, &grid, 16, NULL};
    mc_region ready;
    mc_arena mem = open_exactly(&ready, mc_quant_ready_bytes(&setup, COLS)), none = {0};
    cr_assert_eq(mc_quant_make_ready(&prepare, &mem, &job.prepared, NULL, &err), MC_OK);
    const bool needs = setup.method->scratch(&grid, 1, COLS, 16) > 0;
    const mc_status status = mc_quantize(&job, &q, (mc_arena){0}, &err);
    cr_expect_eq(status, needs ? MC_E_BUDGET : MC_OK, "%s", err.text);
    if (setup.method->prepare)
        cr_expect_eq(mc_quant_make_ready(&prepare, &none, &job.prepared, NULL, &err), MC_E_BUDGET);
    mc_region_close(&ready);
}

FOR_EVERY_METHOD(says_so_when_moments_are_missing)
{
    const mc_quant_method *about = mc_quant_at(*method);
    float w[COLS];
    fill_weights(w, COLS, 13);
    quant_case c = {.setup = about->name,
                    .grid = some_grid(*method),
                    .w = w,
                    .rows = 1,
                    .cols = COLS,
                    .group = 16};
    quant_result r = try_quantize(c);
    cr_expect_eq(r.status, about->wants ? MC_E_UNSUPPORTED : MC_OK, "%s", r.err.text);
    cr_expect(!about->wants || strstr(r.err.text, about->needs), "%s", r.err.text);
    close_result(&r);
    if (!about->wants) return;

    mc_moments m = *moments_for(about, COLS);
    double *const moved = (double *)(about->wants & MC_QUANT_GRAM ? m.gram : m.square);
    const double was = moved[0];
    c.moments = &m;
    moved[0] = (double)NAN;
    r = try_quantize(c);
    cr_expect_eq(r.status, MC_E_FORMAT, "%s", r.err.text);
    cr_expect(strstr(r.err.text, about->name) && strstr(r.err.text, "nan"), "%s", r.err.text);
    close_result(&r);
    moved[0] = was;
}

/* f16 ends at 65504. */
FOR_EVERY_METHOD(says_so_when_a_scale_cannot_be_stored)
{
    float w[COLS];
    fill_weights(w, COLS, 17);
    for (size_t i = 0; i < COLS; i++) w[i] *= 1e12f;
    mc_grid grid = some_grid(*method);
    grid.scale_dtype = MC_F16;
    quant_result r = try_quantize((quant_case){.setup = mc_quant_at(*method)->name,
                                               .grid = grid,
                                               .w = w,
                                               .rows = 1,
                                               .cols = COLS,
                                               .group = 16,
                                               .moments = moments_for(mc_quant_at(*method), COLS)});
    cr_expect_eq(r.status, MC_E_UNSUPPORTED);
    cr_expect(strstr(r.err.text, mc_quant_at(*method)->name) && strstr(r.err.text, "row 0"), "%s",
              r.err.text);
    close_result(&r);
}
