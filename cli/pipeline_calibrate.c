/* One walk through the float model; blocks go to the file as they are complete. An importance
 * matrix is small and kept in memory until its end. */
#include "cli/pipeline_calibrate.h"

#include "cli/pipeline_collect.h"
#include "cli/pipeline_memory.h"
#include "core/clock.h"
#include "formats/gguf_imatrix.h"
#include "formats/gguf_names.h"

#include <inttypes.h>
#include <string.h>

bool mc_calibrate_is_imatrix(const char *path)
{
    static const char ending[] = ".gguf";
    const size_t n = strlen(path), tail = sizeof ending - 1;
    return n > tail && strcmp(path + n - tail, ending) == 0;
}

mc_status mc_calibrate_data(const mc_options *o, const char **path, mc_err *err)
{
    if (o->datas > 1 || (o->datas == 1 && (o->calib || *o->data[0].name)))
        return mc_fail(err, MC_E_USAGE,
                       "calibrate takes one data set without a name; files of several are added by "
                       "--merge");
    *path = o->calib ? o->calib : o->datas ? o->data[0].path : NULL;
    return *path
               ? MC_OK
               : mc_fail(err, MC_E_USAGE, "calibrate needs data to run the model on: --data DATA");
}

/* ---- an importance matrix ---- */

typedef struct {
    mc_region memory; /* of lists and numbers */
    mc_imatrix_row *row;
    size_t rows, room;
    size_t unnamed;
} matrix;

static mc_status open_matrix(matrix *m, size_t weights, size_t numbers, mc_err *err)
{
    *m = (matrix){.room = weights};
    const size_t bytes = weights * (sizeof(mc_imatrix_row) + 1024) + numbers * sizeof(double);
    MC_TRY(mc_region_open(&m->memory, bytes + 4096, err));
    m->row = MC_NEW(&m->memory.arena, mc_imatrix_row, weights + 1);
    return m->row ? MC_OK : mc_no_room(err, "an importance matrix");
}

static mc_status add_row(matrix *m, const char *weight, const mc_moments *moments, mc_err *err)
{
    char name[MC_GGUF_NAME + 1];
    uint64_t expert;
    if (moments->groups != 1 || !mc_gguf_name(weight, name, &expert)) {
        m->unnamed++;
        return MC_OK;
    }
    double *square = MC_NEW_RAW(&m->memory.arena, double, moments->n);
    const char *copy = mc_copy_text(&m->memory.arena, weight, strlen(weight));
    if (!square || !copy || m->rows == m->room) return mc_no_room(err, "an importance matrix");
    memcpy(square, moments->square, moments->n * sizeof *square);
    m->row[m->rows++] = (mc_imatrix_row){copy, moments->n, square, moments->rows};
    return MC_OK;
}

static mc_status write_matrix(const matrix *m, const mc_options *o, const char *path,
                              const mc_stats_about *about, mc_err *err)
{
    const mc_imatrix_content content = {
        .row = m->row,
        .rows = m->rows,
        .dataset = about->data,
        .chunks = about->samples < UINT32_MAX ? (uint32_t)about->samples : UINT32_MAX,
        .chunk_tokens = about->window ? (uint32_t)about->window : 1};
    const mc_out_options how = {.replace = o->force, .no_fsync = o->no_fsync};
    mc_region scratch;
    mc_out *out = NULL;
    if (m->rows == 0)
        return mc_fail(err, MC_E_UNSUPPORTED,
                       "%s: GGUF has a name for none of the weights; a name that does not end in "
                       ".gguf gives a file of statistics",
                       path);
    MC_TRY(mc_region_open(&scratch, mc_imatrix_write_memory(&content) + 4096, err));
    mc_status status = mc_out_open(path, 0, how, &out, err);
    if (status == MC_OK) status = mc_imatrix_write(out, &content, scratch.arena, err);
    mc_region_close(&scratch);
    if (status == MC_OK) return mc_out_commit(out, NULL, NULL, err);
    mc_out_discard(out);
    return status;
}

/* ---- the walk ---- */

typedef struct {
    const mc_options *options;
    mc_calibration calibration;
    mc_stats_about about;
    mc_stats_out *out; /* NULL: into the matrix */
    matrix matrix;
    mc_calibrate_result *result;
} calibrating;

static unsigned wants_block(void *self, const char *name, const size_t *site, size_t sites)
{
    (void)site;
    (void)sites;
    const calibrating *c = self;
    if (!c->out) return MC_COLLECT_MOMENTS;
    if (mc_stats_out_has(c->out, name)) return 0;
    return MC_COLLECT_MOMENTS | MC_COLLECT_INPUT | (c->options->no_gram ? 0 : MC_COLLECT_GRAM);
}

static mc_status take_block(void *self, const mc_block *block, mc_err *err)
{
    calibrating *c = self;
    c->result->blocks++;
    c->result->weights += block->weights;
    c->result->rows += block->moments->view.rows;
    for (size_t i = 0; !c->out && i < block->weights; i++)
        MC_TRY(add_row(&c->matrix, block->weight[i], &block->moments->view, err));
    if (!c->out) return MC_OK;
    const mc_stats_block kept = {.name = block->name,
                                 .weight = block->weight,
                                 .weights = block->weights,
                                 .moments = &block->moments->view,
                                 .channels = block->channels,
                                 .histogram = block->histogram};
    return mc_stats_out_add(c->out, &kept, err);
}

static mc_status walk_through(calibrating *c, mc_collector *collector, mc_pool *pool, mc_err *err)
{
    const mc_calibration *k = &c->calibration;
    const mc_collect_sink sink = {c, wants_block, take_block};
    mc_progress *progress = mc_progress_open(k->samples * k->stages.stages, "calibrating");
    const mc_walk_options options = {.name = k->model->path,
                                     .stages = &k->stages,
                                     .data = k->data,
                                     .samples = k->samples,
                                     .cache_bytes = UINT64_MAX,
                                     .spills = k->spills,
                                     .pool = pool,
                                     .meter = mc_progress_meter(progress)};
    mc_walk *walk;
    mc_status status = mc_walk_open(&options, &walk, err);
    const mc_input_group *group = NULL;
    do {
        if (status == MC_OK) status = mc_walk_next(walk, &group, err);
        if (status == MC_OK && group) status = mc_collect_group(collector, walk, group, &sink, err);
    } while (status == MC_OK && group);
    mc_walk_close(walk);
    mc_progress_close(progress);
    return status;
}

/* ---- the files ---- */

/* No path in it: the same data give the same file wherever they lie. */
static mc_status say_about(calibrating *c, mc_arena *mem, mc_err *err)
{
    const mc_calibration *k = &c->calibration;
    const mc_options *o = c->options;
    const bool tokens = mc_dataset_kind(k->data) == MC_DATA_TOKENS;
    char *model = mc_alloc(mem, MC_SHA256_HEX, 1);
    const char *data = mc_calibration_data(k, o, mem);
    if (data && o->no_gram && c->out == NULL) data = mc_format(mem, "%s%s", data, MC_WITHOUT_GRAMS);
    if (!model || !data) return mc_no_room(err, "what statistics are of");
    MC_TRY(mc_stats_hash_model(k->model, model, err));
    c->about = (mc_stats_about){.model = model,
                                .data = data,
                                .samples = k->samples,
                                .tokens = tokens ? k->tokens : 0,
                                .window = tokens ? mc_dataset_window(k->data) : 0};
    return MC_OK;
}

static mc_status open_stats(calibrating *c, mc_err *err)
{
    const mc_options *o = c->options;
    mc_stats_options how = {.replace = o->force, .resume = true, .no_fsync = o->no_fsync};
    mc_status status = mc_stats_out_open(o->arg[1], &c->about, how, &c->out, err);
    how.resume = false;
    if (status == MC_E_MISMATCH && o->force)
        status = mc_stats_out_open(o->arg[1], &c->about, how, &c->out, err);
    else if (status == MC_E_MISMATCH)
        mc_wrap(err, "an interrupted run would go on (--force begins anew)");
    return status;
}

static mc_status open_output(calibrating *c, mc_err *err)
{
    const mc_calibration *k = &c->calibration;
    size_t numbers = 0;
    if (!mc_calibrate_is_imatrix(c->options->arg[1])) return open_stats(c, err);
    MC_TRY(mc_out_check(c->options->arg[1], c->options->force, err));
    for (size_t s = 0; s < k->sites.sites; s++) {
        const mc_tensor *w = k->sites.site[s].weight;
        for (int d = 0; d < w->ndim; d++) numbers += (size_t)w->dim[d];
    }
    return open_matrix(&c->matrix, k->model->tensors, numbers, err);
}

static mc_status finish(calibrating *c, mc_err *err)
{
    if (c->result->blocks + c->result->resumed == 0)
        return mc_fail(err, MC_E_UNSUPPORTED, "%s: no weight of it meets an activation",
                       c->calibration.model->path);
    if (!c->out) {
        c->result->unnamed = c->matrix.unnamed;
        return write_matrix(&c->matrix, c->options, c->options->arg[1], &c->about, err);
    }
    mc_stats_out *out = c->out;
    c->out = NULL;
    return mc_stats_out_commit(out, err);
}

static mc_status calibrate(calibrating *c, mc_pool *pool, mc_arena *mem, mc_err *err)
{
    mc_collector *collector;
    MC_TRY(say_about(c, mem, err));
    MC_TRY(open_output(c, err));
    c->result->resumed = c->out ? mc_stats_out_blocks(c->out) : 0;
    MC_TRY(mc_collect_open(&c->calibration, pool, &collector, err));
    const mc_status status = walk_through(c, collector, pool, err);
    mc_collect_close(collector);
    return status == MC_OK ? finish(c, err) : status;
}

mc_status mc_pipeline_calibrate(const mc_model *model, const mc_options *options, mc_pool *pool,
                                mc_calibrate_result *result, mc_err *err)
{
    const double start = mc_seconds();
    const char *data;
    mc_region room;
    *result = (mc_calibrate_result){0};
    calibrating c = {.options = options, .result = result};
    MC_TRY(mc_calibrate_data(options, &data, err));
    MC_TRY(mc_region_open(&room, 1 << 16, err));
    mc_status status = mc_calibration_open(model, options, data, &c.calibration, err);
    if (status == MC_OK && !c.calibration.data)
        status =
            mc_fail(err, MC_E_USAGE, "%s: holds statistics already; --merge adds such files", data);
    if (status == MC_OK) status = mc_memory_of_calibrate(&c.calibration, options, pool, err);
    if (status == MC_OK) status = calibrate(&c, pool, &room.arena, err);
    result->samples = c.calibration.samples;
    result->tokens = c.about.tokens;
    result->seconds = mc_seconds() - start;
    result->peak_bytes = mc_peak_memory();
    mc_stats_out_close(c.out);
    mc_region_close(&c.matrix.memory);
    mc_region_close(&room);
    mc_calibration_close(&c.calibration);
    return status;
}

/* ---- adding files ---- */

typedef struct {
    mc_stats **file;
    size_t files;
} merging;

/* Sums of squares of all files: of blocks that the first one has. */
static mc_status merge_block(const merging *m, const mc_stats_entry *first, matrix *to, mc_err *err)
{
    mc_region room;
    const size_t bytes = mc_moments_bytes(first->n, first->groups, 0);
    if (bytes > SIZE_MAX / 4) return mc_no_room(err, first->name);
    MC_TRY(mc_region_open(&room, 2 * bytes + 8192, err));
    mc_moment_sums sum = {.gram = NULL};
    mc_status status = mc_stats_moments(m->file[0], first, false, &room.arena, &sum, err);
    for (size_t k = 1; k < m->files && status == MC_OK; k++) {
        mc_arena mem = room.arena;
        mc_moment_sums more;
        const mc_stats_entry *e = mc_stats_find(m->file[k], first->weight[0]);
        status = e && e->n == first->n && e->groups == first->groups
                     ? mc_stats_moments(m->file[k], e, false, &mem, &more, err)
                     : mc_fail(err, MC_E_MISMATCH, "not all files have block \"%s\"", first->name);
        if (status == MC_OK) status = mc_moments_merge(&sum, &more.view, err);
    }
    for (size_t i = 0; i < first->weights && status == MC_OK; i++)
        status = add_row(to, first->weight[i], &sum.view, err);
    mc_region_close(&room);
    return status;
}

static mc_status merge_into_matrix(const merging *m, const mc_options *o,
                                   mc_calibrate_result *result, mc_err *err)
{
    matrix to;
    size_t weights = 0, numbers = 0;
    const mc_stats_entry *e;
    mc_stats_about about = *mc_stats_of(m->file[0]);
    for (size_t k = 1; k < m->files; k++) {
        MC_TRY(mc_stats_check_model(m->file[k], about.model, err));
        about.samples += mc_stats_of(m->file[k])->samples;
    }
    for (size_t i = 0; (e = mc_stats_at(m->file[0], i)); i++) {
        weights += e->weights;
        numbers += e->weights * e->n;
    }
    MC_TRY(mc_out_check(o->arg[0], o->force, err));
    MC_TRY(open_matrix(&to, weights, numbers, err));
    mc_status status = MC_OK;
    for (size_t i = 0; status == MC_OK && (e = mc_stats_at(m->file[0], i)); i++)
        status = merge_block(m, e, &to, err);
    if (status == MC_OK) status = write_matrix(&to, o, o->arg[0], &about, err);
    result->unnamed = to.unnamed;
    mc_region_close(&to.memory);
    return status;
}

static mc_status merge(merging *m, const mc_options *o, mc_calibrate_result *result, mc_err *err)
{
    const mc_stats_options how = {.replace = o->force, .no_fsync = o->no_fsync};
    const mc_stats_entry *e;
    for (; m->files < o->merges; m->files++) {
        if (mc_same_place(o->merge[m->files], o->arg[0]))
            return mc_fail(err, MC_E_USAGE, "%s: the output is one of the files to be added",
                           o->arg[0]);
        MC_TRY(mc_stats_open(o->merge[m->files], &m->file[m->files], err));
        result->samples += mc_stats_of(m->file[m->files])->samples;
        result->tokens += mc_stats_of(m->file[m->files])->tokens;
    }
    for (; (e = mc_stats_at(m->file[0], result->blocks)); result->blocks++)
        result->weights += e->weights;
    if (mc_calibrate_is_imatrix(o->arg[0])) return merge_into_matrix(m, o, result, err);
    return mc_stats_merge((const mc_stats *const *)m->file, m->files, o->arg[0], how, err);
}

mc_status mc_pipeline_merge(const mc_options *options, mc_calibrate_result *result, mc_err *err)
{
    const double start = mc_seconds();
    mc_region room;
    merging m = {.files = 0};
    *result = (mc_calibrate_result){0};
    MC_TRY(mc_region_open(&room, options->merges * sizeof(mc_stats *) + 4096, err));
    m.file = MC_NEW(&room.arena, mc_stats *, options->merges);
    const mc_status status =
        m.file ? merge(&m, options, result, err) : mc_no_room(err, "statistics");
    for (size_t i = 0; m.file && i < m.files; i++) mc_stats_close(m.file[i]);
    mc_region_close(&room);
    result->seconds = mc_seconds() - start;
    result->peak_bytes = mc_peak_memory();
    return status;
}
