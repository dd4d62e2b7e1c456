/* A model as it was read: tensors as views into mapped files, the files they come from, and what
 * lies beside them. Readers (formats/) build it; everything else only looks. */
#ifndef MC_CORE_MODEL_H
#define MC_CORE_MODEL_H

#include "core/arena.h"
#include "core/file.h"
#include "core/graph.h"
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

/* What a model computes, as far as graphs and people need it. */
typedef enum {
    MC_TASK_NONE,      /* not known: any inputs, any outputs */
    MC_TASK_CLASSIFY,  /* the first output is class scores of each sample */
    MC_TASK_LANGUAGE,  /* the first output is logits of the next token at each position */
} mc_task;

typedef struct {
    const char *domain; /* "" is ai.onnx */
    int64_t version;
} mc_opset;

struct mc_onnx_file;

typedef struct {
    const char *format; /* "safetensors", "hf-folder", "onnx" */
    const char *path;   /* as the user gave it */
    mc_tensor *tensor;  /* in the order of their names (bytewise) */
    size_t tensors;
    mc_source *source; /* weights first, sorted by file name; then index, config, tokenizer … */
    size_t sources;
    mc_pair *metadata; /* of the file's header, sorted by key; no duplicates */
    size_t metadatas;
    const char *architecture; /* config.json's architectures[0], or NULL */
    bool tied_head;           /* config.json says tie_word_embeddings */
    mc_graph *graph;          /* the source graph, or NULL: weights without nodes */
    const char *no_graph;     /* then why: "config.json names no architecture" */
    const struct mc_onnx_file *onnx; /* what an ONNX file holds besides (formats/onnx_file.h) */
    mc_opset *opset;          /* of ONNX: what the file imports */
    size_t opsets;
    mc_task task;
    uint64_t context;         /* language: most positions; 0 = not said */
    mc_region memory;         /* owns all of the above */
} mc_model;

const mc_tensor *mc_model_find(const mc_model *model, const char *name);

/* Where the tensor's bytes begin in its source's map; false when they lie in memory of the model's
 * own (numbers that the file spells out element by element). */
bool mc_tensor_in_file(const mc_model *model, const mc_tensor *tensor, uint64_t *at);

/* The first source of that role, or NULL. */
const mc_source *mc_model_source(const mc_model *model, const char *role);

/* Bytes of the files of role "weights"; of the tensors when those lie in no file. */
uint64_t mc_model_weight_bytes(const mc_model *model);

/* Unmaps and frees everything; a zeroed model is allowed. */
void mc_model_close(mc_model *model);

#endif
