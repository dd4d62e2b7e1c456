/* SelectiveScan against the recurrence in double, against its closed form, and refusals. */
#include "tests/support/op_ramp.h"
#include "tests/support/op_run.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

enum { BATCH = 2, STEPS = 9, HEADS = 4, WIDTH = 3, GROUPS = 2, STATE = 19 };

typedef struct {
    float x[BATCH * STEPS * HEADS * WIDTH], dt[BATCH * STEPS * HEADS], a[HEADS], d[HEADS];
    float b[BATCH * STEPS * GROUPS * STATE], c[BATCH * STEPS * GROUPS * STATE];
} numbers;

static void fill(numbers *n)
{
    op_ramp(n->x, sizeof n->x / sizeof *n->x, 1);
    op_ramp(n->dt, sizeof n->dt / sizeof *n->dt, 2);
    op_ramp(n->a, HEADS, 3);
    op_ramp(n->b, sizeof n->b / sizeof *n->b, 4);
    op_ramp(n->c, sizeof n->c / sizeof *n->c, 5);
    op_ramp(n->d, HEADS, 6);
    for (size_t i = 0; i < sizeof n->dt / sizeof *n->dt; i++) n->dt[i] = fabsf(n->dt[i]) / 4.0f;
    for (size_t i = 0; i < HEADS; i++) n->a[i] = -fabsf(n->a[i]);
}

static void define(const numbers *n, double *y)
{
    for (size_t i = 0; i < BATCH * HEADS * WIDTH; i++) {
        const size_t batch = i / (HEADS * WIDTH), head = i / WIDTH % HEADS, p = i % WIDTH;
        double state[STATE] = {0};
        for (size_t t = 0; t < STEPS; t++) {
            const size_t step = batch * STEPS + t, at = (step * HEADS + head) * WIDTH + p;
            const size_t from = (step * GROUPS + head / (HEADS / GROUPS)) * STATE;
            const double dt = (double)n->dt[step * HEADS + head], x = (double)n->x[at];
            y[at] = (double)n->d[head] * x;
            for (size_t k = 0; k < STATE; k++) {
                state[k] =
                    exp(dt * (double)n->a[head]) * state[k] + dt * x * (double)n->b[from + k];
                y[at] += state[k] * (double)n->c[from + k];
            }
        }
    }
}

Test(op_scan, follows_its_recurrence_with_groups_and_several_samples)
{
    static numbers n;
    static double want[BATCH * STEPS * HEADS * WIDTH];
    fill(&n);
    define(&n, want);
    op_case c = op_begin_in(MC_DOMAIN, "SelectiveScan", 1);
    op_in(&c, op_f32(4, (int64_t[]){BATCH, STEPS, HEADS, WIDTH}, n.x));
    op_in(&c, op_f32(3, (int64_t[]){BATCH, STEPS, HEADS}, n.dt));
    op_in(&c, op_f32(1, (int64_t[]){HEADS}, n.a));
    op_in(&c, op_f32(4, (int64_t[]){BATCH, STEPS, GROUPS, STATE}, n.b));
    op_in(&c, op_f32(4, (int64_t[]){BATCH, STEPS, GROUPS, STATE}, n.c));
    op_in(&c, op_f32(1, (int64_t[]){HEADS}, n.d));
    op_run(&c);
    const float *y = op_out(&c, 0)->data;
    for (size_t i = 0; i < sizeof want / sizeof *want; i++)
        cr_assert_float_eq((double)y[i], want[i], 2e-5, "%zu: %g, must be %g", i, (double)y[i],
                           want[i]);
    op_end(&c);
}

/* All ones: y_t = sum of e^(-i) for i < t + 1, a geometric series. */
Test(op_scan, a_constant_input_gives_a_geometric_series)
{
    enum { T = 40 };
    float one[T], minus = -1.0f, want[T];
    for (size_t i = 0; i < T; i++) {
        one[i] = 1.0f;
        want[i] = (float)((1.0 - exp(-(double)(i + 1))) / (1.0 - exp(-1.0)));
    }
    const int64_t dim[] = {1, T, 1, 1};
    op_case c = op_begin_in(MC_DOMAIN, "SelectiveScan", 1);
    op_in(&c, op_f32(4, dim, one));
    op_in(&c, op_f32(3, dim, one));
    op_in(&c, op_f32(1, dim, &minus));
    op_in(&c, op_f32(4, dim, one));
    op_in(&c, op_f32(4, dim, one));
    op_run(&c);
    op_expect_f32(&c, 0, 4, dim, want, 1e-6);
    op_end(&c);
}

static void refuse(int64_t heads, int64_t groups, int64_t steps, const char *text)
{
    static const float zero[64];
    op_case c = op_begin_in(MC_DOMAIN, "SelectiveScan", 1);
    op_in(&c, op_f32(4, (int64_t[]){1, 2, heads, 2}, zero));
    op_in(&c, op_f32(3, (int64_t[]){1, steps, heads}, zero));
    op_in(&c, op_f32(1, (int64_t[]){heads}, zero));
    op_in(&c, op_f32(4, (int64_t[]){1, 2, groups, 2}, zero));
    op_in(&c, op_f32(4, (int64_t[]){1, 2, groups, 2}, zero));
    cr_assert_eq(op_try(&c), MC_E_FORMAT);
    cr_assert_not_null(strstr(c.err.text, text), "%s", c.err.text);
    op_end(&c);
}

Test(op_scan, says_what_is_wrong)
{
    refuse(4, 3, 2, "4 heads share 3 groups; allowed is a divisor");
    refuse(4, 2, 3, "input 1 is [1, 3, 4] F32; allowed is [1, 2, 4] F32");
}
