/* Files without a name, gone when the program is: for what must be unpacked before it can be
 * mapped. */
#ifndef MC_FORMATS_SCRATCH_H
#define MC_FORMATS_SCRATCH_H

#include "core/file.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    int fd;
    const char *dir; /* where it lies, for messages */
} mc_scratch;

/* In the folder `dir`; NULL is $TMPDIR, or /tmp. */
mc_status mc_scratch_open(const char *dir, mc_scratch *out, mc_err *err);

/* Bytes that its file system has left; false when that is not known. */
bool mc_scratch_left(const mc_scratch *s, uint64_t *bytes);

/* Appends. */
mc_status mc_scratch_write(const mc_scratch *s, const void *bytes, size_t n, mc_err *err);

/* All that was written; the map outlives the scratch. `name` is for messages. */
mc_status mc_scratch_map(const mc_scratch *s, const char *name, mc_map *out, mc_err *err);
void mc_scratch_close(mc_scratch *s);

#endif
