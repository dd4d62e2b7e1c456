/* Schemes in words and in JSON. */
#include "core/scheme.h"

#include <stdio.h>
#include <string.h>

double mc_scheme_bits(const mc_weight_spec *w)
{
    if (w->form != MC_FORM_QUANTIZED) return (double)mc_dtype_about(w->dtype)->bits;
    return w->grid.levels->base3 ? 1.58 : (double)w->grid.levels->bits;
}

static const char *offset_name(const mc_grid *grid)
{
    switch (grid->offset) {
    case MC_OFFSET_ZERO: return "integer zero";
    case MC_OFFSET_FREE: return "offset";
    case MC_OFFSET_NONE: break;
    }
    return grid->restricted ? "symmetric restricted" : "symmetric";
}

void mc_scheme_group(const mc_weight_spec *w, char text[MC_SCHEME_TEXT])
{
    text[0] = '\0';
    if (w->form != MC_FORM_QUANTIZED) return;
    if (w->group == 0)
        snprintf(text, MC_SCHEME_TEXT, "tensor");
    else if (w->group == w->cols)
        snprintf(text, MC_SCHEME_TEXT, "channel");
    else
        snprintf(text, MC_SCHEME_TEXT, "%llu", (unsigned long long)w->group);
}

void mc_scheme_text(const mc_weight_spec *w, char text[MC_SCHEME_TEXT])
{
    if (w->form != MC_FORM_QUANTIZED) {
        snprintf(text, MC_SCHEME_TEXT, "kept as %s", mc_dtype_about(w->dtype)->name);
        return;
    }
    const mc_grid *grid = &w->grid;
    const char *dtype = mc_dtype_about(grid->scale_dtype)->name;
    const bool numbered = w->group != 0 && w->group != w->cols;
    char group[MC_SCHEME_TEXT], scales[64];
    mc_scheme_group(w, group);
    if (grid->sub_bits)
        snprintf(scales, sizeof scales, "%u-bit scales under %s for %u groups", grid->sub_bits,
                 dtype, grid->super);
    else
        snprintf(scales, sizeof scales, "%s scales%s", dtype,
                 grid->tensor_scaled ? " under one F32" : "");
    snprintf(text, MC_SCHEME_TEXT, "%s, %s%.40s, %s, %s", grid->levels->name,
             numbered ? "group " : "", group, offset_name(grid), scales);
}

void mc_scheme_json(const mc_weight_spec *w, mc_json_out *out)
{
    const mc_grid *grid = &w->grid;
    mc_json_text(out, "levels", grid->levels->name);
    mc_json_num(out, "bits", mc_scheme_bits(w));
    mc_json_u64(out, "group", mc_weight_code_shape(w).group);
    mc_json_text(out, "granularity",
                 w->group == 0         ? "tensor"
                 : w->group == w->cols ? "channel"
                                       : "group");
    mc_json_text(out, "offset", offset_name(grid));
    mc_json_text(out, "scale_dtype", mc_dtype_about(grid->scale_dtype)->name);
    if (grid->tensor_scaled) mc_json_bool(out, "tensor_scale", true);
    if (grid->sub_bits) {
        mc_json_u64(out, "sub_scale_bits", grid->sub_bits);
        mc_json_u64(out, "super_groups", grid->super);
    }
}
