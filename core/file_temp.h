/* Private to core/file_*.c: where an output goes, and the named temporary files on its way there.
 *
 * A temporary of OUT is ".OUT.<pid>-<n>.mcompress-tmp" in OUT's folder. Its owner holds flock() on
 * it, so a file of that name whose lock is free is what a killed run left behind. Names in use
 * stand in a static table that a signal handler can walk. */
#ifndef MC_CORE_FILE_TEMP_H
#define MC_CORE_FILE_TEMP_H

#include "core/err.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

/* A name in a folder that stays open, so that neither chdir() nor a renamed folder matters. */
typedef struct {
    int folder; /* -1 when closed */
    bool exists;
    char base[NAME_MAX + 1];
} mc_place;

/* Follows symbolic links. Refuses what no file can be put in place of: folders, devices, pipes. */
mc_status mc_place_open(const char *path, mc_place *out, mc_err *err);
void mc_place_close(mc_place *place);

/* Removes temporaries of this place that no one owns any more. */
void mc_temp_sweep(const mc_place *place);

/* Takes a row of the table and chooses a name there, before any such file exists; -1 when all are
 * taken. */
int mc_temp_claim(const mc_place *place);
const char *mc_temp_name(int claim);
void mc_temp_drop(int claim);

/* For tests: outputs behave as on a file system without O_TMPFILE, and one call writes so much. */
extern bool mc_out_always_named;
extern size_t mc_out_write_most;

#endif
