/* A Hugging Face folder: model.safetensors, or an index with its shards, or exactly one other
 * .safetensors file; config and tokenizer lie beside it.
 *
 * Hugging Face's own cache is made of links (snapshots/x/model.safetensors -> ../../blobs/…), so
 * links are followed, and what lies beside a file is looked for beside the name that was given, not
 * beside what it leads to. */
#include "formats/model_build.h"

#include "core/log.h"
#include "formats/json_pull.h"
#include "formats/limits.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const char weights_name[] = "model.safetensors";
static const char index_name[] = "model.safetensors.index.json";

/* ---- a folder on disk ---- */

static bool full_path(const mc_folder *folder, const char *name, char path[MC_PREFIX_ROOM])
{
    const int n = snprintf(path, MC_PREFIX_ROOM, "%s%s", folder->prefix, name);
    return n > 0 && n < MC_PREFIX_ROOM;
}

static bool disk_has(const mc_folder *folder, const char *name)
{
    char path[MC_PREFIX_ROOM];
    struct stat about;
    return full_path(folder, name, path) && (lstat(path, &about) == 0 || errno != ENOENT);
}

static mc_status disk_map(const mc_folder *folder, const char *name, mc_map *out, mc_err *err)
{
    char path[MC_PREFIX_ROOM];
    if (!full_path(folder, name, path))
        return mc_fail(err, MC_E_IO, "%s%s: path is longer than %d bytes", folder->prefix, name,
                       MC_PREFIX_ROOM - 1);
    return mc_map_open(path, folder->flags, out, err);
}

static mc_status disk_list(const mc_folder *folder, void (*see)(void *to, const char *name),
                           void *to, mc_err *err)
{
    const char *path = folder->prefix[0] ? folder->prefix : ".";
    DIR *dir = opendir(path);
    if (!dir) return mc_fail_errno(err, errno, "%s: cannot open", path);
    const struct dirent *entry;
    errno = 0;
    while ((entry = readdir(dir))) see(to, entry->d_name);
    const int error = errno;
    closedir(dir);
    return error ? mc_fail_errno(err, error, "%s: cannot list", path) : MC_OK;
}

static mc_status on_disk(const char *path, size_t length, const char *end,
                         const mc_read_options *options, mc_folder *out, mc_err *err)
{
    *out = (mc_folder){.has = disk_has, .map = disk_map, .list = disk_list};
    out->flags = options->no_follow ? MC_NO_FOLLOW : 0;
    if (length + strlen(end) >= sizeof out->prefix)
        return mc_fail(err, MC_E_IO, "%s: path is longer than %d bytes", path, MC_PREFIX_ROOM - 1);
    memcpy(out->prefix, path, length);
    memcpy(out->prefix + length, end, strlen(end) + 1);
    return MC_OK;
}

mc_status mc_folder_at(const char *path, const mc_read_options *options, mc_folder *out,
                       mc_err *err)
{
    return on_disk(path, strlen(path), mc_ends_with(path, "/") ? "" : "/", options, out, err);
}

mc_status mc_folder_beside(const char *path, const mc_read_options *options, mc_folder *out,
                           mc_err *err)
{
    const char *slash = strrchr(path, '/');
    return on_disk(path, slash ? (size_t)(slash + 1 - path) : 0, "", options, out, err);
}

/* ---- which files are the model ---- */

enum { SHOWN = 3 };

/* Names that could be the weights; of many the first ones in their order, so that the message is
 * always the same. */
typedef struct {
    char name[SHOWN][MC_FILE_NAME_LIMIT + 1];
    size_t names;
    char foreign[MC_FILE_NAME_LIMIT + 1]; /* weights in a format that is not read */
} found;

static void keep_sorted(found *f, const char *name)
{
    size_t at = f->names < SHOWN ? f->names : SHOWN;
    f->names++;
    while (at > 0 && strcmp(f->name[at - 1], name) > 0) at--;
    if (at == SHOWN) return;
    if (at < SHOWN - 1) memmove(f->name[at + 1], f->name[at], (SHOWN - 1 - at) * sizeof f->name[0]);
    snprintf(f->name[at], sizeof f->name[at], "%s", name);
}

static void see(void *to, const char *name)
{
    static const char *const foreign[] = {".bin",  ".pt", ".pth",    ".gguf",
                                          ".onnx", ".h5", ".msgpack"};
    found *f = to;
    if (name[0] == '.' || strlen(name) > MC_FILE_NAME_LIMIT) return; /* "._x": left by macOS */
    if (mc_ends_with(name, ".safetensors")) keep_sorted(f, name);
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++)
        if (mc_ends_with(name, foreign[i]) && (!f->foreign[0] || strcmp(name, f->foreign) < 0))
            snprintf(f->foreign, sizeof f->foreign, "%s", name);
}

/* The folder without the slash at its end, as people write it. */
static const char *shown_folder(const mc_folder *folder, char to[MC_PATH_ROOM])
{
    mc_show_path(folder->prefix[0] ? folder->prefix : ".", to, MC_PATH_ROOM);
    const size_t n = strlen(to);
    if (n > 1 && to[n - 1] == '/') to[n - 1] = '\0';
    return to;
}

static mc_status find_only(const mc_folder *folder, found *f, mc_err *err)
{
    MC_TRY(folder->list(folder, see, f, err));
    if (f->names == 1) return MC_OK;

    char path[MC_PATH_ROOM];
    shown_folder(folder, path);
    if (f->names > 1)
        return mc_fail(err, MC_E_FORMAT,
                       "%s: holds %zu safetensors files (%s, %s%s%s) but neither %s nor %s: it is "
                       "not clear which one is the model",
                       path, f->names, mc_quote(f->name[0]).text, mc_quote(f->name[1]).text,
                       f->names > 2 ? ", " : "",
                       f->names > 3   ? "..."
                       : f->names > 2 ? mc_quote(f->name[2]).text
                                      : "",
                       weights_name, index_name);
    if (mc_ends_with(f->foreign, ".onnx"))
        return mc_fail(err, MC_E_USAGE,
                       "%s: holds no safetensors file: give the ONNX file %s by "
                       "its name",
                       path, mc_quote(f->foreign).text);
    if (f->foreign[0])
        return mc_fail(err, MC_E_UNSUPPORTED,
                       "%s: holds no safetensors file, and %s is in a format that is not read: "
                       "convert it to safetensors",
                       path, mc_quote(f->foreign).text);
    return mc_fail(err, MC_E_FORMAT, "%s: holds no safetensors file", path);
}

mc_status mc_model_from_folder(const mc_folder *folder, mc_model_files files, mc_model *out,
                               mc_err *err)
{
    found f = {.names = 0};
    if (folder->has(folder, weights_name)) {
        files.weights = weights_name;
        if (folder->has(folder, index_name))
            mc_log(MC_LOG_WARNING, "%s%s: not used, %s is there", folder->prefix, index_name,
                   weights_name);
    } else if (folder->has(folder, index_name)) {
        files.index = index_name;
    } else {
        MC_TRY(find_only(folder, &f, err));
        files.weights = f.name[0];
    }
    return mc_model_build(folder, &files, out, err);
}

/* ---- as a format ---- */

static bool bids(const mc_probe *probe)
{
    return probe->is_folder || mc_ends_with(probe->path, ".safetensors.index.json");
}

static mc_status read_model(const char *path, const mc_read_options *options, mc_model *out,
                            mc_err *err)
{
    mc_folder folder;
    mc_model_files files = {.format = "hf-folder", .path = path};
    if (mc_ends_with(path, ".safetensors.index.json")) {
        struct stat about;
        if (stat(path, &about) == 0 && !S_ISDIR(about.st_mode)) {
            MC_TRY(mc_folder_beside(path, options, &folder, err));
            const char *slash = strrchr(path, '/');
            files.index = slash ? slash + 1 : path;
            return mc_model_build(&folder, &files, out, err);
        }
    }
    MC_TRY(mc_folder_at(path, options, &folder, err));
    return mc_model_from_folder(&folder, files, out, err);
}

const mc_format_reader mc_format_hf_folder = {
    .bids = bids,
    .read = read_model,
};
