/* Containers whose hashes all fit and that lie nevertheless: what mc_container_check finds in the
 * bytes themselves. */
#include "core/bytes.h"
#include "tests/support/container_builder.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static mc_pool *pool;
static container_builder builder;

static void open_pool(void)
{
    mc_err err;
    cr_assert_eq(mc_pool_open(&pool, 2, 0, &err), MC_OK);
}

static void close_pool(void)
{
    mc_pool_close(pool);
}

TestSuite(container_contents, .init = open_pool, .fini = close_pool);

typedef struct {
    unsigned char *image;
    size_t bytes;
    unsigned char *index;
} liar;

static liar build(void)
{
    liar b;
    b.image = container_builder_image(&builder, &b.bytes);
    b.index = b.image + mc_load_u64le(b.image + MCPK_AT_INDEX);
    return b;
}

static liar build_little(void)
{
    container_builder_begin(&builder, 5);
    container_builder_little(&builder);
    return build();
}

/* Makes all hashes and CRCs fit what is there now, opens and checks. */
static mc_status check(const liar *b, mc_err *err)
{
    mc_container c;
    container_builder_repair(b->image, b->bytes);
    const mc_map map = container_builder_map(b->image, b->bytes);
    cr_assert_eq(mc_container_open_map(map, "c.bin", &c, err), MC_OK, "%s", err->text);
    const mc_status status = mc_container_check(&c, pool, err);
    mc_container_close(&c);
    return status;
}

static void expect_refused(const liar *b, size_t at, unsigned char byte, mc_status status,
                           const char *text)
{
    mc_err err = {0};
    const unsigned char before = b->image[at];
    b->image[at] = byte;
    cr_expect_eq(check(b, &err), status, "%s", text);
    cr_expect_str_eq(err.text, text);
    b->image[at] = before;
}

/* Where the part of that role of a weight ends. */
static size_t end_of(const liar *b, uint32_t weight, uint8_t role)
{
    const unsigned char *entry = b->index;
    while (mc_load_u32le(entry + MCPK_P_WEIGHT) != weight || entry[MCPK_P_ROLE] != role)
        entry += MCPK_PART_BYTES;
    return (size_t)(mc_load_u64le(entry) + mc_load_u64le(entry + MCPK_P_STORED));
}

Test(container_contents, refuses_hashed_bytes_that_are_no_numbers)
{
    liar b = build_little();
    expect_refused(&b, end_of(&b, 1, MCPK_ROLE_SCALE) - 1, 0x7e, MC_E_FORMAT,
                   "c.bin: weight \"layer1.weight\": scale: number 3 is nan");
    expect_refused(&b, end_of(&b, 3, MCPK_ROLE_SUPER_OFFSET) - 1, 0xfe, MC_E_FORMAT,
                   "c.bin: weight \"layer3.weight\": super-offset: number 3 is nan");
    expect_refused(&b, end_of(&b, 6, MCPK_ROLE_SCALE) - 1, 0xff, MC_E_FORMAT,
                   "c.bin: weight \"layer6.weight\": scale: number 1 is nan");
    free(b.image);
}

Test(container_contents, refuses_hashed_bytes_that_no_writer_writes)
{
    liar b = build_little();
    expect_refused(&b, end_of(&b, 6, MCPK_ROLE_CODES) - 1, 0xf0, MC_E_MISMATCH,
                   "c.bin: weight \"layer6.weight\": codes: code 15 at 63, e2m1 has 15 levels");
    /* 3 x 9 zeros of 3 bits in 3 x 3 groups: 27 bits, so that 5 are left */
    expect_refused(&b, end_of(&b, 2, MCPK_ROLE_ZERO) - 1, 0x08, MC_E_MISMATCH,
                   "c.bin: weight \"layer2.weight\": zero: the rest of its last byte is not zero");
    /* 21 codes of base 3 in 5 bytes: one in the last */
    const size_t end = end_of(&b, 5, MCPK_ROLE_CODES);
    expect_refused(&b, end - 1, 3, MC_E_MISMATCH,
                   "c.bin: weight \"layer5.weight\": codes: the rest of its last byte is not zero");
    expect_refused(
        &b, end - 2, 243, MC_E_MISMATCH,
        "c.bin: weight \"layer5.weight\": codes: byte 3 is 243, five base-3 digits make 242");
    free(b.image);
}

Test(container_contents, refuses_negative_scales_that_the_record_does_not_allow)
{
    liar b = build_little();
    /* The sign of an F16 is in its second byte. */
    const size_t plain = end_of(&b, 1, MCPK_ROLE_SCALE) - 1;
    const size_t super = end_of(&b, 3, MCPK_ROLE_SUPER_SCALE) - 1;
    b.image[plain - 1] = b.image[super - 1] = 0;
    expect_refused(&b, plain, 0xbc, MC_E_MISMATCH,
                   "c.bin: weight \"layer1.weight\": scale: number 3 is -1, its record "
                   "allows no negative ones");
    expect_refused(&b, super, 0xc0, MC_E_MISMATCH,
                   "c.bin: weight \"layer3.weight\": super-scale: number 3 is -2, its "
                   "record allows no negative ones");
    mc_err err = {0};
    b.image[plain] = 0x80; /* -0 is not below 0 */
    cr_expect_eq(check(&b, &err), MC_OK, "%s", err.text);
    b.image[plain] = 0xbc;
    b.image[MCPK_HEADER_BYTES + MCPK_WEIGHT_BYTES + MCPK_W_FLAGS] = MCPK_WEIGHT_NEGATIVE_SCALE;
    cr_expect_eq(check(&b, &err), MC_OK, "%s", err.text);
    free(b.image);
}

Test(container_contents, finds_a_code_wherever_it_stands)
{
    /* Every place of a row that is no multiple of what is looked at in one go. */
    enum { COLS = 75 };
    mc_err err = {0};
    container_builder_begin(&builder, 15);
    container_builder_quantized(
        &builder, (mc_grid){.levels = mc_levels_find("e2m1"), .scale_dtype = MC_F16}, 1, COLS, 0);
    const liar b = build();
    const size_t codes = end_of(&b, 0, MCPK_ROLE_CODES) - (COLS + 1) / 2;
    cr_expect_eq(check(&b, &err), MC_OK, "%s", err.text);
    for (size_t i = 0; i < COLS; i++) {
        char text[200];
        const unsigned char both = b.image[codes + i / 2];
        const unsigned char byte = (unsigned char)(both | (i % 2 ? 0xf0 : 0x0f));
        (void)snprintf(text, sizeof text,
                       "c.bin: weight \"layer0.weight\": codes: code 15 at %zu, e2m1 has 15 levels",
                       i);
        expect_refused(&b, codes + i / 2, byte, MC_E_MISMATCH, text);
    }
    free(b.image);
}

Test(container_contents, refuses_a_manifest_that_is_not_json)
{
    mc_err err = {0};
    liar b = build_little();
    const unsigned char *entry = b.index;
    while (mc_load_u16le(entry + MCPK_P_TYPE) != MCPK_SECTION_MANIFEST) entry += MCPK_PART_BYTES;
    b.image[mc_load_u64le(entry)] = '[';
    cr_expect_eq(check(&b, &err), MC_E_FORMAT);
    cr_expect(strncmp(err.text, "c.bin: the manifest: ", 21) == 0, "%s", err.text);
    free(b.image);
}
