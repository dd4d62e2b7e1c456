/* Arithmetic of two and more tensors: broadcasting against an index computed the long way, and the
 * places where C would not say what comes out. */
#include "core/rng.h"
#include "tests/support/op_run.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#define DIMS(...)   \
    (int64_t[])     \
    {               \
        __VA_ARGS__ \
    }

/* The element of `t` beside element `at` of a tensor of `dim`. */
static size_t beside(const mc_nd *t, int ndim, const int64_t *dim, size_t at)
{
    size_t index = 0, step = 1;
    for (int i = ndim - 1; i >= 0; i--) {
        const size_t place = at % (size_t)dim[i];
        at /= (size_t)dim[i];
        const int own = i - (ndim - t->ndim);
        if (own < 0) continue;
        if (t->dim[own] != 1) index += place * step;
        step *= (size_t)t->dim[own];
    }
    return index;
}

static void expect_difference(const mc_nd *a, const mc_nd *b)
{
    op_case c = op_begin("Sub", 14);
    op_in(&c, *a);
    op_in(&c, *b);
    op_run(&c);
    const mc_nd *out = op_out(&c, 0);
    for (size_t i = 0; i < out->count; i++) {
        const double x = mc_nd_real(a, beside(a, out->ndim, out->dim, i));
        const double y = mc_nd_real(b, beside(b, out->ndim, out->dim, i));
        cr_assert_eq(mc_nd_real(out, i), x - y, "element %zu", i);
    }
    op_end(&c);
}

Test(ops_binary, broadcasting_is_numpys)
{
    enum { MOST = 256 };
    float a[MOST], b[MOST];
    int64_t wa[MOST], wb[MOST];
    for (int i = 0; i < MOST; i++) {
        a[i] = (float)i;
        b[i] = (float)(1000 * i);
        wa[i] = i;
        wb[i] = 1000 * i;
    }
    const mc_rng rng = {.seed = 7};
    uint64_t at = 0;
    for (int round = 0; round < 60; round++) {
        int64_t da[4], db[4];
        const int n = 1 + (int)mc_rng_below(rng, at++, 4);
        const int na = 1 + (int)mc_rng_below(rng, at++, (uint64_t)n);
        for (int i = 0; i < n; i++) {
            const int64_t full = 1 + (int64_t)mc_rng_below(rng, at++, 4);
            const uint64_t which = mc_rng_below(rng, at++, 3);
            da[i] = which == 0 ? 1 : full;
            db[i] = which == 1 ? 1 : full;
        }
        const mc_nd fa = op_f32(na, da + n - na, a), fb = op_f32(n, db, b);
        const mc_nd ia = op_i64(na, da + n - na, wa), ib = op_i64(n, db, wb);
        expect_difference(&fa, &fb);
        expect_difference(&fb, &fa);
        expect_difference(&ia, &ib);
    }
}

Test(ops_binary, shapes_that_do_not_fit_are_refused)
{
    const float x[6] = {0};
    op_case c = op_begin("Add", 14);
    op_in(&c, op_f32(2, DIMS(2, 3), x));
    op_in(&c, op_f32(1, DIMS(2), x));
    cr_expect_eq(op_try(&c), MC_E_FORMAT);
    cr_expect_not_null(strstr(c.err.text, "shapes [2, 3] F32 and [2] F32"), "%s", c.err.text);
    op_end(&c);
}

Test(ops_binary, dtypes_that_differ_are_refused)
{
    const float x[1] = {0};
    const int64_t y[1] = {0};
    op_case c = op_begin("Mul", 14);
    op_in(&c, op_f32(1, DIMS(1), x));
    op_in(&c, op_i64(1, DIMS(1), y));
    cr_expect_eq(op_try(&c), MC_E_FORMAT);
    cr_expect_not_null(strstr(c.err.text, "input 1 is of type I64"), "%s", c.err.text);
    op_end(&c);
}

/* ---- whole numbers ---- */

static void expect_pair(const char *name, int version, mc_dtype dtype, size_t n, const void *a,
                        const void *b, const int64_t *want)
{
    op_case c = op_begin(name, version);
    op_in(&c, op_nd(dtype, 1, DIMS((int64_t)n), a));
    op_in(&c, op_nd(dtype, 1, DIMS((int64_t)n), b));
    op_run(&c);
    op_expect_i64(&c, 0, 1, DIMS((int64_t)n), want);
    op_end(&c);
}

Test(ops_binary, whole_numbers_wrap_and_divide_toward_zero)
{
    const int32_t a[] = {INT32_MIN, -7, 7, -7, INT32_MAX}, b[] = {-1, 2, -2, -2, 2};
    expect_pair("Div", 14, MC_I32, 5, a, b, (int64_t[]){INT32_MIN, -3, -3, 3, INT32_MAX / 2});
    expect_pair("Mul", 14, MC_I32, 5, a, b, (int64_t[]){INT32_MIN, -14, -14, 14, -2});
    expect_pair("Add", 14, MC_I32, 5, a, b, (int64_t[]){INT32_MAX, -5, 5, -9, INT32_MIN + 1});
    const int64_t x[] = {INT64_MIN, INT64_MIN}, y[] = {-1, 1};
    expect_pair("Div", 14, MC_I64, 2, x, y, (int64_t[]){INT64_MIN, INT64_MIN});
    expect_pair("Sub", 14, MC_I64, 2, x, y, (int64_t[]){INT64_MIN + 1, INT64_MAX});
    const uint16_t u[] = {65535, 65535}, v[] = {65535, 1};
    expect_pair("Mul", 14, MC_U16, 2, u, v, (int64_t[]){1, 65535});
    const uint8_t p[] = {200, 7}, q[] = {100, 9};
    expect_pair("Sub", 14, MC_U8, 2, q, p, (int64_t[]){156, 2});
}

Test(ops_binary, mod_takes_the_sign_of_the_divisor_and_fmod_of_the_dividend)
{
    const int32_t a[] = {-7, 7, -7, 7, INT32_MIN, 6}, b[] = {3, -3, -3, 3, -1, -3};
    expect_pair("Mod", 13, MC_I32, 6, a, b, (int64_t[]){2, -2, -1, 1, 0, 0});
    op_case c = op_begin("Mod", 13);
    op_int(&c, "fmod", 1);
    op_in(&c, op_nd(MC_I32, 1, DIMS(6), a));
    op_in(&c, op_nd(MC_I32, 1, DIMS(6), b));
    op_run(&c);
    op_expect_i64(&c, 0, 1, DIMS(6), (int64_t[]){-1, 1, -1, 1, 0, 0});
    op_end(&c);

    const float x[] = {-7.5f, 7.5f}, y[] = {3.0f, -3.0f};
    for (int fmod = 0; fmod < 2; fmod++) {
        c = op_begin("Mod", 13);
        op_int(&c, "fmod", fmod);
        op_in(&c, op_f32(1, DIMS(2), x));
        op_in(&c, op_f32(1, DIMS(2), y));
        cr_expect_eq(op_try(&c), fmod ? MC_OK : MC_E_FORMAT, "%s", c.err.text);
        if (fmod) op_expect_f32(&c, 0, 1, DIMS(2), (float[]){-1.5f, 1.5f}, 0.0);
        op_end(&c);
    }
}

Test(ops_binary, dividing_whole_numbers_by_zero_names_the_node)
{
    const int32_t a[] = {1, 2}, b[] = {1, 0};
    const char *const names[] = {"Div", "Mod"};
    for (size_t i = 0; i < 2; i++) {
        op_case c = op_begin(names[i], 13);
        op_in(&c, op_nd(MC_I32, 1, DIMS(2), a));
        op_in(&c, op_nd(MC_I32, 1, DIMS(2), b));
        cr_expect_eq(op_try(&c), MC_E_FORMAT);
        cr_expect_not_null(strstr(c.err.text, "'tested'"), "%s", c.err.text);
        cr_expect_not_null(strstr(c.err.text, "element 1 of input 1 is 0"), "%s", c.err.text);
        op_end(&c);
    }
}

static void expect_shift(const char *way, mc_dtype dtype, const void *a, const void *b,
                         const int64_t *want)
{
    op_case c = op_begin("BitShift", 11);
    op_text(&c, "direction", way);
    op_in(&c, op_nd(dtype, 1, DIMS(3), a));
    op_in(&c, op_nd(dtype, 1, DIMS(3), b));
    op_run(&c);
    op_expect_i64(&c, 0, 1, DIMS(3), want);
    op_end(&c);
}

Test(ops_binary, shifts_by_the_width_and_more_leave_nothing)
{
    const uint8_t a[] = {129, 129, 129}, b[] = {1, 8, 255};
    const uint64_t wide[] = {1, 1, 3}, by[] = {63, 64, UINT64_MAX};
    expect_shift("LEFT", MC_U8, a, b, (int64_t[]){2, 0, 0});
    expect_shift("RIGHT", MC_U8, a, b, (int64_t[]){64, 0, 0});
    expect_shift("RIGHT", MC_U64, wide, by, (int64_t[]){0, 0, 0});
    const uint64_t four[] = {4, 4, 4}, few[] = {2, 64, 1};
    expect_shift("LEFT", MC_U64, four, few, (int64_t[]){16, 0, 8});
}

Test(ops_binary, bitwise_operators_see_bits)
{
    const uint8_t a[] = {0xF0, 0xFF, 0x0F}, b[] = {0xCC, 0x01, 0xF0};
    expect_pair("BitwiseAnd", 18, MC_U8, 3, a, b, (int64_t[]){0xC0, 0x01, 0x00});
    expect_pair("BitwiseOr", 18, MC_U8, 3, a, b, (int64_t[]){0xFC, 0xFF, 0xFF});
    expect_pair("BitwiseXor", 18, MC_U8, 3, a, b, (int64_t[]){0x3C, 0xFE, 0xFF});
    const int16_t x[] = {0, -1, 1000};
    op_case c = op_begin("BitwiseNot", 18);
    op_in(&c, op_nd(MC_I16, 1, DIMS(3), x));
    op_run(&c);
    op_expect_i64(&c, 0, 1, DIMS(3), (int64_t[]){-1, 0, -1001});
    op_end(&c);
}

/* ---- Pow ---- */

Test(ops_binary, powers_keep_the_dtype_of_the_base)
{
    const float x[] = {-2.0f, 0.5f, 9.0f};
    const float powers[] = {2.0f, 3.0f, 0.5f, -1.0f};
    for (size_t p = 0; p < 4; p++) {
        float want[3];
        for (size_t i = 0; i < 3; i++) want[i] = powf(x[i], powers[p]);
        op_case c = op_begin("Pow", 15);
        op_in(&c, op_f32(1, DIMS(3), x));
        op_in(&c, op_f32(0, NULL, &powers[p]));
        op_run(&c);
        op_expect_f32(&c, 0, 1, DIMS(3), want, 1e-6);
        op_end(&c);
    }
    const int32_t base[] = {3, -2, 2, -1, 0, 3}, power[] = {4, 31, 32, -3, 0, -1};
    expect_pair("Pow", 15, MC_I32, 6, base, power, (int64_t[]){81, INT32_MIN, 0, -1, 1, 0});

    const float half[] = {0.5f, 2.0f, 31.0f};
    const int64_t whole[] = {16, 3, 2};
    op_case c = op_begin("Pow", 15);
    op_in(&c, op_i64(1, DIMS(3), whole));
    op_in(&c, op_f32(1, DIMS(3), half));
    op_run(&c);
    op_expect_i64(&c, 0, 1, DIMS(3), (int64_t[]){4, 9, (int64_t)1 << 31});
    op_end(&c);
}

/* ---- many inputs ---- */

Test(ops_binary, many_inputs_broadcast_together)
{
    const float a[] = {1.0f, 5.0f}, b[] = {3.0f, 2.0f, NAN}, d[] = {2.0f};
    static const struct {
        const char *name;
        float want[6];
    } cases[] = {
        {"Sum", {6.0f, 5.0f, NAN, 10.0f, 9.0f, NAN}},
        {"Mean", {2.0f, 5.0f / 3.0f, NAN, 10.0f / 3.0f, 3.0f, NAN}},
        {"Max", {3.0f, 2.0f, NAN, 5.0f, 5.0f, NAN}},
        {"Min", {1.0f, 1.0f, NAN, 2.0f, 2.0f, NAN}},
    };
    for (size_t i = 0; i < 4; i++) {
        op_case c = op_begin(cases[i].name, 13);
        op_in(&c, op_f32(2, DIMS(2, 1), a));
        op_in(&c, op_f32(1, DIMS(3), b));
        op_in(&c, op_f32(0, NULL, d));
        op_run(&c);
        op_expect_f32(&c, 0, 2, DIMS(2, 3), cases[i].want, 1e-6);
        op_end(&c);

        c = op_begin(cases[i].name, 13);
        op_in(&c, op_f32(1, DIMS(2), a));
        op_run(&c);
        op_expect_f32(&c, 0, 1, DIMS(2), a, 0.0);
        op_end(&c);
    }
}

Test(ops_binary, prelu_broadcasts_the_slope_only)
{
    const float x[] = {-1.0f, 2.0f, -3.0f, -4.0f}, slope[] = {0.5f, 0.25f};
    op_case c = op_begin("PRelu", 16);
    op_in(&c, op_f32(2, DIMS(2, 2), x));
    op_in(&c, op_f32(2, DIMS(2, 1), slope));
    op_run(&c);
    op_expect_f32(&c, 0, 2, DIMS(2, 2), (float[]){-0.5f, 2.0f, -0.75f, -1.0f}, 0.0);
    op_end(&c);

    c = op_begin("PRelu", 16);
    op_in(&c, op_f32(1, DIMS(2), slope));
    op_in(&c, op_f32(2, DIMS(2, 2), x));
    cr_expect_eq(op_try(&c), MC_E_FORMAT);
    cr_expect_not_null(strstr(c.err.text, "does not broadcast"), "%s", c.err.text);
    op_end(&c);
}
