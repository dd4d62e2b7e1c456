/* Sizes and places follow from the specs alone. */
#include "tests/support/container_builder.h"

#include "formats/target.h"

#include <criterion/criterion.h>

static mc_region memory;
static mc_err err;

static void open_all(void)
{
    cr_assert_eq(mc_region_open(&memory, 1 << 24, &err), MC_OK);
}

static void close_all(void)
{
    mc_region_close(&memory);
}

TestSuite(container_layout, .init = open_all, .fini = close_all);

static const mc_numerics plain = {.activation_bits = 16, .kv_bits = 16};

static mc_weight_spec int4_of(uint64_t rows, uint64_t cols, uint64_t group)
{
    return (mc_weight_spec){.name = "w",
                            .form = MC_FORM_QUANTIZED,
                            .dtype = MC_F32,
                            .ndim = 2,
                            .dim = {rows, cols},
                            .rows = rows,
                            .cols = cols,
                            .grid = {.levels = mc_levels_int(4), .scale_dtype = MC_F16},
                            .group = group};
}

static mc_status lay_out(const mc_weight_spec *w, uint32_t align, mc_layout *out)
{
    static mc_container_spec spec;
    spec = (mc_container_spec){.weight = w,
                               .weights = 1,
                               .manifest_bytes = 10,
                               .align = align,
                               .target = 1,
                               .numerics = plain};
    return mc_container_layout(&spec, &memory.arena, out, &err);
}

Test(container_layout, aligns_every_section_and_leaves_no_more_than_that)
{
    for (uint32_t align = 64; align <= 4096; align *= 2) {
        mc_layout layout;
        const mc_weight_spec w = int4_of(7, 96, 32);
        cr_assert_eq(lay_out(&w, align, &layout), MC_OK, "%s", err.text);
        uint64_t end = layout.front_bytes;
        for (size_t i = 0; i < layout.parts; i++) {
            const uint64_t offset = layout.part[i].offset;
            cr_assert_eq(offset % align, 0);
            cr_assert(offset >= end && offset - end < align);
            end = offset + layout.part[i].stored;
        }
        cr_assert_eq(layout.file_bytes, end);
        cr_assert_eq(layout.front_bytes % align, 0);
    }
}

Test(container_layout, gives_a_weight_the_bytes_its_shape_demands)
{
    mc_layout layout;
    const mc_weight_spec w = int4_of(7, 96, 32);
    cr_assert_eq(lay_out(&w, 64, &layout), MC_OK);
    const mcpk_part *part = &layout.part[layout.first_part[0]];
    cr_assert_eq(layout.first_part[1] - layout.first_part[0], 2);
    cr_assert_eq(part[0].role, MCPK_ROLE_CODES);
    cr_assert_eq(part[0].encoding, MCPK_ENCODING_PACKED + 4);
    cr_assert_eq(part[0].stored, 7 * 96 / 2);
    cr_assert_eq(part[1].role, MCPK_ROLE_SCALE);
    cr_assert_eq(part[1].encoding, MC_F16);
    cr_assert_eq(part[1].stored, 7 * 3 * 2);
}

Test(container_layout, agrees_with_the_bits_per_weight_of_the_plan)
{
    static container_builder b;
    container_builder_begin(&b, 1);
    container_builder_everything(&b);
    for (size_t i = 0; i < b.weights; i++) {
        mc_layout layout;
        mc_weight_spec w = b.weight[i];
        w.name = b.name[i];
        cr_assert_eq(lay_out(&w, 64, &layout), MC_OK, "%s", err.text);
        uint64_t bytes = 0;
        for (uint32_t p = layout.first_part[0]; p < layout.first_part[1]; p++)
            bytes += layout.part[p].stored;
        cr_assert_eq(bytes, mc_weight_bytes(&w), "%s", w.name);
    }
}

Test(container_layout, refuses_what_a_container_cannot_say)
{
    mc_layout layout;
    mc_weight_spec w = int4_of(7, 96, 36);
    cr_expect_eq(lay_out(&w, 64, &layout), MC_E_UNSUPPORTED);
    cr_expect_str_eq(err.text, "weight \"w\": a group of 36 does not divide a row of 96");
    w = int4_of(0, 96, 32);
    cr_expect_eq(lay_out(&w, 64, &layout), MC_E_UNSUPPORTED);
    cr_expect_str_eq(err.text, "weight \"w\": an empty weight cannot be quantized");
    w = int4_of(UINT64_C(1) << 40, UINT64_C(1) << 40, 32);
    cr_expect_eq(lay_out(&w, 64, &layout), MC_E_UNSUPPORTED);
    w = int4_of(7, 96, 32);
    w.dim[0] = 8;
    cr_expect_eq(lay_out(&w, 64, &layout), MC_E_UNSUPPORTED);
    cr_expect_str_eq(err.text,
                     "weight \"w\": a shape of 2 dimensions does not hold the 7 x 96 elements");
    w = int4_of(7, 96, 32);
    w.form = MC_FORM_STACKED;
    cr_expect_eq(lay_out(&w, 64, &layout), MC_E_UNSUPPORTED);
    cr_expect_str_eq(err.text, "weight \"w\": stacked weights cannot be packed");
    w = int4_of(7, 96, 32);
    cr_expect_eq(lay_out(&w, 96, &layout), MC_E_USAGE);
    cr_expect_str_eq(err.text, "alignment 96 is not a power of two from 64 to 4096");
    cr_expect_eq(lay_out(&w, 32, &layout), MC_E_USAGE);
    cr_expect_eq(lay_out(&w, 8192, &layout), MC_E_USAGE);
}

Test(container_layout, starts_slabs_at_whole_bytes)
{
    static container_builder b;
    container_builder_begin(&b, 1);
    container_builder_everything(&b);
    for (size_t i = 0; i < b.weights; i++) {
        const mc_weight_spec *w = &b.weight[i];
        if (w->form != MC_FORM_QUANTIZED) continue;
        const size_t step = mc_pack_row_step(w);
        const mc_weight_shape shape = mc_weight_code_shape(w);
        const size_t groups = shape.cols / shape.group;
        cr_assert(step >= 1 && step <= 40);
        if (w->grid.levels->count == 3)
            cr_assert_eq(step * shape.cols % 5, 0);
        else
            cr_assert_eq(step * shape.cols * w->grid.levels->bits % 8, 0);
        if (w->grid.offset == MC_OFFSET_ZERO)
            cr_assert_eq(step * groups * w->grid.levels->bits % 8, 0);
        cr_assert_eq(step * groups * w->grid.sub_bits % 8, 0);
    }
}

Test(target, generic_is_listed_and_found)
{
    const mc_target *generic = mc_target_find("generic");
    cr_assert_not_null(generic);
    cr_expect_eq(mc_target_at(0), generic);
    cr_expect_eq(generic->align, 64);
    cr_expect(generic->float_offset && generic->negative_scale);
    cr_expect_null(mc_target_find("gener"));
    size_t n = 0;
    for (; mc_target_at(n); n++)
        for (size_t k = 0; k < n; k++) cr_expect_neq(mc_target_at(n)->id, mc_target_at(k)->id);
    cr_expect_geq(n, 1);
}
