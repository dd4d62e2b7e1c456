/* TensorProto -> mc_tensor.
 *
 * raw_data, float_data and double_data that are packed lie as a tensor wants them and stay where
 * they are; every other storage is decoded. A tensor has exactly one storage, and as many elements
 * in it as its dimensions say. */
#include "core/ckd.h"
#include "formats/json_pull.h"
#include "formats/onnx_parts.h"

#include <inttypes.h>
#include <string.h>

typedef enum { RAW, F32S, INT32S, INT64S, UINT64S, F64S, STRINGS, EXTERNAL, STORAGES } storage;

static const char *const storage_name[STORAGES] = {"raw_data",    "float_data",   "int32_data",
                                                   "int64_data",  "uint64_data",  "double_data",
                                                   "string_data", "external_data"};

typedef struct {
    size_t elements[STORAGES];    /* bytes of raw_data; entries of external_data */
    mc_wire_field only[STORAGES]; /* the last field of the storage */
    size_t fields[STORAGES];
    int64_t data_type, location;
    bool segmented;
    mc_tensor *t;
    mc_err *err;
} parse;

static storage storage_of(uint32_t number)
{
    switch (number) {
    case 4: return F32S;
    case 5: return INT32S;
    case 6: return STRINGS;
    case 7: return INT64S;
    case 9: return RAW;
    case 10: return F64S;
    case 11: return UINT64S;
    case 13: return EXTERNAL;
    default: return STORAGES;
    }
}

static mc_wire_type wire_of(storage s)
{
    if (s == F32S) return MC_WIRE_4_BYTES;
    return s == F64S ? MC_WIRE_8_BYTES : MC_WIRE_VARINT;
}

static uint32_t number_of(storage s)
{
    static const unsigned char number[STORAGES] = {9, 4, 5, 7, 11, 10, 6, 13};
    return number[s];
}

/* ---- the first walk: shape, and what is stored where ---- */

static mc_status dims(parse *p, mc_wire_field f)
{
    uint64_t value;
    while (mc_wire_number(&f, MC_WIRE_VARINT, &value)) {
        if (value > INT64_MAX)
            return mc_fail(p->err, MC_E_FORMAT, "dimension %d is %" PRId64 ", must be 0 or more",
                           p->t->ndim, mc_wire_signed(value));
        if (p->t->ndim == MC_MAX_DIMS)
            return mc_fail(p->err, MC_E_UNSUPPORTED, "has more than %d dimensions",
                           (int)MC_MAX_DIMS);
        p->t->dim[p->t->ndim++] = value;
    }
    return MC_OK;
}

static void count_storage(parse *p, storage s, mc_wire_field f)
{
    p->fields[s]++;
    p->only[s] = f;
    if (s == RAW) {
        p->elements[s] = mc_left(&f.bytes); /* the last one counts */
    } else if (s == STRINGS || s == EXTERNAL) {
        p->elements[s]++;
    } else if (f.type == MC_WIRE_COUNTED && s == F32S) {
        p->elements[s] += mc_left(&f.bytes) / 4;
    } else if (f.type == MC_WIRE_COUNTED && s == F64S) {
        p->elements[s] += mc_left(&f.bytes) / 8;
    } else {
        uint64_t value;
        while (mc_wire_number(&f, wire_of(s), &value)) p->elements[s]++;
    }
}

static mc_status look(parse *p, mc_cursor in, mc_arena *mem)
{
    mc_wire_field f;
    p->t->name = "";
    while (mc_wire_next(&in, &f)) {
        const storage s = storage_of(f.number);
        if (s != STORAGES)
            count_storage(p, s, f);
        else if (f.number == 1)
            MC_TRY(dims(p, f));
        else if (f.number == 2)
            p->data_type = mc_wire_signed(f.value);
        else if (f.number == 3)
            p->segmented = true;
        else if (f.number == 8)
            p->t->name = mc_copy_text(mem, (const char *)f.bytes.at, mc_left(&f.bytes));
        else if (f.number == 14)
            p->location = mc_wire_signed(f.value);
    }
    return p->t->name ? MC_OK : mc_no_room(p->err, "a tensor's name");
}

/* ---- what it must hold ---- */

static mc_status measure(parse *p)
{
    mc_tensor *t = p->t;
    if (p->segmented) return mc_fail(p->err, MC_E_UNSUPPORTED, "is stored in segments");
    t->dtype = mc_onnx_dtype(p->data_type);
    if (p->data_type <= 0)
        return mc_fail(p->err, MC_E_FORMAT, "data_type is %" PRId64 ", must be 1 or more",
                       p->data_type);
    if (t->dtype == MC_DTYPE_NONE)
        return mc_fail(p->err, MC_E_UNSUPPORTED, "data_type %" PRId64 " is not known",
                       p->data_type);

    /* Zeros count as ones for the bytes, so that no part of the product overflows. */
    uint64_t bits = mc_dtype_about(t->dtype)->bits;
    if (bits == 0) bits = 8;
    t->count = 1;
    for (int i = 0; i < t->ndim; i++) {
        const uint64_t n = t->dim[i] > 0 ? t->dim[i] : 1;
        if (!mc_mul_u64(bits, n, &bits) || bits > INT64_MAX)
            return mc_fail(p->err, MC_E_FORMAT,
                           "dimension %d of %" PRIu64 " makes it larger than 2^63 bits", i,
                           t->dim[i]);
        t->count *= t->dim[i];
    }
    if (t->dtype != MC_STRING) t->bytes = mc_ceil_div(t->count * mc_dtype_about(t->dtype)->bits, 8);
    return MC_OK;
}

/* Which typed storage a dtype has (onnx.proto, TensorProto). */
static storage typed(mc_dtype dtype)
{
    switch (dtype) {
    case MC_F32:
    case MC_C64: return F32S;
    case MC_F64:
    case MC_C128: return F64S;
    case MC_I64: return INT64S;
    case MC_U32:
    case MC_U64: return UINT64S;
    case MC_STRING: return STRINGS;
    default: return INT32S;
    }
}

/* Elements of the typed storage: two a complex number, bytes of packed small ones. */
static uint64_t typed_count(const mc_tensor *t)
{
    if (t->dtype == MC_C64 || t->dtype == MC_C128) return 2 * t->count;
    return mc_dtype_about(t->dtype)->bits < 8 && t->dtype != MC_STRING ? t->bytes : t->count;
}

static mc_status wrong_count(parse *p, storage s, uint64_t must)
{
    char shape[256];
    mc_tensor_shape_text(p->t, shape, sizeof shape);
    return mc_fail(p->err, MC_E_FORMAT, "shape %s of %s needs %" PRIu64 " %s of %s, %zu are there",
                   shape, mc_dtype_about(p->t->dtype)->name, must, s == RAW ? "bytes" : "elements",
                   storage_name[s], p->elements[s]);
}

/* Finds the one storage and checks how much is in it. STORAGES: none, and none is needed. */
static mc_status choose(parse *p, storage *out)
{
    storage found = p->location == 1 ? EXTERNAL : STORAGES;
    if (p->location != 0 && p->location != 1)
        return mc_fail(p->err, MC_E_FORMAT, "data_location is %" PRId64 ", must be 0 or 1",
                       p->location);
    if (found == EXTERNAL && p->elements[EXTERNAL] == 0)
        return mc_fail(p->err, MC_E_FORMAT,
                       "data_location is external, but no external_data is "
                       "there");
    for (storage s = RAW; s < EXTERNAL; s++) {
        if (p->elements[s] == 0) continue;
        if (found != STORAGES)
            return mc_fail(p->err, MC_E_FORMAT, "has both %s and %s, must have one of them",
                           storage_name[s], storage_name[found]);
        found = s;
    }
    *out = found;
    if (found == EXTERNAL) return MC_OK;
    const storage own = typed(p->t->dtype);
    if (found == STORAGES) return p->t->count > 0 ? wrong_count(p, own, typed_count(p->t)) : MC_OK;
    if (found != own && (found != RAW || own == STRINGS))
        return mc_fail(p->err, MC_E_FORMAT, "is %s, which %s cannot hold",
                       mc_dtype_about(p->t->dtype)->name, storage_name[found]);
    const uint64_t must = found == RAW ? p->t->bytes : typed_count(p->t);
    return p->elements[found] == must ? MC_OK : wrong_count(p, found, must);
}

/* ---- decoding ---- */

/* What int32_data may hold for a dtype: its own range, or its bits. */
static bool fits(mc_dtype dtype, int64_t x)
{
    const unsigned bits = mc_dtype_about(dtype)->bits;
    switch (dtype) {
    case MC_I32: return x >= INT32_MIN && x <= INT32_MAX;
    case MC_I16: return x >= INT16_MIN && x <= INT16_MAX;
    case MC_I8: return x >= INT8_MIN && x <= INT8_MAX;
    case MC_BOOL: return x == 0 || x == 1;
    case MC_U32: return x >= 0 && x <= UINT32_MAX;
    case MC_I64:
    case MC_U64: return true;
    default: return x >= 0 && x < INT64_C(1) << (bits < 8 ? 8 : bits);
    }
}

static unsigned char *store(unsigned char *to, size_t width, uint64_t value)
{
    for (size_t i = 0; i < width; i++) to[i] = (unsigned char)(value >> (8 * i));
    return to + width;
}

static mc_status decode(parse *p, storage s, mc_cursor in, mc_arena *mem)
{
    const unsigned bits = mc_dtype_about(p->t->dtype)->bits;
    size_t width = bits < 8 ? 1 : bits / 8;
    if (s == F32S) width = 4;
    if (s == F64S) width = 8;
    unsigned char *data = MC_NEW_RAW(mem, unsigned char, p->t->bytes), *to = data;
    if (!data) return mc_no_room(p->err, "a tensor's data");

    mc_wire_field f;
    uint64_t value;
    while (mc_wire_next(&in, &f)) {
        if (f.number != number_of(s)) continue;
        while (mc_wire_number(&f, wire_of(s), &value)) {
            const int64_t x = mc_wire_signed(value);
            if (s != F32S && s != F64S && !fits(p->t->dtype, x))
                return mc_fail(p->err, MC_E_FORMAT, "%s holds %" PRId64 ", which is no %s",
                               storage_name[s], x, mc_dtype_about(p->t->dtype)->name);
            to = store(to, width, value);
        }
    }
    p->t->data = data;
    return MC_OK;
}

mc_status mc_onnx_tensor(mc_cursor tensor, mc_onnx_externals *files, mc_arena *mem, mc_tensor *out,
                         mc_err *err)
{
    *out = (mc_tensor){0};
    parse p = {.t = out, .err = err};
    storage s = STORAGES;
    MC_TRY(look(&p, tensor, mem));
    MC_TRY(measure(&p));
    MC_TRY(choose(&p, &s));
    if (s == STORAGES || s == STRINGS) return MC_OK;
    if (s == EXTERNAL) {
        mc_raw data;
        uint32_t file;
        if (out->dtype == MC_STRING)
            return mc_fail(err, MC_E_FORMAT, "is STRING, which cannot be external data");
        MC_TRY(mc_onnx_external(files, tensor, &data, &file, err));
        if (file == MC_NONE) return MC_OK;
        if (data.bytes != out->bytes) {
            p.elements[RAW] = data.bytes;
            return wrong_count(&p, RAW, out->bytes);
        }
        out->data = data.at;
        out->source = file + 1;
        return MC_OK;
    }
    const bool is_whole = s == RAW || ((s == F32S || s == F64S) && p.fields[s] == 1 &&
                                       p.only[s].type == MC_WIRE_COUNTED);
    if (!is_whole) return decode(&p, s, tensor, mem);
    out->data = p.only[s].bytes.at;
    return MC_OK;
}

void mc_onnx_strings(mc_cursor tensor, mc_nd_text *out)
{
    mc_wire_field f;
    while (mc_wire_next(&tensor, &f))
        if (f.number == number_of(STRINGS))
            *out++ = (mc_nd_text){(const char *)f.bytes.at, mc_left(&f.bytes)};
}
