/* Folders that the program fills with files of its own and takes away again. */
#include "core/file.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

static bool is(const char *name, const char *other)
{
    return other && strcmp(name, other) == 0;
}

static mc_status empty(DIR *dir, const char *path, const char *last, mc_err *err)
{
    for (const struct dirent *e = readdir(dir); e; e = readdir(dir)) {
        if (is(e->d_name, ".") || is(e->d_name, "..") || is(e->d_name, last)) continue;
        if (unlinkat(dirfd(dir), e->d_name, 0) != 0)
            return mc_fail_errno(err, errno, "%s/%s: cannot remove", path, e->d_name);
    }
    if (last && unlinkat(dirfd(dir), last, 0) != 0 && errno != ENOENT)
        return mc_fail_errno(err, errno, "%s/%s: cannot remove", path, last);
    return MC_OK;
}

mc_status mc_folder_remove(const char *path, const char *last, mc_err *err)
{
    DIR *dir = opendir(path);
    if (!dir && errno == ENOENT) return MC_OK;
    if (!dir) return mc_fail_errno(err, errno, "%s: cannot list", path);
    mc_status status = empty(dir, path, last, err);
    closedir(dir);
    if (status == MC_OK && rmdir(path) != 0)
        status = mc_fail_errno(err, errno, "%s: cannot remove", path);
    return status;
}
