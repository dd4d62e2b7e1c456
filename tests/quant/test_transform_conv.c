/* Convolutions: BatchNormalization folded, ranges of neighbouring layers equalized. */
#include "tests/support/transformed.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const char resnet8[] = MC_SOURCE_DIR "/examples/resnet8/resnet8.onnx";

/* The first site with a BatchNormalization behind it. */
static size_t normed_site(const transformed *t)
{
    for (size_t i = 0; i < t->sites->sites; i++)
        if (t->places.output[i].norm.scale) return i;
    cr_assert_fail("no BatchNormalization");
    return 0;
}

Test(transform_conv, batchnorm_leaves_a_norm_that_only_adds)
{
    transformed t = transformed_open(resnet8), was = transformed_open(resnet8);
    transformed_apply(&t, "batchnorm", NULL);
    const size_t at = normed_site(&t);
    const mc_site_output *o = &t.places.output[at];
    const size_t n = (size_t)o->norm.scale->count;
    const mc_tensor *w = t.sites->site[at].weight;
    const float *scale = transformed_tensor(&t, o->norm.scale->name);
    const float *mean = transformed_tensor(&t, o->norm.mean->name);
    const float *variance = transformed_tensor(&t, o->norm.variance->name);
    const float *old_scale = transformed_tensor(&was, o->norm.scale->name);
    const float *old_variance = transformed_tensor(&was, o->norm.variance->name);
    const float *new_w = transformed_tensor(&t, w->name);
    const float *old_w = transformed_tensor(&was, w->name);
    const size_t each = (size_t)w->count / n;
    for (size_t i = 0; i < n; i++) {
        cr_expect_eq(scale[i], 1.0f);
        cr_expect_eq(mean[i], 0.0f);
        const double root = sqrt((double)variance[i] + o->norm.epsilon);
        cr_expect_eq((float)(1.0 / root), 1.0f);
        const double g = (double)old_scale[i] / sqrt((double)old_variance[i] + o->norm.epsilon);
        for (size_t k = i * each; k < (i + 1) * each; k++)
            cr_expect_float_eq((double)new_w[k], (double)old_w[k] * g,
                               1e-7 * fabs((double)old_w[k] * g) + 1e-30);
    }
    cr_expect_leq(transformed_distance(&t), 1e-5);
    cr_expect_leq(transformed_distance_with_passes(&t), 1e-5);
    transformed_close(&t);
    transformed_close(&was);
}

Test(transform_conv, batchnorm_takes_what_the_norms_variance_cannot_root)
{
    transformed t = transformed_open(resnet8);
    const mc_tensor *variance = t.places.output[normed_site(&t)].norm.variance;
    double v[512];
    for (size_t i = 0; i < variance->count; i++) v[i] = -1;
    transformed_edit(&t, variance->name, MC_EDIT_SET, 0, v);
    char text[512];
    snprintf(text, sizeof text, "'%s': variance 0 is -1, which has no root", variance->name);
    cr_expect_eq(transformed_try(&t, "batchnorm", NULL), MC_E_FORMAT);
    cr_expect_str_eq(t.err.text, text);
    transformed_close(&t);
}

/* ---- equalization ---- */

enum { C = 6 };

static double row_most(const float *w, size_t row, size_t n)
{
    double most = 0;
    for (size_t i = 0; i < n; i++) most = fmax(most, fabs((double)w[row * n + i]));
    return most;
}

static double column_most(const float *w, size_t column, size_t columns, size_t rows)
{
    double most = 0;
    for (size_t i = 0; i < rows; i++) most = fmax(most, fabs((double)w[i * columns + column]));
    return most;
}

static mc_id relu(transformed *t, const char *name, mc_id x)
{
    return transformed_node(t, "Relu", name, &x, 1);
}

/* 1x1 to C channels, ReLU, with `depthwise` 3x3 on each and ReLU, 1x1 to C channels. */
static transformed convolutions(bool depthwise)
{
    transformed t = transformed_begin();
    mc_id y = transformed_in(&t, 4, (int64_t[]){2, 3, 5, 5});
    float first[C * 3];
    for (size_t i = 0; i < C * 3; i++)
        first[i] = (i % 2 ? -0.3f : 0.5f) * powf(10, (float)(i / 3) - 3);
    const mc_id a = transformed_weight(&t, "a", 4, (uint64_t[]){C, 3, 1, 1}, first);
    const mc_id b = transformed_weight(&t, "b", 1, (uint64_t[]){C}, NULL);
    y = transformed_node(&t, "Conv", "first", (mc_id[]){y, a, b}, 3);
    y = relu(&t, "r1", y);
    if (depthwise) {
        const mc_id d = transformed_weight(&t, "d", 4, (uint64_t[]){C, 1, 3, 3}, NULL);
        y = transformed_node(&t, "Conv", "depthwise", (mc_id[]){y, d}, 2);
        mc_node_add_int(t.model.graph, "group", C);
        y = relu(&t, "r2", y);
    }
    const mc_id e = transformed_weight(&t, "e", 4, (uint64_t[]){C, C, 1, 1}, NULL);
    y = transformed_node(&t, "Conv", "last", (mc_id[]){y, e}, 2);
    mc_graph_add_output(t.model.graph, y);
    transformed_ready(&t);
    return t;
}

Test(transform_conv, cle_makes_both_ranges_of_a_channel_equal)
{
    transformed t = convolutions(false);
    transformed_apply(&t, "cle", NULL);
    const float *a = transformed_tensor(&t, "a"), *e = transformed_tensor(&t, "e");
    for (size_t c = 0; c < C; c++) {
        const double r1 = row_most(a, c, 3), r2 = column_most(e, c, C, C);
        cr_expect_float_eq(r1, r2, 2e-3 * r1, "channel %zu: %g and %g", c, r1, r2);
    }
    cr_expect_leq(transformed_distance(&t), 1e-5);
    transformed_close(&t);
}

Test(transform_conv, cle_makes_three_ranges_around_a_depthwise_convolution_equal)
{
    transformed t = convolutions(true);
    cr_assert_eq(t.places.places, 2u);
    transformed_apply(&t, "cle", NULL);
    const float *a = transformed_tensor(&t, "a"), *d = transformed_tensor(&t, "d");
    const float *e = transformed_tensor(&t, "e");
    for (size_t c = 0; c < C; c++) {
        const double r1 = row_most(a, c, 3), r2 = row_most(d, c, 9);
        const double r3 = column_most(e, c, C, C);
        cr_expect_float_eq(r1, r2, 2e-3 * r1);
        cr_expect_float_eq(r2, r3, 2e-3 * r1);
    }
    cr_expect_leq(transformed_distance(&t), 1e-5);
    transformed_close(&t);
}

Test(transform_conv, cle_goes_on_over_layers_that_pairs_share)
{
    /* A layer between two others has rows of one pair and columns of the next. */
    transformed t = transformed_begin();
    mc_id y = transformed_in(&t, 2, (int64_t[]){7, C});
    static const char *const weight[] = {"a", "b", "c", "d"};
    for (size_t i = 0; i < 4; i++) {
        const mc_id w = transformed_weight(&t, weight[i], 2, (uint64_t[]){C, C}, NULL);
        y = transformed_node(&t, "MatMul", "", (mc_id[]){y, w}, 2);
        if (i < 3) y = relu(&t, "", y);
    }
    mc_graph_add_output(t.model.graph, y);
    transformed_ready(&t);
    cr_assert_eq(t.places.places, 3u);
    transformed_apply(&t, "cle", (double[]){200});
    for (size_t i = 0; i < 3; i++) {
        const float *w = transformed_tensor(&t, weight[i]);
        const float *next = transformed_tensor(&t, weight[i + 1]);
        for (size_t c = 0; c < C; c++) { /* [in, out]: outputs are columns */
            const double r1 = column_most(w, c, C, C), r2 = row_most(next, c, C);
            cr_expect_float_eq(r1, r2, 5e-3 * r1, "pair %zu, channel %zu: %g, %g", i, c, r1, r2);
        }
    }
    cr_expect_leq(transformed_distance(&t), 1e-5);
    transformed_close(&t);
}

Test(transform_conv, awq_and_smoothquant_scale_depthwise_inputs)
{
    static const char *const name[] = {"awq", "smoothquant", "logeq"};
    for (size_t i = 0; i < 3; i++) {
        transformed t = convolutions(true);
        transformed_apply(&t, name[i], NULL);
        const mc_tensor *d = mc_model_find(&t.model, "d");
        cr_expect(strcmp(name[i], "awq") == 0 || mc_edits_of(t.edits, d) == 2, "%s", name[i]);
        cr_expect_leq(transformed_distance(&t), 1e-5);
        transformed_close(&t);
    }
}
