/* The device's reader against the program's: the same container, the same numbers, bit for bit. */
#include "core/bytes.h"
#include "core/hash.h"
#include "runtime/mcpk.h"
#include "tests/support/container_builder.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static container_builder builder;
static mc_region memory;

static void open_all(void)
{
    mc_err err;
    cr_assert_eq(mc_region_open(&memory, 1 << 24, &err), MC_OK);
}

static void close_all(void)
{
    mc_region_close(&memory);
}

TestSuite(mcpk, .init = open_all, .fini = close_all);

static unsigned char *build(bool everything, bool compress, size_t *bytes)
{
    container_builder_begin(&builder, 11);
    if (everything)
        container_builder_everything(&builder);
    else
        container_builder_little(&builder);
    builder.compress = compress;
    return container_builder_image(&builder, bytes);
}

/* Any NaN is as good as another. */
static bool same(float a, float b)
{
    return (a != a && b != b) || memcmp(&a, &b, sizeof a) == 0;
}

static bool device_reads(const mcpk_weight *w)
{
    if (w->form == MCPK_FORM_QUANTIZED) return true;
    return w->dtype >= MCPK_F32 && w->dtype <= MCPK_F8_E8M0 && w->dtype != MCPK_F64;
}

/* Every row of every weight, as mc_container_to_f32 gives it. */
static void expect_same_rows(const mcpk *pk, const mc_container *c)
{
    mc_err err;
    cr_assert_eq(pk->weights, c->weights);
    for (uint32_t i = 0; i < pk->weights; i++) {
        mcpk_weight w;
        mc_arena mem = memory.arena;
        cr_assert_eq(mcpk_weight_at(pk, i, &w), MCPK_OK);
        cr_assert_str_eq(w.name, c->weight[i].name);
        cr_assert_eq(w.cols, c->weight[i].cols);
        float *here = MC_NEW(&mem, float, (size_t)w.cols + 1);
        float *there = MC_NEW(&mem, float, (size_t)w.cols + 1);
        cr_expect_eq(mcpk_row_f32(&w, w.rows, there), MCPK_E_MISSING);
        for (uint64_t row = 0; row < w.rows; row++) {
            const mcpk_status status = mcpk_row_f32(&w, row, there);
            cr_assert_eq(status, device_reads(&w) ? MCPK_OK : MCPK_E_UNSUPPORTED, "%s", w.name);
            if (status != MCPK_OK) break;
            for (uint64_t k = 0; k < w.cols; k++) {
                const uint64_t element = mc_weight_element(&c->weight[i], row * w.cols + k);
                cr_assert_eq(mc_container_to_f32(c, i, element, 1, &here[k], &err), MC_OK, "%s",
                             err.text);
                cr_assert(same(here[k], there[k]), "%s: row %llu, column %llu: %a, not %a", w.name,
                          (unsigned long long)row, (unsigned long long)k, (double)there[k],
                          (double)here[k]);
            }
        }
    }
}

Test(mcpk, gives_the_numbers_of_the_program)
{
    size_t bytes;
    mc_err err;
    mc_container c;
    mcpk pk;
    unsigned char *image = build(true, false, &bytes);
    cr_assert_eq(mc_container_open_map(container_builder_map(image, bytes), "c", &c, &err), MC_OK);
    cr_assert_eq(mcpk_open(image, bytes, &pk), MCPK_OK);
    expect_same_rows(&pk, &c);

    /* At an odd address, and in a partition that is longer than the container. */
    unsigned char *odd = malloc(bytes + 100);
    memset(odd, 0xff, bytes + 100);
    memcpy(odd + 1, image, bytes);
    cr_assert_eq(mcpk_open(odd + 1, bytes + 99, &pk), MCPK_OK);
    expect_same_rows(&pk, &c);
    mc_container_close(&c);
    free(odd);
    free(image);
}

Test(mcpk, finds_weights_by_name)
{
    size_t bytes;
    mcpk pk;
    mcpk_weight w;
    unsigned char *image = build(false, false, &bytes);
    cr_assert_eq(mcpk_open(image, bytes, &pk), MCPK_OK);
    cr_expect_eq(mcpk_find(&pk, "layer3.weight", &w), MCPK_OK);
    cr_expect_str_eq(w.name, "layer3.weight");
    cr_expect_eq(w.rows, 2);
    cr_expect_eq(w.cols, 24);
    cr_expect_eq(w.group, 8);
    cr_expect_eq(mcpk_find(&pk, "layer3.weigh", &w), MCPK_E_MISSING);
    cr_expect_eq(mcpk_find(&pk, "layer3.weight2", &w), MCPK_E_MISSING);
    cr_expect_eq(mcpk_weight_at(&pk, pk.weights, &w), MCPK_E_MISSING);
    cr_expect_eq(pk.target, 1);
    cr_expect_eq(pk.activation_bits, 8);
    cr_expect_eq(pk.activation_mode, MCPK_ACT_DYNAMIC);
    free(image);
}

Test(mcpk, leaves_compressed_weights_alone)
{
    size_t bytes;
    mcpk pk;
    mcpk_weight w;
    float row[4096];
    container_builder_begin(&builder, 12);
    const mc_grid one = {
        .levels = mc_levels_int(8), .scale_dtype = MC_F32, .offset = MC_OFFSET_FREE};
    container_builder_quantized(&builder, one, 1, 4096, 4096);
    container_builder_dense(&builder, MC_F32, (const int[]){64, -1});
    builder.weight[1].dtype = MC_F32;
    builder.compress = true;
    unsigned char *image = container_builder_image(&builder, &bytes);
    cr_assert_eq(mcpk_open(image, bytes, &pk), MCPK_OK);
    unsigned char *index = image + mc_load_u64le(image + MCPK_AT_INDEX);
    /* Random codes stay as they are, so this one is readable until its codes are said to be
     * deflated. */
    cr_assert_eq(mcpk_weight_at(&pk, 0, &w), MCPK_OK);
    cr_expect_eq(mcpk_row_f32(&w, 0, row), MCPK_OK);
    index[MCPK_PART_BYTES + MCPK_P_FLAGS] |= MCPK_ZLIB; /* behind the names */
    cr_assert_eq(mcpk_weight_at(&pk, 0, &w), MCPK_OK);
    cr_expect_eq(mcpk_row_f32(&w, 0, row), MCPK_E_UNSUPPORTED);
    free(image);
}

/* ---- refusals ---- */

Test(mcpk, refuses_a_container_cut_at_any_byte)
{
    size_t bytes;
    mcpk pk;
    unsigned char *image = build(false, false, &bytes);
    for (size_t n = 0; n < bytes; n++) {
        unsigned char *cut = malloc(n ? n : 1); /* exact, for the address sanitizer */
        memcpy(cut, image, n);
        const mcpk_status status = mcpk_open(cut, n, &pk);
        cr_expect_eq(status, n < 8 ? MCPK_E_MAGIC : MCPK_E_TRUNCATED, "%zu bytes: %s", n,
                     mcpk_error_text(status));
        free(cut);
    }
    free(image);
}

Test(mcpk, refuses_other_magic_and_versions)
{
    size_t bytes;
    mcpk pk;
    unsigned char *image = build(false, false, &bytes);
    image[0] ^= 1;
    cr_expect_eq(mcpk_open(image, bytes, &pk), MCPK_E_MAGIC);
    image[0] ^= 1;
    image[MCPK_AT_VERSION] = 1;
    cr_expect_eq(mcpk_open(image, bytes, &pk), MCPK_E_VERSION);
    cr_expect_str_eq(mcpk_error_text(MCPK_E_VERSION), "a container of another version");
    cr_expect_str_eq(mcpk_error_text((mcpk_status)99), "unknown error");
    free(image);
}

/* A field of weight 1 (int4, 2 x 32, group 16) and values that its parts contradict. */
Test(mcpk, holds_a_weight_to_the_sizes_of_its_parts)
{
    static const struct {
        size_t at;
        uint8_t value;
        mcpk_status status;
    } wrong[] = {
        {MCPK_W_GROUP, 8, MCPK_E_STRUCTURE}, /* more groups than scales */
        {MCPK_W_GROUP, 15, MCPK_E_STRUCTURE},
        {MCPK_W_GROUP, 0, MCPK_E_STRUCTURE},
        {MCPK_W_LEVELS, 5, MCPK_E_STRUCTURE},
        {MCPK_W_LEVELS, 200, MCPK_E_UNSUPPORTED},
        {MCPK_W_ROWS, 3, MCPK_E_STRUCTURE},
        {MCPK_W_DIM, 3, MCPK_E_STRUCTURE},
        {MCPK_W_NDIM, 9, MCPK_E_STRUCTURE},
        {MCPK_W_OFFSET, 1, MCPK_E_STRUCTURE},
        {MCPK_W_OFFSET, 3, MCPK_E_UNSUPPORTED},
        {MCPK_W_SCALE_DTYPE, MCPK_F32, MCPK_E_STRUCTURE},
        {MCPK_W_SCALE_DTYPE, MCPK_F64, MCPK_E_UNSUPPORTED},
        {MCPK_W_SUB_BITS, 6, MCPK_E_STRUCTURE},
        {MCPK_W_SUPER, 1, MCPK_E_STRUCTURE},
        {MCPK_W_PARTS, 3, MCPK_E_STRUCTURE},
        {MCPK_W_FIRST_PART, 4, MCPK_E_STRUCTURE},
        {MCPK_W_FIRST_PART, 255, MCPK_E_STRUCTURE},
        {MCPK_W_FORM, MCPK_FORM_STACKED, MCPK_E_UNSUPPORTED},
        {MCPK_W_FORM, MCPK_FORM_DENSE, MCPK_E_STRUCTURE},
        {MCPK_W_NAME_BYTES + 1, 1, MCPK_E_STRUCTURE},
        {MCPK_W_NAME + 2, 1, MCPK_E_STRUCTURE},
    };
    size_t bytes;
    mcpk pk;
    unsigned char *image = build(false, false, &bytes);
    unsigned char *record = image + MCPK_HEADER_BYTES + MCPK_WEIGHT_BYTES;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        const uint8_t before = record[wrong[i].at];
        record[wrong[i].at] = wrong[i].value;
        cr_expect_eq(mcpk_open(image, bytes, &pk), wrong[i].status, "byte %zu = %u", wrong[i].at,
                     wrong[i].value);
        record[wrong[i].at] = before;
    }
    cr_expect_eq(mcpk_open(image, bytes, &pk), MCPK_OK);
    free(image);
}

/* One byte of a good container changed at a time. */
typedef struct {
    size_t at;
    uint8_t value;
    mcpk_status status;
} change;

static void expect_each(unsigned char *image, size_t bytes, unsigned char *from,
                        const change *wrong, size_t n)
{
    mcpk pk;
    for (size_t i = 0; i < n; i++) {
        const uint8_t before = from[wrong[i].at];
        from[wrong[i].at] = wrong[i].value;
        cr_expect_eq(mcpk_open(image, bytes, &pk), wrong[i].status, "byte %zu = %u", wrong[i].at,
                     wrong[i].value);
        from[wrong[i].at] = before;
    }
    cr_expect_eq(mcpk_open(image, bytes, &pk), MCPK_OK);
}

#define EXPECT_EACH(from, wrong) \
    expect_each(image, bytes, (from), (wrong), sizeof(wrong) / sizeof *(wrong))

Test(mcpk, refuses_a_header_that_says_what_no_header_says)
{
    static const change wrong[] = {
        {MCPK_AT_ACT_BITS, 0, MCPK_E_UNSUPPORTED},   {MCPK_AT_ACT_BITS, 17, MCPK_E_UNSUPPORTED},
        {MCPK_AT_ACT_MODE, 3, MCPK_E_UNSUPPORTED},   {MCPK_AT_KV_BITS, 0, MCPK_E_UNSUPPORTED},
        {MCPK_AT_KV_BITS, 17, MCPK_E_UNSUPPORTED},   {MCPK_AT_MEASURED, 2, MCPK_E_UNSUPPORTED},
        {MCPK_AT_MEASURED + 1, 1, MCPK_E_STRUCTURE}, {MCPK_AT_ROLLBACK - 1, 1, MCPK_E_STRUCTURE},
        {MCPK_AT_ROLLBACK, 1, MCPK_E_UNSUPPORTED},   {MCPK_AT_HEADER_SPARE, 1, MCPK_E_STRUCTURE},
        {MCPK_HEADER_BYTES - 1, 1, MCPK_E_STRUCTURE}};
    size_t bytes;
    unsigned char *image = build(false, false, &bytes);
    EXPECT_EACH(image, wrong);
    free(image);
}

/* Of the records of weight 0 (dense, 3), 1 (int4, 2 x 32), 3 (two-level) and 6 (e2m1 under F8_E4M3
 * and a scale of the tensor). */
Test(mcpk, refuses_fields_of_a_weight_that_mean_nothing)
{
    static const change dense[] = {
        {MCPK_W_DTYPE, 0, MCPK_E_UNSUPPORTED},   {MCPK_W_DTYPE, 27, MCPK_E_UNSUPPORTED},
        {MCPK_W_LEVELS, 4, MCPK_E_STRUCTURE},    {MCPK_W_SUB_BITS, 4, MCPK_E_STRUCTURE},
        {MCPK_W_GROUP, 1, MCPK_E_STRUCTURE},     {MCPK_W_SUPER, 1, MCPK_E_STRUCTURE},
        {MCPK_W_DIM + 8, 1, MCPK_E_STRUCTURE},   {MCPK_W_DIM + 63, 1, MCPK_E_STRUCTURE},
        {MCPK_W_SPARE, 1, MCPK_E_STRUCTURE},     {MCPK_W_SPARE + 11, 1, MCPK_E_STRUCTURE},
        {MCPK_W_NAME_BYTES, 5, MCPK_E_STRUCTURE}};
    static const change plain[] = {
        {MCPK_W_DTYPE, 27, MCPK_E_UNSUPPORTED},     {MCPK_W_LEVELS, 1, MCPK_E_STRUCTURE},
        {MCPK_W_FLAGS, 32, MCPK_E_UNSUPPORTED},     {MCPK_W_SUB_BITS + 1, 1, MCPK_E_STRUCTURE},
        {MCPK_W_SUB_BITS + 2, 1, MCPK_E_STRUCTURE}, {MCPK_W_DIM + 16, 1, MCPK_E_STRUCTURE},
        {MCPK_W_FIRST_PART, 4, MCPK_E_STRUCTURE},   {MCPK_W_NAME, 0, MCPK_E_STRUCTURE},
        {MCPK_W_NAME, 1, MCPK_E_STRUCTURE},         {MCPK_W_FLAGS, 16, MCPK_E_STRUCTURE}};
    static const change two_level[] = {{MCPK_W_SUB_BITS, 3, MCPK_E_STRUCTURE},
                                       {MCPK_W_SUB_BITS, 9, MCPK_E_STRUCTURE},
                                       {MCPK_W_SUPER, 0, MCPK_E_STRUCTURE},
                                       {MCPK_W_FLAGS, 1, MCPK_E_STRUCTURE}};
    static const change tensor[] = {{MCPK_W_FLAGS, 17, MCPK_E_STRUCTURE},
                                    {MCPK_W_FLAGS, 0, MCPK_E_STRUCTURE},
                                    {MCPK_W_SCALE_DTYPE, MCPK_F8_E8M0, MCPK_E_STRUCTURE},
                                    {MCPK_W_SUB_BITS, 4, MCPK_E_STRUCTURE},
                                    {MCPK_W_OFFSET, 1, MCPK_E_STRUCTURE},
                                    {MCPK_W_OFFSET, 2, MCPK_E_STRUCTURE}};
    size_t bytes;
    unsigned char *image = build(false, false, &bytes);
    unsigned char *records = image + MCPK_HEADER_BYTES;
    EXPECT_EACH(records, dense);
    EXPECT_EACH(records + MCPK_WEIGHT_BYTES, plain);
    EXPECT_EACH(records + 3 * MCPK_WEIGHT_BYTES, two_level);
    EXPECT_EACH(records + 6 * MCPK_WEIGHT_BYTES, tensor);
    free(image);
}

static unsigned char *entry_of(unsigned char *image, unsigned type)
{
    unsigned char *entry = image + mc_load_u64le(image + MCPK_AT_INDEX);
    while (mc_load_u16le(entry + MCPK_P_TYPE) != type) entry += MCPK_PART_BYTES;
    return entry;
}

/* A combination that all parts agree with, so that nothing but its meaning is wrong. */
Test(mcpk, refuses_grids_that_mean_nothing)
{
    size_t bytes;
    mcpk pk;
    container_builder_begin(&builder, 14);
    const mc_grid one = {
        .levels = mc_levels_int(1), .scale_dtype = MC_F8_E4M3, .offset = MC_OFFSET_FREE};
    container_builder_quantized(&builder, one, 2, 32, 16);
    unsigned char *image = container_builder_image(&builder, &bytes);
    unsigned char *record = image + MCPK_HEADER_BYTES;
    cr_assert_eq(mcpk_open(image, bytes, &pk), MCPK_OK);
    /* F8_E8M0 with free offsets */
    record[MCPK_W_SCALE_DTYPE] = MCPK_F8_E8M0;
    unsigned char *index = entry_of(image, MCPK_SECTION_WEIGHT);
    index[MCPK_PART_BYTES + MCPK_P_ENCODING] = MCPK_F8_E8M0;
    index[2 * MCPK_PART_BYTES + MCPK_P_ENCODING] = MCPK_F8_E8M0;
    cr_expect_eq(mcpk_open(image, bytes, &pk), MCPK_E_STRUCTURE);
    free(image);

    container_builder_begin(&builder, 14);
    const mc_grid powers = {.levels = mc_levels_find("e2m1"), .scale_dtype = MC_F8_E8M0};
    container_builder_quantized(&builder, powers, 2, 32, 16);
    image = container_builder_image(&builder, &bytes);
    cr_assert_eq(mcpk_open(image, bytes, &pk), MCPK_OK);
    image[MCPK_HEADER_BYTES + MCPK_W_FLAGS] = MCPK_WEIGHT_NEGATIVE_SCALE;
    cr_expect_eq(mcpk_open(image, bytes, &pk), MCPK_E_STRUCTURE);
    free(image);
}

/* Each part says whose it is and each weight where its part is, but in the other order. */
Test(mcpk, refuses_weights_whose_parts_do_not_follow_one_another)
{
    size_t bytes;
    mcpk pk;
    container_builder_begin(&builder, 15);
    container_builder_dense(&builder, MC_F32, (const int[]){3, -1});
    container_builder_dense(&builder, MC_F32, (const int[]){3, -1});
    unsigned char *image = container_builder_image(&builder, &bytes);
    unsigned char *record = image + MCPK_HEADER_BYTES;
    unsigned char *entry = entry_of(image, MCPK_SECTION_WEIGHT);
    cr_assert_eq(mcpk_open(image, bytes, &pk), MCPK_OK);
    const uint32_t first = mc_load_u32le(record + MCPK_W_FIRST_PART);
    mc_store_u32le(record + MCPK_W_FIRST_PART, first + 1);
    mc_store_u32le(record + MCPK_WEIGHT_BYTES + MCPK_W_FIRST_PART, first);
    mc_store_u32le(entry + MCPK_P_WEIGHT, 1);
    mc_store_u32le(entry + MCPK_PART_BYTES + MCPK_P_WEIGHT, 0);
    cr_expect_eq(mcpk_open(image, bytes, &pk), MCPK_E_STRUCTURE);
    free(image);
}

Test(mcpk, refuses_entries_of_the_index_that_mean_nothing)
{
    static const change names[] = {{MCPK_P_FLAGS, MCPK_REQUIRED | MCPK_ZLIB, MCPK_E_STRUCTURE},
                                   {MCPK_P_FLAGS, MCPK_REQUIRED | MCPK_CUTTABLE, MCPK_E_STRUCTURE},
                                   {MCPK_P_PARAM, 1, MCPK_E_STRUCTURE},
                                   {MCPK_P_WEIGHT, 0, MCPK_E_STRUCTURE},
                                   {MCPK_P_SPARE, 1, MCPK_E_STRUCTURE},
                                   {MCPK_P_SPARE + 7, 1, MCPK_E_STRUCTURE},
                                   {MCPK_P_LAYOUT_VERSION + 2, 1, MCPK_E_STRUCTURE}};
    static const change crc[] = {{MCPK_P_FLAGS, MCPK_ZLIB, MCPK_E_STRUCTURE},
                                 {MCPK_P_PARAM, 1, MCPK_E_STRUCTURE},
                                 {MCPK_P_PARAM + 4, 1, MCPK_E_STRUCTURE}};
    static const change manifest[] = {{MCPK_P_FLAGS, MCPK_CUTTABLE, MCPK_E_STRUCTURE},
                                      {MCPK_P_FLAGS, 8, MCPK_E_UNSUPPORTED},
                                      {MCPK_P_ROLE, 1, MCPK_E_STRUCTURE},
                                      {MCPK_P_ENCODING, 1, MCPK_E_STRUCTURE},
                                      {MCPK_P_PARAM + 12, 1, MCPK_E_STRUCTURE}};
    static const change part[] = {{MCPK_P_FLAGS, 0, MCPK_E_STRUCTURE},
                                  {MCPK_P_FLAGS, MCPK_REQUIRED | MCPK_CUTTABLE, MCPK_E_STRUCTURE},
                                  {MCPK_P_WEIGHT, 200, MCPK_E_STRUCTURE},
                                  {MCPK_P_PARAM, 1, MCPK_E_STRUCTURE},
                                  {MCPK_P_LAYOUT, 1, MCPK_E_UNSUPPORTED},
                                  {MCPK_P_LAYOUT_VERSION, 1, MCPK_E_UNSUPPORTED}};
    static const change side[] = {{MCPK_P_PARAM + 8, 1, MCPK_E_STRUCTURE},
                                  {MCPK_P_TYPE, MCPK_SECTION_GRAPH, MCPK_OK},
                                  {MCPK_P_TYPE + 1, 1, MCPK_OK},
                                  {MCPK_P_FLAGS, MCPK_CUTTABLE, MCPK_OK}};
    size_t bytes;
    unsigned char *image = build(false, false, &bytes);
    EXPECT_EACH(entry_of(image, MCPK_SECTION_NAMES), names);
    EXPECT_EACH(entry_of(image, MCPK_SECTION_CRC), crc);
    EXPECT_EACH(entry_of(image, MCPK_SECTION_MANIFEST), manifest);
    EXPECT_EACH(entry_of(image, MCPK_SECTION_WEIGHT), part);
    EXPECT_EACH(entry_of(image, MCPK_SECTION_SIDE), side);

    /* The last part of the last weight becomes a part of nothing that the weights name. */
    unsigned char *manifest_entry = entry_of(image, MCPK_SECTION_MANIFEST);
    mcpk pk;
    mc_store_u16le(manifest_entry + MCPK_P_TYPE, MCPK_SECTION_WEIGHT);
    mc_store_u32le(manifest_entry + MCPK_P_WEIGHT, 0);
    manifest_entry[MCPK_P_FLAGS] = MCPK_REQUIRED;
    cr_expect_eq(mcpk_open(image, bytes, &pk), MCPK_E_STRUCTURE);
    free(image);
}

/* ---- hashes ---- */

static void sha_begin(void *state)
{
    mc_err err;
    cr_assert_eq(mc_sha256_open(state, &err), MC_OK);
}

static void sha_add(void *state, const void *bytes, size_t n)
{
    mc_sha256_add(*(mc_sha256 **)state, bytes, n);
}

static void sha_finish(void *state, uint8_t digest[MCPK_HASH_BYTES])
{
    mc_sha256_finish(*(mc_sha256 **)state, digest);
    mc_sha256_close(*(mc_sha256 **)state);
}

Test(mcpk, verifies_front_and_sections_by_the_callers_hash)
{
    size_t bytes;
    mcpk pk;
    mcpk_part part;
    mc_sha256 *state = NULL;
    const mcpk_hash sha = {&state, sha_begin, sha_add, sha_finish};
    unsigned char *image = build(false, false, &bytes);
    cr_assert_eq(mcpk_open(image, bytes, &pk), MCPK_OK);
    cr_expect_eq(mcpk_verify(&pk, &sha), MCPK_OK);
    image[MCPK_AT_ACT_BITS] ^= 4;
    cr_expect_eq(mcpk_verify(&pk, &sha), MCPK_E_HASH);
    image[MCPK_AT_ACT_BITS] ^= 4;

    for (uint32_t i = 0; i < pk.parts; i++) {
        cr_assert_eq(mcpk_part_at(&pk, i, &part), MCPK_OK);
        cr_expect_eq(mcpk_verify_part(&pk, i, &sha), MCPK_OK);
        image[part.offset + part.stored - 1] ^= 0x80;
        cr_expect_eq(mcpk_verify_part(&pk, i, &sha), MCPK_E_HASH);
        image[part.offset + part.stored - 1] ^= 0x80;
    }
    cr_expect_eq(mcpk_verify_part(&pk, pk.parts, &sha), MCPK_E_MISSING);
    free(image);
}

Test(mcpk, finds_worn_chunks_by_their_crc)
{
    size_t bytes;
    mcpk pk;
    mcpk_part part;
    container_builder_begin(&builder, 13);
    container_builder_dense(&builder, MC_U8, (const int[]){10000, -1});
    container_builder_dense(&builder, MC_U8, (const int[]){8192, -1});
    unsigned char *image = container_builder_image(&builder, &bytes);
    cr_assert_eq(mcpk_open(image, bytes, &pk), MCPK_OK);
    for (uint32_t i = 0; i < pk.parts; i++) {
        cr_assert_eq(mcpk_part_at(&pk, i, &part), MCPK_OK);
        const uint64_t chunks = part.type == MCPK_SECTION_CRC ? 0 : (part.stored + 4095) / 4096;
        cr_expect_eq(mcpk_scrub(&pk, i, chunks), MCPK_E_MISSING);
        cr_expect_eq(mcpk_scrub(&pk, i, UINT64_MAX), MCPK_E_MISSING);
        for (uint64_t k = 0; k < chunks; k++) {
            cr_expect_eq(mcpk_scrub(&pk, i, k), MCPK_OK, "part %u, chunk %llu", (unsigned)i,
                         (unsigned long long)k);
            image[part.offset + 4096 * k] ^= 1;
            cr_expect_eq(mcpk_scrub(&pk, i, k), MCPK_E_HASH);
            if (k + 1 < chunks) cr_expect_eq(mcpk_scrub(&pk, i, k + 1), MCPK_OK);
            image[part.offset + 4096 * k] ^= 1;
        }
    }
    free(image);
}
