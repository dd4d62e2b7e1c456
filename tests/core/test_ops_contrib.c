/* Operators of com.microsoft against onnxruntime (numbers by tests/reference/make_op_goldens.py)
 * and against their formulas. */
#include "tests/support/op_ramp.h"
#include "tests/support/op_run.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static const float nbits_0[] = {-47.21875f, 34.53125f,  11.671875f,
                                45.65625f,  -10.03125f, -28.59375f};
static const float gather_blocks_0[] = {
    -7.875f,  -6.75f, -10.125f, -12.375f, 0.0f,     -1.125f, -2.25f, -6.75f, -4.5f,   -12.375f,
    -12.375f, 0.0f,   -14.625f, -5.625f,  -16.875f, -11.25f, 0.0f,   2.25f,  -0.75f,  0.375f,
    -1.5f,    -1.5f,  -2.25f,   -3.375f,  1.125f,   0.375f,  0.375f, -1.5f,  -0.375f, -3.375f,
    -3.0f,    0.75f,  6.875f,   -2.5f,    2.5f,     4.375f,  1.25f,  1.25f,  0.0f,    -1.875f,
    5.625f,   4.375f, 4.375f,   1.25f,    3.125f,   -1.875f, -1.25f, 5.0f,   -1.75f,  10.5f,
    22.75f,   0.0f,   10.5f,    19.25f,   7.0f,     10.5f,   3.5f,   1.75f,  19.25f,  19.25f,
    15.75f,   10.5f,  12.25f,   1.75f};
static const float skip_layer_0[] = {
    0.625f,        4.67865419f,  -0.877746344f, -1.21979022f,  0.625f,        1.70878661f,
    -0.461281359f, 0.22214599f,  0.625f,        4.26402044f,   -1.0088315f,   -1.7855376f,
    0.625f,        4.11764431f,  -0.492647648f, -0.441175818f, 0.625f,        2.32051706f,
    -0.372431159f, 0.633031905f, 0.625f,        4.11764431f,   -0.492647648f, -0.441175818f};
static const float skip_layer_1[] = {-0.625f, 5.25f,  -0.5f,  -2.375f, 1.5f,    -0.375f,
                                     -2.25f,  -0.25f, -0.25f, 1.75f,   -0.125f, -2.0f,
                                     0.5f,    2.5f,   -3.25f, -1.25f,  2.625f,  0.75f,
                                     -5.0f,   0.875f, 0.875f, 2.875f,  -2.875f, -0.875f};
static const float qattention_0[] = {-3.44579983f, 4.0461998f, -3.63179994f, 3.86019993f,
                                     -3.44579983f, 4.0461998f, -3.63179994f, 3.86019993f};
static const float fused_matmul_0[] = {
    2.03125f, -1.8515625f, 1.7734375f,  -1.3125f,   -1.359375f, -1.40625f,
    -1.75f,   2.0390625f,  -1.6796875f, 1.3671875f, -0.234375f, 1.5546875f,
    -1.125f,  1.109375f,   -0.7734375f, -0.46875f,  1.484375f,  -0.6796875f};
static const float fused_gemm_0[] = {4.0625f, 4.953125f, -0.4921875f, 1.421875f};
static const float fused_conv_0[] = {1.0f, 1.0f, -1.0f, -1.0f, 0.5f, 1.0f, -0.453125f, 1.0f};

static op_case begin(const char *name)
{
    return op_begin_in(MC_DOMAIN_MS, name, 1);
}

static float *pool(size_t n)
{
    static float room[2048];
    static size_t used;
    cr_assert_leq(used + n, 2048);
    used += n;
    return room + used - n;
}

static size_t count(int ndim, const int64_t *dim)
{
    size_t n = 1;
    for (int d = 0; d < ndim; d++) n *= (size_t)dim[d];
    return n;
}

static void ramp_in(op_case *c, int ndim, const int64_t *dim, unsigned seed)
{
    float *x = pool(count(ndim, dim));
    op_ramp(x, count(ndim, dim), seed);
    op_in(c, op_f32(ndim, dim, x));
}

static void size_in(op_case *c, int ndim, const int64_t *dim, unsigned seed)
{
    float *x = pool(count(ndim, dim));
    op_ramp(x, count(ndim, dim), seed);
    for (size_t i = 0; i < count(ndim, dim); i++) x[i] = fabsf(x[i]);
    op_in(c, op_f32(ndim, dim, x));
}

static void codes_in(op_case *c, int ndim, const int64_t *dim, unsigned seed)
{
    uint8_t *x = (uint8_t *)pool(count(ndim, dim) / 4 + 1);
    op_ramp_codes(x, count(ndim, dim), seed);
    op_in(c, op_nd(MC_U8, ndim, dim, x));
}

/* ---- weights of a few bits ---- */

static op_case nbits(int64_t bits)
{
    op_case c = begin("MatMulNBits");
    op_int(&c, "N", 3);
    op_int(&c, "K", 20);
    op_int(&c, "bits", bits);
    op_int(&c, "block_size", 16);
    ramp_in(&c, 2, (int64_t[]){2, 20}, 1);
    return c;
}

Test(op_contrib, multiplies_by_weights_of_4_bits)
{
    op_case c = nbits(4);
    codes_in(&c, 3, (int64_t[]){3, 2, 8}, 3);
    size_in(&c, 2, (int64_t[]){3, 2}, 2);
    codes_in(&c, 2, (int64_t[]){3, 1}, 4);
    op_run(&c);
    op_expect_f32(&c, 0, 2, (int64_t[]){2, 3}, nbits_0, 1e-6);
    op_end(&c);
}

/* (code - zero) * scale, column k in the block that g_idx says, and a bias. */
static void expect_nbits(unsigned bits, bool packed_zero)
{
    uint8_t codes[3 * 2 * 16], zeros[3 * 2];
    float scale[6], zero[6], x[40], want[6];
    const float bias[] = {1, 2, 3};
    int32_t group[20];
    const size_t row = 4 * bits, zero_row = bits == 8 ? 2 : 1;
    op_ramp_codes(codes, 3 * row, 5);
    op_ramp_codes(zeros, 3 * zero_row, 6);
    op_ramp(scale, 6, 7);
    op_ramp(zero, 6, 8);
    op_ramp(x, 40, 1);
    for (int i = 0; i < 20; i++) group[i] = i % 3 == 0;
    const unsigned per = 8 / bits, mask = (1u << bits) - 1;
    for (size_t i = 0; i < 6; i++) {
        const size_t n = i % 3;
        double sum = (double)bias[n];
        for (size_t k = 0; k < 20; k++) {
            const size_t g = (size_t)group[k];
            const unsigned code = (unsigned)codes[n * row + k / per] >> (k % per * bits) & mask;
            const unsigned z = (unsigned)zeros[n * zero_row + g / per] >> (g % per * bits) & mask;
            const double shift = packed_zero ? (double)z : (double)zero[n * 2 + g];
            sum += (double)x[i / 3 * 20 + k] * ((double)code - shift) * (double)scale[n * 2 + g];
        }
        want[i] = (float)sum;
    }
    op_case c = nbits(bits);
    op_in(&c, op_nd(MC_U8, 3, (int64_t[]){3, 2, (int64_t)row / 2}, codes));
    op_in(&c, op_f32(2, (int64_t[]){3, 2}, scale));
    op_in(&c, packed_zero ? op_nd(MC_U8, 2, (int64_t[]){3, (int64_t)zero_row}, zeros)
                          : op_f32(2, (int64_t[]){3, 2}, zero));
    op_in(&c, op_nd(MC_I32, 1, (int64_t[]){20}, group));
    op_in(&c, op_f32(1, (int64_t[]){3}, bias));
    op_run(&c);
    op_expect_f32(&c, 0, 2, (int64_t[]){2, 3}, want, 1e-5);
    op_end(&c);
}

Test(op_contrib, weights_have_2_4_or_8_bits_zero_points_of_two_kinds_and_groups)
{
    for (unsigned bits = 2; bits <= 8; bits *= 2) {
        expect_nbits(bits, true);
        expect_nbits(bits, false);
    }
}

Test(op_contrib, without_zero_points_the_middle_code_is_0)
{
    uint8_t codes[48];
    const float zero[6] = {0};
    memset(codes, 0x88, sizeof codes);
    op_case c = nbits(4);
    op_in(&c, op_nd(MC_U8, 3, (int64_t[]){3, 2, 8}, codes));
    size_in(&c, 2, (int64_t[]){3, 2}, 2);
    op_run(&c);
    op_expect_f32(&c, 0, 2, (int64_t[]){2, 3}, zero, 0.0);
    op_end(&c);
}

Test(op_contrib, looks_rows_of_blocks_up)
{
    const int64_t index[] = {2, 0};
    op_case c = begin("GatherBlockQuantized");
    op_int(&c, "bits", 4);
    op_int(&c, "block_size", 16);
    codes_in(&c, 2, (int64_t[]){4, 16}, 3);
    op_in(&c, op_i64(1, (int64_t[]){2}, index));
    size_in(&c, 2, (int64_t[]){4, 2}, 2);
    codes_in(&c, 2, (int64_t[]){4, 1}, 4);
    op_run(&c);
    op_expect_f32(&c, 0, 2, (int64_t[]){2, 32}, gather_blocks_0, 1e-6);
    op_end(&c);
}

Test(op_contrib, looks_up_along_other_axes_too)
{
    int8_t data[2 * 16 * 3];
    float scale[6], want[2 * 16 * 2];
    for (int i = 0; i < 96; i++) data[i] = (int8_t)(i % 16 - 8);
    op_ramp(scale, 6, 3);
    const int64_t index[] = {-1, 1};
    for (size_t i = 0; i < 64; i++) {
        const size_t from = i / 2 * 3 + (i % 2 == 0 ? 2 : 1);
        want[i] = (float)data[from] * scale[i / 32 * 3 + from % 3];
    }
    op_case c = begin("GatherBlockQuantized");
    op_int(&c, "gather_axis", 2);
    op_int(&c, "block_size", 16);
    op_in(&c, op_nd(MC_I4, 3, (int64_t[]){2, 16, 3}, data));
    op_in(&c, op_i64(1, (int64_t[]){2}, index));
    op_in(&c, op_f32(3, (int64_t[]){2, 1, 3}, scale));
    op_run(&c);
    op_expect_f32(&c, 0, 3, (int64_t[]){2, 16, 2}, want, 0.0);
    op_end(&c);
}

/* ---- normalizations and activations ---- */

Test(op_contrib, normalizes_a_sum_and_gives_it_back)
{
    const int64_t dim[] = {2, 3, 4};
    op_case c = begin("SkipLayerNormalization");
    op_float(&c, "epsilon", 1e-5f);
    op_outputs(&c, 4);
    ramp_in(&c, 3, dim, 1);
    ramp_in(&c, 2, dim + 1, 2);
    for (unsigned seed = 3; seed < 6; seed++) ramp_in(&c, 1, dim + 2, seed);
    op_run(&c);
    op_expect_f32(&c, 0, 3, dim, skip_layer_0, 1e-6);
    op_expect_f32(&c, 3, 3, dim, skip_layer_1, 1e-6);
    op_end(&c);
}

Test(op_contrib, simplified_normalizations_leave_the_mean)
{
    const float x[] = {1, 2, 2}, skip[] = {0, -4, 0}, gamma[] = {1, 2, 3};
    const float alone[] = {0.5773503f, 2.3094011f, 3.4641016f};
    const float sum[] = {0.5773503f, -2.3094011f, 3.4641016f}, inverse = 0.57735027f;
    const int64_t row[] = {1, 3}, one[] = {1, 1};
    op_case c = begin("SimplifiedLayerNormalization");
    op_float(&c, "epsilon", 0.0f);
    op_outputs(&c, 2);
    op_in(&c, op_f32(2, row, x));
    op_in(&c, op_f32(1, row + 1, gamma));
    op_run(&c);
    op_expect_f32(&c, 0, 2, row, alone, 1e-6);
    op_expect_f32(&c, 1, 2, one, &inverse, 1e-6);
    op_end(&c);

    c = begin("SkipSimplifiedLayerNormalization");
    op_float(&c, "epsilon", 0.0f);
    op_in(&c, op_f32(2, row, x));
    op_in(&c, op_f32(2, row, skip));
    op_in(&c, op_f32(1, row + 1, gamma));
    op_run(&c);
    op_expect_f32(&c, 0, 2, row, sum, 1e-6);
    op_end(&c);
}

static double phi(double x)
{
    return x / 2.0 * (1.0 + erf(x / sqrt(2.0)));
}

static double phi_tanh(double x)
{
    return x / 2.0 * (1.0 + tanh(sqrt(2.0 / acos(-1.0)) * (x + 0.044715 * x * x * x)));
}

static double quick(double x)
{
    return x / (1.0 + exp(-1.702 * x));
}

static void expect_gelu(const char *name, bool bias, double (*f)(double))
{
    float x[12], b[4], want[12];
    op_ramp(x, 12, 1);
    op_ramp(b, 4, 2);
    for (size_t i = 0; i < 12; i++)
        want[i] = (float)f((double)x[i] + (bias ? (double)b[i % 4] : 0.0));
    op_case c = begin(name);
    op_in(&c, op_f32(2, (int64_t[]){3, 4}, x));
    if (bias) op_in(&c, op_f32(1, (int64_t[]){4}, b));
    op_run(&c);
    op_expect_f32(&c, 0, 2, (int64_t[]){3, 4}, want, 5e-7);
    op_end(&c);
}

Test(op_contrib, gelu_comes_in_variants)
{
    expect_gelu("Gelu", false, phi);
    expect_gelu("BiasGelu", true, phi);
    expect_gelu("FastGelu", false, phi_tanh);
    expect_gelu("FastGelu", true, phi_tanh);
    expect_gelu("QuickGelu", false, quick);
}

/* ---- fused ---- */

Test(op_contrib, matrices_may_be_transposed_with_their_stacks)
{
    op_case c = begin("FusedMatMul");
    op_int(&c, "transBatchA", 1);
    op_int(&c, "transB", 1);
    op_float(&c, "alpha", 0.5f);
    ramp_in(&c, 3, (int64_t[]){3, 2, 4}, 1);
    ramp_in(&c, 3, (int64_t[]){2, 3, 4}, 2);
    op_run(&c);
    op_expect_f32(&c, 0, 3, (int64_t[]){2, 3, 3}, fused_matmul_0, 1e-6);
    op_end(&c);
}

Test(op_contrib, an_activation_may_follow)
{
    op_case c = begin("FusedGemm");
    op_int(&c, "transB", 1);
    op_text(&c, "activation", "LeakyRelu");
    op_float(&c, "activation_alpha", 0.25f);
    ramp_in(&c, 2, (int64_t[]){2, 3}, 1);
    ramp_in(&c, 2, (int64_t[]){2, 3}, 2);
    ramp_in(&c, 1, (int64_t[]){2}, 3);
    op_run(&c);
    op_expect_f32(&c, 0, 2, (int64_t[]){2, 2}, fused_gemm_0, 1e-6);
    op_end(&c);

    c = begin("FusedConv");
    op_text(&c, "activation", "Clip");
    op_floats(&c, "activation_params", 2, (const float[]){-1, 1});
    ramp_in(&c, 4, (int64_t[]){1, 1, 3, 3}, 1);
    ramp_in(&c, 4, (int64_t[]){2, 1, 2, 2}, 2);
    ramp_in(&c, 1, (int64_t[]){2}, 3);
    ramp_in(&c, 4, (int64_t[]){1, 2, 2, 2}, 4);
    op_run(&c);
    op_expect_f32(&c, 0, 4, (int64_t[]){1, 2, 2, 2}, fused_conv_0, 1e-6);
    op_end(&c);
}

static void qattention_inputs(op_case *c)
{
    static const float scale[] = {0.01f, 0.02f};
    static const int32_t mask[] = {1, 0};
    static const uint8_t zero[] = {113, 114};
    codes_in(c, 3, (int64_t[]){1, 2, 3}, 1);
    codes_in(c, 2, (int64_t[]){3, 12}, 2);
    ramp_in(c, 1, (int64_t[]){12}, 3);
    for (int i = 0; i < 2; i++) op_in(c, op_f32(0, NULL, scale + i));
    op_in(c, op_nd(MC_I32, 2, (int64_t[]){1, 2}, mask));
    for (int i = 0; i < 2; i++) op_in(c, op_nd(MC_U8, 0, NULL, zero + i));
}

Test(op_contrib, attends_over_a_quantized_projection)
{
    op_case c = begin("QAttention");
    op_int(&c, "num_heads", 2);
    qattention_inputs(&c);
    op_run(&c);
    op_expect_f32(&c, 0, 3, (int64_t[]){1, 2, 4}, qattention_0, 1e-5);
    op_end(&c);
}

/* One position for all: that of the first token. */
Test(op_contrib, positions_may_count_from_the_first_token)
{
    const float x[] = {1, 2, 3, 4}, cosine[] = {9, 9, 0, 1}, sine[] = {9, 9, 1, 0};
    const float want[] = {-2, 1, 3, 4};
    const int64_t first[] = {2};
    op_case c = begin("RotaryEmbedding");
    op_in(&c, op_f32(4, (int64_t[]){1, 1, 2, 2}, x));
    op_in(&c, op_i64(1, (int64_t[]){1}, first));
    op_in(&c, op_f32(2, (int64_t[]){4, 1}, cosine));
    op_in(&c, op_f32(2, (int64_t[]){4, 1}, sine));
    op_run(&c);
    op_expect_f32(&c, 0, 4, (int64_t[]){1, 1, 2, 2}, want, 0.0);
    op_end(&c);
}

/* ---- refusals ---- */

static void expect_refusal(op_case *c, mc_status status, const char *text)
{
    cr_assert_eq(op_try(c), status, "%s", c->err.text);
    cr_assert_not_null(strstr(c->err.text, text), "%s", c->err.text);
    op_end(c);
}

Test(op_contrib, says_what_is_wrong)
{
    op_case c = nbits(4);
    codes_in(&c, 3, (int64_t[]){3, 2, 7}, 3);
    size_in(&c, 2, (int64_t[]){3, 2}, 2);
    expect_refusal(&c, MC_E_FORMAT, "input 1 is [3, 2, 7] U8; allowed are 48 packed bytes");

    c = nbits(3);
    codes_in(&c, 3, (int64_t[]){3, 2, 6}, 3);
    size_in(&c, 2, (int64_t[]){3, 2}, 2);
    expect_refusal(&c, MC_E_UNSUPPORTED, "bits is 3; allowed are 2, 4 and 8");

    static const int32_t far[20] = {0, 1, 2};
    c = nbits(4);
    codes_in(&c, 3, (int64_t[]){3, 2, 8}, 3);
    size_in(&c, 2, (int64_t[]){3, 2}, 2);
    op_no_input(&c);
    op_in(&c, op_nd(MC_I32, 1, (int64_t[]){20}, far));
    expect_refusal(&c, MC_E_FORMAT, "g_idx[2] is 2; allowed is 0 to 1");

    const int64_t index[] = {4};
    c = begin("GatherBlockQuantized");
    op_int(&c, "block_size", 16);
    codes_in(&c, 2, (int64_t[]){4, 16}, 3);
    op_in(&c, op_i64(1, (int64_t[]){1}, index));
    size_in(&c, 2, (int64_t[]){4, 2}, 2);
    expect_refusal(&c, MC_E_FORMAT, "index 0 is 4; allowed is -4 to 3");

    c = begin("QAttention");
    op_int(&c, "num_heads", 3);
    qattention_inputs(&c);
    expect_refusal(&c, MC_E_FORMAT, "num_heads is 3");

    c = begin("FusedConv");
    op_text(&c, "activation", "Clip");
    ramp_in(&c, 3, (int64_t[]){1, 1, 3}, 1);
    ramp_in(&c, 3, (int64_t[]){1, 1, 1}, 2);
    expect_refusal(&c, MC_E_FORMAT, "activation_params has 0 numbers; allowed are 2 for Clip");

    c = begin("FusedGemm");
    op_text(&c, "activation", "Softmax");
    ramp_in(&c, 2, (int64_t[]){1, 3}, 1);
    ramp_in(&c, 2, (int64_t[]){3, 1}, 2);
    expect_refusal(&c, MC_E_UNSUPPORTED, "the activation 'Softmax' is not known");
}
