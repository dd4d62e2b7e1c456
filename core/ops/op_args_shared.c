/* Arguments of a node: inputs that may be missing or not known yet, checked against what the
 * operator allows. */
#include "core/ops/op_args_shared.h"

#include "core/ckd.h"

bool mc_arg_is_f32(const mc_nd *t)
{
    return t->kind == MC_ND_TENSOR && t->dtype != MC_DTYPE_NONE &&
           mc_nd_storage(t->dtype) == MC_F32;
}

bool mc_arg_is_f64(const mc_nd *t)
{
    return t->kind == MC_ND_TENSOR && t->dtype == MC_F64;
}

mc_status mc_arg_floats(const mc_call *call, size_t first, size_t end, mc_err *err)
{
    const mc_nd *leader = NULL;
    for (size_t i = first; i < end; i++) {
        const mc_nd *t = mc_arg_in(call, i);
        if (!t || (t->kind == MC_ND_TENSOR && t->dtype == MC_DTYPE_NONE)) continue;
        if (!mc_arg_is_f32(t) && !mc_arg_is_f64(t)) return mc_op_refuse_dtype(call, i, err);
        if (leader && mc_arg_is_f64(t) != mc_arg_is_f64(leader))
            return mc_op_refuse_dtype(call, i, err);
        leader = t;
    }
    return MC_OK;
}

mc_status mc_arg_dtype(const mc_call *call, size_t i, const mc_dtype *allowed, mc_err *err)
{
    const mc_nd *t = mc_arg_in(call, i);
    if (!t || (t->kind == MC_ND_TENSOR && t->dtype == MC_DTYPE_NONE)) return MC_OK;
    for (; t->kind == MC_ND_TENSOR && *allowed != MC_DTYPE_NONE; allowed++) {
        if (t->dtype == *allowed) return MC_OK;
    }
    return mc_op_refuse_dtype(call, i, err);
}

static mc_status refuse_dims(const mc_call *call, size_t i, int ndim, const int64_t *want,
                             mc_err *err)
{
    char found[MC_ND_TEXT], allowed[MC_ND_TEXT];
    mc_nd shape = {.kind = MC_ND_TENSOR, .dtype = call->in[i]->dtype, .ndim = ndim};
    for (int d = 0; d < ndim; d++) shape.dim[d] = want[d];
    return mc_fail(err, MC_E_FORMAT, "input %zu is %s; allowed is %s", i,
                   mc_nd_show(call->in[i], found), mc_nd_show(&shape, allowed));
}

mc_status mc_arg_dims(const mc_call *call, size_t i, int ndim, int64_t *want, mc_err *err)
{
    const mc_nd *t = mc_arg_in(call, i);
    if (!t || t->ndim < 0) return MC_OK;
    if (t->ndim != ndim) return refuse_dims(call, i, ndim, want, err);
    for (int d = 0; d < ndim; d++) {
        if (t->dim[d] < 0) continue;
        if (want[d] < 0) want[d] = t->dim[d];
        if (want[d] != t->dim[d]) return refuse_dims(call, i, ndim, want, err);
    }
    return MC_OK;
}

mc_status mc_arg_vector(const mc_call *call, size_t i, int64_t *count, mc_err *err)
{
    const mc_nd *t = mc_arg_in(call, i);
    if (t && t->ndim == 0 && (*count == 1 || *count < 0)) {
        *count = 1;
        return MC_OK;
    }
    return mc_arg_dims(call, i, 1, count, err);
}

mc_status mc_arg_set(const mc_call *call, size_t i, mc_dtype dtype, int ndim, const int64_t *dim,
                     mc_err *err)
{
    mc_nd *out = mc_arg_out(call, i);
    if (!out) return MC_OK;
    out->kind = MC_ND_TENSOR;
    return mc_nd_set(out, dtype, ndim, dim, err);
}

mc_status mc_arg_named_dtype(const mc_call *call, const char *attr, mc_dtype *out, mc_err *err)
{
    const int64_t number = mc_node_int(call->node, attr, 0);
    *out = mc_dtype_of_onnx(number);
    if (number == 0 || mc_nd_width(*out) > 0) return MC_OK;
    return mc_fail(err, MC_E_UNSUPPORTED,
                   "%s is %lld, which is not the number of a type that can be computed with", attr,
                   (long long)number);
}

size_t mc_arg_bytes(size_t count, size_t size)
{
    size_t bytes;
    if (!mc_mul_size(count, size, &bytes)) return SIZE_MAX;
    return mc_arg_plus(bytes, 128);
}

size_t mc_arg_plus(size_t a, size_t b)
{
    size_t sum;
    return mc_add_size(a, b, &sum) ? sum : SIZE_MAX;
}
