/* Models in several files, by their index. */
#include "tests/support/scratch_model.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

TestSuite(shards, .init = scratch_enter, .fini = scratch_leave);

#define U8(name, begin, end) \
    "\"" name "\":{\"dtype\":\"U8\",\"shape\":[" #end "],\"data_offsets\":[" #begin "," #end "]}"
#define INDEX "model.safetensors.index.json"

static const char good_index[] = "{\"metadata\":{\"total_size\":99},\"more\":[1,{}],"
                                 "\"weight_map\":{\"b\":\"m-2.safetensors\",\"a\":\"m-1."
                                 "safetensors\",\"c\":\"m-2.safetensors\"}}";

static void put_shards(void)
{
    scratch_put_model("d/m-1.safetensors",
                      "{\"__metadata__\":{\"format\":\"pt\",\"x\":\"1\"}," U8("a", 0, 3) "}", 3);
    scratch_put_model(
        "d/m-2.safetensors",
        "{\"__metadata__\":{\"format\":\"pt\",\"y\":\"2\"}," U8(
            "c", 0, 2) ","
                       "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[2,6]}}",
        6);
}

static void put_index(const char *text)
{
    scratch_put_text("d/" INDEX, text);
}

/* The index is refused with this sentence; d/ and its name are put in front. */
static void refused(const char *index, const char *why)
{
    char message[1024];
    snprintf(message, sizeof message, "d/" INDEX ": %s", why);
    put_index(index);
    scratch_refused("d", MC_E_FORMAT, message);
}

static void check_model(const char *path)
{
    mc_model m = scratch_open(path);
    cr_expect_str_eq(m.format, "hf-folder");
    cr_assert_eq(m.tensors, 3);
    cr_expect_str_eq(m.tensor[0].name, "a");
    cr_expect_eq(m.tensor[0].source, 0);
    cr_expect_eq(m.tensor[0].bytes, 3);
    cr_expect_str_eq(m.tensor[1].name, "b");
    cr_expect_eq(m.tensor[1].source, 1);
    cr_expect_eq(m.tensor[1].data[0], 2);
    cr_expect_str_eq(m.tensor[2].name, "c");
    cr_expect_eq(m.tensor[2].source, 1);

    cr_assert_eq(m.sources, 3);
    cr_expect_str_eq(m.source[0].path, "d/m-1.safetensors");
    cr_expect_str_eq(m.source[0].role, "weights");
    cr_expect_str_eq(m.source[1].path, "d/m-2.safetensors");
    cr_expect_str_eq(m.source[2].path, "d/" INDEX);
    cr_expect_str_eq(m.source[2].role, "index");

    cr_assert_eq(m.metadatas, 3);
    cr_expect_str_eq(m.metadata[0].key, "format");
    cr_expect_str_eq(m.metadata[1].key, "x");
    cr_expect_str_eq(m.metadata[2].key, "y");
    mc_model_close(&m);
}

Test(shards, are_joined_in_the_order_of_names)
{
    put_shards();
    put_index(good_index);
    check_model("d");
    check_model("d/");
    check_model("d/" INDEX);
    cr_expect_str_eq(scratch_warnings(), "");
}

Test(shards, that_disagree_on_metadata_are_told_of)
{
    put_shards();
    scratch_put_model("d/m-1.safetensors", "{\"__metadata__\":{\"y\":\"1\"}," U8("a", 0, 3) "}", 3);
    put_index(good_index);
    mc_model m = scratch_open("d");
    cr_assert_eq(m.metadatas, 2);
    cr_expect_str_eq(m.metadata[1].value, "1");
    cr_expect_str_eq(scratch_warnings(),
                     "d: files disagree on __metadata__ \"y\", \"1\" is used\n");
    mc_model_close(&m);
}

Test(shards, that_are_missing_are_named)
{
    put_shards();
    put_index(good_index);
    cr_assert_eq(unlink("d/m-2.safetensors"), 0);
    scratch_refused("d", MC_E_IO, "d/m-2.safetensors: no such file, but d/" INDEX " names it");
}

Test(shards, with_tensors_beyond_the_index_keep_them)
{
    put_shards();
    put_index("{\"weight_map\":{\"a\":\"m-1.safetensors\",\"c\":\"m-2.safetensors\"}}");
    mc_model m = scratch_open("d");
    cr_expect_eq(m.tensors, 2);
    cr_expect_null(mc_model_find(&m, "b"));
    cr_expect_str_eq(scratch_warnings(),
                     "d/m-2.safetensors: tensor \"b\" is not in weight_map of " INDEX
                     " and is left out\n");
    mc_model_close(&m);
}

Test(shards, that_are_broken_are_named)
{
    put_shards();
    put_index(good_index);
    scratch_put("d/m-2.safetensors", "", 0);
    scratch_refused("d", MC_E_FORMAT,
                    "d/m-2.safetensors: file is 0 bytes long, a safetensors file has at least 8");
}

Test(shards, hold_what_the_index_says)
{
    put_shards();
    refused("{\"weight_map\":{\"a\":\"m-1.safetensors\",\"x\":\"m-1.safetensors\"}}",
            "tensor \"x\" is mapped to m-1.safetensors, which does not hold it");
}

Test(shards, hold_each_tensor_once)
{
    put_shards();
    refused("{\"weight_map\":{\"a\":\"m-2.safetensors\",\"b\":\"m-1.safetensors\",\"a\":\"m-1."
            "safetensors\"}}",
            "tensor \"a\" is mapped to two shards, m-1.safetensors and m-2.safetensors");
    refused("{\"weight_map\":{\"a\":\"m-1.safetensors\",\"\\u0061\":\"m-1.safetensors\"}}",
            "tensor \"a\" appears twice");

    scratch_put_model("d/m-2.safetensors", "{" U8("a", 0, 2) "}", 2);
    scratch_put_model("d/m-3.safetensors", "{" U8("b", 0, 2) "}", 2);
    put_index("{\"weight_map\":{\"a\":\"m-1.safetensors\",\"b\":\"m-2.safetensors\"}}");
    scratch_refused("d", MC_E_FORMAT,
                    "d/m-2.safetensors: tensor \"a\" is in two shards, " INDEX
                    " maps it to m-1.safetensors");
}

/* Two names for one file: the tensors are then in both. */
Test(shards, are_not_one_file_under_two_names)
{
    put_shards();
    cr_assert_eq(symlink("m-1.safetensors", "d/m-9.safetensors"), 0);
    put_index("{\"weight_map\":{\"a\":\"m-1.safetensors\",\"b\":\"m-9.safetensors\"}}");
    scratch_refused("d", MC_E_FORMAT,
                    "d/m-9.safetensors: tensor \"a\" is in two shards, " INDEX
                    " maps it to m-1.safetensors");
}

Test(shards, do_not_leave_their_folder)
{
    put_shards();
    scratch_put_model("x.safetensors", "{" U8("a", 0, 2) "}", 2);
    static const char *const name[] = {"../x.safetensors",
                                       "/etc/passwd",
                                       "sub/x.safetensors",
                                       "..",
                                       ".",
                                       "",
                                       "a\\\\b",
                                       "a b",
                                       "x..safetensors",
                                       "\\u0000",
                                       "m-1.safetensors\\u0000",
                                       "\\u00e9",
                                       "C:x"};
    for (size_t i = 0; i < sizeof name / sizeof name[0]; i++) {
        char index[256], why[512];
        snprintf(index, sizeof index, "{\"weight_map\":{\"a\":\"%s\"}}", name[i]);
        snprintf(why, sizeof why,
                 "tensor \"a\": shard is \"%s\", must be a file in the same folder, its name at "
                 "most 255 of "
                 "A-Z a-z 0-9 . _ - without \"..\"",
                 name[i]);
        refused(index, why);
    }
}

Test(shards, have_an_index_of_a_fixed_form)
{
    put_shards();
    refused("", "index is not valid JSON: expected a value, found the end at position 0");
    refused("[]", "index is an array, must be an object");
    refused("{}", "weight_map is missing");
    refused("{\"weight_map\":{}}", "weight_map is empty");
    refused("{\"weight_map\":[]}", "weight_map is an array, must be an object");
    refused("{\"weight_map\":{\"a\":\"b\"},\"weight_map\":{}}", "weight_map appears twice");
    refused("{\"weight_map\":{\"a\":{\"file\":\"b\"}}}",
            "tensor \"a\": shard is an object, must be the name of a file");
    refused("{\"weight_map\":{\"a\\u0000\":\"b\"}}",
            "tensor name \"a\\u0000\" holds a NUL character");
    refused("{\"weight_map\":{\"a\":\"b\"}} x", "index is not valid JSON: expected only whitespace "
                                                "behind the object, found 'x' at position 25");
    refused("{\"\xff\":1}", "index is not valid UTF-8: byte 0xff at position 2");
}

Test(shards, have_an_index_of_bounded_depth_size_and_number)
{
    put_shards();
    char *text = malloc(400000);
    cr_assert_not_null(text);
    memset(text, '[', 200000);
    text[200000] = '\0';
    memcpy(text, "{\"metadata\":", 12);
    refused(text, "index nests deeper than 128 levels at position 139");

    size_t n = (size_t)sprintf(text, "{\"weight_map\":{");
    for (int i = 0; i <= 4096; i++)
        n += (size_t)sprintf(text + n, "%s\"%d\":\"s%d\"", i ? "," : "", i, i);
    memcpy(text + n, "}}", 3);
    put_index(text);
    scratch_refused("d", MC_E_UNSUPPORTED, "d/" INDEX ": weight_map names more than 4096 files");
    free(text);

    cr_assert_eq(truncate("d/" INDEX, 100000001), 0);
    scratch_refused("d", MC_E_FORMAT,
                    "d/" INDEX ": index is 100000001 bytes long, at most 100000000 are allowed");
}
