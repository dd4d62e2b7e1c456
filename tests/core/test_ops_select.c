/* Operators that pick elements: TopK, Unique, NonZero, Compress, OneHot, Trilu, Det. */
#include "tests/support/op_run.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#define DIMS(...)   \
    (int64_t[])     \
    {               \
        __VA_ARGS__ \
    }

/* ---- TopK ---- */

/* How many elements of the row come before element i: larger ones, and equal ones in front. */
static size_t rank_of(const int32_t *x, size_t n, size_t step, size_t i, bool largest)
{
    size_t rank = 0;
    for (size_t k = 0; k < n; k++) {
        const int32_t a = x[k * step], b = x[i * step];
        if (largest ? a > b : a < b) rank++;
        if (a == b && k < i) rank++;
    }
    return rank;
}

Test(ops_select, topk_is_a_sort_cut_off)
{
    enum { OUTER = 2, N = 37, INNER = 3 };
    int32_t x[OUTER * N * INNER];
    for (int i = 0; i < OUTER * N * INNER; i++) x[i] = i * 7919 % 23 - 11; /* many ties */
    const int64_t ks[] = {0, 1, 5, 36, 37};
    for (size_t t = 0; t < 10; t++) {
        const int64_t k = ks[t / 2];
        op_case c = op_begin("TopK", 11);
        op_outputs(&c, 2);
        op_int(&c, "axis", 1);
        op_int(&c, "largest", t % 2);
        op_in(&c, op_nd(MC_I32, 3, DIMS(OUTER, N, INNER), x));
        op_in(&c, op_i64(1, DIMS(1), &k));
        op_run(&c);
        const mc_nd *value = op_out(&c, 0), *index = op_out(&c, 1);
        cr_assert_eq(value->dim[1], k);
        for (size_t row = 0; row < OUTER * INNER; row++) {
            const int32_t *from = x + row / INNER * N * INNER + row % INNER;
            for (size_t j = 0; j < (size_t)k; j++) {
                const size_t at = (row / INNER * (size_t)k + j) * INNER + row % INNER;
                const size_t i = (size_t)mc_nd_int(index, at);
                cr_assert_lt(i, N);
                cr_expect_eq(rank_of(from, N, INNER, i, t % 2), j);
                cr_expect_eq(mc_nd_int(value, at), from[i * INNER]);
            }
        }
        op_end(&c);
    }
}

static void expect_order(mc_dtype dtype, const void *x, int64_t largest, const int64_t *want)
{
    const int64_t k = 4;
    op_case c = op_begin("TopK", 11);
    op_outputs(&c, 2);
    op_int(&c, "largest", largest);
    op_in(&c, op_nd(dtype, 1, DIMS(4), x));
    op_in(&c, op_i64(1, DIMS(1), &k));
    op_run(&c);
    op_expect_i64(&c, 1, 1, DIMS(4), want);
    op_end(&c);
}

Test(ops_select, topk_knows_the_order_of_every_kind_of_number)
{
    const float x[] = {-0.0f, 0.0f, -NAN, -1.0f};
    expect_order(MC_F32, x, 1, DIMS(2, 0, 1, 3));
    expect_order(MC_F32, x, 0, DIMS(3, 0, 1, 2));
    const double d[] = {-(double)INFINITY, 1e-300, -1e-300, (double)INFINITY};
    expect_order(MC_F64, d, 1, DIMS(3, 1, 2, 0));
    const int64_t i[] = {INT64_MIN, INT64_MAX, -1, INT64_MAX - 1};
    expect_order(MC_I64, i, 1, DIMS(1, 3, 2, 0));
    const uint64_t u[] = {UINT64_MAX, 0, UINT64_MAX - 1, (uint64_t)1 << 63};
    expect_order(MC_U64, u, 0, DIMS(1, 3, 2, 0));
}

Test(ops_select, topk_took_k_as_an_attribute_first)
{
    const float x[] = {1.0f, 3.0f, 2.0f};
    op_case c = op_begin("TopK", 1);
    op_outputs(&c, 2);
    op_int(&c, "k", 2);
    op_in(&c, op_f32(1, DIMS(3), x));
    op_run(&c);
    op_expect_f32(&c, 0, 1, DIMS(2), (float[]){3.0f, 2.0f}, 0.0);
    op_end(&c);
    const int64_t k = 4;
    c = op_begin("TopK", 10);
    op_outputs(&c, 2);
    op_in(&c, op_f32(1, DIMS(3), x));
    op_in(&c, op_i64(1, DIMS(1), &k));
    cr_expect_eq(op_try(&c), MC_E_FORMAT);
    cr_expect_not_null(strstr(c.err.text, "k is 4, axis 0 has 3 elements"), "%s", c.err.text);
    op_end(&c);
}

/* ---- Unique: the examples of the specification, and strings ---- */

static op_case unique(int64_t sorted, mc_nd x)
{
    op_case c = op_begin("Unique", 11);
    op_outputs(&c, 4);
    op_int(&c, "sorted", sorted);
    op_in(&c, x);
    return c;
}

Test(ops_select, unique_in_order_of_value_or_of_appearance)
{
    const float x[] = {2.0f, 1.0f, 1.0f, 3.0f, 4.0f, 3.0f};
    op_case c = unique(0, op_f32(1, DIMS(6), x));
    op_run(&c);
    op_expect_f32(&c, 0, 1, DIMS(4), (float[]){2.0f, 1.0f, 3.0f, 4.0f}, 0.0);
    op_expect_i64(&c, 1, 1, DIMS(4), DIMS(0, 1, 3, 4));
    op_expect_i64(&c, 2, 1, DIMS(6), DIMS(0, 1, 1, 2, 3, 2));
    op_expect_i64(&c, 3, 1, DIMS(4), DIMS(1, 2, 2, 1));
    op_end(&c);
    c = unique(1, op_f32(2, DIMS(2, 3), x));
    op_run(&c);
    op_expect_f32(&c, 0, 1, DIMS(4), (float[]){1.0f, 2.0f, 3.0f, 4.0f}, 0.0);
    op_expect_i64(&c, 1, 1, DIMS(4), DIMS(1, 0, 3, 4));
    op_expect_i64(&c, 2, 1, DIMS(6), DIMS(1, 0, 0, 2, 3, 2));
    op_expect_i64(&c, 3, 1, DIMS(4), DIMS(2, 1, 2, 1));
    op_end(&c);
}

Test(ops_select, unique_slices_along_an_axis)
{
    const float x[] = {1, 1, 0, 1, 2, 1, 0, 1, 1, 1, 0, 1, 2, 1, 0, 1};
    op_case c = unique(1, op_f32(3, DIMS(2, 4, 2), x));
    op_int(&c, "axis", 1);
    op_run(&c);
    op_expect_f32(&c, 0, 3, DIMS(2, 3, 2), (float[]){0, 1, 1, 1, 2, 1, 0, 1, 1, 1, 2, 1}, 0.0);
    op_expect_i64(&c, 1, 1, DIMS(3), DIMS(1, 0, 2));
    op_expect_i64(&c, 2, 1, DIMS(4), DIMS(1, 0, 2, 0));
    op_expect_i64(&c, 3, 1, DIMS(3), DIMS(2, 1, 1));
    op_end(&c);
}

Test(ops_select, unique_strings_and_unique_nothing)
{
    const mc_nd_text x[] = {{"b", 1}, {"ab", 2}, {"b", 1}, {"a", 1}, {"", 0}};
    op_case c = unique(1, op_nd(MC_STRING, 1, DIMS(5), x));
    op_run(&c);
    op_expect_i64(&c, 1, 1, DIMS(4), DIMS(4, 3, 1, 0));
    op_expect_i64(&c, 3, 1, DIMS(4), DIMS(1, 1, 1, 2));
    op_end(&c);
    c = unique(0, op_f32(1, DIMS(0), NULL));
    op_run(&c);
    op_expect_f32(&c, 0, 1, DIMS(0), NULL, 0.0);
    op_expect_i64(&c, 3, 1, DIMS(0), NULL);
    op_end(&c);
}

/* ---- NonZero, Compress, OneHot ---- */

Test(ops_select, nonzero_lists_places)
{
    const float x[] = {0.0f, 2.0f, -0.0f, NAN, 0.0f, 1.0f};
    op_case c = op_begin("NonZero", 13);
    op_in(&c, op_f32(2, DIMS(2, 3), x));
    op_run(&c);
    op_expect_i64(&c, 0, 2, DIMS(2, 3), DIMS(0, 1, 1, 1, 0, 2));
    op_end(&c);
    const uint8_t none[] = {0};
    c = op_begin("NonZero", 13);
    op_in(&c, op_nd(MC_BOOL, 0, NULL, none));
    op_run(&c);
    op_expect_i64(&c, 0, 2, DIMS(1, 0), NULL);
    op_end(&c);
}

Test(ops_select, compress_keeps_slices_or_elements)
{
    const int64_t x[] = {1, 2, 3, 4, 5, 6};
    const uint8_t keep[] = {0, 1, 1};
    op_case c = op_begin("Compress", 11);
    op_int(&c, "axis", -1);
    op_in(&c, op_i64(2, DIMS(2, 3), x));
    op_in(&c, op_nd(MC_BOOL, 1, DIMS(3), keep));
    op_run(&c);
    op_expect_i64(&c, 0, 2, DIMS(2, 2), DIMS(2, 3, 5, 6));
    op_end(&c);
    c = op_begin("Compress", 11); /* flattened; the conditions may end early */
    op_in(&c, op_i64(2, DIMS(2, 3), x));
    op_in(&c, op_nd(MC_BOOL, 1, DIMS(3), keep));
    op_run(&c);
    op_expect_i64(&c, 0, 1, DIMS(2), DIMS(2, 3));
    op_end(&c);
    c = op_begin("Compress", 11);
    op_int(&c, "axis", 0);
    op_in(&c, op_i64(2, DIMS(2, 3), x));
    op_in(&c, op_nd(MC_BOOL, 1, DIMS(3), keep));
    cr_expect_eq(op_try(&c), MC_E_FORMAT);
    cr_expect_not_null(strstr(c.err.text, "3 conditions for 2 slices"), "%s", c.err.text);
    op_end(&c);
}

static void expect_hot(int64_t axis, int64_t rows, int64_t cols, const int64_t *want)
{
    const float index[] = {1.0f, -1.0f, 3.0f, -4.0f}, depth = 3.0f;
    const int64_t values[] = {5, 9};
    op_case c = op_begin("OneHot", 11);
    op_int(&c, "axis", axis);
    op_in(&c, op_f32(1, DIMS(4), index));
    op_in(&c, op_f32(0, NULL, &depth));
    op_in(&c, op_i64(1, DIMS(2), values));
    op_run(&c);
    op_expect_i64(&c, 0, 2, DIMS(rows, cols), want);
    op_end(&c);
}

/* -1 counts from the end; 3 and -4 are outside. */
Test(ops_select, one_hot_sets_one_place_or_none)
{
    expect_hot(-1, 4, 3, DIMS(5, 9, 5, 5, 5, 9, 5, 5, 5, 5, 5, 5));
    expect_hot(0, 3, 4, DIMS(5, 5, 5, 5, 9, 5, 5, 5, 5, 9, 5, 5));
}

/* ---- Trilu, Det ---- */

Test(ops_select, triangles_are_cut_at_any_diagonal)
{
    enum { ROWS = 3, COLS = 4 };
    int64_t x[2 * ROWS * COLS], want[2 * ROWS * COLS];
    const int64_t ks[] = {INT64_MIN, -3, -1, 0, 1, 4, INT64_MAX};
    for (int64_t i = 0; i < 2 * ROWS * COLS; i++) x[i] = i + 1;
    for (size_t t = 0; t < 14; t++) {
        const int64_t k = ks[t / 2], upper = (int64_t)(t % 2);
        for (int64_t i = 0; i < 2 * ROWS * COLS; i++) {
            const double above = (double)(i % COLS) - (double)(i / COLS % ROWS) - (double)k;
            want[i] = (upper ? above >= 0.0 : above <= 0.0) ? x[i] : 0;
        }
        op_case c = op_begin("Trilu", 14);
        op_int(&c, "upper", upper);
        op_in(&c, op_i64(3, DIMS(2, ROWS, COLS), x));
        op_in(&c, op_i64(0, NULL, &k));
        op_run(&c);
        op_expect_i64(&c, 0, 3, DIMS(2, ROWS, COLS), want);
        op_end(&c);
    }
}

Test(ops_select, determinants_of_a_stack)
{
    const float x[] = {0, 2, 1, 1, 1, 0, 3, 0, 1, 0, 1, 0, 4, 0, 0, 0, 0, 2};
    op_case c = op_begin("Det", 11);
    op_in(&c, op_f32(3, DIMS(2, 3, 3), x));
    op_run(&c);
    op_expect_f32(&c, 0, 1, DIMS(2), (float[]){-5.0f, -8.0f}, 1e-6);
    op_end(&c);
}
