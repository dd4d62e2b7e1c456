/* From the plan to the bytes of a container: the stream of pieces.
 *
 * make (any thread): a piece is made f32, quantized, packed and written at its place. take (in
 * order): hashes of the container, progress. Aside: the hash of the source. Pieces follow the
 * source files, so that pages behind the slower of both can be given back. */
#include "cli/pipeline_encode.h"

#include "core/kernels.h"

#include <math.h>

typedef mc_encoding job;

/* The bytes of its tensor that a piece stands for: those it reads, unless it is transposed. */
static void source_range(const mc_plan *plan, mc_work work, uint64_t *from, uint64_t *bytes)
{
    const mc_weight_spec *w = &plan->weight[work.entry];
    uint64_t width = 1;
    if (w->form == MC_FORM_QUANTIZED)
        width = mc_weight_code_shape(w).cols * (mc_dtype_about(w->dtype)->bits / 8);
    *from = work.first * width;
    *bytes = work.count * width;
}

static const unsigned char *source_bytes(const mc_plan *plan, mc_work work)
{
    uint64_t from, bytes;
    source_range(plan, work, &from, &bytes);
    return plan->entry[work.entry].tensor->data + from;
}

/* Puts tensor, row and column of the whole weight into a method's message about a slab. */
static mc_status quantize_rows(const mc_plan *plan, mc_work work, mc_qmat *q, mc_arena scratch,
                               mc_err *err)
{
    const mc_plan_entry *entry = &plan->entry[work.entry];
    const mc_weight_spec *w = &plan->weight[work.entry];
    const mc_tensor *t = entry->tensor;
    const size_t count = q->rows * q->cols;
    float *rows = MC_NEW_RAW(&scratch, float, count);
    if (!rows) return mc_no_room(err, "a slab of rows");
    mc_weight_source(w, t->data, (uint64_t)work.first * q->cols, count, rows);
    if (q->grid.tensor_scaled && !(q->grid.tensor_scale > 0.0f)) { /* a trial, no one has looked */
        float most;
        mc_kernels_best()->absmax(rows, 1, count, &most);
        mc_grid_set_tensor_scale(&q->grid, most);
    }

    const mc_quant_job quant = {
        .weights = {rows, q->rows, q->cols},
        .setup = entry->setup,
        .first_row = (size_t)work.first,
    };
    if (mc_quantize(&quant, q, scratch, err) != MC_OK)
        return mc_wrap(err, "%s: tensor \"%s\"", plan->model->source[t->source].path, t->name);
    return MC_OK;
}

static mc_status make_rows(const job *j, mc_work work, mc_slab *slab, unsigned char *room,
                           mc_arena scratch, mc_err *err)
{
    if (j->made && j->made->entry[work.entry].coded) {
        const mc_qmat part = mc_qmat_rows(
            &j->made->entry[work.entry].q, (size_t)work.first, (size_t)work.count);
        mc_pack_encode(&j->plan->layout, work.entry, (size_t)work.first, &part, room, slab);
        return MC_OK;
    }
    const mc_weight_spec *w = &j->plan->weight[work.entry];
    const mc_weight_shape shape = mc_weight_code_shape(w);
    mc_qmat q = {
        .grid = w->grid, .rows = (size_t)work.count, .cols = shape.cols, .group = shape.group};
    MC_TRY(mc_qmat_alloc(&q, &scratch, err));
    MC_TRY(quantize_rows(j->plan, work, &q, scratch, err));
    mc_pack_encode(&j->plan->layout, work.entry, (size_t)work.first, &q, room, slab);
    return MC_OK;
}

/* A kept tensor may hold infinities, as masks do; NaN is damage wherever it is. */
static mc_status refuse_nan(const mc_plan *plan, mc_work work, mc_err *err)
{
    enum { CHUNK = 4096 };
    const mc_tensor *t = plan->entry[work.entry].tensor;
    const mc_dtype_info *about = mc_dtype_about(t->dtype);
    if (!about->to_f32) return MC_OK;

    float value[CHUNK];
    const size_t width = about->bits / 8;
    const unsigned char *bytes = source_bytes(plan, work);
    for (size_t at = 0; at < work.count; at += CHUNK * width) {
        const size_t left = (size_t)(work.count - at) / width;
        const size_t n = left < CHUNK ? left : CHUNK;
        mc_to_f32(t->dtype, bytes + at, value, n);
        for (size_t i = 0; i < n; i++)
            if (isnan(value[i]))
                return mc_fail(err, MC_E_FORMAT, "%s: tensor \"%s\": element %llu is nan",
                               plan->model->source[t->source].path, t->name,
                               (unsigned long long)((work.first + at) / width + i));
    }
    return MC_OK;
}

static mc_status make_dense(const job *j, mc_work work, mc_slab *slab, mc_err *err)
{
    const float *edited = j->made ? j->made->entry[work.entry].dense : NULL;
    if (edited) { /* f32, whatever the source has: rounding it again would undo the edit */
        mc_pack_dense(&j->plan->layout, work.entry, work.first,
                      (const unsigned char *)edited + work.first, work.count, slab);
        return MC_OK;
    }
    MC_TRY(refuse_nan(j->plan, work, err));
    const unsigned char *bytes = source_bytes(j->plan, work);
    mc_pack_dense(&j->plan->layout, work.entry, work.first, bytes, work.count, slab);
    return MC_OK;
}

static mc_status make(void *context, size_t i, void *slot, mc_arena scratch, mc_err *err)
{
    const job *j = context;
    const mc_work work = j->plan->work[i];
    mc_slab *slab = slot;
    if (j->plan->entry[work.entry].setup)
        MC_TRY(make_rows(j, work, slab, (unsigned char *)slot + MC_SLOT_ROOM, scratch, err));
    else
        MC_TRY(make_dense(j, work, slab, err));
    return mc_pack_put(j->pack, slab, err);
}

static bool hash_aside(void *context)
{
    const job *j = context;
    return mc_hash_lanes_step(j->lanes);
}

/* Nothing before `end` of the tensor will be read again; of a transposed one only once it is
 * done. Numbers that lie in no file have no pages to give back. */
static void pass_source(const job *j, mc_work work, uint64_t end)
{
    const mc_tensor *t = j->plan->entry[work.entry].tensor;
    if (end > t->bytes) end = t->bytes; /* an edited one takes more than its source */
    if (j->plan->weight[work.entry].transposed && end < t->bytes) return;
    uint64_t at;
    if (mc_tensor_in_file(j->plan->model, t, &at))
        mc_hash_lanes_passed(j->lanes, t->source, at + end);
}

/* Codes that were written are not read again: after so many pieces their pages are given back. */
enum { RELEASE_EVERY = 64 };

static mc_status take(void *context, size_t i, void *slot, mc_err *err)
{
    const job *j = context;
    const mc_work work = j->plan->work[i];
    MC_TRY(mc_pack_seal(j->pack, slot, err));

    uint64_t from, bytes;
    source_range(j->plan, work, &from, &bytes);
    pass_source(j, work, from + bytes);
    mc_progress_add(j->progress, bytes);
    if (j->made && i % RELEASE_EVERY == RELEASE_EVERY - 1) mc_region_release(&j->made->file);
    return MC_OK;
}

mc_status mc_pipeline_encode(const mc_encoding *encoding, mc_pool *pool, mc_err *err)
{
    job j = *encoding;
    const mc_stream stream = {.n = j.plan->works,
                              .slot_bytes = mc_plan_slot_bytes(j.plan),
                              .make = make,
                              .take = take,
                              .aside = hash_aside};
    return mc_pool_stream(pool, &stream, &j, err);
}

mc_status mc_plan_try(const mc_plan *plan, mc_work work, mc_arena scratch, mc_err *err)
{
    const mc_weight_spec *w = &plan->weight[work.entry];
    const mc_weight_shape shape = mc_weight_code_shape(w);
    mc_qmat q = {
        .grid = w->grid, .rows = (size_t)work.count, .cols = shape.cols, .group = shape.group};
    MC_TRY(mc_qmat_alloc(&q, &scratch, err));
    return quantize_rows(plan, work, &q, scratch, err);
}
