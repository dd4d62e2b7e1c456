/* Samples from arrays: one array an input of the graph, the first axis counts samples. */
#include "calib/dataset_parts.h"

#include "formats/json_pull.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- opening ---- */

static const mc_array *find(const mc_npz *npz, const char *name)
{
    for (size_t i = 0; i < npz->arrays; i++)
        if (strcmp(npz->array[i].name, name) == 0) return &npz->array[i];
    return NULL;
}

/* As a graph's input looks, for messages. */
static const char *show_array(const mc_array *a, char text[MC_ND_TEXT])
{
    mc_nd nd = {.dtype = a->dtype, .ndim = a->ndim};
    for (int k = 0; k < a->ndim; k++) nd.dim[k] = (int64_t)a->dim[k];
    return mc_nd_show(&nd, text);
}

static const char *show_value(const mc_value *v, char text[MC_ND_TEXT])
{
    mc_nd nd = {.dtype = v->dtype, .ndim = v->ndim};
    memcpy(nd.dim, v->dim, sizeof nd.dim);
    return mc_nd_show(&nd, text);
}

static const mc_value *input_of(const mc_dataset *d, size_t input)
{
    return &d->model->graph->value[d->model->graph->input[input]];
}

static mc_dtype dtype_of(const mc_value *v, const mc_array *a)
{
    return v->dtype == MC_DTYPE_NONE ? a->dtype : v->dtype;
}

static mc_status check_array(const mc_value *v, const mc_array *a, const char *path, mc_err *err)
{
    char found[MC_ND_TEXT], wanted[MC_ND_TEXT];
    bool fits = a->ndim > 0 && (v->ndim < 0 || v->ndim == a->ndim);
    for (int k = 1; fits && v->ndim >= 0 && k < a->ndim; k++)
        fits = v->dim[k] < 0 || (uint64_t)v->dim[k] == a->dim[k];
    if (!fits || !mc_data_converts(a->dtype, dtype_of(v, a)))
        return mc_fail(err, MC_E_FORMAT, "%s: array '%s' is %s, the graph's input is %s", path,
                       v->name, show_array(a, found), show_value(v, wanted));
    if (v->ndim > 0 && v->dim[0] >= 0 && v->dim[0] != 1)
        return mc_fail(err, MC_E_UNSUPPORTED,
                       "%s: the graph's input '%s' takes exactly %" PRId64
                       " samples at once; 1 or any number is needed",
                       path, v->name, v->dim[0]);
    return MC_OK;
}

/* Names the arrays that there are, as far as there is room. */
static mc_status missing(const mc_npz *npz, const char *name, const char *path, mc_err *err)
{
    char list[4 * MC_QUOTE_ROOM] = "";
    for (size_t i = 0, n = 0; i < npz->arrays; i++) {
        const mc_quoted shown = mc_quote(npz->array[i].name);
        const bool fits = n + strlen(shown.text) + 8 < sizeof list;
        n += (size_t)snprintf(list + n, sizeof list - n, "%s%s", i ? ", " : "",
                              fits ? shown.text : "...");
        if (!fits) break;
    }
    const bool unnamed = npz->arrays == 1 && npz->array[0].name[0] == '\0';
    return mc_fail(err, MC_E_FORMAT, "%s: no array '%s' for the graph's input (it holds %s)", path,
                   name, unnamed ? "one without a name" : list);
}

static mc_status take_labels(mc_data_arrays *f, const char *path, mc_err *err)
{
    char found[MC_ND_TEXT];
    f->labels = find(&f->npz, "labels");
    if (!f->labels || (f->labels->count == f->samples && f->labels->ndim > 0 &&
                       !mc_dtype_about(f->labels->dtype)->is_float))
        return MC_OK;
    return mc_fail(err, MC_E_FORMAT,
                   "%s: array 'labels' is %s, needed is a whole number for each of %" PRIu64
                   " samples",
                   path, show_array(f->labels, found), f->samples);
}

/* A sample without a number in it may stand in any number in a small file. */
static mc_status check_rows(const mc_data_arrays *f, size_t inputs, const char *path, mc_err *err)
{
    bool some = f->samples == 0;
    for (size_t i = 0; i < inputs; i++) some = some || f->input[i]->count > 0;
    return some ? MC_OK : mc_fail(err, MC_E_FORMAT, "%s: its samples hold no number", path);
}

static mc_status take_inputs(mc_dataset *d, mc_data_arrays *f, const char *path, mc_err *err)
{
    const size_t inputs = d->model->graph->inputs;
    f->input = MC_NEW(&d->memory.arena, const mc_array *, inputs);
    if (!f->input) return mc_no_room(err, "the arrays of a data set");
    for (size_t i = 0; i < inputs; i++) {
        const mc_value *v = input_of(d, i);
        const bool unnamed = f->npz.arrays == 1 && f->npz.array[0].name[0] == '\0';
        const mc_array *a = i == 0 && unnamed ? &f->npz.array[0] : find(&f->npz, v->name);
        if (!a) return missing(&f->npz, v->name, path, err);
        MC_TRY(check_array(v, a, path, err));
        if (i > 0 && a->dim[0] != f->samples)
            return mc_fail(err, MC_E_FORMAT,
                           "%s: array '%s' has %" PRIu64 " samples, the others %" PRIu64, path,
                           v->name, a->dim[0], f->samples);
        f->samples = a->dim[0];
        f->input[i] = a;
    }
    MC_TRY(check_rows(f, inputs, path, err));
    return take_labels(f, path, err);
}

static mc_status read_file(const mc_data_file *file, mc_npz *npz, mc_err *err)
{
    if (!mc_data_is_zip(file))
        return mc_npy_read(file->map.data, file->map.size, file->path, npz, err);
    const mc_npz_source from = {
        .bytes = file->map.data, .n = file->map.size, .name = file->path, .map = &file->map};
    return mc_npz_read(&from, npz, err);
}

mc_status mc_data_open_arrays(mc_dataset *d, mc_err *err)
{
    d->arrays = MC_NEW(&d->memory.arena, mc_data_arrays, d->files);
    if (!d->arrays) return mc_no_room(err, "the arrays of a data set");
    for (size_t i = 0; i < d->files; i++) {
        mc_data_arrays *f = &d->arrays[i];
        MC_TRY(read_file(&d->file[i], &f->npz, err));
        MC_TRY(take_inputs(d, f, d->file[i].path, err));
        f->first = d->samples;
        d->samples += f->samples;
        if (!f->labels != !d->arrays[0].labels)
            return mc_fail(err, MC_E_FORMAT, "%s has labels, %s has none",
                           d->file[f->labels ? i : 0].path, d->file[f->labels ? 0 : i].path);
    }
    return MC_OK;
}

/* ---- samples ---- */

/* The last one that begins at or before the sample: files without samples come before it. */
static size_t file_of(const mc_dataset *d, uint64_t sample)
{
    size_t low = 0, high = d->files;
    while (high - low > 1) {
        const size_t mid = low + (high - low) / 2;
        if (d->arrays[mid].first <= sample)
            low = mid;
        else
            high = mid;
    }
    return low;
}

mc_status mc_data_arrays_sample(const mc_dataset *d, uint64_t i, mc_arena *mem, mc_nd *input,
                                mc_err *err)
{
    const size_t file = file_of(d, i);
    const mc_data_arrays *f = &d->arrays[file];
    for (size_t k = 0; k < d->model->graph->inputs; k++) {
        const mc_array *a = f->input[k];
        const mc_value *v = input_of(d, k);
        int64_t dim[MC_MAX_DIMS] = {1};
        for (int axis = 1; axis < a->ndim; axis++) dim[axis] = (int64_t)a->dim[axis];
        input[k] = (mc_nd){0};
        MC_TRY(mc_nd_set(&input[k], dtype_of(v, a), a->ndim, dim, err));
        const size_t each = input[k].count;
        input[k].data = mc_alloc_raw(mem, each + 1, mc_nd_width(input[k].dtype));
        if (!input[k].data) return mc_no_room(err, "a sample");
        const mc_data_part part = {d, file, a, (i - f->first) * each, each};
        if (mc_data_convert(&part, &input[k], err) != MC_OK)
            return mc_wrap(err, "%s: array '%s'", d->file[file].path, v->name);
    }
    return MC_OK;
}

bool mc_data_arrays_label(const mc_dataset *d, uint64_t i, int64_t *label)
{
    const mc_data_arrays *f = &d->arrays[file_of(d, i)];
    if (!f->labels) return false;
    uint64_t raw = 0;
    mc_array_read(f->labels, i - f->first, 1, &raw);
    const mc_nd one = {.dtype = f->labels->dtype, .count = 1, .data = &raw};
    *label = mc_nd_int(&one, 0);
    return true;
}
