/* External data of ONNX: bytes of tensors in files beside the model (ExternalData.md), opened under
 * the rules of ExternalDataSecurity.md.
 *
 * A location is a relative path below the model's folder. It is walked component by component from
 * a descriptor of that folder, none of them a link, so nothing that changes meanwhile can lead out
 * of it. */
#include "core/ckd.h"
#include "core/log.h"
#include "formats/limits.h"
#include "formats/model_build.h"
#include "formats/onnx_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- the entries ---- */

enum { LOCATION, OFFSET, LENGTH, CHECKSUM, BASEPATH, KEYS };
static const char *const key_name[KEYS] = {"location", "offset", "length", "checksum", "basepath"};

typedef struct {
    mc_cursor value[KEYS]; /* at NULL: not there */
} entries;

static mc_status read_entry(mc_cursor in, entries *e, mc_err *err)
{
    mc_cursor key = {in.end, in.end}, value = key;
    mc_wire_field f;
    while (mc_wire_next(&in, &f)) {
        if (f.number == 1) key = f.bytes;
        if (f.number == 2) value = f.bytes;
    }
    size_t k = 0;
    while (k < KEYS && !mc_onnx_is(key, key_name[k])) k++;
    if (k == KEYS)
        return mc_fail(err, MC_E_FORMAT,
                       "external_data has key %s, allowed are location, offset, length, checksum "
                       "and basepath",
                       mc_onnx_quote(key).text);
    if (e->value[k].at)
        return mc_fail(err, MC_E_FORMAT, "external_data has key \"%s\" twice", key_name[k]);
    e->value[k] = value;
    return MC_OK;
}

static mc_status read_entries(mc_cursor tensor, entries *e, mc_err *err)
{
    mc_wire_field f;
    while (mc_wire_next(&tensor, &f))
        if (f.number == 13) MC_TRY(read_entry(f.bytes, e, err));
    if (!e->value[LOCATION].at)
        return mc_fail(err, MC_E_FORMAT, "external_data has no key \"location\"");
    if (e->value[BASEPATH].at < e->value[BASEPATH].end)
        return mc_fail(err, MC_E_UNSUPPORTED,
                       "external_data has basepath %s: locations are only looked for beside the "
                       "model",
                       mc_onnx_quote(e->value[BASEPATH]).text);
    return MC_OK;
}

/* Digits alone: "-1", "+1", " 1" and "0x1" are no numbers here. */
static mc_status number(const entries *e, int key, uint64_t *out, mc_err *err)
{
    mc_cursor c = e->value[key];
    bool good = c.at < c.end;
    uint64_t n = 0;
    for (; good && c.at < c.end; c.at++) {
        const unsigned digit = (unsigned)*c.at - '0';
        good = digit <= 9 && mc_mul_u64(n, 10, &n) && mc_add_u64(n, digit, &n);
    }
    if (!good)
        return mc_fail(err, MC_E_FORMAT,
                       "external_data has %s %s, must be a whole number from 0 to 2^64-1",
                       key_name[key], mc_onnx_quote(e->value[key]).text);
    *out = n;
    return MC_OK;
}

/* ---- opening ---- */

enum { LOCATION_LIMIT = 4096 };

static mc_status bad_location(const char *location, const char *why, mc_err *err)
{
    return mc_fail(err, MC_E_FORMAT, "external_data has location %s, %s", mc_quote(location).text,
                   why);
}

static mc_status check_location(const char *location, mc_err *err)
{
    if (strlen(location) > LOCATION_LIMIT)
        return bad_location(location, "which is longer than 4096 bytes", err);
    if (location[0] == '/' || location[0] == '\0')
        return bad_location(location, "must be a path below the model's folder", err);
    for (const char *at = location; *at;) {
        const size_t n = strcspn(at, "/");
        if (n == 0 || (at[n] == '/' && at[n + 1] == '\0'))
            return bad_location(location, "must be the path of a file", err);
        if (n == 2 && at[0] == '.' && at[1] == '.')
            return bad_location(location, "must be without \"..\"", err);
        at += n + (at[n] == '/');
    }
    return MC_OK;
}

static int open_at(int folder, const char *name, int flags)
{
    int fd;
    do fd = openat(folder, name, flags | O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    while (fd < 0 && errno == EINTR);
    return fd;
}

/* Links show as ELOOP, or as ENOTDIR where a folder is wanted. */
static mc_status cannot_open(const mc_onnx_externals *x, int folder, const char *name,
                             const char *path, mc_err *err)
{
    const int error = errno;
    struct stat about;
    if (x->policy == MC_EXTERNAL_STRICT &&
        fstatat(folder, name, &about, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(about.st_mode))
        return mc_fail(err, MC_E_FORMAT,
                       "%s: %s is a symbolic link, which external data must not be unless links "
                       "are followed",
                       path, mc_quote(name).text);
    return mc_fail_errno(err, error, "%s: cannot open", path);
}

/* Walks down to the file. *fd is open on success. */
static mc_status open_below(const mc_onnx_externals *x, const char *location, const char *path,
                            int *fd, mc_err *err)
{
    const int no_links = x->policy == MC_EXTERNAL_STRICT ? O_NOFOLLOW : 0;
    const char *slash = strrchr(x->model, '/');
    char name[LOCATION_LIMIT + 1];
    const size_t length = slash ? (size_t)(slash + 1 - x->model) : 0;
    if (length > LOCATION_LIMIT)
        return mc_fail(err, MC_E_IO, "%s: path is longer than %d bytes", path, LOCATION_LIMIT);
    memcpy(name, x->model, length);
    name[length] = '\0';
    int folder = open_at(AT_FDCWD, length > 0 ? name : ".", O_DIRECTORY);
    if (folder < 0) return mc_fail_errno(err, errno, "%s: cannot open", length > 0 ? name : ".");

    for (const char *at = location;;) {
        const size_t n = strcspn(at, "/");
        memcpy(name, at, n);
        name[n] = '\0';
        *fd = open_at(folder, name, no_links | (at[n] == '/' ? O_DIRECTORY : 0));
        const mc_status status = *fd < 0 ? cannot_open(x, folder, name, path, err) : MC_OK;
        close(folder);
        if (status != MC_OK || at[n] == '\0') return status;
        folder = *fd;
        at += n + 1;
    }
}

/* A second hard link may be anyone's file that was linked to here. */
static mc_status check_links(const mc_onnx_externals *x, int fd, const char *path, mc_err *err)
{
    struct stat about;
    if (x->policy != MC_EXTERNAL_STRICT) return MC_OK;
    if (fstat(fd, &about) != 0) return mc_fail_errno(err, errno, "%s: cannot stat", path);
    if (S_ISREG(about.st_mode) && about.st_nlink > 1)
        return mc_fail(err, MC_E_FORMAT,
                       "%s: has %ju hard links, external data must have 1 unless links are "
                       "followed",
                       path, (uintmax_t)about.st_nlink);
    return MC_OK;
}

static mc_status open_file(mc_onnx_externals *x, const char *location, mc_err *err)
{
    if (x->files == MC_SHARD_LIMIT)
        return mc_fail(err, MC_E_UNSUPPORTED, "more than %d external files are named",
                       (int)MC_SHARD_LIMIT);
    const char *slash = strrchr(x->model, '/');
    const int prefix = slash ? (int)(slash + 1 - x->model) : 0;
    const char *path = mc_format(x->mem, "%.*s%s", prefix, x->model, location);
    if (!path) return mc_no_room(err, "the list of files");

    int fd;
    mc_source *s = &x->file[x->files];
    *s = (mc_source){.path = path, .role = "weights"};
    MC_TRY(open_below(x, location, path, &fd, err));
    mc_status status = check_links(x, fd, path, err);
    if (status == MC_OK) status = mc_map_open_fd(fd, path, &s->map, err);
    close(fd);
    if (status == MC_OK) x->files++;
    return status;
}

static mc_status find_file(mc_onnx_externals *x, mc_cursor location, uint32_t *file, mc_err *err)
{
    const size_t length = mc_left(&location);
    *file = mc_onnx_names_find(&x->names, (const char *)location.at, length);
    if (*file != MC_NONE) return MC_OK;

    const char *name = mc_copy_text(x->work, (const char *)location.at, length);
    if (!name) return mc_no_room(err, "the list of files");
    MC_TRY(check_location(name, err));
    *file = (uint32_t)x->files;
    MC_TRY(open_file(x, name, err));
    if (mc_onnx_names_add(&x->names, x->work, name, length, *file) != MC_NAMES_ADDED)
        return mc_no_room(err, "the list of files");
    return MC_OK;
}

mc_status mc_onnx_external(mc_onnx_externals *x, mc_cursor tensor, mc_raw *out, uint32_t *file,
                           mc_err *err)
{
    entries e = {0};
    uint64_t offset = 0, length = 0, end;
    MC_TRY(read_entries(tensor, &e, err));
    if (e.value[OFFSET].at) MC_TRY(number(&e, OFFSET, &offset, err));
    if (e.value[LENGTH].at) MC_TRY(number(&e, LENGTH, &length, err));
    if (!x || x->policy == MC_EXTERNAL_NONE)
        return mc_fail(err, MC_E_UNSUPPORTED,
                       "its data is in file %s, and files beside the model "
                       "are not opened",
                       mc_onnx_quote(e.value[LOCATION]).text);

    if (x->policy == MC_EXTERNAL_ABSENT) {
        *out = (mc_raw){0};
        *file = MC_NONE;
        return MC_OK;
    }
    const size_t before = x->files;
    MC_TRY(find_file(x, e.value[LOCATION], file, err));
    const mc_source *s = &x->file[*file];
    if (e.value[CHECKSUM].at && x->files > before)
        mc_log(MC_LOG_WARNING, "%s: the checksum that the model gives is not checked", s->path);
    if (!e.value[LENGTH].at) length = offset <= s->map.size ? s->map.size - offset : 0;
    if (!mc_add_u64(offset, length, &end) || end > s->map.size)
        return mc_fail(err, MC_E_FORMAT,
                       "external_data has offset %" PRIu64 " and length %" PRIu64
                       ", but %s has %zu bytes",
                       offset, length, s->path, s->map.size);
    *out = (mc_raw){s->map.data ? s->map.data + offset : NULL, (size_t)length};
    return MC_OK;
}
