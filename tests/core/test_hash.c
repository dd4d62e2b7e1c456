/* SHA-256 against FIPS 180-4's examples, CRC-32C against RFC 3720 and a bit-by-bit sum. */
#include "core/hash.h"
#include "core/rng.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static void expect_digest(const uint8_t digest[MC_SHA256_BYTES], const char *wanted)
{
    char text[MC_SHA256_HEX];
    mc_hex(digest, MC_SHA256_BYTES, text);
    cr_expect_str_eq(text, wanted);
}

static const char of_abc[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
static const char of_nothing[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

Test(sha256, gives_the_examples_of_the_standard)
{
    static const char two_blocks[] = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    uint8_t digest[MC_SHA256_BYTES];
    mc_err err = {0};
    cr_assert_eq(mc_sha256_of("abc", 3, digest, &err), MC_OK, "%s", err.text);
    expect_digest(digest, of_abc);
    cr_assert_eq(mc_sha256_of(NULL, 0, digest, &err), MC_OK, "%s", err.text);
    expect_digest(digest, of_nothing);
    cr_assert_eq(mc_sha256_of(two_blocks, sizeof two_blocks - 1, digest, &err), MC_OK);
    expect_digest(digest, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

Test(sha256, takes_a_message_in_pieces_and_then_another)
{
    mc_sha256 *sha;
    mc_err err = {0};
    uint8_t digest[MC_SHA256_BYTES];
    cr_assert_eq(mc_sha256_open(&sha, &err), MC_OK, "%s", err.text);
    for (int i = 0; i < 1000; i++) {
        char piece[1000];
        memset(piece, 'a', sizeof piece);
        mc_sha256_add(sha, piece, sizeof piece);
    }
    mc_sha256_finish(sha, digest);
    expect_digest(digest, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");

    mc_sha256_add(sha, "a", 1);
    mc_sha256_add(sha, "bc", 2);
    mc_sha256_finish(sha, digest);
    expect_digest(digest, of_abc);
    mc_sha256_finish(sha, digest);
    expect_digest(digest, of_nothing);
    mc_sha256_close(sha);
    mc_sha256_close(NULL);
}

Test(hex, has_two_small_digits_a_byte)
{
    char text[9];
    mc_hex((uint8_t[]){0x00, 0x9a, 0xf5, 0xff}, 4, text);
    cr_expect_str_eq(text, "009af5ff");
    mc_hex(NULL, 0, text);
    cr_expect_str_eq(text, "");
}

typedef uint32_t sum_fn(uint32_t crc, const void *bytes, size_t n);

static void expect_rfc(sum_fn *sum)
{
    uint8_t block[32] = {0};
    cr_expect_eq(sum(0, block, 32), 0x8a9136aau);
    memset(block, 0xff, 32);
    cr_expect_eq(sum(0, block, 32), 0x62a8ab43u);
    for (int i = 0; i < 32; i++) block[i] = (uint8_t)i;
    cr_expect_eq(sum(0, block, 32), 0x46dd794eu);
    for (int i = 0; i < 32; i++) block[i] = (uint8_t)(31 - i);
    cr_expect_eq(sum(0, block, 32), 0x113fdb5cu);
    const uint8_t read_command[48] = {
        0x01, 0xc0, [16] = 0x14, [22] = 0x04, [27] = 0x14, [31] = 0x18, [32] = 0x28, [40] = 0x02};
    cr_expect_eq(sum(0, read_command, 48), 0xd9963a56u);
    cr_expect_eq(sum(0, "123456789", 9), 0xe3069283u);
    cr_expect_eq(sum(0, NULL, 0), 0);
}

Test(crc32c, gives_the_vectors_of_the_rfc)
{
    expect_rfc(mc_crc32c);
    expect_rfc(mc_crc32c_table);
}

/* The definition: one bit at a time. */
static uint32_t by_bits(uint32_t crc, const uint8_t *p, size_t n)
{
    crc = ~crc;
    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (0x82f63b78u & -(crc & 1));
    }
    return ~crc;
}

Test(crc32c, both_paths_follow_the_definition_at_any_length_and_offset)
{
    const mc_rng rng = {.seed = 5};
    enum { ROOM = 5000 };
    uint8_t *room = malloc(ROOM);
    cr_assert_not_null(room);
    for (size_t i = 0; i < ROOM; i++) room[i] = (uint8_t)mc_rng_u32(rng, i);
    for (uint64_t i = 0; i < 500; i++) {
        const size_t most = i < 300 ? 64 : ROOM / 2;
        const size_t from = mc_rng_below(rng, 10000 + 2 * i, ROOM / 2);
        const size_t n = mc_rng_below(rng, 10001 + 2 * i, most);
        const uint32_t before = mc_rng_u32(rng, 50000 + i);
        const uint32_t wanted = by_bits(before, room + from, n);
        cr_assert_eq(mc_crc32c(before, room + from, n), wanted, "%zu bytes at %zu", n, from);
        cr_assert_eq(mc_crc32c_table(before, room + from, n), wanted, "%zu bytes at %zu", n, from);
    }
    free(room);
}

Test(crc32c, goes_on_where_it_stopped)
{
    static const char text[] = "123456789";
    for (size_t cut = 0; cut <= 9; cut++)
        cr_expect_eq(mc_crc32c(mc_crc32c(0, text, cut), text + cut, 9 - cut), 0xe3069283u);
}
