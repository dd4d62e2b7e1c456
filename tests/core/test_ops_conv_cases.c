/* Conv and ConvTranspose: numbers of ONNX Runtime 1.31 on inputs for which every sum is exact, and
 * what is refused. */
#include "tests/support/op_run.h"

#include <criterion/criterion.h>
#include <string.h>

static float x_data[512], w_data[512];

/* ---- numbers of ONNX Runtime ---- */

/* x: quarters from -5/4 to 5/4; w: eighths from -3/8 to 3/8; so that sums are exact. */
static mc_nd quarters(int ndim, const int64_t *dim)
{
    mc_nd t = op_f32(ndim, dim, x_data);
    for (size_t i = 0; i < t.count; i++) x_data[i] = (float)((int)(i * 7 % 11) - 5) / 4.0f;
    return t;
}

static mc_nd eighths(int ndim, const int64_t *dim)
{
    mc_nd t = op_f32(ndim, dim, w_data);
    for (size_t i = 0; i < t.count; i++) w_data[i] = (float)((int)(i * 5 % 7) - 3) / 8.0f;
    return t;
}

static const float bias_data[] = {-1.5f, -0.5f, 0.5f, 1.5f};

Test(conv, takes_groups_strides_dilations_and_uneven_pads)
{
    static const float want[] = {
        -1.96875f, -1.21875f, -1.84375f, -2.125f,   -1.46875f, -1.84375f, -1.71875f, -2.0625f,
        -1.71875f, -1.71875f, -1.75f,    -0.59375f, 0.625f,    -0.125f,   -0.53125f, -0.25f,
        -0.65625f, -0.40625f, 0.5f,      -0.40625f, -0.625f,   -0.5f,     -0.4375f,  -1.375f,
        0.8125f,   1.625f,    0.71875f,  -0.1875f,  0.8125f,   0.8125f,   1.8125f,   1.375f,
        -0.09375f, 0.15625f,  0.75f,     -0.375f,   1.125f,    1.09375f,  1.40625f,  1.375f,
        1.53125f,  1.28125f,  1.09375f,  0.9375f,   1.46875f,  2.0f,      1.15625f,  2.40625f};
    op_case c = op_begin("Conv", 11);
    op_int(&c, "group", 2);
    op_ints(&c, "strides", 2, (int64_t[]){2, 1});
    op_ints(&c, "dilations", 2, (int64_t[]){1, 2});
    op_ints(&c, "pads", 4, (int64_t[]){1, 0, 0, 2});
    op_in(&c, quarters(4, (int64_t[]){1, 4, 5, 6}));
    op_const(&c, eighths(4, (int64_t[]){4, 2, 3, 2}));
    op_const(&c, op_f32(1, (int64_t[]){4}, bias_data));
    op_run(&c);
    op_expect_f32(&c, 0, 4, (int64_t[]){1, 4, 2, 6}, want, 0.0);
    op_end(&c);
}

Test(conv, takes_one_axis)
{
    static const float want[] = {0.03125f,  0.9375f,   -1.15625f, -1.15625f, 0.90625f,
                                 -0.21875f, -0.84375f, -0.0625f,  1.90625f,  -0.25f,
                                 -0.09375f, 0.8125f,   -1.15625f, 0.90625f,  0.90625f,
                                 -0.03125f, -0.90625f, 0.90625f,  -0.21875f, -1.0f};
    op_case c = op_begin("Conv", 11);
    op_ints(&c, "strides", 1, (int64_t[]){2});
    op_ints(&c, "pads", 2, (int64_t[]){3, 1});
    op_in(&c, quarters(3, (int64_t[]){2, 3, 9}));
    op_const(&c, eighths(3, (int64_t[]){2, 3, 4}));
    op_run(&c);
    op_expect_f32(&c, 0, 3, (int64_t[]){2, 2, 5}, want, 0.0);
    op_end(&c);
}

Test(conv, takes_three_axes_and_pads_below)
{
    static const float want[] = {-2.03125f, -2.40625f, -1.25f,    -1.625f,  -1.3125f,  -0.5f,
                                 -1.8125f,  -0.65625f, -1.90625f, -1.25f,   -0.9375f,  -1.84375f,
                                 -1.375f,   -1.90625f, -0.75f,    -0.8125f, -1.84375f, -1.375f,
                                 0.03125f,  -0.625f,   -0.34375f, -0.8125f, -0.65625f, -0.71875f,
                                 0.1875f,   -0.0625f,  -0.84375f, -0.375f,  -0.625f,   -1.0625f,
                                 -0.25f,    -0.84375f, -0.9375f,  -0.8125f, -1.0625f,  -0.46875f};
    op_case c = op_begin("Conv", 11);
    op_ints(&c, "strides", 3, (int64_t[]){1, 2, 1});
    op_text(&c, "auto_pad", "SAME_LOWER");
    op_in(&c, quarters(5, (int64_t[]){1, 2, 3, 4, 3}));
    op_const(&c, eighths(5, (int64_t[]){2, 2, 2, 2, 2}));
    op_const(&c, op_f32(1, (int64_t[]){2}, bias_data));
    op_run(&c);
    op_expect_f32(&c, 0, 5, (int64_t[]){1, 2, 3, 2, 3}, want, 0.0);
    op_end(&c);
}

Test(conv, transposed_takes_groups_and_output_padding)
{
    static const float want[] = {
        -1.25f,    -1.5f,     -1.1875f,  -1.5f,     -1.5f,     -1.625f,  -1.75f,    -1.5f,
        -1.375f,   -1.5f,     -2.78125f, -1.5f,     -1.25f,    -1.375f,  -1.5f,     -1.28125f,
        -1.0f,     -1.5f,     -1.65625f, -1.5f,     -1.3125f,  -1.5f,    -1.8125f,  -1.5625f,
        -1.5f,     -1.5625f,  -1.8125f,  -1.5f,     -1.3125f,  -1.5f,    -1.21875f, -1.5f,
        -1.0625f,  -1.34375f, -1.5f,     -1.5625f,  -1.46875f, -1.5f,    -2.0625f,  -1.5f,
        -1.5f,     -1.5f,     -1.5f,     -1.5f,     -1.5f,     -1.5f,    -1.5f,     -1.5f,
        -1.5f,     -1.5f,     -0.6875f,  -0.5f,     -0.375f,   -0.1875f, -0.5f,     -0.25f,
        -1.0625f,  -0.5f,     -0.46875f, -0.5f,     -0.5625f,  -0.5f,    -0.6875f,  -1.3125f,
        -0.5f,     -0.4375f,  0.0f,      -0.5f,     -0.875f,   -0.5f,    -0.5625f,  -0.5f,
        -0.34375f, -0.0625f,  -0.5f,     -0.21875f, -0.9375f,  -0.5f,    -0.4375f,  -0.5f,
        -0.5625f,  -0.5f,     -0.5625f,  -0.8125f,  -0.5f,     -0.3125f, -0.375f,   -0.5f,
        -0.75f,    -0.5f,     -0.5f,     -0.5f,     -0.5f,     -0.5f,    -0.5f,     -0.5f,
        -0.5f,     -0.5f,     -0.5f,     -0.5f};
    op_case c = op_begin("ConvTranspose", 11);
    op_int(&c, "group", 2);
    op_ints(&c, "strides", 2, (int64_t[]){2, 3});
    op_ints(&c, "pads", 4, (int64_t[]){1, 0, 0, 1});
    op_ints(&c, "output_padding", 2, (int64_t[]){1, 2});
    op_ints(&c, "dilations", 2, (int64_t[]){1, 2});
    op_in(&c, quarters(4, (int64_t[]){1, 4, 2, 3}));
    op_const(&c, eighths(4, (int64_t[]){4, 1, 3, 2}));
    op_const(&c, op_f32(1, (int64_t[]){2}, bias_data));
    op_run(&c);
    op_expect_f32(&c, 0, 4, (int64_t[]){1, 2, 5, 10}, want, 0.0);
    op_end(&c);
}

Test(conv, transposed_pads_the_beginning_for_an_output_shape)
{
    static const float want[] = {-0.46875f, -0.28125f, 0.1875f,   0.1875f,  -0.1875f,  -0.0625f,
                                 0.78125f,  -0.46875f, -0.125f,   0.46875f, 0.0f,      -0.125f,
                                 0.46875f,  0.09375f,  0.09375f,  0.21875f, -0.28125f, -0.09375f,
                                 -0.21875f, 0.28125f,  -0.09375f, 0.53125f, 0.03125f,  -0.1875f,
                                 0.375f,    0.125f,    0.0f,      0.25f,    -0.375f,   -0.125f,
                                 -0.375f,   0.25f,     0.0f,      0.125f,   0.375f,    -0.25f};
    op_case c = op_begin("ConvTranspose", 11);
    op_ints(&c, "strides", 2, (int64_t[]){2, 2});
    op_ints(&c, "output_shape", 2, (int64_t[]){6, 6});
    op_in(&c, quarters(4, (int64_t[]){1, 1, 3, 3}));
    op_const(&c, eighths(4, (int64_t[]){1, 1, 3, 3}));
    op_run(&c);
    op_expect_f32(&c, 0, 4, (int64_t[]){1, 1, 6, 6}, want, 0.0);
    op_end(&c);
}

Test(conv, transposed_pads_the_end_when_it_is_the_upper)
{
    static const float want[] = {0.46875f,  -0.3125f,  -0.1875f,  0.125f,    0.1875f,  -0.125f,
                                 0.3125f,   -0.46875f, -0.28125f, 0.1875f,   0.1875f,  -0.1875f,
                                 -0.3125f,  0.78125f,  -0.46875f, -0.125f,   0.46875f, 0.0f,
                                 -0.3125f,  0.46875f,  0.09375f,  0.09375f,  0.21875f, -0.28125f,
                                 -0.53125f, -0.21875f, 0.28125f,  -0.09375f, 0.53125f, 0.03125f,
                                 -0.25f,    0.375f,    0.125f,    0.0f,      0.25f,    -0.375f};
    op_case c = op_begin("ConvTranspose", 11);
    op_ints(&c, "strides", 2, (int64_t[]){2, 2});
    op_ints(&c, "output_shape", 2, (int64_t[]){6, 6});
    op_text(&c, "auto_pad", "SAME_UPPER");
    op_in(&c, quarters(4, (int64_t[]){1, 1, 3, 3}));
    op_const(&c, eighths(4, (int64_t[]){1, 1, 3, 3}));
    op_run(&c);
    op_expect_f32(&c, 0, 4, (int64_t[]){1, 1, 6, 6}, want, 0.0);
    op_end(&c);
}

Test(conv, transposed_pads_to_the_same_size)
{
    static const float want[] = {0.3125f, 0.1875f, -0.125f};
    op_case c = op_begin("ConvTranspose", 11);
    op_ints(&c, "strides", 1, (int64_t[]){1});
    op_text(&c, "auto_pad", "SAME_LOWER");
    op_in(&c, quarters(3, (int64_t[]){1, 1, 3}));
    op_const(&c, eighths(3, (int64_t[]){1, 1, 4}));
    op_run(&c);
    op_expect_f32(&c, 0, 3, (int64_t[]){1, 1, 3}, want, 0.0);
    op_end(&c);
}

/* Depthwise: channels of the input above, cut out of a larger tensor there. */
Test(conv, takes_a_filter_for_each_channel)
{
    static const float want[] = {0.65625f,  0.78125f, -0.59375f, -0.6875f, 0.625f,  -0.21875f,
                                 -0.65625f, 0.0f,     0.0625f,   0.90625f, 0.1875f, -0.6875f};
    float cut[3 * 16];
    for (size_t i = 0; i < 48; i++) {
        const size_t at = i / 16 * 30 + i % 16 / 4 * 6 + i % 4;
        cut[i] = (float)((int)(at * 7 % 11) - 5) / 4.0f;
    }
    op_case c = op_begin("Conv", 11);
    op_int(&c, "group", 3);
    op_text(&c, "auto_pad", "SAME_UPPER");
    op_ints(&c, "strides", 2, (int64_t[]){2, 2});
    op_in(&c, op_f32(4, (int64_t[]){1, 3, 4, 4}, cut));
    op_const(&c, eighths(4, (int64_t[]){3, 1, 3, 3}));
    op_run(&c);
    op_expect_f32(&c, 0, 4, (int64_t[]){1, 3, 2, 2}, want, 0.0);
    op_end(&c);
}

/* ---- what else holds ---- */

Test(conv, of_doubles_keeps_their_digits)
{
    const double x[3] = {1.0, 1e-12, 2.0}, w[2] = {1.0, 1.0};
    op_case c = op_begin("Conv", 11);
    op_in(&c, op_nd(MC_F64, 3, (int64_t[]){1, 1, 3}, x));
    op_const(&c, op_nd(MC_F64, 3, (int64_t[]){1, 1, 2}, w));
    op_run(&c);
    const double *y = op_out(&c, 0)->data;
    cr_expect(y[0] == 1.0 + 1e-12);
    cr_expect(y[1] == 2.0 + 1e-12);
    op_end(&c);
}

Test(conv, of_no_samples_or_channels_is_empty_or_the_bias)
{
    op_case c = op_begin("Conv", 11);
    op_in(&c, op_f32(3, (int64_t[]){2, 0, 4}, x_data));
    op_in(&c, op_f32(3, (int64_t[]){2, 0, 3}, w_data));
    op_const(&c, op_f32(1, (int64_t[]){2}, bias_data));
    op_run(&c);
    op_expect_f32(&c, 0, 3, (int64_t[]){2, 2, 2},
                  (float[]){-1.5f, -1.5f, -0.5f, -0.5f, -1.5f, -1.5f, -0.5f, -0.5f}, 0.0);
    op_end(&c);
    c = op_begin("Conv", 11);
    op_in(&c, op_f32(3, (int64_t[]){0, 1, 4}, x_data));
    op_const(&c, eighths(3, (int64_t[]){2, 1, 3}));
    op_run(&c);
    op_expect_f32(&c, 0, 3, (int64_t[]){0, 2, 2}, NULL, 0.0);
    op_end(&c);
}

typedef struct {
    const char *op, *attr;
    int64_t number[4];
    size_t numbers;
    int64_t x[5], w[5];
    int x_dims, w_dims;
    mc_status status;
    const char *says;
} refusal;

static const refusal refusals[] = {
    {"Conv",
     "strides",
     {0, 1},
     2,
     {1, 1, 4, 4},
     {1, 1, 3, 3},
     4,
     4,
     MC_E_FORMAT,
     "strides[0] is 0"},
    {"Conv",
     "pads",
     {0, -1, 0, 0},
     4,
     {1, 1, 4, 4},
     {1, 1, 3, 3},
     4,
     4,
     MC_E_FORMAT,
     "pads[1] is -1"},
    {"Conv", "dilations", {1}, 1, {1, 1, 4, 4}, {1, 1, 3, 3}, 4, 4, MC_E_FORMAT, "dilations has 1"},
    {"Conv",
     "dilations",
     {2, 2},
     2,
     {1, 1, 4, 4},
     {1, 1, 3, 3},
     4,
     4,
     MC_E_FORMAT,
     "a window of 5"},
    {"Conv",
     "kernel_shape",
     {3, 2},
     2,
     {1, 1, 4, 4},
     {1, 1, 3, 3},
     4,
     4,
     MC_E_FORMAT,
     "kernel_shape[1] is 2"},
    {"Conv",
     "strides",
     {1, 1},
     2,
     {1, 2, 4, 4},
     {1, 1, 3, 3},
     4,
     4,
     MC_E_FORMAT,
     "dimension 1 of input 1 is 1"},
    {"Conv",
     "strides",
     {1, 1},
     2,
     {1, 1, 4, 4},
     {1, 1, 3},
     4,
     3,
     MC_E_FORMAT,
     "4 dimensions are needed"},
    {"Conv", "strides", {1, 1}, 2, {4, 4}, {1, 1}, 2, 2, MC_E_FORMAT, "3 to 5 dimensions"},
    {"Conv", "group", {0}, 0, {1, 1, 4, 4}, {1, 1, 3, 3}, 4, 4, MC_E_FORMAT, "group is 0"},
    {"Conv", "group", {3}, 0, {1, 4, 4, 4}, {4, 1, 3, 3}, 4, 4, MC_E_FORMAT, "group is 3"},
    {"Conv", "group", {2}, 0, {1, 4, 4, 4}, {3, 2, 3, 3}, 4, 4, MC_E_FORMAT, "divide dimension 0"},
    {"ConvTranspose", "pads", {5, 5}, 2, {1, 1, 4}, {1, 1, 3}, 3, 3, MC_E_FORMAT, "axis 2 of 6"},
    {"ConvTranspose",
     "output_padding",
     {-1},
     1,
     {1, 1, 4},
     {1, 1, 3},
     3,
     3,
     MC_E_FORMAT,
     "output_padding[0] is -1"},
    {"ConvTranspose",
     "output_shape",
     {1, 2},
     2,
     {1, 1, 4},
     {1, 1, 3},
     3,
     3,
     MC_E_FORMAT,
     "output_shape has 2"},
    {"ConvTranspose",
     "strides",
     {1},
     1,
     {1, 2, 4},
     {1, 2, 3},
     3,
     3,
     MC_E_FORMAT,
     "dimension 0 of input 1 is 1"},
};

Test(conv, refuses_what_makes_no_sense)
{
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        const refusal *r = &refusals[i];
        op_case c = op_begin(r->op, 11);
        if (r->numbers > 0)
            op_ints(&c, r->attr, r->numbers, r->number);
        else
            op_int(&c, r->attr, r->number[0]);
        op_in(&c, quarters(r->x_dims, r->x));
        op_const(&c, eighths(r->w_dims, r->w));
        cr_expect_eq(op_try(&c), r->status, "%zu: %s", i, c.err.text);
        cr_expect(strstr(c.err.text, r->says) != NULL, "%zu: %s", i, c.err.text);
        cr_expect(strstr(c.err.text, r->op) != NULL, "%zu: %s", i, c.err.text);
        op_end(&c);
    }
}

Test(conv, refuses_an_unknown_padding_and_other_dtypes)
{
    op_case c = op_begin("Conv", 11);
    op_text(&c, "auto_pad", "SAME");
    op_in(&c, quarters(3, (int64_t[]){1, 1, 4}));
    op_const(&c, eighths(3, (int64_t[]){1, 1, 3}));
    cr_expect_eq(op_try(&c), MC_E_FORMAT);
    cr_expect(strstr(c.err.text, "auto_pad is 'SAME'") != NULL, "%s", c.err.text);
    op_end(&c);
    c = op_begin("Conv", 11);
    op_in(&c, op_nd(MC_I64, 3, (int64_t[]){1, 1, 1}, (int64_t[]){1}));
    op_const(&c, eighths(3, (int64_t[]){1, 1, 1}));
    cr_expect_eq(op_try(&c), MC_E_UNSUPPORTED);
    op_end(&c);
}
