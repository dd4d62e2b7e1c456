/* Activations written out: found in every spelling, left alone where they nearly are. */
#include "tests/support/pass_case.h"

#include <criterion/criterion.h>

static const int64_t shape[] = {3, 5};

static mc_id by(pass_case *p, const char *op, mc_id a, float b)
{
    return pass_op(p, op, 13, a, pass_number(p, 0, b));
}

static mc_id one(pass_case *p, const char *op, mc_id a)
{
    return pass_op(p, op, 13, a, MC_NONE);
}

static mc_id times(pass_case *p, mc_id a, mc_id b)
{
    return pass_op(p, "Mul", 13, a, b);
}

/* The node that the graph is but for what leads to x; `tolerance` of its f32 steps. */
static void expect(pass_case *p, mc_id y, const char *op, const char *approximate)
{
    pass_out(p, y);
    pass_prepare(p);
    cr_expect_eq(pass_count(p, op), 1);
    cr_expect_eq(p->after->nodes, 1);
    if (approximate)
        cr_expect_str_eq(mc_node_text(pass_find(p, op), "approximate", "?"), approximate);
    cr_expect_eq(pass_find(p, op)->origin, p->before->nodes - 1);
    pass_same(p, 2e-6);
    pass_end(p);
}

/* Nothing was replaced: as many nodes as before. */
static void expect_left(pass_case *p, mc_id y)
{
    if (y != MC_NONE) pass_out(p, y);
    pass_prepare(p);
    cr_expect_eq(p->after->nodes, p->before->nodes);
    pass_same(p, 0);
    pass_end(p);
}

#define CASE                    \
    pass_case p = pass_begin(); \
    const mc_id x = pass_in(&p, "x", MC_F32, 2, shape)

/* ---- Gelu ---- */

static mc_id erf_gate(pass_case *p, mc_id x)
{
    return by(p, "Add", one(p, "Erf", by(p, "Div", x, 1.41421356f)), 1);
}

Test(pass_activations, gelu_by_erf)
{
    CASE;
    expect(&p, by(&p, "Mul", times(&p, x, erf_gate(&p, x)), 0.5f), "Gelu", "none");
}

Test(pass_activations, gelu_by_erf_with_its_half_in_front)
{
    CASE;
    expect(&p, times(&p, erf_gate(&p, x), by(&p, "Mul", x, 0.5f)), "Gelu", "none");
}

Test(pass_activations, gelu_by_erf_with_its_half_on_the_gate_or_as_a_division)
{
    CASE;
    const mc_id gate = one(&p, "Erf", by(&p, "Mul", x, 0.70710678f));
    const mc_id half = by(&p, "Div", pass_op(&p, "Add", 13, pass_number(&p, 1, 1), gate), 2);
    expect(&p, times(&p, half, x), "Gelu", "none");
}

static mc_id tanh_gate(pass_case *p, mc_id x, mc_id cube)
{
    const mc_id sum = pass_op(p, "Add", 13, x, cube);
    return by(p, "Add", one(p, "Tanh", by(p, "Mul", sum, 0.7978845608f)), 1);
}

Test(pass_activations, gelu_by_tanh_with_a_power)
{
    CASE;
    const mc_id cube = by(&p, "Mul", by(&p, "Pow", x, 3), 0.044715f);
    expect(&p, times(&p, by(&p, "Mul", x, 0.5f), tanh_gate(&p, x, cube)), "Gelu", "tanh");
}

Test(pass_activations, gelu_by_tanh_with_products)
{
    CASE;
    const mc_id cube = times(&p, times(&p, by(&p, "Mul", x, 0.044715f), x), x);
    expect(&p, by(&p, "Mul", times(&p, x, tanh_gate(&p, x, cube)), 0.5f), "Gelu", "tanh");
}

Test(pass_activations, gelu_by_tanh_with_x_taken_out)
{
    CASE;
    const mc_id bend = by(&p, "Add", by(&p, "Mul", times(&p, x, x), 0.044715f), 1);
    const mc_id in = times(&p, by(&p, "Mul", x, 0.7978845608f), bend);
    const mc_id gate = by(&p, "Add", one(&p, "Tanh", in), 1);
    expect(&p, times(&p, by(&p, "Mul", x, 0.5f), gate), "Gelu", "tanh");
}

Test(pass_activations, gelu_of_a_product_that_is_needed_itself)
{
    CASE;
    const mc_id y = times(&p, x, x);
    pass_out(&p, by(&p, "Mul", times(&p, y, erf_gate(&p, y)), 0.5f));
    pass_prepare(&p);
    cr_expect_eq(pass_count(&p, "Gelu"), 1);
    cr_expect_eq(p.after->nodes, 2);
    pass_same(&p, 2e-6);
    pass_end(&p);
}

Test(pass_activations, leaves_gelu_with_other_numbers)
{
    static const float root[] = {1.41421356f, 1.4142f, 1.41421356f, 1.41421356f};
    static const float plus[] = {1.0f, 1.0f, 1.001f, 1.0f}, half[] = {0.501f, 0.5f, 0.5f, -0.5f};
    for (int i = 0; i < 4; i++) {
        CASE;
        const mc_id gate = by(&p, "Add", one(&p, "Erf", by(&p, "Div", x, root[i])), plus[i]);
        expect_left(&p, by(&p, "Mul", times(&p, x, gate), half[i]));
    }
}

Test(pass_activations, leaves_gelu_by_tanh_with_other_numbers)
{
    static const float factor[] = {0.0447f, 0.044715f, 0.044715f}, power[] = {3, 2, 3};
    static const float root[] = {0.7978845608f, 0.7978845608f, 0.7979f};
    for (int i = 0; i < 3; i++) {
        CASE;
        const mc_id cube = by(&p, "Mul", by(&p, "Pow", x, power[i]), factor[i]);
        const mc_id sum = pass_op(&p, "Add", 13, x, cube);
        const mc_id gate = by(&p, "Add", one(&p, "Tanh", by(&p, "Mul", sum, root[i])), 1);
        expect_left(&p, times(&p, by(&p, "Mul", x, 0.5f), gate));
    }
}

Test(pass_activations, leaves_a_gate_of_something_else)
{
    CASE;
    const mc_id other = pass_in(&p, "z", MC_F32, 2, shape);
    expect_left(&p, by(&p, "Mul", times(&p, x, erf_gate(&p, other)), 0.5f));
}

Test(pass_activations, leaves_what_is_needed_from_inside)
{
    CASE;
    const mc_id gate = erf_gate(&p, x);
    pass_out(&p, gate);
    expect_left(&p, by(&p, "Mul", times(&p, x, gate), 0.5f));
}

/* ---- SiLU, HardSwish ---- */

Test(pass_activations, silu)
{
    CASE;
    expect(&p, times(&p, one(&p, "Sigmoid", x), x), "SiLU", NULL);
}

Test(pass_activations, silu_inside_a_longer_product)
{
    CASE;
    const mc_id up = pass_in(&p, "z", MC_F32, 2, shape);
    pass_out(&p, times(&p, times(&p, x, one(&p, "Sigmoid", x)), up));
    pass_prepare(&p);
    cr_expect_eq(pass_count(&p, "SiLU"), 1);
    cr_expect_eq(p.after->nodes, 2);
    pass_same(&p, 2e-6);
    pass_end(&p);
}

Test(pass_activations, leaves_sigmoid_of_a_multiple)
{
    CASE;
    expect_left(&p, times(&p, one(&p, "Sigmoid", by(&p, "Mul", x, 1.702f)), x));
}

static mc_id hard_gate(pass_case *p, mc_id x, float shift, float high, mc_id *clip)
{
    const mc_id in[] = {by(p, "Add", x, shift), pass_number(p, 0, 0), pass_number(p, 0, high)};
    *clip = pass_op_of(p, "Clip", 13, in, 3);
    return *clip;
}

Test(pass_activations, hard_swish_divided_behind_before_or_by_a_factor)
{
    mc_id clip;
    for (int i = 0; i < 3; i++) {
        CASE;
        const mc_id gate = hard_gate(&p, x, 3, 6, &clip);
        const mc_id y = i == 0   ? by(&p, "Div", times(&p, x, gate), 6)
                        : i == 1 ? times(&p, x, by(&p, "Div", gate, 6))
                                 : by(&p, "Mul", times(&p, x, gate), 1.0f / 6.0f);
        expect(&p, y, "HardSwish", NULL);
    }
}

Test(pass_activations, hard_swish_by_the_older_clip)
{
    CASE;
    const mc_id clip = pass_op(&p, "Clip", 6, by(&p, "Add", x, 3), MC_NONE);
    mc_node_add_float(p.before, "min", 0);
    mc_node_add_float(p.before, "max", 6);
    expect(&p, by(&p, "Div", times(&p, x, clip), 6), "HardSwish", NULL);
}

Test(pass_activations, hard_swish_by_hard_sigmoid)
{
    for (int i = 0; i < 2; i++) {
        CASE;
        const mc_id gate = one(&p, "HardSigmoid", x);
        mc_node_add_float(p.before, "alpha", i == 0 ? 1.0f / 6.0f : 0.2f);
        const mc_id y = times(&p, x, gate);
        if (i == 0)
            expect(&p, y, "HardSwish", NULL);
        else
            expect_left(&p, y); /* alpha of HardSigmoid's own */
    }
}

Test(pass_activations, leaves_hard_swish_with_other_numbers)
{
    static const float shift[] = {3, 3, 2.9f}, high[] = {6, 6.1f, 6}, by_what[] = {5, 6, 6};
    mc_id clip;
    for (int i = 0; i < 3; i++) {
        CASE;
        const mc_id gate = hard_gate(&p, x, shift[i], high[i], &clip);
        expect_left(&p, by(&p, "Div", times(&p, x, gate), by_what[i]));
    }
}

/* ---- types and shapes ---- */

Test(pass_activations, leaves_small_floats)
{
    pass_case p = pass_begin();
    const mc_id x = pass_in(&p, "x", MC_F16, 2, shape);
    expect_left(&p, times(&p, one(&p, "Sigmoid", x), x));
}

/* A number of three dimensions makes three of x's two. */
Test(pass_activations, leaves_numbers_that_add_dimensions)
{
    CASE;
    const mc_id product = times(&p, x, erf_gate(&p, x));
    expect_left(&p, pass_op(&p, "Mul", 13, product, pass_number(&p, 3, 0.5f)));
}

Test(pass_activations, survives_nodes_without_inputs)
{
    static const char *const op[] = {"Sigmoid", "HardSigmoid", "Clip", "Erf", "Tanh", "Pow", "Add"};
    for (size_t i = 0; i < sizeof op / sizeof op[0]; i++) {
        CASE;
        const mc_id none = pass_op_of(&p, op[i], 13, NULL, 0);
        pass_out(&p, times(&p, x, none));
        pass_out(&p, by(&p, "Mul", times(&p, x, by(&p, "Add", none, 1)), 0.5f));
        pass_out(&p, times(&p, MC_NONE, MC_NONE));
        pass_prepare(&p);
        pass_end(&p);
    }
}
