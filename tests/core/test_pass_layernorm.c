/* Normalizations written out: found where they are ones, left alone where they nearly are. */
#include "tests/support/pass_case.h"

#include <criterion/criterion.h>

/* What differs from x / sqrt(mean(x^2) + 1e-5) * scale. */
typedef struct {
    bool centred, shifted;
    bool by_products; /* x * x, 1 / …, Mul instead of Pow, Div */
    bool epsilon_outside, mean_of_rows, cubed, x_is_output, squares_another;
    int more_dims;  /* of epsilon, beyond x's */
    int64_t scales; /* 0: as many as x's last axis */
    mc_dtype dtype; /* 0: F32 */
} spelling;

static const int64_t three[] = {2, 3, 4};

static mc_id number_of(pass_case *p, const spelling *s, int ndim, float value)
{
    const mc_id f32 = pass_number(p, ndim, value);
    if (!s->dtype) return f32;
    mc_tensor *t = MC_NEW(p->before->mem, mc_tensor, 1);
    unsigned char *data = mc_alloc(p->before->mem, 8, 1);
    *t = *p->before->value[f32].constant;
    mc_from_f32(s->dtype, &value, data, 1);
    t->dtype = s->dtype;
    t->bytes = mc_dtype_about(s->dtype)->bits / 8;
    t->data = data;
    return mc_graph_add_constant(p->before, t);
}

static mc_id mean(pass_case *p, const spelling *s, mc_id x)
{
    const int64_t axis = s->mean_of_rows ? 1 : -1;
    const mc_id y = pass_op(p, "ReduceMean", 13, x, MC_NONE);
    mc_node_add_ints(p->before, "axes", &axis, 1);
    return y;
}

static mc_id normalized(pass_case *p, const spelling *s, mc_id x, mc_id other)
{
    const int dims = 3 + s->more_dims;
    const mc_id of = s->squares_another ? other : x;
    const mc_id square = s->by_products
                             ? pass_op(p, "Mul", 13, of, of)
                             : pass_op(p, "Pow", 13, of, number_of(p, s, 0, s->cubed ? 3 : 2));
    const mc_id power = mean(p, s, square),
                epsilon = number_of(p, s, s->more_dims ? dims : 0, 1e-3f);
    const mc_id root = s->epsilon_outside
                           ? pass_op(p, "Add", 13, pass_op(p, "Sqrt", 13, power, MC_NONE), epsilon)
                           : pass_op(p, "Sqrt", 13, pass_op(p, "Add", 13, epsilon, power), MC_NONE);
    if (!s->by_products) return pass_op(p, "Div", 13, x, root);
    return pass_op(p, "Mul", 13, pass_op(p, "Div", 13, number_of(p, s, 0, 1), root), x);
}

static mc_id build(pass_case *p, const spelling *s)
{
    const mc_dtype dtype = s->dtype ? s->dtype : MC_F32;
    mc_id x = pass_in(p, "x", dtype, 3, three);
    const int64_t scales = s->scales ? s->scales : 4;
    const mc_id scale = pass_ramp(p, dtype, 1, &scales), other = x;
    if (s->centred) x = pass_op(p, "Sub", 13, x, mean(p, &(spelling){.dtype = s->dtype}, x));
    mc_id y = normalized(p, s, x, other);
    if (s->x_is_output) pass_out(p, y);
    y = pass_op(p, "Mul", 13, scale, y);
    if (s->shifted) y = pass_op(p, "Add", 13, y, pass_ramp(p, dtype, 1, &scales));
    pass_out(p, y);
    return y;
}

static void expect(spelling s, const char *op, size_t n)
{
    pass_case p = pass_begin();
    (void)build(&p, &s);
    pass_prepare(&p);
    cr_expect_eq(pass_count(&p, "RMSNormalization") + pass_count(&p, "LayerNormalization"), n);
    if (n) cr_expect_eq(pass_count(&p, op), 1);
    if (n) cr_expect_eq(p.after->nodes, s.shifted && !s.centred ? 2 : 1);
    pass_same(&p, s.dtype == MC_F16 || s.dtype == MC_BF16 ? 0.0 : 2e-6);
    pass_end(&p);
}

Test(pass_layernorm, is_found_however_it_is_spelled)
{
    expect((spelling){0}, "RMSNormalization", 1);
    expect((spelling){.by_products = true}, "RMSNormalization", 1);
    expect((spelling){.shifted = true}, "RMSNormalization", 1);
    expect((spelling){.centred = true}, "LayerNormalization", 1);
    expect((spelling){.centred = true, .shifted = true}, "LayerNormalization", 1);
    expect((spelling){.centred = true, .shifted = true, .by_products = true}, "LayerNormalization",
           1);
}

Test(pass_layernorm, leaves_what_only_looks_like_one)
{
    expect((spelling){.epsilon_outside = true}, "", 0);
    expect((spelling){.mean_of_rows = true}, "", 0);
    expect((spelling){.cubed = true}, "", 0);
    expect((spelling){.x_is_output = true}, "", 0);
    expect((spelling){.squares_another = true, .centred = true}, "", 0);
    expect((spelling){.more_dims = 1}, "", 0);
    expect((spelling){.scales = 1}, "", 0);
}

/* Every step of F16 and BF16 is rounded: one node would give other numbers. F64 is not f32. */
Test(pass_layernorm, is_for_f32_alone)
{
    expect((spelling){.dtype = MC_F16}, "", 0);
    expect((spelling){.dtype = MC_BF16, .centred = true}, "", 0);
}

Test(pass_layernorm, keeps_epsilon_name_and_origin)
{
    pass_case p = pass_begin();
    (void)build(&p, &(spelling){.centred = true, .shifted = true});
    pass_prepare(&p);
    const mc_node *n = pass_find(&p, "LayerNormalization");
    cr_expect_eq(n->origin, p.before->nodes - 1);
    cr_expect_str_eq(n->name, p.before->node[p.before->nodes - 1].name);
    cr_expect_eq((float)mc_node_float(n, "epsilon", 0), 1e-3f);
    cr_expect_eq(mc_node_int(n, "axis", 0), -1);
    cr_expect_str_eq(p.after->value[n->in[0]].name, "x");
    pass_end(&p);
}

/* x has one column, which the scale spreads to four. */
Test(pass_layernorm, leaves_a_scale_that_spreads)
{
    pass_case p = pass_begin();
    const mc_id x = pass_in(&p, "x", MC_F32, 2, (int64_t[]){3, 1});
    const int64_t four = 4;
    const mc_id y = normalized(&p, &(spelling){0}, x, x);
    pass_out(&p, pass_op(&p, "Mul", 13, y, pass_ramp(&p, MC_F32, 1, &four)));
    pass_prepare(&p);
    cr_expect_eq(pass_count(&p, "RMSNormalization"), 0);
    pass_same(&p, 0);
    pass_end(&p);
}

/* Nodes that lack their inputs are refused by who runs them, not here. */
Test(pass_layernorm, survives_nodes_without_inputs)
{
    static const char *const op[] = {"Mul", "Div", "Sqrt", "Add", "ReduceMean", "Pow", "Sub"};
    for (size_t last = 0; last < sizeof op / sizeof op[0]; last++) {
        pass_case p = pass_begin();
        const int64_t n = 4;
        mc_id in = pass_in(&p, "x", MC_F32, 1, &n);
        const mc_id x = in, none = pass_op_of(&p, op[last], 13, NULL, 0);
        for (size_t i = last; i-- > 0;) in = pass_op(&p, op[i], 13, none, i > 1 ? MC_NONE : x);
        pass_out(&p, pass_op(&p, "Mul", 13, in, pass_ramp(&p, MC_F32, 1, &n)));
        pass_out(&p, none);
        pass_prepare(&p);
        pass_end(&p);
    }
}
