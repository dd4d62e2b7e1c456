/* The plan (see pipeline_plan.h): rules for each tensor, then the container's layout.
 *
 * A tensor's fate is decided in three steps: is it kept, how many bits, which grid and group. Each
 * step either leaves a reason in the entry or fails with the tensor's name. */
#include "cli/pipeline_plan.h"

#include "cli/pipeline_hash.h"
#include "cli/pipeline_stats.h"
#include "core/ckd.h"

#include <math.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

enum {
    GROUP_BITS = 4,     /* up to so many bits the default is a group, above it a row */
    GROUP = 32,         /* the default group */
    LEAST_GROUP = 8,    /* what halving stops at */
    SENSITIVE_BITS = 8, /* of embedding, head, router, and of tensors that no group fits */
};

typedef struct {
    mc_plan *plan;
    const mc_options *options;
    regex_t *keep, *bits; /* options->keeps, options->bits_rules */
    mc_arena *mem;
} maker;

/* ---- which rule is meant ---- */

static const char *kept_by_pattern(const maker *m, const char *name)
{
    for (size_t i = 0; i < m->options->keeps; i++)
        if (regexec(&m->keep[i], name, 0, NULL, 0) == 0)
            return mc_format(m->mem, "--keep %s", m->options->keep[i]);
    return NULL;
}

/* The last --bits rule that matches, or NULL. */
static const mc_bits_rule *bits_rule(const maker *m, const char *name)
{
    for (size_t i = m->options->bits_rules; i-- > 0;)
        if (regexec(&m->bits[i], name, 0, NULL, 0) == 0) return &m->options->bits[i];
    return NULL;
}

/* Why the tensor cannot be quantized at all, or NULL. */
static const char *impossible(const maker *m, const mc_tensor *t)
{
    const mc_dtype_info *about = mc_dtype_about(t->dtype);
    if (!about->is_float) return mc_format(m->mem, "%s is not a real number", about->name);
    if (!about->to_f32) return mc_format(m->mem, "%s has no conversion here", about->name);
    if (t->count == 0) return "no elements";
    return NULL;
}

static mc_purpose purpose_of(const maker *m, const mc_tensor *t)
{
    return m->plan->model->graph ? mc_purpose_in(&m->plan->sites, t->name) : mc_purpose_of(t->name);
}

/* Why the tensor is kept by default, or NULL. */
static const char *kept_by_default(const maker *m, const mc_tensor *t)
{
    if (t->ndim < 2) return t->ndim == 0 ? "a scalar" : "one dimension";
    const mc_purpose purpose = purpose_of(m, t);
    const bool kept = purpose == MC_PURPOSE_NORM_OR_BIAS || purpose == MC_PURPOSE_NO_SITE;
    return kept ? mc_purpose_name(purpose) : NULL;
}

/* ---- which grid ---- */

static const mc_levels *levels_for(const mc_options *o, double bits)
{
    if (bits < 1.5) return mc_levels_find("binary");
    if (bits < 2.0) return mc_levels_find("ternary");
    if (o->levels && bits == o->weight_bits) return mc_levels_find(o->levels);
    return mc_levels_int((unsigned)bits);
}

static mc_offset offset_for(const maker *m, const mc_levels *levels, bool asymmetric,
                            bool prefer_free)
{
    if (!asymmetric) return MC_OFFSET_NONE;
    if (levels->value || m->options->zero == MC_ZERO_FLOAT) return MC_OFFSET_FREE;
    if (m->options->zero == MC_ZERO_INTEGER) return MC_OFFSET_ZERO;
    return prefer_free && m->plan->target->float_offset ? MC_OFFSET_FREE : MC_OFFSET_ZERO;
}

/* Scales of 8-bit floats are part of a format of few bits: weights that have more bits instead
 * would lose to them what they are spared for. */
static mc_dtype scale_dtype_for(const mc_options *o, double bits)
{
    const mc_dtype asked = o->scale_dtype ? o->scale_dtype : MC_F16;
    return bits != o->weight_bits && mc_dtype_about(asked)->bits == 8 ? MC_F16 : asked;
}

static mc_grid grid_for(const maker *m, double bits, bool asymmetric, bool prefer_free)
{
    const mc_options *o = m->options;
    mc_grid grid = {
        .levels = levels_for(o, bits),
        .restricted = o->sym_grid == MC_SYM_GRID_RESTRICTED,
        .scale_dtype = scale_dtype_for(o, bits),
        .sub_bits = o->sub_bits,
        .super = o->super,
        .tensor_scaled = o->tensor_scaled && bits == o->weight_bits,
    };
    grid.offset = offset_for(m, grid.levels, asymmetric, prefer_free);
    if (grid.levels->value || grid.offset != MC_OFFSET_NONE) grid.restricted = false;
    grid.negative_scale = m->plan->target->negative_scale && o->sym_grid != MC_SYM_GRID_POSITIVE &&
                          grid.offset == MC_OFFSET_NONE && !grid.restricted &&
                          !grid.levels->value && grid.sub_bits == 0 &&
                          grid.scale_dtype != MC_F8_E8M0;
    return grid;
}

/* The grid of `bits` that `method` takes: symmetric unless said otherwise; a method that needs an
 * offset gets one. NULL reason when it takes it. */
static const char *choose_grid(const maker *m, const mc_quant_method *method, double bits,
                               mc_grid *grid)
{
    const mc_symmetry said = m->options->symmetry;
    *grid = grid_for(m, bits, said == MC_ASYM, true);
    if (grid->offset == MC_OFFSET_FREE && m->options->zero == MC_ZERO_UNSET &&
        !grid->levels->value && !method->prefers_free_offset)
        grid->offset = MC_OFFSET_ZERO;
    const char *why = method->refuses(grid);
    if (!why || said != MC_SYM_UNSET) return why;

    const mc_grid symmetric = *grid;
    *grid = grid_for(m, bits, true, true);
    if (!method->refuses(grid)) return NULL;
    *grid = symmetric;
    return why;
}

/* ---- which group ---- */

/* Columns that share a scale: 0 for one scale in all. Zero columns of the asked group fit:
 * false. */
static bool group_for(const mc_options *o, double bits, uint64_t cols, uint64_t *group)
{
    switch (o->group_kind) {
    case MC_GROUP_TENSOR: *group = 0; return true;
    case MC_GROUP_CHANNEL: *group = cols; return true;
    case MC_GROUP_SIZE: *group = o->group; break;
    case MC_GROUP_UNSET: *group = bits <= GROUP_BITS ? GROUP : cols; break;
    }
    return *group <= cols && cols % *group == 0;
}

static uint64_t halved_group(uint64_t group, uint64_t cols)
{
    while (group >= LEAST_GROUP && (group > cols || cols % group != 0)) group /= 2;
    return group >= LEAST_GROUP ? group : 0;
}

static mc_status set_group(const maker *m, mc_plan_entry *entry, mc_weight_spec *w, double *bits,
                           mc_err *err)
{
    uint64_t asked = 0;
    if (group_for(m->options, *bits, w->cols, &asked)) {
        w->group = asked;
        return MC_OK;
    }
    if (m->options->no_fallback)
        return mc_fail(err, MC_E_UNSUPPORTED,
                       "tensor \"%s\": a group of %llu does not divide a row of %llu", w->name,
                       (unsigned long long)asked, (unsigned long long)w->cols);
    entry->fallback = true;
    w->group = halved_group(asked, w->cols);
    if (w->group) {
        entry->why = mc_format(m->mem, "group %llu: %llu does not divide a row of %llu",
                               (unsigned long long)w->group, (unsigned long long)asked,
                               (unsigned long long)w->cols);
        return MC_OK;
    }
    w->group = w->cols;
    if (*bits < SENSITIVE_BITS) *bits = SENSITIVE_BITS;
    if (asked < LEAST_GROUP)
        entry->why =
            mc_format(m->mem, "%d bits, one scale a row: %llu does not divide %llu", SENSITIVE_BITS,
                      (unsigned long long)asked, (unsigned long long)w->cols);
    else
        entry->why = mc_format(
            m->mem, "%d bits, one scale a row: no group from %llu down to %d divides %llu",
            SENSITIVE_BITS, (unsigned long long)asked, LEAST_GROUP, (unsigned long long)w->cols);
    return MC_OK;
}

/* ---- one tensor ---- */

static void describe(const mc_tensor *t, mc_weight_spec *w)
{
    *w = (mc_weight_spec){
        .name = t->name, .form = MC_FORM_DENSE, .dtype = t->dtype, .ndim = t->ndim};
    memcpy(w->dim, t->dim, sizeof w->dim);
    mc_tensor_shape(t, &w->rows, &w->cols);
}

static mc_status keep_or_bits(const maker *m, mc_plan_entry *entry, double *bits, mc_err *err)
{
    const mc_tensor *t = entry->tensor;
    *bits = 0;
    if ((entry->why = kept_by_pattern(m, t->name)) != NULL) return MC_OK;

    const mc_bits_rule *rule = bits_rule(m, t->name);
    if (rule && rule->bits >= 16) {
        entry->why = mc_format(m->mem, "--bits %s=16", rule->pattern);
        return MC_OK;
    }
    entry->why = impossible(m, t);
    if (entry->why && rule && t->count)
        return mc_fail(err, MC_E_UNSUPPORTED, "tensor \"%s\": --bits %s asks for %g bits, but %s",
                       t->name, rule->pattern, rule->bits, entry->why);
    if (entry->why) return MC_OK;
    if (rule) {
        *bits = rule->bits;
        return MC_OK;
    }
    if ((entry->why = kept_by_default(m, t)) != NULL) return MC_OK;

    *bits = m->options->weight_bits;
    const mc_purpose purpose = purpose_of(m, t);
    if (purpose != MC_PURPOSE_WEIGHT && *bits < SENSITIVE_BITS) {
        *bits = SENSITIVE_BITS;
        entry->why = mc_purpose_name(purpose);
    }
    return MC_OK;
}

/* Options that would decide nothing for the tensors they are meant for. */
static mc_status refuse_idle(const maker *m, const mc_weight_spec *w, mc_err *err)
{
    const mc_options *o = m->options;
    if (o->zero != MC_ZERO_UNSET && w->grid.offset == MC_OFFSET_NONE)
        return mc_fail(err, MC_E_USAGE, "--zero: the grid is symmetric; it needs --asym");
    if (o->sym_grid != MC_SYM_GRID_UNSET &&
        (w->grid.offset != MC_OFFSET_NONE || w->grid.levels->value))
        return mc_fail(err, MC_E_USAGE, "--sym-grid: is for symmetric integers only");
    return MC_OK;
}

/* Two-level scales need several groups in a row. */
static mc_status take_plain_scales(const maker *m, mc_plan_entry *entry, mc_weight_spec *w,
                                   double bits, mc_err *err)
{
    static const char reason[] = "plain scales: one scale a row leaves none to share";
    w->grid.sub_bits = w->grid.super = 0;
    if (bits != m->options->weight_bits) return MC_OK; /* has its rule */
    if (m->options->no_fallback)
        return mc_fail(err, MC_E_UNSUPPORTED, "tensor \"%s\": two-level scales need groups",
                       w->name);
    entry->fallback = true;
    entry->why = entry->why ? mc_format(m->mem, "%s; %s", entry->why, reason) : reason;
    return MC_OK;
}

static mc_status set_grid(const maker *m, mc_plan_entry *entry, mc_weight_spec *w, double bits,
                          mc_err *err)
{
    mc_plan *plan = m->plan;
    const char *refused = choose_grid(m, plan->asked.method, bits, &w->grid);
    entry->setup = &plan->asked;
    if (refused && m->options->method && bits == m->options->weight_bits)
        return mc_fail(err, MC_E_USAGE, "tensor \"%s\": method %s: %s", w->name,
                       plan->asked.method->name, refused);
    if (refused) {
        entry->setup = &plan->other;
        refused = choose_grid(m, plan->other.method, bits, &w->grid);
    }
    if (refused)
        return mc_fail(err, MC_E_USAGE, "tensor \"%s\": method %s: %s", w->name,
                       entry->setup->method->name, refused);

    if (bits == m->options->weight_bits) MC_TRY(refuse_idle(m, w, err));
    if (w->grid.sub_bits && (w->group == w->cols || w->group == 0))
        MC_TRY(take_plain_scales(m, entry, w, bits, err));
    if (mc_grid_check(&w->grid, err) != MC_OK) return mc_wrap(err, "tensor \"%s\"", w->name);

    const char *cannot = plan->target->refuses ? plan->target->refuses(w) : NULL;
    if (cannot)
        return mc_fail(err, MC_E_UNSUPPORTED, "tensor \"%s\": target %s: %s", w->name,
                       plan->target->name, cannot);
    return MC_OK;
}

static mc_status plan_tensor(const maker *m, size_t i, mc_err *err)
{
    mc_plan_entry *entry = &m->plan->entry[i];
    mc_weight_spec *w = &m->plan->weight[i];
    describe(entry->tensor, w);

    double bits;
    MC_TRY(keep_or_bits(m, entry, &bits, err));
    if (bits == 0) return MC_OK;

    w->form = MC_FORM_QUANTIZED;
    const mc_site *site = mc_sites_of(&m->plan->sites, w->name);
    if (site && site->transposed) mc_weight_transpose(w);
    MC_TRY(set_group(m, entry, w, &bits, err));
    return set_grid(m, entry, w, bits, err);
}

/* ---- the whole ---- */

static mc_status compile_patterns(maker *m, mc_err *err)
{
    const mc_options *o = m->options;
    m->keep = MC_NEW(m->mem, regex_t, o->keeps + 1);
    m->bits = MC_NEW(m->mem, regex_t, o->bits_rules + 1);
    if (!m->keep || !m->bits) return mc_no_room(err, "patterns");
    for (size_t i = 0; i < o->keeps; i++)
        if (regcomp(&m->keep[i], o->keep[i], REG_EXTENDED | REG_NOSUB) != 0)
            return mc_fail(err, MC_E_USAGE, "--keep %s: not a regular expression", o->keep[i]);
    for (size_t i = 0; i < o->bits_rules; i++)
        if (regcomp(&m->bits[i], o->bits[i].pattern, REG_EXTENDED | REG_NOSUB) != 0)
            return mc_fail(err, MC_E_USAGE, "--bits %s: not a regular expression",
                           o->bits[i].pattern);
    return MC_OK;
}

static void free_patterns(maker *m)
{
    for (size_t i = 0; m->keep && i < m->options->keeps; i++) regfree(&m->keep[i]);
    for (size_t i = 0; m->bits && i < m->options->bits_rules; i++) regfree(&m->bits[i]);
}

/* What "auto" stands for here, or --method as it was said. */
static const char *method_of(const mc_plan *plan)
{
    const mc_options *o = plan->options;
    if (o->method && strcmp(o->method, "auto") != 0) return o->method;
    if (!o->method && !o->calib) return mc_quant_usual(o->weight_bits)->name;
    return mc_calib_auto(o->weight_bits, plan->calib_kind, plan->sequential, plan->model->graph);
}

static mc_status set_methods(mc_plan *plan, mc_err *err)
{
    const mc_options *o = plan->options;
    MC_TRY(mc_plan_calib_kind(plan, err));
    plan->method = method_of(plan);
    MC_TRY(mc_chain_parse(plan->method, &plan->chain, err));
    if (!plan->chain.rounding.method)
        MC_TRY(
            mc_quant_setup_parse(mc_quant_usual(o->weight_bits)->name, &plan->chain.rounding, err));
    plan->asked = plan->chain.rounding;
    MC_TRY(mc_quant_setup_parse(mc_quant_usual(SENSITIVE_BITS)->name, &plan->other, err));
    return mc_plan_calibration(plan, err);
}

/* config.json and the tokenizer travel with the weights, unless --no-side-files. */
static mc_status set_sides(mc_plan *plan, mc_arena *mem, mc_err *err)
{
    const mc_model *model = plan->model;
    plan->side = MC_NEW(mem, mc_side_file, model->sources + 1);
    if (!plan->side) return mc_no_room(err, "side files");
    if (plan->options->no_side_files) return MC_OK;
    for (size_t i = 0; i < model->sources; i++) {
        const mc_source *s = &model->source[i];
        if (strcmp(s->role, "config") != 0 && strcmp(s->role, "tokenizer") != 0) continue;
        const char *slash = strrchr(s->path, '/');
        plan->side[plan->sides++] =
            (mc_side_file){slash ? slash + 1 : s->path, s->map.data, s->map.size};
    }
    return MC_OK;
}

static mc_numerics numerics_of(const mc_options *o)
{
    mc_numerics n = {.activation_bits = 16, .kv_bits = 16, .activation_mode = MCPK_ACT_NONE};
    if (o->activation_bits && o->activation_bits < 16) {
        n.activation_bits = (uint8_t)o->activation_bits;
        n.activation_mode = MCPK_ACT_DYNAMIC;
    }
    if (o->act == MC_ACT_KIND_STATIC && n.activation_bits < 16) n.activation_mode = MCPK_ACT_STATIC;
    if (o->kv_bits && o->kv_bits < 16) n.kv_bits = (uint8_t)o->kv_bits;
    return n;
}

static mc_status set_layout(mc_plan *plan, mc_arena *mem, mc_err *err)
{
    const mc_kv_spec *kv = plan->kv.bits < 16 || plan->kv.hadamard ? &plan->kv : NULL;
    const mc_numerics numerics =
        mc_site_numerics(plan->act, plan->acts, kv, numerics_of(plan->options));
    plan->container.numerics = numerics;
    char *manifest = mc_plan_manifest(plan, NULL);
    if (!manifest) return mc_no_room(err, "the manifest");
    plan->container = (mc_container_spec){
        .weight = plan->weight,
        .weights = plan->entries,
        .side = plan->side,
        .sides = plan->sides,
        .manifest_bytes = strlen(manifest),
        .align = plan->options->align ? plan->options->align : plan->target->align,
        .target = plan->target->id,
        .numerics = numerics,
        .act = plan->act,
        .acts = plan->acts,
        .kv = kv,
        .compress = plan->options->compress,
    };
    free(manifest);
    return mc_container_layout(&plan->container, mem, &plan->layout, err);
}

/* --levels belongs to the bits of the scheme. */
static mc_status check_levels(const mc_options *o, mc_err *err)
{
    if (!o->levels) return MC_OK;
    const mc_levels *levels = mc_levels_find(o->levels);
    if (levels && (double)levels->bits == o->weight_bits) return MC_OK;
    return mc_fail(err, MC_E_USAGE, "--levels %s: has codes of %u bits, the scheme asks for %g",
                   o->levels, levels ? levels->bits : 0u, o->weight_bits);
}

static mc_status set_target(mc_plan *plan, mc_err *err)
{
    MC_TRY(check_levels(plan->options, err));
    const char *name = plan->options->target ? plan->options->target : "generic";
    plan->target = mc_target_find(name);
    if (!plan->target)
        return mc_fail(err, MC_E_USAGE,
                       "--target %s: no such target; `mcompress targets` lists them", name);
    if (plan->options->zero == MC_ZERO_FLOAT && !plan->target->float_offset)
        return mc_fail(err, MC_E_UNSUPPORTED, "--zero float: target %s holds integer zeros only",
                       plan->target->name);
    return MC_OK;
}

/* As the source files hold them, so that a run reads each from front to back. */
static int by_place(const void *a, const void *b)
{
    const mc_tensor *s = ((const mc_plan_entry *)a)->tensor;
    const mc_tensor *t = ((const mc_plan_entry *)b)->tensor;
    if (s->source != t->source) return s->source < t->source ? -1 : 1;
    if (s->data != t->data) return (uintptr_t)s->data < (uintptr_t)t->data ? -1 : 1;
    return strcmp(s->name, t->name); /* at most one of them has bytes */
}

static void order_tensors(mc_plan *plan)
{
    for (size_t i = 0; i < plan->entries; i++) plan->entry[i].tensor = &plan->model->tensor[i];
    qsort(plan->entry, plan->entries, sizeof *plan->entry, by_place);
}

static mc_status plan_tensors(maker *m, mc_err *err)
{
    mc_plan *plan = m->plan;
    if (plan->model->graph) MC_TRY(mc_sites_find(plan->model->graph, m->mem, &plan->sites, err));
    MC_TRY(compile_patterns(m, err));
    for (size_t i = 0; i < plan->entries; i++) {
        MC_TRY(plan_tensor(m, i, err));
        plan->tensor_bytes += plan->entry[i].tensor->bytes;
        if (!plan->entry[i].setup) continue;
        plan->quantized_tensors++;
        plan->by_asked += plan->entry[i].setup == &plan->asked;
        plan->fallbacks += plan->entry[i].fallback;
        plan->quantized += plan->entry[i].tensor->count;
        plan->quantized_bytes += mc_weight_bytes(&plan->weight[i]);
    }
    return MC_OK;
}

/* A transposed tensor is read column by column: all its pages are in use until it is done. */
static uint64_t largest_transposed(const mc_plan *plan)
{
    uint64_t most = 0;
    for (size_t i = 0; i < plan->entries; i++)
        if (plan->weight[i].transposed && plan->entry[i].tensor->bytes > most)
            most = plan->entry[i].tensor->bytes;
    return most;
}

/* Everything resident at the peak: slots and scratch of all threads, the pages of the source under
 * way, the tables, and the program itself with its libraries. */
static uint64_t memory_estimate(const mc_plan *plan, unsigned threads)
{
    enum { PROGRAM = 24 << 20, WINDOW = 8 << 20 };
    const uint64_t scratch = (uint64_t)threads * (mc_plan_scratch_bytes(plan) + WINDOW);
    const uint64_t slots = mc_stream_slots(threads) * mc_plan_slot_bytes(plan);
    const uint64_t tables = plan->layout.front_bytes * 4 + plan->entries * 1024;
    /* A compressed container is inflated when it is opened again. */
    const uint64_t inflated = plan->container.compress ? plan->layout.file_bytes : 0;
    return PROGRAM + scratch + slots + tables + inflated + largest_transposed(plan) +
           mc_hash_lanes_window();
}

size_t mc_plan_memory(const mc_model *model, const mc_options *options)
{
    enum {
        EACH = 4096,
        BYTES_PER_PIECE = 1024
    }; /* far more than an entry takes; a piece is more bytes */
    uint64_t bytes = (uint64_t)1 << 20;
    for (size_t i = 0; i < model->tensors; i++)
        bytes += EACH + model->tensor[i].bytes / BYTES_PER_PIECE;
    if (model->graph)
        bytes += (model->graph->values + 4 * model->graph->nodes) * 2 * sizeof(mc_site);
    /* Laid out twice when calibration edits what is kept. */
    return 2 * (size_t)bytes + (options->keeps + options->bits_rules) * sizeof(regex_t) * 2;
}

mc_status mc_plan_lay_out(mc_plan *plan, mc_arena *mem, mc_err *err)
{
    MC_TRY(set_layout(plan, mem, err));
    return mc_plan_cut(plan, mem, err);
}

mc_status mc_plan_make(const mc_model *model, const mc_options *options, unsigned threads,
                       mc_arena *mem, mc_plan *plan, mc_err *err)
{
    *plan = (mc_plan){.model = model, .options = options, .entries = model->tensors};
    plan->entry = MC_NEW(mem, mc_plan_entry, plan->entries + 1);
    plan->weight = MC_NEW(mem, mc_weight_spec, plan->entries + 1);
    if (!plan->entry || !plan->weight) return mc_no_room(err, "the plan");

    MC_TRY(set_target(plan, err));
    MC_TRY(set_methods(plan, err));
    MC_TRY(set_sides(plan, mem, err));
    plan->source_bytes = mc_model_weight_bytes(model);
    for (size_t i = 0; i < plan->sides; i++) plan->source_bytes += plan->side[i].bytes;

    order_tensors(plan);
    maker m = {.plan = plan, .options = options, .mem = mem};
    mc_status status = plan_tensors(&m, err);
    if (status == MC_OK)
        choose_grid(&m, plan->asked.method, options->weight_bits, &plan->usual_grid);
    plan->usual_group =
        options->group_kind == MC_GROUP_SIZE ? options->group
        : options->group_kind == MC_GROUP_UNSET && options->weight_bits <= GROUP_BITS ? GROUP
                                                                                      : 0;
    free_patterns(&m);
    MC_TRY(status);

    MC_TRY(mc_plan_lay_out(plan, mem, err));
    plan->memory_bytes = memory_estimate(plan, threads);
    return MC_OK;
}
