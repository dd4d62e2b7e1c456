/* Numbers of arrays as the inputs of a graph take them. Nothing is wrapped around, cut or turned
 * into infinity: a value that the wanted dtype does not hold is refused. */
#include "calib/dataset_parts.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { CHUNK = 512, SCATTERED = 16 };

static bool is_whole(mc_dtype dtype)
{
    return !mc_dtype_about(dtype)->is_float;
}

bool mc_data_converts(mc_dtype from, mc_dtype to)
{
    if (mc_nd_width(to) == 0 || to == MC_STRING) return false;
    return is_whole(from) || !is_whole(to);
}

/* A whole number of 65 bits: the value, or 2^64 less. */
typedef struct {
    uint64_t word;
    bool below; /* 0 */
} whole;

static whole whole_at(const mc_nd *from, size_t i)
{
    if (from->dtype == MC_U64) return (whole){((const uint64_t *)from->data)[i], false};
    const int64_t value = mc_nd_int(from, i);
    return (whole){(uint64_t)value, value < 0};
}

static bool is_signed(mc_dtype dtype)
{
    switch (dtype) {
    case MC_I2:
    case MC_I4:
    case MC_I8:
    case MC_I16:
    case MC_I32:
    case MC_I64: return true;
    default: return false;
    }
}

/* False when the dtype cannot hold it. */
static bool store_whole(mc_dtype dtype, whole value, unsigned char *to)
{
    const unsigned bits = mc_dtype_about(dtype)->bits;
    if (dtype == MC_BOOL) {
        *to = value.word != 0;
        return true;
    }
    if (value.below && !is_signed(dtype)) return false;
    const uint64_t most = UINT64_MAX >> (64 - bits + (is_signed(dtype) ? 1 : 0));
    if ((value.below ? ~value.word : value.word) > most) return false;
    memcpy(to, &value.word, mc_nd_width(dtype)); /* little-endian, as all maps are read */
    return true;
}

/* False when the dtype cannot hold it: NaN, infinity, and what would become infinity. Small floats
 * lie as f32 and are rounded at the end. */
static bool store_real(mc_dtype dtype, double value, unsigned char *to)
{
    const float narrow = (float)value;
    if (dtype == MC_F64)
        memcpy(to, &value, sizeof value);
    else
        memcpy(to, &narrow, sizeof narrow);
    return isfinite(value) && (dtype == MC_F64 || isfinite(narrow));
}

static mc_status round_all(const mc_data_part *part, mc_nd *to, mc_err *err)
{
    if (!mc_nd_is_small_float(to->dtype)) return MC_OK;
    mc_nd_round(to);
    for (size_t i = 0; i < to->count; i++)
        if (!isfinite(((const float *)to->data)[i]))
            return mc_fail(err, MC_E_FORMAT, "element %" PRIu64 " is too large for %s",
                           part->first + i, mc_dtype_about(to->dtype)->name);
    return MC_OK;
}

static mc_status refuse(uint64_t place, const mc_nd *one, mc_dtype dtype, mc_err *err)
{
    char text[48];
    if (!is_whole(one->dtype))
        snprintf(text, sizeof text, "%g", mc_nd_real(one, 0));
    else if (whole_at(one, 0).below)
        snprintf(text, sizeof text, "%" PRId64, mc_nd_int(one, 0));
    else
        snprintf(text, sizeof text, "%" PRIu64, whole_at(one, 0).word);
    return mc_fail(err, MC_E_FORMAT, "element %" PRIu64 " is %s, which %s does not hold", place,
                   text, mc_dtype_about(dtype)->name);
}

/* One run of elements, decoded. */
static mc_status store_all(const mc_nd *from, uint64_t place, mc_nd *to, mc_err *err)
{
    const bool to_whole = is_whole(to->dtype);
    const size_t width = mc_nd_width(to->dtype), in = mc_nd_width(from->dtype);
    unsigned char *out = to->data;
    for (size_t i = 0; i < from->count; i++, out += width) {
        const bool fits = to_whole ? store_whole(to->dtype, whole_at(from, i), out)
                                   : store_real(to->dtype, mc_nd_real(from, i), out);
        if (fits) continue;
        const mc_nd one = {.dtype = from->dtype, .data = (unsigned char *)from->data + i * in};
        return refuse(place + i, &one, to->dtype, err);
    }
    return MC_OK;
}

/* To read one number may map a whole large page. In Fortran order they lie all over the array. */
mc_status mc_data_convert(const mc_data_part *part, mc_nd *to, mc_err *err)
{
    const uint64_t page = (uint64_t)2 << 20;
    const mc_array *a = part->array;
    const bool scattered = a->fortran && a->bytes > 4 * page;
    const uint64_t step = scattered ? SCATTERED : CHUNK;
    uint64_t raw[CHUNK], lying[CHUNK]; /* as the file has them; as they lie in memory */
    mc_nd some = *to;
    if (!mc_data_converts(a->dtype, to->dtype))
        return mc_fail(err, MC_E_FORMAT, "%s does not become %s", mc_dtype_about(a->dtype)->name,
                       mc_dtype_about(to->dtype)->name);
    for (uint64_t at = 0; at < part->count; at += step) {
        const size_t n = (size_t)(part->count - at < step ? part->count - at : step);
        mc_array_read(a, part->first + at, n, raw);
        MC_TRY(mc_nd_decode(a->dtype, (const unsigned char *)raw, 0, n, lying, err));
        const mc_nd from = {.dtype = a->dtype, .count = n, .data = lying};
        MC_TRY(store_all(&from, part->first + at, &some, err));
        some.data = (unsigned char *)some.data + n * mc_nd_width(to->dtype);
        mc_data_touch(part->of, part->file, n * (scattered ? page : sizeof(uint64_t)));
    }
    mc_data_touch(part->of, part->file, page);
    return round_all(part, to, err);
}
