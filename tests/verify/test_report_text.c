/* The report for a build log: the first line, what stands where, and that columns line up. */
#include "tests/support/sample_report.h"

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

/* The lines of the table that begins behind `title`, up to the first line that is not part of
 * it. */
static size_t count_aligned(const char *title, size_t *lines)
{
    const char *at = strstr(text, title);
    cr_assert_not_null(at);
    at += strlen(title);
    const size_t width = strcspn(at, "\n");
    size_t same = 0;
    *lines = 0;
    while (strncmp(at, "  ", 2) == 0 && strncmp(at, "  and", 5) != 0) {
        const size_t length = strcspn(at, "\n");
        same += length == width;
        (*lines)++;
        at += length + 1;
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
