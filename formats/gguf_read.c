/* Reading GGUF: one pass over the header with a cursor, after which every value and every tensor is
 * known to lie inside the file. */
#include "formats/gguf.h"

#include "core/bytes.h"
#include "core/ckd.h"
#include "formats/json_pull.h"
#include "formats/limits.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    HEAD = 24,         /* bytes in front of the pairs */
    LEAST_PAIR = 14,   /* bytes of a pair with a key of one letter and a value of one byte */
    LEAST_TENSOR = 25, /* bytes of a tensor's entry with a name of one letter and no dimensions */
};

typedef struct {
    const mc_map *file;
    const char *path;
    mc_arena *mem;
    mc_cursor in;
    mc_gguf *out;
    mc_err *err;
} reader;

static mc_status MC_PRINTF(3, 4) refuse(reader *r, mc_status status, const char *fmt, ...)
{
    char path[MC_PATH_ROOM], why[MC_ERR_TEXT];
    va_list args;
    va_start(args, fmt);
    vsnprintf(why, sizeof why, fmt, args);
    va_end(args);
    return mc_fail(r->err, status, "%s: %s", mc_show_path(r->path, path, sizeof path), why);
}

static mc_status ends(reader *r, const char *what)
{
    return refuse(r, MC_E_FORMAT, "file ends inside %s at position %zu", what,
                  (size_t)(r->in.at - r->file->data));
}

/* ---- pieces ---- */

static mc_status take_u32(reader *r, const char *what, uint32_t *out)
{
    const unsigned char *at = mc_take(&r->in, 4);
    *out = 0;
    if (!at) return ends(r, what);
    *out = mc_load_u32le(at);
    return MC_OK;
}

static mc_status take_u64(reader *r, const char *what, uint64_t *out)
{
    const unsigned char *at = mc_take(&r->in, 8);
    *out = 0;
    if (!at) return ends(r, what);
    *out = mc_load_u64le(at);
    return MC_OK;
}

/* A text that becomes a name: not empty, UTF-8, without NUL. */
static mc_status take_name(reader *r, const char *what, size_t most, const char **out)
{
    uint64_t bytes;
    MC_TRY(take_u64(r, what, &bytes));
    if (bytes > mc_left(&r->in)) return ends(r, what);
    if (bytes == 0 || bytes > most)
        return refuse(r, MC_E_FORMAT, "%s has %" PRIu64 " bytes, must have 1 to %zu", what, bytes,
                      most);
    const unsigned char *at = mc_take(&r->in, (size_t)bytes);
    if (memchr(at, '\0', (size_t)bytes) || !mc_is_utf8(at, (size_t)bytes))
        return refuse(r, MC_E_FORMAT, "%s at position %zu is not UTF-8 without NUL", what,
                      (size_t)(at - r->file->data));
    *out = mc_copy_text(r->mem, (const char *)at, (size_t)bytes);
    return *out ? MC_OK : mc_no_room(r->err, r->path);
}

/* Bytes of a scalar; 0 for texts, arrays and numbers that are no type. */
static size_t scalar_bytes(uint32_t type)
{
    static const uint8_t bytes[] = {
#define X(id, number, size) [number] = (size),
        MC_GGUF_TYPES(X)
#undef X
    };
    return type < sizeof bytes ? bytes[type] : 0;
}

/* ---- pairs ---- */

static mc_status take_texts(reader *r, mc_gguf_pair *p)
{
    for (uint64_t i = 0; i < p->items; i++) {
        uint64_t bytes;
        MC_TRY(take_u64(r, "a text", &bytes));
        if (bytes > mc_left(&r->in)) return ends(r, "a text");
        mc_take(&r->in, (size_t)bytes);
    }
    p->bytes = (size_t)(r->in.at - p->data);
    return MC_OK;
}

static mc_status take_scalars(reader *r, size_t each, mc_gguf_pair *p)
{
    uint64_t bytes;
    if (!mc_mul_u64(p->items, each, &bytes) || bytes > mc_left(&r->in)) return ends(r, "a value");
    p->data = mc_take(&r->in, (size_t)bytes);
    p->bytes = (size_t)bytes;
    return MC_OK;
}

static mc_status take_array(reader *r, mc_gguf_pair *p)
{
    uint32_t item;
    MC_TRY(take_u32(r, "an array", &item));
    MC_TRY(take_u64(r, "an array", &p->items));
    p->item = (mc_gguf_type)item;
    p->data = r->in.at;
    if (item == MC_GGUF_TEXT) return take_texts(r, p);
    if (scalar_bytes(item) == 0)
        return refuse(r, MC_E_FORMAT,
                      "pair %s: items of type %" PRIu32
                      " (arrays of numbers and texts are allowed)",
                      mc_quote(p->key).text, item);
    return take_scalars(r, scalar_bytes(item), p);
}

static mc_status take_pair(reader *r, mc_gguf_pair *p)
{
    uint32_t type;
    MC_TRY(take_name(r, "a key", UINT16_MAX, &p->key));
    MC_TRY(take_u32(r, "a pair", &type));
    p->type = p->item = (mc_gguf_type)type;
    p->items = 1;
    if (type == MC_GGUF_ARRAY) return take_array(r, p);
    if (type == MC_GGUF_TEXT) {
        MC_TRY(take_u64(r, "a text", &p->items));
        return take_scalars(r, 1, p);
    }
    if (scalar_bytes(type) == 0)
        return refuse(r, MC_E_FORMAT, "pair %s: its type is %" PRIu32 " (0 to 12 are allowed)",
                      mc_quote(p->key).text, type);
    MC_TRY(take_scalars(r, scalar_bytes(type), p));
    if (type == MC_GGUF_BOOL && *p->data > 1)
        return refuse(r, MC_E_FORMAT, "pair %s: a bool is %d, must be 0 or 1",
                      mc_quote(p->key).text, *p->data);
    return MC_OK;
}

static mc_status find_align(reader *r)
{
    const mc_gguf_pair *p = mc_gguf_find(r->out, "general.alignment");
    r->out->align = MC_GGUF_ALIGN;
    if (!p) return MC_OK;
    if (p->type == MC_GGUF_U32) r->out->align = mc_load_u32le(p->data);
    const uint64_t align = r->out->align;
    if (p->type == MC_GGUF_U32 && align > 0 && (align & (align - 1)) == 0) return MC_OK;
    return refuse(r, MC_E_FORMAT, "general.alignment must be a u32 and a power of two");
}

/* ---- tensors ---- */

const mc_ggml_info *mc_ggml_about(uint32_t number)
{
    static const mc_ggml_info info[] = {
#define X(id, number, elements, bytes) {#id, MC_GGML_##id, elements, bytes},
        MC_GGML_TYPES(X)
#undef X
    };
    for (size_t i = 0; i < sizeof info / sizeof info[0]; i++)
        if ((uint32_t)info[i].type == number) return &info[i];
    return NULL;
}

static mc_status tensor_bytes(reader *r, mc_gguf_tensor *t, uint32_t type)
{
    const mc_ggml_info *about = mc_ggml_about(type);
    if (!about)
        return refuse(r, MC_E_UNSUPPORTED, "tensor %s has the type %" PRIu32 ", which is not known",
                      mc_quote(t->name).text, type);
    t->type = about->type;
    uint64_t count = 1;
    bool fits = true;
    for (int d = 0; d < t->ndim; d++) fits = fits && mc_mul_u64(count, t->ne[d], &count);
    if (!fits || count > INT64_MAX)
        return refuse(r, MC_E_FORMAT, "tensor %s has more than 2^63 elements",
                      mc_quote(t->name).text);
    if (t->ne[0] % about->elements != 0)
        return refuse(r, MC_E_FORMAT,
                      "tensor %s: rows of %" PRIu64 " (%s has blocks of %" PRIu32 ")",
                      mc_quote(t->name).text, t->ne[0], about->name, about->elements);
    if (!mc_mul_u64(count / about->elements, about->bytes, &t->bytes))
        return refuse(r, MC_E_FORMAT, "tensor %s has more than 2^64 bytes", mc_quote(t->name).text);
    return MC_OK;
}

/* `end` is where the tensors before it end, padded. */
static mc_status take_tensor(reader *r, mc_gguf_tensor *t, uint64_t *end)
{
    uint32_t dims, type;
    uint64_t offset, after;
    MC_TRY(take_name(r, "a tensor's name", MC_GGUF_NAME, &t->name));
    MC_TRY(take_u32(r, "a tensor", &dims));
    if (dims > MC_GGUF_DIMS)
        return refuse(r, MC_E_FORMAT,
                      "tensor %s has %" PRIu32 " dimensions, at most %d are allowed",
                      mc_quote(t->name).text, dims, (int)MC_GGUF_DIMS);
    t->ndim = (int)dims;
    for (int d = 0; d < MC_GGUF_DIMS; d++) t->ne[d] = 1;
    for (int d = 0; d < t->ndim; d++) MC_TRY(take_u64(r, "a tensor", &t->ne[d]));
    MC_TRY(take_u32(r, "a tensor", &type));
    MC_TRY(take_u64(r, "a tensor", &offset));
    MC_TRY(tensor_bytes(r, t, type));
    if (offset != *end)
        return refuse(r, MC_E_FORMAT, "tensor %s begins at %" PRIu64 ", must begin at %" PRIu64,
                      mc_quote(t->name).text, offset, *end);
    if (!mc_add_u64(*end, t->bytes, &after) || !mc_align_up(after, r->out->align, end))
        return refuse(r, MC_E_FORMAT, "tensor %s ends beyond 2^64 bytes", mc_quote(t->name).text);
    return MC_OK;
}

/* Offsets become pointers. The last tensor need not be padded. */
static mc_status place_tensors(reader *r)
{
    uint64_t begin = (uint64_t)(r->in.at - r->file->data);
    if (!mc_align_up(begin, r->out->align, &begin) || r->out->tensors == 0) return MC_OK;
    for (size_t i = 0; i < r->out->tensors; i++) {
        mc_gguf_tensor *t = &r->out->tensor[i];
        if (begin > r->file->size || t->bytes > r->file->size - begin)
            return refuse(r, MC_E_FORMAT,
                          "tensor %s lies beyond the end of the file, which has %zu bytes",
                          mc_quote(t->name).text, r->file->size);
        t->data = r->file->data + begin;
        if (!mc_align_up(begin + t->bytes, r->out->align, &begin))
            return refuse(r, MC_E_FORMAT, "tensor %s ends beyond 2^64 bytes",
                          mc_quote(t->name).text);
    }
    return MC_OK;
}

/* ---- names that appear twice ---- */

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static mc_status check_twice(reader *r, const char **name, size_t n, const char *what)
{
    if (n > 0) qsort(name, n, sizeof *name, by_text);
    for (size_t i = 1; i < n; i++)
        if (strcmp(name[i - 1], name[i]) == 0)
            return refuse(r, MC_E_FORMAT, "%s %s appears twice", what, mc_quote(name[i]).text);
    return MC_OK;
}

static mc_status check_names(reader *r, mc_arena scratch)
{
    const mc_gguf *g = r->out;
    const size_t most = g->pairs > g->tensors ? g->pairs : g->tensors;
    const char **name = MC_NEW_RAW(&scratch, const char *, most);
    if (!name) return mc_no_room(r->err, r->path);
    for (size_t i = 0; i < g->pairs; i++) name[i] = g->pair[i].key;
    MC_TRY(check_twice(r, name, g->pairs, "key"));
    for (size_t i = 0; i < g->tensors; i++) name[i] = g->tensor[i].name;
    return check_twice(r, name, g->tensors, "tensor");
}

/* ---- the whole ---- */

bool mc_gguf_is(const unsigned char *head, size_t head_bytes)
{
    return head_bytes >= 4 && memcmp(head, "GGUF", 4) == 0;
}

/* How many there can be in so many bytes. */
static size_t most_of(uint64_t said, size_t bytes, size_t least)
{
    return said < bytes / least ? (size_t)said : bytes / least;
}

static void counts(const mc_map *file, size_t *tensors, size_t *pairs)
{
    *tensors = *pairs = 0;
    if (file->size < HEAD) return;
    *tensors = most_of(mc_load_u64le(file->data + 8), file->size, LEAST_TENSOR);
    *pairs = most_of(mc_load_u64le(file->data + 16), file->size, LEAST_PAIR);
}

/* Names are copied to places aligned to 64 bytes, so each takes more than its length. */
size_t mc_gguf_memory(const mc_map *file)
{
    size_t tensors, pairs;
    counts(file, &tensors, &pairs);
    const size_t names = file->size < SIZE_MAX / 4 ? file->size : SIZE_MAX / 4;
    return tensors * (sizeof(mc_gguf_tensor) + 128 + sizeof(char *)) +
           pairs * (sizeof(mc_gguf_pair) + 128 + sizeof(char *)) + names + 1024;
}

static mc_status read_head(reader *r, uint64_t *tensors, uint64_t *pairs)
{
    uint32_t version = 0;
    if (!mc_gguf_is(r->file->data, r->file->size))
        return refuse(r, MC_E_FORMAT, "is no GGUF file: it must begin with GGUF");
    mc_take(&r->in, 4);
    MC_TRY(take_u32(r, "the header", &version));
    if (version != 2 && version != 3)
        return refuse(r, MC_E_UNSUPPORTED, "GGUF version %" PRIu32 " (2 and 3 can be read)",
                      version);
    MC_TRY(take_u64(r, "the header", tensors));
    return take_u64(r, "the header", pairs);
}

static mc_status read_all(reader *r)
{
    uint64_t tensors, pairs, end = 0;
    size_t most_tensors, most_pairs;
    MC_TRY(read_head(r, &tensors, &pairs));
    counts(r->file, &most_tensors, &most_pairs);
    if (tensors > most_tensors || pairs > most_pairs)
        return refuse(r, MC_E_FORMAT,
                      "%" PRIu64 " tensors and %" PRIu64 " pairs do not fit a file of %zu bytes",
                      tensors, pairs, r->file->size);
    mc_gguf *g = r->out;
    g->pair = MC_NEW(r->mem, mc_gguf_pair, most_pairs);
    g->tensor = MC_NEW(r->mem, mc_gguf_tensor, most_tensors);
    if (!g->pair || !g->tensor) return mc_no_room(r->err, r->path);
    for (; g->pairs < pairs; g->pairs++) MC_TRY(take_pair(r, &g->pair[g->pairs]));
    MC_TRY(find_align(r));
    for (; g->tensors < tensors; g->tensors++) MC_TRY(take_tensor(r, &g->tensor[g->tensors], &end));
    MC_TRY(check_names(r, *r->mem));
    return place_tensors(r);
}

mc_status mc_gguf_read(const mc_map *file, const char *path, mc_arena *mem, mc_gguf *out,
                       mc_err *err)
{
    static const unsigned char nothing[1];
    const unsigned char *begin = file->size ? file->data : nothing;
    *out = (mc_gguf){.pairs = 0};
    reader r = {.file = file,
                .path = path,
                .mem = mem,
                .in = {begin, begin + file->size},
                .out = out,
                .err = err};
    return read_all(&r);
}

/* ---- looking ---- */

const mc_gguf_pair *mc_gguf_find(const mc_gguf *g, const char *key)
{
    for (size_t i = 0; i < g->pairs; i++)
        if (strcmp(g->pair[i].key, key) == 0) return &g->pair[i];
    return NULL;
}

const mc_gguf_tensor *mc_gguf_find_tensor(const mc_gguf *g, const char *name)
{
    for (size_t i = 0; i < g->tensors; i++)
        if (strcmp(g->tensor[i].name, name) == 0) return &g->tensor[i];
    return NULL;
}

bool mc_gguf_u64(const mc_gguf_pair *p, uint64_t *value)
{
    switch (p->type) {
    case MC_GGUF_U8: *value = p->data[0]; return true;
    case MC_GGUF_U16: *value = mc_load_u16le(p->data); return true;
    case MC_GGUF_U32: *value = mc_load_u32le(p->data); return true;
    case MC_GGUF_U64: *value = mc_load_u64le(p->data); return true;
    case MC_GGUF_I8: *value = p->data[0]; return *value < 0x80;
    case MC_GGUF_I16: *value = mc_load_u16le(p->data); return *value < 0x8000;
    case MC_GGUF_I32: *value = mc_load_u32le(p->data); return *value < 0x80000000;
    case MC_GGUF_I64: *value = mc_load_u64le(p->data); return *value <= INT64_MAX;
    default: return false;
    }
}

bool mc_gguf_next_text(const mc_gguf_pair *p, size_t *at, const char **text, size_t *bytes)
{
    if (p->type != MC_GGUF_ARRAY || p->item != MC_GGUF_TEXT || *at >= p->bytes) return false;
    *bytes = (size_t)mc_load_u64le(p->data + *at);
    *text = (const char *)p->data + *at + 8;
    *at += 8 + *bytes;
    return true;
}
