/* Arguments of a node: what operators with many optional inputs ask again and again. Messages name
 * the input, what was found and what is allowed; the executor puts the node in front. */
#ifndef MC_CORE_OPS_OP_ARGS_SHARED_H
#define MC_CORE_OPS_OP_ARGS_SHARED_H

#include "core/op.h"

static inline const mc_nd *mc_arg_in(const mc_call *call, size_t i)
{
    return i < call->ins ? call->in[i] : NULL;
}

static inline mc_nd *mc_arg_out(const mc_call *call, size_t i)
{
    return i < call->outs ? call->out[i] : NULL;
}

/* Does it lie as f32, or as f64? Neither while the dtype is not known. */
bool mc_arg_is_f32(const mc_nd *t);
bool mc_arg_is_f64(const mc_nd *t);

/* MC_E_UNSUPPORTED unless inputs [first, end) are left out, of unknown dtype, or tensors of floats
 * that all lie alike (all f64, or none). */
mc_status mc_arg_floats(const mc_call *call, size_t first, size_t end, mc_err *err);

/* MC_E_UNSUPPORTED unless input i is left out, of unknown dtype, or of a dtype in the list, which
 * MC_DTYPE_NONE ends. */
mc_status mc_arg_dtype(const mc_call *call, size_t i, const mc_dtype *allowed, mc_err *err);

/* MC_E_FORMAT unless input i is left out, of unknown rank, or of `ndim` dimensions that agree with
 * want[]; where that is -1 (not known yet) it becomes what the input says. */
mc_status mc_arg_dims(const mc_call *call, size_t i, int ndim, int64_t *want, mc_err *err);

/* MC_E_FORMAT unless input i is left out, not known, or holds `count` elements (-1: any; becomes
 * what the input says) in one dimension; with one element also in none. */
mc_status mc_arg_vector(const mc_call *call, size_t i, int64_t *count, mc_err *err);

/* Sets output i unless nobody wants it. */
mc_status mc_arg_set(const mc_call *call, size_t i, mc_dtype dtype, int ndim, const int64_t *dim,
                     mc_err *err);

/* The dtype that an attribute names by its number in ONNX; MC_DTYPE_NONE when it is not there or 0.
 * MC_E_UNSUPPORTED when tensors of it cannot be held. */
mc_status mc_arg_named_dtype(const mc_call *call, const char *attr, mc_dtype *out, mc_err *err);

/* Bytes of scratch for `count` objects of `size`, with room for alignment; SIZE_MAX when that is
 * too much. Sums of such sizes: mc_arg_plus. */
size_t mc_arg_bytes(size_t count, size_t size);
size_t mc_arg_plus(size_t a, size_t b);

#endif
