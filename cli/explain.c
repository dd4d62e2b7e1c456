/* What is told: what the plan decided and by which rule, what the weight met, what the method made
 * of it. */
#include "cli/explain.h"

#include "core/nearest.h"
#include "core/scheme.h"

#include <math.h>
#include <string.h>

/* What is known of one tensor. */
typedef struct {
    const mc_plan *plan;
    const mc_plan_entry *entry;
    const mc_weight_spec *spec;
    const mc_made_entry *now;    /* NULL: nothing was chosen with data */
    const mc_quant_setup *setup; /* NULL: kept */
    size_t edits;
    double ends; /* share of its codes at the ends of their range; NAN: not known */
} told;

static bool look_up(const mc_plan *plan, const mc_made *made, const char *name, told *out)
{
    for (size_t e = 0; e < plan->entries; e++) {
        if (strcmp(plan->entry[e].tensor->name, name) != 0) continue;
        *out = (told){.plan = plan, .entry = &plan->entry[e], .spec = &plan->weight[e]};
        out->setup = out->entry->setup;
        if (!made) return true;
        out->now = &made->entry[e];
        out->edits = mc_edits_of(made->edits, plan->entry[e].tensor);
        if (out->now->coded) out->setup = out->now->setup;
        return true;
    }
    return false;
}

mc_status mc_explain_check(const mc_plan *plan, mc_err *err)
{
    for (size_t i = 0; i < plan->options->explains; i++) {
        told t;
        const char *name = plan->options->explain[i];
        if (look_up(plan, NULL, name, &t)) continue;
        mc_nearest nearest = {.text = name, .length = strlen(name)};
        for (size_t e = 0; e < plan->entries; e++)
            mc_nearest_offer(&nearest, plan->entry[e].tensor->name);
        const char *near = mc_nearest_best(&nearest);
        return mc_fail(err, MC_E_USAGE, "--explain %s: no such tensor%s%s%s", name,
                       near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
    }
    return MC_OK;
}

/* ---- text ---- */

static void add_method(mc_text *out, const told *t)
{
    mc_text_addf(out, "  method      %s", t->setup->method->name);
    for (size_t i = 0; i < MC_QUANT_PARAMS && t->setup->method->params[i].key; i++) {
        mc_text_addf(out, "%c%s=", i ? ',' : ':', t->setup->method->params[i].key);
        mc_text_add_short(out, t->setup->param[i]);
    }
    if (t->now && t->now->why) mc_text_addf(out, " (not %s: %s)", t->plan->method, t->now->why);
    mc_text_add(out, "\n");
}

static void add_loss(mc_text *out, const mc_quant_facts *facts)
{
    if (facts->start <= 0.0) return;
    mc_text_add(out, "  objective   ");
    mc_text_add_short(out, facts->start);
    mc_text_add(out, " at the start, ");
    mc_text_add_short(out, facts->end);
    mc_text_add(out, " in the end (");
    mc_text_add_fixed(out, 100.0 * facts->end / facts->start, 1);
    mc_text_add(out, " %)\n");
}

static void add_data(mc_text *out, const told *t)
{
    const mc_made_entry *now = t->now;
    if (t->edits) mc_text_addf(out, "  edits       %zu by transforms and biases\n", t->edits);
    if (!now->coded) return;
    if (now->rows_seen)
        mc_text_addf(out, "  met         %llu rows of %zu inputs\n",
                     (unsigned long long)now->rows_seen, now->q.cols);
    const mc_quant_facts *facts = &now->facts;
    if (facts->damp > 0.0) {
        mc_text_add(out, "  damping     ");
        mc_text_add_short(out, facts->damp);
        mc_text_addf(out, " of the mean diagonal%s\n",
                     facts->floor > 0.0 ? ", and a floor under it" : "");
    }
    if (facts->dead) mc_text_addf(out, "  dead        %zu inputs were never but 0\n", facts->dead);
    add_loss(out, facts);
    if (now->no_bias) mc_text_addf(out, "  bias        not corrected: %s\n", now->no_bias);
}

static void add_ends(mc_text *out, const told *t)
{
    if (isnan(t->ends)) return;
    mc_text_add(out, "  at the ends ");
    mc_text_add_fixed(out, 100.0 * t->ends, 2);
    mc_text_add(out, " % of the codes are the range's first or last\n");
}

static void add_tensor(mc_text *out, const told *t)
{
    char scheme[MC_SCHEME_TEXT];
    mc_scheme_text(t->spec, scheme);
    mc_text_addf(out, "%s\n  scheme      %s\n", t->entry->tensor->name, scheme);
    if (t->entry->why)
        mc_text_addf(out, "  rule        %s%s\n", t->entry->why,
                     t->entry->fallback ? " (a fallback)" : "");
    if (t->setup) add_method(out, t);
    if (t->now) add_data(out, t);
    add_ends(out, t);
}

/* Of the codes that were chosen with data. What was clipped is among those at the ends. */
static double share_of_ends(const told *t)
{
    if (!t->now || !t->now->coded) return (double)NAN;
    const mc_qmat *q = &t->now->q;
    const unsigned first = mc_grid_first(&q->grid), last = mc_grid_codes(&q->grid) - 1;
    size_t ends = 0;
    for (size_t i = 0; i < q->rows * q->cols; i++)
        ends += q->code[i] == first || q->code[i] == last;
    return (double)ends / (double)(q->rows * q->cols);
}

void mc_explain_text(const mc_plan *plan, const mc_made *made, mc_text *out)
{
    for (size_t i = 0; i < plan->options->explains; i++) {
        told t;
        if (!look_up(plan, made, plan->options->explain[i], &t)) continue;
        t.ends = share_of_ends(&t);
        mc_text_add(out, "\n");
        add_tensor(out, &t);
    }
}

/* ---- JSON ---- */

static void add_json(mc_json_out *out, const told *t)
{
    mc_json_object(out, NULL);
    mc_json_text(out, "name", t->entry->tensor->name);
    if (t->spec->form == MC_FORM_QUANTIZED)
        mc_scheme_json(t->spec, out);
    else
        mc_json_text(out, "kept_as", mc_dtype_about(t->spec->dtype)->name);
    if (t->entry->why) mc_json_text(out, "rule", t->entry->why);
    mc_json_bool(out, "fallback", t->entry->fallback);
    if (t->setup) mc_json_text(out, "method", t->setup->method->name);
    if (t->now && t->now->why) mc_json_text(out, "not_the_method_asked", t->now->why);
    if (t->now) mc_json_u64(out, "edits", t->edits);
    if (t->now && t->now->coded) {
        const mc_quant_facts *facts = &t->now->facts;
        mc_json_u64(out, "rows_seen", t->now->rows_seen);
        mc_json_num(out, "damping", facts->damp);
        mc_json_num(out, "floor", facts->floor);
        mc_json_u64(out, "dead_inputs", facts->dead);
        mc_json_num(out, "objective_start", facts->start);
        mc_json_num(out, "objective_end", facts->end);
        mc_json_num(out, "at_range_ends", t->ends);
        if (t->now->no_bias) mc_json_text(out, "bias_not_corrected", t->now->no_bias);
    }
    mc_json_end(out);
}

void mc_explain_json(const mc_plan *plan, const mc_made *made, mc_json_out *out)
{
    if (plan->options->explains == 0) return;
    mc_json_array(out, "explain");
    for (size_t i = 0; i < plan->options->explains; i++) {
        told t;
        if (!look_up(plan, made, plan->options->explain[i], &t)) continue;
        t.ends = share_of_ends(&t);
        add_json(out, &t);
    }
    mc_json_end(out);
}
