/* Gates: what is a gate, what is refused and how, and that NaN passes none. */
#include "verify/judge.h"
#include "verify/report.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static unsigned char memory[1 << 16];
static mc_err err;

static mc_status parse(const char *text, mc_gate *gate)
{
    mc_arena arena = {memory, memory + sizeof memory};
    err = (mc_err){0};
    return mc_gate_parse(text, &arena, gate, &err);
}

static void expect_gate(const char *text, const char *metric, const char *op, double threshold)
{
    mc_gate gate;
    cr_assert_eq(parse(text, &gate), MC_OK, "%s: %s", text, err.text);
    cr_expect_str_eq(gate.metric, metric);
    cr_expect_str_eq(gate.op, op);
    cr_expect_eq(gate.threshold, threshold, "%s: %g", text, gate.threshold);
}

static void expect_refused(const char *text, const char *message)
{
    mc_gate gate;
    cr_assert_eq(parse(text, &gate), MC_E_USAGE, "%s", text);
    cr_expect_str_eq(err.text, message);
}

Test(gate, reads_with_and_without_spaces)
{
    expect_gate("min_tensor_sqnr_db>=20", "min_tensor_sqnr_db", ">=", 20);
    expect_gate("  min_tensor_sqnr_db \t >=  20 ", "min_tensor_sqnr_db", ">=", 20);
    expect_gate("max_abs_error<0.125", "max_abs_error", "<", 0.125);
    expect_gate("zeros > 1e-3", "zeros", ">", 1e-3);
    expect_gate("clipped == 0", "clipped", "==", 0);
    expect_gate("mean_tensor_sqnr_db>-3.5", "mean_tensor_sqnr_db", ">", -3.5);
}

Test(gate, sizes_take_binary_units)
{
    expect_gate("container_bytes <= 256 KiB", "container_bytes", "<=", 262144);
    expect_gate("container_bytes<=1.5MiB", "container_bytes", "<=", 1572864);
    expect_gate("flash_bytes<2GiB ", "flash_bytes", "<", 2147483648.0);
    expect_gate("source_bytes>=100B", "source_bytes", ">=", 100);
    expect_gate("container_bytes<=262144", "container_bytes", "<=", 262144);
}

Test(gate, every_metric_of_the_table_can_be_gated)
{
    mc_report report = {0};
    for (size_t i = 0; mc_metric_at(i); i++) {
        char text[128];
        snprintf(text, sizeof text, "%s<=1", mc_report_metric_name(i));
        expect_gate(text, mc_report_metric_name(i), "<=", 1);
        double value;
        cr_expect(mc_report_metric(&report, mc_report_metric_name(i), &value));
    }
    double value = 5;
    cr_expect_not(mc_report_metric(&report, "nothing", &value));
    cr_expect_eq(value, 5.0);
}

Test(gate, metrics_read_the_field_of_their_name)
{
    const mc_report r = {.source_bytes = 1,
                         .container_bytes = 2,
                         .bits_per_weight = 3,
                         .parameters = 4,
                         .quantized_parameters = 5,
                         .min_tensor_sqnr_db = 6,
                         .mean_tensor_sqnr_db = 7,
                         .max_abs_error = 8,
                         .max_relative_error = 9,
                         .clipped = 10,
                         .zeros = 11,
                         .tensors = 12,
                         .quantized = 13};
    static const struct {
        const char *name;
        double value;
    } wanted[] = {{"source_bytes", 1},
                  {"container_bytes", 2},
                  {"flash_bytes", 2},
                  {"bits_per_weight", 3},
                  {"parameters", 4},
                  {"quantized_parameters", 5},
                  {"min_tensor_sqnr_db", 6},
                  {"mean_tensor_sqnr_db", 7},
                  {"max_abs_error", 8},
                  {"max_relative_error", 9},
                  {"clipped", 10},
                  {"zeros", 11},
                  {"tensors", 12},
                  {"quantized_tensors", 13},
                  {"macs", (double)NAN},
                  {"ram_bytes", (double)NAN},
                  {"min_site_sqnr_db", (double)NAN}};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        double value = -1;
        cr_expect(mc_report_metric(&r, wanted[i].name, &value));
        cr_expect(value == wanted[i].value || (isnan(value) && isnan(wanted[i].value)), "%s is %g",
                  wanted[i].name, value);
    }
}

Test(gate, an_unknown_metric_is_answered_with_the_nearest_and_all)
{
    expect_refused(
        "min_tensor_snqr_db>=20",
        "there is no metric \"min_tensor_snqr_db\"; did you mean \"min_tensor_sqnr_db\"? there "
        "are: "
        "source_bytes, container_bytes, flash_bytes, bits_per_weight, parameters, "
        "quantized_parameters, min_tensor_sqnr_db, mean_tensor_sqnr_db, max_abs_error, "
        "max_relative_error, clipped, zeros, tensors, quantized_tensors; with --data also: macs, "
        "ram_bytes, "
        "min_site_sqnr_db, accuracy, accuracy_reference, accuracy_drop, top5, top5_reference, "
        "top5_drop, auc, auc_reference, auc_drop, mcnemar_p, top1_agreement, calibration_error, "
        "perplexity, perplexity_reference, perplexity_ratio, kl_mean, kl_median, kl_p99, kl_max, "
        "delta_p_rms, output_sqnr_db, output_max_abs_error, worst_accuracy_drop, "
        "worst_perplexity_ratio, worst_kl_mean, score");
    mc_gate gate;
    cr_expect_eq(parse("Zeros<1", &gate), MC_E_USAGE, "case matters");
    cr_expect(strstr(err.text, "did you mean \"zeros\"?"), "%s", err.text);
    cr_expect_eq(parse("perplexity_of_the_whole_model_over_all_of_the_test_data<1", &gate),
                 MC_E_USAGE);
    cr_expect_not(strstr(err.text, "did you mean"), "%s", err.text);
}

Test(gate, what_is_no_gate_is_refused)
{
    static const char *const wrong[] = {"",        "zeros",   ">=20",   "zeros!=1",
                                        "zeros=1", "zeros 1", "1<zeros"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        mc_gate gate;
        cr_expect_eq(parse(wrong[i], &gate), MC_E_USAGE, "'%s'", wrong[i]);
    }
    expect_refused("zeros=1", "'zeros=1' is no gate: expected METRIC OP VALUE with OP one of "
                              "<= < >= > ==, as in 'min_tensor_sqnr_db >= 20'");
}

Test(gate, what_is_no_value_is_refused)
{
    static const char *const wrong[] = {"zeros<",
                                        "zeros<abc",
                                        "zeros<1x",
                                        "zeros<1 2",
                                        "zeros<nan",
                                        "zeros<inf",
                                        "zeros<1e999",
                                        "zeros<0x10",
                                        "zeros<1,5",
                                        "zeros<1KiB",
                                        "zeros<1%",
                                        "zeros<--1",
                                        "zeros<=>1",
                                        "container_bytes<1KB",
                                        "container_bytes<KiB",
                                        "container_bytes<1 KiB MiB"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        mc_gate gate;
        cr_expect_eq(parse(wrong[i], &gate), MC_E_USAGE, "'%s'", wrong[i]);
    }
    expect_refused("zeros<1KiB", "'zeros<1KiB': '1KiB' is no number");
    expect_refused("container_bytes < 1KB", "'container_bytes < 1KB': '1KB' is no size: expected a "
                                            "number, or one with KiB, MiB or GiB");
}

static bool judge(double value, const char *op, double threshold)
{
    mc_report report = {.zeros = value};
    const mc_gate gate = {"zeros", op, threshold};
    mc_arena arena = {memory, memory + sizeof memory};
    cr_assert_eq(mc_gates_apply(&gate, 1, &arena, &report, &err), MC_OK);
    cr_assert_eq(report.gates, 1u);
    cr_expect_eq(report.pass, report.gate[0].pass);
    return report.pass;
}

Test(gate, comparisons_are_what_they_say)
{
    static const struct {
        const char *op;
        bool below, same, above;
    } wanted[] = {{"<=", true, true, false},
                  {"<", true, false, false},
                  {">=", false, true, true},
                  {">", false, false, true},
                  {"==", false, true, false}};
    for (size_t i = 0; i < 5; i++) {
        cr_expect_eq(judge(1, wanted[i].op, 2), wanted[i].below, "1 %s 2", wanted[i].op);
        cr_expect_eq(judge(2, wanted[i].op, 2), wanted[i].same, "2 %s 2", wanted[i].op);
        cr_expect_eq(judge(3, wanted[i].op, 2), wanted[i].above, "3 %s 2", wanted[i].op);
        cr_expect_not(judge((double)NAN, wanted[i].op, 2), "nan %s 2", wanted[i].op);
    }
    cr_expect(judge((double)INFINITY, ">=", 20));
}

Test(gate, what_was_not_measured_meets_no_gate)
{
    static const char *const ops[] = {"<", "<=", ">", ">=", "=="};
    mc_report report = {.score = (double)NAN};
    size_t needy = 0;
    for (size_t i = 0; mc_metric_at(i); i++) {
        if (!mc_metric_at(i)->needs_data) continue;
        needy++;
        for (size_t k = 0; k < 5; k++) {
            const mc_gate gate = {mc_metric_at(i)->name, ops[k], 0};
            mc_arena arena = {memory, memory + sizeof memory};
            cr_assert_eq(mc_gates_apply(&gate, 1, &arena, &report, &err), MC_OK);
            cr_expect_not(report.pass, "%s %s 0", gate.metric, ops[k]);
            cr_expect(report.gate[0].needs_data);
            cr_expect_not(report.gate[0].underpowered);
        }
    }
    cr_expect_gt(needy, 25u);
}

/* ---- gates that are finer than what was measured ---- */

/* 1,000 answers, of which 12 were lost and 2 gained; 100 tokens whose divergence is 0.01 with a
 * standard error of 0.001. */
static mc_outcome outcome;
static mc_data_report data = {.outcome = &outcome, .outcomes = 1};

static mc_report measured(void)
{
    mc_outcome_clear(&outcome);
    outcome.task = "language";
    outcome.accuracy_drop = 0.010;
    outcome.accuracy_drop_low = 0.002;
    outcome.accuracy_drop_high = 0.018;
    outcome.kl_mean = 0.01;
    outcome.kl_mean_se = 0.001;
    outcome.perplexity_ratio = 1.02;
    outcome.perplexity_ratio_se = 0.002;
    outcome.top1_agreement = 0.95;
    outcome.top1_agreement_se = 0.01;
    return (mc_report){.data = &data, .score = (double)NAN};
}

static mc_gate_result judged(mc_report *report, const char *text)
{
    mc_gate gate;
    mc_arena arena = {memory, memory + sizeof memory};
    cr_assert_eq(mc_gate_parse(text, &arena, &gate, &err), MC_OK, "%s", err.text);
    cr_assert_eq(mc_gates_apply(&gate, 1, &arena, report, &err), MC_OK);
    cr_expect_eq(report->pass, report->gate[0].pass);
    return report->gate[0];
}

Test(gate, one_nearer_to_no_loss_than_the_interval_is_underpowered)
{
    static const struct {
        const char *text;
        double half;
        bool underpowered;
    } wanted[] = {
        {"accuracy_drop <= 0.0079", 0.008, true},
        {"accuracy_drop <= 0.0081", 0.008, false},
        {"accuracy_drop >= -0.0079", 0.008, true},
        {"kl_mean <= 0.0019", 1.959963984540054 * 0.001, true},
        {"kl_mean <= 0.0020", 1.959963984540054 * 0.001, false},
        {"perplexity_ratio <= 1.0039", 1.959963984540054 * 0.002, true},
        {"perplexity_ratio <= 1.0040", 1.959963984540054 * 0.002, false},
        {"top1_agreement >= 0.981", 1.959963984540054 * 0.01, true},
        {"top1_agreement >= 0.98", 1.959963984540054 * 0.01, false},
    };
    mc_report report = measured();
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        const mc_gate_result g = judged(&report, wanted[i].text);
        cr_expect_eq(g.underpowered, wanted[i].underpowered, "%s", wanted[i].text);
        cr_expect_float_eq(g.interval, wanted[i].half, 1e-15, "%s: %g", wanted[i].text, g.interval);
    }
    const mc_gate_result g = judged(&report, "kl_max <= 1");
    cr_expect(isnan(g.interval) && !g.underpowered, "it has no interval");
}

Test(gate, an_underpowered_one_fails_under_strict)
{
    mc_report report = measured();
    outcome.accuracy_drop = 0.0;
    cr_expect(judged(&report, "accuracy_drop <= 0.001").pass);
    report.strict = true;
    const mc_gate_result g = judged(&report, "accuracy_drop <= 0.001");
    cr_expect(g.underpowered);
    cr_expect_not(g.pass);
    cr_expect(judged(&report, "accuracy_drop <= 0.01").pass, "coarse enough");
}

Test(gate, one_sample_alone_cannot_carry_a_gate)
{
    mc_report report = measured();
    outcome.kl_mean_se = (double)NAN;
    const mc_gate_result g = judged(&report, "kl_mean <= 1");
    cr_expect(g.pass);
    cr_expect(g.underpowered);
}

Test(gate, the_worst_is_of_the_data_sets_that_have_such_a_figure)
{
    mc_outcome sets[3];
    for (size_t i = 0; i < 3; i++) mc_outcome_clear(&sets[i]);
    sets[0].task = sets[1].task = "language";
    sets[2].task = "classification";
    sets[0].perplexity_ratio = 1.01;
    sets[0].perplexity_ratio_se = 0.001;
    sets[1].perplexity_ratio = 1.03;
    sets[1].perplexity_ratio_se = 0.02;
    sets[2].accuracy_drop = 0.004;
    mc_data_report three = {.outcome = sets, .outcomes = 3};
    mc_report report = {.data = &three, .score = (double)NAN};
    mc_gate_result g = judged(&report, "worst_perplexity_ratio <= 1.035");
    cr_expect_eq(g.value, 1.03);
    cr_expect(g.pass);
    cr_expect(g.underpowered, "of that data set");
    cr_expect_float_eq(g.interval, 1.959963984540054 * 0.02, 1e-15);
    cr_expect_eq(judged(&report, "worst_accuracy_drop <= 0.01").value, 0.004);
    cr_expect_eq(judged(&report, "perplexity_ratio <= 1.02").value, 1.01, "the first one's");
    sets[0].perplexity_ratio = (double)NAN;
    g = judged(&report, "worst_perplexity_ratio <= 100");
    cr_expect(isnan(g.value) && !g.pass, "one went wrong");
    cr_expect_not(g.needs_data);
    cr_expect(isnan(judged(&report, "worst_kl_mean <= 1").value));
}

Test(gate, one_that_fails_fails_the_report)
{
    mc_report report = {.zeros = 0.5, .clipped = 0.5};
    const mc_gate gate[] = {{"zeros", "<", 1}, {"clipped", "<", 0.1}, {"zeros", ">", 0}};
    mc_arena arena = {memory, memory + sizeof memory};
    cr_assert_eq(mc_gates_apply(gate, 3, &arena, &report, &err), MC_OK);
    cr_expect_eq(report.gates, 3u);
    cr_expect_not(report.pass);
    cr_expect(report.gate[0].pass);
    cr_expect_not(report.gate[1].pass);
    cr_expect(report.gate[2].pass);
    cr_expect_eq(report.gate[1].value, 0.5);
    cr_expect_eq(report.gate[1].threshold, 0.1);
}

Test(gate, no_gate_passes)
{
    mc_report report = {.pass = false};
    mc_arena arena = {memory, memory + sizeof memory};
    cr_assert_eq(mc_gates_apply(NULL, 0, &arena, &report, &err), MC_OK);
    cr_expect(report.pass);
    cr_expect_eq(report.gates, 0u);
}
