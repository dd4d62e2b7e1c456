/* Hashing aside: the digests are those of the whole files, however and in whatever order they were
 * wanted. */
#include "cli/pipeline_hash.h"
#include "tests/support/scratch_model.h"

#include <criterion/criterion.h>
#include <string.h>

enum { BYTES = 3 << 20 };

static unsigned char content[BYTES];

TestSuite(hash_lanes, .init = scratch_enter, .fini = scratch_leave);

static void open_sources(mc_model *model, mc_source source[2])
{
    mc_err err = {0};
    for (size_t i = 0; i < BYTES; i++) content[i] = (unsigned char)(i * 2654435761u >> 13);
    scratch_put("a", content, BYTES);
    scratch_put("b", content + 5, 1000);
    for (size_t i = 0; i < 2; i++) {
        source[i] = (mc_source){.path = i ? "b" : "a", .role = "weights"};
        cr_assert_eq(mc_map_open(source[i].path, 0, &source[i].map, &err), MC_OK, "%s", err.text);
    }
    *model = (mc_model){.source = source, .sources = 2};
}

static void close_sources(mc_source source[2])
{
    for (size_t i = 0; i < 2; i++) mc_map_close(&source[i].map);
}

Test(hash_lanes, give_the_digest_of_each_file)
{
    static const uint64_t wants[] = {1, 700, 650000, BYTES};
    for (size_t many = 0; many <= 4; many++) {
        mc_model model;
        mc_source source[2];
        open_sources(&model, source);
        mc_err err = {0};
        mc_region memory;
        cr_assert_eq(mc_region_open(&memory, mc_hash_lanes_bytes(&model), &err), MC_OK);

        mc_hash_lanes *lanes = NULL;
        cr_assert_eq(mc_hash_lanes_open(&model, &memory.arena, &lanes, &err), MC_OK);
        for (size_t i = 0; i < many; i++) {
            mc_hash_lanes_passed(lanes, i == 1, wants[i]);
            while (mc_hash_lanes_step(lanes)) continue;
        }
        const uint8_t(*digest)[MC_SHA256_BYTES] = mc_hash_lanes_finish(lanes);
        uint8_t wanted[MC_SHA256_BYTES];
        cr_assert_eq(mc_sha256_of(content, BYTES, wanted, &err), MC_OK);
        cr_expect_arr_eq(digest[0], wanted, sizeof wanted);
        cr_assert_eq(mc_sha256_of(content + 5, 1000, wanted, &err), MC_OK);
        cr_expect_arr_eq(digest[1], wanted, sizeof wanted);

        mc_hash_lanes_close(lanes);
        mc_region_close(&memory);
        close_sources(source);
    }
}
