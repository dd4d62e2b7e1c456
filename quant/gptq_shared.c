/* Rows on their way through the sweep, MC_SWEEP_TILE at a time, so that a tile stays in the caches
 * and the memory does not grow with the number of rows.
 *
 * Scales are the grid's own fit. order=1 fixes them before the sweep ("static groups"); order=0 and
 * order=2 fit a group when it begins, from weights that hold the compensation so far. A two-level
 * grid then freezes a super-scale when the first column of its groups is reached, from all of them
 * as they are at that time, and fits sub-scales group by group; order=2 keeps such groups together:
 * it sorts columns in groups, groups under a super-scale, and these among each other.
 *
 * Deviations from the paper and its code. (1) A group inside a block of columns is fitted from
 * weights that are up to date; the code takes those of the block's begin. (2) Dead columns keep
 * their nearest codes instead of becoming 0: another input may meet them. (3) GPTAQ's P multiplies
 * the weights as each column met them, within a block and beyond it; its code takes the projected
 * ones beyond. */
#include "quant/gptq_shared.h"

#include "core/linalg.h"
#include "quant/descent_shared.h"
#include "quant/rows.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TILE = MC_SWEEP_TILE };

typedef struct {
    mc_sweep_factor factor;
    const float *importance; /* n, or NULL */
    const uint32_t *order;   /* n, or NULL */
} ready;

static mc_gptq_order order_of(const mc_quant_setup *setup)
{
    return (mc_gptq_order)setup->param[MC_GPTQ_ORDER];
}

static bool is_published(const mc_quant_setup *setup)
{
    return setup->param[MC_GPTQ_PUBLISHED] != 0.0;
}

/* Columns whose scales hang together. */
static size_t span_of(const mc_grid *grid, size_t group)
{
    return grid->sub_bits ? group * grid->super : group;
}

/* ---- the order of columns ---- */

typedef struct {
    double span, group, own; /* the largest mean squares of what the column belongs to */
    size_t span_at, group_at;
    uint32_t at;
} rank;

static int falling(double a, double b)
{
    return (a < b) - (a > b);
}

static int rising(size_t a, size_t b)
{
    return (a > b) - (a < b);
}

static int compare(const void *left, const void *right)
{
    const rank *a = left, *b = right;
    int by = falling(a->span, b->span);
    if (!by) by = rising(a->span_at, b->span_at);
    if (!by) by = falling(a->group, b->group);
    if (!by) by = rising(a->group_at, b->group_at);
    if (!by) by = falling(a->own, b->own);
    return by ? by : rising(a->at, b->at);
}

static double largest(const double *gram, size_t n, size_t from, size_t count)
{
    double most = 0.0;
    for (size_t i = from; i < from + count && i < n; i++)
        most = gram[i * n + i] > most ? gram[i * n + i] : most;
    return most;
}

/* Spans stay whole for GAR; one that is cut short by the row's end comes last, so that all others
 * begin at multiples of their length. */
static mc_status sort_columns(const mc_quant_prepare *in, mc_arena scratch, uint32_t *order,
                              mc_err *err)
{
    const size_t n = in->moments->n;
    const bool whole = order_of(in->setup) == MC_GPTQ_GAR;
    const size_t group = whole ? in->group : n, span = whole ? span_of(in->grid, group) : n;
    rank *ranks = MC_NEW_RAW(&scratch, rank, n);
    if (!ranks) return mc_no_room(err, "the order of columns");
    for (size_t i = 0; i < n; i++) {
        rank *r = &ranks[i];
        *r = (rank){.span_at = i / span, .group_at = i / group, .at = (uint32_t)i};
        r->own = in->moments->gram[i * n + i];
        if (!whole) continue;
        const bool first = i % span == 0, short_span = r->span_at * span + span > n;
        r->group = i % group ? r[-1].group : largest(in->moments->gram, n, i, group);
        r->span = !first ? r[-1].span : short_span ? -1.0 : largest(in->moments->gram, n, i, span);
    }
    qsort(ranks, n, sizeof *ranks, compare);
    for (size_t i = 0; i < n; i++) order[i] = ranks[i].at;
    return MC_OK;
}

/* ---- once for all rows ---- */

size_t mc_gptq_prepare_bytes(const mc_quant_setup *setup, size_t n)
{
    const size_t own = sizeof(ready) + n * (sizeof(float) + sizeof(uint32_t) + sizeof(rank));
    return mc_sweep_prepare_bytes(n, is_published(setup)) + own + 4 * 64;
}

static mc_status make_importance(const mc_moments *m, mc_arena *mem, const float **out, mc_err *err)
{
    float *importance = MC_NEW_RAW(mem, float, m->n);
    mc_arena loan = *mem;
    double *square = MC_NEW_RAW(&loan, double, m->n);
    if (!importance || !square) return mc_no_room(err, "the importance of columns");
    for (size_t i = 0; i < m->n; i++) square[i] = m->gram[i * m->n + i];
    importance_of(square, m->n, importance);
    *out = importance;
    return MC_OK;
}

mc_status mc_gptq_prepare(const mc_quant_prepare *in, mc_arena *mem, const void **out,
                          mc_quant_facts *facts, mc_err *err)
{
    const mc_moments *m = in->moments;
    const mc_quant_setup *setup = in->setup;
    ready *made = MC_NEW(mem, ready, 1);
    uint32_t *order = MC_NEW_RAW(mem, uint32_t, m->n);
    if (!made || !order) return mc_no_room(err, "the order of columns");
    if (order_of(setup) != MC_GPTQ_NATURAL) {
        MC_TRY(sort_columns(in, *mem, order, err));
        made->order = order;
    }
    if (setup->param[MC_GPTQ_IMPORTANCE] != 0.0)
        MC_TRY(make_importance(m, mem, &made->importance, err));
    const mc_sweep_setup sweep = {setup->param[MC_GPTQ_DAMP], setup->param[MC_GPTQ_ALPHA],
                                  made->order};
    const double *cross = is_published(setup) ? m->cross : NULL;
    MC_TRY(mc_sweep_prepare(m->n, m->gram, cross, &sweep, mem, &made->factor, err));
    facts->damp = fmax(facts->damp, made->factor.damp);
    facts->floor = fmax(facts->floor, made->factor.floor);
    facts->dead += made->factor.dead_columns;
    *out = made;
    return MC_OK;
}

/* ---- a tile of rows ---- */

typedef struct {
    const mc_quant_job *job;
    const ready *ready;
    mc_fit fit;
    mc_qmat *out;
    size_t first, rows, n, groups; /* the tile's rows; columns and groups of a row */
    const float *aim;              /* rows x n: what the values should come close to */
    float *target;                 /* TILE x n: room for an aim that is not the weights */
    double *w;                     /* TILE x n, in the order of the sweep */
    float *value;                  /* TILE x n */
    mc_params *params;             /* groups x TILE: those of a column lie side by side */
    float *row;                    /* n */
} tile;

static size_t largest_of(size_t a, size_t b, size_t c)
{
    a = a > b ? a : b;
    return a > c ? a : c;
}

size_t mc_gptq_scratch(const mc_grid *grid, size_t rows, size_t cols, size_t group)
{
    (void)grid, (void)rows;
    const size_t matrices = TILE * cols * (2 * sizeof(float) + sizeof(double));
    const size_t sweep = mc_sweep_scratch(TILE, cols);
    const size_t descent = mc_descend_scratch(cols);
    const size_t target = 2 * TILE * cols * sizeof(double) + mc_sweep_solve_scratch(cols) + 2 * 64;
    return matrices + TILE * (cols / group) * sizeof(mc_params) + cols * sizeof(float) +
           largest_of(sweep, target, descent) + 6 * 64;
}

static mc_status open_tile(tile *t, mc_arena *scratch, mc_err *err)
{
    t->target = MC_NEW_RAW(scratch, float, TILE * t->n);
    t->w = MC_NEW_RAW(scratch, double, TILE * t->n);
    t->value = MC_NEW_RAW(scratch, float, TILE * t->n);
    t->params = MC_NEW_RAW(scratch, mc_params, TILE * t->groups);
    t->row = MC_NEW_RAW(scratch, float, t->n);
    if (!t->target || !t->w || !t->value || !t->params || !t->row)
        return mc_no_room(err, "a tile of rows");
    return MC_OK;
}

static size_t place(const tile *t, size_t column)
{
    return t->ready->order ? t->ready->order[column] : column;
}

/* ---- what the values should come close to ---- */

/* W C of the tile's rows, which stand in f64 in w, and what the outputs should give besides. */
static void pull_of(const tile *t, const double *w, double *pull)
{
    const mc_quant_job *job = t->job;
    memset(pull, 0, TILE * t->n * sizeof *pull);
    if (job->gain) memcpy(pull, job->gain + t->first * t->n, t->rows * t->n * sizeof *pull);
    if (job->moments->cross)
        mc_gemm_f64(TILE, t->n, t->n, w, t->n, 0, job->moments->cross, t->n, 0, 1.0, pull, t->n);
}

/* T = W + alpha (W C + gain) (H + damping)^-1 */
static mc_status make_target(tile *t, mc_arena scratch, mc_err *err)
{
    const size_t n = t->n;
    const double alpha = t->job->setup->param[MC_GPTQ_ALPHA];
    double *pull = MC_NEW_RAW(&scratch, double, TILE *n), *x = MC_NEW(&scratch, double, TILE *n);
    if (!pull || !x) return mc_no_room(err, "the target of a tile");
    for (size_t i = 0; i < t->rows * n; i++) x[i] = (double)t->aim[i];
    pull_of(t, x, pull);
    for (size_t r = 0; r < t->rows; r++)
        for (size_t c = 0; c < n; c++) {
            const size_t at = place(t, c);
            x[r * n + c] = t->ready->factor.dead[at] ? 0.0 : alpha * pull[r * n + at];
        }
    MC_TRY(mc_sweep_solve(&t->ready->factor, x, t->rows, scratch, err));
    for (size_t r = 0; r < t->rows; r++)
        for (size_t c = 0; c < n; c++) {
            const size_t at = r * n + place(t, c);
            t->target[at] = within_reach((double)t->aim[at] + x[r * n + c]);
        }
    t->aim = t->target;
    return MC_OK;
}

/* ---- scales ---- */

static mc_status fail_row(const tile *t, size_t r, mc_err *err)
{
    return mc_wrap(err, "row %zu", t->job->first_row + t->first + r);
}

/* `count` groups from `group` on of the tile's row r, from w, which begins with them. */
static mc_status fit_groups(const tile *t, size_t r, size_t group, size_t count, const float *w,
                            mc_err *err)
{
    mc_qmat *q = t->out;
    const float *importance = t->ready->importance;
    const size_t row = t->first + r, at = row * t->groups + group, super = q->grid.super;
    if (mc_grid_fit(&q->grid, t->fit, w, importance ? importance + group * q->group : NULL, count,
                    q->group, q->params + at, q->sub ? q->sub + at : NULL,
                    q->super ? q->super + row * mc_qmat_supers(q) + group / super : NULL,
                    err) != MC_OK)
        return fail_row(t, r, err);
    return MC_OK;
}

static mc_status refit_sub(const tile *t, size_t r, size_t group, const float *w, mc_err *err)
{
    mc_qmat *q = t->out;
    const float *importance = t->ready->importance;
    const size_t row = t->first + r, at = row * t->groups + group;
    const mc_super super = q->super[row * mc_qmat_supers(q) + group / q->grid.super];
    const mc_grid_group one = {w, importance ? importance + group * q->group : NULL, q->group};
    if (mc_grid_refit_sub(&q->grid, t->fit, one, super, &q->params[at], &q->sub[at], err) != MC_OK)
        return fail_row(t, r, err);
    return MC_OK;
}

static void spread_params(const tile *t, size_t group, size_t count)
{
    for (size_t g = group; g < group + count; g++)
        for (size_t r = 0; r < t->rows; r++)
            t->params[g * TILE + r] = t->out->params[(t->first + r) * t->groups + g];
}

/* The compensated weights of `count` columns from `column` on of the sweep, in their own order;
 * `from` is the first of them there. */
static void gather(const tile *t, const double *w, size_t column, size_t count, size_t from)
{
    for (size_t i = column; i < column + count; i++)
        t->row[place(t, i) - from] = within_reach(w[i]);
}

/* mc_projection.group */
static mc_status begin_group(void *self, size_t column, const double *w, mc_err *err)
{
    const tile *t = self;
    const mc_qmat *q = t->out;
    const size_t span = span_of(&q->grid, q->group), first = place(t, column);
    const size_t begin = first / span * span, wide = t->n - begin < span ? t->n - begin : span;
    const bool new_span = column % span == 0;
    const size_t from = new_span ? begin : first / q->group * q->group;
    const size_t count = new_span ? wide : q->group;
    for (size_t r = 0; r < t->rows; r++) {
        gather(t, w + r * t->n, column, count, from);
        if (new_span)
            MC_TRY(fit_groups(t, r, from / q->group, count / q->group, t->row, err));
        else
            MC_TRY(refit_sub(t, r, from / q->group, t->row, err));
    }
    spread_params(t, from / q->group, count / q->group);
    return MC_OK;
}

/* From what the values should come close to, all groups at once. */
static mc_status fit_all(const tile *t, mc_err *err)
{
    for (size_t r = 0; r < t->rows; r++)
        MC_TRY(fit_groups(t, r, 0, t->groups, t->aim + r * t->n, err));
    spread_params(t, 0, t->groups);
    return MC_OK;
}

/* ---- the sweep ---- */

/* mc_projection.project */
static mc_status take_nearest(void *self, size_t column, const double *w, double *value,
                              mc_err *err)
{
    (void)err;
    const tile *t = self;
    const mc_qmat *q = t->out;
    const size_t at = place(t, column);
    const mc_params *params = t->params + at / q->group * TILE;
    float x[TILE];
    uint8_t code[TILE];
    for (size_t r = 0; r < t->rows; r++) x[r] = within_reach(w[r]);
    mc_grid_encode_row(&q->grid, params, x, t->rows, 1, code);
    mc_grid_decode_row(&q->grid, params, code, t->rows, 1, x);
    for (size_t r = 0; r < t->rows; r++) {
        value[r] = (double)x[r];
        q->code[(t->first + r) * t->n + at] = code[r];
    }
    return MC_OK;
}

static double nearest_loss(const tile *t)
{
    mc_qmat *q = t->out;
    for (size_t r = 0; r < t->rows; r++) {
        const mc_params *params = q->params + (t->first + r) * t->groups;
        uint8_t *code = q->code + (t->first + r) * t->n;
        mc_grid_encode_row(&q->grid, params, t->aim + r * t->n, t->groups, q->group, code);
        mc_grid_decode_row(&q->grid, params, code, t->groups, q->group, t->value + r * t->n);
    }
    return mc_moments_loss(t->job->moments, t->aim, t->value, t->rows);
}

/* The sweep's sum of squares has the damping in it. */
static void undamp(const tile *t, double *loss)
{
    const mc_sweep_factor *f = &t->ready->factor;
    for (size_t r = 0; r < t->rows; r++) {
        double moved = 0.0;
        for (size_t c = 0; c < t->n; c++) {
            const size_t at = place(t, c);
            const double off = (double)t->aim[r * t->n + at] - t->w[r * t->n + c];
            moved += f->dead[at] ? 0.0 : off * off;
        }
        loss[r] = fmax(loss[r] - f->added * moved, 0.0);
    }
}

static mc_status sweep_tile(tile *t, double *loss, mc_arena scratch, mc_err *err)
{
    const mc_gptq_order order = order_of(t->job->setup);
    mc_projection by = {.project = take_nearest, .self = t};
    if (order != MC_GPTQ_STATIC) {
        by.group = begin_group;
        by.group_columns = t->out->group;
        by.span_columns = span_of(&t->out->grid, t->out->group);
    }
    for (size_t r = 0; r < t->rows; r++)
        for (size_t c = 0; c < t->n; c++)
            t->w[r * t->n + c] = (double)t->aim[r * t->n + place(t, c)];
    MC_TRY(mc_sweep(&t->ready->factor, &by, t->w, t->rows, loss, scratch, err));
    undamp(t, loss);
    return MC_OK;
}

/* The weights as they are, or the target that the moments ask for. */
static mc_status choose_aim(tile *t, mc_arena scratch, mc_err *err)
{
    const mc_quant_job *job = t->job;
    t->aim = mc_row(job->weights, t->first);
    const bool asked = job->setup->method->wants & MC_QUANT_CROSS &&
                       job->setup->param[MC_GPTQ_ALPHA] > 0.0 && !is_published(job->setup);
    if (!asked || !(job->moments->cross || job->gain)) return MC_OK;
    return make_target(t, scratch, err);
}

/* Rounds of descent; none of them still tells the error where the sweep's sum of squares is that
 * of another objective. */
static mc_status descend(const tile *t, double *loss, mc_arena scratch, mc_err *err)
{
    const mc_quant_setup *setup = t->job->setup;
    const unsigned rounds = (unsigned)setup->param[MC_GPTQ_ROUNDS];
    const bool untold = t->job->facts && t->ready->factor.cross;
    if (rounds == 0 && !untold) return MC_OK;
    const mc_descent by = {t->job->moments->gram, &t->ready->factor, rounds};
    const mc_descent_rows rows = {t->out, t->first, t->rows, t->aim, loss};
    return mc_descend(&by, rows, scratch, err);
}

static mc_status run_tile(tile *t, mc_arena scratch, mc_err *err)
{
    mc_quant_facts *facts = t->job->facts;
    double loss[TILE] = {0};
    MC_TRY(choose_aim(t, scratch, err));
    if (facts || order_of(t->job->setup) == MC_GPTQ_STATIC) MC_TRY(fit_all(t, err));
    if (facts) facts->start += nearest_loss(t);
    MC_TRY(sweep_tile(t, loss, scratch, err));
    MC_TRY(descend(t, loss, scratch, err));
    for (size_t r = 0; facts && r < t->rows; r++) facts->end += loss[r];
    return MC_OK;
}

mc_status mc_gptq_run(const mc_quant_job *job, mc_qmat *out, mc_arena scratch, mc_err *err)
{
    tile t = {.job = job,
              .ready = job->prepared,
              .fit = {MC_FIT_SEARCH, (float)job->setup->param[MC_GPTQ_NORM]},
              .out = out,
              .n = out->cols,
              .groups = mc_qmat_groups(out)};
    MC_TRY(open_tile(&t, &scratch, err));
    for (t.first = 0; t.first < out->rows; t.first += TILE) {
        t.rows = out->rows - t.first < TILE ? out->rows - t.first : TILE;
        MC_TRY(run_tile(&t, scratch, err));
    }
    return MC_OK;
}
