#include "archive_builder.h"

#include <archive.h>
#include <criterion/criterion.h>
#include <string.h>

static void set_format(struct archive *a, const char *path)
{
    const char *end = strrchr(path, '.');
    int ok = strcmp(end, ".zip") == 0 ? archive_write_set_format_zip(a)
                                      : archive_write_set_format_pax_restricted(a);
    if (strcmp(end, ".gz") == 0) ok |= archive_write_add_filter_gzip(a);
    if (strcmp(end, ".xz") == 0) ok |= archive_write_add_filter_xz(a);
    if (strcmp(end, ".zst") == 0) ok |= archive_write_add_filter_zstd(a);
    if (strcmp(end, ".bz2") == 0) ok |= archive_write_add_filter_bzip2(a);
    cr_assert_eq(ok, ARCHIVE_OK, "%s", archive_error_string(a));
}

void put_archive(const char *path, const archive_item *list, size_t n)
{
    struct archive *a = archive_write_new();
    set_format(a, path);
    cr_assert_eq(archive_write_open_filename(a, path), ARCHIVE_OK);
    for (size_t i = 0; i < n; i++) {
        struct archive_entry *e = archive_entry_new();
        archive_entry_set_pathname(e, list[i].name);
        archive_entry_set_filetype(e, list[i].type ? list[i].type : AE_IFREG);
        archive_entry_set_perm(e, 0644);
        if (list[i].link && list[i].type == AE_IFLNK) archive_entry_set_symlink(e, list[i].link);
        if (list[i].link && list[i].type != AE_IFLNK) archive_entry_set_hardlink(e, list[i].link);
        if (!list[i].link) archive_entry_set_size(e, (la_int64_t)list[i].n);
        cr_assert_geq(archive_write_header(a, e), ARCHIVE_WARN, "%s", archive_error_string(a));
        if (list[i].n > 0)
            cr_assert_eq(archive_write_data(a, list[i].bytes, list[i].n), (la_ssize_t)list[i].n);
        archive_entry_free(e);
    }
    cr_assert_eq(archive_write_close(a), ARCHIVE_OK, "%s", archive_error_string(a));
    archive_write_free(a);
}
