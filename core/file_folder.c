/* Folders that the program fills with files of its own and takes away again. */
#include "core/file.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

mc_status mc_folder_remove(const char *path, mc_err *err)
{
    DIR *dir = opendir(path);
    if (!dir && errno == ENOENT) return MC_OK;
    if (!dir) return mc_fail_errno(err, errno, "%s: cannot list", path);
    mc_status status = MC_OK;
    for (const struct dirent *e = readdir(dir); e && status == MC_OK; e = readdir(dir)) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
        if (unlinkat(dirfd(dir), e->d_name, 0) != 0)
            status = mc_fail_errno(err, errno, "%s/%s: cannot remove", path, e->d_name);
    }
    closedir(dir);
    if (status == MC_OK && rmdir(path) != 0)
        status = mc_fail_errno(err, errno, "%s: cannot remove", path);
    return status;
}
