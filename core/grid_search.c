/* Fitting by search: the scale (and zero or offset) of least error for each group.
 *
 * MC_LANES grids are tried in one pass over the weights. For squared errors a trial is but a way
 * to find codes: least squares then gives the best scale (and free offset) for these codes,
 *     s* = sum i w q / sum i q^2,   and with an offset the regression of w on q,
 * and it is s*, rounded as it will be stored, whose error counts. Other norms, and dtypes with few
 * scales, are tried as they are. Passes go from wide to narrow around the best trial so far. The
 * last lane of the first pass is the range fit, which stays unless it is beaten. */
#include "core/grid_parts.h"

#include <math.h>

enum {
    SMALL = 128,    /* weights; in larger groups outliers may own the range */
    BOTH_SIDES = 3, /* bits; with more, the level that one side has more goes to the longer side */
    RANGE = MC_LANES - 1, /* the lane of the range fit */
};

/* A wider grid than the range asks for can be better: it may put levels where the weights are. */
static const float most_share = 1.12f;

typedef struct {
    float down[MC_LANES], up[MC_LANES]; /* shares of the weights' range at both ends */
    float zero[MC_LANES];
    mc_lanes lanes;
} trial;

typedef struct {
    double error;
    float down, up, step, offset, zero;
} finding;

typedef struct {
    mc_fit_group group;
    float least, most;    /* of x; symmetric: 0 and the largest magnitude */
    float span, last;     /* steps over the range; the largest code */
    float first;          /* the smallest code */
    float first_level;    /* of the levels, as steps from the offset */
    float middle;         /* the zero of symmetric integers */
    float per_step;       /* 1 / span */
    float least_share;    /* of the range that the best grid may keep */
    bool may_mirror;      /* the scale may be negative, and that makes a difference */
    bool mirrored;        /* it is, in this group */
    bool direct;          /* trials are weighed as they are */
    double importance, x; /* totals, for free offsets */
    mc_params range;
    double range_error; /* negative: not known yet */
    trial now;
    finding best;
} search;

/* ---- from shares of the range to grids ---- */

/* Steps to what the dtype stores, but never 0 and never beyond its range. */
static void round_steps(const search *s, float *step)
{
    const mc_scan *scan = &s->group.scan;
    const float back = 1.0f / scan->unit;
    float stored[MC_LANES];
    for (unsigned c = 0; c < MC_LANES; c++) stored[c] = step[c] * back;
    mc_grid_round_scales(s->group.grid, stored, MC_LANES);
    for (unsigned c = 0; c < MC_LANES; c++) {
        float size = fabsf(stored[c]);
        size = size > scan->least ? size : scan->least;
        size = size < scan->most ? size : scan->most;
        step[c] = (step[c] < 0.0f ? -size : size) * scan->unit;
    }
}

static void round_offsets(const search *s, float *offset)
{
    const mc_scan *scan = &s->group.scan;
    const float back = 1.0f / scan->unit;
    for (unsigned c = 0; c < MC_LANES; c++) {
        float wanted = (offset[c] + scan->centre) * back;
        wanted = wanted < scan->most ? wanted : scan->most;
        offset[c] = wanted > -scan->most ? wanted : -scan->most;
    }
    mc_round_all_to(scan->dtype, offset, MC_LANES);
    for (unsigned c = 0; c < MC_LANES; c++) offset[c] = offset[c] * scan->unit - scan->centre;
}

/* inverse, low and high follow from step and zero. */
static void complete(const search *s, trial *t)
{
    for (unsigned c = 0; c < MC_LANES; c++) {
        t->lanes.inverse[c] = 1.0f / t->lanes.step[c];
        t->lanes.low[c] = s->first - t->zero[c];
        t->lanes.high[c] = s->last - t->zero[c];
    }
}

/* rint of x clamped to 0..last, without a call: 1.5 * 2^23 leaves no room for fractions. */
static inline float zero_of(float x, float last)
{
    float z = x > 0.0f ? x : 0.0f;
    z = z < last ? z : last;
    return (z + 0x1.8p23f) - 0x1.8p23f;
}

static void place_ends(const search *s, trial *t)
{
    const mc_offset offset = s->group.grid->offset;
    mc_lanes *lanes = &t->lanes;
    float low[MC_LANES];
    for (unsigned c = 0; c < MC_LANES; c++) {
        low[c] = t->down[c] * s->least;
        lanes->step[c] = (t->up[c] * s->most - low[c]) * s->per_step;
        lanes->offset[c] = 0.0f;
        t->zero[c] = s->middle;
    }
    if (s->direct) round_steps(s, lanes->step);
    if (offset == MC_OFFSET_ZERO) {
        for (unsigned c = 0; c < MC_LANES; c++)
            t->zero[c] = zero_of(-low[c] / lanes->step[c], s->last);
    } else if (offset == MC_OFFSET_FREE) {
        for (unsigned c = 0; c < MC_LANES; c++)
            lanes->offset[c] = low[c] - lanes->step[c] * s->first_level;
        if (s->direct) round_offsets(s, lanes->offset);
    }
    complete(s, t);
}

/* ---- trying ---- */

/* d on q with intercept. */
static void regress(search *s, const mc_lane_sums *sums)
{
    float *step = s->now.lanes.step;
    float *offset = s->now.lanes.offset;
    const float per_weight = (float)(1.0 / s->importance);
    const float total_x = (float)s->x;
    const float total = (float)s->importance;
    for (unsigned c = 0; c < RANGE; c++) {
        const float d = total_x - total * offset[c];
        const float q = (float)sums->q[c];
        const float mean_q = q * per_weight;
        const float both = (float)sums->dq[c] - d * mean_q;
        const float slope = both / ((float)sums->qq[c] - q * mean_q);
        const bool useful = slope * step[c] > 0.0f && slope < HUGE_VALF;
        offset[c] = useful ? offset[c] + (d * per_weight - slope * mean_q) : offset[c];
        step[c] = useful ? slope : step[c];
    }
}

static void weigh(search *s, mc_errors *errors)
{
    const mc_kernels *kernels = mc_kernels_best();
    const mc_scan *scan = &s->group.scan;
    mc_lanes *lanes = &s->now.lanes;
    if (s->direct) {
        kernels->errors(scan, lanes, s->group.norm, errors);
    } else if (s->group.grid->offset != MC_OFFSET_FREE) {
        kernels->refine(scan, lanes, errors);
    } else {
        mc_lane_sums sums;
        kernels->moments(scan, lanes, &sums);
        regress(s, &sums);
        round_steps(s, lanes->step);
        round_offsets(s, lanes->offset);
        complete(s, &s->now);
        mc_fit_lane(&s->group, s->range, lanes, RANGE);
        kernels->errors(scan, lanes, s->group.norm, errors);
    }
}

static void try_lanes(search *s)
{
    trial *now = &s->now;
    mc_errors errors;
    mc_fit_lane(&s->group, s->range, &now->lanes, RANGE);
    weigh(s, &errors);
    s->range_error = errors.sum[RANGE];

    unsigned least = 0;
    for (unsigned c = 1; c < RANGE; c++) least = errors.sum[c] < errors.sum[least] ? c : least;
    if (!(errors.sum[least] < s->best.error)) return;
    s->best = (finding){.error = errors.sum[least],
                        .down = now->down[least],
                        .up = now->up[least],
                        .step = now->lanes.step[least],
                        .offset = now->lanes.offset[least],
                        .zero = now->zero[least]};
}

static void try_ends(search *s)
{
    place_ends(s, &s->now);
    try_lanes(s);
}

/* ---- the passes ---- */

/* Shares of the range for one-ended grids, rising from `low` by `step`. */
static void spread(search *s, float low, float step)
{
    for (unsigned c = 0; c < MC_LANES; c++) {
        s->now.up[c] = low + step * (float)c;
        s->now.down[c] = 0.0f;
    }
}

/* Mirrored levels are other ones unless they are symmetric. */
static bool mirrors(const mc_grid *grid)
{
    const mc_levels *levels = grid->levels;
    if (!grid->negative_scale || grid->restricted) return false;
    return !levels->value || levels->value[0] != -levels->value[levels->count - 1];
}

static void search_one_end(search *s)
{
    const unsigned bits = s->group.grid->levels->bits;
    const float step = (most_share - s->least_share) / (float)(RANGE - 1);
    const float side = s->mirrored ? -1.0f : 1.0f;
    spread(s, side * s->least_share, side * step);
    try_ends(s);
    if (s->may_mirror && bits <= BOTH_SIDES) {
        spread(s, -side * s->least_share, -side * step);
        try_ends(s);
    }
    if (!s->direct && s->group.scan.n <= SMALL && bits <= 5) return;

    const float narrow = step / 7.0f;
    spread(s, s->best.up - 7.0f * narrow, narrow);
    try_ends(s);
}

/* Shares of both ends: together, and either alone. */
static void spread_ends(search *s, float step)
{
    for (unsigned c = 0; c < MC_LANES; c++) {
        const float all = s->least_share + step * (float)(c % 8);
        const float some = s->least_share + 2.0f * step * (float)(c % 4);
        s->now.down[c] = c < 8 ? all : c < 12 ? some : 1.0f;
        s->now.up[c] = c < 8 ? all : c < 12 ? 1.0f : some;
    }
}

/* A square around the best ends. */
static void narrow_ends(search *s, float reach)
{
    static const float side[] = {-1.0f, -0.35f, 0.35f, 1.0f};
    const finding best = s->best;
    for (unsigned c = 0; c < MC_LANES; c++) {
        s->now.down[c] = best.down + reach * side[c % 4];
        s->now.up[c] = best.up + reach * side[c / 4];
    }
}

static void search_two_ends(search *s)
{
    float reach = (most_share - s->least_share) / 7.0f;
    spread_ends(s, reach);
    try_ends(s);
    const int passes = s->direct || s->group.scan.n > SMALL ? 3 : 1;
    for (int pass = 0; pass < passes; pass++) {
        narrow_ends(s, reach);
        try_ends(s);
        reach *= 0.4f;
    }
}

static void try_steps(search *s)
{
    for (unsigned c = 0; c < MC_LANES; c++) {
        s->now.lanes.offset[c] = 0.0f;
        s->now.down[c] = s->now.up[c] = 0.0f;
    }
    if (s->direct) round_steps(s, s->now.lanes.step);
    complete(s, &s->now);
    try_lanes(s);
}

/* With two or three bits there are few zeros: each is tried under several widths, then the best
 * and its neighbours under more. */
static void search_every_zero(search *s)
{
    const unsigned zeros = (unsigned)s->last + 1;
    const unsigned widths = MC_LANES / zeros;
    const unsigned passes = zeros > 4 ? 3 : 1;
    const float full = (s->most - s->least) * s->per_step;
    float reach = (most_share - s->least_share) / (float)(widths * passes);
    for (unsigned pass = 0; pass < passes; pass++) {
        for (unsigned c = 0; c < MC_LANES; c++) {
            const float rank = (float)(c / zeros * passes + pass);
            s->now.lanes.step[c] = (s->least_share + reach * (rank + 0.5f)) * full;
            s->now.zero[c] = (float)(c % zeros);
        }
        try_steps(s);
    }
    const int narrower = s->direct || s->group.scan.n > SMALL ? 3 : 1;
    for (int pass = 0; pass < narrower; pass++) {
        const finding best = s->best;
        for (unsigned c = 0; c < MC_LANES; c++) {
            s->now.lanes.step[c] = best.step * (1.0f + 0.3f * reach * (float)((int)(c % 5) - 2));
            s->now.zero[c] = zero_of(best.zero + (float)((int)(c / 5) - 1), s->last);
        }
        try_steps(s);
        reach *= 0.4f;
    }
}

/* ---- one group ---- */

/* How much of the range the best grid may leave out: much with few codes, and much in large groups,
 * where the range belongs to a few outliers. */
static float least_share_of(const mc_grid *grid, size_t n)
{
    static const float small[] = {0.3f, 0.3f, 0.35f, 0.5f, 0.6f, 0.7f, 0.75f, 0.8f, 0.8f};
    static const float large[] = {0.05f, 0.05f, 0.05f, 0.08f, 0.1f, 0.15f, 0.2f, 0.3f, 0.3f};
    return n <= SMALL ? small[grid->levels->bits] : large[grid->levels->bits];
}

static void open_row(search *s, const mc_fit_row *row)
{
    const mc_grid *grid = row->grid;
    const float *t = grid->levels->value;
    s->span = mc_grid_span(grid);
    s->per_step = 1.0f / s->span;
    s->first = (float)mc_grid_first(grid);
    s->last = (float)(mc_grid_codes(grid) - 1);
    s->first_level = t ? t[0] : 0.0f;
    s->middle = t || grid->offset == MC_OFFSET_FREE ? 0.0f : 0.5f * (s->last + 1.0f);
    s->least_share = least_share_of(grid, row->group);
    s->may_mirror = mirrors(grid);
    s->direct =
        row->fit.norm != 2.0f || grid->scale_dtype == MC_F8_E8M0 || grid->scale_dtype == MC_F8_E4M3;
}

/* False when there is nothing to gain: no width, or one that drowns in the offset's rounding. */
static bool open_group(search *s, const mc_fit_row *row, size_t g, mc_params range)
{
    const mc_grid *grid = row->grid;
    const float *w = row->w + g * row->group;
    float low = 0.0f;
    float high;
    if (grid->offset == MC_OFFSET_NONE && !s->may_mirror)
        mc_kernels_best()->absmax(w, 1, row->group, &high);
    else
        mc_kernels_best()->minmax(w, 1, row->group, &low, &high);
    s->mirrored = s->may_mirror && high > -low;
    if (s->may_mirror) {
        high = s->mirrored ? high : -low;
        low = 0.0f;
    }

    const float unit = mc_fit_unit(-low > high ? -low : high);
    float centre = 0.0f;
    if (grid->offset == MC_OFFSET_ZERO) {
        low = low < 0.0f ? low : 0.0f;
        high = high > 0.0f ? high : 0.0f;
    } else if (grid->offset == MC_OFFSET_FREE) {
        centre = 0.5f * (low * unit + high * unit);
    }
    s->least = low * unit - centre;
    s->most = high * unit - centre;
    s->range = range;
    s->best.error = HUGE_VAL;
    s->best.up = s->best.down = 1.0f;
    if (!(s->most - s->least > fabsf(centre) * 0x1p-8f)) return false;
    if (!mc_fit_group_open(&s->group, row, g, unit, centre)) return false;
    if (grid->offset == MC_OFFSET_FREE) mc_fit_totals(&s->group, &s->importance, &s->x);
    return true;
}

static void take_best(const search *s, const mc_fit_row *row, size_t g, mc_params *p)
{
    const mc_scan *scan = &s->group.scan;
    if (!mc_fit_better(s->best.error, s->range_error, s->group.norm)) return;

    const float back = 1.0f / scan->unit;
    mc_params found = {.scale = s->best.step * back, .zero = (uint8_t)s->best.zero};
    if (row->grid->offset == MC_OFFSET_FREE) {
        found.offset = mc_round_to(scan->dtype, (s->best.offset + scan->centre) * back);
        if (!(mc_fit_exact_error(row, g, found) < mc_fit_exact_error(row, g, *p))) return;
    }
    *p = found;
}

void mc_grid_fit_search(const mc_fit_row *row, mc_params *out)
{
    const mc_grid *grid = row->grid;
    search s;
    open_row(&s, row);
    for (size_t g = 0; g < row->groups; g++) {
        if (!open_group(&s, row, g, out[g])) continue;
        if (grid->offset == MC_OFFSET_NONE)
            search_one_end(&s);
        else if (grid->offset == MC_OFFSET_ZERO && grid->levels->bits <= 3)
            search_every_zero(&s);
        else
            search_two_ends(&s);
        take_best(&s, row, g, &out[g]);
    }
}
