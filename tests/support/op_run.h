/* One operator at work: a graph of one node, run by the executor and compared.
 *
 *     op_case c = op_begin("Softmax", 13);
 *     op_int(&c, "axis", -1);
 *     op_in(&c, op_f32(2, (int64_t[]){2, 3}, x));
 *     op_run(&c);
 *     op_expect_f32(&c, 0, 2, (int64_t[]){2, 3}, y, 1e-6);
 *     op_end(&c);
 */
#ifndef MC_TESTS_SUPPORT_OP_RUN_H
#define MC_TESTS_SUPPORT_OP_RUN_H

#include "core/exec.h"

enum { OP_CASE_INPUTS = 24, OP_CASE_OUTPUTS = 8 };

typedef struct {
    mc_region region;
    mc_graph *graph;
    mc_node node;
    mc_id in[OP_CASE_INPUTS], out[OP_CASE_OUTPUTS];
    mc_nd value[OP_CASE_INPUTS];  /* of graph inputs, in their order */
    size_t values;
    mc_attr attr[24];
    mc_exec *exec;
    mc_run *run;
    mc_err err;
} op_case;

/* A tensor over the caller's numbers; of small floats they are f32, of 4 bits one a byte. */
mc_nd op_nd(mc_dtype dtype, int ndim, const int64_t *dim, const void *data);
mc_nd op_f32(int ndim, const int64_t *dim, const float *data);
mc_nd op_i64(int ndim, const int64_t *dim, const int64_t *data);

/* An operator of ai.onnx with one output; op_outputs asks for more. */
op_case op_begin(const char *name, int version);
op_case op_begin_in(const char *domain, const char *name, int version);
void op_outputs(op_case *c, size_t outs);

void op_in(op_case *c, mc_nd value);   /* the next input, given at run time */
void op_const(op_case *c, mc_nd value);/* the next input, a constant of the graph */
void op_no_input(op_case *c);          /* the next input is left out */

void op_int(op_case *c, const char *name, int64_t value);
void op_ints(op_case *c, const char *name, size_t n, const int64_t *value);
void op_float(op_case *c, const char *name, float value);
void op_floats(op_case *c, const char *name, size_t n, const float *value);
void op_text(op_case *c, const char *name, const char *value);
void op_texts(op_case *c, const char *name, size_t n, const char *const *value);

/* Runs it twice; both times must give the same bytes. The test fails when it fails. */
void op_run(op_case *c);

/* Runs it and gives the status, the message in c->err. */
mc_status op_try(op_case *c);

const mc_nd *op_out(const op_case *c, size_t i);

/* |got - want| <= tolerance * max(1, |want|), NaN only where NaN is wanted; shape and dtype F32. */
void op_expect_f32(const op_case *c, size_t i, int ndim, const int64_t *dim, const float *want,
                   double tolerance);

/* Whole numbers of any width and BOOL, as they are. */
void op_expect_i64(const op_case *c, size_t i, int ndim, const int64_t *dim, const int64_t *want);

/* Bits of any dtype. */
void op_expect_same(const op_case *c, size_t i, const mc_nd *want);

void op_end(op_case *c);

#endif
