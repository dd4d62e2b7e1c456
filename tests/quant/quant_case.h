/* What the tests of quant/ share: weights to try, grids to try, and one call that quantizes in
 * exactly the scratch memory that the method asks for. */
#ifndef MC_TESTS_QUANT_CASE_H
#define MC_TESTS_QUANT_CASE_H

#include "core/rng.h"
#include "quant/quant.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct {
    const char *setup; /* "mse:norm=2.4" */
    mc_grid grid;
    const float *w;
    size_t rows, cols, group;
    const mc_moments *moments; /* or NULL */
    const double *gain;        /* or NULL */
    mc_quant_facts *facts;     /* or NULL */
} quant_case;

typedef struct {
    mc_qmat q;
    mc_status status;
    mc_err err;
    mc_region memory;
} quant_result;

static inline mc_quant_setup setup_of(const char *text)
{
    mc_quant_setup setup;
    mc_err err = {0};
    cr_assert_eq(mc_quant_setup_parse(text, &setup, &err), MC_OK, "%s", err.text);
    return setup;
}

/* `bytes` of memory, one byte off, so that aligning takes all it can. */
static inline mc_arena open_exactly(mc_region *region, size_t bytes)
{
    mc_err err = {0};
    cr_assert_eq(mc_region_open(region, bytes + 1, &err), MC_OK, "%s", err.text);
    return (mc_arena){region->arena.at + 1, region->arena.end};
}

/* A grid that does not know its tensor takes the weights of the case for it. */
static inline void know_tensor(quant_case *c)
{
    float most = 0.0f;
    if (c->grid.tensor_scale > 0.0f) return;
    for (size_t i = 0; i < c->rows * c->cols; i++) most = fmaxf(most, fabsf(c->w[i]));
    mc_grid_set_tensor_scale(&c->grid, most);
}

/* Anything may come out, a failure too. close_result() gives the memory back. */
static inline quant_result try_quantize(quant_case c)
{
    know_tensor(&c);
    quant_result r = {.q = {.grid = c.grid, .rows = c.rows, .cols = c.cols, .group = c.group}};
    const mc_quant_setup setup = setup_of(c.setup);
    mc_quant_job job = {.weights = {c.w, c.rows, c.cols},
                        .setup = &setup,
                        .moments = c.moments,
                        .gain = c.gain,
                        .facts = c.facts};
    const size_t bytes = mc_qmat_bytes(&c.grid, c.rows, c.cols, c.group);
    cr_assert_eq(mc_region_open(&r.memory, bytes, &r.err), MC_OK);
    cr_assert_eq(mc_qmat_alloc(&r.q, &r.memory.arena, &r.err), MC_OK, "%s", r.err.text);

    mc_region ready, scratch;
    mc_arena mem = open_exactly(&ready, mc_quant_ready_bytes(&setup, c.cols));
    const mc_quant_prepare prepare = {&setup, c.moments, &c.grid, c.group, NULL};
    r.status = mc_quant_make_ready(&prepare, &mem, &job.prepared, c.facts, &r.err);
    const mc_arena loan =
        open_exactly(&scratch, setup.method->scratch(&c.grid, c.rows, c.cols, c.group));
    if (r.status == MC_OK) r.status = mc_quantize(&job, &r.q, loan, &r.err);
    mc_region_close(&scratch);
    mc_region_close(&ready);
    return r;
}

static inline quant_result quantize(quant_case c)
{
    quant_result r = try_quantize(c);
    cr_assert_eq(r.status, MC_OK, "%s: %s", c.setup, r.err.text);
    return r;
}

static inline void close_result(quant_result *r)
{
    mc_region_close(&r->memory);
}

/* Sum of |w - v|^norm over what was quantized. */
static inline double error_of(quant_case c, const mc_qmat *q, double norm)
{
    double sum = 0.0;
    for (size_t r = 0; r < c.rows; r++)
        for (size_t i = 0; i < c.cols; i++) {
            const double off = fabs((double)c.w[r * c.cols + i] - (double)mc_qmat_value(q, r, i));
            sum += norm == 2.0 ? off * off : pow(off, norm);
        }
    return sum;
}

static inline double error_after(quant_case c, double norm)
{
    quant_result r = quantize(c);
    const double error = error_of(c, &r.q, norm);
    close_result(&r);
    return error;
}

/* Sum over what was quantized of mean square * |w - v|^norm. */
static inline double weighted_error(quant_case c, const mc_qmat *q, double norm)
{
    double sum = 0.0;
    for (size_t r = 0; r < c.rows; r++)
        for (size_t i = 0; i < c.cols; i++) {
            const double off = fabs((double)c.w[r * c.cols + i] - (double)mc_qmat_value(q, r, i));
            sum += c.moments->square[i] * pow(off, norm);
        }
    return sum;
}

/* The error in the outputs: sum of d G d^T. */
static inline double output_error(quant_case c, const mc_qmat *q)
{
    mc_region memory;
    mc_err err = {0};
    cr_assert_eq(mc_region_open(&memory, c.rows * c.cols * sizeof(float) + 64, &err), MC_OK);
    float *v = MC_NEW_RAW(&memory.arena, float, c.rows * c.cols);
    for (size_t i = 0; i < c.rows * c.cols; i++) v[i] = mc_qmat_value(q, i / c.cols, i % c.cols);
    const double loss = mc_moments_loss(c.moments, c.w, v, c.rows);
    mc_region_close(&memory);
    return loss;
}

/* About normal with deviation 0.05, and one weight in 64 five times as large. */
static inline void fill_weights(float *w, size_t n, uint64_t seed)
{
    const mc_rng rng = {.seed = seed, .stream = 1};
    for (size_t i = 0; i < n; i++) {
        float sum = 0.0f;
        for (size_t j = 0; j < 12; j++) sum += mc_rng_unit(rng, i * 16 + j);
        w[i] = 0.05f * (sum - 6.0f);
        if (mc_rng_below(rng, i * 16 + 12, 64) == 0) w[i] *= 5.0f;
    }
}

static inline mc_grid int_grid(unsigned bits, mc_offset offset, mc_dtype scale)
{
    return (mc_grid){.levels = mc_levels_int(bits), .offset = offset, .scale_dtype = scale};
}

static inline mc_grid table_grid(const char *name, mc_offset offset, mc_dtype scale)
{
    return (mc_grid){.levels = mc_levels_find(name), .offset = offset, .scale_dtype = scale};
}

enum { MOST_GRIDS = 3072 };

/* Every meaningful combination of levels, offset, scale dtype and the rest. What a tensor's scale
 * is only a tensor can say. */
static inline size_t every_grid(mc_grid out[MOST_GRIDS])
{
    static const mc_dtype dtype[] = {MC_F16, MC_BF16, MC_F32, MC_F8_E8M0, MC_F8_E4M3};
    static const unsigned sub[] = {0, 4, 6};
    size_t n = 0;
    for (size_t l = 0; mc_levels_at(l); l++)
        for (int offset = MC_OFFSET_NONE; offset <= MC_OFFSET_FREE; offset++)
            for (size_t d = 0; d < sizeof dtype / sizeof dtype[0]; d++)
                for (size_t s = 0; s < sizeof sub / sizeof sub[0]; s++)
                    for (unsigned flags = 0; flags < 8; flags++) {
                        const mc_grid grid = {
                            .levels = mc_levels_at(l),
                            .offset = (mc_offset)offset,
                            .restricted = flags & 1,
                            .negative_scale = flags & 2,
                            .scale_dtype = dtype[d],
                            .sub_bits = sub[s],
                            .super = sub[s] ? 4 : 0,
                            .tensor_scaled = flags & 4,
                        };
                        mc_err err = {0};
                        if (mc_grid_check(&grid, &err) != MC_OK) continue;
                        cr_assert_lt(n, (size_t)MOST_GRIDS);
                        out[n++] = grid;
                    }
    return n;
}

/* For messages of failed checks. */
static inline const char *grid_text(const mc_grid *grid, char text[128])
{
    snprintf(text, 128, "%s offset %d%s%s, %s scales%s, sub-scales of %u bits", grid->levels->name,
             (int)grid->offset, grid->restricted ? " restricted" : "",
             grid->negative_scale ? " negative" : "", mc_dtype_about(grid->scale_dtype)->name,
             grid->tensor_scaled ? " under the tensor's" : "", grid->sub_bits);
    return text;
}

#endif
