/* Runs a model on a data set as `verify --data` runs one of its two: prepared once, samples spread
 * over threads. Prints the seconds of each pass, of language models the perplexity, and the peak
 * resident memory.
 *
 *   model_run MODEL DATA [--threads N] [--batch N] [--passes N] [--quick N]
 *
 * With --batch, so many samples go through the graph at a time (its first axis must be free). */
#include "calib/dataset.h"
#include "core/clock.h"
#include "core/exec.h"
#include "core/passes.h"
#include "core/pool.h"
#include "formats/formats.h"
#include "verify/judge.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct {
    const char *path[2]; /* model, data */
    unsigned threads;
    size_t batch, passes, quick;
} asked;

typedef struct {
    asked ask;
    mc_model model;
    mc_dataset *data;
    mc_region prepared, lanes;
    mc_pair_of_models one; /* without an original */
    mc_pool *pool;
    size_t pieces;
} bench;

typedef struct {
    double nll;
    size_t scored;
} piece_result;

typedef struct {
    bench *b;
    double nll;
    size_t scored;
} pass_sums;

/* Inputs of the shape of a sample's, but for `count` of them. */
static mc_status open_batch(mc_nd *input, const mc_nd *sample, size_t inputs, size_t count,
                            mc_arena *mem, mc_err *err)
{
    for (size_t k = 0; k < inputs; k++) {
        input[k] = sample[k];
        input[k].dim[0] = (int64_t)count;
        input[k].count = count * sample[k].count;
        input[k].data = mc_alloc_raw(mem, input[k].count, mc_nd_width(sample[k].dtype));
        if (!input[k].data) return mc_no_room(err, "a batch");
    }
    return MC_OK;
}

/* Samples [first, first + count) as the lane's inputs. */
static mc_status fill(const bench *b, mc_lane *lane, uint64_t first, size_t count, mc_err *err)
{
    const size_t inputs = b->one.graph->inputs;
    mc_arena mem = lane->room.arena;
    if (count == 1) return mc_dataset_sample(b->data, first, &mem, lane->input, err);
    mc_nd *sample = MC_NEW(&mem, mc_nd, inputs);
    if (!sample) return mc_no_room(err, "a batch");
    MC_TRY(mc_dataset_sample(b->data, first, &mem, sample, err));
    MC_TRY(open_batch(lane->input, sample, inputs, count, &mem, err));
    for (size_t i = 0; i < count; i++) {
        mc_arena rest = mem; /* the next sample takes the place of this one */
        MC_TRY(mc_dataset_sample(b->data, first + i, &rest, sample, err));
        for (size_t k = 0; k < inputs; k++) {
            const size_t bytes = sample[k].count * mc_nd_width(sample[k].dtype);
            memcpy((unsigned char *)lane->input[k].data + i * bytes, sample[k].data, bytes);
        }
    }
    return MC_OK;
}

/* Position i of a window against token i + 1, as verify scores it. */
static mc_status score(const bench *b, const mc_lane *lane, uint64_t window, piece_result *out,
                       mc_err *err)
{
    const mc_nd *logits = mc_run_value(lane->container, b->one.graph->output[0]);
    const int32_t *ids;
    const size_t known = mc_dataset_tokens(b->data, window, &ids);
    const size_t words = (size_t)logits->dim[logits->ndim - 1];
    float *share = malloc(words * sizeof *share);
    size_t best;
    if (!share) return mc_no_room(err, "a row of logits");
    for (size_t i = 0; i + 1 < known; i++) {
        const float *row = (const float *)logits->data + i * words;
        out->nll += mc_log_sum_exp(row, words, share, &best) - (double)row[ids[i + 1]];
        out->scored++;
    }
    free(share);
    return MC_OK;
}

static mc_status make(void *job, size_t i, void *slot, mc_arena scratch, mc_err *err)
{
    (void)scratch;
    bench *b = ((pass_sums *)job)->b;
    const uint64_t samples = mc_dataset_samples(b->data), first = (uint64_t)i * b->ask.batch;
    const size_t count = samples - first < b->ask.batch ? (size_t)(samples - first) : b->ask.batch;
    piece_result *result = slot;
    *result = (piece_result){0};
    mc_lane *lane = mc_lane_take(&b->one);
    mc_status status = fill(b, lane, first, count, err);
    if (status == MC_OK)
        status = mc_run_all(lane->container, lane->inputs, b->one.graph->inputs, err);
    if (status == MC_OK && mc_dataset_kind(b->data) == MC_DATA_TOKENS)
        status = score(b, lane, first, result, err);
    mc_lane_give(lane);
    return status;
}

static mc_status take(void *job, size_t i, void *slot, mc_err *err)
{
    (void)i, (void)err;
    const piece_result *result = slot;
    pass_sums *sums = job;
    sums->nll += result->nll;
    sums->scored += result->scored;
    return MC_OK;
}

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static mc_status pass(bench *b, mc_err *err)
{
    pass_sums sums = {.b = b};
    const mc_stream stream = {
        .n = b->pieces, .slot_bytes = sizeof(piece_result), .make = make, .take = take};
    const double begin = mc_seconds(), begin_cpu = cpu_seconds();
    MC_TRY(mc_pool_stream(b->pool, &stream, &sums, err));
    printf("pass %.6f s, %.6f s of processors\n", mc_seconds() - begin, cpu_seconds() - begin_cpu);
    if (sums.scored > 0) printf("perplexity %.6f\n", exp(sums.nll / (double)sums.scored));
    return MC_OK;
}

static mc_status prepare(bench *b, mc_err *err)
{
    static const char *const no_folding[] = {"batchnorm", NULL}; /* as verify: it looks at sites */
    mc_graph *graph;
    MC_TRY(mc_model_open(b->ask.path[0], NULL, &b->model, err));
    if (!b->model.graph) return mc_fail(err, MC_E_UNSUPPORTED, "%s", b->model.no_graph);
    const mc_dataset_options options = {.most = b->ask.quick};
    MC_TRY(mc_dataset_open(b->ask.path[1], &b->model, &options, &b->data, err));
    if (mc_dataset_kind(b->data) == MC_DATA_CHOICES ||
        (mc_dataset_kind(b->data) == MC_DATA_TOKENS && b->ask.batch > 1))
        return mc_fail(err, MC_E_USAGE, "questions, or batches of windows, are not run");
    MC_TRY(mc_region_open(&b->prepared, mc_graph_prepare_memory(b->model.graph), err));
    MC_TRY(mc_graph_prepare(b->model.graph, no_folding, &b->prepared.arena, &graph, err));
    const mc_exec_options exec = {.name = b->ask.path[0], .cache_bytes = UINT64_MAX};
    b->one.graph = graph;
    MC_TRY(mc_exec_open(graph, &exec, &b->one.container, err));
    MC_TRY(mc_pool_open(&b->pool, b->ask.threads, 0, err));
    MC_TRY(mc_region_open(&b->lanes, (size_t)1 << 20, err));
    b->pieces = (size_t)((mc_dataset_samples(b->data) + b->ask.batch - 1) / b->ask.batch);
    return mc_lanes_open(&b->one, mc_pool_threads(b->pool), (uint64_t)1 << 32, &b->lanes.arena,
                         err);
}

static void finish(bench *b)
{
    mc_lanes_close(&b->one);
    if (b->pool) mc_pool_close(b->pool);
    if (b->one.container) mc_exec_close(b->one.container);
    if (b->data) mc_dataset_close(b->data);
    mc_region_close(&b->lanes);
    mc_region_close(&b->prepared);
    mc_model_close(&b->model);
}

static bool read_arguments(int argc, char **argv, asked *a)
{
    int paths = 0;
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (argv[i][0] != '-') {
            if (paths == 2) return false;
            a->path[paths++] = argv[i];
            continue;
        }
        const size_t n = (size_t)strtoul(value, NULL, 10);
        if (strcmp(argv[i], "--threads") == 0)
            a->threads = (unsigned)n;
        else if (strcmp(argv[i], "--batch") == 0)
            a->batch = n;
        else if (strcmp(argv[i], "--passes") == 0)
            a->passes = n;
        else if (strcmp(argv[i], "--quick") == 0)
            a->quick = n;
        else
            return false;
        i++;
    }
    return paths == 2 && a->batch > 0;
}

int main(int argc, char **argv)
{
    bench b = {.ask = {.threads = 2, .batch = 1, .passes = 1}};
    mc_err err = {0};
    if (!read_arguments(argc, argv, &b.ask)) {
        fprintf(stderr, "usage: model_run MODEL DATA [--threads N] [--batch N] [--passes N] "
                        "[--quick N]\n");
        return 2;
    }
    mc_status status = prepare(&b, &err);
    for (size_t i = 0; i < b.ask.passes && status == MC_OK; i++) status = pass(&b, &err);
    if (status == MC_OK) printf("peak %llu bytes\n", (unsigned long long)mc_peak_memory());
    if (status != MC_OK) fprintf(stderr, "model_run: %s\n", err.text);
    finish(&b);
    return status == MC_OK ? 0 : (int)status;
}
