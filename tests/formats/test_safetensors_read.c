/* What a safetensors file holds comes out as it went in. */
#include "formats/safetensors.h"

#include "core/bytes.h"
#include "tests/support/scratch_model.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TestSuite(safetensors_read, .init = scratch_enter, .fini = scratch_leave);

Test(safetensors_read, lists_tensors_by_name_with_shape_type_and_data)
{
    scratch_put_model("m.safetensors",
                      "{\"b\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
                      "\"a\":{\"dtype\":\"BF16\",\"shape\":[4],\"data_offsets\":[24,32]}}",
                      32);
    mc_model m = scratch_open("m.safetensors");
    cr_assert_eq(m.tensors, 2);
    cr_expect_str_eq(m.format, "safetensors");
    cr_expect_str_eq(m.path, "m.safetensors");

    const mc_tensor *a = &m.tensor[0], *b = &m.tensor[1];
    cr_expect_str_eq(a->name, "a");
    cr_expect_eq(a->dtype, MC_BF16);
    cr_expect_eq(a->ndim, 1);
    cr_expect_eq(a->dim[0], 4);
    cr_expect_eq(a->count, 4);
    cr_expect_eq(a->bytes, 8);
    cr_expect_eq(a->data[0], 24);
    cr_expect_str_eq(b->name, "b");
    cr_expect_eq(b->dtype, MC_F32);
    cr_expect_eq(b->ndim, 2);
    cr_expect_eq(b->dim[0], 2);
    cr_expect_eq(b->dim[1], 3);
    cr_expect_eq(b->count, 6);
    cr_expect_eq(b->bytes, 24);
    cr_expect_eq(b->data[0], 0);
    cr_expect_eq(b->data[23], 23);
    cr_expect_eq(mc_model_find(&m, "b"), b);
    cr_expect_null(mc_model_find(&m, "c"));
    mc_model_close(&m);
}

Test(safetensors_read, knows_all_22_dtypes)
{
    static const struct {
        const char *name;
        size_t bytes; /* of 8 elements */
    } dtype[] = {
        {"BOOL", 8},        {"F4", 4},      {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"U8", 8},
        {"I8", 8},          {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8},
        {"F8_E5M2FNUZ", 8}, {"I16", 16},    {"U16", 16},    {"F16", 16},    {"BF16", 16},
        {"I32", 32},        {"U32", 32},    {"F32", 32},    {"C64", 64},    {"F64", 64},
        {"I64", 64},        {"U64", 64},
    };
    enum { DTYPES = sizeof dtype / sizeof dtype[0] };
    char header[4096] = "{";
    size_t at = 0;
    for (size_t i = 0; i < DTYPES; i++) {
        char entry[128];
        snprintf(entry, sizeof entry,
                 "%s\"%02zu\":{\"dtype\":\"%s\",\"shape\":[2,4],\"data_offsets\":[%zu,%zu]}",
                 i ? "," : "", i, dtype[i].name, at, at + dtype[i].bytes);
        strcat(header, entry);
        at += dtype[i].bytes;
    }
    scratch_put_model("m.safetensors", strcat(header, "}"), at);
    mc_model m = scratch_open("m.safetensors");
    cr_assert_eq(m.tensors, DTYPES);
    for (size_t i = 0; i < DTYPES; i++) {
        cr_expect_str_eq(mc_dtype_about(m.tensor[i].dtype)->name, dtype[i].name);
        cr_expect_eq(m.tensor[i].bytes, dtype[i].bytes);
    }
    mc_model_close(&m);
}

/* test_empty, test_zero_sized_tensor, test_empty_shapes_allowed of the reference. */
Test(safetensors_read, accepts_no_tensors_at_all)
{
    scratch_put_model("m.safetensors", "{}", 0);
    mc_model m = scratch_open("m.safetensors");
    cr_expect_eq(m.tensors, 0);
    mc_model_close(&m);

    scratch_put_model("n.safetensors", "{\"__metadata__\":{\"framework\":\"pytorch\"}}", 0);
    m = scratch_open("n.safetensors");
    cr_expect_eq(m.tensors, 0);
    cr_assert_eq(m.metadatas, 1);
    cr_expect_str_eq(m.metadata[0].key, "framework");
    cr_expect_str_eq(m.metadata[0].value, "pytorch");
    mc_model_close(&m);
}

Test(safetensors_read, keeps_the_shape_of_empty_tensors_and_of_scalars)
{
    scratch_put_model(
        "m.safetensors",
        "{\"scalar\":{\"dtype\":\"I32\",\"shape\":[],\"data_offsets\":[0,4]},"
        "\"empty\":{\"dtype\":\"I32\",\"shape\":[2,0],\"data_offsets\":[0,0]},"
        "\"last\":{\"dtype\":\"F4\",\"shape\":[0,9223372036854775808,4],\"data_offsets\":[4,4]}}",
        4);
    mc_model m = scratch_open("m.safetensors");
    const mc_tensor *scalar = mc_model_find(&m, "scalar"), *empty = mc_model_find(&m, "empty");
    cr_assert(scalar && empty);
    cr_expect_eq(scalar->ndim, 0);
    cr_expect_eq(scalar->count, 1);
    cr_expect_eq(empty->ndim, 2);
    cr_expect_eq(empty->dim[0], 2);
    cr_expect_eq(empty->dim[1], 0);
    cr_expect_eq(empty->count, 0);
    cr_expect_eq(empty->bytes, 0);
    mc_model_close(&m);
}

/* test_whitespace_padded_header, test_whitespace_leading_padded_header */
Test(safetensors_read, accepts_json_whitespace_around_the_header)
{
    scratch_put_model(
        "m.safetensors",
        " \t\r\n{\"t\":{\"dtype\":\"I32\",\"shape\":[1],\"data_offsets\":[0,4]}}\n\r\t ", 4);
    mc_model m = scratch_open("m.safetensors");
    cr_expect_eq(m.tensors, 1);
    mc_model_close(&m);
}

Test(safetensors_read, passes_over_unknown_fields_of_an_entry)
{
    scratch_put_model(
        "m.safetensors",
        "{\"t\":{\"x\":[1.5e3,{\"y\":null}],\"shape\":[1],\"note\":\"\\u0000\",\"dtype\":\"U8\","
        "\"x\":1,\"data_offsets\":[0,1]}}",
        1);
    mc_model m = scratch_open("m.safetensors");
    cr_expect_eq(m.tensors, 1);
    mc_model_close(&m);
}

Test(safetensors_read, decodes_names_keys_and_field_names)
{
    scratch_put_model("m.safetensors",
                      "{\"__meta\\u0064ata__\":{\"k\\n\":\"\\ud83d\\ude00\",\"a\":\"\"},"
                      "\"\\u00e9\\\"\":{\"d\\u0074ype\":\"\\u0055\\u0038\",\"shape\":[1],\"data_"
                      "offsets\":[0,1]}}",
                      1);
    mc_model m = scratch_open("m.safetensors");
    cr_assert_eq(m.tensors, 1);
    cr_expect_str_eq(m.tensor[0].name, "\xc3\xa9\"");
    cr_expect_eq(m.tensor[0].dtype, MC_U8);
    cr_assert_eq(m.metadatas, 2);
    cr_expect_str_eq(m.metadata[0].key, "a");
    cr_expect_str_eq(m.metadata[1].key, "k\n");
    cr_expect_str_eq(m.metadata[1].value, "\xf0\x9f\x98\x80");
    mc_model_close(&m);
}

Test(safetensors_read, reads_any_order_of_data_and_any_alignment)
{
    scratch_put_model("m.safetensors",
                      "{\"a\":{\"dtype\":\"F64\",\"shape\":[1],\"data_offsets\":[3,11]},"
                      "\"b\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[0,3]}}",
                      11);
    mc_model m = scratch_open("m.safetensors");
    cr_assert_eq(m.tensors, 2);
    cr_expect_eq(m.tensor[0].data[0], 3);
    cr_expect_eq(m.tensor[1].data[0], 0);
    mc_model_close(&m);
}

Test(safetensors_read, reads_eight_dimensions)
{
    scratch_put_model(
        "m.safetensors",
        "{\"t\":{\"dtype\":\"U8\",\"shape\":[1,1,1,1,1,1,1,2],\"data_offsets\":[0,2]}}", 2);
    mc_model m = scratch_open("m.safetensors");
    cr_expect_eq(m.tensor[0].ndim, 8);
    cr_expect_eq(m.tensor[0].dim[7], 2);
    mc_model_close(&m);
}

/* The name only has to end in .safetensors when the file is broken. */
Test(safetensors_read, knows_a_safetensors_file_under_any_name)
{
    scratch_put_model("m.bin", "{\"t\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}",
                      1);
    mc_model m = scratch_open("m.bin");
    cr_expect_str_eq(m.format, "safetensors");
    mc_model_close(&m);
}

/* 1f 8b is the magic of gzip and may be the length of a header. */
Test(safetensors_read, is_not_fooled_by_a_length_that_looks_like_gzip)
{
    enum { LENGTH = 0x8b1f };
    char *header = malloc(LENGTH + 1);
    cr_assert_not_null(header);
    memset(header, ' ', LENGTH);
    memcpy(header, "{}", 2);
    header[LENGTH] = '\0';
    scratch_put_model("m.bin", header, 0);
    mc_model m = scratch_open("m.bin");
    cr_expect_str_eq(m.format, "safetensors");
    mc_model_close(&m);
    free(header);
}

/* Memory stays within the promise, and the names are in order however they came. */
Test(safetensors_read, takes_a_hundred_thousand_empty_tensors, .timeout = 20)
{
    enum { TENSORS = 100000, EACH = 80 };
    char *header = malloc((size_t)TENSORS * EACH + 16);
    cr_assert_not_null(header);
    size_t n = 0;
    header[n++] = '{';
    for (unsigned i = 0; i < TENSORS; i++)
        n += (size_t)sprintf(
            header + n, "%s\"l.%u.w\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}",
            i ? "," : "", i * 7919u % TENSORS);
    memcpy(header + n, "}", 2);
    scratch_put_model("m.safetensors", header, 0);
    mc_model m = scratch_open("m.safetensors");
    cr_assert_eq(m.tensors, TENSORS);
    for (size_t i = 1; i < TENSORS; i++)
        cr_assert(strcmp(m.tensor[i - 1].name, m.tensor[i].name) < 0);
    for (unsigned i = 0; i < TENSORS; i += 997) {
        char name[32];
        snprintf(name, sizeof name, "l.%u.w", i);
        cr_expect_not_null(mc_model_find(&m, name), "%s", name);
    }
    mc_model_close(&m);
    free(header);
}

/* Headers that use the bound up: shortest entries, shortest pairs. */
Test(safetensors_read, needs_no_more_memory_than_it_says)
{
    static const char *const part[] = {
        "\"\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,0]},", "\"\":\"\","};
    for (size_t k = 0; k < 2; k++) {
        static unsigned char file[60000];
        size_t n = 8 + (size_t)sprintf((char *)file + 8, k == 0 ? "{" : "{\"__metadata__\":{");
        while (n < 50000) n += (size_t)sprintf((char *)file + n, "%s", part[k]);
        mc_store_u64le(file, n - 8);
        const mc_map map = {.data = file, .size = n};
        cr_assert_leq(mc_safetensors_memory(&map), 8 * n + 1024);

        mc_region region;
        mc_safetensors got;
        mc_err err = {0};
        cr_assert_eq(mc_region_open(&region, mc_safetensors_memory(&map), &err), MC_OK);
        cr_expect_eq(mc_safetensors_parse(&map, "m", &region.arena, &got, &err), MC_E_FORMAT);
        cr_expect_not_null(strstr(err.text, "found the end"), "%s", err.text);
        mc_region_close(&region);
    }
}
