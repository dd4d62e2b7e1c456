/* Values of test data: TensorProto, SequenceProto, OptionalProto -> mc_nd. Such a file does not say
 * which of them it is. */
#include "core/ckd.h"
#include "formats/onnx_parts.h"

static mc_status tensor(mc_cursor bytes, mc_arena *mem, mc_nd *out, mc_err *err)
{
    mc_tensor t;
    int64_t dim[MC_MAX_DIMS];
    MC_TRY(mc_onnx_tensor(bytes, NULL, mem, &t, err));
    for (int i = 0; i < t.ndim; i++) dim[i] = (int64_t)t.dim[i];
    *out = (mc_nd){.kind = MC_ND_TENSOR};
    MC_TRY(mc_nd_set(out, t.dtype, t.ndim, dim, err));

    const size_t width = mc_nd_width(t.dtype);
    if (width == 0)
        return mc_fail(err, MC_E_UNSUPPORTED, "%s is not computed with",
                       mc_dtype_about(t.dtype)->name);
    out->data = mc_alloc_raw(mem, t.count > 0 ? (size_t)t.count : 1, width);
    if (!out->data) return mc_no_room(err, "a value");
    if (t.dtype == MC_STRING) {
        mc_onnx_strings(bytes, out->data);
        return MC_OK;
    }
    return mc_nd_decode(t.dtype, t.data, 0, t.count, out->data, err);
}

/* SequenceProto and OptionalProto: all tensors of field 3. What other fields hold (maps, sequences
 * of sequences) has no name in mc_nd. */
static mc_status items(mc_cursor in, mc_arena *mem, mc_nd *out, mc_err *err)
{
    mc_wire_field f;
    size_t n = 0;
    mc_cursor again = in;
    while (mc_wire_next(&in, &f)) {
        if (f.number > 3) return mc_fail(err, MC_E_UNSUPPORTED, "holds items that are no tensors");
        n += f.number == 3;
    }
    mc_nd *item = MC_NEW(mem, mc_nd, n > 0 ? n : 1);
    if (!item) return mc_no_room(err, "a sequence");
    out->item = item;
    while (mc_wire_next(&again, &f)) {
        if (f.number != 3) continue;
        if (tensor(f.bytes, mem, &item[out->items], err) != MC_OK)
            return mc_wrap(err, "item %zu", out->items);
        out->items++;
    }
    if (n > 0) out->dtype = item[0].dtype;
    return MC_OK;
}

/* An optional that holds a sequence: the sequence is its one item. */
static mc_status optional(mc_cursor in, mc_arena *mem, mc_nd *out, mc_err *err)
{
    mc_cursor again = in;
    mc_wire_field f;
    while (mc_wire_next(&again, &f)) {
        if (f.number != 5) continue;
        mc_nd *item = MC_NEW(mem, mc_nd, 1);
        if (!item) return mc_no_room(err, "an optional");
        item->kind = MC_ND_SEQUENCE;
        MC_TRY(items(f.bytes, mem, item, err));
        out->item = item;
        out->items = 1;
        out->dtype = item->dtype;
        return MC_OK;
    }
    return items(in, mem, out, err);
}

mc_status mc_onnx_value_parse(const unsigned char *bytes, size_t n, const char *name,
                              mc_nd_kind kind, mc_arena *mem, mc_nd *out, mc_err *err)
{
    static const mc_pb messages[] = {MC_PB_TENSOR, MC_PB_SEQUENCE, MC_PB_OPTIONAL};
    static const unsigned char none[1];
    if (!bytes) bytes = none; /* an empty file: an empty message */
    const mc_cursor in = {bytes, bytes + n};
    mc_pb_counts counts;
    *out = (mc_nd){.kind = kind};
    MC_TRY(mc_pb_check(in, messages[kind], name, &counts, err));

    mc_status status;
    if (kind == MC_ND_TENSOR)
        status = tensor(in, mem, out, err);
    else
        status = kind == MC_ND_SEQUENCE ? items(in, mem, out, err) : optional(in, mem, out, err);
    return status == MC_OK ? MC_OK : mc_wrap(err, "%s", name);
}
