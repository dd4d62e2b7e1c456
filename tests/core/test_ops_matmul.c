/* MatMul, Gemm and Linear: against sums of whole numbers, which floats hold exactly, and against
 * each other. */
#include "core/rng.h"
#include "tests/support/op_run.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

enum { ROOM = 1 << 16 };

static float a_data[ROOM], b_data[ROOM], want[ROOM];

/* Whole numbers from -8 to 8. */
static void draw(float *x, uint64_t stream)
{
    for (size_t i = 0; i < ROOM; i++) x[i] = (float)mc_rng_below((mc_rng){3, stream}, i, 17) - 8.0f;
}

/* ---- MatMul ---- */

typedef struct {
    int a_dims, b_dims, y_dims;
    int64_t a[4], b[4], y[4];
} shapes;

/* Numpy's rules, spelled out: matrices of the stack, and vectors that are rows or columns. */
static const shapes stacks[] = {
    {2, 2, 2, {3, 4}, {4, 5}, {3, 5}},
    {1, 2, 1, {4}, {4, 5}, {5}},
    {2, 1, 1, {3, 4}, {4}, {3}},
    {1, 1, 0, {4}, {4}, {0}},
    {3, 2, 3, {2, 3, 4}, {4, 5}, {2, 3, 5}},
    {2, 3, 3, {3, 4}, {2, 4, 5}, {2, 3, 5}},
    {4, 3, 4, {2, 1, 3, 4}, {3, 4, 5}, {2, 3, 3, 5}},
    {4, 4, 4, {1, 3, 2, 4}, {2, 1, 4, 3}, {2, 3, 2, 3}},
    {1, 3, 2, {4}, {2, 4, 5}, {2, 5}},
    {3, 1, 2, {2, 3, 4}, {4}, {2, 3}},
    {3, 3, 3, {2, 1, 0}, {2, 0, 2}, {2, 1, 2}},
    {3, 3, 3, {0, 1, 2}, {1, 2, 3}, {0, 1, 3}},
};

/* The flat index of a matrix of the stack, for a shape that may be 1 where the other is not. */
static size_t matrix_of(const int64_t *dim, int dims, const int64_t *at, int ats)
{
    size_t out = 0;
    for (int i = 0; i < dims - 2; i++)
        out = out * (size_t)dim[i] + (dim[i] == 1 ? 0 : (size_t)at[ats - (dims - 2) + i]);
    return out;
}

static void expected_product(const shapes *s, float *y)
{
    const int64_t m = s->a_dims > 1 ? s->a[s->a_dims - 2] : 1, k = s->a[s->a_dims - 1];
    const int64_t n = s->b_dims > 1 ? s->b[s->b_dims - 1] : 1;
    const int lead = s->y_dims - (s->a_dims > 1) - (s->b_dims > 1);
    size_t count = 1;
    for (int i = 0; i < lead; i++) count *= (size_t)s->y[i];
    for (size_t p = 0; p < count; p++) {
        int64_t at[4] = {0};
        size_t rest = p;
        for (int i = lead - 1; i >= 0; i--) {
            at[i] = (int64_t)(rest % (size_t)s->y[i]);
            rest /= (size_t)s->y[i];
        }
        const float *a = a_data + matrix_of(s->a, s->a_dims, at, lead) * (size_t)(m * k);
        const float *b = b_data + matrix_of(s->b, s->b_dims, at, lead) * (size_t)(k * n);
        for (int64_t i = 0; i < m * n; i++) {
            float sum = 0.0f;
            for (int64_t t = 0; t < k; t++) sum += a[i / n * k + t] * b[t * n + i % n];
            *y++ = sum;
        }
    }
}

Test(matmul, follows_numpy_in_every_shape)
{
    draw(a_data, 1);
    draw(b_data, 2);
    for (size_t i = 0; i < sizeof stacks / sizeof *stacks; i++)
        for (int constant = 0; constant < 2; constant++) {
            const shapes *s = &stacks[i];
            op_case c = op_begin("MatMul", 13);
            op_in(&c, op_f32(s->a_dims, s->a, a_data));
            if (constant)
                op_const(&c, op_f32(s->b_dims, s->b, b_data));
            else
                op_in(&c, op_f32(s->b_dims, s->b, b_data));
            op_run(&c);
            expected_product(s, want);
            op_expect_f32(&c, 0, s->y_dims, s->y, want, 0.0);
            op_end(&c);
        }
}

Test(matmul, of_doubles_keeps_their_digits)
{
    const double a[2] = {1.0, 1e-12}, b[2] = {1.0, 1.0};
    op_case c = op_begin("MatMul", 13);
    op_in(&c, op_nd(MC_F64, 2, (int64_t[]){1, 2}, a));
    op_in(&c, op_nd(MC_F64, 2, (int64_t[]){2, 1}, b));
    op_run(&c);
    cr_expect(*(const double *)op_out(&c, 0)->data == 1.0 + 1e-12);
    op_end(&c);
}

Test(matmul, of_whole_numbers_is_exact_and_wraps_around)
{
    const int32_t a[2] = {INT32_MAX, -3}, b[2] = {2, 5};
    op_case c = op_begin("MatMul", 13);
    op_in(&c, op_nd(MC_I32, 2, (int64_t[]){1, 2}, a));
    op_in(&c, op_nd(MC_I32, 2, (int64_t[]){2, 1}, b));
    op_run(&c);
    op_expect_i64(&c, 0, 2, (int64_t[]){1, 1}, (int64_t[]){-17});
    op_end(&c);

    const int64_t x[2] = {(int64_t)1 << 53, 1}, y[4] = {1, 3, 1, -1};
    c = op_begin("MatMul", 9);
    op_in(&c, op_i64(2, (int64_t[]){1, 2}, x));
    op_in(&c, op_i64(2, (int64_t[]){2, 2}, y));
    op_run(&c);
    op_expect_i64(&c, 0, 2, (int64_t[]){1, 2},
                  (int64_t[]){((int64_t)1 << 53) + 1, 3 * ((int64_t)1 << 53) - 1});
    op_end(&c);
}

/* ---- Gemm ---- */

typedef struct {
    int ta, tb, c_dims; /* c_dims -1: left out */
    int64_t c[2];
    float alpha, beta;
} gemm_case;

static const gemm_case gemms[] = {
    {0, 0, -1, {0}, 1.0f, 1.0f},    {1, 0, -1, {0}, 0.5f, 1.0f},    {0, 1, 0, {0}, 1.0f, 2.0f},
    {1, 1, 1, {5}, 1.0f, 1.0f},     {0, 1, 1, {1}, 2.0f, 0.5f},     {1, 0, 2, {1, 5}, 1.0f, -1.0f},
    {0, 0, 2, {3, 1}, 0.25f, 4.0f}, {1, 1, 2, {3, 5}, -1.0f, 1.0f}, {0, 0, 2, {3, 5}, 1.0f, 0.0f},
    {0, 1, 2, {3, 1}, 1.0f, 1.0f},  {0, 0, 2, {1, 1}, 0.0f, 1.0f},
};

static float addend_at(const gemm_case *g, const float *c, size_t i, size_t j)
{
    if (g->c_dims < 0) return 0.0f;
    const size_t cols = g->c_dims > 0 ? (size_t)g->c[g->c_dims - 1] : 1;
    const size_t rows = g->c_dims > 1 ? (size_t)g->c[0] : 1;
    return c[(rows == 1 ? 0 : i) * cols + (cols == 1 ? 0 : j)];
}

static void run_gemm(const gemm_case *g, const float *c_data)
{
    enum { M = 3, N = 5, K = 7 };
    op_case c = op_begin("Gemm", 13);
    op_int(&c, "transA", g->ta);
    op_int(&c, "transB", g->tb);
    op_float(&c, "alpha", g->alpha);
    op_float(&c, "beta", g->beta);
    op_in(&c, op_f32(2, g->ta ? (int64_t[]){K, M} : (int64_t[]){M, K}, a_data));
    op_const(&c, op_f32(2, g->tb ? (int64_t[]){N, K} : (int64_t[]){K, N}, b_data));
    if (g->c_dims >= 0) op_const(&c, op_f32(g->c_dims, g->c, c_data));
    op_run(&c);
    for (size_t i = 0; i < M; i++)
        for (size_t j = 0; j < N; j++) {
            float sum = 0.0f;
            for (size_t k = 0; k < K; k++)
                sum +=
                    a_data[g->ta ? k * M + i : i * K + k] * b_data[g->tb ? j * K + k : k * N + j];
            want[i * N + j] = g->alpha * sum + g->beta * addend_at(g, c_data, i, j);
        }
    op_expect_f32(&c, 0, 2, (int64_t[]){M, N}, want, 0.0);
    op_end(&c);
}

Test(gemm, follows_its_formula_with_every_addend)
{
    static float c_data[ROOM];
    draw(a_data, 1);
    draw(b_data, 2);
    draw(c_data, 3);
    for (size_t i = 0; i < sizeof gemms / sizeof *gemms; i++) run_gemm(&gemms[i], c_data);
}

/* 0 times NaN would be NaN. */
Test(gemm, does_not_read_an_addend_that_counts_nothing)
{
    op_case c = op_begin("Gemm", 13);
    op_float(&c, "beta", 0.0f);
    op_in(&c, op_f32(2, (int64_t[]){1, 1}, (float[]){2.0f}));
    op_in(&c, op_f32(2, (int64_t[]){1, 1}, (float[]){3.0f}));
    op_in(&c, op_f32(1, (int64_t[]){1}, (float[]){NAN}));
    op_run(&c);
    op_expect_f32(&c, 0, 2, (int64_t[]){1, 1}, (float[]){6.0f}, 0.0);
    op_end(&c);
}

Test(gemm, takes_doubles_and_whole_numbers)
{
    op_case c = op_begin("Gemm", 13);
    op_float(&c, "alpha", 0.5f);
    op_in(&c, op_nd(MC_F64, 2, (int64_t[]){1, 2}, (double[]){2.0, 2e-12}));
    op_in(&c, op_nd(MC_F64, 2, (int64_t[]){2, 1}, (double[]){1.0, 1.0}));
    op_in(&c, op_nd(MC_F64, 1, (int64_t[]){1}, (double[]){1.0}));
    op_run(&c);
    cr_expect(*(const double *)op_out(&c, 0)->data == 1.0 + 1e-12 + 1.0);
    op_end(&c);

    c = op_begin("Gemm", 11);
    op_float(&c, "alpha", 2.0f);
    op_float(&c, "beta", -1.0f);
    op_int(&c, "transB", 1);
    op_in(&c, op_nd(MC_I32, 2, (int64_t[]){1, 2}, (int32_t[]){1, 2}));
    op_in(&c, op_nd(MC_I32, 2, (int64_t[]){2, 2}, (int32_t[]){3, 4, 5, 6}));
    op_in(&c, op_nd(MC_I32, 1, (int64_t[]){2}, (int32_t[]){1, 2}));
    op_run(&c);
    op_expect_i64(&c, 0, 2, (int64_t[]){1, 2}, (int64_t[]){21, 32});
    op_end(&c);
}

/* ---- Linear, and weights that are decoded piece by piece ---- */

/* A constant of any size: numbers by their place. */
static float number_at(uint64_t i)
{
    return mc_rng_unit((mc_rng){5, 5}, i) - 0.5f;
}

typedef struct {
    mc_lazy lazy;
    uint64_t most, calls;
} counted_lazy;

static mc_status read_numbers(const mc_lazy *lazy, uint64_t first, uint64_t count, float *out,
                              mc_err *err)
{
    (void)err;
    counted_lazy *c = (counted_lazy *)(void *)(uintptr_t)lazy;
    c->calls++;
    if (count > c->most) c->most = count;
    for (uint64_t i = 0; i < count; i++) out[i] = number_at(first + i);
    return MC_OK;
}

/* The operator by hand, since whether a weight is lazy is the executor's choice. */
static void run_lazy(const char *domain, const char *name, mc_nd x, mc_nd w, mc_nd *y)
{
    mc_node node = {.name = "", .op = name, .domain = domain, .version = 13};
    const mc_nd *in[] = {&x, &w};
    mc_nd *out[] = {y};
    mc_call call = {.node = &node, .version = 13, .in = in, .ins = 2, .out = out, .outs = 1};
    const mc_op *op = mc_op_find(domain, name, 13);
    mc_err err = {0};
    cr_assert_not_null(op);
    cr_assert(op->flags & MC_OP_LAZY);
    cr_assert_eq(op->shape(&call, &err), MC_OK, "%s", err.text);
    mc_region region;
    cr_assert_eq(mc_region_open(&region, op->scratch(&call) + 4096, &err), MC_OK, "%s", err.text);
    call.scratch = region.arena;
    cr_assert_eq(op->run(&call, &err), MC_OK, "%s", err.text);
    mc_region_close(&region);
}

static float lazy_y[1 << 15], whole_y[1 << 15], weight[(1 << 21) + (1 << 18)];

/* x[rows, k] times what number_at says, in doubles; w[n, k] when transposed, else w[k, n]. */
static void expect_product(const float *y, const int64_t x[3], const int64_t w[2], bool transposed)
{
    const size_t k = (size_t)x[2], n = (size_t)(transposed ? w[0] : w[1]);
    for (size_t i = 0; i < (size_t)(x[0] * x[1]) * n; i += 97) {
        double sum = 0.0, most = 0.0;
        for (size_t t = 0; t < k; t++) {
            const float number = weight[transposed ? i % n * k + t : t * n + i % n];
            const double part = (double)a_data[i / n * k + t] * (double)number;
            sum += part;
            most += fabs(part);
        }
        const double off = fabs((double)y[i] - sum);
        cr_assert(off <= (double)(k + 2) * 0x1p-23 * most, "[%zu] is off by %g", i, off);
    }
}

static void lazy_equals_whole(const char *domain, const char *name, const int64_t x[3],
                              const int64_t w[2])
{
    counted_lazy lazy = {.lazy = {.read = read_numbers}};
    const size_t elements = (size_t)(w[0] * w[1]);
    cr_assert_leq(elements, sizeof weight / sizeof *weight);
    for (size_t i = 0; i < elements; i++) weight[i] = number_at(i);
    mc_nd whole = op_f32(2, w, weight), decoded = whole;
    decoded.data = NULL;
    decoded.lazy = &lazy.lazy;
    mc_nd first = {.data = lazy_y}, second = {.data = whole_y};
    run_lazy(domain, name, op_f32(3, x, a_data), decoded, &first);
    run_lazy(domain, name, op_f32(3, x, a_data), whole, &second);
    cr_assert_leq(first.count, sizeof lazy_y / sizeof *lazy_y);
    cr_expect(memcmp(lazy_y, whole_y, first.count * sizeof *lazy_y) == 0);
    expect_product(lazy_y, x, w, strcmp(name, "Linear") == 0);
    cr_expect_gt(lazy.calls, 1);
    cr_expect_lt(lazy.most, elements);
}

Test(linear, gives_the_same_bits_when_the_weight_is_decoded_piece_by_piece)
{
    draw(a_data, 4);
    lazy_equals_whole(MC_DOMAIN, "Linear", (int64_t[]){2, 3, 500}, (int64_t[]){4500, 500});
    lazy_equals_whole("", "MatMul", (int64_t[]){2, 3, 4500}, (int64_t[]){4500, 500});
}

Test(linear, is_x_times_w_transposed_plus_b)
{
    enum { ROWS = 6, K = 9, N = 4 };
    draw(a_data, 1);
    draw(b_data, 2);
    const float bias[N] = {1.0f, -2.0f, 3.0f, 0.0f};
    for (int with = 0; with < 2; with++) {
        op_case c = op_begin_in(MC_DOMAIN, "Linear", 1);
        op_in(&c, op_f32(3, (int64_t[]){2, 3, K}, a_data));
        op_const(&c, op_f32(2, (int64_t[]){N, K}, b_data));
        if (with) op_const(&c, op_f32(1, (int64_t[]){N}, bias));
        op_run(&c);
        for (size_t i = 0; i < ROWS * N; i++) {
            want[i] = with ? bias[i % N] : 0.0f;
            for (size_t k = 0; k < K; k++) want[i] += a_data[i / N * K + k] * b_data[i % N * K + k];
        }
        op_expect_f32(&c, 0, 3, (int64_t[]){2, 3, N}, want, 0.0);
        op_end(&c);
    }
}

/* Samples that stand together come out as each alone. */
Test(linear, does_not_depend_on_the_other_samples)
{
    enum { B = 5, T = 7, K = 96, N = 40 };
    static float all[B * T * N];
    for (size_t i = 0; i < B * T * K; i++) a_data[i] = number_at(i + 1000000);
    for (size_t i = 0; i < K * N; i++) b_data[i] = number_at(i);
    for (size_t alone = 0; alone <= B; alone++) {
        op_case c = op_begin_in(MC_DOMAIN, "Linear", 1);
        const size_t first = alone > 0 ? alone - 1 : 0;
        op_in(&c, op_f32(3, (int64_t[]){alone > 0 ? 1 : B, T, K}, a_data + first * T * K));
        op_const(&c, op_f32(2, (int64_t[]){N, K}, b_data));
        op_run(&c);
        const float *y = op_out(&c, 0)->data;
        if (alone == 0)
            memcpy(all, y, sizeof all);
        else
            cr_expect(memcmp(all + first * T * N, y, T * N * sizeof *y) == 0, "sample %zu", first);
        op_end(&c);
    }
}

/* ---- refusals ---- */

static void refuses(op_case *c, mc_status status, const char *says)
{
    cr_expect_eq(op_try(c), status, "%s", c->err.text);
    cr_expect(strstr(c->err.text, says) != NULL, "%s", c->err.text);
    cr_expect(strstr(c->err.text, c->node.op) != NULL, "%s", c->err.text);
    op_end(c);
}

Test(matmul, refuses_shapes_that_do_not_fit)
{
    op_case c = op_begin("MatMul", 13);
    op_in(&c, op_f32(2, (int64_t[]){2, 3}, a_data));
    op_in(&c, op_f32(2, (int64_t[]){4, 2}, b_data));
    refuses(&c, MC_E_FORMAT, "input 0 has rows of 3, which input 1 cannot take (it has 4)");

    c = op_begin("MatMul", 13);
    op_in(&c, op_f32(0, NULL, a_data));
    op_in(&c, op_f32(2, (int64_t[]){4, 2}, b_data));
    refuses(&c, MC_E_FORMAT, "input 0 is a scalar");

    c = op_begin("MatMul", 13);
    op_in(&c, op_f32(3, (int64_t[]){2, 2, 3}, a_data));
    op_in(&c, op_f32(3, (int64_t[]){3, 3, 2}, b_data));
    refuses(&c, MC_E_FORMAT, "do not fit");

    c = op_begin("Gemm", 13);
    op_in(&c, op_f32(2, (int64_t[]){2, 3}, a_data));
    op_in(&c, op_f32(2, (int64_t[]){3, 2}, b_data));
    op_in(&c, op_f32(1, (int64_t[]){3}, b_data));
    refuses(&c, MC_E_FORMAT, "does not broadcast to 2 x 2");

    c = op_begin("Gemm", 6);
    op_in(&c, op_f32(2, (int64_t[]){2, 3}, a_data));
    op_in(&c, op_f32(2, (int64_t[]){3, 2}, b_data));
    op_in(&c, op_f32(1, (int64_t[]){2}, b_data));
    refuses(&c, MC_E_FORMAT, "does not broadcast to 2 x 2");

    c = op_begin_in(MC_DOMAIN, "Linear", 1);
    op_in(&c, op_f32(2, (int64_t[]){2, 3}, a_data));
    op_const(&c, op_f32(2, (int64_t[]){2, 4}, b_data));
    refuses(&c, MC_E_FORMAT, "rows of 3");
}

Test(matmul, refuses_dtypes_that_do_not_go_together)
{
    op_case c = op_begin("MatMul", 13);
    op_in(&c, op_f32(2, (int64_t[]){1, 1}, a_data));
    op_in(&c, op_i64(2, (int64_t[]){1, 1}, (int64_t[]){1}));
    refuses(&c, MC_E_FORMAT, "input 1 is I64, the others are F32");

    c = op_begin("MatMul", 8);
    op_in(&c, op_i64(2, (int64_t[]){1, 1}, (int64_t[]){1}));
    op_in(&c, op_i64(2, (int64_t[]){1, 1}, (int64_t[]){1}));
    refuses(&c, MC_E_UNSUPPORTED, "I64");

    c = op_begin("Gemm", 11);
    op_float(&c, "alpha", 0.5f);
    op_in(&c, op_i64(2, (int64_t[]){1, 1}, (int64_t[]){1}));
    op_in(&c, op_i64(2, (int64_t[]){1, 1}, (int64_t[]){1}));
    refuses(&c, MC_E_UNSUPPORTED, "alpha is 0.5");
}
