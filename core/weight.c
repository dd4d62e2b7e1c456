/* Sizes and names of weights in their forms. */
#include "core/weight.h"

#include "core/ckd.h"

mc_weight_shape mc_weight_code_shape(const mc_weight_spec *spec)
{
    const size_t rows = (size_t)spec->rows;
    const size_t cols = (size_t)spec->cols;
    if (spec->group == 0) return (mc_weight_shape){1, rows * cols, rows * cols};
    return (mc_weight_shape){rows, cols, (size_t)spec->group};
}

void mc_weight_transpose(mc_weight_spec *spec)
{
    const uint64_t count = spec->rows * spec->cols;
    spec->transposed = true;
    spec->rows = spec->dim[spec->ndim - 1];
    spec->cols = spec->rows ? count / spec->rows : 0;
}

uint64_t mc_weight_element(const mc_weight_spec *spec, uint64_t i)
{
    return spec->transposed ? i % spec->cols * spec->rows + i / spec->cols : i;
}

/* Column by column: in the tensor, what stands below each other in the matrix is contiguous. */
static void read_transposed(const mc_weight_spec *spec, const unsigned char *data, uint64_t first,
                            uint64_t count, float *out)
{
    enum { CHUNK = 256 };
    float value[CHUNK];
    const uint64_t rows = spec->rows, cols = spec->cols, end = first + count;
    const uint64_t width = mc_dtype_about(spec->dtype)->bits / 8;
    for (uint64_t c = 0; c < cols; c++) {
        uint64_t row = first / cols + (c < first % cols);
        const uint64_t below = end / cols + (c < end % cols);
        while (row < below) {
            const size_t n = below - row < CHUNK ? (size_t)(below - row) : CHUNK;
            mc_to_f32(spec->dtype, data + (c * rows + row) * width, value, n);
            for (size_t i = 0; i < n; i++) out[(row + i) * cols + c - first] = value[i];
            row += n;
        }
    }
}

void mc_weight_source(const mc_weight_spec *spec, const unsigned char *data, uint64_t first,
                      uint64_t count, float *out)
{
    if (spec->transposed)
        read_transposed(spec, data, first, count, out);
    else
        mc_to_f32(spec->dtype, data + first * (mc_dtype_about(spec->dtype)->bits / 8), out,
                  (size_t)count);
}

/* Places [first, first + n) of the matrix: contiguous codes, group by group. */
static void decode_places(const mc_qmat *q, uint64_t first, size_t n, float *out)
{
    for (size_t i = 0; i < n;) {
        const uint64_t group = (first + i) / q->group;
        const uint64_t left = (group + 1) * q->group - (first + i);
        const size_t k = left < n - i ? (size_t)left : n - i;
        mc_grid_decode(&q->grid, q->params[group], q->code + first + i, k, out + i);
        i += k;
    }
}

/* Row by row of the matrix; each row is a column of the tensor. */
static void decode_transposed(const mc_weight_spec *spec, const mc_qmat *q, uint64_t first,
                              uint64_t count, float *out)
{
    enum { CHUNK = 256 };
    float value[CHUNK];
    const uint64_t rows = spec->rows, cols = spec->cols, end = first + count;
    for (uint64_t r = 0; r < rows; r++) {
        uint64_t col = first / rows + (r < first % rows);
        const uint64_t behind = end / rows + (r < end % rows);
        while (col < behind) {
            const size_t n = behind - col < CHUNK ? (size_t)(behind - col) : CHUNK;
            decode_places(q, r * cols + col, n, value);
            for (size_t i = 0; i < n; i++) out[(col + i) * rows + r - first] = value[i];
            col += n;
        }
    }
}

void mc_weight_decode(const mc_weight_spec *spec, const mc_qmat *q, uint64_t first, uint64_t count,
                      float *out)
{
    if (spec->transposed)
        decode_transposed(spec, q, first, count, out);
    else
        decode_places(q, first, (size_t)count, out);
}

/* n = 8 q + r, so that only the result has to fit. */
static uint64_t bit_bytes(uint64_t n, unsigned bits)
{
    return n / 8 * bits + mc_ceil_div(n % 8 * bits, 8);
}

static mc_part_size numbers(mc_part part, mc_dtype dtype, uint64_t n)
{
    const uint64_t bytes = bit_bytes(n, mc_dtype_about(dtype)->bits);
    return (mc_part_size){.part = part, .dtype = dtype, .count = n, .bytes = bytes};
}

static mc_part_size integers(mc_part part, unsigned bits, uint64_t n)
{
    return (mc_part_size){.part = part, .bits = bits, .count = n, .bytes = bit_bytes(n, bits)};
}

static mc_part_size codes(const mc_levels *levels, uint64_t n)
{
    mc_part_size size = integers(MC_PART_CODES, levels->bits, n);
    size.base3 = levels->base3;
    if (size.base3) size.bytes = mc_ceil_div(n, 5);
    return size;
}

unsigned mc_weight_parts(const mc_weight_spec *spec, mc_part_size part[MC_WEIGHT_PARTS])
{
    const uint64_t count = spec->rows * spec->cols;
    if (spec->form != MC_FORM_QUANTIZED) {
        part[0] = numbers(MC_PART_DENSE, spec->dtype, count);
        return 1;
    }
    if (count == 0) return 0;

    const mc_grid *grid = &spec->grid;
    const uint64_t rows = spec->group ? spec->rows : 1;
    const uint64_t row_groups = spec->group ? spec->cols / spec->group : 1;
    const uint64_t groups = rows * row_groups;
    const bool plain = grid->sub_bits == 0;
    const bool is_free = grid->offset == MC_OFFSET_FREE;

    unsigned n = 0;
    part[n++] = codes(grid->levels, count);
    if (plain) part[n++] = numbers(MC_PART_SCALE, grid->scale_dtype, groups);
    if (grid->offset == MC_OFFSET_ZERO)
        part[n++] = integers(MC_PART_ZERO, grid->levels->bits, groups);
    if (plain && is_free) part[n++] = numbers(MC_PART_OFFSET, grid->scale_dtype, groups);
    if (grid->tensor_scaled) part[n++] = numbers(MC_PART_SUPER_SCALE, MC_F32, 1);
    if (plain) return n;

    const uint64_t supers = rows * mc_ceil_div(row_groups, grid->super);
    part[n++] = integers(MC_PART_SUB_SCALE, grid->sub_bits, groups);
    if (is_free) part[n++] = integers(MC_PART_SUB_OFFSET, grid->sub_bits, groups);
    part[n++] = numbers(MC_PART_SUPER_SCALE, grid->scale_dtype, supers);
    if (is_free) part[n++] = numbers(MC_PART_SUPER_OFFSET, grid->scale_dtype, supers);
    return n;
}

uint64_t mc_weight_bytes(const mc_weight_spec *spec)
{
    mc_part_size part[MC_WEIGHT_PARTS];
    const unsigned parts = mc_weight_parts(spec, part);
    uint64_t bytes = 0;
    for (unsigned i = 0; i < parts; i++) bytes += part[i].bytes;
    return bytes;
}

const char *mc_form_name(mc_form form)
{
    switch (form) {
    case MC_FORM_DENSE: return "dense";
    case MC_FORM_QUANTIZED: return "quantized";
    case MC_FORM_FACTORED: return "factored";
    case MC_FORM_STACKED: return "stacked";
    }
    return "unknown";
}
