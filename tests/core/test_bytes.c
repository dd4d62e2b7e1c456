/* Loads, stores, the cursor that stays inside, zero padding, and UTF-8 against table 3-7 of the
 * Unicode standard. */
#include "core/bytes.h"

#include <criterion/criterion.h>
#include <string.h>

Test(bytes, are_little_endian_at_any_alignment)
{
    const unsigned char raw[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 0xff};
    cr_expect_eq(mc_load_u16le(raw + 1), 0x0201);
    cr_expect_eq(mc_load_u32le(raw + 1), 0x04030201u);
    cr_expect_eq(mc_load_u64le(raw + 1), 0x0807060504030201u);
    cr_expect_eq(mc_load_u64le(raw + 2), 0xff08070605040302u);

    unsigned char out[9] = {0};
    mc_store_u64le(out + 1, 0x0807060504030201u);
    cr_expect_arr_eq(out, raw, 9);
    mc_store_u16le(out + 1, 0xbeef);
    mc_store_u32le(out + 4, 0xdeadbeefu);
    cr_expect_arr_eq(out, ((unsigned char[]){0, 0xef, 0xbe, 3, 0xef, 0xbe, 0xad, 0xde, 8}), 9);
}

Test(bytes, the_cursor_takes_what_is_left_and_no_more)
{
    const unsigned char raw[15] = {0};
    mc_cursor c = {raw, raw + sizeof raw};
    cr_expect_eq(mc_take(&c, 14), raw);
    cr_expect_eq(mc_left(&c), 1);

    const unsigned char *before = c.at;
    cr_expect_null(mc_take(&c, 2));
    cr_expect_null(mc_take(&c, SIZE_MAX));
    cr_expect_eq(c.at, before);
    cr_expect_eq(mc_take(&c, 1), before);
    cr_expect_eq(mc_take(&c, 0), raw + sizeof raw);
}

Test(bytes, one_bit_anywhere_is_not_zero)
{
    unsigned char room[70] = {0};
    cr_expect(mc_all_zero(room, 0));
    for (size_t n = 1; n <= sizeof room; n++) {
        cr_expect(mc_all_zero(room, n));
        for (size_t i = 0; i < n; i++) {
            room[i] = 0x80;
            cr_expect(!mc_all_zero(room, n), "byte %zu of %zu", i, n);
            room[i] = 0;
        }
    }
}

/* The shortest form of every code point is UTF-8, except for surrogates. */
static size_t encode(uint32_t point, unsigned char out[4])
{
    if (point < 0x80) {
        out[0] = (unsigned char)point;
        return 1;
    }
    const size_t n = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--, point >>= 6) out[i] = (unsigned char)(0x80 | (point & 63));
    out[0] = (unsigned char)((0xf00 >> n & 0xff) | point);
    return n;
}

Test(utf8, every_code_point_but_surrogates_is_allowed)
{
    for (uint32_t point = 0; point < 0x120000; point++) {
        unsigned char text[4];
        const size_t n = encode(point, text);
        const bool valid = point <= 0x10ffff && !(point >= 0xd800 && point <= 0xdfff);
        cr_assert_eq(mc_is_utf8(text, n), valid, "U+%04X", point);
        for (size_t cut = 1; cut < n; cut++) cr_assert(!mc_is_utf8(text, cut));
    }
}

Test(utf8, broken_sequences_are_refused)
{
    static const char *const broken[] = {
        "\x80",
        "\xbf",
        "\xc0\x80",
        "\xc1\xbf",
        "\xe0\x80\x80",
        "\xe0\x9f\xbf",
        "\xf0\x80\x80\x80",
        "\xf0\x8f\xbf\xbf",
        "\xff",
        "\xfe",
        "\xc3(",
        "\xe2\x82(",
        "\xe2(\xa1",
        "\xf0\x90\x8c(",
        "\xf0(\x8c\xbc",
        "\xf5\x80\x80\x80",
        "ok \xed\xa0",
        "\xed\xa0\x80 tail",
        "\xf8\x88\x80\x80\x80",
    };
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++)
        cr_expect(!mc_is_utf8(broken[i], strlen(broken[i])), "case %zu", i);
    cr_expect(mc_is_utf8("", 0));
    cr_expect(mc_is_utf8("a\0b", 3)); /* NUL is a character; who refuses it says so itself */
}
