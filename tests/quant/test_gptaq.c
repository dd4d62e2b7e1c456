/* GPTAQ: what it makes good besides, measured where it counts, |W y - V x|^2. (Its codes: NumPy's,
 * in test_gptq.c.) */
#include "quant_case.h"
#include "tests/support/gram_case.h"

enum { N = 128, ROWS = 24 };

static double gram[N * N], cross[N * N], gain[ROWS * N];
static float w[ROWS * N];
static mc_moments moments = {.n = N, .groups = 1, .rows = 400, .gram = gram, .cross = cross};

static void open_case(void)
{
    gram_of_rows(N, 400, 5, (gram_sums){.gram = gram, .cross = cross});
    fill_weights(w, ROWS * N, 6);
}

TestSuite(gptaq, .init = open_case);

static quant_case case_of(const char *setup)
{
    return (quant_case){.setup = setup,
                        .grid = int_grid(4, MC_OFFSET_NONE, MC_F16),
                        .w = w,
                        .rows = ROWS,
                        .cols = N,
                        .group = 32,
                        .moments = &moments};
}

/* |W y - V x|^2 of one row but for |W (y - x)|^2, which no V changes: d G d^T + 2 w C d^T. */
static double row_error(const mc_qmat *q, size_t row)
{
    double d[N], sum = 0.0;
    for (size_t i = 0; i < N; i++) d[i] = (double)w[row * N + i] - (double)mc_qmat_value(q, row, i);
    for (size_t i = 0; i < N; i++)
        for (size_t j = 0; j < N; j++)
            sum += d[i] * gram[i * N + j] * d[j] +
                   2.0 * (double)w[row * N + i] * cross[i * N + j] * d[j];
    return sum;
}

static void expect_better(const char *setup, const char *than, size_t least)
{
    quant_result a = quantize(case_of(setup)), b = quantize(case_of(than));
    size_t better = 0;
    for (size_t row = 0; row < ROWS; row++) better += row_error(&a.q, row) < row_error(&b.q, row);
    cr_expect_geq(better, least, "%s is better than %s in %zu of %d rows", setup, than, better,
                  ROWS);
    close_result(&a);
    close_result(&b);
}

Test(gptaq, makes_good_what_the_layers_before_have_changed)
{
    expect_better("gptaq:published=1,alpha=0.25,rounds=0", "gptq", ROWS / 2 + 1);
    expect_better("gptaq:rounds=0", "gptq", (size_t)(0.95 * ROWS));
    expect_better("gptaq:rounds=0", "gptaq:alpha=0.3,rounds=0", (size_t)(0.9 * ROWS));
    expect_better("gptaq:alpha=0.3,rounds=0", "gptq", (size_t)(0.9 * ROWS));
    expect_better("gptaq:rounds=0", "gptaq:published=1,rounds=0", (size_t)(0.9 * ROWS));
    expect_better("gptaq", "gptaq:rounds=0", (size_t)(0.9 * ROWS));
}

static void expect_same(const char *a, const char *b)
{
    quant_result x = quantize(case_of(a)), y = quantize(case_of(b));
    cr_expect_arr_eq(x.q.code, y.q.code, ROWS * N, "%s and %s", a, b);
    close_result(&x);
    close_result(&y);
}

Test(gptaq, is_gptq_without_a_cross_moment_or_a_share_of_it)
{
    expect_same("gptaq:alpha=0,rounds=0", "gptq");
    expect_same("gptaq:alpha=0,published=1,rounds=0", "gptq");
    moments.cross = NULL;
    expect_same("gptaq:rounds=0", "gptq");
    expect_same("gptaq:published=1,rounds=0", "gptq");
    expect_same("gptaq", "gptq:rounds=3");
    moments.cross = cross;
}

/* gain = A G asks for W + A: without damping the target is that, up to rounding. */
Test(gptaq, gives_what_the_outputs_should_give_besides)
{
    static float sum[ROWS * N];
    static double more[ROWS * N];
    moments.cross = NULL;
    for (size_t i = 0; i < ROWS * N; i++) {
        more[i] = 0.01 * gram_normal(9, i);
        sum[i] = (float)((double)w[i] + more[i]);
    }
    for (size_t r = 0; r < ROWS; r++)
        for (size_t i = 0; i < N; i++)
            for (size_t j = 0; j < N; j++) gain[r * N + j] += more[r * N + i] * gram[i * N + j];
    quant_case asked = case_of("gptaq:damp=0,rounds=0"), direct = case_of("gptq:damp=0");
    asked.gain = gain;
    direct.w = sum;
    quant_result x = quantize(asked), y = quantize(direct);
    size_t same = 0;
    for (size_t i = 0; i < ROWS * N; i++) same += x.q.code[i] == y.q.code[i];
    cr_expect_geq(same, (size_t)(0.99 * ROWS * N), "%zu of %d codes", same, ROWS * N);
    close_result(&x);
    close_result(&y);
    moments.cross = cross;
}

Test(gptaq, tells_the_error_against_its_target)
{
    mc_quant_facts facts = {0};
    quant_case c = case_of("gptaq");
    c.facts = &facts;
    quant_result r = quantize(c);
    cr_expect(facts.end > 0.0 && facts.end < 0.5 * facts.start, "%g became %g", facts.start,
              facts.end);
    close_result(&r);
}
