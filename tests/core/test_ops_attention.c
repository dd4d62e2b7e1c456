/* Attention against sums as it is defined, in double, and against onnx.reference (numbers by
 * tests/reference/make_op_goldens.py). */
#include "tests/support/op_ramp.h"
#include "tests/support/op_run.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const float heads_mask_0[] = {
    0.091100648f, 1.6238606f,    -0.283899367f, 0.761260569f,  0.695946872f,  0.386260569f,
    0.219561219f, 0.0844835639f, -0.155438781f, 1.25099182f,   -0.660438538f, 0.875991762f,
    -0.79370147f, 0.639290571f,  -1.16870141f,  0.393295944f,  0.609215319f,  0.0182959139f,
    1.23244476f,  -0.686918378f, 0.857444704f,  -0.738898695f, 0.737764001f,  -1.11389863f};
static const float heads_past_0[] = {
    0.124023899f,  1.2783761f,    -0.672780097f, -0.28722778f,  0.341136038f,  -0.606827378f,
    1.16297269f,   -0.388421565f, 0.585526526f,  1.18744385f,   -0.425918579f, 0.510554314f,
    -0.642446578f, 0.418171376f,  -0.933813274f, 0.0247224532f, 0.79967916f,   -0.904287815f,
    1.17230749f,   -0.481856316f, 0.490172178f,  1.08550644f,   -0.369805545f, 0.256236702f};
static const float heads_past_1[] = {
    0.740918279f,  0.404698402f,  1.37401628f,  -INFINITY,     -INFINITY,     0.0270604659f,
    0.800644219f,  -1.01580238f,  0.826116204f, -INFINITY,     0.125997767f,  0.794172525f,
    -0.959644318f, -INFINITY,     -INFINITY,    0.88687849f,   0.73407805f,   -0.241451234f,
    -0.720276356f, -INFINITY,     -0.611754f,   -0.857019186f, -0.526860535f, -INFINITY,
    -INFINITY,     1.20105767f,   1.12978876f,  1.28512502f,   -1.27532721f,  -INFINITY,
    1.25449097f,   1.15258002f,   1.27532721f,  -INFINITY,     -INFINITY,     1.18106413f,
    1.12191093f,   -0.844783068f, -1.27281451f, -INFINITY};
static const float heads_valid_0[] = {0.520359755f, 0.803891361f,  0.145359784f, -0.384695828f,
                                      0.388332605f, -0.759695828f, 0.0f,         0.0f,
                                      0.0f,         1.625f,        -0.5f,        1.25f};
static const float rotary_0[] = {-0.84375f, -3.90625f, 0.875f,   0.0f,      3.5f,   0.984375f,
                                 1.25f,     0.375f,    1.53125f, -3.28125f, 1.625f, 0.75f,
                                 1.53125f,  -1.96875f, -1.875f,  1.125f};
static const float rotary_pairs_0[] = {
    0.78125f, -1.09375f, 1.53125f, 1.53125f, -0.875f,   -0.109375f, -2.078125f, 1.25f,
    0.3125f,  0.859375f, 1.53125f, 4.15625f, -0.40625f, -0.203125f, 0.796875f,  -3.984375f};

/* ---- small ---- */

static mc_nd ramp4(float *room, int64_t a, int64_t b, int64_t c, int64_t d, unsigned seed)
{
    op_ramp(room, (size_t)(a * b * c * d), seed);
    return op_f32(4, (int64_t[]){a, b, c, d}, room);
}

static mc_nd ramp3(float *room, int64_t a, int64_t b, int64_t c, unsigned seed)
{
    op_ramp(room, (size_t)(a * b * c), seed);
    return op_f32(3, (int64_t[]){a, b, c}, room);
}

static op_case four_heads_on_two(int version)
{
    static float q[24], k[18], v[18];
    op_case c = op_begin("Attention", version);
    op_int(&c, "q_num_heads", 4);
    op_int(&c, "kv_num_heads", 2);
    op_in(&c, ramp3(q, 1, 2, 12, 1));
    op_in(&c, ramp3(k, 1, 3, 6, 2));
    op_in(&c, ramp3(v, 1, 3, 6, 3));
    return c;
}

Test(op_attention, hides_what_a_bool_mask_says)
{
    const uint8_t mask[] = {1, 0, 1, 1, 1, 1};
    op_case c = four_heads_on_two(24);
    op_in(&c, op_nd(MC_BOOL, 2, (int64_t[]){2, 3}, mask));
    op_run(&c);
    op_expect_f32(&c, 0, 3, (int64_t[]){1, 2, 12}, heads_mask_0, 1e-6);
    op_end(&c);
}

Test(op_attention, goes_on_from_a_cache_and_gives_it_back)
{
    static float past_key[12], past_value[12], key[30];
    op_case c = four_heads_on_two(24);
    op_int(&c, "is_causal", 1);
    op_float(&c, "softcap", 1.5f);
    op_int(&c, "qk_matmul_output_mode", 2);
    op_outputs(&c, 4);
    op_no_input(&c);
    op_in(&c, ramp4(past_key, 1, 2, 2, 3, 4));
    op_in(&c, ramp4(past_value, 1, 2, 2, 3, 5));
    op_run(&c);
    op_expect_f32(&c, 0, 3, (int64_t[]){1, 2, 12}, heads_past_0, 1e-6);
    const float *scores = op_out(&c, 3)->data;
    for (size_t i = 0; i < 40; i++) {
        if (isinf(heads_past_1[i]))
            cr_assert_eq(scores[i], -INFINITY);
        else
            cr_assert_float_eq((double)scores[i], (double)heads_past_1[i], 1e-6);
    }
    float fresh[18];
    op_ramp(fresh, 18, 2);
    for (size_t h = 0; h < 2; h++) {
        memcpy(key + h * 15, past_key + h * 6, 6 * sizeof *key);
        for (size_t p = 0; p < 3; p++)
            memcpy(key + h * 15 + 6 + p * 3, fresh + p * 6 + h * 3, 3 * sizeof *key);
    }
    op_expect_f32(&c, 1, 4, (int64_t[]){1, 2, 5, 3}, key, 0.0);
    op_end(&c);
}

Test(op_attention, counts_the_keys_of_each_sample)
{
    static float q[12], k[24], v[24];
    const int64_t valid[] = {3, 1};
    op_case c = op_begin("Attention", 24);
    op_int(&c, "is_causal", 1);
    op_in(&c, ramp4(q, 2, 1, 2, 3, 1));
    op_in(&c, ramp4(k, 2, 1, 4, 3, 2));
    op_in(&c, ramp4(v, 2, 1, 4, 3, 3));
    for (int i = 0; i < 3; i++) op_no_input(&c);
    op_in(&c, op_i64(1, (int64_t[]){2}, valid));
    op_run(&c);
    op_expect_f32(&c, 0, 4, (int64_t[]){2, 1, 2, 3}, heads_valid_0, 1e-6);
    op_end(&c);
}

Test(op_attention, a_row_that_is_all_hidden_gives_zeros)
{
    const float q[] = {1, 2}, mask[] = {-INFINITY, -INFINITY}, zero[] = {0, 0};
    const float k[] = {1, NAN, 3, 4};
    op_case c = op_begin("Attention", 23);
    op_in(&c, op_f32(4, (int64_t[]){1, 1, 1, 2}, q));
    op_in(&c, op_f32(4, (int64_t[]){1, 1, 2, 2}, k));
    op_in(&c, op_f32(4, (int64_t[]){1, 1, 2, 2}, (const float[]){5, 6, 7, 8}));
    op_in(&c, op_f32(2, (int64_t[]){1, 2}, mask));
    op_run(&c);
    op_expect_f32(&c, 0, 4, (int64_t[]){1, 1, 1, 2}, zero, 0.0);
    op_end(&c);
}

/* ---- by definition ---- */

typedef struct {
    const char *domain;
    int version;
    size_t heads, kv_heads, queries, keys, size;
    bool causal, mask, wide;
    int64_t window;
    double scale, cap;
} problem;

static double dot(const float *a, const float *b, size_t n)
{
    double sum = 0.0;
    for (size_t i = 0; i < n; i++) sum += (double)a[i] * (double)b[i];
    return sum;
}

static bool sees(const problem *p, size_t query, size_t key)
{
    if (p->causal && key > query) return false;
    return p->window == 0 || (int64_t)query - (int64_t)key < p->window;
}

static void define(const problem *p, const float *q, const float *k, const float *v,
                   const float *mask, double *y)
{
    double *weight = malloc(p->keys * sizeof *weight);
    cr_assert_not_null(weight);
    for (size_t i = 0; i < p->heads * p->queries; i++) {
        const size_t head = i / p->queries, query = i % p->queries;
        const size_t from = head / (p->heads / p->kv_heads) * p->keys * p->size;
        double sum = 0.0;
        for (size_t j = 0; j < p->keys; j++) {
            double s = p->scale * dot(q + i * p->size, k + from + j * p->size, p->size);
            if (p->cap > 0.0) s = p->cap * tanh(s / p->cap);
            if (mask) s += (double)mask[query * p->keys + j];
            weight[j] = sees(p, query, j) ? exp(s) : 0.0;
            sum += weight[j];
        }
        for (size_t e = 0; e < p->size; e++) {
            double out = 0.0;
            for (size_t j = 0; j < p->keys; j++)
                out += weight[j] * (double)v[from + j * p->size + e];
            y[i * p->size + e] = sum > 0.0 ? out / sum : 0.0;
        }
    }
    free(weight);
}

/* Numbers of -1..1; f32 sums of `size` and `keys` terms, and a few roundings more. */
static void expect_definition(problem p)
{
    const size_t nq = p.heads * p.queries * p.size, nk = p.kv_heads * p.keys * p.size;
    float *q = malloc(nq * sizeof *q), *k = malloc(nk * sizeof *k), *v = malloc(nk * sizeof *v);
    float *mask = malloc(p.queries * p.keys * sizeof *mask);
    double *want = malloc(nq * sizeof *want);
    cr_assert(q && k && v && mask && want);
    op_ramp(q, nq, 1);
    op_ramp(k, nk, 2);
    op_ramp(v, nk, 3);
    op_ramp(mask, p.queries * p.keys, 4);
    const int64_t heads = (int64_t)p.heads, kv = (int64_t)p.kv_heads, n = (int64_t)p.size;
    const int64_t queries = (int64_t)p.queries, keys = (int64_t)p.keys;
    op_case c = op_begin_in(p.domain, "Attention", p.version);
    op_in(&c, op_f32(4, (int64_t[]){1, heads, queries, n}, q));
    op_in(&c, op_f32(4, (int64_t[]){1, kv, keys, n}, k));
    op_in(&c, op_f32(4, (int64_t[]){1, kv, keys, n}, v));
    if (p.mask) op_in(&c, op_f32(2, (int64_t[]){queries, keys}, mask));
    op_int(&c, "is_causal", p.causal);
    op_float(&c, "scale", (float)p.scale);
    op_float(&c, "softcap", (float)p.cap);
    if (p.window > 0 && p.domain[0]) op_int(&c, "window", p.window);
    if (p.window > 0 && !p.domain[0]) op_int(&c, "left_window_size", p.window - 1);
    if (p.wide) op_int(&c, "softmax_precision", 11);
    op_run(&c);
    define(&p, q, k, v, p.mask ? mask : NULL, want);
    const float *y = op_out(&c, 0)->data;
    for (size_t i = 0; i < nq; i++)
        cr_assert_float_eq((double)y[i], want[i], 2e-5, "%zu: %g, must be %g", i, (double)y[i],
                           want[i]);
    op_end(&c);
    free(q);
    free(k);
    free(v);
    free(mask);
    free(want);
}

Test(op_attention, is_what_it_is_defined_as_over_several_blocks)
{
    const problem plain = {.domain = "",
                           .version = 23,
                           .heads = 4,
                           .kv_heads = 2,
                           .queries = 150,
                           .keys = 150,
                           .size = 8,
                           .scale = 0.25};
    problem p = plain;
    expect_definition(p);
    p.causal = true;
    expect_definition(p);
    p.mask = true;
    expect_definition(p);
    p.cap = 2.0;
    expect_definition(p);
    p.wide = true;
    expect_definition(p);
    p = plain;
    p.keys = 70;
    expect_definition(p);
    p.queries = 1;
    expect_definition(p);
    p.causal = true;
    expect_definition(p);
}

Test(op_attention, a_window_sees_the_last_positions)
{
    problem p = {.domain = MC_DOMAIN,
                 .version = 1,
                 .heads = 2,
                 .kv_heads = 1,
                 .queries = 200,
                 .keys = 200,
                 .size = 4,
                 .scale = 0.5,
                 .causal = true,
                 .window = 17};
    expect_definition(p);
    p.window = 1;
    expect_definition(p);
    p.causal = false;
    p.window = 90;
    expect_definition(p);
    p.domain = "";
    p.version = 25;
    expect_definition(p);
}

Test(op_attention, f64_is_computed_in_f64)
{
    const double q[] = {1.0}, k[] = {1.0, 2.0}, v[] = {0.0, 1.0};
    op_case c = op_begin("Attention", 23);
    op_in(&c, op_nd(MC_F64, 4, (int64_t[]){1, 1, 1, 1}, q));
    op_in(&c, op_nd(MC_F64, 4, (int64_t[]){1, 1, 2, 1}, k));
    op_in(&c, op_nd(MC_F64, 4, (int64_t[]){1, 1, 2, 1}, v));
    op_run(&c);
    cr_assert_float_eq(*(const double *)op_out(&c, 0)->data, 1.0 / (1.0 + exp(-1.0)), 1e-15);
    op_end(&c);
}

/* ---- rotary ---- */

Test(op_attention, turns_part_of_a_head_by_its_position)
{
    static float x[16], cosine[4], sine[4];
    const int64_t position[] = {3, 1};
    op_ramp(cosine, 4, 2);
    op_ramp(sine, 4, 3);
    op_case c = op_begin("RotaryEmbedding", 23);
    op_int(&c, "num_heads", 2);
    op_int(&c, "rotary_embedding_dim", 2);
    op_in(&c, ramp3(x, 1, 2, 8, 1));
    op_in(&c, op_f32(2, (int64_t[]){4, 1}, cosine));
    op_in(&c, op_f32(2, (int64_t[]){4, 1}, sine));
    op_in(&c, op_i64(2, (int64_t[]){1, 2}, position));
    op_run(&c);
    op_expect_f32(&c, 0, 3, (int64_t[]){1, 2, 8}, rotary_0, 1e-6);
    op_end(&c);
}

Test(op_attention, turns_pairs_when_interleaved)
{
    static float x[16], cosine[4], sine[4];
    op_case c = op_begin("RotaryEmbedding", 23);
    op_int(&c, "interleaved", 1);
    op_in(&c, ramp4(x, 1, 2, 2, 4, 1));
    op_in(&c, ramp3(cosine, 1, 2, 2, 2));
    op_in(&c, ramp3(sine, 1, 2, 2, 3));
    op_run(&c);
    op_expect_f32(&c, 0, 4, (int64_t[]){1, 2, 2, 4}, rotary_pairs_0, 1e-6);
    op_end(&c);
}

/* ---- refusals ---- */

static void expect_refusal(op_case *c, const char *text)
{
    cr_assert_eq(op_try(c), MC_E_FORMAT);
    cr_assert_not_null(strstr(c->err.text, text), "%s", c->err.text);
    op_end(c);
}

static void three_inputs(op_case *c, int64_t heads, int64_t kv_heads, int64_t value_keys)
{
    static float zero[64];
    op_in(c, op_f32(4, (int64_t[]){1, heads, 2, 2}, zero));
    op_in(c, op_f32(4, (int64_t[]){1, kv_heads, 2, 2}, zero));
    op_in(c, op_f32(4, (int64_t[]){1, kv_heads, value_keys, 2}, zero));
}

Test(op_attention, says_what_is_wrong)
{
    const float mask[6] = {0};
    const int64_t far[] = {0, 4};
    op_case c = op_begin("Attention", 23);
    three_inputs(&c, 3, 2, 2);
    expect_refusal(&c, "3 heads share 2; allowed is a divisor");

    c = op_begin("Attention", 23);
    three_inputs(&c, 2, 2, 3);
    expect_refusal(&c, "input 2 is [1, 2, 3, 2] F32; allowed is [1, 2, 2, ?] F32");

    c = op_begin("Attention", 23);
    three_inputs(&c, 2, 2, 2);
    op_in(&c, op_f32(2, (int64_t[]){2, 3}, mask));
    expect_refusal(&c, "the mask is [2, 3] F32, which does not spread over [1, 2, 2, 2] F32");

    c = op_begin("Attention", 23);
    three_inputs(&c, 2, 2, 2);
    op_int(&c, "qk_matmul_output_mode", 4);
    expect_refusal(&c, "qk_matmul_output_mode is 4; allowed is 0 to 3");

    c = four_heads_on_two(24);
    for (int i = 0; i < 3; i++) op_no_input(&c);
    op_in(&c, op_i64(1, (int64_t[]){1}, far + 1));
    expect_refusal(&c, "nonpad_kv_seqlen of sample 0 is 4; allowed is 0 to 3");

    static float x[8];
    c = op_begin("RotaryEmbedding", 23);
    op_in(&c, op_f32(4, (int64_t[]){1, 1, 2, 4}, x));
    op_in(&c, op_f32(2, (int64_t[]){3, 2}, x));
    op_in(&c, op_f32(2, (int64_t[]){3, 2}, x));
    op_in(&c, op_i64(2, (int64_t[]){1, 2}, far));
    expect_refusal(&c, "position of token 1 of sample 0 is 4; allowed is 0 to 2");
}
