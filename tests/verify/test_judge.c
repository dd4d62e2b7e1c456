/* What judges share: right and wrong answers counted, confidence in bins, outputs as numbers. */
#include "verify/judge.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

Test(judge, figures_that_do_not_apply_are_nan)
{
    mc_outcome o;
    mc_outcome_clear(&o);
    cr_expect(isnan(o.accuracy) && isnan(o.accuracy_drop_low) && isnan(o.mcnemar_p));
    cr_expect(isnan(o.perplexity) && isnan(o.kl_p99) && isnan(o.delta_p_rms));
    cr_expect(isnan(o.top5_drop) && isnan(o.auc_drop) && isnan(o.top1_agreement_se));
    cr_expect(isnan(o.output_sqnr_db) && isnan(o.confidence.expected_error));
    cr_expect_not(mc_outcome_is_language(&o));
    cr_expect_not(mc_outcome_has_answers(&o));
}

Test(judge, answers_are_counted_in_four_cells)
{
    static const struct {
        bool original, container, agree;
        int times;
    } cells[] = {{true, true, true, 70},
                 {true, false, false, 8},
                 {false, true, false, 2},
                 {false, false, true, 15},
                 {false, false, false, 5}};
    mc_right_counts counts = {0};
    for (size_t c = 0; c < sizeof cells / sizeof *cells; c++)
        for (int i = 0; i < cells[c].times; i++)
            mc_right_add(&counts, cells[c].original, cells[c].container, cells[c].agree);
    mc_outcome o;
    mc_outcome_clear(&o);
    mc_right_finish(&counts, &o);
    cr_expect_eq(o.accuracy_reference, 0.78);
    cr_expect_eq(o.accuracy, 0.72);
    cr_expect_eq(o.accuracy_drop, 0.06);
    cr_expect_eq(o.lost, 8u);
    cr_expect_eq(o.gained, 2u);
    cr_expect_float_eq(o.mcnemar_p, 0.109375, 1e-12, "binomial, 2 of 10");
    cr_expect_float_eq(o.accuracy_drop_low, -0.0038757783528776957, 1e-15);
    cr_expect_float_eq(o.accuracy_drop_high, 0.1215228371764071, 1e-15);
    cr_expect_eq(o.top1_agreement, 0.85);
    cr_expect_float_eq(o.top1_agreement_se, sqrt(0.85 * 0.15 / 99.0), 1e-15);
}

Test(judge, no_sample_has_no_accuracy)
{
    const mc_right_counts none = {0};
    mc_outcome o;
    mc_right_finish(&none, &o);
    cr_expect(isnan(o.accuracy) && isnan(o.accuracy_drop) && isnan(o.top1_agreement));
}

Test(judge, the_calibration_error_is_weighed_by_bins)
{
    mc_confidence c = {0};
    for (int i = 0; i < 6; i++) mc_confidence_add(&c, 0.55, i < 3); /* half right, sure by 0.55 */
    for (int i = 0; i < 4; i++) mc_confidence_add(&c, 1.0, i < 3);
    mc_confidence_add(&c, (double)NAN, true);
    mc_confidence_finish(&c);
    cr_expect_eq(c.n[5], 6u);
    cr_expect_eq(c.right[5], 3u);
    cr_expect_eq(c.n[9], 4u, "1 is in the last bin");
    cr_expect_float_eq(c.confidence[5], 0.55, 1e-15);
    cr_expect_float_eq(c.expected_error, 0.6 * 0.05 + 0.4 * 0.25, 1e-15);
    mc_confidence none = {0};
    mc_confidence_finish(&none);
    cr_expect(isnan(none.expected_error));
}

Test(judge, log_sum_exp_does_not_overflow_and_finds_the_first_largest)
{
    static const float x[] = {999.0f, 1000.0f, 1000.0f, -1e30f};
    float share[4];
    size_t largest;
    cr_expect_float_eq(mc_log_sum_exp(x, 4, share, &largest), 1000.0 + log(2.0 + exp(-1.0)), 1e-4);
    cr_expect_eq(largest, 1u);
    cr_expect_eq(share[2], 1.0f);
    cr_expect_eq(share[3], 0.0f);
}

Test(judge, outputs_are_compared_as_numbers)
{
    /* y = 3 4, z = 3 5 */
    const mc_output_sums sums = {.yy = 25.0, .zz = 34.0, .yz = 29.0, .ee = 1.0, .max_abs = 1.0};
    mc_outcome o;
    mc_outcome_clear(&o);
    mc_output_finish(&sums, &o);
    cr_expect_float_eq(o.output_sqnr_db, 10.0 * log10(25.0), 1e-12);
    cr_expect_eq(o.output_max_abs_error, 1.0);
    cr_expect_float_eq(o.output_cosine, 29.0 / sqrt(25.0 * 34.0), 1e-15);
    const mc_output_sums same = {.yy = 25.0, .zz = 25.0, .yz = 25.0};
    mc_output_finish(&same, &o);
    cr_expect_eq(o.output_sqnr_db, (double)INFINITY);
    const mc_output_sums nothing = {0};
    mc_output_finish(&nothing, &o);
    cr_expect_eq(o.output_cosine, 1.0);
}

Test(judge, a_largest_error_that_is_no_number_stays)
{
    mc_output_sums all = {.max_abs = 1.0};
    const mc_output_sums broken = {.max_abs = (double)NAN}, whole = {.max_abs = 2.0};
    mc_output_merge(&all, &broken);
    mc_output_merge(&all, &whole);
    cr_expect(isnan(all.max_abs));
}
