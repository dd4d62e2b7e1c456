/* Which files a data set is made of: one, those of a folder, or those of an archive, in the order
 * of their names; mapped, and hashed. */
#include "calib/dataset_parts.h"

#include "formats/archive.h"
#include "formats/model_build.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { FILES_MOST = 65536, NAME_BYTES = 256 };

/* What a file of a folder or archive may be called to belong to the set. */
static bool is_data(const char *name)
{
    static const char *const tails[] = {".npz", ".npy", ".txt", ".jsonl"};
    const char *slash = strrchr(name, '/');
    const char *base = slash ? slash + 1 : name;
    if (base[0] == '.') return false;
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++)
        if (mc_ends_with(base, tails[i])) return true;
    return false;
}

static const char *tail_of(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot ? dot : "";
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const mc_data_file *)a)->path, ((const mc_data_file *)b)->path);
}

static mc_status check_files(mc_dataset *d, mc_err *err)
{
    if (d->files == 0)
        return mc_fail(err, MC_E_FORMAT, "%s: holds no .npz, .npy, .txt or .jsonl file", d->path);
    qsort(d->file, d->files, sizeof *d->file, by_path);
    for (size_t i = 1; i < d->files; i++)
        if (strcmp(tail_of(d->file[i].path), tail_of(d->file[0].path)) != 0)
            return mc_fail(err, MC_E_FORMAT, "%s: holds files of two kinds, %s and %s", d->path,
                           d->file[0].path, d->file[i].path);
    return MC_OK;
}

/* ---- a folder ---- */

typedef struct {
    mc_dataset *d;
    char **name;
    size_t names;
    bool full;
} listing;

static void see(void *to, const char *name)
{
    listing *l = to;
    if (!is_data(name)) return;
    char *copy =
        l->names < FILES_MOST ? mc_copy_text(&l->d->memory.arena, name, strlen(name)) : NULL;
    if (copy)
        l->name[l->names++] = copy;
    else
        l->full = true;
}

static mc_status open_folder(mc_dataset *d, mc_err *err)
{
    const mc_read_options options = {.no_follow = d->options.no_follow};
    mc_folder *folder = MC_NEW(&d->memory.arena, mc_folder, 1);
    listing l = {.d = d, .name = MC_NEW(&d->memory.arena, char *, FILES_MOST)};
    d->file = MC_NEW(&d->memory.arena, mc_data_file, FILES_MOST);
    if (!folder || !l.name || !d->file) return mc_no_room(err, "the files of a data set");
    MC_TRY(mc_folder_at(d->path, &options, folder, err));
    MC_TRY(folder->list(folder, see, &l, err));
    if (l.full)
        return mc_fail(err, MC_E_UNSUPPORTED, "%s: holds more than %d files", d->path,
                       (int)FILES_MOST);
    for (size_t i = 0; i < l.names; i++) {
        mc_data_file *f = &d->file[d->files];
        f->path = mc_format(&d->memory.arena, "%s%s", folder->prefix, l.name[i]);
        if (!f->path) return mc_no_room(err, "the files of a data set");
        MC_TRY(folder->map(folder, l.name[i], &f->map, err));
        d->files++;
    }
    return MC_OK;
}

/* ---- an archive, or one file ---- */

static mc_status open_archive(mc_dataset *d, mc_err *err)
{
    const mc_read_options options = {.no_follow = d->options.no_follow};
    mc_archive_files files;
    MC_TRY(mc_archive_read(d->path, is_data, &options, &files, err));
    d->file = MC_NEW(&d->memory.arena, mc_data_file, files.files + 1);
    mc_status status = d->file ? MC_OK : mc_no_room(err, "the files of a data set");
    for (size_t i = 0; status == MC_OK && i < files.files; i++) {
        mc_data_file *f = &d->file[d->files];
        f->path = mc_format(&d->memory.arena, "%s/%s", d->path, files.file[i].name);
        if (!f->path) status = mc_no_room(err, "the files of a data set");
        if (status != MC_OK) break;
        f->map = files.file[i].map; /* now ours */
        files.file[i].map = (mc_map){0};
        d->files++;
    }
    mc_archive_close(&files);
    return status;
}

static mc_status open_file(mc_dataset *d, mc_err *err)
{
    mc_map map;
    MC_TRY(mc_map_open(d->path, d->options.no_follow ? MC_NO_FOLLOW : 0, &map, err));
    if (!mc_ends_with(d->path, ".npz") && mc_is_archive(map.data, map.size)) {
        mc_map_close(&map);
        return open_archive(d, err);
    }
    d->file = MC_NEW(&d->memory.arena, mc_data_file, 1);
    if (!d->file) {
        mc_map_close(&map);
        return mc_no_room(err, "the files of a data set");
    }
    *d->file = (mc_data_file){.path = d->path, .map = map};
    d->files = 1;
    return MC_OK;
}

/* ---- hashing ---- */

static mc_status hash(mc_dataset *d, mc_err *err)
{
    uint8_t digest[MC_SHA256_BYTES];
    mc_sha256 *all;
    if (d->files == 1)
        return mc_sha256_of(d->file[0].map.data, d->file[0].map.size, d->digest, err);
    MC_TRY(mc_sha256_open(&all, err));
    mc_status status = MC_OK;
    for (size_t i = 0; status == MC_OK && i < d->files; i++) {
        status = mc_sha256_of(d->file[i].map.data, d->file[i].map.size, digest, err);
        if (status == MC_OK) mc_sha256_add(all, digest, sizeof digest);
        mc_map_release(&d->file[i].map, 0, d->file[i].map.size);
    }
    if (status == MC_OK) mc_sha256_finish(all, d->digest);
    mc_sha256_close(all);
    return status;
}

mc_status mc_data_open_files(mc_dataset *d, mc_err *err)
{
    struct stat about;
    const size_t room = FILES_MOST * (sizeof(mc_data_file) + sizeof(mc_data_arrays) + NAME_BYTES +
                                      strlen(d->path) + 512) +
                        ((size_t)1 << 20);
    if (stat(d->path, &about) != 0) return mc_fail_errno(err, errno, "%s: cannot open", d->path);
    MC_TRY(mc_region_open(&d->memory, room, err));
    MC_TRY(S_ISDIR(about.st_mode) ? open_folder(d, err) : open_file(d, err));
    MC_TRY(check_files(d, err));
    return hash(d, err);
}
