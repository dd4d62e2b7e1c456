/* Reading and writing llama.cpp's files of log-probabilities. */
#include "verify/logits_file.h"

#include "core/bytes.h"
#include "core/ckd.h"

#include <math.h>
#include <string.h>

static const char magic[] = "_logits_";
enum { HEAD_BYTES = 8 + 3 * 4, CODES = 65535 };

#define RANGE 16.0f /* nats below the largest that a row holds */

static float load_f32(const unsigned char *from)
{
    const uint32_t bits = mc_load_u32le(from);
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static void store_f32(unsigned char *to, float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    mc_store_u32le(to, bits);
}

size_t mc_logits_row_bytes(uint32_t vocabulary)
{
    return 2 * (2 * (((size_t)vocabulary + 1) / 2) + 4);
}

static uint32_t rows_of(uint32_t window)
{
    return window - 1 - window / 2;
}

/* ---- reading ---- */

static mc_status check(const mc_logits_file *f, mc_err *err)
{
    if (f->window < 4 || f->window > 1u << 24 || f->vocabulary < 2 || f->vocabulary > 1u << 24 ||
        f->chunks == 0)
        return mc_fail(err, MC_E_FORMAT, "%s: %u windows of %u tokens, %u words", f->path,
                       f->chunks, f->window, f->vocabulary);
    uint64_t tokens, rows, bytes;
    const bool fits = mc_mul_u64((uint64_t)f->chunks * 4, f->window, &tokens) &&
                      mc_mul_u64((uint64_t)f->chunks * f->rows, f->row_bytes, &rows) &&
                      mc_add_u64(tokens, rows, &bytes) && mc_add_u64(bytes, HEAD_BYTES, &bytes);
    if (!fits || bytes != f->map.size)
        return mc_fail(err, MC_E_FORMAT,
                       "%s: %zu bytes, its header asks for %llu (is the file cut off?)", f->path,
                       f->map.size, fits ? (unsigned long long)bytes : ~0ull);
    return MC_OK;
}

mc_status mc_logits_open(const char *path, mc_logits_file *out, mc_err *err)
{
    *out = (mc_logits_file){.path = path};
    MC_TRY(mc_map_open(path, 0, &out->map, err));
    const unsigned char *head = out->map.data;
    mc_status status = MC_OK;
    if (out->map.size < HEAD_BYTES || memcmp(head, magic, 8) != 0) {
        status =
            mc_fail(err, MC_E_FORMAT, "%s: is no file of log-probabilities of llama.cpp", path);
    } else {
        out->window = mc_load_u32le(head + 8);
        out->vocabulary = mc_load_u32le(head + 12);
        out->chunks = mc_load_u32le(head + 16);
        out->rows = rows_of(out->window);
        out->row_bytes = mc_logits_row_bytes(out->vocabulary);
        status = check(out, err);
    }
    if (status != MC_OK) {
        mc_logits_close(out);
        return status;
    }
    out->row = head + HEAD_BYTES + (size_t)out->chunks * out->window * 4;
    return MC_OK;
}

void mc_logits_close(mc_logits_file *file)
{
    mc_map_close(&file->map);
    *file = (mc_logits_file){0};
}

void mc_logits_row(const mc_logits_file *f, uint32_t chunk, uint32_t row, float *log_p)
{
    const unsigned char *at = f->row + ((size_t)chunk * f->rows + row) * f->row_bytes;
    const float scale = load_f32(at), least = load_f32(at + 4);
    for (uint32_t v = 0; v < f->vocabulary; v++)
        log_p[v] = scale * (float)mc_load_u16le(at + 8 + (size_t)v * 2) + least;
    const size_t begin = (size_t)(at - f->map.data);
    mc_map_release(&f->map, begin > 4096 ? begin - 4096 : 0, begin + f->row_bytes);
}

/* ---- writing ---- */

struct mc_logits_out {
    mc_out *out;
    uint32_t window, vocabulary, chunks;
    mc_region self;
};

mc_status mc_logits_out_open(const char *path, bool replace, uint32_t window, uint32_t vocabulary,
                             uint32_t chunks, mc_logits_out **out, mc_err *err)
{
    mc_region self;
    unsigned char head[HEAD_BYTES];
    *out = NULL;
    if (window < 4 || chunks == 0 || chunks > INT32_MAX)
        return mc_fail(err, MC_E_UNSUPPORTED,
                       "%s: %u windows of %u tokens cannot be written (4 tokens or more)", path,
                       chunks, window);
    MC_TRY(mc_region_open(&self, sizeof(mc_logits_out) + 64, err));
    mc_logits_out *o = MC_NEW(&self.arena, mc_logits_out, 1);
    mc_status status = o ? MC_OK : mc_no_room(err, "a file of log-probabilities");
    if (status != MC_OK) {
        mc_region_close(&self);
        return status;
    }
    *o =
        (mc_logits_out){.window = window, .vocabulary = vocabulary, .chunks = chunks, .self = self};
    memcpy(head, magic, 8);
    mc_store_u32le(head + 8, window);
    mc_store_u32le(head + 12, vocabulary);
    mc_store_u32le(head + 16, chunks);
    status = mc_out_open(path, 0, (mc_out_options){.replace = replace}, &o->out, err);
    if (status == MC_OK) status = mc_out_write_at(o->out, 0, head, sizeof head, err);
    if (status == MC_OK)
        *out = o;
    else
        mc_logits_out_discard(o);
    return status;
}

void mc_logits_encode(const float *log_p, uint32_t vocabulary, unsigned char *row)
{
    float most = log_p[0], least = log_p[0];
    for (uint32_t v = 1; v < vocabulary; v++) {
        if (log_p[v] > most) most = log_p[v];
        if (log_p[v] < least) least = log_p[v];
    }
    if (least < most - RANGE) least = most - RANGE;
    const float scale = (most - least) / (float)CODES;
    memset(row, 0, mc_logits_row_bytes(vocabulary));
    store_f32(row, scale);
    store_f32(row + 4, least);
    for (uint32_t v = 0; v < vocabulary; v++) {
        const float code = scale > 0.0f ? rintf((log_p[v] - least) / scale) : 0.0f;
        const unsigned u = code > 0.0f ? (unsigned)code : 0;
        mc_store_u16le(row + 8 + (size_t)v * 2, (uint16_t)(u < CODES ? u : CODES));
    }
}

mc_status mc_logits_out_chunk(mc_logits_out *o, uint32_t chunk, const int32_t *ids,
                              const unsigned char *rows, mc_err *err)
{
    const uint64_t tokens = (uint64_t)o->window * 4;
    const uint64_t bytes = rows_of(o->window) * (uint64_t)mc_logits_row_bytes(o->vocabulary);
    MC_TRY(mc_out_write_at(o->out, HEAD_BYTES + chunk * tokens, ids, (size_t)tokens, err));
    return mc_out_write_at(o->out, HEAD_BYTES + o->chunks * tokens + chunk * bytes, rows,
                           (size_t)bytes, err);
}

mc_status mc_logits_out_commit(mc_logits_out *o, mc_err *err)
{
    mc_out *out = o->out;
    o->out = NULL;
    mc_logits_out_discard(o);
    return mc_out_commit(out, NULL, NULL, err);
}

void mc_logits_out_discard(mc_logits_out *o)
{
    if (!o) return;
    mc_out_discard(o->out);
    mc_region self = o->self; /* holds o */
    mc_region_close(&self);
}
