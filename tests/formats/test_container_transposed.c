/* Weights whose codes are the transpose of their tensor. */
#include "tests/support/container_builder.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static container_builder builder;

enum { ROWS = 5, COLS = 1200 }; /* longer than a decoder's chunk */

static void open_one(mc_container *c, size_t group)
{
    const mc_grid grid = {
        .levels = mc_levels_int(5), .offset = MC_OFFSET_ZERO, .scale_dtype = MC_F16};
    mc_err err = {0};
    size_t bytes;
    container_builder_begin(&builder, 11);
    container_builder_quantized(&builder, grid, ROWS, COLS, group);
    container_builder_transpose(&builder);
    unsigned char *image = container_builder_image(&builder, &bytes);
    cr_assert_eq(mc_container_open_map(container_builder_map(image, bytes), "t.bin", c, &err),
                 MC_OK, "%s", err.text);
    free(image);
}

static void expect_transposed(size_t group)
{
    mc_container c;
    mc_err err = {0};
    mc_region memory;
    mc_qmat q;
    float value[ROWS * COLS];
    open_one(&c, group);
    cr_assert_eq(mc_region_open(&memory, 1 << 20, &err), MC_OK);
    const mc_weight_shape shape = mc_weight_code_shape(&c.weight[0]);
    cr_assert_eq(mc_container_qmat(&c, 0, 0, shape.rows, &memory.arena, &q, &err), MC_OK);
    cr_assert_eq(mc_container_to_f32(&c, 0, 0, ROWS * COLS, value, &err), MC_OK);
    for (size_t r = 0; r < ROWS; r++)
        for (size_t k = 0; k < COLS; k++) {
            const size_t place = r * COLS + k;
            cr_expect_eq(value[k * ROWS + r], mc_qmat_value(&q, place / q.cols, place % q.cols));
        }
    mc_region_close(&memory);
    mc_container_close(&c);
}

Test(container_transposed, element_col_row_is_code_row_col)
{
    expect_transposed(24);
    expect_transposed(COLS);
}

Test(container_transposed, one_scale_for_all_lies_the_same_way)
{
    expect_transposed(0);
}

Test(container_transposed, any_range_is_a_piece_of_the_whole)
{
    mc_container c;
    mc_err err;
    float all[ROWS * COLS], some[ROWS * COLS];
    open_one(&c, 24);
    cr_assert_eq(mc_container_to_f32(&c, 0, 0, ROWS * COLS, all, &err), MC_OK);
    static const size_t ranges[][2] = {{0, 1}, {3, 4}, {4, 11}, {7, 5993}, {5999, 1}, {17, 2050}};
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        const size_t first = ranges[i][0], count = ranges[i][1];
        cr_assert_eq(mc_container_to_f32(&c, 0, first, count, some, &err), MC_OK);
        cr_expect_arr_eq(some, all + first, count * sizeof *some, "range %zu", i);
    }
    mc_container_close(&c);
}

Test(container_transposed, rows_must_be_the_last_dimension)
{
    const mc_grid grid = {.levels = mc_levels_int(4), .scale_dtype = MC_F16};
    mc_err err = {0};
    container_builder_begin(&builder, 12);
    container_builder_quantized(&builder, grid, 4, 32, 32);
    container_builder_transpose(&builder);
    builder.weight[0].dim[0] = 4;
    builder.weight[0].dim[1] = 32;
    const mc_numerics none = {.activation_bits = 16, .kv_bits = 16};
    mc_container_spec spec = {
        .weight = builder.weight, .weights = 1, .align = 64, .manifest_bytes = 2, .numerics = none};
    mc_region memory;
    mc_layout layout;
    cr_assert_eq(mc_region_open(&memory, 1 << 20, &err), MC_OK);
    builder.weight[0].name = "w";
    cr_expect_eq(mc_container_layout(&spec, &memory.arena, &layout, &err), MC_E_UNSUPPORTED, "%s",
                 err.text);
    mc_region_close(&memory);
}
