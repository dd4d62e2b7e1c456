/* Models in zip and tar archives, by libarchive.
 *
 * A reader needs whole files at an address, so those entries that belong to a model are unpacked to
 * files without a name, which are gone when the program is, and mapped. The rest is passed over.
 * Names are checked before anything is written, and what is written is counted against a limit: a
 * few kilobytes can unpack to terabytes.
 *
 * Refused: entries that leave the archive, entries of a model that are links, devices, encrypted,
 * or there twice. */
#include "formats/archive.h"

#include "core/bytes.h"
#include "formats/json_pull.h"
#include "formats/limits.h"
#include "formats/model_build.h"
#include "formats/safetensors.h"
#include "formats/scratch.h"

#include <archive.h>
#include <archive_entry.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { BLOCK = 1 << 20 };

typedef mc_archive_file unpacked;

typedef struct {
    const char *path;
    const mc_read_options *options;
    struct archive *in;
    mc_map map; /* of the archive */
    size_t at;  /* where libarchive is in it */
    bool (*wanted)(const char *name);
    mc_region region;
    unpacked *file;
    size_t files;
    unsigned char *block;
    char name[MC_ARCHIVE_NAME_LIMIT + 1]; /* of the entry at hand */
    uint64_t limit, used;                 /* bytes unpacked, and the most there may be */
    size_t entries;
    bool has_pickle;
    char top[MC_ARCHIVE_NAME_LIMIT + 1]; /* "" or "folder/": where the model is */
    mc_err *err;
} unpack;

/* ---- messages ---- */

static mc_status MC_PRINTF(3, 4) refuse(unpack *u, mc_status status, const char *fmt, ...)
{
    char path[MC_PATH_ROOM], why[MC_ERR_TEXT];
    va_list args;
    va_start(args, fmt);
    vsnprintf(why, sizeof why, fmt, args);
    va_end(args);
    return mc_fail(u->err, status, "%s: %s", mc_show_path(u->path, path, sizeof path), why);
}

static mc_status refuse_entry(unpack *u, const char *why)
{
    return refuse(u, MC_E_FORMAT, "entry %s %s", mc_quote(u->name).text, why);
}

/* libarchive's own words, some of which end in a newline. */
static mc_status broken(unpack *u)
{
    const char *words = archive_error_string(u->in);
    char shown[256];
    mc_show_path(words ? words : "unknown reason", shown, sizeof shown);
    const size_t n = strlen(shown);
    if (n >= 2 && strcmp(shown + n - 2, "\\n") == 0) shown[n - 2] = '\0';
    return refuse(u, MC_E_FORMAT, "cannot be unpacked: %s", shown);
}

/* ---- the archive as libarchive sees it: the map, whose pages are let go behind it ---- */

static la_ssize_t give_block(struct archive *a, void *of, const void **block)
{
    (void)a;
    unpack *u = of;
    const size_t left = u->map.size - u->at, n = left < BLOCK ? left : BLOCK;
    if (u->at >= BLOCK) mc_map_release(&u->map, u->at - BLOCK, u->at);
    *block = u->map.data ? u->map.data + u->at : NULL;
    u->at += n;
    return (la_ssize_t)n;
}

static la_int64_t skip_bytes(struct archive *a, void *of, la_int64_t wanted)
{
    (void)a;
    unpack *u = of;
    const size_t left = u->map.size - u->at;
    const size_t n = wanted < 0 ? 0 : (uint64_t)wanted < left ? (size_t)wanted : left;
    u->at += n;
    return (la_int64_t)n;
}

static la_int64_t seek_to(struct archive *a, void *of, la_int64_t offset, int whence)
{
    (void)a;
    unpack *u = of;
    const la_int64_t size = (la_int64_t)u->map.size;
    const la_int64_t from = whence == SEEK_CUR ? (la_int64_t)u->at : whence == SEEK_END ? size : 0;
    if (offset < -from || offset > size - from) return ARCHIVE_FATAL;
    u->at = (size_t)(from + offset);
    return from + offset;
}

/* A filter that this libarchive was built without would be run as a program found by its name: not
 * for hostile input. A zip is read by its directory, as all others read it, not by what lies
 * between. */
static mc_status open_archive(unpack *u)
{
    u->in = archive_read_new();
    struct archive *a = u->in;
    if (!a) return mc_no_room(u->err, "libarchive");
    if (archive_read_support_format_zip_seekable(a) != ARCHIVE_OK ||
        archive_read_support_format_tar(a) != ARCHIVE_OK ||
        archive_read_support_filter_gzip(a) != ARCHIVE_OK ||
        archive_read_support_filter_bzip2(a) != ARCHIVE_OK ||
        archive_read_support_filter_xz(a) != ARCHIVE_OK ||
        archive_read_support_filter_zstd(a) != ARCHIVE_OK)
        return refuse(u, MC_E_UNSUPPORTED, "libarchive lacks gzip, bzip2, xz or zstd");
    archive_read_set_callback_data(a, u);
    archive_read_set_read_callback(a, give_block);
    archive_read_set_skip_callback(a, skip_bytes);
    archive_read_set_seek_callback(a, seek_to);
    return archive_read_open1(a) == ARCHIVE_OK ? MC_OK : broken(u);
}

/* ---- names ---- */

/* Copies the entry's name without "." and empty components; ".." and roots are refused. */
static mc_status take_name(unpack *u, struct archive_entry *e)
{
    const char *raw = archive_entry_pathname(e); /* NULL when the locale cannot say it */
    if (!raw) raw = archive_entry_pathname_utf8(e);
    snprintf(u->name, sizeof u->name, "%s", raw ? raw : "");
    if (!raw || raw[0] == '\0') return refuse(u, MC_E_FORMAT, "entry %zu has no name", u->entries);
    if (strlen(raw) > MC_ARCHIVE_NAME_LIMIT) return refuse_entry(u, "has a name beyond 4096 bytes");
    if (raw[0] == '/' || strchr(raw, '\\')) return refuse_entry(u, "leaves the archive");

    size_t n = 0;
    for (const char *part = raw; *part;) {
        const size_t length = strcspn(part, "/");
        if (length == 2 && memcmp(part, "..", 2) == 0) return refuse_entry(u, "leaves the archive");
        if (length > 0 && !(length == 1 && *part == '.')) {
            if (n > 0) u->name[n++] = '/';
            memmove(u->name + n, part, length);
            n += length;
        }
        part += length + (part[length] == '/');
    }
    u->name[n] = '\0';
    return MC_OK;
}

/* At the top or in a folder at the top, with a name that models use. Others may lie there as they
 * like. */
static bool is_wanted(const char *name)
{
    const char *slash = strchr(name, '/');
    const char *base = slash ? slash + 1 : name;
    return !strchr(base, '/') && base[0] != '.' && mc_is_model_file(base);
}

static bool is_printable(const char *name)
{
    char shown[MC_ARCHIVE_NAME_LIMIT + 8];
    return strcmp(mc_show_path(name, shown, sizeof shown), name) == 0;
}

static unpacked *find(unpack *u, const char *name)
{
    for (size_t i = 0; i < u->files; i++)
        if (strcmp(u->file[i].name, name) == 0) return &u->file[i];
    return NULL;
}

/* ---- unpacking ---- */

static mc_status over_limit(unpack *u)
{
    return refuse(u, MC_E_BUDGET,
                  "entry %s: the archive unpacks to more than %" PRIu64 " bytes, the limit",
                  mc_quote(u->name).text, u->limit);
}

/* Refuses what cannot fit before a byte of it is written. */
static mc_status check_room(unpack *u, struct archive_entry *e, const mc_scratch *scratch)
{
    if (!archive_entry_size_is_set(e)) return MC_OK;
    const la_int64_t size = archive_entry_size(e);
    if (size < 0 || (uint64_t)size > u->limit - u->used) return over_limit(u);

    uint64_t bytes_free;
    if (!scratch || !mc_scratch_left(scratch, &bytes_free)) return MC_OK;
    if ((uint64_t)size > bytes_free)
        return refuse(u, MC_E_IO, "entry %s needs %" PRIu64 " bytes, %s has %" PRIu64,
                      mc_quote(u->name).text, (uint64_t)size, scratch->dir, bytes_free);
    return MC_OK;
}

static mc_status copy_data(unpack *u, struct archive_entry *e, const mc_scratch *scratch)
{
    uint64_t total = 0;
    for (;;) {
        const la_ssize_t n = archive_read_data(u->in, u->block, BLOCK);
        if (n < 0) return broken(u);
        if (n == 0) break;
        if ((uint64_t)n > u->limit - u->used) return over_limit(u);
        u->used += (uint64_t)n;
        total += (uint64_t)n;
        MC_TRY(mc_scratch_write(scratch, u->block, (size_t)n, u->err));
    }
    if (archive_entry_size_is_set(e) && total != (uint64_t)archive_entry_size(e))
        return refuse(u, MC_E_FORMAT, "entry %s unpacks to %" PRIu64 " bytes, must be %" PRIu64,
                      mc_quote(u->name).text, total, (uint64_t)archive_entry_size(e));
    return MC_OK;
}

static mc_status check_entry(unpack *u, struct archive_entry *e)
{
    if (!is_printable(u->name)) return refuse_entry(u, "has a name that cannot be shown");
    if (archive_entry_hardlink(e) || archive_entry_filetype(e) == AE_IFLNK)
        return refuse_entry(u, "is a link, must be the file itself");
    if (archive_entry_filetype(e) != AE_IFREG) return refuse_entry(u, "is not a regular file");
    if (find(u, u->name)) return refuse_entry(u, "appears twice");
    if (archive_entry_is_encrypted(e))
        return refuse(u, MC_E_UNSUPPORTED, "entry %s is encrypted", mc_quote(u->name).text);
    if (u->files == MC_ARCHIVE_FILES)
        return refuse(u, MC_E_UNSUPPORTED, "holds more than %d files to unpack",
                      (int)MC_ARCHIVE_FILES);
    return MC_OK;
}

static mc_status unpack_entry(unpack *u, struct archive_entry *e)
{
    MC_TRY(check_entry(u, e));
    const char *name = mc_copy_text(&u->region.arena, u->name, strlen(u->name));
    if (!name) return mc_no_room(u->err, "the list of entries");

    mc_scratch scratch;
    MC_TRY(mc_scratch_open(u->options->spill_dir, &scratch, u->err));
    unpacked *file = &u->file[u->files];
    *file = (unpacked){.name = name};
    char shown[MC_PREFIX_ROOM];
    snprintf(shown, sizeof shown, "%s/%s", u->path, name);

    mc_status status = check_room(u, e, &scratch);
    if (status == MC_OK) status = copy_data(u, e, &scratch);
    if (status == MC_OK) status = mc_scratch_map(&scratch, shown, &file->map, u->err);
    if (status == MC_OK) u->files++;
    mc_scratch_close(&scratch);
    return status;
}

/* To pass over data in a compressed tar means to unpack it, so it counts too. */
static mc_status pass_over(unpack *u, struct archive_entry *e)
{
    if (mc_ends_with(u->name, "data.pkl")) u->has_pickle = true;
    if (archive_filter_code(u->in, 0) == ARCHIVE_FILTER_NONE) return MC_OK;
    MC_TRY(check_room(u, e, NULL));
    if (archive_entry_size_is_set(e)) u->used += (uint64_t)archive_entry_size(e);
    return MC_OK;
}

static mc_status unpack_all(unpack *u)
{
    for (;;) {
        struct archive_entry *e;
        const int found = archive_read_next_header(u->in, &e);
        if (found == ARCHIVE_EOF) return MC_OK;
        if (found != ARCHIVE_OK && found != ARCHIVE_WARN) return broken(u);
        if (++u->entries > MC_ARCHIVE_ENTRIES)
            return refuse(u, MC_E_FORMAT, "has more than %d entries", (int)MC_ARCHIVE_ENTRIES);
        MC_TRY(take_name(u, e));
        const bool wanted = u->wanted(u->name) && archive_entry_filetype(e) != AE_IFDIR;
        MC_TRY(wanted ? unpack_entry(u, e) : pass_over(u, e));
    }
}

/* ---- what was unpacked, as a folder ---- */

static bool spilled_has(const mc_folder *folder, const char *name)
{
    unpack *u = folder->of;
    char full[2 * MC_ARCHIVE_NAME_LIMIT];
    snprintf(full, sizeof full, "%s%s", u->top, name);
    return find(u, full) != NULL;
}

/* Each file is asked for once, and its map goes to the one who asks. */
static mc_status spilled_map(const mc_folder *folder, const char *name, mc_map *out, mc_err *err)
{
    unpack *u = folder->of;
    char full[2 * MC_ARCHIVE_NAME_LIMIT];
    snprintf(full, sizeof full, "%s%s", u->top, name);
    unpacked *file = find(u, full);
    if (!file) return mc_fail(err, MC_E_IO, "%s%s: no such entry", folder->prefix, name);
    *out = file->map;
    file->map = (mc_map){0};
    return MC_OK;
}

static mc_status spilled_list(const mc_folder *folder, void (*see)(void *to, const char *name),
                              void *to, mc_err *err)
{
    (void)err;
    unpack *u = folder->of;
    const size_t n = strlen(u->top);
    for (size_t i = 0; i < u->files; i++)
        if (strncmp(u->file[i].name, u->top, n) == 0 && !strchr(u->file[i].name + n, '/'))
            see(to, u->file[i].name + n);
    return MC_OK;
}

/* The folder of the weights: the top, when there are any, else the one folder in it that has some.
 */
static mc_status find_top(unpack *u)
{
    const char *first = NULL;
    for (size_t i = 0; i < u->files; i++) {
        const char *name = u->file[i].name, *slash = strchr(name, '/');
        if (!mc_ends_with(name, ".safetensors")) continue;
        if (!slash) {
            u->top[0] = '\0';
            return MC_OK;
        }
        const size_t n = (size_t)(slash + 1 - name);
        if (first && (strlen(u->top) != n || strncmp(name, u->top, n) != 0))
            return refuse(u, MC_E_FORMAT, "holds models in two folders, %s and %s",
                          mc_quote(first).text, mc_quote(name).text);
        if (!first) snprintf(u->top, sizeof u->top, "%.*s", (int)n, name);
        first = first ? first : name;
    }
    if (first) return MC_OK;
    if (u->has_pickle)
        return refuse(u, MC_E_UNSUPPORTED,
                      "is a pickle of PyTorch, which can run any code when it is read: save it as "
                      "safetensors");
    return refuse(u, MC_E_FORMAT,
                  "holds no .safetensors file at its top or in a folder there (%zu entries)",
                  u->entries);
}

static mc_status build_model(unpack *u, mc_model *out)
{
    mc_folder folder = {.of = u, .has = spilled_has, .map = spilled_map, .list = spilled_list};
    const int n = snprintf(folder.prefix, sizeof folder.prefix, "%s/%s", u->path, u->top);
    if (n < 0 || (size_t)n >= sizeof folder.prefix)
        return refuse(u, MC_E_IO, "path is longer than %d bytes", MC_PREFIX_ROOM - 1);
    const mc_model_files files = {.format = "archive", .path = u->path, .archive = &u->map};
    return mc_model_from_folder(&folder, files, out, u->err);
}

static mc_status open_lists(unpack *u)
{
    const size_t each = sizeof(unpacked) + MC_ARCHIVE_NAME_LIMIT + 128;
    MC_TRY(mc_region_open(&u->region, MC_ARCHIVE_FILES * each + BLOCK + 512, u->err));
    u->file = MC_NEW_RAW(&u->region.arena, unpacked, MC_ARCHIVE_FILES);
    u->block = MC_NEW_RAW(&u->region.arena, unsigned char, BLOCK);
    return u->file && u->block ? MC_OK : mc_no_room(u->err, "the list of entries");
}

static mc_status unpack_wanted(unpack *u)
{
    const mc_read_options *options = u->options;
    u->limit = options->spill_limit ? options->spill_limit : MC_SPILL_LIMIT;
    mc_status status = mc_map_open(u->path, options->no_follow ? MC_NO_FOLLOW : 0, &u->map, u->err);
    if (status == MC_OK) status = open_lists(u);
    if (status == MC_OK) status = open_archive(u);
    if (status == MC_OK) status = unpack_all(u);
    archive_read_free(u->in);
    mc_map_release(&u->map, 0, u->map.size);
    return status;
}

static void close_files(unpacked *file, size_t files, mc_region *region)
{
    for (size_t i = 0; i < files; i++) mc_map_close(&file[i].map);
    mc_region_close(region);
}

static mc_status read_model(const char *path, const mc_read_options *options, mc_model *out,
                            mc_err *err)
{
    unpack u = {.path = path, .options = options, .wanted = is_wanted, .err = err};
    mc_status status = unpack_wanted(&u);
    if (status == MC_OK) status = find_top(&u);
    if (status == MC_OK) status = build_model(&u, out);
    close_files(u.file, u.files, &u.region);
    mc_map_close(&u.map);
    return status;
}

/* ---- for other readers ---- */

mc_status mc_archive_read(const char *path, bool (*wanted)(const char *name),
                          const mc_read_options *options, mc_archive_files *out, mc_err *err)
{
    unpack u = {.path = path, .options = options, .wanted = wanted, .err = err};
    *out = (mc_archive_files){0};
    const mc_status status = unpack_wanted(&u);
    mc_map_close(&u.map);
    if (status == MC_OK)
        *out = (mc_archive_files){u.file, u.files, u.region};
    else
        close_files(u.file, u.files, &u.region);
    return status;
}

void mc_archive_close(mc_archive_files *files)
{
    close_files(files->file, files->files, &files->memory);
    *files = (mc_archive_files){0};
}

/* ---- as a format ---- */

static bool begins(const unsigned char *head, size_t bytes, const char *magic, size_t at)
{
    const size_t n = strlen(magic);
    return bytes >= at + n && memcmp(head + at, magic, n) == 0;
}

bool mc_is_archive(const unsigned char *head, size_t bytes)
{
    static const struct {
        const char *magic;
        size_t at;
    } known[] = {{"PK\3\4", 0},
                 {"PK\5\6", 0},
                 {"\x1f\x8b", 0},
                 {"\xfd"
                  "7zXZ",
                  0},
                 {"\x28\xb5\x2f\xfd", 0},
                 {"BZh", 0},
                 {"ustar", 257}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (begins(head, bytes, known[i].magic, known[i].at)) return true;
    return false;
}

/* A header's length can look like the magic of gzip, so what is a safetensors file by all signs is
 * one. */
static bool bids(const mc_probe *probe)
{
    if (probe->is_folder || mc_ends_with(probe->path, ".safetensors") ||
        mc_safetensors_is(probe->head, probe->head_bytes, probe->file_bytes))
        return false;
    return mc_is_archive(probe->head, probe->head_bytes) || mc_ends_with(probe->path, ".tar");
}

const mc_format_reader mc_format_archive = {
    .bids = bids,
    .read = read_model,
};

const char *mc_archive_library(void)
{
    return archive_version_string();
}
