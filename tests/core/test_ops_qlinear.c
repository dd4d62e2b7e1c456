/* Operators on quantized tensors: exact sums by plain loops in 64 bits, and onnx.reference (numbers
 * by tests/reference/make_op_goldens.py). */
#include "tests/support/op_ramp.h"
#include "tests/support/op_run.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static const int64_t qlinear_matmul_0[] = {168, 44, 171, 78, 87, 96};
static const int64_t qlinear_conv_0[] = {108, 92, 101, 102, 95,  101, 101, 95,  100,
                                         92,  97, 100, 76,  110, 98,  76,  110, 99};
static const float dynamic_matmul_0[] = {2.94544101f, 0.52867651f, -1.89308822f, 5.37720585f};

static mc_nd scalar(mc_dtype dtype, const void *value)
{
    return op_nd(dtype, 0, NULL, value);
}

/* Long enough that f32 alone could not hold the sums; two matrices, b shared. */
Test(op_qlinear, sums_are_exact_however_long)
{
    enum { M = 5, K = 3000, N = 7 };
    uint8_t *a = malloc(2 * M * K), *b = malloc(K * N);
    cr_assert(a && b);
    memset(a, 255, 2 * M * K);
    op_ramp_codes(a + 1, 2 * M * K - 1, 1);
    memset(b, 0x80, K * N); /* -128 */
    op_ramp_codes(b + N, K * N / 2, 2);
    const uint8_t a_zero[2 * M] = {0, 255, 3, 128, 7, 0, 1, 2, 3, 4};
    const int8_t b_zero[N] = {0, 127, -128, 5, -5, 1, 2};
    op_case c = op_begin("MatMulInteger", 10);
    op_in(&c, op_nd(MC_U8, 3, (int64_t[]){2, M, K}, a));
    op_in(&c, op_nd(MC_I8, 2, (int64_t[]){K, N}, b));
    op_in(&c, op_nd(MC_U8, 3, (int64_t[]){2, M, 1}, a_zero));
    op_in(&c, op_nd(MC_I8, 1, (int64_t[]){N}, b_zero));
    op_run(&c);
    int64_t want[2 * M * N];
    for (size_t i = 0; i < 2 * M; i++)
        for (size_t j = 0; j < N; j++) {
            int64_t sum = 0;
            for (size_t k = 0; k < K; k++)
                sum += ((int64_t)a[i * K + k] - a_zero[i]) *
                       ((int64_t)(int8_t)b[k * N + j] - b_zero[j]);
            want[i * N + j] = sum;
        }
    op_expect_i64(&c, 0, 3, (int64_t[]){2, M, N}, want);
    op_end(&c);
    free(a);
    free(b);
}

Test(op_qlinear, a_product_of_codes_becomes_codes)
{
    uint8_t a[8], b[12];
    op_ramp_codes(a, 8, 1);
    op_ramp_codes(b, 12, 2);
    const float scale[] = {0.02f, 0.01f, 0.05f};
    const uint8_t zero[] = {113, 114, 118};
    op_case c = op_begin("QLinearMatMul", 10);
    op_in(&c, op_nd(MC_U8, 2, (int64_t[]){2, 4}, a));
    op_in(&c, scalar(MC_F32, &scale[0]));
    op_in(&c, scalar(MC_U8, &zero[0]));
    op_in(&c, op_nd(MC_U8, 2, (int64_t[]){4, 3}, b));
    op_in(&c, scalar(MC_F32, &scale[1]));
    op_in(&c, scalar(MC_U8, &zero[1]));
    op_in(&c, scalar(MC_F32, &scale[2]));
    op_in(&c, scalar(MC_U8, &zero[2]));
    op_run(&c);
    op_expect_i64(&c, 0, 2, (int64_t[]){2, 3}, qlinear_matmul_0);
    op_end(&c);
}

Test(op_qlinear, rows_and_columns_may_have_scales_of_their_own)
{
    const uint8_t a[] = {2, 4}, none[] = {0, 0};
    const int8_t b[] = {3, 5}, nil[] = {0, 0};
    const float a_scale[] = {1, 10}, b_scale[] = {1, 0.5f}, y_scale = 2.0f;
    op_case c = op_begin("QLinearMatMul", 10);
    op_in(&c, op_nd(MC_U8, 2, (int64_t[]){2, 1}, a));
    op_in(&c, op_f32(1, (int64_t[]){2}, a_scale));
    op_in(&c, op_nd(MC_U8, 1, (int64_t[]){2}, none));
    op_in(&c, op_nd(MC_I8, 2, (int64_t[]){1, 2}, b));
    op_in(&c, op_f32(1, (int64_t[]){2}, b_scale));
    op_in(&c, op_nd(MC_I8, 1, (int64_t[]){2}, nil));
    op_in(&c, scalar(MC_F32, &y_scale));
    op_in(&c, scalar(MC_U8, none));
    op_run(&c);
    op_expect_i64(&c, 0, 2, (int64_t[]){2, 2}, (int64_t[]){3, 2, 60, 50});
    op_end(&c);
}

Test(op_qlinear, a_convolution_of_codes_becomes_codes)
{
    uint8_t x[18], w[16];
    op_ramp_codes(x, 18, 3);
    op_ramp_codes(w, 16, 4);
    const float x_scale = 0.03f, w_scale[] = {0.01f, 0.02f}, y_scale = 0.5f;
    const uint8_t x_zero = 120, y_zero = 100;
    const int8_t w_zero[] = {0, 0};
    const int32_t bias[] = {500, -500};
    op_case c = op_begin("QLinearConv", 10);
    op_ints(&c, "pads", 4, (int64_t[]){1, 0, 0, 1});
    op_in(&c, op_nd(MC_U8, 4, (int64_t[]){1, 2, 3, 3}, x));
    op_in(&c, scalar(MC_F32, &x_scale));
    op_in(&c, scalar(MC_U8, &x_zero));
    op_in(&c, op_nd(MC_I8, 4, (int64_t[]){2, 2, 2, 2}, w));
    op_in(&c, op_f32(1, (int64_t[]){2}, w_scale));
    op_in(&c, op_nd(MC_I8, 1, (int64_t[]){2}, w_zero));
    op_in(&c, scalar(MC_F32, &y_scale));
    op_in(&c, scalar(MC_U8, &y_zero));
    op_in(&c, op_nd(MC_I32, 1, (int64_t[]){2}, bias));
    op_run(&c);
    op_expect_i64(&c, 0, 4, (int64_t[]){1, 2, 3, 3}, qlinear_conv_0);
    op_end(&c);
}

Test(op_qlinear, grouped_strided_and_dilated_convolutions_are_exact)
{
    enum { C = 4, L = 11, F = 6, T = 3, OUT = 4 };
    uint8_t x[2 * C * L], w[F * 2 * T];
    op_ramp_codes(x, sizeof x, 1);
    op_ramp_codes(w, sizeof w, 2);
    const uint8_t x_zero = 9, w_zero[F] = {0, 1, 2, 100, 200, 255};
    op_case c = op_begin("ConvInteger", 10);
    op_int(&c, "group", 2);
    op_ints(&c, "strides", 1, (int64_t[]){3});
    op_ints(&c, "dilations", 1, (int64_t[]){2});
    op_ints(&c, "pads", 2, (int64_t[]){2, 1});
    op_in(&c, op_nd(MC_U8, 3, (int64_t[]){2, C, L}, x));
    op_in(&c, op_nd(MC_U8, 3, (int64_t[]){F, 2, T}, w));
    op_in(&c, scalar(MC_U8, &x_zero));
    op_in(&c, op_nd(MC_U8, 1, (int64_t[]){F}, w_zero));
    op_run(&c);
    int64_t want[2 * F * OUT] = {0};
    for (int i = 0; i < 2 * F * OUT; i++) {
        const int s = i / (F * OUT), f = i / OUT % F, o = i % OUT;
        for (int k = 0; k < 2; k++)
            for (int t = 0; t < T; t++) {
                const int at = 3 * o + 2 * t - 2, channel = f / (F / 2) * 2 + k;
                if (at < 0 || at >= L) continue;
                want[i] += (int64_t)(x[(s * C + channel) * L + at] - x_zero) *
                           (w[(f * 2 + k) * T + t] - w_zero[f]);
            }
    }
    op_expect_i64(&c, 0, 3, (int64_t[]){2, F, OUT}, want);
    op_end(&c);
}

Test(op_qlinear, activations_may_be_quantized_on_the_way)
{
    float x[40], bias[2];
    uint8_t w[40];
    op_ramp(x, 40, 1);
    op_ramp_codes(w, 40, 1);
    op_ramp(bias, 2, 2);
    const float scale = 0.01f;
    const uint8_t zero = 113;
    op_case c = op_begin_in(MC_DOMAIN_MS, "DynamicQuantizeMatMul", 1);
    op_in(&c, op_f32(2, (int64_t[]){2, 20}, x));
    op_in(&c, op_nd(MC_U8, 2, (int64_t[]){20, 2}, w));
    op_in(&c, scalar(MC_F32, &scale));
    op_in(&c, scalar(MC_U8, &zero));
    op_in(&c, op_f32(1, (int64_t[]){2}, bias));
    op_run(&c);
    op_expect_f32(&c, 0, 2, (int64_t[]){2, 2}, dynamic_matmul_0, 1e-6);
    op_end(&c);
}

static void expect_refusal(op_case *c, const char *text)
{
    cr_assert_eq(op_try(c), MC_E_FORMAT);
    cr_assert_not_null(strstr(c->err.text, text), "%s", c->err.text);
    op_end(c);
}

Test(op_qlinear, says_what_is_wrong)
{
    static const uint8_t zero[64];
    op_case c = op_begin("MatMulInteger", 10);
    op_in(&c, op_nd(MC_U8, 2, (int64_t[]){2, 4}, zero));
    op_in(&c, op_nd(MC_U8, 2, (int64_t[]){3, 2}, zero));
    expect_refusal(&c, "4");

    c = op_begin("MatMulInteger", 10);
    op_in(&c, op_nd(MC_U8, 2, (int64_t[]){2, 4}, zero));
    op_in(&c, op_nd(MC_U8, 2, (int64_t[]){4, 2}, zero));
    op_in(&c, op_nd(MC_U8, 1, (int64_t[]){4}, zero));
    expect_refusal(&c, "input 2 is [4] U8; allowed is one number or one for each row of [2, 4] U8");

    c = op_begin("MatMulInteger", 10);
    op_in(&c, op_nd(MC_U8, 2, (int64_t[]){2, 4}, zero));
    op_in(&c, op_nd(MC_U8, 2, (int64_t[]){4, 2}, zero));
    op_in(&c, op_nd(MC_I8, 0, NULL, zero));
    expect_refusal(&c, "input 2 is I8; allowed is U8 as in input 0");

    c = op_begin("ConvInteger", 10);
    op_in(&c, op_nd(MC_U8, 3, (int64_t[]){1, 2, 4}, zero));
    op_in(&c, op_nd(MC_U8, 3, (int64_t[]){1, 2, 2}, zero));
    op_in(&c, op_nd(MC_U8, 1, (int64_t[]){2}, zero));
    expect_refusal(&c, "input 2 is [2] U8; allowed is [1] U8");
}
