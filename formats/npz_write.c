/* Writing .npz: stored .npy members whose sizes are known from the start, so rows go straight to
 * their places and only the sums in the zip's headers wait for the end. */
#include "core/bytes.h"
#include "core/ckd.h"
#include "formats/json_pull.h"
#include "formats/limits.h"
#include "formats/npy_parts.h"

#include <inttypes.h>
#include <string.h>

enum {
    LOCAL_BYTES = 30,
    ENTRY_BYTES = 46,
    LOCAL_EXTRA = 4 + 2 * 8, /* zip64: size, packed size */
    EXTRA_BYTES = 4 + 3 * 8, /* and in the directory the offset */
    END64_BYTES = 56,
    LOCATOR_BYTES = 20,
    END_BYTES = 22,
    HEADER_ALIGN = 64, /* where numbers begin in a .npy */
    NAME_MOST = 256,
    TEXT_MOST = 512,
    VERSION = 45, /* of zip: with zip64 */
};

typedef struct {
    char name[NAME_MOST + 8]; /* with .npy */
    uint64_t offset;          /* of the local header */
    uint64_t data;            /* of the first number */
    uint64_t size;            /* of the .npy */
    uint64_t row_bytes, rows, written;
    uint32_t crc;
} slot;

struct mc_npz_out {
    mc_out *out;
    slot *slot;
    size_t slots;
    uint64_t end; /* where the directory begins */
    mc_region memory;
};

/* ---- the .npy header ---- */

static const char *descr_of(mc_dtype dtype)
{
    switch (dtype) {
    case MC_F32: return "<f4";
    case MC_F64: return "<f8";
    case MC_F16: return "<f2";
    case MC_I8: return "|i1";
    case MC_I16: return "<i2";
    case MC_I32: return "<i4";
    case MC_I64: return "<i8";
    case MC_U8: return "|u1";
    case MC_U16: return "<u2";
    case MC_U32: return "<u4";
    case MC_U64: return "<u8";
    case MC_BOOL: return "|b1";
    default: return NULL;
    }
}

/* Version 1.0, padded so that the numbers are aligned. Returns its bytes. */
static size_t npy_header(const mc_npz_member *m, unsigned char header[TEXT_MOST], mc_arena *mem)
{
    char *text = mc_format(mem, "{'descr': '%s', 'fortran_order': False, 'shape': (%" PRIu64 ",",
                           descr_of(m->dtype), m->rows);
    for (int d = 0; text && d < m->row_ndim; d++)
        text =
            mc_format(mem, "%s %" PRIu64 "%s", text, m->row_dim[d], d + 1 < m->row_ndim ? "," : "");
    text = text ? mc_format(mem, "%s), }", text) : NULL;
    if (!text || strlen(text) > TEXT_MOST - 80) return 0;
    const size_t used = 10 + strlen(text) + 1;
    const size_t bytes = (used + HEADER_ALIGN - 1) / HEADER_ALIGN * HEADER_ALIGN;
    memset(header, ' ', bytes);
    memcpy(header, "\x93NUMPY\x01\x00", 8);
    mc_store_u16le(header + 8, (uint16_t)(bytes - 10));
    memcpy(header + 10, text, strlen(text));
    header[bytes - 1] = '\n';
    return bytes;
}

/* ---- laying out ---- */

static mc_status take_name(const mc_npz_out *z, const mc_npz_member *m, slot *s, mc_err *err)
{
    const size_t n = strlen(m->name);
    if (n > NAME_MOST)
        return mc_fail(err, MC_E_UNSUPPORTED, "array %s: its name is longer than %d bytes",
                       mc_quote(m->name).text, (int)NAME_MOST);
    memcpy(s->name, m->name, n);
    memcpy(s->name + n, ".npy", 5);
    for (size_t i = 0; i < z->slots; i++)
        if (strcmp(z->slot[i].name, s->name) == 0)
            return mc_fail(err, MC_E_UNSUPPORTED, "array '%s' stands twice", s->name);
    return MC_OK;
}

static mc_status lay_out(mc_npz_out *z, const mc_npz_member *m, mc_err *err)
{
    slot *s = &z->slot[z->slots];
    unsigned char header[TEXT_MOST];
    if (!descr_of(m->dtype))
        return mc_fail(err, MC_E_UNSUPPORTED, "array '%s': %s cannot be written as .npy", m->name,
                       mc_dtype_about(m->dtype)->name);
    MC_TRY(take_name(z, m, s, err));
    s->rows = m->rows;
    s->row_bytes = mc_dtype_about(m->dtype)->bits / 8;
    bool fits = true;
    for (int d = 0; d < m->row_ndim; d++)
        fits = fits && mc_mul_u64(s->row_bytes, m->row_dim[d], &s->row_bytes);
    mc_arena mem = z->memory.arena;
    const size_t bytes = npy_header(m, header, &mem);
    fits = fits && bytes && mc_mul_u64(s->rows, s->row_bytes, &s->size) &&
           mc_add_u64(s->size, bytes, &s->size) && s->size < ((uint64_t)1 << 62) - z->end;
    if (!fits) return mc_fail(err, MC_E_UNSUPPORTED, "array '%s': its shape overflows", m->name);

    s->offset = z->end;
    const uint64_t start = s->offset + LOCAL_BYTES + strlen(s->name) + LOCAL_EXTRA;
    s->data = start + bytes;
    s->crc = mc_zip_crc(0, header, bytes);
    z->end = start + s->size;
    z->slots++;
    return mc_out_write_at(z->out, start, header, bytes, err);
}

mc_status mc_npz_out_open(const char *path, bool replace, const mc_npz_member *member,
                          size_t members, mc_npz_out **out, mc_err *err)
{
    mc_region memory;
    *out = NULL;
    if (members > MC_NPZ_MEMBERS)
        return mc_fail(err, MC_E_UNSUPPORTED, "%s: %zu arrays in one file (at most %d)", path,
                       members, (int)MC_NPZ_MEMBERS);
    MC_TRY(mc_region_open(&memory, members * (sizeof(slot) + 64) + (1 << 16), err));
    mc_npz_out *z = MC_NEW(&memory.arena, mc_npz_out, 1);
    slot *slots = MC_NEW(&memory.arena, slot, members + 1);
    if (!z || !slots) {
        mc_region_close(&memory);
        return mc_no_room(err, "the arrays of a file");
    }
    *z = (mc_npz_out){.slot = slots, .memory = memory};
    mc_status status = mc_out_open(path, 0, (mc_out_options){.replace = replace}, &z->out, err);
    for (size_t i = 0; status == MC_OK && i < members; i++) status = lay_out(z, &member[i], err);
    if (status == MC_OK)
        *out = z;
    else
        mc_npz_out_discard(z);
    return status;
}

mc_status mc_npz_out_row(mc_npz_out *z, size_t member, uint64_t row, const void *data, mc_err *err)
{
    slot *s = &z->slot[member];
    if (row != s->written || row >= s->rows)
        return mc_fail(err, MC_E_INTERNAL,
                       "array '%s': row %" PRIu64 " after %" PRIu64 " of %" PRIu64, s->name, row,
                       s->written, s->rows);
    s->crc = mc_zip_crc(s->crc, data, s->row_bytes);
    s->written++;
    return mc_out_write_at(z->out, s->data + row * s->row_bytes, data, (size_t)s->row_bytes, err);
}

/* ---- the zip's own records ---- */

/* Sizes and offset as zip64 says them; the 32-bit fields hold all ones. */
static void store_extra(unsigned char *to, const slot *s, uint16_t bytes)
{
    mc_store_u16le(to, 1);
    mc_store_u16le(to + 2, (uint16_t)(bytes - 4));
    mc_store_u64le(to + 4, s->size);
    mc_store_u64le(to + 12, s->size);
    if (bytes == EXTRA_BYTES) mc_store_u64le(to + 20, s->offset);
}

/* What local headers and directory entries share, from the version needed on. The date is the
 * earliest there is: files of the same arrays are the same. */
static void store_common(unsigned char *to, const slot *s, uint16_t extra)
{
    mc_store_u16le(to, VERSION);
    mc_store_u16le(to + 2, 0x0800); /* names are UTF-8 */
    mc_store_u16le(to + 8, 0x0021); /* 1 January 1980 */
    mc_store_u32le(to + 10, s->crc);
    mc_store_u32le(to + 14, UINT32_MAX);
    mc_store_u32le(to + 18, UINT32_MAX);
    mc_store_u16le(to + 22, (uint16_t)strlen(s->name));
    mc_store_u16le(to + 24, extra);
}

static mc_status write_local(mc_npz_out *z, const slot *s, mc_err *err)
{
    unsigned char head[LOCAL_BYTES + NAME_MOST + 8 + LOCAL_EXTRA] = {0};
    const size_t name = strlen(s->name);
    mc_store_u32le(head, 0x04034b50);
    store_common(head + 4, s, LOCAL_EXTRA);
    memcpy(head + LOCAL_BYTES, s->name, name);
    store_extra(head + LOCAL_BYTES + name, s, LOCAL_EXTRA);
    return mc_out_write_at(z->out, s->offset, head, LOCAL_BYTES + name + LOCAL_EXTRA, err);
}

static mc_status write_entry(mc_npz_out *z, const slot *s, uint64_t *at, mc_err *err)
{
    unsigned char entry[ENTRY_BYTES + NAME_MOST + 8 + EXTRA_BYTES] = {0};
    const size_t name = strlen(s->name);
    mc_store_u32le(entry, 0x02014b50);
    mc_store_u16le(entry + 4, VERSION);
    store_common(entry + 6, s, EXTRA_BYTES);
    mc_store_u32le(entry + 42, UINT32_MAX);
    memcpy(entry + ENTRY_BYTES, s->name, name);
    store_extra(entry + ENTRY_BYTES + name, s, EXTRA_BYTES);
    const uint64_t from = *at;
    *at += ENTRY_BYTES + name + EXTRA_BYTES;
    return mc_out_write_at(z->out, from, entry, ENTRY_BYTES + name + EXTRA_BYTES, err);
}

static mc_status write_end(mc_npz_out *z, uint64_t at, mc_err *err)
{
    unsigned char end[END64_BYTES + LOCATOR_BYTES + END_BYTES] = {0};
    unsigned char *locator = end + END64_BYTES, *last = locator + LOCATOR_BYTES;
    mc_store_u32le(end, 0x06064b50);
    mc_store_u64le(end + 4, END64_BYTES - 12);
    mc_store_u16le(end + 12, VERSION);
    mc_store_u16le(end + 14, VERSION);
    mc_store_u64le(end + 24, z->slots);
    mc_store_u64le(end + 32, z->slots);
    mc_store_u64le(end + 40, at - z->end);
    mc_store_u64le(end + 48, z->end);
    mc_store_u32le(locator, 0x07064b50);
    mc_store_u64le(locator + 8, at);
    mc_store_u32le(locator + 16, 1);
    mc_store_u32le(last, 0x06054b50);
    mc_store_u16le(last + 8, UINT16_MAX);
    mc_store_u16le(last + 10, UINT16_MAX);
    mc_store_u32le(last + 12, UINT32_MAX);
    mc_store_u32le(last + 16, UINT32_MAX);
    return mc_out_write_at(z->out, at, end, sizeof end, err);
}

static mc_status finish(mc_npz_out *z, mc_err *err)
{
    uint64_t at = z->end;
    for (size_t i = 0; i < z->slots; i++) {
        const slot *s = &z->slot[i];
        if (s->written != s->rows)
            return mc_fail(err, MC_E_INTERNAL, "array '%s': %" PRIu64 " of %" PRIu64 " rows",
                           s->name, s->written, s->rows);
        MC_TRY(write_local(z, s, err));
        MC_TRY(write_entry(z, s, &at, err));
    }
    return write_end(z, at, err);
}

mc_status mc_npz_out_commit(mc_npz_out *z, mc_err *err)
{
    mc_status status = finish(z, err);
    if (status == MC_OK) {
        status = mc_out_commit(z->out, NULL, NULL, err);
        z->out = NULL;
    }
    mc_npz_out_discard(z);
    return status;
}

void mc_npz_out_discard(mc_npz_out *z)
{
    if (!z) return;
    mc_out_discard(z->out);
    mc_region memory = z->memory; /* holds z */
    mc_region_close(&memory);
}
