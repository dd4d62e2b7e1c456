/* From files to a model: what the readers share.
 *
 * A reader finds out which files belong together; mc_model_build maps them, checks them and lists
 * their tensors. It reaches files by name through an mc_folder, so a folder on disk and an unpacked
 * archive are the same to it. */
#ifndef MC_FORMATS_MODEL_BUILD_H
#define MC_FORMATS_MODEL_BUILD_H

#include "core/arena.h"
#include "core/model.h"
#include "formats/formats.h"

#include <stdbool.h>

/* ---- files by name ---- */

enum { MC_PREFIX_ROOM = 4096 };

typedef struct mc_folder mc_folder;
struct mc_folder {
    char prefix[MC_PREFIX_ROOM]; /* in front of each name: "models/tiny/", "tiny.zip/", "" */
    unsigned flags;              /* of mc_map_open */
    void *of;                    /* what the functions need */

    /* A name has no slash. A link that leads nowhere is there, and fails in `map`. */
    bool (*has)(const mc_folder *folder, const char *name);
    mc_status (*map)(const mc_folder *folder, const char *name, mc_map *out, mc_err *err);

    /* Calls see(to, name) for every entry, in any order. */
    mc_status (*list)(const mc_folder *folder, void (*see)(void *to, const char *name), void *to,
                      mc_err *err);
};

/* The folder `path` on disk, or the folder that the file `path` is in. */
mc_status mc_folder_at(const char *path, const mc_read_options *options, mc_folder *out,
                       mc_err *err);
mc_status mc_folder_beside(const char *path, const mc_read_options *options, mc_folder *out,
                           mc_err *err);

bool mc_ends_with(const char *name, const char *end);

/* Does a file of this name belong to a Hugging Face model? */
bool mc_is_model_file(const char *name);

/* ---- the model ---- */

typedef struct {
    const char *format;
    const char *path;    /* as the user gave it */
    const char *weights; /* the one file with weights, or NULL and */
    const char *index;   /* the index of the files with weights */
    bool no_sides;       /* config and tokenizer are not looked for */
    mc_map *archive;     /* all came out of it; becomes a source on success. May be NULL */
} mc_model_files;

mc_status mc_model_build(const mc_folder *folder, const mc_model_files *files, mc_model *out,
                         mc_err *err);

/* Finds weights or index in the folder (`files` says all else), and builds the model. */
mc_status mc_model_from_folder(const mc_folder *folder, mc_model_files files, mc_model *out,
                               mc_err *err);

/* Sorts tensors by name, bytewise; was[i] is where the i-th stood before. False when `scratch` is
 * smaller than mc_sort_tensors_memory(). n fits 32 bits. */
size_t mc_sort_tensors_memory(size_t n);
bool mc_sort_tensors(mc_tensor *t, size_t n, uint32_t *was, mc_arena scratch);

/* ---- the index of a model in several files ---- */

typedef struct {
    const char *tensor;
    const char *shard;
} mc_shard_entry;

typedef struct {
    mc_shard_entry *entry; /* by tensor name */
    size_t entries;
    const char **shard; /* each once, by name */
    size_t shards;
} mc_shard_index;

/* Room that mc_shard_index_parse takes of `mem` at most. */
size_t mc_shard_index_memory(const mc_map *file);
mc_status mc_shard_index_parse(const mc_map *file, const char *path, mc_arena *mem,
                               mc_shard_index *out, mc_err *err);

#endif
