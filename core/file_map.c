/* Read-only maps of regular files.
 *
 * A registry of fixed size remembers which addresses belong to which file. It is made of atomics,
 * so that a signal handler may read it at any moment. When it is full, maps work without a name. */
#define _GNU_SOURCE /* MADV_DONTNEED */

#include "core/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SLOTS = 4096, NO_SLOT = -1 };

typedef enum { EMPTY = 0, FILLING, IN_USE } slot_state;

static struct {
    atomic_int state;
    _Atomic uintptr_t start;
    atomic_size_t size;
    _Atomic(char *) name;
} registry[SLOTS];

static int registry_add(const mc_map *map, const char *name)
{
    char *copy = strdup(name);
    if (!copy) return NO_SLOT;
    for (int i = 0; i < SLOTS; i++) {
        int empty = EMPTY;
        if (!atomic_compare_exchange_strong(&registry[i].state, &empty, FILLING)) continue;
        atomic_store(&registry[i].start, (uintptr_t)map->data);
        atomic_store(&registry[i].size, map->size);
        atomic_store(&registry[i].name, copy);
        atomic_store(&registry[i].state, IN_USE);
        return i;
    }
    free(copy);
    return NO_SLOT;
}

static void registry_remove(int slot)
{
    if (slot == NO_SLOT) return;
    char *name = atomic_load(&registry[slot].name);
    atomic_store(&registry[slot].state, EMPTY);
    free(name);
}

const char *mc_map_name_at(const void *address)
{
    for (int i = 0; i < SLOTS; i++) {
        if (atomic_load(&registry[i].state) != IN_USE) continue;
        const uintptr_t off = (uintptr_t)address - atomic_load(&registry[i].start);
        if (off < atomic_load(&registry[i].size)) return atomic_load(&registry[i].name);
    }
    return NULL;
}

static mc_status check_kind(const struct stat *about, const char *name, mc_err *err)
{
    if (S_ISDIR(about->st_mode)) return mc_fail(err, MC_E_USAGE, "%s: is a directory", name);
    if (!S_ISREG(about->st_mode))
        return mc_fail(err, MC_E_USAGE, "%s: is not a regular file", name);
    if ((uintmax_t)about->st_size > PTRDIFF_MAX)
        return mc_fail(err, MC_E_UNSUPPORTED, "%s: %ju bytes do not fit the address space", name,
                       (uintmax_t)about->st_size);
    return MC_OK;
}

mc_status mc_map_open_fd(int fd, const char *name, mc_map *out, mc_err *err)
{
    *out = (mc_map){.slot = NO_SLOT};
    struct stat about;
    if (fstat(fd, &about) != 0) return mc_fail_errno(err, errno, "%s: cannot stat", name);
    MC_TRY(check_kind(&about, name, err));

    mc_map map = {.size = (size_t)about.st_size,
                  .slot = NO_SLOT,
                  .dev = (uint64_t)about.st_dev,
                  .ino = (uint64_t)about.st_ino};
    if (map.size > 0) {
        void *data = mmap(NULL, map.size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED) return mc_fail_errno(err, errno, "%s: cannot map", name);
        map.data = data;
        map.slot = registry_add(&map, name);
    }
    *out = map;
    return MC_OK;
}

static mc_status cannot_open(const char *path, unsigned flags, int error, mc_err *err)
{
    struct stat about;
    if (error == ELOOP && (flags & MC_NO_FOLLOW) && lstat(path, &about) == 0 &&
        S_ISLNK(about.st_mode))
        return mc_fail(err, MC_E_USAGE, "%s: is a symbolic link", path);
    if (error == ENXIO) return mc_fail(err, MC_E_USAGE, "%s: is not a regular file", path);
    return mc_fail_errno(err, error, "%s: cannot open", path);
}

mc_status mc_map_open(const char *path, unsigned flags, mc_map *out, mc_err *err)
{
    *out = (mc_map){.slot = NO_SLOT};
    /* O_NONBLOCK: a named pipe must be refused, not waited for. */
    int mode = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
    if (flags & MC_NO_FOLLOW) mode |= O_NOFOLLOW;
    int fd;
    do fd = open(path, mode);
    while (fd < 0 && errno == EINTR);
    if (fd < 0) return cannot_open(path, flags, errno, err);

    const mc_status status = mc_map_open_fd(fd, path, out, err);
    close(fd); /* the map keeps the file */
    return status;
}

void mc_map_close(mc_map *map)
{
    if (map->data) {
        registry_remove(map->slot);
        munmap((void *)(uintptr_t)map->data, map->size);
    }
    *map = (mc_map){.slot = NO_SLOT};
}

void mc_map_release(const mc_map *map, size_t from, size_t to)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (to > map->size) to = map->size;
    if (from >= to || to - from < page) return;

    const size_t first = from % page == 0 ? from : from + (page - from % page);
    const size_t last = to - to % page;
    if (first < last) madvise((void *)(uintptr_t)(map->data + first), last - first, MADV_DONTNEED);
}

void mc_map_passed(const mc_map *map, size_t from, size_t to)
{
    const size_t around = (size_t)2 << 20; /* Linux maps so much for one page that is touched */
    if (to > map->size) to = map->size;
    mc_map_release(map, from > around ? from - around : 0,
                   map->size - to > around ? to + around : map->size);
}

bool mc_same_file(const char *a, const char *b)
{
    struct stat about_a, about_b;
    return stat(a, &about_a) == 0 && stat(b, &about_b) == 0 && about_a.st_dev == about_b.st_dev &&
           about_a.st_ino == about_b.st_ino;
}
