/* A model as it was read: tensors as views into mapped files, the files they come from, and what
 * lies beside them. Readers (formats/) build it; everything else only looks. */
#ifndef MC_CORE_MODEL_H
#define MC_CORE_MODEL_H

#include "core/arena.h"
#include "core/file.h"
#include "core/tensor.h"

/* A file that was read. Its path is for messages and depfiles; it never enters an output. */
typedef struct {
    const char *path;
    const char *role; /* "weights", "index", "config", …: the name of its hash in manifests */
    mc_map map;
} mc_source;

typedef struct {
    const char *key;
    const char *value;
} mc_pair;

typedef struct {
    const char *format; /* "safetensors", "hf-folder" */
    const char *path;   /* as the user gave it */
    mc_tensor *tensor;  /* in the order of their names (bytewise) */
    size_t tensors;
    mc_source *source; /* weights first, sorted by file name; then index, config, tokenizer … */
    size_t sources;
    mc_pair *metadata; /* of the file's header, sorted by key; no duplicates */
    size_t metadatas;
    const char *architecture; /* config.json's architectures[0], or NULL */
    bool tied_head;           /* config.json says tie_word_embeddings */
    mc_region memory;         /* owns all of the above */
} mc_model;

const mc_tensor *mc_model_find(const mc_model *model, const char *name);

/* The first source of that role, or NULL. */
const mc_source *mc_model_source(const mc_model *model, const char *role);

/* Bytes of the files of role "weights"; of the tensors when those lie in no file. */
uint64_t mc_model_weight_bytes(const mc_model *model);

/* Unmaps and frees everything; a zeroed model is allowed. */
void mc_model_close(mc_model *model);

#endif
