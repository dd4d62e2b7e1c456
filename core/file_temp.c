/* Places and temporary names of outputs; see file_temp.h. */
#define _GNU_SOURCE /* flock, O_PATH, realpath */

#include "core/file_temp.h"

#include "core/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CLAIMS = 64, BASE_KEPT = 200 }; /* of the base name, so that the whole fits NAME_MAX */

static const char suffix[] = ".mcompress-tmp";

typedef enum { EMPTY = 0, FILLING, LIVE } claim_state;

static struct {
    atomic_int state;
    int folder;
    char name[NAME_MAX + 1];
} table[CLAIMS];

static atomic_uint names_given;

int mc_temp_claim(const mc_place *place)
{
    for (int i = 0; i < CLAIMS; i++) {
        int empty = EMPTY;
        if (!atomic_compare_exchange_strong(&table[i].state, &empty, FILLING)) continue;
        table[i].folder = place->folder;
        snprintf(table[i].name, sizeof table[i].name, ".%.*s.%ld-%u%s", BASE_KEPT, place->base,
                 (long)getpid(), atomic_fetch_add(&names_given, 1u), suffix);
        atomic_store(&table[i].state, LIVE);
        return i;
    }
    return -1;
}

const char *mc_temp_name(int claim)
{
    return table[claim].name;
}

void mc_temp_drop(int claim)
{
    if (claim >= 0) atomic_store(&table[claim].state, EMPTY);
}

void mc_out_abandon_all(void)
{
    const int error = errno;
    for (int i = 0; i < CLAIMS; i++)
        if (atomic_load(&table[i].state) == LIVE) unlinkat(table[i].folder, table[i].name, 0);
    errno = error;
}

/* ---- what killed runs left ---- */

static const char *after_digits(const char *p)
{
    const char *start = p;
    while (*p >= '0' && *p <= '9') p++;
    return p > start ? p : NULL;
}

static bool is_temp_of(const char *base, const char *name)
{
    const size_t kept = strnlen(base, BASE_KEPT);
    if (name[0] != '.' || strncmp(name + 1, base, kept) != 0 || name[1 + kept] != '.') return false;
    const char *p = after_digits(name + 2 + kept);
    if (!p || *p != '-') return false;
    p = after_digits(p + 1);
    return p && strcmp(p, suffix) == 0;
}

static void remove_if_stale(int folder, const char *name)
{
    const int fd = openat(folder, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) return;
    struct stat about;
    if (fstat(fd, &about) == 0 && S_ISREG(about.st_mode) && flock(fd, LOCK_EX | LOCK_NB) == 0)
        unlinkat(folder, name, 0);
    close(fd);
}

void mc_temp_sweep(const mc_place *place)
{
    const int fd = openat(place->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = fd < 0 ? NULL : fdopendir(fd);
    if (!list) {
        if (fd >= 0) close(fd);
        return;
    }
    for (const struct dirent *entry; (entry = readdir(list)) != NULL;)
        if (is_temp_of(place->base, entry->d_name)) remove_if_stale(place->folder, entry->d_name);
    closedir(list);
}

/* ---- places ---- */

/* `path` with its links followed when it names something; free() it. */
static mc_status resolve(const char *path, char **out, bool *exists, mc_err *err)
{
    struct stat about;
    *exists = false;
    *out = NULL;
    if (path[0] == '\0') return mc_fail(err, MC_E_USAGE, "the name of the output is empty");
    if (lstat(path, &about) != 0) {
        if (errno != ENOENT) return mc_fail_errno(err, errno, "%s: cannot create", path);
        if (path[strlen(path) - 1] == '/')
            return mc_fail(err, MC_E_USAGE, "%s: names a directory that does not exist", path);
        *out = strdup(path);
        return *out ? MC_OK : mc_fail_errno(err, ENOMEM, "%s", path);
    }
    if (stat(path, &about) != 0) {
        if (errno != ENOENT) return mc_fail_errno(err, errno, "%s: cannot create", path);
        return mc_fail(err, MC_E_USAGE, "%s: is a symbolic link to nothing", path);
    }
    if (S_ISDIR(about.st_mode)) return mc_fail(err, MC_E_USAGE, "%s: is a directory", path);
    if (!S_ISREG(about.st_mode)) return mc_fail(err, MC_E_USAGE, "%s: is not a regular file", path);
    *exists = true;
    *out = realpath(path, NULL);
    return *out ? MC_OK : mc_fail_errno(err, errno, "%s: cannot create", path);
}

static mc_status open_folder(char *path, mc_place *out)
{
    char *slash = strrchr(path, '/');
    const char *base = slash ? slash + 1 : path;
    const size_t length = strlen(base);
    if (length >= sizeof out->base) {
        errno = ENAMETOOLONG;
        return MC_E_IO;
    }
    memcpy(out->base, base, length + 1);

    const char *folder = !slash ? "." : slash == path ? "/" : path;
    if (slash) *slash = '\0';
    out->folder = open(folder[0] ? folder : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (out->folder < 0 && errno == EACCES) /* may be written, but not listed */
        out->folder = open(folder[0] ? folder : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    return out->folder < 0 ? MC_E_IO : MC_OK;
}

mc_status mc_place_open(const char *path, mc_place *out, mc_err *err)
{
    *out = (mc_place){.folder = -1};
    char *target;
    MC_TRY(resolve(path, &target, &out->exists, err));
    mc_status status = open_folder(target, out);
    if (status != MC_OK) status = mc_fail_errno(err, errno, "%s: cannot create", path);
    free(target);
    return status;
}

void mc_place_close(mc_place *place)
{
    if (place->folder >= 0) close(place->folder);
    place->folder = -1;
}

bool mc_same_place(const char *a, const char *b)
{
    if (strcmp(a, b) == 0 || mc_same_file(a, b)) return true;
    mc_place place_a, place_b = {.folder = -1};
    struct stat folder_a, folder_b;
    mc_err ignored;
    const bool same =
        mc_place_open(a, &place_a, &ignored) == MC_OK &&
        mc_place_open(b, &place_b, &ignored) == MC_OK && strcmp(place_a.base, place_b.base) == 0 &&
        fstat(place_a.folder, &folder_a) == 0 && fstat(place_b.folder, &folder_b) == 0 &&
        folder_a.st_dev == folder_b.st_dev && folder_a.st_ino == folder_b.st_ino;
    mc_place_close(&place_a);
    mc_place_close(&place_b);
    return same;
}
