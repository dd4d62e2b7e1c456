#include "tests/support/op_run.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static const float picture[12] = {3, -1, 4, 1, -5, 9, 2, 6, -5, 3, 5, -8}; /* 1 x 1 x 3 x 4 */

/* Numbers of the reference implementation of the onnx package (1.2x). */
static const struct {
    const char *mode, *at;
    int64_t antialias, exclude, size[2];
    float a, want[24];
} golden[] = {
    {"linear", "half_pixel", 0, 0, {4, 6}, -0.75f, {3,           1,       -0.166666672f,
                                                    3.16666675f, 2.5f,    1,
                                                    -2,          1.625f,  4.83333349f,
                                                    3.16666675f, 3.4375f, 4.125f,
                                                    -5,          0.875f,  6.14583349f,
                                                    3.72916675f, 1.9375f, 0.75f,
                                                    -5,          -1,      3.33333325f,
                                                    4.66666651f, -1.5f,   -8}},
    {"cubic", "half_pixel", 0, 0, {4, 6}, -0.75f, {4.03359461f,  0.378723145f, -1.27513194f,
                                                   3.51450348f,  2.9418335f,   0.337082088f,
                                                   -2.82663751f, 2.31278992f,  6.181108f,
                                                   2.76854992f,  3.72016907f,  6.02671385f,
                                                   -7.07816505f, 1.50460815f,  8.43095398f,
                                                   3.94735098f,  1.70706177f,  1.38660574f,
                                                   -5.65706253f, -1.46339417f, 3.85302091f,
                                                   6.20138645f,  -1.64671326f, -10.2392807f}},
    {"cubic", "half_pixel", 0, 1, {4, 6}, -0.5f, {3.74292874f,  0.762071967f, -1.0920217f,
                                                  3.56476212f,  2.65364361f,  0.517381132f,
                                                  -2.52077484f, 1.79612613f,  5.72491407f,
                                                  2.85532665f,  3.71644759f,  5.28573132f,
                                                  -6.41807032f, 0.831068039f, 7.69765615f,
                                                  3.77703428f,  1.73416603f,  1.00337303f,
                                                  -5.50569296f, -1.52809477f, 3.58946633f,
                                                  5.75205469f,  -2.05048299f, -9.64502811f}},
    {"linear",
     "align_corners",
     0,
     0,
     {4, 6},
     -0.75f,
     {3,           0.6f,        0,           3,           2.8f, 1,    -2.33333325f, 2.4666667f,
      5.0666666f,  3.26666665f, 3.33333325f, 4.33333349f, -5,   2.2f, 6.2f,         3.8f,
      2.33333325f, 1.33333337f, -5,          -0.2f,       3.4f, 4.6f, -0.2f,        -8}},
    {"linear", "half_pixel", 1, 0, {2, 2}, -0.75f, {1.45833337f, 2.875f, -0.125f, 0.458333343f}},
    {"cubic",
     "half_pixel",
     1,
     0,
     {2, 2},
     -0.75f,
     {1.52975738f, 3.50490785f, 0.431139231f, 1.29461026f}},
    {"cubic",
     "half_pixel",
     1,
     1,
     {2, 2},
     -0.75f,
     {1.63350964f, 3.45892096f, 0.778256357f, 1.55127132f}},
};

static op_case begin(int version, const char *mode, const char *at)
{
    op_case c = op_begin("Resize", version);
    op_text(&c, "mode", mode);
    if (at) op_text(&c, "coordinate_transformation_mode", at);
    return c;
}

static void sizes(op_case *c, int n, const int64_t *size)
{
    op_no_input(c);
    op_no_input(c);
    op_in(c, op_i64(1, (int64_t[]){n}, size));
}

Test(resize, weighs_as_the_reference_does)
{
    for (size_t i = 0; i < sizeof golden / sizeof *golden; i++) {
        op_case c = begin(19, golden[i].mode, golden[i].at);
        op_int(&c, "antialias", golden[i].antialias);
        op_int(&c, "exclude_outside", golden[i].exclude);
        op_float(&c, "cubic_coeff_a", golden[i].a);
        op_in(&c, op_f32(4, (int64_t[]){1, 1, 3, 4}, picture));
        sizes(&c, 4, (int64_t[]){1, 1, golden[i].size[0], golden[i].size[1]});
        op_run(&c);
        op_expect_f32(&c, 0, 4, (int64_t[]){1, 1, golden[i].size[0], golden[i].size[1]},
                      golden[i].want, 1e-6);
        op_end(&c);
    }
}

Test(resize, centres_and_crops_as_the_reference_does)
{
    op_case c = begin(19, "linear", "half_pixel_symmetric");
    op_in(&c, op_f32(4, (int64_t[]){1, 1, 3, 4}, picture));
    op_no_input(&c);
    op_in(&c, op_f32(1, (int64_t[]){4}, (float[]){1, 1, 0.7f, 0.7f}));
    op_run(&c);
    op_expect_f32(&c, 0, 4, (int64_t[]){1, 1, 2, 2},
                  (float[]){1.61224484f, 3.21428561f, 2.632653f, 2.39795899f}, 1e-6);
    op_end(&c);

    for (int i = 0; i < 2; i++) { /* a column is outside and gets the extrapolation value */
        static const float want[2][9] = {{7, 2.75f, 3.5f, 7, 5.5f, 6, 7, 3.25f, -1},
                                         {7, -1, 1, 7, 9, 6, 7, 9, 6}};
        c = begin(13, i ? "nearest" : "linear", "tf_crop_and_resize");
        op_float(&c, "extrapolation_value", 7);
        op_in(&c, op_f32(4, (int64_t[]){1, 1, 3, 4}, picture));
        op_in(&c, op_f32(1, (int64_t[]){8}, (float[]){0, 0, 0.25f, -0.5f, 1, 1, 0.75f, 1}));
        op_no_input(&c);
        op_in(&c, op_i64(1, (int64_t[]){4}, (int64_t[]){1, 1, 3, 3}));
        op_run(&c);
        op_expect_f32(&c, 0, 4, (int64_t[]){1, 1, 3, 3}, want[i], 1e-6);
        op_end(&c);
    }
}

/* Weights sum to 1 and every mode knows every place: what is the same everywhere stays so. */
Test(resize, leaves_a_constant_alone_in_every_mode)
{
    static const char *const mode[] = {"nearest", "linear", "cubic"};
    static const char *const at[] = {"half_pixel",    "half_pixel_symmetric", "pytorch_half_pixel",
                                     "align_corners", "asymmetric",           "tf_crop_and_resize"};
    static float x[2 * 5 * 7];
    float want[2 * 13 * 13];
    for (size_t i = 0; i < sizeof x / sizeof *x; i++) x[i] = 2.5f;
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) want[i] = 2.5f;
    for (size_t m = 0; m < 3; m++) {
        for (size_t a = 0; a < 6; a++) {
            for (int64_t n = 1; n <= 13; n++) {
                op_case c = begin(19, mode[m], at[a]);
                if (m > 0) op_int(&c, "antialias", n & 1);
                op_in(&c, op_f32(4, (int64_t[]){1, 2, 5, 7}, x));
                op_in(&c, op_f32(1, (int64_t[]){8}, (float[]){0, 0, 0, 0, 1, 1, 1, 1}));
                op_no_input(&c);
                op_in(&c, op_i64(1, (int64_t[]){4}, (int64_t[]){1, 2, n, 14 - n}));
                op_run(&c);
                op_expect_f32(&c, 0, 4, (int64_t[]){1, 2, n, 14 - n}, want, 1e-6);
                op_end(&c);
            }
        }
    }
}

Test(resize, rounds_to_the_nearest_in_every_way)
{
    static const struct {
        const char *how;
        float half_pixel[4], asymmetric[10];
    } t[] = {{"round_prefer_floor", {0, 1, 3, 4}, {0, 0, 1, 1, 2, 2, 3, 3, 4, 4}},
             {"round_prefer_ceil", {0, 1, 3, 4}, {0, 1, 1, 2, 2, 3, 3, 4, 4, 4}},
             {"floor", {0, 1, 2, 3}, {0, 0, 1, 1, 2, 2, 3, 3, 4, 4}},
             {"ceil", {1, 2, 3, 4}, {0, 1, 1, 2, 2, 3, 3, 4, 4, 4}}};
    static const float x[] = {0, 1, 2, 3, 4};
    for (size_t i = 0; i < 8; i++) {
        const int64_t n = i & 1 ? 10 : 4;
        op_case c = begin(13, "nearest", i & 1 ? "asymmetric" : "half_pixel");
        op_text(&c, "nearest_mode", t[i / 2].how);
        op_in(&c, op_f32(1, (int64_t[]){5}, x));
        sizes(&c, 1, &n);
        op_run(&c);
        op_expect_f32(&c, 0, 1, &n, i & 1 ? t[i / 2].asymmetric : t[i / 2].half_pixel, 0);
        op_end(&c);
    }
}

Test(resize, copies_the_nearest_of_any_dtype_between_other_axes)
{
    const int64_t x[] = {1, 2, 3, 4, 5, 6, 7, 8}; /* 1 x 2 x 2 x 2, the last one channels */
    const int64_t want[] = {1, 2, 1, 2, 3, 4, 3, 4, 1, 2, 1, 2, 3, 4, 3, 4,
                            5, 6, 5, 6, 7, 8, 7, 8, 5, 6, 5, 6, 7, 8, 7, 8};
    op_case c = begin(13, "nearest", NULL);
    op_in(&c, op_i64(4, (int64_t[]){1, 2, 2, 2}, x));
    op_no_input(&c);
    op_in(&c, op_f32(1, (int64_t[]){4}, (float[]){1, 2, 2, 1}));
    op_run(&c);
    op_expect_i64(&c, 0, 4, (int64_t[]){1, 4, 4, 2}, want);
    op_end(&c);
}

Test(resize, rounds_and_saturates_whole_numbers)
{
    const uint8_t x[] = {0, 255, 255, 0};
    op_case c = begin(13, "cubic", "half_pixel");
    op_in(&c, op_nd(MC_U8, 1, (int64_t[]){4}, x));
    sizes(&c, 1, (int64_t[]){8});
    op_run(&c);
    const mc_nd *got = op_out(&c, 0);
    for (size_t i = 2; i < 6; i++) /* the cubic overshoots here, and must not wrap */
        cr_expect_geq(mc_nd_int(got, i), 150, "%zu: %lld", i, (long long)mc_nd_int(got, i));
    op_end(&c);
}

Test(resize, keeps_the_aspect_ratio_when_asked)
{
    static const struct {
        const char *policy;
        int64_t want[2];
    } t[] = {{"stretch", {9, 2}}, {"not_larger", {2, 2}}, {"not_smaller", {9, 12}}};
    for (size_t i = 0; i < 3; i++) {
        op_case c = begin(18, "linear", NULL);
        op_ints(&c, "axes", 2, (int64_t[]){-2, -1});
        op_text(&c, "keep_aspect_ratio_policy", t[i].policy);
        op_in(&c, op_f32(4, (int64_t[]){1, 1, 3, 4}, picture));
        sizes(&c, 2, (int64_t[]){9, 2});
        op_run(&c);
        cr_expect_eq(op_out(&c, 0)->dim[2], t[i].want[0]);
        cr_expect_eq(op_out(&c, 0)->dim[3], t[i].want[1]);
        op_end(&c);
    }
}

Test(resize, makes_sizes_of_scales_in_f32)
{
    static const float x[10] = {0};
    op_case c = begin(13, "nearest", NULL);
    op_in(&c, op_f32(1, (int64_t[]){10}, x));
    op_no_input(&c);
    op_in(&c, op_f32(1, (int64_t[]){1}, (float[]){0.7f})); /* 0.699999988 */
    op_run(&c);
    cr_expect_eq(op_out(&c, 0)->dim[0], 7);
    op_end(&c);
}

/* What ONNX Runtime does: the element before when growing, the one behind when shrinking. */
Test(resize, of_version_10_takes_the_neighbour_of_its_time)
{
    op_case c = begin(10, "nearest", NULL);
    op_in(&c, op_f32(1, (int64_t[]){5}, (float[]){0, 1, 2, 3, 4}));
    op_in(&c, op_f32(1, (int64_t[]){1}, (float[]){0.6f}));
    op_run(&c);
    op_expect_f32(&c, 0, 1, (int64_t[]){3}, (float[]){0, 2, 4}, 0);
    op_end(&c);
}

Test(upsample, repeats_and_interpolates)
{
    static const float x[] = {1, 2, 3, 4};
    op_case c = op_begin("Upsample", 9);
    op_in(&c, op_f32(4, (int64_t[]){1, 1, 2, 2}, x));
    op_in(&c, op_f32(1, (int64_t[]){4}, (float[]){1, 1, 2, 3}));
    op_run(&c);
    op_expect_f32(&c, 0, 4, (int64_t[]){1, 1, 4, 6},
                  (float[]){1, 1, 1, 2, 2, 2, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 3, 3, 3, 4, 4, 4},
                  0);
    op_end(&c);

    c = op_begin("Upsample", 7);
    op_text(&c, "mode", "linear");
    op_floats(&c, "scales", 2, (float[]){1, 2});
    op_in(&c, op_f32(2, (int64_t[]){2, 2}, x));
    op_run(&c);
    op_expect_f32(&c, 0, 2, (int64_t[]){2, 4}, (float[]){1, 1.5f, 2, 2, 3, 3.5f, 4, 4}, 0);
    op_end(&c);
}

static void expect_refusal(op_case *c, const char *why)
{
    cr_expect_eq(op_try(c), MC_E_FORMAT);
    cr_expect(strstr(c->err.text, why), "%s", c->err.text);
    op_end(c);
}

Test(resize, refuses_scales_and_sizes_that_make_no_sense)
{
    static const struct {
        float scale;
        const char *why;
    } t[] = {{0, "scales[0] is 0 (above 0"},      {-1, "scales[0] is -1"},
             {NAN, "scales[0] is nan"},           {INFINITY, "scales[0] is inf"},
             {1e30f, "scales[0] of 1e+30 makes"}, {1e18f, "too large"}};
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        op_case c = begin(13, "linear", NULL);
        op_in(&c, op_f32(1, (int64_t[]){4}, picture));
        op_no_input(&c);
        op_in(&c, op_f32(1, (int64_t[]){1}, &t[i].scale));
        expect_refusal(&c, t[i].why);
    }
    op_case c = begin(13, "linear", NULL);
    op_in(&c, op_f32(1, (int64_t[]){4}, picture));
    sizes(&c, 1, (int64_t[]){-3});
    expect_refusal(&c, "sizes[0] is -3");
    c = begin(13, "linear", NULL);
    op_in(&c, op_f32(1, (int64_t[]){0}, NULL));
    sizes(&c, 1, (int64_t[]){3});
    expect_refusal(&c, "dimension 0 of 0 is resized to 3");
    c = begin(13, "linear", NULL);
    op_in(&c, op_f32(2, (int64_t[]){2, 2}, picture));
    sizes(&c, 1, (int64_t[]){3});
    expect_refusal(&c, "sizes has 1 numbers for 2 axes (2 are needed)");
    c = begin(13, "linear", NULL);
    op_in(&c, op_f32(1, (int64_t[]){4}, picture));
    expect_refusal(&c, "neither scales nor sizes are given");
    c = begin(13, "linear", "tf_half_pixel_for_nn");
    op_in(&c, op_f32(1, (int64_t[]){4}, picture));
    sizes(&c, 1, (int64_t[]){3});
    expect_refusal(&c, "'tf_half_pixel_for_nn', which version 13 of Resize does not know");
    c = begin(18, "linear", "tf_crop_and_resize");
    op_int(&c, "antialias", 1);
    op_in(&c, op_f32(1, (int64_t[]){4}, picture));
    op_in(&c, op_f32(1, (int64_t[]){2}, (float[]){0, 1e20f}));
    op_in(&c, op_f32(1, (int64_t[]){1}, (float[]){1e-20f}));
    expect_refusal(&c, "is too small for a filter");
}
