/* Sites that see a matrix of a stack are not run in integers, even when one scale serves the whole
 * tensor and so no row length gives them away. */
#include "core/act.h"

#include <criterion/criterion.h>
#include <string.h>

/* Every tensor has one scale for all. */
static const mc_weight_spec *one_scale(const mc_weights *from, const mc_tensor *t)
{
    static mc_weight_spec spec;
    (void)from;
    spec = (mc_weight_spec){.form = MC_FORM_QUANTIZED, .dtype = MC_F32, .ndim = t->ndim};
    memcpy(spec.dim, t->dim, sizeof spec.dim);
    mc_tensor_shape(t, &spec.rows, &spec.cols);
    spec.grid = (mc_grid){.levels = mc_levels_int(4), .scale_dtype = MC_F16};
    return &spec;
}

/* Would `op` run in integers: x [1, 4, 8] by `weight`, or a matrix of it, into y [1, 4, 6]? */
static bool fits(const char *domain, const char *op, const mc_tensor *weight, bool part)
{
    const mc_weights weights = {.quantized = one_scale};
    const mc_site site = {
        .kind = MC_SITE_LINEAR, .weight_input = 1, .weight = weight, .part = part};
    const mc_node node = {.name = "n", .op = op, .domain = domain, .version = 1};
    mc_err err = {0};
    mc_nd x = {0}, w = {0}, y = {0};
    cr_assert_eq(mc_nd_set(&x, MC_F32, 3, (int64_t[]){1, 4, 8}, &err), MC_OK);
    cr_assert_eq(mc_nd_set(&y, MC_F32, 3, (int64_t[]){1, 4, 6}, &err), MC_OK);
    const int64_t shape[] = {(int64_t)weight->dim[0], (int64_t)weight->dim[1],
                             (int64_t)weight->dim[2]};
    const int skip = part ? weight->ndim - 2 : 0;
    cr_assert_eq(mc_nd_set(&w, MC_F32, weight->ndim - skip, shape + skip, &err), MC_OK);
    const mc_nd *in[] = {&x, &w};
    mc_nd *out[] = {&y};
    const mc_call call = {.node = &node, .version = 1, .in = in, .ins = 2, .out = out, .outs = 1};
    const mc_act_spec act = mc_act_dynamic(8);
    return mc_act_integer_fits(&(mc_act_site){&site, &weights, &act}, &call);
}

static const mc_tensor matrix = {
    .name = "w", .dtype = MC_F32, .ndim = 2, .dim = {6, 8}, .count = 48};
static const mc_tensor stack = {
    .name = "w", .dtype = MC_F32, .ndim = 3, .dim = {2, 6, 8}, .count = 96};
static const mc_tensor pages = {
    .name = "w", .dtype = MC_F32, .ndim = 3, .dim = {2, 8, 6}, .count = 96};

Test(act_stacks, leave_a_matrix_to_integers)
{
    cr_expect(fits(MC_DOMAIN, "Linear", &matrix, false));
}

Test(act_stacks, are_left_to_floats)
{
    cr_expect_not(fits(MC_DOMAIN, "Linear", &stack, true));
    cr_expect_not(fits("", "MatMul", &pages, false), "a stack multiplied page by page");
}

/* A slice that happens to be as large as it should be is still no matrix of the codes. */
Test(act_stacks, are_left_to_floats_when_sizes_agree)
{
    cr_expect_not(fits(MC_DOMAIN, "Linear", &matrix, true));
}
