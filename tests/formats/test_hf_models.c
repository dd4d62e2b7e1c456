/* Every family against what `transformers` computes for a tiny model of it
 * (tests/reference/make_hf_goldens.py), and the small model of examples/. */
#include "core/site.h"
#include "tests/support/golden_model.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdio.h>
#include <string.h>

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
    {"gpt2", "gpt2", "logits.npy", 24},
    {"gpt2_bare", "gpt2_bare", "logits.npy", 24},
    {"opt", "opt", "logits.npy", 24},
    {"opt_narrow", "opt_narrow", "logits.npy", 24},
    {"opt_plain", "opt_plain", "logits.npy", 24},
};

enum { GOLDENS = sizeof goldens / sizeof goldens[0], ROWS = 2, LONGEST = 24, VOCAB = 96 };

static mc_nd ids_of(int64_t *data, int64_t rows, int64_t length)
{
    mc_nd ids = {0};
    mc_err err = {0};
    cr_assert_eq(mc_nd_set(&ids, MC_I64, 2, (int64_t[]){rows, length}, &err), MC_OK);
    ids.data = data;
    return ids;
}

static void golden_ids(const golden *g, int64_t *out)
{
    char path[512];
    int64_t all[ROWS * LONGEST];
    golden_read(golden_path(g->twin, "ids.npy", path), all, ROWS * LONGEST);
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
    golden_read(golden_path(g->twin, g->logits, path), wanted, count);

    mc_model m = golden_open(golden_path(g->folder, "", path));
    const mc_nd ids = ids_of(data, ROWS, g->length);
    golden_run(m.graph, &ids, 1, &(golden_out){0, count, found}, 1);
    const double off = golden_distance(found, wanted, count);
    cr_expect(off <= GOLDEN_BOUND, "%s: off by %g of the largest logit", g->folder, off);
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
    mc_model m = golden_open(golden_path(g->folder, "", path));
    const mc_nd ids = ids_of(data, ROWS, g->length);
    golden_run(m.graph, &ids, 1, &(golden_out){0, count, plain}, 1);
    golden_run_prepared(m.graph, &ids, 1, &(golden_out){0, count, found}, 1);
    const double off = golden_distance(found, plain, count);
    cr_expect(off <= GOLDEN_BOUND, "%s: off by %g of the largest logit", g->folder, off);
    mc_model_close(&m);
}

Test(hf_models, say_what_they_are)
{
    mc_model m = golden_open(MC_SOURCE_DIR "/tests/golden/hf/gemma2");
    cr_expect_eq(m.task, MC_TASK_LANGUAGE);
    cr_expect_eq(m.context, 128);
    cr_expect(m.tied_head);
    cr_expect_null(m.no_graph);
    cr_expect_str_eq(m.graph->value[m.graph->input[0]].name, "input_ids");
    cr_expect_str_eq(m.graph->value[m.graph->output[0]].name, "logits");
    mc_model_close(&m);

    m = golden_open(MC_SOURCE_DIR "/tests/golden/hf/mamba2");
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
        mc_model m = golden_open(golden_path(wanted[i].folder, "", path));
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

/* Experts in one tensor are sites of their own. */
Test(hf_models, have_a_site_for_each_expert_of_a_stack)
{
    char path[512];
    mc_err err = {0};
    mc_region region = {0};
    mc_sites found = {0};
    size_t parts = 0;
    mc_model m = golden_open(golden_path("mixtral_stacked", "", path));
    cr_assert_eq(mc_region_open(&region, 1 << 22, &err), MC_OK);
    cr_assert_eq(mc_sites_find(m.graph, &region.arena, &found, &err), MC_OK, "%s", err.text);
    cr_expect_eq(found.sites, 1 + 2 * (4 + 1 + 4 * 2) + 1, "%zu", found.sites);
    for (size_t i = 0; i < found.sites; i++) {
        const bool expert = strstr(found.site[i].weight->name, ".experts.") != NULL;
        cr_expect_eq(found.site[i].part, expert, "%s", found.site[i].name);
        parts += found.site[i].part;
    }
    cr_expect_eq(parts, 2 * 4 * 2);
    mc_region_close(&region);
    mc_model_close(&m);
}

/* A whole window, at four of its positions. */
Test(hf_models, runs_the_example)
{
    enum { WINDOW = 256, WORDS = 4096, KEPT = 4, STEP = 85 };
    static int64_t data[WINDOW];
    static float found[WINDOW * WORDS], wanted[KEPT * WORDS];
    golden_read(MC_SOURCE_DIR "/tests/golden/hf/tinylm/ids.npy", data, WINDOW);
    golden_read(MC_SOURCE_DIR "/tests/golden/hf/tinylm/logits.npy", wanted, KEPT * WORDS);

    mc_model m = golden_open(MC_SOURCE_DIR "/examples/tinylm");
    const mc_nd ids = ids_of(data, 1, WINDOW);
    golden_run(m.graph, &ids, 1, &(golden_out){0, WINDOW * WORDS, found}, 1);
    for (size_t i = 0; i < KEPT; i++) {
        const double off = golden_distance(found + i * STEP * WORDS, wanted + i * WORDS, WORDS);
        cr_expect(off <= GOLDEN_BOUND, "position %zu: off by %g of the largest logit", i * STEP,
                  off);
    }
    mc_model_close(&m);
}
