/* Bump allocation over lazily backed pages. Under AddressSanitizer every allocation is followed by
 * poisoned bytes (zstd's idea): room that is handed out is made accessible again at that moment, so
 * arenas passed by value need no clean-up when the loan ends. */
#define _GNU_SOURCE /* MAP_ANONYMOUS, MAP_NORESERVE, madvise */

#include "core/arena.h"

#include "core/ckd.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN 1
#endif
#endif

enum { ALIGN = 64 }; /* a cache line, and enough for any vector load */

#ifdef WITH_ASAN
#include <sanitizer/asan_interface.h>
enum { STRETCH = 2 }; /* twice the room holds a gap behind every line of 64 bytes */

/* Opens [start, start + bytes) and closes the gap behind it; returns the bytes of the gap. */
static size_t fence(unsigned char *start, size_t bytes, size_t left)
{
    const size_t gap = left < ALIGN ? left : ALIGN;
    __asan_unpoison_memory_region(start, bytes);
    __asan_poison_memory_region(start + bytes, gap);
    return gap;
}

/* The next owner of these addresses starts clean. What the sanitizer notes of them lies in pages of
 * its own, zeros for clean; of a large region they are given back whole instead of written. */
static void unfence(void *base, size_t bytes)
{
    size_t scale, offset;
    __asan_get_shadow_mapping(&scale, &offset);
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    const uintptr_t first = ((uintptr_t)base >> scale) + offset;
    const uintptr_t from = (first + page - 1) / page * page;
    const uintptr_t to = (first + (bytes >> scale)) / page * page;
    if (to <= from || madvise((void *)from, to - from, MADV_DONTNEED) != 0) {
        __asan_unpoison_memory_region(base, bytes);
        return;
    }
    const size_t head = (from - first) << scale, tail = (to - first) << scale;
    __asan_unpoison_memory_region(base, head);
    __asan_unpoison_memory_region((unsigned char *)base + tail, bytes - tail);
}
#else
enum { STRETCH = 1 };

static size_t fence(unsigned char *start, size_t bytes, size_t left)
{
    (void)start, (void)bytes, (void)left;
    return 0;
}

static void unfence(void *base, size_t bytes)
{
    (void)base, (void)bytes;
}
#endif

void *mc_alloc_raw(mc_arena *arena, size_t count, size_t size)
{
    const size_t room = (size_t)(arena->end - arena->at);
    const size_t pad = -(uintptr_t)arena->at & (ALIGN - 1);
    size_t bytes;
    if (!mc_mul_size(count, size, &bytes) || pad > room || bytes > room - pad) return NULL;

    unsigned char *start = arena->at + pad;
    arena->at = start + bytes + fence(start, bytes, room - pad - bytes);
    return start;
}

void *mc_alloc(mc_arena *arena, size_t count, size_t size)
{
    void *start = mc_alloc_raw(arena, count, size);
    if (start && count * size > 0) memset(start, 0, count * size);
    return start;
}

char *mc_copy_text(mc_arena *arena, const char *text, size_t length)
{
    if (length == SIZE_MAX) return NULL;
    char *copy = mc_alloc_raw(arena, length + 1, 1);
    if (!copy) return NULL;
    if (length > 0) memcpy(copy, text, length);
    copy[length] = '\0';
    return copy;
}

char *mc_format(mc_arena *arena, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    const int length = vsnprintf(NULL, 0, fmt, args);
    va_end(args);

    char *text = length < 0 ? NULL : mc_alloc_raw(arena, (size_t)length + 1, 1);
    if (text) vsnprintf(text, (size_t)length + 1, fmt, again);
    va_end(again);
    return text;
}

mc_status mc_no_room(mc_err *err, const char *what)
{
    return mc_fail(err, MC_E_BUDGET, "no room for %s", what);
}

/* `fd` -1: of no file. */
static mc_status open_region(mc_region *out, int fd, size_t bytes, mc_err *err)
{
    *out = (mc_region){0};
    if (bytes == 0) return MC_OK;

    size_t mapped = 0;
    void *base = MAP_FAILED;
    int error = ENOMEM;
    const int flags = (fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED) | MAP_NORESERVE;
    if (mc_mul_size(bytes, STRETCH, &mapped) && mapped <= PTRDIFF_MAX) {
        if (fd < 0 || ftruncate(fd, (off_t)mapped) == 0)
            base = mmap(NULL, mapped, PROT_READ | PROT_WRITE, flags, fd, 0);
        if (base == MAP_FAILED) error = errno;
    }
    if (base == MAP_FAILED) {
        mc_fail_errno(err, error, "cannot reserve %zu bytes of memory", bytes);
        return err->status = MC_E_BUDGET;
    }
    unfence(base, mapped);
    *out = (mc_region){.arena = {base, (unsigned char *)base + mapped},
                       .base = base,
                       .bytes = mapped,
                       .in_file = fd >= 0};
    return MC_OK;
}

mc_status mc_region_open(mc_region *out, size_t bytes, mc_err *err)
{
    return open_region(out, -1, bytes, err);
}

mc_status mc_region_open_file(mc_region *out, int fd, size_t bytes, mc_err *err)
{
    return open_region(out, fd, bytes, err);
}

void mc_region_release(const mc_region *region)
{
    if (region->base && region->in_file) madvise(region->base, region->bytes, MADV_DONTNEED);
}

void mc_region_close(mc_region *region)
{
    if (region->base) {
        unfence(region->base, region->bytes);
        munmap(region->base, region->bytes);
    }
    *region = (mc_region){0};
}
