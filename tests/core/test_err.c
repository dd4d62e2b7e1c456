/* What a failure leaves behind for the people who read it. */
#include "core/bytes.h"
#include "core/err.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

Test(err, records_status_and_sentence)
{
    mc_err err = {0};
    cr_expect_eq(mc_fail(&err, MC_E_FORMAT, "row %d: weight is %s", 2, "nan"), MC_E_FORMAT);
    cr_expect_eq(err.status, MC_E_FORMAT);
    cr_expect_str_eq(err.text, "row 2: weight is nan");
}

Test(err, puts_the_place_in_front_of_the_cause)
{
    mc_err err = {0};
    mc_fail(&err, MC_E_UNSUPPORTED, "weight is nan");
    cr_expect_eq(mc_wrap(&err, "row %d", 2), MC_E_UNSUPPORTED);
    cr_expect_eq(mc_wrap(&err, "%s", "layer3.w"), MC_E_UNSUPPORTED);
    cr_expect_str_eq(err.text, "layer3.w: row 2: weight is nan");
}

Test(err, names_the_systems_reason)
{
    mc_err err = {0};
    cr_expect_eq(mc_fail_errno(&err, ENOENT, "%s: cannot open", "a.bin"), MC_E_IO);
    cr_expect_eq(err.status, MC_E_IO);
    cr_expect_str_eq(err.text, "a.bin: cannot open: No such file or directory");
}

Test(err, may_quote_itself)
{
    mc_err err = {0};
    mc_fail(&err, MC_E_FORMAT, "weight is nan");
    mc_fail(&err, MC_E_USAGE, "%s, after all", err.text);
    cr_expect_str_eq(err.text, "weight is nan, after all");
    cr_expect_eq(err.status, MC_E_USAGE);
}

static void expect_cut(const char *text, char first)
{
    cr_expect_eq(strlen(text), MC_ERR_TEXT - 1);
    cr_expect_eq(text[0], first);
    cr_expect_str_eq(text + MC_ERR_TEXT - 4, "...");
}

Test(err, keeps_the_front_of_what_is_too_long)
{
    static char longer[3 * MC_ERR_TEXT];
    memset(longer, 'x', sizeof longer - 1);
    mc_err err = {0};

    mc_fail(&err, MC_E_USAGE, "a%s", longer);
    expect_cut(err.text, 'a');
    mc_wrap(&err, "b");
    expect_cut(err.text, 'b');
    mc_fail_errno(&err, ENOENT, "c%s", longer);
    expect_cut(err.text, 'c');
    mc_wrap(&err, "d%s", longer);
    expect_cut(err.text, 'd');
}

Test(err, does_not_cut_a_character_in_two)
{
    for (size_t shift = 0; shift < 4; shift++) {
        static char longer[2 * MC_ERR_TEXT];
        memset(longer, 'x', shift);
        for (size_t i = shift; i + 4 < sizeof longer; i += 4)
            memcpy(longer + i, "\xf0\x9f\x98\x80", 4);
        mc_err err = {0};
        mc_fail(&err, MC_E_USAGE, "%s", longer);
        cr_expect(mc_is_utf8(err.text, strlen(err.text)), "cut after %zu", strlen(err.text));
        cr_expect(strlen(err.text) >= MC_ERR_TEXT - 4 && strstr(err.text, "..."));
    }
}
