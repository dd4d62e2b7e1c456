/* Resize and Upsample: which sizes, scales and modes a node asks for. op_resample_shared.c does the
 * rest.
 *
 * Version 10 says nothing of coordinates: they are asymmetric, and the nearest element is the one
 * before (upsampling) or behind (downsampling), as the models of its time were made for. */
#include "core/ops/op_args_shared.h"
#include "core/ops/op_move_shared.h"
#include "core/ops/op_resample_shared.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* ---- modes ---- */

typedef struct {
    const char *name;
    int value, since, until; /* versions [since, until) */
} choice;

/* The value of a text attribute; what is allowed stands in the list, which a NULL name ends. */
static mc_status read_choice(const mc_call *call, const char *attr, const choice *list, int *out,
                             mc_err *err)
{
    const char *asked = mc_node_text(call->node, attr, list[0].name);
    for (; list->name; list++) {
        if (strcmp(asked, list->name) != 0 || call->version < list->since ||
            call->version >= list->until)
            continue;
        *out = list->value;
        return MC_OK;
    }
    return mc_fail(err, MC_E_FORMAT, "%s is '%.40s', which version %d of %s does not know", attr,
                   asked, call->version, call->node->op);
}

static const choice modes[] = {{"nearest", MC_RESAMPLE_NEAREST, 1, INT32_MAX},
                               {"bilinear", MC_RESAMPLE_LINEAR, 1, 7},
                               {"linear", MC_RESAMPLE_LINEAR, 7, INT32_MAX},
                               {"cubic", MC_RESAMPLE_CUBIC, 11, INT32_MAX},
                               {0}};

static const choice places[] = {{"half_pixel", MC_AT_HALF_PIXEL, 11, INT32_MAX},
                                {"half_pixel_symmetric", MC_AT_HALF_PIXEL_SYMMETRIC, 19, INT32_MAX},
                                {"pytorch_half_pixel", MC_AT_PYTORCH_HALF_PIXEL, 11, INT32_MAX},
                                {"align_corners", MC_AT_ALIGN_CORNERS, 11, INT32_MAX},
                                {"asymmetric", MC_AT_ASYMMETRIC, 11, INT32_MAX},
                                {"tf_half_pixel_for_nn", MC_AT_TF_HALF_PIXEL_FOR_NN, 11, 13},
                                {"tf_crop_and_resize", MC_AT_TF_CROP_AND_RESIZE, 11, INT32_MAX},
                                {0}};

static const choice nears[] = {{"round_prefer_floor", MC_NEAR_ROUND_PREFER_FLOOR, 11, INT32_MAX},
                               {"round_prefer_ceil", MC_NEAR_ROUND_PREFER_CEIL, 11, INT32_MAX},
                               {"floor", MC_NEAR_FLOOR, 11, INT32_MAX},
                               {"ceil", MC_NEAR_CEIL, 11, INT32_MAX},
                               {0}};

static mc_status read_modes(const mc_call *call, mc_resample *r, mc_err *err)
{
    int mode = 0, at = MC_AT_ASYMMETRIC, near = MC_NEAR_UPSAMPLE;
    MC_TRY(read_choice(call, "mode", modes, &mode, err));
    if (call->version >= 11) {
        MC_TRY(read_choice(call, "coordinate_transformation_mode", places, &at, err));
        MC_TRY(read_choice(call, "nearest_mode", nears, &near, err));
        r->exclude_outside = mc_node_int(call->node, "exclude_outside", 0) != 0;
        r->extrapolation = mc_node_float(call->node, "extrapolation_value", 0.0);
        r->cubic_a = mc_node_float(call->node, "cubic_coeff_a", -0.75);
    }
    r->antialias = call->version >= 18 && mc_node_int(call->node, "antialias", 0) != 0;
    r->mode = (mc_resample_mode)mode;
    r->at = (mc_resample_at)at;
    r->near = (mc_resample_near)near;
    if (r->antialias && r->mode == MC_RESAMPLE_NEAREST)
        return mc_fail(err, MC_E_FORMAT, "antialias is set for mode 'nearest' (linear, cubic)");
    const mc_dtype dtype = call->in[0]->dtype;
    if (r->mode != MC_RESAMPLE_NEAREST && (dtype == MC_BOOL || dtype == MC_STRING))
        return mc_op_refuse_dtype(call, 0, err);
    return MC_OK;
}

/* ---- sizes and scales ---- */

/* A list of real numbers, of an attribute or an input. */
typedef struct {
    const char *name;
    const float *attr;
    const mc_nd *input;
    size_t n;
    bool given, known;
} real_list;

static real_list list_input(const mc_call *call, size_t input, const char *name)
{
    real_list list = {.name = name, .known = true};
    const mc_nd *in = input < call->ins ? call->in[input] : NULL;
    if (!in) return list;
    const bool shaped = mc_nd_shape_known(in);
    if (shaped && in->count == 0) return list; /* how version 11 leaves an input out */
    list.input = in;
    list.given = true;
    list.known = shaped && in->data;
    list.n = shaped ? in->count : 0;
    return list;
}

static double list_at(const real_list *list, size_t i)
{
    return list->attr ? (double)list->attr[i] : mc_nd_real(list->input, i);
}

typedef struct {
    float image[4]; /* scales of N, C, H, W: version 1 says the last two */
    real_list roi, scales, sizes;
    mc_op_list axes; /* that the lists are for */
} resize_lists;

static mc_status read_axes(const mc_call *call, mc_op_list *axes, mc_err *err)
{
    const int ndim = call->in[0]->ndim;
    *axes = (mc_op_list){.known = true};
    if (call->version >= 18) MC_TRY(mc_op_list_read(call, "axes", 0, axes, err));
    if (axes->given) return mc_op_list_axes(axes, ndim, "axes", err);
    axes->n = ndim;
    for (int i = 0; i < ndim; i++) axes->at[i] = i;
    return MC_OK;
}

static mc_status check_count(const real_list *list, int per_axis, int axes, mc_err *err)
{
    const size_t needed = (size_t)per_axis * (size_t)axes;
    if (!list->given || !list->known || list->n == needed) return MC_OK;
    return mc_fail(err, MC_E_FORMAT, "%s has %zu numbers for %d axes (%zu are needed)", list->name,
                   list->n, axes, needed);
}

static mc_status read_lists(const mc_call *call, resize_lists *lists, mc_err *err)
{
    *lists = (resize_lists){.roi.known = true, .sizes.known = true};
    MC_TRY(read_axes(call, &lists->axes, err));
    if (call->version >= 11) {
        lists->roi = list_input(call, 1, "roi");
        lists->scales = list_input(call, 2, "scales");
        lists->sizes = list_input(call, 3, "sizes");
    } else if (call->version >= 9) {
        lists->scales = list_input(call, 1, "scales");
    } else if (call->version < 7) {
        lists->image[0] = lists->image[1] = 1.0f;
        lists->image[2] = (float)mc_node_float(call->node, "height_scale", 0.0);
        lists->image[3] = (float)mc_node_float(call->node, "width_scale", 0.0);
        lists->scales = (real_list){
            .name = "scales", .attr = lists->image, .n = 4, .given = true, .known = true};
    } else {
        const mc_attr *attr = mc_node_attr(call->node, "scales");
        const bool floats = attr && attr->kind == MC_ATTR_FLOATS;
        lists->scales = (real_list){.name = "scales", .given = floats, .known = true};
        if (floats) lists->scales.attr = attr->f;
        if (floats) lists->scales.n = attr->count;
    }
    if (!lists->scales.given && !lists->sizes.given)
        return mc_fail(err, MC_E_FORMAT, "neither scales nor sizes are given");
    if (lists->scales.given && lists->sizes.given && lists->scales.known && lists->sizes.known)
        return mc_fail(err, MC_E_FORMAT, "both scales and sizes are given (one is allowed)");
    MC_TRY(check_count(&lists->scales, 1, lists->axes.n, err));
    return check_count(&lists->sizes, 1, lists->axes.n, err);
}

static mc_status read_region(const resize_lists *lists, mc_resample *r, mc_err *err)
{
    const int n = lists->axes.n;
    if (r->at != MC_AT_TF_CROP_AND_RESIZE) return MC_OK;
    if (!lists->roi.given)
        return mc_fail(err, MC_E_FORMAT, "tf_crop_and_resize needs a roi, which is missing");
    MC_TRY(check_count(&lists->roi, 2, n, err));
    for (int i = 0; i < n; i++) {
        mc_resample_axis *a = &r->axis[lists->axes.at[i]];
        a->start = list_at(&lists->roi, (size_t)i);
        a->end = list_at(&lists->roi, (size_t)(n + i));
    }
    return MC_OK;
}

static const double size_limit = 0x1p62;

static mc_status take_scales(const resize_lists *lists, mc_resample *r, mc_err *err)
{
    for (int i = 0; i < lists->axes.n; i++) {
        mc_resample_axis *a = &r->axis[lists->axes.at[i]];
        a->scale = list_at(&lists->scales, (size_t)i);
        if (!(a->scale > 0.0 && a->scale <= (double)FLT_MAX))
            return mc_fail(err, MC_E_FORMAT, "scales[%d] is %g (above 0 and finite is allowed)", i,
                           a->scale);
        if (a->in < 0) continue;
        /* In f32, as models are made for: 10 * 0.7f is 7, not 6.9999999. */
        double out = (double)floorf((float)a->in * (float)a->scale);
        if (r->at == MC_AT_TF_CROP_AND_RESIZE)
            out = floor((double)a->in * (a->end - a->start) * a->scale);
        if (!(out >= 0.0 && out < size_limit))
            return mc_fail(err, MC_E_FORMAT, "scales[%d] of %g makes %g elements of %lld", i,
                           a->scale, out, (long long)a->in);
        a->out = (int64_t)out;
    }
    return MC_OK;
}

/* -1: the smallest, 1: the largest scale that the sizes ask for is everyone's; 0: each its own. */
static mc_status read_policy(const mc_call *call, int *policy, mc_err *err)
{
    static const choice policies[] = {{"stretch", 0, 18, INT32_MAX},
                                      {"not_larger", -1, 18, INT32_MAX},
                                      {"not_smaller", 1, 18, INT32_MAX},
                                      {0}};
    *policy = 0;
    if (call->version < 18) return MC_OK;
    return read_choice(call, "keep_aspect_ratio_policy", policies, policy, err);
}

/* Every size where it was asked for; *common: the scale that all axes get under a policy, 0 while a
 * dimension is not known. */
static mc_status ask_sizes(const resize_lists *lists, int policy, mc_resample *r, double *common,
                           mc_err *err)
{
    bool known = true;
    for (int i = 0; i < lists->axes.n; i++) {
        mc_resample_axis *a = &r->axis[lists->axes.at[i]];
        const int64_t size = mc_nd_int(lists->sizes.input, (size_t)i);
        if (size < 0 || (double)size >= size_limit)
            return mc_fail(err, MC_E_FORMAT, "sizes[%d] is %lld (0 to %g are allowed)", i,
                           (long long)size, size_limit);
        a->out = size;
        if (a->in > 0 && size > 0) a->scale = (double)size / (double)a->in;
        known = known && a->in >= 0;
        if (i == 0 || (policy < 0 ? a->scale < *common : a->scale > *common)) *common = a->scale;
    }
    if (!known) *common = 0.0;
    return MC_OK;
}

static mc_status take_sizes(const mc_call *call, const resize_lists *lists, mc_resample *r,
                            mc_err *err)
{
    int policy = 0;
    double common = 0.0;
    MC_TRY(read_policy(call, &policy, err));
    MC_TRY(ask_sizes(lists, policy, r, &common, err));
    for (int i = 0; policy != 0 && i < lists->axes.n; i++) {
        mc_resample_axis *a = &r->axis[lists->axes.at[i]];
        const double out = floor(common * (double)a->in + 0.5);
        if (!(out < size_limit))
            return mc_fail(err, MC_E_FORMAT, "sizes keep their ratio at %g elements", out);
        a->scale = common;
        a->out = common > 0.0 ? (int64_t)out : -1;
    }
    return MC_OK;
}

/* ---- the whole ---- */

/* *known: are all sizes? Then r says how to fill the output. */
static mc_status plan(const mc_call *call, mc_resample *r, bool *known, mc_err *err)
{
    const mc_nd *in = call->in[0];
    resize_lists lists;
    *r = (mc_resample){.ndim = in->ndim};
    MC_TRY(read_modes(call, r, err));
    *known = false;
    if (in->ndim < 0) return MC_OK;
    for (int i = 0; i < in->ndim; i++)
        r->axis[i] = (mc_resample_axis){in->dim[i], in->dim[i], 1.0, 0.0, 1.0, false};
    MC_TRY(read_lists(call, &lists, err));
    const bool crop = r->at == MC_AT_TF_CROP_AND_RESIZE;
    for (int i = 0; i < lists.axes.n; i++) r->axis[lists.axes.at[i]].out = -1;
    if (!lists.scales.known || !lists.sizes.known || (crop && !lists.roi.known)) return MC_OK;
    MC_TRY(read_region(&lists, r, err));
    MC_TRY(lists.sizes.given ? take_sizes(call, &lists, r, err) : take_scales(&lists, r, err));

    *known = true;
    for (int i = 0; i < in->ndim; i++) {
        mc_resample_axis *a = &r->axis[i];
        *known = *known && a->in >= 0;
        if (a->in == 0 && a->out > 0)
            return mc_fail(err, MC_E_FORMAT, "dimension %d of 0 is resized to %lld", i,
                           (long long)a->out);
        a->moves =
            a->in != a->out || a->scale < 1.0 || a->scale > 1.0 ||
            (crop && !(a->start <= 0.0 && a->start >= 0.0 && a->end <= 1.0 && a->end >= 1.0));
    }
    return MC_OK;
}

static mc_status shape_resize(const mc_call *call, mc_err *err)
{
    mc_resample r;
    bool known;
    MC_TRY(plan(call, &r, &known, err));
    int64_t dim[MC_MAX_DIMS];
    for (int i = 0; i < r.ndim; i++) dim[i] = r.axis[i].out;
    return mc_arg_set(call, 0, call->in[0]->dtype, r.ndim, dim, err);
}

static size_t scratch_resize(const mc_call *call)
{
    mc_resample r;
    bool known;
    mc_err err;
    return plan(call, &r, &known, &err) == MC_OK && known ? mc_resample_scratch(&r) : 0;
}

static mc_status run_resize(const mc_call *call, mc_err *err)
{
    mc_resample r;
    bool known;
    MC_TRY(plan(call, &r, &known, err));
    return mc_resample_run(&r, call->in[0], call->out[0], call->scratch, err);
}

#define LINE(op, version, least, most)                                                    \
    .domain = "", .name = op, .since = (version), .least_in = (least), .most_in = (most), \
    .most_out = 1, .shape = shape_resize, .run = run_resize, .scratch = scratch_resize

const mc_op mc_ops_resize[] = {
    {LINE("Upsample", 1, 1, 1)},
    {LINE("Upsample", 9, 2, 2)},
    {LINE("Resize", 10, 2, 2)},
    {LINE("Resize", 11, 1, 4)},
    {.domain = NULL},
};
