/* The pass of the sweep. Columns are taken in blocks, whose weights lie transposed, one column of
 * all rows after the other: within a block an error reaches the later columns at once, beyond it
 * by one product for the whole block (Frantar et al. 2022, "lazy batch-updates"). Blocks end where
 * groups and spans do, so that a group is always asked with weights that are up to date. */
#include "core/sweep.h"

#include "core/linalg.h"

#include <string.h>

enum { TILE = MC_SWEEP_TILE, BLOCK = MC_SWEEP_BLOCK };

typedef struct {
    const mc_sweep_factor *factor;
    const mc_projection *projection;
    double *w; /* rows x n */
    size_t rows, n;
    size_t room;   /* rows, filled up to whole tiles */
    double *now;   /* BLOCK x room: the block's columns, compensated, then projected */
    double *error; /* BLOCK x room: -e; 0 in the rows that fill up */
    double *met;   /* BLOCK x room: columns as the projection met them, for `cross`; else NULL */
    double *value; /* room */
    double *tile;  /* TILE x n: the last rows, filled up */
    double *loss;  /* rows, or NULL */
} pass;

/* Columns of the widest block. */
static size_t widest(size_t n)
{
    return n < BLOCK ? n : BLOCK;
}

static size_t filled_up(size_t rows)
{
    return (rows + TILE - 1) / TILE * TILE;
}

size_t mc_sweep_scratch(size_t rows, size_t n)
{
    const size_t room = filled_up(rows);
    return ((3 * widest(n) + 1) * room + TILE * n) * sizeof(double) + 5 * 64;
}

static mc_status open_pass(pass *p, mc_arena *scratch, mc_err *err)
{
    p->room = filled_up(p->rows);
    const size_t block = widest(p->n) * p->room;
    p->now = MC_NEW(scratch, double, block);
    p->error = MC_NEW(scratch, double, block);
    if (p->factor->cross) p->met = MC_NEW(scratch, double, block);
    p->value = MC_NEW(scratch, double, p->room);
    p->tile = MC_NEW(scratch, double, TILE * p->n);
    const bool met = p->met || !p->factor->cross;
    if (!p->now || !p->error || !met || !p->value || !p->tile)
        return mc_no_room(err, "a block of the sweep");
    return MC_OK;
}

static size_t span_of(const mc_projection *by)
{
    return by->span_columns ? by->span_columns : by->group_columns;
}

/* Where the block that begins at `from` ends: after whole spans, or after whole groups of a span
 * that is longer than a block, or within a group that is. */
static size_t block_end(const pass *p, size_t from)
{
    size_t length = BLOCK;
    if (p->projection->group) {
        const size_t span = span_of(p->projection);
        const size_t unit = span <= BLOCK ? span : p->projection->group_columns;
        const size_t to_unit = unit - from % unit, to_span = span - from % span;
        if (to_unit <= BLOCK) length = to_unit + (BLOCK - to_unit) / unit * unit;
        if (span > BLOCK && to_span < length) length = to_span;
    }
    return p->n - from < length ? p->n : from + length;
}

/* ---- between rows and columns ---- */

static void load_block(const pass *p, size_t from, size_t to)
{
    for (size_t c = from; c < to; c++) {
        double *column = p->now + (c - from) * p->room;
        for (size_t r = 0; r < p->rows; r++) column[r] = p->w[r * p->n + c];
    }
}

static void store_columns(const pass *p, size_t block, size_t from, size_t to)
{
    for (size_t r = 0; r < p->rows; r++)
        for (size_t c = from; c < to; c++) p->w[r * p->n + c] = p->now[(c - block) * p->room + r];
}

/* ---- one column ---- */

/* y += a x. */
static void add_scaled(double *restrict y, const double *restrict x, double a, size_t n)
{
    for (size_t i = 0; i < n; i++) y[i] += a * x[i];
}

static bool is_dead(const mc_sweep_factor *f, size_t column)
{
    return f->dead[f->order ? f->order[column] : column];
}

/* -e into error[], e^2 into the loss, the value into the column's place. */
static void take_value(const pass *p, size_t at, size_t column, double *now)
{
    double *error = p->error + at * p->room;
    if (is_dead(p->factor, column)) {
        memset(error, 0, p->room * sizeof *error);
    } else {
        const double pivot = p->factor->factor[column * p->n + column];
        for (size_t r = 0; r < p->rows; r++) error[r] = (p->value[r] - now[r]) / pivot;
        for (size_t r = 0; p->loss && r < p->rows; r++) p->loss[r] += error[r] * error[r];
    }
    if (p->met) memcpy(p->met + at * p->room, now, p->room * sizeof *now);
    memcpy(now, p->value, p->rows * sizeof *now);
}

static mc_status sweep_column(const pass *p, size_t block, size_t column, size_t end, mc_err *err)
{
    const mc_projection *by = p->projection;
    const size_t at = column - block;
    double *now = p->now + at * p->room;
    MC_TRY(by->project(by->self, column, now, p->value, err));
    take_value(p, at, column, now);

    const double *u = p->factor->factor + column * p->n;
    const double *cross = p->factor->cross ? p->factor->cross + column * p->n : NULL;
    for (size_t c = column + 1; c < end; c++) {
        double *later = p->now + (c - block) * p->room;
        add_scaled(later, p->error + at * p->room, u[c], p->room);
        if (cross) add_scaled(later, p->met + at * p->room, cross[c], p->room);
    }
    return MC_OK;
}

/* ---- what a block leaves to the columns behind it ---- */

/* Rows of a tile at columns from `to` on: c += error^T U, + met^T P. */
static void reach_tile(const pass *p, size_t block, size_t to, size_t row, double *c)
{
    const size_t n = p->n, at = block * n + to;
    mc_gemm_f64(TILE, n - to, to - block, p->error + row, p->room, 1, p->factor->factor + at, n, 0,
                1.0, c, n);
    if (p->met)
        mc_gemm_f64(TILE, n - to, to - block, p->met + row, p->room, 1, p->factor->cross + at, n, 0,
                    1.0, c, n);
}

static void reach_later(const pass *p, size_t block, size_t to)
{
    if (to == p->n) return;
    for (size_t row = 0; row < p->rows; row += TILE) {
        const size_t left = p->rows - row;
        double *w = p->w + row * p->n;
        if (left >= TILE) {
            reach_tile(p, block, to, row, w + to);
            continue;
        }
        memcpy(p->tile, w, left * p->n * sizeof *w);
        reach_tile(p, block, to, row, p->tile + to);
        memcpy(w, p->tile, left * p->n * sizeof *w);
    }
}

static mc_status sweep_block(const pass *p, size_t from, size_t to, mc_err *err)
{
    const mc_projection *by = p->projection;
    load_block(p, from, to);
    for (size_t column = from; column < to; column++) {
        if (by->group && column % by->group_columns == 0) {
            const size_t span = span_of(by);
            const size_t wide = column % span == 0 ? span : by->group_columns;
            store_columns(p, from, column, to - column < wide ? to : column + wide);
            MC_TRY(by->group(by->self, column, p->w, err));
        }
        MC_TRY(sweep_column(p, from, column, to, err));
    }
    store_columns(p, from, from, to);
    reach_later(p, from, to);
    return MC_OK;
}

mc_status mc_sweep(const mc_sweep_factor *factor, const mc_projection *projection, double *w,
                   size_t rows, double *loss, mc_arena scratch, mc_err *err)
{
    pass p = {.factor = factor,
              .projection = projection,
              .w = w,
              .rows = rows,
              .n = factor->n,
              .loss = loss};
    MC_TRY(open_pass(&p, &scratch, err));
    if (loss) memset(loss, 0, rows * sizeof *loss);
    for (size_t from = 0; from < p.n;) {
        const size_t to = block_end(&p, from);
        MC_TRY(sweep_block(&p, from, to, err));
        from = to;
    }
    return MC_OK;
}
