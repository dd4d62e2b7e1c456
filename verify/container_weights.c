/* A container as the executor's source of weights: tensors are found by name, numbers are decoded
 * from the file's bytes. */
#include "verify/verify_data.h"

/* The weight of that name, or MC_NO_NAME. */
static uint32_t find(const mc_container_weights *w, const char *name)
{
    return mc_names_find(&w->names, name);
}

static mc_status read_weights(const mc_weights *from, const mc_tensor *t, uint64_t first,
                              uint64_t count, float *out, mc_err *err)
{
    const mc_container_weights *w = (const mc_container_weights *)from;
    const uint32_t i = find(w, t->name);
    if (i ==
        MC_NO_NAME) { /* a constant that the graph brings along, not one of the model's weights */
        mc_to_f32(t->dtype, t->data + first * (mc_dtype_about(t->dtype)->bits / 8), out,
                  (size_t)count);
        return MC_OK;
    }
    return mc_container_to_f32(w->container, i, first, count, out, err);
}

static const mc_weight_spec *quantized(const mc_weights *from, const mc_tensor *t)
{
    const mc_container_weights *w = (const mc_container_weights *)from;
    const uint32_t i = find(w, t->name);
    const mc_weight_spec *spec = i == MC_NO_NAME ? NULL : &w->container->weight[i];
    return spec && spec->form == MC_FORM_QUANTIZED ? spec : NULL;
}

static mc_status read_codes(const mc_weights *from, const mc_tensor *t, size_t row, size_t rows,
                            mc_arena *mem, mc_qmat *out, mc_err *err)
{
    const mc_container_weights *w = (const mc_container_weights *)from;
    const uint32_t i = find(w, t->name);
    if (i == MC_NO_NAME)
        return mc_fail(err, MC_E_INTERNAL, "%s: holds no weight \"%s\"", w->container->path,
                       t->name);
    return mc_container_qmat(w->container, i, row, rows, mem, out, err);
}

mc_status mc_container_weights_open(const mc_container *c, mc_arena *mem, mc_container_weights *out,
                                    mc_err *err)
{
    *out = (mc_container_weights){
        .weights = {.read = read_weights, .quantized = quantized, .codes = read_codes},
        .container = c,
    };
    MC_TRY(mc_names_open(&out->names, c->weights, mem, err));
    for (size_t i = 0; i < c->weights; i++)
        MC_TRY(mc_names_put(&out->names, c->weight[i].name, (uint32_t)i, mem, err));
    return MC_OK;
}
