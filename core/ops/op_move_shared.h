/* What operators that move elements share: copies of strided blocks, lists of parameters, axes. */
#ifndef MC_CORE_OPS_OP_MOVE_SHARED_H
#define MC_CORE_OPS_OP_MOVE_SHARED_H

#include "core/op.h"

enum { MC_MOVE_DIMS = 2 * MC_MAX_DIMS };

/* A block of elements that lies with strides of its own, in elements, on both sides; stride 0 of
 * `from` repeats. Dimensions stand outermost first, in the order in which `to` lies. */
typedef struct {
    int ndim;
    int64_t dim[MC_MOVE_DIMS], from[MC_MOVE_DIMS], to[MC_MOVE_DIMS];
} mc_move;

/* Adds an inner dimension; joins it with the one before where both sides run on. */
void mc_move_add(mc_move *m, int64_t dim, int64_t from, int64_t to);

/* `width`: bytes of an element. The sides must not overlap. */
void mc_move_run(const mc_move *m, size_t width, const void *from, void *to);

/* Elements from one to the next along each dimension of a contiguous tensor. */
void mc_move_strides(const mc_nd *t, int64_t stride[MC_MAX_DIMS]);

/* Whole numbers of an attribute, or of an input that replaced it in a later version. */
typedef struct {
    bool given; /* is it there? */
    bool known; /* are its numbers? True when it is not there */
    int n;      /* how many; -1: not known */
    int64_t at[MC_MOVE_DIMS];
} mc_op_list;

/* `attr` NULL: from input `input`. */
mc_status mc_op_list_read(const mc_call *call, const char *attr, size_t input, mc_op_list *out,
                          mc_err *err);

/* Makes entries of `list` axes of a tensor of `ndim` dimensions, counted from the front. Refuses
 * those out of range and repeated ones. `what` is "axes" in messages. */
mc_status mc_op_list_axes(mc_op_list *list, int ndim, const char *what, mc_err *err);

/* An axis attribute or one number of axes: allowed is [-ndim, ndim). */
mc_status mc_op_axis(int64_t axis, int ndim, const char *what, int *out, mc_err *err);

/* Sets output i, unless nobody wants it, to dimensions that are not known; nor is their number when
 * ndim is below 0. */
mc_status mc_op_unknown(const mc_call *call, size_t i, mc_dtype dtype, int ndim, mc_err *err);

/* Refuses a rank that is known and not what the operator needs. */
mc_status mc_op_rank(const mc_call *call, size_t input, int least, int most, mc_err *err);

/* out[0] = in[0], element by element: nothing to do where they share memory. */
mc_status mc_op_copy(const mc_call *call, mc_err *err);

#endif
