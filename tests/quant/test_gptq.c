/* GPTQ and GPTAQ against NumPy's (tests/golden/gptq), and what they promise: less error in the
 * outputs, whatever the inputs have been. */
#include "formats/npy.h"
#include "quant_case.h"
#include "tests/support/gram_case.h"

#include <stdlib.h>

/* ---- inputs ---- */

typedef struct {
    mc_moments m;
    double *gram, *cross, *square;
} inputs;

static double *numbers(size_t count)
{
    double *at = calloc(count, sizeof *at);
    cr_assert_not_null(at);
    return at;
}

static inputs open_inputs(size_t n)
{
    inputs in = {.gram = numbers(n * n), .cross = numbers(n * n), .square = numbers(n)};
    in.m = (mc_moments){.n = n, .groups = 1, .rows = 1, .gram = in.gram, .square = in.square};
    return in;
}

static inputs rows_of_inputs(size_t n, size_t rows, uint64_t seed)
{
    inputs in = open_inputs(n);
    gram_of_rows(n, rows, seed, (gram_sums){in.gram, in.cross, in.square});
    in.m.rows = rows;
    return in;
}

static void close_inputs(inputs *in)
{
    free(in->gram);
    free(in->cross);
    free(in->square);
}

static quant_case case_of(const char *setup, mc_grid grid, const float *w, size_t rows,
                          const inputs *in)
{
    return (quant_case){.setup = setup,
                        .grid = grid,
                        .w = w,
                        .rows = rows,
                        .cols = in->m.n,
                        .group = 32,
                        .moments = &in->m};
}

static double loss_of(quant_case c)
{
    quant_result r = quantize(c);
    const double loss = output_error(c, &r.q);
    close_result(&r);
    return loss;
}

/* ---- NumPy's ---- */

enum { GOLDEN_ROWS = 9, GOLDEN_COLUMNS = 144, GOLDEN_GROUP = 16 };

static void read_array(const mc_npz *npz, const char *name, void *out)
{
    for (size_t i = 0; i < npz->arrays; i++)
        if (strcmp(npz->array[i].name, name) == 0) {
            mc_array_read(&npz->array[i], 0, npz->array[i].count, out);
            return;
        }
    cr_assert(false, "no array %s", name);
}

static inputs golden_inputs(const mc_npz *npz)
{
    enum { N = GOLDEN_COLUMNS };
    static int32_t gram[N * N];
    static int8_t differs[N * N];
    inputs in = open_inputs(N);
    read_array(npz, "gram", gram);
    read_array(npz, "differs", differs);
    for (size_t i = 0; i < N * N; i++) in.gram[i] = gram[i];
    for (size_t i = 0; i < N; i++)
        for (size_t k = 0; k < N; k++)
            for (size_t j = 0; j < N; j++)
                in.cross[i * N + j] += differs[k * N + i] / 64.0 * in.gram[k * N + j];
    return in;
}

static void expect_golden(const mc_npz *npz, const char *name, const char *setup, const inputs *in)
{
    enum { GROUPS = GOLDEN_COLUMNS / GOLDEN_GROUP };
    float w[GOLDEN_ROWS * GOLDEN_COLUMNS], scale[GOLDEN_ROWS * GROUPS];
    uint8_t code[GOLDEN_ROWS * GOLDEN_COLUMNS];
    char scales[64];
    snprintf(scales, sizeof scales, "%s_scale", name);
    read_array(npz, "w", w);
    read_array(npz, name, code);
    read_array(npz, scales, scale);
    quant_case c = case_of(setup, int_grid(4, MC_OFFSET_NONE, MC_F8_E8M0), w, GOLDEN_ROWS, in);
    c.group = GOLDEN_GROUP;
    quant_result r = quantize(c);
    for (size_t i = 0; i < GOLDEN_ROWS * GROUPS; i++)
        cr_expect_eq(r.q.params[i].scale, scale[i], "%s: scale[%zu] is %g, not %g", name, i,
                     (double)r.q.params[i].scale, (double)scale[i]);
    for (size_t i = 0; i < GOLDEN_ROWS * GOLDEN_COLUMNS; i++)
        cr_expect_eq(r.q.code[i], code[i], "%s: row %zu, column %zu: code %u, not %u", name,
                     i / GOLDEN_COLUMNS, i % GOLDEN_COLUMNS, r.q.code[i], code[i]);
    close_result(&r);
}

Test(gptq, gives_the_codes_of_the_published_algorithm)
{
    mc_map map;
    mc_npz npz;
    mc_err err = {0};
    const char *path = MC_SOURCE_DIR "/tests/golden/gptq/cases.npz";
    cr_assert_eq(mc_map_open(path, 0, &map, &err), MC_OK, "%s", err.text);
    const mc_npz_source from = {.bytes = map.data, .n = map.size, .name = path};
    cr_assert_eq(mc_npz_read(&from, &npz, &err), MC_OK, "%s", err.text);
    inputs in = golden_inputs(&npz);
    expect_golden(&npz, "gptq_order_0", "gptq:order=0", &in);
    expect_golden(&npz, "gptq_order_1", "gptq", &in);
    expect_golden(&npz, "gptq_order_2", "gptq:order=2", &in);
    in.m.cross = in.cross;
    expect_golden(&npz, "gptaq_published", "gptaq:published=1,alpha=0.25,rounds=0", &in);
    expect_golden(&npz, "gptaq", "gptaq:rounds=0", &in);
    close_inputs(&in);
    mc_npz_close(&npz);
    mc_map_close(&map);
}

/* ---- what it promises ---- */

/* Problems of one row each: random weights, a Gram of condition 1e4. */
Test(gptq, leaves_less_error_in_the_outputs_than_nearest_codes)
{
    enum { N = 256, GRAMS = 12, ROWS = 8 };
    static float w[ROWS * N];
    static const char *setup[] = {"gptq:order=0", "gptq", "gptq:order=2"};
    size_t better[3] = {0};
    for (size_t g = 0; g < GRAMS; g++) {
        inputs in = open_inputs(N);
        gram_of_condition(N, 1e4, g, in.gram);
        fill_weights(w, ROWS * N, 100 + g);
        for (size_t r = 0; r < ROWS; r++)
            for (size_t i = 0; i < 3; i++) {
                const unsigned bits = 2 + (unsigned)g % 3;
                quant_case c =
                    case_of(setup[i], int_grid(bits, MC_OFFSET_NONE, MC_F16), w + r * N, 1, &in);
                const double loss = loss_of(c);
                c.setup = "mse";
                better[i] += loss <= loss_of(c);
            }
        close_inputs(&in);
    }
    for (size_t i = 0; i < 3; i++)
        cr_expect_geq(better[i], (size_t)(0.95 * GRAMS * ROWS), "%s: %zu of %d", setup[i],
                      better[i], GRAMS * ROWS);
}

Test(gptq, tells_the_error_before_and_after)
{
    enum { N = 96, ROWS = 70 };
    static float w[ROWS * N];
    fill_weights(w, ROWS * N, 3);
    inputs in = rows_of_inputs(N, 300, 4);
    mc_quant_facts facts = {0};
    quant_case c = case_of("gptq", int_grid(3, MC_OFFSET_ZERO, MC_F16), w, ROWS, &in);
    c.facts = &facts;
    const double loss = loss_of(c);
    c.facts = NULL;
    c.setup = "mse";
    cr_expect_float_eq(facts.start, loss_of(c), 1e-9 * facts.start);
    cr_expect_float_eq(facts.end, loss, 1e-9 * facts.end);
    cr_expect_lt(facts.end, 0.8 * facts.start);
    cr_expect_eq(facts.damp, 0.01);
    cr_expect_eq(facts.floor, 0.0);
    cr_expect_eq(facts.dead, 0u);
    close_inputs(&in);
}

/* ---- any slab, any thread ---- */

enum { SLAB_N = 160, SLAB_ROWS = 130 };

typedef struct {
    quant_case whole;
    const mc_qmat *want;
    size_t slab;
} slabs;

static mc_status run_slab(void *job, size_t i, mc_arena scratch, mc_err *err)
{
    (void)scratch, (void)err;
    const slabs *s = job;
    const size_t row = i * s->slab, groups = mc_qmat_groups(s->want);
    quant_case c = s->whole;
    c.w += row * SLAB_N;
    c.rows = SLAB_ROWS - row < s->slab ? SLAB_ROWS - row : s->slab;
    quant_result r = quantize(c);
    const bool same = memcmp(r.q.code, s->want->code + row * SLAB_N, c.rows * SLAB_N) == 0 &&
                      memcmp(r.q.params, s->want->params + row * groups,
                             c.rows * groups * sizeof(mc_params)) == 0;
    close_result(&r);
    return same ? MC_OK : mc_fail(err, MC_E_INTERNAL, "%s: rows from %zu differ", c.setup, row);
}

Test(gptq, gives_the_same_codes_in_any_slabs_on_any_threads)
{
    static float w[SLAB_ROWS * SLAB_N];
    static const char *setup[] = {"gptq", "gptq:order=2,rounds=2", "gptaq",
                                  "gptaq:published=1,alpha=0.25"};
    static const size_t sizes[] = {1, 33, 64, 65};
    fill_weights(w, SLAB_ROWS * SLAB_N, 5);
    inputs in = rows_of_inputs(SLAB_N, 300, 6);
    in.m.cross = in.cross;
    mc_pool *pool;
    mc_err err = {0};
    cr_assert_eq(mc_pool_open(&pool, 2, 0, &err), MC_OK, "%s", err.text);
    for (size_t i = 0; i < sizeof setup / sizeof setup[0]; i++) {
        slabs s = {.whole =
                       case_of(setup[i], int_grid(3, MC_OFFSET_ZERO, MC_F16), w, SLAB_ROWS, &in)};
        quant_result r = quantize(s.whole);
        s.want = &r.q;
        for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
            s.slab = sizes[k];
            const size_t count = (SLAB_ROWS + s.slab - 1) / s.slab;
            cr_expect_eq(mc_pool_for(pool, count, run_slab, &s, &err), MC_OK, "slabs of %zu: %s",
                         s.slab, err.text);
        }
        close_result(&r);
    }
    mc_pool_close(pool);
    close_inputs(&in);
}

/* ---- inputs that say little ---- */

typedef struct {
    const char *name;
    size_t rows; /* of inputs */
    bool constant;
} poor_inputs;

/* That codes and numbers are those of the grid, tests of every method say; here: they are good. */
Test(gptq, makes_do_with_any_inputs)
{
    enum { N = 96, ROWS = 5 };
    static const poor_inputs kinds[] = {
        {"one row", 1, false}, {"a constant", 9, true}, {"fewer rows than columns", 40, false}};
    static const char *setup[] = {"gptq", "gptq:damp=0", "gptaq", "gptq:order=2,damp=0,rounds=3"};
    float w[ROWS * N];
    double energy = 0.0;
    fill_weights(w, ROWS * N, 7);
    for (size_t i = 0; i < ROWS * N; i++) energy += (double)w[i] * (double)w[i];
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        inputs in = rows_of_inputs(N, kinds[k].rows, 8);
        in.m.cross = in.cross;
        for (size_t i = 0; kinds[k].constant && i < N * N; i++) in.gram[i] = 2.0, in.cross[i] = 0.1;
        for (size_t i = 0; i < sizeof setup / sizeof setup[0]; i++) {
            mc_quant_facts facts = {0};
            quant_case c = case_of(setup[i], int_grid(4, MC_OFFSET_NONE, MC_F16), w, ROWS, &in);
            c.facts = &facts;
            quant_result r = quantize(c);
            cr_expect(facts.end <= facts.start, "%s, %s: %g became %g", kinds[k].name, setup[i],
                      facts.start, facts.end);
            cr_expect_eq(facts.floor, 0.0);
            const double error = error_of(c, &r.q, 2.0);
            cr_expect(error < 0.5 * energy, "%s, %s: weights of %g moved by %g", kinds[k].name,
                      setup[i], energy, error);
            close_result(&r);
        }
        close_inputs(&in);
    }
}

static void expect_same_codes(quant_case a, quant_case b)
{
    quant_result x = quantize(a), y = quantize(b);
    cr_expect_arr_eq(x.q.code, y.q.code, a.rows * a.cols, "%s and %s", a.setup, b.setup);
    close_result(&x);
    close_result(&y);
}

Test(gptq, takes_nearest_codes_where_nothing_was_met)
{
    enum { N = 96, ROWS = 5 };
    float w[ROWS * N];
    fill_weights(w, ROWS * N, 9);
    inputs in = open_inputs(N);
    in.m.cross = in.cross;
    const mc_grid grid = int_grid(4, MC_OFFSET_ZERO, MC_F16);
    const quant_case nearest = case_of("mse", grid, w, ROWS, &in);
    static const char *setup[] = {"gptq", "gptq:order=0", "gptq:order=2,rounds=2", "gptaq"};
    for (size_t i = 0; i < sizeof setup / sizeof setup[0]; i++)
        expect_same_codes(case_of(setup[i], grid, w, ROWS, &in), nearest);
    close_inputs(&in);
}

/* Under whatever scales the columns that were met have brought about. */
Test(gptq, takes_nearest_codes_in_columns_that_met_nothing)
{
    enum { N = 96, ROWS = 60 };
    static const char *setup[] = {"gptq", "gptq:order=2", "gptq:rounds=3", "gptaq"};
    static float w[ROWS * N];
    fill_weights(w, ROWS * N, 9);
    inputs in = rows_of_inputs(N, 200, 10);
    for (size_t i = 0; i < N; i++) {
        in.gram[40 * N + i] = in.gram[i * N + 40] = 0.0;
        in.gram[70 * N + i] = in.gram[i * N + 70] = 1e-12 * in.gram[i * N + i];
    }
    for (size_t k = 0; k < 8; k++) {
        mc_quant_facts facts = {0};
        quant_case c = case_of(setup[k / 2], int_grid(3, MC_OFFSET_ZERO, MC_F16), w, ROWS, &in);
        c.facts = &facts;
        c.group = k % 2 ? 32 : N;
        quant_result r = quantize(c);
        cr_expect_eq(facts.dead, 2u);
        for (size_t row = 0; row < ROWS; row++)
            for (size_t column = 40; column <= 70; column += 30) {
                const mc_params p = r.q.params[row * mc_qmat_groups(&r.q) + column / c.group];
                uint8_t code;
                mc_grid_encode(&c.grid, p, &w[row * N + column], 1, &code);
                cr_expect_eq(r.q.code[row * N + column], code, "%s, group %zu: row %zu", c.setup,
                             c.group, row);
            }
        close_result(&r);
    }
    close_inputs(&in);
}

/* ---- two-level grids ---- */

Test(gptq, keeps_one_super_scale_for_its_groups)
{
    enum { N = 160, ROWS = 6, GROUP = 16, SUPER = 4 };
    static const char *setup[] = {"gptq", "gptq:order=0", "gptq:order=2", "gptq:order=2,rounds=3"};
    float w[ROWS * N];
    fill_weights(w, ROWS * N, 11);
    inputs in = rows_of_inputs(N, 300, 12);
    for (int offset = MC_OFFSET_NONE; offset <= MC_OFFSET_FREE; offset++)
        for (size_t i = 0; i < sizeof setup / sizeof setup[0]; i++) {
            mc_grid grid = int_grid(4, (mc_offset)offset, MC_F16);
            grid.sub_bits = 6;
            grid.super = SUPER;
            quant_case c = case_of(setup[i], grid, w, ROWS, &in);
            c.group = GROUP;
            quant_result r = quantize(c);
            for (size_t g = 0; g < ROWS * N / GROUP; g++) {
                const size_t row = g / (N / GROUP), at = g % (N / GROUP) / SUPER;
                const mc_super super = r.q.super[row * mc_qmat_supers(&r.q) + at];
                const mc_params p = r.q.params[g];
                cr_assert_eq(p.scale, super.scale * (float)r.q.sub[g].scale, "%s", setup[i]);
                cr_assert_eq(p.offset, super.offset * (float)r.q.sub[g].offset, "%s", setup[i]);
            }
            const double loss = output_error(c, &r.q);
            close_result(&r);
            c.setup = "mse";
            cr_expect_lt(loss, loss_of(c), "%s", setup[i]);
        }
    close_inputs(&in);
}

/* In the order of the columns the first groups of a row show it: the first is fitted as it came,
 * the super-scale stays what it then was, the others are fitted again when they begin. */
Test(gptq, fits_sub_scales_from_compensated_weights)
{
    enum { N = 128, ROWS = 10, GROUP = 16, SUPER = 4 };
    float w[ROWS * N];
    fill_weights(w, ROWS * N, 21);
    inputs in = rows_of_inputs(N, 300, 22);
    mc_grid grid = int_grid(3, MC_OFFSET_NONE, MC_F16);
    grid.sub_bits = 6;
    grid.super = SUPER;
    quant_case c = case_of("gptq:order=0", grid, w, ROWS, &in);
    c.group = GROUP;
    quant_result swept = quantize(c);
    c.setup = "mse";
    quant_result fitted = quantize(c);
    size_t moved = 0;
    for (size_t r = 0; r < ROWS; r++) {
        const size_t at = r * (N / GROUP), super = r * mc_qmat_supers(&swept.q);
        cr_expect_eq(swept.q.super[super].scale, fitted.q.super[super].scale);
        cr_expect_eq(swept.q.sub[at].scale, fitted.q.sub[at].scale);
        for (size_t g = 1; g < SUPER; g++)
            moved += swept.q.sub[at + g].scale != fitted.q.sub[at + g].scale;
    }
    cr_expect_gt(moved, (size_t)ROWS, "%zu", moved);
    close_result(&swept);
    close_result(&fitted);
    close_inputs(&in);
}

/* ---- what cannot be ---- */

Test(gptq, says_what_is_wrong_with_the_moments)
{
    float w[32] = {0};
    inputs in = rows_of_inputs(32, 50, 13);
    quant_case c = case_of("gptq", int_grid(4, MC_OFFSET_NONE, MC_F16), w, 1, &in);
    in.gram[3 * 32 + 5] = (double)NAN;
    quant_result r = try_quantize(c);
    cr_expect_eq(r.status, MC_E_FORMAT);
    cr_expect_str_eq(r.err.text,
                     "method gptq: the second moment of the inputs is nan at columns 3 and 5");
    close_result(&r);

    c.moments = NULL;
    r = try_quantize(c);
    cr_expect_eq(r.status, MC_E_UNSUPPORTED);
    cr_expect_str_eq(r.err.text, "method gptq needs the second moment of its inputs "
                                 "(calibration data)");
    close_result(&r);
    close_inputs(&in);
}
