/* Every storage of a TensorProto gives the bytes that raw_data would hold. */
#include "formats/onnx_parts.h"
#include "tests/support/onnx_builder.h"

#include <criterion/criterion.h>
#include <string.h>

static mc_region region;

static void enter(void)
{
    mc_err err = {0};
    cr_assert_eq(mc_region_open(&region, 1 << 20, &err), MC_OK);
}

static void leave(void)
{
    mc_region_close(&region);
}

TestSuite(onnx_tensor, .init = enter, .fini = leave);

/* Reads it; the message stays behind until the test ends. */
static mc_tensor read(proto t)
{
    mc_tensor out;
    mc_err err = {0};
    mc_pb_counts counts;
    unsigned char *at = MC_NEW_RAW(&region.arena, unsigned char, t.n);
    cr_assert(at);
    memcpy(at, t.at, t.n);
    const mc_cursor in = {at, at + t.n};
    proto_free(&t);
    cr_assert_eq(mc_pb_check(in, MC_PB_TENSOR, "t", &counts, &err), MC_OK, "%s", err.text);
    cr_assert_eq(mc_onnx_tensor(in, NULL, &region.arena, &out, &err), MC_OK, "%s", err.text);
    return out;
}

static void gives(proto t, mc_dtype dtype, const void *bytes, size_t n)
{
    const mc_tensor got = read(t);
    cr_assert_eq(got.dtype, dtype);
    cr_assert_eq(got.bytes, n, "%s has %zu bytes", mc_dtype_about(dtype)->name, (size_t)got.bytes);
    cr_assert_eq(memcmp(got.data, bytes, n), 0, "%s", mc_dtype_about(dtype)->name);
}

static const int64_t two[] = {2, -1}, three[] = {3, -1};

/* Packed, and one by one. */
static void ints_give(int data_type, mc_dtype dtype, uint32_t field, const int64_t value[2],
                      const void *bytes, size_t n)
{
    proto single = onnx_tensor("t", data_type, two), packed = onnx_tensor("t", data_type, two);
    proto list = {0};
    for (int i = 0; i < 2; i++) {
        proto_int(&single, field, value[i]);
        proto tagged = {0};
        proto_int(&tagged, 1, value[i]);
        proto_raw(&list, tagged.at + 1, tagged.n - 1);
        proto_free(&tagged);
    }
    proto_move(&packed, field, list);
    gives(single, dtype, bytes, n);
    gives(packed, dtype, bytes, n);
}

Test(onnx_tensor, decodes_whole_numbers_of_every_type)
{
    enum { INT32 = 5, INT64 = 7, UINT64 = 11 };
    ints_give(2, MC_U8, INT32, (int64_t[]){1, 255}, "\x01\xff", 2);
    ints_give(3, MC_I8, INT32, (int64_t[]){1, -128}, "\x01\x80", 2);
    ints_give(4, MC_U16, INT32, (int64_t[]){1, 65535}, "\x01\0\xff\xff", 4);
    ints_give(5, MC_I16, INT32, (int64_t[]){1, -2}, "\x01\0\xfe\xff", 4);
    ints_give(6, MC_I32, INT32, (int64_t[]){258, -2}, "\x02\x01\0\0\xfe\xff\xff\xff", 8);
    ints_give(7, MC_I64, INT64, (int64_t[]){1, INT64_MIN}, "\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x80",
              16);
    ints_give(9, MC_BOOL, INT32, (int64_t[]){1, 0}, "\x01\0", 2);
    ints_give(12, MC_U32, UINT64, (int64_t[]){1, UINT32_MAX}, "\1\0\0\0\xff\xff\xff\xff", 8);
    ints_give(13, MC_U64, UINT64, (int64_t[]){1, -1},
              "\1\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff", 16);
}

Test(onnx_tensor, takes_small_floats_as_their_bits)
{
    ints_give(10, MC_F16, 5, (int64_t[]){0x3c00, 0xfc00}, "\0\x3c\0\xfc", 4);
    ints_give(16, MC_BF16, 5, (int64_t[]){0x3f80, 0xff80}, "\x80\x3f\x80\xff", 4);
    ints_give(17, MC_F8_E4M3, 5, (int64_t[]){0x38, 0xff}, "\x38\xff", 2);
    ints_give(24, MC_F8_E8M0, 5, (int64_t[]){0x7f, 0xfe}, "\x7f\xfe", 2);
}

Test(onnx_tensor, takes_elements_below_a_byte_as_packed_bytes)
{
    proto t = onnx_tensor("t", 22, three); /* 3 of INT4: two bytes */
    proto_int(&t, 5, 0x21);
    proto_int(&t, 5, 0x0f);
    gives(t, MC_I4, "\x21\x0f", 2);
    t = onnx_tensor("t", 25, three); /* 3 of UINT2: one byte */
    proto_int(&t, 5, 0x1b);
    gives(t, MC_U2, "\x1b", 1);
    gives(onnx_raw_tensor("t", 21, three, "\x43\x05", 2), MC_U4, "\x43\x05", 2);
}

Test(onnx_tensor, leaves_packed_floats_where_they_are)
{
    static const float f[] = {1.5f, -2.0f};
    static const double d[] = {1.5, -2.0};
    proto t = onnx_tensor("t", 1, two);
    proto_bytes(&t, 4, f, sizeof f);
    const unsigned char *before = region.arena.at;
    const mc_tensor got = read(t);
    cr_assert(got.data >= before && memcmp(got.data, f, sizeof f) == 0);
    cr_assert_eq((region.arena.at - got.data) / 256, 0, "only the name was taken behind it");

    t = onnx_tensor("t", 1, two);
    proto_float(&t, 4, f[0]);
    proto_bytes(&t, 4, &f[1], sizeof f[1]); /* in pieces, packed or not */
    gives(t, MC_F32, f, sizeof f);
    t = onnx_tensor("t", 11, two);
    proto_bytes(&t, 10, d, sizeof d);
    gives(t, MC_F64, d, sizeof d);
    t = onnx_tensor("t", 14, (int64_t[]){1, -1}); /* a complex number */
    proto_bytes(&t, 4, f, sizeof f);
    gives(t, MC_C64, f, sizeof f);
}

Test(onnx_tensor, needs_no_storage_for_no_elements)
{
    const mc_tensor t = read(onnx_tensor("t", 1, (int64_t[]){0, 5, -1}));
    cr_assert(t.count == 0 && t.bytes == 0 && t.ndim == 2);
}

Test(onnx_tensor, reads_a_scalar_of_no_dimensions)
{
    static const float one = 1.0f;
    const mc_tensor t = read(onnx_raw_tensor("t", 1, (int64_t[]){-1}, &one, sizeof one));
    cr_assert(t.count == 1 && t.ndim == 0);
}

/* ---- values of test data ---- */

static mc_nd value(proto p, mc_nd_kind kind)
{
    mc_nd out;
    mc_err err = {0};
    unsigned char *at = MC_NEW_RAW(&region.arena, unsigned char, p.n);
    cr_assert(at);
    if (p.n > 0) memcpy(at, p.at, p.n);
    cr_assert_eq(mc_onnx_value_parse(at, p.n, "v.pb", kind, &region.arena, &out, &err), MC_OK, "%s",
                 err.text);
    proto_free(&p);
    return out;
}

Test(onnx_tensor, gives_values_with_strings_and_small_numbers)
{
    proto t = onnx_tensor("t", 8, two);
    proto_text(&t, 6, "ab");
    proto_bytes(&t, 6, "c\0d", 3);
    mc_nd v = value(t, MC_ND_TENSOR);
    const mc_nd_text *text = v.data;
    cr_assert(v.dtype == MC_STRING && v.count == 2 && text[0].length == 2 && text[1].length == 3);
    cr_assert_eq(memcmp(text[1].at, "c\0d", 3), 0);

    v = value(onnx_raw_tensor("t", 22, three, "\xf1\x07", 2), MC_ND_TENSOR);
    cr_assert(mc_nd_int(&v, 0) == 1 && mc_nd_int(&v, 1) == -1 && mc_nd_int(&v, 2) == 7);
}

Test(onnx_tensor, gives_sequences_and_optionals)
{
    static const float f[] = {1, 2, 3};
    proto s = {0};
    proto_int(&s, 2, 1);
    proto_move(&s, 3, onnx_raw_tensor("", 1, two, f, 8));
    proto_move(&s, 3, onnx_raw_tensor("", 1, three, f, 12));
    mc_nd v = value(s, MC_ND_SEQUENCE);
    cr_assert(v.kind == MC_ND_SEQUENCE && v.items == 2 && v.item[1].count == 3);
    v = value((proto){0}, MC_ND_OPTIONAL);
    cr_assert(v.kind == MC_ND_OPTIONAL && v.items == 0);
}
