/* Which files a data set is made of: one, those of a folder, or those of an archive, in the order
 * of their names; mapped, and hashed. */
#include "calib/dataset_parts.h"

#include "formats/archive.h"
#include "formats/model_build.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Two maps a file stay below the usual limit of the system, 65530. */
enum { FILES_MOST = 16384, NAME_BYTES = 256 };

/* What a file of a folder or archive may be called to belong to the set: nothing hidden, nor in a
 * hidden folder. */
static bool is_data(const char *name)
{
    static const char *const tails[] = {".npz", ".npy", ".txt", ".jsonl"};
    if (name[0] == '.' || strstr(name, "/.")) return false;
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++)
        if (mc_ends_with(name, tails[i])) return true;
    return false;
}

static bool begins(const mc_data_file *f, const char *magic)
{
    const size_t n = strlen(magic);
    return f->map.size >= n && memcmp(f->map.data, magic, n) == 0;
}

bool mc_data_is_npy(const mc_data_file *file)
{
    return begins(file, "\x93NUMPY");
}

bool mc_data_is_zip(const mc_data_file *file)
{
    return begins(file, "PK\3\4") || begins(file, "PK\5\6");
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
    listing l = {.d = d, .name = MC_NEW_RAW(&d->memory.arena, char *, FILES_MOST)};
    d->file = MC_NEW_RAW(&d->memory.arena, mc_data_file, FILES_MOST);
    if (!folder || !l.name || !d->file) return mc_no_room(err, "the files of a data set");
    MC_TRY(mc_folder_at(d->path, &options, folder, err));
    MC_TRY(folder->list(folder, see, &l, err));
    if (l.full)
        return mc_fail(err, MC_E_UNSUPPORTED, "%s: holds more than %d files", d->path,
                       (int)FILES_MOST);
    for (size_t i = 0; i < l.names; i++) {
        mc_data_file *f = &d->file[d->files];
        *f = (mc_data_file){0};
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

/* A file whose name says what is in it is that, whatever its first bytes look like. */
static bool holds_files(const char *path, const mc_map *map)
{
    const char *slash = strrchr(path, '/');
    if (is_data(slash ? slash + 1 : path)) return false;
    return mc_is_archive(map->data, map->size) || mc_ends_with(path, ".tar");
}

static mc_status open_file(mc_dataset *d, mc_err *err)
{
    mc_map map;
    MC_TRY(mc_map_open(d->path, d->options.no_follow ? MC_NO_FOLLOW : 0, &map, err));
    if (holds_files(d->path, &map)) {
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

/* ---- memory ---- */

void mc_data_touch(const mc_dataset *d, size_t file, uint64_t bytes)
{
    const uint64_t most = (uint64_t)32 << 20;
    atomic_store(&d->file[file].touched, true);
    if (atomic_fetch_add(d->mapped, bytes) + bytes < most) return;
    atomic_store(d->mapped, 0);
    for (size_t i = 0; i < d->files; i++) {
        if (!atomic_exchange(&d->file[i].touched, false)) continue;
        const mc_map *spilled = &d->arrays[i].npz.spilled;
        mc_map_release(&d->file[i].map, 0, d->file[i].map.size);
        mc_map_release(spilled, 0, spilled->size);
    }
}

/* ---- hashing ---- */

static void hash_file(mc_sha256 *sha, const mc_map *map, uint8_t digest[MC_SHA256_BYTES])
{
    enum { STEP = 1 << 20 };
    for (size_t at = 0; at < map->size; at += STEP) {
        const size_t n = map->size - at < STEP ? map->size - at : STEP;
        mc_sha256_add(sha, map->data + at, n);
        mc_map_passed(map, at, at + n);
    }
    mc_sha256_finish(sha, digest);
}

static mc_status hash(mc_dataset *d, mc_err *err)
{
    mc_sha256 *one, *all;
    MC_TRY(mc_sha256_open(&one, err));
    const mc_status status = mc_sha256_open(&all, err);
    for (size_t i = 0; status == MC_OK && i < d->files; i++) {
        hash_file(one, &d->file[i].map, d->digest);
        mc_sha256_add(all, d->digest, sizeof d->digest);
    }
    if (status == MC_OK && d->files > 1) mc_sha256_finish(all, d->digest);
    mc_sha256_close(all);
    mc_sha256_close(one);
    return status;
}

mc_status mc_data_open_files(mc_dataset *d, mc_err *err)
{
    struct stat about;
    const size_t inputs = d->model->graph->inputs * sizeof(mc_array *);
    const size_t each =
        sizeof(mc_data_file) + sizeof(mc_data_arrays) + inputs + NAME_BYTES + strlen(d->path) + 512;
    if (stat(d->path, &about) != 0) return mc_fail_errno(err, errno, "%s: cannot open", d->path);
    MC_TRY(mc_region_open(&d->memory, FILES_MOST * each + ((size_t)1 << 20), err));
    d->mapped = MC_NEW(&d->memory.arena, atomic_ullong, 1);
    if (!d->mapped) return mc_no_room(err, "the files of a data set");
    MC_TRY(S_ISDIR(about.st_mode) ? open_folder(d, err) : open_file(d, err));
    MC_TRY(check_files(d, err));
    return hash(d, err);
}
