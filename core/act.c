/* Rounding activations to the grid of their row or of their channel, and caches to theirs. Codes
 * are clamped before they are rounded, which comes to the same between whole numbers and lets
 * rounding be two additions. */
#include "core/act.h"

#include "core/kernels.h"
#include "core/rotation.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* ---- what a spec says ---- */

mc_act_spec mc_act_dynamic(unsigned bits)
{
    return (mc_act_spec){.mode = MC_ACT_DYNAMIC, .bits = (uint8_t)bits};
}

static bool width_is_known(unsigned bits)
{
    return (bits >= 2 && bits <= 8) || bits == 16;
}

static int least_code(const mc_act_spec *s)
{
    const int half = 1 << (s->bits - 1);
    return s->asymmetric ? -half : 1 - half;
}

static int most_code(const mc_act_spec *s)
{
    return (1 << (s->bits - 1)) - 1;
}

static mc_status check_static(const mc_act_spec *s, mc_err *err)
{
    if (s->scales == 0 || !s->scale)
        return mc_fail(err, MC_E_FORMAT, "static activations without a scale");
    if (s->power_of_two)
        return mc_fail(err, MC_E_FORMAT, "static scales are what they are, not rounded up");
    if (s->asymmetric != (s->zero != NULL))
        return mc_fail(err, MC_E_FORMAT, "%s activations %s zeros",
                       s->asymmetric ? "asymmetric" : "symmetric",
                       s->asymmetric ? "without" : "with");
    for (uint32_t i = 0; i < s->scales; i++) {
        if (!(s->scale[i] > 0.0f && s->scale[i] <= FLT_MAX))
            return mc_fail(err, MC_E_FORMAT,
                           "scale %lu of activations is %g; allowed are finite "
                           "numbers above 0",
                           (unsigned long)i, (double)s->scale[i]);
        if (s->zero && (s->zero[i] < least_code(s) || s->zero[i] > most_code(s)))
            return mc_fail(err, MC_E_FORMAT, "zero %lu of activations is %d; allowed are %d to %d",
                           (unsigned long)i, s->zero[i], least_code(s), most_code(s));
    }
    return MC_OK;
}

mc_status mc_act_check(const mc_act_spec *s, mc_err *err)
{
    if (s->mode != MC_ACT_FLOAT && s->mode != MC_ACT_DYNAMIC && s->mode != MC_ACT_STATIC)
        return mc_fail(err, MC_E_UNSUPPORTED, "activations in mode %u", (unsigned)s->mode);
    if (s->mode != MC_ACT_FLOAT && !width_is_known(s->bits))
        return mc_fail(err, MC_E_UNSUPPORTED,
                       "activations of %u bits (2 to 8 and 16 can be simulated)", s->bits);
    if (s->hadamard > 0 && !mc_hadamard_exists(s->hadamard))
        return mc_fail(err, MC_E_UNSUPPORTED,
                       "rotated by blocks of %lu, which have no Hadamard matrix",
                       (unsigned long)s->hadamard);
    if (s->mode == MC_ACT_STATIC) return check_static(s, err);
    if (s->scales != 0 || s->scale || s->zero)
        return mc_fail(err, MC_E_FORMAT, "%lu scales of activations that are not static",
                       (unsigned long)s->scales);
    if (s->mode == MC_ACT_FLOAT && (s->asymmetric || s->power_of_two))
        return mc_fail(err, MC_E_FORMAT, "a grid of activations that are not quantized");
    return MC_OK;
}

bool mc_act_same(const mc_act_spec *a, const mc_act_spec *b)
{
    if (a->mode != b->mode || a->hadamard != b->hadamard) return false;
    if (a->mode == MC_ACT_FLOAT) return true;
    if (a->bits != b->bits || a->asymmetric != b->asymmetric ||
        a->power_of_two != b->power_of_two || a->scales != b->scales)
        return false;
    for (uint32_t i = 0; i < a->scales; i++)
        if (a->scale[i] != b->scale[i] || (a->asymmetric && a->zero[i] != b->zero[i])) return false;
    return true;
}

bool mc_act_shape_of(mc_site_kind kind, const mc_nd *x, mc_act_shape *out)
{
    if (kind == MC_SITE_EMBEDDING || x->ndim < 1 || !mc_dtype_about(x->dtype)->is_float)
        return false;
    const bool tokens = kind == MC_SITE_LINEAR || kind == MC_SITE_RECURRENT;
    const int split = tokens ? x->ndim - 1 : 1, end = split < x->ndim ? split + 1 : split;
    *out = (mc_act_shape){.rows = mc_nd_span(x, 0, split),
                          .channels = mc_nd_span(x, split, end),
                          .inner = mc_nd_span(x, end, x->ndim)};
    return true;
}

/* ---- the grid of a row ---- */

/* The smallest power of two that is not below a positive number. */
static float up_to_power(float x)
{
    int exponent;
    const float fraction = frexpf(x, &exponent);
    return fraction == 0.0f ? 0.0f : ldexpf(1.0f, fraction > 0.5f ? exponent : exponent - 1);
}

static float stored_scale(const mc_act_spec *s, float scale)
{
    return s->power_of_two ? up_to_power(scale) : scale;
}

static mc_act_grid asymmetric_grid(const mc_act_spec *s, const float *x, size_t n)
{
    float least = 0.0f, most = 0.0f;
    mc_kernels_best()->minmax(x, 1, n, &least, &most);
    least = fminf(least, 0.0f);
    most = fmaxf(most, 0.0f);
    const double levels = (double)(most_code(s) - least_code(s));
    const float scale = stored_scale(s, (float)(((double)most - (double)least) / levels));
    if (scale == 0.0f) return (mc_act_grid){0.0f, 0};
    const float zero = rintf((float)least_code(s) - least / scale);
    const float end = (float)most_code(s);
    return (mc_act_grid){scale, (int)(zero < end ? zero : end)};
}

static mc_act_grid grid_of(const mc_act_spec *s, const float *x, size_t n)
{
    float most = 0.0f;
    if (n > 0) mc_kernels_best()->absmax(x, 1, n, &most);
    if (!isfinite(most)) return (mc_act_grid){NAN, 0};
    if (s->mode == MC_ACT_STATIC) return (mc_act_grid){s->scale[0], s->zero ? s->zero[0] : 0};
    if (s->asymmetric && n > 0) return asymmetric_grid(s, x, n);
    return (mc_act_grid){stored_scale(s, most / (float)most_code(s)), 0};
}

/* ---- codes ---- */

/* Codes less their zero, before they are rounded: low..high. */
typedef struct {
    float low, high;
} range;

static range range_of(const mc_act_spec *s, int zero)
{
    return (range){(float)(least_code(s) - zero), (float)(most_code(s) - zero)};
}

/* rint of what lies between two whole numbers below 2^22: 1.5 * 2^23 leaves no room for
 * fractions. */
static inline float rounded(float x, range r)
{
    const float shift = 0x1.8p23f;
    const float in = x > r.high ? r.high : x < r.low ? r.low : x;
    return (in + shift) - shift;
}

mc_act_grid mc_act_codes(const mc_act_spec *s, const float *x, size_t n, int8_t *code)
{
    const mc_act_grid g = grid_of(s, x, n);
    const range r = range_of(s, g.zero);
    const float zero = (float)g.zero;
    if (isnan(g.scale) || g.scale == 0.0f) {
        memset(code, 0, n);
        return g;
    }
    for (size_t i = 0; i < n; i++) code[i] = (int8_t)(rounded(x[i] / g.scale, r) + zero);
    return g;
}

static void fill(float *x, size_t n, float with)
{
    for (size_t i = 0; i < n; i++) x[i] = with;
}

static void round_span(float *x, size_t n, float scale, range r)
{
    for (size_t i = 0; i < n; i++) x[i] = scale * rounded(x[i] / scale, r);
}

/* One row whose channels have scales of their own. */
static void round_channels(const mc_act_spec *s, const mc_act_shape *shape, float *x)
{
    for (size_t c = 0; c < shape->channels; c++, x += shape->inner)
        round_span(x, shape->inner, s->scale[c], range_of(s, s->zero ? s->zero[c] : 0));
}

void mc_act_round(const mc_act_spec *s, const mc_act_shape *shape, float *x)
{
    const size_t n = shape->channels * shape->inner;
    if (s->mode == MC_ACT_FLOAT) return;
    for (size_t row = 0; row < shape->rows; row++, x += n) {
        const mc_act_grid g = grid_of(s, x, n);
        if (isnan(g.scale) || g.scale == 0.0f)
            fill(x, n, g.scale);
        else if (s->scales > 1)
            round_channels(s, shape, x);
        else
            round_span(x, n, g.scale, range_of(s, g.zero));
    }
}

/* ---- rotations ---- */

/* A vector, and a table of 4 times the block's odd part (rotation.h). */
size_t mc_act_rotate_scratch(size_t block, size_t channels)
{
    enum { EDGES = 512 };
    size_t odd = block;
    while (odd > 0 && odd % 2 == 0) odd /= 2;
    const size_t table = odd > 1 ? 4 * odd : 0;
    return (channels + table * table) * sizeof(double) + EDGES;
}

mc_status mc_act_rotate(const mc_act_spec *s, const mc_act_shape *shape, float *x, mc_arena scratch,
                        mc_err *err)
{
    mc_rotation q;
    if (shape->inner != 1)
        return mc_fail(err, MC_E_UNSUPPORTED, "channels that lie apart cannot be rotated");
    MC_TRY(
        mc_rotation_make(MC_ROTATE_HADAMARD, shape->channels, s->hadamard, 0, &scratch, &q, err));
    mc_rotate_f32(&q, false, x, shape->rows, shape->channels, scratch);
    return MC_OK;
}
