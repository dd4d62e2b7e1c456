/* Operators as versions of ai.onnx before 7 have them. Wanted numbers are small enough to be worked
 * out by hand from the text of those versions. */
#include "tests/support/op_run.h"

#include "core/op.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

/* 0 to 11 as 2 x 3 x 2. */
static const float twelve[12] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
static const int64_t two_three_two[] = {2, 3, 2};

static void pair(op_case *c, const char *name, int version, mc_nd a, mc_nd b)
{
    *c = op_begin(name, version);
    op_in(c, a);
    op_in(c, b);
}

/* ---- broadcasting ---- */

Test(legacy, a_second_input_stands_at_the_axis_that_is_named)
{
    static const struct {
        int64_t axis; /* 99: none */
        int ndim;
        int64_t dim[3];
        float b[6];
        float want[12];
    } t[] = {
        {99, 1, {2}, {10, 20}, {10, 21, 12, 23, 14, 25, 16, 27, 18, 29, 20, 31}},
        {2, 1, {2}, {10, 20}, {10, 21, 12, 23, 14, 25, 16, 27, 18, 29, 20, 31}},
        {-1, 1, {2}, {10, 20}, {10, 21, 12, 23, 14, 25, 16, 27, 18, 29, 20, 31}},
        {0, 1, {2}, {10, 20}, {10, 11, 12, 13, 14, 15, 26, 27, 28, 29, 30, 31}},
        {1, 1, {3}, {10, 20, 30}, {10, 11, 22, 23, 34, 35, 16, 17, 28, 29, 40, 41}},
        {0, 2, {2, 3}, {0, 10, 20, 30, 40, 50}, {0, 1, 12, 13, 24, 25, 36, 37, 48, 49, 60, 61}},
        {99, 2, {3, 2}, {0, 10, 20, 30, 40, 50}, {0, 11, 22, 33, 44, 55, 6, 17, 28, 39, 50, 61}},
        {99, 2, {3, 1}, {10, 20, 30}, {10, 11, 22, 23, 34, 35, 16, 17, 28, 29, 40, 41}},
        {99, 0, {0}, {10}, {10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21}},
        {2, 2, {1, 1}, {10}, {10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21}},
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        op_case c;
        pair(&c, "Add", i % 2 ? 1 : 6, op_f32(3, two_three_two, twelve),
             op_f32(t[i].ndim, t[i].dim, t[i].b));
        op_int(&c, "broadcast", 1);
        if (t[i].axis != 99) op_int(&c, "axis", t[i].axis);
        op_run(&c);
        op_expect_f32(&c, 0, 3, two_three_two, t[i].want, 0);
        op_end(&c);
    }
}

/* a = [[1, 2, 3], [4, 5, 6]], b = [2, 3] along axis 0. */
Test(legacy, all_arithmetic_aligns_by_the_same_rule)
{
    static const float a[] = {1, 2, 3, 4, 5, 6}, b[] = {2, 3};
    static const struct {
        const char *name;
        float want[6];
    } t[] = {{"Add", {3, 4, 5, 7, 8, 9}},
             {"Sub", {-1, 0, 1, 1, 2, 3}},
             {"Mul", {2, 4, 6, 12, 15, 18}},
             {"Div", {0.5f, 1, 1.5f, 4.0f / 3, 5.0f / 3, 2}},
             {"Pow", {1, 4, 9, 64, 125, 216}}};
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        op_case c;
        pair(&c, t[i].name, 6, op_f32(2, (int64_t[]){2, 3}, a), op_f32(1, (int64_t[]){2}, b));
        op_int(&c, "broadcast", 1);
        op_int(&c, "axis", 0);
        op_run(&c);
        op_expect_f32(&c, 0, 2, (int64_t[]){2, 3}, t[i].want, 1e-6);
        op_end(&c);
    }
}

Test(legacy, all_comparisons_align_by_the_same_rule)
{
    static const float a[] = {1, 2, 3, 4, 5, 6}, b[] = {2, 5};
    static const uint8_t p[] = {0, 1, 0, 1, 0, 1}, q[] = {0, 1};
    static const struct {
        const char *name;
        bool truths;
        int64_t want[6];
    } t[] = {{"Equal", false, {0, 1, 0, 0, 1, 0}},   {"Less", false, {1, 0, 0, 1, 0, 0}},
             {"Greater", false, {0, 0, 1, 0, 0, 1}}, {"And", true, {0, 0, 0, 1, 0, 1}},
             {"Or", true, {0, 1, 0, 1, 1, 1}},       {"Xor", true, {0, 1, 0, 0, 1, 0}}};
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        const mc_dtype dtype = t[i].truths ? MC_BOOL : MC_F32;
        op_case c;
        pair(&c, t[i].name, 6,
             op_nd(dtype, 2, (int64_t[]){2, 3}, t[i].truths ? (const void *)p : a),
             op_nd(dtype, 1, (int64_t[]){2}, t[i].truths ? (const void *)q : b));
        op_int(&c, "broadcast", 1);
        op_int(&c, "axis", 0);
        op_run(&c);
        op_expect_i64(&c, 0, 2, (int64_t[]){2, 3}, t[i].want);
        op_end(&c);
    }
}

Test(legacy, shapes_that_do_not_fit_are_refused)
{
    static const struct {
        const char *name;
        int version;
        bool broadcast;
        int64_t axis; /* 99: none */
        int ndim;
        int64_t dim[4];
    } t[] = {{"Add", 6, false, 99, 1, {2}},   {"Add", 6, false, 99, 0, {0}},
             {"Less", 1, false, 99, 1, {2}},  {"Pow", 1, false, 99, 1, {2}},
             {"Max", 6, false, 99, 1, {2}},   {"Mul", 6, true, 0, 1, {3}},
             {"Mul", 6, true, 2, 2, {3, 2}},  {"Mul", 6, true, -4, 1, {2}},
             {"Mul", 6, true, 3, 1, {2}},     {"Mul", 6, true, 99, 4, {1, 2, 3, 2}},
             {"Mul", 6, true, 1, 2, {3, 1}},  {"Mul", 6, true, 1, 1, {1}},
             {"PRelu", 6, false, 99, 1, {2}}, {"Add", 6, true, 99, 3, {2, 3, 4}}};
    static const float b[24] = {0};
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        const bool fits = i == 10 || i == 11; /* dimensions of 1 stretch */
        op_case c;
        pair(&c, t[i].name, t[i].version, op_f32(3, two_three_two, twelve),
             op_f32(t[i].ndim, t[i].dim, b));
        if (t[i].broadcast) op_int(&c, "broadcast", 1);
        if (t[i].axis != 99) op_int(&c, "axis", t[i].axis);
        cr_expect_eq(op_try(&c), fits ? MC_OK : MC_E_FORMAT, "%zu: %s", i, c.err.text);
        op_end(&c);
    }
}

Test(legacy, from_version_7_on_the_attributes_mean_nothing)
{
    static const float want[] = {10, 21, 12, 23, 14, 25, 16, 27, 18, 29, 20, 31};
    op_case c;
    pair(&c, "Add", 7, op_f32(3, two_three_two, twelve),
         op_f32(1, (int64_t[]){2}, (float[]){10, 20}));
    op_run(&c);
    op_expect_f32(&c, 0, 3, two_three_two, want, 0);
    op_end(&c);
}

Test(legacy, a_slope_is_one_for_each_channel)
{
    static const float x[] = {-1, 2, -3, -4, 5, -6};
    static const struct {
        int ndim, slopes;
        int64_t dim[3];
        float want[6];
    } t[] = {{2, 3, {2, 3}, {-10, 2, -90, -40, 5, -180}},
             {3, 3, {1, 3, 2}, {-10, 2, -60, -80, 5, -180}},
             {1, 6, {6}, {-10, 2, -90, -160, 5, -360}},
             {3, 1, {1, 3, 2}, {-10, 2, -30, -40, 5, -60}}};
    static const float slope[] = {10, 20, 30, 40, 50, 60};
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        op_case c;
        pair(&c, "PRelu", 6, op_f32(t[i].ndim, t[i].dim, x),
             op_f32(1, (int64_t[]){t[i].slopes}, slope));
        op_run(&c);
        op_expect_f32(&c, 0, t[i].ndim, t[i].dim, t[i].want, 0);
        op_end(&c);
    }
}

/* ---- training ---- */

static void batch(op_case *c, int version, const float *x)
{
    static const float scale[] = {1, 2}, bias[] = {0, 1}, mean[] = {1, 2}, var[] = {4, 1};
    const int64_t two[] = {2};
    *c = op_begin("BatchNormalization", version);
    op_float(c, "epsilon", 0);
    op_in(c, op_f32(2, (int64_t[]){2, 2}, x));
    op_in(c, op_f32(1, two, scale));
    op_in(c, op_f32(1, two, bias));
    op_in(c, op_f32(1, two, mean));
    op_in(c, op_f32(1, two, var));
}

Test(legacy, a_node_normalizes_batches_and_drops_nothing_only_when_it_tests)
{
    static const float x[] = {3, 2, 5, 3}, want[] = {1, 1, 2, 3};
    for (int version = 1; version < 7; version += 5) {
        op_case c;
        batch(&c, version, x);
        op_int(&c, "is_test", 1);
        op_run(&c);
        op_expect_f32(&c, 0, 2, (int64_t[]){2, 2}, want, 1e-6);
        op_end(&c);
        batch(&c, version, x);
        cr_expect_eq(op_try(&c), MC_E_UNSUPPORTED);
        cr_expect(strstr(c.err.text, "is_test is 0 in opset"), "%s", c.err.text);
        op_end(&c);

        for (int test = 0; test < 2; test++) {
            c = op_begin("Dropout", version);
            op_int(&c, "is_test", test);
            op_in(&c, op_f32(1, (int64_t[]){4}, x));
            cr_expect_eq(op_try(&c), test ? MC_OK : MC_E_UNSUPPORTED);
            if (test) op_expect_f32(&c, 0, 1, (int64_t[]){4}, x, 0);
            op_end(&c);
        }
    }
}

/* ---- attributes that became inputs, and others ---- */

Test(legacy, a_shape_is_an_attribute_in_version_1)
{
    op_case c = op_begin("Reshape", 1);
    op_ints(&c, "shape", 2, (int64_t[]){0, -1});
    op_in(&c, op_f32(3, two_three_two, twelve));
    op_run(&c);
    op_expect_f32(&c, 0, 2, (int64_t[]){2, 6}, twelve, 0);
    op_end(&c);
    c = op_begin("Reshape", 1);
    op_in(&c, op_f32(3, two_three_two, twelve));
    cr_expect_eq(op_try(&c), MC_E_FORMAT);
    op_end(&c);
}

Test(legacy, a_type_is_named_by_its_name_in_version_1)
{
    op_case c = op_begin("Cast", 1);
    op_text(&c, "to", "INT32");
    op_in(&c, op_f32(1, (int64_t[]){3}, (float[]){-1.5f, 0, 2.75f}));
    op_run(&c);
    op_expect_i64(&c, 0, 1, (int64_t[]){3}, (int64_t[]){-1, 0, 2});
    cr_expect_eq(op_out(&c, 0)->dtype, MC_I32);
    op_end(&c);
    static const char *const wrong[] = {"int32", "COMPLEX64", ""};
    for (size_t i = 0; i < 3; i++) {
        c = op_begin("Cast", 1);
        op_text(&c, "to", wrong[i]);
        op_in(&c, op_f32(0, NULL, twelve));
        cr_expect_eq(op_try(&c), MC_E_UNSUPPORTED);
        op_end(&c);
    }
}

/* Numbers of the input's own type say how long the parts are, and how often something repeats. */
Test(legacy, parameters_may_be_floats_in_version_1)
{
    op_case c = op_begin("Split", 1);
    op_outputs(&c, 2);
    op_int(&c, "axis", 1);
    op_in(&c, op_f32(3, two_three_two, twelve));
    op_in(&c, op_f32(1, (int64_t[]){2}, (float[]){1, 2}));
    op_run(&c);
    op_expect_f32(&c, 0, 3, (int64_t[]){2, 1, 2}, (float[]){0, 1, 6, 7}, 0);
    op_expect_f32(&c, 1, 3, (int64_t[]){2, 2, 2}, (float[]){2, 3, 4, 5, 8, 9, 10, 11}, 0);
    op_end(&c);

    c = op_begin("Tile", 1);
    op_in(&c, op_f32(2, (int64_t[]){2, 2}, twelve));
    op_in(&c, op_f32(1, (int64_t[]){1}, (float[]){2}));
    op_in(&c, op_f32(0, NULL, (float[]){1}));
    op_run(&c);
    op_expect_f32(&c, 0, 2, (int64_t[]){2, 4}, (float[]){0, 1, 0, 1, 2, 3, 2, 3}, 0);
    op_end(&c);
}

Test(legacy, version_1_pads_by_paddings_and_splits_by_an_attribute)
{
    op_case c = op_begin("Pad", 1);
    op_ints(&c, "paddings", 4, (int64_t[]){0, 1, 1, 0});
    op_float(&c, "value", 7);
    op_in(&c, op_f32(2, (int64_t[]){1, 2}, twelve));
    op_run(&c);
    op_expect_f32(&c, 0, 2, (int64_t[]){2, 3}, (float[]){7, 0, 1, 7, 7, 7}, 0);
    op_end(&c);

    c = op_begin("Split", 1);
    op_outputs(&c, 2);
    op_ints(&c, "split", 2, (int64_t[]){1, 3});
    op_in(&c, op_f32(1, (int64_t[]){4}, twelve));
    op_run(&c);
    op_expect_f32(&c, 1, 1, (int64_t[]){3}, (float[]){1, 2, 3}, 0);
    op_end(&c);
}

Test(legacy, images_grow_by_two_scales)
{
    static const char *const mode[] = {"nearest", "bilinear"};
    static const float want[][12] = {{1, 1, 2, 2, 1, 1, 2, 2, 1, 1, 2, 2},
                                     {1, 1.5f, 2, 2, 1, 1.5f, 2, 2, 1, 1.5f, 2, 2}};
    for (size_t i = 0; i < 2; i++) {
        op_case c = op_begin("Upsample", 1);
        op_text(&c, "mode", mode[i]);
        op_float(&c, "height_scale", 3);
        op_float(&c, "width_scale", 2);
        op_in(&c, op_f32(4, (int64_t[]){1, 1, 1, 2}, (float[]){1, 2}));
        op_run(&c);
        op_expect_f32(&c, 0, 4, (int64_t[]){1, 1, 3, 4}, want[i], 0);
        op_end(&c);
    }
    op_case c = op_begin("Upsample", 1); /* width_scale is missing */
    op_float(&c, "height_scale", 3);
    op_in(&c, op_f32(4, (int64_t[]){1, 1, 1, 2}, (float[]){1, 2}));
    cr_expect_eq(op_try(&c), MC_E_FORMAT);
    op_end(&c);
}

/* 1.0507 * 1.6732 * (e^-1 - 1): the defaults of version 1 have four digits. */
Test(legacy, selu_has_its_shorter_constants)
{
    for (int version = 1; version < 7; version += 5) {
        const double alpha = version == 1 ? 1.6732 : 1.67326319217681884765625;
        const double gamma = version == 1 ? 1.0507 : 1.05070102214813232421875;
        const float want[] = {(float)(gamma * alpha * (exp(-1.0) - 1.0)), (float)gamma};
        op_case c = op_begin("Selu", version);
        op_in(&c, op_f32(1, (int64_t[]){2}, (float[]){-1, 1}));
        op_run(&c);
        op_expect_f32(&c, 0, 1, (int64_t[]){2}, want, 2e-7);
        op_end(&c);
    }
}

Test(legacy, clip_has_no_ends_unless_they_are_given)
{
    op_case c = op_begin("Clip", 1);
    op_float(&c, "max", 1);
    op_in(&c, op_f32(1, (int64_t[]){3}, (float[]){-INFINITY, 0.5f, 2}));
    op_run(&c);
    op_expect_f32(&c, 0, 1, (int64_t[]){3}, (float[]){-INFINITY, 0.5f, 1}, 0);
    op_end(&c);
}

/* Operators of version 1 whose later versions only lost consumed_inputs, or learned types. */
Test(legacy, operators_that_only_lost_an_attribute_are_known_from_version_1)
{
    static const char *const name[] = {"Abs",          "Ceil",        "Elu",
                                       "Exp",          "Floor",       "GRU",
                                       "GlobalLpPool", "HardSigmoid", "InstanceNormalization",
                                       "LSTM",         "LeakyRelu",   "Log",
                                       "LpPool",       "Max",         "Mean",
                                       "Min",          "Neg",         "RNN",
                                       "Reciprocal",   "Relu",        "Sigmoid",
                                       "Sqrt",         "Sum",         "Tanh"};
    for (size_t i = 0; i < sizeof name / sizeof *name; i++)
        cr_expect(mc_op_find("", name[i], 1), "%s", name[i]);
}
