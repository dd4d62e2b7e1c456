/* A flipped bit anywhere in a container is found: by its magic or version, by its root, or by the
 * hash of its section. The device's reader, which hashes nothing while opening, may take some of
 * them, but must not leave the bytes it was given. */
#include "core/bytes.h"
#include "core/rng.h"
#include "tests/support/container_builder.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

enum { FLIPS = 1000, SEED = 20240229, MOST_COLS = 1 << 14 };

static container_builder builder;
static mc_pool *pool;

static void open_pool(void)
{
    mc_err err;
    cr_assert_eq(mc_pool_open(&pool, 1, 0, &err), MC_OK);
}

static void close_pool(void)
{
    mc_pool_close(pool);
}

TestSuite(container_flips, .init = open_pool, .fini = close_pool);

static mc_status open_and_check(const unsigned char *image, size_t bytes, mc_err *err)
{
    mc_container c;
    mc_status status = mc_container_open_map(container_builder_map(image, bytes), "c", &c, err);
    if (status != MC_OK) return status;
    status = mc_container_check(&c, pool, err);
    mc_container_close(&c);
    return status;
}

/* All rows of all weights that it opens; a copy of exact size lets the address sanitizer see. */
static void read_on_device(const unsigned char *image, size_t bytes)
{
    mcpk pk;
    static float row[MOST_COLS];
    unsigned char *copy = malloc(bytes ? bytes : 1);
    cr_assert_not_null(copy);
    memcpy(copy, image, bytes);
    if (mcpk_open(copy, bytes, &pk) == MCPK_OK) {
        for (uint32_t i = 0; i < pk.weights; i++) {
            mcpk_weight w;
            cr_assert_eq(mcpk_weight_at(&pk, i, &w), MCPK_OK);
            (void)mcpk_find(&pk, w.name, &w);
            for (uint64_t r = 0; r < w.rows && r < 64 && w.cols <= MOST_COLS; r++)
                (void)mcpk_row_f32(&w, r, row);
        }
        for (uint32_t i = 0; i < pk.parts; i++) (void)mcpk_scrub(&pk, i, 0);
    }
    free(copy);
}

static void expect_no_flip_accepted(bool compress)
{
    size_t bytes;
    mc_err err = {0};
    container_builder_begin(&builder, 8);
    container_builder_little(&builder);
    const mc_grid four = {.levels = mc_levels_int(4), .scale_dtype = MC_F16};
    container_builder_quantized(&builder, four, 16, 256, 32);
    container_builder_sites(&builder, false);
    builder.compress = compress;
    unsigned char *image = container_builder_image(&builder, &bytes);
    cr_assert_eq(open_and_check(image, bytes, &err), MC_OK, "%s", err.text);
    for (uint64_t i = 0; i < FLIPS; i++) {
        const uint64_t bit = mc_rng_below((mc_rng){.seed = SEED}, i, 8 * (uint64_t)bytes);
        image[bit / 8] ^= (unsigned char)(1u << bit % 8);
        const mc_status status = open_and_check(image, bytes, &err);
        const mc_status wanted = bit / 8 < MCPK_AT_VERSION        ? MC_E_FORMAT
                                 : bit / 8 < MCPK_AT_HEADER_BYTES ? MC_E_UNSUPPORTED
                                                                  : MC_E_MISMATCH;
        cr_expect_eq(status, wanted, "bit %llu: status %d: %s", (unsigned long long)bit,
                     (int)status, err.text);
        read_on_device(image, bytes);
        image[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
    free(image);
}

Test(container_flips, are_all_found)
{
    expect_no_flip_accepted(false);
}

Test(container_flips, are_all_found_in_a_compressed_container)
{
    expect_no_flip_accepted(true);
}

Test(container_flips, in_every_bit_of_the_front_are_found)
{
    size_t bytes;
    mc_err err = {0};
    container_builder_begin(&builder, 9);
    container_builder_dense(&builder, MC_F32, (const int[]){3, -1});
    unsigned char *image = container_builder_image(&builder, &bytes);
    const uint64_t front = mc_load_u64le(image + MCPK_AT_FRONT_BYTES);
    for (uint64_t bit = 0; bit < 8 * front; bit++) {
        image[bit / 8] ^= (unsigned char)(1u << bit % 8);
        cr_expect_neq(open_and_check(image, bytes, &err), MC_OK, "bit %llu",
                      (unsigned long long)bit);
        image[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
    free(image);
}

/* Values that break arithmetic, in every aligned field of the front, with hashes that agree. */
Test(container_flips, to_extreme_values_do_not_lead_a_reader_astray)
{
    static const uint64_t extreme[] = {
        0,         1, 0x7f, 0xff, 0xffff, 0x7fffffff, 0xffffffff, UINT64_MAX / 2, UINT64_MAX - 63,
        UINT64_MAX};
    size_t bytes;
    mc_err err = {0};
    container_builder_begin(&builder, 10);
    container_builder_little(&builder);
    builder.compress = true;
    unsigned char *image = container_builder_image(&builder, &bytes);
    unsigned char *copy = malloc(bytes);
    const size_t hashes = (size_t)mc_load_u64le(image + MCPK_AT_HASHES);
    for (size_t at = 12; at + 8 <= hashes; at += 4)
        for (size_t k = 0; k < sizeof extreme / sizeof *extreme; k++) {
            memcpy(copy, image, bytes);
            if (at % 8)
                mc_store_u32le(copy + at, (uint32_t)extreme[k]);
            else
                mc_store_u64le(copy + at, extreme[k]);
            const uint64_t root = mc_load_u64le(image + MCPK_AT_ROOT);
            cr_assert_eq(mc_sha256_of(copy, (size_t)root, copy + root, &err), MC_OK);
            (void)open_and_check(copy, bytes, &err);
            read_on_device(copy, bytes);
        }
    free(copy);
    free(image);
}
