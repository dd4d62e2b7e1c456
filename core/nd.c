/* Tensors in memory: how wide elements are, what stored bytes become, what small floats can hold.
 *
 * Small floats that core/dtype.h does not convert (F4 and the FNUZ kinds) are few codes: a table of
 * all of them, rounded to by search. */
#include "core/nd.h"

#include "core/bytes.h"
#include "core/ckd.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

size_t mc_nd_width(mc_dtype dtype)
{
    switch (dtype) {
    case MC_DTYPE_NONE:
    case MC_DTYPE_COUNT:
    case MC_C64:
    case MC_C128: return 0;
    case MC_STRING: return sizeof(mc_nd_text);
    default: break;
    }
    if (mc_nd_is_small_float(dtype)) return sizeof(float);
    const unsigned bits = mc_dtype_about(dtype)->bits;
    return bits < 8 ? 1 : bits / 8;
}

mc_dtype mc_nd_storage(mc_dtype dtype)
{
    if (mc_nd_is_small_float(dtype)) return MC_F32;
    switch (dtype) {
    case MC_U4:
    case MC_U2: return MC_U8;
    case MC_I4:
    case MC_I2: return MC_I8;
    default: return dtype;
    }
}

bool mc_nd_is_small_float(mc_dtype dtype)
{
    const mc_dtype_info *about = mc_dtype_about(dtype);
    return about->is_float && about->bits < 32;
}

/* ---- shapes ---- */

bool mc_nd_shape_known(const mc_nd *t)
{
    if (t->kind != MC_ND_TENSOR || t->dtype == MC_DTYPE_NONE || t->ndim < 0) return false;
    for (int i = 0; i < t->ndim; i++) {
        if (t->dim[i] < 0) return false;
    }
    return true;
}

bool mc_nd_same_shape(const mc_nd *a, const mc_nd *b)
{
    if (a->ndim != b->ndim) return false;
    for (int i = 0; i < a->ndim; i++) {
        if (a->dim[i] != b->dim[i]) return false;
    }
    return true;
}

/* Dimensions of 0 count as 1 for the bytes, so that no product of some dimensions overflows. */
mc_status mc_nd_set(mc_nd *t, mc_dtype dtype, int ndim, const int64_t *dim, mc_err *err)
{
    if (ndim > MC_MAX_DIMS)
        return mc_fail(err, MC_E_FORMAT, "a tensor of %d dimensions (at most %d are allowed)", ndim,
                       (int)MC_MAX_DIMS);
    bool known = ndim >= 0, empty = false;
    const size_t width = mc_nd_width(dtype);
    uint64_t bytes = width > 0 ? width : 1, count = 1;
    for (int i = 0; i < ndim; i++) {
        if (dim[i] < -1)
            return mc_fail(err, MC_E_FORMAT, "dimension %d is %lld", i, (long long)dim[i]);
        known = known && dim[i] >= 0;
        empty = empty || dim[i] == 0;
        const uint64_t n = dim[i] > 0 ? (uint64_t)dim[i] : 1;
        if (!mc_mul_u64(bytes, n, &bytes) || bytes > INT64_MAX || bytes > SIZE_MAX / 2)
            return mc_fail(err, MC_E_FORMAT, "a tensor is too large at dimension %d of %lld", i,
                           (long long)dim[i]);
        count *= n;
    }
    t->dtype = dtype;
    t->ndim = ndim < 0 ? MC_RANK_UNKNOWN : ndim;
    if (ndim > 0) memmove(t->dim, dim, (size_t)ndim * sizeof *dim);
    t->count = known && !empty ? (size_t)count : 0;
    return MC_OK;
}

bool mc_nd_axis(const mc_nd *t, int64_t axis, int *out)
{
    if (t->ndim < 0 || axis < -(int64_t)t->ndim || axis >= t->ndim) return false;
    *out = (int)(axis < 0 ? axis + t->ndim : axis);
    return true;
}

size_t mc_nd_span(const mc_nd *t, int from, int to)
{
    size_t n = 1;
    for (int i = from; i < to; i++) n *= (size_t)(t->dim[i] > 0 ? t->dim[i] : 0);
    return n;
}

/* ---- single elements ---- */

static int64_t cut(double x)
{
    if (!(x > -0x1p63)) return isnan(x) ? 0 : INT64_MIN;
    return x < 0x1p63 ? (int64_t)x : INT64_MAX;
}

int64_t mc_nd_int(const mc_nd *t, size_t i)
{
    const void *at = t->data;
    switch (mc_nd_storage(t->dtype)) {
    case MC_BOOL:
    case MC_U8: return ((const uint8_t *)at)[i];
    case MC_I8: return ((const int8_t *)at)[i];
    case MC_U16: return ((const uint16_t *)at)[i];
    case MC_I16: return ((const int16_t *)at)[i];
    case MC_U32: return ((const uint32_t *)at)[i];
    case MC_I32: return ((const int32_t *)at)[i];
    case MC_U64: {
        const uint64_t x = ((const uint64_t *)at)[i];
        return x > INT64_MAX ? INT64_MAX : (int64_t)x;
    }
    case MC_I64: return ((const int64_t *)at)[i];
    default: return cut(mc_nd_real(t, i));
    }
}

double mc_nd_real(const mc_nd *t, size_t i)
{
    switch (mc_nd_storage(t->dtype)) {
    case MC_F32: return (double)((const float *)t->data)[i];
    case MC_F64: return ((const double *)t->data)[i];
    case MC_U64: return (double)((const uint64_t *)t->data)[i];
    case MC_STRING:
    case MC_C64:
    case MC_C128:
    case MC_DTYPE_NONE: return (double)NAN;
    default: return (double)mc_nd_int(t, i);
    }
}

/* ---- small floats without conversion in core/dtype.h ---- */

/* Sign, exponent, fraction, from the top bit down; `bias` of the exponent. The FNUZ kinds have no
 * infinity and no -0, whose code is their only NaN. */
typedef struct {
    mc_dtype dtype;
    unsigned bits, fraction;
    int bias;
    bool fnuz;
} small_kind;

static const small_kind small_kinds[] = {
    {MC_F8_E4M3FNUZ, 8, 3, 8, true}, {MC_F8_E5M2FNUZ, 8, 2, 16, true}, {MC_F6_E2M3, 6, 3, 1, false},
    {MC_F6_E3M2, 6, 2, 3, false},    {MC_F4, 4, 1, 1, false},
};

static const small_kind *small_kind_of(mc_dtype dtype)
{
    for (size_t i = 0; i < sizeof small_kinds / sizeof *small_kinds; i++) {
        if (small_kinds[i].dtype == dtype) return &small_kinds[i];
    }
    return NULL;
}

static float small_value(const small_kind *k, unsigned code)
{
    const unsigned top = 1u << (k->bits - 1);
    if (k->fnuz && code == top) return NAN;
    const unsigned size = code & (top - 1);
    const int exponent = (int)(size >> k->fraction);
    const int fraction = (int)(size & ((1u << k->fraction) - 1));
    const int whole = exponent > 0 ? fraction + (1 << k->fraction) : fraction;
    const float x =
        ldexpf((float)whole, (exponent > 0 ? exponent : 1) - k->bias - (int)k->fraction);
    return code & top ? -x : x;
}

/* To nearest, ties to even codes; beyond the largest number: to it. The codes of one sign rise with
 * their values. */
static float small_round(const small_kind *k, float x)
{
    if (isnan(x)) return k->fnuz ? x : copysignf(small_value(k, (1u << (k->bits - 1)) - 1), x);
    unsigned low = 0, high = (1u << (k->bits - 1)) - 1;
    const float size = fabsf(x);
    if (!(size < small_value(k, high))) return copysignf(small_value(k, high), x);
    while (high - low > 1) {
        const unsigned mid = (low + high) / 2;
        if (small_value(k, mid) <= size)
            low = mid;
        else
            high = mid;
    }
    const float below = small_value(k, low), above = small_value(k, high);
    const bool up = size - below > above - size || (size - below == above - size && low % 2 == 1);
    const float nearest = up ? above : below;
    return nearest == 0.0f && k->fnuz ? 0.0f : copysignf(nearest, x);
}

void mc_nd_round(mc_nd *t)
{
    if (!mc_nd_is_small_float(t->dtype) || !t->data) return;
    float *x = t->data;
    const small_kind *k = small_kind_of(t->dtype);
    if (!k) {
        mc_round_all_to(t->dtype, x, t->count);
        return;
    }
    for (size_t i = 0; i < t->count; i++) x[i] = small_round(k, x[i]);
}

/* ---- what files store ---- */

/* The code of element i, packed with the low bits first. A code may straddle two bytes (6 bits). */
static unsigned packed_code(const unsigned char *data, uint64_t i, unsigned bits)
{
    const uint64_t bit = i * bits;
    const unsigned shift = (unsigned)(bit % 8);
    unsigned two = data[bit / 8];
    if (shift + bits > 8) two |= (unsigned)data[bit / 8 + 1] << 8;
    return (two >> shift) & ((1u << bits) - 1);
}

static void decode_packed(mc_dtype dtype, const unsigned char *data, uint64_t first, size_t count,
                          void *out)
{
    const unsigned bits = mc_dtype_about(dtype)->bits;
    const bool is_signed = dtype == MC_I4 || dtype == MC_I2;
    uint8_t *to = out;
    for (size_t i = 0; i < count; i++) {
        const unsigned code = packed_code(data, first + i, bits);
        const unsigned top = 1u << (bits - 1);
        to[i] = (uint8_t)(is_signed && (code & top) ? code | (0xFFu & ~(2 * top - 1)) : code);
    }
}

static void decode_small(const small_kind *k, const unsigned char *data, uint64_t first,
                         size_t count, float *out)
{
    float value[256];
    for (unsigned code = 0; code < 1u << k->bits; code++) value[code] = small_value(k, code);
    for (size_t i = 0; i < count; i++) out[i] = value[packed_code(data, first + i, k->bits)];
}

static void decode_whole(size_t width, const unsigned char *from, size_t count, void *out)
{
    switch (width) {
    case 2:
        for (size_t i = 0; i < count; i++) ((uint16_t *)out)[i] = mc_load_u16le(from + 2 * i);
        break;
    case 4:
        for (size_t i = 0; i < count; i++) ((uint32_t *)out)[i] = mc_load_u32le(from + 4 * i);
        break;
    case 8:
        for (size_t i = 0; i < count; i++) ((uint64_t *)out)[i] = mc_load_u64le(from + 8 * i);
        break;
    default: memcpy(out, from, count * width);
    }
}

mc_status mc_nd_decode(mc_dtype dtype, const unsigned char *data, uint64_t first, uint64_t count,
                       void *out, mc_err *err)
{
    const unsigned bits = mc_dtype_about(dtype)->bits;
    if (mc_nd_width(dtype) == 0 || dtype == MC_STRING)
        return mc_fail(err, MC_E_UNSUPPORTED, "numbers of type %s cannot be computed with",
                       mc_dtype_about(dtype)->name);
    const size_t n = (size_t)count;
    if (n == 0) return MC_OK;
    const small_kind *k = small_kind_of(dtype);
    if (k) {
        decode_small(k, data, first, n, out);
    } else if (mc_dtype_about(dtype)->to_f32 && dtype != MC_F64) {
        mc_to_f32(dtype, data + first * (bits / 8), out, n);
    } else if (bits < 8) {
        decode_packed(dtype, data, first, n, out);
    } else if (dtype == MC_BOOL) {
        for (size_t i = 0; i < n; i++) ((uint8_t *)out)[i] = data[first + i] != 0;
    } else {
        decode_whole(bits / 8, data + first * (bits / 8), n, out);
    }
    return MC_OK;
}

/* ---- for messages ---- */

static size_t show_dims(const mc_nd *t, char *text, size_t room)
{
    if (t->ndim < 0) return (size_t)snprintf(text, room, "[...]");
    size_t n = (size_t)snprintf(text, room, "[");
    for (int i = 0; i < t->ndim && n < room; i++) {
        const char *comma = i > 0 ? ", " : "";
        const int wrote = t->dim[i] < 0
                              ? snprintf(text + n, room - n, "%s?", comma)
                              : snprintf(text + n, room - n, "%s%lld", comma, (long long)t->dim[i]);
        n += (size_t)wrote;
    }
    if (n < room) n += (size_t)snprintf(text + n, room - n, "]");
    return n;
}

const char *mc_nd_show(const mc_nd *t, char text[MC_ND_TEXT])
{
    const char *dtype = t->dtype == MC_DTYPE_NONE ? "?" : mc_dtype_about(t->dtype)->name;
    if (t->kind == MC_ND_SEQUENCE) {
        snprintf(text, MC_ND_TEXT, "a sequence of %zu", t->items);
    } else if (t->kind == MC_ND_OPTIONAL) {
        snprintf(text, MC_ND_TEXT, "an optional %s",
                 t->items > 0 ? "with a value" : "without value");
    } else {
        const size_t n = show_dims(t, text, MC_ND_TEXT);
        if (n < MC_ND_TEXT) snprintf(text + n, MC_ND_TEXT - n, " %s", dtype);
    }
    return text;
}
