/* Pending edits: a list of them for each tensor, found by name, and their application to a
 * stretch of elements in f64. Rotations mix elements along their axis, so a stretch is cut where no
 * rotation reaches across. */
#include "core/edit_parts.h"

#include "core/ckd.h"

#include <math.h>
#include <string.h>

enum {
    SLAB = 8192,        /* elements edited at a time, when that many units fit, */
    LARGE_UNIT = 65536, /* and more for units up to this, so that */
    TOGETHER = 8,       /* vectors are rotated so many at a time: a cache line of each row */
};

/* ---- the lists ---- */

mc_status mc_edits_open(const mc_model *model, mc_arena *mem, mc_edits **out, mc_err *err)
{
    mc_edits *edits = MC_NEW(mem, mc_edits, 1);
    if (!edits) return mc_no_room(err, "edits of tensors");
    edits->mem = mem;
    MC_TRY(mc_names_open(&edits->names, model->tensors, mem, err));
    MC_TRY(mc_edit_cache_open(edits, err));
    *out = edits;
    return MC_OK;
}

void mc_edits_close(mc_edits *edits)
{
    if (!edits) return;
    mc_edit_cache_close(edits->cache);
    edits->cache = NULL;
}

static mc_edit_list *find_list(const mc_edits *edits, const mc_tensor *tensor)
{
    uint32_t i = mc_names_find(&edits->names, tensor->name);
    while (i != MC_NO_NAME && edits->list[i].data != tensor->data) i = edits->list[i].same;
    return i == MC_NO_NAME ? NULL : &edits->list[i];
}

const mc_edit_list *mc_edit_list_of(const mc_edits *edits, const mc_tensor *tensor)
{
    return find_list(edits, tensor);
}

size_t mc_edits_of(const mc_edits *edits, const mc_tensor *tensor)
{
    const mc_edit_list *list = mc_edit_list_of(edits, tensor);
    return list ? list->steps : 0;
}

const mc_edit *mc_edits_at(const mc_edits *edits, const mc_tensor *tensor, size_t i)
{
    const mc_edit_list *list = mc_edit_list_of(edits, tensor);
    const mc_edit_step *step = list ? list->first : NULL;
    while (step && i-- > 0) step = step->next;
    return step ? &step->edit : NULL;
}

static mc_status make_room(mc_edits *edits, mc_err *err)
{
    if (edits->lists < edits->list_room) return MC_OK;
    const uint32_t room = edits->list_room > 0 ? 2 * edits->list_room : 16;
    mc_edit_list *list = room > edits->lists ? MC_NEW(edits->mem, mc_edit_list, room) : NULL;
    if (!list) return mc_no_room(err, "edits of tensors");
    if (edits->lists > 0) memcpy(list, edits->list, edits->lists * sizeof *list);
    edits->list = list;
    edits->list_room = room;
    return MC_OK;
}

/* For a tensor that has none. */
static mc_status add_list(mc_edits *edits, const mc_tensor *tensor, mc_edit_list **out, mc_err *err)
{
    MC_TRY(make_room(edits, err));
    const char *name = mc_copy_text(edits->mem, tensor->name, strlen(tensor->name));
    if (!name) return mc_no_room(err, "edits of tensors");
    const uint32_t first = mc_names_find(&edits->names, name), at = edits->lists;
    if (first == MC_NO_NAME) MC_TRY(mc_names_put(&edits->names, name, at, edits->mem, err));
    mc_edit_list *list = &edits->list[edits->lists++];
    *list = (mc_edit_list){.name = name, .data = tensor->data, .same = MC_NO_NAME};
    if (first != MC_NO_NAME) {
        list->same = edits->list[first].same;
        edits->list[first].same = at;
    }
    *out = list;
    return MC_OK;
}

/* ---- adding ---- */

static mc_status check_tensor(const mc_tensor *t, mc_err *err)
{
    const mc_dtype_info *about = mc_dtype_about(t->dtype);
    uint64_t bytes;
    if (!about->to_f32)
        return mc_fail(err, MC_E_UNSUPPORTED, "tensor '%s': %s numbers cannot be edited", t->name,
                       about->name);
    if (!mc_mul_u64(t->count, about->bits / 8, &bytes) || t->bytes < bytes)
        return mc_fail(err, MC_E_FORMAT, "tensor '%s' has fewer bytes than its shape says",
                       t->name);
    return MC_OK;
}

static mc_status check_edit(const mc_tensor *t, const mc_edit *edit, mc_err *err)
{
    MC_TRY(check_tensor(t, err));
    if (edit->axis < 0 || edit->axis >= t->ndim || (edit->kind == MC_EDIT_SET && t->ndim != 1))
        return mc_fail(err, MC_E_INTERNAL, "tensor '%s': an edit along axis %d of %d dimensions",
                       t->name, edit->axis, t->ndim);
    const uint64_t n = t->dim[edit->axis];
    if (edit->kind == MC_EDIT_ROTATE) {
        if (edit->rotation && edit->rotation->n == n) return MC_OK;
        return mc_fail(
            err, MC_E_INTERNAL, "tensor '%s': axis %d has %llu elements, its rotation %zu", t->name,
            edit->axis, (unsigned long long)n, edit->rotation ? edit->rotation->n : (size_t)0);
    }
    if (!edit->vector)
        return mc_fail(err, MC_E_INTERNAL, "tensor '%s': an edit without numbers", t->name);
    for (uint64_t i = 0; i < n; i++)
        if (!isfinite(edit->vector[i]))
            return mc_fail(err, MC_E_FORMAT,
                           "tensor '%s': number %llu of an edit along axis %d is %g", t->name,
                           (unsigned long long)i, edit->axis, edit->vector[i]);
    return MC_OK;
}

mc_status mc_edits_add(mc_edits *edits, const mc_tensor *tensor, const mc_edit *edit, mc_err *err)
{
    MC_TRY(check_edit(tensor, edit, err));
    const size_t n = (size_t)tensor->dim[edit->axis];
    mc_edit_step *step = MC_NEW(edits->mem, mc_edit_step, 1);
    if (!step) return mc_no_room(err, "an edit");
    *step = (mc_edit_step){.edit = *edit, .length = n};
    if (edit->kind != MC_EDIT_ROTATE) {
        double *vector = MC_NEW_RAW(edits->mem, double, n);
        if (!vector) return mc_no_room(err, "an edit");
        if (n > 0) memcpy(vector, edit->vector, n * sizeof *vector);
        step->edit.vector = vector;
    }

    mc_edit_list *list = find_list(edits, tensor);
    if (!list) MC_TRY(add_list(edits, tensor, &list, err));
    if (list->last)
        list->last->next = step;
    else
        list->first = step;
    list->last = step;
    list->steps++;
    return MC_OK;
}

/* ---- applying ---- */

/* Elements from one index along the axis to the next. */
static uint64_t step_along(const mc_tensor *t, int axis)
{
    uint64_t inner = 1;
    for (int d = axis + 1; d < t->ndim; d++) inner *= t->dim[d];
    return inner;
}

/* One number for all when `each` is 0, one for each when it is 1. */
static void combine(mc_edit_kind kind, double *x, size_t n, const double *v, size_t each)
{
    if (kind == MC_EDIT_SCALE)
        for (size_t i = 0; i < n; i++) x[i] *= v[i * each];
    else if (kind == MC_EDIT_ADD)
        for (size_t i = 0; i < n; i++) x[i] += v[i * each];
    else
        for (size_t i = 0; i < n; i++) x[i] = v[i * each];
}

/* x are elements [first, first + n). */
static void apply_vector(const mc_edit_step *step, uint64_t inner, uint64_t first, double *x,
                         size_t n)
{
    const mc_edit *e = &step->edit;
    for (size_t done = 0; done < n;) {
        const uint64_t at = first + done, index = at / inner % step->length;
        const uint64_t left = inner > 1 ? inner - at % inner : step->length - index;
        const size_t now = left < n - done ? (size_t)left : n - done;
        combine(e->kind, x + done, now, e->vector + index, inner == 1);
        done += now;
    }
}

/* x [d x inner]: vectors that do not lie in one piece are gathered, a few at a time. */
static mc_status rotate_columns(const mc_rotation *q, size_t inner, double *x, mc_arena scratch,
                                mc_err *err)
{
    const size_t d = q->n;
    double *part = MC_NEW_RAW(&scratch, double, TOGETHER *d);
    if (!part) return mc_no_room(err, "vectors that are rotated");
    for (size_t at = 0; at < inner; at += TOGETHER) {
        const size_t now = inner - at < TOGETHER ? inner - at : TOGETHER;
        for (size_t i = 0; i < d; i++)
            for (size_t c = 0; c < now; c++) part[c * d + i] = x[i * inner + at + c];
        mc_rotate_f64(q, false, part, now, d, scratch);
        for (size_t i = 0; i < d; i++)
            for (size_t c = 0; c < now; c++) x[i * inner + at + c] = part[c * d + i];
    }
    return MC_OK;
}

static mc_status apply_rotation(const mc_rotation *q, size_t inner, double *x, size_t n,
                                mc_arena scratch, mc_err *err)
{
    if (inner == 1) {
        mc_rotate_f64(q, false, x, n / q->n, q->n, scratch);
        return MC_OK;
    }
    for (size_t at = 0; at < n; at += q->n * inner)
        MC_TRY(rotate_columns(q, inner, x + at, scratch, err));
    return MC_OK;
}

static mc_status read_wide(const mc_tensor *t, uint64_t first, size_t n, double *x, mc_err *err)
{
    if (t->dtype == MC_F64) return mc_nd_decode(MC_F64, t->data, first, n, x, err);
    const size_t width = mc_dtype_about(t->dtype)->bits / 8;
    float part[256];
    for (size_t at = 0; at < n; at += 256) {
        const size_t now = n - at < 256 ? n - at : 256;
        mc_to_f32(t->dtype, t->data + (first + at) * width, part, now);
        for (size_t i = 0; i < now; i++) x[at + i] = (double)part[i];
    }
    return MC_OK;
}

/* Infinity that the edits made is refused, NaN or infinity that was there stays. */
static mc_status round_off(const mc_tensor *t, uint64_t first, const double *x, size_t n,
                           float *out, mc_err *err)
{
    for (size_t i = 0; i < n; i++) {
        out[i] = (float)x[i];
        if (isfinite(out[i])) continue;
        double before;
        MC_TRY(read_wide(t, first + i, 1, &before, err));
        if (isfinite(before))
            return mc_fail(err, MC_E_FORMAT,
                           "tensor '%s': element %llu is %g, and %g once its edits are applied, "
                           "which is no float",
                           t->name, (unsigned long long)(first + i), before, x[i]);
    }
    return MC_OK;
}

static mc_status edit_slab(const mc_edit_list *list, const mc_tensor *t, uint64_t first, double *x,
                           size_t n, mc_arena scratch, mc_err *err)
{
    MC_TRY(read_wide(t, first, n, x, err));
    for (const mc_edit_step *s = list->first; s; s = s->next) {
        const uint64_t inner = step_along(t, s->edit.axis);
        if (s->edit.kind == MC_EDIT_ROTATE)
            MC_TRY(apply_rotation(s->edit.rotation, (size_t)inner, x, n, scratch, err));
        else
            apply_vector(s, inner, first, x, n);
    }
    return MC_OK;
}

/* ---- stretches ---- */

uint64_t mc_edit_unit(const mc_edit_list *list, const mc_tensor *t)
{
    int axis = t->ndim; /* the first that is rotated */
    for (const mc_edit_step *s = list->first; s; s = s->next)
        if (s->edit.kind == MC_EDIT_ROTATE && s->edit.axis < axis) axis = s->edit.axis;
    const uint64_t unit = axis < t->ndim ? step_along(t, axis) * t->dim[axis] : 1;
    return unit > 0 ? unit : 1;
}

/* Elements that are in memory as f64 at a time. */
static uint64_t slab_of(uint64_t unit, uint64_t count)
{
    uint64_t slab = unit < SLAB ? SLAB / unit * unit : unit;
    if (slab < TOGETHER * unit && unit <= LARGE_UNIT) slab = TOGETHER * unit;
    return slab < count ? slab : count;
}

static size_t range_bytes(const mc_tensor *t, uint64_t slab)
{
    uint64_t longest = 0, numbers, bytes;
    for (int d = 0; d < t->ndim; d++)
        if (t->dim[d] > longest) longest = t->dim[d];
    const bool fits = mc_mul_u64(longest, 2 * TOGETHER, &numbers) &&
                      mc_add_u64(numbers, slab, &numbers) &&
                      mc_mul_u64(numbers, sizeof(double), &bytes) &&
                      mc_add_u64(bytes, (uint64_t)4 * 64, &bytes) && bytes <= SIZE_MAX;
    return fits ? (size_t)bytes : SIZE_MAX;
}

size_t mc_edit_range_bytes(const mc_edit_list *list, const mc_tensor *tensor, uint64_t count)
{
    return range_bytes(tensor, slab_of(mc_edit_unit(list, tensor), count));
}

size_t mc_edits_scratch(const mc_tensor *tensor)
{
    return range_bytes(tensor, tensor->count);
}

mc_status mc_edit_range(const mc_edit_list *list, const mc_tensor *t, uint64_t first,
                        uint64_t count, mc_arena scratch, float *out, mc_err *err)
{
    MC_TRY(check_tensor(t, err));
    for (const mc_edit_step *s = list->first; s; s = s->next)
        if (s->edit.axis >= t->ndim || t->dim[s->edit.axis] != s->length)
            return mc_fail(err, MC_E_INTERNAL,
                           "tensor '%s': axis %d is not the one that its edit was made for",
                           t->name, s->edit.axis);
    const uint64_t slab = slab_of(mc_edit_unit(list, t), count);
    double *x = slab <= SIZE_MAX ? MC_NEW_RAW(&scratch, double, (size_t)slab) : NULL;
    if (!x) return mc_fail(err, MC_E_BUDGET, "no room to edit tensor '%s'", t->name);
    for (uint64_t done = 0; done < count; done += slab) {
        const size_t n = (size_t)(count - done < slab ? count - done : slab);
        MC_TRY(edit_slab(list, t, first + done, x, n, scratch, err));
        MC_TRY(round_off(t, first + done, x, n, out + done, err));
    }
    return MC_OK;
}

mc_status mc_edits_load(const mc_edits *edits, const mc_tensor *tensor, mc_arena scratch,
                        float *out, mc_err *err)
{
    const mc_edit_list *list = mc_edit_list_of(edits, tensor);
    if (list) return mc_edit_range(list, tensor, 0, tensor->count, scratch, out, err);
    MC_TRY(check_tensor(tensor, err));
    mc_to_f32(tensor->dtype, tensor->data, out, (size_t)tensor->count);
    return MC_OK;
}
