/* Resampling of tensors along their axes: what Resize and Upsample come down to once sizes, scales
 * and modes are read. */
#ifndef MC_CORE_OPS_OP_RESAMPLE_SHARED_H
#define MC_CORE_OPS_OP_RESAMPLE_SHARED_H

#include "core/arena.h"
#include "core/nd.h"

typedef enum { MC_RESAMPLE_NEAREST, MC_RESAMPLE_LINEAR, MC_RESAMPLE_CUBIC } mc_resample_mode;

/* Where an element of the output lies in the input. */
typedef enum {
    MC_AT_HALF_PIXEL,
    MC_AT_HALF_PIXEL_SYMMETRIC,
    MC_AT_PYTORCH_HALF_PIXEL,
    MC_AT_ALIGN_CORNERS,
    MC_AT_ASYMMETRIC,
    MC_AT_TF_HALF_PIXEL_FOR_NN,
    MC_AT_TF_CROP_AND_RESIZE,
} mc_resample_at;

/* Which element is the nearest. UPSAMPLE: the one before where the axis grows, else the one behind,
 * as version 10 of Resize is run. */
typedef enum {
    MC_NEAR_ROUND_PREFER_FLOOR,
    MC_NEAR_ROUND_PREFER_CEIL,
    MC_NEAR_FLOOR,
    MC_NEAR_CEIL,
    MC_NEAR_UPSAMPLE,
} mc_resample_near;

typedef struct {
    int64_t in, out;
    double scale;      /* above 0; out / in, or what the model says */
    double start, end; /* of the region that is taken, as fractions of the axis */
    bool moves;        /* is the output anything else than the input? */
} mc_resample_axis;

typedef struct {
    mc_resample_mode mode;
    mc_resample_at at;
    mc_resample_near near;
    bool antialias, exclude_outside;
    double cubic_a, extrapolation;
    int ndim;
    mc_resample_axis axis[MC_MAX_DIMS];
} mc_resample;

/* Bytes of scratch that mc_resample_run takes; SIZE_MAX when that is too much. */
size_t mc_resample_scratch(const mc_resample *r);

/* Shapes are those of r->axis; numbers below f32, and whole ones, are rounded and saturate.
 * MC_E_FORMAT when a scale is too far from the sizes to filter with. */
mc_status mc_resample_run(const mc_resample *r, const mc_nd *in, mc_nd *out, mc_arena scratch,
                          mc_err *err);

#endif
