/* A graph before and after the passes, run on the same inputs: built node by node, or read from
 * tests/golden/passes. Failures are failed assertions.
 *
 *     pass_case p = pass_begin();
 *     mc_id x = pass_in(&p, "x", MC_F32, 2, (int64_t[]){3, 4});
 *     pass_out(&p, pass_op(&p, "Mul", 13, x, pass_op(&p, "Sigmoid", 13, x, MC_NONE)));
 *     pass_prepare(&p);
 *     cr_expect_eq(pass_count(&p, "SiLU"), 1);
 *     pass_same(&p, 1e-6);
 *     pass_end(&p);
 */
#ifndef MC_TESTS_SUPPORT_PASS_CASE_H
#define MC_TESTS_SUPPORT_PASS_CASE_H

#include "core/exec.h"
#include "core/model.h"
#include "core/passes.h"
#include "formats/npy.h"

enum { PASS_CASE_INPUTS = 4 };

typedef struct {
    mc_region region;
    mc_graph *before, *after;
    mc_nd input[PASS_CASE_INPUTS];
    mc_model model; /* of goldens */
    mc_map arrays;
    mc_npz npz;
    const float *y; /* of goldens: the output as it must be, */
    size_t y_count;
    mc_err err;
} pass_case;

pass_case pass_begin(void);
void pass_end(pass_case *p);

/* tests/golden/passes/NAME_EXPORTER.onnx and NAME.npz, through all passes. */
pass_case pass_golden(const char *name, const char *exporter);

/* ---- building p->before ---- */

/* Floats get numbers between -1.875 and 1.875, BOOL turns; an unknown dimension (-1) gets 3. */
mc_id pass_in(pass_case *p, const char *name, mc_dtype dtype, int ndim, const int64_t *dim);

/* Constants: one number of so many dimensions of 1; a ramp of numbers, no two neighbours equal. */
mc_id pass_number(pass_case *p, int ndim, float value);
mc_id pass_ramp(pass_case *p, mc_dtype dtype, int ndim, const int64_t *dim);
mc_id pass_ints(pass_case *p, size_t n, const int64_t *value);

/* A node of ai.onnx with one or two inputs (b MC_NONE), or more. Attributes may follow. */
mc_id pass_op(pass_case *p, const char *op, int version, mc_id a, mc_id b);
mc_id pass_op_of(pass_case *p, const char *op, int version, const mc_id *in, size_t ins);
void pass_out(pass_case *p, mc_id value);

/* ---- looking ---- */

void pass_prepare(pass_case *p);
void pass_prepare_without(pass_case *p, const char *const *skip);

/* Nodes of that operator, of any domain, in p->after; the first of them. */
size_t pass_count(const pass_case *p, const char *op);
const mc_node *pass_find(const pass_case *p, const char *op);

/* All outputs, and p->y: |after - before| <= tolerance * max(1, |before|); inputs and outputs have
 * the names that they had, every origin is a node. */
void pass_same(pass_case *p, double tolerance);

#endif
