/* Graphs cut into stages: what each holds, takes and gives. */
#include "calib/stage.h"

#include <criterion/criterion.h>
#include <string.h>

static mc_region region;
static mc_arena graph_room;
static mc_graph *g;
static mc_sites sites;
static mc_input_groups groups;
static mc_stages stages;
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

TestSuite(stage, .init = set_up, .fini = tear_down);

static mc_id constant(const char *name, int ndim, const uint64_t *dim)
{
    mc_tensor *t = MC_NEW(&region.arena, mc_tensor, 1);
    *t = (mc_tensor){.name = name, .dtype = MC_F32, .ndim = ndim, .count = 1};
    for (int d = 0; d < ndim; d++) t->count *= t->dim[d] = dim[d];
    t->bytes = t->count * 4;
    t->data = MC_NEW(&region.arena, unsigned char, t->bytes);
    return mc_graph_add_constant(g, t);
}

static mc_id matrix(const char *name)
{
    return constant(name, 2, (const uint64_t[]){8, 8});
}

static mc_id one(const char *op, mc_id x, const char *name)
{
    return mc_graph_apply(g, "", op, 13, &x, 1, name);
}

static mc_id two(const char *op, mc_id a, mc_id b, const char *name)
{
    return mc_graph_apply(g, "", op, 13, (const mc_id[]){a, b}, 2, name);
}

static mc_id input(void)
{
    return mc_graph_add_input(g, "x", MC_F32, 2, (const int64_t[]){1, 8});
}

static void find(mc_id output)
{
    mc_graph_add_output(g, output);
    cr_assert_eq(mc_graph_check(g, "g", &err), MC_OK, "%s", err.text);
    cr_assert_eq(mc_sites_find(g, &region.arena, &sites, &err), MC_OK);
    cr_assert_eq(mc_input_groups_find(g, &sites, &region.arena, &groups, &err), MC_OK);
    cr_assert_eq(mc_stages_find(g, &sites, &groups, &region.arena, &stages, &err), MC_OK);
}

static mc_stage_graph cut(size_t stage)
{
    mc_stage_graph out;
    mc_arena loan = region.arena;
    const size_t room = mc_stage_cut_memory(&stages);
    unsigned char *at = mc_alloc_raw(&region.arena, room * 2, 1); /* gaps of AddressSanitizer */
    cr_assert_not_null(at);
    loan = (mc_arena){at, at + room};
#if defined(__SANITIZE_ADDRESS__)
    loan.end += room;
#endif
    cr_assert_eq(mc_stage_cut(&stages, stage, &loan, &out, &err), MC_OK, "%s", err.text);
    return out;
}

/* "conv relu" */
static void expect_nodes(const mc_stage_graph *s, const char *ops)
{
    char found[256] = "";
    for (size_t i = 0; i < s->graph->nodes; i++) {
        if (i) strcat(found, " ");
        strcat(found, g->value[s->graph->node[i].out[0]].name);
    }
    cr_expect_str_eq(found, ops, "nodes: %s", found);
}

static void expect_list(const mc_id *value, size_t n, const char *names, const char *what)
{
    char found[256] = "";
    for (size_t i = 0; i < n; i++) {
        if (i) strcat(found, " ");
        strcat(found, g->value[value[i]].name);
    }
    cr_expect_str_eq(found, names, "%s: %s", what, found);
}

static void expect_stage(size_t stage, const char *nodes, const char *in, const char *out)
{
    const mc_stage_graph s = cut(stage);
    expect_nodes(&s, nodes);
    expect_list(s.graph->input, s.graph->inputs, in, "inputs");
    expect_list(s.graph->output, s.graph->outputs, out, "outputs");
    /* Sites are those whose nodes are here, and stand at them. */
    for (size_t i = 0; i < s.sites.sites; i++) {
        const mc_site *site = &s.sites.site[i], *all = &sites.site[s.site_of[i]];
        cr_expect_eq(site->weight, all->weight);
        cr_expect_eq(s.graph->node[site->node].out, g->node[all->node].out);
    }
    /* Values know their producers here. */
    for (size_t n = 0; n < s.graph->nodes; n++)
        cr_expect_eq(s.graph->value[s.graph->node[n].out[0]].producer, n);
    for (size_t i = 0; i < s.graph->inputs; i++)
        cr_expect_eq(s.graph->value[s.graph->input[i]].producer, MC_NONE);
}

static mc_id conv(mc_id x, uint64_t size, const char *weight, const char *name)
{
    const mc_id w = constant(weight, 4, (const uint64_t[]){4, 4, size, size});
    const mc_id y = mc_graph_apply(g, "", "Conv", 11, (const mc_id[]){x, w}, 2, name);
    const int64_t pad = (int64_t)size / 2;
    mc_node_add_ints(g, "pads", (const int64_t[]){pad, pad, pad, pad}, 4);
    return y;
}

/* A residual block: the shortcut shares the input with the first convolution and runs later. */
Test(stage, a_shortcut_stands_in_a_later_stage_than_its_group)
{
    const mc_id x = mc_graph_add_input(g, "x", MC_F32, 4, (const int64_t[]){1, 4, 6, 6});
    const mc_id stem = one("Relu", x, "stem");
    const mc_id a = one("Relu", conv(stem, 3, "w_a", "a"), "ra");
    const mc_id b = conv(a, 3, "w_b", "b");
    const mc_id s = conv(stem, 1, "w_s", "s");
    const mc_id sum = one("Relu", two("Add", b, s, "sum"), "rs");
    find(conv(sum, 1, "w_c", "c"));
    cr_expect_eq(stages.stages, 4);
    cr_expect_eq(groups.group[0].sites, 2);
    expect_stage(0, "stem", "x", "stem");
    expect_stage(1, "a ra", "stem", "ra"); /* stem waits already */
    expect_stage(2, "b s sum rs", "stem ra", "rs");
    expect_stage(3, "c", "rs", "");
    const mc_stage_graph third = cut(2);
    cr_assert_eq(third.sites.sites, 2);
    cr_expect_str_eq(third.sites.site[0].weight->name, "w_b");
    cr_expect_str_eq(third.sites.site[1].weight->name, "w_s");
    cr_expect_eq(stages.last_use[stem], sites.site[2].node);
}

Test(stage, constants_belong_to_every_stage_that_needs_them)
{
    const mc_id k = two("Mul", one("Exp", matrix("c"), "e"), matrix("d"), "k");
    const mc_id h = two("Add", two("MatMul", input(), matrix("w1"), "h"), k, "hk");
    const mc_id m = two("MatMul", h, matrix("w2"), "m");
    find(two("MatMul", two("Add", m, k, "mk"), matrix("w3"), "y"));
    cr_expect(stages.constant[k] && !stages.constant[h] && !stages.constant[m]);
    expect_stage(0, "e k", "", "");
    expect_stage(1, "e k h hk", "x", "hk");
    expect_stage(2, "e k m mk", "hk", "mk");
    expect_stage(3, "e k y", "mk", "");
}

/* A table of positions goes through a layer of its own. */
Test(stage, a_group_whose_input_is_a_constant_gets_it)
{
    const mc_id k = one("Exp", matrix("c"), "k");
    const mc_id p = two("MatMul", k, matrix("wp"), "p");
    const mc_id h = two("Add", two("MatMul", input(), matrix("w1"), "h"), p, "hp");
    find(two("MatMul", h, matrix("w2"), "y"));
    cr_expect_eq(groups.groups, 3);
    cr_expect(stages.constant[p]); /* which its weight is, too */
    expect_stage(0, "k", "", "k");
    expect_stage(1, "k p", "", "");
    expect_stage(2, "k p h hp", "x", "hp");
}

Test(stage, drawn_numbers_are_no_constants)
{
    const mc_id r = mc_graph_apply(g, "", "RandomNormal", 1, NULL, 0, "r");
    mc_node_add_ints(g, "shape", (const int64_t[]){1, 8}, 2);
    const mc_id h = two("Add", two("MatMul", input(), matrix("w1"), "h"), r, "hr");
    find(two("MatMul", two("Mul", h, r, "m"), matrix("w2"), "y"));
    cr_expect_not(stages.constant[r]);
    expect_stage(0, "r", "", "r");
    expect_stage(1, "h hr m", "r x", "m");
    expect_stage(2, "y", "m", "");
}

/* The node is not known to be a function of its inputs. */
Test(stage, unknown_operators_make_no_constants)
{
    const mc_id u = mc_graph_apply(g, "nowhere", "Odd", 1, (const mc_id[]){matrix("c")}, 1, "u");
    find(two("MatMul", two("Add", input(), u, "s"), matrix("w"), "y"));
    cr_expect_not(stages.constant[u]);
    expect_stage(0, "u s", "x", "s");
}

Test(stage, long_lived_values_wait_until_their_last_use)
{
    const mc_id x = input();
    const mc_id h = two("MatMul", x, matrix("w1"), "h");
    const mc_id m = two("MatMul", h, matrix("w2"), "m");
    const mc_id n = two("MatMul", m, matrix("w3"), "n");
    find(two("MatMul", two("Add", n, h, "s"), matrix("w4"), "y"));
    expect_stage(0, "", "", "");
    expect_stage(1, "h", "x", "h");
    expect_stage(2, "m", "h", "m");
    expect_stage(3, "n s", "h m", "s"); /* not m, which nobody takes any more */
    expect_stage(4, "y", "s", "");
    cr_expect_eq(stages.last_use[h], 3u);
}

Test(stage, a_model_without_sites_is_one_stage)
{
    find(one("Relu", one("Exp", input(), "e"), "y"));
    cr_expect_eq(stages.stages, 1);
    expect_stage(0, "e y", "x", "");
}

Test(stage, too_little_memory_is_said)
{
    find(two("MatMul", input(), matrix("w"), "y"));
    for (size_t bytes = 0; bytes < 512; bytes += 64) {
        mc_arena little = {region.arena.at, region.arena.at + bytes};
        mc_stage_graph out;
        cr_expect_eq(mc_stage_cut(&stages, 1, &little, &out, &err), MC_E_BUDGET);
        cr_expect_str_eq(err.text, "no room for a stage");
    }
}
