/* Protobuf's wire format (protobuf.dev/programming-guides/encoding). */
#include "core/wire.h"

enum {
    VARINT_BYTES = 10,
    LAST_NUMBER = (1 << 29) - 1, /* the largest number that a field can have */
};

bool mc_wire_varint(mc_cursor *in, uint64_t *value)
{
    uint64_t got = 0;
    const unsigned char *at = in->at;
    for (unsigned i = 0; i < VARINT_BYTES && at < in->end; i++) {
        const unsigned char byte = *at++;
        if (i == VARINT_BYTES - 1 && byte > 1) return false; /* beyond 64 bits */
        got |= (uint64_t)(byte & 0x7fu) << (7 * i);
        if (byte & 0x80u) continue;
        in->at = at;
        *value = got;
        return true;
    }
    return false;
}

static bool fixed(mc_cursor *in, size_t bytes, uint64_t *value)
{
    const unsigned char *at = mc_take(in, bytes);
    if (!at) return false;
    *value = bytes == 4 ? mc_load_u32le(at) : mc_load_u64le(at);
    return true;
}

static bool counted(mc_cursor *in, mc_cursor *bytes)
{
    uint64_t n;
    if (!mc_wire_varint(in, &n) || n > mc_left(in)) return false;
    bytes->at = mc_take(in, (size_t)n);
    bytes->end = in->at;
    return true;
}

bool mc_wire_next(mc_cursor *in, mc_wire_field *out)
{
    mc_cursor c = *in;
    uint64_t tag;
    *out = (mc_wire_field){.from = in->at};
    if (c.at == c.end || !mc_wire_varint(&c, &tag)) return false;
    if (tag >> 3 == 0 || tag >> 3 > LAST_NUMBER) return false;
    out->number = (uint32_t)(tag >> 3);
    out->type = (mc_wire_type)(tag & 7);

    bool good = false;
    switch (out->type) {
    case MC_WIRE_VARINT: good = mc_wire_varint(&c, &out->value); break;
    case MC_WIRE_8_BYTES: good = fixed(&c, 8, &out->value); break;
    case MC_WIRE_4_BYTES: good = fixed(&c, 4, &out->value); break;
    case MC_WIRE_COUNTED: good = counted(&c, &out->bytes); break;
    default: break;
    }
    if (good) in->at = c.at;
    return good;
}

const char *mc_wire_damage(mc_cursor in)
{
    uint64_t tag;
    if (!mc_wire_varint(&in, &tag)) return "a tag that is no varint of 64 bits";
    if (tag >> 3 == 0) return "a field of number 0";
    if (tag >> 3 > LAST_NUMBER) return "a field of a number above 536870911";
    switch (tag & 7) {
    case MC_WIRE_VARINT: return "a number that is no varint of 64 bits";
    case MC_WIRE_8_BYTES:
    case MC_WIRE_4_BYTES: return "a number that is cut off";
    case MC_WIRE_COUNTED: return "a field that is longer than what holds it";
    case 3:
    case 4: return "a group, which no format here has";
    default: return "a field of a wire type that does not exist";
    }
}

bool mc_wire_number(mc_wire_field *field, mc_wire_type type, uint64_t *value)
{
    if (field->type == type) {
        *value = field->value;
        field->type = MC_WIRE_TAKEN;
        return true;
    }
    if (field->type != MC_WIRE_COUNTED || field->bytes.at == field->bytes.end) return false;
    if (type == MC_WIRE_VARINT) return mc_wire_varint(&field->bytes, value);
    return fixed(&field->bytes, type == MC_WIRE_4_BYTES ? 4 : 8, value);
}
