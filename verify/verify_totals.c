/* The totals of a report, and what the container says about itself. */
#include "verify/report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- sizes ---- */

static void split_container(const mc_container *c, mc_report *r)
{
    mc_size_split *split = &r->container_split;
    for (size_t i = 0; i < c->parts; i++) {
        const mcpk_part *part = &c->part[i];
        if (part->type == MCPK_SECTION_SIDE) split->side += part->stored;
        if (part->weight == MCPK_NO_WEIGHT) continue;
        if (part->role == MCPK_ROLE_DENSE)
            split->dense += part->stored;
        else if (part->role == MCPK_ROLE_CODES)
            split->codes += part->stored;
        else
            split->grids += part->stored;
    }
    r->container_bytes = c->map.size;
    split->frame = r->container_bytes - split->side - split->dense - split->codes - split->grids;
}

/* The source counts the files whose content the container holds: those with weights, and
 * those it carries along. */
static void split_source(const mc_model *reference, const mc_container *c, mc_report *r)
{
    mc_size_split *split = &r->source_split;
    for (size_t i = 0; i < r->tensors; i++) {
        const mc_tensor_report *t = &r->tensor[i];
        *(t->spec->form == MC_FORM_DENSE ? &split->dense : &split->codes) += t->source_bytes;
    }
    for (size_t i = 0; i < c->sides; i++) split->side += c->side[i].bytes;

    const uint64_t files = mc_model_weight_bytes(reference);
    split->frame = files - split->codes - split->dense;
    r->source_bytes = files + split->side;
}

/* ---- figures ---- */

typedef struct {
    double db;
    size_t finite;
    uint64_t bytes;
    uint64_t compared; /* parameters of weights that were held against the source's */
    double clipped, zeros;
} figures;

/* Is x worse than the worst so far? NaN is the worst of all, and stays. */
static bool is_below(double x, double least)
{
    return isnan(x) || x < least;
}
static bool is_above(double x, double most)
{
    return isnan(x) || x > most;
}

static void count_quantized(const mc_tensor_report *t, figures *sum, mc_report *r)
{
    const double count = (double)t->count;
    r->quantized++;
    r->quantized_parameters += t->count;
    sum->bytes += t->bytes;
    sum->zeros += t->zeros * count;
    r->edited += t->spec->edited;
    if (t->spec->edited) return; /* there is nothing to hold it against */
    sum->compared += t->count;
    sum->clipped += t->clipped * count;
    if (t->sqnr_db != (double)INFINITY) {
        sum->db += t->sqnr_db;
        sum->finite++;
    }
    if (is_below(t->sqnr_db, r->min_tensor_sqnr_db)) {
        r->min_tensor_sqnr_db = t->sqnr_db;
        r->worst_tensor = t->name;
    }
    if (is_above(t->max_abs_error, r->max_abs_error)) r->max_abs_error = t->max_abs_error;
    if (is_above(t->relative_error, r->max_relative_error))
        r->max_relative_error = t->relative_error;
}

static void sum_up(mc_report *r)
{
    figures sum = {0};
    r->min_tensor_sqnr_db = (double)INFINITY;
    for (size_t i = 0; i < r->tensors; i++) {
        r->parameters += r->tensor[i].count;
        if (r->tensor[i].spec->form == MC_FORM_QUANTIZED) count_quantized(&r->tensor[i], &sum, r);
    }
    const double count = (double)r->quantized_parameters;
    r->mean_tensor_sqnr_db = sum.finite ? sum.db / (double)sum.finite : (double)INFINITY;
    r->bits_per_weight = count > 0 ? 8.0 * (double)sum.bytes / count : (double)NAN;
    r->clipped = sum.compared > 0 ? sum.clipped / (double)sum.compared : 0.0;
    r->zeros = count > 0 ? sum.zeros / count : 0.0;
    if (r->edited == 0) return;
    r->min_tensor_sqnr_db = r->mean_tensor_sqnr_db = (double)NAN;
    r->max_abs_error = r->max_relative_error = r->clipped = (double)NAN;
    r->worst_tensor = NULL;
}

/* ---- order ---- */

typedef struct {
    bool carried;
    double db;
    size_t index;
} rank;

static int worse_first(const void *left, const void *right)
{
    const rank *a = left, *b = right;
    if (a->carried != b->carried) return a->carried ? 1 : -1;
    if (isnan(a->db) != isnan(b->db)) return isnan(a->db) ? -1 : 1;
    if (a->db < b->db) return -1;
    if (a->db > b->db) return 1;
    return a->index < b->index ? -1 : a->index > b->index;
}

static mc_status sort_tensors(mc_arena *mem, mc_report *r, mc_err *err)
{
    const size_t n = r->tensors;
    size_t *order = MC_NEW(mem, size_t, n ? n : 1);
    mc_arena loan = *mem;
    rank *ranks = MC_NEW(&loan, rank, n ? n : 1);
    if (!order || !ranks) return mc_no_room(err, "the order of the tensors");

    for (size_t i = 0; i < n; i++)
        ranks[i] = (rank){r->tensor[i].spec->form == MC_FORM_DENSE, r->tensor[i].sqnr_db, i};
    qsort(ranks, n, sizeof *ranks, worse_first);
    for (size_t i = 0; i < n; i++) order[i] = ranks[i].index;
    r->worst_first = order;
    return MC_OK;
}

/* ---- what the manifest tells ---- */

static mc_status hash_recipe(const mc_json *manifest, mc_report *r, mc_err *err)
{
    const mc_json *recipe = mc_json_get(manifest, "recipe");
    if (!recipe) return MC_OK;
    char *text = mc_json_print(recipe);
    if (!text) return mc_no_room(err, "the recipe");
    uint8_t digest[MC_SHA256_BYTES];
    const mc_status status = mc_sha256_of(text, strlen(text), digest, err);
    free(text);
    if (status == MC_OK) mc_hex(digest, sizeof digest, r->recipe_hash);
    return status;
}

typedef struct {
    const char *name;
    mc_tensor_report *tensor;
} named;

static int by_name(const void *left, const void *right)
{
    return strcmp(((const named *)left)->name, ((const named *)right)->name);
}

/* "kept" may have as many members as there are tensors. */
static mc_status read_kept(const mc_json *manifest, mc_arena *mem, mc_report *r, mc_err *err)
{
    named *list = MC_NEW(mem, named, r->tensors + 1);
    if (!list) return mc_no_room(err, "the names of the tensors");
    for (size_t i = 0; i < r->tensors; i++) list[i] = (named){r->tensor[i].name, &r->tensor[i]};
    qsort(list, r->tensors, sizeof *list, by_name);

    const mc_json *why = mc_json_first(mc_json_get(manifest, "kept"));
    for (; why; why = mc_json_next(why)) {
        const named key = {.name = mc_json_key(why)};
        const char *text = mc_json_as_text(why, NULL);
        const named *found =
            key.name && text ? bsearch(&key, list, r->tensors, sizeof *list, by_name) : NULL;
        if (!found || found->tensor->spec->form != MC_FORM_DENSE) continue;
        found->tensor->kept_because = mc_copy_text(mem, text, strlen(text));
        if (!found->tensor->kept_because) return mc_no_room(err, "the reasons of the manifest");
    }
    return MC_OK;
}

static mc_status read_manifest(const mc_container *c, mc_arena *mem, mc_report *r, mc_err *err)
{
    if (c->manifest_bytes == 0) return MC_OK;
    mc_json *manifest = NULL;
    MC_TRY(mc_json_parse(c->manifest, c->manifest_bytes, "manifest", &manifest, err));
    mc_status status = hash_recipe(manifest, r, err);
    if (status == MC_OK) status = read_kept(manifest, mem, r, err);
    mc_json_free(manifest);
    return status;
}

/* ---- all together ---- */

mc_status mc_verify_totals(const mc_model *reference, const mc_container *c, mc_arena *mem,
                           mc_report *out, mc_err *err)
{
    split_container(c, out);
    split_source(reference, c, out);
    sum_up(out);
    MC_TRY(sort_tensors(mem, out, err));
    out->numerics = c->numerics;
    mc_numerics_headline(&c->numerics, out->headline);
    mc_hex(c->root, sizeof c->root, out->container_hash);
    if (read_manifest(c, mem, out, err) != MC_OK) return mc_wrap(err, "%s", c->path);
    return MC_OK;
}
