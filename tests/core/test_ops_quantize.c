/* QuantizeLinear, DequantizeLinear, DynamicQuantizeLinear: their formulas on numbers that can be
 * checked by hand. */
#include "tests/support/op_run.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static op_case quantize(int version, int64_t n, const float *x, const float *scale)
{
    op_case c = op_begin("QuantizeLinear", version);
    op_in(&c, op_f32(1, &n, x));
    op_in(&c, op_f32(0, NULL, scale));
    return c;
}

Test(op_quantize, rounds_half_to_even_before_the_zero_point_is_added)
{
    const float x[] = {0.5f, 1.5f, 2.5f, -0.5f, -1.5f, 3.0f}, scale = 1.0f;
    const uint8_t zero = 1;
    op_case c = quantize(13, 6, x, &scale);
    op_in(&c, op_nd(MC_U8, 0, NULL, &zero));
    op_run(&c);
    op_expect_i64(&c, 0, 1, (int64_t[]){6}, (int64_t[]){1, 3, 3, 1, 0, 4});
    op_end(&c);
}

Test(op_quantize, saturates_at_the_ends_of_every_type)
{
    static const struct {
        mc_dtype dtype;
        int64_t low, high;
    } ends[] = {{MC_U8, 0, 255}, {MC_I8, -128, 127}, {MC_U16, 0, 65535}, {MC_I16, -32768, 32767},
                {MC_U4, 0, 15},  {MC_I4, -8, 7},     {MC_U2, 0, 3},      {MC_I2, -2, 1}};
    const float x[] = {-1e30f, 1e30f, -INFINITY, INFINITY, NAN}, scale = 0.5f;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        const uint16_t zero = 1;
        op_case c = quantize(25, 5, x, &scale);
        op_in(&c, op_nd(ends[i].dtype, 0, NULL, &zero));
        op_run(&c);
        cr_assert_eq(op_out(&c, 0)->dtype, ends[i].dtype);
        const int64_t low = ends[i].low, high = ends[i].high;
        op_expect_i64(&c, 0, 1, (int64_t[]){5}, (int64_t[]){low, high, low, high, low});
        op_end(&c);
    }
}

Test(op_quantize, divides_and_does_not_multiply_by_an_inverse)
{
    /* 0.7f / 0.1f is 6.9999995 or 7 by how it is computed; halves decide */
    float x[64];
    const float scale = 0.1f;
    int64_t want[64];
    for (size_t i = 0; i < 64; i++) {
        x[i] = ((float)i + 0.5f) * 0.1f;
        want[i] = (int64_t)rintf(x[i] / scale);
    }
    op_case c = quantize(13, 64, x, &scale);
    op_run(&c);
    op_expect_i64(&c, 0, 1, (int64_t[]){64}, want);
    op_end(&c);
}

Test(op_quantize, has_a_scale_for_each_place_along_an_axis)
{
    const float x[] = {1, 2, 3, 4, 5, 6}, scale[] = {1, 2, 3};
    const int8_t zero[] = {0, 1, -1};
    for (int axis = -1; axis < 2; axis += 2) {
        op_case c = op_begin("QuantizeLinear", 13);
        op_int(&c, "axis", axis);
        op_in(&c, op_f32(2, (int64_t[]){2, 3}, x));
        op_in(&c, op_f32(1, (int64_t[]){3}, scale));
        op_in(&c, op_nd(MC_I8, 1, (int64_t[]){3}, zero));
        op_run(&c);
        op_expect_i64(&c, 0, 2, (int64_t[]){2, 3}, (int64_t[]){1, 2, 0, 4, 3, 1});
        op_end(&c);
    }
}

Test(op_quantize, the_first_axis_has_runs_of_neighbours)
{
    const float x[] = {1, 2, 3, 4, 6, 8}, scale[] = {1, 2};
    op_case c = op_begin("QuantizeLinear", 13);
    op_int(&c, "axis", 0);
    op_in(&c, op_f32(2, (int64_t[]){2, 3}, x));
    op_in(&c, op_f32(1, (int64_t[]){2}, scale));
    op_run(&c);
    op_expect_i64(&c, 0, 2, (int64_t[]){2, 3}, (int64_t[]){1, 2, 3, 2, 3, 4});
    op_end(&c);
}

/* Blocks of 2 along an axis of 3: the last is short. */
Test(op_quantize, blocks_share_parameters_along_either_axis)
{
    const int8_t x[] = {1, 2, 3, -4, -5, -6}, zero[] = {0, 1, 0, 0};
    const float scale[] = {1, 10, 100, 1000};
    const float along_rows[] = {1, 2, 20, -400, -500, -6000};
    const float down_columns[] = {1, 10, 3, 30, 500, 6000};
    const int8_t tall[] = {1, 2, 3, 4, 5, 6}, tall_zero[] = {0, 1, 0, 0};
    op_case c = op_begin("DequantizeLinear", 21);
    op_int(&c, "block_size", 2);
    op_in(&c, op_nd(MC_I4, 2, (int64_t[]){2, 3}, x));
    op_in(&c, op_f32(2, (int64_t[]){2, 2}, scale));
    op_in(&c, op_nd(MC_I4, 2, (int64_t[]){2, 2}, zero));
    op_run(&c);
    op_expect_f32(&c, 0, 2, (int64_t[]){2, 3}, along_rows, 0.0);
    op_end(&c);

    c = op_begin("DequantizeLinear", 21);
    op_int(&c, "block_size", 2);
    op_int(&c, "axis", 0);
    op_in(&c, op_nd(MC_I8, 2, (int64_t[]){3, 2}, tall));
    op_in(&c, op_f32(2, (int64_t[]){2, 2}, scale));
    op_in(&c, op_nd(MC_I8, 2, (int64_t[]){2, 2}, tall_zero));
    op_run(&c);
    op_expect_f32(&c, 0, 2, (int64_t[]){3, 2}, down_columns, 0.0);
    op_end(&c);
}

Test(op_quantize, f16_scales_round_the_quotient_to_f16)
{
    /* 2048 / 3 = 682.67 is 682.5 in f16, whose even neighbour is 682 */
    const float x[] = {2048.0f, 1001.0f}, scale = 3.0f;
    op_case c = op_begin("QuantizeLinear", 21);
    op_int(&c, "output_dtype", 4);
    op_in(&c, op_nd(MC_F16, 1, (int64_t[]){2}, x));
    op_in(&c, op_nd(MC_F16, 0, NULL, &scale));
    op_run(&c);
    cr_assert_eq(op_out(&c, 0)->dtype, MC_U16);
    op_expect_i64(&c, 0, 1, (int64_t[]){2}, (int64_t[]){682, 334});
    op_end(&c);

    /* 4102 is 4104 in f16 */
    const float odd = 4102.0f, two = 2.0f;
    for (int f16 = 0; f16 < 2; f16++) {
        c = op_begin("QuantizeLinear", 23);
        op_int(&c, "output_dtype", 4);
        if (f16) op_int(&c, "precision", 10);
        op_in(&c, op_f32(0, NULL, &odd));
        op_in(&c, op_f32(0, NULL, &two));
        op_run(&c);
        op_expect_i64(&c, 0, 0, NULL, (int64_t[]){f16 ? 2052 : 2051});
        op_end(&c);
    }
}

static void expect_floats(mc_dtype dtype, bool saturate, size_t n, const float *x,
                          const float *want)
{
    const int64_t count = (int64_t)n;
    const float scale = 2.0f, zero = 0.0f;
    op_case c = quantize(23, count, x, &scale);
    op_in(&c, op_nd(dtype, 0, NULL, &zero));
    op_int(&c, "saturate", saturate);
    op_run(&c);
    cr_assert_eq(op_out(&c, 0)->dtype, dtype);
    const float *y = op_out(&c, 0)->data;
    for (size_t i = 0; i < n; i++) {
        if (isnan(want[i]))
            cr_assert(isnan(y[i]), "%zu", i);
        else
            cr_assert_eq(y[i], want[i], "%zu: %g, must be %g", i, (double)y[i], (double)want[i]);
    }
    op_end(&c);
}

Test(op_quantize, small_floats_saturate_or_leave_their_range)
{
    const float x[] = {2.5f, 928.0f, 930.0f, 1e9f, -INFINITY, NAN};
    expect_floats(MC_F8_E4M3, true, 6, x, (const float[]){1.25f, 448, 448, 448, -448, NAN});
    expect_floats(MC_F8_E4M3, false, 6, x, (const float[]){1.25f, 448, NAN, NAN, NAN, NAN});
    const float big[] = {2.5f, 122880.0f, 122800.0f, -1e9f};
    expect_floats(MC_F8_E5M2, true, 4, big, (const float[]){1.25f, 57344, 57344, -57344});
    expect_floats(MC_F8_E5M2, false, 4, big, (const float[]){1.25f, INFINITY, 57344, -INFINITY});
    expect_floats(MC_F8_E5M2FNUZ, false, 4, big, (const float[]){1.25f, NAN, 57344, NAN});
    const float middle[] = {494.0f, 496.0f};
    expect_floats(MC_F8_E4M3FNUZ, false, 2, middle, (const float[]){240, NAN});
    expect_floats(MC_F8_E4M3FNUZ, true, 2, middle, (const float[]){240, 240});
    const float tiny[] = {2.5f, 20.0f, -9.9f};
    expect_floats(MC_F4, true, 3, tiny, (const float[]){1, 6, -4});
}

Test(op_quantize, whole_inputs_are_scaled_too)
{
    const int32_t x[] = {-5, 7, 1 << 30};
    const float scale = 2.0f, three = 0x1p-8f;
    op_case c = op_begin("QuantizeLinear", 13);
    op_in(&c, op_nd(MC_I32, 1, (int64_t[]){3}, x));
    op_in(&c, op_f32(0, NULL, &scale));
    op_run(&c);
    op_expect_i64(&c, 0, 1, (int64_t[]){3}, (int64_t[]){0, 4, 255});
    op_end(&c);

    c = op_begin("DequantizeLinear", 13);
    op_in(&c, op_nd(MC_I32, 1, (int64_t[]){3}, x));
    op_in(&c, op_f32(0, NULL, &three));
    op_run(&c);
    op_expect_f32(&c, 0, 1, (int64_t[]){3}, (const float[]){-0.01953125f, 0.02734375f, 4194304},
                  0.0);
    op_end(&c);
}

Test(op_quantize, output_dtype_chooses_what_dequantized_numbers_are)
{
    const uint8_t x[] = {3};
    const float scale = 0.25f;
    op_case c = op_begin("DequantizeLinear", 23);
    op_int(&c, "output_dtype", 10);
    op_in(&c, op_nd(MC_U2, 1, (int64_t[]){1}, x));
    op_in(&c, op_f32(0, NULL, &scale));
    op_run(&c);
    cr_assert_eq(op_out(&c, 0)->dtype, MC_F16);
    cr_assert_eq(*(const float *)op_out(&c, 0)->data, 0.75f);
    op_end(&c);
}

Test(op_quantize, dynamic_ranges_hold_zero)
{
    const float x[] = {1.0f, 2.55f, 0.5f}, zero[] = {0.0f, 0.0f};
    op_case c = op_begin("DynamicQuantizeLinear", 11);
    op_outputs(&c, 3);
    op_in(&c, op_f32(1, (int64_t[]){3}, x));
    op_run(&c);
    op_expect_i64(&c, 0, 1, (int64_t[]){3}, (int64_t[]){100, 255, 50});
    cr_assert_eq(*(const float *)op_out(&c, 1)->data, 2.55f / 255.0f);
    op_expect_i64(&c, 2, 0, NULL, (int64_t[]){0});
    op_end(&c);

    c = op_begin("DynamicQuantizeLinear", 11);
    op_outputs(&c, 3);
    op_in(&c, op_f32(1, (int64_t[]){2}, zero));
    op_run(&c);
    op_expect_i64(&c, 0, 1, (int64_t[]){2}, (int64_t[]){0, 0});
    op_end(&c);
}

static void expect_refusal(op_case *c, const char *text)
{
    cr_assert_eq(op_try(c), MC_E_FORMAT);
    cr_assert_not_null(strstr(c->err.text, text), "%s", c->err.text);
    op_end(c);
}

static op_case six(int64_t block, int scale_dims, const int64_t *scale_dim)
{
    static const int8_t x[6];
    static const float scale[16];
    op_case c = op_begin("DequantizeLinear", 21);
    op_int(&c, "block_size", block);
    op_in(&c, op_nd(MC_I8, 2, (int64_t[]){2, 3}, x));
    op_in(&c, op_f32(scale_dims, scale_dim, scale));
    return c;
}

Test(op_quantize, says_what_is_wrong)
{
    op_case c = six(0, 1, (int64_t[]){2});
    expect_refusal(&c, "the scale is [2] F32, which fits neither the whole of [2, 3] I8 nor its "
                       "axis 1");
    c = six(2, 2, (int64_t[]){2, 3});
    expect_refusal(&c, "axis 1 in blocks (blocks of 2)");
    c = six(-1, 2, (int64_t[]){2, 2});
    expect_refusal(&c, "block_size is -1; allowed is 0 or more");
    c = six(0, 1, (int64_t[]){3});
    op_int(&c, "axis", 2);
    expect_refusal(&c, "axis");

    const uint8_t zero[3] = {0};
    c = six(0, 1, (int64_t[]){3});
    op_in(&c, op_nd(MC_U8, 1, (int64_t[]){3}, zero));
    expect_refusal(&c, "the zero point is U8; allowed is I8 as in input 0");
    c = six(0, 1, (int64_t[]){3});
    op_in(&c, op_nd(MC_I8, 1, (int64_t[]){2}, zero));
    expect_refusal(&c, "the zero point is [2] I8; allowed is the scale's shape [3] F32");

    const float x = 1.0f;
    c = op_begin("QuantizeLinear", 21);
    op_int(&c, "output_dtype", 3);
    op_in(&c, op_f32(0, NULL, &x));
    op_in(&c, op_f32(0, NULL, &x));
    op_in(&c, op_nd(MC_U8, 0, NULL, zero));
    expect_refusal(&c, "output_dtype is I8; allowed is the zero point's, U8");
}
