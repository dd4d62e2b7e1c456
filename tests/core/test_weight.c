/* Sizes of weights, counted by hand. */
#include "core/weight.h"

#include <criterion/criterion.h>

static mc_weight_spec quantized(mc_grid grid, uint64_t rows, uint64_t cols, uint64_t group)
{
    return (mc_weight_spec){.form = MC_FORM_QUANTIZED,
                            .dtype = MC_BF16,
                            .rows = rows,
                            .cols = cols,
                            .grid = grid,
                            .group = group};
}

static uint64_t bytes_of(mc_grid grid, uint64_t rows, uint64_t cols, uint64_t group)
{
    const mc_weight_spec spec = quantized(grid, rows, cols, group);
    return mc_weight_bytes(&spec);
}

Test(weight, codes_and_scales_take_their_bits)
{
    mc_grid grid = {.levels = mc_levels_int(4), .scale_dtype = MC_F16};
    cr_expect_eq(bytes_of(grid, 8, 64, 32), 8u * 32 + 16 * 2);
    grid.levels = mc_levels_int(3);
    cr_expect_eq(bytes_of(grid, 3, 7, 7), 8u /* 63 bits */ + 3 * 2);
    cr_expect_eq(bytes_of(grid, 3, 7, 0), 8u + 2);
    grid.levels = mc_levels_find("ternary");
    cr_expect_eq(bytes_of(grid, 3, 7, 7), 5u /* 21 codes by fives */ + 3 * 2);
    grid.levels = mc_levels_find("nf4");
    grid.scale_dtype = MC_F8_E8M0;
    cr_expect_eq(bytes_of(grid, 2, 64, 32), 64u + 4);
    cr_expect_eq(bytes_of(grid, 0, 64, 32), 0u);
}

Test(weight, zeros_and_offsets_are_parts_of_their_own)
{
    mc_grid grid = {.levels = mc_levels_int(3), .offset = MC_OFFSET_ZERO, .scale_dtype = MC_BF16};
    cr_expect_eq(bytes_of(grid, 3, 32, 32), 36u + 3 * 2 + 2 /* 9 bits of zeros */);
    grid.offset = MC_OFFSET_FREE;
    cr_expect_eq(bytes_of(grid, 3, 32, 32), 36u + 3 * 2 + 3 * 2);
}

Test(weight, two_level_scales_are_counted_by_level)
{
    mc_grid grid = {.levels = mc_levels_int(4),
                    .offset = MC_OFFSET_FREE,
                    .scale_dtype = MC_F16,
                    .sub_bits = 6,
                    .super = 8};
    /* Q4_K: 144 bytes for 256 weights. */
    cr_expect_eq(bytes_of(grid, 1, 256, 32), 144u);
    /* 10 groups a row: 2 super-scales; 20 sub-scales of 6 bits are 15 bytes, twice. */
    cr_expect_eq(bytes_of(grid, 2, 320, 32), 320u + 15 + 15 + 2 * 2 * 2 * 2);
    grid.offset = MC_OFFSET_ZERO;
    cr_expect_eq(bytes_of(grid, 2, 320, 32), 320u + 15 + 2 * 2 * 2 + 10);
}

Test(weight, dense_ones_keep_the_size_of_their_source)
{
    mc_weight_spec spec = {.form = MC_FORM_DENSE, .dtype = MC_BF16, .rows = 3, .cols = 5};
    cr_expect_eq(mc_weight_bytes(&spec), 30u);
    spec.dtype = MC_F4;
    cr_expect_eq(mc_weight_bytes(&spec), 8u);
}

Test(weight, one_scale_in_all_makes_one_row)
{
    mc_weight_spec spec = quantized((mc_grid){.levels = mc_levels_int(4)}, 6, 10, 5);
    mc_weight_shape shape = mc_weight_code_shape(&spec);
    cr_expect(shape.rows == 6 && shape.cols == 10 && shape.group == 5);
    spec.group = 0;
    shape = mc_weight_code_shape(&spec);
    cr_expect(shape.rows == 1 && shape.cols == 60 && shape.group == 60);
}

Test(weight, forms_have_names)
{
    cr_expect_str_eq(mc_form_name(MC_FORM_DENSE), "dense");
    cr_expect_str_eq(mc_form_name(MC_FORM_QUANTIZED), "quantized");
    cr_expect_str_eq(mc_form_name(MC_FORM_FACTORED), "factored");
    cr_expect_str_eq(mc_form_name(MC_FORM_STACKED), "stacked");
}
