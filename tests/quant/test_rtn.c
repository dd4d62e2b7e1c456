/* Round to nearest: equal to numpy's, and within half a step. */
#include "quant_case.h"
#include "rtn_golden.h"

Test(rtn, equals_the_reference_in_every_code_and_scale)
{
    float w[GOLDEN_GROUPS * GOLDEN_GROUP];
    for (size_t i = 0; i < GOLDEN_GROUPS * GOLDEN_GROUP; i++)
        w[i] = (float)golden_weight[i] / (float)GOLDEN_UNIT;

    for (size_t k = 0; k < sizeof golden / sizeof golden[0]; k++) {
        mc_grid grid =
            int_grid(golden[k].bits,
                     golden[k].mode == GOLDEN_ASYM ? MC_OFFSET_ZERO : MC_OFFSET_NONE, MC_F16);
        grid.restricted = golden[k].mode == GOLDEN_RESTRICTED;
        quant_result r = quantize((quant_case){.setup = "rtn",
                                               .grid = grid,
                                               .w = w,
                                               .rows = 2,
                                               .cols = GOLDEN_GROUPS / 2 * GOLDEN_GROUP,
                                               .group = GOLDEN_GROUP});
        char text[128];
        grid_text(&grid, text);
        for (size_t g = 0; g < GOLDEN_GROUPS; g++) {
            const unsigned char bytes[2] = {(unsigned char)golden[k].scale[g],
                                            (unsigned char)(golden[k].scale[g] >> 8)};
            float scale;
            mc_to_f32(MC_F16, bytes, &scale, 1);
            cr_expect_eq(r.q.params[g].scale, scale, "%s: group %zu: %g, not %g", text, g,
                         (double)r.q.params[g].scale, (double)scale);
            cr_expect_eq(r.q.params[g].zero, golden[k].zero[g], "%s: group %zu", text, g);
            for (size_t i = g * GOLDEN_GROUP; i < (g + 1) * GOLDEN_GROUP; i++)
                cr_expect_eq(r.q.code[i], golden[k].code[i], "%s: code[%zu] is %u, not %u", text, i,
                             r.q.code[i], golden[k].code[i]);
        }
        close_result(&r);
    }
}

/* Half a step, except beyond the ends of the range: there the grid's own last values hold. */
Test(rtn, is_never_off_by_more_than_half_a_step)
{
    enum { N = 1024, GROUP = 32 };
    static float w[N];
    fill_weights(w, N, 3);
    for (unsigned bits = 1; bits <= 8; bits++)
        for (int offset = MC_OFFSET_NONE; offset <= MC_OFFSET_FREE; offset++) {
            const mc_grid grid = int_grid(bits, (mc_offset)offset, MC_F16);
            mc_err err = {0};
            if (mc_grid_check(&grid, &err) != MC_OK) continue;
            quant_result r = quantize((quant_case){
                .setup = "rtn", .grid = grid, .w = w, .rows = 1, .cols = N, .group = GROUP});
            for (size_t i = 0; i < N; i++) {
                const mc_params p = r.q.params[i / GROUP];
                const float v = mc_qmat_value(&r.q, 0, i), off = fabsf(v - w[i]);
                const float low = mc_grid_value(&grid, p, 0);
                const float high = mc_grid_value(&grid, p, mc_grid_codes(&grid) - 1);
                const bool outside = w[i] < low || w[i] > high;
                if (outside) cr_expect(v == (w[i] < low ? low : high), "%u bits: w[%zu]", bits, i);
                cr_expect(outside || off <= 0.5f * p.scale * (1.0f + 0x1p-10f),
                          "%u bits: w[%zu] = %g is off by %g, step %g", bits, i, (double)w[i],
                          (double)off, (double)p.scale);
            }
            close_result(&r);
        }
}

Test(rtn, says_which_row_has_a_scale_that_does_not_fit)
{
    float w[3 * 16];
    fill_weights(w, 48, 5);
    w[2 * 16 + 4] = 1e6f;
    const quant_case c = {.setup = "rtn",
                          .grid = int_grid(2, MC_OFFSET_NONE, MC_F16),
                          .w = w,
                          .rows = 3,
                          .cols = 16,
                          .group = 8};
    quant_result r = try_quantize(c);
    cr_expect_eq(r.status, MC_E_UNSUPPORTED);
    cr_expect(strncmp(r.err.text, "method rtn: row 2: ", 19) == 0, "%s", r.err.text);
    close_result(&r);
}
