/* The pieces of a run, and what one piece needs. All of it follows from shapes alone. */
#include "cli/pipeline_plan.h"

#include "core/ckd.h"

#include <string.h>

enum {
    SLAB_WEIGHTS = 128 << 10, /* of a quantized weight: half a megabyte of f32 */
    SLAB_BYTES = 1 << 20,     /* of a kept one */
};

/* Rows of the code shape in one slab. */
static uint64_t slab_rows(const mc_weight_spec *w)
{
    const mc_weight_shape shape = mc_weight_code_shape(w);
    const uint64_t step = mc_pack_row_step(w);
    const uint64_t steps = SLAB_WEIGHTS / (shape.cols * step);
    const uint64_t rows = (steps ? steps : 1) * step;
    return rows < shape.rows ? rows : shape.rows;
}

size_t mc_plan_slab_rows(const mc_plan *plan, size_t entry)
{
    return (size_t)slab_rows(&plan->weight[entry]);
}

static uint64_t pieces_of(const mc_weight_spec *w, uint64_t bytes)
{
    if (w->form != MC_FORM_QUANTIZED) return mc_ceil_div(bytes, SLAB_BYTES);
    return mc_ceil_div(mc_weight_code_shape(w).rows, slab_rows(w));
}

/* Appends the pieces of entry `e` at *work. */
static mc_work *cut(const mc_plan *plan, size_t e, mc_work *work)
{
    const mc_weight_spec *w = &plan->weight[e];
    const bool quantized = w->form == MC_FORM_QUANTIZED;
    const uint64_t all = quantized ? mc_weight_code_shape(w).rows : mc_weight_bytes(w);
    const uint64_t step = quantized ? slab_rows(w) : SLAB_BYTES;
    for (uint64_t first = 0; first < all; first += step)
        *work++ = (mc_work){e, first, all - first < step ? all - first : step};
    return work;
}

mc_status mc_plan_cut(mc_plan *plan, mc_arena *mem, mc_err *err)
{
    uint64_t n = 0;
    for (size_t e = 0; e < plan->entries; e++)
        n += pieces_of(&plan->weight[e], mc_weight_bytes(&plan->weight[e]));
    plan->work = MC_NEW_RAW(mem, mc_work, (size_t)n + 1);
    if (!plan->work) return mc_no_room(err, "the pieces of work");

    mc_work *end = plan->work;
    for (size_t e = 0; e < plan->entries; e++) end = cut(plan, e, end);
    plan->works = (size_t)(end - plan->work);
    return MC_OK;
}

size_t mc_plan_slot_bytes(const mc_plan *plan)
{
    size_t most = 0;
    for (size_t e = 0; e < plan->entries; e++) {
        const mc_weight_spec *w = &plan->weight[e];
        if (w->form != MC_FORM_QUANTIZED) continue;
        const size_t need = mc_pack_slab_bytes(w, (size_t)slab_rows(w));
        if (need > most) most = need;
    }
    return MC_SLOT_ROOM + most;
}

size_t mc_plan_scratch_bytes(const mc_plan *plan)
{
    size_t most = 0;
    for (size_t e = 0; e < plan->entries; e++) {
        const mc_weight_spec *w = &plan->weight[e];
        if (w->form != MC_FORM_QUANTIZED) continue;
        const mc_weight_shape shape = mc_weight_code_shape(w);
        const size_t rows = (size_t)slab_rows(w);
        const size_t need =
            rows * shape.cols * sizeof(float) + 64 +
            mc_qmat_bytes(&w->grid, rows, shape.cols, shape.group) +
            plan->entry[e].setup->method->scratch(&w->grid, rows, shape.cols, shape.group);
        if (need > most) most = need;
    }
    return most + 4096;
}
