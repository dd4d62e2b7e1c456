/* Picks the family of a model by config.json, and lets it build the graph. */
#include "formats/hf_family.h"

#include "formats/json_pull.h"
#include "formats/limits.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const mc_family *const family[] = {
#define X(name) &mc_family_##name,
    MC_FAMILIES(X)
#undef X
};

enum { FAMILIES = sizeof family / sizeof family[0] };

/* A tensor makes a handful of values and nodes, each with a name, lists and attributes that start
 * at multiples of 64 bytes. A stack of experts is one tensor but many nodes: room for thousands. */
enum { BYTES_A_TENSOR = 24 << 10, BYTES_A_MODEL = 32 << 20 };

size_t mc_family_memory(size_t tensors)
{
    return tensors * BYTES_A_TENSOR + BYTES_A_MODEL;
}

/* ---- config.json ---- */

/* Blanks out every bare Infinity: only outside of strings. */
static void without_infinity(char *text, size_t bytes)
{
    static const char word[] = "Infinity";
    const size_t length = sizeof word - 1;
    bool inside = false;
    for (size_t i = 0; i < bytes; i++) {
        if (inside && text[i] == '\\')
            i++;
        else if (text[i] == '"')
            inside = !inside;
        else if (!inside && bytes - i >= length && memcmp(text + i, word, length) == 0)
            memcpy(text + i, "null    ", length);
    }
}

mc_status mc_family_config(const mc_source *source, mc_json **out, mc_err *err)
{
    const mc_map *map = &source->map;
    if (map->size > MC_CONFIG_LIMIT)
        return mc_fail(err, MC_E_FORMAT,
                       "%s: file is %zu bytes long, at most %" PRIu64 " are allowed", source->path,
                       map->size, MC_CONFIG_LIMIT);
    mc_region region;
    MC_TRY(mc_region_open(&region, map->size + 1, err));
    char *text = region.base;
    if (map->size > 0) memcpy(text, map->data, map->size);
    without_infinity(text, map->size);
    const mc_status status = mc_json_parse(text, map->size, source->path, out, err);
    mc_region_close(&region);
    return status;
}

/* ---- which family ---- */

static const mc_family *find(const char *architecture)
{
    for (size_t i = 0; i < FAMILIES; i++)
        for (const char *const *name = family[i]->architectures; *name; name++)
            if (strcmp(*name, architecture) == 0) return family[i];
    return NULL;
}

static mc_status no_graph(mc_model *model, const char *why, mc_err *err)
{
    model->no_graph = mc_copy_text(&model->memory.arena, why, strlen(why));
    return model->no_graph ? MC_OK : mc_no_room(err, "the model");
}

static mc_status unknown(mc_model *model, mc_err *err)
{
    char why[1024];
    const mc_quoted name = mc_quote(model->architecture);
    int n = snprintf(why, sizeof why,
                     "config.json: architecture %s is not one that can be run (known: ", name.text);
    for (size_t i = 0; i < FAMILIES; i++)
        for (const char *const *at = family[i]->architectures; *at; at++)
            if (n > 0 && (size_t)n < sizeof why)
                n += snprintf(why + n, sizeof why - (size_t)n, "%s, ", *at);
    if (n > 2 && (size_t)n < sizeof why) snprintf(why + n - 2, 3, ")");
    return no_graph(model, why, err);
}

static mc_status build(mc_model *model, const mc_family *of, mc_family_build *b, mc_err *err)
{
    b->graph = mc_graph_new(b->mem, model->architecture);
    if (!b->graph) return mc_no_room(err, "the graph");
    MC_TRY(of->build(b, err));
    MC_TRY(mc_graph_check(b->graph, b->path, err));
    MC_TRY(mc_graph_order(b->graph, b->path, *b->mem, err));
    model->graph = b->graph;
    return MC_OK;
}

mc_status mc_family_attach(mc_model *model, const mc_json *config, mc_err *err)
{
    const mc_source *source = mc_model_source(model, "config");
    if (!source || !config) return no_graph(model, "there is no config.json", err);
    if (!model->architecture) return no_graph(model, "config.json names no architecture", err);
    const mc_family *of = find(model->architecture);
    if (!of) return unknown(model, err);
    if (mc_json_is_object(mc_json_get(config, "quantization_config")))
        return no_graph(model,
                        "config.json: quantization_config says that the weights are "
                        "quantized already, which cannot be run",
                        err);

    const mc_arena before = model->memory.arena;
    const bool tied_head = model->tied_head;
    mc_family_build b = {
        .model = model, .config = config, .path = source->path, .mem = &model->memory.arena};
    const mc_status status = build(model, of, &b, err);
    if (status != MC_E_UNSUPPORTED) return status;

    /* A variant that is not built: the weights are as good as before. */
    model->memory.arena = before;
    model->task = MC_TASK_NONE;
    model->context = 0;
    model->tied_head = tied_head;
    return no_graph(model, err->text, err);
}
