/* The plan as text and as JSON: what --dry-run shows is what a run then does. */
#include "cli/explain.h"
#include "cli/output.h"
#include "cli/pipeline_plan.h"
#include "core/scheme.h"
#include "core/json.h"
#include "core/text.h"

#include <math.h>
#include <string.h>

static uint64_t bytes_after(const mc_plan *plan, size_t i)
{
    return plan->entry[i].setup ? mc_weight_bytes(&plan->weight[i]) : plan->entry[i].tensor->bytes;
}

double mc_plan_bits_per_weight(const mc_plan *plan)
{
    return plan->quantized ? 8.0 * (double)plan->quantized_bytes / (double)plan->quantized : 0.0;
}

void mc_plan_add_counts(mc_text *text, const mc_plan *plan)
{
    const size_t others = plan->quantized_tensors - plan->by_asked;
    mc_text_addf(text, "%zu quantized by %s", plan->by_asked, plan->method);
    if (others) mc_text_addf(text, ", %zu by %s", others, plan->other.method->name);
    mc_text_addf(text, ", %zu kept", plan->entries - plan->quantized_tensors);
    if (plan->fallbacks) mc_text_addf(text, ", %zu by fallback", plan->fallbacks);
}

static size_t longest_name(const mc_plan *plan)
{
    size_t most = 0;
    for (size_t i = 0; i < plan->entries; i++) {
        const size_t n = mc_name_width(plan->weight[i].name);
        if (n > most) most = n;
    }
    return most < 60 ? most : 60;
}

static void add_row(mc_text *text, const mc_plan *plan, size_t i, size_t width)
{
    const mc_plan_entry *entry = &plan->entry[i];
    char shape[160], scheme[MC_SCHEME_TEXT], before[MC_SIZE_TEXT], after[MC_SIZE_TEXT];
    mc_tensor_shape_text(entry->tensor, shape, sizeof shape);
    mc_scheme_text(&plan->weight[i], scheme);
    mc_size_text(entry->tensor->bytes, before);
    mc_size_text(bytes_after(plan, i), after);
    mc_text_add(text, "  ");
    mc_text_add_name(text, plan->weight[i].name, width);
    mc_text_addf(text, "  %-14s %-5s %10s -> %10s  ", shape,
                 mc_dtype_about(entry->tensor->dtype)->name, before, after);
    if (entry->setup) mc_text_addf(text, "%s: %s", entry->setup->method->name, scheme);
    if (entry->why)
        mc_text_addf(text, "%s%s%s%s",
                     entry->setup ? " (" : "kept: ", entry->fallback ? "fallback: " : "",
                     entry->why, entry->setup ? ")" : "");
    mc_text_add(text, "\n");
}

static void add_totals(mc_text *text, const mc_plan *plan, double seconds)
{
    char before[MC_SIZE_TEXT], after[MC_SIZE_TEXT], memory[MC_SIZE_TEXT];
    mc_size_text(plan->source_bytes, before);
    mc_size_text(plan->layout.file_bytes, after);
    mc_size_text(plan->memory_bytes, memory);
    mc_text_addf(text, "\n%zu tensors: ", plan->entries);
    mc_plan_add_counts(text, plan);
    mc_text_add(text, "\n");
    mc_text_addf(text, "size: %s -> container of %s%s (%llu bytes), ", before,
                 plan->container.compress ? "at most " : "", after,
                 (unsigned long long)plan->layout.file_bytes);
    mc_text_add_fixed(text, mc_plan_bits_per_weight(plan), 3);
    mc_text_addf(text, " bits per quantized weight\nestimate: at most %s of memory", memory);
    if (seconds >= 0) {
        mc_text_add(text, ", about ");
        mc_text_add_fixed(text, seconds, seconds < 10 ? 2 : 0);
        mc_text_add(text, " s");
    }
    mc_text_add(text, "\n");
}

char *mc_plan_text(const mc_plan *plan, double seconds)
{
    mc_text text;
    mc_text_open(&text);
    char headline[MC_HEADLINE_TEXT];
    mc_numerics_headline(&plan->container.numerics, headline);
    mc_text_addf(&text, "%s\n", headline);
    mc_text_addf(&text, "method %s, target %s\n\n", plan->method, plan->target->name);
    const size_t width = longest_name(plan);
    for (size_t i = 0; i < plan->entries; i++) add_row(&text, plan, i, width);
    add_totals(&text, plan, seconds);
    mc_explain_text(plan, NULL, &text);
    return mc_text_take(&text);
}

static void tensor_json(mc_json_out *out, const mc_plan *plan, size_t i)
{
    const mc_plan_entry *entry = &plan->entry[i];
    mc_json_object(out, NULL);
    mc_json_text(out, "name", plan->weight[i].name);
    mc_json_text(out, "dtype", mc_dtype_about(entry->tensor->dtype)->name);
    mc_json_array(out, "shape");
    for (int d = 0; d < entry->tensor->ndim; d++) mc_json_u64(out, NULL, entry->tensor->dim[d]);
    mc_json_end(out);
    mc_json_text(out, "form", mc_form_name(plan->weight[i].form));
    if (entry->setup) {
        mc_json_text(out, "method", entry->setup->method->name);
        mc_scheme_json(&plan->weight[i], out);
    }
    mc_json_u64(out, "source_bytes", entry->tensor->bytes);
    mc_json_u64(out, "bytes", bytes_after(plan, i));
    mc_json_bool(out, "fallback", entry->fallback);
    mc_json_text(out, "why", entry->why);
    mc_json_end(out);
}

char *mc_plan_json(const mc_plan *plan, double seconds)
{
    mc_err err;
    mc_json_out *out;
    if (mc_json_out_open(&out, &err) != MC_OK) return NULL;
    const mc_numerics *n = &plan->container.numerics;
    char activations[MC_NUMERICS_TEXT];
    mc_activations_text(n, activations);
    mc_json_object(out, NULL);
    mc_json_text(out, "schema", "mcompress-plan/1");
    mc_json_text(out, "method", plan->method);
    mc_json_text(out, "target", plan->target->name);
    mc_json_text(out, "activations", activations);
    mc_json_bool(out, "activations_measured", n->measured);
    mc_json_u64(out, "kv_bits", n->kv_bits);
    mc_json_u64(out, "source_bytes", plan->source_bytes);
    mc_json_u64(out, "container_bytes", plan->layout.file_bytes);
    mc_json_bool(out, "container_bytes_is_upper_bound", plan->container.compress);
    mc_json_num(out, "bits_per_weight", mc_plan_bits_per_weight(plan));
    mc_json_u64(out, "memory_bytes", plan->memory_bytes);
    mc_json_num(out, "seconds", seconds >= 0 ? seconds : (double)NAN);
    mc_json_array(out, "tensors");
    for (size_t i = 0; i < plan->entries; i++) tensor_json(out, plan, i);
    mc_json_end(out);
    mc_explain_json(plan, NULL, out);
    mc_json_end(out);
    char *text = mc_json_done(out, true);
    mc_json_out_close(out);
    return text;
}
