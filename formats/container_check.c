/* Everything that opening left out: the SHA-256 of each section, the CRC table, the padding between
 * sections, the manifest, and whether what is in the weights makes numbers.
 *
 * One section is one task, since its hash is one chain; the largest goes first, so that no thread
 * is left with it alone. Its CRCs are computed on the way, while the bytes are in the cache. Pages
 * are given back as they are read, so that a large container does not become resident. */
#include "formats/container_records.h"

#include "core/bytes.h"
#include "core/ckd.h"
#include "core/json.h"

#include <stdlib.h>
#include <string.h>

enum { STEP = 1 << 22 }; /* bytes between two releases; a multiple of the CRC chunk */

/* A section and its bytes, for sorting. */
typedef struct {
    uint64_t stored;
    size_t i;
} sized;

typedef struct {
    const mc_container *c;
    const sized *order; /* all sections, the largest first */
    const unsigned char *hashes;
    const unsigned char *crc; /* the CRC table, or NULL */
    uint64_t *first_chunk;    /* of each section in it */
} checker;

static const char *name_of(const mc_container *c, size_t i, char *text, size_t room)
{
    const mcpk_part *p = &c->part[i];
    const char *weight = p->weight < c->weights ? c->weight[p->weight].name : NULL;
    const char *side = NULL;
    for (size_t s = 0; s < c->sides; s++)
        if (c->side[s].data == c->data[i]) side = c->side[s].name;
    return mc_section_text(p, weight, side, text, room);
}

static mc_status check_crcs(const checker *k, size_t i, uint64_t from, uint64_t to, mc_err *err)
{
    char text[512];
    const mcpk_part *p = &k->c->part[i];
    if (!k->crc || p->type == MCPK_SECTION_CRC) return MC_OK;
    for (uint64_t at = from; at < to; at += MCPK_CRC_CHUNK) {
        const size_t n = to - at < MCPK_CRC_CHUNK ? (size_t)(to - at) : MCPK_CRC_CHUNK;
        const unsigned char *crc = k->crc + 4 * (k->first_chunk[i] + at / MCPK_CRC_CHUNK);
        if (mc_crc32c(0, k->c->map.data + p->offset + at, n) != mc_load_u32le(crc))
            return mc_fail(err, MC_E_MISMATCH, "%s: bytes %llu to %llu do not match their CRC-32C",
                           name_of(k->c, i, text, sizeof text), (unsigned long long)at,
                           (unsigned long long)(at + n));
    }
    return MC_OK;
}

static mc_status check_bytes(const checker *k, size_t i, mc_sha256 *sha, mc_err *err)
{
    char text[512];
    const mcpk_part *p = &k->c->part[i];
    mc_status crcs = MC_OK;
    for (uint64_t at = 0; at < p->stored; at += STEP) {
        const uint64_t end = p->stored - at < STEP ? p->stored : at + STEP;
        mc_sha256_add(sha, k->c->map.data + p->offset + at, (size_t)(end - at));
        if (crcs == MC_OK) crcs = check_crcs(k, i, at, end, err);
        mc_map_release(&k->c->map, (size_t)(p->offset + at), (size_t)(p->offset + end));
    }
    uint8_t digest[MC_SHA256_BYTES];
    mc_sha256_finish(sha, digest);
    /* The hash speaks first: only when it holds is a wrong CRC the table's own fault. */
    if (memcmp(digest, k->hashes + i * MC_SHA256_BYTES, sizeof digest) != 0)
        return mc_fail(err, MC_E_MISMATCH, "%s: the bytes do not match their SHA-256",
                       name_of(k->c, i, text, sizeof text));
    return crcs;
}

static mc_status check_section(void *job, size_t task, mc_arena scratch, mc_err *err)
{
    (void)scratch;
    const checker *k = job;
    const size_t i = k->order[task].i;
    const mcpk_part *p = &k->c->part[i];
    if (p->offset > k->c->map.size || p->stored > k->c->map.size - p->offset)
        return MC_OK; /* cut off, as opening allowed */
    mc_sha256 *sha;
    MC_TRY(mc_sha256_open(&sha, err));
    const mc_status status = check_bytes(k, i, sha, err);
    mc_sha256_close(sha);
    return status;
}

static mc_status check_contents(void *job, size_t task, mc_arena scratch, mc_err *err)
{
    (void)scratch;
    const checker *k = job;
    return mc_check_contents(k->c, k->order[task].i, err);
}

static mc_status check_padding(const mc_container *c, mc_err *err)
{
    char text[512];
    for (size_t i = 0; i + 1 < c->parts; i++) {
        const uint64_t from = c->part[i].offset + c->part[i].stored;
        uint64_t to = c->part[i + 1].offset;
        if (to > c->map.size) to = c->map.size;
        if (from < to && !mc_all_zero(c->map.data + from, (size_t)(to - from)))
            return mc_fail(err, MC_E_MISMATCH, "%s: the padding behind it is not zero",
                           name_of(c, i, text, sizeof text));
    }
    return MC_OK;
}

/* Its hash says that it was written like that; what it says is not looked at here. */
static mc_status check_manifest(const mc_container *c, mc_err *err)
{
    mc_json *json;
    if (!c->manifest) return MC_OK;
    MC_TRY(mc_json_parse(c->manifest, c->manifest_bytes, "the manifest", &json, err));
    mc_json_free(json);
    return MC_OK;
}

static int larger_first(const void *a, const void *b)
{
    const sized *x = a, *y = b;
    if (x->stored != y->stored) return x->stored > y->stored ? -1 : 1;
    return x->i < y->i ? -1 : 1;
}

static mc_status check_all(checker *k, sized *order, mc_pool *pool, mc_err *err)
{
    const mc_container *c = k->c;
    uint64_t chunks = 0;
    for (size_t i = 0; i < c->parts; i++) {
        order[i] = (sized){c->part[i].stored, i};
        k->first_chunk[i] = chunks;
        if (c->part[i].type == MCPK_SECTION_CRC)
            k->crc = c->data[i];
        else
            chunks += mc_ceil_div(c->part[i].stored, MCPK_CRC_CHUNK);
    }
    qsort(order, c->parts, sizeof *order, larger_first);
    MC_TRY(mc_pool_for(pool, c->parts, check_section, k, err));
    MC_TRY(check_padding(c, err));
    MC_TRY(check_manifest(c, err));
    return mc_pool_for(pool, c->parts, check_contents, k, err);
}

mc_status mc_container_check(const mc_container *c, mc_pool *pool, mc_err *err)
{
    mc_region memory;
    MC_TRY(mc_region_open(&memory, c->parts * (sizeof(uint64_t) + sizeof(sized)) + 4096, err));
    checker k = {.c = c, .hashes = c->map.data + mc_load_u64le(c->map.data + MCPK_AT_HASHES)};
    k.first_chunk = MC_NEW(&memory.arena, uint64_t, c->parts);
    sized *order = MC_NEW(&memory.arena, sized, c->parts);
    k.order = order;
    mc_status status = k.first_chunk && order ? check_all(&k, order, pool, err)
                                              : mc_no_room(err, "the order of the sections");
    mc_region_close(&memory);
    return status == MC_OK ? MC_OK : mc_wrap(err, "%s", c->path);
}
