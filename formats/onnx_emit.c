/* The encoder behind onnx_emit.h. Small pieces gather in a buffer; large ones go past it. */
#include "formats/onnx_emit.h"

#include "core/bytes.h"
#include "core/wire.h"

#include <string.h>

/* ---- bytes ---- */

static void fail(mc_emit *e, mc_status status)
{
    if (e->status == MC_OK) e->status = status;
}

static void flush(mc_emit *e)
{
    if (e->held > 0 && e->status == MC_OK)
        fail(e, mc_out_write(e->out, e->buffer, e->held, e->err));
    e->held = 0;
}

static void put(mc_emit *e, const void *bytes, uint64_t n)
{
    e->at += n;
    if (e->pass != MC_EMIT_WRITE || n == 0) return;
    if (n > sizeof e->buffer - e->held) flush(e);
    if (n <= sizeof e->buffer) {
        memcpy(e->buffer + e->held, bytes, (size_t)n);
        e->held += (size_t)n;
    } else if (e->status == MC_OK) {
        fail(e, mc_out_write(e->out, bytes, (size_t)n, e->err));
    }
}

static void put_varint(mc_emit *e, uint64_t value)
{
    unsigned char bytes[10];
    size_t n = 0;
    for (; value > 0x7f; value >>= 7) bytes[n++] = (unsigned char)(value | 0x80);
    bytes[n++] = (unsigned char)value;
    put(e, bytes, n);
}

static void put_tag(mc_emit *e, uint32_t field, mc_wire_type type)
{
    put_varint(e, (uint64_t)field << 3 | (uint64_t)type);
}

static uint64_t varint_bytes(uint64_t value)
{
    uint64_t n = 1;
    for (; value > 0x7f; value >>= 7) n++;
    return n;
}

/* ---- messages ---- */

void mc_emit_start(mc_emit *e, mc_emit_pass pass)
{
    if (e->pass == MC_EMIT_COUNT) e->messages = e->next;
    e->pass = pass;
    e->at = 0;
    e->next = 0;
}

/* While measuring, a message's place holds first where it begins, then its length; while writing,
 * first its length, then where it must end. */
size_t mc_emit_begin(mc_emit *e, uint32_t field)
{
    const size_t message = e->next++;
    if (e->pass == MC_EMIT_COUNT) return message;
    put_tag(e, field, MC_WIRE_COUNTED);
    if (message >= e->messages) {
        fail(e, mc_fail(e->err, MC_E_INTERNAL, "a message was not counted"));
        return message;
    }
    if (e->pass == MC_EMIT_WRITE) {
        put_varint(e, e->length[message]);
        e->length[message] += e->at;
    } else {
        e->length[message] = e->at;
    }
    return message;
}

void mc_emit_end(mc_emit *e, size_t message)
{
    if (e->pass == MC_EMIT_COUNT || message >= e->messages) return;
    if (e->pass == MC_EMIT_MEASURE) {
        e->length[message] = e->at - e->length[message];
        e->at += varint_bytes(e->length[message]);
    } else if (e->at != e->length[message]) {
        fail(e, mc_fail(e->err, MC_E_INTERNAL, "a message is not as long as it was"));
    }
}

/* ---- fields ---- */

void mc_emit_int(mc_emit *e, uint32_t field, int64_t value)
{
    put_tag(e, field, MC_WIRE_VARINT);
    put_varint(e, (uint64_t)value);
}

void mc_emit_float(mc_emit *e, uint32_t field, float value)
{
    uint32_t bits;
    unsigned char bytes[4];
    memcpy(&bits, &value, sizeof bits);
    mc_store_u32le(bytes, bits);
    put_tag(e, field, MC_WIRE_4_BYTES);
    put(e, bytes, sizeof bytes);
}

void mc_emit_bytes(mc_emit *e, uint32_t field, const void *bytes, uint64_t n)
{
    put_tag(e, field, MC_WIRE_COUNTED);
    put_varint(e, n);
    put(e, bytes, n);
}

void mc_emit_text(mc_emit *e, uint32_t field, const char *text)
{
    mc_emit_bytes(e, field, text, strlen(text));
}

static uint64_t text_bytes(const char *text)
{
    const uint64_t n = strlen(text);
    return 1 + varint_bytes(n) + n;
}

void mc_emit_pair(mc_emit *e, uint32_t field, const char *key, const char *value)
{
    put_tag(e, field, MC_WIRE_COUNTED);
    put_varint(e, text_bytes(key) + text_bytes(value));
    mc_emit_text(e, 1, key);
    mc_emit_text(e, 2, value);
}

void mc_emit_raw(mc_emit *e, mc_raw fields)
{
    put(e, fields.at, fields.bytes);
}

mc_status mc_emit_finish(mc_emit *e)
{
    flush(e);
    return e->status;
}
