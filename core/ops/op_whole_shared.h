/* Products of matrices of small whole numbers, exact. */
#ifndef MC_CORE_OPS_OP_WHOLE_SHARED_H
#define MC_CORE_OPS_OP_WHOLE_SHARED_H

#include "core/arena.h"
#include "core/linalg.h"
#include "core/op.h"

#include <stdint.h>

/* c[m x n] = a[m x k] b[k x n] for whole numbers of at most 255 in size, as f32; c wraps around at
 * 32 bits, as int32 would. */
mc_status mc_whole_product(size_t m, size_t n, size_t k, mc_gemm_operand a, mc_gemm_operand b,
                           int32_t *c, mc_arena scratch, mc_err *err);
size_t mc_whole_scratch(void);

/* Stacks of matrices that are multiplied as numpy.matmul does. */
typedef struct {
    size_t m, n, k;
    size_t products; /* matrices of the result */
    int ndim;        /* of the stack */
    size_t dim[MC_MAX_DIMS];
    size_t a[MC_MAX_DIMS], b[MC_MAX_DIMS]; /* matrices from one to the next, 0 where repeated */
} mc_stack;

/* The result's dimensions (its dtype stays), as MatMul has them. */
mc_status mc_stack_shape(const mc_call *call, const mc_nd *a, const mc_nd *b, mc_nd *out,
                         mc_err *err);

/* Of shapes that are known and fit. */
mc_stack mc_stack_of(const mc_nd *a, const mc_nd *b);

/* Which matrices of a and b make product i. */
void mc_stack_at(const mc_stack *s, size_t i, size_t *at_a, size_t *at_b);

#endif
