/* Caches of keys and values as codes: whole windows against a decoder that takes one token at a
 * time and turns groups into codes when they are old enough. */
#include "core/act.h"
#include "tests/support/draw.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

enum { MOST = 160, SIZE = 16, HEADS = 4, KV_HEADS = 2, BATCHES = 2 };

typedef struct {
    const char *domain;
    int tokens, past; /* queries, and tokens before them */
    bool causal;      /* by attribute */
    int mask;         /* 0: none, 1: BOOL, 2: numbers to add, 3: the same, and hides nothing */
    int window;       /* of the attention: 0, or how many tokens it sees */
    int64_t other;    /* keys, when they are not the queries' */
} attention_case;

typedef struct {
    mc_region region;
    mc_graph *g;
    mc_nd in[8];
    size_t ins;
    mc_exec *exec;
    mc_run *run;
    mc_err err;
} bench;

/* Numbers of a few bits, so that rotations are exact. */
static float *numbers(bench *b, uint64_t seed, size_t n)
{
    float *x = MC_NEW_RAW(&b->region.arena, float, n + 1);
    cr_assert_not_null(x);
    draw_weights(DRAW_NORMAL, seed, x, n);
    for (size_t i = 0; i < n; i++) x[i] = rintf(2048.0f * x[i]) / 1024.0f + (i % SIZE == 3 ? 9 : 0);
    return x;
}

static mc_id input(bench *b, const char *name, mc_dtype dtype, int ndim, const int64_t *dim,
                   void *data)
{
    mc_nd *nd = &b->in[b->ins++];
    *nd = (mc_nd){.kind = MC_ND_TENSOR};
    cr_assert_eq(mc_nd_set(nd, dtype, ndim, dim, &b->err), MC_OK);
    nd->data = data;
    return mc_graph_add_input(b->g, name, dtype, ndim, dim);
}

static mc_id mask_input(bench *b, const attention_case *c)
{
    const size_t rows = (size_t)c->tokens, keys = (size_t)(c->tokens + c->past);
    uint8_t *shown = MC_NEW(&b->region.arena, uint8_t, rows * keys);
    float *plus = MC_NEW(&b->region.arena, float, rows *keys);
    cr_assert(shown && plus);
    for (size_t i = 0; i < rows * keys; i++) {
        const bool sees = c->mask == 3 || i % keys <= i / keys + (size_t)c->past;
        shown[i] = sees;
        plus[i] = sees ? 0.0f : -3.4e38f;
    }
    const int64_t dim[] = {(int64_t)rows, (int64_t)keys};
    return c->mask == 1 ? input(b, "mask", MC_BOOL, 2, dim, shown)
                        : input(b, "mask", MC_F32, 2, dim, plus);
}

static int64_t keys_of(const attention_case *c)
{
    return c->other ? c->other : c->tokens;
}

static void open_run(bench *b, const mc_kv_spec *kv, mc_exec_numerics numerics)
{
    const mc_exec_options o = {.name = "a",
                               .cache_bytes = UINT64_MAX,
                               .activation_bits = 16,
                               .numerics = numerics,
                               .kv = kv};
    cr_assert_eq(mc_exec_open(b->g, &o, &b->exec, &b->err), MC_OK, "%s", b->err.text);
    cr_assert_eq(mc_run_open(b->exec, (uint64_t)1 << 28, &b->run, &b->err), MC_OK);
}

static bench open_bench(const attention_case *c, const mc_kv_spec *kv, mc_exec_numerics numerics)
{
    bench b = {.ins = 0};
    cr_assert_eq(mc_region_open(&b.region, (size_t)1 << 24, &b.err), MC_OK);
    mc_arena *mem = MC_NEW(&b.region.arena, mc_arena, 1);
    *mem = (mc_arena){b.region.arena.at, b.region.arena.at + (1 << 20)};
    b.region.arena.at = mem->end;
    b.g = mc_graph_new(mem, "a");
    const int64_t q[] = {BATCHES, HEADS, c->tokens, SIZE},
                  k[] = {BATCHES, KV_HEADS, keys_of(c), SIZE};
    const int64_t past[] = {BATCHES, KV_HEADS, c->past, SIZE};
    const size_t nq = BATCHES * HEADS * MOST * SIZE;
    mc_id in[6] = {input(&b, "q", MC_F32, 4, q, numbers(&b, 1, nq)),
                   input(&b, "k", MC_F32, 4, k, numbers(&b, 2, nq)),
                   input(&b, "v", MC_F32, 4, k, numbers(&b, 3, nq)),
                   MC_NONE,
                   MC_NONE,
                   MC_NONE};
    if (c->mask) in[3] = mask_input(&b, c);
    if (c->past) {
        in[4] = input(&b, "pk", MC_F32, 4, past, numbers(&b, 4, nq));
        in[5] = input(&b, "pv", MC_F32, 4, past, numbers(&b, 5, nq));
    }
    const size_t ins = c->past ? 6 : c->mask ? 4 : 3;
    const int version = c->domain[0] ? 1 : 24;
    const mc_id y = mc_graph_apply(b.g, c->domain, "Attention", version, in, ins, "y");
    if (c->causal) mc_node_add_int(b.g, "is_causal", 1);
    if (c->window) mc_node_add_int(b.g, "window", c->window);
    mc_graph_add_output(b.g, y);
    cr_assert_eq(mc_graph_check(b.g, "a", &b.err), MC_OK, "%s", b.err.text);
    open_run(&b, kv, numerics);
    return b;
}

static void close_bench(bench *b)
{
    mc_run_close(b->run);
    mc_exec_close(b->exec);
    mc_region_close(&b->region);
}

static const float *run(bench *b)
{
    const mc_nd *in[8];
    for (size_t i = 0; i < b->ins; i++) in[i] = &b->in[i];
    cr_assert_eq(mc_run_all(b->run, in, b->ins, &b->err), MC_OK, "%s", b->err.text);
    return mc_run_value(b->run, b->g->output[0])->data;
}

/* ---- a decoder ---- */

static void code_numbers(float *x, size_t n, size_t stride, int bits)
{
    float least = x[0], most = x[0];
    const float last = (float)((1 << bits) - 1);
    for (size_t i = 0; i < n; i++) {
        if (x[i * stride] < least) least = x[i * stride];
        if (x[i * stride] > most) most = x[i * stride];
    }
    float scale = (float)(((double)most - (double)least) / (double)last);
    const float floor_of_scale = (most > -least ? most : -least) / 32767.0f;
    if (scale < floor_of_scale) scale = floor_of_scale;
    if (scale == 0.0f) return; /* zeros, which they stay */
    const long zero = -lrintf(least / scale);
    for (size_t i = 0; i < n; i++) {
        long q = lrintf(x[i * stride] / scale) + zero;
        if (q < 0) q = 0;
        if (q > (long)last) q = (long)last;
        x[i * stride] = scale * (float)(q - zero);
    }
}

static bool odd_bits(unsigned x)
{
    return (x ^ x >> 1 ^ x >> 2 ^ x >> 3) & 1;
}

/* H_16 / 4 by its definition. */
static void turn(float *x)
{
    float y[SIZE];
    for (unsigned i = 0; i < SIZE; i++) {
        double sum = 0.0;
        for (unsigned j = 0; j < SIZE; j++) sum += (odd_bits(i & j) ? -1.0 : 1.0) * (double)x[j];
        y[i] = (float)(sum / 4.0);
    }
    memcpy(x, y, sizeof y);
}

typedef struct {
    float k[MOST][SIZE], v[MOST][SIZE];
    size_t n, coded;
} cache;

static void append(cache *c, const mc_kv_spec *kv, const float *k, const float *v)
{
    memcpy(c->k[c->n], k, sizeof c->k[0]);
    memcpy(c->v[c->n], v, sizeof c->v[0]);
    if (kv->hadamard) turn(c->k[c->n]);
    c->n++;
    for (; c->coded + kv->group + kv->window <= c->n; c->coded += kv->group) {
        for (size_t i = 0; i < SIZE; i++)
            code_numbers(&c->k[c->coded][i], kv->group, SIZE, kv->bits);
        for (size_t t = c->coded; t < c->coded + kv->group; t++)
            for (size_t i = 0; i < SIZE; i += kv->group)
                code_numbers(&c->v[t][i], SIZE - i < kv->group ? SIZE - i : kv->group, 1, kv->bits);
    }
}

static void attend(const cache *c, const float *query, size_t from, bool turned, double *y)
{
    double weight[MOST], sum = 0.0, most = -(double)INFINITY;
    float q[SIZE];
    memcpy(q, query, sizeof q);
    if (turned) turn(q);
    for (size_t t = from; t < c->n; t++) {
        weight[t] = 0.0;
        for (size_t i = 0; i < SIZE; i++) weight[t] += (double)q[i] * (double)c->k[t][i] / 4.0;
        most = fmax(most, weight[t]);
    }
    memset(y, 0, SIZE * sizeof *y);
    for (size_t t = from; t < c->n; t++) sum += weight[t] = exp(weight[t] - most);
    for (size_t t = from; t < c->n; t++)
        for (size_t i = 0; i < SIZE; i++) y[i] += weight[t] / sum * (double)c->v[t][i];
}

static const float *row_of(const bench *b, size_t input, size_t heads, size_t head, size_t t)
{
    const mc_nd *nd = &b->in[input];
    return (const float *)nd->data +
           ((head / HEADS * heads + head % HEADS * heads / HEADS) * (size_t)nd->dim[2] + t) * SIZE;
}

/* Scores of up to 100 are off by 1e-5 in f32, weights by that share of themselves. */
static void expect_decoded(const attention_case *c, const mc_kv_spec *kv)
{
    static cache cached;
    bench b = open_bench(c, kv, MC_NUMERICS_FAKE_QUANT);
    const float *y = run(&b);
    const size_t past_in = c->mask ? 4 : 3;
    for (size_t head = 0; head < BATCHES * HEADS; head++) {
        cached.n = cached.coded = 0;
        for (size_t t = 0; t < (size_t)c->past; t++)
            append(&cached, kv, row_of(&b, past_in, KV_HEADS, head, t),
                   row_of(&b, past_in + 1, KV_HEADS, head, t));
        for (size_t t = 0; t < (size_t)c->tokens; t++, y += SIZE) {
            append(&cached, kv, row_of(&b, 1, KV_HEADS, head, t), row_of(&b, 2, KV_HEADS, head, t));
            const size_t seen = c->window ? (size_t)c->window : MOST;
            double want[SIZE];
            attend(&cached, row_of(&b, 0, HEADS, head, t), cached.n > seen ? cached.n - seen : 0,
                   kv->hadamard, want);
            for (size_t i = 0; i < SIZE; i++)
                cr_assert_float_eq((double)y[i], want[i], 2e-4,
                                   "%u bits, group %u, window %u, head %zu, token %zu: %g, not %g",
                                   kv->bits, kv->group, kv->window, head, t, (double)y[i], want[i]);
        }
    }
    cr_expect_eq(mc_run_kv(b.run)->applied, 1);
    cr_expect_eq(mc_run_kv(b.run)->left, 0);
    close_bench(&b);
}

static const mc_kv_spec specs[] = {
    {.bits = 8, .group = 32, .window = 0},
    {.bits = 4, .group = 32, .window = 32},
    {.bits = 4, .group = 8, .window = 0},
    {.bits = 8, .group = 8, .window = 5},
    {.bits = 2, .group = 64, .window = 17},
    {.bits = 4, .group = 5, .window = 1},
    {.bits = 4, .group = 1, .window = 0},
    {.bits = 4, .group = 32, .window = 1000},
    {.bits = 4, .group = 16, .window = 3, .hadamard = true},
};

static void expect_decoded_by_all(const attention_case *c)
{
    for (size_t i = 0; i < sizeof specs / sizeof specs[0]; i++) expect_decoded(c, &specs[i]);
}

Test(kv_cache, windows_are_what_a_decoder_sees)
{
    expect_decoded_by_all(&(attention_case){MC_DOMAIN, .tokens = 150, .causal = true});
    expect_decoded_by_all(&(attention_case){"", .tokens = 77, .causal = true});
}

Test(kv_cache, masks_may_say_who_comes_later)
{
    expect_decoded_by_all(&(attention_case){MC_DOMAIN, .tokens = 40, .mask = 1});
    expect_decoded_by_all(&(attention_case){MC_DOMAIN, .tokens = 70, .mask = 2});
}

Test(kv_cache, attention_may_have_a_window_of_its_own)
{
    expect_decoded_by_all(&(attention_case){MC_DOMAIN, .tokens = 90, .causal = true, .window = 21});
}

Test(kv_cache, tokens_before_the_window_belong_to_it)
{
    expect_decoded_by_all(&(attention_case){"", .tokens = 70, .past = 45, .causal = true});
    expect_decoded_by_all(&(attention_case){"", .tokens = 1, .past = 99, .causal = true});
    expect_decoded_by_all(&(attention_case){"", .tokens = 30, .past = 45, .mask = 2});
}

/* ---- QAttention ---- */

enum { Q_TOKENS = 24, Q_INPUTS = 8, Q_WIDTH = 16 };

static bench open_qattention(const mc_kv_spec *kv)
{
    static float one[] = {0.0625f}, bias[3 * Q_WIDTH];
    static uint8_t x[Q_TOKENS * Q_INPUTS], w[Q_INPUTS * 3 * Q_WIDTH], zero[] = {128};
    bench b = {.ins = 0};
    cr_assert_eq(mc_region_open(&b.region, (size_t)1 << 24, &b.err), MC_OK);
    b.g = mc_graph_new(&b.region.arena, "q");
    for (size_t i = 0; i < sizeof x; i++) x[i] = (uint8_t)(100 + i * 29 % 57);
    for (size_t i = 0; i < sizeof w; i++) w[i] = (uint8_t)(100 + i * 31 % 53);
    const int64_t dims[][3] = {
        {1, Q_TOKENS, Q_INPUTS}, {Q_INPUTS, 3 * Q_WIDTH}, {3 * Q_WIDTH}, {1}};
    const mc_id in[] = {
        input(&b, "x", MC_U8, 3, dims[0], x),     input(&b, "w", MC_U8, 2, dims[1], w),
        input(&b, "b", MC_F32, 1, dims[2], bias), input(&b, "xs", MC_F32, 1, dims[3], one),
        input(&b, "ws", MC_F32, 1, dims[3], one), MC_NONE,
        input(&b, "xz", MC_U8, 1, dims[3], zero), input(&b, "wz", MC_U8, 1, dims[3], zero)};
    const mc_id y = mc_graph_apply(b.g, MC_DOMAIN_MS, "QAttention", 1, in, 8, "y");
    mc_node_add_int(b.g, "num_heads", 2);
    mc_node_add_int(b.g, "unidirectional", 1);
    mc_graph_add_output(b.g, y);
    cr_assert_eq(mc_graph_check(b.g, "q", &b.err), MC_OK, "%s", b.err.text);
    open_run(&b, kv, kv ? MC_NUMERICS_FAKE_QUANT : MC_NUMERICS_FLOAT);
    return b;
}

/* 8 bits move a value by half a step, a share of 1 / 510 of its range. */
Test(kv_cache, attention_of_quantized_products_takes_part)
{
    const mc_kv_spec kv = {.bits = 8, .group = 4, .window = 2, .hadamard = true};
    bench plain = open_qattention(NULL), b = open_qattention(&kv);
    const float *want = run(&plain), *y = run(&b);
    float most = 0.0f, off = 0.0f;
    for (size_t i = 0; i < Q_TOKENS * Q_WIDTH; i++) {
        most = fmaxf(most, fabsf(want[i]));
        off = fmaxf(off, fabsf(y[i] - want[i]));
        if (i < 5 * Q_WIDTH) cr_expect_float_eq(y[i], want[i], 1e-5f, "no token is coded yet");
    }
    cr_expect_gt(off, 0.0f);
    cr_expect_lt(off, most / 50.0f);
    cr_expect_eq(mc_run_kv(b.run)->applied, 1);
    close_bench(&plain);
    close_bench(&b);
}

/* ---- which attentions ---- */

static void expect_left(const attention_case *c, const char *why)
{
    const mc_kv_spec kv = {.bits = 2, .group = 4};
    bench with = open_bench(c, &kv, MC_NUMERICS_FAKE_QUANT);
    bench without = open_bench(c, NULL, MC_NUMERICS_FLOAT);
    const float *y = run(&with), *want = run(&without);
    cr_expect_arr_eq(y, want, (size_t)(BATCHES * HEADS * c->tokens * SIZE) * sizeof *y);
    const mc_kv_use *use = mc_run_kv(with.run);
    cr_expect_eq(use->applied, 0);
    cr_expect_eq(use->left, 1);
    cr_expect_str_eq(use->why, why);
    cr_expect_str_eq(use->first_left->op, "Attention");
    cr_expect_eq(mc_run_kv(without.run)->applied + mc_run_kv(without.run)->left, 0);
    close_bench(&with);
    close_bench(&without);
}

Test(kv_cache, attentions_without_a_cache_are_left)
{
    expect_left(&(attention_case){MC_DOMAIN, .tokens = 40}, "its queries see later keys");
    expect_left(&(attention_case){MC_DOMAIN, .tokens = 40, .mask = 3},
                "its queries see later keys");
    expect_left(&(attention_case){MC_DOMAIN, .tokens = 40, .other = 50, .causal = true},
                "its keys are not of its queries' tokens");
}

Test(kv_cache, floats_and_16_bits_change_nothing)
{
    const attention_case c = {MC_DOMAIN, .tokens = 60, .causal = true};
    const mc_kv_spec kv[] = {{.bits = 4, .group = 8}, {.bits = 16, .group = 8, .hadamard = true}};
    bench plain = open_bench(&c, NULL, MC_NUMERICS_FLOAT);
    const float *want = run(&plain);
    for (int i = 0; i < 2; i++) {
        bench b = open_bench(&c, &kv[i], i ? MC_NUMERICS_FAKE_QUANT : MC_NUMERICS_FLOAT);
        const float *y = run(&b);
        cr_expect_arr_eq(y, want, BATCHES * HEADS * 60 * SIZE * sizeof *y);
        cr_expect_eq(mc_run_kv(b.run)->applied, 0);
        close_bench(&b);
    }
    close_bench(&plain);
}

Test(kv_cache, every_pass_is_counted_anew)
{
    const attention_case c = {MC_DOMAIN, .tokens = 20, .causal = true};
    bench b = open_bench(&c, &specs[2], MC_NUMERICS_FAKE_QUANT);
    for (int i = 0; i < 3; i++) (void)run(&b);
    cr_expect_eq(mc_run_kv(b.run)->applied, 1);
    close_bench(&b);
}

Test(kv_cache, specs_that_mean_nothing_are_refused)
{
    mc_err err;
    mc_kv_spec kv = {.bits = 9, .group = 8};
    cr_expect_eq(mc_kv_check(&kv, &err), MC_E_UNSUPPORTED);
    cr_expect_str_eq(err.text, "a kv cache of 9 bits (2 to 8 and 16 can be simulated)");
    kv = (mc_kv_spec){.bits = 8};
    cr_expect_eq(mc_kv_check(&kv, &err), MC_E_FORMAT);
    cr_expect_str_eq(err.text, "a kv cache with groups of 0 tokens; allowed is 1 or more");
}

/* ---- rounding ---- */

Test(kv_cache, far_ranges_keep_their_steps)
{
    const mc_kv_spec kv = {.bits = 8, .group = 4};
    float x[] = {100, 101, 102, 101.5f}, y[] = {-5, -5, -5, -5}, z[4] = {0};
    mc_kv_round_values(&kv, x, 1, 4);
    const float want[] = {100, 101, 102, 101.5f};
    for (int i = 0; i < 4; i++) cr_expect_float_eq(x[i], want[i], 2.0f / 255.0f);
    mc_kv_round_values(&kv, y, 1, 4);
    for (int i = 0; i < 4; i++) cr_expect_float_eq(y[i], -5.0f, 1e-3f);
    mc_kv_round_values(&kv, z, 1, 4);
    for (int i = 0; i < 4; i++) cr_expect_eq(z[i], 0.0f);
}

Test(kv_cache, what_is_no_number_spoils_what_shares_its_scale)
{
    const mc_kv_spec kv = {.bits = 8, .group = 2};
    float k[] = {1, NAN, 2, 3, 4, 5, INFINITY, 7};
    mc_kv_round_keys(&kv, k, 4, 2);
    const bool bad[] = {false, true, false, true, true, false, true, false};
    for (int i = 0; i < 8; i++) cr_expect_eq(isnan(k[i]) != 0, bad[i], "number %d", i);
}
