/* Numbers of a whole tensor that its first row needs already: a look at the source before codes are
 * chosen. Only grids with a scale of the whole tensor ask for one. */
#include "cli/pipeline_encode.h"

#include "core/ckd.h"
#include "core/kernels.h"

enum { CHUNK = 4096, PIECE = 256 * CHUNK }; /* elements */

typedef struct {
    const mc_tensor *tensor;
    float *most; /* of each piece */
} look;

static mc_status look_at_piece(void *job, size_t i, mc_arena scratch, mc_err *err)
{
    (void)scratch, (void)err;
    const look *l = job;
    const mc_tensor *t = l->tensor;
    const size_t width = mc_dtype_about(t->dtype)->bits / 8;
    const uint64_t from = (uint64_t)i * PIECE;
    const uint64_t end = t->count - from < PIECE ? t->count : from + PIECE;
    float value[CHUNK];
    l->most[i] = 0.0f;
    for (uint64_t at = from; at < end; at += CHUNK) {
        const size_t n = end - at < CHUNK ? (size_t)(end - at) : CHUNK;
        float most;
        mc_to_f32(t->dtype, t->data + at * width, value, n);
        mc_kernels_best()->absmax(value, 1, n, &most);
        l->most[i] = most > l->most[i] ? most : l->most[i]; /* NaN is found when rows are coded */
    }
    return MC_OK;
}

static mc_status look_at(const mc_model *model, const mc_tensor *t, mc_pool *pool, float *most,
                         mc_err *err)
{
    const size_t pieces = (size_t)mc_ceil_div(t->count, PIECE);
    mc_region memory;
    MC_TRY(mc_region_open(&memory, pieces * sizeof(float) + 256, err));
    look l = {.tensor = t, .most = MC_NEW(&memory.arena, float, pieces)};
    mc_status status = l.most ? mc_pool_for(pool, pieces, look_at_piece, &l, err)
                              : mc_no_room(err, "a look at a tensor");
    *most = 0.0f;
    for (size_t i = 0; status == MC_OK && i < pieces; i++)
        *most = l.most[i] > *most ? l.most[i] : *most;
    mc_region_close(&memory);

    uint64_t at;
    if (mc_tensor_in_file(model, t, &at))
        mc_map_release(&model->source[t->source].map, (size_t)at, (size_t)(at + t->bytes));
    return status;
}

mc_status mc_plan_look(mc_plan *plan, const mc_made *made, mc_pool *pool, mc_err *err)
{
    for (size_t e = 0; e < plan->entries; e++) {
        mc_weight_spec *w = &plan->weight[e];
        float most;
        if (!w->grid.tensor_scaled || (made && made->entry[e].coded)) continue;
        MC_TRY(look_at(plan->model, plan->entry[e].tensor, pool, &most, err));
        mc_grid_set_tensor_scale(&w->grid, most);
    }
    return MC_OK;
}
