/* Writing a container. Slabs arrive in two steps: mc_pack_put writes bytes from any thread at the
 * place the layout gave them, mc_pack_seal hashes them in order. The front is written last, so that
 * a file that was left half way has none.
 *
 * With compression the place of a section is known only when the one before it has ended, so that
 * everything is written by seal: codes and dense numbers of more than STREAMED bytes pass through
 * one deflate stream, all other sections wait until they are whole and stay as they are when
 * deflate does not make them smaller. */
#include "formats/container_records.h"

#include "core/bytes.h"
#include "core/ckd.h"

#include <string.h>
#include <zlib.h>

enum {
    STREAMED = 1 << 20,
    DEFLATED = 1 << 18, /* bytes of deflate's output that are written at a time */
    LEVEL = 9,
    IDLE = 8,     /* hash contexts kept for the next part */
    APART = 128,  /* alignment of an allocation, and the gap behind it under ASan */
    SLACK = 4096, /* the same for all tables */
};

/* What happened to a section so far. */
typedef struct {
    uint64_t sealed;       /* raw bytes */
    uint64_t hashed;       /* stored bytes */
    uint64_t first_chunk;  /* of the CRC table */
    mc_sha256 *sha;        /* while it is open */
    unsigned char *buffer; /* of raw bytes, compressed containers only */
} section;

struct mc_pack {
    mc_region memory;
    mc_out *out;
    const mc_layout *layout;
    mcpk_part *part; /* as it is written */
    section *section;
    unsigned char *digest; /* parts x 32 */
    unsigned char *crc;    /* the CRC table as on disk, of `chunks` entries */
    uint64_t chunks;
    mc_sha256 *idle[IDLE];
    unsigned idles;

    /* compressed containers only */
    uint64_t end;   /* of the last section */
    size_t current; /* the weight whose parts are open */
    bool begun;     /* its buffers are handed out */
    z_stream z;
    bool z_open;
    mc_arena buffers; /* for the parts of one weight */
    unsigned char
        *deflated; /* for a section that is deflated whole, and a piece of one that is not */
    size_t deflated_room;
};

static bool compressed(const mc_pack *p)
{
    return p->layout->spec->compress;
}

static bool streamed(const mcpk_part *part)
{
    return part->raw > STREAMED && (part->role == MCPK_ROLE_CODES || part->role == MCPK_ROLE_DENSE);
}

static const char *text_of(const mc_pack *p, uint32_t i, char *text, size_t room)
{
    const mcpk_part *part = &p->part[i];
    const mc_container_spec *spec = p->layout->spec;
    const char *weight = part->weight < spec->weights ? spec->weight[part->weight].name : NULL;
    return mc_section_text(part, weight, NULL, text, room);
}

/* ---- hashes ---- */

static mc_status begin_hash(mc_pack *p, section *s, mc_err *err)
{
    if (s->sha) return MC_OK;
    if (p->idles == 0) return mc_sha256_open(&s->sha, err);
    s->sha = p->idle[--p->idles];
    return MC_OK;
}

static void end_hash(mc_pack *p, uint32_t i)
{
    section *s = &p->section[i];
    mc_sha256_finish(s->sha, p->digest + (size_t)i * MC_SHA256_BYTES);
    if (p->idles < IDLE)
        p->idle[p->idles++] = s->sha;
    else
        mc_sha256_close(s->sha);
    s->sha = NULL;
}

/* The next stored bytes of section i, for its hash and its CRCs. */
static mc_status hash(mc_pack *p, uint32_t i, const unsigned char *data, size_t n, mc_err *err)
{
    section *s = &p->section[i];
    MC_TRY(begin_hash(p, s, err));
    if (n == 0) return MC_OK;
    mc_sha256_add(s->sha, data, n);
    if (p->part[i].type == MCPK_SECTION_CRC) return MC_OK;
    while (n > 0) {
        const size_t left = MCPK_CRC_CHUNK - (size_t)(s->hashed % MCPK_CRC_CHUNK);
        const size_t k = n < left ? n : left;
        unsigned char *crc = p->crc + 4 * (s->first_chunk + s->hashed / MCPK_CRC_CHUNK);
        mc_store_u32le(crc, mc_crc32c(mc_load_u32le(crc), data, k));
        s->hashed += k;
        data += k;
        n -= k;
    }
    return MC_OK;
}

/* ---- sections of known bytes ---- */

/* Where section i goes when its place was not planned: behind the one before it. */
static mc_status place_next(mc_pack *p, uint32_t i, mc_err *err)
{
    mcpk_part *part = &p->part[i];
    if (!mc_align_up(p->end, p->layout->spec->align, &part->offset))
        return mc_fail(err, MC_E_INTERNAL, "section %u: no place", (unsigned)i);
    p->section[i].first_chunk = p->chunks;
    return MC_OK;
}

static void placed(mc_pack *p, uint32_t i)
{
    p->end = p->part[i].offset + p->part[i].stored;
    if (p->part[i].type != MCPK_SECTION_CRC)
        p->chunks += mc_ceil_div(p->part[i].stored, MCPK_CRC_CHUNK);
}

/* Deflates `raw` bytes into p->deflated; 0 when that does not make them smaller. */
static mc_status deflate_whole(mc_pack *p, const unsigned char *data, uint64_t raw, uint64_t *bytes,
                               mc_err *err)
{
    uLongf n = (uLongf)p->deflated_room;
    if (compress2(p->deflated, &n, data, (uLong)raw, LEVEL) != Z_OK)
        return mc_fail(err, MC_E_INTERNAL, "deflate failed on %llu bytes", (unsigned long long)raw);
    *bytes = n < raw ? n : 0;
    return MC_OK;
}

/* Writes and hashes section i, all of it. */
static mc_status write_section(mc_pack *p, uint32_t i, const unsigned char *data, mc_err *err)
{
    mcpk_part *part = &p->part[i];
    part->stored = part->raw;
    if (compressed(p)) {
        MC_TRY(place_next(p, i, err));
        uint64_t smaller = 0;
        if (part->type != MCPK_SECTION_NAMES && part->type != MCPK_SECTION_CRC)
            MC_TRY(deflate_whole(p, data, part->raw, &smaller, err));
        if (smaller) {
            part->stored = smaller;
            part->flags |= MCPK_ZLIB;
            data = p->deflated;
        }
        placed(p, i);
    }
    MC_TRY(mc_out_write_at(p->out, part->offset, data, (size_t)part->stored, err));
    MC_TRY(hash(p, i, data, (size_t)part->stored, err));
    end_hash(p, i);
    p->section[i].sealed = part->raw;
    return MC_OK;
}

static uint32_t find_section(const mc_pack *p, uint16_t type)
{
    uint32_t i = 0;
    while (p->part[i].type != type) i++;
    return i;
}

static mc_status write_names(mc_pack *p, mc_arena scratch, mc_err *err)
{
    const mc_container_spec *spec = p->layout->spec;
    const uint32_t i = find_section(p, MCPK_SECTION_NAMES);
    unsigned char *names = MC_NEW_RAW(&scratch, unsigned char, (size_t)p->part[i].raw + 1);
    if (!names) return mc_no_room(err, "the names");
    unsigned char *at = names;
    for (size_t k = 0; k < spec->weights + spec->sides; k++) {
        const char *name =
            k < spec->weights ? spec->weight[k].name : spec->side[k - spec->weights].name;
        const size_t n = strlen(name) + 1;
        memcpy(at, name, n);
        at += n;
    }
    return write_section(p, i, names, err);
}

/* ---- opening ---- */

/* Bytes of the buffers of one weight and of deflate's output, at most. */
static void buffer_sizes(const mc_layout *layout, size_t *buffers, size_t *deflated)
{
    uint64_t most = 0, largest = DEFLATED, sum = 0;
    uint32_t weight = MCPK_NO_WEIGHT;
    for (size_t i = 0; i < layout->parts; i++) {
        const mcpk_part *part = &layout->part[i];
        if (part->weight != weight) sum = 0;
        weight = part->weight;
        if (streamed(part)) continue;
        if (part->stored > largest) largest = part->stored;
        if (part->weight == MCPK_NO_WEIGHT) continue;
        sum += part->raw + APART;
        if (sum > most) most = sum;
    }
    *buffers = (size_t)most;
    *deflated = (size_t)largest;
}

mc_status mc_pack_open(mc_out *out, const mc_layout *layout, mc_pack **pack, mc_err *err)
{
    uint64_t chunks;
    if (!mc_crc_chunks(layout->part, layout->parts, &chunks))
        return mc_fail(err, MC_E_INTERNAL, "a layout of too many chunks");
    const uint64_t names = layout->part[layout->spec->compress ? 0 : 1].raw;
    size_t buffers = 0, deflated = 0;
    if (layout->spec->compress) buffer_sizes(layout, &buffers, &deflated);
    uint64_t sites;
    MC_TRY(mc_sites_bytes(layout->spec, &sites, err));
    const size_t bytes = sizeof(mc_pack) + (size_t)(names + sites + layout->front_bytes) +
                         layout->parts * (sizeof(mcpk_part) + sizeof(section) + MC_SHA256_BYTES) +
                         4 * (size_t)chunks + buffers + deflated + SLACK;
    mc_region memory;
    MC_TRY(mc_region_open(&memory, bytes, err));

    mc_pack *p = MC_NEW(&memory.arena, mc_pack, 1);
    *p = (mc_pack){.out = out, .layout = layout, .end = layout->front_bytes};
    p->part = MC_NEW_RAW(&memory.arena, mcpk_part, layout->parts);
    p->section = MC_NEW(&memory.arena, section, layout->parts);
    p->digest = MC_NEW(&memory.arena, unsigned char, layout->parts *MC_SHA256_BYTES);
    p->crc = MC_NEW(&memory.arena, unsigned char, 4 * (size_t)chunks);
    if (layout->spec->compress) {
        p->deflated = MC_NEW_RAW(&memory.arena, unsigned char, deflated);
        p->deflated_room = deflated;
        p->buffers.at = MC_NEW_RAW(&memory.arena, unsigned char, buffers);
        p->buffers.end = p->buffers.at + buffers;
    }
    memcpy(p->part, layout->part, layout->parts * sizeof *p->part);
    p->memory = memory;
    if (!layout->spec->compress) {
        for (uint32_t i = 0; i < layout->parts; i++) {
            p->section[i].first_chunk = p->chunks;
            placed(p, i);
        }
    }
    const mc_status status = write_names(p, memory.arena, err);
    if (status == MC_OK)
        *pack = p;
    else
        mc_pack_close(p);
    return status;
}

void mc_pack_close(mc_pack *p)
{
    if (!p) return;
    for (size_t i = 0; i < p->layout->parts; i++)
        if (p->section[i].sha) mc_sha256_close(p->section[i].sha);
    for (unsigned i = 0; i < p->idles; i++) mc_sha256_close(p->idle[i]);
    if (p->z_open) (void)deflateEnd(&p->z);
    mc_region memory = p->memory; /* holds p itself */
    mc_region_close(&memory);
}

/* ---- slabs ---- */

static mc_status no_part(uint32_t part, mc_err *err)
{
    return mc_fail(err, MC_E_INTERNAL, "there is no part %u", (unsigned)part);
}

mc_status mc_pack_put(mc_pack *p, const mc_slab *slab, mc_err *err)
{
    if (compressed(p)) return MC_OK;
    for (unsigned i = 0; i < slab->pieces; i++) {
        const mc_piece *piece = &slab->piece[i];
        if (piece->part >= p->layout->parts) return no_part(piece->part, err);
        const mcpk_part *part = &p->layout->part[piece->part];
        if (piece->offset > part->raw || piece->bytes > part->raw - piece->offset)
            return mc_fail(err, MC_E_INTERNAL, "bytes %llu + %llu are outside a part of %llu",
                           (unsigned long long)piece->offset, (unsigned long long)piece->bytes,
                           (unsigned long long)part->raw);
        MC_TRY(mc_out_write_at(p->out, part->offset + piece->offset, piece->data,
                               (size_t)piece->bytes, err));
    }
    return MC_OK;
}

static mc_status incomplete(const mc_pack *p, uint32_t i, mc_err *err)
{
    char text[512];
    return mc_fail(err, MC_E_INTERNAL, "%s: %llu of %llu bytes were sealed",
                   text_of(p, i, text, sizeof text), (unsigned long long)p->section[i].sealed,
                   (unsigned long long)p->part[i].raw);
}

/* Feeds the deflate stream of section i and writes what comes out of it. */
static mc_status stream(mc_pack *p, uint32_t i, const mc_piece *piece, mc_err *err)
{
    mcpk_part *part = &p->part[i];
    if (!p->z_open) {
        p->z = (z_stream){0};
        if (deflateInit(&p->z, LEVEL) != Z_OK)
            return mc_fail(err, MC_E_BUDGET, "deflate has no memory");
        p->z_open = true;
        part->stored = 0;
        part->flags |= MCPK_ZLIB;
        MC_TRY(place_next(p, i, err));
    }
    const bool last = p->section[i].sealed + piece->bytes == part->raw;
    const unsigned char *from = piece->data;
    uint64_t left = piece->bytes;
    int z = Z_OK;
    do { /* deflate counts its input in 32 bits */
        const uint64_t step = left < DEFLATED ? left : DEFLATED;
        p->z.next_in = (z_const Bytef *)from;
        p->z.avail_in = (uInt)step;
        from += step;
        left -= step;
        const int flush = last && left == 0 ? Z_FINISH : Z_NO_FLUSH;
        do {
            p->z.next_out = p->deflated;
            p->z.avail_out = DEFLATED;
            z = deflate(&p->z, flush);
            const size_t n = DEFLATED - p->z.avail_out;
            MC_TRY(mc_out_write_at(p->out, part->offset + part->stored, p->deflated, n, err));
            MC_TRY(hash(p, i, p->deflated, n, err));
            part->stored += n;
        } while (p->z.avail_out == 0);
    } while (left > 0);
    if (!last) return MC_OK;
    p->z_open = false;
    if (deflateEnd(&p->z) != Z_OK || z != Z_STREAM_END)
        return mc_fail(err, MC_E_INTERNAL, "deflate did not end");
    end_hash(p, i);
    placed(p, i);
    return MC_OK;
}

/* All parts of the current weight are whole: writes those that waited for that. */
static mc_status end_weight(mc_pack *p, mc_err *err)
{
    static const unsigned char nothing[1];
    const uint32_t *first = &p->layout->first_part[p->current];
    for (uint32_t i = first[0]; i < first[1]; i++) {
        const section *s = &p->section[i];
        if (s->sealed != p->part[i].raw) return incomplete(p, i, err);
        if (!streamed(&p->part[i]))
            MC_TRY(write_section(p, i, s->buffer ? s->buffer : nothing, err));
    }
    p->current++;
    p->begun = false;
    return MC_OK;
}

static mc_status begin_weight(mc_pack *p, uint32_t weight, mc_err *err)
{
    while (p->current < weight) MC_TRY(end_weight(p, err));
    if (p->begun) return MC_OK;
    mc_arena buffers = p->buffers;
    const uint32_t *first = &p->layout->first_part[weight];
    for (uint32_t i = first[0]; i < first[1]; i++) {
        if (streamed(&p->part[i])) continue;
        p->section[i].buffer = MC_NEW_RAW(&buffers, unsigned char, (size_t)p->part[i].raw);
        if (!p->section[i].buffer) return mc_no_room(err, "a part to compress");
    }
    p->begun = true;
    return MC_OK;
}

static mc_status seal_compressed(mc_pack *p, const mc_piece *piece, mc_err *err)
{
    MC_TRY(begin_weight(p, p->part[piece->part].weight, err));
    if (streamed(&p->part[piece->part])) return stream(p, piece->part, piece, err);
    memcpy(p->section[piece->part].buffer + piece->offset, piece->data, (size_t)piece->bytes);
    return MC_OK;
}

/* A part without bytes never gets a piece, or one of no bytes: it is hashed at the end. */
static mc_status seal_piece(mc_pack *p, const mc_piece *piece, mc_err *err)
{
    char text[512];
    const mcpk_part *part = &p->part[piece->part];
    section *s = &p->section[piece->part];
    if (part->type != MCPK_SECTION_WEIGHT || piece->offset != s->sealed ||
        piece->bytes > part->raw - s->sealed || part->weight < p->current)
        return mc_fail(err, MC_E_INTERNAL, "%s: bytes %llu + %llu come after %llu of %llu",
                       text_of(p, piece->part, text, sizeof text),
                       (unsigned long long)piece->offset, (unsigned long long)piece->bytes,
                       (unsigned long long)s->sealed, (unsigned long long)part->raw);
    if (piece->bytes == 0) return MC_OK;
    if (compressed(p))
        MC_TRY(seal_compressed(p, piece, err));
    else
        MC_TRY(hash(p, piece->part, piece->data, (size_t)piece->bytes, err));
    s->sealed += piece->bytes;
    if (!compressed(p) && s->sealed == part->raw) end_hash(p, piece->part);
    return MC_OK;
}

mc_status mc_pack_seal(mc_pack *p, const mc_slab *slab, mc_err *err)
{
    for (unsigned i = 0; i < slab->pieces; i++) {
        if (slab->piece[i].part >= p->layout->parts) return no_part(slab->piece[i].part, err);
        MC_TRY(seal_piece(p, &slab->piece[i], err));
    }
    return MC_OK;
}

/* ---- finishing ---- */

static mc_status end_weights(mc_pack *p, mc_err *err)
{
    if (compressed(p)) {
        while (p->current < p->layout->spec->weights) MC_TRY(end_weight(p, err));
        return MC_OK;
    }
    for (uint32_t i = 0; i < p->layout->parts; i++) {
        if (p->part[i].type != MCPK_SECTION_WEIGHT) continue;
        if (p->section[i].sealed != p->part[i].raw) return incomplete(p, i, err);
        if (p->part[i].raw > 0) continue;
        MC_TRY(begin_hash(p, &p->section[i], err));
        end_hash(p, i);
    }
    return MC_OK;
}

static void store_header(const mc_pack *p, const mc_front *front, uint64_t file_bytes,
                         unsigned char *to)
{
    const mc_container_spec *spec = p->layout->spec;
    memcpy(to, MCPK_MAGIC, MCPK_MAGIC_BYTES);
    mc_store_u32le(to + MCPK_AT_VERSION, MCPK_VERSION);
    mc_store_u32le(to + MCPK_AT_HEADER_BYTES, MCPK_HEADER_BYTES);
    mc_store_u64le(to + MCPK_AT_FILE_BYTES, file_bytes);
    mc_store_u64le(to + MCPK_AT_FRONT_BYTES, front->front_bytes);
    mc_store_u32le(to + MCPK_AT_WEIGHTS, (uint32_t)spec->weights);
    mc_store_u32le(to + MCPK_AT_WEIGHT_BYTES, MCPK_WEIGHT_BYTES);
    mc_store_u64le(to + MCPK_AT_WEIGHT_TABLE, MCPK_HEADER_BYTES);
    mc_store_u32le(to + MCPK_AT_PARTS, (uint32_t)p->layout->parts);
    mc_store_u32le(to + MCPK_AT_PART_BYTES, MCPK_PART_BYTES);
    mc_store_u64le(to + MCPK_AT_INDEX, front->index);
    mc_store_u64le(to + MCPK_AT_HASHES, front->hashes);
    mc_store_u64le(to + MCPK_AT_ROOT, front->root);
    mc_store_u32le(to + MCPK_AT_HASH_BYTES, MCPK_HASH_BYTES);
    mc_store_u32le(to + MCPK_AT_ALIGN, spec->align);
    mc_store_u16le(to + MCPK_AT_TARGET, spec->target);
    to[MCPK_AT_ACT_BITS] = spec->numerics.activation_bits;
    to[MCPK_AT_ACT_MODE] = spec->numerics.activation_mode;
    to[MCPK_AT_KV_BITS] = spec->numerics.kv_bits;
    to[MCPK_AT_MEASURED] = spec->numerics.measured;
}

static void store_weights(const mc_pack *p, unsigned char *to)
{
    const mc_layout *layout = p->layout;
    uint32_t name = 0;
    for (size_t w = 0; w < layout->spec->weights; w++) {
        const uint32_t length = (uint32_t)strlen(layout->spec->weight[w].name);
        const mc_weight_place place = {
            .name = name,
            .name_bytes = length,
            .first_part = layout->first_part[w],
            .parts = (uint16_t)(layout->first_part[w + 1] - layout->first_part[w]),
        };
        mc_weight_store(&layout->spec->weight[w], place, to + w * MCPK_WEIGHT_BYTES);
        name += length + 1;
    }
}

static mc_status write_front(mc_pack *p, uint64_t file_bytes, uint8_t root[MC_SHA256_BYTES],
                             mc_err *err)
{
    const mc_layout *layout = p->layout;
    mc_front front;
    if (!mc_front_of((uint32_t)layout->spec->weights, (uint32_t)layout->parts, layout->spec->align,
                     &front) ||
        front.front_bytes != layout->front_bytes)
        return mc_fail(err, MC_E_INTERNAL, "a front of other bytes than planned");
    mc_arena scratch = p->memory.arena;
    unsigned char *bytes = MC_NEW(&scratch, unsigned char, (size_t)front.front_bytes);
    if (!bytes) return mc_no_room(err, "the front");
    store_header(p, &front, file_bytes, bytes);
    store_weights(p, bytes + MCPK_HEADER_BYTES);
    for (size_t i = 0; i < layout->parts; i++)
        mc_part_store(&p->part[i], bytes + front.index + i * MCPK_PART_BYTES);
    memcpy(bytes + front.hashes, p->digest, layout->parts * MC_SHA256_BYTES);
    MC_TRY(mc_sha256_of(bytes, (size_t)front.root, root, err));
    memcpy(bytes + front.root, root, MC_SHA256_BYTES);
    MC_TRY(mc_out_write_at(p->out, MCPK_HEADER_BYTES, bytes + MCPK_HEADER_BYTES,
                           (size_t)front.front_bytes - MCPK_HEADER_BYTES, err));
    return mc_out_write_at(p->out, 0, bytes, MCPK_HEADER_BYTES, err);
}

static mc_status write_sites(mc_pack *p, uint32_t i, mc_arena scratch, mc_err *err)
{
    unsigned char *bytes = MC_NEW_RAW(&scratch, unsigned char, (size_t)p->part[i].raw);
    if (!bytes) return mc_no_room(err, "the sites");
    MC_TRY(mc_sites_store(p->layout->spec, bytes, err));
    return write_section(p, i, bytes, err);
}

mc_status mc_pack_finish(mc_pack *p, const char *manifest, uint8_t root[MC_SHA256_BYTES],
                         uint64_t *file_bytes, mc_err *err)
{
    MC_TRY(end_weights(p, err));
    const mc_container_spec *spec = p->layout->spec;
    uint32_t side = p->layout->first_part[spec->weights];
    if (p->part[side].type == MCPK_SECTION_SITES)
        MC_TRY(write_sites(p, side++, p->memory.arena, err));
    for (size_t i = 0; i < spec->sides; i++)
        MC_TRY(write_section(p, side++, spec->side[i].data, err));
    MC_TRY(write_section(p, find_section(p, MCPK_SECTION_MANIFEST), (const unsigned char *)manifest,
                         err));
    const uint32_t crc = find_section(p, MCPK_SECTION_CRC);
    p->part[crc].raw = 4 * p->chunks;
    MC_TRY(write_section(p, crc, p->crc, err));

    const mcpk_part *last = &p->part[p->layout->parts - 1];
    *file_bytes = last->offset + last->stored;
    return write_front(p, *file_bytes, root, err);
}
