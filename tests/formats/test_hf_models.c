/* Every family against what `transformers` computes for a tiny model of it
 * (tests/reference/make_hf_goldens.py), and the small model of examples/. */
#include "core/exec.h"
#include "core/passes.h"
#include "formats/formats.h"
#include "formats/npy.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* Two layers in f32 differ by rounding alone: sums of at most 96 products in another order, each
 * 2^-24 of the largest. Anything that is wrong is off by hundreds of times this. */
static const double bound = 2e-5;

typedef struct {
    const char *folder; /* in tests/golden/hf */
    const char *twin;   /* whose numbers it must give */
    const char *logits; /* file of the twin */
    int64_t length;     /* of the sequences */
} golden;

static const golden goldens[] = {
    {"llama", "llama", "logits.npy", 24},
    {"llama3_rope", "llama3_rope", "logits.npy", 24},
    {"llama_linear_rope", "llama_linear_rope", "logits.npy", 24},
    {"mistral", "mistral", "logits.npy", 24},
    {"qwen2", "qwen2", "logits.npy", 24},
    {"qwen3", "qwen3", "logits.npy", 24},
    {"phi3", "phi3", "logits.npy", 24},
    {"phi3_longrope", "phi3_longrope", "logits.npy", 24},
    {"phi3_longrope", "phi3_longrope", "short.npy", 8},
    {"gemma2", "gemma2", "logits.npy", 24},
    {"mixtral", "mixtral", "logits.npy", 24},
    {"mixtral_stacked", "mixtral", "logits.npy", 24},
    {"mamba2", "mamba2", "logits.npy", 24},
    {"mamba2_one_group", "mamba2_one_group", "logits.npy", 24},
};

enum { GOLDENS = sizeof goldens / sizeof goldens[0], ROWS = 2, LONGEST = 24, VOCAB = 96 };

/* The numbers of a .npy file, as they lie there. */
static void read_array(const char *path, void *out, uint64_t count)
{
    mc_err err = {0};
    mc_map map = {0};
    mc_npz npz = {0};
    cr_assert_eq(mc_map_open(path, 0, &map, &err), MC_OK, "%s", err.text);
    cr_assert_eq(mc_npy_read(map.data, map.size, path, &npz, &err), MC_OK, "%s", err.text);
    cr_assert_geq(npz.array[0].count, count);
    mc_array_read(&npz.array[0], 0, count, out);
    mc_npz_close(&npz);
    mc_map_close(&map);
}

static mc_model open_model(const char *path)
{
    mc_err err = {0};
    mc_model m = {0};
    cr_assert_eq(mc_model_open(path, NULL, &m, &err), MC_OK, "%s", err.text);
    cr_assert_not_null(m.graph, "%s: %s", path, m.no_graph ? m.no_graph : "no reason");
    return m;
}

/* The logits of a graph, copied. */
static void run(const mc_graph *graph, mc_nd *ids, float *out, size_t count)
{
    const mc_exec_options options = {.name = "golden", .cache_bytes = UINT64_MAX};
    mc_err err = {0};
    mc_exec *exec = NULL;
    mc_run *pass = NULL;
    cr_assert_eq(mc_exec_open(graph, &options, &exec, &err), MC_OK, "%s", err.text);
    cr_assert_eq(mc_run_open(exec, 0, &pass, &err), MC_OK, "%s", err.text);
    cr_assert_eq(mc_run_all(pass, (const mc_nd *const[]){ids}, 1, &err), MC_OK, "%s", err.text);
    const mc_nd *logits = mc_run_value(pass, graph->output[0]);
    cr_assert_eq(logits->count, count);
    cr_assert_eq(logits->dtype, MC_F32);
    memcpy(out, logits->data, count * sizeof *out);
    mc_run_close(pass);
    mc_exec_close(exec);
}

static mc_nd ids_of(int64_t *data, int64_t rows, int64_t length)
{
    mc_nd ids = {0};
    mc_err err = {0};
    cr_assert_eq(mc_nd_set(&ids, MC_I64, 2, (int64_t[]){rows, length}, &err), MC_OK);
    ids.data = data;
    return ids;
}

/* The largest difference over the largest number. */
static double distance(const float *a, const float *b, size_t n)
{
    double off = 0, most = 0;
    for (size_t i = 0; i < n; i++) {
        off = fmax(off, fabs((double)a[i] - (double)b[i]));
        most = fmax(most, fabs((double)b[i]));
        if (isnan(a[i])) return (double)INFINITY;
    }
    return off / most;
}

static void golden_ids(const golden *g, int64_t *out)
{
    char path[512];
    int64_t all[ROWS * LONGEST];
    snprintf(path, sizeof path, "%s/tests/golden/hf/%s/ids.npy", MC_SOURCE_DIR, g->twin);
    read_array(path, all, ROWS * LONGEST);
    for (int64_t r = 0; r < ROWS; r++)
        memcpy(out + r * g->length, all + r * LONGEST, (size_t)g->length * sizeof *out);
}

ParameterizedTestParameters(hf_models, gives_the_logits_of_transformers)
{
    static size_t index[GOLDENS];
    for (size_t i = 0; i < GOLDENS; i++) index[i] = i;
    return cr_make_param_array(size_t, index, GOLDENS);
}

ParameterizedTest(size_t *i, hf_models, gives_the_logits_of_transformers)
{
    static float found[ROWS * LONGEST * VOCAB], wanted[ROWS * LONGEST * VOCAB];
    const golden *g = &goldens[*i];
    const size_t count = (size_t)(ROWS * g->length * VOCAB);
    int64_t data[ROWS * LONGEST];
    char path[512];
    golden_ids(g, data);
    snprintf(path, sizeof path, "%s/tests/golden/hf/%s/%s", MC_SOURCE_DIR, g->twin, g->logits);
    read_array(path, wanted, count);

    snprintf(path, sizeof path, "%s/tests/golden/hf/%s", MC_SOURCE_DIR, g->folder);
    mc_model m = open_model(path);
    mc_nd ids = ids_of(data, ROWS, g->length);
    run(m.graph, &ids, found, count);
    const double off = distance(found, wanted, count);
    cr_expect(off <= bound, "%s: off by %g of the largest logit", g->folder, off);
    mc_model_close(&m);
}

ParameterizedTestParameters(hf_models, gives_the_same_after_all_passes)
{
    static size_t index[GOLDENS];
    for (size_t i = 0; i < GOLDENS; i++) index[i] = i;
    return cr_make_param_array(size_t, index, GOLDENS);
}

ParameterizedTest(size_t *i, hf_models, gives_the_same_after_all_passes)
{
    static float found[ROWS * LONGEST * VOCAB], plain[ROWS * LONGEST * VOCAB];
    const golden *g = &goldens[*i];
    const size_t count = (size_t)(ROWS * g->length * VOCAB);
    int64_t data[ROWS * LONGEST];
    char path[512];
    golden_ids(g, data);
    snprintf(path, sizeof path, "%s/tests/golden/hf/%s", MC_SOURCE_DIR, g->folder);
    mc_model m = open_model(path);
    mc_nd ids = ids_of(data, ROWS, g->length);
    run(m.graph, &ids, plain, count);

    mc_err err = {0};
    mc_region region = {0};
    mc_graph *graph = NULL;
    cr_assert_eq(mc_region_open(&region, mc_graph_prepare_memory(m.graph), &err), MC_OK);
    cr_assert_eq(mc_graph_prepare(m.graph, NULL, &region.arena, &graph, &err), MC_OK, "%s",
                 err.text);
    run(graph, &ids, found, count);
    const double off = distance(found, plain, count);
    cr_expect(off <= bound, "%s: off by %g of the largest logit", g->folder, off);
    mc_region_close(&region);
    mc_model_close(&m);
}

Test(hf_models, say_what_they_are)
{
    mc_model m = open_model(MC_SOURCE_DIR "/tests/golden/hf/gemma2");
    cr_expect_eq(m.task, MC_TASK_LANGUAGE);
    cr_expect_eq(m.context, 128);
    cr_expect(m.tied_head);
    cr_expect_null(m.no_graph);
    cr_expect_str_eq(m.graph->value[m.graph->input[0]].name, "input_ids");
    cr_expect_str_eq(m.graph->value[m.graph->output[0]].name, "logits");
    mc_model_close(&m);

    m = open_model(MC_SOURCE_DIR "/tests/golden/hf/mamba2");
    cr_expect_eq(m.context, 0);
    cr_expect_not(m.tied_head);
    mc_model_close(&m);
}

/* Each weight that multiplies activations is a site, under the name that the model gives it. */
Test(hf_models, have_a_site_for_every_matrix)
{
    static const struct {
        const char *folder;
        size_t sites;
    } wanted[] = {
        {"llama", 1 + 2 * 7 + 1},  /* embedding, layers, head */
        {"gemma2", 1 + 2 * 7 + 1}, /* the head is the embedding again */
        {"phi3", 1 + 2 * 4 + 1},   /* qkv and gate_up in one */
        {"mixtral", 1 + 2 * (4 + 1 + 4 * 3) + 1},
        {"mamba2", 1 + 2 * 3 + 1}, /* in, convolution, out */
    };
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        char path[512];
        mc_err err = {0};
        mc_region region = {0};
        mc_sites found = {0};
        snprintf(path, sizeof path, "%s/tests/golden/hf/%s", MC_SOURCE_DIR, wanted[i].folder);
        mc_model m = open_model(path);
        cr_assert_eq(mc_region_open(&region, 1 << 22, &err), MC_OK);
        cr_assert_eq(mc_sites_find(m.graph, &region.arena, &found, &err), MC_OK, "%s", err.text);
        cr_expect_eq(found.sites, wanted[i].sites, "%s: %zu", wanted[i].folder, found.sites);
        for (size_t k = 0; k < found.sites; k++) {
            const char *weight = found.site[k].weight->name, *name = found.site[k].name;
            if (m.tied_head && strcmp(name, "lm_head") == 0) continue;
            cr_expect_eq(strncmp(weight, name, strlen(name)), 0, "%s: %s", name, weight);
        }
        mc_region_close(&region);
        mc_model_close(&m);
    }
}

/* A whole window, at four of its positions. */
Test(hf_models, runs_the_example)
{
    enum { WINDOW = 256, WORDS = 4096, KEPT = 4, STEP = 85 };
    static int64_t data[WINDOW];
    static float found[WINDOW * WORDS], wanted[KEPT * WORDS];
    read_array(MC_SOURCE_DIR "/tests/golden/hf/tinylm/ids.npy", data, WINDOW);
    read_array(MC_SOURCE_DIR "/tests/golden/hf/tinylm/logits.npy", wanted, KEPT * WORDS);

    mc_model m = open_model(MC_SOURCE_DIR "/examples/tinylm");
    mc_nd ids = ids_of(data, 1, WINDOW);
    run(m.graph, &ids, found, WINDOW * WORDS);
    for (size_t i = 0; i < KEPT; i++) {
        const double off = distance(found + i * STEP * WORDS, wanted + i * WORDS, WORDS);
        cr_expect(off <= bound, "position %zu: off by %g of the largest logit", i * STEP, off);
    }
    mc_model_close(&m);
}
