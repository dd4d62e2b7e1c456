/* Softmax, LogSoftmax, Hardmax: both meanings of `axis`, large numbers, strided rows. */
#include "tests/support/op_run.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#define DIMS(...)   \
    (int64_t[])     \
    {               \
        __VA_ARGS__ \
    }

enum { A = 2, B = 300, C = 3, COUNT = A * B * C };

static void fill(double *x)
{
    for (int i = 0; i < COUNT; i++) x[i] = (double)(i * 7919 % 2003) / 128.0 - 5.0;
}

/* What element i becomes when its row is all elements that `together` puts with it. */
static double expected(const char *name, const double *x, size_t i,
                       bool (*together)(size_t i, size_t k))
{
    double most = (double)-INFINITY, sum = 0.0;
    size_t first = 0;
    for (size_t k = 0; k < COUNT; k++) {
        if (!together(i, k)) continue;
        if (x[k] > most) first = k;
        most = fmax(most, x[k]);
    }
    for (size_t k = 0; k < COUNT; k++) {
        if (together(i, k)) sum += exp(x[k] - most);
    }
    if (strcmp(name, "Hardmax") == 0) return i == first;
    return strcmp(name, "Softmax") == 0 ? exp(x[i] - most) / sum : x[i] - most - log(sum);
}

static bool same_column(size_t i, size_t k)
{
    return i / (B * C) == k / (B * C) && i % C == k % C;
}

static bool same_line(size_t i, size_t k)
{
    return i / C == k / C;
}

static bool same_sample(size_t i, size_t k)
{
    return i / (B * C) == k / (B * C);
}

static void expect_rows(const char *name, int version, int64_t axis, const double *x,
                        bool (*together)(size_t i, size_t k))
{
    float x32[COUNT];
    for (size_t i = 0; i < COUNT; i++) x32[i] = (float)x[i];
    for (int wide = 0; wide < 2; wide++) {
        op_case c = op_begin(name, version);
        if (axis != INT64_MIN) op_int(&c, "axis", axis);
        op_in(&c, wide ? op_nd(MC_F64, 3, DIMS(A, B, C), x) : op_f32(3, DIMS(A, B, C), x32));
        op_run(&c);
        for (size_t i = 0; i < COUNT; i += 37) {
            const double got = mc_nd_real(op_out(&c, 0), i), want = expected(name, x, i, together);
            cr_expect(fabs(got - want) <= (wide ? 1e-13 : 2e-6) * fabs(want),
                      "%s, opset %d: element %zu is %g, not %g", name, version, i, got, want);
        }
        op_end(&c);
    }
}

Test(ops_softmax, rows_are_along_one_axis_from_13_on_and_over_the_rest_before)
{
    const char *const names[] = {"Softmax", "LogSoftmax", "Hardmax"};
    double x[COUNT];
    fill(x);
    for (size_t i = 0; i < 3; i++) {
        expect_rows(names[i], 13, INT64_MIN, x, same_line);
        expect_rows(names[i], 13, 1, x, same_column);
        expect_rows(names[i], 11, INT64_MIN, x, same_sample);
        expect_rows(names[i], 11, 2, x, same_line);
    }
}

Test(ops_softmax, large_numbers_do_not_overflow)
{
    const float x[] = {1e30f, 1e30f, -1e30f, -1000.0f, -1000.0f, -INFINITY};
    op_case c = op_begin("Softmax", 13);
    op_in(&c, op_f32(2, DIMS(2, 3), x));
    op_run(&c);
    op_expect_f32(&c, 0, 2, DIMS(2, 3), (float[]){0.5f, 0.5f, 0.0f, 0.5f, 0.5f, 0.0f}, 1e-6);
    op_end(&c);
    const float half = -0.69314718f;
    c = op_begin("LogSoftmax", 13);
    op_in(&c, op_f32(2, DIMS(2, 3), x));
    op_run(&c);
    op_expect_f32(&c, 0, 2, DIMS(2, 3), (float[]){half, half, -2e30f, half, half, -INFINITY}, 1e-6);
    op_end(&c);
}

Test(ops_softmax, nan_and_rows_of_minus_infinity_are_nan)
{
    const float x[] = {1.0f, NAN, -INFINITY, -INFINITY};
    op_case c = op_begin("Softmax", 13);
    op_in(&c, op_f32(2, DIMS(2, 2), x));
    op_run(&c);
    op_expect_f32(&c, 0, 2, DIMS(2, 2), (float[]){NAN, NAN, NAN, NAN}, 0.0);
    op_end(&c);
}

Test(ops_softmax, an_axis_out_of_range_is_refused)
{
    const float x[] = {1.0f};
    const int versions[] = {11, 13};
    for (size_t i = 0; i < 2; i++) {
        op_case c = op_begin("Softmax", versions[i]);
        op_int(&c, "axis", 2);
        op_in(&c, op_f32(2, DIMS(1, 1), x));
        cr_expect_eq(op_try(&c), i == 0 ? MC_OK : MC_E_FORMAT, "%s", c.err.text);
        op_end(&c);
    }
}
