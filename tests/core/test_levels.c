/* The numbers of the tables, as their papers and formats give them. */
#include "core/dtype.h"
#include "core/levels.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static void expect_table(const char *name, unsigned bits, size_t count, const double *wanted)
{
    const mc_levels *levels = mc_levels_find(name);
    cr_assert_not_null(levels, "%s", name);
    cr_expect_eq(levels->bits, bits, "%s", name);
    cr_assert_eq(levels->count, count, "%s", name);
    for (size_t i = 0; i < count; i++)
        cr_expect_eq(levels->value[i], (float)wanted[i], "%s %zu", name, i);
}

Test(levels, tables_hold_the_published_numbers)
{
    static const double nf4[] = {-1,
                                 -.6961928009986877,
                                 -.5250730514526367,
                                 -.39491748809814453,
                                 -.28444138169288635,
                                 -.18477343022823334,
                                 -.09105003625154495,
                                 0,
                                 .07958029955625534,
                                 .16093020141124725,
                                 .24611230194568634,
                                 .33791524171829224,
                                 .44070982933044434,
                                 .5626170039176941,
                                 .7229568362236023,
                                 1};
    static const double iq4_nl[] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                    1,    13,   25,  38,  53,  69,  89,  113};
    static const double e2m1[] = {-6, -4, -3, -2, -1.5, -1, -.5, 0, .5, 1, 1.5, 2, 3, 4, 6};
    static const double ternary[] = {-1, 0, 1};
    static const double binary[] = {-1, 1};
    expect_table("nf4", 4, 16, nf4);
    expect_table("iq4_nl", 4, 16, iq4_nl);
    expect_table("e2m1", 4, 15, e2m1);
    expect_table("ternary", 2, 3, ternary);
    expect_table("binary", 1, 2, binary);
}

/* Codes of floats count bits from the middle: every finite number is there, each once. */
Test(levels, eight_bit_floats_are_all_their_numbers)
{
    static const struct {
        const char *name;
        mc_dtype dtype;
        unsigned most;
    } floats[] = {{"e4m3", MC_F8_E4M3, 0x7E}, {"e5m2", MC_F8_E5M2, 0x7B}};
    for (size_t i = 0; i < 2; i++) {
        const mc_levels *levels = mc_levels_find(floats[i].name);
        const unsigned middle = floats[i].most;
        cr_assert_eq(levels->count, 2 * floats[i].most + 1);
        cr_expect_eq(levels->bits, 8);
        for (unsigned u = 0; u < levels->count; u++) {
            const uint8_t byte = (uint8_t)(u < middle ? 0x80u | (middle - u) : u - middle);
            float value;
            mc_to_f32(floats[i].dtype, &byte, &value, 1);
            cr_expect_eq(levels->value[u], value, "%s %u", levels->name, u);
        }
    }
}

/* What fraction and exponent say of a table of floats makes the table. */
Test(levels, floats_follow_from_fraction_and_exponent)
{
    for (size_t l = 0; mc_levels_at(l); l++) {
        const mc_levels *levels = mc_levels_at(l);
        const bool named = strchr("e", levels->name[0]) != NULL;
        cr_expect_eq(levels->fraction != 0, named, "%s", levels->name);
        if (!levels->fraction) continue;
        const int units = 1 << levels->fraction;
        for (int k = 0; k <= levels->count / 2; k++) {
            const int binade = k / units, fraction = k % units;
            const float wanted = binade
                                     ? ldexpf((float)(units + fraction),
                                              levels->exponent + binade - 1 - levels->fraction)
                                     : ldexpf((float)fraction, levels->exponent - levels->fraction);
            cr_expect_eq(levels->value[levels->count / 2 + k], wanted, "%s %d", levels->name, k);
            cr_expect_eq(levels->value[levels->count / 2 - k], -wanted, "%s %d", levels->name, k);
        }
    }
}

/* Ids are in containers, so these never change. */
Test(levels, ids_stay)
{
    static const struct {
        unsigned id;
        const char *name;
    } known[] = {{1, "int1"}, {4, "int4"},    {8, "int8"},  {9, "binary"}, {10, "ternary"},
                 {11, "nf4"}, {12, "iq4_nl"}, {13, "e2m1"}, {14, "e4m3"},  {15, "e5m2"}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        cr_assert_not_null(mc_levels_by_id(known[i].id));
        cr_expect_str_eq(mc_levels_by_id(known[i].id)->name, known[i].name);
    }
    cr_expect_null(mc_levels_by_id(0));
    cr_expect_null(mc_levels_by_id(16));
}

Test(levels, integers_have_one_to_eight_bits)
{
    cr_expect_null(mc_levels_int(0));
    cr_expect_null(mc_levels_int(9));
    for (unsigned bits = 1; bits <= 8; bits++) {
        const mc_levels *levels = mc_levels_int(bits);
        cr_expect(levels->bits == bits && levels->count == 1u << bits && !levels->value);
        cr_expect_eq(levels->id, bits);
    }
}

Test(levels, the_list_is_found_by_name_and_rises)
{
    size_t n = 0;
    for (const mc_levels *levels; (levels = mc_levels_at(n)); n++) {
        cr_expect_eq(mc_levels_find(levels->name), levels);
        cr_expect_eq(mc_levels_by_id(levels->id), levels);
        cr_expect_not_null(levels->summary);
        cr_expect_eq(levels->base3, strcmp(levels->name, "ternary") == 0);
        for (unsigned u = 1; levels->value && u < levels->count; u++)
            cr_expect_gt(levels->value[u], levels->value[u - 1], "%s %u", levels->name, u);
    }
    cr_expect_eq(n, 15u);
    cr_expect_null(mc_levels_find("int9"));
    cr_expect_null(mc_levels_find(""));
}
