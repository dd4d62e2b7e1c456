/* The reader of mcpk.h, written from docs/container.md and sharing no code with the program that
 * writes containers.
 *
 * Every offset and count is checked against the bytes at hand before it is used, and mcpk_weight_at
 * checks each part against what the weight's shape demands, so that mcpk_row_f32 needs no checks of
 * its own. Compile with -ffp-contract=off where the compiler would otherwise fuse s * t + m into
 * one rounding. */
#include "runtime/mcpk.h"

#include "runtime/mcpk_number.h"

#include <string.h>

/* ---- loads ---- */

static uint32_t load16(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}

static uint32_t load32(const uint8_t *p)
{
    return load16(p) | load16(p + 2) << 16;
}

static uint64_t load64(const uint8_t *p)
{
    return (uint64_t)load32(p) | (uint64_t)load32(p + 4) << 32;
}

static int is_zero(const uint8_t *p, size_t n)
{
    while (n > 0 && p[n - 1] == 0) n--;
    return n == 0;
}

static int inside(const mcpk *pk, uint64_t offset, uint64_t n)
{
    return offset <= pk->bytes && n <= pk->bytes - offset;
}

/* ---- encodings ---- */
static const uint8_t dtype_bits[] = {0, 32, 16, 16, 64, 8,  8,  8,  8,  8, 6, 6, 4, 8,
                                     8, 8,  16, 16, 32, 32, 64, 64, 64, 4, 4, 2, 2};

/* Bits of an element; 0 for an unknown encoding and for base 3. */
static unsigned bits_of(unsigned encoding)
{
    if (encoding > MCPK_ENCODING_PACKED && encoding <= MCPK_ENCODING_PACKED + 8)
        return encoding - MCPK_ENCODING_PACKED;
    return encoding < sizeof dtype_bits ? dtype_bits[encoding] : 0;
}

static int encoded_bytes(unsigned encoding, uint64_t n, uint64_t *bytes)
{
    const unsigned bits = bits_of(encoding);
    *bytes = encoding == MCPK_ENCODING_BASE3 ? (n + 4) / 5 : n / 8 * bits + (n % 8 * bits + 7) / 8;
    return bits != 0 || encoding == MCPK_ENCODING_BASE3;
}

/* Has number() a conversion for this dtype? */
static int is_number(unsigned dtype)
{
    return dtype >= MCPK_F32 && dtype <= MCPK_F8_E8M0 && dtype != MCPK_F64;
}

static float number(unsigned dtype, const uint8_t *data, size_t i)
{
    switch (dtype) {
    case MCPK_F32: return from_bits(load32(data + 4 * i));
    case MCPK_F16: return from_f16(load16(data + 2 * i));
    case MCPK_BF16: return from_bits(load16(data + 2 * i) << 16);
    case MCPK_F8_E4M3: return from_e4m3(data[i]);
    case MCPK_F8_E5M2: return from_f16((uint32_t)data[i] << 8);
    default: return from_e8m0(data[i]);
    }
}

static unsigned code_at(unsigned encoding, const uint8_t *data, size_t i)
{
    static const uint8_t power[5] = {1, 3, 9, 27, 81};
    if (encoding == MCPK_ENCODING_BASE3) return data[i / 5] / power[i % 5] % 3u;
    const unsigned bits = encoding - MCPK_ENCODING_PACKED;
    const unsigned bit = (unsigned)(i % 8) * bits;
    const uint8_t *at = data + i / 8 * bits + bit / 8;
    unsigned x = at[0];
    if (bit % 8 + bits > 8) x |= (unsigned)at[1] << 8;
    return x >> bit % 8 & ((1u << bits) - 1);
}

/* ---- levels ---- */

static const float binary[2] = {-1.0f, 1.0f};
static const float ternary[3] = {-1.0f, 0.0f, 1.0f};
/* clang-format off */
static const float nf4[16] = {
    -1.0f, -0.6961928009986877f, -0.5250730514526367f, -0.39491748809814453f,
    -0.28444138169288635f, -0.18477343022823334f, -0.09105003625154495f, 0.0f,
    0.07958029955625534f, 0.16093020141124725f, 0.24611230194568634f, 0.33791524171829224f,
    0.44070982933044434f, 0.5626170039176941f, 0.7229568362236023f, 1.0f,
};
/* clang-format on */
static const float iq4_nl[16] = {-127.0f, -104.0f, -83.0f, -65.0f, -49.0f, -35.0f, -22.0f, -10.0f,
                                 1.0f,    13.0f,   25.0f,  38.0f,  53.0f,  69.0f,  89.0f,  113.0f};
static const float e2m1[15] = {-6.0f, -4.0f, -3.0f, -2.0f, -1.5f, -1.0f, -0.5f, 0.0f,
                               0.5f,  1.0f,  1.5f,  2.0f,  3.0f,  4.0f,  6.0f};

/* Tables begin at id 9; 1..8 are the integers of so many bits. Those without numbers are floats:
 * a code counts from the middle one, 0, and what is left are the bits of the number. */
static const struct {
    const float *value;
    uint8_t bits, count;
} tables[] = {{binary, 1, 2},  {ternary, 2, 3}, {nf4, 4, 16},    {iq4_nl, 4, 16},
              {e2m1, 4, 15}, {NULL, 8, 253},  {NULL, 8, 247}};

enum { FIRST_TABLE = 9, E4M3 = 14, TABLES = sizeof tables / sizeof *tables };

/* Level u of a table, u being one of its codes. */
static float level_of(unsigned levels, unsigned u)
{
    const unsigned middle = tables[levels - FIRST_TABLE].count / 2u;
    unsigned byte;
    if (tables[levels - FIRST_TABLE].value) return tables[levels - FIRST_TABLE].value[u];
    byte = u < middle ? 0x80u | (middle - u) : u - middle;
    return levels == E4M3 ? from_e4m3(byte) : from_f16(byte << 8);
}

/* ---- sections ---- */

/* The entry itself, whether or not its bytes are at hand. */
static mcpk_status load_part(const mcpk *pk, uint32_t i, mcpk_part *out)
{
    if (i >= pk->parts) return MCPK_E_MISSING;
    const uint8_t *p = pk->index + (size_t)i * MCPK_PART_BYTES;
    unsigned k;
    out->offset = load64(p + MCPK_P_OFFSET);
    out->stored = load64(p + MCPK_P_STORED);
    out->raw = load64(p + MCPK_P_RAW);
    out->weight = load32(p + MCPK_P_WEIGHT);
    out->type = (uint16_t)load16(p + MCPK_P_TYPE);
    out->role = p[MCPK_P_ROLE];
    out->flags = p[MCPK_P_FLAGS];
    out->encoding = (uint16_t)load16(p + MCPK_P_ENCODING);
    out->layout = (uint16_t)load16(p + MCPK_P_LAYOUT);
    out->layout_version = (uint16_t)load16(p + MCPK_P_LAYOUT_VERSION);
    for (k = 0; k < 4; k++) out->param[k] = load32(p + MCPK_P_PARAM + 4 * k);
    return MCPK_OK;
}

mcpk_status mcpk_part_at(const mcpk *pk, uint32_t i, mcpk_part *out)
{
    const mcpk_status status = load_part(pk, i, out);
    if (status != MCPK_OK) return status;
    return inside(pk, out->offset, out->stored) ? MCPK_OK : MCPK_E_TRUNCATED;
}

/* By type: the flags a section may have, 0 when this reader does not know it; its parameters. */
static const struct {
    uint8_t flags, params;
} types[] = {[MCPK_SECTION_NAMES] = {MCPK_REQUIRED, 0},
             [MCPK_SECTION_CRC] = {MCPK_REQUIRED, 1},
             [MCPK_SECTION_MANIFEST] = {MCPK_REQUIRED | MCPK_ZLIB, 0},
             [MCPK_SECTION_WEIGHT] = {MCPK_REQUIRED | MCPK_ZLIB, 0},
             [MCPK_SECTION_SIDE] = {MCPK_REQUIRED | MCPK_ZLIB | MCPK_CUTTABLE, 2}};

/* What the index says beside places and sizes. */
static mcpk_status check_entry(const mcpk *pk, const mcpk_part *p, unsigned flags, unsigned params)
{
    const int owned = p->type == MCPK_SECTION_WEIGHT;
    if (p->flags & ~(MCPK_REQUIRED | MCPK_ZLIB | MCPK_CUTTABLE)) return MCPK_E_UNSUPPORTED;
    if (p->layout || p->layout_version) return MCPK_E_UNSUPPORTED;
    if (p->flags & ~flags) return MCPK_E_STRUCTURE;
    if (owned ? !(p->flags & MCPK_REQUIRED) || p->weight >= pk->weights
              : p->weight != MCPK_NO_WEIGHT || p->role || p->encoding)
        return MCPK_E_STRUCTURE;
    if (p->type == MCPK_SECTION_CRC && p->param[0] != MCPK_CRC_CHUNK) return MCPK_E_STRUCTURE;
    while (params < 4)
        if (p->param[params++]) return MCPK_E_STRUCTURE;
    return !(p->flags & MCPK_ZLIB) && p->raw != p->stored ? MCPK_E_STRUCTURE : MCPK_OK;
}

static mcpk_status check_part(const mcpk *pk, const mcpk_part *p, uint64_t align, uint64_t *at)
{
    const unsigned type = p->type < sizeof types / sizeof *types ? p->type : 0;
    mcpk_status status;
    if (p->offset != *at || p->stored > UINT64_MAX / 2 - *at) return MCPK_E_STRUCTURE;
    *at = (p->offset + p->stored + align - 1) & ~(align - 1);
    if (!types[type].flags) return p->flags & MCPK_REQUIRED ? MCPK_E_UNSUPPORTED : MCPK_OK;
    status = check_entry(pk, p, types[type].flags, types[type].params);
    if (status != MCPK_OK) return status;
    if (!(p->flags & MCPK_CUTTABLE) && !inside(pk, p->offset, p->stored)) return MCPK_E_TRUNCATED;
    return MCPK_OK;
}

/* Also counts the parts of weights. */
static mcpk_status open_sections(mcpk *pk, uint64_t front, uint64_t align, uint64_t file_bytes,
                                 uint32_t *owned)
{
    mcpk_part p;
    uint64_t at = front, end = front;
    uint32_t i;
    for (i = 0; i < pk->parts; i++) {
        const uint8_t *entry = pk->index + (size_t)i * MCPK_PART_BYTES;
        mcpk_status status = load_part(pk, i, &p);
        if (status == MCPK_OK) status = check_part(pk, &p, align, &at);
        if (status != MCPK_OK) return status;
        if (!is_zero(entry + MCPK_P_LAYOUT_VERSION + 2, 2) || !is_zero(entry + MCPK_P_SPARE, 8))
            return MCPK_E_STRUCTURE;
        *owned += p.type == MCPK_SECTION_WEIGHT;
        end = p.offset + p.stored;
        if (p.type != MCPK_SECTION_NAMES) continue;
        if (pk->names || (p.flags & MCPK_ZLIB) || !inside(pk, p.offset, p.stored))
            return MCPK_E_STRUCTURE;
        pk->names = pk->base + (size_t)p.offset;
        pk->names_bytes = (size_t)p.stored;
    }
    return pk->names && end == file_bytes ? MCPK_OK : MCPK_E_STRUCTURE;
}

/* ---- weights ---- */

/* Walks the parts of a weight in the order the format lists them. */
typedef struct {
    const mcpk *pk;
    mcpk_weight *w;
    uint32_t weight;
    uint32_t taken;
    mcpk_status status;
} taker;

/* The next part must have this role and encoding and hold `count` elements. */
static void take(taker *t, unsigned role, unsigned encoding, uint64_t count)
{
    mcpk_part p;
    uint64_t bytes;
    if (t->status != MCPK_OK) return;
    t->status = MCPK_E_STRUCTURE;
    if (t->taken >= t->w->parts || t->w->first_part >= t->pk->parts - t->taken) return;
    t->status = mcpk_part_at(t->pk, t->w->first_part + t->taken++, &p);
    if (t->status != MCPK_OK) return;
    if (p.type != MCPK_SECTION_WEIGHT || p.weight != t->weight || p.role != role ||
        p.encoding != encoding || !encoded_bytes(encoding, count, &bytes) || p.raw != bytes)
        t->status = MCPK_E_STRUCTURE;
    else if (!(p.flags & MCPK_ZLIB))
        t->w->data[role] = t->pk->base + (size_t)p.offset;
}

static mcpk_status check_grid(const mcpk_weight *w, unsigned *bits)
{
    const int integers = w->levels < FIRST_TABLE, is_free = w->offset == MCPK_OFFSET_FREE;
    const int symmetric = integers && w->offset == MCPK_OFFSET_NONE;
    const int turned = (w->flags & MCPK_WEIGHT_TRANSPOSED) != 0;
    if (w->levels == 0 || w->levels >= FIRST_TABLE + TABLES || w->offset > MCPK_OFFSET_FREE ||
        w->flags & ~MCPK_WEIGHT_FLAGS || !is_number(w->scale_dtype) ||
        w->scale_dtype == MCPK_F8_E5M2)
        return MCPK_E_UNSUPPORTED;
    *bits = integers ? w->levels : tables[w->levels - FIRST_TABLE].bits;
    if (!integers && w->offset == MCPK_OFFSET_ZERO) return MCPK_E_STRUCTURE;
    if (symmetric ? w->levels == 1 : w->flags & MCPK_WEIGHT_RESTRICTED) return MCPK_E_STRUCTURE;
    if (w->scale_dtype == MCPK_F8_E8M0 && (is_free || w->flags & MCPK_WEIGHT_NEGATIVE_SCALE))
        return MCPK_E_STRUCTURE;
    if (w->sub_bits ? w->sub_bits < 4 || w->sub_bits > 8 || !w->super : w->super)
        return MCPK_E_STRUCTURE;
    if (w->flags & MCPK_WEIGHT_TENSOR_SCALE &&
        (w->scale_dtype != MCPK_F8_E4M3 || w->sub_bits || is_free))
        return MCPK_E_STRUCTURE;
    if (w->rows == 0 || w->cols == 0 || (w->group && w->cols % w->group)) return MCPK_E_STRUCTURE;
    return turned && (w->ndim < 2 || w->rows != w->dim[w->ndim - 1]) ? MCPK_E_STRUCTURE : MCPK_OK;
}

static void take_quantized(taker *t)
{
    mcpk_weight *w = t->w;
    unsigned bits;
    t->status = check_grid(w, &bits);
    if (t->status != MCPK_OK) return;

    const uint64_t rows = w->group ? w->rows : 1;
    const uint64_t per_row = w->group ? w->cols / w->group : 1;
    const uint64_t groups = rows * per_row;
    const int is_free = w->offset == MCPK_OFFSET_FREE;
    const unsigned small = MCPK_ENCODING_PACKED + bits, sub = MCPK_ENCODING_PACKED + w->sub_bits;
    const int base3 = w->levels >= FIRST_TABLE && tables[w->levels - FIRST_TABLE].count == 3;
    w->encoding = (uint16_t)(base3 ? (unsigned)MCPK_ENCODING_BASE3 : small);

    take(t, MCPK_ROLE_CODES, w->encoding, w->rows * w->cols);
    if (!w->sub_bits) take(t, MCPK_ROLE_SCALE, w->scale_dtype, groups);
    if (w->offset == MCPK_OFFSET_ZERO) take(t, MCPK_ROLE_ZERO, small, groups);
    if (!w->sub_bits) {
        if (is_free) take(t, MCPK_ROLE_OFFSET, w->scale_dtype, groups);
        if (w->flags & MCPK_WEIGHT_TENSOR_SCALE) take(t, MCPK_ROLE_SUPER_SCALE, MCPK_F32, 1);
        return;
    }
    const uint64_t supers = rows * ((per_row - 1) / w->super + 1);
    take(t, MCPK_ROLE_SUB_SCALE, sub, groups);
    if (is_free) take(t, MCPK_ROLE_SUB_OFFSET, sub, groups);
    take(t, MCPK_ROLE_SUPER_SCALE, w->scale_dtype, supers);
    if (is_free) take(t, MCPK_ROLE_SUPER_OFFSET, w->scale_dtype, supers);
}

/* The dims' product, which must be rows x cols and leave room for counting bits in a size_t. */
static int check_shape(const mcpk_weight *w)
{
    const uint64_t most = SIZE_MAX / 16;
    uint64_t product = 1;
    unsigned i;
    for (i = 0; i < w->ndim; i++) {
        if (product && w->dim[i] > most / product) return 0;
        product *= w->dim[i];
    }
    if (w->rows && w->cols > most / w->rows) return 0;
    return w->rows <= most && w->cols <= most && w->rows * w->cols == product;
}

/* What form and number of dimensions leave unused in the record; edited dense numbers are F32. */
static int unused_is_zero(const uint8_t *p, unsigned ndim, unsigned form)
{
    const unsigned dims_end = MCPK_W_DIM + 8 * ndim;
    if (!is_zero(p + dims_end, MCPK_W_SUPER - dims_end) || !is_zero(p + MCPK_W_SPARE, 12) ||
        !is_zero(p + MCPK_W_SUB_BITS + 1, 2))
        return 0;
    return form != MCPK_FORM_DENSE ||
           (is_zero(p + MCPK_W_LEVELS, MCPK_W_FLAGS - MCPK_W_LEVELS) &&
            (p[MCPK_W_FLAGS] & ~MCPK_WEIGHT_EDITED) == 0 && p[MCPK_W_SUB_BITS] == 0 &&
            (p[MCPK_W_FLAGS] == 0 || p[MCPK_W_DTYPE] == MCPK_F32) &&
            is_zero(p + MCPK_W_GROUP, 8) && is_zero(p + MCPK_W_SUPER, 4));
}

static mcpk_status load_weight(const mcpk *pk, uint32_t i, mcpk_weight *w)
{
    const uint8_t *p = pk->weight_table + (size_t)i * MCPK_WEIGHT_BYTES;
    const uint64_t name = load32(p + MCPK_W_NAME), bytes = load32(p + MCPK_W_NAME_BYTES);
    unsigned k;
    memset(w, 0, sizeof *w);
    if (name + bytes >= pk->names_bytes || pk->names[(size_t)(name + bytes)] != 0)
        return MCPK_E_STRUCTURE;
    w->name = (const char *)(pk->names + (size_t)name);
    w->first_part = load32(p + MCPK_W_FIRST_PART);
    w->parts = load16(p + MCPK_W_PARTS);
    w->form = p[MCPK_W_FORM];
    w->dtype = p[MCPK_W_DTYPE];
    w->ndim = p[MCPK_W_NDIM];
    w->levels = p[MCPK_W_LEVELS];
    w->offset = p[MCPK_W_OFFSET];
    w->scale_dtype = p[MCPK_W_SCALE_DTYPE];
    w->flags = p[MCPK_W_FLAGS];
    w->sub_bits = p[MCPK_W_SUB_BITS];
    w->super = load32(p + MCPK_W_SUPER);
    w->rows = load64(p + MCPK_W_ROWS);
    w->cols = load64(p + MCPK_W_COLS);
    w->group = load64(p + MCPK_W_GROUP);
    for (k = 0; k < MCPK_MAX_DIMS; k++) w->dim[k] = load64(p + MCPK_W_DIM + 8 * k);
    if (w->ndim > MCPK_MAX_DIMS || !check_shape(w) || !unused_is_zero(p, w->ndim, w->form))
        return MCPK_E_STRUCTURE;
    return w->dtype >= 1 && w->dtype < sizeof dtype_bits ? MCPK_OK : MCPK_E_UNSUPPORTED;
}

mcpk_status mcpk_weight_at(const mcpk *pk, uint32_t i, mcpk_weight *out)
{
    taker t = {pk, out, i, 0, MCPK_OK};
    if (i >= pk->weights) return MCPK_E_MISSING;
    t.status = load_weight(pk, i, out);
    if (t.status != MCPK_OK) return t.status;
    if (out->form == MCPK_FORM_DENSE) {
        out->encoding = out->dtype;
        take(&t, MCPK_ROLE_DENSE, out->dtype, out->rows * out->cols);
    } else if (out->form == MCPK_FORM_QUANTIZED) {
        take_quantized(&t);
    } else {
        return MCPK_E_UNSUPPORTED;
    }
    if (t.status == MCPK_OK && t.taken != out->parts) return MCPK_E_STRUCTURE;
    return t.status;
}

mcpk_status mcpk_find(const mcpk *pk, const char *name, mcpk_weight *out)
{
    const size_t bytes = strlen(name);
    uint32_t i;
    for (i = 0; i < pk->weights; i++) {
        const uint8_t *p = pk->weight_table + (size_t)i * MCPK_WEIGHT_BYTES;
        const uint64_t at = load32(p + MCPK_W_NAME);
        if (load32(p + MCPK_W_NAME_BYTES) != bytes || at + bytes >= pk->names_bytes) continue;
        if (memcmp(pk->names + (size_t)at, name, bytes) == 0) return mcpk_weight_at(pk, i, out);
    }
    return MCPK_E_MISSING;
}

/* ---- opening ---- */

/* The tables follow one another; their places in the header must say so. */
static mcpk_status open_tables(mcpk *pk, uint64_t align, uint64_t *front)
{
    const uint8_t *h = pk->base;
    const uint64_t index = MCPK_HEADER_BYTES + (uint64_t)pk->weights * MCPK_WEIGHT_BYTES;
    const uint64_t hashes = index + (uint64_t)pk->parts * MCPK_PART_BYTES;
    const uint64_t root = hashes + (uint64_t)pk->parts * MCPK_HASH_BYTES;
    const uint64_t end = root + MCPK_HASH_BYTES + MCPK_SIGNATURE_BYTES;
    *front = (end + align - 1) & ~(align - 1);
    if (load32(h + MCPK_AT_HEADER_BYTES) != MCPK_HEADER_BYTES ||
        load32(h + MCPK_AT_WEIGHT_BYTES) != MCPK_WEIGHT_BYTES ||
        load32(h + MCPK_AT_PART_BYTES) != MCPK_PART_BYTES ||
        load32(h + MCPK_AT_HASH_BYTES) != MCPK_HASH_BYTES ||
        load64(h + MCPK_AT_WEIGHT_TABLE) != MCPK_HEADER_BYTES ||
        load64(h + MCPK_AT_INDEX) != index || load64(h + MCPK_AT_HASHES) != hashes ||
        load64(h + MCPK_AT_ROOT) != root || load64(h + MCPK_AT_FRONT_BYTES) != *front)
        return MCPK_E_STRUCTURE;
    if (*front > pk->bytes) return MCPK_E_TRUNCATED;
    if (load32(h + MCPK_AT_FLAGS) != 0 || load64(h + MCPK_AT_ROLLBACK) != 0)
        return MCPK_E_UNSUPPORTED; /* signed: nothing in this version */
    pk->weight_table = pk->base + MCPK_HEADER_BYTES;
    pk->index = pk->base + (size_t)index;
    pk->hashes = pk->base + (size_t)hashes;
    pk->root = pk->base + (size_t)root;
    return is_zero(pk->root + MCPK_HASH_BYTES, (size_t)(*front - root - MCPK_HASH_BYTES))
               ? MCPK_OK
               : MCPK_E_STRUCTURE;
}

static mcpk_status check_header(const uint8_t *h)
{
    const unsigned activations = h[MCPK_AT_ACT_BITS], kv = h[MCPK_AT_KV_BITS];
    if (activations - 1 > 15u || kv - 1 > 15u || h[MCPK_AT_ACT_MODE] > MCPK_ACT_STATIC ||
        h[MCPK_AT_MEASURED] > 1)
        return MCPK_E_UNSUPPORTED;
    if (!is_zero(h + MCPK_AT_MEASURED + 1, MCPK_AT_ROLLBACK - MCPK_AT_MEASURED - 1) ||
        !is_zero(h + MCPK_AT_HEADER_SPARE, MCPK_HEADER_BYTES - MCPK_AT_HEADER_SPARE))
        return MCPK_E_STRUCTURE;
    return MCPK_OK;
}

/* Every weight, in the order of its names and of its parts, which are all there are. */
static mcpk_status open_weights(const mcpk *pk, uint32_t owned)
{
    mcpk_weight w;
    const char *name = (const char *)pk->names;
    uint32_t i, next = 0;
    for (i = 0; i < pk->weights; i++) {
        const uint8_t *record = pk->weight_table + (size_t)i * MCPK_WEIGHT_BYTES;
        const mcpk_status status = mcpk_weight_at(pk, i, &w);
        if (status != MCPK_OK) return status;
        if (w.name != name || strlen(name) != load32(record + MCPK_W_NAME_BYTES) ||
            (i > 0 && w.first_part != next))
            return MCPK_E_STRUCTURE;
        name += strlen(name) + 1;
        next = w.first_part + w.parts;
        owned -= w.parts;
    }
    return owned == 0 ? MCPK_OK : MCPK_E_STRUCTURE;
}

mcpk_status mcpk_open(const void *base, size_t bytes, mcpk *out)
{
    const uint8_t *h = (const uint8_t *)base;
    mcpk_status status;
    uint64_t front, align, file_bytes;
    uint32_t owned = 0;
    memset(out, 0, sizeof *out);
    if (bytes < MCPK_MAGIC_BYTES || memcmp(h, MCPK_MAGIC, MCPK_MAGIC_BYTES) != 0)
        return MCPK_E_MAGIC;
    if (bytes < MCPK_HEADER_BYTES) return MCPK_E_TRUNCATED;
    if (load32(h + MCPK_AT_VERSION) != MCPK_VERSION) return MCPK_E_VERSION;

    file_bytes = load64(h + MCPK_AT_FILE_BYTES);
    align = load32(h + MCPK_AT_ALIGN);
    if (align < MCPK_MIN_ALIGN || align > MCPK_MAX_ALIGN || (align & (align - 1)))
        return MCPK_E_STRUCTURE;
    out->base = h;
    out->bytes = file_bytes < bytes ? (size_t)file_bytes : bytes;
    out->weights = load32(h + MCPK_AT_WEIGHTS);
    out->parts = load32(h + MCPK_AT_PARTS);
    out->target = (uint16_t)load16(h + MCPK_AT_TARGET);
    out->activation_bits = h[MCPK_AT_ACT_BITS];
    out->activation_mode = h[MCPK_AT_ACT_MODE];
    out->kv_bits = h[MCPK_AT_KV_BITS];
    out->measured = h[MCPK_AT_MEASURED];
    status = open_tables(out, align, &front);
    if (status == MCPK_OK) status = check_header(h);
    if (status == MCPK_OK) status = open_sections(out, front, align, file_bytes, &owned);
    return status == MCPK_OK ? open_weights(out, owned) : status;
}

/* ---- rows ---- */

/* Scale, offset and zero of group g; s is the super-scale's index under two-level scales. */
typedef struct {
    float scale, offset;
    unsigned zero;
} params;

static params params_at(const mcpk_weight *w, size_t g, size_t s)
{
    const unsigned sub = MCPK_ENCODING_PACKED + w->sub_bits;
    params p = {0.0f, 0.0f, 0};
    if (w->sub_bits) {
        p.scale = number(w->scale_dtype, w->data[MCPK_ROLE_SUPER_SCALE], s);
        p.scale = p.scale * (float)code_at(sub, w->data[MCPK_ROLE_SUB_SCALE], g);
    } else {
        p.scale = number(w->scale_dtype, w->data[MCPK_ROLE_SCALE], g);
        if (w->flags & MCPK_WEIGHT_TENSOR_SCALE)
            p.scale = number(MCPK_F32, w->data[MCPK_ROLE_SUPER_SCALE], 0) * p.scale;
    }
    if (w->offset == MCPK_OFFSET_FREE && w->sub_bits) {
        p.offset = number(w->scale_dtype, w->data[MCPK_ROLE_SUPER_OFFSET], s);
        p.offset = p.offset * (float)code_at(sub, w->data[MCPK_ROLE_SUB_OFFSET], g);
    } else if (w->offset == MCPK_OFFSET_FREE) {
        p.offset = number(w->scale_dtype, w->data[MCPK_ROLE_OFFSET], g);
    }
    if (w->offset == MCPK_OFFSET_ZERO)
        p.zero = code_at(w->encoding, w->data[MCPK_ROLE_ZERO], g);
    else if (w->offset == MCPK_OFFSET_NONE && w->levels < FIRST_TABLE)
        p.zero = 1u << (w->levels - 1);
    return p;
}

/* n codes of one group, from element `at` of the weight. */
static mcpk_status decode(const mcpk_weight *w, params p, size_t at, size_t n, float *out)
{
    const uint8_t *codes = w->data[MCPK_ROLE_CODES];
    const int table = w->levels >= FIRST_TABLE;
    size_t i;
    for (i = 0; i < n; i++) {
        const unsigned u = code_at(w->encoding, codes, at + i);
        float t;
        if (!table)
            t = (float)((int)u - (int)p.zero);
        else if (u < tables[w->levels - FIRST_TABLE].count)
            t = level_of(w->levels, u);
        else
            return MCPK_E_STRUCTURE;
        t = p.scale * t;
        if (w->offset == MCPK_OFFSET_FREE) t = t + p.offset;
        out[i] = t;
    }
    return MCPK_OK;
}

static mcpk_status dense_row(const mcpk_weight *w, size_t at, float *out)
{
    size_t i;
    if (!is_number(w->dtype) || !w->data[MCPK_ROLE_DENSE]) return MCPK_E_UNSUPPORTED;
    for (i = 0; i < (size_t)w->cols; i++)
        out[i] = number(w->dtype, w->data[MCPK_ROLE_DENSE], at + i);
    return MCPK_OK;
}

/* Are all parts of the weight at hand uncompressed? */
static int in_place(const mcpk_weight *w)
{
    unsigned role, found = 0;
    for (role = 0; role < MCPK_ROLES; role++) found += w->data[role] != NULL;
    return found == w->parts;
}

mcpk_status mcpk_row_f32(const mcpk_weight *w, uint64_t row, float *out)
{
    size_t i, g = 0, at, groups;
    if (row >= w->rows) return MCPK_E_MISSING;
    at = (size_t)(row * w->cols);
    if (w->form == MCPK_FORM_DENSE) return dense_row(w, at, out);
    if (!in_place(w)) return MCPK_E_UNSUPPORTED;
    if (w->group == 0) return decode(w, params_at(w, 0, 0), at, (size_t)w->cols, out);

    groups = (size_t)(w->cols / w->group);
    for (i = 0; i < groups; i++) {
        const size_t n = (size_t)w->group;
        const size_t supers = w->sub_bits ? (groups - 1) / w->super + 1 : 0;
        g = (size_t)row * groups + i;
        const params p = params_at(w, g, w->sub_bits ? (size_t)row * supers + i / w->super : 0);
        const mcpk_status status = decode(w, p, at + i * n, n, out + i * n);
        if (status != MCPK_OK) return status;
    }
    return MCPK_OK;
}
