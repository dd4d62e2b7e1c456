/* Reading .npz: a zip archive of .npy files, found through its central directory. Stored members
 * stay views of the file, deflated ones are inflated, at most as much as the caller allows; every
 * member's CRC is checked.
 *
 * Refused: a directory that holds more or fewer entries than it says, and members that share bytes,
 * of which a small file could hold very many. */
#include "core/bytes.h"
#include "core/ckd.h"
#include "formats/json_pull.h"
#include "formats/limits.h"
#include "formats/npy_parts.h"
#include "formats/scratch.h"

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
    STORED = 0,
    DEFLATED = 8,
    ENCRYPTED = 1, /* a flag */
    BLOCK = 1 << 20,
    SPILL_FROM = 16 << 20, /* more than this is inflated into a file */
};

typedef struct {
    const char *name; /* without .npy; NULL for what is no array */
    unsigned method, flags;
    uint32_t crc;
    uint64_t packed, size, offset;
    const unsigned char *data; /* as it lies in the zip */
    uint64_t at;               /* where it begins in what was inflated */
} member;

typedef struct {
    const mc_npz_source *from;
    const char *name;
    uint64_t entries, bytes, offset; /* of the directory */
    member *member;
    uint64_t inflated;    /* bytes of all deflated members */
    unsigned char *block; /* where they are inflated in passing; or */
    unsigned char *whole; /* to stay */
    mc_scratch scratch;
    mc_npz *out;
    mc_err *err;
} zip;

static mc_status refuse(const zip *z, const char *what)
{
    return mc_fail(z->err, MC_E_FORMAT, "%s: zip archive: %s", z->name, what);
}

static mc_status refuse_member(const zip *z, const member *m, mc_status status, const char *what)
{
    return mc_fail(z->err, status, "%s: array %s %s", z->name, mc_quote(m->name).text, what);
}

/* ---- the directory ---- */

/* The zip64 record, when there is one. */
static mc_status find_end64(zip *z, size_t end)
{
    const unsigned char *bytes = z->from->bytes;
    if (end < LOCATOR_BYTES) return MC_OK;
    const unsigned char *locator = bytes + end - LOCATOR_BYTES;
    if (mc_load_u32le(locator) != 0x07064b50) return MC_OK;
    const uint64_t at = mc_load_u64le(locator + 8);
    const size_t n = z->from->n;
    if (n < END64_BYTES || at > n - END64_BYTES || mc_load_u32le(bytes + at) != 0x06064b50)
        return refuse(z, "its zip64 record is not where its locator says");
    z->entries = mc_load_u64le(bytes + at + 32);
    z->bytes = mc_load_u64le(bytes + at + 40);
    z->offset = mc_load_u64le(bytes + at + 48);
    return MC_OK;
}

static mc_status find_directory(zip *z)
{
    const size_t n = z->from->n;
    if (n < END_BYTES) return refuse(z, "it ends before its directory");
    const size_t last = n - END_BYTES;
    for (size_t back = 0; back <= last && back <= COMMENT_MOST; back++) {
        const unsigned char *end = z->from->bytes + last - back;
        if (mc_load_u32le(end) != 0x06054b50 || mc_load_u16le(end + 20) != back) continue;
        z->entries = mc_load_u16le(end + 10);
        z->bytes = mc_load_u32le(end + 12);
        z->offset = mc_load_u32le(end + 16);
        MC_TRY(find_end64(z, last - back));
        if (z->offset > n || z->bytes > n - z->offset)
            return refuse(z, "its directory lies outside the file");
        if (z->entries <= MC_NPZ_MEMBERS) return MC_OK;
        return mc_fail(z->err, MC_E_UNSUPPORTED,
                       "%s: zip archive: %" PRIu64 " members (at most %d are read)", z->name,
                       z->entries, (int)MC_NPZ_MEMBERS);
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

/* NULL in m->name when it is no array. */
static mc_status take_name(const zip *z, const unsigned char *name, size_t n, member *m)
{
    static const char tail[] = ".npy";
    const size_t tail_bytes = sizeof tail - 1;
    if (n < tail_bytes || memcmp(name + n - tail_bytes, tail, tail_bytes) != 0) return MC_OK;
    if (memchr(name, '\0', n) || !mc_is_utf8(name, n))
        return refuse(z, "a member's name is not UTF-8");
    m->name = mc_copy_text(&z->out->memory.arena, (const char *)name, n - tail_bytes);
    return m->name ? MC_OK : mc_no_room(z->err, "the arrays");
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
                  .offset = mc_load_u32le(e + 42)};
    const size_t name_bytes = mc_load_u16le(e + 28), extra_bytes = mc_load_u16le(e + 30);
    const unsigned char *name = mc_take(at, name_bytes);
    const unsigned char *extra = mc_take(at, extra_bytes);
    if (!name || !extra || !mc_take(at, mc_load_u16le(e + 32)))
        return refuse(z, "an entry of its directory is cut off");
    if (!read_zip64((mc_cursor){extra, extra + extra_bytes}, m))
        return refuse(z, "the zip64 sizes of a member are damaged");
    return take_name(z, name, name_bytes, m);
}

/* ---- members: where they lie, and whether that can be ---- */

static mc_status find_data(const zip *z, member *m)
{
    const size_t n = z->from->n;
    if (m->flags & ENCRYPTED) return refuse_member(z, m, MC_E_UNSUPPORTED, "is encrypted");
    if (m->method != STORED && m->method != DEFLATED)
        return mc_fail(z->err, MC_E_UNSUPPORTED, "%s: array %s: compression %u (0 and 8 are read)",
                       z->name, mc_quote(m->name).text, m->method);
    const bool fits = m->offset <= n && n - m->offset >= LOCAL_BYTES;
    const unsigned char *local = fits ? z->from->bytes + m->offset : NULL;
    if (!local || mc_load_u32le(local) != 0x04034b50)
        return refuse_member(z, m, MC_E_FORMAT, "does not begin where the directory says");
    const uint64_t skip =
        LOCAL_BYTES + (uint64_t)mc_load_u16le(local + 26) + mc_load_u16le(local + 28);
    if (skip > n - m->offset || m->packed > n - m->offset - skip)
        return refuse_member(z, m, MC_E_FORMAT, "reaches beyond the file");
    if (m->method == STORED && m->packed != m->size)
        return refuse_member(z, m, MC_E_FORMAT, "is stored, but has two sizes");
    m->data = local + skip;
    return MC_OK;
}

static mc_status check_twins(const zip *z, uint64_t i)
{
    const member *m = z->member;
    for (uint64_t k = 0; m[i].name && k < i; k++)
        if (m[k].name && strcmp(m[k].name, m[i].name) == 0)
            return refuse_member(z, &m[i], MC_E_FORMAT, "stands twice");
    return MC_OK;
}

static mc_status read_directory(zip *z)
{
    const uint64_t limit = z->from->limit ? z->from->limit : MC_SPILL_LIMIT;
    mc_cursor at = {z->from->bytes + z->offset, z->from->bytes + z->offset + z->bytes};
    uint64_t packed = 0;
    for (uint64_t i = 0; i < z->entries; i++) {
        member *m = &z->member[i];
        MC_TRY(read_entry(z, &at, m));
        if (!mc_add_u64(packed, m->packed, &packed) || packed > z->from->n)
            return refuse(z, "its members are larger than the file");
        if (!m->name) continue;
        MC_TRY(check_twins(z, i));
        MC_TRY(find_data(z, m));
        m->at = z->inflated;
        if (m->method != DEFLATED) continue;
        if (!mc_add_u64(z->inflated, m->size, &z->inflated) || z->inflated > limit)
            return mc_fail(z->err, MC_E_BUDGET,
                           "%s: its arrays inflate to more than %" PRIu64 " bytes, the limit",
                           z->name, limit);
    }
    return mc_left(&at) == 0 ? MC_OK : refuse(z, "its directory holds more than it says");
}

/* ---- members: their bytes ---- */

uint32_t mc_zip_crc(uint32_t crc, const unsigned char *bytes, uint64_t n)
{
    uLong sum = crc;
    for (; n > BLOCK; n -= BLOCK, bytes += BLOCK) sum = crc32(sum, bytes, BLOCK);
    return (uint32_t)(n ? crc32(sum, bytes, (uInt)n) : sum);
}

static void pass(const zip *z, const unsigned char *at, uint64_t n)
{
    if (!z->from->map) return;
    const size_t from = (size_t)(at - z->from->map->data);
    mc_map_passed(z->from->map, from, from + (size_t)n);
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static mc_status check_stored(const zip *z, const member *m)
{
    uint32_t crc = 0;
    for (uint64_t at = 0; at < m->size; at += BLOCK) {
        const uint64_t n = least(m->size - at, BLOCK);
        crc = mc_zip_crc(crc, m->data + at, n);
        pass(z, m->data + at, n);
    }
    return crc == m->crc ? MC_OK : refuse_member(z, m, MC_E_FORMAT, "does not match its CRC");
}

static mc_status inflate_member(const zip *z, const member *m)
{
    z_stream s = {0};
    uint64_t in = 0, out = 0;
    uint32_t crc = 0;
    int result = Z_OK;
    mc_status status = MC_OK;
    if (inflateInit2(&s, -MAX_WBITS) != Z_OK) return mc_no_room(z->err, "zlib");
    while (status == MC_OK && result == Z_OK) { /* Z_BUF_ERROR when nothing moves */
        const uInt left = (uInt)least(m->packed - in, BLOCK);
        const uInt room = (uInt)least(m->size - out, BLOCK);
        unsigned char *to = z->whole ? z->whole + m->at + out : z->block;
        s.next_in = (Bytef *)(uintptr_t)(m->data + in);
        s.avail_in = left;
        s.next_out = to;
        s.avail_out = room;
        result = inflate(&s, Z_NO_FLUSH);
        crc = mc_zip_crc(crc, to, room - s.avail_out);
        pass(z, m->data + in, left - s.avail_in);
        if (!z->whole) status = mc_scratch_write(&z->scratch, to, room - s.avail_out, z->err);
        in += left - s.avail_in;
        out += room - s.avail_out;
    }
    inflateEnd(&s);
    MC_TRY(status);
    if (result != Z_STREAM_END || in != m->packed || out != m->size)
        return refuse_member(z, m, MC_E_FORMAT, "does not inflate to its size");
    return crc == m->crc ? MC_OK : refuse_member(z, m, MC_E_FORMAT, "does not match its CRC");
}

static mc_status open_inflated(zip *z)
{
    uint64_t left;
    if (z->inflated <= SPILL_FROM) {
        MC_TRY(mc_region_open(&z->out->inflated, (size_t)z->inflated + 64, z->err));
        z->whole = MC_NEW_RAW(&z->out->inflated.arena, unsigned char, (size_t)z->inflated + 1);
        return z->whole ? MC_OK : mc_no_room(z->err, "inflated arrays");
    }
    z->block = MC_NEW_RAW(&z->out->memory.arena, unsigned char, BLOCK);
    if (!z->block) return mc_no_room(z->err, "inflated arrays");
    MC_TRY(mc_scratch_open(NULL, &z->scratch, z->err));
    if (mc_scratch_left(&z->scratch, &left) && left < z->inflated)
        return mc_fail(z->err, MC_E_IO,
                       "%s: its arrays inflate to %" PRIu64 " bytes, %s has %" PRIu64, z->name,
                       z->inflated, z->scratch.dir, left);
    return MC_OK;
}

static mc_status read_members(zip *z)
{
    MC_TRY(open_inflated(z));
    for (uint64_t i = 0; i < z->entries; i++) {
        const member *m = &z->member[i];
        if (m->name) MC_TRY(m->method == STORED ? check_stored(z, m) : inflate_member(z, m));
    }
    return z->whole ? MC_OK : mc_scratch_map(&z->scratch, z->name, &z->out->spilled, z->err);
}

static mc_status read_arrays(const zip *z)
{
    mc_arena *mem = &z->out->memory.arena;
    const unsigned char *inflated = z->whole ? z->whole : z->out->spilled.data;
    for (uint64_t i = 0; i < z->entries; i++) {
        const member *m = &z->member[i];
        if (!m->name) continue;
        const unsigned char *bytes = m->method == STORED ? m->data : inflated + m->at;
        mc_arena loan = *mem;
        const char *full = mc_format(&loan, "%s: array %s", z->name, mc_quote(m->name).text);
        if (!full) return mc_no_room(z->err, "an array");
        mc_array *a = &z->out->array[z->out->arrays];
        MC_TRY(mc_npy_parse(bytes, (size_t)m->size, full, a, z->err));
        a->name = m->name;
        z->out->arrays++;
    }
    return z->out->arrays ? MC_OK : refuse(z, "it holds no .npy file");
}

static mc_status open_lists(zip *z)
{
    const size_t each = sizeof(mc_array) + sizeof(member) + 256;
    const size_t room = (size_t)z->entries * each + (size_t)z->bytes + BLOCK +
                        2 * (strlen(z->name) + MC_QUOTE_ROOM) + 4096;
    MC_TRY(mc_region_open(&z->out->memory, room, z->err));
    mc_arena *mem = &z->out->memory.arena;
    z->member = MC_NEW_RAW(mem, member, (size_t)z->entries);
    z->out->array = MC_NEW_RAW(mem, mc_array, (size_t)z->entries);
    return z->member && z->out->array ? MC_OK : mc_no_room(z->err, "the arrays");
}

mc_status mc_npz_read(const mc_npz_source *from, mc_npz *out, mc_err *err)
{
    zip z = {.from = from, .name = from->name, .scratch = {.fd = -1}, .out = out, .err = err};
    *out = (mc_npz){0};
    mc_status status = find_directory(&z);
    if (status == MC_OK) status = open_lists(&z);
    if (status == MC_OK) status = read_directory(&z);
    if (status == MC_OK) status = read_members(&z);
    if (status == MC_OK) status = read_arrays(&z);
    mc_scratch_close(&z.scratch);
    if (status != MC_OK) mc_npz_close(out);
    return status;
}
