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

static mc_status check_id(const char *path, uint64_t i, int64_t id, uint64_t words, mc_err *err)
{
    if (id < 0)
        return mc_fail(err, MC_E_FORMAT, "%s: token id %" PRIu64 " is %" PRId64 ", below 0", path,
                       i, id);
    if ((uint64_t)id >= words)
        return mc_fail(err, MC_E_FORMAT,
                       "%s: token id %" PRIu64 " is %" PRId64 " of %" PRIu64 " words", path, i, id,
                       words);
    return MC_OK;
}

/* An array that is no ids is refused here, where its file is known. */
static mc_status check_ids(const mc_array *a, const char *path, mc_err *err)
{
    const bool whole = !mc_dtype_about(a->dtype)->is_float && a->dtype != MC_BOOL;
    if (whole && (a->ndim == 1 || a->ndim == 2)) return MC_OK;
    return mc_fail(err, MC_E_FORMAT,
                   "%s: %d axes of %s; token ids are whole numbers with one axis, or two for rows",
                   path, a->ndim, mc_dtype_about(a->dtype)->name);
}

static mc_status read_ids(const mc_dataset *d, size_t file, int32_t *to, mc_err *err)
{
    const mc_array *a = &d->arrays[file].npz.array[0];
    const char *path = d->file[file].path;
    mc_nd nd = {.dtype = MC_I32, .ndim = 1, .count = (size_t)a->count, .data = to};
    const mc_data_part part = {d, file, a, 0, a->count};
    if (mc_data_convert(&part, &nd, err) != MC_OK) return mc_wrap(err, "%s", path);
    for (uint64_t i = 0; i < a->count; i++)
        MC_TRY(check_id(path, i, to[i], (uint64_t)INT32_MAX + 1, err));
    return MC_OK;
}

/* `own` becomes the length of rows, 0 when there are none. */
static mc_status ids_of_arrays(mc_dataset *d, uint64_t *own, mc_err *err)
{
    uint64_t count = 0;
    d->arrays = MC_NEW(&d->memory.arena, mc_data_arrays, d->files);
    if (!d->arrays) return mc_no_room(err, "token ids");
    for (size_t i = 0; i < d->files; i++) {
        const mc_data_file *f = &d->file[i];
        mc_npz *npz = &d->arrays[i].npz;
        MC_TRY(mc_npy_read(f->map.data, f->map.size, f->path, npz, err));
        const mc_array *a = &npz->array[0];
        MC_TRY(check_ids(a, f->path, err));
        const uint64_t row = a->ndim == 2 ? a->dim[1] : 0;
        if (i > 0 && row != *own && !d->options.window)
            return mc_fail(err, MC_E_FORMAT,
                           "%s: rows of %" PRIu64 " token ids, of %" PRIu64
                           " in %s (--window cuts them alike)",
                           f->path, row, *own, d->file[0].path);
        *own = row;
        count += a->count;
    }
    int32_t *ids;
    MC_TRY(room_for_ids(d, count, &ids, err));
    for (size_t i = 0; i < d->files; i++) {
        MC_TRY(read_ids(d, i, ids + d->id_count, err));
        d->id_count += d->arrays[i].npz.array[0].count;
    }
    d->ids = ids;
    return MC_OK;
}

/* The ids of one text, as the tokenizer made them. */
typedef struct {
    int32_t *ids;
    size_t n;
} text_ids;

static mc_status join_texts(mc_dataset *d, const text_ids *text, mc_err *err)
{
    uint64_t count = 0;
    int32_t *ids;
    for (size_t i = 0; i < d->files; i++) count += text[i].n;
    MC_TRY(room_for_ids(d, count, &ids, err));
    for (size_t i = 0; i < d->files; i++) {
        if (text[i].n > 0) memcpy(ids + d->id_count, text[i].ids, text[i].n * sizeof *ids);
        d->id_count += text[i].n;
    }
    d->ids = ids;
    return MC_OK;
}

/* Texts follow each other as if they were one set of windows, each encoded whole. */
static mc_status ids_of_texts(mc_dataset *d, mc_err *err)
{
    MC_TRY(mc_data_need_tokenizer(d, "text", err));
    text_ids *text = MC_NEW(&d->memory.arena, text_ids, d->files);
    mc_status status = text ? MC_OK : mc_no_room(err, "token ids");
    for (size_t i = 0; status == MC_OK && i < d->files; i++) {
        const mc_map *map = &d->file[i].map;
        status = mc_tokenizer_encode(d->tokenizer, (const char *)map->data, map->size, &text[i].ids,
                                     &text[i].n, err);
        if (status != MC_OK) {
            text[i].ids = NULL;
            status = mc_wrap(err, "%s", d->file[i].path);
        }
        mc_map_release(map, 0, map->size);
    }
    if (status == MC_OK) status = join_texts(d, text, err);
    for (size_t i = 0; text && i < d->files; i++) mc_tokenizer_free_ids(text[i].ids);
    return status;
}

/* The tokens of a llama.cpp file of log-probabilities, whose windows it sets. */
static const char logits_magic[] = "_logits_";

static mc_status ids_of_logits(mc_dataset *d, uint64_t *own, mc_err *err)
{
    enum { HEAD = 8 + 3 * 4 };
    const mc_map *map = &d->file[0].map;
    const char *path = d->file[0].path;
    if (d->files > 1)
        return mc_fail(err, MC_E_FORMAT, "%s: a file of log-probabilities, and others beside it",
                       path);
    if (map->size < HEAD) return mc_fail(err, MC_E_FORMAT, "%s: ends in its header", path);
    const uint64_t window = mc_load_u32le(map->data + 8), words = mc_load_u32le(map->data + 12),
                   chunks = mc_load_u32le(map->data + 16);
    if (window == 0 || chunks == 0 || chunks > (map->size - HEAD) / 4 / window)
        return mc_fail(err, MC_E_FORMAT, "%s: does not hold the tokens its header tells of", path);
    if (d->options.window && d->options.window != window)
        return mc_fail(err, MC_E_USAGE,
                       "--window %" PRIu64 ": %s has windows of %" PRIu64 " tokens",
                       d->options.window, path, window);
    int32_t *ids;
    MC_TRY(room_for_ids(d, window * chunks, &ids, err));
    for (uint64_t i = 0; i < window * chunks; i++) {
        ids[i] = (int32_t)mc_load_u32le(map->data + HEAD + 4 * i);
        MC_TRY(check_id(path, i, ids[i], words, err));
    }
    mc_map_release(map, 0, map->size);
    d->ids = ids;
    d->id_count = window * chunks;
    *own = window;
    return MC_OK;
}

static mc_status read_ids_or_text(mc_dataset *d, uint64_t *own, mc_err *err)
{
    const mc_map *first = &d->file[0].map;
    if (first->size >= 8 && memcmp(first->data, logits_magic, 8) == 0)
        return ids_of_logits(d, own, err);
    return mc_data_is_npy(&d->file[0]) ? ids_of_arrays(d, own, err) : ids_of_texts(d, err);
}

/* ---- windows ---- */

/* How many ids the graph takes at once, when it takes just so many. */
static uint64_t fixed_window(const mc_model *model)
{
    const mc_graph *g = model->graph;
    for (size_t k = 0; k < g->inputs; k++) {
        const mc_value *v = &g->value[g->input[k]];
        if (v->ndim == 2 && v->dim[1] > 0) return (uint64_t)v->dim[1];
    }
    return 0;
}

static uint64_t window_of(const mc_dataset *d, uint64_t own)
{
    const uint64_t context = d->model->context, fixed = fixed_window(d->model);
    if (d->options.window) return d->options.window;
    if (own) return own;
    if (fixed) return fixed;
    return context && context < USUAL_WINDOW ? context : USUAL_WINDOW;
}

mc_status mc_data_open_tokens(mc_dataset *d, mc_err *err)
{
    uint64_t own = 0; /* what the data itself says */
    MC_TRY(read_ids_or_text(d, &own, err));
    d->window = window_of(d, own);
    const mc_status fits = mc_data_check_ids(d->model, d->window, err);
    if (fits != MC_OK && d->options.window)
        return mc_wrap(err, "--window %" PRIu64, d->options.window);
    if (fits != MC_OK) return mc_wrap(err, "%s", d->path);
    d->samples = d->id_count / d->window;
    if (d->samples == 0)
        return mc_fail(err, MC_E_FORMAT, "%s: %" PRIu64 " tokens do not fill a window of %" PRIu64,
                       d->path, d->id_count, d->window);
    return MC_OK;
}

/* ---- inputs for a row of ids ---- */

/* What an input is filled with: the ids, ones, zeros, or 0, 1, 2 …; NONE when it is not known. */
typedef enum { FILL_NONE, FILL_IDS, FILL_ONES, FILL_ZEROS, FILL_PLACES } fill;

static fill fill_of(const mc_value *v, size_t place)
{
    const bool whole = v->dtype == MC_I64 || v->dtype == MC_I32;
    if (!whole && v->dtype != MC_BOOL && v->dtype != MC_F32) return FILL_NONE;
    if (strcmp(v->name, "attention_mask") == 0) return FILL_ONES;
    if (strcmp(v->name, "token_type_ids") == 0) return FILL_ZEROS;
    if (strcmp(v->name, "position_ids") == 0) return whole ? FILL_PLACES : FILL_NONE;
    return whole && (place == 0 || strcmp(v->name, "input_ids") == 0) ? FILL_IDS : FILL_NONE;
}

mc_status mc_data_check_ids(const mc_model *model, uint64_t n, mc_err *err)
{
    const mc_graph *g = model->graph;
    for (size_t k = 0; k < g->inputs; k++) {
        char shown[MC_ND_TEXT];
        const mc_value *v = &g->value[g->input[k]];
        mc_nd nd = {.dtype = v->dtype, .ndim = v->ndim};
        memcpy(nd.dim, v->dim, sizeof nd.dim);
        if (fill_of(v, k) == FILL_NONE)
            return mc_fail(err, MC_E_UNSUPPORTED,
                           "%s: token ids do not say what the graph's input '%s' (%s) is: give an "
                           "npz with an array for each input",
                           model->path, v->name, mc_nd_show(&nd, shown));
        const bool one = v->ndim < 0 || (v->ndim == 2 && (v->dim[0] < 0 || v->dim[0] == 1));
        if (!one || (v->ndim == 2 && v->dim[1] >= 0 && (uint64_t)v->dim[1] != n))
            return mc_fail(err, MC_E_UNSUPPORTED,
                           "%s: a row of %" PRIu64
                           " token ids does not fit the graph's input '%s', which is %s",
                           model->path, n, v->name, mc_nd_show(&nd, shown));
    }
    if (model->context && n > model->context)
        return mc_fail(err, MC_E_UNSUPPORTED,
                       "%s: takes at most %" PRIu64 " tokens at once, not %" PRIu64, model->path,
                       model->context, n);
    return MC_OK;
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
    MC_TRY(mc_data_check_ids(model, n, err));
    for (size_t k = 0; k < g->inputs; k++) {
        const mc_value *v = &g->value[g->input[k]];
        const fill how = fill_of(v, k);
        input[k] = (mc_nd){0};
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
