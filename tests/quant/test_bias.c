/* Bias correction: means of outputs come out right, and the tensor that takes a shift is found
 * where there is one. */
#include "quant/bias.h"

#include "learned_case.h"
#include "tests/support/pass_case.h"

/* ---- shifts ---- */

/* Inputs and their changed copies, and what a matrix makes of both. */
enum { TOKENS = 40, OUTPUTS = 6, COLS = 12 };

typedef struct {
    double x[2][TOKENS * COLS], y[2][TOKENS * COLS]; /* of each group */
    double sum[2 * COLS], shift[2 * COLS];
    mc_moments m;
} inputs;

static void make_inputs(inputs *in, size_t groups)
{
    const mc_rng rng = {.seed = 41, .stream = 3};
    *in = (inputs){.m = {.n = COLS, .groups = groups, .rows = TOKENS}};
    in->m.sum = in->sum;
    in->m.shift = in->shift;
    for (size_t g = 0; g < groups; g++)
        for (size_t i = 0; i < TOKENS * COLS; i++) {
            const size_t at = g * TOKENS * COLS + i;
            in->x[g][i] = (double)mc_rng_unit(rng, 2 * at) - 0.3;
            in->y[g][i] = in->x[g][i] + 0.1 * (double)mc_rng_unit(rng, 2 * at + 1);
            in->sum[g * COLS + i % COLS] += in->x[g][i];
            in->shift[g * COLS + i % COLS] += in->y[g][i] - in->x[g][i];
        }
}

/* Mean of row `o` of the matrix times the inputs. */
static double mean_output(const double *x, const float *w, size_t o)
{
    double sum = 0.0;
    for (size_t t = 0; t < TOKENS; t++)
        for (size_t j = 0; j < COLS; j++) sum += (double)w[o * COLS + j] * x[t * COLS + j];
    return sum / TOKENS;
}

Test(bias, the_mean_of_each_output_comes_out_right)
{
    static inputs in;
    float w[OUTPUTS * COLS], v[OUTPUTS * COLS];
    double shift[OUTPUTS];
    fill_weights(w, OUTPUTS * COLS, 5);
    for (size_t i = 0; i < OUTPUTS * COLS; i++) v[i] = rintf(w[i] * 16.0f) / 16.0f;
    for (size_t groups = 1; groups <= 2; groups++)
        for (int streams = 1; streams <= 2; streams++) {
            make_inputs(&in, groups);
            if (streams == 1) in.m.shift = NULL;
            mc_bias_shift(&in.m, w, v, OUTPUTS, shift);
            for (size_t o = 0; o < OUTPUTS; o++) {
                const size_t g = o / (OUTPUTS / groups);
                const double *y = streams == 2 ? in.y[g] : in.x[g];
                const double off = mean_output(y, w, o) - mean_output(in.x[g], v, o);
                cr_expect_neq(shift[o], 0.0);
                cr_expect_float_eq(off - shift[o], 0.0, 1e-9);
            }
        }
}

Test(bias, without_inputs_there_is_no_shift)
{
    const double sum[COLS] = {0};
    const mc_moments m = {.n = COLS, .groups = 1, .sum = sum};
    float w[OUTPUTS * COLS], v[OUTPUTS * COLS] = {0};
    double shift[OUTPUTS];
    fill_weights(w, OUTPUTS * COLS, 5);
    mc_bias_shift(&m, w, v, OUTPUTS, shift);
    for (size_t o = 0; o < OUTPUTS; o++) cr_expect_eq(shift[o], 0.0);
}

/* The integral of max(x, 0) over the normal density, by the trapezoidal rule. */
static double relu_mean_plainly(double beta, double gamma)
{
    enum { STEPS = 200000 };
    const double width = 24.0 * gamma / STEPS;
    double sum = 0.0;
    for (int i = 0; i <= STEPS; i++) {
        const double z = -12.0 + 24.0 * i / STEPS, x = beta + gamma * z;
        if (x > 0.0) sum += x * exp(-0.5 * z * z);
    }
    return sum * width / (gamma * sqrt(2.0 * acos(-1.0)));
}

Test(bias, knows_the_mean_of_relu_of_a_normal)
{
    const float beta[] = {0.0f, 1.0f, -1.0f, 0.3f, 5.0f, -30.0f, 2.0f, -2.0f};
    const float gamma[] = {1.0f, 0.5f, 0.5f, -2.0f, 0.1f, 1.0f, 0.0f, 0.0f};
    enum { CHANNELS = 8, POSITIONS = 9 };
    double mean[CHANNELS * POSITIONS];
    mc_bias_relu_mean(&(mc_bias_relu){beta, gamma, CHANNELS, POSITIONS}, mean);
    for (size_t c = 0; c < CHANNELS; c++) {
        const double b = (double)beta[c], g = fabs((double)gamma[c]);
        const double want = g > 0.0 ? relu_mean_plainly(b, g) : fmax(b, 0.0);
        for (size_t p = 0; p < POSITIONS; p++)
            cr_expect_float_eq(mean[c * POSITIONS + p], want, 1e-8, "channel %zu", c);
    }
}

/* ---- slots ---- */

enum { CHANNELS = 3 };

static mc_id vector(pass_case *p, const char *name, int ndim, const int64_t *dim)
{
    static const float value[] = {0.5f, 1.25f, 2.0f, 0.75f};
    return mc_graph_const_f32(p->before, name, ndim, dim, value);
}

static mc_id channels(pass_case *p, const char *name)
{
    return vector(p, name, 1, (int64_t[]){CHANNELS});
}

static mc_id weight_of(pass_case *p, int ndim)
{
    return pass_ramp(p, MC_F32, ndim, (int64_t[]){CHANNELS, 2, 3, 3});
}

static mc_id image(pass_case *p)
{
    return pass_in(p, "x", MC_F32, 4, (int64_t[]){1, 2, 5, 5});
}

static mc_id normalize(pass_case *p, mc_id x)
{
    const mc_id in[] = {x, channels(p, "scale"), channels(p, "shift"), channels(p, "mean"),
                        channels(p, "var")};
    return pass_op_of(p, "BatchNormalization", 15, in, 5);
}

static const double gain[CHANNELS] = {0.5, 1.25, 2.0}; /* scale is var */

/* The slot of the first site of a graph: its tensor's name, `times` the normalization's gain. */
static void expect_slot(pass_case *p, const mc_graph *g, const char *name, int axis, bool normal,
                        double times)
{
    mc_region region;
    mc_sites sites;
    mc_bias_slot slot;
    cr_assert_eq(mc_region_open(&region, 1 << 20, &p->err), MC_OK);
    cr_assert_eq(mc_sites_find(g, &region.arena, &sites, &p->err), MC_OK, "%s", p->err.text);
    cr_assert_gt(sites.sites, 0u);
    cr_assert_eq(mc_bias_find(g, &sites.site[0], &region.arena, &slot, &p->err), MC_OK, "%s",
                 p->err.text);
    cr_expect_str_eq(slot.tensor->name, name);
    cr_expect_eq(slot.axis, axis);
    cr_expect_eq(slot.outputs, CHANNELS);
    for (size_t o = 0; o < slot.outputs && o < CHANNELS; o++) {
        const double want = times * (normal ? gain[o] / sqrt(gain[o] + 1e-5) : 1.0);
        cr_expect_float_eq(slot.factor[o], want, 1e-7, "output %zu: %g", o, slot.factor[o]);
    }
    mc_region_close(&region);
}

static void expect_none(pass_case *p, const char *reason)
{
    mc_region region;
    mc_sites sites;
    mc_bias_slot slot;
    cr_assert_eq(mc_region_open(&region, 1 << 20, &p->err), MC_OK);
    cr_assert_eq(mc_sites_find(p->before, &region.arena, &sites, &p->err), MC_OK);
    cr_expect_eq(mc_bias_find(p->before, &sites.site[0], &region.arena, &slot, &p->err),
                 MC_E_UNSUPPORTED);
    cr_expect(strstr(p->err.text, "no bias can take a shift: "), "%s", p->err.text);
    cr_expect(strstr(p->err.text, reason), "%s", p->err.text);
    cr_expect_eq(strncmp(p->err.text, "node 0 ", 7), 0, "%s", p->err.text);
    mc_region_close(&region);
}

Test(bias, finds_the_bias_of_a_convolution)
{
    pass_case p = pass_begin();
    const mc_id in[] = {image(&p), weight_of(&p, 4), channels(&p, "b")};
    pass_out(&p, pass_op_of(&p, "Conv", 13, in, 3));
    expect_slot(&p, p.before, "b", 0, false, 1.0);
    pass_end(&p);
}

Test(bias, finds_the_bias_of_a_gemm_in_its_units)
{
    pass_case p = pass_begin();
    const mc_id x = pass_in(&p, "x", MC_F32, 2, (int64_t[]){4, 2});
    const mc_id in[] = {x, weight_of(&p, 2), vector(&p, "c", 2, (int64_t[]){1, CHANNELS})};
    pass_out(&p, pass_op_of(&p, "Gemm", 13, in, 3));
    mc_node_add_int(p.before, "transB", 1);
    mc_node_add_float(p.before, "alpha", 3.0f);
    mc_node_add_float(p.before, "beta", 0.5f);
    expect_slot(&p, p.before, "c", 1, false, 6.0);
    pass_end(&p);
}

Test(bias, finds_an_addition_behind)
{
    pass_case p = pass_begin();
    const mc_id y = pass_op(&p, "Conv", 13, image(&p), weight_of(&p, 4));
    pass_out(&p, pass_op(&p, "Add", 13, vector(&p, "b", 3, (int64_t[]){CHANNELS, 1, 1}), y));
    expect_slot(&p, p.before, "b", 0, false, 1.0);
    pass_end(&p);

    p = pass_begin();
    const mc_id x = pass_in(&p, "x", MC_F32, 3, (int64_t[]){2, 4, 2});
    const mc_id w = pass_ramp(&p, MC_F32, 2, (int64_t[]){2, CHANNELS});
    pass_out(&p, pass_op(&p, "Add", 13, pass_op(&p, "MatMul", 13, x, w), channels(&p, "b")));
    expect_slot(&p, p.before, "b", 0, false, 1.0);
    pass_prepare(&p); /* one Linear now */
    expect_slot(&p, p.after, "b", 0, false, 1.0);
    pass_end(&p);
}

/* What the model's own normalization adds; behind the passes it is part of the node's bias. */
Test(bias, finds_a_normalization_behind)
{
    pass_case p = pass_begin();
    pass_out(&p, normalize(&p, pass_op(&p, "Conv", 13, image(&p), weight_of(&p, 4))));
    expect_slot(&p, p.before, "shift", 0, true, 1.0);
    pass_prepare(&p);
    cr_assert_eq(pass_count(&p, "BatchNormalization"), 0u);
    expect_slot(&p, p.after, "shift", 0, true, 1.0);
    pass_end(&p);

    p = pass_begin();
    const mc_id in[] = {image(&p), weight_of(&p, 4), channels(&p, "b")};
    pass_out(&p, normalize(&p, pass_op_of(&p, "Conv", 13, in, 3)));
    expect_slot(&p, p.before, "b", 0, false, 1.0);
    pass_prepare(&p);
    expect_slot(&p, p.after, "b", 0, false, 1.0);
    pass_end(&p);
}

Test(bias, refuses_what_others_take_too)
{
    pass_case p = pass_begin();
    const mc_id b = channels(&p, "b"), in[] = {image(&p), weight_of(&p, 4), b};
    pass_out(&p, pass_op_of(&p, "Conv", 13, in, 3));
    pass_out(&p, pass_op(&p, "Relu", 14, b, MC_NONE));
    expect_none(&p, "its bias is computed, shared or of another shape");
    pass_end(&p);

    p = pass_begin();
    const mc_id y = pass_op(&p, "Conv", 13, image(&p), weight_of(&p, 4));
    pass_out(&p, pass_op(&p, "Add", 13, y, vector(&p, "b", 3, (int64_t[]){CHANNELS, 1, 1})));
    pass_out(&p, y);
    expect_none(&p, "it has no bias, and more than one node or none takes its output");
    pass_end(&p);
}

Test(bias, refuses_additions_along_other_axes)
{
    pass_case p = pass_begin();
    const mc_id x = pass_in(&p, "x", MC_F32, 4, (int64_t[]){1, 2, 5, 5});
    const mc_id y = pass_op(&p, "Conv", 13, x, weight_of(&p, 4)); /* [1, 3, 3, 3] */
    pass_out(&p, pass_op(&p, "Add", 13, y, channels(&p, "b")));
    expect_none(&p, "neither it nor the node behind it adds a constant");
    pass_end(&p);

    p = pass_begin();
    pass_out(
        &p, pass_op(&p, "Relu", 14, pass_op(&p, "Conv", 13, image(&p), weight_of(&p, 4)), MC_NONE));
    expect_none(&p, "neither it nor the node behind it adds a constant");
    pass_end(&p);
}

Test(bias, refuses_embeddings)
{
    pass_case p = pass_begin();
    const mc_id ids = pass_in(&p, "x", MC_I64, 1, (int64_t[]){2});
    pass_out(&p, pass_op(&p, "Gather", 13, weight_of(&p, 2), ids));
    expect_none(&p, "its outputs are no rows of one matrix");
    pass_end(&p);
}
