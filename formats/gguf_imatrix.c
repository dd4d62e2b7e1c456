/* Importance matrices: sums and counts by name on one side, a GGUF file on the other. */
#include "formats/gguf_imatrix.h"

#include "core/bytes.h"
#include "core/ckd.h"
#include "formats/gguf.h"
#include "formats/gguf_names.h"
#include "formats/json_pull.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char sums[] = ".in_sum2", counts[] = ".counts";

/* ---- reading ---- */

static bool is_text(const mc_gguf_pair *p, const char *text)
{
    return p && p->type == MC_GGUF_TEXT && p->bytes == strlen(text) &&
           memcmp(p->data, text, p->bytes) == 0;
}

/* Without reading the whole: the pair may stand anywhere, but writers put it first. */
bool mc_imatrix_is(const mc_map *file)
{
    static const char key[] = "general.type", value[] = "imatrix";
    const size_t head = file->size < 4096 ? file->size : 4096;
    if (!mc_gguf_is(file->data, file->size)) return false;
    for (size_t i = 0; i + sizeof key + 11 + sizeof value <= head + 1; i++)
        if (memcmp(file->data + i, key, sizeof key - 1) == 0 &&
            memcmp(file->data + i + sizeof key - 1 + 12, value, sizeof value - 1) == 0)
            return true;
    return false;
}

size_t mc_imatrix_memory(const mc_map *file)
{
    /* Names and numbers once more, and what arenas lose to alignment: at most 64 bytes for each of
     * two texts and two arrays a tensor, whose entry takes 25 bytes or more. */
    const size_t copies = file->size < SIZE_MAX / 64 ? 24 * file->size : SIZE_MAX / 2;
    return mc_gguf_memory(file) + copies + 4096;
}

static bool ends_with(const char *name, const char *end)
{
    const size_t n = strlen(name), k = strlen(end);
    return n > k && strcmp(name + n - k, end) == 0;
}

typedef struct {
    const char *path;
    mc_gguf file;
    mc_arena *mem;
    mc_imatrix *out;
    mc_err *err;
} reader;

static mc_status bad(const reader *r, const mc_gguf_tensor *t, const char *why)
{
    char path[MC_PATH_ROOM];
    return mc_fail(r->err, MC_E_FORMAT, "%s: tensor %s %s",
                   mc_show_path(r->path, path, sizeof path), mc_quote(t->name).text, why);
}

/* A copy of a tensor's numbers: finite and not negative. */
static mc_status numbers(const reader *r, const mc_gguf_tensor *t, const float **out)
{
    const size_t n = (size_t)(t->bytes / sizeof(float));
    float *to = MC_NEW_RAW(r->mem, float, n);
    if (!to) return mc_no_room(r->err, r->path);
    memcpy(to, t->data, n * sizeof *to);
    *out = to;
    for (size_t i = 0; i < n; i++)
        if (!(to[i] >= 0.0f && to[i] <= FLT_MAX)) {
            char why[96];
            snprintf(why, sizeof why, "has %g at %zu, must be finite and not negative",
                     (double)to[i], i);
            return bad(r, t, why);
        }
    return MC_OK;
}

static mc_status read_entry(reader *r, const mc_gguf_tensor *sum, mc_imatrix_entry *e)
{
    char name[MC_GGUF_NAME + 16];
    const size_t lead = strlen(sum->name) - strlen(sums);
    snprintf(name, sizeof name, "%.*s%s", (int)lead, sum->name, counts);
    const mc_gguf_tensor *count = mc_gguf_find_tensor(&r->file, name);
    if (!count) return bad(r, sum, "has no counts beside it");
    if (sum->type != MC_GGML_F32 || count->type != MC_GGML_F32)
        return bad(r, sum, "or its counts are not F32");
    if (sum->ne[0] == 0 || sum->ne[1] == 0 || sum->ne[2] != 1 || sum->ne[3] != 1)
        return bad(r, sum, "must have the shape [inputs, matrices]");
    if (count->ne[0] != 1 || count->ne[1] != sum->ne[1] || count->ne[2] != 1 || count->ne[3] != 1)
        return bad(r, count, "must have one number for each matrix");
    e->n = (size_t)sum->ne[0];
    e->matrices = (size_t)sum->ne[1];
    e->tensor = mc_copy_text(r->mem, sum->name, lead);
    if (!e->tensor) return mc_no_room(r->err, r->path);
    MC_TRY(numbers(r, sum, &e->square));
    return numbers(r, count, &e->count);
}

static mc_status read_datasets(reader *r)
{
    const mc_gguf_pair *p = mc_gguf_find(&r->file, "imatrix.datasets");
    const char *text;
    size_t at = 0, bytes;
    while (p && mc_gguf_next_text(p, &at, &text, &bytes)) r->out->datasets++;
    r->out->dataset = MC_NEW_RAW(r->mem, const char *, r->out->datasets);
    if (!r->out->dataset) return mc_no_room(r->err, r->path);
    at = 0;
    for (size_t i = 0; i < r->out->datasets; i++) {
        mc_gguf_next_text(p, &at, &text, &bytes);
        if (memchr(text, '\0', bytes) || !mc_is_utf8(text, bytes))
            return mc_fail(r->err, MC_E_FORMAT, "%s: imatrix.datasets is not UTF-8 without NUL",
                           r->path);
        r->out->dataset[i] = mc_copy_text(r->mem, text, bytes);
        if (!r->out->dataset[i]) return mc_no_room(r->err, r->path);
    }
    return MC_OK;
}

static mc_status read_number(reader *r, const char *key, uint32_t *out)
{
    uint64_t value = 0;
    const mc_gguf_pair *p = mc_gguf_find(&r->file, key);
    if (p && (!mc_gguf_u64(p, &value) || value > UINT32_MAX))
        return mc_fail(r->err, MC_E_FORMAT, "%s: %s must be a whole number below 2^32", r->path,
                       key);
    *out = (uint32_t)value;
    return MC_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const mc_imatrix_entry *)a)->tensor, ((const mc_imatrix_entry *)b)->tensor);
}

mc_status mc_imatrix_read(const mc_map *file, const char *path, mc_arena *mem, mc_imatrix *out,
                          mc_err *err)
{
    reader r = {.path = path, .mem = mem, .out = out, .err = err};
    *out = (mc_imatrix){.entries = 0};
    MC_TRY(mc_gguf_read(file, path, mem, &r.file, err));
    if (!is_text(mc_gguf_find(&r.file, "general.type"), "imatrix"))
        return mc_fail(err, MC_E_FORMAT, "%s: is no imatrix: general.type is not \"imatrix\"",
                       path);
    MC_TRY(read_datasets(&r));
    MC_TRY(read_number(&r, "imatrix.chunk_count", &out->chunks));
    MC_TRY(read_number(&r, "imatrix.chunk_size", &out->chunk_tokens));
    out->entry = MC_NEW_RAW(mem, mc_imatrix_entry, r.file.tensors);
    if (!out->entry) return mc_no_room(err, path);
    for (size_t i = 0; i < r.file.tensors; i++)
        if (ends_with(r.file.tensor[i].name, sums))
            MC_TRY(read_entry(&r, &r.file.tensor[i], &out->entry[out->entries++]));
    if (out->entries > 0) qsort(out->entry, out->entries, sizeof *out->entry, by_name);
    return MC_OK;
}

bool mc_imatrix_find(const mc_imatrix *im, const char *weight, mc_imatrix_part *out)
{
    char name[MC_GGUF_NAME + 1];
    uint64_t expert = MC_GGUF_WHOLE;
    const bool mapped = mc_gguf_name(weight, name, &expert);
    const mc_imatrix_entry key = {.tensor = mapped ? name : weight};
    const mc_imatrix_entry *e =
        im->entries ? bsearch(&key, im->entry, im->entries, sizeof key, by_name) : NULL;
    if (!e || (expert == MC_GGUF_WHOLE && e->matrices != 1)) return false;
    const size_t matrix = expert == MC_GGUF_WHOLE ? 0 : (size_t)expert;
    if (matrix >= e->matrices) return false;
    *out = (mc_imatrix_part){e->n, e->square + matrix * e->n, (double)e->count[matrix]};
    return true;
}

/* ---- writing ---- */

/* A row under its name in GGUF. */
typedef struct {
    const mc_imatrix_row *row;
    uint64_t expert; /* MC_GGUF_WHOLE: it is the tensor's only matrix */
    char name[MC_GGUF_NAME + 1];
} named;

static int by_name_and_expert(const void *a, const void *b)
{
    const named *x = a, *y = b;
    const int order = strcmp(x->name, y->name);
    return order ? order : (x->expert > y->expert) - (x->expert < y->expert);
}

static mc_status name_row(const mc_imatrix_row *row, named *out, mc_err *err)
{
    *out = (named){.row = row, .expert = MC_GGUF_WHOLE};
    if (!mc_gguf_name(row->weight, out->name, &out->expert)) {
        if (strncmp(row->weight, "blk.", 4) != 0 || strlen(row->weight) > MC_GGUF_NAME)
            return mc_fail(err, MC_E_UNSUPPORTED, "weight %s: GGUF has no name for it",
                           mc_quote(row->weight).text);
        memcpy(out->name, row->weight, strlen(row->weight) + 1);
    }
    if (strlen(out->name) + strlen(sums) > MC_GGUF_NAME)
        return mc_fail(err, MC_E_UNSUPPORTED, "weight %s: its name is too long for GGUF",
                       mc_quote(row->weight).text);
    for (size_t i = 0; i < row->n; i++)
        if (!(row->square[i] >= 0.0 && row->square[i] <= (double)FLT_MAX))
            return mc_fail(err, MC_E_FORMAT, "weight %s: the sum of squares of input %zu is %g",
                           mc_quote(row->weight).text, i, row->square[i]);
    return MC_OK;
}

/* Rows [0, n) of `row` are one tensor. */
static mc_status check_tensor(const named *row, size_t n, mc_err *err)
{
    for (size_t i = 1; i < n; i++) {
        if (row[i].row->n != row[0].row->n)
            return mc_fail(err, MC_E_USAGE, "weights %s and %s have %zu and %zu inputs",
                           row[0].row->weight, row[i].row->weight, row[0].row->n, row[i].row->n);
        if (row[i].expert == row[i - 1].expert)
            return mc_fail(err, MC_E_USAGE, "weight %s appears twice", row[i].row->weight);
    }
    return MC_OK;
}

static void fill(const named *row, size_t n, float *sum, float *count)
{
    const size_t inputs = row[0].row->n;
    for (size_t i = 0; i < n; i++) {
        const size_t matrix = row[i].expert == MC_GGUF_WHOLE ? 0 : (size_t)row[i].expert;
        for (size_t k = 0; k < inputs; k++) sum[matrix * inputs + k] = (float)row[i].row->square[k];
        count[matrix] = (float)row[i].row->count;
    }
}

static bool put(mc_gguf *g, mc_arena *mem, const char *lead, const char *end, uint64_t ne0,
                uint64_t ne1, float **data)
{
    mc_gguf_tensor t = {.name = mc_format(mem, "%s%s", lead, end),
                        .type = MC_GGML_F32,
                        .ndim = ne1 > 1 ? 2 : 1,
                        .ne = {ne0, ne1, 1, 1},
                        .bytes = ne0 * ne1 * sizeof(float)};
    *data = MC_NEW(mem, float, (size_t)(ne0 * ne1));
    t.data = (const unsigned char *)*data;
    g->tensor[g->tensors++] = t;
    return t.name && *data;
}

static mc_status add_tensor(mc_gguf *g, const named *row, size_t n, mc_arena *mem, mc_err *err)
{
    const uint64_t last = row[n - 1].expert;
    const uint64_t matrices = last == MC_GGUF_WHOLE ? 1 : last + 1;
    float *sum, *count;
    MC_TRY(check_tensor(row, n, err));
    if (row[0].row->n == 0 || !put(g, mem, row->name, sums, row[0].row->n, matrices, &sum) ||
        !put(g, mem, row->name, counts, 1, matrices, &count))
        return mc_no_room(err, row->name);
    fill(row, n, sum, count);
    return MC_OK;
}

static mc_gguf_pair text_pair(const char *key, const char *text)
{
    return (mc_gguf_pair){.key = key,
                          .type = MC_GGUF_TEXT,
                          .items = strlen(text),
                          .data = (const unsigned char *)text,
                          .bytes = strlen(text)};
}

static mc_gguf_pair u32_pair(const char *key, unsigned char room[4], uint32_t value)
{
    mc_store_u32le(room, value);
    return (mc_gguf_pair){.key = key, .type = MC_GGUF_U32, .items = 1, .data = room, .bytes = 4};
}

/* Of all experts that a block may have by the names given: bounded by what the rows pay for. */
static size_t matrices_of(const mc_imatrix_content *content)
{
    char name[MC_GGUF_NAME + 1];
    uint64_t expert, most = 0;
    for (size_t i = 0; i < content->rows; i++)
        if (mc_gguf_name(content->row[i].weight, name, &expert) && expert != MC_GGUF_WHOLE &&
            expert > most)
            most = expert;
    return (size_t)most + 1;
}

size_t mc_imatrix_write_memory(const mc_imatrix_content *content)
{
    const size_t matrices = matrices_of(content);
    size_t bytes = 8192 + 2 * strlen(content->dataset), widest = 0, experts = 0;
    char name[MC_GGUF_NAME + 1];
    uint64_t expert;
    for (size_t i = 0; i < content->rows; i++) {
        const mc_imatrix_row *row = &content->row[i];
        if (!mc_gguf_name(row->weight, name, &expert)) expert = MC_GGUF_WHOLE;
        experts += expert != MC_GGUF_WHOLE;
        if (expert != MC_GGUF_WHOLE && row->n > widest) widest = row->n;
        bytes += row->n * sizeof(float) + sizeof(named) + 2 * sizeof(mc_gguf_tensor) + 1024;
    }
    return bytes + experts * matrices * (widest + 1) * sizeof(float);
}

mc_status mc_imatrix_write(mc_out *out, const mc_imatrix_content *content, mc_arena scratch,
                           mc_err *err)
{
    named *row = MC_NEW_RAW(&scratch, named, content->rows);
    mc_gguf g = {.tensor = MC_NEW_RAW(&scratch, mc_gguf_tensor, 2 * content->rows)};
    unsigned char *list = MC_NEW_RAW(&scratch, unsigned char, 8 + strlen(content->dataset));
    if (!row || !g.tensor || !list) return mc_no_room(err, "the imatrix");
    for (size_t i = 0; i < content->rows; i++) MC_TRY(name_row(&content->row[i], &row[i], err));
    if (content->rows > 0) qsort(row, content->rows, sizeof *row, by_name_and_expert);
    for (size_t i = 0, n; i < content->rows; i += n) {
        for (n = 1; i + n < content->rows && strcmp(row[i].name, row[i + n].name) == 0;) n++;
        MC_TRY(add_tensor(&g, row + i, n, &scratch, err));
    }
    unsigned char chunks[4], chunk_tokens[4];
    mc_store_u64le(list, strlen(content->dataset));
    memcpy(list + 8, content->dataset, strlen(content->dataset));
    mc_gguf_pair pair[] = {
        text_pair("general.type", "imatrix"),
        {.key = "imatrix.datasets",
         .type = MC_GGUF_ARRAY,
         .item = MC_GGUF_TEXT,
         .items = 1,
         .data = list,
         .bytes = 8 + strlen(content->dataset)},
        u32_pair("imatrix.chunk_count", chunks, content->chunks),
        u32_pair("imatrix.chunk_size", chunk_tokens, content->chunk_tokens),
    };
    g.pair = pair;
    g.pairs = sizeof pair / sizeof pair[0];
    return mc_gguf_write(out, &g, scratch, err);
}
