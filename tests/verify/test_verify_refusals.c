/* What verify refuses, with the message: containers and references that do not belong together,
 * numbers that are none. */
#include "tests/support/measured_pair.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static container_builder builder; /* too large for a stack */
static measured_pair p;
static mc_report report;

static void measure(void)
{
    cr_assert_eq(measured_pair_run(&p, 2, &report), MC_OK, "%s", p.err.text);
}

static void expect_refused(mc_status status, const char *message)
{
    cr_expect_eq(measured_pair_run(&p, 2, &report), status);
    cr_expect_str_eq(p.err.text, message);
}

static void put_f32(size_t weight, size_t i, float x)
{
    mc_tensor *t = measured_pair_reference(&p, weight);
    unsigned char *bytes = measured_pair_edit(&p, t);
    mc_from_f32(t->dtype, &x, bytes + i * mc_dtype_about(t->dtype)->bits / 8, 1);
    measured_pair_use(&p, t, bytes);
}

static mc_grid int4(void)
{
    return (mc_grid){.levels = mc_levels_int(4), .scale_dtype = MC_F16};
}

static void open_two(void)
{
    container_builder_begin(&builder, 9);
    container_builder_dense(&builder, MC_BF16, (const int[]){40, 3, -1});
    container_builder_quantized(&builder, int4(), 400, 64, 32);
    builder.weight[1].dtype = MC_F32;
    measured_pair_open(&p, &builder, true);
}

Test(verify_refusals, a_carried_tensor_that_differs_is_named_with_its_first_byte)
{
    open_two();
    unsigned char *bytes = measured_pair_edit(&p, measured_pair_reference(&p, 0));
    const unsigned found = bytes[100];
    bytes[100] ^= 0xff;
    bytes[200] ^= 0xff;
    measured_pair_use(&p, measured_pair_reference(&p, 0), bytes);
    char wanted[200];
    snprintf(wanted, sizeof wanted,
             "c.bin: tensor \"layer0.weight\": byte 100 is %02x, %02x in the reference, though "
             "it is carried unchanged",
             found, found ^ 0xff);
    expect_refused(MC_E_MISMATCH, wanted);
    measured_pair_close(&p);
}

Test(verify_refusals, bytes_are_counted_over_all_pieces)
{
    container_builder_begin(&builder, 10);
    container_builder_dense(&builder, MC_BF16, (const int[]){1500000, -1});
    measured_pair_open(&p, &builder, true);
    unsigned char *bytes = measured_pair_edit(&p, measured_pair_reference(&p, 0));
    bytes[2900001] ^= 1;
    measured_pair_use(&p, measured_pair_reference(&p, 0), bytes);
    cr_expect_eq(measured_pair_run(&p, 2, &report), MC_E_MISMATCH);
    cr_expect(strstr(p.err.text, "byte 2900001 is"), "%s", p.err.text);
    measured_pair_close(&p);
}

Test(verify_refusals, the_last_byte_of_a_tensor_counts)
{
    static const mc_dtype dtypes[] = {MC_F32, MC_F6_E2M3, MC_F4, MC_BOOL};
    container_builder_begin(&builder, 11);
    for (size_t i = 0; i < 4; i++)
        container_builder_dense(&builder, dtypes[i], (const int[]){3, 10, -1});
    measured_pair_open(&p, &builder, true);
    for (size_t i = 0; i < 4; i++) {
        mc_tensor *t = measured_pair_reference(&p, i);
        unsigned char *bytes = measured_pair_edit(&p, t);
        bytes[t->bytes - 1] ^= 0x80;
        measured_pair_use(&p, t, bytes);
        cr_expect_eq(measured_pair_run(&p, 1, &report), MC_E_MISMATCH, "%s",
                     mc_dtype_about(dtypes[i])->name);
        bytes = measured_pair_edit(&p, t);
        bytes[t->bytes - 1] ^= 0x80;
        measured_pair_use(&p, t, bytes);
    }
    measure();
    measured_pair_close(&p);
}

Test(verify_refusals, compressed_sections_are_measured_alike)
{
    container_builder_begin(&builder, 12);
    container_builder_little(&builder);
    measured_pair_open(&p, &builder, true);
    measure();
    const double wanted = report.mean_tensor_sqnr_db;
    measured_pair_close(&p);
    builder.compress = true;
    measured_pair_open(&p, &builder, true);
    measure();
    cr_expect_eq(report.mean_tensor_sqnr_db, wanted);
    measured_pair_close(&p);
}

Test(verify_refusals, a_tensor_missing_on_either_side_is_named)
{
    open_two();
    p.model.tensors = 1;
    expect_refused(MC_E_MISMATCH, "c.bin: tensor \"layer1.weight\" is not in the reference ref");
    p.model.tensors = 2;
    p.model.tensor[2] = p.model.tensor[1];
    p.model.tensor[2].name = "other.weight";
    p.model.tensors = 3;
    expect_refused(MC_E_MISMATCH, "c.bin: tensor \"other.weight\" of the reference ref is missing");
    measured_pair_close(&p);
}

Test(verify_refusals, another_shape_or_dtype_is_named_with_both)
{
    open_two();
    mc_tensor *t = measured_pair_reference(&p, 1);
    t->dim[0] = 64;
    t->dim[1] = 400;
    expect_refused(
        MC_E_MISMATCH,
        "c.bin: tensor \"layer1.weight\": shape [400, 64] in the container, [64, 400] in the "
        "reference");
    t->dim[0] = 400;
    t->ndim = 1;
    expect_refused(
        MC_E_MISMATCH,
        "c.bin: tensor \"layer1.weight\": shape [400, 64] in the container, [400] in the "
        "reference");
    t->dtype = MC_F16;
    expect_refused(MC_E_MISMATCH,
                   "c.bin: tensor \"layer1.weight\": F32 in the container, F16 in the reference");
    measured_pair_close(&p);
}

Test(verify_refusals, nan_and_infinity_in_the_source_are_named)
{
    open_two();
    put_f32(1, 20000, NAN);
    expect_refused(MC_E_FORMAT, "ref.safetensors: tensor \"layer1.weight\": element 20000 is nan");
    put_f32(1, 70, -INFINITY);
    expect_refused(MC_E_FORMAT,
                   "ref.safetensors: tensor \"layer1.weight\": element 70 is infinite");
    measured_pair_close(&p);
}

Test(verify_refusals, nan_in_a_carried_tensor_is_carried)
{
    container_builder_begin(&builder, 9);
    container_builder_dense(&builder, MC_F8_E4M3, (const int[]){5000, -1});
    measured_pair_open(&p, &builder, true);
    cr_assert_not_null(memchr(p.source.map.data, 0x7f, 5000), "a nan among the bytes");
    measure();
    cr_expect_eq(report.tensor[0].sqnr_db, (double)INFINITY);
    measured_pair_close(&p);
}

Test(verify_refusals, a_container_that_decodes_to_nan_is_refused)
{
    size_t bytes;
    open_two();
    measured_pair_close(&p);
    open_two();
    unsigned char *image = container_builder_image(&builder, &bytes);
    for (size_t i = 0; i < p.container.parts; i++)
        if (p.container.part[i].role == MCPK_ROLE_SCALE) /* group 600: element 19200 */
            memcpy(image + p.container.part[i].offset + 1200, "\x00\x7e", 2);
    container_builder_repair(image, bytes);
    mc_container_close(&p.container);
    const mc_status status =
        mc_container_open_map(container_builder_map(image, bytes), "c.bin", &p.container, &p.err);
    free(image);
    cr_assert_eq(status, MC_OK, "%s", p.err.text);
    /* names of the reference lie in the first container */
    for (size_t i = 0; i < 2; i++) p.model.tensor[i].name = p.container.weight[i].name;
    expect_refused(MC_E_FORMAT, "c.bin: tensor \"layer1.weight\": decoded element 19200 is nan");
    measured_pair_close(&p);
}
