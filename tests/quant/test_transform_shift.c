/* Shifts: inputs brought to the middle of their range, high biases absorbed. */
#include "tests/support/golden_model.h"
#include "tests/support/transformed.h"

#include <criterion/criterion.h>
#include <math.h>

enum { IN = 5, C = 4, OUT = 3 };

/* matrix + b, ReLU when asked, matrix + d. */
static transformed layers(bool bends, const float *b)
{
    transformed t = transformed_begin();
    mc_id y = transformed_in(&t, 2, (int64_t[]){9, IN});
    const mc_id w = transformed_weight(&t, "a", 2, (uint64_t[]){IN, C}, NULL);
    const mc_id bias = transformed_weight(&t, "b", 1, (uint64_t[]){C}, b);
    y = transformed_node(&t, "MatMul", "first", (mc_id[]){y, w}, 2);
    y = transformed_node(&t, "Add", "first.added", (mc_id[]){y, bias}, 2);
    if (bends) y = transformed_node(&t, "Relu", "relu", &y, 1);
    const mc_id v = transformed_weight(&t, "c", 2, (uint64_t[]){C, OUT}, NULL);
    const mc_id last = transformed_weight(&t, "d", 1, (uint64_t[]){OUT}, NULL);
    y = transformed_node(&t, "MatMul", "last", (mc_id[]){y, v}, 2);
    y = transformed_node(&t, "Add", "last.added", (mc_id[]){y, last}, 2);
    mc_graph_add_output(t.model.graph, y);
    transformed_ready(&t);
    return t;
}

static const float high[C] = {9, 0.1f, -3, 20};

Test(transform_shift, centres_the_range_of_each_channel)
{
    transformed t = layers(false, high);
    float before[C], after[C];
    transformed_absmax(&t, t.places.place[0].to, C, before);
    transformed_apply(&t, "shift", NULL);
    transformed_absmax(&t, t.places.place[0].to, C, after);
    cr_expect_gt(before[3], 15.0f);
    for (size_t c = 0; c < C; c++) cr_expect_lt(after[c], 3.0f); /* the spread alone is left */
    cr_expect_leq(transformed_distance(&t), 1e-5);

    const float *b = transformed_tensor(&t, "b"); /* shifting again does nothing */
    transformed_apply(&t, "shift", NULL);
    const float *again = transformed_tensor(&t, "b");
    for (size_t c = 0; c < C; c++) cr_expect_float_eq((double)b[c], (double)again[c], 1e-5);
    transformed_close(&t);
}

Test(transform_shift, stays_out_where_a_relu_stands_between)
{
    transformed t = layers(true, high);
    cr_expect_eq(transformed_try(&t, "shift", NULL), MC_E_UNSUPPORTED);
    cr_expect_str_eq(t.err.text,
                     "the model has no place to shift: biases on both sides of a norm's "
                     "or a layer's outputs");
    transformed_close(&t);
}

Test(transform_shift, absorb_takes_what_all_inputs_lie_above)
{
    transformed t = layers(true, high);
    transformed_apply(&t, "absorb", NULL);
    const float *b = transformed_tensor(&t, "b");
    cr_expect_lt(b[0], 7.0f);    /* some of 9 */
    cr_expect_lt(b[3], 5.0f);    /* and most of 20 */
    cr_expect_eq(b[1], high[1]); /* values reach 0: nothing */
    cr_expect_eq(b[2], high[2]);
    cr_expect_leq(transformed_distance(&t), 1e-5);
    transformed_close(&t);
}

/* Ninth powers: mostly next to 0, a few near -1, further than three deviations below the mean. */
Test(transform_shift, absorb_cuts_no_input_off)
{
    enum { ROWS = 400 };
    const float nine = 9, weight[IN * C] = {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1};
    const float bias[C] = {3, 3, 3, 3};
    transformed t = transformed_begin();
    mc_id y = transformed_in(&t, 2, (int64_t[]){ROWS, IN});
    const mc_id power = mc_graph_const_f32(t.model.graph, "nine", 0, NULL, &nine);
    y = transformed_node(&t, "Pow", "power", (mc_id[]){y, power}, 2);
    const mc_id w = transformed_weight(&t, "a", 2, (uint64_t[]){IN, C}, weight);
    const mc_id b = transformed_weight(&t, "b", 1, (uint64_t[]){C}, bias);
    y = transformed_node(&t, "MatMul", "first", (mc_id[]){y, w}, 2);
    y = transformed_node(&t, "Add", "first.added", (mc_id[]){y, b}, 2);
    y = transformed_node(&t, "Relu", "relu", &y, 1);
    const mc_id v = transformed_weight(&t, "c", 2, (uint64_t[]){C, OUT}, NULL);
    const mc_id last = transformed_weight(&t, "d", 1, (uint64_t[]){OUT}, NULL);
    y = transformed_node(&t, "MatMul", "last", (mc_id[]){y, v}, 2);
    y = transformed_node(&t, "Add", "last.added", (mc_id[]){y, last}, 2);
    mc_graph_add_output(t.model.graph, y);
    transformed_ready(&t);
    transformed_apply(&t, "absorb", NULL);
    const float *less = transformed_tensor(&t, "b");
    for (size_t i = 0; i < C; i++) cr_expect_lt(less[i], 1.2f);
    cr_expect_leq(transformed_distance(&t), 1e-5);
    transformed_close(&t);
}

Test(transform_shift, absorb_says_that_there_is_no_place)
{
    char path[512];
    transformed t = transformed_open(golden_path("llama", "", path));
    cr_expect_eq(transformed_try(&t, "absorb", NULL), MC_E_UNSUPPORTED);
    cr_expect_str_eq(t.err.text, "the model has no place to absorb biases: two layers with biases, "
                                 "the second without padding");
    transformed_close(&t);
}

/* BatchNormalization behind the second layer multiplies what the shift adds. */
Test(transform_shift, comes_back_through_a_norm_behind_the_consumer)
{
    transformed t = transformed_begin();
    mc_id y = transformed_in(&t, 4, (int64_t[]){2, IN, 3, 3});
    const mc_id a = transformed_weight(&t, "a", 4, (uint64_t[]){C, IN, 1, 1}, NULL);
    const mc_id b = transformed_weight(&t, "b", 1, (uint64_t[]){C}, high);
    y = transformed_node(&t, "Conv", "first", (mc_id[]){y, a, b}, 3);
    const mc_id c = transformed_weight(&t, "c", 4, (uint64_t[]){OUT, C, 2, 2}, NULL);
    y = transformed_node(&t, "Conv", "last", (mc_id[]){y, c}, 2);
    const float variance[OUT] = {0.3f, 2, 7};
    mc_id in[5] = {y};
    in[1] = transformed_weight(&t, "d", 1, (uint64_t[]){OUT}, NULL);
    in[2] = transformed_weight(&t, "e", 1, (uint64_t[]){OUT}, NULL);
    in[3] = transformed_weight(&t, "f", 1, (uint64_t[]){OUT}, NULL);
    in[4] = transformed_weight(&t, "g", 1, (uint64_t[]){OUT}, variance);
    mc_graph_add_output(t.model.graph, transformed_node(&t, "BatchNormalization", "norm", in, 5));
    transformed_ready(&t);
    transformed_apply(&t, "shift", NULL);
    cr_expect_gt(mc_edits_of(t.edits, mc_model_find(&t.model, "e")), 0u);
    cr_expect_leq(transformed_distance(&t), 1e-5);
    transformed_close(&t);
}
