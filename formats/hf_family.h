/* Hugging Face families: config.json and tensor names become a graph.
 *
 * To add a family, write formats/hf_<name>.c that defines mc_family_<name>, and add it to the list
 * (those that differ by a few flags share a file). What families are built of stands in
 * hf_blocks.h, what decoders of Llama's descent share in hf_decoder.h, what older transformers
 * share in hf_classic.h. */
#ifndef MC_FORMATS_HF_FAMILY_H
#define MC_FORMATS_HF_FAMILY_H

#include "core/graph.h"
#include "core/json.h"
#include "core/model.h"

#define MC_FAMILIES(X) \
    X(llama)           \
    X(mistral)         \
    X(qwen2)           \
    X(qwen3)           \
    X(phi3)            \
    X(gemma2)          \
    X(mixtral)         \
    X(mamba2)          \
    X(gpt2)            \
    X(opt)             \
    X(bert)            \
    X(vit)             \
    X(whisper)         \
    /* end */

/* What a build works with. */
typedef struct {
    mc_model *model;       /* tensors by name; task and context are set by the build */
    const mc_json *config; /* config.json */
    const char *path;      /* of config.json, for messages */
    mc_arena *mem;         /* the model's */
    mc_graph *graph;       /* to be filled: inputs, nodes, outputs */
} mc_family_build;

typedef struct {
    const char *const *architectures; /* of config.json, NULL-terminated */

    /* MC_E_FORMAT: a number is out of range or a tensor has another shape (names it, the value
     * found and the one allowed). MC_E_UNSUPPORTED: one of them is missing, or a variant of the
     * family is not built (rope type, activation): the model stays readable without a graph and
     * says why. */
    mc_status (*build)(mc_family_build *b, mc_err *err);
} mc_family;

#define X(name) extern const mc_family mc_family_##name;
MC_FAMILIES(X)
#undef X

/* Sets model->graph (ordered, checked), task, context; or model->no_graph. Called by mc_model_build
 * at its end. `config` is NULL when there is no config.json. A tensor that contradicts it is
 * MC_E_FORMAT. */
mc_status mc_family_attach(mc_model *model, const mc_json *config, mc_err *err);

/* How much of model->memory mc_family_attach takes at most, for a model of so many tensors. */
size_t mc_family_memory(size_t tensors);

/* Parses config.json. Python writes numbers without end as Infinity, which JSON has not: they
 * become null. */
mc_status mc_family_config(const mc_source *source, mc_json **out, mc_err *err);

#endif
