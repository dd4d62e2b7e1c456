#include "tests/support/op_run.h"

#include <criterion/criterion.h>
#include <string.h>

enum { ROOM = 1 << 15 };

/* Elements of any width that tell where they come from. */
static void number_bytes(unsigned char *to, size_t count, size_t width)
{
    memset(to, 0, count * width);
    for (size_t i = 0; i < count; i++) {
        to[i * width] = (unsigned char)i;
        if (width > 1) to[i * width + width - 1] = (unsigned char)(i >> 8);
    }
}

/* The definition: out[i0, …] = in[…], i_k of the output is index perm[k] of the input. */
static void transpose_plainly(const mc_nd *in, const int64_t *perm, unsigned char *out)
{
    const size_t width = mc_nd_width(in->dtype);
    for (size_t i = 0; i < in->count; i++) {
        size_t index[MC_MAX_DIMS], rest = i, at = 0;
        for (int k = in->ndim - 1; k >= 0; k--) {
            index[k] = rest % (size_t)in->dim[k];
            rest /= (size_t)in->dim[k];
        }
        for (int k = 0; k < in->ndim; k++) at = at * (size_t)in->dim[perm[k]] + index[perm[k]];
        memcpy(out + at * width, (const unsigned char *)in->data + i * width, width);
    }
}

static void expect_transpose(mc_dtype dtype, int ndim, const int64_t *dim, const int64_t *perm)
{
    static unsigned char from[ROOM * 8], want[ROOM * 8];
    mc_nd in = op_nd(dtype, ndim, dim, from), must = {0};
    mc_err err = {0};
    int64_t made[MC_MAX_DIMS];
    number_bytes(from, in.count, mc_nd_width(dtype));
    transpose_plainly(&in, perm, want);
    for (int k = 0; k < ndim; k++) made[k] = dim[perm[k]];
    cr_assert_eq(mc_nd_set(&must, dtype, ndim, made, &err), MC_OK);
    must.data = want;
    op_case c = op_begin("Transpose", 13);
    op_ints(&c, "perm", (size_t)ndim, perm);
    op_in(&c, in);
    op_run(&c);
    op_expect_same(&c, 0, &must);
    op_end(&c);
}

Test(transpose, does_every_order_of_every_width)
{
    static const mc_dtype dtype[] = {MC_U8, MC_I16, MC_F32, MC_F64};
    for (size_t t = 0; t < 4; t++) {
        for (int code = 0; code < 256; code++) {
            const int64_t perm[4] = {code & 3, code >> 2 & 3, code >> 4 & 3, code >> 6};
            if ((1 << perm[0] | 1 << perm[1] | 1 << perm[2] | 1 << perm[3]) != 15) continue;
            expect_transpose(dtype[t], 4, (int64_t[]){3, 1, 5, 7}, perm);
        }
        expect_transpose(dtype[t], 3, (int64_t[]){2, 70, 67}, (int64_t[]){0, 2, 1});
        expect_transpose(dtype[t], 2, (int64_t[]){65, 33}, (int64_t[]){1, 0});
    }
}

static void expect_refusal(op_case *c, const char *why)
{
    cr_expect_eq(op_try(c), MC_E_FORMAT);
    cr_expect(strstr(c->err.text, why), "%s", c->err.text);
    op_end(c);
}

Test(transpose, refuses_what_is_no_permutation)
{
    static const float x[6] = {0};
    op_case c = op_begin("Transpose", 13);
    op_ints(&c, "perm", 2, (int64_t[]){0, 0});
    op_in(&c, op_f32(2, (int64_t[]){2, 3}, x));
    expect_refusal(&c, "perm name dimension 0 twice");
    c = op_begin("Transpose", 13);
    op_ints(&c, "perm", 3, (int64_t[]){0, 1, 2});
    op_in(&c, op_f32(2, (int64_t[]){2, 3}, x));
    expect_refusal(&c, "perm has 3 numbers for an input of 2 dimensions");
}

/* Numbers of the operator's page in the ONNX specification. */
Test(depth_to_space, takes_blocks_out_of_the_depth)
{
    static const float x[] = {0,  1,  2,  3,  4,  5,  9,  10, 11, 12, 13, 14, 18, 19, 20, 21,
                              22, 23, 27, 28, 29, 30, 31, 32, 36, 37, 38, 39, 40, 41, 45, 46,
                              47, 48, 49, 50, 54, 55, 56, 57, 58, 59, 63, 64, 65, 66, 67, 68};
    static const float dcr[] = {0,  18, 1,  19, 2,  20, 36, 54, 37, 55, 38, 56, 3,  21, 4,  22,
                                5,  23, 39, 57, 40, 58, 41, 59, 9,  27, 10, 28, 11, 29, 45, 63,
                                46, 64, 47, 65, 12, 30, 13, 31, 14, 32, 48, 66, 49, 67, 50, 68};
    static const float crd[] = {0,  9,  1,  10, 2,  11, 18, 27, 19, 28, 20, 29, 3,  12, 4,  13,
                                5,  14, 21, 30, 22, 31, 23, 32, 36, 45, 37, 46, 38, 47, 54, 63,
                                55, 64, 56, 65, 39, 48, 40, 49, 41, 50, 57, 66, 58, 67, 59, 68};
    for (int i = 0; i < 2; i++) {
        op_case c = op_begin("DepthToSpace", 13);
        op_int(&c, "blocksize", 2);
        op_text(&c, "mode", i ? "CRD" : "DCR");
        op_in(&c, op_f32(4, (int64_t[]){1, 8, 2, 3}, x));
        op_run(&c);
        op_expect_f32(&c, 0, 4, (int64_t[]){1, 2, 4, 6}, i ? crd : dcr, 0);
        op_end(&c);
    }
    op_case c = op_begin("SpaceToDepth", 13);
    op_int(&c, "blocksize", 2);
    op_in(&c, op_f32(4, (int64_t[]){1, 2, 4, 6}, dcr));
    op_run(&c);
    op_expect_f32(&c, 0, 4, (int64_t[]){1, 8, 2, 3}, x, 0);
    op_end(&c);
}

Test(depth_to_space, refuses_blocks_that_do_not_divide)
{
    static const float x[12] = {0};
    op_case c = op_begin("DepthToSpace", 13);
    op_int(&c, "blocksize", 2);
    op_in(&c, op_f32(4, (int64_t[]){1, 3, 2, 2}, x));
    expect_refusal(&c, "dimension 1 of 3 is not a multiple of 4");
    c = op_begin("SpaceToDepth", 13);
    op_int(&c, "blocksize", 0);
    op_in(&c, op_f32(4, (int64_t[]){1, 3, 2, 2}, x));
    expect_refusal(&c, "blocksize is 0");
}

Test(concat, puts_inputs_one_behind_the_other)
{
    static const float a[] = {1, 2, 3, 4}, b[] = {5, 6}, want[] = {1, 2, 5, 3, 4, 6};
    op_case c = op_begin("Concat", 13);
    op_int(&c, "axis", -1);
    op_in(&c, op_f32(2, (int64_t[]){2, 2}, a));
    op_in(&c, op_f32(2, (int64_t[]){2, 0}, NULL));
    op_in(&c, op_f32(2, (int64_t[]){2, 1}, b));
    op_run(&c);
    op_expect_f32(&c, 0, 2, (int64_t[]){2, 3}, want, 0);
    op_end(&c);
}

Test(concat, refuses_inputs_that_do_not_fit)
{
    static const float x[6] = {0};
    op_case c = op_begin("Concat", 13);
    op_int(&c, "axis", 1);
    op_in(&c, op_f32(2, (int64_t[]){2, 2}, x));
    op_in(&c, op_f32(2, (int64_t[]){3, 2}, x));
    expect_refusal(&c, "input 1 is [3, 2] F32, where dimension 0 of those before is 2");
    c = op_begin("Concat", 13);
    op_int(&c, "axis", 2);
    op_in(&c, op_f32(2, (int64_t[]){2, 2}, x));
    expect_refusal(&c, "axis 2 is outside [-2, 2)");
}

Test(split, cuts_into_the_lengths_asked_for)
{
    static const float x[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
    static const float first[] = {1, 2, 6, 7}, last[] = {3, 4, 5, 8, 9, 10};
    static const int64_t split[] = {2, 0, 3};
    for (int version = 11; version <= 13; version += 2) {
        op_case c = op_begin("Split", version);
        op_int(&c, "axis", 1);
        op_outputs(&c, 3);
        op_in(&c, op_f32(2, (int64_t[]){2, 5}, x));
        if (version < 13)
            op_ints(&c, "split", 3, split);
        else
            op_in(&c, op_i64(1, (int64_t[]){3}, split));
        op_run(&c);
        op_expect_f32(&c, 0, 2, (int64_t[]){2, 2}, first, 0);
        op_expect_f32(&c, 1, 2, (int64_t[]){2, 0}, NULL, 0);
        op_expect_f32(&c, 2, 2, (int64_t[]){2, 3}, last, 0);
        op_end(&c);
    }
}

Test(split, makes_the_last_of_even_parts_shorter_from_version_18_on)
{
    static const float x[] = {1, 2, 3, 4, 5};
    op_case c = op_begin("Split", 18);
    op_int(&c, "num_outputs", 2);
    op_outputs(&c, 2);
    op_in(&c, op_f32(1, (int64_t[]){5}, x));
    op_run(&c);
    op_expect_f32(&c, 0, 1, (int64_t[]){3}, x, 0);
    op_expect_f32(&c, 1, 1, (int64_t[]){2}, x + 3, 0);
    op_end(&c);

    c = op_begin("Split", 13);
    op_outputs(&c, 2);
    op_in(&c, op_f32(1, (int64_t[]){5}, x));
    expect_refusal(&c, "a length of 5 cannot be split into 2 equal parts");
}

Test(split, refuses_lengths_that_do_not_add_up)
{
    static const float x[] = {1, 2, 3, 4, 5};
    static const struct {
        int64_t split[2];
        const char *why;
    } t[] = {{{2, 2}, "split takes 4 of 5 elements"},
             {{4, 2}, "split[1] is 2, of 1 elements that are left"},
             {{-1, 6}, "split[0] is -1"},
             {{INT64_MAX, INT64_MAX}, "split[0] is 9223372036854775807"}};
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        op_case c = op_begin("Split", 13);
        op_outputs(&c, 2);
        op_in(&c, op_f32(1, (int64_t[]){5}, x));
        op_in(&c, op_i64(1, (int64_t[]){2}, t[i].split));
        expect_refusal(&c, t[i].why);
    }
}

/* x[start:end:step] as Python has it, for x = [0, 1, 2, 3, 4]; but a start before the first element
 * is that one, whichever way the step goes. */
Test(slice, takes_what_python_takes)
{
    static const struct {
        int64_t start, end, step, n;
        float want[5];
    } t[] = {{1, 4, 1, 3, {1, 2, 3}},
             {-2, INT64_MAX, 1, 2, {3, 4}},
             {0, -1, 2, 2, {0, 2}},
             {9, INT64_MIN, -1, 5, {4, 3, 2, 1, 0}},
             {-1, -4, -2, 2, {4, 2}},
             {3, 3, 1, 0, {0}},
             {-9, 2, 1, 2, {0, 1}},
             {-9, -9, -1, 1, {0}},
             {4, INT64_MIN, INT64_MIN, 1, {4}},
             {0, INT64_MAX, INT64_MAX, 1, {0}},
             {2, 4, -1, 0, {0}}};
    static const float x[] = {0, 1, 2, 3, 4};
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        op_case c = op_begin("Slice", 13);
        op_in(&c, op_f32(1, (int64_t[]){5}, x));
        op_in(&c, op_i64(1, (int64_t[]){1}, &t[i].start));
        op_in(&c, op_i64(1, (int64_t[]){1}, &t[i].end));
        op_no_input(&c);
        op_in(&c, op_i64(1, (int64_t[]){1}, &t[i].step));
        op_run(&c);
        op_expect_f32(&c, 0, 1, &t[i].n, t[i].want, 0);
        op_end(&c);
    }
}

Test(slice, cuts_the_axes_named_and_leaves_the_others)
{
    float x[60];
    for (int i = 0; i < 60; i++) x[i] = (float)i;
    static const float want[] = {23, 22, 28, 27, 33, 32, 38, 37};
    op_case c = op_begin("Slice", 13);
    op_in(&c, op_f32(3, (int64_t[]){3, 4, 5}, x));
    op_in(&c, op_i64(1, (int64_t[]){2}, (int64_t[]){3, 1}));
    op_in(&c, op_i64(1, (int64_t[]){2}, (int64_t[]){1, 2}));
    op_in(&c, op_i64(1, (int64_t[]){2}, (int64_t[]){-1, 0}));
    op_in(&c, op_i64(1, (int64_t[]){2}, (int64_t[]){-1, 1}));
    op_run(&c);
    op_expect_f32(&c, 0, 3, (int64_t[]){1, 4, 2}, want, 0);
    op_end(&c);

    c = op_begin("Slice", 9);
    op_ints(&c, "starts", 1, (int64_t[]){1});
    op_ints(&c, "ends", 1, (int64_t[]){1000});
    op_ints(&c, "axes", 1, (int64_t[]){0});
    op_in(&c, op_f32(3, (int64_t[]){3, 4, 5}, x));
    op_run(&c);
    op_expect_f32(&c, 0, 3, (int64_t[]){2, 4, 5}, x + 20, 0);
    op_end(&c);
}

Test(slice, refuses_steps_of_zero_and_lists_of_other_lengths)
{
    static const float x[5] = {0};
    static const int64_t zero[2] = {0, 0}, one[2] = {1, 1};
    op_case c = op_begin("Slice", 13);
    op_in(&c, op_f32(1, (int64_t[]){5}, x));
    op_in(&c, op_i64(1, (int64_t[]){1}, zero));
    op_in(&c, op_i64(1, (int64_t[]){1}, one));
    op_in(&c, op_i64(1, (int64_t[]){1}, zero));
    op_in(&c, op_i64(1, (int64_t[]){1}, zero));
    expect_refusal(&c, "the step of axis 0 is 0");
    c = op_begin("Slice", 13);
    op_in(&c, op_f32(1, (int64_t[]){5}, x));
    op_in(&c, op_i64(1, (int64_t[]){1}, zero));
    op_in(&c, op_i64(1, (int64_t[]){2}, one));
    expect_refusal(&c, "there are 2 ends for 1 starts");
    c = op_begin("Slice", 13);
    op_in(&c, op_f32(1, (int64_t[]){5}, x));
    op_in(&c, op_i64(1, (int64_t[]){2}, zero));
    op_in(&c, op_i64(1, (int64_t[]){2}, one));
    expect_refusal(&c, "there are 2 starts for 1 dimensions");
}

Test(tile, repeats)
{
    static const float x[] = {1, 2, 3, 4};
    static const float want[] = {1, 2, 1, 2, 3, 4, 3, 4, 1, 2, 1, 2, 3, 4, 3, 4};
    op_case c = op_begin("Tile", 13);
    op_in(&c, op_f32(2, (int64_t[]){2, 2}, x));
    op_in(&c, op_i64(1, (int64_t[]){2}, (int64_t[]){2, 2}));
    op_run(&c);
    op_expect_f32(&c, 0, 2, (int64_t[]){4, 4}, want, 0);
    op_end(&c);
}

Test(tile, refuses_repeats_that_no_memory_holds)
{
    static const float x[] = {1, 2, 3, 4};
    static const struct {
        int64_t repeats[2];
        const char *why;
    } t[] = {{{INT64_MAX, 1}, "dimension 0 of 2 cannot be repeated 9223372036854775807 times"},
             {{1, -1}, "dimension 1 of 2 cannot be repeated -1 times"},
             {{INT64_C(1) << 40, INT64_C(1) << 40}, "too large"}};
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        op_case c = op_begin("Tile", 13);
        op_in(&c, op_f32(2, (int64_t[]){2, 2}, x));
        op_in(&c, op_i64(1, (int64_t[]){2}, t[i].repeats));
        expect_refusal(&c, t[i].why);
    }
}

/* Numbers of the operator's page in the ONNX specification. */
Test(reverse_sequence, turns_the_beginning_of_each_sample_around)
{
    static const float x[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    static const float want[] = {0, 1, 2, 3, 5, 4, 6, 7, 10, 9, 8, 11, 15, 14, 13, 12};
    op_case c = op_begin("ReverseSequence", 10);
    op_int(&c, "time_axis", 1);
    op_int(&c, "batch_axis", 0);
    op_in(&c, op_f32(2, (int64_t[]){4, 4}, x));
    op_in(&c, op_i64(1, (int64_t[]){4}, (int64_t[]){1, 2, 3, 4}));
    op_run(&c);
    op_expect_f32(&c, 0, 2, (int64_t[]){4, 4}, want, 0);
    op_end(&c);

    c = op_begin("ReverseSequence", 10);
    op_in(&c, op_f32(2, (int64_t[]){4, 4}, x));
    op_in(&c, op_i64(1, (int64_t[]){4}, (int64_t[]){1, 2, 3, 5}));
    expect_refusal(&c, "the length of sample 3 is 5 (0 to 4 are allowed)");
}
