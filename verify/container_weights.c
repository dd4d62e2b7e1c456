/* A container as the executor's source of weights: tensors are found by name, numbers are decoded
 * from the file's bytes. */
#include "verify/verify_data.h"

#include <string.h>

#define EMPTY UINT32_MAX

static uint64_t hash_of(const char *name)
{
    uint64_t h = 14695981039346656037u; /* FNV-1a */
    for (; *name; name++) h = (h ^ (unsigned char)*name) * 1099511628211u;
    return h;
}

/* The weight of that name, or EMPTY. */
static uint32_t find(const mc_container_weights *w, const char *name)
{
    for (uint64_t at = hash_of(name);; at++) {
        const uint32_t i = w->place[at & (w->places - 1)];
        if (i == EMPTY || strcmp(w->container->weight[i].name, name) == 0) return i;
    }
}

static mc_status read_weights(const mc_weights *from, const mc_tensor *t, uint64_t first,
                              uint64_t count, float *out, mc_err *err)
{
    const mc_container_weights *w = (const mc_container_weights *)from;
    const uint32_t i = find(w, t->name);
    if (i == EMPTY) { /* a constant that the graph brings along, not one of the model's weights */
        mc_to_f32(t->dtype, t->data + first * (mc_dtype_about(t->dtype)->bits / 8), out,
                  (size_t)count);
        return MC_OK;
    }
    return mc_container_to_f32(w->container, i, first, count, out, err);
}

static const mc_weight_spec *quantized(const mc_weights *from, const mc_tensor *t)
{
    const mc_container_weights *w = (const mc_container_weights *)from;
    const uint32_t i = find(w, t->name);
    const mc_weight_spec *spec = i == EMPTY ? NULL : &w->container->weight[i];
    return spec && spec->form == MC_FORM_QUANTIZED ? spec : NULL;
}

static mc_status read_codes(const mc_weights *from, const mc_tensor *t, size_t row, size_t rows,
                            mc_arena *mem, mc_qmat *out, mc_err *err)
{
    const mc_container_weights *w = (const mc_container_weights *)from;
    const uint32_t i = find(w, t->name);
    if (i == EMPTY)
        return mc_fail(err, MC_E_INTERNAL, "%s: holds no weight \"%s\"", w->container->path,
                       t->name);
    return mc_container_qmat(w->container, i, row, rows, mem, out, err);
}

mc_status mc_container_weights_open(const mc_container *c, mc_arena *mem, mc_container_weights *out,
                                    mc_err *err)
{
    size_t places = 16;
    while (places < 2 * c->weights) places *= 2;
    uint32_t *place = MC_NEW_RAW(mem, uint32_t, places);
    if (!place) return mc_no_room(err, "the names of a container's weights");
    memset(place, 0xff, places * sizeof *place);
    for (size_t i = 0; i < c->weights; i++) {
        uint64_t at = hash_of(c->weight[i].name);
        while (place[at & (places - 1)] != EMPTY) at++;
        place[at & (places - 1)] = (uint32_t)i;
    }
    *out = (mc_container_weights){
        .weights = {.read = read_weights, .quantized = quantized, .codes = read_codes},
        .container = c,
        .place = place,
        .places = places,
    };
    return MC_OK;
}
