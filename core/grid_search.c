/* Fitting by search: the scale (and zero or offset) of least error for each group.
 *
 * MC_LANES trial grids are weighed in one pass over the weights. For squared errors a trial is only
 * a way to find codes: least squares then gives the best scale (and free offset) for these codes,
 *     s* = sum i w q / sum i q^2,   and with an offset the regression of w on q,
 * along with the error that is left, so a pass ranks refined trials and not raw ones. Other norms
 * and dtypes with few scales are weighed as they are. Passes go from wide to narrow; the last one
 * compares, as stored, the refined trials with the range fit, which stays unless it is beaten. */
#include "core/grid_parts.h"

#include <math.h>
#include <string.h>

typedef struct {
    float down[MC_LANES], up[MC_LANES]; /* shares of the weights' range at both ends */
    float zero[MC_LANES];
    mc_lanes lanes;
} trial;

typedef struct {
    mc_fit_group group;
    float least, most;    /* of x; symmetric: 0 and the largest magnitude */
    float first_level;    /* of the levels, as the lowest step from the offset */
    float span, last;     /* steps over the range; the largest code */
    float first;          /* the smallest code */
    float middle;         /* the zero of symmetric integers */
    bool direct;          /* trials are weighed as they are */
    double importance, x; /* totals */
    trial now;
    trial kept; /* per lane, the best so far */
    float gain[MC_LANES], kept_gain[MC_LANES];
    float best_gain;
    float best_down, best_up; /* what the best trial began with */
    float best_step, best_zero;
} search;

enum { SMALL = 128 }; /* weights; in larger groups the error is a smooth function of the scale */

/* A wider grid than the range asks for can be better: it may put levels where the weights are. */
static const float most_share = 1.12f;

/* Mirrored levels are other ones unless they are symmetric. */
static bool mirrors(const mc_grid *grid)
{
    const mc_levels *levels = grid->levels;
    if (!grid->negative_scale || grid->offset != MC_OFFSET_NONE || grid->restricted) return false;
    return !levels->value || levels->value[0] != -levels->value[levels->count - 1];
}

/* ---- from shares of the range to grids ---- */

/* Steps to what the dtype stores, but never 0 and never beyond its range. */
static void round_steps(const search *s, float *step)
{
    const mc_dtype dtype = s->group.grid->scale_dtype;
    const float least = mc_scale_least(dtype);
    const float most = mc_scale_most(dtype);
    const float back = 1.0f / s->group.unit;
    float stored[MC_LANES];
    for (unsigned c = 0; c < MC_LANES; c++) stored[c] = step[c] * back;
    mc_round_all_to(dtype, stored, MC_LANES);
    for (unsigned c = 0; c < MC_LANES; c++) {
        float size = fabsf(stored[c]);
        size = size > least ? size : least;
        size = size < most ? size : most;
        step[c] = copysignf(size, stored[c]) * s->group.unit;
    }
}

static void round_offsets(const search *s, float *offset)
{
    const float back = 1.0f / s->group.unit;
    const float most = mc_scale_most(s->group.grid->scale_dtype);
    for (unsigned c = 0; c < MC_LANES; c++) {
        const float wanted = (offset[c] + s->group.centre) * back;
        offset[c] = fminf(fmaxf(wanted, -most), most);
    }
    mc_round_all_to(s->group.grid->scale_dtype, offset, MC_LANES);
    for (unsigned c = 0; c < MC_LANES; c++) offset[c] = offset[c] * s->group.unit - s->group.centre;
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

/* rint of x clamped to 0..last, without a call into libm: 0x1.8p23 leaves no room for fractions. */
static inline float zero_of(float x, float last)
{
    float z = x > 0.0f ? x : 0.0f;
    z = z < last ? z : last;
    return (z + 0x1.8p23f) - 0x1.8p23f;
}

static void place(const search *s, trial *t)
{
    const mc_offset offset = s->group.grid->offset;
    const float per_step = 1.0f / s->span;
    mc_lanes *lanes = &t->lanes;
    float low[MC_LANES];
    for (unsigned c = 0; c < MC_LANES; c++) {
        low[c] = t->down[c] * s->least;
        lanes->step[c] = (t->up[c] * s->most - low[c]) * per_step;
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

/* ---- weighing ---- */

/* Without an offset: d on q through the origin. What is gained is the drop from sum i d^2. */
static void regress_scale(search *s, const mc_moments *sums)
{
    float *step = s->now.lanes.step;
    for (unsigned c = 0; c < MC_LANES; c++) {
        const float dq = (float)sums->dq[c];
        const float slope = dq / (float)sums->qq[c];
        const bool useful = slope * step[c] > 0.0f;
        s->gain[c] = useful ? slope * dq : -1.0f;
        step[c] = useful ? slope : step[c];
    }
}

/* With an offset: d on q with intercept. */
static void regress_both(search *s, const mc_moments *sums)
{
    float *step = s->now.lanes.step;
    float *offset = s->now.lanes.offset;
    const float per_weight = (float)(1.0 / s->importance);
    const float total_x = (float)s->x;
    const float total = (float)s->importance;
    for (unsigned c = 0; c < MC_LANES; c++) {
        const float d = total_x - total * offset[c];
        const float q = (float)sums->q[c];
        const float mean_q = q * per_weight;
        const float both = (float)sums->dq[c] - d * mean_q;
        const float slope = both / ((float)sums->qq[c] - q * mean_q);
        const bool useful = slope * step[c] > 0.0f && slope * both > 0.0f;
        s->gain[c] = useful ? slope * both : -1.0f;
        offset[c] = useful ? offset[c] + (d * per_weight - slope * mean_q) : offset[c];
        step[c] = useful ? slope : step[c];
    }
}

/* Gains of the trials in `now`: by regression, which also refines them, or by their errors. */
static void weigh(search *s)
{
    if (s->direct) {
        mc_errors errors;
        mc_fit_errors(&s->group, &s->now.lanes, &errors);
        for (unsigned c = 0; c < MC_LANES; c++) s->gain[c] = -(float)errors.sum[c];
    } else {
        mc_moments sums;
        mc_fit_moments(&s->group, &s->now.lanes, &sums);
        if (s->group.grid->offset == MC_OFFSET_FREE)
            regress_both(s, &sums);
        else
            regress_scale(s, &sums);
    }
}

/* Keeps what is better than before, lane by lane, and remembers the best of all. */
static void fold(search *s)
{
    trial *kept = &s->kept;
    const trial *now = &s->now;
    unsigned best = 0;
    for (unsigned c = 0; c < MC_LANES; c++) {
        const bool better = s->gain[c] > s->kept_gain[c];
        s->kept_gain[c] = better ? s->gain[c] : s->kept_gain[c];
        kept->zero[c] = better ? now->zero[c] : kept->zero[c];
        kept->lanes.step[c] = better ? now->lanes.step[c] : kept->lanes.step[c];
        kept->lanes.offset[c] = better ? now->lanes.offset[c] : kept->lanes.offset[c];
    }
    for (unsigned c = 1; c < MC_LANES; c++) best = s->gain[c] > s->gain[best] ? c : best;
    if (!(s->gain[best] > s->best_gain)) return;
    s->best_gain = s->gain[best];
    s->best_down = now->down[best];
    s->best_up = now->up[best];
    s->best_step = now->lanes.step[best];
    s->best_zero = now->zero[best];
}

static void try_ends(search *s)
{
    place(s, &s->now);
    weigh(s);
    fold(s);
}

/* ---- the passes ---- */

/* Shares of the range for one-ended grids, linear from `low` to `high`. */
static void spread(search *s, float low, float high)
{
    const float step = (high - low) / (float)(MC_LANES - 1);
    for (unsigned c = 0; c < MC_LANES; c++) {
        s->now.up[c] = low + step * (float)c;
        s->now.down[c] = s->now.up[c];
    }
}

/* How much of the range the best grid may leave out: much with few codes, and much in large groups,
 * where the range belongs to a few outliers. */
static float least_share(const search *s)
{
    static const float small_group[] = {0.3f, 0.3f, 0.35f, 0.5f, 0.6f, 0.7f, 0.75f, 0.8f, 0.8f};
    static const float large_group[] = {0.05f, 0.05f, 0.05f, 0.08f, 0.1f, 0.15f, 0.2f, 0.3f, 0.3f};
    const unsigned bits = s->group.grid->levels->bits;
    return s->group.n <= SMALL ? small_group[bits] : large_group[bits];
}

static void search_one_end(search *s)
{
    enum { NARROWER = 8 };
    const float low = least_share(s);
    float reach = (most_share - low) / (float)(MC_LANES - 1);
    spread(s, low, most_share);
    try_ends(s);
    if (mirrors(s->group.grid)) {
        for (unsigned c = 0; c < MC_LANES; c++) {
            s->now.up[c] = -s->now.up[c];
            s->now.down[c] = -s->now.down[c];
        }
        try_ends(s);
    }
    const bool smooth = !s->direct && s->group.n <= SMALL && s->group.grid->levels->bits <= 5;
    if (smooth) return;
    spread(s, s->best_up - reach, s->best_up + reach);
    try_ends(s);
    if (!s->direct) return;
    reach /= NARROWER;
    spread(s, s->best_up - reach, s->best_up + reach);
    try_ends(s);
}

/* Shares of both ends: together, and either alone. */
static void spread_ends(search *s)
{
    const float low = least_share(s);
    const float step = (most_share - low) / 7.0f;
    for (unsigned c = 0; c < 8; c++) {
        s->now.down[c] = low + step * (float)c;
        s->now.up[c] = s->now.down[c];
    }
    for (unsigned c = 8; c < MC_LANES; c++) {
        const float share = low + step * (float)(c % 4 * 2);
        s->now.down[c] = c < 12 ? share : 1.0f;
        s->now.up[c] = c < 12 ? 1.0f : share;
    }
}

/* A square of 4 x 4 around the best ends. */
static void narrow_ends(search *s, float reach)
{
    static const float place_of[] = {-1.0f, -0.35f, 0.35f, 1.0f};
    const float down = s->best_down;
    const float up = s->best_up;
    for (unsigned c = 0; c < MC_LANES; c++) {
        s->now.down[c] = down + reach * place_of[c % 4];
        s->now.up[c] = up + reach * place_of[c / 4];
    }
}

static void try_steps(search *s)
{
    for (unsigned c = 0; c < MC_LANES; c++) s->now.lanes.offset[c] = 0.0f;
    if (s->direct) round_steps(s, s->now.lanes.step);
    complete(s, &s->now);
    weigh(s);
    fold(s);
}

/* With two or three bits there are few zeros: each is tried under several widths, then the best
 * and its neighbours under more. */
static void search_every_zero(search *s)
{
    const unsigned zeros = (unsigned)s->last + 1;
    const unsigned widths = MC_LANES / zeros;
    const unsigned passes = zeros > 4 ? 3 : 1;
    const float low = least_share(s);
    const float full = (s->most - s->least) / s->span;
    float reach = (most_share - low) / (float)(widths * passes);
    for (unsigned pass = 0; pass < passes; pass++) {
        for (unsigned c = 0; c < MC_LANES; c++) {
            const float rank = (float)(c / zeros * passes + pass);
            s->now.lanes.step[c] = (low + reach * (rank + 0.5f)) * full;
            s->now.zero[c] = (float)(c % zeros);
        }
        try_steps(s);
    }
    for (int pass = s->direct || s->group.n > SMALL ? 3 : 2; pass > 0; pass--) {
        const float step = s->best_step;
        const float zero = s->best_zero;
        for (unsigned c = 0; c < MC_LANES; c++) {
            s->now.lanes.step[c] = step * (1.0f + reach * (float)((int)(c % 5) - 2));
            s->now.zero[c] = zero_of(zero + (float)((int)(c / 5) - 1), s->last);
        }
        try_steps(s);
        reach *= 0.4f;
    }
}

static void search_two_ends(search *s)
{
    float reach = (most_share - least_share(s)) / 7.0f;
    spread_ends(s);
    try_ends(s);
    for (int pass = s->direct || s->group.n > SMALL ? 3 : 1; pass > 0; pass--) {
        narrow_ends(s, reach);
        try_ends(s);
        reach *= 0.4f;
    }
}

/* ---- the decision ---- */

static void decide(search *s, mc_params *p)
{
    const mc_grid *grid = s->group.grid;
    mc_lanes *lanes = &s->kept.lanes;
    round_steps(s, lanes->step);
    if (grid->offset == MC_OFFSET_FREE) round_offsets(s, lanes->offset);
    complete(s, &s->kept);
    const unsigned range = MC_LANES - 1; /* gives way to what the search must beat */
    mc_fit_lane(&s->group, *p, lanes, range);

    mc_errors errors;
    mc_fit_errors(&s->group, lanes, &errors);
    unsigned least = range;
    for (unsigned c = 0; c < range; c++) least = errors.sum[c] < errors.sum[least] ? c : least;
    if (!mc_fit_better(errors.sum[least], errors.sum[range], s->group.norm)) return;

    const float back = 1.0f / s->group.unit;
    p->scale = lanes->step[least] * back;
    p->zero = (uint8_t)s->kept.zero[least];
    if (grid->offset == MC_OFFSET_FREE) {
        const float offset = (lanes->offset[least] + s->group.centre) * back;
        p->offset = mc_round_to(grid->scale_dtype, offset);
    }
}

/* ---- one group ---- */

/* False when there is nothing to gain: no width, or one that drowns in the offset's rounding. */
static bool open_group(search *s, const mc_fit_row *row, size_t g)
{
    const mc_grid *grid = row->grid;
    const float *w = row->w + g * row->group;
    float low;
    float high;
    if (grid->offset == MC_OFFSET_NONE) {
        mc_kernels_best()->absmax(w, 1, row->group, &high);
        low = 0.0f;
    } else {
        mc_kernels_best()->minmax(w, 1, row->group, &low, &high);
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
    if (!(s->most - s->least > fabsf(centre) * 0x1p-8f)) return false;
    return mc_fit_group_open(&s->group, row, g, unit, centre);
}

static void open_search(search *s, const mc_fit_row *row)
{
    const mc_grid *grid = row->grid;
    const float *t = grid->levels->value;
    s->span = mc_grid_span(grid);
    s->first = (float)mc_grid_first(grid);
    s->last = (float)(mc_grid_codes(grid) - 1);
    s->first_level = t ? t[0] : 0.0f;
    s->middle = t || grid->offset == MC_OFFSET_FREE ? 0.0f : 0.5f * (s->last + 1.0f);
    s->direct =
        row->fit.norm != 2.0f || grid->scale_dtype == MC_F8_E8M0 || grid->scale_dtype == MC_F8_E4M3;
}

static void reset(search *s)
{
    for (unsigned c = 0; c < MC_LANES; c++) {
        s->kept_gain[c] = -HUGE_VALF;
        s->kept.lanes.step[c] = s->most / s->span;
        s->kept.lanes.offset[c] = 0.0f;
        s->kept.zero[c] = 0.0f;
    }
    s->best_gain = -HUGE_VALF;
    s->best_down = 1.0f;
    s->best_up = 1.0f;
}

void mc_grid_fit_search(const mc_fit_row *row, mc_params *out)
{
    const mc_grid *grid = row->grid;
    search s;
    open_search(&s, row);
    for (size_t g = 0; g < row->groups; g++) {
        if (!open_group(&s, row, g)) continue;
        reset(&s);
        if (grid->offset == MC_OFFSET_FREE) mc_fit_totals(&s.group, &s.importance, &s.x);
        if (grid->offset == MC_OFFSET_NONE)
            search_one_end(&s);
        else if (grid->offset == MC_OFFSET_ZERO && grid->levels->bits <= 3)
            search_every_zero(&s);
        else
            search_two_ends(&s);
        decide(&s, &out[g]);
    }
}
