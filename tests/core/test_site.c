/* Sites: which nodes multiply activations by which weights, and how they see them. */
#include "core/site.h"

#include <criterion/criterion.h>
#include <string.h>

static mc_region region;
static mc_graph *g;
static mc_id x; /* [1, 4, 8] */
static mc_sites sites;

static void enter(void)
{
    mc_err err = {0};
    cr_assert_eq(mc_region_open(&region, (size_t)1 << 26, &err), MC_OK, "%s", err.text);
    g = mc_graph_new(&region.arena, "g");
    x = mc_graph_add_input(g, "x", MC_F32, 3, (int64_t[]){1, 4, 8});
}

static void leave(void)
{
    mc_region_close(&region);
}

TestSuite(site, .init = enter, .fini = leave);

/* A weight; its numbers do not matter. */
static mc_id weight(const char *name, int ndim, const int64_t *dim)
{
    static const float zero[1024];
    size_t count = 1;
    for (int i = 0; i < ndim; i++) count *= (size_t)dim[i];
    cr_assert_leq(count, sizeof zero / sizeof zero[0]);
    return mc_graph_const_f32(g, name, ndim, dim, zero);
}

static mc_id matrix(const char *name, int64_t rows, int64_t cols)
{
    return weight(name, 2, (int64_t[]){rows, cols});
}

static mc_id ints(const char *name, int64_t value)
{
    return mc_graph_const_i64(g, name, 1, (int64_t[]){1}, &value);
}

static mc_id unary(const char *op, mc_id in, const char *name)
{
    return mc_graph_apply(g, "", op, 13, &in, 1, name);
}

static mc_id binary(const char *op, mc_id a, mc_id b, const char *name)
{
    return mc_graph_apply(g, "", op, 13, (mc_id[]){a, b}, 2, name);
}

static mc_id linear(mc_id in, mc_id w, const char *name)
{
    return mc_graph_apply(g, MC_DOMAIN, "Linear", 1, (mc_id[]){in, w}, 2, name);
}

/* The matrix with its dimensions swapped. */
static mc_id turned(mc_id w, const char *name)
{
    const mc_id y = unary("Transpose", w, name);
    cr_assert(mc_node_add_ints(g, "perm", (int64_t[]){1, 0}, 2));
    return y;
}

static void find(mc_id output)
{
    mc_err err = {0};
    if (output != MC_NONE) cr_assert(mc_graph_add_output(g, output));
    cr_assert_eq(mc_graph_check(g, "g", &err), MC_OK, "%s", err.text);
    cr_assert_eq(mc_sites_find(g, &region.arena, &sites, &err), MC_OK, "%s", err.text);
}

/* The only site, of this weight and kind. */
static const mc_site *only(const char *name, mc_site_kind kind)
{
    cr_assert_eq(sites.sites, 1, "%zu sites", sites.sites);
    cr_expect_str_eq(sites.site[0].weight->name, name);
    cr_expect_eq(sites.site[0].kind, kind);
    return &sites.site[0];
}

Test(site, of_a_convolution)
{
    find(binary("Conv", x, weight("w", 3, (int64_t[]){6, 4, 3}), "conv"));
    const mc_site *s = only("w", MC_SITE_CONV);
    cr_expect_str_eq(s->name, "conv");
    cr_expect(s->weight_input == 1 && s->activation_input == 0);
    cr_expect_not(s->transposed || s->through || s->part || s->router || s->last);
}

Test(site, of_a_transposed_convolution)
{
    find(binary("ConvTranspose", x, weight("w", 3, (int64_t[]){4, 6, 3}), "conv"));
    cr_expect_not(only("w", MC_SITE_CONV_TRANSPOSE)->transposed);
}

/* y = x W: columns of the tensor are outputs. */
Test(site, of_a_product_is_transposed)
{
    find(binary("MatMul", x, matrix("w", 8, 6), "y"));
    const mc_site *s = only("w", MC_SITE_LINEAR);
    cr_expect(s->transposed && s->last);
    cr_expect_not(s->through || s->part);
}

Test(site, of_a_product_with_a_transpose_is_not)
{
    find(binary("MatMul", x, turned(matrix("w", 6, 8), "t"), "y"));
    const mc_site *s = only("w", MC_SITE_LINEAR);
    cr_expect_not(s->transposed);
    cr_expect(s->through);
}

Test(site, of_a_product_with_two_transposes_is_again)
{
    find(binary("MatMul", x, turned(turned(matrix("w", 8, 6), "t"), "u"), "y"));
    cr_expect(only("w", MC_SITE_LINEAR)->transposed);
}

/* W x: tokens run along the other axis. */
Test(site, is_not_a_product_from_the_left)
{
    find(binary("MatMul", matrix("w", 6, 4), x, "y"));
    cr_expect_eq(sites.sites, 0);
}

Test(site, of_gemm_depends_on_transB)
{
    const mc_id rows = mc_graph_add_input(g, "rows", MC_F32, 2, (int64_t[]){4, 8});
    const mc_id a = binary("Gemm", rows, matrix("w", 8, 6), "a");
    const mc_id b = binary("Gemm", rows, matrix("v", 6, 8), "b");
    cr_assert(mc_node_add_int(g, "transB", 1));
    find(binary("Add", a, b, "y"));
    cr_assert_eq(sites.sites, 2);
    cr_expect(sites.site[0].transposed);
    cr_expect_not(sites.site[1].transposed);
}

Test(site, of_linear_sees_through_casts_and_reshapes)
{
    const mc_id w = weight("w", 3, (int64_t[]){2, 3, 8});
    const mc_id shape = mc_graph_const_i64(g, "s", 1, (int64_t[]){2}, (int64_t[]){6, 8});
    const mc_id flat = binary("Reshape", unary("Cast", w, "c"), shape, "r");
    find(linear(x, unary("Identity", flat, "i"), "y"));
    const mc_site *s = only("w", MC_SITE_LINEAR);
    cr_expect(s->through);
    cr_expect_not(s->transposed || s->part);
}

Test(site, is_none_behind_arithmetic)
{
    const mc_id two = weight("two", 1, (int64_t[]){1});
    find(linear(x, binary("Mul", matrix("w", 6, 8), two, "scaled"), "y"));
    cr_expect_eq(sites.sites, 0);
}

Test(site, is_none_without_an_activation)
{
    find(binary("Add", linear(matrix("v", 4, 8), matrix("w", 8, 8), "y"), x, "z"));
    cr_expect_eq(sites.sites, 0);
}

Test(site, of_an_embedding)
{
    const mc_id ids = mc_graph_add_input(g, "ids", MC_I64, 2, (int64_t[]){1, 4});
    find(binary("Gather", matrix("table", 9, 8), ids, "rows"));
    const mc_site *s = only("table", MC_SITE_EMBEDDING);
    cr_expect(s->weight_input == 0 && s->activation_input == 1);
    cr_expect_not(s->last);
}

Test(site, is_no_embedding_along_another_axis)
{
    const mc_id ids = mc_graph_add_input(g, "ids", MC_I64, 1, (int64_t[]){4});
    const mc_id y = binary("Gather", matrix("table", 9, 8), ids, "columns");
    cr_assert(mc_node_add_int(g, "axis", 1));
    find(y);
    cr_expect_eq(sites.sites, 0);
}

/* The table is read by index, and is the head's matrix again. */
Test(site, of_a_tied_table_are_two)
{
    const mc_id ids = mc_graph_add_input(g, "ids", MC_I64, 2, (int64_t[]){1, 4});
    const mc_id table = matrix("table", 9, 8);
    find(linear(binary("Gather", table, ids, "rows"), table, "logits"));
    cr_assert_eq(sites.sites, 2);
    cr_expect_eq(sites.site[0].kind, MC_SITE_EMBEDDING);
    cr_expect_eq(sites.site[1].kind, MC_SITE_LINEAR);
    cr_expect(sites.site[1].last);
    cr_expect_eq(sites.site[0].weight, sites.site[1].weight);
    cr_expect_eq(mc_sites_of(&sites, "table"), &sites.site[0]);
    cr_expect_null(mc_sites_of(&sites, "other"));
}

Test(site, of_a_recurrent_layer_are_two)
{
    const mc_id w = weight("w", 3, (int64_t[]){1, 12, 8}),
                r = weight("r", 3, (int64_t[]){1, 12, 4});
    find(mc_graph_apply(g, "", "GRU", 14, (mc_id[]){x, w, r}, 3, "y"));
    cr_assert_eq(sites.sites, 2);
    cr_expect(sites.site[0].weight_input == 1 && sites.site[1].weight_input == 2);
    cr_expect_eq(sites.site[1].kind, MC_SITE_RECURRENT);
}

Test(site, that_chooses_experts_is_a_router)
{
    const mc_id a = linear(x, matrix("gate", 4, 8), "scores");
    const mc_id gates = mc_graph_apply(g, MC_DOMAIN, "RouteTopK", 1, &a, 1, "gates");
    find(binary("Add", gates, linear(x, matrix("w", 4, 8), "y"), "z"));
    cr_assert_eq(sites.sites, 2);
    cr_expect(sites.site[0].router);
    cr_expect_not(sites.site[1].router);
}

/* Of a chain only the end; what is beside it ends too when it reaches an output by itself. */
Test(site, is_last_when_no_other_follows)
{
    const mc_id a = linear(x, matrix("a", 8, 8), "first");
    const mc_id b = linear(unary("Relu", a, "r"), matrix("b", 8, 8), "second");
    const mc_id c = linear(a, matrix("c", 8, 8), "beside");
    find(binary("Add", unary("Softmax", b, "soft"), c, "y"));
    cr_assert_eq(sites.sites, 3);
    cr_expect_not(sites.site[0].last);
    cr_expect(sites.site[1].last && sites.site[2].last);
}

/* ---- stacks of matrices ---- */

static const int64_t stack[] = {2, 6, 8};

static void split(mc_id in, mc_id out[2])
{
    out[0] = mc_graph_add_value(g, "split.0");
    out[1] = mc_graph_add_value(g, "split.1");
    const mc_node node = {.name = "split",
                          .op = "Split",
                          .version = 18,
                          .in = &in,
                          .ins = 1,
                          .out = out,
                          .outs = 2,
                          .origin = MC_NONE};
    cr_assert(mc_graph_add_node(g, &node));
    cr_assert(mc_node_add_int(g, "num_outputs", 2));
}

Test(site, of_each_part_of_a_split_stack)
{
    const mc_id shape = mc_graph_const_i64(g, "s", 1, (int64_t[]){2}, (int64_t[]){6, 8});
    mc_id part[2];
    split(weight("w", 3, stack), part);
    const mc_id a = linear(x, binary("Reshape", part[0], shape, "m0"), "a");
    const mc_id b = linear(x, binary("Squeeze", part[1], ints("axes", 0), "m1"), "b");
    find(binary("Add", a, b, "y"));
    cr_assert_eq(sites.sites, 2);
    for (size_t i = 0; i < 2; i++) {
        cr_expect_str_eq(sites.site[i].weight->name, "w");
        cr_expect(sites.site[i].part && sites.site[i].through);
        cr_expect_not(sites.site[i].transposed);
    }
}

Test(site, of_a_matrix_gathered_from_a_stack)
{
    const mc_id one = mc_graph_const_i64(g, "one", 0, NULL, (int64_t[]){1});
    const mc_id m = binary("Gather", weight("w", 3, stack), one, "m");
    find(binary("MatMul", x, turned(m, "t"), "y"));
    const mc_site *s = only("w", MC_SITE_LINEAR);
    cr_expect(s->part);
    cr_expect_not(s->transposed);
}

/* Which one is chosen while the model runs: its rows are looked up, no node has a weight. */
Test(site, of_a_stack_that_is_chosen_from_is_its_lookup)
{
    const mc_id id = mc_graph_add_input(g, "id", MC_I64, 0, NULL);
    find(linear(x, binary("Gather", weight("w", 3, stack), id, "m"), "y"));
    only("w", MC_SITE_EMBEDDING);
}

static mc_id slice(mc_id in, int64_t axis)
{
    const mc_id from[] = {in, ints("starts", 0), ints("ends", 1), ints("axes", axis)};
    return mc_graph_apply(g, "", "Slice", 13, from, 4, "slice");
}

Test(site, of_a_slice_of_a_stack)
{
    const mc_id w = weight("w", 3, stack), cut = slice(w, 0);
    const mc_id t = unary("Transpose", cut, "t");
    cr_assert(mc_node_add_ints(g, "perm", (int64_t[]){0, 2, 1}, 3));
    find(binary("MatMul", x, t, "y"));
    const mc_site *s = only("w", MC_SITE_LINEAR);
    cr_expect(s->part);
    cr_expect_not(s->transposed);
}

Test(site, is_none_of_a_slice_along_another_axis)
{
    find(linear(x, slice(weight("w", 3, stack), 1), "y"));
    cr_expect_eq(sites.sites, 0);
}

Test(site, is_none_of_a_part_of_a_matrix)
{
    find(linear(x, slice(matrix("w", 6, 8), 0), "y"));
    cr_expect_eq(sites.sites, 0);
}

/* Another order of dimensions mixes the matrices. */
Test(site, is_none_of_a_stack_that_is_mixed)
{
    const mc_id t = unary("Transpose", weight("w", 3, stack), "t");
    cr_assert(mc_node_add_ints(g, "perm", (int64_t[]){1, 0, 2}, 3));
    find(linear(x, t, "y"));
    cr_expect_eq(sites.sites, 0);
}
