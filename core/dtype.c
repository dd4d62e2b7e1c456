/* The table of dtypes and the conversions. 16-bit floats are kernels' work; the 8-bit ones are rare
 * and go element by element through the definition of a small float. */
#include "core/dtype.h"

#include "core/kernels.h"

#include <math.h>
#include <string.h>

enum { CLASS_F, CLASS_O, CLASS_I, CLASS_C, CLASS_G };

static const mc_dtype_info info[MC_DTYPE_COUNT] = {[MC_DTYPE_NONE] = {.name = "none"},
#define X(id, name_, bits_, value, class)              \
    [MC_##id] = {.name = (name_),                      \
                 .bits = (bits_),                      \
                 .is_float = CLASS_##class <= CLASS_O, \
                 .to_f32 = CLASS_##class == CLASS_F},
                                                   MC_DTYPES(X)
#undef X
};

const mc_dtype_info *mc_dtype_about(mc_dtype dtype)
{
    return &info[(unsigned)dtype < MC_DTYPE_COUNT ? dtype : MC_DTYPE_NONE];
}

static const bool in_safetensors[MC_DTYPE_COUNT] = {
#define X(id, name_, bits_, value, class) [MC_##id] = CLASS_##class != CLASS_G,
    MC_DTYPES(X)
#undef X
};

mc_dtype mc_dtype_find(const char *name, size_t length)
{
    for (unsigned i = 1; i < MC_DTYPE_COUNT; i++) {
        if (!in_safetensors[i]) continue;
        if (strlen(info[i].name) == length && memcmp(info[i].name, name, length) == 0)
            return (mc_dtype)i;
    }
    return MC_DTYPE_NONE;
}

/* ---- 8-bit floats ---- */

/* A sign, an exponent of 8 - 1 - fraction bits, a fraction. `most` is the code of the largest
 * finite number, `over` what larger ones become, `nan` the code of NaN, all without the sign. */
typedef struct {
    int fraction, bias;
    unsigned most, over, nan;
} small_float;

static const small_float e4m3 = {.fraction = 3, .bias = 7, .most = 0x7E, .over = 0x7E, .nan = 0x7F};
static const small_float e5m2 = {
    .fraction = 2, .bias = 15, .most = 0x7B, .over = 0x7C, .nan = 0x7E};

static float from_small(small_float f, unsigned char byte)
{
    const unsigned code = byte & 0x7Fu;
    const float sign = byte & 0x80u ? -1.0f : 1.0f;
    if (code > f.most) return copysignf(code == f.over ? INFINITY : NAN, sign);

    const int exponent = (int)(code >> f.fraction);
    const int fraction = (int)(code & ((1u << f.fraction) - 1));
    const int whole = exponent > 0 ? fraction + (1 << f.fraction) : fraction;
    return sign * ldexpf((float)whole, (exponent > 0 ? exponent : 1) - f.bias - f.fraction);
}

/* Counts in units of the last place of x's binade; a count that rounds up to the next binade runs
 * over into the exponent by itself, as does one from subnormal to normal. */
static unsigned char to_small(small_float f, float x)
{
    const unsigned sign = signbit(x) ? 0x80u : 0;
    if (isnan(x)) return (unsigned char)(sign | f.nan);
    if (isinf(x)) return (unsigned char)(sign | f.over);

    const int exponent = x != 0.0f && ilogbf(x) > 1 - f.bias ? ilogbf(x) : 1 - f.bias;
    if (exponent > f.bias + 1) return (unsigned char)(sign | f.over);
    const unsigned units = (unsigned)rintf(ldexpf(fabsf(x), f.fraction - exponent));
    const unsigned code =
        ((unsigned)(exponent + f.bias) << f.fraction) + units - (1u << f.fraction);
    return (unsigned char)(sign | (code > f.most ? f.over : code));
}

static float from_e8m0(unsigned char byte)
{
    return byte == 0xFF ? NAN : ldexpf(1.0f, byte - 127);
}

/* The exponent, plus one when the fraction is above sqrt(2). Zero has no exponent: the least. */
static unsigned char to_e8m0(float x)
{
    if (isnan(x)) return 0xFF;
    if (x == 0.0f) return 0;
    if (isinf(x)) return 0xFE;

    int exponent;
    const float fraction = frexpf(fabsf(x), &exponent); /* 0.5 .. 1 */
    const int nearest = exponent - (fraction <= 0.70710677f ? 1 : 0);
    return (unsigned char)(nearest < -127 ? 0 : nearest > 127 ? 254 : nearest + 127);
}

/* ---- arrays ---- */

static void from_f64(const unsigned char *from, float *to, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double x;
        memcpy(&x, from + 8 * i, sizeof x);
        to[i] = (float)x;
    }
}

void mc_to_f32(mc_dtype dtype, const void *from, float *to, size_t n)
{
    if (n == 0) return;
    const unsigned char *p = from;
    switch (dtype) {
    case MC_F32: memcpy(to, from, n * sizeof *to); break;
    case MC_F16: mc_kernels_best()->f16_to_f32(from, to, n); break;
    case MC_BF16: mc_kernels_best()->bf16_to_f32(from, to, n); break;
    case MC_F64: from_f64(p, to, n); break;
    case MC_F8_E4M3:
        for (size_t i = 0; i < n; i++) to[i] = from_small(e4m3, p[i]);
        break;
    case MC_F8_E5M2:
        for (size_t i = 0; i < n; i++) to[i] = from_small(e5m2, p[i]);
        break;
    case MC_F8_E8M0:
        for (size_t i = 0; i < n; i++) to[i] = from_e8m0(p[i]);
        break;
    default:
        for (size_t i = 0; i < n; i++) to[i] = NAN; /* a caller's mistake stays visible */
    }
}

void mc_from_f32(mc_dtype dtype, const float *from, void *to, size_t n)
{
    if (n == 0) return;
    unsigned char *p = to;
    switch (dtype) {
    case MC_F32: memcpy(to, from, n * sizeof *from); break;
    case MC_F16: mc_kernels_best()->f32_to_f16(from, to, n); break;
    case MC_BF16: mc_kernels_best()->f32_to_bf16(from, to, n); break;
    case MC_F8_E4M3:
        for (size_t i = 0; i < n; i++) p[i] = to_small(e4m3, from[i]);
        break;
    case MC_F8_E5M2:
        for (size_t i = 0; i < n; i++) p[i] = to_small(e5m2, from[i]);
        break;
    case MC_F8_E8M0:
        for (size_t i = 0; i < n; i++) p[i] = to_e8m0(from[i]);
        break;
    default: break;
    }
}

void mc_round_all_to(mc_dtype dtype, float *x, size_t n)
{
    enum { CHUNK = 64 };
    if (dtype == MC_F32) return;
    for (size_t at = 0; at < n; at += CHUNK) {
        unsigned char stored[4 * CHUNK];
        const size_t length = n - at < CHUNK ? n - at : CHUNK;
        mc_from_f32(dtype, x + at, stored, length);
        mc_to_f32(dtype, stored, x + at, length);
    }
}

float mc_round_to(mc_dtype dtype, float x)
{
    mc_round_all_to(dtype, &x, 1);
    return x;
}
