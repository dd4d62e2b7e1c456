/* Reading .npz: a zip archive of .npy files, found through its central directory. Stored members
 * stay views of the file, deflated ones are inflated into memory of their own, at most as much as
 * the caller allows; every member's CRC is checked. */
#include "core/bytes.h"
#include "core/ckd.h"
#include "formats/npy_parts.h"

#include <inttypes.h>
#include <string.h>
#include <zlib.h>

enum {
    END_BYTES = 22,   /* end of central directory */
    END64_BYTES = 56, /* its zip64 form */
    LOCATOR_BYTES = 20,
    ENTRY_BYTES = 46, /* of the central directory, without its texts */
    LOCAL_BYTES = 30,
    COMMENT_MOST = 65535,
    MEMBERS_MOST = 4096,
    STORED = 0,
    DEFLATED = 8,
};

typedef struct {
    const unsigned char *bytes;
    size_t n;
    const char *name;
    mc_err *err;
} zip;

typedef struct {
    const char *name;
    size_t name_bytes;
    unsigned method, flags;
    uint32_t crc;
    uint64_t packed, size, offset;
    const unsigned char *data;
} member;

static mc_status refuse(const zip *z, const char *what)
{
    return mc_fail(z->err, MC_E_FORMAT, "%s: zip archive: %s", z->name, what);
}

/* ---- the directory ---- */

typedef struct {
    uint64_t entries, bytes, offset;
} directory;

/* The zip64 record, when there is one. */
static mc_status find_end64(const zip *z, size_t end, directory *d)
{
    if (end < LOCATOR_BYTES) return MC_OK;
    const unsigned char *locator = z->bytes + end - LOCATOR_BYTES;
    if (mc_load_u32le(locator) != 0x07064b50) return MC_OK;
    const uint64_t at = mc_load_u64le(locator + 8);
    if (z->n < END64_BYTES || at > z->n - END64_BYTES || mc_load_u32le(z->bytes + at) != 0x06064b50)
        return refuse(z, "its zip64 record is not where its locator says");
    const unsigned char *record = z->bytes + at;
    *d = (directory){mc_load_u64le(record + 32), mc_load_u64le(record + 40),
                     mc_load_u64le(record + 48)};
    return MC_OK;
}

static mc_status find_directory(const zip *z, directory *d)
{
    if (z->n < END_BYTES) return refuse(z, "it ends before its directory");
    const size_t last = z->n - END_BYTES;
    for (size_t back = 0; back <= last && back <= COMMENT_MOST; back++) {
        const unsigned char *end = z->bytes + last - back;
        if (mc_load_u32le(end) != 0x06054b50 || mc_load_u16le(end + 20) != back) continue;
        *d = (directory){mc_load_u16le(end + 10), mc_load_u32le(end + 12), mc_load_u32le(end + 16)};
        MC_TRY(find_end64(z, last - back, d));
        if (d->offset > z->n || d->bytes > z->n - d->offset)
            return refuse(z, "its directory lies outside the file");
        return d->entries <= MEMBERS_MOST ? MC_OK : refuse(z, "more than 4096 members");
    }
    return refuse(z, "it has no directory (is the file cut off?)");
}

/* Sizes that do not fit 32 bits stand in the zip64 field of the extra data, in this order. */
static bool read_zip64(mc_cursor extra, member *m)
{
    uint64_t *const wide[] = {&m->size, &m->packed, &m->offset};
    while (mc_left(&extra) >= 4) {
        const unsigned char *head = mc_take(&extra, 4);
        const size_t n = mc_load_u16le(head + 2);
        const unsigned char *field = mc_take(&extra, n);
        if (!field) return false;
        if (mc_load_u16le(head) != 1) continue;
        mc_cursor values = {field, field + n};
        for (size_t i = 0; i < 3; i++) {
            if (*wide[i] != UINT32_MAX) continue;
            const unsigned char *value = mc_take(&values, 8);
            if (!value) return false;
            *wide[i] = mc_load_u64le(value);
        }
        return true;
    }
    return m->size != UINT32_MAX && m->packed != UINT32_MAX && m->offset != UINT32_MAX;
}

static mc_status read_entry(const zip *z, mc_cursor *at, member *m)
{
    const unsigned char *e = mc_take(at, ENTRY_BYTES);
    if (!e || mc_load_u32le(e) != 0x02014b50)
        return refuse(z, "an entry of its directory is damaged");
    *m = (member){.flags = mc_load_u16le(e + 8),
                  .method = mc_load_u16le(e + 10),
                  .crc = mc_load_u32le(e + 16),
                  .packed = mc_load_u32le(e + 20),
                  .size = mc_load_u32le(e + 24),
                  .offset = mc_load_u32le(e + 42),
                  .name_bytes = mc_load_u16le(e + 28)};
    const size_t extra_bytes = mc_load_u16le(e + 30);
    m->name = (const char *)mc_take(at, m->name_bytes);
    const unsigned char *extra = mc_take(at, extra_bytes);
    if (!m->name || !extra || !mc_take(at, mc_load_u16le(e + 32)))
        return refuse(z, "an entry of its directory is cut off");
    if (!read_zip64((mc_cursor){extra, extra + extra_bytes}, m))
        return refuse(z, "the zip64 sizes of a member are damaged");
    return MC_OK;
}

static mc_status find_data(const zip *z, member *m)
{
    if (m->flags & 1) return refuse(z, "a member is encrypted");
    if (m->offset > z->n || z->n - m->offset < LOCAL_BYTES ||
        mc_load_u32le(z->bytes + m->offset) != 0x04034b50)
        return refuse(z, "a member does not begin where the directory says");
    const unsigned char *local = z->bytes + m->offset;
    const uint64_t skip =
        LOCAL_BYTES + (uint64_t)mc_load_u16le(local + 26) + mc_load_u16le(local + 28);
    if (skip > z->n - m->offset || m->packed > z->n - m->offset - skip)
        return refuse(z, "a member reaches beyond the file");
    if (m->method == STORED && m->packed != m->size)
        return refuse(z, "a stored member has two sizes");
    m->data = local + skip;
    return MC_OK;
}

/* ---- members ---- */

static uint32_t crc_of(const unsigned char *bytes, uint64_t n)
{
    enum { STEP = 1 << 30 };
    uLong crc = crc32(0, NULL, 0);
    for (; n > STEP; n -= STEP, bytes += STEP) crc = crc32(crc, bytes, STEP);
    return (uint32_t)crc32(crc, bytes, (uInt)n);
}

static bool inflate_all(const member *m, unsigned char *to)
{
    enum { STEP = 1 << 30 };
    z_stream stream = {.next_in = (Bytef *)(uintptr_t)m->data, .next_out = to};
    uint64_t in = m->packed, out = m->size;
    if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) return false;
    int result = Z_OK;
    while (result == Z_OK) {
        const uInt more_in = in < STEP ? (uInt)in : STEP, more_out = out < STEP ? (uInt)out : STEP;
        stream.avail_in = more_in;
        stream.avail_out = more_out;
        result = inflate(&stream, Z_NO_FLUSH);
        in -= more_in - stream.avail_in;
        out -= more_out - stream.avail_out;
        if (result == Z_OK && stream.avail_in == more_in && stream.avail_out == more_out) break;
    }
    inflateEnd(&stream);
    return result == Z_STREAM_END && in == 0 && out == 0;
}

static mc_status member_bytes(const zip *z, const member *m, mc_arena *mem,
                              const unsigned char **bytes)
{
    *bytes = m->data;
    if (m->method == DEFLATED) {
        unsigned char *room = MC_NEW_RAW(mem, unsigned char, (size_t)m->size + 1);
        if (!room) return mc_no_room(z->err, "an inflated array");
        if (!inflate_all(m, room)) return refuse(z, "a member does not inflate to its size");
        *bytes = room;
    }
    return crc_of(*bytes, m->size) == m->crc ? MC_OK : refuse(z, "a member's CRC does not match");
}

static mc_status read_member(const zip *z, const member *m, mc_npz *out)
{
    static const char tail[] = ".npy";
    const size_t tail_bytes = sizeof tail - 1;
    if (m->name_bytes <= tail_bytes ||
        memcmp(m->name + m->name_bytes - tail_bytes, tail, tail_bytes) != 0)
        return MC_OK; /* something else that travels along */

    mc_arena *mem = &out->memory.arena;
    const char *name = mc_copy_text(mem, m->name, m->name_bytes - tail_bytes);
    const char *full = mc_format(mem, "%s: array '%s'", z->name, name ? name : "");
    if (!name || !full) return mc_no_room(z->err, "an array");
    if (m->method != STORED && m->method != DEFLATED)
        return mc_fail(z->err, MC_E_UNSUPPORTED, "%s: compression %u (0 and 8 are read)", full,
                       m->method);
    for (size_t i = 0; i < out->arrays; i++)
        if (strcmp(out->array[i].name, name) == 0)
            return mc_fail(z->err, MC_E_FORMAT, "%s: stands twice", full);
    const unsigned char *bytes;
    mc_array *a = &out->array[out->arrays];
    MC_TRY(member_bytes(z, m, mem, &bytes));
    MC_TRY(mc_npy_parse(bytes, (size_t)m->size, full, a, z->err));
    a->name = name;
    out->arrays++;
    return MC_OK;
}

/* What inflated members, names and the list need; refused beyond the limit. */
static mc_status measure(const zip *z, const directory *d, uint64_t limit, uint64_t *room)
{
    mc_cursor at = {z->bytes + d->offset, z->bytes + d->offset + d->bytes};
    uint64_t inflated = 0;
    *room = (d->entries + 1) * (sizeof(mc_array) + 1024);
    for (uint64_t i = 0; i < d->entries; i++) {
        member m;
        MC_TRY(read_entry(z, &at, &m));
        MC_TRY(find_data(z, &m));
        *room += 2 * (m.name_bytes + strlen(z->name) + 256);
        if (m.method != DEFLATED) continue;
        if (!mc_add_u64(inflated, m.size, &inflated) || inflated > limit)
            return mc_fail(z->err, MC_E_UNSUPPORTED,
                           "%s: its arrays inflate to more than %" PRIu64 " bytes", z->name, limit);
    }
    *room += inflated;
    return MC_OK;
}

static mc_status read_members(const zip *z, const directory *d, mc_npz *out)
{
    mc_cursor at = {z->bytes + d->offset, z->bytes + d->offset + d->bytes};
    out->array = MC_NEW(&out->memory.arena, mc_array, (size_t)d->entries + 1);
    if (!out->array) return mc_no_room(z->err, "the arrays");
    for (uint64_t i = 0; i < d->entries; i++) {
        member m;
        MC_TRY(read_entry(z, &at, &m));
        MC_TRY(find_data(z, &m));
        MC_TRY(read_member(z, &m, out));
    }
    return out->arrays ? MC_OK : refuse(z, "it holds no .npy file");
}

mc_status mc_npz_read(const unsigned char *bytes, size_t n, const char *name, uint64_t limit,
                      mc_npz *out, mc_err *err)
{
    const zip z = {bytes, n, name, err};
    directory d = {0, 0, 0};
    uint64_t room = 0;
    *out = (mc_npz){0};
    MC_TRY(find_directory(&z, &d));
    MC_TRY(measure(&z, &d, limit, &room));
    MC_TRY(mc_region_open(&out->memory, (size_t)room, err));
    const mc_status status = read_members(&z, &d, out);
    if (status != MC_OK) mc_npz_close(out);
    return status;
}
