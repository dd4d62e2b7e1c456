/* Files out of zip and tar archives, for readers other than those of models. */
#ifndef MC_FORMATS_ARCHIVE_H
#define MC_FORMATS_ARCHIVE_H

#include "formats/formats.h"

typedef struct {
    const char *name; /* in the archive: "a.txt", "folder/a.txt" */
    mc_map map;       /* of a file without a name; to be closed */
} mc_archive_file;

typedef struct {
    mc_archive_file *file; /* in the archive's order */
    size_t files;
    mc_region memory;
} mc_archive_files;

/* Does a file that begins so look like an archive? */
bool mc_is_archive(const unsigned char *head, size_t bytes);

/* Unpacks the entries that `wanted` wants; what it passes over is not looked at. Names are checked,
 * links and encrypted entries refused, bytes limited, as with models. */
mc_status mc_archive_read(const char *path, bool (*wanted)(const char *name),
                          const mc_read_options *options, mc_archive_files *out, mc_err *err);
void mc_archive_close(mc_archive_files *files);

#endif
