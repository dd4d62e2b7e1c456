/* Maps the files of a model, checks them and lists their tensors.
 *
 * A model has one region of memory, whose size depends on the files. So the files are mapped first,
 * listed in a region of their own, and moved over once the sizes are known. */
#include "formats/model_build.h"

#include "core/ckd.h"
#include "core/json.h"
#include "core/log.h"
#include "formats/hf_family.h"
#include "formats/json_pull.h"
#include "formats/limits.h"
#include "formats/safetensors.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name, *role;
} side_file[] = {
    {"config.json", "config"},
    {"generation_config.json", "generation_config"},
    {"tokenizer.json", "tokenizer"},
    {"tokenizer.model", "tokenizer_model"},
    {"tokenizer_config.json", "tokenizer_config"},
    {"special_tokens_map.json", "special_tokens_map"},
};

enum {
    SIDES = sizeof side_file / sizeof side_file[0],
    OTHERS = SIDES + 2, /* sources that hold no weights: the index and the archive, too */
    SHOWN_UNMAPPED = 3,
};

bool mc_ends_with(const char *name, const char *end)
{
    const size_t n = strlen(name), m = strlen(end);
    return n >= m && memcmp(name + n - m, end, m) == 0;
}

bool mc_is_model_file(const char *name)
{
    for (size_t i = 0; i < SIDES; i++)
        if (strcmp(name, side_file[i].name) == 0) return true;
    return mc_ends_with(name, ".safetensors") || mc_ends_with(name, ".safetensors.index.json");
}

typedef struct {
    const mc_folder *folder;
    const mc_model_files *files;
    mc_region region; /* of what follows */
    mc_map index_map;
    mc_shard_index index;
    mc_source *source;
    size_t sources, weights;
    mc_safetensors *shard; /* what each file of weights holds */
    size_t unmapped;
    mc_err *err;
} build;

static const char *path_of(build *b, const char *name)
{
    return mc_format(&b->region.arena, "%s%s", b->folder->prefix, name);
}

/* ---- mapping ---- */

static mc_status add(build *b, const char *name, const char *role)
{
    mc_source *s = &b->source[b->sources];
    *s = (mc_source){.path = path_of(b, name), .role = role};
    if (!s->path) return mc_no_room(b->err, "the list of files");
    MC_TRY(b->folder->map(b->folder, name, &s->map, b->err));
    b->sources++;
    return MC_OK;
}

static mc_status add_shards(build *b)
{
    for (size_t i = 0; i < b->index.shards; i++) {
        const char *name = b->index.shard[i];
        if (!b->folder->has(b->folder, name))
            return mc_fail(b->err, MC_E_IO, "%s%s: no such file, but %s%s names it",
                           b->folder->prefix, name, b->folder->prefix, b->files->index);
        MC_TRY(add(b, name, "weights"));
    }
    return MC_OK;
}

static mc_status add_sides(build *b)
{
    if (b->files->no_sides) return MC_OK;
    for (size_t i = 0; i < SIDES; i++)
        if (b->folder->has(b->folder, side_file[i].name))
            MC_TRY(add(b, side_file[i].name, side_file[i].role));
    return MC_OK;
}

static mc_status open_lists(build *b)
{
    const size_t names = MC_PREFIX_ROOM + MC_FILE_NAME_LIMIT + 128;
    size_t shards = 1, bytes = 0;
    if (b->files->index) {
        MC_TRY(b->folder->map(b->folder, b->files->index, &b->index_map, b->err));
        bytes = mc_shard_index_memory(&b->index_map) + names;
        shards = MC_SHARD_LIMIT;
    }
    const size_t each = names + sizeof(mc_source) + sizeof(mc_safetensors);
    bytes += (shards + OTHERS) * each + 512;
    MC_TRY(mc_region_open(&b->region, bytes, b->err));

    mc_arena *mem = &b->region.arena;
    b->source = MC_NEW_RAW(mem, mc_source, shards + OTHERS);
    b->shard = MC_NEW_RAW(mem, mc_safetensors, shards);
    if (!b->source || !b->shard) return mc_no_room(b->err, "the list of files");
    if (!b->files->index) return MC_OK;

    const char *path = path_of(b, b->files->index);
    if (!path) return mc_no_room(b->err, "the list of files");
    return mc_shard_index_parse(&b->index_map, path, mem, &b->index, b->err);
}

static mc_status map_files(build *b)
{
    MC_TRY(open_lists(b));
    if (b->files->index)
        MC_TRY(add_shards(b));
    else
        MC_TRY(add(b, b->files->weights, "weights"));
    b->weights = b->sources;

    if (b->files->index) {
        const char *path = path_of(b, b->files->index);
        if (!path) return mc_no_room(b->err, "the list of files");
        b->source[b->sources++] = (mc_source){path, "index", b->index_map};
        b->index_map = (mc_map){0};
    }
    return add_sides(b);
}

/* ---- moving over ---- */

static mc_status open_memory(build *b, mc_model *m)
{
    size_t bytes = 4096 + strlen(b->files->path) + b->index.entries * sizeof(mc_tensor);
    size_t lists = 0;
    bool config = false;
    for (size_t i = 0; i < b->sources; i++) {
        bytes += strlen(b->source[i].path) + sizeof(mc_source) + 128;
        if (i < b->weights) lists += mc_safetensors_memory(&b->source[i].map);
        if (strcmp(b->source[i].role, "config") != 0) continue;
        bytes += b->source[i].map.size;
        config = true;
    }
    bytes += 2 * lists; /* parsed, joined */

    /* How many tensors there are is not known yet, but each is in those lists. */
    if (config) bytes += mc_family_memory(lists / sizeof(mc_tensor));
    return mc_region_open(&m->memory, bytes, b->err);
}

/* Nothing may fail between taking a map over and counting it: then each has one owner at any time.
 */
static mc_status move_sources(build *b, mc_model *m)
{
    mc_arena *mem = &m->memory.arena;
    m->format = b->files->format;
    m->path = mc_copy_text(mem, b->files->path, strlen(b->files->path));
    m->source = MC_NEW(mem, mc_source, b->sources + 1);
    if (!m->path || !m->source) return mc_no_room(b->err, "the model");

    for (size_t i = 0; i < b->sources; i++) {
        const char *path = mc_copy_text(mem, b->source[i].path, strlen(b->source[i].path));
        if (!path) return mc_no_room(b->err, "the model");
        m->source[i] = (mc_source){path, b->source[i].role, b->source[i].map};
        b->source[i].map = (mc_map){0};
        m->sources++;
    }
    return MC_OK;
}

/* ---- tensors ---- */

static mc_status parse_weights(build *b, mc_model *m)
{
    for (size_t i = 0; i < b->weights; i++) {
        const mc_source *s = &m->source[i];
        MC_TRY(mc_safetensors_parse(&s->map, s->path, &m->memory.arena, &b->shard[i], b->err));
        mc_map_release(&s->map, 0, 8 + (size_t)mc_load_u64le(s->map.data));
    }
    return MC_OK;
}

static int by_tensor(const void *name, const void *entry)
{
    return strcmp(name, ((const mc_shard_entry *)entry)->tensor);
}

/* A tensor of shard `i`: into its place, unless the index does not know it. */
static mc_status place(build *b, mc_model *m, size_t i, const mc_tensor *t)
{
    const mc_shard_entry *e =
        bsearch(t->name, b->index.entry, b->index.entries, sizeof *e, by_tensor);
    if (!e) {
        if (b->unmapped++ < SHOWN_UNMAPPED)
            mc_log(MC_LOG_WARNING, "%s: tensor %s is not in weight_map of %s and is left out",
                   m->source[i].path, mc_quote(t->name).text, b->files->index);
        return MC_OK;
    }
    if (strcmp(e->shard, b->index.shard[i]) != 0)
        return mc_fail(b->err, MC_E_FORMAT, "%s: tensor %s is in two shards, %s maps it to %s",
                       m->source[i].path, mc_quote(t->name).text, b->files->index, e->shard);
    mc_tensor *to = &m->tensor[e - b->index.entry];
    *to = *t;
    to->source = (uint32_t)i;
    return MC_OK;
}

static mc_status join_tensors(build *b, mc_model *m)
{
    if (!b->files->index) {
        m->tensor = b->shard[0].tensor;
        m->tensors = b->shard[0].tensors;
        return MC_OK;
    }
    m->tensor = MC_NEW(&m->memory.arena, mc_tensor, b->index.entries);
    if (!m->tensor) return mc_no_room(b->err, "the list of tensors");
    m->tensors = b->index.entries;
    for (size_t i = 0; i < b->weights; i++)
        for (size_t t = 0; t < b->shard[i].tensors; t++)
            MC_TRY(place(b, m, i, &b->shard[i].tensor[t]));

    for (size_t i = 0; i < b->index.entries; i++) {
        const mc_shard_entry *e = &b->index.entry[i];
        if (!m->tensor[i].name)
            return mc_fail(b->err, MC_E_FORMAT,
                           "%s%s: tensor %s is mapped to %s, which does not hold it",
                           b->folder->prefix, b->files->index, mc_quote(e->tensor).text, e->shard);
    }
    if (b->unmapped > SHOWN_UNMAPPED)
        mc_log(MC_LOG_WARNING, "%s%s: %zu tensors in all are not in weight_map and are left out",
               b->folder->prefix, b->files->index, b->unmapped);
    return MC_OK;
}

/* ---- metadata ---- */

/* By key; of equal ones the one of the earlier file first: memory is handed out front to back, file
 * by file. */
static int by_key_then_file(const void *a, const void *b)
{
    const mc_pair *x = a, *y = b;
    const int order = strcmp(x->key, y->key);
    if (order != 0) return order;
    return (uintptr_t)x->key < (uintptr_t)y->key ? -1 : (uintptr_t)x->key > (uintptr_t)y->key;
}

/* All keys of all files; when files disagree, the first of them in the order of their names is
 * believed. */
static mc_status join_metadata(build *b, mc_model *m)
{
    if (b->weights == 1) {
        m->metadata = b->shard[0].metadata;
        m->metadatas = b->shard[0].metadatas;
        return MC_OK;
    }
    size_t n = 0, kept = 0;
    for (size_t i = 0; i < b->weights; i++) n += b->shard[i].metadatas;
    mc_pair *all = MC_NEW_RAW(&m->memory.arena, mc_pair, n);
    if (!all) return mc_no_room(b->err, "the metadata");
    n = 0;
    for (size_t i = 0; i < b->weights; i++)
        for (size_t k = 0; k < b->shard[i].metadatas; k++) all[n++] = b->shard[i].metadata[k];

    if (n > 0) qsort(all, n, sizeof *all, by_key_then_file);
    for (size_t i = 0; i < n; i++) {
        if (kept == 0 || strcmp(all[kept - 1].key, all[i].key) != 0)
            all[kept++] = all[i];
        else if (strcmp(all[kept - 1].value, all[i].value) != 0)
            mc_log(MC_LOG_WARNING, "%s: files disagree on __metadata__ %s, %s is used", m->path,
                   mc_quote(all[i].key).text, mc_quote(all[kept - 1].value).text);
    }
    m->metadata = all;
    m->metadatas = kept;
    return MC_OK;
}

/* ---- config.json ---- */

static mc_status read_config(build *b, mc_model *m, const mc_json *config)
{
    if (!mc_json_is_object(config))
        return mc_fail(b->err, MC_E_FORMAT, "%s: must be a JSON object",
                       mc_model_source(m, "config")->path);
    const mc_json *list = mc_json_get(config, "architectures");
    const char *name = mc_json_as_text(mc_json_is_object(list) ? NULL : mc_json_at(list, 0), NULL);
    if (name) m->architecture = mc_copy_text(&m->memory.arena, name, strlen(name));
    if (name && !m->architecture) return mc_no_room(b->err, "config.json");
    m->tied_head = mc_json_as_bool(mc_json_get(config, "tie_word_embeddings"), false);
    return MC_OK;
}

static mc_status use_config(build *b, mc_model *m)
{
    const mc_source *s = mc_model_source(m, "config");
    mc_json *config = NULL;
    if (s) MC_TRY(mc_family_config(s, &config, b->err));
    mc_status status = s ? read_config(b, m, config) : MC_OK;
    if (status == MC_OK) status = mc_family_attach(m, config, b->err);
    mc_json_free(config);
    return status;
}

mc_status mc_model_build(const mc_folder *folder, const mc_model_files *files, mc_model *out,
                         mc_err *err)
{
    build b = {.folder = folder, .files = files, .err = err};
    mc_model m = {0};

    mc_status status = map_files(&b);
    if (status == MC_OK) status = open_memory(&b, &m);
    if (status == MC_OK) status = move_sources(&b, &m);
    if (status == MC_OK) status = parse_weights(&b, &m);
    if (status == MC_OK) status = join_tensors(&b, &m);
    if (status == MC_OK) status = join_metadata(&b, &m);
    if (status == MC_OK) status = use_config(&b, &m);

    if (status == MC_OK && files->archive) {
        m.source[m.sources++] = (mc_source){m.path, "archive", *files->archive};
        *files->archive = (mc_map){0};
    }
    mc_map_close(&b.index_map);
    for (size_t i = 0; i < b.sources; i++) mc_map_close(&b.source[i].map);
    mc_region_close(&b.region);
    if (status != MC_OK)
        mc_model_close(&m);
    else
        *out = m;
    return status;
}
