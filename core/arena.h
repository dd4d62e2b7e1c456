/* Memory that is handed out front to back and given back all at once.
 *
 * An arena passed by pointer keeps what the callee takes from it. An arena passed
 * by value is a loan: what the callee takes is free again when it returns.
 *
 * A region owns the address space that an arena hands out. Its pages become memory
 * only when they are touched, so a region may be sized by an upper bound.
 *
 * Under AddressSanitizer 64 poisoned bytes follow every allocation; regions are then twice as
 * large, so what fits elsewhere fits there too. */
#ifndef MC_CORE_ARENA_H
#define MC_CORE_ARENA_H

#include "core/err.h"

#include <stddef.h>

typedef struct {
    unsigned char *at;
    unsigned char *end;
} mc_arena;

/* Room for `count` objects of `size` bytes, aligned to 64, or NULL when it does not fit
 * or the product overflows. mc_alloc gives zeros, mc_alloc_raw whatever was there. */
void *mc_alloc(mc_arena *arena, size_t count, size_t size);
void *mc_alloc_raw(mc_arena *arena, size_t count, size_t size);

#define MC_NEW(arena, type, count) ((type *)mc_alloc((arena), (count), sizeof(type)))
#define MC_NEW_RAW(arena, type, count) ((type *)mc_alloc_raw((arena), (count), sizeof(type)))

/* A NUL-terminated copy of `length` bytes (mc_copy_text) or of what the format says, or NULL. */
char *mc_copy_text(mc_arena *arena, const char *text, size_t length);
char *mc_format(mc_arena *arena, const char *fmt, ...) MC_PRINTF(2, 3);

/* MC_E_BUDGET with a sentence that names `what`; for a NULL from any of the above. */
mc_status mc_no_room(mc_err *err, const char *what);

typedef struct {
    mc_arena arena;
    void *base;
    size_t bytes;
    int in_file; /* 1: its pages are a file's */
} mc_region;

mc_status mc_region_open(mc_region *out, size_t bytes, mc_err *err);

/* The same over a file of its own (one of formats/scratch.h), so that pages need not stay in
 * memory: mc_region_release gives them all back to the file; what is in them stays. A full disk
 * breaks the map (err.h: MC_E_IO by the program's handler). */
mc_status mc_region_open_file(mc_region *out, int fd, size_t bytes, mc_err *err);
void mc_region_release(const mc_region *region);

/* Gives everything back; a zeroed region is allowed. */
void mc_region_close(mc_region *region);

#endif
