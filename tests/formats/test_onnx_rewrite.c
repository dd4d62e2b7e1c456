/* ONNX files that are read and written again, unchanged: the models of tests/golden/onnx, which
 * hold what ONNX has, and the two other ways to store them. */
#include "formats/onnx.h"
#include "formats/onnx_file.h"
#include "tests/support/onnx_same.h"
#include "tests/support/scratch_model.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdio.h>
#include <string.h>

TestSuite(onnx_rewrite, .init = scratch_enter, .fini = scratch_leave);

static const char *const goldens[] = {
    "functions", "subgraphs",   "sparse", "external",  "strings",
    "unknown",   "small_types", "typed",  "described", "disordered",
};
enum { GOLDENS = sizeof goldens / sizeof goldens[0] };

static mc_model golden(size_t i)
{
    char path[512];
    snprintf(path, sizeof path, MC_SOURCE_DIR "/tests/golden/onnx/%s.onnx", goldens[i]);
    return scratch_open(path);
}

static void put(const mc_model *m, const mc_onnx_write_options *options, const char *path)
{
    mc_err err = {0};
    cr_assert_eq(mc_onnx_write(m, options, path, &err), MC_OK, "%s", err.text);
}

static size_t indices[GOLDENS];

ParameterizedTestParameters(onnx_rewrite, keeps_everything)
{
    for (size_t i = 0; i < GOLDENS; i++) indices[i] = i;
    return cr_make_param_array(size_t, indices, GOLDENS);
}

ParameterizedTest(size_t *i, onnx_rewrite, keeps_everything)
{
    static const uint64_t external_from[] = {0, 1, 16};
    mc_model before = golden(*i);
    for (size_t k = 0; k < 3; k++) {
        const mc_onnx_write_options options = {.external_from = external_from[k], .replace = true};
        put(&before, &options, "m.onnx");
        mc_model after = scratch_open("m.onnx");
        const char *found = onnx_difference(&before, &after);
        cr_expect_null(found, "%s: %s", goldens[*i], found);
        mc_model_close(&after);
    }
    mc_model_close(&before);
}

ParameterizedTestParameters(onnx_rewrite, settles)
{
    for (size_t i = 0; i < GOLDENS; i++) indices[i] = i;
    return cr_make_param_array(size_t, indices, GOLDENS);
}

/* What was written once is written again byte by byte. */
ParameterizedTest(size_t *i, onnx_rewrite, settles)
{
    mc_model first = golden(*i);
    put(&first, NULL, "1.onnx");
    mc_model second = scratch_open("1.onnx");
    put(&second, NULL, "2.onnx");
    mc_model third = scratch_open("2.onnx");
    const mc_map *a = &second.source[0].map, *b = &third.source[0].map;
    cr_expect(a->size == b->size && memcmp(a->data, b->data, a->size) == 0, "%s", goldens[*i]);
    mc_model_close(&first);
    mc_model_close(&second);
    mc_model_close(&third);
}

ParameterizedTestParameters(onnx_rewrite, leaves_weights_out)
{
    for (size_t i = 0; i < GOLDENS; i++) indices[i] = i;
    return cr_make_param_array(size_t, indices, GOLDENS);
}

/* All that is left out is data, of no tensor but weights; nothing is needed to see the rest. */
ParameterizedTest(size_t *i, onnx_rewrite, leaves_weights_out)
{
    const mc_onnx_write_options options = {.without_weights = true, .external_from = 1};
    const mc_read_options absent = {.external = MC_EXTERNAL_ABSENT};
    mc_model before = golden(*i), after;
    put(&before, &options, "m.onnx");
    mc_err err = {0};
    cr_assert_eq(mc_model_open("m.onnx", &absent, &after, &err), MC_OK, "%s", err.text);
    for (size_t k = 0; k < after.tensors; k++) cr_expect_null(after.tensor[k].data);
    for (size_t k = 0; k < before.tensors; k++) before.tensor[k].data = NULL;
    const char *found = onnx_difference(&before, &after);
    cr_expect_null(found, "%s: %s", goldens[*i], found);
    mc_model_close(&before);
    mc_model_close(&after);
}
