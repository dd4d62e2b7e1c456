/* Adding STATS files, block by block: memory is that of one block, twice. */
#include "calib/stats_file.h"

#include "calib/stats_parts.h"
#include "core/ckd.h"
#include "formats/json_pull.h"

#include <string.h>

/* ---- what they say of themselves ---- */

static mc_status add_counts(const mc_stats *s, mc_stats_about *sum, mc_err *err)
{
    const mc_stats_about *more = mc_stats_of(s);
    MC_TRY(mc_stats_check_model(s, sum->model, err));
    if (more->window != sum->window)
        return mc_fail(err, MC_E_MISMATCH, "%s: windows of %llu tokens (other files have %llu)",
                       mc_stats_path(s), (unsigned long long)more->window,
                       (unsigned long long)sum->window);
    if (!mc_add_u64(sum->samples, more->samples, &sum->samples) ||
        !mc_add_u64(sum->tokens, more->tokens, &sum->tokens) || sum->samples > INT64_MAX ||
        sum->tokens > INT64_MAX)
        return mc_fail(err, MC_E_FORMAT, "%s: more than 2^63 samples or tokens in all",
                       mc_stats_path(s));
    return MC_OK;
}

static mc_status sum_about(const mc_stats *const *in, size_t files, mc_arena *mem,
                           mc_stats_about *out, mc_err *err)
{
    size_t bytes = 1;
    for (size_t i = 0; i < files; i++) bytes += strlen(mc_stats_of(in[i])->data) + 2;
    char *data = MC_NEW(mem, char, bytes), *at = data;
    if (!data) return mc_no_room(err, "the names of the data");
    *out = *mc_stats_of(in[0]);
    for (size_t i = 0; i < files; i++) {
        const char *more = mc_stats_of(in[i])->data;
        if (i > 0) {
            MC_TRY(add_counts(in[i], out, err));
            memcpy(at, "; ", 2);
            at += 2;
        }
        memcpy(at, more, strlen(more));
        at += strlen(more);
    }
    out->data = data;
    return MC_OK;
}

/* ---- blocks ---- */

static mc_status other_block(const mc_stats *a, const mc_stats *b, const char *name,
                             const char *what, mc_err *err)
{
    return mc_fail(err, MC_E_MISMATCH, "%s and %s: block %s %s", mc_stats_path(a), mc_stats_path(b),
                   mc_quote(name).text, what);
}

/* Blocks of the same weights that hold the same kinds of numbers. */
static mc_status check_same(const mc_stats *a, const mc_stats *b, size_t i, mc_err *err)
{
    const mc_stats_entry *x = mc_stats_at(a, i), *y = mc_stats_at(b, i);
    if (!x || !y || strcmp(x->name, y->name) != 0) {
        const bool only_x = x && (!y || strcmp(x->name, y->name) < 0);
        return other_block(a, b, only_x ? x->name : y->name, "is only in one of them", err);
    }
    bool same = x->weights == y->weights;
    for (size_t k = 0; same && k < x->weights; k++) same = strcmp(x->weight[k], y->weight[k]) == 0;
    if (!same) return other_block(a, b, x->name, "is of other weights", err);
    if (x->n != y->n || x->groups != y->groups || x->channels != y->channels)
        return other_block(a, b, x->name, "is of other shapes", err);
    if (x->gram != y->gram || x->histogram != y->histogram)
        return other_block(a, b, x->name, "has a Gram matrix or a histogram in one of them only",
                           err);
    return MC_OK;
}

typedef struct {
    mc_moment_sums moments;
    mc_channels channels;
    mc_histogram histogram;
} numbers;

static mc_status load(const mc_stats *s, const mc_stats_entry *e, mc_arena *mem, numbers *out,
                      mc_err *err)
{
    MC_TRY(mc_stats_moments(s, e, e->gram, mem, &out->moments, err));
    if (e->channels) MC_TRY(mc_stats_channels(s, e, mem, &out->channels, err));
    if (e->histogram) MC_TRY(mc_stats_histogram(s, e, &out->histogram, err));
    return MC_OK;
}

/* Counts stay below 2^63, which is what files hold. */
static mc_status add(numbers *sum, const numbers *more, const mc_stats_entry *e, mc_err *err)
{
    uint64_t rows = 0, seen = 0;
    if (!mc_add_u64(sum->moments.view.rows, more->moments.view.rows, &rows) || rows > INT64_MAX ||
        (e->channels &&
         (!mc_add_u64(sum->channels.rows, more->channels.rows, &seen) || seen > INT64_MAX)) ||
        (e->histogram && sum->histogram.total + more->histogram.total > INT64_MAX))
        return mc_fail(err, MC_E_FORMAT, "block %s: more than 2^63 rows", mc_quote(e->name).text);
    MC_TRY(mc_moments_merge(&sum->moments, &more->moments.view, err));
    if (e->channels) MC_TRY(mc_channels_merge(&sum->channels, &more->channels, err));
    if (e->histogram) mc_histogram_merge(&sum->histogram, &more->histogram);
    return MC_OK;
}

static mc_status merge_block(const mc_stats *const *in, size_t files, size_t i, mc_stats_out *out,
                             mc_err *err)
{
    const mc_stats_entry *e = mc_stats_at(in[0], i);
    const size_t moments = mc_moments_bytes(e->n, e->groups, e->gram ? MC_MOMENTS_GRAM : 0);
    const size_t bytes = moments == SIZE_MAX ? 0 : moments + mc_channels_bytes(e->channels) + 4096;
    mc_region mine, theirs;
    static const numbers nothing;
    numbers sum = nothing, more = nothing;
    if (moments > SIZE_MAX / 4) return mc_no_room(err, e->name);
    MC_TRY(mc_region_open(&mine, bytes, err));
    mc_status status = mc_region_open(&theirs, bytes, err);
    if (status != MC_OK) {
        mc_region_close(&mine);
        return status;
    }
    status = load(in[0], e, &mine.arena, &sum, err);
    for (size_t k = 1; status == MC_OK && k < files; k++) {
        mc_arena scratch = theirs.arena;
        status = load(in[k], mc_stats_at(in[k], i), &scratch, &more, err);
        if (status == MC_OK) status = add(&sum, &more, e, err);
    }
    const mc_stats_block block = {.name = e->name,
                                  .weight = e->weight,
                                  .weights = e->weights,
                                  .moments = &sum.moments.view,
                                  .channels = e->channels ? &sum.channels : NULL,
                                  .histogram = e->histogram ? &sum.histogram : NULL};
    if (status == MC_OK) status = mc_stats_out_add(out, &block, err);
    mc_region_close(&theirs);
    mc_region_close(&mine);
    return status;
}

static mc_status merge_all(const mc_stats *const *in, size_t files, mc_stats_out *out, mc_err *err)
{
    for (size_t i = 0; mc_stats_at(in[0], i); i++)
        if (!mc_stats_out_has(out, mc_stats_at(in[0], i)->name))
            MC_TRY(merge_block(in, files, i, out, err));
    return MC_OK;
}

static mc_status check_all(const mc_stats *const *in, size_t files, mc_err *err)
{
    for (size_t k = 1; k < files; k++)
        for (size_t i = 0; mc_stats_at(in[0], i) || mc_stats_at(in[k], i); i++)
            MC_TRY(check_same(in[0], in[k], i, err));
    return MC_OK;
}

mc_status mc_stats_merge(const mc_stats *const *in, size_t files, const char *path,
                         mc_stats_options options, mc_err *err)
{
    mc_region memory;
    mc_stats_about about;
    mc_stats_out *out = NULL;
    size_t texts = 1024;
    if (files == 0) return mc_fail(err, MC_E_USAGE, "%s: no statistics to add", path);
    for (size_t i = 0; i < files; i++) texts += strlen(mc_stats_of(in[i])->data) + 2;
    MC_TRY(mc_region_open(&memory, texts, err));
    mc_status status = sum_about(in, files, &memory.arena, &about, err);
    if (status == MC_OK) status = check_all(in, files, err);
    if (status == MC_OK) status = mc_stats_out_open(path, &about, options, &out, err);
    mc_region_close(&memory);
    if (status == MC_OK) status = merge_all(in, files, out, err);
    if (status == MC_OK) return mc_stats_out_commit(out, err);
    mc_stats_out_close(out);
    return status;
}
