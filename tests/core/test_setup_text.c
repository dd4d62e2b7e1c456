/* "name:key=value,…" as a piece of a longer text. What people see of it is pinned in
 * tests/quant/test_setup.c. */
#include "core/setup.h"

#include <criterion/criterion.h>
#include <string.h>

static const mc_setup_param sizes[MC_SETUP_PARAMS] = {
    {.key = "wide", .least = 0, .most = 9, .usual = 3},
    {.key = "deep", .least = -4, .most = 4, .usual = -1, .whole = true},
};
static const mc_setup_param none[MC_SETUP_PARAMS];

static bool shape_at(size_t i, mc_setup_member *member)
{
    static const mc_setup_member shapes[] = {{"point", none}, {"box", sizes}};
    if (i >= 2) return false;
    *member = shapes[i];
    return true;
}

static const mc_setup_family family = {"shape", shape_at};

Test(setup_text, ends_where_its_length_says)
{
    mc_setup out;
    mc_err err = {0};
    const char *text = "box:wide=4.5,deep=-2+point";
    cr_assert_eq(mc_setup_parse(&family, text, strlen("box:wide=4.5,deep=-2"), &out, &err), MC_OK,
                 "%s", err.text);
    cr_expect_eq(out.member, 1u);
    cr_expect_eq(out.param[0], 4.5);
    cr_expect_eq(out.param[1], -2.0);

    cr_assert_eq(mc_setup_parse(&family, text, 3, &out, &err), MC_OK, "%s", err.text);
    cr_expect_eq(out.param[0], 3.0);
    cr_expect_eq(out.param[1], -1.0);
    cr_assert_eq(mc_setup_parse(&family, text + 21, 5, &out, &err), MC_OK, "%s", err.text);
    cr_expect_eq(out.member, 0u);

    cr_expect_eq(mc_setup_parse(&family, text, 4, &out, &err), MC_E_USAGE);
    cr_expect_str_eq(err.text, "shape box: there is no parameter \"\" (known: wide, deep)");
    cr_expect_eq(mc_setup_parse(&family, text, 9, &out, &err), MC_E_USAGE);
    cr_expect_str_eq(err.text, "shape box: wide is \"\", must be a number from 0 to 9");
    cr_expect_eq(mc_setup_parse(&family, text, 2, &out, &err), MC_E_USAGE);
    cr_expect_str_eq(err.text,
                     "there is no shape \"bo\"; did you mean \"box\"? (known: point, box)");
}
