/* model.safetensors.index.json: which file holds which tensor.
 *
 * Only weight_map counts. total_size is not used: some writers put the bytes of tensors there,
 * others of files. A shard's name comes from whoever wrote the index, so it must be a plain name in
 * the same folder. */
#include "formats/model_build.h"

#include "core/bytes.h"
#include "formats/json_pull.h"
#include "formats/limits.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LEAST_PAIR = 7 }; /* bytes of "":"a", */

typedef struct {
    mc_pull pull;
    mc_shard_index got;
    size_t entry_room;
    char *text; /* room for the next name; the file's own length is enough for all */
    bool has_map;
    char path[MC_PATH_ROOM]; /* as messages show it */
    mc_err *err;
} parse;

static mc_status next(parse *p, mc_pull_token *token)
{
    return mc_pull_next(&p->pull, token, p->err);
}

static const char *keep(parse *p, const mc_pull_token *token)
{
    char *start = p->text;
    p->text += mc_pull_decode(token, start) + 1;
    return start;
}

static bool is_plain_name(const char *name)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    const size_t n = strlen(name);
    return n > 0 && n <= MC_FILE_NAME_LIMIT && strspn(name, allowed) == n &&
           strcmp(name, ".") != 0 && !strstr(name, "..");
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int by_tensor(const void *a, const void *b)
{
    return strcmp(((const mc_shard_entry *)a)->tensor, ((const mc_shard_entry *)b)->tensor);
}

/* Gives the one copy of a shard's name in the list, which stays sorted. */
static const char *find_shard(parse *p, const char *name, mc_status *status)
{
    mc_shard_index *got = &p->got;
    size_t low = 0, high = got->shards;
    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        const int order = strcmp(got->shard[mid], name);
        if (order == 0) return got->shard[mid];
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    if (got->shards == MC_SHARD_LIMIT) {
        *status = mc_fail(p->err, MC_E_UNSUPPORTED, "%s: weight_map names more than %d files",
                          p->path, (int)MC_SHARD_LIMIT);
        return NULL;
    }
    memmove(got->shard + low + 1, got->shard + low, (got->shards - low) * sizeof *got->shard);
    got->shards++;
    return got->shard[low] = name;
}

static mc_status pair(parse *p, const mc_pull_token *key)
{
    mc_pull_token value;
    MC_TRY(next(p, &value));
    if (key->holds_nul)
        return mc_fail(p->err, MC_E_FORMAT, "%s: tensor name %s holds a NUL character", p->path,
                       mc_quote_token(key).text);
    if (value.kind != MC_PULL_TEXT)
        return mc_fail(p->err, MC_E_FORMAT,
                       "%s: tensor %s: shard is %s, must be the name of a file", p->path,
                       mc_quote_token(key).text, mc_quote_token(&value).text);
    if (p->got.entries == p->entry_room) return mc_no_room(p->err, "the shard index");

    const char *tensor = keep(p, key), *shard = keep(p, &value);
    if (value.holds_nul || !is_plain_name(shard))
        return mc_fail(
            p->err, MC_E_FORMAT,
            "%s: tensor %s: shard is %s, must be a file in the same folder, its name at most %d of "
            "A-Z a-z 0-9 . _ - without \"..\"",
            p->path, mc_quote(tensor).text, mc_quote_token(&value).text, (int)MC_FILE_NAME_LIMIT);

    /* Neighbours mostly share their shard. */
    const size_t n = p->got.entries;
    mc_status status = MC_OK;
    if (n > 0 && strcmp(p->got.entry[n - 1].shard, shard) == 0)
        shard = p->got.entry[n - 1].shard;
    else
        shard = find_shard(p, shard, &status);
    p->got.entry[p->got.entries++] = (mc_shard_entry){tensor, shard};
    return status;
}

static mc_status weight_map(parse *p, const mc_pull_token *value)
{
    if (p->has_map) return mc_fail(p->err, MC_E_FORMAT, "%s: weight_map appears twice", p->path);
    p->has_map = true;
    if (value->kind != MC_PULL_OBJECT)
        return mc_fail(p->err, MC_E_FORMAT, "%s: weight_map is %s, must be an object", p->path,
                       mc_pull_kind_name(value->kind));
    for (;;) {
        mc_pull_token token;
        MC_TRY(next(p, &token));
        if (token.kind == MC_PULL_END) return MC_OK;
        MC_TRY(pair(p, &token));
    }
}

static mc_status read_index(parse *p)
{
    mc_pull_token token, value;
    MC_TRY(next(p, &token));
    if (token.kind != MC_PULL_OBJECT)
        return mc_fail(p->err, MC_E_FORMAT, "%s: index is %s, must be an object", p->path,
                       mc_pull_kind_name(token.kind));
    for (;;) {
        MC_TRY(next(p, &token));
        if (token.kind == MC_PULL_END) break;
        MC_TRY(next(p, &value));
        if (mc_pull_is(&token, "weight_map"))
            MC_TRY(weight_map(p, &value));
        else
            MC_TRY(mc_pull_skip(&p->pull, &value, p->err));
    }
    MC_TRY(next(p, &token));
    if (!p->has_map) return mc_fail(p->err, MC_E_FORMAT, "%s: weight_map is missing", p->path);
    if (p->got.entries == 0)
        return mc_fail(p->err, MC_E_FORMAT, "%s: weight_map is empty", p->path);
    return MC_OK;
}

static mc_status check_names(parse *p)
{
    mc_shard_index *got = &p->got;
    qsort(got->entry, got->entries, sizeof *got->entry, by_tensor);
    for (size_t i = 1; i < got->entries; i++) {
        const mc_shard_entry *a = &got->entry[i - 1], *b = &got->entry[i];
        if (by_tensor(a, b) != 0) continue;
        if (a->shard == b->shard)
            return mc_fail(p->err, MC_E_FORMAT, "%s: tensor %s appears twice", p->path,
                           mc_quote(a->tensor).text);
        const bool swap = by_text(&a->shard, &b->shard) > 0;
        return mc_fail(p->err, MC_E_FORMAT, "%s: tensor %s is mapped to two shards, %s and %s",
                       p->path, mc_quote(a->tensor).text, swap ? b->shard : a->shard,
                       swap ? a->shard : b->shard);
    }
    return MC_OK;
}

static size_t most_entries(size_t bytes)
{
    return bytes / LEAST_PAIR + 1;
}

size_t mc_shard_index_memory(const mc_map *file)
{
    if (file->size > MC_INDEX_LIMIT) return 0;
    return file->size + most_entries(file->size) * sizeof(mc_shard_entry) +
           MC_SHARD_LIMIT * sizeof(char *) + 512;
}

mc_status mc_shard_index_parse(const mc_map *file, const char *path, mc_arena *mem,
                               mc_shard_index *out, mc_err *err)
{
    *out = (mc_shard_index){0};
    parse p = {.err = err};
    mc_show_path(path, p.path, sizeof p.path);
    if (file->size > MC_INDEX_LIMIT)
        return mc_fail(err, MC_E_FORMAT,
                       "%s: index is %zu bytes long, at most %" PRIu64 " are allowed", p.path,
                       file->size, MC_INDEX_LIMIT);
    const unsigned char *end = file->size > 0 ? file->data + file->size : file->data;
    MC_TRY(mc_pull_open(&p.pull, (mc_cursor){file->data, end}, path, "index", 0, err));

    p.entry_room = most_entries(file->size);
    p.text = MC_NEW_RAW(mem, char, file->size);
    p.got.entry = MC_NEW_RAW(mem, mc_shard_entry, p.entry_room);
    p.got.shard = MC_NEW_RAW(mem, const char *, MC_SHARD_LIMIT);
    if (!p.text || !p.got.entry || !p.got.shard) return mc_no_room(err, "the shard index");

    MC_TRY(read_index(&p));
    MC_TRY(check_names(&p));
    *out = p.got;
    return MC_OK;
}
