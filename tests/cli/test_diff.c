/* What counts as equal when two containers are compared. */
#include "cli/diff.h"

#include "core/bytes.h"
#include "tests/support/container_builder.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static container_builder builder;

/* A container of one weight whose first scale is NaN; `code` is its first byte of codes. */
static void open_with_nan(mc_subject *subject, unsigned char code)
{
    size_t bytes;
    container_builder_begin(&builder, 3);
    cr_assert(container_builder_quantized(
        &builder, (mc_grid){.levels = mc_levels_int(8), .scale_dtype = MC_F16}, 2, 32, 32));
    unsigned char *image = container_builder_image(&builder, &bytes);
    unsigned char *entry = image + mc_load_u64le(image + MCPK_AT_INDEX);
    for (; mc_load_u32le(entry + MCPK_P_WEIGHT) != 0 || entry[MCPK_P_ROLE] != MCPK_ROLE_SCALE;
         entry += MCPK_PART_BYTES)
        if (entry[MCPK_P_ROLE] == MCPK_ROLE_CODES) image[mc_load_u64le(entry) + 32] = code;
    mc_store_u16le(image + mc_load_u64le(entry), 0x7e00);
    container_builder_repair(image, bytes);

    mc_err err = {0};
    *subject = (mc_subject){.path = "nan.bin", .is_container = true};
    cr_assert_eq(mc_container_open_map(container_builder_map(image, bytes), subject->path,
                                       &subject->container, &err),
                 MC_OK, "%s", err.text);
    free(image);
}

static mc_diff_entry compare(const mc_subject *a, const mc_subject *b)
{
    mc_err err = {0};
    mc_region memory;
    mc_pool *pool;
    mc_diff diff = {0};
    cr_assert_eq(mc_region_open(&memory, mc_diff_memory(a, b), &err), MC_OK);
    cr_assert_eq(mc_pool_open(&pool, 2, mc_diff_scratch(), &err), MC_OK);
    cr_assert_eq(mc_diff_run(a, b, pool, &memory.arena, &diff, &err), MC_OK, "%s", err.text);
    cr_assert_eq(diff.entries, 1);
    const mc_diff_entry entry = diff.entry[0];
    mc_pool_close(pool);
    mc_region_close(&memory);
    return entry;
}

Test(diff, equal_weights_that_decode_to_nan_are_equal)
{
    mc_subject a, b, c;
    open_with_nan(&a, 1);
    open_with_nan(&b, 1);
    open_with_nan(&c, 200);
    cr_expect_eq(compare(&a, &b).kind, MC_DIFF_EQUAL);
    cr_expect_eq(compare(&a, &c).kind, MC_DIFF_VALUES);
    mc_subject_close(&a);
    mc_subject_close(&b);
    mc_subject_close(&c);
}
