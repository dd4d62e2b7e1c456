/* What was written comes back; what was not written by the rules is refused by name. */
#include "core/bytes.h"
#include "tests/support/container_builder.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROOM = 1 << 26 };

static mc_region memory;
static mc_pool *pool;
static container_builder builder;

static void open_all(void)
{
    mc_err err;
    cr_assert_eq(mc_region_open(&memory, ROOM, &err), MC_OK);
    cr_assert_eq(mc_pool_open(&pool, 2, 0, &err), MC_OK);
}

static void close_all(void)
{
    mc_pool_close(pool);
    mc_region_close(&memory);
}

TestSuite(container_read, .init = open_all, .fini = close_all);

/* Opens a copy of the bytes; `c` is closed by the caller on MC_OK. */
static mc_status open_image(const unsigned char *image, size_t bytes, mc_container *c, mc_err *err)
{
    return mc_container_open_map(container_builder_map(image, bytes), "c.bin", c, err);
}

static mc_container open_built(const container_builder *b)
{
    size_t bytes;
    mc_err err;
    mc_container c;
    unsigned char *image = container_builder_image(b, &bytes);
    cr_assert_eq(open_image(image, bytes, &c, &err), MC_OK, "%s", err.text);
    cr_assert_eq(mc_container_check(&c, pool, &err), MC_OK, "%s", err.text);
    free(image);
    return c;
}

static void expect_same_qmat(const mc_qmat *q, const mc_qmat *back, const char *name)
{
    const size_t groups = q->rows * mc_qmat_groups(q), supers = q->rows * mc_qmat_supers(q);
    cr_assert_arr_eq(back->code, q->code, q->rows * q->cols, "%s: codes", name);
    cr_assert_eq(back->grid.tensor_scale, q->grid.tensor_scale, "%s: scale of the tensor", name);
    for (size_t i = 0; i < groups; i++) {
        cr_assert_eq(back->params[i].scale, q->params[i].scale, "%s: scale %zu", name, i);
        cr_assert_eq(back->params[i].offset, q->params[i].offset, "%s: offset %zu", name, i);
        cr_assert_eq(back->params[i].zero, q->params[i].zero, "%s: zero %zu", name, i);
        if (!q->sub) continue;
        cr_assert_eq(back->sub[i].scale, q->sub[i].scale, "%s: sub-scale %zu", name, i);
        cr_assert_eq(back->sub[i].offset, q->sub[i].offset, "%s: sub-offset %zu", name, i);
    }
    for (size_t i = 0; i < supers; i++) {
        cr_assert_eq(back->super[i].scale, q->super[i].scale, "%s: super-scale %zu", name, i);
        cr_assert_eq(back->super[i].offset, q->super[i].offset, "%s: super-offset %zu", name, i);
    }
}

/* The value of element e of the tensor as core/grid.h defines it. */
static float value_of(const mc_weight_spec *spec, const mc_qmat *q, uint64_t e)
{
    const uint64_t place = spec->transposed ? e % spec->rows * spec->cols + e / spec->rows : e;
    return mc_qmat_value(q, (size_t)(place / q->cols), (size_t)(place % q->cols));
}

static void expect_same_values(const mc_container *c, size_t w, const mc_qmat *q, mc_arena mem)
{
    mc_err err;
    const mc_weight_spec *spec = &c->weight[w];
    const uint64_t all = (uint64_t)q->rows * q->cols;
    float *got = MC_NEW(&mem, float, (size_t)all);
    for (uint64_t first = 0; first < all; first += 1 + first / 2 * 3) {
        const uint64_t n = all - first;
        cr_assert_eq(mc_container_to_f32(c, w, first, n, got, &err), MC_OK, "%s", err.text);
        for (uint64_t i = 0; i < n; i++)
            cr_assert_eq(got[i], value_of(spec, q, first + i),
                         "%s: %g, not %g, element %llu from %llu", spec->name, (double)got[i],
                         (double)value_of(spec, q, first + i), (unsigned long long)i,
                         (unsigned long long)first);
    }
}

static void expect_everything(const mc_container *c, const container_builder *b)
{
    mc_err err;
    cr_assert_eq(c->weights, b->weights);
    for (size_t w = 0; w < b->weights; w++) {
        mc_arena mem = memory.arena;
        const mc_weight_spec *in = &b->weight[w], *out = &c->weight[w];
        cr_assert_str_eq(out->name, b->name[w]);
        cr_assert_eq(out->form, in->form);
        cr_assert_eq(out->dtype, in->dtype);
        cr_assert_eq(out->ndim, in->ndim);
        cr_assert_arr_eq(out->dim, in->dim, sizeof in->dim);
        cr_assert_eq(out->rows, in->rows);
        cr_assert_eq(out->cols, in->cols);
        cr_assert_eq(out->transposed, in->transposed);
        if (in->form == MC_FORM_DENSE) {
            uint64_t bytes, wanted;
            const unsigned char *stored = mc_container_dense(c, w, &bytes);
            const unsigned char *data = container_builder_bytes(b, w, &mem, &wanted);
            cr_assert_eq(bytes, wanted);
            cr_assert_arr_eq(stored, data, wanted);
            continue;
        }
        cr_assert_eq(out->group, in->group);
        cr_assert_eq(out->grid.levels, in->grid.levels);
        cr_assert_eq(out->grid.offset, in->grid.offset);
        cr_assert_eq(out->grid.restricted, in->grid.restricted);
        cr_assert_eq(out->grid.negative_scale, in->grid.negative_scale);
        cr_assert_eq(out->grid.scale_dtype, in->grid.scale_dtype);
        cr_assert_eq(out->grid.tensor_scaled, in->grid.tensor_scaled);
        cr_assert_eq(out->grid.sub_bits, in->grid.sub_bits);
        cr_assert_eq(out->grid.super, in->grid.super);
        mc_qmat q, back;
        container_builder_qmat(b, w, &mem, &q);
        cr_assert_eq(mc_container_qmat(c, w, 0, q.rows, &mem, &back, &err), MC_OK, "%s", err.text);
        expect_same_qmat(&q, &back, out->name);
        expect_same_values(c, w, &q, mem);
    }
}

Test(container_read, gives_back_every_weight)
{
    container_builder_begin(&builder, 1);
    container_builder_everything(&builder);
    mc_container c = open_built(&builder);
    expect_everything(&c, &builder);
    mc_container_close(&c);
}

Test(container_read, gives_back_every_weight_of_a_compressed_one)
{
    container_builder_begin(&builder, 2);
    container_builder_everything(&builder);
    const mc_grid two = {.levels = mc_levels_int(2), .scale_dtype = MC_F16};
    container_builder_quantized(&builder, two, 64, 1 << 17, 32); /* 2 MiB of codes: streamed */
    builder.compress = true;
    builder.slab_rows = 3;
    builder.align = 4096;
    mc_container c = open_built(&builder);
    expect_everything(&c, &builder);
    mc_container_close(&c);
}

Test(container_read, gives_rows_from_the_middle)
{
    container_builder_begin(&builder, 3);
    container_builder_everything(&builder);
    mc_container c = open_built(&builder);
    for (size_t w = 0; w < c.weights; w++) {
        if (c.weight[w].form != MC_FORM_QUANTIZED || c.weight[w].group == 0) continue;
        mc_arena mem = memory.arena;
        mc_qmat q, part;
        mc_err err;
        container_builder_qmat(&builder, w, &mem, &q);
        for (size_t row = 0; row < q.rows; row++) {
            cr_assert_eq(mc_container_qmat(&c, w, row, 1, &mem, &part, &err), MC_OK);
            for (size_t i = 0; i < q.cols; i++)
                cr_assert_eq(mc_qmat_value(&part, 0, i), mc_qmat_value(&q, row, i));
        }
        cr_assert_eq(mc_container_qmat(&c, w, 1, q.rows, &mem, &part, &err), MC_E_INTERNAL);
    }
    mc_container_close(&c);
}

Test(container_read, gives_back_what_stands_beside_the_weights)
{
    container_builder_begin(&builder, 4);
    container_builder_little(&builder);
    mc_container c = open_built(&builder);
    cr_assert_eq(c.manifest_bytes, strlen(container_builder_manifest));
    cr_assert_arr_eq(c.manifest, container_builder_manifest, c.manifest_bytes);
    cr_assert_eq(c.sides, 1);
    cr_assert_str_eq(c.side[0].name, "config.json");
    cr_assert_eq(c.side[0].bytes, builder.side[0].bytes);
    cr_assert_arr_eq(c.side[0].data, builder.side[0].data, c.side[0].bytes);
    cr_assert_eq(c.numerics.activation_bits, 8);
    cr_assert_eq(c.numerics.activation_mode, MCPK_ACT_DYNAMIC);
    cr_assert_eq(c.numerics.kv_bits, 16);
    cr_assert_not(c.numerics.measured);
    cr_assert_eq(c.target, 1);
    cr_assert_eq(c.align, 64);
    mc_container_close(&c);
}

/* ---- refusals ---- */

typedef struct {
    unsigned char *image;
    size_t bytes;
    unsigned char *index;
} broken;

static broken begin_broken(void)
{
    broken b;
    container_builder_begin(&builder, 5);
    container_builder_little(&builder);
    b.image = container_builder_image(&builder, &b.bytes);
    b.index = b.image + mc_load_u64le(b.image + MCPK_AT_INDEX);
    return b;
}

/* Opens and checks; the message when it is refused. */
static mc_status refusal(const unsigned char *image, size_t bytes, mc_err *err)
{
    mc_container c;
    mc_status status = open_image(image, bytes, &c, err);
    if (status != MC_OK) return status;
    status = mc_container_check(&c, pool, err);
    mc_container_close(&c);
    return status;
}

static void expect_refusal(const broken *b, mc_status wanted, const char *text)
{
    mc_err err = {0};
    cr_expect_eq(refusal(b->image, b->bytes, &err), wanted, "%s", err.text);
    cr_expect_str_eq(err.text, text);
}

Test(container_read, refuses_what_is_not_a_container)
{
    broken b = {.image = (unsigned char[128]){0}, .bytes = 0};
    expect_refusal(&b, MC_E_FORMAT, "c.bin: not a container: shorter than the magic bytes");
    b.bytes = 7;
    memcpy(b.image, MCPK_MAGIC, 8);
    expect_refusal(&b, MC_E_FORMAT, "c.bin: not a container: shorter than the magic bytes");
    b.bytes = 100;
    expect_refusal(&b, MC_E_MISMATCH, "c.bin: 100 bytes, the header alone has 128");
    b.bytes = 128;
    b.image[4] = '\n';
    expect_refusal(&b, MC_E_FORMAT,
                   "c.bin: not a container: it begins with other bytes than \"MCPK\"");
    cr_expect_not(mc_container_is((const unsigned char *)"MCPK\r\n\x1a", 7));
    cr_expect(mc_container_is((const unsigned char *)MCPK_MAGIC, 8));
}

Test(container_read, refuses_other_versions)
{
    broken b = begin_broken();
    b.image[MCPK_AT_VERSION] = 7;
    expect_refusal(&b, MC_E_UNSUPPORTED, "c.bin: container version 7, this program reads 0");
    free(b.image);
}

Test(container_read, refuses_a_file_cut_at_any_byte_or_lengthened)
{
    broken b = begin_broken();
    mc_err err;
    for (size_t n = 0; n < b.bytes; n++) {
        const mc_status status = refusal(b.image, n, &err);
        cr_assert_eq(status, n < 8 ? MC_E_FORMAT : MC_E_MISMATCH, "%zu bytes: %s", n, err.text);
    }
    unsigned char *longer = calloc(1, b.bytes + 64);
    memcpy(longer, b.image, b.bytes);
    cr_expect_eq(refusal(longer, b.bytes + 1, &err), MC_E_MISMATCH);
    cr_expect_eq(refusal(longer, b.bytes + 64, &err), MC_E_MISMATCH);
    free(longer);
    free(b.image);
}

Test(container_read, refuses_every_other_byte_of_the_front_by_its_root)
{
    broken b = begin_broken();
    mc_err err;
    const size_t front = (size_t)mc_load_u64le(b.image + MCPK_AT_FRONT_BYTES);
    for (size_t i = 12; i < front; i++) {
        b.image[i] ^= 0x41;
        cr_expect_eq(refusal(b.image, b.bytes, &err), MC_E_MISMATCH, "byte %zu: %s", i, err.text);
        b.image[i] ^= 0x41;
    }
    free(b.image);
}

/* Every byte of header and tables changed in turn, and all hashes made to agree with it: what
 * remains are the reader's own checks. Only what no other field contradicts may pass: numerics and
 * target, what the source was, another table of as many bits, a sign, and whether a section that is
 * not a weight's may be skipped. */
Test(container_read, holds_each_field_to_the_others_when_hashes_agree)
{
    broken b = begin_broken();
    mc_err err;
    unsigned char *copy = malloc(b.bytes);
    const size_t hashes = (size_t)mc_load_u64le(b.image + MCPK_AT_HASHES);
    const size_t index = (size_t)mc_load_u64le(b.image + MCPK_AT_INDEX);
    size_t passed = 0;
    for (size_t i = 12; i < hashes; i++) {
        if (i >= MCPK_AT_WEIGHTS && i < MCPK_AT_FLAGS) continue; /* repair needs the places */
        memcpy(copy, b.image, b.bytes);
        copy[i] ^= 1;
        if (i >= index && (i - index) % MCPK_PART_BYTES < MCPK_P_RAW)
            continue; /* and where sections are */
        container_builder_repair(copy, b.bytes);
        const mc_status status = refusal(copy, b.bytes, &err);
        if (status == MC_OK) {
            const size_t at = i < index ? (i - 128) % 128 : (i - index) % 64;
            const bool header = i < 128 && (i >= MCPK_AT_TARGET && i <= MCPK_AT_MEASURED);
            const bool weight = i >= 128 && i < index &&
                                (at == MCPK_W_DTYPE || at == MCPK_W_LEVELS || at == MCPK_W_FLAGS);
            const bool optional = i >= index && (at == MCPK_P_FLAGS || at == MCPK_P_TYPE + 1);
            cr_expect(header || weight || optional, "byte %zu (%zu) was accepted", i, at);
            passed++;
        } else {
            cr_expect(status == MC_E_MISMATCH || status == MC_E_UNSUPPORTED, "byte %zu: %s", i,
                      err.text);
        }
    }
    cr_expect_leq(passed, 20);
    free(copy);
    free(b.image);
}

static unsigned char *part_of(const broken *b, unsigned type, unsigned role)
{
    unsigned char *entry = b->index;
    while (mc_load_u16le(entry + MCPK_P_TYPE) != type || entry[MCPK_P_ROLE] != role)
        entry += MCPK_PART_BYTES;
    return entry;
}

Test(container_read, names_the_part_whose_bytes_were_changed)
{
    broken b = begin_broken();
    const unsigned char *entry = part_of(&b, MCPK_SECTION_WEIGHT, MCPK_ROLE_SUPER_SCALE);
    b.image[mc_load_u64le(entry)] ^= 1;
    expect_refusal(
        &b, MC_E_MISMATCH,
        "c.bin: weight \"layer3.weight\": super-scale: the bytes do not match their SHA-256");
    free(b.image);
}

Test(container_read, names_the_side_file_whose_bytes_were_changed)
{
    broken b = begin_broken();
    b.image[mc_load_u64le(part_of(&b, MCPK_SECTION_SIDE, 0))] ^= 1;
    expect_refusal(&b, MC_E_MISMATCH,
                   "c.bin: side file \"config.json\": the bytes do not match their SHA-256");
    free(b.image);
}

Test(container_read, refuses_padding_that_is_not_zero)
{
    broken b = begin_broken();
    const unsigned char *entry = part_of(&b, MCPK_SECTION_SIDE, 0);
    b.image[mc_load_u64le(entry) + mc_load_u64le(entry + MCPK_P_STORED)] = 1;
    expect_refusal(&b, MC_E_MISMATCH,
                   "c.bin: side file \"config.json\": the padding behind it is not zero");
    free(b.image);
}

Test(container_read, refuses_a_crc_table_that_lies)
{
    broken b = begin_broken();
    unsigned char *crc = b.image + mc_load_u64le(part_of(&b, MCPK_SECTION_CRC, 0));
    /* The hash of the table and the root agree with the lie. */
    crc[4] ^= 1; /* chunk 1 is the first part of the first weight: names come before it */
    mc_err err;
    unsigned char *hashes = b.image + mc_load_u64le(b.image + MCPK_AT_HASHES);
    const unsigned char *entry = part_of(&b, MCPK_SECTION_CRC, 0);
    cr_assert_eq(mc_sha256_of(crc, (size_t)mc_load_u64le(entry + MCPK_P_STORED), hashes, &err),
                 MC_OK);
    const uint64_t root = mc_load_u64le(b.image + MCPK_AT_ROOT);
    cr_assert_eq(mc_sha256_of(b.image, (size_t)root, b.image + root, &err), MC_OK);
    expect_refusal(
        &b, MC_E_MISMATCH,
        "c.bin: weight \"layer0.weight\": dense: bytes 0 to 12 do not match their CRC-32C");
    free(b.image);
}

Test(container_read, refuses_an_unknown_section_only_when_it_is_required)
{
    mc_err err;
    broken b = begin_broken();
    unsigned char *entry = part_of(&b, MCPK_SECTION_MANIFEST, 0);
    mc_store_u16le(entry + MCPK_P_TYPE, 77);
    container_builder_repair(b.image, b.bytes);
    mc_container c;
    cr_assert_eq(open_image(b.image, b.bytes, &c, &err), MC_OK, "%s", err.text);
    cr_expect_null(c.manifest);
    mc_container_close(&c);
    entry[MCPK_P_FLAGS] = MCPK_REQUIRED;
    container_builder_repair(b.image, b.bytes);
    expect_refusal(
        &b, MC_E_UNSUPPORTED,
        "c.bin: a section of type 77: required, but of a type this program does not know");
    free(b.image);
}

Test(container_read, takes_a_file_without_its_cuttable_end)
{
    mc_err err;
    mc_container c;
    broken b = begin_broken();
    /* The manifest becomes a second side file's place: the last section, and cuttable. */
    unsigned char *entry = part_of(&b, MCPK_SECTION_MANIFEST, 0);
    const size_t last = (size_t)mc_load_u64le(entry);
    const unsigned char *side = part_of(&b, MCPK_SECTION_SIDE, 0);
    const size_t end = (size_t)(mc_load_u64le(side) + mc_load_u64le(side + MCPK_P_STORED));
    mc_store_u16le(entry + MCPK_P_TYPE, 99);
    entry[MCPK_P_FLAGS] = MCPK_CUTTABLE;
    container_builder_repair(b.image, b.bytes);
    cr_assert_eq(open_image(b.image, end, &c, &err), MC_OK, "%s", err.text);
    cr_expect_eq(mc_container_check(&c, pool, &err), MC_OK, "%s", err.text);
    cr_expect_eq(c.sides, 1);
    mc_container_close(&c);
    for (size_t n = end - 70; n < b.bytes; n++)
        if (n != end)
            cr_expect_eq(refusal(b.image, n, &err), MC_E_MISMATCH, "%zu of %zu, %zu: %s", n, end,
                         last, err.text);
    free(b.image);
}

Test(container_read, refuses_two_weights_of_one_name)
{
    broken b = begin_broken();
    char *names = (char *)b.image + mc_load_u64le(part_of(&b, MCPK_SECTION_NAMES, 0));
    names[strlen("layer0.weight") + 1 + strlen("layer")] = '0';
    container_builder_repair(b.image, b.bytes);
    expect_refusal(&b, MC_E_FORMAT, "c.bin: two entries are called \"layer0.weight\"");
    names[0] = (char)0xff;
    container_builder_repair(b.image, b.bytes);
    expect_refusal(&b, MC_E_FORMAT, "c.bin: the names: the name at 0 is not UTF-8");
    names[0] = 0;
    container_builder_repair(b.image, b.bytes);
    expect_refusal(&b, MC_E_FORMAT, "c.bin: the names: the name at 0 is not UTF-8");
    free(b.image);
}

Test(container_read, refuses_a_code_that_its_table_does_not_have)
{
    mc_err err;
    mc_container c;
    broken b = begin_broken();
    const size_t e2m1 = 6;
    unsigned char *entry = b.index;
    while (mc_load_u32le(entry + MCPK_P_WEIGHT) != e2m1) entry += MCPK_PART_BYTES;
    b.image[mc_load_u64le(entry) + 2] = 0xf0; /* codes 4 and 5 */
    container_builder_repair(b.image, b.bytes);
    cr_assert_eq(open_image(b.image, b.bytes, &c, &err), MC_OK, "%s", err.text);
    float values[64];
    cr_expect_eq(mc_container_to_f32(&c, e2m1, 0, 64, values, &err), MC_E_MISMATCH);
    cr_expect_str_eq(err.text, "c.bin: weight \"layer6.weight\": code 15 at 5, e2m1 has 15 levels");
    cr_expect_eq(mc_container_to_f32(&c, e2m1, 0, 5, values, &err), MC_OK);
    mc_container_close(&c);
    free(b.image);
}

Test(container_read, says_which_section_has_no_weight)
{
    broken b = begin_broken();
    unsigned char *entry = part_of(&b, MCPK_SECTION_WEIGHT, MCPK_ROLE_ZERO);
    mc_store_u32le(entry + MCPK_P_WEIGHT, MCPK_NO_WEIGHT);
    container_builder_repair(b.image, b.bytes);
    char text[200];
    (void)snprintf(text, sizeof text,
                   "c.bin: section %zu: a part without a weight (zero): every section of type 4 "
                   "has one",
                   (size_t)(entry - b.index) / MCPK_PART_BYTES);
    expect_refusal(&b, MC_E_MISMATCH, text);
    mc_store_u32le(entry + MCPK_P_WEIGHT, 200);
    container_builder_repair(b.image, b.bytes);
    (void)snprintf(text, sizeof text, "c.bin: section %zu: weight 200: zero: there are 7 weights",
                   (size_t)(entry - b.index) / MCPK_PART_BYTES);
    expect_refusal(&b, MC_E_MISMATCH, text);
    mc_store_u32le(entry + MCPK_P_WEIGHT, 2);
    entry = part_of(&b, MCPK_SECTION_MANIFEST, MCPK_ROLE_NONE);
    mc_store_u32le(entry + MCPK_P_WEIGHT, 3);
    container_builder_repair(b.image, b.bytes);
    expect_refusal(&b, MC_E_MISMATCH, "c.bin: the manifest: weight 3 is named as its owner");
    free(b.image);
}

Test(container_read, inflates_nothing_whose_hash_does_not_hold)
{
    mc_err err = {0};
    mc_container c;
    broken b;
    container_builder_begin(&builder, 16);
    container_builder_dense(&builder, MC_U8, (const int[]){100, -1});
    builder.compress = true;
    b.image = container_builder_image(&builder, &b.bytes);
    b.index = b.image + mc_load_u64le(b.image + MCPK_AT_INDEX);
    unsigned char *entry = part_of(&b, MCPK_SECTION_SIDE, 0);
    cr_assert_eq(entry[MCPK_P_FLAGS], MCPK_ZLIB);
    cr_assert_eq(open_image(b.image, b.bytes, &c, &err), MC_OK, "%s", err.text);
    cr_expect_eq(mc_container_inflated_bytes(&c), builder.side[0].bytes);
    mc_container_close(&c);
    /* The level in the header of a stream says nothing to a decoder: only the hash knows. */
    unsigned char *stream = b.image + mc_load_u64le(entry);
    cr_assert_eq(stream[0], 0x78);
    stream[1] = stream[1] == 0x01 ? 0x5e : 0x01;
    expect_refusal(&b, MC_E_MISMATCH, "c.bin: a side file: the bytes do not match their SHA-256");
    free(b.image);
}

Test(container_read, needs_no_memory_for_what_is_not_compressed)
{
    container_builder_begin(&builder, 4);
    container_builder_little(&builder);
    mc_container c = open_built(&builder);
    cr_expect_eq(mc_container_inflated_bytes(&c), 0);
    mc_container_close(&c);
}

Test(container_read, refuses_a_compressed_part_that_swells_beyond_its_shape)
{
    broken b;
    container_builder_begin(&builder, 6);
    container_builder_dense(&builder, MC_U8, (const int[]){100000, -1});
    builder.compress = true;
    b.image = container_builder_image(&builder, &b.bytes);
    b.index = b.image + mc_load_u64le(b.image + MCPK_AT_INDEX);
    unsigned char *entry = part_of(&b, MCPK_SECTION_SIDE, 0);
    cr_assert_eq(entry[MCPK_P_FLAGS], MCPK_ZLIB);
    const uint64_t raw = mc_load_u64le(entry + MCPK_P_RAW);
    const uint64_t wrong[] = {raw - 1, raw + 1};
    for (size_t i = 0; i < 2; i++) {
        mc_store_u64le(entry + MCPK_P_RAW, wrong[i]);
        container_builder_repair(b.image, b.bytes);
        expect_refusal(&b, MC_E_MISMATCH, "c.bin: a side file: the compressed bytes are damaged");
    }
    mc_store_u64le(entry + MCPK_P_RAW, UINT64_C(1) << 40);
    container_builder_repair(b.image, b.bytes);
    mc_err err;
    cr_expect_eq(refusal(b.image, b.bytes, &err), MC_E_MISMATCH, "%s", err.text);
    free(b.image);
}
