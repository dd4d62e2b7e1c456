/* Cast and CastLike: every dtype to every other.
 *
 * Whole numbers keep their low bits; floats become whole numbers as mc_num_cut_* say. Small floats
 * are written as f32 that the executor rounds; here only what lies beyond their range is decided,
 * by `saturate` and the tables of the specification. */
#include "core/ops/op_args_shared.h"
#include "core/ops/op_cast_text.h"
#include "core/ops/op_number_shared.h"

#include <math.h>
#include <string.h>

/* ---- shapes ---- */

/* Before version 6 an attribute holds the type's name. */
static mc_status target_of(const mc_call *call, mc_dtype *out, mc_err *err)
{
    if (call->version < 6) {
        const char *name = mc_node_text(call->node, "to", "");
        *out = mc_dtype_of_onnx_name(name);
        if (mc_nd_width(*out) > 0) return MC_OK;
        return mc_fail(err, MC_E_UNSUPPORTED, "'to' is '%.40s', to which nothing can be cast",
                       name);
    }
    MC_TRY(mc_arg_named_dtype(call, "to", out, err));
    if (*out == MC_DTYPE_NONE) return mc_fail(err, MC_E_FORMAT, "attribute 'to' is missing, or 0");
    return MC_OK;
}

static mc_status shape_cast(const mc_call *call, mc_err *err)
{
    mc_dtype to;
    MC_TRY(mc_num_need(call, 0, MC_NUM_ANY, err));
    MC_TRY(target_of(call, &to, err));
    return mc_arg_set(call, 0, to, call->in[0]->ndim, call->in[0]->dim, err);
}

static mc_status shape_cast_like(const mc_call *call, mc_err *err)
{
    MC_TRY(mc_num_need(call, 0, MC_NUM_ANY, err));
    MC_TRY(mc_num_need(call, 1, MC_NUM_ANY, err));
    return mc_arg_set(call, 0, call->in[1]->dtype, call->in[0]->ndim, call->in[0]->dim, err);
}

/* ---- f64 to small floats by way of f32 ---- */

/* Rounds to f32 so that a second rounding to fewer digits gives what one would have: what is not
 * exact becomes odd in the last bit (Boldo and Melquiond, 2008). */
static float to_odd(double x)
{
    float y = (float)x;
    if (!(fabs((double)y) != fabs(x))) return y; /* exact, infinite, or NaN */
    if (isnan(x)) return y;
    uint32_t bits;
    memcpy(&bits, &y, sizeof bits);
    if (fabs((double)y) > fabs(x)) bits--; /* toward zero; from infinity to the largest */
    bits |= 1;
    memcpy(&y, &bits, sizeof y);
    return y;
}

/* ---- 8-bit floats ---- */

typedef struct {
    mc_dtype dtype;
    float most, over; /* the largest number; the least f32 that rounds to more */
    bool infinity;    /* has one */
} range;

static const range ranges[] = {
    {MC_F8_E4M3, 448.0f, 0x1.d00002p8f, false}, /* 464 itself is a tie and goes down to even */
    {MC_F8_E4M3FNUZ, 240.0f, 248.0f, false},
    {MC_F8_E5M2, 57344.0f, 61440.0f, true},
    {MC_F8_E5M2FNUZ, 57344.0f, 61440.0f, false},
};

static void limit_8_bits(const range *r, bool saturate, float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const float size = fabsf(x[i]);
        if (saturate && size > r->most)
            x[i] = copysignf(r->most, x[i]);
        else if (!saturate && size >= r->over)
            x[i] = copysignf(r->infinity ? INFINITY : NAN, x[i]);
    }
}

typedef enum { ROUND_UP, ROUND_DOWN, ROUND_NEAREST } round_mode;

/* The power of two that stands for |x|: 2^-127 to 2^127; halfway between two goes up. */
static float to_power(float x, round_mode mode, bool saturate)
{
    enum { LEAST = -127, MOST = 127 };
    if (isnan(x)) return x;
    int exponent = 0;
    const float fraction = frexpf(fabsf(x), &exponent); /* 0.5 .. 1, or 0 */
    const bool up = mode == ROUND_UP ? fraction > 0.5f : mode == ROUND_NEAREST && fraction >= 0.75f;
    if (!up) exponent--;
    if (x == 0.0f) exponent = LEAST - 1;
    if (isinf(x)) exponent = MOST + 1;
    if (exponent < LEAST) return saturate ? ldexpf(1.0f, LEAST) : NAN;
    if (exponent > MOST) return saturate ? ldexpf(1.0f, MOST) : NAN;
    return ldexpf(1.0f, exponent);
}

static mc_status limit_powers(const mc_call *call, bool saturate, float *x, size_t n, mc_err *err)
{
    const char *how = mc_node_text(call->node, "round_mode", "up");
    round_mode mode = ROUND_UP;
    if (strcmp(how, "down") == 0)
        mode = ROUND_DOWN;
    else if (strcmp(how, "nearest") == 0)
        mode = ROUND_NEAREST;
    else if (strcmp(how, "up") != 0)
        return mc_fail(err, MC_E_FORMAT, "round_mode is '%.40s' (up, down, nearest)", how);
    for (size_t i = 0; i < n; i++) x[i] = to_power(x[i], mode, saturate);
    return MC_OK;
}

/* ---- numbers ---- */

/* Keeps the low bits of numbers below 8 bits, with the sign that the highest of them says. */
static void limit_tiny(mc_dtype dtype, uint8_t *x, size_t n)
{
    const unsigned mask = (1u << mc_dtype_about(dtype)->bits) - 1;
    const unsigned sign = dtype == MC_I4 || dtype == MC_I2 ? (mask + 1) / 2 : 0;
    for (size_t i = 0; i < n; i++) x[i] = (uint8_t)((x[i] & mask & ~sign) - (x[i] & sign));
}

static mc_status limit(const mc_call *call, const mc_nd *y, mc_err *err)
{
    const bool saturate = mc_node_int(call->node, "saturate", 1) != 0;
    if (y->dtype == MC_F8_E8M0) return limit_powers(call, saturate, y->data, y->count, err);
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        if (ranges[i].dtype == y->dtype) limit_8_bits(&ranges[i], saturate, y->data, y->count);
    }
    for (size_t i = 0; y->dtype == MC_F4 && i < y->count; i++) { /* has no NaN: the suite says -0 */
        float *const at = (float *)y->data + i;
        *at = isnan(*at) ? -0.0f : *at;
    }
    const bool whole = !mc_dtype_about(y->dtype)->is_float && y->dtype != MC_STRING;
    if (whole && mc_dtype_about(y->dtype)->bits < 8) limit_tiny(y->dtype, y->data, y->count);
    return MC_OK;
}

static mc_status run_cast(const mc_call *call, mc_err *err)
{
    const mc_nd *x = call->in[0];
    mc_nd *y = mc_arg_out(call, 0);
    if (!y || y->count == 0) return MC_OK;
    if (x->dtype == y->dtype) {
        memcpy(y->data, x->data, x->count * mc_nd_width(x->dtype));
        return MC_OK;
    }
    if (y->dtype == MC_STRING) return mc_cast_to_text(call, x, y, err);
    if (x->dtype == MC_STRING) {
        MC_TRY(mc_cast_from_text(x, y, err));
    } else if (x->dtype == MC_F64 && mc_nd_is_small_float(y->dtype)) {
        const double *from = x->data;
        float *to = y->data;
        for (size_t i = 0; i < x->count; i++) to[i] = to_odd(from[i]);
    } else {
        mc_num_convert(x->dtype, x->data, y->dtype, y->data, x->count);
    }
    return limit(call, y, err);
}

#define LINE(name_, since_, ins_, shape_)                                                        \
    {                                                                                            \
        .domain = "", .name = (name_), .since = (since_), .least_in = (ins_), .most_in = (ins_), \
        .most_out = 1, .shape = (shape_), .run = run_cast                                        \
    }

const mc_op mc_ops_cast[] = {
    LINE("Cast", 1, 1, shape_cast),
    LINE("CastLike", 15, 2, shape_cast_like),
    {.name = NULL},
};
