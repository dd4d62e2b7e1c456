/* Products with constant matrices become Linear. */
#include "core/site.h"
#include "tests/support/pass_case.h"

#include <criterion/criterion.h>

static const int64_t rows[] = {3, 4}, w_dim[] = {5, 4}, five[] = {5};

/* x [3, 4] by a transposed constant [5, 4]. */
static mc_id product(pass_case *p, mc_dtype dtype)
{
    const mc_id w = pass_op(p, "Transpose", 13, pass_ramp(p, dtype, 2, w_dim), MC_NONE);
    const mc_id y = pass_op(p, "MatMul", 13, pass_in(p, "x", dtype, 2, rows), w);
    p->before->node[p->before->nodes - 1].name = "product";
    return y;
}

static void expect(pass_case *p, size_t linear, size_t nodes, double tolerance)
{
    pass_prepare(p);
    cr_expect_eq(pass_count(p, "Linear"), linear);
    cr_expect_eq(p->after->nodes, nodes);
    pass_same(p, tolerance);
    pass_end(p);
}

Test(pass_linear, from_a_product_by_a_transpose)
{
    static const mc_dtype dtype[] = {MC_F32, MC_F16, MC_BF16, MC_F64};
    for (size_t i = 0; i < 4; i++) {
        pass_case p = pass_begin();
        if (dtype[i] == MC_F64) {
            const mc_id w = pass_op(&p, "Transpose", 13, pass_ramp(&p, MC_F64, 2, w_dim), MC_NONE);
            const mc_id x = pass_op(&p, "Cast", 13, pass_in(&p, "x", MC_F32, 2, rows), MC_NONE);
            mc_node_add_int(p.before, "to", 11);
            pass_out(&p, pass_op(&p, "MatMul", 13, x, w));
            expect(&p, 1, 2, 1e-12);
            continue;
        }
        pass_out(&p, product(&p, dtype[i]));
        expect(&p, 1, 1, dtype[i] == MC_F32 ? 1e-6 : 0x1p-7);
    }
}

Test(pass_linear, takes_the_bias_behind_it_and_keeps_the_products_name)
{
    pass_case p = pass_begin();
    pass_out(&p, pass_op(&p, "Add", 13, pass_ramp(&p, MC_F32, 1, five), product(&p, MC_F32)));
    pass_prepare(&p);
    const mc_node *n = pass_find(&p, "Linear");
    cr_expect_eq(n->ins, 3);
    cr_expect_str_eq(n->name, "product");
    cr_expect_eq(n->origin, 1); /* the MatMul */
    cr_expect_eq(p.after->nodes, 1);
    pass_same(&p, 2e-6);
    pass_end(&p);
}

Test(pass_linear, leaves_what_is_no_bias)
{
    static const int64_t shape[][3] = {{1, 5}, {3, 5}, {1}, {3, 1}, {1, 1, 5}, {5, 1, 5}};
    static const int rank[] = {2, 2, 1, 2, 3, 3};
    for (size_t i = 0; i < 6; i++) {
        pass_case p = pass_begin();
        pass_out(&p, pass_op(&p, "Add", 13, product(&p, MC_F32),
                             pass_ramp(&p, MC_F32, rank[i], shape[i])));
        expect(&p, 1, 2, 1e-6);
    }
}

Test(pass_linear, leaves_a_bias_of_a_sum_that_is_needed_or_rounded)
{
    pass_case p = pass_begin();
    const mc_id y = product(&p, MC_F32);
    pass_out(&p, y);
    pass_out(&p, pass_op(&p, "Add", 13, y, pass_ramp(&p, MC_F32, 1, five)));
    expect(&p, 1, 2, 1e-6);
    p = pass_begin();
    pass_out(&p, pass_op(&p, "Add", 13, product(&p, MC_F16), pass_ramp(&p, MC_F16, 1, five)));
    expect(&p, 1, 2, 0x1p-10);
}

typedef struct {
    int trans_a, trans_b;
    float alpha, beta; /* 0: not said */
    int bias_rank;     /* -1: none */
    int64_t bias[2];
    mc_dtype dtype;
} gemm;

static void expect_gemm(gemm g, size_t linear)
{
    pass_case p = pass_begin();
    const int64_t turned[] = {4, 3}, w_turned[] = {4, 5};
    const mc_id in[] = {pass_in(&p, "x", g.dtype, 2, g.trans_a ? turned : rows),
                        pass_ramp(&p, g.dtype, 2, g.trans_b ? w_dim : w_turned),
                        g.bias_rank < 0 ? MC_NONE : pass_ramp(&p, g.dtype, g.bias_rank, g.bias)};
    pass_out(&p, pass_op_of(&p, "Gemm", 13, in, g.bias_rank < 0 ? 2 : 3));
    if (g.trans_a) mc_node_add_int(p.before, "transA", 1);
    if (g.trans_b) mc_node_add_int(p.before, "transB", 1);
    if (g.alpha > 0) mc_node_add_float(p.before, "alpha", g.alpha);
    if (g.beta > 0) mc_node_add_float(p.before, "beta", g.beta);
    expect(&p, linear, 1, g.dtype == MC_F32 ? 2e-6 : 0x1p-9);
}

Test(pass_linear, from_gemm_without_factors)
{
    expect_gemm((gemm){.trans_b = 1, .bias_rank = -1, .dtype = MC_F32}, 1);
    expect_gemm((gemm){.trans_b = 1, .bias_rank = 1, .bias = {5}, .dtype = MC_F32}, 1);
    expect_gemm((gemm){.trans_b = 1, .bias_rank = 1, .bias = {5}, .dtype = MC_F16}, 1);
}

Test(pass_linear, leaves_other_gemms)
{
    expect_gemm((gemm){.trans_b = 0, .bias_rank = -1, .dtype = MC_F32}, 0);
    expect_gemm((gemm){.trans_a = 1, .trans_b = 1, .bias_rank = -1, .dtype = MC_F32}, 0);
    expect_gemm((gemm){.trans_b = 1, .alpha = 2, .bias_rank = -1, .dtype = MC_F32}, 0);
    expect_gemm((gemm){.trans_b = 1, .beta = 2, .bias_rank = 1, .bias = {5}, .dtype = MC_F32}, 0);
    expect_gemm((gemm){.trans_b = 1, .bias_rank = 2, .bias = {1, 5}, .dtype = MC_F32}, 0);
    expect_gemm((gemm){.trans_b = 1, .bias_rank = 1, .bias = {1}, .dtype = MC_F32}, 0);
    expect_gemm((gemm){.trans_b = 1, .bias_rank = 0, .dtype = MC_F32}, 0);
}

/* Gemm and MatMul also take whole numbers, which Linear does not. */
Test(pass_linear, leaves_whole_numbers)
{
    pass_case p = pass_begin();
    const mc_id x = pass_op(&p, "Cast", 13, pass_in(&p, "x", MC_F32, 2, rows), MC_NONE);
    mc_node_add_int(p.before, "to", 6);
    const mc_id w = pass_ramp(&p, MC_I32, 2, w_dim);
    pass_out(&p, pass_op(&p, "MatMul", 13, x, pass_op(&p, "Transpose", 13, w, MC_NONE)));
    pass_out(&p, pass_op(&p, "Gemm", 13, x, w));
    mc_node_add_int(p.before, "transB", 1);
    expect(&p, 0, 4, 0);
}

Test(pass_linear, keeps_the_site)
{
    pass_case p = pass_begin();
    mc_sites before, after;
    pass_out(&p, pass_op(&p, "Add", 13, product(&p, MC_F32), pass_ramp(&p, MC_F32, 1, five)));
    pass_prepare(&p);
    static unsigned char room[1 << 14];
    mc_arena mem = {room, room + sizeof room};
    cr_assert_eq(mc_sites_find(p.before, &mem, &before, &p.err), MC_OK);
    cr_assert_eq(mc_sites_find(p.after, &mem, &after, &p.err), MC_OK);
    cr_assert_eq(before.sites, 1);
    cr_assert_eq(after.sites, 1);
    cr_expect_eq(after.site[0].weight, before.site[0].weight);
    cr_expect_eq(after.site[0].transposed, before.site[0].transposed);
    cr_expect_str_eq(after.site[0].name, before.site[0].name);
    pass_end(&p);
}
