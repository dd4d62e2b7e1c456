/* One atomic output: written without a name, named when it is whole.
 *
 * An unnamed file cannot replace a name in one step: it is first linked under a temporary name and
 * then renamed. See open(2) on O_TMPFILE for the link through /proc. */
#define _GNU_SOURCE       /* O_TMPFILE, fallocate, renameat2, flock */
#define _FILE_OFFSET_BITS 64

#include "core/file.h"

#include "core/clock.h"
#include "core/file_temp.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MODE = 0666, NAME_TRIES = 100, LINK_BYTES = 32 };

struct mc_out {
    char *path; /* as the caller gave it, for messages */
    mc_place place;
    mc_out_options options;
    int fd;
    int claim; /* of the temporary name, -1 while the file has none */
    uint64_t at;
};

bool mc_out_always_named = false;
size_t mc_out_write_most = (size_t)1 << 30; /* Linux stops short of 2 GiB a call */

/* ---- opening ---- */

static void link_name(int fd, char name[LINK_BYTES])
{
    snprintf(name, LINK_BYTES, "/proc/self/fd/%d", fd);
}

/* False when this file system, or a system without /proc, has no unnamed files. */
static bool open_unnamed(mc_out *out)
{
    if (mc_out_always_named) return false;
    out->fd = openat(out->place.folder, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, MODE);
    if (out->fd < 0) return false;

    char name[LINK_BYTES];
    link_name(out->fd, name);
    if (access(name, F_OK) == 0 && flock(out->fd, LOCK_EX | LOCK_NB) == 0) return true;
    close(out->fd);
    out->fd = -1;
    return false;
}

/* Creates the named temporary and locks it. Between the two another process may take it for stale:
 * then its link is gone, or its lock is taken, and the next name is tried. errno tells why it
 * failed. */
static bool open_named(mc_out *out)
{
    for (int i = 0; i < NAME_TRIES; i++) {
        out->claim = mc_temp_claim(&out->place);
        if (out->claim < 0) {
            errno = EMFILE;
            return false;
        }
        const char *name = mc_temp_name(out->claim);
        out->fd = openat(out->place.folder, name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, MODE);
        if (out->fd >= 0) {
            struct stat about;
            const bool locked = flock(out->fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK;
            if (locked && fstat(out->fd, &about) == 0 && about.st_nlink > 0) return true;
            close(out->fd);
            out->fd = -1;
            errno = EEXIST;
        }
        mc_temp_drop(out->claim);
        out->claim = -1;
        if (errno != EEXIST) return false;
    }
    return false;
}

/* Finds a full disk now rather than after an hour. File systems that cannot reserve only set the
 * size. */
static mc_status reserve(const mc_out *out, uint64_t bytes, mc_err *err)
{
    if (bytes == 0) return MC_OK;
    if (bytes > INT64_MAX)
        return mc_fail_errno(err, EFBIG, "%s: needs %" PRIu64 " bytes", out->path, bytes);
    int failed;
    do failed = fallocate(out->fd, 0, 0, (off_t)bytes);
    while (failed && errno == EINTR);
    if (failed && (errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL))
        failed = ftruncate(out->fd, (off_t)bytes);
    if (failed) return mc_fail_errno(err, errno, "%s: needs %" PRIu64 " bytes", out->path, bytes);
    return MC_OK;
}

static mc_status exists_already(const char *path, mc_err *err)
{
    return mc_fail(err, MC_E_USAGE, "%s: exists (use --force to replace it)", path);
}

mc_status mc_out_check(const char *path, bool replace, mc_err *err)
{
    mc_place place;
    MC_TRY(mc_place_open(path, &place, err));
    mc_place_close(&place);
    return place.exists && !replace ? exists_already(path, err) : MC_OK;
}

static mc_status start(mc_out *out, uint64_t bytes, mc_err *err)
{
    MC_TRY(mc_place_open(out->path, &out->place, err));
    if (out->place.exists && !out->options.replace) return exists_already(out->path, err);
    mc_temp_sweep(&out->place);
    if (!open_unnamed(out) && !open_named(out))
        return mc_fail_errno(err, errno, "%s: cannot create", out->path);
    return reserve(out, bytes, err);
}

mc_status mc_out_open(const char *path, uint64_t bytes, mc_out_options options, mc_out **out,
                      mc_err *err)
{
    *out = NULL;
    mc_out *made = malloc(sizeof *made);
    char *copy = strdup(path);
    if (!made || !copy) {
        free(made);
        free(copy);
        return mc_fail_errno(err, ENOMEM, "%s: cannot create", path);
    }
    *made =
        (mc_out){.path = copy, .place = {.folder = -1}, .options = options, .fd = -1, .claim = -1};
    const mc_status status = start(made, bytes, err);
    if (status != MC_OK) {
        mc_out_discard(made);
        return status;
    }
    *out = made;
    return MC_OK;
}

/* ---- writing ---- */

mc_status mc_out_write_at(mc_out *out, uint64_t offset, const void *bytes, size_t n, mc_err *err)
{
    const unsigned char *p = bytes;
    if (offset > INT64_MAX || n > INT64_MAX - offset)
        return mc_fail_errno(err, EFBIG, "%s: cannot write at %" PRIu64, out->path, offset);
    while (n > 0) {
        const size_t most = n < mc_out_write_most ? n : mc_out_write_most;
        const ssize_t done = pwrite(out->fd, p, most, (off_t)offset);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return mc_fail_errno(err, errno, "%s: cannot write", out->path);
        p += done;
        n -= (size_t)done;
        offset += (uint64_t)done;
    }
    return MC_OK;
}

mc_status mc_out_write(mc_out *out, const void *bytes, size_t n, mc_err *err)
{
    MC_TRY(mc_out_write_at(out, out->at, bytes, n, err));
    out->at += n;
    return MC_OK;
}

mc_status mc_out_map(mc_out *out, mc_map *map, mc_err *err)
{
    return mc_map_open_fd(out->fd, out->path, map, err);
}

/* ---- naming ---- */

/* Every descriptor that is closed reports what was put off (NFS): a second one does so while the
 * file can still be thrown away. */
static mc_status flush(const mc_out *out, double *seconds, mc_err *err)
{
    const double begin = mc_seconds();
    if (!out->options.no_fsync && fsync(out->fd) != 0)
        return mc_fail_errno(err, errno, "%s: cannot flush", out->path);
    const int twin = fcntl(out->fd, F_DUPFD_CLOEXEC, 0);
    if (twin < 0 || close(twin) != 0)
        return mc_fail_errno(err, errno, "%s: cannot close", out->path);
    if (!out->options.no_fsync) *seconds += mc_seconds() - begin;
    return MC_OK;
}

/* Gives an unnamed file a temporary name next to its destination. */
static bool name_for_rename(mc_out *out, const mc_place *to)
{
    char from[LINK_BYTES];
    link_name(out->fd, from);
    for (int i = 0; i < NAME_TRIES; i++) {
        out->claim = mc_temp_claim(to);
        if (out->claim < 0) {
            errno = EMFILE;
            return false;
        }
        if (linkat(AT_FDCWD, from, to->folder, mc_temp_name(out->claim), AT_SYMLINK_FOLLOW) == 0)
            return true;
        const int error = errno;
        mc_temp_drop(out->claim);
        out->claim = -1;
        errno = error;
        if (error != EEXIST) return false;
    }
    return false;
}

/* Renames the temporary, which lies in `from`, unless the name is taken. */
static bool rename_new(mc_out *out, int from, const mc_place *to)
{
    const char *name = mc_temp_name(out->claim);
    if (renameat2(from, name, to->folder, to->base, RENAME_NOREPLACE) == 0) return true;
    if (errno != EINVAL && errno != ENOSYS) return false;
    if (linkat(from, name, to->folder, to->base, 0) != 0) return false;
    unlinkat(from, name, 0);
    return true;
}

static bool give_name(mc_out *out, const mc_place *to, bool replace)
{
    int from = out->place.folder;
    if (out->claim < 0 && !replace) {
        char name[LINK_BYTES];
        link_name(out->fd, name);
        return linkat(AT_FDCWD, name, to->folder, to->base, AT_SYMLINK_FOLLOW) == 0;
    }
    if (out->claim < 0) {
        if (!name_for_rename(out, to)) return false;
        from = to->folder;
    }
    const bool done = replace ? renameat(from, mc_temp_name(out->claim), to->folder, to->base) == 0
                              : rename_new(out, from, to);
    const int error = errno;
    if (!done) unlinkat(from, mc_temp_name(out->claim), 0);
    mc_temp_drop(out->claim);
    out->claim = -1;
    errno = error;
    return done;
}

/* Some file systems have no fsync for folders; then there is nothing to wait for. */
static mc_status flush_folder(const mc_out *out, const mc_place *to, const char *path,
                              double *seconds, mc_err *err)
{
    if (out->options.no_fsync) return MC_OK;
    const double begin = mc_seconds();
    if (fsync(to->folder) != 0 && errno != EINVAL && errno != EBADF && errno != ENOTSUP)
        return mc_fail_errno(err, errno, "%s: is written, but its folder cannot be flushed", path);
    *seconds += mc_seconds() - begin;
    return MC_OK;
}

static mc_status commit(mc_out *out, const char *path, double *seconds, mc_err *err)
{
    mc_place other = {.folder = -1};
    const mc_place *to = &out->place;
    const bool elsewhere = path && strcmp(path, out->path) != 0;
    if (elsewhere) {
        MC_TRY(mc_place_open(path, &other, err));
        to = &other;
    }
    const char *name = elsewhere ? path : out->path;
    const bool replace = elsewhere || out->options.replace;

    mc_status status = flush(out, seconds, err);
    if (status == MC_OK && !give_name(out, to, replace))
        status = errno == EEXIST ? exists_already(name, err)
                                 : mc_fail_errno(err, errno, "%s: cannot create", name);
    if (status == MC_OK) status = flush_folder(out, to, name, seconds, err);
    mc_place_close(&other);
    return status;
}

mc_status mc_out_commit(mc_out *out, const char *path, double *fsync_seconds, mc_err *err)
{
    double seconds = 0;
    const mc_status status = commit(out, path, &seconds, err);
    if (fsync_seconds) *fsync_seconds = seconds;
    mc_out_discard(out);
    return status;
}

void mc_out_discard(mc_out *out)
{
    if (!out) return;
    if (out->claim >= 0) {
        unlinkat(out->place.folder, mc_temp_name(out->claim), 0);
        mc_temp_drop(out->claim);
    }
    if (out->fd >= 0) close(out->fd); /* releases the lock, so it comes after the name is gone */
    mc_place_close(&out->place);
    free(out->path);
    free(out);
}

/* ---- small files ---- */

static bool holds_already(const char *path, const void *bytes, size_t n)
{
    mc_map old;
    mc_err ignored;
    if (mc_map_open(path, 0, &old, &ignored) != MC_OK) return false;
    const bool same = old.size == n && (n == 0 || memcmp(old.data, bytes, n) == 0);
    mc_map_close(&old);
    return same;
}

mc_status mc_write_file(const char *path, const void *bytes, size_t n, unsigned flags, mc_err *err)
{
    if ((flags & MC_WRITE_IF_CHANGED) && holds_already(path, bytes, n)) return MC_OK;

    const mc_out_options how = {.replace = true, .no_fsync = (flags & MC_WRITE_NO_FSYNC) != 0};
    mc_out *out;
    MC_TRY(mc_out_open(path, n, how, &out, err));
    const mc_status status = mc_out_write(out, bytes, n, err);
    if (status != MC_OK) {
        mc_out_discard(out);
        return status;
    }
    return mc_out_commit(out, NULL, NULL, err);
}
