/* What no hash can say: that the bytes of a weight are ones that a writer may have written.
 *
 * A container whose hashes fit may still lie. Scales and offsets must be numbers, scales of the
 * sign that the record allows, codes must be those of their levels, and what is left of a last byte
 * must be zero. */
#include "formats/container_records.h"

#include "core/bytes.h"
#include "formats/bits.h"

#include <float.h>
#include <math.h>

/* Elements looked at in one go, and between two releases of what they were read from: a multiple of
 * 8 and of 5, so that both end at whole bytes in every encoding. */
enum { NUMBERS = 1000, WINDOW = 640 * NUMBERS };

/* A part of a weight, and where its bytes are. */
typedef struct {
    const mc_container *c;
    const mc_weight_spec *spec;
    const mcpk_part *part;
    const unsigned char *data;
    mc_part_need need;
} contents;

/* Elements [from, to) of it. */
typedef mc_status (*check_fn)(const contents *k, uint64_t from, uint64_t to, mc_err *err);

static const char *text_of(const contents *k, char *text, size_t room)
{
    return mc_section_text(k->part, k->spec->name, NULL, text, room);
}

/* ---- numbers ---- */

static mc_status refuse_number(const contents *k, uint64_t at, float x, mc_err *err)
{
    char text[512];
    (void)text_of(k, text, sizeof text);
    if (!isfinite(x))
        return mc_fail(err, MC_E_FORMAT, "%s: number %llu is %s", text, (unsigned long long)at,
                       isnan(x) ? "nan" : "infinite");
    return mc_fail(err, MC_E_MISMATCH, "%s: number %llu is %g, its record allows no negative ones",
                   text, (unsigned long long)at, (double)x);
}

static mc_status check_numbers(const contents *k, uint64_t from, uint64_t to, mc_err *err)
{
    const mc_dtype dtype = (mc_dtype)k->need.encoding;
    const size_t bytes = mc_dtype_about(dtype)->bits / 8;
    const bool scale = k->need.role == MCPK_ROLE_SCALE || k->need.role == MCPK_ROLE_SUPER_SCALE;
    const float least = scale && !k->spec->grid.negative_scale ? 0.0f : -FLT_MAX;
    float x[NUMBERS];
    for (uint64_t at = from; at < to; at += NUMBERS) {
        const size_t n = to - at < NUMBERS ? (size_t)(to - at) : NUMBERS;
        mc_to_f32(dtype, k->data + at * bytes, x, n);
        for (size_t i = 0; i < n; i++)
            if (!(x[i] >= least && x[i] <= FLT_MAX)) return refuse_number(k, at + i, x[i], err);
    }
    return MC_OK;
}

/* ---- codes ---- */

static mc_status check_base3(const contents *k, uint64_t from, uint64_t to, mc_err *err)
{
    char text[512];
    for (uint64_t i = from / 5; i < (to + 4) / 5; i++)
        if (k->data[i] > 242)
            return mc_fail(err, MC_E_MISMATCH, "%s: byte %llu is %u, five base-3 digits make 242",
                           text_of(k, text, sizeof text), (unsigned long long)i,
                           (unsigned)k->data[i]);
    return MC_OK;
}

/* How many of the codes from `from` on, a multiple of 16, are surely below `count`: sixteen codes
 * of 4 bits at a time, where adding 16 - count carries into the fifth bit of those that are not. */
static uint64_t good_nibbles(const unsigned char *data, uint64_t from, uint64_t to, unsigned count)
{
    const uint64_t low = UINT64_C(0x0f0f0f0f0f0f0f0f), one = low / 15;
    const uint64_t add = one * (16 - count);
    uint64_t at = from;
    for (; to - at >= 16; at += 16) {
        const uint64_t x = mc_load_u64le(data + at / 2);
        if ((((x & low) + add) | ((x >> 4 & low) + add)) & (one << 4)) break;
    }
    return at - from;
}

static mc_status check_codes(const contents *k, uint64_t from, uint64_t to, mc_err *err)
{
    const mc_levels *levels = k->spec->grid.levels;
    char text[512];
    uint8_t code[NUMBERS];
    if (levels->bits == 4) from += good_nibbles(k->data, from, to, levels->count);
    for (uint64_t at = from; at < to; at += NUMBERS) {
        const size_t n = to - at < NUMBERS ? (size_t)(to - at) : NUMBERS;
        mc_bits_unpack(levels->bits, k->data, at, n, code);
        for (size_t i = 0; i < n; i++)
            if (code[i] >= levels->count)
                return mc_fail(err, MC_E_MISMATCH, "%s: code %u at %llu, %s has %u levels",
                               text_of(k, text, sizeof text), (unsigned)code[i],
                               (unsigned long long)(at + i), levels->name, (unsigned)levels->count);
    }
    return MC_OK;
}

/* What has to be looked at in each element; NULL when any bits will do. */
static check_fn check_of(const contents *k)
{
    const mc_levels *levels = k->spec->grid.levels;
    if (k->need.encoding == MCPK_ENCODING_BASE3) return check_base3;
    if (k->need.encoding <= MCPK_ENCODING_PACKED) return check_numbers;
    if (k->need.role != MCPK_ROLE_CODES) return NULL;
    return levels->count < 1u << levels->bits ? check_codes : NULL; /* a table may have fewer */
}

static mc_status check_tail(const contents *k, mc_err *err)
{
    static const unsigned powers[] = {243, 3, 9, 27, 81}; /* 3 to the digits of the last byte */
    char text[512];
    if (k->need.encoding <= MCPK_ENCODING_PACKED) return MC_OK;
    const unsigned last = k->data[k->need.bytes - 1];
    const unsigned bits = k->need.encoding - MCPK_ENCODING_PACKED;
    const unsigned used = (unsigned)(k->need.count % 8 * bits % 8); /* 0: all of it */
    const bool whole = k->need.encoding == MCPK_ENCODING_BASE3 ? last < powers[k->need.count % 5]
                                                               : used == 0 || last >> used == 0;
    if (whole) return MC_OK;
    return mc_fail(err, MC_E_MISMATCH, "%s: the rest of its last byte is not zero",
                   text_of(k, text, sizeof text));
}

/* ---- sections ---- */

static void release(const contents *k, uint64_t from, uint64_t to)
{
    if (k->part->flags & MCPK_ZLIB) return;
    const double per_element = (double)k->part->stored / (double)k->need.count;
    const uint64_t begin = (uint64_t)(per_element * (double)from);
    const uint64_t end = (uint64_t)(per_element * (double)to);
    mc_map_release(&k->c->map, (size_t)(k->part->offset + begin), (size_t)(k->part->offset + end));
}

mc_status mc_check_contents(const mc_container *c, size_t i, mc_err *err)
{
    const mcpk_part *part = &c->part[i];
    if (part->type != MCPK_SECTION_WEIGHT) return MC_OK;
    const mc_weight_spec *spec = &c->weight[part->weight];
    if (spec->form != MC_FORM_QUANTIZED) return MC_OK; /* what was carried may hold anything */
    mc_needs needs;
    MC_TRY(mc_needs_of(spec, &needs, err));
    const contents k = {c, spec, part, c->data[i], needs.part[i - c->first_part[part->weight]]};
    const check_fn check = check_of(&k);
    for (uint64_t at = 0; check && at < k.need.count; at += WINDOW) {
        const uint64_t end = k.need.count - at < WINDOW ? k.need.count : at + WINDOW;
        MC_TRY(check(&k, at, end, err));
        release(&k, at, end);
    }
    return check_tail(&k, err);
}
