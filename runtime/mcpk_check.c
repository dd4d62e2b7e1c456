/* Is this what was written? Hashes by the caller's SHA-256, and CRCs for worn-out flash; and words
 * for what is wrong. A device that needs none of them leaves this file out. */
#include "runtime/mcpk.h"

#include <string.h>

/* ---- hashes ---- */

static mcpk_status compare_hash(const mcpk_hash *sha256, const uint8_t *from, size_t n,
                                const uint8_t *wanted)
{
    uint8_t digest[MCPK_HASH_BYTES];
    sha256->begin(sha256->state);
    sha256->add(sha256->state, from, n);
    sha256->finish(sha256->state, digest);
    return memcmp(digest, wanted, sizeof digest) == 0 ? MCPK_OK : MCPK_E_HASH;
}

mcpk_status mcpk_verify(const mcpk *pk, const mcpk_hash *sha256)
{
    return compare_hash(sha256, pk->base, (size_t)(pk->root - pk->base), pk->root);
}

mcpk_status mcpk_verify_part(const mcpk *pk, uint32_t i, const mcpk_hash *sha256)
{
    mcpk_part p;
    const mcpk_status status = mcpk_part_at(pk, i, &p);
    if (status != MCPK_OK) return status;
    return compare_hash(sha256, pk->base + (size_t)p.offset, (size_t)p.stored,
                        pk->hashes + (size_t)i * MCPK_HASH_BYTES);
}

/* ---- CRCs ---- */

/* CRC-32C four bits at a time: 64 bytes of table instead of 1024. */
static uint32_t crc32c(const uint8_t *p, size_t n)
{
    static const uint32_t table[16] = {0x00000000u, 0x105ec76fu, 0x20bd8edeu, 0x30e349b1u,
                                       0x417b1dbcu, 0x5125dad3u, 0x61c69362u, 0x7198540du,
                                       0x82f63b78u, 0x92a8fc17u, 0xa24bb5a6u, 0xb21572c9u,
                                       0xc38d26c4u, 0xd3d3e1abu, 0xe330a81au, 0xf36e6f75u};
    uint32_t crc = 0xffffffffu;
    for (; n > 0; n--, p++) {
        crc ^= *p;
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return ~crc;
}

static uint64_t chunks_of(const mcpk_part *p)
{
    return p->stored / MCPK_CRC_CHUNK + (p->stored % MCPK_CRC_CHUNK != 0);
}

/* The CRC of chunk `chunk` of section i in the table. */
static mcpk_status stored_crc(const mcpk *pk, uint32_t i, uint64_t chunk, uint32_t *crc)
{
    mcpk_part p, table;
    const uint8_t *at;
    uint64_t entry = chunk;
    uint32_t k;
    table.stored = 0;
    for (k = 0; k < pk->parts; k++) {
        const mcpk_status status = mcpk_part_at(pk, k, &p);
        if (p.type == MCPK_SECTION_CRC) {
            if (status != MCPK_OK) return status;
            table = p;
        } else if (k < i) {
            entry += chunks_of(&p);
        }
    }
    if (table.stored == 0) return MCPK_E_MISSING;
    if (entry >= table.stored / 4) return MCPK_E_STRUCTURE;
    at = pk->base + (size_t)(table.offset + 4 * entry);
    *crc = (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
    return MCPK_OK;
}

mcpk_status mcpk_scrub(const mcpk *pk, uint32_t i, uint64_t chunk)
{
    mcpk_part p;
    uint64_t at, n;
    uint32_t wanted;
    mcpk_status status = mcpk_part_at(pk, i, &p);
    if (status != MCPK_OK) return status;
    if (p.type == MCPK_SECTION_CRC || chunk >= chunks_of(&p)) return MCPK_E_MISSING;
    status = stored_crc(pk, i, chunk, &wanted);
    if (status != MCPK_OK) return status;

    at = chunk * MCPK_CRC_CHUNK;
    n = p.stored - at < MCPK_CRC_CHUNK ? p.stored - at : MCPK_CRC_CHUNK;
    return crc32c(pk->base + (size_t)(p.offset + at), (size_t)n) == wanted ? MCPK_OK : MCPK_E_HASH;
}

/* ---- words ---- */

const char *mcpk_error_text(mcpk_status status)
{
    static const char *const text[] = {
        "ok",
        "not a container",
        "a container of another version",
        "the container ends too early",
        "sizes in the container contradict each other",
        "the container needs something this reader does not know",
        "no such weight, row or section",
        "a hash or CRC does not match",
    };
    return (unsigned)status < sizeof text / sizeof *text ? text[status] : "unknown error";
}
