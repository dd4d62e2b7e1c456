/* If, Loop, sequences and optionals: what ONNX says they give, from subgraphs that take values of
 * the graph around them. */
#include "core/exec.h"
#include "tests/support/op_run.h"

#include <criterion/criterion.h>
#include <string.h>

static mc_region region;
static mc_graph *g;
static mc_exec *exec;
static mc_run *run;
static mc_err err;

static void enter(void)
{
    cr_assert_eq(mc_region_open(&region, (size_t)1 << 24, &err), MC_OK, "%s", err.text);
    g = mc_graph_new(&region.arena, "g");
}

static void leave(void)
{
    mc_run_close(run);
    mc_exec_close(exec);
    mc_region_close(&region);
}

TestSuite(control, .init = enter, .fini = leave);

/* ---- building ---- */

static mc_graph *new_body(mc_graph *outer)
{
    mc_graph *body = mc_graph_new(&region.arena, "body");
    body->outer = outer;
    return body;
}

static mc_id capture(mc_graph *body, mc_id outer)
{
    const mc_id id = mc_graph_add_value(body, body->outer->value[outer].name);
    body->value[id].outer = outer;
    return id;
}

static mc_id apply(mc_graph *in, const char *op, const mc_id *x, size_t n)
{
    return mc_graph_apply(in, "", op, 16, x, n, op);
}

static mc_id binary(mc_graph *in, const char *op, mc_id a, mc_id b)
{
    return apply(in, op, (mc_id[]){a, b}, 2);
}

/* A node with subgraphs. */
static void add_node(mc_graph *in, const char *op, const mc_id *ins, size_t n, const mc_id *outs,
                     size_t outputs, mc_attr *attr, size_t attrs)
{
    const mc_node node = {.name = "tested",
                          .op = op,
                          .version = 16,
                          .in = (mc_id *)(uintptr_t)ins,
                          .ins = n,
                          .out = (mc_id *)(uintptr_t)outs,
                          .outs = outputs,
                          .attr = attr,
                          .attrs = attrs,
                          .origin = MC_NONE};
    cr_assert_not_null(mc_graph_add_node(in, &node));
}

static mc_attr body_attr(const char *name, mc_graph *body)
{
    mc_graph **list = MC_NEW(&region.arena, mc_graph *, 1);
    *list = body;
    return (mc_attr){.name = name, .kind = MC_ATTR_GRAPH, .count = 1, .g = list};
}

static mc_id add_if(mc_graph *in, mc_id condition, mc_graph *yes, mc_graph *no)
{
    const mc_id out = mc_graph_add_value(in, "if");
    mc_attr attr[] = {body_attr("then_branch", yes), body_attr("else_branch", no)};
    add_node(in, "If", &condition, 1, &out, 1, attr, 2);
    return out;
}

static mc_status try_run(const mc_nd *const *in, size_t n)
{
    const mc_exec_options options = {.name = "m", .cache_bytes = UINT64_MAX};
    if (!exec) {
        MC_TRY(mc_graph_check(g, "m", &err));
        MC_TRY(mc_graph_order(g, "m", region.arena, &err));
        MC_TRY(mc_exec_open(g, &options, &exec, &err));
        MC_TRY(mc_run_open(exec, (uint64_t)1 << 28, &run, &err));
    }
    return mc_run_all(run, in, n, &err);
}

static const mc_nd *result(const mc_nd *const *in, size_t n, mc_id value)
{
    cr_assert_eq(try_run(in, n), MC_OK, "%s", err.text);
    const mc_nd *t = mc_run_value(run, value);
    cr_assert_not_null(t);
    return t;
}

static void expect(const mc_nd *t, const char *shape, const float *want)
{
    char text[MC_ND_TEXT];
    cr_assert_str_eq(mc_nd_show(t, text), shape);
    for (size_t i = 0; i < t->count; i++)
        cr_expect_eq(((const float *)t->data)[i], want[i], "[%zu] is %g, not %g", i,
                     (double)((const float *)t->data)[i], (double)want[i]);
}

static mc_id const_f32(mc_graph *in, int64_t n, const float *v)
{
    return mc_graph_const_f32(in, "c", 1, &n, v);
}

static mc_nd flag_of(const uint8_t *flag)
{
    return op_nd(MC_BOOL, 0, NULL, flag);
}

/* ---- If ---- */

/* if (c) x + w else -(x + w), where x + w is computed outside. */
Test(control, if_runs_one_branch_with_values_from_outside)
{
    const mc_id c = mc_graph_add_input(g, "c", MC_BOOL, 0, NULL);
    const mc_id x = mc_graph_add_input(g, "x", MC_F32, 1, (int64_t[]){2});
    const mc_id sum = binary(g, "Add", x, const_f32(g, 2, (float[]){10, 20}));
    mc_graph *yes = new_body(g), *no = new_body(g);
    cr_assert(mc_graph_add_output(yes, capture(yes, sum)));
    const mc_id inside = capture(no, sum);
    cr_assert(mc_graph_add_output(no, apply(no, "Neg", &inside, 1)));
    const mc_id y = add_if(g, c, yes, no);
    cr_assert(mc_graph_add_output(g, y));

    const mc_nd xs = op_f32(1, (int64_t[]){2}, (float[]){1, 2});
    uint8_t flag = 1;
    const mc_nd cs = flag_of(&flag);
    const mc_nd *in[] = {&cs, &xs};
    expect(result(in, 2, y), "[2] F32", (float[]){11, 22});
    flag = 0;
    expect(result(in, 2, y), "[2] F32", (float[]){-11, -22});
    cr_expect_eq(mc_run_peak(run) < 8192, true, "nothing stays behind");
}

Test(control, if_reaches_through_two_levels)
{
    const mc_id c = mc_graph_add_input(g, "c", MC_BOOL, 0, NULL);
    const mc_id x = mc_graph_add_input(g, "x", MC_F32, 1, (int64_t[]){2});
    const mc_id w = const_f32(g, 2, (float[]){1, 2});
    mc_graph *yes = new_body(g), *no = new_body(g);
    const mc_id outer_x = capture(yes, x), outer_w = capture(yes, w), outer_c = capture(yes, c);
    mc_graph *inner = new_body(yes), *other = new_body(yes);
    const mc_id sum = binary(inner, "Add", capture(inner, outer_x), capture(inner, outer_w));
    cr_assert(mc_graph_add_output(inner, sum));
    cr_assert(mc_graph_add_output(other, capture(other, outer_w)));
    cr_assert(mc_graph_add_output(yes, add_if(yes, outer_c, inner, other)));
    cr_assert(mc_graph_add_output(no, capture(no, x)));
    const mc_id y = add_if(g, c, yes, no);
    cr_assert(mc_graph_add_output(g, y));
    const uint8_t flag = 1;
    const mc_nd cs = flag_of(&flag), xs = op_f32(1, (int64_t[]){2}, (float[]){5, 6});
    const mc_nd *in[] = {&cs, &xs};
    expect(result(in, 2, y), "[2] F32", (float[]){6, 8});
}

Test(control, a_condition_must_be_one_flag)
{
    const mc_id c = mc_graph_add_input(g, "c", MC_BOOL, 1, (int64_t[]){2});
    mc_graph *yes = new_body(g), *no = new_body(g);
    cr_assert(mc_graph_add_output(yes, const_f32(yes, 1, (float[]){1})));
    cr_assert(mc_graph_add_output(no, const_f32(no, 1, (float[]){2})));
    cr_assert(mc_graph_add_output(g, add_if(g, c, yes, no)));
    const uint8_t flags[] = {1, 1};
    const mc_nd cs = op_nd(MC_BOOL, 1, (int64_t[]){2}, flags), *in = &cs;
    cr_expect_eq(try_run(&in, 1), MC_E_FORMAT);
    cr_expect_str_eq(err.text, "m: node 0 'tested' (If, opset 16): the condition is [2] BOOL (one "
                               "BOOL is needed)");
}

Test(control, a_branch_that_never_runs_may_be_impossible)
{
    const mc_id c = mc_graph_add_input(g, "c", MC_BOOL, 0, NULL);
    mc_graph *yes = new_body(g), *no = new_body(g);
    cr_assert(mc_graph_add_output(yes, const_f32(yes, 1, (float[]){1})));
    const mc_id bad =
        binary(no, "Add", const_f32(no, 2, (float[]){1, 2}), const_f32(no, 3, (float[]){1, 2, 3}));
    cr_assert(mc_graph_add_output(no, bad));
    const mc_id y = add_if(g, c, yes, no);
    cr_assert(mc_graph_add_output(g, y));
    uint8_t flag = 1;
    const mc_nd cs = flag_of(&flag), *in = &cs;
    expect(result(&in, 1, y), "[1] F32", (float[]){1});
    flag = 0;
    cr_expect_eq(try_run(&in, 1), MC_E_FORMAT);
    cr_expect_str_eq(err.text, "m: node 0 'tested' (If, opset 16): node 0 'Add' (Add, opset 16): "
                               "shapes [2] F32 and [3] F32 do not fit each other");
}

/* ---- Loop ---- */

typedef struct {
    mc_graph *body;
    mc_id number, condition, state;
} loop_body;

static loop_body new_loop_body(void)
{
    loop_body b = {.body = new_body(g)};
    b.number = mc_graph_add_input(b.body, "i", MC_I64, 0, NULL);
    b.condition = mc_graph_add_input(b.body, "go_on", MC_BOOL, 0, NULL);
    b.state = mc_graph_add_input(b.body, "state", MC_DTYPE_NONE, MC_RANK_UNKNOWN, NULL);
    return b;
}

/* state += w each time, stacked; w is a constant of the outer graph. */
static mc_id sums(mc_id most, mc_id condition, mc_id start, mc_id *stacked)
{
    loop_body b = new_loop_body();
    const mc_id w = capture(b.body, const_f32(g, 2, (float[]){1, 10}));
    const mc_id sum = binary(b.body, "Add", b.state, w);
    cr_assert(mc_graph_add_output(b.body, apply(b.body, "Identity", &b.condition, 1)));
    cr_assert(mc_graph_add_output(b.body, sum));
    cr_assert(mc_graph_add_output(b.body, sum)); /* the same value twice */
    b.body->value[b.body->output[2]].dtype = MC_F32;
    b.body->value[b.body->output[2]].ndim = 1;
    b.body->value[b.body->output[2]].dim[0] = 2;
    const mc_id out[] = {mc_graph_add_value(g, "last"), mc_graph_add_value(g, "stacked")};
    mc_attr attr = body_attr("body", b.body);
    add_node(g, "Loop", (mc_id[]){most, condition, start}, 3, out, 2, &attr, 1);
    cr_assert(mc_graph_add_output(g, out[0]) && mc_graph_add_output(g, out[1]));
    *stacked = out[1];
    return out[0];
}

Test(control, loop_hands_on_its_state_and_stacks)
{
    const mc_id most = mc_graph_add_input(g, "n", MC_I64, 0, NULL);
    const mc_id start = mc_graph_add_input(g, "x", MC_F32, 1, (int64_t[]){2});
    mc_id stacked;
    const mc_id last = sums(most, MC_NONE, start, &stacked);
    int64_t n = 3;
    const mc_nd ns = op_i64(0, NULL, &n), xs = op_f32(1, (int64_t[]){2}, (float[]){0, 5});
    const mc_nd *in[] = {&ns, &xs};
    expect(result(in, 2, last), "[2] F32", (float[]){3, 35});
    expect(mc_run_value(run, stacked), "[3, 2] F32", (float[]){1, 15, 2, 25, 3, 35});
    n = 0;
    expect(result(in, 2, last), "[2] F32", (float[]){0, 5});
    expect(mc_run_value(run, stacked), "[0, 2] F32", NULL);
}

Test(control, memory_of_a_loop_does_not_grow_with_its_state)
{
    const mc_id most = mc_graph_add_input(g, "n", MC_I64, 0, NULL);
    const mc_id start = mc_graph_add_input(g, "x", MC_F32, 1, (int64_t[]){4096});
    loop_body b = new_loop_body();
    cr_assert(mc_graph_add_output(b.body, apply(b.body, "Identity", &b.condition, 1)));
    cr_assert(mc_graph_add_output(b.body, apply(b.body, "Neg", &b.state, 1)));
    const mc_id out = mc_graph_add_value(g, "last");
    mc_attr attr = body_attr("body", b.body);
    add_node(g, "Loop", (mc_id[]){most, MC_NONE, start}, 3, &out, 1, &attr, 1);
    cr_assert(mc_graph_add_output(g, out));
    const int64_t n = 100;
    static float x[4096] = {1};
    const mc_nd ns = op_i64(0, NULL, &n), xs = op_f32(1, (int64_t[]){4096}, x);
    const mc_nd *in[] = {&ns, &xs};
    cr_expect_eq(((const float *)result(in, 2, out)->data)[0], 1.0f);
    cr_expect(mc_run_peak(run) < 4 * sizeof x + 100 * 2048, "%llu",
              (unsigned long long)mc_run_peak(run));
}

/* while (i < 4): the condition is what the body gives. */
Test(control, loop_ends_when_its_body_says_so)
{
    const mc_id start = mc_graph_add_input(g, "x", MC_I64, 0, NULL);
    loop_body b = new_loop_body();
    const int64_t four = 4;
    const mc_id limit = mc_graph_const_i64(b.body, "four", 0, NULL, &four);
    const mc_id sum = binary(b.body, "Add", b.state, b.number);
    cr_assert(mc_graph_add_output(b.body, binary(b.body, "Less", b.number, limit)));
    cr_assert(mc_graph_add_output(b.body, sum));
    const mc_id out = mc_graph_add_value(g, "last");
    mc_attr attr = body_attr("body", b.body);
    add_node(g, "Loop", (mc_id[]){MC_NONE, MC_NONE, start}, 3, &out, 1, &attr, 1);
    cr_assert(mc_graph_add_output(g, out));
    const int64_t x = 100;
    const mc_nd xs = op_i64(0, NULL, &x), *in = &xs;
    cr_expect_eq(mc_nd_int(result(&in, 1, out), 0), 100 + 0 + 1 + 2 + 3 + 4);
}

/* Nothing but the condition would end it, and the body says to go on. */
Test(control, a_loop_without_end_is_refused)
{
    const mc_id start = mc_graph_add_input(g, "x", MC_I64, 0, NULL);
    loop_body b = new_loop_body();
    cr_assert(mc_graph_add_output(b.body, b.condition));
    cr_assert(mc_graph_add_output(b.body, b.state));
    const mc_id out = mc_graph_add_value(g, "last");
    mc_attr attr = body_attr("body", b.body);
    add_node(g, "Loop", (mc_id[]){MC_NONE, MC_NONE, start}, 3, &out, 1, &attr, 1);
    cr_assert(mc_graph_add_output(g, out));
    const int64_t x = 1;
    const mc_nd xs = op_i64(0, NULL, &x), *in = &xs;
    cr_expect_eq(try_run(&in, 1), MC_E_UNSUPPORTED);
    cr_expect(strstr(err.text, "it goes on after "), "%s", err.text);
}

/* Each iteration appends x: the state is a sequence, put together behind the loop. */
Test(control, loop_carries_sequences)
{
    const mc_id most = mc_graph_add_input(g, "n", MC_I64, 0, NULL);
    const mc_id x = mc_graph_add_input(g, "x", MC_F32, 1, (int64_t[]){2});
    const mc_id empty = apply(g, "SequenceEmpty", NULL, 0);
    loop_body b = new_loop_body();
    const mc_id more = binary(b.body, "SequenceInsert", b.state, capture(b.body, x));
    cr_assert(mc_graph_add_output(b.body, b.condition));
    cr_assert(mc_graph_add_output(b.body, more));
    const mc_id list = mc_graph_add_value(g, "list");
    mc_attr attr = body_attr("body", b.body);
    add_node(g, "Loop", (mc_id[]){most, MC_NONE, empty}, 3, &list, 1, &attr, 1);
    const mc_id y = apply(g, "ConcatFromSequence", &list, 1);
    cr_assert(mc_node_add_int(g, "axis", 0) && mc_node_add_int(g, "new_axis", 1));
    cr_assert(mc_graph_add_output(g, y));
    const int64_t n = 3;
    const mc_nd ns = op_i64(0, NULL, &n), xs = op_f32(1, (int64_t[]){2}, (float[]){7, 8});
    const mc_nd *in[] = {&ns, &xs};
    for (int pass = 0; pass < 3; pass++)
        expect(result(in, 2, y), "[3, 2] F32", (float[]){7, 8, 7, 8, 7, 8});
}

/* ---- sequences and optionals ---- */

static mc_nd f32_of(int64_t n, const float *x)
{
    return op_f32(1, &n, x);
}

Test(control, sequences_count_and_give_their_items)
{
    const mc_id a = mc_graph_add_input(g, "a", MC_F32, 1, (int64_t[]){1});
    const mc_id b = mc_graph_add_input(g, "b", MC_F32, 1, (int64_t[]){2});
    const int64_t place[] = {-1, 0};
    const mc_id last = mc_graph_const_i64(g, "last", 0, NULL, &place[0]);
    const mc_id first = mc_graph_const_i64(g, "first", 0, NULL, &place[1]);
    const mc_id ab = binary(g, "SequenceConstruct", a, b);
    const mc_id bab = apply(g, "SequenceInsert", (mc_id[]){ab, b, first}, 3);
    const mc_id ba = binary(g, "SequenceErase", bab, last);
    const mc_id outs[] = {apply(g, "SequenceLength", &bab, 1), binary(g, "SequenceAt", ba, last),
                          binary(g, "SequenceAt", ba, first)};
    for (size_t i = 0; i < 3; i++) cr_assert(mc_graph_add_output(g, outs[i]));
    const mc_nd as = f32_of(1, (float[]){1}), bs = f32_of(2, (float[]){2, 3});
    const mc_nd *in[] = {&as, &bs};
    cr_expect_eq(mc_nd_int(result(in, 2, outs[0]), 0), 3);
    expect(mc_run_value(run, outs[1]), "[1] F32", (float[]){1});
    expect(mc_run_value(run, outs[2]), "[2] F32", (float[]){2, 3});
}

static mc_id split(mc_id x, mc_id lengths, int64_t keepdims)
{
    const mc_id parts = apply(g, "SplitToSequence", (mc_id[]){x, lengths}, 2);
    cr_assert(mc_node_add_int(g, "axis", 1) && mc_node_add_int(g, "keepdims", keepdims));
    return parts;
}

static mc_id item(mc_id sequence, int64_t place)
{
    const mc_id at = mc_graph_const_i64(g, "at", 0, NULL, &place);
    const mc_id out = binary(g, "SequenceAt", sequence, at);
    cr_assert(mc_graph_add_output(g, out));
    return out;
}

Test(control, a_tensor_is_split_evenly_by_a_list_or_singly)
{
    const mc_id x = mc_graph_add_input(g, "x", MC_F32, 2, (int64_t[]){2, 3});
    const int64_t two = 2, lengths[] = {0, 3};
    const mc_id even = split(x, mc_graph_const_i64(g, "two", 0, NULL, &two), 1);
    const mc_id listed = split(x, mc_graph_const_i64(g, "list", 1, &two, lengths), 1);
    const mc_id single = split(x, MC_NONE, 0);
    const mc_id rest = item(even, 1), none = item(listed, 0), column = item(single, 2);
    const mc_nd xs = op_f32(2, (int64_t[]){2, 3}, (float[]){1, 2, 3, 4, 5, 6}), *in = &xs;
    expect(result(&in, 1, rest), "[2, 1] F32", (float[]){3, 6});
    expect(mc_run_value(run, none), "[2, 0] F32", NULL);
    expect(mc_run_value(run, column), "[2] F32", (float[]){3, 6});
}

Test(control, optionals_know_whether_they_hold_something)
{
    const mc_id x = mc_graph_add_input(g, "x", MC_F32, 1, (int64_t[]){2});
    const mc_id some = apply(g, "Optional", &x, 1), none = apply(g, "Optional", NULL, 0);
    const mc_id outs[] = {apply(g, "OptionalHasElement", &some, 1),
                          apply(g, "OptionalHasElement", &none, 1),
                          apply(g, "OptionalGetElement", &some, 1)};
    for (size_t i = 0; i < 3; i++) cr_assert(mc_graph_add_output(g, outs[i]));
    const mc_nd xs = f32_of(2, (float[]){4, 5}), *in = &xs;
    cr_expect_eq(mc_nd_int(result(&in, 1, outs[0]), 0), 1);
    cr_expect_eq(mc_nd_int(mc_run_value(run, outs[1]), 0), 0);
    expect(mc_run_value(run, outs[2]), "[2] F32", (float[]){4, 5});
}

Test(control, an_empty_optional_has_nothing_to_give)
{
    const mc_id none = apply(g, "Optional", NULL, 0);
    cr_assert(mc_graph_add_output(g, apply(g, "OptionalGetElement", &none, 1)));
    cr_expect_eq(try_run(NULL, 0), MC_E_FORMAT);
    cr_expect_str_eq(err.text, "m: node 1 'OptionalGetElement' (OptionalGetElement, opset 16): the "
                               "optional has no value");
}

Test(control, tensors_only_is_the_rule_for_other_operators)
{
    const mc_id x = mc_graph_add_input(g, "x", MC_F32, 1, (int64_t[]){2});
    const mc_id list = apply(g, "SequenceConstruct", &x, 1);
    cr_assert(mc_graph_add_output(g, apply(g, "Neg", &list, 1)));
    const mc_nd xs = f32_of(2, (float[]){4, 5}), *in = &xs;
    cr_expect_eq(try_run(&in, 1), MC_E_FORMAT);
    cr_expect_str_eq(err.text, "m: node 1 'Neg' (Neg, opset 16): input 0 is a sequence of 1, not a "
                               "tensor");
}
