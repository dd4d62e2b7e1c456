/* What holds for every transform in the list, and so for those not yet written: on every model it
 * either says in one sentence that it has no place there, or leaves the function as it is. */
#include "tests/support/golden_model.h"
#include "tests/support/transformed.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdio.h>
#include <string.h>

/* Sums of products in f32, once more rounded in each weight: as far as a model's numbers go. */
#define BOUND 1e-5

static const char *const families[] = {
    "llama", "qwen2", "qwen3",     "phi3",      "gemma2",
    "gpt2",  "opt",   "opt_plain", "gpt2_bare", "mixtral",
    "bert",  "vit",   "mamba2",    "whisper",   "mixtral_stacked"};
static const char *const examples[] = {"mnist/mnist.onnx", "resnet8/resnet8.onnx", "tinylm"};

enum {
    FAMILIES = sizeof families / sizeof families[0],
    EXAMPLES = sizeof examples / sizeof examples[0],
    MODELS = FAMILIES + EXAMPLES,
};

static const char *model_path(size_t i, char path[512])
{
    if (i < FAMILIES) return golden_path(families[i], "", path);
    snprintf(path, 512, "%s/examples/%s", MC_SOURCE_DIR, examples[i - FAMILIES]);
    return path;
}

static size_t edits_of(const transformed *t)
{
    size_t n = 0;
    for (size_t i = 0; i < t->model.tensors; i++) n += mc_edits_of(t->edits, &t->model.tensor[i]);
    return n;
}

ParameterizedTestParameters(every_transform, keeps_the_function_or_says_why_not)
{
    static size_t index[64];
    size_t n = 0;
    for (; mc_transform_at(n); n++) index[n] = n;
    return cr_make_param_array(size_t, index, n);
}

/* absorb needs inputs of its own (test_transform_shift.c). */
static bool changes_some(const char *name)
{
    return strcmp(name, "absorb") != 0;
}

ParameterizedTest(size_t *index, every_transform, keeps_the_function_or_says_why_not)
{
    const char *name = mc_transform_at(*index)->name;
    size_t changed = 0;
    for (size_t i = 0; i < MODELS; i++) {
        char path[512];
        transformed t = transformed_open(model_path(i, path));
        const mc_status status = transformed_try(&t, name, NULL);
        if (status == MC_OK) {
            const double off = transformed_distance(&t);
            cr_expect(off <= BOUND, "%s on %s: %g", name, path, off);
            changed += edits_of(&t) > 0;
        } else {
            cr_expect_eq(status, MC_E_UNSUPPORTED, "%s on %s: %s", name, path, t.err.text);
            cr_expect_eq(edits_of(&t), 0u, "%s on %s: refused when half done", name, path);
            cr_expect_gt(strlen(t.err.text), 10u);
        }
        transformed_close(&t);
    }
    if (changes_some(name)) cr_expect_gt(changed, 0u, "%s changes no model", name);
}

/* ---- one after the other ---- */

typedef struct {
    const char *model, *link[5];
    double first[4]; /* parameters of the first link; -1: as usual */
} chained;

static const chained chains[] = {
    {"resnet8/resnet8.onnx", {"batchnorm", "cle", "smoothquant"}, {-1}},
    {"resnet8/resnet8.onnx", {"cle", "batchnorm", "awq"}, {-1}},
    {"mnist/mnist.onnx", {"cle", "logeq"}, {-1}},
    {"opt", {"cle", "shift", "absorb", "awq"}, {-1}},
    {"gpt2", {"shift", "smoothquant"}, {-1}},
    {"llama", {"rotate"}, {2, 8, 1, 1}},
    {"phi3", {"rotate"}, {0, 0, 0, 1}},
    {"gpt2_bare", {"rotate"}, {1, 16, 0, 1}},
    {"gpt2_bare", {"shift", "rotate"}, {-1}},
    {"llama", {"smoothquant"}, {0, 0}},
    {"tinylm", {"rotate"}, {1, 0, 1, 1}},
};

enum { CHAINS = sizeof chains / sizeof chains[0] };

ParameterizedTestParameters(every_transform, keeps_the_function_in_a_chain)
{
    static size_t index[CHAINS];
    for (size_t i = 0; i < CHAINS; i++) index[i] = i;
    return cr_make_param_array(size_t, index, CHAINS);
}

ParameterizedTest(size_t *index, every_transform, keeps_the_function_in_a_chain)
{
    const chained *c = &chains[*index];
    char path[512];
    const bool is_example = strchr(c->model, '.') || strcmp(c->model, "tinylm") == 0;
    if (is_example)
        snprintf(path, sizeof path, "%s/examples/%s", MC_SOURCE_DIR, c->model);
    else
        golden_path(c->model, "", path);
    transformed t = transformed_open(path);
    for (size_t i = 0; c->link[i]; i++)
        transformed_apply(&t, c->link[i], i == 0 && c->first[0] >= 0 ? c->first : NULL);
    const double off = transformed_distance(&t);
    cr_expect(off <= BOUND, "%s: %g", c->model, off);
    transformed_close(&t);
}
