/* Tables from names to numbers. */
#include "core/names.h"

#include <criterion/criterion.h>

static mc_region region;
static mc_err err;

Test(names, every_name_is_found_while_the_table_grows)
{
    enum { MANY = 1000 };
    cr_assert_eq(mc_region_open(&region, 1 << 20, &err), MC_OK, "%s", err.text);
    mc_arena *mem = &region.arena;
    mc_names names;
    cr_assert_eq(mc_names_open(&names, 0, mem, &err), MC_OK);
    for (uint32_t i = 0; i < MANY; i++) {
        const char *name = mc_format(mem, "layers.%u.weight", (unsigned)i);
        cr_assert_eq(mc_names_find(&names, name), MC_NO_NAME);
        cr_assert_eq(mc_names_put(&names, name, 2 * i, mem, &err), MC_OK);
        cr_assert_eq(names.names, (size_t)i + 1);
        cr_assert_leq(2 * names.names, names.places, "there must be free places");
        cr_assert_eq(names.places & (names.places - 1), 0u);
    }
    for (uint32_t i = 0; i < MANY; i++)
        cr_assert_eq(mc_names_find(&names, mc_format(mem, "layers.%u.weight", (unsigned)i)), 2 * i);
    cr_assert_eq(mc_names_find(&names, ""), MC_NO_NAME);
    mc_region_close(&region);
}

Test(names, the_first_number_of_a_name_stays)
{
    cr_assert_eq(mc_region_open(&region, 1 << 16, &err), MC_OK, "%s", err.text);
    mc_names names;
    cr_assert_eq(mc_names_open(&names, 2, &region.arena, &err), MC_OK);
    cr_assert_eq(mc_names_put(&names, "", 7, &region.arena, &err), MC_OK);
    cr_assert_eq(mc_names_put(&names, "", 8, &region.arena, &err), MC_OK);
    cr_assert_eq(mc_names_find(&names, ""), 7u);
    cr_assert_eq(names.names, 1u);
    mc_region_close(&region);
}

Test(names, what_was_expected_needs_no_more_room)
{
    cr_assert_eq(mc_region_open(&region, 1 << 16, &err), MC_OK, "%s", err.text);
    mc_names names;
    cr_assert_eq(mc_names_open(&names, 100, &region.arena, &err), MC_OK);
    mc_arena none = {0};
    for (uint32_t i = 0; i < 100; i++) {
        const char *name = mc_format(&region.arena, "%u", (unsigned)i);
        cr_assert_eq(mc_names_put(&names, name, i, &none, &err), MC_OK);
    }
    mc_status status = MC_OK;
    for (uint32_t i = 100; i < 200 && status == MC_OK; i++)
        status = mc_names_put(&names, mc_format(&region.arena, "%u", (unsigned)i), i, &none, &err);
    cr_assert_eq(status, MC_E_BUDGET);
    mc_region_close(&region);
}
