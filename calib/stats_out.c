/* Writing STATS files: a block becomes a small file of statistics of its own in PATH.partial, under
 * the next number, whole or not at all. The finished file holds the tensors of all of them in the
 * one order that safetensors has, so it does not matter when which block was written. */
#include "calib/stats_file.h"

#include "calib/stats_parts.h"
#include "core/file.h"
#include "formats/json_pull.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    PARTS = 1 << 16,         /* of a file: more blocks than a model has */
    NAMES = 16 << 20,        /* bytes of address space for the blocks' names */
    ABOUT_PAIRS = 8,         /* of the metadata, beside weights */
    COMMIT_PAIRS = 64 << 20, /* bytes of address space for all pairs of the metadata */
};

struct mc_stats_out {
    mc_region self, names;
    const char *path, *folder;
    mc_stats_about about;
    mc_stats_options options;
    const char **name; /* of the blocks that are there: part i holds name[i] */
    size_t parts;
};

/* ---- the folder of parts ---- */

static char *part_path(const mc_stats_out *o, mc_arena *mem, size_t part)
{
    return mc_format(mem, "%s/%05zu.safetensors", o->folder, part);
}

mc_status mc_stats_partial_remove(const char *path, mc_err *err)
{
    mc_region region;
    MC_TRY(mc_region_open(&region, strlen(path) + 512, err));
    const char *folder = mc_format(&region.arena, "%s.partial", path);
    const mc_status status = folder ? mc_folder_remove(folder, NULL, err) : mc_no_room(err, path);
    mc_region_close(&region);
    return status;
}

/* ---- what was written before ---- */

static mc_status differs(const mc_stats_out *o, const char *what, const char *was, const char *now,
                         mc_err *err)
{
    return mc_fail(err, MC_E_MISMATCH, "%s: was begun with %s %s, now it is %s", o->folder, what,
                   mc_quote(was).text, mc_quote(now).text);
}

static mc_status same_number(const mc_stats_out *o, const char *what, uint64_t was, uint64_t now,
                             mc_err *err)
{
    if (was == now) return MC_OK;
    return mc_fail(err, MC_E_MISMATCH, "%s: was begun with %" PRIu64 " %s, now there are %" PRIu64,
                   o->folder, was, what, now);
}

static mc_status same_about(const mc_stats_out *o, const mc_stats_about *was, mc_err *err)
{
    const mc_stats_about *now = &o->about;
    if (strcmp(was->model, now->model) != 0)
        return differs(o, "the model", was->model, now->model, err);
    if (strcmp(was->data, now->data) != 0) return differs(o, "the data", was->data, now->data, err);
    MC_TRY(same_number(o, "samples", was->samples, now->samples, err));
    MC_TRY(same_number(o, "tokens", was->tokens, now->tokens, err));
    return same_number(o, "tokens a window", was->window, now->window, err);
}

static mc_status remember(mc_stats_out *o, const char *name, mc_err *err)
{
    if (o->parts == PARTS) return mc_no_room(err, "the blocks of statistics");
    o->name[o->parts] = mc_copy_text(&o->names.arena, name, strlen(name));
    if (!o->name[o->parts]) return mc_no_room(err, "the blocks' names");
    o->parts++;
    return MC_OK;
}

static mc_status adopt_part(mc_stats_out *o, const char *path, mc_err *err)
{
    mc_stats *part;
    MC_TRY(mc_stats_open_as(path, true, &part, err));
    mc_status status = same_about(o, mc_stats_of(part), err);
    const mc_stats_entry *e = mc_stats_at(part, 0);
    if (status == MC_OK && (!e || mc_stats_at(part, 1) || mc_stats_out_has(o, e->name)))
        status = mc_fail(err, MC_E_FORMAT, "%s: must hold one block that no other part has", path);
    if (status == MC_OK) status = remember(o, e->name, err);
    mc_stats_close(part);
    return status;
}

static mc_status adopt_parts(mc_stats_out *o, mc_err *err)
{
    for (;;) {
        struct stat about;
        mc_region room;
        MC_TRY(mc_region_open(&room, strlen(o->folder) + 512, err));
        const char *path = part_path(o, &room.arena, o->parts);
        mc_status status = path ? MC_OK : mc_no_room(err, "a name");
        const bool end = path && stat(path, &about) != 0 && errno == ENOENT;
        if (status == MC_OK && !end) status = adopt_part(o, path, err);
        mc_region_close(&room);
        if (status != MC_OK || end) return status;
    }
}

/* ---- opening ---- */

static mc_status check_about(const mc_stats_about *about, mc_err *err)
{
    if (strlen(about->model) != MC_SHA256_HEX - 1 ||
        strspn(about->model, "0123456789abcdef") != MC_SHA256_HEX - 1)
        return mc_fail(err, MC_E_INTERNAL, "the hash of a model is \"%s\"", about->model);
    if (about->samples > INT64_MAX || about->tokens > INT64_MAX || about->window > INT64_MAX)
        return mc_fail(err, MC_E_INTERNAL, "statistics of 2^63 samples");
    return MC_OK;
}

static mc_status begin(mc_stats_out *o, mc_err *err)
{
    MC_TRY(check_about(&o->about, err));
    MC_TRY(mc_out_check(o->path, o->options.replace, err));
    if (!o->options.resume) MC_TRY(mc_folder_remove(o->folder, NULL, err));
    if (mkdir(o->folder, 0777) == 0) return MC_OK;
    if (errno != EEXIST) return mc_fail_errno(err, errno, "%s: cannot make the folder", o->folder);
    return adopt_parts(o, err);
}

mc_status mc_stats_out_open(const char *path, const mc_stats_about *about, mc_stats_options options,
                            mc_stats_out **out, mc_err *err)
{
    mc_region self;
    const size_t texts = 2 * strlen(path) + strlen(about->model) + strlen(about->data);
    *out = NULL;
    MC_TRY(
        mc_region_open(&self, sizeof(mc_stats_out) + texts + PARTS * sizeof(char *) + 2048, err));
    mc_stats_out *o = MC_NEW(&self.arena, mc_stats_out, 1);
    if (o) {
        o->about = *about;
        o->options = options;
        o->path = mc_copy_text(&self.arena, path, strlen(path));
        o->folder = mc_format(&self.arena, "%s.partial", path);
        o->about.model = mc_copy_text(&self.arena, about->model, strlen(about->model));
        o->about.data = mc_copy_text(&self.arena, about->data, strlen(about->data));
        o->name = MC_NEW_RAW(&self.arena, const char *, PARTS);
        o->self = self;
    }
    if (!o || !o->path || !o->folder || !o->about.model || !o->about.data || !o->name) {
        mc_region_close(&self);
        return mc_no_room(err, path);
    }
    mc_status status = mc_region_open(&o->names, NAMES, err);
    if (status == MC_OK) status = begin(o, err);
    if (status == MC_OK)
        *out = o;
    else
        mc_stats_out_close(o);
    return status;
}

void mc_stats_out_close(mc_stats_out *o)
{
    if (!o) return;
    mc_region_close(&o->names);
    mc_region self = o->self;
    mc_region_close(&self);
}

bool mc_stats_out_has(const mc_stats_out *o, const char *name)
{
    for (size_t i = 0; i < o->parts; i++)
        if (strcmp(o->name[i], name) == 0) return true;
    return false;
}

size_t mc_stats_out_blocks(const mc_stats_out *o)
{
    return o->parts;
}

/* ---- metadata ---- */

static mc_pair number_pair(mc_arena *mem, const char *key, uint64_t value)
{
    return (mc_pair){key, mc_format(mem, "%" PRIu64, value)};
}

/* The pairs that all files have: ABOUT_PAIRS at most. Values may be NULL when memory ran out. */
static size_t about_pairs(const mc_stats_about *about, bool part, mc_arena *mem, mc_pair *pair)
{
    size_t n = 0;
    pair[n++] = (mc_pair){"format", MC_STATS_FORMAT};
    pair[n++] = (mc_pair){"version", MC_STATS_VERSION};
    pair[n++] = (mc_pair){"model", about->model};
    pair[n++] = (mc_pair){"data", about->data};
    pair[n++] = number_pair(mem, "samples", about->samples);
    pair[n++] = number_pair(mem, "tokens", about->tokens);
    pair[n++] = number_pair(mem, "window", about->window);
    if (part) pair[n++] = (mc_pair){MC_STATS_PART_KEY, "of an unfinished file"};
    return n;
}

static mc_pair weight_pair(mc_arena *mem, const char *weight, const char *block)
{
    return (mc_pair){mc_format(mem, "%s%s", MC_STATS_WEIGHT_KEY, weight), block};
}

static bool complete(const mc_safetensors *content)
{
    for (size_t i = 0; i < content->metadatas; i++)
        if (!content->metadata[i].key || !content->metadata[i].value) return false;
    for (size_t i = 0; i < content->tensors; i++)
        if (!content->tensor[i].name || !content->tensor[i].data) return false;
    return true;
}

/* ---- a block as tensors ---- */

typedef struct {
    const mc_stats_block *block;
    mc_arena *mem;
    mc_safetensors content;
} builder;

static void put(builder *b, int id, const uint64_t dim[2], const void *data)
{
    const mc_stats_array *a = &mc_stats_array_of[id];
    mc_tensor t = {.name = mc_format(b->mem, "%s/%s", b->block->name, a->name),
                   .dtype = a->dtype,
                   .ndim = dim[1] ? 2 : 1,
                   .dim = {dim[0], dim[1]},
                   .data = data,
                   .count = dim[0] * (dim[1] ? dim[1] : 1)};
    t.bytes = t.count * (mc_dtype_about(a->dtype)->bits / 8);
    b->content.tensor[b->content.tensors++] = t;
}

static const int64_t *put_whole(builder *b, int id, uint64_t n, const uint64_t *value)
{
    int64_t *copy = MC_NEW_RAW(b->mem, int64_t, n);
    for (uint64_t i = 0; copy && i < n; i++) copy[i] = (int64_t)value[i];
    put(b, id, (uint64_t[2]){n, 0}, copy);
    return copy;
}

static void put_gram(builder *b, const mc_moments *m)
{
    const size_t triangle = m->n * (m->n + 1) / 2;
    double *packed = MC_NEW_RAW(b->mem, double, triangle * m->groups), *to = packed;
    for (size_t row = 0; packed && row < m->n * m->groups; row++) {
        memcpy(to, m->gram + row * m->n, (row % m->n + 1) * sizeof *to);
        to += row % m->n + 1;
    }
    put(b, MC_STATS_GRAM, (uint64_t[2]){m->groups, triangle}, packed);
}

static void put_moments(builder *b, const mc_moments *m)
{
    const uint64_t vector[2] = {m->groups, m->n};
    put_whole(b, MC_STATS_ROWS, 1, &m->rows);
    put(b, MC_STATS_SUM, vector, m->sum);
    put(b, MC_STATS_SQUARE, vector, m->square);
    if (m->gram) put_gram(b, m);
}

static void put_channels(builder *b, const mc_channels *c)
{
    const uint64_t n[2] = {c->n, 0};
    put_whole(b, MC_STATS_CHANNEL_ROWS, 1, &c->rows);
    put(b, MC_STATS_CHANNEL_LEAST, n, c->least);
    put(b, MC_STATS_CHANNEL_MOST, n, c->most);
    put(b, MC_STATS_CHANNEL_SUM, n, c->sum);
    put(b, MC_STATS_CHANNEL_ABS, n, c->abs);
    put(b, MC_STATS_CHANNEL_SQUARE, n, c->square);
}

static void put_histogram(builder *b, const mc_histogram *h)
{
    const uint64_t about[MC_STATS_ABOUT_NUMBERS] = {
        [MC_STATS_TOTAL] = h->total, [MC_STATS_ZEROS] = h->zeros,
        [MC_STATS_NANS] = h->nans,   [MC_STATS_INFINITIES] = h->infinities,
        [MC_STATS_BINS] = h->bins,   [MC_STATS_WIDENING] = h->widening,
    };
    float *range = MC_NEW_RAW(b->mem, float, 2);
    if (range) memcpy(range, (float[2]){h->least, h->most}, 2 * sizeof *range);
    put_whole(b, MC_STATS_HISTOGRAM, MC_HISTOGRAM_BINS, h->count);
    put_whole(b, MC_STATS_HISTOGRAM_ABOUT, MC_STATS_ABOUT_NUMBERS, about);
    put(b, MC_STATS_HISTOGRAM_RANGE, (uint64_t[2]){2, 0}, range);
}

static size_t text_bytes(const mc_stats_block *block)
{
    size_t bytes = strlen(block->name) * MC_STATS_ARRAYS;
    for (size_t i = 0; i < block->weights; i++) bytes += strlen(block->weight[i]);
    return bytes;
}

size_t mc_stats_out_memory(const mc_stats_block *block)
{
    const mc_moments *m = block->moments;
    const size_t gram = m->gram ? m->n * (m->n + 1) / 2 * m->groups * sizeof(double) : 0;
    const size_t histogram = MC_HISTOGRAM_BINS * sizeof(int64_t);
    const size_t texts = 16 * text_bytes(block) + block->weights * (sizeof(mc_pair) + 512);
    return gram + histogram + texts + (128 << 10);
}

/* ---- adding ---- */

static mc_status write_part(const mc_stats_out *o, const builder *b, mc_err *err)
{
    const mc_out_options options = {.replace = true, .no_fsync = o->options.no_fsync};
    mc_arena scratch = *b->mem;
    mc_out *file = NULL;
    const char *path = part_path(o, &scratch, o->parts);
    if (!path) return mc_no_room(err, "a name");
    MC_TRY(mc_out_open(path, 0, options, &file, err));
    const mc_status status = mc_safetensors_write(file, &b->content, scratch, err);
    if (status == MC_OK) return mc_out_commit(file, NULL, NULL, err);
    mc_out_discard(file);
    return status;
}

static mc_status add_block(const mc_stats_out *o, const mc_stats_block *block, mc_arena *mem,
                           mc_err *err)
{
    builder b = {.block = block, .mem = mem};
    mc_safetensors *c = &b.content;
    c->tensor = MC_NEW_RAW(mem, mc_tensor, MC_STATS_ARRAYS);
    c->metadata = MC_NEW_RAW(mem, mc_pair, ABOUT_PAIRS + block->weights);
    if (!c->tensor || !c->metadata) return mc_no_room(err, "a block of statistics");
    c->metadatas = about_pairs(&o->about, true, mem, c->metadata);
    for (size_t i = 0; i < block->weights; i++)
        c->metadata[c->metadatas++] = weight_pair(mem, block->weight[i], block->name);
    put_moments(&b, block->moments);
    if (block->channels) put_channels(&b, block->channels);
    if (block->histogram) put_histogram(&b, block->histogram);
    if (!complete(c)) return mc_no_room(err, "a block of statistics");
    return write_part(o, &b, err);
}

mc_status mc_stats_out_add(mc_stats_out *o, const mc_stats_block *block, mc_err *err)
{
    mc_region memory;
    if (mc_stats_out_has(o, block->name) || block->weights == 0)
        return mc_fail(err, MC_E_INTERNAL, "block %s of statistics has %s",
                       mc_quote(block->name).text,
                       block->weights ? "been written before" : "no weights");
    if (block->moments->cross)
        return mc_fail(err, MC_E_INTERNAL, "block %s of statistics has two streams",
                       mc_quote(block->name).text);
    MC_TRY(mc_region_open(&memory, mc_stats_out_memory(block), err));
    mc_status status = add_block(o, block, &memory.arena, err);
    if (status == MC_OK) status = remember(o, block->name, err);
    mc_region_close(&memory);
    return status;
}

/* ---- putting together ---- */

typedef struct {
    mc_region memory;
    mc_stats **part; /* NULL: not open */
    size_t parts;
    mc_safetensors content;
} whole;

static void close_whole(whole *w)
{
    for (size_t i = 0; i < w->parts; i++) mc_stats_close(w->part[i]);
    mc_region_close(&w->memory);
}

static mc_status open_part(const mc_stats_out *o, size_t part, mc_stats **out, mc_err *err)
{
    mc_arena scratch = o->names.arena;
    const char *path = part_path(o, &scratch, part);
    return path ? mc_stats_open_as(path, true, out, err) : mc_no_room(err, "a name");
}

/* Everything a part holds, but for what all parts say alike. */
static void add_part(whole *w, size_t part)
{
    const mc_safetensors *from = mc_stats_content(w->part[part]);
    mc_safetensors *to = &w->content;
    for (size_t i = 0; i < from->tensors; i++) {
        to->tensor[to->tensors] = from->tensor[i];
        to->tensor[to->tensors++].source = (uint32_t)part;
    }
    for (size_t i = 0; i < from->metadatas; i++)
        if (strncmp(from->metadata[i].key, MC_STATS_WEIGHT_KEY, strlen(MC_STATS_WEIGHT_KEY)) == 0)
            to->metadata[to->metadatas++] = from->metadata[i];
}

static mc_status gather(const mc_stats_out *o, whole *w, mc_err *err)
{
    size_t tensors = 0, pairs = ABOUT_PAIRS;
    for (; w->parts < o->parts; w->parts++) {
        MC_TRY(open_part(o, w->parts, &w->part[w->parts], err));
        tensors += mc_stats_content(w->part[w->parts])->tensors;
        pairs += mc_stats_content(w->part[w->parts])->metadatas;
    }
    mc_arena *mem = &w->memory.arena;
    w->content.tensor = MC_NEW_RAW(mem, mc_tensor, tensors);
    w->content.metadata = MC_NEW_RAW(mem, mc_pair, pairs);
    if (!w->content.tensor || !w->content.metadata) return mc_no_room(err, "the blocks");
    w->content.metadatas = about_pairs(&o->about, false, mem, w->content.metadata);
    for (size_t i = 0; i < w->parts; i++) add_part(w, i);
    return complete(&w->content) ? MC_OK : mc_no_room(err, "the blocks");
}

/* The numbers of a tensor are in the file: its pages may go. */
static void release(void *to, const mc_tensor *t)
{
    const whole *w = to;
    const mc_map *map = mc_stats_map(w->part[t->source]);
    const size_t begin = (size_t)(t->data - map->data);
    mc_map_passed(map, begin, begin + (size_t)t->bytes);
}

static mc_status write_whole(const mc_stats_out *o, whole *w, mc_err *err)
{
    const mc_out_options options = {.replace = o->options.replace, .no_fsync = o->options.no_fsync};
    mc_region scratch;
    mc_out *file = NULL;
    MC_TRY(mc_region_open(&scratch, mc_safetensors_write_memory(&w->content), err));
    mc_status status = mc_out_open(o->path, 0, options, &file, err);
    if (status == MC_OK)
        status = mc_safetensors_write_from(file, &w->content, (mc_safetensors_written){release, w},
                                           scratch.arena, err);
    mc_region_close(&scratch);
    if (status == MC_OK) return mc_out_commit(file, NULL, NULL, err);
    mc_out_discard(file);
    return status;
}

mc_status mc_stats_out_commit(mc_stats_out *o, mc_err *err)
{
    const size_t each = sizeof(mc_stats *) + MC_STATS_ARRAYS * sizeof(mc_tensor);
    whole w = {.parts = 0};
    mc_status status = mc_region_open(&w.memory, o->parts * each + COMMIT_PAIRS, err);
    if (status == MC_OK) {
        w.part = MC_NEW(&w.memory.arena, mc_stats *, o->parts);
        status = w.part ? gather(o, &w, err) : mc_no_room(err, "the blocks");
    }
    if (status == MC_OK) status = write_whole(o, &w, err);
    close_whole(&w);
    if (status == MC_OK) status = mc_folder_remove(o->folder, NULL, err);
    mc_stats_out_close(o);
    return status;
}
