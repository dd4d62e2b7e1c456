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

static mc_diff_entry compared; /* of the last comparison */

/* Of two containers of one weight. */
static mc_diff compare_all(const mc_subject *a, const mc_subject *b)
{
    mc_err err = {0};
    mc_region memory;
    mc_pool *pool;
    mc_diff diff = {0};
    cr_assert_eq(mc_region_open(&memory, mc_diff_memory(a, b), &err), MC_OK);
    cr_assert_eq(mc_pool_open(&pool, 2, mc_diff_scratch(), &err), MC_OK);
    cr_assert_eq(mc_diff_run(&(mc_diff_input){a, b, pool, {0}}, &memory.arena, &diff, &err), MC_OK,
                 "%s", err.text);
    cr_assert_eq(diff.entries, 1);
    compared = diff.entry[0];
    mc_pool_close(pool);
    mc_region_close(&memory);
    diff.entry = &compared;
    return diff;
}

/* The side file and all behind it may be cut off; `whole` says whether they are there. */
static void open_with_side(mc_subject *subject, bool whole)
{
    static unsigned char text[50000];
    size_t bytes;
    container_builder_begin(&builder, 3);
    container_builder_dense(&builder, MC_F32, (const int[]){3, -1});
    builder.side[builder.sides++] = (mc_side_file){"vocab.json", text, sizeof text};
    unsigned char *image = container_builder_image(&builder, &bytes);
    unsigned char *entry = image + mc_load_u64le(image + MCPK_AT_INDEX);
    uint64_t before = 0; /* where the last section that stays ends */
    bool found = false;
    for (uint32_t i = 0; i < mc_load_u32le(image + MCPK_AT_PARTS); i++, entry += MCPK_PART_BYTES) {
        const uint16_t type = mc_load_u16le(entry + MCPK_P_TYPE);
        found = found || type == MCPK_SECTION_SIDE;
        if (!found) before = mc_load_u64le(entry) + mc_load_u64le(entry + MCPK_P_STORED);
        if (!found) continue;
        if (type != MCPK_SECTION_SIDE)
            mc_store_u16le(entry + MCPK_P_TYPE, 99); /* unknown ones may be */
        entry[MCPK_P_FLAGS] = MCPK_CUTTABLE;
    }
    cr_assert(found);
    container_builder_repair(image, bytes);
    mc_err err = {0};
    *subject = (mc_subject){.path = "side.bin", .is_container = true};
    cr_assert_eq(mc_container_open_map(container_builder_map(image, whole ? bytes : (size_t)before),
                                       subject->path, &subject->container, &err),
                 MC_OK, "%s", err.text);
    free(image);
}

Test(diff, a_section_that_was_cut_off_is_a_changed_one)
{
    mc_subject whole, cut;
    mc_diff diff;
    open_with_side(&whole, true);
    open_with_side(&cut, false);
    cr_assert_lt(cut.container.map.size + 40000, whole.container.map.size);
    diff = compare_all(&whole, &whole);
    cr_expect_eq(diff.sections_changed, 0u);
    const uint64_t sections = diff.sections;
    diff = compare_all(&whole, &cut);
    cr_expect_eq(diff.sections, sections);
    cr_expect_geq(diff.sections_changed, 1u);
    const uint64_t changed = diff.sections_changed;
    diff = compare_all(&cut, &whole);
    cr_expect_eq(diff.sections_changed, changed);
    diff = compare_all(&cut, &cut);
    cr_expect_eq(diff.sections_changed, changed, "what is nowhere is not known to be the same");
    mc_subject_close(&whole);
    mc_subject_close(&cut);
}

Test(diff, equal_weights_that_decode_to_nan_are_equal)
{
    mc_subject a, b, c;
    open_with_nan(&a, 1);
    open_with_nan(&b, 1);
    open_with_nan(&c, 200);
    cr_expect_eq(compare_all(&a, &b).entry->kind, MC_DIFF_EQUAL);
    cr_expect_eq(compare_all(&a, &c).entry->kind, MC_DIFF_VALUES);
    mc_subject_close(&a);
    mc_subject_close(&b);
    mc_subject_close(&c);
}
