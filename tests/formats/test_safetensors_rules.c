/* Every rule of the format with bytes that break it, and the whole message. Rules are numbered as
 * in formats/safetensors_read.c. */
#include "formats/limits.h"

#include "core/bytes.h"
#include "tests/support/scratch_model.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

TestSuite(safetensors_rules, .init = scratch_enter, .fini = scratch_leave);

/* The file with this header and data is refused with this sentence. */
static void refused_as(const char *header, size_t data_bytes, mc_status status, const char *why)
{
    char message[2048];
    snprintf(message, sizeof message, "m.safetensors: %s", why);
    scratch_put_model("m.safetensors", header, data_bytes);
    scratch_refused("m.safetensors", status, message);
}

static void refused(const char *header, size_t data_bytes, const char *why)
{
    refused_as(header, data_bytes, MC_E_FORMAT, why);
}

static void put_length(uint64_t length, size_t file_bytes)
{
    unsigned char bytes[256] = {0};
    mc_store_u64le(bytes, length);
    memset(bytes + 8, '{', sizeof bytes - 8);
    scratch_put("m.safetensors", bytes, file_bytes);
}

/* ---- rule 1 ---- */

Test(safetensors_rules, r1_the_file_has_8_bytes)
{
    scratch_put("m.safetensors", "", 0);
    scratch_refused("m.safetensors", MC_E_FORMAT,
                    "m.safetensors: file is 0 bytes long, a safetensors file has at least 8");
    scratch_put("m.safetensors", "\2\0\0\0\0\0\0", 7);
    scratch_refused("m.safetensors", MC_E_FORMAT,
                    "m.safetensors: file is 7 bytes long, a safetensors file has at least 8");
}

/* ---- rule 2 ---- */

Test(safetensors_rules, r2_the_header_has_at_most_100_million_bytes)
{
    put_length(100000001, 120);
    scratch_refused("m.safetensors", MC_E_FORMAT,
                    "m.safetensors: header is 100000001 bytes long, at most 100000000 are allowed");
    put_length(UINT64_MAX, 120);
    scratch_refused(
        "m.safetensors", MC_E_FORMAT,
        "m.safetensors: header is 18446744073709551615 bytes long, at most 100000000 are allowed");
    scratch_put("m.safetensors", "<\0\0\0\0\xff\xff\xff{\"test\"", 15); /* test_header_too_large */
    scratch_refused(
        "m.safetensors", MC_E_FORMAT,
        "m.safetensors: header is 18446742974197923900 bytes long, at most 100000000 are allowed");
}

/* The file really is that long, so only rule 2 can object; one byte less is read. */
Test(safetensors_rules, r2_holds_to_the_byte, .timeout = 30)
{
    put_length(100000001, 10);
    cr_assert_eq(truncate("m.safetensors", 8 + 100000001), 0);
    scratch_refused("m.safetensors", MC_E_FORMAT,
                    "m.safetensors: header is 100000001 bytes long, at most 100000000 are allowed");
    put_length(100000000, 9);
    cr_assert_eq(truncate("m.safetensors", 8 + 100000000), 0);
    scratch_refused(
        "m.safetensors", MC_E_FORMAT,
        "m.safetensors: header is not valid JSON: expected a key, found byte 0x00 at position 9");
}

/* ---- rule 3 ---- */

Test(safetensors_rules, r3_the_header_lies_in_the_file)
{
    put_length(113, 120);
    scratch_refused("m.safetensors", MC_E_FORMAT,
                    "m.safetensors: header is 113 bytes long, but the file has only 120");
    scratch_put("m.safetensors", "\x3c\0\0\0\0\0\0\0", 8); /* test_invalid_header_length */
    scratch_refused("m.safetensors", MC_E_FORMAT,
                    "m.safetensors: header is 60 bytes long, but the file has only 8");
}

/* ---- rule 4 ---- */

Test(safetensors_rules, r4_the_header_is_utf8)
{
    scratch_put("m.safetensors", "\1\0\0\0\0\0\0\0\xff", 9); /* test_invalid_header_non_utf8 */
    scratch_refused("m.safetensors", MC_E_FORMAT,
                    "m.safetensors: header is not valid UTF-8: byte 0xff at position 8");
    refused("{\"\xc0\x80\":1}", 0, "header is not valid UTF-8: byte 0xc0 at position 10");
}

/* ---- rule 5 ---- */

Test(safetensors_rules, r5_the_header_is_one_json_object)
{
    refused("{", 0, "header is not valid JSON: expected a key, found the end at position 9");
    refused("", 0, "header is not valid JSON: expected a value, found the end at position 8");
    refused("[]", 0, "header is an array, must be an object");
    refused("1", 0, "header is a number, must be an object");
    refused("{}x", 0,
            "header is not valid JSON: expected only whitespace behind the object, found 'x' at "
            "position 10");
    refused("\xef\xbb\xbf{}", 0,
            "header is not valid JSON: expected a value, found byte 0xef at position 8");
    refused("{\"t\":{\"dtype\":\"U8\",\"shape\":[01],\"data_offsets\":[0,1]}}", 1,
            "header is not valid JSON: number with a leading zero at position 36");
    refused("{\"a\tb\":1}", 0,
            "header is not valid JSON: control character in a text at position 11");
}

Test(safetensors_rules, r5_nesting_has_an_end)
{
    enum { LEVELS = 100000 };
    char *header = malloc(LEVELS + 64);
    cr_assert_not_null(header);
    const size_t n = (size_t)sprintf(header, "{\"t\":{\"x\":");
    memset(header + n, '[', LEVELS);
    header[n + LEVELS] = '\0';
    refused(header, 0, "header nests deeper than 128 levels at position 144");
    free(header);
}

Test(safetensors_rules, nul_padding_is_refused_with_a_hint)
{
    scratch_put("m.safetensors", "\4\0\0\0\0\0\0\0{}\0\0", 12);
    scratch_refused(
        "m.safetensors", MC_E_FORMAT,
        "m.safetensors: header is padded with NUL bytes from position 10, only spaces are allowed: "
        "save the file again with a current writer");
}

/* ---- rule 6 ---- */

Test(safetensors_rules, r6_metadata_is_an_object_of_texts)
{
    refused("{\"__metadata__\":[]}", 0, "__metadata__ is an array, must be an object of texts");
    refused("{\"__metadata__\":null}", 0, "__metadata__ is null, must be an object of texts");
    refused("{\"__metadata__\":{\"k\":1}}", 0, "__metadata__ \"k\" is a number, must be a text");
    refused("{\"__metadata__\":{\"k\":{}}}", 0, "__metadata__ \"k\" is an object, must be a text");
    refused("{\"__metadata__\":{},\"__metadata__\":{}}", 0, "__metadata__ appears twice");
    refused("{\"__metadata__\":{},\"\\u005f_metadata__\":{}}", 0, "__metadata__ appears twice");
    refused("{\"__metadata__\":{\"k\":\"1\",\"a\":\"2\",\"k\":\"1\"}}", 0,
            "__metadata__ \"k\" appears twice");
    refused("{\"__metadata__\":{\"k\\u0000\":\"1\"}}", 0,
            "__metadata__ \"k\\u0000\" holds a NUL character");
    refused("{\"__metadata__\":{\"k\":\"\\u0000\"}}", 0,
            "__metadata__ \"k\" holds a NUL character");
}

/* ---- rule 7 ---- */

Test(safetensors_rules, r7_an_entry_is_an_object)
{
    refused("{\"t\":[\"F32\",[2],[0,8]]}", 8, "tensor \"t\": entry is an array, must be an object");
    refused("{\"t\":null}", 0, "tensor \"t\": entry is null, must be an object");
}

Test(safetensors_rules, r7_an_entry_has_each_field_once)
{
    refused("{\"t\":{\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "tensor \"t\": dtype is missing");
    refused("{\"t\":{\"dtype\":\"U8\",\"data_offsets\":[0,1]}}", 1,
            "tensor \"t\": shape is missing");
    refused("{\"t\":{\"dtype\":\"U8\",\"shape\":[1]}}", 1, "tensor \"t\": data_offsets is missing");
    refused("{\"t\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1,
            "tensor \"t\": dtype appears twice");
    refused("{\"t\":{\"shape\":[1],\"dtype\":\"U8\",\"sh\\u0061pe\":[1],\"data_offsets\":[0,1]}}",
            1, "tensor \"t\": shape appears twice");
    refused(
        "{\"t\":{\"data_offsets\":[0,1],\"data_offsets\":[0,1],\"dtype\":\"U8\",\"shape\":[1]}}", 1,
        "tensor \"t\": data_offsets appears twice");
}

Test(safetensors_rules, r7_the_dtype_is_one_of_22)
{
    refused("{\"t\":{\"dtype\":\"F33\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1,
            "tensor \"t\": dtype is \"F33\", which is not one of the 22 that safetensors has");
    refused("{\"t\":{\"dtype\":\"f32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4,
            "tensor \"t\": dtype is \"f32\", which is not one of the 22 that safetensors has");
    refused(
        "{\"t\":{\"dtype\":\"F32\\u0000\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4,
        "tensor \"t\": dtype is \"F32\\u0000\", which is not one of the 22 that safetensors has");
    refused("{\"t\":{\"dtype\":7,\"shape\":[1],\"data_offsets\":[0,1]}}", 1,
            "tensor \"t\": dtype is 7, must be a text");
}

Test(safetensors_rules, r7_the_shape_is_an_array_of_whole_numbers)
{
    static const char *const bad[] = {"-1",    "4.0",  "1e2", "18446744073709551616",
                                      "\"4\"", "null", "true"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char header[256], why[256];
        snprintf(header, sizeof header,
                 "{\"t\":{\"dtype\":\"U8\",\"shape\":[1,%s],\"data_offsets\":[0,1]}}", bad[i]);
        snprintf(
            why, sizeof why,
            "tensor \"t\": shape[1] is %s, must be a whole number from 0 to 18446744073709551615",
            bad[i]);
        refused(header, 1, why);
    }
    refused("{\"t\":{\"dtype\":\"U8\",\"shape\":4,\"data_offsets\":[0,4]}}", 4,
            "tensor \"t\": shape is 4, must be an array of whole numbers");
    refused("{\"t\":{\"dtype\":\"U8\",\"shape\":[[4]],\"data_offsets\":[0,4]}}", 4,
            "tensor \"t\": shape[0] is an array, must be a whole number from 0 to "
            "18446744073709551615");
}

Test(safetensors_rules, r7_data_offsets_are_two_whole_numbers)
{
    refused("{\"t\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[]}}", 1,
            "tensor \"t\": data_offsets has none, must have 2 numbers");
    refused("{\"t\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0]}}", 1,
            "tensor \"t\": data_offsets has 1, must have 2 numbers");
    refused("{\"t\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1,1]}}", 1,
            "tensor \"t\": data_offsets has more, must have 2 numbers");
    refused("{\"t\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[-1,1]}}", 1,
            "tensor \"t\": data_offsets[0] is -1, must be a whole number from 0 to "
            "18446744073709551615");
    refused("{\"t\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1.0]}}", 1,
            "tensor \"t\": data_offsets[1] is 1.0, must be a whole number from 0 to "
            "18446744073709551615");
    refused("{\"t\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":{}}}", 1,
            "tensor \"t\": data_offsets is an object, must be an array of two whole numbers");
}

/* ---- names ---- */

Test(safetensors_rules, names_hold_no_nul)
{
    refused("{\"a\\u0000b\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1,
            "tensor name \"a\\u0000b\" holds a NUL character");
    refused("{\"\\u0000\":{}}", 0, "tensor name \"\\u0000\" holds a NUL character");
}

/* The reference keeps the last one without a word; the same offsets make both look valid. */
Test(safetensors_rules, names_appear_once)
{
    refused("{\"t\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
            "\"s\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[4,4]},"
            "\"\\u0074\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
            4, "tensor \"t\" appears twice");
}

Test(safetensors_rules, names_are_printed_escaped)
{
    refused("{\"\\u001b[2J\\u202e\":{\"dtype\":\"F33\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1,
            "tensor \"\\u001b[2J\\u202e\": dtype is \"F33\", which is not one of the 22 that "
            "safetensors has");
    scratch_put("a\033[m.safetensors", "", 0);
    scratch_refused(
        "a\033[m.safetensors", MC_E_FORMAT,
        "a\\u001b[m.safetensors: file is 0 bytes long, a safetensors file has at least 8");
}

/* ---- rule 8: positions count from the start of the file ---- */

Test(safetensors_rules, r8_data_begins_behind_the_header)
{
    refused("{\"t\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[2,6]}}", 6,
            "tensor \"t\" begins at position 63, must begin at position 61 where the data begins "
            "(hole of 2 bytes)");
}

#define TWO(a, b)                                                     \
    "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":" a "}," \
    "\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":" b "}}"

Test(safetensors_rules, r8_there_is_no_hole)
{
    refused(
        TWO("[0,4]", "[5,9]"), 9,
        "tensor \"b\" begins at position 118, must begin at position 117 where tensor \"a\" ends "
        "(hole of 1 byte)");
}

Test(safetensors_rules, r8_there_is_no_overlap)
{
    refused(
        TWO("[0,4]", "[3,7]"), 7,
        "tensor \"b\" begins at position 116, must begin at position 117 where tensor \"a\" ends "
        "(overlap of 1 byte)");
    refused(
        TWO("[0,4]", "[0,4]"), 4,
        "tensor \"b\" begins at position 113, must begin at position 117 where tensor \"a\" ends "
        "(overlap of 4 bytes)");
}

Test(safetensors_rules, r8_a_tensor_ends_behind_its_beginning)
{
    refused(TWO("[0,4]", "[4,2]"), 4,
            "tensor \"b\" ends at position 115, before it begins at position 117");
}

Test(safetensors_rules, r8_no_offset_wraps_around)
{
    refused(
        TWO("[0,4]", "[18446744073709551615,18446744073709551615]"), 4,
        "tensor \"b\" begins at data offset 18446744073709551615, must begin at position 155 where "
        "tensor \"a\" ends (hole of 18446744073709551611 bytes)");
    refused(TWO("[0,18446744073709551615]", "[4,8]"), 8,
            "tensor \"a\": shape [4] of U8 needs 4 bytes, data_offsets give 18446744073709551615");
}

/* ---- rule 9 ---- */

Test(safetensors_rules, r9_the_size_fits_64_bits) /* test_validation_overflow */
{
    refused(
        "{\"t\":{\"dtype\":\"F32\",\"shape\":[2,18446744073709551614],\"data_offsets\":[0,16]}}",
        16, "tensor \"t\": shape [2, 18446744073709551614] of F32 overflows, must fit 2^64-1 bits");
    refused("{\"t\":{\"dtype\":\"F32\",\"shape\":[2,9223372036854775807],\"data_offsets\":[0,16]}}",
            16,
            "tensor \"t\": shape [2, 9223372036854775807] of F32 overflows, must fit 2^64-1 bits");
    refused(
        "{\"t\":{\"dtype\":\"F32\",\"shape\":[9223372036854775808,4,0],\"data_offsets\":[0,0]}}", 0,
        "tensor \"t\": shape [9223372036854775808, 4, 0] of F32 overflows, must fit 2^64-1 bits");
}

/* ---- rule 10 ---- */

Test(safetensors_rules, r10_a_tensor_has_whole_bytes) /* test_serialization_fp4_misaligned */
{
    refused("{\"t\":{\"dtype\":\"F4\",\"shape\":[1,3],\"data_offsets\":[0,2]}}", 2,
            "tensor \"t\": shape [1, 3] of F4 is 12 bits, must be whole bytes");
    refused("{\"t\":{\"dtype\":\"F6_E2M3\",\"shape\":[2],\"data_offsets\":[0,2]}}", 2,
            "tensor \"t\": shape [2] of F6_E2M3 is 12 bits, must be whole bytes");
    refused("{\"t\":{\"dtype\":\"F6_E3M2\",\"shape\":[],\"data_offsets\":[0,1]}}", 1,
            "tensor \"t\": shape [] of F6_E3M2 is 6 bits, must be whole bytes");
}

/* ---- rule 11 ---- */

Test(safetensors_rules, r11_offsets_give_what_the_shape_needs)
{
    refused("{\"a.weight\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,20]}}", 20,
            "tensor \"a.weight\": shape [2, 3] of F32 needs 24 bytes, data_offsets give 20");
    refused("{\"t\":{\"dtype\":\"F4\",\"shape\":[2,2],\"data_offsets\":[0,4]}}", 4,
            "tensor \"t\": shape [2, 2] of F4 needs 2 bytes, data_offsets give 4");
    refused("{\"t\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,0]}}", 0,
            "tensor \"t\": shape [] of U8 needs 1 byte, data_offsets give 0");
}

/* ---- rule 12 ---- */

static const char i32[] = "{\"t\":{\"dtype\":\"I32\",\"shape\":[2,2],\"data_offsets\":[0,16]}}";

Test(safetensors_rules, r12_nothing_follows_the_last_tensor) /* test_metadata_incomplete_buffer */
{
    refused(i32, 16 + 36,
            "data ends at position 81, but 36 more bytes are behind it (the file has 117)");
    refused("{}", 1, "data ends at position 10, but 1 more byte is behind it (the file has 11)");
}

Test(safetensors_rules, r12_nothing_is_cut_off)
{
    refused(i32, 14, "the last tensor \"t\" ends at position 81, but the file has only 79 bytes");
    refused(
        "{\"t\":{\"dtype\":\"U8\",\"shape\":[18446744073709551],\"data_offsets\":[0,"
        "18446744073709551]}}",
        4,
        "the last tensor \"t\" ends at position 18446744073709644, but the file has only 97 bytes");
}

/* ---- what we cannot hold ---- */

Test(safetensors_rules, nine_dimensions_are_too_many_for_us)
{
    refused_as("{\"t\":{\"dtype\":\"U8\",\"shape\":[1,1,1,1,1,1,1,1,2],\"data_offsets\":[0,2]}}", 2,
               MC_E_UNSUPPORTED, "tensor \"t\" has 9 dimensions, at most 8 are supported");
    /* A file that is wrong besides is wrong first. */
    refused("{\"t\":{\"dtype\":\"U8\",\"shape\":[1,1,1,1,1,1,1,1,2],\"data_offsets\":[0,3]}}", 3,
            "tensor \"t\": shape [1, 1, 1, 1, 1, 1, 1, 1, ...] of U8 needs 2 bytes, data_offsets "
            "give 3");
}

/* test_json_attack: many tensors over the same bytes. */
Test(safetensors_rules, overlapping_tensors_are_no_memory_bomb)
{
    char header[8192] = "{";
    for (int i = 0; i < 10; i++) {
        char entry[128];
        snprintf(entry, sizeof entry,
                 "%s\"weight_%d\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]}",
                 i ? "," : "", i);
        strcat(header, entry);
    }
    refused(strcat(header, "}"), 16,
            "tensor \"weight_1\" begins at position 639, must begin at position 655 where tensor "
            "\"weight_0\" ends (overlap of 16 bytes)");
}
