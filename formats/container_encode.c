/* Rows of a quantized weight to the bytes of its parts. Nothing is chosen here: codes are packed,
 * numbers go to the dtype they were rounded to before. */
#include "formats/container_records.h"

#include "formats/bits.h"

#include <string.h>

/* ---- how many rows, how many bytes ---- */

/* The least k so that k * units is a multiple of `per_byte`, where `units` units a row are written
 * per_byte to a byte. */
static size_t whole_bytes_step(uint64_t units, unsigned per_byte)
{
    size_t step = 1;
    while (units % per_byte * step % per_byte != 0) step++;
    return step;
}

static size_t least_common(size_t a, size_t b)
{
    size_t x = a;
    while (x % b != 0) x += a;
    return x;
}

static size_t step_of(uint16_t encoding, uint64_t per_row)
{
    if (encoding == MCPK_ENCODING_BASE3) return whole_bytes_step(per_row, 5);
    if (encoding < MCPK_ENCODING_PACKED) return 1; /* whole bytes each */
    return whole_bytes_step(per_row % 8 * (encoding - MCPK_ENCODING_PACKED), 8);
}

size_t mc_pack_row_step(const mc_weight_spec *weight)
{
    if (weight->form != MC_FORM_QUANTIZED) return 1;
    const mc_grid *g = &weight->grid;
    const mc_weight_shape shape = mc_weight_code_shape(weight);
    const uint64_t groups = mc_needs_groups(weight);
    size_t step = step_of(mc_codes_encoding(g->levels), shape.cols);
    if (g->offset == MC_OFFSET_ZERO)
        step =
            least_common(step, step_of((uint16_t)(MCPK_ENCODING_PACKED + g->levels->bits), groups));
    if (g->sub_bits)
        step = least_common(step, step_of((uint16_t)(MCPK_ENCODING_PACKED + g->sub_bits), groups));
    return step;
}

/* The weight cut to `rows` rows of its code shape. */
static mc_weight_spec cut_to_rows(const mc_weight_spec *weight, size_t rows)
{
    mc_weight_spec cut = *weight;
    const mc_weight_shape shape = mc_weight_code_shape(weight);
    cut.transposed = false;
    cut.rows = rows;
    cut.cols = shape.cols;
    cut.group = shape.group;
    cut.ndim = 2;
    cut.dim[0] = rows;
    cut.dim[1] = shape.cols;
    return cut;
}

static size_t padded(uint64_t bytes)
{
    return ((size_t)bytes + 63) & ~(size_t)63;
}

size_t mc_pack_slab_bytes(const mc_weight_spec *weight, size_t rows)
{
    mc_err err;
    mc_needs needs;
    const mc_weight_spec cut = cut_to_rows(weight, rows);
    if (mc_needs_of(&cut, &needs, &err) != MC_OK) return 0; /* such a weight has no layout */
    size_t bytes = 0;
    for (unsigned i = 0; i < needs.parts; i++) bytes += padded(needs.part[i].bytes);
    return bytes;
}

/* ---- encoding ---- */

/* Numbers stand in structs in the qmat, one after the other in the file: they cross in chunks. */
enum { CHUNK = 256 };

static float number_at(const mc_qmat *q, uint8_t role, size_t i)
{
    switch (role) {
    case MCPK_ROLE_SCALE:
        return q->grid.tensor_scaled ? q->params[i].scale / q->grid.tensor_scale
                                     : q->params[i].scale;
    case MCPK_ROLE_OFFSET: return q->params[i].offset;
    case MCPK_ROLE_SUPER_SCALE:
        return q->grid.tensor_scaled ? q->grid.tensor_scale : q->super[i].scale;
    default: return q->super[i].offset; /* super-offset */
    }
}

static void put_numbers(const mc_qmat *q, const mc_part_need *need, unsigned char *to)
{
    const size_t bytes = mc_dtype_about((mc_dtype)need->encoding)->bits / 8;
    float chunk[CHUNK];
    for (size_t i = 0; i < need->count; i += CHUNK) {
        const size_t n = need->count - i < CHUNK ? (size_t)need->count - i : CHUNK;
        for (size_t k = 0; k < n; k++) chunk[k] = number_at(q, need->role, i + k);
        mc_from_f32((mc_dtype)need->encoding, chunk, to + i * bytes, n);
    }
}

static uint8_t small_at(const mc_qmat *q, uint8_t role, size_t i)
{
    switch (role) {
    case MCPK_ROLE_ZERO: return q->params[i].zero;
    case MCPK_ROLE_SUB_SCALE: return q->sub[i].scale;
    default: return q->sub[i].offset; /* sub-offset */
    }
}

static void put_small(const mc_qmat *q, const mc_part_need *need, unsigned char *to)
{
    const unsigned bits = need->encoding - MCPK_ENCODING_PACKED;
    uint8_t chunk[CHUNK]; /* a multiple of 8, so each chunk starts at a whole byte */
    for (size_t i = 0; i < need->count; i += CHUNK) {
        const size_t n = need->count - i < CHUNK ? (size_t)need->count - i : CHUNK;
        for (size_t k = 0; k < n; k++) chunk[k] = small_at(q, need->role, i + k);
        mc_bits_pack(bits, chunk, n, to + i / 8 * bits);
    }
}

static void put_part(const mc_qmat *q, const mc_part_need *need, unsigned char *to)
{
    if (need->encoding < MCPK_ENCODING_PACKED)
        put_numbers(q, need, to);
    else if (need->role != MCPK_ROLE_CODES)
        put_small(q, need, to);
    else if (need->encoding == MCPK_ENCODING_BASE3)
        mc_base3_pack(q->code, (size_t)need->count, to);
    else
        mc_bits_pack(need->encoding - MCPK_ENCODING_PACKED, q->code, (size_t)need->count, to);
}

void mc_pack_encode(const mc_layout *layout, size_t weight, size_t row, const mc_qmat *q,
                    unsigned char *room, mc_slab *slab)
{
    mc_err err;
    mc_needs before, needs;
    const mc_weight_spec *spec = &layout->spec->weight[weight];
    const mc_weight_spec above = cut_to_rows(spec, row), cut = cut_to_rows(spec, q->rows);
    slab->pieces = 0;
    if (mc_needs_of(&cut, &needs, &err) != MC_OK) return;
    if (row > 0 && mc_needs_of(&above, &before, &err) != MC_OK) return;

    for (unsigned i = 0; i < needs.parts; i++) {
        const mc_part_need *need = &needs.part[i];
        const bool of_tensor = spec->grid.tensor_scaled && need->role == MCPK_ROLE_SUPER_SCALE;
        if (of_tensor && row > 0) continue; /* the first rows brought it */
        put_part(q, need, room);
        slab->piece[slab->pieces++] = (mc_piece){
            .part = layout->first_part[weight] + i,
            .offset = row > 0 ? before.part[i].bytes : 0,
            .bytes = need->bytes,
            .data = room,
        };
        room += padded(need->bytes);
    }
}

void mc_pack_dense(const mc_layout *layout, size_t weight, uint64_t offset,
                   const unsigned char *data, uint64_t n, mc_slab *slab)
{
    slab->pieces = 1;
    slab->piece[0] =
        (mc_piece){.part = layout->first_part[weight], .offset = offset, .bytes = n, .data = data};
}
