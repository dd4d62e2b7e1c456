/* Writes safetensors so that equal contents become equal bytes, whatever order they come in.
 *
 * The order is the reference writer's: dtypes from the last of its list to the first, which puts
 * wide elements first and so aligns all of them, then names. Its metadata comes in the random order
 * of a hash map; here it is sorted. */
#include "formats/safetensors.h"

#include "core/bytes.h"
#include "core/ckd.h"
#include "formats/json_pull.h"
#include "formats/limits.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The reference's list. */
static const mc_dtype rising[] = {
    MC_BOOL,    MC_F4,          MC_F6_E2M3,     MC_F6_E3M2, MC_U8,  MC_I8,  MC_F8_E5M2, MC_F8_E4M3,
    MC_F8_E8M0, MC_F8_E4M3FNUZ, MC_F8_E5M2FNUZ, MC_I16,     MC_U16, MC_F16, MC_BF16,    MC_I32,
    MC_U32,     MC_F32,         MC_C64,         MC_F64,     MC_I64, MC_U64,
};

static size_t rank(mc_dtype dtype)
{
    size_t i = 0;
    while (i < sizeof rising / sizeof rising[0] && rising[i] != dtype) i++;
    return i;
}

static int by_rank_and_name(const void *a, const void *b)
{
    const mc_tensor *x = *(const mc_tensor *const *)a, *y = *(const mc_tensor *const *)b;
    const size_t rx = rank(x->dtype), ry = rank(y->dtype);
    if (rx != ry) return rx > ry ? -1 : 1;
    return strcmp(x->name, y->name);
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const mc_tensor *const *)a)->name, (*(const mc_tensor *const *)b)->name);
}

static int by_key(const void *a, const void *b)
{
    return strcmp((*(const mc_pair *const *)a)->key, (*(const mc_pair *const *)b)->key);
}

/* ---- the header's text: room was counted before, so that adding cannot fail ---- */

typedef struct {
    char *at;
    size_t bytes;
} text;

static void add(text *t, const char *more)
{
    const size_t n = strlen(more);
    memcpy(t->at + t->bytes, more, n);
    t->bytes += n;
}

static void add_u64(text *t, uint64_t value)
{
    char digits[24];
    snprintf(digits, sizeof digits, "%" PRIu64, value);
    add(t, digits);
}

/* As serde_json writes it: short escapes where there are some, the rest of the control characters
 * as \u00xx. */
static void add_quoted(text *t, const char *name)
{
    static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
    add(t, "\"");
    for (; *name; name++) {
        const char *known = strchr(from, *name);
        char escape[8] = {*name, '\0'};
        if (known)
            snprintf(escape, sizeof escape, "\\%c", to[known - from]);
        else if ((unsigned char)*name < 0x20)
            snprintf(escape, sizeof escape, "\\u%04x", (unsigned)(unsigned char)*name);
        add(t, escape);
    }
    add(t, "\"");
}

static void add_metadata(text *t, const mc_pair *const *pair, size_t n)
{
    add(t, "\"__metadata__\":{");
    for (size_t i = 0; i < n; i++) {
        if (i > 0) add(t, ",");
        add_quoted(t, pair[i]->key);
        add(t, ":");
        add_quoted(t, pair[i]->value);
    }
    add(t, "}");
}

static void add_tensor(text *t, const mc_tensor *tensor, uint64_t begin)
{
    add_quoted(t, tensor->name);
    add(t, ":{\"dtype\":\"");
    add(t, mc_dtype_about(tensor->dtype)->name);
    add(t, "\",\"shape\":[");
    for (int d = 0; d < tensor->ndim; d++) {
        if (d > 0) add(t, ",");
        add_u64(t, tensor->dim[d]);
    }
    add(t, "],\"data_offsets\":[");
    add_u64(t, begin);
    add(t, ",");
    add_u64(t, begin + tensor->bytes);
    add(t, "]}");
}

/* ---- what a reader would refuse is not written ---- */

static mc_status check_text(const char *what, const char *name, mc_err *err)
{
    if (mc_is_utf8(name, strlen(name))) return MC_OK;
    return mc_fail(err, MC_E_USAGE, "%s %s is not valid UTF-8", what, mc_quote(name).text);
}

static mc_status check_tensor(const mc_tensor *t, uint64_t *end, mc_err *err)
{
    MC_TRY(check_text("tensor", t->name, err));
    const char *name = t->name;
    if (strcmp(name, "__metadata__") == 0)
        return mc_fail(err, MC_E_USAGE, "a tensor cannot be called \"__metadata__\"");
    if (rank(t->dtype) == sizeof rising / sizeof rising[0] || t->ndim < 0 || t->ndim > MC_MAX_DIMS)
        return mc_fail(err, MC_E_USAGE, "tensor %s has no dtype or more than %d dimensions",
                       mc_quote(name).text, (int)MC_MAX_DIMS);
    uint64_t bits = mc_dtype_about(t->dtype)->bits;
    bool fits = true;
    uint64_t count = 1;
    for (int d = 0; d < t->ndim; d++) fits = fits && mc_mul_u64(count, t->dim[d], &count);
    fits = fits && mc_mul_u64(bits, count, &bits) && bits % 8 == 0 && bits / 8 == t->bytes;
    if (!fits)
        return mc_fail(err, MC_E_USAGE,
                       "tensor %s: its %" PRIu64 " bytes are not what its shape needs",
                       mc_quote(name).text, t->bytes);
    if (!mc_add_u64(*end, t->bytes, end))
        return mc_fail(err, MC_E_USAGE, "tensor %s: the file overflows 2^64 bytes",
                       mc_quote(name).text);
    return MC_OK;
}

typedef struct {
    const mc_tensor **tensor;
    const mc_pair **pair;
    size_t tensors, pairs;
    text header;
} plan;

static mc_status check(plan *p, mc_err *err)
{
    uint64_t end = 0;
    for (size_t i = 0; i < p->tensors; i++) MC_TRY(check_tensor(p->tensor[i], &end, err));
    if (p->tensors > 0) qsort(p->tensor, p->tensors, sizeof *p->tensor, by_name);
    for (size_t i = 1; i < p->tensors; i++)
        if (by_name(&p->tensor[i - 1], &p->tensor[i]) == 0)
            return mc_fail(err, MC_E_USAGE, "tensor %s appears twice",
                           mc_quote(p->tensor[i]->name).text);

    for (size_t i = 0; i < p->pairs; i++) {
        MC_TRY(check_text("metadata", p->pair[i]->key, err));
        MC_TRY(check_text("metadata", p->pair[i]->value, err));
    }
    if (p->pairs > 0) qsort(p->pair, p->pairs, sizeof *p->pair, by_key);
    for (size_t i = 1; i < p->pairs; i++)
        if (by_key(&p->pair[i - 1], &p->pair[i]) == 0)
            return mc_fail(err, MC_E_USAGE, "metadata %s appears twice",
                           mc_quote(p->pair[i]->key).text);
    return MC_OK;
}

/* ---- the whole ---- */

/* Most bytes of the header: a control character takes six, numbers 20, the rest is counted. */
static size_t header_room(const mc_safetensors *content)
{
    size_t room = 64;
    for (size_t i = 0; i < content->tensors; i++)
        room += 6 * strlen(content->tensor[i].name) + 80 + 21 * (MC_MAX_DIMS + 2);
    for (size_t i = 0; i < content->metadatas; i++)
        room += 6 * (strlen(content->metadata[i].key) + strlen(content->metadata[i].value)) + 8;
    return room;
}

size_t mc_safetensors_write_memory(const mc_safetensors *content)
{
    return header_room(content) + (content->tensors + content->metadatas) * sizeof(void *) + 512;
}

static void make_header(plan *p)
{
    text *t = &p->header;
    uint64_t begin = 0;
    t->bytes = 8; /* its length, known at the end */
    add(t, "{");
    if (p->pairs > 0) add_metadata(t, p->pair, p->pairs);
    for (size_t i = 0; i < p->tensors; i++) {
        if (i > 0 || p->pairs > 0) add(t, ",");
        add_tensor(t, p->tensor[i], begin);
        begin += p->tensor[i]->bytes;
    }
    add(t, "}");
    while (t->bytes % 8 != 0) add(t, " ");
    mc_store_u64le(t->at, t->bytes - 8);
}

mc_status mc_safetensors_write(mc_out *out, const mc_safetensors *content, mc_arena scratch,
                               mc_err *err)
{
    return mc_safetensors_write_from(out, content, (mc_safetensors_written){NULL, NULL}, scratch,
                                     err);
}

mc_status mc_safetensors_write_from(mc_out *out, const mc_safetensors *content,
                                    mc_safetensors_written written, mc_arena scratch, mc_err *err)
{
    plan p = {.tensors = content->tensors, .pairs = content->metadatas};
    p.tensor = MC_NEW_RAW(&scratch, const mc_tensor *, p.tensors);
    p.pair = MC_NEW_RAW(&scratch, const mc_pair *, p.pairs);
    p.header.at = MC_NEW_RAW(&scratch, char, header_room(content));
    if (!p.tensor || !p.pair || !p.header.at) return mc_no_room(err, "the header");
    for (size_t i = 0; i < p.tensors; i++) p.tensor[i] = &content->tensor[i];
    for (size_t i = 0; i < p.pairs; i++) p.pair[i] = &content->metadata[i];

    MC_TRY(check(&p, err));
    if (p.tensors > 0) qsort(p.tensor, p.tensors, sizeof *p.tensor, by_rank_and_name);
    make_header(&p);
    if (p.header.bytes - 8 > MC_HEADER_LIMIT)
        return mc_fail(err, MC_E_USAGE, "header is %zu bytes long, at most %" PRIu64 " are allowed",
                       p.header.bytes - 8, MC_HEADER_LIMIT);

    MC_TRY(mc_out_write(out, p.header.at, p.header.bytes, err));
    for (size_t i = 0; i < p.tensors; i++) {
        if (p.tensor[i]->bytes > 0)
            MC_TRY(mc_out_write(out, p.tensor[i]->data, (size_t)p.tensor[i]->bytes, err));
        if (written.tell) written.tell(written.to, p.tensor[i]);
    }
    return MC_OK;
}
