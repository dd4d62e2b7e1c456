/* Files: read-only maps in, one atomic output out.
 *
 * Inputs are mapped, never written. A map whose file shrinks under us raises SIGBUS;
 * mc_map_name_at() tells a signal handler which file it was.
 *
 * An output is an unnamed file in the folder of its destination (O_TMPFILE), or where the file
 * system has none, a temporary one that mc_out_abandon_all() and the next run remove. It gets its
 * name only by mc_out_commit(), after fsync: whoever looks sees the old file, none, or the whole
 * new one. */
#ifndef MC_CORE_FILE_H
#define MC_CORE_FILE_H

#include "core/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- input ---- */

typedef struct {
    const unsigned char *data; /* NULL when size is 0 */
    size_t size;
    int slot;     /* of the registry behind mc_map_name_at(); private */
    uint64_t dev; /* which file this is, whatever its name */
    uint64_t ino;
} mc_map;

/* Maps the regular file `path`. `flags`: MC_NO_FOLLOW refuses a symlink as last component.
 * Errors: MC_E_IO with path and reason; a folder or a device is MC_E_USAGE. */
enum { MC_NO_FOLLOW = 1 };
mc_status mc_map_open(const char *path, unsigned flags, mc_map *out, mc_err *err);

/* Maps an open descriptor, which stays the caller's. `name` is for messages and is copied. */
mc_status mc_map_open_fd(int fd, const char *name, mc_map *out, mc_err *err);
void mc_map_close(mc_map *map);

/* Says that bytes [from, to) are not needed soon, so that they stop counting as resident.
 * Only whole pages inside the range go; reading them again is allowed. */
void mc_map_release(const mc_map *map, size_t from, size_t to);

/* The same for bytes that were read in passing: the neighbours, which the system maps along with
 * them, go too. */
void mc_map_passed(const mc_map *map, size_t from, size_t to);

/* The name of the mapped file that holds `address`, or NULL. Async-signal-safe. */
const char *mc_map_name_at(const void *address);

/* ---- output ---- */

typedef struct mc_out mc_out;

typedef struct {
    bool replace;  /* an existing file of that name may be replaced (atomically) */
    bool no_fsync; /* leave durability to the system */
} mc_out_options;

/* Starts an output of `bytes` bytes (0 = grows by writing) that shall become `path`.
 * MC_E_USAGE: path is a directory, or exists and may not be replaced. MC_E_IO: the rest. */
mc_status mc_out_open(const char *path, uint64_t bytes, mc_out_options options, mc_out **out,
                      mc_err *err);

/* Writes all `n` bytes at `offset`, from any thread. */
mc_status mc_out_write_at(mc_out *out, uint64_t offset, const void *bytes, size_t n, mc_err *err);

/* Appends; for outputs that are one stream. */
mc_status mc_out_write(mc_out *out, const void *bytes, size_t n, mc_err *err);

/* The bytes so far, mapped for reading back before the commit. */
mc_status mc_out_map(mc_out *out, mc_map *map, mc_err *err);

/* fsync (timed: *fsync_seconds may be NULL), then the name appears as `path` (NULL: the one given
 * to mc_out_open). A path other than that one is replaced when it exists. Frees `out` in every
 * case; on failure nothing is left behind. */
mc_status mc_out_commit(mc_out *out, const char *path, double *fsync_seconds, mc_err *err);

/* Leaves nothing behind. NULL is allowed. */
void mc_out_discard(mc_out *out);

/* Unlinks every uncommitted temporary file. Async-signal-safe; for signal handlers. */
void mc_out_abandon_all(void);

/* Do both names exist and mean the same file (links followed)? */
bool mc_same_file(const char *a, const char *b);

/* Would outputs of these names be the same file? Also for names that do not exist yet. */
bool mc_same_place(const char *a, const char *b);

/* Whether mc_out_open() would refuse the name, with the same errors. Nothing is created. */
mc_status mc_out_check(const char *path, bool replace, mc_err *err);

/* Removes a folder of files, whatever they are, the one called `last` (or NULL) behind all others;
 * no folder is fine. MC_E_IO: a folder is in it. */
mc_status mc_folder_remove(const char *path, const char *last, mc_err *err);

/* Writes a small file whole and atomically, in place of what is there. */
enum {
    MC_WRITE_IF_CHANGED = 1, /* keeps a file of the same bytes, its time stamp included */
    MC_WRITE_NO_FSYNC = 2,
};
mc_status mc_write_file(const char *path, const void *bytes, size_t n, unsigned flags, mc_err *err);

#endif
