/* The statistics of paired comparisons against closed forms, published numbers, and the plain way
 * of computing the same. */
#include "verify/paired.h"

#include "core/rng.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static double draw(uint64_t i)
{
    return (double)mc_rng_unit((mc_rng){11, 3}, i);
}

static void expect_near(double found, double wanted, double relative)
{
    cr_expect(fabs(found - wanted) <= relative * fabs(wanted), "%.17g is not %.17g", found, wanted);
}

/* ---- McNemar: two-sided binomial tests, summed in whole numbers ---- */

Test(stats, mcnemar_is_the_exact_binomial_test)
{
    static const struct {
        uint64_t lost, gained;
        double p;
    } wanted[] = {
        {0, 3, 0.25},
        {10, 2, 0.03857421875},
        {2, 10, 0.03857421875},
        {40, 61, 0.046044066929342806},
        {3, 25, 2.744048833847046e-05},
        {1000, 1100, 0.030720707864242296},
        {60000, 60900, 0.00972316581415934},
    };
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        expect_near(mc_mcnemar_exact(wanted[i].lost, wanted[i].gained), wanted[i].p, 1e-8);
}

Test(stats, mcnemar_of_as_many_lost_as_gained_is_one)
{
    cr_expect_eq(mc_mcnemar_exact(0, 0), 1.0);
    cr_expect_eq(mc_mcnemar_exact(5, 5), 1.0);
    cr_expect_eq(mc_mcnemar_exact(100000, 100000), 1.0);
}

/* ---- Agresti and Min ---- */

Test(stats, the_interval_of_a_drop_has_half_a_sample_more_in_each_cell)
{
    static const struct {
        uint64_t lost, gained, n;
        double low, high;
    } wanted[] = {
        {8, 2, 100, -0.0038757783528776957, 0.1215228371764071},
        {150, 86, 1600, 0.021217189117972622, 0.05868293572597245},
        {0, 0, 50, -0.037691615087308734, 0.037691615087308734},
    };
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        double low, high;
        mc_paired_interval(wanted[i].lost, wanted[i].gained, wanted[i].n, &low, &high);
        expect_near(low, wanted[i].low, 1e-12);
        expect_near(high, wanted[i].high, 1e-12);
        mc_paired_interval(wanted[i].gained, wanted[i].lost, wanted[i].n, &low, &high);
        expect_near(-high, wanted[i].low, 1e-12);
    }
    double low, high;
    mc_paired_interval(0, 0, 0, &low, &high);
    cr_expect(isnan(low) && isnan(high), "nothing was seen");
}

/* How often the interval of 400 pairs holds the truth, over 2,000 draws: 95 %, give or take three
 * standard errors of such a share. */
Test(stats, the_interval_holds_the_truth_as_often_as_it_says)
{
    enum { PAIRS = 400, TIMES = 2000 };
    const double p_lost = 0.05, p_gained = 0.03;
    size_t holds = 0;
    for (uint64_t t = 0; t < TIMES; t++) {
        uint64_t lost = 0, gained = 0;
        for (uint64_t i = 0; i < PAIRS; i++) {
            const double x = draw(t * PAIRS + i);
            lost += x < p_lost;
            gained += x >= p_lost && x < p_lost + p_gained;
        }
        double low, high;
        mc_paired_interval(lost, gained, PAIRS, &low, &high);
        holds += low <= p_lost - p_gained && p_lost - p_gained <= high;
    }
    const double share = (double)holds / TIMES;
    cr_expect(fabs(share - 0.95) < 3.0 * sqrt(0.95 * 0.05 / TIMES) + 0.005, "%g", share);
}

/* ---- moments ---- */

Test(stats, a_standard_error_is_the_deviation_over_the_root_of_n)
{
    mc_moments_of m = {0};
    cr_expect(isnan(mc_mean(&m)));
    mc_moments_add(&m, 4.0);
    cr_expect_eq(mc_mean(&m), 4.0);
    cr_expect(isnan(mc_standard_error(&m)), "of one number there is none");
    static const double more[] = {7.0, 13.0, 16.0};
    for (size_t i = 0; i < 3; i++) mc_moments_add(&m, more[i]);
    cr_expect_eq(mc_mean(&m), 10.0);
    /* deviations -6 -3 3 6: variance 90 / 3 = 30, over 4, root */
    expect_near(mc_standard_error(&m), sqrt(7.5), 1e-14);
}

Test(stats, equal_numbers_have_no_error)
{
    mc_moments_of m = {0};
    for (int i = 0; i < 1000; i++) mc_moments_add(&m, 0.1);
    cr_expect_lt(mc_standard_error(&m), 1e-9);
    cr_expect_geq(mc_standard_error(&m), 0.0);
}

Test(stats, nan_is_larger_than_all)
{
    cr_expect_eq(mc_larger(1.0, 2.0), 2.0);
    cr_expect_eq(mc_larger(2.0, 1.0), 2.0);
    cr_expect(isnan(mc_larger((double)NAN, 1.0)));
    cr_expect(isnan(mc_larger(1.0, (double)NAN)));
}

/* ---- quantiles ---- */

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static mc_quantiles quantiles;

Test(stats, quantiles_are_within_a_bin)
{
    enum { N = 20001 };
    static double x[N];
    for (size_t i = 0; i < N; i++) {
        x[i] = exp(12.0 * (draw(i) - 0.7)); /* six orders of magnitude */
        mc_quantiles_add(&quantiles, x[i]);
    }
    qsort(x, N, sizeof *x, by_size);
    static const double shares[] = {0.001, 0.1, 0.25, 0.5, 0.9, 0.99, 0.999};
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) {
        const size_t rank = (size_t)ceil(shares[i] * N) - 1;
        expect_near(mc_quantile(&quantiles, shares[i]), x[rank], 0.011);
    }
}

Test(stats, a_quantile_of_one_number_is_within_a_bin_of_it)
{
    for (int i = -300; i < 120; i++) {
        const double x = exp2(i / 7.5);
        quantiles = (mc_quantiles){0};
        mc_quantiles_add(&quantiles, x);
        if (x >= 0x1p-40 && x < 0x1p16)
            expect_near(mc_quantile(&quantiles, 0.5), x, 0.011);
        else
            cr_expect_eq(mc_quantile(&quantiles, 0.99), x < 1.0 ? 0.0 : 0x1p16);
    }
}

Test(stats, quantiles_of_nothing_zero_and_what_is_no_number)
{
    quantiles = (mc_quantiles){0};
    cr_expect(isnan(mc_quantile(&quantiles, 0.5)));
    mc_quantiles_add(&quantiles, 0.0);
    mc_quantiles_add(&quantiles, 0.0);
    mc_quantiles_add(&quantiles, 1.0);
    cr_expect_eq(mc_quantile(&quantiles, 0.5), 0.0);
    mc_quantiles_add(&quantiles, (double)INFINITY);
    cr_expect_eq(mc_quantile(&quantiles, 1.0), 0x1p16);
    mc_quantiles_add(&quantiles, (double)NAN);
    cr_expect(isnan(mc_quantile(&quantiles, 0.5)), "one of them could be anything");
}

/* ---- ROC ---- */

static uint32_t room[2][MC_ROC_BINS];

static mc_roc empty_roc(void)
{
    memset(room, 0, sizeof room);
    return (mc_roc){room[0], room[1]};
}

/* Pairs in which the positive one has the larger score; equal ones count half. */
static double area_of(const float *score, const int *positive, size_t n)
{
    double pairs = 0.0, all = 0.0;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < n; k++) {
            if (!positive[i] || positive[k]) continue;
            pairs += score[i] > score[k] ? 1.0 : score[i] == score[k] ? 0.5 : 0.0;
            all += 1.0;
        }
    return pairs / all;
}

Test(stats, the_roc_area_is_the_share_of_ordered_pairs)
{
    enum { N = 1500 };
    static float score[N];
    static int positive[N];
    mc_roc roc = empty_roc();
    for (size_t i = 0; i < N; i++) {
        positive[i] = draw(2 * i) < 0.3;
        score[i] = (float)(4.0 * draw(2 * i + 1) - 2.0 + 0.8 * positive[i]);
        mc_roc_add(&roc, score[i], positive[i]);
    }
    /* Scores in one bin differ by 2^-9 of their size; few of the pairs share one. */
    cr_expect_float_eq(mc_roc_area(&roc), area_of(score, positive, N), 2e-4);
}

Test(stats, the_roc_area_is_exact_where_scores_are_apart)
{
    static const float score[] = {-8.0f, -2.0f, -0.5f, -0.0f, 0.25f, 1.0f, 1.5f, 1e30f};
    static const int positive[] = {0, 1, 0, 0, 1, 0, 1, 1};
    mc_roc roc = empty_roc();
    for (size_t i = 0; i < 8; i++) mc_roc_add(&roc, score[i], positive[i]);
    cr_expect_eq(mc_roc_area(&roc), area_of(score, positive, 8));
    cr_expect_eq(mc_roc_area(&roc), 12.0 / 16.0);
}

Test(stats, ties_count_half_and_one_class_alone_has_no_area)
{
    mc_roc roc = empty_roc();
    for (int i = 0; i < 10; i++) mc_roc_add(&roc, 0.5f, i < 4);
    cr_expect_eq(mc_roc_area(&roc), 0.5);
    roc = empty_roc();
    mc_roc_add(&roc, 0.5f, 1);
    cr_expect(isnan(mc_roc_area(&roc)));
}
