/* The parser of headers, held to RFC 8259 and to what JSON leaves open. */
#include "formats/json_pull.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static mc_err err;

static mc_pull open_text(const char *text)
{
    mc_pull p;
    const unsigned char *at = (const unsigned char *)text;
    err = (mc_err){0};
    cr_assert_eq(mc_pull_open(&p, (mc_cursor){at, at + strlen(text)}, "f", "header", 8, &err),
                 MC_OK, "%s", err.text);
    return p;
}

/* All tokens: MC_OK when the text is JSON. */
static mc_status run(const char *text, size_t bytes)
{
    mc_pull p;
    mc_pull_token token = {.kind = MC_PULL_NULL};
    const unsigned char *at = (const unsigned char *)text;
    err = (mc_err){0};
    MC_TRY(mc_pull_open(&p, (mc_cursor){at, at + bytes}, "f", "header", 8, &err));
    while (token.kind != MC_PULL_DONE) MC_TRY(mc_pull_next(&p, &token, &err));
    return MC_OK;
}

static void refused(const char *text, const char *why)
{
    char wanted[256];
    snprintf(wanted, sizeof wanted, "f: header is not valid JSON: %s", why);
    cr_expect_eq(run(text, strlen(text)), MC_E_FORMAT, "%s", text);
    cr_expect_str_eq(err.text, wanted, "%s: found %s", text, err.text);
}

static void accepted(const char *text)
{
    cr_expect_eq(run(text, strlen(text)), MC_OK, "%s: %s", text, err.text);
}

/* The first token of a text; the whole of it must be JSON. */
static mc_pull_token first(const char *text)
{
    mc_pull p = open_text(text);
    mc_pull_token token = {.kind = MC_PULL_NULL};
    cr_assert_eq(mc_pull_next(&p, &token, &err), MC_OK, "%s", err.text);
    return token;
}

Test(json_pull, gives_tokens_in_the_order_of_the_text)
{
    mc_pull p = open_text(" {\"a\":[1,\"b\",true],\"c\":{},\"d\":[false,null]}\r\n\t ");
    static const mc_pull_kind wanted[] = {
        MC_PULL_OBJECT, MC_PULL_KEY,  MC_PULL_ARRAY,  MC_PULL_NUMBER, MC_PULL_TEXT, MC_PULL_TRUE,
        MC_PULL_END,    MC_PULL_KEY,  MC_PULL_OBJECT, MC_PULL_END,    MC_PULL_KEY,  MC_PULL_ARRAY,
        MC_PULL_FALSE,  MC_PULL_NULL, MC_PULL_END,    MC_PULL_END,    MC_PULL_DONE,
    };
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        mc_pull_token token = {.kind = MC_PULL_DONE};
        cr_assert_eq(mc_pull_next(&p, &token, &err), MC_OK, "%s", err.text);
        cr_expect_eq(token.kind, wanted[i], "token %zu is %s", i, mc_pull_kind_name(token.kind));
    }
}

Test(json_pull, accepts_all_forms_of_numbers)
{
    static const char *const text[] = {"0", "-0", "12", "-1.5", "1e9", "1E+9", "0.5e-3", "1.0"};
    for (size_t i = 0; i < sizeof text / sizeof text[0]; i++) accepted(text[i]);
}

Test(json_pull, refuses_what_only_looks_like_a_number)
{
    refused("01", "number with a leading zero at position 8");
    refused("-01", "number with a leading zero at position 8");
    refused("1.", "expected a digit, found the end at position 10");
    refused(".5", "expected a value, found '.' at position 8");
    refused("+1", "expected a value, found '+' at position 8");
    refused("-", "expected a digit, found the end at position 9");
    refused("1e", "expected a digit, found the end at position 10");
    refused("1e+x", "expected a digit, found 'x' at position 11");
    refused("NaN", "expected a value, found 'N' at position 8");
    refused("-Infinity", "expected a digit, found 'I' at position 9");
    refused("0x10", "expected only whitespace behind the object, found 'x' at position 9");
}

Test(json_pull, gives_whole_numbers_to_the_last_digit)
{
    uint64_t v = 0;
    mc_pull_token token = first("18446744073709551615");
    cr_expect(mc_pull_u64(&token, &v));
    cr_expect_eq(v, UINT64_MAX);
    token = first("9007199254740993"); /* no double */
    cr_expect(mc_pull_u64(&token, &v));
    cr_expect_eq(v, UINT64_C(9007199254740993));
    token = first("0");
    cr_expect(mc_pull_u64(&token, &v));
    cr_expect_eq(v, 0);
}

Test(json_pull, takes_nothing_else_for_a_whole_number)
{
    static const char *const text[] = {"18446744073709551616",
                                       "99999999999999999999",
                                       "-1",
                                       "-0",
                                       "1.0",
                                       "1e2",
                                       "\"1\"",
                                       "true",
                                       "null"};
    for (size_t i = 0; i < sizeof text / sizeof text[0]; i++) {
        uint64_t v = 7;
        const mc_pull_token token = first(text[i]);
        cr_expect_not(mc_pull_u64(&token, &v), "%s", text[i]);
        cr_expect_eq(v, 7);
    }
}

Test(json_pull, decodes_every_escape)
{
    char text[64];
    const mc_pull_token token =
        first("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00e9\\u20AC\\ud83d\\ude00\"");
    static const char wanted[] = "\"\\/\b\f\n\r\tA\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80";
    cr_assert(token.escaped);
    cr_expect_eq(mc_pull_decode(&token, text), sizeof wanted - 1);
    cr_expect_arr_eq(text, wanted, sizeof wanted);
}

Test(json_pull, compares_decoded_text)
{
    const mc_pull_token plain = first("\"dtype\""), escaped = first("\"dt\\u0079pe\"");
    const mc_pull_token longer = first("\"dtype2\""), cut = first("\"dtyp\\u0000\"");
    cr_expect(mc_pull_is(&plain, "dtype"));
    cr_expect(mc_pull_is(&escaped, "dtype"));
    cr_expect_not(mc_pull_is(&longer, "dtype"));
    cr_expect_not(mc_pull_is(&cut, "dtyp"));
}

Test(json_pull, tells_of_a_nul_in_a_text)
{
    cr_expect(first("\"a\\u0000b\"").holds_nul);
    cr_expect_not(first("\"a\\u0001b\"").holds_nul);
}

Test(json_pull, refuses_broken_texts)
{
    refused("\"abc", "text without an end at position 8");
    refused("\"a\nb\"", "control character in a text at position 10");
    refused("\"a\\x\"", "invalid escape or half of a surrogate pair at position 10");
    refused("\"\\u12g4\"", "invalid escape or half of a surrogate pair at position 9");
    refused("\"\\u12", "invalid escape or half of a surrogate pair at position 9");
    refused("\"\\ud800\"", "invalid escape or half of a surrogate pair at position 9");
    refused("\"\\udc00\"", "invalid escape or half of a surrogate pair at position 9");
    refused("\"\\udc00\\udc00\"", "invalid escape or half of a surrogate pair at position 9");
    refused("\"\\ud800\\u0041\"", "invalid escape or half of a surrogate pair at position 9");
    refused("\"\\ud800\\ud800\"", "invalid escape or half of a surrogate pair at position 9");
    refused("\"\\", "invalid escape or half of a surrogate pair at position 9");
}

Test(json_pull, refuses_broken_structure)
{
    refused("", "expected a value, found the end at position 8");
    refused("{", "expected a key, found the end at position 9");
    refused("{\"a\"}", "expected ':', found '}' at position 12");
    refused("{\"a\":}", "expected a value, found '}' at position 13");
    refused("{\"a\":1,}", "expected a key, found '}' at position 15");
    refused("{\"a\":1 \"b\":2}", "expected ',' or '}', found '\"' at position 15");
    refused("[1,]", "expected a value, found ']' at position 11");
    refused("[1}", "expected ',' or ']', found '}' at position 10");
    refused("{\"a\":1]", "expected ',' or '}', found ']' at position 14");
    refused("[1", "expected ',' or ']', found the end at position 10");
    refused("{1:2}", "expected a key, found '1' at position 9");
    refused("{}{}", "expected only whitespace behind the object, found '{' at position 10");
    refused("{}\v", "expected only whitespace behind the object, found byte 0x0b at position 10");
    refused("tru", "expected a value, found 't' at position 8");
    refused("\xef\xbb\xbf{}", "expected a value, found byte 0xef at position 8");
    refused("// x\n{}", "expected a value, found '/' at position 8");
}

Test(json_pull, gives_a_hint_for_nul_padding)
{
    cr_expect_eq(run("{}\0\0", 4), MC_E_FORMAT);
    cr_expect_str_eq(
        err.text, "f: header is padded with NUL bytes from position 10, only spaces are allowed: "
                  "save the file again with a current writer");
    cr_expect_eq(run("{}\0x", 4), MC_E_FORMAT);
    cr_expect_str_eq(err.text,
                     "f: header is not valid JSON: expected only whitespace behind the object, "
                     "found byte 0x00 at position 10");
}

Test(json_pull, refuses_invalid_utf8_with_its_place)
{
    static const struct {
        const char *text, *where;
    } bad[] = {
        {"{\"\xff\":1}", "byte 0xff at position 10"},
        {"\xc3\xa9\xc0\x80", "byte 0xc0 at position 10"},             /* overlong */
        {"\"\xe2\x82\xac\xed\xa0\x80\"", "byte 0xed at position 12"}, /* a surrogate */
        {"\"\xf0\x9f\x98", "byte 0xf0 at position 9"},                /* cut off */
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char wanted[128];
        snprintf(wanted, sizeof wanted, "f: header is not valid UTF-8: %s", bad[i].where);
        cr_expect_eq(run(bad[i].text, strlen(bad[i].text)), MC_E_FORMAT);
        cr_expect_str_eq(err.text, wanted);
    }
}

Test(json_pull, nests_128_levels_and_no_more)
{
    char text[2 * MC_PULL_DEPTH + 3];
    memset(text, '[', MC_PULL_DEPTH);
    memset(text + MC_PULL_DEPTH, ']', MC_PULL_DEPTH);
    cr_expect_eq(run(text, 2 * MC_PULL_DEPTH), MC_OK, "%s", err.text);

    memset(text, '[', MC_PULL_DEPTH + 1);
    cr_expect_eq(run(text, 2 * MC_PULL_DEPTH), MC_E_FORMAT);
    cr_expect_str_eq(err.text, "f: header nests deeper than 128 levels at position 136");
}

/* A closing bracket must match on every level, wherever in the two words of bits it stands. */
Test(json_pull, knows_on_each_level_what_it_is_in)
{
    for (size_t object = 0; object < MC_PULL_DEPTH; object++) {
        char text[8 * MC_PULL_DEPTH] = "";
        for (size_t i = 0; i < MC_PULL_DEPTH; i++) strcat(text, i == object ? "{\"\":" : "[");
        strcat(text, "0");
        for (size_t i = MC_PULL_DEPTH; i-- > 0;) strcat(text, i == object ? "}" : "]");
        cr_expect_eq(run(text, strlen(text)), MC_OK, "level %zu: %s", object, err.text);
        *strchr(text, '}') = ']';
        cr_expect_eq(run(text, strlen(text)), MC_E_FORMAT, "level %zu", object);
    }
}

Test(json_pull, skips_a_value_whole)
{
    mc_pull p = open_text("{\"a\":{\"b\":[1,{\"c\":[]}]},\"d\":2}");
    mc_pull_token token = {.kind = MC_PULL_DONE};
    for (int i = 0; i < 3; i++) cr_assert_eq(mc_pull_next(&p, &token, &err), MC_OK);
    cr_assert_eq(mc_pull_skip(&p, &token, &err), MC_OK);
    cr_assert_eq(mc_pull_next(&p, &token, &err), MC_OK);
    cr_expect_eq(token.kind, MC_PULL_KEY);
    cr_expect(mc_pull_is(&token, "d"));
}

Test(quote, escapes_what_a_terminal_would_obey)
{
    cr_expect_str_eq(mc_quote("a.weight").text, "\"a.weight\"");
    cr_expect_str_eq(mc_quote("\x1b[2J\n\x7f").text, "\"\\u001b[2J\\n\\u007f\"");
    cr_expect_str_eq(mc_quote("a\"b\\c").text, "\"a\\\"b\\\\c\"");
    cr_expect_str_eq(mc_quote("\xc2\x9b"
                              "1m")
                         .text,
                     "\"\\u009b1m\""); /* C1: CSI */
    cr_expect_str_eq(mc_quote("\xe2\x80\xae"
                              "x")
                         .text,
                     "\"\\u202ex\"");                                       /* right to left */
    cr_expect_str_eq(mc_quote("\xf3\xa0\x80\x81").text, "\"\\U000e0001\""); /* a tag */
    cr_expect_str_eq(mc_quote("\xc3\xa9\xe5\xb1\x82").text, "\"\xc3\xa9\xe5\xb1\x82\"");
    cr_expect_str_eq(mc_quote("\xff\xc3").text, "\"\\xff\\xc3\"");
}

Test(quote, cuts_long_names_between_characters)
{
    char name[300] = "", wanted[300] = "\"";
    memset(name, 'x', 195);
    memset(wanted + 1, 'x', 195);
    strcat(name, "\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac");
    cr_expect_str_eq(mc_quote(name).text, strcat(wanted, "...\""));
}

Test(quote, shows_a_text_as_the_file_escapes_it)
{
    const mc_pull_token token = first("\"a\\u0000\\n\xc2\x9b\"");
    cr_expect_str_eq(mc_quote_token(&token).text, "\"a\\u0000\\n\\u009b\"");
    const mc_pull_token number = first("-1.5e3");
    cr_expect_str_eq(mc_quote_token(&number).text, "-1.5e3");
    const mc_pull_token list = first("[]");
    cr_expect_str_eq(mc_quote_token(&list).text, "an array");
}
