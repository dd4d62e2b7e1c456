/* Samples from token ids: windows of W that do not overlap. Ids come from an array, or from a text
 * by the model's own tokenizer. */
#include "calib/dataset_parts.h"

#include "core/bytes.h"

#include <inttypes.h>
#include <string.h>

enum { USUAL_WINDOW = 512 };

mc_status mc_data_need_tokenizer(const mc_dataset *d, const char *what, mc_err *err)
{
    if (d->tokenizer) return MC_OK;
    return mc_fail(err, MC_E_UNSUPPORTED, "%s: %s cannot be turned into token ids: %s", d->path,
                   what, d->no_tokenizer ? d->no_tokenizer : "the model has no tokenizer.json");
}

/* ---- where ids come from ---- */

static mc_status room_for_ids(mc_dataset *d, uint64_t count, int32_t **ids, mc_err *err)
{
    MC_TRY(mc_region_open(&d->ids_room, (size_t)(count + 1) * sizeof(int32_t) + 64, err));
    *ids = MC_NEW_RAW(&d->ids_room.arena, int32_t, (size_t)count + 1);
    return *ids ? MC_OK : mc_no_room(err, "token ids");
}

static mc_status read_ids(const mc_array *a, const char *path, int32_t *to, mc_err *err)
{
    mc_nd nd = {.dtype = MC_I32, .ndim = 1, .count = (size_t)a->count, .data = to};
    MC_TRY(mc_data_convert(a, 0, a->count, &nd, path, err));
    for (uint64_t i = 0; i < a->count; i++)
        if (to[i] < 0)
            return mc_fail(err, MC_E_FORMAT, "%s: token id %" PRIu64 " is %" PRId32 ", below 0",
                           path, i, to[i]);
    return MC_OK;
}

static mc_status ids_of_arrays(mc_dataset *d, mc_err *err)
{
    uint64_t count = 0;
    d->arrays = MC_NEW(&d->memory.arena, mc_data_arrays, d->files);
    if (!d->arrays) return mc_no_room(err, "token ids");
    for (size_t i = 0; i < d->files; i++) {
        const mc_data_file *f = &d->file[i];
        mc_npz *npz = &d->arrays[i].npz;
        MC_TRY(mc_npy_read(f->map.data, f->map.size, f->path, npz, err));
        if (npz->array[0].ndim == 2 && !d->options.window) d->options.window = npz->array[0].dim[1];
        count += npz->array[0].count;
    }
    int32_t *ids;
    MC_TRY(room_for_ids(d, count, &ids, err));
    for (size_t i = 0; i < d->files; i++) {
        MC_TRY(read_ids(&d->arrays[i].npz.array[0], d->file[i].path, ids + d->id_count, err));
        d->id_count += d->arrays[i].npz.array[0].count;
    }
    d->ids = ids;
    return MC_OK;
}

/* Texts follow each other as if they were one set of windows, each encoded whole. */
static mc_status ids_of_texts(mc_dataset *d, mc_err *err)
{
    uint64_t bytes = 0;
    int32_t *ids;
    MC_TRY(mc_data_need_tokenizer(d, "text", err));
    for (size_t i = 0; i < d->files; i++) bytes += d->file[i].map.size + 8;
    MC_TRY(room_for_ids(d, bytes * 2, &ids, err));
    for (size_t i = 0; i < d->files; i++) {
        const mc_data_file *f = &d->file[i];
        int32_t *some;
        size_t n;
        if (mc_tokenizer_encode(d->tokenizer, (const char *)f->map.data, f->map.size, &some, &n,
                                err) != MC_OK)
            return mc_wrap(err, "%s", f->path);
        const bool fits = n <= bytes * 2 - d->id_count;
        if (fits) memcpy(ids + d->id_count, some, n * sizeof *some);
        mc_tokenizer_free_ids(some);
        if (!fits) return mc_fail(err, MC_E_INTERNAL, "%s: more ids than bytes", f->path);
        d->id_count += n;
        mc_map_release(&f->map, 0, f->map.size);
    }
    d->ids = ids;
    return MC_OK;
}

/* The tokens of a llama.cpp file of log-probabilities, whose windows it sets. */
static const char logits_magic[] = "_logits_";

static mc_status ids_of_logits(mc_dataset *d, mc_err *err)
{
    enum { HEAD = 8 + 3 * 4 };
    const mc_map *map = &d->file[0].map;
    const char *path = d->file[0].path;
    if (map->size < HEAD) return mc_fail(err, MC_E_FORMAT, "%s: ends in its header", path);
    const uint64_t window = mc_load_u32le(map->data + 8), chunks = mc_load_u32le(map->data + 16);
    if (window == 0 || window > INT32_MAX || chunks == 0 ||
        chunks > (map->size - HEAD) / 4 / window)
        return mc_fail(err, MC_E_FORMAT, "%s: does not hold the tokens its header tells of", path);
    if (d->options.window && d->options.window != window)
        return mc_fail(err, MC_E_USAGE,
                       "--window %" PRIu64 ": %s has windows of %" PRIu64 " tokens",
                       d->options.window, path, window);
    int32_t *ids;
    MC_TRY(room_for_ids(d, window * chunks, &ids, err));
    for (uint64_t i = 0; i < window * chunks; i++)
        ids[i] = (int32_t)mc_load_u32le(map->data + HEAD + 4 * i);
    d->ids = ids;
    d->id_count = window * chunks;
    d->options.window = window;
    return MC_OK;
}

static mc_status read_ids_or_text(mc_dataset *d, mc_err *err)
{
    const mc_map *first = &d->file[0].map;
    if (first->size >= 8 && memcmp(first->data, logits_magic, 8) == 0) return ids_of_logits(d, err);
    const bool array = first->size >= 6 && memcmp(first->data, "\x93NUMPY", 6) == 0;
    return array ? ids_of_arrays(d, err) : ids_of_texts(d, err);
}

static uint64_t window_of(const mc_dataset *d)
{
    if (d->options.window) return d->options.window;
    const uint64_t context = d->model->context;
    return context && context < USUAL_WINDOW ? context : USUAL_WINDOW;
}

mc_status mc_data_open_tokens(mc_dataset *d, mc_err *err)
{
    MC_TRY(read_ids_or_text(d, err));
    d->window = window_of(d);
    if (d->model->context && d->window > d->model->context)
        return mc_fail(err, MC_E_USAGE,
                       "--window %" PRIu64 ": the model takes at most %" PRIu64 " tokens",
                       d->window, d->model->context);
    d->samples = d->id_count / d->window;
    if (d->samples == 0)
        return mc_fail(err, MC_E_FORMAT, "%s: %" PRIu64 " tokens do not fill a window of %" PRIu64,
                       d->path, d->id_count, d->window);
    return MC_OK;
}

/* ---- inputs for a row of ids ---- */

/* What an input is filled with: the ids, ones, zeros, or 0, 1, 2 …; -1 when that is not known. */
typedef enum { FILL_NONE = -1, FILL_IDS, FILL_ONES, FILL_ZEROS, FILL_PLACES } fill;

static fill fill_of(const char *name, size_t place)
{
    if (strcmp(name, "attention_mask") == 0) return FILL_ONES;
    if (strcmp(name, "token_type_ids") == 0) return FILL_ZEROS;
    if (strcmp(name, "position_ids") == 0) return FILL_PLACES;
    return place == 0 || strcmp(name, "input_ids") == 0 ? FILL_IDS : FILL_NONE;
}

static void put(mc_nd *nd, size_t i, int64_t value)
{
    switch (nd->dtype) {
    case MC_I64: ((int64_t *)nd->data)[i] = value; break;
    case MC_I32: ((int32_t *)nd->data)[i] = (int32_t)value; break;
    case MC_BOOL: ((unsigned char *)nd->data)[i] = value != 0; break;
    default: ((float *)nd->data)[i] = (float)value; break;
    }
}

mc_status mc_inputs_of_ids(const mc_model *model, const int32_t *ids, size_t n, mc_arena *mem,
                           mc_nd *input, mc_err *err)
{
    const mc_graph *g = model->graph;
    const int64_t dim[2] = {1, (int64_t)n};
    for (size_t k = 0; k < g->inputs; k++) {
        const mc_value *v = &g->value[g->input[k]];
        const fill how = fill_of(v->name, k);
        const bool known =
            v->dtype == MC_I64 || v->dtype == MC_I32 || v->dtype == MC_BOOL || v->dtype == MC_F32;
        if (how == FILL_NONE || !known)
            return mc_fail(err, MC_E_UNSUPPORTED,
                           "%s: token ids do not say what the graph's input '%s' (%s) is: give an "
                           "npz with an array for each input",
                           model->path, v->name, mc_dtype_about(v->dtype)->name);
        MC_TRY(mc_nd_set(&input[k], v->dtype, 2, dim, err));
        input[k].data = mc_alloc_raw(mem, n + 1, mc_nd_width(v->dtype));
        if (!input[k].data) return mc_no_room(err, "a window of tokens");
        for (size_t i = 0; i < n; i++)
            put(&input[k], i,
                how == FILL_IDS      ? (int64_t)ids[i]
                : how == FILL_PLACES ? (int64_t)i
                                     : (int64_t)(how == FILL_ONES));
    }
    return MC_OK;
}
