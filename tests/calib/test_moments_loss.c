/* The error in the outputs that moments tell, against the sum written out. */
#include "calib/stats.h"

#include "tests/support/gram_case.h"

#include <criterion/criterion.h>
#include <math.h>

enum { N = 300, ROWS = 70 };

static double gram[2 * N * N], square[2 * N];
static float w[ROWS * N], v[ROWS * N];

Test(moments, tell_the_error_in_the_outputs)
{
    gram_of_rows(N, 100, 1, (gram_sums){.gram = gram + N * N, .square = square + N});
    for (size_t i = 0; i < ROWS * N; i++) {
        w[i] = (float)gram_normal(2, i);
        v[i] = w[i] + 0.1f * (float)gram_normal(3, i);
    }
    const mc_moments all = {.n = N, .groups = 2, .rows = 100, .gram = gram, .square = square};
    const mc_moments one = mc_moments_of_group(&all, 1), none = mc_moments_of_group(&all, 0);
    cr_expect(one.n == N && one.groups == 1 && one.rows == 100 && !one.cross && !one.sum);
    cr_expect_eq(one.square, square + N);
    double want = 0.0;
    for (size_t r = 0; r < ROWS; r++)
        for (size_t i = 0; i < N; i++)
            for (size_t j = 0; j < N; j++)
                want += ((double)w[r * N + i] - (double)v[r * N + i]) * one.gram[i * N + j] *
                        ((double)w[r * N + j] - (double)v[r * N + j]);
    const double loss = mc_moments_loss(&one, w, v, ROWS);
    cr_expect(fabs(loss - want) <= 1e-11 * want, "%.17g, not %.17g", loss, want);
    cr_expect_eq(mc_moments_loss(&none, w, v, ROWS), 0.0);
    cr_expect_eq(mc_moments_loss(&one, w, w, ROWS), 0.0);
    cr_expect_eq(mc_moments_loss(&one, w, v, 0), 0.0);

    double rows = 0.0; /* one by one they are the same */
    for (size_t r = 0; r < ROWS; r++) rows += mc_moments_loss(&one, w + r * N, v + r * N, 1);
    cr_expect_eq(rows, loss);
}
