/* Input maps: what is mapped is what lies on disk; what is no regular file is refused by name, and
 * without waiting for it. */
#include "core/file.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Every test works in a folder of its own, which is also the current one: messages then hold the
 * short names that the tests use. */
static char folder[256];

static void enter_folder(void)
{
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/mc-file-XXXXXX", base ? base : "/tmp");
    cr_assert_not_null(mkdtemp(folder));
    cr_assert_eq(chdir(folder), 0);
}

static void leave_folder(void)
{
    static const char *const names[] = {"a", "b", "empty", "link", "loop", "pipe", "big"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) unlink(names[i]);
    rmdir("dir");
    cr_expect_eq(chdir("/"), 0);
    cr_expect_eq(rmdir(folder), 0, "%s is not empty", folder);
}

TestSuite(map, .init = enter_folder, .fini = leave_folder);

static void put(const char *path, const void *bytes, size_t n)
{
    FILE *file = fopen(path, "wb");
    cr_assert_not_null(file);
    cr_assert_eq(fwrite(bytes, 1, n, file), n);
    cr_assert_eq(fclose(file), 0);
}

static mc_map open_map(const char *path)
{
    mc_map map;
    mc_err err = {0};
    cr_assert_eq(mc_map_open(path, 0, &map, &err), MC_OK, "%s", err.text);
    return map;
}

static void expect_refused(const char *path, unsigned flags, mc_status status, const char *text)
{
    mc_map map = {.size = 1};
    mc_err err = {0};
    cr_expect_eq(mc_map_open(path, flags, &map, &err), status, "%s", path);
    cr_expect_str_eq(err.text, text);
    cr_expect(map.data == NULL && map.size == 0);
    mc_map_close(&map);
}

Test(map, holds_the_bytes_of_the_file)
{
    put("a", "weights", 7);
    mc_map map = open_map("a");
    cr_expect_eq(map.size, 7);
    cr_expect_arr_eq(map.data, "weights", 7);
    mc_map_close(&map);
    cr_expect_null(map.data);
    mc_map_close(&map);
}

Test(map, an_empty_file_is_no_bytes)
{
    put("empty", "", 0);
    mc_map map = open_map("empty");
    cr_expect_null(map.data);
    cr_expect_eq(map.size, 0);
    mc_map_close(&map);
}

Test(map, tells_which_file_it_is)
{
    put("a", "x", 1);
    put("b", "x", 1);
    cr_assert_eq(symlink("a", "link"), 0);
    mc_map a = open_map("a"), b = open_map("b"), link = open_map("link");
    cr_expect(a.dev == link.dev && a.ino == link.ino);
    cr_expect(a.ino != b.ino);
    mc_map_close(&a);
    mc_map_close(&b);
    mc_map_close(&link);

    cr_expect(mc_same_file("a", "link"));
    cr_expect(!mc_same_file("a", "b"));
    cr_expect(!mc_same_file("a", "missing"));
    cr_expect(!mc_same_file("missing", "missing"));
}

Test(map, says_what_it_will_not_open)
{
    put("a", "x", 1);
    cr_assert_eq(symlink("a", "link"), 0);
    cr_assert_eq(symlink("loop", "loop"), 0);
    cr_assert_eq(mkdir("dir", 0700), 0);
    expect_refused("missing", 0, MC_E_IO, "missing: cannot open: No such file or directory");
    expect_refused("a/b", 0, MC_E_IO, "a/b: cannot open: Not a directory");
    expect_refused("dir", 0, MC_E_USAGE, "dir: is a directory");
    expect_refused("link", MC_NO_FOLLOW, MC_E_USAGE, "link: is a symbolic link");
    expect_refused("loop", 0, MC_E_IO, "loop: cannot open: Too many levels of symbolic links");
    expect_refused("/dev/null", 0, MC_E_USAGE, "/dev/null: is not a regular file");
}

Test(map, does_not_wait_for_a_pipe, .timeout = 10)
{
    cr_assert_eq(mkfifo("pipe", 0600), 0);
    expect_refused("pipe", 0, MC_E_USAGE, "pipe: is not a regular file");
}

Test(map, follows_links_unless_told_not_to)
{
    put("a", "x", 1);
    mc_map map;
    mc_err err = {0};
    cr_assert_eq(mc_map_open("a", MC_NO_FOLLOW, &map, &err), MC_OK, "%s", err.text);
    mc_map_close(&map);
}

Test(map, of_a_descriptor_leaves_it_open)
{
    put("a", "xyz", 3);
    const int fd = open("a", O_RDONLY | O_CLOEXEC);
    cr_assert_geq(fd, 0);
    mc_map map;
    mc_err err = {0};
    cr_assert_eq(mc_map_open_fd(fd, "spilled", &map, &err), MC_OK, "%s", err.text);
    cr_expect_str_eq(mc_map_name_at(map.data + 2), "spilled");
    cr_expect_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
    mc_map_close(&map);
    close(fd);
}

Test(map, knows_the_file_behind_an_address)
{
    put("a", "0123456789", 10);
    put("b", "0123456789", 10);
    mc_map a = open_map("a"), b = open_map("b");
    const unsigned char *inside = a.data;
    cr_expect_str_eq(mc_map_name_at(a.data), "a");
    cr_expect_str_eq(mc_map_name_at(a.data + 9), "a");
    cr_expect_str_eq(mc_map_name_at(b.data + 5), "b");
    cr_expect_null(mc_map_name_at(a.data + 10));
    cr_expect_null(mc_map_name_at(&a));
    cr_expect_null(mc_map_name_at(NULL));
    mc_map_close(&a);
    cr_expect_null(mc_map_name_at(inside));
    mc_map_close(&b);
}

Test(map, works_without_a_name_when_the_registry_is_full)
{
    enum { MORE = 4100 };
    put("a", "x", 1);
    mc_map *map = calloc(MORE, sizeof *map);
    cr_assert_not_null(map);
    for (size_t i = 0; i < MORE; i++) map[i] = open_map("a");
    cr_expect_str_eq(mc_map_name_at(map[4095].data), "a");
    cr_expect_null(mc_map_name_at(map[4096].data));
    cr_expect_eq(map[MORE - 1].data[0], 'x');
    for (size_t i = 0; i < MORE; i++) mc_map_close(&map[i]);
    map[0] = open_map("a");
    cr_expect_str_eq(mc_map_name_at(map[0].data), "a");
    mc_map_close(&map[0]);
    free(map);
}

static int resident(const mc_map *map, size_t page)
{
    const size_t bytes = (size_t)sysconf(_SC_PAGESIZE);
    /* /proc tells what this process has mapped; mincore() would tell of the page cache. */
    const int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    uint64_t entry = 0;
    const uintptr_t address = (uintptr_t)(map->data + page * bytes);
    const ssize_t got = pread(fd, &entry, sizeof entry, (off_t)(address / bytes * sizeof entry));
    close(fd);
    return got == (ssize_t)sizeof entry ? (int)(entry >> 63) : -1;
}

Test(map, releases_whole_pages_inside_the_range_only)
{
    enum { PAGES = 64 }; /* more than the kernel maps around a fault */
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    unsigned char *bytes = malloc(PAGES * page);
    cr_assert_not_null(bytes);
    for (size_t i = 0; i < PAGES * page; i++) bytes[i] = (unsigned char)(i % 251);
    put("big", bytes, PAGES * page);
    mc_map map = open_map("big");
    cr_expect_arr_eq(map.data, bytes, map.size);
    if (resident(&map, 0) != 1) cr_skip_test("this system does not tell what is resident");

    mc_map_release(&map, 16 * page + 1, 48 * page - 1); /* pages 17 to 46 */
    cr_expect_eq(resident(&map, 16), 1);
    cr_expect_eq(resident(&map, 17), 0);
    cr_expect_eq(resident(&map, 46), 0);
    cr_expect_eq(resident(&map, 47), 1);
    mc_map_release(&map, 5, 4);
    mc_map_release(&map, 0, page - 1);
    cr_expect_eq(resident(&map, 0), 1);
    cr_expect_arr_eq(map.data, bytes, map.size); /* and reads the same again */
    mc_map_release(&map, 0, SIZE_MAX);
    cr_expect_eq(resident(&map, 0), 0);
    mc_map_close(&map);
    free(bytes);
}
