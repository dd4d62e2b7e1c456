/* One node whose weight is on a grid and whose input is quantized: sites in integers against sites
 * that round and compute in floats. Failures are failed assertions. */
#ifndef MC_TESTS_SUPPORT_SITE_CASE_H
#define MC_TESTS_SUPPORT_SITE_CASE_H

#include "core/act.h"
#include "tests/support/coded_weights.h"

typedef struct {
    const char *domain, *op;
    int version;
    int x_dims, w_dims, b_dims; /* b_dims -1: no bias */
    int64_t x[5], w[5], b[2];
    bool transposed;
    int64_t trans_b, group, strides[3], dilations[3], pads[6]; /* 0: as they are by default */
} site_case;

typedef struct {
    mc_region region;
    mc_graph *g;
    mc_tensor weight;
    mc_nd x;
    mc_sites sites;
    coded_weights *weights;
    mc_act_spec act; /* of its input; what it points to is the test's */
    mc_err err;
} site_bench;

/* group as in coded_weights_make(); the input is drawn with heavy tails, its act dynamic, of 8
 * bits. Ends with mc_region_close(&b.region). */
site_bench site_open(const site_case *c, const mc_grid *grid, size_t group);

/* What the graph gives; outputs are copied. */
const float *site_run(site_bench *b, mc_exec_numerics numerics, const mc_nd *x, size_t *n);

/* Rounding and integers give the same but for f32 rounding and that of integer biases; `integer`:
 * whether it is one. Closes the bench. */
void site_expect_equal(site_bench *b, const char *op, size_t group, bool integer);

/* Grids on whole numbers: symmetric, with a zero point, with an offset, two-level. */
mc_grid site_grid(unsigned bits, mc_offset offset, unsigned sub_bits);

#endif
