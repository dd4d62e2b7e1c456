/* Weights that transforms have changed together with others: nothing is said about their errors,
 * no gate on such errors passes, and what is in them is looked at all the same. */
#include "core/bytes.h"
#include "tests/support/measured_pair.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static container_builder builder; /* too large for a stack */
static measured_pair p;
static mc_report report;

/* Two quantized, a dense BF16, a dense F32. */
static void build(bool first, bool second, bool dense)
{
    const mc_grid grid = {.levels = mc_levels_int(4), .scale_dtype = MC_F16};
    container_builder_begin(&builder, 21);
    container_builder_quantized(&builder, grid, 8, 64, 32);
    container_builder_quantized(&builder, grid, 8, 32, 32);
    container_builder_dense(&builder, MC_BF16, (const int[]){12, -1});
    container_builder_dense(&builder, MC_F32, (const int[]){12, -1});
    builder.weight[0].edited = first;
    builder.weight[1].edited = second;
    builder.weight[3].edited = dense;
    measured_pair_open(&p, &builder, true);
}

static void measure(void)
{
    cr_assert_eq(measured_pair_run(&p, 2, &report), MC_OK, "%s", p.err.text);
}

static bool passes(const char *text)
{
    mc_gate gate;
    mc_report judged = report;
    mc_arena mem = p.memory.arena;
    cr_assert_eq(mc_gate_parse(text, &mem, &gate, &p.err), MC_OK, "%s", p.err.text);
    cr_assert_eq(mc_gates_apply(&gate, 1, &mem, &judged, &p.err), MC_OK);
    return judged.pass;
}

static const char *const gates[] = {"min_tensor_sqnr_db>=-1000", "mean_tensor_sqnr_db>=-1000",
                                    "max_abs_error<=1e30", "max_relative_error<=1e30",
                                    "clipped<=1"};

Test(verify_edited, without_one_all_is_measured)
{
    build(false, false, false);
    measure();
    cr_expect_eq(report.edited, 0);
    cr_expect(isfinite(report.tensor[0].sqnr_db) && isfinite(report.min_tensor_sqnr_db));
    cr_expect_not_null(report.worst_tensor);
    for (size_t i = 0; i < sizeof gates / sizeof *gates; i++)
        cr_expect(passes(gates[i]), "%s", gates[i]);
    measured_pair_close(&p);
}

/* The least of what is left would look better than the model is. */
Test(verify_edited, one_is_enough_for_no_figure_over_all)
{
    build(true, false, false);
    measure();
    const mc_tensor_report *edited = &report.tensor[0], *other = &report.tensor[1];
    cr_expect_eq(report.quantized, 2);
    cr_expect_eq(report.edited, 1);
    cr_expect(isnan(edited->sqnr_db) && isnan(edited->relative_error) && isnan(edited->cosine));
    cr_expect(isnan(edited->max_abs_error) && isnan(edited->clipped));
    cr_expect(isfinite(edited->zeros) && isfinite(edited->entropy_bits));
    cr_expect(isfinite(other->sqnr_db) && isfinite(other->clipped));
    cr_expect(isnan(report.min_tensor_sqnr_db) && isnan(report.mean_tensor_sqnr_db));
    cr_expect(isnan(report.max_abs_error) && isnan(report.max_relative_error));
    cr_expect(isnan(report.clipped));
    cr_expect_null(report.worst_tensor);
    for (size_t i = 0; i < sizeof gates / sizeof *gates; i++)
        cr_expect_not(passes(gates[i]), "%s", gates[i]);
    cr_expect(passes("zeros<=1"));
    cr_expect(passes("bits_per_weight<=5"));
    measured_pair_close(&p);
}

/* Histogram and zeros are the codes' own. */
Test(verify_edited, counts_codes_and_zeros_as_ever)
{
    build(false, false, false);
    measure();
    const mc_report plain = report;
    mc_tensor_report *before = malloc(2 * sizeof *before);
    cr_assert_not_null(before);
    memcpy(before, plain.tensor, 2 * sizeof *before);
    measured_pair_close(&p);
    build(true, true, false);
    measure();
    cr_expect_eq(report.edited, 2);
    cr_expect_eq(report.zeros, plain.zeros);
    for (size_t i = 0; i < 2; i++) {
        cr_expect_eq(report.tensor[i].zeros, before[i].zeros);
        cr_expect_eq(report.tensor[i].bytes, before[i].bytes);
        cr_expect_arr_eq(report.tensor[i].histogram, before[i].histogram,
                         sizeof before[i].histogram);
    }
    free(before);
    measured_pair_close(&p);
}

/* Another first element of the dense F32. */
static void put_dense(float x)
{
    size_t bytes;
    unsigned char *image = container_builder_image(&builder, &bytes);
    const unsigned char *entry = image + mc_load_u64le(image + MCPK_AT_INDEX);
    while (mc_load_u32le(entry + MCPK_P_WEIGHT) != 3) entry += MCPK_PART_BYTES;
    memcpy(image + mc_load_u64le(entry), &x, sizeof x);
    container_builder_repair(image, bytes);
    mc_container_close(&p.container);
    cr_assert_eq(
        mc_container_open_map(container_builder_map(image, bytes), "c.bin", &p.container, &p.err),
        MC_OK, "%s", p.err.text);
    free(image);
}

/* The source has BF16; what became of it is F32, and other numbers. */
Test(verify_edited, dense_ones_may_have_become_f32)
{
    build(false, false, true);
    mc_tensor *t = measured_pair_reference(&p, 3);
    t->dtype = MC_BF16;
    t->bytes = 24;
    measure();
    cr_expect_eq(report.edited, 0); /* of the quantized ones */
    cr_expect(isfinite(report.min_tensor_sqnr_db));
    cr_expect(isnan(report.tensor[3].sqnr_db));
    t->dtype = MC_I64; /* but not from whole numbers */
    cr_expect_eq(measured_pair_run(&p, 1, &report), MC_E_MISMATCH);
    cr_expect_str_eq(p.err.text,
                     "c.bin: tensor \"layer3.weight\": F32 in the container, I64 in the "
                     "reference");
    measured_pair_close(&p);
}

Test(verify_edited, dense_ones_must_be_finite)
{
    build(false, false, true);
    put_dense(0.0f);
    measure();
    cr_expect_geq(report.tensor[3].zeros, 1.0 / 12.0);
    put_dense((float)NAN);
    cr_expect_eq(measured_pair_run(&p, 1, &report), MC_E_FORMAT);
    cr_expect_str_eq(p.err.text, "c.bin: tensor \"layer3.weight\": element 0 is nan");
    put_dense(-(float)INFINITY);
    cr_expect_eq(measured_pair_run(&p, 1, &report), MC_E_FORMAT);
    cr_expect_str_eq(p.err.text, "c.bin: tensor \"layer3.weight\": element 0 is infinite");
    measured_pair_close(&p);
}

Test(verify_edited, shapes_must_be_the_references)
{
    build(true, false, true);
    measured_pair_reference(&p, 3)->dim[0] = 13;
    cr_expect_eq(measured_pair_run(&p, 1, &report), MC_E_MISMATCH);
    cr_expect_str_eq(p.err.text,
                     "c.bin: tensor \"layer3.weight\": shape [12] in the container, [13] "
                     "in the reference");
    measured_pair_close(&p);
}
