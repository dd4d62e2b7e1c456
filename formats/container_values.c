/* A container's weights as numbers again. Codes go back through the grid; nothing else here knows
 * values. */
#include "formats/container_records.h"

#include "formats/bits.h"

#include <string.h>

/* Codes and groups that cross from the packed form at one time. */
enum { CHUNK = 1024, NUMBERS = 256 };

/* The bytes of a part and its encoding; NULL when the weight has no such part. */
static const unsigned char *find_part(const mc_container *c, size_t weight, uint8_t role,
                                      uint16_t *encoding)
{
    for (uint32_t i = c->first_part[weight]; i < c->first_part[weight + 1]; i++) {
        if (c->part[i].role != role) continue;
        *encoding = c->part[i].encoding;
        return c->data[i];
    }
    return NULL;
}

const unsigned char *mc_container_dense(const mc_container *c, size_t weight, uint64_t *bytes)
{
    uint16_t encoding;
    const unsigned char *data = find_part(c, weight, MCPK_ROLE_DENSE, &encoding);
    *bytes = data ? c->part[c->first_part[weight]].raw : 0;
    return data;
}

/* ---- parts of a quantized weight ---- */

static void read_small(const mc_container *c, size_t weight, uint8_t role, uint64_t first, size_t n,
                       uint8_t *out)
{
    uint16_t encoding;
    const unsigned char *data = find_part(c, weight, role, &encoding);
    if (!data)
        memset(out, 0, n);
    else if (encoding == MCPK_ENCODING_BASE3)
        mc_base3_unpack(data, first, n, out);
    else
        mc_bits_unpack(encoding - MCPK_ENCODING_PACKED, data, first, n, out);
}

static void read_numbers(const mc_container *c, size_t weight, uint8_t role, uint64_t first,
                         size_t n, float *out)
{
    uint16_t encoding;
    const unsigned char *data = find_part(c, weight, role, &encoding);
    if (!data) {
        for (size_t i = 0; i < n; i++) out[i] = 0.0f;
        return;
    }
    const uint64_t bytes = mc_dtype_about((mc_dtype)encoding)->bits / 8;
    mc_to_f32((mc_dtype)encoding, data + first * bytes, out, n);
}

/* A table may have fewer levels than its codes can say. */
static mc_status read_codes(const mc_container *c, size_t weight, uint64_t first, size_t n,
                            uint8_t *code, mc_err *err)
{
    const mc_levels *levels = c->weight[weight].grid.levels;
    read_small(c, weight, MCPK_ROLE_CODES, first, n, code);
    if (levels->base3 || levels->count == 1u << levels->bits) return MC_OK;
    for (size_t i = 0; i < n; i++)
        if (code[i] >= levels->count)
            return mc_fail(err, MC_E_MISMATCH,
                           "%s: weight \"%s\": code %u at %llu, %s has %u levels", c->path,
                           c->weight[weight].name, (unsigned)code[i],
                           (unsigned long long)(first + i), levels->name, (unsigned)levels->count);
    return MC_OK;
}

/* Super-scales [first, first + n) of the weight, counted over all rows. */
static void read_supers(const mc_container *c, size_t weight, uint64_t first, size_t n,
                        mc_super *out)
{
    float s[NUMBERS], m[NUMBERS];
    for (size_t i = 0; i < n; i += NUMBERS) {
        const size_t k = n - i < NUMBERS ? n - i : NUMBERS;
        read_numbers(c, weight, MCPK_ROLE_SUPER_SCALE, first + i, k, s);
        read_numbers(c, weight, MCPK_ROLE_SUPER_OFFSET, first + i, k, m);
        for (size_t j = 0; j < k; j++) out[i + j] = (mc_super){s[j], m[j]};
    }
}

/* Sub-scales of at most NUMBERS groups, and what they make of scale and offset. */
static void read_subs(const mc_container *c, size_t weight, uint64_t first, size_t n,
                      mc_params *params, mc_sub *sub)
{
    const mc_weight_spec *spec = &c->weight[weight];
    const uint64_t per_row = mc_needs_groups(spec), supers = mc_needs_supers(spec);
    uint8_t k[NUMBERS], j[NUMBERS];
    mc_super super = {0};
    uint64_t known = UINT64_MAX;
    read_small(c, weight, MCPK_ROLE_SUB_SCALE, first, n, k);
    read_small(c, weight, MCPK_ROLE_SUB_OFFSET, first, n, j);
    for (size_t i = 0; i < n; i++) {
        const uint64_t g = first + i;
        const uint64_t at = g / per_row * supers + g % per_row / spec->grid.super;
        if (at != known) read_supers(c, weight, at, 1, &super);
        known = at;
        params[i].scale = super.scale * (float)k[i];
        params[i].offset = super.offset * (float)j[i];
        if (sub) sub[i] = (mc_sub){.scale = k[i], .offset = j[i]};
    }
}

/* What the scales of the weight are multiplied by: 1 when that is nothing. */
static float read_tensor_scale(const mc_container *c, size_t weight)
{
    float scale = 1.0f;
    if (c->weight[weight].grid.tensor_scaled)
        read_numbers(c, weight, MCPK_ROLE_SUPER_SCALE, 0, 1, &scale);
    return scale;
}

/* The numbers of groups [first, first + n), counted over all rows; `sub` may be NULL. */
static void read_params(const mc_container *c, size_t weight, uint64_t first, size_t n,
                        mc_params *params, mc_sub *sub)
{
    const mc_grid *grid = &c->weight[weight].grid;
    const float of_tensor = read_tensor_scale(c, weight);
    float s[NUMBERS], m[NUMBERS];
    uint8_t zero[NUMBERS];
    for (; n > 0;) {
        const size_t k = n < NUMBERS ? n : NUMBERS;
        read_numbers(c, weight, MCPK_ROLE_SCALE, first, k, s);
        read_numbers(c, weight, MCPK_ROLE_OFFSET, first, k, m);
        read_small(c, weight, MCPK_ROLE_ZERO, first, k, zero);
        if (grid->offset == MC_OFFSET_NONE && !grid->levels->value)
            memset(zero, 1 << (grid->levels->bits - 1), k);
        for (size_t i = 0; i < k; i++)
            params[i] = (mc_params){.scale = of_tensor * s[i], .offset = m[i], .zero = zero[i]};
        if (grid->sub_bits) read_subs(c, weight, first, k, params, sub);
        params += k;
        if (sub) sub += k;
        first += k;
        n -= k;
    }
}

static mc_status check_range(const mc_container *c, size_t weight, uint64_t first, uint64_t n,
                             uint64_t all, mc_err *err)
{
    if (first <= all && n <= all - first) return MC_OK;
    return mc_fail(err, MC_E_INTERNAL, "%s: weight \"%s\": %llu + %llu of %llu", c->path,
                   c->weight[weight].name, (unsigned long long)first, (unsigned long long)n,
                   (unsigned long long)all);
}

mc_status mc_container_qmat(const mc_container *c, size_t weight, size_t row, size_t rows,
                            mc_arena *mem, mc_qmat *out, mc_err *err)
{
    const mc_weight_spec *spec = &c->weight[weight];
    if (spec->form != MC_FORM_QUANTIZED)
        return mc_fail(err, MC_E_INTERNAL, "%s: weight \"%s\" is not quantized", c->path,
                       spec->name);
    const mc_weight_shape shape = mc_weight_code_shape(spec);
    MC_TRY(check_range(c, weight, row, rows, shape.rows, err));
    mc_qmat q = {.grid = spec->grid, .rows = rows, .cols = shape.cols, .group = shape.group};
    if (q.grid.tensor_scaled) q.grid.tensor_scale = read_tensor_scale(c, weight);
    MC_TRY(mc_qmat_alloc(&q, mem, err));

    const size_t groups = mc_qmat_groups(&q), supers = mc_qmat_supers(&q);
    MC_TRY(read_codes(c, weight, (uint64_t)row * q.cols, rows * q.cols, q.code, err));
    read_params(c, weight, (uint64_t)row * groups, rows * groups, q.params, q.sub);
    if (q.super) read_supers(c, weight, (uint64_t)row * supers, rows * supers, q.super);
    *out = q;
    return MC_OK;
}

/* ---- numbers ---- */

/* At most CHUNK elements. Groups divide rows, so that element e belongs to group e / group. */
static mc_status chunk_to_f32(const mc_container *c, size_t weight, uint64_t first, size_t n,
                              float *out, mc_err *err)
{
    const mc_weight_spec *spec = &c->weight[weight];
    const uint64_t group = spec->group ? spec->group : spec->rows * spec->cols;
    const uint64_t first_group = first / group;
    uint8_t code[CHUNK];
    mc_params params[CHUNK + 1];
    MC_TRY(read_codes(c, weight, first, n, code, err));
    read_params(c, weight, first_group, (size_t)((first + n - 1) / group - first_group + 1), params,
                NULL);
    for (size_t i = 0; i < n;) {
        const uint64_t g = (first + i) / group;
        const uint64_t left = (g + 1) * group - (first + i);
        const size_t k = left < n - i ? (size_t)left : n - i;
        mc_grid_decode(&spec->grid, params[g - first_group], code + i, k, out + i);
        i += k;
    }
    return MC_OK;
}

static mc_status dense_to_f32(const mc_container *c, size_t weight, uint64_t first, uint64_t count,
                              float *out, mc_err *err)
{
    const mc_weight_spec *spec = &c->weight[weight];
    const mc_dtype_info *about = mc_dtype_about(spec->dtype);
    if (!about->to_f32)
        return mc_fail(err, MC_E_UNSUPPORTED, "%s: weight \"%s\": %s has no conversion to f32",
                       c->path, spec->name, about->name);
    uint64_t bytes;
    const unsigned char *data = mc_container_dense(c, weight, &bytes);
    mc_to_f32(spec->dtype, data + first * (about->bits / 8), out, (size_t)count);
    return MC_OK;
}

typedef struct {
    uint64_t first, count;
} element_range;

/* Row by row of the matrix, where codes are contiguous; each row is a column of the tensor. */
static mc_status transposed_to_f32(const mc_container *c, size_t weight, element_range range,
                                   float *out, mc_err *err)
{
    const mc_weight_spec *spec = &c->weight[weight];
    const uint64_t rows = spec->rows, cols = spec->cols, end = range.first + range.count;
    float value[CHUNK];
    for (uint64_t r = 0; r < rows; r++) {
        uint64_t col = range.first / rows + (r < range.first % rows);
        const uint64_t behind = end / rows + (r < end % rows);
        while (col < behind) {
            const size_t n = behind - col < CHUNK ? (size_t)(behind - col) : CHUNK;
            MC_TRY(chunk_to_f32(c, weight, r * cols + col, n, value, err));
            for (size_t i = 0; i < n; i++) out[(col + i) * rows + r - range.first] = value[i];
            col += n;
        }
    }
    return MC_OK;
}

mc_status mc_container_to_f32(const mc_container *c, size_t weight, uint64_t first, uint64_t count,
                              float *out, mc_err *err)
{
    const mc_weight_spec *spec = &c->weight[weight];
    MC_TRY(check_range(c, weight, first, count, spec->rows * spec->cols, err));
    if (count == 0) return MC_OK;
    if (spec->form == MC_FORM_DENSE) return dense_to_f32(c, weight, first, count, out, err);
    if (spec->transposed)
        return transposed_to_f32(c, weight, (element_range){first, count}, out, err);
    for (uint64_t i = 0; i < count; i += CHUNK) {
        const size_t n = count - i < CHUNK ? (size_t)(count - i) : CHUNK;
        MC_TRY(chunk_to_f32(c, weight, first + i, n, out + i, err));
    }
    return MC_OK;
}
