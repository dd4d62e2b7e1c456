/* Cast: the tables of the specification, and the places where C leaves the result open. */
#include "tests/support/op_run.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#define DIMS(...)   \
    (int64_t[])     \
    {               \
        __VA_ARGS__ \
    }

/* Numbers of TensorProto.DataType. */
enum {
    TO_F32 = 1,
    TO_U8 = 2,
    TO_I8 = 3,
    TO_I32 = 6,
    TO_I64 = 7,
    TO_STRING = 8,
    TO_BOOL = 9,
    TO_F16 = 10,
    TO_F64 = 11,
    TO_U32 = 12,
    TO_U64 = 13,
    TO_E4M3 = 17,
    TO_E4M3_FNUZ = 18,
    TO_E5M2 = 19,
    TO_E5M2_FNUZ = 20,
    TO_U4 = 21,
    TO_I4 = 22,
    TO_F4 = 23,
    TO_E8M0 = 24,
    TO_U2 = 25,
    TO_I2 = 26
};

static op_case cast(mc_dtype from, const void *x, int64_t n, int64_t to)
{
    op_case c = op_begin("Cast", 25);
    op_int(&c, "to", to);
    op_in(&c, op_nd(from, 1, DIMS(n), x));
    return c;
}

static void expect_reals(op_case *c, mc_dtype dtype, const double *want)
{
    op_run(c);
    const mc_nd *out = op_out(c, 0);
    cr_assert_eq(out->dtype, dtype);
    for (size_t i = 0; i < out->count; i++) {
        const double got = mc_nd_real(out, i);
        cr_expect((isnan(got) && isnan(want[i])) ||
                      (got == want[i] && signbit(got) == signbit(want[i])),
                  "%s: element %zu is %g, not %g", mc_dtype_about(dtype)->name, i, got, want[i]);
    }
    op_end(c);
}

static void expect_ints(op_case *c, int64_t n, const int64_t *want)
{
    op_run(c);
    op_expect_i64(c, 0, 1, DIMS(n), want);
    op_end(c);
}

Test(ops_cast, floats_are_cut_and_saturate_in_32_bits_and_more)
{
    const float x[] = {-1.9f, 1.9f, 3e9f, -3e9f, 1e20f, -1e20f, NAN};
    op_case c = cast(MC_F32, x, 7, TO_I32);
    expect_ints(&c, 7, (int64_t[]){-1, 1, INT32_MAX, INT32_MIN, INT32_MAX, INT32_MIN, 0});
    c = cast(MC_F32, x, 7, TO_I64);
    expect_ints(&c, 7, (int64_t[]){-1, 1, 3000000000, -3000000000, INT64_MAX, INT64_MIN, 0});
    c = cast(MC_F32, x, 7, TO_U32);
    expect_ints(&c, 7, (int64_t[]){0, 1, 3000000000, 0, UINT32_MAX, 0, 0});
    const double wide[] = {0x1p63, 0x1p64, -1.0, -0.5};
    c = cast(MC_F64, wide, 4, TO_U64);
    op_run(&c);
    const mc_nd *out = op_out(&c, 0);
    const uint64_t want[] = {(uint64_t)1 << 63, UINT64_MAX, 0, 0};
    cr_expect_arr_eq(out->data, want, sizeof want);
    op_end(&c);
}

Test(ops_cast, whole_numbers_keep_their_low_bits)
{
    const int16_t x[] = {200, -9, 17, 8, 300};
    op_case c = cast(MC_I16, x, 5, TO_I8);
    expect_ints(&c, 5, (int64_t[]){-56, -9, 17, 8, 44});
    c = cast(MC_I16, x, 5, TO_U8);
    expect_ints(&c, 5, (int64_t[]){200, 247, 17, 8, 44});
    c = cast(MC_I16, x, 5, TO_I4);
    expect_ints(&c, 5, (int64_t[]){-8, 7, 1, -8, -4});
    c = cast(MC_I16, x, 5, TO_U4);
    expect_ints(&c, 5, (int64_t[]){8, 7, 1, 8, 12});
    c = cast(MC_I16, x, 5, TO_I2);
    expect_ints(&c, 5, (int64_t[]){0, -1, 1, 0, 0});
    c = cast(MC_I16, x, 5, TO_U2);
    expect_ints(&c, 5, (int64_t[]){0, 3, 1, 0, 0});
    c = cast(MC_I16, x, 5, TO_BOOL);
    expect_ints(&c, 5, (int64_t[]){1, 1, 1, 1, 1});
    const float real[] = {-9.7f, 8.5f, -0.5f, INFINITY, NAN};
    c = cast(MC_F32, real, 5, TO_I4);
    expect_ints(&c, 5, (int64_t[]){7, -8, 0, 0, 0});
    c = cast(MC_F32, real, 5, TO_U8);
    expect_ints(&c, 5, (int64_t[]){247, 8, 0, 0, 0});
    c = cast(MC_F32, real, 5, TO_BOOL);
    expect_ints(&c, 5, (int64_t[]){1, 1, 1, 1, 1});
}

Test(ops_cast, four_bits_become_numbers_again)
{
    const int8_t x[] = {-8, -1, 7};
    op_case c = cast(MC_I4, x, 3, TO_F32);
    expect_reals(&c, MC_F32, (double[]){-8.0, -1.0, 7.0});
    const uint8_t u[] = {0, 15, 9};
    c = cast(MC_U4, u, 3, TO_I8);
    expect_ints(&c, 3, (int64_t[]){0, 15, 9});
}

/* The two tables of the specification. */
Test(ops_cast, eight_bit_floats_saturate_or_do_not)
{
    const double inf = (double)INFINITY, nan = (double)NAN;
    const float x[] = {-0.0f, NAN, INFINITY, -INFINITY, 1e9f, -1e9f, 0.3f};
    static const struct {
        int64_t to;
        mc_dtype dtype;
        double most, nearest; /* the largest number; 0.3 */
        bool infinity, unsigned_zero;
    } kinds[] = {
        {TO_E4M3, MC_F8_E4M3, 448.0, 0.3125, false, false},
        {TO_E4M3_FNUZ, MC_F8_E4M3FNUZ, 240.0, 0.3125, false, true},
        {TO_E5M2, MC_F8_E5M2, 57344.0, 0.3125, true, false},
        {TO_E5M2_FNUZ, MC_F8_E5M2FNUZ, 57344.0, 0.3125, false, true},
    };
    for (size_t k = 0; k < 4; k++) {
        const double zero = kinds[k].unsigned_zero ? 0.0 : -0.0, most = kinds[k].most;
        op_case c = cast(MC_F32, x, 7, kinds[k].to);
        op_run(&c);
        expect_reals(&c, kinds[k].dtype,
                     (double[]){zero, nan, most, -most, most, -most, kinds[k].nearest});
        const double over = kinds[k].infinity ? inf : nan;
        c = cast(MC_F32, x, 7, kinds[k].to);
        op_int(&c, "saturate", 0);
        expect_reals(&c, kinds[k].dtype,
                     (double[]){zero, nan, over, -over, over, -over, kinds[k].nearest});
    }
}

Test(ops_cast, eight_bit_floats_overflow_where_rounding_does)
{
    const double nan = (double)NAN, inf = (double)INFINITY;
    const float four[] = {464.0f, 0x1.d00002p8f, 480.0f}; /* 464 ties to even: 448 */
    op_case c = cast(MC_F32, four, 3, TO_E4M3);
    op_int(&c, "saturate", 0);
    expect_reals(&c, MC_F8_E4M3, (double[]){448.0, nan, nan});
    const float five[] = {0x1.dffffep15f, 61440.0f};
    c = cast(MC_F32, five, 2, TO_E5M2);
    op_int(&c, "saturate", 0);
    expect_reals(&c, MC_F8_E5M2, (double[]){57344.0, inf});
    const float fnuz[] = {0x1.effffep7f, 248.0f};
    c = cast(MC_F32, fnuz, 2, TO_E4M3_FNUZ);
    op_int(&c, "saturate", 0);
    expect_reals(&c, MC_F8_E4M3FNUZ, (double[]){240.0, nan});
}

Test(ops_cast, powers_of_two_round_as_asked)
{
    const double least = 0x1p-127, most = 0x1p127, nan = (double)NAN;
    const float x[] = {0.0f, 1.0f, 1.4f, 1.5f, 3.0f, 0x1.8p127f, INFINITY, NAN};
    const char *const modes[] = {"up", "down", "nearest"};
    const double want[3][8] = {{least, 1.0, 2.0, 2.0, 4.0, most, most, nan},
                               {least, 1.0, 1.0, 1.0, 2.0, most, most, nan},
                               {least, 1.0, 1.0, 2.0, 4.0, most, most, nan}};
    const double strict[3][8] = {{nan, 1.0, 2.0, 2.0, 4.0, nan, nan, nan},
                                 {nan, 1.0, 1.0, 1.0, 2.0, most, nan, nan},
                                 {nan, 1.0, 1.0, 2.0, 4.0, nan, nan, nan}};
    for (size_t m = 0; m < 3; m++) {
        for (int saturate = 0; saturate < 2; saturate++) {
            op_case c = cast(MC_F32, x, 8, TO_E8M0);
            op_text(&c, "round_mode", modes[m]);
            op_int(&c, "saturate", saturate);
            expect_reals(&c, MC_F8_E8M0, saturate ? want[m] : strict[m]);
        }
    }
}

Test(ops_cast, four_bit_floats_tie_to_even_and_end_at_six)
{
    const float x[] = {0.25f, 0.75f, 1.25f, 2.5f, 5.0f, 5.1f, -9.0f, INFINITY, NAN};
    op_case c = cast(MC_F32, x, 9, TO_F4);
    expect_reals(&c, MC_F4, (double[]){0.0, 1.0, 1.0, 2.0, 4.0, 6.0, -6.0, 6.0, -0.0});
}

/* 1 + 2^-11 is halfway between two f16; a little more must go up, though f32 cannot hold it. */
Test(ops_cast, doubles_are_rounded_once)
{
    const double x[] = {1.0 + 0x1p-11 + 0x1p-50, 1.0 + 0x1p-11, -1.0 - 0x1p-11 - 0x1p-50, 1e300};
    op_case c = cast(MC_F64, x, 4, TO_F16);
    expect_reals(&c, MC_F16, (double[]){1.0 + 0x1p-10, 1.0, -1.0 - 0x1p-10, (double)INFINITY});
}

Test(ops_cast, cast_like_takes_the_dtype_of_its_second_input)
{
    const float x[] = {1.5f, -2.5f};
    const int64_t like[] = {0};
    op_case c = op_begin("CastLike", 15);
    op_in(&c, op_f32(1, DIMS(2), x));
    op_in(&c, op_i64(1, DIMS(1), like));
    op_run(&c);
    op_expect_i64(&c, 0, 1, DIMS(2), (int64_t[]){1, -2});
    op_end(&c);
}

/* ---- strings ---- */

static void expect_texts(op_case *c, const char *const *want)
{
    op_run(c);
    const mc_nd *out = op_out(c, 0);
    cr_assert_eq(out->dtype, MC_STRING);
    const mc_nd_text *text = out->data;
    for (size_t i = 0; i < out->count; i++)
        cr_expect(text[i].length == strlen(want[i]) &&
                      memcmp(text[i].at, want[i], text[i].length) == 0,
                  "element %zu is '%.*s', not '%s'", i, (int)text[i].length, text[i].at, want[i]);
    op_end(c);
}

/* As Python writes them; the names of what is no number are the specification's. */
Test(ops_cast, numbers_become_the_shortest_text_that_says_them)
{
    const float x[] = {1.0f,  3.14f,    0.1f,      1e-5f, 1.5e16f,  16777216.0f,
                       -0.0f, INFINITY, -INFINITY, NAN,   0.00012f, 0.039187793f};
    op_case c = cast(MC_F32, x, 12, TO_STRING);
    expect_texts(&c, (const char *[]){"1.0", "3.14", "0.1", "1e-05", "1.5e+16", "16777216.0",
                                      "-0.0", "INF", "-INF", "NaN", "0.00012", "0.039187793"});
    const double d[] = {0.1, 1.0 / 3.0, 1e100, 123456789.125};
    c = cast(MC_F64, d, 4, TO_STRING);
    expect_texts(&c, (const char *[]){"0.1", "0.3333333333333333", "1e+100", "123456789.125"});
    const float h[] = {0.47900390625f};
    c = cast(MC_F16, h, 1, TO_STRING);
    expect_texts(&c, (const char *[]){"0.479"});
    const uint64_t u[] = {UINT64_MAX};
    c = cast(MC_U64, u, 1, TO_STRING);
    expect_texts(&c, (const char *[]){"18446744073709551615"});
    const uint8_t b[] = {1, 0};
    c = cast(MC_BOOL, b, 2, TO_STRING);
    expect_texts(&c, (const char *[]){"True", "False"});
}

static op_case cast_texts(size_t n, const char *const *text, mc_nd_text *room, int64_t to)
{
    for (size_t i = 0; i < n; i++) room[i] = (mc_nd_text){text[i], strlen(text[i])};
    return cast(MC_STRING, room, (int64_t)n, to);
}

Test(ops_cast, texts_become_numbers)
{
    mc_nd_text room[8];
    const char *const reals[] = {"3.14", "-1e-5", "1E8", "+INF", "inf", "-INF", "NaN", "1000"};
    op_case c = cast_texts(8, reals, room, TO_F64);
    const double inf = (double)INFINITY;
    expect_reals(&c, MC_F64, (double[]){3.14, -1e-5, 1e8, inf, inf, -inf, (double)NAN, 1000.0});
    const char *const whole[] = {"9007199254740993", "-5", "100.5"};
    c = cast_texts(3, whole, room, TO_I64);
    expect_ints(&c, 3, (int64_t[]){9007199254740993, -5, 100});
}

Test(ops_cast, texts_that_are_no_numbers_are_named)
{
    const char *const bad[] = {"Hello", "", "1.0x", "0x10", "1 2"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        mc_nd_text room[2];
        op_case c = cast_texts(2, (const char *[]){"1", bad[i]}, room, TO_F32);
        cr_expect_eq(op_try(&c), MC_E_FORMAT, "'%s'", bad[i]);
        cr_expect_not_null(strstr(c.err.text, "element 1 of input 0"), "%s", c.err.text);
        cr_expect_not_null(strstr(c.err.text, bad[i]), "%s", c.err.text);
        op_end(&c);
    }
}

Test(ops_cast, dtypes_that_cannot_be_held_are_refused)
{
    const float x[] = {1.0f};
    const int64_t to[] = {0, 14, 99, -1};
    for (size_t i = 0; i < 4; i++) {
        op_case c = cast(MC_F32, x, 1, to[i]);
        cr_expect_neq(op_try(&c), MC_OK, "to %lld", (long long)to[i]);
        op_end(&c);
    }
}
