#include "tests/support/op_run.h"

#include <criterion/criterion.h>
#include <string.h>

static const float numbers[6] = {0, 1, 2, 3, 4, 5};

/* numpy.pad of [[0, 1, 2], [3, 4, 5]] by ((1, 1), (2, 1)). */
Test(pad, repeats_as_numpy_does)
{
    static const struct {
        const char *mode;
        float want[24];
    } t[] = {
        {"reflect", {5, 4, 3, 4, 5, 4, 2, 1, 0, 1, 2, 1, 5, 4, 3, 4, 5, 4, 2, 1, 0, 1, 2, 1}},
        {"edge", {0, 0, 0, 1, 2, 2, 0, 0, 0, 1, 2, 2, 3, 3, 3, 4, 5, 5, 3, 3, 3, 4, 5, 5}},
        {"wrap", {4, 5, 3, 4, 5, 3, 1, 2, 0, 1, 2, 0, 4, 5, 3, 4, 5, 3, 1, 2, 0, 1, 2, 0}},
        {"constant", {0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 3, 4, 5, 0, 0, 0, 0, 0, 0, 0}}};
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        op_case c = op_begin("Pad", 19);
        op_text(&c, "mode", t[i].mode);
        op_in(&c, op_f32(2, (int64_t[]){2, 3}, numbers));
        op_in(&c, op_i64(1, (int64_t[]){4}, (int64_t[]){1, 2, 1, 1}));
        op_run(&c);
        op_expect_f32(&c, 0, 2, (int64_t[]){4, 6}, t[i].want, 0);
        op_end(&c);
    }
}

Test(pad, reflects_and_wraps_more_than_once)
{
    static const float reflected[] = {1, 2, 1, 0, 1, 2, 1, 0, 1, 2, 1, 0, 1, 2, 1};
    static const float wrapped[] = {2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1};
    for (int i = 0; i < 2; i++) {
        op_case c = op_begin("Pad", 19);
        op_text(&c, "mode", i ? "wrap" : "reflect");
        op_in(&c, op_f32(1, (int64_t[]){3}, numbers));
        op_in(&c, op_i64(1, (int64_t[]){2}, (int64_t[]){7, 5}));
        op_run(&c);
        op_expect_f32(&c, 0, 1, (int64_t[]){15}, i ? wrapped : reflected, 0);
        op_end(&c);
    }
}

/* What ONNX Runtime makes of [0, 1, 2, 3, 4]. */
Test(pad, crops_before_it_repeats)
{
    static const struct {
        const char *mode;
        int64_t pads[2], n;
        float want[8];
    } t[] = {{"reflect", {-2, 1}, 4, {2, 3, 4, 3}},
             {"reflect", {1, -2}, 4, {1, 0, 1, 2}},
             {"edge", {-1, 4}, 8, {1, 2, 3, 4, 4, 4, 4, 4}},
             {"wrap", {-2, 3}, 6, {2, 3, 4, 2, 3, 4}},
             {"wrap", {3, -2}, 6, {0, 1, 2, 0, 1, 2}},
             {"constant", {-2, 1}, 4, {2, 3, 4, 0}},
             {"constant", {-6, 3}, 2, {0, 0}}};
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        op_case c = op_begin("Pad", 19);
        op_text(&c, "mode", t[i].mode);
        op_in(&c, op_f32(1, (int64_t[]){5}, numbers));
        op_in(&c, op_i64(1, (int64_t[]){2}, t[i].pads));
        op_run(&c);
        op_expect_f32(&c, 0, 1, &t[i].n, t[i].want, 0);
        op_end(&c);
    }
}

Test(pad, fills_with_the_value_along_the_axes_named)
{
    static const float want[] = {9, 0, 1, 2, 9, 9, 3, 4, 5, 9};
    op_case c = op_begin("Pad", 18);
    op_in(&c, op_f32(2, (int64_t[]){2, 3}, numbers));
    op_in(&c, op_i64(1, (int64_t[]){2}, (int64_t[]){1, 1}));
    op_in(&c, op_f32(0, NULL, (float[]){9}));
    op_in(&c, op_i64(1, (int64_t[]){1}, (int64_t[]){-1}));
    op_run(&c);
    op_expect_f32(&c, 0, 2, (int64_t[]){2, 5}, want, 0);
    op_end(&c);

    c = op_begin("Pad", 2);
    op_ints(&c, "pads", 4, (int64_t[]){0, 1, 0, 1});
    op_float(&c, "value", 9);
    op_in(&c, op_f32(2, (int64_t[]){2, 3}, numbers));
    op_run(&c);
    op_expect_f32(&c, 0, 2, (int64_t[]){2, 5}, want, 0);
    op_end(&c);
}

Test(pad, fills_strings_with_nothing)
{
    const mc_nd_text text = {"one", 3}, want[2] = {{"one", 3}, {"", 0}};
    op_case c = op_begin("Pad", 13);
    op_in(&c, op_nd(MC_STRING, 1, (int64_t[]){1}, &text));
    op_in(&c, op_i64(1, (int64_t[]){2}, (int64_t[]){0, 1}));
    op_run(&c);
    const mc_nd_text *got = op_out(&c, 0)->data;
    for (int i = 0; i < 2; i++) {
        cr_expect_eq(got[i].length, want[i].length);
        cr_expect_eq(memcmp(got[i].at, want[i].at, want[i].length), 0);
    }
    op_end(&c);
}

Test(pad, refuses_what_cannot_be_padded)
{
    static const struct {
        const char *mode;
        int64_t dim, pads[2];
        const char *why;
    } t[] = {{"reflect", 0, {1, 0}, "dimension 0 is padded to 1 with nothing to repeat"},
             {"edge", 5, {-9, 6}, "dimension 0 is padded to 2 with nothing to repeat"},
             {"constant", 5, {-3, -3}, "dimension 0 of 5 cannot be padded by -3 and -3"},
             {"constant", 5, {INT64_MAX, 1}, "dimension 0 of 5 cannot be padded"},
             {"constant", 5, {INT64_MAX / 2, 1}, "too large"},
             {"constant", 5, {INT64_MIN, INT64_MAX}, "dimension 0 of 5 cannot be padded"},
             {"mirror", 5, {1, 1}, "mode is 'mirror' (constant, reflect, edge, wrap)"}};
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        op_case c = op_begin("Pad", 19);
        op_text(&c, "mode", t[i].mode);
        op_in(&c, op_f32(1, &t[i].dim, numbers));
        op_in(&c, op_i64(1, (int64_t[]){2}, t[i].pads));
        cr_expect_eq(op_try(&c), MC_E_FORMAT);
        cr_expect(strstr(c.err.text, t[i].why), "%s", c.err.text);
        op_end(&c);
    }
    op_case c = op_begin("Pad", 13);
    op_in(&c, op_f32(1, (int64_t[]){5}, numbers));
    op_in(&c, op_i64(1, (int64_t[]){3}, (int64_t[]){1, 2, 3}));
    cr_expect_eq(op_try(&c), MC_E_FORMAT);
    cr_expect(strstr(c.err.text, "there are 3 pads for 1 axes (2 are needed)"), "%s", c.err.text);
    op_end(&c);
}
