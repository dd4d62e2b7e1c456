/* The table of readers, and what is said about files that none of them takes. */
#include "formats/formats.h"

#include "formats/json_pull.h"
#include "formats/model_build.h"
#include "runtime/mcpk.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const mc_format_reader *const readers[] = {
#define X(name) &mc_format_##name,
    MC_FORMATS(X)
#undef X
};

enum { READERS = sizeof readers / sizeof readers[0] };

/* ---- files that are known, but not as models that can be read ---- */

static bool begins(const mc_probe *p, const char *magic, size_t n)
{
    return p->head_bytes >= n && memcmp(p->head, magic, n) == 0;
}

static bool is_container(const mc_probe *p)
{
    return begins(p, MCPK_MAGIC, MCPK_MAGIC_BYTES);
}

static bool is_gguf(const mc_probe *p)
{
    return begins(p, "GGUF", 4) || begins(p, "FUGG", 4);
}

/* Protocols 2 to 5 begin with an opcode and their number. */
static bool is_pickle(const mc_probe *p)
{
    return p->head_bytes >= 2 && p->head[0] == 0x80 && p->head[1] >= 2 && p->head[1] <= 5;
}

static bool is_hdf5(const mc_probe *p)
{
    return begins(p, "\x89HDF\r\n\x1a\n", 8);
}

static const struct {
    bool (*is)(const mc_probe *probe);
    const char *what;
} foreign[] = {
    {is_container, "is a container of mcompress: give the model that it was made from"},
    {is_gguf, "is a GGUF file, whose weights are packed already: give the safetensors model that "
              "it was made from"},
    {is_pickle,
     "is a pickle of PyTorch, which can run any code when it is read: save it as safetensors"},
    {is_hdf5, "is an HDF5 file: save its weights as safetensors"},
};

/* The first bytes, as far as they help to see what it is. */
static void show_head(const mc_probe *p, char *text, size_t room)
{
    const size_t n = p->head_bytes < 8 ? p->head_bytes : 8;
    size_t used = (size_t)snprintf(text, room, "%s", n ? "begins with" : "is empty");
    for (size_t i = 0; i < n; i++)
        used += (size_t)snprintf(text + used, room - used, " %02x", p->head[i]);
}

static mc_status refuse(const mc_probe *p, mc_err *err)
{
    char path[MC_PATH_ROOM], seen[64];
    mc_show_path(p->path, path, sizeof path);
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++)
        if (foreign[i].is(p))
            return mc_fail(err, MC_E_UNSUPPORTED, "%s: %s", path, foreign[i].what);
    show_head(p, seen, sizeof seen);
    return mc_fail(err, MC_E_FORMAT,
                   "%s: not an ONNX or safetensors file, Hugging Face folder or archive of those "
                   "(it %s)",
                   path, seen);
}

/* ---- opening ---- */

static mc_status look_at(const char *path, const mc_read_options *options, mc_probe *probe,
                         mc_err *err)
{
    struct stat about;
    *probe = (mc_probe){.path = path};
    if (stat(path, &about) != 0) return mc_fail_errno(err, errno, "%s: cannot open", path);
    probe->is_folder = S_ISDIR(about.st_mode);
    if (probe->is_folder) return MC_OK;

    mc_map map;
    MC_TRY(mc_map_open(path, options->no_follow ? MC_NO_FOLLOW : 0, &map, err));
    probe->file_bytes = map.size;
    probe->head_bytes = map.size < sizeof probe->head ? map.size : sizeof probe->head;
    if (map.data) memcpy(probe->head, map.data, probe->head_bytes);
    mc_map_close(&map);
    return MC_OK;
}

mc_status mc_model_open(const char *path, const mc_read_options *options, mc_model *out,
                        mc_err *err)
{
    static const mc_read_options defaults = {.spill_limit = 0};
    if (!options) options = &defaults;
    *out = (mc_model){0};

    mc_probe probe;
    MC_TRY(look_at(path, options, &probe, err));
    for (size_t i = 0; i < READERS; i++)
        if (readers[i]->bids(&probe)) return readers[i]->read(path, options, out, err);
    return refuse(&probe, err);
}
