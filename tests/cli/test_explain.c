/* --explain: what is told of a tensor, as text and as JSON, from plans and results made by hand. */
#include "cli/explain.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TENSORS = 3 };

static mc_tensor tensor[TENSORS];
static mc_model model;
static mc_options options;
static mc_region memory;
static mc_plan plan;
static mc_made made;
static mc_made_entry entry[TENSORS];
static const char *names[4];
static mc_err err;

static void add(const char *name, int ndim, uint64_t rows, uint64_t cols)
{
    mc_tensor *t = &tensor[model.tensors++];
    *t = (mc_tensor){.name = name,
                     .dtype = MC_BF16,
                     .ndim = ndim,
                     .dim = {rows, cols},
                     .count = rows * (ndim > 1 ? cols : 1)};
    t->bytes = t->count * 2;
}

/* A bias, a matrix whose rows 32 does not divide, one that it does. */
static void set_up(void)
{
    model = (mc_model){.path = "model", .tensor = tensor};
    add("b.bias", 1, 4, 0);
    add("odd.weight", 2, 4, 48);
    add("w.weight", 2, 4, 64);
    options = (mc_options){.weight_bits = 4, .activation_bits = 16, .method = "mse"};
    options.explain = names;
    cr_assert_eq(mc_region_open(&memory, 1 << 24, &err), MC_OK);
    cr_assert_eq(mc_plan_make(&model, &options, 1, &memory.arena, &plan, &err), MC_OK, "%s",
                 err.text);
    memset(entry, 0, sizeof entry);
    made = (mc_made){.plan = &plan, .entry = entry};
    cr_assert_eq(mc_edits_open(&model, &memory.arena, &made.edits, &err), MC_OK);
}

static void tear_down(void)
{
    mc_edits_close(made.edits);
    mc_region_close(&memory);
}

TestSuite(explain, .init = set_up, .fini = tear_down);

static void ask(const char *name)
{
    names[options.explains++] = name;
}

static void expect_text(const mc_made *of, const char *wanted)
{
    mc_text text;
    mc_text_open(&text);
    mc_explain_text(&plan, of, &text);
    char *got = mc_text_take(&text);
    cr_assert_not_null(got);
    cr_expect_str_eq(got, wanted, "found\n%s\nwanted\n%s", got, wanted);
    free(got);
}

static void expect_json(const mc_made *of, const char *wanted)
{
    mc_json_out *out;
    cr_assert_eq(mc_json_out_open(&out, &err), MC_OK);
    mc_json_object(out, NULL);
    mc_explain_json(&plan, of, out);
    mc_json_end(out);
    char *got = mc_json_done(out, false);
    mc_json_out_close(out);
    cr_assert_not_null(got);
    cr_expect_str_eq(got, wanted, "found\n%s\nwanted\n%s", got, wanted);
    free(got);
}

/* w.weight was coded: half of its codes are 0 (the first), the others 8. */
static mc_made_entry *coded(void)
{
    mc_made_entry *now = &entry[2];
    now->coded = true;
    now->setup = plan.entry[2].setup;
    now->q = (mc_qmat){.grid = plan.weight[2].grid, .rows = 4, .cols = 64, .group = 32};
    cr_assert_eq(mc_qmat_alloc(&now->q, &memory.arena, &err), MC_OK);
    for (size_t i = 0; i < 256; i++) now->q.code[i] = i % 2 ? 8 : 0;
    return now;
}

Test(explain, says_nothing_that_nobody_asked)
{
    expect_text(NULL, "");
    expect_text(&made, "");
    expect_json(&made, "{}");
}

Test(explain, tells_what_the_plan_decided)
{
    ask("w.weight");
    ask("b.bias");
    expect_text(NULL, "\nw.weight\n"
                      "  scheme      int4, group 32, symmetric, F16 scales\n"
                      "  method      mse:norm=2\n"
                      "\nb.bias\n"
                      "  scheme      kept as BF16\n"
                      "  rule        one dimension\n");
    expect_json(
        NULL,
        "{\"explain\":[{\"name\":\"w.weight\",\"levels\":\"int4\",\"bits\":4,\"group\":32,"
        "\"granularity\":\"group\","
        "\"offset\":\"symmetric\",\"scale_dtype\":\"F16\",\"fallback\":false,"
        "\"method\":\"mse\"},{\"name\":\"b.bias\",\"kept_as\":\"BF16\",\"rule\":\"one dimension\","
        "\"fallback\":false}]}");
}

Test(explain, names_the_rule_of_a_fallback)
{
    ask("odd.weight");
    expect_text(NULL, "\nodd.weight\n"
                      "  scheme      int4, group 16, symmetric, F16 scales\n"
                      "  rule        group 16: 32 does not divide a row of 48 (a fallback)\n"
                      "  method      mse:norm=2\n");
}

Test(explain, tells_what_the_weight_met)
{
    ask("w.weight");
    mc_made_entry *now = coded();
    now->rows_seen = 1234567;
    now->facts = (mc_quant_facts){.damp = 0.07, .dead = 3, .start = 8.0, .end = 2.0};
    expect_text(&made, "\nw.weight\n"
                       "  scheme      int4, group 32, symmetric, F16 scales\n"
                       "  method      mse:norm=2\n"
                       "  met         1234567 rows of 64 inputs\n"
                       "  damping     0.07 of the mean diagonal\n"
                       "  dead        3 inputs were never but 0\n"
                       "  objective   8 at the start, 2 in the end (25.0 %)\n"
                       "  at the ends 50.00 % of the codes are the range's first or last\n");
    now->facts.floor = 1e-9;
    now->no_bias = "its node has no bias";
    now->rows_seen = 0;
    now->facts.start = now->facts.end = 0.0;
    expect_text(&made, "\nw.weight\n"
                       "  scheme      int4, group 32, symmetric, F16 scales\n"
                       "  method      mse:norm=2\n"
                       "  damping     0.07 of the mean diagonal, and a floor under it\n"
                       "  dead        3 inputs were never but 0\n"
                       "  bias        not corrected: its node has no bias\n"
                       "  at the ends 50.00 % of the codes are the range's first or last\n");
}

Test(explain, says_which_method_was_taken_instead_and_why)
{
    mc_quant_setup other;
    cr_assert_eq(mc_quant_setup_parse("rtn", &other, &err), MC_OK);
    ask("w.weight");
    mc_made_entry *now = coded();
    now->setup = &other;
    now->why = "only 3 tokens reached it, 4 are needed";
    now->rows_seen = 3;
    expect_text(&made, "\nw.weight\n"
                       "  scheme      int4, group 32, symmetric, F16 scales\n"
                       "  method      rtn (not mse: only 3 tokens reached it, 4 are needed)\n"
                       "  met         3 rows of 64 inputs\n"
                       "  at the ends 50.00 % of the codes are the range's first or last\n");
}

Test(explain, counts_edits)
{
    static const double twice[] = {2, 2, 2, 2};
    const mc_edit edit = {.kind = MC_EDIT_SCALE, .axis = 0, .vector = twice};
    cr_assert_eq(mc_edits_add(made.edits, &tensor[0], &edit, &err), MC_OK, "%s", err.text);
    cr_assert_eq(mc_edits_add(made.edits, &tensor[0], &edit, &err), MC_OK);
    ask("b.bias");
    expect_text(&made, "\nb.bias\n"
                       "  scheme      kept as BF16\n"
                       "  rule        one dimension\n"
                       "  edits       2 by transforms and biases\n");
    expect_json(
        &made, "{\"explain\":[{\"name\":\"b.bias\",\"kept_as\":\"BF16\",\"rule\":\"one dimension\","
               "\"fallback\":false,\"edits\":2}]}");
}

/* Codes of a restricted grid end one earlier. */
Test(explain, the_ends_are_those_of_the_grid)
{
    ask("w.weight");
    mc_made_entry *now = coded();
    now->q.grid.restricted = true; /* -7 .. 7 are the codes 1 .. 15 */
    for (size_t i = 0; i < 256; i++) now->q.code[i] = i < 64 ? 1 : i < 128 ? 15 : 8;
    expect_text(&made, "\nw.weight\n"
                       "  scheme      int4, group 32, symmetric, F16 scales\n"
                       "  method      mse:norm=2\n"
                       "  at the ends 50.00 % of the codes are the range's first or last\n");
}

Test(explain, refuses_names_that_are_none)
{
    ask("w.weight");
    cr_expect_eq(mc_explain_check(&plan, &err), MC_OK);
    ask("w.wieght");
    cr_expect_eq(mc_explain_check(&plan, &err), MC_E_USAGE);
    cr_expect_str_eq(err.text, "--explain w.wieght: no such tensor; did you mean w.weight?");
    names[1] = "something else entirely";
    cr_expect_eq(mc_explain_check(&plan, &err), MC_E_USAGE);
    cr_expect_str_eq(err.text, "--explain something else entirely: no such tensor");
}
