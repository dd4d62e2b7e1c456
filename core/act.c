/* Rounding activations to the grid that their row gets when it is seen. */
#include "core/act.h"

#include "core/kernels.h"

#include <math.h>
#include <string.h>

/* The scale of a row, and the largest code; NaN when the row holds NaN or infinity. */
static float scale_of(float limit, const float *x, size_t n)
{
    float most = 0.0f;
    if (n > 0) mc_kernels_best()->absmax(x, 1, n, &most);
    return isfinite(most) ? most / limit : NAN;
}

static float limit_of(unsigned bits)
{
    return (float)((1 << (bits - 1)) - 1);
}

/* A row whose scale vanishes is one of zeros. */
static float code_of(float x, float scale, float limit)
{
    const float q = scale == 0.0f ? 0.0f : rintf(x / scale);
    return q > limit ? limit : q < -limit ? -limit : q;
}

float mc_act_codes(unsigned bits, const float *x, size_t n, int8_t *code)
{
    const float limit = limit_of(bits), scale = scale_of(limit, x, n);
    if (isnan(scale)) memset(code, 0, n);
    for (size_t i = 0; i < n && !isnan(scale); i++) code[i] = (int8_t)code_of(x[i], scale, limit);
    return scale;
}

void mc_act_round(unsigned bits, float *x, size_t rows, size_t cols)
{
    const float limit = limit_of(bits);
    for (size_t r = 0; r < rows; r++, x += cols) {
        const float scale = scale_of(limit, x, cols);
        for (size_t i = 0; i < cols; i++) x[i] = scale * code_of(x[i], scale, limit);
    }
}

bool mc_act_rows(mc_site_kind kind, const mc_nd *x, size_t *rows, size_t *cols)
{
    if (kind == MC_SITE_EMBEDDING || x->ndim < 1 || !mc_dtype_about(x->dtype)->is_float)
        return false;
    const bool tokens = kind == MC_SITE_LINEAR || kind == MC_SITE_RECURRENT;
    const int split = tokens ? x->ndim - 1 : 1;
    *rows = mc_nd_span(x, 0, split);
    *cols = mc_nd_span(x, split, x->ndim);
    return true;
}
