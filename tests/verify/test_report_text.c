/* The report for a build log: the first line, what stands where, and that columns line up. */
#include "tests/support/sample_report.h"
#include "verify/text_out.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static sample_report s;
static char *text;

static void write_text(bool color)
{
    text = mc_report_text(&s.report, color);
    cr_assert_not_null(text);
}

static void done(void)
{
    free(text);
    sample_report_close(&s);
}

static void expect_has(const char *part)
{
    cr_expect(strstr(text, part), "no '%s' in:\n%s", part, text);
}

static void expect_not(const char *part)
{
    cr_expect_not(strstr(text, part), "'%s' in:\n%s", part, text);
}

Test(report_text, begins_with_the_headline_and_the_verdict)
{
    sample_report_open(&s, 4, true);
    write_text(false);
    static const char wanted[] = "activations: int8 dynamic recorded, not measured\n"
                                 "verdict: FAIL (2 of 3 gates met)\n";
    cr_expect_eq(strncmp(text, wanted, sizeof wanted - 1), 0, "%s", text);
    done();
}

Test(report_text, says_what_a_build_log_needs)
{
    sample_report_open(&s, 0, false);
    mc_report *r = &s.report;
    r->source_bytes = 48000000;
    r->container_bytes = 12000000;
    r->bits_per_weight = 4.5;
    r->clipped = 0.00125;
    r->zeros = 0;
    r->max_abs_error = 0.03125;
    r->max_relative_error = 0.1234;
    r->min_tensor_sqnr_db = 18.204;
    r->mean_tensor_sqnr_db = 20.5;
    write_text(false);
    expect_has("verdict: pass (no gates)\n");
    expect_has("source        45.8 MiB  (48000000 bytes)\n");
    expect_has("container     11.4 MiB  (12000000 bytes, 25.0 % of the source, 4.00x smaller)\n");
    expect_has("weights       8,192,512 in 3 tensors: 2 quantized, 1 carried unchanged\n");
    expect_has("bits/weight   4.500  with scales, offsets and tables\n");
    expect_has("SQNR          18.20 dB worst (lm_head.weight), 20.50 dB mean\n");
    expect_has("error         0.0312 largest absolute, 12.3 % largest relative of a tensor\n");
    expect_has("clipped       0.125 % of the quantized weights; zeros 0 %\n");
    expect_has("container     cccc");
    expect_not("gates\n");
    done();
}

Test(report_text, shows_the_ten_worst_of_many_and_counts_the_rest)
{
    sample_report_open(&s, 4, false);
    write_text(false);
    expect_has("\nworst tensors\n");
    expect_has("  and 20 more from ");
    for (size_t i = 0; i < s.report.quantized; i++) {
        const char *name = s.report.tensor[s.report.worst_first[i]].name;
        const char *found = strstr(text, "tensors\n  tensor ");
        cr_assert_not_null(found);
        cr_expect_eq(strstr(found, name) != NULL, i < 10, "%s", name);
    }
    done();
}

Test(report_text, shows_all_of_a_few)
{
    sample_report_open(&s, 2, false);
    write_text(false);
    expect_has("\nquantized tensors, worst first\n");
    expect_not(" more from ");
    for (size_t i = 0; i < s.report.quantized; i++)
        expect_has(s.report.tensor[s.report.worst_first[i]].name);
    done();
}

/* Characters up to the end of the line. */
static size_t width_of(const char *line)
{
    size_t width = 0;
    for (; *line && *line != '\n'; line++) width += ((unsigned char)*line & 0xc0) != 0x80;
    return width;
}

/* The lines of the table that begins behind `title`, up to the first line that is not part of
 * it. */
static size_t count_aligned(const char *title, size_t *lines)
{
    const char *at = strstr(text, title);
    cr_assert_not_null(at);
    at += strlen(title);
    const size_t width = width_of(at);
    size_t same = 0;
    *lines = 0;
    while (strncmp(at, "  ", 2) == 0 && strncmp(at, "  and", 5) != 0) {
        same += width_of(at) == width;
        (*lines)++;
        at += strcspn(at, "\n") + 1;
    }
    return same;
}

Test(report_text, columns_line_up)
{
    sample_report_open(&s, 4, false);
    write_text(false);
    size_t lines;
    cr_expect_eq(count_aligned("worst tensors\n", &lines), 11u, "%s", text);
    cr_expect_eq(lines, 11u, "a heading and ten rows");
    done();
}

Test(report_text, names_beyond_ascii_keep_the_columns)
{
    sample_report_open(&s, 0, false);
    sample_report_rename(&s, 0, "größe");
    sample_report_rename(&s, 1, "grosse");
    write_text(false);
    const char *a = strstr(text, "\n  größe "), *b = strstr(text, "\n  grosse ");
    cr_assert(a && b);
    cr_expect_eq(strcspn(a + 1, "\n"), strcspn(b + 1, "\n") + 2, "two characters of two bytes:\n%s",
                 text);
    done();
}

Test(report_text, gates_show_value_and_threshold)
{
    sample_report_open(&s, 4, true);
    s.report.gate[0].value = 17.9996;
    s.report.gate[0].pass = false;
    write_text(false);
    expect_has("gates\n  FAIL min_tensor_sqnr_db  17.9996 dB  >=       18 dB\n");
    expect_has("  pass container_bytes     14,764,243  <=  67,108,864\n");
    expect_has("  FAIL clipped             ");
    done();
}

Test(report_text, exact_and_nan_are_words)
{
    sample_report_open(&s, 0, true);
    s.report.tensor[0].sqnr_db = (double)INFINITY;
    s.report.gate[0].value = (double)INFINITY;
    s.report.gate[2].value = (double)NAN;
    write_text(false);
    expect_has(" exact ");
    expect_has("not measured  ");
    done();
}

Test(report_text, a_model_without_quantized_tensors_has_no_figures)
{
    sample_report_open(&s, 0, false);
    s.report.quantized = 0;
    s.report.bits_per_weight = (double)NAN;
    write_text(false);
    expect_has("0 quantized, 3 carried unchanged");
    expect_not("SQNR");
    expect_not("nan");
    done();
}

Test(report_text, control_bytes_of_a_name_do_not_reach_the_terminal)
{
    sample_report_open(&s, 0, false);
    sample_report_rename(&s, 0, "a\033[2J\tb\nc\x7f");
    s.report.worst_tensor = s.report.tensor[0].name;
    write_text(false);
    expect_not("\033");
    expect_not("\t");
    expect_has("a\\u001b[2J\\tb\\nc\\u007f");
    done();
}

Test(report_text, a_name_does_not_turn_the_direction_of_writing)
{
    sample_report_open(&s, 0, false);
    sample_report_rename(&s, 0,
                         "a\xe2\x80\xae"
                         "b");
    write_text(false);
    expect_not("\xe2\x80\xae");
    expect_has("a\\u202eb");
    done();
}

Test(report_text, a_long_name_is_cut)
{
    char name[1001];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    sample_report_open(&s, 0, false);
    sample_report_rename(&s, 0, name);
    write_text(false);
    expect_has("nnn...  ");
    for (const char *at = text; *at; at += strcspn(at, "\n") + 1)
        cr_assert_lt(strcspn(at, "\n"), 300, "%s", at);
    done();
}

Test(report_text, colour_only_when_asked)
{
    sample_report_open(&s, 4, true);
    write_text(false);
    expect_not("\033");
    free(text);
    write_text(true);
    expect_has("\033[1;31mFAIL\033[0m");
    done();
}

/* ---- when the models were run ---- */

Test(report_text, a_report_without_data_has_no_lines_about_it)
{
    sample_report_open(&s, 4, true);
    write_text(false);
    char *before = text;
    const mc_data_report nothing = {.simulated = "float", .activation_bits = 16};
    s.report.data = &nothing;
    write_text(false);
    cr_expect_str_eq(text, before, "nor one without data sets and sites");
    free(before);
    expect_not("accuracy");
    expect_not("site");
    done();
}

Test(report_text, says_what_a_classifier_lost)
{
    sample_report_open(&s, 0, false);
    sample_report_classes(&s);
    s.report.score = 0.8125;
    write_text(false);
    expect_has("activations: int8 dynamic measured\n");
    expect_has("  data          eval.npz: classification, 2,000 samples, activations of 8 bits "
               "(fake-quant)\n");
    expect_has("  accuracy      0.9810 -> 0.9795, drop 0.15 % (95 % interval -0.24 … 0.54 %), "
               "McNemar p 0.607, n 2,000\n");
    expect_has("  answers       9 right before and wrong now, 6 the reverse\n");
    expect_has("  top 5         0.9990 -> 0.9985, drop 0.05 %\n");
    expect_has(" expected calibration error\n");
    expect_has("  same choice   99.15 ± 0.21 %\n");
    expect_has("  outputs       33.46 dB SQNR, 0.212 largest error, 0.99977 cosine\n");
    expect_has("  work          786,560 multiplications a sample, 4.25 MiB for the values of a "
               "sample in f32\n");
    expect_has("  score         0.8125\n");
    expect_not("ROC");
    expect_not("KL");
    expect_not("data sets");
    expect_not("continuations");
    expect_not(" nan");
    done();
}

Test(report_text, says_what_happened_to_language)
{
    sample_report_open(&s, 0, false);
    sample_report_language(&s);
    write_text(false);
    expect_has(
        "  data          wiki: language, 12 windows of 128 tokens, 79 left over, activations "
        "of 8 bits (fake-quant); the first of 2 data sets\n");
    expect_has("  perplexity    23.06 -> 23.11, ratio 1.0020 ± 0.0027 (standard error), 1,536 "
               "tokens\n");
    expect_has("  KL            0.00573 ± 0.00018 mean, 0.00386 median, 0.0348 p99, 0.0683 max, "
               "nats\n");
    expect_has("  same choice   94.14 ± 0.60 %; the right token's probability moved by 1.58 % "
               "(rms)\n");
    expect_has("4,456,448 multiplications a token");
    expect_has("\ngreedy continuations\n"
               "  prompt        Once upon a time\n"
               "  original       there was a king\\nand a queen\n"
               "  container      there was a kingdom\n"
               "\n"
               "  prompt        The end\n"
               "  original       of it\n"
               "  container     the same\n");
    expect_not("accuracy 0");
    expect_not(" nan");
    done();
}

Test(report_text, several_data_sets_are_a_table_with_the_worst_marked)
{
    sample_report_open(&s, 0, false);
    sample_report_language(&s);
    write_text(false);
    size_t lines;
    cr_expect_eq(count_aligned("data sets, accuracy or perplexity\n", &lines), 3u, "%s", text);
    cr_expect_eq(lines, 3u);
    expect_has("\n  code/*.c  (worst)  language  1,536     23.06      23.78          1.0311  ");
    expect_has("\n  wiki               language  1,536     23.06      23.11          1.0020  ");
    done();
}

Test(report_text, the_worst_is_among_those_of_one_kind)
{
    sample_report_open(&s, 0, false);
    sample_report_language(&s);
    mc_data_report *d = sample_report_data(&s);
    cr_expect(mc_out_is_worst(d, 1));
    cr_expect_not(mc_out_is_worst(d, 0));
    d->outcome[0].perplexity_ratio = (double)NAN;
    cr_expect(mc_out_is_worst(d, 0), "what is no number is worst");
    cr_expect_not(mc_out_is_worst(d, 1));
    d->outcome[0].perplexity_ratio = 1.5;
    d->outcome[1].task = "choices";
    d->outcome[1].accuracy_drop = 0.01;
    cr_expect_not(mc_out_is_worst(d, 0), "there is nothing to compare with");
    cr_expect_not(mc_out_is_worst(d, 1));
    done();
}

Test(report_text, the_worst_sites_are_a_table)
{
    sample_report_open(&s, 4, false);
    sample_report_language(&s);
    mc_data_report *d = sample_report_data(&s);
    d->site[d->worst_first[0]].own_output_sqnr_db = (double)NAN;
    d->site[d->worst_first[1]].own_output_sqnr_db = (double)INFINITY;
    write_text(false);
    static const char title[] = "worst sites, by their outputs on 12 samples (its own: without the "
                                "error of those before it)\n";
    size_t lines;
    cr_expect_eq(count_aligned(title, &lines), 11u, "%s", text);
    cr_expect_eq(lines, 11u, "a heading and ten rows");
    expect_has("  and 20 more from ");
    const char *table = strstr(text, title);
    for (size_t i = 0; i < 10; i++) cr_expect(strstr(table, d->site[d->worst_first[i]].name));
    expect_has("      –  1,536\n");
    expect_has("  exact  1,536\n");
    done();
}

Test(report_text, gates_say_what_is_missing_or_too_fine)
{
    sample_report_open(&s, 0, false);
    sample_report_gates_on_data(&s);
    write_text(false);
    expect_has("FAIL top1_agreement  not measured (needs --data)  >=     0.9\n");
    free(text);
    sample_report_classes(&s);
    sample_report_gates_on_data(&s);
    write_text(false);
    expect_has("pass top1_agreement                              0.991500  >=     0.9\n");
    expect_has("pass accuracy_drop (underpowered: ±0.00392)    0.00150000  <=   0.002\n");
    expect_has("FAIL kl_mean                                 not measured  <=  0.0001\n");
    done();
}

Test(report_text, control_bytes_of_models_do_not_reach_the_terminal)
{
    sample_report_open(&s, 0, false);
    sample_report_language(&s);
    mc_data_report *d = sample_report_data(&s);
    d->outcome[0].name = d->outcome[1].name = "a\033[2J\tb";
    d->site[0].name = "c\033\td";
    d->outcome[0].continuation[0].container = "e\033\tf";
    write_text(false);
    expect_not("\033");
    expect_not("\t");
    expect_has("e\\u001b\\tf");
    done();
}
