#include "tests/support/op_run.h"

#include <criterion/criterion.h>
#include <string.h>

#define DIMS(...)                                                     \
    (sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (int64_t[]) \
    {                                                                 \
        __VA_ARGS__                                                   \
    }

static const float numbers[24] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11,
                                  12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23};

/* What `shape` alone says about inputs of which `data` may be NULL. */
static mc_status infer(const char *op, int version, const mc_attr *attr, size_t attrs,
                       const mc_nd *in, size_t ins, mc_nd *out, mc_err *err)
{
    const mc_nd *list[4] = {0};
    for (size_t i = 0; i < ins; i++) list[i] = &in[i];
    mc_node node = {.op = op, .domain = "", .attr = (mc_attr *)(uintptr_t)attr, .attrs = attrs};
    *out = (mc_nd){0};
    mc_nd *const made[] = {out};
    const mc_call call = {
        .node = &node, .version = version, .in = list, .ins = ins, .out = made, .outs = 1};
    return mc_op_find("", op, version)->shape(&call, err);
}

static mc_nd unknown(mc_dtype dtype, int ndim, const int64_t *dim)
{
    mc_nd t = {0};
    mc_err err = {0};
    cr_assert_eq(mc_nd_set(&t, dtype, ndim, dim, &err), MC_OK, "%s", err.text);
    return t;
}

static void expect_dims(const mc_nd *t, int ndim, const int64_t *dim)
{
    cr_assert_eq(t->ndim, ndim);
    for (int i = 0; i < ndim; i++)
        cr_expect_eq(t->dim[i], dim[i], "dimension %d is %lld, not %lld", i, (long long)t->dim[i],
                     (long long)dim[i]);
}

Test(shape, gives_the_dimensions_from_start_to_end)
{
    static const struct {
        int64_t start, end, n, want[4];
    } t[] = {{0, 4, 4, {1, 2, 3, 4}}, {1, 3, 2, {2, 3}}, {-2, 9, 2, {3, 4}},
             {-9, -3, 1, {1}},        {3, 1, 0, {0}},    {0, -1, 3, {1, 2, 3}}};
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        op_case c = op_begin("Shape", 15);
        op_int(&c, "start", t[i].start);
        op_int(&c, "end", t[i].end);
        op_in(&c, op_f32(4, (int64_t[]){1, 2, 3, 4}, numbers));
        op_run(&c);
        op_expect_i64(&c, 0, 1, &t[i].n, t[i].want);
        op_end(&c);
    }
}

Test(size, counts_elements)
{
    op_case c = op_begin("Size", 13);
    op_in(&c, op_f32(3, (int64_t[]){2, 3, 4}, numbers));
    op_run(&c);
    op_expect_i64(&c, 0, 0, NULL, (int64_t[]){24});
    op_end(&c);
}

static void expect_reshape(int64_t allowzero, const mc_nd *in, int wanted, const int64_t *shape,
                           int ndim, const int64_t *dim)
{
    op_case c = op_begin("Reshape", 14);
    op_int(&c, "allowzero", allowzero);
    op_in(&c, *in);
    op_in(&c, op_i64(1, (int64_t[]){wanted}, shape));
    op_run(&c);
    expect_dims(op_out(&c, 0), ndim, dim);
    op_end(&c);
}

Test(reshape, copies_zeros_and_infers_one_dimension)
{
    const mc_nd in = op_f32(3, (int64_t[]){2, 3, 4}, numbers);
    const mc_nd empty = op_f32(2, (int64_t[]){0, 6}, NULL);
    expect_reshape(0, &in, DIMS(4, 6), DIMS(4, 6));
    expect_reshape(0, &in, DIMS(0, -1), DIMS(2, 12));
    expect_reshape(0, &in, DIMS(-1, 0, 2), DIMS(4, 3, 2));
    expect_reshape(0, &empty, DIMS(0, -1), DIMS(0, 6));
    expect_reshape(1, &empty, DIMS(7, 0), DIMS(7, 0));
}

static void expect_no_reshape(int64_t allowzero, int wanted, const int64_t *shape, const char *why)
{
    op_case c = op_begin("Reshape", 14);
    op_int(&c, "allowzero", allowzero);
    op_in(&c, op_f32(3, (int64_t[]){2, 3, 4}, numbers));
    op_in(&c, op_i64(1, (int64_t[]){wanted}, shape));
    cr_expect_eq(op_try(&c), MC_E_FORMAT);
    cr_expect(strstr(c.err.text, why), "%s", c.err.text);
    op_end(&c);
}

Test(reshape, refuses_shapes_of_another_size)
{
    expect_no_reshape(0, DIMS(5, 5), "does not have as many elements as the shape: 24, not 25");
    expect_no_reshape(0, DIMS(0, 13), "as the shape: 12, not 13");
    expect_no_reshape(0, DIMS(-1, 5), "24 elements of [2, 3, 4] F32 do not divide by 5");
    expect_no_reshape(0, DIMS(-1, -1), "dimensions 0 and 1 of the shape are -1");
    expect_no_reshape(0, DIMS(-2, 12), "dimension 0 of the shape is -2 (at least -1)");
    expect_no_reshape(0, DIMS(2, 3, 4, 0), "copies dimension 3 of an input of 3 dimensions");
    expect_no_reshape(1, DIMS(0, -1), "both 0 and -1");
    expect_no_reshape(0, DIMS(INT64_MAX, INT64_MAX, 4), "too large");
}

Test(reshape, cancels_unknown_dimensions_that_it_copies)
{
    mc_nd in[2] = {unknown(MC_F32, DIMS(-1, 8, 64))}, out;
    in[1] = op_i64(1, (int64_t[]){4}, (int64_t[]){0, 8, 4, -1});
    mc_err err = {0};
    cr_assert_eq(infer("Reshape", 13, NULL, 0, in, 2, &out, &err), MC_OK, "%s", err.text);
    expect_dims(&out, DIMS(-1, 8, 4, 16));

    in[1] = op_i64(1, (int64_t[]){2}, (int64_t[]){-1, 64});
    cr_assert_eq(infer("Reshape", 13, NULL, 0, in, 2, &out, &err), MC_OK, "%s", err.text);
    expect_dims(&out, DIMS(-1, 64));

    in[1] = unknown(MC_I64, DIMS(3)); /* three numbers that are not known */
    cr_assert_eq(infer("Reshape", 13, NULL, 0, in, 2, &out, &err), MC_OK, "%s", err.text);
    expect_dims(&out, DIMS(-1, -1, -1));
}

Test(flatten, makes_two_dimensions)
{
    static const int64_t want[][2] = {{1, 24}, {2, 12}, {6, 4}, {24, 1}};
    for (int64_t axis = -3; axis <= 3; axis++) {
        op_case c = op_begin("Flatten", 13);
        op_int(&c, "axis", axis);
        op_in(&c, op_f32(3, (int64_t[]){2, 3, 4}, numbers));
        op_run(&c);
        op_expect_f32(&c, 0, 2, want[axis < 0 ? axis + 3 : axis], numbers, 0);
        op_end(&c);
    }
}

static void expect_axes(const char *op, int version, int axes, const int64_t *axis, int in,
                        const int64_t *from, int ndim, const int64_t *dim)
{
    op_case c = op_begin(op, version);
    op_in(&c, op_f32(in, from, numbers));
    if (axes > 0 && version < 13) op_ints(&c, "axes", (size_t)axes, axis);
    if (axes > 0 && version >= 13) op_in(&c, op_i64(1, (int64_t[]){axes}, axis));
    op_run(&c);
    op_expect_f32(&c, 0, ndim, dim, numbers, 0);
    op_end(&c);
}

Test(squeeze, takes_dimensions_of_one_away)
{
    for (int version = 11; version <= 13; version += 2) {
        expect_axes("Squeeze", version, DIMS(0, -2), DIMS(1, 4, 1, 6), DIMS(4, 6));
        expect_axes("Squeeze", version, 0, NULL, DIMS(1, 4, 1, 6), DIMS(4, 6));
    }
}

Test(unsqueeze, puts_dimensions_of_one_where_asked)
{
    for (int version = 11; version <= 13; version += 2) {
        expect_axes("Unsqueeze", version, DIMS(3, 0), DIMS(4, 6), DIMS(1, 4, 6, 1));
        expect_axes("Unsqueeze", version, DIMS(-1, 1), DIMS(4, 6), DIMS(4, 1, 6, 1));
    }
}

Test(squeeze, refuses_what_is_not_one_not_there_or_named_twice)
{
    static const struct {
        const char *op;
        int64_t axis[2];
        const char *why;
    } t[] = {{"Squeeze", {0, 1}, "dimension 1 is 4 (only 1 can be squeezed)"},
             {"Squeeze", {0, 3}, "axes 3 is outside [-3, 3)"},
             {"Squeeze", {0, -3}, "axes name dimension 0 twice"},
             {"Unsqueeze", {1, 5}, "axes 5 is outside [-5, 5)"},
             {"Unsqueeze", {1, 1}, "axes name dimension 1 twice"}};
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        op_case c = op_begin(t[i].op, 13);
        op_in(&c, op_f32(3, (int64_t[]){1, 4, 6}, numbers));
        op_in(&c, op_i64(1, (int64_t[]){2}, t[i].axis));
        cr_expect_eq(op_try(&c), MC_E_FORMAT);
        cr_expect(strstr(c.err.text, t[i].why), "%s", c.err.text);
        op_end(&c);
    }
}

Test(expand, repeats_along_dimensions_of_one)
{
    op_case c = op_begin("Expand", 13);
    op_in(&c, op_f32(2, (int64_t[]){3, 1}, numbers));
    op_in(&c, op_i64(1, (int64_t[]){3}, (int64_t[]){2, 1, 2}));
    op_run(&c);
    op_expect_f32(&c, 0, 3, (int64_t[]){2, 3, 2}, (float[]){0, 0, 1, 1, 2, 2, 0, 0, 1, 1, 2, 2}, 0);
    op_end(&c);
}

Test(expand, refuses_negative_and_huge_shapes)
{
    static const int64_t shape[][2] = {{-1, 4}, {INT64_MAX, INT64_MAX}};
    for (size_t i = 0; i < 2; i++) {
        op_case c = op_begin("Expand", 13);
        op_in(&c, op_f32(1, (int64_t[]){1}, numbers));
        op_in(&c, op_i64(1, (int64_t[]){2}, shape[i]));
        cr_expect_eq(op_try(&c), MC_E_FORMAT, "%s", c.err.text);
        op_end(&c);
    }
}

Test(identity, copies_strings)
{
    const mc_nd_text text[2] = {{"one", 3}, {"two", 3}};
    const mc_nd in = op_nd(MC_STRING, 1, (int64_t[]){2}, text);
    op_case c = op_begin("Identity", 13);
    op_in(&c, in);
    op_run(&c);
    op_expect_same(&c, 0, &in);
    op_end(&c);
}

Test(dropout, drops_nothing_and_masks_nothing)
{
    op_case c = op_begin("Dropout", 13);
    op_outputs(&c, 2);
    op_in(&c, op_f32(2, (int64_t[]){2, 2}, numbers));
    op_in(&c, op_f32(0, NULL, (float[]){0.75f}));
    op_run(&c);
    op_expect_f32(&c, 0, 2, (int64_t[]){2, 2}, numbers, 0);
    op_expect_i64(&c, 1, 2, (int64_t[]){2, 2}, (int64_t[]){1, 1, 1, 1});
    op_end(&c);
}

Test(dropout, refuses_to_train_unless_the_ratio_is_zero)
{
    static const bool yes = true;
    for (int i = 0; i < 2; i++) {
        op_case c = op_begin("Dropout", 13);
        op_in(&c, op_f32(1, (int64_t[]){2}, numbers));
        op_in(&c, op_f32(0, NULL, (float[]){i == 0 ? 0.5f : 0.0f}));
        op_in(&c, op_nd(MC_BOOL, 0, NULL, &yes));
        cr_expect_eq(op_try(&c), i == 0 ? MC_E_UNSUPPORTED : MC_OK);
        if (i == 0) cr_expect(strstr(c.err.text, "training_mode is true with ratio 0.5"));
        op_end(&c);
    }
}
