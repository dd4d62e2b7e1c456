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
    grid = (mc_grid){
        .levels = mc_levels_find("e2m1"), .scale_dtype = MC_F8_E4M3, .tensor_scaled = true};
    cr_expect_eq(bytes_of(grid, 2, 64, 16), 64u + 8 + 4);
    grid = (mc_grid){.levels = mc_levels_find("e5m2"), .scale_dtype = MC_F16};
    cr_expect_eq(bytes_of(grid, 2, 64, 64), 128u + 4);
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

/* docs/formats.md. */
Test(weight, named_formats_take_the_bits_that_they_are_known_for)
{
    const mc_levels *nf4 = mc_levels_find("nf4"), *e2m1 = mc_levels_find("e2m1");
    const mc_levels *iq4 = mc_levels_find("iq4_nl");
    enum { ROWS = 3, COLS = 16384 };
    const struct {
        mc_grid grid;
        uint64_t group;
        double bits;
    } known[] = {
        {{.levels = nf4, .scale_dtype = MC_F32}, 64, 4.5},
        {{.levels = nf4, .scale_dtype = MC_F16, .sub_bits = 8, .super = 256},
         64,
         4.125 + 16. / COLS},
        {{.levels = e2m1, .scale_dtype = MC_F8_E8M0}, 32, 4.25},
        {{.levels = e2m1, .scale_dtype = MC_F8_E4M3, .tensor_scaled = true},
         16,
         4.5 + 32. / (ROWS * COLS)},
        {{.levels = mc_levels_find("e4m3"), .scale_dtype = MC_F16}, COLS, 8 + 16. / COLS},
        {{.levels = mc_levels_find("e5m2"), .scale_dtype = MC_F8_E8M0}, 32, 8.25},
        {{.levels = iq4, .scale_dtype = MC_F16}, 32, 4.5},
        {{.levels = iq4, .scale_dtype = MC_F16, .sub_bits = 6, .super = 8}, 32, 4.25},
        {{mc_levels_int(2), MC_OFFSET_FREE, .scale_dtype = MC_F16, .sub_bits = 4, .super = 16},
         16,
         2.625},
        {{mc_levels_int(3), MC_OFFSET_NONE, .scale_dtype = MC_F16, .sub_bits = 6, .super = 16},
         16,
         3.4375},
        {{mc_levels_int(4), MC_OFFSET_FREE, .scale_dtype = MC_F16, .sub_bits = 6, .super = 8},
         32,
         4.5},
        {{mc_levels_int(6), MC_OFFSET_NONE, .scale_dtype = MC_F16, .sub_bits = 8, .super = 16},
         16,
         6.5625},
        {{mc_levels_int(4), MC_OFFSET_ZERO, .scale_dtype = MC_F16}, 128, 4.15625},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const double bytes = (double)bytes_of(known[i].grid, ROWS, COLS, known[i].group);
        cr_expect_eq(8 * bytes, known[i].bits * ROWS * COLS, "%zu: %g", i,
                     8 * bytes / (ROWS * COLS));
    }
}

static void expect_parts(mc_grid grid, const mc_part_size *wanted, unsigned parts)
{
    mc_part_size found[MC_WEIGHT_PARTS];
    const mc_weight_spec spec = quantized(grid, 3, 70, 10);
    cr_assert_eq(mc_weight_parts(&spec, found), parts);
    for (unsigned i = 0; i < parts; i++) {
        const mc_part_size *a = &found[i], *b = &wanted[i];
        cr_expect_eq(a->part, b->part, "%u", i);
        cr_expect(a->dtype == b->dtype && a->bits == b->bits && a->base3 == b->base3, "%u", i);
        cr_expect(a->count == b->count && a->bytes == b->bytes, "%u: %llu in %llu bytes", i,
                  (unsigned long long)a->count, (unsigned long long)a->bytes);
    }
}

/* 3 rows of 7 groups of 10. */
Test(weight, parts_stand_in_their_order)
{
    mc_grid grid = {.levels = mc_levels_int(3), .offset = MC_OFFSET_ZERO, .scale_dtype = MC_F16};
    const mc_part_size with_zero[] = {{MC_PART_CODES, 0, 3, false, 210, 79},
                                      {MC_PART_SCALE, MC_F16, 0, false, 21, 42},
                                      {MC_PART_ZERO, 0, 3, false, 21, 8}};
    expect_parts(grid, with_zero, 3);

    grid = (mc_grid){.levels = mc_levels_find("ternary"), .scale_dtype = MC_F8_E4M3};
    const mc_part_size ternary[] = {{MC_PART_CODES, 0, 2, true, 210, 42},
                                    {MC_PART_SCALE, MC_F8_E4M3, 0, false, 21, 21}};
    expect_parts(grid, ternary, 2);

    grid = (mc_grid){
        .levels = mc_levels_find("e2m1"), .scale_dtype = MC_F8_E4M3, .tensor_scaled = true};
    const mc_part_size nvfp4[] = {{MC_PART_CODES, 0, 4, false, 210, 105},
                                  {MC_PART_SCALE, MC_F8_E4M3, 0, false, 21, 21},
                                  {MC_PART_SUPER_SCALE, MC_F32, 0, false, 1, 4}};
    expect_parts(grid, nvfp4, 3);

    grid = (mc_grid){.levels = mc_levels_int(4), .offset = MC_OFFSET_FREE, .scale_dtype = MC_F32};
    const mc_part_size with_offset[] = {{MC_PART_CODES, 0, 4, false, 210, 105},
                                        {MC_PART_SCALE, MC_F32, 0, false, 21, 84},
                                        {MC_PART_OFFSET, MC_F32, 0, false, 21, 84}};
    expect_parts(grid, with_offset, 3);

    grid.sub_bits = 6;
    grid.super = 4;
    const mc_part_size two_level[] = {{MC_PART_CODES, 0, 4, false, 210, 105},
                                      {MC_PART_SUB_SCALE, 0, 6, false, 21, 16},
                                      {MC_PART_SUB_OFFSET, 0, 6, false, 21, 16},
                                      {MC_PART_SUPER_SCALE, MC_F32, 0, false, 6, 24},
                                      {MC_PART_SUPER_OFFSET, MC_F32, 0, false, 6, 24}};
    expect_parts(grid, two_level, 5);
}

Test(weight, sizes_up_to_the_largest_do_not_wrap)
{
    const uint64_t side = UINT64_C(1) << 30;
    mc_weight_spec spec = {.form = MC_FORM_DENSE, .dtype = MC_F64, .rows = side, .cols = side};
    cr_expect_eq(mc_weight_bytes(&spec), UINT64_C(1) << 63);
    spec = quantized((mc_grid){.levels = mc_levels_int(8), .scale_dtype = MC_F32}, side, side, 1);
    cr_expect_eq(mc_weight_bytes(&spec), UINT64_C(5) << 60);
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

Test(weight, a_transposed_matrix_reads_columns_as_rows)
{
    const float tensor[4][3] = {{0, 1, 2}, {10, 11, 12}, {20, 21, 22}, {30, 31, 32}};
    mc_weight_spec w = {.dtype = MC_F32, .ndim = 2, .dim = {4, 3}, .rows = 4, .cols = 3};
    mc_weight_transpose(&w);
    cr_assert_eq(w.rows, 3);
    cr_assert_eq(w.cols, 4);

    float value[12];
    for (uint64_t first = 0; first < 12; first++)
        for (uint64_t n = 1; first + n <= 12; n++) {
            mc_weight_source(&w, (const unsigned char *)tensor, first, n, value);
            for (uint64_t i = 0; i < n; i++) {
                const uint64_t at = first + i;
                cr_expect_eq(value[i], tensor[at % 4][at / 4]);
                cr_expect_eq(value[i], (&tensor[0][0])[mc_weight_element(&w, at)]);
            }
        }
}

Test(weight, the_transpose_takes_the_last_of_many_dimensions_as_rows)
{
    mc_weight_spec w = {.dtype = MC_F32, .ndim = 4, .dim = {16, 4, 4, 10}, .rows = 16, .cols = 160};
    mc_weight_transpose(&w);
    cr_expect_eq(w.rows, 10);
    cr_expect_eq(w.cols, 256);
}

/* Codes drawn, groups of 4 columns: any stretch of elements is what the places say one by one. */
static void expect_decoded(mc_weight_spec spec)
{
    enum { ROWS = 6, COLS = 8, N = ROWS * COLS };
    static uint8_t code[N];
    static mc_params params[N / 4];
    const mc_weight_shape shape = mc_weight_code_shape(&spec);
    for (size_t i = 0; i < N; i++) code[i] = (uint8_t)(i * 7 % 16);
    for (size_t i = 0; i < N / 4; i++) params[i] = (mc_params){.scale = (float)(i + 1), .zero = 8};
    const mc_qmat q = {.grid = spec.grid,
                       .rows = (size_t)shape.rows,
                       .cols = (size_t)shape.cols,
                       .group = (size_t)shape.group,
                       .code = code,
                       .params = params};
    for (size_t first = 0; first <= N; first++) {
        for (size_t count = 0; first + count <= N; count++) {
            float out[N + 1];
            out[count] = 0.5f; /* no number of this grid */
            mc_weight_decode(&spec, &q, first, count, out);
            for (size_t i = 0; i < count; i++) {
                const size_t at = first + i;
                const size_t place = spec.transposed ? at % ROWS * COLS + at / ROWS : at;
                cr_assert_eq(out[i], mc_qmat_value(&q, place / q.cols, place % q.cols),
                             "%zu of [%zu, + %zu)", at, first, count);
            }
            cr_assert_eq(out[count], 0.5f);
        }
    }
}

Test(weight, any_stretch_of_elements_is_decoded_from_the_whole)
{
    const mc_grid grid = {.levels = mc_levels_int(4), .scale_dtype = MC_F32};
    mc_weight_spec spec = quantized(grid, 6, 8, 4);
    expect_decoded(spec);
    spec.transposed = true;
    expect_decoded(spec);
    spec = quantized(grid, 6, 8, 8);
    expect_decoded(spec);
    spec = quantized(grid, 6, 8, 0); /* one scale in all */
    expect_decoded(spec);
    spec.transposed = true;
    expect_decoded(spec);
}
