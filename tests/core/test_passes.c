/* The passes as a whole, and the small ones: constants, types, dead. */
#include "tests/support/pass_case.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static const int64_t row[] = {2, 3};

static mc_id named(pass_case *p, mc_id value, const char *name)
{
    p->before->value[value].name = name;
    return value;
}

/* ---- the list ---- */

Test(passes, have_names_and_summaries_of_their_own)
{
    size_t n = 0;
    for (; mc_pass_at(n); n++) {
        cr_expect_gt(strlen(mc_pass_at(n)->summary), 10);
        for (size_t i = 0; i < n; i++) cr_expect_str_neq(mc_pass_at(i)->name, mc_pass_at(n)->name);
    }
    cr_expect_geq(n, 8);
}

Test(passes, can_be_skipped_by_name)
{
    for (int skips = 0; skips < 2; skips++) {
        static const char *const skip[] = {"activations", NULL};
        pass_case p = pass_begin();
        const mc_id x = pass_in(&p, "x", MC_F32, 2, row);
        pass_out(&p, pass_op(&p, "Mul", 13, x, pass_op(&p, "Sigmoid", 13, x, MC_NONE)));
        pass_prepare_without(&p, skips ? skip : NULL);
        cr_expect_eq(pass_count(&p, "SiLU"), skips ? 0 : 1);
        pass_same(&p, 1e-6);
        pass_end(&p);
    }
}

Test(passes, leave_the_source_as_it_was)
{
    pass_case p = pass_begin();
    const mc_id x = pass_in(&p, "x", MC_F32, 2, row), y = pass_op(&p, "Identity", 13, x, MC_NONE);
    pass_out(&p, pass_op(&p, "Mul", 13, y, pass_op(&p, "Sigmoid", 13, y, MC_NONE)));
    const mc_graph before = *p.before;
    mc_node nodes[3];
    memcpy(nodes, p.before->node, sizeof nodes);
    pass_prepare(&p);
    cr_expect_eq(p.before->nodes, before.nodes);
    cr_expect_eq(p.before->values, before.values);
    cr_expect_arr_eq(p.before->node, nodes, sizeof nodes);
    cr_expect_eq(p.before->node[1].in[0], y);
    pass_end(&p);
}

/* ---- constants ---- */

Test(pass_constants, constant_nodes_become_constants)
{
    static const float floats[] = {1.5f, 2.5f, 3.5f};
    static const int64_t ints[] = {1, 2, 3};
    pass_case p = pass_begin();
    const mc_id x = pass_in(&p, "x", MC_F32, 2, row);
    mc_node node = {.op = "Constant", .domain = "", .version = 13, .outs = 1, .origin = MC_NONE};
    mc_id out[4];
    for (size_t i = 0; i < 4; i++) {
        static const char *const name[] = {"value_float", "value_floats", "value_int",
                                           "value_ints"};
        static const mc_attr_kind kind[] = {MC_ATTR_FLOAT, MC_ATTR_FLOATS, MC_ATTR_INT,
                                            MC_ATTR_INTS};
        mc_attr a = {
            .name = name[i], .kind = kind[i], .count = i % 2 ? 3 : 1, .f = floats, .i = ints};
        if (i < 2)
            a.i = NULL;
        else
            a.f = NULL;
        out[i] = mc_graph_add_value(p.before, name[i]);
        node.out = &out[i];
        node.attr = &a;
        node.attrs = 1;
        cr_assert_not_null(mc_graph_add_node(p.before, &node));
    }
    pass_out(&p, pass_op(&p, "Add", 13, x, out[0]));
    pass_out(&p, pass_op(&p, "Add", 13, x, out[1]));
    pass_out(&p, pass_op(&p, "Unsqueeze", 13, x, out[2]));
    pass_out(&p, out[3]); /* an output that is a constant keeps its name */
    pass_prepare(&p);
    cr_expect_eq(pass_count(&p, "Constant"), 0);
    cr_expect_eq(p.after->nodes, 3);
    pass_same(&p, 0);
    pass_end(&p);
}

Test(pass_constants, identities_and_dropout_go_but_not_from_outputs)
{
    pass_case p = pass_begin();
    const mc_id x = pass_in(&p, "x", MC_F32, 2, row);
    mc_id y = x;
    for (int i = 0; i < 5; i++) y = pass_op(&p, i % 2 ? "Identity" : "Dropout", 12, y, MC_NONE);
    pass_out(&p, pass_op(&p, "Relu", 13, y, MC_NONE));
    pass_out(&p, named(&p, pass_op(&p, "Identity", 13, y, MC_NONE), "last"));
    pass_prepare(&p);
    cr_expect_eq(p.after->nodes, 2);
    cr_expect_eq(pass_find(&p, "Relu")->in[0], p.after->input[0]);
    cr_expect_eq(pass_find(&p, "Identity")->in[0], p.after->input[0]);
    pass_same(&p, 0);
    pass_end(&p);
}

Test(pass_constants, dropout_that_trains_or_gives_its_mask_stays)
{
    pass_case p = pass_begin();
    const mc_id x = pass_in(&p, "x", MC_F32, 2, row);
    const mc_id in[] = {x, MC_NONE, pass_in(&p, "train", MC_BOOL, 0, NULL)};
    pass_out(&p, pass_op(&p, "Relu", 13, pass_op_of(&p, "Dropout", 13, in, 3), MC_NONE));
    const mc_id mask = mc_graph_add_value(p.before, "mask"), y = mc_graph_add_value(p.before, "y");
    mc_id out[] = {y, mask}, from[] = {x};
    const mc_node two = {.op = "Dropout",
                         .domain = "",
                         .version = 13,
                         .in = from,
                         .ins = 1,
                         .out = out,
                         .outs = 2,
                         .origin = MC_NONE};
    cr_assert_not_null(mc_graph_add_node(p.before, &two));
    pass_out(&p, pass_op(&p, "Relu", 13, y, MC_NONE));
    pass_out(&p, mask);
    pass_prepare(&p);
    cr_expect_eq(pass_count(&p, "Dropout"), 2);
    pass_end(&p);
}

/* ---- subgraphs ---- */

/* If(c) { then: Identity(captured) * 2; else: captured }: `captured` goes, being an Identity. */
static mc_graph *branch(pass_case *p, mc_id captured, bool doubles)
{
    mc_graph *g = mc_graph_new(p->before->mem, doubles ? "then" : "else");
    g->outer = p->before;
    const mc_id inner = mc_graph_add_value(g, "inner");
    g->value[inner].outer = captured;
    mc_id y = mc_graph_apply(g, "", "Identity", 13, &inner, 1, "same");
    const float two = 2.0f;
    const mc_id factor = mc_graph_const_f32(g, "two", 0, NULL, &two);
    if (doubles) y = mc_graph_apply(g, "", "Mul", 13, (mc_id[]){y, factor}, 2, "twice");
    mc_graph_add_output(g, y);
    return g;
}

Test(passes, captures_of_subgraphs_follow)
{
    pass_case p = pass_begin();
    const mc_id c = pass_in(&p, "c", MC_BOOL, 0, NULL), x = pass_in(&p, "x", MC_F32, 2, row);
    const mc_id captured = pass_op(&p, "Identity", 13, x, MC_NONE);
    mc_graph *then = branch(&p, captured, true), *otherwise = branch(&p, captured, false);
    mc_attr attr[] = {{.name = "then_branch", .kind = MC_ATTR_GRAPH, .count = 1, .g = &then},
                      {.name = "else_branch", .kind = MC_ATTR_GRAPH, .count = 1, .g = &otherwise}};
    mc_id in[] = {c}, out[] = {mc_graph_add_value(p.before, "y")};
    const mc_node choice = {.op = "If",
                            .domain = "",
                            .version = 13,
                            .in = in,
                            .ins = 1,
                            .out = out,
                            .outs = 1,
                            .attr = attr,
                            .attrs = 2,
                            .origin = MC_NONE};
    cr_assert_not_null(mc_graph_add_node(p.before, &choice));
    pass_out(&p, out[0]);
    pass_prepare(&p);
    cr_expect_eq(p.after->nodes, 1);
    const mc_graph *body = mc_node_attr(pass_find(&p, "If"), "then_branch")->g[0];
    cr_expect_neq(body, then);
    cr_expect_eq(body->value[0].outer, p.after->input[1]);
    cr_expect_eq(then->value[0].outer, captured);
    cr_expect_eq(body->node[body->nodes - 1].in[0], 0);
    pass_same(&p, 0);
    pass_end(&p);
}

/* ---- types ---- */

Test(pass_types, notes_what_follows)
{
    pass_case p = pass_begin();
    const mc_id x = pass_in(&p, "x", MC_F16, 2, (int64_t[]){-1, 3});
    pass_out(&p, pass_op(&p, "Relu", 13, pass_op(&p, "Transpose", 13, x, MC_NONE), MC_NONE));
    pass_prepare(&p);
    const mc_value *v = &p.after->value[pass_find(&p, "Transpose")->out[0]];
    cr_expect_eq(v->dtype, MC_F16);
    cr_expect_eq(v->ndim, 2);
    cr_expect_eq(v->dim[0], 3);
    cr_expect_eq(v->dim[1], -1);
    cr_expect_eq(p.before->value[pass_find(&p, "Transpose")->out[0]].dtype, MC_DTYPE_NONE);
    pass_end(&p);
}

Test(pass_types, casts_that_change_nothing_go)
{
    pass_case p = pass_begin();
    mc_id y = pass_in(&p, "x", MC_F32, 2, row);
    static const int to[] = {1, 1, 10, 10, 1};
    for (size_t i = 0; i < sizeof to / sizeof to[0]; i++) {
        y = pass_op(&p, "Cast", 13, y, MC_NONE);
        mc_node_add_int(p.before, "to", to[i]);
    }
    pass_out(&p, pass_op(&p, "Relu", 13, y, MC_NONE));
    pass_prepare(&p);
    cr_expect_eq(pass_count(&p, "Cast"), 2);
    pass_same(&p, 0);
    pass_end(&p);
}

/* A node that refuses its inputs is whoever runs it to tell of; what stands in front is known. */
Test(pass_types, stops_where_a_node_refuses)
{
    pass_case p = pass_begin();
    const mc_id x = pass_in(&p, "x", MC_F32, 2, row);
    pass_out(&p, pass_op(&p, "Mul", 13, x, pass_op(&p, "Sigmoid", 13, x, MC_NONE)));
    const mc_id bad = pass_op(&p, "MatMul", 13, x, x);
    pass_out(&p, pass_op(&p, "Mul", 13, bad, pass_op(&p, "Sigmoid", 13, bad, MC_NONE)));
    pass_prepare(&p);
    cr_expect_eq(pass_count(&p, "SiLU"), 1);
    pass_end(&p);
}

/* ---- dead ---- */

Test(pass_dead, what_no_output_needs_goes)
{
    pass_case p = pass_begin();
    const mc_id x = pass_in(&p, "x", MC_F32, 2, row), y = pass_op(&p, "Relu", 13, x, MC_NONE);
    mc_id other = pass_op(&p, "Neg", 13, y, MC_NONE);
    for (int i = 0; i < 3; i++) other = pass_op(&p, "Neg", 13, other, MC_NONE);
    pass_out(&p, y);
    pass_prepare(&p);
    cr_expect_eq(p.after->nodes, 1);
    cr_expect_eq(p.after->value[p.after->output[0]].producer, 0);
    pass_same(&p, 0);
    pass_end(&p);
}

/* ---- hostile ---- */

enum { MANY = 200000 };

/* `link` puts a few nodes behind a value. */
static void expect_many(size_t (*link)(mc_graph *g, mc_id *value), const char *left)
{
    mc_err err = {.status = MC_OK};
    mc_region region, room;
    cr_assert_eq(mc_region_open(&region, (size_t)1 << 31, &err), MC_OK);
    mc_graph *g = mc_graph_new(&region.arena, "many");
    const int64_t n = 2;
    mc_id y = mc_graph_add_input(g, "x", MC_F32, 1, &n);
    for (size_t nodes = 0; nodes < MANY;) nodes += link(g, &y);
    cr_assert(mc_graph_add_output(g, y));
    cr_assert_eq(mc_graph_check(g, "many", &err), MC_OK, "%s", err.text);
    cr_assert_eq(mc_region_open(&room, mc_graph_prepare_memory(g), &err), MC_OK);
    mc_graph *after;
    cr_assert_eq(mc_graph_prepare(g, NULL, &room.arena, &after, &err), MC_OK, "%s", err.text);
    for (size_t i = 0; i < after->nodes; i++) cr_assert_str_eq(after->node[i].op, left);
    mc_region_close(&room);
    mc_region_close(&region);
}

static mc_id two(mc_graph *g, const char *op, mc_id a, mc_id b)
{
    return mc_graph_apply(g, "", op, 13, (mc_id[]){a, b}, 2, "");
}

static size_t squares(mc_graph *g, mc_id *y)
{
    *y = two(g, "Mul", *y, *y);
    return 1;
}

static size_t doubles(mc_graph *g, mc_id *y)
{
    const float factor = 2.0f;
    *y = two(g, "Mul", *y, mc_graph_const_f32(g, "", 0, NULL, &factor));
    return 1;
}

static size_t copies(mc_graph *g, mc_id *y)
{
    *y = mc_graph_apply(g, "", "Identity", 13, y, 1, "");
    return 1;
}

static size_t gates(mc_graph *g, mc_id *y)
{
    *y = two(g, "Mul", *y, mc_graph_apply(g, "", "Sigmoid", 13, y, 1, ""));
    return 2;
}

/* Scalings by numbers that are computed from one another, each a long chain. */
static size_t numbers(mc_graph *g, mc_id *y)
{
    *y = two(g, "Div", two(g, "Pow", *y, *y), *y);
    return 2;
}

Test(passes, many_squares_stay_as_they_are)
{
    expect_many(squares, "Mul");
}
Test(passes, many_factors_stay_as_they_are)
{
    expect_many(doubles, "Mul");
}
Test(passes, many_copies_go)
{
    expect_many(copies, "Identity");
}
Test(passes, many_gates_become_activations)
{
    expect_many(gates, "SiLU");
}

Test(passes, numbers_are_not_followed_without_end)
{
    mc_err err = {.status = MC_OK};
    mc_region region, room;
    cr_assert_eq(mc_region_open(&region, (size_t)1 << 30, &err), MC_OK);
    mc_graph *g = mc_graph_new(&region.arena, "many");
    const int64_t four[] = {2, 2, 2, 2};
    const mc_id x = mc_graph_add_input(g, "x", MC_F32, 4, four);
    mc_id n = mc_graph_add_input(g, "n", MC_F32, 0, NULL);
    for (size_t i = 0; i < 10000; i++) {
        (void)numbers(g, &n);
        const mc_id q = two(g, "Mul", x, n), w = two(g, "MatMul", q, x);
        const mc_id s = mc_graph_apply(g, "", "Softmax", 13, &w, 1, "");
        cr_assert(mc_graph_add_output(g, two(g, "MatMul", s, x)));
    }
    cr_assert_eq(mc_graph_check(g, "many", &err), MC_OK, "%s", err.text);
    cr_assert_eq(mc_region_open(&room, mc_graph_prepare_memory(g), &err), MC_OK);
    mc_graph *after;
    cr_assert_eq(mc_graph_prepare(g, NULL, &room.arena, &after, &err), MC_OK, "%s", err.text);
    mc_region_close(&room);
    mc_region_close(&region);
}

Test(passes, a_graph_that_leaves_no_room_is_refused)
{
    pass_case p = pass_begin();
    const mc_id x = pass_in(&p, "x", MC_F32, 2, row);
    pass_out(&p, pass_op(&p, "Mul", 13, x, pass_op(&p, "Sigmoid", 13, x, MC_NONE)));
    cr_assert_eq(mc_graph_check(p.before, "case", &p.err), MC_OK);
    for (size_t bytes = 0; bytes < 4096; bytes += 64) {
        static unsigned char room[4096];
        mc_arena mem = {room, room + bytes};
        mc_graph *after;
        const mc_status status = mc_graph_prepare(p.before, NULL, &mem, &after, &p.err);
        cr_expect(status == MC_OK || status == MC_E_BUDGET, "%zu bytes: %s", bytes, p.err.text);
    }
    pass_end(&p);
}
