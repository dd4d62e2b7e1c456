/* Opening a container. The order is the one docs/container.md asks of every reader: magic and
 * version; sizes of the front; the root hash over it; only then the tables, the names (by their own
 * hash) and what every weight's shape demands of its parts. Sections' bytes are left to
 * mc_container_check, except those that have to be read here, each after its hash: names, manifest,
 * and whatever is compressed. */
#include "formats/container_records.h"

#include "core/bytes.h"
#include "core/ckd.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

/* Deflate cannot make more than 1032 bytes of one; a little for tiny streams. */
enum { MOST_INFLATION = 1032, INFLATION_SLACK = 1024 };

typedef struct {
    const unsigned char *file;
    uint64_t size;
    uint64_t file_bytes; /* that the header promises */
    mc_front front;
    uint32_t weights, parts, align;
    mc_container *c;
} reader;

/* ---- header and root ---- */

bool mc_container_is(const unsigned char *head, size_t bytes)
{
    return bytes >= MCPK_MAGIC_BYTES && memcmp(head, MCPK_MAGIC, MCPK_MAGIC_BYTES) == 0;
}

static mc_status check_version(const reader *r, mc_err *err)
{
    if (!mc_container_is(r->file, (size_t)r->size))
        return mc_fail(err, MC_E_FORMAT, "not a container: %s",
                       r->size < MCPK_MAGIC_BYTES ? "shorter than the magic bytes"
                                                  : "it begins with other bytes than \"MCPK\"");
    if (r->size < MCPK_HEADER_BYTES)
        return mc_fail(err, MC_E_MISMATCH, "%llu bytes, the header alone has %d",
                       (unsigned long long)r->size, MCPK_HEADER_BYTES);
    const uint32_t version = mc_load_u32le(r->file + MCPK_AT_VERSION);
    if (version != MCPK_VERSION)
        return mc_fail(err, MC_E_UNSUPPORTED, "container version %lu, this program reads %d",
                       (unsigned long)version, MCPK_VERSION);
    return MC_OK;
}

static mc_status check_u64(uint64_t found, uint64_t wanted, const char *what, mc_err *err)
{
    if (found == wanted) return MC_OK;
    return mc_fail(err, MC_E_MISMATCH, "header: %s is %llu instead of %llu", what,
                   (unsigned long long)found, (unsigned long long)wanted);
}

/* The pieces of the front have one place each: anything else is refused before it is followed. */
static mc_status check_front(reader *r, mc_err *err)
{
    const unsigned char *h = r->file;
    r->weights = mc_load_u32le(h + MCPK_AT_WEIGHTS);
    r->parts = mc_load_u32le(h + MCPK_AT_PARTS);
    r->align = mc_load_u32le(h + MCPK_AT_ALIGN);
    r->file_bytes = mc_load_u64le(h + MCPK_AT_FILE_BYTES);
    if (r->align < MCPK_MIN_ALIGN || r->align > MCPK_MAX_ALIGN || (r->align & (r->align - 1)) != 0)
        return mc_fail(err, MC_E_MISMATCH, "header: alignment %lu", (unsigned long)r->align);
    if (!mc_front_of(r->weights, r->parts, r->align, &r->front) || r->front.front_bytes > r->size)
        return mc_fail(
            err, MC_E_MISMATCH, "%llu bytes do not hold the tables of %lu weights and %lu sections",
            (unsigned long long)r->size, (unsigned long)r->weights, (unsigned long)r->parts);
    const struct {
        const char *what;
        uint64_t found, wanted;
    } fields[] = {
        {"header bytes", mc_load_u32le(h + MCPK_AT_HEADER_BYTES), MCPK_HEADER_BYTES},
        {"bytes of a weight record", mc_load_u32le(h + MCPK_AT_WEIGHT_BYTES), MCPK_WEIGHT_BYTES},
        {"bytes of an index entry", mc_load_u32le(h + MCPK_AT_PART_BYTES), MCPK_PART_BYTES},
        {"bytes of a hash", mc_load_u32le(h + MCPK_AT_HASH_BYTES), MCPK_HASH_BYTES},
        {"place of the weight table", mc_load_u64le(h + MCPK_AT_WEIGHT_TABLE), MCPK_HEADER_BYTES},
        {"place of the index", mc_load_u64le(h + MCPK_AT_INDEX), r->front.index},
        {"place of the hash table", mc_load_u64le(h + MCPK_AT_HASHES), r->front.hashes},
        {"place of the root", mc_load_u64le(h + MCPK_AT_ROOT), r->front.root},
        {"front bytes", mc_load_u64le(h + MCPK_AT_FRONT_BYTES), r->front.front_bytes},
    };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        MC_TRY(check_u64(fields[i].found, fields[i].wanted, fields[i].what, err));
    return MC_OK;
}

static mc_status check_root(reader *r, mc_err *err)
{
    uint8_t *root = r->c->root;
    MC_TRY(mc_sha256_of(r->file, (size_t)r->front.root, root, err));
    if (memcmp(root, r->file + r->front.root, MC_SHA256_BYTES) != 0)
        return mc_fail(err, MC_E_MISMATCH, "header and tables do not match the root hash");

    const uint32_t flags = mc_load_u32le(r->file + MCPK_AT_FLAGS);
    if (flags & MCPK_SIGNED)
        return mc_fail(err, MC_E_UNSUPPORTED, "a signed container: this program cannot check it");
    if (flags)
        return mc_fail(err, MC_E_UNSUPPORTED, "header flags 0x%08lx are unknown",
                       (unsigned long)flags);
    const uint64_t behind = r->front.root + MCPK_HASH_BYTES; /* signature and padding */
    if (!mc_all_zero(r->file + behind, (size_t)(r->front.front_bytes - behind)))
        return mc_fail(err, MC_E_MISMATCH, "signature or padding behind the root is not zero");
    return MC_OK;
}

static mc_status read_header(reader *r, mc_err *err)
{
    const unsigned char *h = r->file;
    mc_container *c = r->c;
    c->numerics = (mc_numerics){
        .activation_bits = h[MCPK_AT_ACT_BITS],
        .activation_mode = h[MCPK_AT_ACT_MODE],
        .kv_bits = h[MCPK_AT_KV_BITS],
        .measured = h[MCPK_AT_MEASURED] == 1,
    };
    c->target = mc_load_u16le(h + MCPK_AT_TARGET);
    c->align = r->align;
    if (c->numerics.activation_mode > MCPK_ACT_STATIC || h[MCPK_AT_MEASURED] > 1 ||
        c->numerics.activation_bits < 1 || c->numerics.activation_bits > 16 ||
        c->numerics.kv_bits < 1 || c->numerics.kv_bits > 16)
        return mc_fail(
            err, MC_E_UNSUPPORTED,
            "header: activations of %u bits in mode %u, KV cache of %u bits, measured %u",
            c->numerics.activation_bits, c->numerics.activation_mode, c->numerics.kv_bits,
            h[MCPK_AT_MEASURED]);
    if (mc_load_u64le(h + MCPK_AT_ROLLBACK) != 0)
        return mc_fail(err, MC_E_UNSUPPORTED, "header: an anti-rollback counter");
    if (!mc_all_zero(h + MCPK_AT_MEASURED + 1, MCPK_AT_ROLLBACK - MCPK_AT_MEASURED - 1) ||
        !mc_all_zero(h + MCPK_AT_HEADER_SPARE, MCPK_HEADER_BYTES - MCPK_AT_HEADER_SPARE))
        return mc_fail(err, MC_E_MISMATCH, "header: an unused field is not zero");
    return MC_OK;
}

/* ---- the index ---- */

static bool known_type(uint16_t type)
{
    return type == MCPK_SECTION_NAMES || type == MCPK_SECTION_CRC ||
           type == MCPK_SECTION_MANIFEST || type == MCPK_SECTION_WEIGHT ||
           type == MCPK_SECTION_SITES || type == MCPK_SECTION_SIDE;
}

static mc_status check_owner(const reader *r, const mcpk_part *p, mc_err *err)
{
    const bool owned = p->weight != MCPK_NO_WEIGHT;
    if (p->type != MCPK_SECTION_WEIGHT && owned)
        return mc_fail(err, MC_E_MISMATCH, "weight %lu is named as its owner",
                       (unsigned long)p->weight);
    if (p->type == MCPK_SECTION_WEIGHT && !owned)
        return mc_fail(err, MC_E_MISMATCH, "every section of type %d has one", MCPK_SECTION_WEIGHT);
    if (owned && p->weight >= r->weights)
        return mc_fail(err, MC_E_MISMATCH, "there are %lu weights", (unsigned long)r->weights);
    return MC_OK;
}

static mc_status check_section(const reader *r, const mcpk_part *p, mc_err *err)
{
    const bool weight = p->type == MCPK_SECTION_WEIGHT;
    if (!known_type(p->type)) {
        if (!(p->flags & MCPK_REQUIRED)) return MC_OK;
        return mc_fail(err, MC_E_UNSUPPORTED, "required, but of a type this program does not know");
    }
    if (p->flags & ~(MCPK_REQUIRED | MCPK_ZLIB | MCPK_CUTTABLE))
        return mc_fail(err, MC_E_UNSUPPORTED, "flags 0x%02x are unknown", (unsigned)p->flags);
    if (p->layout != 0 || p->layout_version != 0)
        return mc_fail(err, MC_E_UNSUPPORTED, "layout %u version %u is unknown",
                       (unsigned)p->layout, (unsigned)p->layout_version);
    MC_TRY(check_owner(r, p, err));
    if (!weight && (p->role != MCPK_ROLE_NONE || p->encoding != MCPK_ENCODING_BYTES))
        return mc_fail(err, MC_E_MISMATCH, "role %u and encoding %u without a weight",
                       (unsigned)p->role, (unsigned)p->encoding);
    if ((p->flags & MCPK_CUTTABLE) && p->type != MCPK_SECTION_SIDE)
        return mc_fail(err, MC_E_MISMATCH, "it may not be cut off");

    const unsigned params = p->type == MCPK_SECTION_SIDE ? 2 : p->type == MCPK_SECTION_CRC ? 1 : 0;
    for (unsigned i = params; i < 4; i++)
        if (p->param[i] != 0) return mc_fail(err, MC_E_MISMATCH, "an unused field is not zero");

    const bool zlib = p->flags & MCPK_ZLIB;
    if (zlib && (p->type == MCPK_SECTION_NAMES || p->type == MCPK_SECTION_CRC))
        return mc_fail(err, MC_E_MISMATCH, "it may not be compressed");
    if (zlib ? p->raw / MOST_INFLATION > p->stored + INFLATION_SLACK : p->raw != p->stored)
        return mc_fail(err, MC_E_MISMATCH, "%llu bytes cannot come from %llu",
                       (unsigned long long)p->raw, (unsigned long long)p->stored);
    return MC_OK;
}

/* Sections stand in index order, each at the next multiple of the alignment. A file may end early,
 * but only where a section ends and when all behind it may be cut off. */
static mc_status check_places(const reader *r, mc_err *err)
{
    char text[256];
    uint64_t at = r->front.front_bytes, end = at;
    bool ends_here = r->size == r->file_bytes;
    for (uint32_t i = 0; i < r->parts; i++) {
        const mcpk_part *p = &r->c->part[i];
        const char *name = mc_section_text(p, NULL, NULL, text, sizeof text);
        if (p->offset != at || !mc_add_u64(at, p->stored, &end) || !mc_align_up(end, r->align, &at))
            return mc_fail(err, MC_E_MISMATCH, "%s: %llu bytes at %llu do not follow on %llu", name,
                           (unsigned long long)p->stored, (unsigned long long)p->offset,
                           (unsigned long long)at);
        if (end > r->size && !(p->flags & MCPK_CUTTABLE))
            return mc_fail(err, MC_E_MISMATCH, "%s: ends at %llu, the file at %llu", name,
                           (unsigned long long)end, (unsigned long long)r->size);
        ends_here = ends_here || end == r->size;
    }
    if (end != r->file_bytes || r->size > r->file_bytes || !ends_here)
        return mc_fail(err, MC_E_MISMATCH,
                       "%llu bytes, the header says %llu, the sections end at %llu",
                       (unsigned long long)r->size, (unsigned long long)r->file_bytes,
                       (unsigned long long)end);
    return MC_OK;
}

static mc_status read_index(reader *r, mc_err *err)
{
    char text[256];
    unsigned names = 0, crcs = 0, manifests = 0, sites = 0;
    for (uint32_t i = 0; i < r->parts; i++) {
        mcpk_part *p = &r->c->part[i];
        const bool clean =
            mc_part_load(r->file + r->front.index + (uint64_t)i * MCPK_PART_BYTES, p);
        const char *name = mc_section_text(p, NULL, NULL, text, sizeof text);
        if (!clean) return mc_fail(err, MC_E_MISMATCH, "%s: an unused field is not zero", name);
        if (check_section(r, p, err) != MC_OK)
            return p->type == MCPK_SECTION_WEIGHT
                       ? mc_wrap(err, "section %u: %s", (unsigned)i, name)
                       : mc_wrap(err, "%s", name);
        names += p->type == MCPK_SECTION_NAMES;
        crcs += p->type == MCPK_SECTION_CRC;
        manifests += p->type == MCPK_SECTION_MANIFEST;
        sites += p->type == MCPK_SECTION_SITES;
    }
    if (names != 1 || crcs > 1 || manifests > 1 || sites > 1)
        return mc_fail(err, MC_E_MISMATCH,
                       "%u sections of names, %u of CRCs, %u manifests, %u of sites", names, crcs,
                       manifests, sites);
    MC_TRY(check_places(r, err));
    for (uint32_t i = 0; i < r->parts; i++) {
        const mcpk_part *p = &r->c->part[i];
        const bool here = p->offset <= r->size && p->stored <= r->size - p->offset;
        if (here && !(p->flags & MCPK_ZLIB)) r->c->data[i] = r->file + p->offset;
    }
    return MC_OK;
}

/* ---- sections that are read while opening ---- */

static const mcpk_part *find_section(const reader *r, uint16_t type)
{
    for (uint32_t i = 0; i < r->parts; i++)
        if (r->c->part[i].type == type) return &r->c->part[i];
    return NULL;
}

static mc_status check_hash(const reader *r, const mcpk_part *p, const char *name, mc_err *err)
{
    uint8_t digest[MC_SHA256_BYTES];
    const size_t i = (size_t)(p - r->c->part);
    MC_TRY(mc_sha256_of(r->file + p->offset, (size_t)p->stored, digest, err));
    if (memcmp(digest, r->file + r->front.hashes + i * MC_SHA256_BYTES, sizeof digest) == 0)
        return MC_OK;
    return mc_fail(err, MC_E_MISMATCH, "%s: the bytes do not match their SHA-256", name);
}

static mc_status check_crc_table(const reader *r, mc_err *err)
{
    const mcpk_part *p = find_section(r, MCPK_SECTION_CRC);
    uint64_t chunks;
    if (!p) return MC_OK;
    const bool counted = mc_crc_chunks(r->c->part, r->parts, &chunks);
    if (!counted || p->stored != 4 * chunks || p->param[0] != MCPK_CRC_CHUNK)
        return mc_fail(err, MC_E_MISMATCH, "the CRC table: %llu bytes for chunks of %lu",
                       (unsigned long long)p->stored, (unsigned long)p->param[0]);
    return MC_OK;
}

/* The next name of the names section, which must be the one the record means. */
static mc_status next_name(const reader *r, mc_cursor *names, uint32_t offset, uint32_t bytes,
                           const char **out, mc_err *err)
{
    const mcpk_part *p = find_section(r, MCPK_SECTION_NAMES);
    const unsigned char *begin = r->file + p->offset;
    const bool next = offset == (uint64_t)(names->at - begin) && bytes < mc_left(names);
    const unsigned char *name = next ? mc_take(names, (size_t)bytes + 1) : NULL;
    if (!name || name[bytes] != 0)
        return mc_fail(err, MC_E_MISMATCH, "the names: %lu bytes at %lu are not the next name",
                       (unsigned long)bytes, (unsigned long)offset);
    if (memchr(name, 0, bytes) || !mc_is_utf8(name, bytes))
        return mc_fail(err, MC_E_FORMAT, "the names: the name at %lu is not UTF-8",
                       (unsigned long)offset);
    *out = (const char *)name;
    return MC_OK;
}

static mc_status check_needs(reader *r, size_t w, mc_weight_place place, mc_err *err)
{
    mc_container *c = r->c;
    mc_needs needs;
    MC_TRY(mc_needs_of(&c->weight[w], &needs, err));
    if (place.parts != needs.parts || place.first_part > r->parts ||
        needs.parts > r->parts - place.first_part)
        return mc_fail(err, MC_E_MISMATCH, "%u parts from %lu, its form has %u",
                       (unsigned)place.parts, (unsigned long)place.first_part, needs.parts);
    for (unsigned i = 0; i < needs.parts; i++) {
        const mcpk_part *p = &c->part[place.first_part + i];
        const mc_part_need *need = &needs.part[i];
        if (p->type != MCPK_SECTION_WEIGHT || p->weight != w || p->role != need->role ||
            p->encoding != need->encoding || !(p->flags & MCPK_REQUIRED))
            return mc_fail(err, MC_E_MISMATCH, "%s is missing", mc_role_name(need->role));
        if (p->raw != need->bytes)
            return mc_fail(err, MC_E_MISMATCH, "%s: %llu bytes, its shape demands %llu",
                           mc_role_name(need->role), (unsigned long long)p->raw,
                           (unsigned long long)need->bytes);
    }
    c->first_part[w] = place.first_part;
    c->first_part[w + 1] = place.first_part + needs.parts;
    return MC_OK;
}

static mc_status read_weights(reader *r, mc_cursor *names, mc_err *err)
{
    mc_container *c = r->c;
    size_t owned = 0;
    for (size_t w = 0; w < r->weights; w++) {
        mc_weight_place place;
        const unsigned char *record = r->file + MCPK_HEADER_BYTES + w * MCPK_WEIGHT_BYTES;
        if (mc_weight_load(record, &c->weight[w], &place, err) != MC_OK)
            return mc_wrap(err, "weight %zu", w);
        MC_TRY(next_name(r, names, place.name, place.name_bytes, &c->weight[w].name, err));
        if (w > 0 && place.first_part != c->first_part[w])
            return mc_fail(err, MC_E_MISMATCH, "weight \"%s\": its parts do not follow on the last",
                           c->weight[w].name);
        if (check_needs(r, w, place, err) != MC_OK)
            return mc_wrap(err, "weight \"%s\"", c->weight[w].name);
        owned += place.parts;
    }
    for (uint32_t i = 0; i < r->parts; i++) owned -= c->part[i].type == MCPK_SECTION_WEIGHT;
    if (owned != 0) return mc_fail(err, MC_E_MISMATCH, "a part that no weight owns");
    return MC_OK;
}

static mc_status inflate_section(reader *r, uint32_t i, mc_err *err)
{
    char text[512];
    mc_container *c = r->c;
    const mcpk_part *p = &c->part[i];
    const char *weight = p->weight < c->weights ? c->weight[p->weight].name : NULL;
    const char *name = mc_section_text(p, weight, NULL, text, sizeof text);
    MC_TRY(check_hash(r, p, name, err)); /* inflating is for bytes that somebody vouched for */
    unsigned char *raw = MC_NEW_RAW(&c->memory.arena, unsigned char, (size_t)p->raw);
    if (!raw) return mc_no_room(err, "a compressed section");
    uLongf made = (uLongf)p->raw;
    uLong used = (uLong)p->stored;
    if (uncompress2(raw, &made, r->file + p->offset, &used) != Z_OK || made != p->raw ||
        used != p->stored)
        return mc_fail(err, MC_E_MISMATCH, "%s: the compressed bytes are damaged", name);
    c->data[i] = raw;
    return MC_OK;
}

/* Compressed sections that are here and that this program reads. */
static bool to_inflate(const reader *r, const mcpk_part *p)
{
    return (p->flags & MCPK_ZLIB) && known_type(p->type) && p->offset <= r->size &&
           p->stored <= r->size - p->offset;
}

static mc_status read_others(reader *r, mc_cursor *names, mc_err *err)
{
    mc_container *c = r->c;
    for (uint32_t i = 0; i < r->parts; i++)
        if (to_inflate(r, &c->part[i])) MC_TRY(inflate_section(r, i, err));
    for (uint32_t i = 0; i < r->parts; i++) {
        const mcpk_part *p = &c->part[i];
        if (p->type == MCPK_SECTION_MANIFEST) {
            c->manifest = (const char *)c->data[i];
            c->manifest_bytes = (size_t)p->raw;
        }
        if (p->type != MCPK_SECTION_SIDE) continue;
        mc_side_file side = {.data = c->data[i], .bytes = p->raw};
        MC_TRY(next_name(r, names, p->param[0], p->param[1], &side.name, err));
        if (side.data) c->side[c->sides++] = side; /* else cut off */
    }
    if (mc_left(names) != 0)
        return mc_fail(err, MC_E_MISMATCH, "the names: %zu bytes belong to nothing",
                       mc_left(names));
    return MC_OK;
}

static mc_status read_sites(reader *r, mc_err *err)
{
    const mcpk_part *p = find_section(r, MCPK_SECTION_SITES);
    if (!p) return MC_OK;
    if (!(p->flags & MCPK_ZLIB)) MC_TRY(check_hash(r, p, "the sites", err));
    if (mc_sites_load(r->c, r->c->data[p - r->c->part], p->raw, err) == MC_OK) return MC_OK;
    return mc_wrap(err, "the sites");
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static mc_status check_unique(const char **name, size_t n, mc_err *err)
{
    qsort(name, n, sizeof *name, by_text);
    for (size_t i = 1; i < n; i++)
        if (strcmp(name[i - 1], name[i]) == 0)
            return mc_fail(err, MC_E_FORMAT, "two entries are called \"%s\"", name[i]);
    return MC_OK;
}

static mc_status check_names(const mc_container *c, mc_arena scratch, mc_err *err)
{
    const char **name = MC_NEW(&scratch, const char *, c->weights + c->sides + 1);
    if (!name) return mc_no_room(err, "the names");
    for (size_t i = 0; i < c->weights; i++) name[i] = c->weight[i].name;
    MC_TRY(check_unique(name, c->weights, err));
    for (size_t i = 0; i < c->sides; i++) name[i] = c->side[i].name;
    return check_unique(name, c->sides, err);
}

/* ---- opening ---- */

/* All that opening will take: tables of known sizes, then what the index says is compressed. */
static mc_status open_memory(reader *r, const char *path, mc_err *err)
{
    mc_container *c = r->c;
    const uint64_t weights = r->weights, parts = r->parts;
    uint64_t bytes = 4096 + strlen(path) + weights * (sizeof *c->weight + 64) +
                     parts * (sizeof *c->part + 2 * sizeof *c->data + sizeof *c->side + 64);
    for (uint64_t i = 0; i < parts; i++) {
        mcpk_part p;
        (void)mc_part_load(r->file + r->front.index + i * MCPK_PART_BYTES, &p);
        const bool sites = p.type == MCPK_SECTION_SITES;
        if (!(p.flags & MCPK_ZLIB) && !sites) continue;
        /* A bomb is refused later; here its size must only not overflow. */
        if (p.raw / MOST_INFLATION > r->size + INFLATION_SLACK ||
            !mc_add_u64(bytes, p.raw + 128 + (sites ? mc_sites_room(p.raw) : 0), &bytes))
            return mc_fail(err, MC_E_MISMATCH, "a section of %llu bytes in a file of %llu",
                           (unsigned long long)p.raw, (unsigned long long)r->size);
    }
    if (bytes > SIZE_MAX / 2) return mc_no_room(err, "the container");
    MC_TRY(mc_region_open(&c->memory, (size_t)bytes, err));

    mc_arena *mem = &c->memory.arena;
    c->path = mc_copy_text(mem, path, strlen(path));
    c->weight = MC_NEW(mem, mc_weight_spec, r->weights);
    c->first_part = MC_NEW(mem, uint32_t, (size_t)r->weights + 1);
    c->part = MC_NEW(mem, mcpk_part, r->parts);
    c->data = MC_NEW(mem, const unsigned char *, r->parts);
    c->side = MC_NEW(mem, mc_side_file, r->parts);
    if (!c->path || !c->weight || !c->first_part || !c->part || !c->data || !c->side)
        return mc_no_room(err, "the container's tables");
    c->weights = r->weights;
    c->parts = r->parts;
    return MC_OK;
}

static mc_status read_all(reader *r, const char *path, mc_err *err)
{
    MC_TRY(check_version(r, err));
    MC_TRY(check_front(r, err));
    MC_TRY(check_root(r, err));
    MC_TRY(read_header(r, err));
    MC_TRY(open_memory(r, path, err));
    MC_TRY(read_index(r, err));
    MC_TRY(check_crc_table(r, err));

    const mcpk_part *names = find_section(r, MCPK_SECTION_NAMES);
    MC_TRY(check_hash(r, names, "the names", err));
    const mcpk_part *manifest = find_section(r, MCPK_SECTION_MANIFEST);
    if (manifest) MC_TRY(check_hash(r, manifest, "the manifest", err));

    mc_cursor cursor = {r->file + names->offset, r->file + names->offset + names->stored};
    MC_TRY(read_weights(r, &cursor, err));
    MC_TRY(read_others(r, &cursor, err));
    MC_TRY(read_sites(r, err));
    return check_names(r->c, r->c->memory.arena, err);
}

mc_status mc_container_open_map(mc_map map, const char *path, mc_container *out, mc_err *err)
{
    *out = (mc_container){.map = map};
    reader r = {.file = map.data, .size = map.size, .c = out};
    if (read_all(&r, path, err) == MC_OK) return MC_OK;
    mc_container_close(out);
    return mc_wrap(err, "%s", path);
}

mc_status mc_container_open(const char *path, unsigned flags, mc_container *out, mc_err *err)
{
    mc_map map;
    *out = (mc_container){0};
    MC_TRY(mc_map_open(path, flags, &map, err));
    return mc_container_open_map(map, path, out, err);
}

uint64_t mc_container_inflated_bytes(const mc_container *c)
{
    uint64_t bytes = 0; /* opening found that the sum fits */
    for (size_t i = 0; i < c->parts; i++)
        if (c->data[i] && (c->part[i].flags & MCPK_ZLIB)) bytes += c->part[i].raw;
    return bytes;
}

void mc_container_close(mc_container *c)
{
    mc_region_close(&c->memory);
    mc_map_close(&c->map);
    *c = (mc_container){0};
}

const char *mc_zlib_version(void)
{
    return zlibVersion();
}
