/* Layout and reading of quantized matrices. */
#include "core/qmat.h"

#include <criterion/criterion.h>
#include <string.h>

static mc_qmat shaped(mc_grid grid, size_t rows, size_t cols, size_t group)
{
    return (mc_qmat){.grid = grid, .rows = rows, .cols = cols, .group = group};
}

Test(qmat, takes_no_more_than_it_says)
{
    const mc_grid grids[] = {
        {.levels = mc_levels_int(4), .scale_dtype = MC_F16},
        {.levels = mc_levels_int(4), .scale_dtype = MC_F16, .sub_bits = 6, .super = 8}};
    const size_t shapes[][3] = {{1, 1, 1}, {3, 96, 32}, {7, 352, 32}, {5, 100, 100}, {0, 32, 32}};
    for (size_t g = 0; g < 2; g++) {
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
            mc_region region;
            mc_err err = {0};
            mc_qmat q = shaped(grids[g], shapes[i][0], shapes[i][1], shapes[i][2]);
            const size_t bytes = mc_qmat_bytes(&q.grid, q.rows, q.cols, q.group);
            cr_assert_eq(mc_region_open(&region, bytes, &err), MC_OK, "%s", err.text);
            region.arena.end = region.arena.at + bytes;
            cr_expect_eq(mc_qmat_alloc(&q, &region.arena, &err), MC_OK, "%s", err.text);
            cr_expect_eq(q.sub != NULL, g == 1);
            mc_region_close(&region);
        }
    }
}

Test(qmat, refuses_what_does_not_fit)
{
    unsigned char room[256];
    mc_arena arena = {room, room + sizeof room};
    mc_err err = {0};
    mc_qmat q = shaped((mc_grid){.levels = mc_levels_int(4), .scale_dtype = MC_F16}, 64, 64, 32);
    cr_expect_eq(mc_qmat_alloc(&q, &arena, &err), MC_E_BUDGET);
    q = shaped(q.grid, (size_t)1 << 40, (size_t)1 << 40, 32);
    cr_expect_eq(mc_qmat_alloc(&q, &arena, &err), MC_E_BUDGET);
}

Test(qmat, a_ragged_last_super_group_counts)
{
    const mc_grid grid = {
        .levels = mc_levels_int(4), .scale_dtype = MC_F16, .sub_bits = 6, .super = 8};
    mc_qmat q = shaped(grid, 2, 32 * 11, 32);
    cr_expect_eq(mc_qmat_groups(&q), 11u);
    cr_expect_eq(mc_qmat_supers(&q), 2u);
    q.grid.sub_bits = 0;
    cr_expect_eq(mc_qmat_supers(&q), 0u);
}

Test(qmat, values_are_read_at_their_group)
{
    uint8_t code[] = {0, 15, 8, 7, 1, 2, 3, 4};
    mc_params params[] = {{0.5f, 0, 8}, {2.0f, 0, 8}, {-1.0f, 0, 8}, {0.25f, 0, 8}};
    mc_qmat q = shaped((mc_grid){.levels = mc_levels_int(4), .scale_dtype = MC_F16}, 2, 4, 2);
    q.code = code;
    q.params = params;
    const float wanted[] = {-4.0f, 3.5f, 0.0f, -2.0f, 7.0f, 6.0f, -1.25f, -1.0f};
    for (size_t row = 0; row < 2; row++) {
        float out[4];
        mc_grid_decode_row(&q.grid, params + 2 * row, code + 4 * row, 2, 2, out);
        for (size_t col = 0; col < 4; col++) {
            cr_expect_eq(out[col], wanted[4 * row + col]);
            cr_expect_eq(mc_qmat_value(&q, row, col), wanted[4 * row + col]);
        }
    }
}

Test(qmat, rows_of_it_are_a_matrix_that_shares_its_numbers)
{
    const mc_grid grids[] = {
        {.levels = mc_levels_int(4), .scale_dtype = MC_F16},
        {.levels = mc_levels_int(4), .scale_dtype = MC_F16, .sub_bits = 6, .super = 8}};
    for (size_t g = 0; g < 2; g++) {
        mc_region region;
        mc_err err = {0};
        mc_qmat q = shaped(grids[g], 5, 32 * 11, 32);
        cr_assert_eq(mc_region_open(&region, 1 << 16, &err), MC_OK);
        cr_assert_eq(mc_qmat_alloc(&q, &region.arena, &err), MC_OK);
        const mc_qmat part = mc_qmat_rows(&q, 2, 3);
        cr_expect_eq(part.rows, 3u);
        cr_expect(part.cols == q.cols && part.group == q.group);
        cr_expect_eq(part.grid.levels, q.grid.levels);
        cr_expect_eq(part.code, q.code + 2 * q.cols);
        cr_expect_eq(part.params, q.params + 2 * 11);
        if (g == 0) cr_expect(!part.sub && !part.super);
        if (g == 1) cr_expect(part.sub == q.sub + 2 * 11 && part.super == q.super + 2 * 2);
        mc_region_close(&region);
    }
}
