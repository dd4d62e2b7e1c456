/* Scratch files: unlinked from the start where the file system can do so, else right after. */
#define _GNU_SOURCE /* O_TMPFILE */

#include "formats/scratch.h"

#include "core/ckd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

mc_status mc_scratch_open(const char *dir, mc_scratch *out, mc_err *err)
{
    if (!dir) dir = getenv("TMPDIR");
    if (!dir || !*dir) dir = "/tmp";
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC | O_EXCL, 0600);
    if (fd < 0) { /* not every file system has O_TMPFILE */
        char name[PATH_MAX];
        const int n = snprintf(name, sizeof name, "%s/mcompress-XXXXXX", dir);
        if (n < 0 || (size_t)n >= sizeof name)
            errno = ENAMETOOLONG;
        else
            fd = mkostemp(name, O_CLOEXEC);
        if (fd >= 0) unlink(name);
    }
    *out = (mc_scratch){fd, dir};
    return fd < 0 ? mc_fail_errno(err, errno, "%s: cannot make a scratch file", dir) : MC_OK;
}

bool mc_scratch_left(const mc_scratch *s, uint64_t *bytes)
{
    struct statvfs disk;
    return fstatvfs(s->fd, &disk) == 0 && mc_mul_u64(disk.f_bavail, disk.f_frsize, bytes);
}

mc_status mc_scratch_write(const mc_scratch *s, const void *bytes, size_t n, mc_err *err)
{
    for (const unsigned char *from = bytes; n > 0;) {
        const ssize_t done = write(s->fd, from, n);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0)
            return mc_fail_errno(err, done < 0 ? errno : ENOSPC, "%s: cannot write a scratch file",
                                 s->dir);
        from += done;
        n -= (size_t)done;
    }
    return MC_OK;
}

mc_status mc_scratch_map(const mc_scratch *s, const char *name, mc_map *out, mc_err *err)
{
    return mc_map_open_fd(s->fd, name, out, err);
}

void mc_scratch_close(mc_scratch *s)
{
    if (s->fd >= 0) close(s->fd);
    s->fd = -1;
}
