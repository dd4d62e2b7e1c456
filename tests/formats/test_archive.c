/* Archives, made here by libarchive: read like the folder they hold, and refused when they are up
 * to something. */
#include "core/bytes.h"
#include "formats/archive.h"
#include "tests/support/archive_builder.h"
#include "tests/support/scratch_model.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

TestSuite(archive, .init = scratch_enter, .fini = scratch_leave);

static const char one[] = "{\"t\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}";

/* A safetensors file with one byte of data as an archive_item's bytes. */
static archive_item model_item(const char *name, const char *header, char room[512])
{
    const size_t n = strlen(header);
    mc_store_u64le(room, n);
    memcpy(room + 8, header, n);
    room[8 + n] = 7;
    return (archive_item){.name = name, .bytes = room, .n = 9 + n};
}

static void refused(const char *path, const archive_item *list, size_t n, mc_status status,
                    const char *message)
{
    put_archive(path, list, n);
    scratch_refused(path, status, message);
}

static const char *const kinds[] = {"m.zip",    "m.tar",     "m.tar.gz",
                                    "m.tar.xz", "m.tar.zst", "m.tar.bz2"};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

static void check_sources(const mc_model *m, const char *path, const char *top)
{
    char wanted[256];
    cr_assert_eq(m->sources, 3);
    snprintf(wanted, sizeof wanted, "%s/%smodel.safetensors", path, top);
    cr_expect_str_eq(m->source[0].path, wanted);
    cr_expect_str_eq(m->source[0].role, "weights");
    snprintf(wanted, sizeof wanted, "%s/%sconfig.json", path, top);
    cr_expect_str_eq(m->source[1].path, wanted);
    cr_expect_str_eq(m->source[1].role, "config");
    cr_expect_str_eq(m->source[2].path, path);
    cr_expect_str_eq(m->source[2].role, "archive");
    struct stat about;
    cr_assert_eq(stat(path, &about), 0);
    cr_expect_eq(m->source[2].map.size, (size_t)about.st_size);
}

Test(archive, is_read_like_a_folder)
{
    char room[512];
    const archive_item list[] = {
        {.name = "./README", .bytes = "x", .n = 1},
        {.name = "./config.json", .bytes = "{\"architectures\":[\"A\"]}", .n = 23},
        model_item("./model.safetensors", one, room),
        {.name = "original/x.safetensors", .bytes = "x", .n = 1}};
    for (size_t i = 0; i < KINDS; i++) {
        put_archive(kinds[i], list, 4);
        mc_model m = scratch_open(kinds[i]);
        cr_expect_str_eq(m.format, "archive");
        cr_expect_str_eq(m.architecture, "A");
        cr_assert_eq(m.tensors, 1);
        cr_expect_eq(m.tensor[0].data[0], 7);
        check_sources(&m, kinds[i], "");
        mc_model_close(&m);
    }
}

Test(archive, may_have_one_folder_around_the_model)
{
    char room[512];
    const archive_item list[] = {{.name = "tiny/", .type = AE_IFDIR},
                                 {.name = "tiny/config.json", .bytes = "{}", .n = 2},
                                 model_item("tiny/model.safetensors", one, room),
                                 {.name = "tiny/onnx/x.safetensors", .bytes = "x", .n = 1},
                                 {.name = "__MACOSX/._model.safetensors", .bytes = "x", .n = 1}};
    for (size_t i = 0; i < KINDS; i++) {
        put_archive(kinds[i], list, 5);
        mc_model m = scratch_open(kinds[i]);
        check_sources(&m, kinds[i], "tiny/");
        mc_model_close(&m);
    }
}

Test(archive, may_hold_shards)
{
    char room[2][512];
    static const char index[] =
        "{\"weight_map\":{\"t\":\"a.safetensors\",\"u\":\"b.safetensors\"}}";
    const archive_item list[] = {
        model_item("d/b.safetensors",
                   "{\"u\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", room[0]),
        {.name = "d/model.safetensors.index.json", .bytes = index, .n = sizeof index - 1},
        model_item("d/a.safetensors", one, room[1])};
    put_archive("m.tar.gz", list, 3);
    mc_model m = scratch_open("m.tar.gz");
    cr_expect_eq(m.tensors, 2);
    cr_assert_eq(m.sources, 4);
    cr_expect_str_eq(m.source[0].path, "m.tar.gz/d/a.safetensors");
    cr_expect_str_eq(m.source[1].path, "m.tar.gz/d/b.safetensors");
    cr_expect_str_eq(m.source[2].role, "index");
    cr_expect_str_eq(m.source[3].role, "archive");
    mc_model_close(&m);

    put_archive("m.zip", list, 2);
    scratch_refused(
        "m.zip", MC_E_IO,
        "m.zip/d/a.safetensors: no such file, but m.zip/d/model.safetensors.index.json names it");
}

Test(archive, names_the_file_inside_that_is_wrong)
{
    const archive_item list[] = {{.name = "model.safetensors", .bytes = "\1", .n = 1}};
    refused("m.zip", list, 1, MC_E_FORMAT,
            "m.zip/model.safetensors: file is 1 byte long, a safetensors file has at least 8");
}

Test(archive, leaves_nothing_in_its_scratch_folder)
{
    char room[512];
    const archive_item list[] = {model_item("model.safetensors", one, room)};
    cr_assert_eq(mkdir("spill", 0700), 0);
    put_archive("m.tar", list, 1);
    const mc_read_options options = {.spill_dir = "spill"};
    mc_model m;
    mc_err err = {0};
    cr_assert_eq(mc_model_open("m.tar", &options, &m, &err), MC_OK, "%s", err.text);
    DIR *dir = opendir("spill");
    cr_assert_not_null(dir);
    for (const struct dirent *e; (e = readdir(dir)) != NULL;)
        cr_expect_eq(e->d_name[0], '.', "%s", e->d_name);
    closedir(dir);
    mc_model_close(&m);
    const mc_read_options gone = {.spill_dir = "gone"};
    scratch_refused_with("m.tar", &gone, MC_E_IO,
                         "gone: cannot make a scratch file: No such file or directory");
}

Test(archive, does_not_unpack_beyond_its_limit)
{
    static char zeros[100000];
    const archive_item list[] = {{.name = "model.safetensors", .bytes = zeros, .n = sizeof zeros}};
    const archive_item beside[] = {{.name = "other.bin", .bytes = zeros, .n = sizeof zeros},
                                   list[0]};
    const mc_read_options small = {.spill_limit = 99999}, just = {.spill_limit = 100000};
    for (size_t i = 0; i < KINDS; i++) {
        char message[256];
        put_archive(kinds[i], list, 1);
        snprintf(message, sizeof message,
                 "%s: entry \"model.safetensors\": the archive unpacks to more than 99999 bytes, "
                 "the limit",
                 kinds[i]);
        scratch_refused_with(kinds[i], &small, MC_E_BUDGET, message);
        snprintf(message, sizeof message,
                 "%s/model.safetensors: header is not valid JSON: expected a value, found the end "
                 "at position 8",
                 kinds[i]);
        scratch_refused_with(kinds[i], &just, MC_E_FORMAT, message);
    }
    /* What is passed over must be unpacked too when the whole tar is compressed. */
    put_archive("n.tar.gz", beside, 2);
    scratch_refused_with(
        "n.tar.gz", &just, MC_E_BUDGET,
        "n.tar.gz: entry \"model.safetensors\": the archive unpacks to more than 100000 bytes, "
        "the limit");
    put_archive("n.zip", beside, 2);
    scratch_refused_with(
        "n.zip", &just, MC_E_FORMAT,
        "n.zip/model.safetensors: header is not valid JSON: expected a value, found the end at "
        "position 8");
}

/* A tar header may promise any size; nothing is written for a promise. */
Test(archive, does_not_believe_in_sizes_beyond_the_disk)
{
    static const archive_item list[] = {{.name = "model.safetensors", .bytes = "x", .n = 1}};
    put_archive("m.tar", list, 1);
    FILE *file = fopen("m.tar", "r+b");
    cr_assert_not_null(file);
    unsigned char head[512];
    cr_assert_eq(fread(head, 1, 512, file), 512);
    memcpy(head + 124, "77777777777\0", 12); /* 8 GiB - 1 */
    memset(head + 148, ' ', 8);
    unsigned sum = 0;
    for (size_t i = 0; i < 512; i++) sum += head[i];
    snprintf((char *)head + 148, 8, "%06o", sum);
    rewind(file);
    cr_assert_eq(fwrite(head, 1, 512, file), 512);
    fclose(file);
    const mc_read_options options = {.spill_limit = 1 << 20};
    scratch_refused_with(
        "m.tar", &options, MC_E_BUDGET,
        "m.tar: entry \"model.safetensors\": the archive unpacks to more than 1048576 bytes, "
        "the limit");
}

/* A zip may promise less than there is. */
Test(archive, counts_what_it_writes_not_what_was_promised)
{
    static char zeros[4 << 20];
    const archive_item list[] = {{.name = "model.safetensors", .bytes = zeros, .n = sizeof zeros}};
    put_archive("m.zip", list, 1);
    static unsigned char bytes[16384];
    FILE *file = fopen("m.zip", "rb");
    cr_assert_not_null(file);
    const size_t n = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    cr_assert_lt(n, sizeof bytes);
    for (size_t i = 0; i + 28 < n; i++) {
        if (memcmp(bytes + i, "PK\1\2", 4) == 0) mc_store_u32le(bytes + i + 24, 10);
        if (memcmp(bytes + i, "PK\3\4", 4) == 0) mc_store_u32le(bytes + i + 22, 10);
    }
    scratch_put("m.zip", bytes, n);
    const mc_read_options options = {.spill_limit = 1500000};
    scratch_refused_with(
        "m.zip", &options, MC_E_BUDGET,
        "m.zip: entry \"model.safetensors\": the archive unpacks to more than 1500000 bytes, "
        "the limit");
}

Test(archive, that_is_a_link_is_refused_when_told_to)
{
    char room[512];
    const archive_item list[] = {model_item("model.safetensors", one, room)};
    put_archive("m.tar", list, 1);
    cr_assert_eq(symlink("m.tar", "l.tar"), 0);
    mc_model m = scratch_open("l.tar");
    mc_model_close(&m);
    const mc_read_options hardened = {.no_follow = true};
    scratch_refused_with("l.tar", &hardened, MC_E_USAGE, "l.tar: is a symbolic link");
}

Test(archive, refuses_names_that_leave_it)
{
    static const char *const name[] = {"../model.safetensors", "a/../../x", "/etc/passwd", "..",
                                       "a\\b"};
    for (size_t i = 0; i < sizeof name / sizeof name[0]; i++) {
        char room[512], message[256], shown[64];
        const archive_item list[] = {model_item("model.safetensors", one, room),
                                     {.name = name[i], .bytes = "x", .n = 1}};
        snprintf(shown, sizeof shown, "%s", i == 4 ? "a\\\\b" : name[i]);
        snprintf(message, sizeof message, "m.tar: entry \"%s\" leaves the archive", shown);
        refused("m.tar", list, 2, MC_E_FORMAT, message);
    }
}

Test(archive, refuses_a_model_that_is_a_link_or_no_file)
{
    char room[512];
    const archive_item base = model_item("x", one, room);
    const archive_item soft[] = {
        base, {.name = "model.safetensors", .type = AE_IFLNK, .link = "../../etc/passwd"}};
    const archive_item hard[] = {base, {.name = "model.safetensors", .link = "x"}};
    const archive_item pipe[] = {base, {.name = "config.json", .type = AE_IFIFO}};
    refused("m.tar", soft, 2, MC_E_FORMAT,
            "m.tar: entry \"model.safetensors\" is a link, must be the file itself");
    refused("m.tar", hard, 2, MC_E_FORMAT,
            "m.tar: entry \"model.safetensors\" is a link, must be the file itself");
    refused("m.tar", pipe, 2, MC_E_FORMAT, "m.tar: entry \"config.json\" is not a regular file");
    refused("m.zip", soft, 2, MC_E_FORMAT,
            "m.zip: entry \"model.safetensors\" is a link, must be the file itself");
}

Test(archive, passes_over_links_that_are_no_part_of_the_model)
{
    char room[512];
    const archive_item list[] = {{.name = "latest", .type = AE_IFLNK, .link = "/etc"},
                                 {.name = "dev", .type = AE_IFIFO},
                                 model_item("model.safetensors", one, room)};
    put_archive("m.tar", list, 3);
    mc_model m = scratch_open("m.tar");
    cr_expect_eq(m.tensors, 1);
    mc_model_close(&m);
}

Test(archive, refuses_an_entry_that_is_there_twice)
{
    char room[512];
    const archive_item a = model_item("model.safetensors", one, room);
    const archive_item list[] = {a, {.name = ".//model.safetensors", .bytes = "x", .n = 1}};
    refused("m.tar", list, 2, MC_E_FORMAT, "m.tar: entry \"model.safetensors\" appears twice");
    refused("m.zip", list, 2, MC_E_FORMAT, "m.zip: entry \"model.safetensors\" appears twice");
}

Test(archive, refuses_names_that_a_terminal_would_obey)
{
    const archive_item list[] = {{.name = "\033[2J.safetensors", .bytes = "x", .n = 1}};
    refused("m.tar", list, 1, MC_E_FORMAT,
            "m.tar: entry \"\\u001b[2J.safetensors\" has a name that cannot be shown");
}

Test(archive, must_hold_one_model)
{
    const archive_item nothing[] = {{.name = "a.npy", .bytes = "x", .n = 1},
                                    {.name = "b/c/m.safetensors", .bytes = "x", .n = 1}};
    refused("m.zip", nothing, 2, MC_E_FORMAT,
            "m.zip: holds no .safetensors file at its top or in a folder there (2 entries)");
    const archive_item two[] = {{.name = "a/m.safetensors", .bytes = "x", .n = 1},
                                {.name = "b/m.safetensors", .bytes = "x", .n = 1}};
    refused("m.tar", two, 2, MC_E_FORMAT,
            "m.tar: holds models in two folders, \"a/m.safetensors\" and \"b/m.safetensors\"");
    const archive_item torch[] = {{.name = "archive/data.pkl", .bytes = "x", .n = 1},
                                  {.name = "archive/data/0", .bytes = "x", .n = 1}};
    refused("m.zip", torch, 2, MC_E_UNSUPPORTED,
            "m.zip: is a pickle of PyTorch, which can run any code when it is read: save it as "
            "safetensors");
}

Test(archive, that_is_damaged_is_refused)
{
    char room[512];
    const archive_item list[] = {model_item("model.safetensors", one, room)};
    static const char *const packed[] = {"m.zip", "m.tar.gz", "m.tar.xz", "m.tar.zst", "m.tar.bz2"};
    for (size_t i = 0; i < sizeof packed / sizeof packed[0]; i++) {
        struct stat about;
        put_archive(packed[i], list, 1);
        cr_assert_eq(stat(packed[i], &about), 0);
        char *bytes = malloc((size_t)about.st_size);
        FILE *file = fopen(packed[i], "rb");
        cr_assert(bytes && file);
        cr_assert_eq(fread(bytes, 1, (size_t)about.st_size, file), (size_t)about.st_size);
        fclose(file);
        scratch_put(packed[i], bytes, (size_t)about.st_size / 2);
        free(bytes);

        mc_model m = {0};
        mc_err err = {0};
        char wanted[64];
        cr_expect_eq(mc_model_open(packed[i], NULL, &m, &err), MC_E_FORMAT, "%s: %s", packed[i],
                     err.text);
        snprintf(wanted, sizeof wanted, "%s: cannot be unpacked: ", packed[i]);
        cr_expect_eq(strncmp(err.text, wanted, strlen(wanted)), 0, "%s", err.text);
    }
}

/* ---- for other readers ---- */

static bool ends_in_x(const char *name)
{
    return strlen(name) > 2 && strcmp(name + strlen(name) - 2, ".x") == 0;
}

static bool nothing(const char *name)
{
    (void)name;
    return false;
}

static const mc_read_options plain = {0};

Test(archive, unpacks_what_another_reader_wants)
{
    const archive_item list[] = {{.name = "./z.x", .bytes = "last", .n = 4},
                                 {.name = "model.safetensors", .bytes = "no", .n = 2},
                                 {.name = "a/b/c//d.x", .bytes = "deep", .n = 4},
                                 {.name = "a/.x", .bytes = "hid", .n = 3},
                                 {.name = "folder.x/", .type = AE_IFDIR},
                                 {.name = "e.x", .bytes = "", .n = 0}};
    static const char *const names[] = {"z.x", "a/b/c/d.x", "a/.x", "e.x"};
    static const char *const bytes[] = {"last", "deep", "hid", ""};
    for (size_t i = 0; i < KINDS; i++) {
        mc_archive_files files;
        mc_err err = {0};
        put_archive(kinds[i], list, sizeof list / sizeof *list);
        cr_assert_eq(mc_archive_read(kinds[i], ends_in_x, &plain, &files, &err), MC_OK, "%s",
                     err.text);
        cr_assert_eq(files.files, 4, "%s: %zu", kinds[i], files.files);
        for (size_t k = 0; k < 4; k++) { /* in the archive's order */
            const mc_archive_file *f = &files.file[k];
            cr_expect_str_eq(f->name, names[k]);
            cr_assert_eq(f->map.size, strlen(bytes[k]));
            if (f->map.size) cr_expect_arr_eq(f->map.data, bytes[k], f->map.size);
        }
        mc_archive_close(&files);
        cr_expect(files.files == 0 && files.file == NULL);

        cr_assert_eq(mc_archive_read(kinds[i], nothing, &plain, &files, &err), MC_OK);
        cr_expect_eq(files.files, 0);
        mc_archive_close(&files);
    }
}

static void files_refused(const char *path, const mc_read_options *options, mc_status status,
                          const char *message)
{
    mc_archive_files files;
    mc_err err = {0};
    cr_expect_eq(mc_archive_read(path, ends_in_x, options, &files, &err), status);
    cr_expect_str_eq(err.text, message);
    cr_expect(files.files == 0 && files.file == NULL);
}

/* The rules hold for what is wanted, whatever that is. */
Test(archive, guards_what_another_reader_wants)
{
    const archive_item list[] = {{.name = "a.x", .bytes = "0123456789", .n = 10},
                                 {.name = "model.safetensors", .type = AE_IFLNK, .link = "/etc"},
                                 {.name = "b.x", .bytes = "0123456789", .n = 10}};
    const archive_item link[] = {list[0], {.name = "b.x", .type = AE_IFLNK, .link = "a.x"}},
                       twice[] = {list[0], list[0]};
    const mc_read_options just = {.spill_limit = 20}, less = {.spill_limit = 19},
                          hardened = {.no_follow = true};
    mc_archive_files files;
    mc_err err = {0};
    put_archive("m.zip", list, 3);
    cr_assert_eq(mc_archive_read("m.zip", ends_in_x, &just, &files, &err), MC_OK, "%s", err.text);
    cr_expect_eq(files.files, 2);
    mc_archive_close(&files);
    files_refused("m.zip", &less, MC_E_BUDGET,
                  "m.zip: entry \"b.x\": the archive unpacks to more than 19 bytes, the limit");
    cr_assert_eq(symlink("m.zip", "l.zip"), 0);
    files_refused("l.zip", &hardened, MC_E_USAGE, "l.zip: is a symbolic link");
    files_refused("gone.zip", &plain, MC_E_IO, "gone.zip: cannot open: No such file or directory");
    put_archive("m.tar", link, 2);
    files_refused("m.tar", &plain, MC_E_FORMAT,
                  "m.tar: entry \"b.x\" is a link, must be the file itself");
    put_archive("m.tar", twice, 2);
    files_refused("m.tar", &plain, MC_E_FORMAT, "m.tar: entry \"a.x\" appears twice");
}

Test(archive, is_known_by_its_first_bytes)
{
    static const unsigned char tar[262] = {[257] = 'u', 's', 't', 'a', 'r'};
    cr_expect(mc_is_archive(tar, sizeof tar));
    cr_expect_not(mc_is_archive(tar, sizeof tar - 1));
    cr_expect(mc_is_archive((const unsigned char *)"PK\3\4", 4));
    cr_expect(mc_is_archive((const unsigned char *)"BZh9", 4));
    cr_expect_not(mc_is_archive((const unsigned char *)"PK\3", 3));
    cr_expect_not(mc_is_archive((const unsigned char *)"PKxx", 4));
    cr_expect_not(mc_is_archive(NULL, 0));
}
