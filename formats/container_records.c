/* The records of a container, and what the parts of a weight (core/weight.h) are called in them:
 * the writer lays out by it, the reader holds the index to it. */
#include "formats/container_records.h"

#include "core/bytes.h"
#include "core/ckd.h"

#include <stdio.h>
#include <string.h>

/* ---- which parts ---- */

static uint16_t integer_encoding(bool base3, unsigned bits)
{
    return (uint16_t)(base3 ? MCPK_ENCODING_BASE3 : MCPK_ENCODING_PACKED + bits);
}

uint16_t mc_codes_encoding(const mc_levels *levels)
{
    return integer_encoding(levels->base3, levels->bits);
}

uint64_t mc_needs_groups(const mc_weight_spec *spec)
{
    return spec->group ? spec->cols / spec->group : 1;
}

uint64_t mc_needs_supers(const mc_weight_spec *spec)
{
    return spec->grid.sub_bits ? mc_ceil_div(mc_needs_groups(spec), spec->grid.super) : 0;
}

static mc_status check_shape(const mc_weight_spec *spec, uint64_t *count, mc_err *err)
{
    uint64_t product = 1;
    bool fits = spec->ndim >= 0 && spec->ndim <= MC_MAX_DIMS;
    for (int i = 0; fits && i < spec->ndim; i++) fits = mc_mul_u64(product, spec->dim[i], &product);
    if (!fits || !mc_mul_u64(spec->rows, spec->cols, count) || *count != product ||
        *count > SIZE_MAX / 16)
        return mc_fail(err, MC_E_UNSUPPORTED,
                       "a shape of %d dimensions does not hold the %llu x %llu elements",
                       spec->ndim, (unsigned long long)spec->rows, (unsigned long long)spec->cols);
    return MC_OK;
}

static mc_status check_quantized(const mc_weight_spec *spec, uint64_t count, mc_err *err)
{
    const mc_levels *levels = spec->grid.levels;
    if (!levels) return mc_fail(err, MC_E_UNSUPPORTED, "a quantized weight without levels");
    if (count == 0) return mc_fail(err, MC_E_UNSUPPORTED, "an empty weight cannot be quantized");
    if (mc_grid_check(&spec->grid, err) != MC_OK) {
        err->status = MC_E_UNSUPPORTED; /* whoever asked for it, a container cannot say it */
        return MC_E_UNSUPPORTED;
    }
    if (spec->transposed && (spec->ndim < 2 || spec->rows != spec->dim[spec->ndim - 1]))
        return mc_fail(err, MC_E_UNSUPPORTED, "a transposed matrix of %llu rows that is not one",
                       (unsigned long long)spec->rows);
    if (!spec->grid.sub_bits != !spec->grid.super)
        return mc_fail(err, MC_E_UNSUPPORTED,
                       "sub-scales of %u bits under super-scales of %u groups", spec->grid.sub_bits,
                       spec->grid.super);
    if (spec->group && spec->cols % spec->group != 0)
        return mc_fail(err, MC_E_UNSUPPORTED, "a group of %llu does not divide a row of %llu",
                       (unsigned long long)spec->group, (unsigned long long)spec->cols);
    return MC_OK;
}

/* The dtypes that a container may hold. */
static bool is_dtype(unsigned dtype)
{
    return dtype >= MC_F32 && dtype <= MC_I2;
}

static mc_status check_dense(const mc_weight_spec *spec, mc_err *err)
{
    const unsigned dtype = (unsigned)spec->dtype;
    if (is_dtype(dtype)) return MC_OK;
    return mc_fail(err, MC_E_UNSUPPORTED, "dtype %u is unknown", dtype);
}

static mc_status check_form(const mc_weight_spec *spec, uint64_t count, mc_err *err)
{
    switch (spec->form) {
    case MC_FORM_DENSE: return check_dense(spec, err);
    case MC_FORM_QUANTIZED: return check_quantized(spec, count, err);
    default:
        return mc_fail(err, MC_E_UNSUPPORTED, "%s weights cannot be packed",
                       mc_form_name(spec->form));
    }
}

static const uint8_t role_of_part[MC_PARTS] = {
    [MC_PART_DENSE] = MCPK_ROLE_DENSE,
    [MC_PART_CODES] = MCPK_ROLE_CODES,
    [MC_PART_SCALE] = MCPK_ROLE_SCALE,
    [MC_PART_ZERO] = MCPK_ROLE_ZERO,
    [MC_PART_OFFSET] = MCPK_ROLE_OFFSET,
    [MC_PART_SUB_SCALE] = MCPK_ROLE_SUB_SCALE,
    [MC_PART_SUB_OFFSET] = MCPK_ROLE_SUB_OFFSET,
    [MC_PART_SUPER_SCALE] = MCPK_ROLE_SUPER_SCALE,
    [MC_PART_SUPER_OFFSET] = MCPK_ROLE_SUPER_OFFSET,
};

static uint16_t encoding_of(const mc_part_size *size)
{
    if (size->dtype != MC_DTYPE_NONE) return (uint16_t)size->dtype;
    return integer_encoding(size->base3, size->bits);
}

mc_status mc_needs_of(const mc_weight_spec *spec, mc_needs *out, mc_err *err)
{
    uint64_t count = 0;
    *out = (mc_needs){0};
    MC_TRY(check_shape(spec, &count, err));
    MC_TRY(check_form(spec, count, err));

    mc_part_size size[MC_WEIGHT_PARTS];
    out->parts = mc_weight_parts(spec, size);
    for (unsigned i = 0; i < out->parts; i++)
        out->part[i] = (mc_part_need){.role = role_of_part[size[i].part],
                                      .encoding = encoding_of(&size[i]),
                                      .count = size[i].count,
                                      .bytes = size[i].bytes};
    return MC_OK;
}

/* ---- the front ---- */

bool mc_front_of(uint32_t weights, uint32_t parts, uint32_t align, mc_front *out)
{
    /* 32-bit counts times small sizes: no overflow in 64 bits. */
    out->index = MCPK_HEADER_BYTES + (uint64_t)weights * MCPK_WEIGHT_BYTES;
    out->hashes = out->index + (uint64_t)parts * MCPK_PART_BYTES;
    out->root = out->hashes + (uint64_t)parts * MCPK_HASH_BYTES;
    return mc_align_up(out->root + MCPK_HASH_BYTES + MCPK_SIGNATURE_BYTES, align,
                       &out->front_bytes);
}

bool mc_crc_chunks(const mcpk_part *part, size_t parts, uint64_t *chunks)
{
    *chunks = 0;
    for (size_t i = 0; i < parts; i++) {
        if (part[i].type == MCPK_SECTION_CRC) continue;
        if (!mc_add_u64(*chunks, mc_ceil_div(part[i].stored, MCPK_CRC_CHUNK), chunks)) return false;
    }
    return *chunks <= UINT64_MAX / 4;
}

/* ---- records ---- */

void mc_part_store(const mcpk_part *part, unsigned char to[MCPK_PART_BYTES])
{
    memset(to, 0, MCPK_PART_BYTES);
    mc_store_u64le(to + MCPK_P_OFFSET, part->offset);
    mc_store_u64le(to + MCPK_P_STORED, part->stored);
    mc_store_u64le(to + MCPK_P_RAW, part->raw);
    mc_store_u32le(to + MCPK_P_WEIGHT, part->weight);
    mc_store_u16le(to + MCPK_P_TYPE, part->type);
    to[MCPK_P_ROLE] = part->role;
    to[MCPK_P_FLAGS] = part->flags;
    mc_store_u16le(to + MCPK_P_ENCODING, part->encoding);
    mc_store_u16le(to + MCPK_P_LAYOUT, part->layout);
    mc_store_u16le(to + MCPK_P_LAYOUT_VERSION, part->layout_version);
    for (unsigned i = 0; i < 4; i++) mc_store_u32le(to + MCPK_P_PARAM + 4 * i, part->param[i]);
}

bool mc_part_load(const unsigned char *from, mcpk_part *part)
{
    *part = (mcpk_part){
        .offset = mc_load_u64le(from + MCPK_P_OFFSET),
        .stored = mc_load_u64le(from + MCPK_P_STORED),
        .raw = mc_load_u64le(from + MCPK_P_RAW),
        .weight = mc_load_u32le(from + MCPK_P_WEIGHT),
        .type = mc_load_u16le(from + MCPK_P_TYPE),
        .role = from[MCPK_P_ROLE],
        .flags = from[MCPK_P_FLAGS],
        .encoding = mc_load_u16le(from + MCPK_P_ENCODING),
        .layout = mc_load_u16le(from + MCPK_P_LAYOUT),
        .layout_version = mc_load_u16le(from + MCPK_P_LAYOUT_VERSION),
    };
    for (unsigned i = 0; i < 4; i++) part->param[i] = mc_load_u32le(from + MCPK_P_PARAM + 4 * i);
    return mc_all_zero(from + MCPK_P_LAYOUT_VERSION + 2, 2) && mc_all_zero(from + MCPK_P_SPARE, 8);
}

void mc_weight_store(const mc_weight_spec *spec, mc_weight_place place,
                     unsigned char to[MCPK_WEIGHT_BYTES])
{
    memset(to, 0, MCPK_WEIGHT_BYTES);
    mc_store_u32le(to + MCPK_W_NAME, place.name);
    mc_store_u32le(to + MCPK_W_NAME_BYTES, place.name_bytes);
    mc_store_u32le(to + MCPK_W_FIRST_PART, place.first_part);
    mc_store_u16le(to + MCPK_W_PARTS, place.parts);
    to[MCPK_W_FORM] = (unsigned char)spec->form;
    to[MCPK_W_DTYPE] = (unsigned char)spec->dtype;
    to[MCPK_W_NDIM] = (unsigned char)spec->ndim;
    mc_store_u64le(to + MCPK_W_ROWS, spec->rows);
    mc_store_u64le(to + MCPK_W_COLS, spec->cols);
    for (int i = 0; i < spec->ndim; i++) mc_store_u64le(to + MCPK_W_DIM + 8 * i, spec->dim[i]);
    to[MCPK_W_FLAGS] = spec->edited ? MCPK_WEIGHT_EDITED : 0;
    if (spec->form != MC_FORM_QUANTIZED) return;

    const mc_grid *g = &spec->grid;
    to[MCPK_W_LEVELS] = g->levels->id;
    to[MCPK_W_OFFSET] = (unsigned char)g->offset;
    to[MCPK_W_SCALE_DTYPE] = (unsigned char)g->scale_dtype;
    to[MCPK_W_FLAGS] |= (unsigned char)((g->restricted ? MCPK_WEIGHT_RESTRICTED : 0) |
                                        (g->negative_scale ? MCPK_WEIGHT_NEGATIVE_SCALE : 0) |
                                        (g->tensor_scaled ? MCPK_WEIGHT_TENSOR_SCALE : 0) |
                                        (spec->transposed ? MCPK_WEIGHT_TRANSPOSED : 0));
    to[MCPK_W_SUB_BITS] = (unsigned char)g->sub_bits;
    mc_store_u64le(to + MCPK_W_GROUP, spec->group);
    mc_store_u32le(to + MCPK_W_SUPER, g->super);
}

static mc_status load_grid(const unsigned char *from, mc_weight_spec *spec, mc_err *err)
{
    const unsigned offset = from[MCPK_W_OFFSET], dtype = from[MCPK_W_SCALE_DTYPE];
    const unsigned flags = from[MCPK_W_FLAGS];
    const mc_levels *levels = mc_levels_by_id(from[MCPK_W_LEVELS]);
    if (!levels || levels->id == 0)
        return mc_fail(err, MC_E_UNSUPPORTED, "levels %u are unknown",
                       (unsigned)from[MCPK_W_LEVELS]);
    if (offset > MC_OFFSET_FREE)
        return mc_fail(err, MC_E_UNSUPPORTED, "offset kind %u is unknown", offset);
    if (flags & ~(unsigned)MCPK_WEIGHT_FLAGS)
        return mc_fail(err, MC_E_UNSUPPORTED, "flags 0x%02x are unknown", flags);
    if (!is_dtype(dtype)) return mc_fail(err, MC_E_UNSUPPORTED, "scale dtype %u is unknown", dtype);
    spec->group = mc_load_u64le(from + MCPK_W_GROUP);
    spec->transposed = flags & MCPK_WEIGHT_TRANSPOSED;
    spec->edited = flags & MCPK_WEIGHT_EDITED;
    spec->grid = (mc_grid){
        .levels = levels,
        .offset = (mc_offset)offset,
        .restricted = flags & MCPK_WEIGHT_RESTRICTED,
        .negative_scale = flags & MCPK_WEIGHT_NEGATIVE_SCALE,
        .tensor_scaled = flags & MCPK_WEIGHT_TENSOR_SCALE,
        .scale_dtype = (mc_dtype)dtype,
        .sub_bits = from[MCPK_W_SUB_BITS],
        .super = mc_load_u32le(from + MCPK_W_SUPER),
    };
    return MC_OK;
}

mc_status mc_weight_load(const unsigned char *from, mc_weight_spec *spec, mc_weight_place *place,
                         mc_err *err)
{
    const unsigned form = from[MCPK_W_FORM], dtype = from[MCPK_W_DTYPE], ndim = from[MCPK_W_NDIM];
    *place = (mc_weight_place){
        .name = mc_load_u32le(from + MCPK_W_NAME),
        .name_bytes = mc_load_u32le(from + MCPK_W_NAME_BYTES),
        .first_part = mc_load_u32le(from + MCPK_W_FIRST_PART),
        .parts = mc_load_u16le(from + MCPK_W_PARTS),
    };
    if (form != MC_FORM_DENSE && form != MC_FORM_QUANTIZED)
        return mc_fail(err, MC_E_UNSUPPORTED, "form %u is unknown", form);
    if (!is_dtype(dtype)) return mc_fail(err, MC_E_UNSUPPORTED, "dtype %u is unknown", dtype);
    if (ndim > MC_MAX_DIMS)
        return mc_fail(err, MC_E_MISMATCH, "%u dimensions, at most %d", ndim, MC_MAX_DIMS);
    *spec = (mc_weight_spec){
        .form = (mc_form)form,
        .dtype = (mc_dtype)dtype,
        .ndim = (int)ndim,
        .rows = mc_load_u64le(from + MCPK_W_ROWS),
        .cols = mc_load_u64le(from + MCPK_W_COLS),
    };
    for (unsigned i = 0; i < ndim; i++) spec->dim[i] = mc_load_u64le(from + MCPK_W_DIM + 8 * i);

    /* What the form or the number of dimensions leaves unused is zero. */
    const unsigned char *dims_end = from + MCPK_W_DIM + 8 * ndim;
    bool zero = mc_all_zero(from + MCPK_W_SUB_BITS + 1, 2) &&
                mc_all_zero(from + MCPK_W_SPARE, 12) &&
                mc_all_zero(dims_end, 8 * (MC_MAX_DIMS - (size_t)ndim));
    if (form == MC_FORM_DENSE)
        zero = zero && mc_all_zero(from + MCPK_W_LEVELS, 3) &&
               (from[MCPK_W_FLAGS] & ~MCPK_WEIGHT_EDITED) == 0 && from[MCPK_W_SUB_BITS] == 0 &&
               mc_all_zero(from + MCPK_W_GROUP, 8) && mc_all_zero(from + MCPK_W_SUPER, 4);
    if (!zero) return mc_fail(err, MC_E_MISMATCH, "an unused field is not zero");
    spec->edited = from[MCPK_W_FLAGS] & MCPK_WEIGHT_EDITED;
    if (form == MC_FORM_DENSE && spec->edited && dtype != MC_F32)
        return mc_fail(err, MC_E_MISMATCH, "edited numbers are %s, allowed: F32",
                       mc_dtype_about((mc_dtype)dtype)->name);
    return form == MC_FORM_QUANTIZED ? load_grid(from, spec, err) : MC_OK;
}

/* ---- names for messages ---- */

const char *mc_role_name(uint8_t role)
{
    static const char *const name[MCPK_ROLES] = {
        [MCPK_ROLE_NONE] = "no role",
        [MCPK_ROLE_DENSE] = "dense",
        [MCPK_ROLE_CODES] = "codes",
        [MCPK_ROLE_SCALE] = "scale",
        [MCPK_ROLE_ZERO] = "zero",
        [MCPK_ROLE_OFFSET] = "offset",
        [MCPK_ROLE_SUB_SCALE] = "sub-scale",
        [MCPK_ROLE_SUB_OFFSET] = "sub-offset",
        [MCPK_ROLE_SUPER_SCALE] = "super-scale",
        [MCPK_ROLE_SUPER_OFFSET] = "super-offset",
        [MCPK_ROLE_TABLE] = "table",
        [MCPK_ROLE_FACTOR] = "factor",
        [MCPK_ROLE_PLANE] = "plane",
        [MCPK_ROLE_MASK] = "mask",
    };
    return role < MCPK_ROLES ? name[role] : "unknown role";
}

const char *mc_section_text(const mcpk_part *part, const char *weight, const char *side, char *text,
                            size_t room)
{
    switch (part->type) {
    case MCPK_SECTION_NAMES: return "the names";
    case MCPK_SECTION_CRC: return "the CRC table";
    case MCPK_SECTION_MANIFEST: return "the manifest";
    case MCPK_SECTION_SITES: return "the sites";
    case MCPK_SECTION_WEIGHT:
        if (weight)
            (void)snprintf(text, room, "weight \"%s\": %s", weight, mc_role_name(part->role));
        else if (part->weight == MCPK_NO_WEIGHT)
            (void)snprintf(text, room, "a part without a weight (%s)", mc_role_name(part->role));
        else
            (void)snprintf(text, room, "weight %u: %s", (unsigned)part->weight,
                           mc_role_name(part->role));
        return text;
    case MCPK_SECTION_SIDE:
        if (!side) return "a side file";
        (void)snprintf(text, room, "side file \"%s\"", side);
        return text;
    default: (void)snprintf(text, room, "a section of type %u", (unsigned)part->type); return text;
    }
}
