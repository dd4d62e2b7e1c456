/* methods: the tables of transforms, methods, corrections, observers and presets. */
#include "cli/commands.h"
#include "calib/observe.h"
#include "cli/output.h"
#include "cli/presets.h"
#include "quant/chain.h"

/* One line of the table, whatever it is a method for. */
typedef struct {
    const char *kind, *name, *summary, *needs, *cost, *paper;
    const mc_setup_param *params; /* NULL: none */
} row;

typedef bool (*row_fn)(size_t i, row *out);

static bool transform_at(size_t i, row *out)
{
    const mc_transform *t = mc_transform_at(i);
    if (t) *out = (row){"transform", t->name, t->summary, t->needs, t->cost, t->paper, t->params};
    return t != NULL;
}

static bool rounding_at(size_t i, row *out)
{
    const mc_quant_method *m = mc_quant_at(i);
    if (m) *out = (row){"rounding", m->name, m->summary, m->needs, m->cost, m->paper, m->params};
    return m != NULL;
}

static bool correction_at(size_t i, row *out)
{
    const mc_correction *c = mc_correction_at(i);
    if (c) *out = (row){"correction", c->name, c->summary, c->needs, c->cost, c->paper, NULL};
    return c != NULL;
}

static bool observer_at(size_t i, row *out)
{
    const mc_observer *o = mc_observer_at(i);
    if (o)
        *out = (row){"observer",
                     o->name,
                     o->summary,
                     "calibration data",
                     "a histogram of every input, 1 ns per value",
                     o->paper,
                     o->params};
    return o != NULL;
}

static const struct {
    const char *title;
    row_fn at;
} tables[] = {
    {"Transforms, which keep what the model computes; any number, first in --method", transform_at},
    {"Methods that choose codes; one, the last of --method but for corrections", rounding_at},
    {"Corrections; compensate in front of the method, bias behind it", correction_at},
    {"Observers of static activations (--act static --observer NAME)", observer_at},
};

enum { TABLES = sizeof tables / sizeof tables[0] };

static const mc_setup_param *param_at(const row *r, size_t i)
{
    return r->params && i < MC_SETUP_PARAMS && r->params[i].key ? &r->params[i] : NULL;
}

static void add_row(mc_text *text, const row *r)
{
    mc_text_addf(text, "%s: %s\n", r->name, r->summary);
    mc_text_addf(text, "    needs %s\n    costs %s\n    %s\n", r->needs, r->cost, r->paper);
    const mc_setup_param *param;
    for (size_t i = 0; (param = param_at(r, i)); i++) {
        mc_text_addf(text, "    %s=", param->key);
        mc_text_add_short(text, param->usual);
        mc_text_add(text, " (");
        mc_text_add_short(text, param->least);
        mc_text_add(text, " to ");
        mc_text_add_short(text, param->most);
        mc_text_addf(text, "): %s\n", param->summary);
    }
}

static void add_presets(mc_text *text)
{
    mc_text_add(text, "Presets (--preset NAME); what the command line says itself wins\n");
    const mc_preset *preset;
    for (size_t i = 0; (preset = mc_preset_at(i)); i++)
        mc_text_addf(text, "\n%s: %s\n    %s\n", preset->name, preset->summary, preset->options);
}

static mc_status run_text(mc_err *err)
{
    mc_text text;
    mc_text_open(&text);
    for (size_t t = 0; t < TABLES; t++) {
        row r;
        mc_text_addf(&text, "%s\n", tables[t].title);
        for (size_t i = 0; tables[t].at(i, &r); i++) {
            mc_text_add(&text, "\n");
            add_row(&text, &r);
        }
        mc_text_add(&text, "\n\n");
    }
    add_presets(&text);
    return mc_print_text(&text, err);
}

/* ---- JSON ---- */

static void add_params_json(mc_json_out *json, const row *r)
{
    const mc_setup_param *param;
    mc_json_array(json, "parameters");
    for (size_t p = 0; (param = param_at(r, p)); p++) {
        mc_json_object(json, NULL);
        mc_json_text(json, "key", param->key);
        mc_json_text(json, "summary", param->summary);
        mc_json_num(json, "least", param->least);
        mc_json_num(json, "most", param->most);
        mc_json_num(json, "default", param->usual);
        mc_json_end(json);
    }
    mc_json_end(json);
}

static void add_row_json(mc_json_out *json, const row *r)
{
    mc_json_object(json, NULL);
    mc_json_text(json, "name", r->name);
    mc_json_text(json, "kind", r->kind);
    mc_json_text(json, "summary", r->summary);
    mc_json_text(json, "needs", r->needs);
    mc_json_text(json, "cost", r->cost);
    mc_json_text(json, "paper", r->paper);
    add_params_json(json, r);
    mc_json_end(json);
}

static mc_status run_json(mc_err *err)
{
    mc_json_out *json;
    MC_TRY(mc_json_out_open(&json, err));
    mc_json_object(json, NULL);
    mc_json_array(json, "methods");
    for (size_t t = 0; t < TABLES; t++) {
        row r;
        for (size_t i = 0; tables[t].at(i, &r); i++) add_row_json(json, &r);
    }
    mc_json_end(json);
    mc_json_array(json, "presets");
    const mc_preset *preset;
    for (size_t i = 0; (preset = mc_preset_at(i)); i++) {
        mc_json_object(json, NULL);
        mc_json_text(json, "name", preset->name);
        mc_json_text(json, "summary", preset->summary);
        mc_json_text(json, "options", preset->options);
        mc_json_end(json);
    }
    mc_json_end(json);
    mc_json_end(json);
    return mc_print_json(json, err);
}

static mc_status run(const mc_options *options, mc_err *err)
{
    return options->json ? run_json(err) : run_text(err);
}

const mc_command mc_cmd_methods = {
    .name = "methods",
    .args = "",
    .summary = "list methods and presets, with needs and parameters",
    .details = "Parameters are given behind the name: --method mse:norm=2.4.",
    .examples = "mcompress methods\n"
                "mcompress quantize --w3a16 --method hqq IN OUT\n",
    .run = run,
};
