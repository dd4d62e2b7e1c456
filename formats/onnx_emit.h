/* Protobuf, written: the length of a message stands before its bytes, so everything is emitted
 * several times by the same calls. The first time counts messages, the second finds their lengths,
 * the last one writes. Only the last one looks at bytes, so gigabytes are passed over once.
 *
 * What fails sticks: `status` is looked at when all was emitted. */
#ifndef MC_FORMATS_ONNX_EMIT_H
#define MC_FORMATS_ONNX_EMIT_H

#include "core/file.h"
#include "core/graph.h"

typedef enum { MC_EMIT_COUNT, MC_EMIT_MEASURE, MC_EMIT_WRITE } mc_emit_pass;

enum { MC_EMIT_BUFFER = 1 << 16 };

typedef struct {
    mc_emit_pass pass;
    uint64_t at;      /* bytes so far; nothing to go by while counting */
    uint64_t *length; /* of each message, in the order in which they begin */
    size_t messages;
    size_t next; /* the message that begins next */
    mc_out *out;
    size_t held; /* bytes of the buffer that are not written yet */
    unsigned char buffer[MC_EMIT_BUFFER];
    mc_status status;
    mc_err *err;
} mc_emit;

/* Counting begins with a zeroed mc_emit; this begins a later pass. `length` has room for the
 * messages that were counted. */
void mc_emit_start(mc_emit *e, mc_emit_pass pass);

/* A message as a field; what is emitted until its end is in it. */
size_t mc_emit_begin(mc_emit *e, uint32_t field);
void mc_emit_end(mc_emit *e, size_t message);

void mc_emit_int(mc_emit *e, uint32_t field, int64_t value);
void mc_emit_float(mc_emit *e, uint32_t field, float value);
void mc_emit_text(mc_emit *e, uint32_t field, const char *text);

/* `bytes` is only looked at while writing. */
void mc_emit_bytes(mc_emit *e, uint32_t field, const void *bytes, uint64_t n);

/* A StringStringEntryProto. */
void mc_emit_pair(mc_emit *e, uint32_t field, const char *key, const char *value);

/* Whole fields, tags included. */
void mc_emit_raw(mc_emit *e, mc_raw fields);

/* Writes what is held, and says how it went. */
mc_status mc_emit_finish(mc_emit *e);

#endif
