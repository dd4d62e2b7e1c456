/* Element-wise functions: the vectorized ones over the whole range against libm in double, the
 * others against it at points; whole numbers at the ends of their range. */
#include "core/ops/op_math_shared.h"
#include "tests/support/op_run.h"

#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <string.h>

#define DIMS(...)   \
    (int64_t[])     \
    {               \
        __VA_ARGS__ \
    }

/* How far `got` is from `want` in units of the last place of f32 there. */
static double ulps(float got, double want)
{
    const float nearest = (float)want;
    if (isnan(want)) return isnan(got) ? 0.0 : (double)INFINITY;
    if (isinf(nearest) || isinf(got)) return got == nearest ? 0.0 : (double)INFINITY;
    int exponent;
    (void)frexp(fmax(fabs(want), (double)FLT_MIN), &exponent);
    return fabs((double)got - want) / ldexp(1.0, exponent - FLT_MANT_DIG);
}

static double sigmoid(double x)
{
    return 1.0 / (1.0 + exp(-x));
}

/* Bit patterns of both signs, NaN included, in steps that meet every binade. */
static void hold(void (*fast)(const float *, float *, size_t), double (*exact)(double),
                 double bound, const char *name)
{
    enum { STEP = 1009, AT_ONCE = 64 };
    for (uint64_t first = 0; first <= UINT32_MAX; first += (uint64_t)STEP * AT_ONCE) {
        float x[AT_ONCE], y[AT_ONCE];
        for (uint64_t i = 0; i < AT_ONCE; i++) {
            const uint32_t bits = (uint32_t)(first + i * STEP);
            memcpy(&x[i], &bits, sizeof bits);
        }
        fast(x, y, AT_ONCE);
        for (size_t i = 0; i < AT_ONCE; i++) {
            const double off = ulps(y[i], exact((double)x[i]));
            cr_assert(off <= bound, "%s(%a) is %a, off by %g ulp", name, (double)x[i], (double)y[i],
                      off);
        }
    }
}

Test(ops_unary, fast_functions_stay_within_their_bounds)
{
    const mc_math_loops *loops;
    for (size_t i = 0; (loops = mc_math_at(i)); i++) {
        hold(loops->exp, exp, 1.0, "exp");
        hold(loops->tanh, tanh, 1.5, "tanh");
        hold(loops->sigmoid, sigmoid, 2.5, "sigmoid");
        hold(loops->erf, erf, 2.0, "erf");
    }
}

enum { BITS = 1003 }; /* and a rest behind the vectors */

static void expect_same_bits(const mc_math_loops *a, const mc_math_loops *b, const float *x)
{
    float y[2][BITS];
    void (*const f[2][6])(const float *, float *,
                          size_t) = {{a->exp, a->tanh, a->sigmoid, a->erf, a->gelu, a->gelu_tanh},
                                     {b->exp, b->tanh, b->sigmoid, b->erf, b->gelu, b->gelu_tanh}};
    for (size_t i = 0; i < 6; i++) {
        for (size_t k = 0; k < 2; k++) f[k][i](x, y[k], BITS);
        cr_expect_arr_eq(y[0], y[1], sizeof y[0], "function %zu of %s", i, b->name);
    }
    a->silu(x, y[0], BITS, 1.5f);
    b->silu(x, y[1], BITS, 1.5f);
    cr_expect_arr_eq(y[0], y[1], sizeof y[0], "silu of %s", b->name);
    cr_expect_eq(a->exp_sum(x, y[0], BITS, 2.0f), b->exp_sum(x, y[1], BITS, 2.0f));
    cr_expect_eq(a->sum(x, BITS), b->sum(x, BITS));
    cr_expect_eq(a->sum_squares(x, BITS), b->sum_squares(x, BITS));
    cr_expect_eq(a->max(x, BITS), b->max(x, BITS));
}

Test(ops_unary, all_builds_give_the_same_bits)
{
    float x[BITS];
    const mc_math_loops *loops;
    for (size_t i = 0; i < BITS; i++) x[i] = (float)sin((double)i * 1.7) * (float)(i % 97) / 4.0f;
    for (size_t i = 1; (loops = mc_math_at(i)); i++) expect_same_bits(mc_math_at(0), loops, x);
}

Test(ops_unary, fast_sums_are_those_of_doubles)
{
    float x[1003], y[1003];
    double sum = 0.0, squares = 0.0, exps = 0.0;
    for (size_t i = 0; i < 1003; i++) {
        x[i] = (float)((int)(i * 7919 % 1003) - 500) / 64.0f;
        sum += (double)x[i];
        squares += (double)x[i] * (double)x[i];
    }
    for (size_t n = 0; n < 20; n++) { /* all lengths of the rest */
        float most = -INFINITY;
        for (size_t i = 0; i < n; i++) most = fmaxf(most, x[i]);
        cr_expect_eq(mc_max_f32(x, n), most, "of %zu", n);
    }
    cr_expect_eq(mc_sum_f32(x, 1003), sum); /* exact in double: multiples of 1/64 */
    cr_expect_eq(mc_sum_squares_f32(x, 1003), squares);
    const double got = mc_exp_sum_f32(x, y, 1003, 7.0f);
    for (size_t i = 0; i < 1003; i++) exps += exp((double)x[i] - 7.0);
    cr_expect_float_eq(got, exps, 2e-7 * exps);
    x[501] = NAN;
    cr_expect(isnan(mc_max_f32(x, 1003)));
}

/* ---- every function against its formula ---- */

static double softplus(double x)
{
    return log1p(exp(x));
}
static double reciprocal(double x)
{
    return 1.0 / x;
}
static double mish(double x)
{
    return x * tanh(softplus(x));
}
static double softsign(double x)
{
    return x / (1.0 + fabs(x));
}
static double relu(double x)
{
    return fmax(x, 0.0);
}
static double leaky(double x)
{
    return x < 0.0 ? 0.01 * x : x;
}
static double elu(double x)
{
    return x < 0.0 ? exp(x) - 1.0 : x;
}
static double selu(double x)
{
    return 1.05070102214813232421875 * (x > 0.0 ? x : 1.67326319217681884765625 * (exp(x) - 1.0));
}
static double thresholded(double x)
{
    return x > 1.0 ? x : 0.0;
}
static double hard_sigmoid(double x)
{
    return fmax(0.0, fmin(1.0, 0.2 * x + 0.5));
}
static double hard_swish(double x)
{
    return x * fmax(0.0, fmin(1.0, x / 6.0 + 0.5));
}
static double gelu(double x)
{
    return 0.5 * x * erfc(-x / sqrt(2.0));
}
static double swish(double x)
{
    return x * sigmoid(x);
}
static double sign(double x)
{
    return (x > 0.0) - (x < 0.0);
}
static double shrink(double x)
{
    return fabs(x) > 0.5 ? x : 0.0;
}
static double negative(double x)
{
    return -x;
}

static const struct {
    const char *name;
    int version;
    double (*exact)(double);
} functions[] = {
    {"Abs", 13, fabs},
    {"Acos", 22, acos},
    {"Acosh", 22, acosh},
    {"Asin", 7, asin},
    {"Asinh", 9, asinh},
    {"Atan", 7, atan},
    {"Atanh", 9, atanh},
    {"Ceil", 13, ceil},
    {"Celu", 12, elu},
    {"Cos", 7, cos},
    {"Cosh", 9, cosh},
    {"Elu", 6, elu},
    {"Erf", 13, erf},
    {"Exp", 13, exp},
    {"Floor", 13, floor},
    {"Gelu", 20, gelu},
    {"HardSigmoid", 6, hard_sigmoid},
    {"HardSwish", 14, hard_swish},
    {"LeakyRelu", 16, leaky},
    {"Log", 13, log},
    {"Mish", 18, mish},
    {"Neg", 13, negative},
    {"Reciprocal", 13, reciprocal},
    {"Relu", 14, relu},
    {"Round", 11, nearbyint},
    {"Selu", 6, selu},
    {"Shrink", 9, shrink},
    {"Sigmoid", 13, sigmoid},
    {"Sign", 13, sign},
    {"Sin", 7, sin},
    {"Sinh", 9, sinh},
    {"Softplus", 1, softplus},
    {"Softsign", 1, softsign},
    {"Sqrt", 13, sqrt},
    {"Swish", 24, swish},
    {"Tan", 7, tan},
    {"Tanh", 13, tanh},
    {"ThresholdedRelu", 10, thresholded},
};

static const double points[] = {-9.5,  -3.0, -2.5, -1.5, -1.0, -0.875, -0.5, -0.25, -0.0,
                                0.125, 0.25, 0.5,  0.75, 1.0,  1.5,    2.5,  3.25,  8.0};
enum { POINTS = sizeof points / sizeof *points };

Test(ops_unary, functions_are_their_formulas_in_f32_and_f64)
{
    for (size_t f = 0; f < sizeof functions / sizeof *functions; f++) {
        float x32[POINTS];
        for (size_t i = 0; i < POINTS; i++) x32[i] = (float)points[i];
        for (int wide = 0; wide < 2; wide++) {
            op_case c = op_begin(functions[f].name, functions[f].version);
            op_in(&c, wide ? op_nd(MC_F64, 1, DIMS(POINTS), points) : op_f32(1, DIMS(POINTS), x32));
            op_run(&c);
            const mc_nd *out = op_out(&c, 0);
            for (size_t i = 0; i < POINTS; i++) {
                const double got = mc_nd_real(out, i), want = functions[f].exact(points[i]);
                const double bound = (wide ? 1e-14 : 1e-6) * fmax(0.01, fabs(want));
                cr_expect((isnan(got) && isnan(want)) || got == want || fabs(got - want) <= bound,
                          "%s(%g) is %.17g, not %.17g", functions[f].name, points[i], got, want);
            }
            op_end(&c);
        }
    }
}

Test(ops_unary, attributes_are_read)
{
    const float x[] = {-2.0f, -0.5f, 0.5f, 2.0f};
    static const struct {
        const char *name;
        int version;
        const char *a, *b;
        float of_a, of_b, want[4];
    } cases[] = {
        {"LeakyRelu", 6, "alpha", NULL, 0.25f, 0.0f, {-0.5f, -0.125f, 0.5f, 2.0f}},
        {"ThresholdedRelu", 10, "alpha", NULL, 0.25f, 0.0f, {0.0f, 0.0f, 0.5f, 2.0f}},
        {"Shrink", 9, "lambd", "bias", 1.0f, 0.5f, {-1.5f, 0.0f, 0.0f, 1.5f}},
        {"HardSigmoid", 6, "alpha", "beta", 0.5f, 0.25f, {0.0f, 0.0f, 0.5f, 1.0f}},
        {"Elu", 6, "alpha", NULL, 2.0f, 0.0f, {-1.72932943f, -0.78693868f, 0.5f, 2.0f}},
        {"Celu", 12, "alpha", NULL, 2.0f, 0.0f, {-1.26424112f, -0.44239843f, 0.5f, 2.0f}},
        {"Selu", 6, "alpha", "gamma", 1.0f, 2.0f, {-1.72932943f, -0.78693868f, 1.0f, 4.0f}},
        {"Swish",
         24,
         "alpha",
         NULL,
         2.0f,
         0.0f,
         {-0.03597242f, -0.13447071f, 0.36552929f, 1.96402758f}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        op_case c = op_begin(cases[i].name, cases[i].version);
        op_float(&c, cases[i].a, cases[i].of_a);
        if (cases[i].b) op_float(&c, cases[i].b, cases[i].of_b);
        op_in(&c, op_f32(1, DIMS(4), x));
        op_run(&c);
        op_expect_f32(&c, 0, 1, DIMS(4), cases[i].want, 1e-6);
        op_end(&c);
    }
}

Test(ops_unary, gelu_has_two_forms_and_no_third)
{
    const float x[] = {-1.0f, 0.5f, 3.0f};
    const char *const how[] = {"none", "tanh", "sigmoid"};
    const float want[2][3] = {{-0.15865525f, 0.34573123f, 2.99595031f},
                              {-0.15880801f, 0.34571401f, 2.99636261f}};
    for (size_t i = 0; i < 3; i++) {
        op_case c = op_begin("Gelu", 20);
        op_text(&c, "approximate", how[i]);
        op_in(&c, op_f32(1, DIMS(3), x));
        cr_expect_eq(op_try(&c), i < 2 ? MC_OK : MC_E_FORMAT, "%s", c.err.text);
        if (i < 2)
            op_expect_f32(&c, 0, 1, DIMS(3), want[i], 1e-6);
        else
            cr_expect_not_null(strstr(c.err.text, "approximate is 'sigmoid'"), "%s", c.err.text);
        op_end(&c);
    }
}

Test(ops_unary, silu_is_swish_in_our_domain)
{
    const float x[] = {-1.0f, 2.0f}, want[] = {-0.26894142f, 1.76159416f};
    op_case c = op_begin_in(MC_DOMAIN, "SiLU", 1);
    op_in(&c, op_f32(1, DIMS(2), x));
    op_run(&c);
    op_expect_f32(&c, 0, 1, DIMS(2), want, 1e-6);
    op_end(&c);
}

Test(ops_unary, nan_comes_through)
{
    const float x[] = {NAN};
    const char *const names[] = {"Relu",     "Sign",      "LeakyRelu", "Clip", "Sigmoid",
                                 "Softplus", "HardSwish", "Gelu",      "Exp",  "Tanh",
                                 "Erf",      "Elu",       "Selu"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        op_case c = op_begin(names[i], 22);
        op_in(&c, op_f32(1, DIMS(1), x));
        op_run(&c);
        cr_expect(isnan(mc_nd_real(op_out(&c, 0), 0)), "%s", names[i]);
        op_end(&c);
    }
}

static void expect_ints(const char *name, mc_dtype dtype, const void *x, const int64_t *want)
{
    op_case c = op_begin(name, 14);
    op_in(&c, op_nd(dtype, 1, DIMS(3), x));
    op_run(&c);
    cr_expect_eq(op_out(&c, 0)->dtype, dtype);
    op_expect_i64(&c, 0, 1, DIMS(3), want);
    op_end(&c);
}

Test(ops_unary, whole_numbers_wrap_at_the_ends_of_their_range)
{
    const int8_t x8[] = {INT8_MIN, -3, 127};
    const int64_t x64[] = {INT64_MIN, 0, 5};
    const uint8_t u8[] = {0, 200, 255};
    expect_ints("Abs", MC_I8, x8, (int64_t[]){INT8_MIN, 3, 127});
    expect_ints("Neg", MC_I8, x8, (int64_t[]){INT8_MIN, 3, -127});
    expect_ints("Relu", MC_I8, x8, (int64_t[]){0, 0, 127});
    expect_ints("Sign", MC_I8, x8, (int64_t[]){-1, -1, 1});
    expect_ints("Abs", MC_I64, x64, (int64_t[]){INT64_MIN, 0, 5});
    expect_ints("Neg", MC_I64, x64, (int64_t[]){INT64_MIN, 0, -5});
    expect_ints("Abs", MC_U8, u8, (int64_t[]){0, 200, 255});
    expect_ints("Sign", MC_U8, u8, (int64_t[]){0, 1, 1});
    expect_ints("Shrink", MC_U8, u8, (int64_t[]){0, 200, 255});
}

Test(ops_unary, clip_limits_by_attributes_and_by_inputs)
{
    const float x[] = {-INFINITY, -1.0f, 2.0f, INFINITY};
    op_case old = op_begin("Clip", 6);
    op_float(&old, "max", 1.5f);
    op_in(&old, op_f32(1, DIMS(4), x));
    op_run(&old);
    op_expect_f32(&old, 0, 1, DIMS(4), (float[]){-INFINITY, -1.0f, 1.5f, 1.5f}, 0.0);
    op_end(&old);

    const float low = 1.0f, high = -0.5f; /* crossed: all become the most */
    op_case new = op_begin("Clip", 13);
    op_in(&new, op_f32(1, DIMS(4), x));
    op_in(&new, op_f32(0, NULL, &low));
    op_in(&new, op_f32(0, NULL, &high));
    op_run(&new);
    op_expect_f32(&new, 0, 1, DIMS(4), (float[]){-0.5f, -0.5f, -0.5f, -0.5f}, 0.0);
    op_end(&new);

    const int64_t wide[] = {INT64_MIN, INT64_MAX - 1, INT64_MAX}, most = INT64_MAX - 1;
    op_case ints = op_begin("Clip", 12);
    op_in(&ints, op_i64(1, DIMS(3), wide));
    op_no_input(&ints);
    op_in(&ints, op_i64(0, NULL, &most));
    op_run(&ints);
    op_expect_i64(&ints, 0, 1, DIMS(3), (int64_t[]){INT64_MIN, most, most});
    op_end(&ints);
}

Test(ops_unary, results_of_small_floats_are_rounded_to_them)
{
    const float x[] = {1.0f, 2.0f}, want[] = {2.71875f, 7.390625f};
    op_case c = op_begin("Exp", 13);
    op_in(&c, op_nd(MC_F16, 1, DIMS(2), x));
    op_run(&c);
    const mc_nd expected = op_nd(MC_F16, 1, DIMS(2), want);
    op_expect_same(&c, 0, &expected);
    op_end(&c);
}

Test(ops_unary, other_dtypes_are_refused_by_name)
{
    const int64_t x[] = {1};
    op_case c = op_begin("Exp", 13);
    op_in(&c, op_i64(1, DIMS(1), x));
    cr_expect_eq(op_try(&c), MC_E_UNSUPPORTED);
    cr_expect_not_null(strstr(c.err.text, "Exp"), "%s", c.err.text);
    cr_expect_not_null(strstr(c.err.text, "input 0 is [1] I64"), "%s", c.err.text);
    op_end(&c);
}
