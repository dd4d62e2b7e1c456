/* Sites that share an input, on graphs of a few nodes. */
#include "core/input_group.h"

#include <criterion/criterion.h>
#include <string.h>

static mc_region region;
static mc_arena graph_room;
static mc_graph *g;
static mc_sites sites;
static mc_input_groups groups;
static mc_err err;

static void set_up(void)
{
    cr_assert_eq(mc_region_open(&region, 1 << 24, &err), MC_OK);
    graph_room = (mc_arena){region.arena.at, region.arena.at + (1 << 22)};
    region.arena.at = graph_room.end;
    g = mc_graph_new(&graph_room, "g");
}

static void tear_down(void)
{
    mc_region_close(&region);
}

TestSuite(input_group, .init = set_up, .fini = tear_down);

static mc_id weight(const char *name, uint64_t rows, uint64_t cols)
{
    mc_tensor *t = MC_NEW(&region.arena, mc_tensor, 1);
    *t = (mc_tensor){
        .name = name, .dtype = MC_F32, .ndim = 2, .dim = {rows, cols}, .count = rows * cols};
    t->bytes = t->count * 4;
    t->data = MC_NEW(&region.arena, unsigned char, t->bytes);
    return mc_graph_add_constant(g, t);
}

static mc_id input(const char *name)
{
    return mc_graph_add_input(g, name, MC_F32, 2, (const int64_t[]){1, 8});
}

static mc_id matmul(mc_id x, mc_id w, const char *name)
{
    return mc_graph_apply(g, "", "MatMul", 13, (const mc_id[]){x, w}, 2, name);
}

static void find(mc_id output)
{
    mc_graph_add_output(g, output);
    cr_assert_eq(mc_graph_check(g, "g", &err), MC_OK, "%s", err.text);
    cr_assert_eq(mc_sites_find(g, &region.arena, &sites, &err), MC_OK);
    cr_assert_eq(mc_input_groups_find(g, &sites, &region.arena, &groups, &err), MC_OK);
}

static void expect_group(size_t group, mc_id value, mc_id first, size_t n, const size_t *site)
{
    cr_assert_lt(group, groups.groups);
    const mc_input_group *got = &groups.group[group];
    cr_expect_eq(got->value, value);
    cr_expect_eq(got->first, first);
    cr_assert_eq(got->sites, n);
    cr_expect_arr_eq(got->site, site, n * sizeof *site);
    for (size_t i = 0; i < n; i++) cr_expect_eq(groups.of_site[site[i]], group);
}

/* q, k and v; then what comes of them; and one more of the first value, behind. */
Test(input_group, has_all_sites_of_a_value_in_rising_order)
{
    const mc_id x = input("x");
    const mc_id q = matmul(x, weight("q", 8, 8), "q_out");
    const mc_id k = matmul(x, weight("k", 8, 8), "k_out");
    const mc_id sum = mc_graph_apply(g, "", "Add", 14, (const mc_id[]){q, k}, 2, "sum");
    const mc_id o = matmul(sum, weight("o", 8, 8), "o_out");
    const mc_id late = matmul(x, weight("late", 8, 8), "late_out");
    find(mc_graph_apply(g, "", "Add", 14, (const mc_id[]){o, late}, 2, "y"));
    cr_assert_eq(sites.sites, 4);
    cr_expect_eq(groups.groups, 2);
    expect_group(0, x, 0, 3, (const size_t[]){0, 1, 3});
    expect_group(1, sum, 3, 1, (const size_t[]){2});
}

Test(input_group, one_weight_of_two_values_is_in_two)
{
    const mc_id x = input("x"), w = weight("w", 8, 8);
    const mc_id h = matmul(x, w, "h");
    find(matmul(h, w, "y"));
    cr_expect_eq(groups.groups, 2);
    expect_group(0, x, 0, 1, (const size_t[]){0});
    expect_group(1, h, 1, 1, (const size_t[]){1});
}

Test(input_group, embeddings_are_in_none)
{
    const mc_id ids = mc_graph_add_input(g, "ids", MC_I64, 2, (const int64_t[]){1, 4});
    const mc_id table = weight("table", 50, 8);
    const mc_id x = mc_graph_apply(g, "", "Gather", 13, (const mc_id[]){table, ids}, 2, "x");
    find(matmul(x, weight("w", 8, 8), "y"));
    cr_assert_eq(sites.sites, 2);
    cr_assert_eq(sites.site[0].kind, MC_SITE_EMBEDDING);
    cr_expect_eq(groups.of_site[0], MC_NONE);
    cr_expect_eq(groups.groups, 1);
    expect_group(0, x, 1, 1, (const size_t[]){1});
}

Test(input_group, a_graph_without_sites_has_none)
{
    find(mc_graph_apply(g, "", "Relu", 14, (const mc_id[]){input("x")}, 1, "y"));
    cr_expect_eq(groups.groups, 0);
}

Test(input_group, too_little_memory_is_said)
{
    find(matmul(input("x"), weight("w", 8, 8), "y"));
    mc_arena little = {region.arena.at, region.arena.at + 64};
    cr_expect_eq(mc_input_groups_find(g, &sites, &little, &groups, &err), MC_E_BUDGET);
    cr_expect_str_eq(err.text, "no room for the sites of a graph");
}
