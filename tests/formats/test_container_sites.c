/* The sites section: what goes in comes out, nothing else does, and the header agrees with it. */
#include "core/act.h"
#include "core/bytes.h"
#include "tests/support/container_builder.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static container_builder builder;

static void begin(bool rotated)
{
    container_builder_begin(&builder, 31);
    container_builder_little(&builder);
    container_builder_sites(&builder, rotated);
}

static mc_status open_image(const unsigned char *image, size_t bytes, mc_container *c, mc_err *err)
{
    return mc_container_open_map(container_builder_map(image, bytes), "c", c, err);
}

/* ---- there and back ---- */

static void expect_same(const mc_container *c)
{
    cr_assert_eq(c->acts, builder.acts);
    for (size_t i = 0; i < c->acts; i++) {
        const mc_site_act *got = &c->act[i], *want = &builder.act[i];
        cr_expect_eq(got->weight, want->weight);
        cr_expect_eq(!got->site, !want->site);
        if (want->site) cr_expect_str_eq(got->site, want->site);
        cr_expect(mc_act_same(&got->act, &want->act), "record %zu", i);
        cr_expect_eq(got->act.zero != NULL, want->act.zero != NULL);
    }
    cr_assert_not_null(c->kv);
    cr_expect_eq(c->kv->bits, 4);
    cr_expect_eq(c->kv->group, 32);
    cr_expect_eq(c->kv->window, 100);
    cr_expect(c->kv->hadamard);
    cr_expect_eq(c->numerics.activation_bits, 4);
    cr_expect_eq(c->numerics.activation_mode, MCPK_ACT_STATIC);
    cr_expect_eq(c->numerics.kv_bits, 4);
}

Test(container_sites, come_back_as_they_went_in)
{
    for (int i = 0; i < 4; i++) {
        mc_container c;
        mc_err err;
        mc_pool *pool;
        size_t bytes;
        begin(i & 1);
        builder.compress = i & 2;
        unsigned char *image = container_builder_image(&builder, &bytes);
        cr_assert_eq(open_image(image, bytes, &c, &err), MC_OK, "%s", err.text);
        expect_same(&c);
        cr_assert_eq(mc_pool_open(&pool, 1, 0, &err), MC_OK);
        cr_expect_eq(mc_container_check(&c, pool, &err), MC_OK, "%s", err.text);
        mc_pool_close(pool);
        mc_container_close(&c);
        free(image);
    }
}

Test(container_sites, are_not_there_when_nothing_is_said)
{
    mc_container c;
    mc_err err;
    size_t bytes, with;
    begin(false);
    free(container_builder_image(&builder, &with));
    builder.acts = 0;
    builder.kv = NULL;
    unsigned char *image = container_builder_image(&builder, &bytes);
    cr_expect_lt(bytes, with);
    cr_assert_eq(open_image(image, bytes, &c, &err), MC_OK, "%s", err.text);
    cr_expect_eq(c.acts, 0);
    cr_expect_null(c.kv);
    mc_container_close(&c);
    free(image);
}

Test(container_sites, may_say_something_of_the_cache_alone)
{
    mc_container c;
    mc_err err;
    size_t bytes;
    begin(false);
    builder.acts = 0;
    unsigned char *image = container_builder_image(&builder, &bytes);
    cr_assert_eq(open_image(image, bytes, &c, &err), MC_OK, "%s", err.text);
    cr_expect_eq(c.acts, 0);
    cr_assert_not_null(c.kv);
    cr_expect_eq(c.numerics.kv_bits, 4);
    cr_expect_eq(c.numerics.activation_bits, 8);
    cr_expect_eq(c.numerics.activation_mode, MCPK_ACT_DYNAMIC);
    mc_container_close(&c);
    free(image);
}

/* A device must not run weights that expect rotated inputs as if they did not. */
Test(container_sites, are_required_when_an_input_is_rotated)
{
    for (int rotated = 0; rotated < 2; rotated++) {
        mcpk pk;
        size_t bytes;
        begin(rotated);
        unsigned char *image = container_builder_image(&builder, &bytes);
        cr_expect_eq(mcpk_open(image, bytes, &pk), rotated ? MCPK_E_UNSUPPORTED : MCPK_OK);
        free(image);
    }
}

/* ---- finding ---- */

Test(container_sites, are_found_by_name_before_weight)
{
    begin(false);
    const mc_site_act *a = builder.act;
    const size_t n = builder.acts;
    cr_expect_eq(mc_site_act_find(a, n, 0, "layer.1/MatMul"), &a[2]);
    cr_expect_eq(mc_site_act_find(a, n, 0, "another"), &a[0]);
    cr_expect_eq(mc_site_act_find(a, n, 1, "layer.1/MatMul"), &a[3]);
    cr_expect_eq(mc_site_act_find(a, n, 1, "é"), &a[4]);
    cr_expect_eq(mc_site_act_find(a, n, MCPK_NO_WEIGHT, "head"), &a[5]);
    cr_expect_eq(mc_site_act_find(a, n, 1, "head"), &a[5]);
    cr_expect_null(mc_site_act_find(a, n, 2, "layer.1/MatMul"));
    cr_expect_null(mc_site_act_find(a, n, MCPK_NO_WEIGHT, "another"));
    cr_expect_null(mc_site_act_find(NULL, 0, 0, "head"));
}

Test(container_sites, are_sorted_by_weight_and_name)
{
    mc_site_act act[6];
    begin(false);
    for (size_t i = 0; i < 6; i++) act[i] = builder.act[(5 * i + 3) % 6];
    mc_site_acts_sort(act, 6);
    cr_expect_arr_eq(act, builder.act, sizeof act);
}

Test(container_sites, make_what_the_header_says)
{
    static const float one[] = {1.0f};
    const mc_kv_spec kv = {.bits = 8, .group = 32};
    const mc_site_act act[] = {
        {0, NULL, {.mode = MC_ACT_FLOAT}},
        {1, NULL, {.mode = MC_ACT_STATIC, .bits = 8, .scales = 1, .scale = one}},
        {2, NULL, {.mode = MC_ACT_DYNAMIC, .bits = 4}},
    };
    const mc_numerics n = {.activation_bits = 7, .activation_mode = 1, .kv_bits = 16};
    static const uint8_t bits[] = {7, 16, 8, 4}, mode[] = {1, 0, 2, 2};
    for (size_t i = 0; i < 4; i++) {
        const mc_numerics made = mc_site_numerics(act, i, i % 2 ? &kv : NULL, n);
        cr_expect_eq(made.activation_bits, bits[i], "%zu records", i);
        cr_expect_eq(made.activation_mode, mode[i], "%zu records", i);
        cr_expect_eq(made.kv_bits, i % 2 ? 8 : 16);
    }
    cr_expect_eq(mc_site_numerics(act + 2, 1, NULL, n).activation_mode, MCPK_ACT_DYNAMIC);
}

/* ---- writers that lie ---- */

static void expect_not_written(mc_status status, const char *text)
{
    char path[600];
    mc_err err;
    char *folder = container_builder_folder();
    (void)snprintf(path, sizeof path, "%s/c.bin", folder);
    cr_expect_eq(container_builder_write(&builder, path, &err), status);
    cr_expect_str_eq(err.text, text);
    rmdir(folder);
    free(folder);
}

Test(container_sites, that_mean_nothing_are_not_written)
{
    mc_site_act act[6];
    float scale[] = {NAN};
    begin(false);
    memcpy(act, builder.act, sizeof act);
    builder.act = act;
    act[0].act.scale = scale;
    expect_not_written(MC_E_FORMAT, "record 0, of weight 0: scale 0 of activations is nan; allowed "
                                    "are finite numbers above 0");
    memcpy(act, (begin(false), builder.act), sizeof act);
    builder.act = act;
    act[5].site = NULL;
    act[5].weight = 7;
    expect_not_written(MC_E_MISMATCH, "record 5, of weight 7: there are 7 weights");
    act[5] = act[4];
    expect_not_written(MC_E_MISMATCH, "site 'é': it does not come behind the one before it");
    memcpy(act, (begin(false), builder.act), sizeof act);
    builder.act = act;
    act[3].act.hadamard = 7;
    expect_not_written(MC_E_UNSUPPORTED, "record 3, of weight 1: rotated by blocks of 7, which "
                                         "have no Hadamard matrix");
    begin(false);
    const mc_kv_spec kv = {.bits = 4};
    builder.kv = &kv;
    expect_not_written(MC_E_FORMAT, "a kv cache with groups of 0 tokens; allowed is 1 or more");
}

/* ---- readers of lies ---- */

static unsigned char *section_of(unsigned char *image)
{
    unsigned char *entry = image + mc_load_u64le(image + MCPK_AT_INDEX);
    while (mc_load_u16le(entry + MCPK_P_TYPE) != MCPK_SECTION_SITES) entry += MCPK_PART_BYTES;
    return image + mc_load_u64le(entry + MCPK_P_OFFSET);
}

/* One number of `bytes` bytes at a place of the section becomes another, with hashes that agree. */
typedef struct {
    size_t at, bytes;
    uint64_t value;
    mc_status status;
    const char *text;
} lie;

enum {
    H = MCPK_SITES_HEADER_BYTES,
    R = MCPK_SITE_BYTES,
    SCALES = H + 6 * R,
    ZEROS = SCALES + 6 * 4,
    NAMES = ZEROS + 5 * 2
};

static const lie lies[] = {
    {MCPK_S_VERSION, 4, 2, MC_E_UNSUPPORTED, "version 2, this program reads 1"},
    {MCPK_S_SITES, 4, 5, MC_E_MISMATCH, "296 bytes"},
    {MCPK_S_SITES, 4, UINT32_MAX, MC_E_MISMATCH, "296 bytes"},
    {MCPK_S_SCALES, 4, 7, MC_E_MISMATCH, "296 bytes"},
    {MCPK_S_NAME_BYTES, 4, 0, MC_E_MISMATCH, "296 bytes"},
    {MCPK_S_KV_BITS, 1, 0, MC_E_MISMATCH, "a KV cache of 0 bits"},
    {MCPK_S_KV_BITS, 1, 9, MC_E_UNSUPPORTED, "a kv cache of 9 bits"},
    {MCPK_S_KV_BITS, 1, 8, MC_E_MISMATCH, "the header says 4 in mode 2 and 4"},
    {MCPK_S_KV_GROUP, 4, 0, MC_E_FORMAT, "groups of 0 tokens"},
    {MCPK_S_KV_FLAGS, 1, 2, MC_E_UNSUPPORTED, "flags 0x02 of the KV cache"},
    {MCPK_S_KV_FLAGS + 1, 1, 1, MC_E_MISMATCH, "an unused field is not zero"},
    {H + MCPK_SITE_WEIGHT, 4, 7, MC_E_MISMATCH, "there are 7 weights"},
    {H + MCPK_SITE_WEIGHT, 4, 1, MC_E_MISMATCH, "does not come behind"},
    {H + MCPK_SITE_WEIGHT, 4, MCPK_NO_WEIGHT, MC_E_MISMATCH, "there are 7 weights"},
    {H + MCPK_SITE_NAME, 4, 1, MC_E_MISMATCH, "0 bytes at 1 are not the next name"},
    {H + R + MCPK_SITE_NAME, 4, 1, MC_E_MISMATCH, "are not the next name"},
    {H + R + MCPK_SITE_NAME_BYTES, 4, UINT32_MAX, MC_E_MISMATCH, "are not the next name"},
    {H + R + MCPK_SITE_NAME_BYTES, 4, 13, MC_E_FORMAT, "is not UTF-8"},
    {H + 5 * R + MCPK_SITE_NAME_BYTES, 4, 5, MC_E_MISMATCH, "are not the next name"},
    {H + MCPK_SITE_MODE, 1, 3, MC_E_UNSUPPORTED, "activations in mode 3"},
    {H + MCPK_SITE_MODE, 1, 1, MC_E_FORMAT, "1 scales of activations that are not static"},
    {H + MCPK_SITE_BITS, 1, 9, MC_E_UNSUPPORTED, "activations of 9 bits"},
    {H + 4 * R + MCPK_SITE_BITS, 1, 8, MC_E_MISMATCH, "8 bits, but not quantized"},
    {H + 3 * R + MCPK_SITE_BITS, 1, 8, MC_E_MISMATCH, "they make activations of 8 bits"},
    {H + MCPK_SITE_FLAGS, 1, 4, MC_E_UNSUPPORTED, "flags 0x04 are unknown"},
    {H + MCPK_SITE_FLAGS + 1, 1, 1, MC_E_MISMATCH, "an unused field is not zero"},
    {H + 4 * R + MCPK_SITE_FLAGS, 1, 1, MC_E_FORMAT, "a grid of activations"},
    {H + MCPK_SITE_HADAMARD, 4, 7, MC_E_UNSUPPORTED, "blocks of 7"},
    {H + MCPK_SITE_SCALES, 4, 7, MC_E_MISMATCH, "its 7 scales are not the next ones"},
    {H + MCPK_SITE_SCALES, 4, 0, MC_E_FORMAT, "without a scale"},
    {H + R + MCPK_SITE_FIRST_SCALE, 4, 0, MC_E_MISMATCH, "are not the next ones"},
    {H + 5 * R + MCPK_SITE_FIRST_ZERO, 4, 5, MC_E_MISMATCH, "are not the next ones"},
    {H + 2 * R + MCPK_SITE_FIRST_ZERO, 4, 1, MC_E_MISMATCH, "are not the next ones"},
    {SCALES, 4, 0x7fc00000, MC_E_FORMAT, "scale 0 of activations is nan"},
    {SCALES, 4, 0x7f800000, MC_E_FORMAT, "scale 0 of activations is inf"},
    {SCALES, 4, 0, MC_E_FORMAT, "scale 0 of activations is 0"},
    {SCALES + 20, 4, 0x80000001, MC_E_FORMAT, "scale 0 of activations is -"},
    {ZEROS, 2, 128, MC_E_FORMAT, "zero 0 of activations is 128; allowed are -128 to 127"},
    {ZEROS + 2, 2, 0xff7f, MC_E_FORMAT, "zero 1 of activations is -129"},
    {NAMES + 14, 1, 'x', MC_E_FORMAT, "is not UTF-8"},
    {NAMES, 1, 0, MC_E_FORMAT, "is not UTF-8"},
    {NAMES, 1, 0xff, MC_E_FORMAT, "is not UTF-8"},
    {NAMES, 1, 'm', MC_E_MISMATCH, "does not come behind"},
};

Test(container_sites, that_mean_nothing_are_refused)
{
    size_t bytes;
    mc_err err;
    mc_container c;
    begin(false);
    unsigned char *image = container_builder_image(&builder, &bytes);
    unsigned char *copy = malloc(bytes);
    cr_assert_not_null(copy);
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        memcpy(copy, image, bytes);
        unsigned char *at = section_of(copy) + lies[i].at;
        for (size_t k = 0; k < lies[i].bytes; k++) at[k] = (unsigned char)(lies[i].value >> 8 * k);
        container_builder_repair(copy, bytes);
        err.text[0] = 0;
        cr_expect_eq(open_image(copy, bytes, &c, &err), lies[i].status, "lie %zu: %s", i, err.text);
        cr_expect_not_null(strstr(err.text, lies[i].text), "lie %zu: %s", i, err.text);
        cr_expect_not_null(strstr(err.text, "the sites"), "lie %zu: %s", i, err.text);
    }
    free(copy);
    free(image);
}

/* The header's own word counts: it is what devices look at first. */
Test(container_sites, the_header_must_agree)
{
    static const unsigned place[] = {MCPK_AT_ACT_BITS, MCPK_AT_ACT_MODE, MCPK_AT_KV_BITS};
    size_t bytes;
    mc_err err;
    mc_container c;
    begin(false);
    unsigned char *image = container_builder_image(&builder, &bytes);
    for (size_t i = 0; i < 3; i++) {
        image[place[i]] ^= 3;
        container_builder_repair(image, bytes);
        cr_expect_eq(open_image(image, bytes, &c, &err), MC_E_MISMATCH);
        cr_expect_not_null(strstr(err.text, "the header says"), "%s", err.text);
        image[place[i]] ^= 3;
    }
    free(image);
}
