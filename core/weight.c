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

/* Five ternary codes share a byte (3^5 = 243); all others take their bits, without gaps. */
static uint64_t code_bytes(const mc_levels *levels, uint64_t count)
{
    if (levels->count == 3) return mc_ceil_div(count, 5);
    return mc_ceil_div(count * levels->bits, 8);
}

uint64_t mc_weight_bytes(const mc_weight_spec *spec)
{
    const uint64_t count = spec->rows * spec->cols;
    if (spec->form != MC_FORM_QUANTIZED)
        return mc_ceil_div(count * mc_dtype_about(spec->dtype)->bits, 8);
    if (count == 0) return 0;

    const mc_grid *grid = &spec->grid;
    const mc_weight_shape shape = mc_weight_code_shape(spec);
    const uint64_t row_groups = shape.cols / shape.group;
    const uint64_t groups = shape.rows * row_groups;
    const uint64_t numbers = grid->offset == MC_OFFSET_FREE ? 2 : 1;
    const uint64_t scale_bytes = mc_dtype_about(grid->scale_dtype)->bits / 8;

    uint64_t bytes = code_bytes(grid->levels, count);
    if (grid->offset == MC_OFFSET_ZERO) bytes += mc_ceil_div(groups * grid->levels->bits, 8);
    if (grid->sub_bits == 0) return bytes + numbers * groups * scale_bytes;

    const uint64_t supers = shape.rows * mc_ceil_div(row_groups, grid->super);
    return bytes + numbers * (mc_ceil_div(groups * grid->sub_bits, 8) + supers * scale_bytes);
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
