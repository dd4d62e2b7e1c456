/* methods: the table of ways to choose codes. */
#include "cli/commands.h"
#include "cli/output.h"
#include "quant/quant.h"

static const mc_quant_param *param_at(const mc_quant_method *method, size_t i)
{
    return i < MC_QUANT_PARAMS && method->params[i].key ? &method->params[i] : NULL;
}

/* At most three decimals, none that say nothing. */
static void add_number(mc_text *text, double value)
{
    int decimals = 0;
    for (double scaled = value; decimals < 3 && scaled != (double)(int64_t)scaled; decimals++)
        scaled *= 10.0;
    mc_text_add_fixed(text, value, decimals);
}

static void add_method(mc_text *text, const mc_quant_method *method)
{
    mc_text_addf(text, "%s: %s\n", method->name, method->summary);
    mc_text_addf(text, "    needs %s\n    %s\n", method->needs, method->paper);
    const mc_quant_param *param;
    for (size_t i = 0; (param = param_at(method, i)); i++) {
        mc_text_addf(text, "    %s=", param->key);
        add_number(text, param->usual);
        mc_text_add(text, " (");
        add_number(text, param->least);
        mc_text_add(text, " to ");
        add_number(text, param->most);
        mc_text_addf(text, "): %s\n", param->summary);
    }
}

static mc_status run_json(mc_err *err)
{
    mc_json_out *json;
    MC_TRY(mc_json_out_open(&json, err));
    mc_json_object(json, NULL);
    mc_json_array(json, "methods");
    const mc_quant_method *method;
    for (size_t i = 0; (method = mc_quant_at(i)); i++) {
        mc_json_object(json, NULL);
        mc_json_text(json, "name", method->name);
        mc_json_text(json, "summary", method->summary);
        mc_json_text(json, "needs", method->needs);
        mc_json_text(json, "paper", method->paper);
        mc_json_array(json, "parameters");
        const mc_quant_param *param;
        for (size_t p = 0; (param = param_at(method, p)); p++) {
            mc_json_object(json, NULL);
            mc_json_text(json, "key", param->key);
            mc_json_text(json, "summary", param->summary);
            mc_json_num(json, "least", param->least);
            mc_json_num(json, "most", param->most);
            mc_json_num(json, "default", param->usual);
            mc_json_end(json);
        }
        mc_json_end(json);
        mc_json_end(json);
    }
    mc_json_end(json);
    mc_json_end(json);
    return mc_print_json(json, err);
}

static mc_status run(const mc_options *options, mc_err *err)
{
    if (options->json) return run_json(err);
    mc_text text;
    mc_text_open(&text);
    const mc_quant_method *method;
    for (size_t i = 0; (method = mc_quant_at(i)); i++) {
        if (i) mc_text_add(&text, "\n");
        add_method(&text, method);
    }
    return mc_print_text(&text, err);
}

const mc_command mc_cmd_methods = {
    .name = "methods",
    .args = "",
    .summary = "list the methods that choose codes, with their parameters",
    .details = "Parameters are given behind the name: --method mse:norm=2.4.",
    .examples = "mcompress methods\n"
                "mcompress quantize --w3a16 --method hqq IN OUT\n",
    .run = run,
};
