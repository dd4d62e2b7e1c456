/* A step of a checkpoint into its file: what has come since the step before. */
#include "cli/pipeline_checkpoint_parts.h"

#include "formats/safetensors.h"

enum { ARRAYS = 9 }; /* of a weight, at most */

typedef struct {
    mc_arena *mem;
    mc_safetensors content;
    size_t tensor_room, pair_room;
} builder;

static mc_status put(builder *b, const char *name, mc_dtype dtype, uint64_t count, const void *data,
                     mc_err *err)
{
    if (!name || !data || b->content.tensors == b->tensor_room)
        return mc_no_room(err, "a checkpoint");
    b->content.tensor[b->content.tensors++] =
        (mc_tensor){.name = name,
                    .dtype = dtype,
                    .ndim = 1,
                    .dim = {count},
                    .data = data,
                    .count = count,
                    .bytes = count * (mc_dtype_about(dtype)->bits / 8)};
    return MC_OK;
}

static mc_status note(builder *b, const char *key, const char *value, mc_err *err)
{
    if (!value) return MC_OK;
    if (!key || b->content.metadatas == b->pair_room) return mc_no_room(err, "a checkpoint");
    b->content.metadata[b->content.metadatas++] = (mc_pair){key, value};
    return MC_OK;
}

static mc_status put_params(builder *b, const mc_qmat *q, size_t e, mc_err *err)
{
    const size_t n = q->rows * mc_qmat_groups(q);
    float *scale = MC_NEW_RAW(b->mem, float, n), *offset = MC_NEW_RAW(b->mem, float, n);
    uint8_t *zero = MC_NEW_RAW(b->mem, uint8_t, n);
    if (!scale || !offset || !zero) return mc_no_room(err, "a checkpoint");
    for (size_t i = 0; i < n; i++) {
        scale[i] = q->params[i].scale;
        offset[i] = q->params[i].offset;
        zero[i] = q->params[i].zero;
    }
    MC_TRY(put(b, mc_format(b->mem, "w/%zu/scale", e), MC_F32, n, scale, err));
    MC_TRY(put(b, mc_format(b->mem, "w/%zu/offset", e), MC_F32, n, offset, err));
    MC_TRY(put(b, mc_format(b->mem, "w/%zu/zero", e), MC_U8, n, zero, err));
    if (!q->sub) return MC_OK;
    const size_t supers = q->rows * mc_qmat_supers(q);
    _Static_assert(sizeof(mc_sub) == 2 && sizeof(mc_super) == 8, "pairs without a gap");
    MC_TRY(put(b, mc_format(b->mem, "w/%zu/sub", e), MC_U8, 2 * n, q->sub, err));
    return put(b, mc_format(b->mem, "w/%zu/super", e), MC_F32, 2 * supers, q->super, err);
}

static mc_status put_weight(builder *b, const mc_plan *plan, const mc_made_entry *m, size_t e,
                            mc_err *err)
{
    double *facts = MC_NEW(b->mem, double, MC_KEPT_FACTS);
    int64_t *counts = MC_NEW(b->mem, int64_t, MC_KEPT_COUNTS);
    if (!facts || !counts) return mc_no_room(err, "a checkpoint");
    facts[MC_KEPT_DAMP] = m->facts.damp;
    facts[MC_KEPT_FLOOR] = m->facts.floor;
    facts[MC_KEPT_START] = m->facts.start;
    facts[MC_KEPT_END] = m->facts.end;
    facts[MC_KEPT_OUTPUTS] = m->outputs;
    facts[MC_KEPT_TENSOR_SCALE] = (double)m->q.grid.tensor_scale;
    counts[MC_KEPT_DEAD] = (int64_t)m->facts.dead;
    counts[MC_KEPT_ROWS_SEEN] = (int64_t)m->rows_seen;
    counts[MC_KEPT_BY_OTHER] = m->setup == &plan->other && plan->entry[e].setup != &plan->other;
    MC_TRY(
        put(b, mc_format(b->mem, "w/%zu/codes", e), MC_U8, m->q.rows * m->q.cols, m->q.code, err));
    MC_TRY(put(b, mc_format(b->mem, "w/%zu/facts", e), MC_F64, MC_KEPT_FACTS, facts, err));
    MC_TRY(put(b, mc_format(b->mem, "w/%zu/counts", e), MC_I64, MC_KEPT_COUNTS, counts, err));
    MC_TRY(note(b, mc_format(b->mem, "w/%zu/why", e), m->why, err));
    MC_TRY(note(b, mc_format(b->mem, "w/%zu/no_bias", e), m->no_bias, err));
    return put_params(b, &m->q, e, err);
}

static mc_status put_act(builder *b, const mc_act_spec *act, size_t site, mc_err *err)
{
    MC_TRY(put(b, mc_format(b->mem, "a/%zu/scale", site), MC_F32, act->scales, act->scale, err));
    if (!act->zero) return MC_OK;
    return put(b, mc_format(b->mem, "a/%zu/zero", site), MC_I16, act->scales, act->zero, err);
}

static mc_status put_edits(builder *b, const mc_checkpoint *k, size_t e, mc_err *err)
{
    const mc_tensor *t = k->plan->entry[e].tensor;
    const mc_edit *edit;
    for (size_t i = k->edits[e]; (edit = mc_edits_at(k->made->edits, t, i)); i++) {
        if (edit->kind != MC_EDIT_ADD)
            return mc_fail(err, MC_E_INTERNAL, "an edit of tensor \"%s\" that is no sum", t->name);
        const char *name = mc_format(b->mem, "e/%zu/%05zu", e, i);
        MC_TRY(put(b, name, MC_F64, t->dim[edit->axis], edit->vector, err));
        MC_TRY(note(b, name, mc_format(b->mem, "%d", edit->axis), err));
    }
    return MC_OK;
}

static mc_status put_step(builder *b, const mc_checkpoint *k, mc_err *err)
{
    MC_TRY(note(b, "format", "mcompress-checkpoint", err));
    for (size_t e = 0; e < k->plan->entries; e++) {
        if (k->made->entry[e].coded && !k->coded[e])
            MC_TRY(put_weight(b, k->plan, &k->made->entry[e], e, err));
        MC_TRY(put_edits(b, k, e, err));
    }
    for (size_t s = 0; s < k->calibration->sites.sites; s++)
        if (mc_checkpoint_static(k, s) && !k->chosen[s])
            MC_TRY(put_act(b, &k->made->act[s], s, err));
    return MC_OK;
}

static mc_status write_step(const mc_checkpoint *k, const builder *b, size_t step, mc_err *err)
{
    const mc_out_options how = {.replace = true, .no_fsync = k->plan->options->no_fsync};
    mc_region scratch;
    mc_out *out = NULL;
    const char *path = mc_checkpoint_path(k, step, b->mem);
    if (!path) return mc_no_room(err, "a name");
    MC_TRY(mc_region_open(&scratch, mc_safetensors_write_memory(&b->content), err));
    mc_status status = mc_out_open(path, 0, how, &out, err);
    if (status == MC_OK) status = mc_safetensors_write(out, &b->content, scratch.arena, err);
    mc_region_close(&scratch);
    if (status == MC_OK) return mc_out_commit(out, NULL, NULL, err);
    mc_out_discard(out);
    return status;
}

/* What a step's lists take: an upper bound of its weights, and the vectors of the rest. */
static size_t step_memory(const mc_checkpoint *k, builder *b)
{
    size_t bytes = (size_t)1 << 16, weights = 0, others = 0;
    for (size_t e = 0; e < k->plan->entries; e++) {
        const mc_qmat *q = &k->made->entry[e].q;
        others += mc_edits_of(k->made->edits, k->plan->entry[e].tensor) - k->edits[e];
        if (!k->made->entry[e].coded || k->coded[e]) continue;
        bytes += q->rows * mc_qmat_groups(q) * (2 * sizeof(float) + 1) + 4096;
        weights++;
    }
    for (size_t s = 0; s < k->calibration->sites.sites; s++)
        others += mc_checkpoint_static(k, s) && !k->chosen[s] ? 2 : 0;
    b->tensor_room = weights * ARRAYS + others;
    b->pair_room = weights * 2 + others + 1;
    return bytes + b->tensor_room * (sizeof(mc_tensor) + 512) +
           b->pair_room * (sizeof(mc_pair) + 256);
}

mc_status mc_checkpoint_save(mc_checkpoint *k, size_t step, mc_err *err)
{
    builder b = {.mem = NULL};
    mc_region memory;
    if (!k) return MC_OK;
    MC_TRY(mc_region_open(&memory, step_memory(k, &b), err));
    b.mem = &memory.arena;
    b.content.tensor = MC_NEW_RAW(b.mem, mc_tensor, b.tensor_room + 1);
    b.content.metadata = MC_NEW_RAW(b.mem, mc_pair, b.pair_room + 1);
    mc_status status = b.content.tensor && b.content.metadata ? put_step(&b, k, err)
                                                              : mc_no_room(err, "a checkpoint");
    if (status == MC_OK) status = write_step(k, &b, step, err);
    mc_region_close(&memory);
    if (status == MC_OK) mc_checkpoint_mark(k);
    return status;
}
