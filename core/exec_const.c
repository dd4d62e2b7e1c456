/* Constants of the executor: where their numbers come from and how they become tensors in memory.
 * Real numbers come from the weights that the caller gave, whole numbers always from the file. */
#include "core/exec_impl.h"

#include "core/ckd.h"

#include <string.h>

static bool from_weights(const mc_exec *exec, mc_dtype dtype)
{
    return exec->options.weights && mc_dtype_about(dtype)->is_float;
}

mc_status mc_exec_describe(const mc_tensor *tensor, mc_nd *nd, mc_err *err)
{
    int64_t dim[MC_MAX_DIMS] = {0};
    for (int i = 0; i < tensor->ndim && i < MC_MAX_DIMS; i++) {
        if (tensor->dim[i] > INT64_MAX)
            return mc_fail(err, MC_E_FORMAT, "'%s': dimension %d is too large", tensor->name, i);
        dim[i] = (int64_t)tensor->dim[i];
    }
    if (mc_nd_width(tensor->dtype) == 0 || tensor->dtype == MC_STRING)
        return mc_fail(err, MC_E_UNSUPPORTED, "constant '%s' is %s, which cannot be computed with",
                       tensor->name, mc_dtype_about(tensor->dtype)->name);
    *nd = (mc_nd){.kind = MC_ND_TENSOR};
    if (mc_nd_set(nd, tensor->dtype, tensor->ndim, dim, err) != MC_OK)
        return mc_wrap(err, "'%s'", tensor->name);

    uint64_t bits;
    if (!mc_mul_u64(nd->count, mc_dtype_about(tensor->dtype)->bits, &bits) ||
        tensor->bytes < mc_ceil_div(bits, 8) || (nd->count > 0 && !tensor->data))
        return mc_fail(err, MC_E_FORMAT, "constant '%s' has fewer bytes than its shape says",
                       tensor->name);
    return MC_OK;
}

static bool little_endian(void)
{
    const uint16_t one = 1;
    unsigned char first;
    memcpy(&first, &one, 1);
    return first == 1;
}

/* F32 at its alignment; also bytes that mean themselves. */
bool mc_exec_view(const mc_exec *exec, const mc_tensor *tensor, mc_nd *nd)
{
    if (from_weights(exec, tensor->dtype) || tensor->count == 0) return false;
    const bool bytes = tensor->dtype == MC_U8 || tensor->dtype == MC_I8;
    const bool floats =
        tensor->dtype == MC_F32 && little_endian() && (uintptr_t)tensor->data % sizeof(float) == 0;
    if (!bytes && !floats) return false;
    nd->data = (void *)(uintptr_t)tensor->data; /* nothing writes to constants */
    return true;
}

static mc_status read_weights(const mc_exec *exec, const mc_tensor *tensor, mc_nd *nd, mc_err *err)
{
    const mc_weights *w = exec->options.weights;
    if (tensor->dtype != MC_F64) return w->read(w, tensor, 0, nd->count, nd->data, err);

    /* They come as f32 into the second half, from where they are widened front to back. */
    unsigned char *to = nd->data;
    const unsigned char *from = to + nd->count * sizeof(float);
    MC_TRY(
        w->read(w, tensor, 0, nd->count, (float *)(void *)(to + nd->count * sizeof(float)), err));
    for (size_t i = 0; i < nd->count; i++) {
        float x;
        memcpy(&x, from + i * sizeof x, sizeof x);
        const double wide = (double)x;
        memcpy(to + i * sizeof wide, &wide, sizeof wide);
    }
    return MC_OK;
}

mc_status mc_exec_load(const mc_exec *exec, const mc_tensor *tensor, mc_heap *heap, mc_slot *slot,
                       mc_err *err)
{
    *slot = (mc_slot){0};
    MC_TRY(mc_exec_describe(tensor, &slot->nd, err));
    slot->block = mc_heap_take(heap, slot->nd.count * mc_nd_width(tensor->dtype));
    if (!slot->block) return mc_fail(err, MC_E_BUDGET, "no room for constant '%s'", tensor->name);
    slot->nd.data = mc_heap_at(heap, slot->block);
    slot->there = true;
    const mc_status status =
        from_weights(exec, tensor->dtype)
            ? read_weights(exec, tensor, &slot->nd, err)
            : mc_nd_decode(tensor->dtype, tensor->data, 0, slot->nd.count, slot->nd.data, err);
    if (status != MC_OK) {
        mc_slot_clear(heap, slot);
        return mc_wrap(err, "'%s'", tensor->name);
    }
    return MC_OK;
}

mc_status mc_exec_read_lazy(const mc_lazy *lazy, uint64_t first, uint64_t count, float *out,
                            mc_err *err)
{
    const mc_lazy_tensor *of = (const mc_lazy_tensor *)(const void *)lazy;
    const mc_tensor *t = of->tensor;
    if (first > t->count || count > t->count - first)
        return mc_fail(err, MC_E_INTERNAL, "'%s': read beyond its end", t->name);
    if (from_weights(of->exec, t->dtype)) {
        const mc_weights *w = of->exec->options.weights;
        return w->read(w, t, first, count, out, err);
    }
    return mc_nd_decode(t->dtype, t->data, first, count, out, err);
}
