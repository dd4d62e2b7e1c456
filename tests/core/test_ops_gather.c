#include "tests/support/op_run.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const float table[12] = {0, 1, 2, 10, 11, 12, 20, 21, 22, 30, 31, 32}; /* 4 x 3 */

static void expect_refusal(op_case *c, mc_status status, const char *why)
{
    cr_expect_eq(op_try(c), status);
    cr_expect(strstr(c->err.text, why), "%s", c->err.text);
    op_end(c);
}

Test(gather, takes_rows_and_columns_from_both_ends)
{
    op_case c = op_begin("Gather", 13);
    op_in(&c, op_f32(2, (int64_t[]){4, 3}, table));
    op_in(&c, op_i64(2, (int64_t[]){1, 2}, (int64_t[]){3, -4}));
    op_run(&c);
    op_expect_f32(&c, 0, 3, (int64_t[]){1, 2, 3}, (float[]){30, 31, 32, 0, 1, 2}, 0);
    op_end(&c);

    c = op_begin("Gather", 13);
    op_int(&c, "axis", -1);
    op_in(&c, op_f32(2, (int64_t[]){4, 3}, table));
    op_in(&c, op_nd(MC_I32, 0, NULL, (int32_t[]){-1}));
    op_run(&c);
    op_expect_f32(&c, 0, 1, (int64_t[]){4}, (float[]){2, 12, 22, 32}, 0);
    op_end(&c);
}

Test(gather, refuses_indices_out_of_range)
{
    static const int64_t bad[] = {4, -5, INT64_MIN, INT64_MAX};
    for (size_t i = 0; i < 4; i++) {
        op_case c = op_begin("Gather", 13);
        op_in(&c, op_f32(2, (int64_t[]){4, 3}, table));
        op_in(&c, op_i64(1, (int64_t[]){2}, (int64_t[]){1, bad[i]}));
        cr_expect_eq(op_try(&c), MC_E_FORMAT);
        char why[80];
        snprintf(why, sizeof why, "indices[1] is %lld, outside [-4, 4)", (long long)bad[i]);
        cr_expect(strstr(c.err.text, why), "%s", c.err.text);
        op_end(&c);
    }
}

Test(gather, names_the_node_in_what_it_refuses)
{
    op_case c = op_begin("Gather", 13);
    op_in(&c, op_f32(2, (int64_t[]){4, 3}, table));
    op_in(&c, op_i64(1, (int64_t[]){1}, (int64_t[]){7}));
    expect_refusal(&c, MC_E_FORMAT, "node 0 'tested' (Gather, opset 13): indices[0] is 7");
}

/* A table that counts what is read of it. */
typedef struct {
    mc_lazy lazy;
    uint64_t elements;
} counted;

static mc_status read_counted(const mc_lazy *lazy, uint64_t first, uint64_t count, float *out,
                              mc_err *err)
{
    (void)err;
    ((counted *)(uintptr_t)lazy)->elements += count;
    for (uint64_t i = 0; i < count; i++) out[i] = (float)(first + i);
    return MC_OK;
}

Test(gather, decodes_only_the_rows_asked_for)
{
    counted rows = {.lazy = {read_counted}};
    mc_nd in = {.lazy = &rows.lazy}, out = {0};
    mc_nd index = op_i64(1, (int64_t[]){2}, (int64_t[]){999999, 5});
    mc_err err = {0};
    float got[8];
    cr_assert_eq(mc_nd_set(&in, MC_F16, 2, (int64_t[]){1000000, 4}, &err), MC_OK);
    const mc_nd *ins[] = {&in, &index};
    mc_nd *const outs[] = {&out};
    mc_node node = {.op = "Gather", .domain = ""};
    const mc_call call = {
        .node = &node, .version = 13, .in = ins, .ins = 2, .out = outs, .outs = 1};
    const mc_op *op = mc_op_find("", "Gather", 13);
    cr_assert(op->flags & MC_OP_LAZY_0);
    cr_assert_eq(op->shape(&call, &err), MC_OK, "%s", err.text);
    out.data = got;
    cr_assert_eq(op->run(&call, &err), MC_OK, "%s", err.text);
    cr_expect_eq(rows.elements, 8);
    for (int i = 0; i < 8; i++) cr_expect_eq(got[i], (float)(i < 4 ? 3999996 + i : 20 + i - 4));
}

Test(gather_elements, takes_one_for_each_index)
{
    op_case c = op_begin("GatherElements", 13);
    op_int(&c, "axis", 1);
    op_in(&c, op_f32(2, (int64_t[]){4, 3}, table));
    op_in(&c, op_i64(2, (int64_t[]){2, 2}, (int64_t[]){0, -1, 2, 1}));
    op_run(&c);
    op_expect_f32(&c, 0, 2, (int64_t[]){2, 2}, (float[]){0, 2, 12, 11}, 0);
    op_end(&c);

    c = op_begin("GatherElements", 13);
    op_int(&c, "axis", 1);
    op_in(&c, op_f32(2, (int64_t[]){4, 3}, table));
    op_in(&c, op_i64(2, (int64_t[]){5, 1}, (int64_t[]){0, 0, 0, 0, 0}));
    expect_refusal(&c, MC_E_FORMAT, "dimension 0 of the indices is 5 (at most 4 are there)");
}

Test(gather_nd, takes_slices_by_tuples_and_batches)
{
    op_case c = op_begin("GatherND", 13);
    op_in(&c, op_f32(2, (int64_t[]){4, 3}, table));
    op_in(&c, op_i64(2, (int64_t[]){2, 2}, (int64_t[]){3, -1, 0, 1}));
    op_run(&c);
    op_expect_f32(&c, 0, 1, (int64_t[]){2}, (float[]){32, 1}, 0);
    op_end(&c);

    c = op_begin("GatherND", 13);
    op_int(&c, "batch_dims", 1);
    op_in(&c, op_f32(3, (int64_t[]){2, 2, 3}, table));
    op_in(&c, op_i64(2, (int64_t[]){2, 1}, (int64_t[]){1, 0}));
    op_run(&c);
    op_expect_f32(&c, 0, 2, (int64_t[]){2, 3}, (float[]){10, 11, 12, 20, 21, 22}, 0);
    op_end(&c);
}

Test(gather_nd, refuses_tuples_that_are_too_long_or_out_of_range)
{
    op_case c = op_begin("GatherND", 13);
    op_in(&c, op_f32(2, (int64_t[]){4, 3}, table));
    op_in(&c, op_i64(1, (int64_t[]){3}, (int64_t[]){0, 0, 0}));
    expect_refusal(&c, MC_E_FORMAT, "the last dimension of the indices is 3 (1 to 2 are allowed)");
    c = op_begin("GatherND", 13);
    op_in(&c, op_f32(2, (int64_t[]){4, 3}, table));
    op_in(&c, op_i64(1, (int64_t[]){2}, (int64_t[]){0, 3}));
    expect_refusal(&c, MC_E_FORMAT, "indices[1] is 3, outside [-3, 3)");
    c = op_begin("GatherND", 13);
    op_int(&c, "batch_dims", INT64_MAX);
    op_in(&c, op_f32(2, (int64_t[]){4, 3}, table));
    op_in(&c, op_i64(1, (int64_t[]){1}, (int64_t[]){0}));
    expect_refusal(&c, MC_E_FORMAT, "batch_dims is 9223372036854775807");
}

Test(scatter_elements, reduces_in_every_way)
{
    static const struct {
        const char *how;
        float want[3];
    } t[] = {{"none", {1, 9, 3}},
             {"add", {1, 2 + 9 + -7, 3}},
             {"mul", {1, 2 * -7 * 9, 3}},
             {"max", {1, 9, 3}},
             {"min", {1, -7, 3}}};
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        op_case c = op_begin("ScatterElements", 18);
        op_text(&c, "reduction", t[i].how);
        op_in(&c, op_f32(1, (int64_t[]){3}, (float[]){1, 2, 3}));
        op_in(&c, op_i64(1, (int64_t[]){2}, (int64_t[]){1, -2}));
        op_in(&c, op_f32(1, (int64_t[]){2}, (float[]){-7, 9}));
        op_run(&c);
        op_expect_f32(&c, 0, 1, (int64_t[]){3}, t[i].want, 0);
        op_end(&c);
    }
}

Test(scatter_elements, wraps_whole_numbers_and_keeps_nan)
{
    const int8_t data[] = {127, -128}, more[] = {1, -1}, want[] = {-128, 127};
    const mc_nd must = op_nd(MC_I8, 1, (int64_t[]){2}, want);
    op_case c = op_begin("ScatterElements", 18);
    op_text(&c, "reduction", "add");
    op_in(&c, op_nd(MC_I8, 1, (int64_t[]){2}, data));
    op_in(&c, op_i64(1, (int64_t[]){2}, (int64_t[]){0, 1}));
    op_in(&c, op_nd(MC_I8, 1, (int64_t[]){2}, more));
    op_run(&c);
    op_expect_same(&c, 0, &must);
    op_end(&c);

    c = op_begin("ScatterElements", 18);
    op_text(&c, "reduction", "max");
    op_in(&c, op_f32(1, (int64_t[]){2}, (float[]){NAN, 1}));
    op_in(&c, op_i64(1, (int64_t[]){2}, (int64_t[]){0, 1}));
    op_in(&c, op_f32(1, (int64_t[]){2}, (float[]){5, NAN}));
    op_run(&c);
    op_expect_f32(&c, 0, 1, (int64_t[]){2}, (float[]){NAN, NAN}, 0);
    op_end(&c);
}

Test(scatter_elements, refuses_updates_of_another_shape_and_unknown_reductions)
{
    op_case c = op_begin("ScatterElements", 18);
    op_in(&c, op_f32(1, (int64_t[]){3}, (float[]){1, 2, 3}));
    op_in(&c, op_i64(1, (int64_t[]){2}, (int64_t[]){0, 1}));
    op_in(&c, op_f32(1, (int64_t[]){1}, (float[]){5}));
    expect_refusal(&c, MC_E_FORMAT, "dimension 0 of the updates is 1 (2 is needed)");
    c = op_begin("ScatterElements", 16);
    op_text(&c, "reduction", "max");
    op_in(&c, op_f32(1, (int64_t[]){3}, (float[]){1, 2, 3}));
    op_in(&c, op_i64(1, (int64_t[]){1}, (int64_t[]){0}));
    op_in(&c, op_f32(1, (int64_t[]){1}, (float[]){5}));
    expect_refusal(&c, MC_E_FORMAT, "reduction is 'max' (none, add, mul)");
}

Test(scatter_nd, writes_slices)
{
    op_case c = op_begin("ScatterND", 18);
    op_text(&c, "reduction", "add");
    op_in(&c, op_f32(2, (int64_t[]){4, 3}, table));
    op_in(&c, op_i64(2, (int64_t[]){2, 1}, (int64_t[]){-1, 3}));
    op_in(&c, op_f32(2, (int64_t[]){2, 3}, (float[]){1, 2, 3, 100, 200, 300}));
    op_run(&c);
    op_expect_f32(&c, 0, 2, (int64_t[]){4, 3},
                  (float[]){0, 1, 2, 10, 11, 12, 20, 21, 22, 131, 233, 335}, 0);
    op_end(&c);

    c = op_begin("ScatterND", 18);
    op_in(&c, op_f32(2, (int64_t[]){4, 3}, table));
    op_in(&c, op_i64(2, (int64_t[]){1, 1}, (int64_t[]){4}));
    op_in(&c, op_f32(2, (int64_t[]){1, 3}, table));
    expect_refusal(&c, MC_E_FORMAT, "indices[0] is 4, outside [-4, 4)");
    c = op_begin("ScatterND", 18);
    op_in(&c, op_f32(2, (int64_t[]){4, 3}, table));
    op_in(&c, op_i64(2, (int64_t[]){1, 1}, (int64_t[]){0}));
    op_in(&c, op_f32(2, (int64_t[]){1, 2}, table));
    expect_refusal(&c, MC_E_FORMAT, "dimension 1 of the updates is 2 (3 is needed)");
}
