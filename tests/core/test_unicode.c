/* Characters and normal forms. The tables as a whole are compared with the reference in
 * tests/interop; here stand examples of each rule. */
#include "core/bytes.h"
#include "core/unicode.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

Test(unicode, categories_are_those_of_unicode_16_and_of_8)
{
    static const struct {
        uint32_t c;
        mc_category now, in_8;
    } all[] = {
        {0, MC_CC, MC_CC},        {'a', MC_LL, MC_LL},      {'Z', MC_LU, MC_LU},
        {'_', MC_PC, MC_PC},      {0xaa, MC_LO, MC_LO},     {0x1c5, MC_LT, MC_LT},
        {0x2b0, MC_LM, MC_LM},    {0x301, MC_MN, MC_MN},    {0x489, MC_ME, MC_ME},
        {0x93e, MC_MC, MC_MC},    {0x660, MC_ND, MC_ND},    {0x2167, MC_NL, MC_NL},
        {0xbd, MC_NO, MC_NO},     {0x3000, MC_ZS, MC_ZS},   {0x2028, MC_ZL, MC_ZL},
        {0x200b, MC_CF, MC_CF},   {0xd800, MC_CS, MC_CS},   {0xe000, MC_CO, MC_CO},
        {0x378, MC_CN, MC_CN},    {0x166d, MC_SO, MC_PO},   {0x61d, MC_PO, MC_CN},
        {0x10ffff, MC_CN, MC_CN}, {0x10fffd, MC_CO, MC_CO}, {0x1c89, MC_LU, MC_LU},
        {0x2ebf0, MC_LO, MC_LO},  {0x111c9, MC_MN, MC_PO},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        cr_expect_eq(mc_category_of(all[i].c), all[i].now, "U+%04X", (unsigned)all[i].c);
        cr_expect_eq(mc_category_of_8(all[i].c), all[i].in_8, "U+%04X in 8", (unsigned)all[i].c);
    }
}

Test(unicode, space_and_words_have_their_members)
{
    size_t spaces = 0;
    for (uint32_t c = 0; c < 0x110000; c++) spaces += mc_is_space(c);
    cr_expect_eq(spaces, 25); /* White_Space of PropList.txt */
    cr_expect(mc_is_space(0x85) && mc_is_space(0x3000) && !mc_is_space(0x200b));
    cr_expect(mc_is_word('_') && mc_is_word(0x24b6) && mc_is_word(0x200d) && mc_is_word(0x301));
    cr_expect(!mc_is_word('-') && !mc_is_word(0xb2) && !mc_is_word(0x24b5));
}

Test(unicode, lower_case_is_one_character_or_two)
{
    uint32_t low[2];
    static const uint32_t pairs[][2] = {
        {'A', 'a'},      {'z', 'z'},         {0xc0, 0xe0},    {0xd7, 0xd7},     {0x100, 0x101},
        {0x101, 0x101},  {0x178, 0xff},      {0x1c5, 0x1c6},  {0x3a3, 0x3c3},   {0x1e9e, 0xdf},
        {0x2126, 0x3c9}, {0x10400, 0x10428}, {0xa7dc, 0x19b}, {0x4e00, 0x4e00}, {'[', '['},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        cr_expect_eq(mc_lower(pairs[i][0], low), 1);
        cr_expect_eq(low[0], pairs[i][1], "U+%04X", (unsigned)pairs[i][0]);
    }
    cr_expect_eq(mc_lower(0x130, low), 2);
    cr_expect(low[0] == 'i' && low[1] == 0x307);
}

Test(unicode, every_character_passes_through_utf8)
{
    for (uint32_t c = 0; c < 0x110000; c++) {
        char bytes[MC_UTF8_BYTES];
        uint32_t back;
        if (c >= 0xd800 && c < 0xe000) continue;
        const size_t n = mc_utf8_put(c, bytes);
        cr_assert(mc_is_utf8(bytes, n) && mc_utf8_at(bytes, &back) == n && back == c);
        cr_assert_eq(mc_utf8_before(bytes, n), n);
    }
}

static void expect_form(const char *text, const char *composed, const char *apart)
{
    for (int compose = 0; compose < 2; compose++) {
        mc_text out;
        mc_text_open(&out);
        mc_add_normal_form(&out, text, strlen(text), compose == 1);
        char *got = mc_text_take(&out);
        cr_assert_not_null(got);
        cr_expect_str_eq(got, compose ? composed : apart);
        free(got);
    }
}

/* UAX 15, table 4 and figures 3 to 5. */
Test(unicode, normal_forms_compose_order_and_leave_what_is_blocked)
{
    expect_form("", "", "");
    expect_form("plain", "plain", "plain");
    expect_form("ae\xcc\x81", "a\xc3\xa9", "ae\xcc\x81");
    expect_form("\xe2\x84\xab", "\xc3\x85", "A\xcc\x8a");                  /* angstrom sign */
    expect_form("\xe1\xb9\xa9", "\xe1\xb9\xa9", "s\xcc\xa3\xcc\x87");      /* two steps */
    expect_form("s\xcc\x87\xcc\xa3", "\xe1\xb9\xa9", "s\xcc\xa3\xcc\x87"); /* other order */
    expect_form("\xe1\xb8\x8b\xcc\xa3", "\xe1\xb8\x8d\xcc\x87", "d\xcc\xa3\xcc\x87");
    expect_form("\xcd\x84", "\xcc\x88\xcc\x81", "\xcc\x88\xcc\x81"); /* excluded */
    expect_form("\xed\x95\x9c", "\xed\x95\x9c",
                "\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab"); /* Hangul */
    expect_form("\xe1\x84\x92\xe1\x85\xa1x", "\xed\x95\x98x", "\xe1\x84\x92\xe1\x85\xa1x");
    expect_form("a\xe2\x80\x8d\xcc\x81", "a\xe2\x80\x8d\xcc\x81", "a\xe2\x80\x8d\xcc\x81");
    expect_form("a\xcc\x8d\xcc\x81", "a\xcc\x8d\xcc\x81",
                "a\xcc\x8d\xcc\x81");                            /* same class between */
    expect_form("\xef\xa4\x80", "\xe8\xb1\x88", "\xe8\xb1\x88"); /* one character */
}

Test(unicode, a_long_row_of_marks_is_sorted_at_once, .timeout = 30)
{
    enum { ROWS = 1 << 18 };
    char *text = malloc(4 * ROWS + 1);
    cr_assert_not_null(text);
    text[0] = '(';
    for (size_t i = 0; i < ROWS; i++) memcpy(text + 1 + 4 * i, "\xcc\x81\xcc\xa3", 4);
    mc_text out;
    mc_text_open(&out);
    mc_add_normal_form(&out, text, 4 * ROWS + 1, true);
    cr_assert(!out.failed && out.length == 4 * ROWS + 1);
    for (size_t i = 0; i < ROWS; i++) /* those below go first */
        cr_assert(memcmp(out.at + 1 + 2 * i, "\xcc\xa3", 2) == 0 &&
                  memcmp(out.at + 1 + 2 * (ROWS + i), "\xcc\x81", 2) == 0);
    mc_text_close(&out);
    free(text);
}

/* Unicode 16, tables 3-8 to 3-11. */
Test(unicode, broken_utf8_becomes_one_sign_a_part)
{
#define R "\xef\xbf\xbd"
    static const char *const pairs[][2] = {
        {"ok", "ok"},
        {"\xc0\xaf\xe0\x80\xbf\xf0\x81\x82"
         "A",
         R R R R R R R R "A"},
        {"\xed\xa0\x80\xed\xbf\xbf\xed\xaf"
         "A",
         R R R R R R R R "A"},
        {"\xf4\x91\x92\x93\xff"
         "A\x80\xbf"
         "B",
         R R R R R "A" R R "B"},
        {"\xe1\x80\xe2\xf0\x91\x92\xf1\xbf"
         "A",
         R R R R "A"},
        {"\xe1\x80", R},
        {"\xc3\xa9\xc3", "\xc3\xa9" R},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        mc_text out;
        mc_text_open(&out);
        mc_add_repaired_utf8(&out, pairs[i][0], strlen(pairs[i][0]));
        char *got = mc_text_take(&out);
        cr_expect_str_eq(got, pairs[i][1], "case %zu", i);
        free(got);
    }
}
