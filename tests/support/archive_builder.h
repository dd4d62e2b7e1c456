/* zip and tar archives to read, made by libarchive. */
#ifndef MC_TESTS_SUPPORT_ARCHIVE_BUILDER_H
#define MC_TESTS_SUPPORT_ARCHIVE_BUILDER_H

#include <archive_entry.h>
#include <stddef.h>

typedef struct {
    const char *name;
    const char *bytes;
    size_t n;
    mode_t type;      /* AE_IFLNK …; 0: a regular file */
    const char *link; /* of symbolic links; of regular files a hard link */
} archive_item;

/* The name says which kind: x.zip, x.tar, x.tar.gz, x.tar.xz, x.tar.zst, x.tar.bz2. */
void put_archive(const char *path, const archive_item *list, size_t n);

#endif
