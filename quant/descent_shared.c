/* Descent by blocks of columns. What matters of the rest of a row is its pull r = (t - v) H; inside
 * a block it is kept up to date, column by column of all rows; a block's changes reach the other
 * columns by one product. Rows meet BLAS MC_SWEEP_TILE at a time, as in the sweep.
 *
 * Groups of up to MC_SWEEP_BLOCK columns lie within blocks. Longer ones move their numbers in a
 * step of their own (wide_group), before their codes. */
#include "quant/descent_shared.h"

#include "core/linalg.h"
#include "quant/group_wish.h"
#include "quant/rows.h"

#include <math.h>
#include <string.h>

enum { TILE = MC_SWEEP_TILE, BLOCK = MC_SWEEP_BLOCK };

/* A tile of rows on its way. Inside a block: arrays of columns, TILE numbers each, 0 in the rows
 * that are not there. */
typedef struct {
    const mc_descent *by;
    mc_qmat *q;
    size_t first, rows, n, group, groups;
    double *pull;     /* TILE x n: (t - v) H */
    const float *aim; /* rows x n: t */
    double *off;      /* TILE x n: t - v; later room */
    double *wide;     /* TILE x n: room of groups longer than a block, else NULL */
    size_t from;      /* first column of the block */
    size_t columns;   /* of the block */
    double *r;        /* BLOCK x TILE: pull */
    double *v;        /* BLOCK x TILE: values */
    double *moved;    /* BLOCK x TILE: what values have changed by since the block began */
    double *room;     /* 2 BLOCK x TILE */
    double *h;        /* columns x columns: H within the block */
    bool changed;
} tile;

size_t mc_descend_scratch(size_t n)
{
    return ((3 * n + 5 * BLOCK) * TILE + BLOCK * BLOCK) * sizeof(double) + 8 * 64;
}

static mc_status open_tile(tile *t, mc_arena *scratch, mc_err *err)
{
    t->pull = MC_NEW(scratch, double, TILE * t->n);
    t->off = MC_NEW(scratch, double, TILE * t->n);
    if (t->group > BLOCK) t->wide = MC_NEW(scratch, double, TILE * t->n);
    t->r = MC_NEW(scratch, double, BLOCK *TILE);
    t->v = MC_NEW(scratch, double, BLOCK *TILE);
    t->moved = MC_NEW(scratch, double, BLOCK *TILE);
    t->room = MC_NEW(scratch, double, 2 * BLOCK * TILE);
    if (t->group > BLOCK && !t->wide) return mc_no_room(err, "a tile of rows");
    t->h = MC_NEW_RAW(scratch, double, BLOCK *BLOCK);
    if (!t->pull || !t->off || !t->r || !t->v || !t->moved || !t->room || !t->h)
        return mc_no_room(err, "a tile of rows");
    return MC_OK;
}

/* ---- H ---- */

static bool is_dead(const tile *t, size_t column)
{
    return t->by->factor->dead[column];
}

static double added(const tile *t, size_t column)
{
    return is_dead(t, column) ? 0.0 : t->by->factor->added;
}

/* H between two columns of the block. */
static double within(const tile *t, size_t i, size_t j)
{
    return t->h[i * t->columns + j];
}

/* out = beta out + x H of columns from .. from + count - 1 of H's rows, all of its columns; x and
 * out TILE x n, x at the same columns. */
static void times_rows(const tile *t, const double *x, size_t from, size_t count, double beta,
                       double *out)
{
    const size_t n = t->n;
    mc_gemm_f64(TILE, n, count, x + from, n, 0, t->by->gram + from * n, n, 0, beta, out, n);
    for (size_t r = 0; r < t->rows; r++)
        for (size_t c = from; c < from + count; c++) out[r * n + c] += added(t, c) * x[r * n + c];
}

static mc_params *params_at(const tile *t, size_t r, size_t group)
{
    return &t->q->params[(t->first + r) * t->groups + group];
}

static uint8_t *code_at(const tile *t, size_t r, size_t column)
{
    return &t->q->code[(t->first + r) * t->n + column];
}

/* t - v from the codes as they are. Dead columns count as right throughout. */
static void find_off(tile *t)
{
    const mc_grid *grid = &t->q->grid;
    for (size_t r = 0; r < t->rows; r++)
        for (size_t c = 0; c < t->n; c++) {
            const size_t at = r * t->n + c;
            const float v = mc_grid_value(grid, *params_at(t, r, c / t->group), *code_at(t, r, c));
            t->off[at] = is_dead(t, c) ? 0.0 : (double)t->aim[at] - (double)v;
        }
}

static void begin(tile *t)
{
    find_off(t);
    times_rows(t, t->off, 0, t->n, 0.0, t->pull);
}

/* From the pull, which has the damping in it. */
static void tell_loss(tile *t, double *loss)
{
    find_off(t);
    for (size_t r = 0; r < t->rows; r++) {
        const double *off = t->off + r * t->n, *pull = t->pull + r * t->n;
        double sum = 0.0;
        for (size_t c = 0; c < t->n; c++) sum += off[c] * (pull[c] - added(t, c) * off[c]);
        loss[r] = sum > 0.0 ? sum : 0.0;
    }
}

/* ---- a block ---- */

static void load_block(tile *t, size_t from, size_t to)
{
    t->from = from;
    t->columns = to - from;
    memset(t->moved, 0, t->columns * TILE * sizeof *t->moved);
    for (size_t i = 0; i < t->columns; i++) {
        double *h = t->h + i * t->columns;
        memcpy(h, t->by->gram + (from + i) * t->n + from, t->columns * sizeof *h);
        h[i] += added(t, from + i);
    }
    for (size_t c = from; c < to; c++)
        for (size_t r = 0; r < t->rows; r++) {
            const size_t at = (c - from) * TILE + r;
            t->r[at] = t->pull[r * t->n + c];
            t->v[at] = (double)mc_grid_value(&t->q->grid, *params_at(t, r, c / t->group),
                                             *code_at(t, r, c));
        }
}

/* The other columns learn what moved; the block's own pull is known better. */
static void store_block(tile *t)
{
    const size_t n = t->n;
    bool any = false;
    for (size_t i = 0; i < t->columns * TILE && !any; i++) any = t->moved[i] != 0.0;
    if (!any) return;
    t->changed = true;
    for (size_t i = 0; i < t->columns * TILE; i++) t->moved[i] = -t->moved[i];
    mc_gemm_f64(TILE, n, t->columns, t->moved, TILE, 1, t->by->gram + t->from * n, n, 0, 1.0,
                t->pull, n);
    for (size_t c = 0; c < t->columns; c++)
        for (size_t r = 0; r < t->rows; r++) t->pull[r * n + t->from + c] = t->r[c * TILE + r];
}

/* y += a x over the rows of a tile */
static void add_scaled(double *restrict y, const double *restrict x, double a)
{
    for (size_t i = 0; i < TILE; i++) y[i] += a * x[i];
}

static void add_product(double *restrict sum, const double *restrict x, const double *restrict y)
{
    for (size_t i = 0; i < TILE; i++) sum[i] += x[i] * y[i];
}

/* ---- codes ---- */

/* The codes of the values nearest to v + r / H, where those are nearer than v is; by how much the
 * values change goes to step[TILE]. False when none does. */
static bool choose_codes(const tile *t, size_t c, double *step)
{
    const mc_grid *grid = &t->q->grid;
    const size_t column = t->from + c, group = column / t->group;
    const double *v = t->v + c * TILE, *r = t->r + c * TILE, h = within(t, c, c);
    bool any = false;
    for (size_t i = 0; i < t->rows; i++) {
        const double want = v[i] + r[i] / h;
        const float x = within_reach(want);
        const mc_params p = *params_at(t, i, group);
        uint8_t code;
        mc_grid_encode(grid, p, &x, 1, &code);
        const double value = (double)mc_grid_value(grid, p, code);
        const bool nearer = fabs(want - value) < fabs(want - v[i]);
        step[i] = nearer ? value - v[i] : 0.0;
        if (!nearer) continue;
        *code_at(t, i, column) = code;
        any = true;
    }
    return any;
}

static void descend_column(tile *t, size_t c)
{
    if (is_dead(t, t->from + c)) return;
    double step[TILE] = {0};
    if (!choose_codes(t, c, step)) return;
    add_scaled(t->v + c * TILE, step, 1.0);
    add_scaled(t->moved + c * TILE, step, 1.0);
    for (size_t i = 0; i < t->columns; i++) add_scaled(t->r + i * TILE, step, -within(t, i, c));
}

/* ---- the numbers of a group ---- */

/* What a row would change to. */
typedef struct {
    mc_params p;
    mc_sub sub;
    bool wished;
} proposal;

static proposal propose(const tile *t, size_t r, size_t group, const mc_wish_sums *sums)
{
    const mc_qmat *q = t->q;
    const size_t row = t->first + r, at = row * t->groups + group;
    proposal new = {.p = q->params[at], .sub = q->sub ? q->sub[at] : (mc_sub){0}};
    const mc_super super =
        q->super ? q->super[row * mc_qmat_supers(q) + group / q->grid.super] : (mc_super){0};
    new.wished = mc_wish(&q->grid, sums, super, &new.p, &new.sub);
    return new;
}

static void accept(const tile *t, size_t r, size_t group, const proposal *new)
{
    *params_at(t, r, group) = new->p;
    if (t->q->sub) t->q->sub[(t->first + r) * t->groups + group] = new->sub;
}

/* What the value at `column` gains with the scale; one that does not count, nothing. */
static double slope_of(const tile *t, size_t r, size_t column)
{
    if (is_dead(t, column)) return 0.0;
    return (double)mc_wish_slope(&t->q->grid, *params_at(t, r, column / t->group),
                                 *code_at(t, r, column));
}

/* By how much the value at `column` would change. */
static double step_of(const tile *t, size_t r, size_t column, const proposal *new)
{
    if (!new->wished || is_dead(t, column)) return 0.0;
    const mc_grid *grid = &t->q->grid;
    const uint8_t code = *code_at(t, r, column);
    return (double)mc_grid_value(grid, new->p, code) -
           (double)mc_grid_value(grid, *params_at(t, r, column / t->group), code);
}

/* ---- of a group within the block: columns c0 .. c1 - 1 of it ---- */

/* out[i] = sum over the group of H[i][j] x[j] for columns i0 .. i1 - 1 of the block. */
static void times_group(const tile *t, const double *x, size_t c0, size_t c1, double *out,
                        size_t i0, size_t i1)
{
    mc_gemm_f64(i1 - i0, TILE, c1 - c0, t->h + i0 * t->columns + c0, t->columns, 0, x + c0 * TILE,
                TILE, 0, 0.0, out + i0 * TILE, TILE);
}

typedef struct {
    double yy[TILE], y1[TILE], yr[TILE], r1[TILE];
    double one;
} tile_sums;

static void sum_group(const tile *t, size_t c0, size_t c1, tile_sums *sums)
{
    double *y = t->room, *hy = t->room + BLOCK * TILE;
    memset(sums, 0, sizeof *sums);
    for (size_t c = c0; c < c1; c++)
        for (size_t r = 0; r < t->rows; r++) y[c * TILE + r] = slope_of(t, r, t->from + c);
    times_group(t, y, c0, c1, hy, c0, c1);
    for (size_t c = c0; c < c1; c++) {
        if (is_dead(t, t->from + c)) continue;
        add_product(sums->yy, y + c * TILE, hy + c * TILE);
        add_scaled(sums->y1, hy + c * TILE, 1.0);
        add_product(sums->yr, y + c * TILE, t->r + c * TILE);
        add_scaled(sums->r1, t->r + c * TILE, 1.0);
        for (size_t j = c0; j < c1; j++)
            sums->one += is_dead(t, t->from + j) ? 0.0 : within(t, c, j);
    }
}

/* Every row's numbers move where that lowers the error: by 2 step r^T - step H step^T. */
static void descend_group(tile *t, size_t c0, size_t c1)
{
    double *step = t->room, *change = t->room + BLOCK * TILE, gain[TILE] = {0};
    const size_t group = (t->from + c0) / t->group;
    proposal new[TILE];
    tile_sums sums;
    sum_group(t, c0, c1, &sums);
    for (size_t r = 0; r < t->rows; r++) {
        const mc_wish_sums own = {sums.yy[r], sums.y1[r], sums.one, sums.yr[r], sums.r1[r]};
        new[r] = propose(t, r, group, &own);
        for (size_t c = c0; c < c1; c++) step[c * TILE + r] = step_of(t, r, t->from + c, &new[r]);
    }
    times_group(t, step, c0, c1, change, 0, t->columns);
    for (size_t c = c0; c < c1; c++) {
        for (size_t r = 0; r < TILE; r++)
            gain[r] += step[c * TILE + r] * (2.0 * t->r[c * TILE + r] - change[c * TILE + r]);
    }
    for (size_t r = 0; r < t->rows; r++) {
        if (!(gain[r] > 0.0)) continue;
        accept(t, r, group, &new[r]);
        for (size_t c = 0; c < t->columns; c++) t->r[c * TILE + r] -= change[c * TILE + r];
        for (size_t c = c0; c < c1; c++) {
            t->v[c * TILE + r] += step[c * TILE + r];
            t->moved[c * TILE + r] += step[c * TILE + r];
        }
    }
}

/* ---- of a group longer than a block ---- */

static mc_wish_sums sum_wide(const tile *t, size_t r, size_t c0, size_t c1)
{
    mc_wish_sums sums = {0};
    const double *y = t->off + r * t->n, *hy = t->wide + r * t->n, *pull = t->pull + r * t->n;
    for (size_t c = c0; c < c1; c++) {
        if (is_dead(t, c)) continue;
        sums.yy += y[c] * hy[c];
        sums.y1 += hy[c];
        sums.yr += y[c] * pull[c];
        sums.r1 += pull[c];
    }
    return sums;
}

static double sum_of_measure(const tile *t, size_t c0, size_t c1)
{
    double one = 0.0;
    for (size_t i = c0; i < c1; i++) {
        if (is_dead(t, i)) continue;
        for (size_t j = c0; j < c1; j++) one += is_dead(t, j) ? 0.0 : t->by->gram[i * t->n + j];
        one += added(t, i);
    }
    return one;
}

static void move_wide(tile *t, size_t r, size_t group, const proposal *new)
{
    const size_t n = t->n, c0 = group * t->group;
    double *pull = t->pull + r * n, *step = t->off + r * n, *change = t->wide + r * n;
    double gain = 0.0;
    for (size_t c = c0; c < c0 + t->group; c++) gain += step[c] * (2.0 * pull[c] - change[c]);
    if (!(gain > 0.0)) return;
    accept(t, r, group, new);
    for (size_t c = 0; c < n; c++) pull[c] -= change[c];
    t->changed = true;
}

static void descend_wide(tile *t, size_t group)
{
    const size_t n = t->n, c0 = group * t->group, c1 = c0 + t->group;
    const double one = sum_of_measure(t, c0, c1);
    proposal new[TILE];
    for (size_t r = 0; r < t->rows; r++)
        for (size_t c = c0; c < c1; c++) t->off[r * n + c] = slope_of(t, r, c);
    times_rows(t, t->off, c0, t->group, 0.0, t->wide);
    for (size_t r = 0; r < t->rows; r++) {
        mc_wish_sums sums = sum_wide(t, r, c0, c1);
        sums.one = one;
        new[r] = propose(t, r, group, &sums);
        for (size_t c = c0; c < c1; c++) t->off[r * n + c] = step_of(t, r, c, &new[r]);
    }
    times_rows(t, t->off, c0, t->group, 0.0, t->wide);
    for (size_t r = 0; r < t->rows; r++)
        if (new[r].wished) move_wide(t, r, group, &new[r]);
}

/* ---- rounds ---- */

static void one_round(tile *t)
{
    const bool whole = t->group <= BLOCK;
    const size_t length = whole ? BLOCK / t->group * t->group : BLOCK;
    for (size_t g = 0; !whole && g < t->groups; g++) descend_wide(t, g);
    for (size_t from = 0; from < t->n; from += length) {
        load_block(t, from, t->n - from < length ? t->n : from + length);
        for (size_t c = 0; c < t->columns; c++) {
            if (whole && c % t->group == 0) descend_group(t, c, c + t->group);
            descend_column(t, c);
        }
        store_block(t);
    }
}

/* Dead columns take the values nearest to what they should be, under the scales there are now. */
static void encode_dead(const tile *t)
{
    for (size_t c = 0; c < t->n; c++)
        for (size_t r = 0; is_dead(t, c) && r < t->rows; r++)
            mc_grid_encode(&t->q->grid, *params_at(t, r, c / t->group), t->aim + r * t->n + c, 1,
                           code_at(t, r, c));
}

mc_status mc_descend(const mc_descent *descent, mc_descent_rows rows, mc_arena scratch, mc_err *err)
{
    mc_qmat *q = rows.q;
    tile t = {.by = descent, .q = q, .n = q->cols, .group = q->group, .groups = mc_qmat_groups(q)};
    MC_TRY(open_tile(&t, &scratch, err));
    for (size_t row = 0; row < rows.rows; row += TILE) {
        t.first = rows.first + row;
        t.rows = rows.rows - row < TILE ? rows.rows - row : TILE;
        t.aim = rows.aim + row * t.n;
        begin(&t);
        t.changed = true;
        for (unsigned i = 0; i < descent->rounds && t.changed; i++) {
            t.changed = false;
            one_round(&t);
        }
        if (rows.loss) tell_loss(&t, rows.loss + row);
        encode_dead(&t);
    }
    return MC_OK;
}
