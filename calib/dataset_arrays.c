/* Samples from arrays: one array an input of the graph, the first axis counts samples. */
#include "calib/dataset_parts.h"

#include "core/ckd.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* ---- converting ---- */

static bool is_whole(mc_dtype dtype)
{
    return !mc_dtype_about(dtype)->is_float;
}

/* False when the dtype cannot hold it. */
static bool store_whole(mc_dtype dtype, int64_t value, void *to)
{
    const unsigned bits = mc_dtype_about(dtype)->bits;
    const bool is_signed = dtype == MC_I8 || dtype == MC_I16 || dtype == MC_I32 || dtype == MC_I64;
    if (dtype == MC_BOOL) {
        *(unsigned char *)to = value != 0;
        return true;
    }
    if (bits < 64) {
        const int64_t most = ((int64_t)1 << (is_signed ? bits - 1 : bits)) - 1;
        if (value > most || value < (is_signed ? -most - 1 : 0)) return false;
    } else if (!is_signed && value < 0) {
        return false;
    }
    const uint64_t word = (uint64_t)value;
    memcpy(to, &word, bits / 8); /* little-endian machines only, as mc_map views are */
    return true;
}

static mc_status store(const mc_nd *from, size_t i, mc_dtype storage, unsigned char *to,
                       mc_err *err)
{
    const bool whole = is_whole(from->dtype);
    const double value = mc_nd_real(from, i);
    const float narrow = (float)value;
    bool fits = whole || isfinite(value);
    if (is_whole(storage))
        fits = fits && store_whole(storage, mc_nd_int(from, i), to);
    else if (storage == MC_F64)
        memcpy(to, &value, sizeof value);
    else
        memcpy(to, &narrow, sizeof narrow);
    if (fits) return MC_OK;
    return mc_fail(err, MC_E_FORMAT, "a value is %g, which %s does not hold", value,
                   mc_dtype_about(storage)->name);
}

mc_status mc_data_convert(const mc_array *a, uint64_t first, uint64_t count, mc_nd *to,
                          const char *name, mc_err *err)
{
    enum { CHUNK = 512 };
    uint64_t raw[CHUNK], lying[CHUNK]; /* as the file has them; as they lie in memory */
    const mc_dtype storage = mc_nd_storage(to->dtype);
    const size_t width = mc_nd_width(to->dtype);
    if (is_whole(storage) && !is_whole(a->dtype))
        return mc_fail(err, MC_E_FORMAT, "%s: holds %s, the graph's input is %s", name,
                       mc_dtype_about(a->dtype)->name, mc_dtype_about(to->dtype)->name);
    unsigned char *out = to->data;
    for (uint64_t at = 0; at < count; at += CHUNK) {
        const size_t n = count - at < CHUNK ? (size_t)(count - at) : CHUNK;
        mc_array_read(a, first + at, n, raw);
        MC_TRY(mc_nd_decode(a->dtype, (const unsigned char *)raw, 0, n, lying, err));
        const mc_nd from = {.dtype = a->dtype, .count = n, .data = lying};
        for (size_t i = 0; i < n; i++, out += width)
            if (store(&from, i, storage, out, err) != MC_OK)
                return mc_wrap(err, "%s: element %" PRIu64, name, first + at + i);
    }
    mc_nd_round(to);
    return MC_OK;
}

/* ---- opening ---- */

static const mc_array *find(const mc_npz *npz, const char *name)
{
    for (size_t i = 0; i < npz->arrays; i++)
        if (strcmp(npz->array[i].name, name) == 0) return &npz->array[i];
    return NULL;
}

static void show_shape(const mc_array *a, char *text, size_t room)
{
    mc_tensor t = {.ndim = a->ndim};
    memcpy(t.dim, a->dim, sizeof t.dim);
    mc_tensor_shape_text(&t, text, room);
}

/* The input as one sample has it: its first axis is 1. */
static mc_status sample_shape(const mc_dataset *d, size_t input, const mc_array *a, mc_nd *nd,
                              mc_err *err)
{
    const mc_value *v = &d->model->graph->value[d->model->graph->input[input]];
    int64_t dim[MC_MAX_DIMS] = {1};
    for (int k = 1; k < a->ndim; k++) dim[k] = (int64_t)a->dim[k];
    const mc_dtype dtype = v->dtype == MC_DTYPE_NONE ? a->dtype : v->dtype;
    return mc_nd_set(nd, dtype, a->ndim, dim, err);
}

static mc_status check_array(const mc_dataset *d, size_t input, const mc_array *a, const char *path,
                             mc_err *err)
{
    const mc_value *v = &d->model->graph->value[d->model->graph->input[input]];
    bool fits = a->ndim > 0 && (v->ndim < 0 || v->ndim == a->ndim);
    for (int k = 1; fits && v->ndim >= 0 && k < a->ndim; k++)
        fits = v->dim[k] < 0 || (uint64_t)v->dim[k] == a->dim[k];
    if (fits && v->ndim > 0 && v->dim[0] > 1)
        return mc_fail(err, MC_E_UNSUPPORTED,
                       "%s: the graph's input '%s' takes exactly %lld samples at once; 1 or any "
                       "number is needed",
                       path, v->name, (long long)v->dim[0]);
    if (fits) return MC_OK;
    char found[MC_ND_TEXT], wanted[MC_ND_TEXT];
    mc_nd shape = {.dtype = v->dtype, .ndim = v->ndim};
    memcpy(shape.dim, v->dim, sizeof shape.dim);
    show_shape(a, found, sizeof found);
    return mc_fail(err, MC_E_FORMAT, "%s: array '%s' is %s, the graph's input is %s", path, v->name,
                   found, mc_nd_show(&shape, wanted));
}

static mc_status take_inputs(mc_dataset *d, mc_data_arrays *f, const char *path, mc_err *err)
{
    const mc_graph *g = d->model->graph;
    for (size_t i = 0; i < g->inputs; i++) {
        const char *name = g->value[g->input[i]].name;
        const mc_array *a = find(&f->npz, name);
        if (!a && g->inputs == 1 && f->npz.arrays == 1 && f->npz.array[0].name[0] == '\0')
            a = &f->npz.array[0];
        if (!a)
            return mc_fail(err, MC_E_FORMAT, "%s: no array '%s' for the graph's input", path, name);
        MC_TRY(check_array(d, i, a, path, err));
        if (i > 0 && a->dim[0] != f->samples)
            return mc_fail(err, MC_E_FORMAT,
                           "%s: array '%s' has %" PRIu64 " samples, the others %" PRIu64, path,
                           name, a->dim[0], f->samples);
        f->samples = a->dim[0];
        f->input[i] = a;
    }
    f->labels = find(&f->npz, "labels");
    if (f->labels && (f->labels->count != f->samples || !is_whole(f->labels->dtype)))
        return mc_fail(err, MC_E_FORMAT,
                       "%s: array 'labels' has %" PRIu64
                       " %s, needed is a whole number for each of "
                       "%" PRIu64 " samples",
                       path, f->labels->count, mc_dtype_about(f->labels->dtype)->name, f->samples);
    return MC_OK;
}

static mc_status read_file(const mc_data_file *file, mc_npz *npz, mc_err *err)
{
    const uint64_t limit = (uint64_t)4 << 30;
    const bool zip = file->map.size > 2 && memcmp(file->map.data, "PK", 2) == 0;
    return zip ? mc_npz_read(file->map.data, file->map.size, file->path, limit, npz, err)
               : mc_npy_read(file->map.data, file->map.size, file->path, npz, err);
}

mc_status mc_data_open_arrays(mc_dataset *d, mc_err *err)
{
    d->arrays = MC_NEW(&d->memory.arena, mc_data_arrays, d->files);
    if (!d->arrays) return mc_no_room(err, "the arrays of a data set");
    for (size_t i = 0; i < d->files; i++) {
        mc_data_arrays *f = &d->arrays[i];
        MC_TRY(read_file(&d->file[i], &f->npz, err));
        f->input = MC_NEW(&d->memory.arena, const mc_array *, d->model->graph->inputs + 1);
        if (!f->input) return mc_no_room(err, "the arrays of a data set");
        MC_TRY(take_inputs(d, f, d->file[i].path, err));
        f->first = d->samples;
        d->samples += f->samples;
        if (!f->labels != !d->arrays[0].labels)
            return mc_fail(err, MC_E_FORMAT, "%s: has %s labels, other files of the set %s",
                           d->file[i].path, f->labels ? "" : "no", f->labels ? "none" : "have");
    }
    return MC_OK;
}

/* ---- samples ---- */

static const mc_data_arrays *file_of(const mc_dataset *d, uint64_t sample)
{
    size_t f = 0;
    while (f + 1 < d->files && d->arrays[f + 1].first <= sample) f++;
    return &d->arrays[f];
}

/* What was read may leave memory again, its edges shared with the neighbours too. */
static void release(const mc_dataset *d, const mc_data_arrays *f, const mc_array *a, uint64_t row,
                    uint64_t row_bytes)
{
    enum { PAGE = 4096 };
    const mc_map *map = &d->file[f - d->arrays].map;
    const uintptr_t base = (uintptr_t)map->data, data = (uintptr_t)a->data;
    if (data < base || data - base >= map->size) return; /* inflated */
    const size_t from = data - base + (size_t)(row * row_bytes), to = from + (size_t)row_bytes;
    mc_map_release(map, from > PAGE ? from - PAGE : 0, to + PAGE);
}

mc_status mc_data_arrays_sample(const mc_dataset *d, uint64_t i, mc_arena *mem, mc_nd *input,
                                mc_err *err)
{
    const mc_data_arrays *f = file_of(d, i);
    const mc_graph *g = d->model->graph;
    for (size_t k = 0; k < g->inputs; k++) {
        const mc_array *a = f->input[k];
        const char *path = d->file[f - d->arrays].path;
        MC_TRY(sample_shape(d, k, a, &input[k], err));
        input[k].data = mc_alloc_raw(mem, input[k].count, mc_nd_width(input[k].dtype));
        if (!input[k].data && input[k].count) return mc_no_room(err, "a sample");
        const uint64_t row = i - f->first, each = input[k].count;
        if (mc_data_convert(a, row * each, each, &input[k], a->name, err) != MC_OK)
            return mc_wrap(err, "%s", path);
        release(d, f, a, row, each * (mc_dtype_about(a->dtype)->bits / 8));
    }
    return MC_OK;
}

bool mc_data_arrays_label(const mc_dataset *d, uint64_t i, int64_t *label)
{
    const mc_data_arrays *f = file_of(d, i);
    if (!f->labels) return false;
    uint64_t raw = 0;
    mc_array_read(f->labels, i - f->first, 1, &raw);
    const mc_nd one = {.dtype = f->labels->dtype, .count = 1, .data = &raw};
    *label = mc_nd_int(&one, 0);
    return true;
}
