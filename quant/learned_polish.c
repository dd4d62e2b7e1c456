/* The last touch of learned rounding, coordinate descent on d (G + damp) d^T: codes move one level
 * at a time, column after column; then scales, offsets and zeros of groups, each to where the
 * objective is least with the codes as they are, as it is stored; and again while anything gains.
 * The slope d G is kept up to date, so that only moves cost anything. */
#include "quant/learned_shared.h"

#include <math.h>
#include <string.h>

enum {
    MOST_PASSES = 100, /* over the columns; a handful is usual */
    MOST_ROUNDS = 8,   /* over columns, then groups */
};

typedef struct {
    const mc_learned_rows *rows;
    const mc_grid *grid;
    const double *gram;
    double damp;
    size_t n, group;
    uint8_t *code;
    mc_params *params;
    double *off, *slope; /* n */
    double *move;        /* group: what its values change by */
    double *change;      /* n: move G */
} polished;

/* More than rounding could feign; NaN is no gain. `linear` and `bent` add up to the change. */
static bool is_gain(double linear, double bent)
{
    return linear + bent < -1e-12 * (fabs(linear) + fabs(bent));
}

/* ---- codes ---- */

static bool step_to(const polished *p, size_t j, unsigned code)
{
    const mc_params params = p->params[j / p->group];
    const double from = (double)mc_grid_value(p->grid, params, p->code[j]);
    const double move = (double)mc_grid_value(p->grid, params, code) - from;
    const double *gram = p->gram + j * p->n;
    const double linear = 2.0 * move * (p->slope[j] + p->damp * p->off[j]);
    if (!is_gain(linear, move * move * (gram[j] + p->damp))) return false;
    for (size_t i = 0; i < p->n; i++) p->slope[i] += move * gram[i];
    p->off[j] += move;
    p->code[j] = (uint8_t)code;
    return true;
}

/* One column, up or down as far as it gains. */
static bool polish_column(const polished *p, size_t j)
{
    const unsigned first = mc_grid_first(p->grid), last = mc_grid_codes(p->grid) - 1;
    bool moved = false;
    while (p->code[j] < last && step_to(p, j, p->code[j] + 1u)) moved = true;
    if (moved) return true;
    while (p->code[j] > first && step_to(p, j, p->code[j] - 1u)) moved = true;
    return moved;
}

static bool polish_codes(const polished *p)
{
    bool any = false, moved = true;
    for (int pass = 0; pass < MOST_PASSES && moved; pass++) {
        moved = false;
        for (size_t j = 0; j < p->n; j++) moved |= polish_column(p, j);
        any |= moved;
    }
    return any;
}

/* ---- numbers of groups ---- */

/* The group's values with other numbers, taken when they gain. */
static bool try_params(const polished *p, size_t g, mc_params to)
{
    const size_t at = g * p->group;
    memset(p->change, 0, p->n * sizeof *p->change);
    for (size_t i = 0; i < p->group; i++) {
        const unsigned code = p->code[at + i];
        p->move[i] = (double)mc_grid_value(p->grid, to, code) -
                     (double)mc_grid_value(p->grid, p->params[g], code);
        const double *gram = p->gram + (at + i) * p->n;
        for (size_t j = 0; j < p->n; j++) p->change[j] += p->move[i] * gram[j];
    }
    double linear = 0.0, bent = 0.0;
    for (size_t i = 0; i < p->group; i++) {
        linear += 2.0 * p->move[i] * (p->slope[at + i] + p->damp * p->off[at + i]);
        bent += p->move[i] * (p->change[at + i] + p->damp * p->move[i]);
    }
    if (!is_gain(linear, bent)) return false;
    for (size_t j = 0; j < p->n; j++) p->slope[j] += p->change[j];
    for (size_t i = 0; i < p->group; i++) p->off[at + i] += p->move[i];
    p->params[g] = to;
    return true;
}

/* How far along `direction` (the group's move[]) the objective is least; 0 when it knows none. */
static double best_along(const polished *p, size_t g)
{
    const size_t at = g * p->group;
    double linear = 0.0, curve = 0.0;
    for (size_t i = 0; i < p->group; i++) {
        const double *gram = p->gram + (at + i) * p->n + at;
        double sum = p->damp * p->move[i];
        for (size_t j = 0; j < p->group; j++) sum += p->move[j] * gram[j];
        curve += p->move[i] * sum;
        linear += p->move[i] * (p->slope[at + i] + p->damp * p->off[at + i]);
    }
    return curve > 0.0 ? -linear / curve : 0.0;
}

static bool polish_scale(const polished *p, size_t g)
{
    const mc_params unit = {.scale = 1.0f, .zero = p->params[g].zero};
    for (size_t i = 0; i < p->group; i++)
        p->move[i] = (double)mc_grid_value(p->grid, unit, p->code[g * p->group + i]);
    mc_params to = p->params[g];
    mc_err ignored = {0};
    const float wanted = (float)((double)to.scale + best_along(p, g));
    if (!isfinite(wanted) || !(wanted * to.scale > 0.0f)) return false; /* it keeps its sign */
    if (mc_grid_store_scale(p->grid, wanted, &to.scale, &ignored) != MC_OK) return false;
    return to.scale != p->params[g].scale && try_params(p, g, to);
}

static bool polish_offset(const polished *p, size_t g)
{
    mc_params to = p->params[g];
    mc_err ignored = {0};
    for (size_t i = 0; i < p->group; i++) p->move[i] = 1.0;
    const float wanted = (float)((double)to.offset + best_along(p, g));
    if (mc_grid_store_offset(p->grid, wanted, &to.offset, &ignored) != MC_OK) return false;
    return to.offset != p->params[g].offset && try_params(p, g, to);
}

static bool polish_zero(const polished *p, size_t g)
{
    mc_params up = p->params[g], down = p->params[g];
    up.zero++;
    down.zero--;
    if (p->params[g].zero < mc_grid_codes(p->grid) - 1 && try_params(p, g, up)) return true;
    return p->params[g].zero > 0 && try_params(p, g, down);
}

static bool polish_groups(const polished *p)
{
    bool moved = false;
    for (size_t g = 0; g < p->rows->groups; g++) {
        moved |= polish_scale(p, g);
        if (p->grid->offset == MC_OFFSET_FREE) moved |= polish_offset(p, g);
        if (p->grid->offset == MC_OFFSET_ZERO) moved |= polish_zero(p, g);
    }
    return moved;
}

void mc_learned_polish(const mc_learned_rows *rows, size_t row, uint8_t *code, mc_params *params)
{
    const size_t n = rows->n;
    const polished p = {
        .rows = rows,
        .grid = &rows->out.grid,
        .gram = rows->gram,
        .damp = rows->learned->damp,
        .n = n,
        .group = rows->out.group,
        .code = code,
        .params = params,
        .off = rows->off + row * n,
        .slope = rows->slope + row * n,
        .move = rows->room,
        .change = rows->room + rows->out.group,
    };
    polish_codes(&p);
    for (int round = 0; round < MOST_ROUNDS && rows->learned->scales; round++)
        if (!polish_groups(&p) || !polish_codes(&p)) break;
    mc_learned_score_row(rows, row);
}
