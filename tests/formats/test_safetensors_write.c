/* The writer: the same bytes as the reference's writer (PyPI safetensors 0.8.0 made the goldens),
 * and the same bytes whatever order the content comes in. */
#include "formats/safetensors.h"

#include "tests/support/scratch_model.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TestSuite(safetensors_write, .init = scratch_enter, .fini = scratch_leave);

static const unsigned char f32[24] = {0, 0, 0,    0,    0, 0, 0x80, 0x3f, 0, 0, 0,    0x40,
                                      0, 0, 0x40, 0x40, 0, 0, 0x80, 0x40, 0, 0, 0xa0, 0x40};
static const unsigned char half[4] = {0, 0, 0, 0x3f}, f16[4] = {0, 0x3c, 0, 0xbc}, step[8] = {42};

static const mc_tensor tensor[] = {
    {.name = "b.weight", .dtype = MC_F32, .ndim = 2, .dim = {2, 3}, .data = f32, .bytes = 24},
    {.name = "a.bias", .dtype = MC_F16, .ndim = 1, .dim = {2}, .data = f16, .bytes = 4},
    {.name = "z\"\n\xc3\xa9",
     .dtype = MC_U8,
     .ndim = 1,
     .dim = {1},
     .data = (const unsigned char *)"\7",
     .bytes = 1},
    {.name = "step", .dtype = MC_I64, .ndim = 0, .data = step, .bytes = 8},
    {.name = "empty", .dtype = MC_F64, .ndim = 2, .dim = {0, 4}, .bytes = 0},
    {.name = "a.weight", .dtype = MC_F32, .ndim = 2, .dim = {1, 1}, .data = half, .bytes = 4},
    {.name = "flag",
     .dtype = MC_BOOL,
     .ndim = 1,
     .dim = {3},
     .data = (const unsigned char *)"\1\0\1",
     .bytes = 3},
};
enum { TENSORS = sizeof tensor / sizeof tensor[0] };

static const char golden[] =
    "\xc8\x01\0\0\0\0\0\0"
    "{\"__metadata__\":{\"format\":\"pt\"},"
    "\"step\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[0,8]},"
    "\"empty\":{\"dtype\":\"F64\",\"shape\":[0,4],\"data_offsets\":[8,8]},"
    "\"a.weight\":{\"dtype\":\"F32\",\"shape\":[1,1],\"data_offsets\":[8,12]},"
    "\"b.weight\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[12,36]},"
    "\"a.bias\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[36,40]},"
    "\"z\\\"\\n\xc3\xa9\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[40,41]},"
    "\"flag\":{\"dtype\":\"BOOL\",\"shape\":[3],\"data_offsets\":[41,44]}}    "
    "*\0\0\0\0\0\0\0\0\0\0?\0\0\0\0\0\0\x80?\0\0\0@\0\0@@\0\0\x80@\0\0\xa0@\0<\0\xbc\7\1\0\1";

static mc_status write_file(const char *path, mc_tensor *t, size_t n, mc_pair *pair, size_t pairs,
                            mc_err *err)
{
    const mc_safetensors content = {t, n, pair, pairs};
    mc_region region;
    mc_out *out = NULL;
    cr_assert_eq(mc_region_open(&region, mc_safetensors_write_memory(&content), err), MC_OK);
    cr_assert_eq(
        mc_out_open(path, 0, (mc_out_options){.replace = true, .no_fsync = true}, &out, err), MC_OK,
        "%s", err->text);
    const mc_status status = mc_safetensors_write(out, &content, region.arena, err);
    if (status == MC_OK)
        cr_assert_eq(mc_out_commit(out, NULL, NULL, err), MC_OK, "%s", err->text);
    else
        mc_out_discard(out);
    mc_region_close(&region);
    return status;
}

static void expect_bytes(const char *path, const char *bytes, size_t n)
{
    mc_map map;
    mc_err err = {0};
    cr_assert_eq(mc_map_open(path, 0, &map, &err), MC_OK, "%s", err.text);
    cr_assert_eq(map.size, n, "%zu bytes, not %zu", map.size, n);
    cr_expect_arr_eq(map.data, bytes, n);
    mc_map_close(&map);
}

Test(safetensors_write, gives_the_bytes_of_the_reference_writer)
{
    mc_err err = {0};
    mc_tensor t[TENSORS];
    memcpy(t, tensor, sizeof t);
    mc_pair pair = {"format", "pt"};
    cr_assert_eq(write_file("m.safetensors", t, TENSORS, &pair, 1, &err), MC_OK, "%s", err.text);
    expect_bytes("m.safetensors", golden, sizeof golden - 1);

    cr_assert_eq(write_file("e.safetensors", t, 0, &pair, 0, &err), MC_OK, "%s", err.text);
    expect_bytes("e.safetensors", "\x08\0\0\0\0\0\0\0{}      ", 16);
}

Test(safetensors_write, does_not_depend_on_the_order_of_its_input)
{
    mc_err err = {0};
    mc_pair pair[] = {{"b", "2"}, {"a", "1\x01"}, {"c", "3"}};
    mc_tensor t[TENSORS];
    memcpy(t, tensor, sizeof t);
    cr_assert_eq(write_file("m.safetensors", t, TENSORS, pair, 3, &err), MC_OK);
    mc_map first;
    cr_assert_eq(mc_map_open("m.safetensors", 0, &first, &err), MC_OK);
    static const char start[] =
        "{\"__metadata__\":{\"a\":\"1\\u0001\",\"b\":\"2\",\"c\":\"3\"},\"step\"";
    cr_expect_arr_eq(first.data + 8, start, sizeof start - 1);

    const mc_pair other[] = {pair[2], pair[1], pair[0]};
    memcpy(pair, other, sizeof pair);
    for (size_t i = 0; i < TENSORS; i++) t[i] = tensor[(i * 3 + 2) % TENSORS];
    cr_assert_eq(write_file("n.safetensors", t, TENSORS, pair, 3, &err), MC_OK);
    expect_bytes("n.safetensors", (const char *)first.data, first.size);
    mc_map_close(&first);
}

/* The two F6 types are not in the golden: the reference's Python cannot write them. */
Test(safetensors_write, orders_dtypes_like_the_reference_writer)
{
    static const char header[] =
        "{\"t21\":{\"dtype\":\"U64\",\"shape\":[8],\"data_offsets\":[0,64]},"
        "\"t20\":{\"dtype\":\"I64\",\"shape\":[8],\"data_offsets\":[64,128]},"
        "\"t19\":{\"dtype\":\"F64\",\"shape\":[8],\"data_offsets\":[128,192]},"
        "\"t18\":{\"dtype\":\"C64\",\"shape\":[8],\"data_offsets\":[192,256]},"
        "\"t17\":{\"dtype\":\"F32\",\"shape\":[8],\"data_offsets\":[256,288]},"
        "\"t16\":{\"dtype\":\"U32\",\"shape\":[8],\"data_offsets\":[288,320]},"
        "\"t15\":{\"dtype\":\"I32\",\"shape\":[8],\"data_offsets\":[320,352]},"
        "\"t14\":{\"dtype\":\"BF16\",\"shape\":[8],\"data_offsets\":[352,368]},"
        "\"t13\":{\"dtype\":\"F16\",\"shape\":[8],\"data_offsets\":[368,384]},"
        "\"t12\":{\"dtype\":\"U16\",\"shape\":[8],\"data_offsets\":[384,400]},"
        "\"t11\":{\"dtype\":\"I16\",\"shape\":[8],\"data_offsets\":[400,416]},"
        "\"t10\":{\"dtype\":\"F8_E5M2FNUZ\",\"shape\":[8],\"data_offsets\":[416,424]},"
        "\"t09\":{\"dtype\":\"F8_E4M3FNUZ\",\"shape\":[8],\"data_offsets\":[424,432]},"
        "\"t08\":{\"dtype\":\"F8_E8M0\",\"shape\":[8],\"data_offsets\":[432,440]},"
        "\"t07\":{\"dtype\":\"F8_E4M3\",\"shape\":[8],\"data_offsets\":[440,448]},"
        "\"t06\":{\"dtype\":\"F8_E5M2\",\"shape\":[8],\"data_offsets\":[448,456]},"
        "\"t05\":{\"dtype\":\"I8\",\"shape\":[8],\"data_offsets\":[456,464]},"
        "\"t04\":{\"dtype\":\"U8\",\"shape\":[8],\"data_offsets\":[464,472]},"
        "\"t01\":{\"dtype\":\"F4\",\"shape\":[8],\"data_offsets\":[472,476]},"
        "\"t00\":{\"dtype\":\"BOOL\",\"shape\":[8],\"data_offsets\":[476,484]}}    ";
    static const unsigned char data[512];
    scratch_put_model("g.safetensors", header, 484);
    mc_model golden_model = scratch_open("g.safetensors");
    mc_err err = {0};
    cr_assert_eq(
        write_file("m.safetensors", golden_model.tensor, golden_model.tensors, NULL, 0, &err),
        MC_OK, "%s", err.text);
    cr_expect_eq(golden_model.tensors, 20);
    mc_map map;
    cr_assert_eq(mc_map_open("m.safetensors", 0, &map, &err), MC_OK);
    cr_assert_geq(map.size, 8 + sizeof header - 1);
    cr_expect_arr_eq(map.data + 8, header, sizeof header - 1);
    mc_map_close(&map);
    mc_model_close(&golden_model);

    mc_tensor six[] = {
        {.name = "b", .dtype = MC_F6_E2M3, .ndim = 1, .dim = {4}, .data = data, .bytes = 3},
        {.name = "a", .dtype = MC_F4, .ndim = 1, .dim = {2}, .data = data, .bytes = 1},
        {.name = "d", .dtype = MC_U8, .ndim = 1, .dim = {1}, .data = data, .bytes = 1},
        {.name = "c", .dtype = MC_F6_E3M2, .ndim = 1, .dim = {4}, .data = data, .bytes = 3}};
    cr_assert_eq(write_file("s.safetensors", six, 4, NULL, 0, &err), MC_OK, "%s", err.text);
    mc_model m = scratch_open("s.safetensors");
    for (size_t i = 1; i < 4; i++) cr_expect(m.tensor[i].data < m.tensor[i - 1].data); /* d c b a */
    mc_model_close(&m);
}

Test(safetensors_write, is_read_back_as_it_was)
{
    mc_err err = {0};
    mc_tensor t[TENSORS];
    memcpy(t, tensor, sizeof t);
    mc_pair pair[] = {{"k\t", "\x1f \x7f \xf0\x9f\x98\x80 \\ \" /"}, {"", ""}};
    cr_assert_eq(write_file("m.safetensors", t, TENSORS, pair, 2, &err), MC_OK);
    mc_model m = scratch_open("m.safetensors");
    cr_assert_eq(m.tensors, TENSORS);
    for (size_t i = 0; i < TENSORS; i++) {
        const mc_tensor *back = mc_model_find(&m, tensor[i].name);
        cr_assert_not_null(back);
        cr_expect_eq(back->dtype, tensor[i].dtype);
        cr_expect_eq(back->ndim, tensor[i].ndim);
        cr_expect_arr_eq(back->dim, tensor[i].dim, sizeof back->dim);
        cr_assert_eq(back->bytes, tensor[i].bytes);
        if (back->bytes > 0) cr_expect_arr_eq(back->data, tensor[i].data, back->bytes);
    }
    cr_assert_eq(m.metadatas, 2);
    cr_expect_str_eq(m.metadata[0].key, "");
    cr_expect_str_eq(m.metadata[1].key, pair[0].key[0] ? "k\t" : "");
    cr_expect_str_eq(m.metadata[1].value, "\x1f \x7f \xf0\x9f\x98\x80 \\ \" /");
    mc_model_close(&m);
}

static void refused(mc_tensor *t, size_t n, const char *message)
{
    mc_err err = {0};
    cr_expect_eq(write_file("m.safetensors", t, n, NULL, 0, &err), MC_E_USAGE);
    cr_expect_str_eq(err.text, message, "found %s", err.text);
}

Test(safetensors_write, refuses_what_no_reader_would_take)
{
    mc_tensor t[2] = {tensor[1], tensor[1]};
    refused(t, 2, "tensor \"a.bias\" appears twice");
    t[0].name = "__metadata__";
    refused(t, 1, "a tensor cannot be called \"__metadata__\"");
    t[0].name = "\xff";
    refused(t, 1, "tensor \"\\xff\" is not valid UTF-8");
    t[0] = tensor[1];
    t[0].bytes = 6;
    refused(t, 1, "tensor \"a.bias\": its 6 bytes are not what its shape needs");
    t[0].dim[0] = UINT64_MAX;
    refused(t, 1, "tensor \"a.bias\": its 6 bytes are not what its shape needs");
    t[0] =
        (mc_tensor){.name = "odd", .dtype = MC_F4, .ndim = 1, .dim = {3}, .data = f32, .bytes = 1};
    refused(t, 1, "tensor \"odd\": its 1 bytes are not what its shape needs");
    t[0] = tensor[1];
    t[0].dtype = MC_DTYPE_NONE;
    refused(t, 1, "tensor \"a.bias\" has no dtype or more than 8 dimensions");

    mc_err err = {0};
    mc_pair twice[] = {{"k", "1"}, {"k", "2"}}, bad = {"k", "\xc0"};
    cr_expect_eq(write_file("m.safetensors", t, 0, twice, 2, &err), MC_E_USAGE);
    cr_expect_str_eq(err.text, "metadata \"k\" appears twice");
    cr_expect_eq(write_file("m.safetensors", t, 0, &bad, 1, &err), MC_E_USAGE);
    cr_expect_str_eq(err.text, "metadata \"\\xc0\" is not valid UTF-8");
}
