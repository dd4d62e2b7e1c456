/* Readers: a path goes in, an mc_model comes out.
 *
 * To add a format, write formats/<name>.c that defines mc_format_<name>, and add X(<name>) to the
 * list. The first reader whose `bids` says yes to the path reads it. Limits stand in
 * formats/limits.h. */
#ifndef MC_FORMATS_FORMATS_H
#define MC_FORMATS_FORMATS_H

#include "core/err.h"
#include "core/model.h"

#include <stdbool.h>

#define MC_FORMATS(X) \
    X(hf_folder)      \
    X(archive)        \
    X(safetensors)    \
    X(onnx)           \
    /* end */

/* Files that a model names itself: external data of ONNX. Always relative to the name that the
 * model was given by, below its folder, and never through "..". */
typedef enum {
    MC_EXTERNAL_STRICT, /* neither symbolic links nor files with a second hard link */
    MC_EXTERNAL_FOLLOW, /* both are followed: caches of Hugging Face are made of links */
    MC_EXTERNAL_NONE,   /* no such file is opened: a tensor that lies in one is refused */
    MC_EXTERNAL_ABSENT, /* no such file is opened: a tensor that lies in one has data NULL */
} mc_external_policy;

typedef struct {
    bool no_follow;       /* refuse symlinked files */
    mc_external_policy external;
    uint64_t spill_limit; /* most bytes an archive may unpack to; 0 = MC_SPILL_LIMIT */
    const char *spill_dir;/* folder for unlinked scratch files; NULL = $TMPDIR or /tmp */
} mc_read_options;

/* What a bidder may look at: the name, whether it is a folder, and the first bytes of a file. */
typedef struct {
    const char *path;
    bool is_folder;
    unsigned char head[512];
    size_t head_bytes;
    uint64_t file_bytes;
} mc_probe;

typedef struct {
    bool (*bids)(const mc_probe *probe);
    mc_status (*read)(const char *path, const mc_read_options *options, mc_model *out, mc_err *err);
} mc_format_reader;

#define X(name) extern const mc_format_reader mc_format_##name;
MC_FORMATS(X)
#undef X

/* Reads the model at `path`: an .onnx file, a .safetensors file (with config.json and tokenizer
 * files beside it, when they are there and no_follow is not asked for), a Hugging Face folder, a
 * model.safetensors.index.json, or a zip/tar archive of those. `options` may be NULL. Messages
 * begin with the path of the file that is wrong. mc_model_close() the result.
 *
 * Sources come in this order, by role: "weights" (by file name), "index", "config",
 * "generation_config", "tokenizer", "tokenizer_model", "tokenizer_config",
 * "special_tokens_map", "archive". All are files on disk, unless there is an "archive": then
 * that one is, and the paths of the others are its path, a slash, and the name inside. Of ONNX the
 * model itself comes first, then its external files by name; all are "weights".
 *
 * Of shards only the tensors in weight_map count; others are left out with a warning. Metadata
 * is that of all shards; the first by file name wins, with a warning, when they disagree. */
mc_status mc_model_open(const char *path, const mc_read_options *options, mc_model *out,
                        mc_err *err);

/* Name and version of the library that unpacks archives. */
const char *mc_archive_library(void);

#endif
