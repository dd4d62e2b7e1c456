/* Operators that make numbers: Constant, ConstantOfShape, Range, EyeLike. */
#include "tests/support/op_run.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#define DIMS(...)   \
    (int64_t[])     \
    {               \
        __VA_ARGS__ \
    }

static void add_tensor(op_case *c, const char *name, const mc_tensor *t)
{
    c->attr[c->node.attrs++] = (mc_attr){.name = name, .kind = MC_ATTR_TENSOR, .count = 1, .t = t};
}

Test(ops_generate, constants_of_every_attribute)
{
    op_case c = op_begin("Constant", 13);
    op_float(&c, "value_float", 1.5f);
    op_run(&c);
    op_expect_f32(&c, 0, 0, NULL, (float[]){1.5f}, 0.0);
    op_end(&c);
    c = op_begin("Constant", 13);
    op_floats(&c, "value_floats", 2, (float[]){1.5f, -2.0f});
    op_run(&c);
    op_expect_f32(&c, 0, 1, DIMS(2), (float[]){1.5f, -2.0f}, 0.0);
    op_end(&c);
    c = op_begin("Constant", 13);
    op_int(&c, "value_int", INT64_MIN);
    op_run(&c);
    op_expect_i64(&c, 0, 0, NULL, DIMS(INT64_MIN));
    op_end(&c);
    c = op_begin("Constant", 13);
    op_ints(&c, "value_ints", 3, DIMS(1, 2, 3));
    op_run(&c);
    op_expect_i64(&c, 0, 1, DIMS(3), DIMS(1, 2, 3));
    op_end(&c);
    c = op_begin("Constant", 13);
    op_texts(&c, "value_strings", 2, (const char *[]){"a", "bc"});
    op_run(&c);
    const mc_nd_text *text = op_out(&c, 0)->data;
    cr_expect(text[0].length == 1 && text[1].length == 2 && memcmp(text[1].at, "bc", 2) == 0);
    op_end(&c);
}

Test(ops_generate, constants_from_tensors_are_decoded)
{
    const unsigned char packed[] = {0x8F, 0x07}; /* -1, -8, 7 as 4 bits, the low ones first */
    const mc_tensor t = {
        .name = "t", .dtype = MC_I4, .ndim = 1, .dim = {3}, .data = packed, .bytes = 2, .count = 3};
    op_case c = op_begin("Constant", 21);
    add_tensor(&c, "value", &t);
    op_run(&c);
    cr_expect_eq(op_out(&c, 0)->dtype, MC_I4);
    op_expect_i64(&c, 0, 1, DIMS(3), DIMS(-1, -8, 7));
    op_end(&c);
}

Test(ops_generate, a_constant_without_value_is_refused)
{
    op_case c = op_begin("Constant", 13);
    cr_expect_eq(op_try(&c), MC_E_FORMAT);
    cr_expect_not_null(strstr(c.err.text, "Constant"), "%s", c.err.text);
    op_end(&c);
    const mc_tensor t = {.name = "t", .dtype = MC_STRING, .ndim = 0, .count = 1};
    c = op_begin("Constant", 13);
    add_tensor(&c, "value", &t);
    cr_expect_eq(op_try(&c), MC_E_UNSUPPORTED);
    op_end(&c);
}

Test(ops_generate, shapes_are_filled)
{
    op_case c = op_begin("ConstantOfShape", 9);
    op_in(&c, op_i64(1, DIMS(2), DIMS(2, 3)));
    op_run(&c);
    op_expect_f32(&c, 0, 2, DIMS(2, 3), (float[6]){0.0f}, 0.0);
    op_end(&c);

    const unsigned char seven[] = {7, 0};
    const mc_tensor t = {
        .name = "t", .dtype = MC_I16, .ndim = 1, .dim = {1}, .data = seven, .bytes = 2, .count = 1};
    const int64_t sizes[] = {0, 1, 5};
    for (size_t i = 0; i < 3; i++) {
        c = op_begin("ConstantOfShape", 20);
        add_tensor(&c, "value", &t);
        op_in(&c, op_i64(1, DIMS(1), &sizes[i]));
        op_run(&c);
        cr_expect_eq(op_out(&c, 0)->dtype, MC_I16);
        op_expect_i64(&c, 0, 1, &sizes[i], DIMS(7, 7, 7, 7, 7));
        op_end(&c);
    }
    c = op_begin("ConstantOfShape", 20);
    op_in(&c, op_i64(1, DIMS(0), NULL)); /* a scalar */
    op_run(&c);
    op_expect_f32(&c, 0, 0, NULL, (float[]){0.0f}, 0.0);
    op_end(&c);
    c = op_begin("ConstantOfShape", 20);
    op_in(&c, op_i64(1, DIMS(1), DIMS(-1)));
    cr_expect_eq(op_try(&c), MC_E_FORMAT);
    cr_expect_not_null(strstr(c.err.text, "dimension 0 is -1"), "%s", c.err.text);
    op_end(&c);
}

static op_case range(mc_dtype dtype, const void *start, const void *limit, const void *delta)
{
    op_case c = op_begin("Range", 11);
    op_in(&c, op_nd(dtype, 0, NULL, start));
    op_in(&c, op_nd(dtype, 0, NULL, limit));
    op_in(&c, op_nd(dtype, 0, NULL, delta));
    return c;
}

static void expect_range(int64_t start, int64_t limit, int64_t delta, int64_t n,
                         const int64_t *want)
{
    op_case c = range(MC_I64, &start, &limit, &delta);
    op_run(&c);
    op_expect_i64(&c, 0, 1, &n, want);
    op_end(&c);
}

Test(ops_generate, ranges_stop_before_their_limit)
{
    expect_range(3, 10, 3, 3, DIMS(3, 6, 9));
    expect_range(3, 9, 3, 2, DIMS(3, 6));
    expect_range(5, -2, -3, 3, DIMS(5, 2, -1));
    expect_range(5, 5, 1, 0, NULL);
    expect_range(5, 9, -1, 0, NULL);
    expect_range(INT64_MIN, INT64_MAX, INT64_MAX, 3, DIMS(INT64_MIN, -1, INT64_MAX - 1));
    const float start = 1.0f, limit = 2.0f, delta = 0.4f;
    op_case c = range(MC_F32, &start, &limit, &delta);
    op_run(&c);
    op_expect_f32(&c, 0, 1, DIMS(3), (float[]){1.0f, 1.4f, 1.8f}, 1e-7);
    op_end(&c);
}

Test(ops_generate, ranges_without_end_are_refused)
{
    const int64_t whole[] = {0, INT64_MAX, 0, 1};
    op_case c = range(MC_I64, &whole[0], &whole[1], &whole[2]);
    cr_expect_eq(op_try(&c), MC_E_FORMAT);
    cr_expect_not_null(strstr(c.err.text, "delta is 0"), "%s", c.err.text);
    op_end(&c);
    c = range(MC_I64, &whole[0], &whole[1], &whole[3]); /* more bytes than can be counted */
    cr_expect_neq(op_try(&c), MC_OK);
    op_end(&c);
    const float real[] = {0.0f, NAN, 1.0f, 0.0f};
    c = range(MC_F32, &real[0], &real[1], &real[2]);
    cr_expect_eq(op_try(&c), MC_E_FORMAT);
    op_end(&c);
    c = range(MC_F32, &real[0], &real[2], &real[3]);
    cr_expect_eq(op_try(&c), MC_E_FORMAT);
    op_end(&c);
}

Test(ops_generate, eyes_have_ones_on_a_diagonal)
{
    const int32_t x[6] = {0};
    const int64_t ks[] = {0, 1, -1, INT64_MIN, INT64_MAX};
    const int64_t want[5][6] = {
        {1, 0, 0, 0, 1, 0}, {0, 1, 0, 0, 0, 1}, {0, 0, 0, 1, 0, 0}, {0}, {0}};
    for (size_t i = 0; i < 5; i++) {
        op_case c = op_begin("EyeLike", 9);
        op_int(&c, "k", ks[i]);
        if (i == 1) op_int(&c, "dtype", 9); /* BOOL */
        op_in(&c, op_nd(MC_I32, 2, DIMS(2, 3), x));
        op_run(&c);
        cr_expect_eq(op_out(&c, 0)->dtype, i == 1 ? MC_BOOL : MC_I32);
        op_expect_i64(&c, 0, 2, DIMS(2, 3), want[i]);
        op_end(&c);
    }
}
