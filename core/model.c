/* Looking things up in a model, and letting go of it. */
#include "core/model.h"

#include <string.h>

const mc_tensor *mc_model_find(const mc_model *model, const char *name)
{
    size_t low = 0, high = model->tensors; /* tensors lie in the order of their names */
    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        const int order = strcmp(model->tensor[mid].name, name);
        if (order == 0) return &model->tensor[mid];
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

bool mc_tensor_in_file(const mc_model *model, const mc_tensor *tensor, uint64_t *at)
{
    if (tensor->source >= model->sources || !tensor->data) return false;
    const mc_map *map = &model->source[tensor->source].map;
    const uintptr_t data = (uintptr_t)tensor->data, base = (uintptr_t)map->data;
    if (!map->data || data < base || data - base > map->size) return false;
    *at = data - base;
    return tensor->bytes <= map->size - *at;
}

const mc_source *mc_model_source(const mc_model *model, const char *role)
{
    for (size_t i = 0; i < model->sources; i++)
        if (strcmp(model->source[i].role, role) == 0) return &model->source[i];
    return NULL;
}

uint64_t mc_model_weight_bytes(const mc_model *model)
{
    uint64_t files = 0, tensors = 0;
    for (size_t i = 0; i < model->sources; i++)
        if (strcmp(model->source[i].role, "weights") == 0) files += model->source[i].map.size;
    for (size_t i = 0; i < model->tensors; i++) tensors += model->tensor[i].bytes;
    return files < tensors ? tensors : files;
}

void mc_model_close(mc_model *model)
{
    for (size_t i = 0; i < model->sources; i++) mc_map_close(&model->source[i].map);

    mc_region memory = model->memory; /* holds the lists above, perhaps `model` too */
    *model = (mc_model){0};
    mc_region_close(&memory);
}
