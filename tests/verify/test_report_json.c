/* The JSON report read back: keys, kinds, nulls, and that the same report gives the same bytes. */
#include "tests/support/sample_report.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static sample_report s;
static char *text;
static mc_json *json;

static void read_back(void)
{
    mc_err err = {0};
    text = mc_report_json(&s.report, true);
    cr_assert_not_null(text);
    cr_assert_eq(mc_json_parse(text, strlen(text), "report", &json, &err), MC_OK, "%s", err.text);
}

static void done(void)
{
    mc_json_free(json);
    free(text);
    sample_report_close(&s);
}

/* "tensors/0/name" */
static const mc_json *at(const char *path)
{
    const mc_json *here = json;
    while (here && *path) {
        char key[64] = {0};
        const size_t n = strcspn(path, "/");
        cr_assert_lt(n, sizeof key);
        memcpy(key, path, n);
        here = mc_json_is_object(here) ? mc_json_get(here, key)
                                       : mc_json_at(here, strtoul(key, NULL, 10));
        path += n + (path[n] == '/');
    }
    return here;
}

static const char *text_at(const char *path)
{
    return mc_json_as_text(at(path), "(no text)");
}

static double num_at(const char *path)
{
    return mc_json_as_num(at(path), -12345.0);
}

static bool is_null(const char *path)
{
    const mc_json *here = at(path);
    if (!here) return false;
    char *printed = mc_json_print(here);
    const bool null = printed && strcmp(printed, "null") == 0;
    free(printed);
    return null;
}

Test(report_json, has_the_keys_that_programs_rely_on)
{
    static const char *const keys[] = {"schema",  "headline", "verdict", "gates", "size",
                                       "summary", "tensors",  "sites",   "model", "numerics",
                                       "hashes",  "tool",     "command"};
    sample_report_open(&s, 4, true);
    read_back();
    cr_expect_eq(mc_json_count(json), sizeof keys / sizeof *keys);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        cr_expect_str_eq(mc_json_key(mc_json_at(json, i)), keys[i]);
    cr_expect_str_eq(text_at("schema"), "mcompress-report/1");
    cr_expect_str_eq(text_at("headline"), "activations: int8 dynamic recorded, not measured");
    cr_expect_str_eq(text_at("verdict"), "fail");
    cr_expect_eq(mc_json_count(at("sites")), 0u);
    cr_expect(is_null("model"), "there is no graph");
    cr_expect(is_null("size/macs"));
    cr_expect(is_null("size/ram_bytes"));
    cr_expect(is_null("summary/min_site_sqnr_db"));
    cr_expect_str_eq(text_at("tool/version"), "0.1.0");
    cr_expect_str_eq(text_at("command/5"), "--require=\"<&");
    cr_expect_str_eq(text_at("hashes/container"), s.report.container_hash);
    cr_expect_str_eq(text_at("hashes/source"), s.report.source_hash);
    cr_expect_str_eq(text_at("hashes/recipe"), s.report.recipe_hash);
    cr_expect(is_null("hashes/calibration"));
    cr_expect(is_null("hashes/evaluation"));
    done();
}

Test(report_json, every_metric_stands_in_its_section)
{
    sample_report_open(&s, 4, false);
    read_back();
    for (size_t i = 0; mc_metric_at(i); i++) {
        const mc_metric *metric = mc_metric_at(i);
        char path[80];
        snprintf(path, sizeof path, "%s/%s", metric->section, metric->name);
        const double value = metric->value(&s.report);
        if (isnan(value))
            cr_expect(is_null(path), "%s", path);
        else
            cr_expect_eq(num_at(path), value, "%s", path);
    }
    cr_expect_str_eq(text_at("summary/worst_tensor"), s.report.worst_tensor);
    done();
}

Test(report_json, gates_say_what_was_asked_and_found)
{
    sample_report_open(&s, 4, true);
    read_back();
    cr_expect_eq(mc_json_count(at("gates")), 3u);
    cr_expect_str_eq(text_at("gates/0/metric"), "min_tensor_sqnr_db");
    cr_expect_str_eq(text_at("gates/0/op"), ">=");
    cr_expect_eq(num_at("gates/0/threshold"), 18.0);
    cr_expect_eq(num_at("gates/0/value"), s.report.min_tensor_sqnr_db);
    cr_expect(mc_json_as_bool(at("gates/0/pass"), false));
    cr_expect_not(mc_json_as_bool(at("gates/2/pass"), true));
    cr_expect_not(mc_json_as_bool(at("gates/0/underpowered"), true));
    done();
}

Test(report_json, without_gates_the_verdict_is_pass)
{
    sample_report_open(&s, 1, false);
    read_back();
    cr_expect_str_eq(text_at("verdict"), "pass");
    cr_expect_eq(mc_json_count(at("gates")), 0u);
    done();
}

Test(report_json, a_quantized_tensor_has_all_figures)
{
    sample_report_open(&s, 1, false);
    mc_tensor_report *t = &s.report.tensor[3]; /* model.layers.0.mlp.down_proj.weight */
    read_back();
    cr_expect_eq(mc_json_count(at("tensors")), s.report.tensors);
    cr_expect_str_eq(text_at("tensors/3/name"), t->name);
    cr_expect_str_eq(text_at("tensors/3/form"), "quantized");
    cr_expect_str_eq(text_at("tensors/3/dtype"), "BF16");
    cr_expect_str_eq(text_at("tensors/3/levels"), "int4");
    cr_expect_eq(num_at("tensors/3/shape/0"), (double)t->spec->dim[0]);
    cr_expect_eq(num_at("tensors/3/shape/1"), (double)t->spec->dim[1]);
    cr_expect_eq(num_at("tensors/3/bits"), 4.0);
    cr_expect_eq(num_at("tensors/3/group"), 32.0);
    cr_expect_eq(num_at("tensors/3/bytes"), (double)t->bytes);
    cr_expect_eq(num_at("tensors/3/source_bytes"), (double)t->source_bytes);
    cr_expect_eq(num_at("tensors/3/sqnr_db"), t->sqnr_db, "doubles survive");
    cr_expect_eq(num_at("tensors/3/relative_error"), t->relative_error);
    cr_expect_eq(num_at("tensors/3/max_abs_error"), t->max_abs_error);
    cr_expect_eq(num_at("tensors/3/max_abs_index"), (double)t->max_abs_index);
    cr_expect_eq(num_at("tensors/3/cosine"), t->cosine);
    cr_expect_eq(num_at("tensors/3/clipped"), t->clipped);
    cr_expect_eq(num_at("tensors/3/zeros"), t->zeros);
    cr_expect_eq(num_at("tensors/3/entropy_bits"), t->entropy_bits);
    cr_expect_eq(num_at("tensors/3/bits_per_weight"), t->bits_per_weight);
    cr_expect_null(at("tensors/3/exact"));
    cr_expect_eq(mc_json_count(at("tensors/3/histogram")), 16u);
    cr_expect_eq(num_at("tensors/3/histogram/7"), (double)t->histogram[7]);
    cr_expect_eq(mc_json_count(at("tensors/0/histogram")), 256u);
    done();
}

Test(report_json, no_error_is_null_and_exact)
{
    sample_report_open(&s, 1, false);
    s.report.min_tensor_sqnr_db = (double)INFINITY;
    s.report.tensor[3].zeros = (double)NAN;
    read_back();
    cr_expect(is_null("tensors/2/sqnr_db"));
    cr_expect(mc_json_as_bool(at("tensors/2/exact"), false));
    cr_expect_str_eq(text_at("tensors/2/form"), "dense");
    cr_expect_str_eq(text_at("tensors/2/kept_because"), "one dimension");
    cr_expect(is_null("tensors/2/group"));
    cr_expect(is_null("tensors/2/levels"));
    cr_expect_eq(num_at("tensors/2/bits"), 16.0);
    cr_expect(is_null("summary/min_tensor_sqnr_db"));
    cr_expect(mc_json_as_bool(at("summary/exact"), false));
    cr_expect(is_null("tensors/3/zeros"));
    done();
}

Test(report_json, group_and_bits_are_numbers_for_every_scheme)
{
    sample_report_open(&s, 1, false);
    mc_weight_spec tensor_wide = *s.report.tensor[3].spec, ternary = tensor_wide;
    tensor_wide.group = 0;
    ternary.grid.levels = mc_levels_find("ternary");
    s.report.tensor[3].spec = &tensor_wide;
    s.report.tensor[4].spec = &ternary;
    read_back();
    cr_expect_eq(num_at("tensors/0/group"), 512.0);
    cr_expect_eq(num_at("tensors/3/group"), (double)s.report.tensor[3].count);
    cr_expect_eq(num_at("tensors/4/bits"), 1.58);
    cr_expect_eq(mc_json_count(at("tensors/4/histogram")), 3u);
    done();
}

Test(report_json, numerics_say_what_was_not_measured)
{
    sample_report_open(&s, 1, false);
    read_back();
    cr_expect_str_eq(text_at("numerics/simulated"), "weights-only");
    cr_expect_str_eq(text_at("numerics/activations"), "int8 dynamic, recorded, not measured");
    cr_expect_str_eq(text_at("numerics/kv_cache"), "not quantized");
    done();
}

Test(report_json, what_is_not_known_is_null)
{
    sample_report_open(&s, 0, false);
    s.report.source_hash[0] = '\0';
    s.report.version = NULL;
    s.report.command = NULL;
    read_back();
    cr_expect(is_null("hashes/source"));
    cr_expect(is_null("tool/version"));
    cr_expect_eq(mc_json_count(at("command")), 0u);
    done();
}

Test(report_json, names_survive_whatever_they_are)
{
    static const char evil[] = "a\"b\\c\n<script>\x01 \xe2\x82\xac";
    sample_report_open(&s, 0, false);
    sample_report_rename(&s, 0, evil);
    read_back();
    cr_expect_str_eq(text_at("tensors/0/name"), evil);
    done();
}

Test(report_json, the_same_report_gives_the_same_bytes)
{
    sample_report_open(&s, 4, true);
    char *a = mc_report_json(&s.report, false), *b = mc_report_json(&s.report, false);
    cr_assert(a && b);
    cr_expect_str_eq(a, b);
    cr_expect_null(strchr(a, '\n'), "on one line");
    free(a);
    free(b);
    sample_report_close(&s);
}
