/* Shapes without running: through operators, through nodes that compute shapes, and around what is
 * not known. */
#include "core/exec.h"

#include <criterion/criterion.h>
#include <string.h>

static mc_region region;
static mc_graph *g;
static mc_nd *value;
static mc_err err;

static void enter(void)
{
    cr_assert_eq(mc_region_open(&region, (size_t)1 << 26, &err), MC_OK, "%s", err.text);
    g = mc_graph_new(&region.arena, "g");
}

static void leave(void)
{
    mc_region_close(&region);
}

TestSuite(infer, .init = enter, .fini = leave);

static mc_id apply(const char *op, const mc_id *in, size_t ins)
{
    return mc_graph_apply(g, "", op, 13, in, ins, op);
}

static mc_id ints(const char *name, int64_t n, const int64_t *v)
{
    return mc_graph_const_i64(g, name, 1, &n, v);
}

static mc_status infer(const mc_nd *shape)
{
    value = MC_NEW(&region.arena, mc_nd, g->values);
    return mc_graph_infer(g, shape, value, &region.arena, &err);
}

static void expect_shown(mc_id v, const char *want)
{
    char text[MC_ND_TEXT];
    cr_expect_str_eq(mc_nd_show(&value[v], text), want);
}

Test(infer, shapes_follow_from_inputs)
{
    const mc_id x = mc_graph_add_input(g, "x", MC_F32, 2, (int64_t[]){-1, 4});
    const mc_id w = mc_graph_const_f32(g, "w", 1, (int64_t[]){4}, (float[]){1, 2, 3, 4});
    const mc_id y = apply("Add", (mc_id[]){x, w}, 2);
    cr_assert_eq(infer(NULL), MC_OK, "%s", err.text);
    expect_shown(y, "[?, 4] F32");
    const mc_nd batch = {.dtype = MC_F32, .ndim = 2, .dim = {7, 4}, .count = 28};
    cr_assert_eq(infer(&batch), MC_OK, "%s", err.text);
    expect_shown(y, "[7, 4] F32");
}

/* Reshape(x, Concat(Gather(Shape(x), 0), [-1])), as exporters write a flattening. */
Test(infer, numbers_of_shapes_are_computed_on_the_way)
{
    const mc_id x = mc_graph_add_input(g, "x", MC_F32, 3, (int64_t[]){5, 3, 4});
    const mc_id shape = apply("Shape", &x, 1);
    const mc_id first = apply("Gather", (mc_id[]){shape, ints("zero", 1, (int64_t[]){0})}, 2);
    const mc_id rest = ints("rest", 1, (int64_t[]){-1});
    const mc_id target = apply("Concat", (mc_id[]){first, rest}, 2);
    cr_assert(mc_node_add_int(g, "axis", 0));
    const mc_id y = apply("Reshape", (mc_id[]){x, target}, 2);
    cr_assert_eq(infer(NULL), MC_OK, "%s", err.text);
    cr_assert_not_null(value[target].data);
    cr_expect_eq(mc_nd_int(&value[target], 0), 5);
    expect_shown(y, "[5, 12] F32");
}

Test(infer, an_unknown_operator_leaves_what_the_graph_says)
{
    const mc_id x = mc_graph_add_input(g, "x", MC_F32, 2, (int64_t[]){2, 4});
    const mc_id odd = mc_graph_apply(g, "com.acme", "FooBar", 3, &x, 1, "odd");
    const mc_id y = apply("Relu", &odd, 1);
    cr_assert_eq(infer(NULL), MC_OK, "%s", err.text);
    expect_shown(odd, "[...] ?");

    g->value[odd].dtype = MC_F32;
    g->value[odd].ndim = 2;
    memcpy(g->value[odd].dim, ((int64_t[]){2, 9}), 2 * sizeof(int64_t));
    cr_assert_eq(infer(NULL), MC_OK, "%s", err.text);
    expect_shown(y, "[2, 9] F32");

    /* It holds for the shapes in the graph, not for others. */
    const mc_nd batch = {.dtype = MC_F32, .ndim = 2, .dim = {7, 4}, .count = 28};
    cr_assert_eq(infer(&batch), MC_OK, "%s", err.text);
    expect_shown(y, "[...] ?");
}

Test(infer, shapes_that_contradict_are_refused)
{
    const mc_id x = mc_graph_add_input(g, "x", MC_F32, 1, (int64_t[]){3});
    const mc_id w = mc_graph_const_f32(g, "w", 1, (int64_t[]){4}, (float[]){1, 2, 3, 4});
    (void)apply("Add", (mc_id[]){x, w}, 2);
    cr_expect_eq(infer(NULL), MC_E_FORMAT);
    cr_expect_str_eq(err.text, "node 0 'Add' (Add, opset 13): shapes [3] F32 and [4] F32 do not "
                               "fit each other");
}

Test(infer, large_constants_are_not_followed)
{
    enum { MANY = 5000 };
    static int64_t zeros[MANY];
    const mc_id big = ints("big", MANY, zeros), y = apply("Neg", &big, 1);
    cr_assert_eq(infer(NULL), MC_OK, "%s", err.text);
    cr_expect_null(value[big].data);
    cr_expect_null(value[y].data);
    expect_shown(y, "[5000] I64");
}

Test(infer, goes_on_without_numbers_when_memory_is_short)
{
    const int64_t forty[40] = {0};
    const mc_id a = ints("a", 40, forty), y = apply("Neg", &a, 1);
    value = MC_NEW(&region.arena, mc_nd, g->values);
    mc_arena small = {region.arena.at, region.arena.at + 640};
    cr_assert_eq(mc_graph_infer(g, NULL, value, &small, &err), MC_OK, "%s", err.text);
    expect_shown(y, "[40] I64");
}
