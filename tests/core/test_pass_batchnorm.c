/* BatchNormalization behind nodes with weights goes into the weights; elsewhere it stays. */
#include "core/site.h"
#include "tests/support/pass_case.h"

#include <criterion/criterion.h>
#include <string.h>

typedef struct {
    const char *op; /* in front; NULL: Linear by way of Gemm */
    bool biased, used_twice, is_output, trains, statistics_are_inputs, weight_is_input;
    int64_t groups;  /* 0: 1 */
    int64_t vector;  /* of the normalization; 0: as many as outputs */
    bool of_rows;    /* three dimensions in front of a product */
    mc_dtype dtype;  /* 0: F32 */
    int64_t bias[2]; /* 0: as many as outputs */
    float epsilon;
} form;

enum { CHANNELS = 4, OUTPUTS = 6 };

static mc_dtype type_of(const form *f)
{
    return f->dtype ? f->dtype : MC_F32;
}

static mc_id front(pass_case *p, const form *f)
{
    const bool conv = strcmp(f->op, "Conv") == 0, up = strcmp(f->op, "ConvTranspose") == 0;
    const int64_t groups = f->groups ? f->groups : 1, image[] = {2, CHANNELS, 5, 4};
    const int64_t dim[] = {3, CHANNELS}, w[] = {OUTPUTS, CHANNELS / groups, 3, 2};
    const int64_t w_up[] = {CHANNELS, OUTPUTS / groups, 3, 2};
    const int64_t *of = up ? w_up : w;
    const int dims = conv || up ? 4 : 2;
    const mc_id x = pass_in(p, "x", type_of(f), dims, dims == 4 ? image : dim);
    mc_id in[3] = {x, f->weight_is_input ? pass_in(p, "w", type_of(f), dims, of)
                                         : pass_ramp(p, type_of(f), dims, of)};
    const int64_t outputs = f->bias[0] ? f->bias[0] : OUTPUTS;
    if (f->biased) in[2] = pass_ramp(p, type_of(f), 1, &outputs);
    const mc_id y = pass_op_of(p, f->op, dims == 4 ? 11 : 13, in, f->biased ? 3 : 2);
    if (dims == 4) mc_node_add_int(p->before, "group", groups);
    if (dims == 2) mc_node_add_int(p->before, "transB", 1);
    p->before->node[p->before->nodes - 1].name = "front";
    return y;
}

/* Variances above 0. */
static mc_id variance(pass_case *p, const form *f, int64_t n)
{
    const mc_id v = pass_ramp(p, type_of(f), 1, &n);
    mc_tensor *t = (mc_tensor *)(uintptr_t)p->before->value[v].constant;
    float x[16];
    for (int64_t i = 0; i < n; i++) x[i] = 0.5f + 0.25f * (float)i;
    mc_from_f32(t->dtype, x, (void *)(uintptr_t)t->data, (size_t)n);
    return v;
}

static mc_id normalized(pass_case *p, const form *f, mc_id x)
{
    const int64_t n = f->vector ? f->vector : OUTPUTS;
    mc_id in[5] = {x};
    for (int i = 1; i < 4; i++)
        in[i] = f->statistics_are_inputs && i == 3 ? pass_in(p, "mean", type_of(f), 1, &n)
                                                   : pass_ramp(p, type_of(f), 1, &n);
    in[4] = variance(p, f, n);
    const mc_id y = pass_op_of(p, "BatchNormalization", 14, in, 5);
    if (f->trains) mc_node_add_int(p->before, "training_mode", 1);
    if (f->epsilon > 0) mc_node_add_float(p->before, "epsilon", f->epsilon);
    return y;
}

static pass_case build(form f)
{
    pass_case p = pass_begin();
    const mc_id x = front(&p, &f);
    if (f.is_output) pass_out(&p, x);
    pass_out(&p, normalized(&p, &f, x));
    if (f.used_twice) pass_out(&p, pass_op(&p, "Relu", 13, x, MC_NONE));
    pass_prepare(&p);
    return p;
}

/* Sums of at most 24 products around 1, scaled by at most 1.875 / sqrt(0.5). */
static void expect(form f, size_t left)
{
    pass_case p = build(f);
    cr_expect_eq(pass_count(&p, "BatchNormalization"), left);
    pass_same(&p, left ? 0 : 1e-5);
    pass_end(&p);
}

Test(pass_batchnorm, goes_into_weights)
{
    for (int biased = 0; biased < 2; biased++) {
        expect((form){.op = "Conv", .biased = biased}, 0);
        expect((form){.op = "Conv", .biased = biased, .groups = 2}, 0);
        expect((form){.op = "ConvTranspose", .biased = biased}, 0);
        expect((form){.op = "Gemm", .biased = biased}, 0);
        expect((form){.op = "Conv", .biased = biased, .epsilon = 0.5f}, 0);
    }
}

Test(pass_batchnorm, stays_where_it_cannot_go)
{
    expect((form){.op = "ConvTranspose", .groups = 2}, 1);
    expect((form){.op = "Conv", .used_twice = true}, 1);
    expect((form){.op = "Conv", .is_output = true}, 1);
    expect((form){.op = "Conv", .statistics_are_inputs = true}, 1);
    expect((form){.op = "Conv", .weight_is_input = true}, 1);
    expect((form){.op = "Conv", .dtype = MC_F16}, 1);
}

/* Run, these are refused; folded, they must not become something that runs. */
Test(pass_batchnorm, stays_where_sizes_are_wrong_or_it_trains)
{
    static const form forms[] = {{.op = "Conv", .vector = 1},
                                 {.op = "Conv", .vector = 5},
                                 {.op = "Conv", .biased = true, .bias = {1}},
                                 {.op = "Conv", .trains = true}};
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        pass_case p = build(forms[i]);
        cr_expect_eq(pass_count(&p, "BatchNormalization"), 1);
        pass_end(&p);
    }
}

/* Behind a product of three dimensions it normalizes the second, not the outputs. */
Test(pass_batchnorm, stays_behind_rows_of_rows)
{
    pass_case p = pass_begin();
    const form f = {.op = "Gemm", .vector = 6};
    const mc_id x = pass_in(&p, "x", MC_F32, 3, (int64_t[]){2, 6, CHANNELS});
    const mc_id w = pass_op(&p, "Transpose", 13,
                            pass_ramp(&p, MC_F32, 2, (int64_t[]){OUTPUTS, CHANNELS}), MC_NONE);
    pass_out(&p, normalized(&p, &f, pass_op(&p, "MatMul", 13, x, w)));
    pass_prepare(&p);
    cr_expect_eq(pass_count(&p, "Linear"), 1);
    cr_expect_eq(pass_count(&p, "BatchNormalization"), 1);
    pass_same(&p, 1e-6);
    pass_end(&p);
}

Test(pass_batchnorm, keeps_the_site_of_the_weight)
{
    static const char *const op[] = {"Conv", "ConvTranspose", "Gemm"};
    for (size_t i = 0; i < 3; i++) {
        pass_case p = build((form){.op = op[i], .biased = true});
        mc_sites before, after;
        static unsigned char room[1 << 16];
        mc_arena mem = {room, room + sizeof room};
        cr_assert_eq(mc_sites_find(p.before, &mem, &before, &p.err), MC_OK);
        cr_assert_eq(mc_sites_find(p.after, &mem, &after, &p.err), MC_OK);
        cr_assert_eq(before.sites, 1);
        cr_assert_eq(after.sites, 1);
        cr_expect_eq(after.site[0].weight, before.site[0].weight);
        cr_expect_eq(after.site[0].transposed, before.site[0].transposed);
        cr_expect_str_eq(after.site[0].name, "front");
        cr_expect(after.site[0].scaled);
        cr_expect_not(before.site[0].scaled);
        cr_expect_eq(p.after->node[after.site[0].node].origin, before.site[0].node);
        pass_end(&p);
    }
}

/* A folded weight is not multiplied by as its codes say: such a site computes in floats, which is
 * why the flag is there. Only factors that follow from constants count. */
Test(pass_batchnorm, a_factor_from_outside_makes_no_site)
{
    pass_case p = pass_begin();
    const mc_id x = pass_in(&p, "x", MC_F32, 2, (int64_t[]){3, CHANNELS});
    const int64_t column[] = {-1, 1}, n = CHANNELS;
    const mc_id factor =
        pass_op(&p, "Reshape", 13, pass_in(&p, "f", MC_F32, 1, &n), pass_ints(&p, 2, column));
    const mc_id w = pass_ramp(&p, MC_F32, 2, (int64_t[]){CHANNELS, OUTPUTS});
    pass_out(&p, pass_op(&p, "MatMul", 13, x, pass_op(&p, "Mul", 13, w, factor)));
    mc_sites sites;
    cr_assert_eq(mc_graph_check(p.before, "case", &p.err), MC_OK);
    cr_assert_eq(mc_sites_find(p.before, &p.region.arena, &sites, &p.err), MC_OK);
    cr_expect_eq(sites.sites, 0);
    pass_end(&p);
}
