/* Preloaded into the program: ends it by SIGKILL right before or after its N-th call that can
 * change a file system. Between such calls nothing can change, so these are all the moments that
 * differ.
 *
 * KILL_AT=N and KILL_WHEN=before|after say where; KILL_LOG=FILE collects the names of the calls. */
#define _GNU_SOURCE

#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static atomic_int calls;

static int number_from(const char *name)
{
    const char *text = getenv(name);
    return text ? atoi(text) : 0;
}

static void write_log(const char *call)
{
    const char *path = getenv("KILL_LOG");
    if (!path) return;
    const long fd =
        syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    char line[64];
    const int n = snprintf(line, sizeof line, "%s\n", call);
    if (fd < 0 || syscall(SYS_write, fd, line, n) != n) abort();
    syscall(SYS_close, fd);
}

/* Makes the call, unless this is where the program ends. */
static long make(const char *name, long number, long a, long b, long c, long d, long e)
{
    const int call = atomic_fetch_add(&calls, 1) + 1;
    const char *when = getenv("KILL_WHEN");
    const int last = call == number_from("KILL_AT");
    write_log(name);
    if (last && when && strcmp(when, "before") == 0) raise(SIGKILL);
    const long result = syscall(number, a, b, c, d, e);
    if (last) raise(SIGKILL);
    return result;
}

int fsync(int fd)
{
    return (int)make("fsync", SYS_fsync, fd, 0, 0, 0, 0);
}

int linkat(int from_folder, const char *from, int to_folder, const char *to, int flags)
{
    return (int)make("linkat", SYS_linkat, from_folder, (long)from, to_folder, (long)to, flags);
}

int renameat(int from_folder, const char *from, int to_folder, const char *to)
{
    return (int)make("renameat", SYS_renameat2, from_folder, (long)from, to_folder, (long)to, 0);
}

int renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags)
{
    return (int)make("renameat2", SYS_renameat2, from_folder, (long)from, to_folder, (long)to,
                     (long)flags);
}

int rename(const char *from, const char *to)
{
    return renameat(AT_FDCWD, from, AT_FDCWD, to);
}

int unlinkat(int folder, const char *name, int flags)
{
    return (int)make("unlinkat", SYS_unlinkat, folder, (long)name, flags, 0, 0);
}

int unlink(const char *name)
{
    return unlinkat(AT_FDCWD, name, 0);
}

int fallocate64(int fd, int mode, off64_t offset, off64_t bytes)
{
    return (int)make("fallocate", SYS_fallocate, fd, mode, offset, bytes, 0);
}

int fallocate(int fd, int mode, off_t offset, off_t bytes)
{
    return fallocate64(fd, mode, offset, bytes);
}

int ftruncate64(int fd, off64_t bytes)
{
    return (int)make("ftruncate", SYS_ftruncate, fd, bytes, 0, 0, 0);
}

int ftruncate(int fd, off_t bytes)
{
    return ftruncate64(fd, bytes);
}

ssize_t pwrite64(int fd, const void *bytes, size_t n, off64_t offset)
{
    return make("pwrite", SYS_pwrite64, fd, (long)bytes, (long)n, offset, 0);
}

ssize_t pwrite(int fd, const void *bytes, size_t n, off_t offset)
{
    return pwrite64(fd, bytes, n, offset);
}

/* Only opens that create something count. */
int openat64(int folder, const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    const int creates = (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE;
    const unsigned mode = creates ? va_arg(rest, unsigned) : 0;
    va_end(rest);
    if (!creates) return (int)syscall(SYS_openat, folder, path, flags, 0);
    return (int)make("create", SYS_openat, folder, (long)path, flags, (long)mode, 0);
}

int openat(int folder, const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    const int creates = (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE;
    const unsigned mode = creates ? va_arg(rest, unsigned) : 0;
    va_end(rest);
    return openat64(folder, path, flags, mode);
}
