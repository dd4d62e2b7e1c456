/* Two-level scales: the groups of a row share super-scales, each keeps small integers.
 *
 * A plain fit says what every group would like. The super-scale is the largest of these wishes over
 * the largest sub-scale; the search then tries neighbours of every sub-scale, and lets least
 * squares place the super-scale anew under the codes that came out. */
#include "core/grid_parts.h"
#include "core/kernels.h"

#include <math.h>

/* The groups under one super-scale. */
typedef struct {
    const mc_fit_row *row;
    mc_fit_row plain; /* these groups alone, with F32 scales of their own */
    size_t groups;
    mc_params *out;
    mc_sub *sub;
    mc_super *super;
    float unit; /* of the weights, the same for all groups; 0 when they are all zero */
    float importance_unit;
} block;

typedef struct {
    float least, most;
} range;

static range range_of(const block *b, size_t g)
{
    range r;
    const size_t n = b->plain.group;
    mc_kernels_best()->minmax(b->plain.w + g * n, 1, n, &r.least, &r.most);
    return r;
}

static float sub_most(const mc_grid *grid)
{
    return (float)((1u << grid->sub_bits) - 1);
}

static uint8_t nearest_sub(const mc_grid *grid, float wanted, float unit, float least)
{
    return (uint8_t)fminf(fmaxf(rintf(wanted / unit), least), sub_most(grid));
}

/* The group's offset becomes `offset`, and its scale reaches from there to where its levels reached
 * before, though not beyond the weights. */
static void move_offset(const block *b, size_t g, float offset)
{
    const mc_grid *grid = b->row->grid;
    const float *t = grid->levels->value;
    const float low = t ? t[0] : 0.0f;
    const float high = t ? t[grid->levels->count - 1] : (float)(mc_grid_codes(grid) - 1);
    const range r = range_of(b, g);
    mc_params *p = &b->out[g];
    const float top = fminf(p->scale * high + p->offset, r.most);
    const float bottom = fmaxf(p->scale * low + p->offset, r.least);
    const float down = low < 0.0f ? (bottom - offset) / low : 0.0f;
    p->scale = fmaxf(fmaxf((top - offset) / high, down), 0.0f);
    p->offset = offset;
}

/* M takes the sign that serves the larger squares; offsets of the other sign become 0. */
static mc_status fit_offsets(const block *b, mc_err *err)
{
    const mc_grid *grid = b->row->grid;
    double square[2] = {0.0, 0.0};
    float most[2] = {0.0f, 0.0f};
    for (size_t g = 0; g < b->groups; g++) {
        const float offset = b->out[g].offset;
        const int negative = offset < 0.0f;
        square[negative] += (double)offset * (double)offset;
        most[negative] = fmaxf(most[negative], fabsf(offset));
    }
    const int negative = square[1] > square[0];
    const float wanted = (negative ? -most[1] : most[0]) / sub_most(grid);
    MC_TRY(mc_grid_store_offset(grid, wanted, &b->super->offset, err));

    const float unit = b->super->offset;
    for (size_t g = 0; g < b->groups; g++) {
        const uint8_t j = unit != 0.0f ? nearest_sub(grid, b->out[g].offset, unit, 0.0f) : 0;
        b->sub[g].offset = j;
        move_offset(b, g, unit * (float)j);
    }
    return MC_OK;
}

static bool all_zero(const block *b, size_t g)
{
    const range r = range_of(b, g);
    return !(r.most > 0.0f) && !(r.least < 0.0f);
}

/* Groups of zeros have no wish. */
static float largest_scale(const block *b)
{
    float largest = 0.0f;
    for (size_t g = 0; g < b->groups; g++) {
        if (all_zero(b, g)) b->out[g].scale = 0.0f;
        largest = fmaxf(largest, b->out[g].scale);
    }
    return largest;
}

/* The zero that keeps the lower end of the range when the scale changes. */
static uint8_t moved_zero(const mc_grid *grid, uint8_t zero, float from, float to)
{
    return mc_grid_zero(grid, -(float)zero * from, to);
}

static void take_sub_scale(const block *b, size_t g, float wanted)
{
    const mc_grid *grid = b->row->grid;
    mc_params *p = &b->out[g];
    b->sub[g].scale = nearest_sub(grid, wanted, b->super->scale, 1.0f);
    p->scale = b->super->scale * (float)b->sub[g].scale;
}

/* Super-scale and sub-scales from the scales (and offsets) that a plain fit left in out[]. A
 * sub-scale is at least 1, so that no group has the scale 0. */
static mc_status derive(const block *b, mc_err *err)
{
    const mc_grid *grid = b->row->grid;
    *b->super = (mc_super){0};
    for (size_t g = 0; g < b->groups; g++) b->sub[g] = (mc_sub){0};
    if (grid->offset == MC_OFFSET_FREE) MC_TRY(fit_offsets(b, err));
    const float largest = largest_scale(b);
    const float wanted = largest > 0.0f ? largest / sub_most(grid) : mc_grid_idle_scale(grid);
    MC_TRY(mc_grid_store_scale(grid, wanted, &b->super->scale, err));
    for (size_t g = 0; g < b->groups; g++) {
        const float wish = b->out[g].scale;
        take_sub_scale(b, g, wish);
        if (grid->offset == MC_OFFSET_ZERO && wish > 0.0f)
            b->out[g].zero = moved_zero(grid, b->out[g].zero, wish, b->out[g].scale);
    }
    return MC_OK;
}

static mc_status fit_range(const block *b, mc_err *err)
{
    MC_TRY(mc_grid_fit_range(&b->plain, b->out, err));
    MC_TRY(derive(b, err));
    if (b->row->grid->offset != MC_OFFSET_ZERO) return MC_OK;

    for (size_t g = 0; g < b->groups; g++) {
        const float least = fminf(range_of(b, g).least, 0.0f);
        b->out[g].zero = mc_grid_zero(b->row->grid, least, b->out[g].scale);
    }
    return MC_OK;
}

/* ---- searching ---- */

typedef struct {
    mc_params p;
    mc_sub sub;
} choice;

/* Neighbour `c` of what group g has now: of a symmetric grid 15 sub-scales, else 5 of them with 3
 * zeros or sub-offsets each. The middle one is g's own. */
static choice neighbour(const block *b, size_t g, unsigned c)
{
    const mc_grid *grid = b->row->grid;
    const mc_offset offset = grid->offset;
    const int around = offset == MC_OFFSET_NONE ? (int)c - 7 : (int)(c % 5) - 2;
    const int beside = offset == MC_OFFSET_NONE ? 0 : (int)(c / 5) - 1;
    choice n = {.p = b->out[g], .sub = b->sub[g]};

    const float k = fminf(fmaxf((float)((int)n.sub.scale + around), 1.0f), sub_most(grid));
    n.sub.scale = (uint8_t)k;
    n.p.scale = b->super->scale * k;
    if (offset == MC_OFFSET_ZERO) {
        const int zero = moved_zero(grid, n.p.zero, b->out[g].scale, n.p.scale) + beside;
        const int last = (int)mc_grid_codes(grid) - 1;
        n.p.zero = (uint8_t)(zero < 0 ? 0 : zero > last ? last : zero);
    } else if (offset == MC_OFFSET_FREE) {
        const float j = fminf(fmaxf((float)((int)n.sub.offset + beside), 0.0f), sub_most(grid));
        n.sub.offset = (uint8_t)j;
        n.p.offset = b->super->offset * j;
    }
    return n;
}

enum { NEIGHBOURS = 15, OWN = 7 };

/* Groups measure importance in units of their own; sums over groups undo that. */
static double importance_unit(const block *b, const mc_fit_group *group)
{
    return (double)b->importance_unit / (double)group->scan.importance_unit;
}

static void open_units(block *b)
{
    const size_t n = b->groups * b->plain.group;
    float most = 0.0f;
    mc_kernels_best()->absmax(b->plain.w, 1, n, &most);
    b->unit = most > 0.0f ? mc_fit_unit(most) : 0.0f;
    b->importance_unit = 1.0f;
    if (!b->plain.importance) return;
    mc_kernels_best()->absmax(b->plain.importance, 1, n, &most);
    b->importance_unit = mc_fit_unit(most);
}

static double error_of(const block *b)
{
    double total = 0.0;
    for (size_t g = 0; g < b->groups; g++) total += mc_fit_exact_error(&b->plain, g, b->out[g]);
    return total;
}

/* Each group moves to its best neighbour, or stays. */
static void choose_subs(const block *b, mc_fit_group *group)
{
    for (size_t g = 0; g < b->groups; g++) {
        if (!mc_fit_group_open(group, &b->plain, g, b->unit, 0.0f)) continue;
        mc_lanes lanes;
        for (unsigned c = 0; c < MC_LANES; c++)
            mc_fit_lane(group, neighbour(b, g, c < NEIGHBOURS ? c : OWN).p, &lanes, c);
        mc_errors errors;
        mc_kernels_best()->errors(&group->scan, &lanes, group->norm, &errors);
        unsigned best = OWN;
        for (unsigned c = 0; c < NEIGHBOURS; c++)
            if (errors.sum[c] < errors.sum[best]) best = c;
        const choice n = neighbour(b, g, best);
        b->out[g] = n.p;
        b->sub[g] = n.sub;
    }
}

/* Sums of the squared error as a function of S and M while all codes stay:
 * ss S^2 + 2 sm S M + mm M^2 - 2 (s S + m M) + what no choice changes. */
typedef struct {
    double ss, sm, mm, s, m;
} quadratic;

static double at(const quadratic *e, double s, double m)
{
    return e->ss * s * s + 2.0 * e->sm * s * m + e->mm * m * m - 2.0 * (e->s * s + e->m * m);
}

static quadratic measure(const block *b, mc_fit_group *group)
{
    quadratic e = {0};
    for (size_t g = 0; g < b->groups; g++) {
        if (!mc_fit_group_open(group, &b->plain, g, b->unit, 0.0f)) continue;
        mc_lanes lanes;
        for (unsigned c = 0; c < MC_LANES; c++) mc_fit_lane(group, b->out[g], &lanes, c);
        mc_lane_sums sums;
        mc_kernels_best()->moments(&group->scan, &lanes, &sums);
        double weight;
        double x;
        mc_fit_totals(group, &weight, &x);

        const double k = (double)b->sub[g].scale;
        const double j = (double)b->sub[g].offset;
        const double unit = importance_unit(b, group);
        e.ss += unit * k * k * sums.qq[0];
        e.sm += unit * k * j * sums.q[0];
        e.mm += unit * j * j * weight;
        e.s += unit * k * (sums.dq[0] + (double)lanes.offset[0] * sums.q[0]);
        e.m += unit * j * x;
    }
    return e;
}

/* Least squares for S and M under the codes that the block has now; taken when it helps as stored.
 * False when nothing moved. */
static bool refit_super(const block *b, mc_fit_group *group)
{
    const mc_grid *grid = b->row->grid;
    const quadratic e = measure(b, group);
    const double unit = (double)b->unit;
    const double det = e.ss * e.mm - e.sm * e.sm;
    const bool both = grid->offset == MC_OFFSET_FREE && det > 1e-9 * e.ss * e.mm;
    const double s = both ? (e.s * e.mm - e.m * e.sm) / det : e.s / e.ss;
    const double m = both ? (e.m * e.ss - e.s * e.sm) / det : (double)b->super->offset * unit;

    mc_super moved = *b->super;
    mc_err refused;
    if (!(s > 0.0)) return false;
    if (mc_grid_store_scale(grid, (float)(s / unit), &moved.scale, &refused) != MC_OK) return false;
    if (both && mc_grid_store_offset(grid, (float)(m / unit), &moved.offset, &refused) != MC_OK)
        return false;

    const double before = at(&e, (double)b->super->scale * unit, (double)b->super->offset * unit);
    const double after = at(&e, (double)moved.scale * unit, (double)moved.offset * unit);
    if (!(after < before)) return false;
    *b->super = moved;
    for (size_t g = 0; g < b->groups; g++) {
        b->out[g].scale = moved.scale * (float)b->sub[g].scale;
        b->out[g].offset = moved.offset * (float)b->sub[g].offset;
    }
    return true;
}

static mc_status fit_search(block *b, mc_err *err)
{
    enum { ROUNDS = 2 };
    mc_fit_group group;
    MC_TRY(fit_range(b, err));
    open_units(b);
    if (!(b->unit > 0.0f)) return MC_OK; /* zeros alone */
    const double by_range = error_of(b);

    MC_TRY(mc_grid_fit_range(&b->plain, b->out, err));
    mc_grid_fit_search(&b->plain, b->out);
    MC_TRY(derive(b, err));
    choose_subs(b, &group);
    for (int i = 0; i < ROUNDS && b->row->fit.norm == 2.0f; i++) {
        if (!refit_super(b, &group)) break;
        choose_subs(b, &group);
    }
    return error_of(b) < by_range ? MC_OK : fit_range(b, err);
}

static mc_grid plain_of(const mc_grid *grid)
{
    mc_grid plain = *grid;
    plain.scale_dtype = MC_F32;
    plain.sub_bits = 0;
    plain.super = 0;
    plain.negative_scale = false;
    return plain;
}

mc_status mc_grid_fit_two_level(const mc_fit_row *row, mc_params *out, mc_sub *sub, mc_super *super,
                                mc_err *err)
{
    const mc_grid plain = plain_of(row->grid);
    const size_t step = row->grid->super;
    for (size_t at_group = 0; at_group < row->groups; at_group += step) {
        const size_t left = row->groups - at_group;
        block b = {.row = row,
                   .plain = *row,
                   .groups = left < step ? left : step,
                   .out = out + at_group,
                   .sub = sub + at_group,
                   .super = super + at_group / step};
        b.plain.grid = &plain;
        b.plain.groups = b.groups;
        b.plain.w += at_group * row->group;
        if (row->importance) b.plain.importance += at_group * row->group;
        MC_TRY(row->fit.kind == MC_FIT_SEARCH ? fit_search(&b, err) : fit_range(&b, err));
    }
    return MC_OK;
}

/* ---- one group under a super-scale that stays ---- */

/* What a plain fit wishes for, as near as the super-scale allows. */
static choice wished(block *b)
{
    const mc_grid *grid = b->row->grid;
    const float wish = b->out->scale;
    if (grid->offset == MC_OFFSET_FREE) {
        const float unit = b->super->offset;
        b->sub->offset = unit != 0.0f ? nearest_sub(grid, b->out->offset, unit, 0.0f) : 0;
        move_offset(b, 0, unit * (float)b->sub->offset);
        take_sub_scale(b, 0, b->out->scale);
    } else {
        take_sub_scale(b, 0, wish);
        if (grid->offset == MC_OFFSET_ZERO)
            b->out->zero = moved_zero(grid, b->out->zero, wish, b->out->scale);
    }
    return (choice){*b->out, *b->sub};
}

mc_status mc_grid_refit_sub(const mc_grid *grid, mc_fit fit, mc_grid_group w, mc_super super,
                            mc_params *p, mc_sub *sub, mc_err *err)
{
    const mc_grid plain = plain_of(grid);
    const mc_fit_row row = {grid, fit, w.w, w.importance, 1, w.n};
    choice now = {*p, *sub};
    block b = {.row = &row, .plain = row, .groups = 1, .out = &now.p, .sub = &now.sub};
    b.plain.grid = &plain;
    b.super = &super;
    open_units(&b);
    if (!(b.unit > 0.0f)) return MC_OK; /* zeros are met by any scale */

    mc_fit_group group;
    double least = mc_fit_exact_error(&b.plain, 0, *p);
    for (int from_wish = 0; from_wish < 2; from_wish++) {
        if (from_wish) {
            MC_TRY(mc_grid_fit_range(&b.plain, &now.p, err));
            if (fit.kind == MC_FIT_SEARCH) mc_grid_fit_search(&b.plain, &now.p);
            now = wished(&b);
        }
        choose_subs(&b, &group);
        const double error = mc_fit_exact_error(&b.plain, 0, now.p);
        if (!(error < least)) continue;
        least = error;
        *p = now.p;
        *sub = now.sub;
    }
    return MC_OK;
}
