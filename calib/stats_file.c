/* Reading STATS files. Everything is checked that blocks say about themselves before any is given
 * out; their numbers are checked when they are asked for, since Grams can be larger than memory. */
#include "calib/stats_file.h"

#include "calib/stats_parts.h"
#include "core/bytes.h"
#include "formats/json_pull.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

const mc_stats_array mc_stats_array_of[MC_STATS_ARRAYS] = {
#define X(id, name, dtype) {name, MC_##dtype},
    MC_STATS_LIST(X)
#undef X
};

struct mc_stats {
    char *path;
    mc_map map;
    mc_region self, memory, lists;
    mc_safetensors content;
    mc_stats_about about;
    mc_stats_entry *entry; /* by name */
    size_t entries;
    const mc_pair *pair; /* of the metadata: weights, by name, and their blocks */
    size_t pairs;
};

/* ---- metadata ---- */

static const char *look(const mc_stats *s, const char *key)
{
    for (size_t i = 0; i < s->content.metadatas; i++)
        if (strcmp(s->content.metadata[i].key, key) == 0) return s->content.metadata[i].value;
    return NULL;
}

static mc_status text_of(const mc_stats *s, const char *key, const char **out, mc_err *err)
{
    *out = look(s, key);
    if (!*out) return mc_fail(err, MC_E_FORMAT, "__metadata__ has no \"%s\"", key);
    return MC_OK;
}

static mc_status number_of(const mc_stats *s, const char *key, uint64_t *out, mc_err *err)
{
    const char *text;
    MC_TRY(text_of(s, key, &text, err));
    const mc_pull_token token = {
        .at = (const unsigned char *)text, .bytes = strlen(text), .kind = MC_PULL_NUMBER};
    if (token.bytes == 0 || !mc_pull_u64(&token, out) || *out > INT64_MAX)
        return mc_fail(err, MC_E_FORMAT,
                       "__metadata__ \"%s\" is %s, must be a whole number below 2^63", key,
                       mc_quote(text).text);
    return MC_OK;
}

static mc_status read_about(mc_stats *s, bool part, mc_err *err)
{
    const char *format = look(s, "format"), *version;
    if (!format || strcmp(format, MC_STATS_FORMAT) != 0)
        return mc_fail(err, MC_E_FORMAT,
                       "is no file of statistics: __metadata__ \"format\" is %s, must be \"%s\"",
                       format ? mc_quote(format).text : "missing", MC_STATS_FORMAT);
    MC_TRY(text_of(s, "version", &version, err));
    if (strcmp(version, MC_STATS_VERSION) != 0)
        return mc_fail(err, MC_E_UNSUPPORTED, "statistics of version %s (%s can be read)",
                       mc_quote(version).text, MC_STATS_VERSION);
    if (!look(s, MC_STATS_PART_KEY) != !part)
        return mc_fail(err, MC_E_UNSUPPORTED, "is %s file of statistics",
                       part ? "a whole" : "only a part of an unfinished");
    MC_TRY(text_of(s, "model", &s->about.model, err));
    if (strlen(s->about.model) != MC_SHA256_HEX - 1 ||
        strspn(s->about.model, "0123456789abcdef") != MC_SHA256_HEX - 1)
        return mc_fail(err, MC_E_FORMAT,
                       "__metadata__ \"model\" is %s, must be 64 hexadecimal digits (lower case)",
                       mc_quote(s->about.model).text);
    MC_TRY(text_of(s, "data", &s->about.data, err));
    MC_TRY(number_of(s, "samples", &s->about.samples, err));
    MC_TRY(number_of(s, "tokens", &s->about.tokens, err));
    return number_of(s, "window", &s->about.window, err);
}

/* ---- blocks ---- */

static int by_value(const void *a, const void *b)
{
    const mc_pair *x = *(const mc_pair *const *)a, *y = *(const mc_pair *const *)b;
    const int order = strcmp(x->value, y->value);
    return order ? order : strcmp(x->key, y->key);
}

/* Blocks are what the metadata puts weights into. Its keys are in order, so those of weights stand
 * together. */
static mc_status list_blocks(mc_stats *s, mc_err *err)
{
    const size_t lead = strlen(MC_STATS_WEIGHT_KEY);
    const mc_pair *all = s->content.metadata;
    for (size_t i = 0; i < s->content.metadatas; i++)
        if (strncmp(all[i].key, MC_STATS_WEIGHT_KEY, lead) == 0 && s->pairs++ == 0)
            s->pair = &all[i];

    const size_t each = sizeof(mc_stats_entry) + sizeof(char *) + sizeof(mc_pair *);
    MC_TRY(mc_region_open(&s->lists, s->pairs * each + 1024, err));
    const mc_pair **pair = MC_NEW_RAW(&s->lists.arena, const mc_pair *, s->pairs);
    const char **weight = MC_NEW_RAW(&s->lists.arena, const char *, s->pairs);
    s->entry = MC_NEW_RAW(&s->lists.arena, mc_stats_entry, s->pairs);
    if (!pair || !weight || !s->entry) return mc_no_room(err, "the blocks");
    for (size_t i = 0; i < s->pairs; i++) pair[i] = &s->pair[i];
    if (s->pairs > 0) qsort(pair, s->pairs, sizeof *pair, by_value);
    for (size_t i = 0; i < s->pairs; i++) {
        if (i == 0 || strcmp(pair[i - 1]->value, pair[i]->value) != 0)
            s->entry[s->entries++] = (mc_stats_entry){.name = pair[i]->value, .weight = weight + i};
        weight[i] = pair[i]->key + lead;
        s->entry[s->entries - 1].weights++;
    }
    return MC_OK;
}

/* A block by the first `bytes` characters of a name. */
static mc_stats_entry *entry_of(const mc_stats *s, const char *name, size_t bytes)
{
    size_t from = 0, to = s->entries;
    while (from < to) {
        const size_t middle = from + (to - from) / 2;
        const char *at = s->entry[middle].name;
        int order = strncmp(at, name, bytes);
        if (order == 0 && at[bytes]) order = 1;
        if (order == 0) return &s->entry[middle];
        if (order < 0)
            from = middle + 1;
        else
            to = middle;
    }
    return NULL;
}

static mc_status place_array(mc_stats *s, const mc_tensor *t, mc_err *err)
{
    const char *slash = strrchr(t->name, '/');
    size_t i = 0;
    while (slash && i < MC_STATS_ARRAYS && strcmp(slash + 1, mc_stats_array_of[i].name) != 0) i++;
    if (!slash || i == MC_STATS_ARRAYS)
        return mc_fail(err, MC_E_FORMAT, "tensor %s is none that a block has",
                       mc_quote(t->name).text);
    mc_stats_entry *e = entry_of(s, t->name, (size_t)(slash - t->name));
    if (!e)
        return mc_fail(err, MC_E_FORMAT,
                       "tensor %s belongs to no block that __metadata__ gives a weight to",
                       mc_quote(t->name).text);
    if (t->dtype != mc_stats_array_of[i].dtype)
        return mc_fail(err, MC_E_FORMAT, "tensor %s is of %s, must be %s", mc_quote(t->name).text,
                       mc_dtype_about(t->dtype)->name,
                       mc_dtype_about(mc_stats_array_of[i].dtype)->name);
    e->array[i] = t;
    return MC_OK;
}

/* ---- shapes ---- */

static mc_status check_shape(const mc_tensor *t, int ndim, const uint64_t *dim, mc_err *err)
{
    bool same = t->ndim == ndim;
    for (int d = 0; same && d < ndim; d++) same = t->dim[d] == dim[d];
    if (same) return MC_OK;
    mc_tensor want = {.ndim = ndim};
    memcpy(want.dim, dim, (size_t)ndim * sizeof *dim);
    char has[256], must[256];
    mc_tensor_shape_text(t, has, sizeof has);
    mc_tensor_shape_text(&want, must, sizeof must);
    return mc_fail(err, MC_E_FORMAT, "tensor %s has the shape %s, must have %s",
                   mc_quote(t->name).text, has, must);
}

static int64_t whole(const mc_tensor *t, size_t i)
{
    return (int64_t)mc_load_u64le(t->data + 8 * i);
}

/* Shape [1] and not negative. */
static mc_status count_in(const mc_tensor *t, uint64_t *out, mc_err *err)
{
    const uint64_t one = 1;
    MC_TRY(check_shape(t, 1, &one, err));
    if (whole(t, 0) < 0)
        return mc_fail(err, MC_E_FORMAT, "tensor %s is %" PRId64 ", must not be negative",
                       mc_quote(t->name).text, whole(t, 0));
    *out = (uint64_t)whole(t, 0);
    return MC_OK;
}

/* Arrays [from, to) must all be there, or none when `may_miss`. */
static mc_status check_there(const mc_stats_entry *e, int from, int to, bool may_miss, mc_err *err)
{
    int there = 0, missing = from;
    for (int i = to - 1; i >= from; i--)
        if (e->array[i])
            there++;
        else
            missing = i;
    if (there == to - from || (there == 0 && may_miss)) return MC_OK;
    return mc_fail(err, MC_E_FORMAT, "block %s has no \"%s\"", mc_quote(e->name).text,
                   mc_stats_array_of[missing].name);
}

static mc_status check_moments(mc_stats_entry *e, mc_err *err)
{
    MC_TRY(check_there(e, MC_STATS_ROWS, MC_STATS_GRAM, false, err));
    const mc_tensor *sum = e->array[MC_STATS_SUM], *gram = e->array[MC_STATS_GRAM];
    if (sum->ndim != 2 || sum->dim[0] == 0 || sum->dim[1] == 0 || sum->dim[1] > UINT32_MAX)
        return mc_fail(err, MC_E_FORMAT, "tensor %s must have the shape [groups, columns]",
                       mc_quote(sum->name).text);
    MC_TRY(check_shape(e->array[MC_STATS_SQUARE], 2, sum->dim, err));
    MC_TRY(count_in(e->array[MC_STATS_ROWS], &e->rows, err));
    e->groups = (size_t)sum->dim[0];
    e->n = (size_t)sum->dim[1];
    e->gram = gram != NULL;
    if (!gram) return MC_OK;
    const uint64_t triangle[] = {sum->dim[0], sum->dim[1] * (sum->dim[1] + 1) / 2};
    return check_shape(gram, 2, triangle, err);
}

static mc_status check_channels(mc_stats_entry *e, mc_err *err)
{
    uint64_t rows;
    MC_TRY(check_there(e, MC_STATS_CHANNEL_ROWS, MC_STATS_HISTOGRAM, true, err));
    const mc_tensor *least = e->array[MC_STATS_CHANNEL_LEAST];
    if (!least) return MC_OK;
    if (least->ndim != 1 || least->dim[0] == 0)
        return mc_fail(err, MC_E_FORMAT, "tensor %s must have the shape [channels]",
                       mc_quote(least->name).text);
    for (int i = MC_STATS_CHANNEL_LEAST; i < MC_STATS_HISTOGRAM; i++)
        MC_TRY(check_shape(e->array[i], 1, least->dim, err));
    e->channels = (size_t)least->dim[0];
    return count_in(e->array[MC_STATS_CHANNEL_ROWS], &rows, err);
}

static mc_status check_histogram(mc_stats_entry *e, mc_err *err)
{
    const uint64_t bins = MC_HISTOGRAM_BINS, about = MC_STATS_ABOUT_NUMBERS, two = 2;
    MC_TRY(check_there(e, MC_STATS_HISTOGRAM, MC_STATS_ARRAYS, true, err));
    e->histogram = e->array[MC_STATS_HISTOGRAM] != NULL;
    if (!e->histogram) return MC_OK;
    MC_TRY(check_shape(e->array[MC_STATS_HISTOGRAM], 1, &bins, err));
    MC_TRY(check_shape(e->array[MC_STATS_HISTOGRAM_ABOUT], 1, &about, err));
    return check_shape(e->array[MC_STATS_HISTOGRAM_RANGE], 1, &two, err);
}

/* ---- opening ---- */

static mc_status read_all(mc_stats *s, bool part, mc_err *err)
{
    MC_TRY(read_about(s, part, err));
    MC_TRY(list_blocks(s, err));
    for (size_t i = 0; i < s->content.tensors; i++)
        MC_TRY(place_array(s, &s->content.tensor[i], err));
    for (size_t i = 0; i < s->entries; i++) {
        MC_TRY(check_moments(&s->entry[i], err));
        MC_TRY(check_channels(&s->entry[i], err));
        MC_TRY(check_histogram(&s->entry[i], err));
    }
    return MC_OK;
}

static mc_status open_file(mc_stats *s, bool part, mc_err *err)
{
    MC_TRY(mc_map_open(s->path, 0, &s->map, err));
    MC_TRY(mc_region_open(&s->memory, mc_safetensors_memory(&s->map), err));
    MC_TRY(mc_safetensors_parse(&s->map, s->path, &s->memory.arena, &s->content, err));
    if (read_all(s, part, err) == MC_OK) return MC_OK;
    char shown[MC_PATH_ROOM];
    return mc_wrap(err, "%s", mc_show_path(s->path, shown, sizeof shown));
}

mc_status mc_stats_open_as(const char *path, bool part, mc_stats **out, mc_err *err)
{
    mc_region self;
    *out = NULL;
    MC_TRY(mc_region_open(&self, sizeof(mc_stats) + strlen(path) + 512, err));
    mc_stats *s = MC_NEW(&self.arena, mc_stats, 1);
    char *copy = mc_copy_text(&self.arena, path, strlen(path));
    if (!s || !copy) {
        mc_region_close(&self);
        return mc_no_room(err, path);
    }
    *s = (mc_stats){.path = copy, .self = self};
    const mc_status status = open_file(s, part, err);
    if (status != MC_OK)
        mc_stats_close(s);
    else
        *out = s;
    return status;
}

mc_status mc_stats_open(const char *path, mc_stats **out, mc_err *err)
{
    return mc_stats_open_as(path, false, out, err);
}

void mc_stats_close(mc_stats *s)
{
    if (!s) return;
    mc_map_close(&s->map);
    mc_region_close(&s->lists);
    mc_region_close(&s->memory);
    mc_region self = s->self;
    mc_region_close(&self);
}

/* ---- looking ---- */

const mc_stats_about *mc_stats_of(const mc_stats *s)
{
    return &s->about;
}

const char *mc_stats_path(const mc_stats *s)
{
    return s->path;
}

const mc_safetensors *mc_stats_content(const mc_stats *s)
{
    return &s->content;
}

const mc_map *mc_stats_map(const mc_stats *s)
{
    return &s->map;
}

mc_status mc_stats_check_model(const mc_stats *s, const char *model, mc_err *err)
{
    char shown[MC_PATH_ROOM];
    if (strcmp(s->about.model, model) == 0) return MC_OK;
    return mc_fail(err, MC_E_MISMATCH,
                   "%s: was collected from a model with the hash %s, this one has %s",
                   mc_show_path(s->path, shown, sizeof shown), s->about.model, model);
}

const mc_stats_entry *mc_stats_at(const mc_stats *s, size_t i)
{
    return i < s->entries ? &s->entry[i] : NULL;
}

const mc_stats_entry *mc_stats_find(const mc_stats *s, const char *weight)
{
    const size_t lead = strlen(MC_STATS_WEIGHT_KEY);
    size_t from = 0, to = s->pairs;
    while (from < to) {
        const size_t middle = from + (to - from) / 2;
        const int order = strcmp(s->pair[middle].key + lead, weight);
        if (order == 0) return entry_of(s, s->pair[middle].value, strlen(s->pair[middle].value));
        if (order < 0)
            from = middle + 1;
        else
            to = middle;
    }
    return NULL;
}

/* ---- numbers ---- */

static mc_status refuse(const mc_stats *s, const mc_tensor *t, uint64_t i, double value,
                        const char *must, mc_err *err)
{
    char shown[MC_PATH_ROOM];
    return mc_fail(err, MC_E_FORMAT, "%s: tensor %s: element %" PRIu64 " is %g, must be %s",
                   mc_show_path(s->path, shown, sizeof shown), mc_quote(t->name).text, i, value,
                   must);
}

/* Data may lie at any address. */
static mc_status load_f64(const mc_stats *s, const mc_tensor *t, bool positive, double *to,
                          mc_err *err)
{
    memcpy(to, t->data, (size_t)t->bytes);
    for (uint64_t i = 0; i < t->count; i++) {
        if (!isfinite(to[i])) return refuse(s, t, i, to[i], "finite", err);
        if (positive && !(to[i] >= 0.0)) return refuse(s, t, i, to[i], "at least 0", err);
    }
    return MC_OK;
}

static mc_status load_f32(const mc_stats *s, const mc_tensor *t, float *to, mc_err *err)
{
    memcpy(to, t->data, (size_t)t->bytes);
    for (uint64_t i = 0; i < t->count; i++)
        if (!isfinite(to[i])) return refuse(s, t, i, (double)to[i], "finite", err);
    return MC_OK;
}

/* Rows of the lower triangle to rows of the matrix. */
static mc_status load_gram(const mc_stats *s, const mc_stats_entry *e, double *gram, mc_err *err)
{
    const mc_tensor *t = e->array[MC_STATS_GRAM];
    const unsigned char *from = t->data;
    for (size_t row = 0; row < e->n * e->groups; row++) {
        const size_t col = row % e->n, count = col + 1;
        double *to = gram + row * e->n;
        memcpy(to, from, count * sizeof *to);
        for (size_t i = 0; i < count; i++)
            if (!isfinite(to[i]))
                return refuse(s, t, (uint64_t)(from - t->data) / 8 + i, to[i], "finite", err);
        if (!(to[col] >= 0.0))
            return refuse(s, t, (uint64_t)(from - t->data) / 8 + col, to[col],
                          "at least 0 on the diagonal", err);
        from += count * sizeof *to;
    }
    const size_t begin = (size_t)(t->data - s->map.data);
    mc_map_passed(&s->map, begin, begin + (size_t)t->bytes);
    return MC_OK;
}

mc_status mc_stats_moments(const mc_stats *s, const mc_stats_entry *e, bool gram, mc_arena *mem,
                           mc_moment_sums *out, mc_err *err)
{
    if (gram && !e->gram)
        return mc_fail(err, MC_E_UNSUPPORTED, "%s: block %s has no Gram matrix", s->path,
                       mc_quote(e->name).text);
    MC_TRY(mc_moments_new(e->n, e->groups, gram ? MC_MOMENTS_GRAM : 0, mem, out, err));
    out->view.rows = e->rows;
    MC_TRY(load_f64(s, e->array[MC_STATS_SUM], false, out->sum, err));
    MC_TRY(load_f64(s, e->array[MC_STATS_SQUARE], true, out->square, err));
    if (!gram) return MC_OK;
    MC_TRY(load_gram(s, e, out->gram, err));
    mc_moments_mirror(out);
    return MC_OK;
}

mc_status mc_stats_channels(const mc_stats *s, const mc_stats_entry *e, mc_arena *mem,
                            mc_channels *out, mc_err *err)
{
    if (e->channels == 0)
        return mc_fail(err, MC_E_UNSUPPORTED, "%s: block %s has no channels", s->path,
                       mc_quote(e->name).text);
    MC_TRY(mc_channels_alloc(mem, e->channels, out, err));
    out->rows = (uint64_t)whole(e->array[MC_STATS_CHANNEL_ROWS], 0);
    MC_TRY(load_f32(s, e->array[MC_STATS_CHANNEL_LEAST], out->least, err));
    MC_TRY(load_f32(s, e->array[MC_STATS_CHANNEL_MOST], out->most, err));
    for (size_t i = 0; i < out->n; i++)
        if (out->least[i] > out->most[i])
            return refuse(s, e->array[MC_STATS_CHANNEL_LEAST], i, (double)out->least[i],
                          "at most channel_most", err);
    MC_TRY(load_f64(s, e->array[MC_STATS_CHANNEL_SUM], false, out->sum, err));
    MC_TRY(load_f64(s, e->array[MC_STATS_CHANNEL_ABS], true, out->abs, err));
    return load_f64(s, e->array[MC_STATS_CHANNEL_SQUARE], true, out->square, err);
}

mc_status mc_stats_histogram(const mc_stats *s, const mc_stats_entry *e, mc_histogram *out,
                             mc_err *err)
{
    if (!e->histogram)
        return mc_fail(err, MC_E_UNSUPPORTED, "%s: block %s has no histogram", s->path,
                       mc_quote(e->name).text);
    const mc_tensor *about = e->array[MC_STATS_HISTOGRAM_ABOUT];
    const mc_tensor *count = e->array[MC_STATS_HISTOGRAM];
    for (size_t i = 0; i < MC_STATS_ABOUT_NUMBERS; i++)
        if (whole(about, i) < 0)
            return refuse(s, about, i, (double)whole(about, i), "at least 0", err);
    for (size_t i = 0; i < MC_HISTOGRAM_BINS; i++)
        if (whole(count, i) < 0)
            return refuse(s, count, i, (double)whole(count, i), "at least 0", err);
    for (size_t i = MC_STATS_BINS; i <= MC_STATS_WIDENING; i++)
        if (whole(about, i) > UINT32_MAX)
            return refuse(s, about, i, (double)whole(about, i), "below 2^32", err);

    float range[2];
    MC_TRY(load_f32(s, e->array[MC_STATS_HISTOGRAM_RANGE], range, err));
    *out = (mc_histogram){.total = (uint64_t)whole(about, MC_STATS_TOTAL),
                          .zeros = (uint64_t)whole(about, MC_STATS_ZEROS),
                          .nans = (uint64_t)whole(about, MC_STATS_NANS),
                          .infinities = (uint64_t)whole(about, MC_STATS_INFINITIES),
                          .least = range[0],
                          .most = range[1],
                          .bins = (uint32_t)whole(about, MC_STATS_BINS),
                          .widening = (uint32_t)whole(about, MC_STATS_WIDENING)};
    for (size_t i = 0; i < MC_HISTOGRAM_BINS; i++) out->count[i] = (uint64_t)whole(count, i);
    if (mc_histogram_check(out, err) == MC_OK) return MC_OK;
    return mc_wrap(err, "%s: block %s", s->path, mc_quote(e->name).text);
}
