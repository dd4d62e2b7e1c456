#include "npz_builder.h"

#include "core/bytes.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { LOCAL = 30, ENTRY = 46, END = 22, END64 = 56, LOCATOR = 20 };

void blob_free(blob *b)
{
    free(b->at);
    *b = (blob){0};
}

static unsigned char *grow(blob *b, size_t n)
{
    unsigned char *at = realloc(b->at, b->n + n + 1);
    cr_assert_not_null(at);
    b->at = at;
    memset(at + b->n, 0, n);
    b->n += n;
    return at + b->n - n;
}

static void append(blob *b, const void *bytes, size_t n)
{
    if (n > 0) memcpy(grow(b, n), bytes, n);
}

/* To just its size. */
static blob trimmed(blob b)
{
    unsigned char *at = malloc(b.n ? b.n : 1);
    cr_assert_not_null(at);
    memcpy(at, b.at, b.n);
    free(b.at);
    return (blob){at, b.n};
}

blob npy_text(unsigned version, const char *text, const void *data, size_t bytes)
{
    blob b = {0};
    const size_t n = strlen(text);
    append(&b, "\x93NUMPY", 6);
    unsigned char *head = grow(&b, version == 1 ? 4 : 6);
    head[0] = (unsigned char)version;
    if (version == 1)
        mc_store_u16le(head + 2, (uint16_t)n);
    else
        mc_store_u32le(head + 2, (uint32_t)n);
    append(&b, text, n);
    append(&b, data, bytes);
    return trimmed(b);
}

blob npy_of(const char *descr, const char *shape, const void *data, size_t bytes)
{
    char text[256];
    snprintf(text, sizeof text, "{'descr': '%s', 'fortran_order': False, 'shape': %s, }\n", descr,
             shape);
    return npy_text(1, text, data, bytes);
}

static blob deflated(blob from)
{
    z_stream s = {.next_in = from.at, .avail_in = (uInt)from.n};
    cr_assert_eq(deflateInit2(&s, 9, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
    blob b = {0};
    const size_t room = deflateBound(&s, (uLong)from.n) + 16;
    s.next_out = grow(&b, room);
    s.avail_out = (uInt)room;
    cr_assert_eq(deflate(&s, Z_FINISH), Z_STREAM_END);
    b.n = s.total_out;
    deflateEnd(&s);
    return b;
}

/* From the version needed on, as local headers and directory entries have it. */
static void common(unsigned char *to, const zip_item *item, size_t packed, bool zip64)
{
    mc_store_u16le(to, 45);
    mc_store_u16le(to + 4, item->deflate ? 8 : 0);
    mc_store_u32le(to + 10, (uint32_t)crc32(0, item->bytes.at, (uInt)item->bytes.n));
    mc_store_u32le(to + 14, zip64 ? UINT32_MAX : (uint32_t)packed);
    mc_store_u32le(to + 18, zip64 ? UINT32_MAX : (uint32_t)item->bytes.n);
    mc_store_u16le(to + 22, (uint16_t)strlen(item->name));
    mc_store_u16le(to + 24, zip64 ? 28 : 0);
}

static void extra(blob *b, size_t size, size_t packed, size_t offset)
{
    unsigned char *to = grow(b, 28);
    mc_store_u16le(to, 1);
    mc_store_u16le(to + 2, 24);
    mc_store_u64le(to + 4, size);
    mc_store_u64le(to + 12, packed);
    mc_store_u64le(to + 20, offset);
}

static void put_end(blob *b, size_t items, size_t start, zip_kind kind)
{
    const size_t bytes = b->n - start, at = b->n;
    const char *comment = kind.comment ? kind.comment : "";
    if (kind.zip64) {
        unsigned char *end = grow(b, END64 + LOCATOR);
        memcpy(end, "PK\6\6", 4);
        mc_store_u64le(end + 4, END64 - 12);
        mc_store_u64le(end + 24, items);
        mc_store_u64le(end + 32, items);
        mc_store_u64le(end + 40, bytes);
        mc_store_u64le(end + 48, start);
        memcpy(end + END64, "PK\6\7", 4);
        mc_store_u64le(end + END64 + 8, at);
        mc_store_u32le(end + END64 + 16, 1);
    }
    unsigned char *last = grow(b, END);
    memcpy(last, "PK\5\6", 4);
    mc_store_u16le(last + 8, kind.zip64 ? UINT16_MAX : (uint16_t)items);
    mc_store_u16le(last + 10, kind.zip64 ? UINT16_MAX : (uint16_t)items);
    mc_store_u32le(last + 12, kind.zip64 ? UINT32_MAX : (uint32_t)bytes);
    mc_store_u32le(last + 16, kind.zip64 ? UINT32_MAX : (uint32_t)start);
    mc_store_u16le(last + 20, (uint16_t)strlen(comment));
    append(b, comment, strlen(comment));
}

blob zip_of(const zip_item *item, size_t items, zip_kind kind)
{
    blob b = {0}, list = {0};
    for (size_t i = 0; i < items; i++) {
        const zip_item *it = &item[i];
        blob packed = it->deflate ? deflated(it->bytes) : (blob){0};
        const blob *data = it->deflate ? &packed : &it->bytes;
        const size_t offset = b.n;
        unsigned char *local = grow(&b, LOCAL);
        memcpy(local, "PK\3\4", 4);
        common(local + 4, it, data->n, kind.zip64);
        append(&b, it->name, strlen(it->name));
        if (kind.zip64) extra(&b, it->bytes.n, data->n, offset);
        append(&b, data->at, data->n);

        unsigned char *entry = grow(&list, ENTRY);
        memcpy(entry, "PK\1\2", 4);
        common(entry + 6, it, data->n, kind.zip64);
        mc_store_u32le(entry + 42, kind.zip64 ? UINT32_MAX : (uint32_t)offset);
        append(&list, it->name, strlen(it->name));
        if (kind.zip64) extra(&list, it->bytes.n, data->n, offset);
        blob_free(&packed);
    }
    const size_t start = b.n;
    append(&b, list.at, list.n);
    blob_free(&list);
    put_end(&b, items, start, kind);
    return trimmed(b);
}

blob npz_of(zip_item *item, size_t items, zip_kind kind)
{
    const blob zip = zip_of(item, items, kind);
    for (size_t i = 0; i < items; i++) blob_free(&item[i].bytes);
    return zip;
}

size_t zip_find(const blob *zip, const char *signature, size_t nth)
{
    for (size_t i = 0; i + 4 <= zip->n; i++)
        if (memcmp(zip->at + i, signature, 4) == 0 && nth-- == 0) return i;
    cr_assert_fail("no such record");
    return 0;
}

const mc_array *npz_find(const mc_npz *npz, const char *name)
{
    for (size_t i = 0; i < npz->arrays; i++)
        if (strcmp(npz->array[i].name, name) == 0) return &npz->array[i];
    cr_assert_fail("%s is missing", name);
    return NULL;
}

double npz_element(const mc_array *a, uint64_t i)
{
    union {
        double f8;
        float f4;
        int8_t i1;
        int16_t i2;
        int32_t i4;
        int64_t i8;
        uint8_t u1;
        uint16_t u2;
        uint32_t u4;
        uint64_t u8;
    } x;
    float half;
    mc_array_read(a, i, 1, &x);
    switch (a->dtype) {
    case MC_F16: mc_to_f32(MC_F16, &x, &half, 1); return (double)half;
    case MC_F32: return (double)x.f4;
    case MC_F64: return x.f8;
    case MC_I8: return x.i1;
    case MC_I16: return x.i2;
    case MC_I32: return x.i4;
    case MC_I64: return (double)x.i8;
    case MC_U16: return x.u2;
    case MC_U32: return x.u4;
    case MC_U64: return (double)x.u8;
    default: return x.u1;
    }
}
