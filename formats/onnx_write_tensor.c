/* mc_tensor -> TensorProto: the numbers as raw_data, in the file of external data, or left out.
 *
 * Of the TensorProto that a tensor was read from, what says nothing about its numbers stays: the
 * doc_string, metadata_props, fields that are not known. */
#include "core/ckd.h"
#include "formats/onnx_write_parts.h"

#include <inttypes.h>
#include <stdio.h>

enum { NAME = 8, RAW_DATA = 9, EXTERNAL_DATA = 13, DATA_LOCATION = 14, LAST = INT32_MAX };
enum { DATA_ALIGN = 4096 }; /* pages, so that it can be mapped alone */

/* Which fields are written anew (onnx.proto): dims, data_type, segment, all that hold data, and
 * where it lies. */
static bool is_own(const mc_onnx_piece *p, uint32_t number)
{
    if (number == NAME) return p->name != NULL;
    return number <= 11 || number == EXTERNAL_DATA || number == DATA_LOCATION;
}

static void put_rest(mc_onnx_writing *w, const mc_onnx_piece *p, uint32_t from, uint32_t to)
{
    mc_cursor in = p->raw;
    mc_wire_field f;
    while (mc_wire_next(&in, &f))
        if (f.number >= from && f.number < to && !is_own(p, f.number))
            mc_emit_raw(&w->emit, (mc_raw){f.from, (size_t)(in.at - f.from)});
}

/* ---- data ---- */

static const unsigned char *bytes_of(const mc_onnx_writing *w, const mc_onnx_piece *p)
{
    const unsigned char *own = NULL;
    if (p->is_weight && w->options.bytes) own = w->options.bytes(w->options.of, p->tensor);
    return own ? own : p->tensor->data;
}

static mc_status no_data(const mc_onnx_writing *w)
{
    return mc_fail(w->err, MC_E_USAGE, "its data is not there");
}

static void put_external(mc_onnx_writing *w, uint64_t offset, uint64_t n)
{
    char number[24];
    mc_emit_pair(&w->emit, EXTERNAL_DATA, "location", w->location);
    snprintf(number, sizeof number, "%" PRIu64, offset);
    mc_emit_pair(&w->emit, EXTERNAL_DATA, "offset", number);
    snprintf(number, sizeof number, "%" PRIu64, n);
    mc_emit_pair(&w->emit, EXTERNAL_DATA, "length", number);
}

static mc_status put_elsewhere(mc_onnx_writing *w, const mc_onnx_piece *p)
{
    const uint64_t n = p->tensor->bytes;
    uint64_t offset, end;
    if (!mc_align_up(w->data_bytes, DATA_ALIGN, &offset) || !mc_add_u64(offset, n, &end))
        return mc_fail(w->err, MC_E_UNSUPPORTED, "external data overflows 2^64 bytes");
    put_external(w, offset, n);
    w->data_bytes = end;
    if (w->emit.pass != MC_EMIT_WRITE) return MC_OK;
    const unsigned char *data = bytes_of(w, p);
    return data ? mc_out_write_at(w->data, offset, data, (size_t)n, w->err) : no_data(w);
}

static mc_status put_data(mc_onnx_writing *w, const mc_onnx_piece *p)
{
    const uint64_t n = p->tensor->bytes;
    if (p->is_weight && (w->options.without_weights || n >= w->external_from)) {
        put_rest(w, p, RAW_DATA, EXTERNAL_DATA);
        if (w->options.without_weights)
            mc_emit_pair(&w->emit, EXTERNAL_DATA, "location", MC_ONNX_LEFT_OUT);
        else
            MC_TRY(put_elsewhere(w, p));
        mc_emit_int(&w->emit, DATA_LOCATION, 1);
        return MC_OK;
    }
    const unsigned char *data = w->emit.pass == MC_EMIT_WRITE ? bytes_of(w, p) : NULL;
    if (w->emit.pass == MC_EMIT_WRITE && !data && n > 0) return no_data(w);
    mc_emit_bytes(&w->emit, RAW_DATA, data, n);
    put_rest(w, p, RAW_DATA, DATA_LOCATION);
    return MC_OK;
}

/* ---- the message ---- */

static mc_status put_numbers(mc_onnx_writing *w, const mc_onnx_piece *p)
{
    const mc_tensor *t = p->tensor;
    const int data_type = mc_onnx_data_type(t->dtype);
    if (data_type == 0)
        return mc_fail(w->err, MC_E_UNSUPPORTED, "is %s, which ONNX has not",
                       mc_dtype_about(t->dtype)->name);
    for (int i = 0; i < t->ndim; i++) {
        if (t->dim[i] > INT64_MAX)
            return mc_fail(w->err, MC_E_UNSUPPORTED, "dimension %d is beyond 2^63", i);
        mc_emit_int(&w->emit, 1, (int64_t)t->dim[i]);
    }
    mc_emit_int(&w->emit, 2, data_type);
    if (p->name) mc_emit_text(&w->emit, NAME, p->name);
    put_rest(w, p, NAME, RAW_DATA);
    MC_TRY(put_data(w, p));
    put_rest(w, p, DATA_LOCATION, LAST);
    return MC_OK;
}

/* Strings are only known as the bytes of the file. */
static mc_status put_strings(mc_onnx_writing *w, uint32_t field, const mc_onnx_piece *p)
{
    if (!p->raw.at)
        return mc_fail(w->err, MC_E_UNSUPPORTED, "holds strings, which cannot be written anew");
    mc_emit_bytes(&w->emit, field, p->raw.at, mc_left(&p->raw));
    return MC_OK;
}

mc_status mc_onnx_put_tensor(mc_onnx_writing *w, uint32_t field, const mc_onnx_piece *p)
{
    if (p->tensor->dtype == MC_STRING) return put_strings(w, field, p);
    const size_t message = mc_emit_begin(&w->emit, field);
    MC_TRY(put_numbers(w, p));
    mc_emit_end(&w->emit, message);
    return MC_OK;
}
