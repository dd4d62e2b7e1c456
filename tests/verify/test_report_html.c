/* The HTML report: well formed, self-contained, and nothing of a name becomes markup. */
#include "tests/support/sample_report.h"

#include <criterion/criterion.h>
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static sample_report s;
static char *html;

static void write_html(void)
{
    html = mc_report_html(&s.report);
    cr_assert_not_null(html);
}

static void done(void)
{
    free(html);
    sample_report_close(&s);
}

static size_t count(const char *part)
{
    size_t n = 0;
    for (const char *at = html; (at = strstr(at, part)); at += strlen(part)) n++;
    return n;
}

/* ---- a checker: every tag is closed in its turn, attributes are quoted, text has no stray <
 * ---- */

enum { DEEPEST = 64, NAME = 32 };

typedef struct {
    char open[DEEPEST][NAME];
    size_t depth;
    const char *wrong;
} checker;

static bool is_void(const char *name)
{
    static const char *const voids[] = {"meta", "wbr", "br", "link"};
    for (size_t i = 0; i < sizeof voids / sizeof *voids; i++)
        if (strcmp(voids[i], name) == 0) return true;
    return false;
}

static const char *read_name(const char *at, char name[NAME])
{
    size_t n = 0;
    while (isalnum((unsigned char)*at) && n + 1 < NAME) name[n++] = *at++;
    name[n] = '\0';
    return at;
}

/* Behind the attributes; NULL when one is not name="value" or name. */
static const char *skip_attributes(const char *at, bool *closed)
{
    *closed = false;
    for (;;) {
        while (isspace((unsigned char)*at)) at++;
        if (*at == '>') return at + 1;
        if (at[0] == '/' && at[1] == '>') {
            *closed = true;
            return at + 2;
        }
        const size_t n = strcspn(at, " \n=/>\"'<");
        if (n == 0) return NULL;
        at += n;
        if (*at != '=') continue;
        if (*++at != '"') return NULL;
        at++;
        at += strcspn(at, "\"<");
        if (*at != '"') return NULL;
        at++;
    }
}

static const char *skip_tag(checker *c, const char *at)
{
    char name[NAME];
    bool closed;
    if (strncmp(at, "<!doctype html>", 15) == 0) return at + 15;
    const bool ends = at[1] == '/';
    const char *rest = read_name(at + 1 + ends, name);
    if (!name[0] || !(rest = skip_attributes(rest, &closed))) {
        c->wrong = at;
        return at + 1;
    }
    if (ends) {
        if (c->depth == 0 || strcmp(c->open[c->depth - 1], name) != 0) c->wrong = at;
        if (c->depth) c->depth--;
    } else if (!closed && !is_void(name)) {
        if (c->depth == DEEPEST) c->wrong = at;
        if (!c->wrong) memcpy(c->open[c->depth++], name, NAME);
        if (strcmp(name, "style") == 0 || strcmp(name, "script") == 0) {
            rest = strstr(rest, "</");
            if (!rest) c->wrong = at;
        }
    }
    return rest ? rest : at + 1;
}

static void expect_well_formed(void)
{
    checker c = {0};
    for (const char *at = html; *at && !c.wrong;) {
        if (*at == '<')
            at = skip_tag(&c, at);
        else
            at += strcspn(at, "<");
    }
    cr_expect_null(c.wrong, "%.200s", c.wrong);
    cr_expect_eq(c.depth, 0u);
}

Test(report_html, the_checker_sees_what_is_wrong)
{
    static const char *const wrong[] = {
        "<p><b></p></b>",   "<p>", "</p>", "<p class=a></p>", "<p a=\"<\"></p>", "a < b",
        "<p title='a'></p>"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        checker c = {0};
        for (const char *at = wrong[i]; *at && !c.wrong;)
            at = *at == '<' ? skip_tag(&c, at) : at + strcspn(at, "<");
        cr_expect(c.wrong || c.depth, "%s", wrong[i]);
    }
}

Test(report_html, is_well_formed_for_few_and_many_tensors)
{
    static const size_t layers[] = {0, 1, 4, 40};
    for (size_t i = 0; i < 4; i++)
        for (int gates = 0; gates < 2; gates++) {
            sample_report_open(&s, layers[i], gates);
            write_html();
            expect_well_formed();
            done();
        }
}

Test(report_html, is_well_formed_without_anything_to_show)
{
    sample_report_open(&s, 0, false);
    s.report.tensors = s.report.quantized = 0;
    s.report.worst_tensor = NULL;
    s.report.bits_per_weight = (double)NAN;
    s.report.min_tensor_sqnr_db = s.report.mean_tensor_sqnr_db = (double)INFINITY;
    s.report.source_bytes = s.report.container_bytes = 0;
    s.report.command = NULL;
    write_html();
    expect_well_formed();
    cr_expect_eq(count("nan"), 0u);
    done();
}

Test(report_html, needs_no_network)
{
    sample_report_open(&s, 4, true);
    write_html();
    cr_expect_eq(count("http://"), 0u);
    cr_expect_eq(count("https://"), 0u);
    cr_expect_eq(count("src="), 0u);
    cr_expect_eq(count("url("), 0u);
    cr_expect_eq(count("@import"), 0u);
    cr_expect_eq(count("<link"), 0u);
    cr_expect_eq(count("default-src 'none'"), 1u);
    done();
}

Test(report_html, names_cannot_become_markup)
{
    static const char evil[] = "<script>alert(\"1\")</script>&amp;'><img src=x onerror='y'>\x01\n";
    sample_report_open(&s, 1, false);
    for (size_t i = 0; i < s.report.tensors; i++) {
        sample_report_rename(&s, i, evil);
        if (s.report.tensor[i].kept_because) s.report.tensor[i].kept_because = evil;
    }
    static const char *const command[] = {evil, "\xff\xfe", NULL};
    s.report.command = command;
    s.report.worst_tensor = evil;
    s.report.version = evil;
    snprintf(s.report.headline, sizeof s.report.headline, "%s", evil);
    write_html();
    expect_well_formed();
    cr_expect_eq(count("<script>"), 1u, "our own");
    cr_expect_eq(count("<img"), 0u);
    cr_expect_eq(count("alert(\""), 0u);
    cr_expect_eq(count("\x01"), 0u);
    cr_expect_eq(count("\xff"), 0u);
    cr_expect_geq(count("&#60;script&#62;"), 3u);
    cr_expect_geq(count("&#38;amp;&#39;"), 3u);
    done();
}

Test(report_html, begins_with_the_headline)
{
    sample_report_open(&s, 1, false);
    write_html();
    const char *body = strstr(html, "<body>\n");
    cr_assert_not_null(body);
    static const char wanted[] =
        "<body>\n<p class=\"headline caution\"><span>activations: int8 dynamic "
        "recorded, not measured</span></p>";
    cr_expect_eq(strncmp(body, wanted, sizeof wanted - 1), 0, "%.200s", body);
    done();
}

Test(report_html, drawings_have_a_title_and_a_description)
{
    sample_report_open(&s, 40, true);
    write_html();
    /* sizes, ranks, scatter, twelve histograms */
    cr_expect_eq(count("<svg class=\"draw"), 3u);
    cr_expect_eq(count("role=\"img\""), 15u);
    cr_expect_eq(count("<desc id="), 15u);
    cr_expect_eq(count("<title id="), 15u);
    done();
}

Test(report_html, every_tensor_has_a_row)
{
    sample_report_open(&s, 40, true);
    write_html();
    cr_expect_eq(count("<th scope=\"row\" class=\"name\">"), s.report.tensors);
    cr_expect_eq(count("class=\"kept\""), s.report.tensors - s.report.quantized);
    cr_expect_eq(count("<circle"), 2 * s.report.quantized, "in two drawings");
    done();
}

Test(report_html, a_huge_model_stays_readable_by_leaving_out_dots)
{
    sample_report_open(&s, 150, false);
    write_html();
    cr_assert_eq(s.report.quantized, 1052u);
    cr_expect_eq(count("<circle"), 2u * 526u, "%zu dots, every other tensor in both drawings",
                 count("<circle"));
    expect_well_formed();
    done();
}

Test(report_html, the_gate_is_a_line_in_the_drawing)
{
    sample_report_open(&s, 4, true);
    write_html();
    cr_expect_eq(count("<line class=\"gate\""), s.report.quantized);
    cr_expect_eq(count("<rect class=\"low\""), 0u, "all are above 18 dB");
    free(html);
    s.report.gate[0].threshold = 19.0;
    write_html();
    size_t below = 0;
    for (size_t i = 0; i < s.report.quantized; i++)
        below += s.report.tensor[s.report.worst_first[i]].sqnr_db < 19.0;
    cr_expect_gt(below, 0u);
    cr_expect_eq(count("<rect class=\"low\""), below);
    done();
}

Test(report_html, coordinates_are_numbers)
{
    sample_report_open(&s, 4, true);
    s.report.tensor[0].sqnr_db = (double)INFINITY;
    s.report.tensor[0].relative_error = 0;
    s.report.tensor[1].sqnr_db = -(double)INFINITY;
    s.report.tensor[1].relative_error = (double)INFINITY;
    s.report.tensor[3].bytes = 0;
    s.report.tensor[4].sqnr_db = -3.0;
    write_html();
    expect_well_formed();
    static const char *const attributes[] = {"x=\"",  "width=\"", "cx=\"",
                                             "cy=\"", "x1=\"",    "y1=\""};
    for (size_t i = 0; i < sizeof attributes / sizeof *attributes; i++)
        for (const char *at = html; (at = strstr(at, attributes[i]));) {
            at += strlen(attributes[i]);
            cr_expect(isdigit((unsigned char)*at), "%s%.20s", attributes[i], at);
        }
    done();
}

/* ---- when the models were run ---- */

static void expect_numbers(void)
{
    static const char *const attributes[] = {" x=\"",  " y=\"",  " width=\"", " height=\"",
                                             " cx=\"", " cy=\"", " x1=\"",    " x2=\"",
                                             " y1=\"", " y2=\""};
    for (size_t i = 0; i < sizeof attributes / sizeof *attributes; i++)
        for (const char *at = html; (at = strstr(at, attributes[i]));) {
            at += strlen(attributes[i]);
            cr_expect(isdigit((unsigned char)*at), "%s%.20s", attributes[i], at);
        }
}

Test(report_html, figures_of_the_models_are_well_formed)
{
    static const size_t layers[] = {0, 1, 40, 150};
    for (size_t i = 0; i < 4; i++)
        for (int task = 0; task < 2; task++) {
            sample_report_open(&s, layers[i], false);
            if (task)
                sample_report_language(&s);
            else
                sample_report_classes(&s);
            sample_report_gates_on_data(&s);
            write_html();
            expect_well_formed();
            expect_numbers();
            cr_expect_eq(count("nan"), 0u);
            done();
        }
}

Test(report_html, without_data_there_is_nothing_about_it)
{
    sample_report_open(&s, 4, false);
    write_html();
    cr_expect_eq(count("id=\"model\""), 0u);
    cr_expect_eq(count("id=\"sites\""), 0u);
    cr_expect_eq(count("id=\"sure\""), 0u);
    cr_expect_eq(count("<dl class=\"tiles\">"), 1u);
    done();
}

Test(report_html, a_classifier_has_confidence_and_no_divergence)
{
    sample_report_open(&s, 1, false);
    sample_report_classes(&s);
    write_html();
    cr_expect_eq(count("id=\"sure\""), 1u);
    cr_expect_eq(count("id=\"kl\""), 0u);
    cr_expect_eq(count("id=\"said\""), 0u);
    cr_expect_eq(count("id=\"sets\""), 0u);
    cr_expect_eq(count("<circle class=\"was\""), 2u, "two bins of the original have samples");
    cr_expect_eq(count("<line class=\"link is\""), 1u);
    cr_expect_eq(count("<b>0.15 %</b>"), 1u);
    cr_expect_eq(count("95 %: -0.24 … 0.54 %"), 1u);
    done();
}

Test(report_html, language_has_divergence_continuations_and_data_sets)
{
    sample_report_open(&s, 1, false);
    sample_report_language(&s);
    write_html();
    cr_expect_eq(count("id=\"sure\""), 0u);
    cr_expect_eq(count("id=\"kl\""), 1u);
    cr_expect_eq(count(" tokens from "), 16u, "a bar for each bin that has tokens");
    cr_expect_eq(count("<dl class=\"said\">"), 2u);
    cr_expect_eq(count("there was a king↵<wbr>and a queen"), 1u);
    cr_expect_eq(count(" there was a king<mark>dom</mark>"), 1u, "only what differs is marked");
    cr_expect_eq(count("<mark>"), 1u);
    cr_expect_eq(count("<span class=\"tag\">worst</span>"), 1u);
    cr_expect_not_null(strstr(html, "code/<wbr>*.<wbr>c</bdi><span class=\"tag\">worst"));
    done();
}

Test(report_html, what_differs_is_marked_by_whole_characters)
{
    sample_report_open(&s, 0, false);
    sample_report_language(&s);
    mc_continuation *c = sample_report_data(&s)->outcome[0].continuation;
    c[0].reference = "gr\xc3\xbc\xc3\x9f";
    c[0].container = "gr\xc3\xb6\xc3\x9f";
    write_html();
    cr_expect_eq(count("gr<mark>\xc3\xb6\xc3\x9f</mark>"), 1u);
    done();
}

Test(report_html, every_site_has_a_bar_a_ring_and_a_row)
{
    sample_report_open(&s, 4, false);
    sample_report_language(&s);
    const mc_data_report *d = s.report.data;
    write_html();
    const char *sites = strstr(html, "id=\"sites\""), *end = strstr(html, "id=\"size\"");
    cr_assert(sites && end);
    size_t bars = 0;
    for (const char *at = sites; (at = strstr(at, "<rect class=\"s2\"")) && at < end; at++) bars++;
    cr_expect_eq(bars, d->sites);
    cr_expect_eq(count("<circle class=\"own\""), 2 * d->sites, "in two drawings");
    cr_expect_eq(count("<th scope=\"row\" class=\"name\">"), s.report.tensors + d->sites);
    done();
}

Test(report_html, sites_below_their_gate_stand_out)
{
    sample_report_open(&s, 4, false);
    sample_report_language(&s);
    const mc_data_report *d = s.report.data;
    mc_gate gate;
    mc_err err = {0};
    mc_arena *mem = &s.memory.arena;
    cr_assert_eq(mc_gate_parse("min_site_sqnr_db >= 20", mem, &gate, &err), MC_OK);
    cr_assert_eq(mc_gates_apply(&gate, 1, mem, &s.report, &err), MC_OK);
    write_html();
    size_t below = 0;
    for (size_t i = 0; i < d->sites; i++) below += d->site[i].output_sqnr_db < 20.0;
    cr_expect_gt(below, 0u);
    cr_expect_eq(count("<rect class=\"low\""), below);
    cr_expect_eq(count("<circle class=\"low\""), below);
    cr_expect_eq(count("<line class=\"gate\""), d->sites + 1, "each bar, and along the graph");
    done();
}

Test(report_html, texts_of_models_cannot_become_markup)
{
    static const char evil[] = "<script>alert(\"1\")</script>&amp;'><img src=x onerror='y'>\x01\n";
    sample_report_open(&s, 1, false);
    sample_report_language(&s);
    mc_data_report *d = sample_report_data(&s);
    for (size_t i = 0; i < d->sites; i++) d->site[i].name = d->site[i].tensor = evil;
    for (size_t i = 0; i < d->outcomes; i++) d->outcome[i].name = d->outcome[i].path = evil;
    d->outcome[0].continuation[0] = (mc_continuation){evil, "", evil};
    d->outcome[0].continuation[1] = (mc_continuation){"\xff", "a\xc3\n", "a\xc3\xc3"};
    write_html();
    expect_well_formed();
    cr_expect_eq(count("<script>"), 1u, "our own");
    cr_expect_eq(count("<img"), 0u);
    cr_expect_eq(count("\x01"), 0u);
    cr_expect_eq(count("\xff"), 0u);
    cr_expect_geq(count("&#60;script&#62;"), 5u);
    done();
}

Test(report_html, figures_that_went_wrong_draw_nothing_wrong)
{
    const double wrong[] = {(double)NAN, (double)INFINITY, -(double)INFINITY, 0.0};
    for (size_t i = 0; i < 4; i++) {
        sample_report_open(&s, 1, false);
        sample_report_language(&s);
        mc_data_report *d = sample_report_data(&s);
        for (size_t k = 0; k < d->sites; k++)
            d->site[k].output_sqnr_db = d->site[k].own_output_sqnr_db = wrong[i];
        mc_outcome *o = &d->outcome[0];
        o->perplexity = o->perplexity_se = o->perplexity_ratio = wrong[i];
        o->kl_mean = o->kl_mean_se = o->kl_median = o->kl_p99 = o->kl_max = wrong[i];
        o->output_sqnr_db = o->output_max_abs_error = o->output_cosine = wrong[i];
        memset(o->kl_histogram, 0, sizeof o->kl_histogram);
        o->kl_histogram[i == 3 ? 0 : MC_KL_BINS - 1] = o->n;
        write_html();
        expect_well_formed();
        expect_numbers();
        cr_expect_eq(count(">nan"), 0u);
        cr_expect_eq(count("id=\"kl-t\""), i == 3 ? 0u : 1u, "nothing differs: nothing to draw");
        done();
    }
}

Test(report_html, no_samples_draw_nothing)
{
    sample_report_open(&s, 1, false);
    sample_report_classes(&s);
    mc_data_report *d = sample_report_data(&s);
    d->sites = 0;
    mc_outcome *o = &d->outcome[0];
    memset(&o->confidence, 0, sizeof o->confidence);
    memset(&o->confidence_reference, 0, sizeof o->confidence_reference);
    o->confidence.expected_error = (double)NAN;
    write_html();
    expect_well_formed();
    cr_expect_eq(count("id=\"sure\""), 0u);
    cr_expect_eq(count("id=\"sites\""), 0u);
    done();
}
