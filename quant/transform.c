/* The list of transforms, and how much memory they take. */
#include "quant/transform.h"

#include "quant/transform_scale.h"

#include <string.h>

static const mc_transform *const transforms[] = {
#define X(name) &mc_transform_##name,
    MC_TRANSFORMS(X)
#undef X
};

enum { TRANSFORMS = sizeof transforms / sizeof transforms[0] };

const mc_transform *mc_transform_at(size_t i)
{
    return i < TRANSFORMS ? transforms[i] : NULL;
}

/* ---- what becomes of inputs ---- */

mc_status mc_input_changed(const mc_transform_job *job, size_t site, mc_input_change change,
                           mc_err *err)
{
    if (!job->changes) return MC_OK;
    mc_arena *mem = job->changes->mem;
    mc_input_change *kept = MC_NEW(mem, mc_input_change, 1);
    double *vector = change.vector ? MC_NEW_RAW(mem, double, change.n) : NULL;
    if (!kept || (change.vector && !vector)) return mc_no_room(err, "what becomes of inputs");
    *kept = change;
    if (vector) memcpy(vector, change.vector, change.n * sizeof *vector);
    kept->vector = vector;
    mc_input_change **end = &job->changes->first[site];
    while (*end) end = &(*end)->next;
    *end = kept;
    return MC_OK;
}

/* A weight at a time with what editing it takes; vectors; the search's rows; of rotations two
 * matrices and what is kept of every site; of cross-layer equalization every weight's largest
 * numbers. */
size_t mc_transform_memory(const mc_places *places)
{
    size_t tensor = 0, all = 0, width = 0, search = 0;
    for (size_t i = 0; i < places->sites->sites; i++) {
        const mc_tensor *w = places->sites->site[i].weight;
        const size_t bytes = (size_t)w->count * sizeof(float) + mc_edits_scratch(w);
        if (bytes > tensor) tensor = bytes;
        if (places->sites->site[i].kind != MC_SITE_EMBEDDING) all += (size_t)w->count;
        for (int d = 0; d < w->ndim; d++)
            if (w->dim[d] > width && places->sites->site[i].kind != MC_SITE_EMBEDDING)
                width = (size_t)w->dim[d];
    }
    for (size_t i = 0; i < places->places; i++) {
        const mc_place *p = &places->place[i];
        const size_t bytes = mc_scale_find_memory(places, p);
        if (bytes > search) search = bytes;
        if (p->channels > width) width = p->channels;
        if (p->width > width) width = p->width;
    }
    const size_t graph = (places->graph->nodes + places->graph->values) * 256;
    return tensor + search + all * sizeof(float) + width * 512 + graph +
           places->sites->sites * 512 + ((size_t)1 << 20);
}
