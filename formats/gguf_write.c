/* Writing GGUF: the header as one piece, then each tensor and its padding. */
#include "formats/gguf.h"

#include "core/bytes.h"
#include "core/ckd.h"
#include "formats/json_pull.h"

#include <string.h>

/* ---- what a reader would refuse is not written ---- */

static mc_status check_tensor(const mc_gguf_tensor *t, mc_err *err)
{
    const size_t length = strlen(t->name);
    const mc_ggml_info *about = mc_ggml_about((uint32_t)t->type);
    if (length == 0 || length > MC_GGUF_NAME)
        return mc_fail(err, MC_E_USAGE, "tensor %s: its name has %zu bytes, GGUF allows 1 to %d",
                       mc_quote(t->name).text, length, (int)MC_GGUF_NAME);
    uint64_t bytes = 1;
    bool fits = about && t->ndim >= 1 && t->ndim <= MC_GGUF_DIMS;
    for (int d = 0; fits && d < t->ndim; d++) fits = mc_mul_u64(bytes, t->ne[d], &bytes);
    fits = fits && t->ne[0] % about->elements == 0 &&
           mc_mul_u64(bytes / about->elements, about->bytes, &bytes) && bytes == t->bytes;
    if (fits) return MC_OK;
    return mc_fail(err, MC_E_USAGE, "tensor %s: its bytes are not what its shape and type need",
                   mc_quote(t->name).text);
}

/* ---- the header: room was counted before ---- */

static void put_u32(unsigned char **at, uint32_t value)
{
    mc_store_u32le(*at, value);
    *at += 4;
}

static void put_u64(unsigned char **at, uint64_t value)
{
    mc_store_u64le(*at, value);
    *at += 8;
}

static void put_bytes(unsigned char **at, const void *bytes, size_t n)
{
    if (n > 0) memcpy(*at, bytes, n);
    *at += n;
}

static void put_text(unsigned char **at, const char *text)
{
    put_u64(at, strlen(text));
    put_bytes(at, text, strlen(text));
}

static void put_pair(unsigned char **at, const mc_gguf_pair *p)
{
    put_text(at, p->key);
    put_u32(at, (uint32_t)p->type);
    if (p->type == MC_GGUF_ARRAY) put_u32(at, (uint32_t)p->item);
    if (p->type == MC_GGUF_ARRAY || p->type == MC_GGUF_TEXT) put_u64(at, p->items);
    put_bytes(at, p->data, p->bytes);
}

static uint64_t padded(uint64_t bytes)
{
    return mc_ceil_div(bytes, MC_GGUF_ALIGN) * MC_GGUF_ALIGN;
}

static void put_tensor(unsigned char **at, const mc_gguf_tensor *t, uint64_t offset)
{
    put_text(at, t->name);
    put_u32(at, (uint32_t)t->ndim);
    for (int d = 0; d < t->ndim; d++) put_u64(at, t->ne[d]);
    put_u32(at, (uint32_t)t->type);
    put_u64(at, offset);
}

size_t mc_gguf_write_memory(const mc_gguf *content)
{
    size_t bytes = 256;
    for (size_t i = 0; i < content->pairs; i++)
        bytes += strlen(content->pair[i].key) + content->pair[i].bytes + 32;
    for (size_t i = 0; i < content->tensors; i++)
        bytes += strlen(content->tensor[i].name) + 8 * MC_GGUF_DIMS + 32;
    return bytes;
}

static mc_status write_tensors(mc_out *out, const mc_gguf *content, mc_err *err)
{
    static const unsigned char zeros[MC_GGUF_ALIGN];
    for (size_t i = 0; i < content->tensors; i++) {
        const mc_gguf_tensor *t = &content->tensor[i];
        MC_TRY(mc_out_write(out, t->data, (size_t)t->bytes, err));
        MC_TRY(mc_out_write(out, zeros, (size_t)(padded(t->bytes) - t->bytes), err));
    }
    return MC_OK;
}

mc_status mc_gguf_write(mc_out *out, const mc_gguf *content, mc_arena scratch, mc_err *err)
{
    unsigned char *header = MC_NEW(&scratch, unsigned char, mc_gguf_write_memory(content) - 128);
    unsigned char *at = header;
    if (!header) return mc_no_room(err, "the header");
    put_bytes(&at, "GGUF", 4);
    put_u32(&at, 3);
    put_u64(&at, content->tensors);
    put_u64(&at, content->pairs);
    for (size_t i = 0; i < content->pairs; i++) put_pair(&at, &content->pair[i]);
    uint64_t offset = 0;
    for (size_t i = 0; i < content->tensors; i++) {
        MC_TRY(check_tensor(&content->tensor[i], err));
        put_tensor(&at, &content->tensor[i], offset);
        offset += padded(content->tensor[i].bytes);
    }
    MC_TRY(mc_out_write(out, header, (size_t)padded((uint64_t)(at - header)), err));
    return write_tensors(out, content, err);
}
