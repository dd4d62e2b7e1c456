/* What a grid's values are and which of them is nearest. Kernels do the integers; a table's codes
 * are found by comparing with the midpoints of neighbouring values. */
#include "core/grid.h"

#include "core/grid_parts.h"
#include "core/kernels.h"

#include <math.h>
#include <string.h>

static mc_status check_offset(const mc_grid *grid, mc_err *err)
{
    const mc_levels *levels = grid->levels;
    const bool symmetric_int = !levels->value && grid->offset == MC_OFFSET_NONE;

    if (levels->value && grid->offset == MC_OFFSET_ZERO)
        return mc_fail(err, MC_E_USAGE, "the table %s has no integer zero", levels->name);
    if (symmetric_int && levels->bits == 1)
        return mc_fail(err, MC_E_USAGE,
                       "symmetric integers of 1 bit are -1 and 0; the table binary is -1 and 1");
    if (grid->restricted && !symmetric_int)
        return mc_fail(err, MC_E_USAGE, "only symmetric integers have a restricted range");
    return MC_OK;
}

static mc_status check_scale(const mc_grid *grid, mc_err *err)
{
    switch (grid->scale_dtype) {
    case MC_F16:
    case MC_BF16:
    case MC_F32:
    case MC_F8_E4M3: break;
    case MC_F8_E8M0:
        if (grid->offset == MC_OFFSET_FREE)
            return mc_fail(err, MC_E_USAGE,
                           "F8_E8M0 holds powers of two, not the offsets of a grid");
        if (grid->negative_scale) return mc_fail(err, MC_E_USAGE, "F8_E8M0 has no negative scales");
        break;
    default:
        return mc_fail(err, MC_E_USAGE, "scales are F16, BF16, F32, F8_E8M0 or F8_E4M3, not %s",
                       mc_dtype_about(grid->scale_dtype)->name);
    }
    return MC_OK;
}

static mc_status check_two_levels(const mc_grid *grid, mc_err *err)
{
    if (grid->tensor_scaled &&
        (grid->scale_dtype != MC_F8_E4M3 || grid->sub_bits != 0 || grid->super != 0))
        return mc_fail(err, MC_E_USAGE,
                       "a scale of the whole tensor goes with plain scales of F8_E4M3");
    if (grid->tensor_scaled && grid->offset == MC_OFFSET_FREE)
        return mc_fail(err, MC_E_USAGE, "a scale of the whole tensor has no offset beside it");
    if (grid->sub_bits == 0 && grid->super != 0)
        return mc_fail(err, MC_E_USAGE, "plain scales have no super-scale, but %u groups share one",
                       grid->super);
    if (grid->sub_bits != 0 && (grid->sub_bits < 4 || grid->sub_bits > 8))
        return mc_fail(err, MC_E_USAGE, "sub-scales have 4 to 8 bits, not %u", grid->sub_bits);
    if (grid->sub_bits != 0 && grid->super == 0)
        return mc_fail(err, MC_E_USAGE,
                       "sub-scales of %u bits need groups that share a super-scale",
                       grid->sub_bits);
    return MC_OK;
}

mc_status mc_grid_check(const mc_grid *grid, mc_err *err)
{
    if (!grid->levels) return mc_fail(err, MC_E_USAGE, "the grid has no levels");
    MC_TRY(check_offset(grid, err));
    MC_TRY(check_scale(grid, err));
    return check_two_levels(grid, err);
}

unsigned mc_grid_codes(const mc_grid *grid)
{
    return grid->levels->count;
}

unsigned mc_grid_first(const mc_grid *grid)
{
    return grid->restricted ? 1 : 0;
}

float mc_grid_value(const mc_grid *grid, mc_params p, unsigned code)
{
    if (!grid->levels->value && grid->offset != MC_OFFSET_FREE)
        return p.scale * (float)((int)code - (int)p.zero);

    const float level = grid->levels->value ? grid->levels->value[code] : (float)code;
    const float product = p.scale * level;
    return grid->offset == MC_OFFSET_FREE ? product + p.offset : product;
}

/* ---- encoding ---- */

/* Whether a weight half-way between values k and k + 1 becomes the upper one: of floats the one at
 * an even distance from 0. */
static bool tie_is_up(const mc_levels *levels, unsigned k)
{
    return levels->fraction && (k + 1 + levels->count / 2) % 2 == 0;
}

static float next_below(float x)
{
    if (x == 0.0f) return -0x1p-149f;
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    bits = x > 0.0f ? bits - 1 : bits + 1;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* The largest float that is not above x; below it when it may not be x itself. */
static float float_below(double x, bool strictly)
{
    const float f = (float)x;
    const bool above = strictly ? (double)f >= x : (double)f > x;
    return above ? next_below(f) : f;
}

/* With a negative scale values fall, so everything is mirrored, which changes no bit of it. */
static float sign_of(mc_params p)
{
    return p.scale < 0.0f ? -1.0f : 1.0f;
}

/* bound[k]: a float above it is nearer to value k + 1 than to value k. The sum of two f32 values of
 * one group is exact in double; a bound between two floats may as well be the lower one. */
static float table_bounds(const mc_grid *grid, mc_params p, float *bound)
{
    const unsigned count = grid->levels->count;
    const float sign = sign_of(p);
    double last = (double)(sign * mc_grid_value(grid, p, 0));
    for (unsigned k = 0; k + 1 < count; k++) {
        const double next = (double)(sign * mc_grid_value(grid, p, k + 1));
        bound[k] = float_below(0.5 * (last + next), next > last && tie_is_up(grid->levels, k));
        last = next;
    }
    return sign;
}

/* The same code, by halving: for weights too few to be worth all bounds. */
static uint8_t code_of(const mc_grid *grid, mc_params p, float w)
{
    const float *level = grid->levels->value;
    const float sign = sign_of(p), m = grid->offset == MC_OFFSET_FREE ? p.offset : 0.0f;
    const double x = 2.0 * (double)(sign * w);
    unsigned low = 0, high = grid->levels->count - 1u;
    while (low < high) {
        const unsigned k = (low + high) / 2;
        const double value = (double)(sign * (p.scale * level[k] + m));
        const double next = (double)(sign * (p.scale * level[k + 1] + m));
        const bool tie = x == value + next && next > value;
        const bool above = x > value + next || (tie && tie_is_up(grid->levels, k));
        low = above ? k + 1 : low;
        high = above ? high : k;
    }
    return (uint8_t)low;
}

/* How many of the bounds sign * w exceeds, in as many steps as their number has bits: more than the
 * kernel takes, which compares with all of them. */
static void encode_many(const float *w, size_t n, float sign, float bound[MC_LEVELS_MOST],
                        unsigned levels, uint8_t *code)
{
    for (unsigned k = levels - 1; k < MC_LEVELS_MOST; k++) bound[k] = INFINITY;
    for (size_t i = 0; i < n; i++) {
        const float x = sign * w[i];
        unsigned u = 0;
        for (unsigned bit = 8; bit-- > 0;)
            u += (unsigned)(x > bound[u + (1u << bit) - 1]) << bit; /* a branch would be a guess */
        code[i] = (uint8_t)u;
    }
}

static void encode_table_row(const mc_grid *grid, const mc_params *p, const float *w, size_t groups,
                             size_t group, uint8_t *code)
{
    const unsigned count = grid->levels->count;
    const bool few = group < 3 + count / 16;
    for (size_t g = 0; g < groups; g++, w += group, code += group) {
        if (few) {
            for (size_t i = 0; i < group; i++) code[i] = code_of(grid, p[g], w[i]);
            continue;
        }
        float bound[MC_LEVELS_MOST];
        const float sign = table_bounds(grid, p[g], bound);
        if (count > MC_TABLE_MOST)
            encode_many(w, group, sign, bound, count, code);
        else
            mc_kernels_best()->encode_table(w, group, sign, bound, count, code);
    }
}

void mc_grid_encode_row(const mc_grid *grid, const mc_params *p, const float *w, size_t groups,
                        size_t group, uint8_t *code)
{
    if (grid->levels->value) {
        encode_table_row(grid, p, w, groups, group, code);
        return;
    }
    mc_kernels_best()->encode_int(p, w, groups, group, mc_grid_first(grid), mc_grid_codes(grid) - 1,
                                  code);
}

void mc_grid_encode(const mc_grid *grid, mc_params p, const float *w, size_t n, uint8_t *code)
{
    mc_grid_encode_row(grid, &p, w, 1, n, code);
}

/* ---- decoding ---- */

static void decode_table_row(const mc_grid *grid, const mc_params *p, const uint8_t *code,
                             size_t groups, size_t group, float *w)
{
    const unsigned count = grid->levels->count;
    for (size_t g = 0; g < groups; g++, code += group, w += group) {
        for (size_t i = 0; i < group; i++)
            w[i] = code[i] < count ? mc_grid_value(grid, p[g], code[i]) : 0.0f;
    }
}

void mc_grid_decode_row(const mc_grid *grid, const mc_params *p, const uint8_t *code, size_t groups,
                        size_t group, float *w)
{
    if (grid->levels->value)
        decode_table_row(grid, p, code, groups, group, w);
    else if (grid->offset == MC_OFFSET_FREE)
        mc_kernels_best()->decode_free(p, code, groups, group, w);
    else
        mc_kernels_best()->decode_int(p, code, groups, group, w);
}

void mc_grid_decode(const mc_grid *grid, mc_params p, const uint8_t *code, size_t n, float *w)
{
    mc_grid_decode_row(grid, &p, code, 1, n, w);
}

/* ---- clipping ---- */

size_t mc_grid_clipped_row(const mc_grid *grid, const mc_params *p, const float *w, size_t groups,
                           size_t group)
{
    const unsigned last = mc_grid_codes(grid) - 1;
    const float *t = grid->levels->value;
    float low = (float)mc_grid_first(grid) - 0.5f;
    float high = (float)last + 0.5f;
    if (t) {
        low = t[0] - 0.5f * (t[1] - t[0]);
        high = t[last] + 0.5f * (t[last] - t[last - 1]);
    }
    return mc_kernels_best()->clipped_int(p, w, groups, group, low, high);
}

/* ---- storing ---- */

/* The largest and the smallest positive number of a dtype that scales can have. */
typedef struct {
    mc_dtype dtype;
    float least, most;
} dtype_range;

static const dtype_range ranges[] = {
    {MC_F32, 0x1p-149f, 0x1.fffffep127f}, {MC_F16, 0x1p-24f, 65504.0f},
    {MC_BF16, 0x1p-133f, 0x1.fep127f},    {MC_F8_E8M0, 0x1p-127f, 0x1p127f},
    {MC_F8_E4M3, 0x1p-9f, 448.0f},
};

static dtype_range range_of(mc_dtype dtype)
{
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (ranges[i].dtype == dtype) return ranges[i];
    return (dtype_range){dtype, 0.0f, 0.0f};
}

/* What stored scales are multiplied by. */
static float unit_of(const mc_grid *grid)
{
    return grid->tensor_scaled && grid->tensor_scale > 0.0f ? grid->tensor_scale : 1.0f;
}

float mc_grid_least_scale(const mc_grid *grid)
{
    return unit_of(grid) * range_of(grid->scale_dtype).least;
}

float mc_grid_most_scale(const mc_grid *grid)
{
    return unit_of(grid) * range_of(grid->scale_dtype).most;
}

void mc_grid_round_scales(const mc_grid *grid, float *scale, size_t n)
{
    const float unit = unit_of(grid);
    if (grid->tensor_scaled)
        for (size_t i = 0; i < n; i++) scale[i] /= unit;
    mc_round_all_to(grid->scale_dtype, scale, n);
    if (grid->tensor_scaled)
        for (size_t i = 0; i < n; i++) scale[i] *= unit;
}

/* Scales stay normal floats, so that dividing by it gives back what is stored. */
void mc_grid_set_tensor_scale(mc_grid *grid, float absmax)
{
    static const float least = 0x1p-117f;
    if (!grid->tensor_scaled) return;
    const float wanted = absmax / (mc_grid_span(grid) * range_of(grid->scale_dtype).most);
    grid->tensor_scale = absmax > 0.0f ? fmaxf(wanted, least) : 1.0f;
}

/* E4M3 and E8M0 saturate instead of overflowing, so that the neighbourhood of their largest number
 * decides: half a step beyond it is still rounded down to it. */
static bool storable(mc_dtype dtype, float wanted, float rounded)
{
    switch (dtype) {
    case MC_F8_E4M3: return fabsf(wanted) <= 464.0f;
    case MC_F8_E8M0: return wanted >= 0.0f && wanted <= 0x1.6a09e6p127f;
    default: return isfinite(rounded);
    }
}

/* "; --scale-dtype f32 or bf16 holds it", as far as they do: the two reach equally far but for
 * rounding, and an infinite or absent number has no way out. */
static const char *way_out(float wanted)
{
    const bool wide = storable(MC_F32, wanted, wanted);
    const bool short_too = wide && storable(MC_BF16, wanted, mc_round_to(MC_BF16, wanted));
    if (short_too) return "; --scale-dtype f32 or bf16 holds it";
    return wide ? "; --scale-dtype f32 holds it" : "";
}

static mc_status refused(mc_dtype dtype, const char *what, float wanted, mc_err *err)
{
    return mc_fail(err, MC_E_UNSUPPORTED, "%s of %.6g does not fit %s (at most %.7g)%s", what,
                   (double)wanted, mc_dtype_about(dtype)->name, (double)range_of(dtype).most,
                   way_out(wanted));
}

static mc_status store_under_tensor(const mc_grid *grid, float wanted, float *stored, mc_err *err)
{
    if (!isfinite(wanted)) return refused(grid->scale_dtype, "a scale", wanted, err);
    float size = fabsf(wanted);
    mc_grid_round_scales(grid, &size, 1);
    size = fminf(fmaxf(size, mc_grid_least_scale(grid)), mc_grid_most_scale(grid));
    *stored = copysignf(size, wanted);
    return MC_OK;
}

mc_status mc_grid_store_scale(const mc_grid *grid, float wanted, float *stored, mc_err *err)
{
    const mc_dtype dtype = grid->scale_dtype;
    if (grid->tensor_scaled) return store_under_tensor(grid, wanted, stored, err);
    const float rounded = mc_round_to(dtype, wanted);
    if (!storable(dtype, wanted, rounded)) {
        if (dtype == MC_F8_E8M0 && wanted < 0.0f)
            return mc_fail(err, MC_E_UNSUPPORTED,
                           "a scale of %.6g does not fit F8_E8M0 (no sign)%s", (double)wanted,
                           way_out(wanted));
        return refused(dtype, "a scale", wanted, err);
    }
    *stored = rounded != 0.0f ? rounded : copysignf(range_of(dtype).least, wanted);
    return MC_OK;
}

mc_status mc_grid_store_offset(const mc_grid *grid, float wanted, float *stored, mc_err *err)
{
    const float rounded = mc_round_to(grid->scale_dtype, wanted);
    if (!storable(grid->scale_dtype, wanted, rounded))
        return refused(grid->scale_dtype, "an offset", wanted, err);
    *stored = rounded;
    return MC_OK;
}

float mc_grid_idle_scale(const mc_grid *grid)
{
    const float *t = grid->levels->value;
    for (unsigned u = 0; t && u < grid->levels->count; u++)
        if (t[u] == 0.0f) return unit_of(grid);
    return t ? mc_grid_least_scale(grid) : unit_of(grid);
}

uint8_t mc_grid_zero(const mc_grid *grid, float least, float scale)
{
    const float last = (float)(mc_grid_codes(grid) - 1);
    return (uint8_t)fminf(fmaxf(rintf(-least / scale), 0.0f), last);
}
