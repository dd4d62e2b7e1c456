/* The manifest: what a container is made from and how, without a path, a clock or a machine in it.
 *
 * The recipe holds every option that decides a byte, so that the same recipe on the same inputs
 * gives the same container; "auto" stands for the rules of pipeline_plan.h. */
#include "cli/pipeline_plan.h"
#include "core/scheme.h"
#include "core/json.h"

#include <string.h>

static const char *symmetry_name(mc_symmetry symmetry)
{
    return symmetry == MC_SYM ? "sym" : symmetry == MC_ASYM ? "asym" : "auto";
}

static void add_group(mc_json_out *out, const mc_options *o)
{
    switch (o->group_kind) {
    case MC_GROUP_UNSET: mc_json_text(out, "group", "auto"); break;
    case MC_GROUP_CHANNEL: mc_json_text(out, "group", "channel"); break;
    case MC_GROUP_TENSOR: mc_json_text(out, "group", "tensor"); break;
    case MC_GROUP_SIZE: mc_json_u64(out, "group", o->group); break;
    }
}

/* A link of the chain with its parameters. */
static void add_link(mc_json_out *out, const char *key, const char *name,
                     const mc_setup_param *params, const double *value)
{
    mc_json_object(out, key);
    mc_json_text(out, "name", name);
    for (size_t i = 0; i < MC_SETUP_PARAMS && params[i].key; i++)
        mc_json_num(out, params[i].key, value[i]);
    mc_json_end(out);
}

static void add_chain(mc_json_out *out, const mc_chain *chain)
{
    const mc_quant_setup *rounding = &chain->rounding;
    add_link(out, "method", rounding->method->name, rounding->method->params, rounding->param);
    bool corrects = false;
    for (size_t i = 0; mc_correction_at(i); i++) corrects |= chain->correct[i];
    if (chain->transforms) mc_json_array(out, "transforms");
    for (size_t i = 0; i < chain->transforms; i++)
        add_link(out, NULL, chain->transform[i].transform->name,
                 chain->transform[i].transform->params, chain->transform[i].setup.param);
    if (chain->transforms) mc_json_end(out);
    if (corrects) mc_json_array(out, "corrections");
    for (size_t i = 0; mc_correction_at(i); i++)
        if (chain->correct[i]) mc_json_text(out, NULL, mc_correction_at(i)->name);
    if (corrects) mc_json_end(out);
}

static void add_calibration(mc_json_out *out, const mc_plan *plan)
{
    if (!plan->calibrated) return;
    mc_json_object(out, "calibration");
    mc_json_text(out, "data", plan->calib_data ? plan->calib_data : "");
    mc_json_u64(out, "samples", plan->calib_samples);
    mc_json_u64(out, "tokens", plan->calib_tokens);
    mc_json_bool(out, "sequential", plan->sequential);
    if (plan->act_static) {
        mc_json_bool(out, "activations_per_channel", plan->act_per_channel);
        add_link(out, "observer", plan->observer.observer->name, plan->observer.observer->params,
                 plan->observer.param);
    }
    mc_json_end(out);
}

static void add_exceptions(mc_json_out *out, const mc_options *o)
{
    mc_json_array(out, "bits_rules");
    for (size_t i = 0; i < o->bits_rules; i++) {
        mc_json_object(out, NULL);
        mc_json_text(out, "pattern", o->bits[i].pattern);
        mc_json_num(out, "bits", o->bits[i].bits);
        mc_json_end(out);
    }
    mc_json_end(out);
    mc_json_array(out, "keep");
    for (size_t i = 0; i < o->keeps; i++) mc_json_text(out, NULL, o->keep[i]);
    mc_json_end(out);
}

static void add_recipe(mc_json_out *out, const mc_plan *plan)
{
    const mc_options *o = plan->options;
    mc_json_object(out, "recipe");
    mc_json_text(out, "schema", "mcompress-recipe/1");
    mc_json_array(out, "stages");
    mc_json_object(out, NULL);
    mc_json_text(out, "stage", "quantize");
    mc_json_num(out, "weight_bits", o->weight_bits);
    mc_json_u64(out, "activation_bits", o->activation_bits ? o->activation_bits : 16);
    mc_json_u64(out, "kv_bits", o->kv_bits ? o->kv_bits : 16);
    add_chain(out, &plan->chain);
    add_calibration(out, plan);
    add_group(out, o);
    mc_json_text(out, "symmetry", symmetry_name(o->symmetry));
    mc_json_text(out, "sym_grid", o->sym_grid == MC_SYM_GRID_RESTRICTED ? "restricted"
                 : o->sym_grid == MC_SYM_GRID_POSITIVE ? "positive"
                                                       : "full");
    mc_json_text(out, "zero",
                 o->zero == MC_ZERO_FLOAT     ? "float"
                 : o->zero == MC_ZERO_INTEGER ? "integer"
                                              : "auto");
    mc_json_text(out, "levels", o->levels ? o->levels : "integers");
    mc_json_text(out, "scale_dtype",
                 mc_dtype_about(o->scale_dtype ? o->scale_dtype : MC_F16)->name);
    if (o->tensor_scaled) mc_json_bool(out, "tensor_scale", true);
    if (o->sub_bits) {
        mc_json_u64(out, "sub_scale_bits", o->sub_bits);
        mc_json_u64(out, "super_groups", o->super);
    }
    add_exceptions(out, o);
    mc_json_bool(out, "fallback", !o->no_fallback);
    mc_json_end(out);
    mc_json_end(out);
    mc_json_text(out, "target", plan->target->name);
    mc_json_u64(out, "align", o->align ? o->align : plan->target->align);
    mc_json_bool(out, "compress", o->compress);
    mc_json_bool(out, "side_files", !o->no_side_files);
    mc_json_end(out);
}

static void add_inputs(mc_json_out *out, const mc_plan *plan,
                       const uint8_t (*digest)[MC_SHA256_BYTES])
{
    static const uint8_t zeros[MC_SHA256_BYTES];
    mc_json_array(out, "inputs");
    for (size_t i = 0; i < plan->model->sources; i++) {
        char hex[MC_SHA256_HEX];
        mc_hex(digest ? digest[i] : zeros, MC_SHA256_BYTES, hex);
        mc_json_object(out, NULL);
        mc_json_text(out, "role", plan->model->source[i].role);
        mc_json_u64(out, "bytes", plan->model->source[i].map.size);
        mc_json_text(out, "sha256", hex);
        mc_json_end(out);
    }
    mc_json_end(out);
}

/* The tensors with a reason of their own: kept ones, and those that fell back. */
static void add_reasons(mc_json_out *out, const mc_plan *plan)
{
    mc_json_object(out, "kept");
    for (size_t i = 0; i < plan->entries; i++)
        if (!plan->entry[i].setup) mc_json_text(out, plan->weight[i].name, plan->entry[i].why);
    mc_json_end(out);
    mc_json_object(out, "fallbacks");
    for (size_t i = 0; i < plan->entries; i++)
        if (plan->entry[i].fallback) mc_json_text(out, plan->weight[i].name, plan->entry[i].why);
    mc_json_end(out);
}

static void add_numerics(mc_json_out *out, const mc_numerics *n)
{
    char text[MC_NUMERICS_TEXT];
    mc_activations_text(n, text);
    mc_json_object(out, "numerics");
    mc_json_text(out, "activations", text);
    mc_json_bool(out, "activations_measured", n->measured);
    mc_json_u64(out, "kv_bits", n->kv_bits);
    mc_json_end(out);
}

char *mc_plan_manifest(const mc_plan *plan, const uint8_t (*digest)[MC_SHA256_BYTES])
{
    mc_err err;
    mc_json_out *out;
    if (mc_json_out_open(&out, &err) != MC_OK) return NULL;
    mc_json_object(out, NULL);
    mc_json_text(out, "schema", "mcompress-manifest/1");
    mc_json_object(out, "tool");
    mc_json_text(out, "name", "mcompress");
    mc_json_text(out, "version", MC_VERSION);
    mc_json_end(out);
    add_recipe(out, plan);
    add_inputs(out, plan, digest);
    add_numerics(out, &plan->container.numerics);
    add_reasons(out, plan);
    mc_json_object(out, "metadata");
    for (size_t i = 0; i < plan->model->metadatas; i++)
        mc_json_text(out, plan->model->metadata[i].key, plan->model->metadata[i].value);
    mc_json_end(out);
    mc_json_end(out);
    char *text = mc_json_done(out, false);
    mc_json_out_close(out);
    return text;
}
