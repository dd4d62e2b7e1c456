/* A step of a checkpoint out of its file. The file is somebody's input: names, shapes and codes are
 * held against the plan. */
#include "cli/pipeline_checkpoint_parts.h"

#include "core/act.h"
#include "formats/json_pull.h"
#include "formats/safetensors.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef struct {
    mc_checkpoint *k;
    const char *path;
    mc_safetensors content;
} reader;

static mc_status broken(const reader *r, const char *name, mc_err *err)
{
    return mc_fail(err, MC_E_FORMAT, "%s: tensor %s is not what a step of this run holds", r->path,
                   mc_quote(name).text);
}

/* The tensor "KIND/number/WHAT", of so many elements; NULL: it is not there. */
static mc_status find(const reader *r, const char *name, mc_dtype dtype, uint64_t count,
                      const void **data, mc_err *err)
{
    *data = NULL;
    for (size_t i = 0; i < r->content.tensors; i++) {
        const mc_tensor *t = &r->content.tensor[i];
        if (strcmp(t->name, name) != 0) continue;
        if (t->dtype != dtype || t->count != count) return broken(r, name, err);
        *data = t->data;
    }
    return MC_OK;
}

static mc_status need(const reader *r, const char *kind, size_t number, const char *what,
                      mc_dtype dtype, uint64_t count, void *out, mc_err *err)
{
    char name[64];
    const void *data;
    snprintf(name, sizeof name, "%s/%zu/%s", kind, number, what);
    MC_TRY(find(r, name, dtype, count, &data, err));
    if (!data && count > 0) return broken(r, name, err);
    if (count > 0) memcpy(out, data, (size_t)count * (mc_dtype_about(dtype)->bits / 8));
    return MC_OK;
}

static mc_status text_of(const reader *r, size_t e, const char *what, const char **out, mc_err *err)
{
    char name[64];
    snprintf(name, sizeof name, "w/%zu/%s", e, what);
    for (size_t i = 0; i < r->content.metadatas; i++) {
        if (strcmp(r->content.metadata[i].key, name) != 0) continue;
        const char *value = r->content.metadata[i].value;
        *out = mc_copy_text(&r->k->made->lists.arena, value, strlen(value));
        if (!*out) return mc_no_room(err, "the notes of a weight");
    }
    return MC_OK;
}

/* Codes below the grid's number of them; scales and offsets that are numbers. */
static mc_status check_weight(const reader *r, const mc_qmat *q, size_t e, mc_err *err)
{
    const unsigned codes = mc_grid_codes(&q->grid);
    char name[64];
    snprintf(name, sizeof name, "w/%zu/codes", e);
    for (size_t i = 0; i < q->rows * q->cols; i++)
        if (q->code[i] >= codes) return broken(r, name, err);
    snprintf(name, sizeof name, "w/%zu/scale", e);
    for (size_t i = 0; i < q->rows * mc_qmat_groups(q); i++)
        if (!isfinite(q->params[i].scale) || !isfinite(q->params[i].offset) ||
            q->params[i].scale == 0.0f)
            return broken(r, name, err);
    return MC_OK;
}

static mc_status read_params(const reader *r, mc_qmat *q, size_t e, mc_err *err)
{
    const size_t n = q->rows * mc_qmat_groups(q);
    mc_region room;
    MC_TRY(mc_region_open(&room, n * 9 + 4096, err));
    mc_arena mem = room.arena;
    float *scale = MC_NEW_RAW(&mem, float, n), *offset = MC_NEW_RAW(&mem, float, n);
    uint8_t *zero = MC_NEW_RAW(&mem, uint8_t, n);
    mc_status status = scale && offset && zero ? MC_OK : mc_no_room(err, "a checkpoint");
    if (status == MC_OK) status = need(r, "w", e, "scale", MC_F32, n, scale, err);
    if (status == MC_OK) status = need(r, "w", e, "offset", MC_F32, n, offset, err);
    if (status == MC_OK) status = need(r, "w", e, "zero", MC_U8, n, zero, err);
    for (size_t i = 0; status == MC_OK && i < n; i++)
        q->params[i] = (mc_params){scale[i], offset[i], zero[i]};
    mc_region_close(&room);
    if (status != MC_OK || !q->sub) return status;
    MC_TRY(need(r, "w", e, "sub", MC_U8, 2 * n, q->sub, err));
    return need(r, "w", e, "super", MC_F32, 2 * q->rows * mc_qmat_supers(q), q->super, err);
}

static mc_status read_weight(const reader *r, size_t e, mc_err *err)
{
    mc_made *made = r->k->made;
    mc_made_entry *m = &made->entry[e];
    double facts[MC_KEPT_FACTS];
    int64_t counts[MC_KEPT_COUNTS];
    MC_TRY(need(r, "w", e, "facts", MC_F64, MC_KEPT_FACTS, facts, err));
    MC_TRY(need(r, "w", e, "counts", MC_I64, MC_KEPT_COUNTS, counts, err));
    MC_TRY(mc_made_begin_codes(made, e, err));
    MC_TRY(need(r, "w", e, "codes", MC_U8, m->q.rows * m->q.cols, m->q.code, err));
    MC_TRY(read_params(r, &m->q, e, err));
    m->q.grid.tensor_scale = (float)facts[MC_KEPT_TENSOR_SCALE];
    MC_TRY(check_weight(r, &m->q, e, err));
    m->facts = (mc_quant_facts){.damp = facts[MC_KEPT_DAMP],
                                .floor = facts[MC_KEPT_FLOOR],
                                .dead = (size_t)counts[MC_KEPT_DEAD],
                                .start = facts[MC_KEPT_START],
                                .end = facts[MC_KEPT_END]};
    m->outputs = facts[MC_KEPT_OUTPUTS];
    m->rows_seen = (uint64_t)counts[MC_KEPT_ROWS_SEEN];
    m->fallback = counts[MC_KEPT_FALLBACK] != 0;
    m->setup = counts[MC_KEPT_BY_OTHER] ? &r->k->plan->other : r->k->plan->entry[e].setup;
    MC_TRY(text_of(r, e, "why", &m->why, err));
    MC_TRY(text_of(r, e, "no_bias", &m->no_bias, err));
    m->coded = true;
    return MC_OK;
}

static mc_status read_act(const reader *r, const mc_tensor *scales, size_t site, mc_err *err)
{
    mc_made *made = r->k->made;
    mc_act_spec *act = &made->act[site];
    const size_t n = (size_t)scales->count;
    float *scale = MC_NEW_RAW(&made->lists.arena, float, n);
    int16_t *zero = act->asymmetric ? MC_NEW_RAW(&made->lists.arena, int16_t, n) : NULL;
    if (!scale || (act->asymmetric && !zero)) return mc_no_room(err, "scales of activations");
    MC_TRY(need(r, "a", site, "scale", MC_F32, n, scale, err));
    if (zero) MC_TRY(need(r, "a", site, "zero", MC_I16, n, zero, err));
    act->mode = MC_ACT_STATIC;
    act->power_of_two = false; /* the scale is one already */
    act->scales = (uint32_t)n;
    act->scale = scale;
    act->zero = zero;
    return mc_act_check(act, err);
}

static mc_status read_edit(const reader *r, const mc_tensor *t, size_t e, mc_err *err)
{
    const mc_tensor *of = r->k->plan->entry[e].tensor;
    const char *axis = NULL;
    for (size_t i = 0; i < r->content.metadatas; i++)
        if (strcmp(r->content.metadata[i].key, t->name) == 0) axis = r->content.metadata[i].value;
    const int along = axis ? atoi(axis) : -1;
    mc_region room;
    if (along < 0 || along >= of->ndim || t->dtype != MC_F64 || t->count != of->dim[along])
        return broken(r, t->name, err);
    MC_TRY(mc_region_open(&room, (size_t)t->bytes + 4096, err));
    double *vector = MC_NEW_RAW(&room.arena, double, t->count); /* a file need not align it */
    mc_status status = vector ? MC_OK : mc_no_room(err, "a checkpoint");
    if (vector) {
        memcpy(vector, t->data, (size_t)t->bytes);
        const mc_edit edit = {.kind = MC_EDIT_ADD, .axis = along, .vector = vector};
        status = mc_edits_add(r->k->made->edits, of, &edit, err);
    }
    mc_region_close(&room);
    return status;
}

/* "KIND/12/WHAT", or "e/12/3": its number, below `most`. */
static bool number_of(const char *name, char kind, size_t most, size_t *number, char *what)
{
    char rest[16];
    if (name[0] != kind || sscanf(name + 1, "/%zu/%15s", number, rest) != 2) return false;
    memcpy(what, rest, sizeof rest);
    return *number < most;
}

static mc_status read_tensor(const reader *r, const mc_tensor *t, mc_err *err)
{
    const mc_checkpoint *k = r->k;
    const mc_plan *plan = k->plan;
    size_t i;
    char what[16];
    if (number_of(t->name, 'w', plan->entries, &i, what)) {
        const bool waits = plan->entry[i].setup && !k->made->entry[i].coded;
        if (strcmp(what, "codes") != 0) return MC_OK; /* read along with them */
        return waits ? read_weight(r, i, err) : broken(r, t->name, err);
    }
    if (number_of(t->name, 'e', plan->entries, &i, what)) return read_edit(r, t, i, err);
    if (!number_of(t->name, 'a', k->calibration->sites.sites, &i, what))
        return broken(r, t->name, err);
    if (strcmp(what, "scale") != 0) return MC_OK;
    const bool waits = k->made->act && k->made->act[i].mode == MC_ACT_DYNAMIC && !k->chosen[i];
    return waits && t->count > 0 ? read_act(r, t, i, err) : broken(r, t->name, err);
}

static mc_status read_step(mc_checkpoint *k, const mc_map *map, const char *path, mc_err *err)
{
    reader r = {.k = k, .path = path};
    mc_region room;
    MC_TRY(mc_region_open(&room, mc_safetensors_memory(map), err));
    mc_status status = mc_safetensors_parse(map, path, &room.arena, &r.content, err);
    for (size_t i = 0; status == MC_OK && i < r.content.tensors; i++)
        status = read_tensor(&r, &r.content.tensor[i], err);
    mc_region_close(&room);
    return status;
}

mc_status mc_checkpoint_resume(mc_checkpoint *k, size_t step, bool *done, mc_err *err)
{
    mc_region room;
    mc_map map;
    struct stat about;
    *done = false;
    if (!k) return MC_OK;
    MC_TRY(mc_region_open(&room, strlen(k->folder) + 4096, err));
    const char *path = mc_checkpoint_path(k, step, &room.arena);
    mc_status status = path ? MC_OK : mc_no_room(err, "a name");
    if (path && stat(path, &about) == 0) {
        status = mc_map_open(path, 0, &map, err);
        if (status == MC_OK) {
            status = read_step(k, &map, path, err);
            mc_map_close(&map);
        }
        *done = status == MC_OK;
    }
    mc_region_close(&room);
    if (*done) {
        mc_made_release(k->made);
        mc_checkpoint_mark(k);
    }
    return status;
}
