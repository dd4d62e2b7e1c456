/* The header of a safetensors file, held to the rules of the reference parser in their order:
 *
 *   1 the file has 8 bytes          2 header <= 100,000,000    3 header inside the file
 *   4 UTF-8                         5 JSON                     6 __metadata__
 *   7 entries of tensors            8 no hole, no overlap      9 sizes fit 64 bits
 *  10 whole bytes                  11 size = data_offsets     12 no byte behind the last tensor
 *
 * Stricter than the reference: a name or key that appears twice, an entry written as an array,
 * `"__metadata__": null` and NUL in a name are refused. As lenient as the reference: whitespace
 * around the header's object, unknown fields of an entry. */
#include "formats/safetensors.h"

#include "core/bytes.h"
#include "core/ckd.h"
#include "formats/formats.h"
#include "formats/json_pull.h"
#include "formats/limits.h"
#include "formats/model_build.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PREFIX = 8,       /* bytes in front of the header */
    LEAST_ENTRY = 50, /* bytes of "":{"dtype":"U8","shape":[],"data_offsets":[0,0]}, */
    LEAST_PAIR = 6,   /* bytes of "":"", */
};

/* Where a tensor says its data lies, and what only the rules need to know of it. */
typedef struct {
    uint64_t begin, end; /* behind the header */
    size_t tensor;
    bool overflows; /* its shape does not fit 64 bits */
} span;

typedef struct {
    const mc_map *file;
    const char *path;
    mc_pull pull;
    uint64_t header;    /* bytes */
    mc_safetensors got; /* so far */
    span *span;         /* of each tensor */
    size_t tensor_room, pair_room;
    char *text; /* room for the next name; the header's own length is enough for all */
    bool has_metadata;
    mc_err *err;
} parse;

static mc_status MC_PRINTF(3, 4) refuse(parse *p, mc_status status, const char *fmt, ...)
{
    char path[MC_PATH_ROOM], why[MC_ERR_TEXT];
    va_list args;
    va_start(args, fmt);
    vsnprintf(why, sizeof why, fmt, args);
    va_end(args);
    return mc_fail(p->err, status, "%s: %s", mc_show_path(p->path, path, sizeof path), why);
}

static const char *bytes_of(uint64_t n)
{
    return n == 1 ? "byte" : "bytes";
}

static mc_status no_room(parse *p)
{
    mc_no_room(p->err, "what the header lists");
    return mc_wrap(p->err, "%s", p->path);
}

static mc_status next(parse *p, mc_pull_token *token)
{
    return mc_pull_next(&p->pull, token, p->err);
}

/* Decodes a key or text that becomes a C string of the model. */
static const char *keep(parse *p, const mc_pull_token *token)
{
    char *start = p->text;
    p->text += mc_pull_decode(token, start) + 1;
    return start;
}

/* ---- rules 6 and 7: what the header says ---- */

static mc_status metadata_pair(parse *p, const mc_pull_token *key)
{
    mc_pull_token value;
    MC_TRY(next(p, &value));
    if (value.kind != MC_PULL_TEXT)
        return refuse(p, MC_E_FORMAT, "__metadata__ %s is %s, must be a text",
                      mc_quote_token(key).text, mc_pull_kind_name(value.kind));
    if (key->holds_nul || value.holds_nul)
        return refuse(p, MC_E_FORMAT, "__metadata__ %s holds a NUL character",
                      mc_quote_token(key).text);
    if (p->got.metadatas == p->pair_room) return no_room(p);
    mc_pair *pair = &p->got.metadata[p->got.metadatas++];
    pair->key = keep(p, key);
    pair->value = keep(p, &value);
    return MC_OK;
}

static mc_status metadata(parse *p)
{
    mc_pull_token token;
    MC_TRY(next(p, &token));
    if (p->has_metadata) return refuse(p, MC_E_FORMAT, "__metadata__ appears twice");
    p->has_metadata = true;
    if (token.kind != MC_PULL_OBJECT)
        return refuse(p, MC_E_FORMAT, "__metadata__ is %s, must be an object of texts",
                      mc_pull_kind_name(token.kind));
    for (;;) {
        MC_TRY(next(p, &token));
        if (token.kind == MC_PULL_END) return MC_OK;
        MC_TRY(metadata_pair(p, &token));
    }
}

static mc_status bad_value(parse *p, const char *name, const char *field,
                           const mc_pull_token *found, const char *must)
{
    return refuse(p, MC_E_FORMAT, "tensor %s: %s is %s, must be %s", mc_quote(name).text, field,
                  mc_quote_token(found).text, must);
}

static mc_status dtype_of(parse *p, mc_tensor *t)
{
    mc_pull_token token;
    MC_TRY(next(p, &token));
    if (token.kind != MC_PULL_TEXT) return bad_value(p, t->name, "dtype", &token, "a text");

    char name[16] = ""; /* the longest has 11 letters; an escape makes 6 of one */
    if (token.bytes < sizeof name) t->dtype = mc_dtype_find(name, mc_pull_decode(&token, name));
    if (t->dtype == MC_DTYPE_NONE)
        return refuse(p, MC_E_FORMAT,
                      "tensor %s: dtype is %s, which is not one of the 22 that safetensors has",
                      mc_quote(t->name).text, mc_quote_token(&token).text);
    return MC_OK;
}

static const char whole_number[] = "a whole number from 0 to 18446744073709551615";

/* The product runs from left to right, like the reference's, so [0, 2^63, 4] is a shape and [2^63,
 * 4, 0] is not. */
static mc_status shape_of(parse *p, mc_tensor *t, span *s)
{
    mc_pull_token token;
    MC_TRY(next(p, &token));
    if (token.kind != MC_PULL_ARRAY)
        return bad_value(p, t->name, "shape", &token, "an array of whole numbers");

    t->count = 1;
    for (t->ndim = 0;; t->ndim++) { /* a header is too short for INT_MAX of them */
        uint64_t dim;
        MC_TRY(next(p, &token));
        if (token.kind == MC_PULL_END) return MC_OK;
        if (!mc_pull_u64(&token, &dim)) {
            char field[32];
            snprintf(field, sizeof field, "shape[%d]", t->ndim);
            return bad_value(p, t->name, field, &token, whole_number);
        }
        if (t->ndim < MC_MAX_DIMS) t->dim[t->ndim] = dim;
        if (!mc_mul_u64(t->count, dim, &t->count)) s->overflows = true;
    }
}

static mc_status offsets_of(parse *p, const mc_tensor *t, span *s)
{
    mc_pull_token token;
    MC_TRY(next(p, &token));
    if (token.kind != MC_PULL_ARRAY)
        return bad_value(p, t->name, "data_offsets", &token, "an array of two whole numbers");

    uint64_t *const offset[] = {&s->begin, &s->end};
    for (size_t n = 0;; n++) {
        MC_TRY(next(p, &token));
        if (token.kind == MC_PULL_END && n == 2) return MC_OK;
        if (token.kind == MC_PULL_END || n == 2)
            return refuse(p, MC_E_FORMAT, "tensor %s: data_offsets has %s, must have 2 numbers",
                          mc_quote(t->name).text,
                          n == 2   ? "more"
                          : n == 1 ? "1"
                                   : "none");
        if (!mc_pull_u64(&token, offset[n])) {
            const char *field = n == 0 ? "data_offsets[0]" : "data_offsets[1]";
            return bad_value(p, t->name, field, &token, whole_number);
        }
    }
}

enum { DTYPE, SHAPE, OFFSETS, FIELDS };
static const char *const field_name[FIELDS] = {"dtype", "shape", "data_offsets"};

static mc_status entry_field(parse *p, const mc_pull_token *key, mc_tensor *t, span *s,
                             bool seen[FIELDS])
{
    int field = 0;
    while (field < FIELDS && !mc_pull_is(key, field_name[field])) field++;
    if (field == FIELDS) {
        mc_pull_token value;
        MC_TRY(next(p, &value));
        return mc_pull_skip(&p->pull, &value, p->err);
    }
    if (seen[field])
        return refuse(p, MC_E_FORMAT, "tensor %s: %s appears twice", mc_quote(t->name).text,
                      field_name[field]);
    seen[field] = true;
    if (field == DTYPE) return dtype_of(p, t);
    return field == SHAPE ? shape_of(p, t, s) : offsets_of(p, t, s);
}

static mc_status entry(parse *p, const mc_pull_token *key)
{
    if (key->holds_nul)
        return refuse(p, MC_E_FORMAT, "tensor name %s holds a NUL character",
                      mc_quote_token(key).text);
    if (p->got.tensors == p->tensor_room) return no_room(p);
    const size_t i = p->got.tensors++;
    mc_tensor *t = &p->got.tensor[i];
    span *s = &p->span[i];
    *t = (mc_tensor){.name = keep(p, key)};
    *s = (span){.tensor = i};

    mc_pull_token token;
    MC_TRY(next(p, &token));
    if (token.kind != MC_PULL_OBJECT)
        return refuse(p, MC_E_FORMAT, "tensor %s: entry is %s, must be an object",
                      mc_quote(t->name).text, mc_pull_kind_name(token.kind));

    bool seen[FIELDS] = {false};
    for (;;) {
        MC_TRY(next(p, &token));
        if (token.kind == MC_PULL_END) break;
        MC_TRY(entry_field(p, &token, t, s, seen));
    }
    for (int field = 0; field < FIELDS; field++)
        if (!seen[field])
            return refuse(p, MC_E_FORMAT, "tensor %s: %s is missing", mc_quote(t->name).text,
                          field_name[field]);
    return MC_OK;
}

/* ---- names ---- */

static int by_key(const void *a, const void *b)
{
    return strcmp(((const mc_pair *)a)->key, ((const mc_pair *)b)->key);
}

static int by_offsets(const void *a, const void *b)
{
    const span *x = a, *y = b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    if (x->end != y->end) return x->end < y->end ? -1 : 1;
    return x->tensor < y->tensor ? -1 : x->tensor > y->tensor;
}

/* Most files are in order already, and a million elements take a second to sort. */
static void sort(void *base, size_t n, size_t size, int (*order)(const void *, const void *))
{
    const char *at = base;
    for (size_t i = 1; i < n; i++, at += size) {
        if (order(at, at + size) <= 0) continue;
        qsort(base, n, size, order);
        return;
    }
}

/* Puts tensors and metadata in the order of their names, which lays duplicates side by side: no
 * table of hashes that a hostile file could make collide. */
static mc_status sort_names(parse *p, mc_arena scratch)
{
    mc_safetensors *got = &p->got;
    uint32_t *was = MC_NEW_RAW(&scratch, uint32_t, got->tensors);
    if (!was || !mc_sort_tensors(got->tensor, got->tensors, was, scratch)) return no_room(p);
    for (size_t i = 0; i < got->tensors; i++) p->span[was[i]].tensor = i;
    for (size_t i = 1; i < got->tensors; i++)
        if (strcmp(got->tensor[i - 1].name, got->tensor[i].name) == 0)
            return refuse(p, MC_E_FORMAT, "tensor %s appears twice",
                          mc_quote(got->tensor[i].name).text);

    sort(got->metadata, got->metadatas, sizeof *got->metadata, by_key);
    for (size_t i = 1; i < got->metadatas; i++)
        if (by_key(&got->metadata[i - 1], &got->metadata[i]) == 0)
            return refuse(p, MC_E_FORMAT, "__metadata__ %s appears twice",
                          mc_quote(got->metadata[i].key).text);
    return MC_OK;
}

/* ---- rules 8 to 12: where the data lies ---- */

/* An offset as a position in the file; one that is beyond any file stays what it is. */
typedef struct {
    char text[48];
} place;

static place place_of(const parse *p, uint64_t offset)
{
    place at;
    uint64_t position;
    if (mc_add_u64(offset, PREFIX + p->header, &position))
        snprintf(at.text, sizeof at.text, "position %" PRIu64, position);
    else
        snprintf(at.text, sizeof at.text, "data offset %" PRIu64, offset);
    return at;
}

static mc_status check_place(parse *p, const span *s, const span *before)
{
    const uint64_t expected = before ? before->end : 0;
    const mc_quoted name = mc_quote(p->got.tensor[s->tensor].name);
    if (s->begin != expected) {
        const char *kind = s->begin > expected ? "hole" : "overlap";
        const uint64_t off = s->begin > expected ? s->begin - expected : expected - s->begin;
        char where[MC_QUOTE_ROOM + 16] = "the data begins";
        if (before)
            snprintf(where, sizeof where, "tensor %s ends",
                     mc_quote(p->got.tensor[before->tensor].name).text);
        return refuse(p, MC_E_FORMAT,
                      "tensor %s begins at %s, must begin at %s where %s (%s of %" PRIu64 " %s)",
                      name.text, place_of(p, s->begin).text, place_of(p, expected).text, where,
                      kind, off, bytes_of(off));
    }
    if (s->end < s->begin)
        return refuse(p, MC_E_FORMAT, "tensor %s ends at %s, before it begins at %s", name.text,
                      place_of(p, s->end).text, place_of(p, s->begin).text);
    return MC_OK;
}

/* "[2, 3] of F32"; of many dimensions the first ones. */
static void shape_text(const mc_tensor *t, char *text, size_t room)
{
    mc_tensor shown = *t;
    if (shown.ndim > MC_MAX_DIMS) shown.ndim = MC_MAX_DIMS;
    mc_tensor_shape_text(&shown, text, room);
    const size_t n = strlen(text);
    const char *more = t->ndim > MC_MAX_DIMS ? ", ...]" : "]";
    snprintf(text + n - 1, room - n + 1, "%s of %s", more, mc_dtype_about(t->dtype)->name);
}

static mc_status check_size(parse *p, const span *s)
{
    const mc_tensor *t = &p->got.tensor[s->tensor];
    char shape[256];
    shape_text(t, shape, sizeof shape);
    uint64_t bits = 0;
    if (s->overflows || !mc_mul_u64(t->count, mc_dtype_about(t->dtype)->bits, &bits))
        return refuse(p, MC_E_FORMAT, "tensor %s: shape %s overflows, must fit 2^64-1 bits",
                      mc_quote(t->name).text, shape);
    if (bits % 8 != 0)
        return refuse(p, MC_E_FORMAT,
                      "tensor %s: shape %s is %" PRIu64 " bits, must be whole bytes",
                      mc_quote(t->name).text, shape, bits);
    if (s->end - s->begin != bits / 8)
        return refuse(
            p, MC_E_FORMAT, "tensor %s: shape %s needs %" PRIu64 " %s, data_offsets give %" PRIu64,
            mc_quote(t->name).text, shape, bits / 8, bytes_of(bits / 8), s->end - s->begin);
    return MC_OK;
}

static mc_status check_data(parse *p)
{
    const size_t n = p->got.tensors;
    sort(p->span, n, sizeof *p->span, by_offsets);
    for (size_t i = 0; i < n; i++) {
        MC_TRY(check_place(p, &p->span[i], i > 0 ? &p->span[i - 1] : NULL));
        MC_TRY(check_size(p, &p->span[i]));
    }

    const uint64_t data = p->file->size - PREFIX - p->header;
    const uint64_t end = n > 0 ? p->span[n - 1].end : 0;
    if (end > data)
        return refuse(p, MC_E_FORMAT,
                      "the last tensor %s ends at %s, but the file has only %zu bytes",
                      mc_quote(p->got.tensor[p->span[n - 1].tensor].name).text,
                      place_of(p, end).text, p->file->size);
    if (end < data)
        return refuse(p, MC_E_FORMAT,
                      "data ends at %s, but %" PRIu64 " more %s behind it (the file has %zu)",
                      place_of(p, end).text, data - end, data - end == 1 ? "byte is" : "bytes are",
                      p->file->size);
    return MC_OK;
}

/* All rules hold: the offsets may become pointers. */
static mc_status finish(parse *p)
{
    for (size_t i = 0; i < p->got.tensors; i++) {
        const span *s = &p->span[i];
        mc_tensor *t = &p->got.tensor[s->tensor];
        if (t->ndim > MC_MAX_DIMS)
            return refuse(p, MC_E_UNSUPPORTED,
                          "tensor %s has %d dimensions, at most %d are supported",
                          mc_quote(t->name).text, t->ndim, (int)MC_MAX_DIMS);
        t->data = p->file->data + PREFIX + p->header + s->begin;
        t->bytes = s->end - s->begin;
    }
    return MC_OK;
}

/* ---- the whole ---- */

/* Rules 1 to 3. */
static mc_status check_frame(parse *p)
{
    const size_t size = p->file->size;
    if (size < PREFIX)
        return refuse(p, MC_E_FORMAT, "file is %zu %s long, a safetensors file has at least 8",
                      size, bytes_of(size));
    p->header = mc_load_u64le(p->file->data);
    if (p->header > MC_HEADER_LIMIT)
        return refuse(p, MC_E_FORMAT,
                      "header is %" PRIu64 " bytes long, at most %" PRIu64 " are allowed",
                      p->header, MC_HEADER_LIMIT);
    if (p->header > size - PREFIX)
        return refuse(p, MC_E_FORMAT, "header is %" PRIu64 " %s long, but the file has only %zu",
                      p->header, bytes_of(p->header), size);
    return MC_OK;
}

/* Upper bounds that cost one pass: every entry has a brace and its least length, every pair a
 * colon. */
static void count(mc_cursor text, size_t *tensors, size_t *pairs)
{
    const size_t most_tensors = mc_left(&text) / LEAST_ENTRY + 1;
    const size_t most_pairs = mc_left(&text) / LEAST_PAIR + 1;
    size_t braces = 0, colons = 0;
    for (; text.at < text.end; text.at++) {
        braces += *text.at == '{';
        colons += *text.at == ':';
    }
    *tensors = braces < most_tensors ? braces : most_tensors;
    *pairs = colons < most_pairs ? colons : most_pairs;
}

/* Rules 5 to 7. */
static mc_status read_header(parse *p)
{
    mc_pull_token token;
    MC_TRY(next(p, &token));
    if (token.kind != MC_PULL_OBJECT)
        return refuse(p, MC_E_FORMAT, "header is %s, must be an object",
                      mc_pull_kind_name(token.kind));
    for (;;) {
        MC_TRY(next(p, &token));
        if (token.kind == MC_PULL_END) break;
        if (mc_pull_is(&token, "__metadata__"))
            MC_TRY(metadata(p));
        else
            MC_TRY(entry(p, &token));
    }
    return next(p, &token); /* nothing but whitespace behind it */
}

static mc_cursor header_of(const mc_map *file)
{
    static const unsigned char nothing[1];
    if (file->size < PREFIX) return (mc_cursor){nothing, nothing};

    const uint64_t n = mc_load_u64le(file->data);
    const size_t bytes = n > MC_HEADER_LIMIT || n > file->size - PREFIX ? 0 : (size_t)n;
    return (mc_cursor){file->data + PREFIX, file->data + PREFIX + bytes};
}

size_t mc_safetensors_memory(const mc_map *file)
{
    const mc_cursor text = header_of(file);
    size_t tensors, pairs;
    count(text, &tensors, &pairs);
    const size_t each = sizeof(mc_tensor) + sizeof(span) + sizeof(uint32_t);
    return mc_left(&text) + tensors * each + pairs * sizeof(mc_pair) +
           mc_sort_tensors_memory(tensors) + 512;
}

mc_status mc_safetensors_parse(const mc_map *file, const char *path, mc_arena *mem,
                               mc_safetensors *out, mc_err *err)
{
    *out = (mc_safetensors){0};
    parse p = {.file = file, .path = path, .err = err};
    MC_TRY(check_frame(&p));

    const mc_cursor text = header_of(file);
    MC_TRY(mc_pull_open(&p.pull, text, path, "header", PREFIX, err)); /* rule 4 */

    count(text, &p.tensor_room, &p.pair_room);
    p.text = MC_NEW_RAW(mem, char, mc_left(&text));
    p.got.tensor = MC_NEW_RAW(mem, mc_tensor, p.tensor_room);
    p.got.metadata = MC_NEW_RAW(mem, mc_pair, p.pair_room);
    mc_arena scratch = *mem;
    p.span = MC_NEW_RAW(&scratch, span, p.tensor_room);
    if (!p.text || !p.got.tensor || !p.got.metadata || !p.span) return no_room(&p);

    MC_TRY(read_header(&p));
    MC_TRY(sort_names(&p, scratch));
    MC_TRY(check_data(&p));
    MC_TRY(finish(&p));
    *out = p.got;
    return MC_OK;
}

bool mc_safetensors_is(const unsigned char *head, size_t head_bytes, uint64_t file_bytes)
{
    if (head_bytes < PREFIX || file_bytes < PREFIX) return false;
    const uint64_t header = mc_load_u64le(head);
    if (header > MC_HEADER_LIMIT || header > file_bytes - PREFIX) return false;
    size_t i = PREFIX;
    while (i < head_bytes && memchr(" \t\r\n", head[i], 4)) i++;
    return i < head_bytes && head[i] == '{';
}

/* ---- as a format ---- */

static bool bids(const mc_probe *probe)
{
    if (probe->is_folder) return false;
    return mc_ends_with(probe->path, ".safetensors") ||
           mc_safetensors_is(probe->head, probe->head_bytes, probe->file_bytes);
}

/* The file alone; beside it only what carries a name that says it belongs to a model, and in a
 * hardened run not even that. */
static mc_status read_model(const char *path, const mc_read_options *options, mc_model *out,
                            mc_err *err)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    mc_folder folder;
    MC_TRY(mc_folder_beside(path, options, &folder, err));
    const mc_model_files files = {
        .format = "safetensors", .path = path, .weights = name, .no_sides = options->no_follow};
    return mc_model_build(&folder, &files, out, err);
}

const mc_format_reader mc_format_safetensors = {
    .bids = bids,
    .read = read_model,
};
