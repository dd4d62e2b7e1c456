/* Pooling, against numbers of ONNX Runtime 1.31 and against its formulas. */
#include "tests/support/op_run.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static float x_data[512];

/* Quarters from -5/4 to 5/4. */
static mc_nd quarters(int ndim, const int64_t *dim)
{
    mc_nd t = op_f32(ndim, dim, x_data);
    for (size_t i = 0; i < t.count; i++) x_data[i] = (float)((int)(i * 7 % 11) - 5) / 4.0f;
    return t;
}

/* ---- numbers of ONNX Runtime ---- */

Test(pool, max_finds_places_under_pads_and_a_ceiling)
{
    static const float want[] = {1.0f,  1.25f, 0.75f, 1.0f,  1.0f,  1.25f, 0.75f, 1.0f,  -0.5f,
                                 1.25f, 1.0f,  0.5f,  1.25f, 0.75f, 1.0f,  0.5f,  1.25f, -0.75f};
    static const int64_t places[] = {6,  3,  9,  6,  17, 14, 20, 17, 24,
                                     25, 28, 34, 36, 42, 39, 45, 47, 49};
    op_case c = op_begin("MaxPool", 12);
    op_ints(&c, "kernel_shape", 2, (int64_t[]){3, 2});
    op_ints(&c, "strides", 2, (int64_t[]){2, 2});
    op_ints(&c, "pads", 4, (int64_t[]){1, 0, 1, 1});
    op_int(&c, "ceil_mode", 1);
    op_outputs(&c, 2);
    op_in(&c, quarters(4, (int64_t[]){1, 2, 5, 5}));
    op_run(&c);
    op_expect_f32(&c, 0, 4, (int64_t[]){1, 2, 3, 3}, want, 0.0);
    op_expect_i64(&c, 1, 4, (int64_t[]){1, 2, 3, 3}, places);
    op_end(&c);
}

Test(pool, max_counts_places_by_columns)
{
    static const float want[] = {0.5f, 1.25f, 0.75f, 1.25f, 1.25f, 1.0f, 1.25f, 1.0f,
                                 1.0f, 0.75f, 1.0f,  0.75f, 0.75f, 0.5f, 0.75f, 0.5f};
    static const int64_t places[] = {5, 15, 4, 22, 25, 40, 32, 47, 50, 65, 57, 72, 75, 90, 82, 97};
    op_case c = op_begin("MaxPool", 12);
    op_ints(&c, "kernel_shape", 2, (int64_t[]){2, 2});
    op_ints(&c, "strides", 2, (int64_t[]){2, 3});
    op_ints(&c, "dilations", 2, (int64_t[]){2, 1});
    op_int(&c, "storage_order", 1);
    op_outputs(&c, 2);
    op_in(&c, quarters(4, (int64_t[]){2, 2, 5, 5}));
    op_run(&c);
    op_expect_f32(&c, 0, 4, (int64_t[]){2, 2, 2, 2}, want, 0.0);
    op_expect_i64(&c, 1, 4, (int64_t[]){2, 2, 2, 2}, places);
    op_end(&c);
}

Test(pool, max_takes_one_axis)
{
    static const float want[] = {0.5f, 1.25f, 1.0f, 1.0f, 0.5f, 1.25f, 1.25f, 1.0f};
    op_case c = op_begin("MaxPool", 12);
    op_ints(&c, "kernel_shape", 1, (int64_t[]){3});
    op_ints(&c, "strides", 1, (int64_t[]){2});
    op_in(&c, quarters(3, (int64_t[]){1, 2, 10}));
    op_run(&c);
    op_expect_f32(&c, 0, 3, (int64_t[]){1, 2, 4}, want, 0.0);
    op_end(&c);
}

Test(pool, max_takes_three_axes)
{
    static const float want[] = {1.25f, 1.25f, 1.25f, 1.25f, 0.75f, 1.25f, 1.25f, 1.25f,
                                 1.25f, 1.0f,  1.0f,  0.75f, 1.25f, 1.25f, 1.0f,  1.0f};
    static const int64_t places[] = {3, 22, 3, 22, 1, 22, 17, 22, 28, 36, 31, 39, 28, 47, 31, 50};
    op_case c = op_begin("MaxPool", 12);
    op_ints(&c, "kernel_shape", 3, (int64_t[]){2, 2, 2});
    op_int(&c, "storage_order", 1);
    op_outputs(&c, 2);
    op_in(&c, quarters(5, (int64_t[]){1, 2, 3, 3, 3}));
    op_run(&c);
    op_expect_f32(&c, 0, 5, (int64_t[]){1, 2, 2, 2, 2}, want, 0.0);
    op_expect_i64(&c, 1, 5, (int64_t[]){1, 2, 2, 2, 2}, places);
    op_end(&c);
}

Test(pool, mean_leaves_pads_out)
{
    static const float want[] = {-0.125f,       0.208333328f,  0.3125f,
                                 -0.291666657f, -0.111111112f, -0.0833333358f,
                                 0.0f,          -0.125f,       -0.25f};
    op_case c = op_begin("AveragePool", 11);
    op_ints(&c, "kernel_shape", 2, (int64_t[]){3, 3});
    op_ints(&c, "strides", 2, (int64_t[]){2, 2});
    op_ints(&c, "pads", 4, (int64_t[]){1, 1, 1, 1});
    op_in(&c, quarters(4, (int64_t[]){1, 1, 5, 5}));
    op_run(&c);
    op_expect_f32(&c, 0, 4, (int64_t[]){1, 1, 3, 3}, want, 1e-6);
    op_end(&c);
}

Test(pool, mean_counts_pads_when_told)
{
    static const float want[] = {-0.055555556f, 0.138888896f,   0.138888896f,
                                 -0.194444448f, -0.111111112f,  -0.055555556f,
                                 0.0f,          -0.0833333358f, -0.111111112f};
    op_case c = op_begin("AveragePool", 11);
    op_ints(&c, "kernel_shape", 2, (int64_t[]){3, 3});
    op_ints(&c, "strides", 2, (int64_t[]){2, 2});
    op_ints(&c, "pads", 4, (int64_t[]){1, 1, 1, 1});
    op_int(&c, "count_include_pad", 1);
    op_in(&c, quarters(4, (int64_t[]){1, 1, 5, 5}));
    op_run(&c);
    op_expect_f32(&c, 0, 4, (int64_t[]){1, 1, 3, 3}, want, 1e-6);
    op_end(&c);
}

Test(pool, mean_has_no_window_that_begins_behind_the_input)
{
    static const float want[] = {-0.055555556f, 0.0833333358f, -0.166666672f, 0.0f};
    op_case c = op_begin("AveragePool", 19);
    op_ints(&c, "kernel_shape", 2, (int64_t[]){3, 3});
    op_ints(&c, "strides", 2, (int64_t[]){3, 3});
    op_ints(&c, "pads", 4, (int64_t[]){1, 1, 1, 1});
    op_int(&c, "count_include_pad", 1);
    op_int(&c, "ceil_mode", 1);
    op_in(&c, quarters(4, (int64_t[]){1, 1, 5, 5}));
    op_run(&c);
    op_expect_f32(&c, 0, 4, (int64_t[]){1, 1, 2, 2}, want, 1e-6);
    op_end(&c);
}

Test(pool, mean_takes_dilations)
{
    static const float want[] = {-0.1875f, 0.1875f, -0.375f, 0.0f, 0.125f, -0.1875f};
    op_case c = op_begin("AveragePool", 19);
    op_ints(&c, "kernel_shape", 2, (int64_t[]){2, 2});
    op_ints(&c, "dilations", 2, (int64_t[]){2, 3});
    op_in(&c, quarters(4, (int64_t[]){1, 1, 5, 5}));
    op_run(&c);
    op_expect_f32(&c, 0, 4, (int64_t[]){1, 1, 3, 2}, want, 1e-6);
    op_end(&c);
}

Test(pool, norm_takes_any_power)
{
    static const float want[] = {1.25f, 1.27611721f, 0.314980239f, 1.07721734f};
    op_case c = op_begin("LpPool", 18);
    op_ints(&c, "kernel_shape", 2, (int64_t[]){2, 2});
    op_ints(&c, "strides", 2, (int64_t[]){3, 3});
    op_int(&c, "p", 3);
    op_ints(&c, "pads", 4, (int64_t[]){1, 1, 0, 0});
    op_in(&c, quarters(4, (int64_t[]){1, 1, 5, 5}));
    op_run(&c);
    op_expect_f32(&c, 0, 4, (int64_t[]){1, 1, 2, 2}, want, 1e-6);
    op_end(&c);
}

Test(pool, norm_of_power_one_is_a_sum)
{
    static const float want[] = {3.5f, 3.25f, 2.0f, 2.0f};
    op_case c = op_begin("LpPool", 18);
    op_ints(&c, "kernel_shape", 2, (int64_t[]){2, 2});
    op_ints(&c, "strides", 2, (int64_t[]){3, 3});
    op_int(&c, "p", 1);
    op_in(&c, quarters(4, (int64_t[]){1, 1, 5, 5}));
    op_run(&c);
    op_expect_f32(&c, 0, 4, (int64_t[]){1, 1, 2, 2}, want, 1e-6);
    op_end(&c);
}

Test(pool, norm_of_a_whole_plane)
{
    static const float want[] = {3.97649336f, 3.99217987f, 3.96862698f, 3.99217987f};
    op_case c = op_begin("GlobalLpPool", 11);
    op_int(&c, "p", 2);
    op_in(&c, quarters(4, (int64_t[]){2, 2, 5, 5}));
    op_run(&c);
    op_expect_f32(&c, 0, 4, (int64_t[]){2, 2, 1, 1}, want, 1e-6);
    op_end(&c);
}

Test(pool, max_of_a_whole_plane)
{
    static const float want[] = {1.25f, 1.25f, 1.25f, 1.25f};
    op_case c = op_begin("GlobalMaxPool", 11);
    op_in(&c, quarters(4, (int64_t[]){2, 2, 5, 5}));
    op_run(&c);
    op_expect_f32(&c, 0, 4, (int64_t[]){2, 2, 1, 1}, want, 0.0);
    op_end(&c);
}

Test(pool, mean_of_a_whole_plane)
{
    static const float want[] = {-0.0500000007f, 0.0299999993f, 0.0f, -0.0299999993f};
    op_case c = op_begin("GlobalAveragePool", 11);
    op_in(&c, quarters(4, (int64_t[]){2, 2, 5, 5}));
    op_run(&c);
    op_expect_f32(&c, 0, 4, (int64_t[]){2, 2, 1, 1}, want, 1e-6);
    op_end(&c);
}

Test(pool, max_takes_bytes)
{
    unsigned char u[16];
    signed char s[16];
    for (size_t i = 0; i < 16; i++) {
        const int x = (int)(i * 7 % 11) - 5;
        u[i] = (unsigned char)(x + 100);
        s[i] = (signed char)(x - 100);
    }
    op_case c = op_begin("MaxPool", 12);
    op_ints(&c, "kernel_shape", 2, (int64_t[]){2, 2});
    op_ints(&c, "strides", 2, (int64_t[]){2, 2});
    op_ints(&c, "pads", 4, (int64_t[]){1, 1, 0, 0});
    op_in(&c, op_nd(MC_U8, 4, (int64_t[]){1, 1, 4, 4}, u));
    op_run(&c);
    op_expect_i64(&c, 0, 4, (int64_t[]){1, 1, 2, 2}, (int64_t[]){95, 102, 101, 104});
    op_end(&c);

    c = op_begin("MaxPool", 12);
    op_ints(&c, "kernel_shape", 2, (int64_t[]){3, 3});
    op_ints(&c, "strides", 2, (int64_t[]){2, 2});
    op_text(&c, "auto_pad", "SAME_UPPER");
    op_in(&c, op_nd(MC_I8, 4, (int64_t[]){1, 1, 4, 4}, s));
    op_run(&c);
    op_expect_i64(&c, 0, 4, (int64_t[]){1, 1, 2, 2}, (int64_t[]){-96, -95, -95, -95});
    op_end(&c);
}

/* ---- what the definitions say ---- */

/* A window over one axis of 12. */
typedef struct {
    int64_t kernel, stride, pads[2];
    bool count_pads;
} mean_case;

enum { MEAN_INPUTS = 12 };

/* The mean over the part of a window that lies in the input, or in input and pads, but never behind
 * them. */
static double mean_at(const mean_case *m, int64_t out)
{
    double sum = 0.0, count = 0.0;
    for (int64_t k = 0; k < m->kernel; k++) {
        const int64_t at = out * m->stride + k - m->pads[0];
        const bool inside = at >= 0 && at < MEAN_INPUTS;
        if (inside) sum += (double)x_data[at];
        count += m->count_pads ? at < MEAN_INPUTS + m->pads[1] : inside;
    }
    return sum / count;
}

Test(pool, mean_follows_its_formula_under_a_ceiling)
{
    static const mean_case set[] = {
        {3, 2, {1, 0}, false}, {4, 3, {0, 1}, false}, {5, 4, {2, 2}, false}, {2, 2, {1, 1}, false},
        {3, 2, {1, 0}, true},  {4, 3, {0, 1}, true},  {5, 4, {2, 2}, true},  {2, 2, {1, 1}, true},
    };
    for (size_t i = 0; i < sizeof set / sizeof *set; i++) {
        const mean_case *m = &set[i];
        op_case c = op_begin("AveragePool", 19);
        op_ints(&c, "kernel_shape", 1, &m->kernel);
        op_ints(&c, "strides", 1, &m->stride);
        op_ints(&c, "pads", 2, m->pads);
        op_int(&c, "ceil_mode", 1);
        op_int(&c, "count_include_pad", m->count_pads);
        op_in(&c, quarters(3, (int64_t[]){1, 1, MEAN_INPUTS}));
        op_run(&c);
        const mc_nd *y = op_out(&c, 0);
        const int64_t room = MEAN_INPUTS + m->pads[0] + m->pads[1] - m->kernel;
        int64_t outs = (room + m->stride - 1) / m->stride + 1;
        if ((outs - 1) * m->stride >= MEAN_INPUTS + m->pads[0]) outs--;
        cr_expect_eq(y->dim[2], outs, "case %zu: %lld", i, (long long)y->dim[2]);
        for (size_t k = 0; k < y->count; k++) {
            const double off = (double)((const float *)y->data)[k] - mean_at(m, (int64_t)k);
            cr_expect(fabs(off) < 1e-6, "case %zu: %zu off by %g", i, k, off);
        }
        op_end(&c);
    }
}

Test(pool, max_of_a_window_with_nan_is_nan)
{
    const float x[8] = {0.0f, NAN, 3.0f, 1.0f, -1.0f, 2.0f, 5.0f, 4.0f};
    op_case c = op_begin("MaxPool", 12);
    op_outputs(&c, 2);
    op_ints(&c, "kernel_shape", 1, (int64_t[]){4});
    op_ints(&c, "strides", 1, (int64_t[]){4});
    op_in(&c, op_f32(3, (int64_t[]){1, 1, 8}, x));
    op_run(&c);
    op_expect_f32(&c, 0, 3, (int64_t[]){1, 1, 2}, (float[]){NAN, 5.0f}, 0.0);
    op_expect_i64(&c, 1, 3, (int64_t[]){1, 1, 2}, (int64_t[]){1, 6});
    op_end(&c);

    c = op_begin("GlobalMaxPool", 12);
    op_in(&c, op_f32(3, (int64_t[]){1, 2, 4}, x));
    op_run(&c);
    op_expect_f32(&c, 0, 3, (int64_t[]){1, 2, 1}, (float[]){NAN, 5.0f}, 0.0);
    op_end(&c);
}

Test(pool, of_doubles_keeps_their_digits)
{
    const double x[4] = {1.0, 1.0 + 1e-12, 1.0 - 1e-12, 1.0};
    const char *const name[] = {"MaxPool", "AveragePool", "GlobalMaxPool", "GlobalAveragePool"};
    for (size_t i = 0; i < 4; i++) {
        op_case c = op_begin(name[i], 12);
        if (i < 2) op_ints(&c, "kernel_shape", 1, (int64_t[]){4});
        op_in(&c, op_nd(MC_F64, 3, (int64_t[]){1, 1, 4}, x));
        op_run(&c);
        const double y = *(const double *)op_out(&c, 0)->data;
        cr_expect(fabs(y - (i % 2 ? 1.0 : 1.0 + 1e-12)) < 1e-15, "%s: %.17g", name[i], y);
        op_end(&c);
    }
}

/* Windows of 2^30 x 2^30 over one input: only taps that read something may cost time. */
Test(pool, does_not_walk_over_pads, .timeout = 60)
{
    const int64_t most = 1 << 30;
    op_case c = op_begin("AveragePool", 11);
    op_ints(&c, "kernel_shape", 2, (int64_t[]){most, most});
    op_ints(&c, "pads", 4, (int64_t[]){most / 2, most / 2, most / 2, most / 2});
    op_in(&c, op_f32(4, (int64_t[]){1, 1, 1, 1}, (float[]){3.0f}));
    op_run(&c);
    op_expect_f32(&c, 0, 4, (int64_t[]){1, 1, 2, 2}, (float[]){3.0f, 3.0f, 3.0f, 3.0f}, 0.0);
    op_end(&c);
}

Test(pool, unpooling_puts_maxima_back)
{
    for (int larger = 0; larger < 2; larger++) {
        op_case c = op_begin("MaxUnpool", 11);
        op_ints(&c, "kernel_shape", 2, (int64_t[]){2, 2});
        op_ints(&c, "strides", 2, (int64_t[]){2, 2});
        op_in(&c, op_f32(4, (int64_t[]){1, 1, 1, 2}, (float[]){1.0f, 2.0f}));
        op_in(&c, op_i64(4, (int64_t[]){1, 1, 1, 2}, (int64_t[]){5, 3}));
        if (larger) op_const(&c, op_i64(1, (int64_t[]){4}, (int64_t[]){1, 1, 3, 5}));
        op_run(&c);
        const float narrow[8] = {[3] = 2.0f, [5] = 1.0f}, wide[15] = {[3] = 2.0f, [6] = 1.0f};
        if (larger)
            op_expect_f32(&c, 0, 4, (int64_t[]){1, 1, 3, 5}, wide, 0.0);
        else
            op_expect_f32(&c, 0, 4, (int64_t[]){1, 1, 2, 4}, narrow, 0.0);
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

Test(pool, refuses_windows_that_make_no_sense)
{
    op_case c = op_begin("MaxPool", 12);
    op_in(&c, quarters(4, (int64_t[]){1, 1, 4, 4}));
    refuses(&c, MC_E_FORMAT, "kernel_shape has 0 numbers (2 are needed)");

    c = op_begin("MaxPool", 12);
    op_ints(&c, "kernel_shape", 2, (int64_t[]){2, 0});
    op_in(&c, quarters(4, (int64_t[]){1, 1, 4, 4}));
    refuses(&c, MC_E_FORMAT, "kernel_shape[1] is 0");

    c = op_begin("AveragePool", 12);
    op_ints(&c, "kernel_shape", 2, (int64_t[]){5, 5});
    op_in(&c, quarters(4, (int64_t[]){1, 1, 4, 4}));
    refuses(&c, MC_E_FORMAT, "a window of 5 does not fit axis 2 of 4");

    c = op_begin("AveragePool", 12);
    op_ints(&c, "kernel_shape", 1, (int64_t[]){2});
    op_in(&c, quarters(2, (int64_t[]){4, 4}));
    refuses(&c, MC_E_FORMAT, "3 to 5 dimensions");
}

Test(pool, refuses_powers_and_dtypes_that_it_does_not_have)
{
    op_case c = op_begin("LpPool", 18);
    op_int(&c, "p", 0);
    op_ints(&c, "kernel_shape", 1, (int64_t[]){2});
    op_in(&c, quarters(3, (int64_t[]){1, 1, 4}));
    refuses(&c, MC_E_FORMAT, "p is 0");

    c = op_begin("MaxPool", 11);
    op_ints(&c, "kernel_shape", 1, (int64_t[]){2});
    op_in(&c, op_nd(MC_U8, 3, (int64_t[]){1, 1, 2}, (unsigned char[]){1, 2}));
    refuses(&c, MC_E_UNSUPPORTED, "U8");
}

Test(pool, refuses_places_outside)
{
    op_case c = op_begin("MaxUnpool", 11);
    op_ints(&c, "kernel_shape", 1, (int64_t[]){2});
    op_in(&c, op_f32(3, (int64_t[]){1, 1, 1}, (float[]){1.0f}));
    op_in(&c, op_i64(3, (int64_t[]){1, 1, 1}, (int64_t[]){2}));
    refuses(&c, MC_E_FORMAT, "index 0 is 2 (0 to 1 are allowed)");

    c = op_begin("MaxUnpool", 11);
    op_ints(&c, "kernel_shape", 1, (int64_t[]){2});
    op_in(&c, op_f32(3, (int64_t[]){1, 1, 1}, (float[]){1.0f}));
    op_in(&c, op_i64(3, (int64_t[]){1, 1, 1}, (int64_t[]){0}));
    op_const(&c, op_i64(1, (int64_t[]){3}, (int64_t[]){1, 1, 1}));
    refuses(&c, MC_E_FORMAT, "input 2 asks for 1 of axis 2 (at least 2)");
}
