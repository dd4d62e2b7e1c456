/* Normalizations against onnx.reference (numbers by tests/reference/make_op_goldens.py) and against
 * what normalization means. */
#include "tests/support/op_ramp.h"
#include "tests/support/op_run.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static const float layer_0[] = {
    0.898329258f,   3.96940184f,   -0.255222768f, 1.76251459f,   0.339953899f,   -0.534490347f,
    -0.0486442447f, 0.695092201f,  0.339953899f,  -0.534490347f, -0.0486442447f, 0.695092201f,
    -0.193757296f,  0.911559343f,  -0.692057371f, -0.421658516f, -0.193757296f,  0.911559343f,
    -0.692057371f,  -0.421658516f, -0.193757296f, 0.911559343f,  -0.692057371f,  -0.421658516f};
static const float layer_1[] = {0.34375f, -0.25f, 0.125f, -0.46875f, -0.09375f, 0.28125f};
static const float layer_2[] = {0.901852131f, 0.870281994f, 0.870281994f,
                                0.901852131f, 0.901852131f, 0.901852131f};
static const float layer_spread_0[] = {
    0.711573243f,  -0.902073145f, -0.431426287f, 0.0392205678f,  -1.42762887f,  -2.74543977f,
    1.77276981f,   0.454958618f,  -0.123264655f, -0.311523378f,  0.333935142f,  0.145676404f,
    0.0169788692f, 0.492387176f,  0.967795491f,  -0.662175894f,  0.522949159f,  -0.80819416f,
    -2.1393373f,   2.42458248f,   0.156205595f,  -0.0339577384f, -0.224121064f, 0.427867472f};
static const float rms_0[] = {
    0.672974885f,  2.63806152f,   0.188432962f,  -0.0f,         0.465055555f,  -2.60431099f,
    0.265746027f,  -0.398619026f, 0.27036804f,   -2.08183384f,  0.351478428f,  -0.811104119f,
    0.0648965389f, -1.45368254f,  -0.389379233f, -1.16813767f,  -0.140413433f, -0.982894063f,
    -0.336992234f, -1.6849612f,   -0.341472656f, -0.382449389f, -0.245860308f, -2.04883599f};
static const float groups_0[] = {
    -0.225233525f,   -0.83336401f,  0.653177202f,   1.62386918f,   3.32663441f, -0.835680962f,
    -0.604784966f,   -0.309347153f, -0.0139093101f, 3.1804533f,    1.70326424f, 0.226075053f,
    0.574462473f,    -0.164132133f, -0.90272671f,   -0.777634859f, 1.29043007f, 3.358495f,
    -0.00561702251f, -0.600233495f, -0.356981307f,  0.0686455965f, 3.04172802f, 1.82546711f};
static const float instance_0[] = {
    -0.0922763124f, -0.715141475f, 0.80741787f,   2.00837374f,   3.75239611f, -0.510770082f,
    -0.681184411f,  -0.375f,       -0.068815589f, 2.90592194f,   1.375f,      -0.155922055f,
    0.765461028f,   0.0f,          -0.765461028f, -0.393290758f, 1.75f,       3.89329076f,
    -0.0520328581f, -0.661056638f, -0.411910534f, -0.239835739f, 2.80528307f, 1.55955267f};
static const float training_0[] = {
    -0.299099982f, -0.945156038f, 0.634091973f,   2.58748007f,   4.39643669f,  -0.0254576206f,
    -0.55206722f,  -0.293644786f, -0.0352224112f, 2.26033592f,   0.968224049f, -0.323887944f,
    0.849443972f,  0.203387991f,  -0.442667991f,  -0.628443003f, 1.18051362f,  2.98947048f,
    -0.121363193f, -0.753062367f, -0.494639993f,  0.106816053f,  3.26531219f,  1.97319996f};
static const float training_1[] = {0.963541687f, 1.21354163f, -1.11979163f, -0.869791687f};
static const float training_2[] = {1.7023654f, 1.6086154f, 1.5148654f, 1.4211154f};
static const float lrn_0[] = {
    0.342288911f,  0.876780689f,  -0.504155457f,  0.0564234629f, 0.638213873f,  -0.761009395f,
    -0.201850563f, 0.380805671f,  0.916702271f,   -0.447820902f, 0.112164922f,  0.701476216f,
    -0.701476216f, -0.112164922f, 0.447820902f,   -0.916702271f, -0.380805671f, 0.201850563f,
    0.761009395f,  -0.638213873f, -0.0564234629f, 0.504155457f,  -0.876780689f, -0.342288911f,
    0.271929502f,  0.832332969f,  -0.572113991f,  0.0f,          0.572113991f,  -0.816056967f,
    -0.271929502f, 0.313868046f};
static const float mvn_0[] = {
    0.69029367f,  1.6977495f,    -0.764920056f, 0.242535606f,  1.2499913f,    -1.21267807f,
    -0.46641466f, 0.541041017f,  1.54849672f,   -0.914172769f, 0.093282938f,  1.10073864f,
    -1.10073864f, -0.093282938f, 0.914172769f,  -1.54849672f,  -0.541041017f, 0.46641466f,
    1.21267807f,  -1.2499913f,   -0.242535606f, 0.764920056f,  -1.6977495f,   -0.69029367f};

static const int64_t rows[] = {2, 3, 4}, image[] = {2, 4, 3}, four[] = {4};

static void ramp_in(op_case *c, int ndim, const int64_t *dim, unsigned seed)
{
    static float pool[8][64];
    static int used;
    float *x = pool[used++ % 8];
    size_t n = 1;
    for (int d = 0; d < ndim; d++) n *= (size_t)dim[d];
    op_ramp(x, n, seed);
    op_in(c, op_f32(ndim, dim, x));
}

Test(op_norm, layer_normalization_gives_its_three_outputs)
{
    op_case c = op_begin("LayerNormalization", 17);
    op_outputs(&c, 3);
    ramp_in(&c, 3, rows, 1);
    ramp_in(&c, 1, four, 2);
    ramp_in(&c, 1, four, 3);
    op_run(&c);
    op_expect_f32(&c, 0, 3, rows, layer_0, 1e-6);
    op_expect_f32(&c, 1, 3, (int64_t[]){2, 3, 1}, layer_1, 1e-6);
    op_expect_f32(&c, 2, 3, (int64_t[]){2, 3, 1}, layer_2, 1e-6);
    op_end(&c);
}

Test(op_norm, a_scale_may_be_spread_over_a_row)
{
    op_case c = op_begin("LayerNormalization", 17);
    op_int(&c, "axis", 1);
    ramp_in(&c, 3, rows, 1);
    ramp_in(&c, 2, (int64_t[]){3, 1}, 2);
    op_run(&c);
    op_expect_f32(&c, 0, 3, rows, layer_spread_0, 1e-6);
    op_end(&c);
}

Test(op_norm, a_scale_may_differ_from_row_to_row)
{
    const float x[] = {1, 3, 1, 3}, scale[] = {1, 2, 3, 4}, want[] = {-1, 2, -3, 4};
    op_case c = op_begin("LayerNormalization", 17);
    op_float(&c, "epsilon", 0.0f);
    op_in(&c, op_f32(2, (int64_t[]){2, 2}, x));
    op_in(&c, op_f32(2, (int64_t[]){2, 2}, scale));
    op_run(&c);
    op_expect_f32(&c, 0, 2, (int64_t[]){2, 2}, want, 1e-7);
    op_end(&c);
}

Test(op_norm, a_large_mean_does_not_drown_the_variance)
{
    float x[1000];
    for (size_t i = 0; i < 1000; i++) x[i] = 16000.0f + (i % 2 ? 0.5f : -0.5f);
    x[0] = 16000.0f + 0.5f;
    x[1] = 16000.0f - 0.5f;
    float one[1000];
    for (size_t i = 0; i < 1000; i++) one[i] = 1.0f;
    op_case c = op_begin("LayerNormalization", 17);
    op_float(&c, "epsilon", 0.0f);
    op_outputs(&c, 3);
    op_in(&c, op_f32(2, (int64_t[]){1, 1000}, x));
    op_in(&c, op_f32(1, (int64_t[]){1000}, one));
    op_run(&c);
    const float *inverse = op_out(&c, 2)->data;
    cr_assert_float_eq((double)inverse[0], 2.0, 1e-9);
    op_end(&c);
}

Test(op_norm, rms_normalization_matches_the_reference)
{
    op_case c = op_begin("RMSNormalization", 23);
    ramp_in(&c, 3, rows, 1);
    ramp_in(&c, 1, four, 2);
    op_run(&c);
    op_expect_f32(&c, 0, 3, rows, rms_0, 1e-6);
    op_end(&c);
}

Test(op_norm, f64_is_computed_in_f64)
{
    const double x[] = {1.0, 1.0 + 0x1p-40}, one[] = {1.0, 1.0};
    op_case c = op_begin("LayerNormalization", 17);
    op_float(&c, "epsilon", 0.0f);
    op_in(&c, op_nd(MC_F64, 1, (int64_t[]){2}, x));
    op_in(&c, op_nd(MC_F64, 1, (int64_t[]){2}, one));
    op_run(&c);
    const double *y = op_out(&c, 0)->data;
    cr_assert_float_eq(y[0], -1.0, 1e-3);
    cr_assert_float_eq(y[1], 1.0, 1e-3);
    op_end(&c);
}

Test(op_norm, groups_have_a_scale_for_each_channel_from_21_on)
{
    op_case c = op_begin("GroupNormalization", 21);
    op_int(&c, "num_groups", 2);
    ramp_in(&c, 3, image, 4);
    ramp_in(&c, 1, four, 2);
    ramp_in(&c, 1, four, 3);
    op_run(&c);
    op_expect_f32(&c, 0, 3, image, groups_0, 1e-6);
    op_end(&c);
}

Test(op_norm, groups_have_a_scale_for_each_group_in_18)
{
    const float x[] = {1, 3, 1, 3}, scale[] = {2, 3}, bias[] = {0, 1}, want[] = {-2, 2, -2, 4};
    op_case c = op_begin("GroupNormalization", 18);
    op_int(&c, "num_groups", 2);
    op_float(&c, "epsilon", 0.0f);
    op_in(&c, op_f32(2, (int64_t[]){1, 4}, x));
    op_in(&c, op_f32(1, (int64_t[]){2}, scale));
    op_in(&c, op_f32(1, (int64_t[]){2}, bias));
    op_run(&c);
    op_expect_f32(&c, 0, 2, (int64_t[]){1, 4}, want, 1e-7);
    op_end(&c);
}

Test(op_norm, instance_normalization_matches_the_reference)
{
    op_case c = op_begin("InstanceNormalization", 6);
    ramp_in(&c, 3, image, 4);
    ramp_in(&c, 1, four, 2);
    ramp_in(&c, 1, four, 3);
    op_run(&c);
    op_expect_f32(&c, 0, 3, image, instance_0, 1e-6);
    op_end(&c);
}

static void batch_inputs(op_case *c)
{
    static float variance[4];
    op_ramp(variance, 4, 6);
    for (size_t i = 0; i < 4; i++) variance[i] = fabsf(variance[i]);
    ramp_in(c, 3, image, 4);
    ramp_in(c, 1, four, 2);
    ramp_in(c, 1, four, 3);
    ramp_in(c, 1, four, 5);
    op_in(c, op_f32(1, four, variance));
}

Test(op_norm, batch_normalization_updates_statistics_in_training_mode)
{
    op_case c = op_begin("BatchNormalization", 15);
    op_outputs(&c, 3);
    op_int(&c, "training_mode", 1);
    op_float(&c, "momentum", 0.75f);
    batch_inputs(&c);
    op_run(&c);
    op_expect_f32(&c, 0, 3, image, training_0, 1e-6);
    op_expect_f32(&c, 1, 1, four, training_1, 1e-6);
    op_expect_f32(&c, 2, 1, four, training_2, 1e-6);
    op_end(&c);
}

Test(op_norm, batch_normalization_uses_given_statistics)
{
    op_case c = op_begin("BatchNormalization", 9);
    batch_inputs(&c);
    op_run(&c);
    float x[24], p[4][4], want[24];
    op_ramp(x, 24, 4);
    for (unsigned i = 0; i < 4; i++) op_ramp(p[i], 4, (unsigned[]){2, 3, 5, 6}[i]);
    for (size_t i = 0; i < 24; i++) {
        const size_t k = i / 3 % 4;
        const double inverse = 1.0 / sqrt(fabs((double)p[3][k]) + 1e-5);
        want[i] =
            (float)(((double)x[i] - (double)p[2][k]) * inverse * (double)p[0][k] + (double)p[1][k]);
    }
    op_expect_f32(&c, 0, 3, image, want, 1e-6);
    op_end(&c);
}

Test(op_norm, batch_normalization_7_may_have_statistics_of_each_activation)
{
    const float x[] = {1, 2, 3, 4}, scale[] = {1, 2}, bias[] = {0, 1}, mean[] = {1, 2},
                variance[] = {1, 4}, want[] = {0, 1, 2, 3};
    op_case c = op_begin("BatchNormalization", 7);
    op_int(&c, "spatial", 0);
    op_float(&c, "epsilon", 0.0f);
    op_in(&c, op_f32(3, (int64_t[]){2, 1, 2}, x));
    const float *param[] = {scale, bias, mean, variance};
    for (size_t i = 0; i < 4; i++) op_in(&c, op_f32(2, (int64_t[]){1, 2}, param[i]));
    op_run(&c);
    op_expect_f32(&c, 0, 3, (int64_t[]){2, 1, 2}, want, 1e-7);
    op_end(&c);
}

Test(op_norm, lrn_and_mvn_match_the_reference)
{
    op_case c = op_begin("LRN", 13);
    op_int(&c, "size", 3);
    op_float(&c, "alpha", 0.5f);
    op_float(&c, "beta", 0.75f);
    op_float(&c, "bias", 2.0f);
    ramp_in(&c, 4, (int64_t[]){4, 4, 2, 1}, 4);
    op_run(&c);
    op_expect_f32(&c, 0, 4, (int64_t[]){4, 4, 2, 1}, lrn_0, 1e-6);
    op_end(&c);

    c = op_begin("MeanVarianceNormalization", 13);
    ramp_in(&c, 4, (int64_t[]){2, 2, 2, 3}, 4);
    op_run(&c);
    op_expect_f32(&c, 0, 4, (int64_t[]){2, 2, 2, 3}, mvn_0, 2e-6);
    op_end(&c);
}

Test(op_norm, lines_are_divided_by_their_norm_and_zeros_stay)
{
    const float x[] = {3, 0, -4, 0}, one[] = {3.0f / 7.0f, 0, -4.0f / 7.0f, 0},
                two[] = {0.6f, 0, -0.8f, 0};
    for (int p = 1; p <= 2; p++) {
        op_case c = op_begin("LpNormalization", 22);
        op_int(&c, "axis", 0);
        op_int(&c, "p", p);
        op_in(&c, op_f32(2, (int64_t[]){2, 2}, x));
        op_run(&c);
        op_expect_f32(&c, 0, 2, (int64_t[]){2, 2}, p == 1 ? one : two, 1e-7);
        op_end(&c);
    }
}

static void expect_refusal(op_case *c, const char *text)
{
    cr_assert_neq(op_try(c), MC_OK);
    cr_assert_not_null(strstr(c->err.text, text), "%s", c->err.text);
    op_end(c);
}

Test(op_norm, says_what_is_wrong)
{
    op_case c = op_begin("LayerNormalization", 17);
    op_int(&c, "axis", 3);
    ramp_in(&c, 3, rows, 1);
    ramp_in(&c, 1, four, 2);
    expect_refusal(&c, "axis");

    c = op_begin("LayerNormalization", 17);
    ramp_in(&c, 3, rows, 1);
    ramp_in(&c, 1, (int64_t[]){3}, 2);
    expect_refusal(&c, "input 1 is [3] F32, which does not spread over [2, 3, 4] F32");

    c = op_begin("GroupNormalization", 21);
    op_int(&c, "num_groups", 3);
    ramp_in(&c, 3, image, 4);
    ramp_in(&c, 1, four, 2);
    ramp_in(&c, 1, four, 3);
    expect_refusal(&c, "num_groups is 3; allowed are divisors of 4 channels");

    c = op_begin("LpNormalization", 22);
    op_int(&c, "p", 3);
    ramp_in(&c, 1, four, 1);
    expect_refusal(&c, "p is 3; allowed are 1 and 2");

    c = op_begin("LRN", 13);
    op_int(&c, "size", 0);
    ramp_in(&c, 3, image, 1);
    expect_refusal(&c, "size is 0; allowed is 1 or more");

    c = op_begin("BatchNormalization", 9);
    op_outputs(&c, 2);
    batch_inputs(&c);
    expect_refusal(&c, "output 1 is for training");
}
