/* Weights that a transform has changed: the flag is kept, and dense ones are F32. */
#include "core/bytes.h"
#include "runtime/mcpk.h"
#include "tests/support/container_builder.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static container_builder builder;

/* Dense, dense and edited, quantized, the same edited, edited and transposed. */
static unsigned char *build(size_t *bytes)
{
    const mc_grid grid = {.levels = mc_levels_int(4), .scale_dtype = MC_F16};
    container_builder_begin(&builder, 3);
    container_builder_dense(&builder, MC_BF16, (const int[]){6, -1});
    container_builder_dense(&builder, MC_F32, (const int[]){6, -1});
    for (int i = 0; i < 3; i++) container_builder_quantized(&builder, grid, 4, 64, 32);
    container_builder_transpose(&builder);
    builder.weight[1].edited = builder.weight[3].edited = builder.weight[4].edited = true;
    return container_builder_image(&builder, bytes);
}

Test(container_edited, the_flag_comes_back)
{
    size_t bytes;
    mc_container c;
    mcpk device;
    mc_err err = {0};
    unsigned char *image = build(&bytes);
    cr_assert_eq(mc_container_open_map(container_builder_map(image, bytes), "c.bin", &c, &err),
                 MC_OK, "%s", err.text);
    cr_assert_eq(mcpk_open(image, bytes, &device), MCPK_OK);
    for (uint32_t i = 0; i < 5; i++) {
        mcpk_weight w;
        const bool wanted = i == 1 || i >= 3;
        cr_expect_eq(c.weight[i].edited, wanted, "weight %u", i);
        cr_assert_eq(mcpk_weight_at(&device, i, &w), MCPK_OK);
        cr_expect_eq((w.flags & MCPK_WEIGHT_EDITED) != 0, wanted, "weight %u", i);
        cr_expect_eq((w.flags & MCPK_WEIGHT_TRANSPOSED) != 0, i == 4);
        cr_expect_eq(c.weight[i].transposed, i == 4);
    }
    mc_container_close(&c);
    free(image);
}

/* Numbers do not depend on it. */
Test(container_edited, changes_nothing_else)
{
    size_t bytes;
    mc_container c;
    mc_err err = {0};
    float plain[256], edited[256];
    unsigned char *image = build(&bytes), *flags = image + MCPK_HEADER_BYTES + MCPK_W_FLAGS;
    cr_assert_eq(mc_container_open_map(container_builder_map(image, bytes), "c.bin", &c, &err),
                 MC_OK);
    cr_assert_eq(mc_container_to_f32(&c, 3, 0, 256, edited, &err), MC_OK);
    mc_container_close(&c);
    cr_assert_eq(flags[3 * MCPK_WEIGHT_BYTES], MCPK_WEIGHT_EDITED);
    flags[3 * MCPK_WEIGHT_BYTES] = 0;
    container_builder_repair(image, bytes);
    cr_assert_eq(mc_container_open_map(container_builder_map(image, bytes), "c.bin", &c, &err),
                 MC_OK, "%s", err.text);
    cr_expect_not(c.weight[3].edited);
    cr_assert_eq(mc_container_to_f32(&c, 3, 0, 256, plain, &err), MC_OK);
    cr_expect_arr_eq(plain, edited, sizeof plain);
    mc_container_close(&c);
    free(image);
}

static void expect_refused(uint32_t weight, unsigned flags, const char *message)
{
    size_t bytes;
    mc_container c;
    mcpk device;
    mc_err err = {0};
    unsigned char *image = build(&bytes);
    image[MCPK_HEADER_BYTES + weight * MCPK_WEIGHT_BYTES + MCPK_W_FLAGS] = (unsigned char)flags;
    container_builder_repair(image, bytes);
    cr_expect_eq(mc_container_open_map(container_builder_map(image, bytes), "c.bin", &c, &err),
                 MC_E_MISMATCH);
    cr_expect_str_eq(err.text, message);
    cr_expect_eq(mcpk_open(image, bytes, &device), MCPK_E_STRUCTURE);
    free(image);
}

Test(container_edited, dense_ones_are_f32)
{
    expect_refused(0, MCPK_WEIGHT_EDITED, "c.bin: weight 0: edited numbers are BF16, allowed: F32");
    expect_refused(1, MCPK_WEIGHT_EDITED | MCPK_WEIGHT_TRANSPOSED,
                   "c.bin: weight 1: an unused field is not zero");
}
