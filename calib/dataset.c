/* A data set: what kind it is, which samples of it are taken, and in which order. */
#include "calib/dataset_parts.h"

#include "core/rng.h"
#include "formats/model_build.h"

#include <inttypes.h>
#include <string.h>

/* ---- kind ---- */

/* An .npy of whole numbers with one or two axes is token ids for a language model. */
static bool is_ids(const mc_dataset *d)
{
    const mc_data_file *f = &d->file[0];
    mc_npz npz;
    mc_err ignored;
    if (d->model->task != MC_TASK_LANGUAGE || !mc_data_is_npy(f)) return false;
    if (mc_npy_read(f->map.data, f->map.size, f->path, &npz, &ignored) != MC_OK) return false;
    const mc_array *a = npz.array;
    const bool ids =
        !mc_dtype_about(a->dtype)->is_float && a->dtype != MC_BOOL && a->ndim >= 1 && a->ndim <= 2;
    mc_npz_close(&npz);
    return ids;
}

static mc_status open_kind(mc_dataset *d, mc_err *err)
{
    const mc_data_file *f = &d->file[0];
    if (mc_ends_with(f->path, ".jsonl")) {
        d->kind = MC_DATA_CHOICES;
        return mc_data_open_choices(d, err);
    }
    const bool arrays = mc_data_is_zip(f) || (mc_data_is_npy(f) && !is_ids(d));
    d->kind = arrays ? MC_DATA_ARRAYS : MC_DATA_TOKENS;
    return arrays ? mc_data_open_arrays(d, err) : mc_data_open_tokens(d, err);
}

/* ---- order ---- */

/* Fisher and Yates: the i-th draw does not depend on the machine. */
static mc_status shuffle(mc_dataset *d, mc_err *err)
{
    const mc_rng rng = {.seed = d->options.seed};
    if (d->samples > UINT32_MAX)
        return mc_fail(err, MC_E_UNSUPPORTED, "%s: more than 2^32 samples", d->path);
    MC_TRY(mc_region_open(&d->order_room, (size_t)d->samples * sizeof *d->order + 64, err));
    d->order = MC_NEW_RAW(&d->order_room.arena, uint32_t, (size_t)d->samples);
    if (!d->order) return mc_no_room(err, "the order of samples");
    for (uint64_t i = 0; i < d->samples; i++) d->order[i] = (uint32_t)i;
    for (uint64_t i = d->samples; i > 1; i--) {
        const uint64_t j = mc_rng_below(rng, i, i);
        const uint32_t other = d->order[j];
        d->order[j] = d->order[i - 1];
        d->order[i - 1] = other;
    }
    return MC_OK;
}

static uint64_t place_of(const mc_dataset *d, uint64_t i)
{
    return d->order ? d->order[i] : i;
}

/* ---- opening ---- */

/* One that cannot be read is a failure only for data that needs it. */
static mc_status open_tokenizer(mc_dataset *d, mc_err *err)
{
    const mc_source *s = mc_model_source(d->model, "tokenizer");
    mc_err why;
    if (!s) return MC_OK;
    if (mc_tokenizer_open((const char *)s->map.data, s->map.size, s->path, &d->tokenizer, &why) ==
        MC_OK)
        return MC_OK;
    d->tokenizer = NULL;
    d->no_tokenizer = mc_copy_text(&d->memory.arena, why.text, strlen(why.text));
    return d->no_tokenizer ? MC_OK : mc_no_room(err, "a message");
}

static mc_status open_set(mc_dataset *d, mc_err *err)
{
    if (!d->model->graph)
        return mc_fail(err, MC_E_UNSUPPORTED, "%s: data needs a model that can be run: %s", d->path,
                       d->model->no_graph ? d->model->no_graph : "it has no graph");
    MC_TRY(mc_data_open_files(d, err));
    MC_TRY(open_tokenizer(d, err));
    MC_TRY(open_kind(d, err));
    if (d->samples == 0) return mc_fail(err, MC_E_FORMAT, "%s: holds no sample", d->path);
    return d->options.shuffled ? shuffle(d, err) : MC_OK;
}

mc_status mc_dataset_open(const char *path, const mc_model *model,
                          const mc_dataset_options *options, mc_dataset **out, mc_err *err)
{
    mc_region self;
    *out = NULL;
    MC_TRY(mc_region_open(&self, sizeof(mc_dataset) + strlen(path) + 256, err));
    mc_dataset *d = MC_NEW(&self.arena, mc_dataset, 1);
    const char *copy = mc_copy_text(&self.arena, path, strlen(path));
    if (!d || !copy) {
        mc_region_close(&self);
        return mc_no_room(err, "a data set");
    }
    *d = (mc_dataset){.model = model, .options = *options, .path = copy, .self = self};
    const mc_status status = open_set(d, err);
    if (status == MC_OK)
        *out = d;
    else
        mc_dataset_close(d);
    return status;
}

void mc_dataset_close(mc_dataset *d)
{
    if (!d) return;
    for (size_t i = 0; d->arrays && i < d->files; i++) mc_npz_close(&d->arrays[i].npz);
    for (size_t i = 0; i < d->files; i++) mc_map_close(&d->file[i].map);
    mc_tokenizer_close(d->tokenizer);
    for (size_t i = 0; i < d->rooms; i++) mc_region_close(&d->room[i]);
    mc_region_close(&d->ids_room);
    mc_region_close(&d->order_room);
    mc_region_close(&d->memory);
    mc_region self = d->self; /* holds d */
    mc_region_close(&self);
}

/* ---- looking ---- */

const mc_model *mc_dataset_model(const mc_dataset *d)
{
    return d->model;
}

mc_data_kind mc_dataset_kind(const mc_dataset *d)
{
    return d->kind;
}

uint64_t mc_dataset_samples(const mc_dataset *d)
{
    return d->options.most && d->options.most < d->samples ? d->options.most : d->samples;
}

uint64_t mc_dataset_window(const mc_dataset *d)
{
    return d->window;
}

uint64_t mc_dataset_dropped(const mc_dataset *d)
{
    return d->window ? d->id_count - d->samples * d->window : 0;
}

void mc_dataset_hash(const mc_dataset *d, uint8_t digest[MC_SHA256_BYTES])
{
    memcpy(digest, d->digest, MC_SHA256_BYTES);
}

const mc_tokenizer *mc_dataset_tokenizer(const mc_dataset *d)
{
    return d->tokenizer;
}

/* ---- samples ---- */

static mc_status check_place(const mc_dataset *d, uint64_t i, mc_data_kind kind, mc_err *err)
{
    if (i < mc_dataset_samples(d) && d->kind == kind) return MC_OK;
    return mc_fail(err, MC_E_INTERNAL, "%s: sample %" PRIu64 " of %" PRIu64, d->path, i,
                   mc_dataset_samples(d));
}

mc_status mc_dataset_sample(const mc_dataset *d, uint64_t i, mc_arena *mem, mc_nd *input,
                            mc_err *err)
{
    MC_TRY(check_place(d, i, d->kind == MC_DATA_ARRAYS ? MC_DATA_ARRAYS : MC_DATA_TOKENS, err));
    if (d->kind == MC_DATA_ARRAYS) return mc_data_arrays_sample(d, place_of(d, i), mem, input, err);
    const int32_t *ids = d->ids + place_of(d, i) * d->window;
    return mc_inputs_of_ids(d->model, ids, (size_t)d->window, mem, input, err);
}

bool mc_dataset_label(const mc_dataset *d, uint64_t i, int64_t *label)
{
    if (d->kind != MC_DATA_ARRAYS || i >= mc_dataset_samples(d)) return false;
    return mc_data_arrays_label(d, place_of(d, i), label);
}

size_t mc_dataset_tokens(const mc_dataset *d, uint64_t i, const int32_t **ids)
{
    *ids = NULL;
    if (d->kind != MC_DATA_TOKENS || i >= mc_dataset_samples(d)) return 0;
    const uint64_t first = place_of(d, i) * d->window;
    const uint64_t left = d->id_count - first;
    *ids = d->ids + first;
    return (size_t)(left > d->window ? d->window + 1 : left);
}

mc_status mc_dataset_question(const mc_dataset *d, uint64_t i, mc_question *out, mc_err *err)
{
    MC_TRY(check_place(d, i, MC_DATA_CHOICES, err));
    *out = d->question[place_of(d, i)];
    return MC_OK;
}
