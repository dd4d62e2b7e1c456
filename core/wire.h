/* Protobuf's wire format, one field at a time, over mapped bytes.
 *
 * Nothing here copies or takes memory. Groups (wire types 3 and 4), varints beyond 10 bytes, field
 * number 0 and lengths beyond the buffer end the walk before the end of the buffer: that is how a
 * damaged message shows. */
#ifndef MC_CORE_WIRE_H
#define MC_CORE_WIRE_H

#include "core/bytes.h"

typedef enum {
    MC_WIRE_VARINT = 0,
    MC_WIRE_8_BYTES = 1,
    MC_WIRE_COUNTED = 2, /* texts, messages, packed numbers */
    MC_WIRE_4_BYTES = 5,
    MC_WIRE_TAKEN = 8, /* a single number that mc_wire_number has given */
} mc_wire_type;

typedef struct {
    uint32_t number;
    mc_wire_type type;
    uint64_t value;            /* unless counted */
    mc_cursor bytes;           /* when counted */
    const unsigned char *from; /* the tag; the field ends where the cursor stands */
} mc_wire_field;

/* The next field. False at the end, and where the bytes are damaged: then in->at < in->end, and
 * mc_wire_damage says what it is. */
bool mc_wire_next(mc_cursor *in, mc_wire_field *out);
const char *mc_wire_damage(mc_cursor in);

bool mc_wire_varint(mc_cursor *in, uint64_t *value);

/* The elements of a repeated number, packed or not: gives the next one of this field. False when
 * there is none; damage of packed ones leaves field->bytes not empty. */
bool mc_wire_number(mc_wire_field *field, mc_wire_type type, uint64_t *value);

/* int32 and int64 travel as varints of 64 bits. */
static inline int64_t mc_wire_signed(uint64_t value)
{
    return value <= INT64_MAX ? (int64_t)value : -(int64_t)(UINT64_MAX - value) - 1;
}

#endif
