/* What a grid's values are and which of them is nearest. Kernels do the integers; a table's codes
 * are found by comparing with the midpoints of neighbouring values. */
#include "core/grid.h"

#include "core/grid_parts.h"
#include "core/kernels.h"

#include <math.h>

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
    return check_scale(grid, err);
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

static float float_below(double x)
{
    const float f = (float)x;
    return (double)f > x ? nextafterf(f, -INFINITY) : f;
}

/* bound[k]: a float above it is nearer to value k + 1 than to value k. The sum of two f32 values of
 * one group is exact in double; a bound between two floats may as well be the lower one. With a
 * negative scale values fall, so everything is mirrored, which changes no bit of it. */
static float table_bounds(const mc_grid *grid, mc_params p, float *bound)
{
    const float sign = p.scale < 0.0f ? -1.0f : 1.0f;
    const unsigned count = grid->levels->count;
    double last = (double)(sign * mc_grid_value(grid, p, 0));
    for (unsigned k = 0; k + 1 < count; k++) {
        const double next = (double)(sign * mc_grid_value(grid, p, k + 1));
        bound[k] = float_below(0.5 * (last + next));
        last = next;
    }
    return sign;
}

static void encode_table_row(const mc_grid *grid, const mc_params *p, const float *w, size_t groups,
                             size_t group, uint8_t *code)
{
    const mc_kernels *kernels = mc_kernels_best();
    const unsigned count = grid->levels->count;
    for (size_t g = 0; g < groups; g++) {
        float bound[MC_LEVELS_MOST];
        const float sign = table_bounds(grid, p[g], bound);
        kernels->encode_table(w + g * group, group, sign, bound, count, code + g * group);
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
    for (size_t g = 0; g < groups; g++, code += group, w += group) {
        float value[MC_LEVELS_MOST] = {0};
        for (unsigned u = 0; u < grid->levels->count; u++) value[u] = mc_grid_value(grid, p[g], u);
        for (size_t i = 0; i < group; i++) w[i] = value[code[i] % MC_LEVELS_MOST];
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

float mc_scale_least(mc_dtype dtype)
{
    return range_of(dtype).least;
}

float mc_scale_most(mc_dtype dtype)
{
    return range_of(dtype).most;
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

mc_status mc_grid_store_scale(const mc_grid *grid, float wanted, float *stored, mc_err *err)
{
    const mc_dtype dtype = grid->scale_dtype;
    const float rounded = mc_round_to(dtype, wanted);
    if (!storable(dtype, wanted, rounded)) {
        if (dtype == MC_F8_E8M0 && wanted < 0.0f)
            return mc_fail(err, MC_E_UNSUPPORTED,
                           "a scale of %.6g does not fit F8_E8M0 (no sign)%s", (double)wanted,
                           way_out(wanted));
        return refused(dtype, "a scale", wanted, err);
    }
    *stored = rounded != 0.0f ? rounded : copysignf(mc_scale_least(dtype), wanted);
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
        if (t[u] == 0.0f) return 1.0f;
    return t ? mc_scale_least(grid->scale_dtype) : 1.0f;
}

uint8_t mc_grid_zero(const mc_grid *grid, float least, float scale)
{
    const float last = (float)(mc_grid_codes(grid) - 1);
    return (uint8_t)fminf(fmaxf(rintf(-least / scale), 0.0f), last);
}
