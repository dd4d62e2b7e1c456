/* QuantizeLinear, DequantizeLinear, DynamicQuantizeLinear: numbers to codes and back, with
 * parameters for a tensor, along an axis, or for blocks.
 *
 * Work goes in strips of numbers that became f32. */
#include "core/ops/op_args_shared.h"
#include "core/ops/op_codes_shared.h"
#include "core/ops/op_grain_shared.h"
#include "core/ops/op_number_shared.h"

#include <math.h>

enum { STRIP = 256 };

static const mc_dtype code_dtypes[] = {
    MC_U8, MC_I8,      MC_U16,         MC_I16,     MC_U4,          MC_I4, MC_U2,
    MC_I2, MC_F8_E4M3, MC_F8_E4M3FNUZ, MC_F8_E5M2, MC_F8_E5M2FNUZ, MC_F4, MC_DTYPE_NONE};

/* ---- what codes can hold ---- */

/* The largest number, and from where on numbers round beyond it; `ties` when that place itself
 * does. */
typedef struct {
    float most, beyond;
    bool ties, infinity;
} float_range;

static float_range range_of(mc_dtype dtype)
{
    switch (dtype) {
    case MC_F8_E4M3: return (float_range){.most = 448.0f, .beyond = 464.0f};
    case MC_F8_E4M3FNUZ: return (float_range){.most = 240.0f, .beyond = 248.0f, .ties = true};
    case MC_F8_E5M2:
        return (float_range){.most = 57344.0f, .beyond = 61440.0f, .ties = true, .infinity = true};
    case MC_F8_E5M2FNUZ: return (float_range){.most = 57344.0f, .beyond = 61440.0f, .ties = true};
    default: return (float_range){.most = 6.0f, .beyond = INFINITY}; /* F4 has nothing else */
    }
}

static void limit_floats(mc_dtype dtype, bool saturate, float *x, size_t n)
{
    const float_range r = range_of(dtype);
    for (size_t i = 0; i < n; i++) {
        const float size = fabsf(x[i]);
        if (saturate) {
            if (size > r.most) x[i] = copysignf(r.most, x[i]);
        } else if (size > r.beyond || (r.ties && size == r.beyond)) {
            x[i] = r.infinity ? copysignf(INFINITY, x[i]) : NAN;
        }
    }
}

/* ---- numbers of a run as f32, a strip at a time ---- */

static size_t element_bytes(const mc_nd *t)
{
    return mc_nd_width(t->dtype);
}

static void load_strip(const mc_nd *t, size_t first, size_t n, float *to)
{
    mc_num_convert(mc_nd_storage(t->dtype), (const char *)t->data + first * element_bytes(t),
                   MC_F32, to, n);
}

/* n parameters of a run, or `otherwise` for all when there are none. */
static void load_params(const mc_nd *t, const mc_grain_run *run, size_t at, size_t n,
                        float otherwise, float *to)
{
    if (t && run->step == 1) {
        load_strip(t, run->param + at, n, to);
        return;
    }
    float one = otherwise;
    if (t) load_strip(t, run->param, 1, &one);
    for (size_t i = 0; i < n; i++) to[i] = one;
}

/* ---- QuantizeLinear ---- */

static mc_status find_code_dtype(const mc_call *call, mc_dtype *out, mc_err *err)
{
    const mc_nd *zero = mc_arg_in(call, 2);
    MC_TRY(mc_arg_dtype(call, 2, code_dtypes, err));
    MC_TRY(mc_arg_named_dtype(call, "output_dtype", out, err));
    if (zero && *out == MC_DTYPE_NONE) {
        *out = zero->dtype;
        return MC_OK;
    }
    if (*out == MC_DTYPE_NONE) *out = MC_U8;
    if (zero && zero->dtype != MC_DTYPE_NONE && zero->dtype != *out)
        return mc_fail(err, MC_E_FORMAT, "output_dtype is %s; allowed is the zero point's, %s",
                       mc_dtype_about(*out)->name, mc_dtype_about(zero->dtype)->name);
    for (const mc_dtype *d = code_dtypes; *d != MC_DTYPE_NONE; d++) {
        if (*d == *out) return MC_OK;
    }
    return mc_fail(err, MC_E_FORMAT, "output_dtype is %s, which holds no codes",
                   mc_dtype_about(*out)->name);
}

/* The type that quotients are rounded to; F64 for whole scales, whose quotients are exact. */
static mc_status find_precision(const mc_call *call, mc_dtype *out, mc_err *err)
{
    MC_TRY(mc_arg_named_dtype(call, "precision", out, err));
    if (*out == MC_DTYPE_NONE) *out = call->in[1]->dtype;
    if (*out == MC_F8_E8M0 || *out == MC_DTYPE_NONE) *out = MC_F32;
    if (*out == MC_I32) *out = MC_F64;
    if (*out == MC_F32 || *out == MC_F16 || *out == MC_BF16 || *out == MC_F64) return MC_OK;
    return mc_fail(err, MC_E_FORMAT, "precision is %s; allowed are F16, BF16, F32 and F64",
                   mc_dtype_about(*out)->name);
}

static mc_status quantize_shape(const mc_call *call, mc_err *err)
{
    static const mc_dtype numbers[] = {MC_F32, MC_F16, MC_BF16, MC_I32, MC_DTYPE_NONE};
    static const mc_dtype scales[] = {MC_F32, MC_F16, MC_BF16, MC_I32, MC_F8_E8M0, MC_DTYPE_NONE};
    mc_grain grain;
    bool known;
    mc_dtype dtype, precision;
    MC_TRY(mc_arg_dtype(call, 0, numbers, err));
    MC_TRY(mc_arg_dtype(call, 1, scales, err));
    MC_TRY(find_code_dtype(call, &dtype, err));
    MC_TRY(find_precision(call, &precision, err));
    MC_TRY(mc_grain_find(call, &grain, &known, err));
    return mc_arg_set(call, 0, dtype, call->in[0]->ndim, call->in[0]->dim, err);
}

/* Quotients x / scale, in x. */
static void divide(mc_dtype precision, float *x, float *scale, size_t n)
{
    if (precision == MC_F16 || precision == MC_BF16) {
        mc_round_all_to(precision, x, n);
        mc_round_all_to(precision, scale, n);
    }
    for (size_t i = 0; i < n; i++) x[i] /= scale[i];
    if (precision == MC_F16 || precision == MC_BF16) mc_round_all_to(precision, x, n);
}

/* Quotients of numbers that f32 may not hold. */
static void divide_wide(const mc_nd *x, size_t at, const mc_nd *scale, const mc_grain_run *run,
                        size_t first, size_t n, bool to_whole, float *out)
{
    for (size_t i = 0; i < n; i++) {
        const double by = mc_nd_real(scale, run->param + (first + i) * run->step);
        const double q = mc_nd_real(x, at + i) / by;
        out[i] = (float)(to_whole ? rint(q) : q);
    }
}

static void encode(const mc_call *call, mc_dtype precision, const mc_grain_run *run, size_t at,
                   size_t n)
{
    const mc_nd *x = call->in[0], *scales = call->in[1], *zeros = mc_arg_in(call, 2);
    mc_nd *y = call->out[0];
    float q[STRIP], scale[STRIP], zero[STRIP];
    const bool to_float = mc_nd_is_small_float(y->dtype);
    load_params(zeros, run, at, n, 0.0f, zero);
    if (precision == MC_F64) {
        divide_wide(x, run->at + at, scales, run, at, n, !to_float, q);
    } else {
        load_strip(x, run->at + at, n, q);
        load_params(scales, run, at, n, 1.0f, scale);
        divide(precision, q, scale, n);
    }
    if (to_float) {
        for (size_t i = 0; i < n; i++) q[i] += zero[i];
        limit_floats(y->dtype, mc_node_int(call->node, "saturate", 1) != 0, q, n);
    } else {
        mc_codes_round(mc_codes_range(y->dtype), zero, q, n);
    }
    mc_codes_store(q, n, y, run->at + at);
}

static mc_status quantize_run(const mc_call *call, mc_err *err)
{
    mc_grain grain = {0};
    mc_grain_run run;
    bool known;
    mc_dtype precision;
    MC_TRY(find_precision(call, &precision, err));
    MC_TRY(mc_grain_find(call, &grain, &known, err));
    for (size_t i = 0; mc_grain_next(&grain, &i, &run);) {
        for (size_t at = 0; at < run.n; at += STRIP)
            encode(call, precision, &run, at, run.n - at < STRIP ? run.n - at : STRIP);
    }
    return MC_OK;
}

/* ---- DequantizeLinear ---- */

static mc_status dequantize_shape(const mc_call *call, mc_err *err)
{
    static const mc_dtype scales[] = {MC_F32, MC_F16, MC_BF16, MC_F8_E8M0, MC_DTYPE_NONE};
    const mc_nd *x = call->in[0], *scale = call->in[1], *zero = mc_arg_in(call, 2);
    mc_grain grain;
    bool known;
    mc_dtype dtype;
    if (x->dtype != MC_I32) MC_TRY(mc_arg_dtype(call, 0, code_dtypes, err));
    MC_TRY(mc_arg_dtype(call, 1, scales, err));
    if (zero && zero->dtype != MC_DTYPE_NONE && x->dtype != MC_DTYPE_NONE &&
        zero->dtype != x->dtype)
        return mc_fail(err, MC_E_FORMAT, "the zero point is %s; allowed is %s as in input 0",
                       mc_dtype_about(zero->dtype)->name, mc_dtype_about(x->dtype)->name);
    MC_TRY(mc_arg_named_dtype(call, "output_dtype", &dtype, err));
    if (dtype == MC_DTYPE_NONE) dtype = scale->dtype;
    if (dtype != MC_DTYPE_NONE && dtype != MC_F32 && dtype != MC_F16 && dtype != MC_BF16)
        return mc_fail(err, MC_E_FORMAT, "the output's type is %s; allowed are F32, F16 and BF16",
                       mc_dtype_about(dtype)->name);
    MC_TRY(mc_grain_find(call, &grain, &known, err));
    return mc_arg_set(call, 0, dtype, x->ndim, x->dim, err);
}

static void decode(const mc_call *call, const mc_grain_run *run, size_t at, size_t n)
{
    float scale[STRIP], zero[STRIP];
    float *y = (float *)call->out[0]->data + run->at + at;
    load_strip(call->in[0], run->at + at, n, y);
    load_params(call->in[1], run, at, n, 1.0f, scale);
    load_params(mc_arg_in(call, 2), run, at, n, 0.0f, zero);
    for (size_t i = 0; i < n; i++) y[i] = (y[i] - zero[i]) * scale[i];
}

static mc_status dequantize_run(const mc_call *call, mc_err *err)
{
    mc_grain grain = {0};
    mc_grain_run run;
    bool known;
    MC_TRY(mc_grain_find(call, &grain, &known, err));
    for (size_t i = 0; mc_grain_next(&grain, &i, &run);) {
        for (size_t at = 0; at < run.n; at += STRIP)
            decode(call, &run, at, run.n - at < STRIP ? run.n - at : STRIP);
    }
    return MC_OK;
}

/* ---- DynamicQuantizeLinear ---- */

static mc_status dynamic_shape(const mc_call *call, mc_err *err)
{
    static const mc_dtype numbers[] = {MC_F32, MC_DTYPE_NONE};
    const mc_nd *x = call->in[0];
    MC_TRY(mc_arg_dtype(call, 0, numbers, err));
    MC_TRY(mc_arg_set(call, 0, MC_U8, x->ndim, x->dim, err));
    MC_TRY(mc_arg_set(call, 1, MC_F32, 0, NULL, err));
    return mc_arg_set(call, 2, MC_U8, 0, NULL, err);
}

static mc_status dynamic_run(const mc_call *call, mc_err *err)
{
    (void)err;
    const mc_nd *x = call->in[0];
    const mc_dynamic_u8 range = mc_dynamic_range_u8(x->data, x->count);
    mc_nd *y = mc_arg_out(call, 0), *scale = mc_arg_out(call, 1), *zero = mc_arg_out(call, 2);
    float code[STRIP];
    for (size_t at = 0; y && at < x->count; at += STRIP) {
        const size_t n = x->count - at < STRIP ? x->count - at : STRIP;
        mc_dynamic_codes_u8(range, (const float *)x->data + at, n, code);
        mc_codes_store(code, n, y, at);
    }
    if (scale) *(float *)scale->data = range.scale;
    if (zero) *(uint8_t *)zero->data = (uint8_t)range.zero;
    return MC_OK;
}

#define LINE(where, title, from, least, most, wanted, stem)                                \
    {                                                                                      \
        .domain = where, .name = title, .since = from, .least_in = least, .most_in = most, \
        .most_out = wanted, .shape = stem##_shape, .run = stem##_run                       \
    }

const mc_op mc_ops_quantize[] = {
    LINE("", "QuantizeLinear", 10, 2, 3, 1, quantize),
    LINE("", "DequantizeLinear", 10, 2, 3, 1, dequantize),
    LINE("", "DynamicQuantizeLinear", 11, 1, 1, 3, dynamic),
    LINE(MC_DOMAIN_MS, "QuantizeLinear", 1, 2, 3, 1, quantize),
    LINE(MC_DOMAIN_MS, "DequantizeLinear", 1, 2, 3, 1, dequantize),
    {.domain = NULL},
};
