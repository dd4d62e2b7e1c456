/* External data: where files may lie, and what is refused. */
#include "tests/support/onnx_builder.h"
#include "tests/support/scratch_model.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

TestSuite(onnx_external, .init = scratch_enter, .fini = scratch_leave);

static const float data[] = {1, 2, 3, 4, 5, 6};

/* An initializer "e" of 4 floats with such entries; keys and values, ended by NULL. */
static proto model_with(const char *const *entry)
{
    proto g = onnx_small_graph(), t = onnx_tensor("e", 1, (int64_t[]){4, -1});
    for (; *entry; entry += 2) proto_move(&t, 13, onnx_string(entry[0], entry[1]));
    proto_int(&t, 14, 1);
    proto_move(&g, 5, t);
    return onnx_model(g);
}

static void put(const char *location, const char *offset, const char *length)
{
    const char *entry[] = {"location", location, "offset", offset, "length", length, NULL};
    onnx_put("m.onnx", model_with(entry));
}

static void refused_entry(const char *why)
{
    char message[512];
    snprintf(message, sizeof message, "m.onnx: initializer \"e\": %s", why);
    scratch_refused("m.onnx", MC_E_FORMAT, message);
}

static void has_data(const mc_model *m, size_t first)
{
    const mc_tensor *e = mc_model_find(m, "e");
    cr_assert(e && memcmp(e->data, data + first, 16) == 0);
    const mc_map *map = &m->source[e->source].map;
    cr_assert(e->data >= map->data && e->data + e->bytes <= map->data + map->size);
}

Test(onnx_external, is_a_view_into_a_file_beside_the_model)
{
    scratch_put("sub/w.bin", data, sizeof data);
    put("sub/w.bin", "4", "16");
    mc_model m = scratch_open("m.onnx");
    cr_assert_eq(m.sources, 2);
    cr_assert_str_eq(m.source[1].path, "sub/w.bin");
    cr_assert_str_eq(m.source[1].role, "weights");
    has_data(&m, 1);
    mc_model_close(&m);
}

Test(onnx_external, maps_each_file_once_and_sorts_them_by_name)
{
    static const char *const file[] = {"z.bin", "a.bin", "z.bin"};
    proto g = onnx_small_graph();
    for (int i = 0; i < 3; i++) {
        char name[] = "e0";
        name[1] = (char)('0' + i);
        proto t = onnx_tensor(name, 1, (int64_t[]){4, -1});
        proto_move(&t, 13, onnx_string("location", file[i]));
        proto_move(&t, 13, onnx_string("length", "16"));
        proto_int(&t, 14, 1);
        proto_move(&g, 5, t);
    }
    scratch_put("z.bin", data, sizeof data);
    scratch_put("a.bin", data + 1, 16);
    onnx_put("m.onnx", onnx_model(g));
    mc_model m = scratch_open("m.onnx");
    cr_assert_eq(m.sources, 3);
    cr_assert_str_eq(m.source[1].path, "a.bin");
    cr_assert_str_eq(m.source[2].path, "z.bin");
    cr_assert_eq(mc_model_find(&m, "e0")->source, 2);
    cr_assert_eq(mc_model_find(&m, "e1")->source, 1);
    cr_assert_eq(memcmp(mc_model_find(&m, "e1")->data, data + 1, 16), 0);
    mc_model_close(&m);
}

Test(onnx_external, refuses_paths_that_leave_the_folder)
{
    put("../w.bin", "0", "16");
    refused_entry("external_data has location \"../w.bin\", must be without \"..\"");
    put("a/../../w.bin", "0", "16");
    refused_entry("external_data has location \"a/../../w.bin\", must be without \"..\"");
    put("/etc/passwd", "0", "16");
    refused_entry("external_data has location \"/etc/passwd\", must be a path below the model's "
                  "folder");
    put("", "0", "16");
    refused_entry("external_data has location \"\", must be a path below the model's folder");
    put("a//b", "0", "16");
    refused_entry("external_data has location \"a//b\", must be the path of a file");
    put("a/", "0", "16");
    refused_entry("external_data has location \"a/\", must be the path of a file");
}

Test(onnx_external, refuses_links_unless_told_to_follow)
{
    scratch_put("elsewhere/w.bin", data, sizeof data);
    cr_assert_eq(symlink("elsewhere/w.bin", "s.bin"), 0);
    cr_assert_eq(symlink("elsewhere", "folder"), 0);
    static const char *const place[] = {"s.bin", "folder/w.bin"};
    static const char *const link_name[] = {"s.bin", "folder"};
    for (int i = 0; i < 2; i++) {
        char why[256];
        put(place[i], "0", "16");
        snprintf(why, sizeof why,
                 "%s: \"%s\" is a symbolic link, which external data must not be unless links are "
                 "followed",
                 place[i], link_name[i]);
        refused_entry(why);
        mc_model m;
        mc_err err = {0};
        const mc_read_options follow = {.external = MC_EXTERNAL_FOLLOW};
        cr_assert_eq(mc_model_open("m.onnx", &follow, &m, &err), MC_OK, "%s", err.text);
        has_data(&m, 0);
        mc_model_close(&m);
    }
}

Test(onnx_external, refuses_a_second_hard_link_unless_told_to_follow)
{
    scratch_put("w.bin", data, sizeof data);
    cr_assert_eq(link("w.bin", "other.bin"), 0);
    put("w.bin", "0", "16");
    refused_entry("w.bin: has 2 hard links, external data must have 1 unless links are followed");
    const mc_read_options follow = {.external = MC_EXTERNAL_FOLLOW};
    mc_model m;
    mc_err err = {0};
    cr_assert_eq(mc_model_open("m.onnx", &follow, &m, &err), MC_OK, "%s", err.text);
    mc_model_close(&m);
}

Test(onnx_external, looks_beside_the_name_of_a_model_that_is_a_link)
{
    scratch_put("w.bin", data, sizeof data);
    put("w.bin", "0", "16");
    scratch_put("blobs/keep", "", 0);
    cr_assert_eq(rename("m.onnx", "blobs/abc"), 0);
    cr_assert_eq(symlink("blobs/abc", "m.onnx"), 0);
    mc_model m = scratch_open("m.onnx");
    has_data(&m, 0);
    mc_model_close(&m);
}

Test(onnx_external, refuses_numbers_that_are_none_or_leave_the_file)
{
    scratch_put("w.bin", data, sizeof data);
    put("w.bin", "-1", "16");
    refused_entry("external_data has offset \"-1\", must be a whole number from 0 to 2^64-1");
    put("w.bin", "0", "1e2");
    refused_entry("external_data has length \"1e2\", must be a whole number from 0 to 2^64-1");
    put("w.bin", "0", "18446744073709551616");
    refused_entry(
        "external_data has length \"18446744073709551616\", must be a whole number from 0 "
        "to 2^64-1");
    put("w.bin", "", "16");
    refused_entry("external_data has offset \"\", must be a whole number from 0 to 2^64-1");
    put("w.bin", "12", "16");
    refused_entry("external_data has offset 12 and length 16, but w.bin has 24 bytes");
    put("w.bin", "18446744073709551615", "16");
    refused_entry("external_data has offset 18446744073709551615 and length 16, but w.bin has 24 "
                  "bytes");
    put("w.bin", "0", "12");
    refused_entry("shape [4] of F32 needs 16 bytes of raw_data, 12 are there");
}

Test(onnx_external, refuses_keys_that_are_unknown_twice_or_missing)
{
    scratch_put("w.bin", data, sizeof data);
    onnx_put("m.onnx", model_with((const char *[]){"location", "w.bin", "mode", "w", NULL}));
    refused_entry("external_data has key \"mode\", allowed are location, offset, length, checksum "
                  "and basepath");
    onnx_put("m.onnx", model_with((const char *[]){"location", "w.bin", "location", "v", NULL}));
    refused_entry("external_data has key \"location\" twice");
    onnx_put("m.onnx", model_with((const char *[]){"offset", "0", NULL}));
    refused_entry("external_data has no key \"location\"");
    onnx_put("m.onnx", model_with((const char *[]){NULL}));
    refused_entry("data_location is external, but no external_data is there");
}

Test(onnx_external, is_not_opened_when_told_so)
{
    scratch_put("w.bin", data, sizeof data);
    put("w.bin", "0", "16");
    const mc_read_options none = {.external = MC_EXTERNAL_NONE};
    scratch_refused_with("m.onnx", &none, MC_E_UNSUPPORTED,
                         "m.onnx: initializer \"e\": its data is in file \"w.bin\", and files "
                         "beside the model are not opened");
}

Test(onnx_external, says_which_file_is_missing)
{
    put("w.bin", "0", "16");
    scratch_refused("m.onnx", MC_E_IO,
                    "m.onnx: initializer \"e\": w.bin: cannot open: No such file or directory");
}

Test(onnx_external, warns_that_a_checksum_is_not_checked)
{
    scratch_put("w.bin", data, 16);
    onnx_put("m.onnx", model_with((const char *[]){"location", "w.bin", "checksum", "00", NULL}));
    mc_model m = scratch_open("m.onnx");
    cr_assert_str_eq(scratch_warnings(),
                     "w.bin: the checksum that the model gives is not checked\n");
    has_data(&m, 0);
    mc_model_close(&m);
}

/* A file with a hole of 5 GiB in front of the data. */
Test(onnx_external, may_lie_beyond_4_gib)
{
    const off_t offset = (off_t)5 << 30;
    const int fd = open("w.bin", O_RDWR | O_CREAT, 0600);
    cr_assert(fd >= 0);
    if (ftruncate(fd, offset) != 0) cr_skip_test("no room for a file of 5 GiB");
    cr_assert_eq(pwrite(fd, data, 16, offset), 16);
    close(fd);
    put("w.bin", "5368709120", "16");
    mc_model m = scratch_open("m.onnx");
    has_data(&m, 0);
    mc_model_close(&m);
}
