/* The growing text: what goes in comes out, failure sticks, numbers ignore the locale. */
#include "core/text.h"

#include <criterion/criterion.h>
#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void expect_fixed(double value, int decimals, const char *wanted)
{
    mc_text text;
    mc_text_open(&text);
    mc_text_add_fixed(&text, value, decimals);
    char *got = mc_text_take(&text);
    cr_assert_not_null(got);
    cr_expect_str_eq(got, wanted, "%g with %d decimals: %s, not %s", value, decimals, got, wanted);
    free(got);
}

Test(text, an_empty_text_is_an_empty_string)
{
    mc_text text;
    mc_text_open(&text);
    mc_text_add(&text, "");
    mc_text_add_repeated(&text, 'x', 0);
    char *got = mc_text_take(&text);
    cr_assert_not_null(got);
    cr_expect_str_eq(got, "");
    free(got);
}

Test(text, keeps_everything_in_order_while_it_grows)
{
    mc_text text;
    mc_text_open(&text);
    for (int i = 0; i < 2000; i++) {
        mc_text_addf(&text, "%d,", i);
        mc_text_add(&text, "ab");
        mc_text_add_bytes(&text, "cdef", 2);
        mc_text_add_repeated(&text, '-', 3);
    }
    char *got = mc_text_take(&text);
    cr_assert_not_null(got);

    const char *at = got;
    for (int i = 0; i < 2000; i++) {
        char wanted[32];
        snprintf(wanted, sizeof wanted, "%d,abcd---", i);
        cr_assert_eq(strncmp(at, wanted, strlen(wanted)), 0, "at piece %d", i);
        at += strlen(wanted);
    }
    cr_expect_eq(*at, '\0');
    free(got);
}

Test(text, is_empty_again_after_it_was_taken)
{
    mc_text text;
    mc_text_open(&text);
    mc_text_add(&text, "first");
    free(mc_text_take(&text));
    mc_text_add(&text, "second");
    char *got = mc_text_take(&text);
    cr_expect_str_eq(got, "second");
    free(got);
}

Test(text, a_failure_sticks_until_it_is_taken)
{
    mc_text text;
    mc_text_open(&text);
    mc_text_add(&text, "before");
    mc_text_add_repeated(&text, 'x', MC_TEXT_MAX); /* refused before any memory is asked for */
    cr_expect(text.failed);
    mc_text_add(&text, "after");
    mc_text_addf(&text, "%d", 1);
    mc_text_add_fixed(&text, 1.5, 2);
    cr_expect_eq(text.length, strlen("before"));
    cr_expect_null(mc_text_take(&text));
    cr_expect_not(text.failed);
    cr_expect_null(text.at);
}

Test(text, closing_without_taking_gives_the_memory_back)
{
    mc_text text;
    mc_text_open(&text);
    mc_text_add(&text, "never read");
    mc_text_close(&text);
    cr_expect_null(text.at);
    mc_text_close(&text);
}

Test(text, fixed_numbers_round_and_keep_their_decimals)
{
    expect_fixed(0.0, 2, "0.00");
    expect_fixed(1.005, 1, "1.0");
    expect_fixed(-12.3456, 2, "-12.35");
    expect_fixed(18446744073709551616.0, 0, "18446744073709551616");
    expect_fixed(2.5, 0, "2");
    expect_fixed(0.125, 17, "0.12500000000000000");
    expect_fixed(0.125, 99, "0.12500000000000000");
    expect_fixed(7.0, -3, "7");
}

Test(text, a_number_that_rounds_to_zero_has_no_sign)
{
    expect_fixed(-0.0, 2, "0.00");
    expect_fixed(-0.004, 2, "0.00");
    expect_fixed(-0.006, 2, "-0.01");
}

Test(text, no_number_is_said_in_words)
{
    expect_fixed((double)NAN, 2, "nan");
    expect_fixed((double)INFINITY, 2, "inf");
    expect_fixed(-(double)INFINITY, 2, "-inf");
}

Test(text, the_largest_double_fits)
{
    mc_text text;
    mc_text_open(&text);
    mc_text_add_fixed(&text, -DBL_MAX, 17);
    char *got = mc_text_take(&text);
    cr_assert_not_null(got);
    cr_expect_eq(strlen(got), 1u + 309u + 1u + 17u);
    free(got);
}

/* Where a locale with a comma is installed this test sees one; elsewhere it is the C locale
 * again. */
Test(text, a_point_stays_a_point_in_a_locale_with_commas)
{
    static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "it_IT.UTF-8"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (setlocale(LC_NUMERIC, names[i])) break;
    expect_fixed(-1234.5, 1, "-1234.5");
    setlocale(LC_NUMERIC, "C");
}

Test(text, counts_sizes_in_powers_of_1024)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } cases[] = {{0, "0 B"},
                 {1023, "1023 B"},
                 {1024, "1.00 KiB"},
                 {1075, "1.05 KiB"},
                 {9 * 1024 + 1021, "10.0 KiB"},
                 {102400, "100.0 KiB"},
                 {1048575, "1.00 MiB"},
                 {1258291, "1.20 MiB"},
                 {(uint64_t)449 << 20, "449.0 MiB"},
                 {UINT64_MAX, "16777216.0 TiB"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char size[MC_SIZE_TEXT];
        cr_expect_str_eq(mc_size_text(cases[i].bytes, size), cases[i].text, "%llu: %s",
                         (unsigned long long)cases[i].bytes, size);
    }
}

static void expect_short(double value, const char *wanted)
{
    mc_text text;
    mc_text_open(&text);
    mc_text_add_short(&text, value);
    char *got = mc_text_take(&text);
    cr_assert_not_null(got);
    cr_expect_str_eq(got, wanted, "%.17g: %s, not %s", value, got, wanted);
    free(got);
}

Test(text, short_numbers_have_six_digits_and_no_idle_zeros)
{
    expect_short(0.0, "0");
    expect_short(-0.0, "0");
    expect_short(3.0, "3");
    expect_short(0.5, "0.5");
    expect_short(-0.25, "-0.25");
    expect_short(0.07, "0.07"); /* 7.000000000000001 hundredths */
    expect_short(0.01, "0.01");
    expect_short(0.001, "0.001");
    expect_short(9.0664, "9.0664");
    expect_short(1.0 / 3.0, "0.333333");
    expect_short(0.9999999, "1");
    expect_short(99999.95, "100000");
    expect_short(1234.5, "1234.5");
    expect_short(123456.7, "123457");
    expect_short(1e6, "1000000");
    expect_short(4503599627370497.5, "4503599627370498");
    expect_short(1e-13, "0.0000000000001");
    expect_short(-2.5e-16, "-0.00000000000000025");
    expect_short(1e-18, "0");
    expect_short(1e300 * 1e300, "inf");
    expect_short(-1e300 * 1e300, "-inf");
    expect_short((double)NAN, "nan");
}

/* What it leaves out is less than half a unit of the sixth digit. */
Test(text, short_numbers_are_near)
{
    for (int i = -90; i <= 60; i++) {
        const double value = pow(10.0, i / 10.0) * 1.2345678;
        mc_text text;
        mc_text_open(&text);
        mc_text_add_short(&text, value);
        char *got = mc_text_take(&text);
        cr_assert_not_null(got);
        cr_expect_leq(fabs(strtod(got, NULL) - value), 0.5000001e-5 * value, "%.17g: %s", value,
                      got);
        cr_expect_leq(strlen(got), 17u, "%s", got);
        free(got);
    }
}
