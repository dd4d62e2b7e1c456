/* Learned rounding: for each weight, which of two neighbouring levels to take (Nagel et al. 2020,
 * "Up or Down? Adaptive Rounding for Post-Training Quantization", eq. 21-25).
 *
 * A weight lies h of a step above the lower level; h = clip(1.2 sigmoid(v) - 0.1, 0, 1) is learned
 * by Adam on the layer's squared error plus reg * (1 - |2h - 1|^beta), whose exponent falls from 20
 * to 2 after a warm-up of a fifth and drives h to 0 or 1.
 *
 * Deviations. (1) The squared error and its slope come from moments (learned_shared.h), so an
 * iteration needs no data and costs 2 m n^2 flops for m x n weights. (2) The regulariser of a
 * weight is in proportion to what the weight itself can do to the error, step^2 times the input's
 * mean square, so that one `reg` serves inputs of any size. (3) It starts from the codes of gptq
 * unless told otherwise, between each and its neighbour on the weight's side, and near the code;
 * codes may so be more than a step from their weight. (4) After rounding, codes and scales move on
 * as long as that lowers the error (descent_shared.h). (5) Of start and result, each row takes the
 * better. */
#include "quant/learned_shared.h"
#include "quant/quick_math.h"
#include "quant/rows.h"

#include <math.h>
#include <string.h>

enum { ITERS, LR, REG, START, DAMP };
enum { TILE = MC_LEARNED_TILE };

static const float stretch = 1.2f, lowest = -0.1f; /* zeta - gamma, gamma */
static const double warm_up = 0.2, first_beta = 20.0, last_beta = 2.0;
static const float trust = 0.9f; /* how near to a sweep's code learning starts */

/* ---- the relaxed objective ---- */

void mc_adaround_soften(const float *v, const float *below, const float *step, size_t n,
                        float *sigmoid, float *d)
{
    for (size_t i = 0; i < n; i++) {
        const float s = quick_sigmoid(v[i]);
        float h = s * stretch + lowest;
        h = h < 0.0f ? 0.0f : h;
        h = h > 1.0f ? 1.0f : h;
        sigmoid[i] = s;
        d[i] = below[i] + step[i] * h;
    }
}

/* d h / d v, 0 where h is clipped. */
static inline float rise(float sigmoid)
{
    const float r = sigmoid * stretch + lowest;
    const float inside = (float)((r > 0.0f) & (r < 1.0f));
    return inside * stretch * sigmoid * (1.0f - sigmoid);
}

static void warm_slope(const mc_adaround_row *row, float *slope)
{
    for (size_t i = 0; i < row->n; i++)
        slope[i] = 2.0f * slope[i] * row->step[i] * rise(row->sigmoid[i]);
}

static void full_slope(const mc_adaround_row *row, mc_adaround_rule rule, float *slope)
{
    const float power = rule.beta - 1.0f, weight = 2.0f * rule.reg * rule.beta;
    for (size_t i = 0; i < row->n; i++) {
        const float step = row->step[i], s = row->sigmoid[i];
        const float u = 2.0f * (s * stretch + lowest) - 1.0f;
        const float bent = copysignf(quick_power(fabsf(u), power), u);
        const float settle = weight * row->worth[i] * step * step * bent;
        slope[i] = (2.0f * slope[i] * step - settle) * rise(s);
    }
}

void mc_adaround_slope(const mc_adaround_row *row, mc_adaround_rule rule, float *slope)
{
    if (rule.reg > 0.0f)
        full_slope(row, rule, slope);
    else
        warm_slope(row, slope);
}

/* ---- a tile ---- */

/* TILE x n each, in units; rows that are not there stay 0. */
typedef struct {
    float *v, *mean, *square;
    float *below; /* lower level - w */
    float *step;  /* to the upper level */
    float *sigmoid, *d, *slope;
    uint8_t *base; /* code of the lower level */
} soft_tile;

enum { SOFT_ARRAYS = 8 };

static bool open_soft(soft_tile *s, size_t n, mc_arena *mem)
{
    float **array[SOFT_ARRAYS] = {&s->v,    &s->mean,    &s->square, &s->below,
                                  &s->step, &s->sigmoid, &s->d,      &s->slope};
    *s = (soft_tile){.base = MC_NEW_RAW(mem, uint8_t, TILE * n)};
    bool all = s->base != NULL;
    for (size_t i = 0; i < SOFT_ARRAYS; i++)
        all &= (*array[i] = MC_NEW(mem, float, TILE * n)) != NULL;
    return all;
}

static size_t scratch_bytes(const mc_grid *grid, size_t rows, size_t cols, size_t group)
{
    return mc_learned_scratch(grid, rows, cols, group) +
           TILE * cols * (SOFT_ARRAYS * sizeof(float) + 1) + (SOFT_ARRAYS + 1) * 64;
}

/* The lower of two neighbouring codes: those around w, or when `code` lies outside of them, it and
 * its neighbour on their side. */
static unsigned base_of(const mc_grid *grid, mc_params p, float w, unsigned code)
{
    const unsigned first = mc_grid_first(grid), last = mc_grid_codes(grid) - 1;
    uint8_t nearest;
    mc_grid_encode(grid, p, &w, 1, &nearest);
    const float at = mc_grid_value(grid, p, nearest);
    const bool up = (w > at) == (p.scale > 0.0f) && w != at;
    unsigned base = up ? nearest : nearest > first ? nearest - 1u : first;
    if (code <= base) base = code;
    if (code > base + 1) base = code - 1;
    return base < last ? base : last > first ? last - 1 : first;
}

static void open_row(const mc_learned_rows *t, size_t r, bool trusted, soft_tile *s)
{
    const mc_grid *grid = &t->start.grid;
    const size_t at = r * t->n;
    for (size_t j = 0; j < t->n; j++) {
        const mc_params p = t->start.params[r * t->groups + j / t->start.group];
        const unsigned last = mc_grid_codes(grid) - 1, code = t->start.code[at + j];
        const unsigned base = base_of(grid, p, t->t[at + j], code);
        const float low = mc_grid_value(grid, p, base);
        const float high = mc_grid_value(grid, p, base < last ? base + 1 : base);
        s->base[at + j] = (uint8_t)base;
        s->below[at + j] = low - t->t[at + j];
        s->step[at + j] = high - low;

        float h = high != low ? (t->t[at + j] - low) / (high - low) : 0.5f;
        h = h > 0.0f ? h < 1.0f ? h : 1.0f : 0.0f;
        if (trusted) h += trust * ((float)(code - base) - h);
        h = h > 0.01f ? h < 0.99f ? h : 0.99f : 0.01f;
        s->v[at + j] = -logf(stretch / (h - lowest) - 1.0f);
    }
    const double unit = mc_learned_row_unit(s->step + at, t->n);
    for (size_t j = 0; j < t->n; j++) {
        s->below[at + j] = (float)((double)s->below[at + j] / unit);
        s->step[at + j] = (float)((double)s->step[at + j] / unit);
    }
}

static void open_rows(const mc_learned_rows *t, bool trusted, soft_tile *s)
{
    const size_t n = t->n, filled = t->rows * n, bytes = TILE * n * sizeof(float);
    memset(s->mean, 0, bytes);
    memset(s->square, 0, bytes);
    memset(s->d + filled, 0, bytes - filled * sizeof(float));
    for (size_t r = 0; r < t->rows; r++) open_row(t, r, trusted, s);
}

/* Of iteration `i` out of `n`: no regulariser first, then an exponent that falls in a line. */
static mc_adaround_rule rule_at(const double *param, unsigned i, unsigned n)
{
    const double done = (double)i / (double)n;
    if (done < warm_up) return (mc_adaround_rule){0};
    const double rest = (1.0 - done) / (1.0 - warm_up);
    return (mc_adaround_rule){(float)param[REG],
                              (float)(last_beta + (first_beta - last_beta) * rest)};
}

static void iterate(const mc_learned_rows *t, soft_tile *s, const double *param)
{
    const unsigned iterations = (unsigned)param[ITERS];
    const size_t n = t->n, filled = t->rows * n;
    for (unsigned i = 0; i < iterations; i++) {
        const mc_adaround_rule rule = rule_at(param, i, iterations);
        mc_adaround_soften(s->v, s->below, s->step, filled, s->sigmoid, s->d);
        mc_learned_product(t->learned, s->d, s->slope);
        for (size_t r = 0; r < t->rows; r++) {
            const size_t at = r * n;
            const mc_adaround_row row = {s->sigmoid + at, s->step + at, t->learned->worth, n};
            mc_adaround_slope(&row, rule, s->slope + at);
        }
        mc_adam_move(mc_adam_at(param[LR], i + 1), s->slope, s->mean, s->square, s->v, filled);
    }
}

static mc_status learn_tile(mc_learned_rows *t, soft_tile *s, const double *param, mc_arena scratch,
                            mc_err *err)
{
    const unsigned last = mc_grid_codes(&t->start.grid) - 1;
    open_rows(t, t->learned->start == MC_START_SWEEP, s);
    iterate(t, s, param);
    mc_learned_reset_trial(t);
    for (size_t i = 0; i < t->rows * t->n; i++)
        t->trial.code[i] = (uint8_t)(s->base[i] + (s->v[i] >= 0.0f && s->base[i] < last));
    return mc_learned_offer(t, scratch, err);
}

/* ---- the method ---- */

static mc_status run(const mc_quant_job *job, mc_qmat *out, mc_arena scratch, mc_err *err)
{
    mc_learned_rows rows;
    soft_tile soft;
    if (!open_soft(&soft, out->cols, &scratch)) return mc_no_room(err, "a tile of rows");
    MC_TRY(mc_learned_open(job, out, &scratch, &rows, err));
    for (size_t first = 0; first < out->rows; first += TILE) {
        MC_TRY(mc_learned_begin(&rows, first, job->facts, scratch, err));
        MC_TRY(learn_tile(&rows, &soft, job->setup->param, scratch, err));
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

const mc_quant_method mc_quant_adaround = {
    .name = "adaround",
    .summary = "learns to round each weight up or down, from the inputs' moments",
    .needs = "calibration data",
    .cost = "as gptq, and m n^2 per matrix for every iteration",
    .paper = "Nagel et al. 2020 (AdaRound), in Gram form, from a sweep's codes, then polished",
    .params =
        {
            [ITERS] = {"iters", "iterations", 0, 100000, 500, true},
            [LR] = {"lr", "learning rate of Adam", 1e-4, 1.0, 0.1, false},
            [REG] = {"reg", "weight of the pull towards 0 and 1", 0.0, 100.0, 1.0, false},
            [START] = {"start", "0: nearest codes, 1: those of gptq, 2: those of hqq", 0, 2, 1,
                       true},
            [DAMP] = {"damp", "share of the mean of the diagonal that is added to it", 0.0, 1.0,
                      0.01, false},
        },
    .refuses = refuses_no_grid,
    .wants = MC_QUANT_GRAM | MC_QUANT_CROSS,
    .prepare_bytes = prepare_bytes,
    .prepare = prepare,
    .scratch = scratch_bytes,
    .run = run,
};
