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
        cr_expect_eq(metric->needs_data, isnan(value), "%s", path);
        if (isnan(value))
            cr_expect(is_null(path) || is_null("model"), "%s", path);
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

Test(report_json, caches_say_which_attentions_took_part)
{
    sample_report_open(&s, 1, false);
    sample_report_language(&s);
    mc_data_report *d = sample_report_data(&s);
    s.report.numerics.kv_bits = 4;
    s.report.numerics.kv_measured = true;
    d->kv_applied = 6;
    read_back();
    cr_expect_str_eq(text_at("numerics/kv_cache"), "int4, measured");
    cr_expect_eq(num_at("numerics/kv_applied"), 6.0);
    cr_expect_eq(num_at("numerics/kv_left"), 0.0);
    cr_expect(is_null("numerics/kv_left_because"));
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

/* ---- when the models were run ---- */

Test(report_json, sites_are_in_the_order_of_the_graph)
{
    sample_report_open(&s, 1, false);
    sample_report_language(&s);
    mc_data_report *d = sample_report_data(&s);
    d->site[1].output_sqnr_db = (double)INFINITY;
    d->site[2].output_sqnr_db = d->site[2].own_output_sqnr_db = (double)NAN;
    read_back();
    cr_expect_eq(mc_json_count(at("sites")), d->sites);
    for (size_t i = 0; i < d->sites; i++) {
        char path[64];
        snprintf(path, sizeof path, "sites/%zu/name", i);
        cr_expect_str_eq(text_at(path), d->site[i].name);
    }
    cr_expect_str_eq(text_at("sites/0/tensor"), "lm_head.weight");
    cr_expect_str_eq(text_at("sites/0/kind"), "linear");
    cr_expect_str_eq(text_at("sites/1/kind"), "embedding");
    cr_expect_eq(num_at("sites/0/output_sqnr_db"), d->site[0].output_sqnr_db);
    cr_expect_eq(num_at("sites/0/own_output_sqnr_db"), d->site[0].own_output_sqnr_db);
    cr_expect_eq(num_at("sites/0/weight_bits"), d->site[0].weight_bits);
    cr_expect_eq(num_at("sites/0/input_bits"), 8.0);
    cr_expect_str_eq(text_at("sites/0/input/mode"), "dynamic");
    cr_expect_eq(num_at("sites/0/input/bits"), 8.0);
    cr_expect_eq(num_at("sites/0/input/scales"), 0.0);
    cr_expect_eq(num_at("sites/0/input/hadamard"), 0.0);
    cr_expect_not(mc_json_as_bool(at("sites/0/input/asymmetric"), true));
    cr_expect_str_eq(text_at("sites/1/input/mode"), "float");
    cr_expect_eq(num_at("sites/1/input/bits"), 16.0);
    cr_expect_eq(num_at("sites/0/rows"), 1536.0);
    cr_expect(is_null("sites/1/output_sqnr_db"));
    cr_expect(mc_json_as_bool(at("sites/1/exact"), false));
    cr_expect(is_null("sites/2/output_sqnr_db"));
    cr_expect_null(at("sites/2/exact"));
    cr_expect_eq(num_at("summary/min_site_sqnr_db"), d->site[d->worst_first[0]].output_sqnr_db);
    done();
}

Test(report_json, language_has_its_figures_and_no_accuracy)
{
    sample_report_open(&s, 1, false);
    sample_report_language(&s);
    const mc_outcome *o = &s.report.data->outcome[0];
    read_back();
    cr_expect_str_eq(text_at("model/task"), "language");
    cr_expect_str_eq(text_at("model/name"), "wiki");
    cr_expect_eq(num_at("model/n"), 1536.0);
    cr_expect_eq(num_at("model/samples"), 12.0);
    cr_expect_eq(num_at("model/window"), 128.0);
    cr_expect_eq(num_at("model/dropped_tokens"), 79.0);
    cr_expect_eq(num_at("model/perplexity_reference"), o->perplexity_reference);
    cr_expect_eq(num_at("model/perplexity"), o->perplexity);
    cr_expect_eq(num_at("model/perplexity_ratio"), 1.0020);
    cr_expect_eq(num_at("model/perplexity_ratio_se"), 0.0027);
    cr_expect_eq(num_at("model/kl_mean"), o->kl_mean);
    cr_expect_eq(num_at("model/kl_mean_se"), o->kl_mean_se);
    cr_expect_eq(num_at("model/kl_median"), o->kl_median);
    cr_expect_eq(num_at("model/kl_p99"), o->kl_p99);
    cr_expect_eq(num_at("model/kl_max"), o->kl_max);
    cr_expect_eq(num_at("model/delta_p_rms"), o->delta_p_rms);
    cr_expect_eq(num_at("model/top1_agreement"), o->top1_agreement);
    cr_expect_eq(mc_json_count(at("model/kl_histogram")), (size_t)MC_KL_BINS);
    cr_expect_eq(num_at("model/kl_histogram/32"), 421.0);
    cr_expect_eq(mc_json_count(at("model/continuations")), 2u);
    cr_expect_str_eq(text_at("model/continuations/0/prompt"), "Once upon a time");
    cr_expect_str_eq(text_at("model/continuations/0/reference"), " there was a king\nand a queen");
    cr_expect_str_eq(text_at("model/continuations/0/container"), " there was a kingdom");
    cr_expect_null(at("model/accuracy"));
    cr_expect_str_eq(text_at("hashes/evaluation"), o->hash);
    cr_expect_eq(num_at("size/macs"), 4456448.0);
    cr_expect_eq(num_at("size/ram_bytes"), 4456768.0);
    done();
}

Test(report_json, several_data_sets_are_domains_and_the_worst_is_in_the_model)
{
    sample_report_open(&s, 1, false);
    sample_report_language(&s);
    read_back();
    cr_expect_eq(mc_json_count(at("domains")), 2u);
    cr_expect_str_eq(text_at("domains/0/name"), "wiki");
    cr_expect(is_null("domains/1/name"), "only a path: no name");
    cr_expect_eq(num_at("domains/1/perplexity_ratio"), 1.0311);
    cr_expect_eq(num_at("model/worst_perplexity_ratio"), 1.0311);
    cr_expect_null(at("model/worst_accuracy_drop"));
    cr_expect_null(at("domains/0/worst_perplexity_ratio"));
    done();
}

Test(report_json, answers_have_their_figures_and_no_perplexity)
{
    sample_report_open(&s, 1, false);
    sample_report_classes(&s);
    s.report.score = 0.8125;
    const mc_outcome *o = &s.report.data->outcome[0];
    read_back();
    cr_expect_str_eq(text_at("model/task"), "classification");
    cr_expect(is_null("model/name"));
    cr_expect_eq(num_at("model/accuracy_reference"), 0.981);
    cr_expect_eq(num_at("model/accuracy"), 0.9795);
    cr_expect_eq(num_at("model/accuracy_drop"), 0.0015);
    cr_expect_eq(mc_json_count(at("model/ci95")), 2u);
    cr_expect_eq(num_at("model/ci95/0"), o->accuracy_drop_low);
    cr_expect_eq(num_at("model/ci95/1"), o->accuracy_drop_high);
    cr_expect_eq(num_at("model/lost"), 9.0);
    cr_expect_eq(num_at("model/gained"), 6.0);
    cr_expect_eq(num_at("model/mcnemar_p"), o->mcnemar_p);
    cr_expect_eq(num_at("model/top5"), 0.9985);
    cr_expect(is_null("model/auc"), "more than two classes");
    cr_expect_eq(num_at("model/calibration_error"), o->confidence.expected_error);
    cr_expect_eq(mc_json_count(at("model/confidence/bins")), (size_t)MC_CONFIDENCE_BINS);
    cr_expect_eq(num_at("model/confidence/bins/9/n"), (double)o->confidence.n[9]);
    cr_expect_eq(num_at("model/confidence_reference/bins/5/right"),
                 (double)o->confidence_reference.right[5]);
    cr_expect_eq(num_at("model/score"), 0.8125);
    cr_expect_null(at("model/perplexity"));
    cr_expect_null(at("domains"), "there is one data set");
    done();
}

Test(report_json, every_metric_of_the_models_stands_in_its_section)
{
    for (int task = 0; task < 2; task++) {
        sample_report_open(&s, 1, false);
        if (task)
            sample_report_language(&s);
        else
            sample_report_classes(&s);
        read_back();
        size_t found = 0;
        for (size_t i = 0; mc_metric_at(i); i++) {
            const mc_metric *metric = mc_metric_at(i);
            const double value = metric->value(&s.report);
            if (!metric->needs_data || isnan(value)) continue;
            char path[80];
            snprintf(path, sizeof path, "%s/%s", metric->section, metric->name);
            cr_expect_eq(num_at(path), value, "%s", path);
            found++;
        }
        cr_expect_gt(found, 12u);
        done();
    }
}

Test(report_json, a_task_without_answers_has_outputs_alone)
{
    sample_report_open(&s, 1, false);
    sample_report_classes(&s);
    mc_outcome *o = &sample_report_data(&s)->outcome[0];
    o->task = "outputs";
    o->output_sqnr_db = (double)INFINITY;
    read_back();
    cr_expect(is_null("model/output_sqnr_db"));
    cr_expect(mc_json_as_bool(at("model/exact"), false));
    cr_expect_null(at("model/accuracy"));
    done();
}

/* A perplexity that is no number must not make the report look like one of another task. */
Test(report_json, language_that_went_wrong_stays_language)
{
    sample_report_open(&s, 1, false);
    sample_report_language(&s);
    mc_outcome *o = &sample_report_data(&s)->outcome[0];
    o->perplexity = o->perplexity_ratio = o->kl_mean = (double)NAN;
    read_back();
    cr_expect(is_null("model/perplexity"));
    cr_expect(is_null("model/kl_mean"));
    cr_expect_eq(num_at("model/window"), 128.0);
    done();
}

Test(report_json, numerics_say_what_was_measured_and_how)
{
    sample_report_open(&s, 1, false);
    sample_report_classes(&s);
    read_back();
    cr_expect_str_eq(text_at("numerics/simulated"), "fake-quant");
    cr_expect_str_eq(text_at("numerics/activations"), "int8 dynamic, measured");
    cr_expect_str_eq(text_at("numerics/rounding"), "half to even");
    cr_expect_str_eq(text_at("numerics/accumulator"), "float32");
    mc_json_free(json);
    free(text);
    sample_report_data(&s)->simulated = "integer";
    read_back();
    cr_expect_str_eq(text_at("numerics/accumulator"), "int32");
    done();
}

Test(report_json, gates_on_data_are_null_without_and_marked_when_too_fine)
{
    sample_report_open(&s, 1, false);
    sample_report_gates_on_data(&s);
    read_back();
    cr_expect(is_null("gates/0/value"));
    cr_expect_not(mc_json_as_bool(at("gates/0/pass"), true));
    cr_expect_not(mc_json_as_bool(at("gates/1/underpowered"), true));
    mc_json_free(json);
    free(text);
    sample_report_classes(&s);
    sample_report_gates_on_data(&s);
    read_back();
    cr_expect(mc_json_as_bool(at("gates/0/pass"), false));
    cr_expect_not(mc_json_as_bool(at("gates/0/underpowered"), true));
    cr_expect(mc_json_as_bool(at("gates/1/pass"), false));
    cr_expect(mc_json_as_bool(at("gates/1/underpowered"), false), "0.2 %% of 2,000 samples");
    cr_expect(is_null("gates/2/value"), "a classifier has no next token");
    done();
}

Test(report_json, texts_of_models_survive_whatever_they_are)
{
    static const char evil[] = "a\"b\\c\n<script>\x01 \xe2\x82\xac";
    sample_report_open(&s, 0, false);
    sample_report_language(&s);
    mc_data_report *d = sample_report_data(&s);
    d->outcome[0].name = evil;
    d->outcome[0].continuation[0].container = evil;
    d->site[0].name = evil;
    read_back();
    cr_expect_str_eq(text_at("model/name"), evil);
    cr_expect_str_eq(text_at("model/continuations/0/container"), evil);
    cr_expect_str_eq(text_at("sites/0/name"), evil);
    done();
}
