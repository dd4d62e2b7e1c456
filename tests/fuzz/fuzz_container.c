/* A container, opened by the program and by the device's reader. Each input is tried as it is and
 * with its CRCs and hashes made right: otherwise no mutation would ever get past the root hash. */
#include "tests/fuzz/fuzz_file.h"

#include "core/bytes.h"
#include "formats/container.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROWS_TRIED = 8, MOST_COLS = 1 << 16, MOST_PARTS = 4096, ROOM = 16 << 20 };

static void must(bool holds)
{
    if (!holds) abort();
}

/* ---- making the hashes right ---- */

static uint64_t field(const uint8_t *file, unsigned at)
{
    return mc_load_u64le(file + at);
}

static bool inside(uint64_t offset, uint64_t bytes, size_t size)
{
    return offset <= size && bytes <= size - offset;
}

static void digest(const uint8_t *bytes, size_t n, uint8_t *to)
{
    mc_err err;
    must(mc_sha256_of(bytes, n, to, &err) == MC_OK);
}

/* Writes the CRC of every 4 KiB of every other section into the CRC section. */
static void repair_crcs(uint8_t *file, size_t size, const uint8_t *index, uint32_t parts)
{
    uint8_t *to = NULL, *end = NULL;
    for (uint32_t i = 0; i < parts; i++) {
        const uint8_t *p = index + (size_t)i * MCPK_PART_BYTES;
        if (mc_load_u16le(p + MCPK_P_TYPE) != MCPK_SECTION_CRC) continue;
        const uint64_t offset = mc_load_u64le(p + MCPK_P_OFFSET);
        const uint64_t stored = mc_load_u64le(p + MCPK_P_STORED);
        if (!inside(offset, stored, size)) return;
        to = file + offset;
        end = to + stored;
    }
    for (uint32_t i = 0; to && i < parts; i++) {
        const uint8_t *p = index + (size_t)i * MCPK_PART_BYTES;
        const uint64_t offset = mc_load_u64le(p + MCPK_P_OFFSET);
        const uint64_t stored = mc_load_u64le(p + MCPK_P_STORED);
        if (mc_load_u16le(p + MCPK_P_TYPE) == MCPK_SECTION_CRC) continue;
        if (!inside(offset, stored, size)) return;
        for (uint64_t at = 0; at < stored && end - to >= 4; at += MCPK_CRC_CHUNK, to += 4) {
            const uint64_t left = stored - at;
            const size_t n = (size_t)(left < MCPK_CRC_CHUNK ? left : MCPK_CRC_CHUNK);
            mc_store_u32le(to, mc_crc32c(0, file + offset + at, n));
        }
    }
}

static void repair(uint8_t *file, size_t size)
{
    if (size < MCPK_HEADER_BYTES) return;
    const uint32_t parts = mc_load_u32le(file + MCPK_AT_PARTS);
    const uint64_t index = field(file, MCPK_AT_INDEX);
    const uint64_t hashes = field(file, MCPK_AT_HASHES);
    const uint64_t root = field(file, MCPK_AT_ROOT);
    if (parts > MOST_PARTS || !inside(index, (uint64_t)parts * MCPK_PART_BYTES, size) ||
        !inside(hashes, (uint64_t)parts * MCPK_HASH_BYTES, size) ||
        !inside(root, MCPK_HASH_BYTES, size))
        return;
    repair_crcs(file, size, file + index, parts);
    for (uint32_t i = 0; i < parts; i++) {
        const uint8_t *p = file + index + (size_t)i * MCPK_PART_BYTES;
        const uint64_t offset = mc_load_u64le(p + MCPK_P_OFFSET);
        const uint64_t stored = mc_load_u64le(p + MCPK_P_STORED);
        if (!inside(offset, stored, size)) continue;
        digest(file + offset, (size_t)stored, file + hashes + (size_t)i * MCPK_HASH_BYTES);
    }
    digest(file, (size_t)root, file + root);
}

/* ---- reading all of it ---- */

/* Rows as the program decodes them; false when it refuses. */
static bool row_of_program(const mc_container *c, size_t w, uint64_t row, float *to)
{
    mc_err err = {0};
    const mc_weight_spec *spec = &c->weight[w];
    return mc_container_to_f32(c, w, row * spec->cols, spec->cols, to, &err) == MC_OK;
}

/* Bit for bit; the payload of a NaN is nobody's promise. */
static bool same_numbers(const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (memcmp(a + i, b + i, sizeof *a) != 0 && (a[i] == a[i] || b[i] == b[i])) return false;
    return true;
}

static void read_weight(const mc_container *c, const mcpk *pk, size_t w, mc_arena scratch)
{
    const mc_weight_spec *spec = &c->weight[w];
    uint64_t bytes;
    mcpk_weight there;
    if (spec->form == MC_FORM_DENSE) mc_container_dense(c, w, &bytes);
    if (spec->cols == 0 || spec->cols > MOST_COLS) return;
    float *program = MC_NEW(&scratch, float, spec->cols);
    float *device = MC_NEW(&scratch, float, spec->cols);
    if (!program || !device) return;
    const bool on_device = pk && mcpk_weight_at(pk, (uint32_t)w, &there) == MCPK_OK;
    for (uint64_t row = 0; row < spec->rows && row < ROWS_TRIED; row++) {
        const bool decoded = row_of_program(c, w, row, program);
        if (!on_device || mcpk_row_f32(&there, row, device) != MCPK_OK || !decoded) continue;
        must(same_numbers(program, device, (size_t)spec->cols));
    }
}

/* The device's reader alone: what it opens it must read without leaving the bytes. */
static void read_on_device(const mcpk *pk, mc_arena scratch)
{
    for (uint32_t i = 0; i < pk->parts && i < MOST_PARTS; i++) {
        mcpk_part part;
        if (mcpk_part_at(pk, i, &part) == MCPK_OK) mcpk_scrub(pk, i, 0);
    }
    for (uint32_t i = 0; i < pk->weights && i < MOST_PARTS; i++) {
        mcpk_weight w, same;
        if (mcpk_weight_at(pk, i, &w) != MCPK_OK) continue;
        /* Not found: a name with a NUL inside, which only the hashes would tell. */
        if (mcpk_find(pk, w.name, &same) == MCPK_OK) must(strcmp(w.name, same.name) == 0);
        mc_arena loan = scratch;
        float *row = w.cols <= MOST_COLS ? MC_NEW(&loan, float, (size_t)w.cols) : NULL;
        for (uint64_t r = 0; row && r < w.rows && r < ROWS_TRIED; r++) mcpk_row_f32(&w, r, row);
    }
}

static void read_all(const uint8_t *data, size_t size, bool repaired, mc_pool *pool,
                     mc_arena scratch)
{
    mcpk pk;
    const bool device = mcpk_open(data, size, &pk) == MCPK_OK;
    if (device) read_on_device(&pk, scratch);

    mc_map map;
    mc_container c;
    mc_err err = {0};
    if (!fuzz_map(data, size, &map)) return;
    const mc_status status = mc_container_open_map(map, "fuzz", &c, &err);
    if (status != MC_OK) {
        must(status == MC_E_FORMAT || status == MC_E_UNSUPPORTED || status == MC_E_MISMATCH ||
             status == MC_E_BUDGET);
        return;
    }
    must(mc_container_is(data, size));
    const bool whole = mc_container_check(&c, pool, &err) == MC_OK;
    if (whole || repaired)
        for (size_t w = 0; w < c.weights; w++) read_weight(&c, device ? &pk : NULL, w, scratch);
    mc_container_close(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static mc_pool *pool;
    mc_err err = {0};
    mc_region room;
    if (!pool) must(mc_pool_open(&pool, 1, 0, &err) == MC_OK);
    must(mc_region_open(&room, ROOM, &err) == MC_OK);

    read_all(data, size, false, pool, room.arena);
    uint8_t *copy = malloc(size ? size : 1);
    must(copy);
    if (size) memcpy(copy, data, size);
    repair(copy, size);
    read_all(copy, size, true, pool, room.arena);

    free(copy);
    mc_region_close(&room);
    return 0;
}
