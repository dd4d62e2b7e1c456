/* Blocks of statistics of a small model whose weights stand in one place, in two places, and share
 * their rows: against sums over the activations themselves. */
#include "cli/pipeline_collect.h"

#include "formats/formats.h"
#include "tests/support/npz_builder.h"
#include "tests/support/onnx_builder.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { N = 4, SAMPLES = 3, TOKENS = 2, FLOATS = 1 };

static const int64_t square[] = {N, N, -1};

/* x A, Relu, then A again; of that B and C, both added. */
static void put_model(const char *path, const float *a, const float *b)
{
    proto graph = {0};
    const int64_t shape[] = {1, TOKENS, N, -1};
    static const struct {
        const char *op, *in[3], *out[2];
    } node[] = {{"MatMul", {"x", "a"}, {"h"}}, {"Relu", {"h"}, {"r"}},
                {"MatMul", {"r", "a"}, {"s"}}, {"MatMul", {"s", "b"}, {"t"}},
                {"MatMul", {"s", "c"}, {"u"}}, {"Add", {"t", "u"}, {"y"}}};
    for (size_t i = 0; i < sizeof node / sizeof node[0]; i++)
        proto_move(&graph, 1, onnx_node(node[i].op, node[i].in, node[i].out));
    proto_text(&graph, 2, "g");
    proto_move(&graph, 5, onnx_raw_tensor("a", FLOATS, square, a, N * N * sizeof *a));
    proto_move(&graph, 5, onnx_raw_tensor("b", FLOATS, square, b, N * N * sizeof *b));
    proto_move(&graph, 5, onnx_raw_tensor("c", FLOATS, square, a, N * N * sizeof *a));
    proto_move(&graph, 11, onnx_value("x", FLOATS, shape));
    proto_move(&graph, 12, onnx_value("y", FLOATS, shape));
    onnx_put(path, onnx_model(graph));
}

typedef struct {
    char folder[64];
    mc_model model;
    mc_options options;
    mc_calibration calibration;
    float a[N * N], b[N * N], x[SAMPLES * TOKENS * N];
    size_t blocks;
    unsigned what;
    struct {
        char name[16], weight[2][16];
        size_t weights, sites, n;
        uint64_t rows;
        double gram[N * N], sum[N];
        uint64_t seen; /* values of the histogram */
        float most;    /* of channel 0 */
    } block[8];
    mc_err err;
} bench;

static unsigned wants(void *self, const char *name, const size_t *site, size_t sites)
{
    (void)site;
    (void)sites;
    const bench *b = self;
    return strcmp(name, "skipped") == 0 ? 0 : b->what;
}

static mc_status take(void *self, const mc_block *block, mc_err *err)
{
    (void)err;
    bench *b = self;
    cr_assert_lt(b->blocks, 8);
    mc_moments_mirror(block->moments);
    snprintf(b->block[b->blocks].name, 16, "%s", block->name);
    for (size_t i = 0; i < block->weights && i < 2; i++)
        snprintf(b->block[b->blocks].weight[i], 16, "%s", block->weight[i]);
    b->block[b->blocks].weights = block->weights;
    b->block[b->blocks].sites = block->sites;
    b->block[b->blocks].n = block->moments->view.n;
    b->block[b->blocks].rows = block->moments->view.rows;
    if (block->moments->gram)
        memcpy(b->block[b->blocks].gram, block->moments->gram, N * N * sizeof(double));
    memcpy(b->block[b->blocks].sum, block->moments->sum, N * sizeof(double));
    b->block[b->blocks].seen = block->histogram ? block->histogram->total : 0;
    b->block[b->blocks].most = block->channels ? block->channels->most[0] : 0.0f;
    b->blocks++;
    return MC_OK;
}

static void open_bench(bench *b, unsigned what)
{
    memset(b, 0, sizeof *b);
    b->what = what;
    for (size_t i = 0; i < N * N; i++) {
        b->a[i] = (float)((int)(i * 7 % 5) - 2);
        b->b[i] = (float)((int)(i * 3 % 7) - 3);
    }
    for (size_t i = 0; i < SAMPLES * TOKENS * N; i++) b->x[i] = (float)((int)(i * 5 % 11) - 5);
    snprintf(b->folder, sizeof b->folder, "%s/collect-XXXXXX",
             getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    cr_assert(mkdtemp(b->folder));
    cr_assert_eq(chdir(b->folder), 0);
    put_model("m.onnx", b->a, b->b);
    blob data = npy_of("<f4", "(3, 2, 4)", b->x, sizeof b->x);
    FILE *file = fopen("x.npy", "wb");
    cr_assert(file);
    cr_assert_eq(fwrite(data.at, 1, data.n, file), data.n);
    cr_assert_eq(fclose(file), 0);
    blob_free(&data);
    cr_assert_eq(mc_model_open("m.onnx", NULL, &b->model, &b->err), MC_OK, "%s", b->err.text);
    cr_assert_eq(mc_calibration_open(&b->model, &b->options, "x.npy", &b->calibration, &b->err),
                 MC_OK, "%s", b->err.text);
}

static void collect(bench *b, unsigned threads)
{
    mc_pool *pool;
    mc_collector *collector;
    mc_walk *walk;
    const mc_collect_sink sink = {b, wants, take};
    cr_assert_eq(mc_pool_open(&pool, threads, 1 << 24, &b->err), MC_OK);
    const mc_walk_options options = {.name = "m.onnx",
                                     .stages = &b->calibration.stages,
                                     .data = b->calibration.data,
                                     .samples = b->calibration.samples,
                                     .cache_bytes = UINT64_MAX,
                                     .pool = pool};
    cr_assert_eq(mc_collect_open(&b->calibration, pool, &collector, &b->err), MC_OK);
    cr_assert_eq(mc_walk_open(&options, &walk, &b->err), MC_OK);
    for (;;) {
        const mc_input_group *group;
        cr_assert_eq(mc_walk_next(walk, &group, &b->err), MC_OK, "%s", b->err.text);
        if (!group) break;
        cr_assert_eq(mc_collect_group(collector, walk, group, &sink, &b->err), MC_OK, "%s",
                     b->err.text);
    }
    mc_walk_close(walk);
    mc_collect_close(collector);
    mc_pool_close(pool);
}

static void close_bench(bench *b)
{
    mc_calibration_close(&b->calibration);
    mc_model_close(&b->model);
    unlink("m.onnx");
    unlink("x.npy");
    cr_assert_eq(chdir("/"), 0);
    rmdir(b->folder);
}

static void times(const float *x, const float *w, float *y)
{
    for (size_t o = 0; o < N; o++) {
        y[o] = 0.0f;
        for (size_t i = 0; i < N; i++) y[o] += x[i] * w[i * N + o];
    }
}

/* What A sees in its two places, and B and C in theirs; whole numbers, so sums are exact. */
static void expected(const bench *b, double a_gram[N * N], double b_gram[N * N])
{
    memset(a_gram, 0, N * N * sizeof *a_gram);
    memset(b_gram, 0, N * N * sizeof *b_gram);
    for (size_t t = 0; t < SAMPLES * TOKENS; t++) {
        float h[N], s[N];
        const float *x = b->x + t * N;
        times(x, b->a, h);
        for (size_t i = 0; i < N; i++) h[i] = h[i] > 0.0f ? h[i] : 0.0f;
        times(h, b->a, s);
        for (size_t i = 0; i < N * N; i++) {
            a_gram[i] += (double)x[i / N] * (double)x[i % N] + (double)h[i / N] * (double)h[i % N];
            b_gram[i] += (double)s[i / N] * (double)s[i % N];
        }
    }
}

Test(collect, weights_that_see_the_same_rows_share_a_block)
{
    bench b;
    double a_gram[N * N], b_gram[N * N];
    open_bench(&b, MC_COLLECT_MOMENTS | MC_COLLECT_GRAM | MC_COLLECT_INPUT);
    collect(&b, 2);
    expected(&b, a_gram, b_gram);
    cr_assert_eq(b.blocks, 2);

    cr_assert_str_eq(b.block[0].name, "a");
    cr_assert_eq(b.block[0].weights, 1);
    cr_assert_eq(b.block[0].sites, 2);
    cr_assert_eq(b.block[0].rows, 2 * SAMPLES * TOKENS, "of both places");
    cr_assert_eq(b.block[0].seen, 2 * SAMPLES * TOKENS * N);
    cr_assert_eq(memcmp(b.block[0].gram, a_gram, sizeof a_gram), 0);

    cr_assert_str_eq(b.block[1].name, "b");
    cr_assert_eq(b.block[1].weights, 2);
    cr_assert_str_eq(b.block[1].weight[1], "c");
    cr_assert_eq(b.block[1].rows, SAMPLES * TOKENS);
    cr_assert_eq(memcmp(b.block[1].gram, b_gram, sizeof b_gram), 0);
    close_bench(&b);
}

Test(collect, one_thread_gives_the_same_as_three)
{
    bench one, three;
    open_bench(&one, MC_COLLECT_MOMENTS | MC_COLLECT_GRAM | MC_COLLECT_INPUT);
    collect(&one, 1);
    close_bench(&one);
    open_bench(&three, MC_COLLECT_MOMENTS | MC_COLLECT_GRAM | MC_COLLECT_INPUT);
    collect(&three, 3);
    close_bench(&three);
    cr_assert_eq(one.blocks, three.blocks);
    cr_assert_eq(memcmp(one.block, three.block, sizeof one.block), 0);
}

Test(collect, only_what_is_wanted)
{
    bench b;
    open_bench(&b, MC_COLLECT_MOMENTS);
    collect(&b, 1);
    cr_assert_eq(b.blocks, 2);
    cr_assert_eq(b.block[0].seen, 0);
    close_bench(&b);
    open_bench(&b, 0);
    collect(&b, 1);
    cr_assert_eq(b.blocks, 0);
    close_bench(&b);
}
