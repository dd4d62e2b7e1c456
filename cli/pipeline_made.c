/* Codes lie in a scratch file that is mapped, so that a large model's need not stay in memory. */
#include "cli/pipeline_made.h"

#include "core/ckd.h"
#include "formats/scratch.h"

#include <math.h>
#include <string.h>

/* ---- finding entries ---- */

size_t mc_made_find(const mc_made *made, const mc_tensor *tensor)
{
    const mc_model *model = made->plan->model;
    const mc_tensor *found = mc_model_find(model, tensor->name);
    return found ? made->place[found - model->tensor] : SIZE_MAX;
}

const mc_input_change *mc_made_change(const mc_made *made, size_t site)
{
    return made->changes.first ? made->changes.first[site] : NULL;
}

/* ---- the model as it is now ---- */

static mc_status read_now(const mc_weights *from, const mc_tensor *t, uint64_t first,
                          uint64_t count, float *out, mc_err *err)
{
    const mc_made *made = (const mc_made *)from;
    const size_t e = mc_made_find(made, t);
    if (e == SIZE_MAX) { /* a constant that the graph brings along */
        mc_to_f32(t->dtype, t->data + first * (mc_dtype_about(t->dtype)->bits / 8), out,
                  (size_t)count);
        return MC_OK;
    }
    const mc_made_entry *now = &made->entry[e];
    if (now->coded)
        mc_weight_decode(&made->plan->weight[e], &now->q, first, count, out);
    else if (now->dense)
        memcpy(out, now->dense + first, count * sizeof *out);
    else
        return mc_edits_weights(made->edits)
            ->read(mc_edits_weights(made->edits), t, first, count, out, err);
    return MC_OK;
}

/* Address space of a file: codes and their groups, or edited numbers. */
static size_t file_bytes(const mc_plan *plan)
{
    size_t bytes = (size_t)1 << 20;
    for (size_t e = 0; e < plan->entries; e++) {
        const mc_weight_spec *w = &plan->weight[e];
        const mc_weight_shape shape = mc_weight_code_shape(w);
        bytes += plan->entry[e].setup ? mc_qmat_bytes(&w->grid, shape.rows, shape.cols, shape.group)
                                      : (size_t)plan->entry[e].tensor->count * sizeof(float);
        bytes += 4096;
    }
    return bytes;
}

static mc_status open_file(mc_made *made, mc_err *err)
{
    mc_scratch file;
    MC_TRY(mc_scratch_open(NULL, &file, err));
    const mc_status status = mc_region_open_file(&made->file, file.fd, file_bytes(made->plan), err);
    mc_scratch_close(&file);
    return status;
}

mc_status mc_made_open(const mc_plan *plan, mc_made *out, mc_err *err)
{
    enum { EACH = 4096 };
    *out = (mc_made){.weights = {.read = read_now}, .plan = plan};
    size_t lists = plan->entries * EACH + ((size_t)64 << 20);
    for (size_t e = 0; e < plan->entries; e++) /* edits keep vectors, and rotations matrices */
        for (int d = 0; d < plan->entry[e].tensor->ndim; d++)
            lists += (size_t)plan->entry[e].tensor->dim[d] * 64;
    MC_TRY(mc_region_open(&out->lists, lists, err));
    out->entry = MC_NEW(&out->lists.arena, mc_made_entry, plan->entries + 1);
    out->place = MC_NEW(&out->lists.arena, size_t, plan->entries + 1);
    if (!out->entry || !out->place) return mc_no_room(err, "what becomes of tensors");
    for (size_t e = 0; e < plan->entries; e++) {
        out->place[plan->entry[e].tensor - plan->model->tensor] = e;
        out->entry[e].outputs = (double)NAN;
    }
    MC_TRY(mc_region_open(&out->edited, lists, err));
    MC_TRY(mc_region_open(&out->turned, lists, err));
    MC_TRY(mc_region_open(&out->changed, lists, err));
    MC_TRY(mc_edits_open(plan->model, &out->edited.arena, &out->edits, err));
    return open_file(out, err);
}

void mc_made_close(mc_made *made)
{
    if (made->edits) mc_edits_close(made->edits);
    mc_region_close(&made->file);
    mc_region_close(&made->changed);
    mc_region_close(&made->turned);
    mc_region_close(&made->edited);
    mc_region_close(&made->lists);
    *made = (mc_made){.plan = NULL};
}

/* ---- numbers ---- */

size_t mc_made_load_bytes(const mc_plan *plan, size_t entry)
{
    const mc_tensor *t = plan->entry[entry].tensor;
    return mc_edits_scratch(t) + (size_t)t->count * sizeof(float) + 4096;
}

mc_status mc_made_load(const mc_made *made, size_t entry, mc_arena mem, float *out, mc_err *err)
{
    const mc_tensor *t = made->plan->entry[entry].tensor;
    mc_weight_spec spec = made->plan->weight[entry];
    if (!spec.transposed) return mc_edits_load(made->edits, t, mem, out, err);
    float *whole = MC_NEW_RAW(&mem, float, t->count);
    if (!whole) return mc_no_room(err, "a weight");
    MC_TRY(mc_edits_load(made->edits, t, mem, whole, err));
    spec.dtype = MC_F32;
    mc_weight_source(&spec, (const unsigned char *)whole, 0, t->count, out);
    return MC_OK;
}

mc_status mc_made_begin_codes(mc_made *made, size_t entry, mc_err *err)
{
    const mc_weight_spec *w = &made->plan->weight[entry];
    const mc_weight_shape shape = mc_weight_code_shape(w);
    mc_made_entry *now = &made->entry[entry];
    now->q =
        (mc_qmat){.grid = w->grid, .rows = shape.rows, .cols = shape.cols, .group = shape.group};
    return mc_qmat_alloc(&now->q, &made->file.arena, err);
}

mc_status mc_made_load_kept(mc_made *made, mc_err *err)
{
    const mc_plan *plan = made->plan;
    for (size_t e = 0; e < plan->entries; e++) {
        const mc_tensor *t = plan->entry[e].tensor;
        if (plan->entry[e].setup || mc_edits_of(made->edits, t) == 0) continue;
        mc_region scratch;
        float *numbers = MC_NEW_RAW(&made->file.arena, float, t->count);
        if (!numbers) return mc_no_room(err, "an edited tensor");
        MC_TRY(mc_region_open(&scratch, mc_edits_scratch(t) + 4096, err));
        const mc_status status = mc_edits_load(made->edits, t, scratch.arena, numbers, err);
        mc_region_close(&scratch);
        MC_TRY(status);
        made->entry[e].dense = numbers;
    }
    return MC_OK;
}

void mc_made_release(const mc_made *made)
{
    const mc_model *model = made->plan->model;
    mc_region_release(&made->file);
    for (size_t i = 0; i < model->sources; i++)
        mc_map_release(&model->source[i].map, 0, model->source[i].map.size);
}
