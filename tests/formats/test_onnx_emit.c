/* The encoder of protobuf, read back field by field. */
#include "formats/onnx_emit.h"
#include "formats/onnx_parts.h"
#include "tests/support/scratch_model.h"

#include <criterion/criterion.h>
#include <string.h>

TestSuite(onnx_emit, .init = scratch_enter, .fini = scratch_leave);

static void nested(mc_emit *e, const unsigned char *bytes, size_t n)
{
    const size_t outer = mc_emit_begin(e, 1), inner = mc_emit_begin(e, 2000);
    mc_emit_bytes(e, 3, bytes, n);
    mc_emit_end(e, inner);
    mc_emit_int(e, 4, -1);
    mc_emit_pair(e, 5, "key", "value");
    mc_emit_float(e, 6, 1.0f);
    mc_emit_end(e, outer);
}

/* One byte less and one more than what a varint of one, two and three bytes can say, and more than
 * the buffer holds. */
Test(onnx_emit, finds_lengths_of_any_number_of_bytes)
{
    static const size_t sizes[] = {0, 100, 127, 128, 129, 16382, 16384, 65536, 65537, 2097153};
    static unsigned char bytes[2097153];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (unsigned char)(i * i >> 3);
    static mc_emit emit;
    mc_emit *e = &emit;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        uint64_t length[2];
        mc_err err = {0};
        *e = (mc_emit){.length = length, .err = &err};
        nested(e, bytes, sizes[i]);
        mc_emit_start(e, MC_EMIT_MEASURE);
        nested(e, bytes, sizes[i]);
        const uint64_t measured = e->at;
        cr_assert_eq(mc_out_open("out", measured, (mc_out_options){true, true}, &e->out, &err),
                     MC_OK);
        mc_emit_start(e, MC_EMIT_WRITE);
        nested(e, bytes, sizes[i]);
        cr_assert_eq(mc_emit_finish(e), MC_OK);
        cr_assert_eq(e->at, measured);
        cr_assert_eq(mc_out_commit(e->out, NULL, NULL, &err), MC_OK);

        mc_map map;
        cr_assert_eq(mc_map_open("out", 0, &map, &err), MC_OK);
        mc_cursor in = {map.data, map.data + map.size};
        mc_wire_field f;
        cr_assert(mc_wire_next(&in, &f) && f.number == 1 && in.at == in.end);
        const mc_cursor inner = mc_onnx_part(f.bytes, 2000), got = mc_onnx_part(inner, 3);
        cr_assert(mc_left(&got) == sizes[i] && memcmp(got.at, bytes, sizes[i]) == 0);
        cr_assert(mc_onnx_is(mc_onnx_part(mc_onnx_part(f.bytes, 5), 2), "value"));
        mc_map_close(&map);
    }
}
