/* Comparisons, truth values, and Where. */
#include "tests/support/op_run.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#define DIMS(...)   \
    (int64_t[])     \
    {               \
        __VA_ARGS__ \
    }

Test(ops_logic, comparisons_know_order_and_nan)
{
    const float a[] = {1.0f, 2.0f, 2.0f, NAN, -0.0f}, b[] = {2.0f, 2.0f, 1.0f, NAN, 0.0f};
    static const struct {
        const char *name;
        int64_t want[5];
    } cases[] = {{"Equal", {0, 1, 0, 0, 1}},
                 {"Less", {1, 0, 0, 0, 0}},
                 {"LessOrEqual", {1, 1, 0, 0, 1}},
                 {"Greater", {0, 0, 1, 0, 0}},
                 {"GreaterOrEqual", {0, 1, 1, 0, 1}}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        op_case c = op_begin(cases[i].name, 16);
        op_in(&c, op_f32(1, DIMS(5), a));
        op_in(&c, op_f32(1, DIMS(5), b));
        op_run(&c);
        cr_expect_eq(op_out(&c, 0)->dtype, MC_BOOL);
        op_expect_i64(&c, 0, 1, DIMS(5), cases[i].want);
        op_end(&c);
    }
}

/* Both differ from their neighbours by less than a double can tell. */
Test(ops_logic, whole_numbers_are_compared_exactly)
{
    const uint64_t a[] = {UINT64_MAX, UINT64_MAX - 1}, b[] = {UINT64_MAX - 1, UINT64_MAX - 1};
    op_case c = op_begin("Greater", 13);
    op_in(&c, op_nd(MC_U64, 1, DIMS(2), a));
    op_in(&c, op_nd(MC_U64, 1, DIMS(2), b));
    op_run(&c);
    op_expect_i64(&c, 0, 1, DIMS(2), (int64_t[]){1, 0});
    op_end(&c);

    const int64_t x[] = {INT64_MIN, 5}, y[] = {INT64_MIN + 1};
    c = op_begin("Equal", 13);
    op_in(&c, op_i64(2, DIMS(2, 1), x));
    op_in(&c, op_i64(1, DIMS(1), y));
    op_run(&c);
    op_expect_i64(&c, 0, 2, DIMS(2, 1), (int64_t[]){0, 0});
    op_end(&c);
}

Test(ops_logic, strings_are_equal_when_their_bytes_are)
{
    const mc_nd_text a[] = {{"cat", 3}, {"cat", 2}, {"", 0}},
                     b[] = {{"cats", 3}, {"cat", 3}, {NULL, 0}};
    op_case c = op_begin("Equal", 19);
    op_in(&c, op_nd(MC_STRING, 1, DIMS(3), a));
    op_in(&c, op_nd(MC_STRING, 1, DIMS(3), b));
    op_run(&c);
    op_expect_i64(&c, 0, 1, DIMS(3), (int64_t[]){1, 0, 1});
    op_end(&c);
}

Test(ops_logic, truth_tables_hold_and_broadcast)
{
    const uint8_t a[] = {0, 1}, b[] = {0, 1};
    static const struct {
        const char *name;
        int64_t want[4];
    } cases[] = {{"And", {0, 0, 0, 1}}, {"Or", {0, 1, 1, 1}}, {"Xor", {0, 1, 1, 0}}};
    for (size_t i = 0; i < 3; i++) {
        op_case c = op_begin(cases[i].name, 7);
        op_in(&c, op_nd(MC_BOOL, 2, DIMS(2, 1), a));
        op_in(&c, op_nd(MC_BOOL, 1, DIMS(2), b));
        op_run(&c);
        op_expect_i64(&c, 0, 2, DIMS(2, 2), cases[i].want);
        op_end(&c);
    }
    op_case c = op_begin("Not", 1);
    op_in(&c, op_nd(MC_BOOL, 1, DIMS(2), a));
    op_run(&c);
    op_expect_i64(&c, 0, 1, DIMS(2), (int64_t[]){1, 0});
    op_end(&c);
}

Test(ops_logic, truth_values_are_no_numbers)
{
    const uint8_t a[] = {1};
    const char *const names[] = {"Less", "And"};
    const mc_dtype dtypes[] = {MC_BOOL, MC_U8};
    for (size_t i = 0; i < 2; i++) {
        op_case c = op_begin(names[i], 13);
        op_in(&c, op_nd(dtypes[i], 1, DIMS(1), a));
        op_in(&c, op_nd(dtypes[i], 1, DIMS(1), a));
        cr_expect_eq(op_try(&c), MC_E_UNSUPPORTED, "%s", names[i]);
        op_end(&c);
    }
}

Test(ops_logic, nan_and_infinity_are_found)
{
    const double x[] = {1.0, (double)NAN, (double)INFINITY, (double)-INFINITY};
    const int64_t inf[4][4] = {{0, 0, 0, 0}, {0, 0, 1, 0}, {0, 0, 0, 1}, {0, 0, 1, 1}};
    for (int64_t k = 0; k < 4; k++) {
        op_case c = op_begin("IsInf", 10);
        op_int(&c, "detect_positive", k & 1);
        op_int(&c, "detect_negative", k / 2);
        op_in(&c, op_nd(MC_F64, 1, DIMS(4), x));
        op_run(&c);
        op_expect_i64(&c, 0, 1, DIMS(4), inf[k]);
        op_end(&c);
    }
    op_case c = op_begin("IsNaN", 13);
    op_in(&c, op_nd(MC_F64, 1, DIMS(4), x));
    op_run(&c);
    op_expect_i64(&c, 0, 1, DIMS(4), (int64_t[]){0, 1, 0, 0});
    op_end(&c);
    const float f[] = {NAN, 0.0f};
    c = op_begin("IsNaN", 20);
    op_in(&c, op_nd(MC_F8_E5M2, 1, DIMS(2), f));
    op_run(&c);
    op_expect_i64(&c, 0, 1, DIMS(2), (int64_t[]){1, 0});
    op_end(&c);
}

/* Elements are told apart by their bytes: byte i of x is 16 + i, of y 100 + i. */
Test(ops_logic, where_moves_every_width_and_broadcasts_all_three)
{
    const mc_dtype dtypes[] = {MC_U8, MC_BF16, MC_I16, MC_F32, MC_F64, MC_STRING};
    const uint8_t truth[] = {1, 0, 0, 1};
    for (size_t d = 0; d < sizeof dtypes / sizeof *dtypes; d++) {
        unsigned char x[3 * 16], y[2 * 16];
        for (size_t i = 0; i < sizeof x; i++) x[i] = (unsigned char)(16 + i);
        for (size_t i = 0; i < sizeof y; i++) y[i] = (unsigned char)(100 + i);
        const float bf[] = {1.0f, 2.0f, 3.0f}, gf[] = {4.0f, 5.0f};
        const bool small = dtypes[d] == MC_BF16;
        op_case c = op_begin("Where", 16);
        op_in(&c, op_nd(MC_BOOL, 3, DIMS(2, 2, 1), truth));
        op_in(&c, op_nd(dtypes[d], 1, DIMS(3), small ? (const void *)bf : x));
        op_in(&c, op_nd(dtypes[d], 3, DIMS(2, 1, 1), small ? (const void *)gf : y));
        op_run(&c);
        const mc_nd *out = op_out(&c, 0);
        cr_assert_eq(out->count, 12);
        const size_t width = mc_nd_width(dtypes[d]);
        for (size_t i = 0; i < 12; i++) {
            const unsigned char *from_x = (const unsigned char *)c.value[1].data + i % 3 * width;
            const unsigned char *from_y = (const unsigned char *)c.value[2].data + i / 6 * width;
            cr_expect_eq(memcmp((const unsigned char *)out->data + i * width,
                                truth[i / 3] ? from_x : from_y, width),
                         0, "%s element %zu", mc_dtype_about(dtypes[d])->name, i);
        }
        op_end(&c);
    }
}
