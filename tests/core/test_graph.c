/* Graphs: built, copied, checked, put in order. */
#include "core/graph.h"
#include "core/nd.h"
#include "core/rng.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static mc_region region;

static void enter(void)
{
    mc_err err = {0};
    cr_assert_eq(mc_region_open(&region, (size_t)1 << 30, &err), MC_OK, "%s", err.text);
}

static void leave(void)
{
    mc_region_close(&region);
}

TestSuite(graph, .init = enter, .fini = leave);

static mc_id unary(mc_graph *g, mc_id x, const char *name)
{
    return mc_graph_apply(g, "", "Relu", 13, &x, 1, name);
}

static mc_id binary(mc_graph *g, mc_id a, mc_id b, const char *name)
{
    return mc_graph_apply(g, "", "Add", 13, (mc_id[]){a, b}, 2, name);
}

static mc_id input(mc_graph *g, const char *name)
{
    return mc_graph_add_input(g, name, MC_F32, 1, (int64_t[]){4});
}

Test(graph, is_built_node_by_node)
{
    mc_graph *g = mc_graph_new(&region.arena, "g");
    const mc_id x = input(g, "x");
    const mc_id w = mc_graph_const_f32(g, "w", 1, (int64_t[]){2}, (float[]){1.5f, -2.0f});
    const mc_id y = binary(g, x, w, "y");
    cr_assert(mc_node_add_int(g, "axis", -1) && mc_node_add_float(g, "alpha", 0.5f));
    cr_assert(mc_node_add_text(g, "mode", "fast"));
    cr_assert(mc_node_add_ints(g, "pads", (int64_t[]){1, 2, 3}, 3));
    cr_assert(mc_graph_add_output(g, y));

    mc_err err = {0};
    cr_assert_eq(mc_graph_check(g, "m", &err), MC_OK, "%s", err.text);
    cr_expect_eq(mc_graph_find(g, "y"), y);
    cr_expect_eq(mc_graph_find(g, "z"), MC_NONE);
    cr_expect_eq(g->value[y].producer, 0);
    const mc_node *node = &g->node[0];
    const int64_t *pads;
    cr_expect_eq(mc_node_ints(node, "pads", &pads), 3);
    cr_expect(pads[2] == 3 && mc_node_int(node, "axis", 0) == -1);
    cr_expect(mc_node_int(node, "mode", 7) == 7, "an attribute of another kind is not there");
    cr_expect_float_eq(mc_node_float(node, "alpha", 0), 0.5, 0);
    cr_expect_str_eq(mc_node_text(node, "mode", ""), "fast");
    cr_expect_eq(mc_node_ints(node, "none", &pads), 0);
    cr_expect_null(pads);
    cr_expect(mc_node_is(node, "ai.onnx", "Add") && !mc_node_is(node, MC_DOMAIN, "Add"));
    const mc_tensor *t = g->value[w].constant;
    cr_expect(t->count == 2 && t->bytes == 8 && t->dim[0] == 2);
    float stored[2];
    mc_to_f32(MC_F32, t->data, stored, 2);
    cr_expect(stored[0] == 1.5f && stored[1] == -2.0f);
}

Test(graph, names_a_node_in_messages)
{
    mc_graph *g = mc_graph_new(&region.arena, "g");
    const mc_id x = input(g, "x");
    (void)unary(g, x, "relu1");
    (void)mc_graph_apply(g, "com.acme", "FooBar", 3, &x, 1, "");
    char text[MC_NODE_TEXT];
    cr_expect_str_eq(mc_node_show(g, 0, text), "node 0 'relu1' (Relu, opset 13)");
    cr_expect_str_eq(mc_node_show(g, 1, text), "node 1 (FooBar of com.acme, opset 3)");
    char longest[1000];
    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    (void)mc_graph_apply(g, longest, longest, 3, &x, 1, longest);
    cr_expect(strlen(mc_node_show(g, 2, text)) < MC_NODE_TEXT);
}

Test(graph, running_out_of_memory_sticks_until_the_check)
{
    mc_arena small = {region.arena.at, region.arena.at + 1024};
    mc_graph *g = mc_graph_new(&small, "g");
    cr_assert_not_null(g);
    mc_id x = input(g, "x");
    for (int i = 0; i < 50; i++) x = unary(g, x, "y");
    cr_expect_eq(x, MC_NONE);
    mc_err err = {0};
    cr_expect_eq(mc_graph_check(g, "m", &err), MC_E_BUDGET);
    cr_expect_str_eq(err.text, "m: no room for the graph");
}

/* ---- subgraphs ---- */

/* y = If(c, a captured, b captured). */
static mc_graph *with_branches(mc_graph **branch)
{
    mc_graph *g = mc_graph_new(&region.arena, "g");
    const mc_id c = mc_graph_add_input(g, "c", MC_BOOL, 0, NULL), x = input(g, "x");
    const mc_id a = unary(g, x, "a");
    mc_graph **body = MC_NEW(&region.arena, mc_graph *, 1);
    body[0] = *branch = mc_graph_new(&region.arena, "branch");
    body[0]->outer = g;
    const mc_id inner = mc_graph_add_value(body[0], "a");
    body[0]->value[inner].outer = a;
    cr_assert(mc_graph_add_output(body[0], unary(body[0], inner, "inside")));
    mc_attr attr = {.name = "then_branch", .kind = MC_ATTR_GRAPH, .count = 1, .g = body};
    mc_id in = c, out = mc_graph_add_value(g, "y");
    const mc_node node = {.op = "If",
                          .version = 13,
                          .in = &in,
                          .ins = 1,
                          .out = &out,
                          .outs = 1,
                          .attr = &attr,
                          .attrs = 1,
                          .origin = MC_NONE};
    cr_assert_not_null(mc_graph_add_node(g, &node));
    cr_assert(mc_graph_add_output(g, out));
    return g;
}

Test(graph, counts_uses_by_subgraphs)
{
    mc_graph *branch;
    const mc_graph *g = with_branches(&branch);
    uint32_t n[8];
    mc_id user[8];
    mc_graph_uses(g, n, user);
    const mc_id a = mc_graph_find(g, "a"), y = mc_graph_find(g, "y"), x = mc_graph_find(g, "x");
    cr_expect(n[a] == 1 && user[a] == 1, "captured by node 1");
    cr_expect(n[y] == 1 && user[y] == MC_NONE, "an output of the graph");
    cr_expect(n[x] == 1 && user[x] == 0);
}

Test(graph, a_copy_points_back_and_owns_its_subgraphs)
{
    mc_graph *branch;
    const mc_graph *g = with_branches(&branch);
    mc_graph *copy = mc_graph_copy(g, &region.arena);
    cr_assert_not_null(copy);
    cr_expect(copy->nodes == 2 && copy->node[0].origin == 0 && copy->node[1].origin == 1);
    const mc_graph *inside = copy->node[1].attr[0].g[0];
    cr_expect(inside != branch && inside->outer == copy && inside->nodes == 1);
    copy->node[1].in[0] = MC_NONE;
    cr_expect_eq(g->node[1].in[0], mc_graph_find(g, "c"), "the source keeps its own lists");
    mc_err err = {0};
    cr_expect_eq(mc_graph_check(copy, "m", &err), MC_OK, "%s", err.text);
    (void)unary(copy, copy->output[0], "more");
    cr_expect(copy->nodes == 3 && g->nodes == 2);
}

Test(graph, a_node_comes_behind_what_its_subgraphs_capture)
{
    mc_graph *branch;
    mc_graph *g = with_branches(&branch);
    const mc_node first = g->node[0];
    g->node[0] = g->node[1];
    g->node[1] = first;
    mc_err err = {0};
    cr_assert_eq(mc_graph_check(g, "m", &err), MC_OK, "%s", err.text);
    cr_assert_eq(mc_graph_order(g, "m", region.arena, &err), MC_OK, "%s", err.text);
    cr_expect_str_eq(g->node[1].op, "If");
    cr_expect_eq(g->value[mc_graph_find(g, "y")].producer, 1);
}

/* ---- check ---- */

static void refused(mc_graph *g, const char *message)
{
    mc_err err = {0};
    cr_expect_eq(mc_graph_check(g, "m.onnx", &err), MC_E_FORMAT);
    cr_expect_str_eq(err.text, message);
}

Test(graph, refuses_what_nothing_gives)
{
    mc_graph *g = mc_graph_new(&region.arena, "g");
    (void)unary(g, mc_graph_add_value(g, "ghost"), "y");
    refused(g, "m.onnx: node 0 'y' (Relu, opset 13): nothing gives value 'ghost'");
}

Test(graph, refuses_an_output_that_nothing_gives)
{
    mc_graph *g = mc_graph_new(&region.arena, "g");
    cr_assert(mc_graph_add_output(g, mc_graph_add_value(g, "ghost")));
    refused(g, "m.onnx: output 0: nothing gives value 'ghost'");
}

Test(graph, refuses_two_sources_of_a_value)
{
    mc_graph *g = mc_graph_new(&region.arena, "g");
    const mc_id x = input(g, "x");
    (void)unary(g, x, "y");
    (void)unary(g, x, "z");
    g->node[1].out[0] = g->node[0].out[0];
    refused(g, "m.onnx: node 1 'z' (Relu, opset 13): value 'y' has two sources");
    g->node[1].out[0] = x;
    refused(g, "m.onnx: node 1 'z' (Relu, opset 13): value 'x' has two sources");
}

Test(graph, refuses_numbers_that_are_no_values)
{
    mc_graph *g = mc_graph_new(&region.arena, "g");
    (void)unary(g, input(g, "x"), "y");
    g->node[0].in[0] = 77;
    refused(g, "m.onnx: node 0 'y' (Relu, opset 13): it takes no value of this graph");
    g->node[0].in[0] = MC_NONE; /* left out: allowed */
    g->node[0].out[0] = 77;
    refused(g, "m.onnx: node 0 'y' (Relu, opset 13): it gives no value of this graph");
}

Test(graph, refuses_captures_from_nowhere)
{
    mc_graph *branch;
    mc_graph *g = with_branches(&branch);
    branch->value[0].outer = 1000;
    mc_err err = {0};
    cr_expect_eq(mc_graph_check(g, "m", &err), MC_E_FORMAT);
}

Test(graph, refuses_graphs_nested_too_deep)
{
    mc_graph *g = mc_graph_new(&region.arena, "g"), *at = g;
    for (int i = 0; i < 100; i++) {
        mc_graph **body = MC_NEW(&region.arena, mc_graph *, 1);
        body[0] = mc_graph_new(&region.arena, "in");
        body[0]->outer = at;
        mc_attr attr = {.name = "body", .kind = MC_ATTR_GRAPH, .count = 1, .g = body};
        const mc_node node = {.op = "Loop", .attr = &attr, .attrs = 1, .origin = MC_NONE};
        cr_assert_not_null(mc_graph_add_node(at, &node));
        at = body[0];
    }
    mc_err err = {0};
    cr_expect_eq(mc_graph_check(g, "m", &err), MC_E_FORMAT);
    cr_expect_eq(mc_graph_order(g, "m", region.arena, &err), MC_E_FORMAT);
    cr_expect_null(mc_graph_copy(g, &region.arena));
}

/* ---- order ---- */

/* A graph of `n` nodes, each adding two earlier values. */
static mc_graph *random_graph(size_t n, uint64_t seed)
{
    mc_graph *g = mc_graph_new(&region.arena, "g");
    const mc_rng rng = {.seed = seed};
    (void)input(g, "x");
    for (size_t i = 0; i < n; i++) {
        const mc_id a = (mc_id)mc_rng_below(rng, 2 * i, i + 1);
        const mc_id b = (mc_id)mc_rng_below(rng, 2 * i + 1, i + 1);
        (void)binary(g, a, b, "v");
    }
    cr_assert(mc_graph_add_output(g, (mc_id)n));
    return g;
}

static void shuffle(mc_graph *g, uint64_t seed)
{
    const mc_rng rng = {.seed = seed};
    for (size_t i = g->nodes; i > 1; i--) {
        const size_t k = (size_t)mc_rng_below(rng, i, i);
        const mc_node kept = g->node[i - 1];
        g->node[i - 1] = g->node[k];
        g->node[k] = kept;
    }
}

static void expect_ordered(const mc_graph *g)
{
    for (size_t i = 0; i < g->nodes; i++) {
        cr_assert_eq(g->value[g->node[i].out[0]].producer, i);
        for (size_t k = 0; k < g->node[i].ins; k++) {
            const mc_id producer = g->value[g->node[i].in[k]].producer;
            cr_assert(producer == MC_NONE || producer < i);
        }
    }
}

Test(graph, any_shuffled_graph_is_put_in_order)
{
    mc_err err = {0};
    for (uint64_t seed = 0; seed < 30; seed++) {
        mc_graph *g = random_graph(200, seed);
        shuffle(g, seed);
        cr_assert_eq(mc_graph_check(g, "m", &err), MC_OK, "%s", err.text);
        cr_assert_eq(mc_graph_order(g, "m", region.arena, &err), MC_OK, "%s", err.text);
        expect_ordered(g);
    }
}

Test(graph, what_is_in_order_stays_as_it_is)
{
    mc_graph *g = random_graph(500, 3);
    mc_err err = {0};
    cr_assert_eq(mc_graph_check(g, "m", &err), MC_OK);
    cr_assert_eq(mc_graph_order(g, "m", region.arena, &err), MC_OK);
    for (size_t i = 0; i < g->nodes; i++) cr_assert_eq(g->node[i].out[0], i + 1);
}

Test(graph, only_what_must_move_moves)
{
    mc_graph *g = mc_graph_new(&region.arena, "g");
    const mc_id x = input(g, "x");
    const mc_id a = unary(g, x, "a");
    (void)unary(g, x, "b");
    (void)unary(g, a, "c");
    (void)unary(g, x, "d");
    const mc_node early = g->node[0]; /* b c d a: only a moves, before c */
    memmove(g->node, g->node + 1, 3 * sizeof *g->node);
    g->node[3] = early;
    mc_err err = {0};
    cr_assert_eq(mc_graph_check(g, "m", &err), MC_OK);
    cr_assert_eq(mc_graph_order(g, "m", region.arena, &err), MC_OK);
    static const char *const want[] = {"b", "a", "c", "d"};
    for (size_t i = 0; i < 4; i++) cr_expect_str_eq(g->node[i].name, want[i]);
}

Test(graph, a_cycle_is_refused_by_a_node_of_it)
{
    mc_graph *g = mc_graph_new(&region.arena, "g");
    const mc_id x = input(g, "x");
    const mc_id a = unary(g, x, "a"), b = binary(g, a, a, "b"), c = unary(g, b, "c");
    g->node[1].in[1] = c;
    mc_err err = {0};
    cr_assert_eq(mc_graph_check(g, "m", &err), MC_OK);
    cr_expect_eq(mc_graph_order(g, "m", region.arena, &err), MC_E_FORMAT);
    cr_expect_str_eq(err.text, "m: node 1 'b' (Add, opset 13): it needs its own output: the graph "
                               "has a cycle");
}

Test(graph, a_million_nodes_in_a_row_are_no_trouble)
{
    enum { MANY = 1000000 };
    mc_graph *g = mc_graph_new(&region.arena, "g");
    mc_id x = input(g, "x");
    for (size_t i = 0; i < MANY; i++) x = unary(g, x, "v");
    cr_assert(mc_graph_add_output(g, x));
    for (size_t i = 0; i < MANY / 2; i++) { /* the last comes first */
        const mc_node kept = g->node[i];
        g->node[i] = g->node[MANY - 1 - i];
        g->node[MANY - 1 - i] = kept;
    }
    mc_err err = {0};
    cr_assert_eq(mc_graph_check(g, "m", &err), MC_OK, "%s", err.text);
    cr_assert_eq(mc_graph_order(g, "m", region.arena, &err), MC_OK, "%s", err.text);
    expect_ordered(g);
}
