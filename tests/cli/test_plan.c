/* The plan: every rule of pipeline_plan.h, on a model of a few tensors without data. */
#include "cli/pipeline_plan.h"
#include "cli/commands.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 8 };

static mc_tensor tensors[MOST];
static mc_model model;
static mc_options options;
static mc_region memory;
static mc_plan plan;
static mc_err err;

static void set_up(void)
{
    memset(&model, 0, sizeof model);
    model.tensor = tensors;
    options = (mc_options){.weight_bits = 4, .activation_bits = 8};
    cr_assert_eq(mc_region_open(&memory, 1 << 22, &err), MC_OK);
}

static void tear_down(void)
{
    mc_region_close(&memory);
}

static void add(const char *name, mc_dtype dtype, int ndim, const uint64_t *dim)
{
    mc_tensor *t = &tensors[model.tensors++];
    *t = (mc_tensor){.name = name, .dtype = dtype, .ndim = ndim, .count = 1};
    for (int d = 0; d < ndim; d++) {
        t->dim[d] = dim[d];
        t->count *= dim[d];
    }
    t->bytes = t->count * mc_dtype_about(dtype)->bits / 8;
}

static void add_2d(const char *name, uint64_t rows, uint64_t cols)
{
    add(name, MC_BF16, 2, (const uint64_t[]){rows, cols});
}

static mc_status make(void)
{
    return mc_plan_make(&model, &options, 2, &memory.arena, &plan, &err);
}

static void make_well(void)
{
    cr_assert_eq(make(), MC_OK, "%s", err.text);
}

TestSuite(plan, .init = set_up, .fini = tear_down);

Test(plan, gives_the_famous_line_its_defaults)
{
    add_2d("layers.0.q_proj.weight", 64, 128);
    make_well();
    const mc_weight_spec *w = &plan.weight[0];
    cr_expect_eq(w->form, MC_FORM_QUANTIZED);
    cr_expect_str_eq(w->grid.levels->name, "int4");
    cr_expect_eq(w->group, 32);
    cr_expect_eq(w->grid.offset, MC_OFFSET_NONE);
    cr_expect_not(w->grid.restricted);
    cr_expect_eq(w->grid.scale_dtype, MC_F16);
    cr_expect_str_eq(plan.entry[0].setup->method->name, "mse");
    cr_expect_eq(plan.container.numerics.activation_bits, 8);
    cr_expect_eq(plan.container.numerics.activation_mode, MCPK_ACT_DYNAMIC);
    cr_expect_eq(plan.container.numerics.kv_bits, 16);
}

Test(plan, gives_a_row_one_scale_from_5_bits_on)
{
    add_2d("w", 64, 128);
    options.weight_bits = 5;
    make_well();
    cr_expect_eq(plan.weight[0].group, 128);
}

Test(plan, gives_embedding_head_and_router_8_bits)
{
    add_2d("lm_head.weight", 64, 128);
    add_2d("model.embed_tokens.weight", 64, 128);
    add_2d("model.layers.0.mlp.gate.weight", 64, 128);
    make_well();
    for (size_t i = 0; i < 3; i++) {
        cr_expect_eq(plan.weight[i].grid.levels->bits, 8);
        cr_expect_eq(plan.weight[i].group, 128, "one scale a row");
    }
    cr_expect_str_eq(plan.entry[0].why, "output head");
}

Test(plan, keeps_what_is_no_matrix_of_real_numbers)
{
    add("a.norm.weight", MC_BF16, 2, (const uint64_t[]){4, 32});
    add("b", MC_BF16, 1, (const uint64_t[]){32});
    add("c", MC_I64, 2, (const uint64_t[]){4, 32});
    add("d", MC_F4, 2, (const uint64_t[]){4, 32});
    add("e", MC_BF16, 2, (const uint64_t[]){0, 32});
    add("f", MC_F32, 0, NULL);
    make_well();
    const char *const why[] = {
        "norm or bias", "one dimension", "I64 is not a real number", "F4 has no conversion here",
        "no elements",  "a scalar"};
    for (size_t i = 0; i < 6; i++) {
        cr_expect_eq(plan.weight[i].form, MC_FORM_DENSE);
        cr_expect_str_eq(plan.entry[i].why, why[i]);
    }
    cr_expect_eq(plan.quantized, 0);
}

Test(plan, halves_a_group_that_does_not_divide_the_row)
{
    add_2d("w", 4, 48);
    make_well();
    cr_expect_eq(plan.weight[0].group, 16);
    cr_expect(plan.entry[0].fallback);
    cr_expect_str_eq(plan.entry[0].why, "group 16: 32 does not divide a row of 48");
}

Test(plan, falls_back_to_8_bits_when_no_group_fits)
{
    add_2d("w", 4, 27);
    make_well();
    cr_expect_eq(plan.weight[0].grid.levels->bits, 8);
    cr_expect_eq(plan.weight[0].group, 27);
    cr_expect_str_eq(plan.entry[0].why,
                     "8 bits, one scale a row: no group from 32 down to 8 divides 27");
}

Test(plan, refuses_to_fall_back_when_told_so)
{
    add_2d("layers.0.w", 4, 48);
    options.no_fallback = true;
    cr_expect_eq(make(), MC_E_UNSUPPORTED);
    cr_expect_str_eq(err.text, "tensor \"layers.0.w\": a group of 32 does not divide a row of 48");
}

Test(plan, obeys_keep_and_the_last_bits_rule_that_matches)
{
    static const mc_bits_rule rules[] = {{"proj", 3}, {"q_proj", 6}, {"k_proj", 16}};
    static const char *const keep[] = {"v_proj"};
    add_2d("k_proj", 4, 64);
    add_2d("o_proj", 4, 64);
    add_2d("q_proj", 4, 64);
    add_2d("v_proj", 4, 64);
    options.bits = rules;
    options.bits_rules = 3;
    options.keep = keep;
    options.keeps = 1;
    make_well();
    cr_expect_str_eq(plan.entry[0].why, "--bits k_proj=16");
    cr_expect_eq(plan.weight[1].grid.levels->bits, 3);
    cr_expect_eq(plan.weight[2].grid.levels->bits, 6);
    cr_expect_str_eq(plan.entry[3].why, "--keep v_proj");
}

Test(plan, refuses_bits_for_a_tensor_without_conversion)
{
    static const mc_bits_rule rules[] = {{"ids", 8}};
    add("ids", MC_I32, 2, (const uint64_t[]){4, 64});
    options.bits = rules;
    options.bits_rules = 1;
    cr_expect_eq(make(), MC_E_UNSUPPORTED);
    cr_expect_str_eq(err.text,
                     "tensor \"ids\": --bits ids asks for 8 bits, but I32 is not a real number");
}

Test(plan, picks_ternary_and_binary_by_their_bits)
{
    add_2d("w", 4, 64);
    options.weight_bits = 1.58;
    make_well();
    cr_expect_str_eq(plan.entry[0].setup->method->name, "ternary");
    options.weight_bits = 1;
    make_well();
    cr_expect_str_eq(plan.entry[0].setup->method->name, "binary");
}

Test(plan, gives_hqq_a_free_offset_and_other_tensors_mse)
{
    add_2d("lm_head.weight", 4, 64);
    add_2d("w", 4, 64);
    options.method = "hqq";
    options.weight_bits = 3;
    make_well();
    cr_expect_eq(plan.weight[1].grid.offset, MC_OFFSET_FREE);
    cr_expect_str_eq(plan.entry[1].setup->method->name, "hqq");
}

Test(plan, says_why_a_method_does_not_take_the_scheme)
{
    add_2d("w", 4, 64);
    options.method = "hqq";
    options.symmetry = MC_SYM;
    cr_expect_eq(make(), MC_E_USAGE);
    cr_expect_str_eq(
        err.text,
        "tensor \"w\": method hqq: it optimises the zero, so it needs an asymmetric grid");
}

Test(plan, counts_what_the_container_will_take)
{
    add_2d("w", 64, 128);
    make_well();
    cr_expect_eq(plan.quantized, 64 * 128);
    cr_expect_eq(plan.quantized_bytes, 64 * 128 / 2 + 64 * 4 * 2);
    cr_expect_eq(plan.source_bytes, 64 * 128 * 2);
}

Test(plan, cuts_the_same_pieces_for_any_thread_count)
{
    add_2d("w", 4096, 256);
    make_well();
    const size_t works = plan.works;
    uint64_t rows = 0;
    for (size_t i = 0; i < plan.works; i++) {
        cr_expect_eq(plan.work[i].first, rows);
        rows += plan.work[i].count;
    }
    cr_expect_eq(rows, 4096);
    cr_expect_eq(mc_plan_make(&model, &options, 7, &memory.arena, &plan, &err), MC_OK);
    cr_expect_eq(plan.works, works);
}

Test(plan, knows_no_unknown_target)
{
    add_2d("w", 4, 64);
    options.target = "toaster";
    cr_expect_eq(make(), MC_E_USAGE);
    cr_expect_str_eq(err.text, "--target toaster: no such target; `mcompress targets` lists them");
}
