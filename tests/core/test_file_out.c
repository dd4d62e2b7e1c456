/* Outputs: the old file, none or the whole new one; nothing else is ever left in the folder. Every
 * test of the life of an output runs twice, with unnamed files and with named temporaries. */
#define _GNU_SOURCE /* O_TMPFILE */

#include "core/file.h"
#include "core/file_temp.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[256];

static void enter_folder(void)
{
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/mc-out-XXXXXX", base ? base : "/tmp");
    cr_assert_not_null(mkdtemp(folder));
    cr_assert_eq(chdir(folder), 0);
}

static void empty_here(void)
{
    DIR *list = opendir(".");
    cr_assert_not_null(list);
    for (const struct dirent *entry; (entry = readdir(list)) != NULL;)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            cr_expect_eq(remove(entry->d_name), 0, "%s", entry->d_name);
    closedir(list);
}

static void leave_folder(void)
{
    empty_here();
    cr_expect_eq(chdir("/"), 0);
    cr_expect_eq(rmdir(folder), 0);
}

TestSuite(out, .init = enter_folder, .fini = leave_folder);

/* Names in the folder, sorted and joined: "a b". */
static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static const char *names_here(void)
{
    static char joined[1024];
    char *name[32];
    size_t n = 0;
    DIR *list = opendir(".");
    cr_assert_not_null(list);
    for (const struct dirent *entry; (entry = readdir(list)) != NULL && n < 32;)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            name[n++] = strdup(entry->d_name);
    closedir(list);
    qsort(name, n, sizeof *name, by_name);
    joined[0] = '\0';
    for (size_t i = 0; i < n; i++) {
        const size_t used = strlen(joined);
        snprintf(joined + used, sizeof joined - used, "%s%s", i ? " " : "", name[i]);
        free(name[i]);
    }
    return joined;
}

static void put(const char *path, const char *text)
{
    FILE *file = fopen(path, "wb");
    cr_assert_not_null(file);
    fputs(text, file);
    cr_assert_eq(fclose(file), 0);
}

static void expect_file(const char *path, const char *text)
{
    mc_map map;
    mc_err err = {0};
    cr_assert_eq(mc_map_open(path, 0, &map, &err), MC_OK, "%s", err.text);
    cr_expect_eq(map.size, strlen(text), "%s has %zu bytes", path, map.size);
    const char *bytes = map.data ? (const char *)map.data : "";
    cr_expect_eq(strncmp(bytes, text, map.size), 0, "%s", path);
    mc_map_close(&map);
}

static mc_out *open_out(const char *path, uint64_t bytes, bool replace)
{
    mc_out *out;
    mc_err err = {0};
    const mc_out_options options = {.replace = replace, .no_fsync = true};
    cr_assert_eq(mc_out_open(path, bytes, options, &out, &err), MC_OK, "%s", err.text);
    return out;
}

static void append(mc_out *out, const char *text)
{
    mc_err err = {0};
    cr_assert_eq(mc_out_write(out, text, strlen(text), &err), MC_OK, "%s", err.text);
}

static void commit(mc_out *out, const char *path)
{
    mc_err err = {0};
    cr_assert_eq(mc_out_commit(out, path, NULL, &err), MC_OK, "%s", err.text);
}

#define BOTH_KINDS(kind)                               \
    for (int kind = 0; kind < 2; kind++, empty_here()) \
        if ((mc_out_always_named = kind == 1), true)

/* ---- a whole life ---- */

Test(out, appears_whole_and_only_at_the_commit)
{
    BOTH_KINDS(kind)
    {
        mc_out *out = open_out("a.bin", 0, false);
        append(out, "first, ");
        append(out, "second");
        cr_expect_neq(access("a.bin", F_OK), 0);
        commit(out, NULL);
        cr_expect_str_eq(names_here(), "a.bin");
        expect_file("a.bin", "first, second");
    }
}

Test(out, leaves_nothing_when_it_is_discarded)
{
    BOTH_KINDS(kind)
    {
        put("a.bin", "old");
        mc_out *out = open_out("a.bin", 1000, true);
        append(out, "new");
        mc_out_discard(out);
        cr_expect_str_eq(names_here(), "a.bin");
        expect_file("a.bin", "old");
    }
    mc_out_discard(NULL);
}

Test(out, replaces_only_when_it_may)
{
    BOTH_KINDS(kind)
    {
        put("a.bin", "old");
        mc_out *out;
        mc_err err = {0};
        cr_expect_eq(mc_out_open("a.bin", 0, (mc_out_options){0}, &out, &err), MC_E_USAGE);
        cr_expect_str_eq(err.text, "a.bin: exists (use --force to replace it)");
        cr_expect_null(out);

        out = open_out("a.bin", 0, true);
        append(out, "new");
        expect_file("a.bin", "old");
        commit(out, NULL);
        expect_file("a.bin", "new");
        cr_expect_str_eq(names_here(), "a.bin");
    }
}

Test(out, does_not_replace_what_appeared_meanwhile)
{
    BOTH_KINDS(kind)
    {
        mc_out *out = open_out("a.bin", 0, false);
        append(out, "new");
        put("a.bin", "someone else's");
        mc_err err = {0};
        cr_expect_eq(mc_out_commit(out, NULL, NULL, &err), MC_E_USAGE);
        cr_expect_str_eq(err.text, "a.bin: exists (use --force to replace it)");
        expect_file("a.bin", "someone else's");
        cr_expect_str_eq(names_here(), "a.bin");
    }
}

Test(out, may_be_committed_under_another_name_which_it_replaces)
{
    BOTH_KINDS(kind)
    {
        put("a.bin.rejected", "older");
        mc_out *out = open_out("a.bin", 0, false);
        append(out, "new");
        commit(out, "a.bin.rejected");
        expect_file("a.bin.rejected", "new");
        cr_expect_str_eq(names_here(), "a.bin.rejected");
    }
}

Test(out, of_several_at_once_each_gets_its_own_bytes)
{
    BOTH_KINDS(kind)
    {
        mc_out *out[3];
        char name[3] = "0", text[3] = "A";
        for (int i = 0; i < 3; i++) out[i] = open_out("same", 0, true);
        for (int i = 0; i < 3; i++) {
            text[0] = (char)('A' + i);
            append(out[i], text);
        }
        for (int i = 0; i < 3; i++) {
            name[0] = (char)('0' + i);
            commit(out[i], name);
        }
        expect_file("0", "A");
        expect_file("2", "C");
        cr_expect_str_eq(names_here(), "0 1 2");
    }
}

Test(out, is_flushed_and_timed)
{
    BOTH_KINDS(kind)
    {
        mc_out *out;
        mc_err err = {0};
        double seconds = -1;
        cr_assert_eq(mc_out_open("a", 0, (mc_out_options){0}, &out, &err), MC_OK, "%s", err.text);
        append(out, "x");
        cr_assert_eq(mc_out_commit(out, NULL, &seconds, &err), MC_OK, "%s", err.text);
        cr_expect(seconds > 0);

        commit(open_out("b", 0, false), NULL);
        seconds = -1;
        cr_assert_eq(mc_out_commit(open_out("c", 0, false), NULL, &seconds, &err), MC_OK);
        cr_expect_eq(seconds, 0);
    }
}

/* ---- writing ---- */

Test(out, takes_bytes_anywhere_and_shows_them_before_the_commit)
{
    BOTH_KINDS(kind)
    {
        mc_out *out = open_out("a", 12, false);
        mc_err err = {0};
        cr_assert_eq(mc_out_write_at(out, 8, "tail", 4, &err), MC_OK, "%s", err.text);
        cr_assert_eq(mc_out_write_at(out, 0, "head", 4, &err), MC_OK, "%s", err.text);
        mc_map map;
        cr_assert_eq(mc_out_map(out, &map, &err), MC_OK, "%s", err.text);
        cr_expect_eq(map.size, 12);
        cr_expect_arr_eq(map.data, "head\0\0\0\0tail", 12);
        cr_expect_str_eq(mc_map_name_at(map.data), "a");
        mc_map_close(&map);
        commit(out, NULL);
    }
}

Test(out, a_long_write_takes_several_calls)
{
    mc_out_write_most = 7;
    BOTH_KINDS(kind)
    {
        mc_out *out = open_out("a", 0, false);
        append(out, "0123456789abcdefghijklmnopqrstuvwxyz");
        append(out, "!");
        commit(out, NULL);
        expect_file("a", "0123456789abcdefghijklmnopqrstuvwxyz!");
    }
}

Test(out, refuses_an_offset_that_no_file_has)
{
    mc_out *out = open_out("a", 0, false);
    mc_err err = {0};
    cr_expect_eq(mc_out_write_at(out, UINT64_MAX, "x", 1, &err), MC_E_IO);
    cr_expect_str_eq(err.text, "a: cannot write at 18446744073709551615: File too large");
    mc_out_discard(out);
}

/* A limit on file size stands for a full disk: both refuse what does not fit. */
static void limit_files(rlim_t bytes)
{
    signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &(struct rlimit){bytes, RLIM_INFINITY}), 0);
}

Test(out, finds_too_little_room_before_the_work_is_done)
{
    limit_files(1000);
    BOTH_KINDS(kind)
    {
        mc_out *out;
        mc_err err = {0};
        cr_expect_eq(mc_out_open("a", 1001, (mc_out_options){0}, &out, &err), MC_E_IO);
        cr_expect_str_eq(err.text, "a: needs 1001 bytes: File too large");
        cr_expect_eq(mc_out_open("a", UINT64_MAX, (mc_out_options){0}, &out, &err), MC_E_IO);
        cr_expect_str_eq(err.text, "a: needs 18446744073709551615 bytes: File too large");
        cr_expect_str_eq(names_here(), "");
    }
}

Test(out, a_write_that_stops_half_way_is_an_error)
{
    limit_files(1000);
    BOTH_KINDS(kind)
    {
        static const char bytes[1500];
        mc_out *out = open_out("a", 0, false);
        mc_err err = {0};
        cr_expect_eq(mc_out_write(out, bytes, sizeof bytes, &err), MC_E_IO);
        cr_expect_str_eq(err.text, "a: cannot write: File too large");
        mc_out_discard(out);
        cr_expect_str_eq(names_here(), "");
    }
}

/* ---- destinations ---- */

static void expect_refused(const char *path, mc_status status, const char *text)
{
    mc_out *out;
    mc_err err = {0};
    const mc_out_options options = {.replace = true};
    cr_expect_eq(mc_out_open(path, 0, options, &out, &err), status, "%s", path);
    cr_expect_str_eq(err.text, text);
    cr_expect_null(out);
}

Test(out, says_where_it_cannot_be)
{
    cr_assert_eq(mkdir("dir", 0700), 0);
    cr_assert_eq(symlink("nowhere", "lost"), 0);
    cr_assert_eq(mkfifo("pipe", 0600), 0);
    put("file", "");
    expect_refused("", MC_E_USAGE, "the name of the output is empty");
    expect_refused("dir", MC_E_USAGE, "dir: is a directory");
    expect_refused("dir/", MC_E_USAGE, "dir/: is a directory");
    expect_refused(".", MC_E_USAGE, ".: is a directory");
    expect_refused("new/", MC_E_USAGE, "new/: names a directory that does not exist");
    expect_refused("lost", MC_E_USAGE, "lost: is a symbolic link to nothing");
    expect_refused("pipe", MC_E_USAGE, "pipe: is not a regular file");
    expect_refused("/dev/null", MC_E_USAGE, "/dev/null: is not a regular file");
    expect_refused("no/file", MC_E_IO, "no/file: cannot create: No such file or directory");
    expect_refused("file/x", MC_E_IO, "file/x: cannot create: Not a directory");
}

Test(out, needs_a_folder_that_may_be_written)
{
    if (geteuid() == 0) cr_skip_test("root may write everywhere");
    cr_assert_eq(mkdir("dir", 0500), 0);
    expect_refused("dir/a", MC_E_IO, "dir/a: cannot create: Permission denied");
}

Test(out, replaces_what_a_link_points_to)
{
    BOTH_KINDS(kind)
    {
        put("real", "old");
        cr_assert_eq(symlink("real", "link"), 0);
        mc_out *out = open_out("link", 0, true);
        append(out, "new");
        commit(out, NULL);
        struct stat about;
        cr_expect(lstat("link", &about) == 0 && S_ISLNK(about.st_mode));
        cr_expect(lstat("real", &about) == 0 && S_ISREG(about.st_mode));
        expect_file("real", "new");
        cr_expect_str_eq(names_here(), "link real");
    }
}

Test(out, has_the_mode_that_the_umask_leaves)
{
    umask(027);
    BOTH_KINDS(kind)
    {
        commit(open_out("a", 0, false), NULL);
        struct stat about;
        cr_assert_eq(stat("a", &about), 0);
        cr_expect_eq(about.st_mode & 0777, 0640);
    }
}

Test(out, stays_in_its_folder_when_the_process_moves)
{
    BOTH_KINDS(kind)
    {
        mc_out *out = open_out("a", 0, false);
        append(out, "here");
        cr_assert_eq(chdir("/"), 0);
        commit(out, NULL);
        cr_assert_eq(chdir(folder), 0);
        expect_file("a", "here");
    }
}

Test(out, a_name_as_long_as_names_may_be_works)
{
    char name[256];
    memset(name, 'n', 255);
    name[255] = '\0';
    BOTH_KINDS(kind)
    {
        put(name, "old");
        mc_out *out = open_out(name, 0, true);
        cr_expect(kind == 0 || strstr(names_here(), ".mcompress-tmp "));
        append(out, "new");
        commit(out, NULL);
        cr_expect_str_eq(names_here(), name);
    }
}

/* ---- what others leave, and what we leave to others ---- */

Test(out, sweeps_what_a_killed_run_left_of_the_same_name)
{
    put(".a.bin.1234-0.mcompress-tmp", "stale");
    put(".a.bin.99-12.mcompress-tmp", "stale");
    put(".b.bin.1234-0.mcompress-tmp", "of another output");
    put(".a.bin.x-0.mcompress-tmp", "no such name");
    put(".a.bin.1-.mcompress-tmp", "no such name");
    put(".a.bin.1-2.mcompress-tmp2", "no such name");
    put(".a.bin_1-2.mcompress-tmp", "no such name");
    mc_out_discard(open_out("a.bin", 0, false));
    cr_expect_str_eq(names_here(), ".a.bin.1-.mcompress-tmp .a.bin.1-2.mcompress-tmp2 "
                                   ".a.bin.x-0.mcompress-tmp .a.bin_1-2.mcompress-tmp "
                                   ".b.bin.1234-0.mcompress-tmp");
}

/* A child holds an output open until it is killed. */
static pid_t start_child(int ready[2])
{
    cr_assert_eq(pipe(ready), 0);
    const pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child > 0) return child;
    mc_out *out = open_out("a", 0, false);
    append(out, "half");
    if (write(ready[1], "x", 1) != 1) _exit(1);
    for (;;) pause();
}

Test(out, leaves_the_temporary_of_a_living_process_alone, .timeout = 30)
{
    mc_out_always_named = true;
    int ready[2];
    char byte;
    const pid_t child = start_child(ready);
    cr_assert_eq(read(ready[0], &byte, 1), 1);

    char theirs[64];
    snprintf(theirs, sizeof theirs, ".a.%ld-0.mcompress-tmp", (long)child);
    mc_out_discard(open_out("a", 0, false));
    cr_expect_str_eq(names_here(), theirs);

    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    cr_expect_str_eq(names_here(), theirs);
    mc_out_discard(open_out("a", 0, false));
    cr_expect_str_eq(names_here(), "");
}

Test(out, a_killed_process_leaves_nothing_where_files_may_be_unnamed, .timeout = 30)
{
    const int fd = open(".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0) cr_skip_test("this file system has no unnamed files");
    close(fd);
    int ready[2];
    char byte;
    const pid_t child = start_child(ready);
    cr_assert_eq(read(ready[0], &byte, 1), 1);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    cr_expect_str_eq(names_here(), "");
}

Test(out, abandon_all_removes_every_temporary)
{
    mc_out_always_named = true;
    mc_out *a = open_out("a", 0, false), *b = open_out("b", 0, false);
    cr_expect_neq(names_here()[0], '\0');
    mc_out_abandon_all();
    cr_expect_str_eq(names_here(), "");
    mc_err err = {0};
    cr_expect_eq(mc_out_commit(a, NULL, NULL, &err), MC_E_IO);
    mc_out_discard(b);
    cr_expect_str_eq(names_here(), "");
    mc_out_abandon_all();
}

/* ---- small files ---- */

Test(out, a_small_file_is_written_whole)
{
    mc_err err = {0};
    cr_assert_eq(mc_write_file("a.d", "out: in\n", 8, 0, &err), MC_OK, "%s", err.text);
    expect_file("a.d", "out: in\n");
    cr_assert_eq(mc_write_file("a.d", "", 0, 0, &err), MC_OK, "%s", err.text);
    expect_file("a.d", "");
    cr_expect_eq(mc_write_file(".", "", 0, MC_WRITE_IF_CHANGED, &err), MC_E_USAGE);
    cr_expect_str_eq(names_here(), "a.d");
}

static ino_t inode(const char *path)
{
    struct stat about;
    cr_assert_eq(stat(path, &about), 0);
    return about.st_ino;
}

Test(out, an_unchanged_small_file_is_the_same_file)
{
    mc_err err = {0};
    cr_assert_eq(mc_write_file("a", "x", 1, MC_WRITE_IF_CHANGED, &err), MC_OK, "%s", err.text);
    const ino_t first = inode("a");
    const int keep = open("a", O_RDONLY | O_CLOEXEC); /* its inode cannot be given again */
    cr_assert_eq(mc_write_file("a", "x", 1, MC_WRITE_IF_CHANGED, &err), MC_OK, "%s", err.text);
    cr_expect_eq(inode("a"), first);
    cr_assert_eq(mc_write_file("a", "x", 1, 0, &err), MC_OK, "%s", err.text);
    cr_expect_neq(inode("a"), first);
    close(keep);
    cr_assert_eq(mc_write_file("a", "y", 1, MC_WRITE_IF_CHANGED, &err), MC_OK, "%s", err.text);
    expect_file("a", "y");
}

Test(out, knows_names_that_would_be_one_file)
{
    cr_assert_eq(mkdir("dir", 0777), 0);
    put("a", "x");
    cr_expect(mc_same_place("a", "./a"));
    cr_expect(mc_same_place("b", "dir/../b"));
    cr_expect(mc_same_place("dir/b", "./dir//b"));
    cr_expect_not(mc_same_place("a", "b"));
    cr_expect_not(mc_same_place("b", "dir/b"));
    cr_expect_not(mc_same_place("nowhere/b", "b"));
}

Test(out, tells_beforehand_what_it_would_refuse)
{
    mc_err err = {0};
    put("a", "x");
    cr_expect_eq(mc_out_check("b", false, &err), MC_OK);
    cr_expect_eq(mc_out_check("a", true, &err), MC_OK);
    cr_expect_eq(mc_out_check("a", false, &err), MC_E_USAGE);
    cr_expect_str_eq(err.text, "a: exists (use --force to replace it)");
    cr_expect_eq(mc_out_check(".", true, &err), MC_E_USAGE);
    cr_expect_eq(mc_out_check("nowhere/b", false, &err), MC_E_IO);
}
