/* Which tensor of the source belongs to which weight of the container, and that they can be
 * compared. */
#include "verify/report.h"

#include <string.h>

enum { SHAPE_TEXT = 256 };

static bool same_shape(const mc_weight_spec *spec, const mc_tensor *t)
{
    if (spec->ndim != t->ndim) return false;
    for (int d = 0; d < t->ndim; d++)
        if (spec->dim[d] != t->dim[d]) return false;
    return true;
}

static mc_status check_pair(const mc_weight_spec *spec, const mc_tensor *t, mc_err *err)
{
    const bool rewritten = spec->edited && spec->form == MC_FORM_DENSE && spec->dtype == MC_F32 &&
                           mc_dtype_about(t->dtype)->to_f32;
    if (spec->dtype != t->dtype && !rewritten)
        return mc_fail(err, MC_E_MISMATCH,
                       "tensor \"%s\": %s in the container, %s in the reference", spec->name,
                       mc_dtype_about(spec->dtype)->name, mc_dtype_about(t->dtype)->name);
    if (!same_shape(spec, t)) {
        mc_tensor stored = {.ndim = spec->ndim};
        memcpy(stored.dim, spec->dim, sizeof stored.dim);
        char here[SHAPE_TEXT], there[SHAPE_TEXT];
        mc_tensor_shape_text(&stored, here, sizeof here);
        mc_tensor_shape_text(t, there, sizeof there);
        return mc_fail(err, MC_E_MISMATCH,
                       "tensor \"%s\": shape %s in the container, %s in the reference", spec->name,
                       here, there);
    }
    if (spec->form == MC_FORM_QUANTIZED && !mc_dtype_about(t->dtype)->to_f32)
        return mc_fail(
            err, MC_E_MISMATCH,
            "tensor \"%s\": quantized in the container, but %s has no values to compare with",
            spec->name, mc_dtype_about(t->dtype)->name);
    if (spec->form != MC_FORM_QUANTIZED && spec->form != MC_FORM_DENSE)
        return mc_fail(err, MC_E_UNSUPPORTED, "tensor \"%s\": verify cannot measure the form %s",
                       spec->name, mc_form_name(spec->form));
    return MC_OK;
}

mc_status mc_verify_match(const mc_model *reference, const mc_container *c, mc_arena *mem,
                          const mc_tensor ***pair, mc_err *err)
{
    const mc_tensor **found = MC_NEW(mem, const mc_tensor *, c->weights ? c->weights : 1);
    mc_arena loan = *mem;
    bool *met = MC_NEW(&loan, bool, reference->tensors ? reference->tensors : 1);
    if (!found || !met) return mc_no_room(err, "the pairs of tensors");

    for (size_t i = 0; i < c->weights; i++) {
        found[i] = mc_model_find(reference, c->weight[i].name);
        if (!found[i])
            return mc_fail(err, MC_E_MISMATCH, "%s: tensor \"%s\" is not in the reference %s",
                           c->path, c->weight[i].name, reference->path);
        if (check_pair(&c->weight[i], found[i], err) != MC_OK) return mc_wrap(err, "%s", c->path);
        met[found[i] - reference->tensor] = true;
    }
    for (size_t i = 0; i < reference->tensors; i++)
        if (!met[i])
            return mc_fail(err, MC_E_MISMATCH, "%s: tensor \"%s\" of the reference %s is missing",
                           c->path, reference->tensor[i].name, reference->path);
    *pair = found;
    return MC_OK;
}
