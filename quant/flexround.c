/* Learned rounding by division: what each weight is divided by before it is rounded is learned, so
 * that large weights may move by several levels (Lee et al. 2023, "FlexRound: Learnable Rounding
 * based on Element-wise Division for Post-Training Quantization", eq. 2 and proposition 3.1).
 *
 *     v = e^d1 s clamp(rint((w - m) / (s e^(d1 + d2 + d3)))) + m,
 *
 * d1 of each group, d2 of each weight, d3 of each row, all 0 at first; slopes pass through rint
 * where it does not clamp. Adam with a rate that falls like a cosine.
 *
 * Deviations. (1) Squared error and slope come from moments (learned_shared.h): no data, 2 m n^2
 * flops an iteration. (2) It starts from the scales of gptq, and where gptq's code can be had by
 * dividing, from a d2 that gives it. (3) s e^d1 is rounded to what is stored before codes are
 * chosen; two-level scales are not learned. (4) A few times on the way the codes descend
 * (descent_shared.h) and are compared; each row keeps the best. */
#include "quant/learned_shared.h"
#include "quant/quick_math.h"
#include "quant/rows.h"

#include <math.h>
#include <string.h>

enum { ITERS, LR, START, DAMP };
enum { TILE = MC_LEARNED_TILE };
enum { LOOKS = 4 }; /* at the codes, spread over the iterations */

static const char *refuses(const mc_grid *grid)
{
    if (grid->levels->value) return "it divides and rounds, so it needs integer levels";
    return NULL;
}

/* ---- the relaxed objective ---- */

void mc_flexround_round(const mc_flexround_group *g, float *r, float *q)
{
    const float shared = quick_exp(-(g->d1 + g->d3));
    for (size_t i = 0; i < g->n; i++) {
        const float x = g->x[i] * shared * quick_exp(-g->d2[i]);
        const float low = x < g->low ? g->low : x, inside = low > g->high ? g->high : low;
        r[i] = x;
        q[i] = (inside + 12582912.0f) - 12582912.0f; /* rint: 1.5 * 2^23 leaves no fraction */
    }
}

/* Rounding within half a level of the ends is not clamping. */
mc_flexround_sums mc_flexround_slope(const mc_flexround_group *g, const float *r, const float *q,
                                     float *slope)
{
    const float scale = quick_exp(g->d1);
    double d1 = 0.0, d3 = 0.0;
    for (size_t i = 0; i < g->n; i++) {
        const float passes = (float)((r[i] >= g->low - 0.5f) & (r[i] <= g->high + 0.5f));
        const float through = passes * r[i];
        d1 += (double)(slope[i] * scale * (q[i] - through));
        slope[i] *= -scale * through;
        d3 += (double)slope[i];
    }
    return (mc_flexround_sums){d1, d3};
}

/* ---- a tile ---- */

/* Rows that are not there stay 0. */
typedef struct {
    float *x, *d2, *mean, *square; /* TILE x n; x = (t - m) / s */
    float *r, *q, *d, *slope;
    float *d1, *d1_mean, *d1_square, *d1_slope; /* TILE x groups */
    float *d3, *d3_mean, *d3_square, *d3_slope; /* TILE */
    float *unit;                                /* TILE x groups: s in units of the row */
} flex_tile;

enum { WIDE = 8, GROUP = 5, ROW = 4 };

static bool open_flex(flex_tile *f, size_t n, size_t groups, mc_arena *mem)
{
    float **wide[WIDE] = {&f->x, &f->d2, &f->mean, &f->square, &f->r, &f->q, &f->d, &f->slope};
    float **group[GROUP] = {&f->d1, &f->d1_mean, &f->d1_square, &f->d1_slope, &f->unit};
    float **row[ROW] = {&f->d3, &f->d3_mean, &f->d3_square, &f->d3_slope};
    bool all = true;
    *f = (flex_tile){0};
    for (size_t i = 0; i < WIDE; i++) all &= (*wide[i] = MC_NEW(mem, float, TILE * n)) != NULL;
    for (size_t i = 0; i < GROUP; i++)
        all &= (*group[i] = MC_NEW(mem, float, TILE *groups)) != NULL;
    for (size_t i = 0; i < ROW; i++) all &= (*row[i] = MC_NEW(mem, float, TILE)) != NULL;
    return all;
}

static size_t scratch_bytes(const mc_grid *grid, size_t rows, size_t cols, size_t group)
{
    const size_t groups = TILE * (cols / group);
    return mc_learned_scratch(grid, rows, cols, group) + TILE * cols * WIDE * sizeof(float) +
           groups * GROUP * sizeof(float) + TILE * ROW * sizeof(float) + (WIDE + GROUP + ROW) * 64;
}

/* Where a group's codes begin, as whole numbers q of v = s q + m: q = code - zero. */
static float zero_of(const mc_grid *grid, mc_params p)
{
    return grid->offset == MC_OFFSET_FREE ? 0.0f : (float)p.zero;
}

static mc_flexround_group group_of(const mc_learned_rows *t, const flex_tile *f, size_t row,
                                   size_t group)
{
    const mc_grid *grid = &t->start.grid;
    const size_t at = row * t->n + group * t->start.group;
    const float zero = zero_of(grid, t->start.params[row * t->groups + group]);
    return (mc_flexround_group){
        .x = f->x + at,
        .d2 = f->d2 + at,
        .n = t->start.group,
        .d1 = f->d1[row * t->groups + group],
        .d3 = f->d3[row],
        .low = (float)mc_grid_first(grid) - zero,
        .high = (float)(mc_grid_codes(grid) - 1) - zero,
    };
}

/* What x must be divided by to become q, as a logarithm; 0 when no division does it or rounding
 * gives q anyway. */
static float towards(float x, float q)
{
    if (rintf(x) == q || !(x * q > 0.0f)) return 0.0f;
    return logf(x / q);
}

static void open_group(const mc_learned_rows *t, size_t row, size_t group, flex_tile *f)
{
    const mc_params p = t->start.params[row * t->groups + group];
    const mc_flexround_group g = group_of(t, f, row, group);
    const size_t at = row * t->n + group * t->start.group;
    for (size_t i = at; i < at + t->start.group; i++) {
        const float x = (t->t[i] - p.offset) / p.scale;
        const float q = (float)t->start.code[i] - zero_of(&t->start.grid, p);
        f->x[i] = x > 1e6f ? 1e6f : x < -1e6f ? -1e6f : x; /* what rint's trick can take */
        f->d2[i] = q > g.low && q < g.high ? towards(f->x[i], q) : 0.0f;
    }
}

static void open_rows(const mc_learned_rows *t, flex_tile *f)
{
    const size_t n = TILE * t->n * sizeof(float), groups = TILE * t->groups * sizeof(float);
    memset(f->mean, 0, n);
    memset(f->square, 0, n);
    memset(f->d, 0, n);
    memset(f->d1, 0, groups);
    memset(f->d1_mean, 0, groups);
    memset(f->d1_square, 0, groups);
    memset(f->d3, 0, TILE * sizeof(float));
    memset(f->d3_mean, 0, TILE * sizeof(float));
    memset(f->d3_square, 0, TILE * sizeof(float));
    for (size_t r = 0; r < t->rows; r++) {
        float *unit = f->unit + r * t->groups;
        for (size_t g = 0; g < t->groups; g++) {
            open_group(t, r, g, f);
            unit[g] = t->start.params[r * t->groups + g].scale;
        }
        const double row_unit = mc_learned_row_unit(unit, t->groups);
        for (size_t g = 0; g < t->groups; g++) unit[g] = (float)((double)unit[g] / row_unit);
    }
}

static void errors(const mc_learned_rows *t, flex_tile *f)
{
    for (size_t r = 0; r < t->rows; r++)
        for (size_t k = 0; k < t->groups; k++) {
            const mc_flexround_group g = group_of(t, f, r, k);
            const size_t at = r * t->n + k * g.n;
            const float unit = f->unit[r * t->groups + k], scale = quick_exp(g.d1);
            mc_flexround_round(&g, f->r + at, f->q + at);
            for (size_t i = 0; i < g.n; i++) f->d[at + i] = unit * (scale * f->q[at + i] - g.x[i]);
        }
}

static void slopes(const mc_learned_rows *t, flex_tile *f)
{
    for (size_t r = 0; r < t->rows; r++) {
        double d3 = 0.0;
        for (size_t k = 0; k < t->groups; k++) {
            const mc_flexround_group g = group_of(t, f, r, k);
            const size_t at = r * t->n + k * g.n;
            const float twice = 2.0f * f->unit[r * t->groups + k];
            for (size_t i = at; i < at + g.n; i++) f->slope[i] *= twice;
            const mc_flexround_sums sums =
                mc_flexround_slope(&g, f->r + at, f->q + at, f->slope + at);
            f->d1_slope[r * t->groups + k] = (float)sums.d1;
            d3 += sums.d3;
        }
        f->d3_slope[r] = (float)d3;
    }
}

/* ---- looking at the codes ---- */

/* The scale that will be stored; one that cannot be is left as it was. */
static mc_params moved(const mc_grid *grid, mc_params p, float d1)
{
    mc_err ignored = {0};
    float scale;
    const float wanted = (float)((double)p.scale * exp((double)d1));
    if (d1 != 0.0f && mc_grid_store_scale(grid, wanted, &scale, &ignored) == MC_OK) p.scale = scale;
    return p;
}

static mc_status look(mc_learned_rows *t, flex_tile *f, mc_arena scratch, mc_err *err)
{
    mc_learned_reset_trial(t);
    for (size_t r = 0; r < t->rows; r++)
        for (size_t k = 0; k < t->groups; k++) {
            const mc_params from = t->start.params[r * t->groups + k];
            const size_t at = r * t->n + k * t->start.group;
            mc_flexround_group g = group_of(t, f, r, k);
            const mc_params to = moved(&t->start.grid, from, g.d1);
            t->trial.params[r * t->groups + k] = to;
            g.d1 = (float)log((double)to.scale / (double)from.scale);
            mc_flexround_round(&g, f->r + at, f->q + at);
            for (size_t i = 0; i < g.n; i++)
                t->trial.code[at + i] = (uint8_t)(f->q[at + i] + zero_of(&t->start.grid, from));
        }
    return mc_learned_offer(t, scratch, err);
}

static void move(const mc_learned_rows *t, flex_tile *f, mc_adam adam, bool scales)
{
    mc_adam_move(adam, f->slope, f->mean, f->square, f->d2, t->rows * t->n);
    mc_adam_move(adam, f->d3_slope, f->d3_mean, f->d3_square, f->d3, t->rows);
    if (scales)
        mc_adam_move(adam, f->d1_slope, f->d1_mean, f->d1_square, f->d1, t->rows * t->groups);
}

static mc_status learn_tile(mc_learned_rows *t, flex_tile *f, const double *param, mc_arena scratch,
                            mc_err *err)
{
    const unsigned iterations = (unsigned)param[ITERS];
    const bool scales = t->start.grid.sub_bits == 0;
    open_rows(t, f);
    for (unsigned i = 0; i < iterations; i++) {
        const double rate = 0.5 * param[LR] * (1.0 + cos(acos(-1.0) * i / iterations));
        errors(t, f);
        mc_learned_product(t->learned, f->d, f->slope);
        slopes(t, f);
        move(t, f, mc_adam_at(rate, i + 1), scales);
        if ((uint64_t)(i + 1) * LOOKS / iterations > (uint64_t)i * LOOKS / iterations)
            MC_TRY(look(t, f, scratch, err));
    }
    return MC_OK;
}

/* ---- the method ---- */

static mc_status run(const mc_quant_job *job, mc_qmat *out, mc_arena scratch, mc_err *err)
{
    mc_learned_rows rows;
    flex_tile flex;
    if (!open_flex(&flex, out->cols, mc_qmat_groups(out), &scratch))
        return mc_no_room(err, "a tile of rows");
    MC_TRY(mc_learned_open(job, out, &scratch, &rows, err));
    for (size_t first = 0; first < out->rows; first += TILE) {
        MC_TRY(mc_learned_begin(&rows, first, job->facts, scratch, err));
        MC_TRY(learn_tile(&rows, &flex, job->setup->param, scratch, err));
        mc_learned_end(&rows, job->facts);
    }
    return MC_OK;
}

static size_t prepare_bytes(const mc_quant_setup *setup, size_t n)
{
    (void)setup;
    return mc_learned_prepare_bytes(n);
}

static mc_status prepare(const mc_quant_prepare *in, mc_arena *mem, const void **out,
                         mc_quant_facts *facts, mc_err *err)
{
    const double *param = in->setup->param;
    const mc_learned_rule rule = {(mc_learned_start)param[START], param[DAMP]};
    return mc_learned_prepare(in, rule, mem, out, facts, err);
}

const mc_quant_method mc_quant_flexround = {
    .name = "flexround",
    .summary = "learns what each weight is divided by before it is rounded, and the scales",
    .needs = "calibration data",
    .cost = "as gptq, and m n^2 per matrix for every iteration",
    .paper = "Lee et al. 2023 (FlexRound), in Gram form, from gptq's codes, then polished",
    .params =
        {
            [ITERS] = {"iters", "iterations", 0, 100000, 500, true},
            [LR] = {"lr", "learning rate of Adam at the start", 1e-5, 1.0, 0.003, false},
            [START] = {"start", "0: nearest codes, 1: those of gptq, 2: those of hqq", 0, 2, 1,
                       true},
            [DAMP] = {"damp", "share of the mean of the diagonal that is added to it", 0.0, 1.0,
                      0.01, false},
        },
    .refuses = refuses,
    .wants = MC_QUANT_GRAM | MC_QUANT_CROSS,
    .prepare_bytes = prepare_bytes,
    .prepare = prepare,
    .scratch = scratch_bytes,
    .run = run,
};
