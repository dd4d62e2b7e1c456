/* Scaling channels: the formulas, what keeps scales usable, and that outliers of inputs go. */
#include "quant/transform_scale.h"
#include "quant_case.h"
#include "tests/support/golden_model.h"
#include "tests/support/transformed.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 6, OUTS = 4 };

/* norm -> matrix [WIDTH, OUTS]; `gain` and `w` may be NULL. */
static transformed small(const float *gain, const float *w)
{
    transformed t = transformed_begin();
    const mc_id x = transformed_in(&t, 3, (int64_t[]){2, 5, WIDTH});
    const mc_id g = transformed_weight(&t, "gain", 1, (uint64_t[]){WIDTH}, gain);
    const mc_id y = transformed_node(&t, "RMSNormalization", "norm", (mc_id[]){x, g}, 2);
    const mc_id m = transformed_weight(&t, "weight", 2, (uint64_t[]){WIDTH, OUTS}, w);
    mc_graph_add_output(t.model.graph,
                        transformed_node(&t, "MatMul", "matrix", (mc_id[]){y, m}, 2));
    transformed_ready(&t);
    return t;
}

static void largest_of(const float *w, double most[WIDTH])
{
    for (size_t i = 0; i < WIDTH; i++) {
        most[i] = 0;
        for (size_t o = 0; o < OUTS; o++) most[i] = fmax(most[i], fabs((double)w[i * OUTS + o]));
    }
}

static void expect_scales(transformed *t, const float *gain, const float *w, const double *s)
{
    const float *g = transformed_tensor(t, "gain"), *m = transformed_tensor(t, "weight");
    for (size_t i = 0; i < WIDTH; i++) {
        cr_expect_float_eq((double)g[i] * s[i], (double)gain[i], 1e-6 * fabs((double)gain[i]));
        for (size_t o = 0; o < OUTS; o++)
            cr_expect_float_eq((double)m[i * OUTS + o], (double)w[i * OUTS + o] * s[i],
                               1e-6 * fabs((double)w[i * OUTS + o] * s[i]) + 1e-30);
    }
}

static const float gains[WIDTH] = {1, 30, -0.5f, 2, 0.01f, 1};
static const float weights[WIDTH * OUTS] = {0.5f,  -1,   0.25f, 0.125f, 0.1f, 0.2f,  -0.3f, 0.05f,
                                            2,     1,    -4,    3,      0.7f, 0.01f, 0.02f, -0.6f,
                                            -0.1f, 0.3f, 0.9f,  1,      0.2f, 0.2f,  0.2f,  0.2f};

Test(transform_scale, smoothquant_takes_the_roots_of_both_ranges)
{
    for (double alpha = 0.25; alpha < 1; alpha += 0.5) {
        transformed t = small(gains, weights);
        float x[WIDTH];
        double w[WIDTH], s[WIDTH];
        largest_of(weights, w);
        transformed_absmax(&t, t.places.place[0].to, WIDTH, x);
        for (size_t i = 0; i < WIDTH; i++) s[i] = pow((double)x[i], alpha) / pow(w[i], 1 - alpha);
        transformed_apply(&t, "smoothquant", (double[]){alpha, 1});
        expect_scales(&t, gains, weights, s);
        transformed_close(&t);
    }
}

Test(transform_scale, logeq_takes_the_range_over_its_logarithm)
{
    transformed t = small(gains, weights);
    float x[WIDTH];
    double s[WIDTH];
    transformed_absmax(&t, t.places.place[0].to, WIDTH, x);
    for (size_t i = 0; i < WIDTH; i++) s[i] = (double)x[i] / log2(2 + (double)x[i]);
    transformed_apply(&t, "logeq", NULL);
    expect_scales(&t, gains, weights, s);
    transformed_close(&t);
}

Test(transform_scale, a_channel_with_nothing_in_it_stays)
{
    static const char *const name[] = {"smoothquant", "logeq", "awq"};
    float gain[WIDTH], w[WIDTH * OUTS];
    memcpy(gain, gains, sizeof gain);
    memcpy(w, weights, sizeof w);
    gain[2] = 0;                               /* no input */
    memset(w + 3 * OUTS, 0, OUTS * sizeof *w); /* no weight */
    for (size_t i = 0; i < 3; i++) {
        transformed t = small(gain, w);
        transformed_apply(&t, name[i], NULL);
        const float *g = transformed_tensor(&t, "gain"), *m = transformed_tensor(&t, "weight");
        for (size_t k = 0; k < WIDTH; k++) cr_expect(isfinite(g[k]));
        for (size_t k = 0; k < WIDTH * OUTS; k++) cr_expect(isfinite(m[k]));
        cr_expect_eq(g[2], 0.0f);
        cr_expect_eq(m[2 * OUTS], w[2 * OUTS], "%s", name[i]);
        cr_expect_leq(transformed_distance(&t), 1e-5);
        transformed_close(&t);
    }
}

Test(transform_scale, scales_stay_within_four_powers_of_ten)
{
    float gain[WIDTH] = {1e30f, 1, 1, 1, 1e-30f, 1}, w[WIDTH * OUTS];
    for (size_t i = 0; i < WIDTH * OUTS; i++) w[i] = 1;
    transformed t = small(gain, w);
    transformed_apply(&t, "smoothquant", (double[]){1, 1});
    const float *m = transformed_tensor(&t, "weight");
    cr_expect_float_eq((double)m[0], 1e4, 1e-2);
    cr_expect_float_eq((double)m[4 * OUTS], 1e-4, 1e-10);
    transformed_close(&t);
}

/* ---- outliers ---- */

static int rising(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* The largest channel over the middle one. */
static double unevenness(const transformed *t, const mc_place *place)
{
    float most[256];
    cr_assert_leq(place->width, (size_t)256);
    transformed_absmax(t, place->to, place->width, most);
    qsort(most, place->width, sizeof *most, rising);
    return (double)most[place->width - 1] / (double)most[place->width / 2];
}

static void multiply(transformed *t, const char *tensor, int axis, size_t channel, double by)
{
    double s[256];
    const mc_tensor *about = mc_model_find(&t->model, tensor);
    cr_assert(about && about->dim[axis] <= 256);
    for (size_t i = 0; i < about->dim[axis]; i++) s[i] = i == channel ? by : 1;
    transformed_edit(t, tensor, MC_EDIT_SCALE, axis, s);
}

/* Gives a channel in front of each place of a llama's first layer 64 times its size: behind norms,
 * between matrices, or both. */
enum { NORMS = 1, INNER = 2 };
static void inject(transformed *t, unsigned where)
{
    static const char at[] = "model.layers.0.";
    static const struct {
        const char *tensor;
        int axis;
        size_t channel;
        double by;
    } edit[] = {
        {"input_layernorm.weight", 0, 3, 64},          {"self_attn.q_proj.weight", 1, 3, 0.015625},
        {"self_attn.k_proj.weight", 1, 3, 0.015625},   {"self_attn.v_proj.weight", 1, 3, 0.015625},
        {"post_attention_layernorm.weight", 0, 9, 64}, {"mlp.gate_proj.weight", 1, 9, 0.015625},
        {"mlp.up_proj.weight", 1, 9, 0.015625},        {"mlp.up_proj.weight", 0, 20, 64},
        {"mlp.down_proj.weight", 1, 20, 0.015625},     {"self_attn.v_proj.weight", 0, 5, 64},
        {"self_attn.o_proj.weight", 1, 5, 0.015625},   {"self_attn.o_proj.weight", 1, 13, 0.015625},
    };
    enum { EDITS = sizeof edit / sizeof edit[0], OF_NORMS = 7 };
    for (size_t i = 0; i < EDITS; i++) {
        char name[128];
        if (!(where & (i < OF_NORMS ? NORMS : INNER))) continue;
        snprintf(name, sizeof name, "%s%s", at, edit[i].tensor);
        multiply(t, name, edit[i].axis, edit[i].channel, edit[i].by);
    }
    cr_assert_leq(transformed_distance(t), 1e-5);
}

static const char *const consumers[] = {"layers.0.self_attn.q_proj", "layers.0.self_attn.o_proj",
                                        "layers.0.mlp.up_proj", "layers.0.mlp.down_proj"};
enum { CONSUMERS = 4 };

/* With outliers and without, each behind the transform: within `factor` of each other. */
typedef struct {
    const char *transform;
    const double *param;
    unsigned where;
    double factor;
} outlier_case;

static void expect_evened(outlier_case c)
{
    char path[512];
    golden_path("llama", "", path);
    transformed plain = transformed_open(path), t = transformed_open(path);
    inject(&t, c.where);
    for (size_t i = 0; i < CONSUMERS; i++)
        if (c.where & (i % 2 ? INNER : NORMS))
            cr_expect_gt(unevenness(&t, transformed_place(&t, consumers[i])), 20.0);
    transformed_apply(&plain, c.transform, c.param);
    transformed_apply(&t, c.transform, c.param);
    const double off = transformed_distance(&t);
    cr_expect_leq(off, 1e-5, "%s: %g", c.transform, off);
    for (size_t i = 0; i < CONSUMERS; i++) {
        if (!(c.where & (i % 2 ? INNER : NORMS))) continue;
        const double was = unevenness(&plain, transformed_place(&plain, consumers[i]));
        const double is = unevenness(&t, transformed_place(&t, consumers[i]));
        cr_expect_lt(is, c.factor * was, "%s, %s: %g, plain %g", c.transform, consumers[i], is,
                     was);
    }
    transformed_close(&plain);
    transformed_close(&t);
}

/* An input that is f times as large meets weights that are 1/f as large: s becomes f s, whatever
 * the exponent, and what is left is the same. */
Test(transform_scale, smoothquant_undoes_outliers_entirely)
{
    static const double half[] = {0.5, 1}, most[] = {0.8, 1}, searched[] = {0, 1};
    static const double *const param[] = {half, most, searched};
    for (size_t i = 0; i < 3; i++) {
        expect_evened((outlier_case){"smoothquant", param[i], NORMS, 1.0001});
        expect_evened((outlier_case){"smoothquant", param[i], INNER, 1.0001});
    }
}

/* Large rows of values and of up make the columns of the matrices behind a norm uneven. */
Test(transform_scale, smoothquant_undoes_outliers_of_all_inputs)
{
    expect_evened((outlier_case){"smoothquant", NULL, NORMS | INNER, 3});
}

/* Its weights are means over what is largest in their group, which outliers change. */
Test(transform_scale, awq_undoes_outliers_of_all_inputs)
{
    expect_evened((outlier_case){"awq", NULL, NORMS | INNER, 2});
}

Test(transform_scale, rotations_undo_outliers_of_all_inputs)
{
    char path[512];
    transformed t = transformed_open(golden_path("llama", "", path));
    inject(&t, NORMS | INNER);
    double before[4];
    for (size_t i = 0; i < 4; i++) before[i] = unevenness(&t, transformed_place(&t, consumers[i]));
    transformed_apply(&t, "rotate", (double[]){1, 0, 0, 1});
    for (size_t i = 0; i < 4; i++) {
        const double is = unevenness(&t, transformed_place(&t, consumers[i]));
        /* R2 spreads an outlier over its head alone. */
        cr_expect_lt(is, i == 1 ? before[i] : 4.0, "%s: %g of %g", consumers[i], is, before[i]);
    }
    transformed_close(&t);
}

/* ---- the search ---- */

enum { CANDIDATES = 5 };

static void candidate(const void *self, size_t i, double *s)
{
    static const double exponent[CANDIDATES] = {-2, -1, 1, 2, -4}; /* the last one is far off */
    (void)self;
    for (size_t c = 0; c < WIDTH; c++) s[c] = pow(2 + (double)c, exponent[i]);
}

/* Squared error of the outputs, weights [WIDTH, OUTS] rounded behind the scales. */
static double error_behind(const transformed *t, const double *s, const double *square)
{
    double sum = 0;
    for (size_t o = 0; o < OUTS; o++) {
        float row[WIDTH];
        for (size_t i = 0; i < WIDTH; i++) row[i] = (float)((double)weights[i * OUTS + o] * s[i]);
        quant_result r = quantize((quant_case){
            .setup = "mse", .grid = t->grid, .w = row, .rows = 1, .cols = WIDTH, .group = WIDTH});
        for (size_t i = 0; i < WIDTH; i++) {
            const double off = (double)mc_qmat_value(&r.q, 0, i) / s[i];
            sum += square[i] * pow(off - (double)weights[i * OUTS + o], 2);
        }
        close_result(&r);
    }
    return sum;
}

Test(transform_scale, the_search_finds_what_leaves_the_least_error)
{
    static const double square[2][WIDTH] = {{9, 8, 900, 1, 0.5, 7}, {0.1, 3, 1, 400, 9000, 2}};
    for (size_t k = 0; k < 2; k++) {
        transformed t = small(gains, weights);
        transformed_try(&t, "batchnorm", NULL); /* refused: sets up the job */
        t.job.activation_bits = 16;
        double gram[WIDTH * WIDTH] = {0}, sum[WIDTH] = {0}, used[WIDTH], s[WIDTH];
        float absmax[WIDTH];
        for (size_t i = 0; i < WIDTH; i++) {
            gram[i * WIDTH + i] = square[k][i];
            absmax[i] = (float)(used[i] = 1);
        }
        const mc_input_stats stats = {
            .group = t.places.place[0].to,
            .moments = {WIDTH, 1, 10, gram, NULL, sum, NULL, square[k]},
            .absmax = absmax,
        };
        const mc_scale_search search = {
            &t.job, &t.places.place[0], &stats, CANDIDATES, candidate, NULL, used};
        size_t best, want = CANDIDATES;
        cr_assert_eq(mc_scale_find(&search, t.region.arena, s, &best, &t.err), MC_OK);

        double trial[WIDTH] = {1, 1, 1, 1, 1, 1}, least = error_behind(&t, trial, square[k]);
        for (size_t i = 0; i < CANDIDATES; i++) {
            candidate(NULL, i, trial);
            const double error = error_behind(&t, trial, square[k]);
            if (error < least) want = i;
            least = fmin(error, least);
        }
        cr_expect_eq(best, want, "case %zu: %zu, not %zu", k, best, want);
        cr_expect_neq(want, (size_t)CANDIDATES - 1); /* or the last one would always do */
        transformed_close(&t);
    }
}

Test(transform_scale, awq_centres_its_scales)
{
    transformed t = small(gains, weights);
    transformed_apply(&t, "awq", NULL);
    const float *g = transformed_tensor(&t, "gain");
    double most = 0, least = (double)INFINITY;
    for (size_t i = 0; i < WIDTH; i++) {
        const double s = (double)gains[i] / (double)g[i];
        most = fmax(most, s);
        least = fmin(least, s);
    }
    cr_expect_gt(most, 1.01);
    cr_expect_float_eq(most * least, 1.0, 1e-5);
    transformed_close(&t);
}

Test(transform_scale, awq_leaves_what_no_candidate_betters)
{
    /* One candidate, inputs to the power of 0. */
    transformed t = small(gains, weights);
    transformed_apply(&t, "awq", (double[]){1, 0, 1});
    cr_expect_eq(mc_edits_of(t.edits, mc_model_find(&t.model, "weight")), 0u);
    transformed_close(&t);
}

Test(transform_scale, norms_alone_are_scaled_when_asked)
{
    static const char *const name[] = {"smoothquant", "logeq", "awq"};
    static const double param[][3] = {{0.5, 0}, {0}, {20, 1, 0}};
    for (size_t i = 0; i < 3; i++) {
        char path[512];
        transformed t = transformed_open(golden_path("llama", "", path));
        transformed_apply(&t, name[i], param[i]);
        const mc_tensor *down = mc_model_find(&t.model, "model.layers.0.mlp.down_proj.weight");
        const mc_tensor *up = mc_model_find(&t.model, "model.layers.0.mlp.up_proj.weight");
        cr_expect_eq(mc_edits_of(t.edits, down), 0u, "%s", name[i]);
        cr_expect_gt(mc_edits_of(t.edits, up), 0u, "%s", name[i]);
        transformed_close(&t);
    }
}

Test(transform_scale, a_model_without_norms_says_so)
{
    transformed t = transformed_open(MC_SOURCE_DIR "/examples/mnist/mnist.onnx");
    cr_expect_eq(transformed_try(&t, "smoothquant", (double[]){0.5, 0}), MC_E_UNSUPPORTED);
    cr_expect_str_eq(t.err.text,
                     "the model has no place to scale: a norm whose outputs only matrices take");
    transformed_close(&t);
}
