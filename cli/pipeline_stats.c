/* STATS files and importance matrices look alike from here: blocks, found by a weight's name. */
#include "cli/pipeline_stats.h"

#include "calib/stats_parts.h"
#include "formats/gguf_imatrix.h"
#include "formats/json_pull.h"
#include "quant/chain.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>

struct mc_known {
    mc_region self;
    const char *path;
    mc_stats *stats;    /* or: */
    mc_imatrix imatrix; /* whose numbers are in */
    mc_region lists;
};

/* ---- what a file is ---- */

static bool says_stats(const mc_safetensors *file)
{
    for (size_t i = 0; i < file->metadatas; i++)
        if (strcmp(file->metadata[i].key, "format") == 0)
            return strcmp(file->metadata[i].value, MC_STATS_FORMAT) == 0;
    return false;
}

static mc_status look_into(const mc_map *map, const char *path, mc_calib_kind *out, mc_err *err)
{
    if (mc_imatrix_is(map)) *out = MC_CALIB_IMATRIX;
    if (!mc_safetensors_is(map->data, map->size, map->size)) return MC_OK;
    mc_region room;
    mc_safetensors file;
    MC_TRY(mc_region_open(&room, mc_safetensors_memory(map), err));
    const mc_status status = mc_safetensors_parse(map, path, &room.arena, &file, err);
    if (status == MC_OK && says_stats(&file)) *out = MC_CALIB_STATS;
    mc_region_close(&room);
    return status;
}

mc_status mc_calib_kind_of(const char *path, bool no_follow, mc_calib_kind *out, mc_err *err)
{
    struct stat about;
    mc_map map;
    *out = MC_CALIB_DATA;
    if (stat(path, &about) == 0 && !S_ISREG(about.st_mode)) return MC_OK;
    MC_TRY(mc_map_open(path, no_follow ? MC_NO_FOLLOW : 0, &map, err));
    const mc_status status = look_into(&map, path, out, err);
    mc_map_close(&map);
    return status;
}

/* ---- what is asked of it ---- */

static bool has_batchnorm(const mc_graph *graph)
{
    for (size_t n = 0; graph && n < graph->nodes; n++)
        if (mc_node_is(&graph->node[n], "", "BatchNormalization")) return true;
    return false;
}

const char *mc_calib_auto(double bits, mc_calib_kind kind, bool sequential, const mc_graph *graph)
{
    const bool norms = has_batchnorm(graph), data = kind != MC_CALIB_NONE;
    if (kind == MC_CALIB_IMATRIX && bits >= 2.0) return mc_quant_imatrix.name;
    if (!data || bits < 2.0 || sequential) return mc_auto_chain(bits, data, norms);
    return norms ? "batchnorm+gptq:rounds=3" : "gptq:rounds=3"; /* nothing tells what was lost */
}

static mc_status refuse_squares_only(const mc_plan *plan, const char *path, mc_err *err)
{
    static const char holds[] = "which holds mean squares of inputs and nothing else";
    const mc_chain *chain = &plan->chain;
    if (plan->asked.method->wants & MC_QUANT_GRAM)
        return mc_fail(
            err, MC_E_UNSUPPORTED,
            "method %s needs Grams: %s is an importance matrix, %s (imatrix does with it)",
            plan->asked.method->name, path, holds);
    if (chain->correct[MC_CORRECTION_bias])
        return mc_fail(err, MC_E_UNSUPPORTED,
                       "bias needs means of inputs: %s is an importance matrix, %s", path, holds);
    for (size_t i = 0; i < chain->transforms; i++)
        if (chain->transform[i].transform->group)
            return mc_fail(err, MC_E_UNSUPPORTED,
                           "transform %s needs ranges of inputs: %s is an importance matrix, %s",
                           chain->transform[i].transform->name, path, holds);
    if (plan->act_static)
        return mc_fail(err, MC_E_UNSUPPORTED,
                       "--act static needs ranges of inputs: %s is an importance matrix, %s", path,
                       holds);
    return MC_OK;
}

mc_status mc_calib_refuse(const mc_plan *plan, const char *path, mc_err *err)
{
    const mc_options *o = plan->options;
    const bool file = plan->calib_kind != MC_CALIB_DATA;
    if (file && o->sequence == MC_SEQUENCE_YES)
        return mc_fail(err, MC_E_USAGE,
                       "--sequential needs data to run: %s holds statistics of the float model",
                       path);
    if (file && (o->max_tokens || o->checkpoint))
        return mc_fail(err, MC_E_USAGE, "%s is for data: %s holds statistics",
                       o->max_tokens ? "--max-tokens" : "--checkpoint", path);
    if (!plan->sequential && plan->chain.correct[MC_CORRECTION_compensate])
        return mc_fail(err, MC_E_USAGE,
                       "compensate makes good what coded weights lose, which %s does not show",
                       file ? "a file of statistics" : "--no-sequential");
    return plan->calib_kind == MC_CALIB_IMATRIX ? refuse_squares_only(plan, path, err) : MC_OK;
}

/* ---- opening ---- */

static mc_status open_imatrix(mc_known *k, bool no_follow, mc_err *err)
{
    mc_map map;
    mc_region room;
    MC_TRY(mc_map_open(k->path, no_follow ? MC_NO_FOLLOW : 0, &map, err));
    mc_status status = mc_region_open(&room, mc_imatrix_memory(&map) + 4096, err);
    if (status == MC_OK) {
        status = mc_imatrix_read(&map, k->path, &room.arena, &k->imatrix, err);
        if (status == MC_OK)
            k->lists = room;
        else
            mc_region_close(&room);
    }
    mc_map_close(&map);
    return status;
}

static mc_status open_stats(mc_known *k, const mc_model *model, mc_err *err)
{
    char hash[MC_SHA256_HEX];
    MC_TRY(mc_stats_open(k->path, &k->stats, err));
    MC_TRY(mc_stats_hash_model(model, hash, err));
    return mc_stats_check_model(k->stats, hash, err);
}

static mc_status open_known(mc_known *k, const mc_model *model, bool no_follow, mc_err *err)
{
    mc_calib_kind kind;
    MC_TRY(mc_calib_kind_of(k->path, no_follow, &kind, err));
    return kind == MC_CALIB_IMATRIX ? open_imatrix(k, no_follow, err) : open_stats(k, model, err);
}

mc_status mc_known_open(const mc_model *model, const char *path, bool no_follow, mc_known **out,
                        mc_err *err)
{
    mc_region room;
    *out = NULL;
    MC_TRY(mc_region_open(&room, sizeof(mc_known) + strlen(path) + 4096, err));
    mc_known *k = MC_NEW(&room.arena, mc_known, 1);
    if (!k) {
        mc_region_close(&room);
        return mc_no_room(err, "statistics");
    }
    k->path = mc_copy_text(&room.arena, path, strlen(path));
    k->self = room;
    *out = k;
    return k->path ? open_known(k, model, no_follow, err) : mc_no_room(err, "statistics");
}

void mc_known_close(mc_known *k)
{
    if (!k) return;
    mc_stats_close(k->stats);
    mc_region_close(&k->lists);
    mc_region self = k->self; /* it lies in it */
    mc_region_close(&self);
}

const mc_stats_about *mc_known_about(const mc_known *k)
{
    return k->stats ? mc_stats_of(k->stats) : NULL;
}

/* ---- a block ---- */

bool mc_known_has(const mc_known *k, const mc_site *site)
{
    mc_imatrix_part part;
    if (k->stats) return mc_stats_find(k->stats, site->weight->name) != NULL;
    return mc_imatrix_find(&k->imatrix, site->weight->name, &part);
}

bool mc_known_shares(const mc_known *k, const mc_site *a, const mc_site *b)
{
    if (!k->stats) return strcmp(a->weight->name, b->weight->name) == 0;
    return mc_stats_find(k->stats, a->weight->name) == mc_stats_find(k->stats, b->weight->name);
}

void mc_known_drop(mc_known_numbers *numbers)
{
    mc_region_close(&numbers->room);
    *numbers = (mc_known_numbers){.histogram = NULL};
}

/* Rows of n columns in so many groups must be what the weight's node makes of its input. */
typedef struct {
    uint64_t n, groups, channels;
} shape;

static mc_status check_shape(const mc_calibration *c, const mc_site *site, shape found, mc_err *err)
{
    const mc_tensor *t = site->weight;
    const bool conv = site->kind == MC_SITE_CONV;
    const int64_t groups = conv ? mc_node_int(&c->graph->node[site->node], "group", 1) : 1;
    const uint64_t outputs = found.n ? t->count / found.n : 0;
    const bool fits = found.n > 0 && t->count % found.n == 0 && groups > 0 &&
                      found.groups == (uint64_t)groups && outputs % found.groups == 0;
    if (!fits)
        return mc_fail(err, MC_E_FORMAT,
                       "%s: the block of tensor \"%s\" has rows of %" PRIu64 " numbers in %" PRIu64
                       " groups, which do not fit its %" PRIu64 " weights in %" PRId64,
                       c->known->path, t->name, found.n, found.groups, t->count, groups);
    const uint64_t all = found.n * found.groups;
    if (found.channels == 0 || (conv ? all % found.channels == 0 : found.channels == found.n))
        return MC_OK;
    return mc_fail(err, MC_E_FORMAT,
                   "%s: the block of tensor \"%s\" has %" PRIu64 " channels for %" PRIu64
                   " columns",
                   c->known->path, t->name, found.channels, all);
}

static mc_status load_stats(const mc_calibration *c, const mc_site *site, bool gram,
                            mc_known_numbers *out, mc_err *err)
{
    const mc_known *k = c->known;
    const mc_stats_entry *e = mc_stats_find(k->stats, site->weight->name);
    const shape found = {e->n, e->groups, e->channels};
    MC_TRY(check_shape(c, site, found, err));
    if (gram && !e->gram)
        return mc_fail(
            err, MC_E_UNSUPPORTED,
            "%s: block %s has no Gram, which the method needs (collected with --no-gram)", k->path,
            mc_quote(e->name).text);
    const size_t moments = mc_moments_bytes(e->n, e->groups, gram ? MC_MOMENTS_GRAM : 0);
    const size_t rest = mc_channels_bytes(e->channels) + sizeof(mc_histogram) + 4096;
    if (moments > SIZE_MAX / 2) return mc_no_room(err, e->name);
    MC_TRY(mc_region_open(&out->room, moments + rest, err));
    mc_arena *mem = &out->room.arena;
    MC_TRY(mc_stats_moments(k->stats, e, gram, mem, &out->moments, err));
    if (e->channels) MC_TRY(mc_stats_channels(k->stats, e, mem, &out->channels, err));
    if (!e->histogram) return MC_OK;
    out->histogram = MC_NEW(mem, mc_histogram, 1);
    if (!out->histogram) return mc_no_room(err, e->name);
    return mc_stats_histogram(k->stats, e, out->histogram, err);
}

static mc_status load_imatrix(const mc_calibration *c, const mc_site *site, mc_known_numbers *out,
                              mc_err *err)
{
    const mc_known *k = c->known;
    mc_imatrix_part part;
    mc_imatrix_find(&k->imatrix, site->weight->name, &part);
    MC_TRY(check_shape(c, site, (shape){part.n, 1, 0}, err));
    MC_TRY(mc_region_open(&out->room, mc_moments_bytes(part.n, 1, 0) + 4096, err));
    MC_TRY(mc_moments_new(part.n, 1, 0, &out->room.arena, &out->moments, err));
    out->moments.view.rows = part.count < 9e18 ? (uint64_t)llround(part.count) : INT64_MAX;
    for (size_t i = 0; i < part.n; i++) out->moments.square[i] = (double)part.square[i];
    return MC_OK;
}

mc_status mc_known_load(const mc_calibration *c, size_t site, bool gram, mc_known_numbers *out,
                        mc_err *err)
{
    const mc_site *s = &c->sites.site[site];
    *out = (mc_known_numbers){.histogram = NULL};
    const mc_status status =
        c->known->stats ? load_stats(c, s, gram, out, err) : load_imatrix(c, s, out, err);
    if (status != MC_OK) mc_known_drop(out);
    return status;
}
