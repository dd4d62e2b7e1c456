/* What is written reads back the same, the same in every locale; what is not strict JSON, or would
 * lose something in cJSON, is refused. */
#include "core/json.h"
#include "core/rng.h"

#include <criterion/criterion.h>
#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static mc_json_out *open_out(void)
{
    mc_json_out *out;
    mc_err err = {0};
    cr_assert_eq(mc_json_out_open(&out, &err), MC_OK, "%s", err.text);
    return out;
}

static void expect_done(mc_json_out *out, const char *wanted)
{
    char *text = mc_json_done(out, false);
    cr_assert_not_null(text);
    cr_expect_str_eq(text, wanted);
    free(text);
    mc_json_out_close(out);
}

/* ---- writing ---- */

Test(json_out, writes_a_tree_in_order)
{
    mc_json_out *out = open_out();
    mc_json_object(out, NULL);
    mc_json_text(out, "schema", "mcompress-report/1");
    mc_json_array(out, "gates");
    mc_json_u64(out, NULL, 3);
    mc_json_object(out, NULL);
    mc_json_bool(out, "pass", true);
    mc_json_bool(out, "underpowered", false);
    mc_json_end(out);
    mc_json_null(out, NULL);
    mc_json_end(out);
    mc_json_raw(out, "raw", "[1,2]");
    mc_json_text(out, "none", NULL);
    mc_json_end(out);
    expect_done(out, "{\"schema\":\"mcompress-report/1\",\"gates\":[3,{\"pass\":true,"
                     "\"underpowered\":false},null],\"raw\":[1,2],\"none\":null}");
}

Test(json_out, whole_numbers_keep_64_bits)
{
    mc_json_out *out = open_out();
    mc_json_array(out, NULL);
    mc_json_u64(out, NULL, UINT64_MAX);
    mc_json_u64(out, NULL, 9007199254740993u);
    mc_json_i64(out, NULL, INT64_MIN);
    mc_json_i64(out, NULL, -1);
    mc_json_end(out);
    expect_done(out, "[18446744073709551615,9007199254740993,-9223372036854775808,-1]");
}

static void expect_number(double value, const char *wanted)
{
    mc_json_out *out = open_out();
    mc_json_num(out, NULL, value);
    expect_done(out, wanted);
}

Test(json_out, fractions_are_as_short_as_they_can_be)
{
    expect_number(0.1, "0.1");
    expect_number(1.0 / 3, "0.3333333333333333");
    expect_number(-2.5, "-2.5");
    expect_number(1e-5, "1e-05");
    expect_number(5e-324, "5e-324");
    expect_number(DBL_MAX, "1.7976931348623157e+308");
    expect_number((double)0.1f, "0.10000000149011612");
    expect_number(1e300, "1e+300");
}

Test(json_out, whole_doubles_have_no_exponent)
{
    expect_number(0, "0");
    expect_number(100000, "100000");
    expect_number(-4096, "-4096");
    expect_number(9007199254740991.0, "9007199254740991");
}

Test(json_out, what_is_not_finite_is_null)
{
    expect_number((double)NAN, "null");
    expect_number((double)INFINITY, "null");
    expect_number(-(double)INFINITY, "null");
}

Test(json_out, every_double_reads_back)
{
    const mc_rng rng = {.seed = 11};
    for (uint64_t i = 0; i < 3000; i++) {
        const uint64_t bits = (uint64_t)mc_rng_u32(rng, 2 * i) << 32 | mc_rng_u32(rng, 2 * i + 1);
        double value;
        memcpy(&value, &bits, sizeof value);
        if (!isfinite(value)) continue;
        mc_json_out *out = open_out();
        mc_json_num(out, NULL, value);
        char *text = mc_json_done(out, false);
        cr_assert_not_null(text);
        cr_assert_eq(strtod(text, NULL), value, "%s", text);
        free(text);
        mc_json_out_close(out);
    }
}

Test(json_out, invalid_utf8_is_replaced)
{
    mc_json_out *out = open_out();
    mc_json_object(out, NULL);
    mc_json_text(out, "a\xff", "\xc3\xa4 \xc3( \xed\xa0\x80 end\xe2\x82");
    mc_json_end(out);
    expect_done(out, "{\"a\xef\xbf\xbd\":\"\xc3\xa4 \xef\xbf\xbd( "
                     "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd end\xef\xbf\xbd\xef\xbf\xbd\"}");
}

Test(json_out, control_characters_and_quotes_are_escaped)
{
    mc_json_out *out = open_out();
    mc_json_text(out, NULL, "a\"b\\c\n\x01");
    expect_done(out, "\"a\\\"b\\\\c\\n\\u0001\"");
}

static void expect_failed(mc_json_out *out)
{
    cr_expect_null(mc_json_done(out, false));
    mc_json_out_close(out);
}

Test(json_out, a_tree_that_is_no_tree_gives_nothing)
{
    expect_failed(open_out()); /* no value at all */

    mc_json_out *out = open_out();
    mc_json_object(out, NULL); /* not ended */
    expect_failed(out);

    out = open_out();
    mc_json_object(out, NULL);
    mc_json_u64(out, NULL, 1); /* a member without a key */
    mc_json_end(out);
    expect_failed(out);

    out = open_out();
    mc_json_array(out, NULL);
    mc_json_u64(out, "key", 1); /* an element with one */
    mc_json_end(out);
    expect_failed(out);

    out = open_out();
    mc_json_u64(out, NULL, 1);
    mc_json_u64(out, NULL, 2); /* two roots */
    expect_failed(out);

    out = open_out();
    for (int i = 0; i < 100; i++) mc_json_array(out, NULL); /* too deep */
    for (int i = 0; i < 100; i++) mc_json_end(out);
    expect_failed(out);
}

Test(json_out, may_be_indented)
{
    mc_json_out *out = open_out();
    mc_json_object(out, NULL);
    mc_json_u64(out, "a", 1);
    mc_json_end(out);
    char *text = mc_json_done(out, true);
    cr_assert_not_null(text);
    cr_expect(strchr(text, '\n'));
    free(text);
    mc_json_out_close(out);
}

/* ---- reading ---- */

static mc_json *parse(const char *text)
{
    mc_json *json;
    mc_err err = {0};
    cr_assert_eq(mc_json_parse(text, strlen(text), "r.json", &json, &err), MC_OK, "%s", err.text);
    return json;
}

Test(json, gives_values_by_key_and_index)
{
    mc_json *json = parse(" {\"a\": 12, \"A\": [true, \"t\\u00e4\", -1.5], \"o\": {}} \n");
    uint64_t n = 0;
    cr_expect(mc_json_is_object(json) && mc_json_count(json) == 3);
    cr_expect(mc_json_as_u64(mc_json_get(json, "a"), &n) && n == 12);
    const mc_json *list = mc_json_get(json, "A");
    cr_expect_eq(mc_json_count(list), 3);
    cr_expect(!mc_json_is_object(list));
    cr_expect_eq(mc_json_as_bool(mc_json_at(list, 0), false), true);
    cr_expect_str_eq(mc_json_as_text(mc_json_at(list, 1), ""), "t\xc3\xa4");
    cr_expect_eq(mc_json_as_num(mc_json_at(list, 2), 0), -1.5);
    cr_expect_null(mc_json_at(list, 3));
    size_t seen = 0;
    for (const mc_json *e = mc_json_first(list); e; e = mc_json_next(e))
        cr_expect_eq(e, mc_json_at(list, seen++));
    cr_expect_eq(seen, 3u);
    cr_expect_str_eq(mc_json_key(mc_json_at(json, 2)), "o");
    mc_json_free(json);
}

Test(json, missing_and_other_kinds_give_the_alternative)
{
    mc_json *json = parse("{\"a\": \"x\"}");
    uint64_t n = 5;
    cr_expect_null(mc_json_get(json, "b"));
    cr_expect_null(mc_json_get(mc_json_get(json, "a"), "b"));
    cr_expect_null(mc_json_get(NULL, "a"));
    cr_expect_null(mc_json_at(NULL, 0));
    cr_expect_null(mc_json_first(NULL));
    cr_expect_null(mc_json_next(NULL));
    cr_expect_null(mc_json_key(NULL));
    cr_expect_eq(mc_json_count(NULL), 0);
    cr_expect(!mc_json_is_object(NULL));
    cr_expect_eq(mc_json_as_num(mc_json_get(json, "a"), 7), 7);
    cr_expect_eq(mc_json_as_bool(mc_json_get(json, "a"), true), true);
    cr_expect_str_eq(mc_json_as_text(mc_json_get(json, "b"), "other"), "other");
    cr_expect(!mc_json_as_u64(mc_json_get(json, "a"), &n) && n == 5);
    mc_json_free(json);
}

Test(json, whole_numbers_are_exact_or_refused)
{
    mc_json *json = parse("[9007199254740991, 9007199254740992, 9007199254740993, -1, 1.5, 1e3]");
    uint64_t n = 0;
    cr_expect(mc_json_as_u64(mc_json_at(json, 0), &n) && n == 9007199254740991u);
    for (size_t i = 1; i < 5; i++) cr_expect(!mc_json_as_u64(mc_json_at(json, i), &n), "%zu", i);
    cr_expect(mc_json_as_u64(mc_json_at(json, 5), &n) && n == 1000);
    mc_json_free(json);
}

static void expect_refused(const char *text, size_t bytes, const char *wanted)
{
    mc_json *json;
    mc_err err = {0};
    cr_expect_eq(mc_json_parse(text, bytes, "r.json", &json, &err), MC_E_FORMAT, "%s", text);
    cr_expect_str_eq(err.text, wanted);
    cr_expect_null(json);
}

#define EXPECT_REFUSED(text, wanted) expect_refused(text, sizeof(text) - 1, wanted)

Test(json, says_why_it_refuses)
{
    EXPECT_REFUSED("", "r.json: is not valid JSON near line 1, column 1");
    EXPECT_REFUSED("{\"a\": 1,\n  b}", "r.json: is not valid JSON near line 2, column 4");
    EXPECT_REFUSED("{} {}", "r.json: is not valid JSON near line 1, column 3");
    EXPECT_REFUSED("[1, 2", "r.json: is not valid JSON near line 1, column 6");
    EXPECT_REFUSED("{\"a\": 1, \"b\": 2, \"a\": 3}", "r.json: key \"a\" appears twice");
    EXPECT_REFUSED("[[{\"o\": {\"k\": 1, \"\\u006b\": 2}}]]", "r.json: key \"k\" appears twice");
    EXPECT_REFUSED("\"a\xff\"", "r.json: is not UTF-8");
    EXPECT_REFUSED("{}\0", "r.json: holds a NUL byte");
    EXPECT_REFUSED("[\"a\\u0000b\"]", "r.json: holds a NUL (\\u0000) at byte 3");
    EXPECT_REFUSED("{\"big\": 1e999}", "r.json: key \"big\": a number is too large");
    EXPECT_REFUSED("[-1e999]", "r.json: a number is too large");
}

Test(json, keys_that_differ_in_case_are_two_keys)
{
    mc_json *json = parse("{\"key\": 1, \"Key\": 2}");
    cr_expect_eq(mc_json_as_num(mc_json_get(json, "Key"), 0), 2);
    mc_json_free(json);
}

Test(json, an_escaped_backslash_before_u0000_is_no_nul)
{
    mc_json *json = parse("\"\\\\u0000\"");
    cr_expect_str_eq(mc_json_as_text(json, ""), "\\u0000");
    mc_json_free(json);
}

Test(json, reads_no_further_than_it_was_told)
{
    /* Every prefix in a block of its own size, so that a sanitizer sees a byte too far. */
    static const char text[] = "{\"1\":1,\"a\":[\"\\u00e4\\n\",true,null,-1.5e3]}";
    for (size_t n = 0; n < sizeof text; n++) {
        char *exact = malloc(n ? n : 1);
        cr_assert_not_null(exact);
        memcpy(exact, text, n);
        mc_json *json;
        mc_err err = {0};
        const mc_status status = mc_json_parse(exact, n, "cut", &json, &err);
        cr_expect_eq(status, n == sizeof text - 1 ? MC_OK : MC_E_FORMAT, "%zu bytes", n);
        mc_json_free(json);
        free(exact);
    }
}

Test(json, too_many_brackets_are_refused)
{
    enum { N = 100000 };
    char *deep = malloc(N);
    cr_assert_not_null(deep);
    memset(deep, '[', N);
    mc_json *json;
    mc_err err = {0};
    cr_expect_eq(mc_json_parse(deep, N, "deep", &json, &err), MC_E_FORMAT);
    free(deep);
}

Test(json, prints_what_it_read)
{
    static const char text[] = "{\"a\":[1,0.1,0.30000000000000004,-2.5e-300,123456789012,true],"
                               "\"b\":\"\xc3\xa4\\n\",\"c\":{\"d\":null}}";
    mc_json *json = parse(text);
    char *again = mc_json_print(json);
    cr_assert_not_null(again);
    cr_expect_str_eq(again, text);
    free(again);
    again = mc_json_print(mc_json_get(json, "c"));
    cr_assert_not_null(again);
    cr_expect_str_eq(again, "{\"d\":null}");
    free(again);
    mc_json_free(json);
    cr_expect_null(mc_json_print(NULL));
}

/* ---- the locale ---- */

static bool use_comma_locale(void)
{
    static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "ps_AF.UTF-8"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (setlocale(LC_ALL, names[i]) && strcmp(localeconv()->decimal_point, ".") != 0)
            return true;
    return false;
}

Test(json, numbers_do_not_follow_the_locale)
{
    if (!use_comma_locale()) cr_skip_test("no locale with a decimal comma is installed");
    expect_number(-2.5, "-2.5");
    expect_number(1.5e-300, "1.5e-300");
    mc_json *json = parse("[1.5,-2.25e-3]");
    cr_expect_eq(mc_json_as_num(mc_json_at(json, 0), 0), 1.5);
    char *text = mc_json_print(json);
    cr_assert_not_null(text);
    cr_expect_str_eq(text, "[1.5,-0.00225]");
    free(text);
    mc_json_free(json);
}
